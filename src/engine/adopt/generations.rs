//! Which streams and tags a commit changes so that they are imported again (rules I22 to I27).

use std::sync::Arc;

use crate::desired::{DesiredState, ImageStream, TagReference};
use crate::fact::StreamChanged;
use crate::names::{Generation, StreamName, TagName};
use crate::observed::ObservedState;

/// Which streams get a new generation, and which of their tags (rules I22 to I27).
pub(super) fn stream_changes(
    observed: &ObservedState,
    old: &DesiredState,
    new: &DesiredState,
) -> Vec<StreamChanged> {
    let change = |(name, stream)| stream_change(observed, old.streams.get(name), stream);
    new.streams.iter().filter_map(change).collect()
}

/// The same for one stream.
pub(in crate::engine) fn stream_change(
    observed: &ObservedState,
    before: Option<&Arc<ImageStream>>,
    stream: &Arc<ImageStream>,
) -> Option<StreamChanged> {
    if before.is_some_and(|before| Arc::ptr_eq(before, stream)) {
        return None;
    }
    let name = &stream.name;
    let state = observed.streams.get(name);
    let generation = state.map_or(Generation(1), |state| state.generation.next());
    let knows = |tag: &TagName| {
        let state = state.and_then(|state| state.tags.get(tag));
        state.is_some_and(|state| state.generation != Generation(0))
    };
    let changed = |tag: &TagName, spec: &TagReference| match before.and_then(|b| b.tags.get(tag)) {
        Some(before) => {
            let failing =
                state.and_then(|s| s.tags.get(tag)).is_some_and(|t| t.condition.is_some());
            is_changed(before, spec, failing)
        }
        None => !knows(tag),
    };
    let tags: Vec<_> = stream
        .tags
        .iter()
        .filter(|(tag, spec)| changed(tag, spec))
        .map(|(tag, _)| tag.clone())
        .collect();
    let gone = gone_tags(observed, name, stream);
    let spec_differs = before.is_none_or(|before| !same_spec(before, stream));
    let is_changed = spec_differs && (before.is_some() || state.is_none())
        || !tags.is_empty()
        || !gone.is_empty();
    let listed = state.is_some_and(|state| state.listing.is_some());
    let unlisted = listed && stream.repository.is_none();
    is_changed.then(|| StreamChanged { stream: name.clone(), generation, tags, gone, unlisted })
}

fn gone_tags(observed: &ObservedState, name: &StreamName, stream: &ImageStream) -> Vec<TagName> {
    let state = observed.streams.get(name);
    let known = state.into_iter().flat_map(|state| &state.tags);
    let in_spec = known.filter(|(_, tag)| tag.generation != Generation(0)).map(|(tag, _)| tag);
    in_spec.filter(|tag| !stream.tags.contains_key(*tag)).cloned().collect()
}

/// Whether a spec tag changed so that it has to be imported again (rules I24, I25).
fn is_changed(before: &TagReference, after: &TagReference, failing: bool) -> bool {
    before.from != after.from
        || before.reference != after.reference
        || before.mode != after.mode
        // Once, by the commit that brings it: git keeps the 0 for ever (trap Y11).
        || (after.reimport && !before.reimport)
        || (failing && before.insecure != after.insecure)
}

/// Whether the spec is the same after defaulting: labels and annotations do not count (rule I23).
fn same_spec(before: &ImageStream, after: &ImageStream) -> bool {
    before.lookup_local == after.lookup_local
        && before.repository == after.repository
        && before.tags.len() == after.tags.len()
        && before.tags.iter().zip(&after.tags).all(|((name, tag), (other_name, other))| {
            // The wish to import once more is no part of what is wished for.
            name == other_name && TagReference { reimport: other.reimport, ..tag.clone() } == *other
        })
}
