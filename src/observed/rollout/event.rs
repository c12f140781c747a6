//! What facts say about workloads.

use crate::fact::{
    DigestHeld, Fact, JobCreated, JobEnding, JobFinished, JobMissed, JobStarted, RolloutFinished,
    RolloutOrdered, RolloutStarted, RolloutStepped, RolloutSuperseded, RolloutsPaused,
    ScaleFinished, ScalePrepared, ScaleStarted, StopFinished, StopStarted, TriggerFired,
    build_fact,
};
use crate::names::ObjectKey;

/// What a fact says about one workload.
pub(super) enum Event<'a> {
    Fired(&'a TriggerFired),
    Started(&'a RolloutStarted),
    Stepped(&'a RolloutStepped),
    Superseded(&'a RolloutSuperseded),
    Ordered(&'a RolloutOrdered),
    Paused(&'a RolloutsPaused),
    Finished(&'a RolloutFinished),
    Held(&'a DigestHeld),
    Released,
    StopStarted(&'a StopStarted),
    StopFinished(&'a StopFinished),
    ScaleStarted(&'a ScaleStarted),
    ScalePrepared(&'a ScalePrepared),
    ScaleFinished(&'a ScaleFinished),
    Job(JobEvent<'a>),
}

/// What a fact says about a run of a `CronJob`.
#[derive(Clone, Copy)]
pub(super) enum JobEvent<'a> {
    Started(&'a JobStarted),
    Created(&'a JobCreated),
    Ending(&'a JobEnding),
    Finished(&'a JobFinished),
    Missed(&'a JobMissed),
}

/// The workload that a fact is about, and what it says: the one list of such facts.
pub(super) fn event_of(fact: &Fact) -> Option<(&ObjectKey, Event<'_>)> {
    Some(match fact {
        Fact::TriggerFired(fired) => (&fired.object, Event::Fired(fired)),
        Fact::RolloutStarted(started) => (&started.object, Event::Started(started)),
        Fact::RolloutStepped(stepped) => (&stepped.object, Event::Stepped(stepped)),
        Fact::RolloutSuperseded(fact) => (&fact.object, Event::Superseded(fact)),
        Fact::RolloutFinished(finished) => (&finished.object, Event::Finished(finished)),
        Fact::RolloutOrdered(ordered) => (&ordered.object, Event::Ordered(ordered)),
        Fact::RolloutsPaused(paused) => (paused.object.as_ref()?, Event::Paused(paused)),
        Fact::DigestHeld(held) => (&held.object, Event::Held(held)),
        Fact::HoldReleased(released) => (&released.object, Event::Released),
        Fact::StopStarted(started) => (&started.object, Event::StopStarted(started)),
        Fact::StopFinished(finished) => (&finished.object, Event::StopFinished(finished)),
        Fact::ScaleStarted(started) => (&started.object, Event::ScaleStarted(started)),
        Fact::ScalePrepared(prepared) => (&prepared.object, Event::ScalePrepared(prepared)),
        Fact::ScaleFinished(finished) => (&finished.object, Event::ScaleFinished(finished)),
        Fact::JobStarted(job) => (&job.object, Event::Job(JobEvent::Started(job))),
        Fact::JobCreated(job) => (&job.object, Event::Job(JobEvent::Created(job))),
        Fact::JobEnding(job) => (&job.object, Event::Job(JobEvent::Ending(job))),
        Fact::JobFinished(job) => (&job.object, Event::Job(JobEvent::Finished(job))),
        Fact::JobMissed(job) => (&job.object, Event::Job(JobEvent::Missed(job))),
        Fact::CommitAdopted(_)
        | Fact::CommitRefused(_)
        | Fact::CommitWithdrawn(_)
        | Fact::SourceFailed(_)
        | Fact::SourceRecovered
        | Fact::RemovalsReleased(_)
        | Fact::TagImported(_)
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
        | build_fact!()
        | Fact::ConfigAdopted(_)
        | Fact::RecordsLost(_)
        | Fact::SpaceShort(_)
        | Fact::SpaceRegained(_)
        | Fact::HistoryDropped(_)
        | Fact::Checkpoint(_) => return None,
    })
}

/// The workload that a fact is about.
pub(crate) fn object_of(fact: &Fact) -> Option<&ObjectKey> {
    event_of(fact).map(|(object, _)| object)
}
