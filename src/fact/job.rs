//! What happens to the runs of `CronJob`s on a host (rule R17a).

use serde::{Deserialize, Serialize};

use super::{Outcome, RolloutImage};
use crate::dense;
use crate::names::{CommitId, ContentHash, Incarnation, ObjectKey, RolloutKey, Seq, TargetName};
use crate::time::{CronSchedule, ScheduleError, Span, Timestamp};

/// When a `CronJob` runs, and what becomes of its runs: what its manifest says beside the pod.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CronSpec {
    /// `schedule`. As text, so that a record stays readable on a host that does not know the time zone.
    pub schedule: String,
    /// `timeZone`, or UTC.
    pub time_zone: String,
    /// `suspend`: no run begins.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// `startingDeadlineSeconds`: how late a run may begin; none for as late as it comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_deadline: Option<Span>,
    /// `concurrencyPolicy`.
    #[serde(default)]
    pub concurrency: Concurrency,
    /// `activeDeadlineSeconds` of its jobs: how long a run may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// `backoffLimit` of its jobs: how often a run that failed is tried again.
    pub backoff_limit: u32,
    /// `successfulJobsHistoryLimit`: of how many runs that succeeded the pods are kept.
    pub keeps_successful: u32,
    /// `failedJobsHistoryLimit`: of how many runs that failed the pods are kept.
    pub keeps_failed: u32,
}

impl CronSpec {
    /// When it runs.
    ///
    /// # Errors
    /// When that is no schedule, or not in a known time zone.
    pub fn timetable(&self) -> Result<CronSchedule, ScheduleError> {
        CronSchedule::parse(&self.schedule, &self.time_zone)
    }

    /// Whether it runs at the same times as another.
    #[must_use]
    pub fn keeps_time_with(&self, other: &Self) -> bool {
        self.schedule == other.schedule && self.time_zone == other.time_zone
    }
}

/// What becomes of a run whose time comes while an earlier one has not ended.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Concurrency {
    /// Both run.
    #[default]
    Allow,
    /// It waits for the end of the earlier one.
    Forbid,
    /// The earlier one is ended.
    Replace,
}

/// A run of a `CronJob` is about to begin (law 1). Its record is its identity, and so is its time (law 6): for one
/// scheduled time there is one run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobStarted {
    /// The `CronJob`.
    pub object: ObjectKey,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The name of the job, which its pods begin with.
    pub name: String,
    /// The time that it is the run of; none where an operator asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Timestamp>,
    /// The first time that was missed before this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Timestamp>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The record of the revision that it runs.
    pub rollout: Seq,
    /// The adopted commit whose template that has.
    pub commit: CommitId,
    /// The manifest, in the object store.
    pub manifest: ContentHash,
    /// The images, ordered by container.
    #[serde(deserialize_with = "dense::list")]
    pub images: Vec<RolloutImage>,
    /// Where it runs.
    pub target: TargetName,
    /// When records were lost last, see [`RolloutKey::epoch`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Timestamp>,
    /// When it is ended, whatever it does then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How often it is tried again.
    pub backoff_limit: u32,
}

impl JobStarted {
    /// What its pods are known by, where the record `seq` began it.
    #[must_use]
    pub fn key(&self, seq: Seq) -> RolloutKey {
        RolloutKey::of(&self.object, self.incarnation, seq, self.epoch)
    }
}

/// The pod of a run is made and about to be started. From here on it is never made again: one that is gone was removed by
/// somebody, and may have done its work.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobCreated {
    /// The `JobStarted` record.
    pub job: Seq,
    /// The `CronJob`.
    pub object: ObjectKey,
    /// The name of the job.
    pub name: String,
}

/// A run is about to be ended before its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobEnding {
    /// The `JobStarted` record.
    pub job: Seq,
    /// The `CronJob`.
    pub object: ObjectKey,
    /// The name of the job.
    pub name: String,
    /// How it will have ended.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// A run ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobFinished {
    /// The `JobStarted` record.
    pub job: Seq,
    /// The `CronJob`.
    pub object: ObjectKey,
    /// The name of the job.
    pub name: String,
    /// How.
    pub outcome: Outcome,
    /// Why, in words; empty for a success that needs none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The last lines that its containers printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

/// Times passed at which a `CronJob` was to run, and it is too late for them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobMissed {
    /// The `CronJob`.
    pub object: ObjectKey,
    /// The first of them.
    pub since: Timestamp,
    /// The last of them.
    pub slot: Timestamp,
    /// Why.
    pub reason: String,
}
