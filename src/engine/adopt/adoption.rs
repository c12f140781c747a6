//! What becomes of the objects of one commit: which are invalid, which are gone, and which only seem to be.
//!
//! An object is gone only if the commit tells so (rule D51, law 7). It does not while something that cannot be read may
//! hold it, or while a document is left that is nearly the object. Then the last valid version stays in force, and the
//! record says why (law 9).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::desired::diagnostic::Diagnostic;
use crate::desired::{
    DUPLICATE, DesiredState, Object, RejectedObject, SKIPPED, Skipped, TagSource, Tree, duplicate,
};
use crate::effective::{count_by_namespace, in_git};
use crate::fact::{Appeared, Position, Rejected, RemovalFate, Removed};
use crate::names::{CommitId, ContentHash, Incarnation, Kind, ObjectKey, StreamName};
use crate::observed::{ObservedState, Presence};
use crate::reference::ImageReference;
use crate::sabotage::{self, Bug};

/// The least number of objects that makes the loss of a whole namespace suspicious (rule D52).
const NAMESPACE_OBJECTS_MIN: usize = 3;

/// What becomes of the objects of one commit.
pub(super) struct Adoption<'a> {
    observed: &'a ObservedState,
    old: &'a DesiredState,
    old_tree: &'a Tree,
    new_tree: &'a Tree,
    new: DesiredState,
    pub(super) rejected: Vec<Rejected>,
    removed: Vec<Removed>,
    appeared: Vec<Appeared>,
    kept: Vec<(Vec<u8>, ContentHash, Object)>,
}

/// What came of it.
pub(super) struct Outcome {
    /// What is in force from now on.
    pub(super) new: DesiredState,
    pub(super) rejected: Vec<Rejected>,
    pub(super) removed: Vec<Removed>,
    pub(super) appeared: Vec<Appeared>,
    /// Last valid versions to be stored.
    pub(super) kept: Vec<(Vec<u8>, ContentHash, Object)>,
}

/// Why an object that a commit does not have stays in force.
struct Hidden {
    position: Position,
    rule: String,
    message: String,
}

/// Whether a document could not be read at all, so that it may hold anything. Of one that is no YAML the name is a
/// guess.
fn is_unreadable(rejected: &RejectedObject) -> bool {
    rejected.object.is_none() || rejected.diagnostic.rule == "yaml-syntax"
}

/// Whether a stream has images of a repository already, in its spec or in the history of a tag (rule I174).
fn has(old: &DesiredState, observed: &ObservedState, name: &StreamName, repository: &str) -> bool {
    let is_it = |image: &ImageReference| image.repository_contacted() == repository;
    let in_spec = old.streams.get(name).is_some_and(|stream| {
        let mut tags = stream.tags.values().filter_map(|tag| tag.from.as_ref());
        stream.repository.as_ref().is_some_and(is_it)
            || tags.any(|from| matches!(from, TagSource::Registry(image) if is_it(image)))
    });
    let tags = observed.streams.get(name).into_iter().flat_map(|state| state.tags.values());
    let mut items = tags.flat_map(|tag| tag.items.iter());
    in_spec || items.any(|item| item.event.reference.parse().is_ok_and(|image| is_it(&image)))
}

impl<'a> Adoption<'a> {
    pub(super) fn new(
        observed: &'a ObservedState,
        old: &'a DesiredState,
        old_tree: &'a Tree,
        new_tree: &'a Tree,
    ) -> Self {
        let recorded = observed.adopted.as_ref().map_or(&[][..], |adopted| &adopted.rejected);
        let has = |stream: &StreamName, repository: &str| has(old, observed, stream, repository);
        let new = new_tree.assemble_over(old, recorded, &has);
        let (rejected, removed, appeared, kept) = (vec![], vec![], vec![], vec![]);
        Self { observed, old, old_tree, new_tree, new, rejected, removed, appeared, kept }
    }

    pub(super) fn outcome(self) -> Outcome {
        let Self { new, rejected, removed, appeared, kept, .. } = self;
        Outcome { new, rejected, removed, appeared, kept }
    }

    /// Keeps the last valid version of what is invalid (rule D7).
    ///
    /// A document that cannot be read at all may have held anything: every object that stood in its file and is nowhere
    /// else now keeps its last valid version. In a file with several such documents they are taken in their order.
    pub(super) fn keep_rejected(&mut self) {
        let rejected = self.new.rejected.clone();
        let mut homeless = self.homeless(&rejected);
        let mut unnamed: BTreeMap<&str, usize> = BTreeMap::new();
        for RejectedObject { object, diagnostic } in &rejected {
            let path = diagnostic.position.path.as_str();
            match object {
                Some(key) => {
                    homeless.entry(path).or_default().retain(|object| object.key() != *key);
                }
                None => *unnamed.entry(path).or_default() += 1,
            }
        }
        for RejectedObject { object, diagnostic } in &rejected {
            let path = diagnostic.position.path.as_str();
            match object {
                Some(key) => self.keep_named(key, diagnostic),
                None => {
                    let left = unnamed.entry(path).or_default();
                    *left = left.saturating_sub(1);
                    let homeless = homeless.entry(path).or_default();
                    let count = if *left == 0 { homeless.len() } else { 1.min(homeless.len()) };
                    if count == 0 {
                        self.reject(None, diagnostic, None);
                    }
                    for object in homeless.drain(..count).collect::<Vec<_>>() {
                        self.keep_as_rejected(object, diagnostic);
                    }
                }
            }
        }
        for rejected in rejected.iter().filter(|rejected| is_unreadable(rejected)) {
            let path = rejected.diagnostic.position.path.as_str();
            for object in homeless.remove(path).into_iter().flatten() {
                self.keep_as_rejected(object, &rejected.diagnostic);
            }
        }
    }

