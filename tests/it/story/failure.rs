//! A rollout that failed says why where people look: in `status` and `history`, with what its target printed.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use tidegate::fact::Fact;

use crate::support::daemon::{Host, eventually};
use crate::support::git::{Repo, program};

const DEPLOYMENT: &str = "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: main
        image: 'r.example/web:1'
        env:
        - {name: DB_PASSWORD, value: hunter2}
";

/// Commits the workload, waits until its rollout failed, and returns what `status` and `history` show.
fn failed(toml: &str) -> [String; 2] {
    let repo = Repo::new();
    repo.write("web.yaml", DEPLOYMENT).commit("the shop");
    let mut host = Host::new(repo.path(), &format!("{toml}\n[routes]\ndefault = \"hook\"\n"));
    host.start();
    host.wait_for("the hold", |fact| matches!(fact, Fact::DigestHeld(_)));
    let journal = host.records();
    let journal = serde_json::to_string(&journal).unwrap();
    assert!(!journal.contains("hunter2"), "{journal}");
    let shown = [&["status"][..], &["history", "dc/web", "-n", "shop"]].map(|args| host.text(args));
    for shown in &shown {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    shown
}

/// The lines that a target printed, as a report shows them.
fn printed(shown: &str) -> Vec<&str> {
    shown.lines().filter_map(|line| line.trim_start().strip_prefix("| ")).collect()
}

#[test]
fn the_last_lines_of_a_program_that_failed_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("deploy");
    let text = "#!/bin/sh
cat > /dev/null
for i in 1 2 3 4 5 6 7 8; do echo line $i; done
printf 'cannot log in with \\033[31mhunter2\\033[0m\\n' >&2
echo 'the new version does not answer'
exit 3
";
    program(&script, text);
    let toml = format!("[targets.hook]\nkind = \"exec\"\ncommand = [{:?}]\n", script.display());
    for shown in failed(&toml) {
        assert!(shown.contains("exit status 3"), "{shown}");
        let expected = [
            "line 6",
            "line 7",
            "line 8",
            "cannot log in with [31m***[0m",
            "the new version does not answer",
        ];
        assert_eq!(printed(&shown), expected, "{shown}");
    }
}

/// A receiver that gives every request the same answer.
fn answering(status: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let body = "no such image\r\n\x1b[2JDB_PASSWORD is hunter2\n";
        let answer = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
            body.len(),
            body
        );
        for mut stream in listener.incoming().map_while(Result::ok) {
            drop(stream.read(&mut [0; 64 * 1024]));
            drop(stream.write_all(answer.as_bytes()));
        }
    });
    address
}

#[test]
fn the_answer_of_a_webhook_that_refused_is_shown() {
    let address = answering("422 Unprocessable Entity");
    let toml = format!("[targets.hook]\nkind = \"webhook\"\nurl = \"http://{address}/hook\"\n");
    for shown in failed(&toml) {
        assert!(shown.contains("the target answered 422 Unprocessable Entity"), "{shown}");
        assert_eq!(printed(&shown), ["no such image", "[2JDB_PASSWORD is ***"], "{shown}");
    }
}

#[test]
fn a_rollout_that_does_not_get_through_says_why_while_it_is_tried_again() {
    let address = answering("503 Service Unavailable");
    let repo = Repo::new();
    repo.write("web.yaml", DEPLOYMENT).commit("the shop");
    let toml = format!("[targets.hook]\nkind = \"webhook\"\nurl = \"http://{address}/hook\"\n");
    let mut host = Host::new(repo.path(), &format!("{toml}[routes]\ndefault = \"hook\"\n"));
    host.start();
    let status = eventually("the reason", || {
        let output = host.run(&["status"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.contains("; attempt ").then_some(text)
    });
    let line = "DeploymentConfig/shop/web: revision 1 not delivered yet to target hook: ";
    let line = status.lines().find(|found| found.trim_start().starts_with(line)).unwrap();
    let answer = "the target answered 503 Service Unavailable: [2JDB_PASSWORD is ***";
    assert!(line.contains(answer), "{status}");
    assert_eq!(host.count(|fact| matches!(fact, Fact::RolloutFinished(_))), 0);
}

/// Every host of the suites is searched when it ends: where a secret stood in its log, its test would fail.
#[test]
fn law10_a_secret_in_a_log_is_found() {
    let host = Host::new(std::path::Path::new("/nowhere"), "");
    host.has_no_secret();
    let log = host.path("log");
    std::fs::write(&log, "the login is canary-of-this-test").unwrap();
    let searched = std::panic::AssertUnwindSafe(|| host.has_no_secret());
    assert!(std::panic::catch_unwind(searched).is_err());
    std::fs::remove_file(log).unwrap();
}
