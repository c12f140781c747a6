//! Who depends on what, kept as commits come: only objects that changed are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::Check;
use crate::desired::{BuildConfig, BuildFrom, Container, ImageStream, Object, TagSource, Workload};
use crate::effective;
use crate::fact::{Fact, StreamChanged};
use crate::names::{StreamName, StreamTag};
use crate::observed::rollout::object_of;
use crate::plan::{Few, Index, Key};

use super::Engine;

/// Whether an object's links are put into the index or taken out of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Add,
    Remove,
}

impl Engine {
    /// Makes the index anew.
    pub(super) fn reindex(&mut self) {
        effective::overlay(&mut self.desired, &self.observed, &self.policy);
        self.index = Index { checks: self.checks(), left: self.left(), ..Index::default() };
        for stream in self.desired.streams.values().cloned().collect::<Vec<_>>() {
            self.link_followers(&stream, Link::Add);
        }
        for workload in self.desired.workloads.values().cloned().collect::<Vec<_>>() {
            self.link_workload(&workload, Link::Add);
        }
        for build in self.desired.builds.values().cloned().collect::<Vec<_>>() {
            self.link_build(&build, Link::Add);
        }
        let index = &self.index;
        self.soft.checks.retain(|check, soft| soft.in_flight || index.checks.contains_key(check));
    }

    /// Brings what the journal puts over one stream up to date, and marks the tags that changed.
    pub(super) fn take_overlays(&mut self, name: &StreamName) {
        let Some(before) = self.desired.streams.get(name).cloned() else { return };
        let state = self.observed.streams.get(name);
        let after = effective::with_overlays(&before, state, &self.policy);
        if Arc::ptr_eq(&before, &after) {
            return;
        }
        let only_in = |a: &ImageStream, b: &ImageStream| {
            let differs = a.tags.iter().filter(|(tag, spec)| b.tags.get(*tag) != Some(spec));
            let tags = differs.map(|(tag, spec)| (tag.clone(), spec.clone())).collect();
            Object::Stream(Arc::new(ImageStream { tags, ..a.clone() }))
        };
        let (gone, new) = (only_in(&before, &after), only_in(&after, &before));
        self.mark_object(&gone);
        self.link(&gone, Link::Remove);
        self.desired.streams.insert(name.clone(), after);
        self.link(&new, Link::Add);
        self.mark_object(&new);
        self.forget_checks_of(&gone);
    }

    /// Tags that left git or their repository and still have a history.
    fn left(&self) -> BTreeSet<StreamTag> {
        let mut left = BTreeSet::new();
        for (name, state) in &self.observed.streams {
            let tags = state.tags.iter().filter(|(_, tag)| tag.left).map(|(tag, _)| tag);
            left.extend(tags.map(|tag| name.tag(tag.clone())));
            let derived = state.listing.iter().flat_map(|listing| &listing.derived);
            let missing = derived.filter(|(_, missing)| missing.is_some()).map(|(tag, _)| tag);
            left.extend(missing.map(|tag| name.tag(tag.clone())));
        }
        left
    }

    /// Keeps the list of tags that left, as a fact says.
    pub(super) fn note_left(&mut self, fact: &Fact) {
        let left = &mut self.index.left;
        if let Fact::CommitAdopted(adopted) = fact {
            adopted.streams.iter().for_each(|changed| note_changed(left, changed));
        }
        if let Fact::OverlaySet(set) = fact {
            set.changed.iter().for_each(|changed| note_changed(left, changed));
        }
        if let Fact::TagsListed(listed) = fact {
            left.extend(listed.vanished.iter().map(|gone| listed.stream.tag(gone.tag.clone())));
            for tag in &listed.tags {
                left.remove(&listed.stream.tag(tag.clone()));
            }
        }
        if let Fact::TagRemoved(removed) = fact {
            left.remove(&removed.tag);
        }
        if let Fact::TagImported(imported) = fact
            && imported.via.is_push()
            && effective::spec_tag(&self.desired, &imported.tag).is_none()
        {
            left.remove(&imported.tag);
        }
    }

