//! What came in becomes facts. An input is a statement about the outside; what nobody waits for any more is ignored.

use std::sync::Arc;
use std::time::Duration;

use crate::action::{
    ActionId, Ask, Check, ImportFailure, Input, Nudge, Request, Resolution, RolloutReport,
    SourceFailure,
};
use crate::desired::{ImageStream, TagSource};
use crate::effective;
use crate::fact::{
    CommitRefused, Fact, HoldReleased, ImportFailed, Outcome, Reason, RecordsLost, Release,
    RemovalsReleased, SourceFailed, Space, TagEvent, TagImported, TagProbed, TagRecovered, Via,
};
use crate::limits::{ROLLOUT_RETRY_FIRST, ROLLOUT_RETRY_MAX};
use crate::names::{Digest, Generation, ObjectKey, Seq, StreamName, StreamTag};
use crate::observed::rollout::{Rollout, Scale};
use crate::observed::soft::DeliverySoft;
use crate::observed::tag_history::TagState;
use crate::observed::{Presence, rollout::Stop};
use crate::plan::{self, Key};
use crate::reference::ImageReference;
use crate::sabotage::{self, Bug};
use crate::time::Now;

use super::quota::Short;
use super::steps::End;
use super::{Answer, Batch, Engine, InFlight, registry_of, registry_of_list};

/// How soon a target that said "running" is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

impl Engine {
    pub(super) fn absorb(&mut self, input: Input, now: Now, batch: &mut Batch) {
        match input {
            Input::ConfigAdopted(config) => {
                if self.observed.config.as_ref() != Some(&config) {
                    self.record(Fact::ConfigAdopted(config), now, batch);
                }
            }
            Input::RecordsLost(last) => {
                self.record(Fact::RecordsLost(RecordsLost { last }), now, batch);
            }
            Input::Space(space) => self.space_told(space, now, batch),
            Input::HistoryDropped(dropped) => {
                self.record(Fact::HistoryDropped(dropped), now, batch);
            }
            Input::Wake | Input::Stop => {}
            Input::SourceRead(id, result) => {
                if self.in_flight.remove(&id) == Some(InFlight::Source) {
                    self.source_read(result.map(|read| *read), now, batch);
                }
            }
            Input::Resolved(id, result) => {
                let again = self.in_flight.get(&id).filter(|_| sabotage::is(Bug::TakeStaleAnswer));
                let about = again.cloned().or_else(|| self.in_flight.remove(&id));
                let short = self.end_taken(id);
                self.image_read(about, result, short, now, batch);
            }
            Input::Spent(id, spent) => self.spent(id, &spent, now),
            Input::Listed(id, result) => {
                if let Some(InFlight::Listing(stream, request, asked)) = self.in_flight.remove(&id)
                {
                    self.admission.give_back(&registry_of_list(&request));
                    self.end_taken(id);
                    self.listed(&stream, asked, &request, &result, now, batch);
                }
            }
            Input::RolloutReported(id, report) => {
                if let Some(InFlight::Delivery { rollout, key }) = self.in_flight.remove(&id) {
                    self.delivered(rollout, &key, report, now, batch);
                }
            }
            Input::BuildReported(id, report) => {
                if let Some(InFlight::Delivery { rollout, key }) = self.in_flight.remove(&id) {
                    self.build_reported(rollout, &key, report, now, batch);
                }
            }
            Input::ManifestDeleted(id, result) => self.manifest_deleted(id, result, now, batch),
            Input::Nudged(Nudge::Source) => {
                self.soft.source.nudged = true;
                self.dirty.insert(Key::Source);
            }
            Input::Nudged(Nudge::Tag(tag)) => {
                if let Some(key) = self.key_of_tag(&tag) {
                    if let Key::Check(check) = &key {
                        let soft = self.soft.checks.entry(check.clone()).or_default();
                        soft.nudged.insert(tag);
                    }
                    self.dirty.insert(key);
                }
            }
            Input::Nudged(Nudge::Repository(stream)) => {
                let asks = |stream: &Arc<ImageStream>| stream.repository.is_some();
                if self.desired.streams.get(&stream).is_some_and(asks) {
                    self.soft.listings.entry(stream.clone()).or_default().nudged = true;
                    self.dirty.insert(Key::Listing(stream));
                }
            }
            Input::Nudged(Nudge::Logins) => self.logins_changed(now),
            Input::Asked(ask) => self.asked(ask, now, batch),
        }
    }

