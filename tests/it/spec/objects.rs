//! Streams, tags and images as objects: fields, defaults, validation (section 1).

use std::sync::Arc;

use tidegate::action::ImportMode;
use tidegate::api;
use tidegate::desired::{Entry, Object, parse_file};
use tidegate::effective;
use tidegate::fact::ImportReason::{InternalError, NotFound};
use tidegate::names::StreamName;
use tidegate::policy::Policy;
use tidegate::reference::ImageReference;

use crate::adapter::registry::Bench;
use crate::desired::{assemble, found, read, rejects, stream, with_spec, with_tag};
use crate::support::engine::World;
use crate::support::start::committed;
use crate::support::story::digest;

/// A stream of the namespace `shop` as it is shown.
pub(crate) fn shown(world: &World, name: &str) -> api::ImageStream {
    let name: StreamName = format!("shop/{name}").parse().unwrap();
    let engine = &world.engine;
    effective::stream(engine.desired(), engine.observed(), engine.policy(), &name).unwrap()
}

/// An image as it is shown, of which an import kept this.
pub(crate) fn image(world: &World, name: &str, kept: &str) -> api::Image {
    let images = effective::images(world.engine.observed());
    effective::image(&digest(name), &images[&digest(name)], Some(kept.as_bytes()))
}

const KEPT: &str = r#"{"dockerImageMetadata": {"Id": "sha256:c", "Size": 3},
    "dockerImageLayers": [{"name": "sha256:l", "size": 1, "mediaType": "m"}]}"#;

const KEPT_INDEX: &str = r#"{"dockerImageManifests":
    [{"digest": "sha256:s", "mediaType": "m", "os": "linux", "architecture": "amd64"}]}"#;

#[test]
fn i001_a_duplicate_tag_rejects_the_object() {
    let text = with_spec("  tags:\n  - {name: a}\n  - {name: a}\n");
    rejects(&text, "7:12 I1 spec.tags[1].name: Duplicate value: \"a\"");
}

#[test]
fn i002_status_and_server_leftovers_are_ignored_without_a_word() {
    let text = "apiVersion: v1\nkind: ImageStream\nmetadata: {name: web, creationTimestamp: null, generation: null, uid: x}\nspec: {tags: null}\nstatus: {dockerImageRepository: '', tags: [{anything: 1}]}\n";
    assert_eq!(found(&read(text)), "");
    assert!(stream(text).tags.is_empty());
}

#[test]
fn i006_defaults_are_source_and_the_import_mode_of_the_policy() {
    let text = with_tag("{name: a, from: {kind: DockerImage, name: x}}");
    let tag = stream(&text).tags.values().next().cloned().unwrap();
    assert!(!tag.local && !tag.scheduled && !tag.insecure);
    assert_eq!(tag.mode, ImportMode::Legacy);
    let policy = Policy { import_mode: ImportMode::PreserveOriginal, ..Policy::default() };
    let file = parse_file("f.yaml", text.as_bytes(), None, &policy);
    let Entry::Object(Object::Stream(stream)) = &file.entries[0] else { panic!() };
    assert_eq!(stream.tags.values().next().unwrap().mode, ImportMode::PreserveOriginal);
}

#[test]
fn i007_a_tag_without_a_source_is_legal() {
    let stream = stream(&with_tag("{name: a, annotations: {description: x}}"));
    assert!(stream.tags.values().next().unwrap().from.is_none());
}

#[test]
fn i012_names_of_streams() {
    for name in ["a--b", "a__b", "A", "-a", "a.", "'a/b'", "..", "a%b"] {
        let text = format!("apiVersion: v1\nkind: ImageStream\nmetadata: {{name: {name}}}\n");
        rejects(&text, "I12 metadata.name: Invalid value");
    }
    rejects(
        "apiVersion: v1\nkind: ImageStream\nmetadata: {}\n",
        "I12 metadata.name: Required value",
    );
    let long = "a".repeat(250);
    let text = format!("apiVersion: v1\nkind: ImageStream\nmetadata: {{name: {long}}}\n");
    rejects(&text, "'namespace/name' cannot be longer than 255 characters");
    stream("apiVersion: v1\nkind: ImageStream\nmetadata: {name: a.b_c-d0}\n");
}

