//! The objects that rules speak of: git manifest, defaults, and what the system itself writes (DBT 0.4). Pure.

pub mod building;
mod built;
pub mod chain;
pub mod deployed;
mod image;
mod in_force;
mod listing;
mod local;
mod lookup;
mod overlay;
mod ring;
mod stream;
mod strict;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;

use crate::action::{Check, ImportMode};
use crate::desired::{DesiredState, ImageStream, Origin, TagReference, TagSource, Workload};
use crate::fact::{self, ContainerList, ContainerRef, ImportReason, RolloutImage};
use crate::names::{
    ContentHash, Digest, Kind, Namespace, ObjectKey, StreamName, StreamTag, TargetName,
};
use crate::observed::ObservedState;
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::observed::tag_history::TagItem;
use crate::policy::Policy;
use crate::reference::ImageReference;
use crate::time::Schedule;

pub use built::{
    Known, NoOutput, Unresolved, create, is_push_insecure, push_of, repository_of, seen,
};
pub(crate) use image::is_named;
pub use image::{
    FirstSeen, contents, find_image, first_seen, image, image_as_read, images, images_of_index,
    with_push,
};
pub use in_force::{in_force, keep_in_force, overlay};
use listing::with_derived;
pub use listing::{Listed, limit_of, listing_fingerprint, listing_of, vanished_message};
pub use local::{
    copy_of, degraded, degraded_message, is_managed, is_pushed, managed_repository, pull_spec,
    reference_here,
};
use lookup::lookup;
pub use lookup::{Lookup, looked_up, lookup_tag};
pub use overlay::{
    Wish, basis, in_git, is_own, reference_of, wish, with_overlays, with_overlays_but, written,
};
pub use ring::{build_ring, ring};
pub use stream::{has_stream, outline, stream, stream_names};

/// The spec tag of a stream tag.
#[must_use]
pub fn spec_tag<'a>(
    desired: &'a DesiredState,
    tag: &StreamTag,
) -> Option<(&'a ImageStream, &'a TagReference)> {
    let stream = desired.streams.get(&tag.stream)?;
    Some((stream, stream.tags.get(&tag.tag)?))
}

/// What to ask a registry about a tag of a stream; none if no registry is asked (rule I39).
#[must_use]
pub fn check_of(stream: &ImageStream, spec: &TagReference, policy: &Policy) -> Option<Check> {
    let Some(TagSource::Registry(image)) = &spec.from else { return None };
    if spec.reference || spec.origin == Origin::Vanished {
        return None;
    }
    let insecure = spec.insecure
        || stream.is_insecure()
        || policy.insecure_registries.contains(image.registry.as_deref().unwrap_or(""));
    // One check for all that name the same image, however each spells it (rule I111, item 5).
    let one = image.one_spelling(policy.short_names_are_hub);
    Some(Check {
        image: one.map_or_else(|| Arc::clone(image), Arc::new),
        insecure,
        mode: spec.mode,
        platform: spec.platform.clone(),
        copy_to: local::copy_to(stream, spec, policy),
        namespace: policy.asks_for(&stream.name.namespace),
    })
}

/// What to do about an import of a tag that failed (rule I73 has no words for it).
#[must_use]
pub fn advice(
    desired: &DesiredState,
    tag: &StreamTag,
    reason: ImportReason,
    message: &str,
) -> Option<String> {
    let from = spec_tag(desired, tag).and_then(|(_, spec)| spec.from.as_ref());
    let image = match from {
        Some(TagSource::Registry(image)) => Some(&**image),
        Some(_) | None => None,
    };
    fact::advice(reason, message, image)
}

/// What to do about a listing of the repository of a stream that failed.
#[must_use]
pub fn advice_on_listing(
    desired: &DesiredState,
    stream: &StreamName,
    reason: ImportReason,
    message: &str,
) -> Option<String> {
    let repository = desired.streams.get(stream).and_then(|stream| stream.repository.as_ref());
    fact::advice(reason, message, repository)
}

/// A short number that tells one check from another (rule I197, item 5); never 0.
///
/// Whose logins are used does not count: what a reference is does not depend on who asks, so that a new login has nothing
/// imported again, and who may not read the logins computes the same.
#[must_use]
pub fn fingerprint(check: &Check) -> u32 {
    let mode = match check.mode {
        ImportMode::Legacy => "legacy",
        ImportMode::PreserveOriginal => "preserve",
    };
    let mut hash = Fnv(0x811c_9dc5);
    // Writing into a number cannot fail.
    let _ = write!(hash, "{} {} {mode} {}", check.image, check.insecure, check.platform);
    if let Some(copy) = &check.copy_to {
        let _ = write!(hash, " {copy}");
    }
    hash.0.max(1)
}

