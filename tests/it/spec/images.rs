//! Rules of the image-stream specification.

use std::time::Duration;

use tidegate::action::Input;
use tidegate::fact::ImportReason::{InternalError, NotFound};
use tidegate::fact::{Fact, Reason};

use crate::support::engine::World;
use crate::support::start::{WEB, imported};
use crate::support::story::digest;

const BESIDE: &str = "is web latest=r.io/web:1,scheduled kept=r.io/web:1";

/// A world in which a commit was read whose tags ask nobody.
fn committed(objects: &str) -> World {
    let mut world = World::new();
    world.commit(objects);
    world
}

/// I7: a tag without `from` is legal and is never imported.
#[test]
fn i007_a_tag_without_from_is_never_imported() {
    let mut world = committed("is web latest=-");
    assert_eq!(world.pending(), "");
    assert_eq!(world.records(), "CommitAdopted +web#1 ~web@1(latest)");
    assert_eq!(world.held(), "");
}

/// I16: an alias to a stream that is not there yet fails with a condition and follows as soon as it appears.
#[test]
fn i016_an_alias_of_a_missing_stream_waits_for_it() {
    let mut world = committed("is web latest=tag:base:1");
    assert_eq!(
        world.records(),
        "CommitAdopted +web#1 ~web@1(latest)\n\
         ImportFailed web:latest NotFound @1: imagestreams.image.openshift.io \"base\" not found"
    );
    world.commit("is web latest=tag:base:1\nis base 1=r.io/base:1");
    world.resolve("r.io/base:1", "a");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/base@#a @1; spec @1");
}

/// I16: an alias to a tag that is not there yet in a stream that is has no history, and no condition.
#[test]
fn i016_an_alias_of_a_missing_tag_has_no_history() {
    let world = committed("is web latest=tag:base:1\nis base");
    assert_eq!(world.tag("shop/web:latest"), "spec @1");
}

/// I22: a new stream has generation 1, and so have its tags.
#[test]
fn i022_a_new_stream_begins_at_generation_1() {
    let mut world = committed("is web a=r.io/web:a b=r.io/web:b");
    assert_eq!(world.records(), "CommitAdopted +web#1 ~web@1(a,b)");
}

/// I23: labels do not count as a change of the spec; a tag's policy does.
#[test]
fn i023_only_the_spec_advances_the_generation() {
    let mut world = imported();
    world.commit(&format!("{WEB} label=new"));
    assert_eq!(world.records(), "CommitAdopted");
    world.commit("is web latest=r.io/web:1");
    assert_eq!(world.records(), "CommitAdopted ~web@3()");
}

/// I24: a tag gets the new generation if it is new or its source, `reference` or mode changed.
#[test]
fn i024_a_changed_tag_gets_the_generation_of_its_stream() {
    let mut world = committed("is web a=r.io/web:a b=r.io/web:b c=r.io/web:c d=r.io/web:d");
    world.records();
    world.commit(
        "is web a=r.io/web:2 b=r.io/web:b,preserve c=r.io/web:c,reference d=r.io/web:d e=-",
    );
    let records = world.records();
    assert!(records.starts_with("CommitAdopted ~web@2(a,b,c,e)\n"), "{records}");
}

/// I25: `scheduled` and `insecure` alone make no tag due, the kind of its source does.
#[test]
fn i025_the_kind_of_the_source_counts_and_the_schedule_does_not() {
    let mut world = committed("is web a=r.io/web:a b=tag:web:c c=-");
    world.records();
    world.commit("is web a=r.io/web:a,scheduled b=image:web@c c=-");
    let records = world.records();
    assert!(records.starts_with("CommitAdopted ~web@2(b)"), "{records}");
}

/// I25: `insecure` counts while the tag fails.
#[test]
fn i025_insecure_counts_while_a_tag_fails() {
    let mut world = committed("is web latest=r.io/web:1");
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.records();
    world.commit("is web latest=r.io/web:1,insecure");
    assert_eq!(world.records(), "CommitAdopted ~web@3(latest)");
    assert_eq!(world.pending(), "resolve r.io/web:1");
}

