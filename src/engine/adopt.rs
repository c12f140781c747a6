//! A commit becomes the desired state: in one record, never half (law 9, rules D7, D51, D52, I22 to I27).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::SourceRead;
use crate::desired::{
    DesiredState, ImageStream, Object, RejectedObject, TagReference, TagSource, Tree,
};
use crate::effective::count_by_namespace;
use crate::fact::{
    Appeared, CommitAdopted, CommitRefused, CommitWithdrawn, Fact, Rejected, RemovalFate, Removed,
    StreamChanged,
};
use crate::names::{
    CommitId, ContentHash, Generation, Incarnation, Kind, ObjectKey, StreamName, TagName,
};
use crate::observed::{ObservedState, Presence, Refused};
use crate::plan::Key;
use crate::policy::OnInvalid;
use crate::time::Now;

use super::index::Link;
use super::{Batch, Engine};

/// The least number of objects that makes the loss of a whole namespace suspicious (rule D52).
const NAMESPACE_OBJECTS_MIN: usize = 3;

impl Engine {
    /// Takes in the files of the adopted commit after a start, without recording anything.
    ///
    /// `kept` are the last valid versions that [`ObservedState::kept_versions`] names, from the object store.
    pub fn load(&mut self, read: &SourceRead, kept: Vec<(ContentHash, Object)>) {
        self.tree.apply(read, &self.policy);
        self.tree_commit = Some(read.commit);
        self.loaded(kept);
    }

    fn loaded(&mut self, kept: Vec<(ContentHash, Object)>) {
        self.desired = self.tree.assemble();
        self.keep(kept);
    }

    /// Puts last valid versions in force: the part of [`Engine::load`] that needs no commit, for a mirror that is lost.
    pub fn keep(&mut self, kept: Vec<(ContentHash, Object)>) {
        self.kept = kept.into_iter().collect();
        let in_force: BTreeSet<_> = self.observed.kept_versions().collect();
        for (hash, object) in &self.kept {
            if in_force.contains(hash) && self.desired.get(&object.key()).is_none() {
                self.desired.put(object.clone());
            }
        }
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
        let new = tree.assemble();
        if self.policy.on_invalid == OnInvalid::Refuse
            && let Some(first) = new.rejected.first()
        {
            let (position, message) = (&first.diagnostic.position, &first.diagnostic.message);
            let count = new.rejected.len();
            let reason = format!(
                "{count} invalid objects, the first at {position}: {message} (source.on_invalid is `refuse`)"
            );
            self.refuse(CommitRefused { commit: read.commit, reason }, now, batch);
            return;
        }
        self.tree = tree;
        self.tree_commit = Some(read.commit);
        self.take_over(read, new, now, batch);
    }

    fn is_adopted(&self, read: &SourceRead) -> bool {
        let same_commit = self.observed.adopted.as_ref().is_some_and(|a| a.commit == read.commit);
        same_commit && self.tree_commit == Some(read.commit)
    }

