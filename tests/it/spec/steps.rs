//! Rollouts at a target that is told each step (rules R3, R4, R7).

use tidegate::action::{Action, RolloutReport, StepOrder};
use tidegate::fact::{Fact, Outcome, RolloutStep};
use tidegate::names::ContentHash;

use RolloutStep::{
    Checking, PostHook, PreHook, Pulling, RollingBack, StartingNew, StoppingOld, Verifying,
};

use crate::support::engine::World;
use crate::support::manifest;
use crate::support::start::{APP, moves};

/// The steps of a rollout that takes the place of another.
const COURSE: [RolloutStep; 5] = [Pulling, Verifying, StoppingOld, StartingNew, Checking];

/// A world whose target runs pods on a host.
pub(super) fn host() -> World {
    let mut policy = World::policy();
    policy.hosts.insert("none".parse().unwrap());
    World::with(policy)
}

/// The step that the target is asked for.
fn asked(world: &World) -> Option<StepOrder> {
    world.actions.values().find_map(|action| match action {
        Action::RollOut(request) => request.step.clone(),
        _ => None,
    })
}

/// The target did what it was asked for.
fn done(world: &mut World) {
    let step = asked(world).expect("a step").step;
    let rendered = (step == Pulling).then(|| ContentHash::of(b"rendered"));
    world.report(
        "roll out app",
        RolloutReport::Stepped { rendered, note: String::new(), down: None },
    );
}

/// The target goes on until it is asked for a step, or until the rollout ended.
pub(super) fn until(world: &mut World, step: Option<RolloutStep>) {
    while asked(world).map(|order| order.step) != step {
        done(world);
    }
}

pub(super) fn fails(world: &mut World) {
    let report = RolloutReport::Failed { reason: "unhealthy".into(), log: "boom".into() };
    world.report("roll out app", report);
}

/// A world that runs `a`, with nothing left to show.
pub(super) fn running() -> World {
    let mut world = host();
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    until(&mut world, None);
    world.records();
    world.told();
    world
}

fn last_end(world: &World) -> (Outcome, String, Option<bool>) {
    let ends = world.journal.iter().rev().filter_map(|record| match &record.fact {
        Fact::RolloutFinished(end) => Some((end.outcome, end.reason.clone(), end.rolled_back)),
        _ => None,
    });
    ends.clone().next().expect("an end")
}

/// R3: each step is recorded before it is asked for, in the order of the course; the first rollout has nothing to stop.
#[test]
fn r003_a_rollout_goes_step_by_step() {
    let mut world = host();
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    for step in [Pulling, StartingNew, Checking] {
        let order = asked(&world).unwrap();
        assert_eq!((order.step, order.previous), (step, None));
        assert_eq!(order.rendered.is_some(), step != Pulling);
        let Fact::RolloutStepped(stepped) = &world.journal.last().unwrap().fact else { panic!() };
        assert_eq!(stepped.step, step);
        done(&mut world);
    }
    assert_eq!(last_end(&world), (Outcome::Complete, String::new(), None));
    assert_eq!(world.pending(), "");
    moves(&mut world, "b");
    for step in COURSE {
        let order = asked(&world).unwrap();
        assert_eq!((order.step, order.previous.is_some()), (step, true));
        done(&mut world);
    }
    assert_eq!(last_end(&world), (Outcome::Complete, String::new(), None));
}

/// R4: whatever step a crash meets is asked for again, and nothing else.
#[test]
fn r004_a_restart_goes_on_at_the_step_that_it_met() {
    for step in COURSE {
        let mut world = running();
        moves(&mut world, "b");
        until(&mut world, Some(step));
        let before = (asked(&world), world.journal.len());
        world.restart();
        assert_eq!((asked(&world), world.journal.len()), before);
        until(&mut world, None);
        assert_eq!(last_end(&world).0, Outcome::Complete);
    }
}

/// R3, R7, T25: what fails is rolled back, held, and not followed by a restore: the target has done that.
#[test]
fn r003_a_step_that_fails_is_rolled_back_and_held() {
    for step in COURSE {
        for crashes in [false, true] {
            let mut world = running();
            moves(&mut world, "b");
            until(&mut world, Some(step));
            fails(&mut world);
            if crashes {
                world.restart();
            }
            let order = asked(&world).unwrap();
            assert_eq!((order.step, order.got_to), (RollingBack, Some(step)));
            assert!(order.previous.is_some());
            done(&mut world);
            assert_eq!(last_end(&world), (Outcome::Failed, "unhealthy".into(), Some(true)));
            assert_eq!(world.pending(), "");
            let held = world.held();
            assert!(held.contains("failed with these digests: unhealthy"), "{held}");
            world.restart();
            assert_eq!(world.pending(), "", "R4: it is held over a restart");
            moves(&mut world, "c");
            assert_eq!(asked(&world).unwrap().step, Pulling, "T25: a new digest releases it");
        }
    }
}

