//! Who depends on what, kept as commits come: only objects that changed are looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::action::Check;
use crate::desired::{ImageStream, Object, TagSource, Workload};
use crate::effective;
use crate::names::StreamTag;
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
        self.index = Index { checks: self.checks(), ..Index::default() };
        for stream in self.desired.streams.values().cloned().collect::<Vec<_>>() {
            self.link_followers(&stream, Link::Add);
        }
        for workload in self.desired.workloads.values().cloned().collect::<Vec<_>>() {
            self.link_workload(&workload, Link::Add);
        }
    }

    /// The tags by what they ask, made at once: a map that grows key by key is half empty and takes twice as long.
    fn checks(&self) -> BTreeMap<Arc<Check>, Few<StreamTag>> {
        let mut asking = Vec::new();
        for stream in self.desired.streams.values() {
            for (name, spec) in &stream.tags {
                if let Some(check) = effective::check_of(spec, &self.policy) {
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
            Object::Build(_) => {}
        }
    }

    fn link_checks(&mut self, stream: &ImageStream, link: Link) {
        for (name, spec) in &stream.tags {
            if let Some(check) = effective::check_of(spec, &self.policy) {
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

    fn link_workload(&mut self, workload: &Workload, link: Link) {
        for trigger in &workload.triggers {
            let key = Key::Workload(workload.object.clone());
            change(&mut self.index.tag_followers, trigger.from.clone(), key, link);
        }
    }

    /// The one copy of a check that every map shares.
    fn shared(&self, check: Check) -> Arc<Check> {
        let known = self.index.checks.get_key_value(&check);
        known.map_or_else(|| Arc::new(check), |(known, _)| known.clone())
    }

    /// The key that plans a spec tag.
    pub(super) fn key_of_tag(&self, tag: &StreamTag) -> Option<Key> {
        let (_, spec) = effective::spec_tag(&self.desired, tag)?;
        Some(match effective::check_of(spec, &self.policy) {
            Some(check) => Key::Check(self.shared(check)),
            None => Key::Tag(tag.clone()),
        })
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
