//! The laws, checked after every step.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::action::{Action, ActionId, Input, JobOrder, TagListing};
use tidegate::desired::ImageStream;
use tidegate::engine::Engine;
use tidegate::fact::{
    CommitAdopted, Fact, HoldReleased, ImagesPruned, JobFinished, JobStarted, Ordered, Outcome,
    Overlaid, OverlaySet, Record, Release, RemovalFate, RolloutCause, RolloutFinished,
    RolloutStarted, RolloutStep, SpecSource, StopFinished, StopStarted, TagImported, TagRemoval,
    TagRemoved, TagTrimmed, TagsListed, Via,
};
use tidegate::names::StreamTag;
use tidegate::names::{
    CommitId, ContentHash, Digest, Incarnation, Kind, ObjectKey, RolloutKey, Seq, StreamName,
};
use tidegate::observed::rollout::{Hold, Rollout, WorkloadState};
use tidegate::observed::tag_history::TagState;
use tidegate::observed::{ObservedState, Presence};
use tidegate::policy::Policy;
use tidegate::time::{Now, Timestamp};

use super::builder::{Builder, Builds};
use super::outside::Targets;
use super::repository::Repository;
use super::simulation::Simulation;
use super::waits::Waits;
use crate::support::engine::LINK;

/// The number of every order: its answer comes later, and only their count matters.
pub(crate) const ORDER: u64 = 2;

/// What the oracle remembers.
#[derive(Default)]
pub(crate) struct Oracle {
    /// The fold of what is durable, made record by record.
    shadow: ObservedState,
    fired: BTreeSet<(ObjectKey, Incarnation, StreamTag, Seq)>,
    /// Holds that ended without an operator since the last rollout of the object.
    released: BTreeMap<ObjectKey, Vec<Hold>>,
    /// What registries answered in this step.
    answered: BTreeSet<Digest>,
    /// Images that failed in this step, and how many checks got an answer at all.
    failed: Vec<String>,
    /// Tags that operators put over git in this step.
    put_over: BTreeSet<StreamTag>,
    /// Removals that an operator let happen.
    let_go: BTreeSet<ObjectKey>,
    last_commit: Option<CommitId>,
    /// What a target said that it works on, since the last start.
    accepted: BTreeSet<RolloutKey>,
    /// How many instances of which rollout there are, where that was changed.
    scaled: BTreeMap<ObjectKey, (Seq, u32)>,
    /// What failed and may not be rolled out as it is: kept here without the fold, which may be wrong.
    held: BTreeMap<ObjectKey, Vec<(BTreeSet<Digest>, ContentHash)>>,
    /// Rollouts whose stop is complete.
    stopped: BTreeSet<(ObjectKey, Seq)>,
    /// Scheduled times that a run began for.
    slots: BTreeSet<(ObjectKey, Timestamp)>,
    /// What waits for a time.
    waits: Waits,
    builds: Builds,
    /// Actions of this process that were answered.
    done: BTreeSet<ActionId>,
    /// Questions of this step that are not answered.
    asked: BTreeSet<u64>,
    /// Orders that are not answered yet.
    orders: usize,
    /// The last listing of a repository.
    listed: TagListing,
    /// Why it could not be made, since it could not.
    not_listed: String,
    /// What checkpoints said.
    pub(crate) checked: BTreeMap<StreamName, Timestamp>,
}

impl Oracle {
    pub(crate) fn before(&mut self, inputs: &[Input]) {
        self.answered.clear();
        self.failed.clear();
        self.put_over.clear();
        self.asked = Simulation::asked_ids(inputs);
        for input in inputs {
            // What is answered a second time is old.
            if let Input::Resolved(id, _) | Input::Listed(id, _) = input
                && !self.done.insert(*id)
            {
                continue;
            }
            match input {
                Input::Resolved(_, Ok(resolution)) => {
                    self.answered.extend(resolution.image.as_ref().map(|image| image.digest));
                }
                Input::Resolved(_, Err(failure)) => self.failed.push(failure.message.clone()),
                Input::Listed(_, Ok(listing)) => {
                    self.listed.clone_from(listing);
                    self.not_listed.clear();
                }
                Input::Listed(_, Err(failure)) => self.not_listed.clone_from(&failure.message),
                Input::SourceRead(..)
                | Input::Spent(..)
                | Input::ManifestDeleted(..)
                | Input::RolloutReported(..)
                | Input::BuildReported(..)
                | Input::Wake
                | Input::Nudged(_)
                | Input::Asked(_)
                | Input::ConfigAdopted(_)
                | Input::RecordsLost(_)
                | Input::Space(_)
                | Input::HistoryDropped(_)
                | Input::Stop => {}
            }
        }
    }

