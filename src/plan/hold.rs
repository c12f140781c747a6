//! Why something waits, and until what: every "why not" has an answer (law 8).

mod build;

use std::collections::BTreeSet;
use std::fmt;

use crate::fact::{ContainerRef, Position, RolloutCause};
use crate::names::{ContentHash, Digest, ObjectKey, Revision, Seq, StreamTag, TargetName};
use crate::observed::ObservedState;
use crate::observed::rollout::Hold;
use crate::time::{Span, Timestamp, Window};

pub use build::BuildHeld;

/// What ends the hold of a set of digests that failed (rule T25).
pub const FAILED_ENDS: &str = "another digest or another template, `tidegate rollout retry`, `tidegate rollout latest` \
                               or `tidegate release`";

/// What waits behind a pause: why it would be rolled out, and the images that are others then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behind {
    /// Why.
    pub cause: RolloutCause,
    /// The containers, with what each has now, if anything, and would have.
    pub images: Vec<(ContainerRef, Option<Digest>, Digest)>,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "; behind it waits: {}", self.cause)?;
        for (container, old, new) in &self.images {
            let old = old.as_ref().map_or_else(|| "nothing".to_owned(), short);
            write!(f, ", {container} {old} -> {}", short(new))?;
        }
        Ok(())
    }
}

/// What triggers wait for though there is something to roll out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gate {
    /// They act inside a window only (rule T34).
    Window {
        /// Which.
        window: Window,
    },
    /// A digest was not known for long enough (rule T34).
    TooYoung {
        /// Its tag.
        tag: StreamTag,
        /// Which.
        image: Digest,
        /// How long it must be known.
        age: Span,
    },
    /// A digest comes back that was replaced a moment ago (rule T24, a).
    Flapping {
        /// Which.
        image: Digest,
        /// How long after it was replaced it is not rolled out again.
        guard: Span,
    },
    /// The last rollout by images was a moment ago (rule T24, c).
    TooSoon {
        /// The shortest time between two.
        interval: Span,
    },
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window { window } => {
                write!(f, "outside of its window `{window}` (`tidegate.dev/window`)")
            }
            Self::TooYoung { tag, image, age } => write!(
                f,
                "{tag} has {}, which has not been known for {age} (`tidegate.dev/minimum-age`)",
                short(image)
            ),
            Self::Flapping { image, guard } => write!(
                f,
                "{} comes back less than {guard} after it was replaced (`triggers.flap_guard`)",
                short(image)
            ),
            Self::TooSoon { interval } => write!(
                f,
                "less than {interval} after the last rollout by images (`tidegate.dev/min-interval`)"
            ),
        }
    }
}

/// Something that waits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// What waits.
    pub object: ObjectKey,
    /// Why.
    pub reason: HeldReason,
    /// When it ends by itself, if a time can be told.
    pub until: Option<Timestamp>,
}

