//! What the `ConfigMap`s and `Secret`s of a commit hold (rule R17): read out of the mirror whenever a target needs it, and
//! kept in memory alone.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::desired::{Tree, is_params};
use crate::names::CommitId;
use crate::pods::{Configs, Contents};
use crate::policy::Policy;
use crate::world::git::Source;

/// A reader that remembers the commit it read last.
pub(super) struct ConfigReader {
    source: Arc<Source>,
    policy: Policy,
    last: Mutex<Option<(CommitId, Arc<Configs>)>>,
}

impl fmt::Debug for ConfigReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigReader").field("source", &self.source).finish_non_exhaustive()
    }
}

impl ConfigReader {
    /// Reads out of this source, as this policy says.
    pub(super) fn new(source: Arc<Source>, policy: Policy) -> Self {
        Self { source, policy, last: Mutex::default() }
    }

    /// Those of a commit. It blocks.
    ///
    /// # Errors
    /// The commit is not in the mirror, or cannot be read.
    pub(super) fn read(&self, commit: &CommitId) -> Result<Arc<Configs>, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, configs)) = &*last
            && known == commit
        {
            return Ok(Arc::clone(configs));
        }
        let read = self.source.read_adopted(commit);
        let mut read = read.map_err(|failure| failure.message)?;
        // Whatever cannot be one of them is not parsed again.
        let has = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
        read.changed.retain(|file| {
            let bytes = file.bytes.as_deref().unwrap_or_default();
            is_params(&file.path) || has(bytes, b"ConfigMap") || has(bytes, b"Secret")
        });
        let mut tree = Tree::default();
        tree.apply(&read, &self.policy);
        let mut configs = Configs::new();
        for companion in tree.assemble().companions {
            let (Some((name, _)), Some(text)) = (&companion.config, &companion.manifest) else {
                continue;
            };
            // The reader of manifests wrote it.
            let document: Value = serde_json::from_str(text).unwrap_or_default();
            if let Ok(contents) = Contents::read(name.kind, &document) {
                let key = (companion.namespace.clone(), name.clone());
                configs.entry(key).or_insert(contents);
            }
        }
        let configs = Arc::new(configs);
        *last = Some((*commit, Arc::clone(&configs)));
        Ok(configs)
    }
}
