//! All files at one commit, and the desired state that they make.

mod across;
mod apart;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::SourceRead;
use crate::dense;
use crate::fact::{Position, Rejected};
use crate::names::{ObjectKey, StreamName};
use crate::policy::Policy;

use super::diagnostic::{Diagnostic, Severity};
use super::reading::{self, Entry, ParsedFile, is_manifest, is_params, params_paths, parse_file};
use super::registries::{FORBIDDEN, Forbidden};
use super::{DesiredState, Object, RejectedObject};

pub(crate) use across::PUSHED_OVER;
pub(crate) use apart::SpecTags;

/// All files at one commit. A copy costs as much as a map of shared pointers.
#[derive(Clone, Default, Debug, serde::Serialize, serde::Deserialize)]
pub struct Tree {
    #[serde(deserialize_with = "dense::map")]
    files: BTreeMap<String, Arc<ParsedFile>>,
    /// Content of templates, and of params files, which must be read again when the other changes.
    kept: BTreeMap<String, Arc<[u8]>>,
    /// What is not read, sorted by path.
    skipped: Vec<Skipped>,
}

/// Something in the source that is not read: a symbolic link, a submodule, a name that is not UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct Skipped {
    /// Its path.
    pub path: String,
    /// Why it is not read, and what to do.
    pub why: String,
}

impl Skipped {
    /// Whether what stood in the file `path` may be behind it: the file itself, a folder above it, its params file.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let below = path.strip_prefix(&self.path);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            || params_paths(path).contains(&self.path)
    }

    /// Whether manifests may be behind it, as the name goes: a file of that kind, or a folder.
    #[must_use]
    pub fn may_hold_manifests(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        is_manifest(&self.path) || is_params(&self.path) || !name.contains('.')
    }
}

/// The rule by which a second document of one object is rejected.
pub(crate) const DUPLICATE: &str = "duplicate-object";

/// The rule that names what is not read.
pub(crate) const SKIPPED: &str = "skipped";

/// Stands for a params file that is not read: no text, so that its templates are rejected and not read with defaults.
const NO_PARAMS: &[u8] = &[0xff];

/// Which of two documents of one object is the object.
#[derive(Clone, Copy)]
enum Standing<'a> {
    /// Nothing is in force: the first by path and line.
    Nothing,
    /// The one that is in force before this commit; where that is not known, as below.
    Before(&'a DesiredState, &'a [Rejected], &'a Has<'a>),
    /// The one that the adopted commit's record says, by naming the others as duplicates.
    Recorded(&'a [Rejected]),
}

/// Whether a stream has images of a repository already ([`Forbidden::repository`]).
pub type Has<'a> = dyn Fn(&StreamName, &str) -> bool + 'a;

impl Standing<'_> {
    /// Whether what is forbidden stays, because the stream has it already (rule I174).
    fn has(self, forbidden: &Forbidden) -> bool {
        let Forbidden { stream, repository, .. } = forbidden;
        match self {
            Standing::Nothing => false,
            Standing::Before(_, _, has) => has(stream, repository),
            Standing::Recorded(rejected) => {
                let key = ObjectKey::stream(stream);
                let mut same = rejected.iter().filter(|r| r.object.as_ref() == Some(&key));
                !same.any(|rejected| rejected.rule == FORBIDDEN)
            }
        }
    }
}

