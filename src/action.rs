//! What the core asks of the world, and what comes back.
//!
//! The core never performs anything: it returns an [`Action`] with an [`ActionId`], and the shell sends one [`Input`]
//! with the same id back when it is done. An input is a statement about the outside; it is never an instruction.

mod build;
mod quota;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fact::{
    ConfigAdopted, HistoryDropped, ImportReason, PruneOptions, RolloutCause, RolloutImage,
    RolloutStep, Space, StoredManifest, TagSpec,
};
use crate::names::{
    BlobId, CommitId, ContentHash, Digest, Namespace, ObjectKey, ObjectName, Revision, RolloutKey,
    Seq, StreamName, StreamTag, TagName, TargetName,
};
use crate::reference::ImageReference;
use crate::time::Timestamp;

pub use build::{
    BuildEnded, BuildOrder, BuildReport, BuildRequest, CancelBuildOrder, PushTo, TidyBuilds,
};
pub use quota::{Allowance, Requests, Spent, SpentBy, Told};

/// Names one action of this process; never reused while it runs, never written down.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ActionId(pub u64);

/// One step's work in the world.
#[derive(Clone, PartialEq, Debug)]
pub enum Action {
    /// Fetch the source and read what changed since `base`.
    ReadSource(ReadSource),
    /// Keep an adopted commit alive in the mirror (`refs/tidegate/adopted/<seq>`). Answers nothing.
    KeepCommit {
        /// The record that adopted it.
        seq: Seq,
        /// The commit.
        commit: CommitId,
    },
    /// Ask a registry what a reference is.
    Resolve(Box<ResolveRequest>),
    /// Ask a registry which tags a repository has.
    List(ListRequest),
    /// Make the managed registry delete a manifest (rule I164).
    DeleteManifest(StoredManifest),
    /// Make a target run something.
    RollOut(Box<RolloutRequest>),
    /// Ask a target how a rollout that it said is running goes on.
    AskRollout(Box<AskRollout>),
    /// Make a target stop something.
    Stop(Box<StopRequest>),
    /// Make a target add or remove instances of what runs.
    Scale(Box<ScaleRequest>),
    /// Take a run of a `CronJob` one step further, or take away what is left of earlier ones.
    Job(Box<JobRequest>),
    /// Run a build, or go on with one.
    Build(Box<BuildRequest>),
    /// Take away what is left of builds that are not remembered any more. Answers nothing.
    TidyBuilds(TidyBuilds),
    /// Tell a target what became of a rollout, without expecting an answer (rule R30).
    Notify(Box<Notice>),
}

/// Fetch the source and read what changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadSource {
    /// The commit whose files the core has; none on the first read, which then brings every file.
    pub base: Option<CommitId>,
}

/// One file of the source at a commit.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Path in the repository, with `/`.
    pub path: String,
    /// The content's id.
    pub blob: BlobId,
    /// The content; none if it is over [`crate::limits::MANIFEST_BYTES_MAX`].
    pub bytes: Option<Arc<[u8]>>,
    /// Its length in bytes, also where the content is left out.
    pub len: u64,
}

/// A file of the source that is written anew: the text of a manifest after an edit.
#[derive(Clone, PartialEq, Eq)]
pub struct FileEdit {
    /// Path in the repository, with `/`.
    pub path: String,
    /// What stands there; none if nothing does.
    pub before: Option<Vec<u8>>,
    /// What is to stand there; none if the file goes.
    pub after: Option<Vec<u8>>,
}

impl fmt::Debug for FileEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Content may hold secrets (law 10).
        f.debug_struct("FileEdit").field("path", &self.path).finish_non_exhaustive()
    }
}

impl fmt::Debug for SourceFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Content may hold secrets (law 10).
        f.debug_struct("SourceFile")
            .field("path", &self.path)
            .field("blob", &self.blob)
            .finish_non_exhaustive()
    }
}

