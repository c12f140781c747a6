//! What a commit that is invalid or removes something does (D7, D51, D52).

use std::time::Duration;

use tidegate::action::{OverlayOrder, Request, RolloutReport};
use tidegate::policy::{OnInvalid, Policy};

use crate::support::engine::World;
use crate::support::start::{APP, WEB, committed, moves, running};

/// D7: one commit is one record; an invalid object keeps its last valid version, or stays absent.
#[test]
fn d007_an_invalid_object_keeps_its_last_version() {
    let mut world = running();
    world.commit(&format!("{WEB}\nbad dc app\nbad dc other\ndc third x=r.io/x:1"));
    assert_eq!(
        world.records(),
        "CommitAdopted +third#1 !app:kept !other:absent\nRolloutStarted third 1 (config change) x=r.io/x:1"
    );
    moves(&mut world, "b");
    assert!(world.pending().contains("roll out app 2 app=#b"), "{}", world.pending());
}

/// D7: the kept version is in force after a restart, too.
#[test]
fn d007_a_kept_version_survives_a_restart() {
    let mut world = running();
    world.commit(&format!("{WEB}\nbad dc app"));
    world.restart();
    moves(&mut world, "b");
    assert!(world.pending().contains("roll out app 2 app=#b"), "{}", world.pending());
}

/// D7: a file that cannot be read at all keeps everything that stood in it.
#[test]
fn d007_an_unreadable_file_removes_nothing() {
    let mut world = running();
    let mut files = crate::support::manifest::files(APP);
    files.insert("shop/dc-app.yaml".into(), "{ not yaml".into());
    world.commit_files(files);
    assert_eq!(world.records(), "CommitAdopted !app:kept");
    assert_eq!(world.pending(), "");
}

/// D7: with `on_invalid = "refuse"` the whole commit is refused, once.
#[test]
fn d007_a_commit_is_refused_as_a_whole_if_wanted() {
    let policy = Policy { on_invalid: OnInvalid::Refuse, ..World::policy() };
    let mut world = World::with(policy);
    world.commit(WEB);
    world.records();
    world.commit(&format!("{WEB}\nbad dc app"));
    world.read();
    let records = world.records();
    assert!(records.starts_with("CommitRefused: 1 invalid objects, the first at "), "{records}");
    assert_eq!(records.lines().count(), 1, "{records}");
}

/// D51: a workload that git no longer has is stopped.
#[test]
fn d051_what_git_no_longer_has_is_stopped() {
    let mut world = running();
    world.commit(WEB);
    assert_eq!(world.records(), "CommitAdopted -app:pruned\nStopStarted app");
    world.complete("app");
    assert_eq!(world.records(), "StopFinished app Complete");
    world.commit(APP);
    assert_eq!(
        world.records(),
        "CommitAdopted +app#2\nTriggerFired app web:latest nothing to #a: rollout 2\n\
         RolloutStarted app 2 (config change) app=#a"
    );
}

/// D51: what comes back within the grace time is the same life, and nothing is stopped.
#[test]
fn d051_within_the_grace_time_nothing_is_stopped() {
    let policy = Policy { prune_grace: Duration::from_secs(60), ..World::policy() };
    let mut world = World::with(policy);
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit(WEB);
    world.advance(59);
    assert_eq!(world.pending(), "");
    world.records();
    world.commit(APP);
    assert_eq!(world.records(), "CommitAdopted +app#1");
    world.commit(WEB);
    world.advance(61);
    assert_eq!(world.pending(), "stop app");
}

/// D51: a running rollout of what is gone is cancelled, then it is stopped.
#[test]
fn d051_a_running_rollout_of_what_is_gone_is_ended_first() {
    let mut world = running();
    moves(&mut world, "b");
    world.commit(WEB);
    assert_eq!(world.told(), "cancel roll out app 2 app=#b");
    world.report("roll out app", RolloutReport::Cancelled);
    assert_eq!(world.pending(), "stop app");
}

/// D51: `tidegate.dev/prune: "false"` keeps it running.
#[test]
fn d051_prune_false_keeps_it_running() {
    let mut world = committed(&format!("{APP} prune=false"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit(WEB);
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("keeps running"), "{}", world.held());
}

/// D51: a stop that fails is told, and an operator lets it be tried again.
#[test]
fn d051_a_stop_that_fails_is_tried_again_on_order() {
    let mut world = running();
    world.commit(WEB);
    world.refuse("app");
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("stopping it failed: unhealthy"), "{}", world.held());
    assert_eq!(world.release("DeploymentConfig/shop/app"), "done");
    assert_eq!(world.pending(), "stop app");
}

