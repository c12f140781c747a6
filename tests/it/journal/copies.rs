//! `tidegate journal backup` and `restore`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tidegate::fact::{Fact, Record};
use tidegate::names::Seq;

use super::{
    PLAIN, SMALL, directory, drop_before, edit, record, records, reopen, run, segments, stop,
    with_snapshots,
};

fn copy(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("copy")
}

/// Runs a command about a copy, which is shown as `<copy>`.
fn about(root: &Path, words: &[&str], copy: &Path) -> (i32, String) {
    let shown = copy.display().to_string();
    let (code, text) = run(root, &[&["journal"], words, &[&shown]].concat());
    (code, text.replace(&shown, "<copy>"))
}

fn read(root: &Path) -> Vec<Record> {
    tidegate::journal::read(root).unwrap().map(Result::unwrap).collect()
}

#[test]
fn a_backup_is_a_whole_journal_and_the_next_one_copies_what_is_new() {
    let (root, folder) = (with_snapshots(10, &[6]), directory());
    let copy = copy(&folder);
    let mut journal = reopen(root.path(), PLAIN); // it runs meanwhile
    let (code, text) = about(root.path(), &["backup"], &copy);
    insta::assert_snapshot!("backup", text);
    assert_eq!(code, 0);
    assert_eq!(read(&copy), read(root.path()));
    let record = stop(&journal, 11);
    journal.append(&[record]).unwrap();
    let (code, text) = about(root.path(), &["backup"], &copy);
    assert!(text.contains("written: 1 file, 1 object"), "{text}");
    assert!(text.contains("an earlier backup there ended at record 10"), "{text}");
    assert_eq!(code, 0);
    assert_eq!(read(&copy), read(root.path()));
    let (code, text) = about(root.path(), &["backup", "-o", "json"], &copy);
    assert_eq!(code, 0, "{text}");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["formatVersion"], 1);
    assert_eq!((&report["files"], &report["record"]), (&0.into(), &11.into()), "{text}");
}

#[test]
fn a_backup_goes_on_where_retention_has_cut() {
    let (root, folder) = (with_snapshots(12, &[4, 8]), directory());
    let copy = copy(&folder);
    assert_eq!(about(root.path(), &["backup"], &copy).0, 0);
    drop_before(root.path(), 9);
    fs::remove_file(root.path().join("journal/snapshot-00000000000000000004.json")).unwrap();
    let mut journal = reopen(root.path(), PLAIN);
    journal.append(&records(13..=14)).unwrap();
    let (code, text) = about(root.path(), &["backup"], &copy);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("proven: records 1 to 14"), "the copy keeps what it has: {text}");
    // A new one has the state before its oldest record, and not more.
    let fresh = folder.path().join("fresh");
    let (code, text) = about(root.path(), &["backup"], &fresh);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("proven: records 9 to 14"), "{text}");
    assert!(text.contains("1 snapshot; 0 of them"), "{text}");
}

#[test]
fn a_backup_is_not_made_where_it_would_harm() {
    let (root, folder) = (with_snapshots(6, &[]), directory());
    let copy = copy(&folder);
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("mine"), "").unwrap();
    let refusal = |root: &Path, copy: &Path| {
        let (code, text) = about(root, &["backup"], copy);
        assert_eq!(code, 1, "{text}");
        text.lines().last().unwrap().to_owned()
    };
    insta::assert_snapshot!(refusal(root.path(), &copy), @"  caused by: `<copy>` is not empty, and no backup of tidegate is in it; name a directory that is new, empty, or holds an earlier backup of this journal");
    // Neither into another state directory nor into itself.
    let other = with_snapshots(3, &[]);
    assert!(refusal(root.path(), other.path()).contains("is not empty"));
    assert!(refusal(root.path(), root.path()).contains("is not empty"));
    fs::remove_file(copy.join("mine")).unwrap();
    assert_eq!(about(root.path(), &["backup"], &copy).0, 0);
    insta::assert_snapshot!(refusal(other.path(), &copy), @"  caused by: the backup in `<copy>` ends at record 6, and the journal at record 3: records of the journal are missing, and the backup has them");
    let other = super::journal_of(PLAIN, &[records(1..=1), records(2..=9)]);
    insta::assert_snapshot!(refusal(other.path(), &copy), @"  caused by: the backup in `<copy>` is of another journal: its record 6 is not the one with this number here; back up into another directory");
    assert_eq!(read(&copy), read(root.path()), "nothing was changed");
    let later = with_snapshots(20, &[12, 16]);
    drop_before(later.path(), 13);
    insta::assert_snapshot!(refusal(later.path(), &copy), @"  caused by: the backup in `<copy>` ends at record 6, and the journal now begins at record 13; back up into another directory");
}

