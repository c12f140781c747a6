//! When to read the source.

use crate::limits::SOURCE_RETRY_FIRST;

use super::{Plan, Step, View};

/// Plans the source: now if somebody asked or it was never read, else after the poll interval or the back-off.
pub(super) fn plan(view: &View<'_>) -> Plan {
    let source = &view.soft.source;
    if source.in_flight {
        return Plan::default();
    }
    let Some(read_at) = source.read_at else { return Plan::step(Step::ReadSource) };
    if source.nudged {
        return Plan::step(Step::ReadSource);
    }
    let interval = match source.failures {
        0 => view.policy.source_poll,
        n => back_off(SOURCE_RETRY_FIRST, n, view.policy.source_poll),
    };
    let due = read_at.after(interval);
    if due <= view.now.mono { Plan::step(Step::ReadSource) } else { Plan::due(due) }
}

/// The delay after `failures` failures in a row: `first`, doubled each time, at most `cap`.
pub(crate) fn back_off(
    first: std::time::Duration,
    failures: u32,
    cap: std::time::Duration,
) -> std::time::Duration {
    let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(cap)
}
