//! Looking after the state directory beside the loop: snapshots, retention, collection of objects and commits.
//!
//! The loop only seals the journal's file; everything else is read and written by another thread. A value that an
//! action has put may not be recorded yet, so objects are collected when all actions that ran at the beginning have
//! ended.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::action::{Action, ActionId, Input};
use crate::control::Reply;
use crate::fact::{Fact, HistoryDropped, Record};
use crate::journal::disk::RealDisk;
use crate::journal::{
    Collected, Collection, Compacted, Compaction, Journal, Options, Replay, Retention,
};
use crate::names::Seq;
use crate::observed::ObservedState;
use crate::time::{Monotonic, Now, Timestamp};
use crate::world::git::Source;

use super::{Daemon, Event, Events, outline};

/// Records after which a snapshot is written, so that a replay stays short.
const RECORDS: u64 = 20_000;

/// Time after which old history is looked for also where few records are written.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// What an upkeep did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) compacted: Compacted,
    pub(crate) collected: Collected,
    /// Commits that the mirror need not keep any more.
    pub(crate) commits: usize,
}

impl Done {
    /// In words, for people.
    pub(crate) fn words(&self) -> String {
        let Self { compacted, collected, commits } = self;
        let history = match compacted.dropped {
            0 => "no record is old enough to go".to_owned(),
            n => format!(
                "{n} old records went ({} bytes); the oldest is record {} now",
                compacted.freed, compacted.oldest
            ),
        };
        format!(
            "snapshot at record {}; {history}; {} objects collected ({} bytes), {} kept; {commits} old commits let go",
            compacted.snapshot, collected.removed, collected.freed, collected.kept
        )
    }
}

/// Where an upkeep stands.
#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    /// Another thread compacts.
    Compacting(Begun),
    /// Compacted; actions that began before are awaited.
    Awaiting(Begun, Compacted),
    /// Another thread collects.
    Collecting,
}

/// What is kept of the beginning.
#[derive(Debug)]
struct Begun {
    /// The last action that had begun.
    last: ActionId,
    collection: Collection,
}

/// The upkeep of one daemon.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    phase: Phase,
    /// Records behind the newest snapshot.
    pub(super) records: u64,
    /// When the last one began.
    at: Option<Monotonic>,
    /// How far the newest snapshot of an earlier process reaches.
    snapshot_at: Option<Timestamp>,
    /// Records at the last failure; none where the last one did not fail.
    failed_at: Option<u64>,
    stop: Arc<AtomicBool>,
    asked: Vec<oneshot::Sender<Reply>>,
}

impl Upkeep {
    /// `records` are behind the newest snapshot, whose last one was written at `snapshot_at`.
    pub(super) fn new(records: u64, snapshot_at: Option<Timestamp>) -> Self {
        Self { records, snapshot_at, ..Self::default() }
    }

    /// Makes what runs end early.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Whether it waits for actions to end.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Awaiting(..))
    }

    fn is_due(&self, now: Now) -> bool {
        let many = self.records >= RECORDS + self.failed_at.unwrap_or(0);
        let long_ago = match (self.at, self.snapshot_at) {
            // A daemon that is started again every day would never come to it by its own clock.
            (None, Some(snapshot)) if snapshot.after(INTERVAL) <= now.wall => true,
            (at, _) => now.mono.since(at.unwrap_or(Monotonic::START)) >= INTERVAL,
        };
        !self.asked.is_empty() || many || long_ago && self.records > 0
    }

    fn end(&mut self, result: anyhow::Result<Done>) {
        self.phase = Phase::Idle;
        let reply = match result {
            Ok(done) => {
                self.failed_at = None;
                tracing::info!(done = done.words(), "state directory looked after");
                Reply::Nothing(done.words())
            }
            Err(error) => {
                self.failed_at = Some(self.records);
                let error = format!("{error:#}");
                tracing::warn!(error, "cannot look after the state directory; tried again later");
                Reply::Refused(error)
            }
        };
        for asked in self.asked.drain(..) {
            drop(asked.send(reply.clone())); // whoever asked may have gone
        }
    }
}