/// I26: the observed generation is that of item 0 or of the condition, whichever is newer.
#[test]
fn i026_a_failure_counts_as_observed() {
    let mut world = imported();
    world.commit("is web latest=r.io/web:2");
    world.resolve_fails("r.io/web:2", NotFound, false);
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; NotFound @4; spec @4");
    assert_eq!(world.pending(), "", "not due again");
}

/// I27: an import that changes something advances the generation; reading the same spec again advances nothing.
#[test]
fn i027_reading_the_same_spec_again_advances_nothing() {
    let mut world = imported();
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; spec @2");
    world.commit(WEB);
    assert_eq!(world.records(), "CommitAdopted");
    world.restart();
    assert_eq!(world.records(), "");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; spec @2");
}

/// I36: an image is found by the beginning of its digest; two are a conflict, none is not found.
#[test]
fn i036_an_image_is_found_by_the_beginning_of_its_digest() {
    let mut world = imported();
    let hex: String = crate::support::story::digest("a").to_string()[7..17].into();
    world.commit(&format!("{WEB} pin=image:web@{hex} none=image:web@ffffffff"));
    assert_eq!(world.tag("shop/web:pin"), "#a r.io/web@#a @3; spec @3");
    assert_eq!(world.tag("shop/web:none"), "NotFound @3; spec @3");
    world.advance(1000);
    world.resolve("r.io/web:1", "b");
    world.commit(&format!("{WEB} pin=image:web@sha256:"));
    assert_eq!(world.tag("shop/web:pin"), "#a r.io/web@#a @3; Invalid @5; spec @5");
}

/// I37: the image of a tag is its item 0, whatever fails or is pending.
#[test]
fn i037_the_image_of_a_tag_survives_failure_and_change() {
    let mut world = imported();
    world.commit(&format!("{WEB}\nis top latest=tag:web:latest"));
    world.commit("is web latest=r.io/web:2\nis top latest=tag:web:latest x=tag:web:latest");
    assert_eq!(world.tag("shop/top:x"), "#a r.io/web@#a @2; spec @2");
    world.resolve_fails("r.io/web:2", NotFound, false);
    assert!(world.tag("shop/web:latest").starts_with("#a "));
}

/// I38: what is asked for next shows beside what was imported last: the spec's generation is ahead of item 0.
#[test]
fn i038_a_pending_change_is_visible_as_a_newer_spec_generation() {
    let mut world = imported();
    world.commit("is web latest=r.io/web:2");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; spec @3");
}

/// I39: only tags of kind `DockerImage` that are no references ask a registry.
#[test]
fn i039_only_registry_tags_ask_a_registry() {
    let world =
        committed("is web a=r.io/web:1 b=tag:web:a c=image:web@12 d=- e=r.io/web:2,reference");
    assert_eq!(world.pending(), "resolve r.io/web:1");
}

/// I41: a tag whose generation is newer than what was observed is due, and only such a tag.
#[test]
fn i041_only_tags_with_a_newer_generation_are_imported() {
    let mut world = World::new();
    world.commit(WEB);
    assert_eq!(world.pending(), "resolve r.io/web:1");
    world.resolve("r.io/web:1", "a");
    assert_eq!(
        world.records(),
        "CommitAdopted +web#1 ~web@1(latest)\nTagImported web:latest #a @2 registry"
    );
    world.commit(&format!("{WEB} other=r.io/other:1"));
    assert_eq!(world.pending(), "resolve r.io/other:1");
}

/// I43: a passing failure is tried again after 15 s, then 30 s; a lasting one at the interval only.
#[test]
fn i043_passing_failures_back_off_and_lasting_ones_wait() {
    let mut world = committed("is web latest=r.io/web:1");
    world.resolve_fails("r.io/web:1", InternalError, true);
    world.advance(14);
    assert_eq!(world.pending(), "");
    world.advance(4);
    world.resolve_fails("r.io/web:1", InternalError, true);
    world.advance(29);
    assert_eq!(world.pending(), "");
    world.advance(7);
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.advance(899);
    assert_eq!(world.pending(), "");
    world.advance(91);
    assert_eq!(world.pending(), "resolve r.io/web:1");
}

