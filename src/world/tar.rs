//! Files as a tar archive that is written piece by piece (POSIX ustar; pax headers for names that do not fit).

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What a path or the aim of a link may have in a header.
const NAME_MAX: usize = 100;

/// Bytes of a block.
const BLOCK: usize = 512;

/// What an entry is, as tar spells it.
const FILE: u8 = b'0';
const LINK: u8 = b'2';
const FOLDER: u8 = b'5';
const EXTENDED: u8 = b'x';

/// An archive that is being written.
#[derive(Debug)]
pub struct Archive<W> {
    out: W,
}

/// What every entry has.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its path in the archive.
    pub path: &'a Path,
    /// Its permissions.
    pub mode: u32,
    /// When it was changed last, in seconds since 1970.
    pub changed: u64,
}

impl<W: Write> Archive<W> {
    /// Begins an archive.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// Writes a folder.
    ///
    /// # Errors
    /// What the writer says.
    pub fn folder(&mut self, entry: Entry<'_>) -> io::Result<()> {
        let mut path = entry.path.as_os_str().as_bytes().to_vec();
        path.push(b'/');
        self.header(&path, b"", (entry.mode, entry.changed), (0, FOLDER))
    }

    /// Writes a symbolic link.
    ///
    /// # Errors
    /// What the writer says.
    pub fn link(&mut self, entry: Entry<'_>, to: &Path) -> io::Result<()> {
        let (path, to) = (entry.path.as_os_str().as_bytes(), to.as_os_str().as_bytes());
        self.header(path, to, (entry.mode, entry.changed), (0, LINK))
    }

    /// Writes a file of `len` bytes: what there is behind them is left out.
    ///
    /// # Errors
    /// What the reader or the writer says, or that there are not so many.
    pub fn file(&mut self, entry: Entry<'_>, len: u64, from: impl Read) -> io::Result<()> {
        let path = entry.path.as_os_str().as_bytes();
        self.header(path, b"", (entry.mode, entry.changed), (len, FILE))?;
        let copied = io::copy(&mut from.take(len), &mut self.out)?;
        if copied < len {
            let why = format!("`{}` became shorter while it was read", entry.path.display());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        self.pad(len)
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// What the writer says.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn pad(&mut self, len: u64) -> io::Result<()> {
        let over = usize::try_from(len % BLOCK as u64).unwrap_or(0);
        let pad = [0; BLOCK];
        self.out.write_all(pad.get(..(BLOCK - over) % BLOCK).unwrap_or_default())
    }

    fn header(
        &mut self,
        path: &[u8],
        to: &[u8],
        (mode, changed): (u32, u64),
        (len, kind): (u64, u8),
    ) -> io::Result<()> {
        let mut extended = Vec::new();
        for (key, value) in [("path", path), ("linkpath", to)] {
            if value.len() > NAME_MAX {
                record(&mut extended, key, value);
            }
        }
        if !extended.is_empty() {
            let block =
                block(b"PaxHeader", b"", (0o644, changed), (extended.len() as u64, EXTENDED));
            self.out.write_all(&block)?;
            self.out.write_all(&extended)?;
            self.pad(extended.len() as u64)?;
        }
        self.out.write_all(&block(path, to, (mode, changed), (len, kind)))
    }
}

/// `LEN key=value`, where LEN counts itself.
fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3; // a blank, `=` and a line feed
    let digits = |n: usize| n.to_string().len();
    let mut len = rest + digits(rest);
    len = rest + digits(len);
    out.extend(format!("{len} {key}=").into_bytes());
    out.extend(value);
    out.push(b'\n');
}

fn block(path: &[u8], to: &[u8], (mode, changed): (u32, u64), (len, kind): (u64, u8)) -> Vec<u8> {
    let mut head = Vec::with_capacity(BLOCK);
    let mut field = |bytes: &[u8], width: usize| {
        let from = head.len();
        head.extend(bytes.iter().take(width));
        head.resize(from + width, 0);
    };
    field(path, NAME_MAX);
    field(format!("{:07o}", mode & 0o7777).as_bytes(), 8);
    field(b"0000000", 8); // owner
    field(b"0000000", 8); // group
    field(format!("{len:011o}").as_bytes(), 12);
    field(format!("{:011o}", changed & 0o77_777_777_777).as_bytes(), 12);
    field(b"        ", 8); // the checksum, which counts as blanks
    field(&[kind], 1);
    field(to, NAME_MAX);
    field(b"ustar\x0000", 8);
    field(b"root", 32);
    field(b"root", 32);
    field(b"", 183);
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (place, byte) in head.iter_mut().skip(148).zip(sum.bytes()) {
        *place = byte;
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_by_tar_whatever_the_names() {
        let entry = |path, mode| Entry { path, mode, changed: 1_700_000_000 };
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(120));
        let mut archive = Archive::new(Vec::new());
        archive.folder(entry(Path::new("sub"), 0o755)).unwrap();
        archive.file(entry(Path::new("sub/a b"), 0o755), 700, &[b'x'; 900][..]).unwrap();
        archive.file(entry(Path::new(&long), 0o600), 4, &b"long"[..]).unwrap();
        archive.link(entry(Path::new("link"), 0o777), Path::new(&long)).unwrap();
        archive.file(entry(Path::new("empty"), 0o644), 0, &b""[..]).unwrap();
        let mut tar = tempfile::NamedTempFile::new().unwrap();
        tar.write_all(&archive.finish().unwrap()).unwrap();
        let run = std::process::Command::new("tar").arg("-tvf").arg(tar.path()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let listing = String::from_utf8(run.stdout).unwrap();
        let brief: Vec<String> = listing
            .lines()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                [&words[..1], &words[2..3], &words[5..]].concat().join(" ")
            })
            .collect();
        let link = format!("lrwxrwxrwx 0 link -> {long}");
        let wanted = [
            "drwxr-xr-x 0 sub/".to_owned(),
            "-rwxr-xr-x 700 sub/a b".to_owned(),
            format!("-rw------- 4 {long}"),
            link,
            "-rw-r--r-- 0 empty".to_owned(),
        ];
        assert_eq!(brief, wanted);
    }

    #[test]
    fn a_file_that_becomes_shorter_is_an_error() {
        let mut archive = Archive::new(Vec::new());
        let entry = Entry { path: Path::new("a"), mode: 0o644, changed: 0 };
        let error = archive.file(entry, 3, &b"ab"[..]).unwrap_err();
        assert_eq!(error.to_string(), "`a` became shorter while it was read");
    }
}
