//! The walk through a journal's files: each line checked against the chain, and what is behind its end judged.
//!
//! Opening, reading and verifying are this one walk. It changes nothing; what is to be cut is described by [`Tail`].

mod bulk;

use std::path::{Path, PathBuf};

use super::codec::{self, BATCH_MARKER, Header, HeaderError, LineHash};
use super::disk::{Access, Disk};
use super::error::{DamageKind, JournalError, Place};
use super::lines::{Line, Lines};
use crate::fact::Record;
use crate::names::Seq;

/// The smallest piece that a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// A file of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    /// Number of its first record.
    pub(super) from: Seq,
    /// Its path.
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn new(dir: &Path, from: Seq) -> Self {
        Self { from, path: dir.join(format!("{:020}.jsonl", from.0)) }
    }

    pub(super) fn parse(dir: &Path, name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".jsonl")?;
        let all_digits = digits.len() == 20 && digits.bytes().all(|c| c.is_ascii_digit());
        // Records are counted from 1: a file that begins with none is somebody else's.
        let from: u64 = digits.parse().ok().filter(|from| all_digits && *from > 0)?;
        Some(Self::new(dir, Seq(from)))
    }
}

/// The files of a journal in order.
pub(super) fn segments<D: Disk>(disk: &D, dir: &Path) -> Result<Vec<Segment>, JournalError> {
    let names = disk.list(dir).map_err(JournalError::io("list", dir))?;
    let mut found: Vec<_> = names.iter().filter_map(|name| Segment::parse(dir, name)).collect();
    found.sort_by_key(|segment| segment.from);
    Ok(found)
}

/// A record or a part of the chain: where the walk is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The last record; 0 is none.
    pub seq: Seq,
    /// Its hash.
    pub hash: LineHash,
}

impl Head {
    /// Before the first record.
    pub const START: Self = Self { seq: Seq(0), hash: LineHash::START };

    /// The header of a file that goes on behind it.
    pub(super) fn header(&self) -> Header {
        Header { continues: self.hash, from: self.seq.next() }
    }
}

/// What is behind the last good line of the last file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Tail {
    /// Padding, or nothing.
    Clean,
    /// The remains of a write that was never synced; `bytes` is 0 where space was only being filled.
    Torn {
        /// Where they begin.
        place: Place,
        /// Up to the last byte that is not padding.
        bytes: u64,
    },
    /// A file that was being begun, without a whole header.
    Begun(Segment),
}

/// The journal's lines, in order.
pub(super) struct Walk<D: Disk> {
    disk: D,
    dir: PathBuf,
    segment: Segment,
    lines: Lines<D>,
    head: Head,
    /// Records up to this one are checked by their hash and not decoded.
    skip: Seq,
    /// The line that the last step read.
    place: Place,
    line: Option<Line>,
    /// The hash before it.
    previous: LineHash,
    /// Offset and line number after the last good line.
    end: (u64, u64),
    /// Whether a newline stands before `end`.
    terminated: bool,
    /// Where the last batch begins.
    batch: u64,
    /// Whether the line at `end` was read twice already.
    again: bool,
    /// Offset before which lines are looked at one by one.
    bulk_from: u64,
    tail: Tail,
}

/// What a file is at its beginning.
enum Beginning<D: Disk> {
    Header(Lines<D>, Header, Line),
    /// No header, and nothing else either.
    Nothing,
}

impl<D: Disk> Walk<D> {
    /// Begins at `segment`. `None`: it has no header yet, and nothing else either.
    pub(super) fn start(
        disk: D,
        dir: &Path,
        segment: Segment,
        skip: Seq,
    ) -> Result<Option<Self>, JournalError> {
        let Beginning::Header(lines, header, line) = begin(&disk, &segment)? else {
            return Ok(None);
        };
        let place = header_place(&segment);
        let head = Head { seq: Seq(header.from.0.saturating_sub(1)), hash: header.continues };
        if head.seq == Seq(0) && head.hash != LineHash::START {
            let kind = DamageKind::Continues { stated: head.hash, expected: LineHash::START };
            return Err(JournalError::damaged(place, kind));
        }
        let mut walk = Self {
            disk,
            dir: dir.to_owned(),
            segment,
            lines,
            head,
            skip,
            place,
            line: None,
            previous: head.hash,
            end: (0, 1),
            terminated: true,
            batch: 0,
            again: false,
            bulk_from: 0,
            tail: Tail::Clean,
        };
        walk.accept(&line);
        walk.batch = line.end;
        Ok(Some(walk))
    }

    /// The last record that was read.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// What the last `None` of [`Self::next`] found.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Offset after the last good line of the current file, and whether a newline stands before it.
    pub(super) fn end(&self) -> (u64, bool) {
        (self.end.0, self.terminated)
    }

    /// Where the last batch of the current file begins.
    pub(super) fn batch(&self) -> u64 {
        self.batch
    }

    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// The hash of the line before the record of the last step.
    pub(super) fn previous(&self) -> LineHash {
        self.previous
    }

