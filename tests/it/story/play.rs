//! A copied example with its repository and a running daemon.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tidegate::control::{Question, Reply};
use tidegate::fact::{Fact, RolloutStarted};
use tidegate::journal;

use crate::support::daemon::eventually;
use crate::support::git;

/// What the examples call their registry.
const REGISTRY: &str = "localhost:5000";

/// The top of the project.
pub(crate) fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program, apart from settings of whoever runs the tests.
pub(crate) fn tidegate(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().to_ascii_lowercase();
        if name.starts_with("tidegate_") || name.ends_with("_proxy") {
            command.env_remove(&name).env_remove(name.to_ascii_uppercase());
        }
    }
    command
}

/// A copy of an example, with `apps/` as a repository.
pub(crate) struct Play {
    folder: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Drop for Play {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.read("daemon.log");
            std::io::stderr().write_all(log.as_bytes()).unwrap();
        }
        if let Some(mut daemon) = self.daemon.take() {
            drop(daemon.kill());
            drop(daemon.wait());
        }
    }
}

impl Play {
    /// Copies an example, with the address of a registry in place of its own and further replacements.
    pub(crate) fn of(example: &str, registry: &str, others: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let replacements = [&[(REGISTRY, registry)], others].concat();
        copy(&project().join("examples").join(example), folder.path(), &replacements);
        let play = Self { folder, daemon: None };
        play.git(&["init", "-q", "--initial-branch=main"]);
        play.commit("start");
        play
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "-q", "-m", message]);
    }

    fn git(&self, arguments: &[&str]) {
        let output = git::command().current_dir(self.path("apps")).args(arguments).output();
        assert!(output.unwrap().status.success(), "git {arguments:?}");
    }

    /// Starts `tidegate run` with variables.
    pub(crate) fn start(&mut self, environment: &[(&str, &str)]) {
        let log = File::create(self.path("daemon.log")).unwrap();
        let mut command = tidegate(self.folder.path(), &["run"]);
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(log);
        self.daemon = Some(command.spawn().unwrap());
    }

    /// Ends the daemon as a service manager would, and waits for it.
    pub(crate) fn stop(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        let pid = rustix::process::Pid::from_raw(daemon.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(daemon.wait().unwrap().success(), "the daemon ends well");
    }

    /// Runs a command in the folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        tidegate(self.folder.path(), arguments).output().unwrap()
    }

    /// Runs a command that has to work, and returns what it printed.
    pub(crate) fn shown(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {} {error}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Has the daemon look at a tag.
    pub(crate) fn check(&self, tag: &str) {
        let mut socket = UnixStream::connect(self.path("state/control.sock")).unwrap();
        let question = Question::CheckTag(tag.parse().unwrap());
        let question = serde_json::to_string(&question).unwrap() + "\n";
        socket.write_all(question.as_bytes()).unwrap();
        let mut reply = String::new();
        BufReader::new(socket).read_line(&mut reply).unwrap();
        assert!(matches!(serde_json::from_str(&reply).unwrap(), Reply::Nothing(_)), "{reply}");
    }

    /// What the journal says so far.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        if !self.path("state/journal").is_dir() {
            return Vec::new();
        }
        let reader = journal::read(&self.path("state")).unwrap();
        reader.map(|record| record.unwrap().fact).collect()
    }

    /// Waits until the journal says something.
    pub(crate) fn wait(&self, what: &str, said: impl Fn(&[Fact]) -> bool) {
        eventually(what, || said(&self.facts()).then_some(()));
    }

    /// Waits until so many rollouts began and ended.
    pub(crate) fn wait_for_rollouts(&self, count: usize) {
        self.wait(&format!("{count} rollouts"), |facts| {
            let ended = facts.iter().filter(|fact| matches!(fact, Fact::RolloutFinished(_)));
            ended.count() >= count && started(facts).len() >= count
        });
    }
}

/// The rollouts that began.
pub(crate) fn started(facts: &[Fact]) -> Vec<&RolloutStarted> {
    let mut rollouts = Vec::new();
    for fact in facts {
        if let Fact::RolloutStarted(started) = fact {
            rollouts.push(started.as_ref());
        }
    }
    rollouts
}

fn copy(from: &Path, to: &Path, replacements: &[(&str, &str)]) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target, replacements);
            continue;
        }
        let mut text = std::fs::read_to_string(entry.path()).unwrap();
        for (old, new) in replacements {
            text = text.replace(old, new);
        }
        std::fs::copy(entry.path(), &target).unwrap(); // with its mode
        std::fs::write(&target, text).unwrap();
    }
}
