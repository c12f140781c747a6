//! Copies of a journal: out of a state directory while a daemon writes it, and back into an empty one.
//!
//! A copy is a state directory itself: [`verify()`] and every reader take it as one. Each file in it is written beside
//! its name, synced and renamed; objects come before the records that name them, records before the snapshots that
//! stand for them. So whatever a crash leaves is an earlier copy, or an unfinished file that nobody reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Access, Disk, RealDisk};
use super::error::JournalError;
use super::lost;
use super::named::hashes_of;
use super::opening;
use super::reader::LOOKS_MAX;
use super::recovery::{Head, Segment, Walk, segments};
use super::snapshot::{self, SnapshotFile};
use super::store::{ObjectStore, StoreError, objects_of};
use super::verify::{Finding, Fold, Proof, verify};
use crate::names::{ContentHash, Seq};

/// Bytes that are copied at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// Bytes of objects that are synced together.
const OBJECTS_BYTES: usize = 16 * 1024 * 1024;

/// Why a journal was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It cannot be read, or the copy cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// An object that a record names is missing, or cannot be read or written.
    #[error("record {seq} names an object that cannot be copied")]
    Object {
        /// The record.
        seq: Seq,
        /// What is wrong with it.
        source: StoreError,
    },
    /// An object cannot be written, or one that something else than a record names cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to copy.
    #[error("there is no journal in `{0}`")]
    Nothing(PathBuf),
    /// The place is in use.
    #[error(
        "`{0}` is not empty, and no backup of tidegate is in it; name a directory that is new, empty, or holds an \
         earlier backup of this journal"
    )]
    NotEmpty(PathBuf),
    /// The place holds a journal.
    #[error(
        "there is a journal in `{0}` already; nothing was changed. Move `journal` and `objects` away first, if it is \
         to be replaced"
    )]
    Occupied(PathBuf),
    /// The earlier backup does not belong to this journal.
    #[error(
        "the backup in `{dir}` is of another journal: its record {seq} is not the one with this number here; back up \
         into another directory"
    )]
    Foreign {
        /// The backup.
        dir: PathBuf,
        /// The record that differs.
        seq: Seq,
    },
    /// The earlier backup goes on where this journal ends.
    #[error(
        "the backup in `{dir}` ends at record {copied}, and the journal at record {last}: records of the journal are \
         missing, and the backup has them"
    )]
    Ahead {
        /// The backup.
        dir: PathBuf,
        /// Its last record.
        copied: Seq,
        /// The last record of the journal.
        last: Seq,
    },
    /// The earlier backup has the same records in other files.
    #[error(
        "the backup in `{dir}` has the same records in other files: the journal was salvaged or restored from \
         elsewhere since; back up into another directory"
    )]
    Recut {
        /// The backup.
        dir: PathBuf,
    },
    /// The place is a link.
    #[error("`{0}` is a symbolic link; remove it, or make it the directory itself")]
    Link(PathBuf),
    /// Records between the earlier backup and the journal were compacted away.
    #[error(
        "the backup in `{dir}` ends at record {copied}, and the journal now begins at record {first}; back up into \
         another directory"
    )]
    Gap {
        /// The backup.
        dir: PathBuf,
        /// Its last record.
        copied: Seq,
        /// The first record of the journal.
        first: Seq,
    },
    /// What is to be copied, or what was, is not what was written.
    #[error("{} is wrong in `{dir}`; first `{}`: {}", amount(.findings), first_path(.findings), first(.findings))]
    Damaged {
        /// The state directory or copy.
        dir: PathBuf,
        /// What is wrong.
        findings: Vec<Finding>,
    },
}

fn amount(findings: &[Finding]) -> String {
    if findings.len() == 1 { "1 thing".to_owned() } else { format!("{} things", findings.len()) }
}

fn first(findings: &[Finding]) -> &str {
    findings.first().map_or("", |finding| &finding.message)
}

fn first_path(findings: &[Finding]) -> String {
    findings.first().map(|finding| finding.path.display().to_string()).unwrap_or_default()
}

/// What was copied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copied {
    /// The last record that an earlier backup in the same place had.
    pub earlier: Option<Seq>,
    /// The last record of the copy, and its hash.
    pub head: Head,
    /// Files of records and snapshots that were written.
    pub files: u64,
    /// Objects that were written.
    pub objects: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// What was proven of the whole copy afterwards.
    pub proof: Proof,
}

