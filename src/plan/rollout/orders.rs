//! What operators ordered (rules D41 to D48).

use std::sync::Arc;
use std::time::Duration;

use crate::desired::Workload;
use crate::effective::{self, Asked, Wanted};
use crate::fact::{Ordered, RolloutCause, RolloutImage, RolloutStarted, RolloutStep};
use crate::names::{ContentHash, Seq};
use crate::observed::rollout::{Order, Pinned, Rollout};

use super::super::hold::Behind;
use super::super::{HeldReason, Plan, Step, View};
use super::{Planning, with_previous};

impl Planning<'_> {
    /// What an operator ordered is rolled out: no gate and no hold is in its way.
    pub(super) fn ordered(&self, workload: &Workload, order: &Order) -> Plan {
        if let Some(paused) = self.paused(workload, None) {
            return paused;
        }
        match order.order {
            Ordered::Latest { again: true } if self.pinned(workload).is_some() => {
                // What runs, and not what git says meanwhile (rule D48).
                match self.state.active() {
                    Some(runs) => self.once_more(runs.seq, false),
                    None => self.latest(workload, true),
                }
            }
            Ordered::Latest { again } => self.latest(workload, again),
            Ordered::Retry { rollout } => self.once_more(rollout, true),
            Ordered::Undo { rollout, .. } => self.once_more(rollout, false),
        }
    }

    fn latest(&self, workload: &Workload, again: bool) -> Plan {
        let View { desired, policy, observed, .. } = self.view;
        let asked = if again { Asked::ByTriggers } else { Asked::ByOperator };
        let mut wanted = match effective::wanted(workload, (desired, policy), observed, asked) {
            Ok(wanted) => wanted,
            Err(waiting) => return self.held(self.why(waiting)),
        };
        if again && let Some(runs) = self.state.active().or(self.state.last()) {
            keep_images(&mut wanted, runs);
        }
        let target = effective::target_of(workload, policy);
        if !self.is_configured(&target) {
            return self.held(HeldReason::NoSuchTarget { target });
        }
        let Some(adopted) = &observed.adopted else { return Plan::default() };
        self.start(workload, wanted, RolloutCause::ManualChange, target, adopted)
    }

    /// The manifest of an earlier rollout, byte for byte: it is in the object store.
    fn once_more(&self, rollout: Seq, same_number: bool) -> Plan {
        let Some(earlier) = self.state.rollouts.iter().find(|known| known.seq == rollout) else {
            return self.held(HeldReason::NoSuchRollout { rollout });
        };
        let target = &earlier.started.target;
        if !self.is_configured(target) {
            return self.held(HeldReason::NoSuchTarget { target: target.clone() });
        }
        let last = self.state.last();
        let (revision, cause, replaces) = if same_number {
            (earlier.started.revision, earlier.started.cause, Some(rollout))
        } else {
            let replaces = last.filter(|last| last.end.is_some()).map(|last| last.seq);
            (self.state.latest_revision.next(), RolloutCause::ManualChange, replaces)
        };
        let allowed = |deadline: crate::time::Timestamp| deadline.since(earlier.at);
        let deadline = earlier.started.deadline.map(allowed);
        let started = RolloutStarted {
            revision,
            cause,
            replaces,
            images: with_previous(earlier.started.images.clone(), self.state.active()),
            epoch: self.view.observed.epoch,
            steps: self.again(earlier),
            force: self.is_forced(),
            deadline: deadline.map(|allowed: Duration| self.view.now.wall.after(allowed)),
            ..earlier.started.clone()
        };
        Plan::step(Step::Start { rollout: Box::new(started), manifest: Arc::from([]) })
    }

    /// Whether an operator ordered to take over what somebody edited (rule R22).
    pub(super) fn is_forced(&self) -> bool {
        self.state.order.as_ref().is_some_and(|order| order.force)
    }

    /// The steps of an earlier rollout, when something runs that it takes the place of.
    fn again(&self, earlier: &Rollout) -> Vec<RolloutStep> {
        let runs = self.may_run();
        if runs && !earlier.started.over.is_empty() {
            return earlier.started.over.clone();
        }
        let mut steps = earlier.started.steps.clone();
        let comes_after =
            |step: &RolloutStep| matches!(step, RolloutStep::MidHook | RolloutStep::StartingNew);
        let after = steps.iter().position(comes_after);
        if let Some(at) = after.filter(|_| runs && !steps.contains(&RolloutStep::StoppingOld)) {
            steps.insert(at, RolloutStep::StoppingOld);
        }
        steps
    }

    /// Why nothing is rolled out, where an operator or git paused it.
    pub(super) fn paused(&self, workload: &Workload, waits: Option<Behind>) -> Option<Plan> {
        let by_operator = self.state.paused.as_ref().or(self.view.observed.paused.as_ref());
        match by_operator {
            Some(paused) => {
                let (by, since) = (paused.by.clone(), paused.at);
                let all = self.state.paused.is_none();
                Some(self.held(HeldReason::PausedBy { by, since, all, waits }))
            }
            None if workload.paused => Some(self.held(HeldReason::Paused { waits })),
            None => None,
        }
    }

    /// What a pause keeps from being rolled out.
    pub(super) fn behind(&self, wanted: &Wanted, cause: RolloutCause) -> Behind {
        let runs = self.state.active().map(|active| active.started.images.as_slice());
        let change = |image: &RolloutImage| {
            let mut known = runs.into_iter().flatten();
            let old = known.find(|known| known.container == image.container)?.digest;
            let new = image.digest.filter(|new| old.as_ref() != Some(new))?;
            Some((image.container.clone(), old, new))
        };
        Behind { cause, images: wanted.images.iter().filter_map(change).collect() }
    }

    /// Whether an operator went back to a revision and git says of the object what it said then.
    pub(super) fn pinned(&self, workload: &Workload) -> Option<&Pinned> {
        let basis = basis(workload);
        self.state.pinned.as_ref().filter(|pinned| pinned.basis == basis)
    }
}

/// What git says of a workload, as a hash: what an operator put over it lasts until this changes (rule D48).
#[must_use]
pub fn basis(workload: &Workload) -> ContentHash {
    ContentHash::of(workload.manifest.as_bytes())
}

/// Whether git says whether a workload is paused: then only git changes it (rule D46).
#[must_use]
pub fn says_paused(workload: &Workload) -> bool {
    let manifest: Result<serde_json::Value, _> = serde_json::from_str(&workload.manifest);
    manifest.is_ok_and(|manifest| manifest.pointer("/spec/paused").is_some())
}

/// Puts the images of a rollout in the place of those that triggers set (`rollout latest --again`).
fn keep_images(wanted: &mut Wanted, last: &Rollout) {
    for image in &mut wanted.images {
        let is_it = |known: &&crate::fact::RolloutImage| known.container == image.container;
        let kept = last.started.images.iter().find(is_it);
        if let Some(kept) = kept.filter(|_| wanted.triggered.contains_key(&image.container)) {
            image.reference.clone_from(&kept.reference);
            image.digest = kept.digest;
        }
    }
}
