//! `tidegate logs`: what containers print, and what is on record of rollouts.
//!
//! Pods of this host are asked by podman itself, in the name of whoever runs the daemon. Of rollouts that failed or go on,
//! and of other targets, the steps are shown with what the target said, as the journal has them.

mod build;
mod run;

use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, bail};

use super::kinds::{ManifestKind, Subject};
use super::{ApiError, UsageError};
use crate::cli::follow::{Changes, is_unread};
use crate::cli::offline::{self, Offline};
use crate::cli::{Context, ExitCode};
use crate::config;
use crate::effective::deployed::{latest, revisions, rollout_name};
use crate::fact::{Fact, RolloutStep};
use crate::journal::{self, ObjectStore};
use crate::names::{Kind, Namespace, ObjectKey, Seq, TargetName, deployer_name};
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::pods::{Pods, Units};
use crate::report::rollout::Steps;
use crate::time::{Timestamp, go_duration};
use crate::world::target::{Logs, PodmanTarget, TargetConfig};

/// Show what a workload prints, or how a rollout went, as `oc logs` does
///
/// Of a DeploymentConfig whose last rollout failed or goes on, its steps are shown with the last lines that its containers
/// printed; so it is with `--version` of an earlier one. Of a CronJob on a host its last run is shown, and of a BuildConfig
/// its last build.
///
/// Logs of pods are podman's, which shows each user their own: whoever asks has to be the user that the daemon runs as.
#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(in crate::cli) struct Command {
    /// What: `dc/web`, `deploy/web`, `sts/db`, `rc/web-2`, `cj/backup`, `job/backup-29453820`, `pod/web-0`, `web-0`,
    /// `build/web-3`, `bc/web`
    #[arg(value_name = "KIND/NAME")]
    object: Option<String>,
    /// The container [default: the first of the pod]
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// All containers of the pod, each line with the name of its own
    #[arg(long, conflicts_with = "container")]
    all_containers: bool,
    /// Go on with what is printed next, until it is interrupted
    #[arg(short, long)]
    follow: bool,
    /// At most this many lines, the last ones; -1 is all
    #[arg(long, value_name = "N", default_value_t = -1, allow_negative_numbers = true)]
    tail: i64,
    /// Only what is younger than this, like 10s or 5m
    #[arg(long, value_name = "DURATION", value_parser = go_duration)]
    since: Option<i64>,
    /// With the time of each line
    #[arg(long)]
    timestamps: bool,
    /// Of a DeploymentConfig, the revision before the last; of a BuildConfig, the build before the last; of others, what
    /// was printed before a container started again
    #[arg(short, long)]
    previous: bool,
    /// Of this revision, or of the build with this number
    #[arg(long, value_name = "N", conflicts_with = "previous")]
    version: Option<u64>,
    /// Namespace of the object [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

/// A log that is meant.
struct Found<'a> {
    object: &'a ObjectKey,
    rollout: &'a Rollout,
    log: Log,
}

enum Log {
    /// Pods of a host, any of which does.
    Pods { pods: Vec<String>, containers: Vec<String>, first: Option<String> },
    /// How the rollout went.
    Record,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let Some(word) = &command.object else {
        let message = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.".into();
        return Err(UsageError { command: "logs", message }.into());
    };
    if let Some(meant) = build::is_meant(word) {
        return build::run(command, meant, context);
    }
    let offline = offline::open(offline::settings(&command.settings, context)?)?;
    let namespace = command.namespace.as_ref();
    let namespace = namespace.unwrap_or(&offline.config.policy.default_namespace);
    let search = Search { command, namespace, offline: &offline };
    if let Some(run) = search.run(word)? {
        return run.show(command, &offline, context);
    }
    let found = search.find(word)?;
    let target = &found.rollout.started.target;
    let podman = match offline.config.targets.get(target) {
        None => None,
        Some(configured) => match configured.podman() {
            Some(podman) => Some(podman),
            None => {
                say_elsewhere(&found, configured, context)?;
                None
            }
        },
    };
    let (Log::Pods { pods, containers, first }, Some(podman)) = (&found.log, podman) else {
        return Record { command, found: &found, offline: &offline }.show(context);
    };
    check_user(&offline)?;
    if is_image_of_unit(&found, &offline) {
        let name = &found.object.name;
        bail!(
            "the unit `{name}.container` is not Tidegate's; `journalctl -u {name}.service` has its log"
        );
    }
    let log = (pods.as_slice(), containers.as_slice(), first.as_deref());
    print(command, log, (podman, target), context)
}

