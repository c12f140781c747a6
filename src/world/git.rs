//! The source: a git repository, fetched into our own bare mirror and read from its object database.
//!
//! Reading never touches a work tree (but for `diff --worktree`), so a half-written one is never seen. A force push
//! cannot take adopted commits away: the mirror keeps them under `refs/tidegate/adopted/<seq>`.
//!
//! A repository on this machine is read through libgit2: if the branch has not moved, no process is started; if it
//! moved a little, the new objects are copied one by one. Everything else is fetched by the `git` program, which brings
//! the user's SSH configuration, credential helpers and proxies.
//!
//! One ignore file counts, at the root of the repository, in gitignore syntax; ignore files in folders do not. A commit
//! whose ignore file has a pattern that cannot be read is refused whole, because it would bring in what is to be left
//! out. Symbolic links, submodules and names that are not UTF-8 are skipped and named.
//!
//! Every function here blocks: call it on a thread for that.

mod address;
mod default_branch;
mod error;
mod export;
mod fetch;
mod folder;
mod local;
mod peek;
mod program;
mod tidy;
mod tree;
mod worktree;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use git2::{ErrorCode, Oid, Repository, RepositoryInitOptions};
use tokio_util::sync::CancellationToken;

use crate::action::{ReadSource, SourceFailure, SourceRead};
use crate::limits;
use crate::names::{CommitId, Seq};

use address::Address;
pub(super) use address::{FAR_PROTOCOLS, protocols_of, redact};
pub use default_branch::default_branch;
use error::Problem;
pub use error::SourceError;
pub use export::{ExportError, Exported, export, revision_of};
pub(crate) use folder::{Folder, Wanted, read_folder, work_tree_of};
pub use peek::{Origin, Peek, Peeked, origin_of, peek_folder};
use program::Program;
pub(super) use program::said;
use tree::Files;
pub use write::{Keep, Snapshot, WriteError, Writer, Written};

/// The branch's end as fetched last.
const HEAD: &str = "refs/tidegate/head";
/// What `diff REV` asked for last.
const ASKED: &str = "refs/tidegate/asked";
/// One reference for each adopted commit that is kept.
const ADOPTED: &str = "refs/tidegate/adopted/";

/// Why an address cannot be that of a repository; none where it can.
pub(super) fn address_fault(address: &str) -> Option<String> {
    match Address::parse(address) {
        Err(Problem::Address { shown, why }) => Some(format!("`{shown}` is no repository: {why}")),
        Err(problem) => Some(problem.to_string()),
        Ok(_) => None,
    }
}

/// Where the source is and what of it is read.
#[derive(Clone)]
pub struct SourceConfig {
    /// A path (work tree or bare) or a URL: `https`, `ssh`, `http`, `git`, `file`, or `user@host:path`. A URL may hold a
    /// login, which is never shown.
    pub repository: String,
    /// The branch; empty for the one that the repository's `HEAD` names.
    pub branch: String,
    /// Folders and files that are read, as paths from the root of the repository; empty for all.
    pub paths: Vec<String>,
    /// Name of the ignore file at the root.
    pub ignore_file: String,
    /// Time between two looks.
    pub poll: Duration,
    /// Time that one run of `git` may take.
    pub timeout: Duration,
    /// The `git` program.
    pub git: PathBuf,
    /// Settings for `git -c`, as `name=value`. May hold secrets, so they are never shown.
    pub git_options: Vec<String>,
    /// The SSH command, in place of `GIT_SSH_COMMAND`.
    pub ssh_command: Option<String>,
}

impl SourceConfig {
    /// Reads `repository` with the defaults for everything else.
    #[must_use]
    pub fn new(repository: impl Into<String>) -> Self {
        Self {
            repository: repository.into(),
            branch: "main".to_owned(),
            paths: Vec::new(),
            ignore_file: ".tidegateignore".to_owned(),
            poll: limits::SOURCE_POLL,
            timeout: limits::SOURCE_FETCH_TIMEOUT,
            git: PathBuf::from("git"),
            git_options: Vec::new(),
            ssh_command: None,
        }
    }
}

