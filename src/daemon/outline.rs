//! What the rows of all streams show, kept beside the newest snapshot for a faster `get is`.
//!
//! As with the manifests that are kept, an outline that is missing, damaged, of another snapshot or of another version of
//! the program is not used: then the snapshot itself is read. Only the daemon writes it, when it begins and behind each
//! snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::cache;
use crate::journal::{self, Sealed};
use crate::names::{ContentHash, StreamName};
use crate::observed::{Narrow, ObservedState, Outline, StreamState, Text};

/// A header is shorter, in bytes.
const HEADER_MAX: u64 = 256;

/// What stands before the rest: what the rest is, and how it can be told that it is whole.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    /// The hash that the snapshot states.
    snapshot: String,
    /// The program that wrote it.
    program: ContentHash,
    /// Hash of the rest of the file.
    content: ContentHash,
}

/// An outline as it was kept.
pub(crate) struct Kept {
    snapshot: String,
    outline: Outline,
}

impl Kept {
    /// Whether it is that of a snapshot.
    pub(crate) fn is_of(&self, snapshot: &Sealed) -> bool {
        self.snapshot == snapshot.stated().as_str()
    }

    /// The state that it shows, with these streams whole; none if what the snapshot has of them is not what it was.
    pub(crate) fn state(
        self,
        snapshot: &Sealed,
        streams: &BTreeSet<StreamName>,
    ) -> Option<ObservedState> {
        let whole = self.whole(snapshot, streams)?;
        Some(self.outline.state(whole))
    }

    /// The same with these streams alone.
    pub(crate) fn only(
        self,
        snapshot: &Sealed,
        streams: &BTreeSet<StreamName>,
    ) -> Option<ObservedState> {
        let whole = self.whole(snapshot, streams)?;
        Some(self.outline.only(whole))
    }

    fn whole(
        &self,
        snapshot: &Sealed,
        streams: &BTreeSet<StreamName>,
    ) -> Option<BTreeMap<StreamName, StreamState>> {
        let known = streams.iter().filter_map(|name| Some((name, self.outline.text(name)?)));
        let read = |(name, text): (&StreamName, &Text)| {
            let bytes = snapshot.piece(text.range.clone()).ok()?;
            (ContentHash::of(&bytes) == text.hash).then_some(())?;
            Some((name.clone(), serde_json::from_slice(&bytes).ok()?))
        };
        known.map(read).collect()
    }
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("cache").join("outline")
}

fn program() -> ContentHash {
    ContentHash::of(cache::program().as_bytes())
}

/// Reads the outline that is kept.
pub(crate) fn read(state_dir: &Path) -> Option<Kept> {
    let path = path(state_dir);
    let bytes = std::fs::read(&path).ok()?;
    let (header, rest) = postcard::take_from_bytes::<Header>(&bytes).ok()?;
    if header.program != program() {
        return None;
    }
    let (whole, outline) = std::thread::scope(|scope| {
        let whole = scope.spawn(|| header.content == ContentHash::of(rest));
        let outline = postcard::from_bytes(rest).ok();
        (whole.join().unwrap_or(false), outline)
    });
    if !whole {
        tracing::warn!(path = %path.display(), "the cache of rows is damaged; the snapshot is read");
        return None;
    }
    Some(Kept { snapshot: header.snapshot, outline: outline? })
}

/// Keeps the outline of the newest snapshot, unless it is there. A failure costs readers time and nothing else.
pub(crate) fn refresh(state_dir: &Path) {
    if let Err(error) = try_refresh(state_dir) {
        let error = format!("{error:#}");
        tracing::debug!(error, "cannot keep what rows of streams show");
    }
}

fn try_refresh(state_dir: &Path) -> anyhow::Result<()> {
    let (newest, _) = journal::read_behind(state_dir, Some)?;
    let Some(newest) = newest else { return Ok(()) };
    let path = path(state_dir);
    if is_kept(&path, &newest) {
        return Ok(());
    }
    let snapshot = newest.read().map_err(anyhow::Error::msg)?;
    let narrow = snapshot.state::<Narrow<'_>>()?;
    let texts = narrow.texts(|text| snapshot.place_of(text));
    let state = narrow.outlined(&BTreeSet::new())?;
    let outline = texts.and_then(|texts| Outline::of(state, texts));
    let content = postcard::to_stdvec(&outline.context("a stream stands nowhere")?)?;
    let (program, hash) = (program(), ContentHash::of(&content));
    let header = Header { snapshot: snapshot.stated().to_string(), program, content: hash };
    Ok(cache::put(&path, &header, &content)?)
}

/// Whether what is kept is of this snapshot, by its header.
fn is_kept(path: &Path, snapshot: &Sealed) -> bool {
    let mut front = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEADER_MAX).read_to_end(&mut front));
    let header = read.ok().and_then(|_| postcard::take_from_bytes::<Header>(&front).ok());
    header.is_some_and(|(header, _)| {
        header.snapshot == snapshot.stated().as_str() && header.program == program()
    })
}
