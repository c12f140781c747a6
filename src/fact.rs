//! The vocabulary of the journal: what can happen.
//!
//! A [`Record`] is one line. Past tense, never edited; new meaning is a new variant. A reader that meets a variant it
//! does not know stops with "written by a newer version" (habit 23). Fields that are added later have a default, so
//! that old lines stay readable; fields are never reused.

mod advice;
mod build;
mod import;
mod job;
mod listing;
mod order;
mod overlay;
mod prune;
mod rollout;
mod scale;
mod source;

use serde::{Deserialize, Serialize};

use crate::names::{Account, ContentHash, Seq, StreamName};
use crate::time::Timestamp;

pub use advice::{advice, said};
pub use build::{
    BinaryInput, BuildCause, BuildCreated, BuildEnd, BuildEnding, BuildFinished, BuildImage,
    BuildOptions, BuildStage, BuildStarted, BuildTriggered, BuildUse, RunPolicy, SourceRevision,
    WebhookKind,
};
pub use import::{
    ImportFailed, ImportReason, Reason, TagEvent, TagImported, TagProbed, TagRecovered, TagTrimmed,
    Via,
};
pub use job::{Concurrency, CronSpec, JobCreated, JobEnding, JobFinished, JobMissed, JobStarted};
pub use listing::{
    LISTINGS_TO_VANISH, ListingFailed, TagRemoval, TagRemoved, TagsListed, Vanished, VanishedTag,
};
pub use order::{Ordered, RolloutOrdered, RolloutsPaused};
pub use overlay::{Overlaid, OverlaySet, SpecSource, TagSpec};
pub use prune::{
    ImageDeleted, ImagesPruned, Keep, ManifestDeleted, PruneOptions, PrunedItems, StoredManifest,
};
pub use rollout::{
    ContainerList, ContainerRef, DigestHeld, Ending, FailurePolicy, HoldReleased, Outcome, Release,
    RolloutCause, RolloutFinished, RolloutImage, RolloutStarted, RolloutStep, RolloutStepped,
    RolloutSuperseded, StopFinished, StopStarted, TagImage, TagImages, TriggerFired,
    TriggerOutcome,
};
pub use scale::{ScaleFinished, ScalePrepared, ScaleStarted};
pub use source::{
    Appeared, CommitAdopted, CommitRefused, CommitWithdrawn, Position, Rejected, RemovalFate,
    RemovalsReleased, Removed, SourceFailed, StreamChanged,
};

/// The facts that are about one workload alone, where a `match` treats them as one. The list is written once, so that a new
/// one is thought of in each of those places.
macro_rules! workload_fact {
    () => {
        $crate::fact::Fact::RolloutStarted(_)
            | $crate::fact::Fact::RolloutStepped(_)
            | $crate::fact::Fact::RolloutSuperseded(_)
            | $crate::fact::Fact::RolloutOrdered(_)
            | $crate::fact::Fact::RolloutFinished(_)
            | $crate::fact::Fact::DigestHeld(_)
            | $crate::fact::Fact::HoldReleased(_)
            | $crate::fact::Fact::StopStarted(_)
            | $crate::fact::Fact::StopFinished(_)
            | $crate::fact::Fact::ScaleStarted(_)
            | $crate::fact::Fact::ScalePrepared(_)
            | $crate::fact::Fact::ScaleFinished(_)
            | $crate::fact::Fact::JobStarted(_)
            | $crate::fact::Fact::JobCreated(_)
            | $crate::fact::Fact::JobEnding(_)
            | $crate::fact::Fact::JobFinished(_)
            | $crate::fact::Fact::JobMissed(_)
    };
}
pub(crate) use workload_fact;

/// The facts that are about the builds of one `BuildConfig` alone.
macro_rules! build_fact {
    () => {
        $crate::fact::Fact::BuildCreated(_)
            | $crate::fact::Fact::BuildStarted(_)
            | $crate::fact::Fact::BuildEnding(_)
            | $crate::fact::Fact::BuildFinished(_)
    };
}
pub(crate) use build_fact;

