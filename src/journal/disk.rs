//! What the journal asks of a file system, and the real one.
//!
//! [`Disk`] is the one trait of the project that stands between our code and the outside: the simulator implements it
//! with torn writes, lost sectors and full disks. It says what must be durable when; nothing in it is about records.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Bytes that are written at once when space is filled.
const FILL_BYTES: usize = 64 * 1024;

/// What an opened file is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// To be read.
    Read,
    /// To be read and written.
    Write,
}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum LockFailure {
    /// Another open file holds it; the process id that the lock file names, if it names one.
    Held(Option<u32>),
    /// The lock file could not be opened or written.
    Io(io::Error),
}

/// A file system.
///
/// Paths are absolute or relative to the working directory; a write is whole or an error; what was written is durable
/// after [`Disk::sync_data`], and a name, also that of a directory, after [`Disk::sync_dir`] of the directory it is
/// in. After an error of either, nothing is known about what reached the disk.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: Send + Sync;
    /// A lock, held until it is dropped.
    type Lock: Send;

    /// Makes a directory with mode `mode`, and says whether it had to: one that exists is fine.
    ///
    /// # Errors
    /// What the file system says.
    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<bool>;
    /// The names in a directory, in any order; those that are not UTF-8 are left out, none of ours is.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens a file that exists.
    ///
    /// # Errors
    /// What the file system says.
    fn open(&self, path: &Path, access: Access) -> io::Result<Self::File>;
    /// Makes an empty file with mode `mode` for writing; one that exists is emptied.
    ///
    /// # Errors
    /// What the file system says.
    fn create(&self, path: &Path, mode: u32) -> io::Result<Self::File>;
    /// Length in bytes.
    ///
    /// # Errors
    /// What the file system says.
    fn len(&self, file: &Self::File) -> io::Result<u64>;
    /// Reads at most `buffer.len()` bytes at `offset`; 0 is the end of the file.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    ///
    /// # Errors
    /// What the file system says.
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts a file off at `len`, which is no more than its length. Does not sync.
    ///
    /// # Errors
    /// What the file system says.
    fn cut(&self, file: &Self::File, len: u64) -> io::Result<()>;
    /// Makes content and length of a file durable.
    ///
    /// # Errors
    /// What the file system says.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// What the file system says.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Gives a file another name, in place of the one that has it.
    ///
    /// # Errors
    /// What the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// What the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Takes the exclusive lock of `path` and writes `pid` into it, without waiting.
    ///
    /// # Errors
    /// When somebody else holds it, or the file cannot be used.
    fn lock(&self, path: &Path, pid: u32) -> Result<Self::Lock, LockFailure>;

    /// Bytes that may still be written below a directory, as far as the file system tells.
    ///
    /// # Errors
    /// What the file system says.
    fn free(&self, dir: &Path) -> io::Result<u64>;

    /// Fills a range with newlines. Does not sync.
    ///
    /// # Errors
    /// What the file system says.
    fn allocate(&self, file: &Self::File, range: Range<u64>) -> io::Result<()> {
        let fill = [b'\n'; FILL_BYTES];
        let mut offset = range.start;
        while offset < range.end {
            let len = usize::try_from(range.end - offset).unwrap_or(FILL_BYTES).min(FILL_BYTES);
            self.write_at(file, fill.get(..len).unwrap_or(&fill), offset)?;
            offset += len as u64;
        }
        Ok(())
    }

    /// Reads at `offset` until the buffer is full or the file ends; returns how many bytes there were.
    ///
    /// # Errors
    /// What the file system says.
    fn read_full(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest @ [_, ..]) = buffer.get_mut(read..) {
            match self.read_at(file, rest, offset + read as u64)? {
                0 => break,
                count => read += count,
            }
        }
        Ok(read)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// What the file system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path, Access::Read)?;
        let len = usize::try_from(self.len(&file)?).map_err(io::Error::other)?;
        let mut bytes = vec![0; len];
        let read = self.read_full(&file, &mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    type File = File;
    type Lock = File;

    fn create_dir(&self, path: &Path, mode: u32) -> io::Result<bool> {
        match DirBuilder::new().mode(mode).create(path) {
            Ok(()) => Ok(true),
            Err(_) if path.is_dir() => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in dir.read_dir()? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        OpenOptions::new().read(true).write(access == Access::Write).open(path)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(mode).open(path)
    }

    fn len(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn cut(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn free(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn lock(&self, path: &Path, pid: u32) -> Result<File, LockFailure> {
        // Not emptied before the lock is ours: until then the text names another process.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o640);
        let file = options.open(path).map_err(LockFailure::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                return Err(LockFailure::Held(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(error)) => return Err(LockFailure::Io(error)),
        }
        let text = format!("{pid}\n");
        file.set_len(0)
            .and_then(|()| file.write_all_at(text.as_bytes(), 0))
            .map_err(LockFailure::Io)?;
        Ok(file)
    }
}
