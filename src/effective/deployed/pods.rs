//! The pods of a workload: those that were seen at its host, the executor of the last rollout, and its hooks (rules D10,
//! D11, S0.10).

use serde_json::{Value, json};

use crate::api::Time;
use crate::fact::{Outcome, RolloutStep};
use crate::names::{Kind, ObjectKey};
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::pods::{Instance, Pods, SeenPod};
use crate::time::Timestamp;

use super::{Deployed, There, deployer_name, latest, phase, put, rollout_name, there};

impl Deployed<'_> {
    /// The pods of a workload in the order of their names: those that were seen. Where nobody looked, those that its
    /// target was told to run, of which nothing is known.
    #[must_use]
    pub fn pods(&self, key: &ObjectKey) -> Vec<Value> {
        let Some(state) = self.state(key) else { return Vec::new() };
        let Some(last) = state.last() else { return Vec::new() };
        let there = self.there(key, state);
        let mut all: Vec<Value> = match &there {
            Some(there) => there.instances().map(|(pod, of)| self.seen(there, pod, of)).collect(),
            None => self.told(state, last),
        };
        all.extend(self.runs(state));
        if key.kind == Kind::DeploymentConfig {
            all.extend(latest(state).map(deployer));
        }
        all.extend(self.hooks(last, there.as_ref()));
        for pod in &mut all {
            if let Some(meta) = pod.get_mut("metadata") {
                put(meta, "namespace", json!(key.namespace));
            }
        }
        all.sort_by_key(|pod| pod.pointer("/metadata/name").map(Value::to_string));
        all
    }

    /// A pod that was seen, with what its rollout says of it.
    fn seen(&self, there: &There<'_>, seen: &SeenPod, of: Option<&Rollout>) -> Value {
        let known = of.and_then(|rollout| {
            let pods = self.read(rollout)?;
            self.pod(rollout, &pods, there::instance_of(&pods, seen)?)
        });
        // Of a rollout that is forgotten.
        let unknown = || {
            let containers = seen.containers.iter().map(|one| json!({"name": one.name}));
            json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": seen.name},
                "spec": {"containers": containers.collect::<Vec<_>>()},
            })
        };
        there::with_seen(known.unwrap_or_else(unknown), seen, there.is_ready(seen, of))
    }

    /// Those that the target was told to run: of the active rollout, else of the one that is being started.
    fn told(&self, state: &WorkloadState, last: &Rollout) -> Vec<Value> {
        let Some([old, updated, _]) = self.running(state, last) else { return Vec::new() };
        let mut all = Vec::new();
        if let Some(active) = state.active().filter(|_| old > 0) {
            all.extend(self.played(active));
        }
        if updated > 0 {
            all.extend(self.played(last));
        }
        let step = last.step.as_ref().map(|stepped| stepped.step);
        if step == Some(RolloutStep::Verifying)
            && let Some(pods) = self.read(last)
        {
            all.extend(self.pod(last, &pods, Instance::Check));
        }
        all.into_iter().map(there::with_nothing).collect()
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

    fn played(&self, rollout: &Rollout) -> Vec<Value> {
        let Some(pods) = self.read(rollout) else { return Vec::new() };
        let one = |at| self.pod(rollout, &pods, Instance::Ordinal(at));
        (0..pods.replicas).filter_map(one).collect()
    }

    fn pod(&self, rollout: &Rollout, pods: &Pods, which: Instance) -> Option<Value> {
        let started = &rollout.started;
        let text = pods.pod(which, &started.key(rollout.seq), started.revision);
        let mut pod: Value = serde_json::from_str(&text).ok()?;
        if started.object.kind == Kind::DeploymentConfig {
            let annotations = super::part(pod.get_mut("metadata")?, "annotations");
            for (key, value) in self.annotations_of_pods(rollout) {
                put(annotations, key, json!(value));
            }
        }
        if let Some(meta) = pod.get_mut("metadata") {
            put(meta, "creationTimestamp", json!(Time::of(rollout.at)));
        }
        Some(pod)
    }

    /// Those of the runs of a `CronJob` that were not removed. What was tried again has another name, which the journal
    /// does not know; nor is it looked at.
    fn runs(&self, state: &WorkloadState) -> Vec<Value> {
        let cron = state.active().and_then(|active| active.started.cron.as_ref());
        let kept = state.jobs.kept(cron);
        let there = state.jobs.runs.iter().filter(|job| job.created && kept.contains(&job.seq));
        let made = there.filter_map(|job| {
            let manifest = (self.rolled)(&job.started.manifest)?;
            let pods = Pods::read(&job.started.object, &manifest).ok()?;
            let text = pods.job_pod(&job.started.name, 0, &job.started.key(job.seq));
            let pod: Value = serde_json::from_str(&text).ok()?;
            let phase = match job.outcome() {
                None => there::UNKNOWN,
                Some(Outcome::Complete) => "Succeeded",
                Some(Outcome::Failed) => "Failed",
                Some(Outcome::Cancelled) => return None,
            };
            Some(with_status(pod, job.at, phase))
        });
        made.collect()
    }

    /// The hooks of the last rollout, as far as it is known what became of them.
    fn hooks(&self, last: &Rollout, there: Option<&There<'_>>) -> Vec<Value> {
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
            match there {
                Some(there) => Some(there::with_seen(pod, there.named(&name)?, true)),
                None if phase == "Running" => Some(with_status(pod, last.at, there::UNKNOWN)),
                None => Some(with_status(pod, last.at, phase)),
            }
        });
        made.collect()
    }
}

/// What carries a rollout out: here it is Tidegate itself, which is shown as OpenShift's executor.
fn deployer(last: &Rollout) -> Value {
    let phase = match phase(last) {
        "Complete" => "Succeeded",
        phase @ ("Failed" | "Running") => phase,
        _ => "Pending",
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
    with_status(pod, last.at, phase)
}

/// Adds since when it is there and its phase; of what is known from its records alone nothing was started twice.
fn with_status(mut pod: Value, since: Timestamp, phase: &str) -> Value {
    if let Some(meta) = pod.get_mut("metadata") {
        put(meta, "creationTimestamp", json!(Time::of(since)));
    }
    if phase == there::UNKNOWN {
        return there::with_nothing(pod);
    }
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let statuses: Vec<Value> = containers
        .into_iter()
        .flatten()
        .map(|container| {
            let field = |key: &str| container.get(key).cloned().unwrap_or_default();
            let is_ready = phase == "Running";
            let mut status = json!({"name": field("name"), "ready": is_ready, "restartCount": 0});
            if let Some(image) = container.get("image") {
                put(&mut status, "image", image.clone());
            }
            status
        })
        .collect();
    put(&mut pod, "status", json!({"phase": phase, "containerStatuses": statuses}));
    pod
}
