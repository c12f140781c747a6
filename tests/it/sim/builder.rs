//! The builder, and the laws about builds.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::action::{
    Action, Ask, BuildEnded, BuildOrder, BuildReport, BuildRequest, Input, Request, ResolvedImage,
};
use tidegate::effective::{self, Known, Unresolved};
use tidegate::fact::{
    BuildCause, BuildCreated, BuildEnd, BuildFinished, BuildOptions, BuildStarted, RunPolicy,
};
use tidegate::names::{BuildNumber, Digest, Incarnation, ObjectKey, RolloutKey, Seq, StreamTag};
use tidegate::observed::ObservedState;
use tidegate::observed::tag_history::TagState;
use tidegate::plan::{BuildHeld, HeldReason};

use super::outside::Keep;
use super::rng::Rng;
use super::simulation::Simulation;
use crate::support::story::digest;

/// The `BuildConfig` whose own image would start it, and the tag of that, as [`super::repository`] writes them.
const RING: (&str, &str) = ("b2", "shop/s4:ring");

/// Whether a tag starts a `BuildConfig` by no means, as that builds into it.
fn is_ring(object: &ObjectKey, tag: &StreamTag) -> bool {
    (object.name.as_str(), tag.to_string().as_str()) == RING
}

/// What the builder pushed, by the key of the build.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    pushed: BTreeMap<RolloutKey, Digest>,
}

impl Builder {
    /// What it says of a build. The same key is the same image, however often it is asked for.
    pub(crate) fn build(
        &mut self,
        request: &BuildRequest,
        (cancelled, faults): (bool, bool),
        rng: &mut Rng,
        keep: Keep<'_>,
    ) -> BuildReport {
        let ended =
            |end, reason| BuildReport::Ended(Box::new(BuildEnded::new(end, reason, "it did")));
        let is_known = self.pushed.contains_key(&request.key);
        if (cancelled && rng.one_in(2)) || (request.ends && !is_known) {
            return ended(BuildEnd::Cancelled, "");
        }
        if faults && rng.one_in(6) {
            let reason = "buildah is not there".to_owned();
            return BuildReport::Transient { reason, retry_after: None };
        }
        if faults && !is_known && rng.one_in(6) {
            return ended(BuildEnd::Failed, "DockerBuildFailed");
        }
        let inputs = request.images.iter().map(|image| image.reference.as_str());
        // Some builds make the same of the same.
        let own = if rng.one_in(2) { String::new() } else { request.key.to_string() };
        let made = digest(&format!("built {} {own}", inputs.collect::<Vec<_>>().join(" ")));
        let digest = *self.pushed.entry(request.key.clone()).or_insert(made);
        let Ok(metadata) = keep(b"{}") else {
            let reason = "the object store is full".to_owned();
            return BuildReport::Transient { reason, retry_after: None };
        };
        let image = Some(ResolvedImage { digest, metadata });
        BuildReport::Ended(Box::new(BuildEnded {
            image,
            ..BuildEnded::new(BuildEnd::Complete, "", "")
        }))
    }

    /// Whether an image was pushed by a build.
    pub(crate) fn has(&self, key: &RolloutKey, image: Digest) -> bool {
        self.pushed.get(key) == Some(&image)
    }
}

/// What the oracle remembers of builds.
#[derive(Default)]
pub(crate) struct Builds {
    numbers: BTreeMap<ObjectKey, BuildNumber>,
    caused: BTreeSet<(ObjectKey, Incarnation, StreamTag, Seq)>,
    first: BTreeSet<(ObjectKey, Incarnation)>,
}

impl Builds {
    /// B4, B13, B16, law 6: a number is new, and so is every cause.
    pub(crate) fn created(&mut self, created: &BuildCreated, shadow: &ObservedState) {
        let BuildCreated { object, incarnation, number, .. } = created;
        let last = self.numbers.insert(object.clone(), *number);
        assert!(last.is_none_or(|last| last < *number), "B4: {} is used twice", created.name);
        for cause in &created.causes {
            match cause {
                BuildCause::Config => {
                    let life = (object.clone(), *incarnation);
                    assert!(self.first.insert(life), "B13: {object} is new twice");
                }
                BuildCause::Image { from, event, image, .. } => {
                    assert!(!is_ring(object, from), "B16: {object} is built of what it made");
                    let cause = (object.clone(), *incarnation, from.clone(), *event);
                    assert!(
                        self.caused.insert(cause),
                        "law 6: {from} @{event} builds {object} twice"
                    );
                    let current = shadow.tag(from).and_then(TagState::image);
                    assert_eq!(
                        current,
                        Some(*image),
                        "T12: {object} is built of an image that was"
                    );
                }
                BuildCause::Manual { .. } | BuildCause::Webhook { .. } => {}
            }
        }
    }

