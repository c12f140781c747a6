//! What operators put over git (rule I102, item 5 of the image-stream specification).

use std::time::Duration;

use tidegate::action::{ImageContents, OverlayOrder, PruneRequest, Request};
use tidegate::desired::TagSource;
use tidegate::effective;
use tidegate::fact::{ImportReason, Keep, PruneOptions, SpecSource, TagSpec};
use tidegate::time::Span;

use crate::support::engine::World;
use crate::support::start::{APP, committed, moves, running};
use crate::support::story::digest;

const TAG: &str = "shop/web:latest";

fn spec(from: SpecSource) -> TagSpec {
    TagSpec { from, reference: false, scheduled: false, insecure: false, mode: None, local: false }
}

fn image(name: &str) -> Option<TagSpec> {
    Some(spec(SpecSource::Registry(name.parse().unwrap())))
}

fn overlay(world: &mut World, tag: &str, spec: Option<TagSpec>) -> String {
    let order = OverlayOrder { tag: tag.parse().unwrap(), spec };
    world.ask(Request::Overlay(Box::new(order)))
}

/// Where a tag gets its image from, and what git says of that where it is something else.
fn source(world: &World, tag: &str) -> String {
    let tag = tag.parse().unwrap();
    let (desired, observed) = (world.engine.desired(), world.engine.observed());
    let words = |spec: Option<&tidegate::desired::TagReference>| match spec
        .and_then(|spec| spec.from.as_ref())
    {
        None => "nothing".to_owned(),
        Some(TagSource::Registry(image)) => image.to_string(),
        Some(TagSource::Tag(tag)) => format!("tag {tag}"),
        Some(TagSource::Image { stream, id }) => format!("image {stream}@{id}"),
    };
    let now = words(effective::spec_tag(desired, &tag).map(|(_, spec)| spec));
    let git = desired.streams.get(&tag.stream);
    let git = words(git.and_then(|stream| effective::written(stream, &tag.tag)));
    match observed.overlay(&tag) {
        Some(overlay) => format!("{now} by {} over {git}", overlay.by),
        None => {
            assert_eq!(now, git, "git is in force");
            now
        }
    }
}

/// I102.5: an overlay is imported and fires as a commit would; only a commit that touches the tag ends it.
#[test]
fn i102_5_an_overlay_is_in_force_until_a_commit_touches_its_tag() {
    let mut world = running();
    assert_eq!(overlay(&mut world, TAG, image("r.io/web:2")), "done");
    assert_eq!(world.records(), "OverlaySet web:latest r.io/web:2 by ann @3 latest");
    assert_eq!(source(&world, TAG), "r.io/web:2 by ann over r.io/web:1");
    world.resolve("r.io/web:2", "b");
    world.complete("app");
    let records = world.records();
    assert!(
        records.starts_with("TagImported web:latest #b @4 registry\nTriggerFired"),
        "{records}"
    );
    world.restart();
    assert_eq!(source(&world, TAG), "r.io/web:2 by ann over r.io/web:1");
    // A commit of something else, of the stream too.
    world.commit(&format!("{APP} env=2"));
    world.commit(
        "is web latest=r.io/web:1,scheduled other=r.io/web:9 label=x\ndc app app<web:latest",
    );
    assert_eq!(source(&world, TAG), "r.io/web:2 by ann over r.io/web:1");
    assert!(!world.records().contains('^'));
    assert!(!world.pending().contains("resolve r.io/web:1"), "{}", world.pending());
    // And one that touches the tag.
    world.commit("is web latest=r.io/web:3,scheduled\ndc app app<web:latest");
    let records = world.records();
    assert!(records.starts_with("CommitAdopted") && records.contains("^web:latest"), "{records}");
    assert_eq!(source(&world, TAG), "r.io/web:3");
    world.resolve("r.io/web:3", "c");
    assert!(world.tag(TAG).starts_with("#c r.io/web@#c"), "{}", world.tag(TAG));
    world.restart();
    assert_eq!(source(&world, TAG), "r.io/web:3");
}

