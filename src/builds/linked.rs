//! Which login a repository is cloned with where its `BuildConfig` names none: that of a `Secret` whose annotations say
//! that it is for such a repository, as OpenShift chooses it (build documentation, "Automatically adding a source clone
//! secret to a build configuration").

use globset::GlobBuilder;

/// What the names of such annotations begin with; whatever follows tells one from another.
pub const SOURCE_SECRET_ANNOTATION: &str = "build.openshift.io/source-secret-match-uri-";

/// Schemes of repositories that `*` stands for.
const SCHEMES: [&str; 4] = ["git", "http", "https", "ssh"];

/// The `Secret` whose longest pattern that fits a repository is the longest of all; of two as long the first by name.
///
/// A pattern is `scheme://host/path`, where the scheme may be `*`, the host `*` or begin with `*.`, and `*` in the path
/// stands for any text. Case of the host is ignored, its port is not. Nothing fits an address without a scheme but
/// `user@host:path`, which is `ssh://host/path`.
pub fn linked<'a>(
    uri: &str,
    secrets: impl IntoIterator<Item = (&'a str, &'a [String])>,
) -> Option<&'a str> {
    let source = Parts::of_source(uri)?;
    let fitting = secrets.into_iter().filter_map(|(name, patterns)| {
        let fits = patterns.iter().filter(|pattern| {
            Parts::of_pattern(pattern.as_str()).is_some_and(|pattern| pattern.fits(&source))
        });
        Some((fits.map(String::len).max()?, std::cmp::Reverse(name)))
    });
    fitting.max().map(|(_, name)| name.0)
}

/// An address, or a pattern of addresses.
struct Parts {
    scheme: String,
    host: String,
    path: String,
}

impl Parts {
    fn of_pattern(text: &str) -> Option<Self> {
        let (scheme, rest) = text.trim().split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let (scheme, host) = (scheme.to_lowercase(), host.to_lowercase());
        let is_known = scheme == "*" || SCHEMES.contains(&scheme.as_str());
        let path = format!("/{path}");
        (is_known && !host.is_empty()).then_some(Self { scheme, host, path })
    }

    fn of_source(uri: &str) -> Option<Self> {
        let Some((scheme, rest)) = uri.split_once("://") else {
            let (login, path) = uri.split_once(':')?;
            let (_, host) = login.rsplit_once('@')?;
            return Self::of_pattern(&format!("ssh://{host}/{}", path.trim_start_matches('/')));
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        Self::of_pattern(&format!("{scheme}://{host}/{path}"))
    }

    fn fits(&self, source: &Self) -> bool {
        let is_scheme = self.scheme == "*" || self.scheme == source.scheme;
        let is_host = match self.host.strip_prefix('*') {
            Some("") => true,
            Some(domain) => domain.starts_with('.') && source.host.ends_with(domain),
            None => self.host == source.host,
        };
        is_scheme && is_host && fits_path(&self.path, &source.path)
    }
}

fn fits_path(pattern: &str, path: &str) -> bool {
    let literal = |piece: &str| globset::escape(piece);
    let glob = pattern.split('*').map(literal).collect::<Vec<_>>().join("*");
    let glob = GlobBuilder::new(&glob).backslash_escape(false).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(uri: &str, secrets: &[(&'static str, &[&str])]) -> Option<&'static str> {
        let owned: Vec<(&'static str, Vec<String>)> = secrets
            .iter()
            .map(|(name, patterns)| (*name, patterns.iter().map(|&text| text.into()).collect()))
            .collect();
        let found = linked(uri, owned.iter().map(|(name, patterns)| (*name, &patterns[..])));
        found.and_then(|found| secrets.iter().map(|(name, _)| *name).find(|name| *name == found))
    }

    #[test]
    fn b038_a_pattern_fits_by_scheme_host_and_path() {
        let fits = |pattern: &'static str, uri: &str| finds(uri, &[("s", &[pattern])]).is_some();
        assert!(fits("https://github.com/*", "https://github.com/team/app.git"));
        assert!(fits("*://*/*", "ssh://git@h:7999/a"));
        assert!(fits("https://*.example.com/team/*", "https://ada@git.Example.com/team/app/deep"));
        assert!(fits("ssh://github.com/team/*", "git@github.com:team/app.git"));
        assert!(fits("https://h/a[b]?/*", "https://h/a[b]?/x"));
        for (pattern, uri) in [
            ("https://github.com/*", "http://github.com/team/app.git"),
            ("https://github.com/*", "https://github.com.evil.example/team"),
            ("https://*.example.com/*", "https://example.com/x"),
            ("https://*example.com/*", "https://evilexample.com/x"),
            ("https://h/team/*", "https://h/other/app"),
            ("https://h/team", "https://h/team/app"),
            ("https://h:8443/*", "https://h/x"),
            ("*://*/*", "file:///srv/app.git"),
            ("*://*/*", "/srv/app.git"),
            ("github.com/*", "https://github.com/x"),
        ] {
            assert!(!fits(pattern, uri), "{pattern} {uri}");
        }
    }

    #[test]
    fn b038_the_longest_pattern_that_fits_decides() {
        let secrets: [(&str, &[&str]); 3] = [
            ("all", &["*://*/*"]),
            ("team", &["https://h/team/*", "https://elsewhere/a-long-path-that-does-not-fit/*"]),
            ("twin", &["https://h/team/*"]),
        ];
        assert_eq!(finds("https://h/team/app", &secrets), Some("team"));
        assert_eq!(finds("https://h/app", &secrets), Some("all"));
        assert_eq!(finds("https://h/app", &secrets[1..]), None);
    }
}
