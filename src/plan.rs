//! Desired state, observed state and time become steps. Pure and total: planning changes nothing, and a step is so
//! exact that whoever carries it out has no choice left.
//!
//! Everything is planned by [`Key`]: one check of a registry, one tag that follows another, one workload. Planning a
//! key looks only at what that key depends on, so the cost of one changed tag does not depend on how many there are
//! (law 4); [`whole`] plans every key and is what a dry run prints and what the tests compare with.

mod build;
mod copy;
mod deletion;
pub mod history;
pub mod hold;
pub mod import;
mod leaving;
pub mod listing;
mod pace;
pub mod prune;
pub mod rollout;
pub mod source;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::action::{Check, ListRequest};
use crate::desired::DesiredState;
use crate::effective;
use crate::fact::{
    BuildCreated, BuildStarted, Fact, Outcome, Reason, RolloutStarted, ScaleStarted, StopStarted,
    StoredManifest,
};
use crate::names::{Digest, ObjectKey, Seq, StreamName, StreamTag};
use crate::observed::ObservedState;
use crate::observed::rollout::WorkloadState;
use crate::observed::soft::Soft;
use crate::policy::Policy;
use crate::time::{Monotonic, Now};

pub use hold::{BuildHeld, Held, HeldReason};
pub(crate) use rollout::job_of;
pub use rollout::{basis, says_paused};
pub(crate) use source::back_off;

/// Everything that planning may look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What git asks for.
    pub desired: &'a DesiredState,
    /// What the journal proves.
    pub observed: &'a ObservedState,
    /// What a restart may forget.
    pub soft: &'a Soft,
    /// The settings.
    pub policy: &'a Policy,
    /// Both clocks.
    pub now: Now,
    /// Which tags ask each check.
    pub index: &'a Index,
}

impl View<'_> {
    /// Why a tag has no image, where more is known than that it is to be imported.
    fn why_no_image(&self, tag: &StreamTag) -> Option<String> {
        let condition = self.observed.tag(tag).and_then(|tag| tag.condition.as_ref());
        match condition {
            Some(condition) => Some(condition.message.clone()),
            None if effective::spec_tag(self.desired, tag).is_none() => {
                Some("git has no such tag".to_owned())
            }
            None => None,
        }
    }
}

/// What is planned as one.
///
/// The order is the order of planning: what others depend on comes first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Key {
    /// The source.
    Source,
    /// The tags of a stream's whole repository.
    Listing(StreamName),
    /// A tag that asks no registry: it follows another, pins an image, or is only a reference.
    Tag(StreamTag),
    /// What a registry is asked, for all tags that ask the same.
    Check(Arc<Check>),
    /// The builds of a `BuildConfig`.
    Build(ObjectKey),
    /// A workload.
    Workload(ObjectKey),
    /// The history of a tag whose stream limits it, or that left git or its repository, after what may use its images.
    History(StreamTag),
    /// A manifest of a pruned image in the managed registry.
    Manifest(StoredManifest),
}

/// One step.
#[derive(Clone, PartialEq, Debug)]
pub enum Step {
    /// Read the source.
    ReadSource,
    /// Ask a registry.
    Resolve {
        /// What.
        check: Arc<Check>,
        /// What it answered last, if that is still what is asked for.
        known: Option<Digest>,
        /// Why.
        reason: Reason,
    },
    /// Ask a registry which tags a repository has.
    List {
        /// For which stream.
        stream: StreamName,
        /// What.
        request: ListRequest,
    },
    /// Copy the image of a tag that follows another stream into the repository of its own.
    Copy {
        /// The tag.
        tag: StreamTag,
        /// What is read, and where to.
        check: Arc<Check>,
        /// Tells that it is there, once it is recorded.
        fingerprint: u32,
    },
    /// Make the managed registry delete a manifest.
    DeleteManifest(StoredManifest),
    /// Record something that needs nobody's answer.
    Record(Box<Fact>),
    /// Start a rollout and give it to its target.
    Start {
        /// The rollout.
        rollout: Box<RolloutStarted>,
        /// The manifest that its hash names.
        manifest: Arc<[u8]>,
    },
    /// Give a rollout that was started to its target, again if need be.
    Deliver(Seq),
    /// Write the images of a rollout into tags, as the hook says whose step it takes.
    TagImages(Seq),
    /// Ask how a rollout goes on.
    Ask(Seq),
    /// End the action that delivers a rollout.
    Cancel(Seq),
    /// Record that a rollout ended, which nobody reports: it was superseded or ran out of time between two deliveries.
    Finish {
        /// The rollout.
        rollout: Seq,
        /// How.
        outcome: Outcome,
        /// Why.
        reason: String,
        /// As in [`crate::fact::RolloutFinished::rolled_back`].
        rolled_back: Option<bool>,
    },
    /// Start stopping a workload.
    Stop(Box<StopStarted>),
    /// Give a stop that was started to its target.
    DeliverStop(Seq),
    /// Start adding or removing instances.
    Scale(Box<ScaleStarted>),
    /// Give that to its target.
    DeliverScale(Seq),
    /// Take a run of a `CronJob` one step further.
    DeliverJob(Seq),
    /// Create a build.
    CreateBuild {
        /// The build.
        build: Box<BuildCreated>,
        /// The manifest that its hash names.
        manifest: Arc<[u8]>,
    },
    /// Start a build and give it to the builder.
    StartBuild(Box<BuildStarted>),
    /// Give a build that was started to the builder, again if need be.
    DeliverBuild(Seq),
}

