//! States become the parts of a status report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::api;
use crate::desired::TagSource;
use crate::effective;
use crate::fact::{Outcome, RolloutCause, RolloutImage, RolloutStep};
use crate::names::{Generation, Namespace, ObjectKey, StreamTag};
use crate::observed::Presence;
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::observed::tag_history::TagState;
use crate::oc;
use crate::plan::View;
use crate::pods::hooks_of;
use crate::time::{Schedule, Timestamp};

use super::super::drift::from_words;
use super::super::live::{Live, LiveCheck};
use super::super::words::{lines_of, one_line, short, when};
use super::{
    ImageReport, Input, Problem, RefusedReport, RolloutReport, Source, TagReport, TagRow, Verdict,
    WorkloadReport,
};

pub(super) fn source(input: &Input<'_>) -> Source {
    let observed = input.view.observed;
    let adopted = observed.adopted.as_ref();
    let failure = observed.source_failure.as_ref();
    Source {
        repository: input.repository.map(str::to_owned),
        branch: adopted.map(|adopted| adopted.branch.clone()),
        commit: adopted.map(|adopted| adopted.commit),
        adopted_at: adopted.map(|adopted| adopted.at),
        adopted_by: adopted.map(|adopted| adopted.seq),
        read_at: input.live.and_then(|live| live.source_read_at),
        refused: observed.refused.as_ref().map(|refused| RefusedReport {
            commit: refused.commit,
            at: refused.at,
            reason: one_line(&refused.reason),
        }),
        failing_since: failure.map(|failure| failure.since),
        failure: failure.map(|failure| one_line(&failure.message)),
        not_read: warnings(input, crate::desired::SKIPPED),
        misnamed: warnings(input, crate::desired::MISNAMED),
        pushed_over: warnings(input, crate::desired::PUSHED_OVER),
        unserved: warnings(input, crate::desired::UNSERVED),
    }
}

/// What was found by a rule when the adopted commit was read.
fn warnings(input: &Input<'_>, rule: &str) -> Vec<String> {
    let found = input.view.desired.warnings.iter().filter(|warning| warning.rule == rule);
    found.map(|warning| one_line(&format!("{}: {}", warning.position, warning.message))).collect()
}

/// Manifests of pruned images that are still to be deleted, by repository (rule I164).
fn leftover(input: &Input<'_>) -> Vec<Problem> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for manifest in &input.view.observed.images.leftover {
        *counts.entry(manifest.repository.to_string()).or_default() += 1;
    }
    let told = counts.into_iter().map(|(subject, count)| {
        let message =
            format!("manifests of pruned images that the registry is still to delete: {count}");
        Problem::new(subject, message, None)
    });
    told.collect()
}

/// Whole repositories that cannot be listed (rule I60).
fn unlisted(input: &Input<'_>) -> Vec<Problem> {
    let View { desired, observed, .. } = input.view;
    let shown = |stream: &ObjectKey| input.select.is_none_or(|select| select.has(stream));
    let failing = observed.streams.iter().filter_map(|(name, state)| {
        desired.streams.get(name)?.repository.as_ref()?;
        let failure = state.listing.as_ref()?.failure.as_ref()?;
        let (reason, message) = (failure.reason, &failure.message);
        let advice = effective::advice_on_listing(desired, name, reason, message);
        let words = format!("its repository cannot be listed: {reason}: {}", one_line(message));
        let problem = Problem::new(format!("is/{name}"), words, Some(failure.since));
        shown(&ObjectKey::stream(name)).then_some(Problem { advice, ..problem })
    });
    failing.collect()
}

