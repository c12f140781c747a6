//! Manifests are changed as a careful person changes them: the text that is meant, and nothing else.
//!
//! Pure: texts of files and a wish in, texts of files out. Objects are found by the rules by which the daemon reads
//! them, so that both speak of the same ones. Every changed text is read again and compared with what was wanted, and
//! an object that the daemon would reject because of the change is not written: no command makes a commit that is held
//! afterwards.

mod change;
mod diff;
mod json;
mod list;
mod locate;
mod lossless;
mod metadata;
pub mod tag;
pub mod triggers;
mod value;
mod workload;

use std::collections::BTreeMap;

use crate::action::FileEdit;
use crate::desired::registries::Forbidden;
use crate::desired::{Entry, parse_file};
use crate::fact::Position;
use crate::limits;
use crate::names::{Kind, Namespace, ObjectKey};
use crate::policy::Policy;

pub use change::{Change, ChangeError, change};
pub use diff::diff;
pub use locate::{Document, Place, Sort};
pub use metadata::{Words, keys};
pub use value::Value;
pub use workload::{Container, Port};

use locate::Contents;

/// Why manifests are not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// An object stands in several places.
    #[error(
        "{object} is written more than once: at {first} and at {second}; delete the one that is not meant, then try again"
    )]
    Several {
        /// Which.
        object: String,
        /// The first place.
        first: Position,
        /// Another one.
        second: Position,
    },
    /// An object comes out of a Template.
    #[error(
        "{object} is made by the Template at {position}; a Template is not edited, because its text holds parameters: \
         change it there by hand"
    )]
    InTemplate {
        /// Which.
        object: String,
        /// Where.
        position: Position,
    },
    /// A document that may be the object cannot be read.
    #[error("{object} may stand at {position}, which cannot be read: {why}; correct it first")]
    Unreadable {
        /// Which.
        object: String,
        /// Where.
        position: Position,
        /// Why not.
        why: String,
    },
    /// The text cannot be changed.
    #[error("{position}: {source}")]
    Change {
        /// Where.
        position: Position,
        /// Why not.
        source: ChangeError,
    },
    /// The daemon would reject the object.
    #[error("The {kind} \"{name}\" is invalid: {why}")]
    Invalid {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// The document is not there any more.
    #[error("`{path}` does not hold the object any more")]
    Gone {
        /// The file.
        path: String,
    },
}

/// The manifests of a source, and what became of them.
#[derive(Clone, Debug)]
pub struct Manifests {
    policy: Policy,
    files: BTreeMap<String, File>,
    /// Whether the object is between two changes that belong together, and may be what the daemon would reject.
    is_halfway: bool,
}

#[derive(Clone, Debug)]
struct File {
    /// As it was; none for a new one.
    before: Option<String>,
    /// As it is to be; none for one that goes.
    now: Option<String>,
    contents: Contents,
}

impl File {
    fn is_changed(&self) -> bool {
        self.before != self.now
    }
}

