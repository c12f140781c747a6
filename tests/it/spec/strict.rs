//! `strict_openshift`: where this program deviates in triggers and rollouts, and what it does if it is told not to.

use tidegate::policy::Policy;

use crate::support::engine::World;
use crate::support::manifest;
use crate::support::start::{APP, WEB, moves};

/// A world that does as this program, and one that does as OpenShift.
fn both() -> [(bool, World); 2] {
    [false, true]
        .map(|strict| (strict, World::with(Policy { strict_openshift: strict, ..World::policy() })))
}

/// What is rolled out once these objects took the place of others that run.
fn after(world: &mut World, first: &str, then: &str) -> String {
    world.commit(first);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.commit(then);
    let records = world.records();
    let started = records.lines().find(|line| line.starts_with("RolloutStarted "));
    started.unwrap_or_default().to_owned()
}

/// D21a: OpenShift does not look at init containers unless a template counts.
#[test]
fn d021a_strictly_an_init_container_is_a_part_of_the_template() {
    let objects = |config: &str| {
        format!(
            "is web latest=r.io/web:1,scheduled\ndc app app=r.io/app:1 init:setup<web:latest {config}"
        )
    };
    for (strict, mut world) in both() {
        world.commit(&objects("noconfig"));
        world.resolve("r.io/web:1", "a");
        world.complete("app");
        moves(&mut world, "b");
        assert_eq!(world.pending().contains("roll out app 2"), !strict);
        if strict {
            world.records();
            world.commit(&objects(""));
            let started = "RolloutStarted app 2 (config change) setup=#b app=r.io/app:1";
            assert!(world.records().ends_with(started));
        }
    }
}

/// D21a: OpenShift compares sets.
#[test]
fn d021a_strictly_a_swap_of_images_is_none() {
    let streams = "is web a=r.io/web:1,scheduled\nis web2 a=r.io/web:2";
    for (strict, mut world) in both() {
        world.commit(&format!("{streams}\ndc app one<web:a two<web2:a noconfig"));
        world.resolve("r.io/web:1", "a");
        world.resolve("r.io/web:2", "b");
        world.complete("app");
        world.commit(&format!("{streams}\ndc app one<web2:a two<web:a noconfig"));
        assert_eq!(world.pending().contains("roll out app 2"), !strict);
    }
}

/// D21b: OpenShift takes an image that was changed by hand for one that a trigger changed.
#[test]
fn d021b_strictly_an_image_by_hand_is_an_image_change() {
    let objects = |image: &str| format!("{WEB}\ndc app app<web:latest side={image} noconfig");
    for (strict, mut world) in both() {
        let started = after(&mut world, &objects("r.io/s:1"), &objects("r.io/s:2"));
        let wanted = "RolloutStarted app 2 (image change) app=#a side=r.io/s:2";
        assert_eq!(started, if strict { wanted } else { "" });
    }
}

/// openshift/origin#18406: an image that is changed by hand was rolled out though the trigger is not automatic.
#[test]
fn origin_18406_a_trigger_that_is_not_automatic_rolls_out_no_image_by_hand() {
    for (strict, mut world) in both() {
        world.commit(&format!("{APP} noconfig"));
        world.resolve("r.io/web:1", "a");
        world.complete("app");
        for image in ["r.io/by-hand:1", "r.io/by-hand:2"] {
            let files = manifest::files(&format!("{WEB}\ndc app app~web:latest noconfig"));
            let by_hand = |text: &String| text.replace("image: ' '", &format!("image: '{image}'"));
            world.commit_files(
                files.iter().map(|(path, text)| (path.clone(), by_hand(text))).collect(),
            );
            assert_eq!(world.pending().contains("roll out app"), strict, "{image}");
            if strict {
                world.complete("app");
            }
        }
    }
}

/// T18: OpenShift compares references.
#[test]
fn t018_strictly_the_same_image_elsewhere_is_another() {
    for kind in ["dc", "deploy"] {
        for (strict, mut world) in both() {
            world.commit(&APP.replace("dc", kind));
            world.resolve("r.io/web:1", "a");
            world.complete("app");
            world.records();
            world.commit(&APP.replace("r.io/web", "r.io/moved").replace("dc", kind));
            world.resolve("r.io/moved:1", "a");
            let records = world.records();
            assert_eq!(records.contains("(image change) app=#a"), strict, "{records}");
        }
    }
}

/// openshift/origin#18934: a template that changed together with the tag of its trigger was rolled out with the old image,
/// and the new one never.
#[test]
fn origin_18934_a_changed_template_goes_with_the_image_of_its_changed_trigger() {
    let mut world = World::new();
    world.commit("is web 1=r.io/web:1\ndc app app<web:1 env=1");
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.records();
    world.commit("is web 1=r.io/web:1 2=r.io/web:2\ndc app app<web:2 env=2");
    assert!(!world.records().contains("RolloutStarted"), "its image is not known yet");
    world.resolve("r.io/web:2", "b");
    assert_eq!(world.pending(), "roll out app 2 app=#b");
    world.complete("app");
    world.records();
    world.advance(10_000);
    assert!(!world.records().contains("RolloutStarted"), "once");
}
