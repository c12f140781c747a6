//! A Deployment with the triggers annotation on one host (rule R17b).

use std::time::Duration;

use tidegate::action::{Action, RolloutReport};
use tidegate::fact::{Fact, Outcome, RolloutCause, RolloutStep};
use tidegate::names::ContentHash;
use tidegate::pods::{Pods, Strategy};

use RolloutStep::{Checking, Pulling, RollingBack};

use crate::desired::workload;
use crate::support::engine::World;
use crate::support::start::moves;

/// A workload of which nothing but its strategy and its deadline is said.
fn pods(strategy: &str) -> Pods {
    let text = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, annotations: {{image.openshift.io/triggers: '[]'}}}}
spec:
  replicas: 4
  minReadySeconds: 3
  progressDeadlineSeconds: 45
  strategy: {strategy}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: main, image: 'r.io/web:1'}}]}}
"
    );
    let workload = workload(&text);
    Pods::read(&workload.object, workload.manifest.as_bytes()).unwrap()
}

/// R17b: its deadline is the time to make progress in, its budgets are those of `rollingUpdate`, and it has no hooks.
#[test]
fn r017b_an_annotated_deployment_rolls_within_its_own_deadline_and_budgets() {
    let rolling = pods("{rollingUpdate: {maxSurge: 2, maxUnavailable: 0}}");
    assert_eq!((rolling.strategy, rolling.timeout), (Strategy::Rolling, Duration::from_secs(45)));
    assert_eq!(rolling.min_ready, Duration::from_secs(3));
    let budget = rolling.budget();
    assert_eq!((budget.desired, budget.surge, budget.unavailable), (4, 2, 0));
    let by_default = pods("{type: RollingUpdate}").budget();
    assert_eq!((by_default.surge, by_default.unavailable), (1, 1));
    let recreate = pods("{type: Recreate}");
    assert_eq!(recreate.strategy, Strategy::Recreate);
    for pods in [rolling, recreate] {
        let hooks = [RolloutStep::PreHook, RolloutStep::MidHook, RolloutStep::PostHook];
        assert!(hooks.into_iter().all(|step| pods.hook(step).is_none()));
    }
}

const APP: &str = "is web latest=r.io/web:1,scheduled\ndeploy app main<web:latest";

fn asked(world: &World) -> Option<RolloutStep> {
    world.actions.values().find_map(|action| match action {
        Action::RollOut(request) => Some(request.step.as_ref()?.step),
        _ => None,
    })
}

/// The target does what it is asked for, until it is asked for a step, or for nothing.
fn until(world: &mut World, wanted: Option<RolloutStep>) {
    while asked(world) != wanted {
        let rendered = (asked(world) == Some(Pulling)).then(|| ContentHash::of(b"rendered"));
        let report = RolloutReport::Stepped { rendered, note: String::new(), down: None };
        world.report("roll out app", report);
    }
}

fn causes(world: &World) -> Vec<RolloutCause> {
    let started = world.journal.iter().filter_map(|record| match &record.fact {
        Fact::RolloutStarted(started) => Some(started.cause),
        _ => None,
    });
    started.collect()
}

/// R17b, T8, D22, T25: an edit of the template always rolls out; what fails is put back and held until something changes.
#[test]
fn r017b_an_edit_of_the_template_rolls_out_and_a_failure_is_put_back_and_held() {
    let mut policy = World::policy();
    policy.hosts.insert("none".parse().unwrap());
    let mut world = World::with(policy);
    world.commit(APP);
    world.resolve("r.io/web:1", "a");
    until(&mut world, None);
    world.commit(&format!("{APP} env=2"));
    until(&mut world, Some(Checking));
    let report = RolloutReport::Failed { reason: "unhealthy".into(), log: String::new() };
    world.report("roll out app", report);
    assert_eq!(asked(&world), Some(RollingBack));
    until(&mut world, None);
    let ends = world.journal.iter().filter_map(|record| match &record.fact {
        Fact::RolloutFinished(end) => Some((end.outcome, end.rolled_back)),
        _ => None,
    });
    let failed = (Outcome::Failed, Some(true));
    assert_eq!(ends.collect::<Vec<_>>(), [(Outcome::Complete, None), failed]);
    world.restart();
    assert_eq!(asked(&world), None);
    assert!(world.held().contains("failed with these digests: unhealthy"), "{}", world.held());
    world.commit(&format!("{APP} env=3"));
    until(&mut world, None);
    moves(&mut world, "b");
    until(&mut world, None);
    use RolloutCause::{ConfigChange, ImageChange};
    assert_eq!(causes(&world), [ConfigChange, ConfigChange, ConfigChange, ImageChange]);
}
