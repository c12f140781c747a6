//! What happens outside: people, registries, clocks, disks; and what the world answers.

use std::sync::Arc;
use std::time::Duration;

use tidegate::action::{
    Action, ActionId, Ask, BuildOrder, CancelBuildOrder, ImageContents, ImportFailure, ImportOrder,
    Input, JobRequest, Nudge, OverlayOrder, PruneRequest, Request, RolloutOrder, RolloutReport,
    RolloutRequest, RolloutVerb, RunOrder, ScaleRequest, StepOrder, StopRequest,
};
use tidegate::fact::{
    BuildOptions, ImportReason, Keep, PruneOptions, RolloutStep, SpecSource, TagSpec,
};
use tidegate::journal::ObjectStore;
use tidegate::names::{BuildNumber, ContentHash, Kind, ObjectKey};
use tidegate::pods::Pods;
use tidegate::reference::ImageReference;
use tidegate::time::{Span, Timestamp};

use super::disk::SimDisk;
use super::oracle::ORDER;
use super::outside::{self, Mood, Targets};
use super::repository::IMAGES;
use super::simulation::{Flight, HOST, Simulation};
use super::{host, meter};

const HOSTS: [&str; 2] = ["r0.io", "r1.io"];

impl Simulation {
    /// One thing happens outside, or nothing.
    pub(super) fn happen(&mut self) {
        self.events += 1;
        match self.rng.below(32) {
            0 | 1 => self.events -= 1,
            2 => self.start_builds(),
            3..=6 => self.commit(),
            7 => self.strange_commit(),
            8 => self.reach(),
            9..=14 => {
                let told = self.registries.push(&mut self.rng);
                self.tell(|| told);
                self.nudge_tags();
            }
            15 | 16 => self.moods(),
            17 | 18 => {
                self.crash = true;
                self.tell(|| "the next step is cut short".into());
            }
            19..=21 => {
                let (left, part) = (self.rng.below(24), self.rng.below(9));
                self.durable.disk.arm(left, part);
                self.tell(|| format!("the machine stops in {left} operations of the disk"));
            }
            22 => {
                let refusals = 1 + self.rng.below(6);
                self.durable.disk.fill_up(u32::try_from(refusals).unwrap());
                self.tell(|| format!("the disk is full, {refusals} times"));
            }
            23 => {
                let syncs = 1 + self.rng.below(3);
                self.durable.disk.fail_syncs(u32::try_from(syncs).unwrap());
                self.tell(|| format!("{syncs} syncs will fail"));
            }
            24 | 25 => self.clocks(),
            26..=28 => {
                let question = self.question();
                self.step(vec![question]);
            }
            29 => self.restart(),
            _ => self.reload(),
        }
    }

    fn commit(&mut self) {
        let told = self.repository.edit(&mut self.rng);
        self.tell(|| format!("commit: {told}"));
        if !self.rng.one_in(4) {
            self.nudge_source();
        }
    }

    fn strange_commit(&mut self) {
        let told = match self.rng.below(4) {
            0 => {
                self.repository.empty();
                "commit: an empty tree"
            }
            1 => {
                self.repository.refused();
                "commit: a tree that cannot be read"
            }
            _ => {
                self.repository.force_back(&mut self.rng);
                "force push of an old commit"
            }
        };
        self.tell(|| told.into());
        self.nudge_source();
    }

    fn reach(&mut self) {
        self.repository.reachable = !self.repository.reachable;
        let reachable = self.repository.reachable;
        self.tell(|| format!("repository reachable: {reachable}"));
    }

    fn moods(&mut self) {
        let moods = [Mood::Up, Mood::Up, Mood::Down, Mood::Limiting, Mood::Lying, Mood::Slow];
        let mood = *self.rng.pick(&moods);
        // A storm takes both.
        let hosts = *self.rng.pick(&[&HOSTS[..1], &HOSTS[1..], &HOSTS[..]]);
        for host in hosts {
            self.registries.moods.insert(host, mood);
        }
        self.tell(|| format!("{hosts:?} {mood:?}"));
    }

