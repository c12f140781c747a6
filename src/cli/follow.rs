//! Going on with what a daemon writes into its journal.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use anyhow::Context as _;
use notify::Watcher as _;
use tokio::signal::unix::{SignalKind, signal};

/// The longest time between two looks while following: a file system may send no events.
const LOOK: Duration = Duration::from_secs(1);

/// Says when something was written. An event only says "look again" (law 5), so a lost one costs a second.
pub(super) struct Changes {
    events: Receiver<()>,
    sender: SyncSender<()>,
    interrupted: Arc<AtomicBool>,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl Changes {
    /// Looks at the files of a directory.
    pub(super) fn of(dir: &Path) -> Self {
        let (sender, events) = mpsc::sync_channel(1);
        let written = sender.clone();
        let handler = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| event.kind.is_access()) {
                return; // reading makes these
            }
            let _full = written.try_send(()); // then a look is due anyway
        };
        let watcher = notify::recommended_watcher(handler).and_then(|mut watcher| {
            watcher.watch(dir, notify::RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        Self { events, sender, interrupted: Arc::default(), _watcher: watcher.ok() }
    }

    /// Lets SIGINT end the waiting instead of the process.
    ///
    /// # Errors
    /// When the signal cannot be listened to.
    pub(super) fn until_interrupted(self) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the runtime")?;
        let interrupt = runtime.block_on(async { signal(SignalKind::interrupt()) });
        let mut interrupt = interrupt.context("cannot listen to SIGINT")?;
        let (sender, interrupted) = (self.sender.clone(), Arc::clone(&self.interrupted));
        std::thread::spawn(move || {
            runtime.block_on(interrupt.recv());
            interrupted.store(true, Ordering::Release);
            let _full = sender.try_send(());
        });
        Ok(self)
    }

    /// Whether somebody wants no more.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// Waits until another look is due.
    pub(super) fn wait(&self) {
        let _late = self.events.recv_timeout(LOOK); // then a look is due as well
    }
}

/// Whether standard output is a pipe that nobody holds the other end of.
pub(super) fn is_unread() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let out = std::io::stdout();
    let mut look = [PollFd::new(&out, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut look, Some(&now)).is_ok()
        && look.iter().any(|look| look.revents().contains(PollFlags::ERR))
}
