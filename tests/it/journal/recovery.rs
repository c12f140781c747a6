//! Each row of the table in the journal's documentation, and the laws of appending.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use tidegate::journal::{
    AppendError, From, Journal, Options, Reader, SnapshotError, read, read_state,
};
use tidegate::names::Seq;
use tidegate::observed::ObservedState;

use super::disk::{Failing, NoSync};
use super::{
    PLAIN, SMALL, edit, journal_of, open, open_with, put, record, records, segments, shown,
};

#[test]
fn an_empty_directory_begins_a_journal() {
    let root = tempfile::tempdir().unwrap();
    let state = root.path().join("var/lib/tidegate");
    let (mut journal, opened) = Journal::open(&state).unwrap();
    assert!(opened.records.is_empty() && opened.snapshot.is_none() && opened.warnings.is_empty());
    journal.append(&records(1..=2)).unwrap();
    journal.append(&[]).unwrap();
    journal.append(&records(3..=3)).unwrap();
    drop(journal);
    let (journal, opened) = Journal::open(&state).unwrap();
    assert_eq!(opened.records, records(1..=3));
    assert_eq!(opened.warnings, []);
    assert_eq!(journal.head().seq, Seq(3));
}

#[test]
fn a_torn_last_line_is_cut_with_a_warning() {
    let root = journal_of(PLAIN, &[records(1..=2), records(3..=3)]);
    let path = &segments(root.path())[0];
    let text = fs::read(path).unwrap();
    put(path, &text[..text.len() - 20]);
    let (mut journal, opening) = open_with(root.path(), PLAIN).unwrap();
    assert_eq!(opening.seqs(), [1, 2]);
    insta::assert_snapshot!(opening.warning().replace(&root.path().display().to_string(), "<state>"), @"the last write to the journal was interrupted: 147 bytes from `<state>/journal/00000000000000000001.jsonl`, line 6 (byte 428, record 3) on were cut off; nothing that was acted on is lost");
    journal.append(&records(3..=4)).unwrap();
    drop(journal);
    let opening = open(root.path()).unwrap();
    assert_eq!((opening.records, opening.warnings.len()), (records(1..=4), 0));
}

#[test]
fn a_line_without_its_newline_is_whole() {
    let root = journal_of(PLAIN, &[records(1..=3)]);
    let path = &segments(root.path())[0];
    let text = fs::read(path).unwrap();
    put(path, text.trim_ascii_end());
    let (mut journal, opening) = open_with(root.path(), PLAIN).unwrap();
    assert_eq!((opening.seqs(), opening.warnings.len()), (vec![1, 2, 3], 0));
    journal.append(&records(4..=4)).unwrap();
    drop(journal);
    assert_eq!(open(root.path()).unwrap().records, records(1..=4));
}

#[test]
fn files_of_somebody_else_are_left_alone() {
    let root = journal_of(PLAIN, &[records(1..=3)]);
    let names = ["00000000000000000000.jsonl", "00000000000000000004.j-new", "notes-new"];
    for name in names {
        put(&root.path().join("journal").join(name), b"{}");
    }
    let left = root.path().join("journal/snapshot-00000000000000000002.7-new");
    put(&left, b"{");
    assert_eq!(tidegate::journal::verify(root.path(), ObservedState::default).unwrap().records, 3);
    assert_eq!(open(root.path()).unwrap().records, records(1..=3));
    assert!(names.iter().all(|name| root.path().join("journal").join(name).exists()));
    assert!(!left.exists(), "what a snapshot left behind is ours");
}

#[test]
fn a_bad_line_before_good_ones_stops_the_start_and_changes_nothing() {
    let root = journal_of(PLAIN, &[records(1..=1), records(2..=4)]);
    let path = &segments(root.path())[0];
    edit(path, "for the 2. time", "for the 9. time");
    let before = fs::read(path).unwrap();
    let error = open(root.path()).unwrap_err();
    insta::assert_snapshot!(shown(&error, root.path()), @"the journal is damaged: `<state>/journal/00000000000000000001.jsonl`, line 5 (byte 261, record 2): the hash does not fit the line and the one before it (stated d117ed24eb96d1c7b0b8816792c1fb4b, computed 51b597cf42f136d617e18dd3af0a10d0); nothing was changed. Run `tidegate journal verify` to see how far it can be trusted, then put the file back from a backup (`tidegate journal restore` puts back all of it); without one, `tidegate journal salvage` keeps what is proven");
    assert_eq!(fs::read(path).unwrap(), before);
}

