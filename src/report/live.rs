//! What only the running daemon knows, as data that the control socket carries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::effective;
use crate::engine::Known;
use crate::names::Seq;
use crate::time::{Now, Timestamp};

/// What only the running daemon knows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// When it answered.
    pub answered_at: Timestamp,
    /// When it last read the source, successfully or not.
    pub source_read_at: Option<Timestamp>,
    /// Failures of the source in a row.
    pub source_failures: u32,
    /// Checks of registries that it made.
    pub checks: Vec<LiveCheck>,
    /// Registries that asked to be left alone.
    pub registries: Vec<LiveRegistry>,
    /// Rollouts and stops that it delivers.
    pub deliveries: Vec<LiveDelivery>,
}

/// One check of a registry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveCheck {
    /// What was looked up.
    pub image: String,
    /// The fingerprint of the whole check.
    pub asked: u32,
    /// When it was last made, successfully or not.
    pub attempted: Option<Timestamp>,
    /// When the registry last answered.
    pub proven: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// When it is made again by itself.
    #[serde(default)]
    pub next: Option<Timestamp>,
}

/// A registry that asked to be left alone.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRegistry {
    /// Its host.
    pub host: String,
    /// Until when.
    pub until: Timestamp,
}

/// A rollout or a stop on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveDelivery {
    /// The record that started it.
    pub record: Seq,
    /// Deliveries in a row that did not get through.
    pub failures: u32,
    /// Why the last one did not.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whether the target has accepted it, and only asking how it goes on does not get through.
    #[serde(default)]
    pub accepted: bool,
    /// When it is delivered or asked about again.
    pub next: Option<Timestamp>,
}

impl Live {
    /// Turns what the daemon knows into data; times of its monotonic clock become wall times.
    #[must_use]
    pub fn of(known: &Known, now: Now) -> Self {
        let Known { soft, due } = known;
        let checks = soft.checks.iter().map(|(check, soft)| LiveCheck {
            image: check.image.to_string(),
            asked: effective::fingerprint(check),
            attempted: soft.attempts.wall,
            proven: soft.proven,
            failures: soft.attempts.failures,
            next: due.get(check).map(|at| now.wall_at(*at)),
        });
        let waiting = soft.registries.iter().filter(|(_, until)| **until > now.mono);
        let registries = waiting
            .map(|(host, until)| LiveRegistry { host: host.clone(), until: now.wall_at(*until) });
        let deliveries = soft.deliveries.iter().map(|(record, delivery)| LiveDelivery {
            record: *record,
            failures: delivery.failures,
            reason: delivery.reason.clone(),
            accepted: delivery.status_url.is_some(),
            next: (!delivery.in_flight && delivery.not_before.since(now.mono) > Duration::ZERO)
                .then(|| now.wall_at(delivery.not_before)),
        });
        Self {
            answered_at: now.wall,
            source_read_at: soft.source.read_at_wall,
            source_failures: soft.source.failures,
            checks: checks.collect(),
            registries: registries.collect(),
            deliveries: deliveries.collect(),
        }
    }
}
