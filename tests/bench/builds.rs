//! What builds cost: the plan of a base image that reaches 200 `BuildConfig`s, and how their queue drains.
//!
//! `cargo bench --bench builds` prints times and ratios; nothing is asserted.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::use_debug,
    clippy::disallowed_methods,
    reason = "a bench reads the clock and prints"
)]

#[path = "../it/support/mod.rs"]
#[expect(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "helpers of the suites, which use the rest"
)]
mod support;

use std::time::{Duration, Instant};

use support::builds::pushed;
use support::engine::World;
use support::story::digest;
use tidegate::action::{Action, Input, Resolution, ResolvedImage};
use tidegate::names::ContentHash;
use tidegate::policy::Policy;

/// `BuildConfig`s on one base.
const BUILDS: usize = 200;

const ROUNDS: usize = 21;

fn main() {
    let mut world = built();
    moved(&mut world);
    drained(&mut world);
}

/// A world in which each was built once, and is rolled out.
fn built() -> World {
    let mut objects = "is base 1=r.io/base:1".to_owned();
    for n in 0..BUILDS {
        let name = format!("s{n}");
        objects.push_str(&format!("\nis {name} push=r.io/{name}"));
        objects.push_str(&format!("\nbc {name} from=tag:base:1 to={name}:latest watch"));
        objects.push_str(&format!("\ndc {name} main<{name}:latest"));
    }
    let policy = Policy { builds_enabled: true, builds_in_flight_max: 2, ..World::policy() };
    let mut world = World::with(policy);
    world.commit(&objects);
    world.resolve("r.io/base:1", "a");
    drain(&mut world);
    world
}

/// One build after the other succeeds, and then each rollout; gives how many rollouts ended while builds waited.
fn drain(world: &mut World) -> (usize, usize, Duration) {
    let (mut builds, mut beside, begin) = (0, 0, Instant::now());
    loop {
        let pending = world.pending();
        if let Some(line) = pending.lines().find(|line| line.starts_with("roll out")) {
            let name = line.trim_start_matches("roll out ").split(' ').next().unwrap().to_owned();
            world.complete(&name);
            beside += usize::from(pending.contains("make build"));
            continue;
        }
        let Some(line) = pending.lines().find(|line| line.starts_with("make build")) else { break };
        let name = line.trim_start_matches("make build ").to_owned();
        world.built(&name, pushed(&format!("{name} of round {builds}")));
        builds += 1;
    }
    (builds, beside, begin.elapsed())
}

/// The step that takes in the new base: every build is created in it, and as many are started as there are slots.
fn moved(world: &mut World) {
    world.nudge("shop/base:1");
    let is_check = |action: &Action| matches!(action, Action::Resolve(_));
    let id = *world.actions.iter().find(|(_, action)| is_check(action)).unwrap().0;
    let image = ResolvedImage { digest: digest("b"), metadata: ContentHash::of(b"b") };
    let resolution = Resolution { probed: digest("b"), image: Some(image) };
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let mut engine = world.engine.clone();
            let inputs = vec![Input::Resolved(id, Ok(resolution.clone()))];
            let begin = Instant::now();
            let effects = engine.step(inputs, world.now);
            let took = begin.elapsed();
            drop(effects);
            took
        })
        .collect();
    times.sort();
    let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
    println!(
        "plan: a base of {BUILDS} BuildConfigs moves: {median:.1?} (median of {ROUNDS}; goal: under 100 ms)"
    );
    world.resolve("r.io/base:1", "b");
}

fn drained(world: &mut World) {
    let (builds, beside, took) = drain(world);
    println!(
        "queue: {builds} builds, 2 at once, {beside} rollouts ended while builds waited; {took:.1?} with all laws checked \
         after every step"
    );
}
