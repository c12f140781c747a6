//! One HTTP request to a registry: bounded in time and bytes, with every header in the answer.
//!
//! `oci_distribution` hides headers (`Retry-After`), reads bodies of any size, those of token
//! servers as well, and sends a ping before each request, so all of them are read here.

use std::error::Error as _;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;
use regex::Regex;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode, header, redirect};

use super::certs::Certificates;
use super::tally::Tally;
use crate::fact::said;
use crate::limits;
use crate::names::Digest;

/// What the registry answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Why there was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The whole time of [`limits::REGISTRY_TIMEOUT`] passed.
    Timeout(Duration),
    /// No connection: refused, no route, no such host.
    Connect(String),
    /// The other side answered a TLS greeting in plain HTTP.
    PlainHttp,
    /// TLS failed in another way: an unknown certificate authority, a wrong name.
    Tls(String),
    /// It redirects in circles, or from HTTPS to plain HTTP.
    Redirect(String),
    /// The body has more than [`limits::REGISTRY_BODY_BYTES_MAX`] bytes.
    TooLong,
    /// The connection broke, or what came is not HTTP.
    Broken(String),
    /// We cannot make such a request: no CA certificates on this machine, an unusable proxy.
    Client(String),
}

/// A request without its host: what differs between two requests to one registry.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Below `/v2/`.
    pub(super) path: &'a str,
    pub(super) accept: &'a str,
    pub(super) access: Access,
    /// What is sent: its media type and its bytes.
    pub(super) content: Option<(&'a str, &'a [u8])>,
    /// Where it is counted.
    pub(super) tally: Option<&'a Tally>,
}

/// What is to be done in a repository; a token is good for that and nothing more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Access {
    Pull,
    Push,
    Delete,
}

impl Access {
    /// As the scope of a token says it.
    pub(super) fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,delete",
        }
    }
}

/// Whether certificates are checked and plain HTTP is allowed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Trust {
    Verified,
    Insecure,
}

/// How long one connection may take: a part of the time for the request, so that what does not even connect is told so.
pub(super) fn connect_timeout(timeout: Duration) -> Duration {
    limits::REGISTRY_CONNECT_TIMEOUT.min(timeout / 2)
}

/// Makes a client; connections are kept and shared by all requests to a registry.
pub(super) fn client(
    trust: Trust,
    (roots, found): (&[Vec<u8>], &Certificates),
    redirects: usize,
    connect: Duration,
) -> Result<Client, Fault> {
    let plain = trust == Trust::Insecure;
    let hops = redirect::Policy::custom(move |attempt| {
        if redirects == 0 {
            attempt.stop()
        } else if attempt.previous().len() > redirects {
            attempt.error("too many redirects")
        } else if attempt.url().scheme() != "https" && !plain {
            attempt.error("a redirect from HTTPS to plain HTTP")
        } else {
            attempt.follow()
        }
    });
    let mut builder = Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect)
        .pool_max_idle_per_host(limits::REGISTRY_CHECKS_IN_FLIGHT_MAX)
        .redirect(hops);
    match trust {
        Trust::Insecure => builder = builder.danger_accept_invalid_certs(true),
        Trust::Verified => {
            for root in roots.iter().chain(&found.roots) {
                let root = reqwest::Certificate::from_pem(root);
                let root = root.map_err(|error| Fault::Client(root_cause(&error)))?;
                builder = builder.tls_certs_merge([root]);
            }
        }
    }
    // What is wrong with each file alone was told; that a key is of another certificate is seen here.
    let wrong = |error: reqwest::Error| match &found.from {
        Some(folder) => {
            let folder = folder.display();
            Fault::Client(format!("{} (with what is in `{folder}`)", root_cause(&error)))
        }
        None => Fault::Client(root_cause(&error)),
    };
    if let Some(pem) = &found.identity {
        builder = builder.identity(reqwest::Identity::from_pem(pem).map_err(wrong)?);
    }
    builder.build().map_err(wrong)
}

