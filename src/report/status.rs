//! `tidegate status`: what runs, what is wanted, what is wrong or waits, and how sure each fact is.

mod builds;
mod describe;
mod markers;
mod project;
mod text;

use serde::Serialize;

use crate::desired::DesiredState;
use crate::fact::Rejected;
use crate::names::{
    CommitId, Digest, Generation, Namespace, ObjectKey, Revision, Seq, StreamTag, TargetName,
};
use crate::plan::{self, Held, View};
use crate::pods::How;
use crate::time::Timestamp;

use super::FORMAT_VERSION;
use super::drift::{self, DriftReport};
use super::held::{HeldReport, is_counted};
use super::live::{Live, LiveQuota};
use super::select::Selection;
use super::words::one_line;

pub(super) use describe::images;
pub use markers::Hints;
use markers::Marker;
use project::Scope;

/// What a status report is made from.
#[derive(Debug)]
pub struct Input<'a> {
    /// The repository, as it may be shown.
    pub repository: Option<&'a str>,
    /// What git asks for and the journal proves.
    pub view: View<'a>,
    /// Why what git asks for could not be loaded; then nothing that needs it is shown.
    pub unread: Option<&'a str>,
    /// What the running daemon answered.
    pub live: Option<&'a Live>,
    /// Why the daemon did not answer, if it is not just that none runs.
    pub silent: Option<&'a str>,
    /// What the user asked about; none is everything.
    pub select: Option<&'a Selection>,
    /// The namespace that was asked about, where no object was; then `select` is what is in it.
    pub project: Option<&'a Namespace>,
    /// Whether this is how it was, not how it is: then nobody is missed who would know more.
    pub past: bool,
}

/// The status of everything, or of what was asked about.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    format_version: u32,
    at: Timestamp,
    as_of: AsOf,
    /// Whether this is how it was.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    past: bool,
    daemon: Daemon,
    source: Source,
    /// Wrong or held: what somebody should look at.
    problems: Vec<Problem>,
    held: Vec<HeldReport>,
    rejected: Vec<RejectedReport>,
    /// Tags that are not what git says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    drift: Vec<DriftReport>,
    workloads: Vec<WorkloadReport>,
    /// What is built, and how it went last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    builds: Vec<builds::BuildConfigReport>,
    /// What hosts lack that does no harm now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    /// What somebody should look at, with what to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    markers: Vec<Marker>,
    tags: Vec<TagReport>,
    /// What registries were asked, and how much of their limits is left.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quota: Vec<LiveQuota>,
    /// Of what the report shows; streams, builds and companions of everything.
    counts: Counts,
    #[serde(skip)]
    scope: Scope,
    /// Whether there is nothing that could run or be built in it.
    #[serde(skip)]
    is_empty: bool,
    /// The namespace that everything shown is in; none where that is several.
    #[serde(skip)]
    project: Option<Namespace>,
    /// The namespace whose objects are named without it.
    #[serde(skip)]
    here: Namespace,
}

