//! Builds are started, ended and finished (sections 4.2 to 4.9); when, the plan says.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::action::{
    Action, BuildEnded, BuildOrder, BuildReport, BuildRequest, CancelBuildOrder, PushTo,
    ResolvedImage, TidyBuilds,
};
use crate::admit::Scarce;
use crate::desired::{BuildConfig, BuildStrategy};
use crate::effective::{self, Known};
use crate::fact::{
    BuildCause, BuildCreated, BuildEnd, BuildEnding, BuildFinished, BuildOptions, Fact, Reason,
    TagEvent, TagImported, Via,
};
use crate::limits::{BUILD_RETRIES, BUILDS_ACTIVE_MAX};
use crate::names::{BuildNumber, Generation, ObjectKey, Seq, build_name};
use crate::observed::build::Build;
use crate::observed::tag_history::Effect;
use crate::plan::{Key, Step};
use crate::reference::ImageReference;
use crate::sabotage::{self, Bug};
use crate::time::Now;

use super::{Answer, Batch, Engine, InFlight};

/// A build that an order created.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StartedBuild {
    /// The record that created it.
    pub seq: Seq,
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// Its number.
    pub number: BuildNumber,
    /// Its name.
    pub name: String,
}

/// The builds that an order ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CancelledBuilds {
    /// The last record that says so.
    pub seq: Seq,
    /// Their names.
    pub names: Vec<String>,
}

