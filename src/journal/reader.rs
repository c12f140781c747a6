//! Reading without the lock, also while a daemon writes.

use std::path::{Path, PathBuf};

use super::codec::LineHash;
use super::disk::{Disk, RealDisk};
use super::error::{JournalError, Place};
use super::recovery::{Head, Step, Walk, segments};
use super::snapshot::{self, Sealed, Snapshot, SnapshotFile};
use crate::fact::Record;
use crate::names::Seq;

/// Where a reader begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// At the oldest record that is there.
    Oldest,
    /// Behind this record; those before it are only passed over.
    After(Seq),
}

/// Opens the journal of the state directory `root` for reading from its oldest record.
///
/// # Errors
/// When its files cannot be read.
pub fn read(root: &Path) -> Result<Reader, JournalError> {
    Reader::open(RealDisk, root, From::Oldest)
}

/// Opens the journal of the state directory `root` at its newest snapshot that can be used.
///
/// What it gives is what a start would begin with: where a start refuses, so does this, or a record of the reader.
///
/// # Errors
/// When its files cannot be read, or the state before the oldest record is lost.
pub fn read_state(root: &Path) -> Result<(Option<Snapshot>, Reader), JournalError> {
    read_state_as(root, |snapshot| snapshot.is_whole().then_some(snapshot))
}

/// The same, with what `take` makes of the newest snapshot that it can use.
///
/// Whether the snapshot is whole is left to `take`, for [`Snapshot::state`] finds that out while it reads.
///
/// # Errors
/// As [`read_state`].
pub fn read_state_as<T>(
    root: &Path,
    mut take: impl FnMut(Snapshot) -> Option<T>,
) -> Result<(Option<T>, Reader), JournalError> {
    read_behind(root, |sealed| take(sealed.read().ok()?))
}

/// The same; what is read of a snapshot, and what proves it, is all left to `take`.
///
/// # Errors
/// As [`read_state`].
pub fn read_behind<T>(
    root: &Path,
    mut take: impl FnMut(Sealed) -> Option<T>,
) -> Result<(Option<T>, Reader), JournalError> {
    let dir = root.join("journal");
    settled(|| {
        let files = snapshot::list(&RealDisk, &dir)?;
        let before = before_oldest(&dir)?;
        let taken = files.iter().find_map(|file| {
            let sealed = snapshot::look(file).ok()?;
            let base = (sealed.head(), sealed.path().to_owned());
            Some((take(sealed)?, base))
        });
        let (state, base) = taken.unzip();
        let Some(mut reader) = behind(root, base, before)? else { return Ok(None) };
        reader.newest = files.into_iter().next();
        if state.is_none() && before > Seq(0) {
            return Err(JournalError::Missing { dir: dir.clone(), first: Seq(1), last: before });
        }
        Ok(Some((state, reader)))
    })
}

/// Where a snapshot stands, and its file.
fn base_of(snapshot: &Snapshot) -> (Head, PathBuf) {
    (snapshot.head(), snapshot.path().to_owned())
}

/// Opens the journal of the state directory `root` at its oldest record, with the state that stands before that.
///
/// There is one where retention dropped older records. Without it nothing is known about what was before them.
///
/// # Errors
/// When its files cannot be read.
pub fn read_from_base(root: &Path) -> Result<(Option<Snapshot>, Reader), JournalError> {
    read_before(root, Seq(0))
}

/// Opens the journal of the state directory `root` behind the newest snapshot that stands at or before record `seq` and
/// can be used, else as [`read_from_base`] does.
///
/// # Errors
/// When its files cannot be read.
pub fn read_before(root: &Path, seq: Seq) -> Result<(Option<Snapshot>, Reader), JournalError> {
    let dir = root.join("journal");
    settled(|| {
        let files = snapshot::list(&RealDisk, &dir)?;
        let base = before_oldest(&dir)?;
        let fits =
            files.iter().filter(|file| file.seq == base || base <= file.seq && file.seq <= seq);
        let snapshot = fits.map(|file| snapshot::read_whole(&RealDisk, file)).find_map(Result::ok);
        let reader = behind(root, snapshot.as_ref().map(base_of), base)?;
        Ok(reader.map(|reader| (snapshot, reader)))
    })
}

/// The record before the oldest file.
fn before_oldest(dir: &Path) -> Result<Seq, JournalError> {
    let oldest = segments(&RealDisk, dir)?.first().map_or(Seq(1), |segment| segment.from);
    Ok(Seq(oldest.0.saturating_sub(1)))
}

/// Opens the records behind the snapshot `base`, else the oldest ones. `None`: those behind `before` were the oldest, and
/// retention went on meanwhile, so a snapshot that is missing may be one that it removed.
fn behind(
    root: &Path,
    base: Option<(Head, PathBuf)>,
    before: Seq,
) -> Result<Option<Reader>, JournalError> {
    let moved = || before_oldest(&root.join("journal")).map(|now| now > before);
    let from = base.as_ref().map_or(From::Oldest, |(head, _)| From::After(head.seq));
    let mut reader = match Reader::open(RealDisk, root, from) {
        Err(JournalError::Missing { .. }) if moved()? => return Ok(None),
        opened => opened?,
    };
    let lost = base.is_none() && before > Seq(0) && moved()?;
    reader.base = base;
    Ok((!lost).then_some(reader))
}

/// How often files are looked at again that a daemon removed between two looks.
pub(super) const LOOKS_MAX: usize = 5;

