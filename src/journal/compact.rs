//! Compaction: a snapshot of now, and old history folded into the snapshot before the oldest record that stays.
//!
//! It reads and writes beside a journal that takes records meanwhile: [`super::Journal::seal`] ends the current file, and
//! everything here is about files that are ended. It needs no lock of its own, but one compaction at a time.
//!
//! Whatever is removed was read and checked against the chain first, and is contained in a snapshot that is durable.
//! Files go from the oldest on, so that a crash in between leaves a journal that only reaches back less far.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::disk::{Access, Disk};
use super::error::JournalError;
use super::reader::{From, Reader};
use super::recovery::{Head, Segment, segments};
use super::snapshot::{self, KEPT, SnapshotError};
use crate::fact::Record;
use crate::names::Seq;
use crate::sabotage::{self, Bug};
use crate::time::Timestamp;

/// Records between two looks at whether to give up.
const RECORDS_AT_ONCE: u64 = 1_024;

/// Padding that is not worth a cut.
const PADDING_BYTES: u64 = 512;

/// Bytes that are looked through for padding at once.
const PIECE_BYTES: usize = 64 * 1024;

/// How much history is kept. Whole files go, so what is kept is a little more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// Records that are younger stay; none: whatever their age.
    pub keep_for: Option<Duration>,
    /// Bytes of files beyond which the oldest go; none: however many.
    pub keep_bytes: Option<u64>,
}

/// What a compaction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Compacted {
    /// The record that the newest snapshot stands at.
    pub snapshot: Seq,
    /// The oldest record that is left.
    pub oldest: Seq,
    /// Records that went.
    pub dropped: u64,
    /// Bytes of their files.
    pub freed: u64,
}

/// Why a compaction did not come to its end. The journal is as good as before.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The records cannot be read.
    #[error("cannot read what is to be compacted")]
    Journal(#[from] JournalError),
    /// The snapshot cannot be written.
    #[error("cannot write the snapshot that history is folded into")]
    Snapshot(#[from] SnapshotError),
    /// The files reach to another record than the one that was sealed.
    #[error(
        "the files of the journal end at record {found}, and record {expected} was written: run `tidegate journal \
         verify`"
    )]
    Short {
        /// The record that was sealed.
        expected: Seq,
        /// The record that the files reach to.
        found: Seq,
    },
    /// Somebody asked it to end.
    #[error("compaction was given up because the program ends; nothing is lost by that")]
    Cancelled,
}

/// A compaction of everything up to a record.
#[derive(Debug)]
pub struct Compaction<D: Disk, S> {
    disk: D,
    root: PathBuf,
    dir: PathBuf,
    /// The last record of the files that are ended.
    sealed: Head,
    cancelled: Arc<AtomicBool>,
    apply: fn(&mut S, &Record),
}

impl<D: Disk, S: Default + Serialize + DeserializeOwned> Compaction<D, S> {
    /// A compaction of the journal of the state directory `root` up to `sealed`, as [`super::Journal::seal`] gave it;
    /// `apply` folds a record into the state that snapshots hold.
    #[must_use]
    pub fn new(disk: D, root: &Path, sealed: Head, apply: fn(&mut S, &Record)) -> Self {
        let (root, dir) = (root.to_owned(), root.join("journal"));
        Self { disk, root, dir, sealed, apply, cancelled: Arc::default() }
    }

    /// The same with a switch of the caller's that makes it end early.
    #[must_use]
    pub fn with_switch(self, cancelled: Arc<AtomicBool>) -> Self {
        Self { cancelled, ..self }
    }

    /// Writes the snapshot, and drops history by `retention` as of `now`.
    ///
    /// # Errors
    /// When files cannot be read or written, or the switch was set.
    pub fn run(&self, retention: Retention, now: Timestamp) -> Result<Compacted, CompactError> {
        self.snapshot_at(self.sealed.seq)?;
        let files = segments(&self.disk, &self.dir)?;
        for (ended, _) in files.iter().zip(files.iter().skip(1)) {
            self.give_back(ended)?;
        }
        let oldest = files.first().map_or(Seq(1), |oldest| oldest.from);
        let mut kept = Compacted { snapshot: self.sealed.seq, oldest, dropped: 0, freed: 0 };
        if let Some(next) = self.first_to_keep(&files, retention, now)? {
            if !sabotage::is(Bug::SkipBase) {
                self.snapshot_at(Seq(next.from.0.saturating_sub(1)))?;
            }
            for old in files.iter().filter(|old| old.from < next.from) {
                kept.freed += self.len(old)?;
                self.disk.remove(&old.path).map_err(JournalError::io("remove", &old.path))?;
                // One by one, so that no later one can be gone while an earlier one is still there.
                self.disk.sync_dir(&self.dir).map_err(JournalError::io("sync", &self.dir))?;
            }
            kept.oldest = next.from;
            kept.dropped = next.from.0 - oldest.0;
        }
        snapshot::prune(&self.disk, &self.dir, kept.oldest)?;
        Ok(kept)
    }

    /// Makes sure that there is a snapshot at `seq` that can be used.
    fn snapshot_at(&self, seq: Seq) -> Result<(), CompactError> {
        if seq == Seq(0) {
            return Ok(());
        }
        let mut state = S::default();
        let mut base = None;
        for file in snapshot::list(&self.disk, &self.dir)? {
            if file.seq > seq {
                continue;
            }
            let Ok(snapshot) = snapshot::read(&self.disk, &file) else { continue };
            if let Ok(read) = snapshot.state() {
                if file.seq == seq {
                    return Ok(());
                }
                (state, base) = (read, Some(snapshot.head()));
                break;
            }
        }
        let head = self.fold(&mut state, base, seq)?;
        if self.sealed.seq == seq && self.sealed != head {
            return Err(CompactError::Short { expected: seq, found: head.seq });
        }
        Ok(snapshot::write(&self.disk, &self.dir, &head, &state)?)
    }

