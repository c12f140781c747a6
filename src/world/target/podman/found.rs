//! Pods of a podman at one look, for whoever asks what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::program::{Podman, Trouble};
use super::{PodmanTarget, read};
use crate::limits::{PODMAN_ACT_TIMEOUT, PODMAN_LOOK_TIMEOUT};
use crate::names::ObjectKey;
use crate::pods::{
    ContainerState, LABEL_CHECK, LABEL_HOOK, LABEL_OBJECT, LABEL_ROLLOUT, Part, SeenContainer,
    SeenPod,
};
use crate::time::Timestamp;

/// How podman writes that something never happened: a time before this.
const NEVER: Timestamp = Timestamp::EPOCH;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPod {
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    created: String,
    #[serde(default)]
    infra_id: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    containers: Option<Vec<Member>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    name: String,
    #[serde(default)]
    restart_count: u64,
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    #[serde(default)]
    status: String,
    #[serde(default)]
    exit_code: i64,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
    /// In podman 5; 4 has it as well.
    #[serde(default)]
    health: Option<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    #[serde(default)]
    status: String,
}

/// The pods of these objects that a podman has: two calls, however many there are. No others: podman waits for one whose
/// init containers run, as those of a run of a `CronJob` may for hours.
pub(in crate::world::target) async fn look(
    target: &PodmanTarget,
    locks: &Path,
    objects: &BTreeSet<ObjectKey>,
    cancel: &CancellationToken,
) -> Result<Vec<SeenPod>, String> {
    let Some(object) = objects.first() else { return Ok(Vec::new()) };
    let podman = Podman { target, locks, object, run: None, cancel };
    let said = match once(&podman, objects).await {
        // What was listed may be gone before it is looked at.
        Err(Trouble::Refused(why)) if why.contains("no such container") => {
            once(&podman, objects).await
        }
        said => said,
    };
    said.map_err(why)
}

/// Has podman ask the health check of a container; why it did not pass, or whether its pod was started again.
///
/// Podman ends a container that failed it too often and starts it again. Podman 4.3 may end the pod as well in between, as
/// nothing else runs in it, and then starts neither; until `until`, we do when the next check finds it so.
pub(in crate::world::target) async fn check_health(
    target: &PodmanTarget,
    locks: &Path,
    object: &ObjectKey,
    container: &str,
    until: &CancellationToken,
) -> Result<bool, String> {
    // Never cancelled: podman may be starting the container again.
    let podman = Podman { target, locks, object, run: None, cancel: &CancellationToken::new() };
    let arguments = ["healthcheck", "run", container];
    let failed = match podman.look(&arguments, PODMAN_ACT_TIMEOUT).await {
        Err(Trouble::Refused(failed)) if failed.contains("is not running") => failed,
        asked => return asked.map(|_| false).map_err(why),
    };
    let podman = Podman { cancel: until, ..podman };
    let format = "{{.State.Status}} {{.State.Health.FailingStreak}} {{.Config.Healthcheck.Retries}} {{.Pod}}";
    let arguments = ["container", "inspect", "--format", format, container];
    let found = podman.look(&arguments, PODMAN_LOOK_TIMEOUT).await.map_err(why)?;
    let Some(pod) = given_up(&found) else { return Err(failed) };
    let started = podman.act(&["pod", "start", pod], &[], PODMAN_ACT_TIMEOUT).await;
    started.map(|_| true).map_err(why)
}

fn each_container(text: &str, asked: &[&str]) -> Result<Vec<Container>, Trouble> {
    read::each("podman container inspect", text, asked, |one: &Container| &one.id)
}

/// The pod of a container that ended and failed its health check as often as it may. What passed its last check somebody
/// stopped: it is left so.
fn given_up(said: &str) -> Option<&str> {
    let ["exited", streak, most, pod] = said.split_whitespace().collect::<Vec<_>>()[..] else {
        return None;
    };
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    (number(streak) >= number(most).max(1)).then_some(pod)
}

