//! A workload as the pods of one host: what its manifest asks for there (section 8 of the triggers specification). Pure.
//!
//! A host runs pods, and knows no `DeploymentConfig`, `Deployment` or `StatefulSet` (rule R8). What they mean is said
//! here: which steps a rollout takes ([`Pods::course`]), what is played ([`Pods::render`]) or written as units of systemd
//! ([`Pods::units`]), when it is healthy ([`Pods::probes`]), and when a `CronJob` runs ([`cron`](fn@cron)). It reads the
//! manifest as it was rolled out, so that a restart, a restore and a test see the same. What a host was seen to run is a
//! [`Look`].

mod config;
mod cron;
mod hook;
mod probe;
mod render;
mod rolling;
mod seen;
mod spec;
mod unit;

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use crate::fact::RolloutStep;
use crate::names::{Kind, ObjectKey};
use crate::sabotage::{self, Bug};

pub use crate::fact::FailurePolicy;
pub use config::{
    ConfigName, Configs, Contents, Holding, SourceKind, Summary, VERSIONS, Version,
    names as config_names,
};
pub use cron::{cron, job_pod_name};
pub use hook::{Hook, HookEnd, hook_said, hooks_of, is_custom};
pub use probe::{Handler, Probe, Purpose, health_checks};
pub use render::{
    Instance, LABEL_ATTEMPT, LABEL_CHECK, LABEL_HOOK, LABEL_JOB, LABEL_OBJECT, LABEL_ROLLOUT,
    documents,
};
pub use rolling::{Budget, Scales};
pub use seen::{Astray, ContainerState, How, Look, Looks, Part, SeenContainer, SeenPod, ailing};
pub(crate) use spec::is_of_object;
pub use unit::{Units, is_updated_by_podman, owner_of_unit, unit_paths};

/// Characters that are told of a manifest.
const TOLD_CHARS_MAX: usize = 1_000;

/// Why something cannot run on one host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsupported(String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a workload is on a host.
#[derive(Clone, PartialEq, Debug)]
pub struct Pods {
    /// The object.
    pub object: ObjectKey,
    /// How many instances run.
    pub replicas: u32,
    /// How one revision takes the place of another.
    pub strategy: Strategy,
    /// How long an instance is ready before it counts as available (rule D39b).
    pub min_ready: Duration,
    /// Time without progress before a rollout is given up (rule R6).
    pub timeout: Duration,
    /// Time for the whole rollout, by the wall clock (rule D39a).
    pub deadline: Duration,
    /// How long a program may take to end.
    pub grace: Duration,
    /// How many instances may be missing or too many while they are replaced one after the other (rule D36).
    budget: Budget,
    /// How long after new ones were started old ones may end (rule D36).
    pub update_period: Duration,
    /// Why a second instance cannot run beside the first (rule R12); none where it can.
    pub exclusive: Option<String>,
    /// The images of how many revisions are kept, at least of two (rule R7).
    pub history: usize,
    /// What runs before, between and after.
    hooks: hook::Hooks,
    /// Ports of the host: `tidegate.dev/publish`.
    publish: Vec<Publish>,
    /// Whether a new revision is tried beside the old one: `tidegate.dev/verify`.
    verify: bool,
    /// Volumes that each instance has of its own: the names of `volumeClaimTemplates` (rule R17a).
    claims: Vec<String>,
    /// What the template needs of `ConfigMap`s and `Secret`s, until it is put in their place.
    needs: Vec<config::Need>,
    /// What stands in their place on the host.
    versions: Vec<Version>,
    /// The pod template.
    template: Value,
}

/// How one revision takes the place of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// The new one is seen to be healthy before the old one ends, where a host can run both.
    Rolling,
    /// The old one ends first.
    Recreate,
}

/// A port of the host that leads to one of a container.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Publish {
    address: Option<String>,
    host: u16,
    container: u16,
}

impl Pods {
    /// Reads a manifest as it was rolled out, of this object.
    ///
    /// # Errors
    /// What it asks for that a host does not do.
    pub fn read(object: &ObjectKey, manifest: &[u8]) -> Result<Self, Unsupported> {
        spec::read(object, manifest)
    }

    /// The same with another number of instances (rule D22).
    ///
    /// # Errors
    /// When there cannot be so many.
    pub fn scaled(mut self, to: u32) -> Result<Self, Unsupported> {
        self.replicas = to;
        spec::check(&self)?;
        Ok(self)
    }

    /// The steps of a rollout (rules R3, R13 to R15); `first` where nothing of the object runs there.
    #[must_use]
    pub fn course(&self, first: bool) -> Vec<RolloutStep> {
        let all = [
            RolloutStep::Pulling,
            RolloutStep::PreHook,
            RolloutStep::Verifying,
            RolloutStep::StoppingOld,
            RolloutStep::MidHook,
            RolloutStep::Updating,
            RolloutStep::StartingNew,
            RolloutStep::Checking,
            RolloutStep::PostHook,
        ];
        let is_taken = |step: &RolloutStep| match step {
            RolloutStep::Pulling => true,
            RolloutStep::Verifying => !first && self.is_verified(),
            RolloutStep::Updating => !first && self.is_rolled(),
            RolloutStep::StoppingOld => !first && !self.is_rolled(),
            RolloutStep::StartingNew | RolloutStep::Checking => first || !self.is_rolled(),
            RolloutStep::PreHook | RolloutStep::MidHook | RolloutStep::PostHook => {
                self.hook(*step).is_some()
            }
            RolloutStep::RollingBack => false,
        };
        all.into_iter().filter(is_taken).collect()
    }

