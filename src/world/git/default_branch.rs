//! Which branch a repository of somebody's is about (rule B21).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::address::{Address, redact};
use super::program::{Place, Program, Stopped, said};
use crate::limits::HOOK_DEFAULT_BRANCH_TIMEOUT;

/// The branch that the `HEAD` of a repository names. It blocks.
///
/// Nothing of the source's own settings goes there: they may hold a login, and this is another repository.
///
/// # Errors
/// Why it cannot be told; without logins.
pub fn default_branch(address: &str, cancel: &CancellationToken) -> Result<String, String> {
    let read = Address::parse(address).map_err(|problem| redact(&problem.to_string()))?;
    let program = Program {
        path: PathBuf::from("git"),
        options: Vec::new(),
        ssh_command: None,
        timeout: HOOK_DEFAULT_BRANCH_TIMEOUT,
        place: Place::Mirror,
    };
    let mut arguments: Vec<OsString> = vec!["ls-remote".into(), "--quiet".into()];
    arguments.extend(["--symref".into(), "--".into(), read.argument(), "HEAD".into()]);
    let answer =
        program.run(Path::new("/"), &arguments, cancel).map_err(|stopped| match stopped {
            Stopped::Timeout => {
                format!("it did not answer within {} s", HOOK_DEFAULT_BRANCH_TIMEOUT.as_secs())
            }
            Stopped::Cancelled => "the daemon is stopping".to_owned(),
            Stopped::Problem(problem) => redact(&problem.to_string()),
        })?;
    if !answer.status.success() {
        return Err(redact(&said(&answer.stderr)));
    }
    let text = String::from_utf8_lossy(&answer.stdout);
    let named = text.lines().find_map(|line| {
        line.strip_prefix("ref: refs/heads/").and_then(|line| line.strip_suffix("\tHEAD"))
    });
    named.map(str::to_owned).ok_or_else(|| "its HEAD names no branch".to_owned())
}