    pub(crate) fn restarted(&mut self, observed: &ObservedState) {
        assert_eq!(&self.shadow, observed, "law 3: replay gives what was folded");
        self.released.clear();
        self.not_listed.clear();
        self.orders = 0;
        self.accepted.clear();
        self.done.clear();
    }

    /// An operator got an answer.
    pub(crate) fn told(&mut self, id: u64) {
        if id == ORDER {
            self.orders = self.orders.checked_sub(1).expect("law 8: an answer to no order");
            return;
        }
        assert!(self.asked.remove(&id), "law 8: an answer to no question");
    }

    /// Somebody waits for an import.
    pub(crate) fn ordered(&mut self) {
        self.orders += 1;
    }

    /// Law 8: whoever waits for an import gets an answer.
    pub(crate) fn every_order_is_answered(&self) {
        assert_eq!(self.orders, 0, "law 8: somebody still waits for an import");
    }

    /// A target says that it works on something.
    pub(crate) fn accepted(&mut self, key: &RolloutKey) {
        self.accepted.insert(key.clone());
    }

    /// Law 1: what is started is durable, and so is what it names.
    pub(crate) fn start(
        &self,
        action: &Action,
        journal: &[Record],
        stored: impl Fn(ContentHash) -> bool,
    ) {
        let fact = |seq: Seq| {
            let at = usize::try_from(seq.0).unwrap() - 1;
            journal.get(at).map(|record| &record.fact)
        };
        match action {
            Action::RollOut(request) => {
                let started = fact(request.key.seq);
                assert!(matches!(started, Some(Fact::RolloutStarted(_))), "law 1: {started:?}");
                assert!(!self.accepted.contains(&request.key), "R30: told again, not asked");
                assert!(stored(request.manifest), "law 1: its manifest is not in the store");
            }
            Action::AskRollout(ask) => {
                let started = fact(ask.key.seq);
                let known = matches!(started, Some(Fact::RolloutStarted(_) | Fact::StopStarted(_)));
                assert!(known, "law 1: {started:?}");
            }
            Action::Stop(request) => {
                let started = fact(request.key.seq);
                assert!(matches!(started, Some(Fact::StopStarted(_))), "law 1: {started:?}");
                assert!(!self.accepted.contains(&request.key), "R30: told again, not asked");
                assert!(stored(request.manifest), "law 1: its manifest is not in the store");
            }
            Action::Scale(request) => {
                let started = fact(request.rollout.key.seq);
                assert!(matches!(started, Some(Fact::RolloutStarted(_))), "law 1: {started:?}");
                let is_kept = stored(request.runs) && request.rendered.is_none_or(&stored);
                assert!(is_kept, "law 1: what is to run is not in the store");
            }
            Action::Job(request) => {
                let began = fact(request.key.seq);
                assert!(matches!(began, Some(Fact::JobStarted(_))), "law 1: {began:?}");
                assert!(stored(request.manifest), "law 1: its manifest is not in the store");
                let seq = request.key.seq;
                let is_said = |record: &Record| match (&record.fact, &request.order) {
                    (Fact::JobCreated(created), JobOrder::Run) => created.job == seq,
                    (Fact::JobEnding(ending), JobOrder::End) => ending.job == seq,
                    (Fact::JobFinished(end), JobOrder::Tidy { .. }) => end.job == seq,
                    (_, order) => matches!(order, JobOrder::Create { .. }),
                };
                assert!(journal.iter().rev().any(is_said), "law 1: {:?}", request.order);
            }
            Action::KeepCommit { seq, .. } => {
                assert!(matches!(fact(*seq), Some(Fact::CommitAdopted(_))), "law 1");
            }
            Action::Notify(notice) => {
                let known = matches!(fact(notice.key.seq), Some(Fact::RolloutStarted(_)));
                assert!(known, "law 1: a notice of what is not known");
            }
            Action::ReadSource(_)
            | Action::Resolve(_)
            | Action::List(_)
            | Action::DeleteManifest(_)
            | Action::TidyBuilds(_) => {}
            Action::Build(request) => {
                let created = fact(request.key.seq);
                assert!(matches!(created, Some(Fact::BuildCreated(_))), "law 1: {created:?}");
                assert!(stored(request.manifest), "law 1: its manifest is not in the store");
                let is_said = |record: &Record| match &record.fact {
                    Fact::BuildStarted(started) => started.build == request.key.seq,
                    _ => false,
                };
                assert!(journal.iter().rev().any(is_said), "law 1: a build was not started");
            }
        }
    }