    /// B26: what is not parallel runs alone, in its turn, and not where the newest is to be built alone.
    pub(crate) fn started(started: &BuildStarted, shadow: &ObservedState) {
        let state = &shadow.builds[&started.object];
        let build = state.find(started.build).expect("what starts was created");
        assert_eq!(build.phase(), "New", "{} is started twice", started.name);
        let alone = state.running().next().is_none();
        let parallel = build.created.policy == RunPolicy::Parallel;
        assert!(alone || parallel, "B26: {} does not run alone", started.name);
        for other in state.active().filter(|other| other.started.is_none()) {
            let (number, other) = (build.created.number, &other.created);
            let is_first = parallel || number <= other.number;
            assert!(is_first, "B26: {} is started before {}", started.name, other.name);
            let is_late = other.policy == RunPolicy::SerialLatestOnly && number < other.number;
            assert!(!is_late, "B26: {} is started, and {} waits", started.name, other.name);
        }
    }

    /// B27, B51, law 8: a build ends once, and as it did, and what it pushed is in the history of its tag by then.
    pub(crate) fn finished(finished: &BuildFinished, shadow: &ObservedState, builder: &Builder) {
        let build = shadow.builds[&finished.object].find(finished.build).expect("it was created");
        assert!(build.ended.is_none(), "B27: {} ended twice", finished.name);
        if finished.end != BuildEnd::Complete {
            return;
        }
        let image = finished.image.expect("what is complete was pushed");
        let key = build.created.key(build.seq);
        assert!(builder.has(&key, image), "law 8: {} did not make {image}", finished.name);
        let tag = build.created.output.as_ref().expect("each has an output");
        let items = shadow.tag(tag).into_iter().flat_map(|tag| &tag.items);
        // A tag whose history is short may have gone on.
        let is_there = items.map(|item| item.event.image).any(|item| item == Some(image));
        assert!(is_there, "B51: {} is complete, and {tag} does not have {image}", finished.name);
    }

    /// No build is made twice at once, and no more are made than may be.
    pub(crate) fn after(state: &ObservedState, flights: &[(&Action, bool)], slots: usize) {
        let running: usize = state.builds.values().map(|builds| builds.running().count()).sum();
        assert!(running <= slots, "{running} builds at once");
        let keys = flights.iter().filter_map(|(action, _)| match action {
            Action::Build(request) => Some(&request.key),
            _ => None,
        });
        let mut seen = BTreeSet::new();
        for key in keys {
            assert!(seen.insert(key), "{key} is made twice at once");
        }
    }
}

impl Simulation {
    /// Somebody starts two or three builds of the same, whatever becomes of the first.
    pub(super) fn start_builds(&mut self) {
        let name = *self.rng.pick(&["b0", "b2", "b1"]);
        let object: ObjectKey = format!("BuildConfig/shop/{name}").parse().unwrap();
        for _ in 0..2 + self.rng.below(2) {
            self.tell(|| format!("operator: a build of {object}"));
            let (object, options) = (object.clone(), BuildOptions::default());
            let order = BuildOrder { object, webhook: None, options, again: None };
            let request = Request::StartBuild(Box::new(order));
            self.step(vec![Input::Asked(Ask { id: 1, by: "ann".into(), request })]);
        }
    }
}

/// What is to be built was built, of what its tags are, or says why not.
pub(crate) fn everything_is_built(simulation: &Simulation) {
    let engine = &simulation.engine;
    let (desired, observed, policy) = (engine.desired(), engine.observed(), engine.policy());
    for (object, state) in &observed.builds {
        let goes_on = state.active().next().map(|build| &build.created.name);
        assert_eq!(goes_on, None, "liveness: a build of {object} never ends");
    }
    let held = tidegate::plan::held(&engine.view(simulation.now));
    let known = Known { desired, observed, policy };
    for build in desired.builds.values() {
        let of_it = held.iter().filter(|held| held.object == build.object);
        let waits = of_it.clone().find_map(|held| match &held.reason {
            HeldReason::Build(why) => match &**why {
                BuildHeld::Input { why: Unresolved::Tag { tag, .. } } => Some(tag),
                _ => None,
            },
            _ => None,
        });
        if let Some(tag) = waits {
            let image = observed.tag(tag).and_then(TagState::image);
            assert_eq!(image, None, "liveness: {} waits for {tag}, which is there", build.object);
            continue; // what makes that failed, and says so
        }
        let seen = effective::seen(known, build);
        for (tag, image, _) in seen.filter(|(tag, ..)| !is_ring(&build.object, tag)) {
            let life = observed.objects[&build.object].incarnation;
            let saw = observed.builds.get(&build.object).and_then(|state| state.saw(life, tag));
            assert_eq!(saw, Some(image), "liveness: {} is not built of {tag}", build.object);
        }
    }
}