    fn space_told(&mut self, space: Space, now: Now, batch: &mut Batch) {
        let was_short = self.observed.space_short.is_some();
        match (was_short, space.is_short(was_short)) {
            (false, true) => drop(self.record(Fact::SpaceShort(space), now, batch)),
            (true, false) => drop(self.record(Fact::SpaceRegained(space), now, batch)),
            (false, false) | (true, true) => {}
        }
    }

    fn source_read(
        &mut self,
        result: Result<crate::action::SourceRead, SourceFailure>,
        now: Now,
        batch: &mut Batch,
    ) {
        let source = &mut self.soft.source;
        source.in_flight = false;
        source.read_at = Some(now.mono);
        source.read_at_wall = Some(now.wall);
        self.dirty.insert(Key::Source);
        let failure = match result {
            Ok(read) => {
                self.soft.source.failures = 0;
                if self.observed.source_failure.is_some() {
                    self.record(Fact::SourceRecovered, now, batch);
                }
                let outdated = std::mem::take(&mut self.soft.source.outdated);
                if outdated || read.base.is_some() && read.base != self.tree_commit {
                    // Asked before the tree was forgotten: it brings a part of what is wanted now, or other files.
                    self.soft.source.nudged = true;
                    return;
                }
                self.adopt(&read, now, batch);
                return;
            }
            Err(failure) => failure,
        };
        self.soft.source.outdated = false;
        self.soft.source.failures = self.soft.source.failures.saturating_add(1);
        if let Some(commit) = failure.commit {
            if self.observed.source_failure.is_some() {
                self.record(Fact::SourceRecovered, now, batch);
            }
            self.refuse(CommitRefused { commit, reason: failure.message }, now, batch);
            return;
        }
        let known = self.observed.source_failure.as_ref();
        if known.is_none_or(|known| known.message != failure.message) {
            let message = failure.message;
            self.record(Fact::SourceFailed(SourceFailed { message }), now, batch);
        }
    }

    /// Records a refusal once.
    pub(super) fn refuse(&mut self, refused: CommitRefused, now: Now, batch: &mut Batch) {
        let known = self.observed.refused.as_ref();
        let same =
            |k: &crate::observed::Refused| k.commit == refused.commit && k.reason == refused.reason;
        if !known.is_some_and(same) {
            self.record(Fact::CommitRefused(refused), now, batch);
        }
    }

    fn image_read(
        &mut self,
        about: Option<InFlight>,
        result: Result<Resolution, ImportFailure>,
        short: Option<Short>,
        now: Now,
        batch: &mut Batch,
    ) {
        match (about, short) {
            (Some(InFlight::Check(check, reason)), Some(short)) => {
                self.ran_short((&check, &reason), &result, short, now, batch);
            }
            (Some(InFlight::Check(check, reason)), None) => {
                self.resolved(&check, &reason, &result, now, batch);
            }
            (Some(InFlight::Copy(tag)), short) => self.copied(&tag, &result, short, now, batch),
            (Some(InFlight::Push(ask)), _) => self.push_read(ask, result, now, batch),
            _ => {}
        }
    }

