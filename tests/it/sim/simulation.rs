//! The loop around the engine: the daemon's loop, with everything outside of it made up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidegate::action::{Action, ActionId, Ask, Input, Nudge, Request, RolloutReport};
use tidegate::engine::{Effect, Engine};
use tidegate::fact::Record;
use tidegate::names::{ContentHash, TargetName};
use tidegate::observed::ObservedState;
use tidegate::policy::Policy;
use tidegate::time::{Monotonic, Now, Timestamp};

use super::oracle::Oracle;
use super::outside::{Mood, Registries, Targets};
use super::repository::Repository;
use super::rng::Rng;
use crate::support::story;

/// The target that is not always configured.
pub(crate) const HOST: &str = "host";

/// Something in flight.
pub(crate) struct Flight {
    pub(crate) action: Action,
    at: Monotonic,
    cancelled: bool,
}

/// One simulated world.
pub(crate) struct Simulation {
    pub(crate) rng: Rng,
    pub(crate) engine: Engine,
    pub(crate) policy: Policy,
    pub(crate) now: Now,
    /// What is durable.
    pub(crate) journal: Vec<Record>,
    store: BTreeMap<ContentHash, Arc<[u8]>>,
    pub(crate) flights: BTreeMap<ActionId, Flight>,
    wake_at: Monotonic,
    pub(crate) repository: Repository,
    pub(crate) registries: Registries,
    pub(crate) targets: Targets,
    pub(crate) oracle: Oracle,
    /// Whether things go wrong.
    pub(crate) faults: bool,
    /// Whether the next step ends in a crash.
    crash: bool,
    pub(crate) story: Vec<String>,
    /// How often each image was asked for.
    pub(crate) asked: BTreeMap<String, usize>,
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Self {
        let wall: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now = Now { wall, mono: Monotonic::from_start(Duration::from_secs(100)) };
        let mut rng = Rng::new(seed);
        let policy = Policy {
            prune_grace: Duration::from_secs(rng.below(3) * 30),
            checks_in_flight_max: 1 + rng.place(3),
            rollouts_in_flight_max: 1 + rng.place(3),
            prune_objects_max: 2,
            source_poll: Duration::from_secs(300),
            targets: [(HOST.parse().unwrap(), Duration::from_secs(600))].into(),
            ..Policy::default()
        };
        Self {
            engine: Engine::new(policy.clone(), ObservedState::default(), now),
            rng,
            policy,
            now,
            journal: Vec::new(),
            store: BTreeMap::new(),
            flights: BTreeMap::new(),
            wake_at: now.mono,
            repository: Repository::new(),
            registries: Registries::new(),
            targets: Targets::default(),
            oracle: Oracle::default(),
            faults: true,
            crash: false,
            story: Vec::new(),
            asked: BTreeMap::new(),
        }
    }

    pub(crate) fn tell(&mut self, line: impl Into<String>) {
        let at = self.now.mono.since(Monotonic::START).as_millis();
        let line: String = line.into();
        self.story.push(format!("{at:>10} {}", line.replace('\n', " ")));
    }

    /// Something happens outside, then time passes.
    pub(crate) fn tick(&mut self) {
        self.happen();
        let spans = [0, 100, 2_000, 2_000, 15_000, 60_000, 1_000_000];
        let span = *self.rng.pick(&spans);
        self.pass(Duration::from_millis(span));
    }

    fn happen(&mut self) {
        match self.rng.below(24) {
            0..=3 => {
                let told = self.repository.edit(&mut self.rng);
                self.tell(format!("commit: {told}"));
                if !self.rng.one_in(4) {
                    self.nudge_source();
                }
            }
            4 if self.rng.one_in(3) => {
                self.repository.empty();
                self.tell("commit: an empty tree");
                self.nudge_source();
            }
            5 if self.rng.one_in(2) => {
                self.repository.force_back(&mut self.rng);
                self.tell("force push of an old commit");
                self.nudge_source();
            }
            6 => {
                self.repository.reachable = !self.repository.reachable;
                self.tell(format!("repository reachable: {}", self.repository.reachable));
            }
            7..=12 => {
                let told = self.registries.push(&mut self.rng);
                self.tell(told);
                self.nudge_tags();
            }
            13 | 14 => {
                let host = *self.rng.pick(&["r0.io", "r1.io"]);
                let moods = [Mood::Up, Mood::Up, Mood::Down, Mood::Limiting, Mood::Lying];
                let mood = *self.rng.pick(&moods);
                self.registries.moods.insert(host, mood);
                self.tell(format!("{host} is {mood:?}"));
            }
            15 | 16 => self.crash = true,
            17 => {
                self.now.wall = Timestamp::from_millis(
                    self.now.wall.as_millis() + 3_600_000 - 7_200_000 * (self.rng.below(2) as i64),
                );
                self.tell("the wall clock was set");
            }
            18 | 19 => self.operator(),
            20 => self.restart(),
            21 => self.reload(),
            _ => {}
        }
    }