/// Something in the tree that is not read, and why: a symbolic link, a submodule, a name that is not UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SourceSkip {
    /// Its path; bytes that are not UTF-8 are shown as U+FFFD.
    pub path: String,
    /// Why it is not read.
    pub why: &'static str,
}

/// What the source is at the branch's head.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceRead {
    /// The head.
    pub commit: CommitId,
    /// What `changed` and `removed` are relative to: the `base` asked for, or none if every file is in `changed`.
    pub base: Option<CommitId>,
    /// The branch.
    pub branch: String,
    /// Whether `base` is not an ancestor of `commit`.
    pub forced: bool,
    /// Files that are new or different, sorted by path; the ignore file and path settings are already applied.
    pub changed: Vec<SourceFile>,
    /// Paths that are gone, sorted.
    pub removed: Vec<String>,
    /// What in the whole tree is not read.
    pub skipped: Vec<SourceSkip>,
}

/// Why the source could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFailure {
    /// The commit, where the head is known but its tree cannot be used; it is recorded as refused.
    pub commit: Option<CommitId>,
    /// What happened, where, why and what to do.
    pub message: String,
}

/// How an index of several platforms is imported (rule I49).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum ImportMode {
    /// The image of one platform.
    #[default]
    Legacy,
    /// The index itself.
    PreserveOriginal,
}

/// An operating system and an architecture (rule I50).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub architecture: String,
}

impl Default for Platform {
    fn default() -> Self {
        Self { os: "linux".into(), architecture: "amd64".into() }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// What is asked of a registry. One check serves every tag and stream that would ask the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Check {
    /// What to look up; the spec's own copy of it.
    pub image: Arc<ImageReference>,
    /// Whether plain HTTP and unverified TLS are allowed.
    pub insecure: bool,
    /// What to make of an index.
    pub mode: ImportMode,
    /// Which platform to choose out of one.
    pub platform: Platform,
    /// The repository that the image is copied into before it is answered (rule I181).
    pub copy_to: Option<Arc<ImageReference>>,
    /// Whose own logins are used, before those that all have (rule I166); none where there are none.
    pub namespace: Option<Namespace>,
}

/// Ask a registry what a reference is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolveRequest {
    /// What to ask.
    pub check: Check,
    /// What the registry answered last; if it answers the same, nothing more is asked (rule I197).
    pub known: Option<Digest>,
    /// How much may be asked; none where nobody counts.
    pub allowance: Option<Allowance>,
}

/// Ask a registry which tags a repository has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListRequest {
    /// The repository: a reference without tag and digest.
    pub repository: Arc<ImageReference>,
    /// Whether plain HTTP and unverified TLS are allowed.
    pub insecure: bool,
    /// Whose own logins are used, as in [`Check::namespace`].
    pub namespace: Option<Namespace>,
}

/// The tags of a repository, in the registry's order and spelling.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TagListing {
    /// The tags.
    pub tags: Vec<String>,
    /// Whether these are all: a listing over [`crate::limits::LISTED_TAGS_MAX`] is cut short.
    pub complete: bool,
}

/// What a registry answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolution {
    /// The digest that the registry answered for the reference: of the index, for an index.
    pub probed: Digest,
    /// The image; none if `probed` is the digest that was known.
    pub image: Option<ResolvedImage>,
}

/// An image that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolvedImage {
    /// Its digest, which becomes the image of the tag.
    pub digest: Digest,
    /// Its metadata, already safe in the object store.
    pub metadata: ContentHash,
}

/// Why a registry gave no image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImportFailure {
    /// The condition's reason (rule I73).
    pub reason: ImportReason,
    /// The condition's message (rule I73).
    pub message: String,
    /// Whether it may pass by itself (rule I74).
    pub transient: bool,
    /// How long the registry asked to be left alone.
    pub retry_after: Option<Duration>,
}

