//! Images that were read lately: tags that name the same image read it once, also when they ask at the same time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::action::{Check, ImportMode, Platform};
use crate::limits;
use crate::names::Digest;

/// An image as it was read: its digest, and the metadata that is kept of it.
pub(super) type Read = (Digest, serde_json::Value);

/// One image; whoever reads it holds the lock, and the others wait for what comes of it.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Read>>>;

/// What decides what is read: the digest says all but where it is, and what is made of an index.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    host: String,
    repository: String,
    probed: Digest,
    mode: ImportMode,
    platform: Platform,
}

/// The last [`limits::REGISTRY_IMAGES_REMEMBERED`] images.
#[derive(Default)]
pub(super) struct Lately {
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    slots: BTreeMap<Key, Slot>,
    order: VecDeque<Key>,
}

impl Lately {
    /// The place of what a registry says a check's reference is.
    pub(super) fn slot(&self, check: &Check, probed: Digest) -> Slot {
        let key = Key {
            host: check.image.registry_host(),
            repository: check.image.repository_path(),
            probed,
            mode: check.mode,
            platform: check.platform.clone(),
        };
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = memory.slots.get(&key) {
            return Arc::clone(slot);
        }
        if memory.order.len() >= limits::REGISTRY_IMAGES_REMEMBERED
            && let Some(oldest) = memory.order.pop_front()
        {
            memory.slots.remove(&oldest);
        }
        let slot = Slot::default();
        memory.order.push_back(key.clone());
        memory.slots.insert(key, Arc::clone(&slot));
        slot
    }
}
