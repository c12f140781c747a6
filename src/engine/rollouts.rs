//! Orders about rollouts: what is refused and why, and the record of what is not (rules D41 to D48).

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::action::{RolloutOrder, RolloutVerb};
use crate::desired::Workload;
use crate::effective::{self, Asked, Waiting};
use crate::fact::{
    Fact, Ordered, Outcome, RolloutCause, RolloutOrdered, RolloutSuperseded, RolloutsPaused,
};
use crate::names::{Kind, ObjectKey, Revision, Seq, StreamTag};
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::plan;
use crate::time::{Now, ago};

use super::{Answer, Batch, Engine};

impl Engine {
    /// Takes an order about rollouts.
    pub(super) fn order_rollout(
        &mut self,
        order: RolloutOrder,
        by: String,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        let RolloutOrder { object, verb, force } = order;
        let Some(object) = object else {
            return self.pause_all(verb, by, now, batch);
        };
        let Some(workload) = self.desired.workloads.get(&object).cloned() else {
            return Answer::Refused(format!("there is no {} in git", spoken(&object)));
        };
        let empty = WorkloadState::default();
        let state = self.observed.workloads.get(&object).unwrap_or(&empty);
        let decided = match verb {
            RolloutVerb::Latest { again } => self.latest(&workload, state, again),
            RolloutVerb::Restart => self.latest(&workload, state, true),
            RolloutVerb::Retry => self.retry(&workload, state),
            RolloutVerb::Undo { to } => self.undo(&workload, state, to),
            RolloutVerb::Cancel => self.cancel_rollout(&workload, state, now),
            RolloutVerb::Pause => self.pause(&workload, state, true),
            RolloutVerb::Resume => self.pause(&workload, state, false),
        };
        let decided = match decided {
            Ok(decided) => decided,
            Err(answer) => return answer,
        };
        let Decided { what, mut ordered } = decided;
        let fact = match what {
            What::Order(order) => Fact::RolloutOrdered(RolloutOrdered { object, order, by, force }),
            What::Pause(paused) => {
                Fact::RolloutsPaused(RolloutsPaused { object: Some(object), paused, by })
            }
            What::Cancel(rollout) => Fact::RolloutSuperseded(RolloutSuperseded {
                rollout,
                object,
                reason: "cancelled by the user".to_owned(),
                by: Some(by),
            }),
        };
        ordered.seq = self.record(fact, now, batch);
        Answer::Ordered(Box::new(ordered))
    }

    fn pause_all(&mut self, verb: RolloutVerb, by: String, now: Now, batch: &mut Batch) -> Answer {
        let paused = match verb {
            RolloutVerb::Pause => true,
            RolloutVerb::Resume => false,
            RolloutVerb::Latest { .. }
            | RolloutVerb::Restart
            | RolloutVerb::Retry
            | RolloutVerb::Undo { .. }
            | RolloutVerb::Cancel => {
                return Answer::Refused("only pause and resume are for all workloads".into());
            }
        };
        if self.observed.paused.is_some() == paused {
            let is = if paused { "already" } else { "not" };
            return Answer::Nothing(format!("rollouts are {is} paused"));
        }
        let fact = Fact::RolloutsPaused(RolloutsPaused { object: None, paused, by });
        Answer::Done(self.record(fact, now, batch))
    }

    fn is_paused(&self, workload: &Workload) -> bool {
        effective::is_paused(workload, &self.observed)
    }

    fn latest(
        &self,
        workload: &Workload,
        state: &WorkloadState,
        again: bool,
    ) -> Result<Decided, Answer> {
        if self.is_paused(workload) {
            return Err(Answer::Refused("cannot deploy a paused deployment config".into()));
        }
        if let Some(running) = state.running() {
            let (revision, phase) = (running.started.revision, phase(running));
            return Err(Answer::Refused(format!("#{revision} is already in progress ({phase}).")));
        }
        let asked = if again { Asked::ByTriggers } else { Asked::ByOperator };
        let scope = (&self.desired, &self.policy);
        if let Err(waiting) = effective::wanted(workload, scope, &self.observed, asked) {
            return Err(Answer::Refused(self.unresolved(workload, &waiting)));
        }
        let what = What::Order(Ordered::Latest { again });
        Ok(Decided { what, ordered: OrderedRollout::new(state.latest_revision.next()) })
    }

