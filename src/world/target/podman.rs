//! The podman target: pods on this host, step by step (rules R5 to R15).
//!
//! Each step may be asked for again, after a crash or a failure of podman itself: what is there already is left as it is,
//! told by the labels of the pods. A step that fails touches nothing that ran before; putting that back is a step of its
//! own.

mod bridge;
mod configs;
mod ended;
mod files;
mod found;
mod health;
mod hook;
mod job;
mod keep;
mod logs;
mod made;
mod moving;
mod names;
mod probe;
mod program;
mod pull;
mod read;
mod resolver;
mod scale;
mod swap;
mod systemd;
mod units;
mod unshared;
mod untrusted;
mod update;
mod waited;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::super::registry::Registries;
use super::{Keep, ReadConfigs};
use crate::action::{RolloutReport, RolloutRequest, StepOrder};
use crate::fact::RolloutStep;
use crate::limits::{PODMAN_ACT_TIMEOUT, PODMAN_LOOK_TIMEOUT};
use crate::names::{CommitId, ObjectKey};
use crate::pods::{
    Handler, Instance, LABEL_ATTEMPT, LABEL_CHECK, LABEL_HOOK, LABEL_OBJECT, LABEL_ROLLOUT, Pods,
    Probe,
};
use crate::time::Timestamp;
pub(super) use found::{check_health, look};
pub(super) use job::Run;
use program::{Patience, Podman, Trouble};
use swap::seconds;

pub use logs::Logs;
pub use systemd::QuadletTarget;
pub use unshared::{PROBE, answer as answer_probe};
pub use untrusted::{Untrusted, read_untrusted};

/// Podman on this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodmanTarget {
    /// An absolute path, or a name to look up in `PATH`.
    pub program: PathBuf,
    /// The network that pods join; podman's own default, if none is named.
    pub network: Option<String>,
    /// What it gets of our environment.
    pub environment: BTreeMap<String, String>,
}

/// What runs pods on this host.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) podman: &'a PodmanTarget,
    /// Where the pods are those of units.
    pub(super) units: Option<&'a QuadletTarget>,
}

/// A manifest, and what it became on this host.
pub(super) struct Revision {
    pub(super) commit: CommitId,
    pub(super) manifest: Vec<u8>,
    pub(super) rendered: String,
    /// What it is called beside its own name.
    pub(super) names: Vec<String>,
}

/// One step of one rollout, with everything that it needs.
pub(super) struct Work<'a> {
    pub(super) target: Target<'a>,
    pub(super) locks: &'a Path,
    pub(super) request: &'a RolloutRequest,
    pub(super) order: &'a StepOrder,
    pub(super) manifest: &'a [u8],
    /// What is going to run; none before it is put together.
    pub(super) rendered: Option<String>,
    pub(super) previous: Option<Revision>,
    /// All that was put together for the object and may be there.
    pub(super) written: Vec<String>,
    pub(super) keep: &'a Keep,
    pub(super) configs: &'a ReadConfigs,
    pub(super) registries: Option<&'a Registries>,
    pub(super) cancel: &'a CancellationToken,
    /// Where instances are added or removed instead of a step taken.
    pub(super) scale: Option<Scale>,
}

/// How many instances there should be of what runs.
pub(super) struct Scale {
    pub(super) to: u32,
    /// What runs, as it was put together.
    pub(super) runs: String,
}

impl Work<'_> {
    pub(super) async fn run(self) -> RolloutReport {
        let object = &self.request.object;
        let read = Pods::read(object, self.manifest);
        let read = match &self.scale {
            Some(scale) => read.and_then(|pods| pods.scaled(scale.to)),
            None => read,
        };
        let pods = match read {
            Ok(pods) => pods,
            Err(why) => {
                return RolloutReport::Failed { reason: why.to_string(), log: String::new() };
            }
        };
        let pods = match self.placed(pods).await {
            Ok(pods) => pods,
            Err(trouble) => return told(trouble, String::new()),
        };
        let Self { target, locks, cancel, .. } = self;
        let podman = Podman { target: target.podman, locks, object, run: None, cancel };
        let host = Host { podman, pods, work: &self, down: OnceLock::new() };
        let done = match &self.scale {
            Some(scale) => host.scale(&scale.runs).await,
            None => match host.step().await {
                Ok(done) => host.after().await.map(|()| done),
                trouble => trouble,
            },
        };
        match done {
            Ok(Done { note, rendered: Some(rendered) }) => self.keep(rendered, note).await,
            Ok(Done { note, rendered: None }) => {
                let down = host.down.get().copied();
                RolloutReport::Stepped { rendered: None, note, down }
            }
            Err(trouble) => {
                let is_refused = matches!(trouble, Trouble::Refused(_));
                let log = if is_refused { host.log().await } else { String::new() };
                told(trouble, log)
            }
        }
    }

    /// Puts what is going to run into the object store.
    async fn keep(&self, rendered: String, note: String) -> RolloutReport {
        let keep = std::sync::Arc::clone(self.keep);
        let kept = tokio::task::spawn_blocking(move || keep(rendered.as_bytes())).await;
        match kept.map_err(std::io::Error::other).flatten() {
            Ok(hash) => RolloutReport::Stepped { rendered: Some(hash), note, down: None },
            Err(error) => {
                let reason = format!("cannot keep what is to run: {error}");
                RolloutReport::Transient { reason, retry_after: None }
            }
        }
    }
}