/// I102.5: git that comes to say what the overlay says ends it, and nothing is imported again.
#[test]
fn i102_5_a_commit_that_says_the_same_ends_the_overlay_and_changes_nothing_else() {
    let mut world = running();
    overlay(&mut world, TAG, image("r.io/web:2"));
    world.resolve("r.io/web:2", "b");
    world.complete("app");
    world.records();
    world.commit("is web latest=r.io/web:2\ndc app app<web:latest");
    assert_eq!(world.records(), "CommitAdopted ^web:latest");
    assert_eq!((source(&world, TAG).as_str(), world.pending().as_str()), ("r.io/web:2", ""));
}

/// I102.5, I97: the same again is imported again; back to what git says withdraws it.
#[test]
fn i102_5_the_same_is_imported_again_and_what_git_says_withdraws_it() {
    let mut world = running();
    let said =
        overlay(&mut world, TAG, Some(TagSpec { scheduled: true, ..image("r.io/web:1").unwrap() }));
    assert!(said.starts_with("nothing: git says this of web:latest already"), "{said}");
    overlay(&mut world, TAG, image("r.io/web:2"));
    world.resolve("r.io/web:2", "b");
    world.complete("app");
    world.records();
    assert_eq!(overlay(&mut world, TAG, image("r.io/web:2")), "done");
    assert_eq!(world.records(), "OverlaySet web:latest r.io/web:2 by ann @5 latest");
    world.resolve("r.io/web:2", "b");
    let git = TagSpec { scheduled: true, ..image("r.io/web:1").unwrap() };
    assert_eq!(overlay(&mut world, TAG, Some(git)), "done");
    assert_eq!(source(&world, TAG), "r.io/web:1");
    let records = world.records();
    assert!(records.ends_with("OverlaySet web:latest withdrawn by ann @7 latest"), "{records}");
    world.resolve("r.io/web:1", "a");
    assert!(world.tag(TAG).starts_with("#a"), "{}", world.tag(TAG));
}

/// I102.5, I92, I93: a tag that is taken away keeps its history as long as something refers to it.
#[test]
fn i102_5_a_tag_is_taken_away_as_a_commit_would() {
    let mut world = running();
    assert_eq!(overlay(&mut world, TAG, None), "done");
    assert_eq!(world.records(), "OverlaySet web:latest removed by ann @3 -latest");
    assert_eq!(source(&world, TAG), "nothing by ann over r.io/web:1");
    assert!(overlay(&mut world, TAG, None).starts_with("nothing: an overlay takes"));
    world.restart();
    world.commit("is web latest=r.io/web:1,scheduled");
    assert_eq!(source(&world, TAG), "nothing by ann over r.io/web:1", "the tag is not touched");
    assert!(world.records().contains("TagRemoved web:latest"), "nothing refers to it any more");
    world.commit("is web latest=r.io/web:2");
    world.resolve("r.io/web:2", "b");
    assert_eq!(source(&world, TAG), "r.io/web:2");
    // One that only the overlay has.
    overlay(&mut world, "shop/web:new", Some(spec(SpecSource::Tag(TAG.parse().unwrap()))));
    assert!(world.tag("shop/web:new").starts_with("#b"), "{}", world.tag("shop/web:new"));
    assert_eq!(source(&world, "shop/web:new"), "tag shop/web:latest by ann over nothing");
    assert_eq!(overlay(&mut world, "shop/web:new", None), "done");
    assert_eq!(world.tag("shop/web:new"), "unknown");
    assert_eq!(source(&world, "shop/web:new"), "nothing");
}

/// I102.5, law 7: what cannot be read says nothing of a tag; a stream that goes takes its overlays along.
#[test]
fn i102_5_what_cannot_be_read_ends_no_overlay_and_a_stream_that_goes_does() {
    let mut world = running();
    overlay(&mut world, TAG, image("r.io/web:2"));
    world.resolve("r.io/web:2", "b");
    let over = "r.io/web:2 by ann over r.io/web:1";
    world.commit(&format!("bad {APP}"));
    assert_eq!(source(&world, TAG), over);
    world.restart();
    assert_eq!(source(&world, TAG), over);
    world.restart_without_mirror();
    assert_eq!(source(&world, TAG), over, "the last valid version is what git said");
    let records = world.journal.len();
    world.read();
    assert_eq!(world.journal.len(), records, "law 9: the same commit is no new one");
    world.commit(APP);
    assert_eq!(source(&world, TAG), over);
    world.restart_without_mirror();
    world.commit(&format!("{APP} env=7"));
    assert_eq!(source(&world, TAG), over, "what git said is in the record");
    world.restart_without_mirror();
    world.commit("is web latest=r.io/web:3\ndc app app<web:latest");
    assert_eq!(source(&world, TAG), "r.io/web:3");
    overlay(&mut world, TAG, image("r.io/web:2"));
    world.commit("is other latest=r.io/web:3\ndc app app<web:latest");
    world.commit("is web latest=r.io/web:3\ndc app app<web:latest");
    assert_eq!(source(&world, TAG), "r.io/web:3", "another life");
}

