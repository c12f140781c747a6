//! The journal: the only state that Tidegate owns.
//!
//! ```text
//! <state>/lock                                        held while a daemon runs; names its process
//! <state>/journal/00000000000000000001.jsonl          records from number 1 on; later files begin with later numbers
//! <state>/journal/snapshot-00000000000000004711.json  the state at a record, so that a start reads less
//! <state>/objects/ab/cdef…                            large values by SHA-256, mode 0600
//! <state>/records-lost                                there where records were written after those that are here
//! ```
//!
//! # The format
//!
//! A file is JSON Lines in UTF-8. Its first line is a header,
//! `{"tidegate":"journal","format":1,"continues":"<hash>","from":N}`; each further one a record,
//! `{"seq":12,"at":"…","fact":{…},"hash":"<32 hex digits>"}`. The hash is SHA-256, cut to 128 bits, over the hash before
//! it (as 32 hex digits; zeros before record 1) and this line up to `,"hash"`: one value is checksum and chain.
//! Empty lines mean nothing to a reader: space is filled with newlines before it is used, so that a synced append is
//! an overwrite, and a line of one space stands before each batch, which is what one sync carried.
//!
//! To read all of it, as `examples/read-journal.py` does in some thirty lines:
//!
//! 1. Take the files whose names are twenty digits and `.jsonl`, in the order of their names. A name is the number of
//!    the file's first record.
//! 2. A header's `format` must be one you know, its `from` the number in the name, its `continues` the hash of the record
//!    before. Before the oldest file that is there, the last is 32 zeros where `from` is 1; elsewhere history was
//!    dropped, and the snapshot at `from` - 1, whose own `continues` is that hash, holds what it led to.
//! 3. Skip lines that are empty, one space, or NUL bytes alone (filling that never reached the disk). Of any other, the
//!    last 43 bytes are `,"hash":"…"}`; the digits must be those of SHA-256 over the last hash and the line without these
//!    bytes. Its `seq` must be the last one plus one.
//! 4. A line that fails this ends what can be read of its file. Where the next file goes on from the last good record,
//!    by its name and its `continues`, nothing is missing. In the last file it may be a write that is under way or that
//!    a crash cut; it is harmless unless a line of one space follows it, for that batch was begun after the bad line
//!    had been synced. Ask again later, or run `tidegate journal verify`.
//!
//! A snapshot is one line,
//! `{"tidegate":"snapshot","format":1,"seq":N,"continues":"<hash of record N>","state":…,"hash":"…"}`, sealed in the same
//! way from the hash that it continues. A record that names a large value holds its SHA-256 as 64
//! lower-case hex digits, of which the first two are its directory in `objects/`.
//!
//! # Durability
//!
//! | What | Is durable before |
//! |---|---|
//! | a large value, its name and its directory | the record that names it is written |
//! | a record, with all that waited with it: one `fdatasync` | anything that follows from it happens |
//! | a new file's header and its name | a record is written into it |
//! | a snapshot and its name | the files that it stands for are removed, the oldest first |
//!
//! [`Compaction`] writes snapshots and drops history beside appends; [`ObjectStore::begin_collection`] removes values
//! that nothing names. [`Journal::space`] tells when the file system runs full: a MiB is kept filled ahead, so that
//! what is under way can still be recorded.
//!
//! # What a start makes of what it finds
//!
//! | It finds | It does |
//! |---|---|
//! | no file | begins a new journal |
//! | a torn or bad last line | cuts it off, with a warning |
//! | lost sectors inside the last batch, whole lines behind | the same: that batch was never promised to anybody |
//! | anything behind the last record of a file that the next one continues | goes on there: filling that was never synced |
//! | a bad line that whole lines follow otherwise | refuses, and names `tidegate journal verify` |
//! | a line whose hash does not fit, or whose number is not due | the same |
//! | a fact, field or format number it does not know | refuses: written by a newer version |
//! | a file missing in the middle or at the beginning | refuses, and says which records |
//! | a new last file without a whole header | begins it again, with a warning; without space for that, removes it |
//! | a snapshot that cannot be used | takes the one before it, or all records, with a warning |
//! | a snapshot that stands behind the last record | refuses: files are missing at the end |
//! | a snapshot whose record has another hash | refuses: they belong to different journals |
//! | a lock that is held | refuses, and names the process |
//! | a file system without space | opens; appends take what is kept ahead, then fail and name it |
//! | files that a crash left unfinished (`*-new`) | removes them |
//!
//! A refusal changes no file that was there. A snapshot is read together with the files that go on behind it; older files
//! are checked by [`verify()`] only.
//!
//! A backup ([`backup()`], [`restore()`]) is a state directory with that mark, and so is what [`salvage()`] makes of a
//! journal that does not open: the next start of a daemon records that records are lost, and removes the mark.
//!
//! After a failed sync a file may look whole while its pages never reached the disk. So opening writes the last batch
//! once more and syncs it before anything acts on it.

