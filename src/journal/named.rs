//! Which values of the object store a text may name: every run of exactly 64 lower-case hex digits in it.
//!
//! More than it does name, and never less: a snapshot's state is its writer's business, and a hash stands in it as a
//! string of its own, so quotes are around it. What keeps or copies these keeps and copies all that is needed.

use std::collections::BTreeSet;

use super::disk::{Access, Disk};
use crate::names::ContentHash;

/// Digits of a hash.
const DIGITS: usize = 64;

/// Bytes read at once.
const CHUNK_BYTES: usize = 256 * 1024;

fn is_digit(c: u8) -> bool {
    c.is_ascii_digit() || (b'a'..=b'f').contains(&c)
}

/// The hashes that stand in `text`, in order.
pub fn hashes_in(text: &[u8]) -> impl Iterator<Item = ContentHash> {
    let mut at = 0;
    std::iter::from_fn(move || {
        // A run that covers 64 bytes covers the last of them, so that most bytes are never looked at.
        while let Some(last) = text.get(at + DIGITS - 1) {
            if !is_digit(*last) {
                at += DIGITS;
                continue;
            }
            let before = text.get(at..at + DIGITS)?.iter().rev().take_while(|c| is_digit(**c));
            let start = at + DIGITS - before.count();
            let run = text.get(start..)?.iter().take_while(|c| is_digit(**c)).count();
            at = start + run;
            if run == DIGITS {
                let digits = std::str::from_utf8(text.get(start..at)?).ok()?;
                return digits.parse().ok();
            }
        }
        None
    })
}

/// Collects the hashes that stand in the first `len` bytes of a file, in pieces of bounded size.
///
/// # Errors
/// What the file system says.
pub(super) fn hashes_of<D: Disk>(
    disk: &D,
    path: &std::path::Path,
    len: u64,
    found: &mut BTreeSet<ContentHash>,
) -> std::io::Result<()> {
    let file = disk.open(path, Access::Read)?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let (mut offset, mut kept) = (0, 0);
    while offset < len {
        let space = buffer.get_mut(kept..).unwrap_or_default();
        let read = disk.read_at(&file, space, offset)?;
        let read = read.min(usize::try_from(len - offset).unwrap_or(usize::MAX));
        if read == 0 {
            break;
        }
        offset += read as u64;
        let filled = kept + read;
        let text = buffer.get(..filled).unwrap_or_default();
        // A run that goes on behind the piece is looked at with the next one; a longer one than a hash is none.
        let open = text.iter().rev().take(DIGITS + 1).take_while(|c| is_digit(**c)).count();
        let whole = if offset < len { filled - open } else { filled };
        found.extend(hashes_in(text.get(..whole).unwrap_or_default()));
        buffer.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::disk::RealDisk;
    use super::*;

    fn hash(n: u8) -> ContentHash {
        ContentHash::of(&[n])
    }

    fn found(text: &str) -> Vec<ContentHash> {
        hashes_in(text.as_bytes()).collect()
    }

    #[test]
    fn every_hash_of_a_text_is_found_wherever_it_stands() {
        let (a, b) = (hash(1), hash(2));
        for before in 0..140 {
            let text = format!("{}{a}\"sha256:{b}", " ".repeat(before));
            assert_eq!(found(&text), [a, b], "{before}");
            let text = format!("{}\"{a}\",\"{b}\" ", "f".repeat(before));
            let expected = if before == 64 { 3 } else { 2 };
            assert_eq!(found(&text).len(), expected, "{before}");
        }
    }

    #[test]
    fn what_is_longer_shorter_or_upper_case_is_no_hash() {
        let digits = hash(1).to_string();
        assert!(found(&digits[1..]).is_empty());
        assert!(found(&format!("{digits}0")).is_empty());
        assert!(found(&digits.repeat(2)).is_empty());
        assert!(found(&"A".repeat(64)).is_empty());
        assert!(found("").is_empty());
    }

    #[test]
    fn a_file_is_read_in_pieces_and_only_as_far_as_asked() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (a, b, c) = (hash(1), hash(2), hash(3));
        for before in (CHUNK_BYTES - 130..CHUNK_BYTES + 3).chain([0, 2 * CHUNK_BYTES]) {
            let text = format!("{}\"{a}\"{}\"{b}\"", " ".repeat(before), "f".repeat(700));
            let len = text.len() as u64;
            let disk = RealDisk;
            let out = disk.create(file.path(), 0o600).unwrap();
            disk.write_at(&out, format!("{text}\"{c}\"").as_bytes(), 0).unwrap();
            let mut found = BTreeSet::new();
            hashes_of(&disk, file.path(), len, &mut found).unwrap();
            assert_eq!(found, BTreeSet::from([a, b]), "{before}");
        }
    }
}
