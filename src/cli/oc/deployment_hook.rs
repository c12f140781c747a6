//! `tidegate set deployment-hook`: what runs before, between and after the pods of a rollout (rule D49).

use anyhow::bail;

use super::UsageError;
use super::chosen::{self, Choice};
use super::edit::{Desk, EditArguments, Outcome, edit};
use super::kinds::ManifestKind;
use crate::cli::{Context, ExitCode};
use crate::edit::{Document, Place, Value, keys};

/// Set or remove what a rollout of a DeploymentConfig runs once
///
/// The command runs in a pod of its own, with the image of a container of the new revision. `mid` is known to the
/// strategy Recreate alone.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of `oc`")]
pub(super) struct Command {
    /// Names: `dc/web`, `web`
    #[arg(value_name = "DEPLOYMENTCONFIG")]
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// Before the rollout begins
    #[arg(long)]
    pre: bool,
    /// After the old pods ended and before the new ones start
    #[arg(long)]
    mid: bool,
    /// After the rollout
    #[arg(long)]
    post: bool,
    /// Take the hooks away that are named
    #[arg(long)]
    remove: bool,
    /// The container whose image runs [default: the first]
    #[arg(short, long, value_name = "NAME", default_value = "", hide_default_value = true)]
    container: String,
    /// A variable of its environment; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE")]
    environment: Vec<String>,
    /// Volumes of the pod template that it sees, with commas between them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    volumes: Vec<String>,
    /// What a failure means: abort, retry or ignore
    #[arg(long, value_name = "POLICY", default_value = "ignore")]
    failure_policy: String,
    #[command(flatten)]
    edit: EditArguments,
    /// What is run
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let usage =
        |message: &str| UsageError { command: "set deployment-hook", message: message.into() };
    if command.words.is_empty() && !command.choice.is_some() {
        return Err(usage(
            "one or more deployment configs must be specified as <name> or dc/<name>",
        )
        .into());
    }
    let Some(policy) = command.policy() else {
        return Err(usage("valid values for --failure-policy are: abort, retry, ignore").into());
    };
    command.check()?;
    let environment = command.variables()?;
    // A bare name is that of a DeploymentConfig.
    let mut words: Vec<String> = command.words.clone();
    if words.is_empty() {
        words.push("dc".into());
    } else {
        words.iter_mut().filter(|word| !word.contains('/')).for_each(|word| {
            *word = format!("dc/{word}");
        });
    }
    let chosen = chosen::read(&words, "set deployment-hook", &command.choice)?;
    edit(&command.edit, context, |desk| {
        let places = chosen.places(&desk.manifests, &desk.namespace)?;
        let mut outcome = Outcome::default();
        let mut names = Vec::new();
        for (kind, place) in &places {
            let hook = |document: &Document, notes: &mut Vec<String>| {
                command.hook(document, policy, &environment, notes)
            };
            let name = set(command, (*kind, place), hook, &mut outcome.notes, desk)?;
            outcome.lines.push(desk.line(format!("{}/{name} hooks updated", kind.singular())));
            names.push(name);
        }
        let verb = if command.remove { "remove" } else { "set" };
        let which = command.which().join(", ");
        outcome.message = format!("{verb} the {which} hook of {}", names.join(", "));
        Ok(outcome)
    })
}

/// Sets or removes the hooks of one object, and says its name.
fn set(
    command: &Command,
    (kind, place): (ManifestKind, &Place),
    hook: impl Fn(&Document, &mut Vec<String>) -> Value,
    notes: &mut Vec<String>,
    desk: &mut Desk<'_>,
) -> anyhow::Result<String> {
    let Some(document) = desk.manifests.at(place).cloned() else { bail!("it is gone") };
    let shown = format!("{}/{}", kind.plural(), document.name);
    let Some(params) = params(kind, &document) else {
        bail!("{shown} is not a deployment config or does not have an applicable strategy");
    };
    let mut is_done = false;
    for params in &params {
        for which in command.which() {
            let path = keys(&["spec", "strategy", params, which]);
            if command.remove {
                is_done |= desk.manifests.take(place, &path)?;
            } else if which != "mid" || *params == "recreateParams" {
                is_done = true;
                desk.manifests.put(place, &path, hook(&document, notes))?;
            }
        }
    }
    notes.sort();
    notes.dedup();
    if !is_done && command.remove {
        bail!("{shown} has no {} hook", command.which().join(" and no "));
    }
    if !is_done {
        bail!("{shown} has the strategy Rolling, which has no mid hook; Recreate has");
    }
    Ok(document.name)
}

