//! `describe is`.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{
    ImageStream, Map, NamedTagEventList, RepositoryStatus, TagEventCondition, TagReference,
};
use crate::time::Timestamp;

use super::{Block, ago, order};

/// Describes a stream (rules I127 to I137).
#[must_use]
pub fn describe(stream: &ImageStream, now: Timestamp) -> String {
    let mut block = Block::default();
    let meta = &stream.metadata;
    block.field("Name", &meta.name);
    block.field("Namespace", &meta.namespace);
    if let Some(created) = meta.creation_timestamp {
        block.field("Created", &ago(now, created));
    }
    block.map("Labels", &meta.labels);
    block.annotations(&meta.annotations);
    let repositories = &stream.status;
    let public = repositories.public_docker_image_repository.as_str();
    let inside = repositories.docker_image_repository.as_str();
    block.field("Image Repository", if public.is_empty() { inside } else { public });
    block.field("Image Lookup", &format!("local={}", stream.spec.lookup_policy.local));
    let sections = Sections::of(stream);
    if sections.tags.is_empty() {
        block.field("Tags", "");
    } else {
        block.field("Unique Images", &unique_images(stream).to_string());
        block.field("Tags", &sections.tags.len().to_string());
    }
    if let Some(repository) = &stream.status.repository {
        describe_repository(&mut block, &stream.spec.docker_image_repository, repository, now);
    }
    for tag in &sections.tags {
        if sections.followers.contains(tag) {
            continue;
        }
        block.line("");
        let aliases = sections.aliases.get(tag).map(|aliases| aliases.join(", "));
        let aliases = aliases.map(|aliases| format!(" ({aliases})")).unwrap_or_default();
        block.line(&format!("{tag}{aliases}"));
        describe_tag(&mut block, stream, tag, now);
    }
    block.finish()
}

/// What cannot be told of one tag: that the whole repository cannot be listed, and what was left out of it (rule I60).
fn describe_repository(
    block: &mut Block,
    name: &str,
    repository: &RepositoryStatus,
    now: Timestamp,
) {
    block.line("");
    block.line(name);
    block.line("  imports the tags of the whole repository");
    block.line("");
    for failure in &repository.conditions {
        describe_failure(block, failure, now);
    }
    let left_out = &repository.additional_tags;
    if !left_out.is_empty() {
        let (count, tags) = (left_out.len(), left_out.join(", "));
        block.line(&format!("  ~ {count} additional tags which were not imported: {tags}"));
    }
}

/// Why an import failed, and since when (rule I134).
fn describe_failure(block: &mut Block, failure: &TagEventCondition, now: Timestamp) {
    let (reason, message) = (&failure.reason, &failure.message);
    block.line(&format!("  ! error: Import failed ({reason}): {message}"));
    if let Some(since) = failure.last_transition_time {
        block.line(&format!("      {}", ago(now, since)));
    }
}

/// Distinct images over all histories; items without an image count as one (rule I128).
fn unique_images(stream: &ImageStream) -> usize {
    let items = stream.status.tags.iter().flat_map(|tag| &tag.items);
    items.map(|item| item.image.as_str()).collect::<BTreeSet<_>>().len()
}

/// The tags of a stream, and which of them are shown behind the name of another (rule I130).
struct Sections<'a> {
    /// Those of the spec and those of the status, by importance.
    tags: Vec<&'a str>,
    followers: BTreeSet<&'a str>,
    aliases: BTreeMap<&'a str, Vec<&'a str>>,
}

impl<'a> Sections<'a> {
    fn of(stream: &'a ImageStream) -> Self {
        let spec = stream.spec.tags.iter().map(|tag| tag.name.as_str());
        let status = stream.status.tags.iter().map(|tag| tag.tag.as_str());
        let names: BTreeSet<&str> = spec.chain(status).collect();
        let mut tags: Vec<&str> = names.into_iter().collect();
        order::by_importance(&mut tags);
        let by_name = stream.spec.tags.iter().map(|tag| (tag.name.as_str(), tag)).collect();
        let mut followers = BTreeSet::new();
        let mut aliases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for tag in &tags {
            if let Some(end) = followed(stream, &by_name, tag) {
                followers.insert(*tag);
                aliases.entry(end).or_default().push(tag);
            }
        }
        Self { tags, followers, aliases }
    }
}

/// The tag of the same stream that a tag follows in the end; none if it follows none, or nothing that is there.
fn followed<'a>(
    stream: &'a ImageStream,
    tags: &BTreeMap<&'a str, &'a TagReference>,
    tag: &'a str,
) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    let mut at = tag;
    while seen.insert(at) {
        let from = tags.get(at)?.from.as_ref().filter(|from| from.kind == "ImageStreamTag");
        let Some(from) = from else { return (at != tag).then_some(at) };
        if !from.namespace.is_empty() && from.namespace != stream.metadata.namespace {
            return None;
        }
        at = match from.name.split_once(':') {
            Some((name, next)) if name == stream.metadata.name => next,
            Some(_) => return None,
            None => &from.name,
        };
    }
    None
}

