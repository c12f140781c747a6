//! Manifests, indexes and configs: reading them, choosing a platform, and what is kept of them.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::action::Platform;
use crate::fact::said;
use crate::names::Digest;

/// The media types that a manifest may have (rule I47, without schema 1).
pub(super) const ACCEPT: &str = "application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

const IMAGES: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
];
const INDEXES: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
];
/// The last is what Docker 1.10 wrote.
const CONFIGS: [&str; 3] = [
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/octet-stream",
];

/// Names another blob or manifest.
#[derive(Deserialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
    platform: Option<EntryPlatform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    artifact_type: Option<String>,
}

#[derive(Deserialize, Clone, Debug)]
struct EntryPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    variant: Option<String>,
}

/// The manifest of one image.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) media_type: String,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

/// A list of images for several platforms.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) media_type: String,
    pub(super) manifests: Vec<Descriptor>,
}

#[derive(Debug)]
pub(super) enum Manifest {
    Image(Image),
    Index(Index),
}

/// Why a body is not a manifest that we can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ManifestError {
    /// Schema 1 or a kind that is not an image (rules I49, I51): the message.
    Unsupported(String),
    /// Not a manifest at all.
    Malformed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: Option<u64>,
    media_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

/// Reads a manifest. `stated` is the media type that the registry gave with it.
pub(super) fn read(body: &[u8], stated: Option<&str>) -> Result<Manifest, ManifestError> {
    let schema_1 = || ManifestError::Unsupported(said::SCHEMA_1.into());
    let stated = stated.unwrap_or_default();
    if stated.starts_with("application/vnd.docker.distribution.manifest.v1") {
        return Err(schema_1());
    }
    let raw: Raw = serde_json::from_slice(body).map_err(|error| {
        let stated = if stated.is_empty() { "no media type" } else { stated };
        ManifestError::Malformed(format!("the answer (`{stated}`) {}: {error}", said::NO_MANIFEST))
    })?;
    if raw.schema_version == Some(1) {
        return Err(schema_1());
    }
    // A body that says what it is wins over the header, which a proxy may rewrite.
    let own = raw.media_type.as_deref().filter(|text| !text.is_empty());
    let media_type = match own {
        Some(own) => own,
        None if IMAGES.contains(&stated) || INDEXES.contains(&stated) => stated,
        None if raw.manifests.is_some() => INDEXES[1],
        None if raw.config.is_some() => IMAGES[1],
        None => stated,
    };
    let media_type = super::wire::clean(media_type);
    let unsupported = |kind: &str| {
        let kind = super::wire::clean(kind);
        ManifestError::Unsupported(format!("{}: {kind}", said::NO_KIND))
    };
    let ambiguous = || ManifestError::Malformed("the manifest is an image and an index".into());
    if INDEXES.contains(&media_type.as_str()) {
        let manifests = raw.manifests.unwrap_or_default();
        if raw.config.is_some() || raw.layers.is_some() {
            return Err(ambiguous()); // the same bytes must not mean two images (CVE-2021-41190)
        }
        return Ok(Manifest::Index(Index { media_type, manifests }));
    }
    if !IMAGES.contains(&media_type.as_str()) {
        return Err(unsupported(&media_type));
    }
    if raw.manifests.is_some() {
        return Err(ambiguous());
    }
    let config = raw
        .config
        .ok_or_else(|| ManifestError::Malformed("the manifest names no config".to_owned()))?;
    if !CONFIGS.contains(&config.media_type.as_str()) {
        return Err(unsupported(&config.media_type));
    }
    Ok(Manifest::Image(Image { media_type, config, layers: raw.layers.unwrap_or_default() }))
}

impl Descriptor {
    /// Whether it is an image that can run (rule I52).
    fn is_runnable(&self) -> bool {
        let unknown = |platform: &EntryPlatform| {
            platform.os == "unknown" || platform.architecture == "unknown"
        };
        let mark = "vnd.docker.reference.type";
        !self.platform.as_ref().is_some_and(unknown)
            && !self.annotations.as_ref().is_some_and(|notes| notes.contains_key(mark))
            && self.artifact_type.as_deref().is_none_or(|kind| CONFIGS.contains(&kind))
            && (self.media_type.is_empty() || IMAGES.contains(&self.media_type.as_str()))
    }

    /// What an entry of an index lacks; whether it can run on a platform is asked of images only (rules I18, I52).
    fn faults(&self, path: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let invalid = |field: &str, value: &str, why: &str| {
            let value = super::wire::clean(value);
            format!("{path}.{field}: Invalid value: \"{value}\": {why}")
        };
        if self.digest.parse::<Digest>().is_err() {
            let why = "digest does not conform with OCI image specification";
            faults.push(invalid("digest", &self.digest, why));
        }
        if !is_media_type(&self.media_type) {
            let why = "media type does not conform to RFC6838";
            faults.push(invalid("mediaType", &self.media_type, why));
        }
        if self.is_runnable() {
            let platform = self.platform.as_ref();
            let named = [
                ("architecture", platform.map(|platform| &platform.architecture)),
                ("os", platform.map(|platform| &platform.os)),
            ];
            let lacks = named.into_iter().filter(|(_, name)| name.is_none_or(String::is_empty));
            faults.extend(lacks.map(|(field, _)| format!("{path}.{field}: Required value")));
        }
        faults
    }

