//! The images of revisions that may have to come back (rule R7): a container that was never started holds each, which is
//! what `podman image prune --all` spares. A tag more is not.

use std::collections::BTreeSet;

use super::program::{Podman, Trouble};
use crate::limits::{PODMAN_ACT_TIMEOUT, PODMAN_LOOK_TIMEOUT};
use crate::names::Revision;
use crate::pods::{LABEL_OBJECT, Pods};

/// Label of a container that only holds an image.
const LABEL_KEEP: &str = "tidegate.dev/keep";

impl Podman<'_> {
    /// Holds the images of a revision that runs, and lets go those of revisions that are no longer kept.
    pub(super) async fn keep_images(&self, pods: &Pods, revision: Revision) -> Result<(), Trouble> {
        let kept = self.keepers().await?;
        let object = format!("{LABEL_OBJECT}={}", self.object);
        let keep = format!("{LABEL_KEEP}=true");
        for (at, image) in pods.images().into_iter().enumerate() {
            let name = format!("{}{}-{at}", self.prefix(), revision.0);
            if kept.contains(&name) {
                continue;
            }
            let create = [
                "container",
                "create",
                "--quiet",
                "--pull",
                "never",
                "--network",
                "none",
                "--name",
                &name,
                "--label",
                &object,
                "--label",
                &keep,
                image,
                "/never-started",
            ];
            match self.act(&create, &[], PODMAN_ACT_TIMEOUT).await {
                Ok(_) => {}
                // What runs is healthy, whether or not it can be put back one day.
                Err(Trouble::Refused(why)) => {
                    tracing::warn!(object = %self.object, image, why, "an image is not protected from pruning");
                }
                Err(trouble) => return Err(trouble),
            }
        }
        let number = |name: &str| self.revision_of(name);
        let mut revisions: BTreeSet<u64> = kept.iter().filter_map(|name| number(name)).collect();
        revisions.insert(revision.0);
        let oldest = revisions.iter().rev().take(pods.history).next_back().copied();
        let gone = kept.iter().filter(|name| number(name) < oldest);
        self.drop_keepers(gone).await
    }

    /// Lets all images of the object go.
    pub(super) async fn let_images_go(&self) -> Result<(), Trouble> {
        let kept = self.keepers().await?;
        self.drop_keepers(kept.iter()).await
    }

    async fn drop_keepers(&self, names: impl Iterator<Item = &String>) -> Result<(), Trouble> {
        let mut arguments = vec!["container", "rm", "--force", "--ignore"];
        let fixed = arguments.len();
        arguments.extend(names.map(String::as_str));
        if arguments.len() == fixed {
            return Ok(());
        }
        self.act(&arguments, &[], PODMAN_ACT_TIMEOUT).await.map(drop)
    }

    /// The names of the containers that hold images of the object.
    async fn keepers(&self) -> Result<BTreeSet<String>, Trouble> {
        let object = format!("label={LABEL_OBJECT}={}", self.object);
        let keep = format!("label={LABEL_KEEP}=true");
        let list =
            ["ps", "--all", "--filter", &object, "--filter", &keep, "--format", "{{.Names}}"];
        let listed = self.look(&list, PODMAN_LOOK_TIMEOUT).await?;
        let names = listed.lines().map(str::trim).filter(|name| !name.is_empty());
        Ok(names.map(str::to_owned).collect())
    }

    fn prefix(&self) -> String {
        format!("{}-keep-", self.object.name)
    }

    fn revision_of(&self, name: &str) -> Option<u64> {
        let (revision, _) = name.strip_prefix(&self.prefix())?.split_once('-')?;
        revision.parse().ok()
    }
}
