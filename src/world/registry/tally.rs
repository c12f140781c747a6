//! What one action asks of registries, counted where it is sent, and what they tell of their limits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};

use super::wire::Answer;
use crate::action::{Allowance, Requests, Spent, SpentBy, Told};
use crate::limits;
use crate::names::Account;

/// What an action asked so far.
#[derive(Default)]
pub struct Tally {
    allowance: Option<Allowance>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    by: Vec<SpentBy>,
    /// Requests that count, those under way included.
    used: u64,
    short: bool,
}

/// A request as registries count it; below `/v2/`.
fn kind_of(method: &Method, path: &str) -> Requests {
    let mut kind = Requests::default();
    let of_manifest = path.contains("/manifests/");
    match *method {
        Method::HEAD if of_manifest => kind.head = 1,
        Method::GET if of_manifest => kind.manifests = 1,
        _ => kind.others = 1,
    }
    kind
}

impl Tally {
    /// Begins with what may be asked.
    #[must_use]
    pub fn new(allowance: Option<Allowance>) -> Self {
        Self { allowance, memory: Mutex::default() }
    }

    /// Whether a request may still be made of a host.
    pub(super) fn allows(&self, host: &str, method: &Method, path: &str) -> bool {
        let Some(Allowance { requests, leave, counted }) = self.allowance else { return true };
        let counts = counted.of(kind_of(method, path));
        if counts == 0 {
            return true;
        }
        let mut memory = self.memory();
        let told = memory.by.iter().rev().filter(|by| by.account.host == host);
        let told = told.clone().find_map(|by| by.told);
        let is_left = told.is_none_or(|told| told.remaining > leave);
        if memory.used + counts > requests || !is_left {
            memory.short = true;
            return false;
        }
        memory.used += counts;
        true
    }

    /// Whether something was not asked because it was not allowed.
    pub(super) fn is_short(&self) -> bool {
        self.memory().short
    }

    /// Notes a request that was answered.
    pub(super) fn note(
        &self,
        (host, user): (&str, Option<&str>),
        (method, path): (&Method, &str),
        answer: &Answer,
    ) {
        // What was refused before anything was looked at is not counted as a pull.
        let refused = [StatusCode::UNAUTHORIZED, StatusCode::TOO_MANY_REQUESTS];
        let requests = match refused.contains(&answer.status) {
            true => Requests { others: 1, ..Requests::default() },
            false => kind_of(method, path),
        };
        let account = Account { host: host.to_owned(), user: user.map(str::to_owned) };
        let told = told(answer);
        let mut memory = self.memory();
        let known = memory.by.iter().position(|by| by.account == account);
        let mut by = match known {
            Some(at) => memory.by.remove(at),
            None => SpentBy { account, requests: Requests::default(), told: None },
        };
        by.requests.add(requests);
        by.told = told.or(by.told);
        memory.by.push(by); // the one that was asked last stands last
    }

