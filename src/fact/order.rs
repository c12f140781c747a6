//! What operators order of rollouts (rules D41 to D48).

use serde::{Deserialize, Serialize};

use crate::names::{ContentHash, ObjectKey, Revision, Seq};

/// An operator ordered a rollout. What starts it is a record of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutOrdered {
    /// The object.
    pub object: ObjectKey,
    /// What is rolled out.
    pub order: Ordered,
    /// Who asked.
    pub by: String,
    /// Whether units that somebody edited are taken over (rule R22).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// What an operator wants rolled out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ordered {
    /// What is wanted now, with every tag resolved anew, also of triggers that are not automatic (rule D41).
    Latest {
        /// With the images of the last rollout instead.
        #[serde(default)]
        again: bool,
    },
    /// The rollout that failed, once more and under its number (rule D43).
    Retry {
        /// Which.
        rollout: Seq,
    },
    /// What an earlier rollout ran (rule D47). Until git changes the object, nothing else is rolled out by itself (D48).
    Undo {
        /// Which.
        rollout: Seq,
        /// Its number.
        revision: Revision,
        /// Hash of what git says of the object.
        basis: ContentHash,
    },
}

/// Rollouts were paused by an operator, or go on (rule D46).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutsPaused {
    /// Of which object; none for all.
    #[serde(default)]
    pub object: Option<ObjectKey>,
    /// Whether they are.
    pub paused: bool,
    /// Who asked.
    pub by: String,
}
