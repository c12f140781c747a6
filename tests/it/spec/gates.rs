//! When triggers may act (rules T24, T34).

use crate::support::engine::World;
use crate::support::start::{APP, WEB, committed, moves, running};

/// A world in which `app` with these flags runs `a`.
fn runs(flags: &str) -> World {
    let mut world = committed(&format!("{APP} {flags}"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world
}

/// The rollouts in flight.
fn rolls(world: &World) -> String {
    let pending = world.pending();
    let lines: Vec<_> = pending.lines().filter(|line| line.starts_with("roll out")).collect();
    lines.join("\n")
}

/// T24 a: what was replaced a moment ago is not rolled out again until five minutes are over.
#[test]
fn t024_a_tag_that_flaps_waits() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    world.advance(60);
    moves(&mut world, "a");
    assert_eq!(rolls(&world), "");
    assert!(
        world.held().contains("comes back less than 5m after it was replaced"),
        "{}",
        world.held()
    );
    world.advance(239);
    assert_eq!(rolls(&world), "");
    world.advance(1);
    assert_eq!(rolls(&world), "roll out app 3 app=#a");
}

/// T24 a: if the tag goes on to something else, that is rolled out at once; back at what runs, nothing is.
#[test]
fn t024_the_newest_image_wins() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    moves(&mut world, "a");
    moves(&mut world, "b");
    assert_eq!((rolls(&world).as_str(), world.held().as_str()), ("", ""));
    moves(&mut world, "c");
    assert_eq!(rolls(&world), "roll out app 3 app=#c");
}

/// T24 a: while something is rolled out, what may not follow yet does not end it.
#[test]
fn t024_a_flap_does_not_end_what_runs() {
    let mut world = running();
    moves(&mut world, "b");
    world.told();
    moves(&mut world, "a");
    // `b` never was complete, so that going back to `a` is no flap
    assert_eq!(world.told(), "cancel roll out app 2 app=#b");
}

/// T24 a: a commit that goes back is no flap: somebody means it.
#[test]
fn t024_a_commit_that_goes_back_does_not_wait() {
    let mut world = running();
    world.commit(&APP.replace("web:1", "web:2"));
    world.resolve("r.io/web:2", "b");
    world.complete("app");
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    assert_eq!(rolls(&world), "roll out app 3 app=#a");
}

/// T24 a, law 4: the commit is noticed though it changes nothing of what waits (found by the property of T16).
#[test]
fn t024_a_commit_of_something_else_ends_the_wait() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    moves(&mut world, "a");
    assert_eq!(rolls(&world), "");
    world.commit(&format!("{APP}\nis other latest=r.io/other:1"));
    assert_eq!(rolls(&world), "roll out app 3 app=#a");
}

/// T24, Q17: `--strict-openshift` and `triggers.flap_guard = \"0s\"` turn the guard off.
#[test]
fn t024_the_guard_can_be_turned_off() {
    for off in ["strict", "zero"] {
        let mut policy = World::policy();
        match off {
            "strict" => policy.strict_openshift = true,
            _ => policy.flap_guard = std::time::Duration::ZERO,
        }
        let mut world = World::with(policy);
        world.commit(APP);
        world.resolve("r.io/web:1", "a");
        for image in ["b", "a"] {
            world.complete("app");
            moves(&mut world, image);
        }
        assert_eq!(rolls(&world), "roll out app 3 app=#a", "{off}");
    }
}

/// T24 c: between two rollouts by images is at least the interval; the newest image wins at its end.
#[test]
fn t024_the_shortest_interval_is_kept() {
    let mut world = runs("interval=10m");
    moves(&mut world, "b");
    world.complete("app");
    world.advance(60);
    moves(&mut world, "c");
    moves(&mut world, "d");
    assert_eq!(rolls(&world), "");
    assert!(world.held().contains("less than 10m after the last rollout"), "{}", world.held());
    // a changed template does not wait
    world.commit(&format!("{APP} interval=10m env=2"));
    assert_eq!(rolls(&world), "");
    world.advance(539);
    assert_eq!(rolls(&world), "");
    world.advance(1);
    assert_eq!(rolls(&world), "roll out app 3 app=#d");
}