/// The record up to which the report knows.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AsOf {
    pub(super) record: Seq,
    pub(super) at: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Daemon {
    running: bool,
    answered_at: Option<Timestamp>,
    message: Option<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Source {
    repository: Option<String>,
    branch: Option<String>,
    commit: Option<CommitId>,
    adopted_at: Option<Timestamp>,
    adopted_by: Option<Seq>,
    read_at: Option<Timestamp>,
    refused: Option<RefusedReport>,
    failing_since: Option<Timestamp>,
    failure: Option<String>,
    /// Links, submodules and the like in the adopted commit that manifests may be behind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_read: Vec<String>,
    /// Triggers that name a container that there is not (rule D9).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    misnamed: Vec<String>,
    /// Tags that are imported from elsewhere and pushed to (rule B54).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pushed_over: Vec<String>,
    /// What leads to workloads from outside and is not served on this host (rule R17a).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unserved: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RefusedReport {
    commit: CommitId,
    at: Timestamp,
    reason: String,
}

/// Something wrong that is neither a hold nor a rejected object.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    subject: String,
    message: String,
    since: Option<Timestamp>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Problem {
    fn new(subject: impl Into<String>, message: String, since: Option<Timestamp>) -> Self {
        Self { subject: subject.into(), message, since, advice: None }
    }
}

/// An invalid object, with where it stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RejectedReport {
    pub(super) object: Option<ObjectKey>,
    pub(super) path: String,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) rule: String,
    pub(super) message: String,
    /// Whether its last valid version stays in force.
    pub(super) kept: bool,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WorkloadReport {
    object: ObjectKey,
    phase: &'static str,
    /// Where it was rolled out last; where it goes first, if it never was.
    target: Option<TargetName>,
    /// Where the next rollout goes, if that is somewhere else.
    next_target: Option<TargetName>,
    paused: bool,
    latest: Option<RolloutReport>,
    /// What the target runs; none where nothing does, or where nobody knows.
    active: Option<RolloutReport>,
    /// Why nobody knows what the target runs.
    unknown: Option<String>,
    /// What is not as it was rolled out.
    #[serde(skip_serializing_if = "Option::is_none")]
    astray: Option<String>,
    /// How bad that is.
    #[serde(skip)]
    how: How,
    triggers: Vec<StreamTag>,
    /// Hooks of the manifest that Tidegate does not run, as its target is told of rollouts in one piece (rule D40).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hooks_left: Vec<&'static str>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RolloutReport {
    record: Seq,
    key: String,
    revision: Revision,
    cause: String,
    commit: CommitId,
    target: TargetName,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    outcome: Option<String>,
    /// The step that it takes, where its target is told each.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    reason: String,
    /// What the target printed last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    log: Vec<String>,
    images: Vec<ImageReport>,
}

/// One image of a rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ImageReport {
    pub(super) container: String,
    pub(super) reference: String,
    pub(super) digest: Option<Digest>,
    pub(super) previous: Option<Digest>,
    /// The tag that the manifest's image string meant (rule I186).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lookup: Option<StreamTag>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TagReport {
    tag: StreamTag,
    /// The line of `get itag` about it (rule I123).
    #[serde(flatten)]
    row: TagRow,
    from: Option<String>,
    scheduled: Option<String>,
    /// When a running daemon checks it again by itself.
    next_check_at: Option<Timestamp>,
    reference: Option<String>,
    digest: Option<Digest>,
    imported_at: Option<Timestamp>,
    imported_by: Option<Seq>,
    generation: Generation,
    verdict: Verdict,
    /// When the registry last answered that the tag is this digest, as far as is known.
    proven_at: Option<Timestamp>,
    failing_since: Option<Timestamp>,
    message: String,
    /// What to do where it could not be checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    /// Whether an operator put something over what git says of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    overlaid: bool,
}

/// What `get itag` shows of a tag beside its name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
struct TagRow {
    /// What kind of tag it is; blank where its spec could not be read.
    spec: String,
    /// What it points to, or why to nothing.
    status: String,
    /// How many items its history has; blank where it has none.
    history: String,
    /// How long ago that changed.
    #[serde(skip)]
    updated: String,
}

/// How sure the digest of a tag is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
enum Verdict {
    /// A registry said so, at `provenAt`.
    Proven,
    /// Nobody knows whether it is still so.
    NotVerified,
    /// The last attempt failed.
    CouldNotCheck,
    /// The spec asks for something that was not tried yet.
    Due,
    /// It follows something in the journal, or nobody is ever asked.
    Derived,
    /// The spec has no such tag; what it was is kept.
    NotInSpec,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    streams: usize,
    tags: usize,
    tags_failing: usize,
    workloads: usize,
    rollouts_running: usize,
    builds: usize,
    companions: usize,
    held: usize,
    rejected: usize,
}