/// Copies the journal of the state directory `root` into `dir`: all of it, or what an earlier backup there lacks.
///
/// Needs no lock: a daemon may run, and remove old files meanwhile.
///
/// # Errors
/// When it cannot be read, or is not whole, or `dir` is of no use; what is in `dir` then is as good as before.
pub fn backup<F: Fold>(root: &Path, dir: &Path, fold: impl Fn() -> F) -> Result<Copied, CopyError> {
    if segments(&RealDisk, &root.join("journal"))?.is_empty() {
        return Err(CopyError::Nothing(root.to_owned()));
    }
    opening::make_dir(&RealDisk, dir, 0o750)?;
    let names = RealDisk.list(dir).map_err(JournalError::io("list", dir))?;
    let same = std::fs::canonicalize(root).ok() == std::fs::canonicalize(dir).ok();
    let inside = std::fs::canonicalize(dir).is_ok_and(|dir| {
        ["journal", "objects"].iter().any(|part| {
            std::fs::canonicalize(root.join(part)).is_ok_and(|part| dir.starts_with(part))
        })
    });
    let known = lost::records_lost(dir)?;
    // A backup that was ended in its first moments left a lock, or a mark that was not finished.
    let is_empty = names.iter().all(|name| name == "lock" || name.ends_with("-new"));
    if same || inside || !is_empty && known.is_none() {
        return Err(CopyError::NotEmpty(dir.to_owned()));
    }
    let _lock = opening::lock(&RealDisk, dir)?;
    lost::mark(dir, lost::records_lost(root)?.or(known).unwrap_or_default())?;
    let copy = dir.join("journal");
    opening::make_dir(&RealDisk, &copy, 0o750)?;
    opening::clear_leftovers(&RealDisk, &copy)?;
    let earlier = end_of(&copy)?;
    let copied = copy_into(root, dir, &copy, earlier)?;
    prove(dir, copied, fold)
}

/// Copies the backup in `from` into the state directory `root`, which has no journal, and marks it: what was recorded
/// after the backup is lost.
///
/// # Errors
/// When the backup is not whole, or there is a journal; nothing is in place then.
pub fn restore<F: Fold>(
    from: &Path,
    root: &Path,
    fold: impl Fn() -> F,
) -> Result<Copied, CopyError> {
    let proof = verify(from, &fold)?;
    if !proof.findings.is_empty() {
        return Err(CopyError::Damaged { dir: from.to_owned(), findings: proof.findings });
    }
    if proof.last.is_none() && proof.snapshots == 0 {
        return Err(CopyError::Nothing(from.to_owned()));
    }
    let staging = Staging::begin(root)?;
    let known = lost::records_lost(from)?.unwrap_or_default();
    lost::mark(root, known)?;
    let copied = copy_into(from, root, &staging.dir, None)?;
    staging.put_in_place()?;
    prove(root, copied, fold)
}

/// A journal that is put in place all at once.
pub(super) struct Staging {
    root: PathBuf,
    pub(super) dir: PathBuf,
    _lock: <RealDisk as Disk>::Lock,
}

impl Staging {
    /// Begins in the state directory `root`, if no journal is there.
    pub(super) fn begin(root: &Path) -> Result<Self, CopyError> {
        opening::make_dir(&RealDisk, root, 0o750)?;
        let lock = opening::lock(&RealDisk, root)?;
        let journal = root.join("journal");
        if journal.is_symlink() {
            return Err(CopyError::Link(journal));
        }
        let held = match RealDisk.list(&journal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed,
        };
        if !held.map_err(JournalError::io("list", &journal))?.is_empty() {
            return Err(CopyError::Occupied(root.to_owned()));
        }
        let dir = root.join("journal-new");
        opening::make_dir(&RealDisk, &dir, 0o750)?;
        for name in RealDisk.list(&dir).map_err(JournalError::io("list", &dir))? {
            let path = dir.join(name);
            RealDisk.remove(&path).map_err(JournalError::io("remove", &path))?;
        }
        Ok(Self { root: root.to_owned(), dir, _lock: lock })
    }

