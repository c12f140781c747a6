//! The exec target: a program is run with the event on its standard input, its exit code is the outcome (rule R31).

use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::lock::{self, Attempt, Lock};
use super::log::Tail;
use super::{ExecTarget, transient};
use crate::action::RolloutReport;
use crate::limits;
use crate::time::Span;

/// The exit code that asks to be run again later (`EX_TEMPFAIL` of sysexits(3)).
const TRY_AGAIN: i32 = 75;

/// How a run came to its end.
enum End {
    Exited(ExitStatus),
    Deadline,
    Cancelled,
}

/// Runs the program for an event.
pub(super) async fn run(
    target: &ExecTarget,
    event: &Event,
    locks: &Path,
    cancel: &CancellationToken,
) -> RolloutReport {
    let path = lock::path(locks, &event.object);
    let locked = tokio::select! {
        locked = take_lock(&path, target.timeout) => locked,
        () = cancel.cancelled() => return RolloutReport::Cancelled,
    };
    let mut lock = match locked {
        Ok(lock) => lock,
        Err(error) => return transient(format!("cannot lock `{}`: {error}", path.display())),
    };
    let (child, output) = match spawn(target, event, &mut lock) {
        Ok(spawned) => spawned,
        Err(error) => {
            lock.give_back();
            let program = target.program.display();
            return transient(format!("cannot start `{program}`: {error}"));
        }
    };
    let mut tail = Tail::default();
    let end = supervise(child, output, &mut tail, target.timeout, cancel).await;
    lock.give_back();
    let log = tail.lines(event.secrets.iter().map(String::as_str));
    match end {
        Ok(End::Exited(status)) => outcome(status, log),
        Ok(End::Deadline) => {
            let reason = format!("it did not end within {} and was killed", Span(target.timeout));
            RolloutReport::Failed { reason, log }
        }
        Ok(End::Cancelled) => RolloutReport::Cancelled,
        Err(error) => transient(format!("cannot wait for the program: {error}")),
    }
}

fn outcome(status: ExitStatus, log: String) -> RolloutReport {
    match (status.code(), status.signal()) {
        (Some(0), _) => RolloutReport::Complete { log },
        (Some(TRY_AGAIN), _) => {
            let last = log.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
            transient(format!("exit status {TRY_AGAIN}{last}"))
        }
        (Some(code), _) => RolloutReport::Failed { reason: format!("exit status {code}"), log },
        (None, signal) => {
            let reason = format!("ended by signal {}", signal.unwrap_or_default());
            RolloutReport::Failed { reason, log }
        }
    }
}

/// Waits for an earlier run that outlived the daemon; what takes longer than a run may is ended.
pub(in crate::world) async fn take_lock(path: &Path, timeout: Duration) -> io::Result<Lock> {
    let mut looks = tokio::time::interval(limits::TARGET_LOCK_POLL);
    let deadline = tokio::time::Instant::now() + timeout;
    let mut killed = false;
    loop {
        looks.tick().await;
        let process = match lock::attempt(path)? {
            Attempt::Locked(lock) => return Ok(lock),
            Attempt::Busy(process) => process,
        };
        if tokio::time::Instant::now() < deadline {
            continue;
        }
        let Some(process) = process.filter(|_| !killed) else {
            return Err(io::Error::other("an earlier run still holds it, and is not known"));
        };
        let pid = process.pid.as_raw_nonzero();
        tracing::warn!(pid, "ending a program that outlived the daemon and its own time");
        signal_group(process.pid, Signal::TERM);
        let grace = tokio::time::Instant::now() + limits::TARGET_KILL_GRACE;
        while process.is_alive() && tokio::time::Instant::now() < grace {
            looks.tick().await;
        }
        signal_group(process.pid, Signal::KILL);
        while process.is_alive() {
            looks.tick().await;
        }
        killed = true;
        looks.tick().await; // for the rest of its group
    }
}

fn spawn(target: &ExecTarget, event: &Event, lock: &mut Lock) -> io::Result<(Child, Receiver)> {
    // One pipe for both, so that lines keep their order.
    let (read, write) = io::pipe()?;
    // The whole event is there before the program is: one that outlives a daemon killed at this moment must never take a
    // part of an event, or none, for an event.
    let mut input = tempfile::tempfile()?;
    input.write_all(&event.body)?;
    input.rewind()?;
    let mut command = Command::new(&target.program);
    command
        .args(&target.arguments)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .envs(&target.environment)
        .envs(&event.environment)
        .stdin(Stdio::from(input))
        .stdout(write.try_clone()?)
        .stderr(write)
        .process_group(0)
        .kill_on_drop(true);
    let child = lock.spawn(|| command.spawn(), Child::id)?;
    // Our ends of the pipe for writing go with the command, or reading would never end.
    drop(command);
    Ok((child, Receiver::from_owned_fd(OwnedFd::from(read))?))
}

async fn supervise(
    mut child: Child,
    mut output: Receiver,
    tail: &mut Tail,
    timeout: Duration,
    cancel: &CancellationToken,
) -> io::Result<End> {
    let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let broken_off = KillGroup(group);
    let end = {
        let wait = child.wait();
        tokio::select! {
            status = wait => End::Exited(status?),
            () = drain(&mut output, tail) => End::Deadline,
            () = tokio::time::sleep_until(tokio::time::Instant::now() + timeout) => End::Deadline,
            () = cancel.cancelled() => End::Cancelled,
        }
    };
    if let (End::Deadline | End::Cancelled, Some(group)) = (&end, group) {
        signal_group(group, Signal::TERM);
        let ended = async {
            tokio::select! {
                status = child.wait() => status,
                () = drain(&mut output, tail) => Err(io::ErrorKind::Other.into()),
            }
        };
        let ended = tokio::time::timeout(limits::TARGET_KILL_GRACE, ended).await;
        signal_group(group, Signal::KILL);
        if ended.is_err() {
            child.wait().await?;
        }
    }
    // What was killed from outside did not leave anything running on purpose.
    let by_signal = matches!(&end, End::Exited(status) if status.signal().is_some());
    if !by_signal {
        broken_off.disarm();
    }
    // What it wrote last may still be in the pipe; a descendant may keep it open.
    let rest = read_to_end(&mut output, tail);
    let _ = tokio::time::timeout(limits::TARGET_OUTPUT_GRACE, rest).await; // late is lost
    Ok(end)
}

/// Kills a process group when it is dropped: the daemon ends, or the program died and left its children.
struct KillGroup(Option<Pid>);

impl KillGroup {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for KillGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            signal_group(group, Signal::KILL);
        }
    }
}

/// Reads on; never ends, so that the end of the program decides.
async fn drain(output: &mut Receiver, tail: &mut Tail) {
    read_to_end(output, tail).await;
    std::future::pending::<()>().await;
}

async fn read_to_end(output: &mut Receiver, tail: &mut Tail) {
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(len @ 1..) = output.read(&mut buffer).await {
        tail.push(buffer.get(..len).unwrap_or_default());
    }
}

pub(in crate::world) fn signal_group(group: Pid, signal: Signal) {
    // A group that is gone needs no signal.
    let _ = kill_process_group(group, signal);
}
