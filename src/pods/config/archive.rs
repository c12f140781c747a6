//! Files as a tar archive: how a volume of podman is filled.

/// What a path in an archive may have: the name field of its header.
pub(super) const PATH_MAX: usize = 100;

/// A file of a volume.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) content: Vec<u8>,
}

/// Files as an archive (POSIX ustar), byte-stable.
pub(super) fn write(files: &[File]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut folders = std::collections::BTreeSet::new();
    for file in files {
        for (at, _) in file.path.match_indices('/') {
            let folder = file.path.get(..at).unwrap_or_default();
            if folders.insert(folder) {
                header(&mut out, &format!("{folder}/"), 0o755, 0, b'5');
            }
        }
        header(&mut out, &file.path, file.mode, file.content.len(), b'0');
        out.extend(&file.content);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0); // the end
    out
}

fn header(out: &mut Vec<u8>, path: &str, mode: u32, size: usize, kind: u8) {
    let mut head = Vec::with_capacity(512);
    let mut field = |bytes: &[u8], width: usize| {
        let from = head.len();
        head.extend(bytes.iter().take(width));
        head.resize(from + width, 0);
    };
    field(path.as_bytes(), PATH_MAX);
    field(format!("{mode:07o}").as_bytes(), 8);
    field(b"0000000", 8); // owner
    field(b"0000000", 8); // group
    field(format!("{size:011o}").as_bytes(), 12);
    field(b"00000000000", 12); // time
    field(b"        ", 8); // the checksum, which counts as blanks
    field(&[kind], 1);
    field(b"", 100);
    field(b"ustar\x0000", 8);
    field(b"root", 32);
    field(b"root", 32);
    field(b"", 183);
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    for (place, byte) in head.iter_mut().skip(148).zip(sum.bytes()) {
        *place = byte;
    }
    out.extend(head);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_by_tar() {
        let file = |path: &str, mode, content: &[u8]| File {
            path: path.into(),
            mode,
            content: content.to_vec(),
        };
        let files = [file("a", 0o644, b"one\n"), file("sub/b", 0o400, &[b'x'; 700])];
        let mut tar = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut tar, &write(&files)).unwrap();
        let run = std::process::Command::new("tar").arg("-tvf").arg(tar.path()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let listing = String::from_utf8(run.stdout).unwrap();
        let lines: Vec<Vec<&str>> =
            listing.lines().map(|line| line.split_whitespace().collect()).collect();
        let brief: Vec<_> = lines.iter().map(|line| [line[0], line[2], line[5]]).collect();
        let wanted =
            [["-rw-r--r--", "4", "a"], ["drwxr-xr-x", "0", "sub/"], ["-r--------", "700", "sub/b"]];
        assert_eq!(brief, wanted);
    }
}
