//! The words of the domain as types: parsed once at the door, never strings inside.
//!
//! Every name is cheap to clone (a shared string or a few bytes), ordered byte-wise and serialised as the text
//! that a user would write. Only the constructors here make one, so holding the type is the proof.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Why a text is not the name that it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct NameError {
    /// The text that was refused.
    pub text: String,
    /// What it was read as, with its article: "a digest".
    pub what: &'static str,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl NameError {
    fn new(text: &str, what: &'static str, why: &'static str) -> Self {
        // A message must stay readable whatever the input was.
        let text = text.chars().take(120).collect();
        Self { text, what, why }
    }
}

/// Serialises through `Display` and `FromStr`, so that every format shows the text a user would write.
macro_rules! text_serde {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("the text of a ", stringify!($name)))
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    };
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                check(text).map_err(|why| NameError::new(text, $what, why))?;
                Ok(Self(Arc::from(text)))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_serde!($name);
    };
}

fn check_namespace(text: &str) -> Result<(), &'static str> {
    let ok = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 63 {
        return Err("a namespace has 1 to 63 characters");
    }
    if !text.chars().all(ok) || text.starts_with('-') || text.ends_with('-') {
        return Err(
            "a namespace has lower-case letters, digits and `-`, and no `-` at either end (RFC 1123 label)",
        );
    }
    Ok(())
}

fn check_object_name(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > 253 {
        return Err("a name has 1 to 253 characters");
    }
    if text == "." || text == ".." || text.contains(['/', '%', '@', ':']) {
        return Err("a name must not be `.` or `..` nor contain `/`, `%`, `@` or `:`");
    }
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("a name has no spaces or control characters");
    }
    Ok(())
}

fn check_tag(text: &str) -> Result<(), &'static str> {
    let mut chars = text.chars();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !chars.next().is_some_and(word) {
        return Err("a tag starts with a letter, a digit or `_`");
    }
    if text.len() > 128 || !chars.all(|c| word(c) || c == '.' || c == '-') {
        return Err("a tag has at most 128 letters, digits, `_`, `.` and `-` (rule I15)");
    }
    Ok(())
}

text_name!(
    /// A namespace: an RFC 1123 label.
    Namespace,
    "a namespace",
    check_namespace
);
text_name!(
    /// The name of an object inside its namespace; what each kind demands beyond this is checked by `desired`.
    ObjectName,
    "an object name",
    check_object_name
);
text_name!(
    /// A tag of an image stream or a repository: `[\w][\w.-]{0,127}` (rule I15).
    TagName,
    "a tag",
    check_tag
);
text_name!(
    /// The name of a rollout target in the configuration (`[targets.NAME]`).
    TargetName,
    "a target name",
    check_object_name
);

impl Default for Namespace {
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

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
}

impl Kind {
    /// Every kind, in order.
    pub const ALL: [Self; 7] = [
        Self::ImageStream,
        Self::BuildConfig,
        Self::DeploymentConfig,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::CronJob,
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

/// Writes bytes as lower-case hex.
fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// The value of a lower-case hex digit; 16 or more for anything else.
fn hex_digit(c: u8) -> u8 {
    match c {
        b'0'..=b'9' => c - b'0',
        b'a'..=b'f' => c - b'a' + 10,
        _ => 0xff,
    }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !odd.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    // All digits are looked at before any is judged: one branch for 64 of them, and a start reads 300,000 digests.
    let mut bad = 0;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (high, low) = (hex_digit(*high), hex_digit(*low));
        bad |= high | low;
        *byte = (high << 4) | (low & 15);
    }
    (bad < 16).then_some(bytes)
}

/// The digest of an image manifest: `sha256:` and 64 lower-case hex digits (OCI image specification).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Computes the digest of some content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(sha256(content))
    }

    /// The reference of the image with this digest in a repository: `<repository>@<digest>`.
    #[must_use]
    pub fn pinned(&self, repository: &str) -> String {
        let mut text = String::with_capacity(repository.len() + "@sha256:".len() + 64);
        // Writing into a string cannot fail.
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{repository}@{self}"));
        text
    }

    /// The first 12 hex digits, for messages where the whole digest stands elsewhere.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().skip(7).take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        text.strip_prefix("sha256:").and_then(parse_hex).map(Self).ok_or_else(|| {
            NameError::new(text, "a digest", "expected `sha256:` and 64 lower-case hex digits")
        })
    }
}

