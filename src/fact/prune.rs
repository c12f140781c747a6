//! What an operator takes out of the histories of tags, and of the images that are known.

use serde::{Deserialize, Serialize};

use crate::names::{Digest, Namespace, Seq, StreamTag};
use crate::reference::ImageReference;
use crate::time::Span;

/// What a prune keeps beside what is in use (section 7.1 of the image-stream specification).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Keep {
    /// What is recent.
    Recent {
        /// `--keep-tag-revisions`: the newest items of each tag.
        revisions: u64,
        /// `--keep-younger-than`: streams, items and images that came later than this ago.
        younger_than: Span,
    },
    /// `--prune-over-size-limit`: images that are not over the limit of their namespace.
    WithinLimit,
}

/// What a prune was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PruneOptions {
    /// What it keeps.
    pub keep: Keep,
    /// `--all`; without it, only images that were pushed to a managed registry go.
    pub all: bool,
    /// `--namespace`: only streams of it, and no image goes.
    #[serde(default)]
    pub namespace: Option<Namespace>,
    /// `--ignore-invalid-refs`: nothing is said about references that cannot be read.
    #[serde(default)]
    pub ignore_invalid: bool,
    /// `--prune-registry`: manifests of a managed registry go as well (rule I164).
    pub registry: bool,
}

/// Items and images went by the order of an operator: one record lists everything (rule I164).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesPruned {
    /// What was asked for.
    pub options: PruneOptions,
    /// The items that went, by tag, in the order of streams and tags.
    pub items: Vec<PrunedItems>,
    /// The images that went, in order.
    pub images: Vec<Digest>,
    /// What is deleted in the managed registry after this, in order (rule I164).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<StoredManifest>,
    /// Who asked.
    pub by: String,
}

impl ImagesPruned {
    /// How many items went.
    #[must_use]
    pub fn item_count(&self) -> usize {
        self.items.iter().map(|of_tag| of_tag.items.len()).sum()
    }
}

/// A manifest in the managed registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredManifest {
    /// Its repository, with the registry: `registry.example.com:5000/shop/web`.
    pub repository: ImageReference,
    /// Its digest.
    pub digest: Digest,
}

/// The managed registry says that a manifest of a pruned image is gone (rule I164).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDeleted {
    /// The manifest.
    pub manifest: StoredManifest,
}

/// What went of one tag.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrunedItems {
    /// The tag.
    pub tag: StreamTag,
    /// The items, by the record that made each what it is.
    pub items: Vec<Seq>,
}

/// An operator deleted an image; items that name it stay until the next prune (rules I158, I165).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDeleted {
    /// The image.
    pub image: Digest,
    /// Who asked.
    pub by: String,
}
