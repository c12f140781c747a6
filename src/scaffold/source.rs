//! Sources: what they hold, which language that is, what they are called (rules N6, N8).

/// What is known of a source repository.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// Names of what stands at the top of its folder.
    pub files: Vec<String>,
    /// The text of its Dockerfile.
    pub dockerfile: Option<String>,
    /// What a build clones; none for a folder whose repository is nowhere else.
    pub remote: Option<Remote>,
}

/// What a build clones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remote {
    /// The URL, without a login.
    pub url: String,
    /// The branch, tag or commit; empty for that of the repository itself.
    pub reference: String,
}

impl Remote {
    /// Cuts `URL#reference`.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let (url, reference) = text.split_once('#').unwrap_or((text, ""));
        Self { url: url.to_owned(), reference: reference.to_owned() }
    }

    /// The same; what a build clones stands in git for all to read, so its URL holds no login (law 10).
    ///
    /// A login with a `/` or a `#` in it looks like a host with an odd port.
    ///
    /// # Errors
    /// When it holds one.
    pub fn without_login(self) -> Result<Self, String> {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        let host = host.rsplit(']').next().unwrap_or_default(); // `[::1]:8443`
        let port = host.split_once(':').map_or("", |(_, port)| port);
        let is_ssh = self.url.starts_with("ssh://");
        if login.is_some_and(|login| !is_ssh || login.contains(':'))
            || !port.bytes().all(|byte| byte.is_ascii_digit())
        {
            let text = "the URL of the source holds a login (or a port that is no number), which would be written into git: \
                        leave it out, and name a Secret with --source-secret";
            return Err(text.into());
        }
        Ok(self)
    }

    /// The last part of its path, or its host (rule N8).
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let rest = rest.trim_end_matches('/');
        let last = rest.rsplit(['/', ':']).next()?;
        let last = last.strip_suffix(".git").unwrap_or(last);
        Some(last.to_owned()).filter(|last| !last.is_empty())
    }

    /// As it was written.
    #[must_use]
    pub fn shown(&self) -> String {
        let hash = if self.reference.is_empty() { "" } else { "#" };
        format!("{}{hash}{}", self.url, self.reference)
    }
}

/// The files by which a language is known; `*` stands for anything (rule N6).
const LANGUAGES: [(&str, &[&str]); 11] = [
    ("ruby", &["Gemfile", "Rakefile", "config.ru"]),
    ("jee", &["pom.xml"]),
    ("nodejs", &["app.json", "package.json"]),
    ("php", &["index.php", "composer.json"]),
    ("python", &["requirements.txt", "setup.py"]),
    ("perl", &["index.pl", "cpanfile"]),
    ("scala", &["build.sbt"]),
    ("dotnet", &["project.json", "*.csproj"]),
    (".net", &["project.json", "*.csproj"]),
    ("golang", &["main.go", "Godeps"]),
    ("rust", &["Cargo.toml"]),
];

/// The languages that the files of a source belong to, in the order in which they are tried.
#[must_use]
pub fn languages(files: &[String]) -> Vec<&'static str> {
    let fits = |pattern: &str, file: &str| match pattern.strip_prefix('*') {
        Some(end) => file.ends_with(end),
        None => file == pattern,
    };
    let has = |patterns: &[&str]| {
        files.iter().any(|file| patterns.iter().any(|pattern| fits(pattern, file)))
    };
    LANGUAGES.iter().filter(|(_, patterns)| has(patterns)).map(|(name, _)| *name).collect()
}

/// Whether there is a file of this name.
pub(super) fn has(files: &[String], name: &str) -> bool {
    files.iter().any(|file| file == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_called_by_the_end_of_its_path() {
        for (url, name) in [
            ("https://github.com/josedom24/osv4_html", "osv4_html"),
            ("https://h/a/b.git/", "b"),
            ("git@h:team/app.git", "app"),
            ("git@h:app", "app"),
            ("https://example.com", "example.com"),
        ] {
            assert_eq!(Remote::read(url).name().as_deref(), Some(name), "{url}");
        }
        let beta = Remote::read("https://h/x#beta4");
        assert_eq!((beta.url.as_str(), beta.reference.as_str()), ("https://h/x", "beta4"));
        assert_eq!(beta.shown(), "https://h/x#beta4");
    }

    #[test]
    fn a_login_is_seen_wherever_it_stands() {
        for url in
            ["https://h/x", "https://[::1]:8443/x", "ssh://git@h:22/x", "git@h:x", "file:///x"]
        {
            assert!(Remote::read(url).without_login().is_ok(), "{url}");
        }
        for url in [
            "https://u:p@h/x",
            "https://token@h/x",
            "ssh://u:p@h/x",
            "https://u:p@q@h/x",
            "https://u:p/q@h/x",
            "https://u:p#q@h/x",
        ] {
            assert!(Remote::read(url).without_login().is_err(), "{url}");
        }
    }
}
