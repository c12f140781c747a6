//! What was simulated becomes a report.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::desired::diagnostic::Severity;
use crate::effective;
use crate::fact::{
    Fact, ImportReason, Record, RemovalFate, RolloutStarted, ScaleStarted, TriggerOutcome, Via,
};
use crate::names::{CommitId, Digest, ObjectKey, Revision, Seq, StreamTag, TargetName};
use crate::observed::tag_history::TagState;
use crate::plan::{Held, HeldReason};
use crate::time::Timestamp;

use super::super::FORMAT_VERSION;
use super::super::held::{HeldReport, is_at_rest};
use super::super::manifest::{self, ManifestChange};
use super::super::status::{self, AsOf, ImageReport, RejectedReport};
use super::super::words::one_line;
use super::builds::{BuildReport, builds};
use super::{Asked, Mode, Side, Simulated, Subject};

/// What would happen if a commit were adopted now.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DryRun {
    format_version: u32,
    pub(super) at: Timestamp,
    pub(super) as_of: AsOf,
    pub(super) resolved: bool,
    /// Whether the run was ended before everything came to rest.
    pub(super) cut: bool,
    pub(super) subject: SubjectReport,
    pub(super) manifests: Vec<ManifestChange>,
    pub(super) rejected: Vec<RejectedReport>,
    pub(super) removals: Vec<RemovalReport>,
    /// Tags whose overlay the commit would end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) superseded: Vec<StreamTag>,
    pub(super) imports: Vec<ImportReport>,
    pub(super) triggers: Vec<TriggerReport>,
    /// What would be built: the fan-out of the commit, and of tags that moved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) builds: Vec<BuildReport>,
    pub(super) rollouts: Vec<RolloutReport>,
    /// Instances that would be added or removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) scales: Vec<ScaleReport>,
    pub(super) held: Vec<DryHeld>,
    pub(super) facts: Vec<TagFact>,
    pub(super) verdict: Verdict,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ScaleReport {
    pub(super) object: ObjectKey,
    pub(super) from: u32,
    pub(super) to: u32,
}

