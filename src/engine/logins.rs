//! Logins changed: what registries refused is asked again at once (rule I170).

use std::sync::Arc;

use crate::action::Check;
use crate::fact::ImportReason;
use crate::names::{StreamName, StreamTag};
use crate::observed::soft::Attempts;
use crate::plan::{self, Key};
use crate::time::Now;

use super::Engine;

impl Engine {
    /// Makes due what was refused, and what is being asked: that may be refused for a login that is there by now.
    pub(super) fn logins_changed(&mut self, now: Now) {
        for (check, tags) in self.refused_checks(now) {
            self.soft.checks.entry(check.clone()).or_default().nudged.extend(tags);
            self.dirty.insert(Key::Check(check));
        }
        for stream in self.refused_listings() {
            self.soft.listings.entry(stream.clone()).or_default().nudged = true;
            self.dirty.insert(Key::Listing(stream));
        }
        let refused = |tag: &StreamTag| is_refused(self, tag);
        let copies: Vec<_> = self.soft.copies.keys().filter(|tag| refused(tag)).cloned().collect();
        for tag in copies {
            if let Some(soft) = self.soft.copies.get_mut(&tag) {
                soft.attempts = Attempts::default();
            }
            self.dirty.insert(Key::Tag(tag));
        }
    }

    fn refused_checks(&self, now: Now) -> Vec<(Arc<Check>, Vec<StreamTag>)> {
        let view = self.view(now);
        let checks = self.index.checks.iter().map(|(check, tags)| {
            let in_flight = self.soft.checks.get(check).is_some_and(|soft| soft.in_flight);
            let tags = match in_flight {
                true => plan::import::asking(&view, check),
                false => tags.into_iter().filter(|tag| is_refused(self, tag)).cloned().collect(),
            };
            (check.clone(), tags)
        });
        checks.filter(|(_, tags)| !tags.is_empty()).collect()
    }

    fn refused_listings(&self) -> Vec<StreamName> {
        let streams = self.desired.streams.values().filter(|stream| stream.repository.is_some());
        let is_refused = |stream: &&StreamName| {
            let known = self.observed.streams.get(*stream).and_then(|state| state.listing.as_ref());
            let failure = known.and_then(|listing| listing.failure.as_ref());
            failure.is_some_and(|failure| failure.reason == ImportReason::Unauthorized)
                || self.soft.listings.get(*stream).is_some_and(|soft| soft.in_flight)
        };
        streams.map(|stream| &stream.name).filter(is_refused).cloned().collect()
    }
}

/// Whether a registry refused what the tag asks.
fn is_refused(engine: &Engine, tag: &StreamTag) -> bool {
    let condition = engine.observed.tag(tag).and_then(|state| state.condition.as_ref());
    condition.is_some_and(|condition| condition.reason == ImportReason::Unauthorized)
}
