//! What happens to builds (sections 4.2 to 4.5 of the triggers specification).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dense;
use crate::limits::COMMIT_CHARS_MAX;
use crate::names::{
    BuildNumber, CommitId, ContentHash, Digest, Incarnation, ObjectKey, RolloutKey, Seq, StreamTag,
};
use crate::time::{Span, Timestamp};

/// `spec.runPolicy`: which builds of one `BuildConfig` may run beside each other (rule B26).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum RunPolicy {
    /// One after the other, in the order of their numbers.
    #[default]
    Serial,
    /// One after the other; of those that wait only the newest is run.
    SerialLatestOnly,
    /// All at once.
    Parallel,
}

impl fmt::Display for RunPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Serial => "Serial",
            Self::SerialLatestOnly => "SerialLatestOnly",
            Self::Parallel => "Parallel",
        })
    }
}

/// The kind of a webhook trigger (rule B22).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum WebhookKind {
    /// `GitHub`; Gitea and Gogs send the same.
    #[serde(rename = "GitHub")]
    GitHub,
    /// `GitLab`.
    #[serde(rename = "GitLab")]
    GitLab,
    /// `Bitbucket`, the cloud and the server.
    Bitbucket,
    /// `Generic`.
    Generic,
}

impl fmt::Display for WebhookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
            Self::Bitbucket => "Bitbucket",
            Self::Generic => "Generic",
        })
    }
}

/// A commit of a source repository, as somebody told of it or as it was checked out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRevision {
    /// Its id, in hexadecimal; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// `Name <address>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// `Name <address>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub committer: String,
    /// As git prints it; only what was checked out has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// Its first line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl SourceRevision {
    /// A text of whoever made the commit as it is kept: its first line, short, without what moves a cursor.
    #[must_use]
    pub fn line(text: &str) -> String {
        let clean = |c: char| if c.is_alphanumeric() || c.is_ascii_graphic() { c } else { ' ' };
        let first = text.trim_start().lines().next().unwrap_or_default();
        first.chars().take(COMMIT_CHARS_MAX).map(clean).collect::<String>().trim_end().to_owned()
    }
}

/// Why a build was created (rules B8, B13, B14, B24).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BuildCause {
    /// The `BuildConfig` is new.
    Config,
    /// A tag moved.
    Image {
        /// The tag.
        from: StreamTag,
        /// The record of its tag event.
        event: Seq,
        /// What the trigger saw last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        old: Option<Digest>,
        /// What it sees now.
        image: Digest,
    },
    /// Somebody asked.
    Manual {
        /// Who.
        by: String,
    },
    /// A webhook came in.
    Webhook {
        /// Of which kind.
        kind: WebhookKind,
        /// What it told of the commit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        revision: Option<SourceRevision>,
    },
}

impl BuildCause {
    /// The message of `triggeredBy`, as OpenShift spells it.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Config => "Build configuration change".to_owned(),
            Self::Image { .. } => "Image change".to_owned(),
            Self::Manual { .. } => "Manually triggered".to_owned(),
            Self::Webhook { kind, .. } => format!("{kind} WebHook"),
        }
    }
}

/// Which part of a build an image is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum BuildUse {
    /// What it is built on: `from` of its strategy.
    Strategy,
    /// Files are taken out of it: the entry of `source.images` with this index.
    Source(u32),
    /// What the build before made: artifacts are taken out of it (rule B48).
    Previous,
}

/// An image that a build needs, as it was resolved when the build was created (rule B9).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildImage {
    /// What for.
    pub used: BuildUse,
    /// What to pull; with its digest where it has one.
    pub reference: String,
    /// The tag that it was resolved from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<StreamTag>,
    /// Its digest; none for a `DockerImage` that is named by tag, which is resolved when it is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What a trigger saw when a build was created (rule B8).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildTriggered {
    /// The tag.
    pub from: StreamTag,
    /// Its image.
    pub image: Digest,
}

/// Input that somebody handed over (rule B37).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryInput {
    /// It, in the object store.
    pub content: ContentHash,
    /// The name that it is stored under; none where it is an archive to be unpacked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_file: Option<String>,
}

