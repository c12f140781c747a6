//! The files of one workload in the folder of units: whose they are, and how they are replaced (rules R20, R22).
//!
//! All are written beside their places before the first takes its place, so that a disk that is full leaves the old ones
//! whole, and each takes its place at once. What somebody else wrote is never overwritten.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::program::Trouble;
use crate::names::ObjectKey;
use crate::pods::{Units, owner_of_unit, unit_paths};

/// A file of units that is larger is not looked at.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Folders below each other that are looked at for units.
const DEPTH_MAX: usize = 4;

/// Files and folders that are looked at for units, and their bytes: a link may lead to all that a machine has.
const COPIED_MAX: usize = 10_000;
const COPIED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Files that somebody edited and that are kept beside their successors, of each name.
const KEPT_MAX: u32 = 100;

/// The files of one workload.
#[derive(Clone)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) object: ObjectKey,
    /// All that was ever written there for it and is remembered.
    pub(super) written: Vec<Units>,
    /// Whether what somebody edited is taken over: it is kept beside.
    pub(super) force: bool,
}

impl Folder {
    fn of(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// Whether somebody else wrote a `.container` unit of this name (rule R21).
    pub(super) fn has_container(&self) -> bool {
        self.of(&format!("{}.container", self.object.name)).is_file()
    }

    /// Whether a file of ours is there.
    pub(super) fn has(&self, path: &str) -> bool {
        self.of(path).exists()
    }

    /// Looks whether all that is there was written by us (rule R22).
    pub(super) fn check(&self) -> Result<(), Trouble> {
        for path in unit_paths(&self.object.name) {
            let file = self.of(&path);
            let there = read(&file).map_err(|error| passing("read", &file, &error))?;
            if there == There::Nothing || self.is_ours(&path, &there) {
                continue;
            }
            let shown = file.display();
            let text = match &there {
                There::File(bytes) => String::from_utf8_lossy(bytes),
                There::Nothing | There::Odd => Default::default(),
            };
            return Err(Trouble::Refused(match owner_of_unit(&text) {
                Some(owner) if owner != self.object.to_string() => {
                    format!(
                        "there is a unit `{shown}` of {owner}: rename one of them, or remove it"
                    )
                }
                _ if self.force => continue,
                _ => format!(
                    "drifted: `{shown}` is not as Tidegate wrote it and is not overwritten; remove it, or put it back, then \
                     `tidegate release` goes on; or take it over with `--force` of `tidegate rollout retry`, or of `restart` \
                     where no rollout failed"
                ),
            }));
        }
        Ok(())
    }

    /// Whether a file of this content was written by us.
    fn is_ours(&self, path: &str, there: &There) -> bool {
        self.written.iter().filter_map(|units| units.file(path)).any(|text| there.is(Some(text)))
    }

    /// Gives what somebody else wrote a second name, which no generator reads, before its own gets another content.
    fn keep(&self, path: &str) -> Result<(), Trouble> {
        let file = self.of(path);
        let there = read(&file).map_err(|error| passing("read", &file, &error))?;
        if there == There::Nothing || self.is_ours(path, &there) {
            return Ok(());
        }
        for count in 1..KEPT_MAX {
            let end = if count == 1 { "edited".to_owned() } else { format!("edited.{count}") };
            let mut name = file.clone().into_os_string();
            name.push(format!(".{end}"));
            let kept = PathBuf::from(name);
            match fs::hard_link(&file, &kept) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let is_file = matches!(there, There::File(_));
                    if is_file && read(&kept).is_ok_and(|kept| kept == there) {
                        return Ok(());
                    }
                }
                Err(error) => return Err(passing("keep", &file, &error)),
            }
        }
        Err(Trouble::Refused(format!(
            "there are too many files like `{}.edited`: remove those that nobody needs",
            file.display()
        )))
    }

    /// Whether exactly this is there.
    pub(super) fn is(&self, wanted: &Units) -> bool {
        self.astray_from(wanted).is_none()
    }

    /// The first path at which something else is.
    fn astray_from(&self, wanted: &Units) -> Option<String> {
        let is =
            |path: &String| read(&self.of(path)).is_ok_and(|there| there.is(wanted.file(path)));
        unit_paths(&self.object.name).into_iter().find(|path| !is(path))
    }

    /// The first file that is not as what was written last.
    pub(super) fn drifted(&self) -> Option<PathBuf> {
        let path = self.astray_from(self.written.last()?)?;
        Some(self.of(&path))
    }

    /// Makes it so that exactly this is there.
    pub(super) fn put(&self, wanted: &Units) -> Result<(), Trouble> {
        let mut staged = Vec::new();
        for (path, text) in wanted.files() {
            let file = self.of(path);
            if read(&file).is_ok_and(|there| there.is(Some(text))) {
                continue;
            }
            let beside = beside(&file);
            if let Err(error) = write(&beside, text) {
                for (beside, _) in staged.iter().chain([&(beside.clone(), file.clone())]) {
                    drop(fs::remove_file(beside)); // what is left takes nobody's place
                }
                return Err(passing("write", &file, &error));
            }
            staged.push((beside, file));
        }
        for path in unit_paths(&self.object.name) {
            let there = read(&self.of(&path));
            if !there.is_ok_and(|there| there.is(wanted.file(&path))) {
                self.keep(&path)?;
            }
        }
        for (beside, file) in &staged {
            fs::rename(beside, file).map_err(|error| passing("write", file, &error))?;
        }
        for path in unit_paths(&self.object.name) {
            let file = self.of(&path);
            if wanted.file(&path).is_none() && file.exists() {
                fs::remove_file(&file).map_err(|error| passing("remove", &file, &error))?;
                if let Some(folder) = file.parent().filter(|folder| **folder != self.path) {
                    drop(fs::remove_dir(folder)); // others may have files in it
                }
            }
        }
        let folders = staged.iter().filter_map(|(_, file)| file.parent());
        for folder in folders.chain([self.path.as_path()]).filter(|folder| folder.is_dir()) {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| passing("sync", folder, &error))?;
        }
        Ok(())
    }

    /// A copy of the folder in which this is as it is going to be (rule R20).
    pub(super) fn stage(&self, wanted: &Units) -> Result<tempfile::TempDir, Trouble> {
        let staged = (|| {
            let stage = tempfile::tempdir()?;
            Room { files: COPIED_MAX, bytes: COPIED_BYTES_MAX }.copy(
                &self.path,
                stage.path(),
                0,
            )?;
            Ok(stage)
        })();
        let stage = staged.map_err(|error: io::Error| passing("copy", &self.path, &error))?;
        Self { path: stage.path().to_owned(), ..self.clone() }.put(wanted)?;
        Ok(stage)
    }
}

