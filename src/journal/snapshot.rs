//! Snapshots: the state at a record, so that a start need not read the records before it.
//!
//! `snapshot-<seq, 20 digits>.json` is one sealed line:
//! `{"tidegate":"snapshot","format":1,"seq":N,"continues":"<hash of record N>","state":…,"hash":"…"}`.
//! What the state looks like is its writer's business; a reader that cannot use
//! it falls back to an older snapshot or to the records.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::codec::{self, FORMAT, LineHash};
use super::disk::{Access, Disk, RealDisk};
use super::error::JournalError;
use super::recovery::Head;
use crate::names::Seq;
use crate::sabotage::{self, Bug};

/// Snapshots that are kept: the newest, and the one before it in case the newest cannot be used.
pub(super) const KEPT: usize = 2;

/// Bytes of a file that are synced at once: a sync of more makes appends beside it wait for as long as that takes.
const SYNCED_AT_ONCE: usize = 1024 * 1024;

const STATE_KEY: &[u8] = b",\"state\":";

/// Bytes before the state are fewer than these, and those of the hash and what is behind it too.
const FRONT_MAX: usize = 256;

/// Why a snapshot was not written, or the journal did not go on behind it.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The state is not that at the last record.
    #[error("a snapshot at record {seq} was to be written when the journal stood at record {last}")]
    NotAtHead {
        /// The record of the snapshot.
        seq: Seq,
        /// The last record.
        last: Seq,
    },
    /// The state cannot be serialised.
    #[error("the state at record {seq} cannot be written as JSON")]
    Encode {
        /// The record.
        seq: Seq,
        /// Why.
        source: serde_json::Error,
    },
    /// The file system refused it.
    #[error("cannot write snapshot `{path}`, or begin the file behind it")]
    Io {
        /// The snapshot, or the journal's directory.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// It is there; what it replaces could not be removed.
    #[error("cannot remove older snapshots")]
    Prune(#[source] Box<JournalError>),
}

/// A state at a record, as it was read.
pub struct Snapshot {
    head: Head,
    path: PathBuf,
    text: Vec<u8>,
    /// What the hash covers; always from the first byte.
    body: Range<usize>,
    state: Range<usize>,
    stated: LineHash,
    /// Whether the hash fits, once that was asked.
    whole: OnceLock<bool>,
}

/// Why the state of a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Its bytes are not those that were written.
    #[error("it is damaged")]
    Damaged,
    /// It was written by another version.
    #[error("it holds a state that this version cannot read")]
    Unknown(#[source] serde_json::Error),
}

/// A snapshot's file, of which no more was read than what it says to be: nothing proves it yet.
#[derive(Clone, Debug)]
pub struct Sealed {
    file: SnapshotFile,
    head: Head,
    stated: LineHash,
}

impl Sealed {
    /// The last record that it holds, and its hash.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The hash that it states, which no other snapshot has.
    #[must_use]
    pub fn stated(&self) -> LineHash {
        self.stated
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Reads all of it, or says why it cannot be used.
    ///
    /// # Errors
    /// When it cannot be read, or is no snapshot of this version.
    pub fn read(&self) -> Result<Snapshot, String> {
        read(&RealDisk, &self.file)
    }

    /// Reads a part of its bytes, of which nothing is known.
    ///
    /// # Errors
    /// What the file system says; also when the file ends before.
    pub fn piece(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let file = RealDisk.open(&self.file.path, Access::Read)?;
        let end = range.end.min(RealDisk.len(&file)?);
        let len = usize::try_from(end.saturating_sub(range.start)).unwrap_or_default();
        let mut bytes = vec![0; len];
        let read = RealDisk.read_full(&file, &mut bytes, range.start)?;
        if range.start + read as u64 == range.end {
            Ok(bytes)
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

impl Snapshot {
    /// The last record that it holds.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.head.seq
    }

    /// The last record that it holds, and its hash.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hash that it states, which no other snapshot has.
    #[must_use]
    pub fn stated(&self) -> LineHash {
        self.stated
    }

    /// Where a part of it stands in its file; none if it is not a part of it.
    #[must_use]
    pub fn place_of(&self, part: &str) -> Option<Range<u64>> {
        let start = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        let range = start..start.checked_add(part.len())?;
        (self.text.get(range.clone())? == part.as_bytes())
            .then_some(range.start as u64..range.end as u64)
    }

    /// Whether its bytes are those that were written.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        *self.whole.get_or_init(|| {
            let body = self.text.get(self.body.clone()).unwrap_or_default();
            self.head.hash.next(body) == self.stated
        })
    }

    /// Reads the state, and its hash beside that: each takes about as long, and a start waits for both.
    ///
    /// # Errors
    /// When the bytes are not those that were written, or the state is not of this type.
    pub fn state<'a, T: Deserialize<'a>>(&'a self) -> Result<T, StateError> {
        std::thread::scope(|scope| {
            let whole = scope.spawn(|| self.is_whole());
            let state =
                serde_json::from_slice(self.text.get(self.state.clone()).unwrap_or_default());
            if whole.join().unwrap_or(false) {
                state.map_err(StateError::Unknown)
            } else {
                Err(StateError::Damaged)
            }
        })
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("head", &self.head).finish_non_exhaustive()
    }
}

/// A snapshot's file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SnapshotFile {
    /// The record that it stands at, by its name.
    pub(super) seq: Seq,
    /// Its path.
    pub(super) path: PathBuf,
}

