//! Plans become facts and actions, as far as there is room for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::action::{
    Action, AskRollout, Previous, ReadSource, ResolveRequest, RolloutRequest, StepOrder,
    StopRequest,
};
use crate::effective;
use crate::fact::{Fact, RolloutStarted, RolloutStepped};
use crate::names::{ContentHash, ObjectKey, RolloutKey, Seq};
use crate::observed::rollout::{Rollout, Stop};
use crate::plan::{Key, Plan, Step};
use crate::sabotage::{self, Bug};
use crate::time::Now;

use super::steps::End;
use super::{Batch, Engine, InFlight};

impl Engine {
    pub(super) fn carry_out(&mut self, key: &Key, plan: Plan, now: Now, batch: &mut Batch) {
        // A key waits for nothing but what its plan asks for now: where it waited may have changed with its manifest.
        let mut wants = plan.steps.iter().map(|step| self.wants(step));
        let wants = wants.find(|wants| !wants.is_empty()).unwrap_or_default();
        let mut admission = std::mem::take(&mut self.admission);
        let may_start = admission.take(key, &wants, |scarce| self.room(scarce, now));
        self.admission = admission;
        if !may_start {
            // What finds no place leaves no trace: what leads to a rollout is recorded together with it.
            return;
        }
        for step in plan.steps {
            self.carry_out_step(key, step, now, batch);
        }
    }

    fn carry_out_step(&mut self, key: &Key, step: Step, now: Now, batch: &mut Batch) {
        match step {
            Step::ReadSource => self.begin_reading(batch),
            Step::Resolve { check, known, reason } => {
                let soft = self.soft.checks.entry(check.clone()).or_default();
                soft.in_flight = true;
                soft.asking.append(&mut soft.nudged);
                let mut request =
                    ResolveRequest { check: (*check).clone(), known, allowance: None };
                let id = self.new_action(InFlight::Check(check, reason.clone()));
                self.allow_check(id, &mut request, &reason, now);
                batch.starts.push((id, Action::Resolve(Box::new(request))));
            }
            Step::List { stream, request } => {
                let Some(spec) = self.desired.streams.get(&stream) else { return };
                let asked = effective::listing_fingerprint(spec, &self.policy);
                let soft = self.soft.listings.entry(stream.clone()).or_default();
                soft.in_flight = true;
                soft.nudged = false;
                let about = InFlight::Listing(stream, request.clone(), asked);
                let id = self.new_action(about);
                self.allow_list(id, &request, now);
                batch.starts.push((id, Action::List(request)));
            }
            Step::Copy { tag, check, fingerprint } => {
                self.copy(&tag, check, fingerprint, now, batch);
            }
            Step::DeleteManifest(manifest) => self.delete_manifest(manifest, batch),
            Step::Record(fact) => {
                if sabotage::is(Bug::DoubleTrigger) && matches!(*fact, Fact::TriggerFired(_)) {
                    self.record((*fact).clone(), now, batch);
                }
                // What kept one step from being done is nothing to the next.
                if let Fact::RolloutStepped(stepped) = &*fact {
                    self.soft.deliveries.remove(&stepped.rollout);
                }
                self.record(*fact, now, batch);
            }
            Step::Start { rollout, manifest } => {
                self.start(key, rollout, manifest, now, batch);
            }
            Step::Deliver(seq) => self.deliver(key, seq, now, batch),
            Step::TagImages(seq) => self.tag_images(key, seq, now, batch),
            Step::Ask(seq) => self.ask(key, seq, now, batch),
            Step::Cancel(seq) => {
                self.cancel(seq, batch);
                if matches!(key, Key::Build(_)) {
                    self.dirty.insert(key.clone()); // others of the same may begin
                }
            }
            Step::Finish { rollout, outcome, reason, rolled_back } => {
                if let Key::Workload(object) = key {
                    let end = End { outcome, reason, log: String::new(), rolled_back };
                    self.finish(object, rollout, end, now, batch);
                }
            }
            Step::Stop(started) => {
                let seq = self.record(Fact::StopStarted(*started), now, batch);
                self.deliver_stop(key, seq, now, batch);
            }
            Step::DeliverStop(seq) => self.deliver_stop(key, seq, now, batch),
            Step::Scale(started) => {
                let seq = self.record(Fact::ScaleStarted(*started), now, batch);
                self.deliver_scale(key, seq, now, batch);
            }
            Step::DeliverScale(seq) => self.deliver_scale(key, seq, now, batch),
            Step::DeliverJob(seq) => self.deliver_job(key, seq, now, batch),
            Step::CreateBuild { .. } | Step::StartBuild(_) | Step::DeliverBuild(_) => {
                self.carry_out_build(key, step, now, batch);
            }
        }
    }

