//! `BuildConfig`s with their last builds (rules C11, C18).

use std::collections::BTreeSet;

use serde::Serialize;

use crate::desired::{BuildConfig, BuildFrom, BuildStrategy};
use crate::effective::building::asked_revision;
use crate::effective::{self, Known};
use crate::fact::{BuildEnd, SourceRevision};
use crate::names::{BuildNumber, Namespace, ObjectKey, StreamTag};
use crate::observed::build::{Build, BuildsState};
use crate::oc::build::revision_line;
use crate::time::{Timestamp, ago};

use super::super::words::{BAD, GOOD, WAITS, one_line, styled};
use super::Input;
use super::markers::named;

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuildConfigReport {
    pub(super) object: ObjectKey,
    /// What it builds, of what, on what.
    does: String,
    /// What it makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    builds: Vec<BuildReport>,
}

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildReport {
    name: String,
    number: BuildNumber,
    phase: &'static str,
    /// When it came to be that.
    since: Timestamp,
    /// The commit that it is of, or is to be of.
    #[serde(skip_serializing_if = "String::is_empty")]
    revision: String,
    /// Whether nobody can tell where its image goes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cannot_push: bool,
}

/// Those that are asked about, in the order of their names.
pub(super) fn builds(input: &Input<'_>) -> Vec<BuildConfigReport> {
    let shown = |object: &ObjectKey| input.select.is_none_or(|select| select.has(object));
    let all = input.view.desired.builds.values().filter(|build| shown(&build.object));
    all.map(|build| report(input, build)).collect()
}

fn report(input: &Input<'_>, build: &BuildConfig) -> BuildConfigReport {
    let view = &input.view;
    let known = Known { desired: view.desired, observed: view.observed, policy: view.policy };
    let empty = BuildsState::default();
    let state = view.observed.builds.get(&build.object).unwrap_or(&empty);
    let cannot_push =
        effective::push_of(known, build.output.as_ref(), None).is_err() && build.output.is_some();
    let namespace = &build.object.namespace;
    let output = build.output.as_ref().map(|tag| tag_words(tag, namespace));
    let output = output.or_else(|| build.push.as_ref().map(ToString::to_string));
    BuildConfigReport {
        object: build.object.clone(),
        does: does(input, build),
        output,
        builds: told(state).into_iter().map(|build| line(build, cannot_push)).collect(),
    }
}

/// The builds that are told of: those that go on, the last that succeeded and the last that did not, the newest first.
fn told(state: &BuildsState) -> Vec<&Build> {
    let is = |build: &&Build| build.ended.as_ref().map(|ended| ended.end == BuildEnd::Complete);
    let last = |complete| {
        let ended = state.builds.iter().filter(|build| is(build) == Some(complete));
        ended.max_by_key(|build| build.created.number)
    };
    let mut all: Vec<&Build> = state.active().chain(last(true)).chain(last(false)).collect();
    all.sort_by_key(|build| std::cmp::Reverse(build.created.number));
    all
}

fn line(build: &Build, cannot_push: bool) -> BuildReport {
    let ended = build.ended.as_ref();
    let started = build.started.as_ref().map(|(at, _)| *at);
    let revision = ended.and_then(|ended| ended.revision.clone());
    let revision = revision.or_else(|| asked_revision(build));
    let revision = revision.map(|SourceRevision { commit, message, author, .. }| {
        one_line(&revision_line(&commit, &message, &author))
    });
    BuildReport {
        name: build.created.name.clone(),
        number: build.created.number,
        phase: build.phase(),
        since: ended.map(|ended| ended.at).or(started).unwrap_or(build.at),
        revision: revision.unwrap_or_default(),
        cannot_push: cannot_push && ended.is_none(),
    }
}

/// `istag/web:latest` where it is in the same namespace, `shop/web:latest` where it is not.
fn tag_words(tag: &StreamTag, namespace: &Namespace) -> String {
    let StreamTag { stream, tag: name } = tag;
    match stream.namespace == *namespace {
        true => format!("istag/{}:{name}", stream.name),
        false => tag.to_string(),
    }
}

