//! Local lookup of image strings (section 9).

use tidegate::fact::Fact;

use crate::support::engine::World;
use crate::support::story::digest;

/// A world in which `web:latest` is imported as `a`; the stream is looked up.
fn imported(workload: &str) -> World {
    let mut world = World::new();
    world.commit(&format!("is web latest=r.io/web:1,scheduled lookup\n{workload}"));
    world.resolve("r.io/web:1", "a");
    world
}

/// The images of the last rollout that was started.
fn images(world: &World) -> Vec<String> {
    let started = world.journal.iter().rev().find_map(|record| match &record.fact {
        Fact::RolloutStarted(started) => Some(started),
        _ => None,
    });
    let image = |image: &tidegate::fact::RolloutImage| {
        let tag = image.lookup.as_ref().map(|tag| format!(" by {tag}")).unwrap_or_default();
        let text = image.reference.replace(&digest("a").to_string(), "#a");
        format!("{}{tag}", text.replace(&digest("b").to_string(), "#b"))
    };
    started.unwrap().images.iter().map(image).collect()
}

/// I184 as I186 has it: a bare name of a stream that is looked up means the image that its tag has at the roll-out; git
/// stays what it is, and what was meant is recorded.
#[test]
fn i184_a_bare_name_means_the_image_of_the_tag() {
    let mut world = imported("");
    world.commit("is web latest=r.io/web:1,scheduled lookup\ndc app app=web");
    assert_eq!(images(&world), ["r.io/web@#a by shop/web:latest"]);
    let workload = world.engine.desired().workloads.values().next().unwrap();
    assert!(workload.manifest.contains("\"image\":\"web\""), "{}", workload.manifest);
}

/// I184: strings with a registry or a namespace, other names, and streams that are not looked up are left alone.
#[test]
fn i184_what_names_no_stream_that_is_looked_up_is_left_alone() {
    for (stream, image) in [
        ("is web latest=r.io/web:1 lookup", "r.io/web"),
        ("is web latest=r.io/web:1 lookup", "team/web"),
        ("is web latest=r.io/web:1 lookup", "other"),
        ("is web latest=r.io/web:1", "web"),
        ("is web latest=r.io/web:1 lookup", "web:none"),
    ] {
        let mut world = World::new();
        world.commit(stream);
        world.resolve("r.io/web:1", "a");
        world.commit(&format!("{stream}\ndc app app={image}"));
        assert_eq!(images(&world), [image], "{stream}");
    }
}

/// I184: a tag without an image is the repository of its stream, where there is one.
#[test]
fn i184_a_tag_without_an_image_is_the_repository_of_its_stream() {
    let mut world = World::new();
    world.commit("is web repository=r.io/all lookup\ndc app app=web:5");
    assert_eq!(images(&world), ["r.io/all:5 by shop/web:5"]);
}

/// I185: the annotation looks up every image string by its name and tag, whatever its registry, and whatever the stream
/// says.
#[test]
fn i185_the_annotation_looks_up_every_image_string() {
    let stream = "is web latest=r.io/web:1";
    let mut world = World::new();
    world.commit(stream);
    world.resolve("r.io/web:1", "a");
    world.commit(&format!("{stream}\ndeploy job main<web:latest side=quay.io/team/web resolve"));
    assert_eq!(images(&world), ["r.io/web@#a", "r.io/web@#a by shop/web:latest"]);
}

/// I186: it happens at the roll-out: a tag that moves later rolls nothing out, and the next rollout has the new image.
#[test]
fn i186_a_tag_that_moves_rolls_nothing_out() {
    let stream = "is web latest=r.io/web:1,scheduled lookup";
    let mut world = imported("dc app app=web");
    world.complete("app");
    world.records();
    world.advance(1_000);
    world.resolve("r.io/web:1", "b");
    let records = world.records();
    assert!(!records.contains("RolloutStarted"), "{records}");
    world.commit(&format!("{stream}\ndc app app=web env=2"));
    assert_eq!(images(&world), ["r.io/web@#b by shop/web:latest"]);
}
