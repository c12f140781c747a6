//! Images as OpenShift shows them: what an import kept of each, and where it was seen first.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::api::{self, Time, view};
use crate::names::{ContentHash, Digest};
use crate::observed::ObservedState;
use crate::observed::tag_history::TagItem;

/// The item of a tag's history that had an image first.
#[derive(Clone, Copy, Debug)]
pub struct FirstSeen<'a> {
    /// The item.
    item: &'a TagItem,
}

impl FirstSeen<'_> {
    /// What the import kept in the object store.
    #[must_use]
    pub fn metadata(&self) -> Option<ContentHash> {
        self.item.metadata
    }
}

/// Every image that a stream has, by digest (rule I11: the first import names it).
#[must_use]
pub fn images(observed: &ObservedState) -> BTreeMap<Digest, FirstSeen<'_>> {
    let mut found: BTreeMap<Digest, FirstSeen<'_>> = BTreeMap::new();
    let tags = observed.streams.values().flat_map(|stream| stream.tags.values());
    for item in tags.flat_map(|tag| &tag.items) {
        let Some(image) = item.event.image else { continue };
        let first = found.entry(image).or_insert(FirstSeen { item });
        // Aliases have the time of what they follow: among equals the record that came first counts.
        let (new, known) = (item, first.item);
        if (new.event.created, new.seq) < (known.event.created, known.seq) {
            first.item = new;
        }
    }
    found
}

/// An image; `metadata` is what the object store has under [`FirstSeen::metadata`].
#[must_use]
pub fn image(digest: &Digest, first: &FirstSeen<'_>, metadata: Option<&[u8]>) -> api::Image {
    let kept = metadata.and_then(|bytes| serde_json::from_slice::<api::Image>(bytes).ok());
    made(digest.to_string(), first, kept.unwrap_or_default())
}

/// The images of an index, by the same `metadata`; none where it is no index (rule I49).
#[must_use]
pub fn images_of_index(first: &FirstSeen<'_>, metadata: &[u8]) -> Vec<api::Image> {
    let kept = serde_json::from_slice::<Index>(metadata).map(|index| index.images);
    let one = |image: Kept| {
        let mut made = made(image.name.clone(), first, image.image);
        made.docker_image_reference = view::with_digest(&made.docker_image_reference, &image.name);
        made
    };
    kept.unwrap_or_default().into_iter().map(one).collect()
}

/// What an import keeps of an index, as far as it is about its images.
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    images: Vec<Kept>,
}

/// What it keeps of one of them.
#[derive(Deserialize)]
struct Kept {
    name: String,
    #[serde(flatten)]
    image: api::Image,
}

fn made(name: String, first: &FirstSeen<'_>, kept: api::Image) -> api::Image {
    let mut image = kept;
    let created = Time::of(first.item.event.created);
    image.docker_image_reference.clone_from(&first.item.event.reference);
    let id = name.clone();
    image.metadata =
        api::ObjectMeta { creation_timestamp: Some(created), name, ..api::ObjectMeta::default() };
    if !image.docker_image_layers.is_empty() {
        // Rule I10.
        let order = ("image.openshift.io/dockerLayersOrder".to_owned(), "ascending".to_owned());
        image.metadata.annotations.extend([order]);
    }
    if !image.docker_image_manifests.is_empty() && image.docker_image_metadata.is_none() {
        // Rule I9: an index was made when it was imported, as far as anybody can tell.
        image.docker_image_metadata =
            Some(api::DockerImage { created: Some(created), id, ..api::DockerImage::default() });
    }
    if image.docker_image_metadata.is_some() {
        image.docker_image_metadata_version = "1.0".into();
    }
    image
}
