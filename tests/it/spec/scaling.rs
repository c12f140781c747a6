//! How many instances of what runs there are (rules D21, D22, D25, R14).

use tidegate::action::{Action, RolloutReport, RolloutVerb, ScaleRequest};
use tidegate::names::ContentHash;

use crate::support::engine::World;
use crate::support::start::{APP, moves};

/// The objects with so many replicas.
fn with(replicas: u32) -> String {
    format!("{APP} replicas={replicas}")
}

fn asked(world: &World) -> Option<ScaleRequest> {
    world.actions.values().find_map(|action| match action {
        Action::Scale(request) => Some((**request).clone()),
        _ => None,
    })
}

fn stepped(rendered: Option<&str>) -> RolloutReport {
    let rendered = rendered.map(|text| ContentHash::of(text.as_bytes()));
    RolloutReport::Stepped { rendered, note: String::new(), down: None }
}

/// The target takes every step of a rollout.
fn completes(world: &mut World) {
    while world.pending().contains("roll out app") {
        let is_pulling = world.pending().contains("Pulling");
        world.report("roll out app", stepped(is_pulling.then_some("one instance")));
    }
}

/// A world whose host runs one instance, with nothing left to show.
fn running() -> World {
    let mut policy = World::policy();
    policy.hosts.insert("none".parse().unwrap());
    let mut world = World::with(policy);
    world.commit(&with(1));
    world.resolve("r.io/web:1", "a");
    completes(&mut world);
    world.records();
    world.told();
    world
}

/// D21, D22: another number starts no rollout; what is going to run is put together and recorded before it is made so.
#[test]
fn d021_d022_another_number_of_replicas_scales_what_runs() {
    let mut world = running();
    world.commit(&with(3));
    assert_eq!(world.records(), "CommitAdopted\nScaleStarted app 1 -> 3");
    let first = asked(&world).unwrap();
    assert_eq!((first.to, first.rendered), (3, None));
    assert_eq!(first.runs, ContentHash::of(b"one instance"));
    world.report("scale app to 3", stepped(Some("three instances")));
    assert_eq!(world.records(), "ScalePrepared app");
    let then = asked(&world).unwrap();
    assert_eq!(then.rendered, Some(ContentHash::of(b"three instances")));
    assert_eq!(then.rollout.key, first.rollout.key, "its revision stays");
    world.report("scale app to 3", stepped(None));
    assert_eq!(world.records(), "ScaleFinished app Complete");
    assert_eq!(world.pending(), "");
    // Then it is so: neither a restart nor time asks again, and a step that goes back finds all three.
    world.restart();
    world.advance(100);
    assert!(!world.records().contains("Scale"));
    moves(&mut world, "b");
    let request = world.actions.values().find_map(|action| match action {
        Action::RollOut(request) => request.step.clone(),
        _ => None,
    });
    let previous = request.unwrap().previous.unwrap();
    assert_eq!(previous.rendered, ContentHash::of(b"three instances"));
}

/// D22: `test` means no instance between rollouts.
#[test]
fn d022_what_is_a_test_runs_in_rollouts_only() {
    let mut world = running();
    world.commit(&format!("{APP} test"));
    assert_eq!(world.records(), "CommitAdopted\nScaleStarted app 1 -> 0");
    world.report("scale app to 0", stepped(Some("")));
    world.report("scale app to 0", stepped(None));
    world.records();
    moves(&mut world, "b");
    completes(&mut world);
    assert!(world.records().ends_with("RolloutFinished app Complete\nScaleStarted app 1 -> 0"));
}

/// D47: who goes back to a revision keeps the number of instances that git says, as `oc rollback` does without
/// `--change-scaling-settings`.
#[test]
fn d047_the_number_of_instances_stays_that_of_git() {
    let mut world = running();
    world.commit(&format!("{} env=2", with(3)));
    completes(&mut world);
    world.records();
    world.rollout("DeploymentConfig/shop/app", RolloutVerb::Undo { to: None });
    completes(&mut world);
    assert!(world.records().ends_with("RolloutFinished app Complete\nScaleStarted app 1 -> 3"));
}

