//! `tidegate journal verify`.

use std::fs;
use std::path::Path;

use tidegate::journal::ObjectStore;
use tidegate::names::Seq;
use tidegate::observed::ObservedState;

use super::{PLAIN, drop_before, edit, record, reopen, run, segments, with_snapshots};

fn verify(root: &Path, more: &[&str]) -> (i32, String) {
    run(root, &[&["journal", "verify"], more].concat())
}

/// A journal of four records, the last of which names an object.
fn journal() -> tempfile::TempDir {
    with_snapshots(4, &[4])
}

#[test]
fn a_whole_journal_is_proven_while_it_is_open() {
    let root = journal();
    let _journal = reopen(root.path(), PLAIN);
    let (code, text) = verify(root.path(), &[]);
    insta::assert_snapshot!(text, @r"
    proven: records 1 to 4 (4 in 2 files), from the beginning; last hash a273b1fe814bda2092e0ad8d02a2bfbd
    proven: 1 object, 1 snapshot; 1 of them proven by the records before
    ");
    assert_eq!(code, 0);
}

#[test]
fn the_first_bad_line_is_named() {
    let root = journal();
    edit(&segments(root.path())[0], "for the 2. time", "for the 9. time");
    let (code, text) = verify(root.path(), &[]);
    insta::assert_snapshot!(text, @"
    damaged: `<state>/journal/00000000000000000001.jsonl`, line 5 (byte 261, record 2): the hash does not fit the line and the one before it (stated d117ed24eb96d1c7b0b8816792c1fb4b, computed 51b597cf42f136d617e18dd3af0a10d0). Records before it are proven, it and what follows are not: put the file back from a backup, or the whole of it with `tidegate journal restore`; without one, `tidegate journal salvage` keeps what is proven
    proven: records 1 to 1 (1 in 1 file), from the beginning; last hash 22eeb194494bbe682bee51b542cc8866
    proven: 0 objects, no snapshot
    ");
    assert_eq!(code, 1);
}

#[test]
fn every_bad_object_and_snapshot_is_named_in_json() {
    let root = journal();
    let store = ObjectStore::at(root.path());
    let hash = store.put(b"manifest 4").unwrap().to_string();
    fs::remove_file(root.path().join("objects").join(&hash[..2]).join(&hash[2..])).unwrap();
    edit(
        &root.path().join("journal/snapshot-00000000000000000004.json"),
        "\"last_seq\":4",
        "\"last_seq\":5",
    );
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

#[test]
fn a_snapshot_is_compared_with_what_the_records_give() {
    let root = with_snapshots(8, &[4, 8]);
    let (code, text) = verify(root.path(), &[]);
    assert!(text.contains("2 snapshots; 2 of them proven"), "{text}");
    assert_eq!(code, 0);
    // One that is whole and belongs here, and says something else.
    let root = with_snapshots(6, &[4]);
    let mut journal = reopen(root.path(), PLAIN);
    journal.append(&[record(7)]).unwrap();
    let state = ObservedState { last_seq: Seq(7), ..ObservedState::default() };
    journal.write_snapshot(Seq(7), &state).unwrap();
    drop(journal);
    let (code, text) = verify(root.path(), &[]);
    insta::assert_snapshot!(text.lines().next().unwrap(), @"damaged: `<state>/journal/snapshot-00000000000000000007.json`: the state in the snapshot is not what the records up to it give. Move it away: the next start takes an older one, or the records");
    assert!(text.contains("2 snapshots; 1 of them proven"), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn a_journal_that_retention_cut_says_how_far_back_it_proves() {
    let root = with_snapshots(12, &[4, 8]);
    drop_before(root.path(), 5);
    let (code, text) = verify(root.path(), &[]);
    insta::assert_snapshot!(text, @"
    proven: records 5 to 12 (8 in 2 files), which continue from hash a273b1fe814bda2092e0ad8d02a2bfbd; last hash 090be15f17b481593e8bf715c5cc2f2f
    proven: 3 objects, 2 snapshots; 1 of them proven by the records before
    ");
    assert_eq!(code, 0);
    // Without the state before it, what was dropped is missing.
    fs::remove_file(root.path().join("journal/snapshot-00000000000000000004.json")).unwrap();
    fs::remove_file(root.path().join("journal/snapshot-00000000000000000008.json")).unwrap();
    let (code, text) = verify(root.path(), &[]);
    assert!(text.contains("records 1 to 4 of the journal"), "{text}");
    assert_eq!(code, 1);
}
