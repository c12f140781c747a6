//! Files at one commit become the desired state. Pure: bytes in, objects and diagnostics out.
//!
//! Reading never fails as a whole. An object that is wrong becomes a [`RejectedObject`], and the others of its file
//! and of the commit are unaffected (rule D7). Objects are shared ([`Arc`]) between one commit and the next, so that
//! what did not change costs nothing to keep and is recognised by its address.

mod build_config;
mod deployment_config;
pub mod diagnostic;
pub mod exported;
mod faults;
mod image_stream;
mod json;
pub(crate) mod marks;
mod mirror_set;
mod nearest;
mod object;
mod pod;
pub mod processed;
mod reading;
pub mod registries;
mod service;
pub mod stray;
pub mod tag_filter;
mod template;
mod tree;
mod typed;
mod workload;
pub(crate) mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::action::{ImportMode, Platform};
use crate::dense;
use crate::fact::{ContainerRef, Position, RunPolicy};
use crate::names::{ContentHash, Namespace, ObjectKey, StreamName, StreamTag, TagName, TargetName};
use crate::pods::{ConfigName, Summary};
use crate::policy::TagLimit;
use crate::reference::ImageReference;
use crate::time::{Schedule, Span, Window};

pub use build_config::BuildHook;
pub(crate) use deployment_config::MISNAMED;
use diagnostic::Diagnostic;
pub(crate) use faults::guess_key;
pub use marks::Step;
pub(crate) use reading::default_namespace;
pub use reading::{Entry, ParsedFile, is_manifest, is_params, params_paths, parse_file};
pub(crate) use service::UNSERVED;
use stray::Stray;
use tag_filter::TagFilter;
pub use template::read_params;
pub(crate) use tree::SpecTags;
pub(crate) use tree::{DUPLICATE, PUSHED_OVER, SKIPPED, duplicate};
pub use tree::{Has, Skipped, Tree};
pub(crate) use workload::{TRIGGERS, field_base, selector_name};

/// What git asks for at one commit.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct DesiredState {
    /// Image streams.
    pub streams: BTreeMap<StreamName, Arc<ImageStream>>,
    /// Build configurations.
    pub builds: BTreeMap<ObjectKey, Arc<BuildConfig>>,
    /// What is rolled out.
    pub workloads: BTreeMap<ObjectKey, Arc<Workload>>,
    /// Documents of other kinds, kept as they are.
    pub companions: Vec<Arc<Companion>>,
    /// What the `ConfigMap`s and `Secret`s among them are, without their values.
    pub configs: BTreeMap<Namespace, BTreeMap<ConfigName, Summary>>,
    /// The labels by which the `Service`s among them select pods, by name.
    pub services: BTreeMap<Namespace, BTreeMap<String, BTreeMap<String, String>>>,
    /// Documents that are none of our objects and may be meant as one.
    pub strays: Vec<Stray>,
    /// What is invalid; sorted by position.
    pub rejected: Vec<RejectedObject>,
    /// What is odd but not wrong; sorted by position.
    pub warnings: Vec<Diagnostic>,
}

impl DesiredState {
    /// How many objects of our kinds there are.
    #[must_use]
    pub fn objects(&self) -> usize {
        self.streams.len() + self.builds.len() + self.workloads.len()
    }

    /// Looks an object up.
    #[must_use]
    pub fn get(&self, key: &ObjectKey) -> Option<Object> {
        let stream = || StreamName::new(key.namespace.clone(), key.name.clone());
        match key.kind {
            crate::names::Kind::ImageStream => {
                self.streams.get(&stream()).cloned().map(Object::Stream)
            }
            crate::names::Kind::BuildConfig => self.builds.get(key).cloned().map(Object::Build),
            crate::names::Kind::DeploymentConfig
            | crate::names::Kind::Deployment
            | crate::names::Kind::StatefulSet
            | crate::names::Kind::DaemonSet
            | crate::names::Kind::CronJob
            | crate::names::Kind::Pod => self.workloads.get(key).cloned().map(Object::Workload),
        }
    }

    /// Puts an object in force, in place of another version of it if there is one.
    pub fn put(&mut self, object: Object) {
        match object {
            Object::Stream(stream) => {
                self.streams.insert(stream.name.clone(), stream);
            }
            Object::Build(build) => {
                self.builds.insert(build.object.clone(), build);
            }
            Object::Workload(workload) => {
                self.workloads.insert(workload.object.clone(), workload);
            }
        }
    }

    /// The keys of all objects, in order.
    pub fn keys(&self) -> impl Iterator<Item = ObjectKey> + '_ {
        let streams = self.streams.keys().map(ObjectKey::stream);
        streams.chain(self.builds.keys().cloned()).chain(self.workloads.keys().cloned())
    }
}