/// The parameters that hooks stand in: those of its strategy, and others that are written.
fn params(kind: ManifestKind, document: &Document) -> Option<Vec<&'static str>> {
    if kind.sort.kind != "DeploymentConfig" {
        return None;
    }
    let strategy = document.text(&["spec", "strategy", "type"]).unwrap_or_default();
    let own = match strategy {
        "" | "Rolling" => Some("rollingParams"),
        "Recreate" => Some("recreateParams"),
        _ => None,
    };
    let all = ["recreateParams", "rollingParams"];
    let found: Vec<&str> = all
        .into_iter()
        .filter(|params| own == Some(*params) || document.has(&["spec", "strategy", params]))
        .collect();
    (!found.is_empty()).then_some(found)
}

impl Command {
    /// The hooks that are meant.
    fn which(&self) -> Vec<&'static str> {
        let all = [("pre", self.pre), ("mid", self.mid), ("post", self.post)];
        all.into_iter().filter_map(|(word, is_set)| is_set.then_some(word)).collect()
    }

    fn policy(&self) -> Option<&'static str> {
        let known = ["Abort", "Retry", "Ignore"];
        known.into_iter().find(|policy| policy.to_ascii_lowercase() == self.failure_policy)
    }

    fn check(&self) -> anyhow::Result<()> {
        let count = self.which().len();
        if self.remove {
            let is_more = !self.command.is_empty()
                || !self.volumes.is_empty()
                || !self.environment.is_empty()
                || !self.container.is_empty();
            if is_more {
                bail!("--remove may not be used with any option except --pre, --mid, or --post");
            }
            if count == 0 {
                bail!(
                    "you must specify at least one of --pre, --mid, or --post with the --remove flag"
                );
            }
            return Ok(());
        }
        if count != 1 {
            bail!("you must specify one of --pre, --mid, or --post");
        }
        if self.command.is_empty() {
            bail!("you must specify a command for the deployment hook");
        }
        Ok(())
    }

    fn variables(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for word in &self.environment {
            let pair = word.split_once('=').filter(|(name, _)| is_variable(name));
            let Some((name, value)) = pair else {
                bail!("invalid parameter {}: it is KEY=VALUE", word.escape_debug());
            };
            found.push((name.to_owned(), value.to_owned()));
        }
        Ok(found)
    }

    /// The hook as it is written.
    fn hook(
        &self,
        document: &Document,
        policy: &str,
        environment: &[(String, String)],
        notes: &mut Vec<String>,
    ) -> Value {
        let containers = document.names(&["spec", "template", "spec", "containers"]);
        let volumes = document.names(&["spec", "template", "spec", "volumes"]);
        let mut missing = |what: &str, name: &str| {
            let config = &document.name;
            notes.push(format!(
                "warning: deployment config \"{config}\" does not have a {what} named \"{name}\""
            ));
        };
        let container = if self.container.is_empty() {
            containers.first().cloned().unwrap_or_default()
        } else {
            self.container.clone()
        };
        if !containers.contains(&container) {
            missing("container", &container);
        }
        let list = |texts: &[String]| Value::List(texts.iter().map(Value::text).collect());
        let mut pod = vec![
            ("command".to_owned(), list(&self.command)),
            ("containerName".to_owned(), Value::text(container)),
        ];
        if !environment.is_empty() {
            let variables = environment.iter().map(|(name, value)| {
                Value::map([("name", Value::text(name)), ("value", Value::text(value))])
            });
            pod.push(("env".to_owned(), Value::List(variables.collect())));
        }
        if !self.volumes.is_empty() {
            self.volumes
                .iter()
                .filter(|name| !volumes.contains(name))
                .for_each(|name| missing("volume", name));
            pod.push(("volumes".to_owned(), list(&self.volumes)));
        }
        Value::map([("failurePolicy", Value::text(policy)), ("execNewPod", Value::Map(pod))])
    }
}

/// The name of a variable, as Kubernetes takes it.
fn is_variable(name: &str) -> bool {
    let is_sign = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
    let is_first = |sign: char| !sign.is_ascii_digit();
    name.starts_with(is_first) && name.chars().all(is_sign)
}
