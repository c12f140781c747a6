//! Which documents are objects of ours: by kind, group and annotation, and what is nearly one.

use crate::desired::marks::End;
use crate::desired::nearest::is_near;
use crate::desired::object::Draft;
use crate::desired::stray::Strayed;
use crate::desired::workload::{self, step};
use crate::desired::yaml::Node;
use crate::names::Kind;

/// Edits within which another word is taken for a slip: real kinds of the same groups are further away.
const EDITS_MAX: usize = 2;

/// What a document is to us.
pub(super) enum Meaning {
    /// An object of ours; if it is written wrongly, the draft has the error.
    Ours(Kind),
    /// None of ours, that may be meant as one.
    Stray(Kind, Strayed),
    /// Something else.
    Other,
}

/// The versions that are read without a word, the current one first.
fn versions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ImageStream => &["image.openshift.io/v1", "v1"],
        Kind::BuildConfig => &["build.openshift.io/v1", "v1"],
        Kind::DeploymentConfig => &["apps.openshift.io/v1", "v1"],
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => &["apps/v1"],
        Kind::CronJob => &["batch/v1"],
        Kind::Pod => &["v1"],
    }
}

/// The versions that Kubernetes no longer has.
fn old_versions(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::ImageStream | Kind::BuildConfig | Kind::DeploymentConfig | Kind::Pod => &[],
        Kind::Deployment | Kind::DaemonSet => {
            &["apps/v1beta1", "apps/v1beta2", "extensions/v1beta1"]
        }
        Kind::StatefulSet => &["apps/v1beta1", "apps/v1beta2"],
        Kind::CronJob => &["batch/v1beta1"],
    }
}

/// The version of a kind that a manifest should name.
pub(crate) fn current_version(kind: Kind) -> &'static str {
    versions(kind).first().copied().unwrap_or_default()
}

/// Whether every object of a kind is ours, whatever it carries.
fn is_open(kind: Kind) -> bool {
    !kind.is_workload() || kind == Kind::DeploymentConfig
}

/// The kind that a word is, or that it is nearly.
fn kind_of(word: &str) -> Option<(Kind, bool)> {
    let exact = word.parse::<Kind>().ok().map(|kind| (kind, true));
    exact.or_else(|| {
        // Two edits lead from `Job` to `Pod`.
        let edits = |kind: Kind| EDITS_MAX.min(kind.as_str().len() / 3);
        let near = |kind: &Kind| is_near(word, kind.as_str(), edits(*kind));
        Kind::ALL.into_iter().find(near).map(|kind| (kind, false))
    })
}

/// Whether a document without an `apiVersion` is looked at as an object all the same.
pub(super) fn is_telling(word: &str, node: &Node) -> bool {
    kind_of(word).is_some_and(|(kind, _)| is_open(kind) || workload::is_ours(node))
}

/// What a document lacks that is meant for us all the same: its `kind`, or its `apiVersion`.
pub(super) fn lacks(word: &str, version: &str, node: &Node) -> Option<&'static str> {
    let has_list = |key: &str| node.get(key).is_some_and(Node::is_list);
    let is_version = |kind: Kind| version.contains('/') && version == current_version(kind);
    if word.is_empty() {
        let for_us = workload::is_ours(node)
            || Kind::ALL.into_iter().any(|kind| is_open(kind) && is_version(kind));
        return for_us.then_some("kind");
    }
    let holds = word == "List" && has_list("items") || word == "Template" && has_list("objects");
    (version.is_empty() && holds).then_some("apiVersion")
}

/// Whether a version may be a slip of the pen for one of the kind's.
fn is_near_version(kind: Kind, version: &str) -> bool {
    let group = |version: &'static str| version.split_once('/').map_or("", |(group, _)| group);
    let mut groups = versions(kind).iter().chain(old_versions(kind)).map(|version| group(version));
    match version.split_once('/') {
        Some((written, _)) => groups.any(|group| is_near(written, group, EDITS_MAX)),
        // `v1beta3`, or a group whose version was left out.
        None => {
            let rest = version.strip_prefix('v');
            version.is_empty()
                || rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                || groups.any(|group| is_near(version, group, EDITS_MAX))
        }
    }
}

