//! Builds as they are shown: what records stand for, and how `oc` lays it out (rules B8, B9, B24, B28 to B31, C2, C3, C7,
//! C8, S3).

use std::collections::BTreeMap;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tidegate::action::{BuildEnded, BuildOrder, BuildReport, Request, ResolvedImage};
use tidegate::effective::Known;
use tidegate::effective::building::Building;
use tidegate::fact::{
    BinaryInput, BuildEnd, BuildOptions, BuildStage, SourceRevision, WebhookKind,
};
use tidegate::names::{ContentHash, ObjectKey};
use tidegate::oc::build::{Described, builds};
use tidegate::oc::table::Shape;
use tidegate::oc::workload::build_configs;
use tidegate::oc::yaml;
use tidegate::policy::Policy;

use crate::support::builds::{ended, pushed};
use crate::support::engine::World;
use crate::support::manifest;
use crate::support::story::digest;

const STREAMS: &str = "is httpd 2.4=r.io/httpd:2.4\nis web2 push=r.io/team/web2";

/// The BuildConfig of the founding story with everything that is described.
const WEB2: &str = "apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata:
  name: web2
  namespace: shop
  labels: {app: web2}
  annotations: {description: The shop front}
spec:
  runPolicy: SerialLatestOnly
  completionDeadlineSeconds: 600
  failedBuildsHistoryLimit: 2
  source:
    git: {uri: 'https://git.example.com/web.git', ref: main}
    contextDir: site
    sourceSecret: {name: git-login}
    secrets: [{secret: {name: npmrc}, destinationDir: etc}]
    images:
    - from: {kind: ImageStreamTag, name: 'httpd:2.4'}
      paths: [{sourcePath: /usr/share/icons/., destinationDir: icons}]
  strategy:
    sourceStrategy:
      from: {kind: ImageStreamTag, name: 'httpd:2.4'}
      env: [{name: MODE, value: fast}]
  output:
    to: {kind: ImageStreamTag, name: 'web2:latest'}
  postCommit: {script: make check}
  triggers:
  - {type: ConfigChange}
  - {type: ImageChange, imageChange: {lastTriggeredImageID: 'from-a-cluster'}}
  - {type: GitHub, github: {secret: hunter2}}
  - {type: Generic, generic: {secret: hunter2, allowEnv: true}}
";

fn key() -> ObjectKey {
    "BuildConfig/shop/web2".parse().unwrap()
}

/// A world that builds `web2-1`.
fn building() -> World {
    let mut files: BTreeMap<String, String> = manifest::files(STREAMS);
    files.insert("shop/web2.yaml".into(), WEB2.into());
    let policy = Policy { builds_enabled: true, ..World::policy() };
    let mut world = World::with(policy);
    world.commit_files(files);
    world.resolve("r.io/httpd:2.4", "a");
    world
}

