//! The process: the real journal and object store on the simulated disk, how it ends, and what the next one finds.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate::action::{Action, ActionId, Input};
use tidegate::engine::Engine;
use tidegate::fact::{HistoryDropped, Record, RolloutStep};
use tidegate::journal::disk::{Access, Disk as _};
use tidegate::journal::{
    Compacted, Compaction, From, Journal, JournalError, ObjectStore, Options, Place, Reader,
    Replay, Retention, Warning, objects_of,
};
use tidegate::names::{ContentHash, Seq};
use tidegate::observed::ObservedState;
use tidegate::time::Timestamp;

use super::disk::SimDisk;
use super::outside::Targets;
use super::rng::Rng;
use super::simulation::Simulation;

/// The state directory.
const ROOT: &str = "/state";

/// What one process holds.
pub(crate) struct Process {
    journal: Journal<SimDisk>,
    pub(crate) store: ObjectStore<SimDisk>,
    records_since_snapshot: u64,
}

/// The process is to end: nothing may follow from what it was about to do (law 2).
pub(crate) struct Ended;

/// How a process ends.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum End {
    /// It was told to.
    Stopped,
    /// By itself or by a signal: what it wrote is there.
    Killed,
    /// With the machine: what it did not sync may be gone.
    PowerCut,
}

impl End {
    pub(crate) fn any(rng: &mut Rng) -> Self {
        if rng.below(2) == 0 { Self::Killed } else { Self::PowerCut }
    }
}

/// What is durable, as far as the simulation was told.
pub(crate) struct Durable {
    pub(crate) disk: SimDisk,
    pub(crate) options: Options,
    /// Records after which a snapshot is written.
    pub(crate) snapshot_records: u64,
    retention: Retention,
    /// The oldest record that is still to be read.
    oldest: Seq,
    /// Records whose append returned: they are never lost, and no other record has their number.
    pub(crate) promised: Vec<Record>,
    /// Records whose append failed or did not return: a beginning of them may be there.
    attempted: Vec<Record>,
    /// What the promised records name in the object store.
    named: BTreeSet<ContentHash>,
}

impl Durable {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let options = Options {
            segment_bytes: *rng.pick(&[64 * 1024, 16 * 1024, 4 * 1024]),
            fill_bytes: *rng.pick(&[16 * 1024, 4 * 1024, 1024]),
            reserve_bytes: *rng.pick(&[0, 4 * 1024]),
        };
        Self {
            disk: SimDisk::new(),
            options,
            snapshot_records: *rng.pick(&[1_000, 60, 25, 10]),
            retention: Retention {
                keep_for: rng.pick(&[None, Some(600), Some(7_200)]).map(Duration::from_secs),
                keep_bytes: *rng.pick(&[None, Some(100_000), Some(0)]),
            },
            oldest: Seq(1),
            promised: Vec::new(),
            attempted: Vec::new(),
            named: BTreeSet::new(),
        }
    }

    /// The record that was written under a number.
    fn written(&self, seq: Seq) -> Option<&Record> {
        let at = usize::try_from(seq.0).unwrap().checked_sub(1)?;
        self.promised.iter().chain(&self.attempted).nth(at)
    }

    /// Opens the journal as a daemon does, and folds it.
    fn open(&self) -> Result<(Process, ObservedState, Vec<Warning>), JournalError> {
        let mut observed = ObservedState::default();
        let mut records_since_snapshot = 0;
        let disk = self.disk.clone();
        let opened = Journal::open_with(disk, Path::new(ROOT), self.options, &mut |replay| {
            match replay {
                Replay::Snapshot(snapshot) => {
                    observed = snapshot.state().map_err(|error| error.to_string())?;
                }
                Replay::Record(record) => {
                    let seq = record.seq;
                    assert_eq!(Some(&record), self.written(seq), "law 3: nobody wrote this {seq}");
                    observed.apply(&record);
                    records_since_snapshot += 1;
                }
            }
            Ok(())
        });
        let (journal, warnings) = opened?;
        let store = journal.objects();
        Ok((Process { journal, store, records_since_snapshot }, observed, warnings))
    }

    /// Law 1: what records name is in the store, whole.
    fn names_are_there(&self, store: &ObjectStore<SimDisk>) {
        for hash in &self.named {
            let found = store.get(hash);
            let by = self.promised.iter().find(|record| objects_of(&record.fact).contains(hash));
            let by = by.map(|record| record.seq);
            assert!(found.is_ok(), "law 1: record {by:?} names what is not there: {found:?}");
        }
    }

    /// Law 1: everything that was promised is there, and read from its beginning as it was written.
    pub(crate) fn is_whole(&self) {
        let reader = Reader::open(self.disk.clone(), Path::new(ROOT), From::Oldest).unwrap();
        let mut read = 0;
        for record in reader {
            let record = record.unwrap_or_else(|error| panic!("law 1: it cannot be read: {error}"));
            let seq = record.seq;
            assert_eq!(Some(&record), self.written(seq), "law 3: another record {seq} is read");
            read = seq.0;
        }
        let all = self.promised.len() as u64;
        assert_eq!(read.max(self.oldest.0 - 1), all, "law 1: the last record that is read");
    }
}