#[test]
fn i013_the_repository_carries_neither_tag_nor_digest() {
    rejects(
        &with_spec("  dockerImageRepository: a/b:c\n"),
        "I13 spec.dockerImageRepository: Invalid value: \"a/b:c\": the repository name may not contain a tag",
    );
    let digest = format!("  dockerImageRepository: a/b@sha256:{}\n", "0".repeat(64));
    rejects(&with_spec(&digest), "the repository name may not contain an ID");
    rejects(&with_spec("  dockerImageRepository: Foo\n"), "repository name must be lowercase");
}

#[test]
fn i014_the_rows_of_the_table() {
    rejects(
        &with_tag("{name: a, from: {kind: DockerImage}}"),
        "I14 spec.tags[a].from.name: Required value",
    );
    rejects(
        &with_tag(
            "{name: a, from: {kind: ImageStreamTag, name: b}, importPolicy: {scheduled: true}}",
        ),
        "importPolicy.scheduled: Invalid value: true: only tags pointing to Docker repositories may be scheduled",
    );
    for kind in ["", "ImageStream", "dockerimage"] {
        rejects(
            &with_tag(&format!("{{name: a, from: {{kind: '{kind}', name: b}}}}")),
            "from.kind: Required value: valid values are",
        );
    }
    rejects(
        &with_tag("{name: a, referencePolicy: {type: local}}"),
        "referencePolicy.type: Invalid value: \"local\"",
    );
    rejects(
        &with_tag("{name: a, importPolicy: {importMode: All}}"),
        "importPolicy.importMode: Invalid value: \"All\": invalid import mode",
    );
}

#[test]
fn i015_tag_names_are_checked_when_they_are_read() {
    rejects(&with_tag("{name: -a}"), "I15 spec.tags[0].name: Invalid value: \"-a\": invalid tag");
    rejects(&with_tag("{name: a b}"), "I15");
    rejects(&with_tag("{name: null}"), "I15 spec.tags[0].name: Required value");
}

#[test]
fn i016_a_missing_stream_is_a_warning_not_a_rejection() {
    let text = with_tag("{name: a, from: {kind: ImageStreamTag, name: 'other:b'}}");
    let state = assemble(&[("f.yaml", &text)]);
    assert!(state.rejected.is_empty());
    assert_eq!(state.warnings[0].rule, "I16");
    assert!(state.warnings[0].message.contains("`default/other`"), "{}", state.warnings[0].message);
}

/// I1: what is shown is sorted by tag, whatever the order in the manifest.
#[test]
fn i001_tags_are_shown_in_the_order_of_their_names() {
    let mut world = committed("is web b=r.io/web:b a=r.io/web:a B=r.io/web:c");
    world.resolve("r.io/web:b", "a");
    world.resolve("r.io/web:c", "b");
    let stream = shown(&world, "web");
    let spec: Vec<_> = stream.spec.tags.iter().map(|tag| tag.name.as_str()).collect();
    let status: Vec<_> = stream.status.tags.iter().map(|tag| tag.tag.as_str()).collect();
    assert_eq!((spec, status), (vec!["B", "a", "b"], vec!["B", "b"]));
}

/// I3: without an integrated registry the repository is that of the spec.
#[test]
fn i003_the_repository_of_the_status_is_that_of_the_spec() {
    let mut world = World::new();
    let mut files = crate::support::manifest::files("is web\nis plain");
    let text = files.get_mut("shop/is-web.yaml").unwrap();
    *text = text.replace("spec: {}", "spec: {dockerImageRepository: quay.io/team/web}");
    world.commit_files(files);
    assert_eq!(shown(&world, "web").status.docker_image_repository, "quay.io/team/web");
    assert_eq!(shown(&world, "plain").status.docker_image_repository, "");
}

