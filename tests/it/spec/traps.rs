//! The traps of section 11: what is easily got wrong. Where OpenShift itself falls into one, the test asserts what we do.

use tidegate::effective;
use tidegate::fact::ImportReason::{InternalError, NotFound};
use tidegate::fact::TagEvent;
use tidegate::observed::tag_history::{Effect, TagState};
use tidegate::policy::Policy;

use super::following::noted;
use super::objects::shown;
use crate::adapter::registry::{Bench, Ours, auth_file, quick};
use crate::desired::{rejects, with_tag};
use crate::support::engine::World;
use crate::support::registry::Fault;
use crate::support::start::{APP, WEB, committed, imported, moves, running};
use crate::support::story::digest;

/// The state of `web:latest`.
fn latest(world: &World) -> TagState {
    world.engine.observed().tag(&"shop/web:latest".parse().unwrap()).unwrap().clone()
}

/// What `describe is` prints of `web`.
fn described(world: &World) -> String {
    tidegate::oc::stream::describe(&shown(world, "web"), world.now.wall)
}

/// What `get is` prints of `web`.
fn row(world: &World) -> Vec<String> {
    let mut table = tidegate::oc::get::streams(&[shown(world, "web")], world.now.wall);
    table.rows.remove(0).cells
}

#[test]
fn y001_an_image_that_only_moved_and_a_reference_that_got_another_image_are_no_new_items() {
    let mut world = imported();
    world.commit("is web latest=q.io/web:1,scheduled");
    world.resolve("q.io/web:1", "a");
    assert_eq!(world.tag("shop/web:latest"), "#a q.io/web@#a @4; spec @4");
    let state = latest(&world);
    let event = state.items[0].event.clone();
    assert_eq!(state.effect_of(&TagEvent { image: Some(digest("b")), ..event }), Effect::Rewrite);
}

#[test]
fn y002_an_image_that_comes_back_is_a_third_item() {
    let mut world = imported();
    moves(&mut world, "b");
    moves(&mut world, "a");
    let images: Vec<_> = latest(&world).items.iter().map(|item| item.event.image).collect();
    assert_eq!(images, [digest("a"), digest("b"), digest("a")].map(Some));
}

#[test]
fn y003_the_age_of_a_tag_is_that_of_its_image_there() {
    let mut world = imported();
    world.advance(7200);
    world.resolve("r.io/web:1", "a");
    world.commit("is web latest=r.io/web:2,scheduled");
    world.resolve("r.io/web:2", "a");
    assert_eq!(row(&world)[3], "2 hours ago");
}

#[test]
fn y004_the_last_good_image_stays_marked_behind_a_failure() {
    let mut world = imported();
    world.nudge("shop/web:latest");
    world.resolve_fails("r.io/web:1", NotFound, false);
    let text = described(&world);
    let wanted = format!(
        "  ! error: Import failed (NotFound): r.io/web:1 failed\n      Less than a second ago\n  * r.io/web@{}\n",
        digest("a")
    );
    assert!(text.contains(&wanted), "{text}");
}

#[test]
fn y005_a_tag_that_failed_is_not_importing() {
    let mut world = committed("is web latest=r.io/web:1");
    assert!(described(&world).contains("~ importing latest image ..."));
    world.resolve_fails("r.io/web:1", NotFound, false);
    assert_eq!(world.tag("shop/web:latest"), "NotFound @2; spec @2");
    assert!(!described(&world).contains("importing"));
}

#[test]
fn y006_recovery_is_no_news_for_those_who_follow() {
    let mut world = running();
    world.nudge("shop/web:latest");
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.records();
    world.nudge("shop/web:latest");
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.records(), "TagImported web:latest #a @4 registry");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @4; spec @4");
    assert_eq!(world.pending(), "");
}

#[test]
fn y007_a_failure_is_written_again_for_another_generation_only() {
    let mut world = committed(WEB);
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.records();
    world.nudge("shop/web:latest");
    world.resolve_fails("r.io/web:1", NotFound, false);
    assert_eq!(world.records(), "");
    world.commit("is web latest=r.io/web:1,scheduled,preserve");
    world.records();
    world.resolve_fails("r.io/web:1", NotFound, false);
    assert_eq!(world.records(), "ImportFailed web:latest NotFound @4: r.io/web:1 failed");
}

#[test]
fn y008_success_is_the_absence_of_a_condition() {
    let mut world = imported();
    assert_eq!(shown(&world, "web").status.tags[0].conditions, []);
    world.nudge("shop/web:latest");
    world.resolve_fails("r.io/web:1", NotFound, false);
    assert_eq!(shown(&world, "web").status.tags[0].conditions.len(), 1);
}

