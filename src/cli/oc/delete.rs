//! `tidegate delete`: objects go out of git (rules I92 to I94, I148).

use anyhow::bail;

use super::edit::{Desk, EditArguments, Outcome, edit};
use super::kinds::{ManifestKind, Subject};
use super::resource::{self, Resource, WordsError};
use super::{ApiError, UsageError, delete_image, tag};
use crate::cli::{Context, ExitCode, offline};
use crate::oc::selector::Selector;

/// Delete objects from git, as `oc delete` does
///
/// KIND is `is`, `istag`, `image`, or a kind of manifest that is found in git (`dc`, `bc`, `deploy`, `svc`, `route`, …);
/// `all` means image streams, workloads, builds, services and routes. What the daemon runs follows with the commit: a tag
/// that something refers to keeps its history, a workload is stopped as its annotations say. Images are deleted from the
/// journal: items of tags that name one stay until the next `prune images`, and a later import brings it back.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// Kinds and names: `is python`, `is/python`, `istag python:3.6`, `all`
    #[arg(value_name = "KIND[/NAME]")]
    words: Vec<String>,
    /// Those that have these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<Selector>,
    /// All of a kind in the namespace
    #[arg(long)]
    all: bool,
    /// Do not fail if an object is not there
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(default_value_t = false, action = clap::ArgAction::Set, hide_default_value = true)]
    #[arg(hide_possible_values = true, value_name = "BOOL")]
    ignore_not_found: bool,
    #[command(flatten)]
    edit: EditArguments,
}

type Wanted = Vec<(Subject, Option<String>)>;

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if let Some(images) = images(command)? {
        let config = offline::settings(&command.edit.settings, context)?;
        return delete_image::run(&images, &config, context);
    }
    let wanted = wanted(command)?;
    edit(&command.edit, context, |desk| delete(command, &wanted, desk))
}

/// The images that are named; none where other kinds are. Images are in the journal, not in git (rule I165).
fn images(command: &Command) -> anyhow::Result<Option<Vec<String>>> {
    let Ok(wanted) = resource::wanted(&command.words, "delete") else { return Ok(None) };
    if !wanted.iter().any(|wanted| wanted.resource == Resource::Images) {
        return Ok(None);
    }
    if wanted.iter().any(|wanted| wanted.resource != Resource::Images) {
        bail!(
            "images are deleted from the journal and other objects from git; delete them by a command of their own"
        );
    }
    let names: Option<Vec<String>> = wanted.into_iter().map(|wanted| wanted.name).collect();
    match names {
        Some(names) => Ok(Some(names)),
        None => bail!("resource(s) were provided, but no name was specified"),
    }
}

fn wanted(command: &Command) -> anyhow::Result<Wanted> {
    let read = resource::read(&command.words, "delete", Subject::from_word, Subject::all);
    let wanted = read.map_err(|error| match error {
        WordsError::Nothing { .. } => {
            let message = "You must provide one or more resources by argument or filename.".into();
            anyhow::Error::from(UsageError { command: "delete", message })
        }
        error @ (WordsError::Unknown(_)
        | WordsError::Mixed
        | WordsError::Slashes
        | WordsError::Empty) => error.into(),
    })?;
    let is_named = wanted.iter().any(|(_, name)| name.is_some());
    let is_chosen = command.all || command.selector.is_some();
    if is_named && command.all {
        bail!(
            "setting 'all' parameter but found a non empty selector or names; name the objects, or say --all"
        );
    }
    if is_named && command.selector.is_some() {
        bail!("name cannot be provided when a selector is specified");
    }
    if !is_named && !is_chosen {
        bail!("resource(s) were provided, but no name was specified");
    }
    Ok(wanted)
}

fn delete(command: &Command, wanted: &Wanted, desk: &mut Desk<'_>) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for (subject, name) in wanted {
        let names = match name {
            Some(name) => vec![name.clone()],
            None => chosen(command, *subject, desk),
        };
        for name in names {
            let done = delete_one(*subject, &name, desk, &mut outcome);
            let missing = |error: &anyhow::Error| {
                error.downcast_ref::<ApiError>().is_some_and(|error| error.reason == "NotFound")
            };
            match done {
                Ok(()) => {
                    let text = format!("{} \"{name}\" deleted", subject.singular());
                    outcome.lines.push(desk.line(text));
                }
                Err(error) if command.ignore_not_found && missing(&error) => {}
                Err(error) if outcome.failed.is_none() => outcome.failed = Some(error),
                Err(_) => {} // the first says enough
            }
        }
    }
    if outcome.lines.is_empty() {
        if let Some(error) = outcome.failed {
            return Err(error);
        }
        if wanted.iter().all(|(_, name)| name.is_none()) {
            outcome.notes.push("No resources found".into());
        }
    }
    let names: Vec<&str> = outcome.lines.iter().filter_map(|line| line.split('"').nth(1)).collect();
    outcome.message = format!("delete {} of namespace {}", names.join(", "), desk.namespace);
    Ok(outcome)
}

/// The names of those that labels select.
fn chosen(command: &Command, subject: Subject, desk: &Desk<'_>) -> Vec<String> {
    let matches = |labels: std::collections::BTreeMap<String, String>| {
        command.selector.as_ref().is_none_or(|selector| selector.matches(&labels))
    };
    let here = desk.manifests.documents().filter(|document| {
        document.namespace == desk.namespace && !document.in_template && matches(document.labels())
    });
    let mut names: Vec<String> = match subject {
        Subject::Manifest(kind) => {
            here.filter(|document| document.is(kind.sort)).map(|d| d.name.clone()).collect()
        }
        Subject::StreamTag => here
            .filter(|document| document.is(ManifestKind::STREAM.sort))
            .flat_map(|document| {
                document.tags().into_iter().map(|tag| format!("{}:{tag}", document.name))
            })
            .collect(),
    };
    names.sort();
    names
}

fn delete_one(
    subject: Subject,
    name: &str,
    desk: &mut Desk<'_>,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let namespace = desk.namespace.clone();
    match subject {
        Subject::StreamTag => tag::delete_tag(desk, &namespace, name, &mut outcome.notes),
        Subject::Manifest(kind) => {
            let found = desk.manifests.find(kind.sort, &namespace, name)?;
            let place = found.map(crate::edit::Document::place);
            let missing = || ApiError::not_found(&kind.resource(), name);
            let place = place.ok_or_else(missing)?;
            Ok(desk.manifests.remove(&place)?)
        }
    }
}
