//! When a BuildConfig is built, and what becomes of it (sections 4.2 to 4.5 and 4.9).

use std::time::Duration;

use tidegate::action::{Action, BuildOrder, BuildReport, CancelBuildOrder, Request};
use tidegate::fact::{BuildEnd, BuildOptions, Fact, WebhookKind};
use tidegate::names::BuildNumber;
use tidegate::policy::Policy;

use crate::support::builds::{ended, pushed};
use crate::support::engine::World;

/// A stream that is built from, one that is built into, and what rolls it out.
const STREAMS: &str = "is base 1=r.io/base:1\nis app push=r.io/team/app";

const APP: &str = "bc app from=tag:base:1 to=app:latest config watch";

fn policy() -> Policy {
    Policy { builds_enabled: true, builds_in_flight_max: 4, ..World::policy() }
}

/// A world that builds, with these objects and the image `a` of `base:1`.
fn building(objects: &str) -> World {
    let mut world = World::with(policy());
    world.commit(objects);
    world.resolve("r.io/base:1", "a");
    world
}

/// One in which `app-1` was built of `a` into `x`.
fn built() -> World {
    let mut world = building(&format!("{STREAMS}\n{APP}"));
    world.built("app-1", pushed("x"));
    world.records();
    world.told();
    world
}

/// The base moves.
fn moves(world: &mut World, to: &str) {
    told(world, "base:1", "r.io/base:1", to);
}

/// A tag is looked at, and the registry answers this.
fn told(world: &mut World, tag: &str, image: &str, answer: &str) {
    world.nudge(&format!("shop/{tag}"));
    world.resolve(image, answer);
}

fn order(options: BuildOptions) -> Request {
    let object = "BuildConfig/shop/app".parse().unwrap();
    Request::StartBuild(Box::new(BuildOrder { object, webhook: None, options, again: None }))
}

fn start(world: &mut World) -> String {
    world.ask(order(BuildOptions::default()))
}

fn cancel(world: &mut World, number: Option<u64>) -> String {
    let object = "BuildConfig/shop/app".parse().unwrap();
    let number = number.map(BuildNumber);
    world.ask(Request::CancelBuild(CancelBuildOrder { object, number }))
}

/// Everything of it at once: its number, its causes, its images, where it goes, its tag event, its end.
#[test]
fn b004_b051_a_build_is_created_started_pushed_recorded_and_ended() {
    let mut world = building(&format!("{STREAMS}\n{APP}\ndc web main<app:latest"));
    let records = world.records();
    let end = "BuildCreated app-1 (Build configuration change) #a BuildStarted app-1 to r.io/team/app:latest";
    assert!(records.replace('\n', " ").ends_with(end), "{records}");
    assert_eq!(world.pending(), "make build app-1");
    world.built("app-1", pushed("x"));
    let records = "TagImported app:latest #x @1 build app-1
\
                   BuildFinished app-1 Complete #x
\
                   TriggerFired web app:latest nothing to #x: rollout 1
\
                   RolloutStarted web 1 (config change) main=#x";
    assert_eq!(world.records(), records);
    assert_eq!(world.told(), "tidy builds of app");
    assert_eq!((world.held().as_str(), world.pending().contains("build")), ("", false));
}

/// B4: the number of a build is never used again, also when nothing remembers it any more.
#[test]
fn b004_b033_a_number_is_never_given_again_and_old_builds_are_forgotten() {
    let mut world = building(&format!("{STREAMS}\n{APP} keeps=1"));
    world.built("app-1", pushed("x"));
    for (number, image) in [(2, "y"), (3, "x"), (4, "y")] {
        assert_eq!(start(&mut world), format!("started app-{number}"));
        world.built(&format!("app-{number}"), pushed(image));
    }
    assert_eq!(start(&mut world), "started app-5");
    world.built("app-5", ended(BuildEnd::Failed, "DockerBuildFailed"));
    let state = &world.engine.observed().builds[&"BuildConfig/shop/app".parse().unwrap()];
    let kept: Vec<u64> = state.builds.iter().map(|build| build.created.number.0).collect();
    assert_eq!(kept, [4, 5], "the newest of each end");
}

