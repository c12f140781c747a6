//! `tidegate run`: the daemon.

use crate::cli::{Context, ExitCode};
use crate::{config, daemon, telemetry, world};

/// Run the daemon: watch the repository, import tags, roll out what depends on them
///
/// Needs at least `source.repository` in its configuration. Runs in the foreground until SIGTERM or SIGINT and logs to
/// standard error; SIGHUP reads the configuration again. Under systemd it says when it is ready and how it goes
/// (Type=notify).
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    settings: config::SettingArguments,
    /// Go on though the journal is an older copy, or a new one in the place of a lost one
    ///
    /// Record numbers are given again then, and with them the idempotency keys of rollouts. From this start on every
    /// key carries a mark, so that a receiver does not take a new rollout for one that it remembers. For one start.
    #[arg(long)]
    accept_lost_records: bool,
}

pub(super) fn run(command: &Command, context: &Context<'_>) -> anyhow::Result<ExitCode> {
    let flags = command.settings.flags(context.global.config.clone());
    let config = config::load(&flags)?;
    telemetry::init(&config.log, &config::Environment::of_process());
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    world::tls::init();
    let lost_records = if command.accept_lost_records {
        daemon::LostRecords::Accept
    } else {
        daemon::LostRecords::Refuse
    };
    let reload: daemon::Reload = Box::new(move || Ok(config::load(&flags)?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(daemon::serve(config, lost_records, reload));
    // What still runs is left to its own end or to the next start; nobody waits for it.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::Done)
}