#[test]
fn y009_a_failed_tag_without_a_schedule_is_tried_again() {
    let mut world = committed("is web latest=r.io/web:1");
    world.resolve_fails("r.io/web:1", NotFound, false);
    world.advance(1000);
    assert_eq!(world.pending(), "resolve r.io/web:1");
}

#[test]
fn y010_where_a_tag_comes_from_counts_as_a_change_and_how_it_is_asked_does_not() {
    let becomes = |after: &str| {
        let mut world = committed("is web x=tag:base:1 raw=r.io/web:1 base=-\nis base 1=-");
        world.records();
        world.commit(&format!("is web {after} base=-\nis base 1=-"));
        let records = world.records();
        records.split(['(', ')']).nth(1).unwrap_or_default().to_owned()
    };
    let base = "x=tag:base:1";
    assert_eq!(becomes(&format!("{base} raw=r.io/web:1,scheduled,insecure")), "");
    assert_eq!(becomes(&format!("{base} raw=r.io/web:1,preserve")), "raw");
    assert_eq!(becomes(&format!("{base} raw=r.io/web:2")), "raw");
    assert_eq!(becomes(&format!("{base} raw=r.io/web:1,reference")), "raw");
    assert_eq!(becomes("x=image:base@1 raw=r.io/web:1"), "x");
    let mut world = committed("is web x=tag:base:1");
    let files = world.files().clone().into_iter();
    let other = |text: String| text.replace("name: 'base:1'", "name: 'base:1', namespace: other");
    world.records();
    world.commit_files(files.map(|(path, text)| (path, other(text))).collect());
    assert_eq!(world.records().lines().next(), Some("CommitAdopted ~web@2(x)"));
}

/// The files of the head, with `generation: 0` at the tag, which stands for "import again now".
fn import_now(world: &World) -> std::collections::BTreeMap<String, String> {
    let now = |text: &String| text.replace("    reference:", "    generation: 0\n    reference:");
    world.files().iter().map(|(path, text)| (path.clone(), now(text))).collect()
}

#[test]
fn y011_generation_0_imports_once_for_the_commit_that_writes_it() {
    let mut world = imported();
    let again = import_now(&world);
    world.commit_files(again.clone());
    assert_eq!(world.records(), "CommitAdopted ~web@3(latest)");
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.records(), "TagImported web:latest #a @4 registry");
    world.read();
    world.restart();
    let mut more = again;
    more.insert("shop/readme.yaml".into(), "kind: ConfigMap\napiVersion: v1\n".into());
    world.commit_files(more);
    assert_eq!((world.records().as_str(), world.pending().as_str()), ("CommitAdopted", ""));
}

#[test]
fn y011_any_other_generation_in_a_manifest_is_ignored() {
    let mut world = imported();
    let mut files = import_now(&world);
    for text in files.values_mut() {
        *text = text.replace("generation: 0", "generation: 7");
    }
    world.commit_files(files);
    assert_eq!(world.records(), "CommitAdopted");
}

#[test]
fn y015_aliases_follow_across_streams_and_in_chains() {
    let mut world = committed(&format!("{WEB}\nis mid x=tag:web:latest\nis top x=tag:mid:x"));
    world.resolve("r.io/web:1", "a");
    moves(&mut world, "b");
    assert!(world.tag("shop/top:x").starts_with("#b "));
}

#[test]
fn y016_a_tag_that_left_the_manifest_keeps_its_dependents_running() {
    let mut world = running();
    world.commit("is web\ndc app app<web:latest");
    assert_eq!(world.records(), "CommitAdopted ~web@3()-latest");
    assert_eq!((world.held().as_str(), world.pending().as_str()), ("", ""));
    assert!(described(&world).contains("latest\n  no spec tag\n"));
}

#[test]
fn y017_an_index_gives_the_image_of_the_platform_that_is_set() {
    let pinned = format!("r.io/web@{}", digest("x"));
    let mut world = committed(&format!("is web latest={pinned}"));
    assert_eq!(world.checks()[0].platform, Policy::default().platform);
    world.resolve(&pinned, "x/a");
    assert_eq!(world.tag("shop/web:latest"), "#a r.io/web@#a @2; spec @2");
}

#[test]
fn y018_an_index_that_is_kept_whole_is_new_with_each_of_its_images() {
    let mut world = committed(&APP.replace("scheduled", "scheduled,preserve"));
    world.resolve("r.io/web:1", "x");
    world.complete("app");
    world.records();
    moves(&mut world, "y");
    assert!(world.records().contains("RolloutStarted app 2"));
}

