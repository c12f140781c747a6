//! One build as the daemon records it, and its log as the builder writes it.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::builds::log_path;
use crate::cli::Context;
use crate::cli::follow::{Changes, is_unread};
use crate::cli::offline::{self, Extent, Shown};
use crate::fact::{BuildEnd, Fact};
use crate::names::{Namespace, ObjectKey, Seq};
use crate::observed::ObservedState;
use crate::observed::build::Build;

/// Bytes of a log that are remembered, to find the place again where it was replaced.
const TAIL_BYTES: usize = 4 * 1024;

/// Bytes of a log that are read at once.
const PIECE_BYTES: u64 = 256 * 1024;

/// The build of a name in a namespace.
pub(super) fn find<'a>(
    observed: &'a ObservedState,
    namespace: &Namespace,
    name: &str,
) -> Option<&'a Build> {
    let here = observed.builds.iter().filter(|(key, _)| key.namespace == *namespace);
    let mut all = here.flat_map(|(_, state)| &state.builds);
    all.find(|build| build.created.name == name)
}

/// Where a build stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stand {
    /// It waits.
    New,
    /// It runs.
    Running,
    /// It ended.
    Ended(BuildEnd),
    /// It ended, and nobody remembers how.
    Forgotten,
}

/// Follows one build.
pub(super) struct Following<'a> {
    shown: &'a mut Shown,
    object: ObjectKey,
    seq: Seq,
    ended: Option<BuildEnd>,
    changes: Changes,
}

impl<'a> Following<'a> {
    /// Follows the build that a record created, or is about to create.
    pub(super) fn of(shown: &'a mut Shown, object: ObjectKey, seq: Seq) -> Self {
        let changes = Changes::of(&shown.config.state_dir.join("journal"));
        Self { shown, object, seq, ended: None, changes }
    }

    /// Takes in what the journal says, and returns where the build stands then.
    pub(super) fn look(&mut self) -> anyhow::Result<Stand> {
        loop {
            match self.shown.advance() {
                Ok(Some(Fact::BuildFinished(finished))) if finished.build == self.seq => {
                    self.ended = Some(finished.end);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                // Compaction was faster.
                Err(error) if error.is_gone() => {
                    *self.shown = offline::show(self.shown.config.clone(), &Extent::Whole)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(end) = self.ended {
            return Ok(Stand::Ended(end));
        }
        let observed = &self.shown.observed;
        let build = observed.builds.get(&self.object).and_then(|state| state.find(self.seq));
        Ok(match build {
            Some(Build { ended: Some(ended), .. }) => Stand::Ended(ended.end),
            Some(Build { started: Some(_), .. }) => Stand::Running,
            Some(_) => Stand::New,
            None if observed.last_seq < self.seq => Stand::New,
            None => Stand::Forgotten,
        })
    }

    /// Waits until another look is due.
    pub(super) fn wait(&self) {
        self.changes.wait();
    }

    /// Prints the log until the build ends, or until nobody reads on.
    pub(super) fn print_log(
        &mut self,
        mut log: LogFile,
        context: &mut Context<'_>,
    ) -> anyhow::Result<()> {
        loop {
            // In this order: what is written before its end is printed, too.
            let stand = self.look()?;
            let text = log.read()?;
            context.out.write_all(&text)?;
            context.out.flush()?;
            match stand {
                // More is read than one piece: what is printed slowly has a long rest.
                Stand::Ended(_) | Stand::Forgotten if text.is_empty() => return Ok(()),
                Stand::New | Stand::Running if is_unread() => return Ok(()),
                Stand::New | Stand::Running if text.is_empty() => self.wait(),
                Stand::New | Stand::Running | Stand::Ended(_) | Stand::Forgotten => {}
            }
        }
    }
}

/// The log of a build, read as it grows.
pub(super) struct LogFile {
    path: PathBuf,
    /// The file that was read last. It stays open, or else a later one could be taken for it by its number.
    file: Option<File>,
    offset: u64,
    /// What was read last.
    tail: Vec<u8>,
}

impl LogFile {
    /// The log of a build of a state directory, whether or not there is one yet.
    pub(super) fn of(shown: &Shown, namespace: &Namespace, build: &str) -> Self {
        Self::at(log_path(&shown.config.state_dir, namespace, build))
    }

    fn at(path: PathBuf) -> Self {
        Self { path, file: None, offset: 0, tail: Vec::new() }
    }

    /// What came to it since the last time, or the first piece of it; nothing where it is not there yet.
    pub(super) fn read(&mut self) -> anyhow::Result<Vec<u8>> {
        let piece = self.more().with_context(|| {
            let shown = self.path.display();
            format!("cannot read the log `{shown}`")
        })?;
        self.offset += piece.len() as u64;
        self.tail.extend(&piece);
        let over = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..over);
        Ok(piece)
    }

    fn more(&mut self) -> std::io::Result<Vec<u8>> {
        // The file that was read last to its end, before the one that took its place.
        if let Some(file) = &mut self.file {
            let piece = piece(file, self.offset)?;
            if !piece.is_empty() {
                return Ok(piece);
            }
        }
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        if let Some(before) = &self.file {
            if before.metadata()?.ino() == file.metadata()?.ino() {
                return Ok(Vec::new());
            }
            // It was too long and is replaced by a shorter one: what was printed last stands in it, or is left out of it.
            let mut all = Vec::new();
            file.read_to_end(&mut all)?;
            self.offset = self.place_in(&all) as u64;
        }
        let file = self.file.insert(file);
        piece(file, self.offset)
    }

    /// Where a file that took the place of the one before goes on.
    fn place_in(&self, all: &[u8]) -> usize {
        let read = usize::try_from(self.offset).ok().and_then(|offset| all.get(..offset));
        if let Some(read) = read.filter(|read| read.ends_with(&self.tail)) {
            return read.len(); // its beginning stays as it was
        }
        if let Some(at) = memchr::memmem::rfind(all, &self.tail).filter(|_| !self.tail.is_empty()) {
            return at + self.tail.len();
        }
        let note = memchr::memmem::find(all, b"\n... ").map(|at| at + 1);
        let offset = usize::try_from(self.offset).unwrap_or(usize::MAX);
        note.unwrap_or(0).min(offset).min(all.len())
    }
}

fn piece(file: &mut File, from: u64) -> std::io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(from))?;
    let mut piece = Vec::new();
    file.take(PIECE_BYTES).read_to_end(&mut piece)?;
    Ok(piece)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn put(path: &std::path::Path, text: &str) {
        let mut new = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
        new.write_all(text.as_bytes()).unwrap();
        new.persist(path).unwrap();
    }

    #[test]
    fn a_log_is_read_on_where_it_was_left_also_when_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web-1.log");
        let mut log = LogFile::at(path.clone());
        let mut more = || String::from_utf8(log.read().unwrap()).unwrap();
        assert_eq!(more(), "", "there is none yet");
        put(&path, "one\ntwo\n");
        assert_eq!(more(), "one\ntwo\n");
        let mut file = std::fs::File::options().append(true).open(&path).unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(more(), "three\n");
        assert_eq!(more(), "");
        put(&path, "one\n... 9 bytes are left out ...\ntwo\nthree\nfour\n");
        assert_eq!(more(), "... 9 bytes are left out ...\ntwo\nthree\nfour\n");
    }