/// One line of the journal, without its hash.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its number; each record has that of the one before plus one.
    pub seq: Seq,
    /// When it was decided, by the wall clock.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Fact {
    /// A commit became the desired state: one commit, one record (law 9).
    CommitAdopted(Box<CommitAdopted>),
    /// A commit was looked at and not adopted; the one before stays in force.
    CommitRefused(CommitRefused),
    /// Nothing is refused any more: the branch is at the adopted commit again.
    CommitWithdrawn(CommitWithdrawn),
    /// The source stopped being readable. Recorded once, when it stops.
    SourceFailed(SourceFailed),
    /// The source is readable again.
    SourceRecovered,
    /// Removals that the guard held were let happen by an operator (rule D52).
    RemovalsReleased(RemovalsReleased),
    /// A tag was imported: it got an event, or its failure ended.
    TagImported(Box<TagImported>),
    /// The registry answers another digest for a tag whose image did not change (rule I197, item 4).
    TagProbed(TagProbed),
    /// A tag could not be imported. Recorded when the failure begins or changes (rules I69 to I71).
    ImportFailed(ImportFailed),
    /// A tag does not fail any more though it was not imported: what it follows is there and has no image yet, or it
    /// follows nothing (rule I77).
    TagRecovered(TagRecovered),
    /// Old items of a tag's history went, by the limit of its stream (rule I64).
    TagTrimmed(TagTrimmed),
    /// The tags of a stream's repository were listed, and they mean something else than before (rule I59).
    TagsListed(Box<TagsListed>),
    /// The tags of a stream's repository could not be listed (rule I60).
    ListingFailed(ListingFailed),
    /// A tag went with its history (rules I92, I93, I196).
    TagRemoved(TagRemoved),
    /// An operator put something over what git says of a tag, or took it away (rule I102, item 5).
    OverlaySet(Box<OverlaySet>),
    /// Items of histories and images went, by the order of an operator (rule I164).
    ImagesPruned(Box<ImagesPruned>),
    /// An image was deleted by an operator (rule I165).
    ImageDeleted(ImageDeleted),
    /// A manifest of a pruned image is gone from the managed registry (rule I164).
    ManifestDeleted(ManifestDeleted),
    /// A trigger saw a tag event; what it led to (rule T23).
    TriggerFired(TriggerFired),
    /// A rollout is about to be given to its target; its `seq` is its identity (law 1).
    RolloutStarted(Box<RolloutStarted>),
    /// A rollout is about to take a step at its target (rule R3).
    RolloutStepped(Box<RolloutStepped>),
    /// A running rollout is to be ended because something newer is wanted (rule D16).
    RolloutSuperseded(RolloutSuperseded),
    /// A rollout ended.
    RolloutFinished(RolloutFinished),
    /// An operator ordered a rollout (rules D41, D43, D47).
    RolloutOrdered(RolloutOrdered),
    /// An operator paused rollouts, or let them go on (rule D46).
    RolloutsPaused(RolloutsPaused),
    /// What failed at a target is not tried there again by itself (law 6, rule T25).
    DigestHeld(DigestHeld),
    /// A hold ended.
    HoldReleased(HoldReleased),
    /// A workload that git no longer has is about to be stopped at its target (rule D51).
    StopStarted(StopStarted),
    /// Stopping a workload ended.
    StopFinished(StopFinished),
    /// Instances of what runs are about to be added or removed (rule D22).
    ScaleStarted(ScaleStarted),
    /// What is going to run then is put together.
    ScalePrepared(ScalePrepared),
    /// Adding or removing instances ended.
    ScaleFinished(ScaleFinished),
    /// A run of a `CronJob` is about to begin (law 1, rule R17a).
    JobStarted(Box<JobStarted>),
    /// The pod of a run is made and about to be started.
    JobCreated(JobCreated),
    /// A run is about to be ended before its end.
    JobEnding(JobEnding),
    /// A run ended.
    JobFinished(JobFinished),
    /// Times at which a `CronJob` was to run passed without a run.
    JobMissed(JobMissed),
    /// A build was created, with its number and what its triggers saw (rules B4, B5).
    BuildCreated(Box<BuildCreated>),
    /// A build is about to be given to the builder (law 1).
    BuildStarted(BuildStarted),
    /// A build is to be ended before its end.
    BuildEnding(BuildEnding),
    /// A build ended.
    BuildFinished(Box<BuildFinished>),
    /// The daemon took a configuration into use; only when it differs from the last one recorded.
    ConfigAdopted(ConfigAdopted),
    /// Records that were written once are gone, and an operator said to go on without them.
    RecordsLost(RecordsLost),
    /// When each scheduled stream was last checked, so that a restart neither herds nor delays (rule I111).
    Checkpoint(Checkpoint),
    /// The file system of the state directory is nearly full: nothing is started until there is space again.
    SpaceShort(Space),
    /// There is space again.
    SpaceRegained(Space),
    /// Old records were folded into a snapshot and removed, as `[journal]` says.
    HistoryDropped(HistoryDropped),
}

impl Fact {
    /// Every name that [`Self::kind`] gives, in the order of the variants.
    pub const KINDS: [&'static str; 47] = [
        "CommitAdopted",
        "CommitRefused",
        "CommitWithdrawn",
        "SourceFailed",
        "SourceRecovered",
        "RemovalsReleased",
        "TagImported",
        "TagProbed",
        "ImportFailed",
        "TagRecovered",
        "TagTrimmed",
        "TagsListed",
        "ListingFailed",
        "TagRemoved",
        "OverlaySet",
        "ImagesPruned",
        "ImageDeleted",
        "ManifestDeleted",
        "TriggerFired",
        "RolloutStarted",
        "RolloutStepped",
        "RolloutSuperseded",
        "RolloutFinished",
        "RolloutOrdered",
        "RolloutsPaused",
        "DigestHeld",
        "HoldReleased",
        "StopStarted",
        "StopFinished",
        "ScaleStarted",
        "ScalePrepared",
        "ScaleFinished",
        "JobStarted",
        "JobCreated",
        "JobEnding",
        "JobFinished",
        "JobMissed",
        "BuildCreated",
        "BuildStarted",
        "BuildEnding",
        "BuildFinished",
        "ConfigAdopted",
        "RecordsLost",
        "Checkpoint",
        "SpaceShort",
        "SpaceRegained",
        "HistoryDropped",
    ];

