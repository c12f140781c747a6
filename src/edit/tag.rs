//! Image streams and their spec tags: made, replaced, taken away.

use crate::action::ImportMode;
use crate::desired::Step;
use crate::desired::yaml::{Node, Scalar, ScalarKind};
use crate::names::StreamName;

use super::metadata::keys;
use super::{Change, EditError, Manifests, Place, Sort, Value};

/// What kind of thing a tag points to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// An image in a registry.
    DockerImage,
    /// A tag of a stream.
    ImageStreamTag,
    /// An image of a stream.
    ImageStreamImage,
}

impl SourceKind {
    /// As manifests spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerImage => "DockerImage",
            Self::ImageStreamTag => "ImageStreamTag",
            Self::ImageStreamImage => "ImageStreamImage",
        }
    }
}

/// What a tag points to: `from`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagFrom {
    /// `kind`.
    pub kind: SourceKind,
    /// `name`.
    pub name: String,
    /// `namespace`, if it is written.
    pub namespace: Option<String>,
}

/// What becomes of the annotations of a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Annotations {
    /// They stay.
    Keep,
    /// These are all there are.
    Replace(Vec<(String, String)>),
}

/// A spec tag but for its name. A field that has its default is not written.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the API")]
pub struct TagFields {
    /// `from`.
    pub from: Option<TagFrom>,
    /// `reference`.
    pub reference: bool,
    /// `importPolicy.scheduled`.
    pub scheduled: bool,
    /// `importPolicy.insecure`.
    pub insecure: bool,
    /// `importPolicy.importMode`; none for the mode of tags that say none.
    pub mode: Option<ImportMode>,
    /// `referencePolicy.type` is `Local`.
    pub local: bool,
    /// `annotations`.
    pub annotations: Annotations,
}

impl TagFields {
    /// A tag that points somewhere, with the defaults for the rest and without annotations.
    #[must_use]
    pub fn of(from: TagFrom) -> Self {
        Self {
            from: Some(from),
            reference: false,
            scheduled: false,
            insecure: false,
            mode: None,
            local: false,
            annotations: Annotations::Replace(Vec::new()),
        }
    }

    fn is_imported(&self) -> bool {
        let kind = self.from.as_ref().map(|from| from.kind);
        kind == Some(SourceKind::DockerImage) && !self.reference
    }

    fn value(&self, name: &str) -> Value {
        let mut entries = vec![("name".to_owned(), Value::text(name))];
        let mut push = |key: &str, value: Value| entries.push((key.to_owned(), value));
        if let Annotations::Replace(annotations) = &self.annotations
            && !annotations.is_empty()
        {
            let texts = annotations.iter().map(|(key, text)| (key.clone(), Value::text(text)));
            push("annotations", Value::Map(texts.collect()));
        }
        if let Some(from) = &self.from {
            let mut source = vec![("kind".to_owned(), Value::text(from.kind.as_str()))];
            source.push(("name".to_owned(), Value::text(&from.name)));
            let namespace = from.namespace.as_ref();
            source.extend(namespace.map(|text| ("namespace".to_owned(), Value::text(text))));
            push("from", Value::Map(source));
        }
        if self.reference {
            push("reference", Value::Bool(true));
        }
        let mut policy = Vec::new();
        if self.insecure {
            policy.push(("insecure".to_owned(), Value::Bool(true)));
        }
        if self.scheduled {
            policy.push(("scheduled".to_owned(), Value::Bool(true)));
        }
        let mode = self.mode.map(|mode| Value::text(mode_word(mode)));
        policy.extend(mode.map(|mode| ("importMode".to_owned(), mode)));
        if !policy.is_empty() {
            push("importPolicy", Value::Map(policy));
        }
        if self.local {
            push("referencePolicy", Value::map([("type", Value::text("Local"))]));
        }
        Value::Map(entries)
    }
}

/// What writing a tag came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PutTag {
    /// The file that the stream stands in.
    pub path: String,
    /// Whether the stream is new.
    pub is_new_stream: bool,
    /// What makes the daemon import the tag once more.
    pub import: Import,
}

/// What makes the daemon import a tag after its entry was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Import {
    /// The entry is new or differs; or it is none that is imported.
    ByChange,
    /// Nothing differs, so `generation: 0` was written: import this once more (rule I97).
    ByGeneration,
    /// Nothing differs, and `generation: 0` stood there before: nothing was written.
    AskedBefore,
}