impl Tree {
    /// Moves to another commit: reads the files that changed, and templates whose params file did.
    ///
    /// A `read` without a base starts over.
    pub fn apply(&mut self, read: &SourceRead, policy: &Policy) {
        if read.base.is_none() {
            *self = Self::default();
        }
        let mut stale: BTreeSet<String> = BTreeSet::new();
        self.skip(read, &mut stale);
        for path in &read.removed {
            self.files.remove(path);
            if is_params(path) && self.is_skipped(path) {
                continue;
            }
            self.kept.remove(path);
            if is_params(path) {
                self.note_params(path, &mut stale);
            }
        }
        // Params files first: a template that came with them is read once.
        for file in read.changed.iter().filter(|file| is_params(&file.path)) {
            match &file.bytes {
                Some(bytes) => self.kept.insert(file.path.clone(), Arc::clone(bytes)),
                None => self.kept.insert(file.path.clone(), NO_PARAMS.into()),
            };
            self.note_params(&file.path, &mut stale);
        }
        for file in read.changed.iter().filter(|file| is_manifest(&file.path)) {
            stale.remove(&file.path);
            match &file.bytes {
                Some(bytes) => self.parse(&file.path, bytes, policy),
                None => {
                    self.kept.remove(&file.path);
                    let file_read = reading::oversized(&file.path, file.len);
                    self.files.insert(file.path.clone(), Arc::new(file_read));
                }
            }
        }
        for path in stale {
            if let Some(bytes) = self.kept.get(&path).cloned() {
                self.parse(&path, &bytes, policy);
            }
        }
    }

    /// Takes over what is not read; params files among it are no longer what they were.
    fn skip(&mut self, read: &SourceRead, stale: &mut BTreeSet<String>) {
        let skipped = read.skipped.iter();
        let skipped = skipped.map(|s| Skipped { path: s.path.clone(), why: s.why.into() });
        let mut skipped: Vec<_> = skipped.collect();
        skipped.sort();
        let before = std::mem::replace(&mut self.skipped, skipped);
        for Skipped { path, .. } in before.iter().filter(|skipped| is_params(&skipped.path)) {
            if !self.is_skipped(path) {
                self.kept.remove(path);
                self.note_params(path, stale);
            }
        }
        let params: Vec<String> = self
            .skipped
            .iter()
            .filter(|skipped| is_params(&skipped.path))
            .map(|skipped| skipped.path.clone())
            .collect();
        for path in params {
            self.note_params(&path, stale);
            self.kept.insert(path, NO_PARAMS.into());
        }
    }

    fn is_skipped(&self, path: &str) -> bool {
        self.skipped.binary_search_by(|skipped| skipped.path.as_str().cmp(path)).is_ok()
    }