/// Looks until nothing was removed meanwhile: a file that is gone, or a `None`, asks for another look.
pub(super) fn settled<T>(
    mut look: impl FnMut() -> Result<Option<T>, JournalError>,
) -> Result<T, JournalError> {
    let mut looks = 0;
    loop {
        looks += 1;
        match look() {
            Ok(Some(found)) => return Ok(found),
            Ok(None) if looks < LOOKS_MAX => {}
            Ok(None) => return Err(JournalError::Unsettled),
            Err(error) if looks < LOOKS_MAX && error.is_gone() => {}
            Err(error) => return Err(error),
        }
    }
}

/// A record as it stands in its file.
#[derive(Clone, PartialEq, Debug)]
pub struct Line {
    /// The record.
    pub record: Record,
    /// Where it stands.
    pub place: Place,
    /// The hash of the line before it.
    pub previous: LineHash,
    /// Its own.
    pub hash: LineHash,
    /// Its text, without the newline.
    pub text: Vec<u8>,
}

/// The records of a journal, one at a time.
///
/// It stops at the last whole line and remembers where that is: asked again later, it goes on with what was written
/// meanwhile. After an error it stays where it is.
pub struct Reader<D: Disk = RealDisk> {
    disk: D,
    dir: PathBuf,
    from: From,
    walk: Option<Walk<D>>,
    /// The snapshot that the caller began with: its record must have its hash.
    base: Option<(Head, PathBuf)>,
    /// The newest snapshot by name, readable or not: it was written when its record was durable, so the records must
    /// reach it.
    newest: Option<SnapshotFile>,
}

impl<D: Disk> Reader<D> {
    /// Opens the journal of the state directory `root` on `disk`.
    ///
    /// # Errors
    /// When its files cannot be read, or do not reach back to `from`.
    pub fn open(disk: D, root: &Path, from: From) -> Result<Self, JournalError> {
        let dir = root.join("journal");
        let mut reader = Self { disk, dir, from, walk: None, base: None, newest: None };
        settled(|| reader.start().map(Some))?;
        Ok(reader)
    }

    /// The last record that was returned or passed over; none if nothing was read yet.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.walk.as_ref().map(Walk::head)
    }

    fn start(&mut self) -> Result<(), JournalError> {
        let segments = segments(&self.disk, &self.dir)?;
        let after = match self.from {
            From::Oldest => Seq(0),
            From::After(seq) => seq,
        };
        let Some(oldest) = segments.first() else { return Ok(()) };
        let segment = segments.iter().rev().find(|segment| segment.from <= after.next());
        let segment = match (segment, self.from) {
            (Some(segment), _) => segment,
            (None, From::Oldest) => oldest,
            (None, From::After(_)) => {
                let last = Seq(oldest.from.0.saturating_sub(1));
                let dir = self.dir.clone();
                return Err(JournalError::Missing { dir, first: after.next(), last });
            }
        };
        self.walk = Walk::start(self.disk.clone(), &self.dir, segment.clone(), after)?;
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Record>, JournalError> {
        if self.walk.is_none() {
            self.start()?;
        }
        let Some(walk) = &mut self.walk else {
            return self.without_records().map(|()| None);
        };
        loop {
            let found = walk.head();
            if let Some((head, path)) = self.base.take_if(|(head, _)| head.seq <= found.seq)
                && head.seq == found.seq
                && head.hash != found.hash
            {
                let (seq, expected, found) = (head.seq, head.hash, found.hash);
                return Err(JournalError::SnapshotForeign { path, seq, expected, found });
            }
            match walk.next()? {
                None => return reaches(self.newest.as_ref(), walk.head().seq).map(|()| None),
                Some(Step { record: Some(record) }) => return Ok(Some(record)),
                Some(Step { record: None }) => {}
            }
        }
    }

    /// Looks whether records are missing where there is no file yet, or one that is only begun.
    fn without_records(&self) -> Result<(), JournalError> {
        let after = match self.from {
            From::Oldest => Seq(0),
            From::After(seq) => seq,
        };
        let segments = segments(&self.disk, &self.dir)?;
        // What stands behind a file's beginning is known where a snapshot was taken right before it.
        let begun = segments.iter().any(|segment| segment.from == after.next());
        reaches(self.newest.as_ref(), if begun { after } else { Seq(0) })
    }

    /// The next record as it stands in its file; `None` at the end, from where a later call goes on.
    ///
    /// # Errors
    /// As the records of this iterator.
    pub fn next_line(&mut self) -> Result<Option<Line>, JournalError> {
        // Records that are passed over are hashed too, so the head before a record is known only inside the walk.
        let Some(record) = self.step()? else { return Ok(None) };
        let Some(walk) = &self.walk else { return Ok(None) };
        let line = walk.line_read().map(|(place, text)| Line {
            record,
            place: place.clone(),
            previous: walk.previous(),
            hash: walk.head().hash,
            text: text.to_owned(),
        });
        Ok(line)
    }
}

/// Whether records up to `last` are all that a snapshot stands for.
fn reaches(snapshot: Option<&SnapshotFile>, last: Seq) -> Result<(), JournalError> {
    match snapshot.filter(|file| file.seq > last) {
        Some(file) => {
            let (path, snapshot) = (file.path.clone(), file.seq);
            Err(JournalError::SnapshotAhead { path, snapshot, last })
        }
        None => Ok(()),
    }
}

impl<D: Disk> Iterator for Reader<D> {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
