//! The loop around the engine: the daemon's loop, with everything outside of it made up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tidegate::action::{Action, ActionId, Input, JobOrder};
use tidegate::desired::Tree;
use tidegate::engine::{Effect, Engine};
use tidegate::fact::RolloutStep;
use tidegate::journal::Collection;
use tidegate::names::{CommitId, TargetName};
use tidegate::observed::ObservedState;
use tidegate::policy::{IntegratedRegistry, OnInvalid, Policy, RegistryMode};
use tidegate::time::{Monotonic, Now, Timestamp};

use super::builder::Builder;
use super::disk::SimDisk;
use super::meter::{self, Meter};
use super::oracle::{ORDER, Oracle};
use super::outside::{Mood, Registries, Targets};
use super::process::{Durable, End, Ended, Process};
use super::repository::Repository;
use super::rng::Rng;
use crate::support::story;

/// The target that is not always configured.
pub(crate) const HOST: &str = "host";

/// Something in flight.
pub(crate) struct Flight {
    pub(crate) action: Action,
    pub(crate) at: Monotonic,
    pub(crate) cancelled: bool,
    /// What will be answered, where that was decided long before it arrives.
    pub(crate) answer: Option<Vec<Input>>,
}

/// One simulated world.
pub(crate) struct Simulation {
    pub(crate) rng: Rng,
    pub(crate) engine: Engine,
    pub(crate) policy: Policy,
    pub(crate) now: Now,
    pub(crate) durable: Durable,
    pub(crate) process: Option<Process>,
    pub(crate) flights: BTreeMap<ActionId, Flight>,
    /// Answers that come once more.
    pub(crate) late: Vec<(Monotonic, Input)>,
    pub(crate) wake_at: Monotonic,
    pub(crate) repository: Repository,
    pub(crate) registries: Registries,
    pub(crate) targets: Targets,
    pub(crate) builder: Builder,
    pub(crate) oracle: Oracle,
    /// Whether things go wrong.
    pub(crate) faults: bool,
    /// Whether the next step ends between two of its effects.
    pub(crate) crash: bool,
    /// What the next step is told of history that went.
    pub(crate) dropped: Vec<Input>,
    /// A collection that has begun, and the last action that had begun then.
    pub(crate) collection: Option<(Option<ActionId>, Collection<SimDisk>)>,
    /// How often a process began.
    pub(crate) starts: u64,
    /// Steps that were made.
    steps: u64,
    /// The manifests as the last process had read them, where its cache is left.
    pub(crate) tree: Option<(CommitId, Tree)>,
    /// How often something happened outside.
    pub(crate) events: usize,
    /// What is told; nothing, where nobody reads it.
    pub(crate) story: Option<Vec<String>>,
    /// How often each image was asked for, and when last.
    pub(crate) asked: BTreeMap<String, (usize, Timestamp)>,
}

