//! What is handed over for a build: a folder, a file, an archive, a commit of a repository.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use regex::Regex;

use crate::cli::Context;
use crate::limits::UPLOAD_BYTES_MAX;
use crate::world::git;
use crate::world::tar::{Archive, Entry};

/// What `oc` leaves out of a folder.
const EXCLUDED: &str = r"(^|/)\.git(/|$)";

/// Flags about what is handed over.
#[derive(Debug, clap::Args)]
pub(super) struct InputArguments {
    /// Build from the files of this folder; `-` is an archive on standard input
    #[arg(long, value_name = "FOLDER")]
    from_dir: Option<PathBuf>,
    /// Build from this one file
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
    /// Build from the files in this archive (tar, tar.gz, zip)
    #[arg(long, value_name = "FILE")]
    from_archive: Option<PathBuf>,
    /// Build from a commit of this git repository: --commit, or HEAD
    #[arg(long, value_name = "FOLDER")]
    from_repo: Option<PathBuf>,
    /// The commit, branch or tag of the source
    #[arg(long, value_name = "REVISION")]
    pub(super) commit: Option<String>,
    /// Files that --from-dir leaves out, as a regular expression [default: the `.git` folder]
    #[arg(long, value_name = "REGEX")]
    exclude: Option<String>,
}

/// What is to be handed over.
pub(super) struct Input<'a> {
    from: From<'a>,
    exclude: Regex,
    commit: Option<&'a str>,
}

enum From<'a> {
    Folder(&'a Path),
    File(&'a Path),
    Archive(&'a Path),
    Standard,
    Repository(&'a Path),
}

/// It as one file.
pub(super) struct Packed {
    pub(super) file: File,
    pub(super) bytes: u64,
    /// The name that it is stored under; none for an archive.
    pub(super) as_file: Option<String>,
    /// The commit that it is of, where that is known.
    pub(super) commit: Option<String>,
}

impl InputArguments {
    /// What is to be handed over; none where nothing is.
    pub(super) fn read(&self) -> anyhow::Result<Option<Input<'_>>> {
        let Self { from_dir, from_file, from_archive, from_repo, .. } = self;
        let given = [from_dir, from_file, from_archive, from_repo];
        if given.into_iter().flatten().count() > 1 {
            bail!(
                "only one of --from-file, --from-repo, --from-archive or --from-dir may be specified"
            );
        }
        if self.exclude.is_some() && from_dir.is_none() {
            bail!("the --exclude flag is only supported with --from-dir");
        }
        let from = if let Some(path) = from_dir.as_ref().or(from_archive.as_ref()) {
            match path {
                path if path.as_os_str() == "-" => From::Standard,
                path if path.is_dir() => From::Folder(path),
                path => From::Archive(path),
            }
        } else if let Some(path) = from_file {
            ensure!(path.as_os_str() != "-", "--from-file=- is not supported");
            From::File(path)
        } else if let Some(path) = from_repo {
            From::Repository(path)
        } else {
            return Ok(None);
        };
        let exclude = self.exclude.as_deref().unwrap_or(EXCLUDED);
        // Nothing excludes nothing; as a pattern it would fit everything.
        let exclude = Regex::new(if exclude.is_empty() { r"[^\s\S]" } else { exclude });
        let exclude = exclude.context("the pattern of --exclude is none")?;
        Ok(Some(Input { from, exclude, commit: self.commit.as_deref() }))
    }
}

/// `path` as `oc` shows it.
fn shown(path: &Path) -> String {
    let clean: PathBuf = path.components().collect();
    format!("{:?}", if clean.as_os_str().is_empty() { Path::new(".") } else { &clean })
}

impl Input<'_> {
    /// Says what is handed over, and puts it into one file.
    pub(super) fn pack(&self, context: &mut Context<'_>) -> anyhow::Result<Packed> {
        let say = |context: &mut Context<'_>, what: &str| {
            writeln!(context.err, "Uploading {what} as binary input for the build ...")
        };
        match self.from {
            From::Folder(path) => {
                say(context, &format!("directory {}", shown(path)))?;
                self.pack_folder(path)
            }
            From::Repository(path) => {
                let commit = self.commit.unwrap_or("HEAD");
                say(context, &format!("{} at commit {commit:?}", shown(path)))?;
                pack_commit(path, commit, context)
            }
            From::File(path) => {
                say(context, &format!("file {}", shown(path)))?;
                let name = path.file_name().and_then(|name| name.to_str());
                let name = name.with_context(|| format!("{} has no name", shown(path)))?;
                let packed = opened(path)?;
                Ok(Packed { as_file: Some(name.to_owned()), ..packed })
            }
            From::Archive(path) => {
                say(context, &format!("archive file {}", shown(path)))?;
                checked(opened(path)?, context)
            }
            From::Standard => {
                say(context, "archive file from STDIN")?;
                let mut file = tempfile::tempfile().context("cannot make a temporary file")?;
                let mut input = std::io::stdin().lock().take(UPLOAD_BYTES_MAX + 1);
                std::io::copy(&mut input, &mut file).context("cannot read standard input")?;
                checked(rewound(file)?, context)
            }
        }
    }

    fn pack_folder(&self, root: &Path) -> anyhow::Result<Packed> {
        let commit = self.commit.unwrap_or("HEAD");
        let file = tempfile::tempfile().context("cannot make a temporary file")?;
        let mut archive = Archive::new(BufWriter::new(file));
        self.add(root, Path::new(""), &mut archive)?;
        let file = archive.finish().context("cannot write the archive")?;
        let file = file.into_inner().context("cannot write the archive")?;
        // A folder need not be a repository.
        let commit = git::revision_of(root, commit).ok().map(|revision| revision.commit);
        Ok(Packed { commit, ..rewound(file)? })
    }

    /// Adds what is in a folder, in the order of the names.
    fn add(
        &self,
        root: &Path,
        below: &Path,
        archive: &mut Archive<BufWriter<File>>,
    ) -> anyhow::Result<()> {
        let folder = root.join(below);
        let reading = || format!("cannot read `{}`", folder.display());
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).with_context(reading)? {
            names.push(entry.with_context(reading)?.file_name());
        }
        names.sort();
        for name in names {
            let path = below.join(&name);
            if self.exclude.is_match(&path.to_string_lossy()) {
                continue;
            }
            let whole = root.join(&path);
            let reading = || format!("cannot read `{}`", whole.display());
            let look = std::fs::symlink_metadata(&whole).with_context(reading)?;
            let changed = u64::try_from(look.mtime()).unwrap_or(0);
            let entry = Entry { path: &path, mode: look.permissions().mode(), changed };
            if look.is_dir() {
                archive.folder(entry).with_context(reading)?;
                self.add(root, &path, archive)?;
            } else if look.is_symlink() {
                let to = std::fs::read_link(&whole).with_context(reading)?;
                archive.link(entry, &to).with_context(reading)?;
            } else if look.is_file() {
                let file = File::open(&whole).with_context(reading)?;
                archive.file(entry, look.len(), file).with_context(reading)?;
            } // sockets, pipes and devices are nothing to build from
        }
        Ok(())
    }
}

