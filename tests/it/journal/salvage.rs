//! `tidegate journal salvage`.

use std::fs;
use std::path::Path;

use super::{PLAIN, directory, drop_before, edit, put, reopen, run, segments, with_snapshots};

/// Salvages into a new directory, which is shown as `<new>`.
fn salvage(root: &Path, more: &[&str]) -> (i32, String, tempfile::TempDir) {
    let folder = directory();
    let new = folder.path().join("new");
    let shown = new.display().to_string();
    let before = contents(root);
    let (code, text) = run(root, &[&["journal", "salvage", "--to", &shown], more].concat());
    assert_eq!(contents(root), before, "the original is not touched");
    (code, text.replace(&shown, "<new>"), folder)
}

fn contents(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(root.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    all.sort();
    all
}

/// The records of what was written, once it was opened as a start does.
fn opened(folder: &tempfile::TempDir) -> (Option<String>, Vec<u64>) {
    let root = folder.path().join("new");
    let mut state = None;
    let mut seqs = Vec::new();
    let (_, warnings) =
        tidegate::journal::Journal::open_with(super::disk::NoSync, &root, PLAIN, &mut |replay| {
            match replay {
                tidegate::journal::Replay::Snapshot(snapshot) => state = Some(snapshot.seq()),
                tidegate::journal::Replay::Record(record) => seqs.push(record.seq.0),
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(warnings, []);
    assert!(root.join("records-lost").exists());
    (state.map(|seq| seq.to_string()), seqs)
}

#[test]
fn what_is_before_the_damage_is_kept_and_what_is_behind_is_listed() {
    let root = with_snapshots(12, &[4]);
    edit(&segments(root.path())[1], "for the 10. time", "for the 99. time");
    let (code, text, new) = salvage(root.path(), &[]);
    insta::assert_snapshot!("salvage", text);
    assert_eq!(code, 0);
    assert_eq!(opened(&new), (Some("4".to_owned()), (5..=9).collect()));
    let (_, text, _) = salvage(root.path(), &["-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["formatVersion"], 1);
    assert_eq!((&report["last"], &report["lost"]), (&9.into(), &12.into()), "{text}");
    assert_eq!(report["unproven"].as_array().unwrap().len(), 3, "{text}");
}

#[test]
fn a_journal_that_opens_is_not_salvaged() {
    let root = with_snapshots(12, &[4]);
    let (code, text, _) = salvage(root.path(), &[]);
    assert_eq!(code, 1);
    assert!(text.contains("the journal in `<state>` opens as it is"), "{text}");
    // Damage that is older than the snapshot that a start begins with.
    edit(&segments(root.path())[0], "for the 2. time", "for the 9. time");
    let (code, text, _) = salvage(root.path(), &[]);
    assert_eq!(code, 1);
    assert!(text.contains("opens as it is"), "{text}");
}

#[test]
fn a_snapshot_behind_older_damage_reaches_farther() {
    let root = with_snapshots(12, &[4, 8]);
    edit(&segments(root.path())[0], "for the 2. time", "for the 9. time");
    edit(&segments(root.path())[2], "for the 11. time", "for the 99. time");
    let (code, text, new) = salvage(root.path(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("kept: everything up to record 10 "), "{text}");
    assert!(text.contains("from the snapshot at record 4, which stands for all before"), "{text}");
    assert_eq!(opened(&new), (Some("8".to_owned()), vec![9, 10]));
}

#[test]
fn a_snapshot_in_the_middle_of_a_file_is_a_beginning() {
    // Its file is damaged before it: only the chain from the snapshot on proves what follows.
    let root = with_snapshots(8, &[4]);
    reopen(root.path(), PLAIN).append(&super::records(9..=10)).unwrap();
    let paths = segments(root.path());
    let [first, second] = [0, 1].map(|n: usize| fs::read_to_string(&paths[n]).unwrap());
    let behind = second.split_once('\n').unwrap().1;
    put(&paths[0], format!("{}{behind}", first.replace("the 2. time", "the 9. time")).as_bytes());
    fs::remove_file(&paths[1]).unwrap();
    let (code, text, new) = salvage(root.path(), &[]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(opened(&new), (Some("4".to_owned()), (5..=10).collect()));
}

#[test]
fn files_that_are_missing_at_the_end_leave_the_snapshot() {
    let root = with_snapshots(12, &[4, 8]);
    for path in &segments(root.path())[1..] {
        fs::remove_file(path).unwrap();
    }
    let (code, text, new) = salvage(root.path(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("kept: everything up to record 8 "), "{text}");
    assert!(text.contains("lost: whatever followed record 8"), "{text}");
    assert_eq!(opened(&new), (Some("8".to_owned()), vec![]));
}

#[test]
fn a_damaged_header_and_junk_between_lines_cost_nothing() {
    let root = with_snapshots(12, &[4]);
    let paths = segments(root.path());
    let text = fs::read_to_string(&paths[1]).unwrap().replace("\"format\":1", "\"format\":?");
    put(&paths[1], text.replacen("\n{\"seq\":7", "\njunk\n{\"seq\":7", 1).as_bytes());
    let (code, text, new) = salvage(root.path(), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("kept: everything up to record 12 "), "{text}");
    assert_eq!(opened(&new), (Some("4".to_owned()), (5..=12).collect()));
}

#[test]
fn what_retention_cut_is_salvaged_from_its_base() {
    let root = with_snapshots(16, &[4, 8]);
    drop_before(root.path(), 5);
    edit(&segments(root.path())[1], "for the 15. time", "for the 99. time");
    let (code, text, new) = salvage(root.path(), &[]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(opened(&new), (Some("8".to_owned()), (9..=14).collect()));
    let (_, text) = run(&new.path().join("new"), &["journal", "verify"]);
    assert!(text.contains("proven: records 5 to 14"), "{text}");
}

#[test]
fn an_object_that_is_missing_is_said_to_be_lost() {
    let root = with_snapshots(12, &[]);
    edit(&segments(root.path())[0], "for the 10. time", "for the 99. time");
    for shard in fs::read_dir(root.path().join("objects")).unwrap() {
        fs::remove_dir_all(shard.unwrap().path()).unwrap();
    }
    let (code, text, _new) = salvage(root.path(), &[]);
    assert!(text.contains("lost: object "), "{text}");
    assert_eq!(code, 1, "{text}");
}

#[test]
fn where_nothing_is_proven_nothing_is_written() {
    let root = with_snapshots(6, &[]);
    edit(&segments(root.path())[0], "for the 1. time", "for the 9. time");
    let (code, text, new) = salvage(root.path(), &[]);
    assert_eq!(code, 1);
    assert!(text.contains("nothing in `<state>` is proven"), "{text}");
    assert!(!new.path().join("new").exists());
    let (code, text) = run(root.path(), &["journal", "salvage"]);
    assert_eq!(code, 64, "{text}");
}
