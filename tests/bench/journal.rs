//! The journal beside `SQLite` (WAL, `synchronous=FULL`), in one run on one disk: figures as this machine gives them, and
//! their ratios. Nothing is asserted.
//!
//! `cargo bench --bench journal [-- DIRECTORY]`: state directories are made in DIRECTORY, so that its disk is measured.
//! `TIDEGATE_BENCH_SCALE=0.1` makes everything ten times smaller, `TIDEGATE_BENCH_ROWS=append,replay` measures only these.
//! What is compared takes turns, so that a busy moment meets both; the median of the turns counts.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a bench reads the clock, prints its figures, and ends when it fails"
)]

mod yardstick;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tidegate::fact::{Fact, Reason, Record, TagEvent, TagImported, Via};
use tidegate::journal::{Compaction, Disk as _, Journal, Options, RealDisk, Replay, Retention};
use tidegate::names::{ContentHash, Digest, Generation, Seq};
use tidegate::observed::ObservedState;
use tidegate::time::Timestamp;

use yardstick::Sqlite;

/// Tags that records are about.
const TAGS: u64 = 100_000;

const TURNS: usize = 5;

/// A tag got an image: the record that there is most of.
fn record(seq: u64) -> Record {
    let image = Digest::of(&seq.to_le_bytes());
    let tag = seq % TAGS;
    let fact = Fact::TagImported(Box::new(TagImported {
        tag: format!("shop/s{}:1.{}", tag / 100, tag % 100).parse().expect("it is a tag"),
        event: TagEvent {
            created: Timestamp::from_millis(1_700_000_000_000),
            reference: format!("registry.example.com/team/s{}@{image}", tag / 100),
            image: Some(image),
            generation: Generation(3),
        },
        probed: Some(image),
        asked: 0,
        metadata: Some(ContentHash::of(&seq.to_le_bytes())),
        via: Via::Registry,
        reason: Reason::ScheduleDue,
    }));
    let at = Timestamp::from_millis(1_700_000_000_000 + i64::try_from(seq).unwrap_or(0));
    Record { seq: Seq(seq), at, fact }
}

fn records(seqs: std::ops::Range<u64>) -> Vec<Record> {
    seqs.map(record).collect()
}

fn scale() -> f64 {
    std::env::var("TIDEGATE_BENCH_SCALE").ok().and_then(|s| s.parse().ok()).unwrap_or(1.0)
}

fn sized(n: u64) -> u64 {
    ((n as f64 * scale()) as u64).max(640)
}

/// Bytes that this process caused to be written to disks.
fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn goal(ratio: f64, goal: f64) -> &'static str {
    if ratio >= goal { "met" } else { "MISSED" }
}

/// Appends in turns; prints records/s, bytes per record and write amplification of both.
fn append(parent: &Path, batch: u64, batches: u64, wanted: f64) {
    let root = tempfile::tempdir_in(parent).expect("a directory can be made");
    let (mut journal, _) = Journal::open(root.path()).expect("a new journal opens");
    let mut sqlite = Sqlite::open(&root.path().join("yardstick.db"));
    let all = records(1..batch * batches * TURNS as u64 + 1);
    let payload: u64 = all.iter().map(yardstick::payload).sum();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut our_bytes, mut their_bytes) = (0, 0);
    for turn in all.chunks((batch * batches) as usize) {
        let before = written();
        let started = Instant::now();
        for chunk in turn.chunks(batch as usize) {
            journal.append(chunk).expect("the disk has space");
        }
        ours.push(turn.len() as f64 / started.elapsed().as_secs_f64());
        our_bytes += written() - before;
        let before = written();
        let started = Instant::now();
        for chunk in turn.chunks(batch as usize) {
            sqlite.insert(chunk);
        }
        theirs.push(turn.len() as f64 / started.elapsed().as_secs_f64());
        their_bytes += written() - before;
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours / theirs;
    println!(
        "append, {batch:>2} a sync: {ours:>7.0} records/s, SQLite {theirs:>7.0}: {ratio:.2} times (goal {wanted}: {})",
        goal(ratio, wanted)
    );
    let each = |bytes: u64| bytes as f64 / all.len() as f64;
    let times = |bytes: u64| bytes as f64 / payload as f64;
    println!(
        "  {:.0} bytes of JSON a record; written to the disk {:.0} ({:.1} times), SQLite {:.0} ({:.1} times)",
        each(payload),
        each(our_bytes),
        times(our_bytes),
        each(their_bytes),
        times(their_bytes)
    );
    parts(root.path(), &all, batch as usize, all.len() as f64 / ours);
}