/// I43: a changed spec is tried at once.
#[test]
fn i043_a_changed_spec_is_tried_at_once() {
    let mut world = committed("is web latest=r.io/web:1");
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.commit("is web latest=r.io/web:2");
    assert_eq!(world.pending(), "resolve r.io/web:2");
}

/// I61: an import changes a tag if its reference, image or generation differs.
#[test]
fn i061_a_new_spec_generation_is_an_import_even_if_the_image_stays() {
    let mut world = imported();
    world.commit("is web latest=r.io/web:2,scheduled");
    world.resolve("r.io/web:2", "a");
    assert_eq!(
        world.records(),
        "CommitAdopted ~web@3(latest)\nTagImported web:latest #a @4 registry"
    );
}

/// I62: a successful import clears the condition.
#[test]
fn i062_success_ends_the_condition() {
    let mut world = imported();
    world.advance(1000);
    world.resolve_fails("r.io/web:1", InternalError, true);
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; InternalError @3; spec @3");
    world.advance(20);
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @4; spec @4");
}

/// I63: same reference and image: the generation moves on; same image elsewhere: rewritten; both new: pushed.
#[test]
fn i063_an_event_is_pushed_only_if_reference_and_image_differ() {
    let mut world = imported();
    world.commit("is web latest=r.io/web:2");
    world.resolve("r.io/web:2", "a");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @4; spec @4");
    world.commit("is web latest=r.io/moved:2");
    world.resolve("r.io/moved:2", "a");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/moved@#a @6; spec @6");
    world.commit("is web latest=r.io/moved:3");
    world.resolve("r.io/moved:3", "b");
    assert_eq!(world.tag("shop/web:latest"), "#b r.io/moved@#b @8; #a r.io/moved@#a @6; spec @8");
}

