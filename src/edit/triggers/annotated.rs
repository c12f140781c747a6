//! The annotation `image.openshift.io/triggers` (section 2 of the triggers specification): a JSON list in one text.

use super::{
    Containers, FromTag, ImageTrigger, One, TriggerError, Triggers, Wish, no_hooks, replaced, twice,
};
use crate::desired::yaml::{self, Node, Scalar, ScalarKind};
use crate::desired::{TRIGGERS, field_base, selector_name};
use crate::edit::value::quoted;
use crate::edit::{Document, Manifests, Place, Value, keys};

/// One entry of the list.
#[derive(Clone)]
struct Entry {
    node: Node,
    from: FromTag,
    /// None where the field path leads to no container.
    container: Option<String>,
    automatic: bool,
}

pub(super) fn read(document: &Document, template: &[&str]) -> Result<Triggers, String> {
    let images = entries(document, template)?.into_iter().filter_map(|entry| {
        let containers = vec![entry.container?];
        Some(ImageTrigger { from: entry.from, containers, automatic: entry.automatic })
    });
    Ok(Triggers { config: !is_paused(document), images: images.collect(), hooks: Vec::new() })
}

/// A change of the template rolls all of these out but a Deployment that is paused (rule T30).
fn is_paused(document: &Document) -> bool {
    document.kind == "Deployment" && document.text(&["spec", "paused"]) == Some("true")
}

fn entries(document: &Document, template: &[&str]) -> Result<Vec<Entry>, String> {
    let Some(text) = document.text(&["metadata", "annotations", TRIGGERS]) else {
        return Ok(Vec::new());
    };
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        return Err(format!("not JSON: {error}"));
    }
    let root = yaml::read(text).map_err(|error| format!("not JSON: {}", error.message))?.root;
    if root.is_null() {
        return Ok(Vec::new()); // what `oc` writes for none
    }
    if !root.is_list() {
        return Err(format!("expected a list, found {}", root.describe()));
    }
    let known = Containers::of(document, template);
    Ok(root.items().iter().map(|item| entry(item, document, template, &known)).collect())
}

fn entry(item: &Node, document: &Document, template: &[&str], known: &Containers) -> Entry {
    let text = |node: Option<&Node>| node.and_then(Node::as_text).unwrap_or_default().to_owned();
    let namespace = text(item.at(&["from", "namespace"]));
    let path = text(item.get("fieldPath"));
    Entry {
        node: item.clone(),
        from: FromTag::new(
            &text(item.at(&["from", "name"])),
            Some(&namespace),
            &document.namespace,
        ),
        container: container(&path, template, known),
        automatic: text(item.get("paused")) != "true",
    }
}

/// The container that a field path names (rule T3).
fn container(path: &str, template: &[&str], known: &Containers) -> Option<String> {
    let rest = path.trim().strip_prefix(&field_base(template))?;
    let lists = [("initContainers[", &known.init), ("containers[", &known.regular)];
    let (names, selector) = lists.into_iter().find_map(|(prefix, names)| {
        Some((names, rest.strip_prefix(prefix)?.strip_suffix("].image")?))
    })?;
    if let Ok(index) = selector.trim().parse::<usize>() {
        return names.get(index).cloned();
    }
    let name = selector_name(selector)?;
    names.iter().find(|one| **one == *name).cloned()
}

pub(super) fn set(
    all: &mut Manifests,
    place: &Place,
    document: &Document,
    template: &[&str],
    wish: &Wish,
) -> Result<Vec<String>, TriggerError> {
    let mut entries = entries(document, template).map_err(TriggerError::Unreadable)?;
    let mut notes = Vec::new();
    let mut config = None;
    match wish {
        Wish::RemoveAll => {
            entries.clear();
            config = Some(false);
        }
        Wish::Remove(One::Config) => config = Some(false),
        Wish::Remove(One::Image { from, .. }) => entries.retain(|entry| entry.from != *from),
        Wish::Remove(One::Hook { .. }) => {}
        Wish::All { automatic } => {
            config = Some(*automatic);
            entries.iter_mut().for_each(|entry| entry.automate(*automatic));
        }
        Wish::Put { one: One::Config, automatic } => config = Some(*automatic),
        Wish::Put { one: One::Image { from, containers }, automatic } => {
            let known = Containers::of(document, template);
            let wanted = ImageTrigger {
                from: from.clone(),
                containers: containers.clone(),
                automatic: *automatic,
            };
            put(&mut entries, wanted, &known, template, &mut notes)?;
        }
        Wish::Put { one: One::Hook { hook, .. }, .. } => return Err(no_hooks("does", hook.kind)),
    }
    twice(entries.iter().filter_map(|entry| entry.container.as_deref()))?;
    let text = format!(
        "[{}]",
        entries.iter().map(|entry| json(&entry.node)).collect::<Vec<_>>().join(",")
    );
    let path = keys(&["metadata", "annotations", TRIGGERS]);
    let is_new = document.text(&["metadata", "annotations", TRIGGERS]).is_none();
    let old = self::entries(document, template).unwrap_or_default();
    let same = old.len() == entries.len()
        && old.iter().zip(&entries).all(|(old, new)| old.node == new.node);
    all.together(place, |all| {
        // An annotation that is left out would take the object out of our hands.
        let is_nothing = is_new && entries.is_empty();
        if !same && !is_nothing {
            all.put(place, &path, Value::text(text))?;
        }
        let paused = config.filter(|_| document.kind == "Deployment").map(|config| !config);
        match paused {
            Some(paused) if paused != is_paused(document) => {
                all.put(place, &keys(&["spec", "paused"]), Value::Bool(paused))
            }
            Some(_) | None => Ok(()),
        }
    })?;
    Ok(notes)
}

