//! Laws of the architecture page that no rule names, as stories; the simulator checks them all.

use std::time::Duration;

use tidegate::action::Input;
use tidegate::fact::Space;
use tidegate::policy::{OnInvalid, Policy};

use crate::support::engine::World;

const APP: &str = "is web latest=r.io/web:1,scheduled\ndc app app<web:latest";

/// Law 7: a source that cannot be read changes nothing, and is told once.
#[test]
fn law_7_an_unreachable_source_changes_nothing() {
    let mut world = World::new();
    world.commit(APP);
    world.records();
    world.source_fails("cannot fetch", None);
    world.source_fails("cannot fetch", None);
    assert_eq!(world.records(), "SourceFailed: cannot fetch");
    world.read();
    assert_eq!(world.records(), "SourceRecovered");
}

/// Law 9: a head whose tree cannot be read is refused, and the source is readable again.
#[test]
fn law_9_an_unreadable_tree_is_refused_once() {
    let mut world = World::new();
    world.commit(APP);
    world.records();
    world.source_fails("cannot fetch", None);
    let head = world.head;
    world.source_fails("object missing", Some(head));
    world.source_fails("object missing", Some(head));
    let told = "SourceFailed: cannot fetch\nSourceRecovered\nCommitRefused: object missing";
    assert_eq!(world.records(), told);
}

/// Law 8: a refusal ends when the branch goes back to the adopted commit, and is a new one when it happens again.
#[test]
fn law_8_a_refusal_ends_when_the_commit_is_taken_back() {
    let policy = Policy { on_invalid: OnInvalid::Refuse, ..World::policy() };
    let mut world = World::with(policy);
    world.commit(APP);
    let adopted = world.head;
    world.commit(&format!("{APP}\nbad dc other"));
    let refused = world.head;
    assert!(world.engine.observed().refused.is_some());
    world.records();
    for _ in 0..2 {
        world.head = adopted;
        world.read();
        assert_eq!(world.records(), "CommitWithdrawn");
        assert_eq!(world.engine.observed().refused, None);
        world.read();
        world.restart();
        assert_eq!(world.records(), "", "once");
        world.head = refused;
        world.read();
        assert!(world.records().starts_with("CommitRefused: "));
    }
}

/// Law 8: what git cannot give any more is no refusal once the adopted commit is read as a whole again.
#[test]
fn law_8_a_refusal_ends_when_everything_is_read_again() {
    let mut world = World::new();
    world.commit(APP);
    world.records();
    let unreadable = "f".repeat(40).parse().unwrap();
    world.source_fails("object missing", Some(unreadable));
    world.engine.forget_tree();
    world.step(vec![]);
    world.read_answer();
    assert_eq!(world.records(), "CommitRefused: object missing\nCommitWithdrawn");
}

/// Law 9: the adopted commit, refused under new settings, is refused once however often it is read.
#[test]
fn law_9_new_settings_refuse_the_adopted_commit_once() {
    let mut world = World::new();
    world.commit(&format!("{APP}\nbad dc other"));
    world.records();
    world.engine.set_policy(Policy { on_invalid: OnInvalid::Refuse, ..World::policy() });
    world.engine.forget_tree();
    world.step(vec![]);
    world.read_answer();
    world.read();
    let records = world.records();
    assert!(records.starts_with("CommitRefused: "), "{records}");
    assert_eq!(records.lines().count(), 1, "{records}");
}