/// What an append cannot do without: the records as JSON, their hashes, and one write and one sync into space that is
/// filled already.
fn parts(root: &Path, all: &[Record], batch: usize, seconds: f64) {
    let share = |name: &str, took: Duration| {
        let each = took.as_secs_f64() / all.len() as f64 * 1e6;
        format!("{name} {each:.2} µs ({:.0} %)", took.as_secs_f64() / seconds * 100.0)
    };
    let started = Instant::now();
    let mut text = Vec::new();
    let mut ends = Vec::new();
    for record in all {
        serde_json::to_writer(&mut text, record).expect("it is JSON");
        ends.push(text.len());
    }
    let json = started.elapsed();
    let started = Instant::now();
    let mut from = 0;
    for end in &ends {
        let line = text.get(from..*end).unwrap_or_default();
        std::hint::black_box(ring::digest::digest(&ring::digest::SHA256, line));
        from = *end;
    }
    let hashes = started.elapsed();
    let disk = RealDisk;
    let file = disk.create(&root.join("floor"), 0o600).expect("a file");
    disk.allocate(&file, 0..text.len() as u64).expect("the disk has space");
    disk.sync_data(&file).expect("a sync");
    let started = Instant::now();
    let mut offset = 0;
    for end in ends.chunks(batch).filter_map(|ends| ends.last()) {
        let lines = text.get(offset..*end).unwrap_or_default();
        disk.write_at(&file, lines, offset as u64).expect("a write");
        disk.sync_data(&file).expect("a sync");
        offset = *end;
    }
    let floor = started.elapsed();
    println!(
        "  of {:.2} µs a record: {}, {}, {}",
        seconds / all.len() as f64 * 1e6,
        share("JSON", json),
        share("SHA-256", hashes),
        share("write and sync alone", floor)
    );
}

fn write_journal(root: &Path, count: u64) {
    let (mut journal, _) =
        Journal::open_with(RealDisk, root, Options::default(), &mut |_| Ok(())).expect("opens");
    let mut seq = 1;
    while seq <= count {
        let end = (seq + 10_000).min(count + 1);
        journal.append(&records(seq..end)).expect("the disk has space");
        seq = end;
    }
}

/// Opens a journal as a start does: into the state.
fn open(root: &Path) -> (Journal, ObservedState) {
    let mut state = ObservedState::default();
    let opened = Journal::open_with(RealDisk, root, Options::default(), &mut |replay| {
        match replay {
            Replay::Snapshot(snapshot) => {
                state = snapshot.state().map_err(|error| error.to_string())?;
            }
            Replay::Record(record) => state.apply(&record),
        }
        Ok(())
    });
    (opened.expect("it opens").0, state)
}

fn replay(root: &Path, count: u64) {
    let mut sqlite = Sqlite::open(&root.join("yardstick.db"));
    let mut seq = 1;
    while seq <= count {
        let end = (seq + 10_000).min(count + 1);
        sqlite.insert(&records(seq..end));
        seq = end;
    }
    sqlite.checkpoint();
    let (mut ours, mut theirs, mut folded) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let started = Instant::now();
        let (journal, state) = open(root);
        ours.push(count as f64 / started.elapsed().as_secs_f64());
        assert_eq!(state.last_seq, Seq(count), "all of it");
        drop((journal, state));
        let started = Instant::now();
        let mut bytes = 0;
        let rows = sqlite.scan(&mut |record| bytes += record.seq.0);
        theirs.push(count as f64 / started.elapsed().as_secs_f64());
        assert_eq!(rows, count, "all of it");
        let started = Instant::now();
        let mut state = ObservedState::default();
        sqlite.scan(&mut |record| state.apply(&record));
        folded.push(count as f64 / started.elapsed().as_secs_f64());
    }
    let (ours, theirs, folded) = (median(ours), median(theirs), median(folded));
    let ratio = ours / theirs;
    println!(
        "replay of {count} records into state: {ours:>7.0} records/s; SQLite's scan into records {theirs:>7.0}: \
         {ratio:.2} times (goal 1.5: {}); its scan into state {folded:>7.0}",
        goal(ratio, 1.5)
    );
}

