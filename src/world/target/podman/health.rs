//! Whether pods are healthy: every readiness probe passes, and nothing was restarted (rule R5).

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use super::probe::{self, Place};
use super::program::{Podman, Trouble};
use super::read;
use super::waited::Waited;
use crate::limits;
use crate::pods::{Pods, Probe, Purpose};
use crate::time::Span;

/// How long something without a readiness probe has to run (rule R5).
const RUNS_MIN: Duration = Duration::from_secs(10);

/// How often what runs is looked at.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct PodInspect {
    /// Whatever lacks it is no pod.
    #[serde(rename = "Id")]
    _id: String,
    #[serde(rename = "InfraContainerID", default)]
    infra: String,
    #[serde(rename = "Containers", default)]
    containers: Vec<Member>,
}

#[derive(Deserialize)]
struct Member {
    #[serde(rename = "Id")]
    id: String,
}

#[derive(Deserialize)]
struct Container {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "RestartCount", default)]
    restarts: u64,
    #[serde(rename = "State")]
    state: State,
    #[serde(rename = "NetworkSettings", default)]
    network: Network,
    #[serde(rename = "IsInfra", default)]
    is_infra: bool,
    #[serde(rename = "Config", default)]
    config: ContainerConfig,
}

#[derive(Deserialize, Default)]
struct ContainerConfig {
    #[serde(rename = "Labels", default)]
    labels: Option<std::collections::BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct State {
    #[serde(rename = "Running", default)]
    running: bool,
    #[serde(rename = "Status", default)]
    status: String,
    #[serde(rename = "ExitCode", default)]
    exit_code: i64,
    #[serde(rename = "Pid", default)]
    pid: u32,
    #[serde(rename = "StartedAt", default)]
    started: String,
    #[serde(rename = "FinishedAt", default)]
    finished: String,
}

#[derive(Deserialize, Default)]
struct Network {
    #[serde(rename = "IPAddress", default)]
    address: String,
    #[serde(rename = "Networks", default)]
    networks: Option<std::collections::BTreeMap<String, Attached>>,
}

#[derive(Deserialize)]
struct Attached {
    #[serde(rename = "IPAddress", default)]
    address: String,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject<'a> {
    /// All containers of a pod.
    Pod(&'a str),
    /// A container that is in no pod.
    Container(&'a str),
}

impl Subject<'_> {
    /// The name of one of its containers, by its name in the manifest.
    fn container(self, name: &str) -> String {
        match self {
            Self::Pod(pod) => format!("{pod}-{name}"),
            Self::Container(container) => container.to_owned(),
        }
    }
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod(pod) => write!(f, "pod {pod}"),
            Self::Container(container) => write!(f, "container {container}"),
        }
    }
}

/// What a pod is, at one look.
pub(super) struct Seen {
    pub(super) place: Option<Place>,
    /// Its containers but the one that holds its network: name, whether it runs, and why it does not.
    containers: Vec<(String, Result<(), String>)>,
    /// Labels of its containers.
    pub(super) labels: std::collections::BTreeMap<String, String>,
    /// Whether the host went down while it ran.
    pub(super) cut_short: bool,
}

impl Seen {
    /// Whether all of it runs.
    pub(super) fn runs(&self) -> bool {
        !self.containers.is_empty() && self.containers.iter().all(|(_, state)| state.is_ok())
    }
}

