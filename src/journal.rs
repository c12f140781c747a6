//! The journal: the only state that Tidegate owns.
//!
//! ```text
//! <state>/lock                                        held while a daemon runs; names its process
//! <state>/journal/00000000000000000001.jsonl          records from number 1 on; later files begin with later numbers
//! <state>/journal/snapshot-00000000000000004711.json  the state at a record, so that a start reads less
//! <state>/objects/ab/cdef…                            large values by SHA-256, mode 0600
//! ```
//!
//! A file is JSON Lines. Its first line is a header,
//! `{"tidegate":"journal","format":1,"continues":"<hash>","from":N}`; each further one a record,
//! `{"seq":12,"at":"…","fact":{…},"hash":"<32 hex digits>"}`. The hash is SHA-256, cut to 128 bits, over the hash before
//! it (as 32 hex digits; zeros before record 1) and this line up to `,"hash"`.
//! Blank lines mean nothing to a reader: space is filled with newlines before it is used, so that a synced append is
//! an overwrite, and a line of one space stands before each batch.
//!
//! # What a start makes of what it finds
//!
//! | It finds | It does |
//! |---|---|
//! | no file | begins a new journal |
//! | a torn or bad last line | cuts it off, with a warning |
//! | lost sectors inside the last batch, whole lines behind | the same: that batch was never promised to anybody |
//! | a bad line that whole lines follow otherwise | refuses, and names `tidegate journal verify` |
//! | a line whose hash does not fit, or whose number is not due | the same |
//! | a fact, field or format number it does not know | refuses: written by a newer version |
//! | a file missing in the middle or at the beginning | refuses, and says which records |
//! | a new last file without a whole header | begins it again, with a warning |
//! | a snapshot that cannot be used | takes the one before it, or all records, with a warning |
//! | a snapshot that stands behind the last record | refuses: files are missing at the end |
//! | a snapshot whose record has another hash | refuses: they belong to different journals |
//! | a lock that is held | refuses, and names the process |
//!
//! A refusal changes nothing on the disk. A snapshot is read together with the files that go on behind it; older files
//! are checked by [`verify()`] only.
//!
//! After a failed sync a file may look whole while its pages never reached the disk. So opening writes the last batch
//! once more and syncs it before anything acts on it.

mod codec;
pub mod disk;
mod error;
mod lines;
mod opening;
mod reader;
mod recovery;
mod snapshot;
mod store;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use codec::{FORMAT, LineHash, encode};
pub use disk::{Disk, RealDisk};
pub use error::{AppendError, Damage, DamageKind, JournalError, Place, Warning};
pub use reader::{From, Reader, read, read_state};
pub use recovery::Head;
pub use snapshot::{Snapshot, SnapshotError, StateError};
pub use store::{ObjectStore, StoreError, objects_of};
pub use verify::{Finding, Proof, verify};

use crate::fact::Record;
use crate::limits;
use crate::names::Seq;
use crate::sabotage::{self, Bug};
use codec::BATCH_MARKER;
use opening::Found;
use recovery::Segment;

/// Sizes, for tests that want many small files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes after which a new file is begun.
    pub segment_bytes: u64,
    /// Bytes of space that are filled at once.
    pub fill_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: limits::JOURNAL_SEGMENT_BYTES,
            fill_bytes: limits::JOURNAL_FILL_BYTES,
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
        opening::clear_leftovers(&disk, &dir)?;
        let mut warnings = Vec::new();
        let found = opening::read_all(&disk, &dir, replay, &mut warnings)?;
        let (head, segment, file, end) = match found {
            Found::Walk(walk) => opening::settle(&disk, &walk, &mut warnings)?,
            Found::Nothing(head, begun) => {
                opening::begin_segment(&disk, &dir, begun, &head, &mut warnings)?
            }
        };
        let filled = disk.len(&file).map_err(JournalError::io("read", &segment.path))?;
        let journal = Self {
            disk,
            root: root.to_owned(),
            dir,
            options,
            segment,
            file,
            end,
            filled,
            head,
            poisoned: false,
            buffer: Vec::new(),
            _lock: lock,
        };
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
        if self.end >= self.options.segment_bytes {
            self.rotate()?;
        }
        let end = self.end + self.buffer.len() as u64;
        if end > self.filled {
            let filled = end.next_multiple_of(self.options.fill_bytes.max(1));
            self.disk.allocate(&self.file, self.filled..filled)?;
            self.disk.sync_data(&self.file)?;
            self.filled = filled;
        }
        self.disk.write_at(&self.file, &self.buffer, self.end)?;
        if !sabotage::is(Bug::SkipAppendSync) {
            self.disk.sync_data(&self.file)?;
        }
        self.end = end;
        Ok(())
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
        if self.end > self.options.fill_bytes && !self.poisoned {
            // A file that is half begun must not be left behind by later records.
            self.poisoned = true;
            let path = self.dir.clone();
            self.rotate().map_err(|source| SnapshotError::Io { path, source })?;
            self.poisoned = false;
        }
        Ok(())
    }
}