/// What another thread came to.
#[derive(Debug)]
pub enum Progress {
    /// History is compacted, or not.
    Compacted(anyhow::Result<Compacted>),
    /// Objects and commits are collected, or not.
    Collected(anyhow::Result<(Collected, usize)>, Compacted),
}

/// An action that is under way.
pub(super) struct Running {
    pub(super) cancel: CancellationToken,
    /// Whether it may put values into the object store that no record names yet.
    stores: bool,
}

impl Running {
    pub(super) fn new(action: &Action, cancel: CancellationToken) -> Self {
        // The run of a job stores nothing, and may take days.
        Self { cancel, stores: !matches!(action, Action::Job(_)) }
    }
}

impl Daemon {
    /// Takes the mark of a restored journal away, now that the journal says it.
    pub(super) fn forget_mark(&self) {
        if let Err(error) = crate::journal::forget_records_lost(&self.state_dir) {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::warn!(
                error,
                "the loss of records will be recorded once more at the next start"
            );
        }
    }

    /// Somebody asks for it now.
    pub(super) fn ask_upkeep(&mut self, answer: oneshot::Sender<Reply>) {
        self.upkeep.asked.push(answer);
    }

    /// Begins what is due, after a step.
    pub(super) fn look_after(&mut self, now: Now) -> anyhow::Result<()> {
        if !matches!(self.upkeep.phase, Phase::Idle) || !self.upkeep.is_due(now) {
            return Ok(());
        }
        self.upkeep.at = Some(now.mono);
        if let Some(short) = &self.engine.observed().space_short {
            self.upkeep.end(Err(anyhow::anyhow!("{short}")));
            return Ok(());
        }
        if !self.journal.may_rotate() {
            self.upkeep
                .end(Err(anyhow::anyhow!("there is no space for another file of the journal")));
            return Ok(());
        }
        let collection = match self.store.begin_collection() {
            Ok(collection) => collection,
            Err(error) => {
                self.upkeep.end(Err(error.into()));
                return Ok(());
            }
        };
        let sealed = tokio::task::block_in_place(|| self.journal.seal())
            .context("cannot begin a file of the journal; stopping, nothing was done")?;
        self.upkeep.records = 0;
        let last = self.storing().max().unwrap_or(ActionId(0));
        self.upkeep.phase = Phase::Compacting(Begun { last, collection });
        let compaction = Compaction::new(RealDisk, &self.state_dir, sealed, ObservedState::apply)
            .with_switch(Arc::clone(&self.upkeep.stop));
        let (retention, events, dir) =
            (self.retention, self.events.clone(), self.state_dir.clone());
        tokio::task::spawn_blocking(move || {
            let result = compaction.run(retention, now.wall).map_err(anyhow::Error::from);
            outline::refresh(&dir);
            send(&events, Progress::Compacted(result));
        });
        Ok(())
    }

    /// What is under way and may put values into the object store.
    fn storing(&self) -> impl Iterator<Item = ActionId> {
        self.running.iter().filter(|(_, action)| action.stores).map(|(id, _)| *id)
    }

    /// Takes what another thread came to.
    pub(super) fn upkeep_went_on(&mut self, progress: Progress, inputs: &mut Vec<Input>) {
        match (progress, std::mem::take(&mut self.upkeep.phase)) {
            (Progress::Compacted(Ok(compacted)), Phase::Compacting(begun)) => {
                if compacted.dropped > 0 {
                    let (oldest, records) = (compacted.oldest, compacted.dropped);
                    inputs.push(Input::HistoryDropped(HistoryDropped { oldest, records }));
                }
                self.upkeep.phase = Phase::Awaiting(begun, compacted);
            }
            (Progress::Compacted(Err(error)), _) => self.upkeep.end(Err(error)),
            (Progress::Collected(result, compacted), _) => {
                let done =
                    result.map(|(collected, commits)| Done { compacted, collected, commits });
                self.upkeep.end(done);
            }
            (Progress::Compacted(Ok(_)), phase) => self.upkeep.phase = phase,
        }
    }

