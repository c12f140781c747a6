//! Registries that images may be imported from (rule I174).

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};
use serde::{Deserialize, Serialize};

use crate::reference::{ImageReference, is_docker_hub};

/// Entries that a message shows before it only counts.
const SHOWN_MAX: usize = 5;

/// One registry, or several by wildcards: `*` for any text, `?` for one character.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AllowedRegistry {
    host: Pattern,
    port: Pattern,
}

/// It is not a registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a registry: write `HOST` or `HOST:PORT`, with `*` and `?` as wildcards")]
pub struct AllowedRegistryError(String);

impl AllowedRegistry {
    /// A registry as OpenShift's `allowedRegistriesForImport` names it; without a port it is 443, or 80 if insecure.
    ///
    /// # Errors
    /// When it has more than one colon, or no host.
    pub fn of(domain_name: &str, transport: Transport) -> Result<Self, AllowedRegistryError> {
        let default = match transport {
            Transport::Secure | Transport::Any => "443",
            Transport::Insecure => "80",
        };
        let (host, port) = domain_name.split_once(':').unwrap_or((domain_name, default));
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '@' | '"');
        let error = || AllowedRegistryError(domain_name.escape_debug().to_string());
        if host.is_empty() || port.is_empty() || host.contains(odd) || port.contains(odd) {
            return Err(error());
        }
        let pattern = |text: &str| Pattern::try_from(text.to_owned()).map_err(|_| error());
        Ok(Self { host: pattern(host)?, port: pattern(port)? })
    }

    /// Whether it is a path of a repository, which no host is.
    #[must_use]
    pub fn never_matches(&self) -> bool {
        self.host.text.contains('/')
    }

    fn has(&self, host: &str, port: Option<&str>) -> bool {
        let port = match port {
            Some(port) => self.port.matches(port),
            None => matches!(self.port.text.as_str(), "80" | "443" | "*"),
        };
        port && self.host.matches(host)
    }
}

impl FromStr for AllowedRegistry {
    type Err = AllowedRegistryError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::of(text, Transport::Secure)
    }
}

impl fmt::Display for AllowedRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host.text, self.port.text)
    }
}

/// How a registry that names no port is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// By port 443.
    Secure,
    /// By port 80.
    Insecure,
    /// By either.
    Any,
}

/// The list, `allowedRegistriesForImport`; an empty one allows every registry.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AllowedRegistries {
    allowed: Vec<AllowedRegistry>,
    /// What is allowed anyway: the integrated registry.
    integrated: Option<String>,
}

impl AllowedRegistries {
    /// A list in the order in which it is shown.
    #[must_use]
    pub fn new(allowed: Vec<AllowedRegistry>, integrated: Option<String>) -> Self {
        let mut unique: Vec<AllowedRegistry> = Vec::new();
        for registry in allowed {
            if !unique.contains(&registry) {
                unique.push(registry);
            }
        }
        Self { allowed: unique, integrated }
    }

    /// Checks the registry of a reference that stands in a stream.
    ///
    /// # Errors
    /// OpenShift's words for what is allowed, where it is not.
    pub fn admit(&self, image: &ImageReference, transport: Transport) -> Result<(), String> {
        let (host, port) = host_and_port(image, transport);
        let name = match (&image.registry, &port) {
            (Some(spelled), _) => spelled.clone(),
            (None, Some(port)) => format!("{host}:{port}"),
            (None, None) => host.clone(),
        };
        self.check(&name, &host, port.as_deref())
    }

    /// Checks the registry that somebody asks an import of.
    ///
    /// # Errors
    /// OpenShift's words, where it is not allowed.
    pub fn admit_import(&self, image: &ImageReference, insecure: bool) -> Result<(), String> {
        let transport = if insecure { Transport::Insecure } else { Transport::Secure };
        let (host, port) = host_and_port(image, transport);
        let name = format!("{host}:{}", port.as_deref().unwrap_or_default());
        self.check(&name, &host, port.as_deref())
            .map_err(|why| format!("importing images from registry \"{name}\" is forbidden: {why}"))
    }

    fn check(&self, name: &str, host: &str, port: Option<&str>) -> Result<(), String> {
        if self.allowed.is_empty() || self.is_integrated(name, host) {
            return Ok(());
        }
        let hub: &[&str] =
            if is_docker_hub(host) { &["docker.io", "index.docker.io"] } else { &[] };
        let mut names = hub.iter().copied().chain([host]);
        if names.any(|host| self.allowed.iter().any(|registry| registry.has(host, port))) {
            return Ok(());
        }
        let integrated = self.integrated.as_deref().and_then(|address| address.parse().ok());
        let shown = integrated.iter().chain(&self.allowed).map(|entry| format!("\"{entry}\""));
        let shown: Vec<_> = shown.collect();
        let list = match shown.get(..SHOWN_MAX - 1) {
            Some(first) if shown.len() > SHOWN_MAX => {
                format!("{}, and {} more ...", first.join(", "), shown.len() - first.len())
            }
            Some(_) | None => shown.join(", "),
        };
        Err(format!("registry \"{name}\" not allowed by whitelist: {list}"))
    }

    fn is_integrated(&self, name: &str, host: &str) -> bool {
        self.integrated.as_deref().is_some_and(|address| address == name || address == host)
    }
}

/// The host and the port that a reference leads to; no port where it may be 80 or 443.
fn host_and_port(image: &ImageReference, transport: Transport) -> (String, Option<String>) {
    let host = image.registry.as_deref().map_or("docker.io".into(), |_| image.registry_host());
    match host.rsplit_once(':') {
        Some((name, port)) => (name.to_owned(), Some(port.to_owned())),
        None => {
            let port = match transport {
                Transport::Secure => Some("443".to_owned()),
                Transport::Insecure => Some("80".to_owned()),
                Transport::Any => None,
            };
            (host, port)
        }
    }
}

/// A pattern with `*` for any text and `?` for one character; nothing else in it is special.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Pattern {
    text: String,
    matcher: GlobMatcher,
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = globset::Error;

    fn try_from(text: String) -> Result<Self, globset::Error> {
        let escaped = |c: char| match c {
            '*' | '?' => c.to_string(),
            _ => globset::escape(c.encode_utf8(&mut [0; 4])),
        };
        let glob: String = text.chars().map(escaped).collect();
        let matcher = GlobBuilder::new(&glob).backslash_escape(false).build()?.compile_matcher();
        Ok(Self { text, matcher })
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches_glob(text: &str, pattern: &str) -> bool {
        Pattern::try_from(pattern.to_owned()).unwrap().matches(text)
    }

    #[test]
    fn wildcards_stand_for_what_they_say() {
        for (pattern, fits, fits_not) in [
            ("*", "quay.io", ""),
            ("*.example.com", "a.b.example.com", "example.com"),
            ("r?.io", "r1.io", "r.io"),
            ("50*0", "5000", "501"),
            ("*a*b*", "xaxbx", "ba"),
            ("**", "x", ""),
            ("a**b", "axb", "ax"),
            ("[r].io", "[r].io", "r.io"),
            ("a\\*", "a\\b", "a*"),
        ] {
            assert!(matches_glob(fits, pattern), "{pattern} {fits}");
            assert!(
                fits_not.is_empty() || !matches_glob(fits_not, pattern),
                "{pattern} {fits_not}"
            );
        }
        let long = "a".repeat(10_000);
        assert!(!matches_glob(&long, "*a*a*a*a*a*a*b"), "and soon");
    }
}
