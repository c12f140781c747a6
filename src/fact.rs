//! The vocabulary of the journal: what can happen.
//!
//! A [`Record`] is one line. Past tense, never edited; new meaning is a new variant. A reader that meets a variant it
//! does not know stops with "written by a newer version" (habit 23). Fields that are added later have a default, so
//! that old lines stay readable; fields are never reused.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::names::{
    CommitId, ContentHash, Digest, Generation, Incarnation, ObjectKey, Revision, RolloutKey, Seq,
    StreamName, StreamTag, TagName, TargetName,
};
use crate::time::Timestamp;

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
    /// A trigger saw a tag event; what it led to (rule T23).
    TriggerFired(TriggerFired),
    /// A rollout is about to be given to its target; its `seq` is its identity (law 1).
    RolloutStarted(Box<RolloutStarted>),
    /// A running rollout is to be ended because something newer is wanted (rule D16).
    RolloutSuperseded(RolloutSuperseded),
    /// A rollout ended.
    RolloutFinished(RolloutFinished),
    /// What failed at a target is not tried there again by itself (law 6, rule T25).
    DigestHeld(DigestHeld),
    /// A hold ended.
    HoldReleased(HoldReleased),
    /// A workload that git no longer has is about to be stopped at its target (rule D51).
    StopStarted(StopStarted),
    /// Stopping a workload ended.
    StopFinished(StopFinished),
    /// The daemon took a configuration into use; only when it differs from the last one recorded.
    ConfigAdopted(ConfigAdopted),
    /// When each scheduled stream was last checked, so that a restart neither herds nor delays (rule I111).
    Checkpoint(Checkpoint),
}

impl Fact {
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
            Self::TriggerFired(_) => "TriggerFired",
            Self::RolloutStarted(_) => "RolloutStarted",
            Self::RolloutSuperseded(_) => "RolloutSuperseded",
            Self::RolloutFinished(_) => "RolloutFinished",
            Self::DigestHeld(_) => "DigestHeld",
            Self::HoldReleased(_) => "HoldReleased",
            Self::StopStarted(_) => "StopStarted",
            Self::StopFinished(_) => "StopFinished",
            Self::ConfigAdopted(_) => "ConfigAdopted",
            Self::Checkpoint(_) => "Checkpoint",
        }
    }
}

/// A commit became the desired state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitAdopted {
    /// The commit.
    pub commit: CommitId,
    /// The branch it was the head of.
    pub branch: String,
    /// Whether the adopted commit before it is not among its ancestors (force push).
    #[serde(default)]
    pub forced: bool,
    /// Manifests understood, of our kinds.
    pub objects: u64,
    /// Documents left alone because their kind is not ours.
    pub companions: u64,
    /// Objects that the commit before did not have, with the life they begin or go on with.
    #[serde(default)]
    pub appeared: Vec<Appeared>,
    /// Objects that the commit before had and this one has not.
    #[serde(default)]
    pub removed: Vec<Removed>,
    /// Streams whose spec changed, and which of their tags got a new generation (rules I22 to I27).
    #[serde(default)]
    pub streams: Vec<StreamChanged>,
    /// Objects that are invalid at this commit (rule D7).
    #[serde(default)]
    pub rejected: Vec<Rejected>,
}

/// An object that a commit brought.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appeared {
    /// The object.
    pub object: ObjectKey,
    /// Which life of it this is.
    pub incarnation: Incarnation,
}

/// An object that a commit no longer has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// The object.
    pub object: ObjectKey,
    /// What happens to it.
    pub fate: RemovalFate,
}

/// What happens to an object that git no longer has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RemovalFate {
    /// It goes, after the grace time (rule D51).
    Pruned,
    /// It keeps running: its last version said `tidegate.dev/prune: "false"`.
    Kept,
    /// The guard holds it: this commit removes too much at once; its last version, in the object store, stays in
    /// force (rule D52).
    Held {
        /// The last version.
        version: ContentHash,
    },
}

/// A stream whose spec changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamChanged {
    /// The stream.
    pub stream: StreamName,
    /// Its generation from now on.
    pub generation: Generation,
    /// The spec tags that carry this generation from now on.
    #[serde(default)]
    pub tags: Vec<TagName>,
    /// The spec tags that are gone (rule I91).
    #[serde(default)]
    pub gone: Vec<TagName>,
}

/// Where something stands in the source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Path in the repository, with `/`; bytes that are not UTF-8 are shown as U+FFFD.
    pub path: String,
    /// Line, from 1; 0 is the whole file.
    pub line: u32,
    /// Column in characters, from 1; 0 is the whole line.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => f.write_str(&self.path),
            (line, 0) => write!(f, "{}:{line}", self.path),
            (line, column) => write!(f, "{}:{line}:{column}", self.path),
        }
    }
}

/// An object that is invalid at a commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejected {
    /// The object, as far as it can be told; a file that cannot be read at all has none.
    pub object: Option<ObjectKey>,
    /// Where.
    pub position: Position,
    /// The rule that it breaks.
    pub rule: String,
    /// Why.
    pub message: String,
    /// Its last valid version, in the object store, which stays in force; none if it never had one.
    pub kept: Option<ContentHash>,
}

