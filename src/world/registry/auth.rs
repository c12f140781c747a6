//! Logins out of containers `auth.json` and Docker `config.json`, and the sessions made with them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use oci_distribution::errors::OciDistributionError;
use oci_distribution::secrets::RegistryAuth;
use oci_distribution::{Reference, RegistryOperation};
use reqwest::header::HeaderValue;
use serde::Deserialize;
use tokio::time::Instant;

use super::wire::{Fault, clean, fault_of};
use crate::limits;
use crate::reference::is_docker_hub;

/// A user name and a password; neither is ever printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    user: String,
    password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

impl Login {
    /// The login as a header of HTTP basic authentication.
    pub(super) fn basic(&self) -> Option<HeaderValue> {
        let text = STANDARD.encode(format!("{}:{}", self.user, self.password));
        secret_header(&format!("Basic {text}"))
    }
}

fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How requests for one repository are authorised.
#[derive(Clone)]
pub(super) enum Session {
    /// Without a login.
    Open,
    /// With a header that does not age.
    Basic(HeaderValue),
    /// With a token, until the time when it is renewed before it is used again.
    Bearer(HeaderValue, Instant),
}

impl Session {
    pub(super) fn header(&self) -> Option<&HeaderValue> {
        match self {
            Self::Open => None,
            Self::Basic(header) | Self::Bearer(header, _) => Some(header),
        }
    }

    pub(super) fn is_fresh(&self) -> bool {
        match self {
            Self::Open | Self::Basic(_) => true,
            Self::Bearer(_, until) => Instant::now() < *until,
        }
    }
}

/// What a 401 asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Challenge {
    Basic,
    Bearer,
}

impl Challenge {
    /// Picks the challenge that we answer; bearer wins, as in every client.
    pub(super) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut found = None;
        for value in values {
            let scheme = value.split_whitespace().next().unwrap_or_default();
            if scheme.eq_ignore_ascii_case("bearer") {
                return Some(Self::Bearer);
            }
            if scheme.eq_ignore_ascii_case("basic") {
                found = Some(Self::Basic);
            }
        }
        found
    }
}

/// Why there is no token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenError {
    /// The token server refused, in its words.
    Refused(String),
    /// The token server is busy or broken; it may pass.
    Busy(String),
    /// No answer.
    Fault(Fault),
}

/// Fetches a token for pulling from a repository, through the client of `oci_distribution`.
pub(super) async fn fetch_token(
    client: &oci_distribution::Client,
    (host, repository): (&str, &str),
    login: Option<&Login>,
    timeout: Duration,
) -> Result<Session, TokenError> {
    let image = Reference::with_tag(host.into(), repository.into(), "latest".into());
    let auth = match login {
        Some(login) => RegistryAuth::Basic(login.user.clone(), login.password.clone()),
        None => RegistryAuth::Anonymous,
    };
    let asked = client.auth(&image, &auth, RegistryOperation::Pull);
    let token = match tokio::time::timeout(timeout, asked).await {
        Err(_) => return Err(TokenError::Fault(Fault::Timeout(timeout))),
        Ok(Err(error)) => return Err(classify(&error, timeout)),
        Ok(Ok(None)) => return Err(TokenError::Refused("it names no token server".into())),
        Ok(Ok(Some(token))) => token,
    };
    let header = secret_header(&format!("Bearer {token}"))
        .ok_or_else(|| TokenError::Busy("the token cannot be sent".into()))?;
    let life = token_life(&token);
    // Renewed a little early: a token must not run out between two requests of one import.
    let margin = (life / 4).min(Duration::from_secs(10));
    Ok(Session::Bearer(header, Instant::now() + (life - margin)))
}

/// Sorts an error of `oci_distribution`'s token flow.
///
/// It gives the body of a refusal without its status, so a body that is not a registry's list of
/// errors and does not speak of access is taken for a server in trouble.
fn classify(error: &OciDistributionError, timeout: Duration) -> TokenError {
    if let OciDistributionError::RequestError(error) = error {
        return TokenError::Fault(fault_of(error, timeout));
    }
    if let OciDistributionError::RegistryTokenDecodeError(_) = error {
        return TokenError::Busy("it answered without a token".into());
    }
    let OciDistributionError::AuthenticationFailure(body) = error else {
        return TokenError::Busy(clean(&error.to_string()));
    };
    let lower = body.to_lowercase();
    let words = refusal_words(body);
    if lower.contains("toomanyrequests") || lower.contains("unavailable") {
        return TokenError::Busy(words.unwrap_or_else(|| "it is busy".into()));
    }
    let access = ["unauthorized", "denied", "incorrect", "forbidden", "credential"];
    match words {
        Some(words) => TokenError::Refused(words),
        None if access.iter().any(|word| lower.contains(word)) => TokenError::Refused(clean(body)),
        None => TokenError::Busy("it answered with an error".into()),
    }
}

/// What a token server says in one of the forms in use: a list of errors, `details`, `message`.
fn refusal_words(body: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    let first = value.get("errors").and_then(|errors| errors.get(0));
    let words = [
        first.and_then(|error| error.get("message")),
        first.and_then(|error| error.get("code")),
        value.get("details"),
        value.get("message"),
        value.get("error"),
    ];
    let text = words.into_iter().flatten().filter_map(|word| word.as_str());
    text.map(clean).find(|text| !text.is_empty())
}

