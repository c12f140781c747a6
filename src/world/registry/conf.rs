//! containers-registries.conf(5): the files, and what they say together.
//!
//! What it means for one image is said in `places`. A file that comes later replaces what an earlier one says of the
//! same prefix, as podman and skopeo read them.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::limits;

/// What such files say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RegistriesConf {
    pub(super) entries: Vec<Entry>,
    /// Full names of short ones, without tag or digest.
    pub(super) aliases: BTreeMap<String, String>,
    /// Registries that short names are looked for in.
    pub(super) search: Vec<String>,
    /// What they say that this version does not act on.
    pub ignored: Vec<&'static str>,
}

/// One `[[registry]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) prefix: String,
    /// What takes the place of the prefix; none where images are where they say.
    pub(super) location: Option<String>,
    pub(super) insecure: bool,
    /// The source is not contacted; its mirrors are.
    pub(super) blocked: bool,
    /// In the order in which they are tried, before the source.
    pub(super) mirrors: Vec<Mirror>,
}

/// One `[[registry.mirror]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mirror {
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) pull: Pull,
}

/// What a mirror is asked for (`pull-from-mirror`, and `mirror-by-digest-only` of its registry).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pull {
    All,
    DigestOnly,
    TagOnly,
}

/// Why such a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistriesConfError {
    /// It is not there, or may not be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// It is no such file.
    #[error(
        "it has more than {} KiB; name the file that was meant",
        limits::REGISTRIES_CONF_BYTES_MAX / 1024
    )]
    TooLarge,
    /// It is no TOML, or a field has another type.
    #[error("it is not in the format of containers-registries.conf(5): {0}")]
    Format(String),
    /// An entry says nothing.
    #[error("`[[registry]]` number {0} has neither a `prefix` nor a `location`")]
    Empty(usize),
    /// A mirror is nowhere.
    #[error("a `[[registry.mirror]]` of `{0}` has no `location`")]
    MirrorWithoutLocation(String),
    /// A place is not written as `HOST[:PORT][/PATH]`.
    #[error(
        "`{0}` is not the place of images: write `HOST[:PORT][/PATH]`, without a scheme, a tag or a digest"
    )]
    Place(String),
    /// A mirror says which requests it takes in words that nobody knows.
    #[error(
        "`pull-from-mirror = \"{1}\"` of a mirror of `{0}` is not one of `all`, `digest-only`, `tag-only`"
    )]
    Pull(String, String),
    /// Registry and mirror both say which requests mirrors take.
    #[error(
        "`{0}` has `mirror-by-digest-only`, and a mirror of it has `pull-from-mirror`: leave one of them out"
    )]
    PullTwice(String),
    /// A registry that is no mirror says which requests it takes.
    #[error(
        "`{0}` has `pull-from-mirror`, which is a field of `[[registry.mirror]]`: move it there"
    )]
    PullOfRegistry(String),
    /// An alias is no short name, or stands for none.
    #[error(
        "the alias `{0}` stands for `{1}`: write a name without a registry on the left, one with a registry and without a tag on the right"
    )]
    Alias(String, String),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    registry: Vec<Registry>,
    unqualified_search_registries: Option<Vec<String>>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
    /// The first version of the format.
    registries: Option<toml::Table>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Registry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    pull_from_mirror: Option<String>,
    mirror: Vec<Endpoint>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Endpoint {
    location: String,
    insecure: bool,
    pull_from_mirror: String,
}

impl RegistriesConf {
    /// Reads a file, and over it those of folders that are called `*.conf`, by name; folders may be missing.
    ///
    /// # Errors
    /// When one cannot be read or used; which one, and why.
    pub fn read(
        file: Option<&Path>,
        folders: &[PathBuf],
    ) -> Result<Self, (PathBuf, RegistriesConfError)> {
        let mut conf = Self::default();
        let mut add = |path: &Path| conf.add(path).map_err(|error| (path.to_owned(), error));
        file.map_or(Ok(()), &mut add)?;
        for folder in folders {
            let files = drop_ins(folder).map_err(|error| (folder.clone(), error.into()))?;
            files.iter().try_for_each(|file| add(file))?;
        }
        Ok(conf)
    }

    fn add(&mut self, path: &Path) -> Result<(), RegistriesConfError> {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        file.take(limits::REGISTRIES_CONF_BYTES_MAX + 1).read_to_string(&mut text)?;
        if text.len() as u64 > limits::REGISTRIES_CONF_BYTES_MAX {
            return Err(RegistriesConfError::TooLarge);
        }
        self.add_text(&text)
    }