fn told(trouble: Trouble, log: String) -> RolloutReport {
    match trouble {
        Trouble::Cancelled => RolloutReport::Cancelled,
        Trouble::Passing(reason) => {
            RolloutReport::Transient { reason: read::reason(&reason), retry_after: None }
        }
        Trouble::Refused(reason) => RolloutReport::Failed { reason: read::reason(&reason), log },
    }
}

/// Stops and removes all that runs of an object.
pub(super) async fn stop(
    target: Target<'_>,
    locks: &Path,
    object: &ObjectKey,
    written: &[String],
    cancel: &CancellationToken,
) -> RolloutReport {
    let podman = Podman { target: target.podman, locks, object, run: None, cancel };
    let gone = match target.units {
        Some(units) => units.remove(&podman, written).await,
        None => Ok(()),
    };
    if let Err(Trouble::Refused(reason)) = gone {
        return RolloutReport::Failed { reason: read::reason(&reason), log: String::new() };
    }
    let removed = async {
        gone?;
        for pod in podman.pods().await? {
            podman.remove(&pod.name, None).await?;
        }
        podman.let_images_go().await?;
        podman.remove_versions_but(&BTreeSet::new()).await
    };
    match removed.await {
        Ok(()) => RolloutReport::Complete { log: String::new() },
        Err(Trouble::Cancelled) => RolloutReport::Cancelled,
        Err(Trouble::Refused(reason) | Trouble::Passing(reason)) => {
            RolloutReport::Transient { reason: read::reason(&reason), retry_after: None }
        }
    }
}

/// A pod that is there.
#[derive(Debug)]
struct Pod {
    name: String,
    /// The container that holds its network.
    infra: String,
    /// Whose it is.
    object: String,
    rollout: String,
    is_check: bool,
    is_hook: bool,
    /// Which attempt at a run of a `CronJob` it is.
    attempt: u32,
    /// Whether any of its containers runs.
    runs: bool,
}

impl Pod {
    /// As podman lists it.
    fn of(listed: &Value) -> Result<Self, Trouble> {
        let text = |path: &str| {
            listed.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let label = |label: &str| text(&format!("/Labels/{}", label.replace('/', "~1")));
        let name = text("/Name");
        if name.is_empty() {
            return Err(Trouble::Passing("podman pod ps lists a pod without a name".into()));
        }
        Ok(Self {
            name,
            infra: text("/InfraId"),
            object: label(LABEL_OBJECT),
            rollout: label(LABEL_ROLLOUT),
            is_check: label(LABEL_CHECK) == "true",
            is_hook: label(LABEL_HOOK) == "true",
            attempt: label(LABEL_ATTEMPT).parse().unwrap_or(0),
            runs: !matches!(text("/Status").as_str(), "Created" | "Exited" | "Stopped"),
        })
    }
}

impl Podman<'_> {
    /// The pods of the object.
    async fn pods(&self) -> Result<Vec<Pod>, Trouble> {
        let object = self.object.to_string();
        let mut pods = self.pods_where(&format!("label={LABEL_OBJECT}={object}")).await?;
        // What is removed below is ours, whatever a filter let through.
        pods.retain(|pod| pod.object == object);
        Ok(pods)
    }

    /// The pods that a filter lets through. Podman waits for each whose init containers run.
    async fn pods_where(&self, filter: &str) -> Result<Vec<Pod>, Trouble> {
        let all: Vec<Value> = self.listed(&["pod", "ps", "--filter", filter]).await?;
        all.iter().map(Pod::of).collect()
    }

    /// Ends a pod, with the time that its programs may take, and removes it.
    async fn remove(&self, pod: &str, grace: Option<Duration>) -> Result<(), Trouble> {
        let grace = grace.unwrap_or(Duration::from_secs(30));
        let seconds = grace.as_secs().to_string();
        let timeout = grace.saturating_mul(2).saturating_add(PODMAN_ACT_TIMEOUT);
        let running = self.programs(pod).await?;
        if !running.is_empty() {
            let mut arguments = vec!["stop", "--ignore", "--time", &seconds];
            arguments.extend(running.iter().map(String::as_str));
            self.act(&arguments, &[], timeout).await?;
        }
        self.act(&["pod", "rm", "--force", "--ignore", pod], &[], timeout).await.map(drop)
    }

