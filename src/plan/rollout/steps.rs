//! A rollout at a target that is told each step (rules R3, R4, R6).

use crate::fact::{CronSpec, Ending, Fact, Outcome, RolloutStep, RolloutStepped, TagImages};
use crate::limits::ROLLBACK_RETRIES;
use crate::names::{Kind, Seq, TargetName};
use crate::observed::rollout::{Rollout, Stepped};
use crate::pods::{self, Pods, Unsupported};
use crate::time::Timestamp;

use super::super::{HeldReason, Plan, Step};
use super::{Planning, attempts};

/// What a rollout does at a target that is told each step; nothing elsewhere.
#[derive(Default)]
pub(super) struct Course {
    pub(super) steps: Vec<RolloutStep>,
    /// The same where something runs, if nothing does.
    pub(super) over: Vec<RolloutStep>,
    /// When it is given up.
    pub(super) deadline: Option<Timestamp>,
    /// How many instances it has.
    pub(super) size: Option<u32>,
    pub(super) tags: Vec<TagImages>,
    pub(super) names: Vec<String>,
    /// When it runs, where it is a `CronJob`.
    pub(super) cron: Option<CronSpec>,
}

impl Planning<'_> {
    /// What becomes of a rollout that begins.
    ///
    /// # Errors
    /// Why it waits: it asks for what its target does not do.
    pub(super) fn course(&self, target: &TargetName, manifest: &[u8]) -> Result<Course, Plan> {
        if !self.view.policy.hosts.contains(target) {
            return Ok(Course::default());
        }
        let held = |why: Unsupported| {
            self.held(HeldReason::Unsupported { target: target.clone(), why: why.to_string() })
        };
        let pods = Pods::read(self.object, manifest).map_err(held)?;
        let known = self.view.desired.configs.get(&self.object.namespace);
        if let Some(why) = pods.lacks(|name| known.and_then(|known| known.get(name))) {
            return Err(self.held(HeldReason::ConfigMissing { why }));
        }
        if self.object.kind == Kind::CronJob {
            let cron = Some(pods::cron(manifest).map_err(held)?);
            return Ok(Course { cron, ..Course::default() });
        }
        let is_first = !self.may_run();
        let is_unit = self.view.policy.units.contains(target);
        if is_unit {
            pods.check_unit().map_err(held)?;
        }
        let steps = |first| if is_unit { pods.course_of_unit(first) } else { pods.course(first) };
        let services = self.view.desired.services.get(&self.object.namespace);
        Ok(Course {
            steps: steps(is_first),
            over: if is_first { steps(false) } else { Vec::new() },
            deadline: Some(self.view.now.wall.after(pods.deadline)),
            size: Some(pods.replicas),
            tags: pods.tags(),
            names: services.map(|services| pods.names_by(services)).unwrap_or_default(),
            cron: None,
        })
    }

    /// Whether something of the object may run on its host: the last complete revision, or what could not be put back.
    pub(super) fn may_run(&self) -> bool {
        let active = self.state.active();
        active.is_some_and(|active| active.rendered.is_some())
            || self.state.restore_failed().is_some()
    }

    /// What is next for a rollout that is told step by step; nothing if it is not.
    pub(super) fn step(&self, running: &Rollout, retries: u32) -> Option<Plan> {
        let first = running.started.steps.first().copied()?;
        let Some(stepped) = &running.step else {
            // The record of the first step was lost with what followed it.
            return Some(self.take(running, first, None));
        };
        let now = self.view.now;
        let delivery = self.view.soft.deliveries.get(&running.seq);
        let in_flight = delivery.is_some_and(|delivery| delivery.in_flight);
        let rolls_back = stepped.step == RolloutStep::RollingBack;
        let deadline = running.started.deadline.filter(|_| !rolls_back);
        if let Some(ending) = self.to_end(running, stepped, deadline) {
            return Some(match delivery {
                Some(delivery) if in_flight && delivery.cancelled => Plan::default(),
                Some(_) if in_flight => Plan::step(Step::Cancel(running.seq)),
                _ => self.take(running, RolloutStep::RollingBack, Some(ending)),
            });
        }
        let due = deadline.map(|deadline| now.mono_at(deadline));
        if in_flight {
            return Some(Plan::default().also_due(due));
        }
        if running.started.tags_at(stepped.step).is_some() {
            return Some(match delivery {
                Some(delivery) if now.mono < delivery.not_before => {
                    Plan::due(delivery.not_before).also_due(due)
                }
                Some(_) | None => Plan::step(Step::TagImages(running.seq)).also_due(due),
            });
        }
        let deliver = Plan::step(Step::Deliver(running.seq)).also_due(due);
        let Some(delivery) = delivery else { return Some(deliver) };
        let retries = if rolls_back { ROLLBACK_RETRIES } else { retries };
        if delivery.failures > retries {
            let why = delivery.reason.clone().unwrap_or_default();
            let reason =
                format!("{} failed in {}: {why}", stepped.step, attempts(delivery.failures));
            return Some(self.give_up(running, stepped, reason));
        }
        if now.mono < delivery.not_before {
            return Some(Plan::due(delivery.not_before).also_due(due));
        }
        Some(deliver)
    }

    /// What kept it from going on last, as the end of a sentence.
    pub(super) fn last_trouble(&self, seq: Seq) -> String {
        let delivery = self.view.soft.deliveries.get(&seq);
        let why = delivery.and_then(|delivery| delivery.reason.as_ref());
        why.map(|why| format!("; it failed before: {why}")).unwrap_or_default()
    }

    /// Why a rollout does not go on.
    fn to_end(
        &self,
        running: &Rollout,
        stepped: &Stepped,
        deadline: Option<Timestamp>,
    ) -> Option<Ending> {
        if stepped.step == RolloutStep::RollingBack {
            return None;
        }
        let (outcome, reason) = match (&running.superseded, deadline) {
            (Some(why), _) => (running.when_ended(), why.clone()),
            (None, Some(deadline)) if self.view.now.wall >= deadline => {
                let allowed = crate::time::Span(deadline.since(running.at));
                let last = self.last_trouble(running.seq);
                (Outcome::Failed, format!("it was not done within {allowed}{last}"))
            }
            (None, _) => return None,
        };
        Some(Ending { step: stepped.step, outcome, reason, log: String::new() })
    }

    fn give_up(&self, running: &Rollout, stepped: &Stepped, reason: String) -> Plan {
        let outcome = Outcome::Failed;
        if stepped.step != RolloutStep::RollingBack {
            let (step, log) = (stepped.step, String::new());
            let ending = Ending { step, outcome, reason, log };
            return self.take(running, RolloutStep::RollingBack, Some(ending));
        }
        let before = stepped.ending.as_ref().map(|ending| ending.reason.as_str());
        let reason = format!("{}; {reason}", before.unwrap_or_default());
        let (rollout, rolled_back) = (running.seq, Some(false));
        Plan::step(Step::Finish { rollout, outcome, reason, rolled_back })
    }

    fn take(&self, running: &Rollout, step: RolloutStep, ending: Option<Ending>) -> Plan {
        let stepped = RolloutStepped {
            rollout: running.seq,
            object: self.object.clone(),
            step,
            rendered: None,
            note: String::new(),
            ending,
            down: None,
        };
        Plan::step(Step::Record(Box::new(Fact::RolloutStepped(Box::new(stepped)))))
    }
}
