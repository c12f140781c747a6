//! Tags of `referencePolicy: Local` (section 9 of the image-stream specification).

use std::time::Duration;

use tidegate::action::{
    Action, ImageContents, ImportFailure, PruneRequest, Request, RolloutRequest,
};
use tidegate::effective;
use tidegate::fact::{ImportReason, Keep, PruneOptions};
use tidegate::policy::{IntegratedRegistry, Policy, RegistryMode};
use tidegate::time::Span;

use super::objects::shown;
use crate::support::builds;
use crate::support::engine::World;
use crate::support::manifest;
use crate::support::start::{APP, moves};
use crate::support::story::digest;

fn policy(mode: RegistryMode) -> Policy {
    let registry = IntegratedRegistry {
        address: "in.io:5000".into(),
        public_address: Some("images.example.com".into()),
        mode,
    };
    Policy { integrated_registry: Some(registry), ..World::policy() }
}

/// These objects, with every tag of policy `Local`.
fn commit_local(world: &mut World, objects: &str) {
    let local = |text: String| {
        text.replace("    reference:", "    referencePolicy: {type: Local}\n    reference:")
    };
    let files = manifest::files(objects).into_iter();
    world.commit_files(files.map(|(path, text)| (path, local(text))).collect());
}

fn world(policy: Policy, objects: &str) -> World {
    let mut world = World::with(policy);
    commit_local(&mut world, objects);
    world
}

/// The reference that a target is given now.
fn told(world: &World) -> String {
    let request = |action: &Action| match action {
        Action::RollOut(request) => Some(RolloutRequest::clone(request)),
        _ => None,
    };
    let request = world.actions.values().find_map(request).expect("a rollout");
    request.images[0].reference.clone()
}

fn pinned(repository: &str, name: &str) -> String {
    format!("{repository}@{}", digest(name))
}

fn local(name: &str) -> String {
    pinned("in.io:5000/shop/web", name)
}

fn source(name: &str) -> String {
    pinned("r.io/web", name)
}

/// I3, I4: the repository of a stream is in the integrated registry, also where it imports a whole repository.
#[test]
fn i003_the_integrated_registry_is_where_a_streams_images_are() {
    let mut world = World::with(policy(RegistryMode::PullThrough));
    world.commit("is web repository=r.io/web");
    let status = shown(&world, "web").status;
    assert_eq!(status.docker_image_repository, "in.io:5000/shop/web");
    assert_eq!(status.public_docker_image_repository, "images.example.com/shop/web");
    let mut world = World::new();
    world.commit("is web repository=r.io/web\nis idle");
    let status = shown(&world, "web").status;
    assert_eq!(status.docker_image_repository, "r.io/web");
    assert_eq!(status.public_docker_image_repository, "");
    assert_eq!(shown(&world, "idle").status.docker_image_repository, "");
}

/// I180, I182: dependents get the reference of the policy, and the event keeps what was recorded.
#[test]
fn i180_dependents_get_the_reference_of_the_policy() {
    let mut world = world(policy(RegistryMode::PullThrough), APP);
    assert_eq!(world.checks()[0].copy_to, None, "a cache is not pushed to");
    world.resolve("r.io/web:1", "a");
    assert_eq!(told(&world), local("a"));
    assert!(world.tag("shop/web:latest").starts_with("#a r.io/web@#a"));
    world.complete("app");
    moves(&mut world, "b");
    assert_eq!(told(&world), local("b"));
    world.complete("app");
    // T18: digests are compared, so neither the policy of the tag nor the registry moves anything (I183).
    world.engine.set_policy(World::policy());
    world.step(vec![]);
    world.commit(APP);
    assert_eq!(world.pending(), "");
    moves(&mut world, "c");
    assert_eq!(told(&world), source("c"), "at the next resolution");
}

