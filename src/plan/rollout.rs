//! When a workload is rolled out, restored, stopped, or waits (rules D16 to D25, D51, T25 to T33).

mod gates;
mod jobs;
mod orders;
mod scale;
mod steps;

pub(crate) use jobs::started as job_of;
pub use orders::{basis, says_paused};

use std::sync::Arc;

use crate::desired::{Container, Workload};
use crate::effective::{self, Asked, Waiting, Wanted};
use crate::fact::{
    Fact, HoldReleased, Ordered, Outcome, Rejected, Release, RemovalFate, RolloutCause,
    RolloutImage, RolloutStarted, RolloutSuperseded, StopStarted, TriggerFired, TriggerOutcome,
};
use crate::limits::ROLLOUT_TIMEOUT;
use crate::names::{ContentHash, Incarnation, ObjectKey, Revision, Seq, TargetName};
use crate::observed::rollout::{Hold, Order, Pinned, Rollout, Stop, WorkloadState};
use crate::observed::soft::DeliverySoft;
use crate::observed::{Adopted, Presence};
use crate::sabotage::{self, Bug};
use crate::time::{Span, Timestamp};

use super::hold;
use super::{Held, HeldReason, Plan, Step, View};
use steps::Course;

/// Plans one workload.
pub(super) fn plan(view: &View<'_>, object: &ObjectKey) -> Plan {
    let empty = WorkloadState::default();
    let state = view.observed.workloads.get(object).unwrap_or(&empty);
    let known = view.observed.objects.get(object);
    let (incarnation, presence) = known
        .map_or((Incarnation(1), Presence::Present), |known| (known.incarnation, known.presence));
    let planning = Planning { view, object, state, incarnation };
    if let Some(stop) = state.stopping() {
        return planning.deliver_stop(stop);
    }
    if let Some(scale) = state.scaling() {
        return planning.scaling(scale, presence);
    }
    let rollout = match (view.desired.workloads.get(object), presence) {
        (
            Some(workload),
            Presence::Present | Presence::Removed { fate: RemovalFate::Held { .. }, .. },
        ) => planning.present(workload),
        (_, Presence::Removed { at, fate: RemovalFate::Pruned }) => planning.removed(at),
        (_, Presence::Removed { fate: RemovalFate::Kept, .. }) => planning.kept(),
        (None, Presence::Present | Presence::Removed { .. }) => planning.missing(),
    };
    planning.with_jobs(rollout)
}

struct Planning<'a> {
    view: &'a View<'a>,
    object: &'a ObjectKey,
    state: &'a WorkloadState,
    incarnation: Incarnation,
}

