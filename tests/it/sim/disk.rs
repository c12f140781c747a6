//! A disk in memory that forgets what was not synced.
//!
//! Each file has what programs see and what would be left after a power cut; each directory has its names in the same
//! two ways. A write changes only what is seen; a sync carries it over, sector by sector. At a power cut every sector
//! and every name that was not carried over is kept or lost by chance: all, none, a beginning, any of them. After a sync
//! that failed the sectors count as clean and are not written again by themselves, as in a page cache.
//!
//! A disk that is armed stops in front of its nth operation, in the middle of it if it is a write. From then on every
//! operation fails, which ends the process; whoever starts it again says whether the power was cut or only the process
//! ended.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use tidegate::journal::Disk;
use tidegate::journal::disk::{Access, LockFailure};

use super::rng::Rng;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The disk; its clones are the same one.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    files: Vec<Content>,
    dirs: BTreeMap<PathBuf, Dir>,
    locked: bool,
    /// Operations that are left until it stops, and how much of a write still happens then, in eighths.
    armed: Option<(u64, u64)>,
    stopped: bool,
    /// Refusals for want of space that are left.
    full: u32,
    /// Syncs that fail from now on.
    failing_syncs: u32,
    /// Failures since a process began: an append may fail only for one of them.
    failures: u32,
    /// Whether a bit was flipped in something that was not synced, since the last start that went well.
    flipped: bool,
    operations: u64,
}

/// A file.
#[derive(Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were written since the last sync.
    dirty: BTreeSet<usize>,
    /// Sectors whose sync failed: clean by their look, and perhaps never written.
    doubtful: BTreeSet<usize>,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq)]
enum Entry {
    File(usize),
    Dir,
}

#[derive(Default)]
struct Dir {
    seen: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    /// What was done since the last sync, in its order.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Put(String, Entry),
    Rename(String, String, Entry),
    Remove(String),
}

fn change(names: &mut BTreeMap<String, Entry>, change: &Change) {
    match change {
        Change::Put(name, entry) => drop(names.insert(name.clone(), *entry)),
        Change::Rename(from, to, entry) => {
            names.remove(from);
            names.insert(to.clone(), *entry);
        }
        Change::Remove(name) => drop(names.remove(name)),
    }
}

/// Which of a number of things that were not synced survive: all first, as the simplest.
fn survivors(count: usize, rng: &mut Rng) -> Vec<bool> {
    match rng.below(4) {
        0 => vec![true; count],
        1 => vec![false; count],
        2 => {
            let kept = rng.place(count + 1);
            (0..count).map(|at| at < kept).collect()
        }
        _ => (0..count).map(|_| rng.below(2) == 0).collect(),
    }
}

impl Content {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
        }
        self.seen[offset..end].copy_from_slice(bytes);
        for sector in offset / SECTOR..end.div_ceil(SECTOR) {
            self.dirty.insert(sector);
            self.doubtful.remove(&sector);
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.seen.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            self.carry_over(sector);
        }
    }

    fn carry_over(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.seen.len()).min(self.durable.len());
        if start < end {
            self.durable[start..end].copy_from_slice(&self.seen[start..end]);
        }
    }

    /// What is left of it without power. Returns whether a bit of it was flipped.
    fn lose(&mut self, rng: &mut Rng) -> bool {
        let open: Vec<_> = self.dirty.iter().chain(&self.doubtful).copied().collect();
        let mut flipped = false;
        if !open.is_empty() || self.seen.len() != self.durable.len() {
            if self.seen.len() != self.durable.len() && rng.below(2) == 0 {
                self.durable.resize(self.seen.len(), 0);
            }
            let kept = survivors(open.len(), rng);
            let before = self.durable.clone();
            for (sector, _) in open.iter().zip(kept).filter(|(_, kept)| *kept) {
                self.carry_over(*sector);
            }
            flipped = rng.one_in(8) && self.flip(&before, rng);
        }
        self.seen.clone_from(&self.durable);
        self.dirty.clear();
        self.doubtful.clear();
        flipped
    }
}

impl Content {
    /// Flips a bit of what just came to be durable without a sync; what was durable before is not touched.
    fn flip(&mut self, before: &[u8], rng: &mut Rng) -> bool {
        let changed = |at: &usize| before.get(*at) != self.durable.get(*at);
        let new: Vec<_> = (0..self.durable.len()).filter(changed).collect();
        if new.is_empty() {
            return false;
        }
        self.durable[new[rng.place(new.len())]] ^= 1 << rng.below(8);
        true
    }
}

fn gone() -> io::Error {
    io::Error::other("the machine stopped")
}