fn shown<T>(world: &World, what: impl FnOnce(Building<'_>) -> T) -> T {
    let policy = Policy { builds_enabled: true, ..World::policy() };
    let (desired, observed) = (world.engine.desired(), world.engine.observed());
    let kept = world.all_stored();
    let known = Known { desired, observed, policy: &policy };
    what(Building { known, kept: &|hash| Some(kept.get(hash)?.to_vec()) })
}

fn all(world: &World) -> Vec<Value> {
    shown(world, |building| building.builds(&key()))
}

fn last(world: &World) -> Value {
    all(world).pop().unwrap()
}

fn config(world: &World) -> Value {
    shown(world, |building| building.config(&key()).unwrap())
}

fn start(world: &mut World, options: BuildOptions) -> String {
    let order = BuildOrder { object: key(), webhook: None, options, again: None };
    world.ask(Request::StartBuild(Box::new(order)))
}

/// A build of a commit that took a minute and a half.
fn built(world: &mut World, name: &str, image: &str) {
    let started = world.now.wall;
    let at = |seconds| started.after(Duration::from_secs(seconds));
    world.advance(92);
    let stage = |name: &str, from, took: u64| BuildStage {
        name: name.into(),
        at: at(from),
        took: took * 1000,
    };
    let revision = SourceRevision {
        commit: "1234567890123456789012345678901234567890".into(),
        author: "Ann <ann@example.com>".into(),
        committer: "Ben <ben@example.com>".into(),
        date: String::new(),
        message: "icons".into(),
    };
    let metadata = ContentHash::of(image.as_bytes());
    world.built(
        name,
        BuildReport::Ended(Box::new(BuildEnded {
            image: Some(ResolvedImage { digest: digest(image), metadata }),
            revision: Some(revision),
            stages: vec![stage("FetchInputs", 0, 3), stage("PushImage", 80, 12)],
            ..BuildEnded::new(BuildEnd::Complete, "", "")
        })),
    );
}

fn failed(world: &mut World, name: &str) {
    world.advance(5);
    world.built(
        name,
        BuildReport::Ended(Box::new(BuildEnded {
            log: "compiling\nerror: no such file".into(),
            ..BuildEnded::new(
                BuildEnd::Failed,
                "GenericBuildFailed",
                "Generic Build failure - check logs for details.",
            )
        })),
    );
}

/// What is described of the last build, or of the BuildConfig.
fn described(world: &World, of_build: bool) -> String {
    let (builds, object) = (all(world), if of_build { last(world) } else { config(world) });
    let events = shown(world, |building| {
        let state = &world.engine.observed().builds[&key()];
        building.events(state.builds.last().unwrap())
    });
    let held = ["build web2-9 waits".to_owned()];
    let described = Described {
        object: &object,
        builds: &builds,
        events: &events,
        held: if of_build { &[] } else { &held },
        push: Some("r.io/team/web2:latest"),
        hooks: "http://127.0.0.1:8080",
        delivery: Some("ignored at 2026-01-01T00:00:00Z: another branch"),
        now: world.now.wall,
    };
    if of_build { described.build() } else { described.config() }
}

/// Four builds: one that succeeded, one that failed, one that runs and one that waits.
fn four() -> World {
    let mut world = building();
    built(&mut world, "web2-1", "x");
    world.advance(60);
    start(&mut world, BuildOptions::default());
    failed(&mut world, "web2-2");
    world.advance(60);
    start(&mut world, BuildOptions::default());
    world.advance(30);
    start(&mut world, BuildOptions::default());
    world
}

#[test]
fn c002_a_build_config_says_how_it_is_built_and_which_was_the_last() {
    let world = four();
    let table = build_configs(&[config(&world)]).to_text(Shape::default());
    assert_eq!(table, "NAME   TYPE     FROM       LATEST\nweb2   Source   Git@main   4\n");
}

/// C2: what a build is made of, in a word.
#[test]
fn c002_each_source_has_its_word() {
    let git = json!({"uri": "https://h/x"});
    let hash = "1234567890123456789012345678901234567890";
    for (source, from) in [
        (json!({"git": git}), "Git"),
        (json!({"git": {"uri": "https://h/x", "ref": hash}}), "Git@1234567"),
        (
            json!({"git": {"uri": "https://h/x", "ref": "feature/of-twenty-signs"}}),
            "Git@feature/of-twenty-signs",
        ),
        (json!({"dockerfile": "FROM x"}), "Dockerfile"),
        (json!({"git": git, "dockerfile": "FROM x"}), "Dockerfile,Git"),
        (json!({"binary": {}}), "Binary"),
        (json!({"images": [{"from": {"kind": "DockerImage", "name": "x"}}]}), "Image"),
    ] {
        let object = json!({
            "metadata": {"name": "web"},
            "spec": {"source": source, "strategy": {"type": "Docker"}},
        });
        let table = build_configs(&[object]).to_text(Shape::default());
        let words: Vec<&str> = table.lines().last().unwrap().split_whitespace().collect();
        assert_eq!(words, ["web", "Docker", from, "0"]);
    }
}

#[test]
fn c003_builds_are_listed_in_the_order_in_which_they_were_created() {
    let world = four();
    let table = builds(&all(&world), world.now.wall).to_text(Shape::default());
    assert_snapshot!("builds", table);
}

/// DBT 0.4.3: what a cluster wrote into the manifest is not read; what the journal knows is shown.
#[test]
fn b008_what_triggers_saw_is_in_the_status_of_the_build_config() {
    let mut world = building();
    let status = |world: &World| config(world)["status"].clone();
    let seen = json!([{
        "from": {"name": "httpd:2.4", "namespace": "shop"},
        "lastTriggerTime": null,
        "lastTriggeredImageID": format!("r.io/httpd@{}", digest("a")),
    }]);
    assert_eq!(status(&world), json!({"imageChangeTriggers": seen, "lastVersion": 1}));
    built(&mut world, "web2-1", "x");
    world.advance(60);
    world.nudge("shop/httpd:2.4");
    world.resolve("r.io/httpd:2.4", "b");
    let now = status(&world);
    assert_eq!(now["lastVersion"], 2);
    let image = format!("r.io/httpd@{}", digest("b"));
    let seen = &now["imageChangeTriggers"][0];
    assert_eq!(seen["lastTriggeredImageID"], image);
    assert_eq!(seen["lastTriggerTime"], "2026-01-01T00:02:32Z");
    // A build by hand sees it too, and is not caused by it.
    world.advance(60);
    start(&mut world, BuildOptions::default());
    assert_eq!(status(&world)["lastVersion"], 3);
    assert_eq!(status(&world)["imageChangeTriggers"], now["imageChangeTriggers"]);
    assert!(!config(&world).to_string().contains("from-a-cluster"));
}

/// B19, B24, law 10: nobody is told the secret of a webhook.
#[test]
fn b024_the_secret_of_a_webhook_is_not_shown() {
    let mut world = building();
    assert!(!config(&world).to_string().contains("hunter2"));
    assert_eq!(config(&world)["spec"]["triggers"][2]["github"]["secret"], "<secret>");
    let revision = SourceRevision { commit: "abc".into(), ..SourceRevision::default() };
    let order = BuildOrder {
        object: key(),
        webhook: Some((WebhookKind::GitHub, Some(revision))),
        options: BuildOptions { commit: Some("abc".into()), ..BuildOptions::default() },
        again: None,
    };
    assert_eq!(world.ask(Request::StartBuild(Box::new(order))), "started web2-2");
    let cause = json!({
        "message": "GitHub WebHook",
        "githubWebHook": {
            "revision": {"git": {"commit": "abc"}, "type": "Git"},
            "secret": "<secret>",
        },
    });
    assert_eq!(last(&world)["spec"]["triggeredBy"], json!([cause]));
    assert_eq!(last(&world)["spec"]["revision"]["git"]["commit"], "abc");
}

/// B4, B9: the whole object.
#[test]
fn b004_b009_a_build_has_labels_annotations_and_images_by_digest() {
    let mut world = building();
    built(&mut world, "web2-1", "x");
    assert_snapshot!("build-yaml", yaml::document(&last(&world)));
}

/// B10, B37: what is asked beside the manifest is in the build, and a binary takes the place of git.
#[test]
fn b010_what_is_asked_beside_the_manifest_is_in_the_build() {
    let mut world = building();
    let content = ContentHash::of(b"archive");
    start(
        &mut world,
        BuildOptions {
            env: vec![("MODE".into(), "slow".into()), ("MORE".into(), "1".into())],
            incremental: Some(true),
            binary: Some(BinaryInput { content, as_file: Some("app.jar".into()) }),
            ..BuildOptions::default()
        },
    );
    let spec = last(&world)["spec"].clone();
    let env = json!([{"name": "MODE", "value": "slow"}, {"name": "MORE", "value": "1"}]);
    assert_eq!(spec["strategy"]["sourceStrategy"]["env"], env);
    assert_eq!(spec["strategy"]["sourceStrategy"]["incremental"], true);
    assert_eq!(spec["source"]["binary"], json!({"asFile": "app.jar"}));
    assert_eq!((&spec["source"]["git"], &spec["source"]["type"]), (&Value::Null, &json!("Binary")));
}

/// B28, B29: a build that cannot start says why in its status.
#[test]
fn b028_a_build_that_waits_for_its_output_says_so() {
    let mut world = building();
    built(&mut world, "web2-1", "x");
    let mut files = world.files().clone();
    files.retain(|path, _| !path.contains("is-web2"));
    let has_gone =
        !files.values().any(|text| text.contains("kind: ImageStream\nmetadata:\n  name: web2"));
    assert!(has_gone, "{:?}", world.files().keys());
    world.commit_files(files);
    start(&mut world, BuildOptions::default());
    let status = last(&world)["status"].clone();
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("New"), &json!("InvalidOutputReference"))
    );
    let message = status["message"].as_str().unwrap();
    assert!(message.starts_with("Output image could not be resolved: git has no imagestream"));
    let table = builds(&[last(&world)], world.now.wall).to_text(Shape::default());
    assert!(table.contains("New (InvalidOutputReference)"), "{table}");
}