    fn begin_reading(&mut self, batch: &mut Batch) {
        self.soft.source.in_flight = true;
        self.soft.source.nudged = false;
        let id = self.new_action(InFlight::Source);
        let action = Action::ReadSource(ReadSource { base: self.tree_commit });
        batch.starts.push((id, action));
    }

    fn start(
        &mut self,
        key: &Key,
        rollout: Box<RolloutStarted>,
        manifest: Arc<[u8]>,
        now: Now,
        batch: &mut Batch,
    ) {
        if !manifest.is_empty() {
            batch.store.push(manifest);
        }
        let (object, first) = (rollout.object.clone(), rollout.steps.first().copied());
        let is_in_force = rollout.cron.is_some();
        let seq = self.record(Fact::RolloutStarted(rollout), now, batch);
        if let Some(step) = first {
            let stepped = RolloutStepped {
                rollout: seq,
                object,
                step,
                rendered: None,
                note: String::new(),
                ending: None,
                down: None,
            };
            self.record(Fact::RolloutStepped(Box::new(stepped)), now, batch);
        }
        if !is_in_force {
            self.deliver(key, seq, now, batch);
        }
    }

    pub(super) fn rollout(&self, object: &ObjectKey, seq: Seq) -> Option<&Rollout> {
        let rollouts = &self.observed.workloads.get(object)?.rollouts;
        rollouts.iter().find(|rollout| rollout.seq == seq)
    }

    fn deliver(&mut self, key: &Key, seq: Seq, now: Now, batch: &mut Batch) {
        let Key::Workload(object) = key else { return };
        let Some(rollout) = self.rollout(object, seq) else { return };
        let RolloutStarted { revision, cause, replaces, images, manifest, commit, target, .. } =
            rollout.started.clone();
        let replaces = replaces.map(|replaced| {
            self.rollout(object, replaced).map_or_else(
                || RolloutKey { seq: replaced, ..rollout.started.key(seq) },
                |other| other.started.key(replaced),
            )
        });
        let mut key_told = rollout.started.key(seq);
        if let Some(replaced) = replaces.as_ref().filter(|_| sabotage::is(Bug::ReuseKey)) {
            key_told.clone_from(replaced);
        }
        if sabotage::is(Bug::NewKey) && self.soft.deliveries.contains_key(&seq) {
            key_told.seq = self.observed.next_seq();
        }
        // What did not touch what it found leaves nothing as it was, where that was not what ran before.
        let state = self.observed.workloads.get(object);
        let unknown = state.is_some_and(|state| state.is_unknown_before(seq));
        let step = rollout.step.as_ref().map(|stepped| StepOrder {
            step: stepped.step,
            rendered: rollout.rendered,
            previous: self.previous(object, seq),
            written: self.written(object),
            got_to: stepped.ending.as_ref().filter(|_| !unknown).map(|ending| ending.step),
            down: rollout.down,
            names: rollout.started.names.clone(),
            force: rollout.started.force,
        });
        let request = RolloutRequest {
            key: key_told,
            started: rollout.at,
            object: object.clone(),
            revision,
            cause,
            replaces,
            images,
            manifest,
            commit,
            target,
            step,
        };
        self.begin_delivery(seq, now);
        let id = self.new_action(InFlight::Delivery { rollout: seq, key: key.clone() });
        batch.starts.push((id, Action::RollOut(Box::new(request))));
    }

