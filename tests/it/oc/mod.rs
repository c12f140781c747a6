//! What `oc` users see: the same commands, the same text.

mod builds;
mod chain;
pub(crate) mod exported;
mod generated;
mod ground_truth;
mod live;
mod sessions;
mod watch;
mod whole;

use std::process::{Command, Output};

/// Runs the program in a folder without settings.
pub(crate) fn tidegate(arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command: Command = crate::story::play::tidegate(folder.path(), arguments);
    command.output().unwrap()
}

/// What it printed; it must have succeeded without a word on standard error.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let output = tidegate(arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