/// D22, D52: after a crash it goes on where it was.
#[test]
fn d022_a_restart_goes_on_with_it() {
    let mut world = running();
    world.commit(&with(2));
    world.report("scale app to 2", stepped(Some("two instances")));
    world.records();
    world.restart();
    let asked = asked(&world).unwrap();
    assert_eq!((asked.to, asked.rendered), (2, Some(ContentHash::of(b"two instances"))));
    assert_eq!(world.records(), "");
    world.report("scale app to 2", stepped(None));
    assert_eq!(world.records(), "ScaleFinished app Complete");
}

/// D22: what was broken off half-way is undone where git goes back to the number before, and what it wrote is known.
#[test]
fn d022_what_was_broken_off_is_undone() {
    let mut world = running();
    world.commit(&with(3));
    world.report("scale app to 3", stepped(Some("three instances")));
    world.commit(&with(1));
    world.report("scale app to 3", RolloutReport::Cancelled);
    let records = world.records();
    assert!(records.ends_with("ScaleFinished app Cancelled\nScaleStarted app 1 -> 1"), "{records}");
    let asked = asked(&world).unwrap();
    assert!(asked.written.contains(&ContentHash::of(b"three instances")), "{asked:?}");
    world.report("scale app to 1", stepped(Some("one instance")));
    world.report("scale app to 1", stepped(None));
    assert!(world.records().ends_with("ScaleFinished app Complete"));
    assert_eq!(world.pending(), "");
}

/// D22: a number that cannot be is a hold with its reason, and is not tried again by itself.
#[test]
fn d022_what_cannot_be_scaled_is_held() {
    let mut world = running();
    world.commit(&with(2));
    let why = "replicas > 1 needs a host port range";
    world
        .report("scale app to 2", RolloutReport::Failed { reason: why.into(), log: String::new() });
    world.records();
    world.advance(10_000);
    assert!(!world.records().contains("Scale"));
    insta::assert_snapshot!(world.held(), @"app: 2 instances are wanted, there were 1, and it could not be made so: replicas > 1 needs a host port range; another number, a rollout or `tidegate release` tries again");
    assert_eq!(world.release("DeploymentConfig/shop/app"), "done");
    assert!(world.records().ends_with("ScaleStarted app 1 -> 2"));
    world
        .report("scale app to 2", RolloutReport::Failed { reason: why.into(), log: String::new() });
    world.commit(&with(1));
    assert_eq!(world.held(), "");
}

/// D16, D22: what is wanted by now ends it.
#[test]
fn d022_another_number_or_a_rollout_ends_it() {
    let mut world = running();
    world.commit(&with(2));
    world.commit(&with(3));
    assert_eq!(world.told(), "cancel scale app to 2");
    world.report("scale app to 2", RolloutReport::Cancelled);
    assert!(world.records().ends_with("ScaleFinished app Cancelled\nScaleStarted app 1 -> 3"));
    moves(&mut world, "b");
    assert_eq!(world.told(), "cancel scale app to 3");
    world.report("scale app to 3", RolloutReport::Cancelled);
    let records = world.records();
    assert!(records.contains("ScaleFinished app Cancelled"), "{records}");
    assert!(records.contains("RolloutStarted app 2"), "{records}");
    completes(&mut world);
    assert!(!world.records().contains("ScaleStarted"), "the rollout brought three");
}

/// D25: what is paused is not scaled.
#[test]
fn d025_what_is_paused_is_not_scaled() {
    let mut world = running();
    world.rollout("DeploymentConfig/shop/app", RolloutVerb::Pause);
    world.records();
    world.commit(&with(2));
    assert_eq!(world.records(), "CommitAdopted");
    world.rollout("DeploymentConfig/shop/app", RolloutVerb::Resume);
    assert!(world.records().ends_with("ScaleStarted app 1 -> 2"));
}
