//! A state of which only some streams are read, or only what a list of all of them shows; the rest is passed over as
//! text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::outline::Text;
use super::tag_history::{TagCondition, TagItem, TagState};
use super::{Adopted, ObjectState, ObservedState, Presence, StreamState};
use crate::dense;
use crate::fact::RemovalFate;
use crate::names::{ContentHash, Generation, ObjectKey, Seq, StreamName, TagName};
use crate::time::Timestamp;

/// A snapshot's state as far as showing streams needs it; the rest is not looked at.
#[derive(Deserialize)]
pub struct Narrow<'a> {
    last_seq: Seq,
    #[serde(default)]
    last_at: Option<Timestamp>,
    #[serde(default)]
    adopted: Option<Adopted>,
    #[serde(default, deserialize_with = "dense::map")]
    objects: BTreeMap<ObjectKey, ObjectState>,
    #[serde(default, borrow)]
    streams: BTreeMap<StreamName, &'a RawValue>,
}

impl Narrow<'_> {
    /// The state with these streams alone. What it says of any other, of images and of workloads is nothing.
    ///
    /// # Errors
    /// When one of them is not what this version writes.
    pub fn of(self, only: &BTreeSet<StreamName>) -> serde_json::Result<ObservedState> {
        let Self { last_seq, last_at, adopted, mut objects, streams } = self;
        let wanted = streams.into_iter().filter(|(name, _)| only.contains(name));
        let streams: Result<BTreeMap<_, StreamState>, _> =
            wanted.map(|(name, text)| Ok((name, serde_json::from_str(text.get())?))).collect();
        objects.retain(|key, object| concerns(key, object, only));
        Ok(ObservedState {
            last_seq,
            last_at,
            adopted,
            objects,
            streams: streams?,
            ..ObservedState::default()
        })
    }

    /// Where the text of each stream stands, by `place`; none if that does not know one of them.
    pub fn texts(
        &self,
        place: impl Fn(&str) -> Option<Range<u64>>,
    ) -> Option<BTreeMap<StreamName, Text>> {
        let text = |(name, text): (&StreamName, &&RawValue)| {
            let hash = ContentHash::of(text.get().as_bytes());
            Some((name.clone(), Text { range: place(text.get())?, hash }))
        };
        self.streams.iter().map(text).collect()
    }

    /// The state as far as rows of streams show it: of a tag its newest item's time. Those in `whole` are read whole,
    /// because records follow that change them.
    ///
    /// # Errors
    /// When one of them is not what this version writes.
    pub fn outlined(self, whole: &BTreeSet<StreamName>) -> serde_json::Result<ObservedState> {
        let Self { last_seq, last_at, adopted, objects, streams } = self;
        let read = |(name, text): (StreamName, &RawValue)| {
            let state = match whole.contains(&name) {
                true => serde_json::from_str(text.get())?,
                false => serde_json::from_str::<StreamOutline>(text.get())?.into(),
            };
            Ok((name, state))
        };
        let streams: serde_json::Result<Vec<_>> = streams.into_iter().map(read).collect();
        let streams = streams?.into_iter().collect();
        Ok(ObservedState {
            last_seq,
            last_at,
            adopted,
            objects,
            streams,
            ..ObservedState::default()
        })
    }
}

/// Whether an object counts where only these streams are shown: they do, and held removals, which stay in force.
pub(super) fn concerns(key: &ObjectKey, object: &ObjectState, only: &BTreeSet<StreamName>) -> bool {
    matches!(object.presence, Presence::Removed { fate: RemovalFate::Held { .. }, .. })
        || only.iter().any(|name| *key == ObjectKey::stream(name))
}

/// What the row of a stream shows (rule I120).
#[derive(Deserialize)]
struct StreamOutline {
    generation: Generation,
    #[serde(default, deserialize_with = "dense::map")]
    tags: BTreeMap<TagName, TagOutline>,
}

#[derive(Deserialize)]
struct TagOutline {
    #[serde(default)]
    generation: Generation,
    #[serde(default)]
    items: Newest,
    #[serde(default)]
    condition: Option<TagCondition>,
}

/// The first of a list of items; the others are passed over.
#[derive(Default)]
struct Newest(Option<ItemOutline>);

#[derive(Deserialize)]
struct ItemOutline {
    seq: Seq,
    created: Timestamp,
}

impl<'de> Deserialize<'de> for Newest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Newest;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Newest, A::Error> {
                let first = items.next_element()?;
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Newest(first))
            }
        }
        deserializer.deserialize_seq(First)
    }
}

impl From<StreamOutline> for StreamState {
    fn from(outline: StreamOutline) -> Self {
        let tags = outline.tags.into_iter().map(|(name, tag)| (name, tag.into())).collect();
        Self { generation: outline.generation, tags, ..Self::default() }
    }
}

impl From<TagOutline> for TagState {
    fn from(outline: TagOutline) -> Self {
        let TagOutline { generation, items, condition } = outline;
        let item = items.0.map(|ItemOutline { seq, created }| TagItem::outlined(seq, created));
        Self { generation, items: item.into_iter().collect(), condition, ..Self::default() }
    }
}