    /// Collects when nothing is under way any more that began before.
    ///
    /// To be called when everything that has arrived is recorded: an action that has ended has sent its answer before.
    pub(super) fn collect_when_quiet(&mut self) {
        let Phase::Awaiting(begun, _) = &self.upkeep.phase else { return };
        let oldest = self.storing().min();
        if oldest.is_some_and(|id| id <= begun.last) {
            return;
        }
        let phase = std::mem::replace(&mut self.upkeep.phase, Phase::Collecting);
        let Phase::Awaiting(begun, compacted) = phase else { return };
        let (source, events) = (Arc::clone(&self.world.source), self.events.clone());
        let adopted = self.engine.observed().adopted.as_ref().map(|adopted| adopted.seq);
        tokio::task::spawn_blocking(move || {
            let result = collect(begun.collection, Some(&source), compacted.oldest, adopted);
            send(&events, Progress::Collected(result, compacted));
        });
    }
}

fn send(events: &Events, progress: Progress) {
    drop(events.blocking_send(Event::Upkeep(progress))); // the loop may have ended
}

fn collect(
    collection: Collection,
    source: Option<&Source>,
    oldest: Seq,
    adopted: Option<Seq>,
) -> anyhow::Result<(Collected, usize)> {
    let commits = source.map_or(Ok(0), |source| let_go(source, oldest, adopted))?;
    let collected = collection.finish().context("cannot collect objects")?;
    Ok((collected, commits))
}

/// Lets commits go whose records are gone; the one in force is kept.
fn let_go(source: &Source, oldest: Seq, adopted: Option<Seq>) -> anyhow::Result<usize> {
    let kept = source.kept().context("cannot read which commits the mirror keeps")?;
    let old = kept.into_keys().filter(|seq| *seq < oldest && Some(*seq) != adopted);
    let old: Vec<_> = old.collect();
    source.release(&old).context("cannot let old commits of the mirror go")?;
    Ok(old.len())
}

/// The same without a daemon, by who holds the journal's lock.
///
/// # Errors
/// When something cannot be read or written; what is named is never among what was removed.
pub(crate) fn by_hand(
    state_dir: &Path,
    source: Option<&Source>,
    retention: Retention,
    now: Timestamp,
) -> anyhow::Result<Done> {
    let mut observed = ObservedState::default();
    let (mut journal, warnings) =
        Journal::open_with(RealDisk, state_dir, Options::default(), &mut |replay| {
            match replay {
                Replay::Snapshot(snapshot) => {
                    let state = snapshot.state().map_err(anyhow::Error::from);
                    observed = state.map_err(|error| format!("{error:#}"))?;
                }
                Replay::Record(record) => observed.apply(&record),
            }
            Ok(())
        })?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let collection = journal.objects().begin_collection()?;
    let sealed = journal.seal()?;
    let compaction = Compaction::new(RealDisk, state_dir, sealed, ObservedState::apply);
    let compacted = compaction.run(retention, now)?;
    if compacted.dropped > 0 {
        let (oldest, records) = (compacted.oldest, compacted.dropped);
        let fact = Fact::HistoryDropped(HistoryDropped { oldest, records });
        journal.append(&[Record { seq: sealed.seq.next(), at: now, fact }])?;
    }
    let adopted = observed.adopted.map(|adopted| adopted.seq);
    let (collected, commits) = collect(collection, source, compacted.oldest, adopted)?;
    outline::refresh(state_dir);
    Ok(Done { compacted, collected, commits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_started_again_and_again_looks_after_what_is_a_day_old() {
        let snapshot_at = Timestamp::from_millis(1_800_000_000_000);
        let upkeep = Upkeep::new(5, Some(snapshot_at));
        let after = |hours: u64| Now {
            wall: snapshot_at.after(Duration::from_secs(hours * 3600)),
            mono: Monotonic::START,
        };
        assert!(!upkeep.is_due(after(23)));
        assert!(upkeep.is_due(after(24)));
        assert!(!Upkeep::new(0, Some(snapshot_at)).is_due(after(24)), "nothing was written since");
    }
}