    pub(super) fn put_in_place(self) -> Result<(), JournalError> {
        let journal = self.root.join("journal");
        RealDisk.sync_dir(&self.dir).map_err(JournalError::io("sync", &self.dir))?;
        RealDisk.rename(&self.dir, &journal).map_err(JournalError::io("rename", &self.dir))?;
        RealDisk.sync_dir(&self.root).map_err(JournalError::io("sync", &self.root))
    }
}

fn prove<F: Fold>(
    dir: &Path,
    mut copied: Copied,
    fold: impl Fn() -> F,
) -> Result<Copied, CopyError> {
    copied.proof = verify(dir, fold)?;
    if copied.proof.findings.is_empty() {
        return Ok(copied);
    }
    Err(CopyError::Damaged { dir: dir.to_owned(), findings: copied.proof.findings })
}

/// Where an earlier backup ends.
fn end_of(copy: &Path) -> Result<Option<Head>, JournalError> {
    let Some(last) = segments(&RealDisk, copy)?.pop() else { return Ok(None) };
    let Some(mut walk) = Walk::start(RealDisk, copy, last, Seq(u64::MAX))? else { return Ok(None) };
    while walk.next()?.is_some() {}
    Ok(Some(walk.head()))
}

/// What is to be copied of a journal.
struct Survey {
    /// The files of records, with the offset after the last whole line.
    segments: Vec<(Segment, u64)>,
    snapshots: Vec<SnapshotFile>,
    /// The objects that new records name.
    named: BTreeMap<ContentHash, Seq>,
    head: Head,
}

/// Copies as often as a daemon removes old files meanwhile; `copy` is the journal's directory in `dir`.
fn copy_into(
    root: &Path,
    dir: &Path,
    copy: &Path,
    earlier: Option<Head>,
) -> Result<Copied, CopyError> {
    let mut looks = 0;
    loop {
        looks += 1;
        let oldest = segments(&RealDisk, &root.join("journal"))?.into_iter().next();
        let result = try_copy(root, dir, copy, earlier);
        let now = segments(&RealDisk, &root.join("journal"))?.into_iter().next();
        let again = match &result {
            Ok(_) => false,
            Err(CopyError::Journal(error)) if error.is_gone() => true,
            Err(CopyError::Journal(JournalError::Unsettled)) => true,
            Err(_) => now != oldest,
        };
        if !again || looks == LOOKS_MAX {
            return result;
        }
        if earlier.is_none() {
            // What was copied may not join what is there now.
            for name in RealDisk.list(copy).map_err(JournalError::io("list", copy))? {
                let path = copy.join(name);
                RealDisk.remove(&path).map_err(JournalError::io("remove", &path))?;
            }
        }
    }
}

fn try_copy(
    root: &Path,
    dir: &Path,
    copy: &Path,
    earlier: Option<Head>,
) -> Result<Copied, CopyError> {
    let survey = survey(root, dir, earlier)?;
    let mut copied = Copied {
        earlier: earlier.map(|earlier| earlier.seq),
        head: survey.head,
        files: 0,
        objects: 0,
        bytes: 0,
        proof: Proof::default(),
    };
    let mut objects = survey.named.keys().copied().collect::<BTreeSet<_>>();
    let snapshots = survey.snapshots.iter().map(|file| (&file.path, u64::MAX));
    for (path, len) in survey.segments.iter().map(|(s, len)| (&s.path, *len)).chain(snapshots) {
        hashes_of(&RealDisk, path, len, &mut objects).map_err(JournalError::io("read", path))?;
    }
    let made = copy_objects(root, dir, &objects, &survey.named)?;
    (copied.objects, copied.bytes) = (made.objects, made.bytes);
    for (segment, len) in &survey.segments {
        let to = Segment::new(copy, segment.from).path;
        if length(&to) != Some(*len) {
            copied.bytes += copy_file(&segment.path, &to, *len)?;
            copied.files += 1;
        }
    }
    RealDisk.sync_dir(copy).map_err(JournalError::io("sync", copy))?;
    for file in &survey.snapshots {
        let to = SnapshotFile::new(copy, file.seq).path;
        let len = length(&file.path).unwrap_or(0);
        if length(&to) != Some(len) {
            copied.bytes += copy_file(&file.path, &to, len)?;
            copied.files += 1;
        }
    }
    drop_snapshots(copy, &survey.snapshots)?;
    RealDisk.sync_dir(copy).map_err(JournalError::io("sync", copy))?;
    Ok(copied)
}