/// A snapshot of 100,000 tags and 10,000 records behind it.
fn start(parent: &Path) {
    let root = tempfile::tempdir_in(parent).expect("a directory can be made");
    let tags = sized(TAGS);
    write_journal(root.path(), tags);
    let (mut journal, state) = open(root.path());
    journal.write_snapshot(state.last_seq, &state).expect("the disk has space");
    let behind = sized(10_000);
    for chunk in records(tags + 1..tags + behind + 1).chunks(500) {
        journal.append(chunk).expect("the disk has space");
    }
    drop((journal, state));
    let turn = |_| {
        let started = Instant::now();
        let opened = open(root.path());
        let took = started.elapsed().as_secs_f64() * 1e3;
        drop(opened);
        took
    };
    let millis = median((0..TURNS).map(turn).collect());
    println!(
        "start from a snapshot of {tags} tags and {behind} records: {millis:.0} ms (goal 500: {})",
        goal(500.0 / millis, 1.0)
    );
}

/// The longest append while everything is compacted, and while nothing else happens.
fn compact(root: &Path, count: u64) {
    let (mut journal, _) = open(root);
    let mut next = count + 1;
    let mut appends = |journal: &mut Journal, ended: &dyn Fn(usize) -> bool| {
        let mut waits = Vec::new();
        while !ended(waits.len()) {
            let one = [record(next)];
            next += 1;
            let started = Instant::now();
            journal.append(&one).expect("the disk has space");
            waits.push(started.elapsed());
        }
        waits.sort();
        waits
    };
    let alone = appends(&mut journal, &|count| count >= 2_000);
    let sealed = journal.seal().expect("the disk has space");
    let compaction = Compaction::new(RealDisk, root, sealed, ObservedState::apply);
    let ended = AtomicBool::new(false);
    let started = Instant::now();
    let (beside, done) = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let keep = Retention { keep_for: None, keep_bytes: Some(0) };
            let done = compaction.run(keep, Timestamp::from_millis(1_800_000_000_000));
            ended.store(true, Ordering::Relaxed);
            done.expect("the disk has space")
        });
        let waits = appends(&mut journal, &|_| ended.load(Ordering::Relaxed));
        (waits, thread.join().expect("it does not panic"))
    });
    let took = started.elapsed();
    let shown = |waits: &[Duration]| {
        let at = |share: f64| {
            let at = (waits.len() as f64 * share) as usize;
            waits.get(at).or(waits.last()).map_or(f64::NAN, |wait| wait.as_secs_f64() * 1e3)
        };
        format!(
            "{} appends, median {:.1} ms, 99 % {:.1}, longest {:.1}",
            waits.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        )
    };
    println!(
        "compaction of {count} records in {:.1} s up to record {}",
        took.as_secs_f64(),
        done.snapshot
    );
    println!("  beside it:  {}", shown(&beside));
    println!("  without it: {}", shown(&alone));
    let longest = beside.last().map_or(f64::NAN, Duration::as_secs_f64) * 1e3;
    println!("  longest wait {longest:.1} ms (goal 50: {})", goal(50.0 / longest, 1.0));
}

fn main() {
    let parent = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    println!("SQLite {}, in {}", rusqlite::version(), parent.display());
    let rows = std::env::var("TIDEGATE_BENCH_ROWS").ok();
    let wanted = |row: &str| rows.as_ref().is_none_or(|rows| rows.split(',').any(|r| r == row));
    if wanted("append") {
        append(&parent, 1, sized(600).min(600), 1.0);
        append(&parent, 64, sized(300).min(300), 1.5);
    }
    if wanted("start") {
        start(&parent);
    }
    let count = sized(1_000_000);
    let root = tempfile::tempdir_in(&parent).expect("a directory can be made");
    if wanted("replay") || wanted("compact") {
        write_journal(root.path(), count);
    }
    if wanted("replay") {
        replay(root.path(), count);
    }
    if wanted("compact") {
        compact(root.path(), count);
    }
}
