//! Large values beside the journal: `objects/ab/cdef…`, named by their SHA-256.
//!
//! A value is durable before the record that names it is written, so a record never names one that is not there. What
//! is stored never changes; readers need no lock.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::{Access, Disk, RealDisk};
use super::snapshot::write_new;
use crate::fact::{
    BuildCreated, CommitAdopted, Fact, JobStarted, Rejected, RemovalFate, Removed, RolloutStarted,
    RolloutStepped, StopStarted, TagImported,
};
use crate::names::ContentHash;

/// Why a value cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It is not there.
    #[error(
        "object {hash} is not in the store: `{path}` does not exist; put it back from a backup"
    )]
    Missing {
        /// The value.
        hash: ContentHash,
        /// Where it should be.
        path: PathBuf,
    },
    /// What is there is something else.
    #[error("object `{path}` is damaged: its content has hash {found}; put it back from a backup")]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// The hash of what is there.
        found: ContentHash,
    },
    /// The file system refused something.
    #[error("cannot {doing} `{path}`")]
    Io {
        /// What was tried: "write".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { doing, path, source }
}

/// The object store of a state directory. Cheap to clone; used from several threads at once.
#[derive(Clone, Debug)]
pub struct ObjectStore<D: Disk = RealDisk> {
    disk: D,
    dir: Arc<Path>,
    /// The directories of values that are durable, as far as this process knows.
    shards: Arc<Mutex<BTreeSet<PathBuf>>>,
    /// What was kept since a collection began; none while there is none.
    kept: Arc<Mutex<Option<BTreeSet<ContentHash>>>>,
    /// What no collection takes though no record names it yet, and how many say so.
    held: Arc<Mutex<BTreeMap<ContentHash, usize>>>,
}

/// A value that no collection takes while this lives.
#[derive(Debug)]
pub struct Holding<D: Disk = RealDisk> {
    store: ObjectStore<D>,
    hash: ContentHash,
}

impl<D: Disk> Holding<D> {
    /// The value.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        self.hash
    }
}

impl<D: Disk> Drop for Holding<D> {
    fn drop(&mut self) {
        // A collection that is under way may have read the journal before a record named it.
        if let Some(kept) = &mut *self.store.kept() {
            kept.insert(self.hash);
        }
        let mut held = self.store.held();
        let left = held.get(&self.hash).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => drop(held.remove(&self.hash)),
            left => drop(held.insert(self.hash, left)),
        }
    }
}

impl ObjectStore {
    /// The store of the state directory `root`, for reading: nothing is made.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self::with_disk(RealDisk, root)
    }
}

impl<D: Disk> ObjectStore<D> {
    /// The store of the state directory `root` on `disk`, for reading.
    #[must_use]
    pub fn with_disk(disk: D, root: &Path) -> Self {
        let dir = root.join("objects").into();
        let (shards, kept, held) = (Arc::default(), Arc::default(), Arc::default());
        Self { disk, dir, shards, kept, held }
    }

    /// Makes the directories of values, and their names durable.
    fn make_shards(&self, shards: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
        // Held over the sync: another thread must not store into a directory whose name may still be lost.
        let mut known = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown: Vec<_> = shards.difference(&known).cloned().collect();
        for shard in &unknown {
            self.disk.create_dir(shard, 0o700).map_err(failed("make", shard))?;
        }
        if !unknown.is_empty() {
            self.disk.sync_dir(&self.dir).map_err(failed("sync", &self.dir))?;
            known.extend(unknown);
        }
        Ok(())
    }

