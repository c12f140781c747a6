//! When something repeats: every so often, or by a crontab line.
//!
//! The `cron` crate speaks another dialect (seconds first, Sunday is 1, no daylight saving time worth the name), so it
//! is only asked for the next match of fields that [`field`] has read already, in local civil time carried as UTC. That
//! time always increases; turning it into an instant is jiff's work.

mod field;

use std::fmt;
use std::sync::Arc;

use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use serde::{Deserialize, Serialize};

use super::{Span, Timestamp};
use crate::limits;

/// When something repeats (`tidegate.dev/schedule`, rule I111).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Schedule {
    /// Every so often, counted from the last time.
    Every(Span),
    /// At the slots of a crontab line.
    Cron(CronSchedule),
}

/// Why a text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a schedule: {why}")]
pub struct ScheduleError {
    text: String,
    why: String,
}

impl ScheduleError {
    fn new(text: &str, why: impl Into<String>) -> Self {
        // A message must stay readable whatever the input was.
        Self { text: text.chars().take(60).collect(), why: why.into() }
    }
}

impl Schedule {
    /// Reads a span of at least 10 s or a crontab line of five fields; `zone` is an IANA name and applies to the latter.
    ///
    /// # Errors
    /// When the text is neither, the span is too short, the zone is unknown or the line never fires.
    pub fn parse(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let trimmed = text.trim();
        if let Ok(span) = trimmed.parse::<Span>() {
            if span.0 < limits::IMPORT_INTERVAL_MIN {
                let least = Span(limits::IMPORT_INTERVAL_MIN);
                return Err(ScheduleError::new(text, format!("the shortest interval is {least}")));
            }
            return Ok(Self::Every(span));
        }
        if trimmed.starts_with('@') || trimmed.split_whitespace().count() > 1 {
            return CronSchedule::parse(trimmed, zone).map(Self::Cron);
        }
        Err(ScheduleError::new(
            text,
            "expected a span like `15m`, or a crontab line of five fields like `*/15 * * * *`",
        ))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(span) => span.fmt(f),
            Self::Cron(cron) => cron.fmt(f),
        }
    }
}

/// A crontab(5) line in a time zone.
///
/// Five fields or one of the names `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`; Sunday is 0 or 7; a day
/// matches if day-of-month *or* day-of-week does when neither field begins with `*`. When clocks change, a line whose
/// hour field begins with `*` goes by elapsed time, and any other fires exactly once per matching wall-clock time: what
/// falls into the skipped hour is moved behind it, what falls into the repeated hour takes the first.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "CronText", into = "CronText")]
pub struct CronSchedule(Arc<Compiled>);

struct Compiled {
    line: String,
    zone: String,
    /// A slot is a match of any of them.
    matchers: Vec<cron::Schedule>,
    time_zone: TimeZone,
    /// Whether the hour field begins with `*`.
    every_hour: bool,
}

/// How a crontab schedule is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CronText {
    line: String,
    zone: String,
}

impl TryFrom<CronText> for CronSchedule {
    type Error = ScheduleError;
    fn try_from(text: CronText) -> Result<Self, ScheduleError> {
        Self::parse(&text.line, &text.zone)
    }
}

impl From<CronSchedule> for CronText {
    fn from(schedule: CronSchedule) -> Self {
        Self { line: schedule.0.line.clone(), zone: schedule.0.zone.clone() }
    }
}

impl CronSchedule {
    /// Reads a crontab line; `zone` is an IANA name like `Europe/Berlin`.
    ///
    /// # Errors
    /// When it is no line of five fields, uses what crontab(5) does not have, or never fires.
    pub fn parse(line: &str, zone: &str) -> Result<Self, ScheduleError> {
        let wrong = |why: String| ScheduleError::new(line, why);
        let time_zone = TimeZone::get(zone).map_err(|_| {
            wrong(format!(
                "`{zone}` is not a known time zone (expected a name like `Europe/Berlin`)"
            ))
        })?;
        let fields = field::Fields::parse(line).map_err(wrong)?;
        let matchers = fields
            .expressions()
            .iter()
            .map(|expression| expression.parse())
            .collect::<Result<Vec<cron::Schedule>, _>>()
            .map_err(|error| wrong(error.to_string()))?;
        let compiled = Compiled {
            line: line.split_whitespace().collect::<Vec<_>>().join(" "),
            zone: time_zone.iana_name().unwrap_or(zone).to_owned(),
            matchers,
            time_zone,
            every_hour: fields.every_hour,
        };
        if compiled.next_civil(0).is_none() {
            return Err(wrong("it never fires: no such day exists in any year".into()));
        }
        Ok(Self(Arc::new(compiled)))
    }

