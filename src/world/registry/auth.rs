//! Logins out of containers `auth.json` and Docker `config.json`, and the sessions made with them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::header::HeaderValue;
use reqwest::{Client, Method, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::wire::{self, Access, Ask, Fault, clean};
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
            if scheme.eq_ignore_ascii_case("bearer") || Realm::of(value).is_some() {
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

/// Where a bearer challenge sends its clients (RFC 9110, section 11.6.1).
#[derive(Debug, PartialEq, Eq)]
struct Realm {
    address: String,
    service: Option<String>,
}

impl Realm {
    /// Reads the first bearer challenge with a realm out of a header, which may hold several.
    fn of(header: &str) -> Option<Self> {
        let (mut is_bearer, mut address, mut service) = (false, None, None);
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let end = rest.find([' ', '\t', ',', '=', '"']).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            let Some(value) = behind.trim_start().strip_prefix('=') else {
                if is_bearer && address.is_some() {
                    break; // the next challenge
                }
                is_bearer = word.eq_ignore_ascii_case("bearer");
                rest = behind.strip_prefix('"').unwrap_or(behind);
                continue;
            };
            let (value, behind) = parameter(value.trim_start());
            rest = behind;
            if is_bearer && word.eq_ignore_ascii_case("realm") {
                address.get_or_insert(value);
            } else if is_bearer && word.eq_ignore_ascii_case("service") {
                service.get_or_insert(value);
            }
        }
        address.map(|address| Self { address, service })
    }
}

/// Reads a word or a quoted text; returns it and what stands behind it.
fn parameter(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, behind) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
        return (word.to_owned(), behind);
    };
    let mut value = String::new();
    let mut chars = quoted.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => value.extend(chars.next()),
            c => value.push(c),
        }
    }
    (value, chars.as_str())
}

/// Fetches a token for a repository; `base` is the registry's scheme and host.
pub(super) async fn fetch_token(
    client: &Client,
    (base, repository, access): (&str, &str, Access),
    login: Option<&Login>,
    timeout: Duration,
) -> Result<Session, TokenError> {
    let ask =
        Ask { method: Method::GET, path: "", accept: "", access: Access::Pull, content: None };
    let answer = wire::send(client, base, &ask, None, timeout).await.map_err(TokenError::Fault)?;
    let realm = answer.challenges().find_map(Realm::of);
    let realm = realm.ok_or_else(|| TokenError::Refused("it names no token server".into()))?;
    let shown = clean(&realm.address);
    let mut address = Url::parse(&realm.address)
        .ok()
        .filter(|address| matches!(address.scheme(), "http" | "https"))
        .ok_or_else(|| TokenError::Busy(format!("`{shown}` is not the address of one")))?;
    let scope = format!("repository:{repository}:{}", access.actions());
    address.query_pairs_mut().append_pair("scope", &scope);
    if let Some(service) = &realm.service {
        address.query_pairs_mut().append_pair("service", service);
    }
    let mut request = client.get(address);
    if let Some(login) = login.and_then(Login::basic) {
        request = request.header(header::AUTHORIZATION, login);
    }
    let answer = wire::fetch(request, timeout).await.map_err(TokenError::Fault)?;
    if answer.status != StatusCode::OK {
        return Err(refusal(answer.status, &answer.body));
    }
    let token = read_token(&answer.body)
        .ok_or_else(|| TokenError::Busy("it answered without a token".into()))?;
    let header = secret_header(&format!("Bearer {token}"))
        .ok_or_else(|| TokenError::Busy("the token cannot be sent".into()))?;
    let life = token_life(&token);
    // Renewed a little early: a token must not run out between two requests of one import.
    let margin = (life / 4).min(Duration::from_secs(10));
    Ok(Session::Bearer(header, Instant::now() + (life - margin)))
}

/// Servers call it by either name.
fn read_token(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    answer.token.or(answer.access_token).filter(|token| !token.is_empty())
}