/// Make a target run something (rules R30, R31).
#[derive(Clone, PartialEq, Debug)]
pub struct RolloutRequest {
    /// The idempotency key: the same for every repetition.
    pub key: RolloutKey,
    /// When the rollout was started; the same for every repetition.
    pub started: Timestamp,
    /// The object.
    pub object: ObjectKey,
    /// Its number.
    pub revision: Revision,
    /// Why.
    pub cause: RolloutCause,
    /// The rollout that it supersedes or undoes.
    pub replaces: Option<RolloutKey>,
    /// The images.
    pub images: Vec<RolloutImage>,
    /// The manifest as rolled out, in the object store.
    pub manifest: ContentHash,
    /// The commit that it is of: what else it names stands there.
    pub commit: CommitId,
    /// Where it goes.
    pub target: TargetName,
    /// The step that is asked for, where the target is told each.
    pub step: Option<StepOrder>,
}

/// One step of a rollout (rule R3). Each may be asked for again: a crash forgets how far it got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepOrder {
    /// Which.
    pub step: RolloutStep,
    /// What is going to run, in the object store; none before it is put together.
    pub rendered: Option<ContentHash>,
    /// What ran last that was complete.
    pub previous: Option<Previous>,
    /// All that was put together for this object and may be there, in the object store.
    pub written: Vec<ContentHash>,
    /// The step that a rollout got to that is rolled back; none where what it found was not what ran before.
    pub got_to: Option<RolloutStep>,
    /// Since when the ports of the host lead nowhere, as a step before told.
    pub down: Option<Timestamp>,
    /// What it is called in its network beside its own name.
    pub names: Vec<String>,
    /// Whether units that somebody edited are taken over (rule R22).
    pub force: bool,
}

/// A revision that a target ran, in the object store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Previous {
    /// The commit that it is of.
    pub commit: CommitId,
    /// The manifest.
    pub manifest: ContentHash,
    /// What it became there.
    pub rendered: ContentHash,
    /// What it is called in its network beside its own name.
    pub names: Vec<String>,
}

/// Ask how a rollout goes on.
#[derive(Clone, PartialEq, Debug)]
pub struct AskRollout {
    /// The rollout.
    pub key: RolloutKey,
    /// Where it runs.
    pub target: TargetName,
    /// The address that the target gave.
    pub status_url: String,
}

/// Make a target stop something.
#[derive(Clone, PartialEq, Debug)]
pub struct StopRequest {
    /// The idempotency key; its `seq` is that of the `StopStarted` record.
    pub key: RolloutKey,
    /// When the stop was started; the same for every repetition.
    pub started: Timestamp,
    /// The object.
    pub object: ObjectKey,
    /// The manifest as it was rolled out, in the object store.
    pub manifest: ContentHash,
    /// As in [`StepOrder::written`].
    pub written: Vec<ContentHash>,
    /// Where it runs.
    pub target: TargetName,
}

/// Make a target add or remove instances of what runs (rule D22). It may be asked for again.
#[derive(Clone, PartialEq, Debug)]
pub struct ScaleRequest {
    /// The rollout whose instances they are, with all that its steps needed; none of them is asked for.
    pub rollout: RolloutRequest,
    /// How many there should be.
    pub to: u32,
    /// What runs, in the object store.
    pub runs: ContentHash,
    /// What is going to run, in the object store; none before it is put together, which is all that is asked for then.
    pub rendered: Option<ContentHash>,
    /// As in [`StepOrder::written`].
    pub written: Vec<ContentHash>,
    /// As in [`StepOrder::names`].
    pub names: Vec<String>,
}

/// Take a run of a `CronJob` one step further (rule R17a).
#[derive(Clone, PartialEq, Debug)]
pub struct JobRequest {
    /// What its pods are known by; its `seq` is that of the `JobStarted` record.
    pub key: RolloutKey,
    /// The `CronJob`.
    pub object: ObjectKey,
    /// The name of the job.
    pub name: String,
    /// The manifest, in the object store.
    pub manifest: ContentHash,
    /// The commit that it is of.
    pub commit: CommitId,
    /// Where it runs.
    pub target: TargetName,
    /// How often it is tried again.
    pub backoff_limit: u32,
    /// What to do.
    pub order: JobOrder,
}

