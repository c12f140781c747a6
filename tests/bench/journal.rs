//! Appending and replaying: figures as this machine gives them, and their ratios. Nothing is asserted.
//!
//! `cargo bench --bench journal [-- DIRECTORY]`: state directories are made in DIRECTORY, so that its disk is measured.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]
#![expect(clippy::expect_used, reason = "a bench that fails ends")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::path::{Path, PathBuf};
use std::time::Instant;

use tidegate::fact::{
    Fact, Reason, Record, TagEvent, TagImported, TriggerFired, TriggerOutcome, Via,
};
use tidegate::journal::{Journal, LineHash, Options, RealDisk, encode, read};
use tidegate::names::{ContentHash, Digest, Generation, Revision, Seq};
use tidegate::time::Timestamp;

/// Records that are replayed: ten times what a snapshot leaves.
const REPLAYED: u64 = 1_000_000;

/// Seconds that this thread was on a processor: what a busy machine does not stretch.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|text| text.parse::<f64>().ok());
    nanos.unwrap_or(f64::NAN) / 1e9
}

fn trigger_fired(seq: u64) -> Fact {
    Fact::TriggerFired(TriggerFired {
        object: "DeploymentConfig/shop/web".parse().expect("it is an object"),
        trigger: 0,
        from: "shop/web:3.10".parse().expect("it is a tag"),
        event: Seq(seq),
        old: Some(Digest::of(&seq.to_le_bytes())),
        new: Digest::of(&(seq + 1).to_le_bytes()),
        outcome: TriggerOutcome::Rollout(Revision(seq)),
    })
}

fn tag_imported(seq: u64) -> Fact {
    let image = Digest::of(&seq.to_le_bytes());
    Fact::TagImported(Box::new(TagImported {
        tag: "shop/web:3.10".parse().expect("it is a tag"),
        event: TagEvent {
            created: Timestamp::from_millis(1_700_000_000_000),
            reference: format!("registry.example.com/shop/web@{image}"),
            image: Some(image),
            generation: Generation(3),
        },
        probed: Some(image),
        asked: 0,
        metadata: Some(ContentHash::of(&seq.to_le_bytes())),
        via: Via::Registry,
        reason: Reason::ScheduleDue,
    }))
}

fn records(seqs: std::ops::Range<u64>, fact: fn(u64) -> Fact) -> Vec<Record> {
    let at = Timestamp::from_millis(1_700_000_000_000);
    seqs.map(|seq| Record { seq: Seq(seq), at, fact: fact(seq) }).collect()
}

fn append(parent: &Path) {
    let mut first = 0.0;
    for (batch, batches) in [(1_u64, 2_000_u64), (64, 500), (512, 200)] {
        let root = tempfile::tempdir_in(parent).expect("a directory can be made");
        let (mut journal, _) = Journal::open(root.path()).expect("a new journal opens");
        let all = records(1..batch * batches + 1, trigger_fired);
        let started = Instant::now();
        for chunk in all.chunks(usize::try_from(batch).unwrap_or(1)) {
            journal.append(chunk).expect("the disk has space");
        }
        let seconds = started.elapsed().as_secs_f64();
        let rate = all.len() as f64 / seconds;
        first = if batch == 1 { rate } else { first };
        let syncs = batches as f64 / seconds;
        println!(
            "append  batch {batch:>3}: {rate:>9.0} records/s, {syncs:>6.0} syncs/s, {:>6.1} times batch 1",
            rate / first
        );
    }
}

fn write_segments(root: &Path, fact: fn(u64) -> Fact) {
    let options = Options::default();
    let (mut journal, _) =
        Journal::open_with(RealDisk, root, options, &mut |_| Ok(())).expect("a new journal opens");
    let mut seq = 1;
    while seq <= REPLAYED {
        journal.append(&records(seq..seq + 10_000, fact)).expect("the disk has space");
        seq += 10_000;
    }
}

fn replay(parent: &Path, name: &str, fact: fn(u64) -> Fact) {
    let root = tempfile::tempdir_in(parent).expect("a directory can be made");
    write_segments(root.path(), fact);
    let mut line = Vec::new();
    for record in records(1_000..1_001, fact) {
        encode(&mut line, &record, &LineHash::START).expect("a record can be written");
    }
    let megabytes = line.len() as f64 * REPLAYED as f64 / 1e6;
    let report = |what: &str, started: (Instant, f64)| {
        let spent =
            [("wall", started.0.elapsed().as_secs_f64()), ("cpu", cpu_seconds() - started.1)];
        for (clock, seconds) in spent {
            println!(
                "{what} {name} ({} B), {clock:>4}: {:>9.0} records/s, {:>5.0} MB/s, {seconds:.2} s for {REPLAYED}",
                line.len(),
                REPLAYED as f64 / seconds,
                megabytes / seconds
            );
        }
    };
    let started = (Instant::now(), cpu_seconds());
    let count = read(root.path()).expect("it opens").filter(Result::is_ok).count();
    report("read   ", started);
    let mut opened = 0;
    let started = (Instant::now(), cpu_seconds());
    let journal = Journal::open_with(RealDisk, root.path(), Options::default(), &mut |_| {
        opened += 1;
        Ok(())
    });
    report("replay ", started);
    println!("        {count} read, {opened} replayed");
    let (mut journal, _) = journal.expect("it opens");
    journal.write_snapshot(Seq(REPLAYED), "state").expect("the disk has space");
    drop(journal);
    let started = Instant::now();
    let opened = Journal::open(root.path()).expect("it opens").1;
    let seconds = started.elapsed().as_secs_f64();
    println!("start   {name} behind a snapshot: {seconds:.3} s, {} records", opened.records.len());
}

fn main() {
    let parent = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let parent = parent.map_or_else(std::env::temp_dir, PathBuf::from);
    append(&parent);
    replay(&parent, "TriggerFired", trigger_fired);
    replay(&parent, "TagImported", tag_imported);
}
