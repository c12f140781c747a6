//! Reading without the lock, also while a daemon writes.

use std::path::{Path, PathBuf};

use super::disk::{Disk, RealDisk};
use super::error::JournalError;
use super::recovery::{Head, Walk, segments};
use super::snapshot::{self, Snapshot};
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
/// # Errors
/// When its files cannot be read.
pub fn read_state(root: &Path) -> Result<(Option<Snapshot>, Reader), JournalError> {
    let dir = root.join("journal");
    let files = snapshot::list(&RealDisk, &dir)?;
    let snapshot = files.iter().find_map(|file| snapshot::read_whole(&RealDisk, file).ok());
    let from = snapshot.as_ref().map_or(From::Oldest, |snapshot| From::After(snapshot.seq()));
    Ok((snapshot, Reader::open(RealDisk, root, from)?))
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
}

impl<D: Disk> Reader<D> {
    /// Opens the journal of the state directory `root` on `disk`.
    ///
    /// # Errors
    /// When its files cannot be read, or do not reach back to `from`.
    pub fn open(disk: D, root: &Path, from: From) -> Result<Self, JournalError> {
        let dir = root.join("journal");
        let mut reader = Self { disk, dir, from, walk: None };
        reader.start()?;
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
        let Some(walk) = &mut self.walk else { return Ok(None) };
        while let Some(step) = walk.next()? {
            if step.record.is_some() {
                return Ok(step.record);
            }
        }
        Ok(None)
    }
}

impl<D: Disk> Iterator for Reader<D> {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}
