//! Which builds an image reaches, and what they make: the graph of stream tags and `BuildConfig`s (rules B16, C13).

use std::collections::BTreeSet;

use crate::desired::{BuildConfig, DesiredState};
use crate::names::{Namespace, ObjectKey, StreamTag};

/// A point of the graph.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Link {
    /// A tag of a stream.
    Tag(StreamTag),
    /// A `BuildConfig`.
    Build(ObjectKey),
    /// A workload that a tag rolls out.
    Workload(ObjectKey),
}

/// How one leads to the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Edge {
    /// A build makes the tag.
    Output,
    /// A build is made of the tag.
    Input,
    /// A build is started by the tag.
    Trigger,
    /// A workload is rolled out by the tag.
    Rollout,
}

/// What of the graph is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// What git says.
    pub desired: &'a DesiredState,
    /// The one namespace whose builds count; none for all.
    pub namespace: Option<&'a Namespace>,
    /// Whether only what starts a build leads to it, and not what it is merely made of.
    pub trigger_only: bool,
    /// Whether it is followed from what is made to what it is made of.
    pub reverse: bool,
    /// Whether workloads are part of it.
    pub workloads: bool,
}

impl<'a> Chain<'a> {
    fn builds(self) -> impl Iterator<Item = &'a BuildConfig> {
        let all = self.desired.builds.values().map(AsRef::as_ref);
        let is_in = move |build: &&BuildConfig| {
            self.namespace.is_none_or(|namespace| build.object.namespace == *namespace)
        };
        all.filter(is_in)
    }

    /// How a tag leads to a build; nothing if it does not.
    fn ways(self, tag: &StreamTag, build: &BuildConfig) -> Vec<Edge> {
        let is_input = !self.trigger_only && build.inputs.contains(tag);
        let is_trigger = build.triggers.iter().any(|trigger| trigger.from == *tag);
        let ways = [(Edge::Input, is_input), (Edge::Trigger, is_trigger)];
        ways.into_iter().filter(|(_, is)| *is).map(|(edge, _)| edge).collect()
    }

    /// Whether any build that counts names the tag, in whichever part.
    #[must_use]
    pub fn knows(self, tag: &StreamTag) -> bool {
        let names = |build: &BuildConfig| {
            build.output.as_ref() == Some(tag) || build.reads().any(|read| read == tag)
        };
        self.builds().any(names) || (self.workloads && self.rolls_out(tag).next().is_some())
    }

    fn rolls_out(self, tag: &StreamTag) -> impl Iterator<Item = &'a ObjectKey> {
        let is_led = |triggers: &[crate::desired::ImageTrigger]| {
            triggers.iter().any(|trigger| trigger.from == *tag)
        };
        let all = self.desired.workloads.values();
        let all = all.filter(move |workload| is_led(&workload.triggers));
        all.map(|workload| &workload.object)
    }

    /// What a point leads to, and how; builds and workloads in the order of their names.
    #[must_use]
    pub fn next(self, from: &Link) -> Vec<(Link, Vec<Edge>)> {
        match from {
            Link::Tag(tag) if self.reverse => {
                let makes = self.builds().filter(|build| build.output.as_ref() == Some(tag));
                makes.map(|build| (Link::Build(build.object.clone()), vec![Edge::Output])).collect()
            }
            Link::Tag(tag) => {
                let builds = self.builds().filter_map(|build| {
                    let ways = self.ways(tag, build);
                    (!ways.is_empty()).then(|| (Link::Build(build.object.clone()), ways))
                });
                let workloads = self.workloads.then(|| self.rolls_out(tag)).into_iter().flatten();
                let workloads =
                    workloads.map(|object| (Link::Workload(object.clone()), vec![Edge::Rollout]));
                builds.chain(workloads).collect()
            }
            Link::Build(object) => {
                let Some(build) = self.desired.builds.get(object) else { return Vec::new() };
                if !self.reverse {
                    let made = build.output.iter();
                    return made.map(|tag| (Link::Tag(tag.clone()), vec![Edge::Output])).collect();
                }
                let mut seen = BTreeSet::new();
                let read = build.reads().filter(|tag| seen.insert(*tag));
                let read = read.map(|tag| (Link::Tag(tag.clone()), self.ways(tag, build)));
                read.filter(|(_, ways)| !ways.is_empty()).collect()
            }
            Link::Workload(_) => Vec::new(),
        }
    }

    /// The way from a tag back to itself; none where it leads nowhere but on.
    #[must_use]
    pub fn cycle(self, tag: &StreamTag) -> Option<Vec<Link>> {
        let start = Link::Tag(tag.clone());
        let mut known = BTreeSet::from([start.clone()]);
        let mut ways = vec![vec![start.clone()]];
        while let Some(way) = ways.pop() {
            let Some(last) = way.last() else { continue };
            for (next, _) in self.next(last).into_iter().rev() {
                let is_back = next == start;
                let is_new = known.insert(next.clone());
                let longer: Vec<Link> = way.iter().cloned().chain([next]).collect();
                if is_back {
                    return Some(longer);
                }
                if is_new {
                    ways.push(longer);
                }
            }
        }
        None
    }
}
