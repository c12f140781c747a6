//! What was printed last, where that is why something failed.

use crate::fact::{BuildEnd, Fact, Outcome};

use super::super::words::lines_of;

/// What the target printed last, where that is why.
#[expect(clippy::wildcard_enum_match_arm, reason = "only these print something")]
pub(super) fn log(fact: &Fact) -> Vec<String> {
    let (failed, log) = match fact {
        Fact::RolloutFinished(end) => (end.outcome == Outcome::Failed, &end.log),
        Fact::JobFinished(end) => (end.outcome == Outcome::Failed, &end.log),
        Fact::BuildFinished(end) => (end.end != BuildEnd::Complete, &end.log),
        _ => return Vec::new(),
    };
    if failed { lines_of(log) } else { Vec::new() }
}
