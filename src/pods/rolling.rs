//! How many instances of the old and the new revision run while one takes the place of the other (rules D4, D36, R14).

use serde_json::Value;

use crate::sabotage::{self, Bug};

/// `maxSurge` or `maxUnavailable`: a number of instances, or a share of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Amount {
    Count(u32),
    Percent(u32),
}

/// What both are where nothing is written.
const DEFAULT: Amount = Amount::Percent(25);

impl Amount {
    /// As it is written; none where nothing is.
    pub(super) fn read(value: Option<&Value>) -> Option<Self> {
        match value? {
            Value::Number(number) => number.as_u64()?.try_into().ok().map(Self::Count),
            Value::String(text) => match text.strip_suffix('%') {
                Some(percent) => percent.parse().ok().map(Self::Percent),
                None => text.parse().ok().map(Self::Count),
            },
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    fn is_zero(self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }

    /// How many that are, before the hundredth part is taken.
    fn hundredfold(self, of: u32) -> u64 {
        match self {
            Self::Count(count) => u64::from(count) * 100,
            Self::Percent(percent) => u64::from(percent) * u64::from(of),
        }
    }
}

/// How far the number of instances may be from the one that is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// How many are wanted.
    pub desired: u32,
    /// How many more may run.
    pub surge: u32,
    /// How many fewer may be available.
    pub unavailable: u32,
}

/// How many instances there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scales {
    /// Of the old revision.
    pub old: u32,
    /// Of the new one.
    pub new: u32,
    /// Of the new one, those that are available.
    pub available: u32,
}

impl Budget {
    /// Rules D4 and D36.1; `is_openshift` is whether a zero that stands alone makes the other what it is by default.
    pub(super) fn of(
        desired: u32,
        (surge, unavailable): (Option<Amount>, Option<Amount>),
        is_openshift: bool,
    ) -> Self {
        let other = |one: Amount| match is_openshift && !one.is_zero() {
            true => Amount::Count(0),
            false => DEFAULT,
        };
        let (surge, unavailable) = match (surge, unavailable) {
            (Some(surge), Some(unavailable)) => (surge, unavailable),
            (Some(surge), None) => (surge, other(surge)),
            (None, Some(unavailable)) => (other(unavailable), unavailable),
            (None, None) => (DEFAULT, DEFAULT),
        };
        let count = |hundredfold: u64| u32::try_from(hundredfold).unwrap_or(u32::MAX);
        let surge = count(surge.hundredfold(desired).div_ceil(100));
        let unavailable = count(unavailable.hundredfold(desired) / 100);
        Self { desired, surge, unavailable }.that_moves()
    }

    /// No instance beside those that are wanted (rule R14): what only one may have is given up before it is taken.
    #[must_use]
    pub(super) fn without_surge(self) -> Self {
        Self { surge: 0, ..self }.that_moves()
    }

    /// With neither nothing would ever change.
    fn that_moves(self) -> Self {
        let unavailable = if self.surge == 0 { self.unavailable.max(1) } else { self.unavailable };
        Self { unavailable, ..self }
    }

    /// How many are available at least, from this many old ones on.
    #[must_use]
    pub fn available_min(&self, old: u32) -> u32 {
        let unavailable = if self.desired == 0 { old } else { self.unavailable };
        self.desired.saturating_sub(unavailable)
    }

    /// How many of the new revision are to run next (rule D36.3).
    #[must_use]
    pub fn up(&self, now: Scales) -> u32 {
        if now.old == 0 || sabotage::is(Bug::IgnoreSurge) {
            return self.desired.max(now.new);
        }
        let room = self.desired.saturating_add(self.surge).saturating_sub(now.old + now.new);
        now.new + room.min(self.desired.saturating_sub(now.new))
    }

    /// How many of the old revision are to run next (rule D36.4).
    #[must_use]
    pub fn down(&self, now: Scales) -> u32 {
        if now.new >= self.desired && now.available >= now.new {
            return 0;
        }
        let available = if sabotage::is(Bug::IgnoreWaiting) { now.new } else { now.available };
        let waiting = now.new.saturating_sub(available);
        let spare = (now.old + now.new).saturating_sub(self.available_min(now.old) + waiting);
        now.old.saturating_sub(spare)
    }
}