mod backup;
mod codec;
mod collect;
mod compact;
pub mod disk;
mod error;
mod lines;
mod lost;
mod named;
mod opening;
mod reader;
mod recovery;
mod salvage;
mod snapshot;
mod store;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use backup::{Copied, CopyError, backup, restore};
pub use codec::{FORMAT, LineHash, encode};
pub use collect::{Collected, Collection};
pub use compact::{CompactError, Compacted, Compaction, Retention};
pub use disk::{Disk, RealDisk};
pub use error::{AppendError, Damage, DamageKind, JournalError, Place, Warning};
pub use lost::{Mark, forget_records_lost, records_lost};
pub use named::hashes_in;
pub use reader::{
    From, Line, Reader, read, read_before, read_behind, read_from_base, read_state, read_state_as,
};
pub use recovery::Head;
pub use salvage::{SalvageError, Salvaged, salvage};
pub use snapshot::{Sealed, Snapshot, SnapshotError, StateError};
pub use store::{Holding, ObjectStore, StoreError, objects_of};
pub use verify::{Finding, Fold, Proof, verify};

use crate::fact::{Record, Space};
use crate::limits;
use crate::names::Seq;
use crate::sabotage::{self, Bug};
use codec::BATCH_MARKER;
use opening::Found;
use recovery::Segment;

/// The smallest piece of space that is filled where the disk is nearly full: what file systems hand out at once.
const LEAST_FILL_BYTES: u64 = 4096;

/// Sizes, for tests that want many small files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes after which a new file is begun.
    pub segment_bytes: u64,
    /// Bytes of space that are filled at once.
    pub fill_bytes: u64,
    /// Bytes that are kept filled ahead, for when the disk is full.
    pub reserve_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: limits::JOURNAL_SEGMENT_BYTES,
            fill_bytes: limits::JOURNAL_FILL_BYTES,
            reserve_bytes: limits::JOURNAL_RESERVE_BYTES,
        }
    }
}

/// What opening found.
#[derive(Debug, Default)]
pub struct Opened {
    /// The newest snapshot that can be used.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The records behind it.
    pub records: Vec<Record>,
    /// What was put right.
    pub warnings: Vec<Warning>,
}

/// A piece of the state, in the order of [`Journal::open_with`].
#[derive(Debug)]
pub enum Replay {
    /// The state begins here. Comes first or not at all; refusing it asks for an older one, then for all records.
    ///
    /// It may be damaged, which [`Snapshot::state`] finds while it reads: what it returned an error for is to be refused.
    Snapshot(Arc<Snapshot>),
    /// The next record.
    Record(Record),
}

/// The journal, open for appending. One at a time per state directory, over all processes.
pub struct Journal<D: Disk = RealDisk> {
    disk: D,
    root: PathBuf,
    dir: PathBuf,
    options: Options,
    segment: Segment,
    file: D::File,
    /// Offset after the last line.
    end: u64,
    /// Offset up to which the file is filled.
    filled: u64,
    /// Whether the disk refused to fill more.
    full: bool,
    head: Head,
    poisoned: bool,
    buffer: Vec<u8>,
    _lock: D::Lock,
}

impl Journal {
    /// Opens the journal of the state directory `root`, beginning one where there is none.
    ///
    /// # Errors
    /// When another process has it open, or it is not whole; see the table of the module.
    pub fn open(root: &Path) -> Result<(Self, Opened), JournalError> {
        let mut opened = Opened::default();
        let (journal, warnings) =
            Self::open_with(RealDisk, root, Options::default(), &mut |replay| {
                match replay {
                    Replay::Snapshot(snapshot) if !snapshot.is_whole() => {
                        return Err(StateError::Damaged.to_string());
                    }
                    Replay::Snapshot(snapshot) => opened.snapshot = Some(snapshot),
                    Replay::Record(record) => opened.records.push(record),
                }
                Ok(())
            })?;
        opened.warnings = warnings;
        Ok((journal, opened))
    }
}

