//! `spec.triggers` of a `BuildConfig`. A tag that does not act by itself has no entry there.

use super::{FromTag, Hook, HookKind, ImageTrigger, One, TriggerError, Triggers, Wish};
use crate::desired::Step;
use crate::desired::yaml::Node;
use crate::edit::list::{Differences, Item, write};
use crate::edit::{Document, Manifests, Place, Value};

const LIST: &[&str] = &["spec", "triggers"];

/// One entry of the list.
#[derive(Clone, PartialEq)]
enum Entry {
    Config,
    Image {
        /// None for the image that the strategy builds on.
        from: Option<FromTag>,
        paused: bool,
    },
    Hook {
        hook: Hook,
        secret: String,
    },
    /// Of a type that nobody knows.
    Other,
}

pub(super) fn read(document: &Document) -> Triggers {
    let strategy = strategy(document);
    let mut triggers = Triggers::default();
    for item in entries(document) {
        match item.now {
            Entry::Config => triggers.config = true,
            Entry::Image { from, paused } => {
                let Some(from) = from.or_else(|| strategy.clone()) else { continue };
                triggers.images.push(image(from, !paused));
            }
            Entry::Hook { hook, .. } => triggers.hooks.push(hook),
            Entry::Other => {}
        }
    }
    triggers.hooks.sort_by_key(|hook| HookKind::ALL.iter().position(|kind| *kind == hook.kind));
    if let Some(strategy) = strategy
        && triggers.images.iter().all(|image| image.from != strategy)
    {
        triggers.images.push(image(strategy, false));
    }
    triggers
}

fn image(from: FromTag, automatic: bool) -> ImageTrigger {
    ImageTrigger { from, containers: Vec::new(), automatic }
}

/// The tag that the strategy builds on.
fn strategy(document: &Document) -> Option<FromTag> {
    let kinds = ["sourceStrategy", "dockerStrategy", "customStrategy"];
    let from = |kind: &&str| document.node.at(&["spec", "strategy", kind, "from"]);
    tag(kinds.iter().find_map(from)?, document)
}

fn tag(from: &Node, document: &Document) -> Option<FromTag> {
    let text = |key: &str| from.get(key).and_then(Node::as_text);
    let is_tag = text("kind").is_none_or(|kind| kind.is_empty() || kind == "ImageStreamTag");
    let name = text("name").filter(|_| is_tag)?;
    Some(FromTag::new(name, text("namespace"), &document.namespace))
}

fn entries(document: &Document) -> Vec<Item<Entry>> {
    let list = document.node.at(LIST).map(Node::items).unwrap_or_default();
    let items = list.iter().enumerate();
    items.map(|(index, item)| Item::at(index, entry(item, document))).collect()
}

/// Types are written in three ways (rule B1).
fn entry(item: &Node, document: &Document) -> Entry {
    let kind = item.get("type").and_then(Node::as_text).unwrap_or_default();
    if kind == "ConfigChange" {
        return Entry::Config;
    }
    if matches!(kind, "ImageChange" | "imageChange") {
        let at = |key: &str| item.get("imageChange").and_then(|node| node.get(key));
        let from = at("from").filter(|from| !from.is_null());
        let paused = at("paused").and_then(Node::as_text) == Some("true");
        return Entry::Image { from: from.and_then(|from| tag(from, document)), paused };
    }
    let hook = HookKind::ALL.into_iter().find(|hook| kind.eq_ignore_ascii_case(hook.word()));
    hook.map_or(Entry::Other, |kind| {
        let allow_env = item.at(&[kind.key(), "allowEnv"]).and_then(Node::as_text) == Some("true");
        Entry::Hook { hook: Hook { kind, allow_env }, secret: String::new() }
    })
}

