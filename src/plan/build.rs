//! When a `BuildConfig` is built (rules B6, B8, B13 to B17, B26 to B28, T34).
//!
//! A build is created in one record, with its number and what its triggers saw, so that a crash neither loses nor doubles
//! it (rule B5). It waits in the queue of its `BuildConfig` until its run policy, its output and the number of builds in
//! flight let it start.

mod queue;

use crate::desired::BuildConfig;
use crate::effective;
use crate::fact::{
    BuildCause, BuildEnd, BuildEnding, BuildFinished, BuildOptions, BuildStarted, Fact, RemovalFate,
};
use crate::limits::{BUILD_RETRIES, BUILDS_ACTIVE_MAX};
use crate::names::{Incarnation, ObjectKey, StreamTag};
use crate::observed::Presence;
use crate::observed::build::{Build, BuildsState};
use crate::sabotage::{self, Bug};
use crate::time::{Span, Timestamp};

use super::hold::{BuildHeld, Gate};
use super::{Held, HeldReason, Plan, Step, View};

/// How a build ends that is not wanted any more (rule B29).
const CANCELLED: (BuildEnd, &str) = (BuildEnd::Cancelled, "CancelledBuild");

/// Plans the builds of one `BuildConfig`.
pub(super) fn plan(view: &View<'_>, object: &ObjectKey) -> Plan {
    let empty = BuildsState::default();
    let state = view.observed.builds.get(object).unwrap_or(&empty);
    let known = view.observed.objects.get(object);
    let (life, presence) = known
        .map_or((Incarnation(1), Presence::Present), |known| (known.incarnation, known.presence));
    let planning = Planning { view, object, state, life };
    let mut plan = Plan::default();
    for build in state.running() {
        plan = plan.and(planning.running(build));
    }
    // Whoever waits for a place does nothing else meanwhile: what begins is a plan of its own.
    if !plan.steps.is_empty() {
        return plan;
    }
    let is_pruned = matches!(presence, Presence::Removed { fate: RemovalFate::Pruned, .. });
    match view.desired.builds.get(object) {
        Some(build) if !is_pruned => plan.and(planning.present(build)),
        Some(_) | None if is_pruned => plan.and(planning.removed()),
        // What cannot be told is left alone (law 7): nothing new begins.
        Some(_) | None => plan,
    }
}

/// Everything that planning the builds of one `BuildConfig` looks at.
struct Planning<'a> {
    view: &'a View<'a>,
    object: &'a ObjectKey,
    state: &'a BuildsState,
    life: Incarnation,
}

