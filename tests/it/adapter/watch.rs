//! File notification on real repositories.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate::world::watch::{WatchError, Watcher, watch};

use crate::support::git::Repo;
use crate::support::wait::eventually;

fn start(repo: &Repo) -> (Watcher, Arc<AtomicUsize>) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let watcher = watch(repo.path(), move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    (watcher.unwrap(), calls)
}

fn notices<T>(calls: &AtomicUsize, what: &str, act: impl FnOnce() -> T) {
    let before = calls.load(Ordering::SeqCst);
    act();
    eventually(what, || calls.load(Ordering::SeqCst) > before);
}

#[test]
fn every_commit_is_noticed_and_not_only_the_first() {
    let repo = Repo::new();
    repo.commit("first");
    let (watcher, calls) = start(&repo);
    assert!(!watcher.polls());
    for number in 0..3 {
        notices(&calls, "a commit", || repo.commit(&format!("number {number}")));
    }
}

#[test]
fn a_branch_in_a_new_folder_and_packed_references_are_noticed() {
    let repo = Repo::new();
    repo.commit("first");
    let (_watcher, calls) = start(&repo);
    notices(&calls, "a branch", || repo.git(&["checkout", "-q", "-b", "team/a/b"]));
    notices(&calls, "a commit on it", || repo.commit("second"));
    notices(&calls, "packed references", || repo.git(&["pack-refs", "--all"]));
    notices(&calls, "a commit after packing", || repo.commit("third"));
}

#[test]
fn a_push_into_a_bare_repository_is_noticed() {
    let repo = Repo::new();
    repo.commit("first");
    let folder = tempfile::tempdir().unwrap();
    let bare = repo.bare(&folder.path().join("bare.git"));
    let (_watcher, calls) = start(&bare);
    repo.commit("second");
    notices(&calls, "a push", || repo.push(&bare.address(), "main"));
}

#[test]
fn a_commit_in_a_linked_work_tree_is_noticed() {
    let repo = Repo::new();
    repo.commit("first");
    let linked = tempfile::tempdir().unwrap();
    let path = linked.path().join("tree");
    repo.git(&["worktree", "add", "-q", "-b", "side", path.to_str().unwrap()]);
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let _watcher = watch(&path, move || {
        counter.fetch_add(1, Ordering::SeqCst);
    })
    .unwrap();
    let commit = ["-C", path.to_str().unwrap(), "commit", "-q", "--allow-empty", "-m", "second"];
    notices(&calls, "a commit there", || repo.git(&commit));
}

#[test]
fn a_repository_that_goes_away_leaves_a_stale_watcher() {
    let repo = Repo::new();
    repo.commit("first");
    let (watcher, calls) = start(&repo);
    let git = repo.path().join(".git");
    notices(&calls, "the removal", || std::fs::remove_dir_all(&git).unwrap());
    eventually("stale", || watcher.is_stale());
}

#[test]
fn a_repository_that_is_moved_away_leaves_a_stale_watcher() {
    let repo = Repo::new();
    repo.commit("first");
    let (watcher, calls) = start(&repo);
    let aside = repo.path().with_extension("aside");
    notices(&calls, "the move", || std::fs::rename(repo.path(), &aside).unwrap());
    eventually("stale", || watcher.is_stale());
}

#[test]
fn another_repository_in_the_place_of_the_watched_one_is_not_taken_for_it() {
    let top = tempfile::tempdir().unwrap();
    let repo = Repo::new();
    repo.commit("first");
    let place = top.path().join("a/repo.git");
    std::fs::create_dir(top.path().join("a")).unwrap();
    let bare = repo.bare(&place);
    let (watcher, _calls) = start(&bare);
    assert!(!watcher.is_stale());
    // Nothing that is watched moves: no event tells of it.
    std::fs::rename(top.path().join("a"), top.path().join("b")).unwrap();
    assert!(watcher.is_stale());
    std::fs::create_dir(top.path().join("a")).unwrap();
    repo.bare(&place);
    assert!(watcher.is_stale());
}

#[test]
fn what_is_no_repository_cannot_be_watched() {
    let folder = tempfile::tempdir().unwrap();
    let error = watch(folder.path(), || {}).unwrap_err();
    assert!(matches!(error, WatchError::Open { .. }), "{error}");
}
