//! A commit onto a branch that no work tree has: made of objects, the branch moved only from where it was.

use std::path::Path;

use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, Oid, Signature, Time, Tree};

use crate::action::FileEdit;

use super::super::commit_id;
use super::error::{Refusal, WriteError};
use super::{Writer, Written};

impl Writer {
    pub(super) fn commit_bare(
        &self,
        base: Oid,
        edits: &[FileEdit],
        message: &str,
    ) -> Result<Written, WriteError> {
        let author = signature(&self.identity("GIT_AUTHOR_IDENT")?);
        let committer = signature(&self.identity("GIT_COMMITTER_IDENT")?);
        let (Some(author), Some(committer)) = (author, committer) else {
            return Err(Refusal::NoIdentity.into());
        };
        let wrong = |error| self.wrong(error);
        let parent = (base != Oid::ZERO_SHA1).then(|| self.repository.find_commit(base));
        let parent = parent.transpose().map_err(wrong)?;
        let tree = parent.as_ref().map(git2::Commit::tree).transpose().map_err(wrong)?;
        let tree = self.tree(tree.as_ref(), edits).map_err(wrong)?;
        let tree = self.repository.find_tree(tree).map_err(wrong)?;
        let parents: Vec<_> = parent.iter().collect();
        let commit = self
            .repository
            .commit(None, &author, &committer, message, &tree, &parents)
            .map_err(wrong)?;
        let branch = &self.config.branch;
        let name = format!("refs/heads/{branch}");
        let log = "tidegate: edit";
        let moved = match parent {
            Some(_) => self.repository.reference_matching(&name, commit, true, base, log),
            None => self.repository.reference(&name, commit, false, log),
        };
        match moved {
            Ok(_) => Ok(Written { commit: Some((commit_id(commit), branch.clone())) }),
            Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::Exists) => {
                Err(WriteError::Moved(format!("branch `{branch}`")))
            }
            Err(error) if error.code() == ErrorCode::Locked => {
                let lock = self.repository.path().join(format!("{name}.lock"));
                Err(WriteError::Locked { branch: branch.clone(), lock: lock.display().to_string() })
            }
            Err(error) => Err(self.wrong(error)),
        }
    }

    fn tree(&self, base: Option<&Tree<'_>>, edits: &[FileEdit]) -> Result<Oid, git2::Error> {
        let empty;
        let base = match base {
            Some(base) => base,
            None => {
                empty = self.repository.find_tree(self.repository.treebuilder(None)?.write()?)?;
                &empty
            }
        };
        let mut builder = TreeUpdateBuilder::new();
        for edit in edits {
            match &edit.after {
                Some(bytes) => {
                    let known = base.get_path(Path::new(&edit.path));
                    let is_program = known.is_ok_and(|entry| entry.filemode() == 0o100_755);
                    let mode = if is_program { FileMode::BlobExecutable } else { FileMode::Blob };
                    builder.upsert(edit.path.as_str(), self.repository.blob(bytes)?, mode);
                }
                None => {
                    builder.remove(edit.path.as_str());
                }
            }
        }
        builder.create_updated(&self.repository, base)
    }

    /// A file at a commit; none where there is no such file.
    pub(super) fn blob(&self, commit: Oid, path: &str) -> Option<Vec<u8>> {
        let tree = self.repository.find_commit(commit).ok()?.tree().ok()?;
        let entry = tree.get_path(Path::new(path)).ok()?;
        Some(self.repository.find_blob(entry.id()).ok()?.content().to_owned())
    }
}

/// Reads `Ada <ada@example.com> 1767323045 +0100`, as `git var` prints it.
fn signature(text: &str) -> Option<Signature<'static>> {
    let (name, rest) = text.split_once(" <")?;
    let (email, rest) = rest.rsplit_once("> ")?;
    let (seconds, zone) = rest.split_once(' ')?;
    let zone: i32 = zone.parse().ok()?;
    let minutes = zone / 100 * 60 + zone % 100;
    Signature::new(name, email, &Time::new(seconds.parse().ok()?, minutes)).ok()
}
