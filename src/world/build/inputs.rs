//! The files of a build beside its repository: where they are put, and that nothing of it leads outside (rules B36, B37).

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use crate::builds::Item;
use crate::pods::Contents;

/// A folder below the sources, as it is after all links.
///
/// # Errors
/// None where it is missing or outside.
pub(super) fn inside(root: &Path, below: &str) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    let folder = root.join(below.trim_start_matches('/')).canonicalize().ok()?;
    folder.starts_with(&root).then_some(folder)
}

/// Makes a folder below another one. No link is followed: whoever made it leads elsewhere.
pub(super) fn make_below(root: &Path, below: &str) -> io::Result<PathBuf> {
    let mut folder = root.to_owned();
    for part in Path::new(below).components() {
        match part {
            Component::Normal(name) => folder.push(name),
            Component::CurDir => continue,
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                return Err(io::Error::other(format!("`{below}` leads outside of the sources")));
            }
        }
        match std::fs::symlink_metadata(&folder) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                let shown = folder.strip_prefix(root).unwrap_or(&folder).display();
                return Err(io::Error::other(format!("`{shown}` is there and is no folder")));
            }
            Err(_) => std::fs::create_dir(&folder)?,
        }
    }
    Ok(folder)
}

/// Writes a file into a folder; what is there under its name is replaced.
pub(super) fn put_file(folder: &Path, name: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let is_name = !name.is_empty() && ![".", ".."].contains(&name) && !name.contains(['/', '\0']);
    if !is_name {
        return Err(io::Error::other(format!("{name:?} cannot be the name of a file")));
    }
    let mut file =
        tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    // Without the umask: what a build is made of is the same whoever starts the daemon.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.persist(folder.join(name))?;
    Ok(())
}

/// Writes the keys of a `Secret` or a `ConfigMap` as files.
pub(super) fn put_keys(folder: &Path, contents: &Contents, mode: u32) -> io::Result<()> {
    contents.iter().try_for_each(|(key, value)| put_file(folder, key, value, mode))
}

/// Writes those of a volume, or some of them.
pub(super) fn put_items(folder: &Path, contents: &Contents, items: &[Item]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    if items.is_empty() {
        return put_keys(folder, contents, 0o644);
    }
    for Item { key, path } in items {
        let value = contents
            .get(key)
            .ok_or_else(|| io::Error::other(format!("a volume needs the key `{key}`")))?;
        let (below, name) = path.rsplit_once('/').unwrap_or(("", path));
        put_file(&make_below(folder, below)?, name, value, 0o644)?;
    }
    Ok(())
}

/// Moves what is in a folder into another, over what is there.
pub(super) fn merge(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let there = std::fs::symlink_metadata(&target).ok();
        let is_dir = entry.file_type()?.is_dir();
        match there {
            Some(there) if there.is_dir() && is_dir => merge(&entry.path(), &target)?,
            Some(there) if there.is_dir() => {
                return Err(io::Error::other(format!("`{}` is a folder", target.display())));
            }
            Some(_) if is_dir => {
                return Err(io::Error::other(format!("`{}` is no folder", target.display())));
            }
            Some(_) | None => std::fs::rename(entry.path(), &target)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b036_no_folder_below_the_sources_leads_outside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("source");
        std::fs::create_dir_all(root.join("app/deep")).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
        std::os::unix::fs::symlink("app", root.join("own")).unwrap();
        assert!(inside(&root, "app/deep").is_some() && inside(&root, "own/deep").is_some());
        assert!(inside(&root, "").is_some() && inside(&root, "/app").is_some());
        for outside in ["link", "link/ssl", "..", "app/../..", "missing"] {
            assert!(inside(&root, outside).is_none(), "{outside}");
        }
        assert!(make_below(&root, "app/new/folder").unwrap().is_dir());
        for outside in ["link", "link/x", "../x", "/x"] {
            assert!(make_below(&root, outside).is_err(), "{outside}");
        }
        for odd in ["", "..", "a/b"] {
            assert!(put_file(&root, odd, b"", 0o644).is_err(), "{odd}");
        }
    }

    #[test]
    fn what_is_laid_over_replaces_files_and_joins_folders() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        for (folder, text) in [(&from, "new"), (&to, "old")] {
            std::fs::create_dir_all(folder.join("sub")).unwrap();
            put_file(&folder.join("sub"), "file", text.as_bytes(), 0o644).unwrap();
        }
        put_file(&to.join("sub"), "stays", b"", 0o644).unwrap();
        merge(&from, &to).unwrap();
        assert_eq!(std::fs::read_to_string(to.join("sub/file")).unwrap(), "new");
        assert!(to.join("sub/stays").exists());
    }
}