impl Durable {
    /// Retention: what has to stay is there, and nothing goes that nobody asked to let go.
    fn only_what_may_go_went(&self, done: &Compacted, now: Timestamp) {
        let first = Reader::open(self.disk.clone(), Path::new(ROOT), From::Oldest);
        let first = first.ok().and_then(|mut reader| reader.next()?.ok());
        assert_eq!(
            first.map_or(done.oldest, |record| record.seq),
            done.oldest,
            "what went is said"
        );
        let base = format!("{ROOT}/journal/snapshot-{:020}.json", done.oldest.0 - 1);
        let based = done.oldest == Seq(1) || self.disk.open(Path::new(&base), Access::Read).is_ok();
        assert!(based, "what is left stands on nothing");
        if self.retention.keep_bytes.is_some() {
            return; // anything may go behind the spare snapshot
        }
        let gone = self.promised.iter().filter(|record| record.seq < done.oldest);
        for record in gone.filter(|record| record.seq >= self.oldest) {
            let keep_for = self.retention.keep_for.expect("nothing goes without a limit");
            let is_old = record.at > now || record.at.after(keep_for) <= now;
            assert!(is_old, "{} of {} is gone at {now}", record.seq, record.at);
        }
    }

    /// Older records went: what only they named may go, too.
    fn forget(&mut self, oldest: Seq, state: &ObservedState) {
        self.oldest = oldest;
        let kept = self.promised.iter().filter(|record| record.seq >= oldest);
        self.named = kept.flat_map(|record| objects_of(&record.fact)).collect();
        self.named.extend(state.objects());
    }
}

impl Simulation {
    /// Something on the disk failed: the process ends.
    fn failed(&mut self, what: &str, error: &dyn std::error::Error) -> Ended {
        let well = !self.durable.disk.has_failed();
        assert!(!well, "law 2: {what} failed on a disk that is well: {error}");
        self.tell(|| format!("  {what}: {error}"));
        Ended
    }

    pub(super) fn keep(&mut self, values: &[Arc<[u8]>]) -> Result<(), Ended> {
        let Err(error) = self.process().store.put_many(values) else { return Ok(()) };
        Err(self.failed("store", &error))
    }

    pub(super) fn append(&mut self, records: Vec<Record>) -> Result<(), Ended> {
        if let Err(error) = self.process_mut().journal.append(&records) {
            self.durable.attempted = records;
            return Err(self.failed("append", &error));
        }
        self.process_mut().records_since_snapshot += records.len() as u64;
        for record in records {
            self.promise(record);
        }
        Ok(())
    }

    /// A record is durable.
    fn promise(&mut self, record: Record) {
        self.tell(|| format!("    {:>4} {}", record.seq, crate::support::story::record(&record)));
        let outside = (&self.targets, &self.builder);
        self.oracle.record(&record, &self.repository, outside);
        self.durable.named.extend(objects_of(&record.fact));
        self.durable.promised.push(record);
    }

