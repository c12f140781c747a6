//! What `status` and `diff` say of builds (rules C11, C18, and the fan-out of T23's chain before it happens).

use insta::assert_snapshot;
use tidegate::action::{BuildOrder, Request};
use tidegate::engine::Engine;
use tidegate::fact::{BuildEnd, BuildOptions, SourceRevision, WebhookKind};
use tidegate::policy::Policy;
use tidegate::report::dry_run::{DryRun, Mode, Subject, simulate};
use tidegate::report::status::{Input, Status};
use tidegate::report::to_json;

use crate::support::builds::{ended, pushed};
use crate::support::engine::{World, source_read};
use crate::support::manifest;

const SHOP: &str = "is base 1=r.io/base:1,scheduled
is app push=r.io/team/app stable=tag:app:latest
is docs push=r.io/team/docs
bc app from=tag:base:1 to=app:latest config watch
bc docs from=tag:app:stable to=docs:latest watch
dc web main<app:latest
dc site main<docs:latest";

fn policy() -> Policy {
    Policy { builds_enabled: true, builds_in_flight_max: 4, ..World::policy() }
}

/// A world in which everything was built and rolled out once.
fn shop() -> World {
    let mut world = World::with(policy());
    world.commit(SHOP);
    world.resolve("r.io/base:1", "a");
    world.built("app-1", pushed("x"));
    world.complete("web");
    world.built("docs-1", pushed("y"));
    world.complete("site");
    world.records();
    world
}

fn start(world: &mut World, name: &str) {
    let object = format!("BuildConfig/shop/{name}").parse().unwrap();
    let order = BuildOrder { object, webhook: None, options: BuildOptions::default(), again: None };
    world.ask(Request::StartBuild(Box::new(order)));
}

fn status(world: &World) -> Status {
    Status::of(&Input {
        repository: None,
        view: world.engine.view(world.now),
        unread: None,
        live: None,
        silent: None,
        select: None,
        project: None,
        past: false,
    })
}

/// The part of a page below a heading.
fn part(text: &str, heading: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    let parts = text.split("\n\n");
    let found = parts.into_iter().find(|part| part.starts_with(heading));
    found.unwrap_or_else(|| panic!("no {heading} in {text}")).to_owned()
}

/// C11, C18: what is built, of what, and how it went last.
#[test]
fn c011_c018_status_says_what_is_built_and_how_it_went() {
    let mut world = shop();
    world.advance(3600);
    start(&mut world, "app");
    world.advance(20);
    start(&mut world, "docs");
    world.advance(60);
    world.built("docs-2", ended(BuildEnd::Failed, "DockerBuildFailed"));
    world.commit(&format!("{SHOP}\nbc new from=tag:base:1 to=nowhere:1"));
    assert_snapshot!("status-builds", part(&status(&world).to_text(), "Builds"));
    let json: serde_json::Value = serde_json::from_str(&to_json(&status(&world))).unwrap();
    assert_eq!(json["builds"][0]["object"], "BuildConfig/shop/app");
    assert_eq!(json["builds"][0]["builds"][0]["phase"], "Running");
}