    pub(super) fn path(&self, hash: &ContentHash) -> PathBuf {
        let text = hash.to_string();
        let (shard, rest) = text.split_at_checked(2).unwrap_or_default();
        self.dir.join(shard).join(rest)
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Option<BTreeSet<ContentHash>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn held(&self) -> MutexGuard<'_, BTreeMap<ContentHash, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps collections from a value, also from one that is put later, until what is returned is dropped.
    #[must_use]
    pub fn hold(&self, hash: ContentHash) -> Holding<D> {
        *self.held().entry(hash).or_default() += 1;
        Holding { store: self.clone(), hash }
    }

    pub(super) fn disk(&self) -> &D {
        &self.disk
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps a value. When this returns it is durable; keeping it again is cheap.
    ///
    /// # Errors
    /// When the file system refuses it.
    pub fn put(&self, content: &[u8]) -> Result<ContentHash, StoreError> {
        let hash = ContentHash::of(content);
        self.put_all(&[(hash, content)])?;
        Ok(hash)
    }

    /// Keeps several values, with one sync per directory.
    ///
    /// # Errors
    /// When the file system refuses one of them.
    pub fn put_many<T: AsRef<[u8]>>(&self, contents: &[T]) -> Result<Vec<ContentHash>, StoreError> {
        let values = contents.iter().map(AsRef::as_ref);
        let values: Vec<_> = values.map(|value| (ContentHash::of(value), value)).collect();
        self.put_all(&values)?;
        Ok(values.into_iter().map(|(hash, _)| hash).collect())
    }

    fn put_all(&self, values: &[(ContentHash, &[u8])]) -> Result<(), StoreError> {
        // First of all: what is there already and about to be collected stays from now on.
        if let Some(kept) = &mut *self.kept() {
            kept.extend(values.iter().map(|(hash, _)| *hash));
        }
        let paths: Vec<_> = values.iter().map(|(hash, _)| self.path(hash)).collect();
        let parents = paths.iter().filter_map(|path| path.parent());
        let shards: BTreeSet<_> = parents.map(Path::to_owned).collect();
        self.make_shards(&shards)?;
        for (path, (_, content)) in paths.iter().zip(values) {
            // A value that is there may have been put by a process that ended before it synced the directory, so
            // that is done in any case; one that is damaged is replaced.
            if self.disk.read(path).ok().as_deref() != Some(content) {
                write_new(&self.disk, path, content, 0o600).map_err(failed("write", path))?;
            }
        }
        for shard in shards {
            self.disk.sync_dir(&shard).map_err(failed("sync", &shard))?;
        }
        Ok(())
    }

    /// Takes a file over as the value of this hash, which is its content's. It is on the same file system, and durable; its
    /// name goes.
    ///
    /// # Errors
    /// When the file system refuses it.
    pub fn take_over(&self, file: &Path, hash: &ContentHash) -> Result<(), StoreError> {
        if let Some(kept) = &mut *self.kept() {
            kept.insert(*hash);
        }
        let path = self.path(hash);
        let shard = path.parent().unwrap_or(&self.dir).to_owned();
        self.make_shards(&BTreeSet::from([shard.clone()]))?;
        self.disk.rename(file, &path).map_err(failed("write", &path))?;
        self.disk.sync_dir(&shard).map_err(failed("sync", &shard))
    }

    /// Where the file of a value is, for who does not read it at once. What is there may be damaged.
    #[must_use]
    pub fn file(&self, hash: &ContentHash) -> PathBuf {
        self.path(hash)
    }

    /// Takes a value away whose time is over, and says whether it is gone: what is held stays.
    ///
    /// # Errors
    /// When the file system refuses it.
    pub fn remove(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let held = self.held();
        let path = self.path(hash);
        if held.contains_key(hash) {
            return Ok(false);
        }
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path)(error))
            }
            Ok(()) | Err(_) => Ok(true),
        }
    }

    /// Reads a value and checks that it is the one.
    ///
    /// # Errors
    /// When it is missing, damaged or cannot be read.
    pub fn get(&self, hash: &ContentHash) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash);
        match self.disk.read(&path) {
            Ok(content) => match ContentHash::of(&content) {
                found if found == *hash => Ok(content),
                found => Err(StoreError::Damaged { path, found }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::Missing { hash: *hash, path })
            }
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Whether a value is there; its content is not looked at.
    ///
    /// # Errors
    /// When that cannot be told.
    pub fn contains(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let path = self.path(hash);
        match self.disk.open(&path, Access::Read) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("open", &path)(error)),
        }
    }
}