/// Tells a refusal from a server in trouble: by its words, else by its status.
fn refusal(status: StatusCode, body: &[u8]) -> TokenError {
    let body = String::from_utf8_lossy(body);
    let lower = body.to_lowercase();
    let words = refusal_words(&body);
    let busy = status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || lower.contains("toomanyrequests")
        || lower.contains("unavailable");
    if busy {
        return TokenError::Busy(words.unwrap_or_else(|| format!("it answered `{status}`")));
    }
    let access = ["unauthorized", "denied", "incorrect", "forbidden", "credential"];
    match words {
        Some(words) => TokenError::Refused(words),
        None if access.iter().any(|word| lower.contains(word)) => TokenError::Refused(clean(&body)),
        None if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            TokenError::Refused(format!("its token server answered `{status}`"))
        }
        None => TokenError::Busy(format!("it answered `{status}`")),
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

/// What each reader of a token server's answer and of a file of logins makes of a text; see `untrusted`.
pub(super) fn read_untrusted(text: &str) -> String {
    let refused = refusal(StatusCode::BAD_REQUEST, text.as_bytes());
    let token = read_token(text.as_bytes()).map(|token| secret_header(&token));
    let logins = matching(text.as_bytes(), "r.io", "team/app");
    let basic = logins.as_ref().ok().and_then(|logins| logins.first()?.basic());
    format!("{refused:?} {token:?} {:?} {logins:?} {basic:?}", token_life(text))
}

/// What becomes of a header of challenges; see `untrusted`.
pub(super) fn read_untrusted_challenge(header: &str) -> String {
    format!("{:?}", Realm::of(header))
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
        let of = |body: &str| refusal(StatusCode::BAD_REQUEST, body.as_bytes());
        let hub = of(r#"{"details":"incorrect username or password"}"#);
        assert_eq!(hub, TokenError::Refused("incorrect username or password".into()));
        let list = of(r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#);
        assert_eq!(list, TokenError::Refused("UNAUTHORIZED".into()));
        assert_eq!(of("access denied"), TokenError::Refused("access denied".into()));
        let html = of("<html>Bad Gateway</html>");
        assert_eq!(html, TokenError::Busy("it answered `400 Bad Request`".into()));
        assert!(matches!(of(r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#), TokenError::Busy(_)));
    }

    #[test]
    fn a_status_speaks_where_the_body_does_not() {
        let of = |status| refusal(status, b"<html>");
        assert!(matches!(of(StatusCode::FORBIDDEN), TokenError::Refused(_)));
        assert!(matches!(of(StatusCode::BAD_GATEWAY), TokenError::Busy(_)));
        let busy = refusal(StatusCode::TOO_MANY_REQUESTS, b"access denied");
        assert!(matches!(busy, TokenError::Busy(_)));
    }

    #[test]
    fn a_realm_is_found_among_the_challenges_of_a_header() {
        let of = |header: &str| Realm::of(header).map(|realm| (realm.address, realm.service));
        let found = |address: &str, service: Option<&str>| {
            Some((address.to_owned(), service.map(str::to_owned)))
        };
        let plain = r#"Bearer realm="https://a/t",service="r.io",scope="x""#;
        assert_eq!(of(plain), found("https://a/t", Some("r.io")));
        assert_eq!(of(r#"Basic realm="b", bearer Realm = "t""#), found("t", None));
        assert_eq!(of("Bearer realm=https://a/t"), found("https://a/t", None));
        assert_eq!(of(r#"Bearer realm="a\"b\\c"#), found("a\"b\\c", None));
        assert_eq!(of(r#"Bearer realm="a", Digest service="s""#), found("a", None));
        for none in
            ["", "Bearer", "Basic realm=x", "\"=,,=\\", "Bearer scope=\"realm=x\"", "=\"\"\""]
        {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_token_has_two_names() {
        assert_eq!(read_token(br#"{"token":"a","access_token":"b"}"#).as_deref(), Some("a"));
        assert_eq!(read_token(br#"{"access_token":"b"}"#).as_deref(), Some("b"));
        for none in ["{}", "7", r#"{"token":7}"#, r#"{"token":""}"#, "<html>"] {
            assert_eq!(read_token(none.as_bytes()), None, "{none}");
        }
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
