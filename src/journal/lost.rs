//! The mark of a state directory whose last records are lost: a backup, what was restored from one, what was salvaged.
//!
//! `<state>/records-lost` says that records were written after those that are here. Their numbers must not be given
//! again as if nothing had happened, and with them the idempotency keys of rollouts. So the next start records
//! [`RecordsLost`](crate::fact::RecordsLost) and removes the mark once that is durable. A backup carries it from the
//! beginning, so that one which is put in place by any other means says the same.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::{Disk as _, RealDisk};
use super::error::JournalError;
use super::snapshot::write_new;
use crate::names::Seq;

fn path(root: &Path) -> PathBuf {
    root.join("records-lost")
}

/// What the mark says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Mark {
    /// The last of the lost records that is known of.
    #[serde(default)]
    pub last: Option<Seq>,
}

/// Marks a state directory, durably. It does not hold its parts back: nothing that is not marked is in place yet.
pub(super) fn mark(root: &Path, mark: Mark) -> Result<(), JournalError> {
    let path = path(root);
    let text = serde_json::to_vec(&mark).map_err(io::Error::from);
    let written = text.and_then(|text| write_new(&RealDisk, &path, &text, 0o640));
    written.map_err(JournalError::io("write", &path))?;
    RealDisk.sync_dir(root).map_err(JournalError::io("sync", root))
}

/// The mark of a state directory; none is the usual case. One that cannot be understood still is one.
///
/// # Errors
/// When it cannot be read.
pub fn records_lost(root: &Path) -> Result<Option<Mark>, JournalError> {
    let path = path(root);
    match RealDisk.read(&path) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).unwrap_or_default())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io("read", &path)(error)),
    }
}

/// Removes the mark, once the journal says what it said. Without one nothing happens.
///
/// # Errors
/// When the file system refuses it: then the next start records the loss once more, which harms nobody.
pub fn forget_records_lost(root: &Path) -> Result<(), JournalError> {
    let path = path(root);
    match RealDisk.remove(&path) {
        Ok(()) => RealDisk.sync_dir(root).map_err(JournalError::io("sync", root)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(JournalError::io("remove", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_stays_until_it_is_taken_away() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(records_lost(root.path()).unwrap(), None);
        forget_records_lost(root.path()).unwrap();
        for last in [None, Some(Seq(7))] {
            mark(root.path(), Mark { last }).unwrap();
            assert_eq!(records_lost(root.path()).unwrap(), Some(Mark { last }));
        }
        RealDisk.create(&path(root.path()), 0o600).unwrap(); // emptied
        assert_eq!(records_lost(root.path()).unwrap(), Some(Mark { last: None }));
        forget_records_lost(root.path()).unwrap();
        assert_eq!(records_lost(root.path()).unwrap(), None);
    }
}
