//! A repository on this machine: its head, and its new objects copied into the mirror without running `git`.

use std::collections::BTreeSet;
use std::path::Path;

use git2::{BranchType, Error, ErrorCode, ObjectType, Odb, Oid, Repository, Sort, Tree};

use crate::limits;

use super::error::Problem;

/// The end of a branch.
pub(super) struct Head {
    pub(super) id: Oid,
    pub(super) branch: String,
}

/// Opens the user's repository, to read it only.
pub(super) fn open(path: &Path) -> Result<Repository, Problem> {
    let shown = path.display().to_string();
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(Problem::Missing(shown)),
        Err(why) => return Err(Problem::Io { path: shown, why }),
    }
    Repository::open(path).map_err(|error| {
        if error.code() == ErrorCode::NotFound {
            Problem::NotARepository(shown)
        } else {
            Problem::git(shown, error)
        }
    })
}

/// Finds the end of `branch`, or of the branch that `HEAD` names if it is empty.
pub(super) fn head(repository: &Repository, branch: &str, shown: &str) -> Result<Head, Problem> {
    let wrong = |error| Problem::git(shown, error);
    let reference = if branch.is_empty() {
        repository.head()
    } else {
        repository.find_reference(&format!("refs/heads/{branch}"))
    };
    let reference = match reference {
        Ok(reference) => reference,
        Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::UnbornBranch) => {
            let there = branches(repository).map_err(wrong)?;
            return Err(no_branch(shown, branch, &there));
        }
        Err(error) => return Err(wrong(error)),
    };
    let id = reference.peel_to_commit().map_err(wrong)?.id();
    let name = reference.shorthand().unwrap_or("HEAD").to_owned();
    Ok(Head { id, branch: name })
}

fn branches(repository: &Repository) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for branch in repository.branches(Some(BranchType::Local))? {
        let (branch, _) = branch?;
        names.push(String::from_utf8_lossy(branch.name_bytes()?).into_owned());
    }
    names.sort();
    Ok(names)
}

/// Says that a branch is not there, and which are.
pub(super) fn no_branch(shown: &str, branch: &str, there: &[String]) -> Problem {
    if there.is_empty() {
        return Problem::NoCommits(shown.to_owned());
    }
    let mut list = there.iter().take(10).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    if there.len() > 10 {
        list.push(format!("and {} more", there.len() - 10));
    }
    let branch = if branch.is_empty() { "HEAD" } else { branch };
    Problem::NoBranch {
        repository: shown.to_owned(),
        branch: branch.to_owned(),
        there: list.join(", "),
    }
}

/// Copies what `head` reaches and `known` does not; answers whether it did.
///
/// It does not when that is too much for copying one by one, or cannot be told from `known`: then `git fetch` does it.
/// An object that is already in the mirror is not proof that what it refers to is there too (something may have been
/// interrupted), so that only what a reference of the mirror reaches, `known`, is left out.
pub(super) fn copy(
    from: &Repository,
    mirror: &Repository,
    head: Oid,
    known: Oid,
) -> Result<bool, Error> {
    if from.is_shallow() || mirror.is_shallow() || from.find_commit(known).is_err() {
        return Ok(false);
    }
    let mut walk = from.revwalk()?;
    walk.set_sorting(Sort::TOPOLOGICAL | Sort::REVERSE)?;
    walk.push(head)?;
    walk.hide(known)?;
    let (source, target) = (from.odb()?, mirror.odb()?);
    let mut copy = Copy { from, source, target, seen: BTreeSet::new(), written: Vec::new() };
    for id in walk {
        let commit = from.find_commit(id?)?;
        let parent = commit.parents().next().map(|parent| parent.tree()).transpose()?;
        if !copy.tree(&commit.tree()?, parent.as_ref())? || !copy.object(commit.id())? {
            return Ok(false);
        }
    }
    sync(mirror.path(), &copy.written).map_err(|error| Error::from_str(&error.to_string()))?;
    Ok(true)
}

/// Makes objects outlast a loss of power, all at once: the first sync commits the names of all of them, so the others
/// cost little. Written and synced one by one they would cost ten commits of the file system's journal. Folders are not
/// synced, as git does not: where a new file is synced, its name is too on the file systems that matter.
fn sync(mirror: &Path, written: &[Oid]) -> std::io::Result<()> {
    written.iter().try_for_each(|id| {
        let name = id.to_string();
        let (folder, file) = name.split_at(2);
        std::fs::File::open(mirror.join("objects").join(folder).join(file))?.sync_all()
    })
}

struct Copy<'r> {
    from: &'r Repository,
    source: Odb<'r>,
    target: Odb<'r>,
    seen: BTreeSet<Oid>,
    written: Vec<Oid>,
}

impl Copy<'_> {
    /// Copies what is in `new` and not at the same place in `old`, then `new` itself.
    fn tree(&mut self, new: &Tree<'_>, old: Option<&Tree<'_>>) -> Result<bool, Error> {
        if old.is_some_and(|old| old.id() == new.id()) || self.seen.contains(&new.id()) {
            return Ok(true);
        }
        for entry in new {
            let before = old.and_then(|old| old.get_name_bytes(entry.name_bytes()));
            if before.as_ref().is_some_and(|before| before.id() == entry.id()) {
                continue;
            }
            let copied = match entry.kind() {
                Some(ObjectType::Tree) => {
                    let tree = self.from.find_tree(entry.id())?;
                    let before = before.and_then(|entry| self.from.find_tree(entry.id()).ok());
                    self.tree(&tree, before.as_ref())?
                }
                Some(ObjectType::Blob) => self.object(entry.id())?,
                // A submodule's commit is not in this repository.
                _ => true,
            };
            if !copied {
                return Ok(false);
            }
        }
        self.object(new.id())
    }

    fn object(&mut self, id: Oid) -> Result<bool, Error> {
        if !self.seen.insert(id) {
            return Ok(true);
        }
        if self.seen.len() > limits::SOURCE_COPY_OBJECTS_MAX {
            return Ok(false);
        }
        if !self.target.exists(id) {
            let object = self.source.read(id)?;
            self.written.push(self.target.write(object.kind(), object.data())?);
        }
        Ok(true)
    }
}