#[test]
fn y021_another_spelling_of_the_same_place_rewrites_the_reference() {
    let mut world = committed("is web latest=docker.io/python:3");
    world.resolve("docker.io/python:3", "a");
    world.commit("is web latest=docker.io/library/python:3");
    world.resolve("docker.io/library/python:3", "a");
    assert_eq!(world.tag("shop/web:latest"), "#a docker.io/library/python@#a @4; spec @4");
}

#[test]
fn y022_a_name_with_a_dot_and_without_a_slash_is_a_registry() {
    let image: tidegate::reference::ImageReference = "my.image:1.0".parse().unwrap();
    assert_eq!(image.registry.as_deref(), Some("my.image:1.0"));
    rejects(
        &with_tag("{name: a, from: {kind: DockerImage, name: my.image}}"),
        "must name a repository, not only a registry",
    );
}

#[test]
fn y023_messages_spell_a_reference_out_and_items_do_not() {
    let image: tidegate::reference::ImageReference = "docker.io/python:3.6".parse().unwrap();
    assert_eq!(image.normalized(), "docker.io/library/python:3.6");
    assert_eq!(image.with_digest(&digest("a")), format!("docker.io/python@{}", digest("a")));
}

#[test]
fn y024_each_list_of_tags_has_its_own_order() {
    let mut world = committed("is web 1.0=r.io/web:1 2.0=r.io/web:2 latest=r.io/web:3");
    for (tag, image) in [("2", "a"), ("3", "b"), ("1", "c")] {
        world.resolve(&format!("r.io/web:{tag}"), image);
        world.advance(60);
    }
    assert_eq!(row(&world)[2], "1.0,latest,2.0", "the newest first");
    let text = described(&world);
    let is_heading = |line: &&str| !line.is_empty() && !line.contains([' ', '\t', ':']);
    let sections: Vec<_> = text.lines().filter(is_heading).collect();
    assert_eq!(sections, ["latest", "2.0", "1.0"], "the highest version first");
    let stored = shown(&world, "web").status.tags;
    assert_eq!(
        stored.iter().map(|tag| tag.tag.as_str()).collect::<Vec<_>>(),
        ["1.0", "2.0", "latest"]
    );
}

#[test]
fn y025_an_alias_counts_as_a_tag_and_has_no_section() {
    let mut world = committed(&format!("{WEB} same=tag:latest"));
    world.resolve("r.io/web:1", "a");
    let text = described(&world);
    assert!(text.contains("Tags:\t\t\t2\n\nlatest (same)\n"), "{text}");
    assert!(!text.contains("\nsame\n"), "{text}");
}

#[test]
fn y026_unique_images_counts_old_items_and_all_without_an_image_once() {
    let mut world = committed(&format!("{WEB} one=r.io/one:1,reference two=r.io/two:1,reference"));
    world.resolve("r.io/web:1", "a");
    moves(&mut world, "b");
    assert!(described(&world).contains("Unique Images:\t\t3\nTags:\t\t\t3\n"));
}

#[test]
fn y028_what_waits_for_room_is_asked_as_soon_as_there_is_some() {
    let policy = Policy { checks_in_flight_max: 1, ..World::policy() };
    let mut world = World::with(policy);
    world.commit("is web a=r.io/web:1 b=r.io/web:2\nis other a=q.io/web:1");
    assert_eq!(world.pending(), "resolve q.io/web:1\nresolve r.io/web:1", "one at each registry");
    world.resolve("r.io/web:1", "a");
    assert_eq!(world.pending(), "resolve q.io/web:1\nresolve r.io/web:2", "without a wait");
}

#[test]
fn y029_what_an_import_writes_puts_off_no_check() {
    let mut world = imported();
    world.advance(1000);
    world.resolve("r.io/web:1", "b");
    world.advance(899);
    assert_eq!(world.pending(), "");
    world.advance(91);
    assert_eq!(world.pending(), "resolve r.io/web:1 known #b");
}

#[test]
fn y030_a_digest_is_not_checked_any_more_once_it_is_there() {
    let image = format!("r.io/web@{}", digest("a"));
    let mut world = committed(&format!("is web latest={image},scheduled"));
    world.resolve(&image, "a");
    world.advance(100_000);
    assert_eq!(world.pending(), "");
}

/// Asks for a login for each request that brings one, if it is wrong, and for all below `closed/`.
fn guard(bench: &Bench) {
    bench.proxy.break_with(|seen| {
        let ask = vec![("WWW-Authenticate", "Basic realm=\"x\"".to_owned())];
        let refused = seen.authorization.is_some() || seen.path.contains("/closed/");
        refused.then(|| Fault::Answer(401, ask, String::new()))
    });
}

