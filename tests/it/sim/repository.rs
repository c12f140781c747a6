//! The repository: what git asks for, and everything that people do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate::action::{SourceFailure, SourceRead};
use tidegate::desired::{ImageStream, Tree};
use tidegate::names::{CommitId, StreamName};
use tidegate::policy::Policy;

use super::rng::Rng;
use crate::support::engine::{LINK, source_read};
use crate::support::manifest;

/// Every image that a tag may name: two registries.
pub(crate) const IMAGES: [&str; 5] =
    ["r0.io/a:1", "r0.io/a:2", "r1.io/b:1", "r1.io/b:2", "r1.io/c:1"];

/// Images of tags with schedules of their own; nobody edits those.
pub(crate) const OTHERS: [&str; 2] = ["r1.io/slow:1", "r0.io/cron:1"];

/// Tags of the repository that one stream imports whole; it takes two of them.
pub(crate) const LISTED: [&str; 3] = ["r1.io/all:latest", "r1.io/all:v1", "r1.io/all:v2"];

/// What one object is.
#[derive(Clone, PartialEq, Debug)]
struct Thing {
    /// The line without what changes.
    head: &'static str,
    image: usize,
    scheduled: bool,
    env: u64,
    replicas: u64,
    paused: bool,
    present: bool,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Good,
    Invalid,
    Garbage,
    /// Its kind is misspelt.
    Slip,
    /// A symbolic link stands in the place of its file.
    Link,
}

/// The objects: streams first.
const HEADS: [&str; 19] = [
    "is s0",
    "is s1 history=1",
    "is s2 history=2",
    "is s3 repository=r1.io/all limit=2 prune=vanished-tags schedule=20m",
    "dc w0 app<s0:t interval=10m",
    "dc w1 app<s0:t side<s1:t age=10m",
    "deploy w2 app<s2:follow noverify target=host",
    "dc w3 app<s1:t noconfig retry=0 target=host tags=app:s0:kept",
    "pod w4 app<s2:chain prune=false window=*/15_*_*_*_*_5m target=host",
    "deploy w6 app<s3:v2",
    "cj w7 app<s0:t cron=*/5_*_*_*_* policy=Forbid backoff=0 deadline=900 target=host",
    "deploy w5 app<s2:pushed init:one<s0:t ns=else",
    "dc w8 app<s1:t recreate retry=0 target=host",
    "deploy w9 app<s1:t roll=0/1 retry=0 target=host",
    "is s4 push=r1.io/made",
    "bc b0 from=tag:s0:t to=s4:made config watch",
    "bc b1 from=tag:s4:made to=s4:again watch watches=s1:t run=Parallel",
    "bc b2 from=tag:s0:t to=s4:ring watch watches=s4:ring run=SerialLatestOnly",
    "deploy wb app<s4:again",
];

/// Those whose instances are replaced a few at a time: some beside the old ones, or some in their place.
const ROLLED: [&str; 2] = ["deploy w2", "deploy w9"];

/// A repository with its history.
#[derive(Debug)]
pub(crate) struct Repository {
    things: Vec<Thing>,
    pub(crate) commits: BTreeMap<CommitId, BTreeMap<String, String>>,
    /// Heads that the branch had.
    past: Vec<CommitId>,
    pub(crate) head: Option<CommitId>,
    pub(crate) reachable: bool,
    pub(crate) forced: bool,
    /// Commits whose tree cannot be used.
    refused: BTreeSet<CommitId>,
}

impl Repository {
    pub(crate) fn new() -> Self {
        let thing = |(i, head): (usize, &&'static str)| Thing {
            head,
            image: i % IMAGES.len(),
            scheduled: true,
            env: 0,
            replicas: if ROLLED.iter().any(|rolled| head.starts_with(rolled)) { 3 } else { 1 },
            paused: false,
            present: true,
            state: State::Good,
        };
        let things = HEADS.iter().enumerate().map(thing).collect();
        let (commits, past) = (BTreeMap::new(), Vec::new());
        let (reachable, forced, refused) = (true, false, BTreeSet::new());
        let mut new = Self { things, commits, past, head: None, reachable, forced, refused };
        new.commit();
        new
    }

    fn line(thing: &Thing) -> String {
        let Thing { head, image, scheduled, env, replicas, paused, .. } = thing;
        let paused = if *paused { " paused" } else { "" };
        if head.starts_with("pod") {
            // It has one instance; what changes is an annotation.
            return format!("{head} env={env} retry={replicas}{paused}");
        }
        if head.starts_with("bc") {
            return format!("{head} env={env} keeps={replicas}{paused}");
        }
        if !head.starts_with("is") {
            return format!("{head} env={env} replicas={replicas}{paused}");
        }
        let option = if *scheduled { ",scheduled" } else { "" };
        let image = IMAGES[*image];
        let more = if head.starts_with("is s2") {
            " follow=tag:s0:t,local chain=tag:follow pushed=r1.io/c:1,insecure,scheduled \
              slow=r1.io/slow:1,scheduled,every:40m cron=r0.io/cron:1,scheduled,every:*/30_*_*_*_*"
        } else {
            ""
        };
        format!("{head} t={image}{option}{more} label={env}{paused}")
    }