    /// Reads the text of one such file.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn parse(text: &str) -> Result<Self, RegistriesConfError> {
        let mut conf = Self::default();
        conf.add_text(text)?;
        Ok(conf)
    }

    /// Puts a file over what was read before: an entry replaces the one of the same prefix, a list of registries to
    /// search the one before, and an empty alias takes one away.
    fn add_text(&mut self, text: &str) -> Result<(), RegistriesConfError> {
        let file: File = toml::from_str(text)
            .map_err(|error| RegistriesConfError::Format(error.message().to_owned()))?;
        if file.registries.is_some() && self.ignored.is_empty() {
            self.ignored.push("[registries.*] of the first version of the format");
        }
        for (at, registry) in file.registry.into_iter().enumerate() {
            let entry = registry.entry(at + 1)?;
            self.entries.retain(|known| known.prefix != entry.prefix);
            self.entries.push(entry);
        }
        if let Some(search) = file.unqualified_search_registries {
            let search = search.into_iter().map(|registry| location_of(&registry));
            self.search = search.collect::<Result<_, _>>()?;
        }
        for (short, full) in file.aliases {
            if full.is_empty() {
                self.aliases.remove(&short);
                continue;
            }
            let is_full = super::places::is_full_name(&full);
            if !is_full || super::places::is_full_name(&short) || short.contains([':', '@']) {
                let [short, full] = [short, full].map(|name| name.escape_debug().to_string());
                return Err(RegistriesConfError::Alias(short, full));
            }
            self.aliases.insert(short, full);
        }
        Ok(())
    }
}

impl Registry {
    fn entry(self, number: usize) -> Result<Entry, RegistriesConfError> {
        let Self { prefix, location, insecure, blocked, mirror_by_digest_only, .. } = self;
        let (prefix, location) = match (prefix.is_empty(), location.is_empty()) {
            (true, true) => return Err(RegistriesConfError::Empty(number)),
            (true, false) => (place(&location)?, None),
            (false, true) => (place(&prefix)?, None),
            (false, false) => (place(&prefix)?, Some(location_of(&location)?)),
        };
        if self.pull_from_mirror.is_some() {
            return Err(RegistriesConfError::PullOfRegistry(prefix));
        }
        let mirror = |mirror: Endpoint| {
            if mirror.location.is_empty() {
                return Err(RegistriesConfError::MirrorWithoutLocation(prefix.clone()));
            }
            let pull = match (mirror.pull_from_mirror.as_str(), mirror_by_digest_only) {
                ("", true) => Pull::DigestOnly,
                ("", false) | ("all", false) => Pull::All,
                ("digest-only", false) => Pull::DigestOnly,
                ("tag-only", false) => Pull::TagOnly,
                ("all" | "digest-only" | "tag-only", true) => {
                    return Err(RegistriesConfError::PullTwice(prefix.clone()));
                }
                (other, _) => {
                    let other = other.escape_debug().to_string();
                    return Err(RegistriesConfError::Pull(prefix.clone(), other));
                }
            };
            Ok(Mirror { location: location_of(&mirror.location)?, insecure: mirror.insecure, pull })
        };
        let mirrors = self.mirror.into_iter().map(mirror).collect::<Result<_, _>>()?;
        Ok(Entry { prefix, location, insecure, blocked, mirrors })
    }
}

/// The files of a folder, in the order in which they are read.
fn drop_ins(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_conf = |path: &PathBuf| path.extension().is_some_and(|end| end == "conf");
    let mut files: Vec<PathBuf> = paths.into_iter().filter(is_conf).collect();
    files.sort();
    Ok(files)
}

/// A place that images can be at, which a wildcard is not.
fn location_of(text: &str) -> Result<String, RegistriesConfError> {
    match text.starts_with("*.") {
        true => Err(RegistriesConfError::Place(text.escape_debug().to_string())),
        false => place(text),
    }
}