    /// What was asked.
    #[must_use]
    pub fn spent(self) -> Spent {
        let Memory { by, short, .. } =
            self.memory.into_inner().unwrap_or_else(PoisonError::into_inner);
        Spent { by, short }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an answer tells of its registry's limit.
///
/// Docker Hub (`ratelimit-remaining: 76;w=21600`), the drafts of `RateLimit` headers up to 06 (`RateLimit-Remaining`,
/// `RateLimit-Reset` in seconds) and from 07 on (`RateLimit: "default";r=50;t=30`), and `X-RateLimit-…` with a time.
pub(super) fn told(answer: &Answer) -> Option<Told> {
    of_fields(answer).or_else(|| of_one_field(answer)).or_else(|| of_own_fields(answer))
}

fn of_fields(answer: &Answer) -> Option<Told> {
    let (remaining, of) = number(answer.header("ratelimit-remaining")?)?;
    let limit = answer.header("ratelimit-limit").and_then(number);
    let window = of.or(limit.and_then(|(_, window)| window));
    let resets = answer.header("ratelimit-reset").and_then(number);
    let resets = resets.map(|(seconds, _)| seconds_of(seconds));
    Some(Told { limit: limit.map(|(limit, _)| limit), window, remaining, resets })
}

/// `"policy";r=50;t=30`, with `RateLimit-Policy: "policy";q=100;w=60`; draft 03 to 06 of one field: `limit=100,
/// remaining=50, reset=5`.
fn of_one_field(answer: &Answer) -> Option<Told> {
    let value = answer.header("ratelimit")?;
    let policy = answer.header("ratelimit-policy").unwrap_or_default();
    let of = |text: &str, name: &str| parameter(text, name);
    let remaining = of(value, "r").or_else(|| of(value, "remaining"))?;
    let resets = of(value, "t").or_else(|| of(value, "reset")).map(seconds_of);
    let limit = of(value, "limit").or_else(|| of(policy, "q")).or_else(|| Some(number(policy)?.0));
    Some(Told { limit, window: of(policy, "w").map(seconds_of), remaining, resets })
}

fn of_own_fields(answer: &Answer) -> Option<Told> {
    let (remaining, _) = number(answer.header("x-ratelimit-remaining")?)?;
    let limit = answer.header("x-ratelimit-limit").and_then(number).map(|(limit, _)| limit);
    // Either a time or seconds from now: the registry's own clock tells which.
    let resets = answer.header("x-ratelimit-reset").and_then(number).map(|(reset, _)| {
        let now = answer.date().unwrap_or(0);
        seconds_of(if reset > 1_000_000_000 { reset.saturating_sub(now) } else { reset })
    });
    Some(Told { limit, window: None, remaining, resets })
}

/// The number at the beginning of a field, and the window behind it.
fn number(text: &str) -> Option<(u64, Option<Duration>)> {
    let first = text.split(',').next()?;
    let number = first.split(';').next()?.trim().parse().ok()?;
    Some((number, parameter(first, "w").map(seconds_of)))
}

/// A parameter of a field, whatever separates them.
fn parameter(text: &str, name: &str) -> Option<u64> {
    let mut parameters = text.split([';', ',']).filter_map(|part| part.split_once('='));
    let (_, value) = parameters.find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    value.trim().parse().ok()
}

/// No registry counts for longer than that.
fn seconds_of(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(limits::REGISTRY_WINDOW_MAX)
}

/// What becomes of the fields of an answer; see `untrusted`.
pub(super) fn read_untrusted(answer: &Answer) -> String {
    format!("{:?}", told(answer))
}

#[cfg(test)]
mod tests {
    use super::super::wire::testing::answer;
    use super::*;
    use crate::policy::Counted;

    fn of(headers: &[(&'static str, &str)]) -> Option<Told> {
        told(&answer(headers, ""))
    }

    /// Spans in seconds.
    fn told_of(
        limit: Option<u64>,
        window: Option<u64>,
        remaining: u64,
        resets: Option<u64>,
    ) -> Option<Told> {
        let [window, resets] = [window, resets].map(|span| span.map(Duration::from_secs));
        Some(Told { limit, window, remaining, resets })
    }

    #[test]
    fn what_is_left_is_read_in_every_form_that_registries_use() {
        let hub = [("ratelimit-limit", "100;w=21600"), ("ratelimit-remaining", "76;w=21600")];
        assert_eq!(of(&hub), told_of(Some(100), Some(21_600), 76, None));
        let old = [
            ("ratelimit-limit", "60, 60;w=60"),
            ("ratelimit-remaining", "59"),
            ("ratelimit-reset", "7"),
        ];
        assert_eq!(of(&old), told_of(Some(60), None, 59, Some(7)));
        let one = [("ratelimit", "limit=100, remaining=50, reset=5")];
        assert_eq!(of(&one), told_of(Some(100), None, 50, Some(5)));
        let new = [
            ("ratelimit", "\"default\";r=50;t=30"),
            ("ratelimit-policy", "\"default\";q=100;w=60"),
        ];
        assert_eq!(of(&new), told_of(Some(100), Some(60), 50, Some(30)));
        let own = [
            ("date", "Sat, 21 Nov 2026 10:00:00 GMT"),
            ("x-ratelimit-limit", "5000"),
            ("x-ratelimit-remaining", "4999"),
            ("x-ratelimit-reset", "1795255230"),
        ];
        assert_eq!(of(&own), told_of(Some(5000), None, 4999, Some(30)));
        for nothing in [&[][..], &[("ratelimit-limit", "100;w=21600")], &[("ratelimit", "?")]] {
            assert_eq!(of(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn no_more_is_asked_than_is_allowed_and_than_the_registry_has_left() {
        let allowance = |requests, leave| {
            let counted = Counted::Manifests;
            Tally::new(Some(Allowance { requests, leave, counted }))
        };
        let ask = |tally: &Tally, method: Method| tally.allows("r", &method, "web/manifests/1");
        let two = allowance(2, 0);
        assert!(ask(&two, Method::HEAD) && ask(&two, Method::GET) && ask(&two, Method::GET));
        assert!(!ask(&two, Method::GET) && two.is_short());
        assert!(two.allows("r", &Method::GET, "web/blobs/sha256:0"), "a config is not counted");
        let left = allowance(2, 20);
        let told = answer(&[("ratelimit-remaining", "20;w=21600")], "");
        left.note(("r", None), (&Method::HEAD, "web/manifests/1"), &told);
        assert!(!ask(&left, Method::GET), "the rest is for pulls");
        assert!(left.allows("mirror", &Method::GET, "web/manifests/1"), "it said nothing");
    }

    #[test]
    fn what_was_asked_is_told_by_account_the_last_one_at_the_end() {
        let tally = Tally::default();
        let ok = Answer::new(StatusCode::OK, Default::default(), Vec::new());
        tally.note(("a", None), (&Method::HEAD, "web/manifests/1"), &ok);
        tally.note(("b", Some("bob")), (&Method::GET, "web/manifests/1"), &ok);
        tally.note(("a", None), (&Method::GET, "web/blobs/x"), &ok);
        let by: Vec<_> =
            tally.spent().by.iter().map(|by| (by.account.to_string(), by.requests)).collect();
        let requests = |head, manifests, others| Requests { head, manifests, others };
        let expected =
            [("bob@b".to_owned(), requests(0, 1, 0)), ("a".to_owned(), requests(1, 0, 1))];
        assert_eq!(by, expected);
    }
}
