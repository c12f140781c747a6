//! Image references: grammar, normal form, and what is shown (section 2 of the image-stream
//! specification).

use std::fmt;
use std::str::FromStr;

use crate::names::{Digest, TagName};

/// An image reference as a user spelled it, split into its parts (rules I28, I29); nothing is
/// defaulted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ImageReference {
    /// `docker.io`, `localhost:5000`; none for a short name.
    pub registry: Option<String>,
    /// The first component of the path when there are several.
    pub namespace: Option<String>,
    /// The rest of the path.
    pub name: String,
    /// The tag, if one is spelled.
    pub tag: Option<TagName>,
    /// The digest, if one is spelled.
    pub digest: Option<Digest>,
}

/// Why a text is not an image reference; the words are OpenShift's (rule I28).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReferenceError(pub &'static str);

/// Names under which Docker Hub is spelled (rule I31).
const HUB_ALIASES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The host of Docker Hub that answers the registry protocol (rule I31, `AsV2`).
pub const HUB_V2_HOST: &str = "registry-1.docker.io";

/// Characters of a name, registry included (rule I28).
const NAME_LEN_MAX: usize = 255;

/// Whether `registry` is one of the names of Docker Hub.
#[must_use]
pub fn is_docker_hub(registry: &str) -> bool {
    HUB_ALIASES.contains(&registry)
}

impl ImageReference {
    /// The repository as spelled, without tag and digest: `centos/python-35-centos7`
    /// (`AsRepository`).
    #[must_use]
    pub fn repository_as_spelled(&self) -> String {
        let parts = [self.registry.as_deref(), self.namespace.as_deref(), Some(self.name.as_str())];
        let parts = parts.into_iter().flatten().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("/")
    }

    /// What a tag event records: the repository as spelled and the digest (rule I54).
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> String {
        format!("{}@{digest}", self.repository_as_spelled())
    }

    /// Whether only a registry is named (rule I29, item 1): `my.image:1.0`. Such a reference names
    /// no image (rule I30).
    #[must_use]
    pub fn is_registry_only(&self) -> bool {
        self.name.is_empty()
    }

    /// The registry that is contacted, after defaults (rule I31, `AsV2`): `registry-1.docker.io`,
    /// `localhost:5000`.
    #[must_use]
    pub fn registry_host(&self) -> String {
        match self.registry.as_deref() {
            None => HUB_V2_HOST.into(),
            Some(registry) if is_docker_hub(registry) => HUB_V2_HOST.into(),
            Some(registry) => registry.into(),
        }
    }

    /// The host and port that are contacted; without a port, 443, or 80 where the tag is insecure
    /// (rule I31).
    #[must_use]
    pub fn registry_host_port(&self, insecure: bool) -> (String, u16) {
        let host = self.registry_host();
        let default = if insecure { 80 } else { 443 };
        match host.rsplit_once(':').map(|(name, port)| (name, port.parse())) {
            Some((name, Ok(port))) => (name.to_owned(), port),
            _ => (host, default),
        }
    }

    /// The namespace after defaults: `library` for a Docker Hub image without one.
    fn namespace_or_default(&self) -> Option<&str> {
        let hub = self.registry.as_deref().is_none_or(is_docker_hub);
        self.namespace.as_deref().or(hub.then_some("library"))
    }

    /// The path of the repository on that host, after defaults: `library/python`.
    #[must_use]
    pub fn repository_path(&self) -> String {
        match self.namespace_or_default() {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Host and repository that are contacted, after defaults: the same for every spelling of one repository.
    #[must_use]
    pub fn repository_contacted(&self) -> String {
        format!("{}/{}", self.registry_host(), self.repository_path())
    }

    /// Every way to spell the registry and the namespace of this repository: Docker Hub has several names and a default
    /// namespace, and 443 is what a host has without a port. Without tag and digest.
    #[must_use]
    pub fn spellings(&self) -> Vec<Self> {
        let spelled = |registry: Option<String>, namespace: Option<String>| {
            let name = self.name.clone();
            Self { registry, namespace, name, tag: None, digest: None }
        };
        let Some(registry) = self.registry.as_deref().filter(|host| !is_docker_hub(host)) else {
            let names = HUB_ALIASES.iter().map(|name| Some((*name).to_owned())).chain([None]);
            let library = self.namespace.as_deref().is_none_or(|name| name == "library");
            // `library/a/b` without `library` would be the repository `a/b`.
            let namespaces = match library && !self.name.contains('/') {
                true => vec![None, Some("library".to_owned())],
                false => vec![self.namespace.clone()],
            };
            let all =
                names.flat_map(|name| namespaces.iter().map(move |n| (name.clone(), n.clone())));
            return all.map(|(registry, namespace)| spelled(registry, namespace)).collect();
        };
        let other = match registry.strip_suffix(":443") {
            Some(host) => host.to_owned(),
            None if registry.contains(':') => {
                return vec![spelled(self.registry.clone(), self.namespace.clone())];
            }
            None => format!("{registry}:443"),
        };
        let both = [self.registry.clone(), Some(other)];
        both.into_iter().map(|registry| spelled(registry, self.namespace.clone())).collect()
    }

    /// The digest if there is one, else the tag, else `latest`: the last part of the manifest's
    /// address.
    #[must_use]
    pub fn tag_or_digest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => "latest".into(),
        }
    }