    pub(super) fn resolved(
        &mut self,
        check: &Arc<Check>,
        reason: &Reason,
        result: &Result<Resolution, ImportFailure>,
        now: Now,
        batch: &mut Batch,
    ) {
        self.admission.give_back(&registry_of(check));
        self.dirty.insert(Key::Check(check.clone()));
        self.mark_leftover(check);
        let tags = plan::import::asking(&self.view(now), check);
        let soft = self.soft.checks.entry(check.clone()).or_default();
        soft.in_flight = false;
        soft.asking.clear();
        soft.unread = None;
        soft.attempts.answered(result.as_ref().err(), now);
        if result.is_ok() {
            soft.proven = Some(now.wall);
        }
        self.note_answer(&check.image, result.as_ref().err(), now);
        self.forget_check(check);
        for tag in tags {
            self.checked.insert(tag.stream.clone(), now.wall);
            let fact = match result {
                Ok(resolution) => self.imported((check, reason), &tag, resolution, now, batch),
                Err(failure) => self.import_failed(&tag, failure, batch),
            };
            if let Some(fact) = fact {
                self.record(fact, now, batch);
            }
        }
    }

    /// What an answer means for one tag; nothing if it says what is known (rules I61, I65, I197).
    fn imported(
        &self,
        (check, reason): (&Check, &Reason),
        tag: &StreamTag,
        resolution: &Resolution,
        now: Now,
        batch: &mut Batch,
    ) -> Option<Fact> {
        let state = self.observed.tag(tag)?;
        let asked = effective::fingerprint(check);
        // What is recorded is spelled as the tag spells it (rule I54).
        let spec = effective::spec_tag(&self.desired, tag).and_then(|(_, spec)| spec.from.as_ref());
        let spelled = match spec {
            Some(TagSource::Registry(image)) => image,
            Some(TagSource::Tag(_) | TagSource::Image { .. }) | None => &check.image,
        };
        let event = match (&resolution.image, state.current()) {
            (Some(image), _) => TagEvent {
                created: now.wall,
                reference: spelled.with_digest(&image.digest),
                image: Some(image.digest),
                generation: state.generation,
            },
            // The registry answered what it answered last: the tag is what it was.
            (None, Some(item)) if state.probed == Some(resolution.probed) => TagEvent {
                reference: with_image(spelled, item.event.image, &item.event.reference),
                ..item.event.clone()
            },
            (None, _) => return None, // another tag's answer; this one is asked again
        };
        if state.keeps_push(asked, resolution.probed) {
            let tag = tag.clone();
            return state.condition.as_ref().map(|_| Fact::TagRecovered(TagRecovered { tag }));
        }
        let settled = !state.is_due() && state.condition.is_none() && state.asked == asked;
        let deleted =
            event.image.is_some_and(|image| self.observed.images.deleted.contains(&image));
        if settled && !deleted && is_current(state, &event) {
            let probed = resolution.probed;
            return (state.probed != Some(probed))
                .then(|| Fact::TagProbed(TagProbed { tag: tag.clone(), probed }));
        }
        // The check serves all its tags: one of them may have asked for it, another is changed by it.
        let reason = match reason {
            _ if state.is_due() => Reason::SpecChanged { generation: state.generation },
            _ if state.condition.is_some() => Reason::Retry,
            Reason::SpecChanged { .. } | Reason::Retry => Reason::ScheduleDue,
            Reason::ScheduleDue | Reason::Nudged | Reason::SourceTagChanged => reason.clone(),
        };
        let generation = self.generation(&tag.stream, batch);
        Some(Fact::TagImported(Box::new(TagImported {
            tag: tag.clone(),
            event: TagEvent { generation, ..event },
            probed: Some(resolution.probed),
            asked,
            metadata: match &resolution.image {
                Some(image) => Some(image.metadata),
                None => state.current().and_then(|item| item.metadata),
            },
            via: Via::Registry,
            reason,
        })))
    }

    /// What a failure means for one tag; nothing if it is known (rules I69 to I71).
    pub(super) fn import_failed(
        &self,
        tag: &StreamTag,
        failure: &ImportFailure,
        batch: &mut Batch,
    ) -> Option<Fact> {
        let state = self.observed.tag(tag).filter(|_| !sabotage::is(Bug::HideFailure))?;
        let message = match failure.message.as_str() {
            "" => "unknown error prevented import", // rule I72
            message => message,
        };
        let known = state.condition.as_ref().is_some_and(|condition| {
            condition.reason == failure.reason && condition.message == message
        });
        if known && !state.is_due() {
            return None;
        }
        Some(Fact::ImportFailed(ImportFailed {
            tag: tag.clone(),
            generation: self.generation(&tag.stream, batch),
            reason: failure.reason,
            message: message.to_owned(),
        }))
    }

