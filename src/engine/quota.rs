//! How much registries may be asked: rates, limits that they count, and those that give no answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::action::{
    ActionId, Allowance, Check, ImportFailure, ListRequest, Resolution, ResolveRequest, Spent,
};
use crate::admit::{Scarce, Want};
use crate::fact::{Checkpoint, Fact, ImportReason, QuotaMark, Reason};
use crate::limits::{IMPORT_RETRY_FIRST, REGISTRY_FAILURES_MAX, REGISTRY_REST_MAX};
use crate::names::{Account, Digest, StreamTag};
use crate::observed::quota::TOLD_FOR;
use crate::observed::soft::{Rate, RestSoft, Unread};
use crate::plan::{Key, Step, back_off};
use crate::policy::{Policy, RateLimit, limited_host};
use crate::reference::ImageReference;
use crate::sabotage::{self, Bug};
use crate::time::{Monotonic, Now, Timestamp};

use super::{Batch, Engine, InFlight, registry_of, registry_of_list, registry_of_manifest};

/// What an action in flight may ask of a registry that counts.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Taken {
    account: Account,
    requests: u64,
    /// What was let, also after it was given back.
    allowed: u64,
    knew: Option<Digest>,
    /// Whether that did not suffice.
    short: bool,
    /// What was asked of what was let.
    asked: u64,
}

/// Whether a check ended because what it was allowed did not suffice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Short {
    /// What it was allowed.
    pub(super) allowed: u64,
    /// Whether it asked all of that; else the registry told that it has nothing left, which says nothing of the image.
    pub(super) used_up: bool,
    /// What it knew.
    pub(super) knew: Option<Digest>,
    /// Whether more than that can never be had.
    pub(super) for_ever: bool,
}

impl Short {
    /// How many requests to let it make next, where reading an image takes `read` mostly.
    ///
    /// Where as many did not suffice, it takes more: an index of many images.
    pub(super) fn next(self, read: u64) -> u64 {
        match self.used_up && self.allowed >= read {
            true => self.allowed.saturating_mul(2),
            false => self.allowed.max(read),
        }
    }
}

/// What the journal has to be told of registries before anything is started.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Marks {
    quota: Vec<QuotaMark>,
    resting: Vec<(String, Timestamp)>,
}

impl Marks {
    pub(super) fn of(quota: Vec<QuotaMark>) -> Self {
        Self { quota, resting: Vec::new() }
    }

    /// The last mark of a slot is the one that counts.
    fn push(&mut self, mark: QuotaMark) {
        let is_same = |old: &QuotaMark| old.account == mark.account && old.since == mark.since;
        self.quota.retain(|old| !is_same(old));
        self.quota.push(mark);
    }
}

/// The limit that settings have for an account.
pub(super) fn setting<'a>(policy: &'a Policy, account: &Account) -> Option<&'a RateLimit> {
    policy.registry_limits.get(limited_host(&account.host))
}

/// The time between two things that are done so often in a minute.
fn apart(often: u32) -> Duration {
    Duration::from_secs(60) / often.max(1)
}

/// How many requests an action needs.
struct Needs {
    account: Account,
    requests: u64,
}

impl Engine {
    /// What a step needs of scarce things.
    pub(super) fn wants(&self, step: &Step) -> Vec<Want> {
        let place = |scarce| Want { scarce, amount: 1 };
        match step {
            // What is in force at once takes no place.
            Step::Start { rollout, .. } if rollout.cron.is_some() => Vec::new(),
            Step::Start { .. } | Step::Stop(_) | Step::Scale(_) => vec![place(Scarce::Rollouts)],
            Step::StartBuild(_) => vec![place(Scarce::Builds)],
            Step::DeleteManifest(manifest) => vec![place(registry_of_manifest(manifest))],
            Step::Resolve { check, known, reason } => {
                let needs = self.needs_of_check(check, known.is_some());
                self.wants_of(&check.image, Some(reason), needs, registry_of(check))
            }
            Step::Copy { tag, check, .. } => {
                let needs = self.needs_of_copy(tag, check);
                self.wants_of(&check.image, None, needs, registry_of(check))
            }
            Step::List { request, .. } => {
                let needs = self.needs_of_list(request);
                self.wants_of(&request.repository, None, needs, registry_of_list(request))
            }
            Step::ReadSource
            | Step::Record(_)
            | Step::Deliver(_)
            | Step::TagImages(_)
            | Step::Ask(_)
            | Step::Cancel(_)
            | Step::Finish { .. }
            | Step::DeliverStop(_)
            | Step::DeliverScale(_)
            | Step::DeliverJob(_)
            | Step::CreateBuild { .. }
            | Step::DeliverBuild(_) => Vec::new(),
        }
    }

