//! `tidegate diff`: what would happen if a commit were adopted now.
//!
//! The same engine that the daemon runs is given the commit and a clone of the state; what it would write and start is
//! collected instead of carried out. Every rollout is taken to end well, so that the ones after it come too. Nothing
//! here decides anything: a dry run that planned by itself would sooner or later plan something else.

mod builds;
mod report;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{
    Action, ActionId, ImportFailure, Input, Nudge, Resolution, ResolveRequest, RolloutReport,
    SourceRead,
};
use crate::desired::DesiredState;
use crate::effective;
use crate::engine::{Effect, Engine};
use crate::fact::{Fact, ImportReason, Record, Space};
use crate::names::{CommitId, StreamTag};
use crate::observed::ObservedState;
use crate::plan::{self, Held};
use crate::time::Now;

pub use report::{DryRun, Verdict};

/// Steps of a dry run. Each step starts as many rollouts as may run at once, so this is far more than a repository has
/// workloads; a run that reaches it says so.
const STEPS_MAX: usize = 20_000;

/// What a registry answered; none if it was not asked.
pub type Answer = Option<Result<Resolution, ImportFailure>>;

/// Asks registries, all at once, and answers in the same order.
pub type Ask<'a> = dyn FnMut(&[ResolveRequest]) -> Vec<Answer> + 'a;

/// Where the files come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// A commit.
    Commit,
    /// The files of a work tree, committed or not.
    WorkTree,
}

/// Whether registries are asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Only what the journal knows is used.
    Offline,
    /// Every tag that is due or scheduled is asked about.
    Resolve,
}

/// What was simulated.
struct Simulated {
    subject: Subject,
    mode: Mode,
    read: SourceRead,
    records: Vec<Record>,
    before: Side,
    after: Side,
    /// What each tag's registry answered in this run.
    answers: BTreeMap<StreamTag, Asked>,
    engine: Engine,
    now: Now,
    cut: bool,
}

/// One side of the comparison.
struct Side {
    desired: DesiredState,
    observed: ObservedState,
    held: Vec<Held>,
}

/// What came of asking about a tag.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Asked {
    Answered,
    Failed { reason: ImportReason, message: String },
}

impl Asked {
    /// Whether the registry gave an answer that can be relied on, if only that there is no such image.
    fn is_verified(&self) -> bool {
        match self {
            Self::Answered => true,
            Self::Failed { reason, .. } => match reason {
                ImportReason::NotFound
                | ImportReason::UnsupportedManifest
                | ImportReason::Invalid
                | ImportReason::NotV2Registry
                | ImportReason::CircularReference => true,
                ImportReason::Unauthorized
                | ImportReason::Forbidden
                | ImportReason::BadRequest
                | ImportReason::InternalError => false,
            },
        }
    }
}

/// Simulates the adoption of `read` by `engine`, which has loaded the journal and the adopted commit.
///
/// `ask` is called in [`Mode::Resolve`] only.
#[must_use = "a dry run does nothing but tell"]
pub fn simulate(
    engine: Engine,
    read: SourceRead,
    subject: Subject,
    mode: Mode,
    ask: &mut Ask<'_>,
    now: Now,
) -> DryRun {
    let read = match subject {
        Subject::Commit => read,
        // A work tree on top of the adopted commit is not that commit.
        Subject::WorkTree => SourceRead { commit: no_commit(), ..read },
    };
    let before = Side::of(&engine, now);
    let mut run = Run {
        engine,
        read: Some(read.clone()),
        mode,
        ask,
        now,
        records: Vec::new(),
        answers: BTreeMap::new(),
        cut: false,
    };
    run.go();
    let after = Side::of(&run.engine, now);
    let Run { engine, records, answers, cut, .. } = run;
    let simulated =
        Simulated { subject, mode, read, records, before, after, answers, engine, now, cut };
    DryRun::of(&simulated)
}

/// Stands for the commit that a work tree would become.
#[expect(clippy::expect_used, reason = "a constant text, parsed by a test")]
fn no_commit() -> CommitId {
    "0000000000000000000000000000000000000000".parse().expect("forty zeros are an object id")
}

impl Side {
    fn of(engine: &Engine, now: Now) -> Self {
        let held = plan::held(&engine.view(now));
        Self { desired: engine.desired().clone(), observed: engine.observed().clone(), held }
    }
}

/// A dry run under way.
struct Run<'a, 'b> {
    engine: Engine,
    read: Option<SourceRead>,
    mode: Mode,
    ask: &'a mut Ask<'b>,
    now: Now,
    records: Vec<Record>,
    answers: BTreeMap<StreamTag, Asked>,
    cut: bool,
}

