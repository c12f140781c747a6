//! The state directory of a long-running host: snapshots, retention, collection, by the daemon and by hand.

use std::path::PathBuf;

use tidegate::fact::Fact;
use tidegate::journal::ObjectStore;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

use super::main_job::receiver;

fn deployment(greeting: &str) -> String {
    format!(
        "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: web, namespace: shop}}
spec:
  triggers: [{{type: ConfigChange}}]
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: main
        image: quay.io/team/web@sha256:{:064}
        env: [{{name: GREETING, value: {greeting}}}]
",
        1
    )
}

fn roll_out(host: &Host, repo: &Repo, greeting: &str) {
    let finished = || host.count(|fact| matches!(fact, Fact::RolloutFinished(_)));
    let before = finished();
    repo.write("web.yaml", deployment(greeting)).commit(greeting);
    eventually("a rollout", || (finished() > before).then_some(()));
}

fn names(host: &Host) -> Vec<String> {
    let entries = std::fs::read_dir(host.state().join("journal")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn kept_commits(host: &Host) -> usize {
    let adopted: PathBuf = host.state().join("mirror.git/refs/tidegate/adopted");
    let found = std::fs::read_dir(&adopted);
    found.unwrap_or_else(|_| panic!("{}", adopted.display())).count()
}

/// A host that keeps no history, after two rollouts and a compaction behind each.
fn compacted(folder: &std::path::Path, run: impl Fn(&mut Host)) -> (Host, Repo, String) {
    let repo = Repo::new();
    repo.write("web.yaml", deployment("one")).commit("one");
    let settings = format!("{}\n[journal]\nkeep_bytes = 0\n", receiver(folder));
    let mut host = Host::new(repo.path(), &settings);
    host.start();
    host.wait_for("the first rollout", |fact| matches!(fact, Fact::RolloutFinished(_)));
    run(&mut host);
    roll_out(&host, &repo, "two");
    ObjectStore::at(&host.state()).put(b"nobody names this").unwrap();
    run(&mut host);
    let text = host.text(&["journal", "verify"]);
    (host, repo, text)
}

fn look(host: &Host, verified: &str) {
    let names = names(host);
    assert_eq!(names.iter().filter(|name| name.starts_with("snap")).count(), 2, "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("00000000000000000001.")), "{names:?}");
    assert!(
        verified.contains("proven: records") && !verified.contains("records 1 to"),
        "{verified}"
    );
    let dropped = host.count(|fact| matches!(fact, Fact::HistoryDropped(_)));
    assert_eq!(dropped, 1, "what went is on record");
    assert_eq!(kept_commits(host), 1, "the commit that is in force");
    let store = ObjectStore::at(&host.state());
    let hash = tidegate::names::ContentHash::of(b"nobody names this");
    assert!(!store.contains(&hash).unwrap(), "what nothing names is collected");
}

#[test]
fn a_running_daemon_compacts_when_it_is_asked_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (mut host, repo, verified) = compacted(folder.path(), |host| {
        let text = host.text(&["journal", "compact"]);
        assert!(text.starts_with("snapshot at record "), "{text}");
    });
    look(&host, &verified);
    roll_out(&host, &repo, "three");
    assert!(host.stop().success());
    host.start();
    roll_out(&host, &repo, "four");
    let status = host.text(&["status"]);
    assert!(status.contains("web"), "{status}");
    assert!(host.stop().success());
}

#[test]
fn where_no_daemon_runs_the_command_compacts() {
    let folder = tempfile::tempdir().unwrap();
    let (mut host, repo, verified) = compacted(folder.path(), |host| {
        assert!(host.stop().success());
        let text = host.text(&["journal", "compact"]);
        assert!(text.starts_with("snapshot at record "), "{text}");
        host.start();
    });
    look(&host, &verified);
    roll_out(&host, &repo, "three");
    assert!(host.stop().success());
}
