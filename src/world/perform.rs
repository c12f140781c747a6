//! The one match from actions to adapters: an action goes out, at most one input comes back.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::action::{Action, ActionId, Input, ReadSource, SourceFailure, SourceRead};
use crate::limits;

use super::git::Source;
use super::registry::Registries;
use super::target::Targets;

/// Everything outside that actions reach.
#[derive(Clone)]
pub struct World {
    /// The repository.
    pub source: Arc<Source>,
    /// The registries.
    pub registries: Registries,
    /// The targets.
    pub targets: Targets,
}

impl World {
    /// Carries an action out and says what came of it; actions that nobody waits for give nothing.
    pub async fn perform(
        &self,
        id: ActionId,
        action: Action,
        cancel: CancellationToken,
    ) -> Option<Input> {
        match action {
            Action::ReadSource(request) => {
                let result = self.read_source(request, cancel).await;
                Some(Input::SourceRead(id, result.map(Box::new)))
            }
            Action::KeepCommit { seq, commit } => {
                let source = self.source.clone();
                let kept = tokio::task::spawn_blocking(move || {
                    source.keep(seq, &commit)?;
                    source.tidy(limits::MIRROR_LOOSE_MAX, &cancel)
                });
                match kept.await {
                    Ok(Ok(false)) => {}
                    Ok(Ok(true)) => tracing::info!("the mirror of the source was packed"),
                    Ok(Err(error)) => {
                        tracing::warn!(%seq, %commit, error = %chain(&error), "cannot keep an adopted commit alive in the mirror, or pack it");
                    }
                    Err(error) => tracing::error!(%error, "keeping a commit ended early"),
                }
                None
            }
            Action::Resolve(request) => {
                let resolved = cancel.run_until_cancelled(self.registries.resolve(&request)).await;
                resolved.map(|resolved| Input::Resolved(id, resolved))
            }
            Action::RollOut(request) => {
                let report = self.targets.roll_out(&request, cancel).await;
                Some(Input::RolloutReported(id, report))
            }
            Action::AskRollout(ask) => {
                let report = self.targets.ask(&ask, cancel).await;
                Some(Input::RolloutReported(id, report))
            }
            Action::Stop(request) => {
                let report = self.targets.stop(&request, cancel).await;
                Some(Input::RolloutReported(id, report))
            }
            Action::Notify(notice) => {
                cancel.run_until_cancelled(self.targets.notify(&notice)).await;
                None
            }
        }
    }

    async fn read_source(
        &self,
        request: ReadSource,
        cancel: CancellationToken,
    ) -> Result<SourceRead, SourceFailure> {
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || source.read(&request, &cancel));
        read.await.unwrap_or_else(|error| {
            let message = format!("reading the source ended early: {error}");
            Err(SourceFailure { commit: None, message })
        })
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