    /// What is not read, sorted by path.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// A file, if it is read.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&Arc<ParsedFile>> {
        self.files.get(path)
    }

    /// Puts a file in that was read before, from a cache. Its template, if it has one, is not read again by itself.
    pub fn insert(&mut self, path: &str, file: Arc<ParsedFile>) {
        self.files.insert(path.into(), file);
    }

    /// Its files, by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Arc<ParsedFile>)> {
        self.files.iter().map(|(path, file)| (path.as_str(), file))
    }

    fn note_params(&self, params: &str, stale: &mut BTreeSet<String>) {
        let stem = params.rsplit_once('.').map_or(params, |(stem, _)| stem);
        for extension in ["yaml", "yml", "json"] {
            let path = format!("{stem}.{extension}");
            if self.files.get(&path).is_some_and(|file| file.has_template) {
                stale.insert(path);
            }
        }
    }

    fn parse(&mut self, path: &str, bytes: &Arc<[u8]>, policy: &Policy) {
        let params = params_paths(path).iter().find_map(|path| self.kept.get(path)).cloned();
        let file = parse_file(path, bytes, params.as_deref(), policy);
        if file.has_template {
            self.kept.insert(path.into(), Arc::clone(bytes));
        } else {
            self.kept.remove(path);
        }
        self.files.insert(path.into(), Arc::new(file));
    }

    /// Merges the files. Of several objects with one key the first, by path and line, is taken.
    #[must_use]
    pub fn assemble(&self) -> DesiredState {
        self.merge(Standing::Nothing)
    }

    /// Merges the files of a new commit. Of several objects with one key the one that is in force stays; `rejected` is
    /// what the commit before had of that. A stream may name every registry that it has images of.
    #[must_use]
    pub fn assemble_over(
        &self,
        before: &DesiredState,
        rejected: &[Rejected],
        has: &Has<'_>,
    ) -> DesiredState {
        self.merge(Standing::Before(before, rejected, has))
    }

    /// Merges the files of the adopted commit, whose record rejects these.
    #[must_use]
    pub fn assemble_adopted(&self, rejected: &[Rejected]) -> DesiredState {
        self.merge(Standing::Recorded(rejected))
    }

    fn merge(&self, standing: Standing<'_>) -> DesiredState {
        let mut state = DesiredState::default();
        let mut streams = Vec::new();
        let mut builds = Vec::new();
        let mut workloads = Vec::new();
        for file in self.files.values() {
            state.strays.extend(file.strays.iter().cloned());
            let warnings = file.diagnostics.iter().filter(|d| d.severity != Severity::Error);
            state.warnings.extend(warnings.cloned());
            for entry in &file.entries {
                match entry {
                    Entry::Object(Object::Stream(stream)) => {
                        let of_it = file.forbidden.iter().filter(|f| f.document == stream.position);
                        match of_it.into_iter().find(|forbidden| !standing.has(forbidden)) {
                            Some(forbidden) => state.rejected.push(forbidden.rejected()),
                            None => streams.push((stream.name.clone(), Arc::clone(stream))),
                        }
                    }
                    Entry::Object(Object::Build(build)) => {
                        builds.push((build.object.clone(), Arc::clone(build)));
                    }
                    Entry::Object(Object::Workload(workload)) => {
                        workloads.push((workload.object.clone(), Arc::clone(workload)));
                    }
                    Entry::Companion(companion) => {
                        if let Some((name, summary)) = &companion.config {
                            let of_it = state.configs.entry(companion.namespace.clone());
                            let of_it = of_it.or_default().entry(name.clone());
                            of_it.or_insert_with(|| summary.clone());
                        }
                        if let Some(labels) = &companion.selects {
                            let of_it = state.services.entry(companion.namespace.clone());
                            let of_it = of_it.or_default().entry(companion.name.clone());
                            of_it.or_insert_with(|| labels.clone());
                        }
                        state.companions.push(Arc::clone(companion));
                    }
                    Entry::Rejected(rejected) => state.rejected.push(rejected.clone()),
                }
            }
        }
        let mut one = OneOfEach { standing, recorded: BTreeSet::new(), rejected: vec![] };
        if let Standing::Recorded(rejected) | Standing::Before(_, rejected, _) = standing {
            let duplicates = rejected.iter().filter(|rejected| rejected.rule == DUPLICATE);
            let places = duplicates.filter_map(|r| Some((r.object.as_ref()?, &r.position)));
            one.recorded = places.collect();
        }
        state.streams = one.of(streams, Object::Stream);
        state.builds = one.of(builds, Object::Build);
        state.workloads = one.of(workloads, Object::Workload);
        state.rejected.append(&mut one.rejected);
        let unread = self.skipped.iter().filter(|skipped| skipped.may_hold_manifests());
        state.warnings.extend(unread.map(|skipped| Diagnostic {
            severity: Severity::Warning,
            position: Position { path: skipped.path.clone(), line: 0, column: 0 },
            rule: SKIPPED.into(),
            message: format!("not read: {}", skipped.why),
            hint: None,
        }));
        state.warnings.append(&mut across::warnings(&state));
        state.rejected.sort_by(|a, b| a.diagnostic.position.cmp(&b.diagnostic.position));
        state.warnings.sort_by(|a, b| a.position.cmp(&b.position));
        state
    }
}

/// Chooses one of several documents of an object; the rest is rejected.
struct OneOfEach<'a> {
    standing: Standing<'a>,
    /// What the adopted commit's record names as duplicates.
    recorded: BTreeSet<(&'a ObjectKey, &'a Position)>,
    rejected: Vec<RejectedObject>,
}