    /// Returns the last slot after `from` and not after `until`, if there is any.
    #[must_use]
    pub fn latest_slot(&self, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let first = self.next_slot(from).filter(|slot| *slot <= until)?;
        // Halved again and again: a line of every minute has too many slots in a year to go through them.
        let (mut found, mut end) = (first, until);
        loop {
            let half = end.since(found) / 2;
            if half.is_zero() {
                return Some(found);
            }
            let middle = found.after(half);
            match self.next_slot(middle).filter(|slot| *slot <= until) {
                Some(later) => found = later,
                None => end = middle,
            }
        }
    }

    /// Returns the first slot after `from`, or `None` if the schedule never fires again.
    ///
    /// Slots are whole minutes of the schedule's zone, none lies after the year 2100, and none equals `from`.
    #[must_use]
    pub fn next_slot(&self, from: Timestamp) -> Option<Timestamp> {
        let from = from.as_millis().div_euclid(1000);
        let slot =
            if self.0.every_hour { self.0.next_elapsed(from) } else { self.0.next_wall(from) };
        slot.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)))
    }
}

/// All times in here are whole seconds since the epoch: instants, or civil times as if they were UTC.
impl Compiled {
    /// The first matching civil time after `civil`. The only place that needs chrono.
    fn next_civil(&self, civil: i64) -> Option<i64> {
        // Its years begin with 1970; what asks from before is answered from there.
        let civil = chrono::DateTime::from_timestamp(civil.max(0), 0)?;
        let next = |matcher: &cron::Schedule| matcher.after(&civil).next();
        self.matchers.iter().filter_map(next).min().map(|slot| slot.timestamp())
    }

    fn offset_at(&self, instant: i64) -> i64 {
        seconds(self.time_zone.to_offset(timestamp(instant)))
    }

    fn last_transition(&self, instant: i64) -> Option<i64> {
        // `preceding` is exclusive; a transition at `instant` itself has happened.
        let mut transitions = self.time_zone.preceding(timestamp(instant + 1));
        transitions.next().map(|transition| transition.timestamp().as_second())
    }

    /// For lines that go by elapsed time: civil time by the current offset, started again at each transition.
    fn next_elapsed(&self, from: i64) -> Option<i64> {
        let (mut after, mut inside) = (from, from);
        loop {
            let offset = self.offset_at(inside);
            let slot = self.next_civil(after + offset)? - offset;
            let mut following = self.time_zone.following(timestamp(inside));
            match following.next().map(|transition| transition.timestamp().as_second()) {
                Some(transition) if transition <= slot => {
                    (after, inside) = (transition - 1, transition);
                }
                _ => return Some(slot),
            }
        }
    }

    /// For lines that name hours: every matching civil time once, moved out of a gap.
    fn next_wall(&self, from: i64) -> Option<i64> {
        let mut civil = self.civil_start(from);
        let mut moved = None;
        while let Some(next) = self.next_civil(civil) {
            civil = next;
            let (slot, in_gap) = self.instant_of(civil);
            if slot <= from {
                continue;
            }
            let earliest = moved.map_or(slot, |moved: i64| moved.min(slot));
            if !in_gap {
                return Some(earliest);
            }
            // A slot that stands right behind the gap may come before one that was moved there.
            moved = Some(earliest);
            let transition = self.last_transition(slot)?;
            civil = transition + self.offset_at(transition) - 1;
        }
        moved
    }