    fn take_over(&mut self, read: &SourceRead, new: DesiredState, now: Now, batch: &mut Batch) {
        let mut adoption = Adoption::new(&self.observed, &self.desired, new);
        adoption.keep_rejected();
        adoption.remove(self.policy.prune_objects_max, read.commit);
        let Adoption { new, rejected, removed, appeared, kept, .. } = adoption;
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
        };
        let old = std::mem::replace(&mut self.desired, new);
        self.relink(&old);
        if self.is_recorded(&adopted) {
            self.withdraw(now, batch);
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

    /// Marks everything that an object is and that looks at it.
    fn mark_object(&mut self, object: &Object) {
        match object {
            Object::Build(_) => {}
            Object::Workload(workload) => {
                self.dirty.insert(Key::Workload(workload.object.clone()));
            }
            Object::Stream(stream) => {
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
                        soft.failures = 0; // a changed spec is tried at once (rule I43)
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
            | Kind::CronJob => {
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

/// What becomes of the objects of one commit.
struct Adoption<'a> {
    observed: &'a ObservedState,
    old: &'a DesiredState,
    new: DesiredState,
    rejected: Vec<Rejected>,
    removed: Vec<Removed>,
    appeared: Vec<Appeared>,
    /// Last valid versions to be stored.
    kept: Vec<(Vec<u8>, ContentHash, Object)>,
}

impl<'a> Adoption<'a> {
    fn new(observed: &'a ObservedState, old: &'a DesiredState, new: DesiredState) -> Self {
        let (rejected, removed, appeared, kept) = (vec![], vec![], vec![], vec![]);
        Self { observed, old, new, rejected, removed, appeared, kept }
    }

    /// Keeps the last valid version of what is invalid (rule D7).
    ///
    /// A file that cannot be read at all may have held anything: every object that stood in it and is nowhere else
    /// now keeps its last valid version.
    fn keep_rejected(&mut self) {
        let rejected = self.new.rejected.clone();
        let mut by_path: BTreeMap<&str, Vec<Object>> = BTreeMap::new();
        if rejected.iter().any(|rejected| rejected.object.is_none()) {
            for object in self.old.keys().filter_map(|key| self.old.get(&key)) {
                if self.new.get(&object.key()).is_none() {
                    let path = self.path_of(&object);
                    by_path.entry(path).or_default().push(object);
                }
            }
        }
        for RejectedObject { object, diagnostic } in &rejected {
            let path = diagnostic.position.path.as_str();
            let objects: Vec<Object> = match object {
                Some(key) if self.new.get(key).is_some() => continue_with(self, key, diagnostic),
                Some(key) => self.old.get(key).into_iter().collect(),
                None => by_path.get(path).cloned().unwrap_or_default(),
            };
            if objects.is_empty() {
                self.reject(object.clone(), diagnostic, None);
            }
            for object in objects {
                if self.new.get(&object.key()).is_some() {
                    continue;
                }
                let hash = self.keep(&object);
                self.new.put(object.clone());
                self.reject(Some(object.key()), diagnostic, Some(hash));
            }
        }
    }

    fn path_of(&self, object: &Object) -> &'a str {
        match self.old_ref(&object.key()) {
            Some(position) => position.path.as_str(),
            None => "",
        }
    }

    fn old_ref(&self, key: &ObjectKey) -> Option<&'a crate::fact::Position> {
        let name = || StreamName::new(key.namespace.clone(), key.name.clone());
        match key.kind {
            Kind::ImageStream => self.old.streams.get(&name()).map(|stream| &stream.position),
            Kind::BuildConfig => self.old.builds.get(key).map(|build| &build.position),
            Kind::DeploymentConfig
            | Kind::Deployment
            | Kind::StatefulSet
            | Kind::DaemonSet
            | Kind::CronJob => self.old.workloads.get(key).map(|workload| &workload.position),
        }
    }

    fn reject(
        &mut self,
        object: Option<ObjectKey>,
        diagnostic: &crate::desired::diagnostic::Diagnostic,
        kept: Option<ContentHash>,
    ) {
        self.rejected.push(Rejected {
            object,
            position: diagnostic.position.clone(),
            rule: diagnostic.rule.clone(),
            message: diagnostic.message.clone(),
            kept,
        });
    }

    fn keep(&mut self, object: &Object) -> ContentHash {
        // Our own types always have a JSON form; an empty value would only cost the version after a restart.
        let bytes = serde_json::to_vec(object).unwrap_or_default();
        let hash = ContentHash::of(&bytes);
        self.kept.push((bytes, hash, object.clone()));
        hash
    }

    /// Decides what happens to objects that the commit no longer has (rules D51, D52), and which are new.
    fn remove(&mut self, objects_max: usize, commit: CommitId) {
        let mut gone = Vec::new();
        for (key, known) in &self.observed.objects {
            let in_new = self.new.get(key).is_some();
            match known.presence {
                Presence::Present if !in_new && self.is_told(key) => gone.push(key.clone()),
                Presence::Removed { .. } if in_new => self.come_back(key),
                Presence::Removed { fate: RemovalFate::Held { .. }, .. } => {
                    // Still missing: everything goes on as before.
                    if let Some(object) = self.old.get(key) {
                        self.new.put(object);
                    }
                }
                Presence::Present | Presence::Removed { .. } => {}
            }
        }
        let first = self.new.keys().filter(|key| !self.observed.objects.contains_key(key));
        self.appeared.extend(first.map(|object| Appeared { object, incarnation: Incarnation(1) }));
        self.appeared.sort_by(|a, b| a.object.cmp(&b.object));
        let guarded = self.is_suspicious(&gone, objects_max);
        let again = self.observed.adopted.as_ref().is_some_and(|known| known.commit == commit);
        for key in gone {
            let object = self.old.get(&key);
            let prune = match &object {
                Some(Object::Workload(workload)) => workload.prune,
                Some(Object::Stream(_) | Object::Build(_)) => true,
                // Without its last version nobody knows whether it may be stopped (law 7).
                None => !key.kind.is_workload(),
            };
            let fate = match object {
                // Without its last version it cannot be held; it stays as it is, also when the commit is read again.
                None if guarded || again => continue,
                Some(object) if guarded => {
                    let version = self.keep(&object);
                    self.new.put(object);
                    RemovalFate::Held { version }
                }
                Some(_) | None if !prune => RemovalFate::Kept,
                Some(_) | None => RemovalFate::Pruned,
            };
            self.removed.push(Removed { object: key, fate });
        }
    }

    /// Whether the commit tells that an object is gone: an object, or a file, that cannot be read tells nothing (D51).
    fn is_told(&self, key: &ObjectKey) -> bool {
        let silent = |rejected: &Rejected| match &rejected.object {
            Some(object) => object == key,
            // Which objects an unreadable file holds is known only where the commit before is.
            None => self.old_ref(key).is_none_or(|old| old.path == rejected.position.path),
        };
        !self.rejected.iter().any(silent)
    }

    /// An object is in git again: the same life if nothing was stopped meanwhile, else another one.
    fn come_back(&mut self, key: &ObjectKey) {
        let Some(known) = self.observed.objects.get(key) else { return };
        let stopped = self.observed.workloads.get(key).is_some_and(|state| state.stop.is_some());
        let pruned_stream = key.kind == Kind::ImageStream
            && matches!(known.presence, Presence::Removed { fate: RemovalFate::Pruned, .. });
        let incarnation =
            if stopped || pruned_stream { known.incarnation.next() } else { known.incarnation };
        self.appeared.push(Appeared { object: key.clone(), incarnation });
    }

    /// Whether a commit removes so much that it is likely a mistake (rule D52, law 7).
    fn is_suspicious(&self, gone: &[ObjectKey], objects_max: usize) -> bool {
        if gone.len() > objects_max || (!gone.is_empty() && self.new.objects() == 0) {
            return true;
        }
        let before = count_by_namespace(
            self.observed
                .objects
                .iter()
                .filter(|(_, known)| known.presence == Presence::Present)
                .map(|(key, _)| key),
        );
        let lost = count_by_namespace(gone.iter());
        lost.iter().any(|(namespace, lost)| {
            let had = before.get(namespace).copied().unwrap_or(0);
            had >= NAMESPACE_OBJECTS_MIN && *lost == had
        })
    }
}

/// A rejected duplicate of an object that is in force: only reported.
fn continue_with(
    adoption: &mut Adoption<'_>,
    key: &ObjectKey,
    diagnostic: &crate::desired::diagnostic::Diagnostic,
) -> Vec<Object> {
    adoption.reject(Some(key.clone()), diagnostic, None);
    adoption.new.get(key).into_iter().collect()
}

/// Which streams get a new generation, and which of their tags (rules I22 to I27).
fn stream_changes(
    observed: &ObservedState,
    old: &DesiredState,
    new: &DesiredState,
) -> Vec<StreamChanged> {
    let mut changes = Vec::new();
    for (name, stream) in &new.streams {
        let before = old.streams.get(name);
        if before.is_some_and(|before| Arc::ptr_eq(before, stream)) {
            continue;
        }
        let state = observed.streams.get(name);
        let generation = state.map_or(Generation(1), |state| state.generation.next());
        let knows = |tag: &TagName| {
            let state = state.and_then(|state| state.tags.get(tag));
            state.is_some_and(|state| state.generation != Generation(0))
        };
        let changed =
            |tag: &TagName, spec: &TagReference| match before.and_then(|b| b.tags.get(tag)) {
                Some(before) => {
                    let failing =
                        state.and_then(|s| s.tags.get(tag)).is_some_and(|t| t.condition.is_some());
                    is_changed(before, spec, failing)
                }
                None => !knows(tag),
            };
        let tags: Vec<_> = stream
            .tags
            .iter()
            .filter(|(tag, spec)| changed(tag, spec))
            .map(|(tag, _)| tag.clone())
            .collect();
        let gone = gone_tags(observed, name, stream);
        let spec_differs = before.is_none_or(|before| !same_spec(before, stream));
        if spec_differs && (before.is_some() || state.is_none())
            || !tags.is_empty()
            || !gone.is_empty()
        {
            changes.push(StreamChanged { stream: name.clone(), generation, tags, gone });
        }
    }
    changes
}

fn gone_tags(observed: &ObservedState, name: &StreamName, stream: &ImageStream) -> Vec<TagName> {
    let state = observed.streams.get(name);
    let known = state.into_iter().flat_map(|state| &state.tags);
    let in_spec = known.filter(|(_, tag)| tag.generation != Generation(0)).map(|(tag, _)| tag);
    in_spec.filter(|tag| !stream.tags.contains_key(*tag)).cloned().collect()
}

/// Whether a spec tag changed so that it has to be imported again (rules I24, I25).
fn is_changed(before: &TagReference, after: &TagReference, failing: bool) -> bool {
    before.from != after.from
        || before.reference != after.reference
        || before.mode != after.mode
        || (failing && before.insecure != after.insecure)
}

/// Whether the spec is the same after defaulting: labels and annotations do not count (rule I23).
fn same_spec(before: &ImageStream, after: &ImageStream) -> bool {
    before.lookup_local == after.lookup_local
        && before.repository == after.repository
        && before.tags == after.tags
}
