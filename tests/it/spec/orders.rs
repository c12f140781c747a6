//! What operators order of rollouts (rules D41 to D48).

use tidegate::action::{RolloutReport, RolloutVerb};
use tidegate::fact::Fact;
use tidegate::names::Revision;

use crate::support::engine::World;
use crate::support::start::{APP, WEB, committed, moves, running};

use super::steps;

const DC: &str = "DeploymentConfig/shop/app";

const LATEST: RolloutVerb = RolloutVerb::Latest { again: false };
const AGAIN: RolloutVerb = RolloutVerb::Latest { again: true };
const UNDO: RolloutVerb = RolloutVerb::Undo { to: None };

fn undo_to(revision: u64) -> RolloutVerb {
    RolloutVerb::Undo { to: Some(Revision(revision)) }
}

/// A world in which `app` ran `a` and then `b`.
fn two() -> World {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    world.records();
    world
}

/// D41: `latest` rolls out though nothing changed, as a manual change with the next number.
#[test]
fn d041_latest_rolls_out_what_is_wanted_now() {
    let mut world = running();
    assert_eq!(world.rollout(DC, LATEST), "ordered 2");
    assert_eq!(
        world.records(),
        "RolloutOrdered app latest by ann\nRolloutStarted app 2 (manual change) app=#a"
    );
    world.complete("app");
    world.restart();
    assert_eq!((world.pending().as_str(), world.held().as_str()), ("", ""));
}

/// D41, D18: it resolves triggers that are not automatic, which then keep their image until the next order.
#[test]
fn d041_latest_resolves_triggers_that_are_not_automatic() {
    let mut world = committed(&format!("{WEB}\ndc app app~web:latest"));
    world.resolve("r.io/web:1", "a");
    let waits = "app: waiting on manual update: the trigger on web:latest is not automatic";
    assert!(world.held().starts_with(waits), "{}", world.held());
    world.records();
    assert_eq!(world.rollout(DC, LATEST), "ordered 1");
    assert_eq!(
        world.records(),
        "RolloutOrdered app latest by ann\n\
         TriggerFired app web:latest nothing to #a: rollout 1\n\
         RolloutStarted app 1 (manual change) app=#a"
    );
    world.complete("app");
    moves(&mut world, "b");
    assert_eq!((world.pending().as_str(), world.held().as_str()), ("", ""));
    // a changed template has the image that the order gave, and an order has the newest
    world.commit(&format!("{WEB}\ndc app app~web:latest env=2"));
    assert_eq!(world.pending(), "roll out app 2 app=#a");
    world.complete("app");
    assert_eq!(world.rollout(DC, LATEST), "ordered 3");
    assert_eq!(world.pending(), "roll out app 3 app=#b");
}

/// D41: `--again` has the images of the last rollout.
#[test]
fn d041_again_keeps_the_images() {
    let mut world = committed(&format!("{WEB}\ndc app app<web:latest window=0_0_2_2_*_1m"));
    world.resolve("r.io/web:1", "a");
    world.rollout(DC, LATEST);
    world.complete("app");
    moves(&mut world, "b");
    world.records();
    assert_eq!(world.rollout(DC, AGAIN), "ordered 2");
    assert_eq!(world.pending(), "roll out app 2 app=#a");
    world.complete("app");
    assert!(world.held().contains("outside of its window"), "{}", world.held());
}

/// D41, origin#16728: what is unresolved is named, with why.
#[test]
fn d041_what_is_unresolved_is_named() {
    let mut world = committed("is web latest=r.io/web:1\ndc app app<web:latest side<web:other");
    let answer = world.rollout(DC, LATEST);
    let expected = "refused: cannot trigger a deployment for \"app\" because it contains unresolved images   \
                    web:latest: it has no image yet   web:other: git has no such tag";
    assert_eq!(answer, expected);
}

/// D41: one that runs is not joined by another; a paused object is not rolled out; what git has not is no object.
#[test]
fn d041_latest_is_refused_with_its_reason() {
    let mut world = running();
    moves(&mut world, "b");
    assert_eq!(world.rollout(DC, LATEST), "refused: #2 is already in progress (Running).");
    world.complete("app");
    world.rollout(DC, RolloutVerb::Pause);
    let paused = "refused: cannot deploy a paused deployment config";
    assert_eq!(world.rollout(DC, LATEST), paused);
    let other = world.rollout("DeploymentConfig/shop/other", LATEST);
    assert_eq!(other, "refused: there is no deployment config other in git");
}

/// D41, T25: an order ends the hold of what failed.
#[test]
fn d041_latest_tries_what_failed_again() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.complete("app");
    assert!(world.held().contains("failed with these digests"), "{}", world.held());
    assert_eq!(world.rollout(DC, LATEST), "ordered 3");
    assert_eq!(world.pending(), "roll out app 3 app=#b");
}

