//! `tidegate journal`: looks after the journal.

mod compact;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::{Context, ExitCode};
use crate::config;
use crate::journal::{self, Proof};

/// Findings that the text shows; JSON has all of them.
const FINDINGS_SHOWN: usize = 20;

/// Look after the journal, the file of everything that happened
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every record, snapshot and stored object, and say how far the journal can be trusted
    ///
    /// Changes nothing, and a daemon may run meanwhile. Exit code 0: all is what was written; 1: something is damaged
    /// or missing; 4: something could not be read, so nothing can be said about it.
    Verify(Verify),
    /// Write a snapshot, drop history that is older or larger than `[journal]` says, collect what nothing names
    ///
    /// The daemon does all of this by itself; this makes it do it now. Where no daemon runs, it is done here.
    Compact(compact::Compact),
}

#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    settings: config::SettingArguments,
    /// How to print what was found
    #[arg(short, long, alias = "format", value_name = "FORMAT", default_value = "text")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs: one object, with `formatVersion`
    Json,
}

pub(super) fn run(arguments: &Arguments, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    match &arguments.command {
        Command::Verify(arguments) => verify(arguments, context),
        Command::Compact(arguments) => compact::run(arguments, context),
    }
}

fn verify(arguments: &Verify, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let flags = arguments.settings.flags(context.global.config.clone());
    let root = &config::load(&flags)?.state_dir;
    let proof = match journal::verify(root) {
        Ok(proof) => proof,
        Err(error) => {
            let error = anyhow::Error::new(error)
                .context(format!("cannot verify the journal in `{}`", root.display()));
            super::print_error(context.err, &error)?;
            return Ok(ExitCode::Unverified);
        }
    };
    let printed = match arguments.output {
        Format::Text => print_text(&proof, context),
        Format::Json => print_json(&proof, context),
    };
    printed.context("cannot print what was found")?;
    Ok(if proof.findings.is_empty() { ExitCode::Done } else { ExitCode::Error })
}

fn print_text(proof: &Proof, context: &mut Context<'_>) -> std::io::Result<()> {
    let out = &mut *context.out;
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
        (Some(first), Some(last)) => writeln!(
            out,
            "proven: records {first} to {last} ({} in {} files), last hash {}",
            proof.records, proof.segments, proof.hash
        )?,
        _ => writeln!(out, "proven: no records")?,
    }
    writeln!(out, "proven: {} objects, {} snapshots", proof.objects, proof.snapshots)
}

/// The proof with the version of its form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    format_version: u32,
    ok: bool,
    proof: &'a Proof,
}

fn print_json(proof: &Proof, context: &mut Context<'_>) -> std::io::Result<()> {
    let report = Report { format_version: 1, ok: proof.findings.is_empty(), proof };
    serde_json::to_writer_pretty(&mut *context.out, &report)?;
    writeln!(context.out)
}
