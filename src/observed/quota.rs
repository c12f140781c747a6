//! What was asked of registries that count it: what the journal proves of it, and what this process knows beside that.
//!
//! Requests are counted in slots, a part of the window each, that count until their last request is older than the
//! window. A slot is set aside in the journal before it is spent, so that a start never knows of less than was asked:
//! it takes what was set aside for spent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::{Requests, SpentBy, Told};
use crate::fact::{Checkpoint, QuotaMark};
use crate::names::Account;
use crate::policy::{Counted, RateLimit};
use crate::time::{Monotonic, Now, Timestamp};

/// Slots in a window.
const SLOTS: u32 = 32;

/// Slots that are remembered of each account: more than a window has, where clocks are set back.
const SLOTS_MAX: usize = 2 * SLOTS as usize;

/// Parts of a limit that are set aside at once, so that not each request is a record of its own.
const SHARES: u64 = 64;

/// What a registry told counts for this part of its window, and at least for [`TOLD_FOR`].
const TOLD_PARTS: u32 = 24;

/// The least time for which a registry is believed.
pub const TOLD_FOR: Duration = Duration::from_secs(60);

/// Accounts that are remembered; a registry that tells of more is asked as if it had said nothing.
const ACCOUNTS_MAX: usize = 1_000;

/// What the journal proves.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Quota {
    /// Requests set aside, by account and by the beginning of their slot.
    #[serde(default)]
    pub slots: BTreeMap<Account, BTreeMap<Timestamp, u64>>,
    /// Registries that asked to be left alone.
    #[serde(default)]
    pub resting: BTreeMap<String, Resting>,
}

/// A registry that asked to be left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Resting {
    /// When it asked.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Resting {
    /// How long that is from `now` on. What a clock noted that was ahead is no longer than it was then.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Duration {
        self.until.since(now).min(self.until.since(self.since))
    }
}

impl Quota {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.resting.is_empty()
    }

    pub(super) fn apply(&mut self, checkpoint: &Checkpoint, at: Timestamp) {
        for QuotaMark { account, since, requests } in &checkpoint.quota {
            let slots = self.slots.entry(account.clone()).or_default();
            match requests {
                0 => slots.remove(since),
                requests => slots.insert(*since, *requests),
            };
            // Where the clock was set back, the youngest are not the last.
            let distance = |since: &Timestamp| since.since(at).max(at.since(*since));
            while slots.len() > SLOTS_MAX
                && let Some(far) = slots.keys().copied().max_by_key(distance)
            {
                slots.remove(&far);
            }
        }
        self.resting.retain(|_, resting| resting.until > at);
        let resting = checkpoint.resting.iter();
        let resting =
            resting.map(|(host, until)| (host.clone(), Resting { since: at, until: *until }));
        self.resting.extend(resting);
    }
}

/// What this process knows of every account.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Ledger {
    accounts: BTreeMap<Account, Page>,
    /// The account that a repository was asked in last, where it is not the host's without a login.
    payers: BTreeMap<(String, String), Account>,
}

/// What is known of one account.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    slots: Vec<Slot>,
    /// Requests that actions in flight may make.
    in_flight: u64,
    told: Option<ToldAt>,
    /// All that this process asked.
    pub asked: Requests,
}

/// What was asked in a part of the window.
#[derive(Clone, PartialEq, Debug)]
struct Slot {
    since: Timestamp,
    /// Until when requests are counted here.
    closes: Monotonic,
    /// From when they do not count any more.
    expires: Monotonic,
    requests: u64,
    /// What the journal says of it.
    set_aside: u64,
}

/// What a registry told, and when.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ToldAt {
    /// What it told.
    pub told: Told,
    /// When, for people.
    pub wall: Timestamp,
    at: Monotonic,
}

