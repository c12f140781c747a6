//! Compaction and collection: what goes, what stays, and that a crash in between costs nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate::fact::{Fact, Record};
use tidegate::journal::{
    CompactError, Compacted, Compaction, Disk, Fold, Journal, Replay, Retention, Snapshot,
    StateError, Warning, verify,
};
use tidegate::names::{ContentHash, Seq};
use tidegate::time::Timestamp;

use super::disk::{Failing, NoSync};
use super::{SMALL, directory, journal_of, record, segments};

/// A state that tells every two histories apart.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct State {
    seqs: Vec<u64>,
    named: Option<String>,
}

fn apply(state: &mut State, record: &Record) {
    state.seqs.push(record.seq.0);
    if let Fact::SourceFailed(failed) = &record.fact
        && failed.message.len() == 64
    {
        state.named = Some(failed.message.clone());
    }
}

impl Fold for State {
    fn begin(&mut self, base: &Snapshot) -> Result<(), StateError> {
        *self = base.state()?;
        Ok(())
    }
    fn apply(&mut self, record: &Record) {
        apply(self, record);
    }
    fn objects(&self) -> Vec<ContentHash> {
        self.named.iter().filter_map(|named| named.parse().ok()).collect()
    }
    fn equals(&self, snapshot: &Snapshot) -> Result<bool, StateError> {
        Ok(snapshot.state::<Self>()? == *self)
    }
}

/// A hundred million seconds, three years and two months, after every record.
fn later() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

/// What a start makes of it.
fn state(root: &Path) -> State {
    let mut state = State::default();
    let (_, warnings) = Journal::open_with(NoSync, root, SMALL, &mut |replay| {
        match replay {
            Replay::Snapshot(snapshot) => {
                state = snapshot.state().map_err(|error| error.to_string())?;
            }
            Replay::Record(record) => apply(&mut state, &record),
        }
        Ok(())
    })
    .unwrap();
    let harmless = |warning: &Warning| matches!(warning, Warning::TornHeader { .. });
    assert!(warnings.iter().all(harmless), "{warnings:?}");
    state
}

fn compact<D: Disk>(
    disk: &D,
    root: &Path,
    retention: Retention,
) -> Result<Compacted, anyhow::Error> {
    let (mut journal, _) = Journal::open_with(disk.clone(), root, SMALL, &mut |_| Ok(()))?;
    let sealed = journal.seal()?;
    Ok(Compaction::new(disk.clone(), root, sealed, apply).run(retention, later())?)
}

fn append(root: &Path, seqs: std::ops::RangeInclusive<u64>) {
    append_at(root, seqs, record(1).at);
}

fn append_at(root: &Path, seqs: std::ops::RangeInclusive<u64>, at: Timestamp) {
    let (mut journal, _) = Journal::open_with(NoSync, root, SMALL, &mut |_| Ok(())).unwrap();
    for seq in seqs {
        journal.append(&[Record { at, ..record(seq) }]).unwrap();
    }
}

const HOUR: i64 = 3_600_000;
const DAY: Retention =
    Retention { keep_for: Some(Duration::from_secs(24 * 3600)), keep_bytes: None };

/// So many hours from [`later`].
fn hours(hours: i64) -> Timestamp {
    Timestamp::from_millis(later().as_millis() + hours * HOUR)
}

/// A journal of 100 records in small files, with snapshots at 40 and 80.
fn with_snapshots() -> tempfile::TempDir {
    let root = journal_of(SMALL, &[]);
    append(root.path(), 1..=40);
    compact(&NoSync, root.path(), Retention::default()).unwrap();
    append(root.path(), 41..=80);
    compact(&NoSync, root.path(), Retention::default()).unwrap();
    append(root.path(), 81..=100);
    root
}

fn snapshots(root: &Path) -> Vec<String> {
    let names = NoSync.list(&root.join("journal")).unwrap();
    let mut names: Vec<_> = names.into_iter().filter(|name| name.starts_with("snap")).collect();
    names.sort();
    names.iter().map(|name| name[9..29].trim_start_matches('0').to_owned()).collect()
}

const NOTHING: Retention = Retention { keep_for: None, keep_bytes: Some(0) };