/// B5, B7: what its triggers saw is in the record that creates a build: no crash between the two.
#[test]
fn b005_b007_x032_a_crash_after_its_record_neither_loses_nor_doubles_a_build() {
    let mut world = building(&format!("{STREAMS}\n{APP}"));
    world.records();
    world.restart();
    assert_eq!(world.records(), "");
    assert_eq!(world.pending(), "make build app-1", "it is asked for again under its own name");
    world.built("app-1", pushed("x"));
    assert_eq!(
        world.records(),
        "TagImported app:latest #x @1 build app-1\nBuildFinished app-1 Complete #x"
    );
}

/// B6: a paused BuildConfig builds nothing, by itself or by hand.
#[test]
fn b006_a_paused_build_config_builds_nothing() {
    let mut world = building(&format!("{STREAMS}\n{APP} refuses"));
    assert!(!world.records().contains("Build"));
    let said = "can't instantiate from BuildConfig app: BuildConfig is paused";
    assert_eq!(start(&mut world), format!("refused: {said}"));
    assert!(world.held().contains("openshift.io/build-config.paused"), "{}", world.held());
}

/// B8, X33: whoever starts a build takes the image from the trigger that was about to.
#[test]
fn b008_x033_a_manual_build_swallows_the_trigger_of_the_image_that_it_uses() {
    let mut world = built();
    world.now_is(world.files().clone());
    assert_eq!(start(&mut world), "started app-2");
    world.built("app-2", pushed("y"));
    world.records();
    moves(&mut world, "b");
    assert!(world.records().contains("BuildCreated app-3 (base:1 #b) #b"));
    world.built("app-3", pushed("y"));
    world.records();
    // Nothing new: nothing is built.
    moves(&mut world, "b");
    assert!(!world.records().contains("Build"));
}

/// B9: a build whose image cannot be told is not created, and says which.
#[test]
fn b009_b028_an_image_that_cannot_be_told_is_waited_for() {
    let mut world = World::with(policy());
    world.commit("is app push=r.io/team/app\nbc app from=tag:base:1 to=app:latest config watch");
    assert_eq!(world.pending(), "");
    let held = world.held();
    assert!(
        held.contains("InvalidImageReference: Referenced image could not be resolved."),
        "{held}"
    );
    assert!(held.contains("Error resolving ImageStreamTag base:1 in namespace shop"), "{held}");
    let refused = start(&mut world);
    assert!(refused.contains("unable to find latest tagged image"), "{refused}");
    // S2.4: the first build comes when the image does, and it is one.
    world.commit(&format!("{STREAMS}\n{APP}"));
    world.resolve("r.io/base:1", "a");
    assert_eq!(world.pending(), "make build app-1");
}

/// B9: files come from the image that a tag was when the build was created.
#[test]
fn b009_images_of_a_build_are_those_of_its_creation() {
    let mut world = World::with(policy());
    world.commit(&format!("{STREAMS}\nis tools 1=r.io/tools:1\n{APP} files=tag:tools:1"));
    world.resolve("r.io/base:1", "a");
    assert!(world.held().contains("tools:1"), "{}", world.held());
    world.resolve("r.io/tools:1", "c");
    assert!(world.records().contains("BuildCreated app-1 (Build configuration change) #a #c"));
    // B15: a tag that is only an input starts nothing.
    world.built("app-1", pushed("x"));
    world.records();
    told(&mut world, "tools:1", "r.io/tools:1", "d");
    assert!(!world.records().contains("Build"));
}

/// B10: what is for another strategy is refused.
#[test]
fn b010_options_of_another_strategy_are_refused() {
    let mut world = built();
    let incremental = BuildOptions { incremental: Some(true), ..BuildOptions::default() };
    let said = "refused: Cannot specify Source build specific options on app, not a Source build.";
    assert_eq!(world.ask(order(incremental)), said);
    let mut world = building(&format!("{STREAMS}\n{APP} incremental"));
    let no_cache = BuildOptions { no_cache: Some(true), ..BuildOptions::default() };
    let said = "refused: Cannot specify Docker build specific options on app, not a Docker build.";
    assert_eq!(world.ask(order(no_cache)), said);
}