/// `source builds https://… on openshift/httpd:2.4 (import scheduled)`.
fn does(input: &Input<'_>, build: &BuildConfig) -> String {
    let namespace = &build.object.namespace;
    let kind = match build.strategy {
        BuildStrategy::Docker => "docker",
        BuildStrategy::Source => "source",
        BuildStrategy::Custom => "custom",
        BuildStrategy::JenkinsPipeline => return "is a Jenkins Pipeline".to_owned(),
    };
    let source = match &build.git {
        Some(git) if git.reference.is_empty() => crate::secret::masked(&git.uri),
        Some(git) => format!("{}#{}", crate::secret::masked(&git.uri), git.reference),
        None if build.binary => "uploaded code".to_owned(),
        None if has_dockerfile(build) => "Dockerfile".to_owned(),
        None if !build.images.is_empty() => "contents in other images".to_owned(),
        None => return format!("unconfigured {kind} build"),
    };
    let on = match &build.from {
        None => String::new(),
        Some(BuildFrom::Tag(tag)) => {
            format!(" on {}{}", tag_words(tag, namespace), origin(input, tag, namespace))
        }
        Some(BuildFrom::Image { stream, id }) => format!(" on {stream}@{id}"),
        Some(BuildFrom::Registry(image)) => format!(" on {image}"),
    };
    one_line(&format!("{kind} builds {source}{on}"))
}

fn has_dockerfile(build: &BuildConfig) -> bool {
    let manifest: Option<serde_json::Value> = serde_json::from_str(&build.manifest).ok();
    manifest.is_some_and(|manifest| manifest.pointer("/spec/source/dockerfile").is_some())
}

/// What brings the image that is built on.
fn origin(input: &Input<'_>, tag: &StreamTag, namespace: &Namespace) -> String {
    let view = &input.view;
    let makes = view.desired.builds.values().filter(|build| build.output.as_ref() == Some(tag));
    let names = makes.map(|build| named(&build.object, namespace)).collect::<BTreeSet<_>>();
    if !names.is_empty() {
        return format!(" (from {})", names.into_iter().collect::<Vec<_>>().join(", "));
    }
    let spec = effective::spec_tag(view.desired, tag);
    let schedule =
        spec.and_then(|(stream, spec)| effective::schedule_of(stream, spec, view.policy));
    if schedule.is_some() { " (import scheduled)".to_owned() } else { String::new() }
}

impl BuildConfigReport {
    /// The lines of a `BuildConfig`, as `oc status` has them.
    pub(super) fn lines(&self, here: &Namespace, now: Timestamp) -> Vec<String> {
        let mut lines = vec![format!("{} {}", named(&self.object, here), self.does)];
        lines.extend(self.output.iter().map(|output| format!("  -> {output}")));
        if self.builds.is_empty() {
            lines.push("  not built yet".to_owned());
        }
        lines.extend(self.builds.iter().map(|build| format!("  {}", build.line(now))));
        lines
    }
}

impl BuildReport {
    fn line(&self, now: Timestamp) -> String {
        let time = ago(now.since(self.since)).to_lowercase();
        let words = match self.phase {
            "Complete" => styled(GOOD, format!("succeeded {time} ago")),
            "Failed" => styled(BAD, format!("failed {time} ago")),
            "Error" => styled(BAD, format!("stopped with an error {time} ago")),
            "Cancelled" => styled(WAITS, format!("cancelled {time} ago")),
            phase => styled(WAITS, format!("{} for {time}", phase.to_lowercase())),
        };
        let revision = match self.revision.as_str() {
            "" => String::new(),
            revision => format!(" - {revision}"),
        };
        let push = if self.cannot_push { " (can't push to image)" } else { "" };
        format!("build #{} {words}{revision}{push}", self.number.0)
    }
}