impl SnapshotFile {
    pub(super) fn new(dir: &Path, seq: Seq) -> Self {
        Self { seq, path: dir.join(format!("snapshot-{:020}.json", seq.0)) }
    }

    pub(super) fn parse(dir: &Path, name: &str) -> Option<Self> {
        let digits = name.strip_prefix("snapshot-")?.strip_suffix(".json")?;
        digits.bytes().all(|c| c.is_ascii_digit()).then_some(())?;
        Some(Self { seq: Seq(digits.parse().ok()?), path: dir.join(name) })
    }
}

/// The snapshots of a journal, the newest first.
pub(super) fn list<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<SnapshotFile>, JournalError> {
    let names = disk.list(dir).map_err(JournalError::io("list", dir))?;
    let mut found: Vec<_> =
        names.iter().filter_map(|name| SnapshotFile::parse(dir, name)).collect();
    found.sort_by_key(|file| std::cmp::Reverse(file.seq));
    Ok(found)
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Front<'a> {
    tidegate: &'a str,
    format: u64,
    seq: Seq,
    continues: &'a str,
}

/// Reads a snapshot, or says why it cannot be used; whether it is whole is left to be asked.
pub(super) fn read<D: Disk>(disk: &D, file: &SnapshotFile) -> Result<Snapshot, String> {
    let text = disk.read(&file.path).map_err(|error| unreadable(&error))?;
    let (body, stated) = codec::unseal(text.trim_ascii_end()).ok_or_else(damaged)?;
    let (head, state) = front(body, file)?;
    let (state, body) = (state..body.len(), 0..body.len());
    let (path, whole) = (file.path.clone(), OnceLock::new());
    Ok(Snapshot { head, path, body, state, stated, whole, text })
}

/// Reads what a snapshot says to be, and no more.
pub(super) fn look(file: &SnapshotFile) -> Result<Sealed, String> {
    let opened = RealDisk.open(&file.path, Access::Read).map_err(|error| unreadable(&error))?;
    let len = RealDisk.len(&opened).map_err(|error| unreadable(&error))?;
    let part = |offset: u64| -> Result<Vec<u8>, String> {
        let mut part = vec![0; FRONT_MAX];
        let read =
            RealDisk.read_full(&opened, &mut part, offset).map_err(|error| unreadable(&error))?;
        part.truncate(read);
        Ok(part)
    };
    let end = part(len.saturating_sub(FRONT_MAX as u64))?;
    let stated = codec::stated(end.trim_ascii_end()).ok_or_else(damaged)?;
    let (head, _) = front(&part(0)?, file)?;
    Ok(Sealed { file: file.clone(), head, stated })
}

fn damaged() -> String {
    StateError::Damaged.to_string()
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot read it: {error}")
}