impl Planning<'_> {
    fn held(&self, reason: BuildHeld, until: Option<Timestamp>) -> Plan {
        let reason = HeldReason::Build(Box::new(reason));
        let plan = Plan::held(Held { object: self.object.clone(), reason, until });
        plan.also_due(until.map(|until| self.view.now.mono_at(until)))
    }

    fn known(&self) -> effective::Known<'_> {
        let View { desired, observed, policy, .. } = *self.view;
        effective::Known { desired, observed, policy }
    }

    fn ending(&self, build: &Build, end: BuildEnd, reason: &str, message: String) -> Step {
        Step::Record(Box::new(Fact::BuildEnding(BuildEnding {
            build: build.seq,
            object: self.object.clone(),
            name: build.created.name.clone(),
            end,
            reason: reason.to_owned(),
            message,
        })))
    }

    /// Ends a build that never got to the builder.
    fn unbuilt(&self, build: &Build, (end, reason): (BuildEnd, &str), message: String) -> Step {
        Step::Record(Box::new(Fact::BuildFinished(Box::new(BuildFinished {
            build: build.seq,
            object: self.object.clone(),
            name: build.created.name.clone(),
            end,
            reason: reason.to_owned(),
            message,
            image: None,
            revision: None,
            stages: Vec::new(),
            log: String::new(),
        }))))
    }

    /// The `BuildConfig` left git: what it builds is not wanted any more.
    fn removed(&self) -> Plan {
        let why = || "its BuildConfig was removed from git".to_owned();
        let goes_on = self.state.active().filter(|build| build.ending.is_none());
        let steps = goes_on.map(|build| match build.started {
            Some(_) => self.ending(build, CANCELLED.0, CANCELLED.1, why()),
            None => self.unbuilt(build, CANCELLED, why()),
        });
        Plan { steps: steps.collect(), ..Plan::default() }
    }

    /// A build that was given to the builder goes on, or is ended.
    fn running(&self, build: &Build) -> Plan {
        let now = self.view.now;
        let deadline = self.view.deadline_of(build).filter(|_| build.ending.is_none());
        if let Some(deadline) = deadline
            && now.wall >= deadline
        {
            let (allowed, key) = match build.created.deadline {
                Some(allowed) => (allowed, "completionDeadlineSeconds"),
                None => (Span(self.view.policy.build_timeout), "builds.timeout"),
            };
            let message = format!("The build was not done within {allowed} (`{key}`).");
            return Plan::step(self.ending(build, BuildEnd::Failed, "DeadlineExceeded", message));
        }
        let due = deadline.map(|deadline| now.mono_at(deadline));
        let deliver = Plan::step(Step::DeliverBuild(build.seq)).also_due(due);
        let Some(delivery) = self.view.soft.deliveries.get(&build.seq) else { return deliver };
        if delivery.in_flight {
            let is_to_end = build.ending.is_some() && !delivery.ends && !delivery.cancelled;
            let plan =
                if is_to_end { Plan::step(Step::Cancel(build.seq)) } else { Plan::default() };
            return plan.also_due(due);
        }
        let why = delivery.reason.clone().unwrap_or_default();
        if build.ending.is_none() && delivery.failures > BUILD_RETRIES {
            let message = format!("not built in {} attempts: {why}", delivery.failures);
            return Plan::step(self.ending(
                build,
                BuildEnd::Error,
                "CannotCreateBuildPod",
                message,
            ));
        }
        let begins_to_end = build.ending.is_some() && !delivery.ends;
        if now.mono < delivery.not_before && !begins_to_end {
            let name = build.created.name.clone();
            let held = self.held(BuildHeld::Trouble { name, why }, None);
            return held.also_due(Some(delivery.not_before)).also_due(due);
        }
        deliver
    }

    /// Git has it.
    fn present(&self, build: &BuildConfig) -> Plan {
        if let Some(why) = build.strategy.refusal() {
            return self.held(BuildHeld::Refused { why }, None);
        }
        if !self.view.policy.builds_enabled {
            return self.held(BuildHeld::Off, None);
        }
        let triggered = self.triggered(build);
        if !triggered.steps.is_empty() {
            return triggered;
        }
        triggered.and(self.queued(build)).and(self.last_failed())
    }

    /// The last build did not succeed, and nothing newer is on its way.
    fn last_failed(&self) -> Plan {
        if self.state.active().next().is_some() {
            return Plan::default();
        }
        let own = self.state.builds.iter().filter(|build| build.created.incarnation == self.life);
        let ended = own.filter_map(|build| Some((build, build.ended.as_ref()?)));
        let told = ended.filter(|(_, ended)| ended.end != BuildEnd::Cancelled);
        match told.max_by_key(|(build, _)| build.created.number) {
            Some((build, ended)) if ended.end != BuildEnd::Complete => {
                let (name, at) = (build.created.name.clone(), ended.at);
                let why = format!("{} ({}): {}", ended.end, ended.reason, ended.message);
                self.held(BuildHeld::Failed { name, why, at }, None)
            }
            Some(_) | None => Plan::default(),
        }
    }

    /// What triggers make of what they see (rules B13, B14): at most one build.
    fn triggered(&self, build: &BuildConfig) -> Plan {
        if build.binary {
            return Plan::default(); // there is nothing to build it from
        }
        let ring = effective::build_ring(self.view.desired, build);
        let ring = ring.filter(|_| !sabotage::is(Bug::BuildInRing));
        let (mut causes, mut held) = (Vec::new(), Plan::default());
        if let Some((ring, _)) = &ring {
            held = held.and(self.held(BuildHeld::Cycle { ring: ring.clone() }, None));
        }
        let is_ring = |tag: &StreamTag| ring.as_ref().is_some_and(|(_, tags)| tags.contains(tag));
        let mut gate: Option<(Gate, Option<Timestamp>)> = None;
        for (from, image, item) in effective::seen(self.known(), build) {
            let old = self.state.saw(self.life, from);
            if old == Some(image) || is_ring(from) {
                continue;
            }
            if let Some((age, until)) = self.too_young(from, item.event.created, image) {
                let tag = from.clone();
                gate.get_or_insert((Gate::TooYoung { tag, image, age }, Some(until)));
                continue;
            }
            let (from, event) = (from.clone(), item.seq);
            causes.push(BuildCause::Image { from, event, old, image });
        }
        let is_first = build.config_change && !self.state.has_begun(self.life);
        if is_first {
            causes = vec![BuildCause::Config];
        }
        if causes.is_empty() {
            let gated = gate.map(|(gate, until)| self.held(BuildHeld::Gated { gate }, until));
            return held.and(gated.unwrap_or_default()).and(self.blind(build));
        }
        if build.paused || build.refuses {
            return held.and(self.held(BuildHeld::Paused, None));
        }
        let now = self.view.now.wall;
        if let Some(window) = build.window.as_ref().filter(|window| !window.is_open(now)) {
            let gate = Gate::Window { window: window.clone() };
            let until = window.opens_after(now);
            return held.and(self.held(BuildHeld::Gated { gate }, until));
        }
        if self.state.active().count() >= BUILDS_ACTIVE_MAX {
            return held; // those that wait say so
        }
        let Some(adopted) = &self.view.observed.adopted else { return held };
        let asked = (causes, BuildOptions::default());
        match effective::create(self.known(), build, adopted.commit, asked) {
            Ok((created, manifest)) => {
                held.and(Plan::step(Step::CreateBuild { build: Box::new(created), manifest }))
            }
            Err(why) => held.and(self.held(BuildHeld::Input { why }, None)),
        }
    }

    /// Triggers that see no image, and why: nothing else would say why nothing is built (rules B8, T17).
    fn blind(&self, build: &BuildConfig) -> Plan {
        let View { observed, policy, .. } = *self.view;
        let active = build.triggers.iter().filter(|trigger| !trigger.paused);
        let reasons = active.filter_map(|trigger| {
            let tag = trigger.from.clone();
            if !policy.cross_namespace.allows(&self.object.namespace, &tag.stream) {
                return Some(HeldReason::CrossNamespace { tag });
            }
            let sees = observed.tag(&tag).is_some_and(|state| state.current().is_some());
            let why = self.view.why_no_image(&tag);
            (!sees).then_some(HeldReason::WaitingForImage { tag, why })
        });
        let held = |reason| Held { object: self.object.clone(), reason, until: None };
        reasons.fold(Plan::default(), |plan, reason| plan.and(Plan::held(held(reason))))
    }

    /// An image of a tag that was not known for long enough (rule T34).
    fn too_young(
        &self,
        tag: &StreamTag,
        created: Timestamp,
        image: crate::names::Digest,
    ) -> Option<(Span, Timestamp)> {
        let stream = self.view.desired.streams.get(&tag.stream)?;
        let of_tag = stream.tags.get(&tag.tag).and_then(|spec| spec.minimum_age);
        let age = of_tag.or(stream.minimum_age)?;
        let first = effective::first_seen(self.view.observed, &image);
        let first = first.map_or(created, |first| first.min(created));
        let (now, until) = (self.view.now.wall, first.after(age.0));
        (first <= now && now < until).then_some((age, until))
    }

    /// Builds that were created and not started.
    fn queued(&self, build: &BuildConfig) -> Plan {
        let queue = queue::queue(self.state);
        let mut plan = Plan::default();
        let find = |seq| self.state.find(seq);
        for (seq, newer) in &queue.superseded {
            let Some(waits) = find(*seq) else { continue };
            let newer = crate::names::build_name(&self.object.name, *newer);
            let why = format!("build {newer} takes its place (`spec.runPolicy: SerialLatestOnly`)");
            plan = plan.and(Plan::step(self.unbuilt(waits, CANCELLED, why)));
        }
        if !plan.steps.is_empty() {
            return plan;
        }
        for waits in queue.ready.iter().filter_map(|seq| find(*seq)) {
            let next = self.start(build, waits);
            // One takes one place; when it has it, the next is planned.
            plan = match plan.steps.is_empty() || next.steps.is_empty() {
                true => plan.and(next),
                false => plan.and(self.waits_for_slot(waits)),
            };
        }
        for (seq, other) in &queue.behind {
            let Some(waits) = find(*seq) else { continue };
            let name = waits.created.name.clone();
            let other = crate::names::build_name(&self.object.name, *other);
            plan = plan.and(self.held(BuildHeld::Behind { name, other }, None));
        }
        plan
    }

    /// A build that nothing of its own keeps from starting.
    fn start(&self, build: &BuildConfig, waits: &Build) -> Plan {
        let created = &waits.created;
        let push =
            effective::push_of(self.known(), created.output.as_ref(), created.push.as_deref());
        let name = created.name.clone();
        match push {
            // What was handed over is not kept for a day that may never come (rule B28).
            Err(why) if build.binary || created.options.binary.is_some() => {
                let message = format!("{why}; binary input does not wait for that");
                Plan::step(self.unbuilt(
                    waits,
                    (BuildEnd::Error, "InvalidOutputReference"),
                    message,
                ))
            }
            Err(why) => self.held(BuildHeld::Output { name, why }, None),
            Ok(push) => Plan::step(Step::StartBuild(Box::new(BuildStarted {
                build: waits.seq,
                object: self.object.clone(),
                name,
                push: push.map(|image| image.to_string()),
            }))),
        }
    }

    fn waits_for_slot(&self, build: &Build) -> Plan {
        let (in_flight, slots) = slots(self.view);
        let name = build.created.name.clone();
        self.held(BuildHeld::Slot { name, in_flight, slots }, None)
    }
}

