//! A host that runs pods, and is told each step of a rollout (rules R3, R13).

use std::collections::{BTreeMap, BTreeSet};

use tidegate::action::{
    JobOrder, JobRequest, RolloutReport, RolloutRequest, ScaleRequest, StepOrder,
};
use tidegate::fact::RolloutStep;
use tidegate::names::{ContentHash, Digest, ObjectKey, RolloutKey, Seq};
use tidegate::pods::{Pods as Told, Scales, Strategy};

/// What runs of each object.
#[derive(Debug, Default)]
pub(crate) struct Host {
    pods: BTreeMap<ObjectKey, Pods>,
    /// What was ever put together, by what it is called in the object store.
    rendered: BTreeMap<ContentHash, Works>,
    /// The pods of runs of `CronJob`s.
    jobs: BTreeMap<RolloutKey, JobPod>,
    /// Every run that was ever started, by its name.
    ran: BTreeSet<(ObjectKey, String)>,
}

#[derive(Clone, PartialEq, Debug)]
struct JobPod {
    object: ObjectKey,
    /// How it ended; none before it is started.
    succeeded: Option<bool>,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Pods {
    /// What does the work.
    works: Option<Works>,
    /// What takes its place a few at a time, and how many of its instances were seen to be available.
    rolls: Option<(Works, u32)>,
    /// The rollout that is tried beside it.
    check: Option<RolloutKey>,
}

/// One revision.
#[derive(Clone, PartialEq, Debug)]
struct Works {
    key: RolloutKey,
    digests: BTreeSet<Digest>,
    healthy: bool,
    instances: u32,
    /// What its manifest asks for.
    told: Told,
}

/// Of some rollouts a hook fails, however often it is asked for.
fn hook_fails(step: RolloutStep, key: &RolloutKey) -> bool {
    let hooks = [RolloutStep::PreHook, RolloutStep::MidHook, RolloutStep::PostHook];
    hooks.iter().position(|hook| *hook == step).is_some_and(|at| key.seq.0 % 9 == at as u64)
}

/// What is kept of a revision.
pub(crate) fn kept(key: &RolloutKey) -> Vec<u8> {
    format!("what {key} is on the host").into_bytes()
}

/// What is kept of it with another number of instances.
pub(crate) fn kept_scaled(key: &RolloutKey, to: u32) -> Vec<u8> {
    format!("what {key} is on the host, with {to} instances").into_bytes()
}

fn failed(reason: &str) -> RolloutReport {
    RolloutReport::Failed { reason: reason.into(), log: String::new() }
}

impl Pods {
    /// All but updates and what puts back.
    fn step(&mut self, step: RolloutStep, new: &Works, is_first: bool) {
        let works_new = self.works.as_ref().is_some_and(|works| works.key == new.key);
        match step {
            RolloutStep::Pulling | RolloutStep::Updating | RolloutStep::RollingBack => {}
            RolloutStep::Verifying => self.check = Some(new.key.clone()),
            RolloutStep::StoppingOld => {
                let tried = self.check.as_ref() == Some(&new.key) && new.healthy;
                // What has no instance has nothing to prove.
                let is_proven = tried || works_new || !new.told.is_verified();
                assert!(is_proven, "R13: the old one ends before the new one is proven");
                let rolls = new.told.strategy == Strategy::Rolling && new.told.replicas > 1;
                assert!(!rolls || works_new, "R14: all of the old ones end at once");
                self.works.take_if(|_| !works_new);
                self.rolls = None;
            }
            RolloutStep::StartingNew => {
                let is_other = self.works.as_ref().is_some_and(|works| works.key != new.key);
                assert!(!is_other || is_first, "R3: the old one was not ended");
                self.works = Some(new.clone());
            }
            RolloutStep::Checking => {
                assert!(works_new, "R3: what is checked was never started");
                self.check = None;
            }
            RolloutStep::PreHook => assert!(!works_new, "D40: it runs before its first hook"),
            RolloutStep::MidHook => {
                assert_eq!(self.works, None, "R15: something runs beside the hook in between");
            }
            RolloutStep::PostHook => {
                let done = works_new && new.healthy;
                assert!(done, "D40: the last hook runs before it is healthy");
            }
        }
    }

    /// What nobody could put back is as old as what it stands beside.
    fn add(&mut self, left: Option<Works>) {
        let Some(left) = left else { return };
        let old = self.works.as_ref().map_or(0, |works| works.instances);
        let instances = old + left.instances;
        self.works = Some(Works { instances, ..self.works.take().unwrap_or(left) });
    }

