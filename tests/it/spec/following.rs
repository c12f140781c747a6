//! What an import leaves in the journal, and who follows it (sections 3.4 to 4.3).

use tidegate::action::{Action, ImportFailure, Input};
use tidegate::effective;
use tidegate::fact::Fact;
use tidegate::fact::ImportReason::{InternalError, NotFound};

use super::objects::shown;
use crate::desired::{rejects, with_tag};
use crate::oc::tidegate;
use crate::support::daemon::{Host, eventually, wait};
use crate::support::engine::World;
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;
use crate::support::start::{WEB, committed};

/// The annotation that says when an import changed a stream last.
pub(crate) fn noted(world: &World) -> Option<String> {
    let annotations = shown(world, "web").metadata.annotations;
    annotations.get("openshift.io/image.dockerRepositoryCheck").cloned()
}

/// I66: an import that changes something is noted at the stream.
#[test]
fn i066_an_import_that_changes_something_is_noted_at_the_stream() {
    let mut world = committed(WEB);
    assert_eq!(noted(&world), None);
    world.resolve("r.io/web:1", "a");
    assert_eq!(noted(&world).as_deref(), Some("2026-01-01T00:00:00Z"));
}

/// I67: a tag that fails hides none of the others.
#[test]
fn i067_tags_are_imported_independently() {
    let mut world = committed("is web 1=r.io/web:1 2=r.io/web:2");
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.resolve("r.io/web:2", "a");
    assert!(world.tag("shop/web:1").starts_with("NotFound"));
    assert!(world.tag("shop/web:2").starts_with("#a"));
}

/// I68: the image and the item of the tag that names it are one record.
#[test]
fn i068_an_image_and_its_item_are_one_record() {
    let mut world = committed(WEB);
    let before = world.journal.len();
    world.resolve("r.io/web:1", "a");
    let [record] = &world.journal[before..] else { panic!("{:?}", &world.journal[before..]) };
    let Fact::TagImported(imported) = &record.fact else { panic!("{record:?}") };
    assert!(imported.metadata.is_some() && imported.event.image.is_some());
}

/// I72: a failure without a word still says something.
#[test]
fn i072_a_failure_without_a_word_has_a_message() {
    let mut world = committed(WEB);
    world.records();
    let found = world.actions.iter().find(|(_, action)| matches!(action, Action::Resolve(_)));
    let id = *found.unwrap().0;
    world.actions.remove(&id);
    let message = String::new();
    let failure =
        ImportFailure { reason: InternalError, message, transient: false, retry_after: None };
    world.step(vec![Input::Resolved(id, Err(failure))]);
    let failed = "ImportFailed web:latest InternalError @2: unknown error prevented import";
    assert_eq!(world.records(), failed);
}

/// I77: that a tag begins to fail, and that it does no more, is one record each.
#[test]
fn i077_the_begin_and_the_end_of_a_failure_are_recorded() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "a");
    world.records();
    for (fails, record) in [
        (true, "ImportFailed web:latest NotFound @3: r.io/web:1 failed"),
        (true, ""),
        (false, "TagImported web:latest #a @4 registry"),
        (false, ""),
    ] {
        world.nudge("shop/web:latest");
        match fails {
            true => world.resolve_fails("r.io/web:1", NotFound, false),
            false => world.resolve("r.io/web:1", "a"),
        }
        assert_eq!(world.records(), record);
    }
}

/// I77: both are lines of the log, so that nobody has to ask again and again.
#[test]
fn i077_the_begin_and_the_end_of_a_failure_are_logged() {
    let Some(registry) = DockerRegistry::start() else { return };
    wait(registry.push_image("web", "1", "a"));
    let manifest = |tag: u32| {
        with_tag(&format!(
            "{{name: a, importPolicy: {{insecure: true}}, from: {{kind: DockerImage, name: '{}/web:{tag}'}}}}",
            registry.address()
        ))
    };
    let repo = Repo::new();
    repo.write("web.yaml", manifest(2)).commit("missing");
    let mut host = Host::new(repo.path(), "");
    host.start();
    let logged = |words: &str| host.log().contains(words).then_some(());
    eventually("the failure", || logged("tag cannot be imported"));
    repo.write("web.yaml", manifest(1)).commit("there");
    eventually("the success", || logged("tag imported"));
    assert!(host.stop().success());
}

/// I78: of an import that the spec changed under, the answers to what is still asked are kept, the others are not.
#[test]
fn i078_a_change_during_an_import_drops_only_its_own_answers() {
    let mut world = committed("is web a=r.io/web:1 b=r.io/web:2");
    world.records();
    world.commit("is web a=r.io/web:1 b=r.io/web:3");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "b");
    assert_eq!(
        world.records(),
        "CommitAdopted ~web@2(b)\nTagImported web:a #a @3 registry",
        "nobody asks for what `b` was"
    );
    assert_eq!(world.pending(), "resolve r.io/web:3");
}

