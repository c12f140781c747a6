//! A commit becomes the desired state: in one record, never half (law 9, rules D7, D51, D52, I22 to I27).

mod adoption;
pub(super) mod generations;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::action::SourceRead;
use crate::desired::{DesiredState, Object, TagSource, Tree};
use crate::effective;
use crate::fact::{CommitAdopted, CommitRefused, CommitWithdrawn, Fact, RemovalFate, Removed};
use crate::names::{CommitId, ContentHash, Kind, ObjectKey, Seq, StreamName, StreamTag};
use crate::observed::{Overlay, Refused};
use crate::plan::Key;
use crate::policy::OnInvalid;
use crate::sabotage::{self, Bug};
use crate::time::Now;

use super::index::Link;
use super::{Batch, Engine};
use adoption::{Adoption, Outcome};
use generations::stream_changes;

impl Engine {
    /// Takes in the files of the adopted commit after a start, without recording anything.
    ///
    /// `kept` are the last valid versions that are in force, from the object store: those that
    /// [`kept_versions`](crate::observed::ObservedState::kept_versions) names.
    pub fn load(&mut self, read: &SourceRead, kept: Vec<(ContentHash, Object)>) {
        self.tree.apply(read, &self.policy);
        self.tree_commit = Some(read.commit);
        self.loaded(kept);
    }

    fn loaded(&mut self, kept: Vec<(ContentHash, Object)>) {
        let adopted = self.observed.adopted.as_ref();
        let rejected = adopted.map_or(&[][..], |adopted| &adopted.rejected);
        self.desired = self.tree.assemble_adopted(rejected);
        self.keep(kept);
    }

    /// Puts last valid versions in force: the part of [`Engine::load`] that needs no commit, for a mirror that is lost.
    pub fn keep(&mut self, kept: Vec<(ContentHash, Object)>) {
        self.kept = kept.into_iter().collect();
        effective::keep_in_force(&mut self.desired, &self.observed, &self.kept);
        self.reindex();
        self.dirty_all();
    }

    /// The commit whose files are in force; none while they have to be read whole.
    #[must_use]
    pub fn tree_commit(&self) -> Option<CommitId> {
        self.tree_commit
    }

    /// The tree as it was read, to be kept for a faster start.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Takes in the adopted commit's files as they were read before, without recording anything.
    pub fn load_tree(&mut self, tree: Tree, commit: CommitId, kept: Vec<(ContentHash, Object)>) {
        self.tree = tree;
        self.tree_commit = Some(commit);
        self.loaded(kept);
    }

    pub(super) fn adopt(&mut self, read: &SourceRead, now: Now, batch: &mut Batch) {
        if self.is_adopted(read) {
            self.withdraw(now, batch);
            return;
        }
        let mut tree = self.tree.clone();
        tree.apply(read, &self.policy);
        let mut adoption = Adoption::new(&self.observed, &self.desired, &self.tree, &tree);
        adoption.keep_rejected();
        adoption.keep_hidden();
        if self.policy.on_invalid == OnInvalid::Refuse
            && let Some(first) = adoption.rejected.first()
        {
            let count = adoption.rejected.len();
            let reason = format!(
                "{count} invalid objects, the first at {}: {} (source.on_invalid is `refuse`)",
                first.position, first.message
            );
            self.refuse(CommitRefused { commit: read.commit, reason }, now, batch);
            return;
        }
        adoption.remove(self.policy.prune_objects_max, read.commit);
        let outcome = adoption.outcome();
        self.tree = tree;
        self.tree_commit = Some(read.commit);
        self.take_over(read, outcome, now, batch);
    }

    fn is_adopted(&self, read: &SourceRead) -> bool {
        let same_commit = self.observed.adopted.as_ref().is_some_and(|a| a.commit == read.commit);
        same_commit && self.tree_commit == Some(read.commit)
    }