    /// What the target ran before a rollout, as it was rendered.
    fn previous(&self, object: &ObjectKey, seq: Seq) -> Option<Previous> {
        let active = self.observed.workloads.get(object)?.active()?;
        let rendered = active.rendered.filter(|_| active.seq != seq)?;
        let RolloutStarted { commit, manifest, .. } = active.started;
        let names = active.started.names.clone();
        Some(Previous { commit, manifest, rendered, names })
    }

    /// What was put together for an object by the rollouts that are remembered, each once.
    pub(super) fn written(&self, object: &ObjectKey) -> Vec<ContentHash> {
        let Some(state) = self.observed.workloads.get(object) else { return Vec::new() };
        let rolled = state
            .rollouts
            .iter()
            .flat_map(|rollout| rollout.rendered.iter().chain(&rollout.unfinished).copied());
        let scaled = state.scale.iter().filter_map(|scale| scale.rendered);
        rolled.chain(scaled).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn ask(&mut self, key: &Key, seq: Seq, now: Now, batch: &mut Batch) {
        let Key::Workload(object) = key else { return };
        let delivery = self.soft.deliveries.get(&seq);
        let Some(url) = delivery.and_then(|delivery| delivery.status_url.clone()) else { return };
        let stop = self.observed.workloads.get(object).and_then(|state| state.stopping());
        let (key_asked, target) = match (stop, self.rollout(object, seq)) {
            (Some(stop), _) if stop.seq == seq => (stop_key(object, stop), &stop.started.target),
            (_, Some(rollout)) => (rollout.started.key(seq), &rollout.started.target),
            (_, None) => return,
        };
        let ask = AskRollout { key: key_asked, target: target.clone(), status_url: url };
        self.begin_delivery(seq, now);
        let id = self.new_action(InFlight::Delivery { rollout: seq, key: key.clone() });
        batch.starts.push((id, Action::AskRollout(Box::new(ask))));
    }

    fn cancel(&mut self, seq: Seq, batch: &mut Batch) {
        let is_its = |about: &InFlight| match about {
            InFlight::Delivery { rollout, .. } => *rollout == seq,
            InFlight::Source
            | InFlight::Check(..)
            | InFlight::Listing(..)
            | InFlight::Push(_)
            | InFlight::Deletion(_)
            | InFlight::Copy(_)
            | InFlight::Silent => false,
        };
        let id = self.in_flight.iter().find(|(_, about)| is_its(about)).map(|(id, _)| *id);
        if let (Some(id), Some(delivery)) = (id, self.soft.deliveries.get_mut(&seq)) {
            delivery.cancelled = true;
            if !sabotage::is(Bug::ForgetCancel) {
                batch.cancels.push(id);
            }
        }
    }

    fn deliver_stop(&mut self, key: &Key, seq: Seq, now: Now, batch: &mut Batch) {
        let Key::Workload(object) = key else { return };
        let stop = self.observed.workloads.get(object).and_then(|state| state.stop.as_ref());
        let Some(stop) = stop else { return };
        let request = StopRequest {
            key: stop_key(object, stop),
            started: stop.at,
            object: object.clone(),
            manifest: stop.started.manifest,
            written: self.written(object),
            target: stop.started.target.clone(),
        };
        self.begin_delivery(seq, now);
        let id = self.new_action(InFlight::Delivery { rollout: seq, key: key.clone() });
        batch.starts.push((id, Action::Stop(Box::new(request))));
    }

    /// Puts a large value into the batch, to be stored before the record that names it.
    pub(super) fn store(batch: &mut Batch, bytes: Vec<u8>) {
        batch.store.push(Arc::from(bytes));
    }
}

/// The idempotency key of a stop.
fn stop_key(object: &ObjectKey, stop: &Stop) -> RolloutKey {
    RolloutKey::of(object, stop.started.incarnation, stop.seq, stop.started.epoch)
}
