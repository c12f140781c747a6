//! What several suites need.

pub(crate) mod daemon;
pub(crate) mod engine;
pub(crate) mod git;
pub(crate) mod git_server;
pub(crate) mod manifest;
pub(crate) mod registry;
pub(crate) mod story;
pub(crate) mod wait;

use std::path::PathBuf;

/// Finds a program that a suite needs. Where it is missing the test fails, unless
/// `TIDEGATE_TEST_MISSING=skip` is set: then it says that it was skipped and gives `None`.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
pub(crate) fn need(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file());
    if found.is_none() {
        let skip = std::env::var_os("TIDEGATE_TEST_MISSING").is_some_and(|word| word == "skip");
        assert!(
            skip,
            "`{program}` is not installed (set TIDEGATE_TEST_MISSING=skip to skip what needs it)"
        );
        println!("skipped: `{program}` is not installed");
    }
    found
}