/// I181: without the setting, the image comes from its source, and there is one warning for each tag.
#[test]
fn i181_without_a_registry_local_is_source_and_is_told() {
    let mut world = world(World::policy(), APP);
    assert_eq!(world.checks()[0].copy_to, None);
    world.resolve("r.io/web:1", "a");
    assert_eq!(told(&world), source("a"));
    let tags = || -> Vec<_> {
        effective::degraded(world.engine.desired(), world.engine.policy()).collect()
    };
    assert_eq!(tags(), ["shop/web:latest".parse().unwrap()]);
    insta::assert_snapshot!(
        effective::degraded_message(&tags()[0]),
        @"shop/web:latest asks for referencePolicy Local, but no integrated registry is configured"
    );
    let registry = policy(RegistryMode::Managed);
    assert_eq!(effective::degraded(world.engine.desired(), &registry).count(), 0);
}

/// I181: with a managed registry the copy is a part of the import, and a failed copy is a failed import.
#[test]
fn i181_the_copy_is_a_part_of_the_import() {
    let mut world = world(policy(RegistryMode::Managed), APP);
    let to = world.checks()[0].copy_to.as_ref().map(ToString::to_string);
    assert_eq!(to.as_deref(), Some("in.io:5000/shop/web"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(told(&world), local("a"));
    world.complete("app");
    world.nudge("shop/web:latest");
    world.resolve_fails("r.io/web:1", ImportReason::Unauthorized, false);
    assert!(world.tag("shop/web:latest").starts_with("#a r.io/web@#a @2; Unauthorized"));
    assert_eq!(world.pending(), "", "what ran runs on");
}

/// I181: where the policy or the registry is new, the copy comes first: until then dependents have the source.
#[test]
fn i181_a_new_policy_is_copied_before_it_is_used() {
    let mut world = World::with(policy(RegistryMode::Managed));
    world.commit("is web latest=r.io/web:1");
    assert_eq!(world.checks()[0].copy_to, None);
    world.resolve("r.io/web:1", "a");
    commit_local(&mut world, "is web latest=r.io/web:1\ndc app app<web:latest");
    assert_eq!(told(&world), source("a"));
    assert!(world.checks()[0].copy_to.is_some(), "it is asked for again, to be copied");
    world.complete("app");
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "", "the digest is the same");
    commit_local(&mut world, "is web latest=r.io/web:1\ndc app app<web:latest env=2");
    assert_eq!(told(&world), local("a"));
    world.complete("app");
    // Another registry does not have it yet.
    let mut other = policy(RegistryMode::Managed);
    other.integrated_registry.as_mut().unwrap().address = "new.io".into();
    world.engine.set_policy(other);
    world.step(vec![]);
    commit_local(&mut world, "is web latest=r.io/web:1\ndc app app<web:latest env=3");
    assert_eq!(told(&world), source("a"));
    assert_eq!(world.checks()[0].copy_to.as_ref().unwrap().to_string(), "new.io/shop/web");
}

/// I181: an alias inside a stream shares its repository; across streams it is copied.
#[test]
fn i181_an_alias_has_the_repository_of_its_stream() {
    let objects = "is web latest=r.io/web:1 stable=tag:web:latest\nis far at=tag:web:latest";
    let mut world =
        world(policy(RegistryMode::Managed), &format!("{objects}\ndc app app<web:stable"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(told(&world), local("a"));
    world.complete("app");
    commit_local(&mut world, &format!("{objects}\ndc app app<far:at env=2"));
    assert_eq!(told(&world), source("a"), "it is not in the repository of `far` yet");
    world.complete("app");
    world.resolve(&pinned("r.io/web", "a"), "a");
    assert!(world.tag("shop/far:at").starts_with("#a r.io/web@#a"), "the source is kept (I182)");
    commit_local(&mut world, &format!("{objects}\ndc app app<far:at env=3"));
    assert_eq!(told(&world), pinned("in.io:5000/shop/far", "a"));
}

/// An alias of a pushed image, a pin of it, and a reference to it, in another stream.
const FOLLOWERS: &str = "is web\nis far at=tag:web:latest keep=tag:web:latest,reference";

fn pushed(objects: &str) -> World {
    let mut world = World::with(policy(RegistryMode::Managed));
    world.commit(objects);
    assert_eq!(world.push("shop/web:latest", "in.io:5000/shop/web", "a"), "done");
    world
}

/// I80: what was pushed is copied into the repository of the stream that follows it, and then named there.
#[test]
fn i080_an_alias_of_a_pushed_image_names_its_own_repository_once_it_is_copied() {
    let mut world = pushed(&format!("{FOLLOWERS}\ndc app app<far:at"));
    assert!(world.tag("shop/far:at").starts_with("#a in.io:5000/web@#a"));
    assert_eq!(told(&world), local("a"), "until then, as it is");
    world.complete("app");
    assert_eq!(world.checks().len(), 1, "a reference is not copied: {}", world.pending());
    let to = world.checks()[0].copy_to.as_ref().map(ToString::to_string);
    assert_eq!(to.as_deref(), Some("in.io:5000/shop/far"));
    world.records();
    world.resolve(&pinned("in.io:5000/shop/web", "a"), "a");
    assert_eq!(world.records(), "TagImported far:at #a @1 alias of web:latest");
    assert!(world.tag("shop/far:at").starts_with("#a in.io:5000/far@#a"));
    assert!(world.tag("shop/far:keep").starts_with("#a in.io:5000/web@#a"));
    assert_eq!(world.pending(), "", "the digest is the same, so nothing is rolled out");
    world.restart();
    assert_eq!(world.pending(), "", "it is known to be there");
    // What git changes of the tag beside that copies nothing again: here it follows another tag of the same image.
    world.commit("is web stable=tag:web:latest\nis far at=tag:web:stable\ndc app app<far:at");
    assert_eq!(world.pending(), "");
    let state = world.tag("shop/far:at");
    assert!(state.starts_with("#a in.io:5000/far@#a @2"), "{state}");
    world.push("shop/web:latest", "in.io:5000/shop/web", "b");
    assert!(world.tag("shop/far:at").starts_with("#b in.io:5000/web@#b"));
    assert!(world.pending().contains("resolve in.io:5000/web@#b"), "{}", world.pending());
}

/// I80: a copy that fails is told by the tag, which keeps what it has, and is tried again.
#[test]
fn i080_a_copy_that_fails_is_told_and_tried_again() {
    let mut world = pushed(FOLLOWERS);
    world.records();
    world.resolve_fails(&pinned("in.io:5000/shop/web", "a"), ImportReason::Unauthorized, true);
    let state = world.tag("shop/far:at");
    assert!(state.starts_with("#a in.io:5000/web@#a @1; Unauthorized @2"), "{state}");
    assert_eq!(world.pending(), "");
    assert_eq!(world.records().lines().count(), 1, "it is told once");
    world.advance(60);
    assert!(world.pending().contains("resolve in.io:5000/web@#a"), "it is tried again");
    world.resolve(&pinned("in.io:5000/shop/web", "a"), "a");
    assert_eq!(world.records(), "TagImported far:at #a @2 alias of web:latest");
    let state = world.tag("shop/far:at");
    assert!(
        state.starts_with("#a in.io:5000/far@#a") && !state.contains("Unauthorized"),
        "{state}"
    );
    // What the tag became meanwhile is not what was copied.
    let mut world = pushed(FOLLOWERS);
    world.commit("is web\nis far at=-");
    world.resolve(&pinned("in.io:5000/shop/web", "a"), "a");
    assert!(world.tag("shop/far:at").starts_with("#a in.io:5000/web@#a"));
    assert_eq!(world.pending(), "");
}

/// I80: a registry that asks to be left alone is, also where what was copied is not wanted any more.
#[test]
fn i080_a_registry_that_limits_copies_is_left_alone() {
    let mut world = pushed(FOLLOWERS);
    world.push("shop/web:latest", "in.io:5000/shop/web", "b");
    world.too_many_requests(&pinned("in.io:5000/shop/web", "a"), 600);
    assert_eq!(world.pending(), "", "the copy of the next image waits as well");
    world.advance(600);
    assert!(world.pending().contains("resolve in.io:5000/web@#b"), "{}", world.pending());
}

/// I80: only a managed registry is copied into; elsewhere the reference is copied as it is.
#[test]
fn i080_without_a_managed_registry_the_reference_is_copied_as_it_is() {
    for mode in [Some(RegistryMode::PullThrough), None] {
        let mut world = World::with(mode.map_or_else(World::policy, policy));
        world.commit(FOLLOWERS);
        assert_eq!(world.push("shop/web:latest", "in.io:5000/shop/web", "a"), "done");
        assert!(world.tag("shop/far:at").starts_with("#a in.io:5000/web@#a"));
        assert_eq!(world.pending(), "");
    }
}

/// I80: what is copied waits while something is deleted in the repository, and the other way round.
#[test]
fn i080_nothing_is_deleted_where_an_alias_is_being_copied() {
    let mut world = pushed(FOLLOWERS);
    world.resolve(&pinned("in.io:5000/shop/web", "a"), "a");
    world.push("shop/web:latest", "in.io:5000/shop/web", "b");
    prune(&mut world, true);
    assert!(world.pending().starts_with("resolve in.io:5000/web@#b"), "{}", world.pending());
    assert!(!world.pending().contains("delete in.io:5000/far"), "{}", world.pending());
    world.resolve(&pinned("in.io:5000/shop/web", "b"), "b");
    assert!(world.pending().contains("delete in.io:5000/far@#a"), "{}", world.pending());
    world.push("shop/web:latest", "in.io:5000/shop/web", "c");
    assert!(!world.pending().contains("resolve in.io:5000/web@#c"), "{}", world.pending());
    world.deleted("delete in.io:5000/far@#a", Ok(()));
    assert!(world.pending().contains("resolve in.io:5000/web@#c"), "{}", world.pending());
}

/// I187: nothing is fetched when a dependent asks: a cache is left to itself, a managed registry has it before.
#[test]
fn i187_nothing_is_fetched_on_demand() {
    let mut world = world(policy(RegistryMode::PullThrough), "is web latest=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    commit_local(&mut world, "is web latest=r.io/web:1\ndc app app<web:latest");
    assert_eq!(told(&world), local("a"));
    assert!(world.checks().is_empty(), "{}", world.pending());
    let mut world = self::world(policy(RegistryMode::Managed), "is web latest=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    commit_local(&mut world, "is web latest=r.io/web:1\ndc app app<web:latest");
    assert_eq!(told(&world), local("a"), "it was copied with the import");
    assert!(world.checks().is_empty(), "{}", world.pending());
}

/// I198: one setting says which registry it is, and its mode what is done there.
#[test]
fn i198_one_setting_and_its_mode_say_what_is_done_in_the_integrated_registry() {
    let objects = "is web latest=r.io/web:1\nis far at=tag:web:latest\ndc app app<web:latest";
    // (where its images are said to be, what is copied, what dependents pull)
    let table = [
        (Some(RegistryMode::Managed), "in.io:5000/shop/web", "in.io:5000/shop/web", local("a")),
        (Some(RegistryMode::PullThrough), "in.io:5000/shop/web", "", local("a")),
        (None, "", "", source("a")),
    ];
    for (mode, repository, copied, pulled) in table {
        let mut world = world(mode.map_or_else(World::policy, policy), objects);
        let copy = world.checks()[0].copy_to.as_ref().map(ToString::to_string);
        assert_eq!(copy.unwrap_or_default(), copied, "{mode:?}");
        world.resolve("r.io/web:1", "a");
        assert_eq!(shown(&world, "web").status.docker_image_repository, repository, "{mode:?}");
        assert_eq!(told(&world), pulled, "{mode:?}");
        let alias =
            world.checks().iter().find_map(|check| check.copy_to.as_ref()?.to_string().into());
        let into = (mode == Some(RegistryMode::Managed)).then(|| "in.io:5000/shop/far".to_owned());
        assert_eq!(alias, into, "{mode:?}");
    }
}

/// Items beyond the newest go, with their manifests unless `--prune-registry=false` is given.
fn prune(world: &mut World, registry: bool) {
    let keep = Keep::Recent { revisions: 1, younger_than: Span(Duration::ZERO) };
    let options =
        PruneOptions { keep, all: true, namespace: None, ignore_invalid: false, registry };
    let contents = ImageContents::default();
    world.ask(Request::Prune(Box::new(PruneRequest { options, confirm: true, contents })));
}

/// A world whose `web:latest`, which is copied, was `a` and is `b`.
fn copied() -> World {
    let mut world = world(policy(RegistryMode::Managed), "is web latest=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    moves(&mut world, "b");
    world.records();
    world
}

/// I164: the manifests of pruned images go after the record, and again after a crash until the registry confirms.
#[test]
fn i164_manifests_are_deleted_until_the_registry_confirms() {
    let line = "delete in.io:5000/web@#a";
    let mut world = copied();
    prune(&mut world, true);
    assert!(world.records().starts_with("ImagesPruned web:latest-1 #a"));
    assert_eq!(world.pending(), line);
    world.restart();
    assert_eq!(world.pending(), line, "nobody knows whether it was done");
    let (reason, message) = (ImportReason::InternalError, "it is down".to_owned());
    let failure = ImportFailure { reason, message, transient: true, retry_after: None };
    world.deleted(line, Err(failure));
    assert_eq!((world.pending().as_str(), world.records().as_str()), ("", ""));
    world.advance(60);
    assert_eq!(world.pending(), line, "it is tried again");
    world.deleted(line, Ok(()));
    assert_eq!(world.records(), "ManifestDeleted in.io:5000/web@#a");
    assert!(world.engine.observed().images.is_empty());
    world.restart();
    assert_eq!(world.pending(), "");
}

/// I164: nothing is deleted where it is not asked for, in a cache, or in a registry that is not managed any more.
#[test]
fn i164_nothing_is_deleted_in_another_registry() {
    let mut world = copied();
    prune(&mut world, false);
    assert_eq!(world.pending(), "");
    for mode in [Some(RegistryMode::PullThrough), None] {
        let settings = mode.map_or_else(World::policy, policy);
        let mut world = self::world(settings.clone(), "is web latest=r.io/web:1");
        world.resolve("r.io/web:1", "a");
        moves(&mut world, "b");
        prune(&mut world, true);
        assert_eq!(world.pending(), "");
        let mut world = copied();
        prune(&mut world, true);
        let (reason, message) = (ImportReason::InternalError, "it is down".to_owned());
        let failure = ImportFailure { reason, message, transient: true, retry_after: None };
        world.deleted("delete in.io:5000/web@#a", Err(failure));
        world.engine.set_policy(settings);
        world.step(vec![]);
        world.advance(100);
        assert!(!world.pending().contains("delete"), "{}", world.pending());
    }
}

/// I164: an image that comes back stays, and nothing is copied into a repository while something is deleted there.
#[test]
fn i164_an_image_that_comes_back_is_not_deleted() {
    let line = "delete in.io:5000/web@#a";
    let mut world = copied();
    world.nudge("shop/web:latest");
    prune(&mut world, true);
    assert!(!world.pending().contains("delete"), "what is copied now may be this image");
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "");
    assert!(world.engine.observed().images.leftover.is_empty());
    let mut world = copied();
    prune(&mut world, true);
    world.nudge("shop/web:latest");
    assert_eq!(world.pending(), line, "the copy waits");
    world.deleted(line, Ok(()));
    assert!(world.pending().starts_with("resolve r.io/web:1"));
    world.resolve("r.io/web:1", "a");
    assert!(world.tag("shop/web:latest").starts_with("#a "));
}

/// I180, B9, B53: a build is made of the image of a tag by the reference of its policy, and what it pushes is rolled out
/// from where it was pushed to.
#[test]
fn i180_b009_a_build_is_made_of_the_reference_of_the_policy() {
    let base = "is base 1=r.io/base:1\nis app\nbc app from=tag:base:1 to=app:latest watch\ndc app main<app:latest";
    let policy = Policy { builds_enabled: true, ..policy(RegistryMode::Managed) };
    let mut world = world(policy, base);
    world.resolve("r.io/base:1", "a");
    let request = |action: &Action| match action {
        Action::Build(request) => Some(request.clone()),
        _ => None,
    };
    let request = world.actions.values().find_map(request).expect("a build");
    assert_eq!(request.images[0].reference, pinned("in.io:5000/shop/base", "a"));
    assert_eq!(request.push.unwrap().image.to_string(), "in.io:5000/shop/app:latest");
    world.built("app-1", builds::pushed("x"));
    assert_eq!(told(&world), pinned("in.io:5000/shop/app", "x"));
}
