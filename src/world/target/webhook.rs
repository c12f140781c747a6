//! The webhook target: an event is posted, the answer is the outcome (rule R30).

use std::error::Error as _;
use std::fmt::Write as _;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;

use super::event::{Event, SIGNATURE_HEADER};
use super::{WebhookTarget, log, transient};
use crate::action::RolloutReport;
use crate::limits;

/// What a target answers with 2xx.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    state: State,
    status_url: Option<String>,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
enum State {
    Complete,
    Running,
    Failed,
}

/// What a status code means depends on what was asked.
#[derive(Clone, Copy, PartialEq)]
enum Asked<'a> {
    /// To do something: 409 says that it was done under this key.
    ToDo,
    /// How it goes on, at this address.
    HowItGoes(&'a str),
}

/// Makes the client of all webhook targets.
pub(super) fn client() -> reqwest::Result<Client> {
    crate::world::tls::init();
    Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(limits::TARGET_CONNECT_TIMEOUT)
        // A signed order goes to the address of the configuration and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// Posts an event.
pub(super) async fn deliver(
    client: &Client,
    target: &WebhookTarget,
    event: &Event,
) -> RolloutReport {
    let mut request = client
        .post(target.url.clone())
        .header("Content-Type", "application/cloudevents+json")
        .header("Idempotency-Key", &event.id)
        .body(event.body.clone());
    let mut secrets: Vec<&str> = event.secrets.iter().map(String::as_str).collect();
    if let Some(source) = &target.secret {
        // Read each time: the key may have been changed.
        let key = match tokio::fs::read(&source.0).await {
            Ok(key) => key,
            Err(error) => {
                let path = source.0.display();
                return transient(format!("cannot read the signing key `{path}`: {error}"));
            }
        };
        let key = key_of(&key);
        if key.trim_ascii().is_empty() {
            return transient(format!("the signing key `{}` is empty", source.0.display()));
        }
        request = request.header(SIGNATURE_HEADER, event.signature(key));
    }
    request = with_headers(request, target);
    secrets.extend(target.headers.values().map(super::Secret::expose));
    send(request, target, Asked::ToDo, &secrets).await
}

/// The key that a file holds: everything but the end of its last line, which editors and `echo` write.
fn key_of(file: &[u8]) -> &[u8] {
    let line = file.strip_suffix(b"\n");
    line.map_or(file, |line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Asks how a rollout goes on.
pub(super) async fn ask(
    client: &Client,
    target: &WebhookTarget,
    status_url: &str,
) -> RolloutReport {
    // The address was checked when it was given.
    let Ok(url) = target.url.join(status_url) else {
        return transient(format!("`{status_url}` is not an address"));
    };
    let mut request = client.get(url.clone());
    if url.origin() == target.url.origin() {
        // Our headers may hold a login; only the target itself gets them.
        request = with_headers(request, target);
    }
    let secrets: Vec<&str> = target.headers.values().map(super::Secret::expose).collect();
    send(request, target, Asked::HowItGoes(url.as_str()), &secrets).await
}

fn with_headers(mut request: RequestBuilder, target: &WebhookTarget) -> RequestBuilder {
    for (name, value) in &target.headers {
        // The configuration has checked both.
        if let (Ok(name), Ok(mut value)) =
            (HeaderName::try_from(name), HeaderValue::try_from(value.expose()))
        {
            value.set_sensitive(true);
            request = request.header(name, value);
        }
    }
    request
}

async fn send(
    request: RequestBuilder,
    target: &WebhookTarget,
    asked: Asked<'_>,
    secrets: &[&str],
) -> RolloutReport {
    let answered = async {
        let response = request.send().await?;
        let (status, wait) = (response.status(), retry_after(&response));
        Ok((status, wait, body(response).await?))
    };
    match tokio::time::timeout(target.timeout, answered).await {
        Ok(Ok((status, wait, body))) => {
            let body = String::from_utf8_lossy(&body).into_owned();
            report(status, wait, &body, target, asked, secrets)
        }
        Ok(Err(error)) => transient(failure(error)),
        Err(_) => transient(format!("no answer within {}", crate::time::Span(target.timeout))),
    }
}

/// What an answer means, for whoever has only its status and its bytes.
pub(super) fn read_answer(
    target: &WebhookTarget,
    asked: Option<&str>,
    status: StatusCode,
    body: &[u8],
) -> RolloutReport {
    let asked = asked.map_or(Asked::ToDo, Asked::HowItGoes);
    report(status, None, &String::from_utf8_lossy(body), target, asked, &[])
}

fn report(
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &str,
    target: &WebhookTarget,
    asked: Asked<'_>,
    secrets: &[&str],
) -> RolloutReport {
    let log = |text: &str| log::last_lines(text, secrets.iter().copied());
    if status.is_success() {
        return success(status, body, target, asked, log);
    }
    if asked == Asked::ToDo && status == StatusCode::CONFLICT {
        return RolloutReport::Complete { log: log(body) };
    }
    // Too early, too many and too slow say "later", unlike the rest of 4xx.
    let passes =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if status.is_server_error() || passes.contains(&status) {
        let last = log(body).lines().last().map(|line| format!(": {line}")).unwrap_or_default();
        let reason = format!("the target answered {status}{last}");
        return RolloutReport::Transient { reason, retry_after };
    }
    let hint = if status.is_redirection() { " (redirects are not followed)" } else { "" };
    RolloutReport::Failed { reason: format!("the target answered {status}{hint}"), log: log(body) }
}

fn success(
    status: StatusCode,
    body: &str,
    target: &WebhookTarget,
    asked: Asked<'_>,
    log: impl Fn(&str) -> String,
) -> RolloutReport {
    if body.trim().is_empty() && asked == Asked::ToDo {
        return RolloutReport::Complete { log: String::new() };
    }
    // A page of some proxy must not count as success.
    let Ok(answer) = serde_json::from_str::<Answer>(body) else {
        let reason = format!(
            "the target answered {status} without a `state` of `Complete`, `Running` or `Failed`"
        );
        return RolloutReport::Failed { reason, log: log(body) };
    };
    match (answer.state, answer.status_url) {
        (State::Complete, _) => RolloutReport::Complete { log: log(&answer.message) },
        (State::Failed, _) => {
            let message = log(&answer.message);
            let reason =
                if message.is_empty() { "the target says that it failed".into() } else { message };
            RolloutReport::Failed { reason, log: String::new() }
        }
        (State::Running, Some(status_url)) => match target.url.join(&status_url) {
            Ok(url) if ["http", "https"].contains(&url.scheme()) => {
                RolloutReport::Running { status_url: url.into() }
            }
            Ok(_) | Err(_) => {
                let reason = format!(
                    "the target answered `Running` with `{status_url}`, which is no address"
                );
                RolloutReport::Failed { reason: log(&reason), log: String::new() }
            }
        },
        (State::Running, None) => match asked {
            // The address that was just asked stays good.
            Asked::HowItGoes(url) => RolloutReport::Running { status_url: url.to_owned() },
            Asked::ToDo => RolloutReport::Failed {
                reason: "the target answered `Running` without a `statusUrl` to ask".into(),
                log: log(&answer.message),
            },
        },
    }
}

/// Reads what counts of a body.
async fn body(response: Response) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let room = limits::TARGET_ANSWER_BYTES_MAX - body.len();
        let chunk = chunk?;
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() >= room {
            break;
        }
    }
    Ok(body)
}

/// Seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default()
        }
    };
    Some(wait.min(limits::TARGET_RETRY_AFTER_MAX))
}

/// An error with its causes and without the address, which may hold a token.
fn failure(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing into a string does not fail.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
