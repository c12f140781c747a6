//! What people do with it, from end to end: the real program, a real registry, real repositories.

mod annotated;
mod asked;
mod back;
mod blog;
mod builds;
mod builds_broken;
mod builds_isolated;
mod builds_s2i;
mod compose;
mod course;
mod daemon;
mod demo;
mod examples;
mod failure;
mod faults;
mod hooks;
mod integrated;
mod jobs;
mod kept;
mod kinds;
mod live;
mod logs;
mod lost_records;
pub(crate) mod main_job;
mod past;
pub(crate) mod play;
mod podman;
mod promoted;
mod pruning;
mod pushes;
mod quadlet;
mod quota;
mod readme;
mod seen;
mod services;
mod shown;
mod source;
mod swap;
mod tools;
mod units;
mod upkeep;
mod volumes;

/// A stream whose `latest` follows the tag of a registry, and an application that it triggers.
fn web_and_app(registry: &str, reference_policy: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop}}
spec:
  tags:
  - name: latest
    from: {{kind: DockerImage, name: '{registry}/team/web:latest'}}
    importPolicy: {{insecure: true}}
    referencePolicy: {{type: {reference_policy}}}
---
{}",
        app("web:latest")
    )
}

/// An application that a tag triggers.
fn app(tag: &str) -> String {
    format!(
        "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: app, namespace: shop}}
spec:
  triggers:
  - type: ImageChange
    imageChangeParams:
      automatic: true
      containerNames: [main]
      from: {{kind: ImageStreamTag, name: '{tag}'}}
  template:
    metadata: {{labels: {{app: app}}}}
    spec: {{containers: [{{name: main, image: ' '}}]}}
"
    )
}
