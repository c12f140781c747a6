//! Workloads as OpenShift's API shows them: the manifest with what the system writes into it, its status, and the
//! replication controllers and pods that its rollouts stand for (DBT 0.4, rules D10 to D12, T22).
//!
//! Rollouts are what the journal proves. How many instances run, and how they are, is what was seen at a look at the host,
//! and left out where nobody looked.

mod conditions;
mod counts;
mod events;
mod job;
mod pods;
mod there;

use serde_json::{Map, Value, json};

use crate::api::Time;
use crate::desired::{DesiredState, Workload};
use crate::fact::{Outcome, RolloutCause, RolloutImage, RolloutStep};
use crate::names::{self, ContentHash, Digest, Kind, ObjectKey, StreamTag};
use crate::observed::ObservedState;
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::pods::Looks;
use crate::policy::Policy;

use super::{Wanted, image_of, pull_spec, render, wanted};

pub use counts::{Counts, replicas_of};
use there::There;

/// Reads a manifest as it was rolled out; none where it is lost.
pub type Rolled<'a> = &'a (dyn Fn(&ContentHash) -> Option<Vec<u8>> + Sync);

/// Workloads of a state.
#[derive(Clone, Copy)]
pub struct Deployed<'a> {
    /// What git asks for.
    pub desired: &'a DesiredState,
    /// What the journal proves.
    pub observed: &'a ObservedState,
    /// The settings.
    pub policy: &'a Policy,
    /// The object store.
    pub rolled: Rolled<'a>,
    /// What was seen at hosts.
    pub looks: &'a Looks,
}

impl std::fmt::Debug for Deployed<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployed").finish_non_exhaustive()
    }
}

/// The phase of a rollout as OpenShift names it (rule D34).
#[must_use]
pub fn phase(rollout: &Rollout) -> &'static str {
    match rollout.outcome() {
        Some(Outcome::Complete) => "Complete",
        Some(Outcome::Failed | Outcome::Cancelled) => "Failed",
        None if rollout.started.steps.is_empty() => "Running",
        None => match rollout.step.as_ref().map(|stepped| stepped.step) {
            None => "New",
            Some(RolloutStep::Pulling) => "Pending",
            Some(_) => "Running",
        },
    }
}

/// The name of a rollout (rule D10).
#[must_use]
pub fn rollout_name(rollout: &Rollout) -> String {
    names::rollout_name(&rollout.started.object.name, rollout.started.revision)
}

/// The name of its executor.
fn deployer_name(rollout: &Rollout) -> String {
    names::deployer_name(&rollout_name(rollout))
}

/// The rollout that the last revision is; putting an earlier one back makes no revision.
#[must_use]
pub fn latest(state: &WorkloadState) -> Option<&Rollout> {
    let mut own = state.life().filter(|rollout| rollout.started.cause != RolloutCause::Restore);
    own.next_back().or_else(|| state.last())
}

/// The revisions of a workload, oldest first: each rollout, but for those that put an earlier revision back.
#[must_use]
pub fn revisions(state: &WorkloadState) -> Vec<&Rollout> {
    let mut all: Vec<&Rollout> = Vec::new();
    for rollout in state.life() {
        let same = |known: &&mut &Rollout| known.started.revision == rollout.started.revision;
        match all.iter_mut().find(same) {
            None => all.push(rollout),
            // A failed one that was tried again is what became of it then (rule D43).
            Some(known) if rollout.started.cause != RolloutCause::Restore => *known = rollout,
            Some(_) => {}
        }
    }
    all.sort_by_key(|rollout| rollout.started.revision);
    all
}

