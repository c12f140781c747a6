//! What a look at a host adds to the records: the pods that are there, and how they are. Without one nobody knows, and
//! nothing is guessed.

use serde_json::{Value, json};

use crate::api::Time;
use crate::fact::RolloutStep;
use crate::names::ObjectKey;
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::pods::{ContainerState, Instance, Look, Part, Pods, SeenContainer, SeenPod, Units};
use crate::time::Timestamp;

use super::{Counts, Deployed, put};

/// What the API calls the phase of a pod of which nothing is known.
pub(super) const UNKNOWN: &str = "Unknown";

/// The pods of a workload that were seen.
pub(super) struct There<'a> {
    /// When.
    pub(super) at: Timestamp,
    pods: Vec<(&'a SeenPod, Option<&'a Rollout>)>,
    /// The revision that has not shown yet that it is healthy.
    unproven: Option<&'a Rollout>,
}

impl<'s> Deployed<'s> {
    /// What was seen of a workload; none where nobody could look everywhere where something of it may be.
    pub(super) fn there(&self, key: &ObjectKey, state: &'s WorkloadState) -> Option<There<'s>> {
        let last = state.last()?;
        let mut there = There { at: Timestamp::MAX, pods: Vec::new(), unproven: None };
        let mut targets = vec![&last.started.target];
        targets.extend(state.active().map(|active| &active.started.target));
        targets.dedup();
        for target in targets {
            let Some(Look::Seen { at, objects, pods }) = self.looks.get(target) else {
                return None;
            };
            if !objects.contains(key) {
                return None; // it changes just now, say
            }
            there.at = there.at.min(*at);
            let of = pods.iter().filter(|pod| pod.is_of(key)).map(|pod| {
                let is_its = |one: &&Rollout| one.started.key(one.seq).to_string() == pod.rollout;
                (pod, state.rollouts.iter().find(is_its))
            });
            there.pods.extend(of);
        }
        if self.is_of_somebody_else(state) {
            return None;
        }
        let step = last.step.as_ref().map(|stepped| stepped.step);
        let is_proven = last.outcome().is_some() || step == Some(RolloutStep::PostHook);
        there.unproven = (!is_proven).then_some(last);
        Some(there)
    }

    /// Whether what runs is the container of a unit that somebody else wrote: it is in no pod, and is not looked at.
    fn is_of_somebody_else(&self, state: &WorkloadState) -> bool {
        let rendered = [state.last(), state.active()].into_iter().flatten();
        let mut texts = rendered.filter_map(|rollout| (self.rolled)(&rollout.rendered?));
        texts.any(|text| {
            let units = std::str::from_utf8(&text).ok().and_then(Units::parse);
            units.is_some_and(|units| units.is_image_only())
        })
    }
}

impl<'a> There<'a> {
    /// The instances, and what is tried beside them, each with the rollout that it is of.
    pub(super) fn instances(&self) -> impl Iterator<Item = (&'a SeenPod, Option<&'a Rollout>)> {
        let all = self.pods.iter().copied();
        all.filter(|(pod, _)| matches!(pod.part, Part::Instance | Part::Check))
    }

    /// The pod of a name.
    pub(super) fn named(&self, name: &str) -> Option<&'a SeenPod> {
        self.pods.iter().map(|(pod, _)| *pod).find(|pod| pod.name == name)
    }

    /// Whether a pod is ready: all of it works, and its rollout has shown that it does.
    ///
    /// Readiness probes are asked while a revision is rolled out, and not afterwards. One that is being rolled out counts
    /// as ready once all of it was.
    pub(super) fn is_ready(&self, pod: &SeenPod, of: Option<&Rollout>) -> bool {
        let is_proven = self.unproven.is_none_or(|new| of.is_none_or(|of| of.seq != new.seq));
        is_proven && !pod.containers.is_empty() && pod.containers.iter().all(SeenContainer::works)
    }

    /// How many instances of a revision there are that did not end, and how many of them are ready.
    pub(super) fn count(&self, is_it: impl Fn(&Rollout) -> bool) -> [u64; 2] {
        let (mut all, mut ready) = (0, 0);
        for (pod, of) in self.instances() {
            let is_over = matches!(phase(&pod.containers), "Succeeded" | "Failed");
            if pod.part == Part::Instance && !is_over && of.is_some_and(&is_it) {
                all += 1;
                ready += u64::from(self.is_ready(pod, of));
            }
        }
        [all, ready]
    }

