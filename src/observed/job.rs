//! The runs of one `CronJob` (rule R17a).

use serde::{Deserialize, Serialize};

use crate::dense;
use crate::fact::{
    CronSpec, JobCreated, JobEnding, JobFinished, JobMissed, JobStarted, Outcome, Record,
};
use crate::limits::JOB_HISTORY_MAX;
use crate::names::Seq;
use crate::sabotage::{self, Bug};
use crate::time::Timestamp;

use super::rollout::End;

/// What is known of the runs of one `CronJob`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Jobs {
    /// Since when its schedule is in force: what lay before was not missed.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// The last scheduled time that a run began for or that was missed for good: none up to it comes again (law 6).
    #[serde(default)]
    pub slot: Option<Timestamp>,
    /// When a run succeeded last.
    #[serde(default)]
    pub succeeded: Option<Timestamp>,
    /// Runs, oldest first: all that have not ended, and the last that did.
    #[serde(default, deserialize_with = "dense::list")]
    pub runs: Vec<Job>,
}

/// One run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The record that began it.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What it is.
    pub started: JobStarted,
    /// Whether its pod was made.
    #[serde(default)]
    pub created: bool,
    /// How it is going to end, where it is ended before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<(Outcome, String)>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
}

impl Jobs {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those that have not ended, oldest first.
    pub fn running(&self) -> impl Iterator<Item = &Job> {
        self.runs.iter().filter(|job| job.end.is_none())
    }

    /// The one that a record began.
    #[must_use]
    pub fn find(&self, seq: Seq) -> Option<&Job> {
        self.runs.iter().find(|job| job.seq == seq)
    }

    /// The one that ended last of those that came to an end of their own.
    #[must_use]
    pub fn last_ended(&self) -> Option<&Job> {
        let ended = self.runs.iter().filter_map(|job| Some((job.end.as_ref()?, job)));
        let ended = ended.filter(|(end, _)| end.outcome != Outcome::Cancelled);
        ended.max_by_key(|(end, job)| (end.at, job.seq)).map(|(_, job)| job)
    }

    /// The runs whose pods stay: what has not ended, and the last ones that succeeded and failed, as its limits say.
    #[must_use]
    pub fn kept(&self, cron: Option<&CronSpec>) -> Vec<Seq> {
        let limits = cron.map_or((0, 0), |cron| (cron.keeps_successful, cron.keeps_failed));
        let mut kept: Vec<Seq> = self.running().map(|job| job.seq).collect();
        kept.extend(
            self.last(Outcome::Complete, limits.0).chain(self.last(Outcome::Failed, limits.1)),
        );
        kept
    }

    /// The last runs with this outcome.
    fn last(&self, outcome: Outcome, limit: u32) -> impl Iterator<Item = Seq> {
        let such = self.runs.iter().rev().filter(move |job| job.outcome() == Some(outcome));
        such.take(usize::try_from(limit).unwrap_or(usize::MAX)).map(|job| job.seq)
    }

    /// A revision came into force.
    pub(super) fn revised(&mut self, at: Timestamp, before: Option<&CronSpec>, cron: &CronSpec) {
        let is_same = before.is_some_and(|before| before.keeps_time_with(cron));
        if !is_same || self.since.is_none() {
            self.since = Some(at);
        }
    }

    /// The time behind which the next one lies.
    #[must_use]
    pub fn reached(&self) -> Option<Timestamp> {
        self.slot.max(self.since)
    }

    /// An operator says that times count from now on.
    pub(super) fn released(&mut self, at: Timestamp) {
        if self.reached() > Some(at) {
            (self.slot, self.since) = (None, Some(at));
        }
    }

    pub(super) fn started(&mut self, record: &Record, started: &JobStarted) {
        if !sabotage::is(Bug::ForgetSlot) {
            self.slot = self.slot.max(started.slot);
        }
        self.runs.push(Job {
            seq: record.seq,
            at: record.at,
            started: started.clone(),
            created: false,
            ending: None,
            end: None,
        });
    }

    pub(super) fn created(&mut self, created: &JobCreated) {
        if let Some(job) = self.find_mut(created.job) {
            job.created = true;
        }
    }

    pub(super) fn ending(&mut self, ending: &JobEnding) {
        if let Some(job) = self.find_mut(ending.job) {
            job.ending = Some((ending.outcome, ending.reason.clone()));
        }
    }

    pub(super) fn missed(&mut self, missed: &JobMissed) {
        self.slot = self.slot.max(Some(missed.slot));
    }

    pub(super) fn finished(
        &mut self,
        at: Timestamp,
        finished: &JobFinished,
        cron: Option<&CronSpec>,
    ) {
        if let Some(job) = self.find_mut(finished.job) {
            let JobFinished { outcome, reason, log, .. } = finished.clone();
            job.end = Some(End { at, outcome, reason, log, rolled_back: None });
        }
        if finished.outcome == Outcome::Complete {
            self.succeeded = Some(at);
        }
        self.trim(cron);
    }

    /// Leaves out what ended, but for what its limits keep and the last one of each end, which tells how it goes.
    fn trim(&mut self, cron: Option<&CronSpec>) {
        let limit = |keeps: fn(&CronSpec) -> u32| cron.map_or(0, keeps).clamp(1, JOB_HISTORY_MAX);
        let mut kept: Vec<Seq> = self.running().map(|job| job.seq).collect();
        kept.extend(self.last(Outcome::Complete, limit(|cron| cron.keeps_successful)));
        kept.extend(self.last(Outcome::Failed, limit(|cron| cron.keeps_failed)));
        kept.extend(self.last(Outcome::Cancelled, 1));
        self.runs.retain(|job| kept.contains(&job.seq));
    }

    fn find_mut(&mut self, seq: Seq) -> Option<&mut Job> {
        self.runs.iter_mut().rev().find(|job| job.seq == seq)
    }
}

impl Job {
    /// How it ended, if it did.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.end.as_ref().map(|end| end.outcome)
    }
}