impl ToldAt {
    /// Until when that is believed.
    fn until(&self) -> Monotonic {
        let window =
            self.told.window.map_or(TOLD_FOR, |window| (window / TOLD_PARTS).max(TOLD_FOR));
        let resets = self.told.resets.filter(|resets| !resets.is_zero()).unwrap_or(window);
        self.at.after(resets.min(window))
    }
}

impl Page {
    /// What the registry told last.
    #[must_use]
    pub fn told(&self) -> Option<&ToldAt> {
        self.told.as_ref()
    }

    /// Requests that count now, those set aside by processes before this one included.
    #[must_use]
    pub fn counted(&self, now: Monotonic) -> u64 {
        self.slots.iter().filter(|slot| slot.expires > now).map(|slot| slot.requests).sum()
    }

    /// The limit: what the registry told of it where it is only assumed, or where no setting says anything.
    #[must_use]
    pub fn limit(&self, limit: Option<&RateLimit>) -> Option<RateLimit> {
        let told = self.told.as_ref().map(|told| told.told);
        let told = told.and_then(|told| {
            let requests = told.limit.filter(|limit| *limit > 0)?;
            Some((requests, told.window.or(told.resets).unwrap_or(TOLD_FOR)))
        });
        match (limit, told) {
            (Some(limit), Some((requests, window))) if limit.assumed => {
                Some(RateLimit { requests, window, ..*limit })
            }
            (Some(limit), _) => Some(*limit),
            (None, Some((requests, window))) => {
                let counted = counted(None);
                Some(RateLimit { requests, window, counted, reserve: None, assumed: true })
            }
            (None, None) => None,
        }
    }

    /// How many requests may be made now.
    fn room(&self, setting: Option<&RateLimit>, now: Monotonic) -> u64 {
        let Some(limit) = self.limit(setting) else { return u64::MAX };
        // What a registry counts that only tells what is left, nobody knows: it is believed.
        let ours = match setting {
            Some(_) => limit.requests.saturating_sub(self.counted(now)),
            None => u64::MAX,
        };
        let told = self.told.filter(|told| told.until() > now);
        let theirs = told.map_or(u64::MAX, |told| told.told.remaining);
        ours.min(theirs).saturating_sub(limit.reserved()).saturating_sub(self.in_flight)
    }

    /// When there may be room for so many requests, if time alone makes it.
    fn opens_at(
        &self,
        limit: Option<&RateLimit>,
        requests: u64,
        now: Monotonic,
    ) -> Option<Monotonic> {
        let told = self.told.map(|told| told.until());
        let slots = self.slots.iter().map(|slot| slot.expires);
        let mut times: Vec<_> = slots.chain(told).filter(|at| *at > now).collect();
        times.sort_unstable();
        times.into_iter().find(|at| self.room(limit, *at) >= requests)
    }

    fn slot(&mut self, window: Duration, now: Now) -> &mut Slot {
        self.slots.retain(|slot| slot.expires > now.mono);
        if let Some(at) = self.slots.iter().rposition(|slot| slot.closes > now.mono) {
            let open = self.slots.swap_remove(at);
            self.slots.push(open);
        } else {
            let closes = now.mono.after(window / SLOTS);
            let since = now.wall;
            let (expires, requests, set_aside) = (closes.after(window), 0, 0);
            self.slots.push(Slot { since, closes, expires, requests, set_aside });
        }
        #[expect(clippy::expect_used, reason = "one was pushed")]
        self.slots.last_mut().expect("one was pushed")
    }

    /// Takes over what the journal has of a slot.
    fn inherit(&mut self, (since, requests): (Timestamp, u64), window: Duration, now: Now) {
        let age = now.wall.since(since);
        let left = (window / SLOTS).saturating_sub(age);
        let expires = (window / SLOTS + window).saturating_sub(age);
        if !expires.is_zero() {
            let (closes, expires) = (now.mono.after(left), now.mono.after(expires));
            self.slots.push(Slot { since, closes, expires, requests, set_aside: requests });
        }
    }