/// A commit that was not adopted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRefused {
    /// The commit.
    pub commit: CommitId,
    /// Why.
    pub reason: String,
}

/// A commit is not refused any more, because the adopted one is the branch's head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitWithdrawn {
    /// The commit that was refused.
    pub commit: CommitId,
}

/// The source cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFailed {
    /// What happened, where, why and what to do.
    pub message: String,
}

/// Held removals that may happen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovalsReleased {
    /// The objects.
    pub objects: Vec<ObjectKey>,
    /// Who said so.
    pub by: String,
}

/// One entry of a tag's history, an OpenShift `TagEvent`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagEvent {
    /// When the event entered the history; not when the image was built.
    pub created: Timestamp,
    /// `dockerImageReference`: what to pull, in the user's spelling with the digest (rule I54).
    pub reference: String,
    /// The image: the digest of its manifest. None for `reference: true` tags of kind `DockerImage`.
    pub image: Option<Digest>,
    /// The spec generation that produced it.
    pub generation: Generation,
}

/// How a tag event came to be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Via {
    /// A registry was asked.
    Registry,
    /// The tag follows another one (rules I83 to I86).
    Alias(StreamTag),
    /// The tag pins an image of a stream (`ImageStreamImage`).
    Image(StreamName),
    /// `reference: true`: recorded as written, without asking anybody (rule I79).
    Reference,
}

/// Why something was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reason {
    /// The spec is newer than what was observed: a new tag, or a changed one.
    SpecChanged {
        /// The generation that asked for it.
        generation: Generation,
    },
    /// Its schedule said so.
    ScheduleDue,
    /// It failed before, and the time to try again has come.
    Retry,
    /// Somebody or something asked to look now.
    Nudged,
    /// Its source tag changed.
    SourceTagChanged,
}

/// A tag was imported.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagImported {
    /// The tag.
    pub tag: StreamTag,
    /// What it is now; whether this is a new item of its history is decided by rule I63.
    pub event: TagEvent,
    /// The digest that the registry itself answered (rule I197).
    #[serde(default)]
    pub probed: Option<Digest>,
    /// Fingerprint of the check that `probed` answers: reference, platform, mode, transport (rule I197, item 5).
    #[serde(default)]
    pub asked: u32,
    /// The image's metadata in the object store.
    #[serde(default)]
    pub metadata: Option<ContentHash>,
    /// How.
    pub via: Via,
    /// Why it was looked at.
    pub reason: Reason,
}

/// The registry answers another digest for an unchanged image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagProbed {
    /// The tag.
    pub tag: StreamTag,
    /// What the registry answers now.
    pub probed: Digest,
}

/// The condition reasons of a failed import, with OpenShift's spelling (rule I73).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ImportReason {
    /// The registry does not know the manifest, or the source tag or stream does not exist.
    NotFound,
    /// The registry wants another login, or none was there to give.
    Unauthorized,
    /// The registry is blocked or not allowed.
    Forbidden,
    /// The registry speaks plain HTTP and the tag is not `insecure`.
    BadRequest,
    /// Schema 1 or another kind of manifest that is not supported (rule I51).
    UnsupportedManifest,
    /// The reference in the manifest cannot be used.
    Invalid,
    /// Tags that follow each other in a ring (rule I87).
    CircularReference,
    /// Everything else: the registry is down, slow, limits requests, or answers nonsense.
    InternalError,
}

impl fmt::Display for ImportReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NotFound => "NotFound",
            Self::Unauthorized => "Unauthorized",
            Self::Forbidden => "Forbidden",
            Self::BadRequest => "BadRequest",
            Self::UnsupportedManifest => "UnsupportedManifest",
            Self::Invalid => "Invalid",
            Self::CircularReference => "CircularReference",
            Self::InternalError => "InternalError",
        })
    }
}

/// A tag could not be imported.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportFailed {
    /// The tag.
    pub tag: StreamTag,
    /// The spec generation that the attempt stands for.
    pub generation: Generation,
    /// The condition's reason.
    pub reason: ImportReason,
    /// The condition's message.
    pub message: String,
}

/// A tag does not fail any more, without an import.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagRecovered {
    /// The tag.
    pub tag: StreamTag,
}

/// Old items of a tag's history went.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagTrimmed {
    /// The tag.
    pub tag: StreamTag,
    /// The items, by the record that made each what it is; item 0 never goes.
    pub items: Vec<Seq>,
}

/// What a trigger's firing led to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum TriggerOutcome {
    /// A rollout with this revision.
    Rollout(Revision),
    /// Nothing: the target already runs this digest (rule T32).
    AlreadyRunning,
    /// Nothing: this set of digests failed there and is held (rule T25).
    Held,
}

/// A trigger saw a tag event. The identity of a firing is (object, trigger, tag event): never acted on twice (T32).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerFired {
    /// The dependent.
    pub object: ObjectKey,
    /// Index of the trigger in the object's list.
    pub trigger: u32,
    /// The tag it watches.
    pub from: StreamTag,
    /// The record that holds the tag event.
    pub event: Seq,
    /// The digest that the trigger saw last.
    pub old: Option<Digest>,
    /// The digest that it sees now.
    pub new: Digest,
    /// What came of it.
    pub outcome: TriggerOutcome,
}

