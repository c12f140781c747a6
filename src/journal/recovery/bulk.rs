//! Reading on with all processors, as long as everything is as it should be.
//!
//! A line states its own hash, so whether it continues the line before it can be told from the two alone: pieces of a
//! file are checked and decoded beside each other, and put together in order; and the hashes of many lines are computed
//! in the lanes of one processor, which where it has no instructions for SHA-256 is three times as fast as one after the
//! other. Anything else than good lines and padding is left to the walk, which looks at it line by line and judges it: so
//! whatever is computed wrong here costs time, and refuses nothing.

use super::{Head, LineHash, Walk};
use crate::fact::Record;
use crate::journal::codec::{self, BATCH_MARKER};
use crate::journal::disk::Disk;
use crate::journal::error::JournalError;
use crate::names::Seq;

/// Bytes that are read at once: enough that beginning threads does not count.
const BLOCK: usize = 4 * 1024 * 1024;

/// Lines that are checked before they are decoded: many lanes full, few enough to stay in a processor's cache.
const LINES: usize = 256;

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
    lines: u64,
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
        let mut buffer = Vec::new();
        // Lists that were emptied: to ask the system for the memory of each anew is as dear as to read the lines.
        let mut spare = Vec::new();
        while good {
            let block = self.block(at.0, &mut buffer)?;
            if block.len() < LEAST {
                break;
            }
            let Some(parts) = parts(block, at, previous, threads.min(THREADS_MAX)) else {
                self.bulk_from = at.0 + block.len() as u64;
                break;
            };
            let found = std::thread::scope(|scope| {
                let look = |part| {
                    let list = spare.pop().unwrap_or_default();
                    scope.spawn(move || look(part, list))
                };
                let threads: Vec<_> = parts.iter().map(look).collect();
                // What the block before held is applied meanwhile.
                good = self.apply(std::mem::take(&mut waiting), each, &mut spare)?;
                Ok(threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or(Found::Other))
                    .collect())
            })?;
            waiting = found;
            at.0 += block.len() as u64;
            at.1 += parts.iter().map(|part| part.lines).sum::<u64>();
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
            self.apply(waiting, each, &mut spare)?;
        }
        self.lines.seek(self.end.0, self.end.1);
        Ok(())
    }

    /// Reads whole lines from `offset` on; none where little is left.
    fn block<'a>(&self, offset: u64, buffer: &'a mut Vec<u8>) -> Result<&'a [u8], JournalError> {
        let file = self.lines.file();
        let len = self.disk.len(file).map_err(JournalError::io("read", &self.segment.path))?;
        if len < offset + LEAST as u64 {
            return Ok(&[]);
        }
        if buffer.is_empty() {
            *buffer = vec![0; BLOCK];
        }
        let mut filled = 0;
        while let Some(rest @ [_, ..]) = buffer.get_mut(filled..) {
            let read = self.disk.read_at(file, rest, offset + filled as u64);
            match read.map_err(JournalError::io("read", &self.segment.path))? {
                0 => break,
                count => filled += count,
            }
        }
        let text = buffer.get(..filled).unwrap_or_default();
        let whole = memchr::memrchr(b'\n', text).map_or(0, |last| last + 1);
        Ok(text.get(..whole).unwrap_or_default())
    }

    /// Goes over what was found, in order. False: something needs a closer look, and the walk stands before it.
    fn apply(
        &mut self,
        found: Vec<Found>,
        each: &mut Each<'_>,
        spare: &mut Vec<Vec<Record>>,
    ) -> Result<bool, JournalError> {
        for found in found {
            let mut piece = match found {
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
            for record in piece.records.drain(..) {
                each(record)?;
            }
            spare.push(piece.records);
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
        let lines = memchr::memchr_iter(b'\n', text).count() as u64;
        parts.push(Part { text, lines, start, previous });
        start.0 += text.len() as u64;
        start.1 += lines;
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

/// Lines of a part that were not looked at yet.
struct Rest<'a> {
    text: &'a str,
    newlines: memchr::Memchr<'a>,
    /// Index of the first byte that was not looked at.
    from: usize,
    /// Offset and number of the line there.
    at: (u64, u64),
    batch: Option<u64>,
    /// Offset and number after the last line that is not padding.
    end: Option<(u64, u64)>,
}

impl<'a> Rest<'a> {
    /// The next lines of records, at most [`LINES`]: each with what its hash covers, and its hash.
    fn next(&mut self, lines: &mut Vec<(&'a str, &'a [u8], LineHash)>) -> Option<()> {
        lines.clear();
        while lines.len() < LINES
            && let Some(newline) = self.newlines.next()
        {
            let line = self.text.get(self.from..newline)?;
            let start = self.at.0;
            self.from = newline + 1;
            self.at = (start + line.len() as u64 + 1, self.at.1 + 1);
            if line.is_empty() {
                continue;
            }
            if line.as_bytes() == BATCH_MARKER {
                self.batch = Some(start);
            } else {
                let (body, stated) = codec::unseal(line.as_bytes())?;
                lines.push((line, body, stated));
            }
            self.end = Some(self.at);
        }
        Some(())
    }
}

/// Checks and decodes the lines of a part into `records`, which is empty.
fn look(part: &Part<'_>, records: Vec<Record>) -> Found {
    // Serde checks each text for itself where it is not known that all is UTF-8.
    let text = std::str::from_utf8(part.text).ok();
    text.and_then(|text| look_at(part, text, records)).unwrap_or(Found::Other)
}

/// `None` where something needs a closer look.
fn look_at(part: &Part<'_>, text: &str, mut records: Vec<Record>) -> Option<Found> {
    let newlines = memchr::memchr_iter(b'\n', text.as_bytes());
    let mut rest = Rest { text, newlines, from: 0, at: part.start, batch: None, end: None };
    let (mut first, mut last) = (None, Head { seq: Seq(0), hash: part.previous });
    let mut lines = Vec::with_capacity(LINES);
    let mut computed = Vec::with_capacity(LINES);
    loop {
        rest.next(&mut lines)?;
        if lines.is_empty() {
            break;
        }
        let hashes = lines.iter().map(|(_, body, stated)| (*body, *stated));
        codec::hash_all(last.hash, hashes, &mut computed);
        for ((line, _, stated), computed) in lines.iter().zip(&computed) {
            let record = codec::decode_text(line).ok()?;
            let is_next = first.is_none() || record.seq == last.seq.next();
            let is_next = is_next && codec::seq_of(line.as_bytes()) == Some(record.seq);
            if !is_next || computed != stated {
                return None;
            }
            last = Head { seq: record.seq, hash: *stated };
            first = first.or(Some(record.seq));
            records.push(record);
        }
    }
    match (first, rest.end) {
        (None, None) => Some(Found::Nothing),
        (Some(first), Some(end)) => {
            Some(Found::Good(Piece { first, head: last, records, end, batch: rest.batch }))
        }
        // The beginning of a batch alone: what it holds is in the next part, which the walk puts together.
        (None, Some(_)) | (Some(_), None) => None,
    }
}
