//! What can be wrong with a journal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::codec::{FORMAT, LineHash};
use crate::names::Seq;

/// Why a journal cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused something.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried: "read".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// Another process has the journal open.
    #[error(
        "state directory `{root}` is in use by {}; one tidegate at a time may write it: stop that one, or give this \
         one another state directory",
        holder(*.pid)
    )]
    Locked {
        /// The state directory.
        root: PathBuf,
        /// Who holds the lock, as far as its file tells.
        pid: Option<u32>,
    },
    /// Something is not what was written.
    #[error(
        "the journal is damaged: {0}; nothing was changed. Run `tidegate journal verify` to see how far it can be \
         trusted, then put the file back from a backup (`tidegate journal restore` puts back all of it); without one, \
         `tidegate journal salvage` keeps what is proven"
    )]
    Damaged(Box<Damage>),
    /// A record or a file that this version cannot read though it is whole.
    #[error(
        "{place}: {what}: written by a newer version of tidegate than this one ({}); start that version or a later \
         one again",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Where.
        place: Place,
        /// What is not known here.
        what: String,
    },
    /// Records are missing between two files, or before the first.
    #[error(
        "records {first} to {last} of the journal in `{dir}` are missing: a file was removed, or its end was; put it \
         back from a backup; without one, `tidegate journal salvage` keeps what is proven"
    )]
    Missing {
        /// The journal's directory.
        dir: PathBuf,
        /// The first one.
        first: Seq,
        /// The last one.
        last: Seq,
    },
    /// A snapshot stands for records that the journal does not have.
    #[error(
        "snapshot `{path}` stands at record {snapshot}, but the journal ends at record {last}: files of the journal \
         were removed or replaced. Put them back from a backup; without one, `tidegate journal salvage` keeps \
         what the snapshot holds"
    )]
    SnapshotAhead {
        /// The snapshot.
        path: PathBuf,
        /// The record it stands at.
        snapshot: Seq,
        /// The last record of the journal; 0 is none.
        last: Seq,
    },
    /// A whole snapshot continues another history than the journal's.
    #[error(
        "snapshot `{path}` was taken at a record {seq} with hash {expected}, but the journal's record {seq} has hash \
         {found}: they belong to different journals. Move the one away that does not belong here"
    )]
    SnapshotForeign {
        /// The snapshot.
        path: PathBuf,
        /// The record it stands at.
        seq: Seq,
        /// The hash that the snapshot states.
        expected: LineHash,
        /// The hash of the journal's record.
        found: LineHash,
    },
    /// Files were removed again and again while they were looked at.
    #[error(
        "the oldest files of the journal were removed while they were read, again and again; try again"
    )]
    Unsettled,
    /// The receiver of the records refused one.
    #[error("record {seq} of the journal does not fit those before it: {reason}")]
    Refused {
        /// The record.
        seq: Seq,
        /// Why.
        reason: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl JournalError {
    /// Whether a file was not there any more when it was to be read.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Makes the mapping function for an error of the file system.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }

    /// Makes the error of a place that is not what was written.
    pub(super) fn damaged(place: Place, kind: DamageKind) -> Self {
        Self::Damaged(Box::new(Damage { place, kind }))
    }

    /// The error of a format number that this version does not know.
    pub(super) fn newer_format(place: Place, format: u64) -> Self {
        let what = format!("format {format}, and this version reads up to {FORMAT}");
        Self::Newer { place, what }
    }
}

/// A place in a file of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Offset of the line's first byte.
    pub offset: u64,
    /// Number of the line, from 1.
    pub line: u64,
    /// The record that stands there, or should; none for a header.
    pub seq: Option<Seq>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, offset, line, seq } = self;
        write!(f, "`{}`, line {line} (byte {offset}", path.display())?;
        if let Some(seq) = seq {
            write!(f, ", record {seq}")?;
        }
        f.write_str(")")
    }
}

