//! Notices when a repository on this machine may have a new commit.
//!
//! An event only says "look again" (law 5). Folders are watched, never reference files: git replaces those by renaming,
//! which ends a watch on them. Events can be lost, so whoever watches also looks from time to time without one.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};

use notify::event::{CreateKind, ModifyKind, RemoveKind, RenameMode};
use notify::{Config, Watcher as _};
use notify::{ErrorKind, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode};

use crate::limits;

/// A repository cannot be watched; it has to be polled.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// It cannot be opened.
    #[error("cannot watch `{}`: it cannot be opened as a git repository", path.display())]
    Open {
        /// The repository.
        path: PathBuf,
        /// Why.
        source: git2::Error,
    },
    /// The kernel refuses another watcher or watch.
    #[error(
        "cannot watch `{}`: the limit of file watches is reached; raise `{setting}` with sysctl, until then the \
         repository is polled", path.display()
    )]
    Limit {
        /// The repository.
        path: PathBuf,
        /// The kernel setting.
        setting: &'static str,
    },
    /// Anything else.
    #[error("cannot watch `{}`; until then the repository is polled", path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: notify::Error,
    },
}

/// Watches until it is dropped.
pub struct Watcher {
    stale: Arc<AtomicBool>,
    /// What was watched: a folder that is moved away takes its watch along.
    roots: BTreeMap<PathBuf, Identity>,
    polls: bool,
    _notify: Box<dyn Send + Sync>,
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher").field("stale", &self.is_stale()).finish_non_exhaustive()
    }
}

impl Watcher {
    /// Whether a watched folder has gone or another one is in its place, so that nothing more will be seen: watch anew
    /// once the repository is back.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
            || self.roots.iter().any(|(path, known)| identity(path) != Some(*known))
    }

    /// Whether the file system sends no events, and is looked at every [`limits::WATCH_POLL`] instead.
    #[must_use]
    pub fn polls(&self) -> bool {
        self.polls
    }
}

/// Device and number of a folder.
type Identity = (u64, u64);

fn identity(path: &Path) -> Option<Identity> {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// Calls `on_change` from a thread of its own when the references of the repository at `local` may have moved: at the
/// first event at once, then at most once per [`limits::WATCH_QUIET`] while events go on.
///
/// # Errors
///
/// The repository cannot be opened, or the kernel does not let us watch.
pub fn watch(local: &Path, on_change: impl Fn() + Send + 'static) -> Result<Watcher, WatchError> {
    let repository = git2::Repository::open(local)
        .map_err(|source| WatchError::Open { path: local.to_owned(), source })?;
    let folders = Folders {
        // Of a work tree made by `git worktree`, `HEAD` lies in its own folder and the branches in the common one.
        flat: vec![repository.path().to_owned(), repository.commondir().to_owned()],
        refs: repository.commondir().join("refs"),
    };
    let mut folders = folders;
    let polls = sends_no_events(&folders.refs);
    if !polls {
        // The folder above `.git`, to see it moved away. Looking at all of it would be too much where nothing is told.
        folders.flat.push(local.to_owned());
    }
    start(local, &folders, polls, on_change)
}

struct Folders {
    flat: Vec<PathBuf>,
    refs: PathBuf,
}

fn start(
    local: &Path,
    folders: &Folders,
    polls: bool,
    on_change: impl Fn() + Send + 'static,
) -> Result<Watcher, WatchError> {
    let (sender, events) = mpsc::sync_channel(2);
    let stale = Arc::new(AtomicBool::new(false));
    let paths = [folders.flat.clone(), vec![folders.refs.clone()]].concat();
    // Before they are watched: what is replaced meanwhile is then seen as another folder.
    let known = paths.iter().filter_map(|path| Some((path.clone(), identity(path)?)));
    let roots: BTreeMap<_, _> = known.collect();
    let handler = handler(sender, paths, Arc::clone(&stale));
    let wrong = |error: notify::Error| watch_error(local, error);
    let notify: Box<dyn Send + Sync> = if polls {
        let config =
            Config::default().with_poll_interval(limits::WATCH_POLL).with_compare_contents(true);
        let mut watcher = PollWatcher::new(handler, config).map_err(wrong)?;
        add(&mut watcher, folders).map_err(wrong)?;
        Box::new(std::sync::Mutex::new(watcher))
    } else {
        let mut watcher = RecommendedWatcher::new(handler, Config::default()).map_err(wrong)?;
        add(&mut watcher, folders).map_err(wrong)?;
        Box::new(std::sync::Mutex::new(watcher))
    };
    let thread = std::thread::Builder::new().name("tidegate-watch".to_owned());
    thread.spawn(move || call(&events, on_change)).map_err(|error| wrong(error.into()))?;
    Ok(Watcher { stale, roots, polls, _notify: notify })
}

fn add(watcher: &mut impl notify::Watcher, folders: &Folders) -> notify::Result<()> {
    let mut flat = folders.flat.clone();
    flat.sort();
    flat.dedup();
    for folder in flat {
        watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    }
    watcher.watch(&folders.refs, RecursiveMode::Recursive)
}

/// Runs on notify's thread: looks at an event and returns at once.
fn handler(
    sender: SyncSender<()>,
    roots: Vec<PathBuf>,
    stale: Arc<AtomicBool>,
) -> impl Fn(notify::Result<Event>) + Send + 'static {
    move |event| {
        // A full channel already says "look again".
        let look = || {
            let _full = sender.try_send(());
        };
        let Ok(event) = event else {
            return look();
        };
        if event.need_rescan() {
            return look();
        }
        let goes = EventKind::Modify(ModifyKind::Name(RenameMode::From));
        if (matches!(event.kind, EventKind::Remove(_)) || event.kind == goes)
            && event.paths.iter().any(|path| roots.contains(path))
        {
            stale.store(true, Ordering::Release);
            return look();
        }
        if matters(&event) {
            look();
            // What was created inside a new folder before it was watched sends no event: look once more.
            if event.kind == EventKind::Create(CreateKind::Folder) {
                look();
            }
        }
    }
}