#[test]
fn a_bad_line_before_a_later_batch_is_damage_even_if_that_batch_is_lost() {
    let root = journal_of(PLAIN, &[records(1..=1), records(2..=2), records(3..=3)]);
    let path = &segments(root.path())[0];
    edit(path, "for the 2. time", "for the 9. time");
    edit(path, "{\"seq\":3", "nothing");
    assert!(open(root.path()).unwrap_err().to_string().contains("record 2"));
}

#[test]
fn a_line_that_was_taken_out_is_a_gap() {
    let root = journal_of(PLAIN, &[records(1..=4)]);
    let path = &segments(root.path())[0];
    let text = fs::read_to_string(path).unwrap();
    let kept: Vec<_> = text.lines().filter(|line| !line.contains("\"seq\":3")).collect();
    put(path, kept.join("\n").as_bytes());
    let error = open(root.path()).unwrap_err().to_string();
    assert!(error.contains("record 3 is due here, and this is record 4"), "{error}");
}

#[test]
fn a_line_with_a_right_hash_of_another_history_breaks_the_chain() {
    let root = journal_of(PLAIN, &[records(1..=3)]);
    let other = journal_of(PLAIN, &[vec![record(1)], vec![super::long_record(2, 9), record(3)]]);
    let (path, other) = (&segments(root.path())[0], &segments(other.path())[0]);
    let foreign = fs::read_to_string(other).unwrap();
    let foreign = foreign.lines().last().unwrap();
    let text = fs::read_to_string(path).unwrap();
    put(path, format!("{text}{foreign}\n").replace("\"seq\":3,", "\"seq\":3,").as_bytes());
    // Record 3 of the other journal behind our record 3: not due.
    assert!(open(root.path()).unwrap_err().to_string().contains("record 4 is due here"));
    let ours = text.lines().last().unwrap();
    put(path, text.replace(ours, foreign).as_bytes());
    let (_, opening) = open_with(root.path(), PLAIN).unwrap();
    // In place of it: the last line, whose hash does not fit, goes.
    assert_eq!((opening.seqs(), opening.warnings.len()), (vec![1, 2], 1));
}

