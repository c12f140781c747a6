//! Runs of `CronJob`s go on (rule R17a); when they begin, the plan says.

use crate::action::{Action, JobOrder, JobRequest, RolloutReport, RunOrder};
use crate::fact::{Fact, JobCreated, JobEnding, JobFinished, JobStarted, Outcome};
use crate::names::{ObjectKey, Seq};
use crate::observed::job::Job;
use crate::plan::{self, Key};
use crate::time::Now;

use super::{Answer, Batch, Engine, InFlight};

impl Engine {
    /// A run that has not ended.
    pub(super) fn job(&self, object: &ObjectKey, seq: Seq) -> Option<Job> {
        let job = self.observed.workloads.get(object)?.jobs.find(seq)?;
        job.end.is_none().then(|| job.clone())
    }

    pub(super) fn deliver_job(&mut self, key: &Key, seq: Seq, now: Now, batch: &mut Batch) {
        let Key::Workload(object) = key else { return };
        let Some(job) = self.job(object, seq) else { return };
        let running = self.observed.workloads.get(object).map(|state| state.jobs.running().count());
        let order = match (&job.ending, job.created) {
            (Some(_), _) => JobOrder::End,
            (None, true) => JobOrder::Run,
            (None, false) => JobOrder::Create { alone: running == Some(1) },
        };
        self.begin_delivery(seq, now);
        if let Some(delivery) = self.soft.deliveries.get_mut(&seq) {
            delivery.ends = order == JobOrder::End;
        }
        let id = self.new_action(InFlight::Delivery { rollout: seq, key: key.clone() });
        batch.starts.push((id, Action::Job(Box::new(request(&job, order)))));
    }

    /// What the host said of a run.
    pub(super) fn job_reported(
        &mut self,
        job: &Job,
        report: RolloutReport,
        now: Now,
        batch: &mut Batch,
    ) {
        let ends = self.soft.deliveries.get(&job.seq).is_some_and(|delivery| delivery.ends);
        let (seq, object, name) = (job.seq, job.started.object.clone(), job.started.name.clone());
        match (report, &job.ending) {
            (
                RolloutReport::Complete { log } | RolloutReport::Stepped { note: log, .. },
                ending,
            ) => {
                match ending {
                    Some((outcome, reason)) if ends => {
                        self.finish_job(job, *outcome, reason.clone(), log, now, batch);
                    }
                    // It came to its end before it could be ended.
                    _ if job.created => {
                        self.finish_job(job, Outcome::Complete, String::new(), log, now, batch);
                    }
                    _ => {
                        self.soft.deliveries.remove(&seq);
                        let created = JobCreated { job: seq, object, name };
                        self.record(Fact::JobCreated(created), now, batch);
                    }
                }
            }
            // What cannot be removed now may be later: it is not said to have ended while it may go on.
            (RolloutReport::Failed { reason, .. }, _) if ends => {
                self.try_again(seq, reason, None, now);
            }
            (RolloutReport::Failed { reason, log }, _) if job.created => {
                self.finish_job(job, Outcome::Failed, reason, log, now, batch);
            }
            // What was made half is removed.
            (RolloutReport::Failed { reason, .. }, None) => {
                self.soft.deliveries.remove(&seq);
                let outcome = Outcome::Failed;
                let ending = JobEnding { job: seq, object, name, outcome, reason };
                self.record(Fact::JobEnding(ending), now, batch);
            }
            // Why it was cancelled, the plan says.
            (RolloutReport::Cancelled | RolloutReport::Failed { .. }, _) => {
                self.soft.deliveries.remove(&seq);
            }
            (RolloutReport::Transient { reason, retry_after }, _) => {
                self.try_again(seq, reason, retry_after, now);
            }
            (RolloutReport::Running { .. }, _) => {
                let reason = "the target said that a run goes on elsewhere".to_owned();
                self.try_again(seq, reason, None, now);
            }
        }
    }

    fn finish_job(
        &mut self,
        job: &Job,
        outcome: Outcome,
        reason: String,
        log: String,
        now: Now,
        batch: &mut Batch,
    ) {
        self.soft.deliveries.remove(&job.seq);
        let (object, name) = (job.started.object.clone(), job.started.name.clone());
        let finished =
            JobFinished { job: job.seq, object: object.clone(), name, outcome, reason, log };
        self.record(Fact::JobFinished(finished), now, batch);
        let Some(state) = self.observed.workloads.get(&object) else { return };
        let cron = state.active().and_then(|active| active.started.cron.as_ref());
        let (keep, until) = (state.jobs.kept(cron), self.observed.last_seq);
        let id = self.new_action(InFlight::Silent);
        let tidy = request(job, JobOrder::Tidy { keep, until });
        batch.starts.push((id, Action::Job(Box::new(tidy))));
        self.in_flight.remove(&id); // nobody answers
    }

    /// Runs a `CronJob` now, whatever its schedule says.
    pub(super) fn order_job(
        &mut self,
        order: RunOrder,
        by: String,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        let RunOrder { object, name } = order;
        let spoken = format!("cronjob {}/{}", object.namespace, object.name);
        let Some(state) = self.observed.workloads.get(&object) else {
            return Answer::Refused(format!("there is no {spoken} in force"));
        };
        let Some(active) = state.active() else {
            return Answer::Refused(format!("no revision of {spoken} is in force yet"));
        };
        let target = &active.started.target;
        let Some(cron) = &active.started.cron else {
            return Answer::Refused(format!(
                "target `{target}` runs {spoken} by itself; only what runs on a host can be run from here"
            ));
        };
        if state.stopping().is_some() {
            return Answer::Refused(format!("{spoken} is being stopped"));
        }
        if state.jobs.runs.iter().any(|job| job.started.name == name.as_str()) {
            return Answer::Refused(format!("jobs.batch {:?} already exists", name.as_str()));
        }
        if state.jobs.running().count() >= crate::limits::JOBS_RUNNING_MAX {
            return Answer::Refused(format!("too many runs of {spoken} go on"));
        }
        let started = plan::job_of(now.wall, active, cron, name.to_string());
        let started = JobStarted { by: Some(by), epoch: self.observed.epoch, ..started };
        Answer::Done(self.record(Fact::JobStarted(Box::new(started)), now, batch))
    }
}

fn request(job: &Job, order: JobOrder) -> JobRequest {
    let started = &job.started;
    JobRequest {
        key: started.key(job.seq),
        object: started.object.clone(),
        name: started.name.clone(),
        manifest: started.manifest,
        commit: started.commit,
        target: started.target.clone(),
        backoff_limit: started.backoff_limit,
        order,
    }
}
