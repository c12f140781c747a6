//! Deliberate bugs, to prove that the simulator sees: `tests/it/sim/mutations.rs` switches each on and must be told.
//!
//! They exist only with the feature `sabotage`, which nothing but tests uses, and are off until a thread switches one on
//! for itself. Without the feature [`is`] is a constant: what is shipped has nothing of them.

/// A bug. Each stands at one place of the program, in one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// Records are written and not synced.
    SkipAppendSync,
    /// The name of a new file of the journal is not synced.
    SkipDirectorySync,
    /// An append that failed is taken for one that went well.
    GoOnAfterFailure,
    /// What a failed sync may have left unwritten is not written again at the next start.
    TrustFailedSync,
    /// More than the torn end of the journal is cut off.
    CutTooMuch,
    /// A rollout that replaces another has that one's key.
    ReuseKey,
    /// A snapshot or a large value is written under its own name at once.
    WriteInPlace,
    /// A large value is not synced before it gets its name.
    SkipObjectSync,
    /// Large values are stored after the record that names them.
    StoreAfterAppend,
    /// Actions are started before the records that they follow from are appended.
    ActBeforeAppend,
    /// What falls due is forgotten.
    DropDueKey,
    /// A trigger fires twice for one tag event.
    DoubleTrigger,
    /// What failed is not held.
    ForgetHold,
    /// An action that is to be ended goes on.
    ForgetCancel,
    /// What was stopped is stopped again.
    StopTwice,
    /// A checkpoint says nothing to the next start.
    LoseCheckpoint,
    /// A start does not know what was asked of registries that count it.
    ForgetQuota,
    /// Requests that registries count are made before they are set aside.
    SpendFirst,
    /// An answer that nobody waits for is taken.
    TakeStaleAnswer,
    /// What a restart finds running is not delivered again.
    ForgetRunning,
    /// What a restart finds running takes no place.
    ForgetPlaces,
    /// An ended rollout keeps its place.
    KeepPlace,
    /// An empty tree removes everything at once.
    TrustEmptyTree,
    /// A listing that is empty makes every tag of its repository vanish.
    TrustEmptyListing,
    /// An overlay outlives the commit that changes its tag.
    KeepOverlay,
    /// A copy that failed is recorded as one that is there.
    CallItCopied,
    /// A failed import is not recorded.
    HideFailure,
    /// A target's verdict is recorded as success.
    CallItSuccess,
    /// The rollout that a restart repeats has another key.
    NewKey,
    /// What runs already is rolled out again now and then.
    RollOutAgain,
    /// A step that fails is not rolled back.
    SkipRollback,
    /// The old revision ends before the new one was seen to be healthy.
    SkipVerify,
    /// The scheduled time that a run began for is not remembered.
    ForgetSlot,
    /// A prune takes what runs and what may have to be put back.
    PruneInUse,
    /// History goes whatever its age.
    DropYoung,
    /// History goes without a snapshot of the state before what is left.
    SkipBase,
    /// A collection takes what was put while it ran.
    CollectAtOnce,
    /// That instances were added or removed is forgotten.
    ForgetScale,
    /// A hook writes into a tag what it says already.
    TagAgain,
    /// Instances that are to be replaced a few at a time all end first.
    StopToUpdate,
    /// All of the new instances are started at once, whatever may run beside the old ones.
    IgnoreSurge,
    /// Old instances end though the new ones were not seen to be available.
    IgnoreWaiting,
    /// An update that was broken off is taken for one that is done.
    HalfUpdated,
    /// A window is always open.
    IgnoreWindow,
    /// An image is old enough as soon as it is known.
    IgnoreAge,
    /// However short a time ago the last rollout by images was, the next one follows.
    IgnoreInterval,
    /// What waits for a time does not say so.
    HideWait,
    /// What waits for a time is not told when that is.
    WaitForEver,
    /// What annotations say of a `Pod` is a part of what runs.
    CountAnnotations,
    /// What the triggers of every other build saw is not remembered.
    ForgetBuildTrigger,
    /// A build is numbered by how many are remembered.
    ReuseBuildNumber,
    /// A build is created twice.
    BuildTwice,
    /// A build is complete before its image is in the history of its tag.
    EndBeforeTag,
    /// Builds run beside each other, whatever their policy says.
    IgnoreRunPolicy,
    /// A build that a restart finds running takes no place.
    ForgetBuildPlaces,
    /// What a build makes starts it again.
    BuildInRing,
    /// A build that did not get through is recorded as complete.
    CallItBuilt,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 57] = [
        Self::SkipAppendSync,
        Self::SkipDirectorySync,
        Self::GoOnAfterFailure,
        Self::TrustFailedSync,
        Self::CutTooMuch,
        Self::ReuseKey,
        Self::WriteInPlace,
        Self::SkipObjectSync,
        Self::StoreAfterAppend,
        Self::ActBeforeAppend,
        Self::DropDueKey,
        Self::DoubleTrigger,
        Self::ForgetHold,
        Self::ForgetCancel,
        Self::StopTwice,
        Self::LoseCheckpoint,
        Self::ForgetQuota,
        Self::SpendFirst,
        Self::TakeStaleAnswer,
        Self::ForgetRunning,
        Self::ForgetPlaces,
        Self::KeepPlace,
        Self::TrustEmptyTree,
        Self::TrustEmptyListing,
        Self::KeepOverlay,
        Self::CallItCopied,
        Self::HideFailure,
        Self::CallItSuccess,
        Self::NewKey,
        Self::RollOutAgain,
        Self::SkipRollback,
        Self::SkipVerify,
        Self::ForgetSlot,
        Self::PruneInUse,
        Self::DropYoung,
        Self::SkipBase,
        Self::CollectAtOnce,
        Self::ForgetScale,
        Self::TagAgain,
        Self::StopToUpdate,
        Self::IgnoreSurge,
        Self::IgnoreWaiting,
        Self::HalfUpdated,
        Self::IgnoreWindow,
        Self::IgnoreAge,
        Self::IgnoreInterval,
        Self::HideWait,
        Self::WaitForEver,
        Self::CountAnnotations,
        Self::ForgetBuildTrigger,
        Self::ReuseBuildNumber,
        Self::BuildTwice,
        Self::EndBeforeTag,
        Self::IgnoreRunPolicy,
        Self::ForgetBuildPlaces,
        Self::BuildInRing,
        Self::CallItBuilt,
    ];
}

#[cfg(feature = "sabotage")]
thread_local! {
    static ON: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Whether this thread has this bug.
#[cfg(feature = "sabotage")]
#[must_use]
pub fn is(bug: Bug) -> bool {
    ON.get() == Some(bug)
}

/// Whether this thread has this bug: no.
#[cfg(not(feature = "sabotage"))]
#[must_use]
pub const fn is(_bug: Bug) -> bool {
    false
}

/// Gives this thread a bug, or takes it away.
#[cfg(feature = "sabotage")]
pub fn set(bug: Option<Bug>) {
    ON.set(bug);
}

/// Takes an error for success if this thread has this bug.
pub(crate) fn forgive<E>(bug: Bug) -> impl FnOnce(E) -> Result<(), E> {
    move |error| if is(bug) { Ok(()) } else { Err(error) }
}
