//! From the bytes of one file to objects: documents, Lists and Templates are opened, kinds dispatched.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fact::Position;
use crate::limits;
use crate::names::{Kind, Namespace, ObjectKey};
use crate::policy::Policy;

use super::diagnostic::{Diagnostic, Severity};
use super::marks::{End, Source, Step, show};
use super::nearest::nearest;
use super::object::Draft;
use super::template::{self, Met, Parameters, TemplateFields, Value};
use super::typed;
use super::workload::{self, step};
use super::yaml::{self, Document, Node, Oddities, Part};
use super::{
    Companion, Object, RejectedObject, build_config, deployment_config, image_stream, json,
};

/// What one file holds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ParsedFile {
    /// Its objects, in the order of the text.
    pub entries: Vec<Entry>,
    /// What is odd about it, and what else is wrong with rejected objects; sorted by position.
    pub diagnostics: Vec<Diagnostic>,
    /// Documents that are no Kubernetes objects, and were left alone.
    #[serde(default)]
    pub others: u32,
    /// Whether a Template is in it, so that the params file next to it matters.
    #[serde(default)]
    pub has_template: bool,
}

/// An object of a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Entry {
    /// One that Tidegate acts on.
    Object(Object),
    /// One of another kind.
    Companion(Arc<Companion>),
    /// One that is invalid.
    Rejected(RejectedObject),
}

/// Whether a file of this name is read.
#[must_use]
pub fn is_manifest(path: &str) -> bool {
    matches!(extension(path), Some("yaml" | "yml" | "json"))
}

/// The params files that belong to a template file of this name, the stronger first.
#[must_use]
pub fn params_paths(path: &str) -> Vec<String> {
    let stem = extension(path).and_then(|ext| path.strip_suffix(ext)).unwrap_or_default();
    ["params", "env"].iter().map(|ext| format!("{stem}{ext}")).collect()
}

/// Whether a file of this name may be a params file.
#[must_use]
pub fn is_params(path: &str) -> bool {
    matches!(extension(path), Some("params" | "env"))
}

fn extension(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?;
    name.rsplit_once('.').map(|(_, extension)| extension)
}

/// Reads a file. Pure; what is wrong becomes a rejected entry or a diagnostic, never a failure of the whole.
///
/// `params` is the content of the params file next to it. The answer depends on all four arguments.
#[must_use]
pub fn parse_file(path: &str, bytes: &[u8], params: Option<&[u8]>, policy: &Policy) -> ParsedFile {
    let mut reader =
        FileReader { path, policy, params: BTreeMap::new(), file: ParsedFile::default() };
    reader.read(bytes, params);
    let mut file = reader.file;
    file.diagnostics.sort_by(|a, b| a.position.cmp(&b.position));
    file
}

/// What stands for a file that is too large to be read.
pub(crate) fn oversized(path: &str, len: u64) -> ParsedFile {
    let mut file = ParsedFile::default();
    let message =
        format!("the file has {len} bytes; at most {} are read", limits::MANIFEST_BYTES_MAX);
    let hint = "split it, or list it in .tidegateignore if it is no manifest";
    let diagnostic = whole_file(path, "file-size", message, Some(hint));
    file.entries.push(Entry::Rejected(RejectedObject { object: None, diagnostic }));
    file
}

fn whole_file(path: &str, rule: &str, message: String, hint: Option<&str>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        position: Position { path: path.into(), line: 0, column: 0 },
        rule: rule.into(),
        message,
        hint: hint.map(str::to_owned),
    }
}

struct FileReader<'p> {
    path: &'p str,
    policy: &'p Policy,
    params: BTreeMap<String, String>,
    file: ParsedFile,
}

/// Where the walk through a document is.
struct Walk<'a> {
    source: &'a Source<'a>,
    oddities: Oddities,
    /// Values that a Template gave to the object, for hints.
    met: Met,
    in_template: bool,
}

/// Lists in lists and templates in lists are opened to this depth; more is a loop of copies, not a manifest.
const NESTING_MAX: usize = 8;

