//! The log of one build: a file that grows while the build runs, bounded, without the secrets that are known.
//!
//! The first half of what it may have stays as it came. Behind that the newest lines stand, and between the two how much
//! is missing. The file is then replaced every few seconds and at the end: whoever follows it by name sees another file.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::hidden::Hidden;
use crate::builds::log_snippet;
use crate::secret::masked;

/// Bytes of a line; what is longer goes on in the next one.
const LINE_LEN_MAX: usize = 16 * 1024;

/// Bytes of the end that are kept for the snippet.
const END_LEN: usize = 16 * 1024;

/// Time between two writings of the newest lines.
const FLUSH: Duration = Duration::from_secs(2);

pub(super) struct Log(Mutex<Inner>);

struct Inner {
    path: PathBuf,
    /// None where it cannot be written: the build goes on without.
    file: Option<File>,
    /// Bytes that the beginning and the newest lines may have, each.
    half: usize,
    /// Bytes of the beginning that are written.
    head: usize,
    /// A line whose end has not come.
    line: Vec<u8>,
    /// Bytes at its beginning that are a part of a secret, whatever comes behind them; at that of the newest, once they
    /// begin with what was left of a line.
    covered: usize,
    /// The newest, once the beginning is full.
    tail: VecDeque<u8>,
    /// Bytes between the two.
    dropped: u64,
    flushed: Instant,
    end: VecDeque<u8>,
    secrets: Hidden,
    /// Whether the lines are those of a private key.
    in_key: bool,
}

