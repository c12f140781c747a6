//! One call of podman or of a program beside it: bounded in time, ended with its children, and never beside an earlier one.
//!
//! What it prints goes to files, not through pipes: the monitor of a container that it starts lives on and would keep a
//! pipe open.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::super::exec::{signal_group, take_lock};
use super::super::lock::{self, Lock};
use super::PodmanTarget;
use super::moving::stands_still;
use crate::limits;
use crate::names::{ObjectKey, RolloutKey};
use crate::time::Span;

/// Bytes that are read of what it prints.
const OUTPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Calls for one object, one after the other.
pub(super) struct Podman<'a> {
    pub(super) target: &'a PodmanTarget,
    pub(super) locks: &'a Path,
    pub(super) object: &'a ObjectKey,
    /// The run of a `CronJob` that they are for. Several go on at the same time, and whoever waits for a lock ends the
    /// program that holds it for too long, as one that outlived the daemon: it is not to be that of another run.
    pub(super) run: Option<&'a RolloutKey>,
    pub(super) cancel: &'a CancellationToken,
}

/// Why a call has no result.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The program said no; its words.
    Refused(String),
    /// It could not be run, was killed or took too long: nothing is known against what it was asked.
    Passing(String),
    /// The rollout was cancelled.
    Cancelled,
}

/// How long a call may take.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// In all.
    pub(super) whole: Duration,
    /// Without anything that it reads or writes, where that is a sign of how it goes.
    pub(super) still: Option<Duration>,
}

impl From<Duration> for Patience {
    fn from(whole: Duration) -> Self {
        Self { whole, still: None }
    }
}

/// What is run.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) program: &'a Path,
    pub(super) arguments: &'a [&'a str],
    /// Its standard input.
    pub(super) input: &'a [u8],
    /// A file that is its standard input instead.
    pub(super) file: Option<&'a File>,
    /// Variables beside those that every program of the target gets.
    pub(super) environment: &'a [(&'a str, &'a OsStr)],
    /// Whether both of its outputs are one, of which the end is read: podman prints on either what a container did.
    pub(super) as_one: bool,
}