/// One trigger for each container: what it had before goes (rule T31).
fn put(
    entries: &mut Vec<Entry>,
    mut wanted: ImageTrigger,
    known: &Containers,
    template: &[&str],
    notes: &mut Vec<String>,
) -> Result<(), TriggerError> {
    if wanted.containers.is_empty() {
        let same = entries.iter().filter(|entry| entry.from == wanted.from);
        wanted.containers = same.filter_map(|entry| entry.container.clone()).collect();
    }
    known.check(&wanted.containers)?;
    for name in &wanted.containers {
        let list = if known.init.contains(name) { "initContainers" } else { "containers" };
        let path = format!("{}{list}[?(@.name==\"{name}\")].image", field_base(template));
        let found = entries.iter_mut().find(|entry| entry.container.as_deref() == Some(name));
        let Some(entry) = found else {
            entries.push(Entry::new(&wanted, name, &path));
            continue;
        };
        if entry.from != wanted.from {
            notes.push(replaced(std::slice::from_ref(name), &entry.from));
            entry.from = wanted.from.clone();
            put_key(&mut entry.node, "from", from_node(&wanted.from));
        }
        put_key(&mut entry.node, "fieldPath", Node::text(path.as_str()));
        entry.automate(wanted.automatic);
    }
    Ok(())
}

impl Entry {
    fn new(wanted: &ImageTrigger, name: &str, path: &str) -> Self {
        let fields =
            vec![("from".into(), from_node(&wanted.from)), ("fieldPath".into(), Node::text(path))];
        let mut new = Self {
            node: Node::Mapping(fields),
            from: wanted.from.clone(),
            container: Some(name.to_owned()),
            automatic: true,
        };
        new.automate(wanted.automatic);
        new
    }

    fn automate(&mut self, automatic: bool) {
        self.automatic = automatic;
        let Node::Mapping(fields) = &mut self.node else { return };
        if automatic {
            fields.retain(|(key, _)| &**key != "paused");
        } else {
            let yes = Scalar { text: "true".into(), kind: ScalarKind::Bool(true) };
            put_key(&mut self.node, "paused", Node::Scalar(yes));
        }
    }
}

fn from_node(from: &FromTag) -> Node {
    let mut fields = vec![
        ("kind".into(), Node::text("ImageStreamTag")),
        ("name".into(), Node::text(from.name.as_str())),
    ];
    let namespace = from.namespace.as_deref();
    fields.extend(namespace.map(|text| ("namespace".into(), Node::text(text))));
    Node::Mapping(fields)
}

fn put_key(node: &mut Node, key: &str, value: Node) {
    let Node::Mapping(fields) = node else { return };
    match fields.iter_mut().find(|(name, _)| &**name == key) {
        Some((_, old)) => *old = value,
        None => fields.push((key.into(), value)),
    }
}

/// A node of JSON as JSON, in the order that it was read in.
fn json(node: &Node) -> String {
    match node {
        Node::Scalar(scalar) => match scalar.kind {
            ScalarKind::Text => quoted(&scalar.text),
            ScalarKind::Null => "null".to_owned(),
            ScalarKind::Bool(_) | ScalarKind::Int(_) | ScalarKind::Float(_) => {
                scalar.text.to_string()
            }
        },
        Node::Tagged(inner) => json(inner),
        Node::Sequence(items) => {
            format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(","))
        }
        Node::Mapping(fields) => {
            let fields =
                fields.iter().map(|(key, value)| format!("{}:{}", quoted(key), json(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
    }
}
