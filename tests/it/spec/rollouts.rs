//! Rules of the specification of deployments and triggers.

use std::time::Duration;

use tidegate::action::{Request, RolloutReport};
use tidegate::policy::{OnInvalid, Policy};

use crate::support::engine::World;

const WEB: &str = "is web latest=r.io/web:1,scheduled";
const APP: &str = "is web latest=r.io/web:1,scheduled\ndc app app<web:latest";

/// A world that read a commit of these objects.
fn committed(objects: &str) -> World {
    let mut world = World::new();
    world.commit(objects);
    world
}

/// A world in which `app` runs `a`, with nothing left to show.
fn running() -> World {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.told();
    world
}

/// The registry answers another digest after the next check.
fn moves(world: &mut World, name: &str) {
    world.nudge("shop/web:latest");
    world.resolve("r.io/web:1", name);
}

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

/// D14.6: a blank image that no trigger sets is held.
#[test]
fn d014_6_a_blank_image_is_held() {
    let world = committed("dc app app= ok=r.io/ok:1");
    assert_eq!(world.pending(), "");
    assert_eq!(world.held(), "app: container app has no image and no trigger that sets one");
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
    assert!(world.held().contains("failed"), "{}", world.held());
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

/// D51: a rejected object is not removed.
#[test]
fn d051_a_rejected_object_is_present() {
    let mut world = running();
    world.commit(&format!("{WEB}\nbad dc app"));
    assert_eq!(world.records(), "CommitAdopted !app:kept");
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

/// T14: a passing failure is tried again after 1 s, 2 s, 4 s, under the same key.
#[test]
fn t014_passing_failures_back_off() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.records();
    for delay in [1, 2, 4] {
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