impl<'a> Call<'a> {
    pub(super) fn of(program: &'a Path, arguments: &'a [&'a str]) -> Self {
        Self { program, arguments, input: &[], file: None, environment: &[], as_one: false }
    }

    /// What it is called in messages: without its options, which are long.
    fn shown(&self) -> String {
        let name = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let words = self.arguments.iter().copied().filter(|word| !word.starts_with('-')).take(2);
        [name.as_str()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// How a program ended that was not ended by us: its exit status, and what it printed.
pub(super) struct Ended {
    status: std::process::ExitStatus,
    pub(super) out: String,
    pub(super) err: String,
}

impl Podman<'_> {
    /// Runs podman to change something, never beside an earlier run, and returns what it printed; `input` is its
    /// standard input.
    pub(super) async fn act(
        &self,
        arguments: &[&str],
        input: &[u8],
        patience: impl Into<Patience>,
    ) -> Result<String, Trouble> {
        self.act_by(Call { input, ..Call::of(&self.target.program, arguments) }, patience).await
    }

    /// The same with another program.
    pub(super) async fn act_by(
        &self,
        call: Call<'_>,
        patience: impl Into<Patience>,
    ) -> Result<String, Trouble> {
        let patience = patience.into();
        // What outlived a daemon that was killed is watched by nobody: a pull that stands still has its time alone.
        let mut lock = self.lock(patience.still.unwrap_or(patience.whole)).await?;
        let ran = self.run(call, patience, |command| lock.spawn(|| command.spawn(), Child::id));
        let ran = ran.await;
        lock.give_back();
        ran?.said(&call)
    }

    /// Waits for what outlived an earlier daemon, so that what is seen afterwards stays so; ends what takes longer.
    pub(super) async fn settle(&self, patience: Duration) -> Result<(), Trouble> {
        self.lock(patience).await.map(Lock::give_back)
    }

    /// Nothing is going to be run for this run any more.
    pub(super) async fn forget_lock(&self) -> Result<(), Trouble> {
        self.lock(limits::PODMAN_ACT_TIMEOUT).await?.forget(&self.lock_path());
        Ok(())
    }

    async fn lock(&self, patience: Duration) -> Result<Lock, Trouble> {
        let path = self.lock_path();
        let locked = tokio::select! {
            locked = take_lock(&path, patience) => locked,
            () = self.cancel.cancelled() => return Err(Trouble::Cancelled),
        };
        locked
            .map_err(|error| Trouble::Passing(format!("cannot lock `{}`: {error}", path.display())))
    }

    fn lock_path(&self) -> PathBuf {
        match self.run {
            Some(run) => lock::path(self.locks, run),
            None => lock::path(self.locks, self.object),
        }
    }

    /// Runs podman to look at something.
    pub(super) async fn look(
        &self,
        arguments: &[&str],
        timeout: Duration,
    ) -> Result<String, Trouble> {
        let call = Call::of(&self.target.program, arguments);
        self.look_by(call, timeout).await?.said(&call)
    }

    /// The same with another program; says how it ended, whatever it said.
    pub(super) async fn look_by(
        &self,
        call: Call<'_>,
        timeout: Duration,
    ) -> Result<Ended, Trouble> {
        self.run(call, timeout.into(), Command::spawn).await
    }

    async fn run(
        &self,
        call: Call<'_>,
        patience: Patience,
        spawn: impl FnOnce(&mut Command) -> io::Result<Child>,
    ) -> Result<Ended, Trouble> {
        let passing =
            |why: &dyn std::fmt::Display| Trouble::Passing(format!("{}: {why}", call.shown()));
        let files = Files::new(call.input, call.as_one).map_err(|error| passing(&error))?;
        let mut command = files.command(self.target, &call).map_err(|error| passing(&error))?;
        let child = spawn(&mut command).map_err(|error| {
            let program = call.program.display();
            Trouble::Passing(format!("cannot start `{program}`: {error}"))
        })?;
        let Some(status) = self.supervise(child, patience).await.map_err(|why| passing(&why))?
        else {
            return Err(Trouble::Cancelled);
        };
        let (out, err) = files.read().map_err(|error| passing(&error))?;
        Ok(Ended { status, out, err })
    }

    /// Waits for its end; none if it was cancelled.
    async fn supervise(
        &self,
        mut child: Child,
        Patience { whole, still }: Patience,
    ) -> Result<Option<std::process::ExitStatus>, String> {
        let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let stands_still = stands_still(group.filter(|_| still.is_some()), still.unwrap_or(whole));
        let end = tokio::time::Instant::now() + whole;
        let why = tokio::select! {
            status = child.wait() => return status.map(Some).map_err(|error| error.to_string()),
            () = tokio::time::sleep_until(end) => Some(format!("it did not end within {}", Span(whole))),
            () = stands_still => Some(format!("it stood still for {}", Span(still.unwrap_or(whole)))),
            () = self.cancel.cancelled() => None,
        };
        if let Some(group) = group {
            signal_group(group, Signal::TERM);
            let ended = tokio::time::timeout(limits::TARGET_KILL_GRACE, child.wait()).await;
            signal_group(group, Signal::KILL);
            if ended.is_err() {
                child.wait().await.map_err(|error| error.to_string())?;
            }
        }
        why.map_or(Ok(None), Err)
    }
}

impl Ended {
    pub(super) fn is_success(&self) -> bool {
        self.status.success()
    }

    /// What it printed, if it says that it did what it was asked for.
    pub(super) fn said(self, call: &Call<'_>) -> Result<String, Trouble> {
        match (self.status.code(), self.status.signal()) {
            (Some(0), _) => Ok(self.out),
            (Some(_), _) if is_of_the_host(&self.err) => {
                let why = words(&self.err, &self.out);
                Err(Trouble::Passing(format!("{}: {why}{}", call.shown(), advice(&why))))
            }
            (Some(_), _) => Err(Trouble::Refused(words(&self.err, &self.out))),
            (None, signal) => {
                let (shown, signal) = (call.shown(), signal.unwrap_or_default());
                Err(Trouble::Passing(format!("{shown}: it was ended by signal {signal}")))
            }
        }
    }
}

/// Its standard input and outputs.
struct Files {
    input: File,
    out: File,
    /// None where it is the same.
    err: Option<File>,
}

impl Files {
    fn new(bytes: &[u8], as_one: bool) -> io::Result<Self> {
        // In memory: it may be a secret, which is not to touch a disk.
        let mut input = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
        input.write_all(bytes)?;
        input.rewind()?;
        let err = if as_one { None } else { Some(tempfile::tempfile()?) };
        Ok(Self { input, out: tempfile::tempfile()?, err })
    }

    fn command(&self, target: &PodmanTarget, call: &Call<'_>) -> io::Result<Command> {
        let mut command = Command::new(call.program);
        command
            .args(call.arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .envs(&target.environment)
            .envs(call.environment.iter().copied())
            .stdin(Stdio::from(call.file.unwrap_or(&self.input).try_clone()?))
            .stdout(self.out.try_clone()?)
            .stderr(self.err.as_ref().unwrap_or(&self.out).try_clone()?)
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    fn read(self) -> io::Result<(String, String)> {
        let read = |mut file: File, from: u64| -> io::Result<String> {
            file.seek(io::SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let Some(err) = self.err else {
            let surplus = self.out.metadata()?.len().saturating_sub(OUTPUT_BYTES_MAX);
            return Ok((read(self.out, surplus)?, String::new()));
        };
        Ok((read(self.out, 0)?, read(err, 0)?))
    }
}

/// What podman's network program says where it does not find the program that writes rules of the firewall: Debian's podman
/// does without it until a pod begins.
const NO_FIREWALL: &str = "netavark: no such file or directory";

/// What to do about a reason of the host that does not say so itself.
fn advice(why: &str) -> &'static str {
    if why.to_lowercase().contains(NO_FIREWALL) {
        return "; install `iptables`, which podman's networks need";
    }
    ""
}

/// Whether podman could not do it for a reason that lies with the host, and not with what it was asked (rule T25).
fn is_of_the_host(err: &str) -> bool {
    const SIGNS: [&str; 9] = [
        "no space left on device",
        "disk quota exceeded",
        "read-only file system",
        "input/output error",
        "database is locked",
        "cannot allocate memory",
        "too many open files",
        "resource temporarily unavailable",
        NO_FIREWALL,
    ];
    let err = err.to_lowercase();
    SIGNS.iter().any(|sign| err.contains(sign))
}

/// Why podman said no: which container does not start, else its last error, else the last line that says something.
pub(super) fn words(err: &str, out: &str) -> String {
    let mut lines = err.lines().chain(out.lines()).map(str::trim).filter(|line| !line.is_empty());
    let start = lines.clone().find_map(|line| {
        // Without the number of the container: it is another at each attempt (rule I70).
        let (_, why) = line.strip_prefix("starting container ")?.split_once(": ")?;
        (!why.starts_with("a dependency of container")).then(|| format!("cannot start: {why}"))
    });
    // `Error: 1 error occurred:` is followed by what it was.
    let is_head = |line: &&str| line.ends_with("occurred:");
    let of = |prefix| lines.clone().filter_map(move |line| line.strip_prefix(prefix));
    let error = of("Error:").rfind(|line| !is_head(line));
    let error = error.or_else(|| of("* ").rfind(|line| !is_head(line)));
    let line = start.unwrap_or_else(|| {
        error.or_else(|| lines.next_back()).unwrap_or("it said nothing").trim().to_owned()
    });
    let line: String = line.chars().filter(|c| !c.is_control()).take(500).collect();
    match line.trim() {
        "" => "it said nothing".to_owned(),
        line => crate::secret::masked(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_podman_says_is_cut_to_why() {
        let err = "failed to connect to syslog: Initialization\n\
                   starting container 29fd: cannot listen on the TCP port: listen tcp4 127.0.0.1:80: bind: address already in use\n\
                   starting container 7fc4: a dependency of container 7fc4 failed to start: container state improper\n\
                   Error: failed to start 2 containers\n";
        insta::assert_snapshot!(words(err, ""), @"cannot start: cannot listen on the TCP port: listen tcp4 127.0.0.1:80: bind: address already in use");
        assert_eq!(
            words("Trying to pull r.io/a...\nError: initializing source: EOF\n", ""),
            "initializing source: EOF"
        );
        assert_eq!(words("", "no such pod\n"), "no such pod");
        let several = "Error: 1 error occurred:\n\t* removing pod a: 1 error occurred:\n\t* unlinkat shm: busy\n\n\n";
        assert_eq!(words(several, ""), "unlinkat shm: busy");
        for nothing in ["", "\n", "Error:\n", "\u{1b}\u{4}", "Error: \u{7}"] {
            assert_eq!(words(nothing, ""), "it said nothing");
        }
        // As podman 4.3 of a Debian without iptables says it.
        let bare = "starting container 0f3a: netavark: No such file or directory (os error 2)\nError: failed to start 1 containers\n";
        assert!(is_of_the_host(bare) && !is_of_the_host(err));
        assert_eq!(advice(&words(bare, "")), "; install `iptables`, which podman's networks need");
        assert_eq!(words("Error: PASSWORD=hunter2 is wrong", ""), "PASSWORD=*** is wrong");
    }
}
