//! Going on with what the journal says next.

use std::collections::BTreeSet;
use std::path::Path;

use super::Inventory;
use crate::cli::offline::{self, Extent};
use crate::fact::Fact;
use crate::journal::JournalError;
use crate::names::StreamName;
use crate::observed::build;
use crate::observed::rollout::object_of;
use crate::report::log::streams_named;
use crate::time::Timestamp;

/// What a record may have changed.
pub(in crate::cli::oc) enum Touched {
    /// Anything.
    All,
    /// These streams.
    Streams(BTreeSet<StreamName>),
}

impl Inventory {
    /// Where the journal stands that it reads.
    pub(in crate::cli::oc) fn state_dir(&self) -> Option<&Path> {
        self.journal.as_ref().map(|shown| shown.config.state_dir.as_path())
    }

    /// Takes in what the journal says next, and looks at what that may have changed, and at nothing else; none where
    /// nothing was written since.
    pub(in crate::cli::oc) fn advance(&mut self) -> anyhow::Result<Option<Touched>> {
        let Some(shown) = &mut self.journal else { return Ok(None) };
        self.now = Timestamp::from_jiff(jiff::Timestamp::now());
        self.looked.take();
        let touched = match shown.advance() {
            Ok(Some(fact)) => touched(&fact),
            Ok(None) if shown.has_journal() => return Ok(None),
            Ok(None) if !offline::has_journal(&shown.config.state_dir)? => return Ok(None),
            // It begins, or compaction was faster: then what it came to is compared at once.
            Ok(None) | Err(JournalError::Missing { .. }) => {
                *shown = offline::show(shown.config.clone(), &Extent::Whole)?;
                Touched::All
            }
            Err(error) if error.is_gone() => {
                *shown = offline::show(shown.config.clone(), &Extent::Whole)?;
                Touched::All
            }
            Err(error) => return Err(error.into()),
        };
        self.only = match &touched {
            Touched::All => None,
            Touched::Streams(streams) => Some(streams.clone()),
        };
        Ok(Some(touched))
    }
}

/// What a record may have changed.
fn touched(fact: &Fact) -> Touched {
    if matches!(
        fact,
        Fact::CommitAdopted(_)
            | Fact::RemovalsReleased(_)
            | Fact::ImagesPruned(_)
            | Fact::ImageDeleted(_)
    ) || object_of(fact).is_some()
        || build::object_of(fact).is_some()
    {
        return Touched::All;
    }
    Touched::Streams(streams_named(fact))
}
