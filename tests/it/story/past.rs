//! A journal that is looked back into, backed up while it grows, restored and salvaged: by the real daemon.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use tidegate::fact::{Fact, Outcome, Record};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

use super::main_job::receiver;

fn deployment(name: &str, digest: u8) -> String {
    format!(
        "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: {name}, namespace: shop}}
spec:
  triggers: [{{type: ConfigChange}}]
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - {{name: main, image: 'quay.io/team/web@sha256:{digest:064}'}}
"
    )
}

fn roll_out(host: &Host, repo: &Repo, name: &str, digest: u8) -> Record {
    // One that is cut short by a newer commit is none.
    let complete =
        |fact: &Fact| matches!(fact, Fact::RolloutFinished(f) if f.outcome == Outcome::Complete);
    let finished = |host: &Host| {
        let mut records = host.records();
        records.retain(|record| complete(&record.fact));
        records
    };
    let before = finished(host).len();
    repo.write(&format!("{name}.yaml"), deployment(name, digest)).commit("next");
    eventually("a rollout", || finished(host).into_iter().nth(before))
}

/// What a command prints, without times, commits and paths.
fn shown(host: &Host, args: &[&str]) -> (Option<i32>, String) {
    let output = host.run(args);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let text = text.replace(host.state().to_str().unwrap(), "<state>");
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z").unwrap();
    let text = time.replace_all(&text, "<time>");
    let commit = regex::Regex::new(r"\b[0-9a-f]{9}\b").unwrap();
    (output.status.code(), commit.replace_all(&text, "<commit>").into_owned())
}

