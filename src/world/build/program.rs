//! One program of a build: what it prints goes to the log as it comes, it never runs beside an earlier one, and it ends
//! with everything that it started.
//!
//! A command of a Dockerfile may leave processes behind in sessions of their own. So programs that run such commands are
//! the first process of a namespace of processes: with it ends all that is in there, whoever ends it and however.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::super::target::{Lock, signal_group};
use super::BuilderConfig;
use super::log::Log;
use crate::builds::Reason;
use crate::limits;

/// Where programs are looked up where nobody says another place.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes that are kept of an answer.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes that are kept of the end of what a program printed that shows in the log.
const WORDS_BYTES_MAX: usize = 8 * 1024;

/// Why a build does not go on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It failed; the log says more.
    Failed(Reason),
    /// The host, or the manifest, does not let it run.
    Error(Reason, String),
    /// Nothing is known against it: it could not be tried.
    Passing(String),
    /// Somebody ended it.
    Cancelled,
    /// Its time is over.
    Deadline,
}

/// Whether everything that a program starts ends with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Confined {
    /// In a namespace of processes, made by whom: us, or an ordinary user in a namespace of users that buildah makes.
    Namespace { rootless: bool },
    /// Only what stays in its process group.
    Group,
}

/// What the programs of one build share.
pub(super) struct Tools<'a> {
    pub(super) config: &'a BuilderConfig,
    pub(super) log: &'a Log,
    pub(super) lock: Lock,
    pub(super) cancel: &'a CancellationToken,
    /// When its time is over.
    pub(super) end: Option<Instant>,
    pub(super) confined: Confined,
}

/// What is run.
#[derive(Clone, Default)]
pub(super) struct Call<'a> {
    pub(super) program: &'a OsStr,
    pub(super) arguments: Vec<OsString>,
    /// Its standard input.
    pub(super) input: &'a [u8],
    /// Variables beside those that all have.
    pub(super) environment: Vec<(OsString, OsString)>,
    /// Whether what it prints on its standard output is an answer, and what it says beside that is not shown.
    pub(super) answers: bool,
    /// Whether it runs commands of others.
    pub(super) confined: bool,
    /// How long it may take.
    pub(super) patience: Option<Duration>,
}

impl<'a> Call<'a> {
    pub(super) fn of<S: AsRef<OsStr>>(
        program: &'a (impl AsRef<OsStr> + ?Sized),
        arguments: &[S],
    ) -> Self {
        let arguments = arguments.iter().map(|word| word.as_ref().to_owned()).collect();
        Self { program: program.as_ref(), arguments, ..Self::default() }
    }
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// None where it was ended by a signal.
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// Whether it took too long.
    pub(super) timed_out: bool,
    /// The answer; where none was asked for, the end of what it printed.
    pub(super) out: String,
    /// The end of what it said beside an answer.
    pub(super) err: String,
}

impl Ended {
    pub(super) fn is_success(&self) -> bool {
        self.code == Some(0) && !self.timed_out
    }

    /// How it ended, for people.
    pub(super) fn how(&self) -> String {
        match (self.timed_out, self.code, self.signal) {
            (true, _, _) => "it took too long".to_owned(),
            (false, Some(code), _) => format!("exit status {code}"),
            (false, None, signal) => format!("ended by signal {}", signal.unwrap_or_default()),
        }
    }

