//! From a configuration to everything that the loop needs: journal, state, adopted commit, world.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use super::configs::ConfigReader;
use crate::action::Input;
use crate::config::Config;
use crate::desired::{Object, Tree};
use crate::engine::Engine;
use crate::journal::disk::RealDisk;
use crate::journal::{self, Journal, ObjectStore, Options, Replay, Retention, StoreError};
use crate::names::{CommitId, ContentHash, Seq};
use crate::observed::ObservedState;
use crate::time::Timestamp;
use crate::world::World;
use crate::world::build::Builder;
use crate::world::git::Source;
use crate::world::registry::Registries;
use crate::world::target::{ReadConfigs, ReadManifest, Targets};

use super::Clock;
use super::reading::Reading;

/// Everything that a start finds.
pub struct Opened {
    pub(super) engine: Engine,
    pub(super) journal: Journal,
    pub(super) store: ObjectStore,
    pub(super) world: World,
    pub(super) clock: Clock,
    pub(super) records_since_snapshot: u64,
    /// When the last record of the newest snapshot was written.
    pub(super) snapshot_at: Option<Timestamp>,
    pub(super) state_dir: PathBuf,
    pub(super) retention: Retention,
    /// The commit whose files the cache holds.
    pub(super) cached: Option<CommitId>,
    /// What the engine has to know first.
    pub(super) first: Vec<Input>,
    /// The settings of the last reading that the journal has.
    pub(super) reading: Option<Reading>,
}

/// What to do where records were written once and are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LostRecords {
    /// Do not start: the numbers of lost records, and so the keys of rollouts, would be given twice.
    Refuse,
    /// Go on, and mark every later key.
    Accept,
}

/// Opens the journal, replays it, and loads the adopted commit from the mirror.
///
/// # Errors
/// When the journal cannot be opened, or is an older one than the mirror knows.
pub fn open(config: &Config, lost_records: LostRecords) -> anyhow::Result<Opened> {
    let clock = Clock::start();
    // Beside the journal: each takes about half of the time of a start.
    let cache = super::cache::begin(config, super::TagsOf::All);
    let mut observed = ObservedState::default();
    let mut records_since_snapshot = 0;
    let mut snapshot_at = None;
    let (journal, warnings) =
        Journal::open_with(RealDisk, &config.state_dir, Options::default(), &mut |replay| {
            match replay {
                Replay::Snapshot(snapshot) => {
                    let state = snapshot.state().map_err(anyhow::Error::from);
                    observed = state.map_err(|error| format!("{error:#}"))?;
                    snapshot_at = observed.last_at;
                }
                Replay::Record(record) => {
                    observed.apply(&record);
                    records_since_snapshot += 1;
                }
            }
            Ok(())
        })
        .with_context(|| format!("cannot start in `{}`", config.state_dir.display()))?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let store = journal.objects();
    let world = world(config, &store)?;
    // The journal's lock is held: what a killed `git` left locked in the mirror is nobody's.
    if let Err(error) = world.source.recover() {
        tracing::warn!(%error, "cannot clear what a killed git left in the mirror");
    }
    let lost = lost(config, &world.source, observed.last_seq, lost_records)?;
    let mut engine = Engine::new(config.policy.clone(), observed, clock.now());
    let reading = Reading::last(&config.state_dir);
    let now = Reading::of(&config.policy, world.source.config());
    let adopted = engine.observed().adopted.as_ref().map(|adopted| adopted.commit);
    let cached = match (adopted, reading.as_ref().filter(|last| **last != now)) {
        // The daemon adopts it again by the new settings, before anything is planned.
        (Some(commit), Some(last)) => {
            let kept = kept_versions(engine.observed(), &store);
            last.load(&mut engine, &commit, world.source.config(), &config.state_dir, kept);
            None
        }
        _ => load(&mut engine, &world.source, &store, cache.join().unwrap_or_default()),
    };
    Ok(Opened {
        engine,
        journal,
        store,
        world,
        clock,
        records_since_snapshot,
        snapshot_at,
        state_dir: config.state_dir.clone(),
        retention: config.retention,
        cached,
        first: lost.into_iter().chain([Input::ConfigAdopted(config.adopted())]).collect(),
        reading,
    })
}

/// Whether records were lost, by the mark of a restored journal, by the mirror, or because an operator says so.
///
/// # Errors
/// When they were and nobody said what to do.
fn lost(
    config: &Config,
    source: &Source,
    last: Seq,
    lost_records: LostRecords,
) -> anyhow::Result<Option<Input>> {
    let known = known_beyond(source, last);
    if let Some(mark) = journal::records_lost(&config.state_dir)? {
        tracing::warn!(
            record = last.0,
            "this journal was restored or salvaged: what came after this record is lost, which is recorded now"
        );
        return Ok(Some(Input::RecordsLost(known.max(mark.last))));
    }
    match known {
        Some(known) if lost_records == LostRecords::Refuse => {
            anyhow::bail!(lost_message(config, last, known))
        }
        known if lost_records == LostRecords::Accept => Ok(Some(Input::RecordsLost(known))),
        Some(_) | None => Ok(None),
    }
}

