//! An archive that somebody hands over, unpacked below a folder. Its maker is not trusted: a name or a link that leads
//! outside, and whatever is no file, folder or link, refuses the whole of it.

mod zip;

use std::fs::Permissions;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, Entry};

use super::inputs::make_below;
use crate::limits::{BUILD_INPUT_BYTES_MAX, BUILD_INPUT_FILES_MAX};

/// Unpacks a tar archive, packed by gzip or not, or a zip archive.
pub(super) fn unpack(bytes: &[u8], root: &Path) -> io::Result<()> {
    let mut unpacking =
        Unpacking { root, files: 0, left: BUILD_INPUT_BYTES_MAX, links: Vec::new() };
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

struct Unpacking<'a> {
    root: &'a Path,
    files: u64,
    left: u64,
    /// Links that were made: what they lead to may come behind them.
    links: Vec<PathBuf>,
}

impl Unpacking<'_> {
    fn tar(&mut self, bytes: impl Read) -> io::Result<()> {
        let mut archive = Archive::new(bytes);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let kind = entry.header().entry_type();
            let mode = entry.header().mode().unwrap_or(0o644);
            let name = text(&entry.path_bytes())?;
            self.count(entry.size())?;
            if kind.is_dir() || kind.is_file() && name.ends_with('/') {
                self.folder(&name)?;
            } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                self.file(&name, mode, &mut entry)?;
            } else if kind.is_symlink() {
                self.symlink(&name, &target(&entry)?)?;
            } else if kind.is_hard_link() {
                self.hard_link(&name, &target(&entry)?)?;
            } else if !kind.is_pax_global_extensions() {
                return refuse(format!("{name:?} is a device or another odd thing ({kind:?})"));
            }
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

    fn file(&mut self, name: &str, mode: u32, content: &mut impl Read) -> io::Result<()> {
        let path = self.place(name)?;
        let mut file = std::fs::File::options().write(true).create_new(true).open(path)?;
        io::copy(&mut content.take(self.left.saturating_add(1)), &mut file)?;
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
    fn an_archive_of_all_to_much_is_refused() {
        let mut bomb = header(Regular, b"big", b"", 0);
        bomb.set_size(BUILD_INPUT_BYTES_MAX + 1);
        bomb.set_cksum();
        let error = unpacked(bomb.as_bytes()).1.unwrap_err();
        assert!(error.to_string().contains("too much"), "{error}");
    }
}
