//! What is read without the lock: refused where a start refuses, so that no state is shown that none proves.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate::fact::Record;
use tidegate::journal::{Journal, JournalError, read_state};
use tidegate::names::Seq;
use tidegate::observed::ObservedState;

use super::disk::NoSync;
use super::{
    PLAIN, directory, drop_before, open_with, put, record, reopen, run, shown, with_snapshots,
};

fn snapshot(root: &Path, seq: u64) -> PathBuf {
    root.join(format!("journal/snapshot-{seq:020}.json"))
}

/// Reads the state as commands do: the records behind the newest snapshot, to the end.
fn read_all(root: &Path) -> Result<Vec<Record>, JournalError> {
    read_state(root).and_then(|(_, reader)| reader.collect())
}

/// Shows that neither a start nor a reader goes on, and that both say the same.
fn refused_by_all(root: &Path) -> String {
    let reason = shown(&read_all(root).unwrap_err(), root);
    let start = Journal::open_with(NoSync, root, PLAIN, &mut |_| Ok(())).err().unwrap();
    let start = shown(&start, root);
    assert_eq!(reason, start);
    for args in [&["status"][..], &["history"], &["diff", "--at", "1"]] {
        let (code, text) = run(root, args);
        assert_eq!(code, 1, "{args:?}: {text}");
        assert!(!text.contains("panicked"), "{args:?}: {text}");
    }
    assert!(run(root, &["status"]).1.contains(&reason), "{}", run(root, &["status"]).1);
    reason
}

#[test]
fn without_the_state_before_the_oldest_record_there_is_none() {
    let root = with_snapshots(12, &[4, 8]);
    drop_before(root.path(), 5);
    for seq in [4, 8] {
        put(&snapshot(root.path(), seq), b"{}");
    }
    let reason = refused_by_all(root.path());
    assert!(
        reason.starts_with("records 1 to 4 of the journal in `<state>/journal` are"),
        "{reason}"
    );
    // What the records tell by themselves is shown all the same.
    let (code, text) = run(root.path(), &["journal", "log", "shop/web"]);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.starts_with("8 ") && text.contains("\n12 "), "{text}");
    assert_eq!(code, 0, "{text}");
}

/// A journal of 8 records with a snapshot at 4, and the snapshot at `seq` of another one.
fn with_a_foreign_snapshot(seq: u64) -> tempfile::TempDir {
    let root = with_snapshots(8, &[4]);
    let other = directory();
    let (mut journal, _) = open_with(other.path(), PLAIN).unwrap();
    let mut state = ObservedState::default();
    for seq in 1..=seq {
        let record = record(seq + 100);
        let record = Record { seq: Seq(seq), ..record };
        journal.append(std::slice::from_ref(&record)).unwrap();
        state.apply(&record);
    }
    journal.write_snapshot(Seq(seq), &state).unwrap();
    fs::copy(snapshot(other.path(), seq), snapshot(root.path(), seq)).unwrap();
    root
}

#[test]
fn the_state_of_another_journal_is_not_shown() {
    for seq in [6, 8] {
        let root = with_a_foreign_snapshot(seq);
        let reason = refused_by_all(root.path());
        assert!(reason.contains("they belong to different journals"), "{reason}");
    }
    // One that stands where a file begins.
    let root = with_snapshots(8, &[4]);
    let other = with_a_foreign_snapshot(4);
    fs::copy(snapshot(other.path(), 4), snapshot(root.path(), 4)).unwrap();
    refused_by_all(root.path());
}

#[test]
fn a_state_behind_the_last_record_is_not_shown() {
    let root = with_a_foreign_snapshot(9);
    let reason = refused_by_all(root.path());
    assert!(reason.contains("stands at record 9, but the journal ends at record 8"), "{reason}");
    // It was written when its records were there, whether it can be read or not.
    put(&snapshot(root.path(), 9), b"{}");
    refused_by_all(root.path());
    // Nor where nothing else is left.
    let root = with_snapshots(4, &[4]);
    drop_before(root.path(), 6);
    let reason = refused_by_all(root.path());
    assert!(reason.contains("stands at record 4, but the journal ends at record 0"), "{reason}");
}

#[test]
fn a_file_that_is_only_begun_behind_a_snapshot_is_no_loss() {
    let root = with_snapshots(4, &[4]);
    put(&root.path().join("journal/00000000000000000005.jsonl"), b"{\"tide");
    assert_eq!(read_all(root.path()).unwrap(), []);
    drop_before(root.path(), 5);
    assert_eq!(read_all(root.path()).unwrap(), []);
    let (code, text) = run(root.path(), &["status"]);
    assert_eq!(code, 0, "{text}");
    drop(reopen(root.path(), PLAIN));
}