    /// Replaces instances a few at a time, as `src/world/target/podman/update.rs` does: what there is says how far it got.
    ///
    /// Returns why it is not done: it is broken off after so many rounds, or the new ones do not become healthy.
    fn update(&mut self, new: &Works, rounds: Option<u64>) -> Option<RolloutReport> {
        self.check = None;
        if self.works.as_ref().is_some_and(|works| works.key == new.key) {
            return None; // it did, and the answer was lost
        }
        let budget = new.told.budget();
        let (mut rolls, mut seen) = match self.rolls.take() {
            Some((rolls, seen)) if rolls.key == new.key => (rolls, seen),
            left => {
                self.add(left.map(|(left, _)| left));
                (Works { instances: 0, ..new.clone() }, 0)
            }
        };
        let began = self.works.as_ref().map_or(0, |works| works.instances);
        let fewest = budget.desired.saturating_sub(budget.unavailable).min(began + seen);
        let most = (budget.desired + budget.surge).max(began + rolls.instances);
        // One of them is available once this run saw it.
        let (mut available, mut round) = (0, 0);
        let trouble = loop {
            let old = self.works.as_ref().map_or(0, |works| works.instances);
            assert!(old + seen >= fewest, "D36: {old} and {seen} instances, of {budget:?}");
            assert!(old + rolls.instances <= most, "D36: {old} beside {rolls:?}, of {budget:?}");
            if rounds == Some(round) {
                break Some(RolloutReport::Cancelled);
            }
            let scales = Scales { old, new: rolls.instances, available };
            let (up, down) = (budget.up(scales), budget.down(scales));
            if up > rolls.instances {
                rolls.instances = up;
            } else if down < old {
                let left = self.works.take().filter(|_| down > 0);
                self.works = left.map(|works| Works { instances: down, ..works });
                round += 1;
            } else if available == rolls.instances {
                break None;
            } else if !new.healthy {
                break Some(failed("unhealthy"));
            } else {
                available += 1;
                seen = seen.max(available);
            }
        };
        match trouble {
            Some(_) => self.rolls = Some((rolls, seen)),
            None => self.works = Some(rolls),
        }
        trouble
    }
}

impl Host {
    /// Takes a step; what it puts together, which is `told`, is already kept. Of an update only so many rounds are made.
    pub(crate) fn step(
        &mut self,
        request: &RolloutRequest,
        order: &StepOrder,
        healthy: bool,
        told: Option<Told>,
        rounds: Option<u64>,
    ) -> RolloutReport {
        let key = &request.key;
        let name = ContentHash::of(&kept(key));
        let mut rendered = None;
        if let Some(told) = told.filter(|_| order.step == RolloutStep::Pulling) {
            let digests = request.images.iter().filter_map(|image| image.digest).collect();
            let (key, instances) = (key.clone(), told.replicas);
            let new = Works { key, digests, healthy, instances, told };
            self.rendered.entry(name).or_insert(new);
            rendered = Some(name);
        }
        let before =
            order.previous.as_ref().map(|previous| self.rendered[&previous.rendered].clone());
        let pods = self.pods.entry(request.object.clone()).or_default();
        let is_early = |step| {
            let early = [RolloutStep::Pulling, RolloutStep::PreHook, RolloutStep::Verifying];
            early.contains(&step)
        };
        if order.step == RolloutStep::RollingBack && order.got_to.is_some_and(is_early) {
            pods.check = None; // it touched nothing else
        } else if order.step == RolloutStep::RollingBack {
            *pods = Pods { works: before, ..Pods::default() };
        } else {
            let new = self.rendered.get(&name).expect("R3: nothing comes before Pulling");
            pods.step(order.step, new, before.is_none());
            if order.step == RolloutStep::Updating
                && let Some(trouble) = pods.update(new, rounds)
            {
                return trouble;
            }
        }
        if hook_fails(order.step, key) {
            return failed("hook failed");
        }
        let looks = [RolloutStep::Verifying, RolloutStep::Checking].contains(&order.step);
        if looks && !healthy {
            return failed("unhealthy");
        }
        RolloutReport::Stepped { rendered, note: String::new(), down: None }
    }