impl fmt::Debug for SourceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceConfig")
            .field("repository", &address::redact(&self.repository))
            .field("branch", &self.branch)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

/// Whether a question may be answered from what is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Freshness {
    /// Look at what is on this machine only: the mirror, or the repository itself where it is local.
    Offline,
    /// Ask the repository.
    Fetch,
}

/// The source and its mirror.
pub struct Source {
    config: SourceConfig,
    address: Address,
    program: Program,
    mirror: PathBuf,
    /// Held while the mirror is written; says whether the `git` program was found good.
    checked: Mutex<bool>,
    /// Objects that were still loose after the mirror was packed last.
    left_loose: AtomicUsize,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("config", &self.config)
            .field("mirror", &self.mirror)
            .finish()
    }
}

impl Source {
    /// Opens the source, with its mirror at `<state_dir>/mirror.git`, which is made if it is missing.
    ///
    /// The repository itself is not looked at: one that is away is no reason not to start.
    ///
    /// # Errors
    ///
    /// The settings cannot be meant, or the mirror cannot be made or opened.
    pub fn open(mut config: SourceConfig, state_dir: &Path) -> Result<Self, SourceError> {
        let address = Address::parse(&config.repository)?;
        if let Some(branch) = config.branch.strip_prefix("refs/heads/") {
            config.branch = branch.to_owned();
        }
        let full = format!("refs/heads/{}", config.branch);
        if !config.branch.is_empty() && !git2::Reference::is_valid_name(&full) {
            return Err(Problem::BranchName(config.branch).into());
        }
        let program = Program {
            path: config.git.clone(),
            options: config.git_options.clone(),
            ssh_command: config.ssh_command.clone(),
            timeout: config.timeout,
            place: program::Place::Mirror,
        };
        let mirror = std::path::absolute(state_dir.join("mirror.git"))
            .map_err(|error| mirror_error(state_dir, error))?;
        let (checked, left_loose) = (Mutex::new(false), AtomicUsize::new(0));
        let source = Self { config, address, program, mirror, checked, left_loose };
        drop(source.mirror()?);
        Ok(source)
    }

