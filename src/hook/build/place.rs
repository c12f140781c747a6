//! The addresses of webhooks of `BuildConfig`s (rule B18).

use super::shown;
use crate::fact::WebhookKind;

/// Where these addresses begin: the API of today, and that of OpenShift 3.
const ROOTS: [&str; 2] = ["/apis/build.openshift.io/v1/namespaces/", "/oapi/v1/namespaces/"];

/// What an address asks for. It has no `Debug`: it may hold a secret (law 10).
#[derive(Clone, PartialEq, Eq)]
pub enum Asked {
    /// A webhook.
    Hook(Place),
    /// It has not the number of parts that it needs; what stands behind `webhooks/`.
    Subpath(String),
    /// A type that there is not.
    Type(String),
}

/// The address of a webhook, nothing of it believed.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The `BuildConfig`.
    pub name: String,
    /// The secret; none where it was left out, for a sender that signs (rule B25).
    pub secret: Option<Vec<u8>>,
    /// The type.
    pub kind: WebhookKind,
}

/// Reads the path of a request; none where it is not below `webhooks` of a `BuildConfig`.
#[must_use]
pub fn place(path: &str) -> Option<Asked> {
    let rest = ROOTS.iter().find_map(|root| path.strip_prefix(root))?;
    let parts: Vec<_> = rest.split('/').collect();
    let [namespace, "buildconfigs", name, "webhooks", hook @ ..] = parts.as_slice() else {
        return None;
    };
    let text = |part: &str| String::from_utf8_lossy(&decoded(part)).into_owned();
    let (secret, kind) = match hook {
        [secret, kind] => (Some(decoded(secret)), text(kind)),
        [kind] if kind_of(&text(kind)).is_some() => (None, text(kind)),
        _ => return Some(Asked::Subpath(shown(&text(&hook.join("/"))))),
    };
    let Some(kind) = kind_of(&kind) else { return Some(Asked::Type(shown(&kind))) };
    Some(Asked::Hook(Place { namespace: text(namespace), name: text(name), secret, kind }))
}

/// The type that a word of an address names.
#[must_use]
pub fn kind_of(text: &str) -> Option<WebhookKind> {
    KINDS.into_iter().find(|kind| word(*kind) == text)
}

const KINDS: [WebhookKind; 4] =
    [WebhookKind::GitHub, WebhookKind::GitLab, WebhookKind::Bitbucket, WebhookKind::Generic];

/// The word of an address that names a type.
#[must_use]
pub fn word(kind: WebhookKind) -> &'static str {
    match kind {
        WebhookKind::GitHub => "github",
        WebhookKind::GitLab => "gitlab",
        WebhookKind::Bitbucket => "bitbucket",
        WebhookKind::Generic => "generic",
    }
}

/// A part of a path without its percents; what is none of them stays as it is.
fn decoded(part: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        let pair = (*first == b'%').then(|| digit(rest.first()).zip(digit(rest.get(1)))).flatten();
        match pair.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(byte) => {
                out.push(byte);
                bytes = rest.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    out
}
