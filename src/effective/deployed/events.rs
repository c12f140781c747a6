//! What happened to a workload, as events of OpenShift, and what its image triggers set (rules D15, D16, C9).

use serde_json::{Value, json};

use crate::api::Time;
use crate::effective::image_of;
use crate::fact::Outcome;
use crate::names::{Kind, ObjectKey};
use crate::observed::rollout::{Rollout, Scale, WorkloadState};
use crate::time::Timestamp;

use super::{Deployed, revisions, rollout_name};

/// Who OpenShift says tells of it.
const CONTROLLER: &str = "deploymentconfig-controller";
const DEPLOYER: &str = "deployer-controller";

impl Deployed<'_> {
    /// What happened to a `DeploymentConfig` as far as its rollouts tell, oldest first.
    #[must_use]
    pub fn events(&self, key: &ObjectKey) -> Vec<Value> {
        let Some(state) = self.state(key).filter(|_| key.kind == Kind::DeploymentConfig) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        let mut before: Option<&Rollout> = None;
        for rollout in revisions(state) {
            all.extend(of(rollout, before));
            before = Some(rollout);
        }
        all.extend(state.scale.as_ref().and_then(|scale| scaled(state, scale)));
        all.sort_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, event)| event).collect()
    }

    /// What each image trigger of a workload sets, and whether that runs.
    #[must_use]
    pub fn image_triggers(&self, key: &ObjectKey) -> Vec<String> {
        let Some(workload) = self.desired.workloads.get(key) else { return Vec::new() };
        let active = self.state(key).and_then(|state| state.active());
        let one = |trigger: &crate::desired::ImageTrigger| {
            let tag = &trigger.from;
            let namespace = match tag.stream.namespace == key.namespace {
                true => String::new(),
                false => format!("{}/", tag.stream.namespace),
            };
            let names: Vec<&str> = trigger.containers.iter().map(|c| c.name.as_str()).collect();
            let image = image_of(self.observed, tag).and_then(|item| item.event.image);
            let images = || active.into_iter().flat_map(|active| &active.started.images);
            let runs = trigger.containers.iter().all(|container| {
                images().any(|known| known.container == *container && known.digest == image)
            });
            let how = match image {
                _ if !trigger.automatic => "paused",
                None => "no image yet",
                Some(_) if runs => "current",
                Some(_) => "not rolled out",
            };
            let (stream, tag, names) = (&tag.stream.name, &tag.tag, names.join(","));
            format!("{namespace}{stream}:{tag} -> {names} ({how})")
        };
        workload.triggers.iter().map(one).collect()
    }
}

fn event(at: Timestamp, words: [&str; 3], message: &str) -> (Timestamp, Value) {
    let [kind, reason, from] = words;
    let event = json!({
        "type": kind,
        "reason": reason,
        "source": {"component": from},
        "lastTimestamp": Time::of(at),
        "message": message,
    });
    (at, event)
}

/// What became of the last change of the number of instances.
fn scaled(state: &WorkloadState, scale: &Scale) -> Option<(Timestamp, Value)> {
    let end = scale.end.as_ref()?;
    let rollout = state.life().find(|rollout| rollout.seq == scale.started.rollout)?;
    let (name, from, to) = (rollout_name(rollout), scale.started.from, scale.started.to);
    let what = format!("replication controller {name:?} from {from} to {to}");
    Some(match end.outcome {
        Outcome::Complete => {
            let message = format!("Scaled {what}");
            event(end.at, ["Normal", "ReplicationControllerScaled", CONTROLLER], &message)
        }
        Outcome::Failed => {
            let message = format!("Failed to scale {what}: {}", end.reason);
            event(end.at, ["Warning", "ReplicationControllerScaleFailed", CONTROLLER], &message)
        }
        Outcome::Cancelled => return None,
    })
}

fn of(rollout: &Rollout, before: Option<&Rollout>) -> Vec<(Timestamp, Value)> {
    let (name, revision) = (rollout_name(rollout), rollout.started.revision);
    let mut all = Vec::new();
    // What a newer rollout ends, ends before that begins.
    if let Some(before) = before.filter(|before| before.superseded.is_some()) {
        let message = format!(
            "Cancelled deployment {:?} superceded by version {revision}",
            rollout_name(before)
        );
        all.push(event(rollout.at, ["Normal", "DeploymentCancelled", CONTROLLER], &message));
    }
    let message = format!("Created new replication controller {name:?} for version {revision}");
    all.push(event(rollout.at, ["Normal", "DeploymentCreated", CONTROLLER], &message));
    if let Some(end) = rollout.end.as_ref().filter(|end| end.outcome == Outcome::Cancelled) {
        let message =
            format!("Rollout for \"{}/{name}\" cancelled", rollout.started.object.namespace);
        all.push(event(end.at, ["Normal", "RolloutCancelled", DEPLOYER], &message));
    }
    if let Some(end) = rollout.end.as_ref().filter(|end| end.outcome == Outcome::Failed) {
        let why: String = end.reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let message =
            format!("Rollout for \"{}/{name}\" failed: {why}", rollout.started.object.namespace);
        all.push(event(end.at, ["Warning", "Failed", DEPLOYER], &message));
    }
    all
}
