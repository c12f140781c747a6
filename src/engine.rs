//! One step: inputs become facts, facts become plans, plans become effects.
//!
//! [`Engine::step`] is the only writer of state. It does no IO and reads no clock, so the daemon, the dry run and the
//! simulator run the same code with another loop around it. All inputs that wait are taken in one step, and one step
//! makes one append: one `fdatasync`, however much happened.

mod absorb;
mod adopt;
mod builds;
mod carry;
mod copies;
mod hints;
mod index;
mod jobs;
mod listing;
mod logins;
mod orders;
mod overlays;
mod prune;
mod pushes;
mod quota;
mod rollouts;
mod scale;
mod steps;
mod tagging;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::{Action, ActionId, Check, Input, ListRequest};
use crate::admit::{Admission, Scarce};
use crate::desired::{DesiredState, Object, Tree};
use crate::fact::{
    Checkpoint, CommitAdopted, Fact, ImportFailed, Reason, Record, StoredManifest, TagRecovered,
    build_fact, workload_fact,
};
use crate::limits::{CHECKPOINT_INTERVAL, CLOCK_DRIFT_MAX, WAKE_INTERVAL_MAX};
use crate::names::{
    Account, CommitId, ContentHash, Generation, Kind, ObjectKey, Seq, StreamName, StreamTag,
};
use crate::observed::ObservedState;
use crate::observed::build::BuildsState;
use crate::observed::quota::Ledger;
use crate::observed::soft::{RestSoft, Soft};
use crate::plan::{self, Index, Key, Plan, View};

use crate::policy::{Policy, RateLimit};
use crate::sabotage::{self, Bug};
use crate::time::{Monotonic, Now, Timestamp};

pub use builds::{CancelledBuilds, StartedBuild};
pub use rollouts::OrderedRollout;

/// What the loop is to do, in this order (law 1).
#[derive(Clone, PartialEq, Debug)]
pub enum Effect {
    /// Put large values into the object store and sync them.
    Store(Vec<Arc<[u8]>>),
    /// Append records to the journal and sync it. Nothing that follows may happen before that.
    Append(Vec<Record>),
    /// End an action; it still reports.
    Cancel(ActionId),
    /// Start an action.
    Start(ActionId, Action),
    /// Answer an operator.
    Answer(u64, Answer),
    /// Send [`Input::Wake`] at this time.
    WakeAt(Monotonic),
    /// End the process.
    Exit,
}

/// The answer to an operator.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// It is done, and the record with this number says so.
    Done(Seq),
    /// There was nothing to do.
    Nothing(String),
    /// Something is looked at again, and what.
    Looking(String),
    /// It is refused, and why.
    Refused(String),
    /// What only the running process knows.
    Status(Box<Known>),
    /// What a prune took, or would take.
    Pruned(Box<plan::prune::Pruned>),
    /// An order about a rollout is taken.
    Ordered(Box<OrderedRollout>),
    /// A build is created.
    Started(Box<StartedBuild>),
    /// Builds are being ended.
    Cancelled(Box<CancelledBuilds>),
}

/// What only the running process knows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Known {
    /// What it tried.
    pub soft: Soft,
    /// When each check of a registry is due by itself.
    pub due: BTreeMap<Arc<Check>, Monotonic>,
    /// What checks wait for that are due, and until when at least, where that is known.
    pub waits: BTreeMap<Arc<Check>, (Scarce, Option<Monotonic>)>,
    /// The limits of accounts.
    pub limits: BTreeMap<Account, RateLimit>,
}

/// What an action in flight is about.
#[derive(Clone, PartialEq, Debug)]
enum InFlight {
    Source,
    Check(Arc<Check>, Reason),
    /// A stream's repository is listed, asked as this fingerprint says.
    Listing(StreamName, ListRequest, u32),
    Delivery {
        rollout: Seq,
        key: Key,
    },
    /// A manifest is deleted in the managed registry.
    Deletion(StoredManifest),
    /// The image of this tag is copied into the repository of its stream.
    Copy(StreamTag),
    /// The image of the push with this request's number is read.
    Push(u64),
    Silent,
}

