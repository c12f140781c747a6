//! Which items of a tag's history go: the oldest above the limit of its stream, never one in use (rule I64).

use std::collections::BTreeSet;

use crate::desired::TagSource;
use crate::effective;
use crate::fact::{Fact, TagTrimmed};
use crate::names::{Digest, StreamTag};
use crate::observed::rollout::{Rollout, WorkloadState};

use super::{Key, Plan, Step, View};
use crate::effective::is_named;

/// Plans the history of one tag. Without a limit it is never cut.
pub(super) fn plan(view: &View<'_>, tag: &StreamTag) -> Plan {
    let stream = view.desired.streams.get(&tag.stream);
    let Some(limit) = stream.and_then(|stream| stream.history_limit) else {
        return Plan::default();
    };
    let Some(state) = view.observed.tag(tag) else { return Plan::default() };
    let newest = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    if state.items.len() <= newest {
        return Plan::default();
    }
    let runs = running(view, tag);
    let pins = pins(view, tag);
    let in_use = |image: &Digest| runs.contains(image) || pins.iter().any(|id| is_named(image, id));
    let old = state.items.iter().skip(newest);
    let items: Vec<_> = old
        .filter(|item| !item.event.image.as_ref().is_some_and(in_use))
        .map(|item| item.seq)
        .collect();
    if items.is_empty() {
        return Plan::default();
    }
    let tag = tag.clone();
    Plan::step(Step::Record(Box::new(Fact::TagTrimmed(TagTrimmed { tag, items }))))
}

/// What workloads whose triggers saw the tag run, try to run, or would be put back to.
///
/// The journal says who they are: one whose manifest cannot be read at this commit goes on running. This looks at every
/// workload, which only a tag costs that has more items than its limit.
pub(super) fn running(view: &View<'_>, tag: &StreamTag) -> BTreeSet<Digest> {
    let states = view.observed.workloads.values().filter(|state| state.seen.contains_key(tag));
    states.flat_map(needed).flat_map(Rollout::digests).collect()
}

/// What a workload runs, as far as is known, and what is tried there: what it would be put back to is the former.
pub(super) fn needed(state: &WorkloadState) -> impl Iterator<Item = &Rollout> {
    [state.active(), state.last()].into_iter().flatten()
}

/// The images of the stream that tags pin, as they are written.
pub(super) fn pins<'a>(view: &View<'a>, tag: &StreamTag) -> Vec<&'a str> {
    let followers = view.index.stream_followers.get(&tag.stream).into_iter().flatten();
    let pin = |key: &'a Key| {
        let Key::Tag(follower) = key else { return None };
        let (_, spec) = effective::spec_tag(view.desired, follower)?;
        match spec.from.as_ref()? {
            TagSource::Image { stream, id } if *stream == tag.stream => Some(id.as_str()),
            TagSource::Image { .. } | TagSource::Registry(_) | TagSource::Tag(_) => None,
        }
    };
    followers.filter_map(pin).collect()
}
