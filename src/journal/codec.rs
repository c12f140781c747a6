//! Lines: their text and their hashes. Pure.
//!
//! A sealed line is a JSON object whose last field is `hash`: SHA-256, cut to 128 bits, over the 32 hex digits of the
//! hash before it and the line's bytes up to `,"hash"`. Records chain from record to record; a snapshot is sealed the
//! same way from the hash of the record it stands at.

use std::fmt;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use crate::fact::{Fact, Record};
use crate::names::Seq;
use crate::time::Timestamp;

/// The version of the format that this program writes and reads.
pub const FORMAT: u64 = 1;

/// The line that begins each batch: not `{`, so no record, and blank to every reader of JSON Lines.
///
/// A batch is begun only after the one before it was synced. So a marker after a bad line proves that the bad line was
/// once durable, and is damage; without one it may be the remains of a write that nobody was promised.
pub(super) const BATCH_MARKER: &[u8] = b" ";

const HASH_KEY: &[u8] = b",\"hash\":\"";
const HASH_END: &[u8] = b"\"}";

/// A link of the chain: 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// What the first record of a new journal chains from.
    pub const START: Self = Self([b'0'; 32]);

    /// The hash of a line that follows this one, given its bytes up to `,"hash"`.
    pub(super) fn next(&self, body: &[u8]) -> Self {
        let mut full = Context::new(&SHA256);
        full.update(&self.0);
        full.update(body);
        Self::of(full.finish().as_ref())
    }

    /// The first half of a SHA-256.
    fn of(full: &[u8]) -> Self {
        let mut text = Self::START;
        let digits = b"0123456789abcdef";
        for (pair, byte) in text.0.chunks_exact_mut(2).zip(full) {
            if let [high, low] = pair {
                *high = digits.get(usize::from(byte >> 4)).copied().unwrap_or_default();
                *low = digits.get(usize::from(byte & 15)).copied().unwrap_or_default();
            }
        }
        text
    }

    /// Reads one; `None` if it is not 32 lower-case hex digits.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let lower = |c: &u8| c.is_ascii_digit() || (b'a'..=b'f').contains(c);
        let text: [u8; 32] = text.try_into().ok()?;
        text.iter().all(lower).then_some(Self(text))
    }

    /// The 32 digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Computes the hash of each of `lines`, given what it covers and the hash that it states, if the one before it states
/// what it should; the first follows `previous`. As [`LineHash::next`], but many at once.
pub(super) fn hash_all<'a>(
    previous: LineHash,
    lines: impl Iterator<Item = (&'a [u8], LineHash)> + Clone,
    hashes: &mut Vec<LineHash>,
) {
    let stated: Vec<LineHash> = lines.clone().map(|(_, stated)| stated).collect();
    let before = std::iter::once(&previous).chain(&stated);
    let before: Vec<&[u8]> = before.map(|hash| hash.0.as_slice()).take(stated.len()).collect();
    let bodies: Vec<&[u8]> = lines.map(|(body, _)| body).collect();
    let mut full = vec![[0; 32]; bodies.len()];
    tape_sha256::hash_pairs(&[], &before, &bodies, &mut full);
    hashes.clear();
    hashes.extend(full.iter().map(|full| LineHash::of(full)));
}

/// Turns the JSON object that `buffer` ends with, from `start`, into a sealed line (without newline).
pub(super) fn seal(buffer: &mut Vec<u8>, start: usize, previous: &LineHash) -> LineHash {
    buffer.pop(); // its closing brace, which the hash's end brings back
    let hash = previous.next(buffer.get(start..).unwrap_or_default());
    buffer.extend_from_slice(HASH_KEY);
    buffer.extend_from_slice(&hash.0);
    buffer.extend_from_slice(HASH_END);
    hash
}

/// Splits a sealed line into what its hash covers and the hash it states; `None` if it is not one.
pub(super) fn unseal(line: &[u8]) -> Option<(&[u8], LineHash)> {
    let (body, hash) = at_end(line)?;
    body.starts_with(b"{").then_some((body, hash))
}

/// The hash that a sealed line states, by the end of the line alone.
pub(super) fn stated(end: &[u8]) -> Option<LineHash> {
    at_end(end).map(|(_, hash)| hash)
}

fn at_end(line: &[u8]) -> Option<(&[u8], LineHash)> {
    let rest = line.strip_suffix(HASH_END)?;
    let (rest, hash) = rest.split_at_checked(rest.len().checked_sub(32)?)?;
    Some((rest.strip_suffix(HASH_KEY)?, LineHash::parse(hash)?))
}

/// Appends the line of `record`, with its newline, to `buffer`, and returns its hash.
///
/// # Errors
/// When the record cannot be serialised, which no fact of ours is known to do.
pub fn encode(
    buffer: &mut Vec<u8>,
    record: &Record,
    previous: &LineHash,
) -> Result<LineHash, serde_json::Error> {
    let start = buffer.len();
    serde_json::to_writer(&mut *buffer, record)?;
    let hash = seal(buffer, start, previous);
    buffer.push(b'\n');
    Ok(hash)
}

/// A line as it is written: a record and its hash.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    seq: Seq,
    at: Timestamp,
    fact: Fact,
    #[serde(rename = "hash")]
    _hash: serde::de::IgnoredAny,
}

/// Reads the record of a line whose hash was found right.
pub(super) fn decode(line: &[u8]) -> Result<Record, serde_json::Error> {
    let Line { seq, at, fact, _hash } = serde_json::from_slice(line)?;
    Ok(Record { seq, at, fact })
}

