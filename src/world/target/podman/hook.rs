//! Hooks as containers beside the workload, each of which runs once (rules R16, D40).

use std::time::Duration;

use super::Host;
use super::ended::{CUT_SHORT, End, not_told};
use super::program::Trouble;
use crate::fact::RolloutStep;
use crate::pods::{FailurePolicy, HookEnd};

/// How long after its end a hook runs again (rule R16); then twice as long, up to the other.
const HOOK_RETRY_FIRST: Duration = Duration::from_secs(5);
const HOOK_RETRY_MAX: Duration = Duration::from_secs(60);

impl Host<'_> {
    /// Runs a hook to its end; one that ran already is not run again (rules D40.3, D40.4).
    pub(super) async fn hook(&self, step: RolloutStep) -> Result<String, Trouble> {
        let request = self.work.request;
        let document = self.pods.hook_pod(step, &request.key, request.revision);
        let (Some(hook), Some(document)) = (self.pods.hook(step), document) else {
            return Err(Trouble::Refused("the hook names a container that there is not".into()));
        };
        let [pod, container] = self.pods.hook_name(step, request.revision);
        let (mut pause, mut failed) = (HOOK_RETRY_FIRST, 0_u32);
        let mut last = String::new();
        loop {
            let why = self.run_hook(&pod, &container, &document).await?;
            let said = |end: HookEnd<'_>| self.pods.hook_said(step, request.revision, end);
            let Some(why) = why else {
                let before = match failed {
                    0 => String::new(),
                    1 => format!("; before that it failed once: {last}"),
                    n => format!("; before that it failed {n} times, at last: {last}"),
                };
                return Ok(said(HookEnd::Succeeded) + &before);
            };
            match hook.policy {
                FailurePolicy::Abort => return Err(Trouble::Refused(said(HookEnd::Failed(&why)))),
                FailurePolicy::Ignore => return Ok(said(HookEnd::Ignored(&why))),
                FailurePolicy::Retry => {
                    (failed, last) = (failed.saturating_add(1), why);
                    self.podman.remove(&pod, Some(Duration::ZERO)).await?;
                    let until = tokio::time::Instant::now() + pause;
                    tokio::select! {
                        () = tokio::time::sleep_until(until) => {}
                        () = self.podman.cancel.cancelled() => return Err(Trouble::Cancelled),
                    }
                    pause = pause.saturating_mul(2).min(HOOK_RETRY_MAX);
                }
            }
        }
    }

    /// Runs a hook that has not run, and says how it failed.
    async fn run_hook(
        &self,
        pod: &str,
        container: &str,
        document: &str,
    ) -> Result<Option<String>, Trouble> {
        match self.podman.ended(container).await? {
            End::CutShort => return Ok(Some(CUT_SHORT.to_owned())),
            End::With(_) | End::Unknown => {}
            // What a crash left half made never ends.
            End::NotStarted => {
                self.podman.remove(pod, Some(Duration::ZERO)).await?;
                self.podman.play(document, &[]).await?;
            }
            End::Gone => self.podman.play(document, &[]).await?,
        }
        // It may run as long as the rollout may.
        let waited = self.podman.look(&["wait", container], self.pods.deadline).await?;
        match waited.trim().parse::<i64>() {
            Ok(0) => Ok(None),
            Ok(status) => Ok(Some(format!("exit status {status}"))),
            Err(_) => Err(not_told(container)),
        }
    }
}
