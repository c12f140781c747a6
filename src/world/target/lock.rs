//! One run at a time for each object, also across restarts of the daemon.
//!
//! A program outlives a SIGKILL of the daemon. So it inherits an open lock file of its object: while it lives, the lock
//! is held, and the next start waits. Whoever the program leaves behind on purpose (a container, a server in the
//! background) inherits the file too; therefore the lock is given back by hand when the program ends, and the file says
//! which process it was, so that a lock that only its descendants hold is not waited for. A run that was broken off is
//! another thing: what it leaves behind was killed, and the file says that it is to be waited for until it is gone.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::io::FdFlags;
use rustix::process::Pid;

use crate::names::{ContentHash, ObjectKey};

/// A held lock. Dropped without being given back, its run was broken off: who inherited it still holds it.
pub(super) struct Lock(Option<File>);

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

/// The lock file of an object.
pub(super) fn path(locks: &Path, object: &ObjectKey) -> PathBuf {
    locks.join(format!("{}.lock", ContentHash::of(object.to_string().as_bytes())))
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
                Some(process) if !process.is_alive() && !process.broken_off => {
                    // Only what the ended program left behind has it: start with a new file.
                    match std::fs::remove_file(path) {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        Ok(()) | Err(_) => {}
                    }
                }
                process => return Ok(Attempt::Busy(process)),
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

fn noted(file: &mut File) -> io::Result<Option<Process>> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text)?;
    let mut words = text.split_whitespace();
    let pid = words.next().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
    let start = words.next().and_then(|start| start.parse().ok());
    let broken_off = words.next() == Some(BROKEN_OFF);
    Ok(pid.zip(start).map(|(pid, start)| Process { pid, start, broken_off }))
}

/// Whoever spawns while a lock is open to inheritance has to wait.
static INHERITING: Mutex<()> = Mutex::new(());

impl Lock {
    /// Spawns a child that inherits the lock, and notes which one it is.
    pub(super) fn spawn<C>(
        &mut self,
        spawn: impl FnOnce() -> io::Result<C>,
        pid: impl FnOnce(&C) -> Option<u32>,
    ) -> io::Result<C> {
        let Some(file) = &mut self.0 else { return Err(io::ErrorKind::NotFound.into()) };
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
            file.rewind()?;
            writeln!(file, "{} {}", process.pid.as_raw_nonzero(), process.start)?;
        }
        Ok(child)
    }

    /// Gives the lock back: the run has ended.
    pub(super) fn give_back(mut self) {
        if let Some(file) = self.0.take() {
            // Closing is not enough: descendants of the program may have it open.
            drop(file.unlock()); // nothing is left to do about an error
        }
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
