//! What happens to workloads: triggers, rollouts, holds, stops.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::CronSpec;
use crate::dense;
use crate::names::{
    CommitId, ContentHash, Digest, Incarnation, ObjectKey, Revision, RolloutKey, Seq, StreamTag,
    TargetName,
};
use crate::sabotage::{self, Bug};
use crate::time::Timestamp;

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
    /// The tag that the manifest's image string meant by local lookup (rule I186).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<StreamTag>,
    /// What the manifest says, where a trigger that is not automatic set the image: it stays set while git says this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<String>,
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

/// A step of a rollout at a target that is told each of them (rule R3), in the order in which they come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum RolloutStep {
    /// Images are pulled and what is to run is put together; nothing that runs is touched.
    Pulling,
    /// The hook before everything else.
    PreHook,
    /// The new revision is tried beside the old one (rule R13).
    Verifying,
    /// The old revision ends.
    StoppingOld,
    /// The hook while nothing runs.
    MidHook,
    /// The new revision is started in the place of the old one.
    StartingNew,
    /// It is waited for until it is healthy.
    Checking,
    /// The hook after everything else.
    PostHook,
    /// Instances are replaced, a few at a time (rule R14).
    Updating,
    /// It failed or was ended: what ran before is put back.
    RollingBack,
}

impl fmt::Display for RolloutStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pulling => "Pulling",
            Self::PreHook => "PreHook",
            Self::Verifying => "Verifying",
            Self::StoppingOld => "StoppingOld",
            Self::MidHook => "MidHook",
            Self::StartingNew => "StartingNew",
            Self::Checking => "Checking",
            Self::PostHook => "PostHook",
            Self::Updating => "Updating",
            Self::RollingBack => "RollingBack",
        })
    }
}

/// What becomes of a rollout whose hook fails (rule D40.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum FailurePolicy {
    /// It fails.
    Abort,
    /// The hook runs again, until it succeeds or the rollout is out of time.
    Retry,
    /// It goes on.
    Ignore,
}

/// The image of a container is written into a tag (rule D40.2).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagImage {
    /// One of `containers`.
    pub container: String,
    /// The spec tag that is written.
    pub to: StreamTag,
}

/// A hook that writes images into tags.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagImages {
    /// When.
    pub step: RolloutStep,
    /// What becomes of the rollout if it cannot.
    pub policy: FailurePolicy,
    /// What is written, in this order.
    pub tags: Vec<TagImage>,
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
    #[serde(deserialize_with = "dense::list")]
    pub images: Vec<RolloutImage>,
    /// Where it goes.
    pub target: TargetName,
    /// When records were lost last, see [`RolloutKey::epoch`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Timestamp>,
    /// The steps that it takes, where its target is told each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<RolloutStep>,
    /// The steps that it takes where something runs, if nothing did when it was first rolled out: an operator may come back
    /// to it (`rollout undo`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over: Vec<RolloutStep>,
    /// When it is given up, whatever it does then (rule D39a).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// How many rollouts before the complete one are kept once this ended (rule D26); none where the manifest does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps: Option<u32>,
    /// How many instances it has, where its target is told each step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// The hooks among its steps that write tags: no target is told of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<TagImages>,
    /// What it is called in its network beside its own name: by the Services that select it (rule R17a).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// When it runs, where the target is a host and this is a `CronJob`: it is in force at once, and runs have records of
    /// their own (rule R17a).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<CronSpec>,
    /// Whether units that somebody edited are taken over, as an operator ordered (rule R22).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl RolloutStarted {
    /// What a step writes into tags, where it is such a hook.
    #[must_use]
    pub fn tags_at(&self, step: RolloutStep) -> Option<&TagImages> {
        self.tags.iter().find(|hook| hook.step == step)
    }

    /// The image of a container that tags can get.
    #[must_use]
    pub fn image_of(&self, container: &str) -> Option<&RolloutImage> {
        let is_it = |image: &&RolloutImage| {
            image.container.list == ContainerList::Regular && image.container.name == container
        };
        self.images.iter().find(is_it)
    }

    /// The step that comes after one; none after the last.
    #[must_use]
    pub fn step_after(&self, step: RolloutStep) -> Option<RolloutStep> {
        let at = self.steps.iter().position(|known| *known == step)?;
        let next = self.steps.get(at + 1).copied()?;
        if next == RolloutStep::Verifying && sabotage::is(Bug::SkipVerify) {
            return self.steps.get(at + 2).copied();
        }
        Some(next)
    }

    /// The idempotency key of the rollout that the record `seq` started.
    #[must_use]
    pub fn key(&self, seq: Seq) -> RolloutKey {
        RolloutKey::of(&self.object, self.incarnation, seq, self.epoch)
    }
}

/// How a rollout that is rolled back is going to end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// The step that it got to.
    pub step: RolloutStep,
    /// How.
    pub outcome: Outcome,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
    /// The last lines that its containers printed.
    #[serde(default)]
    pub log: String,
}

/// A rollout is about to take a step at its target (rule R3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutStepped {
    /// The rollout.
    pub rollout: Seq,
    /// Its object.
    pub object: ObjectKey,
    /// The step that begins.
    pub step: RolloutStep,
    /// What the target is going to run, in the object store: known once the images are pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<ContentHash>,
    /// What the step before has to tell.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// How it is going to end, where it is rolled back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// Since when the ports of the host lead nowhere, where the step before ended what had them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<Timestamp>,
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
    /// Who asked, where it was cancelled by an operator: then it counts as failed (rule D42).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
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
    /// Whether the revision before runs again or was never touched, where the target is told each step: false where nobody
    /// knows what runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<bool>,
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
    /// When records were lost last, see [`RolloutKey::epoch`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Timestamp>,
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
