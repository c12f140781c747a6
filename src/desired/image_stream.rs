//! `ImageStream`s: fields, defaults and validation (sections 1.1 to 1.6 of the image-stream specification).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::action::{ImportMode, Platform};
use crate::names::{Kind, ObjectKey, StreamName, TagName};
use crate::reference::ImageReference;

use super::marks::Step;
use super::object::{Bearer, Draft, ObjectReference, Ours, steps};
use super::{ImageStream, Origin, Spelled, TagReference, TagSource, registries};

type Fields = super::object::Fields<Spec>;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    lookup_policy: LookupPolicy,
    docker_image_repository: String,
    tags: Vec<Tag>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct LookupPolicy {
    local: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Tag {
    name: String,
    annotations: BTreeMap<String, String>,
    from: Option<ObjectReference>,
    reference: bool,
    generation: Option<i64>,
    import_policy: ImportPolicy,
    reference_policy: ReferencePolicy,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ImportPolicy {
    insecure: bool,
    scheduled: bool,
    import_mode: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ReferencePolicy {
    r#type: String,
}

const FORM: &str = "must be of the form <tag>, <repo>:<tag>, <id>, or <repo>@<id>";

/// Reads a stream; `Err` has its key, as far as it can be told.
pub(crate) fn read(draft: &Draft<'_>) -> Option<ImageStream> {
    let fields: Fields = draft.read()?;
    let meta = &fields.metadata;
    let key = check_name(draft, &meta.name);
    let name = key.map(|key| StreamName::new(key.namespace, key.name));
    let annotations = steps!["metadata", "annotations"];
    let ours = Ours::new(draft, &meta.annotations, annotations, Bearer::Stream);
    let schedule = ours.schedule("UTC");
    let zone = ours.get("time-zone").unwrap_or("UTC");
    let minimum_age = ours.span("minimum-age");
    let paused = ours.flag("pause").unwrap_or(false);
    let history_limit = ours
        .parsed::<std::num::NonZeroU32>("history-limit", "expected a number of items, at least 1");
    let prune = ours.words("prune", &["removed-tags", "vanished-tags"]);
    let tag_filter = ours.tag_filter();
    let tag_limit = ours.parsed("tag-limit", "expected a number of tags, `-1` for all");
    let push = check_push(draft, &ours, name.as_ref());
    ours.check_rest();
    let repository = check_repository(draft, &fields.spec.docker_image_repository);
    let mut tags = BTreeMap::new();
    for (index, tag) in fields.spec.tags.iter().enumerate() {
        let Some(tag_name) = check_tag_name(draft, index, &tag.name) else { continue };
        if tags.contains_key(&tag_name) {
            let at = steps!["spec", "tags", index, "name"];
            let text = format!("spec.tags[{index}].name: Duplicate value: {:?}", tag.name);
            draft.error("I1", at, text);
            continue;
        }
        if let Some(name) = &name
            && let Some(read) = read_tag(draft, index, tag, name, zone)
        {
            tags.insert(tag_name, read);
        }
    }
    if !draft.errors.borrow().is_empty() {
        return None;
    }
    let stream = ImageStream {
        name: name?,
        labels: meta.labels.clone(),
        annotations: meta.annotations.clone(),
        lookup_local: fields.spec.lookup_policy.local,
        repository,
        tags,
        overlaid: BTreeMap::new(),
        schedule,
        minimum_age,
        paused,
        history_limit: history_limit.map(std::num::NonZeroU32::get),
        prune_removed_tags: prune.contains("removed-tags"),
        prune_vanished_tags: prune.contains("vanished-tags"),
        tag_filter,
        tag_limit,
        push,
        position: draft.start(),
    };
    registries::report(draft, &stream, fields.spec.tags.iter().map(|tag| tag.name.as_str()));
    Some(stream)
}

/// Wraps what [`read`] gives as an object.
pub(crate) fn object(draft: &Draft<'_>) -> Option<super::Object> {
    read(draft).map(|stream| super::Object::Stream(Arc::new(stream)))
}

/// I12.
fn check_name(draft: &Draft<'_>, name: &str) -> Option<ObjectKey> {
    let path = steps!["metadata", "name"];
    if name.is_empty() {
        draft.required("I12", path, "name or generateName is required");
        return None;
    }
    if !is_repository_name(name) {
        draft.invalid("I12", path, name, "must match \"[a-z0-9]+(?:[._-][a-z0-9]+)*\"");
        return None;
    }
    if draft.namespace.as_str().len() + 1 + name.len() > 255 {
        let detail = "'namespace/name' cannot be longer than 255 characters";
        draft.invalid("I12", path, name, detail);
        return None;
    }
    draft.key(Kind::ImageStream, name)
}

/// `[a-z0-9]+(?:[._-][a-z0-9]+)*`
fn is_repository_name(name: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    name.split(['.', '_', '-']).all(word)
}

/// I13.
fn check_repository(draft: &Draft<'_>, text: &str) -> Option<ImageReference> {
    if text.is_empty() {
        return None;
    }
    let path = steps!["spec", "dockerImageRepository"];
    let reference: ImageReference = match text.parse() {
        Ok(reference) => reference,
        Err(error) => {
            let error: crate::reference::ReferenceError = error;
            draft.invalid("I13", path, text, &error.to_string());
            return None;
        }
    };
    if reference.tag.is_some() {
        draft.invalid("I13", path, text, "the repository name may not contain a tag");
    } else if reference.digest.is_some() {
        draft.invalid("I13", path, text, "the repository name may not contain an ID");
    } else if reference.name.is_empty() {
        draft.invalid("I30", path, text, "must name a repository, not only a registry");
    }
    Some(reference)
}

/// I198, B53: a repository, whose tag is that of the output.
fn check_push(
    draft: &Draft<'_>,
    ours: &Ours<'_, '_>,
    name: Option<&StreamName>,
) -> Option<Arc<ImageReference>> {
    let image: ImageReference =
        ours.parsed("push", "expected a repository like `registry.example.com/team/app`")?;
    if image.tag.is_some() || image.digest.is_some() || image.is_registry_only() {
        ours.invalid("push", "it names a repository, without tag and digest");
        return None;
    }
    if image.registry.is_none() {
        let name = name.map_or_else(|| draft.namespace.to_string(), ToString::to_string);
        ours.invalid("push", &format!("it needs a registry, like `registry.example.com/{name}`"));
        return None;
    }
    Some(Arc::new(image))
}

/// I15.
fn check_tag_name(draft: &Draft<'_>, index: usize, name: &str) -> Option<TagName> {
    let path = steps!["spec", "tags", index, "name"];
    if name.is_empty() {
        draft.error_with_hint(
            "I15",
            path,
            format!("spec.tags[{index}].name: Required value"),
            Some("a tag named `null` or `~` is written in quotes".into()),
        );
        return None;
    }
    let detail = format!(
        "invalid tag \"{name}\" format, tags must start with an alphanumeric character followed by alphanumeric, '.' or '-' characters, and have a maximum of 128 characters"
    );
    name.parse().map_err(|_| draft.invalid("I15", path, name, &detail)).ok()
}

fn read_tag(
    draft: &Draft<'_>,
    index: usize,
    tag: &Tag,
    stream: &StreamName,
    zone: &str,
) -> Option<TagReference> {
    let at = |rest: &[&str]| -> Vec<Step> {
        let mut path = steps!["spec", "tags", index].to_vec();
        path.extend(rest.iter().map(|key| Step::Key((*key).into())));
        path
    };
    // Messages name the tag, as OpenShift's do; the position comes from the list.
    let error = |rule: &str, rest: &[&str], text: String| {
        draft.error(rule, &at(rest), format!("spec.tags[{}].{text}", tag.name));
    };
    let local = match tag.reference_policy.r#type.as_str() {
        "" | "Source" => false,
        "Local" => true,
        other => {
            let text = format!(
                "referencePolicy.type: Invalid value: {other:?}: valid values are \"Source\", \"Local\""
            );
            error("I14", &["referencePolicy", "type"], text);
            false
        }
    };
    let mode = match tag.import_policy.import_mode.as_str() {
        "" => draft.policy.import_mode, // I6
        "Legacy" => ImportMode::Legacy,
        "PreserveOriginal" => ImportMode::PreserveOriginal,
        other => {
            let text = format!(
                "importPolicy.importMode: Invalid value: {other:?}: invalid import mode, valid modes are '', 'Legacy', 'PreserveOriginal'"
            );
            error("I14", &["importPolicy", "importMode"], text);
            ImportMode::Legacy
        }
    };
    let from = match &tag.from {
        Some(from) => Some(read_from(from, stream, &error)?), // I7: none is legal
        None => None,
    };
    if tag.import_policy.scheduled
        && matches!(from, Some(TagSource::Tag(_) | TagSource::Image { .. }))
    {
        let text = "importPolicy.scheduled: Invalid value: true: only tags pointing to Docker repositories may be scheduled for background import";
        error("I14", &["importPolicy", "scheduled"], text.into());
    }
    let ours = Ours::new(draft, &tag.annotations, &at(&["annotations"]), Bearer::Tag);
    ours.check_rest();
    let prefer = |key: &str, default: &str| {
        let key = format!("importer.image.openshift.io/prefer-{key}");
        tag.annotations.get(&key).filter(|text| !text.is_empty()).map_or(default, |v| v).to_owned()
    };
    let default = &draft.policy.platform;
    Some(TagReference {
        annotations: tag.annotations.clone(),
        spelled: tag.from.as_ref().filter(|from| from.kind != "DockerImage").map(|from| {
            Box::new(Spelled { name: from.name.clone(), namespace: from.namespace.clone() })
        }),
        from,
        reference: tag.reference,
        insecure: tag.import_policy.insecure,
        scheduled: tag.import_policy.scheduled,
        mode,
        platform: Platform {
            os: prefer("os", &default.os),
            architecture: prefer("arch", &default.architecture),
        },
        local,
        schedule: ours.schedule(zone),
        minimum_age: ours.span("minimum-age"),
        origin: Origin::Written,
        reimport: tag.generation == Some(0),
    })
}

/// I14, I28, I30, I35.
fn read_from(
    from: &ObjectReference,
    stream: &StreamName,
    error: &dyn Fn(&str, &[&str], String),
) -> Option<TagSource> {
    let name = from.name.as_str();
    let at = ["from", "name"];
    let invalid = |rule: &str, detail: &str| {
        error(rule, &at, format!("from.name: Invalid value: {name:?}: {detail}"));
    };
    let known = ["DockerImage", "ImageStreamTag", "ImageStreamImage"];
    if !known.contains(&from.kind.as_str()) {
        let text = "from.kind: Required value: valid values are 'DockerImage', 'ImageStreamImage', 'ImageStreamTag'";
        error("I14", &["from", "kind"], text.into());
        return None;
    }
    if name.is_empty() {
        error("I14", &at, "from.name: Required value".into());
        return None;
    }
    if from.kind == "DockerImage" {
        let reference: ImageReference = match name.parse() {
            Ok(reference) => reference,
            Err(why) => {
                let why: crate::reference::ReferenceError = why;
                invalid("I28", &why.to_string());
                return None;
            }
        };
        if reference.name.is_empty() {
            invalid("I30", "must name a repository, not only a registry");
            return None;
        }
        return Some(TagSource::Registry(Arc::new(reference)));
    }
    let namespace = if from.namespace.is_empty() {
        stream.namespace.clone()
    } else {
        let namespace = from.namespace.parse().map_err(|_| {
            let detail = "namespace must be a valid subdomain";
            let text = format!("from.namespace: Invalid value: {:?}: {detail}", from.namespace);
            error("I14", &["from", "namespace"], text);
        });
        namespace.ok()?
    };
    let separator = if from.kind == "ImageStreamTag" { ':' } else { '@' };
    let (of, id) = match name.split_once(separator) {
        None => (stream.name.clone(), name),
        Some((of, id)) => {
            let of = of.parse().map_err(|_| invalid("I35", FORM));
            (of.ok()?, id)
        }
    };
    let of = StreamName::new(namespace, of);
    if separator == '@' {
        if id.is_empty() || id.contains('@') {
            invalid("I35", FORM);
            return None;
        }
        return Some(TagSource::Image { stream: of, id: id.into() });
    }
    let tag: TagName = id.parse().map_err(|_| invalid("I35", FORM)).ok()?;
    Some(TagSource::Tag(of.tag(tag)))
}