/// As [`decode`], for what is known to be UTF-8.
pub(super) fn decode_text(line: &str) -> Result<Record, serde_json::Error> {
    let Line { seq, at, fact, _hash } = serde_json::from_str(line)?;
    Ok(Record { seq, at, fact })
}

/// The number of a record's line, by its first bytes; `None` if it does not begin as one.
pub(super) fn seq_of(line: &[u8]) -> Option<Seq> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let len = rest.iter().position(|c| !c.is_ascii_digit())?;
    let (digits, rest) = rest.split_at_checked(len)?;
    rest.starts_with(b",\"at\":\"").then_some(())?;
    std::str::from_utf8(digits).ok()?.parse().ok().map(Seq)
}

/// The name of the fact in a line that could not be decoded, as far as it can be told.
pub(super) fn kind_of(line: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Any {
        fact: serde_json::Value,
    }
    match serde_json::from_slice::<Any>(line).ok()?.fact {
        serde_json::Value::String(name) => Some(name),
        serde_json::Value::Object(fields) => fields.keys().next().cloned(),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::Array(_) => None,
    }
}

/// The first line of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    /// Hash of the record before the segment's first.
    pub(super) continues: LineHash,
    /// Number of the segment's first record.
    pub(super) from: Seq,
}

/// Why a line is not a header that this version can use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum HeaderError {
    /// It is none.
    Unreadable,
    /// It states a format that this version does not know.
    Newer(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderText<'a> {
    tidegate: &'a str,
    format: u64,
    continues: &'a str,
    from: Seq,
}

impl Header {
    /// The line, with its newline.
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { continues, from } = self;
        let text = format!(
            r#"{{"tidegate":"journal","format":{FORMAT},"continues":"{continues}","from":{from}}}"#
        );
        (text + "\n").into_bytes()
    }

    /// Reads a line, without its newline.
    pub(super) fn parse(line: &[u8]) -> Result<Self, HeaderError> {
        #[derive(Deserialize)]
        struct AnyFormat<'a> {
            tidegate: &'a str,
            format: u64,
        }
        let any: AnyFormat<'_> =
            serde_json::from_slice(line).map_err(|_| HeaderError::Unreadable)?;
        if any.tidegate == "journal" && any.format > FORMAT {
            return Err(HeaderError::Newer(any.format));
        }
        let text: HeaderText<'_> =
            serde_json::from_slice(line).map_err(|_| HeaderError::Unreadable)?;
        let continues =
            LineHash::parse(text.continues.as_bytes()).ok_or(HeaderError::Unreadable)?;
        let header = Self { continues, from: text.from };
        // A header carries no hash of its own; only the one text that we would write is one, so no bit may differ.
        let same = header.encode().strip_suffix(b"\n") == Some(line);
        same.then_some(header).ok_or(HeaderError::Unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record { seq: Seq(1), at: Timestamp::from_millis(1_000), fact: Fact::SourceRecovered }
    }

    #[test]
    fn a_line_is_the_record_and_the_hash_of_all_before_it() {
        let mut line = Vec::new();
        encode(&mut line, &record(), &LineHash::START).unwrap();
        insta::assert_snapshot!(String::from_utf8(line).unwrap().trim_end(), @r#"{"seq":1,"at":"1970-01-01T00:00:01.000Z","fact":"SourceRecovered","hash":"61072495c6102a628c630f9d4f4947c7"}"#);
    }

    #[test]
    fn a_sealed_line_opens_to_what_its_hash_covers() {
        let mut line = Vec::new();
        let hash = encode(&mut line, &record(), &LineHash::START).unwrap();
        let (body, stated) = unseal(line.strip_suffix(b"\n").unwrap()).unwrap();
        assert_eq!(stated, hash);
        assert_eq!(LineHash::START.next(body), hash);
        assert!(body.ends_with(b"\"SourceRecovered\""));
        assert_eq!(decode(line.trim_ascii_end()).unwrap(), record());
    }

    #[test]
    fn what_is_no_sealed_line_does_not_open() {
        let hash = "0".repeat(32);
        for text in ["", "{}", "\"}", &format!(",\"hash\":\"{hash}\"}}"), &"x".repeat(50)] {
            assert!(unseal(text.as_bytes()).is_none(), "{text}");
        }
        let upper = format!("{{\"a\":1,\"hash\":\"{}\"}}", "A".repeat(32));
        assert!(unseal(upper.as_bytes()).is_none());
    }

    #[test]
    fn only_the_header_that_we_write_is_a_header() {
        let header = Header { continues: LineHash::START, from: Seq(7) };
        let line = header.encode();
        let line = line.strip_suffix(b"\n").unwrap();
        assert_eq!(Header::parse(line), Ok(header));
        let spaced = [b" ", line].concat();
        assert_eq!(Header::parse(&spaced), Err(HeaderError::Unreadable));
        let text = String::from_utf8(line.to_vec()).unwrap();
        let newer = text.replace("\"format\":1", "\"format\":2,\"more\":true");
        assert_eq!(Header::parse(newer.as_bytes()), Err(HeaderError::Newer(2)));
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut bad = line.to_vec();
                bad[at] ^= 1 << bit;
                assert_ne!(Header::parse(&bad), Ok(header), "bit {bit} of byte {at}");
            }
        }
    }
}
