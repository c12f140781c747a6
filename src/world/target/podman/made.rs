//! What must not run beside the old one is made beside it all the same, and not started (rule R13a, step 2).

use std::time::Duration;

use super::Host;
use super::program::Trouble;
use crate::limits::PODMAN_ACT_TIMEOUT;
use crate::pods::Instance;

impl Host<'_> {
    /// What a daemon that was killed had made. It disturbs nobody, and the next rollout removes it at the latest: where
    /// podman does not do it now, that is no reason to try again.
    pub(super) async fn remove_made(&self) {
        if self.in_place().is_some()
            && let Err(trouble) = self.remove_tried().await
        {
            tracing::debug!(?trouble, object = %self.podman.object, "what was made beside it is left");
        }
    }

    /// Has podman make the containers of the new revision with their volumes, and the runtime look for their programs, up
    /// to the point where these would start. What cannot be made refuses the rollout before the old one ends.
    pub(super) async fn make_beside(&self) -> Result<(), Trouble> {
        let request = self.work.request;
        if self.in_place().is_none() || !self.pods.can_be_made_beside() {
            return Ok(());
        }
        let name = self.pods.check_name();
        let made = async {
            // What a daemon that was killed left of the same.
            self.podman.remove(&name, Some(Duration::ZERO)).await?;
            self.podman.provide(self.pods.versions()).await?;
            let document = self.pods.pod(Instance::Check, &request.key, request.revision);
            self.podman.make(&document).await?;
            for container in self.pods.all_containers() {
                let container = format!("{name}-{container}");
                self.podman.act(&["init", &container], &[], PODMAN_ACT_TIMEOUT).await?;
            }
            Ok(())
        };
        let made = made.await;
        self.podman.remove(&name, Some(Duration::ZERO)).await?;
        made.map_err(|trouble: Trouble| match trouble {
            Trouble::Refused(why) => Trouble::Refused(format!("it cannot start: {why}")),
            Trouble::Passing(_) | Trouble::Cancelled => trouble,
        })
    }
}
