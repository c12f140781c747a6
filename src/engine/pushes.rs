//! Images that others pushed: a notice is a hint, the registry is asked, and what it answers is recorded (rules I188 to
//! I193).

use std::sync::Arc;

use crate::action::{
    Action, Check, ImportFailure, ImportMode, Pushed, Resolution, ResolveRequest, ResolvedImage,
};
use crate::desired::TagSource;
use crate::effective;
use crate::fact::{Fact, Reason, TagEvent, TagImported, Via};
use crate::names::{Digest, Generation, Seq, StreamTag};
use crate::observed::tag_history::Effect;
use crate::reference::ImageReference;
use crate::time::Now;

use super::{Answer, Batch, Engine, InFlight};

/// A push that is not answered yet.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Pushing {
    /// The request that is answered.
    id: u64,
    tag: StreamTag,
    check: Check,
    /// The digest that a notice told; the registry may not have it under the tag yet, or any more.
    told: Option<Digest>,
    /// Whether the registry was asked, and the item that was the tag's then.
    asked: Option<Option<Seq>>,
}

/// What a notice of the managed registry leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moved {
    /// The registry is asked, and the notice answered then.
    Asks,
    /// It is about to be asked because of another notice.
    IsAsked,
}

impl Engine {
    /// Takes a notice; it is answered when the image was read.
    ///
    /// # Errors
    /// Why it cannot be recorded.
    pub(super) fn pushed(&mut self, id: u64, pushed: Pushed) -> Result<(), String> {
        let Pushed { tag, image } = pushed;
        if image.digest.is_none() || image.is_registry_only() {
            return Err(format!(
                "`{image}` does not say which image was pushed; its digest is needed: \
                 REGISTRY/REPOSITORY@sha256:..."
            ));
        }
        self.read_push(id, tag, image, None)
    }

    /// Takes a notice that a tag moved in the managed registry; the registry is asked what the tag is by then.
    ///
    /// A notice may be late or come twice. The digest that it tells is not asked for: it may be one that the tag was.
    ///
    /// # Errors
    /// Why it cannot be recorded.
    pub(super) fn moved_in_managed(
        &mut self,
        id: u64,
        tag: StreamTag,
        image: ImageReference,
        told: Option<Digest>,
    ) -> Result<Moved, String> {
        let asks = |other: &Pushing| other.tag == tag && *other.check.image == image;
        if self.pushes.iter().any(|other| other.asked.is_none() && asks(other)) {
            return Ok(Moved::IsAsked);
        }
        self.read_push(id, tag, image, told).map(|()| Moved::Asks)
    }

    fn read_push(
        &mut self,
        id: u64,
        tag: StreamTag,
        image: ImageReference,
        told: Option<Digest>,
    ) -> Result<(), String> {
        if let Some(space) = self.observed.space_short {
            return Err(space.to_string());
        }
        let stream = self.desired.streams.get(&tag.stream);
        if stream.is_some_and(|stream| stream.paused) {
            return Err(format!("{} is paused", tag.stream));
        }
        if let Some(source) = self.follows(&tag) {
            return Err(format!(
                "{tag} is {source} by its spec in git, which would put it back at once; push to another tag, or \
                 take its `from` out of git"
            ));
        }
        let spelled = image.registry.as_deref().unwrap_or_default();
        let insecure = stream.is_some_and(|stream| stream.is_insecure())
            || self.policy.insecure_registries.contains(spelled);
        let check = Check {
            image: Arc::new(image),
            insecure,
            mode: ImportMode::PreserveOriginal, // the image is the one with that digest, also where it is an index
            platform: self.policy.platform.clone(),
            copy_to: None,
            namespace: self.policy.asks_for(&tag.stream.namespace),
        };
        self.pushes.push(Pushing { id, tag, check, told, asked: None });
        Ok(())
    }

    /// What a tag follows without asking a registry: it is that again, whatever is pushed.
    fn follows(&self, tag: &StreamTag) -> Option<String> {
        let (_, spec) = effective::spec_tag(&self.desired, tag)?;
        match spec.from.as_ref()? {
            TagSource::Registry(image) if spec.reference => Some(format!("a reference to {image}")),
            TagSource::Registry(_) => None,
            TagSource::Tag(source) => Some(format!("an alias of {source}")),
            TagSource::Image { stream, id } => Some(format!("the image {id} of {stream}")),
        }
    }

