//! Who uses images (rule I156): git, and what the journal says runs.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{BuildConfig, BuildFrom, TagSource, Workload};
use crate::effective::is_named;
use crate::fact::{Outcome, TagEvent};
use crate::names::{Digest, Namespace, ObjectKey, StreamName, StreamTag, TagName};
use crate::observed::build::BuildsState;
use crate::observed::rollout::{Rollout, WorkloadState};
use crate::plan::View;
use crate::plan::history::needed;
use crate::reference::ImageReference;
use crate::sabotage::{self, Bug};
use crate::time::Timestamp;

/// What is used, by the ways in which it is named.
#[derive(Debug, Default)]
pub(super) struct Users {
    /// Tags whose current item is used: triggers, aliases, inputs of builds.
    tags: BTreeSet<StreamTag>,
    /// Images, wherever they are.
    images: BTreeSet<Digest>,
    /// Images of a stream, by a digest or the beginning of one (rule I36).
    pins: BTreeMap<StreamName, BTreeSet<String>>,
    /// Repositories, everything defaulted, whose current items are used: by references without a digest.
    repositories: BTreeSet<String>,
    /// References that cannot be read: they protect nothing.
    pub(super) warnings: Vec<String>,
}

impl Users {
    /// Collects them. Rollouts that ended after `cut_off` count, as finished pods do in OpenShift.
    pub(super) fn of(view: &View<'_>, cut_off: Timestamp) -> Self {
        let mut users = Self::default();
        for workload in view.desired.workloads.values() {
            users.workload(view, workload);
        }
        for build in view.desired.builds.values() {
            users.build(build);
        }
        for stream in view.desired.streams.values() {
            // What git says beneath an overlay counts, too: it is in force again when that ends.
            let specs = stream.tags.values().chain(stream.overlaid.values().flatten());
            for source in specs.filter_map(|spec| spec.from.as_ref()) {
                match source {
                    TagSource::Tag(tag) => drop(users.tags.insert(tag.clone())),
                    TagSource::Image { stream, id } => users.pin(stream.clone(), id),
                    TagSource::Registry(_) => {}
                }
            }
        }
        for state in view.observed.workloads.values() {
            for rollout in in_use(state, cut_off) {
                users.rollout(rollout);
            }
        }
        // A build that was created keeps the images that it was created with (rule B9).
        for build in view.observed.builds.values().flat_map(BuildsState::active) {
            users.images.extend(build.created.images.iter().filter_map(|image| image.digest));
        }
        users
    }

    /// Whether somebody uses a tag, whatever its image is.
    pub(super) fn use_current(&self, tag: &StreamTag, event: &TagEvent) -> bool {
        let by_reference = || {
            let reference = event.reference.parse::<ImageReference>();
            reference.is_ok_and(|reference| self.repositories.contains(&repository(reference)))
        };
        self.tags.contains(tag) || !self.repositories.is_empty() && by_reference()
    }

    /// Whether somebody uses an image, wherever it is.
    pub(super) fn use_image(&self, image: &Digest) -> bool {
        self.images.contains(image) && !sabotage::is(Bug::PruneInUse)
    }

    /// Whether a tag or a build pins an image of a stream.
    pub(super) fn pin_image(&self, stream: &StreamName, image: &Digest) -> bool {
        self.pins.get(stream).into_iter().flatten().any(|id| is_named(image, id))
    }

    fn pin(&mut self, stream: StreamName, id: &str) {
        self.pins.entry(stream).or_default().insert(id.to_owned());
    }

    fn workload(&mut self, view: &View<'_>, workload: &Workload) {
        self.tags.extend(workload.triggers.iter().map(|trigger| trigger.from.clone()));
        for container in &workload.containers {
            let local = local(view, &workload.object.namespace, container.image.trim());
            if let Some(tag) = local {
                self.tags.insert(tag);
                continue;
            }
            let place = format!("container {}", container.container.name);
            self.reference(&container.image, &workload.object, &place);
        }
    }

    /// The images of a build: what it is made from, its `source.images` included, and what triggers it.
    fn build(&mut self, build: &BuildConfig) {
        self.tags.extend(build.reads().cloned());
        for from in build.from.iter().chain(&build.images) {
            match from {
                BuildFrom::Registry(image) => {
                    self.reference(&image.to_string(), &build.object, "build input");
                }
                BuildFrom::Image { stream, id } => self.pin(stream.clone(), id),
                BuildFrom::Tag(_) => {} // it is among the inputs already
            }
        }
    }

    fn rollout(&mut self, rollout: &Rollout) {
        for image in &rollout.started.images {
            match image.digest {
                Some(digest) => drop(self.images.insert(digest)),
                // Its manifest was looked at when it was in git.
                None => drop(self.named(image.reference.trim())),
            }
        }
    }

    /// A reference that a manifest has; a blank one names nothing.
    fn reference(&mut self, text: &str, object: &ObjectKey, place: &str) {
        let text = text.trim();
        if !text.is_empty()
            && let Err(why) = self.named(text)
        {
            self.warn(object, place, text, &why);
        }
    }

    fn named(&mut self, text: &str) -> Result<(), String> {
        let reference: ImageReference =
            text.parse().map_err(|error: crate::reference::ReferenceError| error.to_string())?;
        if let Some(digest) = reference.digest {
            self.images.insert(digest);
        } else if reference.is_registry_only() {
            return Err("it names a registry and no image".into());
        } else {
            self.repositories.insert(repository(reference));
        }
        Ok(())
    }

    fn warn(&mut self, object: &ObjectKey, place: &str, text: &str, why: &str) {
        let (kind, ObjectKey { namespace, name, .. }) = (object.kind.singular(), object);
        self.warnings.push(format!(
            "{kind}s/{name} namespace={namespace}: {place}: invalid image reference \"{text}\": {why}; it protects no \
             image"
        ));
    }
}

/// The rollouts of a workload whose images must stay: what is needed, what one would go back to, and what was recent.
fn in_use(state: &WorkloadState, cut_off: Timestamp) -> impl Iterator<Item = &Rollout> {
    let complete = |rollout: &&Rollout| rollout.outcome() == Some(Outcome::Complete);
    let mut earlier = state.life().rev().filter(complete);
    let active = earlier.next().map(Rollout::digests);
    // A restore has the images of what it put back: going back from there is to others.
    let back = earlier.find(|rollout| Some(rollout.digests()) != active);
    let recent = move |rollout: &&Rollout| {
        rollout.end.as_ref().is_none_or(|end| end.at > cut_off) || rollout.at > cut_off
    };
    needed(state).chain(back).chain(state.rollouts.iter().filter(recent))
}

/// The tag that an image string of a workload means where its namespace has a stream with local lookup (rule I184).
fn local(view: &View<'_>, namespace: &Namespace, text: &str) -> Option<StreamTag> {
    let reference: ImageReference = text.parse().ok()?;
    if reference.registry.is_some() || reference.namespace.is_some() || reference.digest.is_some() {
        return None;
    }
    let stream = StreamName::new(namespace.clone(), reference.name.parse().ok()?);
    let looked_up = view.desired.streams.get(&stream).is_some_and(|stream| stream.lookup_local);
    let latest = || "latest".parse::<TagName>().ok();
    looked_up.then(|| Some(stream.tag(reference.tag.or_else(latest)?)))?
}

/// The repository of a reference, everything defaulted.
fn repository(reference: ImageReference) -> String {
    ImageReference { tag: None, digest: None, ..reference }.normalized()
}
