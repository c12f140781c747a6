//! `spec.triggers` of a `DeploymentConfig`.

use super::{
    Containers, FromTag, ImageTrigger, One, TriggerError, Triggers, Wish, no_hooks, replaced,
};
use crate::desired::Step;
use crate::desired::yaml::Node;
use crate::edit::list::{Item, write};
use crate::edit::{Document, Manifests, Place, Value};

const LIST: &[&str] = &["spec", "triggers"];
const TEMPLATE: &[&str] = &["spec", "template"];

/// One entry of the list.
#[derive(Clone, PartialEq)]
enum Entry {
    Config,
    Image(ImageTrigger),
    /// Of a type that nobody knows.
    Other,
}

pub(super) fn read(document: &Document) -> Triggers {
    let mut triggers = Triggers::default();
    for item in entries(document) {
        match item.now {
            Entry::Config => triggers.config = true,
            Entry::Image(image) => triggers.images.push(image),
            Entry::Other => {}
        }
    }
    triggers
}

/// The entries of the list; one that is left out is not an empty one (rule D3).
fn entries(document: &Document) -> Vec<Item<Entry>> {
    match document.node.at(LIST).filter(|list| !list.is_null()) {
        None => vec![Item::new(Entry::Config)],
        Some(list) => {
            let items = list.items().iter().enumerate();
            items.map(|(index, item)| Item::at(index, entry(item, document))).collect()
        }
    }
}

fn entry(item: &Node, document: &Document) -> Entry {
    let text = |node: Option<&Node>| node.and_then(Node::as_text).unwrap_or_default().to_owned();
    match text(item.get("type")).as_str() {
        "ConfigChange" => Entry::Config,
        "ImageChange" => {
            let at = |path: &[&str]| item.get("imageChangeParams").and_then(|node| node.at(path));
            let names = at(&["containerNames"]).map(Node::items).unwrap_or_default();
            let namespace = text(at(&["from", "namespace"]));
            Entry::Image(ImageTrigger {
                from: FromTag::new(
                    &text(at(&["from", "name"])),
                    Some(&namespace),
                    &document.namespace,
                ),
                containers: names.iter().filter_map(Node::as_text).map(str::to_owned).collect(),
                automatic: text(at(&["automatic"])) == "true",
            })
        }
        _ => Entry::Other,
    }
}

pub(super) fn set(
    all: &mut Manifests,
    place: &Place,
    document: &Document,
    wish: &Wish,
) -> Result<Vec<String>, TriggerError> {
    let mut items = entries(document);
    let mut notes = Vec::new();
    let is_config = |item: &Item<Entry>| item.now == Entry::Config;
    let config = |items: &mut Vec<Item<Entry>>, wanted: bool| match wanted {
        false => items.retain(|item| !is_config(item)),
        true if items.iter().any(is_config) => {}
        true => items.push(Item::new(Entry::Config)),
    };
    match wish {
        Wish::RemoveAll => items.clear(),
        Wish::Remove(One::Config) => config(&mut items, false),
        Wish::Remove(One::Image { from, .. }) => {
            items.retain(|item| !matches!(&item.now, Entry::Image(image) if image.from == *from));
        }
        Wish::Remove(One::Hook { .. }) => {}
        Wish::All { automatic } => {
            config(&mut items, *automatic);
            for item in &mut items {
                if let Entry::Image(image) = &mut item.now {
                    image.automatic = *automatic;
                }
            }
        }
        Wish::Put { one: One::Config, automatic } => config(&mut items, *automatic),
        Wish::Put { one: One::Image { from, containers }, automatic } => {
            let known = Containers::of(document, TEMPLATE);
            let wanted = ImageTrigger {
                from: from.clone(),
                containers: containers.clone(),
                automatic: *automatic,
            };
            put(&mut items, wanted, &known, &mut notes)?;
        }
        Wish::Put { one: One::Hook { hook, .. }, .. } => {
            return Err(no_hooks("deployment configs do", hook.kind));
        }
    }
    if document.node.at(LIST).is_none_or(Node::is_null)
        && items.iter().all(is_config)
        && items.len() == 1
    {
        return Ok(notes); // it is so without a word
    }
    write(all, place, LIST, &items, Entry::value, update)?;
    Ok(notes)
}