/// Sends a request and reads the answer.
pub(super) async fn send(
    client: &Client,
    base: &str,
    ask: &Ask<'_>,
    login: Option<&HeaderValue>,
    timeout: Duration,
) -> Result<Answer, Fault> {
    let url = format!("{base}/v2/{}", ask.path);
    let mut request = client.request(ask.method.clone(), url);
    if !ask.accept.is_empty() {
        request = request.header(header::ACCEPT, ask.accept);
    }
    if let Some(login) = login {
        request = request.header(header::AUTHORIZATION, login);
    }
    if let Some((kind, bytes)) = ask.content {
        request = request.header(header::CONTENT_TYPE, kind).body(bytes.to_vec());
    }
    fetch(request, timeout).await
}

/// Sends any request, a `GET` of a token for one, within the same bounds.
pub(super) async fn fetch(
    request: reqwest::RequestBuilder,
    timeout: Duration,
) -> Result<Answer, Fault> {
    let fault = |error: reqwest::Error| fault_of(&error, timeout);
    let mut response = request.timeout(timeout).send().await.map_err(fault)?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fault)? {
        if !status.is_success() && body.len() + chunk.len() > limits::REGISTRY_ERROR_BYTES_MAX {
            break; // the beginning of an error page says enough
        }
        if body.len() + chunk.len() > limits::REGISTRY_BODY_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer::new(status, response.headers().clone(), body))
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Self {
        Self { status, headers, body }
    }

    pub(super) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the registry says the digest is; none if it says nothing, or not in SHA-256.
    pub(super) fn stated_digest(&self) -> Option<Digest> {
        self.header("docker-content-digest")?.trim().parse().ok()
    }

    /// The media type without its parameters.
    pub(super) fn media_type(&self) -> Option<&str> {
        self.header(header::CONTENT_TYPE)?.split(';').next().map(str::trim)
    }

    /// The query of the next page of a listing (RFC 8288, relation `next`).
    pub(super) fn next_page(&self) -> Option<String> {
        let links = self.headers.get_all(header::LINK).into_iter();
        let links = links.filter_map(|value| value.to_str().ok());
        let next = links.flat_map(|value| value.split(',')).find_map(|link| {
            let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
            let is_next = |parameter: &str| {
                matches!(
                    parameter.trim().to_ascii_lowercase().as_str(),
                    "rel=next" | "rel=\"next\""
                )
            };
            parameters.split(';').any(is_next).then(|| target.to_owned())
        })?;
        let (_, query) = next.split_once('?')?;
        Some(query.split('#').next().unwrap_or_default().to_owned())
    }

    pub(super) fn challenges(&self) -> impl Iterator<Item = &str> {
        let values = self.headers.get_all(header::WWW_AUTHENTICATE).into_iter();
        values.filter_map(|value| value.to_str().ok())
    }

    /// How long the registry asks to be left alone, at most a day.
    ///
    /// A date is compared with the answer's own `Date`, so the registry's clock alone counts.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let text = self.header(header::RETRY_AFTER)?.trim();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let asked = match is_number {
            // A number that is too large for us is a day all the same.
            true => Duration::from_secs(text.parse().unwrap_or(u64::MAX)),
            false => Duration::from_secs(http_date(text)?.saturating_sub(self.date()?)),
        };
        Some(asked.min(limits::REGISTRY_RETRY_AFTER_MAX))
    }

    /// The registry's clock, in seconds of the epoch.
    pub(super) fn date(&self) -> Option<u64> {
        http_date(self.header(header::DATE)?)
    }

    /// The first error of the registry's own list: its code and its words, made fit for a message.
    pub(super) fn registry_error(&self) -> Option<(String, String)> {
        #[derive(serde::Deserialize)]
        struct Errors {
            errors: Vec<Entry>,
        }
        #[derive(serde::Deserialize)]
        struct Entry {
            code: String,
            message: Option<String>,
        }
        let errors: Errors = serde_json::from_slice(&self.body).ok()?;
        let first = errors.errors.into_iter().next()?;
        let message = first.message.filter(|text| !text.is_empty());
        Some((clean(&first.code), steady(message.as_ref().unwrap_or(&first.code))))
    }
}