#[test]
fn a_journal_that_is_not_whole_is_not_backed_up() {
    let (root, folder) = (with_snapshots(6, &[]), directory());
    let objects = root.path().join("objects");
    let object = fs::read_dir(&objects).unwrap().next().unwrap().unwrap().path();
    fs::remove_dir_all(&object).unwrap();
    let (code, text) = about(root.path(), &["backup"], &copy(&folder));
    assert_eq!(code, 1);
    assert!(text.contains("record 4 names an object that cannot be copied"), "{text}");
    edit(&segments(root.path())[0], "for the 2. time", "for the 9. time");
    let (code, text) = about(root.path(), &["backup"], &folder.path().join("other"));
    assert_eq!(code, 1);
    assert!(text.contains("the journal is damaged"), "{text}");
}

#[test]
fn a_backup_of_a_journal_that_grows_and_shrinks_is_whole() {
    let (root, folder) = (directory(), directory());
    let mut journal = reopen(root.path(), SMALL);
    let mut state = tidegate::observed::ObservedState::default();
    let (mut cut, mut base) = (Instant::now(), 0);
    let mut append = |seq: u64| {
        let record = if seq.is_multiple_of(4) { stop(&journal, seq) } else { record(seq) };
        journal.append(std::slice::from_ref(&record)).unwrap();
        state.apply(&record);
        // Snapshots, and retention, as often as a backup can bear: what is behind the older of two stays.
        if seq == 30 || cut.elapsed() > Duration::from_millis(500) {
            journal.write_snapshot(Seq(seq), &state).unwrap();
            drop_before(root.path(), std::mem::replace(&mut base, seq) + 1);
            cut = Instant::now();
        }
    };
    (1..=60).for_each(&mut append);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let backups = scope.spawn(|| {
            let mut texts = Vec::new();
            for n in 0..5 {
                let copy = folder.path().join(format!("copy{n}"));
                texts.push(about(root.path(), &["backup"], &copy));
            }
            done.store(true, std::sync::atomic::Ordering::Release);
            texts
        });
        let mut seq = 60;
        while !done.load(std::sync::atomic::Ordering::Acquire) {
            seq += 1;
            append(seq);
            // As fast as a busy daemon, not as fast as the processor.
            std::thread::park_timeout(Duration::from_millis(1));
        }
        for (code, text) in backups.join().unwrap() {
            assert_eq!(code, 0, "{text}");
        }
    });
}

