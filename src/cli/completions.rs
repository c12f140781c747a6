//! `tidegate completions`: what a shell needs to complete our commands.

use clap::CommandFactory as _;

use super::{Arguments, Context, ExitCode};

/// Print what a shell needs to complete commands and flags
///
/// For bash: `tidegate completions bash > ~/.local/share/bash-completion/completions/tidegate`; for zsh into a file
/// `_tidegate` in a folder of `$fpath`; for fish into `~/.config/fish/completions/tidegate.fish`.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// The shell
    shell: clap_complete::Shell,
}

/// Runs the command.
pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(command.shell, &mut Arguments::command(), "tidegate", &mut script);
    context.out.write_all(&script)?;
    Ok(ExitCode::Done)
}