/// The state of one daemon, and the one function that changes it.
#[derive(Debug, Clone)]
pub struct Engine {
    policy: Policy,
    tree: Tree,
    /// The commit that `tree` holds.
    tree_commit: Option<CommitId>,
    /// Last valid versions that are in force without being in the tree.
    kept: BTreeMap<ContentHash, Object>,
    desired: DesiredState,
    observed: ObservedState,
    soft: Soft,
    index: Index,
    admission: Admission,
    in_flight: BTreeMap<ActionId, InFlight>,
    /// What actions in flight may ask of registries that count.
    taken: BTreeMap<ActionId, quota::Taken>,
    /// What the journal is told of that before they start.
    marks: quota::Marks,
    next_action: u64,
    dirty: BTreeSet<Key>,
    due: BTreeMap<Key, Monotonic>,
    due_queue: BTreeSet<(Monotonic, Key)>,
    /// Streams checked since the last checkpoint.
    checked: BTreeMap<StreamName, Timestamp>,
    checkpoint_at: Option<Monotonic>,
    /// Wall clock minus monotonic clock when everything was planned last, to notice that the wall clock was set.
    offset: Option<Timestamp>,
    stopping: bool,
    /// Imports that somebody waits for.
    waiting: Vec<orders::Waiting>,
    /// Pushes that are not answered yet, in the order in which they were told.
    pushes: Vec<pushes::Pushing>,
}

/// What one step collects.
#[derive(Debug, Default)]
struct Batch {
    store: Vec<Arc<[u8]>>,
    records: Vec<Record>,
    cancels: Vec<ActionId>,
    starts: Vec<(ActionId, Action)>,
    answers: Vec<(u64, Answer)>,
    /// The generation that each stream gets in this step: one, however many of its tags change.
    generations: BTreeMap<StreamName, Generation>,
}

impl Engine {
    /// Makes an engine that goes on from what the journal proves.
    #[must_use]
    pub fn new(policy: Policy, observed: ObservedState, now: Now) -> Self {
        let mut admission = Admission::default();
        for state in observed.workloads.values() {
            let takes_place = state.is_busy();
            if takes_place && !sabotage::is(Bug::ForgetPlaces) {
                admission.occupy(&Scarce::Rollouts);
            }
        }
        let builds = observed.builds.values().flat_map(BuildsState::running);
        for _ in builds.filter(|_| !sabotage::is(Bug::ForgetBuildPlaces)) {
            admission.occupy(&Scarce::Builds);
        }
        let streams = observed.streams.iter();
        let checked = streams.filter_map(|(name, s)| Some((name.clone(), s.checked?))).collect();
        let limit = |account: &Account| quota::setting(&policy, account).copied();
        let (ledger, ahead) = Ledger::begin(&observed.quota, limit, now);
        let resting = observed.quota.resting.iter();
        let resting = resting.map(|(host, resting)| (host, resting.left(now.wall)));
        let resting = resting.filter(|(_, left)| !left.is_zero()).map(|(host, left)| {
            let until = now.mono.after(left);
            (host.clone(), RestSoft { until, asked: true, failures: 0 })
        });
        let registries = resting.collect();
        let soft = Soft { began: now.mono, checked, ledger, registries, ..Soft::default() };
        Self {
            policy,
            tree: Tree::default(),
            tree_commit: None,
            kept: BTreeMap::new(),
            desired: DesiredState::default(),
            observed,
            soft,
            index: Index::default(),
            admission,
            in_flight: BTreeMap::new(),
            taken: BTreeMap::new(),
            marks: quota::Marks::of(ahead),
            next_action: 1,
            dirty: BTreeSet::from([Key::Source]),
            due: BTreeMap::new(),
            due_queue: BTreeSet::new(),
            checked: BTreeMap::new(),
            checkpoint_at: None,
            offset: None,
            stopping: false,
            waiting: Vec::new(),
            pushes: Vec::new(),
        }
    }

    /// What git asks for, as far as it is adopted.
    #[must_use]
    pub fn desired(&self) -> &DesiredState {
        &self.desired
    }

    /// What the journal proves, the records of the last step included.
    #[must_use]
    pub fn observed(&self) -> &ObservedState {
        &self.observed
    }

    /// What a restart may forget.
    #[must_use]
    pub fn soft(&self) -> &Soft {
        &self.soft
    }

