//! What operators put over git for a while (rule I102, item 5).

use serde::{Deserialize, Serialize};

use crate::action::ImportMode;
use crate::names::{CommitId, ContentHash, Digest, Seq, StreamName, StreamTag};
use crate::reference::ImageReference;

use super::StreamChanged;

/// An operator, or a hook, put something over what git says of a tag, or took it away.
///
/// It lasts until a commit is adopted that says something else of the tag than git did: the record of that commit
/// names it ([`CommitAdopted::superseded`](super::CommitAdopted::superseded)).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverlaySet {
    /// The tag.
    pub tag: StreamTag,
    /// What is in force from now on.
    pub overlay: Overlaid,
    /// Hash of what git says of the tag: a commit that says the same does not touch it.
    pub basis: ContentHash,
    /// The commit in force.
    pub commit: CommitId,
    /// The generations that this changes, as those of a commit (rules I22 to I27); none where it changes none.
    #[serde(default)]
    pub changed: Option<StreamChanged>,
    /// Who asked.
    pub by: String,
    /// The rollout whose hook did it (rule D40.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Seq>,
}

/// What is in force for a tag in place of what git says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Overlaid {
    /// This spec tag.
    Spec(TagSpec),
    /// No spec tag.
    Removed,
    /// Nothing any more: the overlay that was there is gone.
    Withdrawn,
}

/// A spec tag as `tag` makes it (rule I97): without annotations, and with the defaults for what is not said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API")]
pub struct TagSpec {
    /// `from`.
    pub from: SpecSource,
    /// `reference`.
    #[serde(default)]
    pub reference: bool,
    /// `importPolicy.scheduled`.
    #[serde(default)]
    pub scheduled: bool,
    /// `importPolicy.insecure`.
    #[serde(default)]
    pub insecure: bool,
    /// `importPolicy.importMode`; none for the mode of tags that say none.
    #[serde(default)]
    pub mode: Option<ImportMode>,
    /// Whether `referencePolicy.type` is `Local`.
    #[serde(default)]
    pub local: bool,
}

/// Where an overlaid tag gets its image from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SpecSource {
    /// `DockerImage`: a registry.
    Registry(ImageReference),
    /// `ImageStreamTag`: another tag, which it follows.
    Tag(StreamTag),
    /// `ImageStreamImage`: an image of a stream.
    Image {
        /// The stream.
        stream: StreamName,
        /// The image.
        image: Digest,
    },
}