impl FileReader<'_> {
    fn reject(&mut self, object: Option<ObjectKey>, diagnostic: Diagnostic) {
        self.file.entries.push(Entry::Rejected(RejectedObject { object, diagnostic }));
    }

    fn read(&mut self, bytes: &[u8], params: Option<&[u8]>) {
        if bytes.len() > limits::MANIFEST_BYTES_MAX {
            self.file = oversized(self.path, bytes.len() as u64);
            return;
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            let hint = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
                "it looks like UTF-16; save it as UTF-8"
            } else {
                "save it as UTF-8 text, or list it in .tidegateignore if it is no manifest"
            };
            let position = place_of(self.path, bytes, at);
            let message = "the file holds a NUL byte, so it is no text".to_owned();
            self.reject(
                None,
                Diagnostic { position, ..whole_file(self.path, "encoding", message, Some(hint)) },
            );
            return;
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let position = place_of(self.path, bytes, error.valid_up_to());
                let message = "the file is not UTF-8".to_owned();
                let hint = Some("save it as UTF-8");
                self.reject(
                    None,
                    Diagnostic { position, ..whole_file(self.path, "encoding", message, hint) },
                );
                return;
            }
        };
        self.read_params(params);
        self.odd_format(text);
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (count, part) in yaml::split(text).enumerate() {
            if count >= limits::MANIFEST_DOCUMENTS_MAX {
                let message =
                    format!("the file has more than {} documents", limits::MANIFEST_DOCUMENTS_MAX);
                self.reject(
                    None,
                    whole_file(self.path, "document-count", message, Some("split it")),
                );
                return;
            }
            self.document(part);
        }
    }

    /// Forms that are read here, and that other tools stumble over.
    fn odd_format(&mut self, text: &str) {
        let mut warn = |rule: &str, line: u32, message: &str, hint: &str| {
            let position = Position { path: self.path.into(), line, column: 0 };
            let whole = whole_file(self.path, rule, message.into(), Some(hint));
            let warning = Diagnostic { severity: Severity::Warning, position, ..whole };
            self.file.diagnostics.push(warning);
        };
        if text.starts_with('\u{feff}') {
            warn(
                "byte-order-mark",
                1,
                "the file starts with a byte-order mark",
                "save it as UTF-8 without one",
            );
        }
        if text
            .lines()
            .next()
            .is_some_and(|line| text.get(line.len()..).is_some_and(|rest| rest.starts_with("\r\n")))
        {
            let hint = "nothing is lost by it here; `git add --renormalize` with `* text=auto` makes it LF";
            warn("line-ends", 1, "lines end with CR LF", hint);
        }
        if let Some(line) = yaml::empty_document(text) {
            warn(
                "empty-document",
                line,
                "nothing stands in this document",
                "delete the line `---`",
            );
        }
        if extension(self.path) == Some("json")
            && let Err(error) =
                serde_json::from_str::<serde::de::IgnoredAny>(text.trim_start_matches('\u{feff}'))
            && yaml::read(text).is_ok()
        {
            let line = u32::try_from(error.line()).unwrap_or(0);
            let message = format!("this is YAML, but not JSON as the name says: {error}");
            warn("not-json", line, &message, "call it .yaml, or make it JSON");
        }
    }

    fn read_params(&mut self, params: Option<&[u8]>) {
        let Some(bytes) = params else { return };
        let path = params_paths(self.path).into_iter().next().unwrap_or_default();
        let read = std::str::from_utf8(bytes).map_err(|_| 0).and_then(template::read_params);
        match read {
            Ok(values) => self.params = values,
            Err(line) => {
                let message = "expected `NAME=value` lines in the params file".to_owned();
                let position = Position { path: path.clone(), line, column: 0 };
                let whole = whole_file(&path, "params-file", message, None);
                self.file.diagnostics.push(Diagnostic {
                    severity: Severity::Warning,
                    position,
                    ..whole
                });
            }
        }
    }

    fn document(&mut self, part: Part<'_>) {
        let source = Source::new(self.path, part);
        match yaml::read(part.text) {
            Ok(Document { root, oddities }) => {
                let walk =
                    Walk { source: &source, oddities, met: Met::default(), in_template: false };
                self.node(&root, &[], &walk, 0);
            }
            Err(error) => {
                let object = guess_key(part.text, self.path, self.policy);
                let diagnostic = syntax_error(&source, part.text, &error);
                self.reject(object, diagnostic);
            }
        }
    }

    /// Opens a node: a List, a Template, an object, or something else.
    fn node(&mut self, node: &Node, base: &[Step], walk: &Walk<'_>, depth: usize) {
        let text = |key: &str| node.get(key).and_then(Node::as_text).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let is_open_kind = kind
            .parse::<Kind>()
            .is_ok_and(|kind| !kind.is_workload() || kind == Kind::DeploymentConfig);
        if kind.is_empty() || (api_version.is_empty() && !is_open_kind) {
            self.file.others += 1;
            return;
        }
        let at = |keys: &[Step], end| {
            let whole: Vec<Step> = base.iter().chain(keys).cloned().collect();
            walk.source.position(&whole, end)
        };
        if depth > NESTING_MAX {
            let diagnostic = Diagnostic {
                position: at(&[], End::Value),
                ..whole_file(
                    self.path,
                    "nesting",
                    "Lists and Templates are nested too deeply".into(),
                    None,
                )
            };
            self.reject(None, diagnostic);
            return;
        }
        if kind.ends_with("List") && node.get("items").is_some() {
            for (index, item) in
                node.get("items").map(Node::items).unwrap_or_default().iter().enumerate()
            {
                let path: Vec<Step> =
                    base.iter().cloned().chain([step("items"), Step::Index(index)]).collect();
                let item = typed_item(item, api_version, kind);
                self.node(&item, &path, walk, depth + 1);
            }
            return;
        }
        if kind == "Template" && matches!(api_version, "v1" | "template.openshift.io/v1") {
            self.template(node, base, walk, depth);
            return;
        }
        self.object(node, base, walk, api_version, kind);
    }

    fn object(
        &mut self,
        node: &Node,
        base: &[Step],
        walk: &Walk<'_>,
        api_version: &str,
        kind: &str,
    ) {
        let namespace = self.namespace(node);
        let draft = Draft {
            node,
            source: walk.source,
            base,
            policy: self.policy,
            namespace: namespace.clone().unwrap_or_default(),
            errors: RefCell::default(),
            warnings: RefCell::default(),
        };
        let ours = kind
            .parse::<Kind>()
            .ok()
            .and_then(|kind| is_ours(kind, api_version, node, &draft).then_some(kind));
        if walk.oddities.any() {
            report_oddities(&draft);
        }
        if let Err(text) = &namespace {
            let path = [step("metadata"), step("namespace")];
            draft.invalid("namespace", &path, text, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character");
        }
        report_missing(&draft, walk, self.path);
        let name = node.at(&["metadata", "name"]).and_then(Node::as_text).unwrap_or_default();
        let mut entry = None;
        if draft.errors.borrow().is_empty() {
            entry = match ours {
                Some(kind) => read_ours(&draft, kind, api_version).map(Entry::Object),
                None => Some(Entry::Companion(Arc::new(Companion {
                    api_version: api_version.into(),
                    kind: kind.into(),
                    namespace: draft.namespace.clone(),
                    name: name.into(),
                    manifest: Some(json::write(node).into()),
                    position: draft.start(),
                }))),
            };
        }
        let key = ours.and_then(|kind| draft.key(kind, name));
        let (errors, warnings) = (draft.errors.into_inner(), draft.warnings.into_inner());
        self.file.diagnostics.extend(warnings);
        match (entry, errors.split_first()) {
            (Some(entry), None) => self.file.entries.push(entry),
            (_, Some((first, rest))) => {
                let mut first = first.clone();
                let unknown = walk.met.unknown.keys().next();
                if let (None, Some(name), true) =
                    (&first.hint, unknown, first.message.contains("${"))
                {
                    first.hint =
                        Some(format!("declare `{name}` under `parameters` of the Template"));
                }
                if first.hint.is_none() && !walk.met.empty.is_empty() {
                    let names: Vec<String> =
                        walk.met.empty.iter().map(|n| format!("`{n}`")).collect();
                    first.hint = Some(format!(
                        "parameters without a value: {}; {}",
                        names.join(", "),
                        where_to_write(self.path)
                    ));
                }
                self.file.diagnostics.extend(rest.iter().cloned());
                self.reject(key, first);
            }
            (None, None) => {
                let text = format!("this {kind} cannot be used");
                let whole = whole_file(self.path, "internal", text, None);
                self.reject(key, whole);
            }
        }
    }

    /// Section 0.4 of the triggers specification, item 6.
    fn namespace(&self, node: &Node) -> Result<Namespace, String> {
        let written = node.at(&["metadata", "namespace"]).and_then(Node::as_text);
        match written.filter(|text| !text.is_empty()) {
            Some(text) => text.parse().map_err(|_| text.to_owned()),
            None => Ok(default_namespace(self.path, self.policy)),
        }
    }

    fn template(&mut self, node: &Node, base: &[Step], walk: &Walk<'_>, depth: usize) {
        self.file.has_template = true;
        let head = Node::Mapping(
            node.entries()
                .iter()
                .filter(|(key, _)| !matches!(&**key, "objects"))
                .cloned()
                .collect(),
        );
        let draft = Draft {
            node: &head,
            source: walk.source,
            base,
            policy: self.policy,
            namespace: Namespace::default(),
            errors: RefCell::default(),
            warnings: RefCell::default(),
        };
        if walk.oddities.any() {
            report_oddities(&draft);
        }
        let is_sound = draft.errors.borrow().is_empty();
        let fields = if is_sound { read_head(&draft) } else { None };
        let (errors, warnings) = (draft.errors.into_inner(), draft.warnings.into_inner());
        self.file.diagnostics.extend(warnings);
        let (Some(fields), None) = (fields, errors.first()) else {
            self.file.diagnostics.extend(errors.iter().skip(1).cloned());
            if let Some(first) = errors.into_iter().next() {
                self.reject(None, first);
            }
            return;
        };
        let configured = self
            .policy
            .parameters
            .get(self.path)
            .or_else(|| self.policy.parameters.get(&fields.metadata.name))
            .cloned()
            .unwrap_or_default();
        let parameters = Parameters::new(&fields.parameters, &self.params, &configured);
        self.check_given(&parameters, walk.source, base);
        let labels: BTreeMap<String, Node> = ["labels", "objectLabels"]
            .iter()
            .find_map(|key| node.get(key))
            .map(|labels| {
                let labels = template::substitute(labels, &parameters, &mut Met::default());
                labels.entries().iter().map(|(k, v)| (k.to_string(), v.clone())).collect()
            })
            .unwrap_or_default();
        for (index, item) in
            node.get("objects").map(Node::items).unwrap_or_default().iter().enumerate()
        {
            let path: Vec<Step> =
                base.iter().cloned().chain([step("objects"), Step::Index(index)]).collect();
            let mut met = Met::default();
            let mut object = template::substitute(item, &parameters, &mut met);
            workload::add_labels(&mut object, &labels);
            self.drop_namespace(item, &mut object, &path, walk);
            let walk =
                Walk { source: walk.source, oddities: walk.oddities, met, in_template: true };
            self.node(&object, &path, &walk, depth + 1);
        }
    }

    /// A hard-coded namespace of an object in a Template is left out, as OpenShift does.
    fn drop_namespace(&mut self, item: &Node, object: &mut Node, path: &[Step], walk: &Walk<'_>) {
        let written = item.at(&["metadata", "namespace"]).and_then(Node::as_text);
        let Some(text) = written.filter(|text| !text.is_empty() && !text.contains("${")) else {
            return;
        };
        let mut whole = path.to_vec();
        whole.extend([step("metadata"), step("namespace")]);
        self.file.diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            position: walk.source.position(&whole, End::Value),
            rule: "template-namespace".into(),
            message: format!(
                "namespace `{text}` of an object in a Template is left out, as OpenShift does"
            ),
            hint: Some("write it as a parameter, `${NAMESPACE}`, to have it kept".into()),
        });
        if let Node::Mapping(entries) = object
            && let Some((_, Node::Mapping(meta))) =
                entries.iter_mut().find(|(key, _)| &**key == "metadata")
        {
            meta.retain(|(key, _)| &**key != "namespace");
        }
    }

    /// A value for a parameter that the Template does not have is likely a typing error.
    fn check_given(&mut self, parameters: &Parameters, source: &Source<'_>, base: &[Step]) {
        let mut path = base.to_vec();
        path.push(step("parameters"));
        for name in self.params.keys().filter(|name| !parameters.contains(name)) {
            let near = nearest(name, parameters.names());
            self.file.diagnostics.push(Diagnostic {
                severity: Severity::Warning,
                position: source.position(&path, End::Key),
                rule: "unknown-parameter".into(),
                message: format!("the params file gives a value to `{name}`, which is no parameter of the Template"),
                hint: near.map(|near| format!("did you mean `{near}`?")),
            });
        }
    }
}

