//! The places of an image, one after the other, until one has it (rules I175 to I177).
//!
//! The first success wins. What failed before it is not told; where all fail, each place is named with what happened
//! there. A name that is looked for in several registries goes on to the next one only where the one before does not
//! have it: a registry that is down must not make another image of the name (law 7).

use std::sync::Arc;

use reqwest::StatusCode;

use super::failure::Failures;
use super::host::{Host, Rest};
use super::places::Role;
use super::tally::Tally;
use super::{Import, Registries};
use crate::action::ImportFailure;
use crate::fact::ImportReason;
use crate::names::Namespace;
use crate::reference::ImageReference;

/// The places of an image, by every name that it may have.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) spots: Vec<Spot>,
    /// Sources that are blocked, with what is said of them.
    pub(super) blocked: Vec<(String, ImportFailure)>,
    /// On whose behalf they are asked.
    pub(super) who: Who,
}

/// What a stream says of how its images are asked for.
#[derive(Clone, Default)]
pub(super) struct Who {
    /// Whether the image's own registry may be reached by plain HTTP or with an unverified certificate.
    pub(super) insecure: bool,
    /// Whose own logins are used, before those that all have.
    pub(super) namespace: Option<Namespace>,
}

/// One place.
pub(super) struct Spot {
    /// The image by the name that leads here.
    pub(super) image: Arc<ImageReference>,
    pub(super) host: Arc<Host>,
    pub(super) repository: String,
    pub(super) role: Role,
}

impl Spot {
    pub(super) fn failures(&self) -> Failures<'_> {
        Failures { image: &self.image, host: &self.host.name }
    }

    fn has_name_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.image, &other.image)
    }

    /// Why a mirror is passed over for now.
    fn rest(&self) -> Option<ImportFailure> {
        let (left, rest) = self.host.rest().filter(|_| self.role == Role::Mirror)?;
        Some(match rest {
            Rest::Gone(fault) => self.failures().of_fault(&fault),
            Rest::Limited => self.failures().limited(StatusCode::TOO_MANY_REQUESTS, Some(left)),
        })
    }
}

/// What was tried so far.
pub(super) struct Tried<'s> {
    registries: &'s Registries,
    sources: &'s Sources,
    /// Where requests are counted.
    tally: Option<&'s Tally>,
    /// How many places were asked or passed over.
    count: usize,
    failures: Vec<(&'s Spot, ImportFailure)>,
}

impl<'s> Tried<'s> {
    pub(super) fn none(
        registries: &'s Registries,
        sources: &'s Sources,
        tally: Option<&'s Tally>,
    ) -> Self {
        Self { registries, sources, tally, count: 0, failures: Vec::new() }
    }

    /// The place that is asked now; none when all failed.
    pub(super) fn another(&mut self) -> Option<Import<'s>> {
        // What was not allowed to be asked here is not asked elsewhere.
        if self.tally.is_some_and(Tally::is_short) {
            return None;
        }
        loop {
            let spot = self.sources.spots.get(self.count)?;
            let of_before = |(before, _): &&(&Spot, ImportFailure)| !before.has_name_of(spot);
            let is_missing = |failure: &ImportFailure| {
                failure.reason == ImportReason::NotFound && !failure.transient
            };
            if self.failures.iter().filter(of_before).any(|(_, failure)| !is_missing(failure)) {
                return None;
            }
            self.count += 1;
            let after = self.sources.spots.get(self.count);
            let goes_on = after.is_some_and(|after| after.has_name_of(spot));
            // The last place is always asked: when, is then for the core to say.
            if goes_on && let Some(failure) = spot.rest() {
                self.failures.push((spot, failure));
                continue;
            }
            return Some(Import {
                registries: self.registries,
                host: &spot.host,
                repository: &spot.repository,
                failures: spot.failures(),
                goes_on,
                insecure: self.sources.who.insecure,
                namespace: self.sources.who.namespace.as_ref(),
                tally: self.tally,
            });
        }
    }

    /// Notes that the place that was asked last failed.
    pub(super) fn failed(&mut self, failure: ImportFailure) {
        let spot = self.count.checked_sub(1).and_then(|at| self.sources.spots.get(at));
        if let Some(spot) = spot.filter(|spot| spot.role == Role::Mirror) {
            let (mirror, error) = (&spot.host.name, &failure.message);
            match spot.host.rest() {
                Some(_) => tracing::warn!(mirror, error, "a mirror is left alone for a while"),
                None => tracing::debug!(mirror, error, "a mirror has no answer; the next is asked"),
            }
        }
        self.failures.extend(spot.map(|spot| (spot, failure)));
    }

    /// Whether another place of the same name is asked next.
    pub(super) fn goes_on(&self) -> bool {
        let at = |at: usize| self.sources.spots.get(at);
        let now = self.count.checked_sub(1).and_then(at);
        now.zip(at(self.count)).is_some_and(|(now, after)| now.has_name_of(after))
    }

    /// What failed, of every place; a single one as it is.
    pub(super) fn failure(self) -> ImportFailure {
        let places = self.failures.iter().map(|(spot, failure)| {
            (format!("{}/{}", spot.host.name, spot.repository), failure.clone())
        });
        let all: Vec<_> = places.chain(self.sources.blocked.iter().cloned()).collect();
        let asked = self.failures.last().map(|(_, failure)| failure);
        let last = asked.or(all.last().map(|(_, failure)| failure)).cloned();
        let last = last.unwrap_or_else(|| ImportFailure {
            reason: ImportReason::InternalError,
            message: "there is no place to ask".into(),
            transient: false,
            retry_after: None,
        });
        // A failure that has nothing to do with where the image is, is told once.
        if all.iter().all(|(_, failure)| failure.message == last.message) {
            return last;
        }
        let transient = all.iter().filter(|(_, failure)| failure.transient);
        let waits = transient.clone().map(|(_, failure)| failure.retry_after);
        let told: Vec<_> =
            all.iter().map(|(place, failure)| format!("{place}: {}", failure.message)).collect();
        ImportFailure {
            reason: last.reason,
            message: format!("[{}]", told.join(", ")),
            // It may pass as soon as one of them may.
            retry_after: waits.min().flatten(),
            transient: transient.count() > 0,
        }
    }
}