    fn wants_of(
        &self,
        image: &ImageReference,
        reason: Option<&Reason>,
        needs: Option<Needs>,
        registry: Scarce,
    ) -> Vec<Want> {
        let rates = self.rates_of(image, reason).into_iter();
        let rates = rates.map(|(rate, _)| Want { scarce: Scarce::Rate(rate), amount: 1 });
        let needs = needs.filter(|needs| needs.requests > 0);
        let quota = needs.map(|Needs { account, requests }| Want {
            scarce: Scarce::Quota(account),
            amount: requests,
        });
        rates.chain(quota).chain([Want { scarce: registry, amount: 1 }]).collect()
    }

    /// The rates that a check keeps, with how often a minute.
    fn rates_of(&self, image: &ImageReference, reason: Option<&Reason>) -> Vec<(Rate, u32)> {
        let host = image.registry_host();
        let scheduled =
            self.policy.scheduled_per_minute.map(|often| (Rate::Scheduled, often.get()));
        let scheduled = scheduled.filter(|_| reason == Some(&Reason::ScheduleDue));
        let of_host = self.policy.registry_rates.get(limited_host(&host));
        let of_host = of_host.map(|often| (Rate::Registry(host), often.get()));
        scheduled.into_iter().chain(of_host).collect()
    }

    /// Notes that something was begun that is done at a certain rate.
    fn keep_rates(&mut self, image: &ImageReference, reason: Option<&Reason>, now: Now) {
        for (rate, often) in self.rates_of(image, reason) {
            let at = self.soft.rates.get(&rate).copied().unwrap_or(now.mono).max(now.mono);
            self.soft.rates.insert(rate, at.after(apart(often)));
        }
    }

    /// How much there is of a scarce thing; of places, those that are taken included.
    pub(super) fn room(&self, scarce: &Scarce, now: Now) -> u64 {
        match scarce {
            Scarce::Registry(_) => self.policy.checks_in_flight_max as u64,
            Scarce::Builds => self.policy.builds_in_flight_max as u64,
            Scarce::Rollouts => self.policy.rollouts_in_flight_max as u64,
            Scarce::Quota(account) => {
                let limit = setting(&self.policy, account);
                self.soft.ledger.room(account, limit, now.mono)
            }
            Scarce::Rate(rate) => {
                u64::from(self.rate_opens_at(rate).is_none_or(|at| at <= now.mono))
            }
        }
    }

    /// When something may be done at its rate; none where there is none any more.
    fn rate_opens_at(&self, rate: &Rate) -> Option<Monotonic> {
        let burst = match rate {
            // As many as two minutes have may come at once, as in OpenShift (section 5.2 of the specification).
            Rate::Scheduled => {
                let often = self.policy.scheduled_per_minute?.get();
                apart(often) * often.saturating_mul(2).saturating_sub(1)
            }
            Rate::Registry(host) => {
                self.policy.registry_rates.get(limited_host(host))?;
                Duration::ZERO
            }
        };
        self.soft.rates.get(rate).map(|at| at.before(burst))
    }

    /// When there may be room for the first in each queue that time alone opens.
    pub(super) fn opens_at(&self, now: Now) -> Option<Monotonic> {
        let times = self
            .admission
            .scarce()
            .filter_map(|(scarce, amount)| self.scarce_opens_at(scarce, amount, now));
        times.chain(self.soft.ledger.renews_at(now.mono)).min()
    }

    pub(super) fn scarce_opens_at(
        &self,
        scarce: &Scarce,
        amount: u64,
        now: Now,
    ) -> Option<Monotonic> {
        match scarce {
            Scarce::Quota(account) => {
                let limit = setting(&self.policy, account);
                self.soft.ledger.opens_at(account, limit, amount, now.mono)
            }
            Scarce::Rate(rate) => self.rate_opens_at(rate),
            Scarce::Registry(_) | Scarce::Builds | Scarce::Rollouts => None,
        }
        .filter(|at| *at > now.mono)
    }

