//! `tidegate rollout`: how rollouts go, and what becomes of them (section 1.11 of the deployments specification).

mod history;
pub(super) mod orders;
mod status;

use clap::Subcommand;

use super::kinds::{ManifestKind, Subject};
use super::resource::{self, WordsError};
use super::{ApiError, UsageError};
use crate::cli::offline::{self, Offline};
use crate::cli::{Context, ExitCode};
use crate::config::{self, Config};
use crate::effective::deployed::Deployed;
use crate::journal::ObjectStore;
use crate::names::{ContentHash, Kind, Namespace, ObjectKey};
use crate::pods::Looks;

/// Show and steer rollouts, as `oc rollout` does
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    History(history::Command),
    Status(status::Command),
    Latest(orders::Latest),
    Restart(orders::Restart),
    Cancel(orders::Cancel),
    Retry(orders::Retry),
    Undo(orders::Undo),
    Pause(orders::Pause),
    Resume(orders::Resume),
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    match &command.verb {
        Verb::History(command) => history::run(command, context),
        Verb::Status(command) => status::run(command, context),
        Verb::Latest(command) => orders::latest(command, context),
        Verb::Restart(command) => orders::restart(command, context),
        Verb::Cancel(command) => orders::cancel(command, context),
        Verb::Retry(command) => orders::retry(command, context),
        Verb::Undo(command) => orders::undo(command, context),
        Verb::Pause(command) => orders::pause(command, context),
        Verb::Resume(command) => orders::resume(command, context),
    }
}

/// Which workloads a verb is about.
#[derive(Debug, clap::Args)]
pub(super) struct Words {
    /// Kinds and names: `dc/web`, `dc web`, `deploy/web`, `sts/db`, `ds/agent`
    #[arg(value_name = "KIND/NAME")]
    words: Vec<String>,
    /// Namespace of the objects [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

/// A workload, and what `oc` calls its kind.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) kind: ManifestKind,
    pub(super) object: ObjectKey,
}

impl Named {
    /// `deploymentconfig.apps.openshift.io/web`.
    pub(super) fn shown(&self) -> String {
        format!("{}/{}", self.kind.singular(), self.object.name)
    }
}

impl Words {
    pub(super) fn config(&self, context: &mut Context<'_>) -> anyhow::Result<Config> {
        offline::settings(&self.settings, context)
    }

    /// The workloads that are meant, as the journal and the adopted commit have them; `verb` is the verb below `rollout`.
    ///
    /// # Errors
    /// When the words name no kind of workload, or a name that there is not.
    pub(super) fn find(&self, verb: &'static str, offline: &Offline) -> anyhow::Result<Vec<Named>> {
        let wanted = resource::read(&self.words, verb, workload_kind, Vec::new);
        let wanted = wanted.map_err(|error| match error {
            WordsError::Nothing { .. } => {
                let message = "required resource not specified".into();
                anyhow::Error::from(UsageError { command: verb, message })
            }
            error @ (WordsError::Unknown(_)
            | WordsError::Mixed
            | WordsError::Slashes
            | WordsError::Empty) => error.into(),
        })?;
        let namespace = self.namespace.as_ref();
        let namespace = namespace.unwrap_or(&offline.config.policy.default_namespace);
        let mut found = Vec::new();
        for ((manifest, kind), name) in wanted {
            let known = offline.engine.desired().workloads.keys();
            let mut known = known.filter(|key| key.kind == kind && key.namespace == *namespace);
            let Some(name) = name else {
                let named = |object: &ObjectKey| Named { kind: manifest, object: object.clone() };
                found.extend(known.map(named));
                continue;
            };
            let object = known.find(|key| key.name.as_str() == name);
            let object = object.ok_or_else(|| ApiError::not_found(&manifest.resource(), &name))?;
            found.push(Named { kind: manifest, object: object.clone() });
        }
        Ok(found)
    }
}

/// The workload that one word names: `dc/web`, or `web` for a DeploymentConfig and else the only one of that name.
///
/// # Errors
/// When there is none, or several.
pub(super) fn named(word: &str, namespace: &Namespace, offline: &Offline) -> anyhow::Result<Named> {
    let (kind, name) = match word.split_once('/') {
        Some((kind, name)) => {
            let (_, kind) = workload_kind(kind).ok_or_else(|| {
                anyhow::anyhow!("`{kind}` is no kind of workload; use dc, deploy, sts, ds or cj")
            })?;
            (Some(kind), name)
        }
        None => (None, word),
    };
    let known = offline.engine.desired().workloads.keys();
    let mut known = known.filter(|key| {
        key.namespace == *namespace
            && key.name.as_str() == name
            && kind.is_none_or(|kind| key.kind == kind)
    });
    // In the order of kinds: a DeploymentConfig comes first.
    let object = known.next().ok_or_else(|| anyhow::anyhow!("there is no workload `{word}`"))?;
    let manifest = workload_kind(object.kind.singular()).map(|(manifest, _)| manifest);
    let kind = manifest.ok_or_else(|| anyhow::anyhow!("there is no workload `{word}`"))?;
    Ok(Named { kind, object: object.clone() })
}

/// A word that names a kind of workload.
fn workload_kind(word: &str) -> Option<(ManifestKind, Kind)> {
    let Some(Subject::Manifest(manifest)) = Subject::from_word(word) else { return None };
    let kind = Kind::from_word(manifest.sort.kind).filter(|kind| kind.is_workload())?;
    Some((manifest, kind))
}

/// Looks at workloads as the API shows them.
pub(super) fn with_deployed<T>(offline: &Offline, look: impl FnOnce(&Deployed<'_>) -> T) -> T {
    let store = ObjectStore::at(&offline.config.state_dir);
    let rolled = |hash: &ContentHash| store.get(hash).ok();
    look(&Deployed {
        desired: offline.engine.desired(),
        observed: offline.engine.observed(),
        policy: &offline.config.policy,
        rolled: &rolled,
        looks: &Looks::new(), // what is asked here is told by records
    })
}
