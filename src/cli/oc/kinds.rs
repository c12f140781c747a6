//! The kinds of manifests that are found in git, and what `oc` calls them.

use crate::edit::Sort;

/// A kind of manifest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ManifestKind {
    pub(super) sort: Sort<'static>,
    /// In lower case; the plural comes first, then the short names. The singular is the kind in lower case.
    words: &'static [&'static str],
    /// Whether `all` means it, too.
    is_in_all: bool,
}

const fn all(
    kind: &'static str,
    group: &'static str,
    words: &'static [&'static str],
) -> ManifestKind {
    ManifestKind { sort: Sort { kind, group }, words, is_in_all: true }
}

const fn other(
    kind: &'static str,
    group: &'static str,
    words: &'static [&'static str],
) -> ManifestKind {
    ManifestKind { is_in_all: false, ..all(kind, group, words) }
}

/// In the order in which `oc delete all` goes through them, then the rest.
pub(super) const KINDS: &[ManifestKind] = &[
    all("Pod", "", &["pods", "po"]),
    all("ReplicationController", "", &["replicationcontrollers", "rc"]),
    all("Service", "", &["services", "svc"]),
    all("DaemonSet", "apps", &["daemonsets", "ds"]),
    all("Deployment", "apps", &["deployments", "deploy"]),
    all("ReplicaSet", "apps", &["replicasets", "rs"]),
    all("StatefulSet", "apps", &["statefulsets", "sts"]),
    all("HorizontalPodAutoscaler", "autoscaling", &["horizontalpodautoscalers", "hpa"]),
    all("CronJob", "batch", &["cronjobs", "cj"]),
    all("Job", "batch", &["jobs"]),
    all("DeploymentConfig", "apps.openshift.io", &["deploymentconfigs", "dc"]),
    all("BuildConfig", "build.openshift.io", &["buildconfigs", "bc"]),
    all("ImageStream", crate::api::GROUP, &["imagestreams", "is"]),
    all("Route", "route.openshift.io", &["routes"]),
    other("ConfigMap", "", &["configmaps", "cm"]),
    other("Secret", "", &["secrets"]),
    other("ServiceAccount", "", &["serviceaccounts", "sa"]),
    other("PersistentVolumeClaim", "", &["persistentvolumeclaims", "pvc"]),
    other("Ingress", "networking.k8s.io", &["ingresses", "ing"]),
    other("NetworkPolicy", "networking.k8s.io", &["networkpolicies", "netpol"]),
    other("PodDisruptionBudget", "policy", &["poddisruptionbudgets", "pdb"]),
    other("Role", "rbac.authorization.k8s.io", &["roles"]),
    other("RoleBinding", "rbac.authorization.k8s.io", &["rolebindings"]),
];

impl ManifestKind {
    /// Image streams.
    pub(super) const STREAM: Self = all("ImageStream", crate::api::GROUP, &["imagestreams", "is"]);

    fn is_called(&self, word: &str) -> bool {
        let (word, group) =
            word.split_once('.').map_or((word, None), |(w, group)| (w, Some(group)));
        let version = |group: &str| group.strip_prefix("v1.").unwrap_or(group) == self.sort.group;
        let is_word = self.words.contains(&word) || word == self.sort.kind.to_ascii_lowercase();
        is_word && group.is_none_or(version)
    }

    /// `deploymentconfigs`.
    pub(super) fn plural(&self) -> &'static str {
        self.words.first().copied().unwrap_or_default()
    }

    /// `deploymentconfigs.apps.openshift.io`.
    pub(super) fn resource(&self) -> String {
        with_group(self.plural(), self.sort.group)
    }

    /// `deploymentconfig.apps.openshift.io`.
    pub(super) fn singular(&self) -> String {
        with_group(&self.sort.kind.to_ascii_lowercase(), self.sort.group)
    }

    /// Where the pod template stands, of kinds that have one.
    pub(super) fn pod_template(&self) -> Option<&'static [&'static str]> {
        match self.sort.kind {
            "DaemonSet"
            | "Deployment"
            | "ReplicaSet"
            | "StatefulSet"
            | "DeploymentConfig"
            | "Job"
            | "ReplicationController" => Some(&["spec", "template"]),
            "CronJob" => Some(&["spec", "jobTemplate", "spec", "template"]),
            "Pod" => Some(&[]),
            _ => None,
        }
    }
}

fn with_group(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// What a command is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    /// Manifests of a kind.
    Manifest(ManifestKind),
    /// Tags of image streams, which stand inside of them.
    StreamTag,
}

impl Subject {
    /// Reads a word: singular, plural or short, with its group or without, in any case.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        let kind = || KINDS.iter().find(|kind| kind.is_called(&word)).copied();
        match super::resource::Resource::from_word(&word) {
            Some(super::resource::Resource::ImageStreamTags) => Some(Self::StreamTag),
            Some(_) | None => kind().map(Self::Manifest),
        }
    }

    /// What `all` means.
    pub(super) fn all() -> Vec<Self> {
        KINDS.iter().filter(|kind| kind.is_in_all).copied().map(Self::Manifest).collect()
    }

    /// `imagestreamtag.image.openshift.io`.
    pub(super) fn singular(self) -> String {
        match self {
            Self::Manifest(kind) => kind.singular(),
            Self::StreamTag => super::resource::Resource::ImageStreamTags.singular(),
        }
    }

    /// `imagestreamtags.image.openshift.io`.
    pub(super) fn resource(self) -> String {
        match self {
            Self::Manifest(kind) => kind.resource(),
            Self::StreamTag => super::resource::Resource::ImageStreamTags.plural(),
        }
    }
}
