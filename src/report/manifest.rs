//! What a commit changes in manifests, object by object, in their canonical form.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::action::ImportMode;
use crate::desired::{Companion, DesiredState, ImageStream, Object, TagReference, TagSource};
use crate::names::TagName;

use super::secret::Hidden;
use super::unified::{Hunk, hunks};

/// How an object differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ManifestChange {
    /// `Kind/namespace/name`.
    pub(super) object: String,
    pub(super) change: Change,
    /// Where it stands now, or stood.
    pub(super) position: String,
    pub(super) hunks: Vec<Hunk>,
}

/// What became of an object's manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Change {
    Added,
    Changed,
    Removed,
}

/// What two states differ in, objects of our kinds first.
pub(super) fn changes(old: &DesiredState, new: &DesiredState) -> Vec<ManifestChange> {
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let mut changes = Vec::new();
    for key in keys {
        let (before, after) = (old.get(&key), new.get(&key));
        if let (Some(before), Some(after)) = (&before, &after)
            && is_shared(before, after)
        {
            continue;
        }
        let side = |object: Option<Object>| {
            object.map(|object| (object.position().to_string(), canonical(&object)))
        };
        changes.extend(change(key.to_string(), side(before), side(after)));
    }
    let (before, after) = (companions(old), companions(new));
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let side = |companions: &BTreeMap<String, Arc<Companion>>| {
            let companion = companions.get(name)?;
            let manifest = companion.manifest.as_deref().map(parse);
            Some((companion.position.to_string(), manifest.unwrap_or(Value::Null)))
        };
        changes.extend(change(name.clone(), side(&before), side(&after)));
    }
    changes
}

fn companions(state: &DesiredState) -> BTreeMap<String, Arc<Companion>> {
    let name = |companion: &Companion| {
        let Companion { kind, namespace, name, .. } = companion;
        format!("{kind}/{namespace}/{name}")
    };
    state.companions.iter().map(|companion| (name(companion), companion.clone())).collect()
}

fn is_shared(before: &Object, after: &Object) -> bool {
    match (before, after) {
        (Object::Stream(a), Object::Stream(b)) => Arc::ptr_eq(a, b),
        (Object::Build(a), Object::Build(b)) => Arc::ptr_eq(a, b),
        (Object::Workload(a), Object::Workload(b)) => Arc::ptr_eq(a, b),
        (Object::Stream(_) | Object::Build(_) | Object::Workload(_), _) => false,
    }
}

type Side = Option<(String, Value)>;

fn change(object: String, old: Side, new: Side) -> Option<ManifestChange> {
    let (position, change) = match (&old, &new) {
        (Some((_, before)), Some((_, after))) if before == after => return None,
        (_, Some((position, _))) if old.is_none() => (position.clone(), Change::Added),
        (_, Some((position, _))) => (position.clone(), Change::Changed),
        (Some((position, _)), None) => (position.clone(), Change::Removed),
        (None, None) => return None,
    };
    // Compared before anything is hidden, so that no change is lost; shown after.
    let mut hidden = Hidden::default();
    let mut text = |side: Side| {
        side.map_or_else(String::new, |(_, mut manifest)| {
            hidden.redact(&mut manifest);
            yaml(&manifest)
        })
    };
    let (old, new) = (text(old), text(new));
    Some(ManifestChange { object, change, position, hunks: hunks(&old, &new) })
}

/// The value as YAML. Its maps are sorted, so the same object always gives the same text.
fn yaml(manifest: &Value) -> String {
    serde_yaml::to_string(manifest).unwrap_or_else(|_| manifest.to_string())
}

fn parse(manifest: &str) -> Value {
    // `desired` made the text from a value; whatever else it is, it is not shown: it may hold a secret.
    serde_json::from_str(manifest).unwrap_or(Value::Null)
}

/// The manifest of an object as we understand it.
fn canonical(object: &Object) -> Value {
    match object {
        Object::Stream(stream) => stream_manifest(stream),
        Object::Build(build) => parse(&build.manifest),
        Object::Workload(workload) => parse(&workload.manifest),
    }
}

fn stream_manifest(stream: &ImageStream) -> Value {
    let mut metadata = json!({"name": stream.name.name, "namespace": stream.name.namespace});
    set(&mut metadata, "labels", (!stream.labels.is_empty()).then(|| json!(stream.labels)));
    let annotations = (!stream.annotations.is_empty()).then(|| json!(stream.annotations));
    set(&mut metadata, "annotations", annotations);
    let mut spec = json!({});
    set(&mut spec, "lookupPolicy", stream.lookup_local.then(|| json!({"local": true})));
    let repository = stream.repository.as_ref().map(|image| json!(image.to_string()));
    set(&mut spec, "dockerImageRepository", repository);
    let tags: Vec<_> = stream.tags.iter().map(|(name, tag)| tag_manifest(name, tag)).collect();
    set(&mut spec, "tags", (!tags.is_empty()).then(|| json!(tags)));
    json!({
        "apiVersion": "image.openshift.io/v1",
        "kind": "ImageStream",
        "metadata": metadata,
        "spec": spec,
    })
}

fn tag_manifest(name: &TagName, tag: &TagReference) -> Value {
    let mut value = json!({"name": name});
    set(&mut value, "annotations", (!tag.annotations.is_empty()).then(|| json!(tag.annotations)));
    let from = tag.from.as_ref().map(|from| match from {
        TagSource::Registry(image) => json!({"kind": "DockerImage", "name": image.to_string()}),
        TagSource::Tag(tag) => json!({
            "kind": "ImageStreamTag",
            "namespace": tag.stream.namespace,
            "name": format!("{}:{}", tag.stream.name, tag.tag),
        }),
        TagSource::Image { stream, id } => json!({
            "kind": "ImageStreamImage",
            "namespace": stream.namespace,
            "name": format!("{}@{id}", stream.name),
        }),
    });
    set(&mut value, "from", from);
    set(&mut value, "reference", tag.reference.then_some(Value::Bool(true)));
    let mut policy = json!({});
    set(&mut policy, "insecure", tag.insecure.then_some(Value::Bool(true)));
    set(&mut policy, "scheduled", tag.scheduled.then_some(Value::Bool(true)));
    let preserve = tag.mode == ImportMode::PreserveOriginal;
    set(&mut policy, "importMode", preserve.then(|| json!("PreserveOriginal")));
    let written = policy.as_object().is_some_and(|policy| !policy.is_empty());
    set(&mut value, "importPolicy", written.then_some(policy));
    set(&mut value, "referencePolicy", tag.local.then(|| json!({"type": "Local"})));
    value
}

fn set(object: &mut Value, field: &str, value: Option<Value>) {
    if let (Some(fields), Some(value)) = (object.as_object_mut(), value) {
        Map::insert(fields, field.to_owned(), value);
    }
}
