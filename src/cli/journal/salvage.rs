//! `tidegate journal salvage`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::restore::print_next;
use super::{Context, ExitCode, Format, JournalArguments, print_json, verify};
use crate::cli::offline;
use crate::fact::Record;
use crate::journal::{self, JournalError, Place, Proof, Salvaged};
use crate::names::{ContentHash, Seq};
use crate::observed::ObservedState;
use crate::report::log::Teller;
use crate::time::Timestamp;

/// Lost records that the text shows; JSON has all of them.
const LOST_SHOWN: usize = 200;

/// Write what is proven of a damaged journal into a new state directory, and say what is lost
///
/// For a journal that a start refuses and of which there is no backup. The new one ends where the proof ends: before the
/// first damage, or at the newest snapshot that goes farther. What stands behind and can still be read is listed, and not
/// taken: nothing proves it. The original is not touched. Exits with 1 if nothing was written, or if what was written
/// lacks stored objects.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// The new state directory
    #[arg(long, value_name = "DIR", required = true)]
    to: PathBuf,
    #[command(flatten)]
    journal: JournalArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.journal.settings, context)?;
    let (root, to) = (&config.state_dir, &command.to);
    let mut behind = Vec::new();
    let mut take = |record: &Record, place: &Place| behind.push((record.clone(), place.clone()));
    let salvaged = journal::salvage(root, to, ObservedState::default, &mut take)
        .with_context(|| format!("cannot salvage the journal in `{}`", root.display()))?;
    let state = offline::state(to)?;
    match command.journal.output {
        Format::Json => print_json(&Report::of(&salvaged, &behind, state.last_at), context)?,
        Format::Text => {
            let out = &mut *context.out;
            writeln!(out, "why: {}", why(&salvaged.why))?;
            print_kept(&salvaged, to, &state, out)?;
            print_lost(&salvaged, &behind, &state, out)?;
            print_next(out)?;
            writeln!(
                out,
                "next: set `state_dir` to `{}`, or put what is in it in the place of the damaged one; keep that one \
                 until you are sure",
                to.display()
            )?;
        }
    }
    Ok(if salvaged.proof.findings.is_empty() { ExitCode::Done } else { ExitCode::Error })
}

/// What is wrong, without what the opening says to do about it.
fn why(error: &JournalError) -> String {
    if let JournalError::Damaged(damage) = error { damage.to_string() } else { error.to_string() }
}

fn print_kept(
    salvaged: &Salvaged,
    to: &Path,
    state: &ObservedState,
    out: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    let Salvaged { base, last, .. } = *salvaged;
    let at = state.last_at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string());
    let from = if base == Seq(0) {
        "from the beginning".to_owned()
    } else {
        format!("from the snapshot at record {base}, which stands for all before it")
    };
    writeln!(out, "kept: everything up to record {last} of {at}, {from}; in `{}`", to.display())?;
    verify::print_text(&salvaged.proof, out)
}

fn print_lost(
    salvaged: &Salvaged,
    behind: &[(Record, Place)],
    state: &ObservedState,
    out: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    let first = salvaged.last.next();
    let at = state.last_at.map(|at| format!(", from {at} on")).unwrap_or_default();
    match salvaged.lost {
        Some(last) => writeln!(out, "lost: records {first} to {last} at least{at}")?,
        None => writeln!(out, "lost: whatever followed record {}{at}", salvaged.last)?,
    }
    for (hash, seq) in &salvaged.missing {
        writeln!(out, "lost: object {hash}, which record {seq} names")?;
    }
    if behind.is_empty() {
        return Ok(());
    }
    writeln!(out, "behind the damage these lines can be read; nothing proves them:")?;
    let mut teller = Teller::new(Some(state));
    for (record, _) in behind.iter().take(LOST_SHOWN) {
        writeln!(out, "  {}", teller.tell(record))?;
    }
    match behind.len().checked_sub(LOST_SHOWN) {
        Some(more @ 1..) => writeln!(out, "  ... and {more} more; `-o json` lists all"),
        _ => Ok(()),
    }
}

/// What was kept and what was not.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    format_version: u32,
    why: String,
    /// The record that the new journal stands behind.
    base: Seq,
    /// Its last record.
    last: Seq,
    last_at: Option<Timestamp>,
    /// The last record that is known to be lost.
    lost: Option<Seq>,
    missing_objects: Vec<ContentHash>,
    unproven: Vec<Unproven<'a>>,
    proof: &'a Proof,
}

/// A line behind the damage.
#[derive(Serialize)]
struct Unproven<'a> {
    file: &'a Path,
    line: u64,
    byte: u64,
    record: &'a Record,
}

impl<'a> Report<'a> {
    fn of(
        salvaged: &'a Salvaged,
        behind: &'a [(Record, Place)],
        last_at: Option<Timestamp>,
    ) -> Self {
        let unproven = behind.iter().map(|(record, place)| Unproven {
            file: &place.path,
            line: place.line,
            byte: place.offset,
            record,
        });
        Self {
            format_version: 1,
            why: why(&salvaged.why),
            base: salvaged.base,
            last: salvaged.last,
            last_at,
            lost: salvaged.lost,
            missing_objects: salvaged.missing.keys().copied().collect(),
            unproven: unproven.collect(),
            proof: &salvaged.proof,
        }
    }
}
