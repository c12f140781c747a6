//! Runs of `CronJob`s as pods of this host (rule R17a).
//!
//! The pod of a run is made first and started later, and the record between the two says that it was made: so a run that
//! a crash broke off is found by its labels and waited for, and one whose pod is gone is not started again. An attempt
//! that failed is followed by another pod, made before the one that failed is removed: how many there were is not
//! forgotten either. A pod that a crash left half made was never started, and is made again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::super::super::registry::Registries;
use super::super::ReadConfigs;
use super::configs::{at_leisure, configured};
use super::ended::{CUT_SHORT, End, not_told, rests};
use super::program::{Patience, Podman, Trouble};
use super::{Pod, Target, health, read, told};
use crate::action::{JobOrder, JobRequest, RolloutReport};
use crate::limits::{JOB_RETRY_FIRST, JOB_RETRY_MAX, PODMAN_ACT_TIMEOUT, PODMAN_LOOK_TIMEOUT};
use crate::names::Seq;
use crate::pods::{LABEL_ATTEMPT, LABEL_OBJECT, LABEL_ROLLOUT, Pods, job_pod_name};

/// How long a run may take where its manifest does not say: for ever, as a timer is to have a number.
const RUN_TIMEOUT: Duration = Duration::from_hours(24 * 365);

/// Runs that begin together share versions of secrets and config maps: one makes them, the other finds them.
static MAKING: Mutex<()> = Mutex::const_new(());

/// Of how many attempts that failed before one that succeeded it is told why.
const FAILED_TOLD: usize = 5;

/// One order about one run, with everything that it needs.
pub(in crate::world::target) struct Run<'a> {
    pub(in crate::world::target) target: Target<'a>,
    pub(in crate::world::target) locks: &'a Path,
    pub(in crate::world::target) request: &'a JobRequest,
    pub(in crate::world::target) configs: &'a ReadConfigs,
    pub(in crate::world::target) registries: Option<&'a Registries>,
    pub(in crate::world::target) cancel: &'a CancellationToken,
}

/// How an attempt ended.
enum Attempt {
    Succeeded,
    Failed(String),
}

impl Run<'_> {
    pub(in crate::world::target) async fn go_on(&self, manifest: &[u8]) -> RolloutReport {
        let pods = match Pods::read(&self.request.object, manifest) {
            Ok(pods) => pods,
            Err(why) => {
                return RolloutReport::Failed { reason: why.to_string(), log: String::new() };
            }
        };
        let host = Host { podman: self.podman(), pods, run: self };
        let done = match &self.request.order {
            JobOrder::Create { alone } => host.create(*alone).await.map(|()| String::new()),
            JobOrder::Run => host.run().await,
            JobOrder::End => host.end().await,
            JobOrder::Tidy { keep, until } => host.tidy(keep, *until).await.map(|()| String::new()),
        };
        match done {
            Ok(log) => RolloutReport::Complete { log },
            Err(trouble) => {
                let is_refused = matches!(trouble, Trouble::Refused(_));
                let log = if is_refused { host.log().await } else { String::new() };
                told(trouble, log)
            }
        }
    }

    fn podman(&self) -> Podman<'_> {
        let Self { target, locks, cancel, .. } = *self;
        let JobRequest { object, key, .. } = self.request;
        Podman { target: target.podman, locks, object, run: Some(key), cancel }
    }
}

struct Host<'a> {
    podman: Podman<'a>,
    pods: Pods,
    run: &'a Run<'a>,
}