    /// The variant's name, as the journal spells it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CommitAdopted(_) => "CommitAdopted",
            Self::CommitRefused(_) => "CommitRefused",
            Self::CommitWithdrawn(_) => "CommitWithdrawn",
            Self::SourceFailed(_) => "SourceFailed",
            Self::SourceRecovered => "SourceRecovered",
            Self::RemovalsReleased(_) => "RemovalsReleased",
            Self::TagImported(_) => "TagImported",
            Self::TagProbed(_) => "TagProbed",
            Self::ImportFailed(_) => "ImportFailed",
            Self::TagRecovered(_) => "TagRecovered",
            Self::TagTrimmed(_) => "TagTrimmed",
            Self::TagsListed(_) => "TagsListed",
            Self::ListingFailed(_) => "ListingFailed",
            Self::TagRemoved(_) => "TagRemoved",
            Self::OverlaySet(_) => "OverlaySet",
            Self::ImagesPruned(_) => "ImagesPruned",
            Self::ImageDeleted(_) => "ImageDeleted",
            Self::ManifestDeleted(_) => "ManifestDeleted",
            Self::TriggerFired(_) => "TriggerFired",
            Self::RolloutStarted(_) => "RolloutStarted",
            Self::RolloutStepped(_) => "RolloutStepped",
            Self::RolloutSuperseded(_) => "RolloutSuperseded",
            Self::RolloutFinished(_) => "RolloutFinished",
            Self::RolloutOrdered(_) => "RolloutOrdered",
            Self::RolloutsPaused(_) => "RolloutsPaused",
            Self::DigestHeld(_) => "DigestHeld",
            Self::HoldReleased(_) => "HoldReleased",
            Self::StopStarted(_) => "StopStarted",
            Self::StopFinished(_) => "StopFinished",
            Self::ScaleStarted(_) => "ScaleStarted",
            Self::ScalePrepared(_) => "ScalePrepared",
            Self::ScaleFinished(_) => "ScaleFinished",
            Self::JobStarted(_) => "JobStarted",
            Self::JobCreated(_) => "JobCreated",
            Self::JobEnding(_) => "JobEnding",
            Self::JobFinished(_) => "JobFinished",
            Self::JobMissed(_) => "JobMissed",
            Self::BuildCreated(_) => "BuildCreated",
            Self::BuildStarted(_) => "BuildStarted",
            Self::BuildEnding(_) => "BuildEnding",
            Self::BuildFinished(_) => "BuildFinished",
            Self::ConfigAdopted(_) => "ConfigAdopted",
            Self::RecordsLost(_) => "RecordsLost",
            Self::Checkpoint(_) => "Checkpoint",
            Self::SpaceShort(_) => "SpaceShort",
            Self::SpaceRegained(_) => "SpaceRegained",
            Self::HistoryDropped(_) => "HistoryDropped",
        }
    }
}

/// A configuration was taken into use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigAdopted {
    /// Hash of its effective values; secrets are not among them.
    pub hash: ContentHash,
    /// The version of the program that took it.
    pub version: String,
}

/// Records that were written once are gone: an older copy of the journal was put in place, or none at all.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsLost {
    /// The last of them that is known of; none if only the operator knows that there were any.
    pub last: Option<Seq>,
}

/// What is left on the file system of the state directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// Bytes that may still be written; 0 where a write was refused.
    pub free: u64,
    /// Bytes below which nothing is started.
    pub needed: u64,
}

impl Space {
    /// Whether that is too little; one that was short is so until there is twice as much, so that it does not flap.
    #[must_use]
    pub fn is_short(self, was_short: bool) -> bool {
        let enough = if was_short { self.needed.saturating_mul(2) } else { self.needed };
        self.free < enough
    }
}

/// Old records were removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryDropped {
    /// The oldest record that is left.
    pub oldest: Seq,
    /// How many went.
    pub records: u64,
}

/// What a restart must not forget of checks that brought nothing new.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Streams checked since the checkpoint before, with the time of the last check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checked: Vec<(StreamName, Timestamp)>,
    /// Requests of registries that count them, set aside before they are made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quota: Vec<QuotaMark>,
    /// Registries that asked to be left alone, and until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resting: Vec<(String, Timestamp)>,
}

/// Requests that count towards the limit of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaMark {
    /// The account.
    pub account: Account,
    /// The beginning of the time in which they are made; a later mark with the same one takes its place.
    pub since: Timestamp,
    /// How many, at most.
    pub requests: u64,
}
