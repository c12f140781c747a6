//! What may start now: an ordered queue for each scarce thing. Pure.
//!
//! Planning says what should happen; this says when, where there is less room than work. Whoever waits longest goes
//! first, and nobody is forgotten: a place that is given back is given on at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::plan::Key;

/// Something of which there is only so much.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scarce {
    /// Checks in flight at one registry, by host.
    Registry(String),
    /// Rollouts in flight, over all targets.
    Rollouts,
}

/// Who waits for what.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Admission {
    used: BTreeMap<Scarce, usize>,
    waiting: BTreeMap<Scarce, VecDeque<Key>>,
    queued: BTreeSet<(Scarce, Key)>,
}

impl Admission {
    /// Takes a place for `key` if there is one and nobody waits longer; else queues it.
    ///
    /// Returns whether `key` may start.
    #[must_use]
    pub fn take(&mut self, scarce: &Scarce, key: &Key, places: usize) -> bool {
        let used = self.used.get(scarce).copied().unwrap_or(0);
        let first = self.waiting.get(scarce).and_then(VecDeque::front);
        if used < places && first.is_none_or(|first| first == key) {
            self.leave(scarce, key);
            *self.used.entry(scarce.clone()).or_default() += 1;
            return true;
        }
        if self.queued.insert((scarce.clone(), key.clone())) {
            self.waiting.entry(scarce.clone()).or_default().push_back(key.clone());
        }
        false
    }

    /// Takes a place without asking: for what already runs, such as a rollout that a restart found.
    pub fn occupy(&mut self, scarce: &Scarce) {
        *self.used.entry(scarce.clone()).or_default() += 1;
    }

    /// Gives a place back.
    pub fn give_back(&mut self, scarce: &Scarce) {
        if let Some(used) = self.used.get_mut(scarce) {
            *used = used.saturating_sub(1);
        }
    }

    /// Takes `key` out of the queue: it wants nothing any more.
    pub fn leave(&mut self, scarce: &Scarce, key: &Key) {
        if self.queued.remove(&(scarce.clone(), key.clone()))
            && let Some(queue) = self.waiting.get_mut(scarce)
        {
            queue.retain(|waiting| waiting != key);
        }
    }

    /// Whether `key` waits for `scarce`.
    #[must_use]
    pub fn waits(&self, scarce: &Scarce, key: &Key) -> bool {
        self.queued.contains(&(scarce.clone(), key.clone()))
    }

    /// The first in the queue, if there is a place for it.
    #[must_use]
    pub fn next(&self, scarce: &Scarce, places: usize) -> Option<&Key> {
        let used = self.used.get(scarce).copied().unwrap_or(0);
        self.waiting.get(scarce).filter(|_| used < places).and_then(VecDeque::front)
    }

    /// Everything that somebody waits for.
    pub fn scarce(&self) -> impl Iterator<Item = &Scarce> {
        self.waiting.iter().filter(|(_, queue)| !queue.is_empty()).map(|(scarce, _)| scarce)
    }

    /// How many places are taken.
    #[must_use]
    pub fn used(&self, scarce: &Scarce) -> usize {
        self.used.get(scarce).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::Workload(format!("Deployment/shop/{name}").parse().unwrap())
    }

    #[test]
    fn whoever_waits_longest_goes_first() {
        let mut admission = Admission::default();
        let rollouts = Scarce::Rollouts;
        assert!(admission.take(&rollouts, &key("a"), 1));
        assert!(!admission.take(&rollouts, &key("b"), 1));
        assert!(!admission.take(&rollouts, &key("c"), 1));
        assert_eq!(admission.next(&rollouts, 1), None);
        admission.give_back(&rollouts);
        assert_eq!(admission.next(&rollouts, 1), Some(&key("b")));
        assert!(!admission.take(&rollouts, &key("c"), 1), "b waits longer");
        assert!(admission.take(&rollouts, &key("b"), 1));
        assert!(!admission.waits(&rollouts, &key("b")));
    }

    #[test]
    fn asking_twice_is_waiting_once() {
        let mut admission = Admission::default();
        let registry = Scarce::Registry("r".into());
        assert!(!admission.take(&registry, &key("a"), 0));
        assert!(!admission.take(&registry, &key("a"), 0));
        admission.leave(&registry, &key("a"));
        assert_eq!(admission.next(&registry, 1), None);
    }
}