/// I102.5: what cannot be put over git is refused, and says why.
#[test]
fn i102_5_what_cannot_be_put_over_git_is_refused() {
    let mut world = World::new();
    let says = |world: &mut World, tag: &str, spec: Option<TagSpec>, part: &str| {
        let records = world.journal.len();
        let said = overlay(world, tag, spec);
        assert!(said.starts_with("refused: ") && said.contains(part), "{said}");
        assert_eq!(world.journal.len(), records);
    };
    says(&mut world, TAG, image("r.io/web:2"), "there is no image stream web in git");
    world.commit("is web latest=r.io/web:1\nis all repository=r.io/all");
    world.list("r.io/all", "v1");
    says(&mut world, "shop/gone:1", image("r.io/web:2"), "no image stream gone");
    says(&mut world, "shop/web:9", None, "no tag web:9 in git");
    says(&mut world, "shop/all:v1", image("r.io/web:2"), "comes from the listing");
    says(&mut world, "shop/all:v1", None, "comes from the listing");
    says(&mut world, TAG, image("r.io"), "not only a registry");
    let alias = TagSpec { scheduled: true, ..spec(SpecSource::Tag(TAG.parse().unwrap())) };
    says(&mut world, "shop/web:b", Some(alias), "only container images");
    let pin = SpecSource::Image { stream: "shop/web".parse().unwrap(), image: digest("a") };
    let pin = TagSpec { insecure: true, ..spec(pin) };
    says(&mut world, "shop/web:b", Some(pin), "only container images");
}

/// I102.5, I156: what git says beneath an overlay keeps its images: it is in force again when that ends.
#[test]
fn i102_5_a_prune_leaves_what_git_pins_beneath_an_overlay() {
    let mut world = committed(&format!("is web latest=r.io/web:1 pin=image:web@{}", digest("a")));
    world.resolve("r.io/web:1", "a");
    moves(&mut world, "b");
    overlay(&mut world, "shop/web:pin", image("r.io/web:2"));
    world.resolve("r.io/web:2", "c");
    let keep = Keep::Recent { revisions: 0, younger_than: Span(Duration::ZERO) };
    let options =
        PruneOptions { keep, all: true, namespace: None, ignore_invalid: false, registry: true };
    let contents = ImageContents::default();
    world.ask(Request::Prune(Box::new(PruneRequest {
        options: options.clone(),
        confirm: true,
        contents,
    })));
    assert!(world.tag(TAG).contains("#a"), "{}", world.tag(TAG));
    overlay(&mut world, "shop/web:pin", None);
    world.commit("is web latest=r.io/web:1");
    let contents = ImageContents::default();
    world.ask(Request::Prune(Box::new(PruneRequest { options, confirm: true, contents })));
    assert!(!world.tag(TAG).contains("#a"), "{}", world.tag(TAG));
}

/// I102.5, I70: a spec that failed is tried at once when it is put there again.
#[test]
fn i102_5_a_failure_of_an_overlay_is_told_and_tried_again() {
    let mut world = committed("is web latest=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    overlay(&mut world, TAG, image("r.io/web:2"));
    world.resolve_fails("r.io/web:2", ImportReason::NotFound, false);
    assert!(world.tag(TAG).contains("NotFound"), "{}", world.tag(TAG));
    overlay(&mut world, TAG, image("r.io/web:2"));
    world.resolve("r.io/web:2", "b");
    assert!(!world.tag(TAG).contains("NotFound"), "{}", world.tag(TAG));
}
