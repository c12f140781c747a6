//! `tidegate run`: the daemon.

use std::path::PathBuf;

use anyhow::ensure;

use crate::cli::{Context, ExitCode};
use crate::config::{Config, ConfigError, ListenAddress, LogSettings, Problem};
use crate::{config, daemon, telemetry, world};

/// Run the daemon: watch the repository, import tags, roll out what depends on them
///
/// Needs at least `source.repository` in its configuration. Runs in the foreground until SIGTERM or SIGINT and logs to
/// standard error; SIGHUP reads the configuration again. Under systemd it says when it is ready and how it goes
/// (Type=notify).
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    settings: config::DecidingArguments,
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
    if config.source.repository.is_empty() {
        let (key, origin) = ("source.repository".to_owned(), config::Origin::Default);
        let why =
            "is not set: write the path or the URL of the git repository that holds the manifests"
                .into();
        return Err(ConfigError::Invalid(vec![Problem { key, origin, why }]).into());
    }
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
    let fixed = Fixed::of(&config);
    let reload: daemon::Reload = Box::new(move || {
        let config = config::load(&flags)?;
        fixed.check(&config)?;
        Ok(config)
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(daemon::serve(config, lost_records, reload));
    // What actions started has ended; a look-up of a name may still run, and nobody waits for it.
    runtime.shutdown_background();
    ended.map(|()| ExitCode::Done)
}

/// The settings that a running daemon cannot change.
struct Fixed {
    state_dir: PathBuf,
    control_socket: PathBuf,
    listens_at: Option<ListenAddress>,
    log: LogSettings,
}

impl Fixed {
    fn of(config: &Config) -> Self {
        let Config { state_dir, control_socket, log, .. } = config.clone();
        let listens_at = config.listener.as_ref().map(|listener| listener.address.clone());
        Self { state_dir, control_socket, listens_at, log }
    }

    /// Refuses a configuration that could only be half taken.
    fn check(&self, new: &Config) -> anyhow::Result<()> {
        let listens_at = new.listener.as_ref().map(|listener| &listener.address);
        let changed = [
            ("listener.address", self.listens_at.as_ref() != listens_at),
            ("state_dir", self.state_dir != new.state_dir),
            ("control.socket", self.control_socket != new.control_socket),
            ("log.level", self.log.level != new.log.level),
            ("log.format", self.log.format != new.log.format),
        ];
        let keys: Vec<_> =
            changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect();
        ensure!(
            keys.is_empty(),
            "`{}` changed, which needs a restart of the daemon; restart it, or set it back and reload",
            keys.join("`, `")
        );
        Ok(())
    }
}
