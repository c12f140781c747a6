//! Records become the observed state: a fold, pure and total.
//!
//! [`ObservedState`] is what the journal proves and nothing else: `replay(records)` equals the running state after every
//! step (law 3). What a restart may forget lives in [`soft`] and never decides more than when to look again.

pub mod build;
mod images;
pub mod job;
pub mod listing;
mod narrow;
mod outline;
mod overlay;
pub mod quota;
pub mod rollout;
pub mod soft;
pub mod tag_history;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dense;
use crate::fact::{
    Checkpoint, CommitAdopted, ConfigAdopted, Fact, ImportFailed, Record, Rejected, RemovalFate,
    Space, TagImported, TagsListed, Via, build_fact, workload_fact,
};
use crate::names::{CommitId, ContentHash, Generation, Incarnation, ObjectKey, Seq, StreamName};
use crate::names::{Kind, StreamTag, TagName};
use crate::sabotage::{self, Bug};
use crate::time::Timestamp;

use build::BuildsState;
pub use images::{BareImage, Images};
use listing::ListingState;
pub use narrow::Narrow;
pub use outline::{Outline, Text};
pub use overlay::Overlay;
use quota::Quota;
use rollout::{Paused, WorkloadState};
use tag_history::TagState;

/// What the journal proves.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct ObservedState {
    /// Number of the last record; 0 before the first.
    pub last_seq: Seq,
    /// Time of the last record.
    #[serde(default)]
    pub last_at: Option<Timestamp>,
    /// The adopted commit.
    #[serde(default)]
    pub adopted: Option<Adopted>,
    /// A commit that was refused after the adopted one.
    #[serde(default)]
    pub refused: Option<Refused>,
    /// The source's failure, while it lasts.
    #[serde(default)]
    pub source_failure: Option<SourceDown>,
    /// Every object that ever was.
    #[serde(default, deserialize_with = "dense::map")]
    pub objects: BTreeMap<ObjectKey, ObjectState>,
    /// Streams with their tags.
    #[serde(default, deserialize_with = "dense::map")]
    pub streams: BTreeMap<StreamName, StreamState>,
    /// Images that are not where their items are.
    #[serde(default, skip_serializing_if = "Images::is_empty")]
    pub images: Images,
    /// Workloads with their rollouts.
    #[serde(default, deserialize_with = "dense::map")]
    pub workloads: BTreeMap<ObjectKey, WorkloadState>,
    /// `BuildConfig`s with their builds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub builds: BTreeMap<ObjectKey, BuildsState>,
    /// When records were lost last.
    #[serde(default)]
    pub epoch: Option<Timestamp>,
    /// The configuration that was adopted last.
    #[serde(default)]
    pub config: Option<ConfigAdopted>,
    /// The file system of the state directory is nearly full.
    #[serde(default)]
    pub space_short: Option<SpaceShort>,
    /// All rollouts are paused by an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// What was asked of registries that count it.
    #[serde(default, skip_serializing_if = "Quota::is_empty")]
    pub quota: Quota,
}

/// The file system of the state directory is nearly full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpaceShort {
    /// Since when.
    pub since: Timestamp,
    /// What was left then.
    pub space: Space,
}

impl std::fmt::Display for SpaceShort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Space { free, needed } = self.space;
        write!(
            f,
            "the file system is nearly full ({free} bytes were free, {needed} are needed): nothing is started until \
             twice that is free again; what runs is still recorded"
        )
    }
}

/// The adopted commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Adopted {
    /// The record that adopted it.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// The commit.
    pub commit: CommitId,
    /// The branch.
    pub branch: String,
    /// What is invalid in it.
    pub rejected: Vec<Rejected>,
}

/// A commit that was not adopted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// When.
    pub at: Timestamp,
    /// The commit.
    pub commit: CommitId,
    /// Why.
    pub reason: String,
}

/// The source cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceDown {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub message: String,
}

/// Whether an object is in git.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectState {
    /// Which life of it.
    pub incarnation: Incarnation,
    /// Whether git has it.
    pub presence: Presence,
    /// Since when it lives, this life; none where an older version of the program wrote it down.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// Whether git has an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Presence {
    /// It has, or its last valid version stays in force.
    Present,
    /// It has not.
    Removed {
        /// Since when.
        at: Timestamp,
        /// What happens to it.
        fate: RemovalFate,
    },
}