impl Deployed<'_> {
    /// What is known of an object.
    fn state(&self, key: &ObjectKey) -> Option<&WorkloadState> {
        self.observed.workloads.get(key)
    }

    /// The manifest of a rollout.
    fn manifest(&self, rollout: &Rollout) -> Option<Value> {
        serde_json::from_slice(&(self.rolled)(&rollout.started.manifest)?).ok()
    }

    /// The effective object with its status; none where git has no such workload.
    #[must_use]
    pub fn object(&self, key: &ObjectKey) -> Option<Value> {
        let workload = self.desired.workloads.get(key)?;
        let asked = super::Asked::ByTriggers;
        let wanted = wanted(workload, (self.desired, self.policy), self.observed, asked).ok();
        let mut object = self.with_images(workload, wanted.as_ref())?;
        let empty = WorkloadState::default();
        let state = self.state(key).unwrap_or(&empty);
        if key.kind == Kind::DeploymentConfig {
            self.write_triggered(&mut object, workload, wanted.is_some(), state);
        }
        let there = self.there(key, state);
        let counts = self.seen_counts(workload, state, there.as_ref());
        let meta = object.get_mut("metadata")?.as_object_mut()?;
        meta.insert("namespace".into(), json!(key.namespace));
        let since = self.observed.objects.get(key).and_then(|known| known.since);
        if let Some(since) = since {
            meta.entry("creationTimestamp").or_insert_with(|| json!(Time::of(since)));
        }
        if key.kind == Kind::Deployment
            && let Some(last) = latest(state)
        {
            let annotations = meta.entry("annotations").or_insert_with(|| json!({}));
            let revision = last.started.revision.to_string();
            put(annotations, "deployment.kubernetes.io/revision", json!(revision));
        }
        let seen = (counts, there.as_ref());
        let status = self.status(workload, state, seen, &object);
        object.as_object_mut()?.insert("status".into(), status);
        Some(object)
    }

    /// The manifest with the images that triggers set; where that cannot be told, those of the last rollout (rule D27).
    fn with_images(&self, workload: &Workload, wanted: Option<&Wanted>) -> Option<Value> {
        let named = |image: &&RolloutImage| {
            let mut automatic = workload.triggers.iter().filter(|trigger| trigger.automatic);
            automatic.any(|trigger| trigger.containers.contains(&image.container))
        };
        let last = self.state(&workload.object).and_then(WorkloadState::last);
        let kept = last.into_iter().flat_map(|last| &last.started.images).filter(named);
        let images = match wanted {
            Some(wanted) => wanted.images.clone(),
            None => kept.cloned().collect(),
        };
        serde_json::from_slice(&render(workload, &images)).ok()
    }

    /// Writes `lastTriggeredImage` (rules D27, D29).
    fn write_triggered(
        &self,
        object: &mut Value,
        workload: &Workload,
        all_resolve: bool,
        state: &WorkloadState,
    ) {
        let triggers = object.pointer_mut("/spec/triggers").and_then(Value::as_array_mut);
        for trigger in triggers.into_iter().flatten() {
            let Some(params) = trigger.get_mut("imageChangeParams") else { continue };
            let tag = tag_of(params, workload);
            let automatic = params.get("automatic").and_then(Value::as_bool) == Some(true);
            let now = tag.as_ref().filter(|_| automatic && all_resolve).and_then(|tag| {
                let event = &image_of(self.observed, tag)?.event;
                Some(pull_spec(self.desired, self.observed, self.policy, tag, event))
            });
            let seen = || {
                let tag = tag.as_ref()?;
                self.reference_of(state, tag, state.seen.get(tag)?.image)
            };
            if let Some(image) = now.or_else(seen) {
                put(params, "lastTriggeredImage", json!(image));
            }
        }
    }

    /// How an image that a trigger saw is written.
    fn reference_of(
        &self,
        state: &WorkloadState,
        tag: &StreamTag,
        image: Digest,
    ) -> Option<String> {
        let rolled = state.rollouts.iter().rev().flat_map(|rollout| &rollout.started.images);
        let mut rolled = rolled.filter(|known| known.digest == Some(image));
        if let Some(known) = rolled.next() {
            return Some(known.reference.clone());
        }
        let event = &image_of(self.observed, tag)?.event;
        let is_it = event.image == Some(image);
        is_it.then(|| pull_spec(self.desired, self.observed, self.policy, tag, event))
    }

    fn status(
        &self,
        workload: &Workload,
        state: &WorkloadState,
        (counts, there): (Option<Counts>, Option<&There<'_>>),
        object: &Value,
    ) -> Value {
        let mut status = Map::new();
        let mut number = |key: &str, value: u64| status.insert(key.into(), json!(value));
        let kind = workload.object.kind;
        if let Some(counts) = counts {
            let Counts { old, updated, available, desired } = counts;
            let keys: &[(&str, u64)] = match kind {
                Kind::DaemonSet => &[
                    ("currentNumberScheduled", old + updated),
                    ("desiredNumberScheduled", desired),
                    ("numberAvailable", available),
                    ("numberMisscheduled", 0),
                    ("numberReady", available),
                    ("updatedNumberScheduled", updated),
                ],
                Kind::CronJob | Kind::Pod => &[],
                Kind::DeploymentConfig
                | Kind::Deployment
                | Kind::StatefulSet
                | Kind::ImageStream
                | Kind::BuildConfig => &[
                    ("availableReplicas", available),
                    ("readyReplicas", available),
                    ("replicas", old + updated),
                    ("unavailableReplicas", (old + updated).max(desired).saturating_sub(available)),
                    ("updatedReplicas", updated),
                ],
            };
            keys.iter().for_each(|(key, value)| {
                number(key, *value);
            });
        }
        if kind == Kind::DeploymentConfig {
            number("latestVersion", state.latest_revision.0);
            if let Some(last) = latest(state) {
                status.insert("details".into(), details(last));
            }
        }
        if kind == Kind::StatefulSet
            && let Some(last) = latest(state)
        {
            let current = state.active().unwrap_or(last);
            status.insert("currentRevision".into(), json!(rollout_name(current)));
            status.insert("updateRevision".into(), json!(rollout_name(last)));
        }
        if kind == Kind::CronJob {
            job::write(&mut status, state);
        }
        let is_paused = super::is_paused(workload, self.observed);
        let conditions = conditions::of(kind, is_paused, state, (counts, there), object);
        if !conditions.is_empty() {
            status.insert("conditions".into(), Value::Array(conditions));
        }
        Value::Object(status)
    }

    /// The replication controllers of a `DeploymentConfig`, oldest first (rules D11, D12).
    #[must_use]
    pub fn controllers(&self, key: &ObjectKey) -> Vec<Value> {
        let Some(state) = self.state(key).filter(|_| key.kind == Kind::DeploymentConfig) else {
            return Vec::new();
        };
        let all = revisions(state).into_iter();
        let there = self.there(key, state);
        all.map(|rollout| self.controller(key, (state, there.as_ref()), rollout)).collect()
    }

    fn controller(
        &self,
        key: &ObjectKey,
        (state, there): (&WorkloadState, Option<&There<'_>>),
        rollout: &Rollout,
    ) -> Value {
        let name = rollout_name(rollout);
        let manifest = self.manifest(rollout).unwrap_or_default();
        let mut labels = manifest.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
        put(&mut labels, "openshift.io/deployment-config.name", json!(key.name));
        let own = [("deployment", json!(name)), ("deploymentconfig", json!(key.name))];
        // Rule D1.
        let has_any = |found: &Value| found.as_object().is_some_and(|fields| !fields.is_empty());
        let selector = manifest.pointer("/spec/selector").filter(|found| has_any(found));
        let labels_of_pods = manifest.pointer("/spec/template/metadata/labels");
        let mut selector = selector.or(labels_of_pods).cloned().unwrap_or_else(|| json!({}));
        let mut template = manifest.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
        let pods = part(&mut template, "metadata");
        let pod_labels = part(pods, "labels");
        for (key, value) in own {
            put(&mut selector, key, value.clone());
            put(pod_labels, key, value);
        }
        let pod_annotations = part(pods, "annotations");
        for (annotation, value) in self.annotations_of_pods(rollout) {
            put(pod_annotations, annotation, json!(value));
        }
        let desired = self.desired_of(state, rollout);
        let mut status = json!({});
        if let Some([current, ready]) = counts::counted(there, state, rollout) {
            status =
                json!({"availableReplicas": ready, "readyReplicas": ready, "replicas": current});
        }
        let mut spec = json!({"selector": selector, "template": template});
        if let Some(desired) = desired {
            put(&mut spec, "replicas", json!(desired));
        }
        json!({
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {
                "name": name,
                "namespace": key.namespace,
                "creationTimestamp": Time::of(rollout.at),
                "labels": labels,
                "annotations": self.annotations(rollout, &manifest, desired),
            },
            "spec": spec,
            "status": status,
        })
    }

    fn annotations_of_pods(&self, rollout: &Rollout) -> [(&'static str, String); 3] {
        [
            ("openshift.io/deployment.name", rollout_name(rollout)),
            ("openshift.io/deployment-config.name", rollout.started.object.name.to_string()),
            ("openshift.io/deployment-config.latest-version", rollout.started.revision.to_string()),
        ]
    }

    /// What a controller says of its rollout (rule D12).
    fn annotations(&self, rollout: &Rollout, manifest: &Value, desired: Option<u64>) -> Value {
        let ended = rollout.end.as_ref().map(|end| end.reason.as_str());
        let why = ended.or(rollout.superseded.as_deref()).filter(|why| !why.is_empty());
        let why = why.map_or_else(|| rollout.started.cause.to_string(), str::to_owned);
        let started = &rollout.started;
        let mut all = json!({
            "openshift.io/deployment-config.name": started.object.name,
            "openshift.io/deployment-config.latest-version": started.revision.to_string(),
            "openshift.io/deployment.phase": phase(rollout),
            "openshift.io/deployment.status-reason": why,
            "openshift.io/deployer-pod.name": deployer_name(rollout),
        });
        if manifest.is_object() {
            let encoded = json!(manifest.to_string());
            put(&mut all, "openshift.io/encoded-deployment-config", encoded);
        }
        if let Some(desired) = desired {
            put(&mut all, "kubectl.kubernetes.io/desired-replicas", json!(desired.to_string()));
        }
        // How many it had while it was the one that runs, which is what a way back brings.
        let had = rollout.outcome() == Some(Outcome::Complete);
        if let Some(size) = self.size(rollout).filter(|_| had) {
            put(&mut all, "openshift.io/deployment.replicas", json!(size.to_string()));
            if desired != Some(size) {
                put(&mut all, "kubectl.kubernetes.io/original-replicas", json!(size.to_string()));
            }
        }
        if rollout.superseded.is_some() || rollout.outcome() == Some(Outcome::Cancelled) {
            put(&mut all, "openshift.io/deployment.cancelled", json!("true"));
        }
        all
    }
}

/// Why a rollout was started: a message and its causes, one for each image that is another (rule T22).
#[must_use]
pub fn details(rollout: &Rollout) -> Value {
    let started = &rollout.started;
    let causes: Vec<Value> = match started.cause {
        RolloutCause::ConfigChange => vec![json!({"type": "ConfigChange"})],
        RolloutCause::ManualChange => vec![json!({"type": "Manual"})],
        RolloutCause::Restore => Vec::new(),
        RolloutCause::ImageChange => {
            let moved =
                |image: &&RolloutImage| image.digest.is_some() && image.digest != image.previous;
            let cause = |image: &RolloutImage| {
                let from = json!({"kind": "DockerImage", "name": image.reference});
                json!({"type": "ImageChange", "imageTrigger": {"from": from}})
            };
            started.images.iter().filter(moved).map(cause).collect()
        }
    };
    json!({"message": started.cause.to_string(), "causes": causes})
}

/// The tag that a trigger of a `DeploymentConfig` watches.
fn tag_of(params: &Value, workload: &Workload) -> Option<StreamTag> {
    let text = |path: &str| params.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (name, namespace) = (text("/from/name"), text("/from/namespace"));
    let own = workload.object.namespace.as_str();
    let namespace = if namespace.is_empty() { own } else { namespace };
    format!("{namespace}/{name}").parse().ok()
}

/// Puts a value into an object.
fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}

/// An object inside of another, made if there is none.
fn part<'v>(object: &'v mut Value, key: &str) -> &'v mut Value {
    if !object.get(key).is_some_and(Value::is_object) {
        put(object, key, json!({}));
    }
    if let Value::Object(fields) = object {
        return fields.entry(key.to_owned()).or_insert_with(|| json!({}));
    }
    object
}