/// What a document is to us; an error is left in the draft where it is meant for us and written wrongly.
pub(super) fn meaning(word: &str, version: &str, node: &Node, draft: &Draft<'_>) -> Meaning {
    let Some((kind, is_exact)) = kind_of(word) else { return Meaning::Other };
    if !is_near_version(kind, version) {
        let stray = Meaning::Stray(kind, Strayed::Group(version.into()));
        return if is_exact { stray } else { Meaning::Other };
    }
    if !is_open(kind) && !workload::is_ours(node) {
        let why = if is_exact { Strayed::NoTriggers } else { Strayed::Kind(word.into()) };
        return Meaning::Stray(kind, why);
    }
    let current = current_version(kind);
    if !is_exact {
        let text = format!("`{word}` is no kind of `{version}`");
        let hint = Some(format!("did you mean `{kind}`?"));
        draft.error_with_hint("kind", &[step("kind")], text, hint);
    } else if old_versions(kind).contains(&version) {
        let hint = Some(format!("write `apiVersion: {current}`"));
        let text = format!("`{version}` was removed from Kubernetes");
        draft.warn_with_hint("api-version", &[step("apiVersion")], End::Value, text, hint);
    } else if !version.is_empty() && !versions(kind).contains(&version) {
        let text = format!("`{version}` is no API version of a {kind}");
        let hint = Some(format!("write `apiVersion: {current}`"));
        draft.error_with_hint("api-version", &[step("apiVersion")], text, hint);
    }
    Meaning::Ours(kind)
}

/// T1: the triggers annotation on what nobody rolls out as a whole.
pub(super) fn warn_of_triggers(draft: &Draft<'_>, word: &str) {
    let is_odd = matches!(word, "ReplicaSet" | "ReplicationController" | "Job");
    let path = ["metadata", "annotations", workload::TRIGGERS];
    if is_odd && draft.node.at(&path).is_some() {
        let text = format!("annotation `{}` is without effect on a {word}", workload::TRIGGERS);
        let hint = "it is heeded on Deployment, StatefulSet, DaemonSet, CronJob and Pod";
        draft.warn_with_hint("T1", &path.map(step), End::Key, text, Some(hint.into()));
    }
}

/// What is wrong with a document that is to hold others, as rule, key, message and hint: its objects are not read, and
/// must not be taken as gone.
pub(super) fn broken_holder(
    word: &str,
    version: &str,
    node: &Node,
) -> Option<(&'static str, &'static str, String, Option<String>)> {
    let is_list = |key: &str| node.get(key).is_some_and(|list| !list.is_null());
    let (holder, key) = match () {
        () if word == "List" => ("List", "items"),
        () if word == "Template" && is_template_version(version) => ("Template", "objects"),
        () if is_near(word, "List", 1) && is_list("items") && version == "v1" => ("List", "items"),
        () if is_near(word, "Template", EDITS_MAX) && is_list("objects") => ("Template", "objects"),
        () => return None,
    };
    if word != holder {
        let hint = Some(format!("did you mean `{holder}`?"));
        return Some(("kind", "kind", format!("`{word}` is no kind that holds objects"), hint));
    }
    if holder == "Template" && !is_template(word, version) {
        let hint = Some("write `apiVersion: template.openshift.io/v1`".into());
        let text = format!("`{version}` is no API version of a Template");
        return Some(("api-version", "apiVersion", text, hint));
    }
    match node.get(key) {
        None => Some(("type", "", format!("{key}: Required value"), None)),
        Some(list) if list.is_null() || list.is_list() => None,
        Some(other) => {
            let text = format!("{key}: expected a list, found {}", other.describe());
            Some(("type", key, text, None))
        }
    }
}

/// Whether a document is a Template that is opened.
pub(super) fn is_template(word: &str, version: &str) -> bool {
    word == "Template" && matches!(version, "v1" | "template.openshift.io/v1")
}

/// Whether a version is that of a Template, or a slip of the pen for it.
fn is_template_version(version: &str) -> bool {
    match version.split_once('/') {
        Some((group, _)) => is_near(group, "template.openshift.io", EDITS_MAX),
        None => version.starts_with('v') || is_near(version, "template.openshift.io", EDITS_MAX),
    }
}
