//! The files of one workload in the folder of units: whose they are, and how they are replaced (rules R20, R22).
//!
//! All are written beside their places before the first takes its place, so that a disk that is full leaves the old ones
//! whole, and each takes its place at once. What somebody else wrote is never overwritten.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::program::Trouble;
use crate::names::ObjectKey;
use crate::pods::{Units, owner_of_unit, unit_paths};

/// A file of units that is larger is not looked at.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Folders below each other that are looked at for units.
const DEPTH_MAX: usize = 4;

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
            let Some(text) = read(&file).map_err(|error| passing("read", &file, &error))? else {
                continue;
            };
            if self.is_ours(&path, &text) {
                continue;
            }
            let shown = file.display();
            return Err(Trouble::Refused(match owner_of_unit(&text) {
                Some(owner) if owner != self.object.to_string() => {
                    format!(
                        "there is a unit `{shown}` of {owner}: rename one of them, or remove it"
                    )
                }
                _ if self.force => continue,
                _ => format!(
                    "drifted: `{shown}` is not as Tidegate wrote it and is not overwritten; remove it, or put it back, then \
                     `tidegate release` goes on; or take it over with `tidegate rollout retry --force`"
                ),
            }));
        }
        Ok(())
    }

    /// Whether a file of this content was written by us.
    fn is_ours(&self, path: &str, text: &str) -> bool {
        self.written.iter().any(|units| units.file(path) == Some(text))
    }

    /// Gives what somebody else wrote a second name, which no generator reads, before its own gets another content.
    fn keep(&self, path: &str) -> Result<(), Trouble> {
        let file = self.of(path);
        let Some(text) = read(&file).map_err(|error| passing("read", &file, &error))? else {
            return Ok(());
        };
        if self.is_ours(path, &text) {
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
                    if read(&kept).is_ok_and(|there| there.as_ref() == Some(&text)) {
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
        let is = |path: &String| {
            read(&self.of(path)).is_ok_and(|text| text.as_deref() == wanted.file(path))
        };
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
            if read(&file).is_ok_and(|there| there.as_deref() == Some(text)) {
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
            let is_there =
                read(&self.of(&path)).is_ok_and(|text| text.as_deref() == wanted.file(&path));
            if !is_there {
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
            copy(&self.path, stage.path(), 0)?;
            Ok(stage)
        })();
        let stage = staged.map_err(|error: io::Error| passing("copy", &self.path, &error))?;
        Self { path: stage.path().to_owned(), ..self.clone() }.put(wanted)?;
        Ok(stage)
    }
}

/// What is in a file; none if there is none.
fn read(file: &Path) -> io::Result<Option<String>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn copy(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        // Whoever links to a unit means the unit; what cannot be looked at is no unit.
        let Ok(meta) = fs::metadata(entry.path()) else { continue };
        let to = to.join(entry.file_name());
        if meta.is_dir() && depth < DEPTH_MAX {
            fs::create_dir(&to)?;
            copy(&entry.path(), &to, depth + 1)?;
        } else if meta.is_file() && meta.len() <= FILE_BYTES_MAX {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

/// The disk is no verdict about an image.
fn passing(what: &str, path: &Path, error: &io::Error) -> Trouble {
    Trouble::Passing(format!("cannot {what} `{}`: {error}", path.display()))
}