    /// The clocks jump: apart, or both at once while nothing runs.
    fn clocks(&mut self) {
        let hours = *self.rng.pick(&[1, -1, 9, -30]);
        if self.rng.one_in(3) {
            let span = Duration::from_secs(3_600 * 5);
            self.tell(|| "the machine stands still for 5 h".into());
            self.go_to(self.now.mono.after(span));
        } else {
            let wall = self.now.wall.as_millis() + 3_600_000 * hours;
            self.now.wall = Timestamp::from_millis(wall);
            if hours > 0 {
                self.registries.meter.unsure = Some(self.now.mono);
            }
            self.tell(|| format!("the wall clock is set by {hours} h"));
        }
    }

    /// Somebody changes settings.
    fn reload(&mut self) {
        match self.rng.below(2) {
            0 => self.policy.prune_grace = Duration::from_secs(self.rng.below(3) * 30),
            _ => {
                let host = HOST.parse().unwrap();
                if self.policy.targets.remove(&host).is_none() {
                    self.policy.targets.insert(host, Duration::from_secs(600));
                }
            }
        }
        self.set_policy();
    }

    fn nudge_source(&mut self) {
        for _ in 0..self.rng.below(3) {
            self.step(vec![Input::Nudged(Nudge::Source)]);
        }
    }

    fn nudge_tags(&mut self) {
        let tags =
            ["shop/s0:t", "shop/s1:t", "shop/s2:t", "shop/s2:follow", "shop/s3:v1", "shop/gone:x"];
        for _ in 0..self.rng.below(4) {
            let tag = self.rng.pick(&tags).parse().unwrap();
            self.step(vec![Input::Nudged(Nudge::Tag(tag))]);
        }
    }

    /// An operator asks something.
    pub(super) fn question(&mut self) -> Input {
        let objects: Vec<_> = self.engine.observed().workloads.keys().cloned().collect();
        if self.rng.one_in(4) {
            return self.order();
        }
        if self.rng.one_in(4) {
            return self.overlay();
        }
        let request = match self.rng.below(7) {
            6 if !objects.is_empty() => {
                let object = Some(self.rng.pick(&objects).clone());
                Request::Rollout(RolloutOrder { object, verb: self.verb(), force: false })
            }
            0 => self.hint(),
            1 => Request::ReleaseRemovals,
            2 => self.prune(),
            3 if self.rng.one_in(2) => self.delete_image(),
            3 => self.build(),
            _ if objects.is_empty() => Request::Status,
            5 if self.rng.one_in(2) => self.run(&objects),
            _ => {
                let object = self.rng.pick(&objects).clone();
                self.targets.host.released(&object);
                Request::Release(object)
            }
        };
        self.tell(|| format!("operator: {request:?}"));
        Input::Asked(Ask { id: 1, by: "ann".into(), request })
    }

    /// Somebody runs a `CronJob` now.
    fn run(&mut self, objects: &[ObjectKey]) -> Request {
        let Some(object) = objects.iter().find(|object| object.kind == Kind::CronJob) else {
            return Request::Status;
        };
        let name = format!("by-hand-{}", self.engine.observed().last_seq).parse().unwrap();
        Request::RunJob(RunOrder { object: object.clone(), name })
    }

    /// Somebody starts a build, or ends those that go on.
    fn build(&mut self) -> Request {
        let name = *self.rng.pick(&["b0", "b1", "b2"]);
        let object: ObjectKey = format!("BuildConfig/shop/{name}").parse().unwrap();
        if self.rng.one_in(4) {
            return Request::CancelBuild(CancelBuildOrder { object, number: None });
        }
        let again = self.rng.one_in(4).then(|| BuildNumber(1 + self.rng.below(4)));
        let options = BuildOptions::default();
        Request::StartBuild(Box::new(BuildOrder { object, webhook: None, options, again }))
    }

