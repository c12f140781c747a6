//! What the core needs of the configuration: plain values, every one with a default.
//!
//! `config.rs` reads the file, the environment and the flags and makes one of these; the core never sees where a value
//! came from. Simulator and tests make their own.

mod allowed;
mod quota;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::{ImportMode, Platform};
use crate::limits;
use crate::names::{Namespace, ObjectKey, StreamName, TargetName};
use crate::reference::HUB_V2_HOST;

pub use allowed::{AllowedRegistries, AllowedRegistry, AllowedRegistryError, Transport};
pub use quota::{Counted, RateLimit, RateLimitError, limited_host};

/// What to do with a commit that has an invalid object (`source.on_invalid`, rule D7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnInvalid {
    /// Adopt the commit; the object keeps its last valid version.
    #[default]
    Hold,
    /// Refuse the commit as a whole.
    Refuse,
}

/// Which target serves which object: `tidegate.dev/target` on it, else the most exact of these.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Routes {
    /// By object.
    pub objects: BTreeMap<ObjectKey, TargetName>,
    /// By namespace.
    pub namespaces: BTreeMap<Namespace, TargetName>,
    /// For the rest; none means the built-in target `none`.
    pub default: Option<TargetName>,
}

/// From which other namespaces a workload may follow a tag (`triggers.cross_namespace`, rule T17).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum CrossNamespace {
    /// From any.
    #[default]
    Allow,
    /// From these; none means that each workload follows streams of its own namespace alone.
    From(BTreeSet<Namespace>),
}

impl CrossNamespace {
    /// Whether an object of a namespace may follow a stream.
    #[must_use]
    pub fn allows(&self, dependent: &Namespace, stream: &StreamName) -> bool {
        match self {
            Self::Allow => true,
            Self::From(open) => stream.namespace == *dependent || open.contains(&stream.namespace),
        }
    }
}

/// How many tags of a repository are imported when all of them are asked for (rules I55, I56, I195).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TagLimit {
    /// All of them; written `-1`.
    All,
    /// The first ones in the order of importance (rule I57).
    First(NonZeroU32),
}

impl TagLimit {
    /// As a number of tags.
    #[must_use]
    pub fn tags(self) -> usize {
        match self {
            Self::All => usize::MAX,
            Self::First(limit) => usize::try_from(limit.get()).unwrap_or(usize::MAX),
        }
    }
}

impl fmt::Display for TagLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("-1"),
            Self::First(limit) => limit.fmt(f),
        }
    }
}

/// It is not a number of tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number of tags, `-1` for all")]
pub struct TagLimitError;

impl FromStr for TagLimit {
    type Err = TagLimitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "-1" => Ok(Self::All),
            text => text.parse().map(Self::First).map_err(|_| TagLimitError),
        }
    }
}

/// What the integrated registry is to us (rule I198).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RegistryMode {
    /// A registry that images are copied into.
    #[default]
    Managed,
    /// A cache of the operator: it fetches what is asked of it, and nothing is pushed to it.
    PullThrough,
}

/// The registry that tags of policy `Local` are pulled from (rule I198).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntegratedRegistry {
    /// `HOST` or `HOST:PORT`.
    pub address: String,
    /// What it is called from outside.
    pub public_address: Option<String>,
    /// What it is to us.
    pub mode: RegistryMode,
}

impl IntegratedRegistry {
    /// Where the images of a stream are: `status.dockerImageRepository` (rule I3).
    #[must_use]
    pub fn repository(&self, stream: &StreamName) -> String {
        format!("{}/{stream}", self.address)
    }
}

