//! What the core asks of the builder, and what comes back (sections 4.5 to 4.9 of the triggers specification).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::action::ResolvedImage;
use crate::fact::{BuildCause, BuildEnd, BuildImage, BuildOptions, BuildStage, SourceRevision};
use crate::names::{BuildNumber, CommitId, ContentHash, ObjectKey, RolloutKey, Seq, StreamTag};
use crate::reference::ImageReference;
use crate::time::Timestamp;

/// Run a build. It may be asked for again under the same key: a crash forgets how far it got. What the builder made
/// under the key before is gone on with, or ended and made anew; never is the same build made twice at once.
#[derive(Clone, PartialEq, Debug)]
pub struct BuildRequest {
    /// What its processes, containers, images and files are known by; its `seq` is that of the `BuildCreated` record.
    pub key: RolloutKey,
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// Its number.
    pub number: BuildNumber,
    /// Its name.
    pub name: String,
    /// When it was started; the same for every repetition.
    pub started: Timestamp,
    /// The manifest of the `BuildConfig`, in the object store.
    pub manifest: ContentHash,
    /// The commit that it is of: what else it names (`Secret`s, `ConfigMap`s) stands there.
    pub commit: CommitId,
    /// Why.
    pub causes: Vec<BuildCause>,
    /// The images that it needs, as they were resolved.
    pub images: Vec<BuildImage>,
    /// What it is asked beside its manifest.
    pub options: BuildOptions,
    /// Where its image is pushed; none where it is not pushed.
    pub push: Option<PushTo>,
    /// How long it may still take.
    pub left: Duration,
    /// Whether it is only to be ended: nothing is built, what is left of it from before a crash is ended and removed, and
    /// the answer is an end of `Cancelled`, or `Complete` where it was pushed already.
    pub ends: bool,
}

/// Where the image of a build is pushed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushTo {
    /// With a tag.
    pub image: Arc<ImageReference>,
    /// The stream tag that it becomes the image of; none for a `DockerImage`.
    pub tag: Option<StreamTag>,
    /// Whether plain HTTP and unverified TLS are allowed.
    pub insecure: bool,
}

/// Take away what is left of builds that are not remembered any more: logs, images, working directories.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TidyBuilds {
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// The builds of it that stay, by the records that created them.
    pub keep: Vec<Seq>,
    /// Builds that were created after this record are left alone.
    pub until: Seq,
}

/// What became of a build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildReport {
    /// It came to an end of its own, or was cancelled.
    Ended(Box<BuildEnded>),
    /// It did not get through; the same request may, later.
    Transient {
        /// Why.
        reason: String,
        /// How long to leave it alone.
        retry_after: Option<Duration>,
    },
}

/// How a build ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuildEnded {
    /// How; `Cancelled` where the action was told to end.
    pub end: BuildEnd,
    /// One word (rule B29); empty for a success.
    pub reason: String,
    /// Why, in words; empty for a success.
    pub message: String,
    /// What was pushed, as the registry has it; none where nothing was.
    pub image: Option<ResolvedImage>,
    /// The commit that was built.
    pub revision: Option<SourceRevision>,
    /// What it did, in order (rule B32).
    pub stages: Vec<BuildStage>,
    /// The last lines of its log, where it failed (rule B31).
    pub log: String,
}

impl BuildEnded {
    /// An end without anything to show.
    #[must_use]
    pub fn new(end: BuildEnd, reason: &str, message: impl fmt::Display) -> Self {
        Self {
            end,
            reason: reason.to_owned(),
            message: message.to_string(),
            image: None,
            revision: None,
            stages: Vec::new(),
            log: String::new(),
        }
    }
}

/// An order to start a build (rules B10, B18 to B24, C15).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct BuildOrder {
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// A webhook; none where an operator asks.
    #[serde(default)]
    pub webhook: Option<(crate::fact::WebhookKind, Option<SourceRevision>)>,
    /// What is asked for beside the manifest.
    #[serde(default)]
    pub options: BuildOptions,
    /// Repeat this build: its images, its commit and its causes' commit (rule B11).
    #[serde(default)]
    pub again: Option<BuildNumber>,
}

/// An order to end builds (rule C16).
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct CancelBuildOrder {
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// Which; none for all of them that have not ended.
    #[serde(default)]
    pub number: Option<BuildNumber>,
}