/// What one build is asked beside what its `BuildConfig` says (rules B10, B23, C15).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildOptions {
    /// The commit of the source, or what else git understands as one; none for the newest of `ref`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Variables over those of the strategy, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// Build arguments over those of the strategy, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub build_args: Vec<(String, String)>,
    /// Whether layers that are there are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_cache: Option<bool>,
    /// Whether artifacts of the build before are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental: Option<bool>,
    /// Files in the place of a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<BinaryInput>,
    /// The build that it repeats (rule B11).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone_of: Option<String>,
}

/// A build was created: `New`. Its number and what its triggers saw are in this one record (rules B4, B5), so that a crash
/// neither loses nor doubles it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildCreated {
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Its number, never used again (rules B4, B17).
    pub number: BuildNumber,
    /// Its name.
    pub name: String,
    /// How it gets along with others; that of the `BuildConfig` when it was created (rule B26).
    #[serde(default)]
    pub policy: RunPolicy,
    /// Why, at least one.
    #[serde(deserialize_with = "dense::list")]
    pub causes: Vec<BuildCause>,
    /// What each trigger saw, those that did not cause it included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggered: Vec<BuildTriggered>,
    /// The images that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<BuildImage>,
    /// What it is asked beside its manifest.
    #[serde(default)]
    pub options: BuildOptions,
    /// The stream tag that it is to push to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<StreamTag>,
    /// The image that it is to push to, where that is no stream tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
    /// The commit whose manifest it has.
    pub commit: CommitId,
    /// That manifest without its triggers, in the object store.
    pub manifest: ContentHash,
    /// `completionDeadlineSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Span>,
    /// How many builds that succeeded and that failed are kept; none for all (rule B33).
    #[serde(default)]
    pub keeps: (Option<u32>, Option<u32>),
    /// When records were lost last, see [`RolloutKey::epoch`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Timestamp>,
}

impl BuildCreated {
    /// What its processes, containers and files are known by, where the record `seq` created it.
    #[must_use]
    pub fn key(&self, seq: Seq) -> RolloutKey {
        RolloutKey::of(&self.object, self.incarnation, seq, self.epoch)
    }
}

/// A build is about to be given to the builder: `Running` (law 1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildStarted {
    /// The `BuildCreated` record.
    pub build: Seq,
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// The name of the build.
    pub name: String,
    /// Where its image is pushed, with a tag (rule B53); none where it is not pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<String>,
}

/// How a build ends (rule B27).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum BuildEnd {
    /// Its image is there.
    Complete,
    /// It ran and failed.
    Failed,
    /// Something else kept it from running.
    Error,
    /// Somebody ended it.
    Cancelled,
}

impl fmt::Display for BuildEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Complete => "Complete",
            Self::Failed => "Failed",
            Self::Error => "Error",
            Self::Cancelled => "Cancelled",
        })
    }
}

/// A build is to be ended before its end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildEnding {
    /// The `BuildCreated` record.
    pub build: Seq,
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// The name of the build.
    pub name: String,
    /// How it will have ended.
    pub end: BuildEnd,
    /// One word (rule B29).
    pub reason: String,
    /// Why, in words.
    pub message: String,
}

/// A stage of a build with what it took (rule B32).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildStage {
    /// `FetchInputs`, `PullImages`, `Build`, `PostCommit` or `PushImage`.
    pub name: String,
    /// When it began.
    pub at: Timestamp,
    /// Milliseconds.
    pub took: u64,
}

/// A build ended. What it pushed is in the history of its tag by a record of its own before this one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildFinished {
    /// The `BuildCreated` record.
    pub build: Seq,
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// The name of the build.
    pub name: String,
    /// How.
    pub end: BuildEnd,
    /// One word (rule B29); empty for a success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, in words; empty for a success.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The digest of what was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Digest>,
    /// The commit that was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<SourceRevision>,
    /// What it did, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<BuildStage>,
    /// The last lines of its log, where it failed (rule B31).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_commit_is_kept_short_and_on_one_line() {
        let long = format!("\n{}\u{1b}[2J\nsecond", "é".repeat(300));
        assert_eq!(SourceRevision::line(&long), "é".repeat(COMMIT_CHARS_MAX));
        assert_eq!(SourceRevision::line("a\u{1b}[2Jb\u{202e}c\rx"), "a [2Jb c x");
    }
}
