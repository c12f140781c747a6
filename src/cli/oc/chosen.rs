//! Which manifests the words and labels of a command mean.

use anyhow::bail;

use super::kinds::{ManifestKind, Subject};
use super::resource::{self, WordsError};
use super::{ApiError, UsageError};
use crate::edit::{Document, Manifests, Place};
use crate::names::Namespace;
use crate::oc::selector::Selector;

/// Labels, or all of a kind.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Choice {
    /// Those that have these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<Selector>,
    /// All of the kind in the namespace
    #[arg(long)]
    all: bool,
}

impl Choice {
    /// Whether it means any.
    pub(super) fn is_some(&self) -> bool {
        self.all || self.selector.is_some()
    }
}

/// What is meant, before anything was looked at.
pub(super) struct Chosen<'a> {
    subjects: Vec<(Subject, Option<String>)>,
    choice: &'a Choice,
}

/// Reads `dc/web`, `deploy web shop`, `dc --all`.
pub(super) fn read<'a>(
    words: &[String],
    command: &'static str,
    choice: &'a Choice,
) -> anyhow::Result<Chosen<'a>> {
    let subjects = resource::read(words, command, Subject::from_word, Subject::all);
    let subjects = subjects.map_err(|error| match error {
        WordsError::Nothing { .. } => {
            let message = "You must provide one or more resources by argument or filename.".into();
            anyhow::Error::from(UsageError { command, message })
        }
        error @ (WordsError::Unknown(_)
        | WordsError::Mixed
        | WordsError::Slashes
        | WordsError::Empty) => error.into(),
    })?;
    let is_named = subjects.iter().any(|(_, name)| name.is_some());
    if is_named && choice.all {
        bail!(
            "setting 'all' parameter but found a non empty selector or names; name the objects, or say --all"
        );
    }
    if is_named && choice.selector.is_some() {
        bail!("name cannot be provided when a selector is specified");
    }
    if !is_named && !choice.is_some() {
        bail!("resource(s) were provided, but no name was specified");
    }
    Ok(Chosen { subjects, choice })
}

impl Chosen<'_> {
    /// Whether one object is named, and no other can be meant.
    pub(super) fn is_single(&self) -> bool {
        self.subjects.len() == 1 && self.subjects.iter().all(|(_, name)| name.is_some())
    }

    /// Where they stand.
    pub(super) fn places(
        &self,
        manifests: &Manifests,
        namespace: &Namespace,
    ) -> anyhow::Result<Vec<(ManifestKind, Place)>> {
        let mut found = Vec::new();
        for (subject, name) in &self.subjects {
            let Subject::Manifest(kind) = *subject else {
                bail!(
                    "a tag of an image stream is no object of its own here; name a workload or a build"
                )
            };
            let Some(name) = name else {
                let of_kind = |document: &&Document| {
                    let selector = self.choice.selector.as_ref();
                    document.is(kind.sort)
                        && document.namespace == *namespace
                        && !document.in_template
                        && selector.is_none_or(|selector| selector.matches(&document.labels()))
                };
                let mut some: Vec<&Document> = manifests.documents().filter(of_kind).collect();
                some.sort_by(|a, b| a.name.cmp(&b.name));
                found.extend(some.into_iter().map(|document| (kind, document.place())));
                continue;
            };
            let document = manifests.find(kind.sort, namespace, name)?;
            let place = document.map(Document::place);
            found.push((kind, place.ok_or_else(|| ApiError::not_found(&kind.resource(), name))?));
        }
        Ok(found)
    }
}