/// B11: a build that repeats another has its images and its commit, whatever the tags are by now.
#[test]
fn b011_a_repeated_build_has_the_images_of_the_one_that_it_repeats() {
    let mut world = built();
    moves(&mut world, "b");
    world.built("app-2", pushed("y"));
    world.records();
    let object = "BuildConfig/shop/app".parse().unwrap();
    let options = BuildOptions::default();
    let again = Some(BuildNumber(1));
    let request = BuildOrder { object, webhook: None, options, again };
    assert_eq!(world.ask(Request::StartBuild(Box::new(request.clone()))), "started app-3");
    assert!(world.records().contains("BuildCreated app-3 (Manually triggered) #a"));
    let unknown = BuildOrder { again: Some(BuildNumber(9)), ..request };
    let said = "refused: builds.build.openshift.io \"app-9\" not found";
    assert_eq!(world.ask(Request::StartBuild(Box::new(unknown))), said);
}

/// B12: what ended stays as it ended.
#[test]
fn b012_b027_an_end_is_the_end() {
    let mut world = built();
    assert_eq!(cancel(&mut world, Some(1)), "nothing: build app-1 is Complete already");
    assert_eq!(world.records(), "");
}

/// C16: builds that are ended together leave none that begins when the one before it ends.
#[test]
fn c016_a_build_that_waits_is_ended_before_the_one_that_it_waits_for() {
    for orders in [&[None][..], &[Some(3), Some(2)]] {
        let mut world = built();
        assert_eq!(start(&mut world), "started app-2");
        assert_eq!(start(&mut world), "started app-3");
        assert!(world.pending().contains("make build app-2"), "{}", world.pending());
        world.records();
        let said: Vec<_> = orders.iter().map(|number| cancel(&mut world, *number)).collect();
        assert!(said.concat().contains("app-2") && said.concat().contains("app-3"), "{said:?}");
        world.built("app-2", ended(BuildEnd::Cancelled, "CancelledBuild"));
        let records = world.records();
        assert!(!records.contains("BuildStarted"), "{records}");
        assert_eq!(records.matches("Cancelled CancelledBuild").count(), 3, "{records}");
    }
}

/// B13, X31: the configuration starts the first build, and no other.
#[test]
fn b013_x031_a_changed_build_config_is_not_built() {
    let mut world = built();
    world.commit(&format!("{STREAMS}\n{APP} deadline=60"));
    assert!(!world.records().contains("Build"));
}

/// B14: a trigger that is paused starts nothing; one without `ConfigChange` starts the first build itself (T21).
#[test]
fn b014_t021_an_image_that_was_there_before_starts_the_first_build() {
    let bc = "bc app from=tag:base:1 to=app:latest watch";
    let mut world = building(&format!("{STREAMS}\n{bc}"));
    assert!(world.records().contains("BuildCreated app-1 (base:1 #a) #a"));
    let still = "bc app from=tag:base:1 to=app:latest still=base:1";
    let mut world = building(&format!("{STREAMS}\n{still}"));
    assert!(!world.records().contains("Build"));
}

/// B14, X34: tags that change together start one build, with a cause for each.
#[test]
fn b014_x034_tags_that_change_together_start_one_build() {
    let objects = "is base 1=r.io/base:1 2=r.io/base:2\nis app push=r.io/team/app\n\
                   bc app from=tag:base:1 to=app:latest watch watches=base:2";
    let mut world = building(objects);
    world.built("app-1", pushed("x"));
    world.resolve("r.io/base:2", "b");
    world.built("app-2", pushed("x"));
    world.records();
    assert_eq!(start(&mut world), "started app-3");
    moves(&mut world, "c");
    told(&mut world, "base:2", "r.io/base:2", "d");
    let records = world.records();
    assert!(records.contains("BuildCreated app-4 (base:1 #c) #c"), "{records}");
}

