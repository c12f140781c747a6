//! What may start now: an ordered queue for each scarce thing. Pure.
//!
//! Planning says what should happen; this says when, where there is less room than work. Whoever waits longest goes
//! first, whatever it waited for on its way, and nobody is forgotten: room that is given back is given on at once.

use std::collections::BTreeMap;

use crate::names::Account;
use crate::observed::soft::Rate;
use crate::plan::Key;

/// Something of which there is only so much.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Scarce {
    /// What may be done in a minute.
    Rate(Rate),
    /// Requests that a registry counts.
    Quota(Account),
    /// Checks in flight at one registry, by host.
    Registry(String),
    /// Builds in flight, over all `BuildConfig`s.
    Builds,
    /// Rollouts and stops in flight, over all targets.
    Rollouts,
}

impl Scarce {
    /// Whether it is a place that is taken until it is given back; the rest is counted elsewhere.
    fn is_place(&self) -> bool {
        match self {
            Self::Registry(_) | Self::Builds | Self::Rollouts => true,
            Self::Rate(_) | Self::Quota(_) => false,
        }
    }
}

/// What something needs of a scarce thing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    /// The thing.
    pub scarce: Scarce,
    /// How much of it: one place, or so many requests.
    pub amount: u64,
}

/// Who waits for what.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Admission {
    queues: BTreeMap<Scarce, Queue>,
    tickets: u64,
    /// What waits, in the order in which it began to.
    ticket_of: BTreeMap<Key, u64>,
}

/// What waits for one scarce thing.
#[derive(Clone, PartialEq, Debug, Default)]
struct Queue {
    used: u64,
    waiting: BTreeMap<u64, (Key, u64)>,
}

impl Admission {
    /// Takes all that `key` wants if there is room for it and nobody waits longer for any of it; else queues it for the
    /// first thing that there is not.
    ///
    /// `rooms` says how much there is of each: of places, those that are taken included. Returns whether `key` may
    /// start.
    #[must_use]
    pub fn take(&mut self, key: &Key, wants: &[Want], rooms: impl Fn(&Scarce) -> u64) -> bool {
        let ticket = self.ticket_of.get(key).copied();
        let lacks = |want: &&Want| {
            let Some(queue) = self.queues.get(&want.scarce) else {
                return want.amount > rooms(&want.scarce);
            };
            let first = queue.waiting.first_key_value().map(|(first, _)| *first);
            let is_behind = first.is_some_and(|first| ticket.is_none_or(|ticket| first < ticket));
            is_behind || queue.used.saturating_add(want.amount) > rooms(&want.scarce)
        };
        let lacking = wants.iter().find(lacks);
        self.leave_others(lacking.map(|want| &want.scarce), key);
        if let Some(Want { scarce, amount }) = lacking {
            let ticket = ticket.unwrap_or_else(|| {
                self.tickets += 1;
                self.tickets
            });
            self.ticket_of.insert(key.clone(), ticket);
            let queue = self.queues.entry(scarce.clone()).or_default();
            queue.waiting.insert(ticket, (key.clone(), *amount));
            return false;
        }
        for want in wants.iter().filter(|want| want.scarce.is_place()) {
            self.queues.entry(want.scarce.clone()).or_default().used += want.amount;
        }
        true
    }

    /// Takes a place without asking: for what already runs, such as a rollout that a restart found.
    pub fn occupy(&mut self, scarce: &Scarce) {
        self.queues.entry(scarce.clone()).or_default().used += 1;
    }

    /// Gives a place back.
    pub fn give_back(&mut self, scarce: &Scarce) {
        let queue = self.queues.entry(scarce.clone()).or_default();
        queue.used = queue.used.saturating_sub(1);
    }

    /// Takes `key` out of every queue but that of `scarce`: it wants nothing else.
    pub fn leave_others(&mut self, scarce: Option<&Scarce>, key: &Key) {
        let Some(ticket) = self.ticket_of.get(key).copied() else { return };
        for (_, queue) in self.queues.iter_mut().filter(|(other, _)| Some(*other) != scarce) {
            queue.waiting.remove(&ticket);
        }
        if scarce.is_none() {
            self.ticket_of.remove(key);
        }
    }

    /// Whether `key` waits for anything.
    #[must_use]
    pub fn waits(&self, key: &Key) -> bool {
        self.ticket_of.contains_key(key)
    }

    /// The first in the queue, if there is room for it.
    #[must_use]
    pub fn next(&self, scarce: &Scarce, room: u64) -> Option<&Key> {
        let queue = self.queues.get(scarce)?;
        let (_, (key, amount)) = queue.waiting.first_key_value()?;
        (queue.used.saturating_add(*amount) <= room).then_some(key)
    }