    /// Marks the tags that left: something may have ended that kept them.
    pub(super) fn mark_left(&mut self) {
        self.dirty.extend(self.index.left.iter().cloned().map(Key::History));
    }

    /// Forgets what is known of checks of a stream as it was, if no tag asks for them any more.
    pub(super) fn forget_checks_of(&mut self, object: &Object) {
        let Object::Stream(stream) = object else { return };
        let lists = self.desired.streams.get(&stream.name).is_some_and(|s| s.repository.is_some());
        if !lists && self.soft.listings.get(&stream.name).is_some_and(|soft| !soft.in_flight) {
            self.soft.listings.remove(&stream.name);
        }
        for (name, spec) in &stream.tags {
            if let Some(check) = effective::check_of(stream, spec, &self.policy) {
                self.forget_check(&check);
            }
            let tag = stream.name.tag(name.clone());
            if self.soft.copies.get(&tag).is_some_and(|soft| soft.in_flight.is_none()) {
                self.soft.copies.remove(&tag);
            }
        }
    }

    /// Forgets what is known of a check, if no tag asks for it any more and no answer is under way.
    pub(super) fn forget_check(&mut self, check: &Check) {
        let in_flight = self.soft.checks.get(check).is_some_and(|soft| soft.in_flight);
        if !in_flight && !self.index.checks.contains_key(check) {
            self.soft.checks.remove(check);
        }
    }

    /// The tags by what they ask, made at once: a map that grows key by key is half empty and takes twice as long.
    fn checks(&self) -> BTreeMap<Arc<Check>, Few<StreamTag>> {
        let mut asking = Vec::new();
        for stream in self.desired.streams.values() {
            for (name, spec) in &stream.tags {
                if let Some(check) = effective::check_of(stream, spec, &self.policy) {
                    asking.push((check, stream.name.tag(name.clone())));
                }
            }
        }
        asking.sort();
        let mut checks: Vec<(Arc<Check>, Few<StreamTag>)> = Vec::new();
        for (check, tag) in asking {
            match checks.last_mut() {
                Some((last, tags)) if **last == check => tags.insert(tag),
                Some(_) | None => checks.push((Arc::new(check), Few::of(tag))),
            }
        }
        checks.into_iter().collect()
    }

    /// Puts the links of an object into the index, or takes them out.
    pub(super) fn link(&mut self, object: &Object, link: Link) {
        match object {
            Object::Stream(stream) => {
                self.link_checks(stream, link);
                self.link_followers(stream, link);
            }
            Object::Workload(workload) => self.link_workload(workload, link),
            Object::Build(build) => self.link_build(build, link),
        }
    }

    fn link_checks(&mut self, stream: &ImageStream, link: Link) {
        for (name, spec) in &stream.tags {
            if let Some(check) = effective::check_of(stream, spec, &self.policy) {
                let tag = stream.name.tag(name.clone());
                change(&mut self.index.checks, Arc::new(check), tag, link);
            }
        }
    }

    fn link_followers(&mut self, stream: &ImageStream, link: Link) {
        for (name, spec) in &stream.tags {
            let key = Key::Tag(stream.name.tag(name.clone()));
            match &spec.from {
                Some(TagSource::Tag(source)) => {
                    let of_stream = source.stream.clone();
                    change(&mut self.index.tag_followers, source.clone(), key.clone(), link);
                    change(&mut self.index.stream_followers, of_stream, key, link);
                }
                Some(TagSource::Image { stream, .. }) => {
                    change(&mut self.index.stream_followers, stream.clone(), key, link);
                }
                Some(TagSource::Registry(_)) | None => {}
            }
        }
    }

    /// A build follows what starts it and what it is made of; one that waits for its output, that stream.
    fn link_build(&mut self, build: &BuildConfig, link: Link) {
        let key = || Key::Build(build.object.clone());
        for tag in build.reads().collect::<BTreeSet<_>>() {
            change(&mut self.index.tag_followers, tag.clone(), key(), link);
        }
        let images = build.from.iter().chain(&build.images).filter_map(|from| match from {
            BuildFrom::Image { stream, .. } => Some(stream),
            BuildFrom::Tag(_) | BuildFrom::Registry(_) => None,
        });
        let output = build.output.as_ref().map(|tag| &tag.stream);
        for stream in images.chain(output).collect::<BTreeSet<_>>() {
            change(&mut self.index.stream_followers, stream.clone(), key(), link);
        }
    }

