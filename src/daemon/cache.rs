//! Files as they were read, kept for a faster start.
//!
//! Reading 10,000 manifests again takes longer than a start should. What was read is kept beside the journal, named for
//! nothing and owned by nobody: a cache that is missing, damaged, of another commit, of other settings or of another
//! version of the program is not used, and the files are read from the mirror.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::desired::Tree;
use crate::names::{CommitId, ContentHash};
use crate::policy::Policy;
use crate::world::git::SourceConfig;

/// The first line of the file.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    /// The commit whose files these are.
    commit: CommitId,
    /// What decided how they were read: version of the program and settings.
    reader: ContentHash,
    /// Hash of the rest of the file: a damaged cache must not become the desired state.
    content: ContentHash,
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("cache").join("tree.json")
}

/// What decides how files are read.
pub(super) fn reader(policy: &Policy, source: &SourceConfig) -> ContentHash {
    let text = format!(
        "{} {:?} {:?} {:?} {:?} {:?} {} {:?} {:?}",
        env!("CARGO_PKG_VERSION"),
        policy.default_namespace,
        policy.namespaces,
        policy.parameters,
        policy.platform,
        policy.import_mode,
        policy.strict_openshift,
        source.paths,
        source.ignore_file,
    );
    ContentHash::of(text.as_bytes())
}

/// Reads the files of `commit`, if exactly they are kept.
pub(super) fn read(state_dir: &Path, commit: CommitId, reader: ContentHash) -> Option<Tree> {
    let bytes = std::fs::read(path(state_dir)).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (first, rest) = bytes.split_at(end);
    let rest = rest.get(1..)?;
    let header: Header = serde_json::from_slice(first).ok()?;
    if header.commit != commit || header.reader != reader {
        return None;
    }
    if header.content != ContentHash::of(rest) {
        tracing::warn!(path = %path(state_dir).display(), "the cache of manifests is damaged; they are read again");
        return None;
    }
    serde_json::from_slice(rest).ok()
}

/// Keeps the files of `commit`. A failure costs time at the next start and nothing else.
pub(super) fn write(state_dir: &Path, commit: CommitId, reader: ContentHash, tree: &Tree) {
    let path = path(state_dir);
    if let Err(error) = try_write(&path, commit, reader, tree) {
        tracing::debug!(path = %path.display(), %error, "cannot keep the manifests for the next start");
    }
}

fn try_write(
    path: &Path,
    commit: CommitId,
    reader: ContentHash,
    tree: &Tree,
) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    let content = serde_json::to_vec(tree)?;
    let header = Header { commit, reader, content: ContentHash::of(&content) };
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    serde_json::to_writer(&mut file, &header)?;
    file.write_all(b"\n")?;
    file.write_all(&content)?;
    file.persist(path)?;
    Ok(())
}
