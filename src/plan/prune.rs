//! Which items of histories and which images go when an operator prunes (section 7 of the image-stream specification).
//!
//! Stage 1 takes items of tags, stage 2 the images that are left without one (rules I157, I160, I161). Other than in
//! OpenShift, nothing goes that runs, that a workload may be put back to, or that is the image of a tag of the spec
//! (rules I156, I159).

mod users;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::action::ImageContents;
use crate::effective;
use crate::fact::{ImagesPruned, Keep, PruneOptions, PrunedItems, StoredManifest};
use crate::names::{Digest, Generation, Namespace, ObjectKey, Seq, StreamName, StreamTag};
use crate::observed::StreamState;
use crate::observed::tag_history::{TagItem, TagState};
use crate::time::Timestamp;

use super::View;
use users::Users;

/// What a prune takes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[must_use = "a plan does nothing until it is recorded or reported"]
pub struct Pruning {
    /// Items, by tag, in the order of streams and tags.
    pub items: Vec<PrunedItems>,
    /// Images, in order.
    pub images: Vec<Digest>,
    /// What to delete in a managed registry, where there is one: the images that go, by the streams that lose them.
    pub manifests: Vec<(StreamName, Digest)>,
    /// The same where they are in the managed registry; none without one.
    #[serde(default)]
    pub stored: Vec<StoredManifest>,
    /// What protects nothing though it was meant to, or asks for nothing.
    pub warnings: Vec<String>,
    /// Streams that have no image after it; they stay (rule I162).
    pub empty: Vec<StreamName>,
}

/// The answer to an order to prune.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruned {
    /// The record that did it; none for a dry run, and where there was nothing to do.
    pub record: Option<Seq>,
    /// What went, or would go.
    pub pruning: Pruning,
}

impl Pruning {
    /// Whether nothing goes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.images.is_empty()
    }

    /// The record of it.
    #[must_use]
    pub fn fact(&self, options: PruneOptions, by: String) -> ImagesPruned {
        let manifests = if options.registry { self.stored.clone() } else { Vec::new() };
        let (items, images) = (self.items.clone(), self.images.clone());
        ImagesPruned { options, items, images, manifests, by }
    }
}

/// Plans a prune. What the object store says is the shell's to read; an image without it has no size and no parts.
pub fn plan(view: &View<'_>, options: &PruneOptions, contents: &ImageContents) -> Pruning {
    let now = view.now.wall;
    let cut_off = match options.keep {
        Keep::Recent { younger_than, .. } => before(now, younger_than.0),
        Keep::WithinLimit => now,
    };
    let users = Users::of(view, cut_off);
    let prune = Prune { view, options, contents, cut_off, users };
    let items = prune.items();
    let (left, lost) = prune.left_and_lost(&items);
    let images = prune.images(&left);
    let gone = |(_, image): &(StreamName, Digest)| images.binary_search(image).is_ok();
    let manifests = lost.into_iter().filter(gone).collect();
    let manifests: Vec<(StreamName, Digest)> = manifests;
    let stored = manifests.iter().filter_map(|(stream, digest)| {
        let repository = effective::managed_repository(stream, view.policy)?;
        Some(StoredManifest { repository, digest: *digest })
    });
    let stored = stored.collect();
    let empty = prune.empty(&items);
    let mut warnings = prune.users.warnings.clone();
    if options.ignore_invalid {
        warnings.clear();
    }
    warnings.extend(prune.without_limit());
    Pruning { images, manifests, stored, warnings, empty, items }
}

/// The time that long before another.
fn before(at: Timestamp, span: std::time::Duration) -> Timestamp {
    let millis = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis().saturating_sub(millis))
}

struct Prune<'a> {
    view: &'a View<'a>,
    options: &'a PruneOptions,
    contents: &'a ImageContents,
    /// What came later is too young to go.
    cut_off: Timestamp,
    users: Users,
}

impl<'a> Prune<'a> {
    fn is_selected(&self, namespace: &Namespace) -> bool {
        self.options.namespace.as_ref().is_none_or(|only| only == namespace)
    }

    fn streams(&self) -> impl Iterator<Item = (&'a StreamName, &'a StreamState)> {
        let streams = self.view.observed.streams.iter();
        streams.filter(|(name, _)| self.is_selected(&name.namespace))
    }

    /// Stage 1, without streams that are too young (rule I157).
    fn items(&self) -> Vec<PrunedItems> {
        let objects = &self.view.observed.objects;
        let is_young = |name: &StreamName| {
            let since = objects.get(&ObjectKey::stream(name)).and_then(|object| object.since);
            since.is_some_and(|since| since > self.cut_off)
        };
        let mut found = Vec::new();
        for (name, stream) in self.streams().filter(|(name, _)| !is_young(name)) {
            for (tag, state) in &stream.tags {
                let tag = name.tag(tag.clone());
                let goes = |(at, item): &(usize, &TagItem)| self.goes(&tag, state, *at, item);
                let items = state.items.iter().enumerate().filter(goes);
                let items: Vec<_> = items.map(|(_, item)| item.seq).collect();
                if !items.is_empty() {
                    found.push(PrunedItems { tag, items });
                }
            }
        }
        found
    }

