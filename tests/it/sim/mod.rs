//! The simulated world: the engine, the journal and the object store as they are, and everything outside of them made up
//! from one seed.
//!
//! ```text
//! cargo nextest run --all-features every_seed_keeps_the_laws                 200 seeds
//! SIM_SEEDS=20000 cargo nextest run --all-features every_seed_keeps_the_laws  as many as that
//! SIM_SEED=17 cargo nextest run --all-features --no-capture every_seed        one, told whole, and shrunk if it fails
//! SIM_BUGS=100 cargo nextest run --all-features --no-capture every_bug        the mutation table with another cap
//! ```
//!
//! A seed that fails prints itself, the law that it broke and its story, shrunk: the same law broken by the fewest things
//! that happen ([`shrink`]).
//!
//! # What is real and what is not
//!
//! Real: [`tidegate::engine`], `journal::Journal` and `journal::ObjectStore` with their recovery, the reading of
//! manifests. Made up: the disk ([`disk`]), the repository ([`repository`]), registries and targets ([`outside`]),
//! operators, clocks and all that happens ([`happen`]), and the daemon's loop ([`simulation`], [`process`]). Every start
//! replays snapshot and records as `src/daemon/open.rs` does.
//!
//! # What goes wrong
//!
//! | where | what |
//! |---|---|
//! | process | ends between two effects of a step, or by itself after a failed append, store or snapshot; is told to |
//! | machine | stops between any two operations of the disk, also while a start repairs, or within a write |
//! | power | goes with it: any of the unsynced sectors and names are kept, and an unsynced bit flips |
//! | disk | is full for a while; syncs fail, and nobody knows what is kept then |
//! | mirror | the adopted commit is lost; or the cache of manifests |
//! | clocks | the wall clock is set by hours, both ways; the machine stands still, and all is due at once |
//! | repository | out of reach, slow; force pushes; an empty tree; refused trees |
//! | manifests | invalid, unreadable, misspelt, links instead |
//! | registries | down, 429 with pauses, one or both; lying; slow with answers that are old when they come |
//! | tags | go, move, move back |
//! | events | nudges that are lost or doubled; answers in any order, doubled, late |
//! | runs of a CronJob | fail, take long, are made twice or ended late; what made or started them crashes on the way |
//! | builds | fail, take long, are ordered several at a time; are started by what they make |
//! | targets | refuse, work on it for long, finish without an answer, get the same key again, are not configured any more |
//! | updates | are broken off between two instances: by a crash, a cancel, a newer image, a failure |
//! | operators | ask, release and put tags over git at any time, also in the middle of other inputs; change settings |
//!
//! # What the oracle checks
//!
//! After every step (once it is calm, after every fourth) the laws of `src/lib.rs` ([`oracle`]), by records that it folds
//! and counts itself. At every start:
//! no record is lost whose append returned, none is there that nobody wrote, no number stands for two, and the object
//! store has whatever records name. Then faults stop, and everything has to come right: every tag is what its registry
//! says, every workload runs what its tags say or is held with a reason, nothing waits for a time any more, restarts
//! change nothing and ask nobody too early.
//!
//! What a workload waits for, how many of its instances may run while they are replaced, and what of a `Pod` counts is said
//! again without the plan ([`waits`], [`host`]).
//!
//! Whether this sees anything is proven by [`mutations`]: deliberate bugs (`src/sabotage.rs`), each of which must be
//! caught.

mod builder;
mod disk;
mod happen;
mod host;
mod meter;
#[cfg(feature = "sabotage")]
mod mutations;
mod oracle;
mod outside;
mod process;
mod repository;
mod rng;
mod shrink;
mod simulation;
mod verdict;
mod waits;

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate::action::{Input, Nudge};
use tidegate::desired::{Origin, TagSource};
use tidegate::names::{Kind, StreamTag};
use tidegate::observed::rollout::{Rollout, WorkloadState};
use tidegate::plan::HeldReason;
use tidegate::time::Timestamp;

use process::End;
use rng::{Plot, Story};
use simulation::Simulation;
use verdict::{Broken, catch};

/// How much happens in one story.
const TICKS: usize = 30;

/// A story that was played.
struct Played {
    /// Its choices, as far as it came.
    story: Story,
    /// What was told.
    told: Vec<String>,
    /// How often something happened outside.
    events: usize,
    broken: Option<Broken>,
}

/// Plays a story, with a world of its own; `told` where somebody is to read it.
fn play(plot: Plot<'_>, told: Option<Vec<String>>) -> Played {
    let mut story = Story::default();
    let mut simulation = Simulation::new(plot.setup(), told);
    let result = catch(|| {
        simulation.start();
        simulation.go_on();
    });
    story.setup = simulation.rng.tape();
    let mut broken = result.err();
    for tick in 0..plot.ticks() {
        if broken.is_some() {
            break;
        }
        simulation.rng = plot.tick(tick);
        broken = catch(|| simulation.tick()).err();
        story.ticks.push(simulation.rng.tape());
    }
    if broken.is_none() {
        simulation.rng = plot.end();
        broken = catch(|| come_right(&mut simulation)).err();
        story.end = simulation.rng.tape();
    }
    let told = simulation.story.take().unwrap_or_default();
    Played { story, told, events: simulation.events, broken }
}

