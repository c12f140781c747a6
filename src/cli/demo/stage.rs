//! What the demo plays on: a folder, a repository, a registry, the daemon, and a look into its journal.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::ask;
use crate::config::Environment;
use crate::control::{Question, Reply};
use crate::fact::Fact;
use crate::journal::{self, Reader};
use crate::names::{Digest, StreamTag};
use crate::world::demo_registry::DemoRegistry;

/// The first commit of the demo is what a newcomer would copy.
const MANIFESTS: [(&str, &str); 3] = [
    ("build-config.yaml", include_str!("../../../manifests/build-config.yaml")),
    ("deployment-config.yaml", include_str!("../../../manifests/deployment-config.yaml")),
    ("image-stream.yaml", include_str!("../../../manifests/image-stream.yaml")),
];

const ROLL_OUT: &str = include_str!("roll-out.sh");

/// The registry that the starter manifests name; the demo's own stands in for it.
const REGISTRY: &str = "docker.io";

const REPOSITORY: &str = "library/nginx";

/// Between two looks at the journal.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until the demo gives up: thirty seconds, where each thing takes well under one.
const LOOKS_MAX: u32 = 1500;

/// What becomes of the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Remove,
}

/// Everything that the story needs.
pub(super) struct Stage {
    // Dropped in this order: the daemon ends before its registry and its folder go.
    daemon: Option<Daemon>,
    registry: DemoRegistry,
    /// Set by a signal that would end the demo and leave the daemon behind.
    interrupted: Arc<AtomicBool>,
    _runtime: tokio::runtime::Runtime,
    program: PathBuf,
    journal: Option<Reader>,
    folder: PathBuf,
    _removed: Option<tempfile::TempDir>,
}

impl Stage {
    /// Makes the folder, the repository and the registry.
    pub(super) fn set(after: After) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let temporary = tempfile::Builder::new()
            .prefix("tidegate-demo-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let folder = temporary.path().to_owned();
        let removed = match after {
            After::Remove => Some(temporary),
            After::Keep => {
                drop(temporary.keep());
                None
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("cannot start a runtime for the registry")?;
        let registry = runtime
            .block_on(DemoRegistry::start())
            .context("cannot serve a registry on 127.0.0.1")?;
        let interrupted = runtime.block_on(async { interrupts() });
        let interrupted = interrupted.context("cannot listen for signals")?;
        let stage = Self {
            daemon: None,
            registry,
            interrupted,
            _runtime: runtime,
            program,
            journal: None,
            folder,
            _removed: removed,
        };
        stage.write_files()?;
        stage.make_repository()?;
        Ok(stage)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn registry(&self) -> String {
        self.registry.address()
    }

    fn write_files(&self) -> anyhow::Result<()> {
        let registry = self.registry.address();
        self.make_folder("apps")?;
        for (name, text) in MANIFESTS {
            self.write(&format!("apps/{name}"), &text.replace(REGISTRY, &registry))?;
        }
        self.write("tidegate.toml", &configuration(&registry))?;
        self.write("roll-out", ROLL_OUT)?;
        let script = self.folder.join("roll-out");
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))
            .with_context(|| format!("cannot make `{}` executable", script.display()))
    }

    fn make_repository(&self) -> anyhow::Result<()> {
        match self.command("git", "apps").arg("--version").output() {
            Ok(output) if output.status.success() => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
                "the demo needs the `git` program, and there is none in PATH: install the package `git`"
            ),
            Ok(_) | Err(_) => bail!("the demo needs the `git` program, and `git --version` fails"),
        }
        for arguments in
            [&["init", "-q"][..], &["symbolic-ref", "HEAD", "refs/heads/main"], &["add", "."]]
        {
            self.git(arguments)?;
        }
        self.git(&["commit", "-q", "-m", "web runs nginx"])
    }

    fn git(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output =
            self.command("git", "apps").args(arguments).output().context("cannot run git")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`git {}` fails: {}", arguments.join(" "), error.trim());
        Ok(())
    }