/// I64: without a limit nothing goes; with one the oldest items go, item 0 and what is in use never do.
#[test]
fn i064_a_limit_takes_the_oldest_items_and_never_one_in_use() {
    let app = "dc app app<web:latest";
    let mut world = committed(&format!("is web latest=r.io/web:1\n{app}"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    // The workload stays at `a`: everything after it waits for the end of a pause.
    let commit =
        |tag: u32, more: &str| format!("is web latest=r.io/web{tag}:1{more}\n{app} paused");
    for (tag, image) in [(2, "b"), (3, "c"), (4, "d")] {
        world.commit(&commit(tag, ""));
        world.resolve(&format!("r.io/web{tag}:1"), image);
    }
    let images = |world: &World| {
        let state = world.engine.observed().tag(&"shop/web:latest".parse().unwrap());
        let items = state.unwrap().items.iter().map(|item| item.event.image.unwrap());
        let name = |d| ["a", "b", "c", "d"].into_iter().find(|n| d == digest(n)).unwrap();
        items.map(name).collect::<String>()
    };
    assert_eq!(images(&world), "dcba", "no limit");
    world.records();
    world.commit(&commit(4, " history=2"));
    assert_eq!(world.records(), "CommitAdopted\nTagTrimmed web:latest 1");
    assert_eq!(images(&world), "dca", "what runs stays");
    world.commit(&commit(4, " history=1").replace(" paused", ""));
    assert_eq!(images(&world), "da", "while `d` is tried, `a` may have to be put back");
    world.complete("app");
    assert_eq!(images(&world), "d");
    world.restart();
    assert_eq!(images(&world), "d");
}

/// I64, I36: an image that a tag pins is in use.
#[test]
fn i064_a_pinned_image_stays() {
    let hex: String = digest("a").to_string()[7..17].into();
    let stream = |image: &str| format!("is web latest=r.io/{image}:1 history=1");
    let pin = format!("is pin old=image:web@{hex}");
    let mut world = committed(&format!("{}\n{pin}", stream("web").replace(" history=1", "")));
    world.resolve("r.io/web:1", "a");
    world.commit(&format!("{}\n{pin}", stream("two")));
    world.resolve("r.io/two:1", "b");
    assert!(world.tag("shop/web:latest").contains("; #a "), "{}", world.tag("shop/web:latest"));
    world.commit(&stream("two"));
    assert_eq!(world.tag("shop/web:latest"), "#b r.io/two@#b @4; spec @4");
}

/// I65: checking an unchanged tag writes nothing.
#[test]
fn i065_an_unchanged_tag_writes_nothing() {
    let mut world = imported();
    world.advance(1000);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #a");
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.records(), "");
}

/// I69: a failure keeps what the tag had.
#[test]
fn i069_a_failed_tag_keeps_its_history() {
    let mut world = imported();
    world.advance(1000);
    world.resolve_fails("r.io/web:1", NotFound, false);
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; NotFound @3; spec @3");
}

/// I70: the same failure again writes nothing.
#[test]
fn i070_the_same_failure_again_writes_nothing() {
    let mut world = committed("is web latest=r.io/web:1");
    world.resolve_fails("r.io/web:1", InternalError, true);
    world.records();
    world.advance(20);
    world.resolve_fails("r.io/web:1", InternalError, true);
    assert_eq!(world.records(), "");
}

/// I71: the same failure of an edited tag advances the generation of the condition, and keeps its time.
#[test]
fn i071_the_same_failure_of_an_edited_tag_advances_its_generation() {
    let mut world = committed("is web latest=r.io/web:1");
    world.resolve_fails("r.io/web:1", NotFound, false);
    let since = |world: &World| {
        let tag = world.engine.observed().tag(&"shop/web:latest".parse().unwrap()).unwrap();
        tag.condition.as_ref().unwrap().since
    };
    let first = since(&world);
    world.advance(5);
    world.commit("is web latest=r.io/web:1,preserve");
    world.resolve_fails("r.io/web:1", NotFound, false);
    assert_eq!(world.tag("shop/web:latest"), "NotFound @4; spec @4");
    assert_eq!(since(&world), first);
}

/// I76: a tag that vanished from the registry keeps its history, and who depends on it keeps running.
#[test]
fn i076_a_vanished_tag_keeps_its_dependents_running() {
    let mut world = imported();
    world.commit(&format!("{WEB}\ndc app app<web:latest"));
    world.complete("app");
    world.records();
    world.advance(1000);
    world.resolve_fails("r.io/web:1", NotFound, false);
    assert_eq!(world.records(), "ImportFailed web:latest NotFound @3: r.io/web:1 failed");
    assert_eq!(world.held(), "");
}

/// I79: a reference tag is recorded as written, an alias copies, without asking anybody.
#[test]
fn i079_references_and_aliases_are_recorded_at_once() {
    let mut world = imported();
    world.commit(&format!("{WEB} raw=r.io/raw:1,reference same=tag:latest"));
    assert_eq!(
        world.records(),
        "CommitAdopted ~web@3(raw,same)\n\
         TagImported web:raw r.io/raw:1 @3 reference\n\
         TagImported web:same #a @3 alias of web:latest"
    );
    assert_eq!(world.pending(), "");
}

/// I81: another reference of a reference tag is pushed, not replaced.
#[test]
fn i081_a_reference_tag_keeps_its_history() {
    let mut world = committed("is web raw=r.io/raw:1,reference");
    world.commit("is web raw=r.io/raw:2,reference");
    assert_eq!(world.tag("shop/web:raw"), "- r.io/raw:2 @2; - r.io/raw:1 @1; spec @2");
}

/// I83: an alias in the same stream follows, with the generation of its source.
#[test]
fn i083_an_alias_in_its_stream_follows() {
    let mut world = committed(&format!("{WEB} same=tag:latest"));
    world.resolve("r.io/web:1", "a");
    world.records();
    world.advance(1000);
    world.resolve("r.io/web:1", "b");
    assert_eq!(
        world.records(),
        "TagImported web:latest #b @3 registry\nTagImported web:same #b @3 alias of web:latest"
    );
}

/// I85: an alias of another stream follows, too.
#[test]
fn i085_an_alias_of_another_stream_follows() {
    let mut world = committed(&format!("{WEB}\nis top x=tag:web:latest"));
    world.resolve("r.io/web:1", "a");
    world.advance(1000);
    world.resolve("r.io/web:1", "b");
    assert_eq!(world.tag("shop/top:x"), "#b r.io/web@#b @1; #a r.io/web@#a @1; spec @1");
}

/// I86: a chain of aliases gets one event per change, all in one step.
#[test]
fn i086_a_chain_of_aliases_moves_at_once() {
    let mut world = committed(&format!("is chain a=tag:b b=tag:c c=tag:web:latest\n{WEB}"));
    world.records();
    world.resolve("r.io/web:1", "a");
    let records = world.records();
    assert_eq!(records.lines().filter(|line| line.contains("chain:")).count(), 3, "{records}");
}

/// I87: tags in a ring get the condition `CircularReference`.
#[test]
fn i087_a_ring_of_tags_is_told() {
    let mut world = committed("is web a=tag:b b=tag:a self=tag:self");
    for tag in ["shop/web:a", "shop/web:b", "shop/web:self"] {
        assert_eq!(world.tag(tag), "CircularReference @1; spec @1");
    }
    world.commit("is web a=tag:b b=r.io/web:b self=tag:self");
    world.resolve("r.io/web:b", "a");
    assert!(world.tag("shop/web:a").starts_with("#a r.io/web@#a"), "{}", world.tag("shop/web:a"));
}

/// I87: who follows a tag that becomes part of a ring is told as well.
#[test]
fn i087_a_ring_that_closes_far_away_is_told() {
    let mut world = committed("is web a=tag:b b=tag:c c=-");
    world.commit("is web a=tag:b b=tag:c c=tag:a");
    for tag in ["shop/web:a", "shop/web:b", "shop/web:c"] {
        assert!(world.tag(tag).starts_with("CircularReference"), "{tag} {}", world.tag(tag));
    }
}

/// I87, I77: a ring that is opened has no condition any more, also where the end of it has no image yet.
#[test]
fn i087_a_ring_that_is_opened_is_told_once() {
    let mut world = committed("is web a=tag:b b=tag:base:1\nis base 1=tag:web:a");
    assert_eq!(world.tag("shop/web:a"), "CircularReference @1; spec @1");
    world.records();
    world.commit("is web a=tag:b b=tag:base:1\nis base 1=-");
    assert_eq!(
        world.records(),
        "CommitAdopted ~base@2(1)\nTagRecovered base:1\nTagRecovered web:b\nTagRecovered web:a"
    );
    for tag in ["shop/web:a", "shop/web:b"] {
        assert_eq!(world.tag(tag), "spec @1");
    }
    world.commit("is web a=tag:b b=tag:base:1\nis base 1=r.io/base:1");
    world.resolve("r.io/base:1", "a");
    assert_eq!(world.tag("shop/web:a"), "#a r.io/base@#a @1; spec @1");
}

/// I16, I77: a stream that appears ends the condition of its aliases before it has an image.
#[test]
fn i016_a_stream_that_appears_without_an_image_ends_the_condition() {
    let mut world = committed("is web latest=tag:base:1 other=tag:base:2");
    assert!(world.tag("shop/web:latest").starts_with("NotFound"));
    world.records();
    world.commit("is web latest=tag:base:1 other=tag:base:2\nis base 1=r.io/base:1");
    let records = world.records();
    assert_eq!(
        records,
        "CommitAdopted +base#1 ~base@1(1)\nTagRecovered web:latest\nTagRecovered web:other"
    );
    world.restart();
    assert_eq!(world.records(), "", "once");
}

/// I91, I77: what the spec does not ask for any more does not fail.
#[test]
fn i091_what_nobody_asks_for_does_not_fail() {
    let mut world = committed("is web a=r.io/web:a b=r.io/web:b");
    world.resolve_fails("r.io/web:a", NotFound, false);
    world.resolve_fails("r.io/web:b", NotFound, false);
    world.records();
    world.commit("is web a=-");
    assert_eq!(world.records(), "CommitAdopted ~web@4(a)-b\nTagRecovered web:a");
    assert_eq!(world.tag("shop/web:a"), "spec @4");
    assert_eq!(world.tag("shop/web:b"), "unknown");
}

/// I88: an alias keeps its history when its source goes.
#[test]
fn i088_an_alias_outlives_its_source() {
    let mut world = imported();
    world.commit(&format!("{WEB}\nis top x=tag:web:latest"));
    world.commit("is top x=tag:web:latest");
    let tag = world.tag("shop/top:x");
    assert!(tag.starts_with("#a r.io/web@#a"), "{tag}");
}

/// I91 (for ever is replaced by I93): a tag that leaves the spec keeps its history while something refers to it.
#[test]
fn i091_a_tag_that_leaves_the_spec_keeps_its_history() {
    let mut world = imported();
    world.commit(&format!("{WEB}\nis top x=tag:web:latest"));
    world.records();
    world.commit("is web\nis top x=tag:web:latest");
    assert_eq!(world.records(), "CommitAdopted ~web@3()-latest");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; spec @0");
    world.advance(2000);
    assert_eq!(world.pending(), "");
}

/// I103: a digest that was imported is not looked up again; one that failed is.
#[test]
fn i103_a_digest_is_imported_once() {
    let digest = crate::support::story::digest("a");
    let image = format!("r.io/web@{digest}");
    let mut world = committed(&format!("is web latest={image},scheduled"));
    world.resolve_fails(&image, NotFound, false);
    world.advance(1000);
    world.resolve(&image, "a");
    world.advance(2000);
    assert_eq!(world.pending(), "");
}

/// I103: a tag that is not scheduled is imported once.
#[test]
fn i103_an_unscheduled_tag_is_imported_once() {
    let mut world = committed("is web latest=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    world.advance(10_000);
    assert_eq!(world.pending(), "");
}

/// I111: a cron line says when, and a restart changes nothing about it.
#[test]
fn i111_a_cron_line_says_when() {
    let mut world = committed("is web latest=r.io/web:1,scheduled schedule=0_*_*_*_*");
    world.resolve("r.io/web:1", "a");
    world.advance(3590);
    world.restart();
    assert_eq!(world.pending(), "");
    // Within the minute that the line names.
    world.advance(70);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #a");
}

/// Forty checks begin in this minute, never many at once.
fn comes_over_a_minute(world: &mut World) {
    let due = |world: &World| world.pending().lines().count();
    let mut seen = vec![due(world)];
    for _ in 0..6 {
        world.advance(10);
        seen.push(due(world));
    }
    let most = seen.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(seen[0] < 4 && most < Some(14) && seen[6] == 40, "{seen:?}");
}

/// I111: what a crontab line makes due at once is spread over the minute that it names, and none comes before it; the
/// slots that passed while nothing ran are made good for over a minute too.
#[test]
fn i111_what_a_cron_line_makes_due_is_spread_over_its_minute() {
    let tags = |at: &str| -> String {
        (0..40).map(|n| format!(" t{n}=r{n}.io/web:1,scheduled,every:{at}")).collect()
    };
    // The world begins at minute 0 of an hour.
    let mut world = committed(&format!("is web{}", tags("30_*_*_*_*")));
    for n in 0..40 {
        world.resolve(&format!("r{n}.io/web:1"), "a");
    }
    world.advance(30 * 60 - 1);
    assert_eq!(world.pending(), "");
    world.advance(1);
    comes_over_a_minute(&mut world);

    for n in 0..40 {
        world.resolve(&format!("r{n}.io/web:1"), "a");
    }
    world.advance(3600 * 3);
    world.restart();
    comes_over_a_minute(&mut world);
}

/// I111: one check serves every tag that asks the same, and a registry that limits requests is left alone.
#[test]
fn i111_equal_checks_are_one_and_429_pauses_the_registry() {
    let mut world = committed("is web a=r.io/web:1 b=r.io/web:2\nis top x=r.io/web:1");
    assert_eq!(world.pending(), "resolve r.io/web:1\nresolve r.io/web:2");
    world.resolve("r.io/web:1", "a");
    assert!(world.tag("shop/top:x").starts_with("#a"));
    world.too_many_requests("r.io/web:2", 300);
    world.commit("is web a=r.io/web:1 b=r.io/web:3\nis top x=r.io/web:1");
    assert_eq!(world.pending(), "");
    world.advance(301);
    assert_eq!(world.pending(), "resolve r.io/web:3");
}

/// I111: what was asked for by hand says so in the record.
#[test]
fn i111_a_nudge_is_the_reason_of_what_it_finds() {
    let mut world = imported();
    world.nudge("shop/web:latest");
    world.resolve("r.io/web:1", "b");
    let record = &world.journal.last().unwrap().fact;
    let Fact::TagImported(imported) = record else { panic!("{record:?}") };
    assert_eq!(imported.reason, Reason::Nudged);
}

/// I111: a checkpoint of one tag does not put off another one of its stream (found by the simulator, seed 63).
#[test]
fn i111_checking_one_tag_does_not_put_off_another() {
    let mut world = committed("is web a=r.io/web:1,scheduled b=r.io/web:2,scheduled");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "b");
    world.restart();
    world.advance(800);
    world.nudge("shop/web:a");
    world.resolve("r.io/web:1", "a");
    world.advance(200);
    assert_eq!(world.pending(), "resolve r.io/web:2 known #b");
}

/// I111: of several pauses that a registry asks for, the longest counts (found by the simulator, seed 10).
#[test]
fn i111_a_shorter_pause_does_not_end_a_longer_one() {
    let mut world = committed("is web a=r.io/web:1 b=r.io/web:2");
    world.too_many_requests("r.io/web:1", 600);
    world.too_many_requests("r.io/web:2", 60);
    world.advance(599);
    assert_eq!(world.pending(), "");
    world.advance(1);
    assert_eq!(world.pending(), "resolve r.io/web:1\nresolve r.io/web:2");
}

/// I197.1, I197.2, I197.4: only the registry's own answer is compared; another one for the same image is a record.
#[test]
fn i197_1_the_probed_digest_is_what_is_compared() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "x/a");
    world.records();
    world.advance(1000);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #x");
    world.resolve("r.io/web:1", "x/a");
    world.advance(1000);
    world.records();
    world.resolve("r.io/web:1", "y/a");
    assert_eq!(world.records(), "TagProbed web:latest #y");
}