    /// A record became durable.
    pub(crate) fn record(
        &mut self,
        record: &Record,
        repository: &Repository,
        outside: (&Targets, &Builder),
    ) {
        let targets = outside.0;
        match &record.fact {
            Fact::CommitAdopted(adopted) => self.adopted(adopted, repository),
            Fact::TagImported(imported) => self.imported(imported),
            Fact::TagTrimmed(trimmed) => self.trimmed(trimmed),
            Fact::TagsListed(listed) => self.listed(listed),
            Fact::TagRemoved(removed) => self.tag_removed(removed),
            Fact::OverlaySet(set) => {
                self.overlaid(set);
                self.tagged(set, targets);
            }
            Fact::ImagesPruned(pruned) => self.pruned(pruned, repository),
            Fact::ImageDeleted(deleted) => self.image_deleted(deleted.image),
            Fact::TriggerFired(fired) => {
                let life = self.shadow.objects[&fired.object].incarnation;
                let identity = (fired.object.clone(), life, fired.from.clone(), fired.event);
                assert!(self.fired.insert(identity), "law 6: fired twice: {fired:?}");
            }
            Fact::RolloutStarted(started) => {
                Waits::begins(record.at, started, &self.shadow);
                self.waits.is_its_template(started, repository);
                self.started(started);
            }
            Fact::RolloutFinished(finished) => self.finished(finished, targets),
            Fact::BuildCreated(created) => self.builds.created(created, &self.shadow),
            Fact::BuildStarted(started) => Builds::started(started, &self.shadow),
            Fact::BuildFinished(end) => Builds::finished(end, &self.shadow, outside.1),
            Fact::JobStarted(job) => self.job_started(record.at, job),
            Fact::JobFinished(finished) => self.job_finished(finished, targets),
            Fact::HoldReleased(released) => self.hold_released(record.at, released),
            Fact::RemovalsReleased(released) => self.let_go.extend(released.objects.clone()),
            Fact::StopStarted(started) => self.stopped(started, repository),
            Fact::ScaleStarted(_) | Fact::ScalePrepared(_) | Fact::ScaleFinished(_) => {
                self.scaled(&record.fact, targets);
            }
            Fact::CommitRefused(_)
            | Fact::CommitWithdrawn(_)
            | Fact::SourceFailed(_)
            | Fact::SourceRecovered
            | Fact::TagProbed(_)
            | Fact::ImportFailed(_)
            | Fact::ListingFailed(_)
            | Fact::TagRecovered(_)
            | Fact::RolloutStepped(_)
            | Fact::RolloutSuperseded(_)
            | Fact::BuildEnding(_)
            | Fact::JobCreated(_)
            | Fact::JobEnding(_)
            | Fact::JobMissed(_)
            | Fact::RolloutsPaused(_)
            | Fact::DigestHeld(_)
            | Fact::ManifestDeleted(_)
            | Fact::ConfigAdopted(_)
            | Fact::RecordsLost(_)
            | Fact::SpaceShort(_)
            | Fact::SpaceRegained(_)
            | Fact::HistoryDropped(_) => {}
            // What runs is rolled out again, whatever failed beside it.
            Fact::RolloutOrdered(ordered)
                if ordered.order == (Ordered::Latest { again: true })
                    && self.shadow.workloads[&ordered.object].active().is_some() => {}
            Fact::RolloutOrdered(ordered) => {
                self.held.remove(&ordered.object);
                self.released.remove(&ordered.object);
            }
            Fact::StopFinished(finished) => self.ended(finished),
            Fact::Checkpoint(checkpoint) => {
                self.checked.extend(checkpoint.checked.iter().map(|(s, at)| (s.clone(), *at)));
            }
        }
        self.shadow.apply(record);
    }

    fn ended(&mut self, finished: &StopFinished) {
        let stop = self.shadow.workloads[&finished.object].stop.as_ref();
        let rollout = stop.expect("what ends was started").started.rollout;
        if finished.outcome == Outcome::Complete {
            self.stopped.insert((finished.object.clone(), rollout));
            self.held.remove(&finished.object);
        }
    }

    /// D22, law 8: what is scaled is so, and is scaled once.
    fn scaled(&mut self, fact: &Fact, targets: &Targets) {
        if let Fact::ScaleStarted(started) = fact {
            let now = (started.rollout, started.to);
            let known = self.scaled.get(&started.object);
            assert_ne!(known, Some(&now), "law 6: {} is scaled again", started.object);
            let state = &self.shadow.workloads[&started.object];
            assert!(!state.is_busy(), "D22: {} is scaled while it changes", started.object);
        }
        let Fact::ScaleFinished(finished) = fact else { return };
        if finished.outcome == Outcome::Complete {
            let scale = self.shadow.workloads[&finished.object].scale.as_ref().unwrap();
            let (rollout, to) = (scale.started.rollout, scale.started.to);
            let there = targets.host.instances(&finished.object);
            assert_eq!(there, Some(to), "law 8: {} is not scaled", finished.object);
            self.scaled.insert(finished.object.clone(), (rollout, to));
        }
    }

