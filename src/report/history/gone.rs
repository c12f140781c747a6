//! Images that went, in words.

use super::super::words::{count, one_line};
use super::entry::{Said, said};
use crate::fact::{Fact, ImagesPruned, StoredManifest};

/// What an operator deleted; none for other facts.
#[expect(clippy::wildcard_enum_match_arm, reason = "`describe` hands over only these")]
pub(super) fn deleted(fact: &Fact) -> Option<Said> {
    Some(match fact {
        Fact::ImageDeleted(deleted) => {
            said("delete", &deleted.image, format!(" by {}", one_line(&deleted.by)))
        }
        Fact::ManifestDeleted(deleted) => {
            let StoredManifest { repository, digest } = &deleted.manifest;
            said("delete", digest, format!(" in {repository}"))
        }
        _ => return None,
    })
}

/// What a prune took.
pub(super) fn prune(pruned: &ImagesPruned) -> Said {
    let items = count(pruned.item_count(), "item", "items");
    let tags: Vec<_> = pruned.items.iter().map(|of_tag| of_tag.tag.to_string()).collect();
    let of = match tags.len() {
        0 => String::new(),
        1..=3 => format!(" of {}", tags.join(", ")),
        n => format!(" of {n} tags"),
    };
    let images = count(pruned.images.len(), "image", "images");
    said("prune", &items, format!("{of} and {images} gone, by {}", one_line(&pruned.by)))
}
