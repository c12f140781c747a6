//! How many instances of what runs there are (rules D21, D22).

use serde::{Deserialize, Serialize};

use super::Outcome;
use crate::names::{ContentHash, Incarnation, ObjectKey, Seq, TargetName};
use crate::time::Timestamp;

/// Instances of what runs are about to be added or removed; its revision stays.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleStarted {
    /// The object.
    pub object: ObjectKey,
    /// Which life of it.
    pub incarnation: Incarnation,
    /// The rollout whose instances they are.
    pub rollout: Seq,
    /// How many there are.
    pub from: u32,
    /// How many there should be.
    pub to: u32,
    /// Where.
    pub target: TargetName,
    /// When records were lost last, see [`crate::names::RolloutKey::epoch`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Timestamp>,
}

/// What the target is going to run is put together; nothing was touched before that.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScalePrepared {
    /// The `ScaleStarted` record.
    pub scale: Seq,
    /// Its object.
    pub object: ObjectKey,
    /// All its instances, in the object store.
    pub rendered: ContentHash,
}

/// Adding or removing instances ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScaleFinished {
    /// The `ScaleStarted` record.
    pub scale: Seq,
    /// Its object.
    pub object: ObjectKey,
    /// How; what is not complete leaves what ran before.
    pub outcome: Outcome,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}
