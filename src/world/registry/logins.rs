//! Logins, from where they already are: files in the format of containers-auth.json(5) and Docker's `config.json`, the
//! credential helpers that these name, and the Secrets of a namespace ([`super::secrets`]).
//!
//! Files are read, and helpers asked, whenever a registry wants a login, so that a changed one counts at once. What is
//! wrong with one of them does not hide the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::auth::secret_header;
use super::helper;
use super::secrets::OwnLogins;
use crate::limits;
use crate::reference::is_docker_hub;

/// What `docker login` calls Docker Hub, in its file and towards credential helpers.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// What a registry may be shown; never printed.
#[derive(Clone, PartialEq, Eq)]
enum Secret {
    Password {
        user: String,
        password: String,
    },
    /// A token that only buys tokens: `identitytoken`.
    Refresh(String),
}

/// A login, and where it is from.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    secret: Secret,
    from: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login(*** from {})", self.from)
    }
}

impl Login {
    pub(super) fn password(user: String, password: String, from: String) -> Self {
        Self { secret: Secret::Password { user, password }, from }
    }

    pub(super) fn refresh(token: String, from: String) -> Self {
        Self { secret: Secret::Refresh(token), from }
    }

    /// The login as a header of HTTP basic authentication; none where it is a token.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        secret_header(&format!("Basic {}", STANDARD.encode(self.words()?)))
    }

    /// User and password as basic authentication has them; none where it is a token. A secret.
    pub(super) fn words(&self) -> Option<String> {
        let Secret::Password { user, password } = &self.secret else { return None };
        Some(format!("{user}:{password}"))
    }

    /// The token that a token server takes in place of a password.
    pub(super) fn refresh_token(&self) -> Option<&str> {
        match &self.secret {
            Secret::Refresh(token) => Some(token),
            Secret::Password { .. } => None,
        }
    }

    /// Whose it is, which is no secret; none where it is a token.
    pub(super) fn user(&self) -> Option<&str> {
        match &self.secret {
            Secret::Password { user, .. } => Some(user),
            Secret::Refresh(_) => None,
        }
    }

    /// Whom the registry counts requests for.
    pub(super) fn account(&self) -> &str {
        self.user().unwrap_or("(token)")
    }

    /// The file and its entry, and the helper that was asked.
    pub(super) fn from(&self) -> &str {
        &self.from
    }
}

/// The logins for a repository, and what could not be looked at.
#[derive(Debug, Default)]
pub(super) struct Logins {
    /// In the order in which they are tried (rule I168): file by file, in each the closest path first.
    pub(super) found: Vec<Login>,
    /// What is wrong, each with its file or helper, and nothing of a secret.
    pub(super) problems: Vec<String>,
}

/// Looks for the logins for `host/repository`: in the Secrets of a namespace first, then in the files (rule I166).
pub(super) async fn find(
    own: Option<&OwnLogins>,
    files: &[PathBuf],
    host: &str,
    repository: &str,
) -> Logins {
    let mut logins = match own {
        Some(own) => own.find(host, repository).await,
        None => Logins::default(),
    };
    for file in files {
        let entries = match read(file).await {
            Ok(Some(text)) => text.entries(host, repository),
            Ok(None) => continue,
            Err(why) => Err(why),
        };
        match entries {
            Ok(entries) => {
                for entry in entries {
                    logins.take(file, entry).await;
                }
            }
            Err(why) => logins
                .problems
                .push(format!("cannot read the logins in `{}`: {why}", file.display())),
        }
    }
    logins
}

impl Logins {
    async fn take(&mut self, file: &Path, entry: Entry) {
        let file = file.display();
        match entry {
            Entry::Here { key, secret } => {
                self.found.push(Login { secret, from: format!("`{file}`, entry `{key}`") });
            }
            Entry::Helper { helper, server } => {
                let from = format!("`docker-credential-{helper}` for `{server}`, by `{file}`");
                match Box::pin(helper::get(&helper, &server)).await {
                    Ok(Some((user, password))) if user == "<token>" => {
                        self.found.push(Login::refresh(password, from));
                    }
                    Ok(Some((user, password))) => {
                        self.found.push(Login::password(user, password, from));
                    }
                    Ok(None) => {}
                    Err(why) => self.problems.push(format!(
                        "the credential helper `docker-credential-{helper}`, named by `{file}`, gives no login for `{server}`: {why}"
                    )),
                }
            }
        }
    }
}

/// Reads a file of logins; none where there is no such file.
async fn read(file: &Path) -> Result<Option<File>, String> {
    bytes(file).await?.map(|bytes| File::parse(&bytes)).transpose()
}

