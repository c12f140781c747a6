//! Images: what an import reads of a manifest and of its config.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Map, ObjectMeta, Time, is_default, is_zero, null_if_empty, nullable};

/// An image; its name is the digest of its manifest.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Image {
    /// Layers, oldest first; `null` for an index.
    #[serde(deserialize_with = "nullable", serialize_with = "null_if_empty")]
    pub docker_image_layers: Vec<ImageLayer>,
    /// Media type of the manifest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_manifest_media_type: String,
    /// The images of an index.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub docker_image_manifests: Vec<ImageManifest>,
    /// What its config says; nothing where it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub docker_image_metadata: Option<DockerImage>,
    /// `1.0`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_metadata_version: String,
    /// What to pull; in `oc get images` that of the first import.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_image_reference: String,
    /// Its name is its digest.
    pub metadata: ObjectMeta,
    /// Simple signatures, which Tidegate shows where a file has them.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<ImageSignature>,
}

/// A layer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageLayer {
    /// Media type of the blob.
    pub media_type: String,
    /// Digest of the blob.
    pub name: String,
    /// Bytes of the blob.
    pub size: i64,
}

/// An image of an index.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageManifest {
    /// Processor architecture.
    pub architecture: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Bytes of its manifest.
    pub manifest_size: i64,
    /// Media type of its manifest.
    pub media_type: String,
    /// Operating system.
    pub os: String,
    /// Variant of the architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// `dockerImageMetadata`, in Docker's spelling.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DockerImage {
    /// Processor architecture.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub architecture: String,
    /// Who made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// A comment.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// How a container of it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<ContainerConfig>,
    /// The container that it was committed from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// When it was built.
    #[serde(deserialize_with = "lenient")]
    pub created: Option<Time>,
    /// What built it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    /// Digest of its config.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Bytes of its config and of each distinct layer (rule I9).
    #[serde(skip_serializing_if = "is_zero")]
    pub size: i64,
}

/// A time that a build tool wrote may be anything.
fn lenient<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).ok())
}

/// How a container of an image runs.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// Arguments, or the command where there is no entry point.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// The command.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// `NAME=VALUE`, in the image's order.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Ports like `8080/tcp`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// Labels.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Map::is_empty")]
    pub labels: Map,
    /// User and group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Volumes.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "is_default")]
    pub volumes: BTreeMap<String, Value>,
    /// Working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
}

/// A signature.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageSignature {
    /// Its name is `<image>@<name>`.
    pub metadata: ObjectMeta,
    /// `AtomicImageV1`.
    pub r#type: String,
}
