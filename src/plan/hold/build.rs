//! Why a build waits, or what is wrong with the last one, and what would end that.

use std::fmt;

use crate::effective::{NoOutput, Unresolved};
use crate::names::ObjectName;
use crate::time::Timestamp;

use super::Gate;

/// Why a build waits, or what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BuildHeld {
    /// Builds are off.
    Off,
    /// It is never built here (rule B3).
    Refused {
        /// Why, with what to do instead.
        why: &'static str,
    },
    /// An image that it is made of cannot be told (rule B28).
    Input {
        /// Which, and why.
        why: Unresolved,
    },
    /// Where its image goes cannot be told (rules B28, B53).
    Output {
        /// The build; none where the first one would wait for it.
        name: String,
        /// Why.
        why: NoOutput,
    },
    /// Its triggers may not act yet (rule T34).
    Gated {
        /// Why.
        gate: Gate,
    },
    /// `openshift.io/build-config.paused` or `tidegate.dev/pause` (rules B6, T34), and something waits behind it.
    Paused,
    /// What it makes would start it again, for ever (rule B16).
    Cycle {
        /// The `BuildConfig`s on the way, the first again at the end.
        ring: Vec<ObjectName>,
    },
    /// It waits for another build of the same `BuildConfig` (rule B26).
    Behind {
        /// The build.
        name: String,
        /// The one that it waits for.
        other: String,
    },
    /// It waits for builds of others (`builds.in_flight`).
    Slot {
        /// The build.
        name: String,
        /// How many run.
        in_flight: u64,
        /// How many may.
        slots: u64,
    },
    /// Nothing is in its way: a daemon creates it in its next step.
    Due,
    /// The builder does not get on with it, and it is tried again.
    Trouble {
        /// The build.
        name: String,
        /// Why.
        why: String,
    },
    /// The last build did not succeed.
    Failed {
        /// The build.
        name: String,
        /// How it ended, and why.
        why: String,
        /// When it ended.
        at: Timestamp,
    },
}

impl fmt::Display for BuildHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("not built: builds are off; set `builds.enabled = true`"),
            Self::Refused { why } => f.write_str(why),
            Self::Input { why } => write!(
                f,
                "InvalidImageReference: Referenced image could not be resolved. {why}; it is built once there is one"
            ),
            Self::Output { name, why } => write!(f, "build {name} waits: InvalidOutputReference: {why}"),
            Self::Gated { gate } => write!(f, "{gate}; `tidegate start-build` does not wait"),
            Self::Paused => f.write_str(
                "paused; remove `tidegate.dev/pause` or `openshift.io/build-config.paused` to go on",
            ),
            Self::Cycle { ring } => {
                let names: Vec<&str> = ring.iter().map(ObjectName::as_str).collect();
                write!(
                    f,
                    "Cycle detected in build configurations: {}; its trigger is treated as paused, \
                     `tidegate.dev/allow-cycle: \"true\"` on it lets it build",
                    names.join(" -> ")
                )
            }
            Self::Behind { name, other } => {
                write!(f, "build {name} waits for the end of build {other} (`spec.runPolicy`)")
            }
            Self::Slot { name, in_flight, slots } => write!(
                f,
                "build {name} waits for a slot: {in_flight} in flight, at most {slots} (`builds.in_flight`)"
            ),
            Self::Due => f.write_str("a build is due; a running daemon starts it at once"),
            Self::Trouble { name, why } => {
                write!(f, "build {name} does not go on: {why}; it is tried again")
            }
            Self::Failed { name, why, at } => write!(
                f,
                "its last build, {name}, ended at {}: {why}; `tidegate logs build/{name}` shows what it printed, another \
                 build that succeeds ends this",
                at.to_rfc3339_seconds()
            ),
        }
    }
}

impl BuildHeld {
    /// A stable word for the reason, and what ends it.
    #[must_use]
    pub fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Off => ("buildsOff", "`builds.enabled = true`"),
            Self::Refused { .. } => ("buildRefused", "another strategy in a commit"),
            Self::Input { .. } => ("invalidImageReference", "the first import of the tag"),
            Self::Output { .. } => (
                "invalidOutputReference",
                "a stream that says where it is pushed to, or `integrated_registry`",
            ),
            Self::Gated { gate } => (
                match gate {
                    Gate::Window { .. } => "window",
                    Gate::TooYoung { .. } => "minimumAge",
                    Gate::Flapping { .. } => "flapGuard",
                    Gate::TooSoon { .. } => "minInterval",
                },
                "the time given, or `tidegate start-build`",
            ),
            Self::Paused => ("paused", "taking the pause out of the manifest"),
            Self::Cycle { .. } => {
                ("cycle", "a commit without the ring, or `tidegate.dev/allow-cycle`")
            }
            Self::Behind { .. } => ("behind", "the end of the other build"),
            Self::Slot { .. } => ("waitingForSlot", "the end of another build"),
            Self::Due => ("due", "a running daemon"),
            Self::Trouble { .. } => ("buildTrouble", "the next attempt"),
            Self::Failed { .. } => ("buildFailed", "a build that succeeds"),
        }
    }

    /// Whether nobody has to do anything.
    #[must_use]
    pub fn ends_by_itself(&self) -> bool {
        match self {
            Self::Behind { .. } | Self::Slot { .. } | Self::Due | Self::Trouble { .. } => true,
            Self::Off
            | Self::Refused { .. }
            | Self::Input { .. }
            | Self::Output { .. }
            | Self::Gated { .. }
            | Self::Paused
            | Self::Cycle { .. }
            | Self::Failed { .. } => false,
        }
    }
}