/// I4: where no integrated registry is set, the fields stay empty and the output has a gap there.
#[test]
fn i004_without_an_integrated_registry_there_is_no_repository_to_show() {
    let mut world = committed("is web 1=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    let stream = shown(&world, "web");
    assert_eq!(stream.status.public_docker_image_repository, "");
    let now = world.now.wall;
    let text = tidegate::oc::stream::describe(&stream, now);
    assert!(text.contains("Image Repository:\t<none>\n"), "{text}");
    let table = tidegate::oc::get::streams(&[stream], now);
    assert_eq!(table.rows[0].cells[1], "");
}

/// I5: a tag without items and condition is not in the status; one that failed and never succeeded is.
#[test]
fn i005_a_tag_that_only_failed_is_in_the_status() {
    let mut world = committed("is web none=- waits=r.io/web:1 fails=r.io/web:2");
    world.resolve_fails("r.io/web:2", NotFound, false);
    let stream = shown(&world, "web");
    let status: Vec<_> = stream.status.tags.iter().map(|tag| tag.tag.as_str()).collect();
    assert_eq!(status, ["fails"]);
}

/// I8: a failure replaces the condition before it, a success leaves none.
#[test]
fn i008_a_tag_has_one_condition_or_none() {
    let mut world = committed("is web 1=r.io/web:1");
    let conditions = |world: &World| shown(world, "web").status.tags[0].conditions.clone();
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.nudge("shop/web:1");
    world.resolve_fails("r.io/web:1", InternalError, true);
    let [only] = conditions(&world).try_into().unwrap();
    assert_eq!((only.r#type.as_str(), only.status.as_str()), ("ImportSuccess", "False"));
    assert_eq!(only.reason, "InternalError");
    world.nudge("shop/web:1");
    world.resolve("r.io/web:1", "a");
    assert_eq!(conditions(&world), []);
}

/// I9: the name of an image is the digest of its manifest, its ID that of its config; each layer counts once.
#[tokio::test]
async fn i009_an_image_has_the_id_of_its_config() {
    let Some(bench) = Bench::start() else { return };
    bench.registry.push_image("web", "1", "a").await;
    let kept = bench.ours.metadata(&bench.ask("web:1", None).await.unwrap());
    let docker = &kept["dockerImageMetadata"];
    assert_ne!(docker["Id"], kept["name"]);
    let layer = kept["dockerImageLayers"][0]["size"].as_u64().unwrap();
    let address = format!("http://{}/v2/web/blobs", bench.proxy.address());
    let config = reqwest::get(format!("{address}/{}", docker["Id"].as_str().unwrap()));
    let config = config.await.unwrap().bytes().await.unwrap().len();
    assert_eq!(docker["Size"].as_u64().unwrap(), layer + u64::try_from(config).unwrap());
}

/// I9: an index has its own digest as ID, the time of its import, and neither layers nor size.
#[test]
fn i009_an_index_was_made_when_it_was_imported() {
    let mut world = committed("is web 1=r.io/web:1,preserve");
    world.resolve("r.io/web:1", "a");
    let index = image(&world, "a", KEPT_INDEX);
    let docker = index.docker_image_metadata.unwrap();
    assert_eq!(
        (docker.id, docker.created),
        (index.metadata.name, index.metadata.creation_timestamp)
    );
    assert_eq!(docker.created, Some(api::Time::of(world.now.wall)));
    assert_eq!(
        (docker.size, docker.architecture, index.docker_image_layers.len()),
        (0, String::new(), 0)
    );
}

/// I36, I49: the images of an index are images of its stream, found by the beginning of their digests.
#[test]
fn i036_an_image_of_an_index_is_found_in_its_stream() {
    let mut world = committed("is web 1=r.io/web:1,preserve 2=r.io/web:2");
    world.resolve("r.io/web:1", "a");
    world.resolve("r.io/web:2", "b");
    let stream = shown(&world, "web");
    let index = digest("a").to_string();
    let inside = |image: &str| match image == index {
        true => vec![digest("x").to_string(), digest("b").to_string()],
        false => vec![],
    };
    let find = |id: &str| api::view::find_image(&stream, id, inside);
    let id = digest("x").to_string();
    let image = api::view::stream_image(&stream, &find(&id[7..17]).unwrap(), None).image;
    assert_eq!(image.docker_image_reference, format!("r.io/web@{id}"));
    let twice = digest("b").to_string();
    assert_eq!(find(&twice).unwrap().image, twice, "one image that is reached twice");
    let several = find("sha256:").unwrap_err().to_string();
    assert!(several.starts_with("multiple images match the prefix \"sha256:\": "), "{several}");
    assert_eq!(several.matches("sha256:").count(), 4);
}

/// I49: they are images of their own, named after the index's place.
#[test]
fn i049_the_images_of_an_index_are_images_of_their_own() {
    let mut world = committed("is web 1=r.io/web:1,preserve");
    world.resolve("r.io/web:1", "a");
    let kept = r#"{"dockerImageManifests": [{"digest": "sha256:s"}],
        "images": [{"name": "sha256:s", "dockerImageMetadata": {"Architecture": "arm64"}}]}"#;
    let first = effective::images(world.engine.observed());
    let [image] =
        effective::images_of_index(&first[&digest("a")], kept.as_bytes()).try_into().unwrap();
    assert_eq!(
        (image.metadata.name.as_str(), image.docker_image_reference.as_str()),
        ("sha256:s", "r.io/web@sha256:s")
    );
    assert_eq!(image.docker_image_metadata.unwrap().architecture, "arm64");
}

/// I10: layers stand with the oldest first, and an annotation says so.
#[test]
fn i010_the_order_of_layers_is_annotated() {
    let mut world = committed("is web 1=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    let order = &image(&world, "a", KEPT).metadata.annotations;
    assert_eq!(order["image.openshift.io/dockerLayersOrder"], "ascending");
}

/// I11: an image keeps the reference of its first import, whatever streams call it later.
#[test]
fn i011_an_image_keeps_its_first_reference() {
    let mut world = committed("is web 1=r.io/web:1");
    world.resolve("r.io/web:1", "a");
    world.advance(60);
    world.commit("is web 1=r.io/web:1\nis top 1=q.io/top:1");
    world.resolve("q.io/top:1", "a");
    let reference = format!("r.io/web@{}", digest("a"));
    assert_eq!(image(&world, "a", KEPT).docker_image_reference, reference);
    assert_eq!(world.tag("shop/top:1"), "#a q.io/top@#a @2; spec @2");
}

/// I17: every item of a history has a reference that can be read.
#[test]
fn i017_every_item_has_a_reference() {
    let pin = digest("a").to_string();
    let mut world = committed("is web 1=docker.io/web:1 2=r.io/a/b/c:2,reference 3=tag:1");
    world.resolve("docker.io/web:1", "a");
    world.commit(&format!(
        "is web 1=docker.io/web:1 2=r.io/a/b/c:2,reference 3=tag:1 4=image:web@{pin}"
    ));
    let stream = shown(&world, "web");
    let items = stream.status.tags.iter().flat_map(|tag| &tag.items);
    let references: Vec<_> = items.map(|item| item.docker_image_reference.as_str()).collect();
    assert_eq!(references.len(), 4);
    for reference in references {
        let read: ImageReference = reference.parse().unwrap();
        assert!(!read.is_registry_only(), "{reference}");
    }
}

/// I19: a request to import is no manifest: what it asks for is written in the stream.
#[test]
fn i019_a_request_in_git_asks_for_nothing() {
    let text = "apiVersion: image.openshift.io/v1\nkind: ImageStreamImport\nmetadata: {name: web}\nspec: {import: true, images: [{from: {kind: DockerImage, name: web}}]}\n";
    assert!(matches!(read(text).entries[..], [Entry::Companion(_)]), "{}", found(&read(text)));
    rejects(&with_spec("  dockerImageRepository: web:1\n"), "may not contain a tag");
}

/// I20: a view is no manifest either: a tag is changed in its stream.
#[test]
fn i020_a_view_of_a_tag_in_git_changes_nothing() {
    let stream = with_tag("{name: a, from: {kind: DockerImage, name: x}}");
    let view = "apiVersion: image.openshift.io/v1\nkind: ImageStreamTag\nmetadata: {name: 'web:a'}\ntag: {name: a, from: {kind: DockerImage, name: y}}\n";
    let state = assemble(&[("stream.yaml", &stream), ("view.yaml", view)]);
    let tag = state.streams.values().next().unwrap().tags.values().next().unwrap();
    let from = tag.from.clone().unwrap();
    assert_eq!(from, tidegate::desired::TagSource::Registry(Arc::new("x".parse().unwrap())));
}
