//! Where no systemd runs podman's health checks, the daemon does, at the period of each liveness probe (rule R5).

use std::collections::BTreeMap;
use std::path::Path;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::world::target::{Check, Expected, Targets};

use super::looking;

/// What systemd makes when it is what runs a machine.
const SYSTEMD: &str = "/run/systemd/system";

/// The health checks that are asked for now.
pub(super) struct Checks(watch::Sender<Vec<Expected>>);

impl Checks {
    /// None where podman's timers run, or no podman does.
    pub(super) fn start(targets: &Targets) -> Option<Self> {
        if Path::new(SYSTEMD).exists() || !targets.have_podman() {
            return None;
        }
        let (send, receive) = watch::channel(Vec::new());
        tokio::spawn(keep(targets.clone(), receive));
        Some(Self(send))
    }

    /// Goes on with what runs now. What is being rolled out is asked by its rollout.
    pub(super) fn go_on(&self, engine: &Engine) {
        let expected = looking::expected(engine);
        self.0.send_if_modified(|known| {
            let is_other = *known != expected;
            *known = expected;
            is_other
        });
    }
}

/// Keeps one task for each check, until the daemon ends.
async fn keep(targets: Targets, mut expected: watch::Receiver<Vec<Expected>>) {
    let mut asked: BTreeMap<Check, CancellationToken> = BTreeMap::new();
    loop {
        let now = expected.borrow_and_update().clone();
        let checks = targets.checks(&now).await;
        asked.retain(|check, until| {
            let stays = checks.contains(check);
            if !stays {
                until.cancel();
            }
            stays
        });
        for check in checks {
            asked.entry(check).or_insert_with_key(|check| {
                let until = CancellationToken::new();
                tokio::spawn(again(targets.clone(), check.clone(), until.clone()));
                until
            });
        }
        if expected.changed().await.is_err() {
            asked.values().for_each(CancellationToken::cancel);
            return;
        }
    }
}

async fn again(targets: Targets, check: Check, until: CancellationToken) {
    loop {
        let due = Instant::now() + check.period;
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = until.cancelled() => return,
        }
        targets.check(&check, &until).await;
    }
}