/// B15: an image that is used nowhere may start a build.
#[test]
fn b015_a_trigger_may_watch_what_is_not_built_from() {
    let objects = "is base 1=r.io/base:1 2=r.io/base:2\nis app push=r.io/team/app\n\
                   bc app from=tag:base:1 to=app:latest config watches=base:2";
    let mut world = building(objects);
    world.built("app-1", pushed("x"));
    world.resolve("r.io/base:2", "b");
    assert!(world.records().contains("BuildCreated app-2 (base:2 #b) #a"));
}

/// B16, X1: what a build makes does not start it, directly, over another one, or over a tag that follows.
#[test]
fn b016_x001_a_ring_of_builds_starts_nothing() {
    let direct = "is app latest=r.io/team/app:latest push=r.io/team/app\n\
                  bc app from=tag:app:latest to=app:latest watch";
    let mut world = World::with(policy());
    world.commit(direct);
    world.resolve("r.io/team/app:latest", "a");
    assert!(!world.records().contains("Build"));
    assert!(
        world.held().contains("Cycle detected in build configurations: app -> app"),
        "{}",
        world.held()
    );
    assert_eq!(start(&mut world), "started app-1", "the BuildConfig itself is no worse");

    let around = "is one latest=r.io/one:latest push=r.io/one\nis two push=r.io/two\nis three latest=tag:two:latest\n\
                  bc first from=tag:one:latest to=two:latest watch\nbc second from=tag:three:latest to=one:latest watch";
    let mut world = World::with(policy());
    world.commit(around);
    world.resolve("r.io/one:latest", "a");
    assert!(!world.records().contains("Build"));
    let held = world.held();
    assert!(
        held.contains("first -> second -> first") && held.contains("second -> first -> second"),
        "{held}"
    );

    // One that is let be a ring is one.
    let mut world = World::with(policy());
    world.commit(&format!("{direct} cycle=true"));
    world.resolve("r.io/team/app:latest", "a");
    assert!(world.records().contains("BuildCreated app-1"));
}

/// B17: what is created again goes on counting, and is new to its triggers.
#[test]
fn b017_a_build_config_that_comes_back_goes_on_counting() {
    let mut world = built();
    world.commit(STREAMS);
    world.commit(&format!("{STREAMS}\n{APP}"));
    assert!(world.records().contains("BuildCreated app-2 (Build configuration change) #a"));
}

/// A BuildConfig that leaves git leaves no build behind.
#[test]
fn builds_of_what_left_git_are_ended() {
    let mut world = building(&format!("{STREAMS}\n{APP}"));
    start(&mut world);
    world.records();
    world.commit(STREAMS);
    let records = world.records();
    assert!(records.contains("BuildEnding app-1 Cancelled"), "{records}");
    assert!(records.contains("BuildFinished app-2 Cancelled"), "{records}");
    world.built("app-1", ended(BuildEnd::Cancelled, ""));
    assert!(
        world
            .records()
            .contains("BuildFinished app-1 Cancelled CancelledBuild: its BuildConfig was removed")
    );
}

/// B24, X39: each of several pushes is built, each at its own commit.
#[test]
fn b024_x039_each_webhook_is_a_build_of_its_own() {
    let mut world = built();
    for commit in ["c1", "c2"] {
        let object = "BuildConfig/shop/app".parse().unwrap();
        let options = BuildOptions { commit: Some(commit.into()), ..BuildOptions::default() };
        let webhook = Some((WebhookKind::GitHub, None));
        world.ask(Request::StartBuild(Box::new(BuildOrder {
            object,
            webhook,
            options,
            again: None,
        })));
    }
    let records = world.records();
    assert!(records.contains("BuildCreated app-2 (GitHub WebHook) #a"), "{records}");
    assert_eq!(world.pending(), "make build app-2");
    assert!(
        world.held().contains("build app-3 waits for the end of build app-2"),
        "{}",
        world.held()
    );
    world.built("app-2", pushed("y"));
    assert_eq!(world.pending(), "make build app-3");
}

