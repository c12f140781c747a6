//! Notices when files of logins change, so that what registries refused is asked again at once (rule I170).
//!
//! They are looked at from time to time, not watched: they may be links, be replaced, or stand in folders that are not
//! there yet. What changed only says "look again" (law 5), and which namespaces have logins of their own.

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::action::{Input, Nudge};
use crate::limits;
use crate::world::registry::{Owners, Registries};

use super::{Daemon, Event, Events};

/// What was seen of the files of logins.
#[derive(Debug)]
pub struct Seen {
    /// Who has logins of their own.
    owners: Owners,
    /// Whether anything changed since the look before.
    changed: bool,
}

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Look(JoinHandle<()>);

impl Drop for Look {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Look {
    /// Begins to look; what is there now is no change.
    pub(super) fn start(registries: &Registries, events: Events) -> Self {
        let first = tokio::task::block_in_place(|| registries.login_stamp());
        let registries = registries.clone();
        Self(tokio::spawn(async move {
            let mut tick = tokio::time::interval(limits::LOGINS_LOOK);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut last = first;
            let mut is_first = true;
            loop {
                tick.tick().await;
                let look = registries.clone();
                // What changes while the Secrets are read is another stamp, and seen by the next look.
                let looked = tokio::task::spawn_blocking(move || look.login_stamp()).await;
                let Ok(stamp) = looked else { return };
                let changed = stamp != last;
                if !changed && !std::mem::take(&mut is_first) {
                    continue;
                }
                last = stamp;
                let look = registries.clone();
                let Ok(owners) = tokio::task::spawn_blocking(move || look.owners()).await else {
                    return;
                };
                if events.send(Event::Logins(Seen { owners, changed })).await.is_err() {
                    return;
                }
            }
        }))
    }
}

impl Daemon {
    /// Begins to look at the files of logins of the settings in use.
    pub(super) fn look_at_logins(&mut self) {
        self.logins = Some(Look::start(&self.world.registries, self.events.clone()));
    }

    /// Takes in what was seen.
    pub(super) fn logins_seen(&mut self, seen: Seen, inputs: &mut Vec<Input>) {
        let Seen { owners, changed } = seen;
        for problem in &owners.problems {
            tracing::warn!("{problem}");
        }
        let known = &self.engine.policy().login_namespaces;
        let mut namespaces = owners.namespaces;
        if !owners.problems.is_empty() {
            // What cannot be read now may be what somebody had: they are told of it where it is wanted (law 7).
            namespaces.extend(known.iter().cloned());
        }
        if namespaces != *known {
            let mut policy = self.engine.policy().clone();
            policy.login_namespaces = namespaces;
            self.engine.set_policy(policy);
        }
        if changed {
            tracing::info!("logins for registries changed; what was refused is asked again");
            inputs.push(Input::Nudged(Nudge::Logins));
        }
    }
}
