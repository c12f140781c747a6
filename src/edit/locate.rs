//! Where objects stand in the text of manifests.

use std::collections::BTreeMap;

use crate::desired::marks::{End, Source};
use crate::desired::yaml::{self, Node};
use crate::desired::{Step, default_namespace, guess_key};
use crate::fact::Position;
use crate::names::{Namespace, ObjectKey};
use crate::policy::Policy;

/// Lists in lists are opened to this depth, as when they are read.
const NESTING_MAX: usize = 8;

/// A kind of object: what `apiVersion` and `kind` say together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Sort<'a> {
    /// The kind.
    pub kind: &'a str,
    /// The API group; empty for the first one of Kubernetes.
    pub group: &'a str,
}

impl Sort<'_> {
    /// Image streams.
    pub const STREAM: Sort<'static> = Sort { kind: "ImageStream", group: crate::api::GROUP };

    /// Whether a document is of this kind; the old groups count as well: `v1` of OpenShift, `extensions`.
    fn is_of(&self, kind: &str, api_version: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        kind == self.kind
            && (group == self.group
                || group.is_empty() && self.group.ends_with(".openshift.io")
                || group == "extensions" && self.group == "apps")
    }
}

/// Where an object's text stands: an item of a List has a path inside its document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub(super) path: String,
    /// Which document of the file, counted without empty ones.
    pub(super) part: usize,
    pub(super) base: Vec<Step>,
}

/// An object in the text of a manifest.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// Where it begins.
    pub position: Position,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// Its namespace: as written, or that of its folder.
    pub namespace: Namespace,
    /// `metadata.name`.
    pub name: String,
    /// Whether it is one of a Template, which is not edited.
    pub in_template: bool,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Document {
    /// Where its text stands.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// Its API group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether it is of a kind.
    #[must_use]
    pub fn is(&self, sort: Sort<'_>) -> bool {
        sort.is_of(&self.kind, &self.api_version)
    }

    /// The texts of a mapping in it: labels, annotations.
    #[must_use]
    pub fn texts(&self, path: &[&str]) -> BTreeMap<String, String> {
        let entries = self.node.at(path).map(Node::entries).unwrap_or_default();
        let text = |node: &Node| node.as_text().unwrap_or_default().to_owned();
        entries.iter().map(|(key, value)| (key.to_string(), text(value))).collect()
    }

    /// `metadata.labels`.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.texts(&["metadata", "labels"])
    }

    /// A text in it.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.node.at(path)?.as_text()
    }

    /// Whether something stands there.
    #[must_use]
    pub fn has(&self, path: &[&str]) -> bool {
        self.node.at(path).is_some_and(|node| !node.is_null())
    }

    /// The names of the items of a list.
    #[must_use]
    pub fn names(&self, path: &[&str]) -> Vec<String> {
        let items = self.node.at(path).map(Node::items).unwrap_or_default();
        let name = |item: &Node| item.get("name").and_then(Node::as_text).map(str::to_owned);
        items.iter().filter_map(name).collect()
    }

    /// The entry of `spec.tags` of a name, and its index.
    pub(super) fn tag(&self, name: &str) -> Option<(usize, &Node)> {
        let tags = self.node.at(&["spec", "tags"])?.items();
        let is_it = |tag: &&Node| tag.get("name").and_then(Node::as_text) == Some(name);
        Some((tags.iter().position(|tag| is_it(&tag))?, tags.iter().find(is_it)?))
    }

    /// The names of the entries of `spec.tags`.
    #[must_use]
    pub fn tags(&self) -> Vec<String> {
        self.names(&["spec", "tags"])
    }

    /// Whether `spec.tags` has an entry of a name.
    #[must_use]
    pub fn has_tag(&self, name: &str) -> bool {
        self.tag(name).is_some()
    }
}

/// A document that cannot be read.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Broken {
    pub(super) position: Position,
    /// What it may be.
    pub(super) object: Option<ObjectKey>,
    pub(super) why: String,
}

/// What a file holds.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Contents {
    pub(super) documents: Vec<Document>,
    pub(super) broken: Vec<Broken>,
}

/// The bytes of the documents of a text, the byte-order mark left out.
pub(super) fn parts(text: &str) -> Vec<std::ops::Range<usize>> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lead = text.len() - body.len();
    let mut starts = vec![lead];
    starts.extend(body.match_indices('\n').map(|(at, _)| lead + at + 1));
    let range = |part: yaml::Part<'_>| {
        let start = starts.get(part.lines_before as usize).copied().unwrap_or(text.len());
        start..start + part.text.len()
    };
    yaml::split(body).map(range).collect()
}

/// Finds the objects of a file.
pub(super) fn locate(path: &str, text: &str, policy: &Policy) -> Contents {
    let mut found = Contents::default();
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, part) in yaml::split(body).enumerate() {
        let source = Source::new(path, part);
        match yaml::read(part.text) {
            Ok(document) => {
                let place = Place { path: path.to_owned(), part: index, base: Vec::new() };
                let mut walk = Walk { source, policy, found: &mut found };
                walk.node(&document.root, &place, false, 0);
            }
            Err(error) => found.broken.push(Broken {
                position: source.at(error.line, error.column),
                object: guess_key(part.text, path, policy),
                why: error.message,
            }),
        }
    }
    found
}

struct Walk<'a> {
    source: Source<'a>,
    policy: &'a Policy,
    found: &'a mut Contents,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, place: &Place, in_template: bool, depth: usize) {
        let text = |key: &str| node.get(key).and_then(Node::as_text).unwrap_or_default();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let holder = match kind {
            "Template" => Some("objects"),
            kind if kind.ends_with("List") => Some("items"),
            _ => None,
        };
        if let Some(holder) = holder
            && let Some(items) = node.get(holder).filter(|items| items.is_list())
        {
            if depth < NESTING_MAX {
                let item_kind = kind.strip_suffix("List").unwrap_or_default();
                let step = |index| [Step::Key(holder.into()), Step::Index(index)];
                for (index, item) in items.items().iter().enumerate() {
                    let base = place.base.iter().cloned().chain(step(index)).collect();
                    let place = Place { base, ..place.clone() };
                    let item = with_kind(item, api_version, item_kind);
                    self.node(&item, &place, in_template || kind == "Template", depth + 1);
                }
            }
            return;
        }
        let name = node.at(&["metadata", "name"]).and_then(Node::as_text).unwrap_or_default();
        let written = node.at(&["metadata", "namespace"]).and_then(Node::as_text);
        let namespace = match written.filter(|text| !text.is_empty()) {
            Some(text) => text.parse().ok(),
            None => Some(default_namespace(&place.path, self.policy)),
        };
        let (false, Some(namespace)) = (kind.is_empty() || name.is_empty(), namespace) else {
            return;
        };
        self.found.documents.push(Document {
            position: self.source.position(&place.base, End::Value),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace,
            name: name.to_owned(),
            in_template,
            place: place.clone(),
            node: node.clone(),
        });
    }
}

/// An item of a `FooList` may leave out what its list says.
fn with_kind(item: &Node, api_version: &str, kind: &str) -> Node {
    match item {
        Node::Mapping(entries) if !kind.is_empty() && item.get("kind").is_none() => {
            let mut entries = entries.clone();
            entries.push(("kind".into(), Node::text(kind)));
            if item.get("apiVersion").is_none() {
                entries.push(("apiVersion".into(), Node::text(api_version)));
            }
            Node::Mapping(entries)
        }
        Node::Scalar(_) | Node::Sequence(_) | Node::Mapping(_) | Node::Tagged(_) => item.clone(),
    }
}
