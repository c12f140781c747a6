//! How the daemon ends, reloads, and what it says when a target is out of reach.

use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use tidegate::fact::Fact;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

/// A deployment that needs no registry.
const PLAIN: &str = "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: web}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'registry.example.com/web:1'}]}
";

fn repo() -> Repo {
    let repo = Repo::new();
    repo.write("web.yaml", PLAIN);
    repo.commit("start");
    repo
}

/// An exec target that runs `script`.
fn exec(script: &str) -> String {
    format!(
        "[targets.host]\nkind = \"exec\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n[routes]\ndefault = \"host\"\n"
    )
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_daemon_that_is_told_to_end_takes_what_its_programs_started_with_it() {
    let repo = repo();
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    // The child of the program ignores a polite signal.
    let script = format!(
        "sh -c \"trap : TERM; echo \\$\\$ >> {}; while :; do sleep 1; done\"",
        pids.display()
    );
    let mut host = Host::new(repo.path(), &exec(&script));
    host.start();
    let pid = eventually("the program", || {
        std::fs::read_to_string(&pids).ok().filter(|text| text.ends_with('\n'))
    });
    assert!(host.stop().success());
    eventually("the end of what the program started", || (!is_alive(&pid)).then_some(()));
    assert_eq!(host.count(|fact| matches!(fact, Fact::RolloutFinished(_))), 0, "{}", host.story());
}

#[test]
fn a_daemon_that_is_told_to_end_leaves_no_fetch_behind() {
    // Takes connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/x.git", listener.local_addr().unwrap());
    let mut host = Host::new(address.as_ref(), "");
    host.start();
    let connection = listener.accept().unwrap();
    assert!(host.stop().success());
    let left = |address: &str| {
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        // One that ends while we look is none.
        let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        let found = |line: Vec<u8>| String::from_utf8_lossy(&line).contains(address);
        lines.into_iter().any(found)
    };
    // Killed with the daemon, which does not wait until the system has cleared them away.
    eventually("the end of git", || (!left(&address)).then_some(()));
    drop(connection);
}

#[test]
fn a_reload_that_needs_a_restart_is_refused_as_a_whole() {
    let repo = repo();
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the first rollout", |fact| matches!(fact, Fact::RolloutFinished(_)));
    let toml = host.path("tidegate.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, text.replace("/state\"", "/other\"")).unwrap();
    host.reload();
    eventually("the refusal", || {
        host.log().contains("`state_dir` changed, which needs a restart").then_some(())
    });
    assert!(!host.path("other").exists(), "nothing of it was taken");
    std::fs::write(&toml, text + "[log]\nlevel = \"debug\"\n").unwrap();
    host.reload();
    eventually("the refusal", || {
        host.log().contains("`log.level` changed, which needs a restart").then_some(())
    });
    assert!(host.stop().success());
}

#[test]
fn a_target_out_of_reach_is_logged_and_shown() {
    let repo = repo();
    let toml = "[targets.host]\nkind = \"exec\"\ncommand = [\"/nowhere/roll-out\"]\n[routes]\ndefault = \"host\"\n";
    let mut host = Host::new(repo.path(), toml);
    host.start();
    eventually("a line in the log", || host.log().contains("not delivered yet").then_some(()));
    let status = host.run(&["status", "--exit-code"]);
    let shown = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(shown.contains("not delivered yet to target host: cannot start `/nowhere/"), "{shown}");
    assert_eq!(status.status.code(), Some(3), "{shown}");
    assert!(host.stop().success());
}

#[test]
fn a_daemon_that_is_out_of_files_answers_again_when_it_has_some() {
    let repo = repo();
    let mut host = Host::new(repo.path(), "");
    host.start_with_files(40);
    let socket = host.path("control.sock");
    let first = eventually("the socket", || UnixStream::connect(&socket).ok());
    // More than it may have open; all that it takes count for it as well.
    let clients: Vec<_> = (0..60).map_while(|_| UnixStream::connect(&socket).ok()).collect();
    assert!(clients.len() > 20);
    eventually("the lack of files", || host.log().contains("Too many open files").then_some(()));
    drop((first, clients));
    eventually("an answer", || host.text(&["status"]).contains("daemon running").then_some(()));
    assert!(host.stop().success());
}
