//! A look at somebody else's repository: whether it answers, what stands at the top of a folder of it.

use std::ffi::OsString;
use std::path::Path;

use git2::{ObjectType, Repository};
use tokio_util::sync::CancellationToken;

use crate::limits;

use super::SourceConfig;
use super::address::{Address, redact};
use super::program::{Answer, Place, Program, Stopped, said};

/// What stands at the top of a folder.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Peeked {
    /// The names, in order.
    pub names: Vec<String>,
    /// The text of its Dockerfile.
    pub dockerfile: Option<String>,
}

/// Where a folder's repository comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The URL of its remote `origin`.
    pub url: String,
    /// The branch that is checked out; empty for none.
    pub branch: String,
}

/// Looks at repositories, with the `git` program and the settings of the source.
pub struct Peek {
    program: Program,
}

impl Peek {
    /// With these settings.
    #[must_use]
    pub fn new(config: &SourceConfig) -> Self {
        let program = Program {
            path: config.git.clone(),
            options: config.git_options.clone(),
            ssh_command: config.ssh_command.clone(),
            timeout: config.timeout,
            place: Place::Mirror,
        };
        Self { program }
    }

    /// Asks a repository for its branches, as `git ls-remote` does (rule N1).
    ///
    /// # Errors
    /// Why it does not answer, without a login.
    pub fn answers(&self, url: &str) -> Result<(), String> {
        let words = ["ls-remote".into(), "--heads".into(), "--".into(), address(url)?];
        self.run(Path::new("/"), &words).map(drop)
    }

    /// Reads what stands at the top of a folder of a repository; `reference` is empty for its own branch.
    ///
    /// # Errors
    /// When it cannot be cloned, or has no such branch or folder.
    pub fn read(&self, url: &str, reference: &str, folder: &str) -> Result<Peeked, String> {
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = scratch.path();
        let clone = |more: &[&str]| {
            let mut words: Vec<OsString> = ["clone", "--bare", "--quiet"].map(Into::into).into();
            words.extend(more.iter().map(Into::into));
            words.extend(["--".into(), address(url)?, "x.git".into()]);
            self.run(path, &words)
        };
        let shallow = match reference {
            "" => clone(&["--depth=1"]),
            named => clone(&["--depth=1", "--branch", named]),
        };
        let done = match shallow {
            // A commit is no branch: then all of it is needed.
            Err(_) if !reference.is_empty() => {
                // What a clone that failed left would stop the next one; that it left nothing is fine.
                drop(std::fs::remove_dir_all(path.join("x.git")));
                clone(&[])
            }
            done => done,
        };
        done.map_err(|why| format!("cloning repository \"{}\" failed: {why}", redact(url)))?;
        let wrong = |error: git2::Error| error.message().to_owned();
        let repository = Repository::open_bare(path.join("x.git")).map_err(wrong)?;
        let name = if reference.is_empty() { "HEAD" } else { reference };
        let commit = repository.revparse_single(name).and_then(|found| found.peel_to_commit());
        let commit = commit.map_err(|_| {
            format!("unable to checkout ref \"{reference}\" in \"{}\" repository", redact(url))
        })?;
        let mut tree = commit.tree().map_err(wrong)?;
        if !folder.is_empty() {
            let inner = tree.get_path(Path::new(folder)).and_then(|one| one.to_object(&repository));
            tree = inner.and_then(|one| one.peel_to_tree()).map_err(|_| {
                let shown = redact(url);
                format!("supplied context directory '{folder}' does not exist in '{shown}'")
            })?;
        }
        let mut peeked = Peeked::default();
        for entry in &tree {
            let Ok(name) = entry.name() else { continue };
            peeked.names.push(name.to_owned());
            if name == "Dockerfile" && entry.kind() == Some(ObjectType::Blob) {
                let blob = repository.find_blob(entry.id()).map_err(wrong)?;
                peeked.dockerfile = text_of(blob.content())?;
            }
        }
        Ok(peeked)
    }

    fn run(&self, folder: &Path, words: &[OsString]) -> Result<Answer, String> {
        let answer = self.program.run(folder, words, &CancellationToken::new());
        match answer {
            Ok(answer) if answer.status.success() => Ok(answer),
            Ok(answer) => Err(redact(&said(&answer.stderr))),
            Err(Stopped::Timeout) => Err("it did not answer in time".into()),
            Err(Stopped::Cancelled) => Err("it was stopped".into()),
            Err(Stopped::Problem(problem)) => Err(problem.to_string()),
        }
    }
}

fn address(url: &str) -> Result<OsString, String> {
    Address::parse(url).map(|address| address.argument()).map_err(|problem| problem.to_string())
}

fn text_of(bytes: &[u8]) -> Result<Option<String>, String> {
    if bytes.len() > limits::MANIFEST_BYTES_MAX {
        return Err("its Dockerfile is too large".into());
    }
    if bytes.is_empty() {
        return Err("Dockerfile \"Dockerfile\" is empty".into());
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

/// Reads what stands at the top of a folder on this machine.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn peek_folder(folder: &Path) -> Result<Peeked, String> {
    let shown = folder.display();
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("cannot read `{shown}`: {error}"))?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut peeked = Peeked { names: names.collect(), dockerfile: None };
    peeked.names.sort();
    let file = folder.join("Dockerfile");
    if file.is_file() {
        let bytes = std::fs::read(&file);
        let bytes = bytes.map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
        peeked.dockerfile = text_of(&bytes)?;
    }
    Ok(peeked)
}

/// Where the repository that a folder is in comes from; none where it is in none, or that is nowhere else.
#[must_use]
pub fn origin_of(folder: &Path) -> Option<Origin> {
    let repository = Repository::discover(folder).ok()?;
    let url = repository.find_remote("origin").ok()?.url().ok()?.to_owned();
    let head = repository.head().ok();
    let branch = head.filter(git2::Reference::is_branch);
    let branch = branch.and_then(|head| head.shorthand().ok().map(str::to_owned));
    Some(Origin { url, branch: branch.unwrap_or_default() })
}