/// D51: a target that works on a stop is asked how it goes on, not told again.
#[test]
fn d051_a_stop_that_runs_is_asked_about() {
    let mut world = running();
    world.commit(WEB);
    world.report("stop app", RolloutReport::Running { status_url: "http://target/1".into() });
    world.advance(2);
    assert_eq!(world.pending(), "ask app");
    world.report("ask app", RolloutReport::Running { status_url: "http://target/1".into() });
    world.advance(2);
    world.complete("app");
    assert!(world.records().ends_with("StopFinished app Complete"));
}

/// D51: a stop that never ends is given up at its time, is held, and can be tried again.
#[test]
fn d051_a_stop_that_never_ends_is_given_up() {
    let mut world = running();
    world.commit(WEB);
    world.report("stop app", RolloutReport::Running { status_url: "http://target/1".into() });
    for _ in 0..400 {
        if world.pending().contains("ask app") {
            let status_url = "http://target/1".into();
            world.report("ask app", RolloutReport::Running { status_url });
        }
        world.advance(2);
    }
    assert_eq!(world.pending(), "");
    let held = world.held();
    assert!(held.contains("stopping it failed: the target did not finish within 10m"), "{held}");
    assert_eq!(world.release("DeploymentConfig/shop/app"), "done");
    assert_eq!(world.pending(), "stop app");
}

/// D51: a stop that does not get through is tried for as long as a rollout may take.
#[test]
fn d051_a_stop_that_does_not_get_through_is_given_up_at_its_time() {
    let mut world = running();
    world.commit(WEB);
    let mut deliveries = 0;
    for _ in 0..700 {
        if world.pending().contains("stop app") {
            world.transient("app");
            deliveries += 1;
        }
        world.advance(1);
    }
    assert!(deliveries > 4, "{deliveries}");
    assert!(world.held().contains("stopping it failed: not delivered within 10m"));
}