/// B26, X35: of builds that wait only the newest is run, and what runs goes on.
#[test]
fn b026_x035_serial_latest_only_runs_the_newest() {
    let mut world = building(&format!("{STREAMS}\n{APP} run=SerialLatestOnly"));
    start(&mut world);
    start(&mut world);
    let records = world.records();
    assert!(records.contains("BuildFinished app-2 Cancelled"), "{records}");
    assert_eq!(world.pending(), "make build app-1");
    world.built("app-1", pushed("x"));
    assert_eq!(world.pending(), "make build app-3");
}

/// B26: parallel builds run beside each other, up to what the host allows.
#[test]
fn b026_parallel_builds_run_beside_each_other_as_far_as_there_are_slots() {
    let mut world = World::with(Policy { builds_in_flight_max: 2, ..policy() });
    world.commit(&format!("{STREAMS}\n{APP} run=Parallel"));
    world.resolve("r.io/base:1", "a");
    start(&mut world);
    start(&mut world);
    assert_eq!(world.pending(), "make build app-1\nmake build app-2");
    assert_eq!(
        cancel(&mut world, Some(1)),
        "cancelled app-1",
        "who waits for a place keeps nobody from that"
    );
    assert!(world.told().contains("cancel make build app-1"));
    let slot = "build app-3 waits for a slot: 2 in flight, at most 2 (`builds.in_flight`)";
    assert!(world.held().contains(slot), "{}", world.held());
    world.built("app-2", pushed("x"));
    assert_eq!(world.pending(), "make build app-1\nmake build app-3");
}

/// B26, X36: the policy of a build is the one that it was created with.
#[test]
fn b026_x036_a_build_keeps_the_policy_that_it_was_created_with() {
    let mut world = building(&format!("{STREAMS}\n{APP}"));
    start(&mut world);
    world.commit(&format!("{STREAMS}\n{APP} run=Parallel"));
    start(&mut world);
    assert_eq!(
        world.pending(),
        "make build app-1",
        "app-2 is serial, and app-3 waits for app-1, which is"
    );
    world.built("app-1", pushed("x"));
    assert_eq!(world.pending(), "make build app-2");
    world.built("app-2", pushed("x"));
    assert_eq!(world.pending(), "make build app-3");
}

/// B28, B53: a build waits for its output, and is started when that can be told.
#[test]
fn b028_b053_a_build_waits_for_where_it_goes() {
    let mut world = building(&format!("is base 1=r.io/base:1\n{APP}"));
    let held = world.held();
    assert!(held.contains("InvalidOutputReference: Output image could not be resolved"), "{held}");
    world.commit(&format!("is base 1=r.io/base:1\nis app\n{APP}"));
    let held = world.held();
    let said = "no push destination for imagestreamtag app:latest: set tidegate.dev/push on the stream or configure \
                integrated_registry";
    assert!(held.contains(said), "{held}");
    assert_eq!(world.pending(), "");
    world.commit(&format!("{STREAMS}\n{APP}"));
    assert_eq!(world.pending(), "make build app-1");
}

/// B53: what follows another image by its spec cannot be pushed to.
#[test]
fn b053_an_output_that_follows_something_else_is_not_pushed_to() {
    let world = building(&format!(
        "is base 1=r.io/base:1\nis app latest=tag:base:1 push=r.io/team/app\n{APP}"
    ));
    assert!(world.held().contains("follows another image by its spec in git"), "{}", world.held());
}

