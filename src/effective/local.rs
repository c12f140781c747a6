//! Tags of policy `Local`: where those who depend on them pull from (rules I180, I181).

use std::sync::Arc;

use crate::action::{Check, ImportMode};
use crate::api::view;
use crate::desired::{DesiredState, ImageStream, TagReference, TagSource};
use crate::fact::{StoredManifest, TagEvent};
use crate::names::{Digest, StreamName, StreamTag};
use crate::observed::ObservedState;
use crate::policy::{Policy, RegistryMode};
use crate::reference::ImageReference;

use super::spec_tag;

/// Aliases of one stream that follow each other; more are a ring.
const ALIASES_MAX: usize = 64;

/// The pull spec that dependents get for an event of a tag (rule I180).
///
/// Without an integrated registry, that is where the event says the image is (rule I181).
#[must_use]
pub fn pull_spec(
    desired: &DesiredState,
    observed: &ObservedState,
    policy: &Policy,
    tag: &StreamTag,
    event: &TagEvent,
) -> String {
    let registry = policy.integrated_registry.as_ref().filter(|registry| match registry.mode {
        RegistryMode::PullThrough => spec_tag(desired, tag).is_some_and(|(_, spec)| spec.local),
        RegistryMode::Managed => is_copied((desired, policy), observed, tag, event.image.as_ref()),
    });
    let repository = registry.map(|registry| registry.repository(&tag.stream)).unwrap_or_default();
    view::resolved(&repository, event.image.as_ref(), &event.reference)
}

/// Whether the image of a tag of policy `Local` is in the managed registry.
///
/// The answer that the tag has says so: it is to a check that copies. Until there is one, as where the policy is new,
/// dependents pull from the source. An alias inside the stream has the same repository as what it follows.
fn is_copied(
    (desired, policy): (&DesiredState, &Policy),
    observed: &ObservedState,
    tag: &StreamTag,
    image: Option<&Digest>,
) -> bool {
    if !spec_tag(desired, tag).is_some_and(|(_, spec)| spec.local) {
        return false;
    }
    let mut at = tag;
    for _ in 0..ALIASES_MAX {
        let Some((stream, spec)) = spec_tag(desired, at) else { return false };
        let Some(state) = observed.tag(at) else { return false };
        match &spec.from {
            Some(TagSource::Tag(source)) if source.stream == tag.stream => at = source,
            Some(TagSource::Registry(_)) => {
                let check = super::check_of(stream, spec, policy);
                return check.is_some_and(|check| {
                    check.copy_to.is_some()
                        && state.asked == super::fingerprint(&check)
                        && !state.pushed
                        && state.image().as_ref() == image
                });
            }
            Some(TagSource::Tag(_) | TagSource::Image { .. }) => {
                let repository = managed_repository(&tag.stream, policy);
                return repository.zip(image).is_some_and(|(repository, image)| {
                    state.asked == super::copy_fingerprint(&repository, image)
                        && state.image().as_ref() == Some(image)
                });
            }
            None => return false,
        }
    }
    false
}

/// Where a stream's images are in the managed registry; none where there is none.
#[must_use]
pub fn managed_repository(stream: &StreamName, policy: &Policy) -> Option<ImageReference> {
    let registry = policy.integrated_registry.as_ref();
    let registry = registry.filter(|registry| registry.mode == RegistryMode::Managed)?;
    registry.repository(stream).parse().ok()
}

/// Whether a manifest is in the registry that is managed now.
#[must_use]
pub fn is_managed(policy: &Policy, manifest: &StoredManifest) -> bool {
    let registry = policy.integrated_registry.as_ref();
    registry.is_some_and(|registry| {
        registry.mode == RegistryMode::Managed
            && manifest.repository.registry.as_deref() == Some(registry.address.as_str())
    })
}

/// Whether an image was pushed to the managed registry, by where it was seen first (rules I160, I189).
#[must_use]
pub fn is_pushed(policy: &Policy, reference: &str) -> bool {
    let registry = policy.integrated_registry.as_ref();
    let managed = registry.filter(|registry| registry.mode == RegistryMode::Managed);
    let host = reference.parse::<ImageReference>().ok().and_then(|image| image.registry);
    managed.is_some_and(|registry| host.as_deref() == Some(registry.address.as_str()))
}

