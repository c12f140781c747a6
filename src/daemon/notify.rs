//! What the service manager and the log are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::desired::DesiredState;
use crate::effective;
use crate::engine::Engine;
use crate::fact::{BuildCause, BuildEnd, Fact, Outcome, Record, Space};
use crate::names::{ObjectKey, Seq, StreamTag};
use crate::observed::rollout::WorkloadState;
use crate::time::Now;

/// Tells systemd how it goes; without systemd it tells nobody.
#[derive(Debug, Default)]
pub(super) struct Notify {
    ready: bool,
    status: String,
    /// Why each delivery does not get through, as the log was told.
    undelivered: BTreeMap<Seq, String>,
    /// Tags that ask for the integrated registry where there is none, as the log was told.
    degraded: BTreeSet<StreamTag>,
    /// The record that adopted the commit that was looked at for them, and whether there is a registry.
    degraded_of: Option<(Option<Seq>, bool)>,
}

impl Notify {
    /// How often to say that the loop is alive: half of what the service manager allows.
    pub(super) fn interval(&self) -> Duration {
        let watchdog = sd_notify::watchdog_enabled();
        watchdog.map_or(Duration::from_secs(3600), |allowed| allowed / 2)
    }

    /// Says that the loop is alive. Called by the loop itself, so that a stuck loop stops saying it.
    pub(super) fn alive(&self) {
        tell(&[NotifyState::Watchdog]);
    }

    /// Says that the state is loaded; the source and registries may still be down, which the status tells.
    pub(super) fn ready(&mut self, engine: &Engine) {
        self.ready = true;
        self.status = status(engine);
        tell(&[NotifyState::Ready, NotifyState::Status(&self.status)]);
    }

    pub(super) fn reloading(&self, now: Now) {
        let _ = now;
        if let Ok(monotonic) = NotifyState::monotonic_usec_now() {
            tell(&[NotifyState::Reloading, monotonic]);
        }
    }

    /// Says what changed; ready after the first look at the source where nothing was adopted before.
    pub(super) fn after_step(&mut self, engine: &Engine) {
        self.deliveries(engine);
        self.degraded(engine);
        if !self.ready {
            if engine.soft().source.read_at.is_some() {
                self.ready(engine);
            }
            return;
        }
        let now = status(engine);
        if now != self.status {
            tell(&[NotifyState::Status(&now)]);
            self.status = now;
        }
    }
}

impl Notify {
    /// Logs each tag of policy `Local` that is pulled from its source, once (rule I181).
    fn degraded(&mut self, engine: &Engine) {
        let adopted = engine.observed().adopted.as_ref().map(|adopted| adopted.seq);
        let of = (adopted, engine.policy().integrated_registry.is_some());
        if self.degraded_of.replace(of) == Some(of) {
            return;
        }
        let now: BTreeSet<_> = effective::degraded(engine.desired(), engine.policy()).collect();
        for tag in now.difference(&self.degraded) {
            tracing::warn!("{}", effective::degraded_message(tag));
        }
        self.degraded = now;
    }

    /// Logs why something does not get through to its target: the first time, and when the reason changes.
    fn deliveries(&mut self, engine: &Engine) {
        let deliveries = &engine.soft().deliveries;
        let fails = |seq: &Seq| deliveries.get(seq).is_some_and(|d| d.reason.is_some());
        self.undelivered.retain(|seq, _| fails(seq));
        for (seq, delivery) in deliveries {
            let Some(reason) = &delivery.reason else { continue };
            if self.undelivered.get(seq) == Some(reason) {
                continue;
            }
            let attempt = delivery.failures;
            match object_of(engine, *seq) {
                Some(object) => {
                    tracing::warn!(%seq, %object, attempt, reason, "not delivered yet; tried again");
                }
                None => tracing::warn!(%seq, attempt, reason, "not delivered yet; tried again"),
            }
            self.undelivered.insert(*seq, reason.clone());
        }
    }
}

