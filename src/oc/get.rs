//! Rows of `get is|istag|isimage|itag|images` (rules I120 to I125).

use crate::api::{Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag, Time};
use crate::time::Timestamp;

use super::table::{Row, Table};
use super::{ago, order};

fn when(now: Timestamp, then: Option<Time>) -> String {
    then.map(|then| ago(now, then)).unwrap_or_default()
}

/// Streams (rule I120).
#[must_use]
pub fn streams(streams: &[ImageStream], now: Timestamp) -> Table {
    let row = |stream: &ImageStream| {
        let status = &stream.status;
        let newest = status.tags.iter().filter_map(|tag| tag.current()?.created).max();
        let repository = [
            &status.public_docker_image_repository,
            &stream.spec.docker_image_repository,
            &status.docker_image_repository,
        ];
        let repository = repository.into_iter().find(|text| !text.is_empty());
        let tags = order::up_to_width(&order::by_time(&status.tags));
        let repository = repository.cloned().unwrap_or_default();
        let cells = vec![stream.metadata.name.clone(), repository, tags, when(now, newest)];
        Row { namespace: stream.metadata.namespace.clone(), cells, wide: vec![] }
    };
    let columns = vec!["NAME", "IMAGE REPOSITORY", "TAGS", "UPDATED"];
    Table { columns, wide: vec![], rows: streams.iter().map(row).collect() }
}

/// Tags that have an image (rule I122).
#[must_use]
pub fn stream_tags(tags: &[ImageStreamTag], now: Timestamp) -> Table {
    let row = |tag: &ImageStreamTag| {
        let meta = &tag.metadata;
        let reference = tag.image.docker_image_reference.clone();
        Row {
            namespace: meta.namespace.clone(),
            cells: vec![meta.name.clone(), reference, when(now, meta.creation_timestamp)],
            wide: vec![tag.image.metadata.name.clone()],
        }
    };
    let columns = vec!["NAME", "IMAGE REFERENCE", "UPDATED"];
    Table { columns, wide: vec!["IMAGE NAME"], rows: tags.iter().map(row).collect() }
}

/// Images of streams (rule I124).
#[must_use]
pub fn stream_images(images: &[ImageStreamImage], now: Timestamp) -> Table {
    let row = |image: &ImageStreamImage| {
        let meta = &image.metadata;
        Row {
            namespace: meta.namespace.clone(),
            cells: vec![meta.name.clone(), when(now, meta.creation_timestamp)],
            wide: vec![
                image.image.docker_image_reference.clone(),
                image.image.metadata.name.clone(),
            ],
        }
    };
    let (columns, wide) = (vec!["NAME", "UPDATED"], vec!["IMAGE REFERENCE", "IMAGE NAME"]);
    Table { columns, wide, rows: images.iter().map(row).collect() }
}

/// Images (rule I125).
#[must_use]
pub fn images(images: &[Image]) -> Table {
    let row = |image: &Image| Row {
        cells: vec![image.metadata.name.clone(), image.docker_image_reference.clone()],
        ..Row::default()
    };
    let columns = vec!["NAME", "IMAGE REFERENCE"];
    Table { columns, wide: vec![], rows: images.iter().map(row).collect() }
}

/// All tags, with what is asked for and what came of it (rule I123).
#[must_use]
pub fn image_tags(tags: &[ImageTag], now: Timestamp) -> Table {
    let row = |tag: &ImageTag| {
        let (spec, status) = (spec_and_status(tag), tag.status.as_ref());
        let count = status.map_or(0, |status| status.items.len());
        let failures = status.into_iter().flat_map(|status| &status.conditions);
        let times = failures.map(|condition| condition.last_transition_time);
        let created = status.and_then(|status| status.current()?.created);
        let updated = times.chain([created]).max().flatten();
        let history = if count == 0 { String::new() } else { count.to_string() };
        let (spec, status) = spec;
        let cells = vec![tag.metadata.name.clone(), spec.into(), status, history];
        let cells = cells.into_iter().chain([when(now, updated)]).collect();
        Row { namespace: tag.metadata.namespace.clone(), cells, wide: vec![] }
    };
    let columns = vec!["NAME", "SPEC", "STATUS", "HISTORY", "UPDATED"];
    Table { columns, wide: vec![], rows: tags.iter().map(row).collect() }
}

/// What kind of tag it is, and what it points to or why not.
fn spec_and_status(tag: &ImageTag) -> (&'static str, String) {
    let generation = tag.spec.as_ref().and_then(|spec| spec.generation).unwrap_or(0);
    let (mut spec, source) = match &tag.spec {
        Some(spec) => asked_for(spec),
        None => ("", Ok(String::new())),
    };
    let (mut source, mut status) = match source {
        Ok(source) => (source, String::new()),
        Err(why) => (String::new(), why.to_owned()),
    };
    if let Some(item) = tag.status.as_ref().and_then(crate::api::NamedTagEventList::current) {
        if generation > 0 && item.generation > 0 && item.generation < generation {
            "Importing".clone_into(&mut status);
        } else if !item.image.is_empty() {
            source = format!("image/{}", item.image);
        } else if !item.docker_image_reference.is_empty() {
            source.clone_from(&item.docker_image_reference);
        }
        let is_newer = generation > 0 && item.generation > generation;
        if (!source.is_empty() && spec.is_empty()) || (spec != "Track" && is_newer) {
            spec = "Push";
        }
    }
    if let Some(failure) = tag.status.as_ref().and_then(crate::api::NamedTagEventList::failure) {
        status = format!("ImportFailed ({})", failure.reason);
    }
    (spec, if status.is_empty() { source } else { status })
}

/// What kind of tag the spec makes it, and what it points to, or what is wrong with that.
fn asked_for(spec: &crate::api::TagReference) -> (&'static str, Result<String, &'static str>) {
    let Some(from) = &spec.from else { return ("", Ok(String::new())) };
    let kind = match () {
        () if spec.import_policy.scheduled => "Scheduled",
        () if spec.reference => "Ref",
        () => "Tag",
    };
    match from.kind.as_str() {
        "DockerImage" => (kind, Ok(from.name.clone())),
        "ImageStreamImage" => match from.name.split_once('@') {
            Some((_, id)) => (kind, Ok(format!("image/{id}"))),
            None => (kind, Err("InvalidRefName")),
        },
        "ImageStreamTag" => {
            let source = match from.namespace.as_str() {
                "" => format!("istag/{}", from.name),
                namespace => format!("istag {namespace}/{}", from.name),
            };
            // A tag that names another without its stream follows it.
            (if from.name.contains(':') { kind } else { "Track" }, Ok(source))
        }
        _ => (kind, Err("InvalidRefKind")),
    }
}
