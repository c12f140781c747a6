//! `tidegate journal verify`.

use anyhow::Context as _;
use serde::Serialize;

use super::{Context, ExitCode, Format, JournalArguments, count, print_json};
use crate::config;
use crate::journal::{self, Proof};
use crate::names::Seq;
use crate::observed::ObservedState;

/// Findings that the text shows; JSON has all of them.
const FINDINGS_SHOWN: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    journal: JournalArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let flags = command.journal.settings.flags(context.global.config.clone());
    let root = &config::load(&flags)?.state_dir;
    let proof = match journal::verify(root, ObservedState::default) {
        Ok(proof) => proof,
        Err(error) => {
            let error = anyhow::Error::new(error)
                .context(format!("cannot verify the journal in `{}`", root.display()));
            crate::cli::print_error(context.err, &error)?;
            return Ok(ExitCode::Unverified);
        }
    };
    let printed = match command.journal.output {
        Format::Text => print_text(&proof, &mut *context.out),
        Format::Json => {
            let ok = proof.findings.is_empty();
            print_json(&Report { format_version: 1, ok, proof: &proof }, context)
        }
    };
    printed.context("cannot print what was found")?;
    Ok(if proof.findings.is_empty() { ExitCode::Done } else { ExitCode::Error })
}

pub(super) fn print_text(proof: &Proof, out: &mut dyn std::io::Write) -> std::io::Result<()> {
    for finding in proof.findings.iter().take(FINDINGS_SHOWN) {
        write!(out, "damaged: `{}`", finding.path.display())?;
        if let (Some(line), Some(offset)) = (finding.line, finding.offset) {
            write!(out, ", line {line} (byte {offset}")?;
            match finding.seq {
                Some(seq) => write!(out, ", record {seq})")?,
                None => write!(out, ")")?,
            }
        }
        writeln!(out, ": {}", finding.message)?;
    }
    if let Some(more @ 1..) = proof.findings.len().checked_sub(FINDINGS_SHOWN) {
        writeln!(out, "... and {more} more; `-o json` lists all")?;
    }
    for note in &proof.notes {
        writeln!(out, "note: {note}")?;
    }
    match (proof.first, proof.last) {
        (Some(first), Some(last)) => {
            let Proof { records, hash, continues, .. } = proof;
            let files = count(proof.segments, "file");
            let from = if first == Seq(1) {
                "from the beginning".to_owned()
            } else {
                format!("which continue from hash {continues}")
            };
            writeln!(
                out,
                "proven: records {first} to {last} ({records} in {files}), {from}; last hash {hash}"
            )?;
        }
        _ => writeln!(out, "proven: no records")?,
    }
    let objects = count(proof.objects, "object");
    let snapshots = match (proof.snapshots, proof.replayed) {
        (0, _) => "no snapshot".to_owned(),
        (n, replayed) => {
            format!("{}; {replayed} of them proven by the records before", count(n, "snapshot"))
        }
    };
    writeln!(out, "proven: {objects}, {snapshots}")
}

/// The proof with the version of its form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    format_version: u32,
    ok: bool,
    proof: &'a Proof,
}
