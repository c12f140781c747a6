//! The pods of a workload, from the records of its rollouts: those that its target was told to run, the executor of the
//! last rollout, and its hooks (rules D10, D11, S0.10).

use serde_json::{Value, json};

use crate::api::Time;
use crate::fact::{Outcome, RolloutStep};
use crate::names::{Kind, ObjectKey};
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::pods::{Instance, Pods};
use crate::time::Timestamp;

use super::{Deployed, deployer_name, latest, phase, put, rollout_name};

impl Deployed<'_> {
    /// The pods of a workload in the order of their names.
    #[must_use]
    pub fn pods(&self, key: &ObjectKey) -> Vec<Value> {
        let Some(state) = self.state(key) else { return Vec::new() };
        let Some(last) = state.last() else { return Vec::new() };
        let mut all = self.instances(state, last);
        all.extend(self.runs(state));
        if key.kind == Kind::DeploymentConfig {
            all.extend(latest(state).map(deployer));
        }
        all.extend(self.hooks(last));
        for pod in &mut all {
            if let Some(meta) = pod.get_mut("metadata") {
                put(meta, "namespace", json!(key.namespace));
            }
        }
        all.sort_by_key(|pod| pod.pointer("/metadata/name").map(Value::to_string));
        all
    }

    /// Those that serve: of the active rollout, else of the one that is being started.
    fn instances(&self, state: &WorkloadState, last: &Rollout) -> Vec<Value> {
        let Some([old, updated, available]) = self.running(state, last) else { return Vec::new() };
        let mut all = Vec::new();
        if let Some(active) = state.active().filter(|_| old > 0) {
            all.extend(self.played(active, true));
        }
        if updated > 0 {
            all.extend(self.played(last, available > 0));
        }
        let step = last.step.as_ref().map(|stepped| stepped.step);
        if step == Some(RolloutStep::Verifying)
            && let Some(pods) = self.read(last)
        {
            all.extend(self.pod(last, &pods, Instance::Check, false));
        }
        all
    }

    fn read(&self, rollout: &Rollout) -> Option<Pods> {
        let manifest = (self.rolled)(&rollout.started.manifest)?;
        let pods = Pods::read(&rollout.started.object, &manifest).ok()?;
        // As many as it was scaled to since.
        match rollout.size() {
            Some(size) => pods.scaled(size).ok(),
            None => Some(pods),
        }
    }

    fn played(&self, rollout: &Rollout, ready: bool) -> Vec<Value> {
        let Some(pods) = self.read(rollout) else { return Vec::new() };
        let one = |at| self.pod(rollout, &pods, Instance::Ordinal(at), ready);
        (0..pods.replicas).filter_map(one).collect()
    }

    fn pod(&self, rollout: &Rollout, pods: &Pods, which: Instance, ready: bool) -> Option<Value> {
        let started = &rollout.started;
        let text = pods.pod(which, &started.key(rollout.seq), started.revision);
        let mut pod: Value = serde_json::from_str(&text).ok()?;
        if started.object.kind == Kind::DeploymentConfig {
            let annotations = super::part(pod.get_mut("metadata")?, "annotations");
            for (key, value) in self.annotations_of_pods(rollout) {
                put(annotations, key, json!(value));
            }
        }
        Some(with_status(pod, rollout.at, "Running", Some(ready)))
    }

    /// Those of the runs of a `CronJob` that were not removed. What was tried again has another name, which the journal
    /// does not know.
    fn runs(&self, state: &WorkloadState) -> Vec<Value> {
        let cron = state.active().and_then(|active| active.started.cron.as_ref());
        let kept = state.jobs.kept(cron);
        let there = state.jobs.runs.iter().filter(|job| job.created && kept.contains(&job.seq));
        let made = there.filter_map(|job| {
            let manifest = (self.rolled)(&job.started.manifest)?;
            let pods = Pods::read(&job.started.object, &manifest).ok()?;
            let text = pods.job_pod(&job.started.name, 0, &job.started.key(job.seq));
            let pod: Value = serde_json::from_str(&text).ok()?;
            let (phase, ready) = match job.outcome() {
                None => ("Running", Some(true)),
                Some(Outcome::Complete) => ("Succeeded", None),
                Some(Outcome::Failed) => ("Failed", None),
                Some(Outcome::Cancelled) => return None,
            };
            Some(with_status(pod, job.at, phase, ready))
        });
        made.collect()
    }

    /// The hooks of the last rollout, as far as it is known what became of them.
    fn hooks(&self, last: &Rollout) -> Vec<Value> {
        let is_hook = |step: &RolloutStep| {
            matches!(step, RolloutStep::PreHook | RolloutStep::MidHook | RolloutStep::PostHook)
        };
        let all = last.started.steps.iter().copied().filter(is_hook);
        let now = last.step.as_ref().map(|stepped| stepped.step);
        let phase = |step| match (last.outcome(), now) {
            (Some(Outcome::Complete), _) => Some("Succeeded"),
            (Some(Outcome::Failed | Outcome::Cancelled), _) | (None, None) => None,
            (None, Some(now)) if now == step => Some("Running"),
            (None, Some(RolloutStep::RollingBack)) => None,
            (None, Some(now)) => (now > step).then_some("Succeeded"),
        };
        let ran: Vec<_> = all.filter_map(|step| Some((step, phase(step)?))).collect();
        let Some(pods) = self.read(last).filter(|_| !ran.is_empty()) else { return Vec::new() };
        let made = ran.into_iter().filter_map(|(step, phase)| {
            let started = &last.started;
            let text = pods.hook_pod(step, &started.key(last.seq), started.revision)?;
            let mut pod: Value = serde_json::from_str(&text).ok()?;
            let labels = super::part(pod.get_mut("metadata")?, "labels");
            put(labels, "openshift.io/deployer-pod-for.name", json!(rollout_name(last)));
            let [name, _] = pods.hook_name(step, started.revision);
            let which = name.get(rollout_name(last).len() + 1..).unwrap_or_default();
            put(labels, "openshift.io/deployer-pod.type", json!(which));
            Some(with_status(pod, last.at, phase, (phase == "Running").then_some(true)))
        });
        made.collect()
    }
}

