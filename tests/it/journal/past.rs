//! `--at TIME`: which record stands for a time, whatever the clock did.

use std::fs;
use std::path::Path;

use tidegate::fact::Record;
use tidegate::names::Seq;
use tidegate::observed::ObservedState;
use tidegate::time::Timestamp;

use super::{PLAIN, directory, drop_before, open_with, record, run};

/// A time as many seconds behind 22:00 on a day of the past.
fn at(seconds: i64) -> Timestamp {
    let ten: Timestamp = "2023-11-14T22:00:00Z".parse().unwrap();
    Timestamp::from_millis(ten.as_millis() + seconds * 1_000)
}

/// A journal of records at these times, with a snapshot after each of `snapshots`.
fn journal(times: &[Timestamp], snapshots: &[u64]) -> tempfile::TempDir {
    let root = directory();
    let (mut journal, _) = open_with(root.path(), PLAIN).unwrap();
    let mut state = ObservedState::default();
    for (at, seq) in times.iter().zip(1..) {
        let record = Record { at: *at, ..record(seq) };
        journal.append(std::slice::from_ref(&record)).unwrap();
        state.apply(&record);
        if snapshots.contains(&seq) {
            journal.write_snapshot(Seq(seq), &state).unwrap();
        }
    }
    root
}

/// The record whose state `status --at` shows.
fn record_at(root: &Path, point: &str) -> u64 {
    let (code, text) = run(root, &["status", "--at", point, "-o", "json"]);
    assert_eq!(code, 0, "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["asOf"]["record"].as_u64().unwrap()
}

fn refused(root: &Path, args: &[&str]) -> String {
    let (code, text) = run(root, args);
    assert_eq!(code, 1, "{text}");
    text
}

/// Eight records, of which the third was stamped by a clock that was ahead.
fn ahead(snapshots: &[u64]) -> tempfile::TempDir {
    let far: Timestamp = "2099-01-01T00:00:00Z".parse().unwrap();
    let times = [at(0), at(10), far, at(100), at(110), at(120), at(130), at(140)];
    journal(&times, snapshots)
}

#[test]
fn a_record_of_a_clock_that_was_ahead_hides_none_behind_it() {
    let root = ahead(&[]);
    let root = root.path();
    assert_eq!(record_at(root, &at(0).to_string()), 1);
    assert_eq!(record_at(root, &at(50).to_string()), 2);
    assert_eq!(record_at(root, &at(105).to_string()), 4);
    assert_eq!(record_at(root, "1m"), 8);
    let (code, text) = run(root, &["diff", "--at", "1m"]);
    assert!(text.ends_with("nothing changed\n"), "{text}");
    assert_eq!(code, 0, "{text}");
    let text = refused(root, &["status", "--at", &at(-1).to_string()]);
    insta::assert_snapshot!(text, @"error: 2023-11-14T21:59:59Z is older than the journal; the oldest point that is possible is record 1 of 2023-11-14T22:00:00Z");
}

#[test]
fn a_record_of_a_clock_that_was_behind_stands_for_the_times_since() {
    let root = journal(&[at(100), at(110), at(0), at(120)], &[]);
    let root = root.path();
    // What the third one tells was so when the clock said 5 seconds, as far as anybody can know.
    assert_eq!(record_at(root, &at(5).to_string()), 3);
    assert_eq!(record_at(root, &at(115).to_string()), 3);
    assert_eq!(record_at(root, &at(120).to_string()), 4);
    let text = refused(root, &["status", "--at", &at(-1).to_string()]);
    assert!(text.contains("the oldest point that is possible is record 3 of"), "{text}");
}

#[test]
fn a_base_of_a_clock_that_was_ahead_refuses_only_what_is_before_it() {
    let root = ahead(&[3]);
    drop_before(root.path(), 4);
    let root = root.path();
    assert_eq!(record_at(root, "3"), 3);
    assert_eq!(record_at(root, &at(105).to_string()), 4);
    assert_eq!(record_at(root, "1m"), 8);
    let text = refused(root, &["status", "--at", &at(50).to_string()]);
    assert!(text.contains("the oldest point that is possible is record 4 of"), "{text}");
}

#[test]
fn a_time_is_told_from_a_newer_snapshot_where_the_base_is_damaged() {
    let times: Vec<_> = (1..=12).map(|seq| at(seq * 10)).collect();
    let root = journal(&times, &[4, 8]);
    drop_before(root.path(), 5);
    let root = root.path();
    assert_eq!(record_at(root, &at(65).to_string()), 6);
    assert_eq!(record_at(root, &at(45).to_string()), 4);
    fs::write(root.join("journal/snapshot-00000000000000000004.json"), b"{}").unwrap();
    assert_eq!(record_at(root, &at(95).to_string()), 9);
    assert_eq!(record_at(root, &at(85).to_string()), 8);
    assert_eq!(record_at(root, "9"), 9);
    let possible = "the oldest point that is possible is record 8 of 2023-11-14T22:01:20Z";
    let text = refused(root, &["status", "--at", &at(65).to_string()]);
    assert!(text.contains("no snapshot tells the state before that"), "{text}");
    assert!(text.contains(possible), "{text}");
    assert!(refused(root, &["status", "--at", "7"]).contains(possible));
    let text = refused(root, &["status", "--at", &at(45).to_string()]);
    assert!(text.contains("is older than the journal") && text.contains(possible), "{text}");
    fs::write(root.join("journal/snapshot-00000000000000000008.json"), b"{}").unwrap();
    let text = refused(root, &["status", "--at", &at(95).to_string()]);
    assert!(text.contains("records 1 to 4 of the journal"), "{text}");
}

#[test]
fn a_time_that_has_not_come_yet_is_refused() {
    let root = ahead(&[]);
    for args in [
        &["diff", "--at", "2099-06-01T00:00:00Z"][..],
        &["status", "--at", "2099-06-01T00:00:00Z"],
        &["diff", "--at", "1", "--to", "2099-06-01T00:00:00Z"],
    ] {
        let text = refused(root.path(), args);
        assert!(text.contains("2099-06-01T00:00:00Z has not come yet: it is now 2"), "{text}");
    }
    // What such a record tells is had by its number.
    assert_eq!(record_at(root.path(), "3"), 3);
}

#[test]
fn where_not_all_can_be_read_no_record_is_said_to_be_the_last_before_a_time() {
    let root = journal(&[at(0), at(10), at(20), at(30)], &[]);
    let path = &super::segments(root.path())[0];
    super::edit(path, "for the 3. time", "for the 4. time");
    let text = refused(root.path(), &["status", "--at", &at(15).to_string()]);
    assert!(text.contains("give the number of a record instead"), "{text}");
    assert!(text.contains("the journal is damaged"), "{text}");
    assert_eq!(record_at(root.path(), "2"), 2);
}