impl Status {
    /// Makes the report.
    #[must_use]
    pub fn of(input: &Input<'_>) -> Self {
        let (view, now) = (&input.view, input.view.now.wall);
        let shown = |object: &ObjectKey| match input.project {
            // One that has no valid version is not known by its name.
            Some(project) => object.namespace == *project,
            None => input.select.is_none_or(|select| select.has(object)),
        };
        let held: Vec<Held> = if input.unread.is_some() {
            plan::hold::recorded(view.observed)
        } else {
            plan::held(view)
        };
        let held: Vec<_> = held.iter().filter(|held| shown(&held.object)).collect();
        let rejected = view.observed.adopted.iter().flat_map(|adopted| &adopted.rejected);
        let rejected: Vec<_> = rejected
            .filter(|rejected| rejected.object.as_ref().is_none_or(shown))
            .map(RejectedReport::of)
            .collect();
        let tags = describe::tags(input);
        let workloads = describe::workloads(input);
        let (source, watched) = (describe::source(input), describe::watched(input));
        let shows_nothing = workloads.is_empty();
        let project = project::project(input);
        let here = project.clone().unwrap_or_else(|| view.policy.default_namespace.clone());
        let counts = Counts {
            tags_failing: tags.iter().filter(|t| t.verdict == Verdict::CouldNotCheck).count(),
            tags: tags.len(),
            rollouts_running: workloads.iter().filter(|w| w.is_running()).count(),
            workloads: workloads.len(),
            held: held.iter().filter(|held| is_counted(&held.reason)).count(),
            rejected: rejected.len(),
            ..Counts::of(view.desired)
        };
        Self {
            format_version: FORMAT_VERSION,
            at: now,
            as_of: AsOf { record: view.observed.last_seq, at: view.observed.last_at },
            past: input.past,
            daemon: Daemon {
                running: input.live.is_some(),
                answered_at: input.live.map(|live| live.answered_at),
                message: input.silent.map(one_line),
            },
            problems: describe::problems(input, &source, &tags),
            markers: markers::markers(input, &held, &here),
            source,
            held: held.into_iter().map(|held| HeldReport::with_log(held, view.observed)).collect(),
            rejected,
            drift: drift::of(view, input.unread.is_none(), |tag| {
                input.select.is_none_or(|select| select.has_tag(tag) || watched.contains(tag))
            }),
            workloads,
            builds: builds::builds(input),
            notes: input.live.map(|live| live.notes.clone()).unwrap_or_default(),
            tags,
            quota: input.live.map(|live| live.quota.clone()).unwrap_or_default(),
            counts,
            scope: Scope::of(input),
            is_empty: shows_nothing && project::is_empty(input),
            project,
            here,
        }
    }

    /// Whether everything is as it should be, something is not, or nobody can tell.
    #[must_use]
    pub fn health(&self) -> Health {
        let wrong = !self.problems.is_empty()
            || self.counts.held > 0
            || self.counts.rejected > 0
            || self.workloads.iter().any(|workload| workload.astray.is_some())
            || self.tags.iter().any(|tag| tag.verdict == Verdict::CouldNotCheck);
        match () {
            () if wrong => Health::Held,
            () if !self.daemon.running && !self.past => Health::Unverified,
            // A tag that is checked only when its spec changes is not expected to be.
            () if self.tags.iter().any(TagReport::is_missed) && !self.past => Health::Unverified,
            () => Health::Fine,
        }
    }
}

/// How things are, for an exit code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Health {
    /// Nothing is wrong, and the daemon that says so runs.
    Fine,
    /// Something failed, is held, is rejected, or could not be checked.
    Held,
    /// Nothing is known to be wrong, but no daemon runs that would know, or it did not check a scheduled tag yet.
    Unverified,
}

impl Counts {
    fn of(desired: &DesiredState) -> Self {
        Self {
            streams: desired.streams.len(),
            builds: desired.builds.len(),
            companions: desired.companions.len(),
            ..Self::default()
        }
    }
}

impl TagReport {
    /// Whether it was not verified though its schedule asks for that.
    fn is_missed(&self) -> bool {
        self.verdict == Verdict::NotVerified && self.scheduled.is_some()
    }
}

impl RejectedReport {
    pub(super) fn of(rejected: &Rejected) -> Self {
        Self {
            object: rejected.object.clone(),
            path: rejected.position.path.clone(),
            line: rejected.position.line,
            column: rejected.position.column,
            rule: rejected.rule.clone(),
            message: one_line(&rejected.message),
            kept: rejected.kept.is_some(),
        }
    }

    /// One line: what, where, why, and what is in force instead.
    pub(super) fn line(&self) -> String {
        let Self { path, line, column, .. } = self;
        let position = crate::fact::Position { path: path.clone(), line: *line, column: *column };
        let object = self.object.as_ref().map_or_else(|| "file".to_owned(), ToString::to_string);
        let now = match () {
            () if self.kept => "; its last valid version stays in force",
            // The message names the one in force.
            () if self.rule == crate::desired::DUPLICATE => "",
            () => "; it has no valid version",
        };
        let object = super::words::styled(super::words::BAD, object);
        format!("{object} at {position}: {} [{}]{now}", self.message, self.rule)
    }
}

#[cfg(test)]
mod tests;
