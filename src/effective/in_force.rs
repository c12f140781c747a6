//! What is in force: the adopted commit, last valid versions that stay, and what the journal puts over them.

use std::collections::BTreeSet;

use crate::desired::{DesiredState, Object, Tree};
use crate::names::ContentHash;
use crate::observed::ObservedState;
use crate::policy::Policy;

use super::with_overlays;

/// The desired state of the adopted commit, whose files `tree` holds; `kept` are the last valid versions that the
/// journal names.
#[must_use]
pub fn in_force<'a>(
    tree: &Tree,
    observed: &ObservedState,
    kept: impl IntoIterator<Item = (&'a ContentHash, &'a Object)>,
    policy: &Policy,
) -> DesiredState {
    let adopted = observed.adopted.as_ref();
    let rejected = adopted.map_or(&[][..], |adopted| &adopted.rejected);
    let mut desired = tree.assemble_adopted(rejected);
    keep_in_force(&mut desired, observed, kept);
    overlay(&mut desired, observed, policy);
    desired
}

/// Puts last valid versions in force, where the commit has no other.
pub fn keep_in_force<'a>(
    desired: &mut DesiredState,
    observed: &ObservedState,
    kept: impl IntoIterator<Item = (&'a ContentHash, &'a Object)>,
) {
    let in_force: BTreeSet<_> = observed.kept_versions().collect();
    for (hash, object) in kept {
        if in_force.contains(hash) && desired.get(&object.key()).is_none() {
            desired.put(object.clone());
        }
    }
}

/// Puts the spec tags of the journal into every stream: derived ones, and those of operators (rules I59, I102).
pub fn overlay(desired: &mut DesiredState, observed: &ObservedState, policy: &Policy) {
    for (name, stream) in &mut desired.streams {
        *stream = with_overlays(stream, observed.streams.get(name), policy);
    }
}
