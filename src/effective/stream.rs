//! A stream as OpenShift shows it: spec from git, status from the journal, and the values that the system writes into
//! either (DBT 0.4).

use crate::action::ImportMode;
use crate::api::{self, Time};
use crate::desired::{DesiredState, ImageStream, TagReference, TagSource};
use crate::names::{Generation, Kind, ObjectKey, StreamName, TagName};
use crate::observed::listing::ListingState;
use crate::observed::tag_history::{TagCondition, TagItem, TagState};
use crate::observed::{ObservedState, StreamState};
use crate::policy::Policy;

/// The annotation that tells when an import changed a stream last.
const CHECKED: &str = "openshift.io/image.dockerRepositoryCheck";

/// A stream that git asks for or the journal knows.
#[must_use]
pub fn stream(
    desired: &DesiredState,
    observed: &ObservedState,
    policy: &Policy,
    name: &StreamName,
) -> Option<api::ImageStream> {
    let (spec, state) = (desired.streams.get(name), observed.streams.get(name));
    if !has_stream(desired, observed, name) {
        return None;
    }
    let key = ObjectKey::stream(name);
    debug_assert_eq!(key.kind, Kind::ImageStream, "a stream's key");
    let created = observed.objects.get(&key).and_then(|object| object.since);
    let mut annotations = spec.map(|spec| spec.annotations.clone()).unwrap_or_default();
    if let Some(at) = state.and_then(|state| state.imported) {
        annotations.insert(CHECKED.to_owned(), Time::of(at).to_string());
    }
    let repository = spec.and_then(|spec| spec.repository.as_ref());
    let repository = repository.map(ToString::to_string).unwrap_or_default();
    let registry = policy.integrated_registry.as_ref();
    let public = registry.and_then(|registry| registry.public_address.as_ref());
    Some(api::ImageStream {
        metadata: api::ObjectMeta {
            annotations,
            creation_timestamp: created.map(Time::of),
            generation: state.map_or(0, |state| number(state.generation)),
            labels: spec.map(|spec| spec.labels.clone()).unwrap_or_default(),
            name: name.name.to_string(),
            namespace: name.namespace.to_string(),
            ..api::ObjectMeta::default()
        },
        spec: api::ImageStreamSpec {
            docker_image_repository: repository.clone(),
            lookup_policy: api::LookupPolicy { local: spec.is_some_and(|spec| spec.lookup_local) },
            tags: spec.map(|spec| spec_tags(spec, state)).unwrap_or_default(),
        },
        status: api::ImageStreamStatus {
            // Rule I3.
            docker_image_repository: registry.map_or(repository, |own| own.repository(name)),
            public_docker_image_repository: public
                .map(|public| format!("{public}/{name}"))
                .unwrap_or_default(),
            repository: state.and_then(|state| state.listing.as_deref()).and_then(listing),
            tags: state.map(status_tags).unwrap_or_default(),
        },
    })
}

/// Whether there is a stream: git asks for it, or tags of it were pushed (rule I193).
#[must_use]
pub fn has_stream(desired: &DesiredState, observed: &ObservedState, name: &StreamName) -> bool {
    // What is left of one without tags is a generation that a next life goes on from.
    let has_tags = || observed.streams.get(name).is_some_and(|state| !state.tags.is_empty());
    desired.streams.contains_key(name) || has_tags()
}

/// The same, with no more than the row of `get is` shows (rule I120).
#[must_use]
pub fn outline(
    desired: &DesiredState,
    observed: &ObservedState,
    policy: &Policy,
    name: &StreamName,
) -> Option<api::ImageStream> {
    let (spec, state) = (desired.streams.get(name), observed.streams.get(name));
    if spec.is_none() && state.is_none_or(|state| state.tags.is_empty()) {
        return None;
    }
    let repository = spec.and_then(|spec| spec.repository.as_ref());
    let repository = repository.map(ToString::to_string).unwrap_or_default();
    let registry = policy.integrated_registry.as_ref();
    let public = registry.and_then(|registry| registry.public_address.as_ref());
    let shown = state.into_iter().flat_map(|state| &state.tags).filter(|(_, tag)| is_shown(tag));
    let tags = shown.map(|(name, tag)| {
        let newest = tag.current().map(|item| Time::of(item.event.created));
        let items = newest.map(|at| api::TagEvent { created: Some(at), ..Default::default() });
        api::NamedTagEventList {
            items: items.into_iter().collect(),
            tag: name.to_string(),
            ..Default::default()
        }
    });
    Some(api::ImageStream {
        metadata: api::ObjectMeta {
            labels: spec.map(|spec| spec.labels.clone()).unwrap_or_default(),
            name: name.name.to_string(),
            namespace: name.namespace.to_string(),
            ..api::ObjectMeta::default()
        },
        status: api::ImageStreamStatus {
            docker_image_repository: registry.map_or(repository, |own| own.repository(name)),
            public_docker_image_repository: public
                .map(|public| format!("{public}/{name}"))
                .unwrap_or_default(),
            tags: tags.collect(),
            ..Default::default()
        },
        ..api::ImageStream::default()
    })
}

