//! What objects are called: streams, their tags, kinds, keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

use super::{Incarnation, NameError, Namespace, ObjectName, Seq, TagName};

/// An image stream: `namespace/name`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName {
    /// Namespace of the stream.
    pub namespace: Namespace,
    /// Name of the stream.
    pub name: ObjectName,
}

impl StreamName {
    /// Names the stream `name` of `namespace`.
    #[must_use]
    pub fn new(namespace: Namespace, name: ObjectName) -> Self {
        Self { namespace, name }
    }

    /// Names one of its tags.
    #[must_use]
    pub fn tag(&self, tag: TagName) -> StreamTag {
        StreamTag { stream: self.clone(), tag }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StreamName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (namespace, name) = text
            .split_once('/')
            .ok_or_else(|| NameError::new(text, "a stream", "expected `namespace/name`"))?;
        Ok(Self { namespace: namespace.parse()?, name: name.parse()? })
    }
}

text_serde!(StreamName);

/// A tag of an image stream, an OpenShift `ImageStreamTag`: `namespace/name:tag`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamTag {
    /// The stream.
    pub stream: StreamName,
    /// Its tag.
    pub tag: TagName,
}

impl fmt::Display for StreamTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.stream, self.tag)
    }
}

impl fmt::Debug for StreamTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StreamTag {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let (stream, tag) = text.split_once(':').ok_or_else(|| {
            NameError::new(text, "an image stream tag", "expected `namespace/name:tag`")
        })?;
        Ok(Self { stream: stream.parse()?, tag: tag.parse()? })
    }
}

text_serde!(StreamTag);

/// The kinds of objects that Tidegate acts on, in the order in which dependents are handled (rule T13).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// `image.openshift.io/v1` `ImageStream`.
    ImageStream,
    /// `build.openshift.io/v1` `BuildConfig`.
    BuildConfig,
    /// `apps.openshift.io/v1` `DeploymentConfig`.
    DeploymentConfig,
    /// `apps/v1` `Deployment` with the triggers annotation.
    Deployment,
    /// `apps/v1` `StatefulSet` with the triggers annotation.
    StatefulSet,
    /// `apps/v1` `DaemonSet` with the triggers annotation.
    DaemonSet,
    /// `batch/v1` `CronJob` with the triggers annotation.
    CronJob,
    /// `v1` `Pod` with the triggers annotation, that no other object makes (rule T1).
    Pod,
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 8] = [
        Self::ImageStream,
        Self::BuildConfig,
        Self::DeploymentConfig,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::CronJob,
        Self::Pod,
    ];

    /// The kind as manifests spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImageStream => "ImageStream",
            Self::BuildConfig => "BuildConfig",
            Self::DeploymentConfig => "DeploymentConfig",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
            Self::Pod => "Pod",
        }
    }

    /// The kind in lower case, as commands print it: `deploymentconfig/web`.
    #[must_use]
    pub fn singular(self) -> &'static str {
        match self {
            Self::ImageStream => "imagestream",
            Self::BuildConfig => "buildconfig",
            Self::DeploymentConfig => "deploymentconfig",
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::CronJob => "cronjob",
            Self::Pod => "pod",
        }
    }

    /// The kind's short name: `dc`.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::ImageStream => "is",
            Self::BuildConfig => "bc",
            Self::DeploymentConfig => "dc",
            Self::Deployment => "deploy",
            Self::StatefulSet => "sts",
            Self::DaemonSet => "ds",
            Self::CronJob => "cj",
            Self::Pod => "po",
        }
    }

    /// Reads a kind as commands accept it: the kind, its plural or its short name, in any case (DBT 0.5).
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "is" | "imagestream" | "imagestreams" => Some(Self::ImageStream),
            "bc" | "buildconfig" | "buildconfigs" => Some(Self::BuildConfig),
            "dc" | "deploymentconfig" | "deploymentconfigs" => Some(Self::DeploymentConfig),
            "deploy" | "deployment" | "deployments" => Some(Self::Deployment),
            "sts" | "statefulset" | "statefulsets" => Some(Self::StatefulSet),
            "ds" | "daemonset" | "daemonsets" => Some(Self::DaemonSet),
            "cj" | "cronjob" | "cronjobs" => Some(Self::CronJob),
            "po" | "pod" | "pods" => Some(Self::Pod),
            _ => None,
        }
    }

    /// Whether the kind is rolled out to a target.
    #[must_use]
    pub fn is_workload(self) -> bool {
        !matches!(self, Self::ImageStream | Self::BuildConfig)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| NameError::new(text, "a kind", "Tidegate does not act on it"))
    }
}

text_serde!(Kind);

/// An object that Tidegate acts on: `DeploymentConfig/shop/web`.
///
/// The order is kind, namespace, name: the order in which dependents are handled (rule T13).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
}

impl ObjectKey {
    /// Names an object.
    #[must_use]
    pub fn new(kind: Kind, namespace: Namespace, name: ObjectName) -> Self {
        Self { kind, namespace, name }
    }

    /// The key of a stream.
    #[must_use]
    pub fn stream(stream: &StreamName) -> Self {
        Self::new(Kind::ImageStream, stream.namespace.clone(), stream.name.clone())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectKey {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::new(text, "an object", "expected `Kind/namespace/name`");
        let (kind, rest) = text.split_once('/').ok_or_else(wrong)?;
        let (namespace, name) = rest.split_once('/').ok_or_else(wrong)?;
        Ok(Self::new(kind.parse()?, namespace.parse()?, name.parse()?))
    }
}

text_serde!(ObjectKey);

/// The idempotency key of a rollout: `<namespace>/<name>/<incarnation>/<seq of RolloutStarted>` (law 6).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RolloutKey {
    /// Namespace of the object.
    pub namespace: Namespace,
    /// Name of the object.
    pub name: ObjectName,
    /// Which life of the object.
    pub incarnation: Incarnation,
    /// The record that started it.
    pub seq: Seq,
    /// When records were lost last, if any ever were: the numbers of lost records are given again, and a receiver that
    /// remembers keys must not take the new rollout for the old one. In milliseconds behind a `+`.
    pub epoch: Option<Timestamp>,
}

impl RolloutKey {
    /// The key of what the record `seq` started for a life of an object.
    #[must_use]
    pub fn of(
        object: &ObjectKey,
        incarnation: Incarnation,
        seq: Seq,
        epoch: Option<Timestamp>,
    ) -> RolloutKey {
        let (namespace, name) = (object.namespace.clone(), object.name.clone());
        RolloutKey { namespace, name, incarnation, seq, epoch }
    }
}

impl fmt::Display for RolloutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.namespace, self.name, self.incarnation, self.seq)?;
        self.epoch.map_or(Ok(()), |epoch| write!(f, "+{}", epoch.as_millis()))
    }
}