/// A time in one of the three forms of RFC 9110, section 5.6.7, in seconds of the epoch; 0 before that.
fn http_date(text: &str) -> Option<u64> {
    const FORMS: [&str; 3] =
        ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let seconds = |at: jiff::Timestamp| u64::try_from(at.as_second()).unwrap_or(0);
    if let Ok(at) = rfc2822::parse(text) {
        return Some(seconds(at.timestamp()));
    }
    let at = FORMS.iter().find_map(|form| strtime::parse(form, text).ok()?.to_datetime().ok())?;
    // The last days of the year 9999 are beyond what a time can be.
    Some(at.to_zoned(TimeZone::UTC).map_or(u64::MAX, |at| seconds(at.timestamp())))
}

/// Cuts a foreign text so that it cannot break a line, a terminal or a record.
pub(super) fn clean(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(200).collect()
}

/// As [`clean`], without what a registry says differently each time: the number of the request (UUIDs, and whatever
/// stands behind `RequestId:` and the like) and the time. An equal message is not written again (rule I70).
pub(super) fn steady(text: &str) -> String {
    static ONCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?ix) (?<label> \b (?:request|correlation|trace|activity|transaction|ray|host) [\ _-]? id [\x22\ :=]+ )
                    [a-z0-9/+_-] [a-z0-9/+=_-]*
              | \b [0-9a-f]{8} - (?: [0-9a-f]{4} - ){3} [0-9a-f]{12} \b
              | \b \d{4} - \d\d - \d\d [T\ ] \d\d : \d\d (?: : \d\d (?: [.,] \d+ )? )? (?: Z | [+-] \d\d :? \d\d )?",
        )
        .ok()
    });
    // Cleaned first: what is looked for is in one line then. Cut last: a cut number would not be known as one.
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match ONCE.as_ref() {
        Some(once) => clean(&once.replace_all(&line, "${label}*")),
        None => clean(&line),
    }
}

/// Sorts an error of the HTTP library by what it means for an import.
pub(super) fn fault_of(error: &reqwest::Error, timeout: Duration) -> Fault {
    match tls_error(error) {
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            return Fault::PlainHttp;
        }
        Some(error) => return Fault::Tls(tls_words(error)),
        None => {}
    }
    let cause = root_cause(error);
    if error.is_timeout() && error.is_connect() {
        Fault::Connect(format!("no connection within {} s", connect_timeout(timeout).as_secs()))
    } else if error.is_timeout() {
        Fault::Timeout(timeout)
    } else if error.is_redirect() {
        Fault::Redirect(cause)
    } else if error.is_connect() {
        Fault::Connect(cause)
    } else if error.is_builder() {
        Fault::Client(cause)
    } else {
        Fault::Broken(cause)
    }
}

/// What is wrong, without the times that the library tells of a certificate: they differ at every look.
fn tls_words(error: &rustls::Error) -> String {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let rustls::Error::InvalidCertificate(why) = error else { return clean(&error.to_string()) };
    if matches!(why, Expired | ExpiredContext { .. }) {
        format!("invalid peer certificate: {}", said::EXPIRED)
    } else if matches!(why, NotValidYet | NotValidYetContext { .. }) {
        format!("invalid peer certificate: {}", said::EARLY)
    } else {
        clean(&error.to_string())
    }
}

/// Finds the TLS library's error among the causes.
///
/// An I/O error hides the error inside it from `source`, and here one can be inside another.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        let inside = cause.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        next = match inside {
            Some(inside) => Some(inside),
            None => cause.source(),
        };
    }
    None
}

/// The innermost words of an error: the outer ones repeat the address.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    clean(&cause.to_string())
}