    /// A command as a newcomer would run it, apart from settings that only this machine has.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>, folder: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.join(folder)).stdin(Stdio::null());
        for name in Environment::of_process().variables.keys() {
            let lower = name.to_ascii_lowercase();
            let foreign = ["git_", "tidegate_"].iter().any(|start| lower.starts_with(start));
            // A proxy cannot reach a registry on our loopback.
            if foreign || lower.ends_with("_proxy") || name == "STATE_DIRECTORY" {
                command.env_remove(name);
            }
        }
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "You");
            command.env(format!("GIT_{role}_EMAIL"), "you@example.com");
        }
        // Nobody's hooks, signatures or pagers.
        command.envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_PAGER", "cat"),
            ("NO_PROXY", "127.0.0.1"),
        ]);
        command
    }

    /// Starts the daemon.
    pub(super) fn start_daemon(&mut self) -> anyhow::Result<()> {
        let log = self.folder.join("daemon.log");
        let file =
            File::create(&log).with_context(|| format!("cannot make `{}`", log.display()))?;
        let mut command = self.command(&self.program, "");
        let child = command
            .arg("run")
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start `{}`", self.program.display()))?;
        self.daemon = Some(Daemon { child, log });
        Ok(())
    }

    /// Runs a command of a newcomer's in a shell and prints it with its output.
    ///
    /// `tidegate` in it is this very program. Exit codes that say more than "done" are printed, as a newcomer would
    /// want to know them; an error ends the demo.
    pub(super) fn show(&self, line: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        self.go_on()?;
        writeln!(out, "$ {line}")?;
        out.flush()?;
        let (program, arguments) = line.split_once(' ').unwrap_or((line, ""));
        let mut command = match program {
            "tidegate" => self.command(&self.program, ""),
            other => self.command(other, ""),
        };
        let output = command
            .args(words(arguments))
            .output()
            .with_context(|| format!("cannot run `{line}`"))?;
        out.write_all(&output.stdout)?;
        out.write_all(&output.stderr)?;
        match output.status.code() {
            Some(0) => {}
            Some(code @ 2..=4) if program == "tidegate" => {
                writeln!(out, "(exit code {code})")?;
            }
            _ => bail!("`{line}` ended with {}", output.status),
        }
        writeln!(out)?;
        Ok(())
    }

    /// Puts a new image behind the tag that `web:stable` follows, and has the daemon look at it now.
    pub(super) fn push(&self, seed: &str) -> anyhow::Result<()> {
        let _digest = self.put(seed); // the daemon finds out by itself
        let socket = self.folder.join("state/control.sock");
        let tag: StreamTag = "default/web:stable".parse()?;
        match ask::ask(&socket, &Question::CheckTag(tag))? {
            Some(Reply::Refused(why)) => bail!("the daemon refuses to look at the tag: {why}"),
            Some(
                Reply::Done(_)
                | Reply::Nothing(_)
                | Reply::Status(_)
                | Reply::Pruned(_)
                | Reply::Ordered(_)
                | Reply::Started(_)
                | Reply::Cancelled(_)
                | Reply::Uploaded(_)
                | Reply::Looking(_)
                | Reply::Hooks(_),
            ) => Ok(()),
            None => bail!("no daemon listens at `{}`", socket.display()),
        }
    }

    /// Puts a new image behind the tag.
    pub(super) fn put(&self, seed: &str) -> Digest {
        self.registry.put_image(REPOSITORY, "stable", seed)
    }

    /// Puts an image behind the tag that nothing of the story looks at again.
    pub(super) fn put_mainline(&self) {
        let _digest = self.registry.put_image(REPOSITORY, "mainline", "mainline");
    }

    /// Writes a file below the folder.
    pub(super) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        let write = || File::create(&path)?.write_all(text.as_bytes());
        write().with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Changes a file below the folder.
    pub(super) fn edit(&self, name: &str, from: &str, to: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        ensure!(text.contains(from), "`{}` has no `{from}`", path.display());
        self.write(name, &text.replace(from, to))
    }

    /// Removes a file below the folder.
    pub(super) fn remove(&self, name: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        std::fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))
    }

    fn make_folder(&self, name: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot make `{}`", path.display()))
    }

    /// An error when the demo is to end: what it started then ends with it.
    fn go_on(&self) -> anyhow::Result<()> {
        ensure!(!self.interrupted.load(Ordering::Relaxed), "interrupted by a signal");
        Ok(())
    }

    /// Reads on in the journal until a fact is there that `seen` knows.
    pub(super) fn wait(
        &mut self,
        what: &str,
        mut seen: impl FnMut(&Fact) -> bool,
    ) -> anyhow::Result<()> {
        for _ in 0..LOOKS_MAX {
            self.go_on()?;
            if self.journal.is_none() && self.folder.join("state/journal").is_dir() {
                self.journal = Some(journal::read(&self.folder.join("state"))?);
            }
            for record in self.journal.iter_mut().flatten() {
                if seen(&record?.fact) {
                    return Ok(());
                }
            }
            if let Some(daemon) = &mut self.daemon {
                daemon.still_runs()?;
            }
            std::thread::sleep(LOOK);
        }
        let log = self.daemon.as_ref().map(Daemon::last_words).unwrap_or_default();
        bail!("waited too long for {what}; the daemon's last words:\n{log}")
    }
}

/// Listens for the signals that end a program from a terminal or a service manager; the first one sets the flag.
fn interrupts() -> std::io::Result<Arc<AtomicBool>> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    let mut hup = signal(SignalKind::hangup())?;
    let flag = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&flag);
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hup.recv() => {}
        }
        set.store(true, Ordering::Relaxed);
    });
    Ok(flag)
}

/// Splits as a shell would, as far as this story needs it.
fn words(line: &str) -> Vec<String> {
    let odd_parts_are_quoted = line.split('"').enumerate();
    let mut words = Vec::new();
    for (index, part) in odd_parts_are_quoted {
        match index % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words
}

fn configuration(registry: &str) -> String {
    format!(
        r#"state_dir = "state"

[source]
repository = "apps"
poll = "5s"

[registries."{registry}"]
insecure = true

[targets.here]
kind = "exec"
command = ["./roll-out"]

[routes]
default = "here"
"#
    )
}

/// The daemon; asked to end, and waited for, when it is dropped.
struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn still_runs(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the daemon ended with {status}; its last words:\n{}", self.last_words());
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().cast_signed()) {
            // One that has ended already needs no signal.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for _ in 0..250 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        drop(self.child.kill()); // it did not end in five seconds, and must not outlive the demo
        drop(self.child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_what_is_quoted_together() {
        assert_eq!(
            words(r#"-C apps commit -qam "web: greet again""#),
            ["-C", "apps", "commit", "-qam", "web: greet again"]
        );
        assert_eq!(words(""), [""; 0]);
    }

    #[test]
    fn the_starter_manifests_name_the_registry_that_the_demo_replaces() {
        let (_, streams) = MANIFESTS[2];
        assert!(streams.contains(&format!("{REGISTRY}/{REPOSITORY}:stable")));
    }
}
