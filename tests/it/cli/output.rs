//! Where the answer goes: to a reader that has gone, to a full disk.

use std::process::{Command, Output, Stdio};

use tidegate::fact::Fact;

use crate::support::daemon::Host;
use crate::support::git::Repo;

const STREAM: &str = "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: web, namespace: shop}
";

/// Every command that prints an answer.
const PRINTING: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["diff", "--help"],
    &["history"],
    &["history", "--runs", "-o", "json"],
    &["status", "--exit-code"],
    &["status", "-o", "json"],
    &["diff"],
    &["diff", "--worktree"],
    &["check", "."],
    &["check", ".", "-o", "sarif"],
    &["config"],
    &["config", "--keys"],
    &["config", "-o", "json"],
    &["journal", "verify"],
    &["journal", "verify", "-o", "json"],
    &["journal", "log"],
    &["journal", "log", "-o", "json"],
    &["journal", "show", "1"],
    &["status", "--at", "1"],
    &["diff", "--at", "1"],
    &["man"],
    &["completions", "bash"],
    &["completions", "fish"],
];

/// A host whose daemon adopted a commit and ended; the next commit is not adopted.
fn host() -> (Repo, Host) {
    let repo = Repo::new();
    repo.write("web.yaml", STREAM).commit("first");
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    assert!(host.stop().success());
    repo.write("api.yaml", STREAM.replace("web", "api") + "odd: 1\n").commit("second");
    (repo, host)
}

/// A pipe that nobody reads.
fn gone() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn run(command: &mut Command) -> Output {
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn a_command_whose_reader_has_gone_ends_quietly_with_the_same_exit_code() {
    let (repo, host) = host();
    for arguments in PRINTING {
        let command = || {
            let mut command = host.tidegate(arguments);
            command.current_dir(repo.path()).stderr(Stdio::piped());
            command
        };
        let read = run(command().stdout(Stdio::piped()));
        assert!(!read.stdout.is_empty(), "{arguments:?} prints nothing");
        let status = read.status;
        let unread = run(command().stdout(gone()));
        assert_eq!(unread.status, status, "{arguments:?}");
        let [read, unread] = [read.stderr, unread.stderr].map(|e| String::from_utf8(e).unwrap());
        assert_eq!(unread, read, "{arguments:?}");
        let silent = run(command().stdout(gone()).stderr(gone()));
        assert_eq!(silent.status, status, "{arguments:?}");
    }
}

#[test]
fn a_demo_that_nobody_watches_ends() {
    let (_repo, host) = host();
    let folder = tempfile::tempdir().unwrap();
    let mut demo = host.tidegate(&["demo"]);
    demo.env("TMPDIR", folder.path()).stdout(gone()).stderr(Stdio::piped());
    let output = run(&mut demo);
    assert!(output.status.success(), "{:?}", output.status);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "it cleans up");
}

#[test]
fn an_answer_that_cannot_be_written_is_an_error() {
    let (_repo, host) = host();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = run(host.tidegate(&["status"]).stdout(full).stderr(Stdio::piped()));
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("No space left on device"), "{error}");
}