    /// Whether the item at a place of its tag goes: the first of these that fits decides (rules I156 to I159).
    fn goes(&self, tag: &StreamTag, state: &TagState, at: usize, item: &TagItem) -> bool {
        if item.event.created > self.cut_off {
            return false;
        }
        if at == 0 && (self.is_in_spec(tag, state) || self.users.use_current(tag, &item.event)) {
            return false;
        }
        let image = item.event.image;
        let in_use = |image: Digest| {
            self.users.use_image(&image) || self.users.pin_image(&tag.stream, &image)
        };
        if image.is_some_and(in_use) {
            return false;
        }
        // An item without an image is a reference: nothing of it is missing (rule I159).
        if image.is_some_and(|image| self.view.observed.images.deleted.contains(&image)) {
            return true;
        }
        match self.options.keep {
            Keep::Recent { revisions, .. } => at as u64 >= revisions,
            Keep::WithinLimit => {
                let limit = self.view.policy.image_size_limits.get(&tag.stream.namespace);
                let size = image.and_then(|image| self.contents.sizes.get(&image));
                limit.zip(size).is_some_and(|(limit, size)| size > limit)
            }
        }
    }

    /// Whether the spec names a tag, as of the adopted commit, even where its manifest cannot be read.
    fn is_in_spec(&self, tag: &StreamTag, state: &TagState) -> bool {
        state.generation != Generation(0) || effective::spec_tag(self.view.desired, tag).is_some()
    }

    /// The images that items name after `gone` went, and those that streams lose.
    fn left_and_lost(
        &self,
        gone: &[PrunedItems],
    ) -> (BTreeSet<Digest>, BTreeSet<(StreamName, Digest)>) {
        let (mut left, mut lost) = (BTreeSet::new(), BTreeSet::new());
        for (name, stream) in &self.view.observed.streams {
            for (tag, state) in &stream.tags {
                let gone = of_tag(gone, &name.tag(tag.clone()));
                for item in &state.items {
                    let Some(image) = item.event.image else { continue };
                    if gone.contains(&item.seq) {
                        lost.insert((name.clone(), image));
                    } else {
                        left.insert(image);
                    }
                }
            }
        }
        (left, lost)
    }

    /// Stage 2: images that no item names any more, that nobody uses, and that are no part of an index that stays (rules
    /// I156, I160).
    fn images(&self, left: &BTreeSet<Digest>) -> Vec<Digest> {
        if self.options.namespace.is_some() {
            return Vec::new();
        }
        let policy = self.view.policy;
        let images = effective::images(self.view.observed);
        let goes = |(image, first): &(&Digest, &effective::FirstSeen<'_>)| {
            let used = left.contains(*image) || self.users.use_image(image);
            let selected = self.options.all || effective::is_pushed(policy, first.reference());
            selected && !used && first.created() <= self.cut_off
        };
        let gone: BTreeSet<_> = images.iter().filter(goes).map(|(image, _)| *image).collect();
        let stay = images.keys().filter(|image| !gone.contains(*image));
        let parts = stay.filter_map(|image| self.contents.parts.get(image));
        let parts: BTreeSet<_> = parts.flatten().copied().collect();
        gone.difference(&parts).copied().collect()
    }

    /// The streams that have no item once `gone` went.
    fn empty(&self, gone: &[PrunedItems]) -> Vec<StreamName> {
        let (desired, observed) = (self.view.desired, self.view.observed);
        let stays = |name: &StreamName| {
            let stream = observed.streams.get(name);
            let mut tags = stream.into_iter().flat_map(|stream| &stream.tags);
            tags.any(|(tag, state)| state.items.len() > of_tag(gone, &name.tag(tag.clone())).len())
        };
        let names = effective::stream_names(desired, observed);
        let names = names.filter(|name| self.is_selected(&name.namespace) && !stays(name));
        names.cloned().collect()
    }

    /// Says that sizes decide, and no namespace has a limit.
    fn without_limit(&self) -> Option<String> {
        let mut limited = self.view.policy.image_size_limits.keys();
        let asked = self.options.keep == Keep::WithinLimit;
        (asked && !limited.any(|namespace| self.is_selected(namespace))).then(|| {
            "no namespace that is looked at has a size limit, so nothing is over it: set \
             `limits.\"NAMESPACE\".image_size` in the configuration"
                .to_owned()
        })
    }
}

/// What goes of one tag.
fn of_tag<'a>(gone: &'a [PrunedItems], tag: &StreamTag) -> &'a [Seq] {
    let found = gone.binary_search_by(|of_tag| of_tag.tag.cmp(tag));
    found.ok().and_then(|at| gone.get(at)).map_or(&[], |of_tag| &of_tag.items)
}