/// Faults end, and everything has to come right.
fn come_right(simulation: &mut Simulation) {
    calm(simulation);
    everything_runs(simulation);
    builder::everything_is_built(simulation);
    nothing_starts_again(simulation);
    if simulation.rng.one_in(8) {
        nothing_starves(simulation);
    }
    simulation.durable.is_whole();
}

/// Faults end, everything is repaired, and time passes.
fn calm(simulation: &mut Simulation) {
    simulation.tell(|| "CALM".into());
    simulation.faults = false;
    simulation.crash = false;
    simulation.durable.disk.repair();
    simulation.repository.repair();
    simulation.registries.repair();
    let host = simulation::HOST.parse().unwrap();
    simulation.policy.targets.insert(host, Duration::from_secs(600));
    simulation.set_policy();
    simulation.step(vec![Input::Nudged(Nudge::Source)]);
    simulation.pass(Duration::from_secs(2100));
    let tags = ["shop/s0:t", "shop/s1:t", "shop/s2:t", "shop/s2:pushed", "shop/s3:t", "shop/s4:t"];
    let tags = tags.map(|tag| tag.parse().unwrap());
    let overlaid: Vec<_> = simulation.engine.observed().overlays().map(|(tag, _)| tag).collect();
    for tag in tags.into_iter().chain(overlaid).chain(dangling(simulation)) {
        simulation.step(vec![Input::Nudged(Nudge::Tag(tag))]);
    }
    simulation.pass(Duration::from_secs(1000));
}

/// Tags whose image was deleted: the next check brings it back, whenever that is.
fn dangling(simulation: &Simulation) -> BTreeSet<StreamTag> {
    let observed = simulation.engine.observed();
    let tags = observed.streams.iter().flat_map(|(name, stream)| {
        stream.tags.iter().map(|(tag, state)| (name.tag(tag.clone()), state))
    });
    let is_deleted = |image| observed.images.deleted.contains(&image);
    let tags = tags.filter(|(_, state)| state.image().is_some_and(is_deleted));
    tags.map(|(tag, _)| tag).collect()
}

/// Every tag is what its registry says, and every workload runs what its tags say, or is held with a reason.
fn everything_runs(simulation: &Simulation) {
    let engine = &simulation.engine;
    assert_eq!(engine.desired().workloads.len(), 11, "everything is in git again");
    assert_eq!(engine.observed().refused, None, "law 8: the head is in force");
    let held = tidegate::plan::whole(&engine.view(simulation.now));
    let held: Vec<_> = held.iter().flat_map(|(_, plan)| &plan.held).collect();
    for stream in engine.desired().streams.values() {
        for (tag, spec) in &stream.tags {
            let Some(TagSource::Registry(image)) = &spec.from else { continue };
            if spec.origin == Origin::Vanished {
                continue;
            }
            // What a hook tagged is named by its digest.
            let told = || simulation.registries.truth(&image.to_string());
            let truth = image.digest.or_else(told);
            let state = engine.observed().tag(&stream.name.tag(tag.clone())).unwrap();
            assert_eq!(state.image(), truth, "{}:{tag} is not what {image} is", stream.name);
            assert_eq!(state.condition, None, "{}:{tag} does not fail any more", stream.name);
        }
    }
    let listed = &engine.desired().streams[&"shop/s3".parse().unwrap()].tags;
    let listed = listed.iter().filter(|(_, spec)| spec.origin == Origin::Listed);
    let listed: Vec<_> = listed.map(|(tag, _)| tag.as_str()).collect();
    assert_eq!(listed, ["latest", "v1"], "I195: the first two tags of the repository");
    simulation.oracle.every_order_is_answered();
    for (object, state) in &engine.observed().workloads {
        assert!(state.running().is_none(), "liveness: a rollout of {object} never ends");
        assert!(state.stopping().is_none(), "liveness: a stop of {object} never ends");
        assert!(state.scaling().is_none(), "liveness: scaling {object} never ends");
    }
    let waits = held.iter().find(|held| matches!(held.reason, HeldReason::Gated { .. }));
    assert_eq!(waits, None, "liveness: something waits for a time that never comes");
    for workload in engine.desired().workloads.values() {
        if held.iter().any(|held| held.object == workload.object) {
            continue;
        }
        let state = engine.observed();
        let wanted = {
            let asked = tidegate::effective::Asked::ByTriggers;
            tidegate::effective::wanted(workload, (engine.desired(), engine.policy()), state, asked)
        }
        .expect("held otherwise");
        let mut runs = simulation.targets.runs.get(&workload.object).cloned();
        if workload.object.kind == Kind::CronJob {
            let known = &state.workloads[&workload.object];
            runs = known.active().map(Rollout::digests);
            runs_in_time(known, simulation.now.wall);
        }
        assert_eq!(runs, Some(wanted.digests()), "{} does not run what it should", workload.object);
        let active = state.workloads[&workload.object].active().expect("it runs");
        if active.size().is_some() {
            let there = simulation.targets.host.instances(&workload.object);
            assert_eq!(
                (active.size(), there),
                (workload.scale, workload.scale),
                "D22: {}",
                workload.object
            );
        }
    }
}

