//! What was seen at a host, as it is shown: nothing is guessed where nobody looked (rules R5, C1, C4, C6; law 8).

use serde_json::Value;
use tidegate::effective::deployed::Deployed;
use tidegate::fact::RolloutStep;
use tidegate::names::ObjectKey;
use tidegate::oc::kube;
use tidegate::oc::table::Shape;
use tidegate::oc::workload::deployment_configs;
use tidegate::pods::{ContainerState, Look, Looks, Part, SeenContainer, SeenPod, ailing};
use tidegate::time::Timestamp;

use super::deployed::shown_with;
use super::steps::{running, until};
use crate::support::engine::World;
use crate::support::start::moves;

const MINUTE: u64 = 60;

fn key() -> ObjectKey {
    "DeploymentConfig/shop/app".parse().unwrap()
}

fn before(now: Timestamp, seconds: u64) -> Timestamp {
    let millis = i64::try_from(seconds * 1_000).unwrap();
    Timestamp::from_millis(now.as_millis() - millis)
}

/// A container that runs, and was started again so often, the last time so many seconds ago.
fn container(now: Timestamp, restarts: u64, seconds: u64) -> SeenContainer {
    let since = before(now, seconds);
    SeenContainer {
        name: "app".into(),
        state: ContainerState::Running(Some(since)),
        restarts,
        ended: (restarts > 0).then_some(since),
        health: None,
    }
}

/// The pod of the rollout in force.
fn pod(world: &World, container: SeenContainer) -> SeenPod {
    let state = &world.engine.observed().workloads[&key()];
    let active = state.active().unwrap();
    SeenPod {
        name: "app-0".into(),
        object: key().to_string(),
        rollout: active.started.key(active.seq).to_string(),
        part: Part::Instance,
        state: "running".into(),
        since: Some(before(world.now.wall, 3_600)),
        containers: vec![container],
    }
}

fn looks(world: &World, pods: Vec<SeenPod>) -> Looks {
    let look = Look::Seen { at: world.now.wall, objects: [key()].into(), pods };
    [("none".parse().unwrap(), look)].into()
}

/// The tables of a world after a look: its pods, the controllers and the workload, and whether it is available.
fn tables(world: &World, looks: &Looks) -> String {
    let now = world.now.wall;
    shown_with(world, looks, |deployed: Deployed<'_>| {
        let object = deployed.object(&key()).unwrap();
        let conditions = object["status"]["conditions"].as_array().unwrap();
        let is_it = |one: &&Value| one["type"] == "Available";
        let available = conditions.iter().find(is_it).unwrap();
        let tables = [
            kube::pods(&deployed.pods(&key()), now),
            kube::controllers(&deployed.controllers(&key()), now),
            deployment_configs(std::slice::from_ref(&object)),
        ];
        let tables = tables.map(|table| table.to_text(Shape::default()));
        let (status, reason) = (&available["status"], &available["reason"]);
        format!("{}Available {status} {reason}\n", tables.concat())
    })
}