    /// The settings.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Everything that planning may look at.
    #[must_use]
    pub fn view(&self, now: Now) -> View<'_> {
        View {
            desired: &self.desired,
            observed: &self.observed,
            soft: &self.soft,
            policy: &self.policy,
            now,
            index: &self.index,
        }
    }

    /// Takes new settings; everything is planned again at the next step.
    ///
    /// Settings that decide how manifests are read apply to the files that are read from now on; the caller asks for a
    /// whole read by [`Engine::forget_tree`].
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        self.reindex();
        self.dirty_all();
    }

    /// Makes the next read of the source bring every file.
    pub fn forget_tree(&mut self) {
        self.tree_commit = None;
        self.soft.source.nudged = true;
        self.soft.source.outdated = self.soft.source.in_flight;
        self.dirty.insert(Key::Source);
    }

    /// What nobody else knows.
    fn known(&self, now: Now) -> Known {
        let check = |(key, at): (&Key, &Monotonic)| match key {
            Key::Check(check) => Some((check.clone(), *at)),
            Key::Source
            | Key::Listing(_)
            | Key::Tag(_)
            | Key::Build(_)
            | Key::Workload(_)
            | Key::History(_)
            | Key::Manifest(_) => None,
        };
        let due = self.due.iter().filter_map(check).collect();
        let (waits, limits) = (self.waits(now), self.limits());
        Known { soft: self.soft.clone(), due, waits, limits }
    }

    /// Takes in what happened, plans what depends on it, and says what to do.
    #[must_use = "effects do nothing until they are carried out"]
    pub fn step(&mut self, inputs: Vec<Input>, now: Now) -> Vec<Effect> {
        let mut batch = Batch::default();
        self.notice_clock(now);
        let mut stop = false;
        for input in inputs {
            stop |= matches!(input, Input::Stop);
            self.absorb(input, now, &mut batch);
        }
        if stop || self.stopping {
            self.stopping = true;
            self.close_ledger();
            self.checkpoint(now, &mut batch);
            self.set_aside(now, &mut batch);
            return batch.into_effects(Some(Effect::Exit));
        }
        self.begin_orders(now, &mut batch);
        self.take_due(now);
        self.begin_pushes(&mut batch);
        self.settle(now, &mut batch);
        self.end_orders(now, &mut batch);
        if self.checkpoint_due(now) {
            self.checkpoint(now, &mut batch);
        }
        self.renew_marks(now);
        self.set_aside(now, &mut batch);
        batch.into_effects(Some(Effect::WakeAt(self.wake_at(now))))
    }

    /// Keys that a whole plan would act on now, and that neither wait nor are in flight: nothing, after any step (law 4).
    #[must_use]
    pub fn overlooked(&self, now: Now) -> Vec<(Key, Plan)> {
        if self.observed.space_short.is_some() {
            return Vec::new(); // all of it is held, visibly
        }
        let plans = plan::whole(&self.view(now)).into_iter();
        plans.filter(|(key, plan)| !plan.steps.is_empty() && !self.admission.waits(key)).collect()
    }

    /// Plans every dirty key until nothing is dirty: what others depend on comes first.
    ///
    /// Where there is no space for what would follow, all of it stays dirty (rule of law 1: no effect without a record).
    fn settle(&mut self, now: Now, batch: &mut Batch) {
        while self.observed.space_short.is_none() {
            while let Some(key) = self.dirty.pop_first() {
                let plan = plan::plan(&self.view(now), &key);
                self.set_due(&key, plan.due);
                self.carry_out(&key, plan, now, batch);
            }
            // A free place belongs to whoever waits longest; planning it either takes the place or leaves the queue.
            let next = |(scarce, _)| self.admission.next(scarce, self.room(scarce, now)).cloned();
            self.dirty = self.admission.scarce().filter_map(next).collect();
            if self.dirty.is_empty() {
                return;
            }
        }
    }

    /// Appends a fact to the batch and to the state, and marks what depends on it.
    fn record(&mut self, fact: Fact, now: Now, batch: &mut Batch) -> Seq {
        let record = Record { seq: self.observed.next_seq(), at: now.wall, fact };
        if matches!(record.fact, Fact::CommitAdopted(_)) {
            self.mark_rejected();
        }
        self.mark_histories_used(&record.fact);
        self.observed.apply(&record);
        self.note_left(&record.fact);
        self.mark_dependents(&record.fact);
        let seq = record.seq;
        batch.records.push(record);
        seq
    }

    fn mark_dependents(&mut self, fact: &Fact) {
        match fact {
            Fact::TagImported(imported) => {
                self.mark_imported(&imported.tag);
            }
            Fact::ImportFailed(ImportFailed { tag, .. })
            | Fact::TagRecovered(TagRecovered { tag }) => {
                let followers = self.index.tag_followers.get(tag);
                self.dirty.extend(followers.into_iter().flatten().cloned());
                self.dirty.extend(self.key_of_tag(tag));
            }
            Fact::TagsListed(_) | Fact::ListingFailed(_) | Fact::TagRemoved(_) => {
                self.mark_listing(fact);
            }
            Fact::OverlaySet(set) => {
                self.mark_overlaid(set);
                self.mark_gated();
            }
            Fact::ImagesPruned(pruned) => {
                self.dirty.extend(pruned.manifests.iter().cloned().map(Key::Manifest));
            }
            Fact::RemovalsReleased(released) => {
                let objects = released.objects.iter();
                let workloads = objects.filter(|object| object.kind.is_workload());
                self.dirty.extend(workloads.cloned().map(Key::Workload));
                self.mark_left();
            }
            Fact::CommitAdopted(adopted) => self.mark_adopted(adopted),
            workload_fact!() => {
                if let Some(object) = crate::observed::rollout::object_of(fact) {
                    self.dirty.insert(Key::Workload(object.clone()));
                }
                self.mark_left();
            }
            build_fact!() => {
                if let Some(object) = crate::observed::build::object_of(fact) {
                    self.mark_builds(object);
                }
                self.mark_left();
            }
            Fact::RolloutsPaused(paused) => self.mark_paused(paused.object.as_ref()),
            // A firing is recorded with what it leads to; the rest is marked where it is recorded.
            Fact::TriggerFired(_)
            | Fact::TagProbed(_)
            | Fact::TagTrimmed(_)
            | Fact::ImageDeleted(_)
            | Fact::ManifestDeleted(_)
            | Fact::CommitRefused(_)
            | Fact::CommitWithdrawn(_)
            | Fact::SourceFailed(_)
            | Fact::SourceRecovered
            | Fact::ConfigAdopted(_)
            | Fact::RecordsLost(_)
            | Fact::SpaceShort(_)
            | Fact::SpaceRegained(_)
            | Fact::HistoryDropped(_)
            | Fact::Checkpoint(_) => {}
        }
    }

    /// What came or went is not always in a desired state: a mirror may have been lost.
    fn mark_adopted(&mut self, adopted: &CommitAdopted) {
        let removed = adopted.removed.iter().map(|removed| &removed.object);
        for object in removed {
            if object.kind == Kind::BuildConfig {
                self.mark_builds(object);
            } else if object.kind.is_workload() {
                self.dirty.insert(Key::Workload(object.clone()));
            }
        }
        self.mark_rejected();
        self.mark_left();
    }

    fn mark_imported(&mut self, tag: &StreamTag) {
        self.dirty.extend(self.index.tag_followers.get(tag).into_iter().flatten().cloned());
        let stream = self.index.stream_followers.get(&tag.stream);
        self.dirty.extend(stream.into_iter().flatten().cloned());
        self.dirty.extend(self.key_of_tag(tag));
        self.mark_history(tag);
    }

    /// Marks the builds of a `BuildConfig`.
    fn mark_builds(&mut self, object: &ObjectKey) {
        self.dirty.insert(Key::Build(object.clone()));
    }

    fn mark_paused(&mut self, object: Option<&ObjectKey>) {
        let all = self.desired.workloads.keys().filter(|_| object.is_none());
        self.dirty.extend(object.into_iter().chain(all).cloned().map(Key::Workload));
    }

    /// Marks what the adopted commit rejects: before another commit takes its place, and after.
    fn mark_rejected(&mut self) {
        let rejected = self.observed.adopted.iter().flat_map(|adopted| &adopted.rejected);
        let objects = rejected.filter_map(|rejected| rejected.object.as_ref());
        let workloads = objects.filter(|object| object.kind.is_workload());
        self.dirty.extend(workloads.cloned().map(Key::Workload));
        self.mark_gated();
    }

    /// Marks the workloads that wait for a time: who changed something by hand may not have to wait (rule T24).
    fn mark_gated(&mut self) {
        let waits = self.due.keys().filter(|key| matches!(key, Key::Workload(_)));
        self.dirty.extend(waits.cloned());
    }

    fn dirty_all(&mut self) {
        let mut keys =
            plan::keys(&self.view(Now { wall: Timestamp::EPOCH, mono: Monotonic::START }));
        self.dirty.append(&mut keys);
    }

    /// Plans everything again when the wall clock was set: cron slots moved.
    fn notice_clock(&mut self, now: Now) {
        let since_start = now.mono.since(Monotonic::START);
        let millis = i64::try_from(since_start.as_millis()).unwrap_or(i64::MAX);
        let offset = Timestamp::from_millis(now.wall.as_millis().saturating_sub(millis));
        let moved = |old: Timestamp| old.since(offset).max(offset.since(old));
        match self.offset {
            // Compared with the last time that everything was planned: a slow drift adds up.
            Some(old) if moved(old) <= CLOCK_DRIFT_MAX => {}
            Some(_) => {
                self.offset = Some(offset);
                self.dirty_all();
            }
            None => self.offset = Some(offset),
        }
    }

    fn take_due(&mut self, now: Now) {
        while let Some((at, _)) = self.due_queue.first() {
            if *at > now.mono {
                break;
            }
            if let Some((_, key)) = self.due_queue.pop_first() {
                self.due.remove(&key);
                if sabotage::is(Bug::DropDueKey) && matches!(key, Key::Workload(_)) {
                    continue;
                }
                self.dirty.insert(key);
            }
        }
    }

    fn set_due(&mut self, key: &Key, at: Option<Monotonic>) {
        if self.due.get(key).copied() == at {
            return;
        }
        if let Some(old) = self.due.remove(key) {
            self.due_queue.remove(&(old, key.clone()));
        }
        if let Some(at) = at {
            self.due.insert(key.clone(), at);
            self.due_queue.insert((at, key.clone()));
        }
    }

    fn wake_at(&self, now: Now) -> Monotonic {
        let latest = now.mono.after(WAKE_INTERVAL_MAX);
        let due = self.due_queue.first().map(|(at, _)| *at);
        due.into_iter().chain(self.opens_at(now)).fold(latest, Ord::min)
    }

    fn checkpoint_due(&self, now: Now) -> bool {
        let last = self.checkpoint_at.unwrap_or(self.soft.began);
        !self.checked.is_empty() && now.mono.since(last) >= CHECKPOINT_INTERVAL
    }

    fn checkpoint(&mut self, now: Now, batch: &mut Batch) {
        if self.checked.is_empty() {
            return;
        }
        let checked = std::mem::take(&mut self.checked).into_iter();
        let view = self.view(now);
        let oldest = |(stream, at)| {
            let oldest = plan::import::oldest_check(&view, &stream).unwrap_or(at);
            (stream, oldest)
        };
        let checked = checked.map(oldest).collect();
        self.record(Fact::Checkpoint(Checkpoint { checked, ..Checkpoint::default() }), now, batch);
        self.checkpoint_at = Some(now.mono);
    }
}

