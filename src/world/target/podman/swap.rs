//! One revision takes the place of another, and its name with it, or goes back (rules R7, R13, R13a).

use std::time::Duration;

use super::names::{Names, drain};
use super::program::Trouble;
use super::{Host, Pod, health, named};
use crate::fact::RolloutStep;
use crate::pods::{self, LABEL_ROLLOUT, Pods};
use crate::time::{Span, Timestamp};

impl Host<'_> {
    /// What the workload is called in its network: its name, and those of Services; of the revision that is put back, if
    /// one is.
    pub(super) fn aliases(&self) -> Vec<String> {
        let order = self.work.order;
        let previous = self.work.previous.as_ref();
        let more = match previous.filter(|_| order.step == RolloutStep::RollingBack) {
            Some(previous) => &previous.names,
            None => &order.names,
        };
        let own = self.podman.object.name.to_string();
        [own].into_iter().chain(more.iter().cloned()).collect()
    }

    /// How its names can be moved; none where they go with its pods.
    pub(super) fn names(&self) -> Option<Names> {
        Names::of(self.podman.target.network.as_deref(), self.aliases())
    }

    /// The pods that are tried beside those that do the work.
    async fn tried(&self) -> Result<Vec<Pod>, Trouble> {
        Ok(self.podman.pods().await?.into_iter().filter(|pod| pod.is_check).collect())
    }

    /// Rule R13, step 5.
    pub(super) async fn stop_old(&self) -> Result<String, Trouble> {
        let key = self.work.request.key.to_string();
        let (check, rest): (Vec<Pod>, Vec<Pod>) =
            self.podman.pods().await?.into_iter().partition(|pod| pod.is_check);
        let old: Vec<Pod> = rest.into_iter().filter(|pod| pod.rollout != key).collect();
        let mut note = Vec::new();
        match self.names() {
            Some(names) if !check.is_empty() && !old.is_empty() => {
                let took = self.hand_over(&names, &check, &old).await?;
                note.push(format!("connections drained in {}", seconds(took)));
            }
            None if !check.is_empty() && self.podman.target.network.is_some() => {
                let name = &self.podman.object.name;
                note.push(format!(
                    "`{name}` leads nowhere until it is started: the name server of the network is not one whose names can be \
                     moved"
                ));
            }
            Some(_) | None => {}
        }
        self.ports_close();
        for pod in old {
            self.podman.remove(&pod.name, Some(self.pods.grace)).await?;
        }
        Ok(note.join("; "))
    }

    /// The names lead to others at once; then those that lose them have the time to answer what came to them.
    pub(super) async fn hand_over(
        &self,
        names: &Names,
        to: &[Pod],
        away: &[Pod],
    ) -> Result<Duration, Trouble> {
        names.lead(&infra(to), &infra(away)).await?;
        let mut pids = Vec::new();
        for pod in away {
            let seen = health::look(&self.podman, &pod.name).await?;
            pids.extend(seen.and_then(|seen| seen.place).map(|place| place.pid));
        }
        drain(&self.podman, &pids, self.pods.grace).await
    }

    /// Rule R13: what is started has the names of the workload when it is healthy, if something else has them meanwhile.
    pub(super) async fn start(&self) -> Result<String, Trouble> {
        let rendered = self.work.rendered.as_deref().unwrap_or_default();
        let names = self.names().filter(|_| self.pods.is_verified());
        let names = if self.tried().await?.is_empty() { None } else { names };
        for document in pods::documents(rendered) {
            self.ensure(document, names.as_ref()).await?;
        }
        Ok(String::new())
    }

    /// Published ports lead nowhere from now on, as what ran before ends.
    pub(super) fn ports_close(&self) {
        let ran = self.work.previous.is_some();
        if ran && self.pods.publishes() && self.work.order.down.is_none() {
            let now = Timestamp::from_jiff(jiff::Timestamp::now());
            self.down.get_or_init(|| now);
        }
    }

    /// How long it took to be healthy, and how long published ports led nowhere, if they did.
    pub(super) fn healthy_after(&self, took: Duration) -> String {
        let note = format!("healthy after {}", seconds(took));
        let Some(down) = self.down.get().copied().or(self.work.order.down) else { return note };
        let now = Timestamp::from_jiff(jiff::Timestamp::now());
        format!("{note}; ports of the host led nowhere for {}", Span(now.since(down)))
    }

    /// Rule R13, steps 6 and 8.
    pub(super) async fn check(&self) -> Result<String, Trouble> {
        let wanted: Vec<String> = self.pods.names().collect();
        for name in &wanted {
            // That the host went down says nothing about what was started (rule T25).
            if health::look(&self.podman, name).await?.is_some_and(|seen| seen.cut_short) {
                self.start().await?;
                break;
            }
        }
        let took = health::wait(&self.podman, &self.pods, &wanted).await?;
        let note = self.healthy_after(took);
        self.settle(&wanted).await?;
        Ok(note)
    }

    /// The names lead to pods that are healthy, and what was tried beside them ends.
    async fn settle(&self, healthy: &[String]) -> Result<(), Trouble> {
        let (check, rest): (Vec<Pod>, Vec<Pod>) =
            self.podman.pods().await?.into_iter().partition(|pod| pod.is_check);
        let rest: Vec<Pod> = rest.into_iter().filter(|pod| healthy.contains(&pod.name)).collect();
        if let Some(names) = self.names() {
            if check.is_empty() {
                names.lead(&infra(&rest), &[]).await?;
            } else {
                self.hand_over(&names, &rest, &check).await?;
            }
        }
        for pod in check {
            self.podman.remove(&pod.name, Some(self.pods.grace)).await?;
        }
        Ok(())
    }

    /// Rule R13, steps 4 and 7, and R13a, step 6.
    pub(super) async fn roll_back(&self) -> Result<String, Trouble> {
        if self.work.order.got_to == Some(RolloutStep::Pulling) {
            self.remove_made().await;
            return Ok("what ran before was not touched".into());
        }
        self.remove_hooks().await?;
        let untouched = [RolloutStep::Pulling, RolloutStep::PreHook, RolloutStep::Verifying];
        if self.work.order.got_to.is_some_and(|step| untouched.contains(&step)) {
            self.remove_tried().await?;
            return Ok("what ran before was not touched".into());
        }
        let rendered =
            self.work.previous.as_ref().map_or("", |previous| previous.rendered.as_str());
        let documents = pods::documents(rendered);
        let mut kept = Vec::new();
        for document in &documents {
            kept.push(named(document)?.0);
        }
        // What was healthy beside them answers until they do.
        let check = self.tried().await?;
        let names = self.names().filter(|_| !check.is_empty() && !documents.is_empty());
        match &names {
            Some(names) => names.lead(&infra(&check), &[]).await?,
            None => self.remove_tried().await?,
        }
        let is_other = |pod: &&Pod| !pod.is_check && !kept.contains(&pod.name);
        for pod in self.podman.pods().await?.iter().filter(is_other) {
            self.podman.remove(&pod.name, Some(self.pods.grace)).await?;
        }
        for document in &documents {
            self.ensure(document, names.as_ref()).await?;
        }
        let Some(previous) = &self.work.previous else {
            return Ok("nothing ran before".into());
        };
        let pods = Pods::read(self.podman.object, &previous.manifest);
        let pods = pods.map_err(|why| Trouble::Refused(why.to_string()))?;
        let took = health::wait(&self.podman, &pods, &kept).await?;
        self.settle(&kept).await?;
        Ok(format!("what ran before is healthy again after {}", seconds(took)))
    }

    pub(super) async fn remove_tried(&self) -> Result<(), Trouble> {
        for pod in self.tried().await? {
            self.podman.remove(&pod.name, Some(self.pods.grace)).await?;
        }
        Ok(())
    }

    /// What hooks of this rollout left behind.
    pub(super) async fn remove_hooks(&self) -> Result<(), Trouble> {
        let key = self.work.request.key.to_string();
        let is_hook = |pod: &&Pod| pod.is_hook && pod.rollout == key;
        for pod in self.podman.pods().await?.iter().filter(is_hook) {
            self.podman.remove(&pod.name, Some(self.pods.grace)).await?;
        }
        Ok(())
    }

    /// Makes sure that the pod of a document runs; one of its name that is of another rollout or has ended goes first.
    ///
    /// Names that are given as withheld are led to it later, when it is healthy.
    pub(super) async fn ensure(
        &self,
        document: &str,
        withheld: Option<&Names>,
    ) -> Result<(), Trouble> {
        let (name, rollout) = named(document)?;
        let seen = health::look(&self.podman, &name).await?;
        let is_there = seen
            .as_ref()
            .is_some_and(|seen| seen.labels.get(LABEL_ROLLOUT) == Some(&rollout) && seen.runs());
        if seen.is_some() && !is_there {
            self.podman.remove(&name, Some(self.pods.grace)).await?;
        }
        // What is only tried has no part of the work (rule R13).
        let is_check = name == self.pods.check_name();
        let aliases = if is_check { Vec::new() } else { self.aliases() };
        let played = async {
            match is_there {
                true => Ok(()),
                false => self.podman.play(document, &aliases).await,
            }
        };
        let Some(names) = withheld.filter(|_| !is_check) else { return played.await };
        tokio::select! {
            played = played => played?,
            () = names.withhold(&name) => {}
        }
        let is_it = |pod: &Pod| pod.name == name;
        let pods: Vec<Pod> = self.podman.pods().await?.into_iter().filter(is_it).collect();
        names.lead(&[], &infra(&pods)).await
    }
}

pub(super) fn infra(pods: &[Pod]) -> Vec<String> {
    pods.iter().map(|pod| pod.infra.clone()).collect()
}

pub(super) fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