    /// Adds or removes instances, once what is going to run is kept.
    pub(crate) fn scale(&mut self, request: &ScaleRequest) -> RolloutReport {
        let key = &request.rollout.key;
        let runs = self.rendered[&request.runs].clone();
        assert_eq!(runs.key, *key, "D22: what runs is of another rollout");
        let stepped =
            |rendered| RolloutReport::Stepped { rendered, note: String::new(), down: None };
        let Some(wanted) = request.rendered else {
            let name = ContentHash::of(&kept_scaled(key, request.to));
            let told = runs.told.scaled(request.to).unwrap();
            self.rendered.insert(name, Works { instances: request.to, told, ..runs });
            return stepped(Some(name));
        };
        let wanted = self.rendered[&wanted].clone();
        let pods = self.pods.entry(request.rollout.object.clone()).or_default();
        let works = pods.works.as_ref().map(|works| &works.key);
        assert_eq!(works, Some(key), "D22: scaled what does not run");
        pods.works = Some(wanted);
        stepped(None)
    }

    /// How many instances of an object there are.
    pub(crate) fn instances(&self, object: &ObjectKey) -> Option<u32> {
        Some(self.pods.get(object)?.works.as_ref()?.instances)
    }

    /// An operator lets times come again that a clock was ahead of.
    pub(crate) fn released(&mut self, object: &ObjectKey) {
        self.ran.retain(|(of, _)| of != object);
    }

    /// Takes a run one step further.
    pub(crate) fn job(&mut self, request: &JobRequest, fails: bool) -> RolloutReport {
        let name = (request.object.clone(), request.name.clone());
        let complete = RolloutReport::Complete { log: String::new() };
        match &request.order {
            JobOrder::Create { .. } => {
                assert!(!self.ran.contains(&name), "law 6: {name:?} is made again");
                let pod = JobPod { object: request.object.clone(), succeeded: None };
                self.jobs.entry(request.key.clone()).or_insert(pod);
                complete
            }
            JobOrder::Run => {
                let Some(pod) = self.jobs.get_mut(&request.key) else {
                    return RolloutReport::Failed { reason: "gone".into(), log: String::new() };
                };
                if pod.succeeded.is_none() {
                    assert!(self.ran.insert(name), "law 6: {} runs twice", request.name);
                    pod.succeeded = Some(!fails);
                }
                if pod.succeeded == Some(true) {
                    return complete;
                }
                RolloutReport::Failed { reason: "exit status 1".into(), log: String::new() }
            }
            JobOrder::End => {
                self.jobs.remove(&request.key);
                complete
            }
            JobOrder::Tidy { .. } => unreachable!("nobody answers"),
        }
    }

    /// Removes what is left of runs that ended.
    pub(crate) fn tidy(&mut self, object: &ObjectKey, keep: &[Seq], until: Seq) {
        self.jobs
            .retain(|key, pod| pod.object != *object || key.seq > until || keep.contains(&key.seq));
    }

    /// Law 8: how a run ended is told as it was.
    pub(crate) fn ended(&self, key: &RolloutKey, succeeded: bool) {
        let did = self.jobs.get(key).and_then(|pod| pod.succeeded);
        assert_eq!(did, Some(succeeded), "law 8: {key}");
    }

    pub(crate) fn stop(&mut self, object: &ObjectKey) {
        self.jobs.retain(|_, pod| pod.object != *object);
        self.pods.remove(object);
    }

    /// The digests that do the work of an object.
    pub(crate) fn digests(&self, object: &ObjectKey) -> Option<BTreeSet<Digest>> {
        Some(self.pods.get(object)?.works.as_ref()?.digests.clone())
    }

    /// Law 8: a rollout that is complete runs and is healthy.
    pub(crate) fn is_complete(&self, object: &ObjectKey, key: &RolloutKey) {
        let works = self.pods.get(object).and_then(|pods| pods.works.as_ref());
        let right = works.is_some_and(|works| {
            let is_whole = works.instances == works.told.replicas;
            works.key == *key && works.healthy && is_whole
        });
        assert!(right, "law 8: {key} is not complete: {works:?}");
        let rolls = self.pods.get(object).and_then(|pods| pods.rolls.as_ref());
        assert_eq!(rolls, None, "D36: instances of two revisions are left");
    }

    /// R7: after a rollout that was rolled back nothing of it runs, and what was complete before does.
    pub(crate) fn is_rolled_back(
        &self,
        object: &ObjectKey,
        key: &RolloutKey,
        before: Option<&(RolloutKey, Option<u32>)>,
    ) {
        let pods = self.pods.get(object);
        let works = pods.and_then(|pods| pods.works.as_ref());
        let works = works.map(|works| (works.key.clone(), Some(works.instances)));
        assert_eq!(works.as_ref(), before, "R7: what {key} replaced does not run again");
        let rolls = pods.and_then(|pods| pods.rolls.as_ref());
        assert_eq!(rolls, None, "R7: some of {key} is left beside what ran before");
        assert_eq!(pods.and_then(|pods| pods.check.as_ref()), None, "R13: what was tried is left");
    }
}