    /// What an operator can do nothing about without knowing which tag it is.
    fn unresolved(&self, workload: &Workload, waiting: &Waiting) -> String {
        let name = workload.object.name.to_string();
        let mut text = format!(
            "cannot trigger a deployment for {name:?} because it contains unresolved images"
        );
        let tags = workload.triggers.iter().map(|trigger| &trigger.from);
        let mut tags: Vec<&StreamTag> =
            tags.filter(|tag| effective::image_of(&self.observed, tag).is_none()).collect();
        tags.dedup();
        for tag in &tags {
            let condition = self.observed.tag(tag).and_then(|tag| tag.condition.as_ref());
            // Writing into a text cannot fail.
            let _ = match condition {
                Some(condition) => {
                    let at = condition.since.to_rfc3339_seconds();
                    write!(text, "\n  {tag}: {} (since {at})", condition.message)
                }
                None if effective::spec_tag(&self.desired, tag).is_none() => {
                    write!(text, "\n  {tag}: git has no such tag")
                }
                None => write!(text, "\n  {tag}: it has no image yet"),
            };
        }
        let _ = match waiting {
            Waiting::Reference { tag } => {
                write!(
                    text,
                    "\n  {tag}: it is a reference without a digest; set `reference: false`"
                )
            }
            Waiting::Manual { tag } if tags.is_empty() => {
                write!(text, "\n  {tag}: it was never resolved; leave `--again` out")
            }
            Waiting::Blank { container } => {
                write!(text, "\n  {container} has no image and no trigger that sets one")
            }
            Waiting::Foreign { tag } => {
                write!(text, "\n  {tag}: `triggers.cross_namespace` does not allow its namespace")
            }
            Waiting::Image { .. } | Waiting::Manual { .. } => Ok(()),
        };
        text
    }

    fn retry(&self, workload: &Workload, state: &WorkloadState) -> Result<Decided, Answer> {
        let object = &workload.object;
        let refused = |why: String| Err(Answer::Refused(why));
        if self.is_paused(workload) {
            let name = object.name.to_string();
            return refused(format!("unable to retry paused deployment config {name:?}"));
        }
        // That the revision before was put back is part of the failure.
        let is_restore = |rollout: &&Rollout| rollout.started.cause == RolloutCause::Restore;
        let running = state.running();
        let last = running.or_else(|| state.life().rev().find(|rollout| !is_restore(rollout)));
        let Some(last) = last else {
            return refused(format!("no rollouts found for {:?}", object.name.to_string()));
        };
        let revision = last.started.revision;
        let order = format!("{}/{}", object.kind.short(), object.name);
        match last.outcome() {
            Some(Outcome::Failed) => {}
            Some(Outcome::Complete) => {
                return refused(format!(
                    "rollout #{revision} is complete; only failed deployments can be retried.\n\
                     You can start a new deployment with 'tidegate rollout latest {order}'."
                ));
            }
            Some(Outcome::Cancelled) | None => {
                let phase = phase(last).to_lowercase();
                return refused(format!(
                    "rollout #{revision} is {phase}; only failed deployments can be retried.\n\
                     Optionally, you can cancel this deployment with 'tidegate rollout cancel {order}'."
                ));
            }
        }
        let what = What::Order(Ordered::Retry { rollout: last.seq });
        Ok(Decided { what, ordered: OrderedRollout::new(revision) })
    }

    fn undo(
        &self,
        workload: &Workload,
        state: &WorkloadState,
        to: Option<Revision>,
    ) -> Result<Decided, Answer> {
        let object = &workload.object;
        let name = object.name.to_string();
        let refused = |why: String| Err(Answer::Refused(why));
        if self.is_paused(workload) {
            return refused(format!(
                "cannot rollback a paused config; resume it first with 'rollout resume {}/{name}' and try again",
                object.kind.short()
            ));
        }
        let Some(last) = state.last() else {
            return refused("cannot rollback an undeployed config".into());
        };
        if let Some(running) = state.running() {
            let revision = running.started.revision;
            return refused(format!(
                "#{revision} is already in progress ({}).\nYou can end it with 'tidegate rollout cancel {}/{name}'.",
                phase(running),
                object.kind.short()
            ));
        }
        let complete = |rollout: &&Rollout| rollout.outcome() == Some(Outcome::Complete);
        let active = state.active().map(|active| active.started.revision);
        let target = match to {
            Some(to) if to == last.started.revision && active == Some(to) => {
                return refused(format!("version {to} is already the latest"));
            }
            Some(to) => {
                let mut known = state.life().rev().filter(complete);
                known.find(|rollout| rollout.started.revision == to).ok_or_else(|| {
                    let have = state.life().filter(complete);
                    let have: Vec<_> = have.map(|r| r.started.revision.to_string()).collect();
                    let have = if have.is_empty() { "none".into() } else { have.join(", ") };
                    format!(
                        "couldn't find deployment for rollback: revision {to} of {name:?} (complete and \
                         kept: {have})"
                    )
                })
            }
            // The newest complete one below the active one (rule D48, a).
            None => {
                let mut below = state.life().rev().filter(complete);
                let found = below
                    .find(|rollout| active.is_some_and(|active| rollout.started.revision < active));
                found.ok_or_else(|| format!("no previous deployment exists for {name:?}"))
            }
        };
        let target = match target {
            Ok(target) => target,
            Err(why) => return refused(why),
        };
        let (rollout, revision) = (target.seq, target.started.revision);
        let what = What::Order(Ordered::Undo { rollout, revision, basis: plan::basis(workload) });
        let mut ordered = OrderedRollout::new(state.latest_revision.next());
        ordered.back_to = Some(revision);
        let automatic = workload.triggers.iter().filter(|trigger| trigger.automatic);
        ordered.disabled = automatic.map(|trigger| trigger.from.clone()).collect();
        Ok(Decided { what, ordered })
    }