    /// When the slot closes that is open.
    fn closes_at(&self) -> Option<Monotonic> {
        self.slots.iter().map(|slot| slot.closes).max()
    }

    /// What the journal has to be told before more is asked; nothing where it knows of enough.
    fn mark(&mut self, setting: Option<&RateLimit>, now: Now) -> Option<(Timestamp, u64)> {
        let limit = self.limit(Some(setting?))?;
        let in_flight = self.in_flight;
        let slot = self.slot(limit.window, now);
        let wanted = slot.requests + in_flight;
        if wanted <= slot.set_aside {
            return None;
        }
        slot.set_aside = wanted + limit.requests / SHARES;
        Some((slot.since, slot.set_aside))
    }
}

impl Ledger {
    /// Begins with what the journal proves; returns what it has to be told beside that.
    ///
    /// What a clock noted that was ahead counts from now on, and the journal is told so: else it would at each start.
    #[must_use]
    pub fn begin(
        quota: &Quota,
        limit: impl Fn(&Account) -> Option<RateLimit>,
        now: Now,
    ) -> (Self, Vec<QuotaMark>) {
        let (mut ledger, mut marks) = (Self::default(), Vec::new());
        for (account, slots) in &quota.slots {
            let Some(limit) = limit(account) else { continue };
            let page = ledger.accounts.entry(account.clone()).or_default();
            let mark = |since, requests| QuotaMark { account: account.clone(), since, requests };
            for (since, requests) in slots.iter().filter(|(since, _)| **since <= now.wall) {
                page.inherit((*since, *requests), limit.window, now);
            }
            let ahead = slots.iter().filter(|(since, _)| **since > now.wall);
            let sum: u64 = ahead.clone().map(|(_, requests)| *requests).sum();
            marks.extend(ahead.map(|(since, _)| mark(*since, 0)));
            if sum > 0 {
                let slot = page.slot(limit.window, now);
                slot.requests += sum;
                slot.set_aside = slot.requests;
                marks.push(mark(slot.since, slot.requests));
            }
        }
        (ledger, marks)
    }

    /// Every account that anything is known of.
    pub fn pages(&self) -> impl Iterator<Item = (&Account, &Page)> {
        self.accounts.iter()
    }

    /// The account that a repository is asked in, as far as is known.
    #[must_use]
    pub fn payer(&self, host: &str, repository: &str) -> Account {
        let known = self.payers.get(&(host.to_owned(), repository.to_owned()));
        // Of a registry that was not asked yet: the account that has most on it, so that none is overdrawn.
        let busiest = || {
            let pages = self.accounts.iter().filter(|(account, _)| account.host == host);
            let counted = |page: &Page| page.slots.iter().map(|slot| slot.requests).sum::<u64>();
            let busiest = pages.max_by_key(|(_, page)| (counted(page), page.told.is_some()));
            busiest.map(|(account, _)| account.clone())
        };
        let open = || Account { host: host.to_owned(), user: None };
        known.cloned().or_else(busiest).unwrap_or_else(open)
    }

    /// The limit of an account: what the registry told of it where it is only assumed, or where no setting says anything.
    #[must_use]
    pub fn limit(&self, account: &Account, setting: Option<&RateLimit>) -> Option<RateLimit> {
        match self.accounts.get(account) {
            Some(page) => page.limit(setting),
            None => setting.copied(),
        }
    }

    /// How many requests may be made in the name of an account now.
    #[must_use]
    pub fn room(&self, account: &Account, limit: Option<&RateLimit>, now: Monotonic) -> u64 {
        let page = self.accounts.get(account);
        let unused = || limit.map_or(u64::MAX, |limit| limit.requests - limit.reserved());
        page.map_or_else(unused, |page| page.room(limit, now))
    }

    /// When there may be room for so many requests, if time alone makes it.
    #[must_use]
    pub fn opens_at(
        &self,
        account: &Account,
        limit: Option<&RateLimit>,
        requests: u64,
        now: Monotonic,
    ) -> Option<Monotonic> {
        self.accounts.get(account)?.opens_at(limit, requests, now)
    }