/// A short number that tells that an image was copied into a repository; never 0.
fn copy_fingerprint(repository: &ImageReference, image: &Digest) -> u32 {
    let mut hash = Fnv(0x811c_9dc5);
    // Writing into a number cannot fail.
    let _ = write!(hash, "copied {}", repository.with_digest(image));
    hash.0.max(1)
}

/// FNV-1a, 32 bits: this is asked for in every plan of a check.
struct Fnv(u32);

impl std::fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        }
        Ok(())
    }
}

/// The schedule of a tag; none if it is not re-imported by itself (rules I103, I111).
#[must_use]
pub fn schedule_of(stream: &ImageStream, spec: &TagReference, policy: &Policy) -> Option<Schedule> {
    if !spec.scheduled || !policy.scheduled_imports {
        return None;
    }
    let own = spec.schedule.as_ref().or(stream.schedule.as_ref()).cloned();
    Some(own.unwrap_or(Schedule::Every(crate::time::Span(policy.import_interval))))
}

/// The image of a tag for those who depend on it: item 0, whatever is pending or failing (rules I37, T9).
#[must_use]
pub fn image_of<'a>(observed: &'a ObservedState, tag: &StreamTag) -> Option<&'a TagItem> {
    observed.tag(tag)?.current()
}

/// Which target serves a workload.
#[must_use]
pub fn target_of(workload: &Workload, policy: &Policy) -> TargetName {
    let routes = &policy.routes;
    let by_object = || routes.objects.get(&workload.object);
    let by_namespace = || routes.namespaces.get(&workload.object.namespace);
    let named = workload.target.as_ref().or_else(by_object).or_else(by_namespace);
    named.or(routes.default.as_ref()).cloned().unwrap_or_else(no_target)
}

/// The built-in target that only records.
#[must_use]
#[expect(clippy::expect_used, reason = "a constant text, parsed by a test")]
pub fn no_target() -> TargetName {
    "none".parse().expect("`none` is a target name")
}

/// Whether nothing of a workload is rolled out by itself: git or an operator paused it (rules D25, D46).
#[must_use]
pub fn is_paused(workload: &Workload, observed: &ObservedState) -> bool {
    let state = observed.workloads.get(&workload.object);
    let by_operator = observed.paused.is_some() || state.is_some_and(|s| s.paused.is_some());
    workload.paused || by_operator
}

/// Who wants to know what a workload should run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asked {
    /// Triggers: those that are not automatic keep what they have (rule D28).
    ByTriggers,
    /// An operator: every tag is resolved (rule D41).
    ByOperator,
}

/// What a workload should run, as far as it can be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// Its images, ordered by container.
    pub images: Vec<RolloutImage>,
    /// The digests that automatic triggers set, by container.
    pub triggered: BTreeMap<ContainerRef, Digest>,
    /// Hash of the template without the triggered images.
    pub template: ContentHash,
}

impl Wanted {
    /// The set of digests, as holds name it (rule T25).
    #[must_use]
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.images.iter().filter_map(|image| image.digest).collect()
    }

    /// Whether a trigger sets another image than the rollout has (rules D19, D21a, T18: by digest).
    #[must_use]
    pub fn images_differ(&self, rollout: &Rollout) -> bool {
        let has = |container: &ContainerRef, digest: Digest| {
            let image = rollout.started.images.iter().find(|image| image.container == *container);
            image.is_some_and(|image| image.digest == Some(digest))
        };
        !self.triggered.iter().all(|(container, digest)| has(container, *digest))
    }

    /// Whether the rollout has another template.
    #[must_use]
    pub fn template_differs(&self, rollout: &Rollout) -> bool {
        self.template != rollout.started.template
    }
}

