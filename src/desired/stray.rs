//! Documents that are none of our objects as they are written, and that may be meant as one.
//!
//! A manifest that lost its annotation or its kind is still there. Before an object is taken as gone, the commit is
//! searched for such a document (rule D51, law 7).

use serde::{Deserialize, Serialize};

use crate::fact::Position;
use crate::names::{Kind, Namespace, ObjectKey, ObjectName};

use super::reading::current_version;
use super::workload::TRIGGERS;

/// A document that may be meant as an object of ours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stray {
    /// Its namespace, as for objects of our kinds.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
    /// The kind that it may be meant as; none if any.
    pub kind: Option<Kind>,
    /// Why it is none of our objects.
    pub why: Strayed,
    /// Whether it says `tidegate.dev/prune: "false"`: the object may go, and keeps running.
    pub kept: bool,
    /// Where it stands.
    pub position: Position,
}

/// Why a document is none of our objects.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Strayed {
    /// A workload without the triggers annotation.
    NoTriggers,
    /// A kind of ours in a group that is not.
    Group(String),
    /// A kind that is nearly one of ours.
    Kind(String),
    /// It says no `kind` or no `apiVersion`.
    Untyped,
}

impl Stray {
    /// Whether it may be meant as this object, which stood in the file `path`.
    #[must_use]
    pub fn may_be(&self, object: &ObjectKey, path: &str) -> bool {
        // Without a kind it may be anything: only the place tells.
        let kind = self.kind.map_or(self.position.path == path, |kind| kind == object.kind);
        kind && self.namespace == object.namespace && self.name == object.name
    }

    /// The rule by which the object stays in force.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self.why {
            Strayed::NoTriggers => "no-triggers",
            Strayed::Group(_) => "api-version",
            Strayed::Kind(_) | Strayed::Untyped => "kind",
        }
    }

    /// Why the object of this kind stays in force, and what to do.
    #[must_use]
    pub fn message(&self, kind: Kind) -> String {
        let go = "delete the document to let the object go";
        match &self.why {
            Strayed::NoTriggers => format!(
                "its manifest is still here, but without the annotation `{TRIGGERS}`; put it back, or {go}, \
                 or annotate it `tidegate.dev/prune: \"false\"` to let it run without Tidegate"
            ),
            Strayed::Group(version) => format!(
                "a manifest of this kind and name is still here, but of `apiVersion: {version}`; write `{}`, or {go}",
                current_version(kind)
            ),
            Strayed::Kind(word) => format!(
                "a manifest of this name is still here, but of `kind: {word}`; write `{kind}`, or {go}"
            ),
            Strayed::Untyped => format!(
                "a manifest of this name is still here, but without `kind` or `apiVersion`; write \
                 `kind: {kind}` and `apiVersion: {}`, or {go}",
                current_version(kind)
            ),
        }
    }
}
