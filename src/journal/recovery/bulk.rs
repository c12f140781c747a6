//! Reading on with a second processor, as long as everything is as it should be.
//!
//! A line states its own hash, so whether it continues the line before it can be told from the two alone. So one thread
//! computes the hashes of a block of lines, in the lanes of one processor, which where it has no instructions for SHA-256
//! is three times as fast as one after the other; meanwhile the block before it, whose hashes are right, is decoded and
//! applied by the caller's thread. Records are not decoded by the other thread: to hand them over, and to free what
//! another thread allocated, takes longer than to decode them. Anything else than good lines and padding is left to the
//! walk, which looks at it line by line and judges it: so whatever is computed wrong here costs time, and refuses nothing.

use super::{Head, LineHash, Walk};
use crate::fact::Record;
use crate::journal::codec::{self, BATCH_MARKER};
use crate::journal::disk::Disk;
use crate::journal::error::JournalError;

/// Bytes that are read at once: few enough to stay in a processor's cache until they are decoded, enough that beginning a
/// thread does not count.
const BLOCK: usize = 512 * 1024;

/// Lines that are hashed together: many lanes full.
const LINES: usize = 256;

/// Bytes that are not worth a thread.
const LEAST: usize = 64 * 1024;

/// Hands one record over; an error ends it.
pub(in crate::journal) type Each<'a> = dyn FnMut(Record) -> Result<(), JournalError> + 'a;

/// Whole lines of a file.
#[derive(Default)]
struct Block {
    text: Vec<u8>,
    /// Offset of the first byte, and number of the first line.
    start: (u64, u64),
}

/// A block whose lines continue each other.
struct Checked {
    text: String,
    start: (u64, u64),
    /// Number of lines.
    count: u64,
    /// The hash that the last record's line states.
    last: LineHash,
}

impl<D: Disk> Walk<D> {
    /// Reads on and hands records over in order, until something needs a closer look by [`Walk::next`].
    pub(in crate::journal) fn bulk(&mut self, each: &mut Each<'_>) -> Result<(), JournalError> {
        if self.end.0 < self.bulk_from || !self.terminated {
            return Ok(());
        }
        let (mut at, mut previous) = (self.end, self.head.hash);
        let mut waiting: Option<Checked> = None;
        let mut spare = Vec::new();
        loop {
            let block = self.block(at, spare)?;
            let len = block.text.len() as u64;
            if len < LEAST as u64 {
                break;
            }
            let (applied, checked) = std::thread::scope(|scope| {
                let checking = scope.spawn(move || check(block, previous));
                let applied = waiting.as_ref().map_or(Ok(true), |block| self.apply(block, each));
                (applied, checking.join().ok().flatten())
            });
            spare = waiting.take().map(|block| block.text.into_bytes()).unwrap_or_default();
            let (true, Some(checked)) = (applied?, checked) else {
                self.bulk_from = at.0 + len;
                break;
            };
            at = (at.0 + len, at.1 + checked.count);
            previous = checked.last;
            waiting = Some(checked);
        }
        if let Some(block) = waiting {
            self.apply(&block, each)?;
        }
        self.lines.seek(self.end.0, self.end.1);
        Ok(())
    }

    /// Reads whole lines from `start` on into `text`; none where little is left.
    fn block(&self, start: (u64, u64), mut text: Vec<u8>) -> Result<Block, JournalError> {
        let file = self.lines.file();
        let len = self.disk.len(file).map_err(JournalError::io("read", &self.segment.path))?;
        if len < start.0 + LEAST as u64 {
            return Ok(Block::default());
        }
        text.resize(BLOCK, 0);
        let read = self.disk.read_full(file, &mut text, start.0);
        text.truncate(read.map_err(JournalError::io("read", &self.segment.path))?);
        text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |last| last + 1));
        Ok(Block { text, start })
    }

    /// Goes over the lines of a block. False: something needs a closer look, and the walk stands before it.
    fn apply(&mut self, block: &Checked, each: &mut Each<'_>) -> Result<bool, JournalError> {
        let mut at = block.start;
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', block.text.as_bytes()) {
            let line = block.text.get(from..newline).unwrap_or_default();
            let start = at.0;
            at = (start + line.len() as u64 + 1, at.1 + 1);
            from = newline + 1;
            if line.is_empty() {
                continue;
            }
            if line.as_bytes() == BATCH_MARKER {
                self.batch = start;
            } else {
                let Some(head) = self.apply_line(line, each)? else {
                    self.bulk_from = block.start.0 + block.text.len() as u64;
                    return Ok(false);
                };
                self.head = head;
            }
            self.end = at;
            self.again = false;
        }
        Ok(true)
    }

    /// Hands over the record of a line whose hash is right; `None` if it is not the record due.
    fn apply_line(&self, line: &str, each: &mut Each<'_>) -> Result<Option<Head>, JournalError> {
        let due = self.head.seq.next();
        let record = codec::decode_text(line).ok().filter(|record| record.seq == due);
        let stated = codec::unseal(line.as_bytes()).map(|(_, stated)| stated);
        let (Some(record), Some(hash)) = (record, stated) else { return Ok(None) };
        if codec::seq_of(line.as_bytes()) != Some(due) {
            return Ok(None);
        }
        each(record)?;
        Ok(Some(Head { seq: due, hash }))
    }
}

/// Checks that the lines of a block continue each other and `previous`. `None` where something needs a closer look.
fn check(block: Block, previous: LineHash) -> Option<Checked> {
    let mut lines = Vec::with_capacity(LINES);
    let mut computed = Vec::with_capacity(LINES);
    let (mut from, mut count, mut last) = (0, 0, previous);
    let mut newlines = memchr::memchr_iter(b'\n', &block.text);
    loop {
        lines.clear();
        while lines.len() < LINES
            && let Some(newline) = newlines.next()
        {
            let line = block.text.get(from..newline)?;
            from = newline + 1;
            count += 1;
            if !line.is_empty() && line != BATCH_MARKER {
                lines.push(codec::unseal(line)?);
            }
        }
        let Some((_, stated)) = lines.last() else { break };
        codec::hash_all(last, lines.iter().copied(), &mut computed);
        if !lines.iter().map(|(_, stated)| stated).eq(&computed) {
            return None;
        }
        last = *stated;
    }
    let Block { text, start } = block;
    // Serde checks each text for itself where it is not known that all is UTF-8.
    Some(Checked { text: String::from_utf8(text).ok()?, start, count, last })
}