/// T34: outside of its window triggers do not act; at its beginning once, to the newest image.
#[test]
fn t034_a_window_holds_until_it_opens() {
    let mut world = committed(&format!("{APP} window=0_*_*_*_*_1m"));
    let hour = 3_600_000;
    let into = world.now.wall.as_millis().rem_euclid(hour);
    world.advance(u64::try_from((hour - into) / 1000).unwrap() + 120); // two minutes past
    world.resolve("r.io/web:1", "a");
    assert_eq!(rolls(&world), "");
    assert!(
        world.held().contains("outside of its window `0 * * * * (UTC) 1m`"),
        "{}",
        world.held()
    );
    moves(&mut world, "b");
    world.restart();
    world.advance(3_479);
    assert_eq!(rolls(&world), "");
    world.advance(1);
    assert_eq!(rolls(&world), "roll out app 1 app=#b");
}

/// T34: an image must have been known for its age, from when it was recorded first.
#[test]
fn t034_a_minimum_age_holds_new_images() {
    let mut world = runs("");
    world.commit(&format!("{APP} age=1h"));
    moves(&mut world, "b");
    assert!(world.held().contains("has not been known for 1h"), "{}", world.held());
    world.advance(3_599);
    assert_eq!(rolls(&world), "");
    world.advance(1);
    assert_eq!(rolls(&world), "roll out app 2 app=#b");
}

/// T34: an image that another tag had before is as old as there.
#[test]
fn t034_an_image_is_as_old_as_it_is_known_anywhere() {
    let objects = "is web latest=r.io/web:1,scheduled\nis dev latest=r.io/dev:1\ndc app app<web:latest age=1h";
    let mut world = committed(objects);
    world.resolve("r.io/dev:1", "b");
    world.resolve("r.io/web:1", "a");
    world.advance(3_600);
    world.complete("app");
    moves(&mut world, "b");
    assert_eq!(rolls(&world), "roll out app 2 app=#b");
}

/// T34: a stream may ask for an age, and one of its tags for another.
#[test]
fn t034_a_stream_asks_for_an_age() {
    let mut world = committed(&format!("{WEB} age=1h\ndc app app<web:latest age=1m"));
    world.resolve("r.io/web:1", "a");
    world.advance(3_599);
    assert!(world.held().contains("has not been known for 1h"), "{}", world.held());
    world.advance(1);
    assert_eq!(rolls(&world), "roll out app 1 app=#a");
}

/// T34: a newer image begins its own time.
#[test]
fn t034_a_newer_image_replaces_the_one_that_waits() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest age=1h"));
    world.resolve("r.io/web:1", "a");
    world.advance(3_000);
    moves(&mut world, "b");
    world.advance(3_599);
    assert_eq!(rolls(&world), "");
    world.advance(1);
    assert_eq!(rolls(&world), "roll out app 1 app=#b");
}

/// T34, X60: a time that a clock noted which was ahead holds nothing for ever.
#[test]
fn t034_a_clock_that_went_back_holds_nothing() {
    let mut world = runs("interval=1h");
    moves(&mut world, "b");
    world.complete("app");
    world.now.wall =
        tidegate::time::Timestamp::from_millis(world.now.wall.as_millis() - 86_400_000);
    moves(&mut world, "c");
    assert_eq!(rolls(&world), "roll out app 3 app=#c");
}

/// T34, X60: what was recorded twice is as old as by the clock that was right (found by the simulator).
#[test]
fn t034_a_clock_that_went_back_makes_no_image_older() {
    let objects =
        "is web latest=r.io/web:1\nis dev latest=r.io/dev:1\ndc app app<web:latest age=1h";
    let mut world = committed(objects);
    world.resolve("r.io/dev:1", "b");
    let ahead = 1_800_000;
    world.now.wall = tidegate::time::Timestamp::from_millis(world.now.wall.as_millis() + ahead);
    world.resolve("r.io/web:1", "b");
    assert!(world.held().contains("has not been known for 1h"), "{}", world.held());
    world.now.wall = tidegate::time::Timestamp::from_millis(world.now.wall.as_millis() - ahead);
    world.restart();
    assert!(world.held().contains("has not been known for 1h"), "{}", world.held());
    assert_eq!(rolls(&world), "");
    world.advance(3_600);
    assert_eq!(rolls(&world), "roll out app 1 app=#b");
}
