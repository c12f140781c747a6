//! A file as lines, read in pieces: memory is bounded by the longest line.

use std::io;
use std::ops::Range;

use super::disk::Disk;
use crate::limits;

/// Bytes read at once: long enough that system calls do not count, short enough for the cache.
const CHUNK: &[u8] = &[0; 64 * 1024];

/// Where a line stands.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Offset of its first byte.
    pub(super) start: u64,
    /// Offset after its newline, or the file's end.
    pub(super) end: u64,
    /// Its number in the file, from 1.
    pub(super) number: u64,
    /// Whether a newline ends it.
    pub(super) terminated: bool,
    range: Range<usize>,
}

/// The lines of a file that are not empty.
pub(super) struct Lines<D: Disk> {
    disk: D,
    file: D::File,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte.
    base: u64,
    /// Index of the first byte that is not consumed.
    at: usize,
    /// Number of the line that begins at `at`.
    number: u64,
    at_end: bool,
}

impl<D: Disk> Lines<D> {
    pub(super) fn new(disk: D, file: D::File) -> Self {
        Self { disk, file, buffer: Vec::new(), base: 0, at: 0, number: 1, at_end: false }
    }

    pub(super) fn file(&self) -> &D::File {
        &self.file
    }

    /// Goes on from `offset`, where the line `number` begins, with what the file holds now.
    pub(super) fn seek(&mut self, offset: u64, number: u64) {
        self.buffer.clear();
        self.base = offset;
        self.at = 0;
        self.number = number;
        self.at_end = false;
    }

    /// The next line that is not empty.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let blank = rest.iter().take_while(|c| **c == b'\n').count();
            self.at += blank;
            self.number += blank as u64;
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let len = rest.iter().position(|c| *c == b'\n');
            let too_long = rest.len() > limits::JOURNAL_LINE_BYTES_MAX;
            if let Some(len) = len.or_else(|| (too_long || self.at_end).then_some(rest.len())) {
                if len == 0 {
                    return Ok(None);
                }
                let terminated = len < rest.len();
                let range = self.at..self.at + len;
                let number = self.number;
                self.at += len + usize::from(terminated);
                self.number += u64::from(terminated);
                let start = self.base + range.start as u64;
                let end = self.base + self.at as u64;
                return Ok(Some(Line { start, end, number, terminated, range }));
            }
            self.fill()?;
        }
    }

    /// The bytes of the line that [`Self::next`] returned last, without its newline.
    pub(super) fn bytes(&self, line: &Line) -> &[u8] {
        self.buffer.get(line.range.clone()).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        self.at = 0;
        let kept = self.buffer.len();
        self.buffer.extend_from_slice(CHUNK);
        let space = self.buffer.get_mut(kept..).unwrap_or_default();
        let result = self.disk.read_at(&self.file, space, self.base + kept as u64);
        let count = *result.as_ref().unwrap_or(&0);
        self.buffer.truncate(kept + count);
        self.at_end = count == 0;
        result.map(drop)
    }
}