/// Writes a file of one record whose hash is right whatever its text.
fn put_line(root: &std::path::Path, body: &str) {
    use sha2::Digest as _;
    let zeros = "0".repeat(32);
    let hash = hex::encode(sha2::Sha256::digest(format!("{zeros}{body}")));
    let header = format!(r#"{{"tidegate":"journal","format":1,"continues":"{zeros}","from":1}}"#);
    let text = format!("{header}\n \n{body},\"hash\":\"{}\"}}\n", &hash[..32]);
    fs::create_dir_all(root.join("journal")).unwrap();
    put(&root.join("journal/00000000000000000001.jsonl"), text.as_bytes());
}

#[test]
fn an_unknown_fact_was_written_by_a_newer_version() {
    let root = tempfile::tempdir().unwrap();
    put_line(
        root.path(),
        r#"{"seq":1,"at":"2026-11-21T01:02:03.004Z","fact":{"BuildStarted":{"build":"shop/web"}}"#,
    );
    let error = shown(&open(root.path()).unwrap_err(), root.path());
    assert!(error.contains("`<state>/journal/00000000000000000001.jsonl`, line 3"), "{error}");
    assert!(error.contains("the fact `BuildStarted` cannot be read"), "{error}");
    assert!(error.contains("written by a newer version of tidegate"), "{error}");
}

#[test]
fn an_unknown_field_was_written_by_a_newer_version() {
    let root = tempfile::tempdir().unwrap();
    put_line(
        root.path(),
        r#"{"seq":1,"at":"2026-11-21T01:02:03.004Z","fact":{"SourceFailed":{"message":"m","code":1}}"#,
    );
    let error = open(root.path()).unwrap_err().to_string();
    assert!(error.contains("`SourceFailed`") && error.contains("newer version"), "{error}");
}

#[test]
fn a_newer_format_was_written_by_a_newer_version() {
    let root = journal_of(PLAIN, &[records(1..=3)]);
    edit(&segments(root.path())[0], "\"format\":1", "\"format\":2,\"compressed\":true");
    let error = open(root.path()).unwrap_err().to_string();
    assert!(error.contains("format 2") && error.contains("newer version"), "{error}");
}

#[test]
fn files_follow_each_other_and_a_missing_one_is_named() {
    let batches: Vec<_> = (1..=40).map(|seq| vec![record(seq)]).collect();
    let root = journal_of(SMALL, &batches);
    let paths = segments(root.path());
    assert!(paths.len() > 3, "{paths:?}");
    assert_eq!(open(root.path()).unwrap().records, records(1..=40));
    let bytes = fs::read(&paths[1]).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    let error = shown(&open(root.path()).unwrap_err(), root.path());
    insta::assert_snapshot!(error, @"records 13 to 24 of the journal in `<state>/journal` are missing: a file was removed, or its end was; put it back from a backup; without one, `tidegate journal salvage` keeps what is proven");
    put(&paths[1], &bytes);
    let bytes = fs::read(&paths[0]).unwrap();
    fs::remove_file(&paths[0]).unwrap();
    let error = open(root.path()).unwrap_err().to_string();
    assert!(error.contains("records 1 to 12"), "{error}");
    // A file that lost its end is not a torn write: the next one was begun behind it.
    put(&paths[0], &bytes[..bytes.len() / 2]);
    assert!(open(root.path()).is_err());
}

/// Found by the simulator (seed 835): space whose filling was not synced shows zeros after a power cut, also where the
/// journal went on in another file meanwhile.
#[test]
fn zeros_at_the_end_of_a_file_that_another_follows_are_padding() {
    let batches: Vec<_> = (1..=40).map(|seq| vec![record(seq)]).collect();
    let root = journal_of(SMALL, &batches);
    let paths = segments(root.path());
    let bytes = fs::read(&paths[1]).unwrap();
    let text = bytes.trim_ascii_end();
    put(&paths[1], &[text, b"\n", &[0; 700], b"\n\n"].concat());
    let opening = open(root.path()).unwrap();
    assert_eq!((opening.records, opening.warnings.len()), (records(1..=40), 0));
    // Zeros in the place of a record are no padding.
    let last = text.iter().rposition(|c| *c == b'\n').unwrap();
    put(&paths[1], &[&text[..=last], &[0; 700][..], b"\n"].concat());
    assert!(open(root.path()).is_err());
}

/// Found by the simulator (seed 9388): filling that was not synced may be anything after a power cut.
#[test]
fn what_stands_behind_the_last_record_of_a_file_that_another_continues_is_no_damage() {
    let batches: Vec<_> = (1..=40).map(|seq| vec![record(seq)]).collect();
    let root = journal_of(SMALL, &batches);
    let paths = segments(root.path());
    let text = fs::read(&paths[1]).unwrap().trim_ascii_end().to_vec();
    put(&paths[1], &[&text[..], b"\n\n\n \nK\n\n{\"seq\":9\n"].concat());
    let opening = open(root.path()).unwrap();
    assert_eq!((opening.records, opening.warnings.len()), (records(1..=40), 0));
    let outcome = super::python::read(root.path());
    assert!(outcome.is_none_or(|(code, count, _)| (code, count) == (0, 40)));
    // The same in the place of a record is.
    let last = text.iter().rposition(|c| *c == b'\n').unwrap();
    put(&paths[1], &[&text[..=last], b"K\n"].concat());
    assert!(open(root.path()).is_err());
    let outcome = super::python::read(root.path());
    assert!(outcome.is_none_or(|(code, _, _)| code == 1));
}

#[test]
fn a_new_file_without_a_whole_header_is_begun_again() {
    let batches: Vec<_> = (1..=11).map(|seq| vec![record(seq)]).collect();
    for header in ["", "{\"tidegate\":\"jour", "\0\0\0\0\0\0\0\0", "\n\n\n\n"] {
        let root = journal_of(SMALL, &batches);
        assert_eq!(segments(root.path()).len(), 1);
        put(&root.path().join("journal/00000000000000000012.jsonl"), header.as_bytes());
        let (mut journal, opening) = open_with(root.path(), SMALL).unwrap();
        assert_eq!(opening.records, records(1..=11));
        assert!(opening.warning().contains("was being begun"), "{}", opening.warning());
        journal.append(&records(12..=12)).unwrap();
        drop(journal);
        assert_eq!(open(root.path()).unwrap().records, records(1..=12));
        assert_eq!(segments(root.path()).len(), 2);
    }
}

#[test]
fn a_new_file_without_a_whole_header_right_behind_a_snapshot_is_begun_again() {
    let root = journal_of(SMALL, &[records(1..=11)]);
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    journal.write_snapshot(Seq(11), "eleven").unwrap();
    drop(journal);
    put(&root.path().join("journal/00000000000000000012.jsonl"), b"{\"tide");
    let (mut journal, opening) = open_with(root.path(), SMALL).unwrap();
    assert_eq!((opening.state.as_deref(), opening.warnings.len()), (Some("eleven"), 1));
    journal.append(&records(12..=12)).unwrap();
    drop(journal);
    assert_eq!(open(root.path()).unwrap().seqs(), [12]);
    assert_eq!(read(root.path()).unwrap().count(), 12);
}

#[test]
fn a_first_file_with_a_bad_header_and_records_is_damage() {
    let root = journal_of(PLAIN, &[records(1..=3)]);
    edit(&segments(root.path())[0], "\"tidegate\":\"journal\"", "\"tidegate\":\"jornal\"");
    let error = open(root.path()).unwrap_err().to_string();
    assert!(error.contains("line 1 (byte 0)"), "{error}");
}

#[test]
fn a_snapshot_saves_reading_what_it_holds() {
    let batches: Vec<_> = (1..=30).map(|seq| vec![record(seq)]).collect();
    let root = journal_of(SMALL, &batches);
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    journal.write_snapshot(Seq(30), "thirty").unwrap();
    let early = journal.write_snapshot(Seq(29), "twenty-nine").unwrap_err();
    assert!(matches!(early, SnapshotError::NotAtHead { seq: Seq(29), last: Seq(30) }));
    journal.append(&records(31..=32)).unwrap();
    drop(journal);
    // Older files are not even looked at.
    put(&segments(root.path())[0], b"");
    let opening = open(root.path()).unwrap();
    assert_eq!(opening.state.as_deref(), Some("thirty"));
    assert_eq!((opening.seqs(), opening.warnings.len()), (vec![31, 32], 0));
    let (snapshot, reader) = read_state(root.path()).unwrap();
    assert_eq!(snapshot.unwrap().state::<String>().unwrap(), "thirty");
    assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), records(31..=32));
}

