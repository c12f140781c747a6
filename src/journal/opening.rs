//! Opening for writing: what is read, what is decided, and only then what is put right.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Replay;
use super::disk::{Access, Disk, LockFailure};
use super::error::{self, JournalError, Warning};
use super::recovery::{Head, Segment, Tail, Walk, segments};
use super::snapshot::{self, StateError};
use crate::names::Seq;
use crate::sabotage::{self, Bug};

/// Makes a directory and those above it, durably.
pub(super) fn make_dir<D: Disk>(disk: &D, path: &Path, mode: u32) -> Result<(), JournalError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let made = match (disk.create_dir(path, mode), parent) {
        (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(disk, parent, mode)?;
            disk.create_dir(path, mode)
        }
        (result, _) => result,
    };
    if made.map_err(JournalError::io("make directory", path))? {
        let parent = parent.unwrap_or_else(|| Path::new("."));
        disk.sync_dir(parent).map_err(JournalError::io("sync", parent))?;
    }
    Ok(())
}

pub(super) fn lock<D: Disk>(disk: &D, root: &Path) -> Result<D::Lock, JournalError> {
    let path = root.join("lock");
    disk.lock(&path, std::process::id()).map_err(|failure| match failure {
        LockFailure::Held(pid) => JournalError::Locked { root: root.to_owned(), pid },
        LockFailure::Io(source) => JournalError::Io { doing: "lock", path, source },
    })
}

pub(super) fn clear_leftovers<D: Disk>(disk: &D, dir: &Path) -> Result<(), JournalError> {
    let names = disk.list(dir).map_err(JournalError::io("list", dir))?;
    for name in names.iter().filter(|name| snapshot::is_leftover(name)) {
        let path = dir.join(name);
        disk.remove(&path).map_err(JournalError::io("remove", &path))?;
    }
    Ok(())
}

/// What the files hold.
pub(super) enum Found<D: Disk> {
    /// Records, read to their end.
    Walk(Box<Walk<D>>),
    /// No record behind this one; the file that was being begun, if one was.
    Nothing(Head, Option<Segment>),
}

/// Reads the newest snapshot that can be used and the records behind it. Changes nothing.
pub(super) fn read_all<D: Disk>(
    disk: &D,
    dir: &Path,
    replay: &mut dyn FnMut(Replay) -> Result<(), String>,
    warnings: &mut Vec<Warning>,
) -> Result<Found<D>, JournalError> {
    let files = snapshot::list(disk, dir)?;
    let mut base = None;
    for file in &files {
        let usable = snapshot::read(disk, file).and_then(|snapshot| {
            let snapshot = Arc::new(snapshot);
            replay(Replay::Snapshot(Arc::clone(&snapshot)))?;
            // Known already if its state was read; who did not read it has nothing to lose.
            if snapshot.is_whole() {
                Ok(snapshot.head())
            } else {
                Err(StateError::Damaged.to_string())
            }
        });
        match usable {
            Ok(head) => {
                base = Some((head, file.path.clone()));
                break;
            }
            Err(reason) => {
                let path = file.path.clone();
                warnings.push(Warning::SnapshotUnusable { path, reason });
            }
        }
    }
    let after = base.as_ref().map_or(Seq(0), |(head, _)| head.seq);
    let segments = segments(disk, dir)?;
    let segment = segments.iter().rev().find(|segment| segment.from <= after.next());
    let found = match (segment, segments.first()) {
        (Some(segment), _) => match Walk::start(disk.clone(), dir, segment.clone(), after)? {
            Some(mut walk) => {
                replay_walk(&mut walk, base.as_ref(), replay)?;
                Found::Walk(Box::new(walk))
            }
            None => {
                // What stands behind a file's beginning is known where a snapshot was taken right before it.
                let base = base.as_ref().map(|(head, _)| *head);
                let base = base.filter(|head| head.seq.next() == segment.from);
                Found::Nothing(base.unwrap_or(Head::START), Some(segment.clone()))
            }
        },
        (None, Some(oldest)) => {
            let last = Seq(oldest.from.0.saturating_sub(1));
            return Err(JournalError::Missing { dir: dir.to_owned(), first: after.next(), last });
        }
        (None, None) => Found::Nothing(Head::START, None),
    };
    let last = match &found {
        Found::Walk(walk) => walk.head().seq,
        Found::Nothing(head, _) => head.seq,
    };
    // By name, whether it can be read or not: it was written when its last record was durable.
    match files.first() {
        Some(file) if file.seq > last => {
            Err(JournalError::SnapshotAhead { path: file.path.clone(), snapshot: file.seq, last })
        }
        _ => Ok(found),
    }
}

