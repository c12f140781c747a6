//! The simulated world: the engine as it is, and everything outside of it made up from one seed.

mod oracle;
mod outside;
mod repository;
mod rng;
mod simulation;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tidegate::action::{Input, Nudge};
use tidegate::desired::TagSource;

use simulation::Simulation;

/// How much happens in one story.
const TICKS: usize = 45;

/// Plays one seed; a law that is broken panics.
fn play(simulation: &mut Simulation) {
    simulation.step(vec![]);
    for _ in 0..TICKS {
        simulation.tick();
    }
    calm(simulation);
    everything_runs(simulation);
    nothing_starts_again(simulation);
    if simulation.rng.one_in(8) {
        nothing_starves(simulation);
    }
}

/// Faults end, everything is repaired, and time passes.
fn calm(simulation: &mut Simulation) {
    simulation.tell("CALM");
    simulation.faults = false;
    simulation.repository.repair();
    simulation.registries.repair();
    let host = simulation::HOST.parse().unwrap();
    simulation.policy.targets.insert(host, Duration::from_secs(600));
    simulation.set_policy();
    simulation.step(vec![Input::Nudged(Nudge::Source)]);
    simulation.pass(Duration::from_secs(2100));
    let tags = ["shop/s0:t", "shop/s1:t", "shop/s2:t", "shop/s2:pushed"];
    for tag in tags {
        simulation.step(vec![Input::Nudged(Nudge::Tag(tag.parse().unwrap()))]);
    }
    simulation.pass(Duration::from_secs(1000));
}

/// Every tag is what its registry says, and every workload runs what its tags say, or is held with a reason.
fn everything_runs(simulation: &Simulation) {
    let engine = &simulation.engine;
    assert_eq!(engine.desired().workloads.len(), 6, "everything is in git again");
    assert_eq!(engine.observed().refused, None, "law 8: the head is in force");
    let held = tidegate::plan::whole(&engine.view(simulation.now));
    let held: Vec<_> = held.iter().flat_map(|(_, plan)| &plan.held).collect();
    for stream in engine.desired().streams.values() {
        for (tag, spec) in &stream.tags {
            let Some(TagSource::Registry(image)) = &spec.from else { continue };
            let truth = simulation.registries.truth(&image.to_string());
            let state = engine.observed().tag(&stream.name.tag(tag.clone())).unwrap();
            assert_eq!(state.image(), truth, "{}:{tag} is not what {image} is", stream.name);
            assert_eq!(state.condition, None, "{}:{tag} does not fail any more", stream.name);
        }
    }
    for workload in engine.desired().workloads.values() {
        if held.iter().any(|held| held.object == workload.object) {
            continue;
        }
        let state = engine.observed();
        let wanted = tidegate::effective::wanted(workload, state).expect("held otherwise");
        let runs = simulation.targets.runs.get(&workload.object);
        assert_eq!(
            runs,
            Some(&wanted.digests()),
            "{} does not run what it should",
            workload.object
        );
    }
}

/// With nothing changed outside, restarts and time start nothing.
fn nothing_starts_again(simulation: &mut Simulation) {
    let quiet = |simulation: &Simulation| {
        let actions = simulation.journal.iter();
        let kinds =
            ["RolloutStarted", "StopStarted", "TriggerFired", "CommitAdopted", "TagImported"];
        actions.filter(|record| kinds.contains(&record.fact.kind())).count()
    };
    let before = quiet(simulation);
    for reachable in [true, false] {
        simulation.repository.reachable = reachable;
        simulation.crash(None);
        simulation.pass(Duration::from_secs(1000));
        assert_eq!(quiet(simulation), before, "law 7: a restart changed something");
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
        let asked = simulation.asked[image] - before[image];
        assert!(asked >= 3, "{image} was asked for {asked} times in 200 minutes");
    }
}

/// Plays a seed and says how it went.
fn outcome(seed: u64) -> Result<usize, String> {
    let mut simulation = Simulation::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| play(&mut simulation)));
    let told = simulation.story.join("\n");
    match result {
        Ok(()) => Ok(simulation.journal.len()),
        Err(panic) => {
            let why = panic.downcast_ref::<String>().cloned();
            let why = why.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Err(format!("{told}\nseed {seed}: {}", why.unwrap_or_default()))
        }
    }
}

fn number(name: &str) -> Option<u64> {
    // The one place where a test reads the environment: how much to play is not a property of the code.
    std::env::vars().find(|(key, _)| key == name)?.1.parse().ok()
}

/// Plays 500 seeds; `SIM_SEEDS=N` plays N, `SIM_SEED=X` plays one and prints its story.
#[test]
fn every_seed_keeps_the_laws() {
    if let Some(seed) = number("SIM_SEED") {
        let mut simulation = Simulation::new(seed);
        let result = catch_unwind(AssertUnwindSafe(|| play(&mut simulation)));
        println!("{}", simulation.story.join("\n"));
        assert!(result.is_ok(), "seed {seed} breaks a law");
        return;
    }
    let seeds = number("SIM_SEEDS").unwrap_or(500);
    let half = |first: u64| move || (first..seeds).step_by(2).map(outcome).find_map(Result::err);
    let failed = std::thread::scope(|scope| {
        let threads = [scope.spawn(half(0)), scope.spawn(half(1))];
        threads.map(|thread| thread.join().unwrap())
    });
    if let Some(failure) = failed.into_iter().flatten().next() {
        let tail: Vec<_> = failure.lines().rev().take(40).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        panic!("SIM_SEED=N replays it with its whole story\n{}", tail.join("\n"));
    }
}