/// The values in the object store that a fact names.
///
/// Every field is named, so that one that is added must be looked at here.
#[must_use]
pub fn objects_of(fact: &Fact) -> Vec<ContentHash> {
    match fact {
        Fact::CommitAdopted(adopted) => objects_of_commit(adopted),
        Fact::TagImported(imported) => metadata_of(imported),
        Fact::RolloutStarted(started) => vec![manifest_of(started)],
        Fact::RolloutStepped(stepped) => rendered_of(stepped),
        Fact::ScalePrepared(prepared) => vec![prepared.rendered],
        Fact::StopStarted(StopStarted {
            object: _,
            incarnation: _,
            rollout: _,
            manifest,
            target: _,
            epoch: _,
        }) => vec![*manifest],
        Fact::JobStarted(started) => manifest_of_job(started),
        Fact::BuildCreated(created) => objects_of_build(created),
        Fact::CommitRefused(_)
        | Fact::CommitWithdrawn(_)
        | Fact::SourceFailed(_)
        | Fact::SourceRecovered
        | Fact::RemovalsReleased(_)
        | Fact::TagProbed(_)
        | Fact::ImportFailed(_)
        | Fact::TagRecovered(_)
        | Fact::TagTrimmed(_)
        | Fact::TagsListed(_)
        | Fact::ListingFailed(_)
        | Fact::TagRemoved(_)
        | Fact::OverlaySet(_)
        | Fact::ImagesPruned(_)
        | Fact::ImageDeleted(_)
        | Fact::ManifestDeleted(_)
        | Fact::TriggerFired(_)
        | Fact::RolloutSuperseded(_)
        | Fact::RolloutOrdered(_)
        | Fact::RolloutsPaused(_)
        | Fact::RolloutFinished(_)
        | Fact::DigestHeld(_)
        | Fact::HoldReleased(_)
        | Fact::StopFinished(_)
        | Fact::ScaleStarted(_)
        | Fact::ScaleFinished(_)
        | Fact::BuildStarted(_)
        | Fact::BuildEnding(_)
        | Fact::BuildFinished(_)
        | Fact::JobCreated(_)
        | Fact::JobEnding(_)
        | Fact::JobFinished(_)
        | Fact::JobMissed(_)
        | Fact::ConfigAdopted(_)
        | Fact::RecordsLost(_)
        | Fact::SpaceShort(_)
        | Fact::SpaceRegained(_)
        | Fact::HistoryDropped(_)
        | Fact::Checkpoint(_) => Vec::new(),
    }
}

/// What a rollout is of.
fn manifest_of(started: &RolloutStarted) -> ContentHash {
    // `template` is a hash to compare by; what it is of is not kept.
    let RolloutStarted {
        object: _,
        incarnation: _,
        revision: _,
        cause: _,
        commit: _,
        replaces: _,
        template: _,
        manifest,
        images: _,
        target: _,
        epoch: _,
        steps: _,
        over: _,
        deadline: _,
        keeps: _,
        size: _,
        tags: _,
        names: _,
        cron: _,
        force: _,
    } = started;
    *manifest
}

fn metadata_of(imported: &TagImported) -> Vec<ContentHash> {
    let TagImported { tag: _, event: _, probed: _, asked: _, metadata, via: _, reason: _ } =
        imported;
    Vec::from_iter(*metadata)
}

fn manifest_of_job(started: &JobStarted) -> Vec<ContentHash> {
    let JobStarted {
        object: _,
        incarnation: _,
        name: _,
        slot: _,
        missed: _,
        by: _,
        rollout: _,
        commit: _,
        manifest,
        images: _,
        target: _,
        epoch: _,
        deadline: _,
        backoff_limit: _,
    } = started;
    vec![*manifest]
}

/// What was handed over to a build is not among them: it goes with the end of the build, and the record stays.
fn objects_of_build(created: &BuildCreated) -> Vec<ContentHash> {
    let BuildCreated {
        object: _,
        incarnation: _,
        number: _,
        name: _,
        policy: _,
        causes: _,
        triggered: _,
        images: _,
        options: _,
        output: _,
        push: _,
        commit: _,
        manifest,
        deadline: _,
        keeps: _,
        epoch: _,
    } = created;
    vec![*manifest]
}

fn rendered_of(stepped: &RolloutStepped) -> Vec<ContentHash> {
    let RolloutStepped { rollout: _, object: _, step: _, rendered, note: _, ending: _, down: _ } =
        stepped;
    Vec::from_iter(*rendered)
}

fn objects_of_commit(adopted: &CommitAdopted) -> Vec<ContentHash> {
    let CommitAdopted {
        commit: _,
        branch: _,
        forced: _,
        objects: _,
        companions: _,
        appeared: _,
        removed,
        streams: _,
        rejected,
        superseded: _,
    } = adopted;
    let held = removed.iter().filter_map(|Removed { object: _, fate }| match fate {
        RemovalFate::Pruned | RemovalFate::Kept => None,
        RemovalFate::Held { version } => Some(*version),
    });
    let kept = rejected
        .iter()
        .filter_map(|Rejected { object: _, position: _, rule: _, message: _, kept }| *kept);
    held.chain(kept).collect()
}
