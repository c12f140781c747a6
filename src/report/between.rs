//! `tidegate diff --at A --to B`: what changed between two points of the journal.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::fact::Outcome;
use crate::names::{CommitId, Digest, ObjectKey, Revision, StreamTag};
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::observed::{ObservedState, Presence};
use crate::plan::{self, Held};
use crate::time::Timestamp;

use super::FORMAT_VERSION;
use super::held::HeldReport;
use super::status::AsOf;
use super::words::{BAD, GOOD, HEADING, PLACE, WAITS, one_line, short, short_or, styled};

/// What changed between two points.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Between {
    format_version: u32,
    from: AsOf,
    to: AsOf,
    /// The adopted commit, where it is another one.
    commit: Option<Change<CommitId>>,
    appeared: Vec<ObjectKey>,
    removed: Vec<ObjectKey>,
    tags: Vec<TagChange>,
    workloads: Vec<WorkloadChange>,
    holds_began: Vec<HeldReport>,
    holds_ended: Vec<HeldReport>,
}

/// What something was and is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Change<T> {
    from: Option<T>,
    to: Option<T>,
}

/// A tag that became another image.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TagChange {
    tag: StreamTag,
    /// Digests; of a tag without one, its reference.
    from: Option<String>,
    to: Option<String>,
}

/// A workload that runs something else, or whose last rollout is another one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkloadChange {
    object: ObjectKey,
    /// What the target runs.
    active: Change<Running>,
    /// The last rollout.
    latest: Change<Latest>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    revision: Revision,
    commit: CommitId,
    digests: BTreeMap<String, Option<Digest>>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Latest {
    revision: Revision,
    /// None while it runs.
    outcome: Option<Outcome>,
    reason: String,
}

impl Between {
    /// Compares the state at a point with that at a later one.
    #[must_use]
    pub fn of(from: &ObservedState, to: &ObservedState) -> Self {
        let commit = |state: &ObservedState| state.adopted.as_ref().map(|adopted| adopted.commit);
        let (before, after) = (present(from), present(to));
        let (held_before, held_after) = (holds(from), holds(to));
        let only = |all: &[HeldReport], others: &[HeldReport]| {
            all.iter().filter(|held| !others.contains(held)).cloned().collect()
        };
        Self {
            format_version: FORMAT_VERSION,
            from: AsOf { record: from.last_seq, at: from.last_at },
            to: AsOf { record: to.last_seq, at: to.last_at },
            commit: Change::of(commit(from), commit(to)),
            appeared: after.difference(&before).map(|object| (*object).clone()).collect(),
            removed: before.difference(&after).map(|object| (*object).clone()).collect(),
            tags: tags(from, to),
            workloads: workloads(from, to),
            holds_began: only(&held_after, &held_before),
            holds_ended: only(&held_before, &held_after),
        }
    }

    /// Whether nothing that is compared changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { commit, appeared, removed, tags, workloads, holds_began, holds_ended, .. } =
            self;
        commit.is_none()
            && appeared.is_empty()
            && removed.is_empty()
            && tags.is_empty()
            && workloads.is_empty()
            && holds_began.is_empty()
            && holds_ended.is_empty()
    }

    /// Writes the report for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("from {} to {}\n", point(&self.from), point(&self.to));
        if self.is_empty() {
            out.push_str("nothing changed\n");
        }
        if let Some(Change { from, to }) = &self.commit {
            let shown = |commit: &Option<CommitId>| {
                commit.map_or_else(|| "nothing".to_owned(), |commit| commit.short())
            };
            let commits = format!("{} -> {}", shown(from), shown(to));
            out.push_str(&format!("commit {}\n", styled(HEADING, commits)));
        }
        let section = |out: &mut String, name: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                out.push_str(&format!("\n{}\n", styled(HEADING, name)));
                out.extend(lines.iter().map(|line| format!("  {line}\n")));
            }
        };
        let appeared = self.appeared.iter().map(|object| styled(GOOD, format!("+ {object}")));
        let removed = self.removed.iter().map(|object| styled(BAD, format!("- {object}")));
        section(&mut out, "Objects", appeared.chain(removed).collect());
        section(&mut out, "Tags", self.tags.iter().map(TagChange::line).collect());
        let workloads = self.workloads.iter().map(WorkloadChange::line);
        section(&mut out, "Workloads", workloads.collect());
        let at = self.to.at.unwrap_or(Timestamp::EPOCH);
        let began = self.holds_began.iter().map(|held| held.line(at)).collect();
        section(&mut out, "Holds that began", began);
        let ended = self.holds_ended.iter().map(|held| held.line(at)).collect();
        section(&mut out, "Holds that ended", ended);
        out
    }
}

fn point(point: &AsOf) -> String {
    let at = point.at.map_or_else(|| "before the first".into(), Timestamp::to_rfc3339_seconds);
    format!("record {} ({at})", point.record)
}

