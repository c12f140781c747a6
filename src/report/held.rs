//! What waits, in words and as data.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::names::{Digest, ObjectKey};
use crate::observed::ObservedState;
use crate::plan::hold::{FAILED_ENDS, Gate};
use crate::plan::{Held, HeldReason};
use crate::time::Timestamp;

use super::words::{WAITS, lines_of, one_line, printed, styled, when_exactly};

/// Something that waits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HeldReport {
    object: ObjectKey,
    /// A stable word for programs.
    reason: &'static str,
    message: String,
    /// Since when, where a set of digests is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Timestamp>,
    /// That set (rule T25).
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    digests: BTreeSet<Digest>,
    until: Option<Timestamp>,
    released_by: &'static str,
    /// What the target printed last, where that is why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
}

impl HeldReport {
    pub(super) fn of(held: &Held) -> Self {
        let (reason, released_by) = words(&held.reason);
        let failed = if let HeldReason::Failed { since, digests, .. } = &held.reason {
            Some((*since, digests.clone()))
        } else {
            None
        };
        let (since, digests) = failed.unzip();
        let digests = digests.unwrap_or_default();
        Self {
            since,
            digests,
            object: held.object.clone(),
            reason,
            message: one_line(&held.reason.to_string()),
            until: held.until,
            released_by,
            log: Vec::new(),
        }
    }

    /// The same with what the target printed, as far as it is still known.
    pub(super) fn with_log(held: &Held, observed: &ObservedState) -> Self {
        let rollouts = observed.workloads.get(&held.object).map(|state| &state.rollouts);
        let mut rollouts = rollouts.into_iter().flatten();
        let rollout = if let HeldReason::Failed { rollout, .. } = &held.reason {
            rollouts.find(|known| known.seq == *rollout)
        } else if let HeldReason::RestoreFailed { .. } = &held.reason {
            rollouts.last()
        } else {
            None
        };
        let end = rollout.and_then(|rollout| rollout.end.as_ref());
        let log = end.map(|end| lines_of(&end.log)).unwrap_or_default();
        Self { log, ..Self::of(held) }
    }

    /// The lines below [`HeldReport::line`]: what the target printed.
    pub(super) fn below(&self, indent: usize) -> String {
        printed(&self.log, indent)
    }

    pub(super) fn object(&self) -> &ObjectKey {
        &self.object
    }

    /// Whether it is an invalid object, which texts list with what is rejected.
    pub(super) fn is_rejected(&self) -> bool {
        self.reason == "rejected"
    }

    /// Whether it is a removal that the guard holds.
    pub(super) fn is_guarded(&self) -> bool {
        self.reason == "removalGuarded"
    }

    /// One line: what, why, until when.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let until = self.until.map(|at| format!(" (until {})", when_exactly(at, now)));
        let until = until.unwrap_or_default();
        let since = self.since.map(|at| format!(" (held {})", when_exactly(at, now)));
        let since = since.unwrap_or_default();
        format!("{}: {}{since}{until}", styled(WAITS, &self.object), self.message)
    }
}

/// Whether it is meant to be so, and nothing is wrong or waits.
pub(super) fn is_at_rest(reason: &HeldReason) -> bool {
    matches!(
        reason,
        HeldReason::KeptRunning | HeldReason::VanishedInUse { .. } | HeldReason::Suspended
    )
}

/// Whether it counts as held: what is rejected is counted by itself, and a rollout in the queue is on its way.
pub(super) fn is_counted(reason: &HeldReason) -> bool {
    let elsewhere = matches!(
        reason,
        HeldReason::Rejected { .. } | HeldReason::WaitingForSlot { .. } | HeldReason::Due
    );
    !is_at_rest(reason) && !elsewhere
}

/// A stable word for the reason, and what ends it.
fn words(reason: &HeldReason) -> (&'static str, &'static str) {
    match reason {
        HeldReason::WaitingForImage { .. } => ("waitingForImage", "the first import of the tag"),
        HeldReason::NoDigest { .. } => ("noDigest", "a tag that is imported or pinned by digest"),
        HeldReason::CrossNamespace { .. } => {
            ("crossNamespace", "`triggers.cross_namespace`, or a stream of its own namespace")
        }
        HeldReason::WaitingForOrder { .. } => ("waitingForOrder", "`automatic: true`"),
        HeldReason::NoTrigger => ("noTrigger", "a trigger in the manifest"),
        HeldReason::BlankImage { .. } => ("blankImage", "an image or a trigger in the manifest"),
        HeldReason::Settling { .. } => ("settling", "the import, or the time given"),
        HeldReason::Failed { .. } => ("failed", FAILED_ENDS),
        HeldReason::Paused { .. } => ("paused", "taking the pause out of the manifest"),
        HeldReason::PausedBy { .. } => ("paused", "`tidegate rollout resume`"),
        HeldReason::WentBack { .. } => (
            "wentBack",
            "a commit that changes it, `tidegate rollout latest` or `tidegate release`",
        ),
        HeldReason::NoSuchRollout { .. } => ("noSuchRollout", "`tidegate rollout latest`"),
        HeldReason::Gated { gate } => (
            match gate {
                Gate::Window { .. } => "window",
                Gate::TooYoung { .. } => "minimumAge",
                Gate::Flapping { .. } => "flapGuard",
                Gate::TooSoon { .. } => "minInterval",
            },
            "the time given, or `tidegate rollout latest`",
        ),
        HeldReason::Build(build) => build.words(),
        HeldReason::NoSuchTarget { .. } => {
            ("noSuchTarget", "a target of that name, or another route")
        }
        HeldReason::Unsupported { .. } => {
            ("unsupported", "another manifest or another target in a commit")
        }
        HeldReason::ConfigMissing { .. } => ("configMissing", "a commit that has it"),
        HeldReason::NoTargetToStop { .. } => ("noTargetToStop", "a target of that name"),
        HeldReason::WaitingForSlot { .. } => ("waitingForSlot", "the end of another rollout"),
        HeldReason::Due => ("due", "a running daemon"),
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
        HeldReason::VanishedInUse { .. } => ("vanishedInUse", "whoever uses the tag"),
        HeldReason::StopFailed { .. } => ("stopFailed", "`tidegate release`"),
        HeldReason::ScaleFailed { .. } => {
            ("scaleFailed", "another number of replicas, a rollout or `tidegate release`")
        }
        HeldReason::Suspended => ("suspended", "taking `spec.suspend` out of the manifest"),
        HeldReason::JobRuns { .. } => ("jobRuns", "the end of the earlier run"),
        HeldReason::JobTrouble { .. } => ("jobTrouble", "the next attempt"),
        HeldReason::JobFailed { .. } => ("jobFailed", "a run that succeeds"),
        HeldReason::JobsAhead { .. } => ("jobsAhead", "the time given, or `tidegate release`"),
    }
}
