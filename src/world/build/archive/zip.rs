//! A zip archive (PKWARE's APPNOTE): its directory at the end, files stored or deflated; not encrypted, not of more than 4
//! GiB.

use std::io::{self, Read};

use flate2::CrcReader;
use flate2::read::DeflateDecoder;

use super::{Unpacking, refuse, text};

/// Begins the end of the directory.
const END: &[u8] = b"PK\x05\x06";
/// Begins an entry of the directory.
const ENTRY: &[u8] = b"PK\x01\x02";
/// Begins a file.
const FILE: &[u8] = b"PK\x03\x04";

/// Bytes of what a link leads to: `PATH_MAX` of Linux.
const TARGET_LEN_MAX: u64 = 4096;

/// An entry of the directory.
struct Entry {
    name: String,
    /// As Unix has it; zero where it was made elsewhere.
    mode: u32,
    flags: u16,
    method: u16,
    crc: u32,
    packed: usize,
    size: u64,
    at: usize,
}

impl Unpacking<'_> {
    pub(super) fn zip(&mut self, bytes: &[u8]) -> io::Result<()> {
        for entry in entries(bytes)? {
            self.count(entry.size)?;
            let Entry { name, mode, .. } = &entry;
            if name.ends_with('/') {
                self.folder(name)?;
                continue;
            }
            let mut content = CrcReader::new(content(bytes, &entry)?);
            match mode & 0o170_000 {
                0 | 0o100_000 => {
                    let mode = if *mode == 0 { 0o644 } else { *mode };
                    self.file(name, mode, &mut content)?;
                }
                0o120_000 => {
                    let mut target = Vec::new();
                    (&mut content).take(TARGET_LEN_MAX).read_to_end(&mut target)?;
                    self.symlink(name, &text(&target)?)?;
                }
                _ => return refuse(format!("{name:?} is a device or another odd thing")),
            }
            let read = content.crc();
            if (u64::from(read.amount()), read.sum()) != (entry.size, entry.crc) {
                return refuse(format!("{name:?} is damaged"));
            }
        }
        Ok(())
    }
}

fn cut<T>() -> io::Result<T> {
    refuse("it is cut off, or no zip archive that is read here")
}

/// A number of two bytes.
fn short(bytes: &[u8], at: usize) -> io::Result<u16> {
    match at.checked_add(2).and_then(|end| bytes.get(at..end)) {
        Some(&[low, high]) => Ok(u16::from_le_bytes([low, high])),
        Some(_) | None => cut(),
    }
}

/// A number of four bytes.
fn long(bytes: &[u8], at: usize) -> io::Result<u32> {
    Ok(u32::from(short(bytes, at)?) | u32::from(short(bytes, at.saturating_add(2))?) << 16)
}

fn place(bytes: &[u8], at: usize) -> io::Result<usize> {
    usize::try_from(long(bytes, at)?).or_else(|_| cut())
}

fn entries(bytes: &[u8]) -> io::Result<Vec<Entry>> {
    let Some(end) = bytes.windows(END.len()).rposition(|window| window == END) else {
        return cut();
    };
    short(bytes, end + 20)?; // the length of a comment, which is the last of it
    let count = short(bytes, end + 10)?;
    let mut at = place(bytes, end + 16)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        if bytes.get(at..).is_none_or(|rest| !rest.starts_with(ENTRY)) {
            return cut();
        }
        let lens = [28, 30, 32].map(|field| short(bytes, at + field).map(usize::from));
        let [name_len, extra, comment] = lens;
        let (name_len, extra, comment) = (name_len?, extra?, comment?);
        let name = bytes.get(at + 46..at + 46 + name_len);
        let of_unix = short(bytes, at + 4)? >> 8 == 3;
        entries.push(Entry {
            name: text(name.unwrap_or_default())?,
            mode: if of_unix { long(bytes, at + 38)? >> 16 } else { 0 },
            flags: short(bytes, at + 8)?,
            method: short(bytes, at + 10)?,
            crc: long(bytes, at + 16)?,
            packed: place(bytes, at + 20)?,
            size: long(bytes, at + 24)?.into(),
            at: place(bytes, at + 42)?,
        });
        at += 46 + name_len + extra + comment;
    }
    Ok(entries)
}

/// What a file holds, and not much more than it says.
fn content<'a>(bytes: &'a [u8], entry: &Entry) -> io::Result<Box<dyn Read + 'a>> {
    let at = entry.at;
    if bytes.get(at..).is_none_or(|rest| !rest.starts_with(FILE)) {
        return cut();
    }
    let start = at + 30 + usize::from(short(bytes, at + 26)?) + usize::from(short(bytes, at + 28)?);
    let Some(packed) = start.checked_add(entry.packed).and_then(|end| bytes.get(start..end)) else {
        return cut();
    };
    match entry.method {
        _ if entry.flags & 1 != 0 => refuse(format!("{:?} is encrypted", entry.name)),
        0 => Ok(Box::new(packed.take(entry.size + 1))),
        8 => Ok(Box::new(DeflateDecoder::new(packed).take(entry.size + 1))),
        _ => refuse(format!("{:?} is packed in a way that is not known", entry.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::unpack;

    /// An archive that Python makes.
    fn zip(script: &str) -> Vec<u8> {
        let script = format!(
            "import io, sys, zipfile\nout = io.BytesIO()\nz = zipfile.ZipFile(out, 'w', zipfile.ZIP_DEFLATED)\n\
             def add(name, text, mode=0o100644):\n    i = zipfile.ZipInfo(name)\n    i.external_attr = mode << 16\n    \
             i.compress_type = zipfile.ZIP_DEFLATED\n    z.writestr(i, text)\n{script}\nz.close()\n\
             sys.stdout.buffer.write(out.getvalue())\n"
        );
        let made = std::process::Command::new("python3").args(["-c", &script]).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        made.stdout
    }

    #[test]
    fn b037_a_zip_archive_is_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = zip(
            "add('app/', '')\nadd('app/run', 'run ' * 1000, 0o100755)\nadd('link', 'app/run', 0o120777)",
        );
        unpack(&bytes, dir.path()).unwrap();
        let read = std::fs::read_to_string(dir.path().join("link")).unwrap();
        assert_eq!(read, "run ".repeat(1000));
        for cut in 0..bytes.len() {
            let dir = tempfile::tempdir().unwrap();
            assert!(unpack(&bytes[..cut], dir.path()).is_err(), "{cut}");
        }
    }

    #[test]
    fn b037_a_zip_archive_that_leads_outside_is_refused() {
        for script in [
            "add('../x', '')",
            "add('/tmp/x', '')",
            "add('l', '/etc', 0o120777)",
            "add('l', '..', 0o120777)\nadd('l/x', '')",
            "add('d', '', 0o060644)",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path().join("root");
            std::fs::create_dir(&root).unwrap();
            assert!(unpack(&zip(script), &root).is_err(), "{script}");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }
}
