//! Objects that are no part of the image API: workloads as they are in force, what their rollouts stand for, and other
//! manifests as the adopted commit has them.

use serde_json::{Value, json};

use super::Inventory;
use super::fired::fired;
use crate::api::Time;
use crate::cli::oc::resource::Resource;
use crate::cli::offline::{self, Shown};
use crate::config::Config;
use crate::desired::diagnostic::Diagnostic;
use crate::desired::{self, Companion, DesiredState};
use crate::effective::Known;
use crate::effective::building::Building;
use crate::effective::deployed::Deployed;
use crate::journal::ObjectStore;
use crate::names::{ContentHash, Kind, ObjectKey};
use crate::oc;
use crate::oc::deployment::Described;
use crate::plan::{self, HeldReason};
use crate::pods::Looks;

impl Inventory {
    /// The objects of a kind that are looked at, in the order of namespace and name.
    pub(super) fn others(&self, resource: Resource) -> Vec<Value> {
        let Some(shown) = &self.journal else { return Vec::new() };
        let store = ObjectStore::at(&shown.config.state_dir);
        let rolled = |hash: &ContentHash| store.get(hash).ok();
        let Shown { config, desired, observed, .. } = shown;
        // Nobody is asked for what no look tells.
        let nothing = Looks::new();
        let is_workload = resource.workload().is_some() && resource != Resource::CronJobs;
        let is_seen = is_workload
            || resource == Resource::Pods
            || resource == Resource::ReplicationControllers;
        let looks = if is_seen { self.looks(shown) } else { &nothing };
        let policy = &config.policy;
        let deployed = Deployed { desired, observed, policy, rolled: &rolled, looks };
        let rolled_out =
            || observed.workloads.keys().filter(|key| self.is_in(key.namespace.as_str()));
        let mut all: Vec<Value> = match resource {
            Resource::Pods => rolled_out().flat_map(|key| deployed.pods(key)).collect(),
            Resource::ReplicationControllers => {
                rolled_out().flat_map(|key| deployed.controllers(key)).collect()
            }
            Resource::BuildConfigs => {
                let building =
                    Building { known: Known { desired, observed, policy }, kept: &rolled };
                desired.builds.keys().filter_map(|key| building.config(key)).collect()
            }
            Resource::Builds => {
                let building =
                    Building { known: Known { desired, observed, policy }, kept: &rolled };
                let keys = observed.builds.keys();
                let keys = keys.filter(|key| self.is_in(key.namespace.as_str()));
                let mut all: Vec<Value> = keys.flat_map(|key| building.builds(key)).collect();
                all.retain(|object| self.is_shown(object));
                all.sort_by_cached_key(created); // rule C3
                return all;
            }
            Resource::Services | Resource::Routes => {
                let of_kind = desired.companions.iter().filter(|one| one.kind == resource.kind());
                of_kind.map(|companion| companion_of(companion)).collect()
            }
            Resource::DaemonSets
            | Resource::Deployments
            | Resource::StatefulSets
            | Resource::CronJobs
            | Resource::DeploymentConfigs => {
                let kind = resource.workload();
                let keys = desired.workloads.keys().filter(|key| Some(key.kind) == kind);
                let keys = keys.filter(|key| self.is_in(key.namespace.as_str()));
                keys.filter_map(|key| deployed.object(key)).collect()
            }
            Resource::ImageStreams
            | Resource::ImageStreamTags
            | Resource::ImageStreamImages
            | Resource::ImageTags
            | Resource::Images => Vec::new(),
        };
        all.retain(|object| self.is_shown(object));
        all.sort_by_cached_key(|object| {
            ["namespace", "name"]
                .map(|field| object.pointer(&format!("/metadata/{field}")).map(Value::to_string))
        });
        all
    }

