//! Git repositories made by the real `git` program, apart from the user's settings, the same in every run.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tidegate::names::CommitId;

/// A work tree with a repository, on branch `main`, removed when dropped.
pub(crate) struct Repo {
    path: PathBuf,
    _folder: Option<tempfile::TempDir>,
}

impl Repo {
    /// An empty one, without a commit.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// An empty one, made with options of `git init`.
    pub(crate) fn with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("repo");
        std::fs::create_dir(&path).unwrap();
        let repo = Self { path, _folder: Some(folder) };
        repo.git(&[&["init", "--quiet", "--initial-branch=main"], options].concat());
        repo
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its path as the settings take it.
    pub(crate) fn address(&self) -> String {
        self.path.to_str().unwrap().to_owned()
    }

    /// Writes a file, with the folders it needs.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &str) -> &Self {
        std::fs::remove_file(self.path.join(path)).unwrap();
        self
    }

    /// Commits everything as it is, also if nothing changed.
    pub(crate) fn commit(&self, message: &str) -> CommitId {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.head()
    }

    /// The commit that `HEAD` names.
    pub(crate) fn head(&self) -> CommitId {
        self.git(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Moves the branch and the work tree to a commit, away from what is there.
    pub(crate) fn reset(&self, commit: &str) {
        self.git(&["reset", "--quiet", "--hard", commit]);
    }

    /// Pushes a branch to another repository, whatever is there.
    pub(crate) fn push(&self, to: &str, branch: &str) {
        self.git(&["push", "--quiet", "--force", to, branch]);
    }

    /// Makes a bare copy of it at a path.
    pub(crate) fn bare(&self, at: &Path) -> Self {
        self.git(&["clone", "--quiet", "--bare", ".", at.to_str().unwrap()]);
        Self { path: at.to_owned(), _folder: None }
    }

    /// Runs `git` in it and returns what it printed, without the last newline.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let output = self.try_git(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs `git` in it, which may fail.
    pub(crate) fn try_git(&self, arguments: &[&str]) -> Output {
        command().current_dir(&self.path).args(arguments).output().unwrap()
    }

    /// Adds an entry to the index that has no file, or one that no file could have.
    pub(crate) fn stage(&self, mode: &str, id: &str, path: &[u8]) {
        let line = [format!("{mode},{id},").as_bytes(), path].concat();
        let line = std::ffi::OsStr::from_bytes(&line);
        let mut command = command();
        command.current_dir(&self.path).args(["update-index", "--add", "--cacheinfo"]).arg(line);
        assert!(command.status().unwrap().success());
    }
}

/// `git` without anybody's settings, with one author and one time.
pub(crate) fn command() -> Command {
    let mut command = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.com")
        .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.com")
        .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
        .env("LC_ALL", "C.UTF-8")
        // Tests push into and read submodules from paths.
        .args([
            "-c",
            "protocol.file.allow=always",
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
        ]);
    command
}

/// Writes a program.
pub(crate) fn program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}