#[test]
fn a_compaction_that_keeps_everything_writes_a_snapshot_and_drops_nothing() {
    let root = with_snapshots();
    let done = compact(&NoSync, root.path(), Retention::default()).unwrap();
    let expected = Compacted { snapshot: Seq(100), oldest: Seq(1), dropped: 0, freed: 0 };
    assert_eq!(done, expected);
    assert_eq!(snapshots(root.path()), ["80", "100"], "the newest, and one to spare");
    assert_eq!(state(root.path()).seqs, (1..=100).collect::<Vec<_>>());
    assert_eq!(compact(&NoSync, root.path(), Retention::default()).unwrap(), expected, "again");
}

#[test]
fn files_beyond_the_size_go_and_what_is_left_begins_behind_a_snapshot() {
    let root = with_snapshots();
    let done = compact(&NoSync, root.path(), NOTHING).unwrap();
    assert_eq!((done.snapshot, done.oldest), (Seq(100), Seq(81)), "behind the spare snapshot");
    assert_eq!(done.dropped, 80);
    assert!(done.freed > 10_000);
    assert_eq!(snapshots(root.path()), ["80", "100"]);
    assert_eq!(state(root.path()).seqs, (1..=100).collect::<Vec<_>>());
    let proof = verify(root.path(), State::default).unwrap();
    assert_eq!((proof.first, proof.last), (Some(Seq(81)), Some(Seq(100))));
    assert!(proof.findings.is_empty(), "{:?}", proof.findings);
}

#[test]
fn a_size_in_between_is_reached_file_by_file_with_a_base_of_its_own() {
    let root = with_snapshots();
    let retention = Retention { keep_for: None, keep_bytes: Some(15_000) };
    let done = compact(&NoSync, root.path(), retention).unwrap();
    let base = (done.oldest.0 - 1).to_string();
    assert!(done.oldest > Seq(1) && done.oldest < Seq(81), "{done:?}");
    assert_eq!(snapshots(root.path()), [base.as_str(), "80", "100"]);
    // Without the newer two, the base carries the oldest record that is left.
    for newer in ["80", "100"] {
        let name = format!("journal/snapshot-{newer:0>20}.json");
        std::fs::remove_file(root.path().join(name)).unwrap();
    }
    assert_eq!(state(root.path()).seqs, (1..=100).collect::<Vec<_>>());
}

#[test]
fn records_that_are_old_enough_go() {
    let root = with_snapshots();
    let year = Duration::from_secs(365 * 24 * 3600);
    let keep = |years| Retention { keep_for: Some(year * years), keep_bytes: None };
    // Every record is three years old.
    assert_eq!(compact(&NoSync, root.path(), keep(4)).unwrap().dropped, 0);
    assert_eq!(compact(&NoSync, root.path(), keep(3)).unwrap().oldest, Seq(81));
}

#[test]
fn a_clock_that_went_back_makes_no_young_record_old() {
    let root = directory();
    append_at(root.path(), 1..=40, hours(-2));
    compact(&NoSync, root.path(), DAY).unwrap();
    append_at(root.path(), 41..=80, hours(-500));
    compact(&NoSync, root.path(), DAY).unwrap();
    append_at(root.path(), 81..=100, hours(-1));
    assert_eq!(compact(&NoSync, root.path(), DAY).unwrap().dropped, 0);
}

#[test]
fn a_clock_that_was_ahead_keeps_nothing_until_its_time_has_come() {
    let root = directory();
    append(root.path(), 1..=40);
    compact(&NoSync, root.path(), DAY).unwrap();
    append_at(root.path(), 41..=41, hours(600_000));
    append(root.path(), 42..=80);
    compact(&NoSync, root.path(), DAY).unwrap();
    append(root.path(), 81..=100);
    assert_eq!(compact(&NoSync, root.path(), DAY).unwrap().oldest, Seq(81));
}

#[test]
fn nothing_goes_by_its_age_while_the_clock_is_behind_the_newest_record() {
    let root = with_snapshots();
    append_at(root.path(), 101..=110, hours(1));
    assert_eq!(compact(&NoSync, root.path(), DAY).unwrap().dropped, 0);
    append_at(root.path(), 111..=111, hours(0));
    assert!(compact(&NoSync, root.path(), DAY).unwrap().dropped > 0, "it caught up");
}

