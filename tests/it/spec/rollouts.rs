//! When a workload is rolled out, restored and held (D rules).

use std::collections::BTreeMap;

use tidegate::action::{Input, RolloutReport};
use tidegate::effective;
use tidegate::fact::{Fact, Outcome};

use crate::support::engine::World;
use crate::support::manifest;
use crate::support::start::{APP, WEB, committed, moves, running};

/// The files of these objects, with other words in them.
fn files(objects: &str, old: &str, new: &str) -> BTreeMap<String, String> {
    let files = manifest::files(objects).into_iter();
    files.map(|(path, text)| (path, text.replace(old, new))).collect()
}

/// A world that read these files.
fn of_files(files: BTreeMap<String, String>) -> World {
    let mut world = World::new();
    world.commit_files(files);
    world
}

/// The numbers of the rollouts that are kept, oldest first.
fn kept(world: &World) -> Vec<u64> {
    let state = world.engine.observed().workloads.values().next().unwrap();
    state.rollouts.iter().map(|rollout| rollout.started.revision.0).collect()
}

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
fn d014_5_d016_x014_a_newer_rollout_waits_for_the_end_of_the_older() {
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
fn d014_1_d017_without_triggers_nothing_starts() {
    let world = committed("dc app app=r.io/app:1 notriggers");
    assert_eq!(world.pending(), "");
    assert!(world.held().starts_with("app: "), "{}", world.held());
}

/// D18: the first rollout waits for every image trigger, those that are not automatic too.
#[test]
fn d018_x009_the_first_rollout_waits_for_every_trigger() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest side~web:latest"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "");
    assert_eq!(
        world.held(),
        "app: waiting on manual update: the trigger on web:latest is not automatic; \
         `tidegate rollout latest` starts it"
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
fn d021a_x011_an_init_container_counts() {
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
fn d022_x021_a_failure_restores_what_ran() {
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
fn d023_x020_a_failure_is_not_tried_again() {
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
fn d014_3_d025_x013_a_pause_ends_in_one_rollout() {
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
fn d027_x007_waits_for_all_images() {
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
fn d027_x017_x019_a_tag_that_is_gone_keeps_its_image() {
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

/// D28: one that was never resolved waits for `rollout latest` before the first rollout only (D18).
#[test]
fn d028_a_new_trigger_that_is_not_automatic_holds_nothing_up() {
    let mut world = running();
    let side = "is side latest=r.io/side:1\ndc app app<web:latest log=r.io/log:1";
    world.commit(&format!("{WEB}\n{side}"));
    world.complete("app");
    world.commit(&format!("{WEB}\n{side} log~side:latest"));
    assert_eq!(world.held(), "");
    moves(&mut world, "b");
    assert!(world.pending().contains("roll out app 3 app=#b"), "{}", world.pending());
}

/// D30: of two triggers of one container the last wins.
#[test]
fn d030_x056_the_last_trigger_of_a_container_wins() {
    let mut world = committed("is web a=r.io/web:1 b=r.io/web:2\ndc app app<web:a app<web:b");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "b");
    assert_eq!(world.pending(), "roll out app 1 app=#b");
}

/// D33: a target never gets an object with an unresolved container.
#[test]
fn d033_x025_nothing_unresolved_is_rolled_out() {
    let world = committed(APP);
    assert_eq!(world.pending(), "resolve r.io/web:1");
    assert_eq!(world.held(), "app: waiting on image update: tag web:latest has no image yet");
}

/// D12: a rollout keeps a whole copy of what is rolled out, whatever git says later.
#[test]
fn d012_a_rollout_keeps_what_was_rolled_out() {
    let mut world = running();
    let started = |world: &World| {
        let state = world.engine.observed().workloads.values().next().unwrap();
        state.last().unwrap().started.clone()
    };
    let first = started(&world);
    let kept = world.stored(first.manifest);
    assert!(kept.contains("\"kind\":\"DeploymentConfig\"") && kept.contains("\"value\":\"1\""));
    world.commit(&format!("{APP} env=2"));
    world.complete("app");
    assert_ne!(started(&world).manifest, first.manifest);
    world.restart();
    assert_eq!(world.stored(first.manifest), kept);
}

/// D14, item 4: what comes back goes on with the numbers, so that no name is given twice.
#[test]
fn d014_4_x016_what_comes_back_goes_on_with_its_numbers() {
    let mut world = running();
    world.commit(WEB);
    world.complete("app");
    world.records();
    world.commit(APP);
    assert_eq!(
        world.records(),
        "CommitAdopted +app#2\nTriggerFired app web:latest nothing to #a: rollout 2\n\
         RolloutStarted app 2 (config change) app=#a"
    );
}

/// D22: what is put back is the newest complete revision, not the one before.
#[test]
fn x022_what_is_put_back_is_the_newest_that_was_complete() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.complete("app");
    moves(&mut world, "c");
    world.records();
    world.refuse("app");
    assert!(world.records().ends_with("RolloutStarted app 1 (restore) app=#a"));
}

/// D21a: two containers that swap their images are no longer what ran.
#[test]
fn d021a_x012_containers_that_swap_their_images_are_rolled_out() {
    let streams = "is web a=r.io/web:1 b=r.io/web:2";
    let mut world = committed(&format!("{streams}\ndc app one<web:a two<web:b noconfig"));
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "b");
    world.complete("app");
    world.records();
    world.commit(&format!("{streams}\ndc app one<web:b two<web:a noconfig"));
    assert!(world.records().ends_with("RolloutStarted app 2 (image change) one=#b two=#a"));
}

/// D26: `revisionHistoryLimit` counts the rollouts before the complete one; without a complete one the last stays.
#[test]
fn d026_rollouts_before_the_complete_one_are_kept_up_to_the_limit() {
    let with = |limit: u32, objects: &str| {
        files(
            objects,
            "  replicas: 1\n",
            &format!("  replicas: 1\n  revisionHistoryLimit: {limit}\n"),
        )
    };
    let mut world = of_files(with(2, APP));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    for name in ["b", "c", "d", "x"] {
        moves(&mut world, name);
        world.complete("app");
    }
    assert_eq!(kept(&world), [3, 4, 5], "two and the complete one");
    moves(&mut world, "y");
    assert_eq!(kept(&world), [3, 4, 5, 6]);
    world.refuse("app");
    world.complete("app");
    assert_eq!(kept(&world), [5, 6, 5], "what is put back is the complete one now");
    world.restart();
    assert_eq!(kept(&world), [5, 6, 5]);
    world.commit_files(with(0, &format!("{APP} env=2")));
    world.refuse("app");
    world.complete("app");
    assert_eq!(kept(&world), [5], "none");

    let mut never = of_files(with(0, APP));
    never.resolve("r.io/web:1", "a");
    never.refuse("app");
    moves(&mut never, "b");
    never.refuse("app");
    assert_eq!(kept(&never), [2], "without a complete one");
}

/// D26: however many fail, the complete one is there to go back to.
#[test]
fn x058_the_complete_one_outlives_any_number_of_failures() {
    for limit in ["", "  revisionHistoryLimit: 0\n", "  revisionHistoryLimit: 3\n"] {
        let mut world = of_files(files(APP, "  replicas: 1\n", &format!("  replicas: 1\n{limit}")));
        world.resolve("r.io/web:1", "a");
        world.complete("app");
        for failure in 0..30 {
            moves(&mut world, ["b", "c"][failure % 2]);
            if world.pending().contains("roll out app") {
                world.refuse("app"); // the new one
                world.refuse("app"); // and what ran before, put back
            }
            world.release("DeploymentConfig/shop/app");
            while world.pending().contains("roll out app") {
                world.refuse("app");
            }
            let state = world.engine.observed().workloads.values().next().unwrap();
            assert_eq!(
                state.active().map(|rollout| rollout.started.revision.0),
                Some(1),
                "{limit}"
            );
        }
    }
}

/// D27, D29: what a trigger saw is recorded also where it sets no image, and its tag is waited for.
#[test]
fn d029_a_trigger_without_a_container_is_waited_for_and_recorded() {
    let missing = "containerNames: [no, none]";
    let mut named = files(APP, "containerNames: [app]", missing);
    for text in named.values_mut() {
        *text = text.replace("image: ' '", "image: 'r.io/app:1'");
    }
    let mut world = of_files(named);
    assert_eq!(world.held(), "app: waiting on image update: tag web:latest has no image yet");
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    assert!(world.records().contains("TriggerFired app web:latest nothing to #a: rollout 1"));
    moves(&mut world, "b");
    assert!(world.records().ends_with("TriggerFired app web:latest #a to #b: already running"));
    assert_eq!(world.pending(), "");
}

/// D9: a trigger that misspells the only container means it (the `marsview` manifest of the article).
#[test]
fn x026_a_trigger_that_misspells_the_only_container_sets_it() {
    let objects = "is marsview latest=r.io/web:1\ndc marsview main<marsview:latest";
    let mut world =
        of_files(files(objects, "containerNames: [main]", "containerNames: [marsview]"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "roll out marsview 1 main=#a");
}

/// D31, D32: an image that is written by hand where a trigger sets it is without effect, in init containers, too.
#[test]
fn d031_t008a_an_image_by_hand_gives_way_to_the_trigger() {
    for kind in ["dc", "deploy"] {
        let objects = format!("{WEB}\n{kind} app app<web:latest init:setup<web:latest");
        let mut world = committed(&objects);
        world.resolve("r.io/web:1", "a");
        world.complete("app");
        world.records();
        world.commit_files(files(&objects, "image: ' '", "image: 'r.io/by-hand:1'"));
        assert_eq!((world.records().as_str(), world.pending().as_str()), ("CommitAdopted", ""));
    }
}

/// D32: the image is put in where it is rolled out; what git says stays what it is.
#[test]
fn d032_git_is_left_as_it_is() {
    let world = running();
    let workload = world.engine.desired().workloads.values().next().unwrap();
    assert!(workload.manifest.contains("\"image\":\" \""), "{}", workload.manifest);
    let state = world.engine.observed().workloads.values().next().unwrap();
    let rollout = &state.last().unwrap().started;
    let rendered = effective::render(workload, &rollout.images);
    assert_eq!(world.stored(rollout.manifest), String::from_utf8(rendered).unwrap());
    assert!(world.stored(rollout.manifest).contains("\"image\":\"r.io/web@sha256:"));
}

/// D34: how a rollout ended is not changed by what comes later.
#[test]
fn d034_an_end_is_an_end() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    let delivery = *world.actions.keys().next().unwrap();
    world.complete("app");
    world.records();
    for report in [
        RolloutReport::Failed { reason: "late".into(), log: String::new() },
        RolloutReport::Cancelled,
        RolloutReport::Complete { log: String::new() },
    ] {
        world.step(vec![Input::RolloutReported(delivery, report)]);
        assert_eq!((world.records().as_str(), world.pending().as_str()), ("", ""));
    }
}

/// D39: what ended, or is older than what runs, is not given to a target again.
#[test]
fn d039_what_ended_is_not_given_to_its_target_again() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    world.restart();
    world.advance(1_000);
    assert!(!world.pending().contains("roll out"), "{}", world.pending());
    let ended = world.journal.iter().filter_map(|record| match &record.fact {
        Fact::RolloutFinished(finished) => Some(finished.outcome),
        _ => None,
    });
    assert_eq!(ended.collect::<Vec<_>>(), [Outcome::Complete; 2]);
}

/// D18, D28: git without what a cluster writes into objects starts nothing (openshift/release#705).
#[test]
fn x024_a_manifest_without_what_a_server_writes_starts_nothing() {
    let written = files(
        APP,
        "      automatic: true\n",
        "      automatic: true\n      lastTriggeredImage: 'r.io/web@sha256:0f'\n",
    );
    let mut world = of_files(written);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.commit(APP);
    assert_eq!((world.records().as_str(), world.pending().as_str()), ("CommitAdopted", ""));
}

/// Times of a run are counted by a clock that never goes back.
#[test]
fn x060_a_wall_clock_that_is_set_back_ends_no_wait_late() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.transient("app");
    world.now.wall = "2025-12-31T00:00:00Z".parse().unwrap();
    world.advance(5);
    assert_eq!(world.pending(), "roll out app 1 app=#a", "the pause is five seconds all the same");
    world.transient("app");
    for _ in 0..10 {
        world.advance(60);
        if world.pending().contains("roll out app") {
            world.transient("app");
        }
    }
    assert!(world.held().contains("failed with these digests"), "{}", world.held());
}

/// openshift/origin#7663: with a `ConfigChange` and an `ImageChange` that is not automatic, nothing was ever rolled out,
/// and nothing said why.
#[test]
fn origin_7663_a_first_rollout_that_waits_says_for_what() {
    let mut world = committed(&format!("{WEB}\ndc app app~web:latest"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(
        world.held(),
        "app: waiting on manual update: the trigger on web:latest is not automatic; \
         `tidegate rollout latest` starts it"
    );
    world.commit(APP);
    assert_eq!(world.pending(), "roll out app 1 app=#a");
}

/// openshift/origin#15136: where the manifest held the image that the tag has, the trigger never fired, and the first
/// rollout never came.
#[test]
fn origin_15136_an_image_that_is_written_already_blocks_no_first_rollout() {
    let same = format!("image: 'r.io/web@{}'", crate::support::story::digest("a"));
    let mut world = of_files(files(APP, "image: ' '", &same));
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "roll out app 1 app=#a");
}

/// openshift/origin#2819: a first rollout raced with the import of its tag, failed, and a later change did not help.
#[test]
fn origin_2819_a_first_rollout_waits_for_the_import_and_comes_once() {
    let mut world = committed(APP);
    world.commit(&format!("{APP} env=2"));
    assert_eq!(world.held(), "app: waiting on image update: tag web:latest has no image yet");
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    let records = world.records();
    assert_eq!(records.matches("RolloutStarted").count(), 1, "{records}");
}

/// openshift/origin#12109 and #18777: one trigger of several containers set only the first, and more init containers than
/// containers stopped all triggers.
#[test]
fn origin_18777_one_trigger_sets_every_container_that_it_names() {
    let objects = format!("{WEB}\ndc app app<web:latest init:one<web:latest init:two<web:latest");
    let first = "containerNames: [app]";
    let mut named = files(&objects, first, "containerNames: [app, one, two]");
    for text in named.values_mut() {
        let others = text.find("  - type: ImageChange").and_then(|at| {
            let next = text[at + 10..].find("  - type: ImageChange")? + at + 10;
            Some((next, text.find("  selector:")?))
        });
        if let Some((from, to)) = others {
            text.replace_range(from..to, "");
        }
    }
    let mut world = of_files(named);
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "roll out app 1 one=#a two=#a app=#a");
    world.complete("app");
    moves(&mut world, "b");
    assert_eq!(world.pending(), "roll out app 2 one=#b two=#b app=#b");
}
