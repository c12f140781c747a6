//! Tags that are not what git says, because an operator put something over it (rule I102, item 5).

use serde::Serialize;

use crate::action::ImportMode;
use crate::desired::{TagReference, TagSource};
use crate::effective;
use crate::fact::{Overlaid, OverlaySet, SpecSource, TagSpec};
use crate::names::{CommitId, Seq, StreamTag};
use crate::plan::View;
use crate::time::Timestamp;

use super::words::{WAITS, one_line, styled, when_exactly};

/// A tag with an overlay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DriftReport {
    pub(super) tag: StreamTag,
    /// What is in force; none where the tag is taken away.
    overlay: Option<String>,
    /// What git says; none where it has no such tag, or where that could not be read.
    git: Option<String>,
    /// Whether git could be read.
    git_is_known: bool,
    by: String,
    at: Timestamp,
    record: Seq,
    /// The commit that it was put over.
    commit: CommitId,
}

/// The tags with an overlay, as far as they are asked about.
pub(super) fn of(
    view: &View<'_>,
    git_is_known: bool,
    shown: impl Fn(&StreamTag) -> bool,
) -> Vec<DriftReport> {
    let overlays = view.observed.overlays().filter(|(tag, _)| shown(tag));
    let reports = overlays.map(|(tag, overlay)| {
        let stream = view.desired.streams.get(&tag.stream);
        let git = stream.and_then(|stream| effective::written(stream, &tag.tag));
        DriftReport {
            overlay: overlay.spec.as_ref().map(spec_words),
            git: git.map(git_words),
            git_is_known: git_is_known && stream.is_some(),
            by: one_line(&overlay.by),
            at: overlay.at,
            record: overlay.seq,
            commit: overlay.commit,
            tag,
        }
    });
    reports.collect()
}

impl DriftReport {
    /// One line: which tag, what it is, what git says, and who said so when.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let Self { tag, by, record, .. } = self;
        let overlay = self.overlay.as_deref().unwrap_or("taken away");
        let git = match (&self.git, self.git_is_known) {
            (Some(git), _) => format!("git says {git}"),
            (None, true) => "git has no such tag".to_owned(),
            (None, false) => "what git says could not be read".to_owned(),
        };
        let (tag, at) = (styled(WAITS, tag), when_exactly(self.at, now));
        format!(
            "{tag}: {overlay}, by {by} {at}, record {record}, over commit {}; {git}",
            self.commit.short()
        )
    }
}

/// What an order puts over git, in words.
pub(super) fn overlay_words(set: &OverlaySet) -> String {
    match &set.overlay {
        Overlaid::Spec(spec) => format!("set to {}", spec_words(spec)),
        Overlaid::Removed => "taken away".to_owned(),
        Overlaid::Withdrawn => "as git says again".to_owned(),
    }
}

fn spec_words(spec: &TagSpec) -> String {
    let from = match &spec.from {
        SpecSource::Registry(image) => image.to_string(),
        SpecSource::Tag(tag) => format!("istag/{tag}"),
        SpecSource::Image { stream, image } => format!("isimage/{stream}@{image}"),
    };
    let keeps = spec.mode == Some(ImportMode::PreserveOriginal);
    with_flags(from, [spec.reference, spec.scheduled, spec.insecure, spec.local, keeps])
}

fn git_words(spec: &TagReference) -> String {
    let from = spec.from.as_ref().map_or_else(|| "no source".to_owned(), from_words);
    let keeps = spec.mode == ImportMode::PreserveOriginal;
    with_flags(from, [spec.reference, spec.scheduled, spec.insecure, spec.local, keeps])
}

/// Where a spec tag gets its image from.
pub(super) fn from_words(from: &TagSource) -> String {
    match from {
        TagSource::Registry(image) => image.to_string(),
        TagSource::Tag(tag) => format!("istag/{tag}"),
        TagSource::Image { stream, id } => format!("isimage/{stream}@{id}"),
    }
}

fn with_flags(from: String, flags: [bool; 5]) -> String {
    let words = ["reference", "scheduled", "insecure", "local", "PreserveOriginal"];
    let words = words.into_iter().zip(flags).filter(|(_, is_set)| *is_set);
    let words: Vec<_> = words.map(|(word, _)| word).collect();
    if words.is_empty() { from } else { format!("{from} ({})", words.join(", ")) }
}