/// One trigger for each container: what it had before goes (rule T31).
fn put(
    items: &mut Vec<Item<Entry>>,
    mut wanted: ImageTrigger,
    known: &Containers,
    notes: &mut Vec<String>,
) -> Result<(), TriggerError> {
    let same =
        |item: &Item<Entry>| matches!(&item.now, Entry::Image(image) if image.from == wanted.from);
    let known_at = items.iter().position(same);
    let mut at = known_at;
    if let (Some(Item { now: Entry::Image(old), .. }), true) =
        (at.and_then(|at| items.get(at)), wanted.containers.is_empty())
    {
        wanted.containers.clone_from(&old.containers);
    }
    known.check(&wanted.containers)?;
    for (index, item) in items.iter_mut().enumerate().filter(|(index, _)| Some(*index) != known_at)
    {
        let Entry::Image(old) = &mut item.now else { continue };
        let shared = |name: &String| wanted.containers.contains(name);
        let lost: Vec<String> =
            old.containers.iter().filter(|name| shared(name)).cloned().collect();
        if lost.is_empty() {
            continue;
        }
        notes.push(replaced(&lost, &old.from));
        old.containers.retain(|name| !shared(name));
        if old.containers.is_empty() && at.is_none() {
            at = Some(index); // the new one takes its place
        }
    }
    match at.and_then(|at| items.get_mut(at)) {
        Some(item) => item.now = Entry::Image(wanted),
        None => items.push(Item::new(Entry::Image(wanted))),
    }
    // One that lost all of its containers goes.
    items.retain(|item| match (&item.now, item.before()) {
        (Entry::Image(now), Some(Entry::Image(before))) => {
            !now.containers.is_empty() || before.containers.is_empty()
        }
        _ => true,
    });
    Ok(())
}

impl Entry {
    fn value(&self) -> Value {
        match self {
            Self::Config => Value::map([("type", Value::text("ConfigChange"))]),
            Self::Image(image) => {
                let mut from = vec![("kind".to_owned(), Value::text("ImageStreamTag"))];
                from.push(("name".to_owned(), Value::text(&image.from.name)));
                let namespace = image.from.namespace.as_ref();
                from.extend(namespace.map(|text| ("namespace".to_owned(), Value::text(text))));
                let names = image.containers.iter().map(Value::text).collect();
                Value::map([
                    ("type", Value::text("ImageChange")),
                    (
                        "imageChangeParams",
                        Value::map([
                            ("automatic", Value::Bool(image.automatic)),
                            ("containerNames", Value::List(names)),
                            ("from", Value::Map(from)),
                        ]),
                    ),
                ])
            }
            Self::Other => Value::Map(Vec::new()), // never new
        }
    }
}

/// What differs, by its path below the entry; no value means that it goes.
fn update(old: &Entry, new: &Entry) -> Vec<(Vec<Step>, Option<Value>)> {
    let (Entry::Image(old), Entry::Image(new)) = (old, new) else { return Vec::new() };
    let path = |words: &[&str]| {
        let words = ["imageChangeParams"].into_iter().chain(words.iter().copied());
        words.map(|word| Step::Key(word.into())).collect()
    };
    let mut found = Vec::new();
    if old.automatic != new.automatic {
        found.push((path(&["automatic"]), Some(Value::Bool(new.automatic))));
    }
    if old.containers != new.containers {
        let names = new.containers.iter().map(Value::text).collect();
        found.push((path(&["containerNames"]), Some(Value::List(names))));
    }
    if old.from.name != new.from.name {
        found.push((path(&["from", "name"]), Some(Value::text(&new.from.name))));
    }
    if old.from.namespace != new.from.namespace {
        let namespace = new.from.namespace.as_ref().map(Value::text);
        found.push((path(&["from", "namespace"]), namespace));
    }
    found
}