    fn link_workload(&mut self, workload: &Workload, link: Link) {
        for trigger in &workload.triggers {
            let key = Key::Workload(workload.object.clone());
            change(&mut self.index.tag_followers, trigger.from.clone(), key, link);
        }
        let triggered = |container: &&Container| {
            workload.triggers.iter().any(|t| t.containers.contains(&container.container))
        };
        // What may be looked up: a tag of that name may come at any time.
        for container in workload.containers.iter().filter(|container| !triggered(container)) {
            if let Some(tag) = effective::lookup_tag(workload, container) {
                let key = Key::Workload(workload.object.clone());
                change(&mut self.index.tag_followers, tag, key, link);
            }
        }
    }

    /// Marks the history of a tag, if its stream limits it (rule I64).
    pub(super) fn mark_history(&mut self, tag: &StreamTag) {
        let stream = self.desired.streams.get(&tag.stream);
        let is_limited = stream.is_some_and(|stream| stream.history_limit.is_some());
        if is_limited || self.index.left.contains(tag) {
            self.dirty.insert(Key::History(tag.clone()));
        }
    }

    /// Marks the histories of all tags of a stream, those of tags that left the spec too.
    pub(super) fn mark_histories_of(&mut self, stream: &StreamName) {
        let state = self.observed.streams.get(stream);
        let tags: Vec<_> = state.into_iter().flat_map(|state| state.tags.keys()).collect();
        for tag in tags.into_iter().map(|tag| stream.tag(tag.clone())).collect::<Vec<_>>() {
            self.mark_history(&tag);
        }
    }

    /// Marks the histories that the workloads of a fact keep images in: before it is applied, which may end that.
    pub(super) fn mark_histories_used(&mut self, fact: &Fact) {
        let mut objects: Vec<_> = object_of(fact).into_iter().collect();
        if let Fact::CommitAdopted(adopted) = fact {
            objects.extend(adopted.appeared.iter().map(|appeared| &appeared.object));
        }
        let states = objects.into_iter().filter_map(|object| self.observed.workloads.get(object));
        let tags: Vec<_> = states.flat_map(|state| state.seen.keys()).cloned().collect();
        for tag in &tags {
            self.mark_history(tag);
        }
    }

    /// The one copy of a check that every map shares.
    fn shared(&self, check: Check) -> Arc<Check> {
        let known = self.index.checks.get_key_value(&check);
        known.map_or_else(|| Arc::new(check), |(known, _)| known.clone())
    }

    /// The key that plans a spec tag.
    pub(super) fn key_of_tag(&self, tag: &StreamTag) -> Option<Key> {
        let (stream, spec) = effective::spec_tag(&self.desired, tag)?;
        Some(match effective::check_of(stream, spec, &self.policy) {
            Some(check) => Key::Check(self.shared(check)),
            None => Key::Tag(tag.clone()),
        })
    }
}

/// Keeps the list of tags that left, as a changed spec says.
fn note_changed(left: &mut BTreeSet<StreamTag>, changed: &StreamChanged) {
    left.extend(changed.gone.iter().map(|tag| changed.stream.tag(tag.clone())));
    for tag in &changed.tags {
        left.remove(&changed.stream.tag(tag.clone()));
    }
}

fn change<K: Ord, V: Ord>(
    map: &mut std::collections::BTreeMap<K, Few<V>>,
    key: K,
    value: V,
    link: Link,
) {
    match link {
        Link::Add => {
            map.entry(key).or_default().insert(value);
        }
        Link::Remove => {
            if let Some(values) = map.get_mut(&key) {
                values.remove(&value);
                if values.is_empty() {
                    map.remove(&key);
                }
            }
        }
    }
}
