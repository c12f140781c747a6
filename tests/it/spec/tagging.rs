//! Hooks that write the images of a rollout into tags (rules D40.2 to D40.4, trap X2).

use std::collections::BTreeMap;

use tidegate::action::{Action, RolloutReport};
use tidegate::fact::{Fact, Outcome, RolloutStep};
use tidegate::names::ContentHash;

use RolloutStep::{PostHook, PreHook, Pulling, RollingBack};

use crate::support::engine::World;
use crate::support::manifest;

/// A workload that `from` rolls out, with a hook that writes its image into `to`.
fn app(name: &str, from: &str, hook: &str, to: &str, policy: &str) -> String {
    format!(
        "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: 1
  strategy:
    type: Rolling
    rollingParams:
      {hook}:
        failurePolicy: {policy}
        tagImages: [{{containerName: main, to: {{kind: ImageStreamTag, name: '{to}'}}}}]
  triggers:
  - type: ImageChange
    imageChangeParams: {{automatic: true, containerNames: [main], from: {{kind: ImageStreamTag, name: '{from}'}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: main, image: ' '}}]}}
"
    )
}

fn files(streams: &str, apps: &[String]) -> BTreeMap<String, String> {
    let mut files = manifest::files(streams);
    files
        .extend(apps.iter().enumerate().map(|(at, text)| (format!("app-{at}.yaml"), text.clone())));
    files
}

const WEB: &str = "is web latest=r.io/web:1,scheduled";

/// A world whose target runs pods on a host, with these manifests.
fn host(streams: &str, apps: &[String]) -> World {
    let mut policy = World::policy();
    policy.hosts.insert("none".parse().unwrap());
    let mut world = World::with(policy);
    world.commit_files(files(streams, apps));
    world
}

/// What the target is asked for, and of what.
fn asked(world: &World) -> Option<(String, RolloutStep)> {
    world.actions.values().find_map(|action| match action {
        Action::RollOut(request) => {
            Some((request.object.name.to_string(), request.step.as_ref()?.step))
        }
        _ => None,
    })
}

/// The target does whatever it is asked for, until it is asked for nothing more.
fn all_done(world: &mut World) {
    while let Some((name, step)) = asked(world) {
        let rendered = (step == Pulling).then(|| ContentHash::of(b"rendered"));
        let report = RolloutReport::Stepped { rendered, note: String::new(), down: None };
        world.report(&format!("roll out {name}"), report);
    }
}

fn ends(world: &World) -> Vec<(Outcome, String, String)> {
    let ends = world.journal.iter().filter_map(|record| match &record.fact {
        Fact::RolloutFinished(end) => Some((end.outcome, end.reason.clone(), end.log.clone())),
        _ => None,
    });
    ends.collect()
}

fn overlays(world: &World) -> usize {
    world.journal.iter().filter(|record| matches!(record.fact, Fact::OverlaySet(_))).count()
}

/// D40.2: the image becomes a spec tag, which is created if need be, is imported, and fires what it triggers.
#[test]
fn d040_2_a_hook_writes_the_image_of_a_container_into_a_tag() {
    let next = "\ndc shop shop<web:prod";
    let apps = [app("app", "web:latest", "post", "web:prod", "Abort")];
    let mut world = host(&format!("{WEB}{next}"), &apps);
    world.resolve("r.io/web:1", "a");
    world.records();
    all_done(&mut world);
    let records = world.records();
    let set = "OverlaySet web:prod r.io/web@#a by the hook of rollout app-1 @3 prod";
    assert!(records.contains(set), "{records}");
    let (outcome, reason, log) = ends(&world).remove(0);
    assert_eq!((outcome, reason.as_str()), (Outcome::Complete, ""));
    assert!(log.starts_with("Tagged \"r.io/web@sha256:"), "{log}");
    assert!(
        log.ends_with(
            "\" into shop/web:prod; The post-hook for rc shop/app-1 completed successfully"
        ),
        "{log}"
    );
    world.resolve_all("a");
    assert_eq!(asked(&world), Some(("shop".into(), Pulling)), "{}", world.pending());
    all_done(&mut world);
    assert_eq!(ends(&world).len(), 2);
    // Another digest: the tag follows with the rollout, not before.
    world.nudge("shop/web:latest");
    world.resolve("r.io/web:1", "b");
    assert_eq!(asked(&world), Some(("app".into(), Pulling)));
    all_done(&mut world);
    assert!(
        world.records().contains("OverlaySet web:prod r.io/web@#b by the hook of rollout app-2")
    );
    world.resolve_all("b");
    all_done(&mut world);
    assert_eq!((ends(&world).len(), overlays(&world)), (4, 2));
    assert_eq!(world.pending(), "");
}

/// D40.4: a crash between the tag and the record that the hook is done writes nothing twice.
#[test]
fn d040_4_a_tag_is_written_once_whatever_a_crash_left_of_the_step() {
    for hook in ["pre", "post"] {
        let mut world = host(WEB, &[app("app", "web:latest", hook, "web:prod", "Abort")]);
        world.resolve("r.io/web:1", "a");
        all_done(&mut world);
        assert_eq!((overlays(&world), ends(&world).len()), (1, 1), "{hook}");
        let is_overlay = |fact: &Fact| matches!(fact, Fact::OverlaySet(_));
        let at = world.journal.iter().position(|record| is_overlay(&record.fact)).unwrap();
        world.journal.truncate(at + 1);
        world.restart();
        all_done(&mut world);
        assert_eq!((overlays(&world), ends(&world).len()), (1, 1), "{hook}");
        assert_eq!(ends(&world)[0].0, Outcome::Complete);
    }
}

