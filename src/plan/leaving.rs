//! Which tags go with their history: those that left git, and those that left their repository, once nothing refers to
//! them (rules I93, I196).

use crate::effective;
use crate::fact::{Fact, TagRemoval, TagRemoved};
use crate::names::{ObjectKey, StreamTag};
use crate::observed::tag_history::TagState;

use super::history::{pins, running};
use super::{Held, HeldReason, Key, Plan, Step, View, listing};
use crate::effective::is_named;

/// Plans the removal of one tag; `None` where it stays because it is wanted.
pub(super) fn plan(view: &View<'_>, tag: &StreamTag) -> Option<Plan> {
    let state = view.observed.tag(tag)?;
    let stream = view.desired.streams.get(&tag.stream)?;
    let removed = |because| {
        let fact = Fact::TagRemoved(TagRemoved { tag: tag.clone(), because });
        Some(Plan::step(Step::Record(Box::new(fact))))
    };
    if effective::spec_tag(view.desired, tag).is_none() {
        if !state.left {
            return None; // it was pushed: there never was a spec tag
        }
        if stream.prune_removed_tags {
            return removed(TagRemoval::RemovedTags);
        }
        let referred = referrers(view, tag).next().is_some() || pinned(view, tag, state).is_some();
        return if referred { None } else { removed(TagRemoval::Unreferenced) };
    }
    if !listing::removable(view, &tag.stream).contains(&tag.tag) {
        return None;
    }
    match user(view, tag, state) {
        None => removed(TagRemoval::VanishedTags),
        Some(user) => {
            let reason = HeldReason::VanishedInUse { tag: tag.clone(), user };
            let object = ObjectKey::stream(&tag.stream);
            Some(Plan::held(Held { object, reason, until: None }))
        }
    }
}

/// Who refers to a tag by its name: aliases, triggers, inputs of builds (rule I93).
fn referrers<'a>(view: &'a View<'_>, tag: &'a StreamTag) -> impl Iterator<Item = String> + 'a {
    let followers = view.index.tag_followers.get(tag).into_iter().flatten();
    followers.filter_map(|key| match key {
        Key::Tag(tag) => Some(format!("tag {tag}")),
        Key::Workload(object) | Key::Build(object) => Some(object.to_string()),
        Key::Source | Key::Check(_) | Key::History(_) | Key::Listing(_) | Key::Manifest(_) => None,
    })
}

/// Who uses a tag: by its name, or one of its images (rules I156, I196).
fn user(view: &View<'_>, tag: &StreamTag, state: &TagState) -> Option<String> {
    if let Some(user) = referrers(view, tag).next() {
        return Some(user);
    }
    let images = || state.items.iter().filter_map(|item| item.event.image);
    let runs = running(view, tag);
    if let Some(image) = images().find(|image| runs.contains(image)) {
        return Some(format!("a rollout of {image}"));
    }
    pinned(view, tag, state).map(|id| format!("a pin of {id}"))
}

/// A pin of one of the images of a tag.
fn pinned<'a>(view: &View<'a>, tag: &StreamTag, state: &TagState) -> Option<&'a str> {
    let images = || state.items.iter().filter_map(|item| item.event.image);
    pins(view, tag).into_iter().find(|id| images().any(|image| is_named(&image, id)))
}