    /// Folds the records behind `base` up to `seq`.
    fn fold(&self, state: &mut S, base: Option<Head>, seq: Seq) -> Result<Head, CompactError> {
        let after = base.map_or(Seq(0), |base| base.seq);
        let mut reader = Reader::open(self.disk.clone(), &self.root, From::After(after))?;
        let mut last = after;
        while last < seq {
            self.look_up(last)?;
            let Some(record) = reader.next() else { break };
            let record = record?;
            last = record.seq;
            (self.apply)(state, &record);
        }
        let head = reader.head().or(base).filter(|head| head.seq == seq);
        let head = head.ok_or(CompactError::Short { expected: seq, found: last })?;
        if seq < self.sealed.seq {
            // What stays must go on from here, before what it goes on from is removed.
            reader.next().transpose()?;
        }
        Ok(head)
    }

    /// The oldest file that is to stay, if any older one is to go.
    ///
    /// The newest snapshot may turn out to be unusable, so what is behind the one before it stays in any case.
    fn first_to_keep(
        &self,
        files: &[Segment],
        retention: Retention,
        now: Timestamp,
    ) -> Result<Option<Segment>, CompactError> {
        let snapshots = snapshot::list(&self.disk, &self.dir)?;
        let Some(spare) = snapshots.get(KEPT - 1) else { return Ok(None) };
        let mut bytes = 0;
        for file in files {
            bytes += self.len(file)?;
        }
        let mut first = None;
        let young = self.first_young(retention, now, spare.seq.next())?;
        for (old, next) in files.iter().zip(files.iter().skip(1)) {
            let too_many = retention.keep_bytes.is_some_and(|most| bytes > most);
            if next.from > spare.seq.next() || !too_many && next.from > young {
                break;
            }
            bytes -= self.len(old)?;
            first = Some(next.clone());
        }
        Ok(first)
    }

    /// The first record that its age keeps, of those before `end`.
    ///
    /// A clock that went back makes records look old whose predecessors are not, so every record is looked at; one
    /// that was ahead for a while makes them look young until its time has come, so what is later than now does not
    /// count. Where the newest record is later than now it is this clock that cannot be trusted, and everything stays.
    fn first_young(
        &self,
        retention: Retention,
        now: Timestamp,
        end: Seq,
    ) -> Result<Seq, CompactError> {
        let Some(keep_for) = retention.keep_for else { return Ok(Seq(0)) };
        let open = |from| Reader::open(self.disk.clone(), &self.root, from);
        let newest = open(From::After(Seq(self.sealed.seq.0.saturating_sub(1))))?.next();
        if newest.transpose()?.is_none_or(|newest| newest.at > now) {
            return Ok(Seq(0));
        }
        let mut records = open(From::Oldest)?;
        while let Some(record) = records.next().transpose()? {
            self.look_up(record.seq)?;
            let forced = sabotage::is(Bug::DropYoung);
            if record.seq >= end || !forced && record.at <= now && record.at.after(keep_for) > now {
                return Ok(record.seq);
            }
        }
        Ok(end)
    }

    /// Now and then, whether to give up.
    fn look_up(&self, seq: Seq) -> Result<(), CompactError> {
        if seq.0.is_multiple_of(RECORDS_AT_ONCE) && self.cancelled.load(Ordering::Relaxed) {
            return Err(CompactError::Cancelled);
        }
        Ok(())
    }

    /// Gives the space back that was filled ahead in a file that is ended. What a crash leaves of that is padding.
    fn give_back(&self, ended: &Segment) -> Result<(), CompactError> {
        let file = self.disk.open(&ended.path, Access::Write);
        let file = file.map_err(JournalError::io("open", &ended.path))?;
        let cut = self.used(&file).and_then(|(len, used)| {
            if len - used < PADDING_BYTES {
                return Ok(());
            }
            self.disk.cut(&file, used)?;
            self.disk.sync_data(&file)
        });
        Ok(cut.map_err(JournalError::io("cut the padding of", &ended.path))?)
    }

    /// The length of a file, and where its padding begins.
    fn used(&self, file: &D::File) -> io::Result<(u64, u64)> {
        let len = self.disk.len(file)?;
        let mut end = len;
        let mut piece = vec![0; PIECE_BYTES];
        while end > 0 {
            let start = end.saturating_sub(PIECE_BYTES as u64);
            let text = usize::try_from(end - start).ok().and_then(|len| piece.get_mut(..len));
            let text = text.unwrap_or_default();
            if self.disk.read_full(file, text, start)? < text.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(last) = text.iter().rposition(|c| !matches!(c, b'\n' | 0)) {
                // With the newline that ends the last line.
                return Ok((len, (start + last as u64 + 2).min(len)));
            }
            end = start;
        }
        Ok((len, 0))
    }

    fn len(&self, file: &Segment) -> Result<u64, JournalError> {
        let opened = self.disk.open(&file.path, Access::Read);
        let len = opened.and_then(|opened| self.disk.len(&opened));
        len.map_err(JournalError::io("measure", &file.path))
    }
}