/// Prints the log of the first of some pods that is there.
fn print(
    command: &Command,
    (pods, containers, first): (&[String], &[String], Option<&str>),
    (podman, target): (&PodmanTarget, &TargetName),
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let containers = wanted(command, pods, (containers, first), context)?;
    let pod = there(podman, pods, &containers, target.as_str())?;
    if pods.len() > 1 {
        writeln!(context.err, "Found {} pods, using pod/{pod}", pods.len())?;
    }
    if command.previous {
        let note = "podman keeps one log of all runs of a container; it is shown as a whole";
        writeln!(context.err, "note: {note}")?;
    }
    let logs = Logs {
        containers: containers.iter().map(|name| format!("{pod}-{name}")).collect(),
        follow: command.follow,
        timestamps: command.timestamps,
        tail: u64::try_from(command.tail).ok(),
        since: command.since,
        names: command.all_containers,
    };
    context.out.flush()?;
    let error = podman.show_logs(&logs);
    Err(error).with_context(|| format!("cannot start `{}`", podman.program.display()))
}

/// Whether only the image of the unit that runs is ours.
fn is_image_of_unit(found: &Found<'_>, offline: &Offline) -> bool {
    let store = ObjectStore::at(&offline.config.state_dir);
    let rendered = found.rollout.rendered.and_then(|hash| store.get(&hash).ok());
    let rendered = rendered.and_then(|rendered| String::from_utf8(rendered).ok());
    let units = rendered.and_then(|rendered| Units::parse(&rendered));
    units.is_some_and(|units| units.is_image_only())
}

/// Looks for what a word means.
struct Search<'a> {
    command: &'a Command,
    namespace: &'a Namespace,
    offline: &'a Offline,
}

impl<'a> Search<'a> {
    fn find(&self, text: &str) -> anyhow::Result<Found<'a>> {
        let (word, name) = text.split_once('/').unwrap_or(("pod", text));
        let Some(Subject::Manifest(kind)) = Subject::from_word(word) else {
            bail!("the server doesn't have a resource type \"{word}\"");
        };
        match kind.sort.kind {
            "Pod" => match self.pod(name) {
                Some(found) => Ok(found),
                None => self.workload(&kind, Kind::Pod, name),
            },
            "ReplicationController" => self.controller(name).ok_or_else(|| missing(&kind, name)),
            other => match Kind::from_word(other).filter(|kind| kind.is_workload()) {
                Some(workload) => self.workload(&kind, workload, name),
                None => bail!("cannot get the logs from {other}: Tidegate runs none of that kind"),
            },
        }
    }

    fn states(&self) -> impl Iterator<Item = (&'a ObjectKey, &'a WorkloadState)> {
        let all = self.offline.engine.observed().workloads.iter();
        all.filter(|(key, _)| key.namespace == *self.namespace)
    }

    fn pod(&self, name: &str) -> Option<Found<'a>> {
        self.states().find_map(|(object, state)| {
            let all = [state.active(), state.running(), latest(state)];
            all.into_iter().flatten().find_map(|rollout| {
                let log = self.log_of_pod(rollout, name)?;
                Some(Found { object, rollout, log })
            })
        })
    }

    /// The log of a pod of this name, if the rollout makes one.
    fn log_of_pod(&self, rollout: &Rollout, name: &str) -> Option<Log> {
        let is_deployer = name == deployer_name(&rollout_name(rollout));
        let record = || is_deployer.then_some(Log::Record);
        let Some(pods) = self.read(rollout) else { return record() };
        let hooks = [RolloutStep::PreHook, RolloutStep::MidHook, RolloutStep::PostHook];
        for step in hooks.into_iter().filter(|step| pods.hook(*step).is_some()) {
            let [pod, container] = pods.hook_name(step, rollout.started.revision);
            if pod == name {
                let container = container.get(pod.len() + 1..)?.to_owned();
                return Some(Log::Pods {
                    pods: vec![pod],
                    containers: vec![container.clone()],
                    first: Some(container),
                });
            }
        }
        let is_it = pods.names().chain([pods.check_name()]).any(|known| known == name);
        is_it.then(|| log_of(&pods, vec![name.to_owned()])).or_else(record)
    }

    fn controller(&self, name: &str) -> Option<Found<'a>> {
        let mut all = self.states().filter(|(key, _)| key.kind == Kind::DeploymentConfig);
        all.find_map(|(object, state)| {
            let is_it = |rollout: &&Rollout| rollout_name(rollout) == name;
            let rollout = revisions(state).into_iter().find(is_it)?;
            Some(self.of_rollout(object, state, rollout))
        })
    }

    fn workload(&self, kind: &ManifestKind, of: Kind, name: &str) -> anyhow::Result<Found<'a>> {
        let is_it = |key: &ObjectKey| key.kind == of && key.name.as_str() == name;
        let Some((object, state)) = self.states().find(|(key, _)| is_it(key)) else {
            let mut known = self.offline.engine.desired().workloads.keys();
            if known.any(|key| key.namespace == *self.namespace && is_it(key)) {
                bail!("no rollouts found for {name:?}: `tidegate status` says what it waits for");
            }
            return Err(missing(kind, name));
        };
        let all = revisions(state);
        let last = if of == Kind::DeploymentConfig { latest(state) } else { state.active() };
        let last = last.or_else(|| latest(state));
        let version = match last.map(|last| last.started.revision.0) {
            Some(last) if self.command.previous && of == Kind::DeploymentConfig => {
                let mut earlier = all.iter().map(|rollout| rollout.started.revision.0);
                earlier.rfind(|revision| *revision < last).map_or_else(
                    || bail!("no previous deployment exists for deploymentConfig {name:?}"),
                    |revision| Ok(Some(revision)),
                )?
            }
            Some(_) | None => self.command.version,
        };
        let meant = match version {
            Some(version) => all.into_iter().find(|one| one.started.revision.0 == version),
            None => last,
        };
        match (meant, version) {
            (Some(rollout), _) => Ok(self.of_rollout(object, state, rollout)),
            (None, Some(version)) => bail!(
                "no deployment #{version} of {name:?} is kept: `tidegate rollout history {}/{name}` has those that are",
                of.singular()
            ),
            (None, None) => bail!("no rollouts found for {name:?}"),
        }
    }

    /// Of what serves, what it prints; of a rollout that failed, goes on or is over, how it went.
    fn of_rollout(
        &self,
        object: &'a ObjectKey,
        state: &'a WorkloadState,
        rollout: &'a Rollout,
    ) -> Found<'a> {
        let serves = state.active().filter(|active| {
            // Putting it back is a rollout of the same number.
            active.started.revision == rollout.started.revision
        });
        let pods = serves.and_then(|active| self.read(active)).filter(|pods| pods.replicas > 0);
        match (serves, pods) {
            (Some(rollout), Some(pods)) => {
                Found { object, rollout, log: log_of(&pods, pods.names().collect()) }
            }
            (_, _) => Found { object, rollout, log: Log::Record },
        }
    }

    fn read(&self, rollout: &Rollout) -> Option<Pods> {
        if rollout.started.steps.is_empty() {
            return None; // its target does all by itself, and nobody knows what runs there
        }
        let store = ObjectStore::at(&self.offline.config.state_dir);
        let manifest = store.get(&rollout.started.manifest).ok()?;
        let pods = Pods::read(&rollout.started.object, &manifest).ok()?;
        // As many as it was scaled to since.
        match rollout.size() {
            Some(size) => pods.scaled(size).ok(),
            None => Some(pods),
        }
    }
}