fn pack_commit(path: &Path, commit: &str, context: &mut Context<'_>) -> anyhow::Result<Packed> {
    let file = tempfile::tempfile().context("cannot make a temporary file")?;
    let mut archive = Archive::new(BufWriter::new(file));
    let exported = git::export(path, commit, &mut archive)?;
    if let Some(root) = &exported.root {
        writeln!(context.err, "WARNING: Using root dir {root} for Git repository")?;
    }
    for submodule in &exported.submodules {
        writeln!(context.err, "WARNING: submodule {submodule} is not uploaded; use --from-dir")?;
    }
    let file = archive.finish().context("cannot write the archive")?;
    let file = file.into_inner().context("cannot write the archive")?;
    Ok(Packed { commit: Some(exported.revision.commit), ..rewound(file)? })
}

fn opened(path: &Path) -> anyhow::Result<Packed> {
    let reading = || format!("cannot read `{}`", path.display());
    rewound(File::open(path).with_context(reading)?).with_context(reading)
}

fn rewound(mut file: File) -> anyhow::Result<Packed> {
    file.seek(SeekFrom::Start(0))?;
    let bytes = file.metadata()?.len();
    ensure!(
        bytes <= UPLOAD_BYTES_MAX,
        "it has {bytes} bytes, and {UPLOAD_BYTES_MAX} are taken at most"
    );
    Ok(Packed { file, bytes, as_file: None, commit: None })
}

/// Says if something does not look like an archive.
fn checked(mut packed: Packed, context: &mut Context<'_>) -> anyhow::Result<Packed> {
    let mut head = Vec::new();
    (&mut packed.file).take(512).read_to_end(&mut head)?;
    packed.file.seek(SeekFrom::Start(0))?;
    if !is_archive(&head) {
        writeln!(
            context.err,
            "WARNING: the provided file may not be an archive (tar, tar.gz, or zip), use --from-file to prevent extraction"
        )?;
    }
    Ok(packed)
}

fn is_archive(head: &[u8]) -> bool {
    let starts = |magic: &[u8]| head.starts_with(magic);
    head.get(257..262) == Some(b"ustar")
        || starts(b"PK\x03\x04")
        || starts(&[0x1f, 0x9d])
        || starts(&[0x1f, 0xa0])
        || starts(b"BZ")
        || starts(&[0x1f, 0x8b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c015_an_archive_is_known_by_its_beginning() {
        let mut tar = vec![0; 512];
        tar.splice(257..262, *b"ustar");
        for archive in [&tar[..], b"PK\x03\x04rest", &[0x1f, 0x8b, 8], b"BZh9"] {
            assert!(is_archive(archive), "{archive:?}");
        }
        for other in [&b""[..], b"FROM scratch", &[0; 512]] {
            assert!(!is_archive(other), "{other:?}");
        }
    }

    #[test]
    fn c015_the_git_folder_is_left_out_and_nothing_like_it() {
        let exclude = Regex::new(EXCLUDED).unwrap();
        for path in [".git", ".git/config", "sub/.git/HEAD"] {
            assert!(exclude.is_match(path), "{path}");
        }
        for path in [".gitignore", "a.git", ".github/x", "app/git"] {
            assert!(!exclude.is_match(path), "{path}");
        }
    }
}
