//! OpenShift's image API: the objects that people read with `oc`, in the shape of `image.openshift.io/v1`.
//!
//! These are views. What is in force is [`desired`](crate::desired) and [`observed`](crate::observed); an object of this
//! module is made from them to be shown, or read from a file that somebody exported from a cluster. Fields stand in the
//! order of their names, which is the order in which `oc get -o yaml` prints them.

mod image;
pub mod view;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Timestamp;

pub use image::{ContainerConfig, DockerImage, Image, ImageLayer, ImageManifest, ImageSignature};

/// `apiVersion` of all of them.
pub const VERSION: &str = "image.openshift.io/v1";

/// The API group.
pub const GROUP: &str = "image.openshift.io";

/// Maps of labels and annotations.
pub type Map = BTreeMap<String, String>;

/// A time, to the second: `2026-11-21T02:12:39Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time(Timestamp);

impl Time {
    /// Cuts what is below a second.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(Timestamp::from_millis(at.as_millis().div_euclid(1000) * 1000))
    }

    /// The instant.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_rfc3339_seconds())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let instant: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self::of(Timestamp::from_jiff(instant)))
    }
}

/// Reads `null` as what is there by default: exported objects have `annotations: null` and `items: null`.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// `metadata`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// `annotations`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub annotations: Map,
    /// When it was made.
    pub creation_timestamp: Option<Time>,
    /// Counts changes of the spec (rule I23).
    #[serde(skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// `labels`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub labels: Map,
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its namespace; empty for images.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// What a cluster gave it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// What a cluster gave it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// An image stream.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStream {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// What is asked for.
    #[serde(deserialize_with = "nullable")]
    pub spec: ImageStreamSpec,
    /// What is.
    #[serde(deserialize_with = "nullable")]
    pub status: ImageStreamStatus,
}

/// `spec` of an image stream.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamSpec {
    /// Source of a whole-repository import.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_repository: String,
    /// Whether workloads may name the stream as an image.
    #[serde(deserialize_with = "nullable")]
    pub lookup_policy: LookupPolicy,
    /// Its tags, in the order of their names (rule I1).
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagReference>,
}

/// `spec.lookupPolicy`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LookupPolicy {
    /// Whether an image string that names the stream gets the image of the tag (rule I184).
    pub local: bool,
}

/// An entry of `spec.tags`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TagReference {
    /// `annotations`; `null` where there are none.
    pub annotations: Option<Map>,
    /// Where its image comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<ObjectReference>,
    /// When it was changed last, in generations of the stream.
    pub generation: Option<i64>,
    /// How it is imported.
    #[serde(deserialize_with = "nullable")]
    pub import_policy: ImportPolicy,
    /// Its name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Recorded as it is written, never imported.
    #[serde(skip_serializing_if = "is_false")]
    pub reference: bool,
    /// What dependents are given.
    #[serde(deserialize_with = "nullable")]
    pub reference_policy: ReferencePolicy,
}

/// `importPolicy`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImportPolicy {
    /// `Legacy` or `PreserveOriginal`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub import_mode: String,
    /// Plain HTTP and unverified TLS are allowed.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// Imported again by itself.
    #[serde(skip_serializing_if = "is_false")]
    pub scheduled: bool,
}

/// `referencePolicy`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReferencePolicy {
    /// `Source` or `Local`.
    pub r#type: String,
}

/// `from`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ObjectReference {
    /// `DockerImage`, `ImageStreamTag` or `ImageStreamImage`.
    pub kind: String,
    /// A pull spec, or a tag or an image of a stream.
    pub name: String,
    /// The stream's namespace, where it is another.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// `status` of an image stream.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamStatus {
    /// Its repository in the integrated registry (rule I3).
    pub docker_image_repository: String,
    /// The same, as others reach it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub public_docker_image_repository: String,
    /// Histories of tags, in the order of their names.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<NamedTagEventList>,
    /// What listing the stream's whole repository found. A cluster has no such field (rule I60).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryStatus>,
}