/// B54: a tag that is imported and pushed to has two makers, and whoever loads the manifests is told.
#[test]
fn b054_an_output_that_is_imported_from_elsewhere_is_warned_of() {
    let of = |tag: &str, push: &str| {
        let mut world = World::with(policy());
        world.commit(&format!(
            "is base 1=r.io/base:1\nis app latest={tag} push={push}\nbc app from=tag:base:1 to=app:latest"
        ));
        world
    };
    let warned = |world: &World| {
        let warnings = &world.engine.desired().warnings;
        let told = warnings.iter().map(|warning| {
            let hint = warning.hint.as_deref().unwrap_or_default();
            format!("{}: [{}] {}\n{hint}", warning.position, warning.rule, warning.message)
        });
        told.collect::<Vec<_>>().join("\n")
    };
    let world = of("r.io/up/app:1,scheduled", "r.io/team/app");
    assert_snapshot!(warned(&world), @r"
    shop/bc-app.yaml:1:1: [B54] `BuildConfig/shop/app` pushes to `shop/app:latest`, which the spec tag at shop/is-app.yaml:1:1 imports from `r.io/up/app:1`: an image that is built is current until the next scheduled import that finds another image there than the one before, which takes its place
    drop `from` of the spec tag `latest`, or push to another tag with `spec.output.to`
    ");
    let line =
        "warning: shop/bc-app.yaml:1:1: `BuildConfig/shop/app` pushes to `shop/app:latest`, which";
    let page = anstream::adapter::strip_str(&status(&world).to_text()).to_string();
    assert!(page.contains(line), "{page}");
    let more = "is base 1=r.io/base:1\nis app latest=r.io/up/app:1 push=r.io/team/app\nbc app from=tag:base:1 to=app:latest";
    let dry = anstream::adapter::strip_str(&dry(&world, more).to_text()).to_string();
    assert!(dry.contains(line) && dry.contains("until the next import that"), "{dry}");
    // Nothing else makes the tag: what is pushed is what the next import finds, or nothing is imported.
    for (tag, push) in [
        ("r.io/team/app:latest,scheduled", "r.io/team/app"),
        ("r.io/up/app:1,reference", "r.io/team/app"),
        ("-", "r.io/team/app"),
        ("tag:base:1", "r.io/team/app"),
    ] {
        assert_eq!(warned(&of(tag, push)), "", "{tag}");
    }
}

/// C11: a build that runs is of a commit that is known where a webhook told it, or somebody asked for it.
#[test]
fn c011_a_build_that_runs_shows_its_commit() {
    let mut world = shop();
    let revision = SourceRevision {
        commit: "abc1234567890123456789012345678901234567".into(),
        author: "Ann".into(),
        message: "icons\n\nand more".into(),
        ..SourceRevision::default()
    };
    let object = "BuildConfig/shop/app".parse().unwrap();
    let webhook = Some((WebhookKind::GitHub, Some(revision)));
    let order = BuildOrder { object, webhook, options: BuildOptions::default(), again: None };
    world.ask(Request::StartBuild(Box::new(order)));
    let object = "BuildConfig/shop/docs".parse().unwrap();
    let options = BuildOptions { commit: Some("feature/icons".into()), ..BuildOptions::default() };
    let order = BuildOrder { object, webhook: None, options, again: None };
    world.ask(Request::StartBuild(Box::new(order)));
    world.advance(20);
    let page = part(&status(&world).to_text(), "Builds");
    let lines: Vec<&str> = page.lines().filter(|line| line.contains("build #2")).collect();
    assert_eq!(lines.len(), 2, "{page}");
    assert!(lines[0].starts_with("    build #2 running for 20 seconds - abc1234: icons"), "{page}");
    assert!(lines[0].ends_with(" (Ann)"), "{page}");
    assert_eq!(lines[1], "    build #2 running for 20 seconds - feature/icons");
}

fn dry(world: &World, objects: &str) -> DryRun {
    let mut engine = Engine::new(policy(), world.engine.observed().clone(), world.now);
    let mut files = std::collections::BTreeMap::new();
    files.insert(world.head, world.files().clone());
    engine.load(&source_read(&files, world.head, None), Vec::new());
    let head = "f".repeat(40).parse().unwrap();
    files.insert(head, manifest::files(objects));
    let read = source_read(&files, head, Some(world.head));
    simulate(engine, read, Subject::Commit, Mode::Offline, &mut |_| Vec::new(), world.now)
}

/// A new BuildConfig would be built, and what it makes reaches others: `diff` says so before it happens.
#[test]
fn t023_diff_says_which_builds_a_commit_would_start_and_what_they_reach() {
    let world = shop();
    let nothing = dry(&world, SHOP);
    assert!(!nothing.to_text().contains("Builds, in order"), "{}", nothing.to_text());
    let more = format!(
        "{SHOP}\nis tool push=r.io/team/tool\nbc tool from=tag:base:1 to=app:latest config\n\
         bc more from=tag:base:1 watch"
    );
    let run = dry(&world, &more);
    assert_snapshot!("diff-builds", part(&run.to_text(), "Builds, in order"));
    assert!(run.to_text().contains("2 builds, "), "{}", run.to_text());
    let json: serde_json::Value = serde_json::from_str(&to_json(&run)).unwrap();
    assert_eq!(json["builds"][1]["object"], "BuildConfig/shop/tool");
    assert_eq!(json["builds"][1]["output"], "shop/app:latest");
}
