//! `tidegate history`: the chain from commit to outcome.

use crate::fact::Record;
use crate::journal::{self, JournalError};
use crate::observed::ObservedState;
use crate::report::history::{Filter, History, Runs};
use crate::report::{self, select::Known};

use super::offline::{self, ObjectArguments, Output};
use super::when::{self, When};
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
    /// Nothing before this: a time like 2026-11-21T08:00:00Z, a local one, or a span ago like 2h
    #[arg(long, value_name = "TIME", value_parser = when::when)]
    since: Option<When>,
    /// A table of rollouts instead: which commit ran which digests, from when to when
    ///
    /// A completed rollout runs from its completion until the next rollout or stop begins; of any other, the times are
    /// its own start and end.
    #[arg(long)]
    runs: bool,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.objects.settings, context)?;
    let state_dir = config.state_dir.clone();
    let offline = offline::open(config)?;
    let engine = &offline.engine;
    let known = Known::of(engine.desired(), engine.observed());
    let filter = Filter {
        select: command.objects.select(&offline.config, &known)?,
        since: command.since.map(|since| since.time(offline.now.wall)),
        limit: (command.limit > 0).then_some(command.limit),
    };
    let mut damage = None;
    let (base, records) = records(&state_dir, &mut damage)?;
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

/// The records of the journal, as far as they can be read, and the state before the first of them.
fn records<'a>(
    state_dir: &std::path::Path,
    damage: &'a mut Option<JournalError>,
) -> anyhow::Result<(ObservedState, impl Iterator<Item = Record> + use<'a>)> {
    let (base, reader) = if offline::has_journal(state_dir)? {
        let (base, reader) = journal::read_from_base(state_dir)?;
        (base, Some(reader))
    } else {
        (None, None)
    };
    // Without it, what was before the first record is told as unknown.
    let state = base.and_then(|base| base.state().ok()).unwrap_or_default();
    let records = reader.into_iter().flatten().map_while(move |record| match record {
        Ok(record) => Some(record),
        Err(error) => {
            *damage = Some(error);
            None
        }
    });
    Ok((state, records))
}
