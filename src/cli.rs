//! The command line: one file per command, with its arguments, its help and its few lines of glue.
//!
//! Standard output is the answer, standard error is the talk; only this module and its children write to either.

mod ask;
mod auth;
pub mod check;
mod completions;
mod config;
mod cost;
mod demo;
mod diff;
mod follow;
mod history;
mod hooks;
mod journal;
mod man;
mod notify_push;
mod oc;
mod offline;
mod output;
mod past;
mod release;
mod run;
mod status;
mod webhook;
mod when;

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::world;

/// How a command ended; the numbers are part of the interface (architecture page, section 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExitCode {
    /// Done, or nothing to do.
    Done = 0,
    /// An error; it was printed.
    Error = 1,
    /// Changes are pending.
    ChangesPending = 2,
    /// Changes are pending, and something is held or refused.
    ChangesHeld = 3,
    /// What was asked could not be verified.
    Unverified = 4,
    /// The words of the command, or those of the configuration, are off: trying again does not help.
    Usage = 64,
}

/// What [`Arguments`] says below its options.
const AFTER_HELP: &str = "Begin with `tidegate demo`; then write a tidegate.toml (`tidegate config --keys` explains \
every key) and look with `tidegate diff` before you start `tidegate run`.\n\nExit codes: 0 done or nothing to do, 1 \
error, 2 changes pending, 3 changes pending and something held or refused, 4 could not verify, 64 wrong usage or \
configuration.";

/// Image streams for GitOps, without OpenShift.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, propagate_version = true, after_help = AFTER_HELP)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Where the help shows them.
const GLOBAL: &str = "Options of every command";

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// Configuration file [default: ./tidegate.toml if there is one, else /etc/tidegate/tidegate.toml]
    #[arg(long, global = true, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    #[arg(hide_env_values = true, help_heading = GLOBAL)]
    pub config: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    #[arg(help_heading = GLOBAL)]
    pub color: ColorWhen,
    /// Say `oc` where hints name the program; as when it is called through a link of that name
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub oc_compatible: bool,
}

impl Global {
    /// The name that hints call the program by (rule N18).
    fn program(&self) -> &'static str {
        if self.oc_compatible { "oc" } else { "tidegate" }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What a command may write to, and the options that every command takes.
pub struct Context<'a> {
    /// Options that every command takes.
    pub global: Global,
    /// The answer. Strips colours by itself where they are not wanted.
    pub out: &'a mut dyn Write,
    /// The talk. Strips colours by itself where they are not wanted.
    pub err: &'a mut dyn Write,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Command),
    /// Read manifests and print what is wrong or odd about them
    ///
    /// Needs no daemon, no repository and no registry. Exits with 1 if an object is rejected, and with 0 if there are
    /// warnings at most.
    Check(check::Check),
    Diff(diff::Command),
    Run(run::Command),
    Status(status::Command),
    History(history::Command),
    Release(release::Command),
    NotifyPush(notify_push::Command),
    Auth(auth::Arguments),
    Cost(cost::Command),
    Hooks(hooks::Command),
    Webhook(webhook::Command),
    Config(config::Command),
    Journal(journal::Arguments),
    #[command(flatten)]
    Oc(oc::Verb),
    Completions(completions::Command),
    Man(man::Command),
}

/// Runs the command that `arguments` (with the program's name first) ask for.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let words: Vec<_> = arguments.into_iter().collect();
    // No command: only podman is asked to run it, so it is in no help, manual page or completion.
    if words.get(1).is_some_and(|word| word == world::target::PROBE) {
        return probe();
    }
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(mut arguments) => {
            let called =
                words.first().map(std::path::Path::new).and_then(std::path::Path::file_stem);
            arguments.global.oc_compatible |= called.is_some_and(|name| name == "oc");
            arguments
        }
        Err(error) => {
            // Help and version are answers; everything else is wrong usage.
            let code = match error.use_stderr() {
                true if oc::is_verb(&words) => ExitCode::Error, // rule I112
                true => ExitCode::Usage,
                false => ExitCode::Done,
            };
            drop(error.print()); // nothing is left to tell a closed terminal
            return code;
        }
    };
    let choice = match arguments.global.color {
        ColorWhen::Auto => anstream::ColorChoice::Auto,
        ColorWhen::Always => anstream::ColorChoice::Always,
        ColorWhen::Never => anstream::ColorChoice::Never,
    };
    let mut out = output::Output::new(anstream::AutoStream::new(std::io::stdout(), choice));
    let mut err = output::Output::new(anstream::AutoStream::new(std::io::stderr(), choice));
    let mut context = Context { global: arguments.global, out: &mut out, err: &mut err };
    let result: anyhow::Result<ExitCode> = match arguments.command {
        Command::Run(command) => run::run(&command, &context),
        Command::Diff(command) => diff::run(&command, &mut context),
        Command::History(command) => history::run(&command, &mut context),
        Command::Release(command) => release::run(&command, &mut context),
        Command::NotifyPush(command) => notify_push::run(&command, &mut context),
        Command::Hooks(command) => hooks::run(&command, &mut context),
        Command::Webhook(command) => webhook::run(&command, &mut context),
        Command::Status(command) => status::run(&command, &mut context),
        Command::Auth(arguments) => auth::run(&arguments, &mut context),
        Command::Cost(command) => cost::run(&command, &mut context),
        Command::Journal(arguments) => journal::run(&arguments, &mut context),
        Command::Demo(command) => demo::run(&command, &mut context),
        Command::Config(command) => config::run(&command, &mut context),
        Command::Completions(command) => completions::run(&command, &mut context),
        Command::Man(command) => man::run(&command, &mut context),
        Command::Check(check) => check::run(&check, &mut context),
        Command::Oc(verb) => oc::run(&verb, &mut context),
    };
    result.unwrap_or_else(|error| {
        if out.is_gone() && error.is::<std::io::Error>() {
            return ExitCode::Done; // it ended because nobody reads on
        }
        drop(print_error(&mut err, &error)); // nothing is left to tell a closed terminal
        if error.is::<crate::config::ConfigError>() { ExitCode::Usage } else { ExitCode::Error }
    })
}

/// Asks a probe in the network of a pod, for the daemon that had podman start this.
fn probe() -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let wrote = match world::target::answer_probe() {
        Ok(answer) => writeln!(out, "{answer}").map(|()| ExitCode::Done),
        Err(why) => writeln!(err, "Error: {why}").map(|()| ExitCode::Usage),
    };
    wrote.unwrap_or(ExitCode::Error)
}

/// Prints an error with its causes, one line each.
fn print_error(err: &mut dyn Write, error: &anyhow::Error) -> std::io::Result<()> {
    writeln!(err, "error: {error}")?;
    for cause in error.chain().skip(1) {
        writeln!(err, "  caused by: {cause}")?;
    }
    Ok(())
}
