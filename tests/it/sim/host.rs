//! A host that runs pods, and is told each step of a rollout (rules R3, R13).

use std::collections::{BTreeMap, BTreeSet};

use tidegate::action::{
    JobOrder, JobRequest, RolloutReport, RolloutRequest, ScaleRequest, StepOrder,
};
use tidegate::fact::RolloutStep;
use tidegate::names::{ContentHash, Digest, ObjectKey, RolloutKey, Seq};

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
}

/// The workload whose old instances end first, and that has a hook at each place.
const RECREATED: &str = "w8";

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

impl Host {
    /// Takes a step; what it puts together is already kept.
    pub(crate) fn step(
        &mut self,
        request: &RolloutRequest,
        order: &StepOrder,
        healthy: bool,
        instances: u32,
    ) -> RolloutReport {
        let key = &request.key;
        let name = ContentHash::of(&kept(key));
        let instances = self.rendered.get(&name).map_or(instances, |works| works.instances);
        let new = Works {
            key: key.clone(),
            digests: request.images.iter().filter_map(|image| image.digest).collect(),
            healthy,
            instances,
        };
        let is_put_together = self.rendered.contains_key(&name);
        let needs = ![RolloutStep::Pulling, RolloutStep::RollingBack].contains(&order.step);
        assert!(!needs || is_put_together, "R3: {:?} comes before Pulling", order.step);
        let before =
            order.previous.as_ref().map(|previous| self.rendered[&previous.rendered].clone());
        let pods = self.pods.entry(request.object.clone()).or_default();
        let works_new = pods.works.as_ref().is_some_and(|works| works.key == *key);
        let mut rendered = None;
        match order.step {
            RolloutStep::Pulling => {
                self.rendered.insert(name, new);
                rendered = Some(name);
            }
            RolloutStep::Verifying => pods.check = Some(key.clone()),
            RolloutStep::StoppingOld => {
                let tried = pods.check.as_ref() == Some(key) && healthy;
                // What has no instance has nothing to prove.
                let ends_first = request.object.name.as_str() == RECREATED;
                let is_proven = tried || works_new || new.instances == 0 || ends_first;
                assert!(is_proven, "R13: the old one ends before the new one is proven");
                pods.works = pods.works.take().filter(|_| works_new);
            }
            RolloutStep::StartingNew => {
                let is_other = pods.works.as_ref().is_some_and(|works| works.key != *key);
                assert!(!is_other || before.is_none(), "R3: the old one was not ended");
                pods.works = Some(new);
            }
            RolloutStep::Checking => {
                assert!(works_new, "R3: what is checked was never started");
                pods.check = None;
            }
            // A few at a time; the last of the old ones ends when all of the new ones are healthy.
            RolloutStep::Updating => {
                pods.check = None;
                if healthy {
                    pods.works = Some(new);
                }
            }
            RolloutStep::RollingBack => {
                pods.check = None;
                pods.works = before;
            }
            RolloutStep::PreHook => assert!(!works_new, "D40: it runs before its first hook"),
            RolloutStep::MidHook => {
                assert_eq!(pods.works, None, "R15: something runs beside the hook in between");
            }
            RolloutStep::PostHook => {
                assert!(works_new && healthy, "D40: the last hook runs before it is healthy");
            }
        }
        if hook_fails(order.step, key) {
            return RolloutReport::Failed { reason: "hook failed".into(), log: String::new() };
        }
        let looks = [RolloutStep::Verifying, RolloutStep::Updating, RolloutStep::Checking]
            .contains(&order.step);
        if looks && !healthy {
            return RolloutReport::Failed { reason: "unhealthy".into(), log: String::new() };
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
            self.rendered.insert(name, Works { instances: request.to, ..runs });
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
        let right = works.is_some_and(|works| works.key == *key && works.healthy);
        assert!(right, "law 8: {key} is not complete: {works:?}");
    }

    /// R7: after a rollout that was rolled back nothing of it runs, and what was complete before does.
    pub(crate) fn is_rolled_back(
        &self,
        object: &ObjectKey,
        key: &RolloutKey,
        before: Option<&RolloutKey>,
    ) {
        let pods = self.pods.get(object);
        let works = pods.and_then(|pods| pods.works.as_ref()).map(|works| &works.key);
        assert_eq!(works, before, "R7: what {key} replaced does not run again");
        assert_eq!(pods.and_then(|pods| pods.check.as_ref()), None, "R13: what was tried is left");
    }
}
