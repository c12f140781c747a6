//! What happens to tags.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::{ContentHash, Digest, Generation, ObjectKey, Seq, StreamName, StreamTag};
use crate::time::Timestamp;

/// One entry of a tag's history, an OpenShift `TagEvent`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagEvent {
    /// When the event entered the history; not when the image was built.
    pub created: Timestamp,
    /// `dockerImageReference`: what to pull, in the user's spelling with the digest (rule I54).
    pub reference: String,
    /// The image: the digest of its manifest. None for `reference: true` tags of kind `DockerImage`.
    pub image: Option<Digest>,
    /// The spec generation that produced it.
    pub generation: Generation,
}

/// How a tag event came to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Via {
    /// A registry was asked.
    Registry,
    /// The tag follows another one (rules I83 to I86).
    Alias(StreamTag),
    /// The tag pins an image of a stream (`ImageStreamImage`).
    Image(StreamName),
    /// `reference: true`: recorded as written, without asking anybody (rule I79).
    Reference,
    /// It was pushed, and a notice of that came (rules I188, I193); its registry was asked for the image.
    Push,
    /// A build of ours made and pushed it (rule B51).
    Build {
        /// The `BuildConfig`.
        object: ObjectKey,
        /// The name of the build.
        name: String,
        /// The record that created it.
        build: Seq,
    },
}

impl Via {
    /// Whether somebody put it into the registry under this tag, other than what the spec of the tag says.
    #[must_use]
    pub fn is_push(&self) -> bool {
        match self {
            Self::Push | Self::Build { .. } => true,
            Self::Registry | Self::Alias(_) | Self::Image(_) | Self::Reference => false,
        }
    }
}

/// Why something was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reason {
    /// The spec is newer than what was observed: a new tag, or a changed one.
    SpecChanged {
        /// The generation that asked for it.
        generation: Generation,
    },
    /// Its schedule said so.
    ScheduleDue,
    /// It failed before, and the time to try again has come.
    Retry,
    /// Somebody or something asked to look now.
    Nudged,
    /// Its source tag changed.
    SourceTagChanged,
}

/// A tag was imported.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagImported {
    /// The tag.
    pub tag: StreamTag,
    /// What it is now; whether this is a new item of its history is decided by rule I63.
    pub event: TagEvent,
    /// The digest that the registry itself answered (rule I197).
    #[serde(default)]
    pub probed: Option<Digest>,
    /// Fingerprint of the check that `probed` answers: reference, platform, mode, transport (rule I197, item 5).
    #[serde(default)]
    pub asked: u32,
    /// The image's metadata in the object store.
    #[serde(default)]
    pub metadata: Option<ContentHash>,
    /// How.
    pub via: Via,
    /// Why it was looked at.
    pub reason: Reason,
}

/// The registry answers another digest for an unchanged image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagProbed {
    /// The tag.
    pub tag: StreamTag,
    /// What the registry answers now.
    pub probed: Digest,
}

/// The condition reasons of a failed import, with OpenShift's spelling (rule I73).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ImportReason {
    /// The registry does not know the manifest, or the source tag or stream does not exist.
    NotFound,
    /// The registry wants another login, or none was there to give.
    Unauthorized,
    /// The registry is blocked or not allowed.
    Forbidden,
    /// The registry speaks plain HTTP and the tag is not `insecure`.
    BadRequest,
    /// Schema 1 or another kind of manifest that is not supported (rule I51).
    UnsupportedManifest,
    /// The reference in the manifest cannot be used.
    Invalid,
    /// Tags that follow each other in a ring (rule I87).
    CircularReference,
    /// The host is no registry of the second version of the API (rule I60).
    NotV2Registry,
    /// Everything else: the registry is down, slow, limits requests, or answers nonsense.
    InternalError,
}

impl ImportReason {
    /// Whether it is told by a registry, or by the attempt to reach one.
    #[must_use]
    pub fn is_of_a_registry(self) -> bool {
        match self {
            Self::CircularReference | Self::Invalid => false,
            Self::NotFound
            | Self::Unauthorized
            | Self::Forbidden
            | Self::BadRequest
            | Self::UnsupportedManifest
            | Self::NotV2Registry
            | Self::InternalError => true,
        }
    }
}

impl fmt::Display for ImportReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotFound => "NotFound",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::BadRequest => "BadRequest",
            Self::UnsupportedManifest => "UnsupportedManifest",
            Self::Invalid => "Invalid",
            Self::CircularReference => "CircularReference",
            Self::NotV2Registry => "NotV2Registry",
            Self::InternalError => "InternalError",
        })
    }
}

/// A tag could not be imported.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportFailed {
    /// The tag.
    pub tag: StreamTag,
    /// The spec generation that the attempt stands for.
    pub generation: Generation,
    /// The condition's reason.
    pub reason: ImportReason,
    /// The condition's message.
    pub message: String,
}

/// A tag does not fail any more, without an import.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagRecovered {
    /// The tag.
    pub tag: StreamTag,
}

/// Old items of a tag's history went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagTrimmed {
    /// The tag.
    pub tag: StreamTag,
    /// The items, by the record that made each what it is; item 0 never goes.
    pub items: Vec<Seq>,
}