/// What is wrong beside holds and rejected objects.
pub(super) fn problems(input: &Input<'_>, source: &Source, tags: &[TagReport]) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(failure) = &source.failure {
        let (message, since) = (format!("cannot be read: {failure}"), source.failing_since);
        problems.push(Problem::new("source", message, since));
    }
    if let Some(short) = &input.view.observed.space_short {
        let (message, since) = (short.to_string(), Some(short.since));
        problems.push(Problem::new("state directory", message, since));
    }
    if let Some(refused) = &source.refused {
        problems.push(Problem {
            subject: format!("commit {}", refused.commit.short()),
            message: format!("refused; the one before stays in force: {}", refused.reason),
            since: Some(refused.at),
            advice: None,
        });
    }
    let View { desired, policy, .. } = input.view;
    for tag in effective::degraded(desired, policy) {
        let message = effective::degraded_message(&tag);
        problems.push(Problem::new(format!("is/{}", tag.stream), message, None));
    }
    problems.extend(leftover(input));
    problems.extend(unlisted(input));
    if let Some(unread) = input.unread {
        problems.push(Problem {
            subject: "adopted commit".into(),
            message: format!("what it asks for is not shown: {}", one_line(unread)),
            since: None,
            advice: None,
        });
    }
    for registry in input.live.into_iter().flat_map(|live| &live.registries) {
        let until = when(registry.until, input.view.now.wall);
        problems.push(Problem {
            subject: format!("registry {}", registry.host),
            message: match registry.asked {
                true => format!("asked to be left alone; asked again {until}"),
                false => format!("gives no answer; asked again {until}"),
            },
            since: None,
            advice: None,
        });
    }
    problems.extend(input.live.into_iter().flat_map(|live| undelivered(input, live)));
    for tag in tags.iter().filter(|tag| tag.verdict == Verdict::CouldNotCheck) {
        // Its message says since when.
        let problem = Problem::new(tag.tag.to_string(), tag.message.clone(), None);
        problems.push(Problem { advice: tag.advice.clone(), ..problem });
    }
    for tag in tags.iter().filter(|tag| is_overdue(input, tag)) {
        problems.push(Problem {
            subject: tag.tag.to_string(),
            message: "not verified in the time that its schedule gives".into(),
            since: tag.proven_at,
            advice: None,
        });
    }
    problems
}

/// What is on its way to a target and does not get through.
fn undelivered(input: &Input<'_>, live: &Live) -> Vec<Problem> {
    let failing = live.deliveries.iter();
    let failing: BTreeMap<_, _> =
        failing.filter_map(|d| Some((d.record, (d, d.reason.as_ref()?)))).collect();
    let mut problems = Vec::new();
    for (object, state) in &input.view.observed.workloads {
        if !input.select.is_none_or(|select| select.has(object)) {
            continue;
        }
        let rollout = state.running().map(|rollout| {
            let what = format!("revision {}", rollout.started.revision);
            (rollout.seq, what, &rollout.started.target, rollout.at)
        });
        let stop = state.stopping();
        let stop = stop.map(|stop| (stop.seq, "stop".to_owned(), &stop.started.target, stop.at));
        let scale = state.scaling().map(|scale| {
            let what = format!("scaling to {}", scale.started.to);
            (scale.seq, what, &scale.started.target, scale.at)
        });
        for (seq, what, target, since) in rollout.into_iter().chain(stop).chain(scale) {
            let Some((delivery, reason)) = failing.get(&seq) else { continue };
            let wrong = if delivery.accepted {
                format!("{what} was accepted by target {target}, which does not say how it goes on")
            } else {
                format!("{what} not delivered yet to target {target}")
            };
            let next = delivery.next.map(|at| format!("next at {}", at.to_rfc3339_seconds()));
            let next = next.unwrap_or_else(|| "tried now".to_owned());
            let (reason, attempt) = (one_line(reason), delivery.failures);
            problems.push(Problem {
                subject: object.to_string(),
                message: format!("{wrong}: {reason}; attempt {attempt}, {next}"),
                since: Some(since),
                advice: None,
            });
        }
    }
    problems
}

/// Whether a scheduled tag was not proven for more than two of its periods though the daemon runs.
fn is_overdue(input: &Input<'_>, tag: &TagReport) -> bool {
    if input.live.is_none() || tag.verdict != Verdict::Proven {
        return false;
    }
    let spec = effective::spec_tag(input.view.desired, &tag.tag);
    let schedule =
        spec.and_then(|(stream, spec)| effective::schedule_of(stream, spec, input.view.policy));
    let Some(Schedule::Every(span)) = schedule else { return false };
    let elapsed = tag.proven_at.map(|at| input.view.now.wall.since(at));
    elapsed.is_some_and(|elapsed| elapsed > span.0.saturating_mul(2) + Duration::from_secs(60))
}

pub(super) fn workloads(input: &Input<'_>) -> Vec<WorkloadReport> {
    let view = &input.view;
    let mut keys: BTreeSet<&ObjectKey> = view.desired.workloads.keys().collect();
    // What git no longer has is shown as long as something of it may run.
    let left = view.observed.workloads.iter().filter(|(_, state)| state.last().is_some());
    keys.extend(left.map(|(key, _)| key));
    keys.retain(|key| input.select.is_none_or(|select| select.has(key)));
    keys.into_iter().map(|key| workload(input, key)).collect()
}