/// I197.2: the new probed digest is stored with the import that it led to.
#[test]
fn i197_2_a_new_answer_is_stored_with_its_import() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "x/a");
    world.advance(1000);
    world.resolve("r.io/web:1", "y/b");
    world.advance(1000);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #y");
}

/// I197.3: the probed digest is never the image of the tag.
#[test]
fn i197_3_the_image_is_what_was_imported() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "x/a");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; spec @2");
}

/// I197.4: an index that changes without its image fires nothing.
#[test]
fn i197_4_a_new_index_of_the_same_image_fires_nothing() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest"));
    world.resolve("r.io/web:1", "x/a");
    world.complete("app");
    world.advance(1000);
    world.records();
    world.resolve("r.io/web:1", "y/a");
    assert_eq!(world.records(), "TagProbed web:latest #y");
}

/// I197.5: what was answered to another question is void.
#[test]
fn i197_5_another_question_makes_the_answer_void() {
    let mut world = committed("is web latest=r.io/web:1,scheduled");
    world.resolve("r.io/web:1", "x/a");
    world.commit("is web latest=r.io/web:1,scheduled,preserve");
    assert_eq!(world.pending(), "resolve r.io/web:1");
}

/// I42, I103: a tag without a schedule is not moved by the schedule of another tag that names the same image.
#[test]
fn i042_an_unscheduled_tag_keeps_its_image_beside_a_scheduled_one_with_the_same_source() {
    let mut world = committed(BESIDE);
    world.resolve("r.io/web:1", "x/a");
    world.records();
    world.advance(1000);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #x");
    world.resolve("r.io/web:1", "y/b");
    assert!(world.tag("shop/web:latest").starts_with("#b"), "{}", world.tag("shop/web:latest"));
    assert!(world.tag("shop/web:kept").starts_with("#a"), "{}", world.tag("shop/web:kept"));
    world.nudge("shop/web:kept");
    world.resolve("r.io/web:1", "y/b");
    assert!(world.tag("shop/web:kept").starts_with("#b"), "{}", world.tag("shop/web:kept"));
}