/// I82: a tag whose current item has no image is described, and is no tag to get.
#[test]
fn i082_a_tag_without_an_image_is_described_and_not_got() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: web, namespace: shop}\nspec:\n  tags: [{name: raw, reference: true, from: {kind: DockerImage, name: 'r.io/raw:1'}}]\nstatus:\n  tags: [{tag: raw, items: [{created: '2026-01-01T00:00:00Z', dockerImageReference: 'r.io/raw:1', image: '', generation: 1}]}]\n";
    std::fs::write(file.path(), text).unwrap();
    let run = |words: &[&str]| {
        let output =
            tidegate(&[words, &["-n", "shop", "-f", file.path().to_str().unwrap()]].concat());
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(run(&["describe", "is", "web"]).contains("  * r.io/raw:1\n"));
    assert_eq!(run(&["get", "istag"]), "No resources found in shop namespace.\n");
    let missing =
        "Error from server (NotFound): imagestreamtags.image.openshift.io \"web:raw\" not found\n";
    assert_eq!(run(&["get", "istag", "web:raw"]), missing);
}

/// I84, I85: an alias of another stream is no snapshot: it follows, also one that had nothing to take when it came.
#[test]
fn i084_an_alias_of_another_stream_is_no_snapshot() {
    let mut world = committed(&format!("{WEB}\nis top x=tag:web:latest"));
    assert_eq!(world.tag("shop/top:x"), "spec @1");
    for image in ["a", "b"] {
        world.nudge("shop/web:latest");
        world.resolve("r.io/web:1", image);
        assert!(world.tag("shop/top:x").starts_with(&format!("#{image} ")));
    }
}

/// I89: an alias changes nothing of what it follows.
#[test]
fn i089_an_alias_leaves_its_source_as_it_is() {
    let mut world = committed(WEB);
    world.resolve("r.io/web:1", "a");
    let before = world.tag("shop/web:latest");
    world.commit(&format!("{WEB} same=tag:latest\nis top x=tag:web:latest"));
    assert_eq!(world.tag("shop/web:latest"), before);
    assert_eq!(world.tag("shop/web:same"), "#a r.io/web@#a @3; spec @3");
}

/// I90: an alias follows a scheduled tag after each check, and has no schedule itself.
#[test]
fn i090_an_alias_follows_the_checks_of_its_source() {
    let mut world = committed(&format!("{WEB} same=tag:latest"));
    world.resolve("r.io/web:1", "a");
    world.advance(1000);
    world.resolve("r.io/web:1", "b");
    assert!(world.tag("shop/web:same").starts_with("#b"));
    let scheduled =
        "{name: a, from: {kind: ImageStreamTag, name: b}, importPolicy: {scheduled: true}}";
    rejects(&with_tag(scheduled), "importPolicy.scheduled: Invalid value: true");
}

/// I93: a tag that git has no more keeps its history while somebody refers to it.
#[test]
fn i093_a_removed_tag_stays_while_it_is_used() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.commit("is web\ndc app app<web:latest");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; spec @0");
    let text = tidegate::oc::stream::describe(&shown(&world, "web"), world.now.wall);
    assert!(text.contains("latest\n  no spec tag\n"), "{text}");
}

/// I93: a stream that git has no more goes with spec and status; one that only moved does not.
#[test]
fn i093_a_removed_stream_goes_and_a_moved_one_does_not() {
    let mut world = committed(&format!("{WEB}\nis other"));
    world.resolve("r.io/web:1", "a");
    let mut files = world.files().clone();
    let text = files.remove("shop/is-web.yaml").unwrap();
    files.insert("shop/moved.yaml".into(), text);
    world.commit_files(files);
    assert!(world.tag("shop/web:latest").starts_with("#a"));
    world.commit("is other");
    assert_eq!(world.tag("shop/web:latest"), "unknown");
}

/// I94: what follows a stream that is deleted keeps its history, and the image stays.
#[test]
fn i094_a_deleted_stream_takes_no_image_from_others() {
    let mut world = committed(&format!("{WEB}\nis top x=tag:web:latest"));
    world.resolve("r.io/web:1", "a");
    world.commit("is top x=tag:web:latest");
    assert_eq!(world.tag("shop/web:latest"), "unknown");
    assert!(world.tag("shop/top:x").starts_with("#a r.io/web@#a"));
    assert_eq!(effective::images(world.engine.observed()).len(), 1);
}

/// I192: a push, an import, another tag are all the same event; a failure or a new generation alone triggers nothing.
#[test]
fn i192_only_another_image_triggers() {
    let app = "dc app app<web:latest";
    let mut world = committed(&format!("{WEB}\n{app}"));
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.nudge("shop/web:latest");
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.commit(&format!("{WEB},preserve\n{app}"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(
        world.records(),
        "ImportFailed web:latest NotFound @3: r.io/web:1 failed\n\
         CommitAdopted ~web@4(latest)\n\
         TagImported web:latest #a @5 registry"
    );
    world.nudge("shop/web:latest");
    world.resolve("r.io/web:1", "b");
    assert!(world.records().contains("TriggerFired app web:latest #a to #b"));
}

/// I197, item 5: what a registry answered before the tag followed another one says nothing of the image that it got there.
#[test]
fn i197_5_a_tag_that_followed_another_asks_its_registry_anew() {
    let git = |from: &str| format!("is web a={from} b=r.io/web:2");
    let mut world = committed(&git("r.io/web:1"));
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "b");
    world.commit(&git("tag:web:b"));
    assert!(world.tag("shop/web:a").starts_with("#b"), "{}", world.tag("shop/web:a"));
    world.commit(&git("r.io/web:1"));
    // A failure ends what is due, and the next answer is that of before.
    world.resolve_fails("r.io/web:1", InternalError, true);
    world.nudge("shop/web:a");
    world.resolve("r.io/web:1", "a");
    assert!(world.tag("shop/web:a").starts_with("#a"), "{}", world.tag("shop/web:a"));
}