/// What stands before the state, and where the state begins.
fn front(text: &[u8], file: &SnapshotFile) -> Result<(Head, usize), String> {
    let text = text.get(..FRONT_MAX).unwrap_or(text);
    let at = text.windows(STATE_KEY.len()).position(|window| window == STATE_KEY);
    let front = at.and_then(|at| text.get(..at)).ok_or_else(damaged)?;
    let front = [front, b"}"].concat();
    let front: Front<'_> = serde_json::from_slice(&front).map_err(|_| damaged())?;
    let continues = LineHash::parse(front.continues.as_bytes()).ok_or_else(damaged)?;
    if front.tidegate != "snapshot" {
        return Err(damaged());
    }
    if front.format > FORMAT {
        return Err(format!("its format {} is newer than this program", front.format));
    }
    if front.seq != file.seq {
        return Err(format!("it stands at record {}, which its name does not say", front.seq));
    }
    let state = at.unwrap_or_default() + STATE_KEY.len();
    Ok((Head { seq: front.seq, hash: continues }, state))
}

/// Reads a snapshot that is whole, or says why it cannot be used.
pub(super) fn read_whole<D: Disk>(disk: &D, file: &SnapshotFile) -> Result<Snapshot, String> {
    let snapshot = read(disk, file)?;
    if snapshot.is_whole() { Ok(snapshot) } else { Err(damaged()) }
}

/// Writes the state at `head` as a new file.
pub(super) fn write<D: Disk, T: Serialize + ?Sized>(
    disk: &D,
    dir: &Path,
    head: &Head,
    state: &T,
) -> Result<(), SnapshotError> {
    let Head { seq, hash } = *head;
    let mut text = format!(
        r#"{{"tidegate":"snapshot","format":{FORMAT},"seq":{seq},"continues":"{hash}","state":"#
    )
    .into_bytes();
    serde_json::to_writer(&mut text, state)
        .map_err(|source| SnapshotError::Encode { seq, source })?;
    text.push(b'}');
    codec::seal(&mut text, 0, &hash);
    text.push(b'\n');
    let file = SnapshotFile::new(dir, seq);
    let io = |source| SnapshotError::Io { path: file.path.clone(), source };
    write_new(disk, &file.path, &text, 0o640).and_then(|()| disk.sync_dir(dir)).map_err(io)
}

/// Removes the snapshots that nobody needs: what stays is the newest, the one before it, and the base of the oldest
/// record, `oldest`.
pub(super) fn prune<D: Disk>(disk: &D, dir: &Path, oldest: Seq) -> Result<(), JournalError> {
    let old = list(disk, dir)?.into_iter().skip(KEPT);
    for old in old.filter(|old| old.seq.next() != oldest) {
        disk.remove(&old.path).map_err(JournalError::io("remove", &old.path))?;
    }
    Ok(())
}

/// Writes a file whole: new beside it, synced, renamed. The directory is left to be synced.
pub(super) fn write_new<D: Disk>(
    disk: &D,
    path: &Path,
    bytes: &[u8],
    mode: u32,
) -> std::io::Result<()> {
    let mut new = path.with_extension(format!("{}-new", unique()));
    if sabotage::is(Bug::WriteInPlace) {
        path.clone_into(&mut new);
    }
    let file = disk.create(&new, mode)?;
    let written = write_in_pieces(disk, &file, bytes).and_then(|()| disk.rename(&new, path));
    if written.is_err() {
        // The first error is the one that counts; a leftover is removed at the next start.
        drop(disk.remove(&new));
    }
    written
}

fn write_in_pieces<D: Disk>(disk: &D, file: &D::File, bytes: &[u8]) -> std::io::Result<()> {
    let sync = || if sabotage::is(Bug::SkipObjectSync) { Ok(()) } else { disk.sync_data(file) };
    let mut offset = 0;
    for piece in bytes.chunks(SYNCED_AT_ONCE) {
        disk.write_at(file, piece, offset)?;
        offset += piece.len() as u64;
        sync()?;
    }
    if bytes.is_empty() { sync() } else { Ok(()) }
}

/// Whether a name is that of a file that [`write_new`] did not finish. Nobody else's file is removed.
pub(super) fn is_leftover(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let parts = name.strip_suffix("-new").and_then(|name| name.rsplit_once('.'));
    parts.is_some_and(|(stem, unique)| {
        let seq = stem.strip_prefix("snapshot-").unwrap_or(stem);
        is_number(unique) && is_number(seq) && seq.len() == 20
    })
}

/// A number that no other thread of this process has.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
