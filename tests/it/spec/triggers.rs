//! Rules of triggers (T rules).

use tidegate::action::RolloutReport;

use crate::support::start::{APP, WEB, committed, moves, running};

/// T6: an annotation entry that is paused is inert.
#[test]
fn t006_a_paused_entry_is_inert() {
    let mut world = committed(&format!("{WEB}\ndeploy app app<web:latest side~web:latest"));
    world.resolve("r.io/web:1", "a");
    let held = world.held();
    assert!(held.contains("side"), "its placeholder image is no image: {held}");
}

/// T7 and D33: an object is withheld as long as one of its entries is unresolved.
#[test]
fn t007_an_object_is_withheld_as_a_whole() {
    let mut world = committed(
        "is web latest=r.io/web:1\nis log latest=r.io/log:1\ndeploy app app<web:latest log<log:latest",
    );
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "resolve r.io/log:1");
}

/// T9: a pending or failed import does not count; the image is item 0.
#[test]
fn t009_a_failed_import_leaves_the_old_image() {
    let mut world = running();
    world.nudge("shop/web:latest");
    world.resolve_fails("r.io/web:1", tidegate::fact::ImportReason::NotFound, false);
    world.commit(&format!("{APP} env=2"));
    assert_eq!(world.pending(), "roll out app 2 app=#a");
}

/// T14: a passing failure is tried again after 5 s, 10 s, 20 s, under the same key.
#[test]
fn t014_passing_failures_back_off() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.records();
    for delay in [5, 10, 20] {
        world.transient("app");
        assert_eq!(world.pending(), "");
        world.advance(delay);
        assert_eq!(world.pending(), "roll out app 1 app=#a");
    }
    assert_eq!(world.records(), "");
}

/// T15: a tag that moved and moved back while nothing ran is nothing.
#[test]
fn t015_a_restart_starts_nothing() {
    let mut world = running();
    world.restart();
    assert_eq!(world.records(), "");
    assert_eq!(world.pending(), "");
    world.advance(1000);
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.records(), "");
}

/// T15: a rollout without its end is given to its target again, under the same key.
#[test]
fn t015_a_rollout_without_its_end_goes_on_after_a_restart() {
    let mut world = running();
    moves(&mut world, "b");
    world.records();
    world.restart();
    assert_eq!(world.pending(), "roll out app 2 app=#b");
    world.complete("app");
    assert_eq!(world.records(), "RolloutFinished app Complete");
}

/// T16: with nothing to change nothing is written.
#[test]
fn t016_nothing_to_change_writes_nothing() {
    let mut world = running();
    moves(&mut world, "a");
    world.read();
    assert_eq!(world.records(), "");
}

/// T18: the same digest in another repository starts nothing.
#[test]
fn t018_equality_is_by_digest() {
    let mut world = running();
    world.commit(&APP.replace("r.io/web", "r.io/moved"));
    world.resolve("r.io/moved:1", "a");
    assert_eq!(
        world.records(),
        "CommitAdopted ~web@3(latest)\nTagImported web:latest #a @4 registry"
    );
}

/// T20: importing the same digest again fires nothing.
#[test]
fn t020_the_same_digest_again_fires_nothing() {
    let mut world = running();
    world.commit(&APP.replace("web:1", "web:2"));
    world.resolve("r.io/web:2", "a");
    assert!(!world.records().contains("TriggerFired"));
}

/// T25: a passing failure is tried again, with `retry=0` it is held at once.
#[test]
fn t025_without_retries_a_passing_failure_is_held() {
    let mut world = committed(&format!("{APP} retry=0"));
    world.resolve("r.io/web:1", "a");
    world.transient("app");
    assert!(world.held().contains("failed with these digests"), "{}", world.held());
}

/// T25: with `retry=0` there is one delivery, also while there is time.
#[test]
fn t025_retry_0_means_one_delivery() {
    let mut world = committed(&format!("{APP} retry=0"));
    world.resolve("r.io/web:1", "a");
    world.transient("app");
    world.advance(1000);
    let records = world.records();
    assert_eq!(records.matches("RolloutStarted").count(), 1, "{records}");
    assert!(world.held().contains("not delivered in 1 attempt: busy"), "{}", world.held());
}

/// T25: a passing failure is tried again three times, each after a longer pause, and then it is held.
#[test]
fn t025_a_passing_failure_is_tried_again_three_times() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    let mut deliveries = 0;
    for _ in 0..200 {
        if world.pending().contains("roll out app") {
            world.transient("app");
            deliveries += 1;
        }
        world.advance(1);
    }
    assert_eq!(deliveries, 4, "one delivery and three repetitions");
    assert!(world.held().contains("not delivered in 4 attempts: busy"), "{}", world.held());
}

