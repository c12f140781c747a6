//! All files at one commit, and the desired state that they make.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::action::SourceRead;
use crate::dense;
use crate::names::{ObjectKey, StreamName};
use crate::policy::Policy;

use super::diagnostic::{Diagnostic, Severity};
use super::reading::{self, Entry, ParsedFile, is_manifest, is_params, params_paths, parse_file};
use super::{DesiredState, Object, RejectedObject, TagSource};

/// All files at one commit. A copy costs as much as a map of shared pointers.
#[derive(Clone, Default, Debug, serde::Serialize, serde::Deserialize)]
pub struct Tree {
    #[serde(deserialize_with = "dense::map")]
    files: BTreeMap<String, Arc<ParsedFile>>,
    /// Content of templates, and of params files, which must be read again when the other changes.
    kept: BTreeMap<String, Arc<[u8]>>,
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
        for path in &read.removed {
            self.files.remove(path);
            self.kept.remove(path);
            if is_params(path) {
                self.note_params(path, &mut stale);
            }
        }
        // Params files first: a template that came with them is read once.
        for file in read.changed.iter().filter(|file| is_params(&file.path)) {
            match &file.bytes {
                Some(bytes) => self.kept.insert(file.path.clone(), Arc::clone(bytes)),
                None => self.kept.remove(&file.path),
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

    /// Merges the files. Of several objects with one key the first, by path and line, is in force.
    #[must_use]
    pub fn assemble(&self) -> DesiredState {
        let mut state = DesiredState::default();
        let mut streams = Vec::new();
        let mut builds = Vec::new();
        let mut workloads = Vec::new();
        for file in self.files.values() {
            let warnings = file.diagnostics.iter().filter(|d| d.severity == Severity::Warning);
            state.warnings.extend(warnings.cloned());
            for entry in &file.entries {
                match entry {
                    Entry::Object(Object::Stream(stream)) => {
                        streams.push((stream.name.clone(), Arc::clone(stream)));
                    }
                    Entry::Object(Object::Build(build)) => {
                        builds.push((build.object.clone(), Arc::clone(build)));
                    }
                    Entry::Object(Object::Workload(workload)) => {
                        workloads.push((workload.object.clone(), Arc::clone(workload)));
                    }
                    Entry::Companion(companion) => state.companions.push(Arc::clone(companion)),
                    Entry::Rejected(rejected) => state.rejected.push(rejected.clone()),
                }
            }
        }
        state.streams = first_wins(streams, Object::Stream, &mut state.rejected);
        state.builds = first_wins(builds, Object::Build, &mut state.rejected);
        state.workloads = first_wins(workloads, Object::Workload, &mut state.rejected);
        missing_streams(&mut state);
        state.rejected.sort_by(|a, b| a.diagnostic.position.cmp(&b.diagnostic.position));
        state.warnings.sort_by(|a, b| a.position.cmp(&b.position));
        state
    }
}

/// A map of what came first under each key; the rest is rejected.
fn first_wins<K: Ord + Clone, T>(
    mut all: Vec<(K, Arc<T>)>,
    object: impl Fn(Arc<T>) -> Object,
    rejected: &mut Vec<RejectedObject>,
) -> BTreeMap<K, Arc<T>> {
    all.sort_by(|(a, _), (b, _)| a.cmp(b)); // stable: files and entries came in order
    let mut kept: Vec<(K, Arc<T>)> = Vec::with_capacity(all.len());
    for (key, value) in all {
        match kept.last() {
            Some((last, first)) if *last == key => {
                let first = object(Arc::clone(first));
                rejected.push(duplicate(&object(value), &first));
            }
            Some(_) | None => kept.push((key, value)),
        }
    }
    kept.into_iter().collect()
}

fn duplicate(object: &Object, first: &Object) -> RejectedObject {
    let key = object.key();
    let message = format!("`{key}` stands at {} already; that one is in force", first.position());
    RejectedObject {
        diagnostic: Diagnostic {
            severity: Severity::Error,
            position: object.position().clone(),
            rule: "duplicate-object".into(),
            message,
            hint: Some("delete one of them, or give it another name or namespace".into()),
        },
        object: Some(key),
    }
}

/// Warns of triggers and tags that name a stream which this commit does not have (I16).
fn missing_streams(state: &mut DesiredState) {
    let rejected: BTreeSet<&ObjectKey> =
        state.rejected.iter().filter_map(|rejected| rejected.object.as_ref()).collect();
    let is_missing = |stream: &StreamName| {
        !state.streams.contains_key(stream) && !rejected.contains(&ObjectKey::stream(stream))
    };
    let mut found = Vec::new();
    for stream in state.streams.values() {
        for (tag, reference) in &stream.tags {
            let of = match &reference.from {
                Some(TagSource::Tag(from)) => &from.stream,
                Some(TagSource::Image { stream, .. }) => stream,
                Some(TagSource::Registry(_)) | None => continue,
            };
            if is_missing(of) {
                found.push((&stream.position, format!("tag `{}:{tag}` follows", stream.name), of));
            }
        }
    }
    for workload in state.workloads.values() {
        for trigger in workload.triggers.iter().filter(|t| is_missing(&t.from.stream)) {
            let text =
                format!("a trigger of `{}` watches `{}` of", workload.object, trigger.from.tag);
            found.push((&workload.position, text, &trigger.from.stream));
        }
    }
    for build in state.builds.values() {
        for input in build.inputs.iter().filter(|input| is_missing(&input.stream)) {
            let text = format!("`{}` is built from `{}` of", build.object, input.tag);
            found.push((&build.position, text, &input.stream));
        }
    }
    let warnings = found.into_iter().map(|(position, what, stream)| {
        let namesake = state.streams.keys().find(|other| other.name == stream.name);
        let hint = namesake.map(|other| format!("there is `{other}`: name its namespace"));
        Diagnostic {
            severity: Severity::Warning,
            position: position.clone(),
            rule: "I16".into(),
            message: format!("{what} the image stream `{stream}`, which is not in the manifests"),
            hint,
        }
    });
    let warnings: Vec<Diagnostic> = warnings.collect();
    state.warnings.extend(warnings);
}
