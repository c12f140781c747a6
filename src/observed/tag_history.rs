//! The history of one tag: what pushes an item, what rewrites item 0, what is a no-op (rules I61 to I71, I81).

mod text;

use serde::{Deserialize, Serialize};

use crate::fact::{ImportFailed, ImportReason, TagEvent, TagImported};
use crate::names::{ContentHash, Digest, Generation, Seq};
use crate::time::Timestamp;

/// A tag: its place in the spec, its history, its condition.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(from = "text::State", into = "text::State")]
pub struct TagState {
    /// Generation of the spec tag; 0 where the spec has none (rule I91: the history stays).
    pub generation: Generation,
    /// Newest first; item 0 is the image of the tag (rule I37).
    pub items: Vec<TagItem>,
    /// The failure of the last import, while it lasts (rule I8).
    pub condition: Option<TagCondition>,
    /// The digest that the registry itself answered last (rule I197).
    pub probed: Option<Digest>,
    /// Fingerprint of the check that `probed` answers; another check makes it void (rule I197, item 5).
    pub asked: u32,
    /// Whether it was in the spec and is not any more, and nothing was pushed since (rules I91, I93).
    pub left: bool,
    /// Whether item 0 was pushed, and is no answer of the registry that the spec names (rules I191, B54).
    pub pushed: bool,
}

/// An item of a tag's history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagItem {
    /// The record that made it what it is: the identity of the tag event for triggers (rule T32).
    pub seq: Seq,
    /// The event.
    pub event: TagEvent,
    /// The image's metadata in the object store.
    pub metadata: Option<ContentHash>,
}

/// The `ImportSuccess=False` condition of a tag.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TagCondition {
    /// Its reason.
    pub reason: ImportReason,
    /// Its message.
    pub message: String,
    /// The spec generation of the last attempt.
    pub generation: Generation,
    /// `lastTransitionTime`: when it got this reason and message first (rule I70).
    pub since: Timestamp,
}

/// What adding an event to a history does (the table of rule I63).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Nothing.
    None,
    /// Only the generation of item 0 changes.
    Generation,
    /// Item 0 is rewritten in place: another source of the same image, or another image under the same reference.
    Rewrite,
    /// A new item in front.
    Push,
}

impl TagState {
    /// The newest item.
    #[must_use]
    pub fn current(&self) -> Option<&TagItem> {
        self.items.first()
    }

    /// The image of the tag.
    #[must_use]
    pub fn image(&self) -> Option<Digest> {
        self.current()?.event.image
    }

    /// The spec generation that was last acted on; 0 if none was (rule I26).
    #[must_use]
    pub fn observed_generation(&self) -> Generation {
        let item = self.current().map(|item| item.event.generation);
        let condition = self.condition.as_ref().map(|condition| condition.generation);
        item.max(condition).unwrap_or_default()
    }

    /// Whether the spec asks for something that was not tried yet (rule I41).
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.generation > self.observed_generation()
    }

    /// Whether what was pushed stays: the registry answers the check with what it answered last (rules I191, B54).
    #[must_use]
    pub fn keeps_push(&self, asked: u32, answered: Digest) -> bool {
        self.pushed && !self.is_due() && (self.asked, self.probed) == (asked, Some(answered))
    }

    /// Whether nothing is left of the tag: no spec, no history, no condition (rule I5).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.generation == Generation(0) && self.items.is_empty() && self.condition.is_none()
    }

    /// What adding `event` would do.
    #[must_use]
    pub fn effect_of(&self, event: &TagEvent) -> Effect {
        let Some(item) = self.current().map(|item| &item.event) else { return Effect::Push };
        let same_reference = item.reference == event.reference;
        match (same_reference, item.image == event.image) {
            // Reference tags have no image: their references are compared, and a new one is pushed (I81).
            (false, true) if event.image.is_none() => Effect::Push,
            (true, true) if item.generation == event.generation => Effect::None,
            (true, true) => Effect::Generation,
            (true, false) | (false, true) => Effect::Rewrite,
            (false, false) => Effect::Push,
        }
    }

    /// Adds a successful import; any success ends the condition.
    pub(super) fn import(&mut self, seq: Seq, imported: &TagImported) {
        let event = &imported.event;
        let effect = self.effect_of(event);
        match (effect, self.items.first_mut()) {
            (Effect::Push, _) | (_, None) => {
                let (event, metadata) = (event.clone(), imported.metadata);
                if self.items.is_empty() {
                    self.items.reserve_exact(1); // most tags never have another
                }
                self.items.insert(0, TagItem { seq, event, metadata });
            }
            (Effect::Rewrite, Some(item)) => {
                if item.event.image != event.image {
                    // Another image: triggers must see it as another event.
                    item.seq = seq;
                    item.metadata = imported.metadata;
                }
                item.event.image = event.image;
                item.event.reference.clone_from(&event.reference);
                item.event.generation = event.generation;
            }
            (Effect::Generation, Some(item)) => item.event.generation = event.generation,
            (Effect::None, Some(_)) => {}
        }
        if imported.via.is_push() {
            self.left = false;
            self.pushed |= effect != Effect::None;
        } else {
            self.pushed = false;
            if self.generation != Generation(0) {
                self.generation = self.generation.max(event.generation);
            }
        }
        self.condition = None;
        if imported.probed.is_some() || !imported.via.is_push() {
            // What is no answer of a registry makes the last one void: it says nothing of this image (rule I197, item 5).
            self.probed = imported.probed;
            self.asked = imported.asked;
        }
    }

    /// Takes old items out of the history (rule I64); item 0 stays, whatever a record says.
    pub(super) fn trim(&mut self, gone: &[Seq]) {
        let mut newest = true;
        self.items.retain(|item| std::mem::take(&mut newest) || !gone.contains(&item.seq));
    }

    /// Takes pruned items out; item 0 of a tag of the spec stays, whatever a record says (rule I159).
    pub(super) fn prune(&mut self, gone: &[Seq]) -> Vec<TagItem> {
        let first = usize::from(self.generation != Generation(0)).min(self.items.len());
        self.items.extract_if(first.., |item| gone.contains(&item.seq)).collect()
    }

    /// Adds a failed import; what the tag had stays (rule I69: last known good).
    pub(super) fn fail(&mut self, at: Timestamp, failed: &ImportFailed) {
        let same = |c: &&TagCondition| c.reason == failed.reason && c.message == failed.message;
        let since = self.condition.as_ref().filter(same).map_or(at, |condition| condition.since);
        self.condition = Some(TagCondition {
            reason: failed.reason,
            message: failed.message.clone(),
            generation: failed.generation,
            since,
        });
        if self.generation != Generation(0) {
            self.generation = self.generation.max(failed.generation);
        }
    }
}
