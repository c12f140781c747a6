//! `tidegate adm`: what `oc` has below `adm` is a command of its own here, and accepted there as well.

use super::{build_chain, prune};
use crate::cli::{Context, ExitCode};

/// Commands that `oc` has below `adm`
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Prune(prune::Command),
    BuildChain(build_chain::Command),
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    match &command.verb {
        Verb::Prune(command) => prune::run(command, context),
        Verb::BuildChain(command) => build_chain::run(command, context),
    }
}