/// The directory and the name of a path.
fn split(path: &Path) -> (&Path, String) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    (path.parent().unwrap(), name)
}

impl State {
    /// Counts an operation that changes something. An error: it does not happen, but for so many eighths of a write.
    fn operate(&mut self) -> Result<(), (io::Error, u64)> {
        if self.stopped {
            return Err((gone(), 0));
        }
        self.operations += 1;
        match &mut self.armed {
            Some((0, part)) => {
                let part = *part;
                self.armed = None;
                self.stopped = true;
                self.failures += 1;
                Err((gone(), part))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn act(&mut self) -> io::Result<()> {
        self.operate().map_err(|(error, _)| error)
    }

    fn need_space(&mut self) -> io::Result<()> {
        if self.full == 0 {
            return Ok(());
        }
        self.full -= 1;
        self.failures += 1;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn sync_may_fail(&mut self) -> io::Result<()> {
        if self.failing_syncs == 0 {
            return Ok(());
        }
        self.failing_syncs -= 1;
        self.failures += 1;
        Err(io::Error::other("input/output error"))
    }

    fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        self.dirs.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&mut self, path: &Path) -> io::Result<usize> {
        let (dir, name) = split(path);
        match self.dir(dir)?.seen.get(&name) {
            Some(Entry::File(file)) => Ok(*file),
            Some(Entry::Dir) | None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn change(&mut self, dir: &Path, done: Change) -> io::Result<()> {
        let dir = self.dir(dir)?;
        change(&mut dir.seen, &done);
        dir.pending.push(done);
        Ok(())
    }
}

impl SimDisk {
    /// An empty disk with one directory, `/`.
    pub(crate) fn new() -> Self {
        let dirs = BTreeMap::from([(PathBuf::from("/"), Dir::default())]);
        Self(Arc::new(Mutex::new(State { dirs, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes it stop in front of an operation: `left` more happen, and `part` eighths of the next if it is a write.
    pub(crate) fn arm(&self, left: u64, part: u64) {
        self.state().armed = Some((left, part));
    }

    /// The next `refusals` demands for space find none.
    pub(crate) fn fill_up(&self, refusals: u32) {
        self.state().full = refusals;
    }

    /// The next `syncs` syncs fail.
    pub(crate) fn fail_syncs(&self, syncs: u32) {
        self.state().failing_syncs = syncs;
    }

    /// Nothing goes wrong any more.
    pub(crate) fn repair(&self) {
        let mut state = self.state();
        (state.armed, state.full, state.failing_syncs) = (None, 0, 0);
    }

    /// Whether it failed anybody since the last [`Self::begin`].
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failures > 0
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Whether a bit was flipped since the last [`Self::begin`].
    pub(crate) fn has_flipped(&self) -> bool {
        self.state().flipped
    }

    /// A process began well.
    pub(crate) fn begin(&self) {
        let mut state = self.state();
        (state.failures, state.flipped) = (0, false);
    }

    /// The process ended and the machine goes on: what was written is there.
    pub(crate) fn go_on(&self) {
        let mut state = self.state();
        (state.stopped, state.armed, state.locked) = (false, None, false);
    }

    /// The power is cut, and comes back.
    pub(crate) fn cut_power(&self, rng: &mut Rng) {
        self.go_on();
        let state = &mut *self.state();
        for dir in state.dirs.values_mut() {
            let pending = std::mem::take(&mut dir.pending);
            if !pending.is_empty() {
                let kept = survivors(pending.len(), rng);
                for (done, _) in pending.iter().zip(kept).filter(|(_, kept)| *kept) {
                    change(&mut dir.durable, done);
                }
            }
            dir.seen.clone_from(&dir.durable);
        }
        let paths: Vec<_> = state.dirs.keys().cloned().collect();
        for path in paths.iter().filter(|path| path.parent().is_some()) {
            let (parent, name) = split(path);
            let stands = state.dirs.get(parent).is_some_and(|dir| dir.seen.contains_key(&name));
            if !stands {
                state.dirs.remove(path); // parents come first
            }
        }
        for file in &mut state.files {
            state.flipped |= file.lose(rng);
        }
    }

    /// An operator cuts a file off, durably: what `tidegate journal salvage` leaves of it.
    pub(crate) fn cut_off(&self, path: &Path, len: u64) {
        let mut state = self.state();
        let file = state.file(path).unwrap();
        let file = &mut state.files[file];
        file.seen.truncate(usize::try_from(len).unwrap());
        file.durable.clone_from(&file.seen);
        file.dirty.clear();
        file.doubtful.clear();
    }
}

/// An open file.
pub(crate) struct SimFile(usize);

/// The lock of the state directory.
pub(crate) struct SimLock(SimDisk);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

impl Disk for SimDisk {
    /// One that is full says so, and is emptied by somebody after a while.
    fn free(&self, _: &Path) -> io::Result<u64> {
        let mut state = self.state();
        state.full = state.full.saturating_sub(1);
        Ok(if state.full == 0 { 1 << 40 } else { 0 })
    }

    type File = SimFile;
    type Lock = SimLock;

    fn create_dir(&self, path: &Path, _mode: u32) -> io::Result<bool> {
        let mut state = self.state();
        if state.dirs.contains_key(path) {
            return if state.stopped { Err(gone()) } else { Ok(false) };
        }
        let (parent, name) = split(path);
        state.act()?;
        state.dir(parent)?;
        state.need_space()?;
        state.change(parent, Change::Put(name, Entry::Dir))?;
        state.dirs.insert(path.to_owned(), Dir::default());
        Ok(true)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut state = self.state();
        if state.stopped {
            return Err(gone());
        }
        Ok(state.dir(dir)?.seen.keys().cloned().collect())
    }

    fn open(&self, path: &Path, _access: Access) -> io::Result<SimFile> {
        let mut state = self.state();
        if state.stopped {
            return Err(gone());
        }
        state.file(path).map(SimFile)
    }

    fn create(&self, path: &Path, _mode: u32) -> io::Result<SimFile> {
        let mut state = self.state();
        state.act()?;
        if let Ok(file) = state.file(path) {
            let content = &mut state.files[file];
            let sectors = content.seen.len().div_ceil(SECTOR);
            content.dirty.extend(0..sectors);
            content.seen.clear();
            return Ok(SimFile(file));
        }
        state.need_space()?;
        let file = state.files.len();
        let (dir, name) = split(path);
        state.change(dir, Change::Put(name, Entry::File(file)))?;
        state.files.push(Content::default());
        Ok(SimFile(file))
    }

    fn len(&self, file: &SimFile) -> io::Result<u64> {
        let state = self.state();
        if state.stopped { Err(gone()) } else { Ok(state.files[file.0].seen.len() as u64) }
    }

    fn read_at(&self, file: &SimFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.state();
        if state.stopped {
            return Err(gone());
        }
        let bytes = &state.files[file.0].seen;
        let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, file: &SimFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state();
        let offset = usize::try_from(offset).unwrap();
        if let Err((error, part)) = state.operate() {
            let part = bytes.len() * usize::try_from(part).unwrap() / 8;
            state.files[file.0].write(&bytes[..part], offset);
            return Err(error);
        }
        let grows = offset + bytes.len() > state.files[file.0].seen.len();
        let space = if grows { state.need_space() } else { Ok(()) };
        // Without space a write may have begun.
        let part = if space.is_ok() { bytes.len() } else { bytes.len() / 2 };
        state.files[file.0].write(&bytes[..part], offset);
        space
    }

    fn cut(&self, file: &SimFile, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.act()?;
        let content = &mut state.files[file.0];
        let len = usize::try_from(len).unwrap();
        assert!(len <= content.seen.len(), "a file is only cut shorter");
        content.seen.truncate(len);
        Ok(())
    }

    fn sync_data(&self, file: &SimFile) -> io::Result<()> {
        let mut state = self.state();
        state.act()?;
        let failed = state.sync_may_fail();
        let content = &mut state.files[file.0];
        if failed.is_err() {
            let mut dirty = std::mem::take(&mut content.dirty);
            content.doubtful.append(&mut dirty);
            return failed;
        }
        content.sync();
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.act()?;
        state.sync_may_fail()?;
        let dir = state.dir(dir)?;
        dir.durable.clone_from(&dir.seen);
        dir.pending.clear();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.act()?;
        let file = state.file(from)?;
        let ((dir, old), (other, new)) = (split(from), split(to));
        assert_eq!(dir, other, "nothing is moved to another directory");
        state.change(dir, Change::Rename(old, new, Entry::File(file)))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.act()?;
        state.file(path)?;
        let (dir, name) = split(path);
        state.change(dir, Change::Remove(name))
    }

    fn lock(&self, path: &Path, _pid: u32) -> Result<SimLock, LockFailure> {
        let mut state = self.state();
        if state.stopped {
            return Err(LockFailure::Io(gone()));
        }
        if state.locked {
            return Err(LockFailure::Held(None));
        }
        let (dir, name) = split(path);
        if state.file(path).is_err() {
            let file = state.files.len();
            state.files.push(Content::default());
            state.change(dir, Change::Put(name, Entry::File(file))).map_err(LockFailure::Io)?;
        }
        state.locked = true;
        drop(state);
        Ok(SimLock(self.clone()))
    }
}
