//! Instances are replaced, a few at a time (rules R14, D36).
//!
//! What there is says how far it got: told by the labels of the pods, so that it goes on after a crash where it was.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::names::Names;
use super::program::Trouble;
use super::swap::{infra, seconds};
use super::{Host, Pod, health};
use crate::pods::{Instance, Scales};

/// The pods of an object, told apart by their revision.
struct Running {
    old: Vec<Pod>,
    new: Vec<Pod>,
}

impl Running {
    fn has(&self, name: &str) -> bool {
        self.old.iter().chain(&self.new).any(|pod| pod.name == name)
    }
}

impl Host<'_> {
    pub(super) async fn update(&self) -> Result<String, Trouble> {
        let began = Instant::now();
        let mut grew = began;
        let names = self.names();
        self.remove_tried().await?;
        // One of them is available once it was seen to be so, by this run.
        let mut available = BTreeSet::new();
        let mut rounds = 0_u32;
        loop {
            let running = self.running().await?;
            let scales = scales(&running, available.len());
            let (up, down) = self.next(scales);
            if up > scales.new {
                for ordinal in self.free(&running, up - scales.new) {
                    self.play_instance(ordinal, names.as_ref()).await?;
                }
                grew = Instant::now();
                continue;
            }
            if down < scales.old {
                self.rest(grew + self.pods.update_period).await?;
                let gone = self.first(running.old, scales.old - down);
                self.withdraw(names.as_ref(), &gone).await?;
                rounds += 1;
                continue;
            }
            let Some(next) = running.new.iter().find(|pod| !available.contains(&pod.name)) else {
                break;
            };
            self.make_available(next, names.as_ref()).await?;
            available.insert(next.name.clone());
        }
        self.rename(names.as_ref()).await?;
        let took = seconds(began.elapsed());
        Ok(format!("{} instances replaced in {rounds} rounds, in {took}", self.pods.replicas))
    }

    fn next(&self, now: Scales) -> (u32, u32) {
        let budget = self.pods.budget();
        (budget.up(now), budget.down(now))
    }

    async fn rest(&self, until: Instant) -> Result<(), Trouble> {
        tokio::select! {
            () = tokio::time::sleep_until(until) => Ok(()),
            () = self.podman.cancel.cancelled() => Err(Trouble::Cancelled),
        }
    }

    async fn running(&self) -> Result<Running, Trouble> {
        let key = self.work.request.key.to_string();
        let pods = self.podman.pods().await?;
        let pods = pods.into_iter().filter(|pod| !pod.is_check && !pod.is_hook);
        let (new, old) = pods.partition(|pod| pod.rollout == key);
        Ok(Running { old, new })
    }

    /// The ordinals of instances to start: those that will stay first, then such beside them.
    fn free(&self, running: &Running, count: u32) -> Vec<u32> {
        let wanted = 0..self.pods.replicas;
        let wanted: Vec<u32> =
            if self.pods.descends() { wanted.rev().collect() } else { wanted.collect() };
        let beside = self.pods.replicas..;
        let free = wanted.into_iter().chain(beside);
        let free = free.filter(|ordinal| !running.has(&self.pods.name(*ordinal)));
        free.take(count.try_into().unwrap_or(usize::MAX)).collect()
    }

    /// The pods that go first.
    fn first(&self, mut pods: Vec<Pod>, count: u32) -> Vec<Pod> {
        let ordinal = |pod: &Pod| {
            let (_, ordinal) = pod.name.rsplit_once('-')?;
            ordinal.parse::<u32>().ok()
        };
        pods.sort_by_key(ordinal);
        if self.pods.descends() {
            pods.reverse();
        }
        pods.truncate(count.try_into().unwrap_or(usize::MAX));
        pods
    }

    async fn play_instance(&self, ordinal: u32, names: Option<&Names>) -> Result<(), Trouble> {
        let request = self.work.request;
        let document = self.pods.pod(Instance::Ordinal(ordinal), &request.key, request.revision);
        self.ensure(&document, names).await
    }

    /// Waits until an instance is available; then the names of the workload lead to it, too.
    async fn make_available(&self, pod: &Pod, names: Option<&Names>) -> Result<(), Trouble> {
        // One that ended before it was ever looked at is started again: a crash may have left it half made.
        let seen = health::look(&self.podman, &pod.name).await?;
        if !seen.is_some_and(|seen| seen.runs())
            && let Some((_, ordinal)) = pod.name.rsplit_once('-')
            && let Ok(ordinal) = ordinal.parse()
        {
            self.play_instance(ordinal, names).await?;
        }
        health::wait(&self.podman, &self.pods, std::slice::from_ref(&pod.name)).await?;
        let Some(names) = names else { return Ok(()) };
        let pods = self.running().await?.new.into_iter().filter(|one| one.name == pod.name);
        names.lead(&infra(&pods.collect::<Vec<_>>()), &[]).await
    }

    /// The names of the workload lead away from pods; when those have answered what came to them they end.
    pub(super) async fn withdraw(
        &self,
        names: Option<&Names>,
        gone: &[Pod],
    ) -> Result<(), Trouble> {
        if let Some(names) = names {
            self.hand_over(names, &[], gone).await?;
        }
        for pod in gone {
            self.podman.remove(&pod.name, Some(self.pods.grace)).await?;
        }
        Ok(())
    }

    /// Instances that ran beside those that were wanted give their place to such with the names that stay (rule R11).
    pub(super) async fn rename(&self, names: Option<&Names>) -> Result<(), Trouble> {
        loop {
            let running = self.running().await?;
            let is_wanted = |pod: &Pod| self.pods.names().any(|name| name == pod.name);
            let (kept, beside): (Vec<Pod>, Vec<Pod>) = running.new.into_iter().partition(is_wanted);
            let missing = (0..self.pods.replicas)
                .find(|ordinal| !kept.iter().any(|pod| pod.name == self.pods.name(*ordinal)));
            if let Some(ordinal) = missing {
                self.play_instance(ordinal, names).await?;
                let name = self.pods.name(ordinal);
                let started = self.running().await?.new.into_iter().find(|pod| pod.name == name);
                if let Some(started) = started {
                    self.make_available(&started, names).await?;
                }
                continue;
            }
            if beside.is_empty() {
                return Ok(());
            }
            self.withdraw(names, &beside).await?;
        }
    }
}

fn scales(running: &Running, available: usize) -> Scales {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Scales {
        old: count(running.old.len()),
        new: count(running.new.len()),
        available: count(available),
    }
}
