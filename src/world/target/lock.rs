//! One run at a time for each object, also across restarts of the daemon; runs of a `CronJob` go on beside each other, and
//! have a lock each.
//!
//! A program outlives a SIGKILL of the daemon. So it inherits an open lock file of its object: while it lives, the lock
//! is held, and the next start waits. Whoever the program leaves behind on purpose (a container, a server in the
//! background) inherits the file too; therefore the lock is given back by hand when the program ends, and the file says
//! which process it was, so that a lock that only its descendants hold is not waited for. A daemon that is killed before it
//! could say that has said which session the program is of: what was left behind on purpose made one of its own. A run
//! that was broken off is another thing: what it leaves behind was killed, and the file says that it is to be waited for
//! until it is gone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::io::FdFlags;
use rustix::process::Pid;

use crate::names::ContentHash;

/// A held lock. Dropped without being given back, its run was broken off: who inherited it still holds it.
pub(in crate::world) struct Lock(Option<File>);

/// What the file of a run says whose process is not known yet, before the session that it is of.
const SPAWNING: &str = "spawning";

/// What the file of a run says that was broken off.
const BROKEN_OFF: &str = "broken-off";

/// A process, so that its number is not mistaken for that of a later one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Process {
    pub(super) pid: Pid,
    /// In clock ticks since boot.
    start: u64,
    /// Whether its run was broken off, so that its descendants count as well.
    pub(super) broken_off: bool,
}

/// What came of trying to lock.
pub(super) enum Attempt {
    Locked(Lock),
    /// An earlier run still goes on: this one, if it could be noted.
    Busy(Option<Process>),
}

/// The lock file of an object, or of a run of a `CronJob`.
pub(in crate::world) fn path(locks: &Path, of: &impl std::fmt::Display) -> PathBuf {
    locks.join(format!("{}.lock", ContentHash::of(of.to_string().as_bytes())))
}

/// Takes the lock if no earlier run goes on.
pub(super) fn attempt(path: &Path) -> io::Result<Attempt> {
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, path) => {
                file.set_len(0)?;
                return Ok(Attempt::Locked(Lock(Some(file))));
            }
            Ok(()) => {} // replaced in between
            Err(TryLockError::WouldBlock) => match noted(&mut file)? {
                // Only what the ended program left behind has it: start with a new file.
                Some(Noted::Process(process)) if !process.is_alive() && !process.broken_off => {
                    remove(path)?;
                }
                Some(Noted::Process(process)) => return Ok(Attempt::Busy(Some(process))),
                Some(Noted::Spawning(session)) if !is_held_in(session, &file)? => remove(path)?,
                Some(Noted::Spawning(_)) | None => return Ok(Attempt::Busy(None)),
            },
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(own), Ok(there)) => (own.dev(), own.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Takes the file away, which others find replaced.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What a lock file says of who holds it.
enum Noted {
    Process(Process),
    /// A program of this session is about to be started, or was when the daemon ended.
    Spawning(i32),
}

fn noted(file: &mut File) -> io::Result<Option<Noted>> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text)?;
    let mut words = text.split_whitespace();
    let first = words.next();
    if first == Some(SPAWNING) {
        return Ok(words.next().and_then(|session| session.parse().ok()).map(Noted::Spawning));
    }
    let pid = first.and_then(|pid| Pid::from_raw(pid.parse().ok()?));
    let start = words.next().and_then(|start| start.parse().ok());
    let broken_off = words.next() == Some(BROKEN_OFF);
    Ok(pid.zip(start).map(|(pid, start)| Noted::Process(Process { pid, start, broken_off })))
}

/// Writes a line of one length in the place of the one before: whoever reads it finds one or the other.
fn note(file: &mut File, text: &str) -> io::Result<()> {
    file.rewind()?;
    file.write_all(format!("{text:<40}\n").as_bytes())
}