/// The last record that adopted a commit, by the mirror, if the journal does not reach there.
///
/// A commit is kept in the mirror right after its record is durable, so the mirror is never ahead by itself.
fn known_beyond(source: &Source, last: Seq) -> Option<Seq> {
    match source.kept() {
        Ok(kept) => kept.last_key_value().map(|(seq, _)| *seq).filter(|seq| *seq > last),
        Err(error) => {
            tracing::warn!(%error, "cannot read which commits the mirror keeps");
            None
        }
    }
}

fn lost_message(config: &Config, last: Seq, known: Seq) -> String {
    format!(
        "the journal in `{}` ends at record {last}, but the mirror beside it keeps a commit that record {known} \
         adopted: the journal is an older copy, or its files were removed. Nothing was started. Put the newer journal \
         back; if it is lost, start once with `tidegate run --accept-lost-records`: what the lost records rolled out \
         may be rolled out again, under new keys",
        config.state_dir.join("journal").display()
    )
}

/// Loads the files of the adopted commit, from the cache or else from the mirror; a mirror that lost the commit is
/// filled again by the next read. Returns the commit if it came from the cache.
fn load(
    engine: &mut Engine,
    source: &Source,
    store: &ObjectStore,
    cached: Option<(CommitId, Tree)>,
) -> Option<CommitId> {
    let adopted = engine.observed().adopted.as_ref()?;
    let commit = adopted.commit;
    if let Err(error) = source.keep_again(adopted.seq, &commit) {
        tracing::warn!(%commit, %error, "cannot keep the adopted commit alive in the mirror");
    }
    let kept = kept_versions(engine.observed(), store);
    if let Some((_, tree)) = cached.filter(|(of, _)| *of == commit) {
        engine.load_tree(tree, commit, kept);
        return Some(commit);
    }
    match source.read_adopted(&commit) {
        Ok(read) => engine.load(&read, kept),
        Err(failure) => {
            engine.keep(kept);
            tracing::warn!(%commit, reason = failure.message, "the adopted commit is not in the mirror; nothing is planned until the source is read");
        }
    }
    None
}

/// Reads the last valid versions that stay in force from the object store.
fn kept_versions(observed: &ObservedState, store: &ObjectStore) -> Vec<(ContentHash, Object)> {
    let mut kept = Vec::new();
    for hash in observed.kept_versions() {
        match kept_version(&hash, store) {
            Ok(object) => kept.push((hash, object)),
            Err(error) => {
                tracing::error!(%hash, error = format!("{error:#}"), "the last valid version of an object is lost; it stays as it is");
            }
        }
    }
    kept
}

/// Reads one last valid version from the object store.
///
/// # Errors
/// When it is lost or damaged.
pub(crate) fn kept_version(hash: &ContentHash, store: &ObjectStore) -> anyhow::Result<Object> {
    let bytes = store.get(hash)?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("the stored version `{hash}` of an object cannot be understood"))
}

/// Makes everything outside that actions reach.
///
/// # Errors
/// When the mirror cannot be made or a client cannot be built.
pub(super) fn world(config: &Config, store: &ObjectStore) -> anyhow::Result<World> {
    let source = Source::open(config.source.source(), &config.state_dir)
        .context("cannot set up the source")?;
    let source = Arc::new(source);
    let configs = ConfigReader::new(Arc::clone(&source), config.policy.clone());
    let puts = store.clone();
    let registries = Registries::new(
        config.registries.client(),
        Arc::new(move |bytes: &[u8]| puts.put(bytes).map_err(told)),
    )
    .context("cannot set up the registry client")?;
    let (gets, keeps) = (store.clone(), store.clone());
    let manifests: ReadManifest = Arc::new(move |hash: &ContentHash| gets.get(hash).map_err(told));
    let configs: ReadConfigs = Arc::new(move |commit| configs.read(commit));
    let targets = Targets::new(
        config.targets.clone(),
        "tidegate".to_owned(),
        &config.state_dir,
        (Arc::clone(&manifests), Arc::new(move |bytes: &[u8]| keeps.put(bytes).map_err(told))),
        (Arc::clone(&configs), Some(registries.clone())),
    )
    .context("cannot set up the targets")?;
    let reads = (manifests, configs);
    let builder =
        Builder::new(config.builder.clone(), &config.state_dir, reads, registries.clone())
            .context("cannot set up the builder")?;
    let builder = Some(builder).filter(|_| config.policy.builds_enabled);
    Ok(World { source, registries, targets, builder })
}

/// An error of the object store as the world tells it on: with its cause, such as a full file system.
fn told(error: StoreError) -> std::io::Error {
    std::io::Error::other(format!("{:#}", anyhow::Error::from(error)))
}