    /// Where the record of the last step stands, and its line without the newline.
    pub(super) fn line_read(&self) -> Option<(&Place, &[u8])> {
        self.line.as_ref().map(|line| (&self.place, self.lines.bytes(line)))
    }

    /// The next record; `None` at the end, from where a later call goes on with what was written meanwhile.
    ///
    /// A record up to `skip` is returned as its head alone.
    pub(super) fn next(&mut self) -> Result<Option<Step>, JournalError> {
        loop {
            let Some(line) = self.next_line()? else {
                if self.finish(None)? {
                    continue;
                }
                return Ok(None);
            };
            if self.lines.bytes(&line) == BATCH_MARKER {
                self.batch = line.start;
                self.accept(&line);
                continue;
            }
            self.place = Place {
                path: self.segment.path.clone(),
                offset: line.start,
                line: line.number,
                seq: Some(self.head.seq.next()),
            };
            match self.check(&line) {
                Ok(head) => {
                    let bytes = self.lines.bytes(&line);
                    let record =
                        if head.seq <= self.skip { None } else { Some(self.decode(bytes)?) };
                    self.previous = std::mem::replace(&mut self.head, head).hash;
                    self.accept(&line);
                    self.line = Some(line);
                    return Ok(Some(Step { record }));
                }
                Err(kind) => {
                    if self.finish(Some((line, kind)))? {
                        continue;
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn next_line(&mut self) -> Result<Option<Line>, JournalError> {
        self.lines.next().map_err(JournalError::io("read", &self.segment.path))
    }

    fn accept(&mut self, line: &Line) {
        self.end = (line.end, line.number + u64::from(line.terminated));
        self.terminated = line.terminated;
        self.again = false;
    }

    /// Whether a line is the record due, by its number and its hash.
    fn check(&self, line: &Line) -> Result<Head, DamageKind> {
        let bytes = self.lines.bytes(line);
        let (body, stated) = codec::unseal(bytes).ok_or(DamageKind::Unreadable)?;
        let found = codec::seq_of(bytes).ok_or(DamageKind::Unreadable)?;
        let expected = self.head.seq.next();
        if found != expected {
            return Err(DamageKind::Sequence { expected, found });
        }
        let computed = self.head.hash.next(body);
        if stated != computed {
            return Err(DamageKind::Hash { stated, computed });
        }
        Ok(Head { seq: found, hash: stated })
    }

    /// Decodes a line whose hash is right: what cannot be read now was meant by who wrote it.
    fn decode(&self, bytes: &[u8]) -> Result<Record, JournalError> {
        codec::decode(bytes).map_err(|error| {
            let what = codec::kind_of(bytes).map_or_else(
                || format!("the record cannot be read ({error})"),
                |kind| format!("the fact `{kind}` cannot be read ({error})"),
            );
            JournalError::Newer { place: self.place.clone(), what }
        })
    }

    /// Judges what stands at `end`: nothing, or a bad line. True: go on reading.
    fn finish(&mut self, bad: Option<(Line, DamageKind)>) -> Result<bool, JournalError> {
        let later = segments(&self.disk, &self.dir)?;
        let later = later.into_iter().find(|segment| segment.from > self.segment.from);
        // Space whose filling failed to be synced; the chain tells whether a record stood there.
        let padding = bad.as_ref().is_some_and(|(line, _)| is_padding(self.lines.bytes(line)));
        match (later, bad) {
            // The chain goes on there: what stands here now was filling, or a write that was never promised.
            (Some(next), _) if next.from == self.head.seq.next() => self.enter(next),
            (Some(_), Some(_)) if padding => Ok(true),
            (Some(_), _) if self.read_again() => Ok(true),
            (Some(_), Some((_, kind))) => Err(JournalError::damaged(self.place.clone(), kind)),
            (Some(next), None) if next.from > self.head.seq => Err(JournalError::Missing {
                dir: self.dir.clone(),
                first: self.head.seq.next(),
                last: Seq(next.from.0 - 1),
            }),
            (Some(next), None) => {
                let kind =
                    DamageKind::Sequence { expected: self.head.seq.next(), found: next.from };
                Err(JournalError::damaged(header_place(&next), kind))
            }
            (None, None) => {
                self.stop(Tail::Clean);
                Ok(false)
            }
            (None, Some((line, kind))) => self.judge(&line, kind),
        }
    }

    /// Reads on from `end` once more: a writer may have been in the middle of it. False if that was done already.
    fn read_again(&mut self) -> bool {
        if self.again {
            return false;
        }
        self.again = true;
        self.lines.seek(self.end.0, self.end.1);
        true
    }

    fn stop(&mut self, tail: Tail) {
        self.tail = tail;
        self.again = false;
        self.lines.seek(self.end.0, self.end.1);
    }

    /// Goes on with the next file. False: it is only begun.
    fn enter(&mut self, next: Segment) -> Result<bool, JournalError> {
        let Beginning::Header(lines, header, line) = begin(&self.disk, &next)? else {
            self.stop(Tail::Begun(next));
            return Ok(false);
        };
        if header.continues != self.head.hash {
            let kind = DamageKind::Continues { stated: header.continues, expected: self.head.hash };
            return Err(JournalError::damaged(header_place(&next), kind));
        }
        self.segment = next;
        self.bulk_from = 0;
        self.lines = lines;
        self.accept(&line);
        self.batch = line.end;
        Ok(true)
    }

    /// Decides whether the bad line at the journal's end is what a crash leaves, or damage. True: read again.
    ///
    /// A crash may lose any sectors of the one write that was not synced yet, and what it loses still shows the
    /// padding that was there. So it is a torn write if no later batch was begun, and if every whole line behind the
    /// gap has a lost sector before it.
    fn judge(&mut self, bad: &Line, kind: DamageKind) -> Result<bool, JournalError> {
        let place = self.place.clone();
        let from = self.end.0;
        let mut content_end = if is_padding(self.lines.bytes(bad)) { from } else { bad.end };
        let mut whole = matches!(kind, DamageKind::Sequence { .. }).then_some(bad.start);
        let mut later_batch = false;
        while let Some(line) = self.next_line()? {
            let bytes = self.lines.bytes(&line);
            if is_padding(bytes) {
                continue;
            }
            content_end = line.end;
            later_batch |= bytes == BATCH_MARKER;
            if codec::unseal(bytes).is_some() && codec::seq_of(bytes).is_some() {
                whole = whole.or(Some(line.start));
            }
        }
        let torn = match whole {
            _ if later_batch => false,
            Some(start) => self.lost_sector(start)?,
            None => true,
        };
        if torn {
            self.stop(Tail::Torn { place, bytes: content_end.saturating_sub(from) });
            return Ok(false);
        }
        if self.read_again() {
            return Ok(true);
        }
        Err(JournalError::damaged(place, kind))
    }

    /// Whether a sector between the last good line and `whole` shows what was there before: padding, behind that line.
    fn lost_sector(&self, whole: u64) -> Result<bool, JournalError> {
        let good = self.end.0;
        let mut sector = good - good % SECTOR_BYTES;
        while sector + SECTOR_BYTES <= whole {
            let start = sector.max(good);
            let mut bytes = [0; 512];
            let count = self.disk.read_full(self.lines.file(), &mut bytes, start);
            let count = count.map_err(JournalError::io("read", &self.segment.path))? as u64;
            let len = sector + SECTOR_BYTES - start;
            let rest = usize::try_from(len).ok().and_then(|len| bytes.get(..len));
            if count >= len && rest.is_some_and(is_padding) {
                return Ok(true);
            }
            sector += SECTOR_BYTES;
        }
        Ok(false)
    }
}

/// One good line.
pub(super) struct Step {
    /// The record, unless it is only skipped over.
    pub(super) record: Option<Record>,
}

/// Newlines, or the zeros that a file system shows where space was being filled when the machine stopped.
fn is_padding(bytes: &[u8]) -> bool {
    bytes.iter().all(|c| matches!(c, b'\n' | 0))
}

fn header_place(segment: &Segment) -> Place {
    Place { path: segment.path.clone(), offset: 0, line: 1, seq: None }
}

/// Opens a file at its header.
fn begin<D: Disk>(disk: &D, segment: &Segment) -> Result<Beginning<D>, JournalError> {
    let file = disk.open(&segment.path, Access::Read);
    let file = file.map_err(JournalError::io("open", &segment.path))?;
    let mut lines = Lines::new(disk.clone(), file);
    let read = JournalError::io("read", &segment.path);
    let Some(line) = lines.next().map_err(read)? else { return Ok(Beginning::Nothing) };
    match Header::parse(lines.bytes(&line)) {
        Ok(header) if header.from == segment.from && line.start == 0 => {
            return Ok(Beginning::Header(lines, header, line));
        }
        Err(HeaderError::Newer(format)) => {
            return Err(JournalError::newer_format(header_place(segment), format));
        }
        Ok(_) | Err(HeaderError::Unreadable) => {}
    }
    // A header is written and synced alone. If anything follows it, it was whole once.
    let whole = Header { continues: LineHash::START, from: segment.from }.encode().len() as u64;
    let alone = line.end <= whole && !lines.bytes(&line).starts_with(b"{\"seq\":");
    while alone && let Some(line) = lines.next().map_err(JournalError::io("read", &segment.path))? {
        if !is_padding(lines.bytes(&line)) {
            return Err(header_damage(segment));
        }
    }
    if alone { Ok(Beginning::Nothing) } else { Err(header_damage(segment)) }
}

fn header_damage(segment: &Segment) -> JournalError {
    JournalError::damaged(header_place(segment), DamageKind::Header)
}
