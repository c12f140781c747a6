//! Reading on with all processors, as long as everything is as it should be.
//!
//! A line states its own hash, so whether it continues the line before it can be told from the two alone: pieces of a
//! file are checked and decoded beside each other, and put together in order. Anything else than good lines and padding
//! is left to the walk, which looks at it line by line and judges it.

use super::{Head, LineHash, Walk};
use crate::fact::Record;
use crate::journal::codec::{self, BATCH_MARKER};
use crate::journal::disk::Disk;
use crate::journal::error::JournalError;
use crate::names::Seq;

/// Bytes that are read at once: much more than a line, little enough to stay in the processors' caches.
const BLOCK: usize = 4 * 1024 * 1024;

/// Bytes that are not worth a thread.
const LEAST: usize = 64 * 1024;

/// Threads that check and decode; applying what they found is another one.
const THREADS_MAX: usize = 4;

/// Good lines one behind the other.
struct Piece {
    /// The first record's number.
    first: Seq,
    head: Head,
    records: Vec<Record>,
    /// Offset and line number after the last good line.
    end: (u64, u64),
    /// Where the last batch begins, if one begins here.
    batch: Option<u64>,
}

/// A part of a block: its text, the offset and number of its first line, and the hash that stands before it.
struct Part<'a> {
    text: &'a [u8],
    start: (u64, u64),
    previous: LineHash,
}

/// What a part holds.
enum Found {
    Good(Piece),
    /// Padding, and nothing else.
    Nothing,
    /// Something that needs a closer look.
    Other,
}

/// Hands one record over; an error ends it.
pub(in crate::journal) type Each<'a> = dyn FnMut(Record) -> Result<(), JournalError> + 'a;

impl<D: Disk> Walk<D> {
    /// Reads on and hands records over in order, until something needs a closer look by [`Walk::next`].
    pub(in crate::journal) fn bulk(&mut self, each: &mut Each<'_>) -> Result<(), JournalError> {
        if self.end.0 < self.bulk_from || !self.terminated {
            return Ok(());
        }
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut at = self.end;
        let mut previous = self.head.hash;
        let mut waiting = Vec::new();
        let mut good = true;
        while good {
            let block = self.block(at.0)?;
            if block.len() < LEAST {
                break;
            }
            let Some(parts) = parts(&block, at, previous, threads.min(THREADS_MAX)) else {
                self.bulk_from = at.0 + block.len() as u64;
                break;
            };
            let found = std::thread::scope(|scope| {
                let threads: Vec<_> = parts.iter().map(|part| scope.spawn(|| look(part))).collect();
                // What the block before held is applied meanwhile.
                good = self.apply(std::mem::take(&mut waiting), each)?;
                Ok(threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or(Found::Other))
                    .collect())
            })?;
            waiting = found;
            at.0 += block.len() as u64;
            at.1 += memchr::memchr_iter(b'\n', &block).count() as u64;
            let head = waiting.iter().rev().find_map(|found| match found {
                Found::Good(piece) => Some(piece.head.hash),
                Found::Nothing | Found::Other => None,
            });
            previous = head.unwrap_or(previous);
            if waiting.iter().any(|found| matches!(found, Found::Other)) {
                self.bulk_from = at.0;
                break;
            }
        }
        if good {
            self.apply(waiting, each)?;
        }
        self.lines.seek(self.end.0, self.end.1);
        Ok(())
    }

    /// Whole lines from `offset` on.
    fn block(&self, offset: u64) -> Result<Vec<u8>, JournalError> {
        let mut block = vec![0; BLOCK];
        let mut filled = 0;
        while let Some(rest @ [_, ..]) = block.get_mut(filled..) {
            let read = self.disk.read_at(self.lines.file(), rest, offset + filled as u64);
            match read.map_err(JournalError::io("read", &self.segment.path))? {
                0 => break,
                count => filled += count,
            }
        }
        let whole = block.get(..filled).and_then(|text| memchr::memrchr(b'\n', text));
        block.truncate(whole.map_or(0, |last| last + 1));
        Ok(block)
    }

    /// Goes over what was found, in order. False: something needs a closer look, and the walk stands before it.
    fn apply(&mut self, found: Vec<Found>, each: &mut Each<'_>) -> Result<bool, JournalError> {
        for found in found {
            let piece = match found {
                Found::Good(piece) => piece,
                Found::Nothing => continue,
                Found::Other => return Ok(false),
            };
            if piece.first != self.head.seq.next() {
                self.bulk_from = piece.end.0;
                return Ok(false);
            }
            self.head = piece.head;
            self.end = piece.end;
            self.batch = piece.batch.unwrap_or(self.batch);
            self.again = false;
            for record in piece.records {
                each(record)?;
            }
        }
        Ok(true)
    }
}

/// Divides a block at line ends. None: a part does not end with a line that states a hash.
fn parts(
    block: &[u8],
    start: (u64, u64),
    previous: LineHash,
    threads: usize,
) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let (mut rest, mut start, mut previous) = (block, start, previous);
    for left in (1..=threads.max(1)).rev() {
        let cut = match left {
            1 => rest.len(),
            left => memchr::memrchr(b'\n', rest.get(..rest.len() / left)?).map_or(0, |at| at + 1),
        };
        let (text, behind) = rest.split_at_checked(cut)?;
        if text.is_empty() {
            continue;
        }
        parts.push(Part { text, start, previous });
        start.0 += text.len() as u64;
        start.1 += memchr::memchr_iter(b'\n', text).count() as u64;
        // Padding is at the end of a file, so a part of padding has nothing but padding behind it.
        previous = last_hash(text).unwrap_or(previous);
        rest = behind;
    }
    Some(parts)
}

/// The hash that the last line states that is neither padding nor the beginning of a batch.
fn last_hash(text: &[u8]) -> Option<LineHash> {
    let is_line = |line: &&[u8]| !line.is_empty() && *line != BATCH_MARKER;
    let line = text.rsplit(|c| *c == b'\n').find(is_line)?;
    codec::unseal(line).map(|(_, stated)| stated)
}

/// Checks and decodes the lines of a part.
fn look(part: &Part<'_>) -> Found {
    let Part { text, start: (mut offset, mut number), mut previous } = *part;
    let (mut first, mut last) = (None, Seq(0));
    let (mut records, mut end, mut batch) = (Vec::new(), None, None);
    let mut from = 0;
    for newline in memchr::memchr_iter(b'\n', text) {
        let line = text.get(from..newline).unwrap_or_default();
        let at = offset;
        from = newline + 1;
        offset += line.len() as u64 + 1;
        number += 1;
        if line.is_empty() {
            continue;
        }
        if line == BATCH_MARKER {
            batch = Some(at);
        } else {
            let Some((body, stated)) = codec::unseal(line) else { return Found::Other };
            let Ok(record) = codec::decode(line) else { return Found::Other };
            let is_next = first.is_none() || record.seq == last.next();
            let is_next = is_next && codec::seq_of(line) == Some(record.seq);
            if !is_next || previous.next(body) != stated {
                return Found::Other;
            }
            (previous, last) = (stated, record.seq);
            first = first.or(Some(record.seq));
            records.push(record);
        }
        end = Some((offset, number));
    }
    match (first, end) {
        (None, None) => Found::Nothing,
        (Some(first), Some(end)) => Found::Good(Piece {
            first,
            head: Head { seq: last, hash: previous },
            records,
            end,
            batch,
        }),
        // The beginning of a batch alone: what it holds is in the next part, which the walk puts together.
        (None, Some(_)) | (Some(_), None) => Found::Other,
    }
}
