//! Instances are added to what runs, or removed (rule D22).

use crate::action::{Action, RolloutReport, RolloutRequest, ScaleRequest};
use crate::admit::Scarce;
use crate::fact::{Fact, Outcome, RolloutStarted, ScaleFinished, ScalePrepared};
use crate::names::{ObjectKey, Seq};
use crate::observed::rollout::Scale;
use crate::plan::Key;
use crate::time::Now;

use super::steps::End;
use super::{Batch, Engine, InFlight};

impl Engine {
    /// The change of the number of instances that this record started, if it has not ended.
    pub(super) fn scaling(&self, object: &ObjectKey, seq: Seq) -> Option<&Scale> {
        let state = self.observed.workloads.get(object)?;
        state.scaling().filter(|scale| scale.seq == seq)
    }

    pub(super) fn deliver_scale(&mut self, key: &Key, seq: Seq, now: Now, batch: &mut Batch) {
        let Key::Workload(object) = key else { return };
        let Some(scale) = self.scaling(object, seq).cloned() else { return };
        let Some(rollout) = self.rollout(object, scale.started.rollout) else { return };
        let Some(runs) = rollout.rendered else { return };
        let RolloutStarted { revision, cause, images, manifest, commit, target, .. } =
            rollout.started.clone();
        let request = ScaleRequest {
            rollout: RolloutRequest {
                key: rollout.started.key(rollout.seq),
                started: rollout.at,
                object: object.clone(),
                revision,
                cause,
                replaces: None,
                images,
                manifest,
                commit,
                target,
                step: None,
            },
            to: scale.started.to,
            runs,
            rendered: scale.rendered,
            written: self.written(object),
            names: rollout.started.names.clone(),
        };
        self.begin_delivery(seq, now);
        let id = self.new_action(InFlight::Delivery { rollout: seq, key: key.clone() });
        batch.starts.push((id, Action::Scale(Box::new(request))));
    }

    /// What the target said.
    pub(super) fn scale_reported(
        &mut self,
        object: &ObjectKey,
        scale: &Scale,
        report: RolloutReport,
        now: Now,
        batch: &mut Batch,
    ) {
        let seq = scale.seq;
        let end = |outcome, reason| End { outcome, reason, log: String::new(), rolled_back: None };
        match report {
            RolloutReport::Stepped { rendered: Some(rendered), .. } if scale.rendered.is_none() => {
                self.soft.deliveries.remove(&seq);
                let prepared = ScalePrepared { scale: seq, object: object.clone(), rendered };
                self.record(Fact::ScalePrepared(prepared), now, batch);
            }
            RolloutReport::Stepped { .. } | RolloutReport::Complete { .. } => {
                self.finish_scale(object, seq, end(Outcome::Complete, String::new()), now, batch);
            }
            RolloutReport::Failed { reason, .. } => {
                self.finish_scale(object, seq, end(Outcome::Failed, reason), now, batch);
            }
            // The plan says whether it goes on.
            RolloutReport::Cancelled => {}
            RolloutReport::Transient { reason, retry_after } => {
                self.try_again(seq, reason, retry_after, now);
            }
            RolloutReport::Running { .. } => {
                let reason = "the target said that it works on it elsewhere".to_owned();
                self.try_again(seq, reason, None, now);
            }
        }
    }

    pub(super) fn finish_scale(
        &mut self,
        object: &ObjectKey,
        scale: Seq,
        end: End,
        now: Now,
        batch: &mut Batch,
    ) {
        self.soft.deliveries.remove(&scale);
        self.admission.give_back(&Scarce::Rollouts);
        let (object, End { outcome, reason, .. }) = (object.clone(), end);
        let fact = Fact::ScaleFinished(ScaleFinished { scale, object, outcome, reason });
        self.record(fact, now, batch);
    }
}