    #[test]
    fn of_a_log_that_was_replaced_nothing_is_shown_twice_that_is_still_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web-1.log");
        let mut log = LogFile::at(path.clone());
        let lines = |from: usize, to: usize| -> String {
            (from..to).map(|line| format!("line {line}\n")).collect()
        };
        put(&path, &lines(0, 2000));
        assert_eq!(log.read().unwrap(), lines(0, 2000).as_bytes());
        put(&path, &format!("{}... 9 bytes are left out ...\n{}", lines(0, 9), lines(900, 2100)));
        assert_eq!(String::from_utf8(log.read().unwrap()).unwrap(), lines(2000, 2100));
    }

    #[test]
    fn what_was_not_read_of_a_log_that_was_replaced_is_read_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web-1.log");
        let mut log = LogFile::at(path.clone());
        let lines = |from: usize, to: usize| -> String {
            (from..to).map(|line| format!("line {line:>12}\n")).collect()
        };
        put(&path, &lines(0, 20_000));
        let mut read = log.read().unwrap();
        assert!(read.len() < 20_000 * 18, "there is more than one piece");
        let left_out = "... 9 bytes are left out ...\n";
        put(&path, &format!("{}{left_out}{}", lines(0, 100), lines(19_000, 21_000)));
        loop {
            let piece = log.read().unwrap();
            if piece.is_empty() {
                break;
            }
            read.extend(piece);
        }
        assert!(String::from_utf8(read).unwrap() == lines(0, 21_000), "each line once");
    }

    #[test]
    fn a_log_that_is_replaced_goes_on_behind_its_beginning_whatever_is_repeated_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web-1.log");
        let mut log = LogFile::at(path.clone());
        put(&path, "ok\n");
        assert_eq!(log.read().unwrap(), b"ok\n");
        put(&path, "ok\nbad\nok\n");
        assert_eq!(log.read().unwrap(), b"bad\nok\n");
    }
}