impl OneOfEach<'_> {
    fn of<K: Ord + Clone, T>(
        &mut self,
        mut all: Vec<(K, Arc<T>)>,
        object: impl Fn(Arc<T>) -> Object,
    ) -> BTreeMap<K, Arc<T>> {
        all.sort_by(|(a, _), (b, _)| a.cmp(b)); // stable: files and entries came in order
        let is_alone = all.windows(2).all(|pair| !matches!(pair, [(a, _), (b, _)] if a == b));
        if is_alone && self.recorded.is_empty() {
            return all.into_iter().collect();
        }
        let mut kept = Vec::with_capacity(all.len());
        for group in all.chunk_by(|(a, _), (b, _)| a == b) {
            let objects: Vec<_> =
                group.iter().map(|(_, value)| object(Arc::clone(value))).collect();
            let chosen = self.choose(&objects);
            kept.extend(chosen.and_then(|chosen| group.get(chosen)).cloned());
            let Some(first) = chosen.and_then(|chosen| objects.get(chosen)) else { continue };
            let others = objects.iter().enumerate().filter(|(index, _)| Some(*index) != chosen);
            let fate = match self.standing {
                Standing::Nothing => "one object has one document",
                Standing::Before(..) | Standing::Recorded(_) => "that one is in force",
            };
            self.rejected.extend(others.map(|(_, other)| duplicate(other, first.position(), fate)));
        }
        kept.into_iter().collect()
    }

    fn choose(&self, objects: &[Object]) -> Option<usize> {
        let key = objects.first()?.key();
        match self.standing {
            Standing::Nothing => Some(0),
            Standing::Before(before, ..) => match before.get(&key) {
                None => self.not_recorded(&key, objects).or(Some(0)),
                Some(before) => {
                    let ranks = objects.iter().map(|object| rank(&before, object));
                    ranks.enumerate().min_by_key(|(_, rank)| *rank).map(|(index, _)| index)
                }
            },
            Standing::Recorded(_) => self.not_recorded(&key, objects),
        }
    }

    fn not_recorded(&self, key: &ObjectKey, objects: &[Object]) -> Option<usize> {
        objects.iter().position(|object| !self.recorded.contains(&(key, object.position())))
    }
}

/// How likely a document is the one that was in force before: the smaller the likelier. Lines move with every edit
/// above them, so the same content in the same file is stronger than the same line.
fn rank(before: &Object, object: &Object) -> u8 {
    let (old, new) = (before.position(), object.position());
    match (old.path == new.path, same_content(before, object), old.line == new.line) {
        (true, true, true) => 0,
        (true, true, false) => 1,
        (true, false, true) => 2,
        (true, false, false) => 3,
        (false, true, _) => 4,
        (false, false, _) => 5,
    }
}

/// Whether two objects differ in nothing but the place.
fn same_content(a: &Object, b: &Object) -> bool {
    fn at<T: Clone>(value: &Arc<T>, set: impl FnOnce(&mut T)) -> T {
        let mut value = T::clone(value);
        set(&mut value);
        value
    }
    let place = || b.position().clone();
    match (a, b) {
        (Object::Stream(a), Object::Stream(b)) => at(a, |a| a.position = place()) == **b,
        (Object::Build(a), Object::Build(b)) => at(a, |a| a.position = place()) == **b,
        (Object::Workload(a), Object::Workload(b)) => at(a, |a| a.position = place()) == **b,
        (Object::Stream(_) | Object::Build(_) | Object::Workload(_), _) => false,
    }
}

/// Rejects a document whose object stands elsewhere already.
pub(crate) fn duplicate(object: &Object, first: &Position, fate: &str) -> RejectedObject {
    let key = object.key();
    RejectedObject {
        diagnostic: Diagnostic {
            severity: Severity::Error,
            position: object.position().clone(),
            rule: DUPLICATE.into(),
            message: format!("`{key}` stands at {first} already; {fate}"),
            hint: Some("delete one of them, or give it another name or namespace".into()),
        },
        object: Some(key),
    }
}
