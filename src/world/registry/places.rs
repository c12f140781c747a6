//! Where one image is asked for, in order: its mirrors, then its source (rules I175, I176).

use super::conf::{Entry, Pull, RegistriesConf};
use crate::reference::{HUB_V2_HOST, ImageReference, is_docker_hub};

/// How an image is asked for, which decides which mirrors may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum By {
    /// By a tag, or for all of them.
    Tag,
    Digest,
}

impl By {
    pub(super) fn of(image: &ImageReference) -> Self {
        if image.digest.is_some() { Self::Digest } else { Self::Tag }
    }
}

/// What a short name, one without a registry, means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ShortNames {
    /// Docker Hub, as in OpenShift.
    #[default]
    DockerHub,
    /// What the aliases and `unqualified-search-registries` of containers-registries.conf(5) make of it.
    RegistriesConf,
}

/// What a place is to an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Mirror,
    Source,
}

/// Where an image is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The host that is contacted.
    pub(super) host: String,
    /// The path of the repository there.
    pub(super) repository: String,
    pub(super) insecure: bool,
    pub(super) role: Role,
}

/// Why the source of an image is not contacted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Blocked {
    /// It has no mirrors (rule I173).
    Alone,
    /// Mirrors take its place (`NeverContactSource`, rule I176), those that may be asked in this way.
    BehindMirrors,
}

/// The places of one image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Places {
    /// In the order in which they are asked.
    pub(super) places: Vec<Place>,
    /// Whether the source is left out.
    pub(super) blocked: Option<Blocked>,
}

impl RegistriesConf {
    /// Where an image is asked for: by the entry with the longest prefix, or where it says itself.
    pub(super) fn places(&self, image: &ImageReference, by: By) -> Places {
        let full = full_name(image);
        let Some((entry, rest)) = self.entry_of(&full) else {
            let (host, repository) = (image.registry_host(), image.repository_path());
            let source = Place { host, repository, insecure: false, role: Role::Source };
            return Places { places: vec![source], blocked: None };
        };
        let fits = |pull| match by {
            By::Tag => pull != Pull::DigestOnly,
            By::Digest => pull != Pull::TagOnly,
        };
        let mirrors =
            entry.mirrors.iter().filter(|mirror| fits(mirror.pull)).map(|mirror| {
                (format!("{}{rest}", mirror.location), mirror.insecure, Role::Mirror)
            });
        let source = match &entry.location {
            Some(location) => format!("{location}{rest}"),
            None => full.clone(),
        };
        // What is blocked is blocked under every name that leads to it.
        let is_open = |place: &String| *place == full || !self.is_blocked(place);
        let blocked =
            (entry.blocked || !is_open(&source)).then_some(match entry.mirrors.is_empty() {
                true => Blocked::Alone,
                false => Blocked::BehindMirrors,
            });
        let source = (source, entry.insecure, Role::Source);
        let open = mirrors.filter(|(place, ..)| is_open(place));
        let all = open.chain(blocked.is_none().then_some(source));
        let places = all.map(|(place, insecure, role)| {
            let (host, repository) = located(&place);
            Place { host, repository, insecure, role }
        });
        Places { places: places.collect(), blocked }
    }

    /// What an image is called in full: more than one name where registries are searched.
    pub(super) fn names(&self, image: &ImageReference, short: ShortNames) -> Vec<ImageReference> {
        let is_short = image.registry.is_none() && short == ShortNames::RegistriesConf;
        let name = image.repository_name();
        let names = match self.aliases.get(&name) {
            _ if !is_short => Vec::new(),
            Some(alias) => vec![alias.clone()],
            None => self.search.iter().map(|registry| format!("{registry}/{name}")).collect(),
        };
        let names = names.into_iter().filter_map(|name| name.parse::<ImageReference>().ok());
        let (tag, digest) = (&image.tag, image.digest);
        let names = names.map(|name| ImageReference { tag: tag.clone(), digest, ..name });
        let names: Vec<_> = names.collect();
        if names.is_empty() { vec![image.clone()] } else { names }
    }

    /// The entry with the longest prefix of a name, and what follows the prefix.
    fn entry_of<'a>(&self, full: &'a str) -> Option<(&Entry, &'a str)> {
        let rest = |entry: &Entry| rest_of(full, &entry.prefix);
        let matching = self.entries.iter().filter_map(|entry| Some((entry, rest(entry)?)));
        matching.max_by_key(|(entry, _)| entry.prefix.len())
    }

    fn is_blocked(&self, full: &str) -> bool {
        self.entry_of(full).is_some_and(|(entry, _)| entry.blocked)
    }
}

/// An image's repository with its registry, which is `docker.io` under all of its names.
fn full_name(image: &ImageReference) -> String {
    let host = image.registry.as_deref().unwrap_or("docker.io");
    let host = if is_docker_hub(host) { "docker.io" } else { host };
    format!("{host}/{}", image.repository_path())
}

/// The host that is contacted for a place, and the path there.
fn located(place: &str) -> (String, String) {
    let (host, repository) = place.split_once('/').unwrap_or((place, ""));
    let host = if is_docker_hub(host) { HUB_V2_HOST } else { host };
    (host.to_owned(), repository.to_owned())
}

