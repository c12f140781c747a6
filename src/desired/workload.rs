//! `Deployment`, `StatefulSet`, `DaemonSet`, `CronJob` and `Pod` that carry the triggers annotation (section 2 of the
//! triggers specification), and what they share with a DeploymentConfig.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::fact::{ContainerList, ContainerRef};
use crate::limits;
use crate::names::{Kind, ObjectKey, StreamName, TargetName};
use crate::pods::ConfigName;

use super::marks::{End, Step};
use super::nearest::nearest;
use super::object::{Bearer, Draft, Fields, Ours, steps};
use super::pod::{self, Pod};
use super::yaml::{self, Node, ScalarKind};
use super::{Gates, ImageTrigger, Workload};

/// The annotation that makes a workload ours.
pub(crate) const TRIGGERS: &str = "image.openshift.io/triggers";

/// What our annotations say about a workload.
pub(crate) struct Settings {
    paused: bool,
    prune: bool,
    retries: u32,
    target: Option<TargetName>,
    gates: Gates,
    config_hash: bool,
}

impl Settings {
    /// Reads them; what does not parse rejects the object.
    pub(crate) fn read(ours: &Ours<'_, '_>) -> Self {
        ours.check_rest();
        Self {
            paused: ours.flag("pause").unwrap_or(false),
            prune: ours.flag("prune").unwrap_or(true),
            retries: ours
                .parsed("retry", "expected a number of attempts, `0` for none")
                .unwrap_or(limits::ROLLOUT_RETRIES),
            target: ours.parsed("target", "expected the name of a target in the configuration"),
            gates: Gates {
                minimum_age: ours.span("minimum-age"),
                window: ours.window(),
                min_interval: ours.span("min-interval"),
            },
            config_hash: ours.flag("config-hash").unwrap_or(false),
        }
    }
}

/// Whether an object or a pod template wants its image strings looked up (rule I185).
fn resolves_names(node: &super::yaml::Node) -> bool {
    const KEY: &str = "alpha.image.policy.openshift.io/resolve-names";
    let value = node.at(&["metadata", "annotations", KEY]);
    value.and_then(super::yaml::Node::as_text) == Some("*")
}

/// D26.
fn history(node: &Node) -> Option<u32> {
    node.at(&["spec", "revisionHistoryLimit"])?.as_text()?.parse().ok()
}

/// How many instances there should be between rollouts (rules D2, D22, R17a).
fn scale(kind: Kind, node: &Node) -> Option<u32> {
    let text = |key: &str| node.at(&["spec", key]).and_then(Node::as_text);
    let replicas = |default| text("replicas").map_or(Some(default), |text| text.parse().ok());
    match kind {
        Kind::DeploymentConfig if is_custom(node) => None, // its program knows
        Kind::DeploymentConfig if text("test") == Some("true") => Some(0),
        Kind::DeploymentConfig => replicas(0),
        Kind::Deployment | Kind::StatefulSet => replicas(1),
        Kind::DaemonSet | Kind::Pod => Some(1),
        Kind::CronJob | Kind::ImageStream | Kind::BuildConfig => None,
    }
}

/// Whether an image of the user's own runs in place of a rollout (rule D38).
fn is_custom(node: &Node) -> bool {
    let params = node.at(&["spec", "strategy", "customParams"]);
    params.is_some_and(|params| !params.is_null())
}

/// The `ConfigMap`s and `Secret`s that a template names.
fn configs_of(pod: &Pod<'_>) -> BTreeSet<ConfigName> {
    // What a Node writes is JSON.
    let template = serde_json::from_str(&super::json::write(pod.node)).unwrap_or_default();
    crate::pods::config_names(&template)
}