/// The repository that an import of a tag copies its image into (rule I181).
pub(super) fn copy_to(
    stream: &ImageStream,
    spec: &TagReference,
    policy: &Policy,
) -> Option<Arc<ImageReference>> {
    let Some(TagSource::Registry(source)) = spec.from.as_ref().filter(|_| spec.local) else {
        return None;
    };
    let repository = managed_repository(&stream.name, policy)?;
    // What is there already is not copied onto itself.
    let is_there = source.repository_as_spelled() == repository.repository_as_spelled();
    (!is_there).then(|| Arc::new(repository))
}

/// What is copied for a tag that follows another stream, and the number that tells once it is there.
///
/// That is where dependents are to pull from its own repository: by its policy (rule I181), or because it would name
/// the repository of the other stream, which is in the same registry (rule I80). Without a managed registry, none.
#[must_use]
pub fn copy_of(
    desired: &DesiredState,
    policy: &Policy,
    tag: &StreamTag,
    from: &TagEvent,
) -> Option<(Check, u32)> {
    let (stream, spec) = spec_tag(desired, tag).filter(|(_, spec)| !spec.reference)?;
    let other = other_stream(spec, tag)?;
    let own = managed_repository(&tag.stream, policy)?;
    let image = from.image?;
    let source: ImageReference = from.reference.parse().ok()?;
    let is = |repository: &ImageReference| {
        source.repository_as_spelled() == repository.repository_as_spelled()
    };
    let wants = spec.local || managed_repository(other, policy).is_some_and(|theirs| is(&theirs));
    if !wants || is(&own) {
        return None;
    }
    let theirs = desired.streams.get(other);
    let host = source.registry.as_deref().unwrap_or_default();
    let insecure = spec.insecure
        || stream.is_insecure()
        || theirs.is_some_and(|stream| stream.is_insecure())
        || policy.insecure_registries.contains(host);
    let fingerprint = super::copy_fingerprint(&own, &image);
    let check = Check {
        image: Arc::new(source),
        insecure,
        // The image is the one with that digest, also where it is an index.
        mode: ImportMode::PreserveOriginal,
        platform: policy.platform.clone(),
        copy_to: Some(Arc::new(own)),
        namespace: policy.asks_for(&tag.stream.namespace),
    };
    Some((check, fingerprint))
}

/// The reference that a tag takes over with the image of another: as it is, or where it was copied to (rule I80).
///
/// A tag whose source is imported keeps the reference of the source, also with policy `Local` (rule I182).
#[must_use]
pub fn reference_here(
    desired: &DesiredState,
    policy: &Policy,
    tag: &StreamTag,
    from: &TagEvent,
    asked: u32,
) -> String {
    let copy = copy_of(desired, policy, tag, from).filter(|(_, fingerprint)| *fingerprint == asked);
    let own =
        copy.filter(|_| is_pushed(policy, &from.reference)).and_then(|(copy, _)| copy.copy_to);
    match own.zip(from.image) {
        Some((own, image)) => own.with_digest(&image),
        None => from.reference.clone(),
    }
}

/// The stream whose tag or image a tag follows, where that is another.
fn other_stream<'a>(spec: &'a TagReference, tag: &StreamTag) -> Option<&'a StreamName> {
    let stream = match spec.from.as_ref()? {
        TagSource::Registry(_) => return None,
        TagSource::Tag(source) => &source.stream,
        TagSource::Image { stream, .. } => stream,
    };
    (*stream != tag.stream).then_some(stream)
}

/// Tags that ask for policy `Local` where there is no integrated registry (rule I181).
pub fn degraded<'a>(
    desired: &'a DesiredState,
    policy: &'a Policy,
) -> impl Iterator<Item = StreamTag> + 'a {
    let streams = desired.streams.values().filter(|_| policy.integrated_registry.is_none());
    streams.flat_map(|stream| {
        let local = stream.tags.iter().filter(|(_, spec)| spec.local);
        local.map(|(tag, _)| stream.name.tag(tag.clone()))
    })
}

/// What is said of such a tag.
#[must_use]
pub fn degraded_message(tag: &StreamTag) -> String {
    format!("{tag} asks for referencePolicy Local, but no integrated registry is configured")
}