    /// What checks wait for that are due: requests that a registry counts, or their turn.
    pub(super) fn waits(&self, now: Now) -> BTreeMap<Arc<Check>, (Scarce, Option<Monotonic>)> {
        let mut waits = BTreeMap::new();
        for (scarce, _) in self.admission.scarce() {
            if matches!(scarce, Scarce::Registry(_) | Scarce::Builds | Scarce::Rollouts) {
                continue; // that is over in a moment
            }
            for (key, amount) in self.admission.waiting(scarce) {
                if let Key::Check(check) = key {
                    let until = self.scarce_opens_at(scarce, amount, now);
                    waits.insert(Arc::clone(check), (scarce.clone(), until));
                }
            }
        }
        waits
    }

    /// The limits of all accounts that anything is known of.
    pub(super) fn limits(&self) -> BTreeMap<Account, RateLimit> {
        let accounts = self.soft.ledger.pages().map(|(account, _)| account);
        let limit = |account: &Account| Some((account.clone(), self.limit_of(account)?.0));
        accounts.filter_map(limit).collect()
    }

    fn account_of(&self, image: &ImageReference) -> Account {
        self.soft.ledger.payer(&image.registry_host(), &image.repository_path())
    }

    /// The limit of an account, and how many requests of it checks may make at most.
    fn limit_of(&self, account: &Account) -> Option<(RateLimit, u64)> {
        let limit = self.soft.ledger.limit(account, setting(&self.policy, account))?;
        Some((limit, limit.requests - limit.reserved()))
    }

    /// A look alone, where an image is known: it is read when it has moved. Else each look would set aside what hardly
    /// any of them takes, and a start would take that for spent.
    fn needs_of_check(&self, check: &Check, is_known: bool) -> Option<Needs> {
        let account = self.account_of(&check.image);
        let (limit, most) = self.limit_of(&account)?;
        let soft = self.soft.checks.get(check);
        let requests = match soft.and_then(|soft| soft.unread.as_ref()) {
            Some(unread) => unread.requests,
            None if is_known => limit.counted.of_a_look(),
            None => limit.counted.of_a_read(check.mode),
        };
        Some(Needs { account, requests: requests.min(most) })
    }

    fn needs_of_copy(&self, tag: &StreamTag, check: &Check) -> Option<Needs> {
        let account = self.account_of(&check.image);
        let (limit, most) = self.limit_of(&account)?;
        let soft = self.soft.copies.get(tag);
        let wanted = soft.map_or(0, |soft| soft.wants).max(limit.counted.of_a_read(check.mode));
        Some(Needs { account, requests: wanted.min(most) })
    }

    fn needs_of_list(&self, request: &ListRequest) -> Option<Needs> {
        let account = self.account_of(&request.repository);
        let (limit, most) = self.limit_of(&account)?;
        Some(Needs { account, requests: limit.counted.of_a_list().min(most) })
    }

    /// Sets aside what a check may ask, and says so in its request.
    pub(super) fn allow_check(
        &mut self,
        id: ActionId,
        request: &mut ResolveRequest,
        reason: &Reason,
        now: Now,
    ) {
        let needs = self.needs_of_check(&request.check, request.known.is_some());
        self.keep_rates(&request.check.image, Some(reason), now);
        self.allow(id, request, needs, now);
    }

    /// The same for a copy.
    pub(super) fn allow_copy(
        &mut self,
        id: ActionId,
        request: &mut ResolveRequest,
        tag: &StreamTag,
        now: Now,
    ) {
        let needs = self.needs_of_copy(tag, &request.check);
        self.keep_rates(&request.check.image, None, now);
        self.allow(id, request, needs, now);
    }

    /// The same for a list.
    pub(super) fn allow_list(&mut self, id: ActionId, request: &ListRequest, now: Now) {
        let needs = self.needs_of_list(request);
        self.keep_rates(&request.repository, None, now);
        if let Some(Needs { account, requests }) = needs {
            self.take(id, account, requests, None, now);
        }
    }

