//! What names content by its hash: images, stored values, git objects.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::NameError;

/// Writes bytes as lower-case hex.
fn write_hex<const N: usize>(bytes: &[u8; N], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // At once: a start writes 100,000 digests, and a call of the formatter for each byte takes longer than the rest.
    let mut text = [[0; 2]; N];
    for ([high, low], byte) in text.iter_mut().zip(bytes) {
        (*high, *low) = (digit(byte >> 4), digit(byte & 15));
    }
    f.write_str(std::str::from_utf8(text.as_flattened()).unwrap_or_default())
}

/// The lower-case hex digit of a number below 16.
fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + (value - 10) }
}

/// The value of a lower-case hex digit; 16 or more for anything else.
fn hex_digit(c: u8) -> u8 {
    match c {
        b'0'..=b'9' => c - b'0',
        b'a'..=b'f' => c - b'a' + 10,
        _ => 0xff,
    }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !odd.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    // All digits are looked at before any is judged: one branch for 64 of them, and a start reads 300,000 digests.
    let mut bad = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (hex_digit(*high), hex_digit(*low));
        bad |= high | low;
        *byte = (high << 4) | (low & 15);
    }
    (bad < 16).then_some(bytes)
}

/// The digest of an image manifest: `sha256:` and 64 lower-case hex digits (OCI image specification).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Computes the digest of some content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(sha256(content))
    }

    /// The reference of the image with this digest in a repository: `<repository>@<digest>`.
    #[must_use]
    pub fn pinned(&self, repository: &str) -> String {
        let mut text = String::with_capacity(repository.len() + "@sha256:".len() + 64);
        // Writing into a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{repository}@{self}"));
        text
    }

    /// The first 12 hex digits, for messages where the whole digest stands elsewhere.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().skip(7).take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        text.strip_prefix("sha256:").and_then(parse_hex).map(Self).ok_or_else(|| {
            NameError::new(text, "a digest", "expected `sha256:` and 64 lower-case hex digits")
        })
    }
}

text_serde!(Digest);

/// Computes the digest of content that comes in pieces.
#[derive(Clone)]
pub struct Digesting(ring::digest::Context);

impl Default for Digesting {
    fn default() -> Self {
        Self(ring::digest::Context::new(&ring::digest::SHA256))
    }
}

impl Digesting {
    /// Takes the next piece.
    pub fn take(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn end(self) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.finish().as_ref()); // SHA-256 has 32 bytes
        Digest(bytes)
    }
}

fn sha256(content: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    bytes.copy_from_slice(digest.as_ref()); // SHA-256 has 32 bytes
    bytes
}

/// The SHA-256 of a value that the object store beside the journal keeps, or of a template: 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Computes the hash of some content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(sha256(content))
    }

    /// The hash of what was hashed piece by piece; none where that was no SHA-256.
    #[must_use]
    pub fn of_digest(digest: &[u8]) -> Option<Self> {
        digest.try_into().ok().map(Self)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for ContentHash {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_hex(text).map(Self).ok_or_else(|| {
            NameError::new(text, "a content hash", "expected 64 lower-case hex digits")
        })
    }
}

text_serde!(ContentHash);

/// A git object id: SHA-1, 40 hex digits.
macro_rules! git_id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 20]);

        impl $name {
            /// Makes one from the 20 bytes that git knows it by.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let wrong = || NameError::new(text, $what, "expected 40 lower-case hex digits");
                parse_hex(text).map(Self).ok_or_else(wrong)
            }
        }

        text_serde!($name);
    };
}

git_id!(
    /// A git object id (SHA-1, 40 hex digits): of a commit.
    CommitId,
    "a commit"
);
git_id!(
    /// A git object id (SHA-1, 40 hex digits): of a file's content.
    BlobId,
    "a blob"
);

impl CommitId {
    /// The first 9 hex digits, as `git log --oneline` would show them.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(9).collect()
    }
}