    /// The same as numbers of a workload.
    pub(super) fn counts(&self, last: &Rollout, desired: u64) -> Counts {
        let is_new = |of: &Rollout| of.started.revision == last.started.revision;
        let ([updated, new_ready], [old, old_ready]) =
            (self.count(is_new), self.count(|of| !is_new(of)));
        Counts { old, updated, available: new_ready + old_ready, desired }
    }

    /// When something of it ended last; else when it was looked at.
    pub(super) fn broke_at(&self) -> Timestamp {
        let containers = self.instances().flat_map(|(pod, _)| &pod.containers);
        let ended = containers.filter(|one| !one.works()).filter_map(|one| one.ended);
        ended.max().unwrap_or(self.at)
    }
}

/// Which instance a pod is, by its name.
pub(super) fn instance_of(pods: &Pods, seen: &SeenPod) -> Option<Instance> {
    if seen.part == Part::Check {
        return Some(Instance::Check);
    }
    let ordinal = seen.name.strip_prefix(pods.object.name.as_str())?.strip_prefix('-')?;
    ordinal.parse().ok().map(Instance::Ordinal)
}

/// Adds to a pod how it was seen to be.
pub(super) fn with_seen(mut pod: Value, seen: &SeenPod, is_ready: bool) -> Value {
    let listed = pod.pointer("/spec/containers").and_then(Value::as_array).cloned();
    let listed = listed.unwrap_or_default();
    let statuses: Vec<Value> = listed
        .iter()
        .map(|container| {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            let mut status = match seen.container(name) {
                Some(found) => status_of(found, is_ready),
                // Somebody removed it.
                None => json!({"ready": false, "restartCount": 0, "state": {"waiting": {"reason": "Gone"}}}),
            };
            put(&mut status, "name", json!(name));
            if let Some(image) = container.get("image") {
                put(&mut status, "image", image.clone());
            }
            status
        })
        .collect();
    let at = |key: &str, value: Option<Timestamp>| value.map(|at| (key.to_owned(), Time::of(at)));
    if let (Some(meta), Some((key, time))) =
        (pod.get_mut("metadata"), at("creationTimestamp", seen.since))
    {
        put(meta, &key, json!(time));
    }
    let phase = phase(&seen.containers);
    put(&mut pod, "status", json!({"phase": phase, "containerStatuses": statuses}));
    pod
}

/// Adds to a pod that nobody could look at it.
pub(super) fn with_nothing(mut pod: Value) -> Value {
    put(&mut pod, "status", json!({"phase": UNKNOWN}));
    pod
}

/// The phase of a pod as Kubernetes has it.
fn phase(containers: &[SeenContainer]) -> &'static str {
    let is_any = |is: fn(&SeenContainer) -> bool| containers.iter().any(is);
    match () {
        () if is_any(SeenContainer::runs) => "Running",
        () if containers.is_empty() => UNKNOWN,
        () if is_any(|one| matches!(one.state, ContainerState::Other(_))) => "Pending",
        () if is_any(|one| one.state != ContainerState::Ended(0)) => "Failed",
        () => "Succeeded",
    }
}

fn status_of(seen: &SeenContainer, is_ready: bool) -> Value {
    let ended = |status: Option<i64>| {
        let mut state = json!({});
        if let Some(status) = status {
            put(&mut state, "exitCode", json!(status));
            put(&mut state, "reason", json!(if status == 0 { "Completed" } else { "Error" }));
        }
        if let Some(at) = seen.ended {
            put(&mut state, "finishedAt", json!(Time::of(at)));
        }
        state
    };
    let state = match &seen.state {
        ContainerState::Running(since) => {
            let mut running = json!({});
            if let Some(since) = since {
                put(&mut running, "startedAt", json!(Time::of(*since)));
            }
            json!({"running": running})
        }
        ContainerState::Ended(status) => json!({"terminated": ended(Some(*status))}),
        ContainerState::Other(word) => json!({"waiting": {"reason": capital(word)}}),
    };
    let mut status = json!({
        "ready": is_ready && seen.works(),
        "started": seen.runs(),
        "state": state,
    });
    if let Some(restarts) = seen.restarts() {
        put(&mut status, "restartCount", json!(restarts));
    }
    if seen.runs() && seen.ended.is_some() {
        // How it ended podman forgets when it starts it again.
        put(&mut status, "lastState", json!({"terminated": ended(None)}));
    }
    status
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}
