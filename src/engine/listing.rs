//! What a listing of a whole repository brings (section 3.3).

use crate::action::{ImportFailure, ListRequest, TagListing};
use crate::effective;
use crate::fact::Fact;
use crate::names::StreamName;
use crate::observed::soft::ListingSoft;
use crate::plan::{self, Key};
use crate::time::Now;

use super::{Batch, Engine};

impl Engine {
    pub(super) fn listed(
        &mut self,
        stream: &StreamName,
        asked: u32,
        request: &ListRequest,
        result: &Result<TagListing, ImportFailure>,
        now: Now,
        batch: &mut Batch,
    ) {
        self.dirty.insert(Key::Listing(stream.clone()));
        let soft = self.soft.listings.entry(stream.clone()).or_default();
        soft.in_flight = false;
        soft.attempts.answered(result.as_ref().err(), now);
        if result.is_ok() {
            soft.proven = Some(now.wall);
        }
        self.note_answer(&request.repository, result.as_ref().err(), now);
        let spec = self.desired.streams.get(stream);
        let wanted = spec.map(|spec| effective::listing_fingerprint(spec, &self.policy));
        if wanted != Some(asked) {
            // The answer is to another question: the spec changed meanwhile, and what it asks now is due (rule I78).
            match spec.is_some_and(|spec| spec.repository.is_some()) {
                true => self.soft.listings.insert(stream.clone(), ListingSoft::default()),
                false => self.soft.listings.remove(stream),
            };
            return;
        }
        self.checked.insert(stream.clone(), now.wall);
        let facts = match result {
            Ok(listing) => plan::listing::listed(&self.view(now), stream, asked, listing),
            Err(failure) => {
                plan::listing::failed(&self.view(now), stream, asked, failure).into_iter().collect()
            }
        };
        for fact in facts {
            self.record(fact, now, batch);
        }
    }

    /// Marks what a listing, or a tag that goes, changes.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`mark_dependents` hands over only these")]
    pub(super) fn mark_listing(&mut self, fact: &Fact) {
        match fact {
            Fact::TagsListed(listed) => {
                self.take_overlays(&listed.stream);
                self.dirty.insert(Key::Listing(listed.stream.clone()));
                self.mark_left();
            }
            Fact::ListingFailed(failed) => {
                self.dirty.insert(Key::Listing(failed.stream.clone()));
            }
            Fact::TagRemoved(removed) => {
                let followers = self.index.tag_followers.get(&removed.tag);
                self.dirty.extend(followers.into_iter().flatten().cloned());
                let stream = self.index.stream_followers.get(&removed.tag.stream);
                self.dirty.extend(stream.into_iter().flatten().cloned());
                self.take_overlays(&removed.tag.stream);
                self.mark_histories_of(&removed.tag.stream);
            }
            _ => {}
        }
    }
}