/// B54: a push stays until the registry answers something else for what git says.
#[test]
fn b054_a_push_stays_until_the_import_of_its_tag_changes() {
    let streams = "is base 1=r.io/base:1\nis app latest=r.io/up/app:1,scheduled push=r.io/team/app";
    let mut world = World::with(policy());
    world.commit(&format!("{streams}\n{APP}"));
    world.resolve("r.io/base:1", "a");
    world.resolve("r.io/up/app:1", "b");
    world.built("app-1", pushed("x"));
    told(&mut world, "app:latest", "r.io/up/app:1", "b");
    assert_eq!(
        world.engine.observed().tag(&"shop/app:latest".parse().unwrap()).unwrap().image(),
        Some(crate::support::story::digest("x"))
    );
    told(&mut world, "app:latest", "r.io/up/app:1", "c");
    assert_eq!(
        world.engine.observed().tag(&"shop/app:latest".parse().unwrap()).unwrap().image(),
        Some(crate::support::story::digest("c"))
    );
}

/// B51: the same image again is no tag event.
#[test]
fn b051_t020_the_same_image_again_is_no_tag_event() {
    let mut world = built();
    start(&mut world);
    world.records();
    world.built("app-2", pushed("x"));
    assert_eq!(world.records(), "BuildFinished app-2 Complete #x");
}

/// B52: a tag that follows the pushed one gets it too.
#[test]
fn b052_tags_that_follow_the_output_follow_the_push() {
    let mut world = building(&format!("{STREAMS} stable=tag:app:latest\n{APP}"));
    world.built("app-1", pushed("x"));
    let records = world.records();
    assert!(records.contains("TagImported app:stable #x @1 alias of app:latest"), "{records}");
}

/// B34: a build that ran when the daemon was killed is asked for again, and ended if that was wanted.
#[test]
fn b034_a_build_that_ran_when_the_daemon_was_killed_is_gone_on_with() {
    let mut world = building(&format!("{STREAMS}\n{APP}"));
    assert_eq!(cancel(&mut world, None), "cancelled app-1");
    assert!(world.told().contains("cancel make build app-1"));
    world.restart();
    assert_eq!(world.pending(), "end build app-1");
    world.built("app-1", ended(BuildEnd::Cancelled, ""));
    let records = world.records();
    assert!(records.ends_with(
        "BuildFinished app-1 Cancelled CancelledBuild: The build was cancelled by the user. (ann)"
    ));
}

/// What was pushed before it could be cancelled is told as it is.
#[test]
fn a_build_that_was_done_before_it_could_be_cancelled_is_complete() {
    let mut world = building(&format!("{STREAMS}\n{APP}"));
    cancel(&mut world, Some(1));
    world.built("app-1", pushed("x"));
    assert!(
        world
            .records()
            .contains("TagImported app:latest #x @1 build app-1\nBuildFinished app-1 Complete #x")
    );
}

/// B27: a build that takes too long is ended as a failure.
#[test]
fn b027_a_build_has_the_time_that_its_manifest_gives_it() {
    let mut world = building(&format!("{STREAMS}\n{APP} deadline=600"));
    world.records();
    world.advance(599);
    assert_eq!(world.records(), "");
    world.advance(1);
    let said = "BuildEnding app-1 Failed DeadlineExceeded: The build was not done within 10m (`completionDeadlineSeconds`).";
    assert_eq!(world.records(), said);
    assert!(world.told().contains("cancel make build app-1"));
    world.built("app-1", ended(BuildEnd::Cancelled, ""));
    assert!(world.records().starts_with("BuildFinished app-1 Failed DeadlineExceeded"));
    assert!(world.held().contains("its last build, app-1, ended at"), "{}", world.held());
}

/// What does not get through is tried again, and ends as an error.
#[test]
fn b027_a_builder_that_is_not_there_is_tried_again_and_then_an_error() {
    let mut world = building(&format!("{STREAMS}\n{APP}"));
    world.records();
    for _ in 0..4 {
        let report = BuildReport::Transient { reason: "no buildah".into(), retry_after: None };
        world.built("app-1", report);
        world.advance(600);
    }
    let records = world.records();
    assert!(
        records.contains(
            "BuildEnding app-1 Error CannotCreateBuildPod: not built in 4 attempts: no buildah"
        ),
        "{records}"
    );
    world.built("app-1", ended(BuildEnd::Cancelled, ""));
    assert!(world.records().contains("BuildFinished app-1 Error"));
}

