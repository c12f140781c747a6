//! How a tag stands in a snapshot: a digest is written once, where a tag holds it three times.
//!
//! There are as many of these as tags, and the time of a start is mostly that of reading them.

use serde::{Deserialize, Serialize};

use super::{TagCondition, TagItem, TagState};
use crate::dense;
use crate::fact::TagEvent;
use crate::names::{ContentHash, Digest, Generation, Seq};
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
pub(super) struct State {
    #[serde(default)]
    generation: Generation,
    #[serde(default, deserialize_with = "dense::list")]
    items: Vec<Item>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<TagCondition>,
    /// Left out where it is the image of item 0, and `probed_is_image` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    probed: Option<Digest>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    probed_is_image: bool,
    #[serde(default)]
    asked: u32,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pushed: bool,
}

#[derive(Serialize, Deserialize)]
struct Item {
    seq: Seq,
    created: Timestamp,
    /// The reference without its digest, where that is the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    /// The reference, where it is anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<Digest>,
    generation: Generation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<ContentHash>,
}

impl From<TagState> for State {
    fn from(state: TagState) -> Self {
        let image = state.image();
        let probed_is_image = state.probed.is_some() && state.probed == image;
        Self {
            generation: state.generation,
            items: state.items.into_iter().map(Item::from).collect(),
            condition: state.condition,
            probed: state.probed.filter(|_| !probed_is_image),
            probed_is_image,
            asked: state.asked,
            left: state.left,
            pushed: state.pushed,
        }
    }
}

impl From<State> for TagState {
    fn from(text: State) -> Self {
        let mut state = Self {
            generation: text.generation,
            items: text.items.into_iter().map(TagItem::from).collect(),
            condition: text.condition,
            probed: text.probed,
            asked: text.asked,
            left: text.left,
            pushed: text.pushed,
        };
        if text.probed_is_image {
            state.probed = state.image();
        }
        state
    }
}

impl From<TagItem> for Item {
    fn from(item: TagItem) -> Self {
        let TagItem { seq, event, metadata } = item;
        let TagEvent { created, reference, image, generation } = event;
        let repository = image
            .and_then(|image| reference.strip_suffix(&image.to_string())?.strip_suffix('@'))
            .map(str::to_owned);
        let reference = if repository.is_none() { Some(reference) } else { None };
        Self { seq, created, repository, reference, image, generation, metadata }
    }
}

impl From<Item> for TagItem {
    fn from(text: Item) -> Self {
        let Item { seq, created, repository, reference, image, generation, metadata } = text;
        let reference = match (repository, image) {
            (Some(repository), Some(image)) => image.pinned(&repository),
            (repository, _) => reference.or(repository).unwrap_or_default(),
        };
        Self { seq, event: TagEvent { created, reference, image, generation }, metadata }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest() -> impl Strategy<Value = Digest> {
        (0..3_u8).prop_map(|n| Digest::of(&[n]))
    }

    fn item() -> impl Strategy<Value = TagItem> {
        let tail = prop_oneof![Just(String::new()), digest().prop_map(|d| format!("@{d}"))];
        (1..9_u64, "[a-z.]{0,5}", tail, proptest::option::of(digest()), any::<bool>()).prop_map(
            |(seq, name, tail, image, metadata)| TagItem {
                seq: Seq(seq),
                event: TagEvent {
                    created: Timestamp::from_millis(1_795_000_000_000),
                    reference: format!("{name}{tail}"),
                    image,
                    generation: Generation(seq),
                },
                metadata: metadata.then(|| ContentHash::of(b"metadata")),
            },
        )
    }

    proptest! {
        #[test]
        fn a_tag_in_a_snapshot_is_read_as_it_was(
            items in proptest::collection::vec(item(), 0..3),
            probed in proptest::option::of(digest()),
            asked in 0..3_u32,
        ) {
            let generation = Generation(2);
            let (left, pushed) = (asked == 1, asked == 2);
            let condition = None;
            let state = TagState { generation, items, condition, probed, asked, left, pushed };
            let text = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<TagState>(&text).unwrap(), state);
        }
    }

    #[test]
    fn a_digest_stands_once_in_the_text_of_a_tag() {
        let image = Digest::of(b"image");
        let event = TagEvent {
            created: Timestamp::from_millis(1_795_000_000_000),
            reference: format!("quay.io/team/app@{image}"),
            image: Some(image),
            generation: Generation(2),
        };
        let items = vec![TagItem { seq: Seq(7), event, metadata: None }];
        let state = TagState {
            generation: Generation(2),
            items,
            probed: Some(image),
            asked: 5,
            ..TagState::default()
        };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(text.matches(&image.to_string()).count(), 1, "{text}");
    }
}
