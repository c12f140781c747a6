//! When scheduled tags are checked (section 5). What OpenShift does there is replaced by rule I111 as a whole: the one
//! test of each rule asserts what is instead.

use tidegate::fact::ImportReason::InternalError;
use tidegate::policy::Policy;

use crate::desired::{rejects, stream, with_tag};
use crate::support::engine::World;
use crate::support::start::{WEB, committed, imported};

/// I104: a check reaches no further than the tags that are scheduled, and what did not change is not stored.
#[test]
fn i104_only_what_is_due_is_asked_and_only_what_changed_is_stored() {
    let mut world = committed("is web a=r.io/web:1,scheduled b=r.io/web:2");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "b");
    world.records();
    world.advance(1000);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #a");
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.records(), "");
}

/// I45 (the slot in a queue is replaced by I111): an import by hand moves the next check of that tag, and of no other.
#[test]
fn i045_an_import_by_hand_moves_the_check_of_its_tag_only() {
    let mut world = committed("is web a=r.io/a:1,scheduled b=r.io/b:1,scheduled");
    world.resolve("r.io/a:1", "a");
    world.resolve("r.io/b:1", "b");
    world.advance(600);
    world.nudge("shop/web:a");
    world.resolve("r.io/a:1", "a");
    world.advance(400);
    assert_eq!(world.pending(), "resolve r.io/b:1 known #b");
    world.resolve("r.io/b:1", "b");
    world.advance(590);
    assert_eq!(world.pending(), "resolve r.io/a:1 known #a");
}

/// I105: each tag of a stream has its own time.
#[test]
fn i105_the_tags_of_a_stream_are_due_one_by_one() {
    let mut world =
        committed("is web a=r.io/a:1,scheduled,every:60s b=r.io/b:1,scheduled,every:600s");
    world.resolve("r.io/a:1", "a");
    world.resolve("r.io/b:1", "b");
    world.advance(70);
    assert_eq!(world.pending(), "resolve r.io/a:1 known #a");
}

/// I106: a check comes one interval after the last one, a tenth of it later at most.
#[test]
fn i106_a_check_comes_one_interval_after_the_last_one() {
    let mut world = imported();
    for _ in 0..3 {
        world.advance(899);
        assert_eq!(world.pending(), "");
        world.advance(91);
        assert_eq!(world.pending(), "resolve r.io/web:1 known #a");
        world.resolve("r.io/web:1", "a");
    }
}

/// I107: a change of the stream moves no check, neither forward nor back.
#[test]
fn i107_a_change_of_the_stream_moves_no_check() {
    let mut world = imported();
    world.advance(800);
    world.commit(&format!("{WEB} label=new"));
    world.advance(99);
    assert_eq!(world.pending(), "");
    world.advance(91);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #a");
}

/// I108: what has no room waits its turn; nobody is left out of a round, nobody is asked twice.
#[test]
fn i108_everybody_comes_to_their_turn() {
    let policy = Policy { checks_in_flight_max: 1, ..World::policy() };
    let mut world = World::with(policy);
    world.commit("is web a=r.io/web:1 b=r.io/web:2 c=r.io/web:3 d=r.io/web:4");
    let mut asked = Vec::new();
    for name in ["a", "b", "c", "d"] {
        let pending = world.pending();
        let image = pending.strip_prefix("resolve ").unwrap().to_owned();
        assert!(!image.contains('\n'), "one at a time: {image}");
        world.resolve(&image, name);
        asked.push(image);
    }
    assert_eq!(world.pending(), "");
    asked.sort();
    assert_eq!(asked, ["r.io/web:1", "r.io/web:2", "r.io/web:3", "r.io/web:4"]);
}

/// I109: a registry that does not answer holds up no other.
#[test]
fn i109_a_registry_that_hangs_holds_up_no_other() {
    let mut world = committed(&format!("{WEB}\nis slow latest=slow.io/web:1,scheduled"));
    for _ in 0..3 {
        world.resolve("r.io/web:1", "a");
        world.advance(1000);
    }
    assert_eq!(world.pending(), "resolve slow.io/web:1\nresolve r.io/web:1 known #a");
}

/// I110: what fails for a while is tried less and less often, and not at all once nobody asks for it.
#[test]
fn i110_what_fails_is_tried_less_often_until_nobody_asks() {
    let mut world = committed(&format!("{WEB}\nis other"));
    let mut waits = Vec::new();
    for _ in 0..5 {
        world.resolve_fails("r.io/web:1", InternalError, true);
        let mut waited = 0;
        while world.pending().is_empty() {
            world.advance(1);
            waited += 1;
        }
        waits.push(waited);
    }
    for (wait, delay) in waits.into_iter().zip([15, 30, 60, 120, 240]) {
        assert!((delay..=delay + delay / 5 + 1).contains(&wait), "{wait} s after {delay} s");
    }
    world.resolve_fails("r.io/web:1", InternalError, true);
    world.commit("is other");
    world.advance(10_000);
    assert_eq!(world.pending(), "");
}

#[test]
fn i111_schedules_on_streams_and_tags() {
    let with = |value: &str| {
        format!(
            "apiVersion: v1\nkind: ImageStream\nmetadata: {{name: web, annotations: {{tidegate.dev/schedule: '{value}'}}}}\n"
        )
    };
    assert!(stream(&with("15m")).schedule.is_some());
    assert!(stream(&with("0 3 * * 1")).schedule.is_some());
    rejects(
        &with("1s"),
        "3:60 annotation-value annotation `tidegate.dev/schedule` cannot be \"1s\"",
    );
    rejects(&with("soon"), "annotation-value");
    let tag = with_tag("{name: a, annotations: {tidegate.dev/schedule: 1h}}");
    assert!(stream(&tag).tags.values().next().unwrap().schedule.is_some());
}

/// C18: a running daemon says when a tag is checked again by itself, by its schedule and after a failure.
#[test]
fn i103_status_says_when_a_tag_is_checked_next() {
    let next = |world: &mut World| world.live().checks[0].next;
    let mut world = World::new();
    world.commit("is web latest=r.io/web:1,scheduled once=r.io/once:1");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/once:1", "a");
    let check = world.engine.soft().checks.keys().next().unwrap().clone();
    assert_eq!(check.image.to_string(), "r.io/once:1");
    assert_eq!(next(&mut world), None, "without a schedule never");
    let scheduled = world.live().checks[1].next.expect("by its schedule");
    assert!(scheduled.since(world.now.wall).as_secs() >= 900, "{scheduled}");
    world.nudge("shop/web:once");
    world.resolve_fails("r.io/once:1", InternalError, true);
    let again = next(&mut world).expect("after a failure");
    assert!(again > world.now.wall && again.since(world.now.wall).as_secs() < 60, "{again}");
}