    fn hold_released(&mut self, at: Timestamp, released: &HoldReleased) {
        // Times that a clock reached too early come again.
        self.slots.retain(|(object, slot)| *object != released.object || *slot <= at);
        let state = &self.shadow.workloads[&released.object];
        let holds = match released.because {
            Release::Operator { .. } => Vec::new(),
            Release::NewImages | Release::NewTemplate | Release::Removed => state.holds.clone(),
        };
        self.released.insert(released.object.clone(), holds);
        self.held.remove(&released.object);
    }

    /// Law 6, R17a: for one scheduled time there is one run, of what is in force, and not before its time.
    fn job_started(&mut self, at: Timestamp, job: &JobStarted) {
        let state = &self.shadow.workloads[&job.object];
        let active = state.active().expect("what runs is in force");
        assert_eq!(active.seq, job.rollout, "R17a: another revision runs");
        assert_eq!(active.started.images, job.images, "R17a: other images run");
        let Some(slot) = job.slot else { return };
        assert!(slot <= at, "R17a: {} comes before its time", job.name);
        assert!(self.slots.insert((job.object.clone(), slot)), "law 6: {slot} is run twice");
        let alone = state.jobs.running().next().is_none();
        assert!(alone, "R17a: `concurrencyPolicy: Forbid`: {} does not wait", job.name);
    }

    /// Laws 6 and 8: a run ends once, and as it did.
    fn job_finished(&self, finished: &JobFinished, targets: &Targets) {
        let job = self.shadow.workloads[&finished.object].jobs.find(finished.job);
        let job = job.expect("what ends was begun");
        assert_eq!(job.end, None, "a run ended twice");
        let key = job.started.key(job.seq);
        match (finished.outcome, finished.reason.as_str()) {
            (Outcome::Complete, _) => targets.host.ended(&key, true),
            (Outcome::Failed, "exit status 1") => targets.host.ended(&key, false),
            (Outcome::Failed | Outcome::Cancelled, _) => {}
        }
    }

    /// Laws 4 and 6: a rollout ends once, and as its target did.
    fn finished(&mut self, finished: &RolloutFinished, targets: &Targets) {
        let rollout = self.rollout(&finished.object, finished.rollout);
        assert!(rollout.end.is_none(), "a rollout ended twice");
        let key = rollout.started.key(rollout.seq);
        // A target that could not be reached may have done it all the same.
        let verdict = finished.outcome != Outcome::Failed || finished.reason == "unhealthy";
        if !rollout.started.steps.is_empty() {
            self.stepped(finished, &key, targets);
        } else if verdict {
            Self::truthful(&key, finished.outcome, targets);
        }
        if finished.outcome == Outcome::Failed {
            let failed = (rollout.digests(), rollout.started.template);
            self.held.entry(finished.object.clone()).or_default().push(failed);
        }
    }

    /// Law 8, R7: a rollout in steps ends as its host is.
    fn stepped(&self, finished: &RolloutFinished, key: &RolloutKey, targets: &Targets) {
        let active = self.shadow.workloads[&finished.object].active();
        let active = active.map(|active| (active.started.key(active.seq), active.size()));
        match (finished.outcome, finished.rolled_back) {
            (Outcome::Complete, _) => targets.host.is_complete(&finished.object, key),
            (_, Some(true)) => {
                targets.host.is_rolled_back(&finished.object, key, active.as_ref());
            }
            // Nobody knows what runs: that is a failure, whatever it was to be.
            how => assert_eq!(how, (Outcome::Failed, Some(false)), "law 8: {key}"),
        }
    }

    /// Law 7: only a whole listing that has tags makes one vanish (rule I196).
    fn listed(&self, listed: &TagsListed) {
        let known = self.shadow.streams.get(&listed.stream).and_then(|s| s.listing.as_ref());
        let before = |tag| known.and_then(|known| known.derived.get(tag).copied().flatten());
        let new = listed
            .vanished
            .iter()
            .find(|gone| before(&gone.tag).is_none_or(|missing| missing.listings != gone.listings));
        let told = self.listed.complete && !self.listed.tags.is_empty();
        assert!(told || new.is_none(), "law 7: {new:?} vanished in {:?}", self.listed);
    }