/// An object of one of our kinds.
///
/// Its JSON is also how a last valid version is kept in the object store: fields are only ever added, with defaults.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Object {
    /// An image stream.
    Stream(Arc<ImageStream>),
    /// A build configuration.
    Build(Arc<BuildConfig>),
    /// A workload.
    Workload(Arc<Workload>),
}

impl Object {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Stream(stream) => ObjectKey::stream(&stream.name),
            Self::Build(build) => build.object.clone(),
            Self::Workload(workload) => workload.object.clone(),
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> &Position {
        match self {
            Self::Stream(stream) => &stream.position,
            Self::Build(build) => &build.position,
            Self::Workload(workload) => &workload.position,
        }
    }
}

/// An object, or what should have been one, that is invalid (rule D7).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RejectedObject {
    /// Which, as far as it can be told.
    pub object: Option<ObjectKey>,
    /// Why.
    pub diagnostic: Diagnostic,
}

/// An `ImageStream` (section 1.1 of the image-stream specification), defaults applied.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API")]
pub struct ImageStream {
    /// Its name.
    pub name: StreamName,
    /// `metadata.labels`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `metadata.annotations`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// `spec.lookupPolicy.local`.
    #[serde(default)]
    pub lookup_local: bool,
    /// `spec.dockerImageRepository`: whole-repository import.
    #[serde(default)]
    pub repository: Option<ImageReference>,
    /// `spec.tags`.
    #[serde(deserialize_with = "dense::map")]
    pub tags: BTreeMap<TagName, TagReference>,
    /// What git says of the tags that have an overlay; none where it says nothing. Never read from a file nor written to
    /// one: the journal has the overlays.
    #[serde(skip)]
    pub overlaid: BTreeMap<TagName, Option<TagReference>>,
    /// `tidegate.dev/schedule`.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// `tidegate.dev/minimum-age`.
    #[serde(default)]
    pub minimum_age: Option<Span>,
    /// `tidegate.dev/pause`.
    #[serde(default)]
    pub paused: bool,
    /// `tidegate.dev/history-limit`.
    #[serde(default)]
    pub history_limit: Option<u32>,
    /// `tidegate.dev/prune` contains `removed-tags` (rule I93).
    #[serde(default)]
    pub prune_removed_tags: bool,
    /// `tidegate.dev/prune` contains `vanished-tags` (rule I196).
    #[serde(default)]
    pub prune_vanished_tags: bool,
    /// `tidegate.dev/tag-filter` (rule I194).
    #[serde(default)]
    pub tag_filter: TagFilter,
    /// `tidegate.dev/tag-limit` (rule I195).
    #[serde(default)]
    pub tag_limit: Option<TagLimit>,
    /// `tidegate.dev/push`: the repository that builds push to (rules I198, B53); without tag and digest.
    #[serde(default)]
    pub push: Option<Arc<ImageReference>>,
    /// Where it stands.
    pub position: Position,
}

impl ImageStream {
    /// Whether an annotation allows plain HTTP and unverified TLS for all imports of the stream (rule I172).
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        let insecure = self.annotations.get("openshift.io/image.insecureRepository");
        insecure.is_some_and(|text| text == "true")
    }
}

/// An entry of `spec.tags` (section 1.2 of the image-stream specification).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API")]
pub struct TagReference {
    /// `annotations`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// `from`; none for a tag that only carries annotations (rule I7).
    pub from: Option<TagSource>,
    /// `from` as it is written, where it names a stream: `3.6` and `python:3.6` mean the same and are shown as written.
    #[serde(default)]
    pub spelled: Option<Box<Spelled>>,
    /// `reference`: never import, record as written.
    #[serde(default)]
    pub reference: bool,
    /// `importPolicy.insecure`.
    #[serde(default)]
    pub insecure: bool,
    /// `importPolicy.scheduled`.
    #[serde(default)]
    pub scheduled: bool,
    /// `importPolicy.importMode`.
    #[serde(default)]
    pub mode: ImportMode,
    /// The platform to choose out of an index: `prefer-os` and `prefer-arch`, completed by `default_platform` (I50).
    #[serde(default)]
    pub platform: Platform,
    /// `referencePolicy.type` is `Local`.
    #[serde(default)]
    pub local: bool,
    /// `tidegate.dev/schedule` on the tag.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// `tidegate.dev/minimum-age` on the tag.
    #[serde(default)]
    pub minimum_age: Option<Span>,
    /// `generation` is 0: the commit that brings this has the tag imported once more (rule I24, trap Y11).
    #[serde(default)]
    pub reimport: bool,
    /// Who says that there is such a tag.
    #[serde(default)]
    pub origin: Origin,
}