/// The settings that decide what is planned.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "one for each setting")]
pub struct Policy {
    /// `default_namespace`: for objects without one.
    pub default_namespace: Namespace,
    /// `source.namespaces`: path prefix to namespace; the longest prefix wins.
    pub namespaces: BTreeMap<String, Namespace>,
    /// `templates`: values of template parameters, by the template's path or its name.
    pub parameters: BTreeMap<String, BTreeMap<String, String>>,
    /// `default_platform` (rule I50).
    pub platform: Platform,
    /// `imports.mode`: the mode of tags that name none (rule I6).
    pub import_mode: ImportMode,
    /// `source.on_invalid`.
    pub on_invalid: OnInvalid,
    /// `source.poll`: time between two looks at the source without a nudge.
    pub source_poll: Duration,
    /// `imports.interval`: default time between two checks of a scheduled tag.
    pub import_interval: Duration,
    /// `imports.scheduled = false` turns periodic imports off (`disableScheduledImport`).
    pub scheduled_imports: bool,
    /// `imports.max_images_bulk_imported_per_repository` (rule I56).
    pub tag_limit: TagLimit,
    /// `registries.checks_in_flight`: at one registry.
    pub checks_in_flight_max: usize,
    /// `registries.short_names`: whether a name without a registry means Docker Hub, or what `registries.conf` makes of it.
    pub short_names_are_hub: bool,
    /// `registries."HOST".insecure`: hosts whose tags count as `insecure`.
    pub insecure_registries: BTreeSet<String>,
    /// `registries."HOST".limit`, by [`limited_host`].
    pub registry_limits: BTreeMap<String, RateLimit>,
    /// `registries."HOST".per_minute`: checks of one registry, by [`limited_host`].
    pub registry_rates: BTreeMap<String, NonZeroU32>,
    /// `imports.scheduled_per_minute`: checks that schedules ask for (`maxScheduledImageImportsPerMinute`).
    pub scheduled_per_minute: Option<NonZeroU32>,
    /// `imports.allowed_registries` (rule I174).
    pub allowed_registries: AllowedRegistries,
    /// `rollouts.in_flight`: over all targets.
    pub rollouts_in_flight_max: usize,
    /// `builds.enabled`: whether this host builds.
    pub builds_enabled: bool,
    /// `builds.in_flight`: over all `BuildConfig`s.
    pub builds_in_flight_max: usize,
    /// `builds.timeout`: how long a build may take without `completionDeadlineSeconds`.
    pub build_timeout: Duration,
    /// Which target serves which object.
    pub routes: Routes,
    /// Those of the targets that run pods on a host and are told each step of a rollout (rule R3).
    pub hosts: BTreeSet<TargetName>,
    /// Those of the hosts on which pods are services of systemd.
    pub units: BTreeSet<TargetName>,
    /// The targets that exist, with the longest time that one rollout may take there.
    pub targets: BTreeMap<TargetName, Duration>,
    /// `triggers.flap_guard`: a digest that was replaced is not rolled out again for this long (rule T24); zero: at once.
    pub flap_guard: Duration,
    /// `prune.grace`: time between the removal of a workload and its stop (rule D51).
    pub prune_grace: Duration,
    /// `prune.max_objects`: objects that one commit may remove before the removals are held (rule D52).
    pub prune_objects_max: usize,
    /// `limits."NAMESPACE".image_size`: bytes above which `--prune-over-size-limit` takes an image of a namespace.
    pub image_size_limits: BTreeMap<Namespace, u64>,
    /// Namespaces with logins of their own (`registries.secrets`, rule I166): what they ask, is asked for them alone.
    pub login_namespaces: BTreeSet<Namespace>,
    /// `integrated_registry`; none where tags of policy `Local` are pulled from their source (rule I181).
    pub integrated_registry: Option<IntegratedRegistry>,
    /// `triggers.settle_seconds`: how long a changed template waits for a tag that the same commit changed (rule T27).
    pub settle: Duration,
    /// `triggers.cross_namespace` (rule T17).
    pub cross_namespace: CrossNamespace,
    /// `strict_openshift`: turn off the deviations that concern trigger and rollout decisions (DBT 0.1).
    pub strict_openshift: bool,
    /// `custom_strategies`: whether strategy Custom is read, which runs an image of the user's own (rule D38).
    pub custom_strategies: bool,
}

impl Policy {
    /// For whom a stream of a namespace asks registries: for that namespace, where it has logins of its own.
    #[must_use]
    pub fn asks_for(&self, namespace: &Namespace) -> Option<Namespace> {
        self.login_namespaces.get(namespace).cloned()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            default_namespace: Namespace::default(),
            namespaces: BTreeMap::new(),
            parameters: BTreeMap::new(),
            platform: Platform::default(),
            import_mode: ImportMode::default(),
            on_invalid: OnInvalid::default(),
            source_poll: limits::SOURCE_POLL,
            import_interval: limits::IMPORT_INTERVAL,
            scheduled_imports: true,
            tag_limit: TagLimit::First(limits::LISTED_TAGS_IMPORTED),
            checks_in_flight_max: limits::REGISTRY_CHECKS_IN_FLIGHT_MAX,
            short_names_are_hub: true,
            insecure_registries: BTreeSet::new(),
            registry_limits: [(HUB_V2_HOST.to_owned(), RateLimit::DOCKER_HUB)].into(),
            registry_rates: BTreeMap::new(),
            scheduled_per_minute: None,
            allowed_registries: AllowedRegistries::default(),
            rollouts_in_flight_max: limits::ROLLOUTS_IN_FLIGHT_MAX,
            builds_enabled: false,
            builds_in_flight_max: limits::BUILDS_IN_FLIGHT_MAX,
            build_timeout: limits::BUILD_TIMEOUT,
            routes: Routes::default(),
            targets: BTreeMap::new(),
            hosts: BTreeSet::new(),
            flap_guard: limits::FLAP_GUARD,
            units: BTreeSet::new(),
            prune_grace: Duration::ZERO,
            prune_objects_max: limits::PRUNE_OBJECTS_MAX,
            image_size_limits: BTreeMap::new(),
            login_namespaces: BTreeSet::new(),
            integrated_registry: None,
            settle: limits::TRIGGERS_SETTLE,
            cross_namespace: CrossNamespace::default(),
            strict_openshift: false,
            custom_strategies: false,
        }
    }
}