impl Manifests {
    /// The place of a stream, if there is one.
    ///
    /// # Errors
    /// When it stands in several places, comes out of a Template, or cannot be read.
    pub fn stream(&self, stream: &StreamName) -> Result<Option<Place>, EditError> {
        let found = self.find(Sort::STREAM, &stream.namespace, stream.name.as_str())?;
        Ok(found.map(super::Document::place))
    }

    /// Makes a stream, in a file of its own below `folder`, and says in which file.
    ///
    /// # Errors
    /// When the daemon would reject it.
    pub fn create_stream(
        &mut self,
        stream: &StreamName,
        folder: &str,
        spec: Vec<(String, Value)>,
    ) -> Result<String, EditError> {
        let meta = Value::map([
            ("name", Value::text(stream.name.as_str())),
            ("namespace", Value::text(stream.namespace.as_str())),
        ]);
        let mut entries = vec![
            ("apiVersion".to_owned(), Value::text(crate::api::VERSION)),
            ("kind".to_owned(), Value::text("ImageStream")),
            ("metadata".to_owned(), meta),
        ];
        if !spec.is_empty() {
            entries.push(("spec".to_owned(), Value::Map(spec)));
        }
        let path = super::new_path(folder, &stream.namespace, "imagestream", stream.name.as_str());
        self.create(&path, &Value::Map(entries))?;
        Ok(path)
    }

    /// Gives a stream a spec tag, in the place of one of that name; makes the stream if it is missing.
    ///
    /// The entry is replaced as a whole (rule I97), and of its text only what differs is written. An entry that does not
    /// differ is imported once more all the same, as `oc tag` has it: `generation: 0` says so in git.
    ///
    /// # Errors
    /// When its text cannot be changed so, or the daemon would reject the stream then.
    pub fn put_tag(
        &mut self,
        stream: &StreamName,
        tag: &str,
        fields: &TagFields,
        folder: &str,
    ) -> Result<PutTag, EditError> {
        let value = fields.value(tag);
        let Some(place) = self.stream(stream)? else {
            let spec = vec![("tags".to_owned(), Value::List(vec![value]))];
            let path = self.create_stream(stream, folder, spec)?;
            return Ok(PutTag { path, is_new_stream: true, import: Import::ByChange });
        };
        let document = self.at(&place);
        let known = document.and_then(|document| document.tag(tag));
        let known = known.map(|(index, node)| (index, node.clone()));
        let import = match known {
            Some((index, old)) => self.replace_tag(&place, index, &old, fields, &value)?,
            None => {
                self.add_tag(&place, value)?;
                Import::ByChange
            }
        };
        Ok(PutTag { path: place.path, is_new_stream: false, import })
    }

    /// Gives a stream an entry of `spec.tags` behind those that it has.
    ///
    /// # Errors
    /// When its text cannot be changed so, or the daemon would reject the stream then.
    pub fn add_tag(&mut self, place: &Place, tag: Value) -> Result<(), EditError> {
        let tags = self.at(place).and_then(|document| document.node.at(&["spec", "tags"]));
        let count = tags.map_or(0, |tags| tags.items().len());
        let mut path = keys(&["spec", "tags"]);
        path.push(Step::Index(count));
        self.put(place, &path, tag)
    }

    fn replace_tag(
        &mut self,
        place: &Place,
        index: usize,
        old: &Node,
        fields: &TagFields,
        value: &Value,
    ) -> Result<Import, EditError> {
        let mut path = keys(&["spec", "tags"]);
        path.push(Step::Index(index));
        let mut wishes = Vec::new();
        let defaults = Defaults {
            keep_annotations: matches!(fields.annotations, Annotations::Keep),
            mode: mode_word(self.policy.import_mode),
        };
        defaults.differences(&mut path, old, value, &mut wishes);
        let asked = old.get("generation").and_then(Node::as_text) == Some("0");
        path.push(Step::Key("generation".into()));
        let mut import = Import::ByChange;
        if wishes.is_empty() && fields.is_imported() {
            import = if asked { Import::AskedBefore } else { Import::ByGeneration };
            if !asked {
                self.put(place, &path, Value::Number(0))?;
            }
        } else if asked {
            wishes.push(Change::Remove { path });
        }
        self.together(place, |all| {
            wishes.into_iter().try_for_each(|wish| all.change(place, wish))?;
            Ok(import)
        })
    }

