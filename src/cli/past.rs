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

/// Folds the records up to a point: a record, or the last one that was stamped up to a time.
///
/// # Errors
/// When the point is older than what the journal keeps, or newer than it is: a record that is not there, or a time that
/// has not come yet.
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
            (at_record(root, seq_at(root, when, wall)?)?, at)
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
            "the journal begins at record {}, and no snapshot tells the state before that; {}",
            before.next(),
            oldest_snapshot(root)?
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

/// The last record that was stamped at or before a time.
///
/// A later stamp ends nothing: a clock may have been ahead for one record, and those behind it, which state earlier times,
/// were written later all the same. So every record is looked at, and nothing is folded before it is known up to where:
/// then any snapshot up to there does, and that before the oldest record need not be the one.
fn seq_at(root: &Path, when: When, wall: Timestamp) -> anyhow::Result<Seq> {
    let at = when.time(wall);
    let shown = match when {
        When::At(_) => at.to_rfc3339_seconds(),
        When::Ago(span) => format!("{span} ago ({})", at.to_rfc3339_seconds()),
    };
    if at > wall {
        bail!("{shown} has not come yet: it is now {}", wall.to_rfc3339_seconds());
    }
    let (base, records) = journal::read_before(root, Seq(0))?;
    let begins = records.head().is_none_or(|head| head.seq == Seq(0));
    let base = base.and_then(|base| base.state::<ObservedState>().ok());
    let base = base.and_then(|state| Some((state.last_seq, state.last_at?)));
    let records = records.map(|record| record.map(|record| (record.seq, record.at)));
    let (mut last, mut oldest) = (None, None);
    for found in base.map(Ok).into_iter().chain(records) {
        let (seq, stamp) = found.with_context(|| {
            format!(
                "cannot tell the last record up to {shown}; give the number of a record instead"
            )
        })?;
        if stamp <= at {
            last = Some(seq);
        }
        if oldest.is_none_or(|(_, oldest)| stamp < oldest) {
            oldest = Some((seq, stamp));
        }
    }
    match last {
        Some(seq) => Ok(seq),
        None if begins || base.is_some() => {
            bail!("{shown} is older than the journal; {}", possible(oldest))
        }
        None => bail!("{shown} is older than the journal; {}", oldest_snapshot(root)?),
    }
}

/// Names the oldest point that is possible where a record is asked for.
fn oldest(state: &ObservedState, records: &mut journal::Reader) -> anyhow::Result<String> {
    Ok(possible(match state.last_at {
        Some(at) => Some((state.last_seq, at)),
        None => records.next().transpose()?.map(|record| (record.seq, record.at)),
    }))
}

/// Names the oldest snapshot that can be used, where the one before the oldest record cannot.
fn oldest_snapshot(root: &Path) -> anyhow::Result<String> {
    let (mut snapshot, _) = journal::read_state(root)?;
    let mut oldest = None;
    while let Some(found) = snapshot {
        let (older, _) = journal::read_before(root, Seq(found.seq().0.saturating_sub(1)))?;
        // That before the oldest record is given whatever is asked for.
        snapshot = older.filter(|older| older.seq() < found.seq());
        oldest = Some(found);
    }
    let Some(oldest) = oldest else { return Ok(possible(None)) };
    let state: ObservedState = oldest.state().with_context(|| {
        format!("the snapshot `{}` of the journal cannot be used", oldest.path().display())
    })?;
    Ok(possible(state.last_at.map(|at| (state.last_seq, at))))
}

fn possible(oldest: Option<(Seq, Timestamp)>) -> String {
    oldest.map_or_else(
        || "it has no records yet".to_owned(),
        |(seq, at)| {
            let at = at.to_rfc3339_seconds();
            format!("the oldest point that is possible is record {seq} of {at}")
        },
    )
}