fn at_target() -> (World, Policy) {
    let target = "host".parse().unwrap();
    let targets = [(target, Duration::from_secs(600))].into();
    let policy = Policy { targets, ..World::policy() };
    let mut world = World::with(policy.clone());
    world.commit(&format!("{APP} target=host"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    (world, policy)
}

/// D51: what ran at a target that is no longer configured is held until the target is there again.
#[test]
fn d051_a_stop_waits_for_its_target() {
    let (mut world, policy) = at_target();
    world.engine.set_policy(World::policy());
    world.commit(WEB);
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("target `host` is not configured"), "{}", world.held());
    world.engine.set_policy(policy);
    world.step(vec![]);
    assert_eq!(world.pending(), "stop app");
}

/// D51: a stop that has begun ends when its target goes, so that it takes no place of others for ever.
#[test]
fn d051_a_stop_whose_target_goes_is_held() {
    let (mut world, _) = at_target();
    world.commit(WEB);
    world.engine.set_policy(World::policy());
    world.transient("app");
    assert_eq!(world.pending(), "");
    assert!(world.records().ends_with("StopFinished app Failed"));
    assert!(world.held().contains("target `host` is not configured"), "{}", world.held());
}

/// D51: a stop takes the place of a rollout.
#[test]
fn d051_stops_are_as_many_at_once_as_rollouts() {
    let policy = Policy { rollouts_in_flight_max: 2, ..World::policy() };
    let mut world = World::with(policy);
    let apps: Vec<_> = (0..4).map(|n| format!("dc app{n} app=r.io/app:1")).collect();
    world.commit(&apps.join("\n"));
    for n in 0..4 {
        world.complete(&format!("app{n}"));
    }
    world.commit("dc other app=r.io/app:1");
    assert_eq!(world.pending(), "roll out other 1 app=r.io/app:1");
    assert_eq!(world.ask(Request::ReleaseRemovals), "done");
    assert_eq!(world.pending().lines().count(), 2, "{}", world.pending());
    world.restart();
    assert_eq!(world.pending().lines().count(), 2, "{}", world.pending());
}

/// D52, I93: a tag that only a held removal referred to goes with it.
#[test]
fn d052_a_tag_that_left_goes_with_the_held_removal_that_refers_to_it() {
    // It never ran, so nothing has to be stopped.
    let mut world = World::with(Policy { rollouts_in_flight_max: 0, ..World::policy() });
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    world.commit("");
    let order = OverlayOrder { tag: "shop/web:latest".parse().unwrap(), spec: None };
    assert_eq!(world.ask(Request::Overlay(Box::new(order))), "done");
    assert!(world.tag("shop/web:latest").starts_with("#a"), "it is referred to");
    world.records();
    assert_eq!(world.release("DeploymentConfig/shop/app"), "done");
    assert!(world.records().contains("TagRemoved web:latest: Unreferenced"));
}

/// D51: a rejected object is not removed.
#[test]
fn d051_a_rejected_object_is_present() {
    let mut world = running();
    world.commit(&format!("{WEB}\nbad dc app"));
    assert_eq!(world.records(), "CommitAdopted !app:kept");
}

/// D51: what comes back invalid within the grace time is not stopped (found by the simulator, seed 462).
#[test]
fn d051_what_comes_back_invalid_is_not_stopped() {
    let policy = Policy { prune_grace: Duration::from_secs(60), ..World::policy() };
    let mut world = World::with(policy);
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit(WEB);
    world.commit(&format!("{WEB}\nbad dc app"));
    world.advance(100);
    assert_eq!(world.pending(), "");
    assert!(world.held().starts_with("app: invalid at dc-app.yaml"), "{}", world.held());
    world.commit(WEB);
    assert_eq!(world.pending(), "stop app");
}

/// D51: without the mirror nobody knows what stood where; what is invalid or unreadable is still no removal.
#[test]
fn d051_a_lost_mirror_removes_nothing_that_is_invalid() {
    let mut world = running();
    let mut files = crate::support::manifest::files(&format!("{WEB}\nbad dc app\nis other"));
    files.insert("shop/is-web.yaml".into(), "{ not yaml".into());
    world.now_is(files);
    world.restart_without_mirror();
    assert_eq!(
        world.records(),
        "CommitAdopted +other#1 ~other@1() !app:absent !shop/is-web.yaml:absent"
            .replace("shop/", "")
    );
    assert!(world.held().starts_with("app: "), "{}", world.held());
    world.commit(APP);
    assert_eq!(world.pending(), "", "nothing is rolled out again");
}

/// D51: what git removed while the mirror was lost keeps running: nobody knows whether it may be stopped.
#[test]
fn d051_a_lost_mirror_stops_nothing() {
    let mut world = running();
    world.now_is(crate::support::manifest::files(WEB));
    world.restart_without_mirror();
    assert!(world.records().starts_with("CommitAdopted -app:kept"));
    world.advance(100);
    assert_eq!(world.pending(), "");
}

/// D51: reading the adopted commit again after its mirror was lost changes nothing.
#[test]
fn d051_a_lost_mirror_alone_changes_nothing() {
    let mut world = running();
    world.restart_without_mirror();
    assert_eq!(world.records(), "");
    assert_eq!(world.pending(), "");
}

/// D52: a commit that removes everything is adopted, and its removals are held until they are released.
#[test]
fn d052_an_empty_tree_stops_nothing() {
    let mut world = running();
    world.commit("");
    assert_eq!(world.records(), "CommitAdopted -web:held -app:held");
    assert_eq!(world.pending(), "");
    world.restart();
    moves(&mut world, "b");
    assert_eq!(world.pending(), "roll out app 2 app=#b", "everything goes on as before");
    world.complete("app");
    assert_eq!(world.ask(Request::ReleaseRemovals), "done");
    assert_eq!(world.pending(), "stop app");
}

/// D52: more than `prune.max_objects`, or all of a namespace that had three.
#[test]
fn d052_a_whole_namespace_is_guarded() {
    let keep = "dc keep x=r.io/x:1 ns=other";
    let mut world = committed(&format!("{keep}\nis a\nis b\nis c\nis d ns=two\nis e ns=two"));
    world.records();
    world.commit(keep);
    let all = "CommitAdopted -shop/a:held -shop/b:held -shop/c:held -two/d:held -two/e:held";
    assert_eq!(world.records(), all.replace("shop/", ""));
}

/// D52: a commit that brings the objects back ends the hold.
#[test]
fn d052_what_comes_back_is_held_no_more() {
    let mut world = running();
    world.commit("");
    world.commit(APP);
    world.records();
    assert_eq!(world.held(), "");
    assert_eq!(world.ask(Request::ReleaseRemovals), "nothing: no removal is held");
}

/// D52: the adopted commit, read again after its mirror was lost, removes no more than it did (simulator, seed 1727).
#[test]
fn d052_a_commit_read_again_removes_no_more_than_before() {
    let mut world = running();
    let mut files = crate::support::manifest::files(APP);
    files.insert("shop/is-web.yaml".into(), "{ not yaml".into());
    world.now_is(files);
    world.restart_without_mirror();
    world.commit("");
    world.records();
    world.restart_without_mirror();
    assert_eq!(world.records(), "");
    assert_eq!(world.pending(), "");
}