/// B27: a build that cannot even be ended does not keep its place for ever.
#[test]
fn b027_a_build_that_the_builder_cannot_end_is_given_up() {
    let mut world = building(&format!("{STREAMS}\n{APP}"));
    cancel(&mut world, Some(1));
    world.records();
    // One to make it, which was under way, and as many as it may take to end it.
    for attempt in 1..=5 {
        assert_eq!(world.records(), "", "attempt {attempt}");
        let report = BuildReport::Transient { reason: "no such object".into(), retry_after: None };
        world.built("app-1", report);
        world.advance(600);
    }
    let said = "BuildFinished app-1 Cancelled CancelledBuild: The build was cancelled by the user. (ann) (What became of it is \
                not known: no such object.)";
    assert_eq!(world.records(), said);
    // Its place is free.
    start(&mut world);
    assert!(world.records().contains("BuildStarted app-2"), "{}", world.held());
}

/// B8, T17: a trigger that sees no image says why, where nothing else would say why nothing is built.
#[test]
fn b008_t017_a_trigger_that_sees_no_image_says_why() {
    let mut world = World::with(policy());
    world.commit("is base 1=r.io/base:1\nbc app from=r.io/x:1 watches=base:1;gone:1 to=r.io/app:1");
    assert!(!world.records().contains("Build"));
    let held = world.held();
    for said in ["tag base:1 has no image yet", "tag gone:1 has no image (git has no such tag)"] {
        assert!(held.contains(said), "no {said:?} in {held}");
    }
    world.resolve("r.io/base:1", "a");
    assert!(world.records().contains("BuildCreated app-1"));

    let mut files =
        crate::support::manifest::files("bc app from=r.io/x:1 watches=base:1 to=r.io/app:1");
    for text in files.values_mut() {
        *text = text.replace("name: 'base:1'}", "name: 'base:1', namespace: other}");
    }
    files.extend(crate::support::manifest::files("is base 1=r.io/base:1 ns=other"));
    let cross_namespace = tidegate::policy::CrossNamespace::From([].into());
    let mut world = World::with(Policy { cross_namespace, ..policy() });
    world.commit_files(files);
    world.resolve("r.io/base:1", "a");
    assert!(!world.records().contains("Build"));
    let said = "app: its trigger follows other/base:1 in another namespace; add `other` to `triggers.cross_namespace`";
    assert!(world.held().contains(said), "{}", world.held());
}

/// B3: other strategies are shown and never built.
#[test]
fn b003_strategies_that_are_not_built_here_say_what_to_do() {
    let yaml = |strategy: &str| {
        format!(
            "apiVersion: build.openshift.io/v1\nkind: BuildConfig\nmetadata: {{name: app, namespace: shop}}\n\
             spec:\n  source: {{git: {{uri: 'https://git.example.com/a.git'}}}}\n  strategy: {{{strategy}}}\n\
             \x20 triggers: [{{type: ConfigChange}}]\n"
        )
    };
    for (strategy, said) in [
        (
            "customStrategy: {from: {kind: DockerImage, name: r.io/x}}",
            "Custom strategy is not supported",
        ),
        ("jenkinsPipelineStrategy: {jenkinsfile: x}", "JenkinsPipeline strategy is not supported"),
    ] {
        let mut world = World::with(policy());
        world.commit_files([("shop/bc.yaml".to_owned(), yaml(strategy))].into());
        assert!(!world.records().contains("Build"));
        assert!(world.held().contains(said), "{}", world.held());
        assert!(start(&mut world).contains(said));
    }
}