#[test]
fn the_two_newest_snapshots_are_kept() {
    let root = journal_of(SMALL, &[]);
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    for seq in 1..=4 {
        journal.append(&[record(seq)]).unwrap();
        journal.write_snapshot(Seq(seq), &format!("state {seq}")).unwrap();
    }
    let mut names: Vec<_> = fs::read_dir(root.path().join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("snapshot"))
        .collect();
    names.sort();
    let expected = ["snapshot-00000000000000000003.json", "snapshot-00000000000000000004.json"];
    assert_eq!(names, expected);
}

#[test]
fn a_snapshot_that_cannot_be_used_falls_back_to_the_one_before_and_then_to_all_records() {
    let root = journal_of(SMALL, &[records(1..=2)]);
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    journal.write_snapshot(Seq(2), "two").unwrap();
    journal.append(&records(3..=4)).unwrap();
    journal.write_snapshot(Seq(4), "four").unwrap();
    journal.append(&records(5..=5)).unwrap();
    drop(journal);
    let path = |seq: u64| root.path().join(format!("journal/snapshot-{seq:020}.json"));
    edit(&path(4), "four", "FOUR");
    let opening = open(root.path()).unwrap();
    assert_eq!((opening.state.as_deref(), opening.seqs()), (Some("two"), vec![3, 4, 5]));
    assert!(opening.warning().contains("it is damaged"), "{}", opening.warning());
    put(&path(2), b"");
    let opening = open(root.path()).unwrap();
    assert_eq!((opening.state, opening.warnings.len()), (None, 2));
    assert_eq!(opening.records, records(1..=5));
}

#[test]
fn a_snapshot_whose_state_the_program_does_not_know_falls_back_to_all_records() {
    let root = journal_of(SMALL, &[records(1..=2)]);
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    journal.write_snapshot(Seq(2), &[1, 2, 3]).unwrap(); // `open` wants a string
    drop(journal);
    let opening = open(root.path()).unwrap();
    assert_eq!((opening.state.clone(), opening.seqs()), (None, vec![1, 2]));
    assert!(opening.warning().contains("invalid type: sequence"), "{}", opening.warning());
}

