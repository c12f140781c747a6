//! Hints that something moved in a registry: whatever comes from there is looked at again (law 5).
//!
//! What a hint tells of the image itself is not believed. A tag is looked at as a nudge has it, with the pauses of its
//! stream and its registry; in the managed registry a tag without a source in git becomes what the registry has under
//! it, as by `notify-push` (rules I193, I198).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::action::{Check, ImportMode, Input, Nudge, Platform};
use crate::names::{StreamName, StreamTag};
use crate::policy::RegistryMode;
use crate::reference::ImageReference;
use crate::time::Now;

use super::pushes::Moved;
use super::{Answer, Batch, Engine};

/// Names that an answer gives before it only counts.
const NAMED_MAX: usize = 5;

impl Engine {
    /// Takes a hint. Without an answer it is given when the managed registry was asked.
    pub(super) fn hinted(
        &mut self,
        id: u64,
        image: &ImageReference,
        now: Now,
        batch: &mut Batch,
    ) -> Option<Answer> {
        let named = self.tags_from(image);
        let mut lists = self.lists_from(image);
        let pushed = self.pushed_tag(image).filter(|(tag, _)| !named.contains(tag));
        let (there, tags): (Vec<_>, Vec<_>) =
            named.into_iter().partition(|tag| self.is_there(tag, image));
        if let Some(tag) = &image.tag {
            lists.retain(|stream| !self.is_there(&stream.tag(tag.clone()), image));
        }
        let pushed_there = pushed.iter().filter(|(tag, _)| self.is_there(tag, image));
        let there: Vec<_> = there.iter().chain(pushed_there.map(|(tag, _)| tag)).collect();
        let there: Vec<_> = there.into_iter().map(ToString::to_string).collect();
        let pushed = pushed.filter(|(tag, _)| !self.is_there(tag, image));
        let nudges = tags.iter().cloned().map(Nudge::Tag);
        for nudge in nudges.chain(lists.iter().cloned().map(Nudge::Repository)) {
            self.absorb(Input::Nudged(nudge), now, batch);
        }
        let names = tags.iter().map(ToString::to_string);
        let names: Vec<_> = names.chain(lists.iter().map(|s| format!("all of {s}"))).collect();
        let looks =
            (!names.is_empty()).then(|| Answer::Looking(format!("looks at {}", few(&names))));
        let told = image.digest;
        match (pushed.map(|(tag, image)| self.moved_in_managed(id, tag, image, told)), looks) {
            (Some(Ok(Moved::Asks)), _) => None,
            (Some(Err(_)) | None, Some(looks)) => Some(looks),
            (Some(Ok(Moved::IsAsked)), _) => {
                Some(Answer::Looking("the registry is about to be asked for it".into()))
            }
            (Some(Err(why)), None) => Some(Answer::Refused(why)),
            (None, None) if !there.is_empty() => {
                Some(Answer::Nothing(format!("{} has that image", few(&there))))
            }
            (None, None) => Some(Answer::Nothing(format!("no tag is imported from {image}"))),
        }
    }

    /// Whether a tag has the image that is told: there is nothing to look for.
    fn is_there(&self, tag: &StreamTag, told: &ImageReference) -> bool {
        let Some(digest) = told.digest else { return false };
        let Some(state) = self.observed.tag(tag).filter(|state| state.condition.is_none()) else {
            return false;
        };
        match state.probed {
            // What the registry answered may be an index, and the image one of it.
            Some(probed) if !state.pushed => probed == digest,
            Some(_) | None => state.image() == Some(digest),
        }
    }

    /// The tags that are imported from what is named, however it is spelled.
    fn tags_from(&self, image: &ImageReference) -> BTreeSet<StreamTag> {
        let mut tags = BTreeSet::new();
        for repository in image.spellings() {
            let first = first_check_of(&repository);
            let checks = self.index.checks.range::<Check, _>(first..);
            let of_it = checks.take_while(|(check, _)| is_of(&check.image, &repository));
            let named = of_it.filter(|(check, _)| {
                // What a digest names does not move.
                let tag = check.image.tag.as_ref().map_or("latest", |tag| tag.as_str());
                check.image.digest.is_none()
                    && image.tag.as_ref().is_none_or(|named| named.as_str() == tag)
            });
            tags.extend(named.flat_map(|(_, tags)| tags).cloned());
        }
        tags
    }

    /// The streams that import the whole repository.
    fn lists_from(&self, image: &ImageReference) -> Vec<StreamName> {
        let contacted = image.repository_contacted();
        let streams = self.desired.streams.values();
        let imports = streams.filter(|stream| {
            stream.repository.as_ref().is_some_and(|repository| {
                repository.name == image.name && repository.repository_contacted() == contacted
            })
        });
        imports.map(|stream| stream.name.clone()).collect()
    }

    /// The stream tag that what is named is by its place in the managed registry, and its own name there.
    fn pushed_tag(&self, image: &ImageReference) -> Option<(StreamTag, ImageReference)> {
        let registry = self.policy.integrated_registry.as_ref();
        let registry = registry.filter(|registry| registry.mode == RegistryMode::Managed)?;
        let host = image.registry.as_ref()?;
        if *host != registry.address && Some(host) != registry.public_address.as_ref() {
            return None;
        }
        let stream: StreamName = image.repository_name().parse().ok()?;
        let tag = image.tag.clone()?;
        let own: ImageReference = registry.repository(&stream).parse().ok()?;
        Some((stream.tag(tag.clone()), ImageReference { tag: Some(tag), ..own }))
    }
}

/// What stands before every check of a repository: checks are in the order of their images first.
fn first_check_of(repository: &ImageReference) -> Check {
    Check {
        image: Arc::new(repository.clone()),
        insecure: false,
        mode: ImportMode::Legacy,
        platform: Platform { os: String::new(), architecture: String::new() },
        copy_to: None,
        namespace: None,
    }
}

fn is_of(image: &ImageReference, repository: &ImageReference) -> bool {
    (&image.registry, &image.namespace, &image.name)
        == (&repository.registry, &repository.namespace, &repository.name)
}

/// Some names, and how many more.
fn few(names: &[String]) -> String {
    let named = names.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED_MAX) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