pub(super) fn set(
    all: &mut Manifests,
    place: &Place,
    document: &Document,
    wish: &Wish,
) -> Result<Vec<String>, TriggerError> {
    let strategy = strategy(document);
    let mut items = entries(document);
    let is_of = |entry: &Entry, tag: &FromTag| match entry {
        Entry::Image { from, .. } => from.as_ref().or(strategy.as_ref()) == Some(tag),
        Entry::Config | Entry::Hook { .. } | Entry::Other => false,
    };
    let config = |items: &mut Vec<Item<Entry>>, wanted: bool| {
        let is_config = |item: &Item<Entry>| item.now == Entry::Config;
        match wanted {
            false => items.retain(|item| !is_config(item)),
            true if items.iter().any(is_config) => {}
            true => items.push(Item::new(Entry::Config)),
        }
    };
    let image = |items: &mut Vec<Item<Entry>>, tag: &FromTag, wanted: bool| {
        if !wanted {
            items.retain(|item| !is_of(&item.now, tag));
            return;
        }
        let mut found = false;
        for item in items.iter_mut().filter(|item| is_of(&item.now, tag)) {
            found = true;
            if let Entry::Image { paused, .. } = &mut item.now {
                *paused = false;
            }
        }
        if !found {
            let from = Some(tag.clone()).filter(|tag| strategy.as_ref() != Some(tag));
            items.push(Item::new(Entry::Image { from, paused: false }));
        }
    };
    match wish {
        Wish::RemoveAll => items.clear(),
        Wish::Remove(One::Config) => config(&mut items, false),
        Wish::Remove(One::Image { from, .. }) => image(&mut items, from, false),
        Wish::Remove(One::Hook { hook, .. }) => items.retain(
            |item| !matches!(&item.now, Entry::Hook { hook: other, .. } if other.kind == hook.kind),
        ),
        Wish::All { automatic } => {
            config(&mut items, *automatic);
            for known in read(document).images {
                image(&mut items, &known.from, *automatic);
            }
        }
        Wish::Put { one: One::Config, automatic } => config(&mut items, *automatic),
        Wish::Put { one: One::Image { from, .. }, automatic } => {
            image(&mut items, from, *automatic);
        }
        Wish::Put { one: One::Hook { hook, secret }, .. } => {
            let secret = secret.clone();
            items.push(Item::new(Entry::Hook { hook: *hook, secret }));
        }
    }
    if items.is_empty() && document.node.at(LIST).is_none_or(Node::is_null) {
        return Ok(Vec::new());
    }
    write(all, place, LIST, &items, Entry::value, update)?;
    Ok(Vec::new())
}

impl Entry {
    fn value(&self) -> Value {
        let of = |kind: &str, key: &str, value: Value| {
            Value::map([("type", Value::text(kind)), (key, value)])
        };
        match self {
            Self::Config => Value::map([("type", Value::text("ConfigChange"))]),
            Self::Image { from: None, .. } => {
                of("ImageChange", "imageChange", Value::Map(Vec::new()))
            }
            Self::Image { from: Some(tag), .. } => {
                let mut from = vec![("kind".to_owned(), Value::text("ImageStreamTag"))];
                from.push(("name".to_owned(), Value::text(&tag.name)));
                let namespace = tag.namespace.as_ref();
                from.extend(namespace.map(|text| ("namespace".to_owned(), Value::text(text))));
                of("ImageChange", "imageChange", Value::map([("from", Value::Map(from))]))
            }
            Self::Hook { hook, secret } => {
                let mut body = vec![("secret".to_owned(), Value::text(secret))];
                body.extend(hook.allow_env.then(|| ("allowEnv".to_owned(), Value::Bool(true))));
                of(hook.kind.word(), hook.kind.key(), Value::Map(body))
            }
            Self::Other => Value::Map(Vec::new()), // never new
        }
    }
}

fn update(old: &Entry, new: &Entry) -> Differences {
    match (old, new) {
        (Entry::Image { paused: true, .. }, Entry::Image { paused: false, .. }) => {
            let path = ["imageChange", "paused"].map(|key| Step::Key(key.into()));
            vec![(path.to_vec(), Some(Value::Bool(false)))]
        }
        _ => Vec::new(),
    }
}
