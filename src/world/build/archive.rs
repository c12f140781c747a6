//! An archive that somebody hands over, unpacked below a folder. Its maker is not trusted: a name or a link that leads
//! outside, and whatever is no file, folder or link, refuses the whole of it.

mod zip;

use std::cell::Cell;
use std::fs::Permissions;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry};

use super::inputs::make_below;
use crate::limits::{BUILD_INPUT_BYTES_MAX, BUILD_INPUT_FILES_MAX, BUILD_INPUT_HEADER_BYTES_MAX};

/// Unpacks a tar archive, packed by gzip or not, or a zip archive.
pub(super) fn unpack(bytes: &[u8], root: &Path) -> io::Result<()> {
    unpack_within(bytes, root, BUILD_INPUT_BYTES_MAX)
}

/// The same, of an archive that holds no more than this.
fn unpack_within(bytes: &[u8], root: &Path, left: u64) -> io::Result<()> {
    let mut unpacking = Unpacking { root, files: 0, left, links: Vec::new() };
    match bytes {
        [0x1f, 0x8b, ..] => unpacking.tar(MultiGzDecoder::new(bytes))?,
        [b'P', b'K', 3 | 5, 4 | 6, ..] => unpacking.zip(bytes)?,
        bytes if bytes.get(257..262) == Some(b"ustar") || is_old_tar(bytes) => {
            unpacking.tar(bytes)?;
        }
        _ => {
            return refuse(
                "it is no tar, tar.gz or zip archive; `--from-file` hands over a single file",
            );
        }
    }
    unpacking.check_links()
}

/// Whether it may be a tar archive of old: its first header has a good checksum.
fn is_old_tar(bytes: &[u8]) -> bool {
    let Some(header) = bytes.get(..512) else { return false };
    let stated = header.get(148..156).map(|field| String::from_utf8_lossy(field).into_owned());
    let stated = stated.unwrap_or_default();
    let stated = u32::from_str_radix(stated.trim_matches(['\0', ' ']), 8).ok();
    let sum = (0_usize..).zip(header).map(|(at, byte)| match at {
        148..156 => u32::from(b' '),
        _ => u32::from(*byte),
    });
    // Two blocks of zeros are an archive without anything in it.
    stated == Some(sum.sum()) || bytes.iter().take(1024).all(|byte| *byte == 0)
}

fn refuse<T>(why: impl std::fmt::Display) -> io::Result<T> {
    Err(io::Error::other(format!("the archive is refused: {why}")))
}

/// A reader that gives no more than there is room for.
struct Metered<'a, R> {
    reader: R,
    room: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let room = self.room.get();
        if room == 0 {
            return refuse(format!(
                "what it says of one entry is longer than {BUILD_INPUT_HEADER_BYTES_MAX} bytes"
            ));
        }
        let len = usize::try_from(room).unwrap_or(usize::MAX).min(into.len());
        let read = self.reader.read(into.get_mut(..len).unwrap_or_default())?;
        self.room.set(room - read as u64);
        Ok(read)
    }
}

struct Unpacking<'a> {
    root: &'a Path,
    files: u64,
    left: u64,
    /// Links that were made: what they lead to may come behind them.
    links: Vec<PathBuf>,
}

