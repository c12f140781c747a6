//! One record in words.

use std::collections::BTreeSet;
use std::fmt;

use crate::fact::{
    BuildEnd, CommitAdopted, Fact, Ordered, Outcome, Reason, Record, RecordsLost, Release,
    RemovalFate, RolloutOrdered, RolloutStarted, RolloutsPaused, TagsListed, TriggerFired,
    TriggerOutcome, build_fact,
};
use crate::names::{Digest, ObjectKey, Seq, StreamTag, TagName};
use crate::observed::build;
use crate::observed::rollout::object_of;
use crate::time::ago;

use super::super::drift::overlay_words;
use super::super::select::Selection;
use super::super::words::{
    BAD, FAINT, GOOD, HEADING, PLACE, WAITS, count, one_line, short, short_or,
};
use super::build::via;
use super::{Entry, Reader};

/// The colour of an entry's word.
pub(super) fn style(fact: &Fact) -> anstyle::Style {
    match fact {
        Fact::CommitAdopted(_) => HEADING,
        Fact::TagImported(_) => PLACE,
        Fact::RolloutFinished(finished) => match finished.outcome {
            Outcome::Complete => GOOD,
            Outcome::Failed => BAD,
            Outcome::Cancelled => WAITS,
        },
        Fact::CommitRefused(_)
        | Fact::SourceFailed(_)
        | Fact::ImportFailed(_)
        | Fact::ListingFailed(_)
        | Fact::SpaceShort(_)
        | Fact::RecordsLost(_) => BAD,
        Fact::DigestHeld(_)
        | Fact::RolloutSuperseded(_)
        | Fact::RolloutOrdered(_)
        | Fact::RolloutsPaused(_)
        | Fact::OverlaySet(_) => WAITS,
        Fact::RolloutStepped(stepped) if stepped.ending.is_some() => BAD,
        Fact::StopFinished(finished) if finished.outcome != Outcome::Complete => BAD,
        Fact::ScaleFinished(finished) if finished.outcome == Outcome::Failed => BAD,
        Fact::JobFinished(finished) => match finished.outcome {
            Outcome::Complete => GOOD,
            Outcome::Failed => BAD,
            Outcome::Cancelled => WAITS,
        },
        Fact::BuildFinished(finished) => match finished.end {
            BuildEnd::Complete => GOOD,
            BuildEnd::Failed | BuildEnd::Error => BAD,
            BuildEnd::Cancelled => WAITS,
        },
        Fact::JobEnding(_) | Fact::JobMissed(_) | Fact::BuildEnding(_) => WAITS,
        Fact::BuildCreated(_) => PLACE,
        Fact::CommitWithdrawn(_)
        | Fact::RolloutStepped(_)
        | Fact::SourceRecovered
        | Fact::TagRecovered(_)
        | Fact::TagTrimmed(_)
        | Fact::TagsListed(_)
        | Fact::TagRemoved(_)
        | Fact::ImagesPruned(_)
        | Fact::ImageDeleted(_)
        | Fact::ManifestDeleted(_)
        | Fact::RemovalsReleased(_)
        | Fact::TagProbed(_)
        | Fact::TriggerFired(_)
        | Fact::RolloutStarted(_)
        | Fact::HoldReleased(_)
        | Fact::StopStarted(_)
        | Fact::StopFinished(_)
        | Fact::ScaleStarted(_)
        | Fact::ScalePrepared(_)
        | Fact::ScaleFinished(_)
        | Fact::JobStarted(_)
        | Fact::JobCreated(_)
        | Fact::BuildStarted(_)
        | Fact::ConfigAdopted(_)
        | Fact::SpaceRegained(_)
        | Fact::HistoryDropped(_)
        | Fact::Checkpoint(_) => FAINT,
    }
}

