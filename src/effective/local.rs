//! Tags of policy `Local`: where those who depend on them pull from (rules I180, I181).

use std::sync::Arc;

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
            Some(TagSource::Tag(_) | TagSource::Image { .. }) | None => return false,
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
