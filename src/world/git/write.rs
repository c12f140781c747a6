//! Writing manifests to a user's repository: into a work tree, or as a commit onto a branch of a bare one.
//!
//! Nothing of the user's is lost: files with changes of theirs are refused, only our own files are committed, and where
//! a commit fails the files are what they were. A work tree's commit is made by the `git` program, so that hooks,
//! signing and the author are the user's.

mod bare;
mod error;
mod files;
mod push;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, RepositoryState, Status};
use tokio_util::sync::CancellationToken;

use crate::action::{FileEdit, SourceFile};
use crate::names::CommitId;

use super::error::Problem;
use super::program::{Answer, Place, Program, Stopped};
use super::tree::{self, Filter};
use super::{SourceConfig, commit_id, local, worktree};

use error::Refusal;
pub use error::WriteError;
use files::Files;

/// What becomes of written files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep<'a> {
    /// They are committed, with a message.
    Commit(&'a str),
    /// They stay in the work tree.
    WorkTree,
}

/// What was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The commit and its branch; none if the files stay uncommitted.
    pub commit: Option<(CommitId, String)>,
}

/// The files of a repository as they were read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The manifests and what stands beside them.
    pub files: Vec<SourceFile>,
    /// The end of the branch of a bare repository; zero where it has no commit.
    base: Oid,
}

/// A repository that manifests are written to.
pub struct Writer {
    repository: Repository,
    /// The root of the work tree; none of a bare repository.
    root: Option<PathBuf>,
    config: SourceConfig,
    program: Program,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("repository", &self.repository.path()).finish()
    }
}

impl Writer {
    /// Opens the repository that a path is in. `config` says which files of it are manifests, and the branch of a bare
    /// one.
    ///
    /// # Errors
    /// When there is no repository, or it cannot be used.
    pub fn open(path: &Path, config: SourceConfig) -> Result<Self, WriteError> {
        let shown = path.display().to_string();
        let repository = Repository::discover(path).map_err(|error| {
            if error.code() == git2::ErrorCode::NotFound {
                WriteError::from(Refusal::NoRepository(shown.clone()))
            } else {
                Problem::git(shown.clone(), error).into()
            }
        })?;
        let root = repository.workdir().map(Path::to_owned);
        let program = Program {
            path: config.git.clone(),
            options: config.git_options.clone(),
            ssh_command: config.ssh_command.clone(),
            timeout: config.timeout,
            place: Place::Own,
        };
        Ok(Self { repository, root, config, program })
    }