/// Looks at a pod; none if there is none of that name.
pub(super) async fn look(podman: &Podman<'_>, pod: &str) -> Result<Option<Seen>, Trouble> {
    let timeout = limits::PODMAN_LOOK_TIMEOUT;
    let text = match podman.look(&["pod", "inspect", pod], timeout).await {
        Ok(text) => text,
        Err(Trouble::Refused(why)) if why.contains("no such pod") => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    let found = inspected(&text)?;
    let asked: Vec<&str> = found.containers.iter().map(|member| member.id.as_str()).collect();
    let arguments = [&["container", "inspect"], &asked[..]].concat();
    let mut seen =
        Seen { place: None, containers: Vec::new(), labels: Default::default(), cut_short: false };
    if found.containers.is_empty() {
        return Ok(Some(seen));
    }
    let text = podman.look(&arguments, timeout).await?;
    for container in each_container(&text, &asked)? {
        seen.cut_short |= container.was_cut_short();
        if container.is_infra || container.id == found.infra {
            seen.place = Some(container.place());
            continue;
        }
        seen.labels.extend(container.config.labels.clone().unwrap_or_default());
        let how = container.runs();
        seen.containers.push((container.name, how));
    }
    Ok(Some(seen))
}

/// Looks at a container; none if there is none of that name.
async fn look_at_container(podman: &Podman<'_>, name: &str) -> Result<Option<Seen>, Trouble> {
    let arguments = ["container", "inspect", name];
    let text = match podman.look(&arguments, limits::PODMAN_LOOK_TIMEOUT).await {
        Ok(text) => text,
        Err(Trouble::Refused(why)) if why.contains("no such container") => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    let seen = one_container(&text)?.pop().map(|container| Seen {
        place: Some(container.place()),
        containers: vec![(container.name.clone(), container.runs())],
        cut_short: container.was_cut_short(),
        labels: container.config.labels.unwrap_or_default(),
    });
    Ok(seen)
}

/// A pod: one object in podman 4, a list of one in 5.
fn inspected(text: &str) -> Result<PodInspect, Trouble> {
    const COMMAND: &str = "podman pod inspect";
    if !text.trim_start().starts_with('[') {
        return read::json(COMMAND, text);
    }
    let pod = read::all(COMMAND, text, 1)?.pop();
    pod.ok_or_else(|| Trouble::Passing(format!("{COMMAND} tells of no pod")))
}

fn each_container(text: &str, asked: &[&str]) -> Result<Vec<Container>, Trouble> {
    read::each("podman container inspect", text, asked, |one: &Container| &one.id)
}

/// A container that was asked for by its name.
fn one_container(text: &str) -> Result<Vec<Container>, Trouble> {
    read::all("podman container inspect", text, 1)
}

/// What each reader makes of a text; see `untrusted`.
pub(super) fn read_untrusted(text: &str) -> [Result<String, Trouble>; 2] {
    let pod = inspected(text).map(|pod| format!("{} {}", pod.infra, pod.containers.len()));
    let containers = one_container(text).map(|all| {
        let how = all.iter().map(|one| {
            let (rests, runs) = (one.was_cut_short(), one.runs());
            format!("{} {} {} {rests} {runs:?}", one.id, one.name, one.address())
        });
        how.collect()
    });
    [pod, containers]
}

impl Container {
    fn place(&self) -> Place {
        Place { pid: self.state.pid, address: self.address() }
    }

    /// Whether it ran when the host went down: podman puts it among what ended or was never started, and knows a start of
    /// it and no end.
    fn was_cut_short(&self) -> bool {
        let is_known = |at: &str| !at.is_empty() && !at.starts_with("0001-");
        let State { status, started, finished, .. } = &self.state;
        super::ended::rests(status) && is_known(started) && !is_known(finished)
    }

    /// Whether it runs since it was started, and why not.
    fn runs(&self) -> Result<(), String> {
        let state = &self.state;
        match self.restarts {
            _ if !state.running => Err(match state.status.as_str() {
                // Podman has not tidied up after it, or has.
                "stopped" | "exited" => format!("ended with exit status {}", state.exit_code),
                status => format!("is {}", read::word(status)),
            }),
            0 => Ok(()),
            1 => Err("ended and was started again".to_owned()),
            count => Err(format!("ended and was started again, {count} times")),
        }
    }

    fn address(&self) -> IpAddr {
        let networks = self.network.networks.iter().flatten().map(|(_, one)| one.address.as_str());
        let addresses = [self.network.address.as_str()].into_iter().chain(networks);
        let found = addresses.filter_map(|text| text.parse().ok()).next();
        found.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

/// Waits until pods are healthy and stay so for their time; says how long that took.
///
/// Init containers are over before `podman kube play` returns, and are left out by their name.
pub(super) async fn wait(
    podman: &Podman<'_>,
    pods: &Pods,
    names: &[String],
) -> Result<Duration, Trouble> {
    let began = Instant::now();
    let waits = names.iter().map(|name| one(podman, pods, Subject::Pod(name)));
    futures_util::future::try_join_all(waits).await?;
    Ok(began.elapsed())
}

/// The same for a container that is in no pod.
pub(super) async fn wait_for_container(
    podman: &Podman<'_>,
    pods: &Pods,
    container: &str,
) -> Result<Duration, Trouble> {
    let began = Instant::now();
    one(podman, pods, Subject::Container(container)).await?;
    Ok(began.elapsed())
}

async fn one(podman: &Podman<'_>, pods: &Pods, of: Subject<'_>) -> Result<(), Trouble> {
    let began = Instant::now();
    let probes = pods.probes().map_err(|why| Trouble::Refused(why.to_string()))?;
    let gone = || Trouble::Refused(format!("{of} is gone"));
    let place = watch(podman, pods, of).await?.ok_or_else(gone)?;
    let mut told = format!("{of} is not ready");
    let mut waited = Waited::of(podman, of, place.pid);
    let ready = async {
        let mut asking: Vec<Asking<'_>> = probes
            .iter()
            .map(|(container, probe)| Asking::new(of.container(container), probe, began))
            .collect();
        // To become ready is progress (rule R6): what is ready has the time that it needs to show that it stays so. It
        // is so once: what is ready now and then gets nowhere.
        let (mut since, mut progress, mut first) = (None, began, None);
        loop {
            for index in 0..asking.len() {
                let starts = starts(&asking, index);
                let Some(one) = asking.get_mut(index).filter(|_| !starts) else { continue };
                one.ask(podman, &place).await?;
                if let Some(why) = &one.why {
                    told = format!("container {} is not ready: {why}", one.container);
                }
            }
            let is_ready = asking.iter().all(|one| one.ready);
            if is_ready && since.is_none() {
                since = Some(Instant::now());
                progress = *first.get_or_insert_with(Instant::now);
            } else if !is_ready {
                since = None;
            }
            let wanted = match asking.iter().any(Asking::is_readiness) {
                true => pods.min_ready,
                false => pods.min_ready.max(RUNS_MIN),
            };
            if since.is_some_and(|since: Instant| since.elapsed() >= wanted) {
                return Ok::<(), Trouble>(());
            }
            // Another daemon waited for what has never been ready, too.
            let used = match first {
                None => waited.note(progress.elapsed()),
                Some(_) => progress.elapsed(),
            };
            if since.is_none() && used >= pods.timeout {
                let within = Span(pods.timeout);
                return Err(Trouble::Refused(format!("not healthy within {within}: {told}")));
            }
            let due = (0..asking.len()).filter(|index| !starts(&asking, *index));
            let next = due.filter_map(|index| asking.get(index)).map(|one| one.next).min();
            let next = next.unwrap_or_else(Instant::now).min(Instant::now() + LOOK);
            tokio::time::sleep_until(next.max(Instant::now() + Duration::from_millis(20))).await;
        }
    };
    let breaks = async {
        loop {
            tokio::time::sleep_until(Instant::now() + LOOK).await;
            let now = watch(podman, pods, of).await?.ok_or_else(gone)?;
            // A unit that starts its container again makes a new one under the same name.
            if now.pid != place.pid {
                return Err::<(), _>(Trouble::Refused(format!("{of} ended and was started again")));
            }
        }
    };
    let end = tokio::select! {
        ready = ready => ready,
        broken = breaks => broken,
        () = podman.cancel.cancelled() => return Err(Trouble::Cancelled),
    };
    waited.end();
    end?;
    // What broke in the same moment is seen.
    watch(podman, pods, of).await?.map(drop).ok_or_else(gone)
}

/// Looks at a pod: where it is, or what is wrong with it.
async fn watch(
    podman: &Podman<'_>,
    pods: &Pods,
    of: Subject<'_>,
) -> Result<Option<Place>, Trouble> {
    let seen = match of {
        Subject::Pod(pod) => look(podman, pod).await?,
        Subject::Container(container) => look_at_container(podman, container).await?,
    };
    let Some(seen) = seen else { return Ok(None) };
    for (name, state) in &seen.containers {
        let is_pod = matches!(of, Subject::Pod(_));
        let is_init = is_pod && pods.init_containers().any(|init| *name == of.container(init));
        if let (false, Err(why)) = (is_init, state) {
            return Err(Trouble::Refused(format!("container {name} {why}")));
        }
    }
    Ok(seen.place)
}

/// Whether a container has not started yet, so that none of its probes is asked but the one for that.
fn starts(asking: &[Asking<'_>], index: usize) -> bool {
    let Some(one) = asking.get(index) else { return true };
    let is_its = |other: &&Asking<'_>| other.container == one.container;
    let startup = asking.iter().filter(is_its).find(|other| other.is_startup());
    match startup {
        Some(startup) if one.is_startup() => startup.ready,
        Some(startup) => !startup.ready,
        None => false,
    }
}

/// One probe as it goes on.
struct Asking<'a> {
    container: String,
    probe: &'a Probe,
    next: Instant,
    successes: u32,
    failures: u32,
    ready: bool,
    why: Option<String>,
}

impl<'a> Asking<'a> {
    fn new(container: String, probe: &'a Probe, began: Instant) -> Self {
        Self {
            container,
            probe,
            next: began + probe.initial_delay,
            successes: 0,
            failures: 0,
            ready: false,
            why: None,
        }
    }

    fn is_readiness(&self) -> bool {
        self.probe.purpose == Purpose::Readiness
    }

    fn is_startup(&self) -> bool {
        self.probe.purpose == Purpose::Startup
    }

    /// Asks if it is time.
    async fn ask(&mut self, podman: &Podman<'_>, place: &Place) -> Result<(), Trouble> {
        if Instant::now() < self.next {
            return Ok(());
        }
        let asked = probe::ask(podman, place, &self.container, self.probe).await;
        self.next = Instant::now() + self.probe.period;
        match asked {
            Ok(()) => {
                (self.successes, self.failures, self.why) = (self.successes + 1, 0, None);
                self.ready |= self.successes >= self.probe.successes;
            }
            Err(Trouble::Cancelled) => return Err(Trouble::Cancelled),
            Err(Trouble::Refused(why) | Trouble::Passing(why)) => {
                (self.successes, self.failures, self.why) = (0, self.failures + 1, Some(why));
                if self.failures >= self.probe.failures {
                    self.ready = false;
                    if self.probe.purpose != Purpose::Readiness {
                        return Err(self.given_up());
                    }
                }
            }
        }
        Ok(())
    }

    /// Where the kubelet would end the container and start it again.
    fn given_up(&self) -> Trouble {
        let Self { container, probe: Probe { purpose, .. }, failures, why, .. } = self;
        let why = why.as_deref().unwrap_or_default();
        Trouble::Refused(format!(
            "container {container}: its {purpose} probe failed {failures} times: {why}"
        ))
    }
}
