//! When the tags of a whole repository are listed, and what follows from a listing (rules I40, I55 to I60, I194 to I196).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::action::{ImportFailure, TagListing};
use crate::desired::ImageStream;
use crate::effective::{self, Listed};
use crate::fact::{
    Fact, ImportFailed, ImportReason, LISTINGS_TO_VANISH, ListingFailed, TagsListed, VanishedTag,
};
use crate::names::{Generation, ObjectKey, StreamName, TagName};
use crate::observed::listing::{ListingState, Missing};
use crate::sabotage::{self, Bug};
use crate::time::{Monotonic, Schedule, Timestamp};

use super::pace::Pace;
use super::{Held, HeldReason, Plan, Step, View};

/// Plans the listing of a stream's repository.
pub(super) fn plan(view: &View<'_>, name: &StreamName) -> Plan {
    let Some(stream) = view.desired.streams.get(name) else { return Plan::default() };
    let Some(request) = effective::listing_of(stream, view.policy) else { return Plan::default() };
    let listing =
        Repository { view, stream, asked: effective::listing_fingerprint(stream, view.policy) };
    let Some(at) = listing.due() else { return Plan::default() };
    if stream.paused {
        let object = ObjectKey::stream(name);
        return Plan::held(Held {
            object,
            reason: HeldReason::Paused { waits: None },
            until: None,
        });
    }
    if view.soft.listings.get(name).is_some_and(|soft| soft.in_flight) {
        return Plan::default();
    }
    let is_asked_for = view.soft.listings.get(name).is_some_and(|soft| soft.nudged);
    match at.max(view.soft.left_alone_until(&request.repository, is_asked_for)) {
        at if at > view.now.mono => Plan::due(at),
        _ => Plan::step(Step::List { stream: name.clone(), request }),
    }
}

/// The repository of one stream.
struct Repository<'a> {
    view: &'a View<'a>,
    stream: &'a ImageStream,
    asked: u32,
}

impl Repository<'_> {
    fn known(&self) -> Option<&ListingState> {
        self.view.observed.streams.get(&self.stream.name)?.listing.as_deref()
    }

    fn due(&self) -> Option<Monotonic> {
        let soft = self.view.soft.listings.get(&self.stream.name);
        let now = self.view.now.mono;
        if soft.is_some_and(|soft| soft.nudged) {
            return Some(now);
        }
        // An attempt in this process that failed without a record is retried like one with a failure.
        let failures = soft.map_or(0, |soft| soft.attempts.failures);
        let failure = self.known().and_then(|known| known.failure.as_ref());
        let failed_so = failure.is_some_and(|failure| failure.asked == self.asked);
        let changed = self.known().is_none_or(|known| known.asked != self.asked);
        if changed && failures == 0 && !failed_so {
            return Some(now);
        }
        let pace = Pace {
            view: self.view,
            fingerprint: self.asked,
            attempts: soft.map(|soft| &soft.attempts),
            before: self.before(),
        };
        if changed || failure.is_some() {
            return Some(pace.retry_at(failures, self.interval()));
        }
        if !self.view.policy.scheduled_imports {
            return None;
        }
        pace.scheduled_at(self.stream.schedule.as_ref()?) // rule I59
    }

    fn interval(&self) -> Duration {
        match &self.stream.schedule {
            Some(Schedule::Every(span)) => span.0,
            Some(Schedule::Cron(_)) | None => self.view.policy.import_interval,
        }
    }

    /// When it was last listed before this process began, as far as that is known.
    fn before(&self) -> Option<Timestamp> {
        let checked = self.view.soft.checked.get(&self.stream.name).copied();
        let imported = self.view.observed.streams.get(&self.stream.name)?.imported;
        checked.or(imported)
    }
}

