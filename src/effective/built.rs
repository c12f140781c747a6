//! What a build is made of, and where it goes, as far as it can be told (rules B8, B9, B28, B53).

use std::fmt;
use std::sync::Arc;

use crate::desired::{BuildConfig, BuildFrom, DesiredState, ImageStream, TagSource};
use crate::fact::{BuildCause, BuildCreated, BuildImage, BuildOptions, BuildTriggered, BuildUse};
use crate::names::{
    BuildNumber, CommitId, ContentHash, Digest, Incarnation, StreamName, StreamTag, build_name,
};
use crate::observed::ObservedState;
use crate::observed::tag_history::TagItem;
use crate::policy::Policy;
use crate::reference::ImageReference;
use crate::sabotage::{self, Bug};

use super::image::find_image;
use super::{image_of, managed_repository, pull_spec, spec_tag};

/// Everything that this looks at.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What git asks for.
    pub desired: &'a DesiredState,
    /// What the journal proves.
    pub observed: &'a ObservedState,
    /// The settings.
    pub policy: &'a Policy,
}

/// An image that a build needs cannot be told (rules B8, B9).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unresolved {
    /// A tag has no image.
    Tag {
        /// The tag.
        tag: StreamTag,
        /// Why, where the import of it failed.
        why: Option<String>,
    },
    /// A stream has no such image.
    Image {
        /// The stream.
        stream: StreamName,
        /// What it is said to be.
        id: String,
        /// Why it is not that.
        why: String,
    },
    /// A tag is in a namespace that triggers may not lead into (rule T17).
    Foreign {
        /// The tag.
        tag: StreamTag,
    },
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag { tag, why } => {
                let namespace = &tag.stream.namespace;
                write!(
                    f,
                    "Error resolving ImageStreamTag {}:{} in namespace {namespace}: unable to find latest tagged image",
                    tag.stream.name, tag.tag
                )?;
                why.iter().try_for_each(|why| write!(f, " ({why})"))
            }
            Self::Image { stream, id, why } => write!(
                f,
                "Error resolving ImageStreamImage {}@{id} in namespace {}: {why}",
                stream.name, stream.namespace
            ),
            Self::Foreign { tag } => write!(
                f,
                "{tag} is in another namespace; add `{}` to `triggers.cross_namespace`",
                tag.stream.namespace
            ),
        }
    }
}

/// The images that a build of this needs now.
///
/// # Errors
/// The first one that cannot be told.
fn images(
    known: Known<'_>,
    build: &BuildConfig,
    incremental: bool,
) -> Result<Vec<BuildImage>, Unresolved> {
    let mut images = Vec::new();
    if let Some(from) = &build.from {
        images.push(image(known, build, from, BuildUse::Strategy)?);
    }
    for (index, from) in (0..).zip(&build.images) {
        images.push(image(known, build, from, BuildUse::Source(index))?);
    }
    // Without one it is built from nothing (rule B48).
    if incremental && let Some(output) = &build.output {
        let from = BuildFrom::Tag(output.clone());
        images.extend(image(known, build, &from, BuildUse::Previous).ok());
    }
    Ok(images)
}

fn image(
    known: Known<'_>,
    build: &BuildConfig,
    from: &BuildFrom,
    used: BuildUse,
) -> Result<BuildImage, Unresolved> {
    let Known { desired, observed, policy } = known;
    match from {
        BuildFrom::Tag(tag) => {
            if !policy.cross_namespace.allows(&build.object.namespace, &tag.stream) {
                return Err(Unresolved::Foreign { tag: tag.clone() });
            }
            let Some(item) = image_of(observed, tag) else {
                let condition = observed.tag(tag).and_then(|state| state.condition.as_ref());
                let why = condition.map(|condition| condition.message.clone());
                return Err(Unresolved::Tag { tag: tag.clone(), why });
            };
            let reference = pull_spec(desired, observed, policy, tag, &item.event);
            Ok(BuildImage { used, reference, from: Some(tag.clone()), digest: item.event.image })
        }
        BuildFrom::Image { stream, id } => {
            let item = find_image(observed, stream, id).map_err(|(_, why)| Unresolved::Image {
                stream: stream.clone(),
                id: id.clone(),
                why,
            })?;
            let (reference, digest) = (item.event.reference.clone(), item.event.image);
            Ok(BuildImage { used, reference, from: None, digest })
        }
        BuildFrom::Registry(image) => {
            Ok(BuildImage { used, reference: image.to_string(), from: None, digest: image.digest })
        }
    }
}

/// What each trigger of a `BuildConfig` that is not paused sees now, with the record of its tag event.
pub fn seen<'a>(
    known: Known<'a>,
    build: &'a BuildConfig,
) -> impl Iterator<Item = (&'a StreamTag, Digest, &'a TagItem)> {
    let active = build.triggers.iter().filter(|trigger| !trigger.paused);
    let allows = move |tag: &StreamTag| {
        known.policy.cross_namespace.allows(&build.object.namespace, &tag.stream)
    };
    let active = active.filter(move |trigger| allows(&trigger.from));
    active.filter_map(move |trigger| {
        let item = image_of(known.observed, &trigger.from)?;
        Some((&trigger.from, item.event.image?, item))
    })
}

