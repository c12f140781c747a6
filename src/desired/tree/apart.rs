//! The tags of streams apart from the rest of a tree: who shows one stream need not read those of any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Tree;
use crate::desired::reading::Entry;
use crate::desired::{ImageStream, Object, TagReference};
use crate::names::{StreamName, TagName};

/// The spec tags of a stream.
pub(crate) type SpecTags = BTreeMap<TagName, TagReference>;

impl Tree {
    /// The tree without the tags of its streams, and those tags in the order of the streams in it.
    pub(crate) fn apart(&self) -> (Self, Vec<&SpecTags>) {
        let mut bare = self.clone();
        let bare_files = bare.files.values_mut().flat_map(|file| &mut Arc::make_mut(file).entries);
        for stream in bare_files.filter_map(stream_of) {
            *stream = Arc::new(ImageStream { tags: SpecTags::new(), ..ImageStream::clone(stream) });
        }
        let entries = self.files.values().flat_map(|file| &file.entries);
        let tags = entries.filter_map(|entry| match entry {
            Entry::Object(Object::Stream(stream)) => Some(&stream.tags),
            Entry::Object(Object::Build(_) | Object::Workload(_))
            | Entry::Companion(_)
            | Entry::Rejected(_) => None,
        });
        (bare, tags.collect())
    }

    /// Puts tags into the streams: `of` is asked for each stream in the order of [`Tree::apart`].
    ///
    /// None where it says that there is something wrong with what it has.
    pub(crate) fn joined(
        mut self,
        mut of: impl FnMut(&StreamName) -> Option<SpecTags>,
    ) -> Option<Self> {
        let files = self.files.values_mut();
        let mut entries = files.flat_map(|file| &mut Arc::make_mut(file).entries);
        entries.by_ref().filter_map(stream_of).try_for_each(|stream| {
            Arc::make_mut(stream).tags = of(&stream.name)?;
            Some(())
        })?;
        drop(entries);
        Some(self)
    }
}

fn stream_of(entry: &mut Entry) -> Option<&mut Arc<ImageStream>> {
    match entry {
        Entry::Object(Object::Stream(stream)) => Some(stream),
        Entry::Object(Object::Build(_) | Object::Workload(_))
        | Entry::Companion(_)
        | Entry::Rejected(_) => None,
    }
}
