//! Where rollouts go.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::limits;

/// What a target is (`[targets.NAME]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetConfig {
    /// Nothing is done: only the record and the event.
    None,
    /// A program is run.
    Exec(ExecTarget),
    /// An event is posted.
    Webhook(WebhookTarget),
}

impl TargetConfig {
    /// The longest time that one rollout may take there.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        match self {
            Self::None => limits::ROLLOUT_TIMEOUT,
            Self::Exec(exec) => exec.timeout,
            Self::Webhook(webhook) => webhook.timeout,
        }
    }
}

/// A program that is run for each rollout (rule R31).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecTarget {
    /// An absolute path, or a name to look up in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// It is ended after this.
    pub timeout: Duration,
}

/// An address that events are posted to (rule R30).
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// The address.
    pub url: url::Url,
    /// The key of the signature; none means unsigned.
    pub secret: Option<SecretSource>,
    /// Further headers, names in lower case.
    pub headers: BTreeMap<String, Secret>,
    /// One request is given up after this.
    pub timeout: Duration,
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Path and query may hold a token.
        f.debug_struct("WebhookTarget").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// A file that holds a secret, read each time it is needed so that it can be replaced at any time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretSource(pub PathBuf);

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
