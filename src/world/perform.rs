//! The one match from actions to adapters: an action goes out, and what came of it comes back.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::action::{
    Action, ActionId, BuildReport, BuildRequest, ImportFailure, Input, ReadSource, RolloutReport,
    SourceFailure, SourceRead,
};
use crate::fact::ImportReason;
use crate::limits;

use super::build::Builder;
use super::git::Source;
use super::registry::{Registries, Tally};
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
    /// What builds images; none where nothing is built.
    pub builder: Option<Builder>,
}

impl World {
    /// Carries an action out and says what came of it; actions that nobody waits for give nothing.
    ///
    /// A panic on the way is a failure that may pass: otherwise the engine would wait for ever.
    pub async fn perform(
        &self,
        id: ActionId,
        action: Action,
        cancel: CancellationToken,
    ) -> Vec<Input> {
        told(broken(id, &action), Box::pin(self.carry_out(id, action, cancel))).await
    }

    async fn carry_out(
        &self,
        id: ActionId,
        action: Action,
        cancel: CancellationToken,
    ) -> Vec<Input> {
        let input = match action {
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
                let tally = Tally::new(request.allowance);
                let resolving = self.registries.resolve_counting(&request, &tally);
                let resolved = cancel.run_until_cancelled(resolving).await;
                let resolved = resolved.map(|resolved| Input::Resolved(id, resolved));
                return counted(id, tally, resolved);
            }
            Action::List(request) => {
                let tally = Tally::default();
                let listing = self.registries.list_counting(&request, &tally);
                let listed = cancel.run_until_cancelled(listing).await;
                let listed = listed.map(|listed| Input::Listed(id, listed));
                return counted(id, tally, listed);
            }
            Action::DeleteManifest(manifest) => {
                let deleted =
                    cancel.run_until_cancelled(self.registries.delete_manifest(&manifest)).await;
                deleted.map(|deleted| Input::ManifestDeleted(id, deleted))
            }
            Action::RollOut(_)
            | Action::AskRollout(_)
            | Action::Stop(_)
            | Action::Scale(_)
            | Action::Job(_) => {
                let report = self.at_target(action, cancel).await;
                report.map(|report| Input::RolloutReported(id, report))
            }
            Action::Build(request) => {
                let report = self.build(&request, cancel).await;
                Some(Input::BuildReported(id, report))
            }
            Action::TidyBuilds(tidy) => {
                if let Some(builder) = &self.builder {
                    cancel.run_until_cancelled(builder.tidy(&tidy)).await;
                }
                None
            }
            Action::Notify(notice) => {
                cancel.run_until_cancelled(self.targets.notify(&notice)).await;
                None
            }
        };
        input.into_iter().collect()
    }

    /// What a target is told, and says.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`carry_out` hands over only these")]
    async fn at_target(&self, action: Action, cancel: CancellationToken) -> Option<RolloutReport> {
        match action {
            Action::RollOut(request) => Some(self.targets.roll_out(&request, cancel).await),
            Action::AskRollout(ask) => Some(self.targets.ask(&ask, cancel).await),
            Action::Stop(request) => Some(self.targets.stop(&request, cancel).await),
            Action::Scale(request) => Some(self.targets.scale(&request, cancel).await),
            Action::Job(request) => self.targets.job(&request, cancel).await,
            _ => None,
        }
    }

    async fn build(&self, request: &BuildRequest, cancel: CancellationToken) -> BuildReport {
        match &self.builder {
            Some(builder) => Box::pin(builder.build(request, cancel)).await,
            None => {
                let reason = "this host builds nothing: set `builds.enabled` in the configuration";
                BuildReport::Transient { reason: reason.to_owned(), retry_after: None }
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

const BROKEN: &str = "an error inside tidegate itself; please report what its log says";

/// What was asked of registries, then what they answered.
fn counted(id: ActionId, tally: Tally, answer: Option<Input>) -> Vec<Input> {
    let spent = Some(tally.spent()).filter(|spent| !spent.by.is_empty() || spent.short);
    spent.map(|spent| Input::Spent(id, spent)).into_iter().chain(answer).collect()
}

/// What comes of `work`, or `broken` if it panics.
async fn told(broken: Option<Input>, work: impl Future<Output = Vec<Input>>) -> Vec<Input> {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|_| {
        tracing::error!("{BROKEN}"); // what and where stands above, from the panic itself
        broken.into_iter().collect()
    })
}

/// What is told of an action whose code panicked.
fn broken(id: ActionId, action: &Action) -> Option<Input> {
    let reason = BROKEN.to_owned();
    match action {
        Action::ReadSource(_) => {
            Some(Input::SourceRead(id, Err(SourceFailure { commit: None, message: reason })))
        }
        Action::Resolve(_) => Some(Input::Resolved(id, Err(broken_import(reason)))),
        Action::List(_) => Some(Input::Listed(id, Err(broken_import(reason)))),
        Action::DeleteManifest(_) => Some(Input::ManifestDeleted(id, Err(broken_import(reason)))),
        Action::RollOut(_)
        | Action::AskRollout(_)
        | Action::Stop(_)
        | Action::Scale(_)
        | Action::Job(_) => {
            let report = RolloutReport::Transient { reason, retry_after: None };
            Some(Input::RolloutReported(id, report))
        }
        Action::Build(_) => {
            let report = BuildReport::Transient { reason, retry_after: None };
            Some(Input::BuildReported(id, report))
        }
        Action::KeepCommit { .. } | Action::TidyBuilds(_) | Action::Notify(_) => None,
    }
}

fn broken_import(message: String) -> ImportFailure {
    let reason = ImportReason::InternalError;
    ImportFailure { reason, message, transient: true, retry_after: None }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::ResolveRequest;

    #[tokio::test]
    async fn a_panic_inside_an_action_is_a_failure_that_may_pass() {
        let check = crate::action::Check {
            image: Arc::new("quay.io/team/web:1".parse().unwrap()),
            insecure: false,
            mode: Default::default(),
            platform: Default::default(),
            copy_to: None,
            namespace: None,
        };
        let action =
            Action::Resolve(Box::new(ResolveRequest { check, known: None, allowance: None }));
        let work = async { panic!("as an error in a library would") };
        let told = told(broken(ActionId(7), &action), work).await.pop();
        let Some(Input::Resolved(ActionId(7), Err(failure))) = told else { panic!("{told:?}") };
        assert!(failure.transient && failure.message.contains("an error inside tidegate itself"));
    }
}