/// The first place that is not what was written, and how.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{place}: {kind}")]
pub struct Damage {
    /// Where.
    pub place: Place,
    /// How.
    pub kind: DamageKind,
}

/// How a line differs from what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DamageKind {
    /// It is no line of a journal.
    Unreadable,
    /// Its hash is not that of its text and the line before it.
    Hash {
        /// What the line states.
        stated: LineHash,
        /// What its text gives.
        computed: LineHash,
    },
    /// It is another record than the one due.
    Sequence {
        /// The record due.
        expected: Seq,
        /// The record found.
        found: Seq,
    },
    /// The file does not begin with the header of its name.
    Header,
    /// The file's header continues from another record than the last one before it.
    Continues {
        /// What the header states.
        stated: LineHash,
        /// The hash of the last record before it.
        expected: LineHash,
    },
}

impl fmt::Display for DamageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("this is no record"),
            Self::Hash { stated, computed } => write!(
                f,
                "the hash does not fit the line and the one before it (stated {stated}, computed {computed})"
            ),
            Self::Sequence { expected, found } => {
                write!(f, "record {expected} is due here, and this is record {found}")
            }
            Self::Header => {
                f.write_str("the file does not begin with the header that belongs to its name")
            }
            Self::Continues { stated, expected } => write!(
                f,
                "the file continues from hash {stated}, and the record before it has hash {expected}"
            ),
        }
    }
}

/// Something that was put right while the journal was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// The end of a write that nobody was promised was cut off.
    TornTail {
        /// Where it began.
        place: Place,
        /// How many bytes it had.
        bytes: u64,
    },
    /// A file that was being begun had no whole header; it was begun again.
    TornHeader {
        /// The file.
        path: PathBuf,
    },
    /// A snapshot could not be used.
    SnapshotUnusable {
        /// The snapshot.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTail { place, bytes } => write!(
                f,
                "the last write to the journal was interrupted: {bytes} bytes from {place} on were cut off; nothing \
                 that was acted on is lost"
            ),
            Self::TornHeader { path } => write!(
                f,
                "the journal file `{}` was being begun when the program ended; it was begun again",
                path.display()
            ),
            Self::SnapshotUnusable { path, reason } => write!(
                f,
                "snapshot `{}` cannot be used ({reason}); an older one or the whole journal is read instead",
                path.display()
            ),
        }
    }
}

/// Why records were not appended. Whichever it is, the journal takes no more: end the process and start again (law 2).
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk is full.
    #[error(
        "cannot append to the journal `{path}`: its file system is full. Free some space and start tidegate again; \
         nothing was acted on that is not in the journal"
    )]
    Full {
        /// The journal's file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The file system refused it otherwise.
    #[error(
        "cannot append to the journal `{path}`; what reached the disk is known after a new start"
    )]
    Io {
        /// The journal's file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// An append before this one failed.
    #[error("the journal `{path}` takes no more records, because an append failed before")]
    Poisoned {
        /// The journal's file.
        path: PathBuf,
    },
    /// A record's number is not the next one.
    #[error("record {found} was to be appended to the journal where record {expected} is due")]
    OutOfOrder {
        /// The record due.
        expected: Seq,
        /// The record given.
        found: Seq,
    },
    /// A record cannot be written as a line.
    #[error("record {seq} cannot be written as a line of the journal")]
    Encode {
        /// The record.
        seq: Seq,
        /// Why.
        source: serde_json::Error,
    },
    /// A record is longer than a line may be.
    #[error(
        "record {seq} has {bytes} bytes, and a line of the journal may have {max}",
        max = crate::limits::JOURNAL_LINE_BYTES_MAX
    )]
    TooLong {
        /// The record.
        seq: Seq,
        /// Its length.
        bytes: usize,
    },
}

/// Whether there is no space left, or no more may be used.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl AppendError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if is_full(&source) { Self::Full { path, source } } else { Self::Io { path, source } }
    }
}