impl<D: Disk> Journal<D> {
    /// Opens the journal of the state directory `root` on `disk`, and hands state and records over one by one.
    ///
    /// What was handed over is void if this fails.
    ///
    /// # Errors
    /// When another process has it open, it is not whole, or `replay` refuses a record.
    pub fn open_with(
        disk: D,
        root: &Path,
        options: Options,
        replay: &mut dyn FnMut(Replay) -> Result<(), String>,
    ) -> Result<(Self, Vec<Warning>), JournalError> {
        let dir = root.join("journal");
        opening::make_dir(&disk, root, 0o750)?;
        let lock = opening::lock(&disk, root)?;
        opening::make_dir(&disk, &dir, 0o750)?;
        opening::make_dir(&disk, &root.join("objects"), 0o700)?;
        let mut warnings = Vec::new();
        let found = opening::read_all(&disk, &dir, replay, &mut warnings)?;
        opening::clear_leftovers(&disk, &dir)?;
        let (head, segment, file, end) = match found {
            Found::Walk(walk) => opening::settle(&disk, &walk, &mut warnings)?,
            Found::Nothing(head, begun) => {
                opening::begin_segment(&disk, &dir, begun, &head, &mut warnings)?
            }
        };
        let filled = disk.len(&file).map_err(JournalError::io("read", &segment.path))?;
        let mut journal = Self {
            disk,
            root: root.to_owned(),
            dir,
            options,
            segment,
            file,
            end,
            filled,
            full: false,
            head,
            poisoned: false,
            buffer: Vec::new(),
            _lock: lock,
        };
        // What is there is whole; that there is no space for more is told by `space`, and by an append that needs it.
        let filled = journal.fill(journal.end);
        filled.map_err(JournalError::io("fill", &journal.segment.path))?;
        Ok((journal, warnings))
    }

    /// The last record, and its hash.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The store of large values beside it. Its clones share what they know, so clone it rather than ask again.
    #[must_use]
    pub fn objects(&self) -> ObjectStore<D> {
        ObjectStore::with_disk(self.disk.clone(), &self.root)
    }