/// Whether a process of a session has a file open.
fn is_held_in(session: i32, file: &File) -> io::Result<bool> {
    let meta = file.metadata()?;
    let is_it = |fd: io::Result<std::fs::DirEntry>| {
        let there = fd.and_then(|fd| std::fs::metadata(fd.path()));
        there.is_ok_and(|there| (there.dev(), there.ino()) == (meta.dev(), meta.ino()))
    };
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        // What is no process, or ends while it is looked at, holds nothing.
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if pid == std::process::id() || session_of(pid) != Some(session) {
            continue;
        }
        let held = std::fs::read_dir(entry.path().join("fd"));
        if held.is_ok_and(|mut held| held.any(is_it)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The session that a process is of.
fn session_of(pid: u32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

/// Whoever spawns while a lock is open to inheritance has to wait.
static INHERITING: Mutex<()> = Mutex::new(());

impl Lock {
    /// Spawns a child that inherits the lock, and notes which one it is.
    pub(in crate::world) fn spawn<C>(
        &mut self,
        spawn: impl FnOnce() -> io::Result<C>,
        pid: impl FnOnce(&C) -> Option<u32>,
    ) -> io::Result<C> {
        let Some(file) = &mut self.0 else { return Err(io::ErrorKind::NotFound.into()) };
        let session = session_of(std::process::id()).unwrap_or_default();
        note(file, &format!("{SPAWNING} {session}"))?;
        let child = {
            let _guard = INHERITING.lock().unwrap_or_else(PoisonError::into_inner);
            // A child that somebody else spawns right now inherits it as well. That is harmless: it is given back by
            // hand, and after a crash it is not the process that the file names.
            rustix::io::fcntl_setfd(&*file, FdFlags::empty())?;
            let child = spawn();
            rustix::io::fcntl_setfd(&*file, FdFlags::CLOEXEC)?;
            child?
        };
        if let Some(process) = pid(&child).and_then(Process::of) {
            note(file, &process.to_string())?;
        }
        Ok(child)
    }

    /// Gives the lock back: the run has ended.
    pub(in crate::world) fn give_back(mut self) {
        if let Some(file) = self.0.take() {
            // Closing is not enough: descendants of the program may have it open.
            drop(file.unlock()); // nothing is left to do about an error
        }
    }

    /// The same, where nothing is going to be run under this lock any more: its file goes as well.
    pub(in crate::world) fn forget(self, path: &Path) {
        drop(remove(path)); // what stays is an empty file
        self.give_back();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Some(file) = &mut self.0 {
            // On the line with the process. What cannot be written is lost: the next run then does not wait.
            let noted = file.seek(io::SeekFrom::End(-1)).is_ok();
            drop(noted.then(|| writeln!(file, " {BROKEN_OFF}")));
        }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.pid.as_raw_nonzero(), self.start)
    }
}

impl Process {
    /// The process of that number.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        // The name in parentheses may hold anything; the state follows it.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        if fields.next() == Some("Z") {
            return None; // it has ended, and only its parent does not know
        }
        let start = fields.nth(18)?.parse().ok()?;
        Some(Self { pid, start, broken_off: false })
    }

    pub(super) fn is_alive(self) -> bool {
        let now = u32::try_from(self.pid.as_raw_nonzero().get()).ok().and_then(Self::of);
        now.is_some_and(|now| now.start == self.start)
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// A lock file that a process holds which inherited it, as a daemon leaves it that was killed at once.
    fn left_behind(path: &Path, session: i32, program: &[&str]) -> Child {
        let Attempt::Locked(mut lock) = attempt(path).unwrap() else { panic!("it is free") };
        let started = lock.spawn(|| Command::new(program[0]).args(&program[1..]).spawn(), |_| None);
        let mut file = lock.0.take().unwrap();
        note(&mut file, &format!("{SPAWNING} {session}")).unwrap();
        started.unwrap()
    }

    fn ours() -> i32 {
        session_of(std::process::id()).unwrap()
    }

    #[test]
    fn a_program_whose_process_was_never_noted_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut program = left_behind(&path, ours(), &["sleep", "1000"]);
        assert!(matches!(attempt(&path).unwrap(), Attempt::Busy(None)));
        program.kill().unwrap();
        program.wait().unwrap();
        assert!(matches!(attempt(&path).unwrap(), Attempt::Locked(_)));
    }

    #[test]
    fn what_such_a_program_left_behind_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // It says that it has made a session of its own, and lives on.
        let marker = dir.path().join("made");
        let script = format!("touch {}; exec sleep 1000", marker.display());
        let mut server = left_behind(&path, ours(), &["setsid", "sh", "-c", &script]);
        while !marker.exists() {
            std::thread::yield_now();
        }
        assert!(matches!(attempt(&path).unwrap(), Attempt::Locked(_)));
        server.kill().unwrap();
        server.wait().unwrap();
    }
}
