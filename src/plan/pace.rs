//! When something is asked again: after a failure, and by its schedule (rules I43, I111).

use std::time::Duration;

use crate::limits::IMPORT_RETRY_FIRST;
use crate::observed::soft::Attempts;
use crate::time::{Monotonic, Schedule, Timestamp};

use super::View;
use super::source::back_off;

/// After a restart, what fell due while nothing ran is spread over at most this (rule I111, item 1).
const RESTART_SPREAD_MAX: Duration = Duration::from_secs(60);

/// What a crontab line makes due is spread over the minute that is the finest it can name: else a thousand tags of
/// `0 * * * *` would come at once.
const CRON_SPREAD: Duration = Duration::from_secs(60);

/// One thing that is asked again and again.
pub(super) struct Pace<'a> {
    pub(super) view: &'a View<'a>,
    /// Tells it from others: each has its own share of every interval, so that many do not come at once.
    pub(super) fingerprint: u32,
    /// What this process tried.
    pub(super) attempts: Option<&'a Attempts>,
    /// When it was last asked before this process began, as far as that is known.
    pub(super) before: Option<Timestamp>,
}

impl Pace<'_> {
    /// When what is wanted now is tried: at once, or as failures have it.
    pub(super) fn after_failures(&self, cap: Duration) -> Monotonic {
        match self.attempts.map_or(0, |attempts| attempts.failures) {
            0 => self.view.now.mono,
            failures => self.retry_at(failures, cap),
        }
    }

    /// Transient failures back off to the interval; permanent ones are tried at the interval only (rule I43).
    pub(super) fn retry_at(&self, failures: u32, cap: Duration) -> Monotonic {
        let attempted = self.attempts.and_then(|known| Some((known.at?, known.transient)));
        match attempted {
            Some((at, true)) => {
                let delay = back_off(IMPORT_RETRY_FIRST, failures, cap);
                at.after(delay).after(self.share_of(delay / 5))
            }
            Some((at, false)) => at.after(cap).after(self.share_of(cap / 10)),
            // Not tried since the start: whether it would pass is not known.
            None => self.view.soft.began.after(self.share_of(IMPORT_RETRY_FIRST.min(cap))),
        }
    }

    /// When the schedule wants it next; none if it never does again.
    pub(super) fn scheduled_at(&self, schedule: &Schedule) -> Option<Monotonic> {
        let now = self.view.now;
        let attempted = self.attempts.and_then(|known| known.at);
        match schedule {
            Schedule::Every(span) => {
                let jitter = self.share_of(span.0 / 10);
                if let Some(attempted) = attempted {
                    return Some(attempted.after(span.0).after(jitter));
                }
                let left = match self.before? {
                    at if at <= now.wall => (span.0 + jitter).saturating_sub(now.wall.since(at)),
                    // Noted by a clock that was ahead: it proves nothing.
                    _ => Duration::ZERO,
                };
                // A small part of the interval: with restarts that come sooner it would never be its turn.
                let spread = self.share_of(RESTART_SPREAD_MAX.min(span.0 / 10));
                Some(now.mono.after(left).max(self.view.soft.began.after(spread)))
            }
            Schedule::Cron(cron) => {
                // Not all in the first second of a slot.
                let jitter = self.share_of(CRON_SPREAD);
                // A time that a clock noted which was ahead would put every slot off until then.
                let wall = self.attempts.and_then(|known| known.wall);
                let last = match wall.zip(attempted) {
                    Some((wall, _)) if wall <= now.wall => wall,
                    Some((_, mono)) => now.wall_was(mono),
                    None => self.before?.min(now.wall_was(self.view.soft.began)),
                };
                let slot = cron.next_slot(last)?;
                let at = now.mono_at(slot.after(jitter));
                if attempted.is_some() {
                    return Some(at);
                }
                let period = cron.next_slot(slot).map_or(CRON_SPREAD, |next| next.since(slot));
                let spread = self.share_of(RESTART_SPREAD_MAX.min(period / 10));
                Some(at.max(self.view.soft.began.after(spread)))
            }
        }
    }

    /// A part of `span` that is always the same for one thing.
    pub(super) fn share_of(&self, span: Duration) -> Duration {
        // Whole milliseconds, as the wall clock has them: a fraction would be due again a moment before its time.
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let share = (u128::from(millis) * u128::from(self.fingerprint)) >> 32;
        Duration::from_millis(u64::try_from(share).unwrap_or(u64::MAX))
    }
}