    /// What stood in files that cannot be read now, and is nowhere else: by path, in order.
    fn homeless<'r>(&self, rejected: &'r [RejectedObject]) -> BTreeMap<&'r str, VecDeque<Object>> {
        let unreadable = rejected.iter().filter(|rejected| is_unreadable(rejected));
        let mut paths: BTreeMap<&str, VecDeque<Object>> = unreadable
            .map(|rejected| (rejected.diagnostic.position.path.as_str(), VecDeque::new()))
            .collect();
        if paths.is_empty() {
            return paths;
        }
        for object in self.old.keys().filter_map(|key| self.old.get(&key)) {
            if self.new.get(&object.key()).is_none()
                && let Some(objects) = paths.get_mut(object.position().path.as_str())
            {
                objects.push_back(object);
            }
        }
        for objects in paths.values_mut() {
            objects.make_contiguous().sort_by(|a, b| a.position().cmp(b.position()));
        }
        paths
    }

    /// One invalid document of a known object.
    fn keep_named(&mut self, key: &ObjectKey, diagnostic: &Diagnostic) {
        let old = self.old.get(key);
        match (self.new.get(key), old) {
            // A valid copy elsewhere does not take over while the document in force is there (rule D7).
            (Some(copy), Some(old))
                if diagnostic.rule != DUPLICATE
                    && old.position().path == diagnostic.position.path
                    && copy.position().path != diagnostic.position.path =>
            {
                let copy = duplicate(&copy, &diagnostic.position, "correct that one");
                self.reject(Some(key.clone()), &copy.diagnostic, None);
                self.keep_as_rejected(old, diagnostic);
            }
            (None, Some(old)) => self.keep_as_rejected(old, diagnostic),
            (Some(_), _) | (None, None) => self.reject(Some(key.clone()), diagnostic, None),
        }
    }

    fn keep_as_rejected(&mut self, object: Object, diagnostic: &Diagnostic) {
        let (key, hash) = (object.key(), self.keep(&object));
        self.new.put(object);
        self.reject(Some(key), diagnostic, Some(hash));
    }

    /// Keeps what the commit does not have and does not tell to be gone either (rule D51, law 7).
    pub(super) fn keep_hidden(&mut self) {
        let known = self.observed.objects.iter();
        let missing = known.filter(|(_, known)| known.presence == Presence::Present);
        let missing = missing.filter(|(key, _)| self.new.get(key).is_none());
        let missing: Vec<Object> = missing.filter_map(|(key, _)| self.old.get(key)).collect();
        if missing.is_empty() {
            return;
        }
        let unreadable: Vec<RejectedObject> =
            self.new.rejected.iter().filter(|rejected| is_unreadable(rejected)).cloned().collect();
        for object in missing {
            let Some(hidden) = self.hidden(&object, &unreadable) else { continue };
            let (key, hash) = (object.key(), self.keep(&object));
            self.new.put(object);
            let Hidden { position, rule, message } = hidden;
            let (object, kept) = (Some(key), Some(hash));
            self.rejected.push(Rejected { object, position, rule, message, kept });
        }
    }

    fn hidden(&self, object: &Object, unreadable: &[RejectedObject]) -> Option<Hidden> {
        let (key, path) = (object.key(), object.position().path.as_str());
        let skipped = self.new_tree.skipped();
        if let Some(skipped) = skipped.iter().find(|skipped| skipped.covers(path)) {
            let (position, message) = (whole(&skipped.path), skipped.why.clone());
            return Some(Hidden { position, rule: SKIPPED.into(), message });
        }
        let strays = self.new.strays.iter().filter(|stray| stray.may_be(&key, path));
        if let Some(stray) = strays.clone().find(|stray| !stray.kept) {
            let (rule, message) = (stray.rule().into(), stray.message(key.kind));
            return Some(Hidden { position: stray.position.clone(), rule, message });
        }
        // Where it was taken to be by the commit before, as long as nothing can be read there; else anywhere that
        // cannot be read since this commit.
        let before = self.hidden_before(&key);
        let is_before = |at: &Position| before == Some(at);
        let at = |rejected: &&RejectedObject| is_before(&rejected.diagnostic.position);
        let in_file = |rejected: &&RejectedObject| {
            before.is_some_and(|before| before.path == rejected.diagnostic.position.path)
        };
        let is_new = |rejected: &&RejectedObject| {
            self.is_changed(rejected.diagnostic.position.path.as_str())
        };
        let rejected = unreadable.iter().find(at);
        let rejected = rejected.or_else(|| unreadable.iter().find(in_file));
        let holders = skipped.iter().filter(|skipped| skipped.may_hold_manifests());
        let link = holders.clone().find(|skipped| is_before(&whole(&skipped.path)));
        let found = rejected.map(hiding).or_else(|| link.map(hiding_link));
        found
            .or_else(|| unreadable.iter().find(is_new).map(hiding))
            .or_else(|| holders.clone().find(|skipped| self.is_new(skipped)).map(hiding_link))
    }

    /// Where the adopted commit's record takes an object to be.
    fn hidden_before(&self, key: &ObjectKey) -> Option<&'a Position> {
        let rejected = &self.observed.adopted.as_ref()?.rejected;
        let kept =
            |rejected: &&Rejected| rejected.object.as_ref() == Some(key) && rejected.kept.is_some();
        rejected.iter().find(kept).map(|rejected| &rejected.position)
    }

    fn is_changed(&self, path: &str) -> bool {
        match (self.old_tree.file(path), self.new_tree.file(path)) {
            (Some(old), Some(new)) => !Arc::ptr_eq(old, new) && old != new,
            (Some(_) | None, _) => true,
        }
    }

    fn is_new(&self, skipped: &Skipped) -> bool {
        !self.old_tree.skipped().iter().any(|old| old.path == skipped.path)
    }

    fn reject(
        &mut self,
        object: Option<ObjectKey>,
        diagnostic: &Diagnostic,
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
        let object = match object {
            // What is kept is what git said: the journal itself has overlays, and what listings derive.
            Object::Stream(stream) => Object::Stream(in_git(stream)),
            Object::Build(_) | Object::Workload(_) => object.clone(),
        };
        // Our own types always have a JSON form; an empty value would only cost the version after a restart.
        let bytes = serde_json::to_vec(&object).unwrap_or_default();
        let hash = ContentHash::of(&bytes);
        self.kept.push((bytes, hash, object));
        hash
    }

    /// Decides what happens to objects that the commit no longer has (rules D51, D52), and which are new.
    pub(super) fn remove(&mut self, objects_max: usize, commit: CommitId) {
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
                Some(Object::Workload(workload)) => workload.prune && !self.is_left(&key),
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

    /// Whether a manifest that is ours no more says that the workload goes on without us.
    fn is_left(&self, key: &ObjectKey) -> bool {
        let path = self.old.get(key).map(|object| object.position().path.clone());
        let path = path.unwrap_or_default();
        self.new.strays.iter().any(|stray| stray.kept && stray.may_be(key, &path))
    }

    /// Whether the commit tells that an object is gone: an object, or a file, that cannot be read tells nothing (D51).
    fn is_told(&self, key: &ObjectKey) -> bool {
        if self.rejected.iter().any(|rejected| rejected.object.as_ref() == Some(key)) {
            return false;
        }
        if self.old.get(key).is_some() {
            return true; // or it would have been kept
        }
        // Where it stood is known only where the commit before is.
        let hidden = self.new.rejected.iter().any(is_unreadable)
            || self.new_tree.skipped().iter().any(Skipped::may_hold_manifests)
            || self.new.strays.iter().any(|s| !s.kept && s.may_be(key, &s.position.path));
        !hidden
    }

    /// An object is in git again: the same life if nothing was stopped meanwhile, else another one.
    fn come_back(&mut self, key: &ObjectKey) {
        let Some(known) = self.observed.objects.get(key) else { return };
        let stopped = self.observed.workloads.get(key).is_some_and(|state| state.stop.is_some());
        let ends_at_once = matches!(key.kind, Kind::ImageStream | Kind::BuildConfig)
            && matches!(known.presence, Presence::Removed { fate: RemovalFate::Pruned, .. });
        let incarnation =
            if stopped || ends_at_once { known.incarnation.next() } else { known.incarnation };
        self.appeared.push(Appeared { object: key.clone(), incarnation });
    }

    /// Whether a commit removes so much that it is likely a mistake (rule D52, law 7).
    fn is_suspicious(&self, gone: &[ObjectKey], objects_max: usize) -> bool {
        if gone.len() > objects_max || (!gone.is_empty() && self.new.objects() == 0) {
            return !sabotage::is(Bug::TrustEmptyTree);
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

fn whole(path: &str) -> Position {
    Position { path: path.into(), line: 0, column: 0 }
}

/// An object that is nowhere in the commit may stand where nothing can be read.
fn hiding(rejected: &RejectedObject) -> Hidden {
    let Diagnostic { position, rule, message, .. } = &rejected.diagnostic;
    let message = format!(
        "it is nowhere in this commit and may stand here: {message}; correct this file, or delete it to let the \
         object go"
    );
    Hidden { position: position.clone(), rule: rule.clone(), message }
}

fn hiding_link(skipped: &Skipped) -> Hidden {
    let message = format!(
        "it is nowhere in this commit and may stand here: {}; or delete this to let the object go",
        skipped.why
    );
    Hidden { position: whole(&skipped.path), rule: SKIPPED.into(), message }
}
