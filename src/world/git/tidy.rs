//! Keeping the mirror small: each commit brings a few loose objects and one reference, a file each.

use std::ffi::OsString;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;

use crate::limits;

use super::program::{self, Stopped};
use super::{Source, SourceError, mirror_error};

impl Source {
    /// Packs objects and references of the mirror with git's own tools, once `loose_max` more objects are loose than
    /// after the last time. Nothing is ever dropped: what no reference reaches stays loose. Says whether it packed.
    ///
    /// # Errors
    ///
    /// The mirror cannot be looked at, or `git` fails; the mirror is as good as before, and grows.
    pub fn tidy(&self, loose_max: usize, cancel: &CancellationToken) -> Result<bool, SourceError> {
        let loose = self.loose().map_err(|error| mirror_error(&self.mirror, error))?;
        if loose < self.left_loose.load(Ordering::Relaxed).saturating_add(loose_max) {
            return Ok(false);
        }
        // Whoever reads the source writes the mirror, and must not meet a lock of ours.
        let _writing = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let packs = entries(&self.mirror.join("objects/pack"), |name| name.ends_with(".pack"));
        let packs = packs.map_err(|error| mirror_error(&self.mirror, error))?;
        // `-A` makes one pack of all of them, and loose objects of what it leaves out; else only loose ones are packed.
        let all: &[&str] = if packs >= limits::MIRROR_PACKS_MAX { &["-A"] } else { &[] };
        self.tool(&["pack-refs", "--all"], cancel)?;
        self.tool(&[&["repack", "-d", "-l", "--quiet"], all].concat(), cancel)?;
        let left = self.loose().map_err(|error| mirror_error(&self.mirror, error))?;
        self.left_loose.store(left, Ordering::Relaxed);
        Ok(true)
    }

    fn tool(&self, arguments: &[&str], cancel: &CancellationToken) -> Result<(), SourceError> {
        let mut all: Vec<OsString> = vec!["-c".into(), "core.fsync=all".into()];
        all.extend(["--git-dir".into(), self.mirror.clone().into()]);
        all.extend(arguments.iter().map(OsString::from));
        let said = match self.program.run(&self.mirror, &all, cancel) {
            Ok(said) if said.status.success() => return Ok(()),
            Ok(said) => program::said(&said.stderr),
            Err(Stopped::Problem(problem)) => return Err(problem.into()),
            Err(Stopped::Cancelled) => "it was stopped".to_owned(),
            Err(Stopped::Timeout) => "it took too long".to_owned(),
        };
        let command = arguments.first().copied().unwrap_or_default();
        Err(mirror_error(&self.mirror, format!("`git {command}`: {said}")))
    }

    /// How many objects are loose.
    fn loose(&self) -> std::io::Result<usize> {
        let objects = self.mirror.join("objects");
        let mut count = 0;
        for folder in std::fs::read_dir(&objects)? {
            let folder = folder?;
            // `pack` and `info` are no two digits.
            if folder.file_name().len() == 2 {
                count += entries(&folder.path(), |_| true)?;
            }
        }
        Ok(count)
    }
}

/// How many entries of a folder have a name like that; none where it has gone meanwhile.
fn entries(folder: &Path, counts: impl Fn(&str) -> bool) -> std::io::Result<usize> {
    match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        entries => {
            let names = entries?.filter_map(Result::ok).map(|entry| entry.file_name());
            Ok(names.filter(|name| counts(&name.to_string_lossy())).count())
        }
    }
}