    fn take_over(&mut self, read: &SourceRead, outcome: Outcome, now: Now, batch: &mut Batch) {
        let Outcome { mut new, rejected, removed, appeared, kept } = outcome;
        let superseded = self.superseded(read.commit, &new, &removed);
        self.overlay(&mut new, &superseded);
        let streams = stream_changes(&self.observed, &self.desired, &new);
        let adopted = CommitAdopted {
            commit: read.commit,
            branch: read.branch.clone(),
            forced: read.forced,
            objects: u64::try_from(new.objects()).unwrap_or(u64::MAX),
            companions: u64::try_from(new.companions.len()).unwrap_or(u64::MAX),
            appeared,
            removed,
            streams,
            rejected,
            superseded: superseded.into_iter().collect(),
        };
        let old = std::mem::replace(&mut self.desired, new);
        self.relink(&old);
        if self.is_recorded(&adopted) {
            self.withdraw(now, batch);
            // The mirror may have been lost in between.
            let known = self.observed.adopted.as_ref().map(|known| (known.seq, known.commit));
            known.into_iter().for_each(|(seq, commit)| self.keep_commit(seq, commit, batch));
            return;
        }
        for (bytes, hash, object) in kept {
            self.kept.insert(hash, object);
            Self::store(batch, bytes);
        }
        let commit = read.commit;
        let seq = self.record(Fact::CommitAdopted(Box::new(adopted)), now, batch);
        let in_force: BTreeSet<_> = self.observed.kept_versions().collect();
        self.kept.retain(|hash, _| in_force.contains(hash));
        self.keep_commit(seq, commit, batch);
    }

    /// Puts what the journal has over git into the streams of a commit (rules I59, I102), but for overlays that end; a
    /// stream that git did not change stays the same one.
    fn overlay(&self, new: &mut DesiredState, ended: &BTreeSet<StreamTag>) {
        for (name, stream) in &mut new.streams {
            let state = self.observed.streams.get(name);
            let is_overlaid = state.is_some_and(|state| !state.overlays.is_empty());
            if stream.repository.is_none() && stream.overlaid.is_empty() && !is_overlaid {
                continue;
            }
            let over = effective::with_overlays_but(stream, state, &self.policy, ended);
            *stream = match self.desired.streams.get(name) {
                Some(before) if *before == over => Arc::clone(before),
                Some(_) | None => over,
            };
        }
    }

    /// The tags whose overlay a commit ends: it says something else of them than git did, or their stream is gone (rule
    /// I102, item 5). One whose stream cannot be told stays (law 7).
    fn superseded(
        &self,
        commit: CommitId,
        new: &DesiredState,
        removed: &[Removed],
    ) -> BTreeSet<StreamTag> {
        let again = self.observed.adopted.as_ref().is_some_and(|known| known.commit == commit);
        if again || sabotage::is(Bug::KeepOverlay) {
            return BTreeSet::new();
        }
        let is_gone = |stream: &StreamName| {
            let key = ObjectKey::stream(stream);
            removed.iter().any(|r| r.object == key && r.fate == RemovalFate::Pruned)
        };
        let ends = |(tag, overlay): &(StreamTag, &Overlay)| match new.streams.get(&tag.stream) {
            Some(stream) => effective::basis(stream, &tag.tag, &self.policy) != overlay.basis,
            None => is_gone(&tag.stream),
        };
        self.observed.overlays().filter(ends).map(|(tag, _)| tag).collect()
    }

    fn keep_commit(&mut self, seq: Seq, commit: CommitId, batch: &mut Batch) {
        let id = self.new_action(super::InFlight::Silent);
        batch.starts.push((id, crate::action::Action::KeepCommit { seq, commit }));
        self.in_flight.remove(&id); // nobody answers
    }

    /// The head is the adopted commit: whatever was refused is not asked for any more (law 8).
    fn withdraw(&mut self, now: Now, batch: &mut Batch) {
        if let Some(Refused { commit, .. }) = self.observed.refused {
            self.record(Fact::CommitWithdrawn(CommitWithdrawn { commit }), now, batch);
        }
    }

    /// Whether the adopted commit was only read again, after the mirror was lost or for new settings, and means what it
    /// meant: one commit, one record (law 9).
    fn is_recorded(&self, read: &CommitAdopted) -> bool {
        let nothing_new =
            read.appeared.is_empty() && read.removed.is_empty() && read.streams.is_empty();
        let known = self.observed.adopted.as_ref();
        nothing_new && known.is_some_and(|k| k.commit == read.commit && k.rejected == read.rejected)
    }

