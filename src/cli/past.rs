//! The state as it was at a point of the journal.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::journal;
use crate::names::Seq;
use crate::observed::ObservedState;
use crate::time::{Monotonic, Now, Timestamp};

use super::offline;
use super::when::{Point, When};

/// The state at a point, and the time that is meant by it.
pub(super) struct Past {
    pub(super) state: ObservedState,
    pub(super) now: Now,
}

/// Folds the records up to a point: a record, or the last one before a time.
///
/// # Errors
/// When the point is older than what the journal keeps, or newer than it is.
pub(super) fn state_at(root: &Path, point: Point) -> anyhow::Result<Past> {
    if !offline::has_journal(root)? {
        bail!("there is no journal in `{}` yet", root.display());
    }
    let wall = Timestamp::from_jiff(jiff::Timestamp::now());
    let (state, at) = match point {
        Point::Record(seq) => {
            let state = at_record(root, seq)?;
            let at = state.last_at.unwrap_or(wall);
            (state, at)
        }
        Point::Time(when) => {
            let at = when.time(wall);
            (at_time(root, when, at)?, at.min(wall))
        }
    };
    Ok(Past { state, now: Now { wall: at, mono: Monotonic::START } })
}

/// The state before the oldest record that can be folded, and the records from there.
fn begin(root: &Path, seq: Seq) -> anyhow::Result<(ObservedState, journal::Reader)> {
    let (base, reader) = journal::read_before(root, seq)?;
    let before = reader.head().map_or(Seq(0), |head| head.seq);
    let state = match &base {
        Some(base) => base.state().with_context(|| {
            format!("the snapshot `{}` of the journal cannot be used", base.path().display())
        })?,
        None if before == Seq(0) => ObservedState::default(),
        None => bail!(
            "the journal begins at record {}, and no snapshot tells the state before that; the oldest that is \
             possible is the next snapshot (`ls {}/journal`)",
            before.next(),
            root.display()
        ),
    };
    Ok((state, reader))
}

fn at_record(root: &Path, seq: Seq) -> anyhow::Result<ObservedState> {
    let (mut state, mut records) = begin(root, seq)?;
    if state.last_seq > seq || seq == Seq(0) {
        bail!("record {seq} is older than the journal; {}", oldest(&state, &mut records)?);
    }
    while state.last_seq < seq {
        match records.next().transpose()? {
            Some(record) => state.apply(&record),
            None => {
                bail!("there is no record {seq}: the journal ends at record {}", state.last_seq)
            }
        }
    }
    Ok(state)
}

fn at_time(root: &Path, when: When, at: Timestamp) -> anyhow::Result<ObservedState> {
    let (mut state, mut records) = begin(root, Seq(0))?;
    let shown = match when {
        When::At(_) => at.to_rfc3339_seconds(),
        When::Ago(span) => format!("{span} ago ({})", at.to_rfc3339_seconds()),
    };
    if state.last_at.is_some_and(|first| first > at) {
        bail!("{shown} is older than the journal; {}", oldest(&state, &mut records)?);
    }
    while let Some(record) = records.next().transpose()? {
        if record.at > at {
            if state.last_seq == Seq(0) {
                bail!(
                    "{shown} is older than the journal; the oldest point that is possible is record {} of {}",
                    record.seq,
                    record.at.to_rfc3339_seconds()
                );
            }
            break;
        }
        state.apply(&record);
    }
    Ok(state)
}

/// Names the oldest point that is possible.
fn oldest(state: &ObservedState, records: &mut journal::Reader) -> anyhow::Result<String> {
    let first = match state.last_at {
        Some(at) => Some((state.last_seq, at)),
        None => records.next().transpose()?.map(|record| (record.seq, record.at)),
    };
    Ok(first.map_or_else(
        || "it has no records yet".to_owned(),
        |(seq, at)| {
            let at = at.to_rfc3339_seconds();
            format!("the oldest point that is possible is record {seq} of {at}")
        },
    ))
}