fn read_head(draft: &Draft<'_>) -> Option<TemplateFields> {
    let findings = RefCell::default();
    // The objects were taken out of the head, so nothing inside them is looked at twice.
    typed::read::<TemplateFields>(draft.node, &findings)
        .map_err(|misfit| draft.misfit("type", misfit))
        .ok()
}

/// The namespace of objects that name none: the longest path prefix, else the default.
fn default_namespace(path: &str, policy: &Policy) -> Namespace {
    let under = |prefix: &str| {
        let prefix = prefix.trim_end_matches('/');
        prefix.is_empty()
            || path
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let longest = policy
        .namespaces
        .iter()
        .filter(|(prefix, _)| under(prefix))
        .max_by_key(|(prefix, _)| prefix.len());
    longest.map_or_else(|| policy.default_namespace.clone(), |(_, namespace)| namespace.clone())
}

/// Whether a document of one of our kinds is in a group that is ours, and one that we act on.
fn is_ours(kind: Kind, api_version: &str, node: &Node, draft: &Draft<'_>) -> bool {
    let old = |versions: &[&str]| {
        if !versions.contains(&api_version) {
            return false;
        }
        let path = [step("apiVersion")];
        let current = if kind == Kind::CronJob { "batch/v1" } else { "apps/v1" };
        let hint = Some(format!("write `apiVersion: {current}`"));
        let text = format!("`{api_version}` was removed from Kubernetes");
        draft.warn_with_hint("api-version", &path, End::Value, text, hint);
        true
    };
    match kind {
        Kind::ImageStream => matches!(api_version, "" | "v1" | "image.openshift.io/v1"),
        Kind::BuildConfig => matches!(api_version, "" | "v1" | "build.openshift.io/v1"),
        Kind::DeploymentConfig => matches!(api_version, "" | "v1" | "apps.openshift.io/v1"),
        Kind::CronJob => {
            workload::is_ours(node) && (api_version == "batch/v1" || old(&["batch/v1beta1"]))
        }
        Kind::Deployment | Kind::DaemonSet => {
            workload::is_ours(node)
                && (api_version == "apps/v1"
                    || old(&["apps/v1beta1", "apps/v1beta2", "extensions/v1beta1"]))
        }
        Kind::StatefulSet => {
            workload::is_ours(node)
                && (api_version == "apps/v1" || old(&["apps/v1beta1", "apps/v1beta2"]))
        }
    }
}

fn read_ours(draft: &Draft<'_>, kind: Kind, api_version: &str) -> Option<Object> {
    if api_version.is_empty() {
        let path = [step("apiVersion")];
        draft.required("api-version", &path, "");
        return None;
    }
    match kind {
        Kind::ImageStream => image_stream::object(draft),
        Kind::BuildConfig => build_config::read(draft).map(|build| Object::Build(Arc::new(build))),
        Kind::DeploymentConfig => {
            deployment_config::read(draft).map(|workload| Object::Workload(Arc::new(workload)))
        }
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::CronJob => {
            workload::read(draft, kind).map(|workload| Object::Workload(Arc::new(workload)))
        }
    }
}

/// An item of a `FooList` may leave out what its list says.
fn typed_item(item: &Node, api_version: &str, kind: &str) -> Node {
    let Node::Mapping(entries) = item else { return item.clone() };
    let item_kind = kind.strip_suffix("List").unwrap_or_default();
    if item_kind.is_empty() || item.get("kind").is_some() {
        return item.clone();
    }
    let mut entries = entries.clone();
    entries.push(("kind".into(), Node::text(item_kind)));
    if item.get("apiVersion").is_none() {
        entries.push(("apiVersion".into(), Node::text(api_version)));
    }
    Node::Mapping(entries)
}

/// Duplicate keys, merge keys and application tags: errors of the object that they are in.
fn report_oddities(draft: &Draft<'_>) {
    fn search(draft: &Draft<'_>, node: &Node, path: &mut Vec<Step>) {
        match node {
            Node::Scalar(_) => {}
            Node::Tagged(_) => {
                let text = format!(
                    "{}: a YAML tag of an application (`!name`) means nothing here",
                    show(path)
                );
                draft.error("yaml-tag", path, text);
            }
            Node::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    search(draft, item, path);
                    path.pop();
                }
            }
            Node::Mapping(entries) => {
                if let Some((key, _)) =
                    yaml::first_duplicate(entries).and_then(|at| entries.get(at))
                {
                    duplicate_key(draft, path, key);
                }
                for (key, value) in entries {
                    path.push(Step::Key(key.clone()));
                    if &**key == "<<" {
                        draft.error_with_hint(
                            "merge-key",
                            path,
                            "merge keys (`<<`) are not part of YAML 1.2 and are not read",
                            Some("write the fields out; plain anchors and aliases work".into()),
                        );
                    } else {
                        search(draft, value, path);
                    }
                    path.pop();
                }
            }
        }
    }
    search(draft, draft.node, &mut Vec::new());
}

