//! What all kinds share: metadata, names, our annotations, and where messages about an object go.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::fact::Position;
use crate::names::{Kind, Namespace, ObjectKey, ObjectName};
use crate::pods;
use crate::policy::Policy;
use crate::time::{Schedule, Span, Window};

use super::diagnostic::{Diagnostic, Severity};
use super::json;
use super::marks::{self, End, Source, Step};
use super::nearest::nearest;
use super::registries::Forbidden;
use super::tag_filter::TagFilter;
use super::typed::{self, Finding, Misfit};
use super::yaml::{Node, Scalar, ScalarKind};

/// An object: what every kind has around its `spec`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Fields<S> {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Meta,
    pub(crate) spec: S,
    pub(crate) status: IgnoredAny,
}

/// `metadata` of an object.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) generate_name: String,
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    creation_timestamp: IgnoredAny,
    deletion_timestamp: IgnoredAny,
    deletion_grace_period_seconds: IgnoredAny,
    finalizers: IgnoredAny,
    generation: IgnoredAny,
    managed_fields: IgnoredAny,
    owner_references: IgnoredAny,
    resource_version: IgnoredAny,
    self_link: IgnoredAny,
    uid: IgnoredAny,
    cluster_name: IgnoredAny,
    initializers: IgnoredAny,
}

/// A reference to an object: `from`, `to`.
#[derive(Deserialize, Default, Clone, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ObjectReference {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) api_version: String,
    pub(crate) uid: String,
    pub(crate) resource_version: String,
    pub(crate) field_path: String,
}

/// An object on its way from the tree to a type: where it stands, and what was found so far.
pub(crate) struct Draft<'a> {
    /// The object.
    pub(crate) node: &'a Node,
    /// The document that holds it.
    pub(crate) source: &'a Source<'a>,
    /// Its path in the document.
    pub(crate) base: &'a [Step],
    /// The settings.
    pub(crate) policy: &'a Policy,
    /// Its namespace.
    pub(crate) namespace: Namespace,
    /// Why it is rejected.
    pub(crate) errors: RefCell<Vec<Diagnostic>>,
    /// What is odd about it.
    pub(crate) warnings: RefCell<Vec<Diagnostic>>,
    /// What it names and may not import from.
    pub(crate) forbidden: RefCell<Vec<Forbidden>>,
}

/// Builds a path: `steps!["spec", "tags", 0, "name"]`.
macro_rules! steps {
    ($($step:expr),* $(,)?) => {
        &[$($crate::desired::object::IntoStep::into_step($step)),*][..]
    };
}
pub(crate) use steps;

/// What a step of a path can be made of.
pub(crate) trait IntoStep {
    /// Makes the step.
    fn into_step(self) -> Step;
}

impl IntoStep for &str {
    fn into_step(self) -> Step {
        Step::Key(self.into())
    }
}

impl IntoStep for usize {
    fn into_step(self) -> Step {
        Step::Index(self)
    }
}