    /// The containers of a pod that run, but for the one that holds its network: that ends at once, and if it is told
    /// together with them, as `podman pod stop` does, they can answer nobody in the time that they have to end.
    async fn programs(&self, pod: &str) -> Result<Vec<String>, Trouble> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Listed {
            id: String,
            #[serde(default)]
            is_infra: bool,
        }
        let filter = format!("pod={pod}");
        let listed: Vec<Listed> = self.listed(&["ps", "--filter", &filter]).await?;
        Ok(listed.into_iter().filter(|one| !one.is_infra).map(|one| one.id).collect())
    }

    /// What podman lists. There is nothing in such a question that could be refused (rule T25).
    async fn listed<T: DeserializeOwned>(&self, question: &[&str]) -> Result<Vec<T>, Trouble> {
        let arguments = [question, &["--format", "json"]].concat();
        let command: Vec<&str> =
            question.iter().copied().take_while(|word| !word.starts_with('-')).collect();
        let passing =
            |why: &dyn Display| Trouble::Passing(format!("podman {}: {why}", command.join(" ")));
        let said = match self.look(&arguments, PODMAN_LOOK_TIMEOUT).await {
            Err(Trouble::Refused(why)) => return Err(passing(&why)),
            said => said?,
        };
        let listed: Option<Vec<T>> = read::json(&format!("podman {}", command.join(" ")), &said)?;
        Ok(listed.unwrap_or_default())
    }

    /// Starts the pod of a document; in the network that is configured it has these names beside its own.
    async fn play(&self, document: &str, names: &[String]) -> Result<(), Trouble> {
        self.play_or_make(document, names, true).await
    }

    /// Makes the pod of a document, in the network that is configured, and starts nothing.
    async fn make(&self, document: &str) -> Result<(), Trouble> {
        self.play_or_make(document, &[], false).await
    }

    async fn play_or_make(
        &self,
        document: &str,
        names: &[String],
        starts: bool,
    ) -> Result<(), Trouble> {
        let start = format!("--start={starts}");
        let played = async |more: &[&str]| {
            let arguments = [&["kube", "play", "--quiet", &start], more, &["-"]].concat();
            self.act(&arguments, document.as_bytes(), PODMAN_ACT_TIMEOUT).await.map(drop)
        };
        let Some(network) = &self.target.network else { return played(&[]).await };
        let names: Vec<String> = names.iter().map(|name| format!("alias={name}")).collect();
        let names = names.join(",");
        let joined = if names.is_empty() { network } else { &format!("{network}:{names}") };
        self.keep_bridge(network).await?;
        played(&["--network", joined]).await?;
        self.keep_bridge(network).await
    }
}

/// What a rendered document says of its pod.
fn named(document: &str) -> Result<(String, String), Trouble> {
    let pod: Value = serde_json::from_str(document)
        .map_err(|error| Trouble::Refused(format!("what is to run is no pod: {error}")))?;
    let label = format!("/metadata/labels/{}", LABEL_ROLLOUT.replace('/', "~1"));
    let text =
        |path: &str| pod.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((text("/metadata/name"), text(&label)))
}

struct Host<'a> {
    podman: Podman<'a>,
    pods: Pods,
    work: &'a Work<'a>,
    /// Since when the ports of the host lead nowhere.
    down: OnceLock<Timestamp>,
}

/// What came of a step.
struct Done {
    note: String,
    /// What is going to run, where it was put together.
    rendered: Option<String>,
}