fn duplicate_key(draft: &Draft<'_>, path: &[Step], key: &str) {
    let whole: Vec<Step> = draft.base.iter().chain(path).cloned().collect();
    let mut first = whole.clone();
    first.push(Step::Key(key.into()));
    let first = draft.source.position(&first, End::Key);
    let mut field = path.to_vec();
    field.push(Step::Key(key.into()));
    let diagnostic = Diagnostic {
        severity: Severity::Error,
        position: draft.source.second_key(&whole, key),
        rule: "duplicate-key".into(),
        message: format!(
            "duplicate key `{}`; it stands in line {} already",
            show(&field),
            first.line
        ),
        hint: Some("readers take either value; leave one of them out".into()),
    };
    draft.errors.borrow_mut().push(diagnostic);
}

fn where_to_write(path: &str) -> String {
    let file = params_paths(path).into_iter().next().unwrap_or_default();
    format!(
        "write `NAME=value` lines to `{file}`, or set it in the configuration under `templates`"
    )
}

/// Parameters that need a value reject the object; names that are no parameters are a warning.
fn report_missing(draft: &Draft<'_>, walk: &Walk<'_>, path: &str) {
    if !walk.in_template {
        return;
    }
    for (name, (value, at)) in &walk.met.missing {
        let why = match value {
            Value::Generated => {
                "is generated by OpenShift; a value that changes at every reading would be no desired state, so it must be given"
            }
            Value::Required => "is required and has no value",
            Value::Given(_) | Value::Empty => "has no value",
        };
        let file = params_paths(path).into_iter().next().unwrap_or_default();
        let hint = format!(
            "write `{name}=...` to `{file}`, or set it in the configuration under `templates`"
        );
        draft.error_with_hint(
            "template-parameter",
            at,
            format!("parameter `{name}` {why}"),
            Some(hint),
        );
    }
    for (name, at) in &walk.met.unknown {
        let text = format!("`${{{name}}}` is no parameter of this Template; it stays as it is");
        draft.warn("unknown-parameter", at, text);
    }
}

