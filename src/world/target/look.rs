//! Whether what was rolled out to a host runs there now. Somebody may have stopped it by hand: that is told, and left so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::podman::{self, Found};
use super::{TargetConfig, Targets};
use crate::names::{ContentHash, ObjectKey, TargetName};
use crate::pods::{self, LABEL_ROLLOUT, Units};

/// How long somebody who asks how things are waits for podman.
const PATIENCE: Duration = Duration::from_secs(5);

/// What should run of a workload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// The workload.
    pub object: ObjectKey,
    /// Where.
    pub target: TargetName,
    /// What was played there, in the object store.
    pub rendered: ContentHash,
}

/// How a workload is not as it was rolled out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Astray {
    /// What is not as it should be.
    pub why: String,
    /// Whether it runs, and somebody edited its files.
    pub drifted: bool,
}

impl Astray {
    fn not_running(why: String) -> Self {
        Self { why, drifted: false }
    }
}

impl Targets {
    /// What of these is not as it was rolled out, and why that is known.
    pub async fn look(&self, expected: Vec<Expected>) -> BTreeMap<ObjectKey, Astray> {
        let mut names: BTreeMap<TargetName, BTreeSet<String>> = BTreeMap::new();
        for Expected { target, rendered, .. } in &expected {
            if let Ok(rendered) = self.read_text(*rendered).await {
                names.entry(target.clone()).or_default().extend(names_in(&rendered));
            }
        }
        let mut found: BTreeMap<TargetName, Result<Vec<Found>, String>> = BTreeMap::new();
        let mut astray = BTreeMap::new();
        for Expected { object, target, rendered } in expected {
            let host = self.0.targets.get(&target).and_then(TargetConfig::host);
            let Some(host) = host else { continue };
            if !found.contains_key(&target) {
                let cancel = CancellationToken::new();
                let names = names.remove(&target).unwrap_or_default();
                let looked = podman::look(host.podman, &self.0.locks, &object, &names, &cancel);
                let looked = tokio::time::timeout(PATIENCE, looked).await;
                let looked = looked.unwrap_or_else(|_| Err("podman does not answer".to_owned()));
                found.insert(target.clone(), looked);
            }
            let why = match found.get(&target) {
                Some(Ok(pods)) => {
                    let rendered = self.read_text(rendered).await;
                    rendered.ok().and_then(|rendered| astray_of(&rendered, pods, host, &object))
                }
                Some(Err(why)) => {
                    Some(Astray::not_running(format!("cannot look at what runs: {why}")))
                }
                None => None,
            };
            astray.extend(why.map(|why| (object, why)));
        }
        astray
    }
}

/// How a workload is not as it was rolled out: what does not run is worse than what would run another way.
fn astray_of(
    rendered: &str,
    found: &[Found],
    host: podman::Target<'_>,
    object: &ObjectKey,
) -> Option<Astray> {
    let Some(units) = Units::parse(rendered) else {
        return missing(pods::documents(rendered), found).map(Astray::not_running);
    };
    let missing = missing(units.documents().collect(), found).map(Astray::not_running);
    missing.or_else(|| {
        let why = host.units?.drifted(object, units)?;
        Some(Astray { why, drifted: true })
    })
}

/// The names of the pods of what was put together.
fn names_in(rendered: &str) -> Vec<String> {
    let units = Units::parse(rendered);
    let documents = units.as_ref().map(|units| units.documents().collect());
    let documents: Vec<&str> = documents.unwrap_or_else(|| pods::documents(rendered));
    let name = |document: &str| {
        let pod: Value = serde_json::from_str(document).ok()?;
        Some(pod.pointer("/metadata/name")?.as_str()?.to_owned())
    };
    documents.into_iter().filter_map(name).collect()
}

/// The first pod of these documents that does not run.
fn missing(documents: Vec<&str>, found: &[Found]) -> Option<String> {
    let label = format!("/metadata/labels/{}", LABEL_ROLLOUT.replace('/', "~1"));
    documents.into_iter().find_map(|document| {
        let pod: Value = serde_json::from_str(document).ok()?;
        let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
        let (name, rollout) = (text("/metadata/name")?, text(&label)?);
        let Some(pod) = found.iter().find(|pod| pod.name == name) else {
            return Some(format!("pod {name} is gone"));
        };
        if pod.rollout != rollout {
            return Some(format!("pod {name} is not the one that was rolled out"));
        }
        let state = pod.status.to_lowercase();
        (state != "running").then(|| format!("pod {name} is {state}"))
    })
}