    /// Asks the registries about pushes: of each tag one after the other, so that the last one told is the last one
    /// recorded, and of each registry as many at once as checks.
    pub(super) fn begin_pushes(&mut self, batch: &mut Batch) {
        for at in 0..self.pushes.len() {
            let Some(pushing) = self.pushes.get(at).filter(|pushing| pushing.asked.is_none())
            else {
                continue;
            };
            let host = pushing.check.image.registry_host();
            let before = self.pushes.iter().take(at);
            let waits = before.clone().any(|other| other.tag == pushing.tag);
            let asked = self.pushes.iter().filter(|other| other.asked.is_some());
            let busy = asked.filter(|other| other.check.image.registry_host() == host).count();
            if waits || busy >= self.policy.checks_in_flight_max {
                continue;
            }
            let current = self.current_item(&pushing.tag);
            let (ask, check) = (pushing.id, pushing.check.clone());
            if let Some(pushing) = self.pushes.get_mut(at) {
                pushing.asked = Some(current);
            }
            let id = self.new_action(InFlight::Push(ask));
            let request = ResolveRequest { check, known: None, allowance: None };
            batch.starts.push((id, Action::Resolve(Box::new(request))));
        }
    }

    fn current_item(&self, tag: &StreamTag) -> Option<Seq> {
        Some(self.observed.tag(tag)?.current()?.seq)
    }

    /// Takes the answer of a registry about a push.
    pub(super) fn push_read(
        &mut self,
        ask: u64,
        result: Result<Resolution, ImportFailure>,
        now: Now,
        batch: &mut Batch,
    ) {
        let Some(at) = self.pushes.iter().position(|pushing| pushing.id == ask) else { return };
        let pushing = self.pushes.remove(at);
        let answer = match result.map(|resolution| resolution.image) {
            Ok(Some(image)) => self.push_found(&pushing, &image, now, batch),
            Ok(None) => Answer::Refused("the registry did not say which image it is".into()),
            Err(failure) => Answer::Refused(format!("{}: {}", failure.reason, failure.message)),
        };
        batch.answers.push((ask, answer));
    }

    fn push_found(
        &mut self,
        pushing: &Pushing,
        image: &ResolvedImage,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        let Pushing { tag, check, .. } = pushing;
        if let Some(source) = self.follows(tag) {
            return Answer::Refused(format!("meanwhile {tag} became {source} in git"));
        }
        let state = self.observed.tag(tag);
        let current = state.and_then(|state| state.current());
        // Rule I190: what came in between is newer, as far as anybody can tell.
        if pushing.asked != Some(current.map(|item| item.seq))
            && let Some(newer) = current.and_then(|item| item.event.image)
            && newer != image.digest
        {
            return Answer::Refused(format!(
                "{tag} became {newer} while the pushed image was read; notify again if the push is to be current"
            ));
        }
        let stream = self.observed.streams.get(&tag.stream);
        let generation = stream.map_or(Generation(0), |stream| stream.generation);
        let event = TagEvent {
            created: now.wall,
            reference: check.image.with_digest(&image.digest),
            image: Some(image.digest),
            // At least that of a stream that the push creates (rule I22).
            generation: generation.max(Generation(1)),
        };
        let deleted = self.observed.images.deleted.contains(&image.digest);
        let changes = state.is_none_or(|state| {
            state.effect_of(&event) != Effect::None || state.left || state.condition.is_some()
        });
        if !changes && !deleted && pushing.told.is_some_and(|told| told != image.digest) {
            return Answer::Looking(format!("the registry has {} under {tag}", image.digest));
        }
        if !changes && !deleted {
            return Answer::Nothing(format!("{tag} is {} already", image.digest));
        }
        let imported = TagImported {
            tag: tag.clone(),
            event,
            probed: None,
            asked: 0,
            metadata: Some(image.metadata),
            via: Via::Push,
            reason: Reason::Nudged,
        };
        Answer::Done(self.record(Fact::TagImported(Box::new(imported)), now, batch))
    }
}