/// What carries a rollout out: here it is Tidegate itself, which is shown as OpenShift's executor.
fn deployer(last: &Rollout) -> Value {
    let (phase, ready) = match phase(last) {
        "Complete" => ("Succeeded", None),
        "Failed" => ("Failed", None),
        "Running" => ("Running", Some(true)),
        _ => ("Pending", None),
    };
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": deployer_name(last),
            "labels": {"openshift.io/deployer-pod-for.name": rollout_name(last)},
            "annotations": {
                "openshift.io/deployment-config.name": last.started.object.name,
                "openshift.io/deployment.name": rollout_name(last),
            },
        },
        "spec": {"containers": [{"name": "deployment"}]},
    });
    with_status(pod, last.at, phase, ready)
}

/// Adds since when it is there, its phase, and which containers are ready: all or none.
fn with_status(mut pod: Value, since: Timestamp, phase: &str, ready: Option<bool>) -> Value {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let statuses: Vec<Value> = containers
        .into_iter()
        .flatten()
        .map(|container| {
            let field = |key: &str| container.get(key).cloned().unwrap_or_default();
            let mut status = json!({"name": field("name"), "ready": ready == Some(true)});
            // Nobody asks a target how often it started a container again; others are started once.
            if container.get("image").is_none() || phase != "Running" {
                put(&mut status, "restartCount", json!(0));
            }
            if let Some(image) = container.get("image") {
                put(&mut status, "image", image.clone());
            }
            status
        })
        .collect();
    if let Some(meta) = pod.get_mut("metadata") {
        put(meta, "creationTimestamp", json!(Time::of(since)));
    }
    put(&mut pod, "status", json!({"phase": phase, "containerStatuses": statuses}));
    pod
}