impl Run<'_, '_> {
    fn go(&mut self) {
        let mut inputs = vec![Input::Nudged(Nudge::Source)];
        if self.engine.observed().space_short.is_some() {
            // What would happen if there were space; the report says that there is none.
            inputs.push(Input::Space(Space { free: u64::MAX, needed: 0 }));
        }
        for _ in 0..STEPS_MAX {
            let adopted = self.read.is_none();
            inputs = self.step(inputs);
            let just_adopted = !adopted && self.read.is_none();
            if just_adopted && self.mode == Mode::Resolve {
                // The source's answer is among the inputs: the tags of the new commit are nudged right after it.
                let mut answers = self.step(std::mem::take(&mut inputs));
                answers
                    .extend(self.scheduled().into_iter().map(|tag| Input::Nudged(Nudge::Tag(tag))));
                inputs = answers;
            }
            if inputs.is_empty() {
                return;
            }
        }
        self.cut = true;
    }

    /// Tags that are re-imported by themselves: what they are now decides what rolls out now.
    fn scheduled(&self) -> Vec<StreamTag> {
        let policy = self.engine.policy();
        let streams = self.engine.desired().streams.values().filter(|stream| !stream.paused);
        let tags = streams.flat_map(|stream| {
            let scheduled = stream.tags.iter().filter(|(_, spec)| {
                effective::check_of(stream, spec, policy).is_some()
                    && effective::schedule_of(stream, spec, policy).is_some()
            });
            scheduled.map(|(tag, _)| stream.name.tag(tag.clone()))
        });
        tags.filter(|tag| !self.answers.contains_key(tag)).collect()
    }

    /// One step; what it starts is answered at once.
    fn step(&mut self, inputs: Vec<Input>) -> Vec<Input> {
        let mut answers = Vec::new();
        let mut questions = Vec::new();
        for effect in self.engine.step(inputs, self.now) {
            match effect {
                Effect::Append(records) => self.records.extend(records),
                Effect::Start(id, action) => self.start(id, action, &mut answers, &mut questions),
                Effect::Store(_)
                | Effect::Cancel(_)
                | Effect::Answer(..)
                | Effect::WakeAt(_)
                | Effect::Exit => {}
            }
        }
        answers.extend(self.resolve(questions));
        answers
    }

    fn start(
        &mut self,
        id: ActionId,
        action: Action,
        answers: &mut Vec<Input>,
        questions: &mut Vec<(ActionId, ResolveRequest)>,
    ) {
        let complete = || RolloutReport::Complete { log: String::new() };
        match action {
            Action::ReadSource(_) => {
                if let Some(read) = self.read.take() {
                    answers.push(Input::SourceRead(id, Ok(Box::new(read))));
                }
            }
            Action::Resolve(mut request) => {
                request.check.copy_to = None; // a dry run asks, and copies nothing
                questions.push((id, *request));
            }
            Action::RollOut(_) | Action::AskRollout(_) | Action::Stop(_) | Action::Scale(_) => {
                answers.push(Input::RolloutReported(id, complete()));
            }
            // What a new listing would bring is not known before it is made, and a run may take long.
            Action::List(_)
            | Action::Job(_)
            | Action::Build(_)
            | Action::TidyBuilds(_)
            | Action::DeleteManifest(_)
            | Action::KeepCommit { .. }
            | Action::Notify(_) => {}
        }
    }

    fn resolve(&mut self, questions: Vec<(ActionId, ResolveRequest)>) -> Vec<Input> {
        if self.mode == Mode::Offline || questions.is_empty() {
            return Vec::new();
        }
        let (ids, requests): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
        let answers = (self.ask)(&requests);
        let mut inputs = Vec::new();
        for ((id, request), answer) in ids.into_iter().zip(&requests).zip(answers) {
            let Some(answer) = answer else { continue };
            let asked = match &answer {
                Ok(_) => Asked::Answered,
                Err(failure) => {
                    Asked::Failed { reason: failure.reason, message: failure.message.clone() }
                }
            };
            let view = self.engine.view(self.now);
            let tags = view.index.checks.get(&request.check).into_iter().flatten();
            self.answers.extend(tags.map(|tag| (tag.clone(), asked.clone())));
            inputs.push(Input::Resolved(id, answer));
        }
        inputs
    }
}

impl Simulated {
    /// The record in which the commit was adopted.
    fn adopted(&self) -> Option<&crate::fact::CommitAdopted> {
        self.records.iter().find_map(|record| {
            let Fact::CommitAdopted(adopted) = &record.fact else { return None };
            (adopted.commit == self.read.commit).then_some(&**adopted)
        })
    }

    /// Tags that triggers of a workload that is rolled out, of what is built, or of what is held, watch.
    fn tags_in_use(&self, objects: &BTreeSet<crate::names::ObjectKey>) -> BTreeSet<StreamTag> {
        let desired = &self.after.desired;
        let workloads = objects.iter().filter_map(|key| desired.workloads.get(key));
        let rolled = workloads.flat_map(|w| w.triggers.iter().map(|trigger| trigger.from.clone()));
        let builds = objects.iter().filter_map(|key| desired.builds.get(key));
        let built = builds.flat_map(|b| b.triggers.iter().map(|trigger| trigger.from.clone()));
        rolled.chain(built).collect()
    }
}

#[cfg(test)]
mod tests;
