//! How long somebody has waited for a pod to become ready, so that a crash of the daemon does not give it that time anew
//! (rule R4).
//!
//! A note beside the lock and no record: it is rewritten as long as a pod is waited for, and what it says is of no use to
//! anybody once that is over. The time in which no daemon ran does not count.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::super::lock::{self, Process};
use super::health::Subject;
use super::program::Podman;

/// How often it is noted.
const EVERY: Duration = Duration::from_secs(1);

/// The note about one pod, or about one container that is in none.
pub(super) struct Waited {
    path: PathBuf,
    /// What is waited for, so that the next pod of this name begins anew.
    process: Option<Process>,
    /// Used up before this daemon began to wait.
    before: Duration,
    /// As it was noted last, here.
    noted: Duration,
}

impl Waited {
    /// Reads what was noted of a pod that runs as this process. What cannot be read is nothing.
    pub(super) fn of(podman: &Podman<'_>, of: Subject<'_>, pid: u32) -> Self {
        let key = format!("{} {of}", podman.object);
        let path = lock::path(podman.locks, &key).with_extension("waited");
        let process = Process::of(pid);
        let noted = std::fs::read_to_string(&path).unwrap_or_default();
        let before = process.and_then(|process| {
            let (milliseconds, whose) = noted.trim_end().split_once(' ')?;
            let is_it = whose == process.to_string();
            is_it.then(|| milliseconds.parse().ok()).flatten()
        });
        let before = Duration::from_millis(before.unwrap_or(0));
        Self { path, process, before, noted: Duration::ZERO }
    }

    /// What was waited in all, after so much of it here; about each second it is noted. What cannot be written is lost:
    /// after a crash the time begins anew.
    pub(super) fn note(&mut self, here: Duration) -> Duration {
        let all = self.before.saturating_add(here);
        if let Some(process) = self.process
            && here.saturating_sub(self.noted) >= EVERY
        {
            self.noted = here;
            drop(self.write(&format!("{} {process}\n", all.as_millis())));
        }
        all
    }

    #[expect(clippy::disallowed_methods, reason = "after a power cut nothing of it is left")]
    fn write(&self, line: &str) -> io::Result<()> {
        std::fs::write(&self.path, line)
    }

    /// It is ready, or never will be.
    pub(super) fn end(self) {
        drop(lock::remove(&self.path)); // the next pod of this name is another process
    }
}
