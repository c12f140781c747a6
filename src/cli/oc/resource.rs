//! What `oc` calls the things that one can ask for: `is`, `imagestream/python`, `istag`.

use crate::names::Kind;

/// A kind of object that is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Resource {
    ImageStreams,
    ImageStreamTags,
    ImageStreamImages,
    ImageTags,
    Images,
    /// From the records of rollouts, as the next.
    Pods,
    ReplicationControllers,
    /// From the records of builds.
    Builds,
    /// As the adopted commit has them, as the rest.
    Services,
    DaemonSets,
    Deployments,
    StatefulSets,
    CronJobs,
    DeploymentConfigs,
    BuildConfigs,
    Routes,
}

/// Where the objects of a resource come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    Streams,
    StreamTags,
    StreamImages,
    ImageTags,
    Images,
    /// Manifests and rollouts.
    Other,
}

impl Resource {
    pub(super) fn family(self) -> Family {
        match self {
            Self::ImageStreams => Family::Streams,
            Self::ImageStreamTags => Family::StreamTags,
            Self::ImageStreamImages => Family::StreamImages,
            Self::ImageTags => Family::ImageTags,
            Self::Images => Family::Images,
            Self::Pods
            | Self::ReplicationControllers
            | Self::Services
            | Self::DaemonSets
            | Self::Deployments
            | Self::StatefulSets
            | Self::CronJobs
            | Self::DeploymentConfigs
            | Self::Builds
            | Self::BuildConfigs
            | Self::Routes => Family::Other,
        }
    }

    /// Reads a word: singular, plural or short, with its group or without, in any case.
    pub(super) fn from_word(word: &str) -> Option<Self> {
        let word = word.to_ascii_lowercase();
        if let Some((word, group)) = word.split_once('.') {
            let group = group.strip_prefix("v1.").unwrap_or(group);
            return Self::from_word(word).filter(|resource| resource.group() == group);
        }
        Some(match word.as_str() {
            "is" | "imagestream" | "imagestreams" => Self::ImageStreams,
            "istag" | "imagestreamtag" | "imagestreamtags" => Self::ImageStreamTags,
            "isimage" | "imagestreamimage" | "imagestreamimages" => Self::ImageStreamImages,
            "itag" | "imagetag" | "imagetags" => Self::ImageTags,
            "image" | "images" => Self::Images,
            "po" | "pod" | "pods" => Self::Pods,
            "rc" | "replicationcontroller" | "replicationcontrollers" => {
                Self::ReplicationControllers
            }
            "svc" | "service" | "services" => Self::Services,
            "ds" | "daemonset" | "daemonsets" => Self::DaemonSets,
            "deploy" | "deployment" | "deployments" => Self::Deployments,
            "sts" | "statefulset" | "statefulsets" => Self::StatefulSets,
            "cj" | "cronjob" | "cronjobs" => Self::CronJobs,
            "route" | "routes" => Self::Routes,
            "dc" | "deploymentconfig" | "deploymentconfigs" => Self::DeploymentConfigs,
            "build" | "builds" => Self::Builds,
            "bc" | "buildconfig" | "buildconfigs" => Self::BuildConfigs,
            _ => return None,
        })
    }

    /// The kind of an object.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::ImageStreams => "ImageStream",
            Self::ImageStreamTags => "ImageStreamTag",
            Self::ImageStreamImages => "ImageStreamImage",
            Self::ImageTags => "ImageTag",
            Self::Images => "Image",
            Self::Pods => "Pod",
            Self::ReplicationControllers => "ReplicationController",
            Self::Services => "Service",
            Self::DaemonSets => "DaemonSet",
            Self::Deployments => "Deployment",
            Self::StatefulSets => "StatefulSet",
            Self::CronJobs => "CronJob",
            Self::Routes => "Route",
            Self::DeploymentConfigs => "DeploymentConfig",
            Self::Builds => "Build",
            Self::BuildConfigs => "BuildConfig",
        }
    }

    fn group(self) -> &'static str {
        match self {
            Self::ImageStreams
            | Self::ImageStreamTags
            | Self::ImageStreamImages
            | Self::ImageTags
            | Self::Images => crate::api::GROUP,
            Self::Pods | Self::ReplicationControllers | Self::Services => "",
            Self::DaemonSets | Self::Deployments | Self::StatefulSets => "apps",
            Self::CronJobs => "batch",
            Self::Routes => "route.openshift.io",
            Self::DeploymentConfigs => "apps.openshift.io",
            Self::Builds | Self::BuildConfigs => "build.openshift.io",
        }
    }

    /// The kind, where it is one that is rolled out. Pods are what comes of a rollout, also those of a `Pod`.
    pub(super) fn workload(self) -> Option<Kind> {
        Kind::from_word(self.kind()).filter(|kind| kind.is_workload() && *kind != Kind::Pod)
    }

    /// Whether `describe` knows it.
    fn is_described(self) -> bool {
        let is_build = matches!(self, Self::Builds | Self::BuildConfigs);
        self.group() == crate::api::GROUP || self.workload().is_some() || is_build
    }

    /// As errors name it: `imagestreams.image.openshift.io`.
    pub(super) fn plural(self) -> String {
        self.with_group("s")
    }

    /// As `-o name` names it: `imagestream.image.openshift.io` (rule I126).
    pub(super) fn singular(self) -> String {
        self.with_group("")
    }

    fn with_group(self, ending: &str) -> String {
        let (kind, group) = (self.kind().to_ascii_lowercase(), self.group());
        let dot = if group.is_empty() { "" } else { "." };
        format!("{kind}{ending}{dot}{group}")
    }

    /// Whether it belongs to a namespace.
    pub(super) fn has_namespace(self) -> bool {
        self != Self::Images
    }
}