/// What a dry run found, for an exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Nothing would happen.
    NothingToDo,
    /// Something would happen.
    Changes,
    /// Something would happen or is wanted, and some of it would be held or refused.
    ChangesHeld,
    /// A registry that was to be asked gave no answer.
    Unverified,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubjectReport {
    pub(super) what: &'static str,
    pub(super) commit: Option<CommitId>,
    pub(super) branch: String,
    pub(super) forced: bool,
    pub(super) base: Option<CommitId>,
    pub(super) refused: Option<String>,
    pub(super) skipped: Vec<String>,
    pub(super) warnings: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RemovalReport {
    pub(super) object: ObjectKey,
    /// `pruned`, `kept`, `held`.
    pub(super) fate: &'static str,
    /// Whether it would be stopped at its target now.
    pub(super) stopped: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImportReport {
    pub(super) tag: StreamTag,
    pub(super) from: String,
    pub(super) old: Option<Digest>,
    pub(super) new: Option<Digest>,
    /// `imported`, `failed`, `notAsked`.
    pub(super) outcome: &'static str,
    pub(super) message: String,
    /// What to do where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TriggerReport {
    pub(super) object: ObjectKey,
    pub(super) from: StreamTag,
    pub(super) old: Option<Digest>,
    pub(super) new: Digest,
    pub(super) outcome: String,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RolloutReport {
    pub(super) order: usize,
    pub(super) object: ObjectKey,
    pub(super) revision: Revision,
    pub(super) cause: String,
    pub(super) target: TargetName,
    /// Whether it is due already, without the commit that the dry run is about.
    pub(super) already_due: bool,
    pub(super) replaces: Option<Seq>,
    pub(super) images: Vec<ImageReport>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DryHeld {
    pub(super) held: HeldReport,
    /// Whether it is held now in the same way.
    pub(super) already: bool,
    /// Whether an import that this dry run lists, or time alone, ends it.
    pub(super) ends_by_itself: bool,
}

/// What a rollout or a hold rests on, and how fresh it is.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TagFact {
    pub(super) tag: StreamTag,
    pub(super) digest: Option<Digest>,
    /// `askedNow`, `couldNotAsk`, `journal`.
    pub(super) source: &'static str,
    pub(super) imported_at: Option<Timestamp>,
    pub(super) checked_at: Option<Timestamp>,
    pub(super) failing_since: Option<Timestamp>,
    pub(super) message: String,
    /// What to do where it could not be asked, and no tag above says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

impl DryRun {
    pub(super) fn of(run: &Simulated) -> Self {
        let imports = imports(run);
        let rollouts = rollouts(run);
        let held = held(run, &imports);
        let builds = builds(run);
        let objects = rollouts.iter().map(|rollout| rollout.object.clone());
        let objects = objects.chain(builds.iter().map(|build| build.object.clone()));
        let objects: BTreeSet<_> =
            objects.chain(held.iter().map(|held| held.held.object().clone())).collect();
        let mut report = Self {
            format_version: FORMAT_VERSION,
            at: run.now.wall,
            as_of: AsOf { record: run.before.observed.last_seq, at: run.before.observed.last_at },
            resolved: run.mode == Mode::Resolve,
            cut: run.cut,
            subject: subject(run),
            manifests: manifest::changes(&run.before.desired, &run.after.desired),
            rejected: rejected(run),
            removals: removals(run),
            scales: scales(run),
            superseded: run.adopted().map(|a| a.superseded.clone()).unwrap_or_default(),
            imports,
            triggers: triggers(run),
            builds,
            rollouts,
            held,
            facts: facts(run, &objects),
            verdict: Verdict::NothingToDo,
        };
        report.verdict = report.judge(run);
        report
    }

    /// What was found, for an exit code.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    fn judge(&self, run: &Simulated) -> Verdict {
        let asked = self.resolved && run.answers.values().any(|asked| !asked.is_verified());
        let unasked = self.resolved && self.imports.iter().any(|i| i.outcome == "notAsked");
        if asked || unasked {
            return Verdict::Unverified;
        }
        let before = rejected_of(&run.before);
        let held = self.subject.refused.is_some()
            || self.held.iter().any(|held| !held.already && !held.ends_by_itself)
            || self.rejected.iter().any(|rejected| !before.contains(rejected))
            || self.removals.iter().any(|removal| removal.fate == "held")
            || self.imports.iter().any(|import| import.outcome == "failed");
        if held || self.cut || run.before.observed.space_short.is_some() {
            return Verdict::ChangesHeld;
        }
        let quiet = self.manifests.is_empty()
            && self.removals.is_empty()
            && self.superseded.is_empty()
            && self.imports.is_empty()
            && self.triggers.is_empty()
            && self.builds.is_empty()
            && self.rollouts.is_empty()
            && self.scales.is_empty();
        if quiet { Verdict::NothingToDo } else { Verdict::Changes }
    }
}

fn subject(run: &Simulated) -> SubjectReport {
    let refused = run.records.iter().find_map(|record| {
        let Fact::CommitRefused(refused) = &record.fact else { return None };
        Some(one_line(&refused.reason))
    });
    let (what, commit) = match run.subject {
        Subject::Commit => ("commit", Some(run.read.commit)),
        Subject::WorkTree => ("work tree", None),
    };
    let skipped = run.read.skipped.iter();
    let warnings = run.after.desired.warnings.iter();
    // What is not read has a list of its own.
    let warnings = warnings.filter(|warning| {
        warning.severity != Severity::Note && warning.rule != crate::desired::SKIPPED
    });
    let warnings = warnings.map(|warning| {
        one_line(&format!("{}: {} [{}]", warning.position, warning.message, warning.rule))
    });
    let short = run.before.observed.space_short.iter();
    let warnings = short.map(|short| format!("state directory: {short}")).chain(warnings);
    SubjectReport {
        what,
        commit,
        branch: run.read.branch.clone(),
        forced: run.read.forced,
        base: run.before.observed.adopted.as_ref().map(|adopted| adopted.commit),
        refused,
        skipped: skipped.map(|skip| one_line(&format!("{}: {}", skip.path, skip.why))).collect(),
        warnings: warnings.collect(),
    }
}

fn rejected_of(side: &Side) -> BTreeSet<RejectedReport> {
    let adopted = side.observed.adopted.iter().flat_map(|adopted| &adopted.rejected);
    adopted.map(RejectedReport::of).collect()
}

fn rejected(run: &Simulated) -> Vec<RejectedReport> {
    rejected_of(&run.after).into_iter().collect()
}

fn scales(run: &Simulated) -> Vec<ScaleReport> {
    let scales = run.records.iter().filter_map(|record| {
        let Fact::ScaleStarted(scale) = &record.fact else { return None };
        Some(scale)
    });
    let report = |scale: &ScaleStarted| ScaleReport {
        object: scale.object.clone(),
        from: scale.from,
        to: scale.to,
    };
    scales.map(report).collect()
}

fn removals(run: &Simulated) -> Vec<RemovalReport> {
    let removed = run.adopted().into_iter().flat_map(|adopted| &adopted.removed);
    let mut removals: Vec<_> = removed
        .map(|removed| RemovalReport {
            object: removed.object.clone(),
            fate: match removed.fate {
                RemovalFate::Pruned => "pruned",
                RemovalFate::Kept => "kept",
                RemovalFate::Held { .. } => "held",
            },
            stopped: false,
        })
        .collect();
    for record in &run.records {
        let Fact::StopStarted(stop) = &record.fact else { continue };
        match removals.iter_mut().find(|removal| removal.object == stop.object) {
            Some(removal) => removal.stopped = true,
            None => removals.push(RemovalReport {
                object: stop.object.clone(),
                fate: "pruned",
                stopped: true,
            }),
        }
    }
    removals
}

fn imports(run: &Simulated) -> Vec<ImportReport> {
    let mut imports = Vec::new();
    let old = |tag: &StreamTag| run.before.observed.tag(tag).and_then(TagState::image);
    for record in &run.records {
        let import = if let Fact::TagImported(imported) = &record.fact {
            let from = match &imported.via {
                Via::Registry => source_of(run, &imported.tag),
                Via::Reference | Via::Push | Via::Build { .. } => imported.event.reference.clone(),
                Via::Alias(tag) => format!("istag/{tag}"),
                Via::Image(stream) => format!("an image of is/{stream}"),
            };
            let tag = imported.tag.clone();
            let (old, new) = (old(&tag), imported.event.image);
            let (outcome, message, advice) = ("imported", String::new(), None);
            ImportReport { tag, from, old, new, outcome, message, advice }
        } else if let Fact::ImportFailed(failed) = &record.fact {
            let message = one_line(&format!("{}: {}", failed.reason, failed.message));
            let (tag, from) = (failed.tag.clone(), source_of(run, &failed.tag));
            let advice = advice(run, &tag, failed.reason, &failed.message);
            ImportReport {
                old: old(&tag),
                tag,
                from,
                new: None,
                outcome: "failed",
                message,
                advice,
            }
        } else {
            continue;
        };
        // What a run says last about a tag holds.
        imports.retain(|known: &ImportReport| known.tag != import.tag);
        imports.push(import);
    }
    for (tag, state) in due(run) {
        if imports.iter().any(|import| import.tag == tag) {
            continue;
        }
        imports.push(ImportReport {
            from: source_of(run, &tag),
            old: state,
            new: None,
            outcome: "notAsked",
            message: match run.mode {
                Mode::Offline => "not asked (offline; --resolve asks)".into(),
                Mode::Resolve => "could not be asked".into(),
            },
            advice: None,
            tag,
        });
    }
    imports.sort_by(|a, b| a.tag.cmp(&b.tag));
    imports
}

fn advice(run: &Simulated, tag: &StreamTag, reason: ImportReason, message: &str) -> Option<String> {
    effective::advice(&run.after.desired, tag, reason, message).as_deref().map(one_line)
}

fn source_of(run: &Simulated, tag: &StreamTag) -> String {
    let spec = effective::spec_tag(&run.after.desired, tag);
    let check =
        spec.and_then(|(stream, spec)| effective::check_of(stream, spec, run.engine.policy()));
    check.map(|check| check.image.to_string()).unwrap_or_default()
}

/// Tags whose registry has to be asked before anything else is known about them.
fn due(run: &Simulated) -> Vec<(StreamTag, Option<Digest>)> {
    let mut due = Vec::new();
    for stream in run.after.desired.streams.values().filter(|stream| !stream.paused) {
        for (name, spec) in &stream.tags {
            let tag = stream.name.tag(name.clone());
            let Some(check) = effective::check_of(stream, spec, run.engine.policy()) else {
                continue;
            };
            let Some(state) = run.after.observed.tag(&tag) else { continue };
            let other = state.current().is_some() && state.asked != effective::fingerprint(&check);
            if state.is_due() || other {
                due.push((tag, state.image()));
            }
        }
    }
    due
}

fn triggers(run: &Simulated) -> Vec<TriggerReport> {
    let fired = run.records.iter().filter_map(|record| {
        let Fact::TriggerFired(fired) = &record.fact else { return None };
        Some(TriggerReport {
            object: fired.object.clone(),
            from: fired.from.clone(),
            old: fired.old,
            new: fired.new,
            outcome: match fired.outcome {
                TriggerOutcome::Rollout(revision) => format!("rollout {revision}"),
                TriggerOutcome::AlreadyRunning => "already running".into(),
                TriggerOutcome::Held => "held".into(),
            },
        })
    });
    fired.collect()
}

fn rollouts(run: &Simulated) -> Vec<RolloutReport> {
    let started = run.records.iter().filter_map(|record| {
        let Fact::RolloutStarted(started) = &record.fact else { return None };
        Some(&**started)
    });
    let adopted = run.adopted().is_some();
    let report = |(index, started): (usize, &RolloutStarted)| RolloutReport {
        order: index + 1,
        object: started.object.clone(),
        revision: started.revision,
        cause: started.cause.to_string(),
        target: started.target.clone(),
        already_due: adopted && started.commit != run.read.commit,
        replaces: started.replaces,
        images: status::images(&started.images),
    };
    started.enumerate().map(report).collect()
}

fn held(run: &Simulated, imports: &[ImportReport]) -> Vec<DryHeld> {
    let pending = |tag: &StreamTag| {
        imports.iter().any(|import| import.tag == *tag && import.outcome == "notAsked")
    };
    let ends = |held: &Held| match &held.reason {
        HeldReason::WaitingForImage { tag, .. } | HeldReason::Settling { tag } => pending(tag),
        HeldReason::Grace | HeldReason::WaitingForSlot { .. } | HeldReason::Due => true,
        HeldReason::JobRuns { .. }
        | HeldReason::JobTrouble { .. }
        | HeldReason::JobsAhead { .. } => true,
        HeldReason::Gated { .. } => held.until.is_some(),
        HeldReason::Build(build) => build.ends_by_itself() || held.until.is_some(),
        HeldReason::NoDigest { .. }
        | HeldReason::CrossNamespace { .. }
        | HeldReason::PausedBy { .. }
        | HeldReason::WentBack { .. }
        | HeldReason::NoSuchRollout { .. }
        | HeldReason::WaitingForOrder { .. }
        | HeldReason::NoTrigger
        | HeldReason::BlankImage { .. }
        | HeldReason::Failed { .. }
        | HeldReason::Paused { .. }
        | HeldReason::NoSuchTarget { .. }
        | HeldReason::Unsupported { .. }
        | HeldReason::ConfigMissing { .. }
        | HeldReason::NoTargetToStop { .. }
        | HeldReason::Rejected { .. }
        | HeldReason::RemovalGuarded
        | HeldReason::KeptRunning
        | HeldReason::NotUnderstood
        | HeldReason::RestoreFailed { .. }
        | HeldReason::VanishedInUse { .. }
        | HeldReason::ScaleFailed { .. }
        | HeldReason::Suspended
        | HeldReason::JobFailed { .. }
        | HeldReason::StopFailed { .. } => false,
    };
    let report = |held: &Held| {
        let known = |old: &&Held| old.object == held.object && old.reason == held.reason;
        DryHeld {
            held: HeldReport::of(held),
            already: run.before.held.iter().any(|old| known(&old)),
            ends_by_itself: ends(held) || is_at_rest(&held.reason),
        }
    };
    run.after.held.iter().map(report).collect()
}

fn facts(run: &Simulated, objects: &BTreeSet<ObjectKey>) -> Vec<TagFact> {
    let fact = |tag: StreamTag| {
        let state = run.after.observed.tag(&tag);
        let item = state.and_then(TagState::current);
        let condition = state.and_then(|state| state.condition.as_ref());
        let stream = run.before.observed.streams.get(&tag.stream);
        let (source, message) = match run.answers.get(&tag) {
            Some(Asked::Answered) => ("askedNow", String::new()),
            Some(Asked::Failed { reason, message }) => {
                ("couldNotAsk", one_line(&format!("{reason}: {message}")))
            }
            None => ("journal", condition.map_or_else(String::new, |c| one_line(&c.message))),
        };
        let is_failure = |record: &Record| {
            let Fact::ImportFailed(failed) = &record.fact else { return false };
            failed.tag == tag
        };
        let is_told = run.records.iter().any(is_failure);
        let advice = match run.answers.get(&tag) {
            Some(Asked::Failed { reason, message }) if !is_told => {
                advice(run, &tag, *reason, message)
            }
            Some(_) | None => None,
        };
        TagFact {
            advice,
            digest: state.and_then(TagState::image),
            source,
            imported_at: item.map(|item| item.event.created),
            checked_at: stream.and_then(|stream| stream.checked),
            failing_since: condition.map(|condition| condition.since),
            message,
            tag,
        }
    };
    let mut tags = run.tags_in_use(objects);
    // What could not be asked is named, also where nothing would have come of it: a failure that is already known makes
    // no record.
    let failed = run.answers.iter().filter(|(_, asked)| !asked.is_verified());
    tags.extend(failed.map(|(tag, _)| tag.clone()));
    tags.into_iter().map(fact).collect()
}