/// What to do about a run of a `CronJob`. Each may be asked for again: a crash forgets how far it got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobOrder {
    /// Pull its images and make its pod, without starting it.
    Create {
        /// Whether no other run of the `CronJob` goes on.
        alone: bool,
    },
    /// Start its pod if it was not started, and wait for its end.
    Run,
    /// End and remove its pods.
    End,
    /// Remove the pods of runs that ended, but for these. Answers nothing.
    Tidy {
        /// The runs whose pods stay, by the records that began them.
        keep: Vec<Seq>,
        /// Runs that began after this record are left alone.
        until: Seq,
    },
}

/// What a notice is about (the event types of rule R30).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeKind {
    /// `dev.tidegate.rollout.finished`.
    Finished,
    /// `dev.tidegate.rollout.cancelled`.
    Cancelled,
    /// `dev.tidegate.rollout.held`.
    Held,
}

/// Tell a target what became of a rollout.
#[derive(Clone, PartialEq, Debug)]
pub struct Notice {
    /// What it is about.
    pub kind: NoticeKind,
    /// The rollout.
    pub key: RolloutKey,
    /// The object.
    pub object: ObjectKey,
    /// When it happened.
    pub at: Timestamp,
    /// What happened, in words.
    pub message: String,
    /// Whom to tell.
    pub target: TargetName,
}

/// What became of a rollout or a stop at its target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RolloutReport {
    /// It runs (or is stopped).
    Complete {
        /// The last lines that the target printed.
        log: String,
    },
    /// A verdict: not to be tried again as it is.
    Failed {
        /// Why.
        reason: String,
        /// The last lines that the target printed.
        log: String,
    },
    /// It did not get through; the same request may, later.
    Transient {
        /// Why.
        reason: String,
        /// How long the target asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// The target works on it; ask there.
    Running {
        /// Where to ask.
        status_url: String,
    },
    /// A step is done.
    Stepped {
        /// What is going to run, in the object store, where the step put it together.
        rendered: Option<ContentHash>,
        /// What people should know of it.
        note: String,
        /// Since when the ports of the host lead nowhere, where the step ended what had them.
        down: Option<Timestamp>,
    },
    /// It was ended because it was cancelled.
    Cancelled,
}

/// Something says that the truth may have changed: look again (law 5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Nudge {
    /// The source.
    Source,
    /// A tag of a stream.
    Tag(StreamTag),
    /// The repository of a stream that imports a whole one.
    Repository(StreamName),
    /// The logins for registries: what was refused may be allowed now (rule I170).
    Logins,
}

/// A question or an order of an operator, and where the answer goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ask {
    /// Names the request; the answer carries it back.
    pub id: u64,
    /// Who asks, for the record: a user name or a user id.
    pub by: String,
    /// What.
    pub request: Request,
}

/// The order to prune.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PruneRequest {
    /// What is asked for.
    pub options: PruneOptions,
    /// Whether it is to happen; a dry run otherwise.
    pub confirm: bool,
    /// What the shell read of the images that were there when the order came.
    pub contents: ImageContents,
}

/// What the object store has of images and the core does not keep.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ImageContents {
    /// Bytes of each image: its config and its distinct layers.
    pub sizes: BTreeMap<Digest, u64>,
    /// The images that each index has.
    pub parts: BTreeMap<Digest, Vec<Digest>>,
}

/// What an operator asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// What only the running daemon knows.
    Status,
    /// End the hold of an object and let it be tried again.
    Release(ObjectKey),
    /// Let the removals that the guard holds happen (rule D52); of one namespace or of all.
    ReleaseRemovals,
    /// Do something about rollouts (rules D41 to D48).
    Rollout(RolloutOrder),
    /// Run a `CronJob` now.
    RunJob(RunOrder),
    /// Start a build (rule C15).
    StartBuild(Box<BuildOrder>),
    /// End builds (rule C16).
    CancelBuild(CancelBuildOrder),
    /// Import now, and answer when that is done (rule I146).
    Import(ImportOrder),
    /// Put something over what git says of a tag (rule I102, item 5).
    Overlay(Box<OverlayOrder>),
    /// An image was pushed under a tag: read it, record it, and answer when that is done (rule I193).
    Push(Pushed),
    /// What this names in a registry may have changed: look again at all that comes from there (law 5).
    Hinted(ImageReference),
    /// Take what nobody uses out of histories, or say what would go.
    Prune(Box<PruneRequest>),
    /// Delete an image (rule I165).
    DeleteImage(Digest),
}