fn workload(input: &Input<'_>, object: &ObjectKey) -> WorkloadReport {
    let view = &input.view;
    let empty = WorkloadState::default();
    let state = view.observed.workloads.get(object).unwrap_or(&empty);
    let desired = view.desired.workloads.get(object);
    let next = desired.map(|workload| effective::target_of(workload, view.policy));
    let target = state.last().map(|last| last.started.target.clone()).or_else(|| next.clone());
    let unknown = state.restore_failed().map(|_| {
        let active = state.active().map_or(0, |active| active.started.revision.0);
        format!("putting revision {active} back failed; look at the target")
    });
    let triggers = desired.into_iter().flat_map(|workload| &workload.triggers);
    let triggers: BTreeSet<_> = triggers.map(|trigger| trigger.from.clone()).collect();
    let gone = view.observed.objects.get(object);
    let gone = gone.is_some_and(|known| matches!(known.presence, Presence::Removed { .. }));
    let astray = input.live.into_iter().flat_map(|live| &live.astray);
    let astray = astray.into_iter().find(|one| one.object == *object);
    let phase = match (phase(state, gone), astray) {
        ("Complete", Some(astray)) => astray.how.word(),
        (phase, _) => phase,
    };
    let is_host = next.as_ref().is_some_and(|target| view.policy.hosts.contains(target));
    let hooks_left = desired.filter(|_| !is_host).map(|workload| hooks_of(&workload.manifest));
    WorkloadReport {
        object: object.clone(),
        phase,
        astray: astray.map(|astray| astray.why.clone()),
        how: astray.map(|astray| astray.how).unwrap_or_default(),
        next_target: next.filter(|next| Some(next) != target.as_ref()),
        target,
        paused: desired.is_some_and(|workload| effective::is_paused(workload, view.observed)),
        latest: state.last().map(rollout),
        active: state.active().filter(|_| unknown.is_none()).map(rollout),
        unknown,
        triggers: triggers.into_iter().collect(),
        hooks_left: hooks_left.unwrap_or_default(),
    }
}

/// One word for what a workload does. Rolled back is never shown as success (law 8).
fn phase(state: &WorkloadState, gone: bool) -> &'static str {
    if state.stopping().is_some() {
        return "Stopping";
    }
    let Some(last) = state.last() else { return "NotStarted" };
    let restore = last.started.cause == RolloutCause::Restore;
    let rolls_back =
        last.step.as_ref().is_some_and(|stepped| stepped.step == RolloutStep::RollingBack);
    match last.outcome() {
        None if last.superseded.is_some() => "Cancelling",
        None if restore || rolls_back => "RollingBack",
        None => "Running",
        Some(Outcome::Complete) if restore => "RolledBack",
        Some(Outcome::Complete) if gone => "NotInGit",
        Some(Outcome::Complete) if state.scaling().is_some() => "Scaling",
        Some(Outcome::Complete) => "Complete",
        Some(Outcome::Failed) => "Failed",
        Some(Outcome::Cancelled) => "Cancelled",
    }
}

fn rollout(rollout: &Rollout) -> RolloutReport {
    let started = &rollout.started;
    RolloutReport {
        record: rollout.seq,
        key: started.key(rollout.seq).to_string(),
        revision: started.revision,
        cause: started.cause.to_string(),
        commit: started.commit,
        target: started.target.clone(),
        started_at: rollout.at,
        ended_at: rollout.end.as_ref().map(|end| end.at),
        outcome: rollout.outcome().map(|outcome| outcome.to_string()),
        step: rollout.step.as_ref().map(|stepped| stepped.step.to_string()),
        reason: reason(rollout),
        log: rollout.end.as_ref().map(|end| lines_of(&end.log)).unwrap_or_default(),
        images: images(&started.images),
    }
}

/// Why it ended, or why it is going to.
fn reason(rollout: &Rollout) -> String {
    let ending = rollout.step.as_ref().and_then(|stepped| stepped.ending.as_ref());
    let why = rollout.end.as_ref().map(|end| &end.reason);
    why.or(ending.map(|ending| &ending.reason)).map(|why| one_line(why)).unwrap_or_default()
}

pub(in crate::report) fn images(images: &[RolloutImage]) -> Vec<ImageReport> {
    let report = |image: &RolloutImage| ImageReport {
        container: image.container.to_string(),
        reference: image.reference.clone(),
        digest: image.digest,
        previous: image.previous,
        lookup: image.lookup.clone(),
    };
    images.iter().map(report).collect()
}

impl WorkloadReport {
    pub(super) fn is_running(&self) -> bool {
        self.latest.as_ref().is_some_and(|latest| latest.ended_at.is_none())
    }
}

