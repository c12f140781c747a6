//! What a restart may forget: last checks, back-off, what waits. It costs an extra check, never a wrong action (law 3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::{Check, ImportFailure};
use crate::fact::{Reason, StoredManifest};
use crate::names::{Digest, Seq, StreamName, StreamTag};
use crate::reference::ImageReference;
use crate::time::{Monotonic, Now, Timestamp};

use super::quota::Ledger;

/// What a restart may forget.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Soft {
    /// When this process began to plan.
    pub began: Monotonic,
    /// When each stream was checked before this process began, as of the last checkpoint then: the oldest of the last
    /// checks of its scheduled tags, so that none is put off by another.
    ///
    /// A checkpoint of this process says nothing about tags of the stream that it did not check yet.
    pub checked: BTreeMap<StreamName, Timestamp>,
    /// The source.
    pub source: SourceSoft,
    /// Checks that were made, by what was asked.
    pub checks: BTreeMap<Arc<Check>, CheckSoft>,
    /// Listings of whole repositories that were made, by stream.
    pub listings: BTreeMap<StreamName, ListingSoft>,
    /// Copies of images for tags that follow other streams.
    pub copies: BTreeMap<StreamTag, CopySoft>,
    /// Manifests that the managed registry was told to delete.
    pub deletions: BTreeMap<StoredManifest, DeletionSoft>,
    /// Registries that asked to be left alone or give no answer, by host.
    pub registries: BTreeMap<String, RestSoft>,
    /// What was asked of registries that count it.
    pub ledger: Ledger,
    /// When each thing that is done at a certain rate would be behind it: GCRA's theoretical arrival time.
    pub rates: BTreeMap<Rate, Monotonic>,
    /// Rollouts and stops that are being delivered, by their record.
    pub deliveries: BTreeMap<Seq, DeliverySoft>,
}

impl Soft {
    /// Until when the registry of a reference is left alone. Who asks for it now is told what happens, where it only
    /// gives no answer.
    #[must_use]
    pub fn left_alone_until(&self, image: &ImageReference, is_asked_for: bool) -> Monotonic {
        let rest = self.registries.get(&image.registry_host());
        let rest = rest.filter(|rest| rest.asked || !is_asked_for);
        rest.map_or(Monotonic::START, |rest| rest.until)
    }

    /// Whether something is being copied into a repository.
    #[must_use]
    pub fn copies_into(&self, repository: &ImageReference) -> bool {
        let checks = self.checks.iter().filter(|(_, soft)| soft.in_flight).map(|(check, _)| check);
        let copies = self.copies.values().filter_map(|soft| soft.in_flight.as_ref());
        let mut into = checks.chain(copies).filter_map(|check| check.copy_to.as_deref());
        into.any(|other| other == repository)
    }
}

/// A registry that is left alone for a while.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RestSoft {
    /// Until when.
    pub until: Monotonic,
    /// Whether it asked for that; else it gives no answer.
    pub asked: bool,
    /// Checks in a row that got no answer.
    pub failures: u32,
}

/// Something that is done so often in a minute.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rate {
    /// Checks that schedules ask for.
    Scheduled,
    /// Checks of one registry, by host.
    Registry(String),
}

/// The source.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SourceSoft {
    /// When it was last read, successfully or not.
    pub read_at: Option<Monotonic>,
    /// The same by the wall clock, for people.
    pub read_at_wall: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Whether somebody asked to look now.
    pub nudged: bool,
    /// Whether it is being read.
    pub in_flight: bool,
    /// Whether what is being read was asked for by settings that are no longer in force.
    pub outdated: bool,
}

/// What this process tried of something that is asked again and again.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Attempts {
    /// When it was last asked, successfully or not.
    pub at: Option<Monotonic>,
    /// The same by the wall clock, for cron schedules.
    pub wall: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Whether the last failure may pass by itself.
    pub transient: bool,
}

impl Attempts {
    /// Takes in an answer.
    pub fn answered(&mut self, failure: Option<&ImportFailure>, now: Now) {
        (self.at, self.wall) = (Some(now.mono), Some(now.wall));
        match failure {
            None => self.failures = 0,
            Some(failure) => {
                self.failures = self.failures.saturating_add(1);
                self.transient = failure.transient;
            }
        }
    }
}

/// One check of a registry.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CheckSoft {
    /// What was tried.
    pub attempts: Attempts,
    /// When the registry last answered, by the wall clock: what it answered was current then.
    pub proven: Option<Timestamp>,
    /// Tags that somebody asked to look at now.
    pub nudged: BTreeSet<StreamTag>,
    /// Tags that the check in flight was nudged for.
    pub asking: BTreeSet<StreamTag>,
    /// Whether it is being made.
    pub in_flight: bool,
    /// What is still to be read, because the requests that a registry counts did not suffice.
    pub unread: Option<Unread>,
}

/// An image that was not read, because the requests that a registry counts did not suffice.
#[derive(Clone, PartialEq, Debug)]
pub struct Unread {
    /// Why the check was made.
    pub reason: Reason,
    /// The digest that the registry answered; none where it has to be read for that.
    pub probed: Option<Digest>,
    /// Since when, by the wall clock.
    pub since: Timestamp,
    /// How many requests to let it make next.
    pub requests: u64,
}

/// The listing of a whole repository.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ListingSoft {
    /// What was tried.
    pub attempts: Attempts,
    /// When the registry last listed it, by the wall clock.
    pub proven: Option<Timestamp>,
    /// Whether somebody asked to look now.
    pub nudged: bool,
    /// Whether it is being made.
    pub in_flight: bool,
}

/// The copy of an image for a tag that follows another stream.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CopySoft {
    /// What was tried.
    pub attempts: Attempts,
    /// Which image that was, and where to.
    pub fingerprint: u32,
    /// What is being read and copied.
    pub in_flight: Option<Arc<Check>>,
    /// How many requests to let it make next, where those that a registry counts did not suffice.
    pub wants: u64,
}

/// A manifest that is to be deleted.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DeletionSoft {
    /// What was tried.
    pub attempts: Attempts,
    /// Why it is still there.
    pub reason: String,
    /// Whether it is being deleted.
    pub in_flight: bool,
}

/// A rollout or a stop on its way to its target.
#[derive(Clone, PartialEq, Debug)]
pub struct DeliverySoft {
    /// When this process delivered it first.
    pub first: Monotonic,
    /// Deliveries in a row that did not get through.
    pub failures: u32,
    /// Why the last one did not; none once something got through.
    pub reason: Option<String>,
    /// Not to be delivered or asked about before this.
    pub not_before: Monotonic,
    /// Where to ask how it goes on; none where it has to be delivered.
    pub status_url: Option<String>,
    /// Whether it is being delivered or asked about.
    pub in_flight: bool,
    /// Whether the action in flight was told to end.
    pub cancelled: bool,
    /// Whether it ends a run of a `CronJob`.
    pub ends: bool,
}

impl DeliverySoft {
    /// One that begins now.
    #[must_use]
    pub fn begin(now: Monotonic) -> Self {
        Self {
            first: now,
            failures: 0,
            reason: None,
            not_before: now,
            status_url: None,
            in_flight: false,
            cancelled: false,
            ends: false,
        }
    }
}
