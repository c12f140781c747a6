//! Images are pulled before anything is stopped or started (rule R6).

use super::super::super::registry::Registries;
use super::program::{Patience, Podman, Trouble};
use crate::limits::PODMAN_LOOK_TIMEOUT;

impl Podman<'_> {
    /// Looks whether the network is there that pods join.
    pub(super) async fn has_network(&self) -> Result<(), Trouble> {
        if let Some(network) = &self.target.network {
            let found = self.look(&["network", "exists", network], PODMAN_LOOK_TIMEOUT).await;
            found.map_err(|trouble| match trouble {
                Trouble::Refused(_) => Trouble::Passing(format!(
                    "podman has no network `{network}`: make it with `podman network create {network}`"
                )),
                Trouble::Passing(_) | Trouble::Cancelled => trouble,
            })?;
        }
        Ok(())
    }

    /// Whether it had to be pulled.
    pub(super) async fn pull(
        &self,
        image: &str,
        registries: Option<&Registries>,
        patience: Patience,
    ) -> Result<bool, Trouble> {
        let is_pinned = image.contains('@');
        let there = match self.look(&["image", "exists", image], PODMAN_LOOK_TIMEOUT).await {
            Ok(_) => is_pinned,
            Err(Trouble::Refused(_)) => false,
            Err(trouble) => return Err(trouble),
        };
        if !there {
            let lent = match registries {
                Some(registries) => registries.lend(image, &self.object.namespace).await,
                None => None,
            };
            // The login is in no argument, and in no file that somebody else could open.
            let pulled = match lent {
                Some(login) => {
                    let pull = ["pull", "--quiet", "--authfile", "/dev/stdin", image];
                    self.act(&pull, &login, patience).await
                }
                None => self.act(&["pull", "--quiet", image], &[], patience).await,
            };
            // A registry that is gone or says no is no verdict about the image (rule T25).
            pulled.map_err(|trouble| match &trouble {
                Trouble::Refused(why) => Trouble::Passing(format!("cannot pull {image}: {why}")),
                Trouble::Passing(_) | Trouble::Cancelled => trouble,
            })?;
        }
        let arguments = ["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", image];
        let built = self.look(&arguments, PODMAN_LOOK_TIMEOUT).await?;
        let format = "{{.Host.OS}}/{{.Host.Arch}}";
        let host = self.look(&["info", "--format", format], PODMAN_LOOK_TIMEOUT).await?;
        if let Some(built) = platform("podman image inspect", &built)?
            && let Some(host) = platform("podman info", &host)?
            && built != host
        {
            return Err(Trouble::Refused(format!(
                "{image} is built for {built}, and this host is {host}"
            )));
        }
        Ok(!there)
    }
}

/// A platform, `OS/ARCHITECTURE`; none where nobody said of what the image is.
pub(super) fn platform<'a>(command: &str, said: &'a str) -> Result<Option<&'a str>, Trouble> {
    let said = said.trim();
    let is_word = |word: &str| {
        word.len() <= 32 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    match said.split_once('/') {
        _ if said.is_empty() => Ok(None),
        Some((os, architecture)) if is_word(os) && is_word(architecture) => Ok(Some(said)),
        Some(_) | None => Err(Trouble::Passing(format!("{command} printed what is no platform"))),
    }
}