/// B29, B31: how it ended, in words, and the end of its log.
#[test]
fn b029_b031_a_build_that_failed_says_why_and_shows_its_last_lines() {
    let mut world = building();
    failed(&mut world, "web2-1");
    let status = last(&world)["status"].clone();
    assert_eq!(
        (&status["phase"], &status["reason"]),
        (&json!("Failed"), &json!("GenericBuildFailed"))
    );
    assert_eq!(status["message"], "Generic Build failure - check logs for details.");
    assert_eq!(status["logSnippet"], "compiling\nerror: no such file");
    assert_snapshot!("describe-failed", described(&world, true));
}

#[test]
fn b030_the_events_of_a_build_are_openshifts() {
    let end = |report: BuildReport| {
        let mut world = building();
        world.built("web2-1", report);
        let state = &world.engine.observed().builds[&key()];
        let events = shown(&world, |building| building.events(&state.builds[0]));
        let line = |event: &Value| {
            ["reason", "message"].map(|field| event[field].as_str().unwrap().to_owned()).join(" ")
        };
        events.iter().map(line).collect::<Vec<_>>()
    };
    let running = "BuildStarted Build shop/web2-1 is now running";
    let complete = "BuildCompleted Build shop/web2-1 completed successfully";
    assert_eq!(end(pushed("x")), [running, complete]);
    let failed = "BuildFailed Build shop/web2-1 failed";
    assert_eq!(end(ended(BuildEnd::Failed, "DockerBuildFailed")), [running, failed]);
    assert_eq!(end(ended(BuildEnd::Error, "BuildPodDeleted")), [running, failed]);
}

