//! From a configuration to everything that the loop needs: journal, state, adopted commit, world.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;

use crate::config::Config;
use crate::desired::{Object, Tree};
use crate::engine::Engine;
use crate::journal::disk::RealDisk;
use crate::journal::{Journal, ObjectStore, Options, Replay};
use crate::names::{CommitId, ContentHash};
use crate::observed::ObservedState;
use crate::world::World;
use crate::world::git::{Source, SourceConfig};
use crate::world::registry::{Registries, RegistryConfig};
use crate::world::target::Targets;

use super::Clock;

/// Everything that a start finds.
pub struct Opened {
    pub(super) engine: Engine,
    pub(super) journal: Journal,
    pub(super) store: ObjectStore,
    pub(super) world: World,
    pub(super) clock: Clock,
    pub(super) records_since_snapshot: u64,
    pub(super) state_dir: PathBuf,
    /// The commit whose files the cache holds.
    pub(super) cached: Option<CommitId>,
}

/// Opens the journal, replays it, and loads the adopted commit from the mirror.
///
/// # Errors
/// When the journal cannot be opened, or an adopted commit is not in the mirror any more.
pub fn open(config: &Config) -> anyhow::Result<Opened> {
    let clock = Clock::start();
    // Beside the journal: each takes about half of the time of a start.
    let cache = {
        let (state_dir, policy) = (config.state_dir.clone(), config.policy.clone());
        std::thread::spawn(move || super::cache::read(&state_dir, &policy))
    };
    let mut observed = ObservedState::default();
    let mut records_since_snapshot = 0;
    let (journal, warnings) =
        Journal::open_with(RealDisk, &config.state_dir, Options::default(), &mut |replay| {
            match replay {
                Replay::Snapshot(snapshot) => {
                    observed = snapshot.state().map_err(|error| error.to_string())?;
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
    let mut engine = Engine::new(config.policy.clone(), observed, clock.now());
    let cached = load(&mut engine, &world.source, &store, cache.join().unwrap_or_default());
    Ok(Opened {
        engine,
        journal,
        store,
        world,
        clock,
        records_since_snapshot,
        state_dir: config.state_dir.clone(),
        cached,
    })
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
pub(crate) fn kept_versions(
    observed: &ObservedState,
    store: &ObjectStore,
) -> Vec<(ContentHash, Object)> {
    let mut kept = Vec::new();
    for hash in observed.kept_versions() {
        let object = store
            .get(&hash)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(serde_json::from_slice::<Object>(&bytes)?));
        match object {
            Ok(object) => kept.push((hash, object)),
            Err(error) => {
                tracing::error!(%hash, error = format!("{error:#}"), "the last valid version of an object is lost; it stays as it is");
            }
        }
    }
    kept
}

/// Makes everything outside that actions reach.
///
/// # Errors
/// When the mirror cannot be made or a client cannot be built.
pub(super) fn world(config: &Config, store: &ObjectStore) -> anyhow::Result<World> {
    let source = Source::open(source_config(config), &config.state_dir)
        .context("cannot set up the source")?;
    let puts = store.clone();
    let registries = Registries::new(
        RegistryConfig {
            insecure: config.registries.insecure.clone(),
            timeout: config.registries.timeout,
            auth_file: config.registries.auth_file.clone(),
            ..RegistryConfig::default()
        },
        Arc::new(move |bytes: &[u8]| puts.put(bytes).map_err(std::io::Error::other)),
    )
    .context("cannot set up the registry client")?;
    let gets = store.clone();
    let targets = Targets::new(
        config.targets.clone(),
        "tidegate".to_owned(),
        &config.state_dir,
        Arc::new(move |hash: &ContentHash| gets.get(hash).map_err(std::io::Error::other)),
    )
    .context("cannot set up the targets")?;
    Ok(World { source: Arc::new(source), registries, targets })
}

/// The source as the configuration says.
pub(crate) fn source_config(config: &Config) -> SourceConfig {
    SourceConfig {
        branch: config.source.branch.clone(),
        paths: config.source.paths.clone(),
        ignore_file: config.source.ignore_file.clone(),
        poll: config.source.poll,
        ..SourceConfig::new(config.source.repository.clone())
    }
}
