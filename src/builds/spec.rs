//! What a build reads of the manifest of its `BuildConfig` (section 4.1 of the triggers specification).
//!
//! When it is built, and of which images, was decided before; this is how. The manifest was validated when it was adopted.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// `spec` of a `BuildConfig`, with what of its metadata a variable may show.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BuildSpec {
    /// `source`.
    pub source: Source,
    /// `strategy`.
    pub strategy: Strategy,
    /// `output`.
    pub output: Output,
    /// `postCommit`.
    pub post_commit: PostCommit,
    /// `resources`.
    pub resources: Resources,
    /// `mountTrustedCA`.
    #[serde(rename = "mountTrustedCA")]
    pub mount_trusted_ca: bool,
    /// The labels of the `BuildConfig`, which its builds have, too (rule B4).
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
}

/// Where the files of a build come from.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Source {
    /// A repository.
    pub git: Option<Git>,
    /// Files that somebody hands over.
    pub binary: Option<Binary>,
    /// The text of a Dockerfile.
    pub dockerfile: Option<String>,
    /// Files out of images.
    pub images: Vec<ImageSource>,
    /// The folder below the sources that is built.
    pub context_dir: String,
    /// The `Secret` with the login to the repository (rule B38).
    pub source_secret: Named,
    /// Files of `Secret`s.
    pub secrets: Vec<SecretFiles>,
    /// Files of `ConfigMap`s.
    pub config_maps: Vec<ConfigMapFiles>,
}

/// A repository.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Git {
    /// Where. May hold a login: never shown as it is.
    pub uri: String,
    /// A branch, a tag, a commit or another reference; empty for the default branch.
    pub r#ref: String,
    /// For `http` addresses.
    pub http_proxy: String,
    /// For `https` addresses.
    pub https_proxy: String,
    /// Hosts that no proxy is used for.
    pub no_proxy: String,
}

/// Files that somebody hands over.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Binary {
    /// The name of a single file.
    pub as_file: String,
}

/// Files out of an image; which image, the request says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageSource {
    /// Names that stand for the image in a Dockerfile.
    pub r#as: Vec<String>,
    /// What is copied.
    pub paths: Vec<ImagePath>,
    /// The `Secret` with the login for it.
    pub pull_secret: Named,
}

/// A file or folder of an image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImagePath {
    /// In the image, absolute; behind `/.` the content of a folder.
    pub source_path: String,
    /// Below the sources.
    pub destination_dir: String,
}

/// Something that is named.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    /// Empty where none is.
    pub name: String,
}

impl Named {
    /// The name, where there is one.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        Some(self.name.as_str()).filter(|name| !name.is_empty())
    }
}

/// The keys of a `Secret` as files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretFiles {
    /// Which.
    pub secret: Named,
    /// The folder.
    pub destination_dir: String,
}

/// The keys of a `ConfigMap` as files.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMapFiles {
    /// Which.
    pub config_map: Named,
    /// The folder.
    pub destination_dir: String,
}

/// How it is built.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Strategy {
    /// By a Dockerfile.
    pub docker_strategy: Option<Docker>,
    /// Source-to-image.
    pub source_strategy: Option<S2i>,
}

/// A Dockerfile.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Docker {
    /// The `Secret` with the login for its images.
    pub pull_secret: Named,
    /// Whether layers that are there are left alone.
    pub no_cache: bool,
    /// Variables behind every `FROM`.
    pub env: Vec<EnvVar>,
    /// Whether images are pulled that are there.
    pub force_pull: bool,
    /// Where it is, below the context.
    pub dockerfile_path: String,
    /// Its arguments.
    pub build_args: Vec<EnvVar>,
    /// `None`, `SkipLayers` or `SkipLayersAndWarn`.
    pub image_optimization_policy: String,
    /// What its commands see and no layer has.
    pub volumes: Vec<Volume>,
}

/// Source-to-image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct S2i {
    /// The `Secret` with the login for the builder image.
    pub pull_secret: Named,
    /// Variables of the image.
    pub env: Vec<EnvVar>,
    /// Where its scripts are: `image://PATH` or an address.
    pub scripts: String,
    /// Whether artifacts of the build before are used.
    pub incremental: Option<bool>,
    /// Whether the builder image is pulled when it is there.
    pub force_pull: bool,
    /// What its scripts see and no layer has.
    pub volumes: Vec<Volume>,
}