/// R13a, 6: where the revision before cannot be put back, that is what is told, and nothing is tried by itself.
#[test]
fn r013a_a_rollback_that_fails_is_no_success() {
    let mut world = running();
    moves(&mut world, "b");
    until(&mut world, Some(Checking));
    fails(&mut world);
    let report = RolloutReport::Failed { reason: "no such image".into(), log: String::new() };
    world.report("roll out app", report);
    let (outcome, reason, rolled_back) = last_end(&world);
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(false)));
    assert_eq!(reason, "unhealthy; then putting the revision before back failed: no such image");
    assert_eq!(world.pending(), "");
    let held = world.held();
    assert!(held.contains("putting the previous revision back failed"), "{held}");
}

/// The rollout fails where it is, and what ran before cannot be put back.
fn breaks(world: &mut World) {
    fails(world);
    assert_eq!(asked(world).unwrap().step, RollingBack);
    fails(world);
    assert_eq!(last_end(world).2, Some(false));
}

/// R7, law 8: where nobody knows what runs, a rollout that fails early leaves nothing as it was (found by the simulator).
#[test]
fn r007_what_could_not_be_put_back_is_put_back_by_the_next_one() {
    for crashes in [false, true] {
        let mut world = running();
        moves(&mut world, "b");
        until(&mut world, Some(StartingNew));
        breaks(&mut world);
        moves(&mut world, "c");
        assert_eq!(asked(&world).unwrap().step, Pulling);
        fails(&mut world);
        if crashes {
            world.restart();
        }
        let order = asked(&world).unwrap();
        assert_eq!((order.step, order.got_to), (RollingBack, None), "nothing is untouched");
        assert!(order.previous.is_some());
        done(&mut world);
        moves(&mut world, "d");
        fails(&mut world);
        assert_eq!(asked(&world).unwrap().got_to, Some(Pulling), "now it is");
    }
}

/// R15: what a first rollout left that could not be taken away ends before the next one begins (found by the simulator).
#[test]
fn r015_what_is_left_of_a_first_rollout_ends_before_the_next() {
    let mut world = host();
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    until(&mut world, Some(Checking));
    breaks(&mut world);
    moves(&mut world, "b");
    for step in COURSE {
        assert_eq!(asked(&world).unwrap().step, step);
        done(&mut world);
    }
    assert_eq!(last_end(&world).0, Outcome::Complete);
}

/// D16: something newer ends a rollout in whatever step it is; what it changed is put back before the newer begins.
#[test]
fn d016_what_is_superseded_is_rolled_back_first() {
    for step in COURSE {
        for crashes in [false, true] {
            let mut world = running();
            moves(&mut world, "b");
            until(&mut world, Some(step));
            moves(&mut world, "c");
            assert_eq!(asked(&world).unwrap().step, step);
            if crashes {
                world.restart();
            } else {
                world.report("roll out app", RolloutReport::Cancelled);
            }
            let order = asked(&world).unwrap();
            assert_eq!((order.step, order.got_to), (RollingBack, Some(step)));
            done(&mut world);
            let why = "newer deployment was found running".to_owned();
            assert_eq!(last_end(&world), (Outcome::Cancelled, why, Some(true)));
            assert!(
                world.pending().starts_with("roll out app 3 app=#c Pulling"),
                "{}",
                world.pending()
            );
        }
    }
}

/// T25: what may pass by itself is asked for again, in the same step; after some attempts it is rolled back and held.
#[test]
fn t025_a_step_that_does_not_get_through_is_tried_again() {
    let mut world = running();
    moves(&mut world, "b");
    done(&mut world);
    for attempt in 0..4 {
        assert_eq!(asked(&world).map(|order| order.step), Some(Verifying), "attempt {attempt}");
        world.transient("app");
        if attempt < 3 {
            assert_eq!(asked(&world), None);
            world.advance(60);
        }
    }
    assert_eq!(asked(&world).unwrap().step, RollingBack, "at once: it touched what runs");
    for _ in 0..10 {
        world.transient("app");
        world.advance(60);
        assert_eq!(asked(&world).unwrap().step, RollingBack, "nobody else puts it back");
    }
    done(&mut world);
    let why = "Verifying failed in 4 attempts: busy".to_owned();
    assert_eq!(last_end(&world), (Outcome::Failed, why, Some(true)));
}