fn length(path: &Path) -> Option<u64> {
    RealDisk.open(path, Access::Read).and_then(|file| RealDisk.len(&file)).ok()
}

/// Reads the journal from where an earlier backup ends, and finds what is to be copied.
fn survey(root: &Path, dir: &Path, earlier: Option<Head>) -> Result<Survey, CopyError> {
    let journal = root.join("journal");
    // Before the records, so that each of them stands at a record that is copied.
    let mut snapshots = snapshot::list(&RealDisk, &journal)?;
    let all = segments(&RealDisk, &journal)?;
    let oldest = all.first().ok_or_else(|| CopyError::Nothing(root.to_owned()))?;
    let base = Seq(oldest.from.0.saturating_sub(1));
    snapshots.retain(|file| file.seq >= base && snapshot::read_whole(&RealDisk, file).is_ok());
    if base > Seq(0) && snapshots.is_empty() {
        // The state before the oldest record was dropped meanwhile.
        return Err(JournalError::Unsettled.into());
    }
    let copied = earlier.map_or(Seq(0), |earlier| earlier.seq);
    let (dir, first) = (dir.to_owned(), oldest.from);
    let start = match earlier {
        None => oldest,
        Some(_) => all
            .iter()
            .rfind(|segment| segment.from <= copied.next())
            .ok_or_else(|| CopyError::Gap { dir: dir.clone(), copied, first })?,
    };
    let mut survey = Survey {
        segments: Vec::new(),
        snapshots,
        named: BTreeMap::new(),
        head: Head { seq: base, ..Head::START },
    };
    let Some(mut walk) = Walk::start(RealDisk, &journal, start.clone(), Seq(0))? else {
        return Err(CopyError::Nothing(root.to_owned()));
    };
    // A daemon may write as fast as this reads: it ends with the newest file that is there now.
    let newest = all.last().map_or(first, |segment| segment.from);
    loop {
        if walk.segment().from > newest {
            break;
        }
        let head = walk.head();
        if let Some(earlier) = earlier
            && earlier.seq == head.seq
            && earlier.hash != head.hash
        {
            return Err(CopyError::Foreign { dir, seq: head.seq });
        }
        let segment = walk.segment();
        match survey.segments.last_mut() {
            Some((last, end)) if last == segment => *end = walk.end().0,
            _ => survey.segments.push((segment.clone(), walk.end().0)),
        }
        survey.head = head;
        let Some(step) = walk.next()? else { break };
        let Some(record) = step.record.filter(|record| record.seq > copied) else { continue };
        for hash in objects_of(&record.fact) {
            survey.named.entry(hash).or_insert(record.seq);
        }
    }
    // A file without a record yet is entered by the step that finds the end.
    let entered = walk.segment().clone();
    let known = survey.segments.last().is_some_and(|(last, _)| *last == entered);
    if !known && entered.from <= newest {
        survey.segments.push((entered, walk.end().0));
    }
    let last = survey.head.seq;
    if last < copied {
        return Err(CopyError::Ahead { dir, copied, last });
    }
    if earlier.is_some() {
        check_cut(&all, &dir, copied)?;
    }
    survey.snapshots.retain(|file| file.seq <= last);
    Ok(survey)
}

/// Checks that an earlier backup up to `copied` has its records in the same files: those are copied by their names.
fn check_cut(all: &[Segment], dir: &Path, copied: Seq) -> Result<(), CopyError> {
    let there = segments(&RealDisk, &dir.join("journal"))?;
    let (Some(ours), Some(theirs)) = (all.first(), there.first()) else { return Ok(()) };
    let from = ours.from.max(theirs.from);
    let shared = |files: &[Segment]| {
        let files = files.iter().map(|file| file.from);
        files.filter(|first| (from..=copied).contains(first)).collect::<Vec<_>>()
    };
    if shared(all) == shared(&there) {
        return Ok(());
    }
    Err(CopyError::Recut { dir: dir.to_owned() })
}

/// How much was written.
#[derive(Default)]
pub(super) struct Made {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Objects that records name and that cannot be had.
    pub(super) missing: BTreeMap<ContentHash, Seq>,
}

