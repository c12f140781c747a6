//! What a configuration will ask of registries, counted before anything runs: requests per hour and per six hours, what of
//! it counts towards a limit, and what the images that are not known yet will cost once.
//!
//! It counts what the planner would do while nothing moves: one `HEAD` for all tags that ask the same, at each time of
//! their shortest schedule, and one page of a list for each whole repository. What moves costs a new image's requests on
//! top, which nobody knows beforehand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::words::{BAD, GOOD, HEADING, count, styled};
use crate::action::{Check, Requests};
use crate::desired::{DesiredState, ImageStream};
use crate::effective;
use crate::observed::ObservedState;
use crate::policy::{Counted, Policy, RateLimit, limited_host};
use crate::time::{Schedule, Span, Timestamp};

const HOUR: Duration = Duration::from_secs(60 * 60);
const SIX_HOURS: Duration = Duration::from_secs(6 * 60 * 60);

/// What a new image costs: what the tag names, the image of this platform in it, and its config.
const AN_IMAGE: Requests = Requests { head: 1, manifests: 2, others: 1 };

/// What all registries will be asked.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    format_version: u32,
    registries: Vec<RegistryCost>,
}

/// What one registry will be asked.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct RegistryCost {
    registry: String,
    /// Tags that ask it, and how many of them ask again by themselves.
    tags: u64,
    scheduled_tags: u64,
    /// Different questions that these tags ask.
    checks: u64,
    /// Whole repositories.
    repositories: u64,
    per_hour: Requests,
    per_six_hours: Requests,
    /// What the images that are not known yet cost once, at most.
    first: Requests,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<Limit>,
}

/// How a limit is kept.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Limit {
    limit: String,
    counted: &'static str,
    /// Requests that checks leave for the pulls of rollouts.
    reserved: u64,
    /// Requests that count, in one window, while nothing moves.
    used: u64,
    fits: bool,
    /// How long the images that are not known yet will take at least, in seconds, because of the limit alone.
    first_takes_seconds: u64,
}

/// Counts what the manifests ask for, from `now` on.
#[must_use]
pub fn forecast(
    desired: &DesiredState,
    observed: &ObservedState,
    policy: &Policy,
    now: Timestamp,
) -> Cost {
    let mut found: BTreeMap<String, RegistryCost> = BTreeMap::new();
    let mut asked: BTreeMap<Arc<Check>, Asked> = BTreeMap::new();
    for stream in desired.streams.values().filter(|stream| !stream.paused) {
        for (tag, spec) in &stream.tags {
            let Some(check) = effective::check_of(stream, spec, policy) else { continue };
            let state = observed.tag(&stream.name.tag(tag.clone()));
            let is_known = state.is_some_and(|state| state.current().is_some());
            let pinned = check.image.digest.is_some();
            let schedule =
                effective::schedule_of(stream, spec, policy).filter(|_| !(pinned && is_known));
            let asked = asked.entry(Arc::new(check)).or_default();
            asked.tags += 1;
            asked.is_known |= is_known;
            asked.schedules.extend(schedule);
        }
        add_repository(&mut found, stream, policy, now);
    }
    for (check, asked) in asked {
        asked.add(entry(&mut found, &check.image.registry_host()), now);
    }
    let registries = found.into_values().map(|mut registry| {
        let limit = policy.registry_limits.get(&registry.registry);
        registry.limit = limit.map(|limit| Limit::of(&registry, *limit));
        registry
    });
    Cost { format_version: super::FORMAT_VERSION, registries: registries.collect() }
}

/// The tags that ask one question.
#[derive(Default)]
struct Asked {
    tags: u64,
    is_known: bool,
    schedules: Vec<Schedule>,
}

impl Asked {
    fn add(&self, to: &mut RegistryCost, now: Timestamp) {
        to.tags += self.tags;
        to.scheduled_tags += self.schedules.len() as u64;
        to.checks += 1;
        if !self.is_known {
            to.first.add(AN_IMAGE);
        }
        let often = |span| self.schedules.iter().map(|schedule| times(schedule, span, now)).max();
        to.per_hour.head += often(HOUR).unwrap_or(0);
        to.per_six_hours.head += often(SIX_HOURS).unwrap_or(0);
    }
}

/// A whole repository is listed at the times of its stream's schedule (rule I59), and once.
fn add_repository(
    found: &mut BTreeMap<String, RegistryCost>,
    stream: &ImageStream,
    policy: &Policy,
    now: Timestamp,
) {
    let Some(repository) = &stream.repository else { return };
    let cost = entry(found, &repository.registry_host());
    cost.repositories += 1;
    cost.first.others += 1;
    if let Some(schedule) = stream.schedule.as_ref().filter(|_| policy.scheduled_imports) {
        cost.per_hour.others += times(schedule, HOUR, now);
        cost.per_six_hours.others += times(schedule, SIX_HOURS, now);
    }
}

