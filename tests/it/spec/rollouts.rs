//! When a workload is rolled out, restored and held (D rules).

use tidegate::action::RolloutReport;

use crate::support::start::{APP, WEB, committed, moves, running};

/// D14.6: a blank image that no trigger sets is held; where nothing could ever set it, it is rejected.
#[test]
fn d014_6_a_blank_image_is_held() {
    let mut world = committed(&format!("{WEB}\ndeploy app app~web:latest\ndc other app="));
    assert!(world.records().contains("!other:absent"));
    let held = world.held();
    let (rejected, blank) = held.split_once('\n').unwrap();
    assert!(rejected.starts_with("other: invalid at dc-other.yaml:16:16: "), "{held}");
    assert_eq!(blank, "app: container app has no image and no trigger that sets one");
}

/// D16: something newer ends the running rollout and waits for its end.
#[test]
fn d016_a_newer_rollout_waits_for_the_end_of_the_older() {
    let mut world = running();
    moves(&mut world, "b");
    moves(&mut world, "c");
    assert_eq!(world.told(), "cancel roll out app 2 app=#b");
    assert_eq!(world.pending(), "roll out app 2 app=#b");
    world.report("roll out app", RolloutReport::Cancelled);
    assert_eq!(world.pending(), "roll out app 3 app=#c");
    let records = world.records();
    assert!(records.contains("RolloutSuperseded app: newer deployment was found running"));
}

/// D17: without triggers nothing is rolled out by itself.
#[test]
fn d017_without_triggers_nothing_starts() {
    let world = committed("dc app app=r.io/app:1 notriggers");
    assert_eq!(world.pending(), "");
    assert!(world.held().starts_with("app: "), "{}", world.held());
}

/// D18: the first rollout waits for every image trigger, those that are not automatic too.
#[test]
fn d018_the_first_rollout_waits_for_every_trigger() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest side~web:latest"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "");
    assert_eq!(
        world.held(),
        "app: waiting on manual update: the trigger on web:latest is not automatic"
    );
}

/// D18: the first rollout is a config change, also without a `ConfigChange` trigger.
#[test]
fn d018_the_first_rollout_is_a_config_change() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest noconfig"));
    world.resolve("r.io/web:1", "a");
    let records = world.records();
    assert!(records.contains("RolloutStarted app 1 (config change) app=#a"), "{records}");
}

/// D19: a moved tag is an image change, and the trigger says from what to what.
#[test]
fn d019_a_moved_tag_is_an_image_change() {
    let mut world = running();
    moves(&mut world, "b");
    assert_eq!(
        world.records(),
        "TagImported web:latest #b @3 registry\n\
         TriggerFired app web:latest #a to #b: rollout 2\n\
         RolloutStarted app 2 (image change) app=#b"
    );
}

/// D20: a changed template is a config change; with both, the image is the cause.
#[test]
fn d020_a_changed_template_is_a_config_change() {
    let mut world = running();
    world.commit(&format!("{APP} env=2"));
    assert!(world.records().ends_with("RolloutStarted app 2 (config change) app=#a"));
    world.complete("app");
    world.commit(&format!("{}\ndc app app<web:latest env=3", WEB.replace(":1", ":2")));
    world.resolve("r.io/web:2", "b");
    assert!(world.records().ends_with("RolloutStarted app 3 (image change) app=#b"));
}

/// D20: without a `ConfigChange` trigger a changed template waits for the next image.
#[test]
fn d020_without_its_trigger_a_template_waits() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest noconfig"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit(&format!("{WEB}\ndc app app<web:latest noconfig env=2"));
    assert_eq!(world.pending(), "");
}

/// D21: only the template matters.
#[test]
fn d021_labels_start_nothing() {
    let mut world = running();
    world.commit(&format!("{APP} label=x retry=1"));
    assert_eq!(world.records(), "CommitAdopted");
}

/// D21a: init containers count as any other.
#[test]
fn d021a_an_init_container_counts() {
    let objects = "is web latest=r.io/web:1\nis tool latest=r.io/tool:1,scheduled\n\
                   dc app app<web:latest init:setup<tool:latest noconfig";
    let mut world = committed(objects);
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/tool:1", "x");
    world.complete("app");
    world.nudge("shop/tool:latest");
    world.resolve("r.io/tool:1", "y");
    assert_eq!(world.pending(), "roll out app 2 setup=#y app=#a");
}

/// D21b: an image that no automatic trigger sets is part of the template.
#[test]
fn d021b_an_image_without_trigger_is_template() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest side=r.io/s:1 noconfig"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit(&format!("{WEB}\ndc app app<web:latest side=r.io/s:2 noconfig"));
    assert_eq!(world.pending(), "");
    world.commit(&format!("{WEB}\ndc app app<web:latest side=r.io/s:2"));
    assert_eq!(world.pending(), "roll out app 2 app=#a side=r.io/s:2");
}

