//! Maintenance windows: when a crontab line opens them, and for how long (rule T34).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CronSchedule, Schedule, Span, Timestamp};

/// A maintenance window (`tidegate.dev/window`): open for a span from each slot of a crontab line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    opens: CronSchedule,
    span: Span,
}

/// A text is not a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a cron line and a span, like `0 2 * * 1-5 2h`{}", .why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
pub struct WindowError {
    why: Option<String>,
}

impl Window {
    /// Reads a crontab line and a span; `zone` is an IANA name.
    ///
    /// # Errors
    /// When the text is anything else, the span is empty, or the line never fires.
    pub fn parse(text: &str, zone: &str) -> Result<Self, WindowError> {
        let parts = text.trim().rsplit_once(char::is_whitespace);
        let (line, span) = parts.ok_or(WindowError { why: None })?;
        let span: Span = span.parse().map_err(|_| WindowError { why: None })?;
        if span.0.is_zero() {
            return Err(WindowError { why: Some("a window of no length is never open".into()) });
        }
        match Schedule::parse(line.trim(), zone) {
            Ok(Schedule::Cron(opens)) => Ok(Self { opens, span }),
            Ok(Schedule::Every(_)) => Err(WindowError { why: None }),
            Err(error) => Err(WindowError { why: Some(error.to_string()) }),
        }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        let millis = i64::try_from(self.span.0.as_millis()).unwrap_or(i64::MAX);
        // The slot that opened it is the last one that is not over: none may lie exactly one span back.
        let from = Timestamp::from_millis(at.as_millis().saturating_sub(millis));
        self.opens.next_slot(from).is_some_and(|slot| slot <= at)
    }

    /// When it opens next; none if it never does again.
    #[must_use]
    pub fn opens_after(&self, at: Timestamp) -> Option<Timestamp> {
        self.opens.next_slot(at)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.opens, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_jiff(text.parse().expect("a time"))
    }

    #[test]
    fn a_window_is_open_from_its_slot_until_its_span_is_over() {
        let window = Window::parse("0 2 * * 1-5 2h", "Europe/Berlin").expect("a window");
        for (time, open) in [
            ("2026-11-23T00:59:59Z", false), // Monday, 1:59:59 in Berlin
            ("2026-11-23T01:00:00Z", true),
            ("2026-11-23T02:59:59.999Z", true),
            ("2026-11-23T03:00:00Z", false),
            ("2026-11-22T01:30:00Z", false), // Sunday
        ] {
            assert_eq!(window.is_open(at(time)), open, "{time}");
        }
        let next = window.opens_after(at("2026-11-20T03:00:00Z")); // Friday
        assert_eq!(next, Some(at("2026-11-23T01:00:00Z")));
    }

    #[test]
    fn windows_that_overlap_are_one() {
        let window = Window::parse("0 * * * * 90m", "UTC").expect("a window");
        assert!(window.is_open(at("2026-11-23T01:59:59Z")));
    }

    #[test]
    fn what_is_no_window_says_why() {
        for (text, why) in [
            ("", "expected a cron line and a span"),
            ("2h", "expected a cron line and a span"),
            ("0 2 * * * 2 hours", "expected a cron line and a span"),
            ("15m 2h", "expected a cron line and a span"),
            ("0 2 * * * 0s", "a window of no length is never open"),
            ("0 2 31 2 * 1h", "it never fires"),
        ] {
            let error = Window::parse(text, "UTC").expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