/// Line and column of a byte, for files that are not text.
fn place_of(path: &str, bytes: &[u8], at: usize) -> Position {
    let before = bytes.get(..at).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column =
        String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() + 1;
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { path: path.into(), line: narrow(line), column: narrow(column) }
}

/// What can be told of an object whose document is not YAML, so that its last version is kept and not taken as removed.
fn guess_key(text: &str, path: &str, policy: &Policy) -> Option<ObjectKey> {
    let mut kind = None;
    let (mut name, mut namespace) = (None, None);
    let mut in_metadata = false;
    for line in text.lines() {
        let value = |prefix: &str| {
            let rest = line.trim_start().strip_prefix(prefix)?;
            Some(rest.trim().trim_matches(['"', '\'']).to_owned())
        };
        if !line.starts_with([' ', '\t', '#']) && !line.trim().is_empty() {
            in_metadata = line.trim_end() == "metadata:";
            if let Some(word) = value("kind:") {
                kind = word.parse::<Kind>().ok();
            }
        } else if in_metadata && line.starts_with("  ") && !line.starts_with("   ") {
            name = name.or_else(|| value("name:"));
            namespace = namespace.or_else(|| value("namespace:"));
        }
    }
    let namespace = match namespace {
        Some(text) => text.parse().ok()?,
        None => default_namespace(path, policy),
    };
    Some(ObjectKey::new(kind?, namespace, name?.parse().ok()?))
}

