//! The real daemon and a real repository: what only seems to be gone, and commits that must stay.

use std::os::unix::fs::symlink;

use tidegate::fact::Fact;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::manifest;

const WORKLOAD: &str = "dc app app=r.io/x:1";

fn repository() -> Repo {
    let repo = Repo::new();
    repo.write("app.yaml", manifest::files(WORKLOAD)["shop/dc-app.yaml"].clone());
    repo.commit("start");
    repo
}

fn adopted(fact: &Fact) -> bool {
    matches!(fact, Fact::CommitAdopted(_))
}

/// Law 7: a manifest that became a link is still there; `status` and `diff` say so.
#[test]
fn a_manifest_that_became_a_link_keeps_its_workload() {
    let repo = repository();
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the rollout", |fact| matches!(fact, Fact::RolloutFinished(_)));
    std::fs::rename(repo.path().join("app.yaml"), repo.path().join("app.txt")).unwrap();
    symlink("app.txt", repo.path().join("app.yaml")).unwrap();
    let diff = host.text(&["diff", "--worktree"]);
    assert!(diff.contains("it is a symbolic link"), "{diff}");
    assert!(diff.contains("its last valid version stays in force"), "{diff}");
    repo.commit("link");
    eventually("the second commit", || (host.count(adopted) == 2).then_some(()));
    let status = host.text(&["status"]);
    assert!(status.contains("app.yaml: not read: it is a symbolic link"), "{status}");
    assert!(status.contains("shop/app at app.yaml: it is a symbolic link"), "{status}");
    host.stop();
    host.start();
    let reads = || host.text(&["status"]).contains("source read").then_some(());
    eventually("a read after the restart", reads);
    host.stop();
    assert_eq!(host.count(|fact| matches!(fact, Fact::StopStarted(_))), 0);
    assert_eq!(host.count(adopted), 2);
}

/// A process that ended right after the record did not get to keep its commit: the next one does.
#[test]
fn an_adopted_commit_is_kept_at_the_next_start() {
    let repo = repository();
    let mut host = Host::new(repo.path(), "");
    host.start();
    let record = host.wait_for("the commit", adopted);
    host.stop();
    let kept = host.state().join("mirror.git/refs/tidegate/adopted").join(record.seq.to_string());
    std::fs::remove_file(&kept).unwrap();
    host.start();
    eventually("the commit is kept", || kept.is_file().then_some(()));
    host.stop();
}
