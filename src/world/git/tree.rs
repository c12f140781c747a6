//! The files of a commit, read from the object database.
//!
//! One walk over the new tree, beside the old one where there is one: it counts, notes what is not read, and reads the
//! content of what is new or different. Of subtrees that did not change only the names are looked at.

use std::sync::Arc;

use git2::{ObjectType, Odb, Oid, Repository, Tree, TreeEntry};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::action::{SourceFile, SourceSkip};
use crate::limits;
use crate::names::BlobId;

use super::error::TreeProblem;

/// Folders inside folders. Git's own limit is that of a path (4,096 bytes); this keeps a made-up tree off the stack.
pub(super) const DEPTH_MAX: usize = 128;

const LINK: i32 = 0o120_000;

pub(super) const SKIP_LINK: &str =
    "it is a symbolic link; Tidegate reads files only, so put the file itself here";
pub(super) const SKIP_SUBMODULE: &str =
    "it is a submodule; Tidegate reads one repository, so copy its manifests here";
pub(super) const SKIP_NAME: &str = "its name is not UTF-8; rename it";
pub(super) const SKIP_CONTROL: &str = "its name has control characters; rename it";
pub(super) const SKIP_DEEP: &str = "it lies more than 128 folders deep";

/// Which paths are files of the source.
pub(super) struct Filter {
    /// Without slashes at either end; empty for everything.
    paths: Vec<String>,
    ignore_file: String,
    ignore: Gitignore,
}

impl Filter {
    /// `text` is the content of the ignore file, where there is one.
    pub(super) fn new(
        paths: &[String],
        ignore_file: &str,
        text: Option<&[u8]>,
    ) -> Result<Self, TreeProblem> {
        let wrong = |line: String, why: String| TreeProblem::Ignore {
            file: format!("`{ignore_file}`"),
            line,
            why,
        };
        let mut builder = GitignoreBuilder::new("");
        if let Some(text) = text {
            let text = std::str::from_utf8(text)
                .map_err(|_| wrong(String::new(), "it is not UTF-8".to_owned()))?;
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            for (index, line) in text.lines().enumerate() {
                builder
                    .add_line(None, line)
                    .map_err(|error| wrong(format!(" line {}", index + 1), error.to_string()))?;
            }
        }
        let ignore = builder.build().map_err(|error| wrong(String::new(), error.to_string()))?;
        let paths = paths.iter().map(|path| normal(path)).collect::<Vec<_>>();
        let paths = if paths.iter().any(String::is_empty) { Vec::new() } else { paths };
        Ok(Self { paths, ignore_file: ignore_file.to_owned(), ignore })
    }

    /// Whether a file is one of the source's.
    pub(super) fn wants_file(&self, path: &str) -> bool {
        path != self.ignore_file
            && (self.paths.is_empty() || self.paths.iter().any(|prefix| within(path, prefix)))
            && !self.ignore.matched(path, false).is_ignore()
    }

    /// Whether files of the source may be below a folder.
    pub(super) fn wants_folder(&self, path: &str) -> bool {
        let near = |prefix: &String| within(path, prefix) || within(prefix, path);
        (self.paths.is_empty() || self.paths.iter().any(near))
            && !self.ignore.matched(path, true).is_ignore()
    }

    /// As [`Self::wants_file`], for a path whose folders were not asked about one by one.
    pub(super) fn wants(&self, path: &str) -> bool {
        let mut folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        folders.all(|folder| self.wants_folder(folder)) && self.wants_file(path)
    }

    /// As [`Self::wants`], for a folder too.
    pub(super) fn wants_start(&self, path: &str, is_folder: bool) -> bool {
        let mut folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
        folders.all(|folder| self.wants_folder(folder))
            && if is_folder { self.wants_folder(path) } else { self.wants_file(path) }
    }

    /// Whether a path lies in one of the source's folders, or above one.
    pub(super) fn is_near(&self, path: &str) -> bool {
        let near =
            |prefix: &String| path.is_empty() || within(path, prefix) || within(prefix, path);
        self.paths.is_empty() || self.paths.iter().any(near)
    }

    pub(super) fn too_many(&self) -> TreeProblem {
        let ignore_file = self.ignore_file.clone();
        TreeProblem::Files { max: limits::SOURCE_FILES_MAX, ignore_file }
    }

    pub(super) fn too_big(&self) -> TreeProblem {
        let ignore_file = self.ignore_file.clone();
        TreeProblem::Bytes { max: limits::SOURCE_BYTES_MAX, ignore_file }
    }
}

fn normal(path: &str) -> String {
    let mut path = path.trim_matches('/');
    while let Some(rest) = path.strip_prefix("./") {
        path = rest.trim_start_matches('/');
    }
    if path == "." { String::new() } else { path.to_owned() }
}

fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a walk brought.
#[derive(Default)]
pub(super) struct Files {
    /// Whether `changed` and `removed` are relative to the base.
    pub(super) relative: bool,
    pub(super) changed: Vec<SourceFile>,
    pub(super) removed: Vec<String>,
    pub(super) skipped: Vec<SourceSkip>,
}

/// Reads the files of `tree`, relative to `base` where that is possible.
pub(super) fn read(
    repository: &Repository,
    tree: &Tree<'_>,
    base: Option<Tree<'_>>,
    paths: &[String],
    ignore_file: &str,
) -> Result<Files, TreeProblem> {
    let ignored = |tree: &Tree<'_>| {
        let entry = tree.get_name(ignore_file)?;
        (entry.kind() == Some(ObjectType::Blob) && entry.filemode() != LINK).then(|| entry.id())
    };
    let ignore_now = ignored(tree);
    // Another ignore file: every path may have come or gone, so everything is read again.
    let base = base.filter(|base| ignored(base) == ignore_now);
    let odb = repository.odb()?;
    let text = ignore_now.map(|id| odb.read(id)).transpose()?;
    let filter = Filter::new(paths, ignore_file, text.as_ref().map(git2::OdbObject::data))?;
    let mut walk = Walk {
        repository,
        odb: &odb,
        filter: &filter,
        entries: 0,
        bytes: 0,
        files: Files::default(),
    };
    walk.files.relative = base.is_some();
    let old = match base {
        None => Old::Nothing,
        Some(base) if base.id() == tree.id() => Old::Same,
        Some(base) => Old::Tree(base),
    };
    walk.folder("", tree, &old, 0)?;
    let mut files = walk.files;
    files.changed.sort_by(|a, b| a.path.cmp(&b.path));
    files.removed.sort();
    files.skipped.sort();
    Ok(files)
}

/// What stood at the place of a tree.
enum Old<'r> {
    Nothing,
    Same,
    Tree(Tree<'r>),
}

/// What an entry of a tree is to us.
#[derive(PartialEq)]
enum Sort {
    Folder,
    File,
    Skipped(&'static str),
    Unwanted,
}

struct Walk<'r> {
    repository: &'r Repository,
    odb: &'r Odb<'r>,
    filter: &'r Filter,
    entries: usize,
    bytes: u64,
    files: Files,
}

impl<'r> Walk<'r> {
    fn folder(
        &mut self,
        prefix: &str,
        new: &Tree<'_>,
        old: &Old<'r>,
        depth: usize,
    ) -> Result<(), TreeProblem> {
        for entry in new {
            let (path, sort) = self.sort(prefix, &entry, depth);
            if sort != Sort::Unwanted {
                self.count()?;
            }
            match sort {
                Sort::Unwanted => {}
                Sort::Skipped(why) => self.files.skipped.push(SourceSkip { path, why }),
                Sort::Folder => {
                    let old = match old {
                        Old::Nothing => Old::Nothing,
                        Old::Same => Old::Same,
                        Old::Tree(tree) => match tree.get_name_bytes(entry.name_bytes()) {
                            Some(old) if old.id() == entry.id() => Old::Same,
                            Some(old) if old.kind() == Some(ObjectType::Tree) => {
                                Old::Tree(self.repository.find_tree(old.id())?)
                            }
                            _ => Old::Nothing,
                        },
                    };
                    let tree = self.repository.find_tree(entry.id())?;
                    self.folder(&path, &tree, &old, depth + 1)?;
                }
                Sort::File => {
                    let same = match old {
                        Old::Nothing => false,
                        Old::Same => true,
                        // A link with the same content is another thing.
                        Old::Tree(tree) => tree
                            .get_name_bytes(entry.name_bytes())
                            .is_some_and(|old| old.id() == entry.id() && old.filemode() != LINK),
                    };
                    if !same {
                        let file = self.file(path, entry.id())?;
                        self.files.changed.push(file);
                    }
                }
            }
        }
        if let Old::Tree(tree) = old {
            self.gone(prefix, tree, Some(new), depth)?;
        }
        Ok(())
    }

    /// Notes the files of an old tree that the new one does not have as files.
    fn gone(
        &mut self,
        prefix: &str,
        old: &Tree<'_>,
        new: Option<&Tree<'_>>,
        depth: usize,
    ) -> Result<(), TreeProblem> {
        for entry in old {
            let now = new.and_then(|new| new.get_name_bytes(entry.name_bytes()));
            if now.as_ref().is_some_and(|now| {
                now.kind() == entry.kind() && (now.filemode() == LINK) == (entry.filemode() == LINK)
            }) {
                continue;
            }
            let (path, sort) = self.sort(prefix, &entry, depth);
            match sort {
                Sort::File => self.files.removed.push(path),
                Sort::Folder => {
                    let tree = self.repository.find_tree(entry.id())?;
                    self.gone(&path, &tree, None, depth + 1)?;
                }
                Sort::Skipped(_) | Sort::Unwanted => {}
            }
        }
        Ok(())
    }

