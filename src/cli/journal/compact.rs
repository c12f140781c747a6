//! `tidegate journal compact`: snapshot, retention and collection now, by the daemon or in its place.

use anyhow::Context as _;
use clap::Args;

use crate::cli::{Context, ExitCode, ask, offline};
use crate::config;
use crate::control::{Question, Reply};
use crate::daemon;
use crate::time::Timestamp;
use crate::world::git::Source;

#[derive(Debug, Args)]
pub(in crate::cli) struct Compact {
    #[command(flatten)]
    settings: config::SettingArguments,
}

pub(in crate::cli) fn run(
    arguments: &Compact,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&arguments.settings, context)?;
    let done = match ask::ask_long(&config.control_socket, &Question::Compact)? {
        Some(Reply::Nothing(words)) => words,
        Some(Reply::Refused(why)) => anyhow::bail!("{why}"),
        Some(
            Reply::Done(_)
            | Reply::Status(_)
            | Reply::Pruned(_)
            | Reply::Ordered(_)
            | Reply::Started(_)
            | Reply::Cancelled(_)
            | Reply::Uploaded(_)
            | Reply::Looking(_)
            | Reply::Hooks(_),
        ) => {
            anyhow::bail!(ask::SOMETHING_ELSE)
        }
        None => {
            let state_dir = &config.state_dir;
            anyhow::ensure!(
                offline::has_journal(state_dir)?,
                "there is no journal in `{}` (state_dir)",
                state_dir.display()
            );
            let source = match config.source.repository.as_str() {
                "" => None,
                _ => Some(Source::open(config.source.source(), state_dir)?),
            };
            let now = Timestamp::from_jiff(jiff::Timestamp::now());
            daemon::compact_by_hand(state_dir, source.as_ref(), config.retention, now)
                .with_context(|| format!("cannot compact `{}`", state_dir.display()))?
                .words()
        }
    };
    writeln!(context.out, "{done}")?;
    Ok(ExitCode::Done)
}