/// C4, law 8: the records prove what was rolled out, not what runs.
#[test]
fn c004_what_nobody_saw_is_unknown() {
    let world = running();
    insta::assert_snapshot!(tables(&world, &Looks::new()), @r#"
    NAME           READY       STATUS      RESTARTS    AGE
    app-0          <unknown>   <unknown>   <unknown>   0s
    app-1-deploy   0/1         Completed   0           0s
    NAME    DESIRED   CURRENT     READY       AGE
    app-1   1         <unknown>   <unknown>   0s
    NAME   REVISION   DESIRED   CURRENT     TRIGGERED BY
    app    1          1         <unknown>   config,image(web:latest)
    Available "Unknown" "NotSeen"
    "#);
    let silent = [("none".parse().unwrap(), Look::Silent("podman does not answer".into()))].into();
    assert_eq!(tables(&world, &silent), tables(&world, &Looks::new()));
}

#[test]
fn c004_what_was_seen_is_shown_as_kubectl_shows_it() {
    let world = running();
    let now = world.now.wall;
    let shown =
        |container: SeenContainer| tables(&world, &looks(&world, vec![pod(&world, container)]));
    insta::assert_snapshot!(shown(container(now, 0, 60)), @r#"
    NAME           READY   STATUS      RESTARTS   AGE
    app-0          1/1     Running     0          60m
    app-1-deploy   0/1     Completed   0          0s
    NAME    DESIRED   CURRENT   READY   AGE
    app-1   1         1         1       0s
    NAME   REVISION   DESIRED   CURRENT   TRIGGERED BY
    app    1          1         1         config,image(web:latest)
    Available "True" null
    "#);
    // It was started again: that is counted, and when it ended last.
    insta::assert_snapshot!(shown(container(now, 7, 90)), @r#"
    NAME           READY   STATUS      RESTARTS      AGE
    app-0          1/1     Running     7 (90s ago)   60m
    app-1-deploy   0/1     Completed   0             0s
    NAME    DESIRED   CURRENT   READY   AGE
    app-1   1         1         1       0s
    NAME   REVISION   DESIRED   CURRENT   TRIGGERED BY
    app    1          1         1         config,image(web:latest)
    Available "True" null
    "#);
    let ended = |status| SeenContainer {
        state: ContainerState::Ended(status),
        ended: Some(before(now, 30)),
        ..container(now, 0, 60)
    };
    insta::assert_snapshot!(shown(ended(3)), @r#"
    NAME           READY   STATUS      RESTARTS   AGE
    app-0          0/1     Error       0          60m
    app-1-deploy   0/1     Completed   0          0s
    NAME    DESIRED   CURRENT   READY   AGE
    app-1   1         0         0       0s
    NAME   REVISION   DESIRED   CURRENT   TRIGGERED BY
    app    1          1         0         config,image(web:latest)
    Available "False" null
    "#);
    let is_over = shown(ended(0));
    assert!(is_over.contains("app-0          0/1     Completed   0"), "{is_over}");
    let created =
        SeenContainer { state: ContainerState::Other("created".into()), ..container(now, 0, 60) };
    let created = shown(created);
    assert!(created.contains("app-0          0/1     Created     0"), "{created}");
    let sick = SeenContainer { health: Some("unhealthy".into()), ..container(now, 0, 60) };
    let sick = shown(sick);
    assert!(sick.contains("app-0          0/1     Running     0"), "{sick}");
    assert!(sick.contains("Available \"False\""), "{sick}");
    // A pod that is gone is not there.
    insta::assert_snapshot!(tables(&world, &looks(&world, Vec::new())), @r#"
    NAME           READY   STATUS      RESTARTS   AGE
    app-1-deploy   0/1     Completed   0          0s
    NAME    DESIRED   CURRENT   READY   AGE
    app-1   1         0         0       0s
    NAME   REVISION   DESIRED   CURRENT   TRIGGERED BY
    app    1          1         0         config,image(web:latest)
    Available "False" null
    "#);
}

/// R5, law 8: an instance of a revision that is being rolled out is not ready before its rollout showed that it is.
#[test]
fn c004_what_is_being_rolled_out_is_not_ready_yet() {
    let mut world = running();
    let old = pod(&world, container(world.now.wall, 0, 60));
    moves(&mut world, "b");
    until(&mut world, Some(RolloutStep::Checking));
    let state = &world.engine.observed().workloads[&key()];
    let last = state.last().unwrap();
    let new = SeenPod { rollout: last.started.key(last.seq).to_string(), ..old.clone() };
    let seen = looks(&world, vec![new.clone()]);
    insta::assert_snapshot!(tables(&world, &seen), @r#"
    NAME           READY   STATUS    RESTARTS   AGE
    app-0          0/1     Running   0          60m
    app-2-deploy   1/1     Running   0          0s
    NAME    DESIRED   CURRENT   READY   AGE
    app-1   1         0         0       0s
    app-2   1         1         0       0s
    NAME   REVISION   DESIRED   CURRENT   TRIGGERED BY
    app    2          1         1         config,image(web:latest)
    Available "False" null
    "#);
    until(&mut world, None);
    let shown = tables(&world, &looks(&world, vec![new]));
    assert!(shown.contains("app-0          1/1     Running     0"), "{shown}");
}

/// R5: what breaks after its rollout was complete is told, the worst of it.
#[test]
fn r005_what_breaks_later_is_told() {
    let world = running();
    let now = world.now.wall;
    let played = |name: &str| {
        let rollout = pod(&world, container(now, 0, 60)).rollout;
        format!(
            r#"{{"metadata": {{"name": "{name}", "labels": {{"tidegate.dev/rollout": "{rollout}"}}}}, "spec": {{"containers": [{{"name": "app"}}]}}}}"#
        )
    };
    let document = played("app-0");
    let told = |container: SeenContainer| {
        let seen = [pod(&world, container)];
        ailing(vec![&document], &seen, now).map(|astray| (astray.how.word(), astray.why))
    };
    let is = |word: &'static str, why: &str| Some((word, why.to_owned()));
    assert_eq!(told(container(now, 0, 5)), None);
    assert_eq!(
        told(container(now, 7, 5)),
        is("Restarting", "container app-0-app restarted 7 times, last 5s ago")
    );
    // As to the kubelet, what runs for ten minutes since runs.
    assert_eq!(told(container(now, 7, 10 * MINUTE)), None);
    let ended =
        |restarts| SeenContainer { state: ContainerState::Ended(3), ..container(now, restarts, 5) };
    let why = "container app-0-app ended with exit status 3";
    assert_eq!(told(ended(0)), is("NotRunning", why));
    let again = "container app-0-app restarted once, and has ended again with exit status 3";
    assert_eq!(told(ended(1)), is("NotRunning", again));
    let sick = SeenContainer { health: Some("unhealthy".into()), ..container(now, 2, 5) };
    let why = "container app-0-app is unhealthy: its liveness probe fails, restarted 2 times";
    assert_eq!(told(sick.clone()), is("Unhealthy", why));
    // Of two that are not well the worse one is told, and one that is gone is worst.
    let second = played("app-1");
    let seen =
        [pod(&world, sick), SeenPod { name: "app-1".into(), ..pod(&world, container(now, 1, 5)) }];
    let worst = |seen: &[SeenPod]| ailing(vec![&second, &document], seen, now).unwrap();
    assert_eq!(worst(&seen).how.word(), "Unhealthy");
    assert_eq!(worst(&seen[..1]).why, "pod app-1 is gone");
}
