//! Files as they were read, kept for a faster start.
//!
//! Reading 10,000 manifests again takes longer than a start should. What was read is kept beside the journal, named for
//! nothing and owned by nobody: a cache that is missing, damaged, of another commit, of other settings or of another
//! version of the program is not used, and the files are read from the mirror.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::desired::{SpecTags, Tree};
use crate::names::{CommitId, ContentHash, StreamName};
use crate::policy::Policy;
use crate::world::git::SourceConfig;

/// What stands before the rest: what the rest is, and how it can be told that it is whole.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    /// The commit whose files these are.
    commit: CommitId,
    /// What decided how they were read: the program and its settings.
    reader: ContentHash,
    /// Hash of the rest of the file: a damaged cache must not become the desired state.
    content: ContentHash,
}

/// Which streams come with their tags; of the others there is all but that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TagsOf {
    /// All of them.
    All,
    /// These.
    Streams(BTreeSet<StreamName>),
}

/// What stands before the parts of a tree: where each of them ends.
#[derive(Debug, Serialize, Deserialize)]
struct Parts {
    /// The tree without the tags of its streams.
    rest: usize,
    /// The tags of each stream, in the order of the tree.
    tags: Vec<usize>,
}

impl Parts {
    fn write(tree: &Tree) -> postcard::Result<Vec<u8>> {
        let (rest, tags) = tree.apart();
        let mut bytes = postcard::to_stdvec(&rest)?;
        let mut parts = Self { rest: bytes.len(), tags: Vec::with_capacity(tags.len()) };
        for tags in tags {
            bytes = postcard::to_extend(tags, bytes)?;
            parts.tags.push(bytes.len());
        }
        Ok([postcard::to_stdvec(&parts)?, bytes].concat())
    }

    fn read(bytes: &[u8], of: &TagsOf) -> Option<Tree> {
        let (parts, bytes) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        let tree: Tree = postcard::from_bytes(bytes.get(..parts.rest)?).ok()?;
        let (mut ends, mut begin) = (parts.tags.into_iter(), parts.rest);
        tree.joined(|stream| {
            let end = ends.next()?;
            let tags = bytes.get(std::mem::replace(&mut begin, end)..end)?;
            let is_read = match of {
                TagsOf::All => true,
                TagsOf::Streams(of) => of.contains(stream),
            };
            if is_read { postcard::from_bytes(tags).ok() } else { Some(SpecTags::new()) }
        })
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("cache").join("tree")
}

/// What decides how files are read.
pub(super) fn reader(policy: &Policy, source: &SourceConfig) -> ContentHash {
    let text = format!(
        "{} {:?} {:?} {:?} {:?} {:?} {} {} {:?} {:?} {:?} {:?}",
        program(),
        policy.default_namespace,
        policy.namespaces,
        policy.parameters,
        policy.platform,
        policy.import_mode,
        policy.strict_openshift,
        policy.custom_strategies,
        policy.allowed_registries,
        policy.hosts,
        source.paths,
        source.ignore_file,
    );
    ContentHash::of(text.as_bytes())
}

/// Tells this program from another one of the same version: a build from a working tree may read differently.
pub(super) fn program() -> String {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let file = file.map(|file| (file.len(), file.modified().ok()));
    format!("{} {file:?}", env!("CARGO_PKG_VERSION"))
}

/// Begins to read what a daemon with these settings keeps of the adopted commit, beside other work.
pub(crate) fn begin(config: &Config, of: TagsOf) -> JoinHandle<Option<(CommitId, Tree)>> {
    let state_dir = config.state_dir.clone();
    let reader = reader(&config.policy, &config.source.source());
    std::thread::spawn(move || read(&state_dir, reader, &of))
}

/// Reads the files that are kept, and of which commit they are.
pub(super) fn read(state_dir: &Path, reader: ContentHash, of: &TagsOf) -> Option<(CommitId, Tree)> {
    let bytes = std::fs::read(path(state_dir)).ok()?;
    let (header, rest) = postcard::take_from_bytes::<Header>(&bytes).ok()?;
    if header.reader != reader {
        return None;
    }
    if header.content != ContentHash::of(rest) {
        tracing::warn!(path = %path(state_dir).display(), "the cache of manifests is damaged; they are read again");
        return None;
    }
    Some((header.commit, Parts::read(rest, of)?))
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
    let content = Parts::write(tree).map_err(std::io::Error::other)?;
    put(path, &Header { commit, reader, content: ContentHash::of(&content) }, &content)
}

/// Puts a file with a header in its place.
pub(super) fn put(path: &Path, header: &impl Serialize, content: &[u8]) -> std::io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent)?;
    let header = postcard::to_stdvec(header).map_err(std::io::Error::other)?;
    let mut file = tempfile::NamedTempFile::new_in(parent)?;
    file.write_all(&header)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}
