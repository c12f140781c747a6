//! Objects that are views of a stream: its tags and its images.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::{
    Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag, Map, ObjectMeta, TagEvent,
};

/// Why an image of a stream is not found (rule I36).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ImageError {
    /// No image of the stream begins like this.
    #[error("imagestreamimages.image.openshift.io \"{0}\" not found")]
    NotFound(String),
    /// Several do.
    #[error("multiple images match the prefix \"{id}\": {}", .found.join(", "))]
    Ambiguous {
        /// What was asked for.
        id: String,
        /// Their digests, in order.
        found: Vec<String>,
    },
}

/// The pull spec that dependents get for an item of a tag's history (rule I180).
#[must_use]
pub fn pull_spec(stream: &ImageStream, tag: &str, item: &TagEvent) -> String {
    let local = stream.spec_tag(tag).is_some_and(|spec| spec.reference_policy.r#type == "Local");
    let repository = if local { stream.status.docker_image_repository.as_str() } else { "" };
    let image = Some(&item.image).filter(|image| !image.is_empty());
    resolved(repository, image, &item.docker_image_reference)
}

/// An image in this repository; where it is recorded to be, if one of the two is not known.
#[must_use]
pub fn resolved(repository: &str, image: Option<&impl Display>, recorded: &str) -> String {
    match image.filter(|_| !repository.is_empty()) {
        Some(image) => format!("{repository}@{image}"),
        None => recorded.to_owned(),
    }
}

/// A tag of a stream, if it has an image; `image` is that image where more than its name is known.
#[must_use]
pub fn stream_tag(
    stream: &ImageStream,
    tag: &str,
    image: Option<&Image>,
) -> Option<ImageStreamTag> {
    let status = stream.status_tag(tag)?;
    let item = status.current().filter(|item| !item.image.is_empty())?;
    let spec = stream.spec_tag(tag);
    let annotations = spec.and_then(|spec| spec.annotations.clone()).unwrap_or_default();
    Some(ImageStreamTag {
        conditions: status.conditions.clone(),
        generation: item.generation,
        image: seen_through(stream, tag, item, image, &annotations),
        lookup_policy: stream.spec.lookup_policy,
        metadata: ObjectMeta {
            creation_timestamp: item.created,
            annotations,
            ..meta(stream, &format!("{}:{tag}", stream.metadata.name))
        },
        tag: spec.cloned(),
    })
}

/// The image of a tag, with the reference that its policy gives and the tag's annotations.
fn seen_through(
    stream: &ImageStream,
    tag: &str,
    item: &TagEvent,
    image: Option<&Image>,
    annotations: &Map,
) -> Image {
    let mut image = image.cloned().unwrap_or_default();
    image.metadata.name.clone_from(&item.image);
    let own = annotations.iter().map(|(key, value)| (key.clone(), value.clone()));
    image.metadata.annotations.extend(own);
    image.docker_image_reference = pull_spec(stream, tag, item);
    image
}

/// Every tag of a stream, those without an image, too.
#[must_use]
pub fn image_tag(stream: &ImageStream, tag: &str, image: Option<&Image>) -> Option<ImageTag> {
    let (spec, status) = (stream.spec_tag(tag), stream.status_tag(tag));
    if spec.is_none() && status.is_none() {
        return None;
    }
    let item = status.and_then(super::NamedTagEventList::current);
    let annotations = spec.and_then(|spec| spec.annotations.clone()).unwrap_or_default();
    let with_image = item.filter(|item| !item.image.is_empty());
    Some(ImageTag {
        image: with_image.map(|item| seen_through(stream, tag, item, image, &annotations)),
        metadata: ObjectMeta {
            creation_timestamp: item.and_then(|item| item.created),
            annotations,
            ..meta(stream, &format!("{}:{tag}", stream.metadata.name))
        },
        spec: spec.cloned(),
        status: status.cloned(),
    })
}

/// The names of all tags of a stream, in order.
#[must_use]
pub fn tag_names(stream: &ImageStream) -> BTreeSet<&str> {
    let spec = stream.spec.tags.iter().map(|tag| tag.name.as_str());
    spec.chain(stream.status.tags.iter().map(|tag| tag.tag.as_str())).collect()
}

/// An image that a stream reaches: one of an item, or one of the index that an item has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reached<'a> {
    /// The item of a tag's history.
    pub item: &'a TagEvent,
    /// The digest of the image.
    pub image: String,
}

/// The image that an ID, or the beginning of one, means among all that a stream reaches (rule I36); `inside` names those of
/// an index.
///
/// # Errors
/// When no image begins like it, or several do.
pub fn find_image<'a>(
    stream: &'a ImageStream,
    id: &str,
    inside: impl Fn(&str) -> Vec<String>,
) -> Result<Reached<'a>, ImageError> {
    let matches = |image: &String| {
        let hex = image.split_once(':').map_or(image.as_str(), |(_, hex)| hex);
        !image.is_empty() && (image.starts_with(id) || hex.starts_with(id))
    };
    let items = stream.status.tags.iter().flat_map(|tag| &tag.items);
    let reached = items.flat_map(|item| {
        let images = std::iter::once(item.image.clone()).chain(inside(&item.image));
        images.filter(matches).map(move |image| Reached { item, image })
    });
    let reached: Vec<Reached<'_>> = reached.collect();
    let found: BTreeSet<&str> = reached.iter().map(|reached| reached.image.as_str()).collect();
    if found.len() > 1 {
        let found = found.into_iter().map(str::to_owned).collect();
        return Err(ImageError::Ambiguous { id: id.to_owned(), found });
    }
    // The newest counts, then the tag that comes first: tags stand in the order of their names.
    let newest = reached.into_iter().reduce(|best, reached| {
        if reached.item.created > best.item.created { reached } else { best }
    });
    newest.ok_or_else(|| ImageError::NotFound(format!("{}@{id}", stream.metadata.name)))
}

/// A reference with another digest: how an image of an index is pulled.
#[must_use]
pub fn with_digest(reference: &str, digest: &str) -> String {
    let repository = reference.split_once('@').map_or(reference, |(repository, _)| repository);
    format!("{repository}@{digest}")
}

/// An image of a stream.
#[must_use]
pub fn stream_image(
    stream: &ImageStream,
    reached: &Reached<'_>,
    image: Option<&Image>,
) -> ImageStreamImage {
    let Reached { item, image: name } = reached;
    let reference = &item.docker_image_reference;
    let mut image = image.cloned().unwrap_or_default();
    image.metadata.name.clone_from(name);
    image.docker_image_reference = match *name == item.image {
        true => reference.clone(),
        false => with_digest(reference, name),
    };
    ImageStreamImage {
        metadata: ObjectMeta {
            creation_timestamp: image.metadata.creation_timestamp.or(item.created),
            ..meta(stream, &format!("{}@{name}", stream.metadata.name))
        },
        image,
    }
}

fn meta(stream: &ImageStream, name: &str) -> ObjectMeta {
    ObjectMeta {
        labels: stream.metadata.labels.clone(),
        name: name.to_owned(),
        namespace: stream.metadata.namespace.clone(),
        resource_version: stream.metadata.resource_version.clone(),
        uid: stream.metadata.uid.clone(),
        ..ObjectMeta::default()
    }
}
