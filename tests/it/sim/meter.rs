//! The registry that counts: what it is asked, and whether that is more than it takes.

use std::time::Duration;

use tidegate::action::{
    Action, Allowance, ImportFailure, Requests, Resolution, Spent, SpentBy, Told,
};
use tidegate::names::Account;
use tidegate::policy::{Counted, RateLimit};
use tidegate::time::Monotonic;

use super::rng::Rng;

/// Its host.
pub(crate) const HOST: &str = "r1.io";

/// What it counted.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) limit: Option<RateLimit>,
    /// Whether it tells in its headers what is left.
    tells: bool,
    counted: Vec<(Monotonic, u64)>,
    /// When the wall clock was set ahead or records were lost: a start then knows of less, and nobody can know better.
    pub(crate) unsure: Option<Monotonic>,
}

impl Meter {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let window = Duration::from_secs(600);
        let (requests, counted) = match rng.below(4) {
            0 => (16, Counted::Manifests),
            1 => (80, Counted::All),
            _ => return Self::default(),
        };
        let reserve = Some(requests / 8);
        let limit = RateLimit { requests, window, counted, reserve, assumed: rng.one_in(2) };
        Self { limit: Some(limit), tells: rng.one_in(2), ..Self::default() }
    }

    /// Counts what a check is answered; where that is more than it may ask, it is not answered.
    pub(crate) fn check(
        &mut self,
        now: Monotonic,
        allowance: Option<Allowance>,
        answer: Result<Resolution, ImportFailure>,
    ) -> (Result<Resolution, ImportFailure>, Spent) {
        let read = match &answer {
            // One to three manifests: an image, one in an index, one with another that is looked at.
            Ok(Resolution { image: Some(image), .. }) => {
                1 + u64::from(image.digest.to_string().bytes().last().unwrap_or(0)) % 3
            }
            Ok(_) | Err(_) => 0,
        };
        let requests = Requests { head: 1, manifests: read, others: read };
        let Some(limit) = self.limit else {
            assert_eq!(allowance, None, "nobody counts");
            return (answer, self.spend(now, requests, false));
        };
        let allowed = allowance.expect("a registry that counts is asked for so much and no more");
        if limit.counted.of(requests) <= allowed.requests {
            return (answer, self.spend(now, requests, false));
        }
        let requests = match limit.counted {
            Counted::Manifests => Requests { head: 1, manifests: allowed.requests, others: 0 },
            Counted::All => Requests { head: 1, manifests: allowed.requests - 1, others: 0 },
        };
        let answer = answer.map(|answer| Resolution { image: None, ..answer });
        (answer, self.spend(now, requests, true))
    }

    /// Counts a page of a list.
    pub(crate) fn list(&mut self, now: Monotonic) -> Spent {
        self.spend(now, Requests { others: 1, ..Requests::default() }, false)
    }

    /// Counts what a process may have asked that ended before it knew.
    pub(crate) fn lost(&mut self, now: Monotonic, action: &Action) {
        let allowed = match action {
            Action::Resolve(request) if request.check.image.registry_host() == HOST => {
                request.allowance.map_or(0, |allowance| allowance.requests)
            }
            Action::List(request) if request.repository.registry_host() == HOST => 1,
            _ => 0,
        };
        match self.limit.map(|limit| limit.counted) {
            Some(Counted::Manifests) if matches!(action, Action::List(_)) => {}
            Some(_) => self.count(now, allowed),
            None => {}
        }
    }

    fn spend(&mut self, now: Monotonic, requests: Requests, short: bool) -> Spent {
        let account = Account { host: HOST.to_owned(), user: None };
        let Some(limit) = self.limit else {
            return Spent { by: vec![SpentBy { account, requests, told: None }], short };
        };
        self.count(now, limit.counted.of(requests));
        let told = Told {
            limit: Some(limit.requests),
            window: Some(limit.window),
            remaining: limit.requests.saturating_sub(self.within(now, limit.window)),
            resets: None,
        };
        let told = self.tells.then_some(told);
        Spent { by: vec![SpentBy { account, requests, told }], short }
    }

    fn within(&self, now: Monotonic, window: Duration) -> u64 {
        let counted = self.counted.iter().filter(|(at, _)| at.after(window) > now);
        counted.map(|(_, requests)| requests).sum()
    }

    fn count(&mut self, now: Monotonic, requests: u64) {
        let Some(limit) = self.limit else { return };
        self.counted.push((now, requests));
        let sure = self.unsure.is_none_or(|at| at.after(limit.window * 2) < now);
        let (asked, most) = (self.within(now, limit.window), limit.requests - limit.reserved());
        assert!(
            !sure || asked <= most,
            "{HOST} was asked {asked} times in one window, {most} may be"
        );
    }
}
