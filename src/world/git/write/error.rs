//! What can go wrong when manifests are written, in the words that a user sees.

use std::time::Duration;

use crate::world::git::error::Problem;

/// Why nothing was written, or a commit not pushed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// What was read is not what is there any more: the edit has to be made anew.
    #[error("{0} was changed by somebody else meanwhile; nothing was written")]
    Moved(String),
    /// Another process writes the branch right now, or one that was killed left its lock.
    #[error(
        "branch `{branch}` is locked by another git process, so nothing was written; try again, and if no git runs \
         there, remove `{lock}`"
    )]
    Locked {
        /// The branch.
        branch: String,
        /// The lock's path.
        lock: String,
    },
    /// It cannot be done; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
}

impl WriteError {
    /// Adds which files are not what they were.
    pub(super) fn with_left(self, left: &[String]) -> Self {
        let left: Vec<String> = left.iter().map(|path| format!("`{path}`")).collect();
        let left = left.join(", ");
        Self::Refused(format!("{self}\n{left} was changed meanwhile and was left as it is"))
    }
}

impl From<Problem> for WriteError {
    fn from(problem: Problem) -> Self {
        Self::Refused(super::super::address::redact(&problem.to_string()))
    }
}

impl From<Refusal> for WriteError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_string())
    }
}

/// Why nothing is written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "`{0}` is in no git repository, and manifests are changed there; go to your clone, or name it with --repo"
    )]
    NoRepository(String),
    #[error(
        "`{0}` is bare and has no work tree, so the change is committed: leave --no-commit out"
    )]
    BareWorkTree(String),
    #[error(
        "`{0}` is checked out in part (sparse checkout), so it cannot be told which objects there are; use a whole \
         checkout (`git sparse-checkout disable`)"
    )]
    Sparse(String),
    #[error("the repository is in the middle of {what}; end it first (`git status` says how)")]
    Busy { what: &'static str },
    #[error(
        "no branch is checked out (detached HEAD), so a commit would belong to none; `git switch` to one, or write the \
         files only, with --no-commit"
    )]
    Detached,
    #[error(
        "git does not know who you are, so nothing was written; tell it:\n  git config --global user.name \"Your Name\"\n  \
         git config --global user.email you@example.com"
    )]
    NoIdentity,
    #[error(
        "`{path}` {what}, which would come into the commit; commit or stash it first, or use --no-commit"
    )]
    Dirty { path: String, what: &'static str },
    #[error(
        "`{path}` is ignored by git (`git check-ignore -v {path}` says why), so it cannot be committed"
    )]
    Ignored { path: String },
    #[error("`{path}` leads through a symbolic link; put the folder itself there")]
    Link { path: String },
    #[error("cannot write `{path}`: {why}")]
    Io { path: String, why: std::io::Error },
    #[error("the commit failed, and the files are what they were; git said:\n  {said}")]
    Commit { said: String },
    #[error("`git` did not end within {} s and was stopped (`source.timeout`)", after.as_secs_f32())]
    Timeout { after: Duration },
    #[error("there is no remote to push to; add one with `git remote add origin URL`")]
    NoRemote,
    #[error(
        "the commit is in your repository, but it was not pushed: {said}; bring the branch up to date (`git pull \
         --rebase`) and push it, or ask for a review if the branch is protected"
    )]
    Push { said: String },
}
