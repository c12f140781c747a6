//! How many instances of what runs there are (rules D21, D22): a number that git changes starts no rollout.

use crate::desired::Workload;
use crate::fact::{Outcome, RemovalFate, RolloutCause, ScaleStarted};
use crate::observed::Presence;
use crate::observed::rollout::Scale;

use super::super::{Held, HeldReason, Plan, Step};
use super::Planning;

impl Planning<'_> {
    /// The plan, and the instances that what runs has too many or too few of, if nothing takes its place now.
    pub(super) fn scaled(&self, workload: &Workload, mut plan: Plan) -> Plan {
        let starts = |step: &Step| matches!(step, Step::Start { .. });
        if plan.steps.iter().any(starts) || self.paused(workload, None).is_some() {
            return plan; // D25
        }
        let Some(started) = self.astray(workload) else { return plan };
        let failed = self.state.scale.as_ref().filter(|scale| {
            let is_it = (scale.started.rollout, scale.started.to) == (started.rollout, started.to);
            is_it && scale.has_failed()
        });
        match failed.and_then(|scale| scale.end.as_ref()) {
            Some(end) => {
                let (from, to, why) = (started.from, started.to, end.reason.clone());
                let reason = HeldReason::ScaleFailed { from, to, why };
                plan.held.push(Held { object: self.object.clone(), reason, until: None });
            }
            None => plan.steps.push(Step::Scale(Box::new(started))),
        }
        plan
    }

    /// What would make it so many instances as git wants; nothing where it is so, or where nobody knows what runs. What was
    /// broken off may have left some, or taken some away: then the number that there should be is made so again.
    fn astray(&self, workload: &Workload) -> Option<ScaleStarted> {
        let last = self.state.last()?;
        let end = last.end.as_ref()?;
        let is_known = match end.outcome {
            Outcome::Complete => true,
            Outcome::Failed | Outcome::Cancelled => end.rolled_back == Some(true),
        };
        if !is_known || last.started.cause == RolloutCause::Restore {
            return None;
        }
        let active = self.state.active()?;
        let (from, to) = (active.size()?, workload.scale?);
        let target = active.started.target.clone();
        let is_so = from == to && active.unfinished.is_empty();
        if is_so || active.rendered.is_none() || !self.view.policy.hosts.contains(&target) {
            return None;
        }
        Some(ScaleStarted {
            object: self.object.clone(),
            incarnation: active.started.incarnation,
            rollout: active.seq,
            from,
            to,
            target,
            epoch: self.view.observed.epoch,
        })
    }

    /// Instances are being added or removed: that goes on, unless something else is wanted by now.
    pub(super) fn scaling(&self, scale: &Scale, presence: Presence) -> Plan {
        let delivery = self.view.soft.deliveries.get(&scale.seq);
        let is_wanted = self.is_wanted(scale, presence);
        if let Some(delivery) = delivery.filter(|delivery| delivery.in_flight) {
            return match is_wanted || delivery.cancelled {
                true => Plan::default(),
                false => Plan::step(Step::Cancel(scale.seq)),
            };
        }
        let finish = |outcome, reason: String| {
            let (rollout, rolled_back) = (scale.seq, None);
            Plan::step(Step::Finish { rollout, outcome, reason, rolled_back })
        };
        if !is_wanted {
            return finish(Outcome::Cancelled, "something else is wanted by now".to_owned());
        }
        let target = &scale.started.target;
        if !self.is_configured(target) {
            let why = format!("there is no target `{target}` in the configuration");
            return finish(Outcome::Failed, why);
        }
        let retries = self.view.desired.workloads.get(self.object).map_or(0, |known| known.retries);
        delivery
            .and_then(|delivery| {
                let used_up = delivery.failures > retries;
                self.go_on(scale.seq, target, delivery, used_up)
            })
            .unwrap_or_else(|| Plan::step(Step::DeliverScale(scale.seq)))
    }

    /// Whether git still wants so many, and nothing that takes the place of what runs.
    fn is_wanted(&self, scale: &Scale, presence: Presence) -> bool {
        let Some(workload) = self.view.desired.workloads.get(self.object) else {
            return presence == Presence::Present; // not understood: nothing is undone for that
        };
        let is_number = workload.scale.is_none_or(|to| to == scale.started.to);
        let is_there = match presence {
            Presence::Present => true,
            Presence::Removed { fate, .. } => matches!(fate, RemovalFate::Held { .. }),
        };
        if !is_number || !is_there || self.paused(workload, None).is_some() {
            return false;
        }
        let plan = self.converge(workload);
        !plan.steps.iter().any(|step| matches!(step, Step::Start { .. }))
    }
}