/// The object of a rollout, a stop, a change of its size or a run that has not ended.
fn object_of(engine: &Engine, seq: Seq) -> Option<&ObjectKey> {
    let is_its = |state: &WorkloadState| {
        state.running().is_some_and(|rollout| rollout.seq == seq)
            || state.stopping().is_some_and(|stop| stop.seq == seq)
            || state.scaling().is_some_and(|scale| scale.seq == seq)
            || state.jobs.running().any(|job| job.seq == seq)
    };
    engine.observed().workloads.iter().find(|(_, state)| is_its(state)).map(|(object, _)| object)
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot tell the service manager");
    }
}

/// One line for `systemctl status`.
fn status(engine: &Engine) -> String {
    let observed = engine.observed();
    let held = observed.workloads.values().filter(|state| !state.holds.is_empty()).count();
    let failing = observed.streams.values().flat_map(|stream| stream.tags.values());
    let failing = failing.filter(|tag| tag.condition.is_some()).count();
    let adopted = match &observed.adopted {
        Some(adopted) => format!("commit {}", adopted.commit.short()),
        None => "no commit adopted yet".to_owned(),
    };
    let mut text = format!(
        "{adopted}; {} streams, {} workloads, {held} held, {failing} tags failing",
        engine.desired().streams.len(),
        engine.desired().workloads.len(),
    );
    if let Some(short) = &observed.space_short {
        text = format!("{text}; {short}");
    }
    if let Some(refused) = &observed.refused {
        text = format!("{text}; commit {} refused: {}", refused.commit.short(), refused.reason);
    }
    if let Some(failure) = &observed.source_failure {
        text = format!("source unreadable since {}: {}; {text}", failure.since, failure.message);
    }
    text
}