text_serde!(Digest);

fn sha256(content: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let digest = ring::digest::digest(&ring::digest::SHA256, content);
    bytes.copy_from_slice(digest.as_ref()); // SHA-256 has 32 bytes
    bytes
}

/// The SHA-256 of a value that the object store beside the journal keeps, or of a template: 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Computes the hash of some content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(sha256(content))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for ContentHash {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_hex(text).map(Self).ok_or_else(|| {
            NameError::new(text, "a content hash", "expected 64 lower-case hex digits")
        })
    }
}

text_serde!(ContentHash);

/// A git object id (SHA-1, 40 hex digits): of a commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId([u8; 20]);

impl CommitId {
    /// Makes one from the 20 bytes that git knows it by.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The first 9 hex digits, as `git log --oneline` would show them.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(9).collect()
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for CommitId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_hex(text)
            .map(Self)
            .ok_or_else(|| NameError::new(text, "a commit", "expected 40 lower-case hex digits"))
    }
}

text_serde!(CommitId);

/// A git object id (SHA-1, 40 hex digits): of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId([u8; 20]);

impl BlobId {
    /// Makes one from the 20 bytes that git knows it by.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl FromStr for BlobId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_hex(text)
            .map(Self)
            .ok_or_else(|| NameError::new(text, "a blob", "expected 40 lower-case hex digits"))
    }
}

text_serde!(BlobId);

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after it.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

counter!(
    /// The sequence number of a journal record; the first is 1.
    Seq
);
counter!(
    /// The generation of a stream or of one of its tags (rules I22 to I27); 0 is "never".
    Generation
);
counter!(
    /// Which life of an object it is: deleted and created again is another one (DBT 0.4, item 5); the first is 1.
    Incarnation
);
counter!(
    /// The number of a rollout of one object, `latestVersion`; the first is 1.
    Revision
);

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

impl fmt::Display for RolloutKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.namespace, self.name, self.incarnation, self.seq)?;
        self.epoch.map_or(Ok(()), |epoch| write!(f, "+{}", epoch.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_lower_case_sha256_and_nothing_else() {
        let digest = Digest::of(b"tidegate");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for bad in [
            "",
            "sha256:",
            "sha512:00",
            &digest.to_string().to_uppercase(),
            &digest.to_string()[..70],
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names_print_what_they_parse() {
        for text in ["shop/web", "a/b.c_d"] {
            assert_eq!(text.parse::<StreamName>().unwrap().to_string(), text);
        }
        assert_eq!("shop/web:3.10".parse::<StreamTag>().unwrap().to_string(), "shop/web:3.10");
        let key = "DeploymentConfig/shop/web";
        assert_eq!(key.parse::<ObjectKey>().unwrap().to_string(), key);
        assert!("Route/shop/web".parse::<ObjectKey>().is_err());
        assert!("shop:web/x".parse::<StreamTag>().is_err());
    }

    #[test]
    fn a_refused_name_says_what_rule_it_breaks() {
        let error = ".hidden".parse::<TagName>().unwrap_err();
        insta::assert_snapshot!(error, @"`.hidden` is not a tag: a tag starts with a letter, a digit or `_`");
    }

    #[test]
    fn a_tag_that_looks_like_a_number_keeps_its_text() {
        let tag: TagName = serde_json::from_str("\"3.10\"").unwrap();
        assert_eq!(serde_json::to_string(&tag).unwrap(), "\"3.10\"");
    }
}