fn missing(kind: &ManifestKind, name: &str) -> anyhow::Error {
    ApiError::not_found(&kind.resource(), name).into()
}

fn log_of(pods: &Pods, names: Vec<String>) -> Log {
    let containers: Vec<String> = pods.all_containers().map(str::to_owned).collect();
    let first = containers.get(pods.init_containers().count()).cloned();
    Log::Pods { pods: names, containers, first }
}

/// The containers that are meant.
fn wanted(
    command: &Command,
    pods: &[String],
    (containers, first): (&[String], Option<&str>),
    context: &mut Context<'_>,
) -> anyhow::Result<Vec<String>> {
    let pod = pods.first().map(String::as_str).unwrap_or_default();
    if command.all_containers {
        // Init containers ended long ago, and podman does not keep them.
        let from = containers.iter().position(|name| Some(name.as_str()) == first);
        return Ok(containers.iter().skip(from.unwrap_or(0)).cloned().collect());
    }
    if let Some(name) = &command.container {
        if !containers.contains(name) {
            bail!("container {name} is not valid for pod {pod}");
        }
        return Ok(vec![name.clone()]);
    }
    let first = first.with_context(|| format!("pod {pod} has no container"))?;
    if containers.len() > 1 {
        let all = containers.join(", ");
        writeln!(context.err, "Defaulted container \"{first}\" out of: {all}")?;
    }
    Ok(vec![first.to_owned()])
}

