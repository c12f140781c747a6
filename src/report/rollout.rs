//! `rollout history` and `rollout status`: how far a workload is, in the words of `oc` and `kubectl` (rules D44, D45).

use std::collections::BTreeMap;

use crate::desired::Workload;
use crate::effective;
use crate::effective::deployed::{
    Counts, Deployed, latest, phase, replicas_of, revisions, rollout_name,
};
use crate::fact::{Ending, Fact, Outcome, RolloutCause, RolloutStep};
use crate::names::{Kind, ObjectKey, Revision, Seq};
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::oc::tabs;
use crate::plan::{Held, HeldReason};

use super::words::{lines_of, one_line};

/// How far a rollout is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// It is not done: one line.
    Waits(String),
    /// It is: one line.
    Done(String),
    /// It failed, or cannot be waited for.
    Failed(String),
}

/// The revisions of a workload, oldest first, as lines of a table; none where there is none.
#[must_use]
pub fn history(
    kind: Kind,
    state: Option<&WorkloadState>,
    change: impl Fn(&Rollout) -> Option<String>,
) -> Option<String> {
    let rollouts: Vec<&Rollout> = state.map(revisions).unwrap_or_default();
    if rollouts.is_empty() {
        return None;
    }
    if kind != Kind::DeploymentConfig {
        let mut lines = "REVISION\tCHANGE-CAUSE\n".to_owned();
        for rollout in rollouts {
            let cause = change(rollout).unwrap_or_else(|| rollout.started.cause.to_string());
            lines.push_str(&format!("{}\t{cause}\n", rollout.started.revision));
        }
        return Some(tabs::narrow_table(&lines));
    }
    let mut lines = "REVISION\tSTATUS\tCAUSE\n".to_owned();
    for rollout in rollouts {
        let (revision, cause) = (rollout.started.revision, rollout.started.cause);
        let phase = phase(rollout);
        lines.push_str(&format!("{revision}\t{phase}\t{cause}\n"));
    }
    Some(tabs::describe(&lines))
}

/// What `rollout status` is about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The object.
    pub object: &'a ObjectKey,
    /// The revision that is meant; none is the last one.
    pub revision: Option<u64>,
    /// How the program is called.
    pub program: &'a str,
}

/// How far the last rollout of a workload is; `held` is what waits of it.
#[must_use]
pub fn progress(asked: &Asked<'_>, deployed: &Deployed<'_>, held: &[Held]) -> Progress {
    let Some(workload) = deployed.desired.workloads.get(asked.object) else {
        return Progress::Failed("object has been deleted".into());
    };
    let empty = WorkloadState::default();
    let state = deployed.observed.workloads.get(asked.object).unwrap_or(&empty);
    let kind = asked.object.kind;
    if kind == Kind::CronJob {
        let why = "no status viewer has been implemented for CronJob.batch";
        return Progress::Failed(why.into());
    }
    let is_paused = effective::is_paused(workload, deployed.observed);
    let waits = |is: fn(&HeldReason) -> bool| held.iter().any(|held| is(&held.reason));
    if kind == Kind::DeploymentConfig && state.last().is_none() {
        let name = asked.object.name.as_str();
        if waits(|reason| {
            matches!(reason, HeldReason::NoTrigger | HeldReason::WaitingForOrder { .. })
        }) {
            let program = asked.program;
            return Progress::Failed(format!(
                "Deployment config {name:?} waiting on manual update (use '{program} rollout latest {name}')"
            ));
        }
        if !is_paused && !workload.triggers.is_empty() {
            return Progress::Waits(format!("Deployment config {name:?} waiting on image update"));
        }
    }
    let last = latest(state);
    let latest = last.map_or(0, |last| last.started.revision.0);
    if let Some(revision) = asked.revision.filter(|revision| *revision != latest) {
        return Progress::Failed(format!(
            "desired revision ({revision}) is different from the running revision ({latest})"
        ));
    }
    // A rollout that begins in a moment is waited for, and not the one before it told as the last one.
    let begins = waits(|reason| {
        matches!(
            reason,
            HeldReason::Due | HeldReason::WaitingForSlot { .. } | HeldReason::Settling { .. }
        )
    });
    let counts = deployed.counts(workload, state);
    match last {
        Some(last) if last.outcome().is_some() && !begins => ended(last, workload, is_paused),
        None if is_paused => paused(asked.object),
        last => {
            let counts = counts.filter(|_| last.is_some());
            let desired = replicas_of(workload);
            Progress::Waits(running(asked.object, last.is_some() && !begins, desired, counts))
        }
    }
}

