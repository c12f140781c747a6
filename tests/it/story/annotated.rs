//! A Deployment with the triggers annotation on one host, with a real podman (rule R17b).

use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::stream;
use crate::support::stand::Stand;

fn manifests(registry: &str, path: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop}}
spec: {{tags: [{{name: latest, from: {{kind: DockerImage, name: '{registry}/shop/web:latest'}}, importPolicy: {{insecure: true}}}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: shop
  annotations:
    image.openshift.io/triggers: '[{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":\"web:latest\"}},\"fieldPath\":\"spec.template.spec.containers[?(@.name==\\\"main\\\")].image\"}}]'
spec:
  replicas: 2
  progressDeadlineSeconds: 6
  strategy: {{rollingUpdate: {{maxSurge: 1, maxUnavailable: 0}}}}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: ' '
        readinessProbe: {{httpGet: {{path: {path}, port: 8080}}, periodSeconds: 1}}
"
    )
}

#[test]
fn r017b_a_deployment_that_is_edited_into_something_that_never_gets_ready_is_put_back() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    podman.push("shop/web:latest", "v1", Program::Healthy);
    let repo = Repo::new();
    let registry = podman.registry.address();
    repo.write("web.yaml", manifests(&registry, "/healthz")).commit("the shop");
    let toml = format!(
        "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
        podman.program().display()
    );
    let mut host = Host::new(repo.path(), &toml);
    host.start();
    let finished = |count: usize| {
        eventually(&format!("rollout {count}; {}", host.story()), || {
            let mut ends = host.records().into_iter().filter_map(|record| match record.fact {
                Fact::RolloutFinished(end) => Some((end.outcome, end.rolled_back, end.reason)),
                _ => None,
            });
            ends.nth(count - 1)
        })
    };
    let complete = (Outcome::Complete, None, String::new());
    assert_eq!(finished(1), complete, "{}", host.story());
    let revisions = || {
        let format = "{{.Name}} {{.ID}}";
        let pods = podman.run(&["pod", "ps", "--sort", "name", "--format", format]);
        pods.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = revisions();
    assert_eq!(before.len(), 2, "{before:?}");
    repo.write("web.yaml", manifests(&registry, "/never")).commit("an edit");
    let (outcome, rolled_back, reason) = finished(2);
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert!(reason.starts_with("not healthy within 6s: "), "{reason}");
    assert_eq!(revisions(), before);
    assert!(host.text(&["status", "-n", "shop"]).contains("Failed"));
    repo.write("web.yaml", manifests(&registry, "/index.html")).commit("another edit");
    assert_eq!(finished(3), complete, "{}", host.story());
    assert_ne!(revisions(), before);
    // What is said of it is `logs` of what runs, whatever failed before.
    let logs = host.run(&["logs", "-n", "shop", "deploy/web", "--previous"]);
    assert!(logs.status.success());
}

/// T1, R17a: a Pod that carries the annotation is one instance, and another image replaces it; commands know it by its
/// name.
#[test]
fn t001_r017a_a_pod_follows_its_image() {
    let pod = |podman: &Podman| {
        format!(
            "{}---
apiVersion: v1
kind: Pod
metadata:
  name: web
  namespace: shop
  labels: {{app: web}}
  annotations:
    image.openshift.io/triggers: '[{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":\"web:latest\"}},\"fieldPath\":\"spec.containers[0].image\"}}]'
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: ' '
    readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
",
            stream(&podman.registry.address(), "web")
        )
    };
    let Some(mut stand) = Stand::open(Program::Healthy, pod) else { return };
    stand.begin();
    assert_eq!(stand.pods(), ["web-0 Running"]);
    let before = stand.pod_id("web-0");
    stand.moves("v2", Program::Healthy);
    stand.completes();
    assert_eq!(stand.pods(), ["web-0 Running"]);
    assert_ne!(stand.pod_id("web-0"), before);
    let status = stand.host.text(&["rollout", "status", "-n", "shop", "pod/web"]);
    assert!(status.ends_with("pod \"web\" successfully rolled out\n"), "{status}");
    for name in ["pod/web", "pod/web-0", "web-0"] {
        assert!(stand.host.run(&["logs", "-n", "shop", name]).status.success(), "{name}");
    }
    let history = ["rollout", "history", "-n", "shop", "pod/web", "--revision=2"];
    let history = stand.host.text(&history);
    assert!(history.contains("Labels:\tapp=web") && history.contains("@sha256:"), "{history}");
    let pods = stand.host.text(&["get", "pods", "-n", "shop"]);
    assert!(pods.lines().nth(1).is_some_and(|line| line.starts_with("web-0 ")), "{pods}");
}
