//! A commit of somebody's repository as an archive, and what it says of itself: to be built from.

use std::io::Write;
use std::path::Path;

use git2::{Commit, ObjectType, Repository, Tree};

use crate::fact::SourceRevision;
use crate::world::tar::{Archive, Entry};

/// Why a commit cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The repository, or what is asked of it, cannot be read.
    #[error("the directory {folder:?} is not a valid Git repository, or has no such commit")]
    Git {
        /// The folder.
        folder: String,
        /// What git says.
        source: git2::Error,
    },
    /// The archive cannot be written.
    #[error("cannot write the archive")]
    Io(#[from] std::io::Error),
}

/// What was handed over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exported {
    /// The commit.
    pub revision: SourceRevision,
    /// Submodules, whose files are not in it.
    pub submodules: Vec<String>,
    /// The folder of the repository, where the one that was named is below it.
    pub root: Option<String>,
}

/// What a commit of the repository that a folder is in says of itself.
///
/// # Errors
/// When it is in none, or there is no such commit.
pub fn revision_of(folder: &Path, commit: &str) -> Result<SourceRevision, ExportError> {
    let wrong = |source| ExportError::Git { folder: folder.display().to_string(), source };
    let repository = Repository::discover(folder).map_err(wrong)?;
    let commit = find(&repository, commit).map_err(wrong)?;
    Ok(revision(&commit))
}

/// Writes the files of a commit, as far as they are below a folder of the repository.
///
/// # Errors
/// When the folder is in no repository, there is no such commit, or the archive cannot be written.
pub fn export(
    folder: &Path,
    commit: &str,
    out: &mut Archive<impl Write>,
) -> Result<Exported, ExportError> {
    let wrong = |source| ExportError::Git { folder: folder.display().to_string(), source };
    let repository = Repository::discover(folder).map_err(wrong)?;
    let commit = find(&repository, commit).map_err(wrong)?;
    let mut tree = commit.tree().map_err(wrong)?;
    let below = repository.workdir().and_then(|root| {
        let (root, folder) = (root.canonicalize().ok()?, folder.canonicalize().ok()?);
        let below = folder.strip_prefix(&root).ok()?.to_owned();
        (!below.as_os_str().is_empty()).then_some((root, below))
    });
    if let Some((_, below)) = &below {
        let object = tree.get_path(below).and_then(|entry| entry.to_object(&repository));
        tree = object.and_then(|object| object.peel_to_tree()).map_err(wrong)?;
    }
    let mut writing = Writing {
        repository: &repository,
        changed: u64::try_from(commit.time().seconds()).unwrap_or(0),
        submodules: Vec::new(),
    };
    writing.tree(&tree, Path::new(""), out).map_err(|error| match error {
        Problem::Git(source) => wrong(source),
        Problem::Io(error) => ExportError::Io(error),
    })?;
    let root = below.map(|(root, _)| root.display().to_string());
    Ok(Exported { revision: revision(&commit), submodules: writing.submodules, root })
}

fn find<'r>(repository: &'r Repository, commit: &str) -> Result<Commit<'r>, git2::Error> {
    repository.revparse_single(commit)?.peel_to_commit()
}

fn revision(commit: &Commit<'_>) -> SourceRevision {
    let by = |who: git2::Signature<'_>| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{} <{}>", text(who.name_bytes()), text(who.email_bytes()))
    };
    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
    SourceRevision {
        commit: commit.id().to_string(),
        author: by(commit.author()),
        committer: by(commit.committer()),
        date: String::new(),
        message: message.lines().next().unwrap_or_default().to_owned(),
    }
}

enum Problem {
    Git(git2::Error),
    Io(std::io::Error),
}

