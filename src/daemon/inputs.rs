//! What was handed over for builds, once they have ended.

use crate::fact::Fact;

use super::Daemon;

impl Daemon {
    /// Notes what was handed over for a build that ended.
    pub(super) fn note_input(&mut self, fact: &Fact) {
        let Fact::BuildFinished(finished) = fact else { return };
        let state = self.engine.observed().builds.get(&finished.object);
        let build = state.and_then(|state| state.find(finished.build));
        let input = build.and_then(|build| build.created.options.binary.as_ref());
        self.used_inputs.extend(input.map(|input| input.content));
    }

    /// Takes what was handed over for builds that ended away, unless something else has the same content. Who handed it
    /// over may still hold it: then it goes after a later step.
    pub(super) fn forget_inputs(&mut self) {
        let (observed, store) = (self.engine.observed(), &self.store);
        self.used_inputs.retain(|used| {
            if observed.objects().any(|hash| hash == *used) {
                return false;
            }
            match store.remove(used) {
                Ok(is_gone) => !is_gone,
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::from(error));
                    tracing::warn!(error, "what was handed over for a build is not removed");
                    false
                }
            }
        });
    }
}
