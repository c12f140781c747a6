//! How many requests a registry takes, as its operator says it or the settings do: `100/6h`; and how often it is asked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::action::{ImportMode, Requests};
use crate::reference::{HUB_V2_HOST, is_docker_hub};
use crate::time::Span;

/// `GET`s of manifests for a new image: what the tag names, and the image of this platform in it.
const MANIFESTS_OF_AN_IMAGE: u64 = 2;

/// The same where an index is kept whole: itself and as many images as most have.
const MANIFESTS_OF_AN_INDEX: u64 = 8;

/// What counts towards a limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Counted {
    /// `GET` of manifests, as Docker Hub counts: a `HEAD` is free.
    #[default]
    Manifests,
    /// Every request.
    All,
}

impl Counted {
    /// How many of these requests count.
    #[must_use]
    pub fn of(self, requests: Requests) -> u64 {
        match self {
            Self::Manifests => requests.manifests,
            Self::All => requests.total(),
        }
    }

    /// What looking costs, where a tag has not moved.
    #[must_use]
    pub fn of_a_look(self) -> u64 {
        self.of(Requests { head: 1, ..Requests::default() })
    }

    /// What reading a new image costs, at most for nearly all; where it is more, more is asked for.
    #[must_use]
    pub fn of_a_read(self, mode: ImportMode) -> u64 {
        let manifests = match mode {
            ImportMode::Legacy => MANIFESTS_OF_AN_IMAGE,
            ImportMode::PreserveOriginal => MANIFESTS_OF_AN_INDEX,
        };
        // A config for each image, and a session.
        self.of(Requests { head: 1, manifests, others: manifests + 1 })
    }

    /// What a page of a list costs.
    #[must_use]
    pub fn of_a_list(self) -> u64 {
        self.of(Requests { others: 1, ..Requests::default() })
    }
}

/// So many requests in so much time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// Requests that count.
    pub requests: u64,
    /// In any time of this length.
    pub window: Duration,
    /// What counts.
    pub counted: Counted,
    /// What checks leave for the pulls of rollouts; none is a fifth.
    pub reserve: Option<u64>,
    /// Whether it is only assumed: what the registry tells is then believed, in place of the least of both.
    pub assumed: bool,
}

impl RateLimit {
    /// The limit of Docker Hub without a login, as its headers told in 2026: `ratelimit-limit: 100;w=21600`.
    pub const DOCKER_HUB: Self = Self {
        requests: 100,
        window: Duration::from_secs(6 * 60 * 60),
        counted: Counted::Manifests,
        reserve: None,
        assumed: true,
    };

    /// What checks leave for the pulls of rollouts.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.reserve.unwrap_or(self.requests / 5).min(self.requests.saturating_sub(1))
    }
}

/// It is not a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a limit is a number of requests and a time, like \"100/6h\"")]
pub struct RateLimitError;

impl FromStr for RateLimit {
    type Err = RateLimitError;

    fn from_str(text: &str) -> Result<Self, RateLimitError> {
        let (requests, window) = text.split_once('/').ok_or(RateLimitError)?;
        let requests = requests.trim().parse().map_err(|_| RateLimitError)?;
        let Span(window) = window.trim().parse().map_err(|_| RateLimitError)?;
        let counted = Counted::default();
        let limit = Self { requests, window, counted, reserve: None, assumed: false };
        if requests > 0 && !window.is_zero() { Ok(limit) } else { Err(RateLimitError) }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.requests, Span(self.window))
    }
}

/// The host that a setting for a registry is about: Docker Hub has several names and one limit.
#[must_use]
pub fn limited_host(registry: &str) -> &str {
    if is_docker_hub(registry) { HUB_V2_HOST } else { registry }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_and_a_time() {
        let limit: RateLimit = "200/6h".parse().unwrap();
        assert_eq!((limit.requests, limit.window.as_secs()), (200, 21_600));
        assert_eq!(limit.to_string(), "200/6h");
        for wrong in ["", "100", "100/", "/6h", "0/6h", "100/0s", "-1/6h", "100/6", "100/6h/2"] {
            assert!(wrong.parse::<RateLimit>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn docker_hub_is_one_registry() {
        for name in ["docker.io", "index.docker.io", "registry-1.docker.io"] {
            assert_eq!(limited_host(name), HUB_V2_HOST);
        }
        assert_eq!(limited_host("quay.io"), "quay.io");
    }
}
