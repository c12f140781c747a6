//! Local lookup: an image string of a workload that names a stream of its namespace means the image of the tag (rules I184
//! to I186).

use crate::desired::{Container, DesiredState, Workload};
use crate::names::{Digest, StreamName, StreamTag, TagName};
use crate::observed::ObservedState;
use crate::policy::Policy;
use crate::reference::ImageReference;

use super::{image_of, pull_spec};

/// What an image string of a workload means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lookup {
    /// The tag that it names.
    pub tag: StreamTag,
    /// What is pulled.
    pub reference: String,
    /// The image; none where the tag has none yet and the repository of its stream stands for it.
    pub image: Option<Digest>,
}

/// The tag of a stream that a container's image would name, whether or not the stream is looked up.
#[must_use]
pub fn lookup_tag(workload: &Workload, container: &Container) -> Option<StreamTag> {
    let reference: ImageReference = container.image.parse().ok()?;
    let is_short = reference.registry.is_none() && reference.namespace.is_none();
    if reference.digest.is_some() || !workload.resolve_names && !is_short {
        return None;
    }
    let name = reference.name.parse().ok()?;
    let tag = match reference.tag {
        Some(tag) => tag,
        None => "latest".parse::<TagName>().ok()?,
    };
    Some(StreamName::new(workload.object.namespace.clone(), name).tag(tag))
}

/// The tag of a stream that a container's image names, if it is looked up (rules L1, L3, L4).
#[must_use]
pub fn looked_up(
    workload: &Workload,
    container: &Container,
    desired: &DesiredState,
) -> Option<StreamTag> {
    let tag = lookup_tag(workload, container)?;
    let stream = desired.streams.get(&tag.stream)?;
    (workload.resolve_names || stream.lookup_local).then_some(tag)
}

/// What a container's image means; none where it is what it says.
pub(super) fn lookup(
    workload: &Workload,
    container: &Container,
    (desired, policy): (&DesiredState, &Policy),
    observed: &ObservedState,
) -> Option<Lookup> {
    let tag = looked_up(workload, container, desired)?;
    let stream = desired.streams.get(&tag.stream)?;
    if let Some(item) = image_of(observed, &tag)
        && let Some(image) = item.event.image
    {
        let reference = pull_spec(desired, observed, policy, &tag, &item.event);
        return Some(Lookup { tag, reference, image: Some(image) });
    }
    let integrated = policy.integrated_registry.as_ref();
    let repository = match integrated {
        Some(registry) => registry.repository(&tag.stream),
        None => stream.repository.as_ref()?.to_string(),
    };
    let reference = format!("{repository}:{}", tag.tag);
    Some(Lookup { tag, reference, image: None })
}
