//! The Source strategy (rules B45 to B50).

use std::path::Path;

use super::docker::Prepared;
use super::program::Trouble;
use super::run::Run;
use crate::builds::{Reason, S2iSpec, Variable};

impl Run<'_> {
    /// Makes the Dockerfile of a build and pulls what it needs.
    #[expect(clippy::unused_async, reason = "it is not built yet")]
    pub(super) async fn source(
        &mut self,
        _s2i: &S2iSpec,
        _context: &Path,
        _env: &[Variable],
    ) -> Result<Prepared, Trouble> {
        let why = "the Source strategy is not built yet".to_owned();
        Err(Trouble::Error(Reason::GenericBuildFailed, why))
    }
}
