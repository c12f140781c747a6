//! Checking everything: each line, each snapshot, each value that a record names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::disk::RealDisk;
use super::error::JournalError;
use super::reader::settled;
use super::recovery::{Head, Segment, Tail, Walk, segments};
use super::snapshot::{self, Snapshot, SnapshotFile, StateError};
use super::store::{ObjectStore, StoreError, objects_of};
use crate::fact::Record;
use crate::names::{ContentHash, Seq};

/// What was checked, and what was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Proof {
    /// Files of records that were read.
    pub segments: u64,
    /// Records that are what was written.
    pub records: u64,
    /// The first of them; none if there is none. What is before it was dropped by retention and is not proven.
    pub first: Option<Seq>,
    /// The hash that the first of them continues from; zeros where nothing was before it.
    pub continues: String,
    /// The last of them.
    pub last: Option<Seq>,
    /// The hash of the last of them: write it down elsewhere, and a later check proves that nothing was changed.
    pub hash: String,
    /// Snapshots that are whole and belong to these records.
    pub snapshots: u64,
    /// Those of them whose state is what the records before them give. Where history was dropped, the first one is not:
    /// it stands for records that are gone.
    pub replayed: u64,
    /// Values in the object store that records name, or the state before the oldest one, and that are whole.
    pub objects: u64,
    /// What is damaged or missing, in the order of the journal.
    pub findings: Vec<Finding>,
    /// What is no damage and may still be good to know.
    pub notes: Vec<String>,
}

/// One thing that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Offset of the first byte that is not proven, where it is a file of records.
    pub offset: Option<u64>,
    /// Its line.
    pub line: Option<u64>,
    /// The record that stands there, or names the value.
    pub seq: Option<Seq>,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Who knows what records mean: folds them into the state that snapshots hold.
pub trait Fold {
    /// Begins with the state of a snapshot.
    ///
    /// # Errors
    /// When it cannot be read as a state.
    fn begin(&mut self, base: &Snapshot) -> Result<(), StateError>;
    /// Adds the next record.
    fn apply(&mut self, record: &Record);
    /// The values in the object store that the state needs.
    fn objects(&self) -> Vec<ContentHash>;
    /// Whether a snapshot holds the state that was folded.
    ///
    /// # Errors
    /// When it cannot be read as a state.
    fn equals(&self, snapshot: &Snapshot) -> Result<bool, StateError>;
}

/// Checks the journal of the state directory `root` from end to end. Needs no lock: a daemon may run.
///
/// `fold` makes an empty state, to compare each snapshot with what the records before it give.
///
/// # Errors
/// When something cannot be read, so that nothing can be said about it; or when a newer version wrote it.
pub fn verify<F: Fold>(root: &Path, fold: impl Fn() -> F) -> Result<Proof, JournalError> {
    let oldest = || Ok(segments(&RealDisk, &root.join("journal"))?.into_iter().next());
    settled(|| {
        let before = oldest()?;
        let mut proof = Proof {
            segments: 0,
            records: 0,
            first: None,
            continues: Head::START.hash.to_string(),
            last: None,
            hash: Head::START.hash.to_string(),
            snapshots: 0,
            replayed: 0,
            objects: 0,
            findings: Vec::new(),
            notes: Vec::new(),
        };
        check(root, before.as_ref(), fold(), &mut proof)?;
        // Where a daemon dropped old files meanwhile, what was found missing may be what it dropped.
        let moved = !proof.findings.is_empty() && oldest()? != before;
        Ok((!moved).then_some(proof))
    })
}