    fn cancel_rollout(
        &self,
        workload: &Workload,
        state: &WorkloadState,
        now: Now,
    ) -> Result<Decided, Answer> {
        let object = &workload.object;
        let refused = |why: String| Err(Answer::Refused(why));
        if self.is_paused(workload) {
            let ObjectKey { namespace, name, .. } = object;
            return refused(format!("unable to cancel paused deployment {namespace}/{name}"));
        }
        let Some(last) = state.last() else {
            let ObjectKey { namespace, name, .. } = object;
            return refused(format!(
                "there have been no replication controllers for {namespace}/{name}"
            ));
        };
        let revision = last.started.revision;
        if last.end.is_none() {
            if last.cancelled {
                return Err(Answer::Nothing("already cancelled".into()));
            }
            let ordered = OrderedRollout::new(revision);
            return Ok(Decided { what: What::Cancel(last.seq), ordered });
        }
        let phase = phase(last).to_lowercase();
        let at = last.end.as_ref().map_or(last.at, |end| end.at);
        let long = ago(now.wall.since(at)).to_lowercase();
        refused(format!(
            "No rollout is in progress (latest rollout #{revision} {phase} {long} ago)"
        ))
    }

    fn pause(
        &self,
        workload: &Workload,
        state: &WorkloadState,
        pause: bool,
    ) -> Result<Decided, Answer> {
        let object = &workload.object;
        let name = format!("{}/{}", object.kind.short(), object.name);
        if plan::says_paused(workload) {
            return Err(Answer::Refused(format!(
                "git says `spec.paused` of {name} ({}); change it there",
                workload.position
            )));
        }
        if state.paused.is_some() == pause {
            let is = if pause { "already" } else { "not" };
            return Err(Answer::Refused(format!("{name} is {is} paused")));
        }
        let ordered = OrderedRollout::new(state.latest_revision);
        Ok(Decided { what: What::Pause(pause), ordered })
    }
}

/// An order about a rollout that is taken: what it comes to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderedRollout {
    /// The record that says so.
    pub seq: Seq,
    /// The number of the rollout.
    pub revision: Revision,
    /// The revision that it goes back to.
    #[serde(default)]
    pub back_to: Option<Revision>,
    /// The tags that do not roll out by themselves any more.
    #[serde(default)]
    pub disabled: Vec<StreamTag>,
}

impl OrderedRollout {
    pub(super) fn new(revision: Revision) -> Self {
        Self { seq: Seq(0), revision, back_to: None, disabled: Vec::new() }
    }
}

/// What an order comes to.
struct Decided {
    what: What,
    ordered: OrderedRollout,
}

enum What {
    Order(Ordered),
    Pause(bool),
    Cancel(Seq),
}

/// The phase of a rollout, as OpenShift names it (rule D34).
fn phase(rollout: &Rollout) -> &'static str {
    match rollout.outcome() {
        Some(Outcome::Complete) => "Complete",
        Some(Outcome::Failed | Outcome::Cancelled) => "Failed",
        None => match rollout.step.as_ref().map(|step| step.step) {
            Some(crate::fact::RolloutStep::Pulling) => "Pending",
            Some(_) | None => "Running",
        },
    }
}

/// An object as messages name it.
fn spoken(object: &ObjectKey) -> String {
    let kind = if object.kind == Kind::DeploymentConfig { "deployment config" } else { "workload" };
    format!("{kind} {}/{}", object.namespace, object.name)
}