    /// What is left of the disk, where that changes whether anything may be started.
    pub(super) fn space(&mut self) -> Option<Input> {
        let space = self.process_mut().journal.space().ok()?;
        let was_short = self.engine.observed().space_short.is_some();
        (space.is_short(was_short) != was_short).then_some(Input::Space(space))
    }

    /// What a daemon does for its files after a step: snapshots, retention, collection.
    ///
    /// What a daemon does beside its loop is done in it here, so that a crash falls between any two of its operations.
    pub(super) fn maintain(&mut self) -> Result<(), Ended> {
        self.collect();
        let is_due = self.collection.is_none()
            && self.process().records_since_snapshot >= self.durable.snapshot_records;
        if !is_due || self.engine.observed().space_short.is_some() {
            return Ok(());
        }
        let process = self.process.as_mut().unwrap();
        if !process.journal.may_rotate() {
            return Ok(());
        }
        process.records_since_snapshot = 0;
        let sealed = match process.journal.seal() {
            Ok(sealed) => sealed,
            Err(error) => return Err(self.failed("seal", &error)),
        };
        let collection = process.store.begin_collection();
        let disk = self.durable.disk.clone();
        let compaction = Compaction::new(disk, Path::new(ROOT), sealed, ObservedState::apply);
        // A daemon goes on where these fail, and tries them again later; a disk that is well is no reason to.
        let compacted = compaction.run(self.durable.retention, self.now.wall);
        let told = match &compacted {
            Ok(done) => format!("  compacted: {done:?}"),
            Err(error) => format!("  not compacted: {error}"),
        };
        self.tell(|| told);
        let Ok(compacted) = compacted else { return Ok(()) };
        self.durable.only_what_may_go_went(&compacted, self.now.wall);
        self.durable.forget(compacted.oldest, self.engine.observed());
        if compacted.dropped > 0 {
            let (oldest, records) = (compacted.oldest, compacted.dropped);
            self.dropped.push(Input::HistoryDropped(HistoryDropped { oldest, records }));
        }
        // What is under way may have put a value that no record names yet.
        let last = self.flights.keys().next_back().copied();
        self.collection = collection.ok().map(|collection| (last, collection));
        Ok(())
    }

    /// Collects when everything that was under way at the beginning has ended.
    fn collect(&mut self) {
        let oldest = self.flights.keys().next().copied();
        let ready = |(last, _): &mut (Option<ActionId>, _)| oldest > *last || oldest.is_none();
        let Some((_, collection)) = self.collection.take_if(ready) else { return };
        let done = collection.finish();
        self.tell(|| format!("  collected: {done:?}"));
        if !self.durable.disk.has_stopped() {
            self.durable.names_are_there(&self.process().store);
        }
    }

    /// The process ends, and another one begins.
    pub(crate) fn end(&mut self, end: End) {
        self.tell(|| format!("END: {end:?}"));
        self.crash = false;
        self.process = None;
        self.late.clear();
        self.dropped.clear();
        self.collection = None;
        let commit = self.engine.tree_commit().filter(|_| self.rng.below(4) > 0);
        self.tree = commit.map(|commit| (commit, self.engine.tree().clone()));
        for (_, flight) in std::mem::take(&mut self.flights) {
            if flight.answer.is_none() {
                self.registries.meter.lost(self.now.mono, &flight.action);
            }
            if let Action::Scale(request) = &flight.action
                && request.rendered.is_some()
                && self.rng.below(2) == 1
            {
                self.targets.host.scale(request);
            }
            // What was under way may still have its effect, and nobody hears of it.
            if let Action::RollOut(request) = &flight.action
                && self.rng.below(2) == 1
            {
                match &request.step {
                    // What it was to keep is not kept: nobody hears of it.
                    Some(order) if order.step == RolloutStep::Pulling => {}
                    Some(order) => {
                        let healthy = Targets::is_healthy(request);
                        let rounds = Some(self.rng.below(4));
                        self.targets.host.step(request, order, healthy, None, rounds);
                        self.targets.works(&request.object);
                    }
                    None => drop(self.targets.roll_out(request)),
                }
            }
        }
        self.lose(end);
        let warnings = self.start();
        if end == End::Stopped && !self.durable.disk.has_failed() {
            assert_eq!(warnings, [], "law 8: something to repair after a proper end");
        }
        self.go_on();
    }

