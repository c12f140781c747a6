//! When a tag is imported, and what follows from other tags without asking anybody.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::action::Check;
use crate::desired::{ImageStream, TagReference, TagSource};
use crate::effective;
use crate::fact::{
    Fact, ImportFailed, ImportReason, Reason, TagEvent, TagImported, TagRecovered, Via,
};
use crate::names::{ContentHash, Digest, Generation, StreamName, StreamTag, TagName};
use crate::observed::soft::CheckSoft;
use crate::observed::tag_history::{Effect, TagItem, TagState};
use crate::time::{Monotonic, Schedule, Timestamp};

use super::pace::Pace;
use super::{Held, HeldReason, Plan, Step, View, copy};

/// Plans what a registry is asked, for all tags that ask the same.
pub(super) fn plan_check(view: &View<'_>, check: &Arc<Check>) -> Plan {
    let fingerprint = effective::fingerprint(check);
    let soft = view.soft.checks.get(check);
    let copy = check.copy_to.as_deref();
    if soft.is_some_and(|soft| soft.in_flight)
        || copy.is_some_and(|repository| super::deletion::deletes_in(view, repository))
    {
        return Plan::default();
    }
    let mut next: Option<(Monotonic, Reason)> = None;
    let mut known: BTreeSet<Option<Digest>> = BTreeSet::new();
    let mut held = Vec::new();
    let mut is_asked_for = false;
    for tag in view.index.checks.get(check).into_iter().flatten() {
        let Some((stream, spec)) = effective::spec_tag(view.desired, tag) else { continue };
        let Some(state) = view.observed.tag(tag) else { continue };
        let due = Asked { view, check, fingerprint, soft, tag, stream, spec, state }.due();
        // A tag that never asks by itself keeps what it has, whatever the others of the check learn.
        let Some(due) = due else { continue };
        let current = state.asked == fingerprint && !state.is_due() && state.current().is_some();
        known.insert(state.probed.filter(|_| current));
        if stream.paused {
            held.push(Held {
                object: crate::names::ObjectKey::stream(&stream.name),
                reason: HeldReason::Paused { waits: None },
                until: None,
            });
            continue;
        }
        is_asked_for |= due.1 == Reason::Nudged;
        if next.as_ref().is_none_or(|(at, _)| due.0 < *at) {
            next = Some(due);
        }
    }
    held.dedup();
    // What could not be read for want of requests is still wanted, for the reason that it was.
    if let Some((next, unread)) = next.as_mut().zip(soft.and_then(|soft| soft.unread.as_ref())) {
        *next = (view.now.mono, unread.reason.clone());
    }
    let Some((at, reason)) = next else { return Plan { held, ..Plan::default() } };
    let at = at.max(view.soft.left_alone_until(&check.image, is_asked_for));
    let mut plan = if at > view.now.mono {
        Plan::due(at)
    } else {
        let known = if known.len() == 1 { known.pop_first().flatten() } else { None };
        Plan::step(Step::Resolve { check: check.clone(), known, reason })
    };
    plan.held = held;
    plan
}

/// The tags that an answer to the check in flight is for: those that ask by themselves, and those it was nudged for.
///
/// A tag without a schedule that happens to name the same image is not moved by the schedule of another (rule I42).
pub(crate) fn asking(view: &View<'_>, check: &Arc<Check>) -> Vec<StreamTag> {
    let fingerprint = effective::fingerprint(check);
    let soft = view.soft.checks.get(check);
    let asks = |tag: &&StreamTag| {
        let Some((stream, spec)) = effective::spec_tag(view.desired, tag) else { return false };
        let Some(state) = view.observed.tag(tag) else { return false };
        let asked = Asked { view, check, fingerprint, soft, tag, stream, spec, state };
        let nudged = soft.is_some_and(|soft| soft.asking.contains(*tag));
        !stream.paused && (nudged || asked.due().is_some())
    };
    view.index.checks.get(check).into_iter().flatten().filter(asks).cloned().collect()
}

/// When the tag of a stream that was not checked for longest was checked: what a restart may take for all of them.
///
/// The time of the last check of any tag would put off those with a longer interval, at each restart again.
pub(crate) fn oldest_check(view: &View<'_>, stream: &StreamName) -> Option<Timestamp> {
    let stream = view.desired.streams.get(stream)?;
    let last = |(tag, spec): (&TagName, &TagReference)| {
        let check = effective::check_of(stream, spec, view.policy)?;
        let tag = &stream.name.tag(tag.clone());
        let state = view.observed.tag(tag)?;
        let (fingerprint, soft) = (effective::fingerprint(&check), view.soft.checks.get(&check));
        let check = &check;
        let asked = Asked { view, check, fingerprint, soft, tag, stream, spec, state };
        asked.scheduled_at().and_then(|_| asked.last())
    };
    stream.tags.iter().filter_map(last).min()
}

/// One tag of a check.
struct Asked<'a> {
    view: &'a View<'a>,
    check: &'a Check,
    fingerprint: u32,
    soft: Option<&'a CheckSoft>,
    tag: &'a StreamTag,
    stream: &'a ImageStream,
    spec: &'a TagReference,
    state: &'a TagState,
}