/// A stream.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StreamState {
    /// `metadata.generation` (rule I27).
    pub generation: Generation,
    /// Its tags, those of the spec and those that only have history.
    #[serde(default, deserialize_with = "dense::map")]
    pub tags: BTreeMap<TagName, TagState>,
    /// When the tag that was not checked for longest was checked, as of the last checkpoint.
    #[serde(default)]
    pub checked: Option<Timestamp>,
    /// When an import changed the stream last: `openshift.io/image.dockerRepositoryCheck` (rule I66).
    #[serde(default)]
    pub imported: Option<Timestamp>,
    /// What listing its whole repository found; none where that was never tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<Box<ListingState>>,
    /// What operators put over git.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub overlays: BTreeMap<TagName, Overlay>,
}

impl ObservedState {
    /// Folds records into a state.
    #[must_use]
    pub fn replay<'a>(mut self, records: impl IntoIterator<Item = &'a Record>) -> Self {
        for record in records {
            self.apply(record);
        }
        self
    }

    /// The number that the next record will have.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.last_seq.next()
    }

    /// The state of a tag.
    #[must_use]
    pub fn tag(&self, tag: &StreamTag) -> Option<&TagState> {
        self.streams.get(&tag.stream)?.tags.get(&tag.tag)
    }

    /// Objects whose removal the guard holds (rule D52), with their last version.
    pub fn held_removals(&self) -> impl Iterator<Item = (&ObjectKey, ContentHash)> {
        self.objects.iter().filter_map(|(key, object)| match object.presence {
            Presence::Removed { fate: RemovalFate::Held { version }, .. } => Some((key, version)),
            Presence::Removed { .. } | Presence::Present => None,
        })
    }

    /// The last valid versions that are in force though the adopted commit does not have them.
    pub fn kept_versions(&self) -> impl Iterator<Item = ContentHash> {
        let rejected = self.adopted.iter().flat_map(|adopted| &adopted.rejected);
        rejected.filter_map(|rejected| rejected.kept).chain(self.held_removals().map(|(_, v)| v))
    }

    /// The values in the object store that this state needs: what readers of it look up there.
    pub fn objects(&self) -> impl Iterator<Item = ContentHash> {
        let tags = self.streams.values().flat_map(|stream| stream.tags.values());
        let metadata = tags.flat_map(|tag| &tag.items).filter_map(|item| item.metadata);
        let workloads = self.workloads.values();
        let manifests = workloads.flat_map(|workload| {
            let rollouts = workload.rollouts.iter().map(|rollout| rollout.started.manifest);
            let rollouts =
                rollouts.chain(workload.jobs.runs.iter().map(|job| job.started.manifest));
            rollouts.chain(workload.stop.iter().map(|stop| stop.started.manifest))
        });
        let bare = self.images.bare.values().filter_map(|image| image.metadata);
        let builds = self.builds.values().flat_map(|state| &state.builds);
        let builds = builds.flat_map(|build| {
            let options = &build.created.options;
            // What was handed over is not kept behind the end of its build.
            let binary = options.binary.iter().filter(|_| build.ended.is_none());
            [build.created.manifest].into_iter().chain(binary.map(|binary| binary.content))
        });
        self.kept_versions().chain(metadata).chain(bare).chain(manifests).chain(builds)
    }

    /// Applies one record.
    ///
    /// Total: a record about something unknown changes nothing but the sequence number. The engine never writes one;
    /// a journal that holds one is still readable.
    pub fn apply(&mut self, record: &Record) {
        debug_assert_eq!(record.seq, self.next_seq(), "records are applied in order");
        self.last_seq = record.seq;
        self.last_at = Some(record.at);
        match &record.fact {
            Fact::CommitAdopted(adopted) => self.adopt(record.seq, record.at, adopted),
            Fact::CommitRefused(refused) => {
                let (commit, reason) = (refused.commit, refused.reason.clone());
                self.refused = Some(Refused { at: record.at, commit, reason });
            }
            Fact::CommitWithdrawn(_) => self.refused = None,
            Fact::SourceFailed(failed) => {
                let message = failed.message.clone();
                self.source_failure = Some(SourceDown { since: record.at, message });
            }
            Fact::SourceRecovered => self.source_failure = None,
            Fact::RemovalsReleased(released) => {
                for key in &released.objects {
                    self.prune(key, record.at);
                }
            }
            Fact::TagImported(_)
            | Fact::TagProbed(_)
            | Fact::ImportFailed(_)
            | Fact::TagRecovered(_)
            | Fact::TagTrimmed(_)
            | Fact::TagsListed(_)
            | Fact::ListingFailed(_)
            | Fact::TagRemoved(_) => self.apply_to_stream(record),
            Fact::OverlaySet(set) => self.overlay_set(record, set),
            Fact::ImagesPruned(pruned) => self.images_pruned(pruned),
            Fact::ImageDeleted(deleted) => self.image_deleted(deleted),
            Fact::ManifestDeleted(deleted) => {
                self.images.leftover.remove(&deleted.manifest);
            }
            Fact::TriggerFired(_) | workload_fact!() => self.apply_to_workload(record),
            build_fact!() => self.apply_to_builds(record),
            Fact::RolloutsPaused(paused) if paused.object.is_none() => {
                self.paused =
                    paused.paused.then(|| Paused { at: record.at, by: paused.by.clone() });
            }
            Fact::RolloutsPaused(_) => self.apply_to_workload(record),
            Fact::RecordsLost(_) => self.epoch = Some(record.at),
            Fact::ConfigAdopted(config) => self.config = Some(config.clone()),
            Fact::SpaceShort(space) => {
                self.space_short = Some(SpaceShort { since: record.at, space: *space });
            }
            Fact::SpaceRegained(_) => self.space_short = None,
            Fact::HistoryDropped(_) => {}
            Fact::Checkpoint(checkpoint) => self.checked(record.at, checkpoint),
        }
    }

    fn checked(&mut self, at: Timestamp, checkpoint: &Checkpoint) {
        let lost = sabotage::is(Bug::LoseCheckpoint);
        for (stream, at) in checkpoint.checked.iter().filter(|_| !lost) {
            if let Some(stream) = self.streams.get_mut(stream) {
                stream.checked = Some(*at);
            }
        }
        if !sabotage::is(Bug::ForgetQuota) {
            self.quota.apply(checkpoint, at);
        }
    }

    /// Applies a record about tags.
    #[expect(clippy::wildcard_enum_match_arm, reason = "`apply` hands over only these")]
    fn apply_to_stream(&mut self, record: &Record) {
        match &record.fact {
            Fact::TagImported(imported) => self.import(record, imported),
            Fact::TagProbed(probed) => {
                if let Some(tag) = self.tag_mut(&probed.tag) {
                    tag.probed = Some(probed.probed);
                }
            }
            Fact::ImportFailed(failed) => self.import_failed(record.at, failed),
            Fact::TagRecovered(recovered) => {
                if let Some(tag) = self.tag_mut(&recovered.tag) {
                    tag.condition = None;
                }
            }
            Fact::TagTrimmed(trimmed) => {
                if let Some(tag) = self.tag_mut(&trimmed.tag) {
                    tag.trim(&trimmed.items);
                }
            }
            Fact::TagsListed(listed) => self.tags_listed(record.at, listed),
            Fact::ListingFailed(failed) => {
                let stream = self.streams.entry(failed.stream.clone()).or_default();
                stream.imported = Some(record.at);
                stream.listing.get_or_insert_default().fail(record.at, failed);
            }
            Fact::TagRemoved(removed) => {
                if let Some(stream) = self.streams.get_mut(&removed.tag.stream) {
                    stream.tags.remove(&removed.tag.tag);
                    if let Some(listing) = &mut stream.listing {
                        listing.derived.remove(&removed.tag.tag);
                    }
                }
                self.forget_deleted();
            }
            _ => {}
        }
    }

    fn import(&mut self, record: &Record, imported: &TagImported) {
        let stream = self.streams.entry(imported.tag.stream.clone()).or_default();
        stream.generation = stream.generation.max(imported.event.generation);
        if imported.via == Via::Registry {
            stream.imported = Some(record.at);
        }
        let tag = stream.tags.entry(imported.tag.tag.clone()).or_default();
        tag.import(record.seq, imported);
        self.image_found(imported);
    }

    fn import_failed(&mut self, at: Timestamp, failed: &ImportFailed) {
        let stream = self.streams.entry(failed.tag.stream.clone()).or_default();
        stream.generation = stream.generation.max(failed.generation);
        if failed.reason.is_of_a_registry() {
            stream.imported = Some(at);
        }
        stream.tags.entry(failed.tag.tag.clone()).or_default().fail(at, failed);
    }

    /// Tags that the listing brings for the first time, or again, are due for import.
    fn tags_listed(&mut self, at: Timestamp, listed: &TagsListed) {
        let stream = self.streams.entry(listed.stream.clone()).or_default();
        stream.generation = stream.generation.max(listed.generation);
        stream.imported = Some(at);
        let listing = stream.listing.get_or_insert_default();
        let is_known = |tag: &&TagName| matches!(listing.derived.get(*tag), Some(None));
        for tag in listed.tags.iter().filter(|tag| !is_known(tag)) {
            let tag = stream.tags.entry(tag.clone()).or_default();
            tag.generation = listed.generation;
            tag.left = false;
        }
        listing.list(listed);
    }

    fn apply_to_workload(&mut self, record: &Record) {
        if let Some(object) = rollout::object_of(&record.fact) {
            self.workloads.entry(object.clone()).or_default().apply(record);
        }
    }

    fn apply_to_builds(&mut self, record: &Record) {
        if let Some(object) = build::object_of(&record.fact) {
            self.builds.entry(object.clone()).or_default().apply(record);
        }
    }

    fn tag_mut(&mut self, tag: &StreamTag) -> Option<&mut TagState> {
        self.streams.get_mut(&tag.stream)?.tags.get_mut(&tag.tag)
    }

    fn adopt(&mut self, seq: Seq, at: Timestamp, commit: &CommitAdopted) {
        self.adopted = Some(Adopted {
            seq,
            at,
            commit: commit.commit,
            branch: commit.branch.clone(),
            rejected: commit.rejected.clone(),
        });
        self.refused = None;
        for appeared in &commit.appeared {
            let incarnation = appeared.incarnation;
            let before = self.objects.get(&appeared.object);
            let same_life = before.filter(|before| before.incarnation == incarnation);
            let since = same_life.map_or(Some(at), |before| before.since);
            let is_new_life = before.is_some() && same_life.is_none();
            let state = ObjectState { incarnation, presence: Presence::Present, since };
            self.objects.insert(appeared.object.clone(), state);
            if is_new_life && appeared.object.kind.is_workload() {
                // Another life: what the one before triggered or failed says nothing about it.
                self.workloads.entry(appeared.object.clone()).or_default().begin_life();
            }
        }
        for removed in &commit.removed {
            match removed.fate {
                RemovalFate::Pruned => self.prune(&removed.object, at),
                fate @ (RemovalFate::Kept | RemovalFate::Held { .. }) => {
                    if let Some(object) = self.objects.get_mut(&removed.object) {
                        object.presence = Presence::Removed { at, fate };
                    }
                }
            }
        }
        for changed in &commit.streams {
            self.stream_changed(changed);
        }
        for tag in &commit.superseded {
            self.overlay_ended(tag);
        }
    }

    /// Lets a removal happen: a stream goes with its tags, a workload waits for its stop.
    fn prune(&mut self, key: &ObjectKey, at: Timestamp) {
        if let Some(object) = self.objects.get_mut(key) {
            object.presence = Presence::Removed { at, fate: RemovalFate::Pruned };
        }
        if key.kind == Kind::ImageStream {
            let name = StreamName::new(key.namespace.clone(), key.name.clone());
            if let Some(stream) = self.streams.get_mut(&name) {
                stream.tags.clear();
                stream.imported = None;
                stream.listing = None;
                stream.overlays.clear();
            }
            self.forget_deleted();
        }
    }
}

#[cfg(test)]
mod tests;