    fn sort(&self, prefix: &str, entry: &TreeEntry<'_>, depth: usize) -> (String, Sort) {
        let name = String::from_utf8_lossy(entry.name_bytes());
        let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}/{name}") };
        let folder = entry.kind() == Some(ObjectType::Tree);
        // A submodule is a folder on disk, and an ignore pattern `vendor/` means it too.
        let wanted = if folder || entry.kind() == Some(ObjectType::Commit) {
            self.filter.wants_folder(&path)
        } else {
            self.filter.wants_file(&path) || path == self.filter.ignore_file && is_link(entry)
        };
        let sort = if !wanted {
            Sort::Unwanted
        } else if std::str::from_utf8(entry.name_bytes()).is_err() {
            Sort::Skipped(SKIP_NAME)
        } else if name.chars().any(char::is_control) {
            Sort::Skipped(SKIP_CONTROL)
        } else if folder && depth >= DEPTH_MAX {
            Sort::Skipped(SKIP_DEEP)
        } else if folder {
            Sort::Folder
        } else if is_link(entry) {
            Sort::Skipped(SKIP_LINK)
        } else if entry.kind() == Some(ObjectType::Blob) {
            Sort::File
        } else {
            Sort::Skipped(SKIP_SUBMODULE)
        };
        (path, sort)
    }

    fn count(&mut self) -> Result<(), TreeProblem> {
        // Folders count as well: a made-up tree can have any number of empty ones.
        self.entries += 1;
        if self.entries > limits::SOURCE_FILES_MAX {
            return Err(self.filter.too_many());
        }
        Ok(())
    }

    fn file(&mut self, path: String, id: Oid) -> Result<SourceFile, TreeProblem> {
        let (len, _) = self.odb.read_header(id)?;
        let bytes = if len > limits::MANIFEST_BYTES_MAX {
            None
        } else {
            self.bytes += len as u64;
            if self.bytes > limits::SOURCE_BYTES_MAX {
                return Err(self.filter.too_big());
            }
            Some(Arc::from(self.odb.read(id)?.data()))
        };
        Ok(SourceFile { path, blob: blob_id(id), bytes, len: len as u64 })
    }
}

fn is_link(entry: &TreeEntry<'_>) -> bool {
    entry.filemode() == LINK
}

/// Our name for a blob.
pub(super) fn blob_id(id: Oid) -> BlobId {
    BlobId::from_bytes(bytes(id))
}

/// The 20 bytes of an object id.
pub(super) fn bytes(id: Oid) -> [u8; 20] {
    let mut bytes = [0; 20];
    // Without libgit2's SHA-256 support an id has 20 bytes.
    for (to, from) in bytes.iter_mut().zip(id.as_bytes()) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(paths: &[&str], ignore: &str) -> Filter {
        let paths: Vec<_> = paths.iter().map(|&path| path.to_owned()).collect();
        Filter::new(&paths, ".tidegateignore", Some(ignore.as_bytes())).unwrap()
    }

    #[test]
    fn prefixes_are_whole_names() {
        let filter = filter(&["/streams/", "./apps/web"], "");
        assert!(filter.wants("streams/a.yaml"));
        assert!(filter.wants("apps/web/b.yaml"));
        assert!(filter.wants("apps/web"));
        assert!(!filter.wants("streams2/a.yaml"));
        assert!(!filter.wants("apps/website/b.yaml"));
        assert!(filter.wants_folder("apps"));
        assert!(!filter.wants_folder("docs"));
    }

    #[test]
    fn a_prefix_of_a_dot_means_everything() {
        assert!(filter(&["."], "").wants("a/b.yaml"));
        assert!(filter(&[], "").wants("a/b.yaml"));
    }

    #[test]
    fn ignored_folders_take_their_files_along() {
        let filter = filter(&[], "ci/\n*.bak\n!keep.bak\n/docs\n");
        assert!(!filter.wants("ci/a.yaml"));
        assert!(!filter.wants("x/ci/a/b.yaml"));
        assert!(!filter.wants("a.bak"));
        assert!(filter.wants("keep.bak"));
        assert!(!filter.wants("docs/a.yaml"));
        assert!(filter.wants("x/docs/a.yaml"));
        assert!(!filter.wants(".tidegateignore"));
    }

    #[test]
    fn a_pattern_that_is_none_names_its_line() {
        let error = Filter::new(&[], ".tidegateignore", Some(b"ok\na{b\n")).err().unwrap();
        assert!(error.to_string().starts_with("`.tidegateignore` line 2: "), "{error}");
        let error = Filter::new(&[], ".tidegateignore", Some(b"\xff")).err().unwrap();
        assert!(error.to_string().contains("not UTF-8"), "{error}");
    }
}