fn check<F: Fold>(
    root: &Path,
    oldest: Option<&Segment>,
    fold: F,
    proof: &mut Proof,
) -> Result<(), JournalError> {
    let dir = root.join("journal");
    // Before the records: a daemon may write further ones of either meanwhile.
    let mut snapshots = read_snapshots(&dir, proof)?;
    let Some(oldest) = oldest else {
        proof.notes.push(format!("there is no journal in `{}` yet", dir.display()));
        check_ahead(&snapshots, Seq(0), proof);
        return Ok(());
    };
    // Older records may have been dropped, but only those that a snapshot stands for.
    let based = snapshots.iter().any(|(_, seq, head)| seq.next() >= oldest.from && head.is_some());
    if oldest.from > Seq(1) && !based {
        let last = Seq(oldest.from.0 - 1);
        let missing = JournalError::Missing { dir: dir.clone(), first: Seq(1), last };
        proof.findings.push(damage(missing, &dir)?);
    }
    match Walk::start(RealDisk, &dir, oldest.clone(), Seq(0)) {
        Ok(Some(mut walk)) => {
            proof.continues = walk.head().hash.to_string();
            let begun = oldest.from == Seq(1);
            let mut replay = Replayed { fold, begun, broken: false, needed: Vec::new() };
            check_records(root, &mut walk, &mut snapshots, &mut replay, proof)?;
        }
        Ok(None) => {
            let path = oldest.path.display();
            proof.notes.push(format!("`{path}` is only begun; the next start begins it again"));
            let base = snapshots.iter().find(|(_, seq, _)| seq.next() == oldest.from);
            let last = base.map_or(Seq(0), |(_, seq, _)| *seq);
            check_ahead(&snapshots, last, proof);
        }
        Err(error) => proof.findings.push(damage(error, &dir)?),
    }
    Ok(())
}

/// What the records gave so far.
struct Replayed<F> {
    fold: F,
    /// Whether the state before the first record is known.
    begun: bool,
    /// Whether a snapshot differed: then those behind it would only differ again.
    broken: bool,
    /// The values that the state which it began with needs: the records that named them may be gone.
    needed: Vec<ContentHash>,
}

impl<F: Fold> Replayed<F> {
    fn apply(&mut self, record: &Record) {
        if self.begun {
            self.fold.apply(record);
        }
    }

    /// Compares a snapshot with what the records before it give; the first one gives what was before them.
    fn compare(&mut self, path: &Path, seq: Seq, proof: &mut Proof) {
        if self.broken {
            return;
        }
        let file = SnapshotFile { seq, path: path.to_owned() };
        let Ok(snapshot) = snapshot::read_whole(&RealDisk, &file) else {
            return; // removed meanwhile
        };
        let begun = self.begun;
        let compared = if begun {
            self.fold.equals(&snapshot)
        } else {
            self.fold.begin(&snapshot).map(|()| true)
        };
        if !self.begun && compared.is_ok() {
            (self.begun, self.needed) = (true, self.fold.objects());
        }
        let message = match compared {
            Ok(true) => {
                // One that was begun with is taken on trust: the records before it are gone.
                proof.replayed += u64::from(begun);
                return;
            }
            Ok(false) => "the state in the snapshot is not what the records up to it give. Move it away: the next \
                          start takes an older one, or the records"
                .to_owned(),
            Err(error) => format!(
                "the snapshot is whole, and {error}; the next start takes an older one, or the records"
            ),
        };
        self.broken = true;
        proof.findings.push(finding(path, Some(seq), message));
    }
}

/// The snapshots that can be read, or at least their records.
type Snapshots = Vec<(PathBuf, Seq, Option<Head>)>;

fn read_snapshots(dir: &Path, proof: &mut Proof) -> Result<Snapshots, JournalError> {
    let mut snapshots = Vec::new();
    for file in snapshot::list(&RealDisk, dir)? {
        let head = match snapshot::read_whole(&RealDisk, &file) {
            Ok(snapshot) => Some(snapshot.head()),
            Err(_) if !file.path.exists() => continue, // a daemon removed it as the third newest
            Err(reason) => {
                let message = format!(
                    "the snapshot cannot be used: {reason}; move it away, the next start reads the records instead"
                );
                proof.findings.push(finding(&file.path, Some(file.seq), message));
                None
            }
        };
        snapshots.push((file.path, file.seq, head));
    }
    Ok(snapshots)
}

