//! Files on disk as a commit of them would be read, for `tidegate check`: the same filter, the same things skipped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::Repository;

use crate::action::{SourceFailure, SourceFile, SourceSkip};
use crate::limits;
use crate::names::BlobId;

use super::error::{Problem, TreeProblem};
use super::tree::{self, Filter};
use super::worktree::{self, Content};

/// What was found on disk; paths are those from the root.
#[derive(Default)]
pub(crate) struct Folder {
    /// Sorted by path.
    pub(crate) files: Vec<SourceFile>,
    /// Sorted by path.
    pub(crate) skipped: Vec<SourceSkip>,
    /// What was asked for and is left out by the ignore file.
    pub(crate) ignored: Vec<String>,
}

/// Which files of a source are read.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// `source.paths`; what is asked for outside of them is read all the same.
    pub(crate) paths: &'a [String],
    /// Name of the ignore file at the root.
    pub(crate) ignore_file: &'a str,
    /// Whether the content of a file of this name matters.
    pub(crate) name: fn(&str) -> bool,
}

/// The root of the work tree that a folder is in.
pub(crate) fn work_tree_of(folder: &Path) -> Option<PathBuf> {
    let repository = Repository::discover(folder).ok()?;
    repository.workdir()?.canonicalize().ok()
}

/// Reads files, and folders with everything below them, that are given as paths from the root.
pub(crate) fn read_folder(
    root: &Path,
    starts: &[String],
    wanted: Wanted<'_>,
) -> Result<Folder, SourceFailure> {
    let wrong = |why: TreeProblem| Problem::WorkTree { path: root.display().to_string(), why };
    let ignored = match worktree::bytes(&root.join(wanted.ignore_file))? {
        Some(Content::File(bytes, _)) => bytes,
        Some(Content::Link | Content::Other) | None => None,
    };
    let filter = |paths: &[String]| {
        Filter::new(paths, wanted.ignore_file, ignored.as_deref()).map_err(wrong)
    };
    let (narrow, wide) = (filter(wanted.paths)?, filter(&[])?);
    let mut walk = Walk { root, wanted, filter: &wide, bytes: 0, found: Folder::default() };
    for start in starts {
        walk.filter = if narrow.is_near(start) { &narrow } else { &wide };
        let is_folder = start.is_empty() || root.join(start).is_dir();
        if !start.is_empty() && !walk.filter.wants_start(start, is_folder) {
            walk.found.ignored.push(start.clone());
        } else if is_folder {
            walk.folder(start, 0)?;
        } else {
            walk.file(start.clone())?;
        }
    }
    let mut found = walk.found;
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.files.dedup_by(|a, b| a.path == b.path);
    found.skipped.sort();
    found.skipped.dedup();
    Ok(found)
}

struct Walk<'a> {
    root: &'a Path,
    wanted: Wanted<'a>,
    filter: &'a Filter,
    bytes: u64,
    found: Folder,
}

impl Walk<'_> {
    fn folder(&mut self, path: &str, depth: usize) -> Result<(), Problem> {
        let full = self.root.join(path);
        let wrong = |why| Problem::Io { path: full.display().to_string(), why };
        for entry in std::fs::read_dir(&full).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let name = entry.file_name();
            let shown = name.to_string_lossy();
            let path = if path.is_empty() { shown.to_string() } else { format!("{path}/{shown}") };
            let is_folder = entry.file_type().map_err(wrong)?.is_dir();
            let wants = if is_folder {
                shown != ".git" && self.filter.wants_folder(&path)
            } else {
                self.filter.wants_file(&path)
            };
            if !wants {
                continue;
            }
            if name.to_str().is_none() {
                self.skip(path, tree::SKIP_NAME);
            } else if shown.chars().any(char::is_control) {
                self.skip(path, tree::SKIP_CONTROL);
            } else if !is_folder {
                self.file(path)?;
            } else if depth >= tree::DEPTH_MAX {
                self.skip(path, tree::SKIP_DEEP);
            } else if entry.path().join(".git").exists() {
                self.skip(path, tree::SKIP_SUBMODULE);
            } else {
                self.folder(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String) -> Result<(), Problem> {
        let full = self.root.join(&path);
        let wrong = |why| Problem::WorkTree { path: full.display().to_string(), why };
        if full.is_symlink() {
            self.skip(path, tree::SKIP_LINK);
            return Ok(());
        }
        if !(self.wanted.name)(&path) {
            return Ok(());
        }
        let Some(Content::File(content, len)) = worktree::bytes(&full)? else { return Ok(()) };
        if self.found.files.len() >= limits::SOURCE_FILES_MAX {
            return Err(wrong(self.filter.too_many()));
        }
        self.bytes += content.as_ref().map_or(0, |content| content.len() as u64);
        if self.bytes > limits::SOURCE_BYTES_MAX {
            return Err(wrong(self.filter.too_big()));
        }
        // No commit stands behind a file on disk; nothing looks at its id.
        let (blob, bytes) = (BlobId::from_bytes([0; 20]), content.map(Arc::from));
        self.found.files.push(SourceFile { path, blob, bytes, len });
        Ok(())
    }

    fn skip(&mut self, path: String, why: &'static str) {
        self.found.skipped.push(SourceSkip { path, why });
    }
}
