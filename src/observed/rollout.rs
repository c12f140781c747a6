//! The rollouts of one workload, what its triggers saw, and what is held.

mod event;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::dense;
use crate::fact::{
    CronSpec, DigestHeld, Ending, Ordered, Outcome, Record, RolloutCause, RolloutFinished,
    RolloutOrdered, RolloutStarted, RolloutStep, ScaleFinished, ScalePrepared, ScaleStarted,
    StopStarted,
};
use crate::limits::{ROLLOUT_HISTORY_LEN, ROLLOUT_HISTORY_MAX};
use crate::names::{ContentHash, Digest, Revision, Seq, StreamTag};
use crate::sabotage::{self, Bug};
use crate::time::Timestamp;

use super::job::Jobs;
use event::{Event, JobEvent, event_of};

pub(crate) use event::object_of;

/// What is known of one workload.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct WorkloadState {
    /// The highest revision ever given; the next one has the number after it.
    #[serde(default)]
    pub latest_revision: Revision,
    /// Rollouts, oldest first; old ones are left out, the running and the restorable ones never.
    #[serde(default, deserialize_with = "dense::list")]
    pub rollouts: Vec<Rollout>,
    /// What each trigger saw last, by the tag that it watches.
    #[serde(default, deserialize_with = "dense::map")]
    pub seen: BTreeMap<StreamTag, Seen>,
    /// What failed and is not tried again by itself.
    #[serde(default)]
    pub holds: Vec<Hold>,
    /// The last stop, if what it stopped was not rolled out again since.
    #[serde(default)]
    pub stop: Option<Stop>,
    /// The last time that instances were added or removed, if nothing was rolled out since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Rollouts before this record belong to an earlier life or were stopped.
    #[serde(default)]
    pub life_began: Seq,
    /// What an operator ordered and nothing carried out yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The revision that an operator went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// The runs of a `CronJob` on a host.
    #[serde(default, skip_serializing_if = "Jobs::is_empty")]
    pub jobs: Jobs,
    /// An operator paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
}

/// An order of an operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// The record that says so.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What is rolled out.
    pub order: Ordered,
    /// Who asked.
    pub by: String,
    /// Whether units that somebody edited are taken over (rule R22).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// An operator went back to a revision: nothing else is rolled out by itself until git changes the object (rule D48).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pinned {
    /// When.
    pub at: Timestamp,
    /// The revision that runs again.
    pub revision: Revision,
    /// Hash of what git said of the object then.
    pub basis: ContentHash,
    /// Who asked.
    pub by: String,
}

/// An operator paused rollouts (rule D46).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Paused {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// One rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rollout {
    /// The record that started it.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What it is.
    pub started: RolloutStarted,
    /// Why it is to be ended, once something newer is wanted.
    #[serde(default)]
    pub superseded: Option<String>,
    /// Whether an operator cancelled it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// The step that it takes, where its target is told each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Stepped>,
    /// What its target runs, in the object store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<ContentHash>,
    /// How many instances it has, if that was changed since it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scaled: Option<u32>,
    /// What was put together for other numbers of instances, and begun, and not done: any of it may stand on the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfinished: Vec<ContentHash>,
    /// Since when the ports of the host lead nowhere, or led nowhere until it was healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Timestamp>,
    /// How it ended.
    #[serde(default)]
    pub end: Option<End>,
}

/// The step that a rollout takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stepped {
    /// Since when.
    pub at: Timestamp,
    /// Which.
    pub step: RolloutStep,
    /// How the rollout is going to end, where it is rolled back.
    #[serde(default)]
    pub ending: Option<Ending>,
}

/// How a rollout ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Why, in words.
    pub reason: String,
    /// The last lines that the target printed.
    pub log: String,
    /// As in [`RolloutFinished::rolled_back`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<bool>,
}

/// What a trigger saw last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// The record with the tag event.
    pub event: Seq,
    /// Its image.
    pub image: Digest,
}

/// A set of digests and a template that failed together (rule T25).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// The rollout that failed.
    pub rollout: Seq,
    /// The digests.
    pub digests: BTreeSet<Digest>,
    /// The template.
    pub template: ContentHash,
    /// Why.
    pub reason: String,
}

/// A stop that was started.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stop {
    /// The record that started it.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What is stopped.
    pub started: StopStarted,
    /// How it ended.
    #[serde(default)]
    pub end: Option<End>,
}