/// What is asked for: all objects of a kind, or one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Wanted {
    pub(super) resource: Resource,
    pub(super) name: Option<String>,
}

/// Why words ask for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum WordsError {
    #[error("You must specify the type of resource to {verb}.")]
    Nothing { verb: &'static str },
    #[error("the server doesn't have a resource type \"{0}\"{hint}", hint = instead(.0))]
    Unknown(String),
    #[error(
        "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'oc get resource/<resource_name>' instead of 'oc get resource resource/<resource_name>'"
    )]
    Mixed,
    #[error("arguments in resource/name form may not have more than one slash")]
    Slashes,
    #[error("arguments in resource/name form must have a single resource and name")]
    Empty,
}

/// What is asked for instead of kinds that people know from OpenShift and that are nothing here.
fn instead(word: &str) -> &'static str {
    match word.to_ascii_lowercase().as_str() {
        "sa" | "serviceaccount" | "serviceaccounts" | "secret" | "secrets" => {
            ": there are no service accounts and no secrets here; imports use every login of `registries.auth_file` that \
             fits the image"
        }
        "project" | "projects" | "ns" | "namespace" | "namespaces" => {
            ": namespaces are what manifests say; name one with `-n`, or set `default_namespace`"
        }
        _ => "",
    }
}

/// Reads `is`, `is python other`, `is,istag`, `is/python istag/python:3.6`.
pub(super) fn wanted(words: &[String], verb: &'static str) -> Result<Vec<Wanted>, WordsError> {
    // What there is of the kinds that this is made for, in the order of the real one (rule C4).
    let all = [
        Resource::Pods,
        Resource::ReplicationControllers,
        Resource::Services,
        Resource::DaemonSets,
        Resource::Deployments,
        Resource::StatefulSets,
        Resource::CronJobs,
        Resource::DeploymentConfigs,
        Resource::Builds,
        Resource::BuildConfigs,
        Resource::ImageStreams,
        Resource::Routes,
    ];
    let is_known = |resource: &Resource| verb == "get" || resource.is_described();
    let from_word = |word: &str| Resource::from_word(word).filter(is_known);
    let found = read(words, verb, from_word, || all.into_iter().filter(is_known).collect())?;
    Ok(found.into_iter().map(|(resource, name)| Wanted { resource, name }).collect())
}

/// Reads words of any sort of kinds; `all` is what that word means.
pub(super) fn read<R: Copy>(
    words: &[String],
    verb: &'static str,
    from_word: impl Fn(&str) -> Option<R>,
    all: impl Fn() -> Vec<R>,
) -> Result<Vec<(R, Option<String>)>, WordsError> {
    let Some((first, rest)) = words.split_first() else {
        return Err(WordsError::Nothing { verb });
    };
    let resource = |word: &str| from_word(word).ok_or_else(|| WordsError::Unknown(word.to_owned()));
    if first.contains('/') {
        return words.iter().map(|word| named(word, resource)).collect();
    }
    if rest.iter().any(|word| word.contains('/') && !word.contains(['@', ':'])) {
        return Err(WordsError::Mixed);
    }
    let mut found = Vec::new();
    for word in first.split(',') {
        let resources = match word {
            "all" => all(),
            word => vec![resource(word)?],
        };
        for resource in resources {
            match rest {
                [] => found.push((resource, None)),
                names => found.extend(names.iter().map(|name| (resource, Some(name.clone())))),
            }
        }
    }
    Ok(found)
}

fn named<R>(
    word: &str,
    resource: impl Fn(&str) -> Result<R, WordsError>,
) -> Result<(R, Option<String>), WordsError> {
    let (kind, name) = word.split_once('/').ok_or(WordsError::Mixed)?;
    if name.contains('/') {
        return Err(WordsError::Slashes);
    }
    if kind.is_empty() || name.is_empty() {
        return Err(WordsError::Empty);
    }
    Ok((resource(kind)?, Some(name.to_owned())))
}