impl Simulation {
    /// A world in which nothing happened yet.
    pub(crate) fn new(mut rng: Rng, story: Option<Vec<String>>) -> Self {
        let wall: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = Now { wall, mono: Monotonic::from_start(Duration::from_secs(100)) };
        let policy = Policy {
            prune_grace: Duration::from_secs(rng.below(3) * 30),
            checks_in_flight_max: 1 + rng.place(3),
            rollouts_in_flight_max: 1 + rng.place(3),
            builds_enabled: true,
            builds_in_flight_max: 1 + rng.place(2),
            prune_objects_max: 2,
            source_poll: Duration::from_secs(300),
            hosts: [HOST.parse().unwrap()].into(),
            targets: [(HOST.parse().unwrap(), Duration::from_secs(600))].into(),
            integrated_registry: Some(IntegratedRegistry {
                address: "own.io".into(),
                public_address: None,
                mode: RegistryMode::Managed,
            }),
            on_invalid: if rng.one_in(8) { OnInvalid::Refuse } else { OnInvalid::default() },
            ..Policy::default()
        };
        let durable = Durable::new(&mut rng);
        let mut registries = Registries::new();
        registries.meter = Meter::new(&mut rng);
        let limit = registries.meter.limit.map(|limit| (meter::HOST.to_owned(), limit));
        let policy = Policy { registry_limits: limit.into_iter().collect(), ..policy };
        Self {
            engine: Engine::new(policy.clone(), ObservedState::default(), now),
            durable,
            rng,
            policy,
            now,
            process: None,
            flights: BTreeMap::new(),
            late: Vec::new(),
            wake_at: now.mono,
            repository: Repository::new(),
            registries,
            targets: Targets::default(),
            builder: Builder::default(),
            oracle: Oracle::default(),
            faults: true,
            crash: false,
            dropped: Vec::new(),
            collection: None,
            starts: 0,
            steps: 0,
            tree: None,
            events: 0,
            story,
            asked: BTreeMap::new(),
        }
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let at = self.now.mono.since(Monotonic::START).as_millis();
            story.push(format!("{at:>10} {}", line().replace('\n', " ")));
        }
    }

    /// Something happens outside, then time passes.
    pub(crate) fn tick(&mut self) {
        self.happen();
        let spans = [0, 100, 2_000, 2_000, 15_000, 60_000, 1_000_000];
        let span = *self.rng.pick(&spans);
        self.pass(Duration::from_millis(span));
    }

    /// The daemon is told to end, and started again.
    pub(crate) fn restart(&mut self) {
        self.crash = false;
        let mut end = End::Stopped;
        // One that is about to end plans nothing more: the law about overlooked plans does not hold there.
        for effect in self.engine.step(vec![Input::Stop], self.now) {
            if self.carry_out(effect).is_err() {
                end = End::any(&mut self.rng);
                break;
            }
        }
        self.end(end);
    }

    pub(crate) fn set_policy(&mut self) {
        self.tell_policy();
        self.engine.set_policy(self.policy.clone());
        self.step(vec![]);
    }

    fn tell_policy(&mut self) {
        let targets: Vec<_> = self.policy.targets.keys().cloned().collect();
        let grace = self.policy.prune_grace;
        self.tell(|| format!("settings: {targets:?} {grace:?}"));
    }

    /// Time passes: what falls due on the way happens in its order.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now.mono.after(span);
        for _ in 0..200 {
            let late = self.late.iter().map(|(at, _)| *at);
            let next = self.flights.values().map(|f| f.at).chain([self.wake_at]).chain(late).min();
            let next = next.unwrap_or(end).max(self.now.mono);
            if next > end {
                break;
            }
            self.go_to(next);
            let inputs = self.arrivals();
            self.step(inputs);
        }
        self.go_to(end.max(self.now.mono));
    }

    pub(crate) fn go_to(&mut self, at: Monotonic) {
        self.now.wall = self.now.wall.after(at.since(self.now.mono));
        self.now.mono = at;
    }

    /// The answers that arrive now, in any order.
    fn arrivals(&mut self) -> Vec<Input> {
        let now = self.now.mono;
        let mut inputs: Vec<_> =
            self.late.extract_if(.., |(at, _)| *at <= now).map(|(_, input)| input).collect();
        let due = self.flights.iter().filter(|(_, flight)| flight.at <= now);
        let mut ids: Vec<_> = due.map(|(id, _)| *id).collect();
        while !ids.is_empty() {
            let id = ids.swap_remove(self.rng.place(ids.len()));
            let mut flight = self.flights.remove(&id).unwrap();
            let answers = flight.answer.take().unwrap_or_else(|| self.answers(id, &flight));
            self.tell(|| {
                let told: Vec<_> = answers.iter().map(outline).collect();
                format!("  answer {}: {}", story::action(&flight.action), told.join(", "))
            });
            if self.faults && self.rng.one_in(20) {
                // A doubled answer is one that nobody waits for.
                let after = *self.rng.pick(&[0, 20, 200, 2_000]);
                let again = now.after(Duration::from_secs(after));
                self.late.extend(answers.iter().map(|input| (again, input.clone())));
            }
            inputs.extend(answers);
        }
        if self.faults && self.rng.one_in(40) {
            inputs.push(self.question());
        }
        inputs
    }

    /// One step of the engine, with the laws checked after it.
    pub(crate) fn step(&mut self, inputs: Vec<Input>) {
        if self.durable.disk.has_stopped() {
            let end = End::any(&mut self.rng);
            return self.end(end);
        }
        let mut inputs = inputs;
        inputs.append(&mut self.dropped);
        inputs.extend(self.space());
        self.oracle.before(&inputs);
        let effects = self.engine.step(inputs, self.now);
        let crash_at = self.crash.then(|| self.rng.place(effects.len() + 1));
        for (at, effect) in effects.into_iter().enumerate() {
            if crash_at == Some(at) || self.carry_out(effect).is_err() {
                let end = End::any(&mut self.rng);
                return self.end(end);
            }
        }
        if crash_at.is_some() || self.maintain().is_err() {
            let end = End::any(&mut self.rng);
            return self.end(end);
        }
        self.steps += 1;
        if !self.faults && !self.steps.is_multiple_of(4) {
            return; // little happens any more, and planning everything is most of the work
        }
        let flights = self.flights.values().map(|flight| (&flight.action, flight.cancelled));
        let flights: Vec<_> = flights.collect();
        self.oracle.after(&self.engine, &self.policy, &flights, self.now);
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Ended> {
        match effect {
            Effect::Store(values) => self.keep(&values)?,
            Effect::Append(records) => self.append(records)?,
            Effect::Start(id, action) => self.begin(id, action),
            Effect::Cancel(id) => {
                let flight = self.flights.get_mut(&id).expect("what is cancelled is in flight");
                flight.cancelled = true;
                flight.at = self.now.mono;
            }
            Effect::WakeAt(at) => {
                assert!(at > self.now.mono, "it wakes at once, for ever");
                self.wake_at = at;
            }
            Effect::Answer(id, _) => self.oracle.told(id),
            Effect::Exit => {}
        }
        Ok(())
    }

    fn begin(&mut self, id: ActionId, action: Action) {
        self.tell(|| format!("  start {}", story::action(&action)));
        let store = &self.process().store;
        // A machine that stopped cannot tell.
        let stopped = || self.durable.disk.has_stopped();
        let stored = |hash| store.contains(&hash).unwrap_or_else(|_| stopped());
        self.oracle.start(&action, &self.durable.promised, stored);
        if matches!(action, Action::KeepCommit { .. } | Action::TidyBuilds(_) | Action::Notify(_)) {
            return;
        }
        if let Action::Job(request) = &action
            && let JobOrder::Tidy { keep, until } = &request.order
        {
            return self.targets.host.tidy(&request.object, keep, *until);
        }
        if let Action::Resolve(request) = &action {
            let asked = self.asked.entry(request.check.image.to_string());
            let (count, _) = asked.or_insert((0, self.now.wall));
            *count += 1;
            let count = *count;
            self.asked.insert(request.check.image.to_string(), (count, self.now.wall));
        }
        let slow = if self.faults { [0, 10, 300, 5_000, 40_000] } else { [0, 1, 10, 100, 1000] };
        let mut after = Duration::from_millis(*self.rng.pick(&slow));
        if let Action::RollOut(request) = &action
            && request.step.as_ref().is_some_and(|order| order.step == RolloutStep::Updating)
        {
            after *= 5; // one after the other
        }
        if matches!(action, Action::Build(_)) {
            after *= 10; // others are ordered meanwhile, and the daemon ends and starts
        }
        let at = self.now.mono.after(after);
        let mut flight = Flight { action, at, cancelled: false, answer: None };
        self.delay(id, &mut flight);
        self.flights.insert(id, flight);
    }

    /// Some answers are decided now and arrive when nobody knows any more whether they hold.
    fn delay(&mut self, id: ActionId, flight: &mut Flight) {
        let slow = match &flight.action {
            Action::Resolve(request) => {
                let host = request.check.image.registry_host();
                let is_slow = self.registries.moods[host.as_str()] == Mood::Slow;
                is_slow || self.faults && self.rng.one_in(8)
            }
            Action::ReadSource(_) => self.faults && self.rng.one_in(16),
            _ => false,
        };
        if slow {
            let after = Duration::from_secs(30 + self.rng.below(270));
            flight.at = self.now.mono.after(after);
            flight.answer = Some(self.answers(id, flight));
        }
    }

    /// Whether a target is not configured any more.
    pub(crate) fn is_gone(&self, target: &TargetName) -> bool {
        target.as_str() == HOST && !self.policy.targets.contains_key(target)
    }

    /// Questions of operators that are in these inputs.
    pub(crate) fn asked_ids(inputs: &[Input]) -> BTreeSet<u64> {
        let ids = inputs.iter().filter_map(|input| match input {
            Input::Asked(ask) if ask.id != ORDER => Some(ask.id),
            _ => None,
        });
        ids.collect()
    }
}

fn outline(input: &Input) -> String {
    match input {
        Input::SourceRead(_, Ok(read)) => format!("head {}", read.commit),
        Input::SourceRead(_, Err(failure)) => failure.message.clone(),
        Input::Resolved(_, Ok(resolution)) => {
            format!("{:?}", resolution.image.as_ref().map(|i| i.digest))
        }
        Input::Listed(_, Ok(listing)) => format!("{listing:?}"),
        Input::Resolved(_, Err(failure))
        | Input::Listed(_, Err(failure))
        | Input::ManifestDeleted(_, Err(failure)) => failure.message.clone(),
        Input::ManifestDeleted(_, Ok(())) => "deleted".into(),
        Input::RolloutReported(_, report) => format!("{report:?}"),
        Input::BuildReported(_, report) => format!("{report:?}"),
        Input::Wake
        | Input::Spent(..)
        | Input::Nudged(_)
        | Input::Asked(_)
        | Input::ConfigAdopted(_)
        | Input::RecordsLost(_)
        | Input::Space(_)
        | Input::HistoryDropped(_)
        | Input::Stop => {
            format!("{input:?}")
        }
    }
}
