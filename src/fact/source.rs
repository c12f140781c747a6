//! What happens to the source and its commits.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::{
    CommitId, ContentHash, Generation, Incarnation, ObjectKey, StreamName, StreamTag, TagName,
};

/// A commit became the desired state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitAdopted {
    /// The commit.
    pub commit: CommitId,
    /// The branch it was the head of.
    pub branch: String,
    /// Whether the adopted commit before it is not among its ancestors (force push).
    #[serde(default)]
    pub forced: bool,
    /// Manifests understood, of our kinds.
    pub objects: u64,
    /// Documents left alone because their kind is not ours.
    pub companions: u64,
    /// Objects that the commit before did not have, with the life they begin or go on with.
    #[serde(default)]
    pub appeared: Vec<Appeared>,
    /// Objects that the commit before had and this one has not.
    #[serde(default)]
    pub removed: Vec<Removed>,
    /// Streams whose spec changed, and which of their tags got a new generation (rules I22 to I27).
    #[serde(default)]
    pub streams: Vec<StreamChanged>,
    /// Objects that are invalid at this commit (rule D7).
    #[serde(default)]
    pub rejected: Vec<Rejected>,
    /// Tags whose overlay ends, because the commit says something else of them than git did (rule I102, item 5).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<StreamTag>,
}

/// An object that a commit brought.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appeared {
    /// The object.
    pub object: ObjectKey,
    /// Which life of it this is.
    pub incarnation: Incarnation,
}

/// An object that a commit no longer has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// The object.
    pub object: ObjectKey,
    /// What happens to it.
    pub fate: RemovalFate,
}

/// What happens to an object that git no longer has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RemovalFate {
    /// It goes, after the grace time (rule D51).
    Pruned,
    /// It keeps running: its last version said `tidegate.dev/prune: "false"`.
    Kept,
    /// The guard holds it: this commit removes too much at once; its last version, in the object store, stays in
    /// force (rule D52).
    Held {
        /// The last version.
        version: ContentHash,
    },
}

/// A stream whose spec changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamChanged {
    /// The stream.
    pub stream: StreamName,
    /// Its generation from now on.
    pub generation: Generation,
    /// The spec tags that carry this generation from now on.
    #[serde(default)]
    pub tags: Vec<TagName>,
    /// The spec tags that are gone (rule I91).
    #[serde(default)]
    pub gone: Vec<TagName>,
    /// Whether it names no repository any more, so that what listings found is void (rule I59).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unlisted: bool,
}

/// Where something stands in the source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Path in the repository, with `/`; bytes that are not UTF-8 are shown as U+FFFD.
    pub path: String,
    /// Line, from 1; 0 is the whole file.
    pub line: u32,
    /// Column in characters, from 1; 0 is the whole line.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => f.write_str(&self.path),
            (line, 0) => write!(f, "{}:{line}", self.path),
            (line, column) => write!(f, "{}:{line}:{column}", self.path),
        }
    }
}

/// An object that is invalid at a commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// The object, as far as it can be told; a file that cannot be read at all has none.
    pub object: Option<ObjectKey>,
    /// Where.
    pub position: Position,
    /// The rule that it breaks.
    pub rule: String,
    /// Why.
    pub message: String,
    /// Its last valid version, in the object store, which stays in force; none if it never had one.
    pub kept: Option<ContentHash>,
}

/// A commit that was not adopted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRefused {
    /// The commit.
    pub commit: CommitId,
    /// Why.
    pub reason: String,
}

/// A commit is not refused any more, because the adopted one is the branch's head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitWithdrawn {
    /// The commit that was refused.
    pub commit: CommitId,
}

/// The source cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFailed {
    /// What happened, where, why and what to do.
    pub message: String,
}

/// Held removals that may happen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovalsReleased {
    /// The objects.
    pub objects: Vec<ObjectKey>,
    /// Who said so.
    pub by: String,
}