    /// What an operator orders of rollouts; what is paused is resumed more often than not.
    fn verb(&mut self) -> RolloutVerb {
        match self.rng.below(9) {
            0 => RolloutVerb::Latest { again: false },
            1 => RolloutVerb::Latest { again: true },
            2 => RolloutVerb::Restart,
            3 => RolloutVerb::Retry,
            4 => RolloutVerb::Undo { to: None },
            5 => RolloutVerb::Cancel,
            6 => RolloutVerb::Pause,
            _ => RolloutVerb::Resume,
        }
    }

    /// A registry says that something was pushed: true or not, late or not, of a tag or of a whole repository.
    fn hint(&mut self) -> Request {
        if self.rng.one_in(3) {
            return Request::Status;
        }
        let all: Vec<_> = self.registries.tags.keys().copied().chain(["r1.io/unknown:1"]).collect();
        let mut image: ImageReference = self.rng.pick(&all).parse().unwrap();
        match self.rng.below(4) {
            0 => image.tag = None,
            1 => image.digest = Some(outside::image(self.rng.below(20))),
            _ => {}
        }
        Request::Hinted(image)
    }

    /// Somebody imports something and waits for it.
    fn order(&mut self) -> Input {
        let stream = *self.rng.pick(&["shop/s0", "shop/s2", "shop/s3", "shop/gone"]);
        let order = ImportOrder {
            stream: stream.parse().unwrap(),
            tags: vec!["t".parse().unwrap()],
            repository: self.rng.one_in(2),
            commit: self.repository.head.filter(|_| self.rng.one_in(3)),
        };
        self.tell(|| format!("order: {order:?}"));
        self.oracle.ordered();
        Input::Asked(Ask { id: ORDER, by: "ann".into(), request: Request::Import(order) })
    }

    /// Somebody puts something over git, or takes a tag away (rule I102.5).
    fn overlay(&mut self) -> Input {
        let tags =
            ["shop/s0:t", "shop/s1:t", "shop/s2:t", "shop/s2:follow", "shop/s2:new", "shop/s3:t"];
        let tag = self.rng.pick(&tags).parse().unwrap();
        let from = match self.rng.below(5) {
            0 => None,
            1 => Some(SpecSource::Tag("shop/s1:t".parse().unwrap())),
            _ => Some(SpecSource::Registry(self.rng.pick(&IMAGES).parse().unwrap())),
        };
        let scheduled = matches!(from, Some(SpecSource::Registry(_))) && self.rng.one_in(2);
        let spec = from.map(|from| TagSpec {
            from,
            reference: false,
            scheduled,
            insecure: false,
            mode: None,
            local: false,
        });
        self.overlaid(OverlayOrder { tag, spec })
    }

    fn overlaid(&mut self, order: OverlayOrder) -> Input {
        self.tell(|| format!("operator: {order:?}"));
        let request = Request::Overlay(Box::new(order));
        Input::Asked(Ask { id: 1, by: "ann".into(), request })
    }

    /// Takes what nobody uses out of histories.
    fn prune(&mut self) -> Request {
        let younger_than = Duration::from_secs(*self.rng.pick(&[0, 60, 3_600]));
        let keep = Keep::Recent { revisions: self.rng.below(3), younger_than: Span(younger_than) };
        let namespace = self.rng.one_in(4).then(|| "shop".parse().unwrap());
        let all = !self.rng.one_in(4);
        let options = PruneOptions { keep, all, namespace, ignore_invalid: false, registry: true };
        let confirm = !self.rng.one_in(4);
        let contents = ImageContents::default();
        Request::Prune(Box::new(PruneRequest { options, confirm, contents }))
    }

    fn delete_image(&mut self) -> Request {
        let images = tidegate::effective::images(self.engine.observed());
        let images: Vec<_> = images.into_keys().collect();
        if images.is_empty() {
            return Request::Status;
        }
        Request::DeleteImage(*self.rng.pick(&images))
    }

