//! Pods of a podman at one look, for whoever asks what runs.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::PodmanTarget;
use super::program::{Podman, Trouble};
use crate::limits::PODMAN_LOOK_TIMEOUT;
use crate::names::ObjectKey;
use crate::pods::LABEL_ROLLOUT;

/// A pod of this host.
pub(in crate::world::target) struct Found {
    pub(in crate::world::target) name: String,
    pub(in crate::world::target) rollout: String,
    pub(in crate::world::target) status: String,
}

/// Those of the pods with these names that a podman has. No others: podman waits for one whose init containers run, as
/// those of a run of a `CronJob` may for hours.
pub(in crate::world::target) async fn look(
    target: &PodmanTarget,
    locks: &Path,
    object: &ObjectKey,
    names: &BTreeSet<String>,
    cancel: &CancellationToken,
) -> Result<Vec<Found>, String> {
    let podman = Podman { target, locks, object, run: None, cancel };
    let filters: Vec<String> = names.iter().map(|name| format!("name=^{name}$")).collect();
    if filters.is_empty() {
        return Ok(Vec::new());
    }
    let mut arguments = vec!["pod", "ps", "--format", "json"];
    arguments.extend(filters.iter().flat_map(|filter| ["--filter", filter.as_str()]));
    let listed = podman.look(&arguments, PODMAN_LOOK_TIMEOUT).await;
    let text = match listed {
        Ok(text) => text,
        Err(Trouble::Refused(why) | Trouble::Passing(why)) => return Err(why),
        Err(Trouble::Cancelled) => return Err("it was cancelled".to_owned()),
    };
    let all: Option<Vec<Value>> =
        serde_json::from_str(&text).map_err(|error| format!("podman pod ps: {error}"))?;
    let text = |pod: &Value, path: &str| {
        pod.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let label = format!("/Labels/{}", LABEL_ROLLOUT.replace('/', "~1"));
    let found = all.iter().flatten().map(|pod| Found {
        name: text(pod, "/Name"),
        rollout: text(pod, &label),
        status: text(pod, "/Status"),
    });
    Ok(found.collect())
}