    /// Law 7: a tag goes only if nothing runs what it had (rules I93, I196).
    fn tag_removed(&self, removed: &TagRemoved) {
        let state = self.shadow.tag(&removed.tag).expect("what goes was there");
        let images: BTreeSet<_> = state.items.iter().filter_map(|item| item.event.image).collect();
        if removed.because == TagRemoval::VanishedTags {
            let missing = self.shadow.streams[&removed.tag.stream].listing.as_ref();
            let missing = missing.and_then(|known| known.derived[&removed.tag.tag]);
            assert!(missing.is_some_and(|missing| missing.listings >= 2), "I196: too early");
            for (object, workload) in &self.shadow.workloads {
                let seen = workload.seen.contains_key(&removed.tag);
                let rollouts = [workload.active(), workload.last()].into_iter().flatten();
                let runs = rollouts.flat_map(Rollout::digests).any(|d| images.contains(&d));
                assert!(!seen || !runs, "I196: {object} uses {}", removed.tag);
            }
        }
    }

    fn image_deleted(&self, image: Digest) {
        let images = tidegate::effective::images(&self.shadow);
        assert!(images.contains_key(&image), "I165: what is not there is deleted");
    }

    /// Law 9: one commit, one record; what it has is not removed.
    fn adopted(&mut self, adopted: &CommitAdopted, repository: &Repository) {
        let again = self.last_commit == Some(adopted.commit);
        assert!(!again, "law 9: commit {} was adopted twice in a row", adopted.commit);
        self.last_commit = Some(adopted.commit);
        self.overlays_end(adopted, repository);
        let paths = repository.paths(adopted.commit);
        for removed in &adopted.removed {
            // Every object stands in a file of its own here.
            let path = path_of(&removed.object);
            assert!(!paths.contains(path.as_str()), "law 9: {path} is present and removed");
        }
        for appeared in &adopted.appeared {
            let before = self.shadow.objects.get(&appeared.object);
            if before.is_some_and(|known| known.incarnation != appeared.incarnation) {
                self.held.remove(&appeared.object);
            }
            let lives = before.map(|known| known.incarnation) <= Some(appeared.incarnation);
            assert!(lives, "a life went back");
            self.let_go.remove(&appeared.object);
            if appeared.object.kind == Kind::ImageStream && appeared.object.name.as_str() == "s3" {
                self.not_listed.clear(); // it was of another life
            }
        }
    }

    /// I102.5: an overlay stands on the commit in force, and a withdrawal on an overlay.
    fn overlaid(&mut self, set: &OverlaySet) {
        let commit = self.shadow.adopted.as_ref().map(|adopted| adopted.commit);
        assert_eq!(commit, Some(set.commit), "I102.5: {set:?}");
        let withdrawn = set.overlay == Overlaid::Withdrawn;
        let known = self.shadow.overlay(&set.tag).is_some();
        assert!(known || !withdrawn, "I102.5: what is not there is withdrawn: {}", set.tag);
        self.put_over.insert(set.tag.clone());
    }

    /// D40.2: a hook tags what its rollout runs and was seen to be healthy, once.
    fn tagged(&self, set: &OverlaySet, targets: &Targets) {
        let Some(seq) = set.rollout else { return };
        let mut all = self.shadow.workloads.values().flat_map(|state| &state.rollouts);
        let rollout = all.find(|rollout| rollout.seq == seq).expect("what tags was started");
        let (started, step) = (&rollout.started, rollout.step.as_ref().map(|now| now.step));
        assert_eq!(rollout.end, None, "D40.2: {} tags after its end", started.object);
        let hook = step.and_then(|step| started.tags_at(step)).expect("D40.2: no such hook");
        let tag = hook.tags.iter().find(|tag| tag.to == set.tag).expect("D40.2: another tag");
        let Overlaid::Spec(spec) = &set.overlay else { panic!("D40.2: it takes a tag away") };
        let SpecSource::Registry(from) = &spec.from else { panic!("D40.2: no image: {spec:?}") };
        let runs = started.image_of(&tag.container).and_then(|image| image.digest);
        assert_eq!(from.digest, runs, "D40.2: {} gets another image", set.tag);
        targets.host.is_complete(&started.object, &started.key(seq));
        let known = self.shadow.overlay(&set.tag).and_then(|overlay| overlay.spec.as_ref());
        assert_ne!(known, Some(spec), "D40.2: {} says so already", set.tag);
    }

    /// I102.5: a commit ends the overlays of the tags that it says something else of than the commit that they stand on,
    /// and no other. Where one of the two cannot be read, or has no such stream, nothing is known here.
    fn overlays_end(&self, adopted: &CommitAdopted, repository: &Repository) {
        for (tag, overlay) in self.shadow.overlays() {
            let before = repository.stream(overlay.commit, &tag.stream);
            let (Some(before), Some(after)) =
                (before, repository.stream(adopted.commit, &tag.stream))
            else {
                continue;
            };
            let of = |stream: &ImageStream| stream.tags.get(&tag.tag).cloned();
            let touched = of(&before) != of(&after);
            let ended = adopted.superseded.contains(&tag);
            assert_eq!(ended, touched, "I102.5: {tag}, over {}", overlay.commit);
        }
    }