    /// The generation that an import of this step gives its stream (rule I27).
    fn generation(&self, stream: &StreamName, batch: &mut Batch) -> Generation {
        let now = self.observed.streams.get(stream).map_or(Generation(0), |s| s.generation);
        *batch.generations.entry(stream.clone()).or_insert_with(|| now.next())
    }

    fn delivered(
        &mut self,
        seq: Seq,
        key: &Key,
        report: RolloutReport,
        now: Now,
        batch: &mut Batch,
    ) {
        let Key::Workload(object) = key else { return };
        self.dirty.insert(key.clone());
        if let Some(delivery) = self.soft.deliveries.get_mut(&seq) {
            delivery.in_flight = false;
            delivery.cancelled = false;
        }
        if let Some(job) = self.job(object, seq) {
            return self.job_reported(&job, report, now, batch);
        }
        if self.running(object, seq).is_some_and(|running| running.step.is_some()) {
            return self.stepped(object, seq, report, now, batch);
        }
        if let Some(scale) = self.scaling(object, seq).cloned() {
            return self.scale_reported(object, &scale, report, now, batch);
        }
        let (outcome, reason, log) = match report {
            // Only a step is answered by that.
            RolloutReport::Stepped { note, .. } => (Outcome::Complete, String::new(), note),
            RolloutReport::Complete { log } => (Outcome::Complete, String::new(), log),
            RolloutReport::Failed { log, .. } if sabotage::is(Bug::CallItSuccess) => {
                (Outcome::Complete, String::new(), log)
            }
            RolloutReport::Failed { reason, log } => (Outcome::Failed, reason, log),
            RolloutReport::Cancelled => {
                let running = self.running(object, seq);
                let reason = running.and_then(|running| running.superseded.clone());
                let outcome = running.map_or(Outcome::Cancelled, Rollout::when_ended);
                (outcome, reason.unwrap_or_default(), String::new())
            }
            RolloutReport::Transient { reason, retry_after } => {
                self.try_again(seq, reason, retry_after, now);
                return;
            }
            RolloutReport::Running { status_url } => {
                if let Some(delivery) = self.soft.deliveries.get_mut(&seq) {
                    delivery.status_url = Some(status_url);
                    delivery.failures = 0;
                    delivery.reason = None;
                    delivery.not_before = now.mono.after(ASK_AGAIN);
                }
                return;
            }
        };
        let end = End { outcome, reason, log, rolled_back: None };
        self.finish(object, seq, end, now, batch);
    }

    pub(super) fn try_again(
        &mut self,
        seq: Seq,
        reason: String,
        retry_after: Option<Duration>,
        now: Now,
    ) {
        if let Some(delivery) = self.soft.deliveries.get_mut(&seq) {
            delivery.reason = Some(reason);
            delivery.failures = delivery.failures.saturating_add(1);
            let doubled = 1_u32.checked_shl(delivery.failures - 1).unwrap_or(u32::MAX);
            let delay = ROLLOUT_RETRY_FIRST.saturating_mul(doubled).min(ROLLOUT_RETRY_MAX);
            delivery.not_before = now.mono.after(delay.max(retry_after.unwrap_or_default()));
        }
    }

    pub(super) fn running(&self, object: &ObjectKey, seq: Seq) -> Option<&Rollout> {
        let running = self.observed.workloads.get(object)?.running()?;
        (running.seq == seq).then_some(running)
    }

    pub(super) fn new_action(&mut self, about: InFlight) -> ActionId {
        let id = ActionId(self.next_action);
        self.next_action += 1;
        self.in_flight.insert(id, about);
        id
    }