    fn files(&self) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for thing in self.things.iter().filter(|thing| thing.present) {
            let line = Self::line(thing);
            let mut one = match thing.state {
                State::Good | State::Garbage | State::Slip | State::Link => manifest::files(&line),
                State::Invalid => manifest::files(&format!("bad {line}")),
            };
            for text in one.values_mut() {
                match thing.state {
                    State::Good | State::Invalid => {}
                    State::Garbage => *text = "kind: [unclosed".into(),
                    State::Slip => *text = text.replacen("\nkind: ", "\nkind: X", 1),
                    State::Link => *text = LINK.into(),
                }
            }
            files.append(&mut one);
        }
        files
    }

    /// Makes a commit of what the things are now.
    pub(crate) fn commit(&mut self) {
        let id = format!("{:040x}", self.commits.len() + 1).parse().unwrap();
        self.commits.insert(id, self.files());
        self.past.push(id);
        self.head = Some(id);
    }

    /// Somebody edits one or two objects and commits.
    pub(crate) fn edit(&mut self, rng: &mut Rng) -> String {
        let mut told = Vec::new();
        for _ in 0..=rng.below(2) {
            let at = rng.place(self.things.len());
            let (what, thing) = (rng.below(11), &mut self.things[at]);
            match what {
                0..=2 => thing.env += 1,
                3 | 4 => thing.image = rng.place(IMAGES.len()),
                5 => thing.scheduled = !thing.scheduled,
                6 => thing.paused = !thing.paused,
                7 => thing.present = !thing.present,
                10 => thing.replicas = *rng.pick(&[0, 1, 2, 3, 5]),
                8 => thing.state = *rng.pick(&[State::Good, State::Good, State::Invalid]),
                _ => {
                    let states =
                        [State::Good, State::Good, State::Garbage, State::Slip, State::Link];
                    thing.state = *rng.pick(&states);
                }
            }
            told.push(format!("{} {:?}", Self::line(thing), (thing.present, thing.state)));
        }
        self.commit();
        told.join("; ")
    }

    /// Somebody commits an empty tree.
    pub(crate) fn empty(&mut self) {
        let saved: Vec<_> = self.things.iter().map(|thing| thing.present).collect();
        for thing in &mut self.things {
            thing.present = false;
        }
        self.commit();
        for (thing, present) in self.things.iter_mut().zip(saved) {
            thing.present = present;
        }
    }

    /// Somebody commits what cannot be read as a tree of manifests.
    pub(crate) fn refused(&mut self) {
        self.commit();
        self.refused.extend(self.head);
    }

    /// Somebody pushes an old commit with force.
    pub(crate) fn force_back(&mut self, rng: &mut Rng) {
        self.head = Some(*rng.pick(&self.past));
        self.forced = true;
    }

    /// Everything is repaired and there again.
    pub(crate) fn repair(&mut self) {
        self.reachable = true;
        for thing in &mut self.things {
            thing.state = State::Good;
            thing.present = true;
            thing.paused = false;
        }
        self.commit();
    }

    /// What reading it gives.
    pub(crate) fn read(&self, base: Option<CommitId>) -> Result<Box<SourceRead>, SourceFailure> {
        let head = self.head.filter(|_| self.reachable);
        let message = "cannot fetch: connection refused".into();
        let head = head.ok_or(SourceFailure { commit: None, message })?;
        if self.refused.contains(&head) {
            let message = "the tree has more files than are read".into();
            return Err(SourceFailure { commit: Some(head), message });
        }
        let mut read = source_read(&self.commits, head, base);
        read.forced = self.forced;
        Ok(Box::new(read))
    }

    /// A stream as the manifests of a commit have it; none where it is not there or cannot be read.
    pub(crate) fn stream(&self, commit: CommitId, name: &StreamName) -> Option<Arc<ImageStream>> {
        let mut tree = Tree::default();
        tree.apply(&source_read(&self.commits, commit, None), &Policy::default());
        tree.assemble().streams.get(name).cloned()
    }

    /// Paths of a commit.
    pub(crate) fn paths(&self, commit: CommitId) -> BTreeSet<&str> {
        self.commits[&commit].keys().map(String::as_str).collect()
    }
}
