//! Rings of tags, triggers and hooks that write tags: what would roll itself out for ever (traps X1, X2).

use std::collections::BTreeSet;

use crate::desired::{BuildConfig, DesiredState, TagSource, Workload};
use crate::names::{ObjectKey, ObjectName, StreamTag};
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

/// The way from what a build makes back to one of its own triggers, by the names of the `BuildConfig`s on it, and the tags
/// of those triggers (rule B16, trap X1); none where it leads elsewhere.
///
/// A tag leads to those that follow it, and to the builds that it starts by itself, but for those that are let be a ring
/// by annotation.
#[must_use]
pub fn build_ring(
    desired: &DesiredState,
    build: &BuildConfig,
) -> Option<(Vec<ObjectName>, BTreeSet<StreamTag>)> {
    if build.allow_cycle {
        return None;
    }
    let own: BTreeSet<&StreamTag> = started_by(build).collect();
    let first = build.output.clone().filter(|_| !own.is_empty())?;
    let (mut known, mut found) = (BTreeSet::from([first.clone()]), BTreeSet::new());
    let mut ways = vec![(first, vec![build.object.name.clone()])];
    let mut ring: Option<Vec<ObjectName>> = None;
    while let Some((tag, way)) = ways.pop() {
        if own.contains(&tag) {
            found.insert(tag.clone());
            let back = [way.as_slice(), std::slice::from_ref(&build.object.name)].concat();
            ring = Some(ring.filter(|ring| ring.len() <= back.len()).unwrap_or(back));
        }
        let others = desired.builds.values().filter(|other| {
            other.object != build.object
                && !other.allow_cycle
                && started_by(other).any(|t| *t == tag)
        });
        let made = others.filter_map(|other| {
            let way = [way.as_slice(), std::slice::from_ref(&other.object.name)].concat();
            Some((other.output.clone()?, way))
        });
        let next: Vec<_> = made.chain(followers(desired, &tag).map(|t| (t, way.clone()))).collect();
        ways.extend(next.into_iter().filter(|(tag, _)| known.insert(tag.clone())));
    }
    ring.map(|ring| (ring, found))
}

/// The tags that start a build by themselves.
fn started_by(build: &BuildConfig) -> impl Iterator<Item = &StreamTag> {
    build.triggers.iter().filter(|trigger| !trigger.paused).map(|trigger| &trigger.from)
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