/// How long a token lives: by its own claims, else the 60 s of the token specification.
fn token_life(token: &str) -> Duration {
    #[derive(Deserialize)]
    struct Claims {
        iat: Option<u64>,
        nbf: Option<u64>,
        exp: Option<u64>,
    }
    let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let claims: Option<Claims> = claims.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let life = claims.and_then(|claims| {
        let from = claims.iat.or(claims.nbf)?;
        claims.exp?.checked_sub(from)
    });
    Duration::from_secs(life.unwrap_or(60).min(3600))
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
}

/// Reads the logins that fit a repository, the closest first.
///
/// No file is no login; one that cannot be read is an error that names it and nothing of its
/// content.
pub(super) async fn logins(
    file: &Path,
    host: &str,
    repository: &str,
) -> Result<Vec<Login>, String> {
    let refuse = |why: &str| format!("cannot read the logins in `{}`: {why}", file.display());
    let len = match tokio::fs::metadata(file).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(refuse(&error.to_string())),
        Ok(meta) => meta.len(),
    };
    if len > limits::REGISTRY_LOGINS_BYTES_MAX {
        return Err(refuse("the file is too large"));
    }
    let bytes = tokio::fs::read(file).await.map_err(|error| refuse(&error.to_string()))?;
    matching(&bytes, host, repository).map_err(refuse)
}

/// Finds the logins for `host/repository`: the longest path first, borders at `/` (rule I168).
fn matching(bytes: &[u8], host: &str, repository: &str) -> Result<Vec<Login>, &'static str> {
    // The parser's own message could quote a password.
    let file: File = serde_json::from_slice(bytes).map_err(|_| "it is not an auth.json")?;
    let mut found = Vec::new();
    for (key, entry) in &file.auths {
        let key = key.trim_start_matches("https://").trim_start_matches("http://");
        let (key_host, path) = key.split_once('/').unwrap_or((key, ""));
        let path = path.trim_end_matches('/');
        let path = if path == "v1" || path == "v2" { "" } else { path };
        let same_host = key_host == host || (is_docker_hub(key_host) && is_docker_hub(host));
        let inside = path.is_empty()
            || repository.strip_prefix(path).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        if !same_host || !inside || entry.auth.is_empty() {
            continue; // an empty entry stands for a credential helper
        }
        let text = STANDARD.decode(entry.auth.trim()).ok();
        let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = text
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or("an entry is not base64 of `user:password`")?;
        let password = password.trim_end_matches('\0');
        found.push((path.len(), Login { user: user.into(), password: password.into() }));
    }
    found.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
    Ok(found.into_iter().map(|(_, login)| login).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(file: &str, host: &str, repository: &str) -> Vec<String> {
        let logins = matching(file.as_bytes(), host, repository).unwrap();
        logins.into_iter().map(|login| login.user).collect()
    }

    fn file(entries: &[(&str, &str)]) -> String {
        let auths: BTreeMap<_, _> = entries
            .iter()
            .map(|(key, user)| {
                (*key, serde_json::json!({"auth": STANDARD.encode(format!("{user}:p"))}))
            })
            .collect();
        serde_json::json!({ "auths": auths }).to_string()
    }

    #[test]
    fn i168_the_closest_login_comes_first_and_paths_end_at_a_slash() {
        let file = file(&[("r.io", "host"), ("r.io/team", "team"), ("r.io:5000", "port")]);
        assert_eq!(users(&file, "r.io", "team/app"), ["team", "host"]);
        assert_eq!(users(&file, "r.io", "teamwork/app"), ["host"]);
        assert_eq!(users(&file, "r.io:5000", "team/app"), ["port"]);
        assert!(users(&file, "other.io", "team/app").is_empty());
    }

    #[test]
    fn i168_docker_hub_is_one_host_under_all_its_names() {
        for key in ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"] {
            assert_eq!(users(&file(&[(key, "u")]), "registry-1.docker.io", "library/x"), ["u"]);
        }
    }

    #[test]
    fn a_bad_file_of_logins_is_refused_without_its_content() {
        let bad = br#"{"auths": {"r.io": {"auth": "hunter2!"}}}"#;
        assert!(!matching(bad, "r.io", "x").unwrap_err().contains("hunter2"));
        assert_eq!(matching(b"hunter2", "r.io", "x"), Err("it is not an auth.json"));
        let login = Login { user: "u".into(), password: "hunter2".into() };
        assert!(!format!("{login:?}{:?}", login.basic()).contains("hunter2"));
    }

    #[test]
    fn a_refusal_is_told_from_a_token_server_in_trouble() {
        let of = |body: &str| {
            let error = OciDistributionError::AuthenticationFailure(body.into());
            classify(&error, Duration::from_secs(1))
        };
        let hub = of(r#"{"details":"incorrect username or password"}"#);
        assert_eq!(hub, TokenError::Refused("incorrect username or password".into()));
        let list = of(r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#);
        assert_eq!(list, TokenError::Refused("UNAUTHORIZED".into()));
        assert_eq!(of("access denied"), TokenError::Refused("access denied".into()));
        let html = of("<html>Bad Gateway</html>");
        assert_eq!(html, TokenError::Busy("it answered with an error".into()));
        assert!(matches!(of(r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#), TokenError::Busy(_)));
    }

    #[test]
    fn a_token_lives_as_long_as_it_says() {
        let token = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
        let life = |token: &str| token_life(token).as_secs();
        assert_eq!(life(&token(r#"{"iat":100,"exp":400}"#)), 300);
        assert_eq!(life(&token(r#"{"exp":400}"#)), 60);
        assert_eq!(life(&token(r#"{"iat":400,"exp":100}"#)), 60);
        assert_eq!(life("opaque"), 60);
        assert_eq!(life(&token(r#"{"iat":0,"exp":9999999999}"#)), 3600);
    }
}