/// A variable.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Where its value is from instead.
    pub value_from: Option<ValueFrom>,
}

/// Where the value of a variable is from (rule B56).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValueFrom {
    /// A key of a `Secret`.
    pub secret_key_ref: Option<KeyOf>,
    /// A key of a `ConfigMap`.
    pub config_map_key_ref: Option<KeyOf>,
    /// A field of the build.
    pub field_ref: Option<FieldOf>,
    /// What a container may use; not for builds.
    pub resource_field_ref: Option<Value>,
}

/// A key of a `Secret` or a `ConfigMap`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct KeyOf {
    /// Of which.
    pub name: String,
    /// Which.
    pub key: String,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A field of the build.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FieldOf {
    /// Which.
    pub field_path: String,
}

/// Files that commands of a build see.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub source: VolumeSource,
    /// Where it is seen.
    pub mounts: Vec<Mount>,
}

/// What a volume is made of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSource {
    /// `Secret`, `ConfigMap` or `CSI`.
    pub r#type: String,
    /// A `Secret`.
    pub secret: Option<SecretVolume>,
    /// A `ConfigMap`.
    pub config_map: Option<ConfigMapVolume>,
}

/// A volume of the keys of a `Secret`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretVolume {
    /// Which.
    pub secret_name: String,
    /// Which keys; none for all.
    pub items: Vec<Item>,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A volume of the keys of a `ConfigMap`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConfigMapVolume {
    /// Which.
    pub name: String,
    /// Which keys; none for all.
    pub items: Vec<Item>,
    /// Whether it may be missing.
    pub optional: bool,
}

/// A key as a file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Item {
    /// The key.
    pub key: String,
    /// The file, below the volume.
    pub path: String,
}

/// Where a volume is seen.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mount {
    /// The folder in the container, absolute.
    pub destination_path: String,
}

/// What becomes of the image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Output {
    /// The `Secret` with the login to push with.
    pub push_secret: Named,
    /// Its labels.
    pub image_labels: Vec<Label>,
}

/// A label of an image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Label {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// What runs in the finished image before it is pushed (rule B42).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PostCommit {
    /// For `/bin/sh -ic`.
    pub script: String,
    /// In the place of the entry point.
    pub command: Vec<String>,
    /// Arguments.
    pub args: Vec<String>,
}

impl PostCommit {
    /// What is run in an image with this entry point; none where nothing is.
    #[must_use]
    pub fn words(&self, entry_point: &[String]) -> Option<Vec<String>> {
        let Self { script, command, args } = self;
        let start = match (script.is_empty(), command.is_empty()) {
            // What follows the script is `$0` and the arguments of the script.
            (false, _) => ["/bin/sh", "-ic", script].map(str::to_owned).to_vec(),
            (true, false) => command.clone(),
            (true, true) if args.is_empty() => return None,
            (true, true) => entry_point.to_vec(),
        };
        let name = (!script.is_empty() && !args.is_empty()).then(|| "/bin/sh".to_owned());
        Some(start.into_iter().chain(name).chain(args.clone()).collect())
    }
}

/// What a build may use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// At most: `memory`, `cpu`.
    pub limits: Limits,
}

/// Quantities, as text or as a number.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<Value>,
    /// Processors.
    pub cpu: Option<Value>,
}

impl Limits {
    /// `memory` in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        quantity(self.memory.as_ref()?).map(|thousandths| thousandths / 1000)
    }

    /// `cpu` in thousandths of a processor.
    #[must_use]
    pub fn cpu_thousandths(&self) -> Option<u64> {
        quantity(self.cpu.as_ref()?)
    }
}