/// D41: what runs is rolled out again while what failed stays held (found by the simulator, seed 186).
#[test]
fn d041_again_ends_no_hold() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.complete("app");
    world.records();
    assert_eq!(world.rollout(DC, RolloutVerb::Restart), "ordered 3");
    assert_eq!(world.pending(), "roll out app 3 app=#a");
    assert!(!world.records().contains("RolloutSuperseded"));
    world.complete("app");
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("failed with these digests"), "{}", world.held());
}

/// D42: a cancelled rollout counts as failed: what ran before is put back, and it is not tried again by itself.
#[test]
fn d042_a_cancelled_rollout_is_not_tried_again() {
    let mut world = running();
    moves(&mut world, "b");
    world.records();
    assert_eq!(world.rollout(DC, RolloutVerb::Cancel), "ordered 2");
    assert_eq!(world.rollout(DC, RolloutVerb::Cancel), "nothing: already cancelled");
    world.report("roll out app 2", RolloutReport::Cancelled);
    assert_eq!(world.pending(), "roll out app 1 app=#a");
    world.complete("app");
    assert_eq!(world.pending(), "");
    assert!(world.held().contains("cancelled by the user"), "{}", world.held());
    world.restart();
    assert_eq!(world.pending(), "");
}

/// D42: without a rollout that runs there is nothing to cancel.
#[test]
fn d042_there_must_be_a_rollout_to_cancel() {
    let mut world = committed(APP);
    let none = "refused: there have been no replication controllers for app";
    assert_eq!(world.rollout(DC, RolloutVerb::Cancel), none);
    let mut world = running();
    world.advance(300);
    let answer = world.rollout(DC, RolloutVerb::Cancel);
    let expected = "refused: No rollout is in progress (latest rollout #1 complete 5 minutes ago)";
    assert_eq!(answer, expected);
}

/// D43: a failed rollout is tried again under its number.
#[test]
fn d043_retry_keeps_the_number() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.complete("app");
    world.records();
    // what failed last is the rollout; its restore is complete
    let refused = world.rollout(DC, RolloutVerb::Retry);
    assert!(refused.starts_with("ordered 2"), "{refused}");
    let records = world.records();
    assert!(records.ends_with("RolloutStarted app 2 (image change) app=#b"), "{records}");
    world.complete("app");
    assert_eq!((world.pending().as_str(), world.held().as_str()), ("", ""));
}

/// D43: only a failed one.
#[test]
fn d043_only_a_failed_rollout_is_retried() {
    let mut world = committed(APP);
    assert_eq!(world.rollout(DC, RolloutVerb::Retry), "refused: no rollouts found for \"app\"");
    world.resolve("r.io/web:1", "a");
    let answer = world.rollout(DC, RolloutVerb::Retry);
    assert!(answer.starts_with("refused: rollout #1 is running; only failed"), "{answer}");
    world.complete("app");
    let answer = world.rollout(DC, RolloutVerb::Retry);
    assert!(answer.starts_with("refused: rollout #1 is complete; only failed"), "{answer}");
}

/// D46: what an operator paused is not rolled out until it is resumed; then once, to the newest image (X13).
#[test]
fn d046_a_pause_holds_and_a_resume_rolls_out_once() {
    let mut world = running();
    assert_eq!(world.rollout(DC, RolloutVerb::Pause), "ordered 1");
    for image in ["b", "c", "d"] {
        moves(&mut world, image);
    }
    world.restart();
    assert_eq!(world.pending(), "");
    let held = world.held();
    assert!(held.starts_with("app: paused by ann since "), "{held}");
    // Trace E: what waits behind it is told.
    let waits = "; behind it waits: image change, .* sha256:[0-9a-f]{12} -> sha256:[0-9a-f]{12}$";
    assert!(regex::Regex::new(waits).unwrap().is_match(&held), "{held}");
    assert_eq!(world.rollout(DC, RolloutVerb::Pause), "refused: dc/app is already paused");
    world.records();
    assert_eq!(world.rollout(DC, RolloutVerb::Resume), "ordered 1");
    assert_eq!(world.rollout(DC, RolloutVerb::Resume), "refused: dc/app is not paused");
    assert_eq!(world.pending(), "roll out app 2 app=#d");
}

/// D46: where git says it, git is edited.
#[test]
fn d046_git_is_not_overruled() {
    let mut world = committed(&format!("{APP} paused"));
    let answer = world.rollout(DC, RolloutVerb::Resume);
    assert!(answer.starts_with("refused: git says `spec.paused` of dc/app"), "{answer}");
}

