//! A journal that is older than what was done: record numbers, and so keys of rollouts, must not be given twice.

use std::path::Path;
use std::process::Command;

use tidegate::fact::Fact;

use crate::support::daemon::Host;
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

fn finished(host: &Host) -> usize {
    host.count(|fact| matches!(fact, Fact::RolloutFinished(_)))
}

fn roll_out(host: &Host, repo: &Repo, greeting: &str) {
    let before = finished(host);
    repo.write("web.yaml", deployment(greeting)).commit(greeting);
    crate::support::daemon::eventually("a rollout", || (finished(host) > before).then_some(()));
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// A host that rolled out twice, and whose journal is now the copy that was made after the first time.
fn with_an_older_journal(folder: &Path) -> (Host, Repo) {
    let repo = Repo::new();
    repo.write("web.yaml", deployment("one")).commit("one");
    let mut host = Host::new(repo.path(), &receiver(folder));
    host.start();
    host.wait_for("the first rollout", |fact| matches!(fact, Fact::RolloutFinished(_)));
    host.stop();
    copy(&host.state().join("journal"), &host.path("copy"));
    host.start();
    roll_out(&host, &repo, "two");
    host.stop();
    std::fs::remove_dir_all(host.state().join("journal")).unwrap();
    copy(&host.path("copy"), &host.state().join("journal"));
    (host, repo)
}

fn refusal(host: &Host) -> String {
    let output = host.run(&["run"]);
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_older_copy_of_the_journal_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (host, _repo) = with_an_older_journal(folder.path());
    let before = host.records();
    let text = refusal(&host);
    assert!(text.contains("the journal is an older copy"), "{text}");
    assert!(text.contains("tidegate run --accept-lost-records"), "{text}");
    assert_eq!(host.records(), before, "nothing was changed");
}

#[test]
fn a_journal_that_was_removed_or_emptied_is_no_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let (host, _repo) = with_an_older_journal(folder.path());
    let journal = host.state().join("journal");
    for entry in std::fs::read_dir(&journal).unwrap() {
        std::fs::File::create(entry.unwrap().path()).unwrap(); // empties it
    }
    assert!(refusal(&host).contains("ends at record 0"), "{}", refusal(&host));
    std::fs::remove_dir_all(&journal).unwrap();
    assert!(refusal(&host).contains("ends at record 0"), "{}", refusal(&host));
    let deliveries = std::fs::read_to_string(folder.path().join("deliveries")).unwrap();
    assert_eq!(deliveries.lines().count(), 2, "{deliveries}");
}

#[test]
fn after_lost_records_no_key_is_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (mut host, repo) = with_an_older_journal(folder.path());
    repo.write("web.yaml", deployment("three")).commit("three");
    host.start_with(&["--accept-lost-records"]);
    host.wait_for("what the operator said", |fact| matches!(fact, Fact::RecordsLost(_)));
    crate::support::daemon::eventually("a rollout", || (finished(&host) > 1).then_some(()));
    host.stop();
    let deliveries = std::fs::read_to_string(folder.path().join("deliveries")).unwrap();
    let mut keys: Vec<_> = deliveries.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(keys.len(), 3, "{deliveries}");
    assert!(keys[2].contains('+') && !keys[1].contains('+'), "{deliveries}");
    keys.dedup();
    assert_eq!(keys.len(), 3, "{deliveries}");
    let history = host.text(&["history"]);
    assert!(history.contains("records before this one"), "{history}");
    host.start();
    roll_out(&host, &repo, "four");
    let deliveries = std::fs::read_to_string(folder.path().join("deliveries")).unwrap();
    assert!(deliveries.lines().last().unwrap().contains('+'), "{deliveries}");
}
