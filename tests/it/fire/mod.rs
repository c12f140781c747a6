//! The real program under fire: what it depends on comes and goes, and it is killed at any moment.
//!
//! A story has a seed; the same seed makes the same choices, though not the same moments. In the end everything is there
//! again, and what receivers that remember idempotency keys were told is compared with what they must have been told
//! ([`oracle`]): nothing is lost, each key has one content and its effect once, nothing goes backwards by accident.
//!
//! The ordinary run kills 20 times. The long form, with the program that users get:
//!
//! ```sh
//! cargo build --release --locked
//! TIDEGATE_TEST_PROGRAM=$PWD/target/release/tidegate KILL_RUNS=200 KILL_SEED=7 \
//!     cargo nextest run --success-output final -E 'test(fire::)'
//! ```
//!
//! `KILL_RUNS` is the number of kills over both stories (a repository that is watched; one that is fetched, by a daemon
//! that keeps no more history than it has to); `KILL_SEED`
//! replays the choices of a run, which names its seed in its one line of counts and when it fails.

mod chance;
mod full;
mod oracle;
mod receiver;
mod world;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::control::{Question, Reply};
use tidegate::fact::{Fact, Outcome, Record};
use tidegate::names::{Seq, StreamTag};

use crate::support::daemon::{Host, eventually};

use chance::Chance;
use receiver::Receivers;
use world::{APPS, Outside};

/// Kills of an ordinary run, over both stories.
const KILLS: u64 = 20;

/// How long something is waited for that may well not come.
const MOST: Duration = Duration::from_millis(800);

#[test]
fn what_is_told_by_a_daemon_under_fire_that_watches_its_repository_is_told_once() {
    tell(|path| path.display().to_string(), "");
}

#[test]
fn what_is_told_by_a_daemon_under_fire_that_fetches_its_repository_and_keeps_no_history_is_told_once()
 {
    tell(|path| format!("file://{}", path.display()), "[journal]\nkeep_bytes = 0\n");
}

fn number(name: &str, default: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return default };
    text.parse().unwrap_or_else(|_| panic!("`{name}` is a number, not `{text}`"))
}

fn tell(address: impl Fn(&Path) -> String, settings: &str) {
    let seed = number("KILL_SEED", 1);
    let Some(outside) = Outside::start() else { return };
    let receivers = Receivers::start();
    let address = address(outside.repo.path());
    let host = Host::new(Path::new(&address), &(receivers.settings() + settings));
    let mut story = Story {
        chance: Chance::new(seed),
        seed,
        outside,
        receivers,
        host,
        runs: false,
        start: Duration::from_millis(100),
        kills: 0,
        told: Vec::new(),
        seen: RefCell::default(),
    };
    story.begin();
    while story.kills < number("KILL_RUNS", KILLS).div_ceil(2) {
        story.round();
    }
    story.end();
}

struct Story {
    chance: Chance,
    seed: u64,
    outside: Outside,
    receivers: Receivers,
    host: Host,
    runs: bool,
    /// How long a start takes here.
    start: Duration,
    kills: u64,
    told: Vec<String>,
    /// Every record that was ever there: retention may have removed it since.
    seen: RefCell<BTreeMap<Seq, Record>>,
}

impl Drop for Story {
    #[expect(clippy::print_stdout, reason = "a story that fails is told")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}\n{}", self.host.story(), self.told.join("\n"));
            println!("again with KILL_SEED={}", self.seed);
        }
    }
}

impl Story {
    /// The first start, which also says how long one takes.
    fn begin(&mut self) {
        let begin = Instant::now();
        self.host.start();
        self.runs = true;
        eventually("the control socket", || self.host.ask(&Question::Status));
        self.start = begin.elapsed();
        self.host.wait_for("a rollout", |fact| matches!(fact, Fact::RolloutStarted(_)));
    }

    fn tell(&mut self, what: impl Into<String>) {
        self.told.push(format!("{} kills: {}", self.kills, what.into()));
    }

    /// Something changes or breaks, before the daemon starts or while it runs; then most often it is killed.
    fn round(&mut self) {
        if !self.chance.one_in(3) {
            self.outside.repair();
        }
        if self.chance.one_in(3) {
            let what = self.outside.break_something(&mut self.chance);
            self.tell(what);
        }
        let before = self.chance.below(4);
        for n in 0..=self.chance.below(4) {
            if n == before {
                self.start();
            }
            let what = self.outside.change(&mut self.chance);
            self.tell(what);
        }
        self.start();
        self.meanwhile();
        match self.chance.below(10) {
            0 => {}
            1 => {
                self.tell("stop");
                let ended = self.host.stop();
                // One that has only just begun does not listen to signals yet.
                assert!(ended.success() || ended.signal() == Some(15), "{ended:?}");
                self.runs = false;
            }
            _ => self.kill(),
        }
    }

    fn start(&mut self) {
        if !std::mem::replace(&mut self.runs, true) {
            self.host.start();
        }
    }