impl View<'_> {
    /// When a build that was started is ended, whatever it does then.
    #[must_use]
    pub fn deadline_of(&self, build: &Build) -> Option<Timestamp> {
        let (at, _) = build.started.as_ref()?;
        let allowed = build.created.deadline.map_or(self.policy.build_timeout, |span| span.0);
        Some(at.after(allowed))
    }
}

/// What keeps a step of a plan from being taken at once.
pub(super) fn waits(view: &View<'_>, object: &ObjectKey, step: &Step) -> Option<Held> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "only these two begin a build")]
    let reason = match step {
        Step::CreateBuild { .. } => BuildHeld::Due,
        Step::StartBuild(started) => {
            let (name, (in_flight, slots)) = (started.name.clone(), slots(view));
            if in_flight < slots {
                BuildHeld::Due
            } else {
                BuildHeld::Slot { name, in_flight, slots }
            }
        }
        _ => return None,
    };
    let reason = HeldReason::Build(Box::new(reason));
    Some(Held { object: object.clone(), reason, until: None })
}

/// How many builds run, and how many may.
fn slots(view: &View<'_>) -> (u64, u64) {
    let all = view.observed.builds.values();
    let in_flight = all.map(|state| state.running().count()).sum::<usize>();
    (in_flight as u64, view.policy.builds_in_flight_max as u64)
}