    /// Whether a new revision is tried beside the old one before that is stopped (rule R13).
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verify
            && self.strategy == Strategy::Rolling
            && self.replicas > 0
            && self.exclusive.is_none()
    }

    /// Whether instances are replaced a few at a time (rule R14); where there is but one, all at once is the same.
    fn is_rolled(&self) -> bool {
        self.strategy == Strategy::Rolling && self.replicas > 1 && !sabotage::is(Bug::StopToUpdate)
    }

    /// How many instances may be missing or too many while they are replaced (rules D36, R14).
    #[must_use]
    pub fn budget(&self) -> Budget {
        let is_ordered = self.object.kind == Kind::StatefulSet;
        if self.exclusive.is_some() || is_ordered {
            self.budget.without_surge()
        } else {
            self.budget
        }
    }

    /// Whether the last instance is replaced first, as Kubernetes does it where they are told apart (rule R17a).
    #[must_use]
    pub fn descends(&self) -> bool {
        self.object.kind == Kind::StatefulSet
    }

    /// The name of one of its pods (rule R11).
    #[must_use]
    pub fn name(&self, ordinal: u32) -> String {
        format!("{}-{ordinal}", self.object.name)
    }

    /// The names of its pods (rule R11).
    pub fn names(&self) -> impl Iterator<Item = String> {
        (0..self.replicas).map(|ordinal| self.name(ordinal))
    }

    /// The names of its init containers.
    pub fn init_containers(&self) -> impl Iterator<Item = &str> {
        let list = self.template.pointer("/spec/initContainers").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|one| one.get("name")?.as_str())
    }

    /// Whether its init containers would run again and again: podman before 4.6 starts them as often as all others, and
    /// ends that when it happens to look while none runs (podman#16343).
    fn runs_init_once(&self) -> bool {
        let policy = self.template.pointer("/spec/restartPolicy").and_then(Value::as_str);
        matches!(policy, None | Some("" | "Always")) && self.init_containers().next().is_some()
    }

    /// What of the template is not done on a host, though nothing refuses it (rule R9).
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        let names = |has: fn(&Value) -> bool| {
            let found = self.containers().filter(|one| has(one));
            let names: Vec<&str> = found.filter_map(|one| one.get("name")?.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let lifecycle = names(|one| one.get("lifecycle").is_some_and(|found| !found.is_null()));
        let lifecycle = lifecycle.map(|names| format!("podman runs no `lifecycle` of {names}"));
        let liveness = names(|one| {
            let probe = one.get("livenessProbe").filter(|found| !found.is_null());
            probe.is_some_and(|probe| !probe::is_health_check(probe))
        });
        let liveness = liveness.map(|names| {
            format!("the `livenessProbe` of {names} is not asked, as podman has only `exec` without help of the image")
        });
        let once = self.runs_init_once().then(|| {
            "podman has init containers run once only where a container that ends with 0 is not started again".to_owned()
        });
        let all: Vec<String> = lifecycle.into_iter().chain(liveness).chain(once).collect();
        (!all.is_empty()).then(|| plain(&all.join("; ")))
    }

    /// The names of all its containers, init containers first.
    pub fn all_containers(&self) -> impl Iterator<Item = &str> {
        self.containers().filter_map(|one| one.get("name")?.as_str())
    }

    /// The images that run here, each once.
    #[must_use]
    pub fn images(&self) -> std::collections::BTreeSet<&str> {
        if let Some(image) = self.custom_image() {
            return [image].into();
        }
        self.containers().filter_map(|one| one.get("image")?.as_str()).collect()
    }

    /// Whether its containers can be made beside those that run, where they cannot run beside them. Volumes that each
    /// instance has of its own belong to one that runs; one with a label for its container alone would be taken from it.
    #[must_use]
    pub fn can_be_made_beside(&self) -> bool {
        let annotations = self.template.pointer("/metadata/annotations").and_then(Value::as_object);
        let mut keys = annotations.into_iter().flatten().map(|(key, _)| key);
        self.claims.is_empty() && !keys.any(|key| key.contains("bind-mount-options"))
    }

    /// The name of the pod that is tried beside them.
    #[must_use]
    pub fn check_name(&self) -> String {
        format!("{}-check", self.object.name)
    }

    /// Its probes, with the container that each is of (rule R5).
    ///
    /// # Errors
    /// When one cannot be made sense of.
    pub fn probes(&self) -> Result<Vec<(String, Probe)>, Unsupported> {
        probe::of(&self.template)
    }
}

/// Looks whether a value of `tidegate.dev/publish` can be read.
///
/// # Errors
/// What cannot, and how it is written.
pub fn check_publish(text: &str) -> Result<(), Unsupported> {
    spec::publish(text).map(drop)
}

/// What a manifest calls something may be anything: it is short here, and moves no cursor.
fn unsupported<T>(what: impl Into<String>) -> Result<T, Unsupported> {
    Err(Unsupported(plain(&what.into())))
}

fn plain(text: &str) -> String {
    let clean = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().take(TOLD_CHARS_MAX).map(clean).collect()
}