/// Who says that a stream has a spec tag (rule I59).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Origin {
    /// Git, or an overlay in its place (rule I102, item 5).
    #[default]
    Written,
    /// The listing of the stream's repository.
    Listed,
    /// A listing before the last one, which no longer has it (rule I196): it is not imported any more.
    Vanished,
}

/// How `from` is written where it names a stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spelled {
    /// `from.name`.
    pub name: String,
    /// `from.namespace`; empty where there is none.
    pub namespace: String,
}

/// Where a spec tag gets its image from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TagSource {
    /// `DockerImage`: a registry.
    Registry(Arc<ImageReference>),
    /// `ImageStreamTag`: another tag, which it follows.
    Tag(StreamTag),
    /// `ImageStreamImage`: an image of a stream, by digest or the beginning of one (rule I36).
    Image {
        /// The stream.
        stream: StreamName,
        /// The digest or the beginning of one, with or without `sha256:`.
        id: String,
    },
}

/// A `BuildConfig`: what decides when it is built, and of what. How, its manifest says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API")]
pub struct BuildConfig {
    /// Its key.
    pub object: ObjectKey,
    /// How it is built.
    pub strategy: BuildStrategy,
    /// `from` of its strategy.
    #[serde(default)]
    pub from: Option<BuildFrom>,
    /// `from` of each of `source.images`.
    #[serde(default)]
    pub images: Vec<BuildFrom>,
    /// The git repository that it is built from.
    #[serde(default)]
    pub git: Option<BuildGit>,
    /// Whether it is built from what somebody hands over.
    #[serde(default)]
    pub binary: bool,
    /// Whether artifacts of the build before are used (rule B48).
    #[serde(default)]
    pub incremental: bool,
    /// `spec.runPolicy`.
    #[serde(default)]
    pub run_policy: RunPolicy,
    /// Whether it has a `ConfigChange` trigger (rule B13).
    #[serde(default)]
    pub config_change: bool,
    /// `completionDeadlineSeconds`.
    #[serde(default)]
    pub deadline: Option<Span>,
    /// `successfulBuildsHistoryLimit` and `failedBuildsHistoryLimit` (rule B33); none for all.
    #[serde(default)]
    pub keeps: (Option<u32>, Option<u32>),
    /// `openshift.io/build-config.paused` (rule B6).
    #[serde(default)]
    pub refuses: bool,
    /// `tidegate.dev/pause`.
    #[serde(default)]
    pub paused: bool,
    /// `tidegate.dev/window`.
    #[serde(default)]
    pub window: Option<Window>,
    /// `tidegate.dev/allow-cycle` (rule B16).
    #[serde(default)]
    pub allow_cycle: bool,
    /// The image that it pushes to, where that is no stream tag.
    #[serde(default)]
    pub push: Option<Arc<ImageReference>>,
    /// The stream tag it pushes to, if it does.
    #[serde(default)]
    pub output: Option<StreamTag>,
    /// The stream tags that it is built from: that of its strategy first, then those whose files it gets.
    #[serde(default)]
    pub inputs: Vec<StreamTag>,
    /// Its `ImageChange` triggers, in the order in which they are written (rule B14).
    #[serde(default)]
    pub triggers: Vec<BuildTrigger>,
    /// The object as JSON, without server leftovers.
    pub manifest: Arc<str>,
    /// Where it stands.
    pub position: Position,
}

/// The strategy of a `BuildConfig`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum BuildStrategy {
    /// A Dockerfile.
    Docker,
    /// Source-to-image.
    Source,
    /// An image of the user's own that builds; refused (rule B3).
    Custom,
    /// Jenkins; refused (rule B3).
    JenkinsPipeline,
}

impl BuildStrategy {
    /// Why it is not built here (rule B3); none where it is.
    #[must_use]
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Docker | Self::Source => None,
            Self::Custom => Some(
                "Custom strategy is not supported; use the Docker or Source strategy, or build elsewhere and push to \
                 the output tag",
            ),
            Self::JenkinsPipeline => Some(
                "JenkinsPipeline strategy is not supported; run the pipeline elsewhere and use a generic webhook",
            ),
        }
    }
}

impl std::fmt::Display for BuildStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Docker => "Docker",
            Self::Source => "Source",
            Self::Custom => "Custom",
            Self::JenkinsPipeline => "JenkinsPipeline",
        })
    }
}

/// An image that a build is made of (section 4.1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BuildFrom {
    /// `ImageStreamTag`.
    Tag(StreamTag),
    /// `ImageStreamImage`: by digest or the beginning of one.
    Image {
        /// The stream.
        stream: StreamName,
        /// The digest or the beginning of one.
        id: String,
    },
    /// `DockerImage`.
    Registry(Arc<ImageReference>),
}

/// The git repository of a build.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BuildGit {
    /// Where.
    pub uri: String,
    /// The branch, tag or commit; empty for the default branch.
    #[serde(default)]
    pub reference: String,
}