fn paused(object: &ObjectKey) -> Progress {
    let (name, kind) = (object.name.as_str(), object.kind);
    let kind = match kind {
        Kind::DeploymentConfig => "Deployment config",
        Kind::Deployment => "deployment",
        Kind::StatefulSet => "statefulset",
        Kind::DaemonSet => "daemon set",
        Kind::Pod => "pod",
        Kind::CronJob | Kind::ImageStream | Kind::BuildConfig => kind.as_str(),
    };
    let words = "is paused. Resume to continue watching the status of the rollout.";
    Progress::Failed(format!("{kind} {name:?} {words}"))
}

/// What became of the last rollout. A revision that was put back is no success of the later one (law 8).
fn ended(last: &Rollout, workload: &Workload, is_paused: bool) -> Progress {
    let (kind, name) = (workload.object.kind, workload.object.name.as_str());
    let rollout = rollout_name(last);
    let outcome = last.outcome().filter(|_| last.started.cause != RolloutCause::Restore);
    if outcome == Some(Outcome::Complete) {
        if is_paused {
            return paused(&workload.object);
        }
        return Progress::Done(match kind {
            Kind::DeploymentConfig => {
                format!("replication controller {rollout:?} successfully rolled out")
            }
            Kind::DaemonSet => format!("daemon set {name:?} successfully rolled out"),
            Kind::Pod => format!("pod {name:?} successfully rolled out"),
            Kind::StatefulSet => {
                let pods = replicas_of(workload);
                format!("statefulset rolling update complete {pods} pods at revision {rollout}...")
            }
            Kind::Deployment | Kind::CronJob | Kind::ImageStream | Kind::BuildConfig => {
                format!("deployment {name:?} successfully rolled out")
            }
        });
    }
    // What an operator cancelled counts as failed (rule D42).
    let is_cancelled = last.cancelled || outcome == Some(Outcome::Cancelled);
    Progress::Failed(match kind {
        Kind::DeploymentConfig if is_cancelled => {
            format!("rollout of replication controller {rollout:?} was cancelled")
        }
        Kind::DeploymentConfig => {
            format!("replication controller {rollout:?} has failed progressing")
        }
        Kind::DaemonSet => format!("daemon set {name:?} exceeded its progress deadline"),
        Kind::Pod => format!("pod {name:?} exceeded its progress deadline"),
        Kind::StatefulSet => format!("statefulset {name:?} exceeded its progress deadline"),
        Kind::Deployment | Kind::CronJob | Kind::ImageStream | Kind::BuildConfig => {
            format!("deployment {name:?} exceeded its progress deadline")
        }
    })
}

/// How far a rollout is that is not done.
fn running(object: &ObjectKey, runs: bool, desired: u64, counts: Option<Counts>) -> String {
    let (kind, name) = (object.kind, object.name.as_str());
    let (what, of) = match kind {
        Kind::DeploymentConfig => ("rollout to finish".to_owned(), "replicas"),
        Kind::DaemonSet => (format!("daemon set {name:?} rollout to finish"), "pods"),
        Kind::Pod => (format!("pod {name:?} rollout to finish"), "pods"),
        Kind::Deployment
        | Kind::StatefulSet
        | Kind::CronJob
        | Kind::ImageStream
        | Kind::BuildConfig => (format!("deployment {name:?} rollout to finish"), "replicas"),
    };
    let [old, updated, available] =
        counts.map_or([0; 3], |counts| [counts.old, counts.updated, counts.available]);
    match () {
        () if !runs => {}
        () if kind == Kind::StatefulSet => {
            let missing = desired.saturating_sub(if updated < desired { 0 } else { available });
            return format!("Waiting for {missing} pods to be ready...");
        }
        () if updated < desired => {
            return format!(
                "Waiting for {what}: {updated} out of {desired} new {of} have been updated..."
            );
        }
        () if old > 0 => {
            return format!("Waiting for {what}: {old} old replicas are pending termination...");
        }
        () if available < updated => {
            return format!(
                "Waiting for {what}: {available} of {updated} updated {of} are available..."
            );
        }
        () => {}
    }
    match kind {
        Kind::DeploymentConfig => {
            "Waiting for latest deployment config spec to be observed by the controller loop..."
        }
        Kind::DaemonSet => "Waiting for daemon set spec update to be observed...",
        Kind::Pod => "Waiting for pod spec update to be observed...",
        Kind::StatefulSet => "Waiting for statefulset spec update to be observed...",
        Kind::Deployment | Kind::CronJob | Kind::ImageStream | Kind::BuildConfig => {
            "Waiting for deployment spec update to be observed..."
        }
    }
    .to_owned()
}

