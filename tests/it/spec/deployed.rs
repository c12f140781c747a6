//! What rollouts leave in the records, and as what OpenShift's API shows them (rules D11, D13, D15, R2); what starts
//! nothing (D14, X18, X23).

use std::time::Duration;

use serde_json::{Value, json};
use tidegate::action::{RolloutReport, RolloutVerb};
use tidegate::effective::deployed::Deployed;
use tidegate::fact::{Outcome, RolloutCause, RolloutStep};
use tidegate::names::{ContentHash, ObjectKey};
use tidegate::pods::Looks;
use tidegate::policy::Policy;

use super::steps::{fails, host, running as on_host, until};
use crate::support::engine::World;
use crate::support::manifest;
use crate::support::start::{APP, WEB, moves, running};
use crate::support::story::digest;

const DC: &str = "DeploymentConfig/shop/app";

fn key() -> ObjectKey {
    DC.parse().unwrap()
}

/// What is shown of the workloads of a world.
fn shown<T>(world: &World, what: impl FnOnce(Deployed<'_>) -> T) -> T {
    shown_with(world, &Looks::new(), what)
}

/// The same after a look at its host.
pub(super) fn shown_with<T>(
    world: &World,
    looks: &Looks,
    what: impl FnOnce(Deployed<'_>) -> T,
) -> T {
    let mut policy = World::policy();
    policy.hosts.insert("none".parse().unwrap());
    let kept = world.all_stored();
    what(Deployed {
        desired: world.engine.desired(),
        observed: world.engine.observed(),
        policy: &policy,
        rolled: &|hash| Some(kept.get(hash)?.to_vec()),
        looks,
    })
}

fn controllers(world: &World) -> Vec<Value> {
    shown(world, |deployed| deployed.controllers(&key()))
}

fn pods(world: &World) -> Vec<Value> {
    shown(world, |deployed| deployed.pods(&key()))
}

/// The events of the workload: type, reason and message.
fn events(world: &World) -> Vec<String> {
    let events = shown(world, |deployed| deployed.events(&key()));
    let text = |event: &Value, field: &str| event[field].as_str().unwrap().to_owned();
    let line = |event: &Value| ["type", "reason", "message"].map(|field| text(event, field));
    events.iter().map(|event| line(event).join(" ")).collect()
}

/// A host that runs `a`, with a hook before and one after, and rolls out `b` up to the one after.
fn with_hooks() -> World {
    let mut world = host();
    let hook = "{failurePolicy: Abort, execNewPod: {command: [migrate]}}";
    let params = format!("rollingParams: {{pre: {hook}, post: {hook}}}");
    let strategy = format!("  replicas: 1\n  strategy: {{{params}}}\n");
    let files = manifest::files(APP).into_iter();
    world.commit_files(files.map(|(p, t)| (p, t.replace("  replicas: 1\n", &strategy))).collect());
    world.resolve("r.io/web:1", "a");
    until(&mut world, None);
    moves(&mut world, "b");
    until(&mut world, Some(RolloutStep::PostHook));
    world
}

#[test]
fn d011_labels_and_annotations_are_openshifts() {
    let world = with_hooks();
    let controllers = controllers(&world);
    let [_, second] = controllers.as_slice() else { panic!("{controllers:?}") };
    assert_eq!(second["metadata"]["name"], "app-2");
    assert_eq!(second["metadata"]["labels"]["openshift.io/deployment-config.name"], "app");
    let of_pods = json!({"app": "app", "deployment": "app-2", "deploymentconfig": "app"});
    assert_eq!(second["spec"]["selector"], of_pods);
    assert_eq!(second["spec"]["template"]["metadata"]["labels"], of_pods);
    let annotations = |object: &Value| {
        ["deployment.name", "deployment-config.name", "deployment-config.latest-version"]
            .map(|name| object["metadata"]["annotations"][format!("openshift.io/{name}")].clone())
    };
    assert_eq!(annotations(&second["spec"]["template"]), ["app-2", "app", "2"]);
    let pods = pods(&world);
    let pod = |name: &str| {
        let is_it = |pod: &&Value| pod["metadata"]["name"] == name;
        pods.iter().find(is_it).unwrap_or_else(|| panic!("{name} in {pods:?}"))
    };
    for (label, value) in of_pods.as_object().unwrap() {
        assert_eq!(pod("app-0")["metadata"]["labels"][label], *value);
    }
    assert_eq!(annotations(pod("app-0")), ["app-2", "app", "2"]);
    let label = |name: &str, label: &str| pod(name)["metadata"]["labels"][label].clone();
    for name in ["app-2-deploy", "app-2-hook-pre", "app-2-hook-post"] {
        assert_eq!(label(name, "openshift.io/deployer-pod-for.name"), "app-2", "{name}");
    }
    assert_eq!(label("app-2-hook-pre", "openshift.io/deployer-pod.type"), "hook-pre");
    assert_eq!(label("app-2-hook-post", "openshift.io/deployer-pod.type"), "hook-post");
    assert_eq!(label("app-2-deploy", "openshift.io/deployer-pod.type"), Value::Null);
}

/// D12: a revision says how many instances it had, also when another one took its place.
#[test]
fn d012_a_revision_says_how_many_it_had() {
    let mut world = with_hooks();
    let annotations = |world: &World| {
        let names = [
            "openshift.io/deployment.replicas",
            "kubectl.kubernetes.io/desired-replicas",
            "kubectl.kubernetes.io/original-replicas",
        ];
        let of = |object: Value| names.map(|name| object["metadata"]["annotations"][name].clone());
        controllers(world).into_iter().map(of).collect::<Vec<_>>()
    };
    let null = Value::Null;
    let (runs, begins) = ([json!("1"), json!("1"), null.clone()], [null.clone(), json!("1"), null]);
    assert_eq!(annotations(&world), [runs.clone(), begins]);
    until(&mut world, None);
    assert_eq!(annotations(&world), [[json!("1"), json!("0"), json!("1")], runs]);
}

/// D13: why a rollout was cancelled, in the words of OpenShift; those that speak of a pod of its own that carries it out
/// have nothing here that they could be said of.
#[test]
fn d013_a_rollout_that_was_cancelled_says_by_what() {
    let mut world = on_host();
    moves(&mut world, "b");
    moves(&mut world, "c");
    world.report("roll out app 2", RolloutReport::Cancelled);
    until(&mut world, Some(RolloutStep::Verifying));
    world.rollout(DC, RolloutVerb::Cancel);
    world.report("roll out app 3", RolloutReport::Cancelled);
    until(&mut world, None);
    let annotation = |controller: &Value, name: &str| {
        controller["metadata"]["annotations"][format!("openshift.io/deployment.{name}")].clone()
    };
    let told: Vec<_> = controllers(&world)
        .iter()
        .map(|one| ["status-reason", "phase", "cancelled"].map(|name| annotation(one, name)))
        .collect();
    let wanted = [
        [json!("config change"), json!("Complete"), Value::Null],
        [json!("newer deployment was found running"), json!("Failed"), json!("true")],
        [json!("cancelled by the user"), json!("Failed"), json!("true")],
    ];
    assert_eq!(told, wanted);
}

/// D14, item 2: what is being removed has a status, and nothing is rolled out of it.
#[test]
fn d014_2_what_is_being_removed_starts_nothing() {
    let policy = Policy { prune_grace: Duration::from_secs(60), ..World::policy() };
    let mut world = World::with(policy);
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    world.complete("app");
    world.told();
    world.commit(WEB);
    moves(&mut world, "b");
    assert_eq!((world.pending().as_str(), world.told().as_str()), ("", ""));
    world.advance(61);
    assert_eq!(world.pending(), "stop app");
    moves(&mut world, "c");
    assert_eq!(world.pending(), "stop app");
}

#[test]
fn d015_events_are_in_the_words_of_openshift() {
    let mut world = on_host();
    moves(&mut world, "b");
    moves(&mut world, "c");
    world.report("roll out app 2", RolloutReport::Cancelled);
    until(&mut world, Some(RolloutStep::Checking));
    fails(&mut world);
    until(&mut world, None);
    assert_eq!(
        events(&world),
        [
            "Normal DeploymentCreated Created new replication controller \"app-1\" for version 1",
            "Normal DeploymentCreated Created new replication controller \"app-2\" for version 2",
            "Normal RolloutCancelled Rollout for \"shop/app-2\" cancelled",
            "Normal DeploymentCancelled Cancelled deployment \"app-2\" superceded by version 3",
            "Normal DeploymentCreated Created new replication controller \"app-3\" for version 3",
            "Warning Failed Rollout for \"shop/app-3\" failed: unhealthy",
        ]
    );
    // D22: more instances of what runs, and then fewer than there can be.
    let mut world = on_host();
    world.commit(&format!("{APP} replicas=3"));
    for rendered in [Some(ContentHash::of(b"three")), None] {
        let report = RolloutReport::Stepped { rendered, note: String::new(), down: None };
        world.report("scale app to 3", report);
    }
    let last = |world: &World| events(world).pop().unwrap();
    let scaled =
        "Normal ReplicationControllerScaled Scaled replication controller \"app-1\" from 1 to 3";
    assert_eq!(last(&world), scaled);
    world.commit(&format!("{APP} replicas=2"));
    let report = RolloutReport::Failed { reason: "no room".into(), log: String::new() };
    world.report("scale app to 2", report);
    let failed = "Failed to scale replication controller \"app-1\" from 3 to 2: no room";
    assert_eq!(last(&world), format!("Warning ReplicationControllerScaleFailed {failed}"));
}

/// R2: whatever goes on with a rollout after a crash, or looks at it years later, finds in the records all that it is.
#[test]
fn r002_the_record_of_a_rollout_says_all_that_it_is() {
    let mut world = on_host();
    moves(&mut world, "b");
    until(&mut world, Some(RolloutStep::Verifying));
    world.advance(5);
    world.restart();
    let state = world.engine.observed().workloads.values().next().unwrap();
    let rollout = state.last().unwrap();
    let started = &rollout.started;
    assert_eq!((&started.object, started.incarnation.0), (&key(), 1));
    assert_eq!((started.revision.0, started.cause), (2, RolloutCause::ImageChange));
    assert_eq!((started.replaces, started.target.as_str()), (None, "none"));
    let [image] = started.images.as_slice() else { panic!("{started:?}") };
    assert_eq!((image.digest, image.previous), (Some(digest("b")), Some(digest("a"))));
    let workload = world.engine.desired().workloads.values().next().unwrap();
    assert_eq!(started.template, workload.template);
    assert!(world.stored(started.manifest).contains(&image.reference));
    assert!(rollout.rendered.is_some(), "what is played is kept by its hash");
    let step = rollout.step.as_ref().unwrap();
    assert_eq!((step.step, &step.ending), (RolloutStep::Verifying, &None));
    assert!(rollout.at <= step.at && step.at < world.now.wall, "since when there is progress");
    assert_eq!(started.deadline, Some(rollout.at.after(Duration::from_secs(21_600))));
    assert_eq!(state.active().map(|active| active.started.revision.0), Some(1));
    fails(&mut world);
    until(&mut world, None);
    let state = world.engine.observed().workloads.values().next().unwrap();
    let end = state.last().unwrap().end.as_ref().unwrap();
    assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Failed, "unhealthy"));
    assert_eq!((end.log.as_str(), end.rolled_back), ("boom", Some(true)));
}

