//! Files of a work tree, written whole, and taken back when that was in vain.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::action::FileEdit;

use super::error::{Refusal, WriteError};

/// What was written.
pub(super) struct Files<'a> {
    root: &'a Path,
    written: Vec<&'a FileEdit>,
}

impl<'a> Files<'a> {
    /// Writes files, all or none, if each is what it was when it was read.
    pub(super) fn write(root: &'a Path, edits: &'a [FileEdit]) -> Result<Self, WriteError> {
        for edit in edits {
            refuse_links(root, &edit.path)?;
        }
        let mut files = Self { root, written: Vec::new() };
        for edit in edits {
            let found = content(&root.join(&edit.path), &edit.path);
            let done = found.and_then(|found| {
                if found != edit.before {
                    return Err(WriteError::Moved(format!("`{}`", edit.path)));
                }
                put(root, &edit.path, edit.after.as_deref())
            });
            if let Err(error) = done {
                let left = files.restore();
                return Err(if left.is_empty() { error } else { error.with_left(&left) });
            }
            files.written.push(edit);
        }
        Ok(files)
    }

    /// Makes the files what they were, but for those that somebody changed since; names these.
    pub(super) fn restore(&self) -> Vec<String> {
        let mut left = Vec::new();
        for edit in &self.written {
            let path = self.root.join(&edit.path);
            let is_ours = content(&path, &edit.path).is_ok_and(|content| content == edit.after);
            if !is_ours || put(self.root, &edit.path, edit.before.as_deref()).is_err() {
                left.push(edit.path.clone());
            }
        }
        left
    }
}

fn wrong(path: &str, why: std::io::Error) -> WriteError {
    Refusal::Io { path: path.to_owned(), why }.into()
}

/// A path through a link leads out of the work tree, or into it twice.
fn refuse_links(root: &Path, path: &str) -> Result<(), WriteError> {
    let mut whole = PathBuf::from(root);
    for part in path.split('/') {
        whole.push(part);
        if whole.is_symlink() || matches!(part, "" | "." | ".." | ".git") {
            return Err(Refusal::Link { path: path.to_owned() }.into());
        }
    }
    Ok(())
}

fn content(full: &Path, path: &str) -> Result<Option<Vec<u8>>, WriteError> {
    match std::fs::read(full) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(wrong(path, error)),
    }
}

/// Gives a file a content, at once; or removes it, and the folders that are empty then, as git does.
fn put(root: &Path, path: &str, content: Option<&[u8]>) -> Result<(), WriteError> {
    let full = root.join(path);
    let folder = full.parent().unwrap_or(root);
    let Some(content) = content else {
        std::fs::remove_file(&full).map_err(|error| wrong(path, error))?;
        let folders = folder.ancestors().take_while(|folder| *folder != root);
        for folder in folders {
            // One that is not empty ends it.
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
        return Ok(());
    };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mode = std::fs::metadata(&full).map_or(0o666, |known| known.permissions().mode());
        let permissions = std::fs::Permissions::from_mode(mode & 0o777);
        let mut builder = tempfile::Builder::new();
        let mut new =
            builder.prefix(".tidegate-").permissions(permissions.clone()).tempfile_in(folder)?;
        new.write_all(content)?;
        if full.exists() {
            new.as_file().set_permissions(permissions)?; // whatever the umask says
        }
        new.as_file().sync_all()?;
        new.persist(&full).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| wrong(path, error))
}
