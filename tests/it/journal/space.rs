//! A disk that runs full: what is kept ahead still takes records, and nothing is lost by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate::journal::{AppendError, Disk as _, Journal, Options};

use super::disk::Small;
use super::{directory, record};

const RESERVED: Options =
    Options { segment_bytes: 20_000, fill_bytes: 4_096, reserve_bytes: 8_192 };

fn open(
    disk: &Small,
    root: &std::path::Path,
) -> Result<(Journal<Small>, u64), tidegate::journal::JournalError> {
    let mut count = 0;
    let opened = Journal::open_with(disk.clone(), root, RESERVED, &mut |_| {
        count += 1;
        Ok(())
    });
    opened.map(|(journal, _)| (journal, count))
}

#[test]
fn a_full_disk_still_takes_what_is_kept_ahead() {
    let root = directory();
    let disk = Small { room: Arc::new(AtomicU64::new(1 << 20)) };
    let (mut journal, _) = open(&disk, root.path()).unwrap();
    journal.append(&[record(1)]).unwrap();
    assert!(journal.space().unwrap().free > 0);
    disk.room.store(0, Ordering::SeqCst);
    let mut seq = 1;
    let error = loop {
        match journal.append(&[record(seq + 1)]) {
            Ok(()) => seq += 1,
            Err(error) => break error,
        }
    };
    assert!(seq > 8_192 / 200, "only {seq} records fitted");
    assert!(matches!(error, AppendError::Full { .. }), "{error}");
    drop(journal);
    // A start finds all of it, and that the disk is full.
    let (mut journal, count) = open(&disk, root.path()).unwrap();
    assert_eq!(count, seq);
    assert_eq!(journal.space().unwrap().free, 0);
    assert!(journal.space().unwrap().is_short(false));
    // With space again it goes on by itself.
    disk.room.store(1 << 30, Ordering::SeqCst);
    assert!(!journal.space().unwrap().is_short(true));
    journal.append(&[record(seq + 1)]).unwrap();
}

#[test]
fn a_full_disk_goes_on_in_the_same_file() {
    let root = directory();
    let disk = Small { room: Arc::new(AtomicU64::new(1 << 20)) };
    let (mut journal, _) = open(&disk, root.path()).unwrap();
    let mut seq = 0;
    while disk
        .len(
            &disk
                .open(&super::segments(root.path())[0], tidegate::journal::disk::Access::Read)
                .unwrap(),
        )
        .unwrap()
        < 24_000
    {
        seq += 1;
        journal.append(&[record(seq)]).unwrap();
    }
    // Less than a file with what it keeps ahead: a file that is half begun would be in the way of the next start.
    disk.room.store(5_000, Ordering::SeqCst);
    while journal.append(&[record(seq + 1)]).is_ok() {
        seq += 1;
    }
    assert_eq!(super::segments(root.path()).len(), 1);
    drop(journal);
    assert_eq!(open(&disk, root.path()).unwrap().1, seq);
}

#[test]
fn a_piece_that_fits_is_used_where_the_whole_does_not() {
    let root = directory();
    let disk = Small { room: Arc::new(AtomicU64::new(1 << 20)) };
    let (mut journal, _) = open(&disk, root.path()).unwrap();
    disk.room.store(0, Ordering::SeqCst);
    let mut seq = 0;
    for _ in 0..30 {
        seq += 1;
        journal.append(&[record(seq)]).unwrap();
    }
    // Room for one page only: less than what is filled at once, enough for some records more.
    disk.room.store(4_096, Ordering::SeqCst);
    let before = seq;
    while journal.append(&[record(seq + 1)]).is_ok() {
        seq += 1;
    }
    assert!(seq > before + (8_192 + 4_096) / 200 - 30, "{before} and then {seq}");
    assert_eq!(disk.room.load(Ordering::SeqCst), 0);
}

#[test]
fn a_disk_that_is_emptied_is_not_full_for_ever_where_nothing_is_kept_ahead() {
    let root = directory();
    let disk = Small { room: Arc::new(AtomicU64::new(1 << 20)) };
    let options = Options { fill_bytes: 8_192, reserve_bytes: 0, ..RESERVED };
    let opened = Journal::open_with(disk.clone(), root.path(), options, &mut |_| Ok(()));
    let (mut journal, _) = opened.unwrap();
    // A page is all there is, and 8 KiB are wanted.
    disk.room.store(4_096, Ordering::SeqCst);
    journal.append(&[record(1)]).unwrap();
    assert!(journal.space().unwrap().is_short(false));
    disk.room.store(1 << 30, Ordering::SeqCst);
    assert!(journal.space().unwrap().free > 0);
}

#[test]
fn a_full_disk_begins_no_file_that_the_next_start_would_have_to_finish() {
    let root = directory();
    let disk = Small { room: Arc::new(AtomicU64::new(1 << 20)) };
    let (mut journal, _) = open(&disk, root.path()).unwrap();
    journal.append(&[record(1)]).unwrap();
    disk.room.store(0, Ordering::SeqCst);
    assert!(!journal.may_rotate());
    let error = journal.seal().unwrap_err();
    assert!(matches!(error, AppendError::Full { .. }), "{error}");
    journal.append(&[record(2)]).unwrap();
    assert_eq!(super::segments(root.path()).len(), 1);
    drop(journal);
    assert_eq!(open(&disk, root.path()).unwrap().1, 2);
}

#[test]
fn a_file_that_was_begun_on_a_disk_that_is_full_now_is_removed() {
    let root = directory();
    let disk = Small { room: Arc::new(AtomicU64::new(1 << 20)) };
    let (mut journal, _) = open(&disk, root.path()).unwrap();
    journal.append(&[record(1)]).unwrap();
    drop(journal);
    let begun = root.path().join("journal/00000000000000000002.jsonl");
    std::fs::write(&begun, "").unwrap();
    disk.room.store(0, Ordering::SeqCst);
    let (mut journal, count) = open(&disk, root.path()).unwrap();
    assert_eq!((count, begun.exists()), (1, false));
    journal.append(&[record(2)]).unwrap();
}