    /// Namespace and name without the registry: `centos/python-35-centos7` (rule I31,
    /// `RepositoryName`).
    #[must_use]
    pub fn repository_name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The name with the digest, or else the tag, if there is one (rule I31, `NameString`).
    #[must_use]
    pub fn name_string(&self) -> String {
        match (&self.digest, &self.tag) {
            _ if self.name.is_empty() => String::new(),
            (Some(digest), _) => format!("{}@{digest}", self.name),
            (None, Some(tag)) => format!("{}:{tag}", self.name),
            (None, None) => self.name.clone(),
        }
    }

    /// The reference with nothing defaulted and without a tag that a digest overrules; empty for a
    /// registry alone
    /// (rule I31, `Exact`).
    #[must_use]
    pub fn exact(&self) -> String {
        if self.name.is_empty() {
            return String::new();
        }
        let parts = [self.registry.as_deref(), self.namespace.as_deref()];
        let mut text: String = parts.into_iter().flatten().flat_map(|part| [part, "/"]).collect();
        text.push_str(&self.name_string());
        text
    }

    /// As [`Self::exact`], with `library` where the registry is spelled as Docker Hub (rule I31,
    /// `String`).
    #[must_use]
    pub fn qualified(&self) -> String {
        let hub = self.registry.as_deref().is_some_and(is_docker_hub);
        let namespace = self.namespace.clone().or_else(|| hub.then(|| "library".to_owned()));
        Self { namespace, ..self.clone() }.exact()
    }

    /// The reference without a tag that its digest overrules (rule I31, `MostSpecific`).
    #[must_use]
    pub fn most_specific(mut self) -> Self {
        if self.digest.is_some() {
            self.tag = None;
        }
        self
    }

    /// The reference without the tag `latest` (rule I31, `Minimal`).
    #[must_use]
    pub fn minimal(mut self) -> Self {
        self.tag = self.tag.filter(|tag| tag.as_str() != "latest");
        self
    }

    /// The shortest spelling that Docker understands (rule I31, `DaemonMinimal`).
    #[must_use]
    pub fn daemon_minimal(mut self) -> Self {
        if self.registry.as_deref().is_some_and(is_docker_hub) {
            self.registry = Some("docker.io".into());
            // `library/a/b` without `library` would be the repository `a/b`.
            let is_short = !self.name.contains('/');
            self.namespace = self.namespace.filter(|namespace| namespace != "library" || !is_short);
        }
        self.minimal()
    }

    /// Registry, namespace and tag filled in as Docker's clients do (rule I31,
    /// `DockerClientDefaults`).
    #[must_use]
    pub fn with_defaults(&self) -> Self {
        Self {
            registry: Some(self.registry.clone().unwrap_or_else(|| "docker.io".into())),
            namespace: self.namespace_or_default().map(str::to_owned),
            name: self.name.clone(),
            tag: self.tag.clone().or_else(|| "latest".parse().ok()),
            digest: self.digest,
        }
    }

    /// The one spelling of all that name the same image; none if it is that already.
    ///
    /// A name without a registry is its own where not everything without one is at Docker Hub (`short_is_hub`).
    #[must_use]
    pub fn one_spelling(&self, short_is_hub: bool) -> Option<Self> {
        let named = self.registry.as_deref();
        let is_hub = named.map_or(short_is_hub, is_docker_hub);
        let is_one = match named {
            Some(registry) if is_hub => registry == "docker.io" && self.namespace.is_some(),
            Some(_) => true,
            None => !is_hub,
        };
        let tag = match self.digest {
            Some(_) => None,
            None => self.tag.clone().or_else(|| "latest".parse().ok()),
        };
        if is_one && tag == self.tag || self.is_registry_only() {
            return None;
        }
        let registry = if is_hub { Some("docker.io".to_owned()) } else { self.registry.clone() };
        let library = || is_hub.then(|| "library".to_owned());
        let namespace = self.namespace.clone().or_else(library);
        Some(Self { registry, namespace, name: self.name.clone(), tag, digest: self.digest })
    }

    /// Whether both mean the same after defaults (rule I31, `Equal`).
    #[must_use]
    pub fn means_same_as(&self, other: &Self) -> bool {
        self.with_defaults() == other.with_defaults()
    }

