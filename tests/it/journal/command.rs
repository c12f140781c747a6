//! `tidegate journal verify`.

use std::fs;
use std::path::Path;
use std::process::Command;

use tidegate::fact::{Fact, Record, StopStarted};
use tidegate::journal::ObjectStore;
use tidegate::names::{Incarnation, Seq};
use tidegate::time::Timestamp;

use super::{PLAIN, edit, journal_of, open_with, records, segments};

/// Runs the command; its exit code and what it printed, with the state directory as `<state>`.
fn verify(root: &Path, more: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["journal", "verify", "--state-dir"])
        .arg(root)
        .args(more)
        .env_clear()
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap().replace(&root.display().to_string(), "<state>");
    (output.status.code().unwrap(), text)
}

/// A journal of four records, the last of which names an object.
fn journal() -> tempfile::TempDir {
    let root = journal_of(PLAIN, &[records(1..=3)]);
    let (mut journal, _) = open_with(root.path(), PLAIN).unwrap();
    let manifest = journal.objects().put(b"kind: Deployment").unwrap();
    let fact = Fact::StopStarted(StopStarted {
        object: "Deployment/shop/web".parse().unwrap(),
        incarnation: Incarnation(1),
        rollout: Seq(3),
        manifest,
        target: "local".parse().unwrap(),
        epoch: None,
    });
    journal.append(&[Record { seq: Seq(4), at: Timestamp::EPOCH, fact }]).unwrap();
    journal.write_snapshot(Seq(4), "four").unwrap();
    root
}

#[test]
fn a_whole_journal_is_proven_while_it_is_open() {
    let root = journal();
    let (_journal, _) = open_with(root.path(), PLAIN).unwrap();
    let (code, text) = verify(root.path(), &[]);
    insta::assert_snapshot!(text, @r"
    proven: records 1 to 4 (4 in 2 files), last hash 5a3b0f916bd1ed3bc3cba3edf434fab9
    proven: 1 objects, 1 snapshots
    ");
    assert_eq!(code, 0);
}

#[test]
fn the_first_bad_line_is_named() {
    let root = journal();
    edit(&segments(root.path())[0], "for the 2. time", "for the 9. time");
    let (code, text) = verify(root.path(), &[]);
    insta::assert_snapshot!(text, @"
    damaged: `<state>/journal/00000000000000000001.jsonl`, line 4 (byte 259, record 2): the hash does not fit the line and the one before it (stated d117ed24eb96d1c7b0b8816792c1fb4b, computed 51b597cf42f136d617e18dd3af0a10d0). Records before it are proven, it and what follows are not: put the file back from a backup
    proven: records 1 to 1 (1 in 1 files), last hash 22eeb194494bbe682bee51b542cc8866
    proven: 0 objects, 0 snapshots
    ");
    assert_eq!(code, 1);
}

#[test]
fn every_bad_object_and_snapshot_is_named_in_json() {
    let root = journal();
    let store = ObjectStore::at(root.path());
    let hash = store.put(b"kind: Deployment").unwrap().to_string();
    fs::remove_file(root.path().join("objects").join(&hash[..2]).join(&hash[2..])).unwrap();
    edit(&root.path().join("journal/snapshot-00000000000000000004.json"), "four", "five");
    let (code, text) = verify(root.path(), &["--format", "json"]);
    assert_eq!(code, 1);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["formatVersion"], 1);
    assert_eq!(report["ok"], false);
    let findings = report["proof"]["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 2, "{text}");
    let message = |index: usize| findings[index]["message"].as_str().unwrap();
    assert!(message(0).contains("the snapshot cannot be used"), "{text}");
    assert!(message(1).starts_with(&format!("record 4: object {hash} is not")), "{text}");
    assert_eq!(findings[1]["seq"], 4);
    assert_eq!(report["proof"]["records"], 4);
}

#[test]
fn what_cannot_be_read_is_not_called_damaged() {
    let root = tempfile::tempdir().unwrap();
    let (code, text) = verify(root.path(), &[]);
    insta::assert_snapshot!(text, @"
    error: cannot verify the journal in `<state>`
      caused by: cannot list `<state>/journal`
      caused by: No such file or directory (os error 2)
    ");
    assert_eq!(code, 4);
    let root = journal();
    edit(&segments(root.path())[0], "\"format\":1", "\"format\":3");
    let (code, text) = verify(root.path(), &[]);
    assert!(text.contains("newer version"), "{text}");
    assert_eq!(code, 4);
}

#[test]
fn an_unfinished_write_is_a_note() {
    let root = journal();
    let path = segments(root.path()).pop().unwrap();
    let text = fs::read(&path).unwrap();
    super::put(&path, &[&text[..], b" \n{\"seq\":5,\"at\":\"20"].concat());
    let (code, text) = verify(root.path(), &[]);
    assert!(text.contains("note: an unfinished write of 17 bytes"), "{text}");
    assert_eq!(code, 0);
}