impl From<git2::Error> for Problem {
    fn from(error: git2::Error) -> Self {
        Self::Git(error)
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// The archive of one commit under way.
struct Writing<'r> {
    repository: &'r Repository,
    changed: u64,
    submodules: Vec<String>,
}

impl Writing<'_> {
    fn tree(
        &mut self,
        tree: &Tree<'_>,
        at: &Path,
        out: &mut Archive<impl Write>,
    ) -> Result<(), Problem> {
        use std::os::unix::ffi::OsStrExt as _;
        for item in tree {
            let path = at.join(std::ffi::OsStr::from_bytes(item.name_bytes()));
            let entry = |mode| Entry { path: &path, mode, changed: self.changed };
            match item.kind() {
                Some(ObjectType::Tree) => {
                    out.folder(entry(0o755))?;
                    let below = item.to_object(self.repository)?.peel_to_tree()?;
                    self.tree(&below, &path, out)?;
                }
                Some(ObjectType::Blob) => {
                    let blob = self.repository.find_blob(item.id())?;
                    let content = blob.content();
                    match item.filemode() {
                        0o120_000 => {
                            let to = std::ffi::OsStr::from_bytes(content);
                            out.link(entry(0o777), Path::new(to))?;
                        }
                        mode => {
                            let mode = if mode & 0o111 == 0 { 0o644 } else { 0o755 };
                            out.file(entry(mode), content.len() as u64, content)?;
                        }
                    }
                }
                _ => self.submodules.push(path.display().to_string()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository with a file, a program, a link and a folder, and a file that is not committed.
    fn repository() -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::init(folder.path()).unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("app")).unwrap();
        for (name, text) in [("app/run", "#!/bin/sh\n"), ("Dockerfile", "FROM scratch\n")] {
            let mut file = std::fs::File::create(root.join(name)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(root.join("app/run"), mode).unwrap();
        std::os::unix::fs::symlink("app/run", root.join("start")).unwrap();
        let mut index = repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::DEFAULT, None).unwrap();
        let tree = index.write_tree().unwrap();
        let ann = git2::Signature::new("Ann", "ann@example.com", &git2::Time::new(9, 0)).unwrap();
        {
            let tree = repository.find_tree(tree).unwrap();
            repository.commit(Some("HEAD"), &ann, &ann, "first\n\nand more", &tree, &[]).unwrap();
        }
        std::fs::File::create(root.join("later")).unwrap();
        (folder, repository)
    }

    fn listed(folder: &Path) -> (Exported, String) {
        let mut archive = Archive::new(Vec::new());
        let exported = export(folder, "HEAD", &mut archive).unwrap();
        let mut tar = tempfile::NamedTempFile::new().unwrap();
        tar.write_all(&archive.finish().unwrap()).unwrap();
        let run = std::process::Command::new("tar").arg("-tf").arg(tar.path()).output().unwrap();
        (exported, String::from_utf8(run.stdout).unwrap())
    }

    #[test]
    fn what_is_committed_is_handed_over_and_nothing_else() {
        let (folder, _repository) = repository();
        let (exported, files) = listed(folder.path());
        assert_eq!(files, "Dockerfile\napp/\napp/run\nstart\n");
        assert_eq!(exported.root, None);
        let SourceRevision { author, message, commit, .. } = exported.revision;
        assert_eq!((author.as_str(), message.as_str()), ("Ann <ann@example.com>", "first"));
        assert_eq!(revision_of(folder.path(), "HEAD").unwrap().commit, commit);
    }

    #[test]
    fn of_a_folder_below_only_that_is_handed_over() {
        let (folder, _repository) = repository();
        let (exported, files) = listed(&folder.path().join("app"));
        assert_eq!(files, "run\n");
        assert!(exported.root.is_some());
    }

    #[test]
    fn a_folder_in_no_repository_and_an_unknown_commit_are_refused() {
        let (folder, _repository) = repository();
        let empty = tempfile::tempdir().unwrap();
        for (folder, commit) in [(empty.path(), "HEAD"), (folder.path(), "nowhere")] {
            let mut archive = Archive::new(Vec::new());
            let error = export(folder, commit, &mut archive).unwrap_err();
            assert!(error.to_string().contains("is not a valid Git repository"), "{error}");
        }
    }
}
