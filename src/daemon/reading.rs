//! Which settings decided how the adopted commit was read.
//!
//! A commit is read again where nothing in it changed but what the settings make of it: other paths, another branch, other
//! namespaces. Otherwise only what changed is read, so that files which new settings bring in would never be seen. The
//! settings of the last reading are kept beside the cache: with them a start knows what was in force, and what came or
//! went by the new ones. Where they are lost, the commit is taken as it is read now and nothing is stopped for it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::action::{ImportMode, Platform, SourceFailure, SourceRead};
use crate::desired::Object;
use crate::engine::Engine;
use crate::names::{CommitId, ContentHash, Namespace};
use crate::policy::{AllowedRegistries, Policy};
use crate::world::git::{Source, SourceConfig};

/// The settings; not the version of the program, whose changes are shown and not acted upon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Reading {
    default_namespace: Namespace,
    namespaces: BTreeMap<String, Namespace>,
    parameters: BTreeMap<String, BTreeMap<String, String>>,
    platform: Platform,
    import_mode: ImportMode,
    strict_openshift: bool,
    #[serde(default)]
    custom_strategies: bool,
    #[serde(default)]
    allowed_registries: AllowedRegistries,
    paths: Vec<String>,
    ignore_file: String,
    /// Of the repository, whose address may hold a login, and the branch.
    place: ContentHash,
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("cache").join("reading.json")
}

impl Reading {
    pub(super) fn of(policy: &Policy, source: &SourceConfig) -> Self {
        let place = format!("{}\n{}", source.repository, source.branch);
        Self {
            default_namespace: policy.default_namespace.clone(),
            namespaces: policy.namespaces.clone(),
            parameters: policy.parameters.clone(),
            platform: policy.platform.clone(),
            import_mode: policy.import_mode,
            strict_openshift: policy.strict_openshift,
            custom_strategies: policy.custom_strategies,
            allowed_registries: policy.allowed_registries.clone(),
            paths: source.paths.clone(),
            ignore_file: source.ignore_file.clone(),
            place: ContentHash::of(place.as_bytes()),
        }
    }

    /// The settings of the last reading.
    pub(super) fn last(state_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path(state_dir)).ok()?).ok()
    }

    /// Keeps the settings of a reading that the journal has. A failure leaves the last ones, and costs a whole read.
    pub(super) fn keep(&self, state_dir: &Path) {
        if let Err(error) = self.try_keep(&path(state_dir)) {
            let error = format!("{error:#}");
            tracing::warn!(error, "the next start will read the adopted commit again");
        }
    }

    fn try_keep(&self, path: &Path) -> anyhow::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.persist(path).with_context(|| {
            format!("cannot keep the settings of this reading in `{}`", path.display())
        })?;
        Ok(())
    }

    /// Loads the adopted commit as these settings read it, to be adopted again by those of the engine.
    pub(super) fn load(
        &self,
        engine: &mut Engine,
        commit: &CommitId,
        source: &SourceConfig,
        state_dir: &Path,
        kept: Vec<(ContentHash, Object)>,
    ) {
        let policy = engine.policy().clone();
        match self.read(commit, source, state_dir) {
            Ok(read) => {
                engine.set_policy(self.policy(policy.clone()));
                engine.load(&read, kept);
            }
            Err(error) => {
                engine.keep(kept);
                tracing::warn!(%commit, error = format!("{error:#}"), "the adopted commit is not in the mirror; nothing is planned until the source is read");
            }
        }
        engine.set_policy(policy);
        engine.forget_tree();
    }

    fn read(
        &self,
        commit: &CommitId,
        source: &SourceConfig,
        state_dir: &Path,
    ) -> anyhow::Result<SourceRead> {
        let (paths, ignore_file) = (self.paths.clone(), self.ignore_file.clone());
        let source = SourceConfig { paths, ignore_file, ..source.clone() };
        let failed = |failure: SourceFailure| anyhow::anyhow!("{}", failure.message);
        Source::open(source, state_dir)?.read_adopted(commit).map_err(failed)
    }

    fn policy(&self, policy: Policy) -> Policy {
        Policy {
            default_namespace: self.default_namespace.clone(),
            namespaces: self.namespaces.clone(),
            parameters: self.parameters.clone(),
            platform: self.platform.clone(),
            import_mode: self.import_mode,
            strict_openshift: self.strict_openshift,
            custom_strategies: self.custom_strategies,
            allowed_registries: self.allowed_registries.clone(),
            ..policy
        }
    }
}
