//! `tidegate journal restore`.

use std::path::PathBuf;

use anyhow::Context as _;

use super::backup::{Report, print_written};
use super::{Context, ExitCode, Format, JournalArguments, print_json, verify};
use crate::cli::offline;
use crate::journal;
use crate::observed::ObservedState;

/// Put a backup into the configured state directory, which must have no journal
///
/// The backup is verified first. What was recorded after it is lost, so the next `tidegate run` records the loss by itself
/// and marks every later key of a rollout: no receiver takes a new rollout for one that it remembers. The daemon must not
/// run. Do this as the user that the daemon runs as.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// The backup
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    journal: JournalArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.journal.settings, context)?;
    let (root, from) = (&config.state_dir, &command.dir);
    let restored = journal::restore(from, root, ObservedState::default)
        .with_context(|| format!("cannot restore the backup in `{}`", from.display()))?;
    match command.journal.output {
        Format::Json => print_json(&Report::of(&restored, root), context)?,
        Format::Text => {
            let (root, from, last) = (root.display(), from.display(), restored.head.seq);
            writeln!(context.out, "restored `{from}` into `{root}`, up to record {last}")?;
            print_written(&restored, &mut *context.out)?;
            verify::print_text(&restored.proof, &mut *context.out)?;
            print_next(&mut *context.out)?;
        }
    }
    Ok(ExitCode::Done)
}

/// Says what happens at the next start.
pub(super) fn print_next(out: &mut dyn std::io::Write) -> std::io::Result<()> {
    writeln!(
        out,
        "next: `tidegate run` records that what came after is lost and gives every later rollout a marked key. What \
         the lost records rolled out may be rolled out again, or go back to what is known here until the repository \
         is read"
    )
}
