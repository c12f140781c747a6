//! Making a journal of what is proven in one that cannot be opened.
//!
//! Each line proves itself by the hash of the line before it, wherever it stands. So the files are read as lines, and a
//! run of records is what the chain gives from a beginning whose hash is known: the first record, or a whole snapshot.
//! The run that reaches farthest becomes the new journal, with the state that its snapshot holds; what stands behind it
//! is told, and not taken. The journal that was read is not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::backup::{CopyError, Staging, copy_file, copy_found_objects};
use super::codec::{self, BATCH_MARKER, Header, LineHash};
use super::disk::{Access, Disk, RealDisk};
use super::error::{JournalError, Place};
use super::lines::Lines;
use super::lost::{self, Mark};
use super::named::{hashes_in, hashes_of};
use super::opening;
use super::recovery::{Head, Segment, segments};
use super::snapshot::{self, Snapshot, SnapshotFile};
use super::store::objects_of;
use super::verify::{Fold, Proof, verify};
use super::{Replay, StateError};
use crate::fact::Record;
use crate::limits;
use crate::names::{ContentHash, Seq};

/// Bytes that are gathered before they are written.
const GATHERED_BYTES: usize = 1024 * 1024;

/// Why nothing was salvaged.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// A start takes the journal as it is.
    #[error(
        "the journal in `{0}` opens as it is; nothing was written. What `tidegate journal verify` finds damaged is \
         older than the snapshot that a start begins with; a backup from before is the only way to have it back"
    )]
    Opens(PathBuf),
    /// Not one record is proven.
    #[error(
        "nothing in `{0}` is proven, neither its first record nor a snapshot; nothing was written. Restore a backup \
         (`tidegate journal restore`)"
    )]
    Nothing(PathBuf),
    /// The place is in use.
    #[error("`{0}` is not empty; name a directory that is new, or empty")]
    NotEmpty(PathBuf),
    /// It cannot be read, or the new one cannot be written.
    #[error(transparent)]
    Copy(#[from] CopyError),
}

impl From<JournalError> for SalvageError {
    fn from(error: JournalError) -> Self {
        Self::Copy(error.into())
    }
}

/// What was salvaged, and what was not.
#[derive(Debug)]
pub struct Salvaged {
    /// Why the journal does not open.
    pub why: JournalError,
    /// The record that the new journal stands behind; 0 is the beginning.
    pub base: Seq,
    /// Its last record: all up to it are in its state.
    pub last: Seq,
    /// The last record that is known to be lost.
    pub lost: Option<Seq>,
    /// Lines behind the last record that can be read; nothing proves them.
    pub unproven: u64,
    /// Objects that kept records name and that are missing or damaged, with the record.
    pub missing: BTreeMap<ContentHash, Seq>,
    /// What was proven of the new journal.
    pub proof: Proof,
}

/// Writes what is proven of the journal in `root` into the state directory `to`, which is new or empty, and marks it:
/// what stood behind is lost.
///
/// `behind` is given the records that stand behind what is proven and can still be read.
///
/// # Errors
/// When the journal opens as it is, nothing in it is proven, it was written by a newer version, or `to` is of no use.
pub fn salvage<F: Fold>(
    root: &Path,
    to: &Path,
    fold: impl Fn() -> F,
    behind: &mut dyn FnMut(&Record, &Place),
) -> Result<Salvaged, SalvageError> {
    let dir = root.join("journal");
    let usable = |snapshot: &Snapshot| snapshot.is_whole() && fold().begin(snapshot).is_ok();
    let why = why_not(&dir, root, &usable)?;
    let files = segments(&RealDisk, &dir)?;
    let snapshots = heads(&dir, &usable)?;
    let run = farthest(&files, &snapshots)?.ok_or_else(|| SalvageError::Nothing(root.into()))?;
    if to.exists() {
        let names = RealDisk.list(to).map_err(JournalError::io("list", to))?;
        // What a salvage leaves that was ended before it put a journal in place.
        let unfinished = ["lock", "records-lost", "journal-new", "objects"];
        if names.iter().any(|name| !unfinished.contains(&&**name) && !name.ends_with("-new")) {
            return Err(SalvageError::NotEmpty(to.to_owned()));
        }
    }
    let named = snapshot::list(&RealDisk, &dir)?;
    let mut salvaged = Salvaged {
        why,
        base: run.start.seq,
        last: run.end.seq,
        lost: named.first().map(|file| file.seq).filter(|seq| *seq > run.end.seq),
        unproven: 0,
        missing: BTreeMap::new(),
        proof: Proof::default(),
    };
    let mut found = Named::default();
    scan(&files, run.start, &mut |line| match line {
        Found::Proven { text, .. } => found.add(text),
        Found::Other { text, place } => {
            let Some(record) = codec::decode(text).ok().filter(|r| r.seq > run.end.seq) else {
                return Ok(());
            };
            salvaged.lost = salvaged.lost.max(Some(record.seq));
            salvaged.unproven += 1;
            behind(&record, &place);
            Ok(())
        }
    })?;
    let staging = Staging::begin(to)?;
    lost::mark(to, Mark { last: salvaged.lost })?;
    for file in &run.snapshots {
        let read = hashes_of(&RealDisk, &file.path, u64::MAX, &mut found.maybe);
        read.map_err(JournalError::io("read", &file.path))?;
    }
    salvaged.missing = copy_found_objects(root, to, &found.maybe, &found.records)?.missing;
    let mut writer = Writer::begin(&staging.dir, run.start)?;
    scan(&files, run.start, &mut |line| match line {
        Found::Proven { text, head, begins } => writer.add(text, head, begins),
        Found::Other { .. } => Ok(()),
    })?;
    writer.end()?;
    for file in &run.snapshots {
        let new = SnapshotFile::new(&staging.dir, file.seq).path;
        let len = RealDisk.open(&file.path, Access::Read).and_then(|file| RealDisk.len(&file));
        copy_file(&file.path, &new, len.map_err(JournalError::io("read", &file.path))?)?;
    }
    staging.put_in_place()?;
    salvaged.proof = verify(to, fold)?;
    Ok(salvaged)
}