/// What each reader makes of a text; see `untrusted`.
pub(super) fn read_untrusted(text: &str) -> [Result<String, Trouble>; 3] {
    let found = each_container(text, &["aaa"]);
    let listed = read::json::<Option<Vec<ListedPod>>>("podman pod ps", text);
    let seen = listed.map(|listed| {
        let none = BTreeMap::new();
        let seen = listed.iter().flatten().map(|pod| pod.seen(&none));
        format!("{:?}", seen.collect::<Vec<_>>())
    });
    let members = found.map(|found| {
        let seen = found.iter().map(|one| one.seen("web-0"));
        format!("{:?}", seen.collect::<Vec<_>>())
    });
    [seen, members, Ok(format!("{:?}", given_up(text)))]
}

/// What is told of a trouble where there is no rollout.
pub(super) fn why(trouble: Trouble) -> String {
    match trouble {
        Trouble::Refused(why) | Trouble::Passing(why) => read::reason(&why),
        Trouble::Cancelled => "it was cancelled".to_owned(),
    }
}

async fn once(podman: &Podman<'_>, objects: &BTreeSet<ObjectKey>) -> Result<Vec<SeenPod>, Trouble> {
    // Instances, what is tried beside them, and hooks. Numbers of runs have more digits. Podman takes a comma as the end of
    // a filter.
    let filters = objects.iter().map(|object| {
        let name = object.name.as_str().replace('.', "[.]");
        let number = "[0-9][0-9]?[0-9]?[0-9]?[0-9]?";
        format!("name=^{name}-({number}|check|{number}-hook-(pre|mid|post))$")
    });
    let filters: Vec<String> = filters.collect();
    let mut question = vec!["pod", "ps"];
    question.extend(filters.iter().flat_map(|filter| ["--filter", filter.as_str()]));
    let mut listed: Vec<ListedPod> = podman.listed(&question).await?;
    listed.retain(|pod| pod.label(LABEL_OBJECT).is_some());
    let mut ids = vec!["container", "inspect"];
    let fixed = ids.len();
    ids.extend(listed.iter().flat_map(ListedPod::members));
    let mut containers = BTreeMap::new();
    if ids.len() > fixed {
        let text = podman.look(&ids, PODMAN_LOOK_TIMEOUT).await?;
        let asked = ids.get(fixed..).unwrap_or_default();
        let found = each_container(&text, asked)?;
        containers.extend(found.into_iter().map(|one| (one.id.clone(), one)));
    }
    Ok(listed.iter().map(|pod| pod.seen(&containers)).collect())
}

impl ListedPod {
    fn label(&self, label: &str) -> Option<&str> {
        self.labels.as_ref()?.get(label).map(String::as_str)
    }

    /// Its containers but the one that holds its network.
    fn members(&self) -> impl Iterator<Item = &str> {
        let all = self.containers.iter().flatten().map(|member| member.id.as_str());
        all.filter(|id| *id != self.infra_id)
    }

    fn seen(&self, containers: &BTreeMap<String, Container>) -> SeenPod {
        let text = |label| read::word(self.label(label).unwrap_or_default());
        let part = match () {
            () if self.label(LABEL_HOOK).is_some() => Part::Hook,
            () if self.label(LABEL_CHECK).is_some() => Part::Check,
            () => Part::Instance,
        };
        let found = self.members().filter_map(|id| containers.get(id));
        SeenPod {
            name: read::word(&self.name),
            object: text(LABEL_OBJECT),
            rollout: text(LABEL_ROLLOUT),
            part,
            state: read::word(&self.status).to_lowercase(),
            since: time(&self.created),
            containers: found.map(|one| one.seen(&self.name)).collect(),
        }
    }
}

impl Container {
    fn seen(&self, pod: &str) -> SeenContainer {
        let prefix = format!("{pod}-");
        let State { status, exit_code, started_at, finished_at, health } = &self.state;
        let state = match status.as_str() {
            "running" => ContainerState::Running(time(started_at)),
            // Both words mean that it ended; the second one that podman has not cleaned up after it yet.
            "exited" | "stopped" => ContainerState::Ended(*exit_code),
            other => ContainerState::Other(read::word(other)),
        };
        let health = health.as_ref().map(|health| read::word(&health.status));
        SeenContainer {
            name: read::word(self.name.strip_prefix(&prefix).unwrap_or(&self.name)),
            state,
            restarts: self.restart_count,
            ended: time(finished_at),
            health: health.filter(|health| !health.is_empty()),
        }
    }
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|time| *time > NEVER)
}