/// Why something waits. What would release it is part of the text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HeldReason {
    /// A tag has no image yet.
    WaitingForImage {
        /// The tag.
        tag: StreamTag,
        /// Why it has none, if that is known.
        why: Option<String>,
    },
    /// A tag is a reference without a digest (rule T33).
    NoDigest {
        /// The tag.
        tag: StreamTag,
    },
    /// A tag is in a namespace that triggers may not lead into (rule T17).
    CrossNamespace {
        /// The tag.
        tag: StreamTag,
    },
    /// A trigger with `automatic: false` waits for an order (rule D18).
    WaitingForOrder {
        /// The tag.
        tag: StreamTag,
    },
    /// A `DeploymentConfig` without triggers waits for an order (rule D17).
    NoTrigger,
    /// A container has no image.
    BlankImage {
        /// The container, in words.
        container: String,
    },
    /// Git changed a tag that this depends on; it is imported first, so that both make one rollout (rule T27).
    Settling {
        /// The tag.
        tag: StreamTag,
    },
    /// These digests failed here (law 6, rule T25).
    Failed {
        /// The rollout that failed.
        rollout: Seq,
        /// Its revision.
        revision: u64,
        /// Since when they are held.
        since: Timestamp,
        /// The set; without any it is the template alone.
        digests: BTreeSet<Digest>,
        /// Why it failed.
        why: String,
    },
    /// Paused by `spec.paused` or `tidegate.dev/pause`.
    Paused {
        /// What would be rolled out; nothing of a stream.
        waits: Option<Behind>,
    },
    /// Paused by an operator (rule D46).
    PausedBy {
        /// Who.
        by: String,
        /// When.
        since: Timestamp,
        /// Whether all rollouts are.
        all: bool,
        /// What would be rolled out.
        waits: Option<Behind>,
    },
    /// An operator went back to a revision (rule D48).
    WentBack {
        /// Which.
        revision: Revision,
        /// Who.
        by: String,
        /// When.
        since: Timestamp,
        /// Why that failed, if it did.
        failed: Option<String>,
    },
    /// An order names a rollout that the journal does not have any more.
    NoSuchRollout {
        /// Which.
        rollout: Seq,
    },
    /// Its triggers may not act yet (rules T24, T34).
    Gated {
        /// Why.
        gate: Gate,
    },
    /// No such target is configured.
    NoSuchTarget {
        /// The target.
        target: TargetName,
    },
    /// It asks for what its target does not do.
    Unsupported {
        /// The target.
        target: TargetName,
        /// What.
        why: String,
    },
    /// A `ConfigMap` or a `Secret` that it needs is not there, or a key of one (rule R17).
    ConfigMissing {
        /// What.
        why: String,
    },
    /// It is to be stopped at a target that is not configured any more.
    NoTargetToStop {
        /// The target.
        target: TargetName,
    },
    /// Other rollouts go first.
    WaitingForSlot {
        /// How many run.
        in_flight: usize,
        /// How many may run at once.
        slots: usize,
    },
    /// Nothing is in its way: a daemon starts it in its next step.
    Due,
    /// The object is invalid at the adopted commit (rule D7).
    Rejected {
        /// Where.
        position: Position,
        /// Why.
        message: String,
        /// Its last valid version, which stays in force.
        kept: Option<ContentHash>,
    },
    /// The commit removed too much at once (rule D52).
    RemovalGuarded,
    /// No longer in git, kept by `tidegate.dev/prune: "false"` (rule D51).
    KeptRunning,
    /// No longer in git; stopped after the grace time (rule D51).
    Grace,
    /// In the journal, not in git, and never removed: this version of the program reads the commit differently.
    NotUnderstood,
    /// A restore failed; nothing is known to run.
    RestoreFailed {
        /// Why.
        why: String,
    },
    /// A tag that its repository does not have any more is kept because something uses it (rule I196).
    VanishedInUse {
        /// The tag.
        tag: StreamTag,
        /// Who uses it.
        user: String,
    },
    /// Instances could not be added or removed.
    ScaleFailed {
        /// How many there are.
        from: u32,
        /// How many there should be.
        to: u32,
        /// Why.
        why: String,
    },
    /// No run begins: `spec.suspend` of a `CronJob`.
    Suspended,
    /// A run waits for an earlier one (`concurrencyPolicy`).
    JobRuns {
        /// Its time.
        slot: Timestamp,
        /// The job that it waits for.
        name: String,
    },
    /// A run does not go on, and is tried again.
    JobTrouble {
        /// The job.
        name: String,
        /// Why.
        why: String,
    },
    /// The last run failed.
    JobFailed {
        /// The job.
        name: String,
        /// Why.
        why: String,
        /// When it ended.
        at: Timestamp,
    },
    /// The clock was ahead when a run began: its time is still to come.
    JobsAhead {
        /// That time.
        reached: Timestamp,
    },
    /// Why a build waits, or what is wrong with the last one.
    Build(Box<BuildHeld>),
    /// A stop failed.
    StopFailed {
        /// Why.
        why: String,
    },
}