/// B28: binary input does not wait, and nothing builds without it.
#[test]
fn b028_binary_input_is_given_by_hand_and_does_not_wait() {
    let mut world = building(&format!("is base 1=r.io/base:1\n{APP} binary"));
    assert!(!world.records().contains("Build"), "nothing starts it by itself");
    assert!(start(&mut world).contains("give it with --from-dir"));
    let binary = tidegate::fact::BinaryInput {
        content: tidegate::names::ContentHash::of(b"files"),
        as_file: None,
    };
    let options = BuildOptions { binary: Some(binary), ..BuildOptions::default() };
    assert_eq!(world.ask(order(options)), "started app-1");
    let records = world.records();
    assert!(records.contains("BuildFinished app-1 Error InvalidOutputReference"), "{records}");
}

/// T34: outside of its window nothing starts by itself; by hand it does, and at its end one build is of the newest image.
#[test]
fn t034_a_build_waits_for_its_window() {
    let mut world = World::with(policy());
    world.commit(&format!("{STREAMS}\n{APP} window=0_2_*_*_*_2h"));
    world.resolve("r.io/base:1", "a");
    assert!(!world.records().contains("Build"));
    assert!(world.held().contains("`tidegate start-build` does not wait"), "{}", world.held());
    moves(&mut world, "b");
    world.advance(2 * 60 * 60);
    assert!(world.records().contains("BuildCreated app-1 (Build configuration change) #b"));
}

/// A moved base reaches many builds: all are on record, as many run as there are slots, and each runs once.
#[test]
fn t024_a_base_that_reaches_many_builds_fills_no_more_than_the_slots() {
    let mut objects = "is base 1=r.io/base:1".to_owned();
    for n in 0..30 {
        objects.push_str(&format!(
            "\nis s{n} push=r.io/s{n}\nbc s{n} from=tag:base:1 to=s{n}:latest watch"
        ));
    }
    let mut world = World::with(Policy { builds_in_flight_max: 3, ..policy() });
    world.commit(&objects);
    world.resolve("r.io/base:1", "a");
    let mut made = Vec::new();
    while let Some(line) = world.pending().lines().next().map(str::to_owned) {
        assert_eq!(world.pending().lines().count(), 3.min(30 - made.len()));
        let name = line.trim_start_matches("make build ").to_owned();
        world.built(&name, pushed(&name));
        made.push(name);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 30);
}

/// Settings: nothing is built where nobody said so.
#[test]
fn builds_are_off_until_somebody_turns_them_on() {
    let mut world = World::with(World::policy());
    world.commit(&format!("{STREAMS}\n{APP}"));
    world.resolve("r.io/base:1", "a");
    assert!(!world.records().contains("Build"));
    assert!(world.held().contains("not built: builds are off; set `builds.enabled = true`"));
    assert!(start(&mut world).contains("builds are off"));
}

/// What is kept of a manifest has no secret of a webhook.
#[test]
fn the_manifest_that_is_kept_has_no_secret_of_a_webhook() {
    let world = building(&format!("{STREAMS}\n{APP}"));
    let created = world.journal.iter().find_map(|record| match &record.fact {
        Fact::BuildCreated(created) => Some(created.manifest),
        _ => None,
    });
    let kept = String::from_utf8(world.store[&created.unwrap()].to_vec()).unwrap();
    assert!(kept.contains("dockerStrategy") && !kept.contains("abc"), "{kept}");
}

/// B48: an incremental build is given the image that is there, and is built without one where there is none.
#[test]
fn b048_an_incremental_build_gets_the_image_before() {
    let mut world = building(&format!("{STREAMS}\n{APP} incremental"));
    assert!(world.records().contains("BuildCreated app-1 (Build configuration change) #a"));
    world.built("app-1", pushed("x"));
    start(&mut world);
    assert!(world.records().contains("BuildCreated app-2 (Manually triggered) #a #x"));
}

/// The builder is told how long a build may still take.
#[test]
fn a_restart_does_not_give_a_build_more_time() {
    let mut world = building(&format!("{STREAMS}\n{APP} deadline=600"));
    world.advance(100);
    world.restart();
    let left = world.actions.values().find_map(|action| match action {
        Action::Build(request) => Some(request.left),
        _ => None,
    });
    assert_eq!(left, Some(Duration::from_secs(500)));
}
