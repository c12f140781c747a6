//! What a prune took, or would take, in the words of `oc adm prune images` (rules I163, I164).

use std::collections::BTreeMap;

use crate::names::StreamName;
use crate::plan::prune::Pruning;

/// What is said first where no manifest in a registry is touched.
pub const ONLY_OBJECTS: &str =
    "Only API objects will be removed.  No modifications to the image registry will be made.";

/// What is said first, to standard error, where nothing happens.
pub const DRY_RUN: &str =
    "Dry run enabled - no modifications will be made. Add --confirm to remove images";

/// What becomes of the manifests in a registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manifests {
    /// They are deleted: the registry is managed, and its manifests were asked for.
    Deleted,
    /// They stay what they are.
    Untouched,
}

/// A line for each stream and image, and the summary.
#[must_use]
pub fn to_text(pruning: &Pruning, manifests: Manifests) -> String {
    let links = match manifests {
        Manifests::Deleted => pruning.manifests.as_slice(),
        Manifests::Untouched => &[],
    };
    let mut streams: BTreeMap<&StreamName, usize> = BTreeMap::new();
    for of_tag in &pruning.items {
        *streams.entry(&of_tag.tag.stream).or_default() += of_tag.items.len();
    }
    let mut text = String::new();
    for (stream, items) in &streams {
        text.push_str(&format!("Deleting {items} items from image stream {stream}\n"));
    }
    for (stream, image) in links {
        text.push_str(&format!("Deleting manifest link {image} in repository {stream}\n"));
    }
    for image in &pruning.images {
        text.push_str(&format!("Deleting image {image}\n"));
    }
    let parts = [
        ("deleted", pruning.images.len(), "image object(s)"),
        ("deleted", streams.values().sum(), "image stream tag item(s)"),
        ("updated", streams.len(), "image stream(s)"),
        ("deleted", links.len(), "manifest link(s)"),
    ];
    let parts = parts.iter().filter(|(_, count, _)| *count > 0);
    let parts: Vec<_> = parts.map(|(did, count, what)| format!("{did} {count} {what}")).collect();
    let summary = if parts.is_empty() { "deleted 0 objects".into() } else { parts.join(", ") };
    text + &format!("Summary: {summary}\n")
}

/// The streams that have no image, which stay all the same (rule I162); nothing where each has one.
#[must_use]
pub fn empty_streams(pruning: &Pruning) -> Option<String> {
    let names: Vec<_> = pruning.empty.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        return None;
    }
    let names = names.join(", ");
    Some(format!("Image streams without an image, which stay until git removes them: {names}"))
}
