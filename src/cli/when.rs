//! Points in time, as users write them.

use crate::names::Seq;
use crate::time::{Span, Timestamp};

/// A time, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    At(Timestamp),
    Ago(Span),
}

/// What a time may look like.
const SHAPES: &str = "expected a time like 2026-11-21T08:00:00Z, a local one like 2026-11-21T09:00 or 2026-11-21, or a \
                      span ago like 2h";

/// Reads a time: RFC 3339, a date and perhaps a time of this machine's zone, or a span ago.
pub(super) fn when(text: &str) -> Result<When, String> {
    let zone = jiff::tz::TimeZone::system();
    let local = |text: &str| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        Some(Timestamp::from_jiff(civil.to_zoned(zone).ok()?.timestamp()))
    };
    let span = text.parse().map(When::Ago);
    span.or_else(|_| text.parse().map(When::At))
        .or_else(|_| local(text).map(When::At).ok_or(()))
        .map_err(|()| SHAPES.to_owned())
}

/// Reads the number of a record.
pub(super) fn seq(text: &str) -> Result<Seq, String> {
    text.parse().map(Seq).map_err(|_| "expected the number of a record, like 4711".to_owned())
}

impl When {
    /// The time that is meant.
    pub(super) fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(span) => {
                let before = i64::try_from(span.0.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_millis(now.as_millis().saturating_sub(before))
            }
        }
    }
}

/// A point of the journal: a time, or a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Time(When),
    Record(Seq),
}

/// Reads a point: the number of a record, or a time.
pub(super) fn point(text: &str) -> Result<Point, String> {
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
        return seq(text).map(Point::Record);
    }
    when(text).map(Point::Time).map_err(|shapes| format!("{shapes}, or the number of a record"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_usual_form() {
        let at: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        assert_eq!(when("2026-11-21T08:00:00Z"), Ok(When::At(at)));
        assert_eq!(when("2026-11-21T09:00:00+01:00"), Ok(When::At(at)));
        assert_eq!(when("2h").unwrap().time(at), "2026-11-21T06:00:00Z".parse().unwrap());
        let zone = jiff::tz::TimeZone::system();
        let local = jiff::civil::date(2026, 11, 21).at(9, 30, 0, 0).to_zoned(zone).unwrap();
        let local = When::At(Timestamp::from_jiff(local.timestamp()));
        assert_eq!(when("2026-11-21T09:30"), Ok(local));
        assert_eq!(when("2026-11-21 09:30:00"), Ok(local));
        assert!(when("2026-11-21").is_ok());
        assert!(when("yesterday").unwrap_err().contains("expected a time like"));
    }

    #[test]
    fn a_point_is_a_record_or_a_time() {
        assert_eq!(point("4711"), Ok(Point::Record(Seq(4711))));
        assert!(matches!(point("2h"), Ok(Point::Time(When::Ago(_)))));
        assert!(matches!(point("2026-11-21"), Ok(Point::Time(When::At(_)))));
        assert!(point("soon").unwrap_err().ends_with("or the number of a record"));
        assert!(point("99999999999999999999999").is_err());
    }
}
