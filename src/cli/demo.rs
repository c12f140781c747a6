//! `tidegate demo`: the main job, on a temporary repository and a registry in memory.
//!
//! Nothing is acted: the daemon is this program as `tidegate run`, and what is printed under a `$` line is what that
//! command printed. The story waits for records of the journal, never for time.

mod stage;
mod story;

use super::{Context, ExitCode};

/// See the main job in a minute: a temporary repository, a registry in memory, the real daemon
///
/// Needs the `git` program and nothing else. Every `$` line is a command that was really run, with what it printed
/// below. Everything happens in a temporary folder, which is removed at the end.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Keep the folder, to look around in afterwards
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let after = if command.keep { stage::After::Keep } else { stage::After::Remove };
    let mut stage = stage::Stage::set(after)?;
    story::tell(&mut stage, context.out)?;
    Ok(ExitCode::Done)
}