#[test]
fn space_that_was_filled_ahead_in_a_file_that_is_ended_is_given_back() {
    let root = directory();
    let options = tidegate::journal::Options { fill_bytes: 100_000, ..SMALL };
    let (mut journal, _) =
        Journal::open_with(NoSync, root.path(), options, &mut |_| Ok(())).unwrap();
    journal.append(&[record(1), record(2)]).unwrap();
    let len = |at: usize| std::fs::metadata(&segments(root.path())[at]).unwrap().len();
    let before = len(0);
    let sealed = journal.seal().unwrap();
    Compaction::new(NoSync, root.path(), sealed, apply).run(DAY, later()).unwrap();
    journal.append(&[record(3)]).unwrap();
    assert!(before > 90_000 && len(0) < 1_000, "{before} and then {}", len(0));
    assert!(len(1) > 90_000, "the file that is written keeps it");
    drop(journal);
    assert_eq!(state(root.path()).seqs, [1, 2, 3]);
    assert!(verify(root.path(), State::default).unwrap().findings.is_empty());
}

#[test]
fn what_is_behind_the_spare_snapshot_is_never_dropped() {
    let root = journal_of(SMALL, &[]);
    append(root.path(), 1..=40);
    let done = compact(&NoSync, root.path(), NOTHING).unwrap();
    assert_eq!(done.dropped, 0, "there is no spare one yet");
}

#[test]
fn damage_in_what_is_to_be_dropped_keeps_it() {
    let root = with_snapshots();
    let path = &segments(root.path())[1];
    super::edit(path, "time", "tame");
    let before = segments(root.path());
    let retention = Retention { keep_for: None, keep_bytes: Some(15_000) };
    let error = compact(&NoSync, root.path(), retention).unwrap_err();
    assert!(format!("{error:#}").contains("journal verify"), "{error:#}");
    assert_eq!(segments(root.path()).len(), before.len() + 1, "the one that was sealed is new");
}

/// The disk stops at every write, removal or sync of a compaction in turn; each time a start finds the same state.
#[test]
fn a_crash_at_any_moment_of_a_compaction_loses_nothing() {
    let all = (1..=100).collect::<Vec<_>>();
    let mut completed = 0;
    for budget in 0..80 {
        for syncs in [true, false] {
            let root = with_snapshots();
            let disk = Failing::never(io::ErrorKind::Other);
            let gate = if syncs { &disk.syncs } else { &disk.writes };
            gate.store(budget, Ordering::SeqCst);
            let retention = Retention { keep_for: None, keep_bytes: Some(15_000) };
            completed += usize::from(compact(&disk, root.path(), retention).is_ok());
            assert_eq!(state(root.path()).seqs, all, "stopped at {budget}");
            compact(&NoSync, root.path(), retention).unwrap();
            assert_eq!(state(root.path()).seqs, all);
            assert!(verify(root.path(), State::default).unwrap().findings.is_empty());
        }
    }
    assert!(completed > 0, "the last ones have budget enough");
}

#[test]
fn a_compaction_that_is_switched_off_leaves_all_as_it_was() {
    let root = with_snapshots();
    let (mut journal, _) = Journal::open_with(NoSync, root.path(), SMALL, &mut |_| Ok(())).unwrap();
    let sealed = journal.seal().unwrap();
    // No snapshot can be used, so that all records are folded.
    for name in NoSync.list(&root.path().join("journal")).unwrap() {
        if name.starts_with("snap") {
            std::fs::remove_file(root.path().join("journal").join(name)).unwrap();
        }
    }
    let switch = Arc::new(AtomicBool::new(true));
    let compaction = Compaction::new(NoSync, root.path(), sealed, apply).with_switch(switch);
    let error = compaction.run(NOTHING, later()).unwrap_err();
    assert!(matches!(error, CompactError::Cancelled), "{error}");
    assert_eq!(snapshots(root.path()), Vec::<String>::new());
}

#[test]
fn appends_go_on_while_a_compaction_reads() {
    let root = with_snapshots();
    let (mut journal, _) = Journal::open_with(NoSync, root.path(), SMALL, &mut |_| Ok(())).unwrap();
    let sealed = journal.seal().unwrap();
    let compaction = Compaction::new(NoSync, root.path(), sealed, apply);
    std::thread::scope(|scope| {
        let done = scope.spawn(|| compaction.run(NOTHING, later()).unwrap());
        for seq in 101..=400 {
            journal.append(&[record(seq)]).unwrap();
        }
        assert_eq!(done.join().unwrap().snapshot, Seq(100));
    });
    drop(journal);
    assert_eq!(state(root.path()).seqs, (1..=400).collect::<Vec<_>>());
}