/// What stands at a path.
#[derive(PartialEq, Eq)]
enum There {
    Nothing,
    File(Vec<u8>),
    /// A folder, a pipe, a device, or more than anybody wrote as a unit.
    Odd,
}

impl There {
    /// Whether it is this text, or nothing where nothing is wanted.
    fn is(&self, wanted: Option<&str>) -> bool {
        match (self, wanted) {
            (Self::Nothing, None) => true,
            (Self::File(bytes), Some(text)) => bytes == text.as_bytes(),
            (Self::Nothing | Self::File(_) | Self::Odd, _) => false,
        }
    }
}

/// Looks what stands at a path. Whoever opened a pipe as a file would wait for somebody who writes into it.
fn read(file: &Path) -> io::Result<There> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match rustix::fs::open(file, flags, Mode::empty()) {
        Ok(opened) => File::from(opened),
        Err(Errno::NOENT) => return Ok(There::Nothing),
        // A socket, or a device that nobody is behind.
        Err(Errno::NXIO | Errno::NODEV) => return Ok(There::Odd),
        Err(error) => return Err(error.into()),
    };
    if !opened.metadata()?.is_file() {
        return Ok(There::Odd);
    }
    let mut bytes = Vec::new();
    let length = opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(if length as u64 > FILE_BYTES_MAX { There::Odd } else { There::File(bytes) })
}

/// Where a file is written before it takes its place; no generator takes it for a unit.
fn beside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!(".{name}.tidegate"))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // What a crash left, or a link that leads elsewhere.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// How much may still be copied.
struct Room {
    files: usize,
    bytes: u64,
}

impl Room {
    fn copy(&mut self, from: &Path, to: &Path, depth: usize) -> io::Result<()> {
        let entries = match fs::read_dir(from) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // No generator looks into it either.
            Err(_) if depth > 0 => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(_) if depth > 0 => return Ok(()),
                Err(error) => return Err(error),
            };
            // Whoever links to a unit means the unit; what cannot be looked at is no unit.
            let Ok(meta) = fs::metadata(entry.path()) else { continue };
            let to = to.join(entry.file_name());
            if meta.is_dir() && depth < DEPTH_MAX {
                self.take(0)?;
                fs::create_dir(&to)?;
                self.copy(&entry.path(), &to, depth + 1)?;
            } else if meta.is_file() {
                // What the kernel makes up has no length, and some of it is waited for.
                let there = match meta.len() {
                    0 => Ok(There::File(Vec::new())),
                    _ => read(&entry.path()),
                };
                let Ok(There::File(bytes)) = there else { continue };
                self.take(bytes.len() as u64)?;
                File::create_new(&to)?.write_all(&bytes)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: u64) -> io::Result<()> {
        let left = self.files.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        let Some((files, bytes)) = left else {
            let max = COPIED_BYTES_MAX / 1024 / 1024;
            return Err(io::Error::other(format!(
                "there are more than {COPIED_MAX} files or {max} MiB in it, which are no units"
            )));
        };
        (self.files, self.bytes) = (files, bytes);
        Ok(())
    }
}

/// The disk is no verdict about an image.
fn passing(what: &str, path: &Path, error: &io::Error) -> Trouble {
    Trouble::Passing(format!("cannot {what} `{}`: {error}", path.display()))
}