impl Draft<'_> {
    /// Where something of the object stands.
    pub(crate) fn position(&self, path: &[Step], end: End) -> Position {
        let whole: Vec<Step> = self.base.iter().chain(path).cloned().collect();
        self.source.position(&whole, end)
    }

    /// Where the object stands.
    pub(crate) fn start(&self) -> Position {
        self.position(&[], End::Value)
    }

    /// Rejects the object.
    pub(crate) fn error(&self, rule: &str, path: &[Step], message: impl Into<String>) {
        self.error_with_hint(rule, path, message, None);
    }

    /// Rejects the object, saying what to do.
    pub(crate) fn error_with_hint(
        &self,
        rule: &str,
        path: &[Step],
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            position: self.position(path, End::Value),
            rule: rule.into(),
            message: message.into(),
            hint,
        };
        self.errors.borrow_mut().push(diagnostic);
    }

    /// Rejects the object in OpenShift's words: `spec.tags[1].name: Invalid value: "x": detail`.
    pub(crate) fn invalid(&self, rule: &str, path: &[Step], value: &str, detail: &str) {
        let text = format!("{}: Invalid value: {value:?}: {detail}", marks::show(path));
        self.error(rule, path, text);
    }

    /// Rejects the object because something is missing; the place is the nearest thing above it.
    pub(crate) fn required(&self, rule: &str, path: &[Step], detail: &str) {
        let colon = if detail.is_empty() { "" } else { ": " };
        self.error(rule, path, format!("{}: Required value{colon}{detail}", marks::show(path)));
    }

    /// Says what may be worth knowing.
    pub(crate) fn note(&self, rule: &str, path: &[Step], message: String, hint: &str) {
        let diagnostic = Diagnostic {
            severity: Severity::Note,
            position: self.position(path, End::Value),
            rule: rule.into(),
            message,
            hint: Some(hint.into()),
        };
        self.warnings.borrow_mut().push(diagnostic);
    }

    /// Warns.
    pub(crate) fn warn(&self, rule: &str, path: &[Step], message: impl Into<String>) {
        self.warn_with_hint(rule, path, End::Value, message, None);
    }

    /// Warns, saying what to do.
    pub(crate) fn warn_with_hint(
        &self,
        rule: &str,
        path: &[Step],
        end: End,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let diagnostic = Diagnostic {
            severity: Severity::Warning,
            position: self.position(path, end),
            rule: rule.into(),
            message: message.into(),
            hint,
        };
        self.warnings.borrow_mut().push(diagnostic);
    }

    /// Reads the object into a structure; unknown fields become warnings, a misfit rejects it.
    pub(crate) fn read<'n, T: Deserialize<'n>>(&'n self) -> Option<T> {
        let findings = RefCell::default();
        let result = typed::read(self.node, &findings);
        for finding in findings.into_inner() {
            self.report(finding);
        }
        result.map_err(|misfit| self.misfit("type", misfit)).ok()
    }

    /// Rejects the object because something does not have the right shape.
    pub(crate) fn misfit(&self, rule: &str, misfit: Misfit) {
        let path = misfit.path.unwrap_or_default();
        let shown = marks::show(&path);
        let colon = if shown.is_empty() { "" } else { ": " };
        let message = format!("{shown}{colon}{}", misfit.message);
        self.error_with_hint(rule, &path, message, misfit.hint);
    }

    fn report(&self, finding: Finding) {
        match finding {
            Finding::Unknown { path, nearest } => {
                let message = format!("unknown field `{}`", marks::show(&path));
                let hint = nearest.map(|name| format!("did you mean `{name}`?"));
                self.warn_with_hint("unknown-field", &path, End::Key, message, hint);
            }
            Finding::OldBoolean { path, text } => {
                let whole: Vec<Step> = self.base.iter().chain(&path).cloned().collect();
                if self.source.is_plain(&whole) {
                    let message = format!(
                        "is the text `{text}` here, but readers of YAML 1.1 such as `oc` take it as a boolean"
                    );
                    self.report_scalar(&path, "yaml-1.1-boolean", &message, &text);
                }
            }
            Finding::NotText { path, text, is } => {
                let message = format!(
                    "is the text `{text}` here, but a cluster takes it as a {is} and refuses it"
                );
                self.report_scalar(&path, "type", &message, &text);
            }
        }
    }

    /// A scalar that is not what is meant, as it is written there.
    fn report_scalar(&self, path: &[Step], rule: &str, message: &str, text: &str) {
        let message = format!("`{}` {message}", marks::show(path));
        let hint = Some(format!("write \"{text}\" in quotes"));
        self.warn_with_hint(rule, path, End::Value, message, hint);
    }

    /// The key of the object, if its name is one.
    pub(crate) fn key(&self, kind: Kind, name: &str) -> Option<ObjectKey> {
        let name: ObjectName = name.parse().ok()?;
        Some(ObjectKey::new(kind, self.namespace.clone(), name))
    }

    /// Checks the name as Kubernetes does (RFC 1123 subdomain); says why if it is none.
    pub(crate) fn subdomain_name(&self, kind: Kind, name: &str) -> Option<ObjectKey> {
        let path = steps!["metadata", "name"];
        if name.is_empty() {
            self.required("name", path, "name is required");
            return None;
        }
        let longest = if kind == Kind::CronJob { 52 } else { 253 };
        if name.len() > longest {
            self.invalid("name", path, name, &format!("must be no more than {longest} characters"));
            return None;
        }
        if !is_subdomain(name) {
            let detail = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
            self.invalid("name", path, name, detail);
            return None;
        }
        self.key(kind, name)
    }

    /// The object as JSON, without what only a server writes.
    pub(crate) fn manifest(&self) -> Arc<str> {
        json::write(&without_leftovers(self.node)).into()
    }
}

