//! Services of git are names in the network of podman (rule R17a).

use tidegate::action::ImportOrder;
use tidegate::control::{Question, Reply};
use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::machine::Machine;
use crate::support::podman::{Podman, Program, alone};

fn workload(name: &str, stream: &str) -> String {
    format!(
        "---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: 1
  strategy: {{type: Rolling, rollingParams: {{timeoutSeconds: 8}}}}
  triggers:
  - type: ImageChange
    imageChangeParams: {{automatic: true, containerNames: [main], from: {{kind: ImageStreamTag, name: '{stream}:latest'}}}}
  template:
    metadata: {{labels: {{app: shop, part: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: ' '
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"
    )
}

fn service(name: &str, selector: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{selector: {{{selector}}}, ports: [{{port: 8080}}]}}\n"
    )
}

fn manifests(registry: &str, services: &str) -> String {
    let stream = |name: &str| {
        format!(
            "---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: {name}, namespace: shop}}
spec: {{tags: [{{name: latest, from: {{kind: DockerImage, name: '{registry}/shop/{name}:latest'}}, importPolicy: {{insecure: true}}}}]}}
"
        )
    };
    let workloads = [workload("web", "web"), workload("api", "api")].concat();
    [stream("web"), stream("api"), workloads, services.to_owned()].concat()
}

/// Asks for the addresses that a name leads to.
fn question(name: &str) -> String {
    let addresses = "busybox awk '/^Name:/ {n = 1} n && /^Address/ {print $NF}'";
    format!("busybox nslookup {name} | {addresses} | busybox sort -u")
}

/// How many pods each of these names leads to.
fn led_to(podman: &Podman, names: &[&str]) -> Vec<usize> {
    let image = podman.run(&["container", "inspect", "--format", "{{.ImageName}}", "api-0-main"]);
    let look = |name: &str| {
        let run = ["run", "--rm", "--network", "shop", &image, "/bin/sh", "-c", &question(name)];
        podman.run(&run).lines().filter(|line| !line.is_empty()).count()
    };
    names.iter().map(|name| look(name)).collect()
}

#[test]
fn r017a_a_service_is_a_name_of_what_it_selects_and_moves_with_it() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    podman.push("shop/web:latest", "v1", Program::Healthy);
    podman.push("shop/api:latest", "v1", Program::Healthy);
    podman.run(&["network", "create", "shop"]);
    let repo = Repo::new();
    let registry = podman.registry.address();
    let front = service("front", "app: shop");
    let only = |name: &str| service(name, "app: shop, part: web");
    repo.write(
        "web.yaml",
        manifests(&registry, &[front.clone(), only("site"), only("web")].concat()),
    )
    .commit("the shop");
    let toml = format!(
        "[targets.here]\nkind = \"podman\"\nprogram = {:?}\nnetwork = \"shop\"\n[routes]\ndefault = \"here\"\n",
        podman.program().display()
    );
    let mut host = Host::new(repo.path(), &toml);
    host.start();
    let finished = |count: usize| {
        eventually(&format!("rollout {count}; {}", host.story()), || {
            let mut ends = host.records().into_iter().filter_map(|record| match record.fact {
                Fact::RolloutFinished(end) => Some((end.outcome, end.rolled_back)),
                _ => None,
            });
            ends.nth(count - 1)
        })
    };
    assert_eq!([finished(1).0, finished(2).0], [Outcome::Complete; 2], "{}", host.story());
    assert_eq!(led_to(&podman, &["web", "site", "front", "late"]), [1, 1, 2, 0]);

    // With the next rollout, and not if that fails.
    let text = manifests(&registry, &[front, only("late")].concat());
    repo.write("web.yaml", text).commit("another name");
    let moves = |version, program| {
        podman.push("shop/web:latest", version, program);
        let (stream, tags) = ("shop/web".parse().unwrap(), vec!["latest".parse().unwrap()]);
        let order = ImportOrder { stream, tags, repository: false, commit: None };
        let reply = host.ask(&Question::Import(order));
        assert!(matches!(reply, Some(Reply::Done(_))), "{reply:?}");
    };
    host.wait_for(
        "the commit",
        |fact| matches!(fact, Fact::CommitAdopted(adopted) if adopted.companions == 2),
    );
    assert_eq!(led_to(&podman, &["site", "late"]), [1, 0]);
    moves("v2", Program::NeverReady);
    assert_eq!(finished(3), (Outcome::Failed, Some(true)), "{}", host.story());
    assert_eq!(led_to(&podman, &["web", "site", "front", "late"]), [1, 1, 2, 0]);
    moves("v3", Program::Healthy);
    assert_eq!(finished(4).0, Outcome::Complete, "{}", host.story());
    assert_eq!(led_to(&podman, &["web", "site", "front", "late"]), [1, 0, 2, 1]);
}

/// R17a: a unit has the names of its Services, and podman's generator passes them on.
#[test]
fn r017a_a_service_is_a_name_of_a_unit_as_well() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    podman.push("shop/web:latest", "v1", Program::Healthy);
    podman.push("shop/api:latest", "v1", Program::Healthy);
    let repo = Repo::new();
    let registry = podman.registry.address();
    let services = [service("front", "app: shop"), service("site", "part: web")].concat();
    repo.write("web.yaml", manifests(&registry, &services)).commit("the shop");
    let settings =
        "[targets.units]\nkind = \"quadlet\"\nnetwork = \"shop\"\n[routes]\ndefault = \"units\"\n";
    let Some(machine) = Machine::new(repo.path(), &registry, settings) else { return };
    machine.boot();
    machine.run(&["podman", "network", "create", "shop"]);
    machine.start_daemon();
    eventually(&format!("both rollouts; {}", machine.story()), || {
        let complete = |fact: &Fact| matches!(fact, Fact::RolloutFinished(end) if end.outcome == Outcome::Complete);
        (machine.count(complete) == 2).then_some(())
    });
    let unit = machine.unit("web.kube").unwrap();
    assert!(unit.contains("\nNetwork=shop:alias=web,alias=front,alias=site\n"), "{unit}");
    let unit = machine.unit("api.kube").unwrap();
    assert!(unit.contains("\nNetwork=shop:alias=api,alias=front\n"), "{unit}");
    let image = ["podman", "container", "inspect", "--format", "{{.ImageName}}", "api-0-main"];
    let image = machine.run(&image).trim().to_owned();
    for (name, count) in [("web", 1), ("api", 1), ("site", 1), ("front", 2)] {
        let run = ["podman", "run", "--rm", "--network", "shop", &image, "/bin/sh", "-c"];
        let answer = machine.run(&[&run[..], &[&question(name)]].concat());
        let addresses = answer.lines().filter(|line| !line.trim().is_empty()).count();
        assert_eq!(addresses, count, "{name}: {answer}");
    }
}