/// The steps of rollouts, as they are told one after the other.
#[derive(Debug, Default)]
pub struct Steps {
    /// The rollout of each line, where it is to be named.
    lines: Vec<(Option<Seq>, String)>,
    /// The last step that was told.
    told: Option<(Seq, RolloutStep)>,
}

impl Steps {
    /// Takes in what the journal says next.
    pub fn read(&mut self, object: &ObjectKey, fact: &Fact) {
        if let Fact::RolloutStepped(stepped) = fact
            && stepped.object == *object
        {
            if !stepped.note.is_empty() {
                self.lines.push((None, format!("  {}", one_line(&stepped.note))));
            }
            self.step(stepped.rollout, stepped.step, stepped.ending.as_ref());
        }
        if let Fact::RolloutFinished(finished) = fact
            && finished.object == *object
        {
            let reason = one_line(&finished.reason);
            let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            self.lines.push((Some(finished.rollout), format!("{}{why}", finished.outcome)));
            let printed = lines_of(&finished.log).into_iter();
            self.lines.extend(printed.map(|line| (None, format!("  | {line}"))));
        }
    }

    fn step(&mut self, rollout: Seq, step: RolloutStep, ending: Option<&Ending>) {
        if self.told.replace((rollout, step)) == Some((rollout, step)) {
            return;
        }
        let why = ending.map(|ending| format!(": {} in {}", one_line(&ending.reason), ending.step));
        self.lines.push((Some(rollout), format!("{step}{}", why.unwrap_or_default())));
    }

    /// What was not told yet; at first, the step that is taken now.
    pub fn told(&mut self, state: Option<&WorkloadState>) -> Vec<String> {
        if self.told.is_none()
            && let Some(running) = state.and_then(WorkloadState::running)
            && let Some(stepped) = &running.step
        {
            self.step(running.seq, stepped.step, stepped.ending.as_ref());
        }
        let all = state.into_iter().flat_map(|state| &state.rollouts);
        let known: BTreeMap<Seq, Revision> =
            all.map(|rollout| (rollout.seq, rollout.started.revision)).collect();
        let named = |(of, line): (Option<Seq>, String)| match of.and_then(|of| known.get(&of)) {
            Some(revision) => format!("revision {revision}: {line}"),
            None => line,
        };
        std::mem::take(&mut self.lines).into_iter().map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(kind: &str, counts: [u64; 3]) -> String {
        let object: ObjectKey = format!("{kind}/shop/web").parse().unwrap();
        let [old, updated, available] = counts;
        running(&object, true, 3, Some(Counts { old, updated, available, desired: 3 }))
    }

    /// D45: the words of `oc`, in the order of its checks.
    #[test]
    fn d045_how_far_a_rollout_is_is_told_in_the_words_of_oc() {
        let counts = [[3, 1, 1], [1, 3, 2], [0, 3, 2], [0, 3, 3]];
        let of = |kind: &str| counts.map(|counts| says(kind, counts));
        assert_eq!(
            of("DeploymentConfig"),
            [
                "Waiting for rollout to finish: 1 out of 3 new replicas have been updated...",
                "Waiting for rollout to finish: 1 old replicas are pending termination...",
                "Waiting for rollout to finish: 2 of 3 updated replicas are available...",
                "Waiting for latest deployment config spec to be observed by the controller loop...",
            ]
        );
        assert_eq!(
            of("Deployment"),
            [
                "Waiting for deployment \"web\" rollout to finish: 1 out of 3 new replicas have been updated...",
                "Waiting for deployment \"web\" rollout to finish: 1 old replicas are pending termination...",
                "Waiting for deployment \"web\" rollout to finish: 2 of 3 updated replicas are available...",
                "Waiting for deployment spec update to be observed...",
            ]
        );
        assert_eq!(
            of("DaemonSet")[2..],
            [
                "Waiting for daemon set \"web\" rollout to finish: 2 of 3 updated pods are available...",
                "Waiting for daemon set spec update to be observed...",
            ]
        );
        assert_eq!(
            of("StatefulSet"),
            [
                "Waiting for 3 pods to be ready...",
                "Waiting for 1 pods to be ready...",
                "Waiting for 1 pods to be ready...",
                "Waiting for 0 pods to be ready..."
            ]
        );
    }
}