impl fmt::Display for HeldReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WaitingForImage { tag, why } => waiting(f, tag, why.as_deref()),
            Self::NoDigest { tag } => no_digest(f, tag),
            Self::CrossNamespace { tag } => cross_namespace(f, tag),
            Self::WaitingForOrder { tag } => write!(
                f,
                "waiting on manual update: the trigger on {tag} is not automatic; `tidegate rollout latest` starts it"
            ),
            Self::NoTrigger => f.write_str(
                "it has no triggers; `tidegate rollout latest` starts it, a trigger under `spec.triggers` would",
            ),
            Self::BlankImage { container } => {
                write!(f, "{container} has no image and no trigger that sets one")
            }
            Self::Settling { tag } => {
                write!(f, "waiting for the import of {tag}, which the same commit changed")
            }
            Self::Failed { rollout, revision, digests, why, since: _ } => {
                write!(f, "rollout {revision} (record {rollout}) failed with these digests: {why}")?;
                failed_set(f, digests)
            }
            Self::Paused { .. }
            | Self::PausedBy { .. }
            | Self::WentBack { .. }
            | Self::NoSuchRollout { .. }
            | Self::Gated { .. } => self.write_order(f),
            Self::NoSuchTarget { target } => write!(
                f,
                "target `{target}` is not configured; add `[targets.{target}]` or change the route"
            ),
            Self::Unsupported { target, why } => unsupported(f, target, why),
            Self::ConfigMissing { why } => f.write_str(why),
            Self::WaitingForSlot { in_flight, slots } => no_slot(f, *in_flight, *slots),
            Self::Due => f.write_str("a rollout is due; a running daemon starts it at once"),
            Self::NoTargetToStop { target } => write!(
                f,
                "no longer in git, but its target `{target}` is not configured, so that it cannot be stopped; \
                 add `[targets.{target}]` again, with `kind = \"none\"` if nothing is left to stop"
            ),
            Self::Rejected { position, message, kept } => {
                write!(f, "invalid at {position}: {message}; {}", in_force(kept.is_some()))
            }
            Self::RemovalGuarded => f.write_str(
                "no longer in git, but its commit removed too much at once; `tidegate release --removals` \
                 lets it go, a commit that brings it back keeps it",
            ),
            Self::KeptRunning => f.write_str(
                "no longer in git; keeps running because its last version said `tidegate.dev/prune: \"false\"`",
            ),
            Self::Grace => f.write_str("no longer in git; stopped after `prune.grace`"),
            Self::NotUnderstood => f.write_str(
                "in force, but this version of tidegate does not find it in the adopted commit; nothing is \
                 stopped; run `tidegate check` on the commit",
            ),
            Self::RestoreFailed { why } => write!(
                f,
                "putting the previous revision back failed: {why}; look at the target, then \
                 `tidegate release` or a new digest tries again"
            ),
            Self::VanishedInUse { tag, user } => vanished_in_use(f, tag, user),
            Self::StopFailed { why } => stop_failed(f, why),
            Self::Build(build) => build.fmt(f),
            Self::ScaleFailed { from, to, why } => scale_failed(f, (*from, *to), why),
            Self::Suspended
            | Self::JobRuns { .. }
            | Self::JobTrouble { .. }
            | Self::JobFailed { .. }
            | Self::JobsAhead { .. } => self.write_job(f),
        }
    }
}

impl HeldReason {
    /// Why a run of a `CronJob` waits, or what is wrong with the last one.
    fn write_job(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::JobRuns { slot, name } = self {
            let slot = slot.to_rfc3339_seconds();
            return write!(
                f,
                "the run of {slot} waits for the end of job {name} (`spec.concurrencyPolicy`)"
            );
        }
        if let Self::JobTrouble { name, why } = self {
            return write!(f, "job {name} does not go on: {why}; it is tried again");
        }
        if let Self::JobFailed { name, why, at } = self {
            let at = at.to_rfc3339_seconds();
            return write!(
                f,
                "its last run, job {name}, failed at {at}: {why}; a run that succeeds ends this"
            );
        }
        if let Self::JobsAhead { reached } = self {
            let reached = reached.to_rfc3339_seconds();
            return write!(
                f,
                "it has run for times up to {reached} already: the clock was ahead then; \
                 `tidegate release` lets it run from now on"
            );
        }
        f.write_str("suspended; remove `spec.suspend` to let runs begin")
    }

    /// What operators may order about.
    fn write_order(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::WentBack { revision, by, since, failed } = self {
            let at = since.to_rfc3339_seconds();
            write!(f, "held at revision {revision} by {by} since {at}")?;
            if let Some(why) = failed {
                write!(f, ", and going back failed: {why}")?;
            }
            return f.write_str(
                "; a commit that changes it, `tidegate rollout latest` or `tidegate release` goes on",
            );
        }
        if let Self::Paused { waits } = self {
            f.write_str("paused; remove `paused` or `tidegate.dev/pause` to go on")?;
            return waits.iter().try_for_each(|waits| write!(f, "{waits}"));
        }
        if let Self::PausedBy { by, since, all, waits } = self {
            paused_by(f, by, *since, *all)?;
            return waits.iter().try_for_each(|waits| write!(f, "{waits}"));
        }
        if let Self::Gated { gate } = self {
            return write!(f, "{gate}; `tidegate rollout latest` does not wait");
        }
        if let Self::NoSuchRollout { rollout } = self {
            write!(
                f,
                "record {rollout}, which was to be rolled out again, is not kept any more; "
            )?;
        }
        f.write_str("`tidegate rollout latest` rolls out what git and the tags say")
    }
}

