//! Hints of registries that something moved (law 5, rules I193 and I198).

use tidegate::policy::{IntegratedRegistry, Policy, RegistryMode};

use crate::support::engine::World;
use crate::support::start::{WEB, committed};
use crate::support::story::digest;

/// Two streams that import the same image under several names, and one of another tag.
const HUB: &str = "is a latest=docker.io/library/web:1
is b latest=web:1 2=web:2
is c latest=index.docker.io/web:1 pinned=web@sha256:0000000000000000000000000000000000000000000000000000000000000000
is d latest=quay.io/library/web:1";

fn settled(objects: &str) -> World {
    let mut world = committed(objects);
    world.resolve_all("a");
    world.records();
    assert_eq!(world.checks().len(), 0);
    world
}

/// A world with a managed registry.
fn managed(objects: &str) -> World {
    let registry = IntegratedRegistry {
        address: "reg.io:5000".into(),
        public_address: Some("images.io".into()),
        mode: RegistryMode::Managed,
    };
    let mut world = World::with(Policy { integrated_registry: Some(registry), ..World::policy() });
    world.commit(objects);
    world.records();
    world
}

#[test]
fn law5_a_hint_makes_every_tag_of_that_image_be_looked_at_however_it_is_spelled() {
    let mut world = settled(HUB);
    world.hint("registry-1.docker.io/library/web:1");
    assert_eq!(world.answer(), "looks at a:latest, b:latest, c:latest");
    let asked: Vec<_> = world.checks().iter().map(|check| check.image.to_string()).collect();
    assert_eq!(asked, ["docker.io/library/web:1"], "by one check");
    assert_eq!(world.records(), "", "a hint is no fact");
}

#[test]
fn law5_a_hint_without_a_tag_is_about_all_of_the_repository() {
    let mut world = settled("is a 1=quay.io/x/web:1 2=quay.io:443/x/web:2 3=quay.io/x/we:3");
    world.hint("quay.io/x/web");
    assert_eq!(world.answer(), "looks at a:1, a:2");
}

#[test]
fn law5_a_hint_about_what_nobody_imports_says_so() {
    let mut world = settled(WEB);
    world.hint("r.io/web:2");
    assert_eq!(world.answer(), "nothing: no tag is imported from r.io/web:2");
    assert_eq!(world.pending(), "");
}

#[test]
fn law6_the_same_hint_again_and_late_gives_one_import_and_one_trigger() {
    let mut world = settled("is web latest=r.io/web:1\ndc app app<web:latest");
    world.complete("app");
    world.records();
    for _ in 0..3 {
        world.hint("r.io/web:1");
    }
    assert_eq!(world.checks().len(), 1, "one check for all of them");
    world.resolve_all("b");
    world.complete("app");
    // What came while the registry was asked is asked once more.
    world.resolve_all("b");
    world.hint("r.io/web:1");
    world.resolve_all("b");
    let records = world.records();
    assert_eq!(records.matches("TagImported").count(), 1, "{records}");
    assert_eq!(records.matches("RolloutStarted").count(), 1, "{records}");
}

#[test]
fn law7_a_hint_does_not_wake_what_is_paused_or_left_alone() {
    let mut world = settled("is web latest=r.io/web:1 paused");
    world.hint("r.io/web:1");
    assert_eq!(world.pending(), "");
    let mut world = settled(WEB);
    world.nudge("shop/web:latest");
    world.too_many_requests("r.io/web:1", 100);
    world.hint("r.io/web:1");
    assert_eq!(world.pending(), "", "the registry asked to be left alone");
    world.advance(101);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #a");
}

#[test]
fn law5_a_hint_lists_a_whole_repository_again() {
    let mut world = World::new();
    world.commit("is all repository=r.io/all");
    world.list("r.io/all", "1.0");
    world.resolve_all("a");
    world.records();
    world.hint("r.io/all:2.0");
    assert_eq!(world.answer(), "looks at all of all");
    assert_eq!(world.pending(), "list r.io/all");
}

