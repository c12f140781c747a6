//! Collecting large values that nothing names any more.
//!
//! What names a value is found by its look: every run of 64 lower-case hex digits in the files of the journal, snapshots
//! and records alike. That may keep a value for nothing; it can never overlook one, whatever fields the next version
//! of a fact brings.
//!
//! A value is put before the record that names it, so one that no file names yet may be on its way. A collection
//! therefore has two parts: [`ObjectStore::begin_collection`] notes what is there and, from then on, what is put; and
//! [`Collection::finish`], which is to be called when everything that might have put a value before is recorded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::disk::{Access, Disk, RealDisk};
use super::named::hashes_of;
use super::recovery::Segment;
use super::snapshot::SnapshotFile;
use super::store::{ObjectStore, StoreError, failed};
use crate::names::ContentHash;
use crate::sabotage::{self, Bug};

/// Hex digits of a SHA-256.
const DIGITS: usize = 64;

/// What a collection did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// Values that are named, or were put meanwhile.
    pub kept: u64,
    /// Values that were removed.
    pub removed: u64,
    /// Their bytes, and those of files that were never finished.
    pub freed: u64,
}

/// A collection that has begun. Dropped, it changes nothing.
#[derive(Debug)]
pub struct Collection<D: Disk = RealDisk> {
    store: ObjectStore<D>,
    found: BTreeSet<ContentHash>,
    /// Files that a process ended in the middle of, or that are being written.
    unfinished: Vec<(ContentHash, PathBuf)>,
}

/// What stands behind the digits of a value that is being written.
fn is_unfinished(rest: &str) -> bool {
    let number = rest.strip_prefix('.').and_then(|rest| rest.strip_suffix("-new"));
    number.is_some_and(|number| number.bytes().all(|c| c.is_ascii_digit()))
}

impl<D: Disk> Drop for Collection<D> {
    fn drop(&mut self) {
        *self.store.kept() = None;
    }
}

impl<D: Disk> ObjectStore<D> {
    /// Begins a collection. One at a time.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn begin_collection(&self) -> Result<Collection<D>, StoreError> {
        *self.kept() = Some(BTreeSet::new());
        let mut begun =
            Collection { store: self.clone(), found: BTreeSet::new(), unfinished: Vec::new() };
        let dir = self.dir();
        for shard in self.disk().list(dir).map_err(failed("list", dir))? {
            if shard.len() != 2 {
                continue; // not ours
            }
            let path = dir.join(&shard);
            for name in self.disk().list(&path).map_err(failed("list", &path))? {
                let (digits, rest) = name.split_at_checked(DIGITS - 2).unwrap_or_default();
                let Ok(hash) = format!("{shard}{digits}").parse() else { continue };
                if rest.is_empty() {
                    begun.found.insert(hash);
                } else if is_unfinished(rest) {
                    begun.unfinished.push((hash, path.join(name)));
                }
            }
        }
        Ok(begun)
    }
}

impl<D: Disk> Collection<D> {
    /// Removes what no file of the journal names and nobody put since it began.
    ///
    /// # Errors
    /// When a file cannot be read or removed; what is named is never among what was removed.
    pub fn finish(mut self) -> Result<Collected, StoreError> {
        let dir = self.store.dir().with_file_name("journal");
        let disk = self.store.disk().clone();
        let all = self.found.len() as u64;
        let mut found = std::mem::take(&mut self.found);
        // In the order of their names: old records go into a snapshot before they are removed, never the other way.
        let mut names = disk.list(&dir).map_err(failed("list", &dir))?;
        // Whatever else somebody put there names nothing that a reader of ours would look for.
        let is_segment = |name: &str| Segment::parse(&dir, name).is_some();
        names.retain(|name| is_segment(name) || SnapshotFile::parse(&dir, name).is_some());
        names.sort();
        for name in &names {
            look_through(&disk, &dir.join(name), &mut found)?;
        }
        let mut collected = Collected::default();
        let gone = found.into_iter().map(|hash| (hash, self.store.path(&hash)));
        for (hash, path) in gone.chain(std::mem::take(&mut self.unfinished)) {
            // Held over the removal: who puts the value now finds it either noted or gone.
            let (kept, held) = (self.store.kept(), self.store.held());
            let put =
                held.contains_key(&hash) || kept.as_ref().is_some_and(|kept| kept.contains(&hash));
            if put && !sabotage::is(Bug::CollectAtOnce) {
                continue;
            }
            let len = disk.open(&path, Access::Read).and_then(|file| disk.len(&file));
            match len.and_then(|len| disk.remove(&path).map(|()| len)) {
                Ok(len) => {
                    collected.freed += len;
                    collected.removed += u64::from(path == self.store.path(&hash));
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("remove", &path)(error)),
            }
        }
        collected.kept = all.saturating_sub(collected.removed);
        Ok(collected)
    }
}

/// Takes what a file names from `found`.
fn look_through<D: Disk>(
    disk: &D,
    path: &Path,
    found: &mut BTreeSet<ContentHash>,
) -> Result<(), StoreError> {
    let len = disk.open(path, Access::Read).and_then(|file| disk.len(&file));
    let len = len.map_err(failed("measure", path))?;
    let mut named = BTreeSet::new();
    hashes_of(disk, path, len, &mut named).map_err(failed("read", path))?;
    for hash in &named {
        found.remove(hash);
    }
    Ok(())
}