    /// Where the search in civil time has to begin so that no slot after the instant `from` is missed.
    fn civil_start(&self, from: i64) -> i64 {
        let civil = from + self.offset_at(from);
        let Some(transition) = self.last_transition(from) else { return civil };
        let before_gap = transition + self.offset_at(transition - 1) - 1;
        let skipped = self.offset_at(transition) - self.offset_at(transition - 1);
        // Slots of a gap lie up to its length behind it.
        if from < transition + skipped { civil.min(before_gap) } else { civil }
    }

    /// The instant of a civil time, and whether that time was skipped.
    fn instant_of(&self, civil: i64) -> (i64, bool) {
        let date_time = Offset::UTC.to_datetime(timestamp(civil));
        match self.time_zone.to_ambiguous_timestamp(date_time).offset() {
            AmbiguousOffset::Unambiguous { offset } => (civil - seconds(offset), false),
            AmbiguousOffset::Gap { before, .. } => (civil - seconds(before), true),
            AmbiguousOffset::Fold { before, .. } => (civil - seconds(before), false),
        }
    }
}

fn seconds(offset: Offset) -> i64 {
    i64::from(offset.seconds())
}

fn timestamp(seconds: i64) -> jiff::Timestamp {
    let (min, max) = (jiff::Timestamp::MIN.as_second(), jiff::Timestamp::MAX.as_second());
    jiff::Timestamp::from_second(seconds.clamp(min, max)).unwrap_or_default()
}

impl PartialEq for CronSchedule {
    fn eq(&self, other: &Self) -> bool {
        // The rest follows from these two.
        self.0.line == other.0.line && self.0.zone == other.0.zone
    }
}

impl Eq for CronSchedule {}

impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.line, self.0.zone)
    }
}

