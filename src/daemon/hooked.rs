//! What the listener for webhooks is told of a `BuildConfig`.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::Daemon;
use crate::desired::BuildConfig;
use crate::names::{CommitId, ObjectKey};
use crate::world::target::ReadConfigs;

/// A question about a `BuildConfig`.
#[derive(Debug)]
pub struct HookAsked {
    /// Which.
    pub object: ObjectKey,
    /// Where the answer goes.
    pub answer: oneshot::Sender<HookKnown>,
}

/// What is known of it.
pub struct HookKnown {
    /// It; none where there is none.
    pub build: Option<Arc<BuildConfig>>,
    /// The commit whose `Secret`s count.
    pub commit: Option<CommitId>,
    /// Reads them.
    pub configs: ReadConfigs,
    /// `strict_openshift`.
    pub strict: bool,
}

impl fmt::Debug for HookKnown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let object = self.build.as_ref().map(|build| &build.object);
        f.debug_struct("HookKnown").field("object", &object).finish_non_exhaustive()
    }
}

impl Daemon {
    pub(super) fn tell_hook(&self, asked: HookAsked) {
        let HookAsked { object, answer } = asked;
        let known = HookKnown {
            build: self.engine.desired().builds.get(&object).cloned(),
            commit: self.engine.observed().adopted.as_ref().map(|adopted| adopted.commit),
            configs: self.world.targets.configs(),
            strict: self.engine.policy().strict_openshift,
        };
        drop(answer.send(known)); // who asked may have gone
    }
}
