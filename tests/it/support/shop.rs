//! The shop of the stories with real containers: its manifests, its port, and what the journal says of its rollouts.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use tidegate::action::ImportOrder;
use tidegate::control::{Question, Reply};
use tidegate::fact::{Fact, Outcome, Record, RolloutStep};

use super::daemon::Host;

/// When a container of the shop is ready.
pub(crate) const READY: &str =
    "readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}";

/// What is said of a program that crashes: podman starts it again, and may have done so when it is looked at.
pub(crate) const ENDED: [&str; 2] = [
    "container web-0-main ended with exit status 3",
    "container web-0-main ended and was started again",
];

/// A `ConfigMap` and a `Secret` of the shop.
pub(crate) fn configs(colour: &str, password: &str) -> String {
    format!(
        "apiVersion: v1
kind: ConfigMap
metadata: {{name: app, namespace: shop}}
data: {{COLOUR: {colour}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: db, namespace: shop}}
stringData: {{password: {password}}}
"
    )
}

/// A workload of the shop, `DeploymentConfig`, that follows the tag `latest` of a stream with its name.
#[derive(Clone, Copy)]
pub(crate) struct Web<'a> {
    pub(crate) name: &'a str,
    /// In braces: `key: 'value', ...`.
    pub(crate) annotations: &'a str,
    pub(crate) labels: &'a str,
    pub(crate) replicas: u32,
    /// Lines below `spec`: the strategy, and what else there is.
    pub(crate) spec: &'a str,
    /// Whether a changed template rolls out.
    pub(crate) config_change: bool,
    pub(crate) grace: u32,
    /// Lines below the pod's `spec`.
    pub(crate) pod: &'a str,
    /// Lines of the container.
    pub(crate) container: &'a str,
}

impl Default for Web<'_> {
    fn default() -> Self {
        Self {
            name: "web",
            annotations: "",
            labels: "",
            replicas: 1,
            spec: "",
            config_change: false,
            grace: 3,
            pod: "",
            container: READY,
        }
    }
}

impl Web<'_> {
    /// The stream and the workload.
    pub(crate) fn yaml(&self, registry: &str) -> String {
        let Self { name, annotations, labels, replicas, grace, .. } = self;
        let config = if self.config_change { "  - type: ConfigChange\n" } else { "" };
        format!(
            "{}---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: {name}, namespace: shop, labels: {{{labels}}}, annotations: {{{annotations}}}}}
spec:
  replicas: {replicas}
{}  triggers:
{config}  - type: ImageChange
    imageChangeParams: {{automatic: true, containerNames: [main], from: {{kind: ImageStreamTag, name: '{name}:latest'}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      terminationGracePeriodSeconds: {grace}
{}      containers:
      - name: main
        image: ' '
{}",
            stream(registry, name),
            lines(2, self.spec),
            lines(6, self.pod),
            lines(8, self.container),
        )
    }
}

/// A stream of the shop whose tag `latest` follows that of the registry.
pub(crate) fn stream(registry: &str, name: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: {name}, namespace: shop}}
spec:
  tags:
  - name: latest
    from: {{kind: DockerImage, name: '{registry}/shop/{name}:latest'}}
    importPolicy: {{insecure: true}}
"
    )
}

fn lines(indent: usize, text: &str) -> String {
    let indent = " ".repeat(indent);
    text.lines().map(|line| format!("{indent}{line}\n")).collect()
}

/// Makes the daemon look at the tag of a stream of the shop now.
pub(crate) fn import(host: &Host, name: &str) {
    import_tag(host, name, "latest");
}

/// The same of another tag.
pub(crate) fn import_tag(host: &Host, name: &str, tag: &str) {
    let order = ImportOrder {
        stream: format!("shop/{name}").parse().unwrap(),
        tags: vec![tag.parse().unwrap()],
        repository: false,
        commit: None,
    };
    let reply = host.ask(&Question::Import(order));
    assert!(matches!(reply, Some(Reply::Done(_))), "{reply:?}");
}

/// What a port of this host serves; none where nothing does.
pub(crate) fn served(port: u16) -> Option<String> {
    served_within(port, Duration::from_secs(5))
}

/// The same with less patience: nobody ends a connection to what was killed.
pub(crate) fn served_within(port: u16, patience: Duration) -> Option<String> {
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&to, patience).ok()?;
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let (_, body) = text.rsplit_once("\r\n")?;
    Some(body.to_owned())
}

/// How a rollout ended: outcome, reason, and whether the one before runs.
pub(crate) type End = (Outcome, String, Option<bool>);

/// How the rollout of this number ended, counted from one; none before it did.
pub(crate) fn end_of(records: Vec<Record>, number: usize) -> Option<End> {
    let mut ends = records.into_iter().filter_map(|record| match record.fact {
        Fact::RolloutFinished(end) => Some((end.outcome, end.reason, end.rolled_back)),
        _ => None,
    });
    ends.nth(number - 1)
}

/// The steps of the last rollout.
pub(crate) fn last_steps(records: Vec<Record>) -> Vec<RolloutStep> {
    let mut steps = Vec::new();
    for record in records {
        match record.fact {
            Fact::RolloutStarted(_) => steps.clear(),
            Fact::RolloutStepped(stepped) => steps.push(stepped.step),
            _ => {}
        }
    }
    steps
}
