//! `tidegate history`: the chain from commit to outcome.

use crate::fact::Record;
use crate::journal::{self, JournalError};
use crate::observed::ObservedState;
use crate::report::history::{Filter, History, Runs};
use crate::report::{self, select::Known};
use crate::time::{Span, Timestamp};

use super::offline::{self, ObjectArguments, Output};
use super::{Context, ExitCode};

/// Show what happened: commits, imports, triggers, rollouts and how they ended
///
/// For one object it shows its own records and those that brought them about: the commits and the tag events that
/// caused its rollouts.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    objects: ObjectArguments,
    /// At most this many entries, the newest; 0 is all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// Nothing before this: a time like 2026-11-21T08:00:00Z, or a span like 2h
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Since>,
    /// A table of rollouts instead: which commit ran which digests, from when to when
    ///
    /// A completed rollout runs from its completion until the next rollout or stop begins; of any other, the times are
    /// its own start and end.
    #[arg(long)]
    runs: bool,
}

#[derive(Debug, Clone, Copy)]
enum Since {
    At(Timestamp),
    Ago(Span),
}

fn since(text: &str) -> Result<Since, String> {
    let span = text.parse().map(Since::Ago);
    span.or_else(|_| text.parse().map(Since::At))
        .map_err(|_| "expected a time like 2026-11-21T08:00:00Z or a span like 2h".to_owned())
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.objects.settings, context)?;
    let state_dir = config.state_dir.clone();
    let offline = offline::open(config)?;
    let engine = &offline.engine;
    let known = Known::of(engine.desired(), engine.observed());
    let filter = Filter {
        select: command.objects.select(&offline.config, &known)?,
        since: command.since.map(|since| match since {
            Since::At(at) => at,
            Since::Ago(span) => {
                let before = i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(offline.now.wall.as_millis().saturating_sub(before))
            }
        }),
        limit: (command.limit > 0).then_some(command.limit),
    };
    let base = ObservedState::default();
    let mut damage = None;
    let records = records(&state_dir, &mut damage)?;
    let text = if command.runs {
        let runs = Runs::of(&base, records, &filter);
        match command.objects.output {
            Output::Text => runs.to_text(),
            Output::Json => report::to_json(&runs),
        }
    } else {
        let history = History::of(&base, records, &filter);
        match command.objects.output {
            Output::Text => history.to_text(),
            Output::Json => report::to_json(&history),
        }
    };
    context.out.write_all(text.as_bytes())?;
    match damage {
        // What could be read was shown; that it is not all must not go unnoticed.
        Some(error) => Err(anyhow::Error::new(error).context("the history is not complete")),
        None => Ok(ExitCode::Done),
    }
}

/// The records of the journal, as far as they can be read.
fn records<'a>(
    state_dir: &std::path::Path,
    damage: &'a mut Option<JournalError>,
) -> anyhow::Result<impl Iterator<Item = Record> + use<'a>> {
    let reader =
        if offline::has_journal(state_dir)? { Some(journal::read(state_dir)?) } else { None };
    Ok(reader.into_iter().flatten().map_while(move |record| match record {
        Ok(record) => Some(record),
        Err(error) => {
            *damage = Some(error);
            None
        }
    }))
}