pub(super) fn tags(input: &Input<'_>) -> Vec<TagReport> {
    let view = &input.view;
    let empty = TagState::default();
    let mut all: BTreeMap<StreamTag, &TagState> = BTreeMap::new();
    for stream in view.desired.streams.values() {
        all.extend(stream.tags.keys().map(|tag| (stream.name.tag(tag.clone()), &empty)));
    }
    for (name, stream) in &view.observed.streams {
        all.extend(stream.tags.iter().map(|(tag, state)| (name.tag(tag.clone()), state)));
    }
    let watched = watched(input);
    all.retain(|tag, _| {
        input.select.is_none_or(|select| select.has_tag(tag) || watched.contains(tag))
    });
    let checks = live_checks(input);
    let mut stream: Option<api::ImageStream> = None;
    let reports = all.into_iter().map(|(tag, state)| {
        let (name, namespace) = (tag.stream.name.as_str(), tag.stream.namespace.as_str());
        let is_of = |meta: &api::ObjectMeta| meta.name == name && meta.namespace == namespace;
        // Once for all its tags.
        if !stream.as_ref().is_some_and(|known| is_of(&known.metadata)) {
            stream = effective::stream(view.desired, view.observed, view.policy, &tag.stream);
        }
        let row = stream.as_ref().map(|stream| row(input, stream, &tag)).unwrap_or_default();
        report(input, &checks, tag, state, row)
    });
    let mut reports: Vec<TagReport> = reports.collect();
    // What fails comes first (rule C18).
    reports.sort_by_key(|report| report.verdict != Verdict::CouldNotCheck);
    reports
}

/// The line of `get itag` about a tag (rule I123).
fn row(input: &Input<'_>, stream: &api::ImageStream, tag: &StreamTag) -> TagRow {
    let Some(shown) = api::view::image_tag(stream, tag.tag.as_str(), None) else {
        return TagRow::default();
    };
    let table = oc::get::image_tags(&[shown], input.view.now.wall);
    let mut cells = table.rows.into_iter().flat_map(|row| row.cells).skip(1);
    let mut cell = || cells.next().unwrap_or_default();
    let mut row = TagRow { spec: cell(), status: cell(), history: cell(), updated: cell() };
    if input.unread.is_some() {
        row.spec.clear(); // without its spec, every tag looks pushed
    }
    row
}

/// The tags that selected workloads watch: what they run rests on them.
pub(super) fn watched(input: &Input<'_>) -> BTreeSet<StreamTag> {
    let selected = input.select.iter().flat_map(|select| &select.objects);
    let workloads = selected.filter_map(|object| input.view.desired.workloads.get(object));
    let triggers = workloads.flat_map(|workload| &workload.triggers);
    triggers.map(|trigger| trigger.from.clone()).collect()
}

/// What the daemon knows of checks, by fingerprint, image and whose logins: a look-up for each of many tags.
type LiveChecks<'a> = BTreeMap<(u32, &'a str, Option<&'a Namespace>), &'a LiveCheck>;

fn live_checks<'a>(input: &Input<'a>) -> LiveChecks<'a> {
    let checks = input.live.into_iter().flat_map(|live| &live.checks);
    let key = |check: &'a LiveCheck| (check.asked, check.image.as_str(), check.namespace.as_ref());
    checks.map(|check| (key(check), check)).collect()
}

fn report(
    input: &Input<'_>,
    checks: &LiveChecks<'_>,
    tag: StreamTag,
    state: &TagState,
    row: TagRow,
) -> TagReport {
    let view = &input.view;
    let spec = effective::spec_tag(view.desired, &tag);
    let check = spec.and_then(|(stream, spec)| effective::check_of(stream, spec, view.policy));
    let schedule = spec
        .filter(|_| check.is_some())
        .and_then(|(stream, spec)| effective::schedule_of(stream, spec, view.policy));
    let live = check.as_ref().and_then(|check| {
        let (asked, image) = (effective::fingerprint(check), check.image.to_string());
        // The daemon knows who has logins of its own; whoever may not read those, does not.
        let of = |namespace| checks.get(&(asked, image.as_str(), namespace)).copied();
        of(Some(&tag.stream.namespace)).or_else(|| of(None))
    });
    let item = state.current();
    let from = spec.and_then(|(_, spec)| spec.from.as_ref());
    let about = About { input, state, live, in_registry: check.is_some() };
    let (verdict, message) = about.verdict(from);
    let imported_at = item.map(|item| item.event.created);
    let failed = state.condition.as_ref();
    let advice = failed
        .and_then(|failed| effective::advice(view.desired, &tag, failed.reason, &failed.message));
    TagReport {
        from: from.map(from_words),
        scheduled: schedule.map(|schedule| schedule.to_string()),
        next_check_at: live.and_then(|live| live.next),
        reference: item.map(|item| item.event.reference.clone()),
        digest: state.image(),
        imported_at,
        imported_by: item.map(|item| item.seq),
        generation: state.generation,
        verdict,
        proven_at: about.proven(),
        failing_since: state.condition.as_ref().map(|condition| condition.since),
        message: one_line(&message),
        advice: advice.as_deref().map(one_line),
        overlaid: view.observed.overlay(&tag).is_some(),
        row,
        tag,
    }
}