    /// Law 7: a tag becomes what a registry answered just now, or what it was.
    fn imported(&self, imported: &TagImported) {
        let before = self.shadow.tag(&imported.tag).and_then(TagState::image);
        let Some(image) = imported.event.image else { return };
        if matches!(imported.via, Via::Alias(_)) && imported.asked != 0 {
            let known = self.shadow.tag(&imported.tag).map(|tag| tag.asked);
            let copied = self.answered.contains(&image) || known == Some(imported.asked);
            assert!(copied, "I80: nobody copied {image} for {}", imported.tag);
        }
        let answered = self.answered.contains(&image) || before == Some(image);
        assert!(answered || imported.via != Via::Registry, "law 7: nobody answered {image}");
    }

    /// I64: what a workload runs stays in the history of the tag that it watches, and so does item 0.
    fn trimmed(&self, trimmed: &TagTrimmed) {
        let items = &self.shadow.tag(&trimmed.tag).expect("what is cut is known").items;
        let gone = |seq: &Seq| items.iter().skip(1).find(|item| item.seq == *seq);
        let gone = trimmed.items.iter().map(|seq| gone(seq).expect("an old item").event.image);
        let gone: BTreeSet<_> = gone.flatten().collect();
        for (object, state) in &self.shadow.workloads {
            let present = self.shadow.objects[object].presence == Presence::Present;
            if present && state.seen.contains_key(&trimmed.tag) {
                let runs = state.active().map(Rollout::digests).unwrap_or_default();
                assert!(runs.is_disjoint(&gone), "I64: {object} runs what {} lost", trimmed.tag);
            }
        }
    }

    /// K21: nothing goes that runs or that something is put back to, and no image of a tag that git names.
    fn pruned(&self, pruned: &ImagesPruned, repository: &Repository) {
        let mut gone = BTreeSet::new();
        for of_tag in &pruned.items {
            let tag = self.shadow.tag(&of_tag.tag).expect("what is cut is known");
            for seq in &of_tag.items {
                let at = tag.items.iter().position(|item| item.seq == *seq).expect("an item");
                let written = self.is_written(&of_tag.tag, repository);
                assert!(at > 0 || !written, "I159: {} loses its image", of_tag.tag);
                gone.extend(tag.items[at].event.image);
            }
        }
        for (object, state) in &self.shadow.workloads {
            let runs = [state.active(), state.last()].into_iter().flatten();
            let runs: BTreeSet<_> = runs.flat_map(Rollout::digests).collect();
            let safe = runs.is_disjoint(&gone) && !pruned.images.iter().any(|i| runs.contains(i));
            assert!(safe, "I156: {object} runs what was pruned");
        }
        let named = pruned.items.iter().map(|of_tag| (&of_tag.tag, &of_tag.items));
        let named: BTreeMap<_, _> = named.collect();
        for (name, stream) in &self.shadow.streams {
            for (tag, state) in &stream.tags {
                let lost = named.get(&name.tag(tag.clone()));
                let left = state.items.iter().filter(|i| lost.is_none_or(|l| !l.contains(&i.seq)));
                let left = left.filter_map(|item| item.event.image);
                let image = left.into_iter().find(|image| pruned.images.contains(image));
                assert!(image.is_none(), "I160: {name}:{tag} still names {image:?}");
            }
        }
    }

    /// Whether the manifest of a stream, as the adopted commit has it, names a tag.
    fn is_written(&self, tag: &StreamTag, repository: &Repository) -> bool {
        let commit = self.shadow.adopted.as_ref().expect("a prune follows a commit").commit;
        let path = path_of(&ObjectKey::stream(&tag.stream));
        let text = repository.commits[&commit].get(&path);
        // One whose manifest cannot be read has its last valid version, which may not have it.
        let readable =
            |text: &&String| text.contains("kind: ImageStream\n") && !text.contains("[unclosed");
        let named = format!("- name: '{}'\n", tag.tag);
        if self.shadow.overlay(tag).is_some_and(|overlay| overlay.spec.is_none()) {
            return false; // an operator says that there is none
        }
        text.filter(readable).is_some_and(|text| text.contains(&named))
    }

