//! A real daemon in a folder of its own, and what it wrote.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tidegate::control::{Question, Reply};
use tidegate::fact::{Fact, Record};

/// How long anything may take before a test gives up; generous, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often is looked: most looks start a program, and on two cores they take from each other.
const LOOK: Duration = Duration::from_millis(60);

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "gave up waiting for {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// Waits for a future where a test has no runtime of its own.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future)
}

/// How many processes have this word in their command line.
pub(crate) fn processes(word: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.windows(word.len()).any(|part| part == word.as_bytes())).count()
}

/// The program that is tested: the one that `TIDEGATE_TEST_PROGRAM` names, else what was built with the tests.
pub(crate) fn program() -> PathBuf {
    let named = std::env::var_os("TIDEGATE_TEST_PROGRAM").filter(|path| !path.is_empty());
    named.map_or_else(|| env!("CARGO_BIN_EXE_tidegate").into(), PathBuf::from)
}

/// A state directory, a configuration, and perhaps a running daemon.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    child: Option<Child>,
    /// What the daemon writes to its standard error goes here.
    log: PathBuf,
    /// Where programs are looked up before `PATH`.
    first: Option<PathBuf>,
    /// Whose programs they are, where not ours.
    user: Option<u32>,
}

impl Host {
    /// Makes a host whose configuration is `toml` plus the paths that every host has.
    pub(crate) fn new(repository: &Path, toml: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let text = format!(
            "state_dir = \"{0}/state\"\n[source]\nrepository = \"{1}\"\nbranch = \"main\"\n[control]\nsocket = \"{0}/control.sock\"\n{toml}",
            dir.path().display(),
            repository.display(),
        );
        std::fs::write(dir.path().join("tidegate.toml"), text).unwrap();
        let log = dir.path().join("log");
        Self { dir, child: None, log, first: None, user: None }
    }

    /// From now on it is the host of that user, who has the program, too: the folder that it was built in may be closed to
    /// them.
    pub(crate) fn belongs_to(&mut self, user: u32) {
        std::fs::copy(program(), self.path("tidegate")).unwrap();
        self.user = Some(user);
    }

    /// From now on programs are looked up in this folder before `PATH`.
    pub(crate) fn looks_first_in(&mut self, folder: PathBuf) {
        self.first = Some(folder);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// The program with this host's configuration and nothing else from outside.
    pub(crate) fn tidegate(&self, args: &[&str]) -> Command {
        let own = self.user.map(|_| self.path("tidegate"));
        let mut command = Command::new(own.unwrap_or_else(program));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths(self.first.iter().cloned().chain(std::env::split_paths(&path)));
        command
            .args(args)
            .env_clear()
            .env("PATH", path.unwrap())
            .env("HOME", self.dir.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("TIDEGATE_CONFIG", self.path("tidegate.toml"))
            .stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user).env("XDG_RUNTIME_DIR", self.path("run"));
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let output = self.tidegate(args).output().unwrap();
        for (bytes, of) in [(&output.stdout, "standard output"), (&output.stderr, "standard error")]
        {
            assert_eq!(canary(bytes), None, "law 10: {args:?} prints a secret on its {of}");
        }
        output
    }

    /// Law 10: neither the log nor the journal has a secret.
    pub(crate) fn has_no_secret(&self) {
        let journal = std::fs::read_dir(self.state().join("journal")).into_iter().flatten();
        let files = journal.filter_map(|entry| Some(entry.ok()?.path())).chain([self.log.clone()]);
        for file in files {
            let found = canary(&std::fs::read(&file).unwrap_or_default());
            // Not `assert_eq`, whose words would be searched in turn.
            assert!(found.is_none(), "law 10: {} has a secret", file.display());
        }
    }

    /// Runs a command and returns its standard output; it must not fail.
    pub(crate) fn text(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(
            output.status.code().is_some_and(|code| code == 0 || code == 2 || code == 3),
            "{args:?}: {out}{err}"
        );
        out
    }

    pub(crate) fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts the daemon with further flags.
    pub(crate) fn start_with(&mut self, flags: &[&str]) {
        assert!(self.child.is_none(), "one daemon at a time");
        let log = std::fs::File::options().create(true).append(true).open(&self.log).unwrap();
        let mut command = self.tidegate(&["run"]);
        self.child = Some(command.args(flags).stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Starts a daemon that may have this many files open.
    pub(crate) fn start_with_files(&mut self, files: u32) {
        let run = self.tidegate(&["run"]);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {files}; exec \"$0\" run")).arg(run.get_program());
        command.env_clear();
        command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let log = std::fs::File::create(&self.log).unwrap();
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    }

    /// Makes the daemon read its configuration again.
    pub(crate) fn reload(&self) {
        let pid = rustix::process::Pid::from_child(self.child.as_ref().expect("a running daemon"));
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }

    /// What the daemon logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends the daemon as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Changes the configuration.
    pub(crate) fn configure(&self, change: impl Fn(&str) -> String) {
        let path = self.path("tidegate.toml");
        let text = change(&std::fs::read_to_string(&path).unwrap());
        std::fs::write(path, text).unwrap();
    }

    /// Ends the daemon as a service manager would, and returns how it ended.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("a running daemon");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        child.wait().unwrap()
    }

    /// How the daemon ended by itself; none while it runs.
    pub(crate) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        let status = self.child.as_mut().expect("a daemon").try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    /// Asks the running daemon through its control socket; none if none listens or it ends before it answers.
    pub(crate) fn ask(&self, question: &Question) -> Option<Reply> {
        let mut stream = UnixStream::connect(self.path("control.sock")).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all((serde_json::to_string(question).unwrap() + "\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    /// Every whole record of the journal, whether the daemon runs or not.
    pub(crate) fn records(&self) -> Vec<Record> {
        match tidegate::journal::read(&self.state()) {
            // A reader stays at what it cannot read, such as a file that retention removes meanwhile.
            Ok(reader) => reader.map_while(Result::ok).collect(),
            Err(_) => Vec::new(), // not there yet
        }
    }

    /// Waits until the journal holds a record that `wanted` accepts; says what the daemon said if it never does.
    pub(crate) fn wait_for(&self, what: &str, wanted: impl Fn(&Fact) -> bool) -> Record {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.records().into_iter().find(|record| wanted(&record.fact)) {
                return found;
            }
            assert!(Instant::now() < deadline, "gave up waiting for {what}; {}", self.story());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// How many records `wanted` accepts.
    pub(crate) fn count(&self, wanted: impl Fn(&Fact) -> bool) -> usize {
        self.records().iter().filter(|record| wanted(&record.fact)).count()
    }

    /// The journal and the log, for a failing test.
    pub(crate) fn story(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let kinds: Vec<_> =
            self.records().iter().map(|r| format!("{} {}", r.seq, r.fact.kind())).collect();
        format!("journal: {kinds:?}\nlog:\n{log}")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            self.has_no_secret();
        }
    }
}

/// What every secret of the tests begins with, wherever it is put: in logins, hooks, headers, variables.
const CANARIES: [&str; 2] = ["canary-", "hunter2"];

/// The secret that is in a text.
fn canary(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes);
    CANARIES.into_iter().find(|canary| text.contains(canary))
}
