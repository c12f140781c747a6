//! What makes a rollout other than what is wanted, as this program sees it and, if it is to, as OpenShift does.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::Workload;
use crate::fact::{ContainerList, ContainerRef, RolloutCause, RolloutImage};
use crate::names::Kind;
use crate::observed::rollout::Rollout;

use super::Wanted;

impl Wanted {
    /// What makes a rollout of a workload other than this (rules D19 to D21); `strict` as OpenShift sees it.
    #[must_use]
    pub fn cause(
        &self,
        workload: &Workload,
        rollout: &Rollout,
        strict: bool,
    ) -> Option<RolloutCause> {
        if strict {
            return self.cause_in_openshift(workload, rollout);
        }
        if self.images_differ(rollout) {
            return Some(RolloutCause::ImageChange);
        }
        let template = workload.config_change && self.template_differs(rollout);
        template.then_some(RolloutCause::ConfigChange)
    }

    /// Without D21a, D21b and T18: references count, not digests; a `DeploymentConfig` with any image trigger compares the
    /// set of the images of its regular containers, and leaves the rest to its `ConfigChange`.
    fn cause_in_openshift(&self, workload: &Workload, rollout: &Rollout) -> Option<RolloutCause> {
        // What was looked up by name stays as it was until the manifest changes (rule L7).
        let own = |image: &&RolloutImage| image.lookup.is_none();
        let by_container = |images: &[RolloutImage]| -> BTreeMap<ContainerRef, String> {
            let pair = |image: &RolloutImage| (image.container.clone(), image.reference.clone());
            images.iter().filter(own).map(pair).collect()
        };
        let (new, old) = (by_container(&self.images), by_container(&rollout.started.images));
        let template = workload.config_change && (self.template_differs(rollout) || new != old);
        if workload.object.kind != Kind::DeploymentConfig {
            let image =
                self.triggered.keys().any(|container| new.get(container) != old.get(container));
            let template = template.then_some(RolloutCause::ConfigChange);
            return if image { Some(RolloutCause::ImageChange) } else { template };
        }
        let set = |images: &BTreeMap<ContainerRef, String>| -> BTreeSet<String> {
            let regular = images.iter().filter(|(c, _)| c.list == ContainerList::Regular);
            regular.map(|(_, reference)| reference.clone()).collect()
        };
        if !workload.triggers.is_empty() && set(&new) != set(&old) {
            return Some(RolloutCause::ImageChange);
        }
        template.then_some(RolloutCause::ConfigChange)
    }
}
