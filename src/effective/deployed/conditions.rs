//! The conditions of a workload (section 1.10), from its rollouts.

use serde_json::{Value, json};

use crate::api::Time;
use crate::fact::{Outcome, RolloutCause, RolloutStep};
use crate::names::Kind;
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::time::Timestamp;

use super::{Counts, There, deployer_name, rollout_name};

/// How far a rollout is.
struct Progress {
    status: &'static str,
    reason: &'static str,
    message: String,
    /// When it came to be so.
    at: Timestamp,
    /// When its status changed last.
    changed: Timestamp,
}

/// The conditions of a workload.
pub(super) fn of(
    kind: Kind,
    paused: bool,
    state: &WorkloadState,
    seen: (Option<Counts>, Option<&There<'_>>),
    object: &Value,
) -> Vec<Value> {
    if !matches!(kind, Kind::DeploymentConfig | Kind::Deployment) {
        return Vec::new();
    }
    let is_config = kind == Kind::DeploymentConfig;
    let mut all = Vec::new();
    all.extend(available(is_config, state, seen, object));
    all.extend(progressing(is_config, paused, state).map(|progress| {
        let Progress { status, reason, message, at, changed } = progress;
        condition("Progressing", status, [reason, &message], [at, changed])
    }));
    all
}

fn condition(r#type: &str, status: &str, words: [&str; 2], times: [Timestamp; 2]) -> Value {
    let [at, changed] = times;
    let mut condition = json!({
        "type": r#type,
        "status": status,
        "lastUpdateTime": Time::of(at),
        "lastTransitionTime": Time::of(changed),
    });
    for (key, text) in ["reason", "message"].into_iter().zip(words) {
        if !text.is_empty() {
            super::put(&mut condition, key, json!(text));
        }
    }
    condition
}

/// Whether enough instances are healthy; none before there was a rollout.
fn available(
    is_config: bool,
    state: &WorkloadState,
    (counts, there): (Option<Counts>, Option<&There<'_>>),
    object: &Value,
) -> Option<Value> {
    let last = state.last()?;
    let status = match counts {
        Some(Counts { available, desired, .. }) => {
            available > 0 && available >= desired.saturating_sub(unavailable_max(object, desired))
        }
        None if !last.started.steps.is_empty() => {
            let at = last.at;
            let words = ["NotSeen", "nobody could look at what runs on the host"];
            return Some(condition("Available", "Unknown", words, [at, at]));
        }
        // Nobody counts instances there: what is complete runs, as far as is known.
        None if state.restore_failed().is_some() || last.end.is_none() => {
            let at = last.at;
            return Some(condition("Available", "Unknown", ["", ""], [at, at]));
        }
        None => state.active().is_some(),
    };
    let since = state.active().filter(|_| status).and_then(|active| active.end.as_ref());
    // What a rollout brought and is not there any more broke after it.
    let broke = there.filter(|_| !status && state.active().is_some()).map(There::broke_at);
    let at = broke.or(since.map(|end| end.at)).unwrap_or(last.at);
    let words = match (is_config, status) {
        (true, true) => ["", "Deployment config has minimum availability."],
        (true, false) => ["", "Deployment config does not have minimum availability."],
        (false, true) => ["MinimumReplicasAvailable", "Deployment has minimum availability."],
        (false, false) => {
            ["MinimumReplicasUnavailable", "Deployment does not have minimum availability."]
        }
    };
    Some(condition("Available", if status { "True" } else { "False" }, words, [at, at]))
}

/// How many instances may be missing, rounded down.
fn unavailable_max(object: &Value, desired: u64) -> u64 {
    let paths = ["/spec/strategy/rollingParams", "/spec/strategy/rollingUpdate"];
    let budget = paths.iter().find_map(|path| object.pointer(path)?.get("maxUnavailable"));
    match budget {
        Some(Value::Number(number)) => number.as_u64().unwrap_or(0),
        Some(Value::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|text| text.parse::<u64>().ok());
            percent.map_or(0, |percent| desired.saturating_mul(percent) / 100)
        }
        _ => desired / 4,
    }
}

fn progressing(is_config: bool, paused: bool, state: &WorkloadState) -> Option<Progress> {
    let mut now: Option<Progress> = None;
    // Putting an earlier revision back is no success of the later one (law 8).
    let own = state.life().filter(|rollout| rollout.started.cause != RolloutCause::Restore);
    let events = own.flat_map(|rollout| events(is_config, rollout));
    for (at, status, reason, message) in events {
        let changed = now.as_ref().filter(|now| now.status == status).map(|now| now.changed);
        now = Some(Progress { status, reason, message, at, changed: changed.unwrap_or(at) });
    }
    let mut now = now?;
    if paused && state.running().is_none() {
        let reason = if is_config { "DeploymentConfigPaused" } else { "DeploymentPaused" };
        (now.status, now.reason) = ("Unknown", reason);
        now.message = String::new();
    }
    Some(now)
}

type Event = (Timestamp, &'static str, &'static str, String);

/// What a rollout made of the condition, in order.
fn events(is_config: bool, rollout: &Rollout) -> Vec<Event> {
    let name = rollout_name(rollout);
    let (deployer, what) =
        (deployer_name(rollout), if is_config { "replication controller" } else { "ReplicaSet" });
    let progressing = |at| match is_config {
        true => {
            (at, "True", "ReplicationControllerUpdated", format!("{what} {name:?} is progressing"))
        }
        false => (at, "True", "ReplicaSetUpdated", format!("{what} {name:?} is progressing.")),
    };
    let mut all = Vec::new();
    if rollout.started.steps.is_empty() || !is_config {
        all.push(progressing(rollout.at));
    } else {
        let message = format!("{what} {name:?} is waiting for pod {deployer:?} to run");
        all.push((rollout.at, "Unknown", "", message));
        let step = rollout.step.as_ref().filter(|now| now.step != RolloutStep::Pulling);
        all.extend(step.map(|now| progressing(now.at)));
    }
    let Some(end) = &rollout.end else { return all };
    // What an operator cancelled counts as failed, and is told as what it is (rule D42).
    let is_cancelled = rollout.cancelled && end.outcome == Outcome::Failed;
    let outcome = if is_cancelled { Outcome::Cancelled } else { end.outcome };
    all.push(match (outcome, is_config) {
        (Outcome::Complete, true) => {
            let message = format!("{what} {name:?} successfully rolled out");
            (end.at, "True", "NewReplicationControllerAvailable", message)
        }
        (Outcome::Complete, false) => {
            let message = format!("{what} {name:?} has successfully progressed.");
            (end.at, "True", "NewReplicaSetAvailable", message)
        }
        (Outcome::Cancelled, true) => {
            let message = format!("rollout of {what} {name:?} was cancelled");
            (end.at, "False", "RolloutCancelled", message)
        }
        (Outcome::Failed, true) => {
            let message = format!("{what} {name:?} has failed progressing");
            (end.at, "False", "ProgressDeadlineExceeded", message)
        }
        (Outcome::Failed | Outcome::Cancelled, false) => {
            let message = format!("{what} {name:?} has timed out progressing.");
            (end.at, "False", "ProgressDeadlineExceeded", message)
        }
    });
    all
}
