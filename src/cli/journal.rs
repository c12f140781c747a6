//! `tidegate journal`: looks at the journal and after it.

mod backup;
mod compact;
mod log;
mod restore;
mod salvage;
mod show;
mod verify;

use clap::{Args, Subcommand, ValueEnum};

use super::{Context, ExitCode};
use crate::config;
use crate::fact::Record;
use crate::journal::{Fold, Snapshot, StateError};
use crate::names::ContentHash;
use crate::observed::ObservedState;

/// Look at the journal, the file of everything that happened, and after it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every record, snapshot and stored object, and say how far the journal can be trusted
    ///
    /// Folds the records and compares each snapshot with what they give. Changes nothing, and a daemon may run meanwhile.
    /// Exit code 0: all is what was written; 1: something is damaged or missing; 4: something could not be read, so
    /// nothing can be said about it.
    Verify(verify::Command),
    Log(log::Command),
    Show(show::Command),
    Backup(backup::Command),
    Restore(restore::Command),
    Salvage(salvage::Command),
    /// Write a snapshot, drop history that is older or larger than `[journal]` says, collect what nothing names
    ///
    /// The daemon does all of this by itself; this makes it do it now. Where no daemon runs, it is done here.
    Compact(compact::Compact),
}

/// Options of the commands that look at one journal.
#[derive(Debug, Args)]
struct JournalArguments {
    /// How to print
    #[arg(short, long, alias = "format", value_name = "FORMAT", default_value = "text")]
    output: Format,
    #[command(flatten)]
    settings: config::SettingArguments,
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
        Command::Verify(command) => verify::run(command, context),
        Command::Log(command) => log::run(command, context),
        Command::Show(command) => show::run(command, context),
        Command::Backup(command) => backup::run(command, context),
        Command::Restore(command) => restore::run(command, context),
        Command::Salvage(command) => salvage::run(command, context),
        Command::Compact(arguments) => compact::run(arguments, context),
    }
}

impl Fold for ObservedState {
    fn begin(&mut self, base: &Snapshot) -> Result<(), StateError> {
        *self = base.state()?;
        Ok(())
    }

    fn apply(&mut self, record: &Record) {
        Self::apply(self, record);
    }

    fn objects(&self) -> Vec<ContentHash> {
        Self::objects(self).collect()
    }

    fn equals(&self, snapshot: &Snapshot) -> Result<bool, StateError> {
        Ok(snapshot.state::<Self>()? == *self)
    }
}

/// Prints what a command found as one object.
fn print_json(report: &impl serde::Serialize, context: &mut Context<'_>) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *context.out, report)?;
    writeln!(context.out)
}

/// Bytes for people: `3.4 MiB`.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// `1 object`, `2 objects`.
fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