/// Lets time pass, answers every check at once as it was answered before, and counts those of `image`.
fn checks_of(world: &mut World, image: &str, seconds: u64) -> usize {
    let mut count = 0;
    for _ in 0..seconds {
        world.advance(1);
        for name in ["r.io/slow:1", "r.io/fast:1"] {
            if world.pending().contains(name) {
                world.resolve(name, "a");
                count += usize::from(name == image);
            }
        }
    }
    count
}

/// I111: a tag with a long interval comes to its turn also where restarts are more frequent than its interval, and a
/// tag with a short one stands beside it.
#[test]
fn i111_a_slow_tag_beside_a_fast_one_is_checked_over_restarts() {
    let objects =
        "is web slow=r.io/slow:1,scheduled,every:40s fast=r.io/fast:1,scheduled,every:10s";
    let mut world = World::new();
    world.commit(objects);
    world.resolve("r.io/slow:1", "a");
    world.resolve("r.io/fast:1", "a");
    let mut checks = 0;
    for _ in 0..10 {
        checks += checks_of(&mut world, "r.io/slow:1", 27);
        world.step(vec![Input::Stop]);
        world.restart();
    }
    assert!((4..=7).contains(&checks), "{checks} checks in 270 s, one is due every 40 s");
}

/// I111: a cron schedule goes on when the clock that noted the last check was ahead, with and without a restart.
#[test]
fn i111_a_cron_schedule_survives_a_clock_that_was_ahead() {
    for restarts in [false, true] {
        let mut world = World::new();
        let ahead = world.now.wall.after(Duration::from_secs(30 * 24 * 3600));
        let right = std::mem::replace(&mut world.now.wall, ahead);
        world.commit("is web slow=r.io/slow:1,scheduled,every:*/5_*_*_*_*");
        world.resolve("r.io/slow:1", "a");
        // A slot is a minute long.
        assert_eq!(checks_of(&mut world, "r.io/slow:1", 660), 2);
        world.now.wall = right.after(Duration::from_secs(660));
        if restarts {
            world.step(vec![Input::Stop]);
            world.restart();
        }
        assert_eq!(checks_of(&mut world, "r.io/slow:1", 1200), 4, "restarts: {restarts}");
    }
}