/// Whether a container runs before the others or beside them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum ContainerList {
    /// `initContainers`.
    #[serde(rename = "initContainers")]
    Init,
    /// `containers`.
    #[serde(rename = "containers")]
    Regular,
}

/// A container of a pod template (rule D21a: ordered by list, then name).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerRef {
    /// Which list.
    pub list: ContainerList,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ContainerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list {
            ContainerList::Init => write!(f, "init container {}", self.name),
            ContainerList::Regular => write!(f, "container {}", self.name),
        }
    }
}

/// One image of a rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutImage {
    /// The container.
    pub container: ContainerRef,
    /// What to pull.
    pub reference: String,
    /// Its digest; none where the manifest names an image by tag and no trigger resolves it.
    pub digest: Option<Digest>,
    /// The digest that the container ran before.
    #[serde(default)]
    pub previous: Option<Digest>,
}

/// Why a rollout was started; the texts are OpenShift's and those of rule R30.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RolloutCause {
    /// A changed template, or the first rollout (rules D18, D20).
    #[serde(rename = "config change")]
    ConfigChange,
    /// A tag moved (rule D19).
    #[serde(rename = "image change")]
    ImageChange,
    /// Somebody asked (rule D41).
    #[serde(rename = "manual change")]
    ManualChange,
    /// The rollout before failed, and the revision before it is put back (rule R7).
    #[serde(rename = "restore")]
    Restore,
}

impl fmt::Display for RolloutCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ConfigChange => "config change",
            Self::ImageChange => "image change",
            Self::ManualChange => "manual change",
            Self::Restore => "restore",
        })
    }
}

/// A rollout is about to be given to its target (rule R2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutStarted {
    /// The object.
    pub object: ObjectKey,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Its number.
    pub revision: Revision,
    /// Why.
    pub cause: RolloutCause,
    /// The adopted commit whose template it carries.
    pub commit: CommitId,
    /// The rollout that it supersedes or undoes.
    pub replaces: Option<Seq>,
    /// Hash of the pod template, images of triggered containers left out.
    pub template: ContentHash,
    /// The manifest as rolled out, in the object store.
    pub manifest: ContentHash,
    /// The images, ordered by container.
    pub images: Vec<RolloutImage>,
    /// Where it goes.
    pub target: TargetName,
}

impl RolloutStarted {
    /// The idempotency key of the rollout that the record `seq` started.
    #[must_use]
    pub fn key(&self, seq: Seq) -> RolloutKey {
        RolloutKey {
            namespace: self.object.namespace.clone(),
            name: self.object.name.clone(),
            incarnation: self.incarnation,
            seq,
        }
    }
}

/// A running rollout is to be ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutSuperseded {
    /// The rollout.
    pub rollout: Seq,
    /// Its object.
    pub object: ObjectKey,
    /// Why (rule D13).
    pub reason: String,
}

/// How a rollout or a stop ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// The target runs it.
    Complete,
    /// The target refused it or it did not become healthy: a verdict (rule T25).
    Failed,
    /// Something newer ended it before its end.
    Cancelled,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Complete => "Complete",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        })
    }
}

/// A rollout ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutFinished {
    /// The rollout.
    pub rollout: Seq,
    /// Its object.
    pub object: ObjectKey,
    /// How.
    pub outcome: Outcome,
    /// Why, in words; empty for a success that needs none.
    #[serde(default)]
    pub reason: String,
    /// The last lines that the target printed.
    #[serde(default)]
    pub log: String,
}

/// What failed at a target is not tried there again by itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestHeld {
    /// The object.
    pub object: ObjectKey,
    /// The rollout that failed.
    pub rollout: Seq,
    /// The set of digests that failed together (rule T25).
    pub digests: BTreeSet<Digest>,
    /// The template that they failed with.
    pub template: ContentHash,
    /// Why.
    pub reason: String,
}

/// What ended a hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Release {
    /// Another set of digests is rolled out.
    NewImages,
    /// The template changed.
    NewTemplate,
    /// An operator.
    Operator {
        /// Who.
        by: String,
    },
    /// The object was removed from git.
    Removed,
}

/// A hold ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoldReleased {
    /// The object.
    pub object: ObjectKey,
    /// What ended it.
    pub because: Release,
}

/// A workload that git no longer has is about to be stopped.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopStarted {
    /// The object.
    pub object: ObjectKey,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The rollout whose result is stopped.
    pub rollout: Seq,
    /// The manifest as it was rolled out, in the object store.
    pub manifest: ContentHash,
    /// Where it runs.
    pub target: TargetName,
}

/// Stopping a workload ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopFinished {
    /// The `StopStarted` record.
    pub stop: Seq,
    /// The object.
    pub object: ObjectKey,
    /// How.
    pub outcome: Outcome,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
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

/// When each scheduled stream was last checked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Streams checked since the checkpoint before, with the time of the last check.
    pub checked: Vec<(StreamName, Timestamp)>,
}
