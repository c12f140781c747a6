//! Running the `git` program: a clean environment, no prompts, a time-out, and nothing left behind.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tokio_util::sync::CancellationToken;

use crate::limits;

use super::address::PROTOCOLS;
use super::error::Problem;

/// How often a running `git` is compared with the cancellation and its time-out; its end is noticed at once.
const SLICE: Duration = Duration::from_millis(25);

/// Variables that `git` may see. Everything else goes, above all `GIT_DIR` and its friends, which would point it at
/// another repository, and what runs programs or prompts.
const KEPT: [&str; 30] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "KRB5CCNAME",
    "KRB5_CONFIG",
    "GNUPGHOME",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_SSH_VARIANT",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "GIT_SSL_CERT",
    "GIT_SSL_KEY",
    "GIT_SSL_NO_VERIFY",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_EXEC_PATH",
    "GIT_PROXY_COMMAND",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "no_proxy",
    "NO_PROXY",
];

/// The `git` program and how it is called.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    /// `-c` settings of the user, `name=value`.
    pub(super) options: Vec<String>,
    /// Instead of `GIT_SSH_COMMAND`.
    pub(super) ssh_command: Option<String>,
    pub(super) timeout: Duration,
    pub(super) place: Place,
}

/// In whose repository the program works.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// In our mirror: nothing of the user's runs there.
    Mirror,
    /// In the user's own, in the user's name: with hooks, and with the environment that they know.
    Own,
}

/// What says whom a commit is by.
const AUTHOR: [&str; 2] = ["GIT_AUTHOR_", "GIT_COMMITTER_"];

/// What `git` answered.
pub(super) struct Answer {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

/// How a run ended that gave no answer.
pub(super) enum Stopped {
    Timeout,
    Cancelled,
    Problem(Problem),
}

impl Program {
    /// Checks that the program is there and new enough.
    pub(super) fn check(&self, cancel: &CancellationToken) -> Result<(), Stopped> {
        let answer = self.run(Path::new("/"), &["version".into()], cancel)?;
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        let program = self.path.display().to_string();
        match version(&text) {
            Some(version) if version >= (2, 30) => Ok(()),
            Some((major, minor)) => Err(Stopped::Problem(Problem::OldProgram {
                program,
                found: format!("version {major}.{minor}"),
            })),
            None => Err(Stopped::Problem(Problem::Program {
                program,
                why: format!("`git version` answered `{}`", head(&text, 80)),
            })),
        }
    }

    /// Runs `git` in `directory` until it ends, the time is over or `cancel` says so.
    pub(super) fn run(
        &self,
        directory: &Path,
        arguments: &[OsString],
        cancel: &CancellationToken,
    ) -> Result<Answer, Stopped> {
        let mut child = self.command(directory, arguments).spawn().map_err(|error| {
            let why = if error.kind() == std::io::ErrorKind::NotFound {
                "it was not found".to_owned()
            } else {
                error.to_string()
            };
            Stopped::Problem(Problem::Program { program: self.path.display().to_string(), why })
        })?;
        let stdout = child.stdout.take().map(Capture::of);
        let stderr = child.stderr.take().map(Capture::of);
        let stopped = self.wait(&mut child, cancel);
        let status = child.wait().map_err(|error| {
            let program = self.path.display().to_string();
            Stopped::Problem(Problem::Program { program, why: error.to_string() })
        })?;
        if let Some(stopped) = stopped {
            return Err(stopped);
        }
        let stdout = stdout.map(Capture::finish).unwrap_or_default();
        let stderr = stderr.map(Capture::finish).unwrap_or_default();
        Ok(Answer { status, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
    }

    fn command(&self, directory: &Path, arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.path);
        command.current_dir(directory).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            let keep = |text: &str| match self.place {
                Place::Mirror => KEPT.contains(&text) || text.starts_with("XDG_"),
                Place::Own => {
                    KEPT.contains(&text)
                        || !text.starts_with("GIT_")
                        || AUTHOR.iter().any(|start| text.starts_with(start))
                }
            };
            if !name.to_str().is_some_and(keep) {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C.UTF-8").env("GIT_TERMINAL_PROMPT", "0");
        // An empty program is no program: git then fails instead of asking. ssh asks nobody either, also on a terminal.
        command.env("GIT_ASKPASS", "").env("SSH_ASKPASS", "false");
        command.env("SSH_ASKPASS_REQUIRE", "force");
        command.env("GIT_ALLOW_PROTOCOL", PROTOCOLS.join(":"));
        if let Some(ssh) = &self.ssh_command {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        let options: &[&str] = match self.place {
            Place::Mirror => &[
                "core.hooksPath=/dev/null",
                "core.fsmonitor=false",
                // Loose objects too, all with one flush (git 2.36; older ones sync packs).
                "core.fsync=committed,loose-object",
                "core.fsyncMethod=batch",
                "gc.auto=0",
                "maintenance.auto=false",
                "fetch.writeCommitGraph=false",
                "credential.interactive=false",
            ],
            Place::Own => &["credential.interactive=false"],
        };
        for option in options {
            command.args(["-c", option]);
        }
        for option in &self.options {
            command.args([OsStr::new("-c"), OsStr::new(option)]);
        }
        command.args(arguments);
        command
    }

    /// Waits for the end without reaping, so that the process id stays ours while it may have to be ended.
    fn wait(&self, child: &mut Child, cancel: &CancellationToken) -> Option<Stopped> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) =
                rustix::process::waitid(WaitId::Pid(pid), options)
            {}
            // Nobody listens any more once the program was ended: fine.
            let _ = sender.send(());
        });
        let mut left = self.timeout;
        let stopped = loop {
            match ended.recv_timeout(SLICE.min(left)) {
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if cancel.is_cancelled() => {
                    break Stopped::Cancelled;
                }
                Err(RecvTimeoutError::Timeout) => {
                    left = left.saturating_sub(SLICE);
                    if left.is_zero() {
                        break Stopped::Timeout;
                    }
                }
            }
        };
        // Told politely first: git then removes its lock files. Errors mean that it has gone.
        let _ = rustix::process::kill_process_group(pid, Signal::TERM);
        let _ = ended.recv_timeout(limits::GIT_GRACE);
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        Some(stopped)
    }
}