impl fmt::Debug for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn slots(line: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let schedule = CronSchedule::parse(line, zone).unwrap();
        let mut at: Timestamp = from.parse().unwrap();
        let mut slots = Vec::new();
        while slots.len() < count {
            let Some(next) = schedule.next_slot(at) else { break };
            at = next;
            slots.push(at.to_rfc3339_seconds());
        }
        slots
    }

    /// From 2026-11-21 (a Saturday) 01:02:03 UTC.
    fn first(line: &str) -> String {
        slots(line, "UTC", "2026-11-21T01:02:03Z", 1).concat()
    }

    #[test]
    fn a_line_means_what_crontab_says_it_means() {
        let table = [
            ("*/15 * * * *", "2026-11-21T01:15:00Z"),
            ("0 0 * * 0", "2026-11-22T00:00:00Z"),
            ("0 0 * * 7", "2026-11-22T00:00:00Z"),
            ("0 0 * * 1-5", "2026-11-23T00:00:00Z"),
            ("0 0 * * 6-7", "2026-11-22T00:00:00Z"),
            ("0 0 * * fri-sun", "2026-11-22T00:00:00Z"),
            ("0 0 * * 6", "2026-11-28T00:00:00Z"),
            ("5,10-12 1 * * *", "2026-11-21T01:05:00Z"),
            ("0-59/20 2 * * *", "2026-11-21T02:00:00Z"),
            ("30 4 1 jan *", "2027-01-01T04:30:00Z"),
            ("30 4 29 2 *", "2028-02-29T04:30:00Z"),
            ("0 0 24 * MON", "2026-11-23T00:00:00Z"), // either day
            ("0 0 */2 * MON", "2026-11-23T00:00:00Z"), // both days: one field begins with `*`
            ("0 0 13 * 5", "2026-11-27T00:00:00Z"),
            ("@hourly", "2026-11-21T02:00:00Z"),
            ("@daily", "2026-11-22T00:00:00Z"),
            ("@midnight", "2026-11-22T00:00:00Z"),
            ("@weekly", "2026-11-22T00:00:00Z"),
            ("@monthly", "2026-12-01T00:00:00Z"),
            ("@yearly", "2027-01-01T00:00:00Z"),
            ("@Annually", "2027-01-01T00:00:00Z"),
        ];
        for (line, slot) in table {
            assert_eq!(first(line), slot, "{line}");
        }
    }

    #[test]
    fn what_crontab_does_not_have_is_refused_with_a_reason() {
        let why = |text: &str| Schedule::parse(text, "UTC").unwrap_err().to_string();
        insta::assert_snapshot!(why("soon"), @"`soon` is not a schedule: expected a span like `15m`, or a crontab line of five fields like `*/15 * * * *`");
        insta::assert_snapshot!(why("5s"), @"`5s` is not a schedule: the shortest interval is 10s");
        insta::assert_snapshot!(why("* * * *"), @"`* * * *` is not a schedule: expected five fields (minute, hour, day of month, month, day of week), found 4");
        insta::assert_snapshot!(why("0 * * * * *"), @"`0 * * * * *` is not a schedule: expected five fields (minute, hour, day of month, month, day of week), found 6; seconds and years are not supported");
        insta::assert_snapshot!(why("0 0 L * *"), @"`0 0 L * *` is not a schedule: day of month `L`: `L`, `W`, `#` and `?` are not crontab and not supported");
        insta::assert_snapshot!(why("0 0 15W * *"), @"`0 0 15W * *` is not a schedule: day of month `15W`: `L`, `W`, `#` and `?` are not crontab and not supported");
        insta::assert_snapshot!(why("0 0 * * 5#2"), @"`0 0 * * 5#2` is not a schedule: day of week `5#2`: `L`, `W`, `#` and `?` are not crontab and not supported");
        insta::assert_snapshot!(why("0 0 * * 5L"), @"`0 0 * * 5L` is not a schedule: day of week `5L`: `L`, `W`, `#` and `?` are not crontab and not supported");
        insta::assert_snapshot!(why("60 * * * *"), @"`60 * * * *` is not a schedule: minute `60`: expected 0 to 59");
        insta::assert_snapshot!(why("* * 0 * *"), @"`* * 0 * *` is not a schedule: day of month `0`: expected 1 to 31");
        insta::assert_snapshot!(why("* * * * 8"), @"`* * * * 8` is not a schedule: day of week `8`: expected 0 to 7 or `SUN` to `SAT`");
        insta::assert_snapshot!(why("* * * foo *"), @"`* * * foo *` is not a schedule: month `foo`: expected 1 to 12 or `JAN` to `DEC`");
        insta::assert_snapshot!(why("5/10 * * * *"), @"`5/10 * * * *` is not a schedule: minute `5/10`: a step needs `*` or a range, like `5-59/10`");
        insta::assert_snapshot!(why("*/0 * * * *"), @"`*/0 * * * *` is not a schedule: minute `*/0`: the step must be 1 to 59");
        insta::assert_snapshot!(why("*/90 * * * *"), @"`*/90 * * * *` is not a schedule: minute `*/90`: the step must be 1 to 59");
        insta::assert_snapshot!(why("50-10 * * * *"), @"`50-10 * * * *` is not a schedule: minute `50-10`: the range runs backwards");
        insta::assert_snapshot!(why("1,,2 * * * *"), @"`1,,2 * * * *` is not a schedule: minute ``: expected 0 to 59");
        insta::assert_snapshot!(why("+5 * * * *"), @"`+5 * * * *` is not a schedule: minute `+5`: expected 0 to 59");
        insta::assert_snapshot!(why("0 0 31 2 *"), @"`0 0 31 2 *` is not a schedule: it never fires: no such day exists in any year");
        insta::assert_snapshot!(why("@reboot"), @"`@reboot` is not a schedule: `@reboot` is not one of `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`");
        insta::assert_snapshot!(why("@every 15m"), @"`@every 15m` is not a schedule: write the span alone, like `15m`");
        let zone = Schedule::parse("@daily", "Europe/Atlantis").unwrap_err();
        insta::assert_snapshot!(zone, @"`@daily` is not a schedule: `Europe/Atlantis` is not a known time zone (expected a name like `Europe/Berlin`)");
    }

    #[test]
    fn a_span_needs_no_zone_and_a_line_reads_what_it_wrote() {
        assert_eq!(Schedule::parse(" 15m ", "").unwrap().to_string(), "15m");
        let line = Schedule::parse("*/15  8-18 * *  MON-FRI", "europe/berlin").unwrap();
        assert_eq!(line.to_string(), "*/15 8-18 * * MON-FRI (Europe/Berlin)");
        for schedule in [line, Schedule::parse("1h 30m", "UTC").unwrap()] {
            let text = serde_json::to_string(&schedule).unwrap();
            assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule, "{text}");
        }
        let bad = r#"{"Cron":{"line":"0 0 31 2 *","zone":"UTC"}}"#;
        assert!(serde_json::from_str::<Schedule>(bad).is_err());
    }

    #[test]
    fn an_hour_that_is_skipped_moves_a_named_slot_behind_it_and_leaves_others_out() {
        // Berlin, 2027-03-28: 02:00 CET becomes 03:00 CEST at 01:00Z.
        let from = "2027-03-27T23:30:00Z";
        let berlin = |line| slots(line, "Europe/Berlin", from, 3);
        insta::assert_snapshot!(berlin("30 2 * * *").join(" "), @"2027-03-28T01:30:00Z 2027-03-29T00:30:00Z 2027-03-30T00:30:00Z");
        insta::assert_snapshot!(berlin("30 2,3 * * *").join(" "), @"2027-03-28T01:30:00Z 2027-03-29T00:30:00Z 2027-03-29T01:30:00Z");
        insta::assert_snapshot!(berlin("0,45 2,3 * * *").join(" "), @"2027-03-28T01:00:00Z 2027-03-28T01:45:00Z 2027-03-29T00:00:00Z");
        insta::assert_snapshot!(berlin("0 * * * *").join(" "), @"2027-03-28T00:00:00Z 2027-03-28T01:00:00Z 2027-03-28T02:00:00Z");
        insta::assert_snapshot!(berlin("0 */2 * * *").join(" "), @"2027-03-28T02:00:00Z 2027-03-28T04:00:00Z 2027-03-28T06:00:00Z");
    }

    #[test]
    fn a_moved_slot_is_found_from_behind_the_gap_too() {
        let slots = slots("45 2 * * *", "Europe/Berlin", "2027-03-28T01:10:00Z", 2);
        insta::assert_snapshot!(slots.join(" "), @"2027-03-28T01:45:00Z 2027-03-29T00:45:00Z");
    }

    #[test]
    fn an_hour_that_repeats_runs_a_named_slot_once_and_keeps_others_running() {
        // Berlin, 2026-10-25: 03:00 CEST becomes 02:00 CET at 01:00Z.
        let berlin = |line, count| slots(line, "Europe/Berlin", "2026-10-24T23:45:00Z", count);
        insta::assert_snapshot!(berlin("30 2 * * *", 2).join(" "), @"2026-10-25T00:30:00Z 2026-10-26T01:30:00Z");
        insta::assert_snapshot!(berlin("*/30 * * * *", 5).join(" "), @"2026-10-25T00:00:00Z 2026-10-25T00:30:00Z 2026-10-25T01:00:00Z 2026-10-25T01:30:00Z 2026-10-25T02:00:00Z");
    }

    #[test]
    fn a_slot_lies_strictly_after_and_before_the_end_of_time() {
        let schedule = CronSchedule::parse("@hourly", "UTC").unwrap();
        let at: Timestamp = "2026-11-21T02:00:00Z".parse().unwrap();
        assert_eq!(schedule.next_slot(at).unwrap().to_rfc3339_seconds(), "2026-11-21T03:00:00Z");
        let before = Timestamp::from_millis(at.as_millis() - 1);
        assert_eq!(schedule.next_slot(before), Some(at));
        assert_eq!(schedule.next_slot(Timestamp::from_millis(i64::MAX)), None);
        assert!(schedule.next_slot(Timestamp::from_millis(i64::MIN)).is_some());
    }

    fn number(min: u8, max: u8) -> impl Strategy<Value = String> {
        let plain = (min..=max).prop_map(|n| n.to_string());
        let range = (min..=max)
            .prop_flat_map(move |low| (Just(low), low..=max))
            .prop_map(|(low, high)| format!("{low}-{high}"));
        let step = (min..=max, 1..=6u8).prop_map(move |(low, step)| format!("{low}-{max}/{step}"));
        prop::collection::vec(prop_oneof![plain, range, step], 1..3).prop_map(|l| l.join(","))
    }

    fn any_field(min: u8, max: u8) -> impl Strategy<Value = String> {
        prop_oneof![2 => Just("*".to_owned()), 1 => Just("*/2".to_owned()), 3 => number(min, max)]
    }

    /// No `*/2` in a day field: croner does not count it as `*`, crontab(5) does.
    fn line() -> impl Strategy<Value = String> {
        let day = |min, max| prop_oneof![Just("*".to_owned()), number(min, max)];
        (any_field(0, 59), any_field(0, 23), day(1, 28), any_field(1, 12), day(0, 6))
            .prop_map(|(m, h, d, month, w)| format!("{m} {h} {d} {month} {w}"))
    }

    const YEAR: std::ops::Range<i64> = 1_780_000_000..1_811_536_000;

    proptest! {
        #[test]
        fn the_slots_are_those_of_croner(line in line(), start in YEAR) {
            let ours = CronSchedule::parse(&line, "UTC").unwrap();
            let oracle: croner::Cron = line.parse().unwrap();
            let mut at = start;
            for _ in 0..5 {
                let from = chrono::DateTime::from_timestamp(at, 0).unwrap();
                let theirs = oracle.find_next_occurrence(&from, false).unwrap().timestamp();
                let slot = ours.next_slot(Timestamp::from_millis(at * 1000)).unwrap();
                prop_assert_eq!(slot.as_millis() / 1000, theirs, "{} from {}", line, from);
                at = theirs;
            }
        }

        /// Every minute of three days around a change of clocks is judged on its own, by croner, in civil time.
        #[test]
        fn around_a_change_of_clocks_the_slots_are_those_of_a_minute_by_minute_walk(
            line in line(),
            transition in prop_oneof![Just("2027-03-28T01:00:00Z"), Just("2026-10-25T01:00:00Z")],
            start in 0..2880i64,
        ) {
            let ours = CronSchedule::parse(&line, "Europe/Berlin").unwrap();
            let oracle: croner::Cron = line.parse().unwrap();
            let matches = |civil: i64| {
                let at = chrono::DateTime::from_timestamp(civil, 0).unwrap();
                oracle.is_time_matching(&at).unwrap()
            };
            let zone = TimeZone::get("Europe/Berlin").unwrap();
            let middle = transition.parse::<Timestamp>().unwrap().as_millis() / 1000;
            let (low, high) = (middle - 86_400, middle + 86_400);
            let by_elapsed_time = line.split(' ').nth(1).unwrap().starts_with('*');
            let mut expected = BTreeSet::new();
            for at in (low..high).step_by(60) {
                if by_elapsed_time {
                    let offset = i64::from(zone.to_offset(timestamp(at)).seconds());
                    expected.extend(matches(at + offset).then_some(at));
                } else {
                    let civil = Offset::UTC.to_datetime(timestamp(at));
                    let instant = zone.to_ambiguous_timestamp(civil).compatible().unwrap();
                    expected.extend(matches(at).then_some(instant.as_second()));
                }
            }
            let from = low + start * 60 + 7;
            let slot = ours.next_slot(Timestamp::from_millis(from * 1000));
            let slot = slot.map(|slot| slot.as_millis() / 1000);
            match expected.range(from + 1..).next() {
                // The walk in civil time ends up to two hours before `high`.
                Some(next) if *next < high - 7200 => prop_assert_eq!(slot, Some(*next), "{}", line),
                _ => prop_assert!(slot.is_none_or(|slot| slot >= high - 7200), "{} {:?}", line, slot),
            }
        }

        #[test]
        fn slots_increase_strictly_in_every_zone(
            line in line(),
            zone in prop_oneof![
                Just("Europe/Berlin"), Just("Australia/Lord_Howe"), Just("America/Sao_Paulo"),
                Just("Africa/Casablanca"), Just("Pacific/Apia"), Just("Asia/Kathmandu"),
            ],
            start in 1_200_000_000..1_811_536_000i64,
        ) {
            let schedule = CronSchedule::parse(&line, zone).unwrap();
            let mut at = Timestamp::from_millis(start * 1000);
            for _ in 0..30 {
                let next = schedule.next_slot(at).unwrap();
                prop_assert!(next > at, "{} in {}: {} after {}", line, zone, next, at);
                at = next;
            }
        }
    }
}