/// What the opening of a journal says, which changes nothing.
fn why_not(
    dir: &Path,
    root: &Path,
    usable: &dyn Fn(&Snapshot) -> bool,
) -> Result<JournalError, SalvageError> {
    let mut replay = |replay| match replay {
        Replay::Snapshot(snapshot) if !usable(&snapshot) => Err(StateError::Damaged.to_string()),
        Replay::Snapshot(_) | Replay::Record(_) => Ok(()),
    };
    match opening::read_all(&RealDisk, dir, &mut replay, &mut Vec::new()) {
        Ok(_) => Err(SalvageError::Opens(root.to_owned())),
        Err(error @ (JournalError::Io { .. } | JournalError::Newer { .. })) => Err(error.into()),
        Err(error) => Ok(error),
    }
}

/// The snapshots that can be used, with the record that each stands at.
fn heads(
    dir: &Path,
    usable: &dyn Fn(&Snapshot) -> bool,
) -> Result<Vec<(SnapshotFile, Head)>, JournalError> {
    let mut heads = Vec::new();
    for file in snapshot::list(&RealDisk, dir)? {
        if let Some(snapshot) = snapshot::read(&RealDisk, &file).ok().filter(usable) {
            heads.push((file, snapshot.head()));
        }
    }
    Ok(heads)
}

/// Records that follow from each other.
struct Run {
    start: Head,
    end: Head,
    /// The snapshots that stand at one of them.
    snapshots: Vec<SnapshotFile>,
}

/// The run that reaches farthest; of several, the one with the most records.
fn farthest(
    files: &[Segment],
    snapshots: &[(SnapshotFile, Head)],
) -> Result<Option<Run>, JournalError> {
    let mut runs = Vec::new();
    let mut foreign = BTreeSet::new();
    let mut starts = vec![beginning(files)?];
    starts.extend(snapshots.iter().map(|(_, head)| *head));
    for (index, start) in starts.into_iter().enumerate() {
        if foreign.contains(&start.seq) {
            continue;
        }
        let mut passed: Vec<(Seq, LineHash)> = vec![(start.seq, start.hash)];
        let mut end = start;
        scan(files, start, &mut |line| {
            if let Found::Proven { head, .. } = line {
                end = head;
                if snapshots.iter().any(|(file, _)| file.seq == head.seq) {
                    passed.push((head.seq, head.hash));
                }
            }
            Ok(())
        })?;
        let fits = |head: &Head| passed.contains(&(head.seq, head.hash));
        let differs =
            |head: &Head| passed.iter().any(|(seq, hash)| *seq == head.seq && *hash != head.hash);
        let belong = snapshots.iter().filter(|(_, head)| fits(head));
        let belong: Vec<_> = belong.map(|(file, _)| file.clone()).collect();
        if index == 0 {
            // A chain of records says more than a snapshot that does not fit it.
            foreign.extend(snapshots.iter().filter(|(_, h)| differs(h)).map(|(file, _)| file.seq));
        }
        // Behind dropped records the state is known from a snapshot, or not at all.
        if end.seq > Seq(0) && (start.seq == Seq(0) || !belong.is_empty()) {
            runs.push(Run { start, end, snapshots: belong });
        }
    }
    // The first of equal ones begins earliest: a snapshot's own run is a part of the one that passes it.
    Ok(runs.into_iter().rev().max_by_key(|run| (run.end.seq, std::cmp::Reverse(run.start.seq))))
}

