//! What operators put over git, while it lasts (rule I102, item 5).

use serde::{Deserialize, Serialize};

use crate::fact::{Overlaid, OverlaySet, Record, StreamChanged, TagSpec};
use crate::names::{CommitId, ContentHash, Generation, Seq, StreamTag};
use crate::time::Timestamp;

use super::{ObservedState, StreamState};

/// What is in force for a tag in place of what git says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Overlay {
    /// The spec tag; none where the tag is taken away.
    pub spec: Option<TagSpec>,
    /// Hash of what git says of the tag.
    pub basis: ContentHash,
    /// The commit that it was put over.
    pub commit: CommitId,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The record that says so.
    pub seq: Seq,
}

impl StreamState {
    /// Takes an overlay in, which the record with this number says, or its end.
    pub fn overlay(&mut self, seq: Seq, at: Timestamp, set: &OverlaySet) {
        let OverlaySet { tag, overlay, basis, commit, changed: _, by, rollout: _ } = set;
        let spec = match overlay {
            Overlaid::Spec(spec) => Some(spec.clone()),
            Overlaid::Removed => None,
            Overlaid::Withdrawn => {
                self.overlays.remove(&tag.tag);
                return;
            }
        };
        let (basis, commit, by) = (*basis, *commit, by.clone());
        self.overlays.insert(tag.tag.clone(), Overlay { spec, basis, commit, by, at, seq });
    }
}

impl ObservedState {
    /// The overlay of a tag.
    #[must_use]
    pub fn overlay(&self, tag: &StreamTag) -> Option<&Overlay> {
        self.streams.get(&tag.stream)?.overlays.get(&tag.tag)
    }

    /// All overlays, in the order of their tags.
    pub fn overlays(&self) -> impl Iterator<Item = (StreamTag, &Overlay)> {
        self.streams.iter().flat_map(|(name, stream)| {
            stream.overlays.iter().map(|(tag, overlay)| (name.tag(tag.clone()), overlay))
        })
    }

    pub(super) fn overlay_set(&mut self, record: &Record, set: &OverlaySet) {
        if let Some(changed) = &set.changed {
            self.stream_changed(changed);
        }
        let stream = self.streams.entry(set.tag.stream.clone()).or_default();
        stream.overlay(record.seq, record.at, set);
    }

    pub(super) fn overlay_ended(&mut self, tag: &StreamTag) {
        if let Some(stream) = self.streams.get_mut(&tag.stream) {
            stream.overlays.remove(&tag.tag);
        }
    }

    /// A spec changed: tags get their generations, or leave (rules I22 to I27, I91).
    pub(super) fn stream_changed(&mut self, changed: &StreamChanged) {
        let stream = self.streams.entry(changed.stream.clone()).or_default();
        stream.generation = changed.generation;
        for tag in &changed.tags {
            let tag = stream.tags.entry(tag.clone()).or_default();
            tag.generation = changed.generation;
            tag.left = false;
        }
        for tag in &changed.gone {
            if let Some(tag) = stream.tags.get_mut(tag) {
                tag.generation = Generation(0);
                tag.condition = None; // nobody asks for it any more
                tag.left = true;
            }
        }
        if changed.unlisted {
            stream.listing = None;
        }
        stream.tags.retain(|_, tag| !tag.is_empty());
    }
}
