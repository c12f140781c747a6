//! What registries are asked, as they count it, and what they tell of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::names::Account;
use crate::policy::Counted;

/// How many requests of those that a registry counts may be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allowance {
    /// Requests.
    pub requests: u64,
    /// None is made where the registry says that no more than this is left.
    pub leave: u64,
    /// What counts.
    pub counted: Counted,
}

/// Requests by what they are for, as registries count them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Requests {
    /// `HEAD` of a manifest.
    pub head: u64,
    /// `GET` of a manifest.
    pub manifests: u64,
    /// All others.
    pub others: u64,
}

impl Requests {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.head + self.manifests + self.others
    }

    /// Adds others.
    pub fn add(&mut self, more: Self) {
        self.head += more.head;
        self.manifests += more.manifests;
        self.others += more.others;
    }
}

/// What one action asked of registries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Spent {
    /// By account, the one that was asked last at the end.
    pub by: Vec<SpentBy>,
    /// Whether the action ended because its allowance did: its answer says nothing about the image.
    pub short: bool,
}

/// What was asked in the name of one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpentBy {
    /// The account.
    pub account: Account,
    /// How much.
    pub requests: Requests,
    /// What the registry told last of its limit.
    pub told: Option<Told>,
}

/// What a registry tells of its limit in its headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    /// Requests that it takes in a window.
    pub limit: Option<u64>,
    /// The window.
    pub window: Option<Duration>,
    /// Requests that are left.
    pub remaining: u64,
    /// When there will be more, from when it told.
    pub resets: Option<Duration>,
}
