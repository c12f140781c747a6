//! Sessions: what a 401 asks for, and tokens of token servers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::logins::Login;
use super::wire::{self, Access, Answer, Ask, Fault, Trust, clean, steady};

/// A header that is never printed.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// How requests for one repository are authorised.
#[derive(Clone)]
pub(super) enum Session {
    /// Without a login.
    Open,
    /// With a header that does not age, of this user.
    Basic(HeaderValue, Option<Arc<str>>),
    /// With a token, until the time when it is renewed before it is used again; of this user, if of any.
    Bearer(HeaderValue, Instant, Option<Arc<str>>),
}

impl Session {
    pub(super) fn header(&self) -> Option<&HeaderValue> {
        match self {
            Self::Open => None,
            Self::Basic(header, _) | Self::Bearer(header, _, _) => Some(header),
        }
    }

    /// Whose it is.
    pub(super) fn user(&self) -> Option<&str> {
        match self {
            Self::Open => None,
            Self::Basic(_, user) | Self::Bearer(_, _, user) => user.as_deref(),
        }
    }

    pub(super) fn is_fresh(&self) -> bool {
        match self {
            Self::Open | Self::Basic(..) => true,
            Self::Bearer(_, until, _) => Instant::now() < *until,
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
    /// The token server is busy or broken, and how long it asked to be left alone; it may pass.
    Busy(String, Option<Duration>),
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

    /// Where that is. A registry that is reached by TLS alone cannot have its logins sent in plain text.
    fn address(&self, trust: Trust, login: Option<&Login>) -> Result<Url, TokenError> {
        let shown = clean(&self.address);
        let busy = |why: &str| TokenError::Busy(format!("`{shown}` {why}"), None);
        let address = Url::parse(&self.address).map_err(|_| busy("is not the address of one"))?;
        match (address.scheme(), trust, login) {
            ("https", ..) | ("http", Trust::Insecure, _) | ("http", _, None) => Ok(address),
            ("http", Trust::Verified, Some(_)) => {
                Err(busy("has no TLS, so no login is sent there"))
            }
            _ => Err(busy("is not the address of one")),
        }
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
///
/// A user name and a password go with a `GET`, as in the token specification of distribution; a refresh token with a
/// `POST`, as in its form of `OAuth2`.
pub(super) async fn fetch_token(
    client: &Client,
    (base, repository, access): (&str, &str, Access),
    login: Option<&Login>,
    (trust, timeout): (Trust, Duration),
) -> Result<Session, TokenError> {
    let (method, access_asked) = (Method::GET, Access::Pull);
    let ask =
        Ask { method, path: "", accept: "", access: access_asked, content: None, tally: None };
    let answer = wire::send(client, base, &ask, None, timeout).await.map_err(TokenError::Fault)?;
    let address = |realm: Realm| Ok((realm.address(trust, login)?, realm.service));
    let (address, service) = match answer.challenges().find_map(Realm::of) {
        Some(realm) => address(realm)?,
        // Trouble on the way to the token server is no refusal.
        None if is_busy(answer.status) => {
            let words = format!("the registry answered `{}`", answer.status);
            return Err(TokenError::Busy(words, answer.retry_after()));
        }
        None => return Err(TokenError::Refused("it names no token server".into())),
    };
    let scope = format!("repository:{repository}:{}", access.actions());
    let request = token_request(client, address, &scope, service.as_deref(), login);
    let answer = wire::fetch(request, timeout).await.map_err(TokenError::Fault)?;
    if answer.status != StatusCode::OK {
        return Err(refusal(&answer));
    }
    let token = read_token(&answer.body)
        .ok_or_else(|| TokenError::Busy("it answered without a token".into(), None))?;
    let header = secret_header(&format!("Bearer {token}"))
        .ok_or_else(|| TokenError::Busy("the token cannot be sent".into(), None))?;
    let life = token_life(&token);
    // Renewed a little early: a token must not run out between two requests of one import.
    let margin = (life / 4).min(Duration::from_secs(10));
    let user = login.map(|login| Arc::from(login.account()));
    Ok(Session::Bearer(header, Instant::now() + (life - margin), user))
}

fn token_request(
    client: &Client,
    mut address: Url,
    scope: &str,
    service: Option<&str>,
    login: Option<&Login>,
) -> RequestBuilder {
    let mut said = vec![("scope", scope)];
    said.extend(service.map(|service| ("service", service)));
    if let Some(token) = login.and_then(Login::refresh_token) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(said).append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", "tidegate").append_pair("refresh_token", token);
        let kind = "application/x-www-form-urlencoded";
        return client.post(address).header(header::CONTENT_TYPE, kind).body(form.finish());
    }
    address.query_pairs_mut().extend_pairs(said);
    match login.and_then(Login::basic) {
        Some(login) => client.get(address).header(header::AUTHORIZATION, login),
        None => client.get(address),
    }
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

/// Whether a status says that it may pass.
fn is_busy(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// Tells a refusal from a server in trouble: by its words, else by its status.
fn refusal(answer: &Answer) -> TokenError {
    let (status, body) = (answer.status, String::from_utf8_lossy(&answer.body));
    let lower = body.to_lowercase();
    let words = refusal_words(&body);
    let busy =
        is_busy(status) || lower.contains("toomanyrequests") || lower.contains("unavailable");
    if busy {
        let words = words.unwrap_or_else(|| format!("it answered `{status}`"));
        return TokenError::Busy(words, answer.retry_after());
    }
    let access = ["unauthorized", "denied", "incorrect", "forbidden", "credential"];
    match words {
        Some(words) => TokenError::Refused(words),
        None if access.iter().any(|word| lower.contains(word)) => {
            TokenError::Refused(steady(&body))
        }
        None if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            TokenError::Refused(format!("its token server answered `{status}`"))
        }
        None => TokenError::Busy(format!("it answered `{status}`"), None),
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

/// What each reader of a token server's answer makes of a text; see `untrusted`.
pub(super) fn read_untrusted(text: &str) -> String {
    let refused =
        refusal(&Answer::new(StatusCode::BAD_REQUEST, HeaderMap::new(), text.as_bytes().to_vec()));
    let token = read_token(text.as_bytes()).map(|token| secret_header(&token));
    format!("{refused:?} {token:?} {:?}", token_life(text))
}

/// What becomes of a header of challenges; see `untrusted`.
pub(super) fn read_untrusted_challenge(header: &str) -> String {
    format!("{:?}", Realm::of(header))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: StatusCode, body: &str) -> TokenError {
        refusal(&Answer::new(status, HeaderMap::new(), body.as_bytes().to_vec()))
    }

    #[test]
    fn a_refusal_is_told_from_a_token_server_in_trouble() {
        let of = |body: &str| refused(StatusCode::BAD_REQUEST, body);
        let hub = of(r#"{"details":"incorrect username or password"}"#);
        assert_eq!(hub, TokenError::Refused("incorrect username or password".into()));
        let list = of(r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#);
        assert_eq!(list, TokenError::Refused("UNAUTHORIZED".into()));
        assert_eq!(of("access denied"), TokenError::Refused("access denied".into()));
        let html = of("<html>Bad Gateway</html>");
        assert_eq!(html, TokenError::Busy("it answered `400 Bad Request`".into(), None));
        assert!(matches!(of(r#"{"errors":[{"code":"TOOMANYREQUESTS"}]}"#), TokenError::Busy(..)));
    }

    #[test]
    fn a_status_speaks_where_the_body_does_not() {
        let of = |status| refused(status, "<html>");
        assert!(matches!(of(StatusCode::FORBIDDEN), TokenError::Refused(_)));
        assert!(matches!(of(StatusCode::BAD_GATEWAY), TokenError::Busy(..)));
        let busy = refused(StatusCode::TOO_MANY_REQUESTS, "access denied");
        assert!(matches!(busy, TokenError::Busy(..)));
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
