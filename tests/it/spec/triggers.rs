//! Rules of triggers (T rules).

use std::time::Duration;

use proptest::prelude::*;
use tidegate::action::RolloutReport;
use tidegate::effective::deployed;
use tidegate::fact::{Fact, TriggerFired};
use tidegate::names::StreamTag;
use tidegate::observed::rollout::Rollout;
use tidegate::policy::{CrossNamespace, Policy};

use crate::support::engine::World;
use crate::support::start::{APP, WEB, committed, moves, running};
use crate::support::story::digest;

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
fn t007_x008_an_object_is_withheld_as_a_whole() {
    let mut world = committed(
        "is web latest=r.io/web:1\nis log latest=r.io/log:1\ndeploy app app<web:latest log<log:latest",
    );
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "resolve r.io/log:1");
}

/// T7: an entry that leads nowhere does not keep the others from being followed, where git names an image itself; a
/// placeholder is never rolled out (D33).
#[test]
fn t007_an_entry_that_leads_nowhere_is_passed_over() {
    let running = "is web latest=r.io/web:1\ndeploy app app<web:latest log=r.io/log:1";
    let mut world = committed(running);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit(&format!("{running} log<nowhere:latest"));
    assert_eq!(world.pending(), "roll out app 2 app=#a log=r.io/log:1");
    world.complete("app");
    moves(&mut world, "b");
    assert!(world.pending().contains("roll out app 3 app=#b"), "{}", world.pending());
    world.complete("app");
    world.commit("is web latest=r.io/web:1\ndeploy app app<web:latest log<nowhere:latest");
    moves(&mut world, "c");
    assert!(!world.pending().contains("roll out"), "{}", world.pending());
    let held = world.held();
    assert_eq!(
        held,
        "app: waiting on image update: tag nowhere:latest has no image (git has no such tag)"
    );
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
fn t015_x015_a_restart_starts_nothing() {
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
fn t016_x004_nothing_to_change_writes_nothing() {
    let mut world = running();
    moves(&mut world, "a");
    world.read();
    assert_eq!(world.records(), "");
}

/// T18: the same digest in another repository starts nothing.
#[test]
fn t018_x003_equality_is_by_digest() {
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
fn t032_x015_a_tag_that_moves_back_fires_again() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    world.advance(300); // else the tag flaps (rule T24)
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

/// T8b: a tag that is gone leaves the image as it is, also for who starts anew and has only git's placeholder.
#[test]
fn t008b_a_tag_that_is_gone_leaves_the_last_image() {
    let mut world = committed(&format!("{WEB}\ndeploy app app<web:latest"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit("deploy app app<web:latest");
    world.restart();
    assert_eq!(world.pending(), "");
    world.commit("deploy app app<web:latest env=2");
    assert_eq!(world.pending(), "roll out app 2 app=#a");
}

/// T10: who depends on a tag is known anew with each commit.
#[test]
fn t010_who_follows_is_known_anew_with_each_commit() {
    let mut world = running();
    let latest: StreamTag = "shop/web:latest".parse().unwrap();
    let follows =
        |world: &World| world.engine.view(world.now).index.tag_followers.contains_key(&latest);
    assert!(follows(&world));
    world.commit(&format!("{WEB}\ndc app app=r.io/app:1"));
    world.complete("app");
    world.records();
    assert!(!follows(&world));
    moves(&mut world, "b");
    assert_eq!(world.records(), "TagImported web:latest #b @3 registry");
    world.commit(APP);
    assert!(follows(&world));
    assert!(world.pending().contains("roll out app 3 app=#b"), "{}", world.pending());
}

/// T11, D24: what changes in one import is looked at once.
#[test]
fn t011_x010_two_tags_of_one_import_give_one_rollout() {
    let tags = "a=r.io/web:1,scheduled b=r.io/web:1,scheduled";
    let mut world = committed(&format!("is web {tags}\ndc app one<web:a two<web:b"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.nudge("shop/web:a");
    world.resolve("r.io/web:1", "b");
    assert_eq!(
        world.records(),
        "TagImported web:a #b @3 registry\nTagImported web:b #b @3 registry\n\
         TriggerFired app web:a #a to #b: rollout 2\nTriggerFired app web:b #a to #b: rollout 2\n\
         RolloutStarted app 2 (image change) one=#b two=#b"
    );
    let details = deployed::details(&last(&world));
    let causes = details["causes"].as_array().unwrap();
    assert_eq!((details["message"].as_str(), causes.len()), (Some("image change"), 2));
}

/// The last rollout.
fn last(world: &World) -> Rollout {
    let state = world.engine.observed().workloads.values().next().unwrap();
    state.last().unwrap().clone()
}

/// T12: what moves while a workload cannot be rolled out is not rolled out one after the other.
#[test]
fn t012_only_the_newest_image_counts() {
    let policy = Policy { rollouts_in_flight_max: 1, ..World::policy() };
    let mut world = World::with(policy);
    world.commit(&format!("{APP}\ndc before x=r.io/x:1"));
    world.resolve("r.io/web:1", "a");
    moves(&mut world, "b");
    moves(&mut world, "c");
    assert_eq!(world.pending(), "roll out before 1 x=r.io/x:1");
    world.complete("before");
    assert_eq!(world.pending(), "roll out app 1 app=#c");
}

/// T13: dependents are handled by kind, namespace and name.
#[test]
fn t013_dependents_have_an_order() {
    let policy = Policy { rollouts_in_flight_max: 1, ..World::policy() };
    let mut world = World::with(policy);
    world.commit(&format!(
        "{WEB}\npod p m<web:latest\ndeploy a m<web:latest\ndc z m<web:latest\ndc b m<web:latest\ncj c m<web:latest\ndeploy a m<shop/web:latest ns=area"
    ).replace("m<shop/web:latest", "m=r.io/m:1 target=none"));
    let mut order = Vec::new();
    world.resolve("r.io/web:1", "a");
    while let Some(name) = world.pending().strip_prefix("roll out ").map(str::to_owned) {
        let name = name.split(' ').next().unwrap().to_owned();
        world.complete(&name);
        order.push(name);
    }
    order.dedup();
    assert_eq!(order, ["area/a", "b", "z", "a", "c", "p"]);
}

/// T17: a trigger may lead into another namespace, if the settings do not say otherwise.
#[test]
fn t017_a_trigger_may_lead_into_another_namespace() {
    let mut files = crate::support::manifest::files("dc app app<web:latest");
    for text in files.values_mut() {
        *text = text.replace("name: 'web:latest'}", "name: 'web:latest', namespace: base}");
    }
    files.extend(crate::support::manifest::files("is web latest=r.io/web:1 ns=base"));
    let with = |cross_namespace: CrossNamespace| {
        let mut world = World::with(Policy { cross_namespace, ..World::policy() });
        world.commit_files(files.clone());
        world.resolve("r.io/web:1", "a");
        world
    };
    let base = "base".parse().unwrap();
    for allowed in [CrossNamespace::Allow, CrossNamespace::From([base].into())] {
        assert_eq!(with(allowed).pending(), "roll out app 1 app=#a");
    }
    let world = with(CrossNamespace::From([].into()));
    assert_eq!(world.pending(), "");
    assert_eq!(
        world.held(),
        "app: its trigger follows base/web:latest in another namespace; add `base` to \
         `triggers.cross_namespace`, or follow a stream of its own namespace"
    );
    let mut own =
        World::with(Policy { cross_namespace: CrossNamespace::From([].into()), ..World::policy() });
    own.commit(APP);
    own.resolve("r.io/web:1", "a");
    assert_eq!(own.pending(), "roll out app 1 app=#a");
}

/// T19: an index that was made anew for other platforms fires nothing, and is asked about once.
#[test]
fn t019_x057_an_index_for_other_platforms_only_fires_nothing() {
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "x/a");
    world.complete("app");
    world.records();
    moves(&mut world, "y/a");
    assert_eq!(world.records(), "TagProbed web:latest #y");
    assert_eq!(world.pending(), "");
    world.nudge("shop/web:latest");
    assert_eq!(world.pending(), "resolve r.io/web:1 known #y");
}

/// T21: what comes after the image is rolled out at once.
#[test]
fn t021_a_trigger_that_comes_after_its_image_fires_at_once() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "a");
    world.commit(APP);
    assert_eq!(world.pending(), "roll out app 1 app=#a");
}

/// T22: what a rollout is told to be of, in OpenShift's words.
#[test]
fn t022_a_rollout_says_what_caused_it() {
    let mut world = running();
    let details = |world: &World| deployed::details(&last(world)).to_string();
    let config = r#"{"causes":[{"type":"ConfigChange"}],"message":"config change"}"#;
    assert_eq!(details(&world), config, "D18: the first one, too");
    moves(&mut world, "b");
    let image = format!("r.io/web@{}", digest("b"));
    let cause = format!(
        r#"{{"imageTrigger":{{"from":{{"kind":"DockerImage","name":"{image}"}}}},"type":"ImageChange"}}"#
    );
    assert_eq!(details(&world), format!(r#"{{"causes":[{cause}],"message":"image change"}}"#));
    let mut world = committed(APP);
    world.resolve("r.io/web:1", "a");
    world.refuse("app");
    world.release("DeploymentConfig/shop/app");
    let manual = r#"{"causes":[{"type":"Manual"}],"message":"manual change"}"#;
    assert_eq!(details(&world), manual);
}

/// T23: a firing says which trigger, from what to what, by which record, and what came of it.
#[test]
fn t023_a_firing_says_what_it_saw_and_what_came_of_it() {
    let mut world = running();
    moves(&mut world, "b");
    let of =
        |name: &str| world.journal.iter().rev().find(|record| record.fact.kind() == name).unwrap();
    let (imported, fired) = (of("TagImported"), of("TriggerFired"));
    let Fact::TriggerFired(fired) = &fired.fact else { panic!() };
    let TriggerFired { trigger, from, event, old, new, .. } = fired;
    assert_eq!((*trigger, from.to_string().as_str()), (0, "shop/web:latest"));
    assert_eq!(*event, imported.seq, "which has the generation, and why it was asked");
    assert_eq!((*old, *new), (Some(digest("a")), digest("b")));
    assert!(world.records().contains("#a to #b: rollout 2"));
}

/// Lets everything happen that is under way: the registry has `b`, and targets do what they are told.
fn drive(world: &mut World) {
    for _ in 0..20 {
        let pending = world.pending();
        if pending.contains("resolve r.io/web:1") {
            world.resolve("r.io/web:1", "b");
        } else if pending.contains("roll out app") {
            world.complete("app");
        } else {
            return;
        }
    }
    panic!("it does not end: {}", world.pending());
}

/// T26: wherever a crash cuts the journal, the next start comes to the same end.
#[test]
fn t026_x047_a_crash_after_any_record_comes_to_the_same_end() {
    let mut whole = committed(APP);
    whole.resolve("r.io/web:1", "a");
    whole.complete("app");
    moves(&mut whole, "b");
    whole.complete("app");
    for records in 0..=whole.journal.len() {
        let mut world = committed(APP);
        world.resolve("r.io/web:1", "a");
        world.complete("app");
        moves(&mut world, "b");
        world.complete("app");
        world.journal.truncate(records);
        world.restart();
        world.read();
        drive(&mut world);
        world.nudge("shop/web:latest");
        drive(&mut world);
        let state = world.engine.observed().workloads.values().next().unwrap();
        assert_eq!(state.active().unwrap().digests(), [digest("b")].into(), "after {records}");
        assert!(state.running().is_none() && world.held().is_empty(), "after {records}");
        let started = |name: &str| {
            let of = world.journal.iter().filter_map(|record| match &record.fact {
                Fact::RolloutStarted(started) => Some(started),
                _ => None,
            });
            of.filter(|started| started.images[0].digest == Some(digest(name))).count()
        };
        assert_eq!(started("b"), 1, "after {records}");
        assert!(started("a") <= 1, "after {records}");
    }
}

/// What happens in a generated world.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// The tag moves.
    Moves(&'static str),
    /// A target does what it was told.
    Completes(&'static str),
    /// Git changes the template.
    Template(u8),
    /// The process ends and starts again.
    Restart,
    /// Time passes.
    Waits(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => proptest::sample::select(vec!["a", "b", "c", "d"]).prop_map(Event::Moves),
        3 => proptest::sample::select(vec!["app", "job"]).prop_map(Event::Completes),
        1 => (1..4_u8).prop_map(Event::Template),
        1 => Just(Event::Restart),
        1 => (1..400_u64).prop_map(Event::Waits),
    ]
}

fn two(template: u8) -> String {
    format!("{WEB}\ndc app app<web:latest env={template}\ndeploy job main<web:latest")
}

fn finish(world: &mut World, name: &str) {
    if world.pending().lines().any(|line| line.starts_with(&format!("roll out {name} "))) {
        world.complete(name);
    }
}

fn play(events: &[Event]) {
    let mut world = committed(&two(1));
    let mut newest = "a";
    world.resolve("r.io/web:1", newest);
    for event in events {
        match event {
            Event::Moves(name) => {
                world.nudge("shop/web:latest");
                world.resolve("r.io/web:1", name);
                newest = name;
            }
            Event::Completes(name) => finish(&mut world, name),
            Event::Template(template) => world.commit(&two(*template)),
            Event::Restart => world.restart(),
            Event::Waits(seconds) => world.advance(*seconds),
        }
        while world.pending().contains("resolve r.io/web:1") {
            world.resolve("r.io/web:1", newest);
        }
        let written = world.journal.len();
        world.step(vec![]);
        assert_eq!(world.journal.len(), written, "T16: applied twice, it is as applied once");
        for state in world.engine.observed().workloads.values() {
            let open = state.rollouts.iter().filter(|rollout| rollout.end.is_none()).count();
            assert!(open <= 1, "D16: {open} rollouts of one workload");
        }
    }
    for _ in 0..6 {
        world.advance(Duration::from_secs(600).as_secs());
        while world.pending().contains("resolve r.io/web:1") {
            world.resolve("r.io/web:1", newest);
        }
        ["app", "job"].iter().for_each(|name| finish(&mut world, name));
    }
    assert_eq!(world.held(), "");
    for state in world.engine.observed().workloads.values() {
        let active = state.active().expect("a complete rollout");
        assert_eq!((state.running().is_none(), active.digests()), (true, [digest(newest)].into()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 64,
        ..ProptestConfig::default()
    })]

    /// T12, T16, D16: however tags move, the newest image runs in the end, and no workload has two rollouts at once.
    #[test]
    fn t016_any_order_of_events_ends_with_the_newest_image(
        events in prop::collection::vec(event(), 1..25)
    ) {
        play(&events);
    }
}
