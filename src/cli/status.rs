//! `tidegate status`: what runs, what is wanted, what is wrong or held.

use crate::report::status::{Health, Input, Status};
use crate::report::{self, select::Known};

use crate::control::{Question, Reply};

use super::ask;
use super::offline::{self, ObjectArguments, Output};
use super::{Context, ExitCode};

/// Show what runs, what is wanted, and what is wrong or held
///
/// Works without a daemon too, and then says up to which record it knows. A tag that nobody verified is shown as not
/// verified, never as current.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    objects: ObjectArguments,
    /// Exit with 3 if anything failed, is held or rejected or could not be checked, with 4 if no daemon runs that
    /// would know
    #[arg(long)]
    exit_code: bool,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.objects.settings, context)?;
    let (live, silent) = match ask::ask(&config.control_socket, &Question::Status) {
        Ok(Some(Reply::Status(live))) => (Some(*live), None),
        Ok(Some(Reply::Refused(why) | Reply::Nothing(why))) => (None, Some(why)),
        Ok(Some(Reply::Done(_))) => (None, Some("it answered something else".to_owned())),
        Ok(None) => (None, None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let offline = offline::open(config)?;
    let engine = &offline.engine;
    let known = Known::of(engine.desired(), engine.observed());
    let select = command.objects.select(&offline.config, &known)?;
    let repository = offline.source.as_ref().map(crate::world::git::Source::shown);
    let status = Status::of(&Input {
        repository: repository.as_deref(),
        view: engine.view(offline.now),
        unread: offline.unread.as_deref(),
        live: live.as_ref(),
        silent: silent.as_deref(),
        select: select.as_ref(),
    });
    let text = match command.objects.output {
        Output::Text => status.to_text(),
        Output::Json => report::to_json(&status),
    };
    context.out.write_all(text.as_bytes())?;
    Ok(match status.health() {
        Health::Held if command.exit_code => ExitCode::ChangesHeld,
        Health::Unverified if command.exit_code => ExitCode::Unverified,
        Health::Fine | Health::Held | Health::Unverified => ExitCode::Done,
    })
}
