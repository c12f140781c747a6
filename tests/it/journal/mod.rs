//! The journal on real files: what a crash, a bit or an operator can do to it.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on ends")]

mod builds;
mod bulk;
mod command;
mod compact;
mod copies;
mod disk;
mod format;
mod past;
mod python;
mod readers;
mod recovery;
mod salvage;
mod space;
mod store;
mod tail;
mod torn;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use disk::NoSync;
use tidegate::fact::{CommitRefused, Fact, Record, SourceFailed};
use tidegate::journal::{Journal, JournalError, Options, Replay, Warning};
use tidegate::names::Seq;
use tidegate::time::Timestamp;

/// The sizes that make a new file after about ten records, with padding behind each.
const SMALL: Options = Options { segment_bytes: 2_000, fill_bytes: 1_024, reserve_bytes: 0 };

/// The sizes of one file without padding.
const PLAIN: Options = Options { segment_bytes: 1 << 30, fill_bytes: 1, reserve_bytes: 0 };

fn record(seq: u64) -> Record {
    let message = format!("cannot read `/srv/manifests` for the {seq}. time");
    let fact = Fact::SourceFailed(SourceFailed { message });
    Record { seq: Seq(seq), at: Timestamp::from_millis(1_700_000_000_000), fact }
}

/// A record whose line has at least `bytes` bytes.
fn long_record(seq: u64, bytes: usize) -> Record {
    let commit = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
    let fact = Fact::CommitRefused(CommitRefused { commit, reason: "x".repeat(bytes) });
    Record { seq: Seq(seq), at: Timestamp::from_millis(1_700_000_000_000), fact }
}

fn records(seqs: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    seqs.map(record).collect()
}

/// What opening gave.
#[derive(Debug)]
struct Opening {
    state: Option<String>,
    records: Vec<Record>,
    warnings: Vec<Warning>,
}

impl Opening {
    fn seqs(&self) -> Vec<u64> {
        self.records.iter().map(|record| record.seq.0).collect()
    }

    fn warning(&self) -> String {
        self.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

fn open_with(root: &Path, options: Options) -> Result<(Journal<NoSync>, Opening), JournalError> {
    let mut opening = Opening { state: None, records: Vec::new(), warnings: Vec::new() };
    let (journal, warnings) = Journal::open_with(NoSync, root, options, &mut |replay| {
        match replay {
            Replay::Snapshot(snapshot) => {
                let state = snapshot.state().map_err(anyhow::Error::from);
                opening.state = Some(state.map_err(|error| format!("{error:#}"))?);
            }
            Replay::Record(record) => opening.records.push(record),
        }
        Ok(())
    })?;
    opening.warnings = warnings;
    Ok((journal, opening))
}

fn open(root: &Path) -> Result<Opening, JournalError> {
    open_with(root, SMALL).map(|(_, opening)| opening)
}

/// An empty directory in memory where there is such a place: nothing here asks whether bytes reach a real disk.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A state directory whose journal holds these batches.
fn journal_of(options: Options, batches: &[Vec<Record>]) -> tempfile::TempDir {
    let root = directory();
    let (mut journal, _) = open_with(root.path(), options).unwrap();
    for batch in batches {
        journal.append(batch).unwrap();
    }
    root
}

/// The files of records, in order.
fn segments(root: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(root.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    paths
}

fn put(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Replaces a text in a file by one of the same meaning to nobody.
fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    put(path, text.replace(from, to).as_bytes());
}

/// An error with the state directory as `<state>`, and its causes.
fn shown(error: &dyn std::error::Error, root: &Path) -> String {
    let text = match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    text.replace(&root.display().to_string(), "<state>")
        .replace(env!("CARGO_PKG_VERSION"), "<version>")
}

/// The program, with nothing from outside but the state directory.
fn program(root: &Path, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(args).arg("--state-dir").arg(root).env_clear().current_dir(root);
    command
}

/// Runs the program; its exit code and what it printed, with the state directory as `<state>`.
fn run(root: &Path, args: &[&str]) -> (i32, String) {
    let output = program(root, args).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap().replace(&root.display().to_string(), "<state>");
    (output.status.code().unwrap(), text)
}

/// A journal of `count` records, every fourth of which names an object, with a snapshot after each of `snapshots`.
fn with_snapshots(count: u64, snapshots: &[u64]) -> tempfile::TempDir {
    let root = directory();
    let (mut journal, _) = open_with(root.path(), PLAIN).unwrap();
    let mut state = tidegate::observed::ObservedState::default();
    for seq in 1..=count {
        let record = if seq.is_multiple_of(4) { stop(&journal, seq) } else { record(seq) };
        journal.append(std::slice::from_ref(&record)).unwrap();
        state.apply(&record);
        if snapshots.contains(&seq) {
            journal.write_snapshot(Seq(seq), &state).unwrap();
        }
    }
    root
}

/// A record that names an object, which is kept.
fn stop(journal: &Journal<NoSync>, seq: u64) -> Record {
    let manifest = journal.objects().put(format!("manifest {seq}").as_bytes()).unwrap();
    let fact = Fact::StopStarted(tidegate::fact::StopStarted {
        object: "Deployment/shop/web".parse().unwrap(),
        incarnation: tidegate::names::Incarnation(1),
        rollout: Seq(seq),
        manifest,
        target: "local".parse().unwrap(),
        epoch: None,
    });
    Record { seq: Seq(seq), at: Timestamp::from_millis(1_700_000_000_000), fact }
}

/// Drops the files of records before the one that begins at `from`, as retention does.
fn drop_before(root: &Path, from: u64) {
    for path in segments(root) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if name.parse::<u64>().unwrap() < from {
            fs::remove_file(path).unwrap();
        }
    }
}

/// Opens a journal whose snapshots hold a real state.
fn reopen(root: &Path, options: Options) -> Journal<NoSync> {
    Journal::open_with(NoSync, root, options, &mut |_| Ok(())).unwrap().0
}