    fn is_for(&self, os: &str, architecture: &str) -> bool {
        let platform = self.platform.as_ref();
        platform.is_some_and(|own| own.os == os && own.architecture == architecture)
    }
}

/// Two names with a slash between them (RFC 6838, section 4.2).
fn is_media_type(text: &str) -> bool {
    let name = |part: &str| {
        let inside = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        part.len() <= 127
            && part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(inside)
    };
    text.split_once('/').is_some_and(|(kind, rest)| name(kind) && name(rest))
}

impl Index {
    /// The image for a platform: it, else `linux/amd64`, else the first one that can run (rules
    /// I49, I52).
    pub(super) fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        self.runnable()
            .find(|entry| entry.is_for(&wanted.os, &wanted.architecture))
            .or_else(|| self.runnable().find(|entry| entry.is_for("linux", "amd64")))
            .or_else(|| self.runnable().next())
    }

    /// Its images that can run, in its order.
    pub(super) fn runnable(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests.iter().filter(|entry| entry.is_runnable())
    }

    /// Why no image can be made of the index as a whole, in OpenShift's words (rule I18).
    pub(super) fn faults(&self) -> Vec<String> {
        let entries = self.manifests.iter().enumerate();
        entries
            .flat_map(|(at, entry)| entry.faults(&format!("dockerImageManifests[{at}]")))
            .collect()
    }

    /// What is kept of an index that is the image itself (`PreserveOriginal`), and of each of its images.
    ///
    /// They are kept in one value: what names values is looked for in the journal, not in other values.
    pub(super) fn metadata(&self, digest: &Digest, images: &[Value]) -> Value {
        let entries = self.manifests.iter().map(|entry| {
            let mut object = Map::new();
            object.insert("digest".into(), json!(entry.digest));
            object.insert("mediaType".into(), json!(entry.media_type));
            object.insert("manifestSize".into(), json!(entry.size));
            if let Some(platform) = &entry.platform {
                object.insert("os".into(), json!(platform.os));
                object.insert("architecture".into(), json!(platform.architecture));
                if let Some(variant) = &platform.variant {
                    object.insert("variant".into(), json!(variant));
                }
            }
            Value::Object(object)
        });
        json!({
            "formatVersion": 1,
            "name": digest,
            "dockerImageManifestMediaType": self.media_type,
            "dockerImageManifests": entries.collect::<Vec<_>>(),
            "images": images,
        })
    }
}

/// What an image's config says, as far as it is kept.
#[derive(Deserialize)]
struct Config {
    created: Option<String>,
    author: Option<String>,
    architecture: Option<String>,
    os: Option<String>,
    variant: Option<String>,
    docker_version: Option<String>,
    comment: Option<String>,
    container: Option<String>,
    config: Option<Map<String, Value>>,
}

impl Image {
    /// Bytes of the config and of each distinct layer.
    fn size(&self) -> u64 {
        let mut seen = BTreeSet::new();
        let layers = self.layers.iter().filter(|layer| seen.insert(&layer.digest));
        layers.fold(self.config.size, |sum, layer| sum.saturating_add(layer.size))
    }