/// Instances that are added or removed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scale {
    /// The record that started it.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What is done.
    pub started: ScaleStarted,
    /// What is going to run, in the object store, once it is put together.
    #[serde(default)]
    pub rendered: Option<ContentHash>,
    /// How it ended.
    #[serde(default)]
    pub end: Option<End>,
}

impl Scale {
    /// Whether it was tried and could not be.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.outcome == Outcome::Failed)
    }
}

impl Rollout {
    /// How many instances it has; none where nobody knows.
    #[must_use]
    pub fn size(&self) -> Option<u32> {
        self.scaled.or(self.started.size)
    }

    /// How it ended, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.end.as_ref().map(|end| end.outcome)
    }

    /// What it is when it is ended before its end: what an operator cancelled counts as failed (rules D16, D42).
    #[must_use]
    pub fn when_ended(&self) -> Outcome {
        if self.cancelled { Outcome::Failed } else { Outcome::Cancelled }
    }

    /// The digests of its images.
    #[must_use]
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.started.images.iter().filter_map(|image| image.digest).collect()
    }
}

impl WorkloadState {
    /// Rollouts of this life, oldest first.
    #[must_use]
    pub fn life(&self) -> impl DoubleEndedIterator<Item = &Rollout> {
        self.rollouts.iter().filter(|rollout| rollout.seq > self.life_began)
    }

    /// The last rollout of this life.
    #[must_use]
    pub fn last(&self) -> Option<&Rollout> {
        self.life().next_back()
    }

    /// The rollout that has not ended.
    #[must_use]
    pub fn running(&self) -> Option<&Rollout> {
        self.last().filter(|rollout| rollout.end.is_none())
    }

    /// The last rollout of this life that is complete: what the target runs, as far as is known.
    #[must_use]
    pub fn active(&self) -> Option<&Rollout> {
        self.life().rev().find(|rollout| rollout.outcome() == Some(Outcome::Complete))
    }

    /// Why the last restore failed, if nothing came after it: then nobody knows what the target runs.
    #[must_use]
    pub fn restore_failed(&self) -> Option<&str> {
        let last = self.last()?;
        let end = last.end.as_ref()?;
        let is_restore = last.started.cause == RolloutCause::Restore;
        let failed = is_restore && end.outcome == Outcome::Failed;
        (failed || end.rolled_back == Some(false)).then_some(&end.reason)
    }

    /// Whether nobody knows what a rollout found at its target: the one before it could not be put back.
    #[must_use]
    pub fn is_unknown_before(&self, seq: Seq) -> bool {
        let before = self.life().rev().find(|rollout| rollout.seq < seq);
        let end = before.and_then(|rollout| rollout.end.as_ref());
        end.is_some_and(|end| end.rolled_back == Some(false))
    }

    /// The stop that has not ended.
    #[must_use]
    pub fn stopping(&self) -> Option<&Stop> {
        self.stop.as_ref().filter(|stop| stop.end.is_none())
    }