/// What an answer to a listing means for its stream; nothing if it says what is known (rule I65).
pub(crate) fn listed(
    view: &View<'_>,
    name: &StreamName,
    asked: u32,
    listing: &TagListing,
) -> Vec<Fact> {
    let Some(stream) = view.desired.streams.get(name) else { return Vec::new() };
    let unknown = ListingState::default();
    let state = view.observed.streams.get(name);
    let known = state.and_then(|state| state.listing.as_deref());
    let before = known.unwrap_or(&unknown);
    let new = Listed::of(stream, view.policy, listing);
    let mut tags = new.tags.clone();
    let mut vanished = Vec::new();
    for (tag, missing) in before.derived.iter().filter(|(tag, _)| !new.tags.contains(*tag)) {
        // Tags that git writes now are its own; a listing that is empty or cut short removes nothing (rule I196).
        if effective::is_own(stream, tag) {
            continue;
        }
        let has_tags = !listing.tags.is_empty() || sabotage::is(Bug::TrustEmptyListing);
        let told = listing.complete && has_tags;
        match (told, missing) {
            (false, None) => {
                tags.insert(tag.clone());
            }
            (false, Some(Missing { why, listings })) => {
                vanished.push(VanishedTag { tag: tag.clone(), why: *why, listings: *listings });
            }
            (true, missing) => {
                let listings = missing.map_or(0, |missing| missing.listings);
                let listings = (listings + 1).min(LISTINGS_TO_VANISH);
                let why = new.why_not(tag);
                vanished.push(VanishedTag { tag: tag.clone(), why, listings });
            }
        }
    }
    let generation = state.map_or(Generation(0), |state| state.generation).next();
    let listed = TagsListed {
        stream: name.clone(),
        generation,
        asked,
        tags: tags.into_iter().collect(),
        vanished,
        left_out: new.left_out,
    };
    if known.is_some_and(|known| says_what_is_known(known, &listed)) {
        return Vec::new();
    }
    let conditions = conditions(view, stream, before, &listed);
    [vec![Fact::TagsListed(Box::new(listed))], conditions].concat()
}

fn says_what_is_known(known: &ListingState, listed: &TagsListed) -> bool {
    let derived = listed.tags.iter().map(|tag| (tag, None)).chain(
        listed
            .vanished
            .iter()
            .map(|v| (&v.tag, Some(Missing { why: v.why, listings: v.listings }))),
    );
    let derived: BTreeMap<&TagName, Option<Missing>> = derived.collect();
    known.failure.is_none()
        && known.asked == listed.asked
        && known.left_out == listed.left_out
        && known.derived.len() == derived.len()
        && known.derived.iter().all(|(tag, missing)| derived.get(tag) == Some(missing))
}

/// The conditions of tags that this listing lacks for the first time, or for another reason (rules I76, I196).
fn conditions(
    view: &View<'_>,
    stream: &ImageStream,
    before: &ListingState,
    listed: &TagsListed,
) -> Vec<Fact> {
    let limit = effective::limit_of(stream, view.policy).tags();
    let is_new = |gone: &&VanishedTag| {
        before.derived.get(&gone.tag).copied().flatten().is_none_or(|known| known.why != gone.why)
    };
    let failed = |gone: &VanishedTag| {
        Fact::ImportFailed(ImportFailed {
            tag: stream.name.tag(gone.tag.clone()),
            generation: listed.generation,
            reason: ImportReason::NotFound,
            message: effective::vanished_message(stream, &gone.tag, gone.why, limit),
        })
    };
    listed.vanished.iter().filter(is_new).map(failed).collect()
}

/// What a failed listing means for its stream; nothing if it is known (rules I60, I70).
pub(crate) fn failed(
    view: &View<'_>,
    name: &StreamName,
    asked: u32,
    failure: &ImportFailure,
) -> Option<Fact> {
    let known = view.observed.streams.get(name).and_then(|state| state.listing.as_ref());
    let same = known.and_then(|known| known.failure.as_ref()).is_some_and(|known| {
        known.asked == asked && known.reason == failure.reason && known.message == failure.message
    });
    if same {
        return None;
    }
    let (reason, message) = (failure.reason, failure.message.clone());
    Some(Fact::ListingFailed(ListingFailed { stream: name.clone(), asked, reason, message }))
}

/// The derived tags of a stream that may be removed once nothing uses them (rule I196).
pub(super) fn removable(view: &View<'_>, name: &StreamName) -> BTreeSet<TagName> {
    let prunes = view.desired.streams.get(name).is_some_and(|stream| stream.prune_vanished_tags);
    let state = view.observed.streams.get(name).filter(|_| prunes);
    let derived = state.and_then(|state| state.listing.as_ref()).map(|listing| &listing.derived);
    let is_gone = |missing: &Option<Missing>| {
        missing.is_some_and(|missing| missing.listings >= LISTINGS_TO_VANISH)
    };
    let gone = derived.into_iter().flatten().filter(|(_, missing)| is_gone(missing));
    gone.map(|(tag, _)| tag.clone()).collect()
}
