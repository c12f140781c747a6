//! Images apart from the items that name them. Most are where an item is; these are the others.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::fact::{ImageDeleted, ImagesPruned, StoredManifest, TagImported};
use crate::names::{ContentHash, Digest, Generation, Seq};
use crate::time::Timestamp;

use super::ObservedState;
use super::tag_history::TagItem;

/// Images that are gone while items name them, and images that are there while none does.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Images {
    /// Deleted, and named by items until a prune takes those (rule I158).
    #[serde(default)]
    pub deleted: BTreeSet<Digest>,
    /// Named by no item any more, and kept by the prune that took the last (rule I160).
    #[serde(default)]
    pub bare: BTreeMap<Digest, BareImage>,
    /// Manifests of pruned images that the managed registry is still to delete (rule I164).
    #[serde(default)]
    pub leftover: BTreeSet<StoredManifest>,
}

/// An image that no item names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BareImage {
    /// When the first of its items entered a history.
    pub created: Timestamp,
    /// The record of that item.
    pub seq: Seq,
    /// What to pull, as that item said.
    pub reference: String,
    /// Its metadata in the object store.
    #[serde(default)]
    pub metadata: Option<ContentHash>,
}

impl Images {
    /// Whether every image is where an item is, and the other way round.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deleted.is_empty() && self.bare.is_empty() && self.leftover.is_empty()
    }
}

impl BareImage {
    fn of(item: TagItem) -> Self {
        let TagItem { seq, event, metadata } = item;
        Self { created: event.created, seq, reference: event.reference, metadata }
    }
}

impl ObservedState {
    /// Takes out what a prune lists. Images that lose their last item and are not listed stay, without one.
    pub(super) fn images_pruned(&mut self, pruned: &ImagesPruned) {
        let mut gone: BTreeMap<Digest, BareImage> = BTreeMap::new();
        for of_tag in &pruned.items {
            let Some(stream) = self.streams.get_mut(&of_tag.tag.stream) else { continue };
            let Some(tag) = stream.tags.get_mut(&of_tag.tag.tag) else { continue };
            for item in tag.prune(&of_tag.items) {
                let Some(image) = item.event.image else { continue };
                let item = BareImage::of(item);
                let first = gone.entry(image).or_insert_with(|| item.clone());
                if (item.created, item.seq) < (first.created, first.seq) {
                    *first = item;
                }
            }
            if tag.items.is_empty() && tag.generation == Generation(0) {
                stream.tags.remove(&of_tag.tag.tag); // its condition goes with it (rule I157)
            }
        }
        let named = self.named_images();
        for (image, bare) in gone {
            let is_listed = pruned.images.binary_search(&image).is_ok();
            if !named.contains(&image) && !is_listed && !self.images.deleted.contains(&image) {
                self.images.bare.insert(image, bare);
            }
        }
        for image in &pruned.images {
            self.images.bare.remove(image);
        }
        self.images.leftover.extend(pruned.manifests.iter().cloned());
        self.images.deleted.retain(|image| named.contains(image));
    }

    /// Items went with their tag: what was deleted and is named by none any more is nothing to remember.
    pub(super) fn forget_deleted(&mut self) {
        if !self.images.deleted.is_empty() {
            let named = self.named_images();
            self.images.deleted.retain(|image| named.contains(image));
        }
    }

    /// An image is gone: no reader looks for its metadata, and the next check asks for all of it again.
    pub(super) fn image_deleted(&mut self, deleted: &ImageDeleted) {
        let image = Some(deleted.image);
        if self.images.bare.remove(&deleted.image).is_some() {
            return;
        }
        for tag in self.streams.values_mut().flat_map(|stream| stream.tags.values_mut()) {
            if tag.image() == image {
                tag.probed = None;
            }
            for item in tag.items.iter_mut().filter(|item| item.event.image == image) {
                item.metadata = None;
                self.images.deleted.insert(deleted.image);
            }
        }
    }

    /// An import names an image, which brings it back if it was deleted.
    pub(super) fn image_found(&mut self, imported: &TagImported) {
        let Some(image) = imported.event.image.filter(|_| !self.images.is_empty()) else { return };
        self.images.bare.remove(&image);
        // Its stream has it again: it may have been copied there.
        let stream = imported.tag.stream.to_string();
        self.images.leftover.retain(|manifest| {
            manifest.digest != image || manifest.repository.repository_name() != stream
        });
        if imported.metadata.is_none() || !self.images.deleted.remove(&image) {
            return;
        }
        let tags = self.streams.values_mut().flat_map(|stream| stream.tags.values_mut());
        let items = tags.flat_map(|tag| &mut tag.items);
        for item in items.filter(|item| item.event.image == Some(image)) {
            item.metadata = imported.metadata;
        }
    }

    /// The images that items name.
    pub(crate) fn named_images(&self) -> BTreeSet<Digest> {
        let tags = self.streams.values().flat_map(|stream| stream.tags.values());
        tags.flat_map(|tag| &tag.items).filter_map(|item| item.event.image).collect()
    }
}