    /// What the world answers now, behind what the action asked of the registry that counts.
    pub(super) fn answers(&mut self, id: ActionId, flight: &Flight) -> Vec<Input> {
        let (answer, now) = (self.answer(id, flight), self.now.mono);
        let meter = &mut self.registries.meter;
        match (&flight.action, answer) {
            (Action::Resolve(request), Input::Resolved(id, result))
                if request.check.image.registry_host() == meter::HOST =>
            {
                let (result, spent) = meter.check(now, request.allowance, result);
                vec![Input::Spent(id, spent), Input::Resolved(id, result)]
            }
            (Action::List(request), answer @ Input::Listed(..))
                if request.repository.registry_host() == meter::HOST =>
            {
                vec![Input::Spent(id, meter.list(now)), answer]
            }
            (_, answer) => vec![answer],
        }
    }

    fn answer(&mut self, id: ActionId, flight: &Flight) -> Input {
        match &flight.action {
            Action::ReadSource(read) => Input::SourceRead(id, self.repository.read(read.base)),
            Action::Resolve(request) => {
                let keep = Arc::new(self.process().store.clone());
                let result = self.registries.answer(request, &mut self.rng, &kept(&keep));
                Input::Resolved(id, result)
            }
            Action::List(request) => {
                let result = self.registries.list(request, &mut self.rng);
                Input::Listed(id, result)
            }
            Action::DeleteManifest(_) => Input::ManifestDeleted(id, Ok(())),
            Action::RollOut(request) => {
                Input::RolloutReported(id, self.roll_out(request, flight.cancelled))
            }
            Action::Stop(request) => {
                Input::RolloutReported(id, self.stop(request, flight.cancelled))
            }
            Action::Job(request) => Input::RolloutReported(id, self.job(request, flight.cancelled)),
            Action::AskRollout(ask) => {
                let key = ask.key.clone();
                let report = if self.faults && self.rng.one_in(6) {
                    transient()
                } else if self.rng.one_in(4) {
                    works_on_it()
                } else if let Some(object) = self.targets.stops.get(&key) {
                    self.targets.runs.remove(object);
                    self.targets.host.stop(object);
                    RolloutReport::Complete { log: String::new() }
                } else {
                    let request = self.targets.seen[&key].request.clone().unwrap();
                    Targets::report(self.targets.roll_out(&request))
                };
                Input::RolloutReported(id, report)
            }
            Action::Scale(request) => {
                Input::RolloutReported(id, self.scale(request, flight.cancelled))
            }
            Action::Build(request) => {
                let keep = Arc::new(self.process().store.clone());
                let how = (flight.cancelled, self.faults);
                let report = self.builder.build(request, how, &mut self.rng, &kept(&keep));
                Input::BuildReported(id, report)
            }
            Action::KeepCommit { .. } | Action::TidyBuilds(_) | Action::Notify(_) => Input::Wake,
        }
    }

    fn roll_out(&mut self, request: &RolloutRequest, cancelled: bool) -> RolloutReport {
        if cancelled && self.rng.below(2) == 0 {
            return RolloutReport::Cancelled;
        }
        if self.is_gone(&request.target) || self.faults && self.rng.one_in(6) {
            return transient();
        }
        if let Some(order) = &request.step {
            return self.take_step(request, order, cancelled);
        }
        if self.rng.one_in(5) {
            self.targets.note(request);
            self.oracle.accepted(&request.key);
            return works_on_it();
        }
        let outcome = self.targets.roll_out(request);
        if self.faults && self.rng.one_in(8) {
            return transient(); // it did, and the answer is lost
        }
        Targets::report(outcome)
    }