impl Unpacking<'_> {
    fn tar(&mut self, bytes: impl Read) -> io::Result<()> {
        let room = Cell::new(0);
        let mut archive = Archive::new(Metered { reader: bytes, room: &room });
        let mut entries = archive.entries()?;
        loop {
            // Names and attributes of an entry stand before it in entries of their own, which are read into memory.
            room.set(BUILD_INPUT_HEADER_BYTES_MAX);
            let Some(entry) = entries.next() else { return Ok(()) };
            let mut entry = entry?;
            self.count(entry.size())?;
            room.set(u64::MAX);
            self.tar_entry(&mut entry)?;
            io::copy(&mut entry, &mut io::sink())?;
        }
    }

    fn tar_entry(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        let mode = entry.header().mode().unwrap_or(0o644);
        let name = text(&entry.path_bytes())?;
        if kind.is_dir() || kind.is_file() && name.ends_with('/') {
            self.folder(&name)?;
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            self.file(&name, mode, entry)?;
        } else if kind.is_symlink() {
            self.symlink(&name, &target(entry)?)?;
        } else if kind.is_hard_link() {
            self.hard_link(&name, &target(entry)?)?;
        } else if !kind.is_pax_global_extensions() {
            return refuse(format!("{name:?} is a device or another odd thing ({kind:?})"));
        }
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> io::Result<()> {
        self.files += 1;
        let left = self.left.checked_sub(bytes);
        match left.filter(|_| self.files <= BUILD_INPUT_FILES_MAX) {
            Some(left) => self.left = left,
            None => return refuse("it holds too much"),
        }
        Ok(())
    }

    /// The parts of a name; none of them leads up, or to the root.
    fn parts(name: &str) -> io::Result<Vec<&str>> {
        let mut parts = Vec::new();
        for part in Path::new(name).components() {
            match part {
                Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
                Component::CurDir => {}
                Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                    return refuse(format!("the name {name:?} leads outside"));
                }
            }
        }
        Ok(parts)
    }

    fn folder(&self, name: &str) -> io::Result<PathBuf> {
        make_below(self.root, &Self::parts(name)?.join("/"))
    }

    /// Where something of this name is made: a folder that no link leads to, and nothing there before.
    fn place(&self, name: &str) -> io::Result<PathBuf> {
        let parts = Self::parts(name)?;
        let Some((last, above)) = parts.split_last() else {
            return refuse(format!("{name:?} is no name of a file"));
        };
        let path = make_below(self.root, &above.join("/"))?.join(last);
        match std::fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() => refuse(format!("{name:?} is a folder and a file")),
            Ok(_) => std::fs::remove_file(&path).map(|()| path),
            Err(_) => Ok(path),
        }
    }

    /// Writes a file, whose bytes were counted.
    fn file(&mut self, name: &str, mode: u32, content: &mut impl Read) -> io::Result<()> {
        let path = self.place(name)?;
        let mut file = std::fs::File::options().write(true).create_new(true).open(path)?;
        io::copy(content, &mut file)?;
        file.set_permissions(Permissions::from_mode(mode & 0o777))
    }

    fn symlink(&mut self, name: &str, target: &str) -> io::Result<()> {
        let parts = Self::parts(name)?;
        // By its words alone; where they lead by other links is looked at in the end.
        let mut depth = parts.len().saturating_sub(1);
        for part in Path::new(target).components() {
            match part {
                Component::Normal(_) => depth += 1,
                Component::CurDir => {}
                Component::ParentDir if depth > 0 => depth -= 1,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return refuse(format!("the link {name:?} leads outside, to {target:?}"));
                }
            }
        }
        let path = self.place(name)?;
        std::os::unix::fs::symlink(target, &path)?;
        self.links.push(path);
        Ok(())
    }

    fn hard_link(&self, name: &str, target: &str) -> io::Result<()> {
        let parts = Self::parts(target)?;
        let mut from = self.root.to_owned();
        for part in parts {
            from.push(part);
            let is_link = std::fs::symlink_metadata(&from).is_ok_and(|meta| meta.is_symlink());
            if is_link {
                return refuse(format!("the link {name:?} leads to a link, {target:?}"));
            }
        }
        if !from.is_file() {
            return refuse(format!("the link {name:?} leads to no file of it, {target:?}"));
        }
        // A copy: what is made of the one does not show in the other.
        std::fs::copy(from, self.place(name)?).map(drop)
    }

    fn check_links(&self) -> io::Result<()> {
        let root = self.root.canonicalize()?;
        for link in &self.links {
            // One that leads nowhere was looked at by its words.
            if let Ok(to) = link.canonicalize()
                && !to.starts_with(&root)
            {
                let name = link.strip_prefix(self.root).unwrap_or(link).display();
                return refuse(format!("the link `{name}` leads outside"));
            }
        }
        Ok(())
    }
}

fn text(bytes: &[u8]) -> io::Result<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        Ok(_) | Err(_) => refuse("a name in it is not UTF-8"),
    }
}

/// What a link leads to.
fn target<R: Read>(entry: &Entry<'_, R>) -> io::Result<String> {
    let bytes = entry.link_name_bytes();
    let bytes = bytes.ok_or_else(|| io::Error::other("a link in the archive leads to nothing"))?;
    text(&bytes)
}

#[cfg(test)]
mod tests {
    use tar::EntryType;

    use super::*;