#[test]
fn how_it_was_and_what_changed_since_is_told() {
    let (repo, folder) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.write("README", "shop").commit("nothing yet");
    let mut host = Host::new(repo.path(), &receiver(folder.path()));
    host.start();
    let first = roll_out(&host, &repo, "web", 1);
    let second = roll_out(&host, &repo, "web", 2);
    let last = roll_out(&host, &repo, "api", 3);
    let point = first.seq.to_string();
    let (code, text) = shown(&host, &["status", "--at", &point]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("as it was at record {point}, <time>")), "{text}");
    assert!(text.contains("revision 1") && !text.contains("revision 2"), "{text}");
    assert!(!text.contains("shop/api"), "{text}");
    let (_, json) = shown(&host, &["status", "--at", &point, "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["past"], &json["asOf"]["record"]), (&true.into(), &first.seq.0.into()));
    // A time means the last record up to it.
    let by_time = shown(&host, &["status", "--at", &second.at.to_string(), "shop/web"]).1;
    assert!(by_time.contains("revision 2"), "{by_time}");

    let (code, text) = shown(&host, &["diff", "--at", &point]);
    assert_eq!(code, Some(2), "{text}");
    let (_, text) = shown(&host, &["diff", "--at", &point, "--to", &last.seq.to_string()]);
    let text = text.replace(&format!("record {}", last.seq), "record <last>");
    insta::assert_snapshot!("diff_at", text.replace(&format!("record {point}"), "record <first>"));
    let (code, text) = shown(&host, &["diff", "--at", &point, "--to", &point]);
    assert!(text.ends_with("nothing changed\n"), "{text}");
    assert_eq!(code, Some(0));
    let (code, json) = shown(&host, &["diff", "--at", &point, "-o", "json"]);
    assert_eq!(code, Some(2), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["appeared"], serde_json::json!(["DeploymentConfig/shop/api"]));
    refusals(&host, &point);
    host.stop();
}

/// Points that are not there are answered with those that are.
fn refusals(host: &Host, point: &str) {
    let refused = |args: &[&str]| {
        let (code, text) = shown(host, args);
        assert_eq!(code, Some(1), "{text}");
        text
    };
    let text = refused(&["status", "--at", "9999"]);
    assert!(text.contains("there is no record 9999: the journal ends at record"), "{text}");
    let text = refused(&["diff", "--at", "2001-01-01"]);
    insta::assert_snapshot!(text, @"error: <time> is older than the journal; the oldest point that is possible is record 1 of <time>");
    let text = refused(&["diff", "--at", "99999h"]);
    assert!(text.contains("ago (<time>) is older than the journal"), "{text}");
    let text = refused(&["diff", "--at", point, "--to", "1"]);
    assert!(text.contains("give the earlier one first"), "{text}");
    assert_eq!(shown(host, &["diff", "--to", "1"]).0, Some(64));
    assert_eq!(shown(host, &["diff", "HEAD", "--at", "1"]).0, Some(64));
    assert_eq!(shown(host, &["status", "--at", "soon"]).0, Some(64));
}

#[test]
fn where_the_mirror_is_gone_the_state_of_then_says_so() {
    let (repo, folder) = (Repo::new(), tempfile::tempdir().unwrap());
    let mut host = Host::new(repo.path(), &receiver(folder.path()));
    repo.write("README", "shop").commit("nothing yet");
    host.start();
    let first = roll_out(&host, &repo, "web", 1);
    host.stop();
    std::fs::remove_dir_all(host.state().join("mirror.git")).unwrap();
    std::fs::remove_dir_all(repo.path()).unwrap();
    let (code, text) = shown(&host, &["status", "--at", &first.seq.to_string()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("what it asks for is not shown"), "{text}");
    assert!(text.contains("revision 1"), "{text}");
}

#[test]
fn a_log_follows_the_daemon() {
    let (repo, folder) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.write("README", "shop").commit("nothing yet");
    let mut host = Host::new(repo.path(), &receiver(folder.path()));
    host.start();
    let first = roll_out(&host, &repo, "web", 1);
    let args =
        ["journal", "log", "-f", "-n", "1", "--kind", "RolloutFinished", "dc/web", "-N", "shop"];
    let mut follower = host.tidegate(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut is_shown = |record: &Record| {
        let line = lines.next().unwrap().unwrap();
        let expected = format!("{}  {}  RolloutFinished", record.seq, record.at);
        assert!(line.starts_with(&expected), "{line}");
    };
    is_shown(&first); // only then it is known to follow
    let second = roll_out(&host, &repo, "web", 2);
    is_shown(&second);
    follower.kill().unwrap();
    follower.wait().unwrap();
    host.stop();
}

fn keys(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("deliveries")).unwrap();
    text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

/// Starts on what was put in place, and shows that no key is given twice.
fn no_key_comes_twice(host: &mut Host, repo: &Repo, folder: &Path) {
    let before = keys(folder);
    host.start();
    host.wait_for("the loss", |fact| matches!(fact, Fact::RecordsLost(_)));
    eventually("the mark to go", || (!host.state().join("records-lost").exists()).then_some(()));
    roll_out(host, repo, "web", 9);
    host.stop();
    let after = keys(folder);
    let new: Vec<_> = after[before.len()..].to_vec();
    assert!(!new.is_empty() && new.iter().all(|key| key.contains('+')), "{after:?}");
    host.start();
    roll_out(host, repo, "web", 10);
    host.stop();
    assert_eq!(host.count(|fact| matches!(fact, Fact::RecordsLost(_))), 1, "it is said once");
}

#[test]
fn a_backup_of_a_running_daemon_is_restored_without_a_key_that_comes_twice() {
    let (repo, folder) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.write("README", "shop").commit("nothing yet");
    let mut host = Host::new(repo.path(), &receiver(folder.path()));
    host.start();
    roll_out(&host, &repo, "web", 1);
    let copy = host.path("backup");
    let copy = copy.to_str().unwrap();
    assert_eq!(shown(&host, &["journal", "backup", copy]).0, Some(0));
    roll_out(&host, &repo, "web", 2);
    let (code, text) = shown(&host, &["journal", "backup", copy]);
    assert!(text.contains("an earlier backup there ended at record"), "{text}");
    assert_eq!(code, Some(0), "{text}");
    roll_out(&host, &repo, "web", 3); // this one is lost
    let (code, text) = shown(&host, &["journal", "restore", copy]);
    assert!(code == Some(1) && text.contains("is in use by process"), "{text}");
    host.stop();
    std::fs::remove_dir_all(host.state()).unwrap();
    let (code, text) = shown(&host, &["journal", "restore", copy]);
    assert_eq!(code, Some(0), "{text}");
    no_key_comes_twice(&mut host, &repo, folder.path());
}

#[test]
fn a_salvaged_journal_goes_on_without_a_key_that_comes_twice() {
    let (repo, folder) = (Repo::new(), tempfile::tempdir().unwrap());
    repo.write("README", "shop").commit("nothing yet");
    let mut host = Host::new(repo.path(), &receiver(folder.path()));
    host.start();
    roll_out(&host, &repo, "web", 1);
    roll_out(&host, &repo, "web", 2);
    host.stop();
    let path = host.state().join("journal/00000000000000000001.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.rfind("\"RolloutStarted\"").unwrap();
    let damaged =
        text[..at].to_owned() + &text[at..].replacen("\"revision\":2", "\"revision\":7", 1);
    std::fs::write(&path, damaged).unwrap();
    let refused = host.run(&["run"]);
    let refused = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.contains("`tidegate journal salvage` keeps what is proven"), "{refused}");
    let new = host.path("salvaged");
    let (code, text) = shown(&host, &["journal", "salvage", "--to", new.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("RolloutStarted     DeploymentConfig/shop/web revision 7"), "{text}");
    std::fs::rename(host.state(), host.path("damaged")).unwrap();
    std::fs::rename(&new, host.state()).unwrap();
    no_key_comes_twice(&mut host, &repo, folder.path());
}
