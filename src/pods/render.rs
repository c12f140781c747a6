//! What is played: one `Pod` for each instance, byte-stable, with nothing in it that podman would take for itself (R11).

use serde_json::{Map, Value, json};

use super::probe::is_health_check;
use super::{Pods, VERSIONS};
use crate::names::{Kind, Revision, RolloutKey};

/// Label of a pod: the object that it is of.
pub const LABEL_OBJECT: &str = "tidegate.dev/object";

/// Label of a pod: the key of the rollout that it is of.
pub const LABEL_ROLLOUT: &str = "tidegate.dev/rollout";

/// Label of a pod that is tried beside those of the object.
pub const LABEL_CHECK: &str = "tidegate.dev/check";

/// Label of the pod of a hook.
pub const LABEL_HOOK: &str = "tidegate.dev/hook";

/// Label of the pods of a run of a `CronJob`: the name of the job.
pub const LABEL_JOB: &str = "tidegate.dev/job";

/// Label of the pods of a run of a `CronJob`: which attempt at it, from 0.
pub const LABEL_ATTEMPT: &str = "tidegate.dev/attempt";

/// What separates two documents.
pub(super) const SEPARATOR: &str = "\n---\n";

/// Which pod of a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Instance {
    /// One that does the work.
    Ordinal(u32),
    /// The one that is tried before.
    Check,
}

/// The documents of a rendered file, one for each instance.
#[must_use]
pub fn documents(rendered: &str) -> Vec<&str> {
    rendered.split(SEPARATOR).filter(|document| !document.trim().is_empty()).collect()
}

impl Pods {
    /// All instances of a revision, as one file.
    #[must_use]
    pub fn render(&self, key: &RolloutKey, revision: Revision) -> String {
        let one = |ordinal| self.pod(Instance::Ordinal(ordinal), key, revision);
        (0..self.replicas).map(one).collect::<Vec<_>>().join(SEPARATOR)
    }

    /// All instances of a revision, those that run as they were put together before.
    #[must_use]
    pub fn rescaled(&self, runs: &str, rendered: &str) -> String {
        let (runs, rendered) = (documents(runs), documents(rendered));
        let added = rendered.iter().skip(runs.len());
        let kept = runs.iter().take(rendered.len());
        kept.chain(added).copied().collect::<Vec<_>>().join(SEPARATOR)
    }

