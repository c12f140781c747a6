//! What listing the whole repository of a stream found (rules I55 to I60, I194 to I196).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fact::{ImportReason, ListingFailed, TagsListed, Vanished};
use crate::names::TagName;
use crate::time::Timestamp;

/// What the listings of a stream's repository found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ListingState {
    /// Fingerprint of what the last listing asked; 0 if none ever succeeded.
    pub asked: u32,
    /// The derived spec tags: those that are imported, and those that vanished.
    pub derived: BTreeMap<TagName, Option<Missing>>,
    /// Tags beyond the limit, in the order of importance.
    #[serde(default)]
    pub left_out: Vec<TagName>,
    /// The failure of the last listing, while it lasts.
    #[serde(default)]
    pub failure: Option<ListingFailure>,
}

/// A derived tag that listings do not bring any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Missing {
    /// Why.
    pub why: Vanished,
    /// Complete listings in a row that lacked it.
    pub listings: u32,
}

/// Why a repository cannot be listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ListingFailure {
    /// Fingerprint of what was asked.
    pub asked: u32,
    /// Its reason.
    pub reason: ImportReason,
    /// Its message.
    pub message: String,
    /// When it got this reason and message first.
    pub since: Timestamp,
}

impl ListingState {
    /// Takes a listing in.
    pub(super) fn list(&mut self, listed: &TagsListed) {
        let vanished = listed.vanished.iter().map(|tag| {
            let missing = Missing { why: tag.why, listings: tag.listings };
            (tag.tag.clone(), Some(missing))
        });
        self.derived = listed.tags.iter().map(|tag| (tag.clone(), None)).chain(vanished).collect();
        self.asked = listed.asked;
        self.left_out.clone_from(&listed.left_out);
        self.failure = None;
    }

    /// Takes a failure in; what is known stays.
    pub(super) fn fail(&mut self, at: Timestamp, failed: &ListingFailed) {
        let ListingFailed { stream: _, asked, reason, message } = failed;
        let same = |known: &&ListingFailure| known.reason == *reason && known.message == *message;
        let since = self.failure.as_ref().filter(same).map_or(at, |known| known.since);
        let (asked, reason, message) = (*asked, *reason, message.clone());
        self.failure = Some(ListingFailure { asked, reason, message, since });
    }
}