/// Whether a text is a lower-case RFC 1123 subdomain.
pub(crate) fn is_subdomain(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// Fields of `metadata` that only a server writes.
const LEFTOVERS: [&str; 8] = [
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

fn without_leftovers(node: &Node) -> Node {
    let Node::Mapping(entries) = node else { return node.clone() };
    let kept = entries.iter().filter(|(key, _)| &**key != "status").map(|(key, value)| {
        let value = match (&**key, value) {
            ("metadata", Node::Mapping(meta)) => {
                let mine = meta.iter().filter(|(key, _)| !LEFTOVERS.contains(&&**key));
                Node::Mapping(mine.cloned().collect())
            }
            ("spec", Node::Mapping(spec)) => Node::Mapping(spec.iter().map(without_last).collect()),
            _ => value.clone(),
        };
        (key.clone(), value)
    });
    Node::Mapping(kept.collect())
}

/// `spec.triggers` without `lastTriggeredImage`, which the journal keeps (section 0.4 of the triggers specification).
fn without_last((key, value): &(Box<str>, Node)) -> (Box<str>, Node) {
    fn strip(node: &Node) -> Node {
        match node {
            Node::Mapping(entries) => Node::Mapping(
                entries
                    .iter()
                    .filter(|(key, _)| {
                        !matches!(&**key, "lastTriggeredImage" | "lastTriggeredImageID")
                    })
                    .map(|(key, value)| (key.clone(), strip(value)))
                    .collect(),
            ),
            Node::Sequence(items) => Node::Sequence(items.iter().map(strip).collect()),
            Node::Scalar(_) | Node::Tagged(_) => node.clone(),
        }
    }
    let value = if &**key == "triggers" { strip(value) } else { value.clone() };
    (key.clone(), value)
}

/// What carries an annotation of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Bearer {
    /// An image stream.
    Stream,
    /// A tag of one.
    Tag,
    /// A build configuration.
    Build,
    /// A workload.
    Workload,
}

impl Bearer {
    fn words(self) -> &'static str {
        match self {
            Self::Stream => "an ImageStream",
            Self::Tag => "a tag of an ImageStream",
            Self::Build => "a BuildConfig",
            Self::Workload => "a workload",
        }
    }
}

const S: u8 = 1;
const T: u8 = 2;
const B: u8 = 4;
const W: u8 = 8;

/// Keys of section 0.6 of the triggers specification: where each may stand, and whether this version acts on it.
const KEYS: [(&str, u8, bool); 21] = [
    ("schedule", S | T, true),
    ("time-zone", S | T | B | W, true),
    ("history-limit", S, true),
    ("tag-filter", S, true),
    ("tag-limit", S, true),
    ("prune", S | W, true),
    ("push", S, true),
    ("minimum-age", S | T | W, true),
    ("window", B | W, true),
    ("pause", S | B | W, true),
    ("min-interval", W, true),
    ("retry", W, true),
    ("allow-cycle", B, true),
    ("target", W, true),
    ("publish", W, true),
    ("verify", W, true),
    ("config-hash", W, false),
    ("triggers", W, true),
    ("revision", W, true),
    ("last-applied", S | B | W, true),
    ("incarnation", W, true),
];

/// Our annotations on an object or a tag.
pub(crate) struct Ours<'d, 'a> {
    draft: &'d Draft<'a>,
    annotations: &'d BTreeMap<String, String>,
    path: Vec<Step>,
}

impl<'d, 'a> Ours<'d, 'a> {
    /// Looks at the annotations at `path`; an unknown key, or one in the wrong place, is a warning.
    pub(crate) fn new(
        draft: &'d Draft<'a>,
        annotations: &'d BTreeMap<String, String>,
        path: &[Step],
        bearer: Bearer,
    ) -> Self {
        let ours = Self { draft, annotations, path: path.to_vec() };
        let bit = match bearer {
            Bearer::Stream => S,
            Bearer::Tag => T,
            Bearer::Build => B,
            Bearer::Workload => W,
        };
        for key in annotations.keys() {
            let Some(name) = key.strip_prefix("tidegate.dev/") else { continue };
            let warn = |rule: &str, message: String, hint: Option<String>| {
                draft.warn_with_hint(rule, &ours.at(name), End::Key, message, hint);
            };
            match KEYS.iter().find(|(known, ..)| *known == name) {
                None => {
                    let near = nearest(name, KEYS.iter().map(|(known, ..)| *known));
                    let hint = near.map(|near| format!("did you mean `tidegate.dev/{near}`?"));
                    warn("unknown-annotation", format!("unknown annotation `{key}`"), hint);
                }
                Some((_, places, _)) if places & bit == 0 => {
                    let message = format!("annotation `{key}` means nothing on {}", bearer.words());
                    warn("annotation-place", message, None);
                }
                Some((_, _, false)) => {
                    let message =
                        format!("annotation `{key}` is known, but this version does not act on it");
                    warn("not-acted-on", message, None);
                }
                Some((_, _, true)) => {}
            }
        }
        ours
    }