/// A place of images as it is written: `HOST[:PORT][/PATH]`, or `*.DOMAIN` for every host below a domain.
fn place(text: &str) -> Result<String, RegistriesConfError> {
    let trimmed = text.trim_end_matches('/');
    let (host, path) = trimmed.split_once('/').unwrap_or((trimmed, ""));
    let domain = host.strip_prefix("*.").unwrap_or(host);
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '@' | '?' | '#');
    let wrong = domain.is_empty()
        || trimmed.contains("//")
        || domain.contains(odd)
        || path.contains(odd)
        || path.contains(':')
        || host.ends_with(':')
        || (host.starts_with("*.") && !path.is_empty());
    match wrong {
        true => Err(RegistriesConfError::Place(text.escape_debug().to_string())),
        false => Ok(trimmed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        RegistriesConf::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        let mirror = |fields: &str| {
            format!(
                "[[registry]]\nprefix = 'quay.io'\nmirror-by-digest-only = true\n[[registry.mirror]]\n{fields}"
            )
        };
        for (text, says) in [
            (
                "[[registry]]".into(),
                "`[[registry]]` number 1 has neither a `prefix` nor a `location`",
            ),
            ("registry = 3".into(), "containers-registries.conf(5)"),
            ("[[registry]]\nprefix = 'https://quay.io'".into(), "without a scheme"),
            ("[[registry]]\nprefix = 'quay.io/team:1'".into(), "`quay.io/team:1` is not the place"),
            ("[[registry]]\nprefix = 'quay.io'\nlocation = '*.x.io'".into(), "`*.x.io` is not"),
            ("[[registry]]\nprefix = '*.x.io/team'".into(), "`*.x.io/team` is not"),
            ("[[registry]]\nprefix = 'a'\npull-from-mirror = 'all'".into(), "move it there"),
            (mirror("insecure = true"), "a `[[registry.mirror]]` of `quay.io` has no `location`"),
            (mirror("location = 'm.io'\npull-from-mirror = 'all'"), "leave one of them out"),
            (
                mirror("location = 'm.io'\npull-from-mirror = 'some'"),
                "`all`, `digest-only`, `tag-only`",
            ),
            ("aliases = {'a/b' = 'b'}".into(), "the alias `a/b` stands for `b`"),
            ("aliases = {'a:1' = 'quay.io/b'}".into(), "the alias `a:1`"),
            ("unqualified-search-registries = ['']".into(), "`` is not the place"),
        ] {
            let error = error(&text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_later_file_replaces_what_an_earlier_one_says_of_the_same() {
        let mut conf = RegistriesConf::default();
        conf.add_text(
            "unqualified-search-registries = ['a.io']\naliases = {x = 'quay.io/x', y = 'quay.io/y'}
            [[registry]]\nprefix = 'quay.io'\nblocked = true\n[[registry]]\nprefix = 'r.io'",
        )
        .unwrap();
        conf.add_text("aliases = {x = '', y = 'r.io/y'}\n[[registry]]\nprefix = 'quay.io/'")
            .unwrap();
        let prefixes: Vec<_> =
            conf.entries.iter().map(|e| (e.prefix.as_str(), e.blocked)).collect();
        assert_eq!(prefixes, [("r.io", false), ("quay.io", false)]);
        assert_eq!(conf.search, ["a.io"], "a file that does not speak of it leaves it");
        assert_eq!(conf.aliases, BTreeMap::from([("y".into(), "r.io/y".into())]));
        conf.add_text("unqualified-search-registries = []").unwrap();
        assert!(conf.search.is_empty());
        conf.add_text("[registries.search]\nregistries = ['a.io']").unwrap();
        assert_eq!(conf.ignored.len(), 1);
    }

    #[test]
    fn folders_come_after_the_file_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            std::fs::File::create(dir.path().join(name))
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
                .unwrap();
        };
        write("b.conf", "[[registry]]\nprefix = 'quay.io'\nlocation = 'b.io'");
        write("a.conf", "[[registry]]\nprefix = 'quay.io'\nlocation = 'a.io'");
        write("c.conf.disabled", "no TOML at all");
        let folders = [dir.path().to_owned(), dir.path().join("missing")];
        let main = dir.path().join("a.conf");
        let conf = RegistriesConf::read(Some(&main), &folders).unwrap();
        assert_eq!(conf.entries.len(), 1);
        assert_eq!(conf.entries[0].location.as_deref(), Some("b.io"));
        write("d.conf", "[[registry]]");
        let (path, error) = RegistriesConf::read(None, &folders).unwrap_err();
        assert!(path.ends_with("d.conf") && error.to_string().contains("number 1"), "{error}");
        let (path, _) = RegistriesConf::read(Some(Path::new("/no/such")), &[]).unwrap_err();
        assert_eq!(path, Path::new("/no/such"), "a file that was named has to be there");
    }
}
