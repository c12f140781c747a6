//! What a host was seen to run, at one look, and what of that is not as it was rolled out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LABEL_ROLLOUT;
use crate::names::{ObjectKey, TargetName};
use crate::time::{Span, Timestamp};

/// What was seen at each target that was looked at.
pub type Looks = BTreeMap<TargetName, Look>;

/// One look at a target.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Look {
    /// It answered.
    Seen {
        /// When.
        at: Timestamp,
        /// The objects whose pods were looked for.
        objects: BTreeSet<ObjectKey>,
        /// Their pods.
        pods: Vec<SeenPod>,
    },
    /// It did not; why.
    Silent(String),
}

/// A pod.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenPod {
    /// Its name.
    pub name: String,
    /// The object that it says it is of.
    pub object: String,
    /// The key of the rollout, or of the run, that it says it is of.
    pub rollout: String,
    /// What it is there for.
    pub part: Part,
    /// What podman calls its state, in small letters.
    pub state: String,
    /// Since when it is there.
    pub since: Option<Timestamp>,
    /// Its containers, but for the one that holds its network.
    pub containers: Vec<SeenContainer>,
}

/// What a pod is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// It does the work.
    Instance,
    /// It is tried before.
    Check,
    /// It is a hook.
    Hook,
}

/// A container.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeenContainer {
    /// Its name in the manifest.
    pub name: String,
    /// How it is.
    pub state: ContainerState,
    /// How often podman started it again after it had ended.
    pub restarts: u64,
    /// When it ended last, if ever.
    pub ended: Option<Timestamp>,
    /// What its health check says, in podman's words; none where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

/// How a container is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ContainerState {
    /// It runs, since then.
    Running(Option<Timestamp>),
    /// It ended with this exit status.
    Ended(i64),
    /// Something else, in podman's word.
    Other(String),
}

/// How a workload is not as it was rolled out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Astray {
    /// What is not as it should be.
    pub why: String,
    /// How bad that is.
    pub how: How,
}

/// How bad it is that a workload is not as it was rolled out, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum How {
    /// Something of it does not run, or nobody could look.
    #[default]
    NotRunning,
    /// It runs, and its health check fails.
    Unhealthy,
    /// It runs, and was started again not long ago.
    Restarting,
    /// It runs, and somebody edited its files.
    Drifted,
}

/// What was started again within this time is told: the kubelet, too, forgives what ran for so long since.
const FORGIVEN: Duration = Duration::from_secs(10 * 60);

/// What podman calls a health check that failed as often as its probe allows.
const UNHEALTHY: &str = "unhealthy";

impl How {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotRunning => "NotRunning",
            Self::Unhealthy => "Unhealthy",
            Self::Restarting => "Restarting",
            Self::Drifted => "Drifted",
        }
    }
}

impl SeenPod {
    /// Whether it is one of an object.
    #[must_use]
    pub fn is_of(&self, object: &ObjectKey) -> bool {
        self.object == object.to_string()
    }

    /// A container by its name in the manifest.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&SeenContainer> {
        self.containers.iter().find(|container| container.name == name)
    }
}

impl SeenContainer {
    /// Whether its health check failed as often as its probe allows.
    #[must_use]
    pub fn is_unhealthy(&self) -> bool {
        self.health.as_deref() == Some(UNHEALTHY)
    }

    /// Whether it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(self.state, ContainerState::Running(_))
    }

    /// Whether it runs, and nothing that was asked says that it does not work.
    #[must_use]
    pub fn works(&self) -> bool {
        self.runs() && !self.is_unhealthy()
    }

    /// How often it was started again; none where nobody counted that: podman counts what its restart policy does, and not
    /// what a health check or somebody by hand did.
    #[must_use]
    pub fn restarts(&self) -> Option<u64> {
        let is_uncounted = self.restarts == 0 && self.runs() && self.ended.is_some();
        (!is_uncounted).then_some(self.restarts)
    }

    /// What is wrong with it, as of a time; `shown` is what it is called.
    fn ails(&self, shown: &str, now: Timestamp) -> Option<Astray> {
        let restarted = match self.restarts() {
            Some(0) => None,
            Some(1) => Some("restarted once".to_owned()),
            Some(count) => Some(format!("restarted {count} times")),
            None => Some("was started again".to_owned()),
        };
        let (why, how) = match (&self.state, restarted) {
            (ContainerState::Ended(status), Some(restarted)) => {
                let why = format!("{restarted}, and has ended again with exit status {status}");
                (why, How::NotRunning)
            }
            (ContainerState::Ended(status), None) => {
                (format!("ended with exit status {status}"), How::NotRunning)
            }
            (ContainerState::Other(state), _) => (format!("is {state}"), How::NotRunning),
            (ContainerState::Running(_), restarted) if self.is_unhealthy() => {
                let restarted = restarted.map(|words| format!(", {words}")).unwrap_or_default();
                (format!("is unhealthy: its liveness probe fails{restarted}"), How::Unhealthy)
            }
            (ContainerState::Running(since), restarted) => {
                let age = now.since((*since).or(self.ended)?);
                let shown = Span(Duration::from_secs(age.as_secs()));
                let why = format!("{}, last {shown} ago", restarted?);
                (age < FORGIVEN).then_some((why, How::Restarting))?
            }
        };
        Some(Astray { why: format!("{shown} {why}"), how })
    }
}

/// What is wrong with the pods of these documents, which were rolled out; the worst of it.
#[must_use]
pub fn ailing(documents: Vec<&str>, seen: &[SeenPod], now: Timestamp) -> Option<Astray> {
    let found = documents.into_iter().filter_map(|document| pod_ails(document, seen, now));
    found.min_by_key(|astray| astray.how)
}

fn pod_ails(document: &str, seen: &[SeenPod], now: Timestamp) -> Option<Astray> {
    let label = format!("/metadata/labels/{}", LABEL_ROLLOUT.replace('/', "~1"));
    let pod: Value = serde_json::from_str(document).ok()?;
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
    let (name, rollout) = (text("/metadata/name")?, text(&label)?);
    let not_running = |why: String| Some(Astray { why, how: How::NotRunning });
    let Some(seen) = seen.iter().find(|pod| pod.name == name) else {
        return not_running(format!("pod {name} is gone"));
    };
    if seen.rollout != rollout {
        return not_running(format!("pod {name} is not the one that was rolled out"));
    }
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    let names = containers.into_iter().flatten().filter_map(|one| one.get("name")?.as_str());
    let names: BTreeSet<&str> = names.collect();
    let stands = |one: &SeenContainer| !one.runs() && one.restarts == 0;
    // Between two looks at it, a container of a pod that runs may be on its way.
    if seen.state != "running" && names.iter().all(|name| seen.container(name).is_none_or(stands)) {
        return not_running(format!("pod {name} is {}", seen.state));
    }
    let found = names.into_iter().filter_map(|container| {
        let shown = format!("container {name}-{container}");
        match seen.container(container) {
            None => not_running(format!("{shown} is gone")),
            Some(container) => container.ails(&shown, now),
        }
    });
    found.min_by_key(|astray| astray.how)
}