    /// Everything that somebody waits for, with how much of it the first in the queue wants.
    pub fn scarce(&self) -> impl Iterator<Item = (&Scarce, u64)> {
        let first = |queue: &Queue| queue.waiting.first_key_value().map(|(_, (_, amount))| *amount);
        self.queues.iter().filter_map(move |(scarce, queue)| Some((scarce, first(queue)?)))
    }

    /// All that wait for one thing.
    pub fn waiting(&self, scarce: &Scarce) -> impl Iterator<Item = (&Key, u64)> {
        let queue = self.queues.get(scarce).into_iter();
        queue.flat_map(|queue| queue.waiting.values().map(|(key, amount)| (key, *amount)))
    }

    /// How many places are taken.
    #[must_use]
    pub fn used(&self, scarce: &Scarce) -> u64 {
        self.queues.get(scarce).map_or(0, |queue| queue.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::Workload(format!("Deployment/shop/{name}").parse().unwrap())
    }

    fn registry(host: &str) -> Scarce {
        Scarce::Registry(host.into())
    }

    fn take(admission: &mut Admission, scarce: &Scarce, key: &Key, room: u64) -> bool {
        let wants = [Want { scarce: scarce.clone(), amount: 1 }];
        admission.take(key, &wants, |_| room)
    }

    #[test]
    fn whoever_waits_longest_goes_first() {
        let admission = &mut Admission::default();
        let rollouts = Scarce::Rollouts;
        assert!(take(admission, &rollouts, &key("a"), 1));
        assert!(!take(admission, &rollouts, &key("b"), 1));
        assert!(!take(admission, &rollouts, &key("c"), 1));
        assert_eq!(admission.next(&rollouts, 1), None);
        admission.give_back(&rollouts);
        assert_eq!(admission.next(&rollouts, 1), Some(&key("b")));
        assert!(!take(admission, &rollouts, &key("c"), 1), "b waits longer");
        assert!(take(admission, &rollouts, &key("b"), 1));
        assert!(!admission.waits(&key("b")));
    }

    #[test]
    fn what_wants_one_thing_waits_for_no_other() {
        let admission = &mut Admission::default();
        let [old, new] = ["old", "new"].map(registry);
        assert!(!take(admission, &old, &key("a"), 0));
        assert!(!take(admission, &new, &key("a"), 0));
        assert_eq!(admission.next(&old, 1), None);
        assert_eq!(admission.next(&new, 1), Some(&key("a")));
        admission.leave_others(None, &key("a"));
        assert_eq!(admission.scarce().count(), 0);
    }

    #[test]
    fn asking_twice_is_waiting_once() {
        let admission = &mut Admission::default();
        assert!(!take(admission, &registry("r"), &key("a"), 0));
        assert!(!take(admission, &registry("r"), &key("a"), 0));
        admission.leave_others(None, &key("a"));
        assert_eq!(admission.next(&registry("r"), 1), None);
    }

    /// One that waited for its quota does not go to the end of the queue for a place.
    #[test]
    fn what_waited_for_one_thing_keeps_its_turn_in_the_next_queue() {
        let admission = &mut Admission::default();
        let quota = Scarce::Quota("docker.io".parse().unwrap());
        let both = |requests| {
            [
                Want { scarce: quota.clone(), amount: requests },
                Want { scarce: registry("docker.io"), amount: 1 },
            ]
        };
        let rooms = |requests: u64, places: u64| {
            move |scarce: &Scarce| if scarce.is_place() { places } else { requests }
        };
        assert!(!admission.take(&key("first"), &both(2), rooms(1, 0)), "it waits for its quota");
        assert!(!admission.take(&key("second"), &both(0)[1..], rooms(1, 0)));
        assert!(!admission.take(&key("first"), &both(2), rooms(2, 0)), "and for a place");
        assert_eq!(admission.next(&registry("docker.io"), 1), Some(&key("first")));
        assert!(!admission.take(&key("second"), &both(0)[1..], rooms(1, 1)));
        assert!(admission.take(&key("first"), &both(2), rooms(2, 1)));
    }

    /// Else what needs more than others would wait for ever.
    #[test]
    fn what_needs_little_does_not_overtake_what_needs_more() {
        let admission = &mut Admission::default();
        let quota = Scarce::Quota("docker.io".parse().unwrap());
        let want = |amount| [Want { scarce: quota.clone(), amount }];
        assert!(!admission.take(&key("large"), &want(8), |_| 4));
        assert!(!admission.take(&key("small"), &want(2), |_| 4));
        assert_eq!(admission.next(&quota, 4), None);
        assert_eq!(admission.next(&quota, 8), Some(&key("large")));
        assert!(admission.take(&key("large"), &want(8), |_| 8));
        assert_eq!(admission.next(&quota, 2), Some(&key("small")));
    }
}