#[test]
fn a_snapshot_newer_than_the_journal_stops_the_start() {
    let root = journal_of(SMALL, &[records(1..=2)]);
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    journal.write_snapshot(Seq(2), "two").unwrap();
    drop(journal);
    let path = &segments(root.path())[0];
    let text = fs::read_to_string(path).unwrap();
    let kept: Vec<_> = text.lines().filter(|line| !line.contains("\"seq\":2")).collect();
    put(path, kept.join("\n").as_bytes());
    let error = shown(&open(root.path()).unwrap_err(), root.path());
    insta::assert_snapshot!(error, @"snapshot `<state>/journal/snapshot-00000000000000000002.json` stands at record 2, but the journal ends at record 1: files of the journal were removed or replaced. Put them back from a backup; without one, `tidegate journal salvage` keeps what the snapshot holds");
    fs::remove_file(path).unwrap();
    assert!(open(root.path()).unwrap_err().to_string().contains("ends at record 0"));
    assert!(segments(root.path()).is_empty(), "a refusal changes nothing");
}

#[test]
fn a_snapshot_of_another_journal_stops_the_start() {
    let root = journal_of(SMALL, &[records(1..=2)]);
    let other = journal_of(SMALL, &[vec![super::long_record(1, 9), record(2)]]);
    let (mut journal, _) = open_with(other.path(), SMALL).unwrap();
    journal.write_snapshot(Seq(2), "other").unwrap();
    let name = "journal/snapshot-00000000000000000002.json";
    put(&root.path().join(name), &fs::read(other.path().join(name)).unwrap());
    let error = open(root.path()).unwrap_err().to_string();
    assert!(error.contains("they belong to different journals"), "{error}");
}

#[test]
fn a_second_open_is_refused_and_names_the_first() {
    let root = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(root.path()).unwrap();
    let Err(error) = Journal::open(root.path()) else { panic!("opened twice") };
    let pid = std::process::id();
    let expected = format!(
        "state directory `<state>` is in use by process {pid}; one tidegate at a time may write it: stop that one, \
         or give this one another state directory"
    );
    assert_eq!(shown(&error, root.path()), expected);
    drop(journal);
    assert!(Journal::open(root.path()).is_ok());
}

#[test]
fn the_lock_holds_between_processes() {
    let root = journal_of(SMALL, &[records(1..=1)]);
    let lock = root.path().join("lock");
    let mut child = Command::new("flock")
        .arg(&lock)
        .args(["sh", "-c", "echo held; exec cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "held\n");
    let refused = open(root.path());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(refused.unwrap_err().to_string().contains("is in use by process"));
    let (_journal, _) = open_with(root.path(), SMALL).unwrap();
    let other = Command::new("flock").arg("-n").arg(&lock).arg("true").status().unwrap();
    assert!(!other.success(), "another process took the lock");
}

fn open_failing(disk: &Failing, root: &std::path::Path) -> Journal<Failing> {
    Journal::open_with(disk.clone(), root, SMALL, &mut |_| Ok(())).unwrap().0
}

#[test]
fn all_records_that_wait_are_carried_by_one_sync() {
    let root = tempfile::tempdir().unwrap();
    let disk = Failing::never(io::ErrorKind::Other);
    let opened = Journal::open_with(disk.clone(), root.path(), Options::default(), &mut |_| Ok(()));
    let mut journal = opened.unwrap().0;
    journal.append(&records(1..=1)).unwrap(); // fills space ahead, which is synced by itself
    for batch in [records(2..=2), records(3..=66)] {
        let before = disk.syncs.load(Ordering::SeqCst);
        journal.append(&batch).unwrap();
        assert_eq!(before - disk.syncs.load(Ordering::SeqCst), 1, "{} records", batch.len());
    }
}

#[test]
fn after_a_failed_append_every_later_one_fails() {
    for which in ["write", "sync"] {
        let root = journal_of(SMALL, &[records(1..=2)]);
        let disk = Failing::never(io::ErrorKind::Other);
        let mut journal = open_failing(&disk, root.path());
        journal.append(&records(3..=3)).unwrap();
        let budget = if which == "write" { &disk.writes } else { &disk.syncs };
        budget.store(0, Ordering::SeqCst);
        let error = journal.append(&records(4..=4)).unwrap_err();
        assert!(matches!(error, AppendError::Io { .. }), "{error}");
        budget.store(u64::MAX, Ordering::SeqCst);
        let error = journal.append(&records(4..=4)).unwrap_err();
        assert!(matches!(error, AppendError::Poisoned { .. }), "{error}");
        drop(journal);
        let opening = open(root.path()).unwrap();
        assert!(opening.seqs().starts_with(&[1, 2, 3]), "{:?}", opening.seqs());
    }
}

#[test]
fn a_full_disk_is_named_and_costs_no_record() {
    let root = journal_of(SMALL, &[records(1..=2)]);
    let disk = Failing::never(io::ErrorKind::StorageFull);
    let mut journal = open_failing(&disk, root.path());
    disk.writes.store(0, Ordering::SeqCst);
    let error = journal.append(&records(3..=3)).unwrap_err();
    insta::assert_snapshot!(shown(&error, root.path()), @"cannot append to the journal `<state>/journal/00000000000000000001.jsonl`: its file system is full. Free some space and start tidegate again; nothing was acted on that is not in the journal: no storage space");
    drop(journal);
    assert_eq!(open(root.path()).unwrap().records, records(1..=2));
}

#[test]
fn a_failure_at_any_point_of_appending_loses_nothing_that_was_promised() {
    // Filling, rotating and appending take some fifty writes and syncs here: each of them fails once.
    for point in 0..60 {
        for which in ["write", "sync"] {
            let root = journal_of(SMALL, &[]);
            let disk = Failing::never(io::ErrorKind::StorageFull);
            let mut journal = open_failing(&disk, root.path());
            let budget = if which == "write" { &disk.writes } else { &disk.syncs };
            budget.store(point, Ordering::SeqCst);
            let promised =
                (1..=30).take_while(|seq| journal.append(&[record(*seq)]).is_ok()).count();
            drop(journal);
            let opening = open(root.path()).unwrap();
            let found = opening.records.len();
            assert!(found == promised || found == promised + 1, "{which} {point}: {found}");
            assert_eq!(opening.records, records(1..=found as u64));
        }
    }
}

#[test]
fn a_record_out_of_order_is_refused() {
    let root = journal_of(SMALL, &[records(1..=2)]);
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    let error = journal.append(&[record(3), record(5)]).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrder { expected: Seq(4), found: Seq(5) }));
    drop(journal);
    assert_eq!(open(root.path()).unwrap().seqs(), [1, 2]);
}

