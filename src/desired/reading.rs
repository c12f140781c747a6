//! From the bytes of one file to objects: documents, Lists and Templates are opened, kinds dispatched.

mod kinds;
mod opening;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dense;
use crate::fact::Position;
use crate::limits;
use crate::names::{Kind, Namespace, ObjectKey};
use crate::pods::{ConfigName, Contents, Summary};
use crate::policy::Policy;

use super::diagnostic::{Diagnostic, Severity};
use super::faults::{guess_key, place_of, report_oddities, syntax_error};
use super::marks::{End, Source, Step};
use super::object::Draft;
use super::registries::Forbidden;
use super::stray::{Stray, Strayed};
use super::template::{self, Met};
use super::workload::{self, step};
use super::yaml::{self, Document, Node, Oddities, Part};
use super::{
    Companion, Object, RejectedObject, build_config, deployment_config, image_stream, json,
    mirror_set, service,
};

use kinds::Meaning;
pub(crate) use kinds::current_version;
use opening::{report_missing, where_to_write};

/// What one file holds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ParsedFile {
    /// Its objects, in the order of the text.
    #[serde(deserialize_with = "dense::list")]
    pub entries: Vec<Entry>,
    /// What is odd about it, and what else is wrong with rejected objects; sorted by position.
    pub diagnostics: Vec<Diagnostic>,
    /// Documents that are no Kubernetes objects, and were left alone.
    #[serde(default)]
    pub others: u32,
    /// Whether a Template is in it, so that the params file next to it matters.
    #[serde(default)]
    pub has_template: bool,
    /// Documents that are none of our objects and may be meant as one.
    #[serde(default)]
    pub strays: Vec<Stray>,
    /// What its streams name and may not import from.
    #[serde(default)]
    pub forbidden: Vec<Forbidden>,
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
    let (params_fault, file) = (None, ParsedFile::default());
    let mut reader = FileReader { path, policy, params: BTreeMap::new(), params_fault, file };
    reader.read(bytes, params);
    let mut file = reader.file;
    file.diagnostics.iter_mut().for_each(Diagnostic::defuse);
    file.forbidden.iter_mut().for_each(|forbidden| forbidden.diagnostic.defuse());
    for entry in &mut file.entries {
        if let Entry::Rejected(rejected) = entry {
            rejected.diagnostic.defuse();
        }
    }
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
    /// What is wrong with the params file; it matters if there is a Template.
    params_fault: Option<Diagnostic>,
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
        if text.starts_with("version https://git-lfs.github.com/spec/") {
            let message =
                "the file is a pointer of Git LFS; what it points to is not in the repository";
            let hint = "take the file out of LFS (`git lfs untrack`) and commit its content";
            self.reject(None, whole_file(self.path, "git-lfs", message.into(), Some(hint)));
            return;
        }
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
                let message = "the params file cannot be read as `NAME=value` lines".to_owned();
                let position = Position { path: path.clone(), line, column: 0 };
                let whole = whole_file(&path, "params-file", message, None);
                self.params_fault = Some(Diagnostic { position, ..whole });
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
        if kind.is_empty() || (api_version.is_empty() && !kinds::is_telling(kind, node)) {
            self.untyped(node, base, walk, kinds::lacks(kind, api_version, node));
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
        if let Some((rule, key, message, hint)) = kinds::broken_holder(kind, api_version, node) {
            let keys = if key.is_empty() { vec![] } else { vec![step(key)] };
            let position = at(&keys, End::Value);
            let whole = whole_file(self.path, rule, message, hint.as_deref());
            self.reject(None, Diagnostic { position, ..whole });
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
        if kinds::is_template(kind, api_version) {
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
            forbidden: RefCell::default(),
        };
        let ours = match kinds::meaning(kind, api_version, node, &draft) {
            Meaning::Ours(kind) => Some(kind),
            Meaning::Stray(kind, why) => {
                self.stray(&draft, Some(kind), why);
                None
            }
            Meaning::Other => None,
        };
        if walk.oddities.any() {
            report_oddities(&draft);
        }
        if let Err(text) = &namespace {
            let path = [step("metadata"), step("namespace")];
            draft.invalid("namespace", &path, text, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character");
        }
        report_missing(&draft, walk, self.path);
        if (api_version, kind) == ("v1", "Secret") {
            let hint = "logins for registries stand in the file of `registries.auth_file`, or in Secrets outside git, in the \
                        folder of `registries.secrets`";
            let text = "a Secret in git is known to all who read it; no login is taken from it";
            draft.warn_with_hint("I170", &[step("kind")], End::Value, text, Some(hint.into()));
        }
        report_others(&draft, api_version, kind);
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
                    config: config_of(node, (api_version, kind), name),
                    selects: service::selects(node, (api_version, kind)),
                    manifest: Some(json::write(node).into()),
                    position: draft.start(),
                }))),
            };
        }
        let key = ours.and_then(|kind| draft.key(kind, name));
        let (errors, warnings) = (draft.errors.into_inner(), draft.warnings.into_inner());
        let mut forbidden = draft.forbidden.into_inner();
        self.file.diagnostics.extend(warnings);
        self.file.forbidden.append(&mut forbidden);
        match (entry, errors.split_first()) {
            (Some(entry), None) => self.file.entries.push(entry),
            (_, Some((first, rest))) => {
                let first = self.with_parameter_hint(first.clone(), walk);
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

    /// A document that says no `kind` or no `apiVersion`: something else, or a manifest that lost them.
    fn untyped(&mut self, node: &Node, base: &[Step], walk: &Walk<'_>, lacks: Option<&str>) {
        let draft = Draft {
            node,
            source: walk.source,
            base,
            policy: self.policy,
            namespace: self.namespace(node).unwrap_or_default(),
            errors: RefCell::default(),
            warnings: RefCell::default(),
            forbidden: RefCell::default(),
        };
        if let Some(key) = lacks {
            draft.required(if key == "kind" { "kind" } else { "api-version" }, &[step(key)], "");
            let errors = draft.errors.into_inner();
            errors.into_iter().for_each(|error| self.reject(None, error));
            return;
        }
        self.file.others += 1;
        self.stray(&draft, None, Strayed::Untyped);
    }

    fn stray(&mut self, draft: &Draft<'_>, kind: Option<Kind>, why: Strayed) {
        let name = draft.node.at(&["metadata", "name"]).and_then(Node::as_text);
        let Some(name) = name.and_then(|name| name.parse().ok()) else { return };
        let prune = draft.node.at(&["metadata", "annotations", "tidegate.dev/prune"]);
        self.file.strays.push(Stray {
            namespace: draft.namespace.clone(),
            name,
            kind,
            why,
            kept: prune.and_then(Node::as_text) == Some("false"),
            position: draft.start(),
        });
    }

    /// Says which parameter of the Template is behind an error, where one is.
    fn with_parameter_hint(&self, mut error: Diagnostic, walk: &Walk<'_>) -> Diagnostic {
        let unknown = walk.met.unknown.keys().next();
        if let (None, Some(name), true) = (&error.hint, unknown, error.message.contains("${")) {
            error.hint = Some(format!("declare `{name}` under `parameters` of the Template"));
        }
        if error.hint.is_none() && !walk.met.empty.is_empty() {
            let names: Vec<String> = walk.met.empty.iter().map(|n| format!("`{n}`")).collect();
            let (names, place) = (names.join(", "), where_to_write(self.path));
            error.hint = Some(format!("parameters without a value: {names}; {place}"));
        }
        error
    }

    /// Section 0.4 of the triggers specification, item 6.
    fn namespace(&self, node: &Node) -> Result<Namespace, String> {
        let written = node.at(&["metadata", "namespace"]).and_then(Node::as_text);
        match written.filter(|text| !text.is_empty()) {
            Some(text) => text.parse().map_err(|_| text.to_owned()),
            None => Ok(default_namespace(self.path, self.policy)),
        }
    }
}

/// The namespace of objects that name none: the longest path prefix, else the default.
pub(crate) fn default_namespace(path: &str, policy: &Policy) -> Namespace {
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

/// What is to be said of documents of other kinds.
fn report_others(draft: &Draft<'_>, api_version: &str, kind: &str) {
    mirror_set::report(draft, api_version, kind);
    kinds::warn_of_triggers(draft, kind);
    service::note_unserved(draft, kind);
}

/// What a companion is, where it is a `ConfigMap` or a `Secret`.
fn config_of(
    node: &Node,
    (api_version, kind): (&str, &str),
    name: &str,
) -> Option<(ConfigName, Summary)> {
    let name = ConfigName::of(api_version, kind, name)?;
    // What a Node writes is JSON.
    let document: serde_json::Value = serde_json::from_str(&json::write(node)).unwrap_or_default();
    let summary = Contents::summary(Contents::read(name.kind, &document));
    Some((name, summary))
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
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::CronJob | Kind::Pod => {
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