/// Whether an event can mean that a reference moved.
fn matters(event: &Event) -> bool {
    if matches!(event.kind, EventKind::Access(_) | EventKind::Remove(RemoveKind::Folder)) {
        return false;
    }
    event.paths.iter().any(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let head = name == "HEAD" || name == "packed-refs";
        let below_refs = path.components().any(|part| part.as_os_str() == "refs");
        (head || below_refs) && path.extension().is_none_or(|extension| extension != "lock")
    })
}

fn call(events: &Receiver<()>, on_change: impl Fn()) {
    while events.recv().is_ok() {
        loop {
            on_change();
            std::thread::sleep(limits::WATCH_QUIET);
            // Whatever came meanwhile is one event.
            if events.try_iter().count() == 0 {
                break;
            }
        }
    }
}

/// Whether other machines can write where the kernel would not tell us.
fn sends_no_events(path: &Path) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: u64 = 0x517b;
    const CIFS: u64 = 0xff53_4d42;
    const SMB2: u64 = 0xfe53_4d42;
    const FUSE: u64 = 0x6573_5546;
    const PLAN_9: u64 = 0x0102_1997;
    const CEPH: u64 = 0x00c3_6400;
    const VBOX: u64 = 0x786f_4256;
    const REMOTE: [u64; 8] = [NFS, SMB, CIFS, SMB2, FUSE, PLAN_9, CEPH, VBOX];
    // The type of the field differs between architectures; the numbers have 32 bits everywhere.
    rustix::fs::statfs(path)
        .is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| REMOTE.contains(&kind)))
}

fn watch_error(path: &Path, source: notify::Error) -> WatchError {
    let path = path.to_owned();
    match &source.kind {
        ErrorKind::MaxFilesWatch => {
            WatchError::Limit { path, setting: "fs.inotify.max_user_watches" }
        }
        ErrorKind::Io(error)
            if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) =>
        {
            WatchError::Limit { path, setting: "fs.inotify.max_user_instances" }
        }
        ErrorKind::Generic(_)
        | ErrorKind::Io(_)
        | ErrorKind::PathNotFound
        | ErrorKind::WatchNotFound
        | ErrorKind::InvalidConfig(_) => WatchError::Watch { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::AccessKind;

    fn event(kind: EventKind, path: &str) -> Event {
        Event::new(kind).add_path(PathBuf::from(path))
    }

    #[test]
    fn only_references_matter() {
        let renamed = EventKind::Modify(ModifyKind::Name(RenameMode::To));
        assert!(matters(&event(renamed, "/r/.git/refs/heads/main")));
        assert!(matters(&event(renamed, "/r/.git/HEAD")));
        assert!(matters(&event(renamed, "/r/.git/packed-refs")));
        assert!(!matters(&event(renamed, "/r/.git/index")));
        assert!(!matters(&event(renamed, "/r/.git/refs/heads/main.lock")));
        assert!(!matters(&event(EventKind::Access(AccessKind::Any), "/r/.git/refs/heads/main")));
    }

    #[test]
    fn the_limit_of_watchers_names_its_setting() {
        let error = std::io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let text = watch_error(Path::new("/r"), notify::Error::io(error)).to_string();
        assert!(text.contains("fs.inotify.max_user_instances"), "{text}");
    }
}