/// Puts a workload together; `finish` sets what its kind alone knows.
pub(crate) fn assemble(
    draft: &Draft<'_>,
    object: ObjectKey,
    pod: &Pod<'_>,
    triggers: Vec<ImageTrigger>,
    settings: Settings,
    finish: impl FnOnce(&mut Workload),
) -> Workload {
    let scale = scale(object.kind, draft.node);
    let mut workload = Workload {
        object,
        template: pod.hash(&triggers),
        triggers,
        config_change: true,
        paused: settings.paused,
        history: history(draft.node),
        scale,
        containers: pod.containers.clone(),
        target: settings.target,
        prune: settings.prune,
        retries: settings.retries,
        gates: settings.gates,
        hashed: if settings.config_hash { configs_of(pod) } else { BTreeSet::new() },
        resolve_names: [draft.node, pod.node].into_iter().any(resolves_names),
        manifest: draft.manifest(),
        position: draft.start(),
    };
    finish(&mut workload);
    workload
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DeploymentSpec {
    replicas: Option<i32>,
    selector: IgnoredAny,
    template: IgnoredAny,
    strategy: IgnoredAny,
    min_ready_seconds: Option<i32>,
    revision_history_limit: Option<i32>,
    paused: bool,
    progress_deadline_seconds: Option<i32>,
    rollback_to: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StatefulSetSpec {
    replicas: Option<i32>,
    selector: IgnoredAny,
    template: IgnoredAny,
    volume_claim_templates: IgnoredAny,
    service_name: String,
    pod_management_policy: String,
    update_strategy: IgnoredAny,
    revision_history_limit: Option<i32>,
    min_ready_seconds: Option<i32>,
    persistent_volume_claim_retention_policy: IgnoredAny,
    ordinals: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DaemonSetSpec {
    selector: IgnoredAny,
    template: IgnoredAny,
    update_strategy: IgnoredAny,
    min_ready_seconds: Option<i32>,
    revision_history_limit: Option<i32>,
    template_generation: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct CronJobSpec {
    schedule: String,
    time_zone: String,
    starting_deadline_seconds: Option<i64>,
    concurrency_policy: String,
    suspend: bool,
    job_template: IgnoredAny,
    successful_jobs_history_limit: Option<i32>,
    failed_jobs_history_limit: Option<i32>,
}

/// Reads a workload of one of the five kinds.
pub(crate) fn read(draft: &Draft<'_>, kind: Kind) -> Option<Workload> {
    let (meta, stands_still) = match kind {
        Kind::StatefulSet => (draft.read::<Fields<StatefulSetSpec>>()?.metadata, false),
        Kind::DaemonSet => (draft.read::<Fields<DaemonSetSpec>>()?.metadata, false),
        Kind::CronJob => (draft.read::<Fields<CronJobSpec>>()?.metadata, false),
        Kind::Pod => (draft.read::<Fields<IgnoredAny>>()?.metadata, false),
        Kind::Deployment | Kind::DeploymentConfig | Kind::ImageStream | Kind::BuildConfig => {
            let Fields { metadata, spec, .. } = draft.read::<Fields<DeploymentSpec>>()?;
            (metadata, spec.paused)
        }
    };
    let key = draft.subdomain_name(kind, &meta.name);
    let annotations = steps!["metadata", "annotations"];
    let ours = Ours::new(draft, &meta.annotations, annotations, Bearer::Workload);
    let settings = Settings::read(&ours);
    let template: &[&str] = match kind {
        Kind::CronJob => &["spec", "jobTemplate", "spec", "template"],
        Kind::Pod => &[],
        Kind::Deployment
        | Kind::StatefulSet
        | Kind::DaemonSet
        | Kind::DeploymentConfig
        | Kind::ImageStream
        | Kind::BuildConfig => &["spec", "template"],
    };
    let pod = Pod::read(draft, template)?;
    let triggers = match meta.annotations.get(TRIGGERS) {
        Some(text) => read_triggers(draft, text, &pod, &field_base(template), &meta.name, kind),
        None => Vec::new(),
    };
    pod.check_images(draft, &triggers);
    if !draft.errors.borrow().is_empty() {
        return None;
    }
    // T8: triggers do not look at it; what holds the rollout in a cluster is Kubernetes, and here it is us.
    Some(assemble(draft, key?, &pod, triggers, settings, |workload| {
        workload.paused |= stands_still;
    }))
}

/// T2 to T6.
fn read_triggers(
    draft: &Draft<'_>,
    text: &str,
    pod: &Pod<'_>,
    base: &str,
    name: &str,
    kind: Kind,
) -> Vec<ImageTrigger> {
    let at = steps!["metadata", "annotations", TRIGGERS];
    let object = format!("{}/{name}", kind.singular());
    let bad = |rule: &str, what: String| {
        draft.error(rule, at, format!("annotation `{TRIGGERS}` of {object}: {what}"));
    };
    // The offset is in the JSON text: lines and columns of it are what its author sees in an editor.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        bad("T5", format!("not JSON: {error}"));
        return Vec::new();
    }
    let document = match yaml::read(text) {
        Ok(document) => document,
        Err(error) => {
            bad("T5", format!("not JSON: {}", error.message));
            return Vec::new();
        }
    };
    let Node::Sequence(items) = &document.root else {
        bad("T5", format!("expected a list, found {}", document.root.describe()));
        return Vec::new();
    };
    let mut triggers = Vec::new();
    let mut seen: Vec<ContainerRef> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let Some(entry) = Entry::read(item, index, draft, &bad) else { continue };
        let container = match container_of(&entry.field_path, base, pod) {
            Ok(Some(container)) => container,
            Ok(None) => {
                let path = &entry.field_path;
                let text = format!(
                    "trigger on {object}: field path `{path}` is outside `{}`; it is without effect",
                    base.trim_end_matches('.')
                );
                draft.warn("T2", at, text);
                continue;
            }
            Err(why) => {
                bad("T3", why);
                continue;
            }
        };
        if seen.contains(&container) {
            bad("T4", "duplicate triggers are not allowed".into());
            continue;
        }
        seen.push(container.clone());
        triggers.extend(entry.trigger(draft, &object, container));
    }
    pod::last_wins(draft, &mut triggers, at);
    triggers
}

/// One entry of the annotation.
struct Entry {
    kind: String,
    name: String,
    namespace: String,
    api_version: String,
    field_path: String,
    paused: bool,
}

impl Entry {
    fn read(
        item: &Node,
        index: usize,
        draft: &Draft<'_>,
        bad: &dyn Fn(&str, String),
    ) -> Option<Self> {
        let at = steps!["metadata", "annotations", TRIGGERS];
        if !matches!(item, Node::Mapping(_)) {
            bad("T5", format!("[{index}]: expected an object, found {}", item.describe()));
            return None;
        }
        let warn_unknown = |node: &Node, known: &[&str], prefix: &str| {
            for (key, _) in node.entries() {
                if !known.contains(&&**key) {
                    let hint = nearest(key, known.iter().copied());
                    let hint = hint.map(|near| format!("did you mean `{near}`?"));
                    let text =
                        format!("unknown key `{prefix}{key}` in annotation `{TRIGGERS}`[{index}]");
                    draft.warn_with_hint("T5", at, End::Key, text, hint);
                }
            }
        };
        warn_unknown(item, &["from", "fieldPath", "paused"], "");
        let from = item.get("from");
        if let Some(from) = from {
            let known =
                ["kind", "name", "namespace", "apiVersion", "uid", "resourceVersion", "fieldPath"];
            warn_unknown(from, &known, "from.");
        }
        let text = |key: &str| {
            from.and_then(|from| from.get(key))
                .and_then(Node::as_text)
                .unwrap_or_default()
                .to_owned()
        };
        let paused = match item.get("paused") {
            None => false,
            Some(Node::Scalar(scalar)) => match (&*scalar.text, scalar.kind) {
                (_, ScalarKind::Bool(value)) => value,
                (_, ScalarKind::Null) | ("false" | "", ScalarKind::Text) => false,
                ("true", ScalarKind::Text) => true, // openshift/console#14523
                _ => {
                    bad(
                        "T5",
                        format!(
                            "[{index}].paused: expected true or false, found `{}`",
                            scalar.text
                        ),
                    );
                    return None;
                }
            },
            Some(other) => {
                bad(
                    "T5",
                    format!("[{index}].paused: expected true or false, found {}", other.describe()),
                );
                return None;
            }
        };
        Some(Self {
            kind: text("kind"),
            name: text("name"),
            namespace: text("namespace"),
            api_version: text("apiVersion"),
            field_path: item.get("fieldPath").and_then(Node::as_text).unwrap_or_default().into(),
            paused,
        })
    }

    /// T6: an entry that cannot be used is left out, with a warning.
    fn trigger(
        self,
        draft: &Draft<'_>,
        object: &str,
        container: ContainerRef,
    ) -> Option<ImageTrigger> {
        let at = steps!["metadata", "annotations", TRIGGERS];
        let skip = |why: String| {
            draft.warn("T6", at, format!("trigger on {object} {why}; it is without effect"));
            None
        };
        if self.kind != "ImageStreamTag" {
            return skip(format!("has the kind `{}` instead of `ImageStreamTag`", self.kind));
        }
        if !self.api_version.is_empty() {
            return skip(format!("has the apiVersion `{}`; it must be left out", self.api_version));
        }
        let namespace = match self.namespace.as_str() {
            "" => draft.namespace.clone(),
            text => match text.parse() {
                Ok(namespace) => namespace,
                Err(_) => {
                    return skip(format!("names the namespace `{text}`, which cannot be one"));
                }
            },
        };
        let tag = self.name.split_once(':').and_then(|(stream, tag)| {
            Some(StreamName::new(namespace, stream.parse().ok()?).tag(tag.parse().ok()?))
        });
        let Some(from) = tag else {
            return skip(format!("must be in the form of <name>:<tag>, not `{}`", self.name));
        };
        Some(ImageTrigger { from, containers: vec![container], automatic: !self.paused })
    }
}

/// The container that a field path names; none where it leads out of the template (T2, T3).
fn container_of(
    field_path: &str,
    base: &str,
    pod: &Pod<'_>,
) -> Result<Option<ContainerRef>, String> {
    let invalid = || format!("field path is not valid: {field_path}");
    let Some(rest) = field_path.trim().strip_prefix(base) else {
        return if field_path.is_empty() { Err(invalid()) } else { Ok(None) };
    };
    let lists = [("containers[", ContainerList::Regular), ("initContainers[", ContainerList::Init)];
    let (list, selector) = lists
        .iter()
        .find_map(|(prefix, list)| {
            Some((*list, rest.strip_prefix(prefix)?.strip_suffix("].image")?))
        })
        .ok_or_else(invalid)?;
    let mut of_list = pod.containers.iter().map(|c| &c.container).filter(|c| c.list == list);
    let missing = || format!("no such container: {field_path}");
    if let Ok(index) = selector.trim().parse::<usize>() {
        return of_list.nth(index).cloned().map(Some).ok_or_else(missing);
    }
    let name = selector_name(selector).ok_or_else(invalid)?;
    of_list.find(|c| c.name == name).cloned().map(Some).ok_or_else(missing)
}

/// How field paths of the pod template at a path begin (rule T2): `spec.template.spec.`, or `spec.` of a `Pod`.
pub(crate) fn field_base(template: &[&str]) -> String {
    template.iter().chain(&["spec", ""]).copied().collect::<Vec<_>>().join(".")
}

/// The name in `?(@.name=="NAME")`; blanks, single quotes and escaped quotes are accepted (T3).
pub(crate) fn selector_name(selector: &str) -> Option<&str> {
    let inner = selector.trim().strip_prefix("?(")?.strip_suffix(')')?.trim();
    let value = inner.strip_prefix("@.name")?.trim_start().strip_prefix("==")?.trim();
    let quotes = ["\\\"", "\"", "'"];
    let name = quotes.iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote))?;
    (!name.is_empty()).then_some(name)
}

