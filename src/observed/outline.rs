//! What the rows of all streams show, packed: read in a tenth of the time of the state that it is of.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::narrow::concerns;
use super::tag_history::{TagCondition, TagItem, TagState};
use super::{Adopted, ObjectState, ObservedState, StreamState};
use crate::fact::TagEvent;
use crate::names::{ContentHash, Generation, ObjectKey, Seq, StreamName, TagName};
use crate::time::Timestamp;

/// A state as far as rows of streams show it (rule I120), and where the whole of each stream stands.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outline {
    last_seq: Seq,
    last_at: Option<Timestamp>,
    adopted: Option<Adopted>,
    objects: Vec<(ObjectKey, ObjectState)>,
    streams: Vec<(StreamName, Row)>,
}

/// Where the text of a stream stands in the snapshot, and what proves it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Text {
    /// Offsets in bytes in the snapshot's file.
    pub range: Range<u64>,
    /// Of these bytes.
    pub hash: ContentHash,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Row {
    generation: Generation,
    tags: Vec<(TagName, Tag)>,
    text: Text,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Tag {
    generation: Generation,
    /// Which record made the newest item, and when it was made, in milliseconds since 1970.
    newest: Option<(Seq, i64)>,
    condition: Option<TagCondition>,
}

impl Outline {
    /// The outline of a state, whose streams stand where `texts` says; none if that does not name one of them.
    #[must_use]
    pub fn of(state: ObservedState, mut texts: BTreeMap<StreamName, Text>) -> Option<Self> {
        let ObservedState { last_seq, last_at, adopted, objects, streams, .. } = state;
        let row = |(name, stream): (StreamName, StreamState)| {
            let text = texts.remove(&name)?;
            let tags = stream.tags.into_iter().map(|(name, tag)| (name, tag.into())).collect();
            Some((name, Row { generation: stream.generation, tags, text }))
        };
        let streams = streams.into_iter().map(row).collect::<Option<_>>()?;
        Some(Self { last_seq, last_at, adopted, objects: objects.into_iter().collect(), streams })
    }

    /// Where a stream stands; none if there is no such stream.
    #[must_use]
    pub fn text(&self, stream: &StreamName) -> Option<&Text> {
        let at = self.streams.binary_search_by(|(name, _)| name.cmp(stream)).ok()?;
        self.streams.get(at).map(|(_, row)| &row.text)
    }

    /// The state with these streams alone, which are whole. What it says of any other is nothing.
    #[must_use]
    pub fn only(mut self, whole: BTreeMap<StreamName, StreamState>) -> ObservedState {
        let only = whole.keys().cloned().collect();
        self.objects.retain(|(key, object)| concerns(key, object, &only));
        self.streams.retain(|(name, _)| whole.contains_key(name));
        self.state(whole)
    }

    /// The state again, with those in `whole` as they are: records follow that change them.
    #[must_use]
    pub fn state(self, mut whole: BTreeMap<StreamName, StreamState>) -> ObservedState {
        let Self { last_seq, last_at, adopted, objects, streams } = self;
        let stream = |(name, row): (StreamName, Row)| {
            let state = whole.remove(&name).unwrap_or_else(|| row.into());
            (name, state)
        };
        ObservedState {
            last_seq,
            last_at,
            adopted,
            objects: objects.into_iter().collect(),
            streams: streams.into_iter().map(stream).collect(),
            ..ObservedState::default()
        }
    }
}

impl From<TagState> for Tag {
    fn from(state: TagState) -> Self {
        let newest = state.items.first().map(|item| (item.seq, item.event.created.as_millis()));
        Self { generation: state.generation, newest, condition: state.condition }
    }
}

impl From<Row> for StreamState {
    fn from(row: Row) -> Self {
        let tags = row.tags.into_iter().map(|(name, tag)| (name, tag.into())).collect();
        Self { generation: row.generation, tags, ..Self::default() }
    }
}

impl From<Tag> for TagState {
    fn from(tag: Tag) -> Self {
        let item = |(seq, created)| TagItem::outlined(seq, Timestamp::from_millis(created));
        let items = tag.newest.map(item).into_iter().collect();
        Self { generation: tag.generation, items, condition: tag.condition, ..Self::default() }
    }
}

impl TagItem {
    /// One of which nothing is known but these.
    pub(super) fn outlined(seq: Seq, created: Timestamp) -> Self {
        let event =
            TagEvent { created, reference: String::new(), image: None, generation: Generation(0) };
        Self { seq, event, metadata: None }
    }
}
