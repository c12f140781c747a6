//! Disks for tests: one that does not wait for the hardware, one that fails.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate::journal::disk::{Access, LockFailure};
use tidegate::journal::{Disk, RealDisk};

/// Which operations are asked before they are passed on to the real disk.
trait Gate: Clone + Send + Sync + 'static {
    const SYNCS: bool;
    fn write(&self) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    /// Asked before a file grows by so many bytes.
    fn grow(&self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
    /// What is left, if this disk has a size.
    fn room(&self) -> Option<u64> {
        None
    }
}

/// The real disk without syncs, and with so much room for files to grow.
#[derive(Clone, Debug)]
pub(crate) struct Small {
    pub(crate) room: Arc<AtomicU64>,
}

impl Gate for Small {
    const SYNCS: bool = false;
    fn write(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
    fn grow(&self, bytes: u64) -> io::Result<()> {
        match self.room.load(Ordering::SeqCst).checked_sub(bytes) {
            Some(rest) => {
                self.room.store(rest, Ordering::SeqCst);
                Ok(())
            }
            None => Err(io::ErrorKind::StorageFull.into()),
        }
    }
    fn room(&self) -> Option<u64> {
        Some(self.room.load(Ordering::SeqCst))
    }
}

/// The real disk without syncs: a power cut is played by editing files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoSync;

impl Gate for NoSync {
    const SYNCS: bool = false;
    fn write(&self) -> io::Result<()> {
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The real disk, whose writes or syncs fail once a budget is used up.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    pub(crate) writes: Arc<AtomicU64>,
    pub(crate) syncs: Arc<AtomicU64>,
    pub(crate) kind: io::ErrorKind,
}

impl Failing {
    pub(crate) fn never(kind: io::ErrorKind) -> Self {
        let budget = || Arc::new(AtomicU64::new(u64::MAX));
        Self { writes: budget(), syncs: budget(), kind }
    }

    fn spend(&self, budget: &AtomicU64) -> io::Result<()> {
        match budget.load(Ordering::SeqCst) {
            0 => Err(self.kind.into()),
            left => {
                budget.store(left - 1, Ordering::SeqCst);
                Ok(())
            }
        }
    }
}

impl Gate for Failing {
    const SYNCS: bool = true;
    fn write(&self) -> io::Result<()> {
        self.spend(&self.writes)
    }
    fn sync(&self) -> io::Result<()> {
        self.spend(&self.syncs)
    }
}

macro_rules! gated {
    ($name:ty) => {
        impl Disk for $name {
            type File = <RealDisk as Disk>::File;
            type Lock = <RealDisk as Disk>::Lock;
            fn create_dir(&self, path: &Path, mode: u32) -> io::Result<bool> {
                RealDisk.create_dir(path, mode)
            }
            fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
                RealDisk.list(dir)
            }
            fn open(&self, path: &Path, access: Access) -> io::Result<Self::File> {
                RealDisk.open(path, access)
            }
            fn create(&self, path: &Path, mode: u32) -> io::Result<Self::File> {
                RealDisk.create(path, mode)
            }
            fn len(&self, file: &Self::File) -> io::Result<u64> {
                RealDisk.len(file)
            }
            fn read_at(
                &self,
                file: &Self::File,
                buffer: &mut [u8],
                offset: u64,
            ) -> io::Result<usize> {
                RealDisk.read_at(file, buffer, offset)
            }
            fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<()> {
                Gate::write(self)?;
                let end = offset + bytes.len() as u64;
                self.grow(end.saturating_sub(RealDisk.len(file)?))?;
                RealDisk.write_at(file, bytes, offset)
            }
            fn cut(&self, file: &Self::File, len: u64) -> io::Result<()> {
                Gate::write(self)?;
                RealDisk.cut(file, len)
            }
            fn sync_data(&self, file: &Self::File) -> io::Result<()> {
                self.sync()?;
                if Self::SYNCS { RealDisk.sync_data(file) } else { Ok(()) }
            }
            fn sync_dir(&self, dir: &Path) -> io::Result<()> {
                self.sync()?;
                if Self::SYNCS { RealDisk.sync_dir(dir) } else { Ok(()) }
            }
            fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
                Gate::write(self)?;
                RealDisk.rename(from, to)
            }
            fn remove(&self, path: &Path) -> io::Result<()> {
                Gate::write(self)?;
                RealDisk.remove(path)
            }
            fn free(&self, dir: &Path) -> io::Result<u64> {
                self.room().map_or_else(|| RealDisk.free(dir), Ok)
            }
            fn lock(&self, path: &Path, pid: u32) -> Result<Self::Lock, LockFailure> {
                lock(path, pid)
            }
        }
    };
}

/// Takes a lock that another thread's child may hold for a moment: one that was forked and does not run its program yet
/// has every open file of this process.
fn lock(path: &Path, pid: u32) -> Result<std::fs::File, LockFailure> {
    let mut looks = 0;
    loop {
        match RealDisk.lock(path, pid) {
            Err(LockFailure::Held(_)) if looks < 50 => looks += 1,
            done => return done,
        }
        std::thread::park_timeout(std::time::Duration::from_millis(2));
    }
}

gated!(NoSync);
gated!(Failing);
gated!(Small);