    fn asked(&mut self, ask: Ask, now: Now, batch: &mut Batch) {
        let Ask { id, by, request } = ask;
        let answer = match request {
            Request::Import(order) => {
                self.order_import(id, order);
                return;
            }
            Request::Push(pushed) => match self.pushed(id, pushed) {
                Ok(()) => return,
                Err(why) => Answer::Refused(why),
            },
            Request::Hinted(image) => match self.hinted(id, &image, now, batch) {
                Some(answer) => answer,
                None => return,
            },
            Request::Overlay(order) => self.overlay_tag(*order, by, now, batch),
            Request::Status => Answer::Status(Box::new(self.known(now))),
            Request::Release(object) => self.release(&object, by, now, batch),
            Request::ReleaseRemovals => self.release_removals(None, by, now, batch),
            Request::Rollout(order) => self.order_rollout(order, by, now, batch),
            Request::RunJob(order) => self.order_job(order, by, now, batch),
            Request::StartBuild(order) => self.order_build(*order, by, now, batch),
            Request::CancelBuild(order) => self.cancel_builds(order, &by, now, batch),
            Request::Prune(request) => self.prune(*request, by, now, batch),
            Request::DeleteImage(image) => self.delete_image(image, by, now, batch),
        };
        batch.answers.push((id, answer));
    }

    fn release(&mut self, object: &ObjectKey, by: String, now: Now, batch: &mut Batch) -> Answer {
        let presence = self.observed.objects.get(object).map(|known| known.presence);
        if let Some(Presence::Removed { fate: crate::fact::RemovalFate::Held { .. }, .. }) =
            presence
        {
            return self.release_removals(Some(object), by, now, batch);
        }
        let Some(state) = self.observed.workloads.get(object) else {
            return Answer::Refused(format!("there is no workload `{object}`"));
        };
        let stop_failed =
            |stop: &Stop| stop.end.as_ref().is_some_and(|end| end.outcome != Outcome::Complete);
        let stop_failed = state.stop.as_ref().is_some_and(stop_failed);
        let scale_failed = state.scale.as_ref().is_some_and(Scale::has_failed);
        let is_ahead = state.jobs.reached() > Some(now.wall);
        let failed = stop_failed || scale_failed;
        if state.holds.is_empty() && state.pinned.is_none() && !failed && !is_ahead {
            return Answer::Nothing(format!("nothing of `{object}` is held"));
        }
        let because = Release::Operator { by };
        let fact = Fact::HoldReleased(HoldReleased { object: object.clone(), because });
        Answer::Done(self.record(fact, now, batch))
    }

    fn release_removals(
        &mut self,
        only: Option<&ObjectKey>,
        by: String,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        let held = self.observed.held_removals().map(|(key, _)| key);
        let objects: Vec<_> = held.filter(|key| only.is_none_or(|o| o == *key)).cloned().collect();
        if objects.is_empty() {
            return Answer::Nothing("no removal is held".into());
        }
        for object in &objects {
            self.forget(object);
        }
        let fact = Fact::RemovalsReleased(RemovalsReleased { objects, by });
        Answer::Done(self.record(fact, now, batch))
    }

    /// Makes sure that a delivery is known, and marks it as in flight.
    pub(super) fn begin_delivery(&mut self, seq: Seq, now: Now) {
        let begin = || DeliverySoft::begin(now.mono);
        let delivery = self.soft.deliveries.entry(seq).or_insert_with(begin);
        delivery.in_flight = true;
    }
}

fn is_current(state: &TagState, event: &TagEvent) -> bool {
    state.current().is_some_and(|item| {
        item.event.image == event.image && item.event.reference == event.reference
    })
}

/// The reference as the spec spells it now; the old one where there is no image to name.
fn with_image(spelled: &ImageReference, image: Option<Digest>, old: &str) -> String {
    image.map_or_else(|| old.to_owned(), |image| spelled.with_digest(&image))
}
