//! What a run of a `CronJob` prints, or printed last (rule R17a).

use anyhow::{Context as _, bail};

use super::super::kinds::{ManifestKind, Subject};
use super::{Command, Log, Search, check_user, log_of, missing, print};
use crate::cli::offline::Offline;
use crate::cli::{Context, ExitCode};
use crate::fact::Outcome;
use crate::journal::ObjectStore;
use crate::names::Kind;
use crate::observed::job::Job;
use crate::observed::rollout::{End, WorkloadState};
use crate::pods::{Pods, job_pod_name};
use crate::world::target::TargetConfig;

/// A run that is meant.
pub(super) struct Run<'a> {
    job: &'a Job,
    /// Which attempt at it; none for the last one.
    attempt: Option<u32>,
}

impl<'a> Search<'a> {
    /// The run that a word means; none where it means something else.
    pub(super) fn run(&self, text: &str) -> anyhow::Result<Option<Run<'a>>> {
        let (word, name) = text.split_once('/').unwrap_or(("pod", text));
        let Some(Subject::Manifest(kind)) = Subject::from_word(word) else { return Ok(None) };
        match kind.sort.kind {
            "Job" => {
                let run = self.runs().rfind(|job| job.started.name == name);
                let run = run.map(|job| Run { job, attempt: None });
                run.map(Some).ok_or_else(|| missing(&kind, name))
            }
            "Pod" => Ok(self.runs().rev().find_map(|job| run_of_pod(job, name))),
            "CronJob" => self.last_run(&kind, name),
            _ => Ok(None),
        }
    }

    fn runs(&self) -> impl DoubleEndedIterator<Item = &'a Job> {
        let all: Vec<&Job> = self.states().flat_map(|(_, state)| &state.jobs.runs).collect();
        all.into_iter()
    }

    /// The last run of a `CronJob`; none where it is its target's to run it, or where a revision is asked for.
    fn last_run(&self, kind: &ManifestKind, name: &str) -> anyhow::Result<Option<Run<'a>>> {
        let is_it = |state: &WorkloadState| {
            state.active().is_some_and(|active| active.started.cron.is_some())
                || !state.jobs.runs.is_empty()
        };
        let mut all = self.states().filter(|(key, _)| key.kind == Kind::CronJob);
        let found = all.find(|(key, _)| key.name.as_str() == name);
        let Some((_, state)) = found.filter(|(_, state)| is_it(state)) else { return Ok(None) };
        if self.command.version.is_some() || self.command.previous {
            return Ok(None);
        }
        match state.jobs.runs.iter().max_by_key(|job| job.seq) {
            Some(job) => Ok(Some(Run { job, attempt: None })),
            None => bail!(
                "no runs found for {name:?}: `tidegate describe {}/{name}` says when it runs next",
                kind.singular()
            ),
        }
    }
}

/// The run that makes a pod of this name.
fn run_of_pod<'a>(job: &'a Job, name: &str) -> Option<Run<'a>> {
    let rest = name.strip_prefix(job.started.name.as_str())?;
    if rest.is_empty() {
        return Some(Run { job, attempt: None });
    }
    let attempt: u32 = rest.strip_prefix('-')?.parse().ok()?;
    let is_its =
        attempt <= job.started.backoff_limit && job_pod_name(&job.started.name, attempt) == name;
    is_its.then_some(Run { job, attempt: Some(attempt) })
}

impl Run<'_> {
    pub(super) fn show(
        &self,
        command: &Command,
        offline: &Offline,
        context: &mut Context<'_>,
    ) -> anyhow::Result<ExitCode> {
        let (started, target) = (&self.job.started, &self.job.started.target);
        let podman = offline.config.targets.get(target).and_then(TargetConfig::podman);
        let store = ObjectStore::at(&offline.config.state_dir);
        let manifest = store.get(&started.manifest).ok();
        let pods = manifest.and_then(|manifest| Pods::read(&started.object, &manifest).ok());
        if let (Some(podman), Some(pods)) = (podman, pods) {
            check_user(offline)?;
            let key = started.key(self.job.seq).to_string();
            let shown = podman.program.display();
            let asking = || format!("cannot ask `{shown}` of target `{target}`");
            let attempts = podman.attempts(&key).with_context(asking)?;
            let its = attempts.into_iter().filter(|at| self.attempt.is_none_or(|is| is == *at));
            if let Some(attempt) = its.max() {
                let log = log_of(&pods, vec![job_pod_name(&started.name, attempt)]);
                if let Log::Pods { pods, containers, first } = &log {
                    let log = (pods.as_slice(), containers.as_slice(), first.as_deref());
                    return print(command, log, (podman, target), context);
                }
            }
        }
        match &self.job.end {
            Some(end) => say_end(end, context),
            None => bail!(
                "job {:?} has no pod now: `tidegate status` says what it waits for",
                started.name
            ),
        }
    }
}

/// What is on record of a run whose pod is not there any more.
fn say_end(end: &End, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let how = match end.outcome {
        Outcome::Complete => "succeeded",
        Outcome::Failed => "failed",
        Outcome::Cancelled => "was ended",
    };
    let at = end.at.to_rfc3339_seconds();
    let why = if end.reason.is_empty() { String::new() } else { format!(": {}", end.reason) };
    writeln!(
        context.err,
        "note: its pod is not there any more, and these are its last lines; it {how} at {at}{why}"
    )?;
    for line in end.log.lines() {
        writeln!(context.out, "{line}")?;
    }
    Ok(ExitCode::Done)
}