/// What may help with a message of the YAML reader.
fn syntax_hint(text: &str, error: &yaml::SyntaxError) -> Option<&'static str> {
    let line = text.lines().nth(error.line.saturating_sub(1) as usize).unwrap_or_default();
    let says = |words: &str| error.message.contains(words);
    let is_template = text.replace("${{", "").contains("{{") || text.contains("{%");
    if is_template {
        return Some(
            "this looks like a Helm or Jinja template: commit what it renders to, or list it in .tidegateignore",
        );
    }
    if line.trim_start_matches(' ').starts_with('\t') {
        return Some("indent with spaces: YAML allows no tabs there");
    }
    [
        ("repetition limit", "its aliases multiply; write the values out"),
        ("recursion limit", "it is nested too deeply to be a manifest"),
        (
            "follows the end",
            "look for a brace too many; documents of one file are separated by a line `---`",
        ),
        ("scanning an alias", "a text that starts with `*` is written in quotes"),
        ("scanning an anchor", "a text that starts with `&` is written in quotes"),
        (
            "mapping values are not allowed",
            "check the indentation, and write a text that holds `: ` in quotes",
        ),
        ("did not find expected key", "check the indentation against the lines above"),
        ("did not find expected '-'", "check the indentation against the lines above"),
        ("could not find expected ':'", "check the indentation and the quotes of the lines above"),
        ("flow sequence", "look for a missing `,` or `]`, or a text in brackets that needs quotes"),
        ("flow mapping", "look for a missing `,` or `}`, or a text in braces that needs quotes"),
        ("cannot start any token", "write the text in quotes"),
    ]
    .into_iter()
    .find_map(|(words, hint)| says(words).then_some(hint))
}

/// Where the first JSON value of a text ends and something else follows, as line and column.
fn after_json(text: &str) -> Option<(u32, u32)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    let rest = text.get(values.byte_offset()..)?;
    let at = text.len() - rest.trim_start().len();
    let place = place_of("", text.as_bytes(), at);
    (at < text.len()).then_some((place.line, place.column))
}

fn syntax_error(source: &Source<'_>, text: &str, error: &yaml::SyntaxError) -> Diagnostic {
    let hint = syntax_hint(text, error);
    let (line, column) = if error.message.contains("follows the end") {
        after_json(text).unwrap_or((error.line, error.column))
    } else {
        (error.line, error.column)
    };
    Diagnostic {
        severity: Severity::Error,
        position: source.at(line, column),
        rule: "yaml-syntax".into(),
        message: format!("this is not YAML: {}", error.message),
        hint: hint.map(str::to_owned),
    }
}