/// What planning one key found.
#[derive(Clone, PartialEq, Debug, Default)]
#[must_use = "a plan does nothing until it is carried out or reported"]
pub struct Plan {
    /// What to do, in order.
    pub steps: Vec<Step>,
    /// What waits, and for what.
    pub held: Vec<Held>,
    /// When to plan the key again by itself.
    pub due: Option<Monotonic>,
}

impl Plan {
    fn step(step: Step) -> Self {
        Self { steps: vec![step], ..Self::default() }
    }

    fn held(held: Held) -> Self {
        Self { held: vec![held], ..Self::default() }
    }

    fn due(at: Monotonic) -> Self {
        Self { due: Some(at), ..Self::default() }
    }

    /// Both plans.
    fn and(mut self, other: Self) -> Self {
        self.steps.extend(other.steps);
        self.held.extend(other.held);
        self.also_due(other.due)
    }

    /// The earlier of the due time and `at`.
    fn also_due(mut self, at: Option<Monotonic>) -> Self {
        self.due = [self.due, at].into_iter().flatten().min();
        self
    }
}

/// Who depends on what, kept by the engine as commits come.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Index {
    /// The tags that ask each check.
    pub checks: std::collections::BTreeMap<Arc<Check>, Few<StreamTag>>,
    /// Who looks at each tag: aliases and workloads.
    pub tag_followers: std::collections::BTreeMap<StreamTag, Few<Key>>,
    /// Who looks at a stream as a whole: pins of its images, aliases of its tags.
    pub stream_followers: std::collections::BTreeMap<crate::names::StreamName, Few<Key>>,
    /// Tags that left git or their repository and still have a history.
    pub left: BTreeSet<StreamTag>,
}

/// A set that mostly holds one value, in order: a [`BTreeSet`] takes room for eleven, and there is one for each tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Few<T>(Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Ord> Few<T> {
    /// One value.
    pub(crate) fn of(value: T) -> Self {
        Self(vec![value])
    }

    /// Puts a value in.
    pub(crate) fn insert(&mut self, value: T) {
        if let Err(at) = self.0.binary_search(&value) {
            if self.0.is_empty() {
                self.0.reserve_exact(1);
            }
            self.0.insert(at, value);
        }
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, value: &T) {
        if let Ok(at) = self.0.binary_search(value) {
            self.0.remove(at);
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a, T> IntoIterator for &'a Few<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Plans one key.
pub fn plan(view: &View<'_>, key: &Key) -> Plan {
    match key {
        Key::Source => source::plan(view),
        Key::Tag(tag) => import::plan_tag(view, tag),
        Key::Check(check) => import::plan_check(view, check),
        Key::Build(object) => build::plan(view, object),
        Key::Workload(object) => rollout::plan(view, object),
        Key::History(tag) => leaving::plan(view, tag).unwrap_or_else(|| history::plan(view, tag)),
        Key::Listing(stream) => listing::plan(view, stream),
        Key::Manifest(manifest) => deletion::plan(view, manifest),
    }
}

/// Every key that there is, in order.
pub fn keys(view: &View<'_>) -> BTreeSet<Key> {
    let mut keys = vec![Key::Source];
    keys.extend(view.index.checks.keys().cloned().map(Key::Check));
    for stream in view.desired.streams.values() {
        if stream.repository.is_some() {
            keys.push(Key::Listing(stream.name.clone()));
        }
        for (tag, spec) in &stream.tags {
            if effective::check_of(stream, spec, view.policy).is_none() {
                keys.push(Key::Tag(stream.name.tag(tag.clone())));
            }
        }
    }
    for stream in view.desired.streams.values().filter(|stream| stream.history_limit.is_some()) {
        let state = view.observed.streams.get(&stream.name);
        let tags = state.into_iter().flat_map(|state| state.tags.keys());
        keys.extend(tags.map(|tag| Key::History(stream.name.tag(tag.clone()))));
    }
    keys.extend(view.observed.images.leftover.iter().cloned().map(Key::Manifest));
    keys.extend(view.index.left.iter().cloned().map(Key::History));
    keys.extend(view.desired.builds.keys().cloned().map(Key::Build));
    keys.extend(view.observed.builds.keys().cloned().map(Key::Build));
    keys.extend(view.desired.workloads.keys().cloned().map(Key::Workload));
    keys.extend(view.observed.workloads.keys().cloned().map(Key::Workload));
    keys.into_iter().collect() // at once: what is nearly in order is sorted in one pass
}

/// Everything that waits, ordered by object: an answer to "why not yet" for each that is wanted and does not run.
#[must_use]
pub fn held(view: &View<'_>) -> Vec<Held> {
    let running = |state: &&WorkloadState| state.running().is_some();
    let in_flight = view.observed.workloads.values().filter(running).count();
    let slots = view.policy.rollouts_in_flight_max;
    let mut all = hold::recorded(view.observed);
    for (key, plan) in whole(view) {
        all.extend(plan.held);
        if let Key::Build(object) = &key {
            all.extend(plan.steps.iter().filter_map(|step| build::waits(view, object, step)));
        }
        if let Key::Workload(object) = key
            && plan.steps.iter().any(|step| matches!(step, Step::Start { .. }))
        {
            let waits = HeldReason::WaitingForSlot { in_flight, slots };
            let reason = if in_flight < slots { HeldReason::Due } else { waits };
            all.push(Held { object, reason, until: None });
        }
    }
    all.sort_by_cached_key(|held| (held.object.clone(), held.reason.to_string()));
    all.dedup();
    all
}

/// Plans everything: what a dry run prints, and what scoped planning must equal.
#[must_use]
pub fn whole(view: &View<'_>) -> Vec<(Key, Plan)> {
    keys(view).into_iter().map(|key| (key.clone(), plan(view, &key))).collect()
}