#[tokio::test]
async fn y031_a_wrong_login_closes_no_public_image() {
    let Some(bench) = Bench::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    bench.registry.push_image("open", "1", "a").await;
    guard(&bench);
    let auth = auth_file(&dir, &bench.proxy.address(), "anna:wrong");
    let ours =
        Ours::new(tidegate::world::registry::RegistryConfig { auth_files: vec![auth], ..quick() });
    let closed = ours.ask(bench.check("closed:1"), None).await.unwrap_err();
    assert!(closed.message.starts_with("you may not have access"), "{closed:?}");
    assert!(!closed.message.contains("did not have credentials"), "the first refusal is told");
    ours.ask(bench.check("open:1"), None).await.unwrap();
}

#[tokio::test]
async fn y032_a_login_for_another_port_is_none() {
    let Some(bench) = Bench::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    bench.proxy.break_with(|_| {
        let ask = vec![("WWW-Authenticate", "Basic realm=\"x\"".to_owned())];
        Some(Fault::Answer(401, ask, String::new()))
    });
    let auth = auth_file(&dir, "127.0.0.1", "anna:right");
    let ours =
        Ours::new(tidegate::world::registry::RegistryConfig { auth_files: vec![auth], ..quick() });
    let failure = ours.ask(bench.check("web:1"), None).await.unwrap_err();
    assert!(failure.message.ends_with("did not have credentials to the repository"), "{failure:?}");
}

#[test]
fn y033_the_insecure_flag_is_that_of_each_tag() {
    let world = committed("is web a=r.io/web:1,insecure b=r.io/web:1 c=r.io/web:2");
    let mut asked: Vec<_> =
        world.checks().into_iter().map(|check| (check.image.to_string(), check.insecure)).collect();
    asked.sort();
    let wanted = [("r.io/web:1", false), ("r.io/web:1", true), ("r.io/web:2", false)];
    assert_eq!(asked, wanted.map(|(image, insecure)| (image.to_owned(), insecure)));
}

#[test]
fn y037_ages_of_a_clock_that_is_behind_and_around_an_hour() {
    let mut world = imported();
    let imported_at = world.now.wall;
    for (seconds, words) in [
        (59 * 60 + 59, "59 minutes ago"),
        (60 * 60, "About an hour ago"),
        (90 * 60 - 1, "About an hour ago"),
        (90 * 60, "2 hours ago"),
    ] {
        world.now.wall = imported_at.after(std::time::Duration::from_secs(seconds));
        assert_eq!(row(&world)[3], words);
    }
    world.now.wall = "2025-12-31T23:00:00Z".parse().unwrap();
    assert_eq!(row(&world)[3], "Less than a second ago");
}

#[test]
fn y038_a_failure_is_as_old_as_the_first_of_its_kind() {
    let mut world = committed(WEB);
    let first = world.now.wall;
    for _ in 0..3 {
        world.resolve_fails("r.io/web:1", NotFound, false);
        world.advance(1000);
    }
    assert_eq!(latest(&world).condition.unwrap().since, first);
    let second = world.now.wall;
    world.resolve_fails("r.io/web:1", InternalError, true);
    assert_eq!(latest(&world).condition.unwrap().since, second, "another kind");
}

#[test]
fn y039_an_import_without_change_is_not_noted() {
    let mut world = imported();
    let before = noted(&world);
    world.advance(1000);
    world.resolve("r.io/web:1", "a");
    assert_eq!((noted(&world), world.records().as_str()), (before, ""));
}

#[test]
fn y040_an_alias_has_the_time_of_its_source_and_a_pin_its_own() {
    let mut world = imported();
    let imported_at = latest(&world).items[0].event.created;
    world.advance(60);
    world.commit(&format!("{WEB} same=tag:latest pin=image:web@{}", digest("a")));
    let created = |tag: &str| {
        let state = world.engine.observed().tag(&tag.parse().unwrap()).unwrap();
        state.items[0].event.created
    };
    assert_eq!(created("shop/web:same"), imported_at);
    assert_eq!(created("shop/web:pin"), world.now.wall);
}

#[test]
fn y041_an_image_that_comes_from_two_registries_is_one_image() {
    let mut world = committed(&format!("{WEB}\nis top latest=q.io/web:1"));
    world.resolve("r.io/web:1", "a");
    world.resolve("q.io/web:1", "a");
    assert_eq!(effective::images(world.engine.observed()).len(), 1);
}

#[test]
fn y042_a_tag_that_stands_twice_rejects_its_stream_and_no_other() {
    let mut world = imported();
    let mut files = world.files().clone();
    let text = files.get_mut("shop/is-web.yaml").unwrap();
    text.push_str("  - {name: latest}\n");
    files.extend(crate::support::manifest::files("is other"));
    world.commit_files(files);
    assert_eq!(world.records(), "CommitAdopted +other#1 ~other@1() !web:kept");
}