/// Whether a fact that needs no look at others is about what was selected.
pub(super) fn is_about(fact: &Fact, select: &Selection, watched: &BTreeSet<StreamTag>) -> bool {
    if let Some(object) = object_of(fact).or(build::object_of(fact)) {
        return select.has(object);
    }
    if let Fact::ImportFailed(failed) = fact {
        return select.has_tag(&failed.tag) || watched.contains(&failed.tag);
    }
    if let Fact::TagRecovered(recovered) = fact {
        return select.has_tag(&recovered.tag) || watched.contains(&recovered.tag);
    }
    if let Fact::TagProbed(probed) = fact {
        return select.has_tag(&probed.tag);
    }
    if let Fact::TagTrimmed(trimmed) = fact {
        return select.has_tag(&trimmed.tag);
    }
    if let Fact::TagRemoved(removed) = fact {
        return select.has_tag(&removed.tag) || watched.contains(&removed.tag);
    }
    if let Fact::OverlaySet(set) = fact {
        return select.has_tag(&set.tag) || watched.contains(&set.tag);
    }
    if let Fact::TagsListed(listed) = fact {
        return select.has(&ObjectKey::stream(&listed.stream));
    }
    if let Fact::ListingFailed(failed) = fact {
        return select.has(&ObjectKey::stream(&failed.stream));
    }
    if let Fact::ImagesPruned(pruned) = fact {
        return pruned.items.iter().any(|of_tag| select.has_tag(&of_tag.tag));
    }
    let Fact::RemovalsReleased(released) = fact else { return false };
    released.objects.iter().any(|object| select.has(object))
}

/// What an entry says.
pub(super) struct Said {
    word: &'static str,
    subject: String,
    text: String,
    because: Vec<Seq>,
}

pub(super) fn said(
    word: &'static str,
    subject: &dyn fmt::Display,
    text: impl Into<String>,
) -> Said {
    Said { word, subject: subject.to_string(), text: text.into(), because: Vec::new() }
}

impl Said {
    pub(super) fn because(mut self, because: impl IntoIterator<Item = Seq>) -> Self {
        self.because.extend(because);
        self
    }
}