/// I193: a notice of the managed registry is a hint: what the registry has under the tag is recorded, by its digest.
#[test]
fn i193_a_push_to_the_managed_registry_is_recorded_as_the_registry_has_it() {
    let mut world = managed("is web\ndc app app<web:latest");
    world.hint("reg.io:5000/shop/web:latest");
    assert_eq!(world.pending(), "resolve reg.io:5000/web:latest");
    world.resolve("reg.io:5000/shop/web:latest", "a");
    assert_eq!(world.answer(), "done");
    assert_eq!(world.tag("shop/web:latest"), "#a reg.io:5000/web@#a @1; spec @0");
    assert_eq!(world.pending(), "roll out app 1 app=#a");
    world.complete("app");
    world.records();
    // By the other name of the registry, and again: the registry has what is known.
    for name in ["images.io/shop/web:latest", "reg.io:5000/shop/web:latest"] {
        world.hint(name);
        world.resolve("reg.io:5000/shop/web:latest", "a");
        assert_eq!(world.answer(), "nothing: web:latest is #a already");
    }
    assert_eq!(world.records(), "");
}

/// I193: notices that come in another order than the pushes end at what the registry has.
#[test]
fn i193_notices_in_any_order_end_at_what_the_registry_has() {
    let mut world = managed("is web");
    world.hint("reg.io:5000/shop/web:latest");
    world.hint("reg.io:5000/shop/web:latest");
    world.hint("reg.io:5000/shop/web:latest");
    assert_eq!(world.answer(), "the registry is about to be asked for it");
    world.resolve("reg.io:5000/shop/web:latest", "a");
    world.resolve("reg.io:5000/shop/web:latest", "b");
    assert_eq!((world.answer(), world.answer()), ("done".into(), "done".into()));
    assert_eq!(world.pending(), "");
    assert!(world.tag("shop/web:latest").starts_with("#b "), "{}", world.tag("shop/web:latest"));
}

/// I193, I198: only the managed registry is taken at its word, and a tag that it is imported from is imported.
#[test]
fn i193_only_tags_without_a_source_there_become_what_was_pushed() {
    let mut world = managed("is web latest=reg.io:5000/shop/web:latest alias=tag:web:latest");
    world.resolve_all("a");
    world.hint("reg.io:5000/shop/web:latest");
    assert_eq!(world.answer(), "looks at web:latest");
    world.hint("reg.io:5000/shop/web:alias");
    assert!(world.answer().starts_with("refused: web:alias is an alias of"));
    world.hint("reg.io:5000/a/b/c:1");
    assert!(world.answer().starts_with("nothing: no tag is imported"));
    world.hint("else.io/shop/web:new");
    assert!(world.answer().starts_with("nothing: no tag is imported"));
}

/// I193: a registry tells before it has written the tag; the same hint again looks until the registry has what it told.
#[test]
fn i193_a_hint_with_a_digest_looks_until_the_registry_has_it() {
    let mut world = managed("is web");
    let hint = format!("reg.io:5000/shop/web:latest@{}", digest("b"));
    world.hint("reg.io:5000/shop/web:latest");
    world.resolve("reg.io:5000/shop/web:latest", "a");
    assert_eq!(world.answer(), "done");
    world.hint(&hint);
    world.resolve("reg.io:5000/shop/web:latest", "a");
    assert_eq!(world.answer(), "the registry has #a under web:latest");
    world.hint(&hint);
    world.resolve("reg.io:5000/shop/web:latest", "b");
    assert_eq!(world.answer(), "done");
    world.hint(&hint);
    assert_eq!(world.answer(), "nothing: web:latest has that image");
    assert_eq!(world.pending(), "", "nobody is asked");
}

#[test]
fn law5_a_hint_of_what_a_tag_has_already_asks_nobody() {
    let mut world = settled("is web latest=r.io/web:1 other=r.io/web:2");
    world.hint(&format!("r.io/web:1@{}", digest("a")));
    assert_eq!(world.answer(), "nothing: web:latest has that image");
    world.hint(&format!("r.io/web:1@{}", digest("b")));
    assert_eq!(world.answer(), "looks at web:latest");
    assert_eq!(world.checks().len(), 1);
}