/// Whether a text names a repository with its registry, without tag or digest.
pub(super) fn is_full_name(text: &str) -> bool {
    let image = text.parse::<ImageReference>().ok();
    image.is_some_and(|image| {
        let bare = image.tag.is_none() && image.digest.is_none();
        bare && image.registry.is_some() && !image.is_registry_only()
    })
}

/// What follows a prefix, which ends where a component does; none if it is no prefix.
fn rest_of<'a>(full: &'a str, prefix: &str) -> Option<&'a str> {
    if let Some(domain) = prefix.strip_prefix('*') {
        // With any port: a domain that is blocked is blocked whole.
        let (host, _) = full.split_once('/')?;
        let name = host.split(':').next().unwrap_or(host);
        return name.ends_with(domain).then(|| full.get(host.len()..)).flatten();
    }
    let rest = full.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(conf: &str, image: &str) -> String {
        let conf = RegistriesConf::parse(conf).unwrap();
        let image = image.parse().unwrap();
        let Places { places, blocked } = conf.places(&image, By::of(&image));
        let places = places.into_iter().map(|place| {
            let Place { host, repository, insecure, role } = place;
            let insecure = if insecure { " insecure" } else { "" };
            let role = if role == Role::Mirror { " mirror" } else { "" };
            format!("{host} {repository}{insecure}{role}")
        });
        let blocked = blocked.map(|blocked| format!("{blocked:?}"));
        places.chain(blocked).collect::<Vec<_>>().join(", ")
    }

    const PREFIXES: &str = "
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
        prefix = '*.open.example.com'
        insecure = true
        [[registry]]
        prefix = 'quay.io/team'
        location = 'docker.io/team'
        [[registry]]
        prefix = 'quay.io/bad'
        location = 'bad.example.com/x'
    ";

    #[test]
    fn the_longest_prefix_says_where_an_image_is() {
        for (image, at) in [
            ("centos/python:3.5", "localhost:5000 hub/centos/python insecure"),
            ("docker.io/python:3.6.0", "mirror.example.com official/python"),
            ("index.docker.io/a/b", "localhost:5000 hub/a/b insecure"),
            ("bad.example.com/a/b", "Alone"),
            ("quay.io/bad/app", "Alone"),
            ("web.corp.example.com/a", "cache.example.com corp/a"),
            ("web.corp.example.com:5000/a", "cache.example.com corp/a"),
            ("web.open.example.com/a", "web.open.example.com a insecure"),
            ("corp.example.com/a", "corp.example.com a"),
            ("quay.io/team/app", "registry-1.docker.io team/app"),
            ("quay.io/teamwork/app", "quay.io teamwork/app"),
            ("localhost:5000/x", "localhost:5000 x"),
        ] {
            assert_eq!(places(PREFIXES, image), at, "{image}");
        }
    }

    const MIRRORS: &str = "
        [[registry]]
        prefix = 'quay.io'
        [[registry.mirror]]
        location = 'all.example.com/quay'
        insecure = true
        [[registry.mirror]]
        location = 'digests.example.com'
        pull-from-mirror = 'digest-only'
        [[registry.mirror]]
        location = 'tags.example.com:5000'
        pull-from-mirror = 'tag-only'
        [[registry.mirror]]
        location = 'bad.example.com'
        [[registry]]
        prefix = 'quay.io/never'
        blocked = true
        mirror-by-digest-only = true
        mirror = [{location = 'm.example.com/never'}]
        [[registry]]
        prefix = 'bad.example.com'
        blocked = true
    ";

    #[test]
    fn mirrors_come_before_the_source_where_they_may_be_asked() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, at) in [
            (
                "quay.io/team/app:1".into(),
                "all.example.com quay/team/app insecure mirror, tags.example.com:5000 team/app mirror, quay.io team/app",
            ),
            (
                format!("quay.io/team/app@{digest}"),
                "all.example.com quay/team/app insecure mirror, digests.example.com team/app mirror, quay.io team/app",
            ),
            ("quay.io/never/app".into(), "BehindMirrors"),
            (
                format!("quay.io/never/app@{digest}"),
                "m.example.com never/app mirror, BehindMirrors",
            ),
        ] {
            assert_eq!(places(MIRRORS, &image), at, "{image}");
        }
    }

    #[test]
    fn a_short_name_is_looked_up_only_where_that_was_asked_for() {
        let conf = RegistriesConf::parse(
            "unqualified-search-registries = ['quay.io', 'docker.io']\naliases = {'team/app' = 'r.io/x/app'}",
        )
        .unwrap();
        let names = |image: &str, short| {
            let names = conf.names(&image.parse().unwrap(), short);
            names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        let ours = ShortNames::RegistriesConf;
        assert_eq!(names("team/app:1", ours), "r.io/x/app:1");
        assert_eq!(names("app:1", ours), "quay.io/app:1 docker.io/app:1");
        assert_eq!(names("quay.io/app:1", ours), "quay.io/app:1");
        assert_eq!(names("team/app:1", ShortNames::DockerHub), "team/app:1");
    }
}