/// An order about the rollouts of a workload.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RolloutOrder {
    /// Which; none for all, which only a pause can be for.
    pub object: Option<ObjectKey>,
    /// What to do.
    pub verb: RolloutVerb,
    /// Whether units that somebody edited are taken over, where something is rolled out (rule R22).
    #[serde(default)]
    pub force: bool,
}

/// An order to run a `CronJob` now, whatever its schedule says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunOrder {
    /// The `CronJob`.
    pub object: ObjectKey,
    /// What the job is to be called.
    pub name: ObjectName,
}

/// What to do about the rollouts of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutVerb {
    /// Roll out what is wanted now (rule D41).
    Latest {
        /// Without resolving tags anew.
        again: bool,
    },
    /// Roll out once more what runs.
    Restart,
    /// Try the rollout that failed once more (rule D43).
    Retry,
    /// Go back (rule D47).
    Undo {
        /// To which revision; none for the newest complete one below the active one.
        to: Option<Revision>,
    },
    /// End the rollout that runs (rule D42).
    Cancel,
    /// Roll nothing out by itself (rule D46).
    Pause,
    /// Go on.
    Resume,
}

/// A notice that an image was pushed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Pushed {
    /// The tag that it is the image of, wherever it was pushed to.
    pub tag: StreamTag,
    /// Where it is; with its digest, or it is refused.
    pub image: ImageReference,
}

/// What to put over git.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverlayOrder {
    /// The tag.
    pub tag: StreamTag,
    /// Its spec; none to take the tag away, which nobody means by leaving it out.
    #[serde(deserialize_with = "Option::deserialize")]
    pub spec: Option<TagSpec>,
}

/// What to import now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ImportOrder {
    /// The stream.
    pub stream: StreamName,
    /// Its tags that are asked for.
    #[serde(default)]
    pub tags: Vec<TagName>,
    /// Whether its whole repository is listed as well.
    #[serde(default)]
    pub repository: bool,
    /// The commit that has to be in force before.
    #[serde(default)]
    pub commit: Option<CommitId>,
}

/// One statement about the outside.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// Time passed.
    Wake,
    /// The source was read, or not.
    SourceRead(ActionId, Result<Box<SourceRead>, SourceFailure>),
    /// What an action asked of registries; it comes before the answer of the action.
    Spent(ActionId, Spent),
    /// A registry answered, or not.
    Resolved(ActionId, Result<Resolution, ImportFailure>),
    /// A registry listed the tags of a repository, or not.
    Listed(ActionId, Result<TagListing, ImportFailure>),
    /// The managed registry does not have a manifest any more, or it could not be deleted.
    ManifestDeleted(ActionId, Result<(), ImportFailure>),
    /// A target reported about a rollout or a stop.
    RolloutReported(ActionId, RolloutReport),
    /// The builder reported about a build.
    BuildReported(ActionId, BuildReport),
    /// Look again.
    Nudged(Nudge),
    /// An operator asks.
    Asked(Ask),
    /// A configuration is taken into use.
    ConfigAdopted(ConfigAdopted),
    /// What is left on the file system of the state directory, where it may be too little or enough again.
    Space(Space),
    /// Old records were dropped.
    HistoryDropped(HistoryDropped),
    /// Records are lost, up to this one at least, and an operator said at the start to go on without them.
    RecordsLost(Option<Seq>),
    /// End: finish what is being written and start nothing more.
    Stop,
}