    /// Describes a workload or a build, with what waits of it and what releases that.
    pub(in crate::cli::oc) fn described(&self, object: &Value) -> anyhow::Result<String> {
        if let Some(described) = self.described_build(object)? {
            return Ok(described);
        }
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let kind = Kind::from_word(text("/kind")).filter(|kind| kind.is_workload());
        let (Some(kind), Some(shown)) = (kind, &self.journal) else {
            anyhow::bail!("a {} is not described", text("/kind"));
        };
        let (namespace, name) =
            (text("/metadata/namespace").parse()?, text("/metadata/name").parse()?);
        let key = ObjectKey { kind, namespace, name };
        let store = ObjectStore::at(&shown.config.state_dir);
        let rolled = |hash: &ContentHash| store.get(hash).ok();
        let Shown { config, desired, observed, .. } = shown;
        let (policy, looks) = (&config.policy, self.looks(shown));
        let deployed = Deployed { desired, observed, policy, rolled: &rolled, looks };
        // What waits is planned, and that needs more than what is shown.
        let held = self.held_of(config, &key)?;
        let fired = match desired.workloads.get(&key) {
            Some(workload) if !workload.triggers.is_empty() => {
                fired(&config.state_dir, &key, self.now)?
            }
            _ => Vec::new(),
        };
        let misnamed = misnamed(desired, &key);
        let (controllers, pods) = (deployed.controllers(&key), deployed.pods(&key));
        let (events, triggers) = (deployed.events(&key), deployed.image_triggers(&key));
        let described = Described {
            object,
            controllers: &controllers,
            pods: &pods,
            events: &events,
            triggers: &triggers,
            fired: &fired,
            held: &held,
            misnamed: &misnamed,
            now: self.now,
        };
        Ok(match kind {
            Kind::Deployment => described.deployment(),
            Kind::StatefulSet => described.stateful_set(),
            Kind::DaemonSet => described.daemon_set(),
            Kind::CronJob => described.cron_job(),
            Kind::DeploymentConfig | Kind::Pod | Kind::ImageStream | Kind::BuildConfig => {
                described.config()
            }
        })
    }

    /// What waits of an object, in words.
    pub(super) fn held_of(&self, config: &Config, key: &ObjectKey) -> anyhow::Result<Vec<String>> {
        let offline = offline::open(config.clone())?;
        let held = plan::held(&offline.engine.view(offline.now));
        let held = held.iter().filter(|held| held.object == *key);
        Ok(held.map(|held| self.held(&held.reason)).collect())
    }

    fn held(&self, reason: &HeldReason) -> String {
        let text = reason.to_string().replace('\n', " ");
        if let HeldReason::Failed { since, .. } = reason {
            let ago = oc::ago(self.now, Time::of(*since)).to_lowercase();
            return format!("{text} (held {ago})");
        }
        text
    }

    fn is_in(&self, namespace: &str) -> bool {
        self.namespace.as_ref().is_none_or(|own| own == namespace)
    }

    fn is_shown(&self, object: &Value) -> bool {
        let meta = |field: &str| object.pointer(&format!("/metadata/{field}"));
        let namespace = meta("namespace").and_then(Value::as_str).unwrap_or_default();
        let labels = meta("labels").cloned().unwrap_or_default();
        let labels = serde_json::from_value(labels).unwrap_or_default();
        self.is_in(namespace) && self.selector.matches(&labels)
    }
}

/// Triggers of an object that name a container that there is not (rule D9).
fn misnamed(desired: &DesiredState, key: &ObjectKey) -> Vec<String> {
    let Some(workload) = desired.workloads.get(key) else { return Vec::new() };
    let own = format!("deploymentconfig/{} ", key.name);
    let is_own = |warning: &&Diagnostic| {
        warning.rule == desired::MISNAMED
            && warning.position.path == workload.position.path
            && warning.message.starts_with(&own)
    };
    let told = desired.warnings.iter().filter(is_own).map(|warning| match &warning.hint {
        Some(hint) => format!("{}; {hint}", warning.message),
        None => warning.message.clone(),
    });
    told.collect()
}

/// What builds are listed by: namespace, time and name.
fn created(object: &Value) -> [String; 3] {
    ["namespace", "creationTimestamp", "name"].map(|field| {
        let value = object.pointer(&format!("/metadata/{field}"));
        value.and_then(Value::as_str).unwrap_or_default().to_owned()
    })
}

/// A document of another kind, as far as it was kept.
fn companion_of(companion: &Companion) -> Value {
    let kept = companion.manifest.as_ref().and_then(|text| serde_json::from_str(text).ok());
    let mut object: Value = kept.unwrap_or_else(|| {
        json!({"apiVersion": companion.api_version, "kind": companion.kind, "metadata": {"name": companion.name}})
    });
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.insert("namespace".into(), json!(companion.namespace));
    }
    object
}