/// A build of this that is created now (rules B4, B5, B8, B9), with the manifest that its hash names.
///
/// # Errors
/// When an image that it needs cannot be told.
pub fn create(
    known: Known<'_>,
    build: &BuildConfig,
    commit: CommitId,
    (causes, options): (Vec<BuildCause>, BuildOptions),
) -> Result<(BuildCreated, Arc<[u8]>), Unresolved> {
    let Known { observed, .. } = known;
    let object = &build.object;
    let incremental = options.incremental.unwrap_or(build.incremental);
    let images = images(known, build, incremental)?;
    let triggered = seen(known, build);
    let triggered =
        triggered.map(|(from, image, _)| BuildTriggered { from: from.clone(), image }).collect();
    let life = observed.objects.get(object).map_or(Incarnation(1), |known| known.incarnation);
    let state = observed.builds.get(object);
    let last = state.map_or(BuildNumber(0), |state| match sabotage::is(Bug::ReuseBuildNumber) {
        false => state.last_number,
        true => BuildNumber(state.builds.len() as u64),
    });
    let number = last.next();
    let manifest: Arc<[u8]> = without_triggers(&build.manifest).into();
    let created = BuildCreated {
        object: object.clone(),
        incarnation: life,
        number,
        name: build_name(&object.name, number),
        policy: build.run_policy,
        causes,
        triggered,
        images,
        options,
        output: build.output.clone(),
        push: build.push.as_ref().map(ToString::to_string),
        commit,
        manifest: ContentHash::of(&manifest),
        deadline: build.deadline,
        keeps: build.keeps,
        epoch: observed.epoch,
    };
    Ok((created, manifest))
}

/// The manifest as it is kept: its triggers may have secrets, and a build does not need them.
fn without_triggers(manifest: &str) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(manifest) else {
        return Vec::new();
    };
    if let Some(spec) = value.get_mut("spec").and_then(serde_json::Value::as_object_mut) {
        spec.remove("triggers");
    }
    value.to_string().into_bytes()
}

/// Why it cannot be told where the image of a build goes (rules B28, B53).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NoOutput {
    /// Git has no such stream.
    NoStream(StreamTag),
    /// Nothing says where images of the stream are pushed.
    NoDestination(StreamTag),
    /// By its spec the tag follows something else without asking a registry: what is pushed would be put back at once.
    Follows(StreamTag),
    /// The address is no reference.
    Invalid(String),
}

impl fmt::Display for NoOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStream(tag) => write!(
                f,
                "Output image could not be resolved: git has no imagestream {}; add one, it may be empty",
                tag.stream
            ),
            Self::NoDestination(tag) => write!(
                f,
                "no push destination for imagestreamtag {}:{}: set tidegate.dev/push on the stream or configure \
                 integrated_registry",
                tag.stream.name, tag.tag
            ),
            Self::Follows(tag) => write!(
                f,
                "Output image could not be resolved: {tag} follows another image by its spec in git; push to another \
                 tag, or take its `from` out of git"
            ),
            Self::Invalid(why) => write!(f, "Output image could not be resolved: {why}"),
        }
    }
}

/// Where the image of a build goes: with a tag; none where it is not pushed.
///
/// # Errors
/// Why that cannot be told yet.
pub fn push_of(
    known: Known<'_>,
    output: Option<&StreamTag>,
    push: Option<&str>,
) -> Result<Option<ImageReference>, NoOutput> {
    let Some(tag) = output else {
        let image = push.map(|text| text.parse::<ImageReference>().map_err(|why| (text, why)));
        let image = image.transpose();
        let image = image.map_err(|(text, why)| NoOutput::Invalid(format!("`{text}`: {why}")))?;
        return Ok(image.map(|image| match image.tag {
            Some(_) => ImageReference { digest: None, ..image },
            None => ImageReference { tag: "latest".parse().ok(), digest: None, ..image },
        }));
    };
    let Some(stream) = known.desired.streams.get(&tag.stream) else {
        return Err(NoOutput::NoStream(tag.clone()));
    };
    let spec = spec_tag(known.desired, tag);
    let follows = |(_, spec): &(_, &crate::desired::TagReference)| {
        spec.reference || matches!(spec.from, Some(TagSource::Tag(_) | TagSource::Image { .. }))
    };
    if spec.as_ref().is_some_and(follows) {
        return Err(NoOutput::Follows(tag.clone()));
    }
    let repository = repository_of(stream, known.policy);
    let repository = repository.ok_or_else(|| NoOutput::NoDestination(tag.clone()))?;
    Ok(Some(ImageReference { tag: Some(tag.tag.clone()), ..repository }))
}

/// Where the builds of a stream are pushed (rule B53).
#[must_use]
pub fn repository_of(stream: &ImageStream, policy: &Policy) -> Option<ImageReference> {
    let own = stream.push.as_deref().cloned();
    own.or_else(|| managed_repository(&stream.name, policy))
}

/// Whether plain HTTP and unverified TLS are allowed for an image that is pushed.
#[must_use]
pub fn is_push_insecure(
    known: Known<'_>,
    output: Option<&StreamTag>,
    image: &ImageReference,
) -> bool {
    let stream = output.and_then(|tag| known.desired.streams.get(&tag.stream));
    let registry = image.registry.as_deref().unwrap_or_default();
    stream.is_some_and(|stream| stream.is_insecure())
        || known.policy.insecure_registries.contains(registry)
}
