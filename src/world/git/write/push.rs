//! Pushing a branch: an ordinary push, which the other side refuses if its branch is not where ours began.
//!
//! Nothing is ever forced: of a lease that is the stronger half, because a branch that somebody rewound on purpose stays
//! so as well.

use std::ffi::OsString;

use crate::world::git::program;

use super::error::{Refusal, WriteError};
use super::{Writer, local};

impl Writer {
    /// Looks whether there is anywhere to push to, before anything is written.
    ///
    /// # Errors
    /// When there is no remote.
    pub fn check_push(&self) -> Result<(), WriteError> {
        let remotes = self.repository.remotes().map_err(|error| self.wrong(error))?;
        if remotes.is_empty() { Err(Refusal::NoRemote.into()) } else { Ok(()) }
    }

    /// Pushes the branch and says where to.
    ///
    /// # Errors
    /// When it is refused, with the reason that git gives; the commit stays.
    pub fn push(&self) -> Result<String, WriteError> {
        let branch = if self.is_bare() {
            self.config.branch.clone()
        } else {
            let repository = git2::Repository::open(self.repository.path());
            let repository = repository.map_err(|error| self.wrong(error))?;
            local::head(&repository, "", &self.shown())?.branch
        };
        let (remote, target) = self.upstream(&branch)?;
        let refs = format!("refs/heads/{branch}:{target}");
        let words = ["push", "--quiet", "--no-recurse-submodules", "--", &remote, &refs];
        let folder = self.root.as_deref().unwrap_or(self.repository.path());
        let said = self.git(folder, words.iter().map(OsString::from))?;
        if said.status.success() {
            return Ok(remote);
        }
        let said = super::super::address::redact(&program::said(&said.stderr));
        Err(Refusal::Push { said: said.trim_end_matches('.').to_owned() }.into())
    }

    /// The remote and the branch there: as set for the branch, else `origin` or the only remote, and the same name.
    fn upstream(&self, branch: &str) -> Result<(String, String), WriteError> {
        let config = self.repository.config().and_then(|mut config| config.snapshot());
        let config = config.map_err(|error| self.wrong(error))?;
        let text = |key: &str| config.get_string(key).ok();
        let same = format!("refs/heads/{branch}");
        let own =
            text(&format!("branch.{branch}.pushRemote")).or_else(|| text("remote.pushDefault"));
        let tracked = text(&format!("branch.{branch}.remote")).filter(|remote| remote != ".");
        if let Some(remote) = own {
            return Ok((remote, same));
        }
        if let Some(remote) = tracked {
            return Ok((remote, text(&format!("branch.{branch}.merge")).unwrap_or(same)));
        }
        let remotes = self.repository.remotes().map_err(|error| self.wrong(error))?;
        let names: Vec<&str> = remotes.iter().flatten().flatten().collect();
        let remote = names.iter().find(|name| **name == "origin").or(names.first());
        let remote = remote.ok_or(Refusal::NoRemote)?;
        Ok(((*remote).to_owned(), same))
    }
}
