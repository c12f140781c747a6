//! Pushed images (section 9 of the image-stream specification).

use tidegate::action::Request;
use tidegate::api::view;
use tidegate::effective;
use tidegate::fact::{Fact, ImportReason, Via};
use tidegate::oc;

use crate::support::engine::World;
use crate::support::start::{WEB, committed, moves};
use crate::support::story::digest;

const TAG: &str = "shop/web:latest";
const HUB: &str = "r.io/team/web";

/// A stream as `describe` prints it.
fn described(world: &World, stream: &str) -> String {
    let (desired, observed) = (world.engine.desired(), world.engine.observed());
    let stream =
        effective::stream(desired, observed, world.engine.policy(), &stream.parse().unwrap())
            .unwrap();
    oc::stream::describe(&stream, world.now.wall)
}

/// The columns SPEC and STATUS of `get itag`.
fn kind_of(world: &World, tag: &str) -> String {
    let (desired, observed) = (world.engine.desired(), world.engine.observed());
    let (stream, tag) = tag.split_once(':').unwrap();
    let stream =
        effective::stream(desired, observed, world.engine.policy(), &stream.parse().unwrap())
            .unwrap();
    let tag = view::image_tag(&stream, tag, None).unwrap();
    let row = oc::get::image_tags(&[tag], world.now.wall).rows.remove(0);
    row.cells[1].clone()
}

/// I188: an event of the stream's generation, the reference as it was pushed, direct aliases follow; status only.
#[test]
fn i188_a_push_adds_an_event_and_writes_status_only() {
    let mut world = committed("is web latest=- stable=tag:web:latest");
    assert_eq!(world.push(TAG, HUB, "a"), "done");
    assert_eq!(world.tag(TAG), "#a r.io/team/web@#a @1; spec @1");
    assert_eq!(world.tag("shop/web:stable"), "#a r.io/team/web@#a @1; spec @1");
    assert_eq!(
        world.records().lines().skip(1).collect::<Vec<_>>(),
        ["TagImported web:latest #a @1 push", "TagImported web:stable #a @1 alias of web:latest"]
    );
    let before = world.engine.desired().clone();
    assert_eq!(world.push("shop/web:new", HUB, "b"), "done");
    assert_eq!(world.engine.desired(), &before, "no spec tag appears");
    assert!(described(&world, "shop/web").contains("no spec tag"));
    assert_eq!(kind_of(&world, "shop/web:new"), "Push");
    let record = world.journal.last().unwrap();
    let Fact::TagImported(imported) = &record.fact else { panic!("{record:?}") };
    assert!(imported.via == Via::Push && imported.metadata.is_some() && imported.probed.is_none());
    world.restart();
    assert_eq!(world.tag("shop/web:new"), "#b r.io/team/web@#b @1; spec @0");
}

/// I188: the history is that of rule I63: the same again is nothing, another image comes in front.
#[test]
fn i188_pushes_are_added_as_imports_are() {
    let mut world = committed("is web");
    world.push(TAG, HUB, "a");
    assert_eq!(world.push(TAG, HUB, "a"), "nothing: web:latest is #a already");
    assert_eq!(world.push(TAG, "r.io/elsewhere", "a"), "done", "a moved source is no new item");
    assert_eq!(world.tag(TAG), "#a r.io/elsewhere@#a @1; spec @0");
    world.push(TAG, HUB, "b");
    world.push(TAG, HUB, "a");
    assert_eq!(
        world.tag(TAG),
        "#a r.io/team/web@#a @1; #b r.io/team/web@#b @1; #a r.io/elsewhere@#a @1; spec @0"
    );
}

/// I188: a push fires triggers as an import does, once.
#[test]
fn i188_triggers_fire_for_pushes() {
    let mut world = committed("is web latest=-\ndc app app<web:latest");
    world.push(TAG, HUB, "a");
    assert_eq!(world.pending(), "roll out app 1 app=#a");
    world.complete("app");
    world.push(TAG, HUB, "b");
    assert_eq!(world.pending(), "roll out app 2 app=#b");
    world.complete("app");
    world.push(TAG, "r.io/elsewhere", "b");
    assert_eq!(world.pending(), "", "the same digest from elsewhere rolls out nothing");
}

/// I189: an image that is there already keeps where it was seen first; without a managed registry none is rewritten.
#[test]
fn i189_an_image_that_is_there_keeps_its_reference() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "a");
    world.push("shop/other:at", HUB, "a");
    let images = effective::images(world.engine.observed());
    let image = effective::image(&digest("a"), &images[&digest("a")], None);
    assert_eq!(image.docker_image_reference, format!("r.io/web@{}", digest("a")));
    assert_eq!(world.tag("shop/other:at"), "#a r.io/team/web@#a @1; spec @0");
}

/// I190: a push that something newer overtook is refused; pushes of one tag are recorded as they were told.
#[test]
fn i190_a_push_that_was_overtaken_is_a_conflict() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "a");
    world.pushed(TAG, HUB, "b");
    moves(&mut world, "c");
    world.resolve(&format!("{HUB}@{}", digest("b")), "b");
    assert_eq!(
        world.answer(),
        "refused: web:latest became #c while the pushed image was read; notify again if the push is to be current"
    );
    assert!(world.tag(TAG).starts_with("#c r.io/web@#c"));
    world.pushed(TAG, HUB, "x");
    world.pushed(TAG, HUB, "y");
    assert_eq!(world.checks().len(), 1, "one after the other");
    world.resolve(&format!("{HUB}@{}", digest("x")), "x");
    world.resolve(&format!("{HUB}@{}", digest("y")), "y");
    assert_eq!((world.answer(), world.answer()), ("done".into(), "done".into()));
    assert!(world.tag(TAG).starts_with("#y r.io/team/web@#y @3; #x"), "{}", world.tag(TAG));
}

