//! The source goes away and comes back, or is meant otherwise, while the daemon runs.

use std::path::{Path, PathBuf};

use tidegate::fact::Fact;
use tidegate::names::CommitId;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

use super::main_job::DEPLOYMENT;

fn stream(name: &str) -> String {
    format!("apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: {name}}}\n")
}

fn adopted(host: &Host, commit: CommitId) {
    host.wait_for(
        "the commit",
        |fact| matches!(fact, Fact::CommitAdopted(adopted) if adopted.commit == commit),
    );
}

/// Looks at the source only when something says so.
fn far_poll(toml: &str) -> String {
    toml.replace("branch = \"main\"", "branch = \"main\"\npoll = \"1h\"")
}

/// A repository that is looked at by notification alone, and after a failure: its poll is far away.
fn watched() -> (Repo, Host) {
    let repo = Repo::new();
    repo.write("a.yaml", stream("a"));
    let first = repo.commit("first");
    let mut host = Host::new(repo.path(), "");
    host.configure(far_poll);
    host.start();
    adopted(&host, first);
    (repo, host)
}

fn aside(repo: &Repo) -> PathBuf {
    repo.path().with_extension("aside")
}

/// The source fails and `status` says so; then `back` brings it back, and what is committed afterwards is noticed.
fn comes_back(repo: &Repo, host: &Host, away: impl Fn(&Path), back: impl Fn(&Path)) {
    // What a look finds may change while files come and go, so that there may be several failures.
    let last = || {
        let mut kinds = host.records().into_iter().map(|record| record.fact.kind());
        kinds.rfind(|kind| kind.starts_with("Source"))
    };
    for round in 1..=2 {
        away(repo.path());
        eventually("the failure", || (last() == Some("SourceFailed")).then_some(()));
        let status = host.text(&["status"]);
        assert!(status.contains("source: cannot be read"), "{status}");
        assert!(status.contains(repo.path().to_str().unwrap()), "{status}");
        back(repo.path());
        eventually("the recovery", || (last() == Some("SourceRecovered")).then_some(()));
        for number in 0..2 {
            repo.write("b.yaml", stream(&format!("b-{round}-{number}")));
            adopted(host, repo.commit("noticed"));
        }
        let status = host.text(&["status"]);
        assert!(!status.contains("cannot be read"), "{status}");
        assert_eq!(last(), Some("SourceRecovered"));
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

/// Changes a setting while the daemon runs, and while it does not.
#[derive(Clone, Copy)]
enum Taken {
    ByReload,
    ByRestart,
}

/// A repository of four streams in two folders and on two branches, of which the folder `shop` of `main` is read.
fn shop() -> (Repo, Host) {
    let repo = Repo::new();
    repo.write("shop/web.yaml", stream("web")).write("shared/base.yaml", stream("base"));
    let first = repo.commit("first");
    repo.git(&["checkout", "--quiet", "-b", "next"]);
    repo.write("shop/api.yaml", stream("api")).commit("the next one");
    repo.git(&["checkout", "--quiet", "main"]);
    let mut host = Host::new(repo.path(), "");
    host.configure(far_poll);
    host.configure(|toml| toml.replace("[source]", "[source]\npaths = [\"shop\"]"));
    host.start();
    adopted(&host, first);
    assert_eq!(changes(&host), [["+default/web"].map(str::to_owned)]);
    (repo, host)
}

/// What came and went with each commit that was adopted.
fn changes(host: &Host) -> Vec<Vec<String>> {
    let changes = |fact: &Fact| {
        let Fact::CommitAdopted(adopted) = fact else { return None };
        let name = |sign, key: &tidegate::names::ObjectKey| {
            format!("{sign}{}/{}", key.namespace, key.name)
        };
        let came = adopted.appeared.iter().map(|appeared| name('+', &appeared.object));
        let went = adopted.removed.iter().map(|removed| name('-', &removed.object));
        let mut all: Vec<_> = came.chain(went).collect();
        all.sort();
        Some(all)
    };
    host.records().iter().filter_map(|record| changes(&record.fact)).collect()
}

/// Has the daemon take a change of its configuration, and waits for what it brings.
fn brings(host: &mut Host, taken: Taken, change: impl Fn(&str) -> String, expected: &[&str]) {
    let before = changes(host).len();
    match taken {
        Taken::ByReload => {
            host.configure(change);
            host.reload();
        }
        Taken::ByRestart => {
            assert!(host.stop().success());
            host.configure(change);
            host.start();
        }
    }
    eventually(&format!("{expected:?}; {}", host.story()), || {
        (changes(host).len() > before).then_some(())
    });
    let now = changes(host);
    assert_eq!(now[before..], [expected.to_vec()], "{}", host.story());
}

fn settings_take_effect(taken: Taken) {
    let (repo, mut host) = shop();
    let both = |toml: &str| toml.replace("[\"shop\"]", "[\"shop\", \"shared\"]");
    brings(&mut host, taken, both, &["+default/base"]);
    let shared = |toml: &str| toml.replace("[\"shop\", \"shared\"]", "[\"shared\"]");
    brings(&mut host, taken, shared, &["-default/web"]);
    let all = |toml: &str| toml.replace("paths = [\"shared\"]\n", "");
    brings(&mut host, taken, all, &["+default/web"]);
    let next = |toml: &str| toml.replace("\"main\"", "\"next\"");
    brings(&mut host, taken, next, &["+default/api"]);
    let namespaces = |toml: &str| format!("{toml}[source.namespaces]\nshared = \"platform\"\n");
    brings(&mut host, taken, namespaces, &["+platform/base", "-default/base"]);
    // A setting that means nothing new is no record, and what is committed next is read as ever.
    let count = changes(&host).len();
    host.configure(|toml| toml.replace("[source.namespaces]", "[source.namespaces]\nnone = \"x\""));
    host.reload();
    repo.git(&["checkout", "--quiet", "next"]);
    repo.write("shared/tools.yaml", stream("tools"));
    adopted(&host, repo.commit("another"));
    assert_eq!(changes(&host)[count..], [["+platform/tools"].map(str::to_owned)]);
    let status = host.text(&["status"]);
    assert!(!status.contains("does not find it in the adopted commit"), "{status}");
}

#[test]
fn a_reload_reads_the_whole_tree_by_the_new_settings() {
    settings_take_effect(Taken::ByReload);
}

#[test]
fn a_restart_reads_the_whole_tree_by_the_new_settings() {
    settings_take_effect(Taken::ByRestart);
}

#[test]
fn history_says_when_settings_changed_and_a_restart_says_nothing() {
    let repo = Repo::new();
    repo.write("web.yaml", DEPLOYMENT).commit("the shop");
    let mut host = Host::new(repo.path(), "");
    let settings = |host: &Host| host.count(|fact| matches!(fact, Fact::ConfigAdopted(_)));
    for _ in 0..2 {
        host.start();
        host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
        host.stop();
        assert_eq!(settings(&host), 1);
    }
    host.start();
    host.configure(|text| format!("{text}\n[prune]\nmax_objects = 7\n"));
    eventually("the daemon to listen", || {
        host.run(&["status", "--exit-code"]).status.code().filter(|code| *code != 4)
    });
    host.reload();
    eventually("another record", || (settings(&host) == 2).then_some(()));
    let history = host.text(&["history"]);
    assert_eq!(history.matches("taken into use").count(), 2, "{history}");
}