impl Host<'_> {
    /// The pods of the run, by attempt.
    async fn own(&self) -> Result<Vec<Pod>, Trouble> {
        let key = self.run.request.key.to_string();
        let mut pods = self.podman.pods_where(&format!("label={LABEL_ROLLOUT}={key}")).await?;
        pods.retain(|pod| pod.rollout == key);
        pods.sort_by_key(|pod| pod.attempt);
        Ok(pods)
    }

    /// Everything but to start it.
    async fn create(&self, alone: bool) -> Result<(), Trouble> {
        self.podman.settle(self.pods.deadline).await?;
        // Before the record nothing is started: what a crash left may lack containers.
        for pod in self.own().await? {
            self.podman.remove(&pod.name, Some(Duration::ZERO)).await?;
        }
        self.podman.has_network().await?;
        let images: Vec<&str> = self.pods.images().into_iter().collect();
        for image in images {
            let patience = Patience { whole: self.pods.deadline, still: Some(self.pods.timeout) };
            self.podman.pull(image, self.run.registries, patience).await?;
        }
        let pods = self.make(0).await?;
        if alone {
            let _making = self.making().await?;
            let kept: BTreeSet<String> =
                pods.versions().iter().map(|version| version.name.clone()).collect();
            at_leisure(self.podman.remove_versions_but(&kept).await)?;
        }
        Ok(())
    }

    /// Makes the pod of an attempt, with what it needs on the host.
    async fn make(&self, attempt: u32) -> Result<Pods, Trouble> {
        let request = self.run.request;
        let name = job_pod_name(&request.name, attempt);
        self.make_room(&name).await?;
        let _making = self.making().await?;
        let pods = configured(self.run.configs, self.pods.clone(), request.commit).await?;
        self.podman.provide(pods.versions()).await?;
        let document = pods.job_pod(&request.name, attempt, &request.key);
        let mut arguments = vec!["kube", "play", "--quiet", "--start=false"];
        if let Some(network) = &self.podman.target.network {
            arguments.extend(["--network", network]);
        }
        arguments.push("-");
        self.podman.act(&arguments, document.as_bytes(), PODMAN_ACT_TIMEOUT).await?;
        Ok(pods)
    }

    /// Runs make what they share one after the other.
    async fn making(&self) -> Result<MutexGuard<'static, ()>, Trouble> {
        tokio::select! {
            making = MAKING.lock() => Ok(making),
            () = self.podman.cancel.cancelled() => Err(Trouble::Cancelled),
        }
    }

    /// Sees to it that the name of a pod is free. The same time comes twice where a clock was set back and an operator said
    /// so (`release`), or where records were lost: the run before is over, and its pod makes room.
    async fn make_room(&self, name: &str) -> Result<(), Trouble> {
        let there = self.podman.pods_where(&format!("name=^{name}$")).await?;
        let object = self.run.request.object.to_string();
        let its = there.into_iter().find(|pod| pod.name == name && pod.object == object);
        if let Some(before) = its {
            if before.runs {
                let why =
                    format!("pod {name} of an earlier run still runs: wait for it, or end it");
                return Err(Trouble::Refused(why));
            }
            return self.podman.remove(name, Some(Duration::ZERO)).await;
        }
        let Some(seen) = health::look(&self.podman, name).await? else { return Ok(()) };
        let owner = seen.labels.get(LABEL_OBJECT).map_or("somebody else", String::as_str);
        Err(Trouble::Refused(format!(
            "there is a pod `{name}` of {owner}: rename one of them, or remove it"
        )))
    }

    /// Starts it if it was not, and waits for its end; tries again what failed, as often as it may.
    async fn run(&self) -> Result<String, Trouble> {
        self.podman.settle(RUN_TIMEOUT).await?;
        let mut failed = Vec::new();
        loop {
            let own = self.own().await?;
            let Some(pod) = own.last() else {
                let name = &self.run.request.name;
                return Err(Trouble::Refused(format!(
                    "pod {name} is gone: somebody removed it, and whether it did its work is not known"
                )));
            };
            let Some(waiting) = self.waiting(pod).await? else {
                self.podman.remove(&pod.name, Some(Duration::ZERO)).await?;
                self.make(pod.attempt).await?;
                continue;
            };
            // Those before it failed, and a crash kept them.
            for earlier in own.iter().filter(|earlier| earlier.attempt < pod.attempt) {
                self.podman.remove(&earlier.name, Some(Duration::ZERO)).await?;
            }
            let why = match self.attempt(pod, &waiting).await? {
                Attempt::Succeeded => {
                    let mut lines = failed_before(pod.attempt, &failed);
                    lines.push(self.log().await);
                    return Ok(lines.join("\n"));
                }
                Attempt::Failed(why) => why,
            };
            let limit = self.run.request.backoff_limit;
            if pod.attempt >= limit {
                let again = match pod.attempt {
                    0 => String::new(),
                    1 => ", and so it did the time before".to_owned(),
                    n => format!(", and so it did {n} times before"),
                };
                return Err(Trouble::Refused(format!("{why}{again} (`backoffLimit` is {limit})")));
            }
            failed.push((pod.attempt, why));
            let doubled = 1_u32.checked_shl(pod.attempt).unwrap_or(u32::MAX);
            let pause = JOB_RETRY_FIRST.saturating_mul(doubled).min(JOB_RETRY_MAX);
            let until = tokio::time::Instant::now() + pause;
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.podman.cancel.cancelled() => return Err(Trouble::Cancelled),
            }
            self.make(pod.attempt + 1).await?;
        }
    }

    /// Its containers that are waited for, by their names on the host.
    fn containers(&self, pod: &Pod) -> Vec<String> {
        self.pods.regular_containers().map(|name| format!("{}-{name}", pod.name)).collect()
    }

    /// Those that were not started; nothing where it was not made whole.
    async fn waiting(&self, pod: &Pod) -> Result<Option<Vec<String>>, Trouble> {
        let containers = self.containers(pod);
        let (mut waiting, mut missing) = (Vec::new(), 0);
        for container in &containers {
            match self.podman.ended(container).await? {
                End::NotStarted => waiting.push(container.clone()),
                End::Gone => missing += 1,
                End::With(_) | End::CutShort | End::Unknown => {}
            }
        }
        let is_whole = missing == 0 || waiting.len() + missing < containers.len();
        Ok(is_whole.then_some(waiting))
    }

    /// One pod, to its end.
    async fn attempt(&self, pod: &Pod, waiting: &[String]) -> Result<Attempt, Trouble> {
        let containers = self.containers(pod);
        if waiting.len() == containers.len()
            && let Some(why) = self.see_init_through(pod).await?
        {
            self.give_up(pod).await?;
            return Ok(Attempt::Failed(why));
        }
        // Init containers run to their end in there; where a crash came between two containers, theirs did.
        let start = match waiting.len() {
            0 => Vec::new(),
            n if n == containers.len() => vec!["pod", "start", &pod.name],
            _ => ["start"].into_iter().chain(waiting.iter().map(String::as_str)).collect(),
        };
        if !start.is_empty() {
            match self.podman.act(&start, &[], RUN_TIMEOUT).await {
                Ok(_) => {}
                Err(Trouble::Refused(why)) => {
                    self.give_up(pod).await?;
                    return Ok(Attempt::Failed(without_id(&why)));
                }
                Err(trouble) => return Err(trouble),
            }
        }
        for container in &containers {
            self.podman.look(&["wait", container], RUN_TIMEOUT).await?;
        }
        for container in &containers {
            match self.podman.ended(container).await? {
                End::With(0) => {}
                End::Gone => {
                    let why = format!("container {container} is gone: somebody removed it");
                    return Ok(Attempt::Failed(why));
                }
                End::With(status) => {
                    let name = container.strip_prefix(&format!("{}-", pod.name));
                    let name = name.unwrap_or(container);
                    return Ok(Attempt::Failed(format!("container {name}: exit status {status}")));
                }
                End::CutShort | End::NotStarted => {
                    return Ok(Attempt::Failed(CUT_SHORT.into()));
                }
                End::Unknown => return Err(not_told(container)),
            }
        }
        Ok(Attempt::Succeeded)
    }

    /// Sees init containers to their end that an earlier daemon started; says why they failed. The client of podman that
    /// goes from one to the next may have ended with that daemon: podman would refuse to start what still runs, and would
    /// run again what ended (law 6).
    async fn see_init_through(&self, pod: &Pod) -> Result<Option<String>, Trouble> {
        let containers = self.pods.init_containers().map(|name| format!("{}-{name}", pod.name));
        for container in containers.collect::<Vec<_>>() {
            let mut end = self.podman.ended(&container).await?;
            if end == End::Unknown {
                self.podman.look(&["wait", &container], RUN_TIMEOUT).await?;
                end = self.podman.ended(&container).await?;
            }
            match end {
                // Podman itself removes what succeeded.
                End::NotStarted | End::Gone => {}
                End::With(0) => {
                    self.podman.act(&["rm", &container], &[], PODMAN_ACT_TIMEOUT).await?;
                }
                End::With(status) => {
                    return Ok(Some(format!("an init container exited with code {status}")));
                }
                End::CutShort => return Ok(Some(CUT_SHORT.into())),
                End::Unknown => return Err(not_told(&container)),
            }
        }
        Ok(None)
    }

    /// Stops a pod of which some may run.
    async fn give_up(&self, pod: &Pod) -> Result<(), Trouble> {
        let seconds = self.pods.grace.as_secs().to_string();
        let stop = ["pod", "stop", "--ignore", "--time", &seconds, &pod.name];
        let timeout = self.pods.grace.saturating_mul(2) + PODMAN_ACT_TIMEOUT;
        self.podman.act(&stop, &[], timeout).await.map(drop)
    }

    /// Ends and removes what there is of it.
    async fn end(&self) -> Result<String, Trouble> {
        // What an earlier daemon left goes on for nothing.
        self.podman.settle(Duration::ZERO).await?;
        let log = self.log().await;
        for pod in self.own().await? {
            self.podman.remove(&pod.name, Some(self.pods.grace)).await?;
        }
        Ok(log)
    }

    /// Removes what is left of runs that ended, but for some.
    async fn tidy(&self, keep: &[Seq], until: Seq) -> Result<(), Trouble> {
        for pod in self.podman.pods_by_containers().await? {
            let seq = pod.rollout.rsplit('/').next().unwrap_or_default();
            let seq = seq.split('+').next().unwrap_or_default();
            let Ok(seq) = seq.parse().map(Seq) else { continue };
            // What runs and is not known is of records that were lost: it goes on.
            if seq <= until && !keep.contains(&seq) && !pod.runs {
                at_leisure(self.podman.remove(&pod.name, Some(Duration::ZERO)).await)?;
            }
        }
        self.podman.forget_lock().await
    }

    /// The last lines of its last attempt, of all its containers.
    async fn log(&self) -> String {
        let own = self.own().await.unwrap_or_default();
        let Some(pod) = own.last() else { return String::new() };
        let containers = self.pods.all_containers().map(|name| format!("{}-{name}", pod.name));
        self.podman.last_lines(&containers.collect::<Vec<_>>()).await
    }
}