    fn allow(
        &mut self,
        id: ActionId,
        request: &mut ResolveRequest,
        needs: Option<Needs>,
        now: Now,
    ) {
        let Some(Needs { account, requests }) = needs else { return };
        let Some((limit, _)) = self.limit_of(&account) else { return };
        let (leave, counted) = (limit.reserved(), limit.counted);
        request.allowance = Some(Allowance { requests, leave, counted });
        self.take(id, account, requests, request.known, now);
    }

    fn take(
        &mut self,
        id: ActionId,
        account: Account,
        requests: u64,
        knew: Option<Digest>,
        now: Now,
    ) {
        let limit = setting(&self.policy, &account);
        let mark = self.soft.ledger.take(&account, limit, requests, now);
        if let Some(mark) = mark.filter(|_| !sabotage::is(Bug::SpendFirst)) {
            self.marks.push(mark);
        }
        let allowed = requests;
        self.taken.insert(id, Taken { account, requests, allowed, knew, short: false, asked: 0 });
    }

    /// Notes what an action asked of registries. One that nobody waits for any more was noted before.
    pub(super) fn spent(&mut self, id: ActionId, spent: &Spent, now: Now) {
        if !self.in_flight.contains_key(&id) {
            return;
        }
        self.give_back(id);
        for by in &spent.by {
            let limit = setting(&self.policy, &by.account);
            let mark = self.soft.ledger.spent(by, limit, now);
            if let Some(mark) = mark.filter(|_| !sabotage::is(Bug::SpendFirst)) {
                self.marks.push(mark);
            }
        }
        let counted = |account: &Account| self.limit_of(account).map(|(limit, _)| limit.counted);
        let asked = spent.by.iter().filter_map(|by| Some(counted(&by.account)?.of(by.requests)));
        let asked = asked.sum();
        if let Some(taken) = self.taken.get_mut(&id) {
            (taken.short, taken.asked) = (spent.short, asked);
        }
        if let Some((last, image)) = spent.by.last().zip(self.image_of(id)) {
            let (host, repository) = (image.registry_host(), image.repository_path());
            self.soft.ledger.paid(&host, &repository, &last.account);
        }
    }

    fn image_of(&self, id: ActionId) -> Option<&ImageReference> {
        match self.in_flight.get(&id)? {
            InFlight::Check(check, _) => Some(&check.image),
            InFlight::Listing(_, request, _) => Some(&request.repository),
            InFlight::Source
            | InFlight::Copy(_)
            | InFlight::Push(_)
            | InFlight::Deletion(_)
            | InFlight::Delivery { .. }
            | InFlight::Silent => None,
        }
    }

    fn give_back(&mut self, id: ActionId) {
        if let Some(taken) = self.taken.get_mut(&id) {
            let requests = std::mem::take(&mut taken.requests);
            self.soft.ledger.give_back(&taken.account, requests);
        }
    }

    /// An action ended: what it did not ask is given back. Returns whether what it might ask did not suffice.
    pub(super) fn end_taken(&mut self, id: ActionId) -> Option<Short> {
        self.give_back(id);
        let taken = self.taken.remove(&id).filter(|taken| taken.short)?;
        let most = self.limit_of(&taken.account).map_or(u64::MAX, |(_, most)| most);
        let used_up = taken.asked >= taken.allowed;
        let for_ever = used_up && taken.allowed >= most;
        Some(Short { allowed: taken.allowed, used_up, knew: taken.knew, for_ever })
    }

    /// What is to be read once there are requests for it.
    pub(super) fn unread(
        &self,
        check: &Check,
        short: Short,
        (reason, probed): (&Reason, Option<Digest>),
        now: Now,
    ) -> Unread {
        let before = self.soft.checks.get(check).and_then(|soft| soft.unread.as_ref());
        let read = self.limit_of(&self.account_of(&check.image));
        let read = read.map_or(0, |(limit, _)| limit.counted.of_a_read(check.mode));
        let more = short.next(read);
        Unread {
            reason: before.map_or(reason, |before| &before.reason).clone(),
            probed: probed.filter(|probed| short.knew != Some(*probed)),
            since: before.map_or(now.wall, |before| before.since),
            requests: more.max(1),
        }
    }