    fn started(&mut self, started: &RolloutStarted) {
        let state = self.shadow.workloads.get(&started.object);
        let rollouts = state.map_or(&[][..], |state| &state.rollouts);
        assert!(rollouts.iter().all(|r| r.end.is_some()), "two rollouts of one object");
        let held = state.and_then(|state| state.hold(&digests(started), started.template));
        let is_ordered = state.is_some_and(|state| state.order.is_some());
        // What runs may be held, where a restart of it failed and it was put back: an operator may restart it again.
        let runs = state.and_then(WorkloadState::active).map(|active| &active.started);
        let is_restart = is_ordered
            && runs.is_some_and(|runs| {
                digests(runs) == digests(started) && runs.template == started.template
            });
        if started.cause != RolloutCause::Restore && !is_restart {
            assert!(held.is_none(), "law 6: a held set is rolled out: {held:?}");
            let failed = self.held.get(&started.object).into_iter().flatten();
            let same = (digests(started), started.template);
            let failed = failed.filter(|failed| **failed == same).count();
            assert_eq!(failed, 0, "law 6: what failed is rolled out again");
            for hold in self.released.remove(&started.object).unwrap_or_default() {
                let same = hold.digests == digests(started) && hold.template == started.template;
                assert!(!same, "law 6: a hold was released by what it holds");
            }
        }
        if let Some(last) = state.and_then(|state| state.last())
            && last.outcome() == Some(Outcome::Complete)
            && !is_ordered
        {
            // By container: two that change their images with each other run something else.
            let images = |started: &RolloutStarted| -> BTreeMap<_, _> {
                let images = started.images.iter();
                images.map(|image| (image.container.clone(), image.digest)).collect()
            };
            let same = images(&last.started) == images(started)
                && last.started.template == started.template
                && last.started.target == started.target
                && last.started.cron == started.cron;
            assert!(!same, "law 6: {} runs exactly this already", started.object);
        }
        let presence = self.shadow.objects[&started.object].presence;
        let in_force = match presence {
            Presence::Present => true,
            Presence::Removed { fate, .. } => matches!(fate, RemovalFate::Held { .. }),
        };
        assert!(in_force, "law 7: rolled out, and not in git");
    }

    fn rollout(&self, object: &ObjectKey, seq: Seq) -> &Rollout {
        let rollouts = &self.shadow.workloads[object].rollouts;
        rollouts.iter().find(|rollout| rollout.seq == seq).expect("what ends was started")
    }

    /// Law 8: what is shown is what the target did.
    fn truthful(key: &RolloutKey, outcome: Outcome, targets: &Targets) {
        let seen = targets.seen.get(key);
        let did = seen.and_then(|seen| seen.outcome);
        match outcome {
            Outcome::Complete => assert_eq!(did, Some(Outcome::Complete), "law 8: {key}"),
            Outcome::Failed => assert_ne!(did, Some(Outcome::Complete), "law 8: {key}"),
            Outcome::Cancelled => {}
        }
        assert!(seen.is_none_or(|seen| seen.effects <= 1), "law 6: {key} had an effect twice");
    }

    /// Law 7: only what the adopted commit does not have is stopped.
    fn stopped(&self, started: &StopStarted, repository: &Repository) {
        let again = self.stopped.contains(&(started.object.clone(), started.rollout));
        assert!(!again, "law 6: {} is stopped again", started.object);
        let adopted = self.shadow.adopted.as_ref().expect("a stop follows from a commit");
        let paths = repository.paths(adopted.commit);
        let path = path_of(&started.object);
        // What an unreadable file holds is not known, once its object was removed.
        let in_git = repository.commits[&adopted.commit].get(&path);
        let readable =
            in_git.is_some_and(|text| !text.contains("[unclosed") && text.as_str() != LINK);
        assert!(!readable, "law 7: {path} is in git and was stopped");
        let emptied = paths.is_empty() && !self.let_go.contains(&started.object);
        let removed_before = self.removed_before(&started.object, adopted.seq);
        assert!(!emptied || removed_before, "law 7: an empty tree stopped {path}");
    }

    /// Whether an object was removed by an earlier commit than the adopted one.
    fn removed_before(&self, object: &ObjectKey, _adopted: Seq) -> bool {
        let adopted_at = self.shadow.adopted.as_ref().map(|adopted| adopted.at);
        match self.shadow.objects[object].presence {
            Presence::Removed { at, .. } => Some(at) != adopted_at,
            Presence::Present => false,
        }
    }