#[test]
fn a_value_that_nothing_names_is_collected_and_one_in_a_snapshot_or_a_record_stays() {
    let root = directory();
    let (mut journal, _) = Journal::open_with(NoSync, root.path(), SMALL, &mut |_| Ok(())).unwrap();
    let store = journal.objects();
    let hashes = store.put_many(&["folded", "recorded", "nobody's"]).unwrap();
    let naming = |seq, hash: &ContentHash| {
        let mut record = record(seq);
        if let Fact::SourceFailed(failed) = &mut record.fact {
            failed.message = hash.to_string();
        }
        record
    };
    journal.append(&[naming(1, &hashes[0])]).unwrap();
    for seq in 2..=60 {
        journal.append(&[record(seq)]).unwrap();
    }
    // Twice, so that the record that names the first value goes.
    let sealed = journal.seal().unwrap();
    Compaction::new(NoSync, root.path(), sealed, apply).run(NOTHING, later()).unwrap();
    journal.append(&[record(61)]).unwrap();
    let sealed = journal.seal().unwrap();
    let done = Compaction::new(NoSync, root.path(), sealed, apply).run(NOTHING, later()).unwrap();
    assert_eq!(done.oldest, Seq(61));
    journal.append(&[naming(62, &hashes[1])]).unwrap();
    let leftover = root.path().join("objects").join(&hashes[2].to_string()[..2]);
    std::fs::write(leftover.join(format!("{}.7-new", "0".repeat(62))), "half").unwrap();

    let collected = store.begin_collection().unwrap().finish().unwrap();
    assert_eq!((collected.kept, collected.removed, collected.freed), (2, 1, 12));
    assert!(store.contains(&hashes[0]).unwrap(), "the snapshot names it");
    assert!(store.contains(&hashes[1]).unwrap(), "a record names it");
    assert!(!store.contains(&hashes[2]).unwrap());
    assert_eq!(std::fs::read_dir(&leftover).unwrap().count(), 0, "and what was never finished");

    let proof = verify(root.path(), State::default).unwrap();
    assert!(proof.findings.is_empty(), "{:?}", proof.findings);
    let folded = hashes[0].to_string();
    std::fs::remove_file(root.path().join("objects").join(&folded[..2]).join(&folded[2..]))
        .unwrap();
    let proof = verify(root.path(), State::default).unwrap();
    assert_eq!(proof.findings.len(), 1, "only the state names it: {:?}", proof.findings);
}

#[test]
fn what_somebody_put_beside_the_files_does_not_stop_a_collection() {
    let root = directory();
    let (mut journal, _) = Journal::open_with(NoSync, root.path(), SMALL, &mut |_| Ok(())).unwrap();
    let store = journal.objects();
    store.put(b"nobody's").unwrap();
    journal.append(&[record(1)]).unwrap();
    std::fs::create_dir(root.path().join("journal/old")).unwrap();
    assert_eq!(store.begin_collection().unwrap().finish().unwrap().removed, 1);
}

#[test]
fn a_value_that_is_put_while_a_collection_runs_stays() {
    let root = directory();
    let (journal, _) = Journal::open_with(NoSync, root.path(), SMALL, &mut |_| Ok(())).unwrap();
    let store = journal.objects();
    let old = store.put_many(&["put again", "nobody's"]).unwrap();
    let begun = store.begin_collection().unwrap();
    store.put(b"put again").unwrap();
    let new = store.put(b"new").unwrap();
    assert_eq!(begun.finish().unwrap().removed, 1);
    assert!(store.contains(&old[0]).unwrap() && store.contains(&new).unwrap());
    assert!(!store.contains(&old[1]).unwrap());
    let again = store.begin_collection().unwrap().finish().unwrap();
    assert_eq!(again.removed, 2, "the next one asks anew");
    store.put(b"put again").unwrap();
    assert_eq!(store.get(&old[0]).unwrap(), b"put again");
}

#[test]
fn a_name_that_lies_across_two_pieces_of_a_file_is_found() {
    for padding in (1024 * 1024 - 300..1024 * 1024 - 100).step_by(16) {
        let root = directory();
        let (mut journal, _) =
            Journal::open_with(NoSync, root.path(), super::PLAIN, &mut |_| Ok(())).unwrap();
        let store = journal.objects();
        let hash = store.put(b"metadata").unwrap();
        let mut record = record(1);
        if let Fact::SourceFailed(failed) = &mut record.fact {
            failed.message = format!("{}{hash}", "x".repeat(padding));
        }
        journal.append(&[record]).unwrap();
        let collected = store.begin_collection().unwrap().finish().unwrap();
        assert_eq!(collected.removed, 0, "{padding}");
    }
}