    fn at(&self, name: &str) -> Vec<Step> {
        let mut path = self.path.clone();
        path.push(Step::Key(format!("tidegate.dev/{name}").into()));
        path
    }

    /// The value of one.
    pub(crate) fn get(&self, name: &str) -> Option<&'d str> {
        self.annotations.get(&format!("tidegate.dev/{name}")).map(String::as_str)
    }

    /// Rejects the object because of a value.
    pub(crate) fn invalid(&self, name: &str, why: &str) {
        let value = self.get(name).unwrap_or_default();
        let message = format!("annotation `tidegate.dev/{name}` cannot be {value:?}: {why}");
        self.draft.error("annotation-value", &self.at(name), message);
    }

    /// A value that some type reads.
    pub(crate) fn parsed<V: std::str::FromStr>(&self, name: &str, why: &str) -> Option<V> {
        let value = self.get(name)?;
        value.trim().parse().map_err(|_| self.invalid(name, why)).ok()
    }

    /// `"true"` or `"false"`.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.parsed(name, "expected \"true\" or \"false\"")
    }

    /// `schedule`, read in `time-zone` or `zone`.
    pub(crate) fn schedule(&self, zone: &str) -> Option<Schedule> {
        let text = self.get("schedule")?;
        let zone = self.get("time-zone").unwrap_or(zone);
        Schedule::parse(text, zone).map_err(|why| self.invalid("schedule", &why.to_string())).ok()
    }

    /// `tag-filter` (rule I194).
    pub(crate) fn tag_filter(&self) -> TagFilter {
        let read = self.get("tag-filter").map(TagFilter::parse).transpose();
        read.map_err(|error| {
            let message = format!("metadata.annotations[tidegate.dev/tag-filter]: {error}");
            self.draft.error("I194", &self.at("tag-filter"), message);
        })
        .ok()
        .flatten()
        .unwrap_or_default()
    }

    /// Checks the values of keys that are read later, or that this version does not act on yet: a bad one does not wait
    /// for that day.
    pub(crate) fn check_rest(&self) {
        for name in ["verify", "config-hash"] {
            let _: Option<bool> = self.flag(name); // only checked
        }
        if let Some(Err(why)) = self.get("publish").map(pods::check_publish) {
            let message = format!("metadata.annotations[tidegate.dev/publish]: {why}");
            self.draft.error("D7", &self.at("publish"), message);
        }
    }

    /// `minimum-age` or `min-interval`.
    pub(crate) fn span(&self, name: &str) -> Option<Span> {
        self.parsed(name, "expected a span of time like `15m`")
    }

    /// `window`, read in `time-zone`.
    pub(crate) fn window(&self) -> Option<Window> {
        let zone = self.get("time-zone").unwrap_or("UTC");
        let read = Window::parse(self.get("window")?, zone);
        read.map_err(|error| self.invalid("window", &error.to_string())).ok()
    }

    /// The words of a list with commas, each of which must be known.
    pub(crate) fn words(&self, name: &str, known: &[&str]) -> BTreeSet<&'d str> {
        let words: BTreeSet<&str> =
            self.get(name).unwrap_or_default().split(',').map(str::trim).collect();
        let words: BTreeSet<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        if words.iter().any(|word| !known.contains(word)) {
            let known: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            self.invalid(name, &format!("expected {}", known.join(" or ")));
        }
        words
    }
}

/// A null, for what is taken out of a tree.
pub(crate) fn null() -> Node {
    Node::Scalar(Scalar { text: "null".into(), kind: ScalarKind::Null })
}