/// Reads a pipe to its end in a thread, so that the program never blocks, and keeps the first bytes.
struct Capture {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: mpsc::Receiver<()>,
}

impl Capture {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (sender, ended) = mpsc::channel();
        let shared = Arc::clone(&kept);
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let room = limits::GIT_OUTPUT_BYTES_MAX.saturating_sub(kept.len());
                kept.extend(buffer.iter().take(count.min(room)));
            }
            // As above.
            let _ = sender.send(());
        });
        Self { kept, ended }
    }

    /// Takes what was read. A background process of ssh (`ControlPersist`) may hold the pipe open after the end of
    /// `git`: it is not waited for.
    fn finish(self) -> Vec<u8> {
        // Either way what is there is taken.
        let _ = self.ended.recv_timeout(limits::GIT_GRACE);
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.strip_prefix("git version ")?.split(['.', ' ']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn head(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// Boils what `git` printed down to the lines that say what is wrong.
pub(in crate::world) fn said(stderr: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = |line: &str| {
        let starts = ["fatal: ", "error: ", "remote: ", "ssh: "];
        let ends = ["denied", "failed", "Host key"];
        starts.iter().any(|start| line.starts_with(start)) || ends.iter().any(|e| line.contains(e))
    };
    let mut kept: Vec<&str> = lines().filter(|line| telling(line)).collect();
    if kept.is_empty() {
        kept = lines().collect();
    }
    let start = kept.len().saturating_sub(4);
    let text = kept.get(start..).unwrap_or_default().join("; ");
    let text = text.replace("fatal: ", "").replace("error: ", "");
    if text.is_empty() { "git said nothing".to_owned() } else { head(&text, 600) }
}

/// What to do about a failure of `git`, where that is known; starts with `; `.
pub(super) fn hint(stderr: &str) -> &'static str {
    let has = |word: &str| stderr.contains(word);
    if has("could not read Username")
        || has("unable to get password from user")
        || has("could not read Password")
    {
        "; give `git` a login: a credential helper for the user that runs tidegate (`git config --global \
         credential.helper`), or write the login into `source.repository`"
    } else if has("No space left on device") {
        "; the file system of the state directory is full, where the mirror is: make space there, and it goes on by \
         itself"
    } else if has("did not send all necessary objects") {
        // Where `git` cannot move new objects into place, it does not say so and misses them.
        "; if that repository is whole, the mirror could not keep what it sent: look whether the file system of the \
         state directory has space, and inodes, left"
    } else if has("Authentication failed") || has("returned error: 403") {
        "; the server does not accept the login: check the credential helper, or the user and password in \
         `source.repository`"
    } else if has("Host key verification failed") {
        "; the host's key is not known: check it and add it to the known_hosts of the user that runs tidegate"
    } else if has("Permission denied (") {
        "; the server does not accept an SSH key of the user that runs tidegate: check `ssh -v`, or \
         `source.ssh_command`"
    } else if has("dubious ownership") {
        "; the repository belongs to another user: run tidegate as its owner, or add a `safe.directory`"
    } else if has("mismatched algorithms") || has("object format") || has("hash algorithm") {
        "; the repository uses SHA-256 object names, which Tidegate does not read"
    } else if has("does not appear to be a git repository")
        || has("not found")
        || has("does not exist")
    {
        "; check `source.repository`, and that the repository is still there"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_vendors_are_read() {
        assert_eq!(version("git version 2.47.3"), Some((2, 47)));
        assert_eq!(version("git version 2.39.5 (Apple Git-154)"), Some((2, 39)));
        assert_eq!(version("git version 2.30.0.rc1"), Some((2, 30)));
        assert_eq!(version("hub version 2.14"), None);
    }

    #[test]
    fn what_git_says_is_boiled_down() {
        let text = "Cloning…\nfatal: Could not read from remote repository.\n\nPlease make sure\n";
        assert_eq!(said(text), "Could not read from remote repository.");
        assert_eq!(said("odd"), "odd");
        assert_eq!(said(""), "git said nothing");
    }
}