/// A quantity of Kubernetes in thousandths; none where it is none.
fn quantity(value: &Value) -> Option<u64> {
    const UNITS: [(&str, u64); 10] = [
        ("Ki", 1000 << 10),
        ("Mi", 1000 << 20),
        ("Gi", 1000 << 30),
        ("Ti", 1000 << 40),
        ("m", 1),
        ("k", 1_000_000),
        ("M", 1_000_000_000),
        ("G", 1_000_000_000_000),
        ("T", 1_000_000_000_000_000),
        ("", 1000),
    ];
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().ok()?;
    // Three digits behind the point say it closely enough.
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let part: u64 = part.parse().ok()?;
    whole.checked_mul(unit)?.checked_add(part.checked_mul(unit)? / 1000)
}

/// A manifest that no build can be made of.
#[derive(Debug, thiserror::Error)]
#[error("the manifest of the BuildConfig cannot be read: {0}")]
pub struct SpecError(#[from] serde_json::Error);

/// The parts of a manifest that matter.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Manifest {
    metadata: Value,
    spec: BuildSpec,
}

impl BuildSpec {
    /// Reads the manifest of a `BuildConfig`, in JSON.
    ///
    /// # Errors
    /// When a field is not of its type.
    pub fn read(manifest: &[u8]) -> Result<Self, SpecError> {
        let mut manifest: Value = serde_json::from_slice(manifest)?;
        without_nulls(&mut manifest);
        let Manifest { metadata, spec } = serde_json::from_value(manifest)?;
        let labels = metadata.get("labels").and_then(Value::as_object).into_iter().flatten();
        let text =
            |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
        Ok(Self { labels: labels.filter_map(text).collect(), ..spec })
    }

    /// The `Secret`s with logins for the images that it pulls.
    pub fn pull_secrets(&self) -> impl Iterator<Item = &str> {
        let docker = self.strategy.docker_strategy.as_ref().map(|docker| &docker.pull_secret);
        let s2i = self.strategy.source_strategy.as_ref().map(|s2i| &s2i.pull_secret);
        let images = self.source.images.iter().map(|image| &image.pull_secret);
        docker.into_iter().chain(s2i).chain(images).filter_map(Named::get)
    }
}

/// A field that is null is one that is not there, as Kubernetes has it.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_null_is_one_that_is_not_there() {
        let manifest = br#"{"spec": {"source": {"images": null, "git": {"uri": "u", "ref": null}}, "output": null}}"#;
        let spec = BuildSpec::read(manifest).unwrap();
        assert_eq!(spec.source.git.unwrap().uri, "u");
        let wrong = BuildSpec::read(br#"{"spec": {"source": {"images": "all"}}}"#);
        assert!(wrong.unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn a_limit_is_a_quantity() {
        let limits = |memory: &str, cpu: &str| {
            let limits = format!(r#"{{"memory": {memory}, "cpu": {cpu}}}"#);
            let limits: Limits = serde_json::from_str(&limits).unwrap();
            (limits.memory_bytes(), limits.cpu_thousandths())
        };
        assert_eq!(limits(r#""512Mi""#, r#""500m""#), (Some(512 << 20), Some(500)));
        assert_eq!(limits("1000", "2"), (Some(1000), Some(2000)));
        assert_eq!(limits(r#""1.5Gi""#, r#""0.25""#), (Some(3 << 29), Some(250)));
        assert_eq!(limits(r#""much""#, "true"), (None, None));
    }

    #[test]
    fn b042_a_hook_is_a_script_a_command_or_arguments_of_the_entry_point() {
        let hook = |script: &str, command: &[&str], args: &[&str]| PostCommit {
            script: script.into(),
            command: command.iter().map(ToString::to_string).collect(),
            args: args.iter().map(ToString::to_string).collect(),
        };
        let words = |hook: PostCommit| hook.words(&["/entry".to_owned()]).unwrap_or_default();
        assert_eq!(words(hook("make test", &[], &[])), ["/bin/sh", "-ic", "make test"]);
        assert_eq!(
            words(hook("echo $1", &[], &["a"])),
            ["/bin/sh", "-ic", "echo $1", "/bin/sh", "a"]
        );
        assert_eq!(words(hook("", &["rake"], &["test"])), ["rake", "test"]);
        assert_eq!(words(hook("", &[], &["--check"])), ["/entry", "--check"]);
        assert!(hook("", &[], &[]).words(&[]).is_none());
    }
}