    /// Appends records with one write and one sync. When this returns they are durable.
    ///
    /// # Errors
    /// When one of them is not the next one or the disk fails. Then nothing is known about which of them are durable,
    /// and every later append fails: only a new start finds out (law 2).
    pub fn append(&mut self, records: &[Record]) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned { path: self.segment.path.clone() });
        }
        if records.is_empty() {
            return Ok(());
        }
        self.poisoned = true; // until it is known to have gone well
        let head = self.encode(records)?;
        let written = self.write().or_else(sabotage::forgive(Bug::GoOnAfterFailure));
        written.map_err(|source| AppendError::io(&self.segment.path, source))?;
        self.head = head;
        self.poisoned = false;
        Ok(())
    }

    /// Puts the lines of a batch into the buffer.
    fn encode(&mut self, records: &[Record]) -> Result<Head, AppendError> {
        self.buffer.clear();
        self.buffer.extend_from_slice(BATCH_MARKER);
        self.buffer.push(b'\n');
        let mut head = self.head;
        for record in records {
            let (seq, expected) = (record.seq, head.seq.next());
            if seq != expected {
                return Err(AppendError::OutOfOrder { expected, found: seq });
            }
            let start = self.buffer.len();
            let hash = encode(&mut self.buffer, record, &head.hash)
                .map_err(|source| AppendError::Encode { seq, source })?;
            let bytes = self.buffer.len() - start;
            if bytes > limits::JOURNAL_LINE_BYTES_MAX {
                return Err(AppendError::TooLong { seq, bytes });
            }
            head = Head { seq, hash };
        }
        Ok(head)
    }

    /// Writes the buffer behind the last line and syncs it.
    fn write(&mut self) -> io::Result<()> {
        if self.end >= self.options.segment_bytes && self.may_rotate() {
            self.rotate()?;
        }
        let end = self.end + self.buffer.len() as u64;
        self.fill(end)?;
        self.disk.write_at(&self.file, &self.buffer, self.end)?;
        if !sabotage::is(Bug::SkipAppendSync) {
            self.disk.sync_data(&self.file)?;
        }
        self.end = end;
        Ok(())
    }

    /// Fills space up to `end` and some more, so that appends overwrite and a full disk does not stop them at once.
    ///
    /// A disk that is full is no error while what is filled reaches up to `end`: nothing was written there yet that
    /// counts, so it is tried again.
    fn fill(&mut self, end: u64) -> io::Result<()> {
        let ahead = end + self.options.reserve_bytes;
        if ahead <= self.filled {
            self.full = false; // of what was refused before nothing is missing
            return Ok(());
        }
        let all = ahead.next_multiple_of(self.options.fill_bytes.max(1));
        // The last resort is a piece that may fit where the whole does not.
        for filled in [all, end.next_multiple_of(LEAST_FILL_BYTES)] {
            let filled = filled.max(end);
            let range = self.filled..filled;
            let done = self.disk.allocate(&self.file, range);
            match done.and_then(|()| self.disk.sync_data(&self.file)) {
                Ok(()) => {
                    self.full = filled != all;
                    self.filled = self.filled.max(filled);
                    return Ok(());
                }
                Err(error) if error::is_full(&error) => self.full = true,
                Err(error) => return Err(error),
            }
            // What was filled of it is ours all the same.
            self.disk.sync_data(&self.file)?;
            self.filled = self.filled.max(self.disk.len(&self.file)?);
            if end <= self.filled {
                return Ok(());
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }

    /// Whether there is space for another file: one that is half begun would have to be begun again by the next start.
    #[must_use]
    pub fn may_rotate(&self) -> bool {
        let most = self.options.reserve_bytes + self.options.fill_bytes;
        !self.full && self.disk.free(&self.dir).is_ok_and(|free| free > most)
    }

    /// What is left for the state directory; tries to fill ahead again where that failed before.
    ///
    /// # Errors
    /// When the file system cannot tell, or the disk fails otherwise than by being full.
    pub fn space(&mut self) -> io::Result<Space> {
        if self.full && !self.poisoned {
            self.fill(self.end)?;
        }
        let free = if self.full { 0 } else { self.disk.free(&self.dir)? };
        Ok(Space { free, needed: limits::STATE_FREE_BYTES_MIN })
    }

    /// Goes on in a new file.
    fn rotate(&mut self) -> io::Result<()> {
        let segment = Segment::new(&self.dir, self.head.seq.next());
        (self.file, self.end) = opening::create_segment(&self.disk, &segment, &self.head)?;
        if !sabotage::is(Bug::SkipDirectorySync) {
            self.disk.sync_dir(&self.dir)?;
        }
        self.segment = segment;
        self.filled = self.end;
        Ok(())
    }

    /// Ends the current file, unless it holds no record: a [`Compaction`] may read up to the record that is returned.
    ///
    /// # Errors
    /// When [`Self::may_rotate`] says no, then nothing was touched; or when the disk fails: then, as after a failed append,
    /// only a new start finds out what is there.
    pub fn seal(&mut self) -> Result<Head, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned { path: self.segment.path.clone() });
        }
        if self.segment.from <= self.head.seq {
            if !self.may_rotate() {
                let full = io::ErrorKind::StorageFull.into();
                return Err(AppendError::io(&self.segment.path, full));
            }
            // A file that is half begun must not be left behind by later records.
            self.poisoned = true;
            self.rotate().map_err(|source| AppendError::io(&self.segment.path, source))?;
            self.poisoned = false;
        }
        Ok(self.head)
    }

    /// Writes the state at the last record, `seq`, as a snapshot, and keeps the one before it.
    ///
    /// The journal goes on in a new file, unless this one is short, so that a start reads only what is behind.
    ///
    /// # Errors
    /// When `seq` is not the last record, or the disk fails. The journal takes more records all the same, unless it is
    /// the new file that failed.
    pub fn write_snapshot<T: Serialize + ?Sized>(
        &mut self,
        seq: Seq,
        state: &T,
    ) -> Result<(), SnapshotError> {
        if seq != self.head.seq {
            return Err(SnapshotError::NotAtHead { seq, last: self.head.seq });
        }
        snapshot::write(&self.disk, &self.dir, &self.head, state)?;
        let pruned = recovery::segments(&self.disk, &self.dir).and_then(|segments| {
            let oldest = segments.first().map_or(Seq(1), |oldest| oldest.from);
            snapshot::prune(&self.disk, &self.dir, oldest)
        });
        pruned.map_err(|error| SnapshotError::Prune(Box::new(error)))?;
        if self.end > self.options.fill_bytes && !self.poisoned && self.may_rotate() {
            // A file that is half begun must not be left behind by later records.
            self.poisoned = true;
            let path = self.dir.clone();
            self.rotate().map_err(|source| SnapshotError::Io { path, source })?;
            self.poisoned = false;
        }
        Ok(())
    }
}
