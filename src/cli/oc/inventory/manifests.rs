//! Objects of the adopted commit that are shown as git has them.

use serde_json::{Value, json};

use super::Inventory;
use crate::cli::offline::Shown;
use crate::names::{Kind, ObjectKey};

impl Inventory {
    /// The `DeploymentConfig`s of the adopted commit, with the revision that was rolled out last.
    pub(super) fn deployment_configs(&self) -> Vec<Value> {
        let Some(Shown { desired, observed, .. }) = &self.journal else { return Vec::new() };
        let workloads = desired.workloads.values();
        let ours = workloads.filter(|workload| workload.object.kind == Kind::DeploymentConfig);
        let made = ours.filter_map(|workload| {
            let mut object = self.manifest(&workload.object, &workload.manifest)?;
            let state = observed.workloads.get(&workload.object);
            let revision = state.map_or(0, |state| state.latest_revision.0);
            object.as_object_mut()?.insert("status".into(), json!({"latestVersion": revision}));
            Some(object)
        });
        made.collect()
    }

    /// The `BuildConfig`s of the adopted commit.
    pub(super) fn build_configs(&self) -> Vec<Value> {
        let Some(Shown { desired, .. }) = &self.journal else { return Vec::new() };
        let builds = desired.builds.values();
        builds.filter_map(|build| self.manifest(&build.object, &build.manifest)).collect()
    }

    /// An object of the adopted commit, if it is looked at.
    fn manifest(&self, key: &ObjectKey, manifest: &str) -> Option<Value> {
        let namespace = key.namespace.as_str();
        if self.namespace.as_ref().is_some_and(|own| own != namespace) {
            return None;
        }
        let mut object: Value = serde_json::from_str(manifest).ok()?; // `desired` made it
        let meta = object.get_mut("metadata")?.as_object_mut()?;
        meta.insert("namespace".into(), namespace.into());
        let labels = meta.get("labels").cloned().unwrap_or_default();
        let labels = serde_json::from_value(labels).unwrap_or_default();
        self.selector.matches(&labels).then_some(object)
    }
}