impl Reader<'_> {
    /// Puts a record into words; none for records that only keep the program going.
    pub(super) fn describe(&self, record: &Record) -> Option<Entry> {
        let Said { word, subject, text, because } = match &record.fact {
            Fact::CommitAdopted(adopted) => commit(adopted),
            Fact::CommitRefused(refused) => {
                let subject = refused.commit.short();
                said("refused", &subject, format!(": {}", one_line(&refused.reason)))
            }
            Fact::CommitWithdrawn(withdrawn) => said(
                "withdrawn",
                &withdrawn.commit.short(),
                ": the branch is at the adopted commit again",
            ),
            Fact::SourceFailed(failed) => {
                said("source", &"cannot be read", format!(": {}", one_line(&failed.message)))
            }
            Fact::SourceRecovered => said("source", &"can be read again", ""),
            Fact::RecordsLost(lost) => records_lost(lost),
            Fact::SpaceShort(space) => {
                let left = format!(": {} of {} needed bytes are free", space.free, space.needed);
                said("space", &"runs short, nothing is started", left)
            }
            Fact::SpaceRegained(_) => said("space", &"is enough again", ""),
            Fact::HistoryDropped(dropped) => {
                let left = format!("; record {} is the oldest now", dropped.oldest);
                said("history", &format!("{} old records dropped", dropped.records), left)
            }
            Fact::RemovalsReleased(released) => {
                let objects: Vec<_> = released.objects.iter().map(ToString::to_string).collect();
                said("release", &"removals", format!(" by {}: {}", released.by, objects.join(", ")))
            }
            Fact::TagImported(_)
            | Fact::TagProbed(_)
            | Fact::ImportFailed(_)
            | Fact::TagRecovered(_)
            | Fact::TagTrimmed(_)
            | Fact::TagsListed(_)
            | Fact::ListingFailed(_)
            | Fact::OverlaySet(_)
            | Fact::TagRemoved(_) => self.tag(&record.fact)?,
            Fact::ImagesPruned(pruned) => super::gone::prune(pruned),
            Fact::ImageDeleted(_) | Fact::ManifestDeleted(_) => super::gone::deleted(&record.fact)?,
            Fact::TriggerFired(fired) => fires(fired),
            Fact::ConfigAdopted(config) => {
                said("config", &"taken into use", format!(" by version {}", config.version))
            }
            Fact::Checkpoint(_) => return None,
            Fact::RolloutsPaused(paused) => pauses(paused),
            Fact::RolloutStarted(_)
            | Fact::RolloutStepped(_)
            | Fact::RolloutSuperseded(_)
            | Fact::RolloutOrdered(_)
            | Fact::RolloutFinished(_)
            | Fact::DigestHeld(_)
            | Fact::HoldReleased(_)
            | Fact::StopStarted(_)
            | Fact::StopFinished(_)
            | Fact::ScaleStarted(_)
            | Fact::ScalePrepared(_)
            | Fact::ScaleFinished(_) => self.workload(record)?,
            Fact::JobStarted(_)
            | Fact::JobCreated(_)
            | Fact::JobEnding(_)
            | Fact::JobFinished(_)
            | Fact::JobMissed(_) => super::job::told(&record.fact)?,
            build_fact!() => super::build::told(&record.fact)?,
        };
        let (seq, at, fact) = (record.seq, record.at, record.fact.clone());
        Some(Entry { record: seq, at, word, subject, text, because, fact })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`describe` hands over only these")]
    fn tag(&self, fact: &Fact) -> Option<Said> {
        let said = match fact {
            Fact::TagImported(imported) => {
                let old = self.images.get(&imported.tag);
                let nothing = if self.is_cut() { "unknown" } else { "nothing" };
                let reason = match &imported.reason {
                    Reason::SpecChanged { generation } => format!("spec generation {generation}"),
                    Reason::ScheduleDue => "schedule".into(),
                    Reason::Retry => "retry".into(),
                    Reason::Nudged => "asked to look".into(),
                    Reason::SourceTagChanged => "source tag changed".into(),
                };
                let via = via(&imported.via);
                let change = match &imported.event.image {
                    None => format!("is {}", one_line(&imported.event.reference)),
                    Some(new) if old.is_none() => format!("{nothing} -> {}", short(new)),
                    Some(new) => change(old, Some(new)),
                };
                let build = super::build::made(&imported.via);
                let reason = build.map_or_else(|| format!(" ({reason})"), |_| String::new());
                let said = said("import", &imported.tag, format!(" {change}{via}{reason}"));
                said.because(build)
            }
            Fact::TagProbed(probed) => {
                let digest = short(&probed.probed);
                let text = format!(" same image, the registry answers {digest}");
                said("probe", &probed.tag, text)
            }
            Fact::ImportFailed(failed) => {
                let message = one_line(&failed.message);
                said("failed", &failed.tag, format!(" import: {}: {message}", failed.reason))
            }
            Fact::TagTrimmed(trimmed) => {
                let items = count(trimmed.items.len(), "old image", "old images");
                said("trim", &trimmed.tag, format!(" lost {items} (`tidegate.dev/history-limit`)"))
            }
            Fact::TagsListed(listed) => listing(listed),
            Fact::ListingFailed(failed) => {
                let message = one_line(&failed.message);
                said("failed", &failed.stream, format!(" listing: {}: {message}", failed.reason))
            }
            Fact::TagRemoved(removed) => {
                said("remove", &removed.tag, format!(": {}", removed.because))
            }
            Fact::OverlaySet(set) => {
                let (words, by) = (overlay_words(set), one_line(&set.by));
                let text = format!(": {words}, by {by}, over commit {}", set.commit.short());
                said("overlay", &set.tag, text)
            }
            Fact::TagRecovered(recovered) => {
                said("recovered", &recovered.tag, " does not fail any more; nothing was imported")
            }
            _ => return None,
        };
        Some(said)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`workload` hands over only these")]
    fn scaled(&self, fact: &Fact) -> Option<Said> {
        Some(match fact {
            Fact::ScaleStarted(fact) => {
                let revision = self.rollouts.get(&fact.rollout).map(|known| known.started.revision);
                let of =
                    revision.map_or_else(String::new, |number| format!(" of revision {number}"));
                let (from, to) = (fact.from, count_instances(fact.to));
                // What was broken off is undone.
                let text = match fact.from == fact.to {
                    true => format!("{of} back to {to}"),
                    false => format!("{of} from {from} to {to}"),
                };
                said("scale", &fact.object, text).because([fact.rollout])
            }
            Fact::ScalePrepared(fact) => {
                said("step", &fact.object, " scaling: put together".to_owned())
                    .because([fact.scale])
            }
            Fact::ScaleFinished(fact) => {
                said("scaled", &fact.object, ended(fact.outcome, &fact.reason))
                    .because([fact.scale])
            }
            _ => return None,
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "`describe` hands over only these")]
    fn workload(&self, record: &Record) -> Option<Said> {
        let of = |seq: &Seq| self.rollouts.get(seq);
        let revision = |seq: &Seq| {
            of(seq).map_or_else(String::new, |k| format!(" revision {}", k.started.revision))
        };
        let said = match &record.fact {
            Fact::RolloutStarted(started) => rollout(record.seq, started),
            Fact::RolloutStepped(fact) => {
                let mut text = format!("{} {}", revision(&fact.rollout), fact.step);
                let ending = fact.ending.as_ref().map(|ending| ending.reason.as_str());
                for words in
                    ending.into_iter().chain([fact.note.as_str()]).filter(|words| !words.is_empty())
                {
                    text = format!("{text}: {}", one_line(words));
                }
                said("step", &fact.object, text).because([fact.rollout])
            }
            Fact::RolloutSuperseded(fact) => {
                let text = format!("{}: {}", revision(&fact.rollout), one_line(&fact.reason));
                said("supersede", &fact.object, text).because([fact.rollout])
            }
            Fact::RolloutOrdered(fact) => ordered(fact),
            Fact::RolloutFinished(fact) => {
                let word = match fact.outcome {
                    Outcome::Complete => "complete",
                    Outcome::Failed => "failed",
                    Outcome::Cancelled => "cancelled",
                };
                let took = of(&fact.rollout).map(|known| ago(record.at.since(known.at)));
                let took = took.map(|took| format!(" after {}", took.to_lowercase()));
                let mut text = format!("{}{}", revision(&fact.rollout), took.unwrap_or_default());
                if !fact.reason.is_empty() {
                    text = format!("{text}: {}", one_line(&fact.reason));
                }
                // What the last step has to tell, where there are steps; else what the target printed.
                let is_told = of(&fact.rollout).is_some_and(|k| !k.started.steps.is_empty());
                if is_told && fact.outcome == Outcome::Complete && !fact.log.is_empty() {
                    text = format!("{text}: {}", one_line(&fact.log));
                }
                said(word, &fact.object, text).because([fact.rollout])
            }
            Fact::DigestHeld(fact) => {
                let digests: Vec<_> = fact.digests.iter().map(short).collect();
                let reason = one_line(&fact.reason);
                let text = format!(" not tried again: {}: {reason}", digests.join(", "));
                said("held", &fact.object, text).because([fact.rollout])
            }
            Fact::HoldReleased(fact) => {
                let because = match &fact.because {
                    Release::NewImages => "other images".to_owned(),
                    Release::NewTemplate => "a changed template".to_owned(),
                    Release::Operator { by } => by.clone(),
                    Release::Removed => "removed from git".to_owned(),
                };
                said("release", &fact.object, format!(" hold ended by {because}"))
            }
            Fact::StopStarted(fact) => {
                let text = format!(" at target {}", fact.target);
                said("stop", &fact.object, text).because([fact.rollout])
            }
            Fact::StopFinished(fact) => {
                said("stopped", &fact.object, ended(fact.outcome, &fact.reason))
                    .because([fact.stop])
            }
            Fact::ScaleStarted(_) | Fact::ScalePrepared(_) | Fact::ScaleFinished(_) => {
                self.scaled(&record.fact)?
            }
            _ => return None,
        };
        Some(said)
    }
}

fn pauses(paused: &RolloutsPaused) -> Said {
    let word = if paused.paused { "pause" } else { "resume" };
    let by = format!(" by {}", one_line(&paused.by));
    match &paused.object {
        Some(object) => said(word, object, by),
        None => said(word, &"all rollouts", by),
    }
}

fn ordered(fact: &RolloutOrdered) -> Said {
    let mut by = one_line(&fact.by);
    if fact.force {
        by.push_str("; units that somebody edited are taken over");
    }
    match fact.order {
        Ordered::Latest { again: false } => {
            said("order", &fact.object, format!(" rolled out by {by}"))
        }
        Ordered::Latest { again: true } => {
            said("order", &fact.object, format!(" rolled out again, with its images, by {by}"))
        }
        Ordered::Retry { rollout } => {
            said("retry", &fact.object, format!(" by {by}")).because([rollout])
        }
        Ordered::Undo { rollout, revision, .. } => {
            said("undo", &fact.object, format!(" back to revision {revision} by {by}"))
                .because([rollout])
        }
    }
}

fn commit(adopted: &CommitAdopted) -> Said {
    let mut parts = vec![count(usize_of(adopted.objects), "object", "objects")];
    let list = |words: &str, names: Vec<String>| match names.len() {
        0 => None,
        1..=3 => Some(format!("{words} {}", names.join(", "))),
        n => Some(format!("{words} {n}")),
    };
    let appeared = adopted.appeared.iter().map(|appeared| appeared.object.to_string()).collect();
    let removed = |fate: fn(&RemovalFate) -> bool| {
        let removed = adopted.removed.iter().filter(move |removed| fate(&removed.fate));
        removed.map(|removed| removed.object.to_string()).collect()
    };
    let rejected = adopted.rejected.iter().map(|rejected| match &rejected.object {
        Some(object) => format!("{object} at {}", rejected.position),
        None => rejected.position.to_string(),
    });
    let changed = adopted.streams.iter().map(|changed| changed.stream.to_string()).collect();
    parts.extend(list("new:", appeared));
    parts.extend(list("streams changed:", changed));
    let ended = adopted.superseded.iter().map(ToString::to_string).collect();
    parts.extend(list("overlays ended:", ended));
    parts.extend(list("removed:", removed(|fate| matches!(fate, RemovalFate::Pruned))));
    parts.extend(list("left running:", removed(|fate| matches!(fate, RemovalFate::Kept))));
    parts.extend(list("removal held:", removed(|fate| matches!(fate, RemovalFate::Held { .. }))));
    parts.extend(list("rejected:", rejected.collect()));
    let forced = if adopted.forced { " (force push)" } else { "" };
    let text = format!(" of {}{forced}: {}", one_line(&adopted.branch), parts.join("; "));
    said("commit", &adopted.commit.short(), text)
}

fn rollout(seq: Seq, started: &RolloutStarted) -> Said {
    let images: Vec<_> = started
        .images
        .iter()
        .map(|image| {
            let change = match (&image.previous, &image.digest) {
                (_, None) => one_line(&image.reference),
                (old, new) => change(old.as_ref(), new.as_ref()),
            };
            format!("{} {change}", image.container)
        })
        .collect();
    let text = format!(
        " revision {}, {}, commit {}, target {}, key {}: {}",
        started.revision,
        started.cause,
        started.commit.short(),
        started.target,
        started.key(seq),
        images.join("; ")
    );
    said("rollout", &started.object, text).because(started.replaces)
}

fn change(old: Option<&Digest>, new: Option<&Digest>) -> String {
    match (old, new) {
        (Some(old), Some(new)) if old == new => format!("{} (unchanged)", short(old)),
        (old, new) => format!("{} -> {}", short_or(old, "nothing"), short_or(new, "nothing")),
    }
}

fn usize_of(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// What a listing of a whole repository found.
fn listing(listed: &TagsListed) -> Said {
    let names = |tags: &mut dyn Iterator<Item = &TagName>| {
        tags.map(TagName::as_str).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!(" has {}", count(listed.tags.len(), "imported tag", "imported tags"));
    if !listed.vanished.is_empty() {
        let gone = names(&mut listed.vanished.iter().map(|gone| &gone.tag));
        text = format!("{text}; vanished: {gone}");
    }
    if !listed.left_out.is_empty() {
        text = format!("{text}; left out: {}", names(&mut listed.left_out.iter()));
    }
    said("listing", &listed.stream, text)
}

/// What a trigger saw, and what came of it.
pub(crate) fn fired_words(fired: &TriggerFired) -> String {
    let change = change(fired.old.as_ref(), Some(&fired.new));
    let outcome = match fired.outcome {
        TriggerOutcome::Rollout(revision) => format!("rollout {revision}"),
        TriggerOutcome::AlreadyRunning => "already running, nothing to do".into(),
        TriggerOutcome::Held => "held".into(),
    };
    format!("{} {change}: {outcome}", fired.from)
}

fn fires(fired: &TriggerFired) -> Said {
    said("trigger", &fired.object, format!(" sees {}", fired_words(fired))).because([fired.event])
}

fn records_lost(lost: &RecordsLost) -> Said {
    let known = lost.last.map_or_else(
        || ": nobody knows how many".to_owned(),
        |last| format!(": they went up to record {last} at least"),
    );
    let keys = "; from here on every key of a rollout says so";
    said("lost", &"records before this one", known + keys)
}

fn ended(outcome: Outcome, reason: &str) -> String {
    match reason {
        "" => format!(" {outcome}"),
        reason => format!(" {outcome}: {}", one_line(reason)),
    }
}

fn count_instances(number: u32) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "instance", "instances")
}
