//! `tidegate status`: what runs, what is wanted, what is wrong or held.

use crate::config::Config;
use crate::report::status::{Health, Hints, Input, Status};
use crate::report::{self, Live, select::Known};

use crate::control::{Question, Reply};

use super::ask;
use super::offline::{self, ObjectArguments, Output};
use super::past;
use super::when::{self, Point};
use super::{Context, ExitCode};

/// Show what runs, what is wanted, and what is wrong or held
///
/// Works without a daemon too, and then says up to which record it knows. A tag that nobody verified is shown as not
/// verified, never as current. With `--namespace` and no OBJECT it shows that namespace alone.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    objects: ObjectArguments,
    /// Tell each hint and what to do about it, not only how many there are
    ///
    /// Image triggers that lead nowhere, builds whose image cannot be pushed, builds that failed, workloads without a
    /// readiness probe, triggers that wait or are held. As data (`-o json`) they are always there, as `markers`.
    #[arg(long)]
    suggest: bool,
    /// Exit with 3 if anything failed, is held or rejected or could not be checked, with 4 if no daemon runs that
    /// would know, or a scheduled tag was not checked yet
    #[arg(long)]
    exit_code: bool,
    /// As it was at a point: a time like 2026-11-21T08:00:00Z, a local one, a span ago like 2h, or the number of a record
    ///
    /// By the journal alone, with the manifests of the commit that was adopted then and the settings of now. What only a
    /// running daemon knew, when a tag was last verified above all, is not told.
    #[arg(long, value_name = "TIME|SEQ", value_parser = when::point)]
    at: Option<Point>,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.objects.settings, context)?;
    let (live, silent, offline) = match command.at {
        Some(point) => {
            let past = past::state_at(&config.state_dir, point)?;
            (None, None, offline::open_at(config, past.state, past.now))
        }
        None => {
            let (live, silent) = ask(&config);
            (live, silent, offline::open(config)?)
        }
    };
    let engine = &offline.engine;
    let known = Known::of(engine.desired(), engine.observed());
    let project = command.objects.namespace.as_ref().filter(|_| command.objects.object.is_none());
    let select = match project {
        Some(project) => Some(known.in_namespace(project)),
        None => command.objects.select(&offline.config, &known)?,
    };
    let repository = offline.source.as_ref().map(crate::world::git::Source::shown);
    let status = Status::of(&Input {
        repository: repository.as_deref(),
        view: engine.view(offline.now),
        unread: offline.unread.as_deref(),
        live: live.as_ref(),
        silent: silent.as_deref(),
        select: select.as_ref(),
        project,
        past: command.at.is_some(),
    });
    let text = match command.objects.output {
        Output::Text => {
            let hints = if command.suggest { Hints::Told } else { Hints::Counted };
            status.to_text() + &status.ending(context.global.program(), hints)
        }
        Output::Json => report::to_json(&status),
    };
    context.out.write_all(text.as_bytes())?;
    Ok(match status.health() {
        Health::Held if command.exit_code => ExitCode::ChangesHeld,
        Health::Unverified if command.exit_code => ExitCode::Unverified,
        Health::Fine | Health::Held | Health::Unverified => ExitCode::Done,
    })
}

/// What the running daemon answers, or why it does not.
fn ask(config: &Config) -> (Option<Live>, Option<String>) {
    match ask::ask(&config.control_socket, &Question::Status) {
        Ok(Some(Reply::Status(live))) => (Some(*live), None),
        Ok(Some(Reply::Refused(why) | Reply::Nothing(why))) => (None, Some(why)),
        Ok(Some(
            Reply::Done(_)
            | Reply::Pruned(_)
            | Reply::Ordered(_)
            | Reply::Started(_)
            | Reply::Cancelled(_)
            | Reply::Uploaded(_)
            | Reply::Looking(_)
            | Reply::Hooks(_),
        )) => (None, Some("it answered something else".to_owned())),
        Ok(None) => (None, None),
        Err(error) => (None, Some(format!("{error:#}"))),
    }
}