    /// The daemon is told to end, and started again.
    pub(crate) fn restart(&mut self) {
        self.crash = false;
        // One that is about to end plans nothing more: the law about overlooked plans does not hold there.
        for effect in self.engine.step(vec![Input::Stop], self.now) {
            self.carry_out(effect);
        }
        self.crash(None);
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

    pub(crate) fn set_policy(&mut self) {
        let targets: Vec<_> = self.policy.targets.keys().collect();
        let told = format!("settings: {targets:?} {:?}", self.policy.prune_grace);
        self.tell(told);
        self.engine.set_policy(self.policy.clone());
        self.step(vec![]);
    }

    fn nudge_source(&mut self) {
        for _ in 0..self.rng.below(3) {
            self.step(vec![Input::Nudged(Nudge::Source)]);
        }
    }

    fn nudge_tags(&mut self) {
        let tags = ["shop/s0:t", "shop/s1:t", "shop/s2:t", "shop/s2:follow", "shop/gone:x"];
        for _ in 0..self.rng.below(4) {
            let tag = self.rng.pick(&tags).parse().unwrap();
            self.step(vec![Input::Nudged(Nudge::Tag(tag))]);
        }
    }

    fn operator(&mut self) {
        let objects: Vec<_> = self.engine.observed().workloads.keys().cloned().collect();
        let request = match self.rng.below(4) {
            0 => Request::Status,
            1 => Request::ReleaseRemovals,
            _ if objects.is_empty() => Request::Status,
            _ => Request::Release(self.rng.pick(&objects).clone()),
        };
        self.tell(format!("operator: {request:?}"));
        self.step(vec![Input::Asked(Ask { id: 1, by: "ann".into(), request })]);
    }

    /// Time passes: what falls due on the way happens in its order.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now.mono.after(span);
        for _ in 0..200 {
            let next = self.flights.values().map(|f| f.at).chain([self.wake_at]).min();
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

    fn go_to(&mut self, at: Monotonic) {
        self.now.wall = self.now.wall.after(at.since(self.now.mono));
        self.now.mono = at;
    }

    /// The answers that arrive now, in any order.
    fn arrivals(&mut self) -> Vec<Input> {
        let due = self.flights.iter().filter(|(_, flight)| flight.at <= self.now.mono);
        let mut ids: Vec<_> = due.map(|(id, _)| *id).collect();
        let mut inputs = Vec::new();
        while !ids.is_empty() {
            let id = ids.swap_remove(self.rng.place(ids.len()));
            let flight = self.flights.remove(&id).unwrap();
            let input = self.answer(id, &flight);
            inputs.push(input);
            if self.faults && self.rng.one_in(20) {
                // A doubled answer is one that nobody waits for.
                let again = inputs.last().unwrap().clone();
                inputs.push(again);
            }
        }
        inputs
    }

    fn answer(&mut self, id: ActionId, flight: &Flight) -> Input {
        let transient =
            RolloutReport::Transient { reason: "connection reset".into(), retry_after: None };
        let target = match &flight.action {
            Action::RollOut(request) => Some(&request.target),
            Action::Stop(request) => Some(&request.target),
            _ => None,
        };
        let gone = |target: &TargetName| {
            target.as_str() == HOST && !self.policy.targets.contains_key(target)
        };
        let busy = target.is_some_and(gone) || self.faults && self.rng.one_in(6);
        let input = match &flight.action {
            Action::ReadSource(read) => {
                let result = self.repository.read(read.base);
                Input::SourceRead(id, result)
            }
            Action::Resolve(request) => {
                let result = self.registries.answer(request, &mut self.rng);
                Input::Resolved(id, result)
            }
            Action::RollOut(_) | Action::Stop(_) if flight.cancelled && self.rng.one_in(2) => {
                Input::RolloutReported(id, RolloutReport::Cancelled)
            }
            Action::RollOut(_) | Action::AskRollout(_) | Action::Stop(_) if busy => {
                Input::RolloutReported(id, transient)
            }
            Action::RollOut(request) if self.rng.one_in(5) => {
                self.targets.note(request);
                self.oracle.accepted(&request.key);
                Input::RolloutReported(id, works_on_it())
            }
            Action::Stop(request) if self.rng.one_in(3) => {
                self.targets.stops.insert(request.key.clone(), request.object.clone());
                self.oracle.accepted(&request.key);
                Input::RolloutReported(id, works_on_it())
            }
            Action::AskRollout(_) if self.rng.one_in(4) => {
                Input::RolloutReported(id, works_on_it())
            }
            Action::AskRollout(ask) if self.targets.stops.contains_key(&ask.key) => {
                self.targets.runs.remove(&self.targets.stops[&ask.key]);
                Input::RolloutReported(id, RolloutReport::Complete { log: String::new() })
            }
            Action::RollOut(request) => {
                let outcome = self.targets.roll_out(request);
                Input::RolloutReported(id, Targets::report(outcome))
            }
            Action::AskRollout(ask) => {
                let request = self.targets.seen[&ask.key].request.clone().unwrap();
                let outcome = self.targets.roll_out(&request);
                Input::RolloutReported(id, Targets::report(outcome))
            }
            Action::Stop(request) => {
                let fails = self.faults && self.rng.one_in(6);
                let report = if fails {
                    RolloutReport::Failed { reason: "stuck".into(), log: String::new() }
                } else {
                    self.targets.runs.remove(&request.object);
                    RolloutReport::Complete { log: String::new() }
                };
                Input::RolloutReported(id, report)
            }
            Action::KeepCommit { .. } | Action::Notify(_) => Input::Wake,
        };
        self.tell(format!("  answer {}: {}", story::action(&flight.action), outline(&input)));
        input
    }

    /// One step of the engine, with the laws checked after it.
    pub(crate) fn step(&mut self, inputs: Vec<Input>) {
        self.oracle.before(&inputs);
        let effects = self.engine.step(inputs, self.now);
        let crash_at = self.crash.then(|| self.rng.place(effects.len() + 1));
        for (at, effect) in effects.into_iter().enumerate() {
            if crash_at == Some(at) {
                return self.crash(Some(effect));
            }
            self.carry_out(effect);
        }
        if crash_at.is_some() {
            return self.crash(None);
        }
        let flights = self.flights.values().map(|flight| &flight.action).collect::<Vec<_>>();
        self.oracle.after(&self.engine, &self.policy, &flights, self.now);
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Store(values) => {
                for value in values {
                    self.store.insert(ContentHash::of(&value), value);
                }
            }
            Effect::Append(records) => self.append(records),
            Effect::Start(id, action) => self.start(id, action),
            Effect::Cancel(id) => {
                let flight = self.flights.get_mut(&id).expect("what is cancelled is in flight");
                flight.cancelled = true;
                flight.at = self.now.mono;
            }
            Effect::WakeAt(at) => {
                assert!(at > self.now.mono, "it wakes at once, for ever");
                self.wake_at = at;
            }
            Effect::Answer(..) | Effect::Exit => {}
        }
    }

    fn append(&mut self, records: Vec<Record>) {
        for record in records {
            self.tell(format!("    {:>4} {}", record.seq, story::record(&record)));
            self.oracle.record(&record, &self.repository, &self.targets);
            self.journal.push(record);
        }
    }

    fn start(&mut self, id: ActionId, action: Action) {
        self.tell(format!("  start {}", story::action(&action)));
        self.oracle.start(&action, &self.journal, |hash| self.store.contains_key(&hash));
        if matches!(action, Action::KeepCommit { .. } | Action::Notify(_)) {
            return;
        }
        if let Action::Resolve(request) = &action {
            *self.asked.entry(request.check.image.to_string()).or_default() += 1;
        }
        let slow = if self.faults { [0, 10, 300, 5_000, 40_000] } else { [0, 1, 10, 100, 1000] };
        let after = Duration::from_millis(*self.rng.pick(&slow));
        let at = self.now.mono.after(after);
        self.flights.insert(id, Flight { action, at, cancelled: false });
    }

    /// The process ends at `effect`: of an append any number of its records is on the disk.
    pub(crate) fn crash(&mut self, effect: Option<Effect>) {
        self.crash = false;
        if let Some(Effect::Append(mut records)) = effect {
            records.truncate(self.rng.place(records.len() + 1));
            self.append(records);
        }
        self.tell("CRASH");
        for (_, flight) in std::mem::take(&mut self.flights) {
            // What was under way may still have its effect, and nobody hears of it.
            if let Action::RollOut(request) = &flight.action
                && self.rng.one_in(2)
            {
                self.targets.roll_out(request);
            }
        }
        self.start_again();
    }

    pub(crate) fn start_again(&mut self) {
        let observed = ObservedState::default().replay(&self.journal);
        let kept: Vec<_> = observed
            .kept_versions()
            .map(|hash| (hash, serde_json::from_slice(&self.store[&hash]).unwrap()))
            .collect();
        let adopted = observed.adopted.as_ref().map(|adopted| adopted.commit);
        self.oracle.restarted(&observed);
        self.engine = Engine::new(self.policy.clone(), observed, self.now);
        let lost = self.faults && self.rng.one_in(8);
        match adopted {
            Some(_) if lost => {
                self.tell("the mirror is lost");
                self.engine.keep(kept);
            }
            Some(commit) => {
                let commits = &self.repository.commits;
                let read = crate::support::engine::source_read(commits, commit, None);
                self.engine.load(&read, kept);
            }
            None => {}
        }
        self.step(vec![]);
    }
}

fn works_on_it() -> RolloutReport {
    RolloutReport::Running { status_url: "http://target/status".into() }
}

fn outline(input: &Input) -> String {
    match input {
        Input::SourceRead(_, Ok(read)) => format!("head {}", read.commit),
        Input::SourceRead(_, Err(failure)) => failure.message.clone(),
        Input::Resolved(_, Ok(resolution)) => {
            format!("{:?}", resolution.image.as_ref().map(|i| i.digest))
        }
        Input::Resolved(_, Err(failure)) => failure.message.clone(),
        Input::RolloutReported(_, report) => format!("{report:?}"),
        Input::Wake
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
