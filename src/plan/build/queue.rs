//! Which builds of one `BuildConfig` may run beside each other (rule B26).

use crate::fact::RunPolicy;
use crate::names::{BuildNumber, Seq};
use crate::observed::build::{Build, BuildsState};
use crate::sabotage::{self, Bug};

/// What the run policies have to say of the builds that wait.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Queue {
    /// Those that are ended unbuilt because a newer one takes their place, each with that one.
    pub(super) superseded: Vec<(Seq, BuildNumber)>,
    /// Those that may start, in the order of their numbers.
    pub(super) ready: Vec<Seq>,
    /// Those that wait, each with the one that it waits for.
    pub(super) behind: Vec<(Seq, BuildNumber)>,
}

/// What the run policies say: that of each build is the one that it was created with.
pub(super) fn queue(state: &BuildsState) -> Queue {
    let mut queue = Queue::default();
    let mut new: Vec<&Build> = state.active().filter(|build| build.started.is_none()).collect();
    new.sort_by_key(|build| build.created.number);
    let policy = |build: &Build| build.created.policy;
    let newest_only = |build: &&&Build| policy(build) == RunPolicy::SerialLatestOnly;
    if let Some(latest) = new.iter().rfind(newest_only).copied() {
        let number = latest.created.number;
        let older = new.iter().filter(|build| build.created.number < number);
        queue.superseded = older.map(|build| (build.seq, number)).collect();
        new.retain(|build| build.created.number >= number);
    }
    // One that starts in this pass keeps others from starting, as one that runs does.
    let mut busy: Vec<&Build> = state.running().collect();
    let mut waits: Option<BuildNumber> = None;
    for build in &new {
        let number = build.created.number;
        let other = match policy(build) {
            RunPolicy::Parallel => busy.iter().find(|b| policy(b) != RunPolicy::Parallel),
            RunPolicy::Serial | RunPolicy::SerialLatestOnly => busy.first(),
        };
        let is_parallel = policy(build) == RunPolicy::Parallel;
        let other = other.filter(|_| !sabotage::is(Bug::IgnoreRunPolicy));
        let other = other.map(|other| other.created.number);
        match other.or(waits.filter(|_| !is_parallel)) {
            Some(other) => {
                queue.behind.push((build.seq, other));
                waits = waits.or(Some(number));
            }
            None => {
                queue.ready.push(build.seq);
                busy.push(build);
            }
        }
    }
    queue
}
