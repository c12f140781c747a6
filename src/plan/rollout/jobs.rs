//! When a `CronJob` runs (rule R17a).
//!
//! As Kubernetes has it: of times that were missed only the last one is made up for, and only if `startingDeadlineSeconds`
//! allows it; without that however late it is, as somebody who has a backup each night wants one after a night without
//! power, and one is enough. Other than there, what lay before a schedule was in force was not missed: who changes it
//! does not start a run.

use crate::desired::Workload;
use crate::effective;
use crate::fact::{Concurrency, CronSpec, Fact, JobEnding, JobMissed, JobStarted, Outcome};
use crate::limits::{JOB_AHEAD_MAX, JOBS_RUNNING_MAX};
use crate::observed::job::{Job, Jobs};
use crate::observed::rollout::Rollout;
use crate::observed::soft::DeliverySoft;
use crate::pods;
use crate::time::{Span, Timestamp};

use super::super::{Held, HeldReason, Plan, Step};
use super::{Planning, attempts};

impl Planning<'_> {
    /// Whether git says another time, other limits or another host than what is in force.
    pub(super) fn is_rescheduled(&self, workload: &Workload, last: &Rollout) -> bool {
        let Some(known) = &last.started.cron else { return false };
        let target = effective::target_of(workload, self.view.policy);
        // What cannot be read is held where it would be rolled out.
        let is_other = pods::cron(workload.manifest.as_bytes()).map_or(true, |cron| cron != *known);
        (is_other || target != last.started.target) && self.view.policy.hosts.contains(&target)
    }

    /// What runs do, beside what becomes of the manifest.
    pub(super) fn with_jobs(&self, mut plan: Plan) -> Plan {
        // What comes into force first is what the next run is of; its record has this planned again.
        if plan.steps.iter().any(|step| matches!(step, Step::Start { .. })) {
            return plan;
        }
        let jobs = &self.state.jobs;
        let stops = plan.steps.iter().any(|step| matches!(step, Step::Stop(_)));
        if stops && jobs.running().next().is_some() {
            let goes_on = jobs.running().filter(|job| job.ending.is_none());
            let end = |job| self.end_job(job, Outcome::Cancelled, "removed from git".to_owned());
            plan = Plan { steps: goes_on.map(end).collect(), ..Plan::default() };
            if !plan.steps.is_empty() {
                return plan;
            }
        }
        for job in jobs.running() {
            plan = plan.and(self.job(job));
        }
        let is_ending = |step: &Step| {
            let Step::Record(fact) = step else { return false };
            matches!(**fact, Fact::JobEnding(_))
        };
        if stops || plan.steps.iter().any(is_ending) {
            return plan;
        }
        if let Some(active) = self.state.active()
            && let Some(cron) = &active.started.cron
        {
            plan = plan.and(self.next_job(active, cron, jobs));
            plan.held.extend(self.failed_job(jobs));
        }
        plan
    }

    fn end_job(&self, job: &Job, outcome: Outcome, reason: String) -> Step {
        let (object, name) = (self.object.clone(), job.started.name.clone());
        let ending = JobEnding { job: job.seq, object, name, outcome, reason };
        Step::Record(Box::new(Fact::JobEnding(ending)))
    }

    /// A run goes on, or is ended.
    fn job(&self, job: &Job) -> Plan {
        let now = self.view.now;
        let deadline = job.started.deadline.filter(|_| job.ending.is_none());
        if let Some(deadline) = deadline
            && now.wall >= deadline
        {
            let allowed = Span(deadline.since(job.at));
            let last = self.last_trouble(job.seq);
            let reason =
                format!("it was not done within {allowed} (`activeDeadlineSeconds`){last}");
            return Plan::step(self.end_job(job, Outcome::Failed, reason));
        }
        let due = deadline.map(|deadline| now.mono_at(deadline));
        let deliver = Plan::step(Step::DeliverJob(job.seq)).also_due(due);
        let Some(delivery) = self.view.soft.deliveries.get(&job.seq) else { return deliver };
        if delivery.in_flight {
            let is_to_end = job.ending.is_some() && !delivery.ends && !delivery.cancelled;
            let plan = if is_to_end { Plan::step(Step::Cancel(job.seq)) } else { Plan::default() };
            return plan.also_due(due);
        }
        let why = delivery.reason.clone().unwrap_or_default();
        // Nothing was started: that nothing comes of it is how it ended. What runs is asked for until somebody answers.
        if !job.created && job.ending.is_none() && self.is_used_up(delivery) {
            let reason = format!("not started in {}: {why}", attempts(delivery.failures));
            return Plan::step(self.end_job(job, Outcome::Failed, reason));
        }
        let begins_to_end = job.ending.is_some() && !delivery.ends;
        if now.mono < delivery.not_before && !begins_to_end {
            let name = job.started.name.clone();
            let held = self.held(HeldReason::JobTrouble { name, why });
            return held.also_due(Some(delivery.not_before)).also_due(due);
        }
        deliver
    }

    fn is_used_up(&self, delivery: &DeliverySoft) -> bool {
        let workload = self.view.desired.workloads.get(self.object);
        let retries = workload.map_or(crate::limits::ROLLOUT_RETRIES, |workload| workload.retries);
        delivery.failures > retries
    }

    /// The next run, where its time has come.
    fn next_job(&self, active: &Rollout, cron: &CronSpec, jobs: &Jobs) -> Plan {
        if cron.suspend {
            return self.held(HeldReason::Suspended);
        }
        let now = self.view.now;
        let schedule = match cron.timetable() {
            Ok(schedule) => schedule,
            Err(why) => {
                let (target, why) = (active.started.target.clone(), why.to_string());
                return self.held(HeldReason::Unsupported { target, why });
            }
        };
        let since = jobs.since.unwrap_or(active.at);
        let from = jobs.slot.map_or(since, |slot| slot.max(since));
        let at =
            |slot: Option<Timestamp>| Plan::default().also_due(slot.map(|slot| now.mono_at(slot)));
        let Some(first) = schedule.next_slot(from) else { return Plan::default() };
        if from > now.wall.after(JOB_AHEAD_MAX) {
            return self.held(HeldReason::JobsAhead { reached: from }).and(at(Some(first)));
        }
        let Some(slot) = schedule.latest_slot(from, now.wall) else { return at(Some(first)) };
        let following = at(schedule.next_slot(now.wall));
        let latest = cron.starting_deadline.map(|allowed| (allowed, slot.after(allowed.0)));
        if let Some((allowed, latest)) = latest
            && latest < now.wall
        {
            let reason = format!("nothing could run within {allowed} (`startingDeadlineSeconds`)");
            let missed = JobMissed { object: self.object.clone(), since: first, slot, reason };
            return Plan::step(Step::Record(Box::new(Fact::JobMissed(missed)))).and(following);
        }
        let too_late = latest.map(|(_, latest)| latest.after(std::time::Duration::from_millis(1)));
        let waits = |reason| self.held(reason).and(following.clone()).and(at(too_late));
        let running: Vec<&Job> = jobs.running().collect();
        if let Some(last) = running.last() {
            let name = last.started.name.clone();
            match cron.concurrency {
                Concurrency::Forbid => return waits(HeldReason::JobRuns { slot, name }),
                Concurrency::Replace => {
                    let reason = format!("replaced by the run of {}", slot.to_rfc3339_seconds());
                    let goes_on = running.iter().filter(|job| job.ending.is_none());
                    let end = |job: &&Job| self.end_job(job, Outcome::Cancelled, reason.clone());
                    let steps = goes_on.map(end).collect();
                    return Plan { steps, ..Plan::default() }
                        .and(waits(HeldReason::JobRuns { slot, name }));
                }
                Concurrency::Allow if running.len() >= JOBS_RUNNING_MAX => {
                    return waits(HeldReason::JobRuns { slot, name });
                }
                Concurrency::Allow => {}
            }
        }
        let target = &active.started.target;
        if !self.is_configured(target) {
            return waits(HeldReason::NoSuchTarget { target: target.clone() });
        }
        let minutes = slot.as_millis().div_euclid(60_000);
        let started = JobStarted {
            slot: Some(slot),
            missed: Some(first).filter(|first| *first != slot),
            ..started(self.view.now.wall, active, cron, format!("{}-{minutes}", self.object.name))
        };
        let started = JobStarted { epoch: self.view.observed.epoch, ..started };
        Plan::step(Step::Record(Box::new(Fact::JobStarted(Box::new(started))))).and(following)
    }

    /// The last run failed: that is told until one succeeds.
    fn failed_job(&self, jobs: &Jobs) -> Option<Held> {
        let last = jobs.last_ended()?;
        let end = last.end.as_ref().filter(|end| end.outcome == Outcome::Failed)?;
        let (name, why, at) = (last.started.name.clone(), end.reason.clone(), end.at);
        let reason = HeldReason::JobFailed { name, why, at };
        Some(Held { object: self.object.clone(), reason, until: None })
    }
}

/// A run of the revision in force; whose time it is, or who asked for it, is said by the caller.
pub(crate) fn started(
    now: Timestamp,
    active: &Rollout,
    cron: &CronSpec,
    name: String,
) -> JobStarted {
    let of = active.started.clone();
    JobStarted {
        object: of.object,
        incarnation: of.incarnation,
        name,
        slot: None,
        missed: None,
        by: None,
        rollout: active.seq,
        commit: of.commit,
        manifest: of.manifest,
        images: of.images,
        target: of.target,
        epoch: of.epoch,
        deadline: cron.deadline.map(|deadline| now.after(deadline.0)),
        backoff_limit: cron.backoff_limit,
    }
}