#[test]
fn a_reader_follows_a_writer_over_files() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("journal")).unwrap();
    let mut reader = read(root.path()).unwrap();
    assert!(reader.next().is_none(), "no journal yet");
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    assert!(reader.next().is_none(), "only a header yet");
    for seq in 1..=40 {
        journal.append(&[record(seq)]).unwrap();
        assert_eq!(reader.next().unwrap().unwrap(), record(seq));
        assert!(reader.next().is_none());
    }
    assert!(segments(root.path()).len() > 3);
    assert_eq!(reader.head(), Some(journal.head()));
    // One that slept meanwhile, and one that begins in the middle.
    assert_eq!(read(root.path()).unwrap().count(), 40);
    let late = Reader::open(NoSync, root.path(), From::After(Seq(25))).unwrap();
    assert_eq!(late.map(Result::unwrap).collect::<Vec<_>>(), records(26..=40));
}

#[test]
fn a_reader_stops_before_an_unfinished_write_and_sees_it_when_it_is_whole() {
    let root = journal_of(PLAIN, &[records(1..=2), records(3..=3)]);
    let path = &segments(root.path())[0];
    let text = fs::read(path).unwrap();
    put(path, &text[..text.len() - 20]);
    let mut reader = read(root.path()).unwrap();
    assert_eq!(reader.by_ref().map(|record| record.unwrap().seq.0).collect::<Vec<_>>(), [1, 2]);
    put(path, &text);
    assert_eq!(reader.next().unwrap().unwrap(), record(3));
}

#[test]
fn a_reader_says_that_the_middle_is_damaged() {
    let root = journal_of(PLAIN, &[records(1..=1), records(2..=4)]);
    edit(&segments(root.path())[0], "for the 2. time", "for the 9. time");
    let mut reader = read(root.path()).unwrap();
    assert!(reader.next().unwrap().is_ok());
    assert!(reader.next().unwrap().unwrap_err().to_string().contains("record 2"));
}

#[test]
fn a_reader_never_takes_a_write_in_progress_for_damage() {
    const LAST: u64 = 3_000;
    let root = super::journal_of(SMALL, &[]);
    let (mut journal, _) = open_with(root.path(), SMALL).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seq = 1;
            while seq <= LAST {
                // Batches of one line to some pages.
                let last = (seq + seq * 7 % 60).min(LAST);
                journal.append(&records(seq..=last)).unwrap();
                seq = last + 1;
            }
        });
        let mut reader = read(root.path()).unwrap();
        let mut next = 1;
        while next <= LAST {
            match reader.next() {
                Some(found) => assert_eq!(found.unwrap(), record(next)),
                None => {
                    std::thread::yield_now();
                    continue;
                }
            }
            next += 1;
        }
    });
}