impl Podman<'_> {
    /// The pods of the object as their containers tell it, without waiting for those whose init containers run.
    async fn pods_by_containers(&self) -> Result<Vec<Pod>, Trouble> {
        let filter = format!("label={LABEL_OBJECT}={}", self.object);
        let arguments = ["ps", "--all", "--pod", "--filter", &filter, "--format", "json"];
        let text = self.look(&arguments, PODMAN_LOOK_TIMEOUT).await?;
        pods_of(&text)
    }
}

/// The pods that containers which are listed are in.
pub(super) fn pods_of(said: &str) -> Result<Vec<Pod>, Trouble> {
    let all: Option<Vec<Container>> = read::json("podman ps", said)?;
    let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
    for Container { pod: name, state, labels } in all.unwrap_or_default() {
        let label = |label: &str| labels.get(label).cloned().unwrap_or_default();
        let pod = pods.entry(name.clone()).or_insert_with(|| Pod {
            name,
            infra: String::new(),
            object: label(LABEL_OBJECT),
            rollout: label(LABEL_ROLLOUT),
            is_check: false,
            is_hook: false,
            attempt: label(LABEL_ATTEMPT).parse().unwrap_or(0),
            runs: false,
        });
        pod.runs |= !rests(&state);
    }
    Ok(pods.into_values().collect())
}