fn replay_walk<D: Disk>(
    walk: &mut Walk<D>,
    base: Option<&(Head, PathBuf)>,
    replay: &mut dyn FnMut(Replay) -> Result<(), String>,
) -> Result<(), JournalError> {
    loop {
        let found = walk.head();
        if let Some((head, path)) = base
            && head.seq == found.seq
            && head.hash != found.hash
        {
            return Err(JournalError::SnapshotForeign {
                path: path.clone(),
                seq: head.seq,
                expected: head.hash,
                found: found.hash,
            });
        }
        if base.is_none_or(|(head, _)| head.seq <= found.seq) {
            walk.bulk(&mut |record| {
                let seq = record.seq;
                replay(Replay::Record(record))
                    .map_err(|reason| JournalError::Refused { seq, reason })
            })?;
        }
        let Some(step) = walk.next()? else { return Ok(()) };
        if let Some(record) = step.record {
            let seq = record.seq;
            replay(Replay::Record(record))
                .map_err(|reason| JournalError::Refused { seq, reason })?;
        }
    }
}

/// Puts the end of the journal in order and makes all of it durable. Returns the place to go on at.
pub(super) fn settle<D: Disk>(
    disk: &D,
    walk: &Walk<D>,
    warnings: &mut Vec<Warning>,
) -> Result<(Head, Segment, D::File, u64), JournalError> {
    if let Tail::Torn { place, bytes: bytes @ 1.. } = walk.tail() {
        warnings.push(Warning::TornTail { place: place.clone(), bytes: *bytes });
    }
    let segment = walk.segment().clone();
    let file = disk.open(&segment.path, Access::Write);
    let file = file.map_err(JournalError::io("open", &segment.path))?;
    let end = settle_file(disk, &file, walk).map_err(JournalError::io("repair", &segment.path))?;
    let dir = segment.path.parent().unwrap_or_else(|| Path::new("."));
    disk.sync_dir(dir).map_err(JournalError::io("sync", dir))?;
    if let Tail::Begun(next) = walk.tail() {
        let begun = begin_segment(disk, dir, Some(next.clone()), &walk.head(), warnings);
        match begun {
            // What is kept ahead in the file before it is enough for what is under way.
            Err(JournalError::Io { source, .. }) if error::is_full(&source) => {
                disk.remove(&next.path).map_err(JournalError::io("remove", &next.path))?;
                disk.sync_dir(dir).map_err(JournalError::io("sync", dir))?;
            }
            begun => return begun,
        }
    }
    Ok((walk.head(), segment, file, end))
}

fn settle_file<D: Disk>(disk: &D, file: &D::File, walk: &Walk<D>) -> io::Result<u64> {
    let (mut end, terminated) = walk.end();
    if sabotage::is(Bug::CutTooMuch) && matches!(walk.tail(), Tail::Torn { .. }) {
        end = walk.batch();
    }
    // The last batch once more: see the end of the module's documentation.
    let mut batch = vec![0; usize::try_from(end - walk.batch()).map_err(io::Error::other)?];
    if disk.read_full(file, &mut batch, walk.batch())? < batch.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !terminated {
        batch.push(b'\n');
        end += 1;
    }
    if !sabotage::is(Bug::TrustFailedSync) {
        disk.write_at(file, &batch, walk.batch())?;
    }
    if matches!(walk.tail(), Tail::Torn { .. }) {
        disk.allocate(file, end..disk.len(file)?)?;
    }
    disk.sync_data(file)?;
    Ok(end)
}

/// Begins a file, and makes its name durable.
pub(super) fn begin_segment<D: Disk>(
    disk: &D,
    dir: &Path,
    begun: Option<Segment>,
    head: &Head,
    warnings: &mut Vec<Warning>,
) -> Result<(Head, Segment, D::File, u64), JournalError> {
    warnings.extend(begun.iter().map(|begun| Warning::TornHeader { path: begun.path.clone() }));
    let segment = begun.unwrap_or_else(|| Segment::new(dir, head.seq.next()));
    let made = create_segment(disk, &segment, head);
    let (file, end) = made.map_err(JournalError::io("begin", &segment.path))?;
    disk.sync_dir(dir).map_err(JournalError::io("sync", dir))?;
    Ok((*head, segment, file, end))
}

/// Makes a file with its header, synced. Its name is left to be.
pub(super) fn create_segment<D: Disk>(
    disk: &D,
    segment: &Segment,
    head: &Head,
) -> io::Result<(D::File, u64)> {
    let file = disk.create(&segment.path, 0o640)?;
    let header = head.header().encode();
    disk.write_at(&file, &header, 0)?;
    disk.sync_data(&file)?;
    Ok((file, header.len() as u64))
}