/// I111: the same for an interval, over restarts that are more frequent.
#[test]
fn i111_an_interval_survives_a_clock_that_was_ahead() {
    let mut world = World::new();
    let ahead = world.now.wall.after(Duration::from_secs(30 * 24 * 3600));
    let right = std::mem::replace(&mut world.now.wall, ahead);
    world.commit("is web slow=r.io/slow:1,scheduled,every:40s");
    world.resolve("r.io/slow:1", "a");
    world.now.wall = right;
    let mut checks = 0;
    for _ in 0..5 {
        checks += checks_of(&mut world, "r.io/slow:1", 38);
        world.step(vec![Input::Stop]);
        world.restart();
    }
    assert!(checks >= 2, "{checks}");
}

/// I111: an import that was noted by a clock that was ahead does not hide the checks that came after it, also when that
/// time has come (found by the simulator, seeds 16 and 1734).
#[test]
fn i111_a_restart_asks_when_it_is_due_though_a_clock_was_ahead_once() {
    for ahead in [30 * 24 * 3600, 70] {
        let mut world = World::new();
        let ahead = world.now.wall.after(Duration::from_secs(ahead));
        let right = std::mem::replace(&mut world.now.wall, ahead);
        world.commit("is web slow=r.io/slow:1,scheduled,every:40s");
        world.resolve("r.io/slow:1", "a");
        world.now.wall = right;
        assert_eq!(checks_of(&mut world, "r.io/slow:1", 50), 1);
        world.step(vec![Input::Stop]);
        world.restart();
        assert_eq!(checks_of(&mut world, "r.io/slow:1", 25), 0, "the last check was seconds ago");
        assert_eq!(checks_of(&mut world, "r.io/slow:1", 25), 1);
    }
}