    /// Somebody looks, asks or cleans up.
    fn meanwhile(&mut self) {
        match self.chance.below(8) {
            0 => self.command(&["status"]),
            1 => self.command(&["journal", "verify"]),
            2 => {
                // A daemon that has only just begun holds the lock and does not listen yet.
                eventually("the control socket", || self.host.ask(&Question::Status));
                self.command(&["journal", "compact"]);
            }
            3 | 4 => self.nudge(),
            _ => {}
        }
    }

    /// Every record that was ever there, with what is there now. To be asked before each compaction, since what stands
    /// behind the one before last is removed.
    fn records(&self) -> Vec<Record> {
        let mut seen = self.seen.borrow_mut();
        for record in self.host.records() {
            let seq = record.seq;
            let known = seen.insert(seq, record);
            assert!(known.is_none_or(|known| known == seen[&seq]), "{seq} was given twice");
        }
        seen.values().cloned().collect()
    }

    fn command(&mut self, arguments: &[&str]) {
        self.records();
        let output = self.host.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        self.tell(arguments.join(" "));
    }

    fn nudge(&self) {
        self.host.ask(&Question::ReadSource);
        for (app, _) in APPS {
            let tag: StreamTag = format!("shop/{app}:1").parse().unwrap();
            self.host.ask(&Question::CheckTag(tag));
        }
    }

    /// Kills at some moment, at one when something was just recorded, or at one when something was just delivered.
    fn kill(&mut self) {
        match self.chance.below(4) {
            0 => {
                let more = *self.chance.pick(&[1, 2, 3, 4, 6]);
                let enough = self.records().len() + more;
                self.until(|story| story.records().len() >= enough);
            }
            1 => {
                let delivered = self.receivers.count();
                self.until(|story| story.receivers.count() > delivered);
            }
            _ => {}
        }
        let moment = match self.chance.below(4) {
            0 => Duration::from_millis(3),
            1 => self.start / 2,
            _ => self.start * 3,
        };
        let moment = self.chance.within(moment);
        std::thread::park_timeout(moment);
        self.host.kill();
        self.runs = false;
        self.kills += 1;
        if self.chance.one_in(3) {
            self.command(&["journal", "verify"]);
        }
        if self.chance.one_in(4) {
            self.command(&["status"]);
        }
        if self.chance.one_in(10) {
            self.command(&["journal", "compact"]);
        }
    }

    fn until(&self, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + MOST;
        while !done(self) && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Everything is there again, and the daemon gets to where it is wanted.
    #[expect(clippy::print_stdout, reason = "the figures of a run are wanted")]
    fn end(&mut self) {
        self.receivers.repair();
        self.outside.settle();
        self.tell("the end");
        self.start();
        let mut looks = 0;
        eventually("what is wanted in the end", || {
            if looks % 25 == 0 {
                self.nudge();
            }
            looks += 1;
            APPS.iter().all(|(app, _)| self.runs_what_is_wanted(app)).then_some(())
        });
        let status = eventually("a status that is fine", || {
            let output = self.host.run(&["status", "--exit-code", "-o", "json"]);
            output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
        });
        for (app, _) in APPS {
            let (_, digest) = self.outside.wanted(app);
            assert!(status.contains(&digest), "{app} runs {digest}: {status}");
        }
        assert!(matches!(self.host.ask(&Question::Status), Some(Reply::Status(_))));
        assert!(self.host.stop().success());
        self.runs = false;
        self.command(&["journal", "verify"]);
        let (records, deliveries) = (self.records(), self.receivers.deliveries());
        let rollouts = oracle::check(&self.outside, &records, &self.receivers);
        let repeated = deliveries.iter().filter(|told| !told.effect).count();
        let Outside { commits, moves, faults, .. } = &self.outside;
        println!(
            "under fire: seed {}: {} kills, {commits} commits, {moves} tag moves, {faults} faults, {rollouts} \
             rollouts, {} deliveries, {repeated} of them repeated, {} records",
            self.seed,
            self.kills,
            deliveries.len(),
            records.len()
        );
    }

    fn runs_what_is_wanted(&self, app: &'static str) -> bool {
        let (greeting, digest) = self.outside.wanted(app);
        let records = self.records();
        let started = records.iter().rev().find_map(|record| match &record.fact {
            Fact::RolloutStarted(started) if started.object.name.as_str() == app => {
                Some((record.seq, started))
            }
            _ => None,
        });
        let Some((seq, started)) = started else { return false };
        let complete = records.iter().any(|record| match &record.fact {
            Fact::RolloutFinished(end) => end.rollout == seq && end.outcome == Outcome::Complete,
            _ => false,
        });
        let key = started.key(seq).to_string();
        let told = self.receivers.deliveries().into_iter().rev().find(|told| told.key == key);
        complete && told.is_some_and(|told| told.greeting == greeting && told.digest == digest)
    }
}