    /// What is kept of an image: the fields of OpenShift's `Image`, with `dockerImageMetadata` in
    /// Docker's spelling. The same image always gives the same bytes.
    pub(super) fn metadata(&self, digest: &Digest, config: &[u8]) -> Result<Value, String> {
        let config: Config = serde_json::from_slice(config)
            .map_err(|error| format!("the image's config cannot be read: {error}"))?;
        let mut docker = Map::new();
        docker.insert("Id".into(), json!(self.config.digest));
        docker.insert("Size".into(), json!(self.size()));
        for (name, value) in [
            ("Created", config.created),
            ("Author", config.author),
            ("Architecture", config.architecture),
            ("Os", config.os),
            ("Variant", config.variant),
            ("DockerVersion", config.docker_version),
            ("Comment", config.comment),
            ("Container", config.container),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                docker.insert(name.into(), json!(value));
            }
        }
        if let Some(run) = config.config {
            docker.insert("Config".into(), Value::Object(run));
        }
        let layer = |layer: &Descriptor| json!({"name": layer.digest, "size": layer.size, "mediaType": layer.media_type});
        Ok(json!({
            "formatVersion": 1,
            "name": digest,
            "dockerImageManifestMediaType": self.media_type,
            "dockerImageMetadata": docker,
            "dockerImageLayers": self.layers.iter().map(layer).collect::<Vec<_>>(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

    fn index(entries: &Value) -> Index {
        let body = json!({"schemaVersion": 2, "mediaType": INDEXES[1], "manifests": entries});
        match read(body.to_string().as_bytes(), None).unwrap() {
            Manifest::Index(index) => index,
            Manifest::Image(image) => panic!("{image:?}"),
        }
    }

    fn entry(name: &str, os: &str, architecture: &str) -> Value {
        json!({
            "mediaType": IMAGES[1], "digest": name, "size": 1,
            "platform": {"os": os, "architecture": architecture},
        })
    }

    fn chosen(entries: &Value, os: &str, architecture: &str) -> Option<String> {
        let wanted = Platform { os: os.into(), architecture: architecture.into() };
        index(entries).choose(&wanted).map(|entry| entry.digest.clone())
    }

    #[test]
    fn i049_prefers_the_platform_then_linux_amd64_then_the_first() {
        let all = json!([
            entry("w", "windows", "amd64"),
            entry("a", "linux", "amd64"),
            entry("s", "linux", "s390x"),
        ]);
        assert_eq!(chosen(&all, "linux", "s390x").as_deref(), Some("s"));
        assert_eq!(chosen(&all, "linux", "riscv64").as_deref(), Some("a"));
        let others = json!([entry("w", "windows", "amd64"), entry("s", "linux", "s390x")]);
        assert_eq!(chosen(&others, "linux", "riscv64").as_deref(), Some("w"));
        assert_eq!(chosen(&json!([]), "linux", "amd64"), None);
    }

    #[test]
    fn i052_what_cannot_run_is_never_chosen() {
        let attestation = json!({
            "mediaType": IMAGES[1], "digest": "att", "size": 1,
            "platform": {"os": "linux", "architecture": "amd64"},
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        });
        let signature = json!({
            "mediaType": IMAGES[1], "digest": "sig", "size": 1,
            "artifactType": "application/vnd.example.signature",
        });
        let unknown = entry("u", "unknown", "unknown");
        let entries = json!([unknown, attestation, signature, entry("s", "linux", "s390x")]);
        assert_eq!(chosen(&entries, "linux", "amd64").as_deref(), Some("s"));
        assert_eq!(chosen(&json!([unknown, attestation]), "linux", "amd64"), None);
    }

    #[test]
    fn i051_schema_1_is_told_by_header_or_by_body() {
        let wanted = ManifestError::Unsupported("schema 1 manifests are not supported".into());
        let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        assert_eq!(read(b"{}", Some(signed)).unwrap_err(), wanted);
        assert_eq!(read(br#"{"schemaVersion": 1}"#, None).unwrap_err(), wanted);
    }

    #[test]
    fn a_manifest_of_something_else_is_refused() {
        let chart = json!({
            "schemaVersion": 2, "mediaType": IMAGES[1], "layers": [],
            "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": "d", "size": 1},
        });
        let error = read(chart.to_string().as_bytes(), None).unwrap_err();
        let wanted = "unsupported image manifest type: application/vnd.cncf.helm.config.v1+json";
        assert_eq!(error, ManifestError::Unsupported(wanted.into()));
        let both = json!({
            "schemaVersion": 2, "mediaType": IMAGES[1], "layers": [], "manifests": [],
            "config": {"mediaType": OCI_CONFIG, "digest": "d", "size": 1},
        });
        let error = read(both.to_string().as_bytes(), None).unwrap_err();
        assert_eq!(error, ManifestError::Malformed("the manifest is an image and an index".into()));
        let html = read(b"<html>", Some("text/html")).unwrap_err();
        assert!(matches!(html, ManifestError::Malformed(text) if text.contains("`text/html`")));
    }

    #[test]
    fn the_size_counts_a_layer_that_comes_twice_once() {
        let layer = json!({"mediaType": "l", "digest": "x", "size": 10});
        let body = json!({
            "schemaVersion": 2, "layers": [layer, layer, {"digest": "y", "size": 5}],
            "config": {"mediaType": OCI_CONFIG, "digest": "c", "size": 100},
        });
        let Ok(Manifest::Image(image)) = read(body.to_string().as_bytes(), None) else { panic!() };
        let config =
            br#"{"created": "2024-01-01T00:00:00Z", "architecture": "arm64", "os": "linux",
            "config": {"Labels": {"a": "b"}, "Cmd": ["run"]}, "history": []}"#;
        let kept = image.metadata(&Digest::of(b"m"), config).unwrap();
        insta::assert_snapshot!(kept["dockerImageMetadata"], @r#"{"Architecture":"arm64","Config":{"Cmd":["run"],"Labels":{"a":"b"}},"Created":"2024-01-01T00:00:00Z","Id":"c","Os":"linux","Size":115}"#);
        assert_eq!(kept["dockerImageLayers"].as_array().map(Vec::len), Some(3));
    }
}