/// An `ImageChange` trigger of a `BuildConfig`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BuildTrigger {
    /// The tag that it watches: its own, or that of the strategy.
    pub from: StreamTag,
    /// Whether it starts nothing by itself.
    pub paused: bool,
}

impl BuildConfig {
    /// The stream tags that it names as input or as trigger; one that is both comes twice.
    pub fn reads(&self) -> impl Iterator<Item = &StreamTag> {
        self.inputs.iter().chain(self.triggers.iter().map(|trigger| &trigger.from))
    }
}

/// Something that is rolled out: a `DeploymentConfig`, or a `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob` or `Pod`
/// with the triggers annotation.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API")]
pub struct Workload {
    /// Its key.
    pub object: ObjectKey,
    /// Its image triggers, in the order in which they are written.
    #[serde(deserialize_with = "dense::list")]
    pub triggers: Vec<ImageTrigger>,
    /// Whether a changed template rolls out by itself: a `ConfigChange` trigger, or any kind but `DeploymentConfig`.
    pub config_change: bool,
    /// `spec.paused` of a `DeploymentConfig`, or `tidegate.dev/pause`.
    #[serde(default)]
    pub paused: bool,
    /// `spec.revisionHistoryLimit`: rollouts before the complete one that are kept (rule D26); none where nothing is said.
    #[serde(default)]
    pub history: Option<u32>,
    /// How many instances there should be (rule D22); none where there are no such instances.
    #[serde(default)]
    pub scale: Option<u32>,
    /// Hash of the canonical pod template, images of containers that an automatic trigger names left out (rule D21b).
    pub template: ContentHash,
    /// The containers of the template, init containers first, each list in the order in which it is written.
    #[serde(deserialize_with = "dense::list")]
    pub containers: Vec<Container>,
    /// `tidegate.dev/target`.
    #[serde(default)]
    pub target: Option<TargetName>,
    /// Whether it is stopped when its manifest goes: `tidegate.dev/prune` is not `"false"` (rule D51).
    pub prune: bool,
    /// `tidegate.dev/retry`: attempts after a transient failure.
    pub retries: u32,
    /// What keeps its triggers from acting at once.
    #[serde(default)]
    pub gates: Gates,
    /// The `ConfigMap`s and `Secret`s whose content is part of its template: `tidegate.dev/config-hash` (rule R17).
    #[serde(default)]
    pub hashed: BTreeSet<ConfigName>,
    /// `alpha.image.policy.openshift.io/resolve-names` on the object or its template is `*` (rule I185).
    #[serde(default)]
    pub resolve_names: bool,
    /// The object as JSON with sorted keys, without server leftovers; images as written in git.
    pub manifest: Arc<str>,
    /// Where it stands.
    pub position: Position,
}

/// What keeps triggers from acting at once (rules T24, T34).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Gates {
    /// `tidegate.dev/minimum-age`: how long a digest must have been known.
    #[serde(default)]
    pub minimum_age: Option<Span>,
    /// `tidegate.dev/window`: triggers act inside only.
    #[serde(default)]
    pub window: Option<Window>,
    /// `tidegate.dev/min-interval`: the shortest time between two rollouts that images cause.
    #[serde(default)]
    pub min_interval: Option<Span>,
}

/// An image trigger.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImageTrigger {
    /// The tag that it watches.
    pub from: StreamTag,
    /// The containers whose image it sets; only those that exist.
    #[serde(deserialize_with = "dense::list")]
    pub containers: Vec<ContainerRef>,
    /// Whether it acts by itself: `automatic: true`, or an annotation entry that is not `paused`.
    pub automatic: bool,
}

/// A container of a pod template.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Container {
    /// Which.
    pub container: ContainerRef,
    /// `image` as written; empty where it is absent.
    pub image: String,
}

/// A document of another kind: a `ConfigMap`, a `Secret`, a `Service`, a `Route`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// Its namespace, as for objects of our kinds.
    pub namespace: Namespace,
    /// `metadata.name`; empty where there is none.
    pub name: String,
    /// What it is, where it is a `ConfigMap` or a `Secret`.
    #[serde(default)]
    pub config: Option<(ConfigName, Summary)>,
    /// The labels by which it selects pods, where it is a `Service` that selects some.
    #[serde(default)]
    pub selects: Option<BTreeMap<String, String>>,
    /// The document as JSON. May hold secrets.
    #[serde(skip)]
    pub manifest: Option<Arc<str>>,
    /// Where it stands.
    pub position: Position,
}

impl fmt::Debug for Companion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A Secret is a companion: its content is never printed (law 10).
        write!(f, "{}/{}/{} at {}", self.kind, self.namespace, self.name, self.position)
    }
}
