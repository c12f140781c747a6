//! The work tree as it is on disk, for `tidegate diff --worktree`: what `git add --all` would take.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use git2::{Error, ObjectType, Oid, Repository, Status, StatusOptions};

use crate::action::{SourceFile, SourceSkip};
use crate::limits;

use super::error::{Problem, TreeProblem};
use super::tree::{self, Files, Filter};

/// Reads tracked files and untracked ones that git does not ignore.
pub(super) fn read(
    repository: &Repository,
    paths: &[String],
    ignore_file: &str,
) -> Result<Files, Problem> {
    let shown = repository.path().display().to_string();
    let Some(root) = repository.workdir() else {
        return Err(Problem::NoWorkTree { repository: shown });
    };
    let ignored = match bytes(&root.join(ignore_file))? {
        Some(Content::File(bytes, _)) => bytes,
        Some(Content::Link | Content::Other) | None => None,
    };
    let wrong = |why: TreeProblem| Problem::WorkTree { path: root.display().to_string(), why };
    let filter = Filter::new(paths, ignore_file, ignored.as_deref()).map_err(wrong)?;
    let mut files = Files::default();
    let mut total = 0;
    for path in names(repository).map_err(|error| Problem::git(shown, error))? {
        let path = match String::from_utf8(path) {
            Ok(path) => path,
            Err(error) => {
                let path = String::from_utf8_lossy(error.as_bytes()).into_owned();
                if filter.wants(&path) {
                    files.skipped.push(SourceSkip { path, why: tree::SKIP_NAME });
                }
                continue;
            }
        };
        if !filter.wants(&path) {
            continue;
        }
        if files.changed.len() >= limits::SOURCE_FILES_MAX {
            return Err(wrong(filter.too_many()));
        }
        match bytes(&root.join(&path))? {
            // Deleted, not yet committed.
            None => {}
            Some(Content::Link) => {
                files.skipped.push(SourceSkip { path, why: tree::SKIP_LINK });
            }
            Some(Content::Other) => {
                files.skipped.push(SourceSkip { path, why: tree::SKIP_SUBMODULE });
            }
            Some(Content::File(content, len)) => {
                total += content.as_ref().map_or(0, |content| content.len() as u64);
                if total > limits::SOURCE_BYTES_MAX {
                    return Err(wrong(filter.too_big()));
                }
                let content = content.unwrap_or_default();
                let id = Oid::hash_object(ObjectType::Blob, &content);
                let blob = tree::blob_id(id.map_err(|error| Problem::git(path.as_str(), error))?);
                let fits = len <= limits::MANIFEST_BYTES_MAX as u64;
                let bytes = fits.then(|| Arc::from(content));
                files.changed.push(SourceFile { path, blob, bytes, len });
            }
        }
    }
    files.skipped.sort();
    Ok(files)
}

/// The paths that git tracks or would take, as bytes, sorted.
fn names(repository: &Repository) -> Result<BTreeSet<Vec<u8>>, Error> {
    let mut names: BTreeSet<_> = repository.index()?.iter().map(|entry| entry.path).collect();
    let mut options = StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true);
    options.include_ignored(false).exclude_submodules(true).no_refresh(true);
    for entry in repository.statuses(Some(&mut options))?.iter() {
        if entry.status().contains(Status::WT_NEW) {
            names.insert(entry.path_bytes().to_vec());
        }
    }
    Ok(names)
}

pub(super) enum Content {
    /// The bytes, unless there are too many of them, and how many.
    File(Option<Vec<u8>>, u64),
    Link,
    Other,
}

/// The content of a file; none if there is nothing of this name.
pub(super) fn bytes(path: &Path) -> Result<Option<Content>, Problem> {
    let wrong = |why| Problem::Io { path: path.display().to_string(), why };
    let gone = |error: &std::io::Error| {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        matches!(error.kind(), NotFound | NotADirectory)
    };
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(wrong(error)),
    };
    Ok(Some(if metadata.is_symlink() {
        Content::Link
    } else if !metadata.is_file() {
        Content::Other
    } else if metadata.len() > limits::MANIFEST_BYTES_MAX as u64 {
        Content::File(None, metadata.len())
    } else {
        let content = std::fs::read(path).map_err(wrong)?;
        let len = content.len() as u64;
        Content::File(Some(content), len)
    }))
}