    /// Removes what a killed `git` may have left in the mirror: lock files, which would stop every later fetch, and
    /// half-written packs. Only for the one process that owns the state directory, before it reads.
    ///
    /// # Errors
    ///
    /// A left-over cannot be removed.
    pub fn recover(&self) -> Result<(), SourceError> {
        let left_over = |name: &str, folder: &Path| {
            name.ends_with(".lock") || folder.ends_with("objects/pack") && name.starts_with("tmp_")
        };
        let mut folders = vec![self.mirror.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|error| mirror_error(&folder, error))? {
                let entry = entry.map_err(|error| mirror_error(&folder, error))?;
                let path = entry.path();
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    // The 256 folders of loose objects hold no locks.
                    if !folder.ends_with("objects") || name == "pack" {
                        folders.push(path);
                    }
                } else if left_over(&name, &folder) {
                    tracing::warn!(path = %path.display(), "removing what a killed git left behind");
                    std::fs::remove_file(&path).map_err(|error| mirror_error(&path, error))?;
                }
            }
        }
        Ok(())
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &SourceConfig {
        &self.config
    }

    /// The repository as it may be shown: without a login.
    #[must_use]
    pub fn shown(&self) -> String {
        self.address.shown()
    }

    /// The path of a repository on this machine, which can be watched; none for one that is polled.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        match &self.address {
            Address::Local(path) => Some(path),
            Address::Remote(_) => None,
        }
    }

    /// Fetches the branch and reads its files: what changed since `request.base`, or all of them where there is no
    /// base, the mirror does not know it, or the ignore file differs.
    ///
    /// # Errors
    ///
    /// The repository, the branch or its tree cannot be read. The text says what to do; it holds no login.
    pub fn read(
        &self,
        request: &ReadSource,
        cancel: &CancellationToken,
    ) -> Result<SourceRead, SourceFailure> {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let mirror = self.mirror().map_err(|error| plain(&error))?;
        let head = match &self.address {
            Address::Local(path) => {
                let repository = local::open(path)?;
                self.take_local(&repository, &mirror, &mut checked, cancel)?
            }
            Address::Remote(_) => self.take_remote(&mut checked, cancel)?,
        };
        // Opened again: packs that `git` wrote are then known.
        let mirror = self.mirror().map_err(|error| plain(&error))?;
        Ok(self.read_at(&mirror, &head, request.base)?)
    }

    /// Reads all files of an adopted commit from the mirror alone.
    ///
    /// # Errors
    ///
    /// The mirror does not have the commit, or its tree cannot be read.
    pub fn read_adopted(&self, commit: &CommitId) -> Result<SourceRead, SourceFailure> {
        let mirror = self.mirror().map_err(|error| plain(&error))?;
        let id = oid(commit);
        if mirror.find_commit(id).is_err() {
            let mirror = self.mirror.clone();
            return Err(Problem::NotMirrored { commit: *commit, mirror }.into());
        }
        let head = local::Head { id, branch: self.config.branch.clone() };
        Ok(self.read_at(&mirror, &head, None)?)
    }

    /// Reads all files of a revision: a commit, a branch, a tag, or none for the end of the watched branch.
    ///
    /// In a local repository it is looked up there, so that commits on any branch are found; of a remote one the mirror
    /// has the watched branch and adopted commits, and [`Freshness::Fetch`] brings others.
    ///
    /// # Errors
    ///
    /// There is no such revision, or it cannot be read.
    pub fn read_revision(
        &self,
        revision: Option<&str>,
        freshness: Freshness,
        cancel: &CancellationToken,
    ) -> Result<SourceRead, SourceFailure> {
        if let Address::Local(path) = &self.address {
            let repository = local::open(path)?;
            let head = match revision {
                None => local::head(&repository, &self.config.branch, &self.shown())?,
                Some(revision) => self.look_up(&repository, revision, "")?,
            };
            return Ok(self.read_at(&repository, &head, None)?);
        }
        let head = match (revision, freshness) {
            (None, Freshness::Fetch) => {
                let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
                self.take_remote(&mut checked, cancel)?
            }
            (Some(revision), Freshness::Fetch) => {
                let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
                self.take_revision(revision, &mut checked, cancel)?
            }
            (revision, Freshness::Offline) => {
                let mirror = self.mirror().map_err(|error| plain(&error))?;
                let own = [None, Some("HEAD"), Some(self.config.branch.as_str())];
                let name = if own.contains(&revision) { HEAD } else { revision.unwrap_or(HEAD) };
                let hint =
                    "; only what was fetched before can be found without asking the repository";
                self.look_up(&mirror, name, hint)?
            }
        };
        Ok(self.read_at(&self.mirror().map_err(|error| plain(&error))?, &head, None)?)
    }

    /// Reads the work tree as it is on disk: tracked files, and untracked ones that git does not ignore.
    ///
    /// `path` is a folder of a work tree; without it, it is the source's own. The commit is that of `HEAD`, or zero
    /// where there is none yet.
    ///
    /// # Errors
    ///
    /// There is no work tree, or a file of it cannot be read.
    pub fn read_worktree(&self, path: Option<&Path>) -> Result<SourceRead, SourceFailure> {
        let repository = match (path, &self.address) {
            (Some(path), _) => Repository::discover(path)
                .map_err(|_| Problem::NotARepository(path.display().to_string()))?,
            (None, Address::Local(path)) => local::open(path)?,
            (None, Address::Remote(_)) => {
                return Err(Problem::NoWorkTree { repository: self.shown() }.into());
            }
        };
        let files = worktree::read(&repository, &self.config.paths, &self.config.ignore_file)?;
        let head = repository.head().and_then(|head| head.peel_to_commit());
        let id = head.map_or(Oid::ZERO_SHA1, |commit| commit.id());
        let head = local::Head { id, branch: self.config.branch.clone() };
        Ok(answer(&head, None, false, files))
    }

    /// Keeps an adopted commit alive in the mirror.
    ///
    /// # Errors
    ///
    /// The mirror does not have the commit or cannot be written.
    pub fn keep(&self, seq: Seq, commit: &CommitId) -> Result<(), SourceError> {
        let mirror = self.mirror()?;
        let name = format!("{ADOPTED}{seq}");
        let kept = mirror.find_commit(oid(commit));
        kept.and_then(|commit| mirror.reference(&name, commit.id(), true, "").map(drop)).map_err(
            |source| SourceError::Keep { path: self.mirror.clone(), name: name.clone(), source },
        )?;
        let file = self.mirror.join(&name);
        match std::fs::File::open(&file).and_then(|file| file.sync_all()) {
            // Packed by somebody's `git gc`, which syncs.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.map_err(|error| mirror_error(&file, error)),
        }
    }

    /// Keeps an adopted commit alive that should be kept already: a process that ended right after the record did not
    /// get to it. A mirror that does not have the commit is left as it is.
    ///
    /// # Errors
    ///
    /// The mirror cannot be opened or written.
    pub fn keep_again(&self, seq: Seq, commit: &CommitId) -> Result<(), SourceError> {
        let mirror = self.mirror()?;
        let kept = mirror.refname_to_id(&format!("{ADOPTED}{seq}"));
        if kept.is_ok_and(|kept| kept == oid(commit)) || mirror.find_commit(oid(commit)).is_err() {
            return Ok(());
        }
        self.keep(seq, commit)
    }

    /// The commits that are kept, by the record that adopted them.
    ///
    /// # Errors
    ///
    /// The mirror cannot be read.
    pub fn kept(&self) -> Result<BTreeMap<Seq, CommitId>, SourceError> {
        let mirror = self.mirror()?;
        let wrong = |error| mirror_error(&self.mirror, error);
        let mut kept = BTreeMap::new();
        for reference in mirror.references_glob(&format!("{ADOPTED}*")).map_err(wrong)? {
            let reference = reference.map_err(wrong)?;
            let seq = reference.name().ok().and_then(|name| name.strip_prefix(ADOPTED));
            let seq = seq.and_then(|seq| seq.parse().ok());
            if let (Some(seq), Some(id)) = (seq, reference.target()) {
                kept.insert(Seq(seq), commit_id(id));
            }
        }
        Ok(kept)
    }

    /// Lets commits go that were kept; what is not kept is passed over.
    ///
    /// # Errors
    ///
    /// The mirror cannot be written.
    pub fn release(&self, seqs: &[Seq]) -> Result<(), SourceError> {
        let mirror = self.mirror()?;
        for seq in seqs {
            let name = format!("{ADOPTED}{seq}");
            let done = mirror.find_reference(&name).and_then(|mut reference| reference.delete());
            match done {
                Err(error) if error.code() != ErrorCode::NotFound => {
                    return Err(SourceError::Keep {
                        path: self.mirror.clone(),
                        name,
                        source: error,
                    });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn mirror(&self) -> Result<Repository, SourceError> {
        let wrong = |error| mirror_error(&self.mirror, error);
        match Repository::open_bare(&self.mirror) {
            Err(error) if error.code() == ErrorCode::NotFound && !self.mirror.exists() => {}
            opened => return opened.map_err(wrong),
        }
        // Made beside and renamed, so that one that was begun and not finished is never taken for a mirror.
        let io = |error| mirror_error(&self.mirror, error);
        let parent = self.mirror.parent().unwrap_or(Path::new("/"));
        let new = tempfile::Builder::new().prefix(".mirror-").tempdir_in(parent).map_err(io)?;
        let mut options = RepositoryInitOptions::new();
        options.bare(true).no_reinit(true).external_template(false);
        let made = Repository::init_opts(new.path(), &options).map_err(wrong)?;
        let mut config = made.config().map_err(wrong)?;
        config.set_i32("gc.auto", 0).map_err(wrong)?;
        config.set_str("core.hooksPath", "/dev/null").map_err(wrong)?;
        let path = new.keep();
        match std::fs::rename(&path, &self.mirror) {
            // Another process was faster.
            Err(_) if self.mirror.exists() => drop(std::fs::remove_dir_all(&path)),
            done => done.map_err(io)?,
        }
        Repository::open_bare(&self.mirror).map_err(wrong)
    }

    fn read_at(
        &self,
        repository: &Repository,
        head: &local::Head,
        base: Option<CommitId>,
    ) -> Result<SourceRead, Problem> {
        let commit = commit_id(head.id);
        let wrong = |error| Problem::tree(commit, error);
        let tree = repository.find_commit(head.id).and_then(|found| found.tree()).map_err(wrong)?;
        let known = base.filter(|base| repository.find_commit(oid(base)).is_ok());
        let forced = match base {
            // Not in the mirror, which has the whole history of the head: then it is no part of it.
            Some(base) if known.is_none() => base != commit,
            Some(base) if base != commit => {
                !repository.graph_descendant_of(head.id, oid(&base)).map_err(wrong)?
            }
            Some(_) | None => false,
        };
        let old = known.map(|base| repository.find_commit(oid(&base)).and_then(|base| base.tree()));
        // A base that is damaged is as good as none.
        let old = old.and_then(Result::ok);
        let files =
            tree::read(repository, &tree, old, &self.config.paths, &self.config.ignore_file)
                .map_err(|why| Problem::tree(commit, why))?;
        let base = known.filter(|_| files.relative);
        Ok(answer(head, base, forced, files))
    }

    fn look_up(
        &self,
        repository: &Repository,
        revision: &str,
        hint: &'static str,
    ) -> Result<local::Head, Problem> {
        let commit = repository.revparse_single(revision).and_then(|found| found.peel_to_commit());
        match commit {
            Ok(commit) => Ok(local::Head { id: commit.id(), branch: revision.to_owned() }),
            Err(_) if revision == HEAD => Err(Problem::NeverFetched(self.shown())),
            Err(_) => Err(Problem::NoRevision {
                repository: self.shown(),
                revision: revision.to_owned(),
                hint,
            }),
        }
    }
}

fn answer(head: &local::Head, base: Option<CommitId>, forced: bool, files: Files) -> SourceRead {
    SourceRead {
        commit: commit_id(head.id),
        base,
        branch: head.branch.clone(),
        forced,
        changed: files.changed,
        removed: files.removed,
        skipped: files.skipped,
    }
}

fn mirror_error(
    path: &Path,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> SourceError {
    SourceError::Mirror { path: path.to_owned(), source: error.into() }
}

fn plain(error: &SourceError) -> SourceFailure {
    SourceFailure { commit: None, message: chain(error) }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    address::redact(&text)
}

fn oid(commit: &CommitId) -> Oid {
    // 40 hex digits by construction; the zero id is no commit and is found nowhere.
    Oid::from_str(&commit.to_string()).unwrap_or(Oid::ZERO_SHA1)
}

fn commit_id(id: Oid) -> CommitId {
    CommitId::from_bytes(tree::bytes(id))
}

/// Whether a folder is in a repository, a bare one included.
pub(crate) fn is_in_repository(folder: &Path) -> bool {
    Repository::discover(folder).is_ok()
}
