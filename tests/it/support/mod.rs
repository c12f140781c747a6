//! What several suites need.

pub(crate) mod builder;
pub(crate) mod builds;
pub(crate) mod checkout;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod engine;
pub(crate) mod git;
pub(crate) mod git_server;
pub(crate) mod hook;
pub(crate) mod hostile;
pub(crate) mod limited;
pub(crate) mod machine;
pub(crate) mod manifest;
pub(crate) mod podman;
pub(crate) mod registry;
pub(crate) mod shop;
pub(crate) mod stand;
pub(crate) mod start;
pub(crate) mod story;
pub(crate) mod token;
pub(crate) mod wait;
pub(crate) mod yard;

use std::io::Write as _;
use std::path::PathBuf;

/// Finds a program that a suite needs. Where it is missing the test fails, unless `tests/run` collects what could not
/// run (`TIDEGATE_TEST_SKIPS` names its list) outside CI: then it is put on that list and the test gets `None`.
pub(crate) fn need(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file());
    if found.is_none() {
        skip(&format!("`{program}` is not installed; run tests/run, which installs it"));
    }
    found
}

/// Puts the test on the list of what could not run; where there is no such list, or in CI, the test fails.
pub(crate) fn skip(why: &str) {
    let list = std::env::var_os("TIDEGATE_TEST_SKIPS").filter(|_| std::env::var_os("CI").is_none());
    let list = list.unwrap_or_else(|| panic!("{why}"));
    let mut list = std::fs::File::options().append(true).open(list).unwrap();
    writeln!(list, "{}: {why}", std::thread::current().name().unwrap_or("a test")).unwrap();
}