impl Batch {
    fn into_effects(self, last: Option<Effect>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.store.is_empty() {
            effects.push(Effect::Store(self.store));
        }
        if !self.records.is_empty() {
            effects.push(Effect::Append(self.records));
        }
        if sabotage::is(Bug::StoreAfterAppend) {
            effects.reverse();
        }
        effects.extend(self.starts.into_iter().map(|(id, action)| Effect::Start(id, action)));
        // What is cancelled may have been started in this step: an order may be for less than what is wanted.
        effects.extend(self.cancels.into_iter().map(Effect::Cancel));
        effects.extend(self.answers.into_iter().map(|(id, answer)| Effect::Answer(id, answer)));
        if sabotage::is(Bug::ActBeforeAppend) {
            effects.reverse();
        }
        effects.extend(last);
        effects
    }
}

/// The queue that listings of a registry wait in, the same as checks.
fn registry_of_list(request: &ListRequest) -> Scarce {
    Scarce::Registry(request.repository.registry_host())
}

/// The queue that deletions in a registry wait in, the same as checks.
fn registry_of_manifest(manifest: &StoredManifest) -> Scarce {
    Scarce::Registry(manifest.repository.registry_host())
}

/// The queue that checks of a registry wait in.
fn registry_of(check: &Check) -> Scarce {
    Scarce::Registry(check.image.registry_host())
}
