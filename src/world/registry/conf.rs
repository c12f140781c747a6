//! containers-registries.conf(5), as far as it says where images are: prefixes, their locations, and what is blocked.

use std::path::Path;

use serde::Deserialize;

use crate::reference::{ImageReference, is_docker_hub};

/// What such a file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegistriesConf {
    entries: Vec<Entry>,
    /// What it says that this version does not act on.
    pub ignored: Vec<&'static str>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
}

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesConfError {
    /// It is not there, or may not be read.
    #[error("it cannot be read")]
    Read(#[from] std::io::Error),
    /// It is no TOML, or a field has another type.
    #[error("it is not in the format of containers-registries.conf(5): {0}")]
    Format(String),
    /// An entry says nothing.
    #[error("`[[registry]]` number {0} has neither a `prefix` nor a `location`")]
    Empty(usize),
    /// A wildcard names no location.
    #[error(
        "`[[registry]]` `{0}` has no `location`; a prefix with a wildcard cannot be a location itself"
    )]
    Wildcard(String),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<Registry>,
    #[serde(default, rename = "unqualified-search-registries")]
    search: Vec<String>,
    #[serde(default)]
    aliases: toml::Table,
}

#[derive(Deserialize)]
struct Registry {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror: Vec<toml::Table>,
}

/// Where an image is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The host that is contacted.
    pub(super) host: String,
    /// The path of the repository there.
    pub(super) repository: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
}

impl RegistriesConf {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or used.
    pub fn read(path: &Path) -> Result<Self, RegistriesConfError> {
        Self::parse(&std::fs::read_to_string(path)?)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn parse(text: &str) -> Result<Self, RegistriesConfError> {
        let file: File = toml::from_str(text)
            .map_err(|error| RegistriesConfError::Format(error.message().to_owned()))?;
        let mut conf = Self::default();
        if !file.search.is_empty() {
            conf.ignored.push("unqualified-search-registries");
        }
        if !file.aliases.is_empty() {
            conf.ignored.push("aliases");
        }
        for (at, registry) in file.registry.into_iter().enumerate() {
            let Registry { prefix, location, insecure, blocked, mirror } = registry;
            if !mirror.is_empty() && !conf.ignored.contains(&"mirror") {
                conf.ignored.push("mirror");
            }
            let (prefix, location) = match (prefix.is_empty(), location.is_empty()) {
                (true, true) => return Err(RegistriesConfError::Empty(at + 1)),
                (true, false) => (location.clone(), location),
                (false, true) if prefix.starts_with("*.") && !blocked => {
                    return Err(RegistriesConfError::Wildcard(prefix));
                }
                (false, true) => (prefix.clone(), prefix),
                (false, false) => (prefix, location),
            };
            conf.entries.push(Entry { prefix, location, insecure, blocked });
        }
        Ok(conf)
    }

    /// Where an image is: by the entry with the longest prefix, or where it says itself.
    pub(super) fn place(&self, image: &ImageReference) -> Place {
        let host = image.registry.as_deref().unwrap_or("docker.io");
        let host = if is_docker_hub(host) { "docker.io" } else { host };
        let full = format!("{host}/{}", image.repository_path());
        let rest = |entry: &Entry| rest_of(&full, &entry.prefix).map(str::to_owned);
        let matching = self.entries.iter().filter_map(|entry| Some((entry, rest(entry)?)));
        let Some((entry, rest)) = matching.max_by_key(|(entry, _)| entry.prefix.len()) else {
            return Place {
                host: image.registry_host(),
                repository: image.repository_path(),
                insecure: false,
                blocked: false,
            };
        };
        let (insecure, blocked) = (entry.insecure, entry.blocked);
        let located = match entry.prefix.starts_with("*.") {
            // A wildcard stands for the whole host.
            true if entry.location == entry.prefix => full.clone(),
            true | false => format!("{}{rest}", entry.location),
        };
        let (host, repository) = located.split_once('/').unwrap_or((located.as_str(), ""));
        let host = if is_docker_hub(host) { image_hub(image) } else { host.to_owned() };
        Place { host, repository: repository.to_owned(), insecure, blocked }
    }
}

/// The host of Docker Hub that is contacted (rule I31).
fn image_hub(image: &ImageReference) -> String {
    ImageReference { registry: None, ..image.clone() }.registry_host()
}

/// What follows a prefix, which ends where a component does; none if it is no prefix.
fn rest_of<'a>(full: &'a str, prefix: &str) -> Option<&'a str> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let (host, _) = full.split_once('/')?;
        return host.ends_with(domain).then(|| &full[host.len()..]);
    }
    let rest = full.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(conf: &str, image: &str) -> String {
        let conf = RegistriesConf::parse(conf).unwrap();
        let Place { host, repository, insecure, blocked } = conf.place(&image.parse().unwrap());
        let insecure = if insecure { " insecure" } else { "" };
        let blocked = if blocked { " blocked" } else { "" };
        format!("{host} {repository}{insecure}{blocked}")
    }

    const CONF: &str = "
        unqualified-search-registries = ['quay.io']
        [[registry]]
        prefix = 'docker.io'
        location = 'localhost:5000/hub'
        insecure = true
        [[registry]]
        prefix = 'docker.io/library'
        location = 'mirror.example.com/official'
        [[registry]]
        location = 'bad.example.com'
        blocked = true
        [[registry]]
        prefix = '*.corp.example.com'
        location = 'cache.example.com/corp'
        [[registry]]
        prefix = 'quay.io/team'
        location = 'docker.io/team'
    ";

    #[test]
    fn the_longest_prefix_says_where_an_image_is() {
        for (image, at) in [
            ("centos/python:3.5", "localhost:5000 hub/centos/python insecure"),
            ("docker.io/python:3.6.0", "mirror.example.com official/python"),
            ("index.docker.io/a/b", "localhost:5000 hub/a/b insecure"),
            ("bad.example.com/a/b", "bad.example.com a/b blocked"),
            ("web.corp.example.com/a", "cache.example.com corp/a"),
            ("corp.example.com/a", "corp.example.com a"),
            ("quay.io/team/app", "registry-1.docker.io team/app"),
            ("quay.io/teamwork/app", "quay.io teamwork/app"),
            ("localhost:5000/x", "localhost:5000 x"),
        ] {
            assert_eq!(place(CONF, image), at, "{image}");
        }
    }

    #[test]
    fn what_is_not_acted_on_is_named_and_what_cannot_be_read_says_why() {
        let conf = RegistriesConf::parse(CONF).unwrap();
        assert_eq!(conf.ignored, ["unqualified-search-registries"]);
        let error = |text: &str| RegistriesConf::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("[[registry]]"),
            "`[[registry]]` number 1 has neither a `prefix` nor a `location`"
        );
        assert!(error("[[registry]]\nprefix = '*.x.io'").contains("has no `location`"));
        assert!(error("registry = 3").contains("containers-registries.conf(5)"));
    }
}