/// One section (rule I131).
fn describe_tag(block: &mut Block, stream: &ImageStream, tag: &str, now: Timestamp) {
    let (spec, status) = (stream.spec_tag(tag), stream.status_tag(tag));
    block.line(&format!("  {}", origin(spec, &stream.metadata.namespace)));
    if let Some(spec) = spec {
        if spec.import_policy.insecure {
            block.line("    will use insecure HTTPS or HTTP connections");
        }
        if spec.reference_policy.r#type == "Local" {
            block.line("    prefer registry pullthrough when referencing this tag");
        }
    }
    block.line("");
    if let Some(annotations) = spec.and_then(|spec| spec.annotations.as_ref()) {
        catalogue(block, annotations);
    }
    if let Some(spec) = spec.filter(|spec| is_pending(spec, status)) {
        block.line(&pending(spec, &stream.metadata.namespace));
    }
    let Some(status) = status else { return };
    if let Some(failure) = status.failure() {
        describe_failure(block, failure, now);
    }
    for (at, item) in status.items.iter().enumerate() {
        let marker = if at == 0 { '*' } else { ' ' };
        block.line(&format!("  {marker} {}", item.docker_image_reference));
        let age = item.created.map(|created| ago(now, created)).unwrap_or_default();
        let pinned = item.docker_image_reference.rsplit_once('@').map(|(_, digest)| digest);
        match item.image.as_str() {
            "" => block.line(&format!("      {age}")),
            image if pinned == Some(image) => block.line(&format!("      {age}")),
            image => block.line(&format!("      {age}\t{image}")),
        }
    }
}

/// Where a tag comes from (rule I132).
fn origin(spec: Option<&TagReference>, namespace: &str) -> String {
    let Some(spec) = spec else { return "no spec tag".into() };
    let Some(from) = &spec.from else { return "tag without source image".into() };
    let name = source(spec, namespace);
    let scheduled = spec.import_policy.scheduled;
    match (from.kind.as_str(), spec.reference) {
        ("ImageStreamTag", true) => format!("reference to {name}"),
        ("DockerImage", true) => format!("reference to registry {name}"),
        ("ImageStreamImage", true) => format!("reference to image {name}"),
        (kind, true) => format!("reference to {kind} {name}"),
        ("ImageStreamTag", false) if scheduled => format!("updates automatically from {name}"),
        ("DockerImage", false) if scheduled => {
            format!("updates automatically from registry {name}")
        }
        ("ImageStreamTag" | "DockerImage" | "ImageStreamImage", false) => {
            format!("tagged from {name}")
        }
        (kind, false) => format!("updates from {kind} {name}"),
    }
}

/// `from.name`, with its namespace where that is another.
fn source(spec: &TagReference, namespace: &str) -> String {
    let Some(from) = &spec.from else { return String::new() };
    match from.namespace.as_str() {
        "" => from.name.clone(),
        own if own == namespace => from.name.clone(),
        other => format!("{other}/{}", from.name),
    }
}

/// What a tag's annotations say about it.
fn catalogue(block: &mut Block, annotations: &Map) {
    let get = |key: &str| annotations.get(key).filter(|text| !text.is_empty());
    let list = |text: &String| text.replace(',', ", ");
    let lines = [
        get("description").map(|text| format!("  {text}")),
        get("tags").map(|text| format!("  Tags: {}", list(text))),
        get("supports").map(|text| format!("  Supports: {}", list(text))),
        get("sampleRepo").map(|text| format!("  Example Repo: {text}")),
    ];
    if lines.iter().all(Option::is_none) {
        return;
    }
    for line in lines.into_iter().flatten() {
        block.line(&line);
    }
    block.line("");
}

/// Whether the spec asks for something that was not tried yet (rule I133).
fn is_pending(spec: &TagReference, status: Option<&NamedTagEventList>) -> bool {
    let observed = status.map_or(0, NamedTagEventList::observed_generation);
    spec.from.is_some() && !spec.reference && spec.generation.is_some_and(|asked| asked > observed)
}

/// An alias imports nothing: it waits for another tag (rule I133, where we deviate).
fn pending(spec: &TagReference, namespace: &str) -> String {
    match spec.from.as_ref().map(|from| from.kind.as_str()) {
        Some("ImageStreamTag") => format!("  ~ waiting for tag {} ...", source(spec, namespace)),
        Some(_) | None => "  ~ importing latest image ...".into(),
    }
}