    /// Laws that hold between steps.
    pub(crate) fn after(
        &self,
        engine: &Engine,
        policy: &Policy,
        flights: &[(&Action, bool)],
        now: Now,
    ) {
        assert!(self.asked.is_empty(), "law 8: an operator got no answer");
        assert_eq!(&self.shadow, engine.observed(), "law 3: same journal, same state");
        let overlooked = engine.overlooked(now);
        assert!(overlooked.is_empty(), "law 4: {overlooked:?}");
        let state = engine.observed();
        let busy = |state: &&WorkloadState| state.is_busy();
        let running = state.workloads.values().filter(busy).count();
        // What runs after a restart may be more than a lowered limit; the limit never changes here.
        assert!(running <= policy.rollouts_in_flight_max, "{running} rollouts and stops at once");
        for host in ["r0.io", "r1.io"] {
            let asks = |(action, _): &&(&Action, bool)| match action {
                Action::Resolve(request) => request.check.image.registry_host() == host,
                Action::List(request) => request.repository.registry_host() == host,
                _ => false,
            };
            let checks = flights.iter().filter(asks).count();
            assert!(checks <= policy.checks_in_flight_max, "{checks} checks at {host}");
        }
        let index = engine.view(now).index;
        for (check, soft) in &engine.soft().checks {
            let asked = soft.in_flight || index.checks.contains_key(check);
            assert!(asked, "a check is kept that nobody asks for: {}", check.image);
        }
        Builds::after(state, flights, policy.builds_in_flight_max);
        Waits::are_told(engine, now);
        self.failures_are_told(engine);
        self.failed_listings_are_told(engine);
        self.superseded_end(flights);
    }

    /// Law 8: a stream whose repository cannot be listed says so (rule I60).
    fn failed_listings_are_told(&self, engine: &Engine) {
        let stream: StreamName = "shop/s3".parse().unwrap();
        let paused = engine.desired().streams.get(&stream).is_none_or(|stream| stream.paused);
        let flying =
            engine.soft().listings.get(&stream).is_none_or(|soft| soft.attempts.at.is_none());
        if self.not_listed.is_empty() || paused || flying {
            return;
        }
        let known = engine.observed().streams[&stream].listing.as_ref();
        let failure = known.and_then(|known| known.failure.as_ref());
        let told = failure.is_some_and(|failure| failure.message == self.not_listed);
        assert!(told, "law 8: {stream} cannot be listed and does not say so");
    }

    /// D16: what delivers a superseded rollout is told to end.
    fn superseded_end(&self, flights: &[(&Action, bool)]) {
        for (action, cancelled) in flights {
            let Action::RollOut(request) = action else { continue };
            // Putting back what ran before is how it ends.
            if request.step.as_ref().is_some_and(|order| order.step == RolloutStep::RollingBack) {
                continue;
            }
            let running = self.shadow.workloads[&request.object].running();
            let superseded = running
                .filter(|running| running.seq == request.key.seq)
                .is_some_and(|running| running.superseded.is_some());
            assert!(!superseded || *cancelled, "D16: {} goes on", request.key);
        }
    }

    /// Law 8: a tag whose check failed says so.
    fn failures_are_told(&self, engine: &Engine) {
        for stream in engine.desired().streams.values().filter(|stream| !stream.paused) {
            for tag in stream.tags.keys() {
                let tag = stream.name.tag(tag.clone());
                let spec = &engine.desired().streams[&tag.stream].tags[&tag.tag];
                let Some(tidegate::desired::TagSource::Registry(image)) = &spec.from else {
                    continue;
                };
                let name = format!("{image} insecure={}: ", spec.insecure);
                if self.failed.iter().any(|message| message.starts_with(&name)) {
                    let state = engine.observed().tag(&tag);
                    // One that has its image and no schedule does not ask when another of the same source does.
                    let at_rest = |tag: &TagState| tag.current().is_some() && !tag.is_due();
                    if !spec.scheduled && state.is_some_and(at_rest) {
                        continue;
                    }
                    // One that asks since this step was not there when the failure came.
                    let stream = &engine.desired().streams[&tag.stream];
                    let check = tidegate::effective::check_of(stream, spec, engine.policy());
                    let soft = check.and_then(|check| engine.soft().checks.get(&check));
                    let anew = soft.is_some_and(|s| s.in_flight) || self.put_over.contains(&tag);
                    if state.is_some_and(TagState::is_due) && anew {
                        continue;
                    }
                    let told = state.is_some_and(|tag| tag.condition.is_some());
                    assert!(told, "law 8: {tag} failed and does not say so");
                }
            }
        }
    }
}

/// The file that an object stands in.
pub(crate) fn path_of(object: &ObjectKey) -> String {
    let kind = match object.kind {
        Kind::ImageStream => "is",
        Kind::BuildConfig => "bc",
        Kind::DeploymentConfig => "dc",
        Kind::CronJob => "cj",
        Kind::Pod => "pod",
        _ => "deploy",
    };
    format!("{}/{kind}-{}.yaml", object.namespace, object.name)
}

fn digests(started: &RolloutStarted) -> BTreeSet<Digest> {
    started.images.iter().filter_map(|image| image.digest).collect()
}