    /// The requests that the registry counts did not suffice: nothing is known of the image but its digest. It is read as
    /// soon as there are more; where there never can be, that is its failure.
    pub(super) fn ran_short(
        &mut self,
        (check, reason): (&Arc<Check>, &Reason),
        result: &Result<Resolution, ImportFailure>,
        short: Short,
        now: Now,
        batch: &mut Batch,
    ) {
        if short.for_ever {
            let failure = Err(self.never_enough(&check.image, short.allowed));
            return self.resolved(check, reason, &failure, now, batch);
        }
        self.admission.give_back(&registry_of(check));
        self.dirty.insert(Key::Check(check.clone()));
        self.mark_leftover(check);
        let probed = result.as_ref().ok().map(|resolution| resolution.probed);
        let unread = self.unread(check, short, (reason, probed), now);
        let soft = self.soft.checks.entry(check.clone()).or_default();
        soft.in_flight = false;
        soft.unread = Some(unread);
        self.forget_check(check);
    }

    /// Why an image is not read whose reading takes more than a limit leaves.
    pub(super) fn never_enough(&self, image: &ImageReference, allowed: u64) -> ImportFailure {
        let account = self.account_of(image);
        let limit = self.limit_of(&account).map(|(limit, _)| limit.to_string()).unwrap_or_default();
        let (image, host) = (image.normalized(), limited_host(&account.host));
        ImportFailure {
            reason: ImportReason::InternalError,
            message: format!(
                "Internal error occurred: {image}: reading it takes more than the {allowed} requests that the limit of \
                 `{host}` ({limit}) leaves for checks (`registries.\"{host}\".limit` and `reserve`)"
            ),
            transient: false,
            retry_after: None,
        }
    }

    /// Leaves a registry alone for as long as it asks, and for a while where it gives no answer.
    ///
    /// Several answers may be under way: the longest pause counts. Three checks in a row without an answer are not the
    /// fault of one image.
    pub(super) fn note_answer(
        &mut self,
        image: &ImageReference,
        failure: Option<&ImportFailure>,
        now: Now,
    ) {
        let host = image.registry_host();
        let known = self.soft.registries.get(&host).copied();
        let pause = failure.and_then(|failure| failure.retry_after);
        let rest = known.unwrap_or(RestSoft { until: now.mono, asked: false, failures: 0 });
        let failures = match failure {
            Some(failure) if failure.transient => rest.failures.saturating_add(1),
            Some(_) | None => 0,
        };
        let silent = failures
            .checked_sub(REGISTRY_FAILURES_MAX)
            .map(|more| now.mono.after(back_off(IMPORT_RETRY_FIRST, more + 1, REGISTRY_REST_MAX)));
        let rest = match (pause.map(|pause| now.mono.after(pause)), silent) {
            (Some(until), _) => RestSoft { until: until.max(rest.until), asked: true, failures },
            (None, Some(until)) if until > rest.until => RestSoft { until, asked: false, failures },
            (None, _) => RestSoft { failures, ..rest },
        };
        if rest.until <= now.mono && rest.failures == 0 {
            self.soft.registries.remove(&host);
            return;
        }
        self.soft.registries.insert(host.clone(), rest);
        // A start that does not know of it asks once more: for a short pause that is not worth a record.
        if pause.is_some_and(|pause| pause >= TOLD_FOR) {
            self.marks.resting.retain(|(other, _)| *other != host);
            self.marks.resting.push((host, now.wall_at(rest.until)));
        }
    }

    /// Tells the journal what is set aside, before anything of this step is started (law 1).
    pub(super) fn set_aside(&mut self, now: Now, batch: &mut Batch) {
        let Marks { quota, resting } = std::mem::take(&mut self.marks);
        if !quota.is_empty() || !resting.is_empty() {
            let fact = Checkpoint { checked: Vec::new(), quota, resting };
            self.record(Fact::Checkpoint(fact), now, batch);
        }
    }

    /// What is in flight is set aside for as long as it is.
    pub(super) fn renew_marks(&mut self, now: Now) {
        let policy = &self.policy;
        let limit = |account: &Account| setting(policy, account).copied();
        for mark in self.soft.ledger.renew(limit, now) {
            if !sabotage::is(Bug::SpendFirst) {
                self.marks.push(mark);
            }
        }
    }

    /// The last word of a process: what was set aside and not asked is free again.
    pub(super) fn close_ledger(&mut self) {
        for mark in self.soft.ledger.close() {
            self.marks.push(mark);
        }
    }
}