/// Where the oldest file begins, by its header or, if that is damaged, by its name.
fn beginning(files: &[Segment]) -> Result<Head, JournalError> {
    let Some(oldest) = files.first().filter(|oldest| oldest.from > Seq(1)) else {
        return Ok(Head::START);
    };
    let file = RealDisk.open(&oldest.path, Access::Read);
    let file = file.map_err(JournalError::io("open", &oldest.path))?;
    let mut lines = Lines::new(RealDisk, file);
    let line = lines.next().map_err(JournalError::io("read", &oldest.path))?;
    let header = line.and_then(|line| Header::parse(lines.bytes(&line)).ok());
    let header = header.filter(|header| header.from == oldest.from);
    // Without it nothing follows from here, and a snapshot has to be the beginning.
    let hash = header.map_or(LineHash::START, |header| header.continues);
    Ok(Head { seq: Seq(oldest.from.0 - 1), hash })
}

/// A line of the journal's files.
enum Found<'a> {
    /// The next record of the run.
    Proven {
        text: &'a [u8],
        head: Head,
        /// Whether a batch began before it.
        begins: bool,
    },
    /// Anything else.
    Other { text: &'a [u8], place: Place },
}

/// Reads every line of every file, and follows the chain from `start`.
fn scan(
    files: &[Segment],
    start: Head,
    on: &mut dyn FnMut(Found<'_>) -> Result<(), JournalError>,
) -> Result<(), JournalError> {
    let mut head = start;
    for segment in files {
        let file = RealDisk.open(&segment.path, Access::Read);
        let file = file.map_err(JournalError::io("open", &segment.path))?;
        let mut lines = Lines::new(RealDisk, file);
        let mut begins = true;
        while let Some(line) = lines.next().map_err(JournalError::io("read", &segment.path))? {
            let text = lines.bytes(&line);
            if text == BATCH_MARKER {
                begins = true;
                continue;
            }
            let seq = codec::seq_of(text);
            match codec::unseal(text) {
                Some((body, stated))
                    if seq == Some(head.seq.next()) && head.hash.next(body) == stated =>
                {
                    head = Head { seq: head.seq.next(), hash: stated };
                    on(Found::Proven { text, head, begins })?;
                    begins = false;
                }
                _ => {
                    let path = segment.path.clone();
                    let place = Place { path, offset: line.start, line: line.number, seq };
                    on(Found::Other { text, place })?;
                }
            }
        }
    }
    Ok(())
}

/// The objects that records name, and those that a text may name.
#[derive(Default)]
struct Named {
    records: BTreeMap<ContentHash, Seq>,
    maybe: BTreeSet<ContentHash>,
}

impl Named {
    fn add(&mut self, text: &[u8]) -> Result<(), JournalError> {
        self.maybe.extend(hashes_in(text));
        // The opening said that all of them can be read, or never came so far.
        if let Ok(record) = codec::decode(text) {
            for hash in objects_of(&record.fact) {
                self.records.entry(hash).or_insert(record.seq);
            }
        }
        Ok(())
    }
}

/// Writes records into new files.
struct Writer<'a> {
    dir: &'a Path,
    segment: Segment,
    file: <RealDisk as Disk>::File,
    head: Head,
    end: u64,
    /// Whether the file has no record yet.
    fresh: bool,
    gathered: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn begin(dir: &'a Path, head: Head) -> Result<Self, JournalError> {
        let segment = Segment::new(dir, head.seq.next());
        let file = RealDisk.create(&segment.path, 0o640);
        let file = file.map_err(JournalError::io("write", &segment.path))?;
        let gathered = head.header().encode();
        Ok(Self { dir, segment, file, head, end: 0, fresh: true, gathered })
    }

    fn add(&mut self, text: &[u8], head: Head, begins: bool) -> Result<(), JournalError> {
        if self.end >= limits::JOURNAL_SEGMENT_BYTES {
            self.flush()?;
            RealDisk.sync_data(&self.file).map_err(self.failed())?;
            *self = Self::begin(self.dir, self.head)?;
        }
        if begins || self.fresh {
            self.gathered.extend_from_slice(BATCH_MARKER);
            self.gathered.push(b'\n');
        }
        self.gathered.extend_from_slice(text);
        self.gathered.push(b'\n');
        (self.head, self.fresh) = (head, false);
        if self.gathered.len() > GATHERED_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), JournalError> {
        RealDisk.write_at(&self.file, &self.gathered, self.end).map_err(self.failed())?;
        self.end += self.gathered.len() as u64;
        self.gathered.clear();
        Ok(())
    }

    fn end(mut self) -> Result<(), JournalError> {
        self.flush()?;
        RealDisk.sync_data(&self.file).map_err(self.failed())
    }

    fn failed(&self) -> impl FnOnce(io::Error) -> JournalError + use<> {
        JournalError::io("write", &self.segment.path)
    }
}