/// R17a: what is scheduled runs, and comes to an end.
fn runs_in_time(state: &WorkloadState, now: Timestamp) {
    let late = now.as_millis() - 900_000;
    // What came into force just now, or by a clock that is ahead, has nothing to run yet.
    let since = state.jobs.since.or(state.active().map(|active| active.at));
    let last = state.jobs.slot.max(since);
    assert!(last.is_some_and(|last| last.as_millis() > late), "liveness: nothing runs");
    let stuck = state.jobs.running().find(|job| job.at.as_millis() < late);
    assert_eq!(stuck, None, "liveness: a run never ends");
}

/// With nothing changed outside, restarts and time start nothing, and nobody is asked before it is time.
fn nothing_starts_again(simulation: &mut Simulation) {
    let quiet = |simulation: &Simulation| {
        let records = simulation.durable.promised.iter();
        let kinds = [
            "RolloutStarted",
            "BuildCreated",
            "BuildStarted",
            "StopStarted",
            "ScaleStarted",
            "TriggerFired",
            "CommitAdopted",
            "TagImported",
        ];
        records.filter(|record| kinds.contains(&record.fact.kind())).count()
    };
    let before = quiet(simulation);
    for reachable in [true, false] {
        simulation.repository.reachable = reachable;
        let end = End::any(&mut simulation.rng);
        let stream = "shop/s2".parse().unwrap();
        let checked = simulation.oracle.checked.get(&stream).copied();
        let checked = checked.filter(|checked| *checked <= simulation.now.wall);
        let slow = simulation.asked.get("r1.io/slow:1").copied();
        simulation.end(end);
        simulation.pass(Duration::from_secs(1000));
        assert_eq!(quiet(simulation), before, "law 7: a restart changed something");
        let again = simulation.asked.get("r1.io/slow:1").copied();
        if let (Some(checked), Some((_, at))) =
            (checked, again.filter(|again| Some(*again) != slow))
        {
            let due = checked.after(Duration::from_secs(40 * 60));
            assert!(at >= due, "law 3: a restart asks at {at} what is due at {due}");
        }
    }
}

/// With restarts that are more frequent than the longest interval of a stream, all of its tags come to their turn.
fn nothing_starves(simulation: &mut Simulation) {
    simulation.repository.reachable = true;
    let before = simulation.asked.clone();
    for _ in 0..8 {
        simulation.pass(Duration::from_secs(25 * 60));
        simulation.restart();
    }
    for image in ["r1.io/slow:1", "r0.io/cron:1"] {
        let asked = simulation.asked[image].0 - before[image].0;
        assert!(asked >= 3, "{image} was asked for {asked} times in 200 minutes");
    }
}

/// Plays a seed; if it breaks a law, tells how, in few words.
fn outcome(seed: u64) -> Result<(), String> {
    match play(Plot::Seed(seed, TICKS), None) {
        Played { broken: None, .. } => Ok(()),
        failed => Err(shrink::told(seed, failed.story, &failed.broken.unwrap())),
    }
}

fn number(name: &str) -> Option<u64> {
    // The one place where a test reads the environment: how much to play is not a property of the code.
    std::env::vars().find(|(key, _)| key == name)?.1.parse().ok()
}

/// Plays 200 seeds; `SIM_SEEDS=N` plays N, `SIM_SEED=X` plays one and prints its story.
#[test]
fn every_seed_keeps_the_laws() {
    if let Some(seed) = number("SIM_SEED") {
        let played = play(Plot::Seed(seed, TICKS), Some(Vec::new()));
        println!("{}", played.told.join("\n"));
        let told = played.broken.map(|broken| shrink::told(seed, played.story, &broken));
        assert_eq!(told, None, "{}", told.clone().unwrap_or_default());
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(200);
    let half = |first: u64| move || (first..seeds).step_by(2).map(outcome).find_map(Result::err);
    let failed = std::thread::scope(|scope| {
        let threads = [scope.spawn(half(0)), scope.spawn(half(1))];
        threads.map(|thread| thread.join().unwrap())
    });
    if let Some(failure) = failed.into_iter().flatten().next() {
        panic!("{failure}");
    }
}
