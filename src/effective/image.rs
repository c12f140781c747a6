//! Images as OpenShift shows them: what an import kept of each, and where it was seen first.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::action::ImageContents;
use crate::api::{self, Time, view};
use crate::fact::ImportReason;
use crate::names::{ContentHash, Digest, Seq, StreamName};
use crate::observed::tag_history::TagItem;
use crate::observed::{BareImage, ObservedState};
use crate::policy::Policy;
use crate::time::Timestamp;

/// Where an image was seen first: the item of a tag's history that had it, or what is left of that.
#[derive(Clone, Copy, Debug)]
pub struct FirstSeen<'a> {
    created: Timestamp,
    seq: Seq,
    reference: &'a str,
    metadata: Option<ContentHash>,
}

impl<'a> FirstSeen<'a> {
    fn item(item: &'a TagItem) -> Self {
        let TagItem { seq, event, metadata } = item;
        let (created, reference) = (event.created, event.reference.as_str());
        Self { created, seq: *seq, reference, metadata: *metadata }
    }

    fn bare(image: &'a BareImage) -> Self {
        let BareImage { created, seq, reference, metadata } = image;
        Self { created: *created, seq: *seq, reference, metadata: *metadata }
    }

    /// What the import kept in the object store.
    #[must_use]
    pub fn metadata(&self) -> Option<ContentHash> {
        self.metadata
    }

    /// Where it was.
    #[must_use]
    pub fn reference(&self) -> &str {
        self.reference
    }

    /// When that was.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }
}

/// Every image that there is, by digest (rule I11: the first import names it).
#[must_use]
pub fn images(observed: &ObservedState) -> BTreeMap<Digest, FirstSeen<'_>> {
    let bare = observed.images.bare.iter();
    let mut found: BTreeMap<Digest, FirstSeen<'_>> =
        bare.map(|(digest, image)| (*digest, FirstSeen::bare(image))).collect();
    let tags = observed.streams.values().flat_map(|stream| stream.tags.values());
    for item in tags.flat_map(|tag| &tag.items) {
        let Some(image) = item.event.image else { continue };
        if observed.images.deleted.contains(&image) {
            continue; // only its name is left (rule I158)
        }
        let new = FirstSeen::item(item);
        let first = found.entry(image).or_insert(new);
        // Aliases have the time of what they follow: among equals the record that came first counts.
        if (new.created, new.seq) < (first.created, first.seq) {
            *first = new;
        }
    }
    found
}

/// Finds the image of a stream that `id` names (rule I36: the newest event, then the smallest tag).
///
/// # Errors
/// When it names none, or several.
pub fn find_image<'a>(
    observed: &'a ObservedState,
    stream: &StreamName,
    id: &str,
) -> Result<&'a TagItem, (ImportReason, String)> {
    let matches = |digest: &Digest| is_named(digest, id);
    let tags = observed.streams.get(stream).map(|stream| &stream.tags);
    let items = tags.into_iter().flatten().flat_map(|(_, tag)| &tag.items);
    let found: Vec<_> =
        items.filter(|item| item.event.image.as_ref().is_some_and(matches)).collect();
    let images: BTreeSet<_> = found.iter().filter_map(|item| item.event.image).collect();
    if images.len() > 1 {
        let list: Vec<_> = images.iter().map(ToString::to_string).collect();
        let message = format!("multiple images match the prefix \"{id}\": {}", list.join(", "));
        return Err((ImportReason::Invalid, message));
    }
    // `max_by_key` takes the last of equals; reversed, the first in tag order wins.
    let newest = found.into_iter().rev().max_by_key(|item| item.event.created);
    newest.ok_or_else(|| {
        let message = format!("imagestreamimage.image.openshift.io \"{id}\" not found");
        (ImportReason::NotFound, message)
    })
}

/// Whether `id`, the beginning of a digest, names an image (rule I36).
pub(crate) fn is_named(image: &Digest, id: &str) -> bool {
    let text = image.to_string();
    text.starts_with(id) || text.trim_start_matches("sha256:").starts_with(id)
}

/// When an image was recorded first (rule T34).
#[must_use]
pub fn first_seen(observed: &ObservedState, image: &Digest) -> Option<Timestamp> {
    let tags = observed.streams.values().flat_map(|stream| stream.tags.values());
    let items = tags.flat_map(|tag| &tag.items).filter(|item| item.event.image == Some(*image));
    let bare = observed.images.bare.get(image).map(|image| image.created);
    items.map(|item| item.event.created).chain(bare).min()
}

/// An image; `metadata` is what the object store has under [`FirstSeen::metadata`].
#[must_use]
pub fn image(digest: &Digest, first: &FirstSeen<'_>, metadata: Option<&[u8]>) -> api::Image {
    let kept = metadata.and_then(|bytes| serde_json::from_slice::<api::Image>(bytes).ok());
    made(digest.to_string(), first, kept.unwrap_or_default())
}

/// An image that was read and is in no history.
#[must_use]
pub fn image_as_read(digest: &Digest, reference: &str, metadata: Option<&[u8]>) -> api::Image {
    let first = FirstSeen { created: Timestamp::EPOCH, seq: Seq(0), reference, metadata: None };
    let mut image = image(digest, &first, metadata);
    image.metadata.creation_timestamp = None;
    image
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
    let created = Time::of(first.created);
    first.reference.clone_into(&mut image.docker_image_reference);
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

/// Says of an image that it was pushed to the managed registry, as its registry does in OpenShift (rules I188, I189).
#[must_use]
pub fn with_push(mut image: api::Image, policy: &Policy) -> api::Image {
    if super::is_pushed(policy, &image.docker_image_reference) {
        let keys = ["openshift.io/image.managed", "image.openshift.io/manifestBlobStored"];
        image.metadata.annotations.extend(keys.map(|key| (key.to_owned(), "true".to_owned())));
    }
    image
}

/// Adds what the metadata of an image says about its size and its parts.
pub fn contents(found: &mut ImageContents, digest: Digest, metadata: &[u8]) {
    let Ok(image) = serde_json::from_slice::<api::Image>(metadata) else { return };
    let size = image.docker_image_metadata.map(|docker| docker.size);
    if let Some(size) = size.and_then(|size| u64::try_from(size).ok()) {
        found.sizes.insert(digest, size);
    }
    let parts = image.docker_image_manifests.iter().filter_map(|part| part.digest.parse().ok());
    let parts: Vec<_> = parts.collect();
    if !parts.is_empty() {
        found.parts.insert(digest, parts);
    }
}