fn paused_by(f: &mut fmt::Formatter<'_>, by: &str, since: Timestamp, all: bool) -> fmt::Result {
    let (what, end) = if all { ("all rollouts are paused", " --all") } else { ("paused", "") };
    let at = since.to_rfc3339_seconds();
    write!(f, "{what} by {by} since {at}; `tidegate rollout resume{end}` goes on")
}

fn waiting(f: &mut fmt::Formatter<'_>, tag: &StreamTag, why: Option<&str>) -> fmt::Result {
    match why {
        None => write!(f, "waiting on image update: tag {tag} has no image yet"),
        Some(why) => write!(f, "waiting on image update: tag {tag} has no image ({why})"),
    }
}

/// A digest as messages show it.
fn short(image: &Digest) -> String {
    image.to_string().chars().take(19).collect()
}

fn unsupported(f: &mut fmt::Formatter<'_>, target: &TargetName, why: &str) -> fmt::Result {
    write!(
        f,
        "target `{target}` cannot run it: {why}; change the manifest or its target (`tidegate.dev/target`)"
    )
}

fn scale_failed(f: &mut fmt::Formatter<'_>, (from, to): (u32, u32), why: &str) -> fmt::Result {
    write!(
        f,
        "{to} instances are wanted, there were {from}, and it could not be made so: {why}; another number, a rollout or `tidegate release` tries again"
    )
}

fn no_slot(f: &mut fmt::Formatter<'_>, in_flight: usize, slots: usize) -> fmt::Result {
    write!(
        f,
        "a rollout waits for a slot: {in_flight} in flight, at most {slots} (`rollouts.in_flight`)"
    )
}

fn stop_failed(f: &mut fmt::Formatter<'_>, why: &str) -> fmt::Result {
    write!(f, "stopping it failed: {why}; `tidegate release` tries again")
}

fn vanished_in_use(f: &mut fmt::Formatter<'_>, tag: &StreamTag, user: &str) -> fmt::Result {
    write!(
        f,
        "tag {tag} is not in its repository any more; it is removed (`tidegate.dev/prune: vanished-tags`) once \
         {user} does not use it any more"
    )
}

/// Why nothing is rolled out that failed before.
#[must_use]
pub fn failed(hold: &Hold, revision: Revision) -> HeldReason {
    let Hold { since, rollout, digests, reason, template: _ } = hold;
    HeldReason::Failed {
        rollout: *rollout,
        revision: revision.0,
        since: *since,
        digests: digests.clone(),
        why: reason.clone(),
    }
}

/// What is held, and the ways out (rule T25).
fn failed_set(f: &mut fmt::Formatter<'_>, digests: &BTreeSet<Digest>) -> fmt::Result {
    let digests: Vec<String> = digests.iter().map(short).collect();
    let held = match digests.as_slice() {
        [] => "it is".to_owned(),
        [one] => format!("{one} is"),
        several => format!("{} are", several.join(", ")),
    };
    write!(f, "; {held} held until {FAILED_ENDS}")
}

fn no_digest(f: &mut fmt::Formatter<'_>, tag: &StreamTag) -> fmt::Result {
    write!(
        f,
        "tag {tag} is a reference without a digest; set `reference: false` or pin the image in `from.name`"
    )
}

fn cross_namespace(f: &mut fmt::Formatter<'_>, tag: &StreamTag) -> fmt::Result {
    let namespace = &tag.stream.namespace;
    write!(
        f,
        "its trigger follows {tag} in another namespace; add `{namespace}` to `triggers.cross_namespace`, or \
         follow a stream of its own namespace"
    )
}

fn in_force(kept: bool) -> &'static str {
    if kept {
        "its last valid version stays in force"
    } else {
        "no valid version of it is in force"
    }
}

/// What waits by the journal alone: what is invalid at the adopted commit, and removals that the guard holds.
#[must_use]
pub fn recorded(observed: &ObservedState) -> Vec<Held> {
    let rejected = observed.adopted.iter().flat_map(|adopted| &adopted.rejected);
    let rejected = rejected.filter_map(|rejected| {
        Some(Held {
            object: rejected.object.clone()?,
            reason: HeldReason::Rejected {
                position: rejected.position.clone(),
                message: rejected.message.clone(),
                kept: rejected.kept,
            },
            until: None,
        })
    });
    let removals = observed.held_removals().map(|(object, _)| Held {
        object: object.clone(),
        reason: HeldReason::RemovalGuarded,
        until: None,
    });
    rejected.chain(removals).collect()
}
