//! The verbs of `oc`: its arguments, its output, its exit codes, 0 and 1 (rule I112).

mod adm;
mod advice;
mod build_chain;
mod build_log;
mod cancel_build;
mod chosen;
mod create;
mod create_job;
mod delete;
mod delete_image;
mod deployment_hook;
mod describe;
mod edit;
mod expose;
mod get;
mod image_lookup;
mod import_image;
mod inventory;
mod kinds;
mod logs;
mod metadata;
mod new_app;
mod new_build;
mod prune;
mod resource;
mod rollback;
mod rollout;
mod scaffolding;
mod scale;
mod set;
mod set_image;
mod start_build;
mod tag;
mod triggers;
mod watch;

use std::path::PathBuf;

use clap::Subcommand;

use self::advice::Refused;
use super::{Context, ExitCode};
use crate::config;
use crate::edit::EditError;
use crate::names::Namespace;
use crate::time::Timestamp;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    Get(get::Command),
    Describe(describe::Command),
    Logs(logs::Command),
    ImportImage(import_image::Command),
    Tag(tag::Command),
    Create(create::Command),
    NewApp(Box<new_app::Command>),
    NewBuild(Box<new_build::Command>),
    Delete(delete::Command),
    Set(set::Command),
    Rollout(rollout::Command),
    Rollback(rollback::Command),
    Annotate(metadata::Annotate),
    Label(metadata::Label),
    Scale(scale::Command),
    Expose(expose::Command),
    Prune(prune::Command),
    StartBuild(Box<start_build::Command>),
    CancelBuild(cancel_build::Command),
    BuildChain(build_chain::Command),
    #[command(hide = true)]
    Adm(adm::Command),
    /// Says how manifests come into force instead
    #[command(hide = true)]
    Apply(advice::Words),
    /// Says where logins are put instead
    #[command(hide = true)]
    Login(advice::Words),
    /// Says how a namespace is named instead
    #[command(hide = true)]
    Project(advice::Words),
    /// Says how logins are found instead
    #[command(hide = true)]
    Secrets(advice::Words),
}

/// Whether words of the command line are meant for a verb of `oc`: wrong usage of those ends as in `oc`.
pub(super) fn is_verb(words: &[std::ffi::OsString]) -> bool {
    let verbs = Verb::augment_subcommands(clap::Command::new("oc"));
    let mut names = verbs.get_subcommands().map(clap::Command::get_name);
    let first = words.iter().skip(1).find(|word| !word.as_encoded_bytes().starts_with(b"-"));
    first.and_then(|word| word.to_str()).is_some_and(|word| names.any(|name| name == word))
}

/// Which objects are read, and as of when.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Namespace of the objects [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(super) namespace: Option<Namespace>,
    /// Objects of every namespace
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
    /// Objects that have these labels: `app=web`, `app!=web`, `app`, `!app`, `app in (web,shop)`, several with commas
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "")]
    pub(super) selector: crate::oc::selector::Selector,
    /// Read objects with their status from files, in place of the journal: what somebody exported from a cluster; `-` is
    /// standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(super) filename: Vec<PathBuf>,
    /// The time that ages are counted to
    #[arg(long, value_name = "TIME", value_parser = time, requires = "filename")]
    pub(super) now: Option<Timestamp>,
    #[command(flatten)]
    pub(super) settings: config::SettingArguments,
}

fn time(text: &str) -> Result<Timestamp, String> {
    let instant: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Ok(Timestamp::from_jiff(instant))
}

/// Says what is shown as not known because nobody could look at it.
fn print_unseen(
    inventory: &inventory::Inventory,
    context: &mut Context<'_>,
) -> std::io::Result<()> {
    for unseen in inventory.unseen() {
        writeln!(context.err, "warning: {unseen}")?;
    }
    Ok(())
}

/// What `oc` calls an error of the API: `Error from server (NotFound): …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    reason: &'static str,
    message: String,
}

impl ApiError {
    pub(super) fn not_found(resource: &str, name: &str) -> Self {
        Self { reason: "NotFound", message: format!("{resource} \"{name}\" not found") }
    }

    pub(super) fn bad_request(message: String) -> Self {
        Self { reason: "BadRequest", message }
    }

    pub(super) fn already_exists(resource: &str, name: &str) -> Self {
        Self { reason: "AlreadyExists", message: format!("{resource} \"{name}\" already exists") }
    }

    /// A kind that cannot do what is asked.
    pub(super) fn no_resource() -> Self {
        let message = "the server could not find the requested resource".to_owned();
        Self { reason: "NotFound", message }
    }

    pub(super) fn conflict(message: String) -> Self {
        Self { reason: "Conflict", message }
    }
}

/// Wrong usage: the hint names the command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct UsageError {
    pub(super) command: &'static str,
    pub(super) message: String,
}

/// Runs a verb; its errors are printed as `oc` prints them.
pub(super) fn run(verb: &Verb, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let done = match verb {
        Verb::Get(command) => get::run(command, context),
        Verb::Describe(command) => describe::run(command, context),
        Verb::Logs(command) => logs::run(command, context),
        Verb::ImportImage(command) => import_image::run(command, context),
        Verb::Tag(command) => tag::run(command, context),
        Verb::Create(command) => create::run(command, context),
        Verb::NewApp(command) => new_app::run(command, context),
        Verb::NewBuild(command) => new_build::run(command, context),
        Verb::Delete(command) => delete::run(command, context),
        Verb::Set(command) => set::run(command, context),
        Verb::Rollout(command) => rollout::run(command, context),
        Verb::Rollback(command) => rollback::run(command, context),
        Verb::Annotate(command) => metadata::annotate(command, context),
        Verb::Label(command) => metadata::label(command, context),
        Verb::Scale(command) => scale::run(command, context),
        Verb::Expose(command) => expose::run(command, context),
        Verb::Prune(command) => prune::run(command, context),
        Verb::StartBuild(command) => start_build::run(command, context),
        Verb::CancelBuild(command) => cancel_build::run(command, context),
        Verb::BuildChain(command) => build_chain::run(command, context),
        Verb::Adm(command) => adm::run(command, context),
        Verb::Apply(words) => advice::refuse(Refused::Apply, words, context),
        Verb::Login(words) => advice::refuse(Refused::Login, words, context),
        Verb::Project(words) => advice::refuse(Refused::Project, words, context),
        Verb::Secrets(words) => advice::refuse(Refused::Secrets, words, context),
    };
    match done {
        Ok(code) => Ok(code),
        Err(error) => {
            print_error(context, &error)?;
            Ok(ExitCode::Error)
        }
    }
}

/// Prints an error as `oc` does.
fn print_error(context: &mut Context<'_>, error: &anyhow::Error) -> std::io::Result<()> {
    if let Some(error) = error.downcast_ref::<ApiError>() {
        return writeln!(context.err, "Error from server ({}): {error}", error.reason);
    }
    // An object that its validation refuses is told of without more words.
    if let Some(error @ EditError::Invalid { .. }) = error.downcast_ref() {
        return writeln!(context.err, "{error}");
    }
    writeln!(context.err, "error: {error:#}")?;
    if let Some(UsageError { command, .. }) = error.downcast_ref() {
        let program = context.global.program();
        writeln!(context.err, "See '{program} {command} -h' for help and examples")?;
    }
    Ok(())
}