/// D39a: a rollout that takes longer than `activeDeadlineSeconds` is ended and rolled back.
#[test]
fn d039a_a_rollout_ends_at_its_deadline() {
    for crashes in [false, true] {
        let mut world = running();
        moves(&mut world, "b");
        until(&mut world, Some(Checking));
        world.advance(21_599);
        assert_eq!(world.told(), "");
        if crashes {
            world.restart();
        }
        world.advance(2);
        assert_eq!(world.told(), "cancel roll out app 2 app=#b Checking");
        world.report("roll out app", RolloutReport::Cancelled);
        assert_eq!(asked(&world).unwrap().step, RollingBack);
        done(&mut world);
        let why = "it was not done within 6h".to_owned();
        assert_eq!(last_end(&world), (Outcome::Failed, why, Some(true)));
    }
}

/// D39a, law 8: what kept it from going on is told with it, and does not keep what ran before from being put back.
#[test]
fn d039a_what_stood_in_the_way_is_told() {
    let mut world = running();
    moves(&mut world, "b");
    world.advance(21_598);
    let reason = "the registry is gone".to_owned();
    world.report("roll out app", RolloutReport::Transient { reason, retry_after: None });
    world.advance(3);
    done(&mut world);
    let why = "it was not done within 6h; it failed before: the registry is gone".to_owned();
    assert_eq!(last_end(&world), (Outcome::Failed, why, Some(true)));
}

/// Law 8: what the target cannot run is held with what it asks for, before anything is touched.
#[test]
fn r001_what_a_host_does_not_do_is_held() {
    let mut world = host();
    world.commit("is web latest=r.io/web:1\ndc app app<web:latest volume=projected");
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "");
    let held = world.held();
    assert!(held.contains("target `none` cannot run it: volume `v` is a `projected`"), "{held}");
}

/// A world that runs `a`, with hooks before and after.
fn with_hooks() -> World {
    let mut world = host();
    let hook = "{failurePolicy: Abort, execNewPod: {command: [migrate]}}";
    let strategy =
        format!("  replicas: 1\n  strategy: {{rollingParams: {{pre: {hook}, post: {hook}}}}}\n");
    let files = manifest::files(APP).into_iter();
    world.commit_files(files.map(|(p, t)| (p, t.replace("  replicas: 1\n", &strategy))).collect());
    world.resolve("r.io/web:1", "a");
    until(&mut world, None);
    moves(&mut world, "b");
    world
}

/// D40.3, D40.5: a hook that fails takes the rollout with it, one after everything runs, too.
#[test]
fn d040_3_d040_5_a_hook_that_fails_fails_the_rollout() {
    for step in [PreHook, PostHook] {
        let mut world = with_hooks();
        until(&mut world, Some(step));
        fails(&mut world);
        let order = asked(&world).unwrap();
        assert_eq!((order.step, order.got_to), (RollingBack, Some(step)));
        assert!(order.previous.is_some(), "D22: what ran before is put back");
        done(&mut world);
        assert_eq!(last_end(&world), (Outcome::Failed, "unhealthy".into(), Some(true)));
    }
}

/// D40.4: a hook that succeeded is not asked for again, whenever the process ends; one that a crash met is joined.
#[test]
fn d040_4_x046_a_hook_succeeds_once() {
    let mut world = with_hooks();
    let mut hooks = Vec::new();
    while let Some(order) = asked(&world) {
        world.restart();
        let again = asked(&world).expect("the same step");
        assert_eq!(again.step, order.step, "the hook that a crash met is asked for by its name");
        hooks.extend([PreHook, PostHook].into_iter().filter(|hook| *hook == order.step));
        done(&mut world);
        world.restart();
    }
    assert_eq!(hooks, [PreHook, PostHook]);
    assert_eq!(last_end(&world).0, Outcome::Complete);
}

/// R6: how long an image takes to come does not count as time without progress.
#[test]
fn r006_x049_a_long_pull_is_no_lack_of_progress() {
    let mut world = running();
    moves(&mut world, "b");
    assert_eq!(asked(&world).unwrap().step, Pulling);
    world.advance(3_000);
    assert_eq!((asked(&world).unwrap().step, world.told().as_str()), (Pulling, ""));
    until(&mut world, None);
    assert_eq!(last_end(&world).0, Outcome::Complete);
}