impl Asked<'_> {
    /// When the tag wants the check, and why; none if it never does by itself.
    fn due(&self) -> Option<(Monotonic, Reason)> {
        let now = self.view.now.mono;
        if self.soft.is_some_and(|soft| soft.nudged.contains(self.tag)) {
            return Some((now, Reason::Nudged));
        }
        // Who asked for it and got no answer, for want of requests, still does.
        let unread = self.soft.and_then(|soft| Some((soft, soft.unread.as_ref()?)));
        if let Some((soft, unread)) = unread
            && soft.asking.contains(self.tag)
        {
            return Some((now, unread.reason.clone()));
        }
        // An attempt in this process that failed without a record is retried like one with a condition.
        let failures = self.soft.map_or(0, |soft| soft.attempts.failures);
        let changed = self.state.is_due() || self.asks_something_else();
        if changed && failures == 0 {
            return Some((now, Reason::SpecChanged { generation: self.state.generation }));
        }
        if changed || self.state.condition.is_some() {
            return Some((self.pace().retry_at(failures, self.interval()), Reason::Retry));
        }
        Some((self.scheduled_at()?, Reason::ScheduleDue))
    }

    /// The answer that the tag has is to another question: the platform or the transport changed (rule I197, item 5).
    fn asks_something_else(&self) -> bool {
        self.state.current().is_some() && self.state.asked != self.fingerprint
    }

    fn interval(&self) -> Duration {
        match effective::schedule_of(self.stream, self.spec, self.view.policy) {
            Some(Schedule::Every(span)) => span.0,
            Some(Schedule::Cron(_)) | None => self.view.policy.import_interval,
        }
    }

    fn pace(&self) -> Pace<'_> {
        Pace {
            view: self.view,
            fingerprint: self.fingerprint,
            attempts: self.soft.map(|soft| &soft.attempts),
            before: self.before(),
        }
    }

    fn scheduled_at(&self) -> Option<Monotonic> {
        let pinned_and_imported = self.check.image.digest.is_some();
        if pinned_and_imported {
            return None; // rule I103: what a digest names cannot move
        }
        let schedule = effective::schedule_of(self.stream, self.spec, self.view.policy)?;
        self.pace().scheduled_at(&schedule)
    }

    /// When it was last checked before this process began, as far as that is known.
    fn before(&self) -> Option<Timestamp> {
        let checked = self.view.soft.checked.get(&self.stream.name).copied();
        let imported = self.state.current().filter(|_| !self.state.pushed);
        let imported = imported.map(|item| item.event.created);
        // What a clock noted that was ahead does not hide what a right one did, also when that time has come.
        let began = self.view.now.wall_was(self.view.soft.began);
        let past = |at: &Timestamp| *at <= began;
        checked.filter(past).max(imported.filter(past)).or(checked.max(imported))
    }

    /// When it was last checked.
    fn last(&self) -> Option<Timestamp> {
        self.soft.and_then(|soft| soft.attempts.wall).or_else(|| self.before())
    }
}

/// Plans a tag that asks no registry (rules I79, I83 to I88).
pub(super) fn plan_tag(view: &View<'_>, tag: &StreamTag) -> Plan {
    let Some((stream, spec)) = effective::spec_tag(view.desired, tag) else {
        return Plan::default();
    };
    let Some(state) = view.observed.tag(tag) else { return Plan::default() };
    if stream.paused {
        return Plan::default();
    }
    let following = Following { view, tag, spec, state };
    match &spec.from {
        None => following.nothing(),
        Some(TagSource::Registry(image)) if spec.reference => following.reference(image),
        Some(TagSource::Registry(_)) => Plan::default(), // planned as a check
        Some(TagSource::Tag(source)) => following.alias(source),
        Some(TagSource::Image { stream, id }) => following.pin(stream, id),
    }
}

/// A tag that follows something inside the journal.
struct Following<'a> {
    view: &'a View<'a>,
    tag: &'a StreamTag,
    spec: &'a TagReference,
    state: &'a TagState,
}

