//! `tidegate history`: the whole chain from commit to outcome, and which commit ran which digest when.
//!
//! Records are read once, in order, one at a time. What is kept is what the report shows, and of the rest only what a
//! later record may point at: the last image of each tag, the rollouts, and, for one object, commits and tag events that
//! may turn out to have caused its rollouts.

mod build;
mod entry;
mod gone;
mod job;
mod log;
mod runs;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::fact::{CommitAdopted, Fact, Record, RolloutStarted};
use crate::names::{CommitId, Digest, ObjectKey, Seq, StreamTag};
use crate::observed::ObservedState;
use crate::time::Timestamp;

use super::FORMAT_VERSION;
use super::select::Selection;
use super::words::{FAINT, HEADING, left_out, printed, styled};

pub(super) use build::cause as build_cause;
pub(crate) use entry::fired_words;
pub use runs::{Run, Runs};

/// What to show.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The object or tag; none is everything.
    pub select: Option<Selection>,
    /// Nothing before this.
    pub since: Option<Timestamp>,
    /// At most this many entries, the newest; none is all.
    pub limit: Option<usize>,
}

/// What happened, oldest first.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct History {
    format_version: u32,
    /// The first record that was there to be read.
    first_record: Option<Seq>,
    /// Entries that fit and are left out by the limit.
    left_out: usize,
    entries: Vec<Entry>,
}

/// One thing that happened.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    record: Seq,
    at: Timestamp,
    /// A word for the text: `commit`, `import`, `trigger`, `rollout`, `complete`, ...
    word: &'static str,
    subject: String,
    text: String,
    /// Records that brought this about.
    because: Vec<Seq>,
    /// The record as the journal has it.
    fact: Fact,
}

impl History {
    /// Reads the records that follow `base` and keeps what fits the filter.
    #[must_use]
    pub fn of(
        base: &ObservedState,
        records: impl IntoIterator<Item = Record>,
        filter: &Filter,
    ) -> Self {
        let mut reader = Reader::new(base, filter);
        for record in records {
            reader.read(&record);
        }
        reader.finish()
    }

    /// Writes the report for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = left_out(self.left_out, "older entry", "older entries");
        if let Some(first) = self.first_record.filter(|first| first.0 > 1) {
            let text = format!("(the journal begins at record {first}; older ones were compacted)");
            out.push_str(&styled(FAINT, text));
            out.push('\n');
        }
        if self.entries.is_empty() {
            out.push_str("nothing happened\n");
        }
        let width = self.entries.iter().map(|entry| entry.record.0.to_string().len()).max();
        let width = width.unwrap_or(1);
        for entry in &self.entries {
            let Entry { record, at, word, subject, text, .. } = entry;
            let style = entry::style(&entry.fact);
            let word = styled(style, format!("{word:<9}"));
            let subject = styled(HEADING, subject);
            let at = at.to_rfc3339_seconds();
            let because = match entry.because.as_slice() {
                [] => String::new(),
                because => {
                    let records: Vec<_> = because.iter().map(ToString::to_string).collect();
                    let plural = if because.len() == 1 { "" } else { "s" };
                    styled(FAINT, format!("  [record{plural} {}]", records.join(", ")))
                }
            };
            out.push_str(&format!("{record:>width$}  {at}  {word} {subject}{text}{because}\n"));
            out.push_str(&printed(&log::log(&entry.fact), width + 2));
        }
        out
    }
}

/// Puts records into words, one after the other.
#[derive(Debug)]
pub(super) struct Teller(Reader<'static>);

impl Teller {
    /// Begins behind a state; without one, nothing is known about what was before the first record.
    pub(super) fn new(base: Option<&ObservedState>) -> Self {
        static EVERYTHING: Filter = Filter { select: None, since: None, limit: None };
        let nothing = ObservedState::default();
        Self(Reader::new(base.unwrap_or(&nothing), &EVERYTHING))
    }

    /// Takes a record in without putting it into words.
    pub(super) fn pass(&mut self, record: &Record) {
        self.0.first.get_or_insert(record.seq);
        self.0.remember(record);
    }

    /// The subject, what happened to it, and what brought it about; none for what only keeps the program going.
    pub(super) fn tell(&mut self, record: &Record) -> Option<(String, String, Vec<Seq>)> {
        self.0.first.get_or_insert(record.seq);
        let entry = self.0.describe(record);
        self.0.remember(record);
        let Entry { word, subject, text, because, .. } = entry?;
        // The kind of every other fact says what its word does.
        let is_end = matches!(record.fact, Fact::RolloutFinished(_));
        let text = if is_end { format!(" {word}:{text}") } else { text };
        Some((subject, text, because))
    }
}

/// Reads records one after the other.
#[derive(Debug)]
struct Reader<'a> {
    filter: &'a Filter,
    /// The last record of the state that it began with.
    before: Seq,
    /// Tags that the selected workloads watch.
    watched: BTreeSet<StreamTag>,
    images: BTreeMap<StreamTag, Digest>,
    rollouts: BTreeMap<Seq, Known>,
    commits: BTreeMap<CommitId, Entry>,
    /// Tag events that a trigger of the selected object may still point at.
    events: BTreeMap<Seq, Entry>,
    first: Option<Seq>,
    entries: BTreeMap<Seq, Entry>,
    left_out: usize,
}

/// A rollout that later records point at.
#[derive(Debug)]
struct Known {
    at: Timestamp,
    started: RolloutStarted,
}