/// One line per thing that an operator would tell a colleague; the whole of it is in the journal.
///
/// What failed is told with what to do about it: a field of its own, which is empty where nobody knows.
pub(super) fn log(record: &Record, desired: &DesiredState) {
    let seq = record.seq;
    match &record.fact {
        Fact::CommitAdopted(fact) => {
            let (commit, rejected) = (fact.commit, fact.rejected.len());
            tracing::info!(%seq, %commit, objects = fact.objects, rejected, "commit adopted");
        }
        Fact::CommitRefused(fact) => {
            tracing::warn!(%seq, commit = %fact.commit, reason = fact.reason, "commit refused");
        }
        Fact::CommitWithdrawn(fact) => {
            tracing::info!(%seq, commit = %fact.commit, "no longer refused: the branch is at the adopted commit again");
        }
        Fact::SourceFailed(fact) => {
            tracing::warn!(%seq, reason = fact.message, "the source cannot be read");
        }
        Fact::SourceRecovered => tracing::info!(%seq, "the source can be read again"),
        Fact::RemovalsReleased(fact) => {
            tracing::info!(%seq, objects = fact.objects.len(), by = fact.by, "removals released");
        }
        Fact::RolloutStarted(_)
        | Fact::RolloutFinished(_)
        | Fact::RolloutOrdered(_)
        | Fact::RolloutsPaused(_)
        | Fact::DigestHeld(_)
        | Fact::HoldReleased(_)
        | Fact::StopFinished(_)
        | Fact::ScaleStarted(_)
        | Fact::ScaleFinished(_) => log_rollout(record),
        Fact::JobStarted(_) | Fact::JobFinished(_) | Fact::JobMissed(_) => log_job(record),
        Fact::BuildCreated(_) | Fact::BuildStarted(_) | Fact::BuildFinished(_) => log_build(record),
        Fact::RecordsLost(_) => {
            tracing::warn!(%seq, "going on without records that are lost, as the operator said");
        }
        Fact::ConfigAdopted(of) => tracing::info!(%seq, hash = %of.hash, "configuration adopted"),
        Fact::SpaceShort(Space { free, needed }) => {
            tracing::error!(%seq, free, needed, "the file system of the state directory is nearly full: nothing is started until there is space");
        }
        Fact::SpaceRegained(space) => {
            tracing::info!(%seq, free = space.free, "there is space again; going on");
        }
        Fact::HistoryDropped(dropped) => {
            tracing::info!(%seq, oldest = %dropped.oldest, records = dropped.records, "old history dropped");
        }
        Fact::TagImported(_)
        | Fact::ImportFailed(_)
        | Fact::TagRecovered(_)
        | Fact::TagsListed(_)
        | Fact::ListingFailed(_)
        | Fact::TagRemoved(_)
        | Fact::OverlaySet(_)
        | Fact::ImagesPruned(_)
        | Fact::ImageDeleted(_)
        | Fact::ManifestDeleted(_) => log_tag(record, desired),
        Fact::TagProbed(_)
        | Fact::TagTrimmed(_)
        | Fact::TriggerFired(_)
        | Fact::RolloutStepped(_)
        | Fact::RolloutSuperseded(_)
        | Fact::StopStarted(_)
        | Fact::ScalePrepared(_)
        | Fact::JobCreated(_)
        | Fact::JobEnding(_)
        | Fact::BuildEnding(_)
        | Fact::Checkpoint(_) => {}
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "`log` hands over only these")]
fn log_rollout(record: &Record) {
    let seq = record.seq;
    match &record.fact {
        Fact::RolloutStarted(fact) => {
            let (object, revision, cause) = (&fact.object, fact.revision, fact.cause);
            tracing::info!(%seq, %object, %revision, %cause, target = %fact.target, "rollout started");
        }
        Fact::RolloutFinished(fact) if fact.outcome == Outcome::Complete => {
            tracing::info!(%seq, object = %fact.object, "rollout complete");
        }
        Fact::RolloutFinished(fact) => {
            tracing::warn!(%seq, object = %fact.object, outcome = %fact.outcome, reason = fact.reason, "rollout ended");
        }
        Fact::DigestHeld(fact) => {
            tracing::warn!(%seq, object = %fact.object, reason = fact.reason, "held");
        }
        Fact::HoldReleased(fact) => tracing::info!(%seq, object = %fact.object, "hold released"),
        Fact::StopFinished(fact) if fact.outcome != Outcome::Complete => {
            tracing::warn!(%seq, object = %fact.object, reason = fact.reason, "stopping failed");
        }
        Fact::StopFinished(fact) => {
            tracing::info!(%seq, object = %fact.object, outcome = %fact.outcome, "stopped");
        }
        Fact::ScaleStarted(fact) => {
            tracing::info!(%seq, object = %fact.object, from = fact.from, to = fact.to, "scaling");
        }
        Fact::ScaleFinished(fact) if fact.outcome == Outcome::Failed => {
            tracing::warn!(%seq, object = %fact.object, reason = fact.reason, "scaling failed");
        }
        Fact::ScaleFinished(fact) => {
            tracing::info!(%seq, object = %fact.object, outcome = %fact.outcome, "scaled");
        }
        Fact::RolloutOrdered(fact) => {
            tracing::info!(%seq, object = %fact.object, by = fact.by, "rollout ordered");
        }
        Fact::RolloutsPaused(fact) => {
            let object = fact.object.as_ref().map(ToString::to_string);
            tracing::info!(%seq, object, paused = fact.paused, by = fact.by, "rollouts paused or resumed");
        }
        _ => {}
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "`log` hands over only these")]
fn log_job(record: &Record) {
    let seq = record.seq;
    match &record.fact {
        Fact::JobStarted(fact) => {
            tracing::info!(%seq, object = %fact.object, job = fact.name, "a run of a CronJob begins");
        }
        Fact::JobFinished(fact) if fact.outcome == Outcome::Complete => {
            tracing::info!(%seq, object = %fact.object, job = fact.name, "a run of a CronJob succeeded");
        }
        Fact::JobFinished(fact) => {
            tracing::warn!(%seq, object = %fact.object, job = fact.name, outcome = %fact.outcome, reason = fact.reason, "a run of a CronJob ended");
        }
        Fact::JobMissed(fact) => {
            tracing::warn!(%seq, object = %fact.object, slot = %fact.slot, reason = fact.reason, "runs of a CronJob were missed");
        }
        _ => {}
    }
}