/// D40.3: what becomes of a rollout whose hook names a stream that git does not have.
#[test]
fn d040_3_a_tag_that_cannot_be_written_ends_the_rollout_or_waits_or_neither() {
    let start = |hook, policy| {
        let mut world = host(WEB, &[app("app", "web:latest", hook, "other:prod", policy)]);
        world.resolve("r.io/web:1", "a");
        world
    };
    let mut world = start("pre", "Abort");
    all_done(&mut world);
    let (outcome, reason, _) = ends(&world).remove(0);
    assert_eq!(outcome, Outcome::Failed);
    assert!(
        reason.starts_with("pre hook failed: there is no image stream shop/other in git"),
        "{reason}"
    );
    let stepped = world.journal.iter().filter_map(|record| match &record.fact {
        Fact::RolloutStepped(stepped) => Some(stepped.step),
        _ => None,
    });
    assert_eq!(stepped.collect::<Vec<_>>(), [Pulling, PreHook, RollingBack]);

    let mut world = start("post", "Ignore");
    all_done(&mut world);
    let (outcome, _, log) = ends(&world).remove(0);
    assert_eq!(outcome, Outcome::Complete);
    assert!(log.contains("(ignore), rollout of shop/app-1 will continue"), "{log}");

    let mut world = start("post", "Retry");
    all_done(&mut world);
    assert_eq!(ends(&world), []);
    world.advance(60);
    world.restart();
    assert_eq!((ends(&world).len(), asked(&world)), (0, None));
    let apps = [app("app", "web:latest", "post", "other:prod", "Retry")];
    world.commit_files(files(&format!("{WEB}\nis other stable=r.io/other:1"), &apps));
    world.advance(120);
    all_done(&mut world);
    assert_eq!((ends(&world)[0].0, overlays(&world)), (Outcome::Complete, 1));
    let state = &world.engine.observed().workloads[&"DeploymentConfig/shop/app".parse().unwrap()];
    assert!(state.last().unwrap().started.steps.contains(&PostHook));

    // Until the rollout is out of time.
    let mut world = start("post", "Retry");
    all_done(&mut world);
    world.advance(21_601);
    all_done(&mut world);
    assert_eq!(ends(&world)[0].0, Outcome::Failed);
}

/// X2: a hook does not write what would roll its own object out again, be it by the way of others.
#[test]
fn x002_a_hook_that_would_roll_itself_out_again_does_not_write_the_tag() {
    let mut world = host(WEB, &[app("app", "web:latest", "post", "web:latest", "Abort")]);
    world.resolve("r.io/web:1", "a");
    all_done(&mut world);
    let (outcome, _, log) = ends(&world).remove(0);
    assert_eq!((outcome, overlays(&world)), (Outcome::Complete, 0));
    assert!(
        log.starts_with(
            "not tagged into shop/web:latest, which would roll it out again for ever: dc/app -> shop/web:latest -> dc/app"
        ) || log.starts_with(
            "not tagged into web:latest, which would roll it out again for ever: dc/app -> web:latest -> dc/app"
        ),
        "{log}"
    );
    let by_others = [
        app("app", "web:latest", "post", "web:prod", "Abort"),
        app("shop", "web:stable", "post", "web:latest", "Abort"),
    ];
    let streams = format!("{WEB} stable=tag:web:prod");
    let mut world = host(&streams, &by_others);
    world.resolve("r.io/web:1", "a");
    all_done(&mut world);
    assert_eq!((ends(&world).len(), overlays(&world)), (1, 0));
    let log = &ends(&world)[0].2;
    assert!(log.contains("web:prod -> ") && log.contains("web:stable -> dc/shop -> "), "{log}");
}

/// T24: what workloads write into the tag that they follow is not written: they would chase each other for ever.
#[test]
fn t024_workloads_that_write_the_tag_they_follow_do_not_chase_each_other() {
    let apps = [
        app("app", "web:latest", "post", "web:latest", "Abort"),
        app("shop", "web:latest", "post", "web:latest", "Abort"),
    ];
    let mut world = host(WEB, &apps);
    world.resolve("r.io/web:1", "a");
    all_done(&mut world);
    assert_eq!((ends(&world).len(), overlays(&world)), (2, 0), "one of each");
    for (_, _, log) in ends(&world) {
        assert!(log.contains("which would roll it out again for ever"), "{log}");
    }
    assert_eq!(world.pending(), "");
}

/// X2: it is told when the manifest is read; T18: an equal digest rolls nothing out.
#[test]
fn x002_t018_a_ring_is_warned_of_and_an_equal_digest_rolls_nothing_out() {
    let read = |to| crate::desired::read(&app("app", "web:latest", "post", to, "Ignore"));
    let [warning] = &read("web:latest").diagnostics[..] else { panic!() };
    assert_eq!(warning.rule, "X2");
    let ring = "Cycle detected in triggers and hooks: dc/app -> ";
    assert!(warning.message.starts_with(ring), "{warning:?}");
    assert_eq!(read("web:prod").diagnostics, []);

    // Another workload has the same image by a tag of its own, when the hook points that tag at it.
    let apps = [app("app", "web:latest", "post", "web:prod", "Abort")];
    let mut world = host(&format!("{WEB} prod=r.io/other:1\ndc shop shop<web:prod"), &apps);
    world.resolve_all("a");
    all_done(&mut world);
    world.resolve_all("a");
    all_done(&mut world);
    assert_eq!((ends(&world).len(), overlays(&world)), (2, 1), "one of each");
    assert_eq!(world.pending(), "");
}