/// Law 8: every workload that wants a rollout and has none says what it waits for.
#[test]
fn law_8_what_waits_says_for_what() {
    let policy = Policy { rollouts_in_flight_max: 1, ..World::policy() };
    let mut world = World::with(policy);
    let three = "dc one x=r.io/x:1\ndc two x=r.io/x:1\ndc three app<web:latest";
    world.commit(&format!("is web latest=r.io/web:1\n{three}"));
    let slot = "a rollout waits for a slot: 1 in flight, at most 1 (`rollouts.in_flight`)";
    let image = "waiting on image update: tag web:latest has no image yet";
    assert_eq!(world.held(), format!("three: {image}\ntwo: {slot}"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.held(), format!("three: {slot}\ntwo: {slot}"));
    world.complete("one");
    world.commit(&format!("is web latest=r.io/web:1\n{three}\nbad dc one"));
    let held = world.held();
    assert!(held.starts_with("one: invalid at "), "{held}");
    assert!(held.contains("; its last valid version stays in force\n"), "{held}");
    world.refuse("two");
    world.complete("three");
    assert!(world.held().contains("two: rollout 1 (record "), "{}", world.held());
    world.commit("");
    let guarded = world.held().matches("no longer in git, but its commit removed too much").count();
    assert_eq!(guarded, 4, "{}", world.held());
}

/// What is known of a check goes with the last tag that asks for it; another tag's question keeps it.
#[test]
fn a_check_that_nobody_asks_for_is_forgotten() {
    let mut world = World::new();
    let images = |world: &World| {
        let checks = world.engine.soft().checks.keys();
        checks.map(|check| check.image.to_string()).collect::<Vec<_>>()
    };
    world.commit("is web a=r.io/web:1,scheduled b=r.io/web:1,scheduled");
    world.resolve("r.io/web:1", "a");
    world.commit("is web a=r.io/web:1,scheduled b=r.io/web:2,scheduled");
    assert_eq!(images(&world), ["r.io/web:1", "r.io/web:2"]);
    assert_eq!(world.pending(), "resolve r.io/web:2", "what is known of the other is kept");
    world.commit("is web b=r.io/web:3,scheduled");
    assert_eq!(images(&world), ["r.io/web:2", "r.io/web:3"], "an answer is under way");
    world.resolve("r.io/web:2", "b");
    assert_eq!(images(&world), ["r.io/web:3"]);
    world
        .engine
        .set_policy(Policy { insecure_registries: ["r.io".into()].into(), ..World::policy() });
    world.resolve("r.io/web:3", "c");
    world.step(vec![]);
    assert!(world.engine.soft().checks.keys().all(|check| check.insecure));
    world.commit("");
    world.ask(tidegate::action::Request::ReleaseRemovals);
    world.resolve("r.io/web:3", "c");
    assert_eq!(images(&world), [""; 0]);
}

/// Law 9: reading everything again for other settings makes no record where it means the same.
#[test]
fn law_9_reading_again_is_no_second_record() {
    let mut world = World::new();
    world.commit(APP);
    world.records();
    world.engine.forget_tree();
    world.step(vec![]);
    world.read_answer();
    assert_eq!(world.records(), "");
}

/// Law 9: what a listing derives is no part of the last valid version of a stream that is kept.
#[test]
fn law_9_a_kept_stream_is_the_same_after_another_listing() {
    let mut world = World::new();
    world.commit("is all repository=r.io/all");
    world.list("r.io/all", "1.0");
    world.resolve_all("a");
    world.commit("bad is all repository=r.io/all");
    assert!(world.records().contains("CommitAdopted"));
    world.step(vec![Input::Nudged(tidegate::action::Nudge::Repository(
        "shop/all".parse().unwrap(),
    ))]);
    world.list("r.io/all", "1.0 2.0");
    world.resolve_all("b");
    world.records();
    world.engine.forget_tree();
    world.step(vec![]);
    world.read_answer();
    assert_eq!(world.records(), "");
}

/// A read that was asked for before the tree was forgotten is not taken for the whole.
#[test]
fn a_partial_read_is_not_taken_for_the_whole() {
    let mut world = World::new();
    world.commit(APP);
    world.step(vec![Input::Nudged(tidegate::action::Nudge::Source)]);
    world.engine.forget_tree();
    world.read_answer();
    assert_eq!(world.pending(), "resolve r.io/web:1\nread source");
}

/// A whole read that other settings asked for is not taken either: its files may be others.
#[test]
fn a_read_for_settings_that_are_gone_is_asked_again() {
    let mut world = World::new();
    world.commit(APP);
    world.records();
    world.engine.forget_tree();
    world.step(vec![]);
    world.now_is(crate::support::manifest::files(&format!("{APP}\nis api latest=r.io/api:1")));
    world.engine.forget_tree();
    world.read_answer();
    assert_eq!(world.records(), "");
    world.read_answer();
    let records = world.records();
    assert!(records.contains("+api#1"), "{records}");
}

/// A wall clock that drifts slowly is noticed before a grace time is late by more than seconds.
#[test]
fn a_slow_drift_of_the_wall_clock_adds_up() {
    let begun = || {
        let mut world = World::new();
        world.commit("is web latest=r.io/web:1,scheduled schedule=0_*_*_*_*");
        world.resolve("r.io/web:1", "a");
        world
    };
    // When it is due by clocks that go alike.
    let mut world = begun();
    while world.pending().is_empty() {
        world.advance(1);
    }
    let due = world.now.wall;
    assert!(due < "2026-01-01T01:01:01Z".parse().unwrap(), "{due:?}");

    let mut world = begun();
    for _ in 0..50 {
        // Both clocks go on, and the wall clock runs fast by a tenth.
        world.now.mono = world.now.mono.after(Duration::from_secs(10));
        world.now.wall = world.now.wall.after(Duration::from_secs(11));
        world.step(vec![Input::Wake]);
        assert_eq!(world.pending(), "");
    }
    let late = due.after(Duration::from_secs(2));
    world.now.mono = world.now.mono.after(late.since(world.now.wall));
    world.now.wall = late;
    world.step(vec![Input::Wake]);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #a");
}

/// Law 1 needs a record for each effect: where there is no space for records, nothing begins, and it says so.
#[test]
fn law_1_nothing_is_started_while_the_state_directory_is_short_of_space() {
    let space = |free| Input::Space(Space { free, needed: 16 });
    let mut world = World::new();
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.step(vec![space(10)]);
    assert_eq!(world.records(), "SpaceShort");
    world.step(vec![space(9), Input::Wake]);
    world.advance(3600);
    assert_eq!((world.records(), world.pending()), (String::new(), String::new()), "once");
    assert!(world.engine.observed().space_short.is_some(), "a restart knows it");
    world.step(vec![space(20)]);
    assert_eq!(world.records(), "", "not enough yet, so that it does not flap");
    world.step(vec![space(32)]);
    assert_eq!(world.records(), "SpaceRegained");
    assert!(world.pending().contains("r.io/web:1"), "{}", world.pending());
}

/// What was under way is still recorded while there is no space for more.
#[test]
fn law_1_what_was_under_way_is_recorded_where_space_is_short() {
    let space = |free| Input::Space(Space { free, needed: 16 });
    let mut world = World::new();
    world.commit(APP);
    world.records();
    world.step(vec![space(0)]);
    world.resolve("r.io/web:1", "one");
    let records = world.records();
    assert!(records.contains("TagImported") && !records.contains("RolloutStarted"), "{records}");
    world.step(vec![space(64)]);
    let records = world.records();
    assert!(records.contains("SpaceRegained") && records.contains("RolloutStarted"), "{records}");
}
