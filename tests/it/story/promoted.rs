//! A hook points a tag at what was rolled out, and what that tag triggers follows, with a real podman (rule D40.2).

use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};

fn workload(name: &str, from: &str, hook: &str) -> String {
    format!(
        "---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: {name}, namespace: shop}}
spec:
  replicas: 1
  strategy: {{type: Rolling, rollingParams: {{timeoutSeconds: 20{hook}}}}}
  triggers:
  - type: ImageChange
    imageChangeParams: {{automatic: true, containerNames: [main], from: {{kind: ImageStreamTag, name: '{from}'}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: ' '
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"
    )
}

#[test]
fn d040_2_what_was_rolled_out_is_tagged_and_rolls_out_what_follows_that_tag() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    podman.push("shop/web:latest", "v1", Program::Healthy);
    let repo = Repo::new();
    let registry = podman.registry.address();
    let stream = format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop}}
spec: {{tags: [{{name: latest, from: {{kind: DockerImage, name: '{registry}/shop/web:latest'}}}}]}}
"
    );
    let hook = ", post: {failurePolicy: Abort, tagImages: [{containerName: main, to: {kind: ImageStreamTag, name: 'web:prod'}}]}";
    let apps = [workload("test", "web:latest", hook), workload("prod", "web:prod", "")].concat();
    repo.write("web.yaml", format!("{stream}{apps}")).commit("the shop");
    let toml = format!(
        "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n\
         [registries.\"{registry}\"]\ninsecure = true\n",
        podman.program().display()
    );
    let mut host = Host::new(repo.path(), &toml);
    host.start();
    let ends = || -> Vec<(String, Outcome)> {
        let ends = host.records().into_iter().filter_map(|record| match record.fact {
            Fact::RolloutFinished(end) => Some((end.object.name.to_string(), end.outcome)),
            _ => None,
        });
        ends.collect()
    };
    let ends = eventually(&format!("both; {}", host.story()), || {
        Some(ends()).filter(|ends| ends.len() > 1)
    });
    let complete = |name: &str| (name.to_owned(), Outcome::Complete);
    assert_eq!(ends, [complete("test"), complete("prod")], "{}", host.story());
    let image = |pod: &str| {
        podman.run(&["container", "inspect", "--format", "{{.ImageName}}", &format!("{pod}-main")])
    };
    assert_eq!(image("test-0"), image("prod-0"));
    let status = host.text(&["status", "-n", "shop"]);
    assert!(status.contains("by the hook of rollout shop/test-1"), "{status}");
    let history = host.text(&["history", "-n", "shop", "web:prod"]);
    assert!(history.contains("by the hook of rollout shop/test-1"), "{history}");
}