impl Manifests {
    /// Takes the files of a source. A content that is left out, or is no text, is a file that cannot be read.
    pub fn new<'a>(
        files: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
        policy: &Policy,
    ) -> Self {
        let mut manifests =
            Self { policy: policy.clone(), files: BTreeMap::new(), is_halfway: false };
        for (path, bytes) in files.into_iter().filter(|(path, _)| crate::desired::is_manifest(path))
        {
            let bytes = bytes.filter(|bytes| bytes.len() <= limits::MANIFEST_BYTES_MAX);
            // What is no text holds no object that anybody could name.
            if let Some(Ok(text)) = bytes.map(std::str::from_utf8) {
                let contents = locate::locate(path, text, policy);
                let text = Some(text.to_owned());
                let file = File { before: text.clone(), now: text, contents };
                manifests.files.insert(path.to_owned(), file);
            }
        }
        manifests
    }

    /// Every object, by file and line.
    pub fn documents(&self) -> impl Iterator<Item = &Document> {
        self.files.values().flat_map(|file| &file.contents.documents)
    }

    /// The object of a kind and name, if there is one.
    ///
    /// # Errors
    /// When it stands in several places, comes out of a Template, or a document that may be it cannot be read.
    pub fn find(
        &self,
        sort: Sort<'_>,
        namespace: &Namespace,
        name: &str,
    ) -> Result<Option<&Document>, EditError> {
        let object = || format!("{}/{namespace}/{name}", sort.kind);
        let mut found = self.documents().filter(|document| {
            document.is(sort) && document.namespace == *namespace && document.name == name
        });
        let Some(first) = found.next() else {
            return self.broken(sort, namespace, name).map_or(Ok(None), |broken| {
                let (position, why) = (broken.position.clone(), broken.why.clone());
                Err(EditError::Unreadable { object: object(), position, why })
            });
        };
        if let Some(second) = found.next() {
            let (first, second) = (first.position.clone(), second.position.clone());
            return Err(EditError::Several { object: object(), first, second });
        }
        if first.in_template {
            let position = first.position.clone();
            return Err(EditError::InTemplate { object: object(), position });
        }
        Ok(Some(first))
    }

    fn broken(&self, sort: Sort<'_>, namespace: &Namespace, name: &str) -> Option<&locate::Broken> {
        let kind: Kind = sort.kind.parse().ok()?;
        let key = ObjectKey::new(kind, namespace.clone(), name.parse().ok()?);
        let mut broken = self.files.values().flat_map(|file| &file.contents.broken);
        broken.find(|broken| broken.object.as_ref() == Some(&key))
    }

    /// Makes one change of an object.
    ///
    /// # Errors
    /// When its text cannot be changed so, or the daemon would reject it then.
    pub fn change(&mut self, place: &Place, wish: Change) -> Result<(), EditError> {
        let (text, range) = self.part(place)?;
        let part = text.get(range.clone()).unwrap_or_default();
        let new = change(part, &wish.below(&place.base)).map_err(|source| {
            let position = self.at(place).map(|document| document.position.clone());
            let nowhere = Position { path: place.path.as_str().into(), line: 0, column: 0 };
            EditError::Change { position: position.unwrap_or(nowhere), source }
        })?;
        let whole = splice(text, range, &new);
        self.replace(&place.path, Some(whole))
    }

    /// Makes changes of one object that belong together: all of them or none.
    fn together<T>(
        &mut self,
        place: &Place,
        changes: impl FnOnce(&mut Self) -> Result<T, EditError>,
    ) -> Result<T, EditError> {
        let before = self.files.get(&place.path).cloned();
        self.is_halfway = true;
        let done = changes(self);
        self.is_halfway = false;
        let text = |file: Option<&File>| file.and_then(|file| file.now.clone()).unwrap_or_default();
        let after = text(self.files.get(&place.path));
        let done = done.and_then(|done| {
            self.check(&place.path, &text(before.as_ref()), &after).map(|()| done)
        });
        if let (Err(_), Some(before)) = (&done, before) {
            self.files.insert(place.path.clone(), before);
        }
        done
    }

    /// Takes an object away: its document, its item of a List, or its file if nothing else is in it.
    ///
    /// # Errors
    /// When its text cannot be taken away, or it is not there any more.
    pub fn remove(&mut self, place: &Place) -> Result<(), EditError> {
        if place.base.is_empty() || self.is_alone(place) {
            let (text, range) = self.part(place)?;
            let rest = splice(text, range, "");
            let rest = (!locate::parts(&rest).is_empty()).then_some(rest);
            return self.replace(&place.path, rest);
        }
        let whole = Place { base: Vec::new(), ..place.clone() };
        self.change(&whole, Change::Remove { path: place.base.clone() })
    }

    /// Whether an item of a List is its only one.
    fn is_alone(&self, place: &Place) -> bool {
        let of_part = |document: &&Document| {
            document.place.path == place.path && document.place.part == place.part
        };
        let Ok((text, range)) = self.part(place) else { return false };
        let items = crate::desired::yaml::read(text.get(range).unwrap_or_default());
        let count = items.map_or(0, |read| read.root.get("items").map_or(0, |l| l.items().len()));
        count == 1 && self.documents().filter(of_part).count() == 1
    }

    /// Writes a new object to a file, behind what is there already.
    ///
    /// # Errors
    /// When the daemon would reject it.
    pub fn create(&mut self, path: &str, object: &Value) -> Result<(), EditError> {
        let document =
            if path.ends_with(".json") { object.json("", "  ") + "\n" } else { object.document() };
        self.create_text(path, document)
    }

    /// The same of an object that is a text already.
    ///
    /// # Errors
    /// When the daemon would reject it.
    pub fn create_text(&mut self, path: &str, document: String) -> Result<(), EditError> {
        let text = match self.files.get(path).and_then(|file| file.now.as_deref()) {
            None => document,
            Some(text) => {
                let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                format!("{text}{end}---\n{document}")
            }
        };
        self.replace(path, Some(text))
    }

    /// The object that stands at a place.
    #[must_use]
    pub fn at(&self, place: &Place) -> Option<&Document> {
        let documents = &self.files.get(&place.path)?.contents.documents;
        documents.iter().find(|document| document.place == *place)
    }

    /// The files that differ from what they were.
    #[must_use]
    pub fn edits(&self) -> Vec<FileEdit> {
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        let changed = self.files.iter().filter(|(_, file)| file.is_changed());
        let edit = |(path, file): (&String, &File)| FileEdit {
            path: path.clone(),
            before: bytes(&file.before),
            after: bytes(&file.now),
        };
        changed.map(edit).collect()
    }

    /// What differs, as `git diff` shows it; what looks like a secret is not shown.
    #[must_use]
    pub fn diff(&self) -> String {
        let changed = self.files.iter().filter(|(_, file)| file.is_changed());
        changed
            .map(|(path, file)| diff::file(path, file.before.as_deref(), file.now.as_deref()))
            .collect()
    }

    fn part(&self, place: &Place) -> Result<(&str, std::ops::Range<usize>), EditError> {
        let gone = || EditError::Gone { path: place.path.clone() };
        let text = self.files.get(&place.path).and_then(|file| file.now.as_deref());
        let text = text.ok_or_else(gone)?;
        let range = locate::parts(text).into_iter().nth(place.part).ok_or_else(gone)?;
        Ok((text, range))
    }

    fn replace(&mut self, path: &str, text: Option<String>) -> Result<(), EditError> {
        let before = self.files.get(path).and_then(|file| file.now.as_deref());
        if let Some(text) = text.as_ref().filter(|_| !self.is_halfway) {
            self.check(path, before.unwrap_or_default(), text)?;
        }
        let contents = text
            .as_deref()
            .map(|text| locate::locate(path, text, &self.policy))
            .unwrap_or_default();
        let original = self.files.get(path).and_then(|file| file.before.clone());
        let file = File { before: original, now: text, contents };
        self.files.insert(path.to_owned(), file);
        Ok(())
    }

    /// Refuses a text with an object that the daemon would reject, unless it rejects it already.
    fn check(&self, path: &str, before: &str, after: &str) -> Result<(), EditError> {
        let rejected = |text: &str| -> Vec<(Option<ObjectKey>, String)> {
            let entries = parse_file(path, text.as_bytes(), None, &self.policy).entries;
            let rejected = entries.into_iter().filter_map(|entry| match entry {
                Entry::Rejected(rejected) => Some((rejected.object, rejected.diagnostic.message)),
                Entry::Object(_) | Entry::Companion(_) => None,
            });
            rejected.collect()
        };
        self.check_registries(path, before, after)?;
        let known: Vec<_> = rejected(before).into_iter().map(|(object, _)| object).collect();
        match rejected(after).into_iter().find(|(object, _)| !known.contains(object)) {
            None => Ok(()),
            Some((object, why)) => Err(EditError::Invalid {
                kind: object.as_ref().map_or_else(|| "object".into(), |key| key.kind.to_string()),
                name: object.map_or_else(|| path.to_owned(), |key| key.name.to_string()),
                why,
            }),
        }
    }
}

