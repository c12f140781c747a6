//! When the image of a tag that follows another stream is copied into the repository of its own (rules I80, I181).

use std::sync::Arc;

use crate::effective;
use crate::fact::TagEvent;
use crate::names::StreamTag;

use super::pace::Pace;
use super::{Plan, Step, View};

/// Plans the copy of what a tag is, which was found where `from` says.
pub(super) fn plan(view: &View<'_>, tag: &StreamTag, from: &TagEvent) -> Plan {
    let wanted = effective::copy_of(view.desired, view.policy, tag, from);
    let Some((check, fingerprint)) = wanted else { return Plan::default() };
    let soft = view.soft.copies.get(tag);
    let is_there = view.observed.tag(tag).is_some_and(|state| state.asked == fingerprint);
    let repository = check.copy_to.as_deref();
    if is_there
        || soft.is_some_and(|soft| soft.in_flight.is_some())
        || repository.is_some_and(|repository| super::deletion::deletes_in(view, repository))
    {
        return Plan::default();
    }
    // What was tried and did not work was this image: another one is tried at once.
    let attempts = soft.filter(|soft| soft.fingerprint == fingerprint).map(|soft| &soft.attempts);
    let pace = Pace { view, fingerprint, attempts, before: None };
    let at = pace.after_failures(view.policy.import_interval);
    let at = at.max(view.soft.left_alone_until(&check.image, false));
    match at > view.now.mono {
        true => Plan::due(at),
        false => Plan::step(Step::Copy { tag: tag.clone(), check: Arc::new(check), fingerprint }),
    }
}