/// The texts of OpenShift's events (rule B30).
#[expect(clippy::wildcard_enum_match_arm, reason = "`log` hands over only these")]
fn log_build(record: &Record) {
    let seq = record.seq;
    match &record.fact {
        Fact::BuildCreated(fact) => {
            let causes: Vec<String> = fact.causes.iter().map(BuildCause::message).collect();
            tracing::info!(%seq, object = %fact.object, build = fact.name, causes = causes.join(", "), "build created");
        }
        Fact::BuildStarted(fact) => {
            tracing::info!(%seq, object = %fact.object, build = fact.name, "Build {}/{} is now running", fact.object.namespace, fact.name);
        }
        Fact::BuildFinished(fact) => {
            let (namespace, name, image) = (&fact.object.namespace, &fact.name, &fact.image);
            match fact.end {
                BuildEnd::Complete => {
                    let image = image.map(|image| image.to_string());
                    tracing::info!(%seq, object = %fact.object, build = name, image, "Build {namespace}/{name} completed successfully");
                }
                BuildEnd::Cancelled => {
                    tracing::warn!(%seq, object = %fact.object, build = name, reason = fact.message, "Build {namespace}/{name} has been cancelled");
                }
                BuildEnd::Failed | BuildEnd::Error => {
                    tracing::warn!(%seq, object = %fact.object, build = name, end = %fact.end, reason = fact.reason, message = fact.message, "Build {namespace}/{name} failed");
                }
            }
        }
        _ => {}
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "`log` hands over only these")]
fn log_tag(record: &Record, desired: &DesiredState) {
    let seq = record.seq;
    match &record.fact {
        Fact::TagImported(fact) => {
            tracing::info!(%seq, tag = %fact.tag, image = fact.event.reference, "tag imported");
        }
        Fact::ImportFailed(fact) => {
            let advice = effective::advice(desired, &fact.tag, fact.reason, &fact.message);
            tracing::warn!(%seq, tag = %fact.tag, reason = %fact.reason, message = fact.message, advice, "tag cannot be imported");
        }
        Fact::TagRecovered(fact) => {
            tracing::info!(%seq, tag = %fact.tag, "tag does not fail any more");
        }
        Fact::TagsListed(fact) => {
            let (tags, vanished, left_out) =
                (fact.tags.len(), fact.vanished.len(), fact.left_out.len());
            tracing::info!(%seq, stream = %fact.stream, tags, vanished, left_out, "repository listed");
        }
        Fact::ListingFailed(fact) => {
            let (reason, message) = (fact.reason, &fact.message);
            let advice = effective::advice_on_listing(desired, &fact.stream, reason, message);
            tracing::warn!(%seq, stream = %fact.stream, %reason, message, advice, "repository cannot be listed");
        }
        Fact::TagRemoved(fact) => {
            tracing::info!(%seq, tag = %fact.tag, because = %fact.because, "tag removed");
        }
        Fact::OverlaySet(fact) => {
            tracing::info!(%seq, tag = %fact.tag, by = fact.by, "overlay of a tag changed");
        }
        Fact::ImagesPruned(fact) => {
            let (items, images) = (fact.item_count(), fact.images.len());
            tracing::info!(%seq, items, images, by = fact.by, "images pruned");
        }
        Fact::ImageDeleted(fact) => {
            tracing::info!(%seq, image = %fact.image, by = fact.by, "image deleted");
        }
        Fact::ManifestDeleted(fact) => {
            let manifest = &fact.manifest;
            tracing::info!(%seq, digest = %manifest.digest, repository = %manifest.repository, "manifest deleted");
        }
        _ => {}
    }
}
