//! A rollout goes on step by step, or back (rules R3, R4); and how rollouts and stops end.

use crate::action::{Action, Notice, NoticeKind, RolloutReport};
use crate::admit::Scarce;
use crate::fact::{
    DigestHeld, Ending, Fact, Outcome, RolloutFinished, RolloutStep, RolloutStepped, StopFinished,
};
use crate::names::{ContentHash, ObjectKey, Seq};
use crate::observed::rollout::{Rollout, Stepped};
use crate::sabotage::{self, Bug};
use crate::time::{Now, Timestamp};

use super::{Batch, Engine, InFlight};

/// How something ended.
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) reason: String,
    pub(super) log: String,
    /// As in [`RolloutFinished::rolled_back`].
    pub(super) rolled_back: Option<bool>,
}

impl Engine {
    /// What the target said of a step.
    pub(super) fn stepped(
        &mut self,
        object: &ObjectKey,
        seq: Seq,
        report: RolloutReport,
        now: Now,
        batch: &mut Batch,
    ) {
        let Some(running) = self.running(object, seq).cloned() else { return };
        let Some(Stepped { step, ending, .. }) = running.step.clone() else { return };
        let rolls_back = step == RolloutStep::RollingBack;
        let end = |outcome, reason, log| Ending { step, outcome, reason, log };
        match report {
            RolloutReport::Stepped { note, .. } if rolls_back => {
                self.end(object, seq, ending, Some(true), &note, now, batch);
            }
            RolloutReport::Failed { reason, log } if rolls_back => {
                let note = if log.is_empty() { reason } else { format!("{reason}\n{log}") };
                self.end(object, seq, ending, Some(false), &note, now, batch);
            }
            RolloutReport::Stepped { rendered, note, down } => {
                self.go_on(object, &running, step, (rendered, note, down), now, batch);
            }
            RolloutReport::Complete { log } => {
                self.go_on(object, &running, step, (None, log, None), now, batch);
            }
            RolloutReport::Failed { reason, log } if sabotage::is(Bug::SkipRollback) => {
                let ending = Some(end(Outcome::Failed, reason, log));
                self.end(object, seq, ending, Some(true), "", now, batch);
            }
            RolloutReport::Failed { reason, log } => {
                self.roll_back(object, seq, end(Outcome::Failed, reason, log), now, batch);
            }
            RolloutReport::Transient { reason, .. }
                if step == RolloutStep::Updating && sabotage::is(Bug::HalfUpdated) =>
            {
                self.go_on(object, &running, step, (None, reason, None), now, batch);
            }
            // It stays where it is and is asked for again: what it was asked for may have been done half.
            // Why it was cancelled, the plan says.
            RolloutReport::Cancelled => {}
            RolloutReport::Transient { reason, retry_after } => {
                self.try_again(seq, reason, retry_after, now);
            }
            RolloutReport::Running { .. } => {
                let reason = "the target said that a step runs elsewhere".to_owned();
                self.try_again(seq, reason, None, now);
            }
        }
    }

    /// The next step, or the end.
    pub(super) fn go_on(
        &mut self,
        object: &ObjectKey,
        running: &Rollout,
        step: RolloutStep,
        (rendered, note, down): (Option<ContentHash>, String, Option<Timestamp>),
        now: Now,
        batch: &mut Batch,
    ) {
        let seq = running.seq;
        let Some(next) = running.started.step_after(step) else {
            let end = End {
                outcome: Outcome::Complete,
                reason: String::new(),
                log: note,
                rolled_back: None,
            };
            self.finish(object, seq, end, now, batch);
            return;
        };
        self.soft.deliveries.remove(&seq);
        let stepped = RolloutStepped {
            rollout: seq,
            object: object.clone(),
            step: next,
            rendered,
            note,
            ending: None,
            down,
        };
        self.record(Fact::RolloutStepped(Box::new(stepped)), now, batch);
    }