fn check_records<F: Fold>(
    root: &Path,
    walk: &mut Walk<RealDisk>,
    snapshots: &mut Snapshots,
    replay: &mut Replayed<F>,
    proof: &mut Proof,
) -> Result<(), JournalError> {
    let store = ObjectStore::at(root);
    let mut seen = BTreeSet::new();
    let mut path = PathBuf::new();
    let dir = root.join("journal");
    let ended = loop {
        let head = walk.head();
        proof.hash = head.hash.to_string();
        check_snapshots(head, snapshots, replay, proof);
        for hash in replay.needed.drain(..) {
            if seen.insert(hash) {
                check_object(store.get(&hash), head.seq, proof)?;
            }
        }
        if walk.segment().path != path {
            path.clone_from(&walk.segment().path);
            proof.segments += 1;
        }
        match walk.next() {
            Ok(Some(step)) => {
                let Some(record) = step.record else { continue };
                replay.apply(&record);
                proof.records += 1;
                proof.first = proof.first.or(Some(record.seq));
                proof.last = Some(record.seq);
                for hash in objects_of(&record.fact) {
                    if seen.insert(hash) {
                        check_object(store.get(&hash), record.seq, proof)?;
                    }
                }
            }
            Ok(None) => break None,
            Err(error) => break Some(damage(error, &dir)?),
        }
    };
    if walk.segment().path != path {
        proof.segments += 1; // one that holds no record yet
    }
    if let Some(finding) = ended {
        proof.findings.push(finding);
        // What comes behind it is not known, so nothing is said about later snapshots.
        return Ok(());
    }
    match walk.tail() {
        Tail::Clean | Tail::Torn { bytes: 0, .. } => {}
        Tail::Torn { place, bytes } => proof.notes.push(format!(
            "an unfinished write of {bytes} bytes at {place}: a daemon is writing it, or the next start cuts it off"
        )),
        Tail::Begun(segment) => proof.notes.push(format!(
            "`{}` is only begun; the next start begins it again",
            segment.path.display()
        )),
    }
    check_ahead(snapshots, walk.head().seq, proof);
    Ok(())
}

/// Compares the snapshots that stand at `head` with it, and takes them from the list.
fn check_snapshots<F: Fold>(
    head: Head,
    snapshots: &mut Snapshots,
    replay: &mut Replayed<F>,
    proof: &mut Proof,
) {
    for (path, seq, read) in snapshots.extract_if(.., |(_, seq, _)| *seq == head.seq) {
        match read {
            Some(read) if read.hash == head.hash => {
                proof.snapshots += 1;
                replay.compare(&path, seq, proof);
            }
            Some(read) => {
                let message = format!(
                    "the snapshot was taken at a record with hash {}, and this journal's has {}: they belong to \
                     different journals. Move the one away that does not belong here",
                    read.hash, head.hash
                );
                proof.findings.push(finding(&path, Some(seq), message));
            }
            None => {}
        }
    }
}

fn check_ahead(snapshots: &Snapshots, last: Seq, proof: &mut Proof) {
    for (path, seq, _) in snapshots.iter().filter(|(_, seq, _)| *seq > last) {
        let message = format!(
            "the snapshot stands at record {seq}, but the journal ends at record {last}: files of the journal were \
             removed or replaced. {}",
            "Put them back from a backup, or keep what is there: see `tidegate journal salvage --help`"
        );
        proof.findings.push(finding(path, Some(*seq), message));
    }
}

fn check_object(
    got: Result<Vec<u8>, StoreError>,
    seq: Seq,
    proof: &mut Proof,
) -> Result<(), JournalError> {
    match got {
        Ok(_) => proof.objects += 1,
        Err(StoreError::Io { doing, path, source }) => {
            return Err(JournalError::Io { doing, path, source });
        }
        Err(
            ref
            error @ (StoreError::Missing { ref path, .. } | StoreError::Damaged { ref path, .. }),
        ) => {
            let message = format!("record {seq}: {error}");
            proof.findings.push(finding(path, Some(seq), message));
        }
    }
    Ok(())
}

/// Turns what is wrong with the records into a finding; what keeps from looking at them stays an error.
fn damage(error: JournalError, dir: &Path) -> Result<Finding, JournalError> {
    match error {
        JournalError::Damaged(damage) => Ok(Finding {
            message: format!(
                "{}. Records before it are proven, it and what follows are not: {PUT_BACK}",
                damage.kind
            ),
            path: damage.place.path,
            offset: Some(damage.place.offset),
            line: Some(damage.place.line),
            seq: damage.place.seq,
        }),
        JournalError::Missing { first, .. } => {
            let message = error.to_string();
            Ok(finding(dir, Some(first), message))
        }
        JournalError::Io { .. }
        | JournalError::Unsettled
        | JournalError::Locked { .. }
        | JournalError::Newer { .. }
        | JournalError::SnapshotAhead { .. }
        | JournalError::SnapshotForeign { .. }
        | JournalError::Refused { .. } => Err(error),
    }
}

/// What to do about records that are damaged.
const PUT_BACK: &str = "put the file back from a backup, or the whole of it with `tidegate journal restore`; without one, \
                        `tidegate journal salvage` keeps what is proven";

fn finding(path: &Path, seq: Option<Seq>, message: String) -> Finding {
    Finding { path: path.to_owned(), offset: None, line: None, seq, message }
}
