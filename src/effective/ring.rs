//! Rings of tags, triggers and hooks that write tags: what would roll itself out for ever (traps X1, X2).

use std::collections::BTreeSet;

use crate::desired::{DesiredState, TagSource, Workload};
use crate::names::{ObjectKey, StreamTag};
use crate::pods::Pods;
use crate::policy::Policy;

use super::target_of;

/// The way from a tag, which a workload is about to write, back to that workload; none where it leads elsewhere.
///
/// A tag leads to those that follow it and to whatever it rolls out by itself, and a workload to the tags that its hooks
/// write.
#[must_use]
pub fn ring(
    desired: &DesiredState,
    policy: &Policy,
    object: &ObjectKey,
    tag: &StreamTag,
) -> Option<String> {
    let mut known = BTreeSet::from([tag.clone()]);
    let mut ways = vec![(tag.clone(), vec![short(object), tag.to_string()])];
    while let Some((tag, way)) = ways.pop() {
        let mut next: Vec<(StreamTag, Vec<String>)> = Vec::new();
        for workload in desired.workloads.values().filter(|workload| is_led_to(workload, &tag)) {
            let way = [way.as_slice(), &[short(&workload.object)]].concat();
            if workload.object == *object {
                return Some(way.join(" -> "));
            }
            next.extend(tagged_by(workload, policy).into_iter().map(|tag| (tag, way.clone())));
        }
        next.extend(followers(desired, &tag).map(|tag| (tag, way.clone())));
        for (tag, mut way) in next {
            if known.insert(tag.clone()) {
                way.push(tag.to_string());
                ways.push((tag, way));
            }
        }
    }
    None
}

/// A workload as it is named in a ring.
fn short(object: &ObjectKey) -> String {
    format!("{}/{}", object.kind.short(), object.name)
}

fn is_led_to(workload: &Workload, tag: &StreamTag) -> bool {
    let mut automatic = workload.triggers.iter().filter(|trigger| trigger.automatic);
    automatic.any(|trigger| trigger.from == *tag)
}

/// The tags that its hooks write, where its target is one that does.
fn tagged_by(workload: &Workload, policy: &Policy) -> Vec<StreamTag> {
    if !workload.manifest.contains("tagImages")
        || !policy.hosts.contains(&target_of(workload, policy))
    {
        return Vec::new();
    }
    let pods = Pods::read(&workload.object, workload.manifest.as_bytes());
    let hooks = pods.map(|pods| pods.tags()).unwrap_or_default();
    hooks.into_iter().flat_map(|hook| hook.tags).map(|tag| tag.to).collect()
}

fn followers<'a>(
    desired: &'a DesiredState,
    tag: &'a StreamTag,
) -> impl Iterator<Item = StreamTag> + 'a {
    desired.streams.values().flat_map(move |stream| {
        let follows = stream
            .tags
            .iter()
            .filter(move |(_, spec)| matches!(&spec.from, Some(TagSource::Tag(of)) if of == tag));
        follows.map(|(name, _)| stream.name.tag(name.clone()))
    })
}