fn entry<'a>(found: &'a mut BTreeMap<String, RegistryCost>, host: &str) -> &'a mut RegistryCost {
    let host = limited_host(host);
    let begin = || RegistryCost { registry: host.to_owned(), ..RegistryCost::default() };
    found.entry(host.to_owned()).or_insert_with(begin)
}

/// How often a schedule comes up within a span, at most.
fn times(schedule: &Schedule, within: Duration, now: Timestamp) -> u64 {
    match schedule {
        Schedule::Every(Span(every)) => {
            let (within, every) = (within.as_millis(), every.as_millis().max(1));
            u64::try_from(within.div_ceil(every)).unwrap_or(u64::MAX)
        }
        Schedule::Cron(cron) => {
            let end = now.after(within);
            let mut slots = 0;
            let mut from = now;
            while let Some(slot) = cron.next_slot(from).filter(|slot| *slot <= end) {
                slots += 1;
                from = slot;
            }
            slots
        }
    }
}

impl Limit {
    fn of(cost: &RegistryCost, limit: RateLimit) -> Self {
        let six_hours = limit.counted.of(cost.per_six_hours);
        // Rounded up: half of a request is one.
        let share = u128::from(six_hours) * limit.window.as_millis();
        let used = u64::try_from(share.div_ceil(SIX_HOURS.as_millis())).unwrap_or(u64::MAX);
        let first = limit.counted.of(cost.first);
        let budget = limit.requests - limit.reserved();
        let windows = first.saturating_sub(1) / budget;
        Self {
            limit: limit.to_string(),
            counted: match limit.counted {
                Counted::Manifests => "manifests",
                Counted::All => "all",
            },
            used,
            reserved: limit.reserved(),
            fits: used <= budget,
            first_takes_seconds: windows.saturating_mul(limit.window.as_secs()),
        }
    }
}

impl Cost {
    /// Whether every limit is kept while nothing moves.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.registries.iter().all(|cost| cost.limit.as_ref().is_none_or(|limit| limit.fits))
    }

    /// What does not fit, a line for each registry.
    pub fn misfits(&self) -> impl Iterator<Item = String> {
        let limited = self.registries.iter().filter_map(|cost| Some((cost, cost.limit.as_ref()?)));
        limited.filter(|(_, limit)| !limit.fits).map(|(cost, limit)| {
            let (host, Limit { limit, used, reserved, .. }) = (&cost.registry, limit);
            format!(
                "registry {host}: {used} requests are wanted where its limit is {limit}, {reserved} of them kept for \
                 pulls: tags are looked at later than their schedules say (`tidegate cost` tells more)"
            )
        })
    }

    /// For people, with ANSI styles.
    #[must_use]
    pub fn to_text(&self) -> String {
        if self.registries.is_empty() {
            return "no registry is asked: the manifests name no image that is imported\n".into();
        }
        let mut text = String::new();
        for cost in &self.registries {
            text += &cost.to_text();
        }
        text
    }
}

impl RegistryCost {
    fn to_text(&self) -> String {
        let mut text = format!("{}\n", styled(HEADING, &self.registry));
        let number = |n: u64, one: &str| {
            count(usize::try_from(n).unwrap_or(usize::MAX), one, &format!("{one}s"))
        };
        text += &format!(
            "  asked for    {} of {}, {} scheduled",
            number(self.checks, "image"),
            number(self.tags, "tag"),
            self.scheduled_tags
        );
        if self.repositories > 0 {
            text += &format!("; {} whole repositories", self.repositories);
        }
        let counted = |requests: Requests| match self.limit.as_ref().map(|limit| limit.counted) {
            Some("manifests") => format!(", {} counted", requests.manifests),
            Some(_) => format!(", {} counted", requests.total()),
            None => String::new(),
        };
        text += &format!(
            "\n  each hour    {}{}; in six hours {}{}\n",
            number(self.per_hour.total(), "request"),
            counted(self.per_hour),
            self.per_six_hours.total(),
            counted(self.per_six_hours),
        );
        if self.first.total() > 0 {
            text += &format!(
                "  at first     at most {}{}\n",
                number(self.first.total(), "request"),
                counted(self.first)
            );
        }
        text + &self.limit.as_ref().map(Limit::to_text).unwrap_or_default()
    }
}

impl Limit {
    fn to_text(&self) -> String {
        let verdict = match self.fits {
            true => styled(GOOD, "fits"),
            false => styled(BAD, "does not fit"),
        };
        let mut text = format!(
            "  limit        {} ({}), {} kept for pulls: {verdict}, {} of it while nothing moves",
            self.limit, self.counted, self.reserved, self.used
        );
        if self.first_takes_seconds > 0 {
            let takes = Span(Duration::from_secs(self.first_takes_seconds));
            text += &format!("; the first imports take {takes} at least");
        }
        text + "\n"
    }
}