impl Log {
    /// Opens the log of a build; one that goes on is written on.
    pub(super) fn open(path: &Path, len_max: u64) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).append(true).mode(0o600).open(path)?;
        let head = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        let half = usize::try_from(len_max / 2).unwrap_or(usize::MAX);
        Ok(Self(Mutex::new(Inner {
            path: path.to_owned(),
            file: Some(file),
            half,
            head,
            line: Vec::new(),
            covered: 0,
            tail: VecDeque::new(),
            dropped: 0,
            flushed: Instant::now(),
            end: VecDeque::new(),
            secrets: Hidden::default(),
            in_key: false,
        })))
    }

    /// From now on this is not shown.
    pub(super) fn hide(&self, secret: &str) {
        self.inner().secrets.add(secret);
    }

    /// Takes what a program printed.
    pub(super) fn push(&self, bytes: &[u8]) {
        self.inner().push(bytes);
    }

    /// Writes a line of ours.
    pub(super) fn say(&self, line: &str) {
        let mut inner = self.inner();
        if !inner.line.is_empty() {
            inner.push(b"\n");
        }
        inner.push(line.as_bytes());
        inner.push(b"\n");
    }

    /// Everything is written.
    pub(super) fn finish(&self) {
        let mut inner = self.inner();
        if !inner.line.is_empty() {
            inner.push(b"\n");
        }
        inner.flush(true);
    }

    /// The last lines (rule B31).
    pub(super) fn snippet(&self) -> String {
        let mut inner = self.inner();
        let Inner { end, secrets, .. } = &mut *inner;
        // What was cut at its beginning could show a part of a secret.
        let end = end.make_contiguous();
        let covered = if end.len() < END_LEN { 0 } else { secrets.right(end) };
        let end = secrets.without(end, covered);
        let is_shown = |c: &char| !c.is_control() || "\n\t\r".contains(*c);
        let end: String = masked(&end).chars().filter(is_shown).collect();
        // What buildah says of its own processes stands in the place of what the build said.
        let is_told =
            |line: &&str| !line.trim().is_empty() && !line.starts_with("subprocess exited ");
        let lines = end.lines().filter(is_told);
        log_snippet(&lines.collect::<Vec<_>>().join("\n"))
    }

    /// A text without what is hidden.
    pub(super) fn redacted(&self, text: &str) -> String {
        masked(&self.inner().secrets.without(text.as_bytes(), 0))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, bytes: &[u8]) {
        self.end.extend(bytes.iter().skip(bytes.len().saturating_sub(END_LEN)));
        let surplus = self.end.len().saturating_sub(END_LEN);
        self.end.drain(..surplus);
        let mut rest = bytes;
        while self.head < self.half {
            let Some(at) = memchr::memchr(b'\n', rest) else {
                self.line.extend_from_slice(rest);
                if self.line.len() >= LINE_LEN_MAX {
                    self.write_part();
                }
                return;
            };
            let (line, behind) = rest.split_at(at + 1);
            self.line.extend_from_slice(line);
            rest = behind;
            let line = std::mem::take(&mut self.line);
            let line = self.secrets.without(&line, std::mem::take(&mut self.covered));
            self.write(&line);
        }
        let begun = std::mem::take(&mut self.line);
        self.keep(&begun);
        self.keep(rest);
    }

    /// Writes what has come of a long line, but for what may be the beginning of a secret.
    fn write_part(&mut self) {
        let begun = self.secrets.begun(&self.line, self.covered);
        self.line.drain(..self.line.len() - begun.left);
        self.covered = begun.covered;
        self.write(&begun.shown);
    }

    /// Writes to the beginning.
    fn write(&mut self, text: &str) {
        let text = self.shown(text);
        self.head += text.len();
        let written = self.file.as_mut().map(|file| file.write_all(text.as_bytes()));
        if let Some(Err(error)) = written {
            self.give_up(&error);
        }
    }

    /// Keeps the newest.
    fn keep(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let lost = bytes.len().saturating_sub(self.half);
        self.tail.extend(bytes.iter().skip(lost));
        let surplus = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.dropped += (lost + surplus) as u64;
        if self.flushed.elapsed() >= FLUSH {
            self.flush(false);
        }
    }

    /// Puts the beginning and the newest lines into a new file, which takes the place of the one before.
    fn flush(&mut self, is_whole: bool) {
        if self.tail.is_empty() || self.file.is_none() {
            return;
        }
        if let Err(error) = self.rewrite(is_whole) {
            self.give_up(&error);
        }
        self.flushed = Instant::now();
    }

    fn rewrite(&mut self, is_whole: bool) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        io::copy(&mut File::open(&self.path)?.take(self.head as u64), &mut new)?;
        let tail = self.tail.make_contiguous();
        // What was cut at its beginning is no line, and could show a part of a secret.
        let (cut, covered) = match self.dropped {
            0 => (0, self.covered),
            _ => (memchr::memchr(b'\n', tail).map_or(tail.len(), |at| at + 1), 0),
        };
        if self.dropped > 0 {
            let dropped = self.dropped + cut as u64;
            writeln!(new, "... {dropped} bytes of the log are left out here ...")?;
        }
        let rest = tail.get(cut..).unwrap_or_default();
        let rest = match is_whole {
            true => self.secrets.without(rest, covered),
            false => self.secrets.begun(rest, covered).shown,
        };
        new.write_all(self.shown(&rest).as_bytes())?;
        new.persist(&self.path)?;
        Ok(())
    }

    fn give_up(&mut self, error: &io::Error) {
        tracing::warn!(path = %self.path.display(), %error, "the log of a build cannot be written; it goes on without");
        self.file = None;
    }

    /// Lines without what sounds like a secret.
    fn shown(&mut self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let is_begin = line.contains("PRIVATE KEY-----") && line.contains("-----BEGIN");
            let is_end = line.contains("PRIVATE KEY-----") && line.contains("-----END");
            let is_key = self.in_key || is_begin || is_end;
            self.in_key = (self.in_key || is_begin) && !is_end;
            match is_key {
                true => shown.push_str("***\n"),
                false => shown.push_str(&masked(line)),
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(len_max: u64) -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(&folder.path().join("shop/web-1.log"), len_max).unwrap();
        (folder, log)
    }

    fn text(folder: &tempfile::TempDir) -> String {
        std::fs::read_to_string(folder.path().join("shop/web-1.log")).unwrap()
    }

    #[test]
    fn a_line_is_readable_as_soon_as_it_ends() {
        let (folder, log) = log(1000);
        log.push(b"one\ntw");
        assert_eq!(text(&folder), "one\n");
        log.push(b"o\n");
        log.say("three");
        assert_eq!(text(&folder), "one\ntwo\nthree\n");
        assert_eq!(log.snippet(), "one\ntwo\nthree");
    }

    #[test]
    fn of_a_long_log_the_beginning_and_the_newest_lines_stay_and_it_says_what_is_missing() {
        let (folder, log) = log(200);
        for line in 0..10_000 {
            log.push(format!("line {line}\n").as_bytes());
        }
        log.finish();
        let text = text(&folder);
        assert!(text.len() < 300, "{text}");
        assert!(text.starts_with("line 0\nline 1\n") && text.ends_with("line 9998\nline 9999\n"));
        let gap = text.lines().find(|line| line.starts_with("...")).unwrap();
        assert!(gap.ends_with(" bytes of the log are left out here ..."), "{gap}");
        assert_eq!(log.snippet().lines().last(), Some("line 9999"));
    }

    #[test]
    fn what_is_hidden_stands_nowhere() {
        let (folder, log) = log(300);
        log.hide("hunter2\n");
        log.hide("-----BEGIN RSA PRIVATE KEY-----\nMIIBother\n-----END RSA PRIVATE KEY-----");
        log.push(b"pw is hunter2, SOME_TOKEN=abcdef\n");
        log.push(
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNz\n-----END OPENSSH PRIVATE KEY-----\n",
        );
        for line in 0..500 {
            log.push(format!("{line} hunter2 MIIBother\n").as_bytes());
        }
        log.finish();
        for text in [text(&folder), log.snippet()] {
            for secret in ["hunter2", "abcdef", "b3Blb", "MIIB"] {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }

    #[test]
    fn what_is_hidden_stands_nowhere_either_where_a_line_without_end_is_cut() {
        let large = 1 << 20;
        let cases =
            [(large, 0, 30), (large, 3, 30), (1000, 0, 30), (100_000, 49_990, 1), (100_000, 9, 9)];
        for (len_max, before, times) in cases {
            let (folder, log) = log(len_max);
            log.hide("hunter2hunter2");
            log.push(&vec![b'x'; before]);
            // In parts of all lengths: one ends within it at each of its bytes.
            for len in 16_370..16_370 + times {
                let (begin, end) = b"hunter2hunter2".split_at(len % 14);
                log.push(&[&vec![b'x'; len][..], begin].concat());
                log.push(end);
            }
            log.push(b"\nthe end\n");
            for text in [text(&folder), log.snippet()] {
                assert!(!text.contains("hunt") && !text.contains("ter2"), "{text}");
            }
            log.finish();
            for text in [text(&folder), log.snippet()] {
                assert!(!text.contains("hunt") && !text.contains("ter2"), "{text}");
                assert!(text.ends_with("the end\n") || text.ends_with("the end"));
            }
        }
    }

    #[test]
    fn the_log_is_read_by_its_user_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (folder, log) = log(100);
        let mode = || {
            let file = folder.path().join("shop/web-1.log").metadata().unwrap();
            file.permissions().mode() & 0o777
        };
        assert_eq!(mode(), 0o600);
        for _ in 0..100 {
            log.push(b"more than there is room for\n");
        }
        log.finish();
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_line_without_end_is_cut_and_takes_no_more_memory_than_that() {
        let (folder, log) = log(100_000);
        for _ in 0..1000 {
            log.push(&[b'x'; 1000]);
        }
        log.finish();
        assert!(text(&folder).len() < 120_000);
    }
}