/// Why it cannot be told yet what a workload should run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// A tag has no image.
    Image {
        /// The tag.
        tag: StreamTag,
    },
    /// A tag has no digest because it is `reference: true` (rule T33).
    Reference {
        /// The tag.
        tag: StreamTag,
    },
    /// A trigger with `automatic: false` was never resolved by hand (rule D18).
    Manual {
        /// The tag.
        tag: StreamTag,
    },
    /// A tag is in a namespace that triggers may not lead into (rule T17).
    Foreign {
        /// The tag.
        tag: StreamTag,
    },
    /// A container has no image and no trigger that sets one (rule D14, item 6).
    Blank {
        /// The container.
        container: ContainerRef,
    },
}

/// Whether git names an image of a registry for a container, and no placeholder.
fn names_an_image(workload: &Workload, container: &ContainerRef) -> bool {
    let mut all = workload.containers.iter();
    let image = all.find(|known| known.container == *container).map(|known| known.image.as_str());
    let reference = image.and_then(|image| image.parse::<ImageReference>().ok());
    reference.is_some_and(|reference| reference.registry.is_some())
}

/// Computes what a workload should run (rules D18, D27, D33, T6).
///
/// # Errors
/// The first thing that is missing, in the order in which triggers and containers are written.
pub fn wanted(
    workload: &Workload,
    (desired, policy): (&DesiredState, &Policy),
    observed: &ObservedState,
    asked: Asked,
) -> Result<Wanted, Waiting> {
    let mut set: BTreeMap<&ContainerRef, (String, Digest)> = BTreeMap::new();
    let mut by_hand = BTreeSet::new();
    let state = observed.workloads.get(&workload.object);
    let has_seen = |tag: &StreamTag| state.is_some_and(|state| state.seen.contains_key(tag));
    let is_dc = workload.object.kind == Kind::DeploymentConfig;
    let was_rolled_out = state.is_some_and(|state| state.last().is_some());
    for trigger in &workload.triggers {
        let tag = trigger.from.clone();
        let inert = !trigger.automatic && !is_dc;
        if !trigger.automatic && (inert || asked == Asked::ByTriggers) {
            // An annotation entry that is paused is inert (rule T6); a trigger of a DeploymentConfig waits (D18).
            if !inert && !has_seen(&tag) && !was_rolled_out {
                return Err(Waiting::Manual { tag }); // later it is passed over (rule D28)
            }
            for container in trigger.containers.iter().filter(|_| !inert) {
                let Some(image) = image_by_hand(state, workload, container) else { continue };
                set.insert(container, image);
                by_hand.insert(container);
            }
            continue;
        }
        if !policy.cross_namespace.allows(&workload.object.namespace, &tag.stream) {
            return Err(Waiting::Foreign { tag });
        }
        if !trigger.automatic {
            by_hand.extend(&trigger.containers);
        }
        // The last trigger in the list wins (rule D30).
        match image_of(observed, &tag).map(|item| (&item.event, item.event.image)) {
            Some((event, Some(image))) => {
                let image = (pull_spec(desired, observed, policy, &tag, event), image);
                set.extend(trigger.containers.iter().map(|container| (container, image.clone())));
            }
            Some((_, None)) => return Err(Waiting::Reference { tag }),
            None => {
                // Also where it sets no image: it is all of the triggers or nothing (rules D18, D27, D29).
                if is_dc && !has_seen(&tag) {
                    return Err(Waiting::Image { tag });
                }
                for container in &trigger.containers {
                    match state.and_then(|state| last_image(state, &tag, container)) {
                        Some(image) => drop(set.insert(container, image)),
                        // It is passed over where git names an image itself (rule T7). The first rollout waits: an import
                        // that comes a little later would restart everything (rule D33).
                        None if was_rolled_out && names_an_image(workload, container) => {}
                        None => return Err(Waiting::Image { tag }),
                    }
                }
            }
        }
    }
    let mut images = Vec::with_capacity(workload.containers.len());
    let mut triggered = BTreeMap::new();
    for container in &workload.containers {
        let set = set.get(&container.container);
        let look = || lookup(workload, container, (desired, policy), observed);
        let found = if set.is_some() { None } else { look() };
        let (reference, digest, lookup) = match (set, found) {
            (Some((reference, digest)), _) => (reference.clone(), Some(*digest), None),
            (None, Some(found)) => (found.reference, found.image, Some(found.tag)),
            (None, None) => (container.image.clone(), pinned(&container.image), None),
        };
        if reference.trim().is_empty() {
            return Err(Waiting::Blank { container: container.container.clone() });
        }
        let by_hand = by_hand.contains(&container.container);
        if let Some((_, digest)) = set.filter(|_| !by_hand) {
            triggered.insert(container.container.clone(), *digest);
        }
        let written = by_hand.then(|| container.image.clone());
        let container = container.container.clone();
        images.push(RolloutImage { container, reference, digest, previous: None, lookup, written });
    }
    images.sort_by(|a, b| a.container.cmp(&b.container));
    Ok(Wanted { images, triggered, template: template(workload, desired) })
}

