//! Imports that somebody waits for: asked at once, answered when every tag has its answer (rule I146).

use crate::action::{ImportOrder, Nudge};
use crate::admit::Scarce;
use crate::desired::{ImageStream, TagSource};
use crate::effective;
use crate::names::{CommitId, StreamTag};
use crate::observed::soft::CheckSoft;
use crate::observed::tag_history::TagState;
use crate::plan::Key;
use crate::policy::limited_host;
use crate::time::Now;

use super::{Answer, Batch, Engine};

/// An order that is not answered yet.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Waiting {
    /// The request that is answered.
    id: u64,
    order: ImportOrder,
    /// Whether the tags were asked for: not before the commit that they stand in is adopted.
    begun: bool,
}

impl Engine {
    /// Takes an order; it is answered when it is done, or cannot be.
    pub(super) fn order_import(&mut self, id: u64, order: ImportOrder) {
        if let Some(commit) = order.commit
            && !self.has_adopted(commit)
        {
            self.soft.source.nudged = true;
            self.dirty.insert(Key::Source);
        }
        self.waiting.push(Waiting { id, order, begun: false });
    }

    fn has_adopted(&self, commit: CommitId) -> bool {
        self.observed.adopted.as_ref().is_some_and(|adopted| adopted.commit == commit)
    }

    /// Begins what can begin, before this step's plans.
    pub(super) fn begin_orders(&mut self, now: Now, batch: &mut Batch) {
        for mut waiting in std::mem::take(&mut self.waiting) {
            if !waiting.begun {
                match self.may_begin(&waiting.order) {
                    Ok(false) => {}
                    Ok(true) => {
                        waiting.begun = true;
                        self.nudge_all(&waiting.order, now, batch);
                    }
                    Err(why) => {
                        batch.answers.push((waiting.id, Answer::Refused(why)));
                        continue;
                    }
                }
            }
            self.waiting.push(waiting);
        }
    }

    /// Whether the commit of an order is in force; an error if it will not be by itself.
    fn may_begin(&self, order: &ImportOrder) -> Result<bool, String> {
        if let Some(commit) = order.commit
            && !self.has_adopted(commit)
        {
            let source = &self.soft.source;
            if source.nudged || source.in_flight {
                return Ok(false);
            }
            let branch = self.observed.adopted.as_ref().map(|adopted| adopted.branch.as_str());
            let branch = branch.unwrap_or("the branch");
            return Err(match (&self.observed.refused, &self.observed.source_failure) {
                (Some(refused), _) if refused.commit == commit => {
                    format!("the commit {} was refused: {}", commit.short(), refused.reason)
                }
                (_, Some(failure)) => format!("the source cannot be read: {}", failure.message),
                (Some(_) | None, None) => format!(
                    "the commit {} is not the head of {branch} where the daemon reads it; push it there",
                    commit.short()
                ),
            });
        }
        let stream = self.desired.streams.get(&order.stream);
        match stream {
            None => Err(format!("there is no image stream {} in git", order.stream)),
            Some(stream) if stream.paused => Err(format!("{} is paused", order.stream)),
            Some(stream) => self.may_import(stream, order).map(|()| true),
        }
    }

    /// Whether the registries of an order are allowed. What a stream has of others stays, and is checked by its
    /// schedule; asking for it anew is not (rule I174).
    fn may_import(&self, stream: &ImageStream, order: &ImportOrder) -> Result<(), String> {
        let allowed = &self.policy.allowed_registries;
        let whole = stream.repository.as_ref().filter(|_| order.repository);
        whole.map_or(Ok(()), |image| allowed.admit_import(image, stream.is_insecure()))?;
        order.tags.iter().filter_map(|tag| stream.tags.get(tag)).try_for_each(|tag| {
            let Some(TagSource::Registry(image)) = &tag.from else { return Ok(()) };
            allowed.admit_import(image, tag.insecure || stream.is_insecure())
        })
    }

    fn nudge_all(&mut self, order: &ImportOrder, now: Now, batch: &mut Batch) {
        if order.repository {
            let nudge = Nudge::Repository(order.stream.clone());
            self.absorb(crate::action::Input::Nudged(nudge), now, batch);
        }
        for tag in &order.tags {
            let nudge = Nudge::Tag(order.stream.tag(tag.clone()));
            self.absorb(crate::action::Input::Nudged(nudge), now, batch);
        }
    }

    /// Answers the orders that are done, after this step's plans.
    pub(super) fn end_orders(&mut self, now: Now, batch: &mut Batch) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|waiting| {
            let long = waiting.begun.then(|| self.waits_long(&waiting.order, now)).flatten();
            let goes_on = long.is_none();
            batch.answers.extend(long.map(|why| (waiting.id, Answer::Refused(why))));
            goes_on
        });
        let (going_on, done): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|waiting| !waiting.begun || self.goes_on(&waiting.order));
        self.waiting = going_on;
        let seq = self.observed.last_seq;
        batch.answers.extend(done.into_iter().map(|waiting| (waiting.id, Answer::Done(seq))));
    }

    /// Why an order is not carried out before somebody would give up waiting: requests that a registry counts are used up.
    fn waits_long(&self, order: &ImportOrder, now: Now) -> Option<String> {
        let stream = self.desired.streams.get(&order.stream)?;
        let derived = stream.tags.keys().filter(|_| order.repository);
        let specs = order.tags.iter().chain(derived).filter_map(|tag| stream.tags.get(tag));
        let checks = specs.filter_map(|spec| effective::check_of(stream, spec, &self.policy));
        let waits = self.waits(now);
        let mut long = checks.filter_map(|check| match waits.get(&check)? {
            (Scarce::Quota(account), until) => Some((account.clone(), *until)),
            _ => None,
        });
        let (account, until) = long.next()?;
        let until =
            until.map(|at| format!(", not before {}", now.wall_at(at).to_rfc3339_seconds()));
        let host = limited_host(&account.host);
        Some(format!(
            "no request is left of those that {host} counts (`registries.\"{host}\".limit`): it is imported as soon as \
             there is{}",
            until.unwrap_or_default()
        ))
    }

    fn goes_on(&self, order: &ImportOrder) -> bool {
        let Some(stream) = self.desired.streams.get(&order.stream) else { return false };
        let listing = self.soft.listings.get(&order.stream).filter(|_| order.repository);
        if listing.is_some_and(|listing| listing.nudged || listing.in_flight) {
            return true;
        }
        let derived = stream.tags.keys().filter(|_| order.repository);
        let mut tags = order.tags.iter().chain(derived).map(|tag| order.stream.tag(tag.clone()));
        tags.any(|tag| self.is_asked(stream, &tag))
    }

    /// Whether the answer about a tag is still to come.
    fn is_asked(&self, stream: &ImageStream, tag: &StreamTag) -> bool {
        let check = stream.tags.get(&tag.tag);
        let check = check.and_then(|spec| effective::check_of(stream, spec, &self.policy));
        let Some(check) = check else { return false };
        let soft = self.soft.checks.get(&check);
        let wanted =
            |soft: &CheckSoft| soft.in_flight || soft.nudged.contains(tag) || soft.unread.is_some();
        let flies = soft.is_some_and(wanted);
        flies || soft.is_none() && self.observed.tag(tag).is_some_and(TagState::is_due)
    }
}
