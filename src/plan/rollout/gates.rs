//! What triggers wait for though there is something to roll out: windows, ages, and tags that go back and forth
//! (rules T24, T34).

use crate::desired::Workload;
use crate::effective::{self, Wanted};
use crate::fact::{Outcome, RolloutCause};
use crate::names::{Digest, StreamTag};
use crate::observed::rollout::Rollout;
use crate::sabotage::{self, Bug};
use crate::time::{Span, Timestamp};

use super::super::hold::Gate;
use super::super::{HeldReason, Plan};
use super::Planning;

/// Until when a gate is closed; none if it never opens by itself.
type Until = Option<Timestamp>;

impl Planning<'_> {
    /// The gate that lets a trigger through last; none if it may act now.
    ///
    /// Orders and restores do not ask.
    pub(super) fn gate(
        &self,
        workload: &Workload,
        wanted: &Wanted,
        cause: RolloutCause,
    ) -> Option<(Gate, Until)> {
        let by_images = cause == RolloutCause::ImageChange;
        let closed = [
            self.window(workload),
            self.too_young(workload, wanted),
            self.flapping(wanted).filter(|_| by_images),
            self.too_soon(workload).filter(|_| by_images),
        ];
        let never = Timestamp::from_millis(i64::MAX);
        closed.into_iter().flatten().max_by_key(|(_, until)| until.unwrap_or(never))
    }

    /// What waits for that says so.
    pub(super) fn gated(&self, gate: Gate, until: Until) -> Plan {
        let until = until.filter(|_| !sabotage::is(Bug::WaitForEver));
        let mut plan = self.held_until(HeldReason::Gated { gate }, until);
        plan.held.retain(|_| !sabotage::is(Bug::HideWait));
        plan
    }

    fn window(&self, workload: &Workload) -> Option<(Gate, Until)> {
        let window = workload.gates.window.as_ref().filter(|_| !sabotage::is(Bug::IgnoreWindow))?;
        let now = self.view.now.wall;
        let gate = || Gate::Window { window: window.clone() };
        (!window.is_open(now)).then(|| (gate(), window.opens_after(now)))
    }

    /// An image that does not run yet was not known for long enough.
    fn too_young(&self, workload: &Workload, wanted: &Wanted) -> Option<(Gate, Until)> {
        let runs = self.state.active();
        let triggers = workload.triggers.iter().filter(|trigger| trigger.automatic);
        let young = triggers.filter_map(|trigger| {
            let age = self.minimum_age(workload, &trigger.from)?;
            let item = effective::image_of(self.view.observed, &trigger.from)?;
            let image = item.event.image?;
            let new = |container| {
                wanted.triggered.get(container) == Some(&image)
                    && !runs.is_some_and(|runs| has(runs, container, image))
            };
            if !trigger.containers.iter().any(new) {
                return None;
            }
            // It may have been known elsewhere before; and of two times the one that is still to come proves nothing.
            let created = item.event.created;
            let first = effective::first_seen(self.view.observed, &image);
            let until = self.ends(first.map_or(created, |first| first.min(created)), age)?;
            let tag = trigger.from.clone();
            Some((Gate::TooYoung { tag, image, age }, Some(until)))
        });
        young.max_by_key(|(_, until)| *until)
    }

    /// The age that images of a tag must have: the longest that the workload, the tag or else its stream asks for.
    fn minimum_age(&self, workload: &Workload, tag: &StreamTag) -> Option<Span> {
        let stream = self.view.desired.streams.get(&tag.stream);
        let of_tag = stream.and_then(|stream| stream.tags.get(&tag.tag)?.minimum_age);
        let of_tag = of_tag.or_else(|| stream?.minimum_age);
        workload.gates.minimum_age.max(of_tag).filter(|_| !sabotage::is(Bug::IgnoreAge))
    }

    /// An image comes back that was rolled out and replaced a moment ago.
    fn flapping(&self, wanted: &Wanted) -> Option<(Gate, Until)> {
        let guard = Span(self.view.policy.flap_guard);
        if guard.0.is_zero() || self.view.policy.strict_openshift {
            return None;
        }
        let last = self.state.last()?;
        if self.was_changed_by_hand(wanted, last) {
            return None;
        }
        let back =
            wanted.triggered.iter().filter(|(container, image)| !has(last, container, **image));
        let flaps = back.filter_map(|(container, image)| {
            let mut replaced = None;
            for rollout in self.state.life().rev() {
                if rollout.outcome() != Some(Outcome::Complete) {
                    continue;
                }
                if has(rollout, container, *image) {
                    return replaced.map(|at| (*image, at));
                }
                // What an operator or a commit replaced does not flap.
                let by_trigger = rollout.started.cause == RolloutCause::ImageChange;
                replaced = by_trigger.then_some(rollout.at);
            }
            None
        });
        let (image, at) = flaps.max_by_key(|(_, at)| *at)?;
        Some((Gate::Flapping { image, guard }, Some(self.ends(at, guard)?)))
    }

    /// Whether somebody said what the tags are since a rollout, in git or over it: who goes back on purpose does not wait.
    fn was_changed_by_hand(&self, wanted: &Wanted, last: &Rollout) -> bool {
        let observed = self.view.observed;
        let by_commit = observed.adopted.as_ref().map(|a| a.commit) != Some(last.started.commit);
        let workload = self.view.desired.workloads.get(self.object);
        let triggers = workload.into_iter().flat_map(|workload| &workload.triggers);
        let set = triggers.filter(|trigger| {
            trigger.containers.iter().any(|container| wanted.triggered.contains_key(container))
        });
        let mut overlays = set.filter_map(|trigger| observed.overlay(&trigger.from));
        by_commit || overlays.any(|overlay| overlay.seq > last.seq)
    }

    fn too_soon(&self, workload: &Workload) -> Option<(Gate, Until)> {
        let interval =
            workload.gates.min_interval.filter(|_| !sabotage::is(Bug::IgnoreInterval))?;
        let by_image = |rollout: &&Rollout| rollout.started.cause == RolloutCause::ImageChange;
        let last = self.state.life().rev().find(by_image)?;
        Some((Gate::TooSoon { interval }, Some(self.ends(last.at, interval)?)))
    }

    /// When a span is over that began at a time; none if it is over. A time that is still to come was noted by a clock
    /// that was ahead: it proves nothing.
    fn ends(&self, began: Timestamp, span: Span) -> Option<Timestamp> {
        let (now, until) = (self.view.now.wall, began.after(span.0));
        (began <= now && now < until).then_some(until)
    }
}

/// Whether a rollout gave this image to a container.
fn has(rollout: &Rollout, container: &crate::fact::ContainerRef, image: Digest) -> bool {
    let mut images = rollout.started.images.iter();
    images.any(|known| known.container == *container && known.digest == Some(image))
}
