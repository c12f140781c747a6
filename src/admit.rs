//! What may start now: an ordered queue for each scarce thing. Pure.
//!
//! Planning says what should happen; this says when, where there is less room than work. Whoever waits longest goes
//! first, and nobody is forgotten: a place that is given back is given on at once.

use std::collections::BTreeMap;

use crate::plan::Key;

/// Something of which there is only so much.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scarce {
    /// Checks in flight at one registry, by host.
    Registry(String),
    /// Rollouts and stops in flight, over all targets.
    Rollouts,
}

/// Who waits for what.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Admission {
    queues: BTreeMap<Scarce, Queue>,
}

/// What waits for one scarce thing, in the order in which it came.
#[derive(Clone, PartialEq, Debug, Default)]
struct Queue {
    used: usize,
    tickets: u64,
    waiting: BTreeMap<u64, Key>,
    ticket_of: BTreeMap<Key, u64>,
}

impl Queue {
    fn first(&self) -> Option<&Key> {
        self.waiting.first_key_value().map(|(_, key)| key)
    }

    fn leave(&mut self, key: &Key) {
        if let Some(ticket) = self.ticket_of.remove(key) {
            self.waiting.remove(&ticket);
        }
    }
}

impl Admission {
    /// Takes a place for `key` if there is one and nobody waits longer; else queues it.
    ///
    /// Returns whether `key` may start.
    #[must_use]
    pub fn take(&mut self, scarce: &Scarce, key: &Key, places: usize) -> bool {
        let queue = self.queue(scarce);
        if queue.used < places && queue.first().is_none_or(|first| first == key) {
            queue.leave(key);
            queue.used += 1;
            return true;
        }
        if !queue.ticket_of.contains_key(key) {
            queue.tickets += 1;
            queue.waiting.insert(queue.tickets, key.clone());
            queue.ticket_of.insert(key.clone(), queue.tickets);
        }
        false
    }

    fn queue(&mut self, scarce: &Scarce) -> &mut Queue {
        self.queues.entry(scarce.clone()).or_default()
    }

    /// Takes a place without asking: for what already runs, such as a rollout that a restart found.
    pub fn occupy(&mut self, scarce: &Scarce) {
        self.queue(scarce).used += 1;
    }

    /// Gives a place back.
    pub fn give_back(&mut self, scarce: &Scarce) {
        let queue = self.queue(scarce);
        queue.used = queue.used.saturating_sub(1);
    }

    /// Takes `key` out of every queue but that of `scarce`: it wants nothing else.
    pub fn leave_others(&mut self, scarce: Option<&Scarce>, key: &Key) {
        for (_, queue) in self.queues.iter_mut().filter(|(other, _)| Some(*other) != scarce) {
            queue.leave(key);
        }
    }

    /// Whether `key` waits for anything.
    #[must_use]
    pub fn waits(&self, key: &Key) -> bool {
        self.queues.values().any(|queue| queue.ticket_of.contains_key(key))
    }

    /// The first in the queue, if there is a place for it.
    #[must_use]
    pub fn next(&self, scarce: &Scarce, places: usize) -> Option<&Key> {
        self.queues.get(scarce).filter(|queue| queue.used < places)?.first()
    }

    /// Everything that somebody waits for.
    pub fn scarce(&self) -> impl Iterator<Item = &Scarce> {
        self.queues.iter().filter(|(_, queue)| !queue.waiting.is_empty()).map(|(scarce, _)| scarce)
    }

    /// How many places are taken.
    #[must_use]
    pub fn used(&self, scarce: &Scarce) -> usize {
        self.queues.get(scarce).map_or(0, |queue| queue.used)
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
        assert!(!admission.waits(&key("b")));
    }

    #[test]
    fn what_wants_one_thing_waits_for_no_other() {
        let mut admission = Admission::default();
        let [old, new] = ["old", "new"].map(|host| Scarce::Registry(host.into()));
        assert!(!admission.take(&old, &key("a"), 0));
        assert!(!admission.take(&new, &key("a"), 0));
        admission.leave_others(Some(&new), &key("a"));
        assert_eq!(admission.next(&old, 1), None);
        assert_eq!(admission.next(&new, 1), Some(&key("a")));
        admission.leave_others(None, &key("a"));
        assert_eq!(admission.scarce().count(), 0);
    }

    #[test]
    fn asking_twice_is_waiting_once() {
        let mut admission = Admission::default();
        let registry = Scarce::Registry("r".into());
        assert!(!admission.take(&registry, &key("a"), 0));
        assert!(!admission.take(&registry, &key("a"), 0));
        admission.leave_others(None, &key("a"));
        assert_eq!(admission.next(&registry, 1), None);
    }
}
