//! What can go wrong with a source, in the words that a user sees.

use std::path::PathBuf;
use std::time::Duration;

use crate::action::SourceFailure;
use crate::names::CommitId;

use super::address::redact;

/// The mirror of the source cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The settings do not name a repository or branch.
    #[error("{0}")]
    Setting(String),
    /// The mirror cannot be made or opened.
    #[error("cannot open the mirror `{}` of the source", path.display())]
    Mirror {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A kept commit cannot be written down or let go.
    #[error("cannot change the kept commit `{name}` in the mirror `{}`", path.display())]
    Keep {
        /// The mirror.
        path: PathBuf,
        /// The reference.
        name: String,
        /// Why.
        source: git2::Error,
    },
}

/// Why a read gave nothing. Becomes a [`SourceFailure`], whose text says what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("cannot use `{shown}` as a repository: {why}; correct `source.repository`")]
    Address { shown: String, why: &'static str },
    #[error("`{0}` is not the name of a branch; correct `source.branch`")]
    BranchName(String),
    #[error(
        "`{0}` is not a repository: it does not exist; create it, or correct `source.repository`"
    )]
    Missing(String),
    #[error("`{0}` is not a git repository; run `git init` there, or correct `source.repository`")]
    NotARepository(String),
    #[error(
        "repository `{path}` belongs to another user; run tidegate as its owner, or trust it with `git config --global \
         --add safe.directory {path}` as the user that runs tidegate"
    )]
    Owner { path: String },
    #[error(
        "repository `{0}` keeps its references as reftables, which Tidegate does not read; convert it with `git refs \
         migrate --ref-format=files`, or name it as `file://{0}` so that it is fetched and polled"
    )]
    Reftable(String),
    #[error(
        "repository `{0}` uses SHA-256 object names, which Tidegate does not read; use a repository made with \
         `--object-format=sha1`"
    )]
    Sha256(String),
    #[error(
        "repository `{0}` has no commits yet; commit the first manifests and Tidegate goes on by itself"
    )]
    NoCommits(String),
    #[error(
        "repository `{repository}` has no branch `{branch}` (its branches: {there}); push it, or correct \
         `source.branch`; what was adopted before stays in force"
    )]
    NoBranch { repository: String, branch: String, there: String },
    #[error("repository `{repository}` has no commit or branch `{revision}`{hint}")]
    NoRevision { repository: String, revision: String, hint: &'static str },
    #[error("commit `{commit}` is not in the mirror `{}`; it is fetched again when the source answers", mirror.display())]
    NotMirrored { commit: CommitId, mirror: PathBuf },
    #[error("nothing was fetched from `{0}` yet; ask it first (`--fetch`, or run the daemon)")]
    NeverFetched(String),
    #[error("cannot run `{program}`: {why}; install git 2.30 or newer")]
    Program { program: String, why: String },
    #[error("`{program}` is {found}, and Tidegate needs git 2.30 or newer; install a newer one")]
    OldProgram { program: String, found: String },
    #[error(
        "`git fetch` from `{repository}` did not end within {} s; it was stopped and will be tried again \
         (`source.timeout`)", after.as_secs_f32()
    )]
    Timeout { repository: String, after: Duration },
    #[error("reading `{0}` was stopped")]
    Cancelled(String),
    #[error("cannot fetch from `{repository}`: {said}{hint}")]
    Fetch { repository: String, said: String, hint: &'static str },
    #[error("`{repository}` is bare and has no work tree; name one, or compare with a commit")]
    NoWorkTree { repository: String },
    #[error("cannot read `{path}`: {why}")]
    Io { path: String, why: std::io::Error },
    #[error("cannot read `{repository}`: {why}; `git fsck` there says whether it is damaged")]
    Git { repository: String, why: git2::Error },
    #[error("cannot read the work tree `{path}`: {why}")]
    WorkTree { path: String, why: TreeProblem },
    #[error("cannot read the tree of commit `{commit}`: {why}")]
    Tree { commit: CommitId, why: TreeProblem },
}

/// Why a commit whose objects are there cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TreeProblem {
    #[error(
        "more than {max} files are below the watched paths; narrow `source.paths` or list what is not a manifest in \
         `{ignore_file}`"
    )]
    Files { max: usize, ignore_file: String },
    #[error(
        "its files have more than {max} bytes together; narrow `source.paths` or list what is not a manifest in \
         `{ignore_file}`"
    )]
    Bytes { max: u64, ignore_file: String },
    #[error(
        "{file}{line}: {why}; nothing is read, because files would be used that were to be ignored; correct the pattern"
    )]
    Ignore { file: String, line: String, why: String },
    #[error("{0}; if the mirror is damaged, move it away and Tidegate fetches it again")]
    Git(#[from] git2::Error),
}

impl Problem {
    /// Wraps an error of libgit2 about a repository of the user, with what it means where that is known.
    pub(super) fn git(repository: impl Into<String>, why: git2::Error) -> Self {
        let repository = repository.into();
        let text = why.message();
        if why.code() == git2::ErrorCode::Owner {
            Self::Owner { path: repository }
        } else if text.contains("refstorage") {
            Self::Reftable(repository)
        } else if text.contains("objectformat") || text.contains("object format") {
            Self::Sha256(repository)
        } else {
            Self::Git { repository, why }
        }
    }

    pub(super) fn tree(commit: CommitId, why: impl Into<TreeProblem>) -> Self {
        Self::Tree { commit, why: why.into() }
    }
}

impl From<Problem> for SourceFailure {
    fn from(problem: Problem) -> Self {
        let commit = if let Problem::Tree { commit, .. } = &problem { Some(*commit) } else { None };
        Self { commit, message: redact(&problem.to_string()) }
    }
}

impl From<Problem> for SourceError {
    fn from(problem: Problem) -> Self {
        Self::Setting(redact(&problem.to_string()))
    }
}