#[test]
fn a_backup_is_restored_into_a_state_directory_without_a_journal() {
    let (root, folder) = (with_snapshots(10, &[6]), directory());
    let copy = copy(&folder);
    assert_eq!(about(root.path(), &["backup"], &copy).0, 0);
    let (code, text) = about(root.path(), &["restore"], &copy);
    assert_eq!(code, 1);
    insta::assert_snapshot!(text, @"
    error: cannot restore the backup in `<copy>`
      caused by: there is a journal in `<state>` already; nothing was changed. Move `journal` and `objects` away first, if it is to be replaced
    ");
    let empty = directory();
    let (code, text) = about(empty.path(), &["restore"], &copy);
    insta::assert_snapshot!("restore", text);
    assert_eq!(code, 0);
    assert_eq!(read(empty.path()), read(root.path()));
    assert!(empty.path().join("records-lost").exists());
    // What is damaged is not put in place.
    let other = directory();
    edit(&segments(&copy)[0], "for the 2. time", "for the 9. time");
    let (code, text) = about(other.path(), &["restore"], &copy);
    assert_eq!(code, 1);
    assert!(text.contains("1 thing is wrong in `<copy>`"), "{text}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 0);
    let (code, text) = about(other.path(), &["restore"], &folder.path().join("nowhere"));
    assert_eq!(code, 1);
    assert!(text.contains("cannot list"), "{text}");
}

#[test]
fn a_restore_that_was_interrupted_is_begun_again() {
    let (root, folder) = (with_snapshots(10, &[6]), directory());
    let copy = copy(&folder);
    assert_eq!(about(root.path(), &["backup"], &copy).0, 0);
    let state = directory();
    fs::create_dir_all(state.path().join("journal-new")).unwrap();
    fs::write(state.path().join("journal-new/00000000000000000009.jsonl"), "half").unwrap();
    fs::create_dir(state.path().join("journal")).unwrap();
    let (code, text) = about(state.path(), &["restore"], &copy);
    assert_eq!(code, 0, "{text}");
    assert!(!state.path().join("journal-new").exists());
    assert_eq!(read(state.path()).len(), 10);
    let is_stop = |record: &&Record| matches!(record.fact, Fact::StopStarted(_));
    assert_eq!(read(state.path()).iter().filter(is_stop).count(), 2);
}

#[test]
fn a_backup_is_not_mixed_with_the_same_records_in_other_files() {
    let batches: Vec<_> = (1..=30).map(|seq| records(seq..=seq)).collect();
    let (root, folder) = (super::journal_of(SMALL, &batches), directory());
    let copy = copy(&folder);
    assert_eq!(about(root.path(), &["backup"], &copy).0, 0);
    let before = segments(&copy);
    // As a salvage writes them: the head is the same, the files are not.
    let whole: Vec<_> = (1..=31).map(|seq| records(seq..=seq)).collect();
    let salvaged = super::journal_of(PLAIN, &whole);
    let (code, text) = about(salvaged.path(), &["backup"], &copy);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("has the same records in other files"), "{text}");
    assert_eq!(segments(&copy), before);
    assert_eq!(run(&copy, &["journal", "verify"]).0, 0);
}

#[test]
fn a_damaged_object_in_the_way_is_replaced_by_a_whole_one() {
    let (root, folder) = (with_snapshots(10, &[6]), directory());
    let copy = copy(&folder);
    assert_eq!(about(root.path(), &["backup"], &copy).0, 0);
    let damage = |root: &Path| {
        let shard = fs::read_dir(root.join("objects")).unwrap().next().unwrap().unwrap().path();
        let object = fs::read_dir(shard).unwrap().next().unwrap().unwrap().path();
        fs::write(object, "damaged").unwrap();
    };
    damage(&copy);
    let (code, text) = about(root.path(), &["backup"], &copy);
    assert_eq!(code, 0, "{text}");
    damage(root.path());
    fs::remove_dir_all(root.path().join("journal")).unwrap();
    let (code, text) = about(root.path(), &["restore"], &copy);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_backup_that_was_ended_in_its_first_moments_is_begun_again() {
    let (root, folder) = (with_snapshots(6, &[]), directory());
    let copy = copy(&folder);
    fs::create_dir(&copy).unwrap();
    for leftover in ["lock", "records-lost.0-new"] {
        fs::write(copy.join(leftover), "").unwrap();
    }
    let (code, text) = about(root.path(), &["backup"], &copy);
    assert_eq!(code, 0, "{text}");
}

#[test]
fn a_backup_says_what_its_journal_said_of_lost_records() {
    let (root, folder) = (with_snapshots(6, &[]), directory());
    let copy = copy(&folder);
    fs::write(root.path().join("records-lost"), r#"{"last":22}"#).unwrap();
    for _ in 0..2 {
        assert_eq!(about(root.path(), &["backup"], &copy).0, 0);
        assert_eq!(fs::read_to_string(copy.join("records-lost")).unwrap(), r#"{"last":22}"#);
        fs::remove_file(root.path().join("records-lost")).ok();
    }
}

#[test]
fn neither_the_journal_itself_nor_a_link_is_a_place_for_a_copy() {
    let (root, folder) = (with_snapshots(6, &[]), directory());
    let (code, text) = about(root.path(), &["backup"], &root.path().join("journal/backup"));
    assert_eq!(code, 1, "{text}");
    let copy = copy(&folder);
    assert_eq!(about(root.path(), &["backup"], &copy).0, 0);
    let state = directory();
    fs::create_dir(state.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", state.path().join("journal")).unwrap();
    let (code, text) = about(state.path(), &["restore"], &copy);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is a symbolic link"), "{text}");
    assert!(!state.path().join("objects").exists(), "before anything is copied");
}