    /// Whether something is done at its target.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.running().is_some() || self.stopping().is_some() || self.scaling().is_some()
    }

    /// The change of the number of instances that has not ended.
    #[must_use]
    pub fn scaling(&self) -> Option<&Scale> {
        self.scale.as_ref().filter(|scale| scale.end.is_none())
    }

    /// The hold on exactly this set of digests with this template.
    #[must_use]
    pub fn hold(&self, digests: &BTreeSet<Digest>, template: ContentHash) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.template == template && hold.digests == *digests)
    }

    /// Begins another life: nothing runs, nothing was seen, nothing is held.
    pub(super) fn begin_life(&mut self) {
        self.life_began = self.rollouts.last().map_or(self.life_began, |rollout| rollout.seq);
        self.seen.clear();
        self.holds.clear();
        (self.order, self.pinned, self.paused, self.scale) = (None, None, None, None);
        self.stop.take_if(|stop| stop.end.is_some());
    }

    pub(super) fn apply(&mut self, record: &Record) {
        let Some((_, event)) = event_of(&record.fact) else { return };
        match event {
            Event::Fired(fired) => {
                let seen = Seen { event: fired.event, image: fired.new };
                self.seen.insert(fired.from.clone(), seen);
            }
            Event::Started(started) => self.start(record, started),
            Event::Superseded(superseded) => {
                if let Some(rollout) = self.rollout_mut(superseded.rollout) {
                    rollout.superseded = Some(superseded.reason.clone());
                    rollout.cancelled |= superseded.by.is_some();
                }
            }
            Event::Ordered(ordered) => self.ordered(record, ordered),
            Event::Paused(paused) => {
                self.paused =
                    paused.paused.then(|| Paused { at: record.at, by: paused.by.clone() });
            }
            Event::Stepped(stepped) => {
                if let Some(rollout) = self.rollout_mut(stepped.rollout) {
                    let (at, step, ending) = (record.at, stepped.step, stepped.ending.clone());
                    rollout.step = Some(Stepped { at, step, ending });
                    rollout.rendered = stepped.rendered.or(rollout.rendered);
                    rollout.down = stepped.down.or(rollout.down);
                }
            }
            Event::Finished(finished) => self.finish(record.at, finished),
            Event::Held(held) => self.hold_back(Some(hold(record.at, held))),
            Event::Released => self.released(record.at),
            Event::Job(job) => self.job(record, job),
            Event::StopStarted(started) => {
                let (seq, at) = (record.seq, record.at);
                self.stop = Some(Stop { seq, at, started: started.clone(), end: None });
            }
            Event::ScaleStarted(started) => {
                let (seq, at, started) = (record.seq, record.at, started.clone());
                self.scale = Some(Scale { seq, at, started, rendered: None, end: None });
            }
            Event::ScalePrepared(prepared) => self.prepared(prepared),
            Event::ScaleFinished(finished) => self.scaled(record.at, finished),
            Event::StopFinished(finished) => {
                let (at, outcome) = (record.at, finished.outcome);
                let reason = finished.reason.clone();
                if let Some(stop) = &mut self.stop {
                    let (log, rolled_back) = (String::new(), None);
                    stop.end = Some(End { at, outcome, reason, log, rolled_back });
                }
                if outcome == Outcome::Complete && !sabotage::is(Bug::StopTwice) {
                    let stop = self.stop.take();
                    self.begin_life();
                    self.stop = stop;
                }
            }
        }
    }

    /// What failed may be tried again.
    fn released(&mut self, at: Timestamp) {
        self.jobs.released(at);
        self.holds.clear();
        self.pinned = None;
        self.stop.take_if(|stop| stop.end.as_ref().is_some_and(|e| e.outcome != Outcome::Complete));
        self.scale.take_if(|scale| scale.end.is_some());
    }

    fn prepared(&mut self, prepared: &ScalePrepared) {
        if let Some(scale) = self.scale.as_mut().filter(|scale| scale.seq == prepared.scale) {
            scale.rendered = Some(prepared.rendered);
        }
    }

    fn scaled(&mut self, at: Timestamp, finished: &ScaleFinished) {
        let Some(scale) = self.scale.as_mut().filter(|scale| scale.seq == finished.scale) else {
            return;
        };
        let (outcome, reason) = (finished.outcome, finished.reason.clone());
        scale.end = Some(End { at, outcome, reason, log: String::new(), rolled_back: None });
        let (rollout, to, rendered) = (scale.started.rollout, scale.started.to, scale.rendered);
        let Some(rollout) = self.rollout_mut(rollout) else { return };
        if outcome != Outcome::Complete {
            let new = rendered.filter(|rendered| !rollout.unfinished.contains(rendered));
            rollout.unfinished.extend(new);
        } else if !sabotage::is(Bug::ForgetScale) {
            rollout.scaled = Some(to);
            rollout.rendered = rendered.or(rollout.rendered);
            rollout.unfinished.clear();
        }
    }

    fn start(&mut self, record: &Record, started: &RolloutStarted) {
        self.begins(started);
        self.stop.take_if(|stop| stop.end.is_some());
        self.scale = None;
        // A `CronJob` is in force as soon as it is said: nothing is started before its time.
        let end = started.cron.as_ref().map(|cron| self.reschedule(record.at, cron));
        self.rollouts.push(Rollout {
            seq: record.seq,
            at: record.at,
            started: started.clone(),
            superseded: None,
            cancelled: false,
            step: None,
            rendered: None,
            scaled: None,
            unfinished: Vec::new(),
            down: None,
            end,
        });
        if started.cron.is_some() {
            self.trim();
        }
    }

    /// A revision of a `CronJob` comes into force; what is there is complete.
    fn reschedule(&mut self, at: Timestamp, cron: &CronSpec) -> End {
        let before = self.active().and_then(|active| active.started.cron.clone());
        self.jobs.revised(at, before.as_ref(), cron);
        let (outcome, reason, log) = (Outcome::Complete, String::new(), String::new());
        End { at, outcome, reason, log, rolled_back: None }
    }

    fn job(&mut self, record: &Record, event: JobEvent<'_>) {
        let cron = self.active().and_then(|active| active.started.cron.clone());
        match event {
            JobEvent::Started(started) => self.jobs.started(record, started),
            JobEvent::Created(created) => self.jobs.created(created),
            JobEvent::Ending(ending) => self.jobs.ending(ending),
            JobEvent::Finished(end) => self.jobs.finished(record.at, end, cron.as_ref()),
            JobEvent::Missed(missed) => self.jobs.missed(missed),
        }
    }

    fn begins(&mut self, started: &RolloutStarted) {
        self.latest_revision = self.latest_revision.max(started.revision);
        let ordered = self.order.take().is_some();
        if !ordered && started.cause != RolloutCause::Restore {
            self.pinned = None; // git changed the object
        }
    }

    fn ordered(&mut self, record: &Record, ordered: &RolloutOrdered) {
        let (seq, at, by) = (record.seq, record.at, ordered.by.clone());
        self.pinned = match ordered.order {
            Ordered::Undo { revision, basis, .. } => {
                Some(Pinned { at, revision, basis, by: by.clone() })
            }
            Ordered::Retry { .. } | Ordered::Latest { again: true } => self.pinned.take(),
            Ordered::Latest { again: false } => None,
        };
        // What runs is rolled out again; what failed beside it stays held.
        let again = ordered.order == Ordered::Latest { again: true };
        if !again || self.active().is_none() {
            self.holds.clear();
        }
        let force = ordered.force;
        self.order = Some(Order { seq, at, order: ordered.order, by, force });
    }

    fn finish(&mut self, at: Timestamp, finished: &RolloutFinished) {
        if let Some(rollout) = self.rollout_mut(finished.rollout) {
            let RolloutFinished { reason, log, outcome, rolled_back, .. } = finished.clone();
            rollout.end = Some(End { at, outcome, reason, log, rolled_back });
            rollout.step = None;
            let failed = failed(rollout);
            self.hold_back(failed);
        }
        self.trim();
    }

    /// Holds what failed, once per rollout.
    ///
    /// A failure holds by itself: a crash may keep the record of it and lose the `DigestHeld` that follows.
    fn hold_back(&mut self, hold: Option<Hold>) {
        if let Some(hold) = hold.filter(|_| !sabotage::is(Bug::ForgetHold)) {
            self.holds.retain(|known| known.rollout != hold.rollout);
            self.holds.push(hold);
        }
    }

    fn rollout_mut(&mut self, seq: Seq) -> Option<&mut Rollout> {
        self.rollouts.iter_mut().rev().find(|rollout| rollout.seq == seq)
    }

    /// Leaves old rollouts out: all but the last few and those that a restore may need.
    ///
    /// Where a limit is written, it counts those before the complete one alone; without a complete one, all but the last
    /// (rule D26).
    fn trim(&mut self) {
        let active = self.active().map(|rollout| rollout.seq);
        let last = self.last().map(|rollout| rollout.seq);
        let limit = self.last().and_then(|last| last.started.keeps);
        let is_old = |rollout: &Rollout| match active {
            Some(active) => rollout.seq < active,
            None => Some(rollout.seq) != last,
        };
        let old = self.rollouts.iter().filter(|rollout| is_old(rollout)).count();
        let kept = limit.map(|limit| usize::try_from(limit.min(ROLLOUT_HISTORY_MAX)).unwrap_or(0));
        let mut over = kept.map_or(0, |kept| old.saturating_sub(kept));
        let others = self.rollouts.len() - kept.map_or(0, |_| old);
        let from = others.saturating_sub(ROLLOUT_HISTORY_LEN);
        let mut index = 0;
        self.rollouts.retain(|rollout| {
            if kept.is_some() && is_old(rollout) {
                let stays = over == 0;
                over = over.saturating_sub(1);
                return stays;
            }
            index += 1;
            index > from || [active, last].contains(&Some(rollout.seq))
        });
    }
}

/// The hold that a failure is.
fn failed(rollout: &Rollout) -> Option<Hold> {
    let end = rollout.end.as_ref().filter(|end| end.outcome == Outcome::Failed)?;
    let words = end.outcome.to_string();
    Some(Hold {
        since: end.at,
        rollout: rollout.seq,
        digests: rollout.digests(),
        template: rollout.started.template,
        reason: if end.reason.is_empty() { words } else { end.reason.clone() },
    })
}

fn hold(since: Timestamp, held: &DigestHeld) -> Hold {
    Hold {
        since,
        rollout: held.rollout,
        digests: held.digests.clone(),
        template: held.template,
        reason: held.reason.clone(),
    }
}