/// One tag and what is known about it.
struct About<'a> {
    input: &'a Input<'a>,
    state: &'a TagState,
    live: Option<&'a LiveCheck>,
    in_registry: bool,
}

impl About<'_> {
    /// When a registry last said that the tag is this digest, as far as is known.
    fn proven(&self) -> Option<Timestamp> {
        if !self.in_registry || self.state.current().is_none() {
            return None;
        }
        let imported = self.state.current().map(|item| item.event.created);
        // The answer of a check that failed since still proves what it proved then.
        self.live.and_then(|live| live.proven).max(imported)
    }

    fn verdict(&self, from: Option<&TagSource>) -> (Verdict, String) {
        let now = self.input.view.now.wall;
        if let Some(condition) = &self.state.condition {
            let since = when(condition.since, now);
            let kept = if self.state.current().is_some() { "" } else { "; it has no image yet" };
            let (reason, message) = (condition.reason, &condition.message);
            let words = format!("could not check since {since}: {reason}: {message}{kept}");
            return (Verdict::CouldNotCheck, words);
        }
        let Some(from) = from else {
            return match self.state.generation {
                Generation(0) => (Verdict::NotInSpec, "not in the spec; its history stays".into()),
                Generation(_) if self.input.unread.is_some() => {
                    (Verdict::NotVerified, "not verified: its spec could not be read".into())
                }
                Generation(_) => (Verdict::NotInSpec, "has no source".into()),
            };
        };
        match from {
            TagSource::Tag(source) => return (Verdict::Derived, format!("follows {source}")),
            TagSource::Image { .. } => return (Verdict::Derived, "pinned to an image".into()),
            TagSource::Registry(_) if !self.in_registry => {
                return (
                    Verdict::Derived,
                    "`reference: true`: recorded as written, never checked".into(),
                );
            }
            TagSource::Registry(_) => {}
        }
        if self.state.current().is_none() || self.state.is_due() {
            let words = match self.state.current() {
                None => "not imported yet",
                Some(_) => "its spec changed; not imported again yet",
            };
            let waits = self.live.and_then(|live| live.waits.as_ref());
            let waits = waits.map(|waits| format!(": {waits}")).unwrap_or_default();
            return (Verdict::Due, format!("{words}{waits}"));
        }
        if let Some(unread) = self.live.and_then(|live| live.unread.as_ref()) {
            let since = when(unread.since, now);
            let is = unread.digest.map(|digest| format!(" to {}", short(&digest)));
            let waits = self.live.and_then(|live| live.waits.as_deref()).unwrap_or("its turn");
            let words = format!("moved{} {since}, not read yet: {waits}", is.unwrap_or_default());
            return (Verdict::NotVerified, words);
        }
        self.proof(now)
    }

    /// What a registry tag without a known failure rests on.
    fn proof(&self, now: Timestamp) -> (Verdict, String) {
        let imported = self.state.current().map_or(now, |item| item.event.created);
        let imported = when(imported, now);
        match (self.live, self.input.live) {
            (Some(live), _) if live.failures > 0 => {
                let attempted = live.attempted.map_or("not at all".into(), |at| when(at, now));
                let words = format!("could not check {attempted}; imported {imported}");
                (Verdict::CouldNotCheck, words)
            }
            (Some(LiveCheck { proven: Some(at), .. }), _) => {
                (Verdict::Proven, format!("proven current {}", when(*at, now)))
            }
            (Some(_) | None, Some(_)) => {
                let words = format!("not checked since the daemon started; imported {imported}");
                (Verdict::NotVerified, words)
            }
            (Some(_) | None, None) => {
                let words = format!("not verified, no daemon runs; imported {imported}");
                (Verdict::NotVerified, words)
            }
        }
    }
}
