//! What a workload is called in its network, and what nobody serves on a host (rule R17a).

use std::collections::BTreeMap;

use tidegate::action::{Action, RolloutReport, StepOrder};
use tidegate::desired::diagnostic::Severity;
use tidegate::desired::parse_file;
use tidegate::fact::{Fact, RolloutStep};
use tidegate::names::ContentHash;
use tidegate::policy::Policy;

use crate::support::engine::World;
use crate::support::manifest;
use crate::support::start::{APP, moves};

fn policy() -> Policy {
    let mut policy = World::policy();
    policy.hosts.insert("none".parse().unwrap());
    policy
}

/// The application and a Service of this name that selects it.
fn files(service: &str) -> BTreeMap<String, String> {
    let mut files = manifest::files(APP);
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {service}, namespace: shop}}\n\
         spec: {{selector: {{deploymentconfig: app}}, ports: [{{port: 80}}]}}\n"
    );
    files.insert("service.yaml".into(), text);
    files
}

fn asked(world: &World) -> Option<StepOrder> {
    world.actions.values().find_map(|action| match action {
        Action::RollOut(request) => request.step.clone(),
        _ => None,
    })
}

fn all_done(world: &mut World) {
    while let Some(order) = asked(world) {
        let rendered = (order.step == RolloutStep::Pulling).then(|| ContentHash::of(b"rendered"));
        let report = RolloutReport::Stepped { rendered, note: String::new(), down: None };
        world.report("roll out app", report);
    }
}

/// R17a: the Services of the commit name what is rolled out; one that comes or goes does so with the next rollout, and
/// what is put back has the names that it had.
#[test]
fn r017a_services_name_a_workload_from_its_next_rollout_on() {
    let mut world = World::with(policy());
    world.commit_files(files("front"));
    world.resolve("r.io/web:1", "a");
    assert_eq!(asked(&world).unwrap().names, ["front"]);
    all_done(&mut world);
    world.commit_files(files("late"));
    assert_eq!(world.pending(), "", "a Service rolls nothing out");
    moves(&mut world, "b");
    let order = asked(&world).unwrap();
    assert_eq!(
        (&order.names[..], &order.previous.unwrap().names[..]),
        (&["late".into()][..], &["front".into()][..])
    );
    all_done(&mut world);
    world.restart();
    let started = world.journal.iter().filter_map(|record| match &record.fact {
        Fact::RolloutStarted(started) => Some(started.names.join(",")),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>(), ["front", "late"]);
    let said = world
        .rollout("DeploymentConfig/shop/app", tidegate::action::RolloutVerb::Undo { to: None });
    assert!(said.contains("ordered") || said.contains("done"), "{said}");
    assert_eq!(asked(&world).unwrap().names, ["front"]);
}

/// R17a: a Route or an Ingress is noted where workloads run on a host, and holds nothing.
#[test]
fn r017a_what_no_host_serves_is_a_note() {
    for (kind, version) in [("Route", "route.openshift.io/v1"), ("Ingress", "networking.k8s.io/v1")]
    {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: web}}\n");
        let read =
            |policy: &Policy| parse_file("web.yaml", text.as_bytes(), None, policy).diagnostics;
        assert_eq!(read(&World::policy()), []);
        let [note] = &read(&policy())[..] else { panic!() };
        assert_eq!((note.severity, note.rule.as_str()), (Severity::Note, "R17a"));
        assert!(note.message.contains("unsupported on this backend"), "{note:?}");
    }
}
