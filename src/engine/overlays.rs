//! What operators put over git: recorded with who asked, and in force until a commit touches the tag (rule I102, item 5).

use crate::action::OverlayOrder;
use crate::effective::{self, Wish};
use crate::fact::{Fact, Overlaid, OverlaySet, SpecSource, StreamChanged};
use crate::names::{CommitId, Generation, Seq, StreamTag};
use crate::observed::StreamState;
use crate::plan::Key;
use crate::time::{Now, Timestamp};

use super::adopt::generations::stream_change;
use super::{Answer, Batch, Engine};

impl Engine {
    /// Takes an order, and answers it at once.
    pub(super) fn overlay_tag(
        &mut self,
        order: OverlayOrder,
        by: String,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        let OverlayOrder { tag, spec } = order;
        if let Some(space) = self.observed.space_short {
            return Answer::Refused(space.to_string());
        }
        let wish =
            effective::wish(&self.desired, &self.observed, &self.policy, &tag, spec.as_ref());
        let overlay = match wish {
            Wish::Set(overlay) => overlay,
            Wish::Nothing(why) => return Answer::Nothing(why),
            Wish::Refused(why) => return Answer::Refused(why),
        };
        let commit = self.observed.adopted.as_ref().map(|adopted| adopted.commit);
        let Some(commit) = commit else {
            return Answer::Refused("no commit is adopted yet that it could be put over".into());
        };
        match self.overlay_set(tag, overlay, (commit, by, None)) {
            Some(set) => Answer::Done(self.record(Fact::OverlaySet(Box::new(set)), now, batch)),
            None => Answer::Refused("the stream is not in git any more".into()),
        }
    }

    /// The record of an overlay over a commit: by whom, and by which rollout if a hook asked.
    pub(super) fn overlay_set(
        &self,
        tag: StreamTag,
        overlay: Overlaid,
        (commit, by, rollout): (CommitId, String, Option<Seq>),
    ) -> Option<OverlaySet> {
        let before = self.desired.streams.get(&tag.stream)?;
        let basis = effective::basis(before, &tag.tag, &self.policy);
        let set = OverlaySet { tag, overlay, basis, commit, changed: None, by, rollout };
        Some(OverlaySet { changed: self.changed_by(&set), ..set })
    }

    /// Which generations an overlay changes: as a commit would that says the same in git.
    fn changed_by(&self, set: &OverlaySet) -> Option<StreamChanged> {
        let name = &set.tag.stream;
        let (before, state) = (self.desired.streams.get(name)?, self.observed.streams.get(name));
        let mut ahead = StreamState {
            listing: state.and_then(|state| state.listing.clone()),
            overlays: state.map(|state| state.overlays.clone()).unwrap_or_default(),
            ..StreamState::default()
        };
        ahead.overlay(self.observed.next_seq(), Timestamp::EPOCH, set);
        let after = effective::with_overlays(before, Some(&ahead), &self.policy);
        let changed = stream_change(&self.observed, Some(before), &after);
        // Rule I97: every `tag` of an image of a registry imports it, also where nothing changes.
        let imports = match &set.overlay {
            Overlaid::Spec(spec) => matches!(spec.from, SpecSource::Registry(_)) && !spec.reference,
            Overlaid::Removed | Overlaid::Withdrawn => false,
        };
        if !imports {
            return changed;
        }
        let tag = &set.tag.tag;
        let mut changed = changed.unwrap_or_else(|| StreamChanged {
            stream: name.clone(),
            generation: state.map_or(Generation(0), |state| state.generation).next(),
            tags: Vec::new(),
            gone: Vec::new(),
            unlisted: false,
        });
        if !changed.tags.contains(tag) {
            changed.tags.push(tag.clone());
            changed.tags.sort();
        }
        Some(changed)
    }

    /// Marks what an overlay changes.
    pub(super) fn mark_overlaid(&mut self, set: &OverlaySet) {
        self.take_overlays(&set.tag.stream);
        let key = self.key_of_tag(&set.tag);
        // A spec that is the same may be asked for once more: tried at once, whatever failed before (rule I43).
        if let Some(Key::Check(check)) = &key
            && let Some(soft) = self.soft.checks.get_mut(check)
        {
            soft.attempts.failures = 0;
        }
        self.dirty.extend(key);
        self.mark_left();
    }
}
