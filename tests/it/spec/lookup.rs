//! Local lookup of image strings (section 9).

use tidegate::fact::Fact;

use crate::support::engine::World;
use crate::support::manifest;
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
fn i184_l001_l003_a_bare_name_means_the_image_of_the_tag() {
    let mut world = imported("");
    world.commit("is web latest=r.io/web:1,scheduled lookup\ndc app app=web");
    assert_eq!(images(&world), ["r.io/web@#a by shop/web:latest"]);
    let workload = world.engine.desired().workloads.values().next().unwrap();
    assert!(workload.manifest.contains("\"image\":\"web\""), "{}", workload.manifest);
}

/// I184: strings with a registry or a namespace, other names, and streams that are not looked up are left alone.
#[test]
fn i184_l003_what_names_no_stream_that_is_looked_up_is_left_alone() {
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
fn i184_l005_a_tag_without_an_image_is_the_repository_of_its_stream() {
    let mut world = World::new();
    world.commit("is web repository=r.io/all lookup\ndc app app=web:5");
    assert_eq!(images(&world), ["r.io/all:5 by shop/web:5"]);
}

/// I185: the annotation looks up every image string by its name and tag, whatever its registry, and whatever the stream
/// says.
#[test]
fn i185_l004_the_annotation_looks_up_every_image_string() {
    let stream = "is web latest=r.io/web:1";
    let mut world = World::new();
    world.commit(stream);
    world.resolve("r.io/web:1", "a");
    world.commit(&format!("{stream}\ndeploy job main<web:latest side=quay.io/team/web resolve"));
    assert_eq!(images(&world), ["r.io/web@#a", "r.io/web@#a by shop/web:latest"]);
}

/// I186: it happens at the roll-out: a tag that moves later rolls nothing out, and the next rollout has the new image.
#[test]
fn i186_l007_x030_a_tag_that_moves_rolls_nothing_out() {
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

/// L1: the annotation counts on the pod template, too.
#[test]
fn l001_the_annotation_may_stand_on_the_template() {
    let stream = "is web latest=r.io/web:1";
    let mut world = World::new();
    world.commit(stream);
    world.resolve("r.io/web:1", "a");
    let mut files = manifest::files(&format!("{stream}\ndc app app=quay.io/team/web"));
    let key = "alpha.image.policy.openshift.io/resolve-names";
    for text in files.values_mut() {
        let labels = "    metadata: {labels: {app: app}}";
        let both = format!("    metadata: {{labels: {{app: app}}, annotations: {{{key}: '*'}}}}");
        *text = text.replace(labels, &both);
    }
    world.commit_files(files);
    assert_eq!(images(&world), ["r.io/web@#a by shop/web:latest"]);
}

/// L2: what has a digest means that image, whoever is asked to look up names.
#[test]
fn l002_a_reference_with_a_digest_is_left_alone() {
    let stream = "is web latest=r.io/web:1 lookup";
    for image in ["web", "quay.io/team/web"] {
        let pinned = format!("{image}@{}", digest("b"));
        let mut world = World::new();
        world.commit(stream);
        world.resolve("r.io/web:1", "a");
        world.commit(&format!("{stream}\ndc app app={pinned} resolve"));
        assert_eq!(images(&world), [format!("{image}@#b")]);
    }
}

/// L6: all kinds that are rolled out have local names; in a cluster the objects that they make do.
#[test]
fn l006_every_kind_has_local_names() {
    let pod = "{metadata: {labels: {app: app}}, spec: {containers: [{name: app, image: web}]}}";
    for (version, kind, spec) in [
        ("apps.openshift.io/v1", "DeploymentConfig", format!("{{replicas: 1, template: {pod}}}")),
        ("apps/v1", "Deployment", format!("{{template: {pod}}}")),
        ("apps/v1", "StatefulSet", format!("{{template: {pod}}}")),
        ("apps/v1", "DaemonSet", format!("{{template: {pod}}}")),
        ("batch/v1", "CronJob", format!("{{jobTemplate: {{spec: {{template: {pod}}}}}}}")),
    ] {
        let mut world = imported("");
        let mut files = world.files().clone();
        let meta = "{name: app, namespace: shop, annotations: {tidegate.dev/target: none}}";
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {meta}\nspec: {spec}\n");
        files.insert("shop/app.yaml".into(), text);
        world.commit_files(files);
        assert_eq!(images(&world), ["r.io/web@#a by shop/web:latest"], "{kind}");
    }
}

/// L8: what a name meant is recorded with the rollout; a start looks nothing up again.
#[test]
fn l008_what_a_name_meant_outlives_a_restart() {
    let mut world = imported("");
    world.commit("is web latest=r.io/web:1,scheduled lookup\ndc app app=web");
    assert_eq!(world.pending(), "roll out app 1 app=#a");
    world.nudge("shop/web:latest");
    world.resolve("r.io/web:1", "b");
    world.restart();
    assert_eq!(world.pending(), "roll out app 1 app=#a", "what is under way is what was recorded");
    world.complete("app");
    world.restart();
    assert_eq!(world.pending(), "");
}

/// L9: where a trigger sets an image, its string is not looked up.
#[test]
fn l009_a_trigger_goes_before_a_local_name() {
    let mut world = World::new();
    world.commit("is web latest=r.io/web:1 lookup\nis other latest=r.io/other:1");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/other:1", "b");
    let mut files = manifest::files(
        "is web latest=r.io/web:1 lookup\nis other latest=r.io/other:1\ndc app app<other:latest",
    );
    for text in files.values_mut() {
        *text = text.replace("image: ' '", "image: web");
    }
    world.commit_files(files);
    assert_eq!(images(&world), ["r.io/other@#b"]);
}

/// T27, L5: a name whose tag the same commit brings is not rolled out before its import ended, one way or the other.
#[test]
fn t027_l005_a_name_waits_for_the_import_of_its_tag() {
    let both = "is web latest=r.io/web:1 lookup\ndc app app=web";
    let mut world = World::new();
    world.commit(both);
    assert!(!world.records().contains("RolloutStarted"));
    assert!(world.held().contains("waiting for the import of web:latest"), "{}", world.held());
    world.resolve("r.io/web:1", "a");
    assert_eq!(images(&world), ["r.io/web@#a by shop/web:latest"]);
    let mut world = World::new();
    world.commit(both);
    world.resolve_fails("r.io/web:1", tidegate::fact::ImportReason::NotFound, false);
    assert_eq!(images(&world), ["web"], "L5: it stays what it says");
}