/// I191 as B54 of DBT has it: a push to a tag that is imported is current until the registry has something new.
#[test]
fn i191_a_push_is_current_until_the_registry_has_something_new() {
    let mut world = committed("is web latest=r.io/web:1,scheduled 2=r.io/web:2");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "x");
    assert_eq!(world.push(TAG, HUB, "b"), "done");
    assert_eq!(kind_of(&world, TAG), "Push");
    world.records();
    moves(&mut world, "a");
    assert_eq!(world.records(), "", "the registry has what it had");
    world.restart();
    moves(&mut world, "a");
    assert!(world.tag(TAG).starts_with("#b r.io/team/web@#b @3; #a r.io/web@#a @2"));
    moves(&mut world, "c");
    assert!(world.tag(TAG).starts_with("#c r.io/web@#c @4; #b"), "{}", world.tag(TAG));
    assert_eq!(kind_of(&world, TAG), "Scheduled");
}

/// I191: an import that fails after a push is told, and its end is as well.
#[test]
fn i191_a_failure_after_a_push_ends_without_an_import() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "a");
    world.push(TAG, HUB, "b");
    world.nudge(TAG);
    world.resolve_fails("r.io/web:1", ImportReason::InternalError, true);
    assert!(world.tag(TAG).contains("InternalError"));
    world.records();
    world.advance(60);
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.records(), "TagRecovered web:latest");
    assert!(world.tag(TAG).starts_with("#b "));
}

/// I191: a spec tag that was never imported is imported, whatever was pushed before.
#[test]
fn i191_a_new_spec_tag_is_imported_over_a_push() {
    let mut world = committed("is web");
    world.push(TAG, HUB, "b");
    world.commit(WEB);
    world.resolve("r.io/web:1", "a");
    assert!(world.tag(TAG).starts_with("#a r.io/web@#a @3; #b r.io/team/web@#b @1; spec @3"));
    world.commit("is web");
    assert_eq!(world.tag(TAG), "unknown", "rule I93: it was in the spec");
}

/// I193: a missing stream is created in the journal only, and is one that aliases and triggers find.
#[test]
fn i193_a_missing_stream_is_created_in_the_journal() {
    let mut world = committed("is web latest=tag:built:1\ndc app app<built:1");
    assert!(world.tag(TAG).starts_with("NotFound"), "{}", world.tag(TAG));
    assert_eq!(world.push("shop/built:1", HUB, "a"), "done");
    assert_eq!(world.tag("shop/built:1"), "#a r.io/team/web@#a @1; spec @0");
    assert!(world.tag(TAG).starts_with("#a r.io/team/web@#a"), "{}", world.tag(TAG));
    assert_eq!(world.pending(), "roll out app 1 app=#a");
    let text = described(&world, "shop/built");
    assert!(text.contains("no spec tag") && text.contains("Name:\t\t\tbuilt"), "{text}");
    world.complete("app");
    world.restart();
    world.commit("is web\nis built");
    assert!(world.tag("shop/built:1").starts_with("#a "), "git may take the stream over");
}

/// I193: the manifest is read by its digest before anything is recorded; what the registry does not have is refused.
#[test]
fn i193_a_notice_is_only_a_hint() {
    let mut world = committed("is web\nis idle at=tag:web:latest ref=r.io/x:1,reference");
    world.records();
    world.pushed(TAG, HUB, "a");
    assert_eq!(world.pending(), "resolve r.io/team/web@#a");
    world.resolve_fails(&format!("{HUB}@{}", digest("a")), ImportReason::NotFound, false);
    assert!(world.answer().starts_with("refused: NotFound: "));
    assert_eq!((world.records().as_str(), world.tag(TAG).as_str()), ("", "unknown"));
    let refused = |world: &mut World, tag: &str, image: &str| {
        let (tag, image) = (tag.parse().unwrap(), image.parse().unwrap());
        world.ask(Request::Push(tidegate::action::Pushed { tag, image }))
    };
    insta::assert_snapshot!(refused(&mut world, TAG, "r.io/web:1"), @"refused: `r.io/web:1` does not say which image was pushed; its digest is needed: REGISTRY/REPOSITORY@sha256:...");
    let image = format!("r.io/web@{}", digest("a"));
    insta::assert_snapshot!(refused(&mut world, "shop/idle:at", &image), @"refused: idle:at is an alias of web:latest by its spec in git, which would put it back at once; push to another tag, or take its `from` out of git");
    assert!(refused(&mut world, "shop/idle:ref", &image).contains("a reference to r.io/x:1"));
    assert_eq!(world.pending(), "");
}

/// I193: a tag that left git and is waited for goes when nothing needs it; one that was pushed since stays.
#[test]
fn i193_a_tag_that_left_git_stays_when_it_is_pushed() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit("is web\ndc app app<web:latest");
    world.push(TAG, HUB, "b");
    world.complete("app");
    world.commit("is web");
    world.complete("app");
    assert_eq!(world.tag(TAG), "#b r.io/team/web@#b @3; #a r.io/web@#a @2; spec @0");
    world.restart();
    assert!(world.tag(TAG).starts_with("#b "));
}
