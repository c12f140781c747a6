//! The source goes away and comes back, or is meant otherwise, while the daemon runs.

use std::path::{Path, PathBuf};

use tidegate::fact::Fact;
use tidegate::names::CommitId;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

fn stream(name: &str) -> String {
    format!("apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: {name}}}\n")
}

fn adopted(host: &Host, commit: CommitId) {
    host.wait_for(
        "the commit",
        |fact| matches!(fact, Fact::CommitAdopted(adopted) if adopted.commit == commit),
    );
}

/// A repository that is looked at by notification alone, and after a failure: its poll is far away.
fn watched() -> (Repo, Host) {
    let repo = Repo::new();
    repo.write("a.yaml", stream("a"));
    let first = repo.commit("first");
    let mut host = Host::new(repo.path(), "[source.namespaces]\nshop = \"shop\"\n");
    let path = host.path("tidegate.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("branch = \"main\"", "branch = \"main\"\npoll = \"1h\"");
    std::fs::write(path, text).unwrap();
    host.start();
    adopted(&host, first);
    (repo, host)
}

fn aside(repo: &Repo) -> PathBuf {
    repo.path().with_extension("aside")
}

/// The source fails and `status` says so; then `back` brings it back, and what is committed afterwards is noticed.
fn comes_back(repo: &Repo, host: &Host, away: impl Fn(&Path), back: impl Fn(&Path)) {
    for round in 1..=2 {
        let count = |kind| host.count(|fact| fact.kind() == kind);
        away(repo.path());
        eventually("the failure", || (count("SourceFailed") == round).then_some(()));
        let status = host.text(&["status"]);
        assert!(status.contains("source: cannot be read"), "{status}");
        assert!(status.contains(repo.path().to_str().unwrap()), "{status}");
        back(repo.path());
        eventually("the recovery", || (count("SourceRecovered") == round).then_some(()));
        for number in 0..2 {
            repo.write("b.yaml", stream(&format!("b-{round}-{number}")));
            adopted(host, repo.commit("noticed"));
        }
        let status = host.text(&["status"]);
        assert!(!status.contains("cannot be read"), "{status}");
        assert_eq!(count("SourceFailed"), round);
    }
}

#[test]
fn a_repository_that_was_moved_away_and_back_is_watched_again() {
    let (repo, host) = watched();
    let away = |path: &Path| std::fs::rename(path, aside(&repo)).unwrap();
    comes_back(&repo, &host, away, |path| std::fs::rename(aside(&repo), path).unwrap());
}

#[test]
fn a_repository_that_was_removed_and_cloned_again_is_watched_again() {
    let (repo, host) = watched();
    let folder = tempfile::tempdir().unwrap();
    let away = |path: &Path| {
        std::fs::remove_dir_all(folder.path().join("copy.git")).ok();
        repo.bare(&folder.path().join("copy.git"));
        std::fs::remove_dir_all(path).unwrap();
    };
    let back = |path: &Path| {
        let copy = folder.path().join("copy.git");
        let mut clone = crate::support::git::command();
        clone.args(["clone", "--quiet"]).args([&copy, path]);
        assert!(clone.status().unwrap().success());
    };
    comes_back(&repo, &host, away, back);
}
