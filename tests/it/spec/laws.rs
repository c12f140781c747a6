//! Laws of the architecture page that no rule names, as stories; the simulator checks them all.

use std::time::Duration;

use tidegate::action::Input;
use tidegate::time::Timestamp;

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
    let mut world = World::new();
    world.commit("is web latest=r.io/web:1,scheduled schedule=0_*_*_*_*");
    world.resolve("r.io/web:1", "a");
    for _ in 0..50 {
        // Both clocks go on, and the wall clock runs fast by a tenth.
        world.now.mono = world.now.mono.after(Duration::from_secs(10));
        world.now.wall = world.now.wall.after(Duration::from_secs(11));
        world.step(vec![Input::Wake]);
        assert_eq!(world.pending(), "");
    }
    let late: Timestamp = "2026-01-01T01:00:03Z".parse().unwrap();
    world.now.mono = world.now.mono.after(late.since(world.now.wall));
    world.now.wall = late;
    world.step(vec![Input::Wake]);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #a");
}