    /// Takes a spec tag away; answers whether there was one.
    ///
    /// # Errors
    /// When its text cannot be changed so.
    pub fn remove_tag(&mut self, stream: &StreamName, tag: &str) -> Result<bool, EditError> {
        let Some(place) = self.stream(stream)? else { return Ok(false) };
        let Some((index, _)) = self.at(&place).and_then(|document| document.tag(tag)) else {
            return Ok(false);
        };
        let mut path = keys(&["spec", "tags"]);
        path.push(Step::Index(index));
        self.change(&place, Change::Remove { path })?;
        Ok(true)
    }

    /// The path of a spec tag's annotations, if there is such a tag.
    #[must_use]
    pub fn tag_annotations(&self, place: &Place, tag: &str) -> Option<Vec<Step>> {
        let (index, _) = self.at(place)?.tag(tag)?;
        let mut path = keys(&["spec", "tags"]);
        path.extend([Step::Index(index), Step::Key("annotations".into())]);
        Some(path)
    }

    /// The texts of a mapping at a path.
    #[must_use]
    pub fn words(
        &self,
        place: &Place,
        path: &[Step],
    ) -> std::collections::BTreeMap<String, String> {
        let node = self.at(place).and_then(|document| super::metadata::at(&document.node, path));
        let entries = node.map(Node::entries).unwrap_or_default().iter();
        let text = |node: &Node| node.as_text().unwrap_or_default().to_owned();
        entries.map(|(key, value)| (key.to_string(), text(value))).collect()
    }
}

/// An import mode as manifests spell it.
#[must_use]
pub fn mode_word(mode: ImportMode) -> &'static str {
    match mode {
        ImportMode::Legacy => "Legacy",
        ImportMode::PreserveOriginal => "PreserveOriginal",
    }
}

/// What says no more than the default, and may stay as it is written.
struct Defaults {
    keep_annotations: bool,
    /// The import mode of tags that say none.
    mode: &'static str,
}

impl Defaults {
    /// What has to be done so that an entry becomes another one.
    fn differences(&self, path: &mut Vec<Step>, old: &Node, new: &Value, wishes: &mut Vec<Change>) {
        let Value::Map(entries) = new else { return };
        let mut added = Vec::new();
        for (key, value) in entries {
            path.push(Step::Key(key.as_str().into()));
            match (old.get(key), value) {
                (Some(node @ Node::Mapping(_)), Value::Map(_)) if !node.entries().is_empty() => {
                    self.differences(path, node, value, wishes);
                }
                (Some(node), Value::Text(text)) if node.as_text() == Some(text) => {}
                (Some(node), _) if *node == value.node() => {}
                (Some(_), _) => {
                    wishes.push(Change::Set { path: path.clone(), value: value.clone() });
                }
                (None, _) => added.push((key, value)),
            }
            path.pop();
        }
        for (key, value) in added {
            let (path, key, value) = (path.clone(), key.clone(), value.clone());
            wishes.push(Change::Add { path, key, value });
        }
        // Last, so that no mapping is empty in between.
        for (key, node) in old.entries() {
            let is_wanted = entries.iter().any(|(name, _)| **name == **key);
            if !is_wanted && !self.may_stay(key, node) {
                path.push(Step::Key(key.clone()));
                wishes.push(Change::Remove { path: path.clone() });
                path.pop();
            }
        }
    }

    fn may_stay(&self, key: &str, node: &Node) -> bool {
        let all = || node.entries().iter().all(|(key, node)| self.may_stay(key, node));
        let text = node.as_text();
        let bool_false =
            Node::Scalar(Scalar { text: "false".into(), kind: ScalarKind::Bool(false) });
        match key {
            // A number that is not 0 means nothing in git; a 0 is looked at apart.
            "generation" => true,
            "reference" | "scheduled" | "insecure" => node.is_null() || *node == bool_false,
            "type" => text == Some("Source"),
            "importMode" => text.is_none_or(|text| text.is_empty() || text == self.mode),
            "importPolicy" | "referencePolicy" => {
                node.is_null() || matches!(node, Node::Mapping(_)) && all()
            }
            "annotations" => {
                self.keep_annotations
                    || node.is_null()
                    || matches!(node, Node::Mapping(list) if list.is_empty())
            }
            _ => false,
        }
    }
}
