//! What only the running daemon knows, as data that the control socket carries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::Requests;
use crate::admit::Scarce;
use crate::effective;
use crate::engine::Known;
use crate::hook::deliveries::Delivery;
use crate::names::{Account, Digest, Namespace, ObjectKey, Seq};
use crate::observed::quota::Page;
use crate::observed::soft::{CheckSoft, Rate};
use crate::pods::{How, Looks};
use crate::policy::{RateLimit, limited_host};
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
    /// What registries were asked.
    #[serde(default)]
    pub quota: Vec<LiveQuota>,
    /// Rollouts and stops that it delivers.
    pub deliveries: Vec<LiveDelivery>,
    /// What does not run as it was rolled out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub astray: Vec<LiveAstray>,
    /// What was seen at each host.
    #[serde(default, skip_serializing_if = "Looks::is_empty")]
    pub looks: Looks,
    /// The last delivery by a webhook for each `BuildConfig` that had any, by `NAMESPACE/NAME` in `hook`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Delivery>,
    /// What hosts lack that does no harm now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A workload that does not run as it was rolled out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveAstray {
    /// The workload.
    pub object: ObjectKey,
    /// What is not as it should be.
    pub why: String,
    /// How bad that is.
    #[serde(default)]
    pub how: How,
}

/// One check of a registry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveCheck {
    /// What was looked up.
    pub image: String,
    /// The fingerprint of the whole check.
    pub asked: u32,
    /// Whose logins it is made with, where that namespace has any of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Namespace>,
    /// When it was last made, successfully or not.
    pub attempted: Option<Timestamp>,
    /// When the registry last answered.
    pub proven: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// When it is made again by itself.
    #[serde(default)]
    pub next: Option<Timestamp>,
    /// What it waits for though it is due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
    /// The image moved, and was not read yet, because the requests that the registry counts did not suffice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<LiveUnread>,
}

/// An image that was not read yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveUnread {
    /// Since when.
    pub since: Timestamp,
    /// What the registry says the tag is; none where it has to be read for that.
    pub digest: Option<Digest>,
}

/// What a registry was asked in the name of one account, and how much it may be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveQuota {
    /// The account: a host, or a user at it.
    pub account: Account,
    /// Since the daemon started.
    pub asked: Requests,
    /// The limit, by the settings or as the registry told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LiveLimit>,
}

/// How much of a limit is left.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveLimit {
    /// `100/6h`.
    pub limit: String,
    /// What checks leave for pulls.
    pub reserved: u64,
    /// Requests of Tidegate that count now.
    pub used: u64,
    /// What the registry told is left, and when.
    pub left: Option<u64>,
    /// When it told.
    pub told_at: Option<Timestamp>,
    /// When there will be more, as it told.
    pub resets_at: Option<Timestamp>,
}

/// A registry that asked to be left alone, or gives no answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LiveRegistry {
    /// Its host.
    pub host: String,
    /// Until when.
    pub until: Timestamp,
    /// Whether it asked for that; else it gives no answer.
    #[serde(default)]
    pub asked: bool,
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
        let Known { soft, due, waits, limits } = known;
        // What waits for its first answer was not asked yet.
        let new = CheckSoft::default();
        let first = waits.keys().filter(|check| !soft.checks.contains_key(*check));
        let checks = soft.checks.iter().chain(first.map(|check| (check, &new)));
        let checks = checks.map(|(check, soft)| LiveCheck {
            image: check.image.to_string(),
            asked: effective::fingerprint(check),
            namespace: check.namespace.clone(),
            attempted: soft.attempts.wall,
            proven: soft.proven,
            failures: soft.attempts.failures,
            next: waits
                .get(check)
                .map_or(due.get(check).copied(), |(_, until)| *until)
                .map(|at| now.wall_at(at)),
            waits: waits.get(check).map(|(scarce, _)| words(scarce)),
            unread: soft
                .unread
                .as_ref()
                .map(|unread| LiveUnread { since: unread.since, digest: unread.probed }),
        });
        let waiting = soft.registries.iter().filter(|(_, rest)| rest.until > now.mono);
        let registries = waiting.map(|(host, rest)| LiveRegistry {
            host: host.clone(),
            until: now.wall_at(rest.until),
            asked: rest.asked,
        });
        let quota = soft.ledger.pages().map(|(account, page)| LiveQuota {
            account: account.clone(),
            asked: page.asked,
            limit: limits.get(account).map(|limit| LiveLimit::of(limit, page, now)),
        });
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
            quota: quota.collect(),
            deliveries: deliveries.collect(),
            astray: Vec::new(), // nobody looked yet
            looks: Looks::new(),
            webhooks: Vec::new(), // the listener has them
            notes: Vec::new(),
        }
    }

    /// The last delivery by a webhook of a `BuildConfig` (complaint U16).
    #[must_use]
    pub fn last_webhook(&self, build: &ObjectKey) -> Option<&Delivery> {
        let name = format!("{}/{}", build.namespace, build.name);
        self.webhooks.iter().find(|last| last.hook.as_ref() == Some(&name))
    }
}

impl LiveLimit {
    fn of(limit: &RateLimit, page: &Page, now: Now) -> Self {
        let told = page.told();
        let resets_at = told.and_then(|told| Some(told.wall.after(told.told.resets?)));
        Self {
            limit: limit.to_string(),
            reserved: limit.reserved(),
            used: page.counted(now.mono),
            left: told.map(|told| told.told.remaining),
            told_at: told.map(|told| told.wall),
            resets_at,
        }
    }
}

/// What something waits for.
fn words(scarce: &Scarce) -> String {
    match scarce {
        Scarce::Quota(account) => {
            let host = limited_host(&account.host);
            format!("no request is left for checks of those that {host} counts")
        }
        Scarce::Rate(Rate::Scheduled) => {
            "its turn: `imports.scheduled_per_minute` are checked already".to_owned()
        }
        Scarce::Rate(Rate::Registry(host)) => {
            format!("its turn: `registries.\"{host}\".per_minute` are asked already")
        }
        Scarce::Registry(host) => format!("a place at {host}"),
        Scarce::Builds | Scarce::Rollouts => "a place".to_owned(),
    }
}