    /// One instance, as JSON, which is YAML.
    #[must_use]
    pub fn pod(&self, instance: Instance, key: &RolloutKey, revision: Revision) -> String {
        let name = match instance {
            Instance::Ordinal(ordinal) => self.name(ordinal),
            Instance::Check => self.check_name(),
        };
        let mut labels = self.template.pointer("/metadata/labels").cloned().unwrap_or_default();
        let ours = [(LABEL_OBJECT, self.object.to_string()), (LABEL_ROLLOUT, key.to_string())];
        // Rule D11.
        let openshifts = (self.object.kind == Kind::DeploymentConfig).then(|| {
            [
                ("deploymentconfig", self.object.name.to_string()),
                ("deployment", format!("{}-{}", self.object.name, revision.0)),
            ]
        });
        let openshifts = openshifts.into_iter().flatten();
        let check = (instance == Instance::Check).then(|| (LABEL_CHECK, "true".to_owned()));
        put(&mut labels, ours.into_iter().chain(openshifts).chain(check));
        let annotations = self.annotations([("tidegate.dev/revision", revision.0.to_string())]);
        let mut spec = self.template.get("spec").cloned().unwrap_or_default();
        for list in ["initContainers", "containers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                self.container(container, instance);
            }
        }
        if instance != Instance::Check {
            self.undeclared(&mut spec);
        }
        if let Instance::Ordinal(ordinal) = instance {
            self.claim(&mut spec, ordinal);
        }
        if let Some(spec) = spec.as_object_mut() {
            // Images are pulled with our logins, before anything is stopped.
            spec.remove("imagePullSecrets");
            if self.runs_init_once() {
                spec.insert("restartPolicy".into(), "OnFailure".into());
            }
        }
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": name, "labels": labels, "annotations": annotations },
            "spec": spec,
        });
        pod.to_string()
    }

    /// The annotations of the template and ours, with the versions of secrets and config maps that are mounted.
    pub(super) fn annotations<const N: usize>(&self, ours: [(&str, String); N]) -> Value {
        let mut annotations =
            self.template.pointer("/metadata/annotations").cloned().unwrap_or_default();
        put(&mut annotations, ours);
        let versions: Vec<&str> = self.versions.iter().map(|one| one.name.as_str()).collect();
        if !versions.is_empty() {
            put(&mut annotations, [(VERSIONS, versions.join(","))]);
        }
        annotations
    }

    pub(super) fn container(&self, container: &mut Value, instance: Instance) {
        let Some(fields) = container.as_object_mut() else { return };
        fields.insert("imagePullPolicy".into(), "IfNotPresent".into());
        // Asked by us; some versions of podman know the name and do something else.
        for key in ["readinessProbe", "startupProbe", "lifecycle"] {
            fields.remove(key);
        }
        if !fields.get("livenessProbe").is_some_and(is_health_check) {
            fields.remove("livenessProbe");
        }
        let ports = fields.entry("ports").or_insert_with(|| json!([]));
        if let Some(ports) = ports.as_array_mut() {
            self.ports(ports, instance);
            // Podman 4 opens a port of the host for each that is named without one, with the same number.
            ports.retain(|port| {
                port.get("hostPort").and_then(Value::as_u64).is_some_and(|port| port != 0)
            });
            if ports.is_empty() {
                fields.remove("ports");
            }
        }
    }

    /// The volumes that an instance has of its own, each in the place of one of its name that all would have.
    fn claim(&self, spec: &mut Value, ordinal: u32) {
        let Some(spec) = spec.as_object_mut().filter(|_| !self.claims.is_empty()) else { return };
        let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
        let Some(volumes) = volumes.as_array_mut() else { return };
        for claim in &self.claims {
            let is_it = |volume: &Value| volume.get("name").and_then(Value::as_str) == Some(claim);
            volumes.retain(|volume| !is_it(volume));
            let name = format!("{claim}-{}-{ordinal}", self.object.name);
            volumes.push(json!({"name": claim, "persistentVolumeClaim": {"claimName": name}}));
        }
    }

    /// Ports that are published and that no container names: the first container is meant.
    fn undeclared(&self, spec: &mut Value) {
        let named = |port: u16| {
            let ports = self.containers().filter_map(|one| one.get("ports")?.as_array()).flatten();
            let mut numbers = ports.filter_map(|port| port.get("containerPort")?.as_u64());
            numbers.any(|number| number == u64::from(port))
        };
        let missing = self.publish.iter().filter(|one| !named(one.container));
        let missing = missing.map(|one| match &one.address {
            Some(address) => {
                json!({"containerPort": one.container, "hostPort": one.host, "hostIP": address})
            }
            None => json!({"containerPort": one.container, "hostPort": one.host}),
        });
        let missing: Vec<_> = missing.collect();
        let first = spec.pointer_mut("/containers/0").and_then(Value::as_object_mut);
        let Some(first) = first.filter(|_| !missing.is_empty()) else { return };
        let ports = first.entry("ports").or_insert_with(|| json!([]));
        if let Some(ports) = ports.as_array_mut() {
            ports.extend(missing);
        }
    }

    /// What is tried publishes nothing; the others publish what the manifest and the annotation say.
    fn ports(&self, ports: &mut [Value], instance: Instance) {
        for port in ports {
            let Some(fields) = port.as_object_mut() else { continue };
            if instance == Instance::Check {
                fields.remove("hostPort");
                fields.remove("hostIP");
                continue;
            }
            let number = fields.get("containerPort").and_then(Value::as_u64);
            let is_it = |container: u16| number == Some(u64::from(container));
            if let Some(publish) = self.publish.iter().find(|one| is_it(one.container)) {
                fields.insert("hostPort".into(), publish.host.into());
                if let Some(address) = &publish.address {
                    fields.insert("hostIP".into(), address.clone().into());
                }
            }
        }
    }
}

/// Puts texts into an object, which is made if there is none.
pub(super) fn put<'a>(object: &mut Value, texts: impl IntoIterator<Item = (&'a str, String)>) {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    if let Some(fields) = object.as_object_mut() {
        fields.extend(texts.into_iter().map(|(key, text)| (key.to_owned(), Value::String(text))));
    }
}