/// The same, as it is.
pub(super) async fn bytes(file: &Path) -> Result<Option<Vec<u8>>, String> {
    let len = match tokio::fs::metadata(file).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(meta) => meta.len(),
    };
    if len > limits::REGISTRY_LOGINS_BYTES_MAX {
        return Err("the file is too large".into());
    }
    tokio::fs::read(file).await.map(Some).map_err(|error| error.to_string())
}

/// What a file says of a registry.
#[derive(PartialEq, Eq)]
enum Entry {
    /// The login itself.
    Here { key: String, secret: Secret },
    /// Whom to ask for it, and by which name.
    Helper { helper: String, server: String },
}

/// A file of logins.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    #[serde(default)]
    creds_store: String,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
}

impl Auth {
    /// What it holds; none where it only says that a helper has it.
    fn secret(&self) -> Result<Option<Secret>, &'static str> {
        if !self.identitytoken.is_empty() {
            return Ok(Some(Secret::Refresh(self.identitytoken.clone())));
        }
        if self.auth.is_empty() {
            let (user, password) = (self.username.clone(), self.password.clone());
            return Ok((!user.is_empty()).then_some(Secret::Password { user, password }));
        }
        let text = STANDARD.decode(self.auth.trim()).ok();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = text
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or("an entry is not base64 of `user:password`")?;
        let password = password.trim_end_matches('\0');
        Ok(Some(Secret::Password { user: user.into(), password: password.into() }))
    }
}

impl File {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        // The parser's own message could quote a password.
        serde_json::from_slice(bytes).map_err(|_| "it is not an auth.json".into())
    }

    /// What a Secret holds: such a file, or the entries alone, as docker wrote them once. No helper is named by a Secret.
    pub(super) fn of_secret(bytes: &[u8], entries_alone: bool) -> Result<Self, String> {
        let auths = match entries_alone {
            true => serde_json::from_slice(bytes).map_err(|_| "it is not a .dockercfg")?,
            false => Self::parse(bytes)?.auths,
        };
        Ok(Self { auths, cred_helpers: BTreeMap::new(), creds_store: String::new() })
    }

    /// The logins that stand in it for `host/repository`, each with how close it is and where it is from.
    pub(super) fn logins(
        &self,
        (host, repository): (&str, &str),
        from: &str,
    ) -> Result<Vec<(usize, Login)>, String> {
        let mut logins = Vec::new();
        for (key, auth) in &self.auths {
            let Some(len) = fits(key, host, repository) else { continue };
            let from = format!("{from}, entry `{key}`");
            logins.extend(auth.secret()?.map(|secret| (len, Login { secret, from })));
        }
        Ok(logins)
    }

    /// What it says of `host/repository`, the closest first: borders are at `/` (rule I168).
    fn entries(&self, host: &str, repository: &str) -> Result<Vec<Entry>, String> {
        let mut found = Vec::new();
        for (key, helper) in &self.cred_helpers {
            if let Some(len) = fits(key, host, repository) {
                let (helper, server) = (helper.clone(), key.clone());
                found.push((len, Entry::Helper { helper, server }));
            }
        }
        let mut asked = BTreeSet::new();
        for (key, auth) in &self.auths {
            let Some(len) = fits(key, host, repository) else { continue };
            match auth.secret()? {
                Some(secret) => found.push((len, Entry::Here { key: key.clone(), secret })),
                None => drop(asked.insert(key.clone())),
            }
        }
        found.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
        let mut entries: Vec<_> = found.into_iter().map(|(_, entry)| entry).collect();
        // The store has what the file has no entry for; an empty one says by which name.
        if entries.is_empty() && !self.creds_store.is_empty() {
            let usual = if is_docker_hub(host) { DOCKER_HUB_KEY } else { host };
            let server = asked.pop_last().unwrap_or_else(|| usual.to_owned());
            entries.push(Entry::Helper { helper: self.creds_store.clone(), server });
        }
        Ok(entries)
    }
}

/// How close a key comes to a repository, by the length of its path; none where it is of something else.
fn fits(key: &str, host: &str, repository: &str) -> Option<usize> {
    let key = key.trim_start_matches("https://").trim_start_matches("http://");
    let (key_host, path) = key.split_once('/').unwrap_or((key, ""));
    let path = path.trim_end_matches('/');
    let path = if path == "v1" || path == "v2" { "" } else { path };
    let same_host = key_host == host || (is_docker_hub(key_host) && is_docker_hub(host));
    let inside = path.is_empty()
        || repository
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (same_host && inside).then_some(path.len())
}