/// B32: what it did, and how long each took.
#[test]
fn b032_c008_a_build_is_described_as_oc_describes_it() {
    let mut world = building();
    built(&mut world, "web2-1", "x");
    assert_snapshot!("describe-build", described(&world, true));
}

/// C8: why there is a build.
#[test]
fn c008_what_caused_a_build_is_told_with_what_is_known_of_it() {
    let because = |world: &World| {
        let text = described(world, true);
        let (_, cause) = text.split_once("\nBuild trigger cause:").unwrap();
        let lines = cause.lines().take_while(|line| !line.is_empty());
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.map(words).collect::<Vec<_>>()
    };
    let mut world = building();
    assert_eq!(because(&world), ["Build configuration change"]);
    built(&mut world, "web2-1", "x");
    start(&mut world, BuildOptions::default());
    assert_eq!(because(&world), ["Manually triggered"]);
    built(&mut world, "web2-2", "x");
    world.nudge("shop/httpd:2.4");
    world.resolve("r.io/httpd:2.4", "b");
    let image = format!("Image ID: r.io/httpd@{}", digest("b"));
    let wanted = ["Image change", &image, "Image Name/Kind: httpd:2.4 / ImageStreamTag"];
    assert_eq!(because(&world), wanted);
    let revision = SourceRevision {
        commit: "1234567890123456789012345678901234567890".into(),
        author: "Ann <ann@example.com>".into(),
        committer: "Ben <ben@example.com>".into(),
        message: "icons".into(),
        ..SourceRevision::default()
    };
    for (kind, revision, wanted) in [
        (
            WebhookKind::GitHub,
            Some(revision),
            &[
                "GitHub WebHook",
                "Commit: 1234567 (icons)",
                "Author/Committer: Ann / Ben",
                "Secret: <secret>",
            ][..],
        ),
        (WebhookKind::Generic, None, &["Generic WebHook", "Secret: <secret>"]),
    ] {
        let options = BuildOptions::default();
        let order =
            BuildOrder { object: key(), webhook: Some((kind, revision)), options, again: None };
        world.ask(Request::StartBuild(Box::new(order)));
        assert_eq!(because(&world), wanted);
    }
    let described = Described {
        object: &json!({"kind": "Build", "metadata": {"name": "web-1"}, "spec": {}, "status": {}}),
        builds: &[],
        events: &[],
        held: &[],
        push: None,
        hooks: "",
        delivery: None,
        now: world.now.wall,
    };
    let text = described.build();
    let cause = text.lines().find_map(|line| line.strip_prefix("Build trigger cause:"));
    assert_eq!(cause.map(str::trim), Some("<unknown>"), "{text}");
}

#[test]
fn b053_c007_a_build_config_is_described_as_oc_describes_it_and_says_where_it_pushes() {
    assert_snapshot!("describe-config", described(&four(), false));
    let never = building();
    let mut object = config(&never);
    object["status"] = json!({"lastVersion": 0});
    object["spec"] =
        json!({"strategy": {"dockerStrategy": {}}, "source": {"dockerfile": "FROM x"}});
    let described = Described {
        object: &object,
        builds: &[],
        events: &[],
        held: &[],
        push: None,
        hooks: "",
        delivery: None,
        now: never.now.wall,
    };
    assert_snapshot!("describe-config-bare", described.config());
}
