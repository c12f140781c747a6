//! What waits for a time (rules T24, T34), and what a `Pod` runs (rule R17a): said again here, without the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate::effective::{self, Asked};
use tidegate::engine::Engine;
use tidegate::fact::{Outcome, RolloutCause, RolloutImage, RolloutStarted};
use tidegate::names::{ContentHash, Digest, Kind, ObjectKey};
use tidegate::observed::ObservedState;
use tidegate::observed::rollout::WorkloadState;
use tidegate::plan::{HeldReason, Key};
use tidegate::time::{Now, Timestamp};

use super::oracle::path_of;
use super::repository::Repository;

/// The workload that waits between two rollouts by images, the one whose images have to be known for some time, and the
/// one with a window, as [`super::repository`] writes them.
const WAITING: [&str; 3] = ["w0", "w1", "w4"];

/// How long the first two wait.
const WAIT: Duration = Duration::from_secs(600);

/// How often the window opens, and for how long, in milliseconds.
const WINDOW: (i64, i64) = (15 * 60_000, 5 * 60_000);

/// When an image was recorded first, of what is still to be read: not what a clock noted that was ahead.
fn first_seen(
    observed: &ObservedState,
    image: Option<Digest>,
    now: Timestamp,
) -> Option<Timestamp> {
    let tags = observed.streams.values().flat_map(|stream| stream.tags.values());
    let events = tags.flat_map(|tag| &tag.items).map(|item| &item.event);
    let times = events.filter(|event| event.image == image).map(|event| event.created);
    times.filter(|created| *created <= now).min()
}

/// What was seen of it.
#[derive(Default)]
pub(crate) struct Waits {
    /// The template of a `Pod`, by what its containers have in their environment: nothing else of it changes.
    templates: BTreeMap<String, ContentHash>,
}

impl Waits {
    /// T24, T34: nothing begins before its time that nobody ordered, and that cleans up after nothing.
    pub(crate) fn begins(at: Timestamp, started: &RolloutStarted, observed: &ObservedState) {
        let state = observed.workloads.get(&started.object);
        let last = state.and_then(|state| state.last()?.end.as_ref());
        let unknown = |outcome| outcome == Outcome::Cancelled;
        let cleans_up =
            last.is_some_and(|end| unknown(end.outcome) && end.rolled_back != Some(true));
        let is_ordered = state.is_some_and(|state| state.order.is_some());
        if started.cause == RolloutCause::Restore || is_ordered || cleans_up {
            return;
        }
        let object = &started.object;
        // A time that is still to come was noted by a clock that was ahead.
        let is_over = |began: Timestamp| at < began || began.after(WAIT) <= at;
        match object.name.as_str() {
            "w0" if started.cause == RolloutCause::ImageChange => {
                let by_image = state.and_then(|state| {
                    state.life().rev().find(|r| r.started.cause == RolloutCause::ImageChange)
                });
                let last = by_image.map(|rollout| rollout.at);
                assert!(last.is_none_or(is_over), "T24: {object} at {at}, and before at {last:?}");
            }
            "w1" => {
                let runs = state.and_then(|state| state.active());
                for image in &started.images {
                    let is_it = |old: &RolloutImage| {
                        old.container == image.container && old.digest == image.digest
                    };
                    if runs.is_some_and(|runs| runs.started.images.iter().any(is_it)) {
                        continue;
                    }
                    let first = first_seen(observed, image.digest, at);
                    let old = first.is_none_or(is_over);
                    assert!(old, "T34: {object} gets at {at} what is known since {first:?}");
                }
            }
            "w4" => {
                let into = at.as_millis().rem_euclid(WINDOW.0);
                assert!(into < WINDOW.1, "T34: {object} begins at {at}, outside of its window");
            }
            _ => {}
        }
    }

    /// R17a: what annotations say of a `Pod` is no part of what runs.
    pub(crate) fn is_its_template(&mut self, started: &RolloutStarted, repository: &Repository) {
        let path = path_of(&started.object);
        let text = repository.commits[&started.commit].get(&path);
        // Where its last valid version is in force, nobody knows here which that was.
        let is_read = |text: &&String| text.contains("\nkind: Pod\n");
        let env = text.filter(is_read).and_then(|text| text.split_once("name: ENV, value: "));
        if let Some((_, env)) = env.filter(|_| started.object.kind == Kind::Pod) {
            let known = self.templates.entry(env.to_owned()).or_insert(started.template);
            assert_eq!(*known, started.template, "R17a: {path} is another by its annotations");
        }
    }

    /// Law 8: what waits for a time says so, and until when.
    pub(crate) fn are_told(engine: &Engine, now: Now) {
        let view = engine.view(now);
        let (desired, policy, observed) = (engine.desired(), engine.policy(), engine.observed());
        if observed.space_short.is_some() {
            return;
        }
        let waiting = |object: &&ObjectKey| WAITING.contains(&object.name.as_str());
        for (object, workload) in desired.workloads.iter().filter(|(object, _)| waiting(object)) {
            let known = observed.workloads.get(object);
            let wanted =
                effective::wanted(workload, (desired, policy), observed, Asked::ByTriggers);
            let (Some(last), Ok(wanted)) = (known.and_then(WorkloadState::last), wanted) else {
                continue;
            };
            if last.outcome() != Some(Outcome::Complete) || last.digests() == wanted.digests() {
                continue;
            }
            let plan = tidegate::plan::plan(&view, &Key::Workload(object.clone()));
            let told = !plan.held.is_empty() || !plan.steps.is_empty();
            assert!(told, "law 8: {object} waits and does not say so");
            for held in plan.held {
                let ends = held.until.is_some_and(|until| until > now.wall);
                let waits = matches!(held.reason, HeldReason::Gated { .. });
                assert!(!waits || ends, "law 8: nobody knows how long {object} waits");
            }
        }
    }
}