/// What becomes of a file of logins; see `untrusted`.
pub(super) fn read_untrusted(text: &str) -> String {
    let entries = File::parse(text.as_bytes()).and_then(|file| file.entries("r.io", "team/app"));
    let told = |entry: Entry| match entry {
        Entry::Here { key, secret } => {
            let login = Login { secret, from: key };
            format!("{login:?} {:?}", login.basic())
        }
        Entry::Helper { helper, server } => format!("{helper} {server}"),
    };
    format!("{:?}", entries.map(|entries| entries.into_iter().map(told).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(file: &serde_json::Value, host: &str, repository: &str) -> Vec<String> {
        let file = File::parse(file.to_string().as_bytes()).unwrap();
        let told = |entry| match entry {
            Entry::Here { secret: Secret::Password { user, .. }, .. } => user,
            Entry::Here { secret: Secret::Refresh(_), .. } => "a token".into(),
            Entry::Helper { helper, server } => format!("{helper} {server}"),
        };
        file.entries(host, repository).unwrap().into_iter().map(told).collect()
    }

    fn auth(user: &str) -> serde_json::Value {
        serde_json::json!({"auth": STANDARD.encode(format!("{user}:p"))})
    }

    #[test]
    fn i168_the_closest_login_comes_first_and_paths_end_at_a_slash() {
        let file = serde_json::json!({"auths": {
            "r.io": auth("host"), "r.io/team": auth("team"), "r.io:5000": auth("port"),
        }});
        assert_eq!(entries(&file, "r.io", "team/app"), ["team", "host"]);
        assert_eq!(entries(&file, "r.io", "teamwork/app"), ["host"]);
        assert_eq!(entries(&file, "r.io:5000", "team/app"), ["port"]);
        assert!(entries(&file, "other.io", "team/app").is_empty());
    }

    #[test]
    fn i168_docker_hub_is_one_host_under_all_its_names() {
        for key in [DOCKER_HUB_KEY, "docker.io", "registry-1.docker.io"] {
            let file = serde_json::json!({"auths": {key: auth("u")}});
            assert_eq!(entries(&file, "registry-1.docker.io", "library/x"), ["u"]);
        }
    }

    #[test]
    fn i170_a_helper_is_asked_by_the_name_that_the_file_has() {
        let file = serde_json::json!({
            "auths": {"r.io": auth("host"), "other.io": {}},
            "credHelpers": {"r.io/team": "ecr-login", "third.io": "gcloud"},
            "credsStore": "pass",
        });
        assert_eq!(entries(&file, "r.io", "team/app"), ["ecr-login r.io/team", "host"]);
        assert_eq!(
            entries(&file, "r.io", "app"),
            ["host"],
            "what the file has, no store is asked for"
        );
        assert_eq!(entries(&file, "third.io", "x"), ["gcloud third.io"]);
        assert_eq!(entries(&file, "other.io", "x"), ["pass other.io"]);
        assert_eq!(entries(&file, "unknown.io", "x"), ["pass unknown.io"]);
        let hub = format!("pass {DOCKER_HUB_KEY}");
        assert_eq!(entries(&file, "registry-1.docker.io", "library/x"), [hub]);
    }

    #[test]
    fn a_refresh_token_counts_before_a_password_and_two_fields_for_one() {
        let entry = serde_json::json!({"auth": STANDARD.encode("u:p"), "identitytoken": "t"});
        let file = serde_json::json!({"auths": {"r.io": entry}});
        assert_eq!(entries(&file, "r.io", "x"), ["a token"]);
        let entry = serde_json::json!({"username": "anna", "password": "p"});
        let file = serde_json::json!({"auths": {"r.io": entry}});
        assert_eq!(entries(&file, "r.io", "x"), ["anna"]);
    }

    #[test]
    fn a_bad_file_of_logins_is_refused_without_its_content() {
        let bad = File::parse(br#"{"auths": {"r.io": {"auth": "hunter2!"}}}"#).unwrap();
        assert!(!bad.entries("r.io", "x").err().unwrap().contains("hunter2"));
        assert_eq!(File::parse(b"hunter2").err().unwrap(), "it is not an auth.json");
        for login in [
            Login::password("u".into(), "hunter2".into(), "here".into()),
            Login::refresh("hunter2".into(), "here".into()),
        ] {
            assert!(!format!("{login:?}{:?}", login.basic()).contains("hunter2"));
        }
    }
}