impl Host<'_> {
    async fn step(&self) -> Result<Done, Trouble> {
        self.before().await?;
        let step = self.work.order.step;
        if let Some(units) = self.work.target.units {
            return self.unit_step(units, step).await;
        }
        let note = match step {
            RolloutStep::Pulling => {
                let note = self.pull().await?;
                return Ok(Done { note, rendered: Some(self.render()) });
            }
            RolloutStep::Verifying => self.verify().await?,
            RolloutStep::StoppingOld => self.stop_old().await?,
            RolloutStep::StartingNew => self.start().await?,
            RolloutStep::Checking => self.check().await?,
            RolloutStep::Updating => self.update().await?,
            RolloutStep::RollingBack => self.roll_back().await?,
            RolloutStep::PreHook | RolloutStep::MidHook | RolloutStep::PostHook => {
                self.hook(step).await?
            }
        };
        Ok(Done { note, rendered: None })
    }

    /// The pods of the revision.
    fn render(&self) -> String {
        self.pods.render(&self.work.request.key, self.work.request.revision)
    }

    /// Everything that can be found out before anything is touched.
    async fn pull(&self) -> Result<String, Trouble> {
        self.podman.has_network().await?;
        let ours = self.podman.pods().await?;
        // What hooks of earlier rollouts left, so that one could look at it until now.
        let key = self.work.request.key.to_string();
        for hook in ours.iter().filter(|pod| pod.is_hook && pod.rollout != key) {
            self.podman.remove(&hook.name, Some(Duration::ZERO)).await?;
        }
        let ours: Vec<String> = ours.into_iter().map(|pod| pod.name).collect();
        let names: Vec<String> = self.pods.names().chain([self.pods.check_name()]).collect();
        for name in names.iter().filter(|name| !ours.contains(name)) {
            let Some(seen) = health::look(&self.podman, name).await? else { continue };
            let owner = seen.labels.get(LABEL_OBJECT).map_or("somebody else", String::as_str);
            return Err(Trouble::Refused(format!(
                "there is a pod `{name}` of {owner}: rename one of them, or remove it"
            )));
        }
        self.check_probes().await?;
        let mut pulled = 0;
        for image in self.pods.images() {
            pulled += usize::from(self.pull_image(image).await?);
        }
        if self.work.target.units.is_none() {
            self.make_beside().await?;
        }
        let note = format!("{pulled} of {} images pulled", self.pods.images().len());
        let more = [self.pods.left_out(), self.in_place()];
        Ok([note].into_iter().chain(more.into_iter().flatten()).collect::<Vec<_>>().join("; "))
    }

    /// Why what runs ends before the new revision is seen to be healthy: told before it ends (rule R13a).
    fn in_place(&self) -> Option<String> {
        let why = self.pods.exclusive.as_ref().filter(|_| self.work.previous.is_some())?;
        let names: Vec<String> = self.pods.names().collect();
        (!names.is_empty()).then(|| format!("Replacing {} in place: {why}", names.join(", ")))
    }

    /// A health check that podman makes something else of would end what is healthy.
    async fn check_probes(&self) -> Result<(), Trouble> {
        let probes = self.pods.probes().map_err(|why| Trouble::Refused(why.to_string()))?;
        let is_podmans = |probe: &Probe| matches!(probe.handler, Handler::HealthCheck { .. });
        if !probes.iter().any(|(_, probe)| is_podmans(probe)) {
            return Ok(());
        }
        let format = ["info", "--format", "{{.Version.Version}}"];
        let version = self.podman.look(&format, PODMAN_LOOK_TIMEOUT).await?;
        for (container, probe) in &probes {
            if let Some(why) = probe.handler.misread_by(version.trim()) {
                return Err(Trouble::Refused(format!(
                    "the liveness probe of container `{container}`: {why}"
                )));
            }
        }
        Ok(())
    }

    /// Whether it had to be pulled.
    async fn pull_image(&self, image: &str) -> Result<bool, Trouble> {
        // As long as something comes a pull goes on, up to the end of the rollout (rule R6).
        let patience = Patience { whole: self.pods.deadline, still: Some(self.pods.timeout) };
        self.podman.pull(image, self.work.registries, patience).await
    }

    /// The new revision beside the old one (rule R13, steps 2 to 4).
    async fn verify(&self) -> Result<String, Trouble> {
        let name = self.pods.check_name();
        let document =
            self.pods.pod(Instance::Check, &self.work.request.key, self.work.request.revision);
        self.ensure(&document, None).await?;
        let took = health::wait(&self.podman, &self.pods, &[name]).await?;
        Ok(format!("healthy beside the old one after {}", seconds(took)))
    }

    /// The last lines of what failed, of all its containers.
    async fn log(&self) -> String {
        let [_, hook] = self.pods.hook_name(self.work.order.step, self.work.request.revision);
        let is_hook = self.pods.hook(self.work.order.step).is_some();
        let mut containers: Vec<String> = is_hook.then_some(hook).into_iter().collect();
        // What ran before says nothing about what failed.
        let key = self.work.request.key.to_string();
        let there = self.podman.pods().await.unwrap_or_default();
        let is_its =
            |name: &String| there.iter().any(|pod| pod.name == *name && pod.rollout == key);
        let pods: Vec<String> =
            [self.pods.check_name()].into_iter().chain(self.pods.names()).collect();
        for pod in pods.into_iter().filter(is_its) {
            containers.extend(self.pods.all_containers().map(|name| format!("{pod}-{name}")));
        }
        self.podman.last_lines(&containers).await
    }
}