    /// Where the repository is, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        let path = self.root.as_deref().unwrap_or(self.repository.path());
        path.to_string_lossy().trim_end_matches('/').to_owned()
    }

    /// Whether it has no work tree.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.root.is_none()
    }

    /// Reads the files: those of the work tree as they are on disk, or those at the end of the branch.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read(&self) -> Result<Snapshot, WriteError> {
        let SourceConfig { paths, ignore_file, .. } = &self.config;
        if self.root.is_some() {
            self.refuse_sparse()?;
            let found = worktree::read(&self.repository, paths, ignore_file)?;
            return Ok(Snapshot { files: found.changed, base: Oid::ZERO_SHA1 });
        }
        let Some(base) = self.head()? else {
            return Ok(Snapshot { files: Vec::new(), base: Oid::ZERO_SHA1 });
        };
        let commit = commit_id(base);
        let tree = self.repository.find_commit(base).and_then(|found| found.tree());
        let tree = tree.map_err(|error| Problem::tree(commit, error))?;
        let found = tree::read(&self.repository, &tree, None, paths, ignore_file)
            .map_err(|error| Problem::tree(commit, error))?;
        Ok(Snapshot { files: found.changed, base })
    }

    /// Files that are tracked and not on disk look as if they had gone.
    fn refuse_sparse(&self) -> Result<(), WriteError> {
        const SKIP_WORKTREE: u16 = 1 << 14;
        let index = self.repository.index().map_err(|error| self.wrong(error))?;
        let is_sparse = index.iter().any(|entry| entry.flags_extended & SKIP_WORKTREE != 0);
        if is_sparse { Err(Refusal::Sparse(self.shown()).into()) } else { Ok(()) }
    }

    /// Whether the daemon reads a file of this name.
    ///
    /// # Errors
    /// When the ignore file cannot be read.
    pub fn wants(&self, snapshot: &Snapshot, path: &str) -> Result<bool, WriteError> {
        let SourceConfig { paths, ignore_file, .. } = &self.config;
        let ignored = match &self.root {
            Some(root) => match worktree::bytes(&root.join(ignore_file))? {
                Some(worktree::Content::File(bytes, _)) => bytes,
                Some(worktree::Content::Link | worktree::Content::Other) | None => None,
            },
            None => self.blob(snapshot.base, ignore_file),
        };
        let filter = Filter::new(paths, ignore_file, ignored.as_deref());
        let shown = self.shown();
        Ok(filter.map_err(|why| Problem::WorkTree { path: shown, why })?.wants(path))
    }

    /// Looks whether a commit could be made, before anything is written.
    ///
    /// # Errors
    /// When it could not: no author is set, a merge is under way, no branch is checked out.
    pub fn check(&self, keep: Keep<'_>) -> Result<(), WriteError> {
        match (keep, &self.root) {
            (Keep::WorkTree, None) => return Err(Refusal::BareWorkTree(self.shown()).into()),
            (Keep::WorkTree, Some(_)) => return Ok(()),
            (Keep::Commit(_), None) => {}
            (Keep::Commit(_), Some(_)) => {
                let state = self.repository.state();
                if state != RepositoryState::Clean {
                    return Err(Refusal::Busy { what: busy(state) }.into());
                }
                if self.repository.head_detached().map_err(|error| self.wrong(error))? {
                    return Err(Refusal::Detached.into());
                }
            }
        }
        for who in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
            self.identity(who)?;
        }
        Ok(())
    }

    /// Writes files, and commits them if that is asked for.
    ///
    /// # Errors
    /// When a file is not what it was, has changes of the user's, or the commit fails; then nothing is changed.
    pub fn write(
        &self,
        snapshot: &Snapshot,
        edits: &[FileEdit],
        keep: Keep<'_>,
    ) -> Result<Written, WriteError> {
        self.check(keep)?;
        let Some(root) = &self.root else {
            let Keep::Commit(message) = keep else {
                return Err(Refusal::BareWorkTree(self.shown()).into());
            };
            return self.commit_bare(snapshot.base, edits, message);
        };
        if let Keep::Commit(_) = keep {
            edits.iter().try_for_each(|edit| self.refuse_dirty(edit))?;
        }
        let files = Files::write(root, edits)?;
        let Keep::Commit(message) = keep else { return Ok(Written { commit: None }) };
        match self.commit(root, edits, message) {
            Ok(commit) => Ok(Written { commit: Some(commit) }),
            Err(error) => {
                self.forget_new(root, edits);
                let left = files.restore();
                if left.is_empty() { Err(error) } else { Err(error.with_left(&left)) }
            }
        }
    }

    /// Refuses a file whose changes would come into our commit and are not ours.
    fn refuse_dirty(&self, edit: &FileEdit) -> Result<(), WriteError> {
        let path = edit.path.clone();
        let status = match self.repository.status_file(Path::new(&edit.path)) {
            Ok(status) => status,
            Err(error) if error.code() == git2::ErrorCode::NotFound && edit.before.is_none() => {
                let ignored = self.repository.status_should_ignore(Path::new(&edit.path));
                return match ignored {
                    Ok(true) => Err(Refusal::Ignored { path }.into()),
                    Ok(false) | Err(_) => Ok(()),
                };
            }
            Err(error) => return Err(self.wrong(error)),
        };
        if status == Status::CURRENT {
            return Ok(());
        }
        if status.contains(Status::IGNORED) {
            return Err(Refusal::Ignored { path }.into());
        }
        let what = if status.contains(Status::WT_NEW) {
            "is not committed yet"
        } else if status
            .intersects(Status::INDEX_NEW | Status::INDEX_MODIFIED | Status::INDEX_DELETED)
        {
            "has staged changes"
        } else {
            "has changes that are not committed"
        };
        Err(Refusal::Dirty { path, what }.into())
    }

    fn commit(
        &self,
        root: &Path,
        edits: &[FileEdit],
        message: &str,
    ) -> Result<(CommitId, String), WriteError> {
        let new = edits.iter().filter(|edit| edit.before.is_none());
        let new: Vec<OsString> = new.map(|edit| edit.path.clone().into()).collect();
        if !new.is_empty() {
            let words = ["--literal-pathspecs", "add", "--intent-to-add", "--"];
            let said = self.git(root, words.iter().map(OsString::from).chain(new))?;
            if !said.status.success() {
                return Err(Refusal::Commit { said: everything(&said) }.into());
            }
        }
        let words = ["--literal-pathspecs", "commit", "--quiet", "--only", "-m", message, "--"];
        let paths = edits.iter().map(|edit| edit.path.clone().into());
        let said = self.git(root, words.iter().map(OsString::from).chain(paths))?;
        if !said.status.success() {
            return Err(Refusal::Commit { said: everything(&said) }.into());
        }
        // The program changed the repository behind this view of it.
        let repository = Repository::open(self.repository.path()).map_err(|e| self.wrong(e))?;
        let head = local::head(&repository, "", &self.shown())?;
        Ok((commit_id(head.id), head.branch))
    }

    /// New files are not to be staged when they are gone again.
    fn forget_new(&self, root: &Path, edits: &[FileEdit]) {
        let new = edits.iter().filter(|edit| edit.before.is_none());
        let new: Vec<OsString> = new.map(|edit| edit.path.clone().into()).collect();
        if !new.is_empty() {
            let words = ["--literal-pathspecs", "rm", "--cached", "--quiet", "--force", "--"];
            // The failure of the commit is what the user hears of.
            drop(self.git(root, words.iter().map(OsString::from).chain(new)));
        }
    }

    /// The end of the branch of a bare repository; none where nothing was ever committed.
    fn head(&self) -> Result<Option<Oid>, WriteError> {
        match local::head(&self.repository, &self.config.branch, &self.shown()) {
            Ok(head) => Ok(Some(head.id)),
            Err(Problem::NoCommits(_)) => Ok(None),
            Err(problem) => Err(problem.into()),
        }
    }

    /// Who commits, as git takes it from the user's settings.
    fn identity(&self, who: &str) -> Result<String, WriteError> {
        let said = self.git(self.repository.path(), ["var", who].iter().map(OsString::from))?;
        if said.status.success() {
            return Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned());
        }
        Err(Refusal::NoIdentity.into())
    }

    fn git(
        &self,
        folder: &Path,
        words: impl Iterator<Item = OsString>,
    ) -> Result<Answer, WriteError> {
        let words: Vec<OsString> = words.collect();
        self.program.run(folder, &words, &CancellationToken::new()).map_err(|stopped| match stopped
        {
            Stopped::Problem(problem) => problem.into(),
            Stopped::Cancelled => Problem::Cancelled(self.shown()).into(),
            Stopped::Timeout => Refusal::Timeout { after: self.program.timeout }.into(),
        })
    }

    fn wrong(&self, error: git2::Error) -> WriteError {
        Problem::git(self.shown(), error).into()
    }
}

/// What a repository is in the middle of.
fn busy(state: RepositoryState) -> &'static str {
    match state {
        RepositoryState::Clean => "nothing",
        RepositoryState::Merge => "a merge",
        RepositoryState::Revert | RepositoryState::RevertSequence => "a revert",
        RepositoryState::CherryPick | RepositoryState::CherryPickSequence => "a cherry-pick",
        RepositoryState::Bisect => "a bisection",
        RepositoryState::Rebase
        | RepositoryState::RebaseInteractive
        | RepositoryState::RebaseMerge => "a rebase",
        RepositoryState::ApplyMailbox | RepositoryState::ApplyMailboxOrRebase => {
            "a mailbox that is applied"
        }
    }
}

/// The end of all that a hook and git said.
fn everything(said: &Answer) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), said.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let start = lines.len().saturating_sub(20);
    let text = lines.get(start..).unwrap_or_default().join("\n  ");
    if text.is_empty() { "git said nothing".into() } else { super::address::redact(&text) }
}