    /// What ran before is put back; then the rollout ends.
    pub(super) fn roll_back(
        &mut self,
        object: &ObjectKey,
        seq: Seq,
        ending: Ending,
        now: Now,
        batch: &mut Batch,
    ) {
        self.soft.deliveries.remove(&seq);
        let stepped = RolloutStepped {
            rollout: seq,
            object: object.clone(),
            step: RolloutStep::RollingBack,
            rendered: None,
            note: String::new(),
            ending: Some(ending),
            down: None,
        };
        self.record(Fact::RolloutStepped(Box::new(stepped)), now, batch);
    }

    /// It is rolled back, or nothing more can be done.
    #[expect(clippy::too_many_arguments, reason = "a step's report and what is known of it")]
    fn end(
        &mut self,
        object: &ObjectKey,
        seq: Seq,
        ending: Option<Ending>,
        rolled_back: Option<bool>,
        note: &str,
        now: Now,
        batch: &mut Batch,
    ) {
        let ending = ending.unwrap_or(Ending {
            step: RolloutStep::RollingBack,
            outcome: Outcome::Failed,
            reason: String::new(),
            log: String::new(),
        });
        let Ending { mut outcome, mut reason, log, .. } = ending;
        if rolled_back == Some(false) {
            outcome = Outcome::Failed;
            reason = format!("{reason}; then putting the revision before back failed: {note}");
        }
        let end = End { outcome, reason, log, rolled_back };
        self.finish(object, seq, end, now, batch);
    }

    /// Records the end of a rollout or of a stop, and the hold that a failed rollout leaves.
    pub(super) fn finish(
        &mut self,
        object: &ObjectKey,
        seq: Seq,
        end: End,
        now: Now,
        batch: &mut Batch,
    ) {
        let stop = self.observed.workloads.get(object).and_then(|state| state.stopping());
        if stop.is_some_and(|stop| stop.seq == seq) {
            return self.finish_stop(object, seq, end, now, batch);
        }
        if self.scaling(object, seq).is_some() {
            return self.finish_scale(object, seq, end, now, batch);
        }
        let Some(running) = self.running(object, seq).cloned() else { return };
        self.soft.deliveries.remove(&seq);
        self.admission.give_back(&Scarce::Rollouts);
        let End { outcome, reason, log, rolled_back } = end;
        let words = if reason.is_empty() { outcome.to_string() } else { reason.clone() };
        let finished = RolloutFinished {
            rollout: seq,
            object: object.clone(),
            outcome,
            reason,
            log,
            rolled_back,
        };
        self.record(Fact::RolloutFinished(finished), now, batch);
        let kind = match outcome {
            Outcome::Complete => NoticeKind::Finished,
            Outcome::Cancelled => NoticeKind::Cancelled,
            Outcome::Failed => {
                let held = DigestHeld {
                    object: object.clone(),
                    rollout: seq,
                    digests: running.digests(),
                    template: running.started.template,
                    reason: words.clone(),
                };
                self.record(Fact::DigestHeld(held), now, batch);
                NoticeKind::Held
            }
        };
        let notice = Notice {
            kind,
            key: running.started.key(seq),
            object: object.clone(),
            at: now.wall,
            message: words,
            target: running.started.target.clone(),
        };
        let id = self.new_action(InFlight::Silent);
        batch.starts.push((id, Action::Notify(Box::new(notice))));
        self.in_flight.remove(&id); // nobody answers
    }

    fn finish_stop(
        &mut self,
        object: &ObjectKey,
        stop: Seq,
        end: End,
        now: Now,
        batch: &mut Batch,
    ) {
        self.soft.deliveries.remove(&stop);
        if !sabotage::is(Bug::KeepPlace) {
            self.admission.give_back(&Scarce::Rollouts);
        }
        let (object, End { outcome, reason, .. }) = (object.clone(), end);
        let fact = Fact::StopFinished(StopFinished { stop, object, outcome, reason });
        self.record(fact, now, batch);
    }
}