    fn header(kind: EntryType, name: &[u8], target: &[u8], size: usize) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size as u64);
        header.set_mode(0o755);
        for (field, bytes) in [(0, name), (157, target)] {
            for (place, byte) in header.as_mut_bytes().iter_mut().skip(field).zip(bytes) {
                *place = *byte;
            }
        }
        header.set_cksum();
        header
    }

    fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (kind, name, text) in entries {
            let is_file = matches!(kind, EntryType::Regular);
            let content = if is_file { text.as_bytes() } else { b"" };
            let target = if is_file { b"" } else { text.as_bytes() };
            let header = header(*kind, name.as_bytes(), target, content.len());
            archive.append(&header, content).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, io::Result<()>) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("deep/root");
        std::fs::create_dir_all(&root).unwrap();
        let done = unpack(bytes, &root);
        (dir, done)
    }

    use EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};

    #[test]
    fn b037_an_archive_is_unpacked_with_its_folders_modes_and_links() {
        let entries = [
            (Directory, "./app/", ""),
            (Regular, "./app/run", "run it"),
            (Symlink, "app/start", "run"),
            (Symlink, "top", "app/../app"),
            (Link, "again", "app/run"),
            (Regular, "app/run", "run it anew"),
        ];
        let plain = archive(&entries);
        let mut packed = flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast());
        let mut gz = Vec::new();
        packed.read_to_end(&mut gz).unwrap();
        for bytes in [plain, gz] {
            let (dir, done) = unpacked(&bytes);
            done.unwrap();
            let root = dir.path().join("deep/root");
            assert_eq!(std::fs::read_to_string(root.join("top/start")).unwrap(), "run it anew");
            assert_eq!(std::fs::read_to_string(root.join("again")).unwrap(), "run it");
            let mode = root.join("app/run").metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o755);
        }
    }

    #[test]
    fn b037_an_archive_that_leads_outside_is_refused_and_nothing_is_written_there() {
        let cases: [&[(EntryType, &str, &str)]; 12] = [
            &[(Regular, "../x", "")],
            &[(Regular, "a/../../x", "")],
            &[(Regular, "/tmp/x", "")],
            &[(Symlink, "l", "/etc")],
            &[(Symlink, "l", "../../x")],
            &[(Symlink, "l", ".."), (Regular, "l/x", "")],
            &[(Symlink, "l", "sub"), (Regular, "l/x", "")],
            &[(Directory, "a/b/", ""), (Symlink, "a/b/up", "../.."), (Symlink, "e", "a/b/up/..")],
            &[(Link, "l", "../../../../etc/passwd")],
            &[(Block, "d", "")],
            &[(Char, "d", "")],
            &[(Fifo, "d", "")],
        ];
        for entries in cases {
            let (dir, done) = unpacked(&archive(entries));
            assert!(done.is_err(), "{entries:?}");
            let mut outside = std::fs::read_dir(dir.path().join("deep")).unwrap();
            assert_eq!(outside.next().unwrap().unwrap().file_name(), "root");
            assert!(outside.next().is_none() && !dir.path().join("x").exists(), "{entries:?}");
        }
        assert!(unpacked(b"no archive").1.is_err() && unpacked(&[0x1f, 0x8b, 0]).1.is_err());
    }

    #[test]
    fn a_file_may_take_all_the_room_that_there_is() {
        let text = "x".repeat(900);
        let bytes = archive(&[(Regular, "big", &text), (Regular, "small", "y")]);
        let dir = tempfile::tempdir().unwrap();
        unpack_within(&bytes, dir.path(), 901).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("big")).unwrap(), text);
        let error = unpack_within(&bytes, dir.path(), 900).unwrap_err();
        assert!(error.to_string().contains("too much"), "{error}");
    }

    #[test]
    fn names_longer_than_memory_are_refused_and_long_ones_are_not() {
        let long = "x".repeat(200);
        let mut good = tar::Builder::new(Vec::new());
        let mut header = header(Regular, b"", b"", 1);
        good.append_data(&mut header, format!("{long}/{long}"), &b"y"[..]).unwrap();
        let (dir, done) = unpacked(&good.into_inner().unwrap());
        done.unwrap();
        assert!(dir.path().join("deep/root").join(&long).join(&long).is_file());
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
            let bomb = self::header(kind, b"././@LongLink", b"", 1 << 30);
            let bytes = [&bomb.as_bytes()[..], &vec![b'x'; 4 << 20]].concat();
            let error = unpacked(&bytes).1.unwrap_err();
            assert!(error.to_string().contains("longer than 1048576 bytes"), "{error}");
        }
    }

    #[test]
    fn an_archive_of_all_to_much_is_refused() {
        let mut bomb = header(Regular, b"big", b"", 0);
        bomb.set_size(BUILD_INPUT_BYTES_MAX + 1);
        bomb.set_cksum();
        let error = unpacked(bomb.as_bytes()).1.unwrap_err();
        assert!(error.to_string().contains("too much"), "{error}");
    }
}