    /// Lets an action make so many requests; returns what the journal has to be told before.
    #[must_use]
    pub fn take(
        &mut self,
        account: &Account,
        limit: Option<&RateLimit>,
        requests: u64,
        now: Now,
    ) -> Option<QuotaMark> {
        let page = self.page(account)?;
        page.in_flight += requests;
        Self::mark(account, page, limit, now)
    }

    /// Takes back what an action that ended was let make.
    pub fn give_back(&mut self, account: &Account, requests: u64) {
        if let Some(page) = self.accounts.get_mut(account) {
            page.in_flight = page.in_flight.saturating_sub(requests);
        }
    }

    /// Notes what was asked; returns what the journal has to be told, where more was asked than it knows of.
    pub fn spent(
        &mut self,
        spent: &SpentBy,
        limit: Option<&RateLimit>,
        now: Now,
    ) -> Option<QuotaMark> {
        let SpentBy { account, requests, told } = spent;
        let page = self.page(account)?;
        page.asked.add(*requests);
        if let Some(told) = told {
            page.told = Some(ToldAt { told: *told, wall: now.wall, at: now.mono });
        }
        let counts = page.limit(Some(limit?))?;
        page.slot(counts.window, now).requests += counts.counted.of(*requests);
        Self::mark(account, page, limit, now)
    }

    fn mark(
        account: &Account,
        page: &mut Page,
        limit: Option<&RateLimit>,
        now: Now,
    ) -> Option<QuotaMark> {
        let (since, requests) = page.mark(limit, now)?;
        Some(QuotaMark { account: account.clone(), since, requests })
    }

    /// Notes in whose name a repository was asked.
    pub fn paid(&mut self, host: &str, repository: &str, account: &Account) {
        let of = (host.to_owned(), repository.to_owned());
        if account.user.is_none() && account.host == host {
            self.payers.remove(&of);
        } else {
            self.payers.insert(of, account.clone());
        }
    }

    /// What the journal is told as time passes: what is in flight may be asked at any time until it ends.
    pub fn renew(
        &mut self,
        limit: impl Fn(&Account) -> Option<RateLimit>,
        now: Now,
    ) -> Vec<QuotaMark> {
        let mut marks = Vec::new();
        for (account, page) in &mut self.accounts {
            if page.in_flight > 0 && page.closes_at().is_none_or(|at| at <= now.mono) {
                marks.extend(Self::mark(account, page, limit(account).as_ref(), now));
            }
        }
        marks
    }

    /// When that is next.
    #[must_use]
    pub fn renews_at(&self, now: Monotonic) -> Option<Monotonic> {
        let busy = self.accounts.values().filter(|page| page.in_flight > 0);
        busy.filter_map(Page::closes_at).filter(|at| *at > now).min()
    }

    /// What the journal is told at the end: what was set aside and not asked is given back.
    pub fn close(&mut self) -> Vec<QuotaMark> {
        let mut marks = Vec::new();
        for (account, page) in &mut self.accounts {
            let in_flight = page.in_flight;
            if let Some(slot) = page.slots.last_mut()
                && slot.requests + in_flight < slot.set_aside
            {
                slot.set_aside = slot.requests + in_flight;
                let (since, requests) = (slot.since, slot.set_aside);
                marks.push(QuotaMark { account: account.clone(), since, requests });
            }
        }
        marks
    }

    fn page(&mut self, account: &Account) -> Option<&mut Page> {
        if !self.accounts.contains_key(account) && self.accounts.len() >= ACCOUNTS_MAX {
            return None;
        }
        Some(self.accounts.entry(account.clone()).or_default())
    }
}

/// How requests of an account are counted where no setting says it.
#[must_use]
pub fn counted(limit: Option<&RateLimit>) -> Counted {
    limit.map_or(Counted::All, |limit| limit.counted)
}