/// T25: what is on its way is given up at its time, though it may be tried more often.
#[test]
fn t025_a_passing_failure_is_given_up_at_its_time() {
    let mut world = committed(&format!("{APP} retry=1000"));
    world.resolve("r.io/web:1", "a");
    for _ in 0..599 {
        if world.pending().contains("roll out app") {
            world.transient("app");
        }
        world.advance(1);
    }
    assert!(!world.held().contains("failed"), "{}", world.held());
    world.advance(60);
    if world.pending().contains("roll out app") {
        world.transient("app");
    }
    assert!(world.held().contains("not delivered within 10m, in "), "{}", world.held());
}

/// T25: why something does not get through is kept until it does.
#[test]
fn t025_why_a_delivery_fails_is_kept() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.transient("app");
    let delivery = world.engine.soft().deliveries.values().next().unwrap();
    assert_eq!((delivery.reason.as_deref(), delivery.failures), (Some("busy"), 1));
    world.advance(5);
    let status_url = "http://target/1".into();
    world.report("roll out app", RolloutReport::Running { status_url });
    let delivery = world.engine.soft().deliveries.values().next().unwrap();
    assert_eq!((delivery.reason.as_deref(), delivery.failures), (None, 0));
}

/// T25: what the target accepted is not given up because asking did not get through (found by the simulator, seed 22).
#[test]
fn t025_asking_in_vain_is_no_failure() {
    let mut world = committed(&format!("{APP} retry=0"));
    world.resolve("r.io/web:1", "a");
    let status_url = "http://target/1".into();
    world.report("roll out app", RolloutReport::Running { status_url });
    world.advance(2);
    world.transient("app");
    assert_eq!(world.held(), "");
    world.advance(5);
    world.complete("app");
    assert!(world.records().ends_with("RolloutFinished app Complete"));
}

/// T25: a different set, or an operator, releases a hold.
#[test]
fn t025_a_new_digest_or_an_operator_releases_a_hold() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.complete("app");
    assert_eq!(world.release("DeploymentConfig/shop/app"), "done");
    assert_eq!(world.pending(), "roll out app 3 app=#b");
    world.refuse("app");
    world.complete("app");
    moves(&mut world, "c");
    assert_eq!(world.pending(), "roll out app 4 app=#c");
    assert!(world.records().contains("HoldReleased app: new images"));
}

/// T25: a retag to what runs releases nothing.
#[test]
fn t025_going_back_to_what_runs_releases_nothing() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.complete("app");
    world.records();
    moves(&mut world, "a");
    moves(&mut world, "b");
    assert_eq!(
        world.records(),
        "TagImported web:latest #a @4 registry\n\
         TriggerFired app web:latest #b to #a: already running\n\
         TagImported web:latest #b @5 registry\n\
         TriggerFired app web:latest #a to #b: held"
    );
    assert_eq!(world.pending(), "");
}

/// T25: a crash that keeps the record of a failure and loses the one of its hold loses no hold.
#[test]
fn t025_a_failure_holds_by_itself() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    let finished = world.journal.iter().rposition(|r| r.fact.kind() == "RolloutFinished").unwrap();
    world.journal.truncate(finished + 1);
    world.restart();
    world.complete("app");
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("failed with these digests: unhealthy"), "{}", world.held());
}

/// T27: a commit that changes template and tag gives one rollout.
#[test]
fn t027_template_and_tag_give_one_rollout() {
    let mut world = running();
    world.commit(&format!("{} env=2", APP.replace("web:1", "web:2")));
    assert_eq!(world.pending(), "resolve r.io/web:2");
    world.resolve("r.io/web:2", "b");
    assert_eq!(world.pending(), "roll out app 2 app=#b");
}

/// T27: the import is waited for ten seconds.
#[test]
fn t027_the_import_is_waited_for_ten_seconds() {
    let mut world = running();
    world.commit(&format!("{} env=2", APP.replace("web:1", "web:2")));
    world.advance(9);
    assert!(!world.pending().contains("roll out"));
    world.advance(1);
    assert!(world.pending().contains("roll out app 2 app=#a"), "{}", world.pending());
}

/// T32: going back to what ran before is rolled out again if something else ran between.
#[test]
fn t032_a_tag_that_moves_back_fires_again() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    moves(&mut world, "a");
    world.complete("app");
    let records = world.records();
    assert_eq!(records.matches("RolloutStarted").count(), 2, "{records}");
}

/// T32: a doubled nudge is nothing.
#[test]
fn t032_a_doubled_nudge_is_nothing() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    world.records();
    moves(&mut world, "b");
    world.nudge("shop/web:latest");
    world.nudge("shop/web:latest");
    world.resolve("r.io/web:1", "b");
    assert_eq!(world.records(), "");
}

/// T33: a reference without a digest is held.
#[test]
fn t033_a_reference_without_a_digest_is_held() {
    let world = committed("is web latest=r.io/web:1,reference\ndc app app<web:latest");
    let held = world.held();
    assert!(held.starts_with("app: tag web:latest is a reference without a digest"), "{held}");
}
