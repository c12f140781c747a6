//! A user's checkout of manifests, and the program run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tidegate::fact::{Fact, Reason, Record, TagEvent, TagImported, Via};
use tidegate::journal::Journal;
use tidegate::names::{Generation, Seq};
use tidegate::time::Timestamp;

use super::daemon::{Host, program};
use super::git::Repo;

/// A repository, a configuration whose namespace is `test`, and no daemon.
pub(crate) struct Checkout {
    pub(crate) repo: Repo,
    pub(crate) host: Host,
    folder: PathBuf,
    author: Option<&'static str>,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().expect("an exit code");
        Self { code, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Checkout {
    /// One with this file committed.
    pub(crate) fn of(path: &str, text: &str) -> Self {
        let repo = Repo::new();
        repo.write(path, text).commit("first");
        Self::in_repo(repo)
    }

    pub(crate) fn in_repo(repo: Repo) -> Self {
        let host = Host::new(repo.path(), "");
        host.configure(|text| format!("default_namespace = \"test\"\n{text}"));
        let folder = repo.path().to_owned();
        Self { repo, host, folder, author: Some("Ada") }
    }

    /// Runs elsewhere from now on.
    pub(crate) fn at(mut self, folder: &Path) -> Self {
        self.folder = folder.to_owned();
        self
    }

    /// Nobody has told git who they are.
    pub(crate) fn without_author(mut self) -> Self {
        self.author = None;
        self
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).env("HOME", self.host.path("."));
        command
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("TIDEGATE_CONFIG", self.host.path("tidegate.toml"));
        match self.author {
            Some(author) => {
                for who in ["AUTHOR", "COMMITTER"] {
                    command.env(format!("GIT_{who}_NAME"), author);
                    command.env(format!("GIT_{who}_EMAIL"), "ada@example.com");
                }
            }
            None => {
                std::fs::write(self.host.path(".gitconfig"), "[user]\nuseConfigOnly = true\n")
                    .unwrap();
            }
        }
        command.current_dir(&self.folder).args(words).stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        Ran::of(&self.command(words).output().unwrap())
    }

    /// Runs a command that must succeed, and returns its answer.
    pub(crate) fn says(&self, words: &[&str]) -> String {
        let ran = self.run(words);
        assert_eq!(ran.code, 0, "{words:?}: {}{}", ran.out, ran.err);
        ran.out
    }

    /// Runs a command that must fail without changing anything, and returns what it said.
    pub(crate) fn refuses(&self, words: &[&str]) -> String {
        let before = self.state();
        let ran = self.run(words);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{words:?}: {}", ran.err);
        assert_eq!(self.state(), before, "{words:?} changed something: {}", ran.err);
        ran.err
    }

    /// Everything that a refused command leaves alone: the commit, the index, the files.
    pub(crate) fn state(&self) -> String {
        let git = |words: &[&str]| {
            let output = self.repo.try_git(words);
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let status = if git(&["rev-parse", "--is-bare-repository"]).trim() == "true" {
            String::new()
        } else {
            git(&["status", "--porcelain"]) + &git(&["diff"]) + &git(&["diff", "--cached"])
        };
        git(&["rev-parse", "--all"]) + &status
    }

    /// A file as it is on disk.
    pub(crate) fn file(&self, path: &str) -> String {
        std::fs::read_to_string(self.repo.path().join(path)).unwrap()
    }

    /// The lines that the last commit added and took away, by `+` and `-`.
    pub(crate) fn last_change(&self) -> String {
        let diff = self.repo.git(&["show", "--format=", "--unified=0", "HEAD"]);
        let lines = diff.lines().filter(|line| {
            line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
        });
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// Lets the journal know that tags have images: `test/python:3.5=<digest>`.
    pub(crate) fn imported(&self, tags: &[(&str, &str)]) {
        let (mut journal, _) = Journal::open(&self.host.state()).unwrap();
        let first = journal.head().seq.0;
        let records = tags.iter().zip(first + 1..).map(|((tag, image), seq)| {
            let reference = match image.strip_prefix("sha256:") {
                Some(_) => format!("r.io/of/journal@{image}"),
                None => (*image).to_owned(),
            };
            let created = Timestamp::from_millis(1_700_000_000_000);
            let event = TagEvent {
                created,
                reference,
                image: image.parse().ok(),
                generation: Generation(1),
            };
            let fact = Fact::TagImported(Box::new(TagImported {
                tag: tag.parse().unwrap(),
                event,
                probed: None,
                asked: 0,
                metadata: None,
                via: Via::Registry,
                reason: Reason::Nudged,
            }));
            Record { seq: Seq(seq), at: created, fact }
        });
        journal.append(&records.collect::<Vec<_>>()).unwrap();
    }
}
