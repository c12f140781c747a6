//! What waits, in words and as data.

use serde::Serialize;

use crate::names::ObjectKey;
use crate::plan::{Held, HeldReason};
use crate::time::Timestamp;

use super::words::{WAITS, one_line, styled, when_exactly};

/// Something that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeldReport {
    object: ObjectKey,
    /// A stable word for programs.
    reason: &'static str,
    message: String,
    until: Option<Timestamp>,
    released_by: &'static str,
}

impl HeldReport {
    pub(super) fn of(held: &Held) -> Self {
        let (reason, released_by) = words(&held.reason);
        Self {
            object: held.object.clone(),
            reason,
            message: one_line(&held.reason.to_string()),
            until: held.until,
            released_by,
        }
    }

    pub(super) fn object(&self) -> &ObjectKey {
        &self.object
    }

    /// One line: what, why, until when.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let until = self.until.map(|at| format!(" (until {})", when_exactly(at, now)));
        let until = until.unwrap_or_default();
        format!("{}: {}{until}", styled(WAITS, &self.object), self.message)
    }
}

/// Whether it is meant to be so, and nothing is wrong or waits.
pub(super) fn is_at_rest(reason: &HeldReason) -> bool {
    matches!(reason, HeldReason::KeptRunning)
}

/// A stable word for the reason, and what ends it.
fn words(reason: &HeldReason) -> (&'static str, &'static str) {
    match reason {
        HeldReason::WaitingForImage { .. } => ("waitingForImage", "the first import of the tag"),
        HeldReason::NoDigest { .. } => ("noDigest", "a tag that is imported or pinned by digest"),
        HeldReason::WaitingForOrder { .. } => ("waitingForOrder", "`automatic: true`"),
        HeldReason::NoTrigger => ("noTrigger", "a trigger in the manifest"),
        HeldReason::BlankImage { .. } => ("blankImage", "an image or a trigger in the manifest"),
        HeldReason::Settling { .. } => ("settling", "the import, or the time given"),
        HeldReason::Failed { .. } => {
            ("failed", "a new digest, a changed template or `tidegate release`")
        }
        HeldReason::Paused => ("paused", "taking the pause out of the manifest"),
        HeldReason::NoSuchTarget { .. } => {
            ("noSuchTarget", "a target of that name, or another route")
        }
        HeldReason::NoTargetToStop { .. } => ("noTargetToStop", "a target of that name"),
        HeldReason::WaitingForSlot { .. } => ("waitingForSlot", "the end of another rollout"),
        HeldReason::Rejected { .. } => ("rejected", "a commit that corrects the manifest"),
        HeldReason::RemovalGuarded => {
            ("removalGuarded", "`tidegate release --removals`, or a commit that brings it back")
        }
        HeldReason::KeptRunning => ("keptRunning", "a commit that brings it back"),
        HeldReason::Grace => ("grace", "the time given"),
        HeldReason::NotUnderstood => ("notUnderstood", "a commit that has the object again"),
        HeldReason::RestoreFailed { .. } => {
            ("restoreFailed", "a new digest, a changed template or `tidegate release`")
        }
        HeldReason::StopFailed { .. } => ("stopFailed", "`tidegate release`"),
    }
}