/// D22: after a failure the last complete revision is put back, and the failed digests are held.
#[test]
fn d022_a_failure_restores_what_ran() {
    let mut world = running();
    moves(&mut world, "b");
    world.records();
    world.refuse("app");
    assert_eq!(
        world.records(),
        "RolloutFinished app Failed\nDigestHeld app: unhealthy\nRolloutStarted app 1 (restore) app=#a"
    );
    assert_eq!(world.told(), "notify app Held");
    world.complete("app");
    assert!(world.held().contains("failed with these digests: unhealthy"), "{}", world.held());
    world.advance(10_000);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #b");
}

/// D22: without anything that ever ran there is nothing to put back.
#[test]
fn d022_a_first_failure_restores_nothing() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.refuse("app");
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("failed with these digests"), "{}", world.held());
}

/// D22: a restore that was ended from outside is begun again.
#[test]
fn d022_a_restore_that_was_ended_begins_again() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.report("roll out app 1", RolloutReport::Cancelled);
    assert_eq!(world.pending(), "roll out app 1 app=#a");
}

/// D22: a restore that fails is told, and nothing is tried by itself.
#[test]
fn d022_a_restore_that_fails_is_told() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.refuse("app");
    assert_eq!(world.pending(), "");
    let held = world.held();
    assert!(held.contains("putting the previous revision back failed: unhealthy"), "{held}");
    moves(&mut world, "a");
    let held = world.held();
    assert!(held.contains("putting the previous revision back failed: unhealthy"), "{held}");
    moves(&mut world, "c");
    assert_eq!(world.pending(), "roll out app 3 app=#c");
}

/// D23: what failed is not tried again while nothing changes; a new template does it.
#[test]
fn d023_a_failure_is_not_tried_again() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.complete("app");
    world.restart();
    assert_eq!(world.pending(), "");
    world.commit(&format!("{APP} env=2"));
    assert_eq!(world.pending(), "roll out app 3 app=#b");
}

/// D24: changes on several triggers give one rollout.
#[test]
fn d024_several_triggers_give_one_rollout() {
    let objects = "is web a=r.io/web:1 b=tag:a\ndc app one<web:a two<web:b";
    let mut world = committed(objects);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.nudge("shop/web:a");
    world.resolve("r.io/web:1", "b");
    let records = world.records();
    assert_eq!(records.matches("TriggerFired").count(), 2, "{records}");
    assert_eq!(records.matches("RolloutStarted").count(), 1, "{records}");
}

/// D24: what is wanted again ends the running rollout and starts anew.
#[test]
fn d024_going_back_while_rolling_out_starts_anew() {
    let mut world = running();
    moves(&mut world, "b");
    moves(&mut world, "a");
    world.report("roll out app", RolloutReport::Cancelled);
    assert_eq!(world.pending(), "roll out app 3 app=#a");
}

/// D25: paused, nothing is rolled out; resumed, one rollout to the newest images.
#[test]
fn d025_a_pause_ends_in_one_rollout() {
    let mut world = running();
    world.commit(&format!("{APP} paused"));
    moves(&mut world, "b");
    moves(&mut world, "c");
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("paused"), "{}", world.held());
    world.records();
    world.commit(APP);
    assert_eq!(world.pending(), "roll out app 2 app=#c");
    assert!(world.records().contains("TriggerFired app web:latest #a to #c: rollout 2"));
}

/// D27: a target with several triggers waits until every image is known.
#[test]
fn d027_waits_for_all_images() {
    let mut world = committed(
        "is web latest=r.io/web:1\nis log latest=r.io/log:1\ndc app app<web:latest log<log:latest",
    );
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.held(), "app: waiting on image update: tag log:latest has no image yet");
    world.resolve("r.io/log:1", "b");
    assert_eq!(world.pending(), "roll out app 1 app=#a log=#b");
}

/// D27: a tag that is gone keeps its last image: a changed template still rolls out.
#[test]
fn d027_a_tag_that_is_gone_keeps_its_image() {
    let mut world = running();
    world.commit("dc app app<web:latest");
    assert_eq!(world.records(), "CommitAdopted -web:pruned");
    assert_eq!(world.pending(), "");
    world.commit("dc app app<web:latest env=2");
    assert_eq!(world.pending(), "roll out app 2 app=#a");
}

/// D28: a trigger that is not automatic acts on nothing.
#[test]
fn d028_a_trigger_that_is_not_automatic_does_nothing() {
    let mut world = running();
    world.commit(&format!("{WEB}\ndc app app~web:latest"));
    world.records();
    moves(&mut world, "b");
    assert_eq!(world.records(), "TagImported web:latest #b @3 registry");
}

/// D30: of two triggers of one container the last wins.
#[test]
fn d030_the_last_trigger_of_a_container_wins() {
    let mut world = committed("is web a=r.io/web:1 b=r.io/web:2\ndc app app<web:a app<web:b");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "b");
    assert_eq!(world.pending(), "roll out app 1 app=#b");
}

/// D33: a target never gets an object with an unresolved container.
#[test]
fn d033_nothing_unresolved_is_rolled_out() {
    let world = committed(APP);
    assert_eq!(world.pending(), "resolve r.io/web:1");
    assert_eq!(world.held(), "app: waiting on image update: tag web:latest has no image yet");
}
