//! What happens to the tags of a stream that imports a whole repository, and to tags that go.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ImportReason;
use crate::names::{Generation, StreamName, StreamTag, TagName};

/// The tags of a stream's repository were listed, and they mean something else than before (rules I55 to I59).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagsListed {
    /// The stream.
    pub stream: StreamName,
    /// The generation that the stream gets: that of tags that are new.
    pub generation: Generation,
    /// Fingerprint of what was asked: repository, transport, filter, limit.
    pub asked: u32,
    /// Tags that are imported: those that pass the filter and are within the limit, without those that git writes.
    pub tags: Vec<TagName>,
    /// Tags of earlier listings that are not among them any more (rule I196).
    #[serde(default)]
    pub vanished: Vec<VanishedTag>,
    /// Tags beyond the limit, in the order of importance (rule I57): what was left out is always named.
    #[serde(default)]
    pub left_out: Vec<TagName>,
}

/// A tag that a listing does not bring any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VanishedTag {
    /// The tag.
    pub tag: TagName,
    /// Why.
    pub why: Vanished,
    /// How many complete listings in a row lacked it; counted up to [`LISTINGS_TO_VANISH`].
    pub listings: u32,
}

/// Complete listings in a row that must lack a tag before it may be removed (rule I196).
pub const LISTINGS_TO_VANISH: u32 = 2;

/// Why a tag is not imported from its repository any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Vanished {
    /// The repository does not have it.
    Gone,
    /// It does not pass `tidegate.dev/tag-filter`.
    Filtered,
    /// It is beyond the limit.
    BeyondLimit,
}

/// The tags of a stream's repository could not be listed. Recorded when the failure begins or changes (rule I60).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListingFailed {
    /// The stream.
    pub stream: StreamName,
    /// Fingerprint of what was asked.
    pub asked: u32,
    /// Why, in one word.
    pub reason: ImportReason,
    /// Why, in words.
    pub message: String,
}

/// A tag went with its history (rule I92).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagRemoved {
    /// The tag.
    pub tag: StreamTag,
    /// Why.
    pub because: TagRemoval,
}

/// Why a tag went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TagRemoval {
    /// Git does not have it any more, and nothing refers to it (rule I93).
    Unreferenced,
    /// Git does not have it any more, and its stream says `tidegate.dev/prune: removed-tags` (rule I93).
    RemovedTags,
    /// Its repository does not have it any more, nothing uses it, and its stream says `tidegate.dev/prune: vanished-tags`
    /// (rule I196).
    VanishedTags,
}

impl fmt::Display for TagRemoval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreferenced => "it is not in git any more, and nothing refers to it",
            Self::RemovedTags => "it is not in git any more (`tidegate.dev/prune: removed-tags`)",
            Self::VanishedTags => {
                "its repository does not have it any more (`tidegate.dev/prune: vanished-tags`)"
            }
        })
    }
}