impl<'a> Reader<'a> {
    fn new(base: &ObservedState, filter: &'a Filter) -> Self {
        let mut images = BTreeMap::new();
        for (name, stream) in &base.streams {
            let tags = stream.tags.iter();
            images.extend(tags.filter_map(|(tag, s)| Some((name.tag(tag.clone()), s.image()?))));
        }
        let mut rollouts = BTreeMap::new();
        let mut watched = BTreeSet::new();
        for (key, state) in &base.workloads {
            for rollout in &state.rollouts {
                let known = Known { at: rollout.at, started: rollout.started.clone() };
                rollouts.insert(rollout.seq, known);
            }
            if filter.select.as_ref().is_some_and(|select| select.has(key)) {
                watched.extend(state.seen.keys().cloned());
            }
        }
        Self {
            filter,
            before: base.last_seq,
            watched,
            images,
            rollouts,
            commits: BTreeMap::new(),
            events: BTreeMap::new(),
            first: None,
            entries: BTreeMap::new(),
            left_out: 0,
        }
    }

    fn read(&mut self, record: &Record) {
        self.first.get_or_insert(record.seq);
        let entry = self.describe(record);
        self.remember(record);
        let Some(entry) = entry else { return };
        match &self.filter.select {
            None => self.keep(entry),
            Some(select) => self.read_selected(&select.clone(), entry),
        }
    }

    /// Keeps an entry about the selected object, with what brought it about.
    fn read_selected(&mut self, select: &Selection, entry: Entry) {
        if let Fact::CommitAdopted(adopted) = &entry.fact {
            if self.concerns(select, adopted) {
                self.keep(entry);
            } else {
                self.commits.insert(adopted.commit, entry);
            }
            return;
        }
        if let Fact::TagImported(imported) = &entry.fact {
            let is_made = build::maker(&imported.via).is_some_and(|object| select.has(object));
            if is_made || select.has_tag(&imported.tag) || self.watched.contains(&imported.tag) {
                self.keep_with_causes(entry);
            } else {
                self.events.insert(entry.record, entry);
            }
            return;
        }
        if let Fact::BuildCreated(created) = &entry.fact {
            if select.has(&created.object) {
                self.watched.extend(created.triggered.iter().map(|seen| seen.from.clone()));
                self.keep_with_causes(entry);
            } else {
                self.events.insert(entry.record, entry);
            }
            return;
        }
        if let Fact::BuildFinished(finished) = &entry.fact {
            if select.has(&finished.object) || self.entries.contains_key(&finished.build) {
                self.keep(entry);
            } else {
                self.events.insert(entry.record, entry);
            }
            return;
        }
        if let Fact::TriggerFired(fired) = &entry.fact {
            if select.has(&fired.object) {
                self.watched.insert(fired.from.clone());
                if let Some(event) = self.events.remove(&fired.event) {
                    self.keep_with_causes(event);
                }
            }
            if select.has(&fired.object) || select.has_tag(&fired.from) {
                self.keep(entry);
            }
            return;
        }
        if let Fact::RolloutStarted(started) = &entry.fact
            && select.has(&started.object)
            && let Some(commit) = self.commits.remove(&started.commit)
        {
            self.keep(commit);
        }
        if entry::is_about(&entry.fact, select, &self.watched) {
            self.keep(entry);
        }
    }

    /// Keeps an entry with what brought it about, back to where that began: the build that made an image, and the image
    /// that the build was created for.
    fn keep_with_causes(&mut self, entry: Entry) {
        let mut chain = vec![entry];
        while let Some(entry) = chain.pop() {
            chain.extend(entry.because.iter().filter_map(|seq| self.events.remove(seq)));
            if let Fact::BuildCreated(_) = &entry.fact {
                let is_end = |other: &Entry| build::end_of(&other.fact) == Some(entry.record);
                let ends = self.events.extract_if(.., |_, other| is_end(other));
                chain.extend(ends.map(|(_, end)| end).collect::<Vec<_>>());
            }
            self.keep(entry);
        }
    }

    fn concerns(&self, select: &Selection, adopted: &CommitAdopted) -> bool {
        let has = |object: &ObjectKey| select.has(object);
        adopted.appeared.iter().any(|appeared| has(&appeared.object))
            || adopted.removed.iter().any(|removed| has(&removed.object))
            || adopted.rejected.iter().any(|rejected| rejected.object.as_ref().is_some_and(has))
            || adopted
                .superseded
                .iter()
                .any(|tag| select.has_tag(tag) || self.watched.contains(tag))
            || adopted.streams.iter().any(|changed| {
                let mut tags = changed.tags.iter().chain(&changed.gone);
                tags.any(|tag| {
                    let tag = changed.stream.tag(tag.clone());
                    select.has_tag(&tag) || self.watched.contains(&tag)
                })
            })
    }

    fn keep(&mut self, entry: Entry) {
        if self.filter.since.is_some_and(|since| entry.at < since) {
            return;
        }
        self.entries.insert(entry.record, entry);
        if self.filter.limit.is_some_and(|limit| self.entries.len() > limit) {
            self.entries.pop_first();
            self.left_out += 1;
        }
    }

    /// Keeps what later records point at.
    fn remember(&mut self, record: &Record) {
        if let Fact::TagImported(imported) = &record.fact {
            if let Some(image) = imported.event.image {
                self.images.insert(imported.tag.clone(), image);
            }
        } else if let Fact::RolloutStarted(started) = &record.fact {
            let known = Known { at: record.at, started: (**started).clone() };
            self.rollouts.insert(record.seq, known);
        }
    }

    /// Whether records before the first one are gone, and no state stands for them.
    fn is_cut(&self) -> bool {
        self.first.is_some_and(|first| first > self.before.next())
    }

    fn finish(self) -> History {
        History {
            format_version: FORMAT_VERSION,
            first_record: self.first,
            left_out: self.left_out,
            entries: self.entries.into_values().collect(),
        }
    }
}

#[cfg(test)]
mod tests;
