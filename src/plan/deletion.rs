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
    let copies = view.soft.checks.iter().filter(|(_, soft)| soft.in_flight);
    let copies = copies.filter_map(|(check, _)| check.copy_to.as_deref());
    if copies.into_iter().any(|repository| *repository == manifest.repository) {
        return Plan::default();
    }
    let attempts = soft.map(|soft| &soft.attempts);
    let failures = attempts.map_or(0, |attempts| attempts.failures);
    let at = match failures {
        0 => view.now.mono,
        failures => {
            let fingerprint = fingerprint(&manifest.digest);
            Pace { view, fingerprint, attempts, before: None }
                .retry_at(failures, view.policy.import_interval)
        }
    };
    let not_before = view.soft.registries.get(&manifest.repository.registry_host()).copied();
    let at = at.max(not_before.unwrap_or(at));
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