    /// A step on the host; its answer may be lost, and so may what it is to keep.
    fn take_step(
        &mut self,
        request: &RolloutRequest,
        order: &StepOrder,
        cancelled: bool,
    ) -> RolloutReport {
        if order.step == RolloutStep::Pulling
            && self.process().store.put(&host::kept(&request.key)).is_err()
        {
            return transient();
        }
        let healthy = Targets::is_healthy(request);
        // A machine that stopped reads nothing.
        let Ok(manifest) = self.process().store.get(&request.manifest) else { return transient() };
        let is_first = order.step == RolloutStep::Pulling;
        let told = is_first.then(|| Pods::read(&request.object, &manifest).unwrap());
        // An update may be broken off in its middle.
        let breaks = order.step == RolloutStep::Updating && (cancelled || self.faults);
        let rounds = (breaks && self.rng.below(2) == 1).then(|| self.rng.below(4));
        let report = self.targets.host.step(request, order, healthy, told, rounds);
        self.targets.works(&request.object);
        if report == RolloutReport::Cancelled && !cancelled {
            let failed = RolloutReport::Failed { reason: "unhealthy".into(), log: String::new() };
            return if self.rng.one_in(4) { failed } else { transient() };
        }
        if self.faults && self.rng.one_in(8) {
            return transient();
        }
        if self.faults && order.step == RolloutStep::Checking && self.rng.one_in(8) {
            return RolloutReport::Failed { reason: "unhealthy".into(), log: String::new() };
        }
        report
    }

    /// Instances are added or removed; what is added may not become healthy, and then goes again.
    fn scale(&mut self, request: &ScaleRequest, cancelled: bool) -> RolloutReport {
        if cancelled && self.rng.below(2) == 0 {
            // Half of it may be there.
            if request.rendered.is_some() && self.rng.below(2) == 0 {
                self.targets.host.scale(request);
            }
            return RolloutReport::Cancelled;
        }
        if self.is_gone(&request.rollout.target) || self.faults && self.rng.one_in(6) {
            return transient();
        }
        if request.rendered.is_none() {
            let kept = host::kept_scaled(&request.rollout.key, request.to);
            if self.process().store.put(&kept).is_err() {
                return transient();
            }
        } else if self.faults && self.rng.one_in(8) {
            return RolloutReport::Failed { reason: "unhealthy".into(), log: String::new() };
        }
        let report = self.targets.host.scale(request);
        if self.faults && self.rng.one_in(8) {
            return transient();
        }
        report
    }

    /// A run on the host; its answer may be lost.
    fn job(&mut self, request: &JobRequest, cancelled: bool) -> RolloutReport {
        if cancelled && self.rng.below(2) == 0 {
            return RolloutReport::Cancelled;
        }
        if self.is_gone(&request.target) || self.faults && self.rng.one_in(6) {
            return transient();
        }
        let fails = self.rng.one_in(4);
        let report = self.targets.host.job(request, fails);
        if self.faults && self.rng.one_in(8) {
            return transient();
        }
        report
    }

    fn stop(&mut self, request: &StopRequest, cancelled: bool) -> RolloutReport {
        if cancelled && self.rng.below(2) == 0 {
            return RolloutReport::Cancelled;
        }
        if self.is_gone(&request.target) || self.faults && self.rng.one_in(6) {
            return transient();
        }
        if self.rng.one_in(3) {
            self.targets.stops.insert(request.key.clone(), request.object.clone());
            self.oracle.accepted(&request.key);
            return works_on_it();
        }
        if self.faults && self.rng.one_in(6) {
            return RolloutReport::Failed { reason: "stuck".into(), log: String::new() };
        }
        self.targets.runs.remove(&request.object);
        self.targets.host.stop(&request.object);
        if self.faults && self.rng.one_in(8) {
            return transient();
        }
        RolloutReport::Complete { log: String::new() }
    }
}

fn transient() -> RolloutReport {
    RolloutReport::Transient { reason: "connection reset".into(), retry_after: None }
}

fn works_on_it() -> RolloutReport {
    RolloutReport::Running { status_url: "http://target/status".into() }
}

/// Puts values into the object store, or says that it cannot.
fn kept(
    store: &Arc<ObjectStore<SimDisk>>,
) -> impl Fn(&[u8]) -> Result<ContentHash, ImportFailure> + use<> {
    let store = Arc::clone(store);
    move |bytes| {
        store.put(bytes).map_err(|error| ImportFailure {
            reason: ImportReason::InternalError,
            message: error.to_string(),
            transient: true,
            retry_after: None,
        })
    }
}