/// Whether a document of one of the four kinds is ours: it has triggers, or a target of ours.
pub(crate) fn is_ours(node: &Node) -> bool {
    let annotation = |key: &str| node.at(&["metadata", "annotations", key]);
    [TRIGGERS, "tidegate.dev/target"].iter().any(|key| annotation(key).is_some())
}

/// Labels of a template laid over those of an object, as `oc process` does.
pub(crate) fn add_labels(node: &mut Node, labels: &BTreeMap<String, Node>) {
    let Node::Mapping(entries) = node else { return };
    let Some((_, Node::Mapping(meta))) = entries.iter_mut().find(|(key, _)| &**key == "metadata")
    else {
        return;
    };
    if !meta.iter().any(|(key, value)| &**key == "labels" && !value.is_null()) {
        meta.retain(|(key, _)| &**key != "labels");
        meta.push(("labels".into(), Node::Mapping(Vec::new())));
    }
    if let Some((_, Node::Mapping(own))) = meta.iter_mut().find(|(key, _)| &**key == "labels") {
        for (key, value) in labels {
            own.retain(|(other, _)| **other != **key);
            own.push((key.as_str().into(), value.clone()));
        }
    }
}

/// A step, for callers outside.
pub(crate) fn step(key: &str) -> Step {
    Step::Key(key.into())
}