impl Following<'_> {
    fn reference(&self, image: &crate::reference::ImageReference) -> Plan {
        let event = TagEvent {
            created: self.view.now.wall,
            reference: image.to_string(),
            image: None,
            generation: self.state.generation,
        };
        match self.changes(&event, false) {
            true => self.import(event, None, Via::Reference, None),
            false => Plan::default(),
        }
    }

    fn alias(&self, source: &StreamTag) -> Plan {
        if self.is_circular(source) {
            let message = "reference tag is circular".to_owned();
            return self.fail(ImportReason::CircularReference, message);
        }
        if !effective::has_stream(self.view.desired, self.view.observed, &source.stream) {
            return self.no_stream(&source.stream);
        }
        let Some(item) = effective::image_of(self.view.observed, source) else {
            return self.nothing(); // stays as it is until the source has an image (rules I79, I88)
        };
        let same_stream = source.stream == self.tag.stream;
        let theirs = if same_stream { item.event.generation } else { Generation(0) };
        let generation = theirs.max(self.state.generation);
        self.follow(item, (item.event.created, generation), Via::Alias(source.clone()))
    }

    fn pin(&self, stream: &StreamName, id: &str) -> Plan {
        if !effective::has_stream(self.view.desired, self.view.observed, stream) {
            return self.no_stream(stream);
        }
        let found = match effective::find_image(self.view.observed, stream, id) {
            Ok(found) => found,
            Err((reason, message)) => return self.fail(reason, message),
        };
        let (created, generation) = (self.view.now.wall, self.state.generation);
        self.follow(found, (created, generation), Via::Image(stream.clone()))
    }

    /// Takes over what another tag is; in a managed registry, its image comes into the repository of this stream.
    fn follow(
        &self,
        item: &TagItem,
        (created, generation): (Timestamp, Generation),
        via: Via,
    ) -> Plan {
        let View { desired, policy, .. } = self.view;
        let asked = self.state.asked;
        let reference = effective::reference_here(desired, policy, self.tag, &item.event, asked);
        let event = TagEvent { reference, created, image: item.event.image, generation };
        let copy = effective::copy_of(desired, policy, self.tag, &item.event);
        let copied = copy.as_ref().map(|(_, wanted)| *wanted).filter(|wanted| *wanted == asked);
        // A condition may be that of the copy, whose next attempt ends it.
        let is_copying = copy.is_some() && copied.is_none();
        match self.changes(&event, is_copying) {
            true => self.import(event, item.metadata, via, copied),
            false => copy::plan(self.view, self.tag, &item.event),
        }
    }

    /// There is nothing to follow, which is no failure: one that was told before is over (rule I77).
    fn nothing(&self) -> Plan {
        if self.state.condition.is_none() {
            return Plan::default();
        }
        let tag = self.tag.clone();
        Plan::step(Step::Record(Box::new(Fact::TagRecovered(TagRecovered { tag }))))
    }

    fn no_stream(&self, stream: &StreamName) -> Plan {
        let message = format!("imagestreams.image.openshift.io \"{}\" not found", stream.name);
        self.fail(ImportReason::NotFound, message)
    }

    /// Whether following the sources from here leads back here (rule I87).
    fn is_circular(&self, source: &StreamTag) -> bool {
        let mut visited = BTreeSet::from([self.tag]);
        let mut at = source;
        loop {
            if !visited.insert(at) {
                return true;
            }
            match effective::spec_tag(self.view.desired, at)
                .and_then(|(_, spec)| spec.from.as_ref())
            {
                Some(TagSource::Tag(next)) => at = next,
                Some(TagSource::Registry(_) | TagSource::Image { .. }) | None => return false,
            }
        }
    }

    /// Whether an event is news for the tag, with or without the condition that it has.
    fn changes(&self, event: &TagEvent, keeps_condition: bool) -> bool {
        let is_open = self.state.condition.is_some() && !keeps_condition;
        match self.state.effect_of(event) {
            Effect::None | Effect::Generation => self.state.is_due() || is_open,
            Effect::Rewrite | Effect::Push => true,
        }
    }

    /// `copied` tells that the image is in the repository of the stream, which it goes on to be.
    fn import(
        &self,
        event: TagEvent,
        metadata: Option<ContentHash>,
        via: Via,
        copied: Option<u32>,
    ) -> Plan {
        let reason = match via {
            Via::Alias(_) if !self.state.is_due() => Reason::SourceTagChanged,
            Via::Alias(_)
            | Via::Registry
            | Via::Image(_)
            | Via::Reference
            | Via::Push
            | Via::Build { .. } => Reason::SpecChanged { generation: self.state.generation },
        };
        Plan::step(Step::Record(Box::new(Fact::TagImported(Box::new(TagImported {
            tag: self.tag.clone(),
            probed: event.image.filter(|_| copied.is_some()),
            asked: copied.unwrap_or(0),
            event,
            metadata,
            via,
            reason,
        })))))
    }

    fn fail(&self, reason: ImportReason, message: String) -> Plan {
        debug_assert!(self.spec.from.is_some(), "a tag without a source cannot fail");
        let generation = self.state.generation;
        let same = self.state.condition.as_ref().is_some_and(|condition| {
            condition.reason == reason
                && condition.message == message
                && condition.generation >= generation
        });
        if same {
            return Plan::default();
        }
        let tag = self.tag.clone();
        Plan::step(Step::Record(Box::new(Fact::ImportFailed(ImportFailed {
            tag,
            generation,
            reason,
            message,
        }))))
    }
}

/// What a tag that follows another stream is, by what it follows; none if that cannot be told.
pub(crate) fn followed<'a>(view: &'a View<'_>, tag: &StreamTag) -> Option<(&'a TagItem, Via)> {
    let (_, spec) = effective::spec_tag(view.desired, tag)?;
    match spec.from.as_ref()? {
        TagSource::Registry(_) => None,
        TagSource::Tag(source) => {
            Some((effective::image_of(view.observed, source)?, Via::Alias(source.clone())))
        }
        TagSource::Image { stream, id } => Some((
            effective::find_image(view.observed, stream, id).ok()?,
            Via::Image(stream.clone()),
        )),
    }
}
