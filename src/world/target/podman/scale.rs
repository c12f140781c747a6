//! Instances are added to what runs, or removed; those that stay are not touched (rule D22).

use super::program::Trouble;
use super::{Done, Host, named};
use crate::pods;

impl Host<'_> {
    /// Puts together what is going to run; once that is kept, makes it so.
    pub(super) async fn scale(&self, runs: &str) -> Result<Done, Trouble> {
        if let Some(units) = self.work.target.units {
            return self.scale_unit(units, runs).await;
        }
        if self.work.rendered.is_none() {
            let note = self.pull().await?;
            let rendered = self.pods.rescaled(runs, &self.render());
            return Ok(Done { note, rendered: Some(rendered) });
        }
        self.podman.provide(self.pods.versions()).await?;
        let names = self.names();
        match self.rename(names.as_ref()).await {
            Ok(()) => Ok(Done { note: String::new(), rendered: None }),
            Err(Trouble::Refused(why)) => {
                self.remove_added(runs).await?;
                Err(Trouble::Refused(why))
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Instances that were added and are not healthy go again.
    async fn remove_added(&self, runs: &str) -> Result<(), Trouble> {
        let mut kept = Vec::new();
        for document in pods::documents(runs) {
            kept.push(named(document)?.0);
        }
        let mut added = self.podman.pods().await?;
        added.retain(|pod| !pod.is_check && !pod.is_hook && !kept.contains(&pod.name));
        let names = self.names();
        self.withdraw(names.as_ref(), &added).await
    }
}