/// The streams that [`stream`] has something to tell of, in order.
pub fn stream_names<'a>(
    desired: &'a DesiredState,
    observed: &'a ObservedState,
) -> impl Iterator<Item = &'a StreamName> {
    let known = observed
        .streams
        .iter()
        .filter(|(name, state)| !state.tags.is_empty() && !desired.streams.contains_key(*name));
    let mut names: Vec<_> = desired.streams.keys().chain(known.map(|(name, _)| name)).collect();
    names.sort_unstable();
    names.into_iter()
}

fn number(generation: Generation) -> i64 {
    i64::try_from(generation.0).unwrap_or(i64::MAX)
}

fn spec_tags(spec: &ImageStream, state: Option<&StreamState>) -> Vec<api::TagReference> {
    let tag = |(name, tag): (&TagName, &TagReference)| {
        let known = state.and_then(|state| state.tags.get(name));
        let text = |text: &str| text.to_owned();
        api::TagReference {
            annotations: Some(tag.annotations.clone()).filter(|map| !map.is_empty()),
            from: from(tag),
            generation: Some(known.map_or(0, |known| number(known.generation))),
            import_policy: api::ImportPolicy {
                import_mode: text(match tag.mode {
                    ImportMode::Legacy => "Legacy",
                    ImportMode::PreserveOriginal => "PreserveOriginal",
                }),
                insecure: tag.insecure,
                scheduled: tag.scheduled,
            },
            name: name.to_string(),
            reference: tag.reference,
            reference_policy: api::ReferencePolicy {
                r#type: text(if tag.local { "Local" } else { "Source" }),
            },
        }
    };
    spec.tags.iter().map(tag).collect()
}

fn from(tag: &TagReference) -> Option<api::ObjectReference> {
    let made = |kind: &str, name: String| {
        let spelled = tag.spelled.as_deref();
        api::ObjectReference {
            kind: kind.to_owned(),
            name: spelled.map_or(name, |spelled| spelled.name.clone()),
            namespace: spelled.map(|spelled| spelled.namespace.clone()).unwrap_or_default(),
        }
    };
    Some(match tag.from.as_ref()? {
        TagSource::Registry(image) => made("DockerImage", image.to_string()),
        TagSource::Tag(of) => made("ImageStreamTag", format!("{}:{}", of.stream.name, of.tag)),
        TagSource::Image { stream, id } => {
            made("ImageStreamImage", format!("{}@{id}", stream.name))
        }
    })
}

/// Whether a tag stands in the status (rule I5).
fn is_shown(tag: &TagState) -> bool {
    !tag.items.is_empty() || tag.condition.is_some()
}

fn status_tags(state: &StreamState) -> Vec<api::NamedTagEventList> {
    let tag = |(name, tag): (&TagName, &TagState)| api::NamedTagEventList {
        conditions: tag.condition.iter().map(condition).collect(),
        items: tag.items.iter().map(item).collect(),
        tag: name.to_string(),
    };
    state.tags.iter().filter(|(_, tag)| is_shown(tag)).map(tag).collect()
}

/// What a listing says that the tags do not: that it failed, and what it left out.
fn listing(state: &ListingState) -> Option<api::RepositoryStatus> {
    let failure = state.failure.iter().map(|failure| api::TagEventCondition {
        generation: 0,
        last_transition_time: Some(Time::of(failure.since)),
        message: failure.message.clone(),
        reason: failure.reason.to_string(),
        status: "False".into(),
        r#type: "ImportSuccess".into(),
    });
    let additional_tags = state.left_out.iter().map(ToString::to_string).collect();
    let status = api::RepositoryStatus { additional_tags, conditions: failure.collect() };
    (status != api::RepositoryStatus::default()).then_some(status)
}

fn item(item: &TagItem) -> api::TagEvent {
    api::TagEvent {
        created: Some(Time::of(item.event.created)),
        docker_image_reference: item.event.reference.clone(),
        generation: number(item.event.generation),
        image: item.event.image.map(|image| image.to_string()).unwrap_or_default(),
    }
}

fn condition(condition: &TagCondition) -> api::TagEventCondition {
    api::TagEventCondition {
        generation: number(condition.generation),
        last_transition_time: Some(Time::of(condition.since)),
        message: condition.message.clone(),
        reason: condition.reason.to_string(),
        status: "False".into(),
        r#type: "ImportSuccess".into(),
    }
}