/// Answers for tests.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    pub(in super::super) fn answer(headers: &[(&'static str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        let (status, body) = (StatusCode::TOO_MANY_REQUESTS, body.as_bytes().to_vec());
        Answer { status, headers: headers.collect(), body }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::answer;
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let after = |headers: &[_]| answer(headers, "").retry_after();
        assert_eq!(after(&[("retry-after", "17")]), Some(Duration::from_secs(17)));
        let date = ("date", "Sat, 21 Nov 2026 10:00:00 GMT");
        let later = ("retry-after", "Sat, 21 Nov 2026 10:01:30 GMT");
        assert_eq!(after(&[date, later]), Some(Duration::from_secs(90)));
        let past = ("retry-after", "Sat, 21 Nov 2026 09:00:00 GMT");
        assert_eq!(after(&[date, past]), Some(Duration::ZERO));
        assert_eq!(after(&[later]), None, "without the registry's time a date says nothing");
        assert_eq!(after(&[("retry-after", "soon")]), None);
        assert_eq!(after(&[]), None);
        for old in ["Saturday, 21-Nov-26 10:01:30 GMT", "Sat Nov 21 10:01:30 2026"] {
            assert_eq!(
                after(&[date, ("retry-after", old)]),
                Some(Duration::from_secs(90)),
                "{old}"
            );
        }
        for none in ["", "-5", "1.5", "0x10", "Sat, 21 Nov", "1 2"] {
            assert_eq!(after(&[date, ("retry-after", none)]), None, "{none}");
        }
        let day = Some(Duration::from_secs(86_400));
        assert_eq!(after(&[("retry-after", "99999999999999999999999")]), day);
        let never = ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(after(&[date, never]), day);
        assert_eq!(after(&[("retry-after", "18446744073709551615")]), day);
    }

    #[test]
    fn the_registrys_words_are_cut_to_one_safe_line() {
        let body = r#"{"errors":[{"code":"DENIED","message":"no\n\u001b[31m access"}]}"#;
        let error = answer(&[], body).registry_error();
        assert_eq!(error, Some(("DENIED".into(), "no [31m access".into())));
        assert_eq!(answer(&[], "<html>busy</html>").registry_error(), None);
        let bare = answer(&[], r#"{"errors":[{"code":"UNKNOWN"}]}"#).registry_error();
        assert_eq!(bare, Some(("UNKNOWN".into(), "UNKNOWN".into())));
    }

    /// I70, with the words of Azure's, Amazon's and other registries.
    #[test]
    fn the_number_of_a_request_and_the_time_are_not_in_a_message() {
        for (said, shown) in [
            (
                "authentication required, visit https://aka.ms/acr CorrelationId: 0c5e5a1e-8f7b-4f0e-9d7c-aaaaaaaaaaaa",
                "authentication required, visit https://aka.ms/acr CorrelationId: *",
            ),
            ("denied (RequestId: 3P1QZ0X/9+a=, HostId:ab_c-d)", "denied (RequestId: *, HostId:*)"),
            ("busy\nrequest id = \"77\", try later", "busy request id = \"*\", try later"),
            ("0C5E5A1E-8F7B-4F0E-9D7C-AAAAAAAAAAAA failed", "* failed"),
            ("until 2026-11-22T10:00:00.123Z or 2026-11-22 10:00:00 +0100", "until * or * +0100"),
            ("no sha256:0c5e5a1e8f7b4f0e here, id 17", "no sha256:0c5e5a1e8f7b4f0e here, id 17"),
            ("the valid identity", "the valid identity"),
        ] {
            assert_eq!(steady(said), shown);
            assert_eq!(steady(shown), shown);
        }
        let long = format!("{} trace-id: {}", "x".repeat(180), "7".repeat(90));
        assert!(steady(&long).ends_with("trace-id: *"));
    }

    #[test]
    fn a_digest_header_that_is_no_sha256_counts_as_none() {
        let stated = |value: &str| answer(&[("docker-content-digest", value)], "").stated_digest();
        let digest = Digest::of(b"x");
        let text = digest.to_string();
        assert_eq!(stated(&text), Some(digest));
        assert_eq!(stated("sha512:00"), None);
    }
}