/// What listing a whole repository found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RepositoryStatus {
    /// Tags that it has beyond the limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_tags: Vec<String>,
    /// Why it cannot be listed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TagEventCondition>,
}

/// The history of a tag.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NamedTagEventList {
    /// The failure of the last import, while it lasts.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TagEventCondition>,
    /// Newest first; `null` where there are none.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub items: Vec<TagEvent>,
    /// The tag.
    pub tag: String,
}

/// Go writes a list that was never made as `null`.
fn null_if_empty<S: Serializer, T: Serialize>(
    items: &[T],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if items.is_empty() { serializer.serialize_none() } else { items.serialize(serializer) }
}

/// One item of a tag's history.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TagEvent {
    /// When it entered the history.
    pub created: Option<Time>,
    /// What to pull.
    pub docker_image_reference: String,
    /// The generation of the spec that it came of.
    pub generation: i64,
    /// The image's digest; empty for a tag that is a reference.
    #[serde(deserialize_with = "nullable")]
    pub image: String,
}

/// A condition of a tag.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TagEventCondition {
    /// The generation of the spec that was tried.
    pub generation: i64,
    /// When it became what it is.
    pub last_transition_time: Option<Time>,
    /// In words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// In one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// `False`: there is no other (rule I8).
    pub status: String,
    /// `ImportSuccess`: there is no other.
    pub r#type: String,
}

impl TagEventCondition {
    /// Whether it says that the last import failed.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        self.r#type == "ImportSuccess" && self.status == "False"
    }
}

/// A tag of a stream with its image: what `oc get istag` reads.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageStreamTag {
    /// The condition of the tag.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<TagEventCondition>,
    /// Generation of the current item.
    pub generation: i64,
    /// Its image.
    pub image: Image,
    /// The stream's.
    #[serde(deserialize_with = "nullable")]
    pub lookup_policy: LookupPolicy,
    /// Its name is `<stream>:<tag>`.
    pub metadata: ObjectMeta,
    /// The entry of `spec.tags`; `null` where there is none.
    pub tag: Option<TagReference>,
}

/// An image of a stream.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageStreamImage {
    /// The image.
    pub image: Image,
    /// Its name is `<stream>@<digest>`.
    pub metadata: ObjectMeta,
}

/// A tag of a stream with what is asked for and what is: exists for every tag that has either.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageTag {
    /// Its image; `null` where it has none.
    pub image: Option<Image>,
    /// Its name is `<stream>:<tag>`.
    pub metadata: ObjectMeta,
    /// The entry of `spec.tags`.
    pub spec: Option<TagReference>,
    /// The entry of `status.tags`.
    pub status: Option<NamedTagEventList>,
}

impl ImageStream {
    /// The entry of a tag in the spec.
    #[must_use]
    pub fn spec_tag(&self, tag: &str) -> Option<&TagReference> {
        self.spec.tags.iter().find(|spec| spec.name == tag)
    }

    /// The history of a tag.
    #[must_use]
    pub fn status_tag(&self, tag: &str) -> Option<&NamedTagEventList> {
        self.status.tags.iter().find(|status| status.tag == tag)
    }
}

impl NamedTagEventList {
    /// The image of the tag (rule I37).
    #[must_use]
    pub fn current(&self) -> Option<&TagEvent> {
        self.items.first()
    }

    /// The failure of the last import.
    #[must_use]
    pub fn failure(&self) -> Option<&TagEventCondition> {
        self.conditions.iter().find(|condition| condition.is_failure())
    }

    /// The generation of the spec that was last acted on; 0 if none was (rule I26).
    #[must_use]
    pub fn observed_generation(&self) -> i64 {
        let item = self.current().map_or(0, |item| item.generation);
        let condition = self.conditions.iter().map(|condition| condition.generation).max();
        item.max(condition.unwrap_or(0))
    }
}
