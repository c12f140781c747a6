//! Wall time, monotonic time and spans. There is no clock in here: `now` is always an argument.

mod go;
mod human;
mod schedule;
mod window;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use go::go_duration;
pub use human::{ParseSpanError, Span, ago, short_age};
pub use schedule::{CronSchedule, Schedule, ScheduleError};
pub use window::{Window, WindowError};

/// A wall-clock instant, UTC, kept and printed with milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The first instant that can be told: a whole second, in the year -9999.
    pub const MIN: Self = Self(-377_705_023_201_000);

    /// The last instant that can be told: a whole second, in the year 9999.
    ///
    /// jiff reads the part of a second after it and refuses to make it from milliseconds.
    pub const MAX: Self = Self(253_402_207_200_000);

    /// Makes one from milliseconds since the epoch; what cannot be told becomes [`Self::MIN`] or [`Self::MAX`].
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// The same instant for jiff.
    #[must_use]
    pub fn to_jiff(self) -> jiff::Timestamp {
        let end = if self.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(end)
    }

    /// The instant of a jiff timestamp, cut to milliseconds.
    #[must_use]
    pub fn from_jiff(instant: jiff::Timestamp) -> Self {
        Self::from_millis(instant.as_millisecond())
    }

    /// The instant `span` later, saturating.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self::from_millis(self.0.saturating_add(millis(span)))
    }

    /// The time from `earlier` to this instant; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 with whole seconds, as OpenShift prints times: `2019-11-01T03:39:18Z`.
    #[must_use]
    pub fn to_rfc3339_seconds(self) -> String {
        format!("{:.0}", Self(self.0.div_euclid(1000) * 1000).to_jiff())
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.to_jiff())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(Self::from_jiff)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Time since some fixed point of this process, which no clock change moves. For deadlines, never for records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The fixed point itself.
    pub const START: Self = Self(Duration::ZERO);

    /// Makes one from the time since the fixed point.
    #[must_use]
    pub fn from_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The instant `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// The instant `span` earlier; the fixed point where that would be before it.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }

    /// The time from `earlier` to this instant; zero if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks, read once per step.
///
/// Wall time goes into records and cron schedules, monotonic time into intervals and deadlines; the simulator makes
/// them jump separately.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// The wall clock.
    pub wall: Timestamp,
    /// The monotonic clock.
    pub mono: Monotonic,
}

impl Now {
    /// When the wall clock will show `at`, as things stand; now, if it already did.
    #[must_use]
    pub fn mono_at(self, at: Timestamp) -> Monotonic {
        self.mono.after(at.since(self.wall))
    }

    /// What the wall clock would have shown at `at`, which has passed, had it always gone as it goes now.
    #[must_use]
    pub fn wall_was(self, at: Monotonic) -> Timestamp {
        let passed = i64::try_from(self.mono.since(at).as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.wall.as_millis().saturating_sub(passed))
    }

    /// What the wall clock will show at `at`, as things stand.
    #[must_use]
    pub fn wall_at(self, at: Monotonic) -> Timestamp {
        self.wall.after(at.since(self.mono))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_milliseconds_and_reads_itself_back() {
        let at: Timestamp = "2026-11-21T01:02:03.004Z".parse().unwrap();
        assert_eq!(at.to_string(), "2026-11-21T01:02:03.004Z");
        assert_eq!(at.to_rfc3339_seconds(), "2026-11-21T01:02:03Z");
        let back: Timestamp = serde_json::from_str(&serde_json::to_string(&at).unwrap()).unwrap();
        assert_eq!(back, at);
    }

    proptest::proptest! {
        #[test]
        fn a_timestamp_at_any_time_reads_itself_back(millis: i64) {
            reads_itself_back(millis);
        }

        #[test]
        fn a_timestamp_near_the_ends_of_time_reads_itself_back(near in -3_000_i64..3_000) {
            for end in [jiff::Timestamp::MIN, jiff::Timestamp::MAX] {
                reads_itself_back(end.as_millisecond() + near);
            }
        }
    }

    #[test]
    fn the_ends_of_time_are_the_whole_seconds_of_jiff() {
        assert_eq!(Timestamp::MIN.as_millis(), jiff::Timestamp::MIN.as_second() * 1000);
        assert_eq!(Timestamp::MAX.as_millis(), jiff::Timestamp::MAX.as_second() * 1000);
        assert_eq!(Timestamp::from_jiff(jiff::Timestamp::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.000Z");
    }

    fn reads_itself_back(millis: i64) {
        let at = Timestamp::from_millis(millis);
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at, "{millis}");
        assert_eq!(at.to_jiff().as_millisecond(), at.as_millis(), "{millis}");
        let whole: Timestamp = at.to_rfc3339_seconds().parse().unwrap();
        assert_eq!(whole.as_millis(), at.as_millis().div_euclid(1000) * 1000, "{millis}");
    }

    #[test]
    fn a_wall_time_in_the_past_is_due_now() {
        let now = Now {
            wall: Timestamp::from_millis(10_000),
            mono: Monotonic::from_start(Duration::from_secs(5)),
        };
        assert_eq!(now.mono_at(Timestamp::from_millis(9_000)), now.mono);
        assert_eq!(now.mono_at(Timestamp::from_millis(12_000)).since(now.mono).as_secs(), 2);
    }
}
