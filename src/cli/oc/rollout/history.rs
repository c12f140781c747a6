//! `tidegate rollout history`: the revisions of a workload, or the template of one (rule D44).

use serde_json::Value;

use super::{Named, Words};
use crate::cli::offline::{self, Offline};
use crate::cli::{Context, ExitCode};
use crate::effective::deployed::revisions;
use crate::journal::ObjectStore;
use crate::names::Kind;
use crate::observed::rollout::Rollout;
use crate::oc;
use crate::report::rollout;

/// Show the revisions of a workload, or the pod template of one
///
/// Shown are the last ten and the one that runs. Why each ended as it did, and with which digests, says `tidegate history`.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    words: Words,
    /// Show this revision with its pod template; 0 is all
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    revision: i64,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if command.revision < 0 {
        anyhow::bail!("revision must be a positive integer: {}", command.revision);
    }
    let config = command.words.config(context)?;
    let offline = offline::open(config)?;
    let revision = u64::try_from(command.revision).ok().filter(|revision| *revision > 0);
    for named in command.words.find("rollout history", &offline)? {
        let text = one(&named, revision, &offline)?;
        let with = revision.map(|revision| format!("with revision #{revision}"));
        writeln!(context.out, "{} {}\n{text}", named.shown(), with.unwrap_or_default())?;
    }
    Ok(ExitCode::Done)
}

fn one(named: &Named, revision: Option<u64>, offline: &Offline) -> anyhow::Result<String> {
    if named.object.kind == Kind::CronJob {
        anyhow::bail!("no history viewer has been implemented for \"CronJob.batch\"");
    }
    let state = offline.engine.observed().workloads.get(&named.object);
    let store = ObjectStore::at(&offline.config.state_dir);
    let manifest = |rollout: &Rollout| -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&store.get(&rollout.started.manifest)?)?)
    };
    let none = || "No rollout history found.".to_owned();
    let Some(revision) = revision else {
        let why = |rollout: &Rollout| {
            let manifest = manifest(rollout).ok()?;
            let why = manifest.pointer("/metadata/annotations/kubernetes.io~1change-cause")?;
            why.as_str().map(str::to_owned)
        };
        return Ok(rollout::history(named.object.kind, state, why).unwrap_or_else(none));
    };
    let all = state.map(revisions).unwrap_or_default();
    if all.is_empty() {
        return Ok(none());
    }
    let found = all.into_iter().find(|rollout| rollout.started.revision.0 == revision);
    let found = found.ok_or_else(|| anyhow::anyhow!("unable to find the specified revision"))?;
    let manifest = manifest(found)?;
    let template = match named.object.kind {
        Kind::Pod => Some(&manifest), // it is the template of its instance
        Kind::DeploymentConfig
        | Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::CronJob
        | Kind::ImageStream
        | Kind::BuildConfig => manifest.pointer("/spec/template"),
    };
    Ok(oc::workload::pod_template(template.unwrap_or(&Value::Null)))
}
