//! When the managed registry is told to delete the manifest of a pruned image (rule I164).

use crate::effective;
use crate::fact::StoredManifest;
use crate::names::Digest;

use super::pace::Pace;
use super::{Plan, Step, View};

/// Plans one manifest, until the registry says that it is gone.
pub(super) fn plan(view: &View<'_>, manifest: &StoredManifest) -> Plan {
    let soft = view.soft.deletions.get(manifest);
    let is_left = view.observed.images.leftover.contains(manifest);
    // Nothing is deleted in a registry that is not ours, or not any more.
    if !is_left
        || soft.is_some_and(|soft| soft.in_flight)
        || !effective::is_managed(view.policy, manifest)
    {
        return Plan::default();
    }
    // What is copied there now may be this image: whether it is, the answer says.
    if view.soft.copies_into(&manifest.repository) {
        return Plan::default();
    }
    let (attempts, fingerprint) = (soft.map(|soft| &soft.attempts), fingerprint(&manifest.digest));
    let pace = Pace { view, fingerprint, attempts, before: None };
    let at = pace.after_failures(view.policy.import_interval);
    let at = at.max(view.soft.left_alone_until(&manifest.repository, false));
    match at > view.now.mono {
        true => Plan::due(at),
        false => Plan::step(Step::DeleteManifest(manifest.clone())),
    }
}

/// Whether a manifest of a repository is being deleted: what is copied there now might lose it again.
pub(super) fn deletes_in(view: &View<'_>, repository: &crate::reference::ImageReference) -> bool {
    let mut deletions = view.soft.deletions.iter();
    deletions.any(|(manifest, soft)| soft.in_flight && manifest.repository == *repository)
}

/// A number that tells one manifest from another.
fn fingerprint(digest: &Digest) -> u32 {
    let text = digest.to_string();
    text.bytes().fold(1, |hash: u32, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)))
}