/// Copies those of `objects` that are there; those that records name must be.
fn copy_objects(
    root: &Path,
    dir: &Path,
    objects: &BTreeSet<ContentHash>,
    named: &BTreeMap<ContentHash, Seq>,
) -> Result<Made, CopyError> {
    let made = copy_found_objects(root, dir, objects, named)?;
    match made.missing.first_key_value() {
        None => Ok(made),
        Some((hash, seq)) => match ObjectStore::at(root).get(hash) {
            Ok(_) => Err(JournalError::Unsettled.into()), // it was put back meanwhile
            Err(source) => Err(CopyError::Object { seq: *seq, source }),
        },
    }
}

/// Copies those of `objects` that are there and whole.
pub(super) fn copy_found_objects(
    root: &Path,
    dir: &Path,
    objects: &BTreeSet<ContentHash>,
    named: &BTreeMap<ContentHash, Seq>,
) -> Result<Made, CopyError> {
    opening::make_dir(&RealDisk, &dir.join("objects"), 0o700)?;
    let (from, to) = (ObjectStore::at(root), ObjectStore::at(dir));
    let mut made = Made::default();
    let (mut waiting, mut waiting_bytes) = (Vec::new(), 0);
    let mut shards = BTreeSet::new();
    for hash in objects {
        match to.get(hash) {
            // Its name may have been left by a process that ended before it synced the directory.
            Ok(_) => {
                shards.extend(to.path(hash).parent().map(Path::to_owned));
                continue;
            }
            Err(error @ StoreError::Io { .. }) => return Err(error.into()),
            Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) => {}
        }
        match from.get(hash) {
            Ok(content) => {
                made.objects += 1;
                made.bytes += content.len() as u64;
                waiting_bytes += content.len();
                waiting.push(content);
            }
            Err(error @ StoreError::Io { .. }) => return Err(error.into()),
            Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) => {
                // Most of what looks like a name is a digest of an image.
                made.missing.extend(named.get(hash).map(|seq| (*hash, *seq)));
            }
        }
        if waiting_bytes > OBJECTS_BYTES {
            to.put_many(&waiting)?;
            waiting.clear();
            waiting_bytes = 0;
        }
    }
    to.put_many(&waiting)?;
    for shard in shards {
        RealDisk.sync_dir(&shard).map_err(JournalError::io("sync", &shard))?;
    }
    Ok(made)
}

/// Copies the first `len` bytes of a file, new beside its name and synced; the directory is left to be synced.
pub(super) fn copy_file(from: &Path, to: &Path, len: u64) -> Result<u64, JournalError> {
    let new = to.with_extension("copy-new");
    let read = JournalError::io("read", from);
    let write = JournalError::io("write", to);
    let source = RealDisk.open(from, Access::Read).map_err(JournalError::io("open", from))?;
    let target = RealDisk.create(&new, 0o640).map_err(JournalError::io("write", &new))?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut offset = 0;
    let copied = loop {
        let left = usize::try_from(len - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        let Some(space) = piece.get_mut(..left).filter(|space| !space.is_empty()) else {
            break Ok(());
        };
        let count = match RealDisk.read_at(&source, space, offset) {
            Ok(0) => return Err(read(io::ErrorKind::UnexpectedEof.into())),
            Ok(count) => count,
            Err(error) => return Err(read(error)),
        };
        let bytes = space.get(..count).unwrap_or_default();
        if let Err(error) = RealDisk.write_at(&target, bytes, offset) {
            break Err(error);
        }
        offset += count as u64;
    };
    copied
        .and_then(|()| RealDisk.sync_data(&target))
        .and_then(|()| RealDisk.rename(&new, to))
        .map_err(write)?;
    Ok(offset)
}

/// Removes snapshots that the journal does not keep any more, but for the one that stands before the copy's records.
fn drop_snapshots(copy: &Path, kept: &[SnapshotFile]) -> Result<(), JournalError> {
    let base = segments(&RealDisk, copy)?.first().map_or(Seq(0), |s| Seq(s.from.0 - 1));
    if kept.is_empty() {
        return Ok(());
    }
    for file in snapshot::list(&RealDisk, copy)? {
        if file.seq != base && kept.iter().all(|kept| kept.seq != file.seq) {
            RealDisk.remove(&file.path).map_err(JournalError::io("remove", &file.path))?;
        }
    }
    Ok(())
}