impl Manifests {
    /// Refuses a registry that images may not be imported from, unless its repository stands in the stream already
    /// (rule I174).
    fn check_registries(&self, path: &str, before: &str, after: &str) -> Result<(), EditError> {
        let forbidden =
            |text: &str| parse_file(path, text.as_bytes(), None, &self.policy).forbidden;
        let known = forbidden(before);
        let is_known = |new: &Forbidden| {
            known.iter().any(|old| (&old.stream, &old.repository) == (&new.stream, &new.repository))
        };
        match forbidden(after).into_iter().find(|new| !is_known(new)) {
            None => Ok(()),
            Some(Forbidden { stream, diagnostic, .. }) => Err(EditError::Invalid {
                kind: Kind::ImageStream.to_string(),
                name: stream.name.to_string(),
                why: diagnostic.message,
            }),
        }
    }
}

/// Where a new object goes: `<folder>/<namespace>/<kind>-<name>.yaml`, with the kind in lower case (rule I102).
#[must_use]
pub fn new_path(folder: &str, namespace: &Namespace, kind: &str, name: &str) -> String {
    let folder = folder.trim_matches('/');
    let slash = if folder.is_empty() { "" } else { "/" };
    format!("{folder}{slash}{namespace}/{kind}-{name}.yaml")
}

fn splice(text: &str, range: std::ops::Range<usize>, new: &str) -> String {
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.end..).unwrap_or_default();
    format!("{before}{new}{after}")
}
