//! Podman's health checks, run by us where nobody else runs them (rule R5).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::podman;
use super::{Expected, TargetConfig, Targets};
use crate::names::{ObjectKey, TargetName};
use crate::pods::{documents, health_checks};

/// A health check that is asked again and again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Check {
    target: TargetName,
    object: ObjectKey,
    container: String,
    /// How often.
    pub period: Duration,
}

impl Targets {
    /// Whether pods run at any of them that no systemd looks after.
    #[must_use]
    pub fn have_podman(&self) -> bool {
        self.0.targets.values().any(|target| matches!(target, TargetConfig::Podman(_)))
    }

    /// The health checks of what runs at podman targets. Those of units are asked by systemd.
    pub async fn checks(&self, expected: &[Expected]) -> BTreeSet<Check> {
        let mut checks = BTreeSet::new();
        for Expected { object, target, rendered } in expected {
            if !matches!(self.0.targets.get(target), Some(TargetConfig::Podman(_))) {
                continue;
            }
            let Ok(rendered) = self.read_text(*rendered).await else { continue };
            for (container, period) in documents(&rendered).into_iter().flat_map(health_checks) {
                let (target, object) = (target.clone(), object.clone());
                checks.insert(Check { target, object, container, period });
            }
        }
        checks
    }

    /// Asks once. What comes of it podman keeps with the container, and starts it again where the probe failed too often.
    pub async fn check(&self, check: &Check, until: &CancellationToken) {
        let Check { target, object, container, .. } = check;
        let Some(TargetConfig::Podman(target)) = self.0.targets.get(target) else { return };
        let asked = podman::check_health(target, &self.0.locks, object, container, until);
        match asked.await {
            Ok(false) => {}
            Ok(true) => tracing::info!(%object, container, "podman ended its pod; it runs again"),
            Err(why) => tracing::debug!(%object, container, why, "a liveness probe failed"),
        }
    }
}