    /// Brings the index up to date and marks what changed; what is shared with the old state is not looked at.
    fn relink(&mut self, old: &DesiredState) {
        self.mark_configured(old);
        let keys: BTreeSet<_> = old.keys().chain(self.desired.keys()).collect();
        let mut replaced = Vec::new();
        for key in keys {
            let (before, after) = (old.get(&key), self.desired.get(&key));
            if let (Some(before), Some(after)) = (&before, &after)
                && is_same(before, after)
            {
                continue;
            }
            if let Some(before) = &before {
                self.mark_object(before);
                self.link(before, Link::Remove);
            }
            if let Some(after) = &after {
                self.link(after, Link::Add);
                self.mark_object(after);
            }
            replaced.extend(before);
        }
        // Only now, when every tag that goes on asking is linked again.
        for object in &replaced {
            self.forget_checks_of(object);
        }
    }

    /// Marks what may name a `ConfigMap` or a `Secret` that changed.
    fn mark_configured(&mut self, old: &DesiredState) {
        let namespaces = old.configs.keys().chain(self.desired.configs.keys());
        let changed: BTreeSet<_> = namespaces
            .filter(|name| old.configs.get(*name) != self.desired.configs.get(*name))
            .collect();
        if !changed.is_empty() {
            let workloads = self.desired.workloads.keys();
            let of_them = workloads.filter(|key| changed.contains(&key.namespace));
            self.dirty.extend(of_them.cloned().map(Key::Workload));
        }
    }

    /// Marks everything that an object is and that looks at it.
    pub(super) fn mark_object(&mut self, object: &Object) {
        match object {
            Object::Build(build) => self.mark_builds(&build.object),
            Object::Workload(workload) => {
                self.dirty.insert(Key::Workload(workload.object.clone()));
            }
            Object::Stream(stream) => {
                if stream.repository.is_some() {
                    self.dirty.insert(Key::Listing(stream.name.clone()));
                }
                self.mark_histories_of(&stream.name);
                let followers = self.index.stream_followers.get(&stream.name);
                self.dirty.extend(followers.into_iter().flatten().cloned());
                for (tag, spec) in &stream.tags {
                    if let Some(TagSource::Image { stream, .. }) = &spec.from {
                        self.mark_histories_of(stream);
                    }
                    let tag = stream.name.tag(tag.clone());
                    let key = self.key_of_tag(&tag);
                    if let Some(Key::Check(check)) = &key
                        && let Some(soft) = self.soft.checks.get_mut(check)
                    {
                        soft.attempts.failures = 0; // a changed spec is tried at once (rule I43)
                    }
                    self.dirty.extend(key);
                    let followers = self.index.tag_followers.get(&tag);
                    self.dirty.extend(followers.into_iter().flatten().cloned());
                }
            }
        }
    }

    /// Takes an object out of force whose removal was held.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        if let Some(object) = self.desired.get(key) {
            self.mark_object(&object);
            self.link(&object, Link::Remove);
            self.forget_checks_of(&object);
        }
        match key.kind {
            Kind::ImageStream => {
                let name = StreamName::new(key.namespace.clone(), key.name.clone());
                self.desired.streams.remove(&name);
            }
            Kind::BuildConfig => {
                self.desired.builds.remove(key);
            }
            Kind::DeploymentConfig
            | Kind::Deployment
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::CronJob
            | Kind::Pod => {
                self.desired.workloads.remove(key);
            }
        }
    }
}

/// Whether two objects are one and the same: the same address, or the same content.
fn is_same(before: &Object, after: &Object) -> bool {
    match (before, after) {
        (Object::Stream(a), Object::Stream(b)) => Arc::ptr_eq(a, b) || a == b,
        (Object::Build(a), Object::Build(b)) => Arc::ptr_eq(a, b) || a == b,
        (Object::Workload(a), Object::Workload(b)) => Arc::ptr_eq(a, b) || a == b,
        (Object::Stream(_) | Object::Build(_) | Object::Workload(_), _) => false,
    }
}
