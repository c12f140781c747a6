//! Signals become events: SIGTERM and SIGINT end the daemon, SIGHUP has it read its configuration again.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{Event, Events};
use crate::action::Input;

/// The signals that a daemon obeys.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Turns signals into events.
    pub(super) async fn forward(mut self, events: Events) {
        loop {
            let event = tokio::select! {
                _ = self.term.recv() => Event::Input(Input::Stop),
                _ = self.int.recv() => Event::Input(Input::Stop),
                _ = self.hup.recv() => Event::Reload,
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
    }
}