impl Planning<'_> {
    fn held(&self, reason: HeldReason) -> Plan {
        Plan::held(Held { object: self.object.clone(), reason, until: None })
    }

    fn held_until(&self, reason: HeldReason, until: Option<Timestamp>) -> Plan {
        let plan = Plan::held(Held { object: self.object.clone(), reason, until });
        plan.also_due(until.map(|until| self.view.now.mono_at(until)))
    }

    /// The object is in git.
    fn present(&self, workload: &Workload) -> Plan {
        match self.state.running() {
            Some(running) => self.running(workload, running),
            None => match self.restore() {
                Some(plan) => plan,
                None => self.scaled(workload, self.converge(workload)),
            },
        }
    }

    /// A rollout has not ended: go on with it, unless something else is wanted by now (rule D16).
    fn running(&self, workload: &Workload, running: &Rollout) -> Plan {
        if running.superseded.is_some() {
            return self.cancel(running);
        }
        let restoring = running.started.cause == RolloutCause::Restore;
        if !restoring
            && self.paused(workload, None).is_none()
            && self.pinned(workload).is_none()
            && let Ok(wanted) = self.wanted(workload)
            && let Some(cause) = self.differs(workload, &wanted, running)
            && self.state.hold(&wanted.digests(), wanted.template).is_none()
        {
            // What may not follow yet does not end what runs.
            let Some((_, until)) = self.gate(workload, &wanted, cause) else {
                let reason = "newer deployment was found running".to_owned();
                return self.supersede(running, reason);
            };
            let due = until.map(|until| self.view.now.mono_at(until));
            return self.deliver(running, workload.retries).also_due(due);
        }
        self.deliver(running, workload.retries)
    }

    fn wanted(&self, workload: &Workload) -> Result<Wanted, Waiting> {
        let View { desired, policy, observed, .. } = self.view;
        effective::wanted(workload, (desired, policy), observed, Asked::ByTriggers)
    }

    fn supersede(&self, running: &Rollout, reason: String) -> Plan {
        let (rollout, object) = (running.seq, self.object.clone());
        let fact = Fact::RolloutSuperseded(RolloutSuperseded { rollout, object, reason, by: None });
        Plan::step(Step::Record(Box::new(fact)))
    }

    /// Ends the action that delivers a superseded rollout; without one there is nobody left to report its end.
    fn cancel(&self, running: &Rollout) -> Plan {
        if let Some(plan) = self.step(running, crate::limits::ROLLOUT_RETRIES) {
            return plan;
        }
        let rollout = running.seq;
        match self.view.soft.deliveries.get(&rollout) {
            Some(delivery) if delivery.in_flight && delivery.cancelled => Plan::default(),
            Some(delivery) if delivery.in_flight => Plan::step(Step::Cancel(rollout)),
            Some(_) | None => {
                let reason = running.superseded.clone().unwrap_or_default();
                let outcome = running.when_ended();
                Plan::step(Step::Finish { rollout, outcome, reason, rolled_back: None })
            }
        }
    }

    /// Gives a rollout to its target, asks how it goes on, or gives up when its retries are used up or its time is over
    /// (rules T14, T25, R30).
    fn deliver(&self, running: &Rollout, retries: u32) -> Plan {
        if let Some(plan) = self.step(running, retries) {
            return plan;
        }
        let Some(delivery) = self.view.soft.deliveries.get(&running.seq) else {
            if sabotage::is(Bug::ForgetRunning) {
                return Plan::default();
            }
            return Plan::step(Step::Deliver(running.seq));
        };
        if delivery.in_flight {
            return Plan::default();
        }
        // What the target accepted is not given up because asking about it did not get through.
        let used_up = delivery.failures > retries && delivery.status_url.is_none();
        self.go_on(running.seq, &running.started.target, delivery, used_up)
            .unwrap_or_else(|| Plan::step(Step::Deliver(running.seq)))
    }

    /// Gives up, waits, or asks how it goes on; nothing if it is to be delivered now, again.
    fn go_on(
        &self,
        seq: Seq,
        target: &TargetName,
        delivery: &DeliverySoft,
        used_up: bool,
    ) -> Option<Plan> {
        let now = self.view.now.mono;
        let timeout = self.view.policy.targets.get(target).copied().unwrap_or(ROLLOUT_TIMEOUT);
        let deadline = delivery.first.after(timeout);
        if now >= deadline || used_up {
            let within = Span(timeout);
            let reason = match (&delivery.reason, &delivery.status_url) {
                (_, Some(_)) => format!("the target did not finish within {within}"),
                (Some(why), None) if used_up => {
                    format!("not delivered in {}: {why}", attempts(delivery.failures))
                }
                (Some(why), None) => {
                    let attempts = attempts(delivery.failures);
                    format!("not delivered within {within}, in {attempts}: {why}")
                }
                (None, None) => format!("not delivered within {within}"),
            };
            return Some(Plan::step(Step::Finish {
                rollout: seq,
                outcome: Outcome::Failed,
                reason,
                rolled_back: None,
            }));
        }
        if now < delivery.not_before {
            return Some(Plan::due(delivery.not_before.min(deadline)));
        }
        delivery.status_url.as_ref().map(|_| Plan::step(Step::Ask(seq)))
    }

    /// What makes the last rollout of this life other than what is wanted.
    fn differs(
        &self,
        workload: &Workload,
        wanted: &Wanted,
        last: &Rollout,
    ) -> Option<RolloutCause> {
        let again =
            sabotage::is(Bug::RollOutAgain) && self.view.observed.last_seq.0.is_multiple_of(7);
        if again {
            return Some(RolloutCause::ImageChange);
        }
        let cause = wanted.cause(workload, last, self.view.policy.strict_openshift);
        cause.or_else(|| self.is_rescheduled(workload, last).then_some(RolloutCause::ConfigChange))
    }

    /// After a failure: the last complete revision is put back (rules D22, R7).
    ///
    /// Once, if that fails; again, if it was ended from outside: nobody knows what it left behind.
    fn restore(&self) -> Option<Plan> {
        let last = self.state.last()?;
        if last.end.as_ref()?.rolled_back.is_some() {
            return None; // its target did it
        }
        let is_restore = last.started.cause == RolloutCause::Restore;
        match last.outcome()? {
            Outcome::Failed if !is_restore => {}
            Outcome::Cancelled if is_restore => {}
            Outcome::Failed | Outcome::Cancelled | Outcome::Complete => return None,
        }
        let previous = self.state.active()?;
        let started = RolloutStarted {
            cause: RolloutCause::Restore,
            replaces: Some(last.seq),
            images: with_previous(previous.started.images.clone(), Some(last)),
            epoch: self.view.observed.epoch,
            steps: Vec::new(),
            deadline: None,
            keeps: last.started.keeps,
            force: false,
            ..previous.started.clone()
        };
        let rollout = Box::new(started);
        // The manifest is in the object store since the revision was first rolled out.
        Some(Plan::step(Step::Start { rollout, manifest: Arc::from([]) }))
    }

    /// Nothing runs: is what was rolled out last what is wanted?
    fn converge(&self, workload: &Workload) -> Plan {
        if let Some(order) = &self.state.order {
            return self.ordered(workload, order);
        }
        if let Some(pinned) = self.pinned(workload) {
            return self.went_back(workload, pinned);
        }
        let wanted = match self.wanted(workload) {
            Ok(wanted) => wanted,
            Err(waiting) => return self.held(self.why(waiting)),
        };
        let last = self.state.last();
        let differs = match last {
            None => Some(RolloutCause::ConfigChange), // rule D18: the first rollout
            Some(last) if last.outcome() == Some(Outcome::Cancelled) => {
                // Nobody knows what it left behind.
                Some(self.differs(workload, &wanted, last).unwrap_or(last.started.cause))
            }
            Some(last) => self.differs(workload, &wanted, last),
        };
        let failed = last.filter(|last| last.outcome() == Some(Outcome::Failed));
        if let Some(hold) = self.state.hold(&wanted.digests(), wanted.template)
            && (differs.is_some() || failed.is_some())
        {
            return self.held_back(workload, hold);
        }
        // A failed rollout without a hold was released by an operator: it is tried again (rule T25).
        let Some(cause) = differs.or(failed.map(|_| RolloutCause::ManualChange)) else {
            let steps = self.fired(workload, &TriggerOutcome::AlreadyRunning);
            return Plan { steps, ..Plan::default() };
        };
        if workload.triggers.is_empty() && !workload.config_change {
            return self.held(HeldReason::NoTrigger);
        }
        if let Some(paused) = self.paused(workload, Some(self.behind(&wanted, cause))) {
            return paused;
        }
        if let Some(plan) = self.settling(workload) {
            return plan;
        }
        // What an unfinished rollout left behind does not wait.
        let unknown = |last: &Rollout| {
            let end = last.end.as_ref();
            last.outcome() == Some(Outcome::Cancelled)
                && end.is_some_and(|end| end.rolled_back != Some(true))
        };
        if !last.is_some_and(unknown)
            && let Some((gate, until)) = self.gate(workload, &wanted, cause)
        {
            return self.gated(gate, until);
        }
        let target = effective::target_of(workload, self.view.policy);
        if !self.is_configured(&target) {
            return self.held(HeldReason::NoSuchTarget { target });
        }
        let Some(adopted) = &self.view.observed.adopted else { return Plan::default() };
        self.start(workload, wanted, cause, target, adopted)
    }

    /// What is wanted failed here before; what triggers saw meanwhile is recorded once (rules T25, T32).
    fn held_back(&self, workload: &Workload, hold: &Hold) -> Plan {
        let failed = self.state.rollouts.iter().find(|known| known.seq == hold.rollout);
        let is_restore = |rollout: &&Rollout| rollout.started.cause == RolloutCause::Restore;
        let why = hold.reason.clone();
        // A restore that failed last says more than the failure that led to it: nobody knows what runs.
        let mut plan = self.held(if let Some(why) = self.state.restore_failed() {
            HeldReason::RestoreFailed { why: why.to_owned() }
        } else if failed.as_ref().is_some_and(is_restore) {
            HeldReason::RestoreFailed { why }
        } else {
            let revision = failed.map_or(Revision(0), |rollout| rollout.started.revision);
            hold::failed(hold, revision)
        });
        plan.steps = self.fired(workload, &TriggerOutcome::Held);
        plan
    }

    /// An operator went back: what triggers see meanwhile is recorded, and leads to nothing (rule D48).
    fn went_back(&self, workload: &Workload, pinned: &Pinned) -> Plan {
        let Pinned { at, revision, by, .. } = pinned.clone();
        let failed = self.state.last().and_then(|last| {
            let end = last.end.as_ref().filter(|end| end.outcome == Outcome::Failed)?;
            Some(end.reason.clone())
        });
        let mut plan = self.held(HeldReason::WentBack { revision, by, since: at, failed });
        plan.steps = self.fired(workload, &TriggerOutcome::Held);
        plan
    }

    /// A tag of this workload that the adopted commit changed is still being imported (rule T27).
    fn settling(&self, workload: &Workload) -> Option<Plan> {
        let adopted = self.view.observed.adopted.as_ref()?;
        let until = adopted.at.after(self.view.policy.settle);
        if self.view.now.wall >= until || self.view.now.wall < adopted.at {
            return None;
        }
        let pending = |tag: &crate::names::StreamTag| {
            self.view.observed.tag(tag).is_some_and(crate::observed::tag_history::TagState::is_due)
        };
        let automatic = || workload.triggers.iter().filter(|trigger| trigger.automatic);
        let is_set = |container: &&Container| {
            automatic().any(|trigger| trigger.containers.contains(&container.container))
        };
        // A name that is looked up is rolled out as what it means, which is not known before that.
        let named = workload.containers.iter().filter(|container| !is_set(container));
        let named = named
            .filter_map(|container| effective::looked_up(workload, container, self.view.desired));
        let watched = automatic().map(|trigger| trigger.from.clone());
        let tag = watched.chain(named).find(|tag| pending(tag))?;
        Some(self.held_until(HeldReason::Settling { tag }, Some(until)))
    }

    fn start(
        &self,
        workload: &Workload,
        wanted: Wanted,
        cause: RolloutCause,
        target: TargetName,
        adopted: &Adopted,
    ) -> Plan {
        let revision = self.state.latest_revision.next();
        let manifest: Arc<[u8]> = effective::render(workload, &wanted.images).into();
        let Course { steps, over, deadline, size, tags, names, cron } =
            match self.course(&target, &manifest) {
                Ok(course) => course,
                Err(held) => return held,
            };
        let last = self.state.last();
        let rollout = RolloutStarted {
            object: self.object.clone(),
            incarnation: self.incarnation,
            revision,
            cause,
            commit: adopted.commit,
            replaces: last.filter(|l| l.outcome() != Some(Outcome::Complete)).map(|last| last.seq),
            template: wanted.template,
            manifest: ContentHash::of(&manifest),
            images: with_previous(wanted.images, self.state.active()),
            target,
            epoch: self.view.observed.epoch,
            steps,
            over,
            deadline,
            keeps: workload.history,
            size,
            tags,
            names,
            cron,
            force: self.is_forced(),
        };
        let mut steps = self.releases(&rollout);
        steps.extend(self.fired(workload, &TriggerOutcome::Rollout(revision)));
        steps.push(Step::Start { rollout: Box::new(rollout), manifest });
        Plan { steps, ..Plan::default() }
    }

    /// Holds end when something else is rolled out (rule T25).
    fn releases(&self, rollout: &RolloutStarted) -> Vec<Step> {
        // What an order leaves held stays held.
        if self.state.holds.is_empty() || self.state.order.is_some() {
            return Vec::new();
        }
        let other_template = self.state.holds.iter().all(|hold| hold.template != rollout.template);
        let because = if other_template { Release::NewTemplate } else { Release::NewImages };
        let object = self.object.clone();
        vec![Step::Record(Box::new(Fact::HoldReleased(HoldReleased { object, because })))]
    }

    /// One record for each tag event that a trigger has not seen yet: never twice for the same one (rule T32).
    fn fired(&self, workload: &Workload, outcome: &TriggerOutcome) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut done = std::collections::BTreeSet::new();
        let ordered =
            matches!(self.state.order, Some(Order { order: Ordered::Latest { again: false }, .. }));
        for (index, trigger) in workload.triggers.iter().enumerate() {
            if !trigger.automatic && !ordered || !done.insert(&trigger.from) {
                continue;
            }
            let Some(item) = effective::image_of(self.view.observed, &trigger.from) else {
                continue;
            };
            let Some(new) = item.event.image else { continue };
            let seen = self.state.seen.get(&trigger.from);
            if seen.is_some_and(|seen| seen.event == item.seq) {
                continue;
            }
            steps.push(Step::Record(Box::new(Fact::TriggerFired(TriggerFired {
                object: self.object.clone(),
                trigger: u32::try_from(index).unwrap_or(u32::MAX),
                from: trigger.from.clone(),
                event: item.seq,
                old: seen.map(|seen| seen.image),
                new,
                outcome: outcome.clone(),
            }))));
        }
        steps
    }

    fn why(&self, waiting: Waiting) -> HeldReason {
        match waiting {
            Waiting::Image { tag } => {
                let why = self.view.why_no_image(&tag);
                HeldReason::WaitingForImage { tag, why }
            }
            Waiting::Reference { tag } => HeldReason::NoDigest { tag },
            Waiting::Foreign { tag } => HeldReason::CrossNamespace { tag },
            Waiting::Manual { tag } => HeldReason::WaitingForOrder { tag },
            Waiting::Blank { container } => {
                HeldReason::BlankImage { container: container.to_string() }
            }
        }
    }

    /// The object is no longer in git and is stopped after the grace time (rule D51).
    fn removed(&self, at: Timestamp) -> Plan {
        if let Some(running) = self.state.running() {
            if running.superseded.is_some() {
                return self.cancel(running);
            }
            return self.supersede(running, "removed from git".to_owned());
        }
        let Some(last) = self.state.last() else { return Plan::default() };
        // What runs is the last complete revision; without one, whatever the last attempt left behind.
        let rollout = self.state.active().unwrap_or(last);
        let target = &rollout.started.target;
        if !self.is_configured(target) {
            return self.held(HeldReason::NoTargetToStop { target: target.clone() });
        }
        if let Some(stop) = &self.state.stop
            && let Some(end) = &stop.end
            && end.outcome != Outcome::Complete
        {
            return self.held(HeldReason::StopFailed { why: end.reason.clone() });
        }
        if let Some(held) = self.is_back_but_invalid() {
            return held;
        }
        let until = at.after(self.view.policy.prune_grace);
        if self.view.now.wall < until {
            return self.held_until(HeldReason::Grace, Some(until));
        }
        Plan::step(Step::Stop(Box::new(StopStarted {
            object: self.object.clone(),
            incarnation: rollout.started.incarnation,
            rollout: rollout.seq,
            manifest: rollout.started.manifest,
            target: rollout.started.target.clone(),
            epoch: self.view.observed.epoch,
        })))
    }

    /// Git has it again, in a version that is invalid: what is in git is not stopped (rules D7, D51).
    fn is_back_but_invalid(&self) -> Option<Plan> {
        let adopted = self.view.observed.adopted.as_ref()?;
        let is_it = |rejected: &&Rejected| rejected.object.as_ref() == Some(self.object);
        let Rejected { position, message, kept, .. } = adopted.rejected.iter().find(is_it)?.clone();
        Some(self.held(HeldReason::Rejected { position, message, kept }))
    }

    fn kept(&self) -> Plan {
        match self.state.running() {
            Some(running) if running.superseded.is_some() => self.cancel(running),
            Some(running) => self.supersede(running, "removed from git".to_owned()),
            None if self.state.last().is_some() => self.held(HeldReason::KeptRunning),
            None => Plan::default(),
        }
    }

    /// In force, but the adopted commit as read now does not have it: nothing is ever stopped for that (law 7).
    fn missing(&self) -> Plan {
        match self.state.running() {
            Some(running) if running.superseded.is_some() => self.cancel(running),
            Some(running) => self.deliver(running, crate::limits::ROLLOUT_RETRIES),
            None if self.state.last().is_some() => self.held(HeldReason::NotUnderstood),
            None => Plan::default(),
        }
    }

    /// Gives a stop to its target, as often as its time allows: to stop twice harms nobody.
    ///
    /// It ends in any case, because it takes the place of a rollout.
    fn deliver_stop(&self, stop: &Stop) -> Plan {
        let (seq, target) = (stop.seq, &stop.started.target);
        let delivery = self.view.soft.deliveries.get(&seq);
        if delivery.is_some_and(|delivery| delivery.in_flight) {
            return Plan::default();
        }
        if !self.is_configured(target) {
            let reason = format!("there is no target `{target}` in the configuration");
            let (rollout, outcome) = (seq, Outcome::Failed);
            return Plan::step(Step::Finish { rollout, outcome, reason, rolled_back: None });
        }
        delivery
            .and_then(|delivery| self.go_on(seq, target, delivery, false))
            .unwrap_or_else(|| Plan::step(Step::DeliverStop(seq)))
    }

    fn is_configured(&self, target: &TargetName) -> bool {
        self.view.policy.targets.contains_key(target) || *target == effective::no_target()
    }
}

fn attempts(count: u32) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} attempt{s}")
}

/// The images with the digests that ran before.
fn with_previous(mut images: Vec<RolloutImage>, before: Option<&Rollout>) -> Vec<RolloutImage> {
    for image in &mut images {
        let old = before.and_then(|rollout| {
            rollout.started.images.iter().find(|old| old.container == image.container)
        });
        image.previous = old.and_then(|old| old.digest);
    }
    images
}