/// T18: a stream that was deleted and comes back has the image that runs.
#[test]
fn x018_a_stream_that_comes_back_with_the_same_image_starts_nothing() {
    let mut world = running();
    world.commit("dc app app<web:latest");
    world.commit(APP);
    world.records();
    world.resolve("r.io/web:1", "a");
    assert!(!world.records().contains("RolloutStarted"));
    assert_eq!((world.pending().as_str(), world.held().as_str()), ("", ""));
    world.restart();
    assert_eq!(world.pending(), "");
    moves(&mut world, "b");
    assert_eq!(world.pending(), "roll out app 2 app=#b", "and it is followed again");
}

/// D47, D48 c: the newest image is there as before when its tag is checked the next time; it is no news.
#[test]
fn x023_after_going_back_the_next_import_does_not_roll_forward() {
    let mut world = running();
    moves(&mut world, "b");
    world.complete("app");
    assert_eq!(
        world.rollout(DC, RolloutVerb::Undo { to: None }),
        "ordered 3 back to 1 without web:latest"
    );
    world.complete("app");
    for _ in 0..3 {
        world.advance(1_000);
        assert_eq!(world.pending(), "resolve r.io/web:1 known #b", "by its schedule");
        world.resolve("r.io/web:1", "b");
        assert_eq!(world.pending(), "");
        assert!(world.held().starts_with("app: held at revision 1 by ann since "));
    }
    world.restart();
    assert_eq!(world.pending(), "");
}
