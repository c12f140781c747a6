//! One import where no daemon runs.

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::{Daemon, Event, LostRecords, open};
use crate::action::{ImportOrder, Input, Request};
use crate::config::Config;
use crate::control::Reply;

/// Imports what is ordered where no daemon runs: reads the source, asks the registries, and writes what came of it. Nothing
/// is rolled out; that waits for the next start.
///
/// # Errors
/// When the journal cannot be opened, as by a daemon that runs, or cannot be written.
pub async fn import_once(mut config: Config, order: ImportOrder) -> anyhow::Result<Reply> {
    config.policy.rollouts_in_flight_max = 0;
    config.policy.builds_in_flight_max = 0;
    let only = Some(order.stream.clone());
    let opened = tokio::task::spawn_blocking(move || open(&config, LostRecords::Refuse)).await??;
    let reload = || anyhow::bail!("a single import does not read its configuration again");
    let daemon = Daemon { only, ..Daemon::new(opened, Box::new(reload)) };
    let (events, (answer, mut answered)) = (daemon.events(), oneshot::channel());
    let by = format!("uid {}", rustix::process::getuid().as_raw());
    let asked = Event::Asked((by, Request::Import(order), answer));
    events.send(asked).await.context("the import ended before it began")?;
    let mut running = std::pin::pin!(daemon.run());
    let reply = tokio::select! {
        reply = &mut answered => reply.context("the import ended without an answer")?,
        ended = &mut running => {
            ended?;
            anyhow::bail!("the import ended without an answer");
        }
    };
    drop(events.send(Event::Input(Input::Stop)).await); // its loop may have ended
    running.await?;
    Ok(reply)
}