/// T34: everything can be paused at once.
#[test]
fn t034_all_rollouts_can_be_paused() {
    use tidegate::action::{Request, RolloutOrder};
    let mut world = running();
    let all = |verb| Request::Rollout(RolloutOrder { object: None, verb, force: false });
    assert_eq!(world.ask(all(RolloutVerb::Pause)), "done");
    assert_eq!(world.ask(all(RolloutVerb::Pause)), "nothing: rollouts are already paused");
    moves(&mut world, "b");
    assert!(world.held().starts_with("app: all rollouts are paused by ann"), "{}", world.held());
    assert_eq!(world.ask(all(RolloutVerb::Resume)), "done");
    assert_eq!(world.pending(), "roll out app 2 app=#b");
}

/// D47, D48: `undo` goes back to the newest complete revision below the active one and stays there (X23).
#[test]
fn d047_undo_goes_back_and_stays() {
    let mut world = two();
    assert_eq!(world.rollout(DC, UNDO), "ordered 3 back to 1 without web:latest");
    assert_eq!(
        world.records(),
        "RolloutOrdered app back to 1 by ann\nRolloutStarted app 3 (manual change) app=#a"
    );
    world.complete("app");
    moves(&mut world, "c");
    world.restart();
    assert_eq!(world.pending(), "");
    assert!(world.held().starts_with("app: held at revision 1 by ann since "), "{}", world.held());
}

/// R13: what an operator goes back to is tried beside what runs, also the first revision, which had nothing beside it.
#[test]
fn d047_r013_the_first_revision_comes_back_as_carefully_as_another() {
    use tidegate::fact::RolloutStep::{Checking, Pulling, StartingNew, StoppingOld, Verifying};
    let mut world = steps::running();
    let course = |world: &World| match &world.journal.last().unwrap().fact {
        Fact::RolloutStepped(_) => {
            world.journal.iter().rev().find_map(|record| match &record.fact {
                Fact::RolloutStarted(started) => Some(started.steps.clone()),
                _ => None,
            })
        }
        _ => None,
    };
    moves(&mut world, "b");
    steps::until(&mut world, None);
    world.rollout(DC, UNDO);
    let all = vec![Pulling, Verifying, StoppingOld, StartingNew, Checking];
    assert_eq!(course(&world), Some(all));
}

/// D48 c: a commit that changes the object ends it; one that changes another does not.
#[test]
fn d048_a_commit_that_changes_the_object_goes_on() {
    let mut world = two();
    world.rollout(DC, UNDO);
    world.complete("app");
    world.commit(&format!("{APP}\nis other latest=r.io/other:1"));
    assert!(!world.pending().contains("roll out"), "{}", world.pending());
    world.commit(&format!("{APP} env=2\nis other latest=r.io/other:1"));
    assert!(world.pending().contains("roll out app 4 app=#b"), "{}", world.pending());
}

/// D48 c: an operator ends it.
#[test]
fn d048_an_operator_goes_on() {
    let mut world = two();
    world.rollout(DC, UNDO);
    world.complete("app");
    world.advance(301);
    assert_eq!(world.release(DC), "done");
    assert_eq!(world.pending(), "roll out app 4 app=#b");
}

/// D48 a, X22: a failed revision is nothing to go back to.
#[test]
fn d048_undo_passes_over_what_failed() {
    let mut world = running();
    moves(&mut world, "b");
    world.refuse("app");
    world.complete("app"); // the restore of 1
    moves(&mut world, "c");
    world.complete("app");
    world.records();
    assert_eq!(world.rollout(DC, UNDO), "ordered 4 back to 1 without web:latest");
    assert_eq!(world.pending(), "roll out app 4 app=#a");
}

/// D47: refusals.
#[test]
fn d047_undo_is_refused_with_its_reason() {
    let mut world = committed(APP);
    assert_eq!(world.rollout(DC, UNDO), "refused: cannot rollback an undeployed config");
    let mut world = running();
    let none = "refused: no previous deployment exists for \"app\"";
    assert_eq!(world.rollout(DC, UNDO), none);
    assert_eq!(world.rollout(DC, undo_to(1)), "refused: version 1 is already the latest");
    let unknown = world.rollout(DC, undo_to(7));
    assert!(unknown.starts_with("refused: couldn't find deployment for rollback"), "{unknown}");
    world.rollout(DC, RolloutVerb::Pause);
    let paused = world.rollout(DC, UNDO);
    assert!(paused.starts_with("refused: cannot rollback a paused config"), "{paused}");
}

/// D47: where going back fails, what ran before runs again, nothing is tried by itself, and both are told.
#[test]
fn d047_an_undo_that_fails_is_told() {
    let mut world = two();
    world.rollout(DC, UNDO);
    world.refuse("app");
    world.complete("app");
    assert_eq!(world.pending(), "");
    let held = world.held();
    assert!(held.starts_with("app: held at revision 1 by ann since "), "{held}");
}
