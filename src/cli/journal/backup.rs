//! `tidegate journal backup`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::{Context, ExitCode, Format, JournalArguments, count, print_json, size, verify};
use crate::cli::offline;
use crate::journal::{self, Copied, Proof};
use crate::names::Seq;
use crate::observed::ObservedState;

/// Copy the journal, its snapshots and its stored objects into a directory, while a daemon runs or not
///
/// A directory that holds an earlier backup of the same journal gets what is new. Everything is synced, and the whole copy
/// is verified at the end; it is a state directory itself, so `tidegate journal verify --state-dir DIR` and the other
/// commands read it. The mirror of the repository is not in it: that is fetched again.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Where to: new, empty, or an earlier backup
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    journal: JournalArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.journal.settings, context)?;
    let root = &config.state_dir;
    if !offline::has_journal(root)? {
        anyhow::bail!("there is no journal in `{}` yet", root.display());
    }
    let copied = journal::backup(root, &command.dir, ObservedState::default)
        .with_context(|| format!("cannot back up the journal in `{}`", root.display()))?;
    match command.journal.output {
        Format::Json => print_json(&Report::of(&copied, &command.dir), context)?,
        Format::Text => {
            let (from, to) = (root.display(), command.dir.display());
            writeln!(
                context.out,
                "backed up `{from}` into `{to}`, up to record {}",
                copied.head.seq
            )?;
            print_written(&copied, &mut *context.out)?;
            verify::print_text(&copied.proof, &mut *context.out)?;
        }
    }
    Ok(ExitCode::Done)
}

/// Prints how much was written.
pub(super) fn print_written(copied: &Copied, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    let Copied { earlier, files, objects, bytes, .. } = copied;
    let earlier = earlier.map(|seq| format!("; an earlier backup there ended at record {seq}"));
    let (files, objects) = (count(*files, "file"), count(*objects, "object"));
    let (bytes, earlier) = (size(*bytes), earlier.unwrap_or_default());
    writeln!(out, "written: {files}, {objects}, {bytes}{earlier}")
}

/// What was copied.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    format_version: u32,
    directory: &'a Path,
    /// The last record that an earlier backup in the same place had.
    earlier: Option<Seq>,
    record: Seq,
    hash: &'a str,
    files: u64,
    objects: u64,
    bytes: u64,
    proof: &'a Proof,
}

impl<'a> Report<'a> {
    pub(super) fn of(copied: &'a Copied, directory: &'a Path) -> Self {
        let Copied { earlier, ref head, files, objects, bytes, ref proof } = *copied;
        let (record, hash) = (head.seq, head.hash.as_str());
        Self { format_version: 1, directory, earlier, record, hash, files, objects, bytes, proof }
    }
}
