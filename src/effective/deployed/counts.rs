//! How many instances run: what was seen, and, while a rollout goes on, how far its steps are.

use serde_json::Value;

use crate::desired::Workload;
use crate::effective::target_of;
use crate::fact::{Outcome, RolloutStep};
use crate::names::Kind;
use crate::observed::rollout::{Rollout, WorkloadState};

use super::{Deployed, There};

/// Instances of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Those of an earlier revision.
    pub old: u64,
    /// Those of the last one.
    pub updated: u64,
    /// Those that are healthy.
    pub available: u64,
    /// Those that are wanted.
    pub desired: u64,
}

/// `spec.replicas`, or what its absence means (rule D2).
pub(super) fn desired(kind: Kind, object: &Value) -> u64 {
    let default = u64::from(kind != Kind::DeploymentConfig);
    let replicas = object.pointer("/spec/replicas").and_then(Value::as_u64);
    match kind {
        Kind::DaemonSet | Kind::Pod => 1,
        // What its program starts, nobody here knows (rule D38).
        Kind::DeploymentConfig if crate::pods::is_custom(object) => 0,
        Kind::DeploymentConfig
        | Kind::Deployment
        | Kind::StatefulSet
        | Kind::CronJob
        | Kind::ImageStream
        | Kind::BuildConfig => replicas.unwrap_or(default),
    }
}

/// How many instances of a workload are wanted.
#[must_use]
pub fn replicas_of(workload: &Workload) -> u64 {
    let manifest: Value = serde_json::from_str(&workload.manifest).unwrap_or_default();
    desired(workload.object.kind, &manifest)
}

impl Deployed<'_> {
    /// The instances that a rollout brings.
    pub(super) fn size(&self, rollout: &Rollout) -> Option<u64> {
        if let Some(size) = rollout.size() {
            return Some(size.into());
        }
        let manifest = self.manifest(rollout)?;
        Some(desired(rollout.started.object.kind, &manifest))
    }

    /// How many instances of a workload there are; none where nobody looked.
    pub(super) fn seen_counts(
        &self,
        workload: &Workload,
        state: &WorkloadState,
        there: Option<&There<'_>>,
    ) -> Option<Counts> {
        match state.last() {
            None => self.counts(workload, state),
            Some(last) => Some(there?.counts(last, replicas_of(workload))),
        }
    }

    /// How many instances there should be by the steps that were taken; none where those do not say.
    #[must_use]
    pub fn counts(&self, workload: &Workload, state: &WorkloadState) -> Option<Counts> {
        let desired = replicas_of(workload);
        let Some(last) = state.last() else {
            let is_host = self.policy.hosts.contains(&target_of(workload, self.policy));
            return is_host.then_some(Counts { old: 0, updated: 0, available: 0, desired });
        };
        let [old, updated, available] = self.running(state, last)?;
        Some(Counts { old, updated, available, desired })
    }

    /// Instances of the revision before, of this one, and healthy ones.
    pub(super) fn running(&self, state: &WorkloadState, last: &Rollout) -> Option<[u64; 3]> {
        if last.started.steps.is_empty() || state.restore_failed().is_some() {
            return None; // nobody tells how many instances there are
        }
        let before = match state.active() {
            Some(active) => self.size(active)?,
            None => 0,
        };
        Some(match (last.outcome(), last.step.as_ref().map(|stepped| stepped.step)) {
            (Some(Outcome::Complete), _) => [0, before, before],
            (Some(Outcome::Failed | Outcome::Cancelled), _)
            | (None, None | Some(RolloutStep::Pulling | RolloutStep::PreHook)) => {
                [before, 0, before]
            }
            (None, Some(RolloutStep::Verifying)) => [before, 0, before],
            (
                None,
                Some(RolloutStep::StoppingOld | RolloutStep::Updating | RolloutStep::RollingBack),
            ) => return None,
            (None, Some(RolloutStep::MidHook | RolloutStep::StartingNew)) => [0, 0, 0],
            (None, Some(RolloutStep::Checking)) => [0, self.size(last)?, 0],
            (None, Some(RolloutStep::PostHook)) => {
                let size = self.size(last)?;
                [0, size, size]
            }
        })
    }

    /// How many instances a rollout should have now; none where nobody knows (rule D22).
    pub(super) fn desired_of(&self, state: &WorkloadState, rollout: &Rollout) -> Option<u64> {
        let [is_last, is_active] = is_last_or_active(state, rollout);
        let ended = rollout.outcome().is_some_and(|outcome| outcome != Outcome::Complete);
        match (is_last, is_active) {
            (_, true) => self.size(rollout),
            (true, false) if !ended => self.size(rollout),
            (true | false, false) => Some(0),
        }
    }
}

/// How many instances of a rollout there are, and are ready; none where nobody looked.
pub(super) fn counted(
    there: Option<&There<'_>>,
    state: &WorkloadState,
    rollout: &Rollout,
) -> Option<[u64; 2]> {
    let revision = rollout.started.revision;
    let counted = there.map(|there| there.count(|of| of.started.revision == revision));
    let is_over = || !is_last_or_active(state, rollout).contains(&true);
    counted.or_else(|| is_over().then_some([0, 0]))
}

/// Whether a rollout is of the last revision, and of the one that is in force.
fn is_last_or_active(state: &WorkloadState, rollout: &Rollout) -> [bool; 2] {
    let revision = rollout.started.revision;
    let is = |other: Option<&Rollout>| other.is_some_and(|o| o.started.revision == revision);
    [is(super::latest(state)), is(state.active())]
}