impl Engine {
    fn known_now(&self) -> Known<'_> {
        Known { desired: &self.desired, observed: &self.observed, policy: &self.policy }
    }

    /// A build that has not ended.
    fn build(&self, object: &ObjectKey, seq: Seq) -> Option<&Build> {
        let build = self.observed.builds.get(object)?.find(seq)?;
        build.ended.is_none().then_some(build)
    }

    /// Takes a step of a build.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`carry_out_step` hands over only these")]
    pub(super) fn carry_out_build(&mut self, key: &Key, step: Step, now: Now, batch: &mut Batch) {
        match step {
            Step::CreateBuild { build, manifest } => {
                batch.store.push(manifest);
                if sabotage::is(Bug::BuildTwice) {
                    self.record(Fact::BuildCreated(build.clone()), now, batch);
                }
                self.record(Fact::BuildCreated(build), now, batch);
            }
            Step::StartBuild(started) => {
                let seq = started.build;
                self.record(Fact::BuildStarted(*started), now, batch);
                self.deliver_build(key, seq, now, batch);
            }
            Step::DeliverBuild(seq) => self.deliver_build(key, seq, now, batch),
            _ => {}
        }
    }

    /// Takes an order to start a build (rules B3, B6, B10, B11).
    pub(super) fn order_build(
        &mut self,
        order: BuildOrder,
        by: String,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        match self.create_build(order, by) {
            Ok((created, manifest)) => {
                let BuildCreated { object, number, name, .. } = created.clone();
                if !manifest.is_empty() {
                    batch.store.push(manifest);
                }
                let seq = self.record(Fact::BuildCreated(Box::new(created)), now, batch);
                Answer::Started(Box::new(StartedBuild { seq, object, number, name }))
            }
            Err(why) => Answer::Refused(why),
        }
    }

    fn create_build(
        &self,
        order: BuildOrder,
        by: String,
    ) -> Result<(BuildCreated, Arc<[u8]>), String> {
        let BuildOrder { object, webhook, options, again } = order;
        let ObjectKey { namespace, name, .. } = &object;
        let Some(build) = self.desired.builds.get(&object) else {
            return Err(format!(
                "buildconfigs.build.openshift.io \"{name}\" not found in namespace {namespace}"
            ));
        };
        self.may_build(build, &options)?;
        let commit = self.observed.adopted.as_ref().map(|adopted| adopted.commit);
        let commit = commit.ok_or("no commit is adopted yet")?;
        let cause = match webhook {
            Some((kind, revision)) => BuildCause::Webhook { kind, revision },
            None => BuildCause::Manual { by },
        };
        if let Some(again) = again {
            return Ok((self.repeated(build, again, cause, options)?, Arc::from(Vec::new())));
        }
        if build.binary && options.binary.is_none() {
            return Err(format!(
                "{namespace}/{name} is built from what is handed over; give it with --from-dir, --from-file, \
                 --from-archive or --from-repo"
            ));
        }
        let asked = (vec![cause], options);
        effective::create(self.known_now(), build, commit, asked).map_err(|why| why.to_string())
    }

    /// Why a build is not created, whoever asks (rules B3, B6, B10).
    fn may_build(&self, build: &BuildConfig, options: &BuildOptions) -> Result<(), String> {
        let ObjectKey { namespace, name, .. } = &build.object;
        if let Some(why) = build.strategy.refusal() {
            return Err(why.to_owned());
        }
        if !self.policy.builds_enabled {
            return Err("builds are off; set `builds.enabled = true` and restart".into());
        }
        if build.refuses || build.paused {
            return Err(format!(
                "can't instantiate from BuildConfig {namespace}/{name}: BuildConfig is paused"
            ));
        }
        if let Some(space) = self.observed.space_short {
            return Err(space.to_string());
        }
        let state = self.observed.builds.get(&build.object);
        if state.is_some_and(|state| state.active().count() >= BUILDS_ACTIVE_MAX) {
            return Err(format!("{BUILDS_ACTIVE_MAX} builds of {namespace}/{name} wait already"));
        }
        let is_docker = build.strategy == BuildStrategy::Docker;
        if !is_docker && (!options.build_args.is_empty() || options.no_cache.is_some()) {
            return Err(format!(
                "Cannot specify Docker build specific options on {namespace}/{name}, not a Docker build."
            ));
        }
        if is_docker && options.incremental.is_some() {
            return Err(format!(
                "Cannot specify Source build specific options on {namespace}/{name}, not a Source build."
            ));
        }
        Ok(())
    }

    /// A build as another one was: with its images, its commit and its manifest (rule B11).
    fn repeated(
        &self,
        build: &BuildConfig,
        again: BuildNumber,
        cause: BuildCause,
        options: BuildOptions,
    ) -> Result<BuildCreated, String> {
        let object = &build.object;
        let state = self.observed.builds.get(object);
        let repeated = state.and_then(|state| state.numbered(again));
        let repeated = repeated.ok_or_else(|| {
            let name = build_name(&object.name, again);
            format!("builds.build.openshift.io \"{name}\" not found")
        })?;
        let of = &repeated.created;
        if of.options.binary.is_some() && options.binary.is_none() {
            return Err(format!(
                "{} was built from what was handed over, which is not kept; hand it over again",
                of.name
            ));
        }
        let built = repeated.ended.as_ref().and_then(|ended| ended.revision.as_ref());
        let built = built.map(|revision| revision.commit.clone());
        let number = state.map_or(BuildNumber(0), |state| state.last_number).next();
        let options = BuildOptions {
            commit: options.commit.or(built).or_else(|| of.options.commit.clone()),
            env: [of.options.env.as_slice(), &options.env].concat(),
            build_args: [of.options.build_args.as_slice(), &options.build_args].concat(),
            no_cache: options.no_cache.or(of.options.no_cache),
            incremental: options.incremental.or(of.options.incremental),
            binary: options.binary,
            clone_of: Some(of.name.clone()),
        };
        let life = self.observed.objects.get(object);
        Ok(BuildCreated {
            number,
            name: build_name(&object.name, number),
            policy: build.run_policy,
            causes: vec![cause],
            triggered: Vec::new(),
            options,
            incarnation: life.map_or(of.incarnation, |life| life.incarnation),
            epoch: self.observed.epoch,
            ..of.clone()
        })
    }

    /// Takes an order to end builds (rule C16).
    pub(super) fn cancel_builds(
        &mut self,
        order: CancelBuildOrder,
        by: &str,
        now: Now,
        batch: &mut Batch,
    ) -> Answer {
        let CancelBuildOrder { object, number } = order;
        let Some(state) = self.observed.builds.get(&object) else {
            let ObjectKey { namespace, name, .. } = &object;
            return Answer::Refused(format!("there are no builds of {namespace}/{name}"));
        };
        let asked = |build: &&Build| number.is_none_or(|number| build.created.number == number);
        let goes_on = state.active().filter(|build| build.ending.is_none());
        let all: Vec<Build> = goes_on.filter(asked).cloned().collect();
        if let Some(number) = number
            && all.is_empty()
        {
            let name = build_name(&object.name, number);
            return match state.numbered(number) {
                Some(build) => {
                    Answer::Nothing(format!("build {name} is {} already", build.phase()))
                }
                None => Answer::Refused(format!("builds.build.openshift.io \"{name}\" not found")),
            };
        }
        let mut cancelled = CancelledBuilds { seq: Seq(0), names: Vec::new() };
        for build in all {
            let name = build.created.name.clone();
            let ending = BuildEnding {
                build: build.seq,
                object: object.clone(),
                name: name.clone(),
                end: BuildEnd::Cancelled,
                reason: "CancelledBuild".to_owned(),
                message: format!("The build was cancelled by the user. ({by})"),
            };
            cancelled.seq = match build.started {
                Some(_) => self.record(Fact::BuildEnding(ending), now, batch),
                None => {
                    let ended = BuildEnded::new(ending.end, &ending.reason, &ending.message);
                    self.finish_build(&object, &build, ended, now, batch)
                }
            };
            cancelled.names.push(name);
        }
        Answer::Cancelled(Box::new(cancelled))
    }

    /// Gives a build that was started to the builder, again if need be.
    fn deliver_build(&mut self, key: &Key, seq: Seq, now: Now, batch: &mut Batch) {
        let Key::Build(object) = key else { return };
        let Some(build) = self.build(object, seq).cloned() else { return };
        let Some((started, push)) = build.started.clone() else { return };
        let deadline = self.view(now).deadline_of(&build).unwrap_or(now.wall);
        let ends = build.ending.is_some();
        let created = build.created;
        let push = push.and_then(|text| {
            let image: ImageReference = text.parse().ok()?;
            let insecure =
                effective::is_push_insecure(self.known_now(), created.output.as_ref(), &image);
            Some(PushTo { image: Arc::new(image), tag: created.output.clone(), insecure })
        });
        let request = BuildRequest {
            key: created.key(seq),
            object: object.clone(),
            number: created.number,
            name: created.name,
            started,
            manifest: created.manifest,
            commit: created.commit,
            causes: created.causes,
            images: created.images,
            options: created.options,
            push,
            left: deadline.since(now.wall),
            ends,
        };
        self.begin_delivery(seq, now);
        if let Some(delivery) = self.soft.deliveries.get_mut(&seq) {
            // What kept it from being built does not count against its end.
            if ends && !delivery.ends {
                delivery.failures = 0;
            }
            delivery.ends = ends;
        }
        let id = self.new_action(InFlight::Delivery { rollout: seq, key: key.clone() });
        batch.starts.push((id, Action::Build(Box::new(request))));
        self.dirty.insert(key.clone()); // others of the same may start beside it
    }

    /// Whether the builder was asked to end a build as often as it is asked to make one.
    fn was_told_to_end(&self, seq: Seq) -> bool {
        let delivery = self.soft.deliveries.get(&seq);
        delivery.is_some_and(|delivery| delivery.ends && delivery.failures >= BUILD_RETRIES)
    }

    /// What the builder said.
    pub(super) fn build_reported(
        &mut self,
        seq: Seq,
        key: &Key,
        report: BuildReport,
        now: Now,
        batch: &mut Batch,
    ) {
        let Key::Build(object) = key else { return };
        self.dirty.insert(key.clone());
        if let Some(delivery) = self.soft.deliveries.get_mut(&seq) {
            delivery.in_flight = false;
            delivery.cancelled = false;
        }
        let Some(build) = self.build(object, seq).cloned() else { return };
        match report {
            BuildReport::Transient { .. } if sabotage::is(Bug::CallItBuilt) => {
                let ended = BuildEnded::new(BuildEnd::Complete, "", "");
                self.finish_build(object, &build, ended, now, batch);
            }
            BuildReport::Transient { reason, retry_after } => match &build.ending {
                // Whatever keeps the builder from ending it, its place is not taken for ever.
                Some((end, why, message)) if self.was_told_to_end(seq) => {
                    let message = format!("{message} (What became of it is not known: {reason}.)");
                    self.finish_build(
                        object,
                        &build,
                        BuildEnded::new(*end, why, message),
                        now,
                        batch,
                    );
                }
                Some(_) | None => self.try_again(seq, reason, retry_after, now),
            },
            BuildReport::Ended(ended) => match (&build.ending, ended.end) {
                // It came to its end before it could be ended.
                (_, BuildEnd::Complete) | (None, BuildEnd::Failed | BuildEnd::Error) => {
                    self.finish_build(object, &build, *ended, now, batch);
                }
                (Some((end, reason, message)), _) => {
                    let (reason, message) = (reason.clone(), message.clone());
                    let ended = BuildEnded { end: *end, reason, message, image: None, ..*ended };
                    self.finish_build(object, &build, ended, now, batch);
                }
                // The daemon is stopping, as nobody else cancelled it: it is gone on with after the next start.
                (None, BuildEnd::Cancelled) => {
                    self.soft.deliveries.remove(&seq);
                }
            },
        }
    }

    /// Records the end of a build, after what it pushed.
    ///
    /// In this order: cut between the two, the build is delivered again, pushes the same image and records its end.
    fn finish_build(
        &mut self,
        object: &ObjectKey,
        build: &Build,
        ended: BuildEnded,
        now: Now,
        batch: &mut Batch,
    ) -> Seq {
        let was_started = build.started.is_some();
        let BuildEnded { end, reason, message, image, revision, stages, log } = ended;
        self.soft.deliveries.remove(&build.seq);
        if was_started {
            self.admission.give_back(&Scarce::Builds);
        }
        let made = image.clone().filter(|_| end == BuildEnd::Complete);
        let is_late = sabotage::is(Bug::EndBeforeTag);
        if let Some(made) = made.as_ref().filter(|_| !is_late) {
            self.tag_built(object, build, made, now, batch);
        }
        let finished = BuildFinished {
            build: build.seq,
            object: object.clone(),
            name: build.created.name.clone(),
            end,
            reason,
            message,
            image: image.map(|image| image.digest),
            revision,
            stages,
            log,
        };
        let seq = self.record(Fact::BuildFinished(Box::new(finished)), now, batch);
        if let Some(made) = made.as_ref().filter(|_| is_late) {
            self.tag_built(object, build, made, now, batch);
        }
        if was_started && let Some(state) = self.observed.builds.get(object) {
            let keep = state.builds.iter().map(|build| build.seq).collect();
            let tidy = TidyBuilds { object: object.clone(), keep, until: self.observed.last_seq };
            let id = self.new_action(InFlight::Silent);
            batch.starts.push((id, Action::TidyBuilds(tidy)));
            self.in_flight.remove(&id); // nobody answers
        }
        seq
    }

    /// The tag event of what a build pushed (rule B51); nothing where the tag is that already.
    fn tag_built(
        &mut self,
        object: &ObjectKey,
        build: &Build,
        image: &ResolvedImage,
        now: Now,
        batch: &mut Batch,
    ) {
        let push = build.started.as_ref().and_then(|(_, push)| push.as_ref());
        let Some((tag, push)) = build.created.output.clone().zip(push) else { return };
        let Ok(reference) = push.parse::<ImageReference>() else { return };
        let state = self.observed.tag(&tag);
        let generation =
            self.observed.streams.get(&tag.stream).map_or(Generation(0), |s| s.generation);
        let event = TagEvent {
            created: now.wall,
            reference: reference.with_digest(&image.digest),
            image: Some(image.digest),
            // At least that of a stream that the push creates (rule I22).
            generation: generation.max(Generation(1)),
        };
        let deleted = self.observed.images.deleted.contains(&image.digest);
        let changes = state.is_none_or(|state| {
            state.effect_of(&event) != Effect::None || state.left || state.condition.is_some()
        });
        if !changes && !deleted {
            return;
        }
        let via = Via::Build {
            object: object.clone(),
            name: build.created.name.clone(),
            build: build.seq,
        };
        let imported = TagImported {
            tag,
            event,
            probed: None,
            asked: 0,
            metadata: Some(image.metadata),
            via,
            reason: Reason::Nudged,
        };
        self.record(Fact::TagImported(Box::new(imported)), now, batch);
    }
}