/// The first of some pods that has these containers.
fn there<'a>(
    podman: &PodmanTarget,
    pods: &'a [String],
    containers: &[String],
    target: &str,
) -> anyhow::Result<&'a str> {
    let shown = podman.program.display();
    let asking = || format!("cannot ask `{shown}` of target `{target}`");
    for pod in pods {
        let mut all = true;
        for container in containers {
            all &= podman.has_container(&format!("{pod}-{container}")).with_context(asking)?;
        }
        if all {
            return Ok(pod);
        }
    }
    let (pod, container) = (pods.join("`, `"), containers.join("`, `"));
    bail!(
        "podman has no container `{container}` of pod `{pod}` now, neither running nor ended; \
         `tidegate status` says what runs, `tidegate history` what became of it"
    )
}

/// Podman shows each user their own containers: it has to be the user that the daemon runs as.
fn check_user(offline: &Offline) -> anyhow::Result<()> {
    let folder = &offline.config.state_dir;
    let looked = std::fs::metadata(folder);
    let owner = looked.with_context(|| format!("cannot look at `{}`", folder.display()))?.uid();
    let own = rustix::process::geteuid().as_raw();
    if owner != own {
        bail!(
            "its pods are those of the user that the daemon runs as (uid {owner}), and this is uid {own}; \
             run this as that user"
        );
    }
    Ok(())
}

/// Says who has the logs that are not here.
fn say_elsewhere(
    found: &Found<'_>,
    target: &TargetConfig,
    context: &mut Context<'_>,
) -> std::io::Result<()> {
    let (name, rollout) = (&found.rollout.started.target, rollout_name(found.rollout));
    let (what, ask) = match target {
        TargetConfig::None => ("does nothing by itself", "whatever runs the workload"),
        TargetConfig::Exec(_) => ("is a program", "what that runs, as with `docker compose logs`"),
        TargetConfig::Webhook(_) => ("is an address", "what listens there"),
        TargetConfig::Podman(_) | TargetConfig::Quadlet(_) => return Ok(()),
    };
    writeln!(
        context.err,
        "note: target `{name}` {what}, and what containers print there is not known here: ask {ask}; this is how \
         {rollout} went"
    )
}

/// How a rollout went, from the journal.
struct Record<'a> {
    command: &'a Command,
    found: &'a Found<'a>,
    offline: &'a Offline,
}

impl Record<'_> {
    fn show(&self, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
        let config = &self.offline.config;
        let changes = Changes::of(&config.state_dir.join("journal"));
        let (_, mut records) = journal::read_from_base(&config.state_dir)?;
        // Its end may be in no record any more.
        let mut is_over = self.found.rollout.end.is_some();
        let (mut steps, mut seen) = (Steps::default(), Seq(0));
        let mut lines = Vec::new();
        loop {
            loop {
                let record = match records.next().transpose() {
                    Ok(Some(record)) => record,
                    Ok(None) => break,
                    // Compaction was faster.
                    Err(error) if error.is_gone() => {
                        records = journal::read_from_base(&config.state_dir)?.1;
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                if record.seq <= seen {
                    continue;
                }
                seen = record.seq;
                if rollout_of(&record.fact) == Some(self.found.rollout.seq) {
                    is_over |= matches!(record.fact, Fact::RolloutFinished(_));
                    steps.read(self.found.object, &record.fact);
                    let observed = self.offline.engine.observed();
                    let state = observed.workloads.get(self.found.object);
                    let told = steps.told(state).into_iter();
                    lines.extend(told.map(|line| (record.at, line)));
                }
            }
            self.print(std::mem::take(&mut lines), context)?;
            if is_over || !self.command.follow || is_unread() {
                return Ok(ExitCode::Done);
            }
            changes.wait();
        }
    }

    fn print(
        &self,
        mut lines: Vec<(Timestamp, String)>,
        context: &mut Context<'_>,
    ) -> std::io::Result<()> {
        if let Some(since) = self.command.since {
            let age = std::time::Duration::from_millis(u64::try_from(since).unwrap_or(0));
            lines.retain(|(at, _)| self.offline.now.wall.since(*at) <= age);
        }
        let tail = usize::try_from(self.command.tail).unwrap_or(usize::MAX);
        let from = lines.len().saturating_sub(tail);
        for (at, line) in lines.into_iter().skip(from) {
            if self.command.timestamps {
                write!(context.out, "{} ", at.to_rfc3339_seconds())?;
            }
            writeln!(context.out, "{line}")?;
        }
        context.out.flush()
    }
}

/// The rollout that a record tells of.
fn rollout_of(fact: &Fact) -> Option<Seq> {
    if let Fact::RolloutStepped(stepped) = fact {
        return Some(stepped.rollout);
    }
    if let Fact::RolloutFinished(finished) = fact { Some(finished.rollout) } else { None }
}