/// The hash of a template: with the content of its `ConfigMap`s and `Secret`s, where that counts (rule R17).
fn template(workload: &Workload, desired: &DesiredState) -> ContentHash {
    if workload.hashed.is_empty() {
        return workload.template;
    }
    let known = desired.configs.get(&workload.object.namespace);
    let mut all = workload.template.to_string();
    for name in &workload.hashed {
        let version = known.and_then(|known| known.get(name)).map(|known| known.version.as_str());
        // Writing into a text cannot fail.
        let _ = write!(all, " {name}={}", version.unwrap_or_default());
    }
    ContentHash::of(all.as_bytes())
}

/// The image that an order gave to a container whose trigger is not automatic, if git says of it what it said then: an
/// image that is changed by hand is a changed template (rules D21b, D41).
fn image_by_hand(
    state: Option<&WorkloadState>,
    workload: &Workload,
    container: &ContainerRef,
) -> Option<(String, Digest)> {
    let written = workload.containers.iter().find(|known| known.container == *container)?;
    let mut images = state?.life().rev().flat_map(|rollout| &rollout.started.images);
    let last = images.find(|image| image.container == *container)?;
    let same = last.written.as_ref() == Some(&written.image);
    Some((last.reference.clone(), last.digest.filter(|_| same)?))
}

/// The image that a trigger on a tag set last, for a tag that has no image any more (rules D27, T8b).
fn last_image(
    state: &WorkloadState,
    tag: &StreamTag,
    container: &ContainerRef,
) -> Option<(String, Digest)> {
    let seen = state.seen.get(tag)?.image;
    let images = state.life().rev().flat_map(|rollout| &rollout.started.images);
    let mut known = images.filter(|image| image.container == *container);
    let image = known.find(|image| image.digest == Some(seen))?;
    Some((image.reference.clone(), seen))
}

/// The digest that a reference written in a manifest pins.
fn pinned(image: &str) -> Option<Digest> {
    image.rsplit_once('@')?.1.parse().ok()
}

/// The manifest as it is rolled out: the images that triggers set put in (rule D32).
///
/// Keys stay sorted, so the same object and images give the same bytes (rule R7).
#[must_use]
pub fn render(workload: &Workload, images: &[RolloutImage]) -> Vec<u8> {
    let Ok(mut manifest) = serde_json::from_str::<Value>(&workload.manifest) else {
        // `desired` made this text from a value; it is JSON. Nothing is lost by handing it on as it is.
        return workload.manifest.as_bytes().to_vec();
    };
    if let Some(pod) = pod_spec(&mut manifest, workload.object.kind) {
        for image in images {
            let list = match image.container.list {
                ContainerList::Init => "initContainers",
                ContainerList::Regular => "containers",
            };
            let containers = pod.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                let same = container.get("name").and_then(Value::as_str);
                if same == Some(image.container.name.as_str())
                    && let Some(fields) = container.as_object_mut()
                {
                    fields.insert("image".into(), Value::String(image.reference.clone()));
                }
            }
        }
    }
    manifest.to_string().into_bytes()
}

fn pod_spec(manifest: &mut Value, kind: Kind) -> Option<&mut Value> {
    let path = match kind {
        Kind::CronJob => "/spec/jobTemplate/spec/template/spec",
        Kind::Pod => "/spec",
        Kind::DeploymentConfig
        | Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::ImageStream
        | Kind::BuildConfig => "/spec/template/spec",
    };
    manifest.pointer_mut(path)
}

/// How many of the objects each namespace has.
#[must_use]
pub fn count_by_namespace<'a>(
    objects: impl Iterator<Item = &'a ObjectKey>,
) -> BTreeMap<Namespace, usize> {
    let mut counts = BTreeMap::new();
    for object in objects {
        *counts.entry(object.namespace.clone()).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_built_in_target_has_a_valid_name() {
        assert_eq!(super::no_target().as_str(), "none");
    }
}