    fn lose(&mut self, end: End) {
        match end {
            End::Stopped | End::Killed => self.durable.disk.go_on(),
            End::PowerCut => self.durable.disk.cut_power(&mut self.rng),
        }
    }

    /// Starts until it succeeds, as a service manager would.
    pub(crate) fn start(&mut self) -> Vec<Warning> {
        for _ in 0..40 {
            match self.durable.open() {
                Ok((process, observed, warnings)) => {
                    self.opened(process, observed, &warnings);
                    return warnings;
                }
                Err(error) => self.not_opened(&error),
            }
            self.go_to(self.now.mono.after(Duration::from_secs(2)));
        }
        panic!("liveness: it does not start any more");
    }

    fn not_opened(&mut self, error: &JournalError) {
        self.tell(|| format!("  does not start: {error}"));
        let disk = self.durable.disk.clone();
        match error {
            JournalError::Io { .. } => assert!(disk.has_failed(), "law 2: {error}"),
            JournalError::Damaged(damage) if disk.has_flipped() => self.salvage(&damage.place),
            JournalError::Newer { place, .. } if disk.has_flipped() => self.salvage(place),
            _ => panic!("law 1: a crash is no reason to refuse: {error}"),
        }
        if disk.has_stopped() {
            let end = End::any(&mut self.rng);
            self.lose(end);
        }
    }

    /// An operator takes the good part, which is all that was promised.
    fn salvage(&mut self, bad: &Place) {
        self.tell(|| format!("  operator: salvage before {bad}"));
        self.durable.disk.cut_off(&bad.path, bad.offset);
    }

    fn opened(&mut self, process: Process, observed: ObservedState, warnings: &[Warning]) {
        for warning in warnings {
            self.tell(|| format!("  {warning}"));
            let torn = matches!(warning, Warning::SnapshotUnusable { .. });
            assert!(!torn, "law 1: a file has its name and is not whole: {warning}");
        }
        let (last, promised) = (observed.last_seq.0, self.durable.promised.len() as u64);
        assert!(last >= promised, "law 1: records {} to {promised} are lost", last + 1);
        let attempted = std::mem::take(&mut self.durable.attempted);
        let found = usize::try_from(last - promised).unwrap();
        assert!(found <= attempted.len(), "law 3: nobody wrote record {last}");
        for record in attempted.into_iter().take(found) {
            self.promise(record);
        }
        self.durable.names_are_there(&process.store);
        self.starts += 1;
        if self.starts.is_multiple_of(4) {
            self.durable.is_whole();
        }
        self.oracle.restarted(&observed);
        self.engine = Engine::new(self.policy.clone(), observed, self.now);
        self.process = Some(process);
        self.durable.disk.begin();
    }

    /// Loads the adopted commit, and takes the first step.
    pub(crate) fn go_on(&mut self) {
        let observed = self.engine.observed();
        let store = &self.process().store;
        let read = |hash: ContentHash| serde_json::from_slice(&store.get(&hash).unwrap()).unwrap();
        let kept: Vec<_> = observed.kept_versions().map(|hash| (hash, read(hash))).collect();
        let adopted = observed.adopted.as_ref().map(|adopted| adopted.commit);
        let lost = self.faults && self.rng.one_in(8);
        match adopted {
            Some(_) if lost => {
                self.tell(|| "the mirror is lost".into());
                self.engine.keep(kept);
            }
            // The cache that a daemon keeps of the manifests as it read them.
            Some(commit) if self.tree.as_ref().is_some_and(|(of, _)| *of == commit) => {
                let (commit, tree) = self.tree.take().unwrap();
                self.engine.load_tree(tree, commit, kept);
            }
            Some(commit) => {
                let commits = &self.repository.commits;
                let read = crate::support::engine::source_read(commits, commit, None);
                self.engine.load(&read, kept);
            }
            None => {}
        }
        self.step(vec![]);
    }

    pub(crate) fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().unwrap()
    }
}