    /// The form of error messages: everything defaulted, `docker.io/library/python:3.6.0` (rules
    /// I33, I73).
    #[must_use]
    pub fn normalized(&self) -> String {
        let mut full = self.with_defaults();
        if full.registry.as_deref() == Some("index.docker.io") {
            full.registry = Some("docker.io".into());
        }
        full.exact()
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError("repository name must have at least one component"));
        }
        let Some(parts) = Parts::of(text) else {
            let lower = text.to_lowercase();
            return Err(ReferenceError(match Parts::of(&lower) {
                Some(_) => "repository name must be lowercase",
                None => "invalid reference format",
            }));
        };
        if parts.name.len() > NAME_LEN_MAX {
            return Err(ReferenceError("repository name must not be more than 255 characters"));
        }
        let digest = parts.digest.map(check_digest).transpose()?;
        let (registry, path) = match parts.name.split_once('/') {
            None if parts.name.contains('.') || parts.name.starts_with("localhost") => {
                let registry = Some(text.to_owned());
                let name = String::new();
                return Ok(Self { registry, namespace: None, name, tag: None, digest: None });
            }
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
                (Some(host.to_owned()), path)
            }
            _ => (None, parts.name),
        };
        let (namespace, name) = match path.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), name.to_owned()),
            None => (None, path.to_owned()),
        };
        let tag = parts.tag.map(str::parse).transpose();
        let tag = tag.map_err(|_| ReferenceError("invalid reference format"))?;
        Ok(Self { registry, namespace, name, tag, digest })
    }
}

/// A text that fits the grammar of rule I28, cut at the borders.
struct Parts<'a> {
    name: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Cuts the text, or returns `None` where the grammar does not match.
    fn of(text: &'a str) -> Option<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A `:` before the last `/` belongs to the port of a host.
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest.get(last..)?.split_once(':') {
            Some((component, tag)) => (rest.get(..last + component.len())?, Some(tag)),
            None => (rest, None),
        };
        let ok = is_name(name)
            && tag.is_none_or(|tag| tag.parse::<TagName>().is_ok())
            && digest.is_none_or(is_digest_shaped);
        ok.then_some(Self { name, tag, digest })
    }
}

fn is_name(text: &str) -> bool {
    match text.split_once('/') {
        None => is_component(text),
        Some((first, rest)) => {
            (is_component(first) || is_host(first)) && rest.split('/').all(is_component)
        }
    }
}

fn is_component(text: &str) -> bool {
    let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = text.as_bytes();
    loop {
        let words = rest.iter().take_while(|c| word(**c)).count();
        if words == 0 {
            return false;
        }
        rest = rest.get(words..).unwrap_or_default();
        let separator = rest.iter().take_while(|c| !word(**c)).count();
        let (separator, after) = rest.split_at(separator);
        let dashes = separator.iter().all(|c| *c == b'-');
        match separator {
            b"" => return after.is_empty(),
            b"." | b"_" | b"__" => {}
            _ if dashes => {}
            _ => return false,
        }
        rest = after;
    }
}

fn is_host(text: &str) -> bool {
    let (labels, port) = match text.split_once(':') {
        Some((labels, port)) => (labels, Some(port)),
        None => (text, None),
    };
    let label = |label: &str| {
        let inside = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        !label.is_empty()
            && label.bytes().all(inside)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
    labels.split('.').all(label) && port.is_none_or(digits)
}

fn is_digest_shaped(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let component = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.bytes().all(|c| c.is_ascii_alphanumeric())
    };
    algorithm.split(['-', '_', '+', '.']).all(component)
        && hex.len() >= 32
        && hex.bytes().all(|c| c.is_ascii_hexdigit())
}

/// The digest errors of rule I28, in their order, for a text of the right shape.
///
/// OpenShift also takes SHA-384 and SHA-512. We represent SHA-256 alone, which every registry
/// computes.
fn check_digest(text: &str) -> Result<Digest, ReferenceError> {
    const FORMAT: ReferenceError = ReferenceError("invalid checksum digest format");
    const LENGTH: ReferenceError = ReferenceError("invalid checksum digest length");
    const ALGORITHM: ReferenceError = ReferenceError("unsupported digest algorithm");
    let (algorithm, hex) = text.split_once(':').ok_or(FORMAT)?;
    let len = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ if algorithm.bytes().any(|c| c.is_ascii_uppercase()) => return Err(FORMAT),
        _ => return Err(ALGORITHM),
    };
    if hex.len() != len {
        return Err(LENGTH);
    }
    if hex.bytes().any(|c| c.is_ascii_uppercase()) {
        return Err(FORMAT);
    }
    text.parse().map_err(|_| ALGORITHM)
}

impl serde::Serialize for ImageReference {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ImageReference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository_as_spelled())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> ImageReference {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_library_with_folders_keeps_its_repository() {
        let short = parse("registry-1.docker.io/library/a/b:latest").daemon_minimal();
        assert_eq!(short.to_string(), "docker.io/library/a/b");
        assert_eq!(parse("library/a").daemon_minimal().to_string(), "library/a");
    }

    proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same(
            text in "([a-zA-Z0-9][a-z.0-9-]{0,8}(:[0-9]{1,5})?/)?[a-z0-9._/-]{1,20}(:[\\w][\\w.-]{0,9})?(@sha256:[0-9a-f]{64})?",
        ) {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(reference.to_string(), text.clone());
                prop_assert_eq!(reference.to_string().parse::<ImageReference>(), Ok(reference));
            }
        }

        #[test]
        fn any_text_is_parsed_or_refused_without_panic(text in "\\PC{0,40}") {
            if let Ok(reference) = text.parse::<ImageReference>() {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