/// A container of a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    #[serde(rename = "PodName", default)]
    pod: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// What is told of attempts that failed before one that succeeded: the last of those that are known, and how many are not.
fn failed_before(attempt: u32, known: &[(u32, String)]) -> Vec<String> {
    let known = known.get(known.len().saturating_sub(FAILED_TOLD)..).unwrap_or_default();
    let first = known.first().map_or(attempt, |(first, _)| *first);
    let others = match first {
        0 => None,
        1 => Some("attempt 0 failed".to_owned()),
        n => Some(format!("attempts 0 to {} failed", n - 1)),
    };
    let known = known.iter().map(|(attempt, why)| format!("attempt {attempt}: {why}"));
    others.into_iter().chain(known).collect()
}

/// Without the number of an init container: it is another at each attempt (rule I70).
fn without_id(why: &str) -> String {
    match why.strip_prefix("init container ").and_then(|rest| rest.split_once(' ')) {
        Some((_, how)) => format!("an init container {how}"),
        None => why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_attempts_that_failed_it_is_told_why() {
        let known = |range: std::ops::Range<u32>| -> Vec<(u32, String)> {
            range.map(|attempt| (attempt, "no".to_owned())).collect()
        };
        let told = |attempt, range| failed_before(attempt, &known(range)).join("; ");
        assert_eq!(told(0, 0..0), "");
        assert_eq!(told(2, 0..2), "attempt 0: no; attempt 1: no");
        assert_eq!(told(1, 1..1), "attempt 0 failed");
        assert_eq!(told(4, 3..4), "attempts 0 to 2 failed; attempt 3: no");
        assert_eq!(failed_before(9, &known(0..9)).len(), 1 + FAILED_TOLD);
    }
}