    /// All that it said.
    pub(super) fn words(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

enum End {
    Exited(std::process::ExitStatus),
    TimedOut(std::process::ExitStatus),
    Trouble(Trouble),
}

impl Tools<'_> {
    /// Runs a program.
    pub(super) async fn run(&mut self, call: Call<'_>) -> Result<Ended, Trouble> {
        if self.cancel.is_cancelled() {
            return Err(Trouble::Cancelled);
        }
        let shown = Path::new(call.program).display().to_string();
        let broken = |error: &dyn std::fmt::Display| Trouble::Passing(format!("{shown}: {error}"));
        let (read, write) = io::pipe().map_err(|error| broken(&error))?;
        let mut command = self.command(&call).map_err(|error| broken(&error))?;
        let mut second = None;
        if call.answers {
            let (read, write) = io::pipe().map_err(|error| broken(&error))?;
            command.stderr(write);
            second = Some(read);
        } else {
            command.stderr(write.try_clone().map_err(|error| broken(&error))?);
        }
        command.stdout(write);
        let spawned = self.lock.spawn(|| command.spawn(), Child::id);
        // Our ends of the pipes for writing go with the command, or reading would never end.
        drop(command);
        let child = spawned.map_err(|error| not_started(call.program, &error))?;
        let receiver = |read: io::PipeReader| Receiver::from_owned_fd(OwnedFd::from(read));
        let mut output = Output {
            out: receiver(read).map_err(|error| broken(&error))?,
            err: second.map(receiver).transpose().map_err(|error| broken(&error))?,
            log: (!call.answers).then_some(self.log),
            kept: Vec::new(),
            words: Vec::new(),
        };
        let grace = match (call.confined, self.confined) {
            (true, Confined::Namespace { .. }) => limits::BUILD_OUTPUT_GRACE,
            (true | false, _) => limits::TARGET_OUTPUT_GRACE,
        };
        let end = self.supervise(child, &mut output, (call.patience, grace)).await;
        let end = end.map_err(|error| broken(&error))?;
        let (status, timed_out) = match end {
            End::Exited(status) => (status, false),
            End::TimedOut(status) => (status, true),
            End::Trouble(trouble) => return Err(trouble),
        };
        // The program that makes the namespace cannot start the one in it.
        if call.confined && status.code() == Some(127) {
            let said = String::from_utf8_lossy(&output.kept);
            if said.contains("unshare: failed to execute") {
                return Err(not_started(call.program, &io::ErrorKind::NotFound.into()));
            }
        }
        Ok(Ended {
            code: status.code(),
            signal: status.signal(),
            timed_out,
            out: String::from_utf8_lossy(&output.kept).into_owned(),
            err: String::from_utf8_lossy(&output.words).into_owned(),
        })
    }

    fn command(&self, call: &Call<'_>) -> io::Result<Command> {
        let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--"];
        let mut words: Vec<OsString> = Vec::new();
        if let (true, Confined::Namespace { rootless }) = (call.confined, self.confined) {
            if rootless {
                words.extend([self.config.buildah.clone().into(), "unshare".into(), "--".into()]);
            }
            words.extend(unshare.map(OsString::from));
        }
        words.push(call.program.to_owned());
        words.extend(call.arguments.iter().cloned());
        let mut words = words.into_iter();
        // In memory: it may be a secret, which is not to touch a disk.
        let mut input = File::from(memfd_create("stdin", MemfdFlags::CLOEXEC)?);
        input.write_all(call.input)?;
        input.rewind()?;
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .env_clear()
            .env("PATH", PATH)
            .envs(&self.config.environment)
            .envs(call.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(input))
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    async fn supervise(
        &self,
        mut child: Child,
        output: &mut Output<'_>,
        (patience, grace): (Option<Duration>, Duration),
    ) -> io::Result<End> {
        let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let deadline = async {
            match self.end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let patience = async {
            match patience {
                Some(patience) => tokio::time::sleep_until(Instant::now() + patience).await,
                None => std::future::pending().await,
            }
        };
        let early = tokio::select! {
            status = child.wait() => Err(status?),
            () = output.drain() => Ok(None),
            () = deadline => Ok(Some(Trouble::Deadline)),
            () = patience => Ok(None),
            () = self.cancel.cancelled() => Ok(Some(Trouble::Cancelled)),
        };
        let end = match early {
            Err(status) => End::Exited(status),
            Ok(why) => {
                let status = end(&mut child, group, output).await?;
                why.map_or(End::TimedOut(status), End::Trouble)
            }
        };
        // What it wrote last may still be in the pipe; what it left behind may keep it open.
        if let Some(group) = group {
            signal_group(group, Signal::KILL);
        }
        let _ = tokio::time::timeout(grace, output.read()).await;
        Ok(end)
    }
}

/// Ends a program: it is told, and then made to.
async fn end(
    child: &mut Child,
    group: Option<Pid>,
    output: &mut Output<'_>,
) -> io::Result<std::process::ExitStatus> {
    if let Some(group) = group {
        signal_group(group, Signal::TERM);
    }
    let ended = async {
        tokio::select! {
            status = child.wait() => status,
            () = output.drain() => Err(io::ErrorKind::Other.into()),
        }
    };
    match tokio::time::timeout(limits::TARGET_KILL_GRACE, ended).await {
        Ok(status) => status,
        Err(_) => {
            if let Some(group) = group {
                signal_group(group, Signal::KILL);
            }
            child.wait().await
        }
    }
}

fn not_started(program: &OsStr, error: &io::Error) -> Trouble {
    let program = Path::new(program).display();
    let advice = match error.kind() == io::ErrorKind::NotFound {
        true => "; install it, or correct `builds.buildah` (and `PATH`) in the configuration",
        false => "",
    };
    Trouble::Passing(format!("cannot start `{program}`: {error}{advice}"))
}

/// What a program prints.
struct Output<'a> {
    out: Receiver,
    err: Option<Receiver>,
    /// Where it is shown; none where it is an answer.
    log: Option<&'a Log>,
    kept: Vec<u8>,
    words: Vec<u8>,
}

impl Output<'_> {
    /// Reads on; never ends, so that the end of the program decides.
    async fn drain(&mut self) {
        self.read().await;
        std::future::pending::<()>().await;
    }

    async fn read(&mut self) {
        let Self { out, err, log, kept, words } = self;
        let first = each(out, |bytes| match log {
            Some(log) => {
                log.push(bytes);
                keep_end(kept, bytes);
            }
            None => {
                let room = ANSWER_BYTES_MAX.saturating_sub(kept.len());
                kept.extend(bytes.iter().take(room));
            }
        });
        let second = async {
            if let Some(err) = err {
                each(err, |bytes| keep_end(words, bytes)).await;
            }
        };
        futures_util::future::join(first, second).await;
    }
}

async fn each(pipe: &mut Receiver, mut take: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = pipe.read(&mut buffer).await {
        take(buffer.get(..len).unwrap_or_default());
    }
}

fn keep_end(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    let surplus = kept.len().saturating_sub(WORDS_BYTES_MAX);
    kept.drain(..surplus);
}

/// How well this host can end what a program leaves behind.
pub(super) async fn confined(config: &BuilderConfig) -> Confined {
    let rootless = !rustix::process::geteuid().is_root();
    let mut words: Vec<&OsStr> = Vec::new();
    if rootless {
        words.extend([config.buildah.as_os_str(), OsStr::new("unshare"), OsStr::new("--")]);
    }
    let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "true"];
    words.extend(unshare.map(OsStr::new));
    let Some((program, arguments)) = words.split_first() else { return Confined::Group };
    let mut command = Command::new(program);
    command.args(arguments).env_clear().env("PATH", PATH).envs(&config.environment);
    command.kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let tried = tokio::time::timeout(limits::PODMAN_LOOK_TIMEOUT, command.status()).await;
    match tried {
        Ok(Ok(status)) if status.success() => Confined::Namespace { rootless },
        Ok(_) | Err(_) => {
            tracing::warn!(
                "this host makes no namespaces of processes for builds (`unshare --pid --mount-proc`): what a Dockerfile \
                 leaves behind in sessions of its own may outlive its build"
            );
            Confined::Group
        }
    }
}