impl<T: PartialEq> Change<T> {
    /// What changed; none if nothing did.
    fn of(from: Option<T>, to: Option<T>) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

fn present(state: &ObservedState) -> BTreeSet<&ObjectKey> {
    let present = |presence: &Presence| matches!(presence, Presence::Present);
    state.objects.iter().filter(|(_, object)| present(&object.presence)).map(|(k, _)| k).collect()
}

/// What the journal says is held: rejected objects, guarded removals, digests that failed.
fn holds(state: &ObservedState) -> Vec<HeldReport> {
    let mut holds = plan::hold::recorded(state);
    for (object, workload) in &state.workloads {
        holds.extend(workload.holds.iter().map(|hold| {
            let mut rollouts = workload.rollouts.iter();
            let known = rollouts.find(|rollout| rollout.seq == hold.rollout);
            let revision = known.map_or(Revision(0), |rollout| rollout.started.revision);
            Held { object: object.clone(), reason: plan::hold::failed(hold, revision), until: None }
        }));
    }
    holds.iter().map(HeldReport::of).collect()
}

fn tags(from: &ObservedState, to: &ObservedState) -> Vec<TagChange> {
    let images = |state: &ObservedState| -> BTreeMap<StreamTag, String> {
        let tags = state.streams.iter();
        let tags =
            tags.flat_map(|(name, s)| s.tags.iter().map(|(tag, s)| (name.tag(tag.clone()), s)));
        let image = |event: &crate::fact::TagEvent| match &event.image {
            Some(digest) => digest.to_string(),
            None => one_line(&event.reference),
        };
        tags.filter_map(|(tag, state)| Some((tag, image(&state.current()?.event)))).collect()
    };
    let (from, to) = (images(from), images(to));
    let all: BTreeSet<_> = from.keys().chain(to.keys()).collect();
    let changed = all.into_iter().filter_map(|tag| {
        let Change { from, to } = Change::of(from.get(tag).cloned(), to.get(tag).cloned())?;
        Some(TagChange { tag: tag.clone(), from, to })
    });
    changed.collect()
}

impl TagChange {
    fn line(&self) -> String {
        let shown = |image: &Option<String>| match image {
            None => "nothing".to_owned(),
            Some(image) => image.parse().map_or_else(|_| image.clone(), |digest| short(&digest)),
        };
        let tag = styled(PLACE, &self.tag);
        format!("{tag} {} -> {}", shown(&self.from), shown(&self.to))
    }
}

fn workloads(from: &ObservedState, to: &ObservedState) -> Vec<WorkloadChange> {
    let all: BTreeSet<_> = from.workloads.keys().chain(to.workloads.keys()).collect();
    let changed = all.into_iter().filter_map(|object| {
        let (before, after) = (from.workloads.get(object), to.workloads.get(object));
        let active = |state: Option<&WorkloadState>| Some(Running::of(state?.active()?));
        let latest = |state: Option<&WorkloadState>| Some(Latest::of(state?.last()?));
        let (active, latest) = (
            Change { from: active(before), to: active(after) },
            Change { from: latest(before), to: latest(after) },
        );
        (active.from != active.to || latest.from != latest.to).then(|| WorkloadChange {
            object: object.clone(),
            active,
            latest,
        })
    });
    changed.collect()
}

impl Running {
    fn of(rollout: &Rollout) -> Self {
        let started = &rollout.started;
        let images = started.images.iter();
        let digests = images.map(|image| (image.container.to_string(), image.digest)).collect();
        Self { revision: started.revision, commit: started.commit, digests }
    }
}

impl Latest {
    fn of(rollout: &Rollout) -> Self {
        let reason = rollout.end.as_ref().map(|end| one_line(&end.reason)).unwrap_or_default();
        Self { revision: rollout.started.revision, outcome: rollout.outcome(), reason }
    }
}

impl WorkloadChange {
    fn line(&self) -> String {
        let Change { from, to } = &self.active;
        let revision = |running: &Option<Running>| match running {
            Some(running) => format!("revision {}", running.revision),
            None => "nothing".to_owned(),
        };
        let mut parts = Vec::new();
        if from != to {
            parts.push(format!("{} -> {}", revision(from), revision(to)));
            let none = BTreeMap::new();
            let old = from.as_ref().map_or(&none, |running| &running.digests);
            let new = to.as_ref().map_or(&none, |running| &running.digests);
            let containers: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            for container in containers {
                let [old, new] = [old, new].map(|all| all.get(container).copied().flatten());
                if old != new {
                    let (old, new) = (short_or(old.as_ref(), "-"), short_or(new.as_ref(), "-"));
                    parts.push(format!("{container} {old} -> {new}"));
                }
            }
        }
        // A last rollout that is what runs was told.
        let runs = to.as_ref().map(|running| running.revision);
        if let Some(latest) = self.latest.to.as_ref().filter(|last| Some(last.revision) != runs) {
            let outcome = match latest.outcome {
                None => styled(WAITS, "is rolling out"),
                Some(Outcome::Complete) => "is complete".to_owned(),
                Some(Outcome::Failed) => styled(BAD, "failed"),
                Some(Outcome::Cancelled) => styled(WAITS, "was cancelled"),
            };
            let reason = match latest.reason.as_str() {
                "" => String::new(),
                reason => format!(": {reason}"),
            };
            parts.push(format!("revision {} {outcome}{reason}", latest.revision));
        }
        if parts.is_empty() {
            let Change { from, to } = &self.latest;
            let revision = |latest: &Option<Latest>| match latest {
                Some(latest) => format!("revision {}", latest.revision),
                None => "nothing".to_owned(),
            };
            parts.push(format!("last rollout: {} -> {}", revision(from), revision(to)));
        }
        format!("{} {}", styled(HEADING, &self.object), parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;
    use crate::report::{story, to_json};

    fn between(from: usize, to: usize) -> Between {
        let at = |n: usize| ObservedState::default().replay(&story::records()[..n]);
        Between::of(&at(from), &at(to))
    }

    #[test]
    fn what_changed_between_two_points_is_told() {
        let text = |from, to| strip_str(&between(from, to).to_text()).to_string();
        insta::assert_snapshot!("first", text(0, 5));
        insta::assert_snapshot!("failed", text(5, 12));
        insta::assert_snapshot!("back", text(12, 5));
        insta::assert_snapshot!("all_json", to_json(&between(0, 15)));
    }

    #[test]
    fn between_a_point_and_itself_nothing_changed() {
        let same = between(9, 9);
        assert!(same.is_empty());
        assert!(same.to_text().ends_with("nothing changed\n"), "{}", same.to_text());
    }
}
