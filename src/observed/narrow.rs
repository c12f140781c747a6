//! A state of which only some streams are read; the others are passed over as text.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Adopted, ObjectState, ObservedState, Presence, StreamState};
use crate::dense;
use crate::fact::RemovalFate;
use crate::names::{ObjectKey, Seq, StreamName};
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
        // Held removals stay in force, whatever they are; of the others only the streams that are shown count.
        objects.retain(|key, object| {
            let held =
                matches!(object.presence, Presence::Removed { fate: RemovalFate::Held { .. }, .. });
            held || only.iter().any(|name| *key == ObjectKey::stream(name))
        });
        Ok(ObservedState {
            last_seq,
            last_at,
            adopted,
            objects,
            streams: streams?,
            ..ObservedState::default()
        })
    }
}
