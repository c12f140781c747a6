//! `tidegate journal log`: one line per record, as terse as it can be told from the records before it.

use std::collections::BTreeSet;

use crate::fact::{Checkpoint, Fact, QuotaMark, Record, workload_fact};
use crate::names::{Kind, ObjectKey, StreamName, StreamTag};
use crate::observed::ObservedState;
use crate::observed::build;
use crate::observed::rollout::object_of;

use super::history::Teller as Words;
use super::select::Selection;
use super::words::{FAINT, HEADING, count, styled};

/// The streams that a fact says something of: no other is changed by it.
#[must_use]
pub fn streams_named(fact: &Fact) -> BTreeSet<StreamName> {
    let (objects, tags) = named(fact);
    let streams = objects.into_iter().filter(|object| object.kind == Kind::ImageStream);
    let streams = streams.map(|object| StreamName::new(object.namespace, object.name));
    tags.into_iter().map(|tag| tag.stream).chain(streams).collect()
}

/// The objects and tags that a fact names.
///
/// Every variant is named, so that one that is added must be looked at here.
#[must_use]
pub fn named(fact: &Fact) -> (BTreeSet<ObjectKey>, BTreeSet<StreamTag>) {
    let mut objects: BTreeSet<ObjectKey> =
        object_of(fact).or(build::object_of(fact)).cloned().into_iter().collect();
    let mut tags = BTreeSet::new();
    match fact {
        Fact::CommitAdopted(adopted) => {
            objects.extend(adopted.appeared.iter().map(|appeared| appeared.object.clone()));
            objects.extend(adopted.removed.iter().map(|removed| removed.object.clone()));
            objects.extend(adopted.rejected.iter().filter_map(|rejected| rejected.object.clone()));
            for changed in &adopted.streams {
                objects.insert(ObjectKey::stream(&changed.stream));
                let changes = changed.tags.iter().chain(&changed.gone);
                tags.extend(changes.map(|tag| changed.stream.tag(tag.clone())));
            }
            tags.extend(adopted.superseded.iter().cloned());
        }
        Fact::RemovalsReleased(released) => objects.extend(released.objects.iter().cloned()),
        Fact::TagImported(imported) => tags.extend([imported.tag.clone()]),
        Fact::TagProbed(probed) => tags.extend([probed.tag.clone()]),
        Fact::ImportFailed(failed) => tags.extend([failed.tag.clone()]),
        Fact::TagRecovered(recovered) => tags.extend([recovered.tag.clone()]),
        Fact::TagTrimmed(trimmed) => tags.extend([trimmed.tag.clone()]),
        Fact::TagsListed(listed) => {
            objects.insert(ObjectKey::stream(&listed.stream));
            let vanished = listed.vanished.iter().map(|gone| &gone.tag);
            let named = listed.tags.iter().chain(vanished);
            tags.extend(named.map(|tag| listed.stream.tag(tag.clone())));
        }
        Fact::ListingFailed(failed) => {
            objects.insert(ObjectKey::stream(&failed.stream));
        }
        Fact::OverlaySet(set) => tags.extend([set.tag.clone()]),
        Fact::TagRemoved(removed) => tags.extend([removed.tag.clone()]),
        Fact::ImagesPruned(pruned) => {
            tags.extend(pruned.items.iter().map(|of_tag| of_tag.tag.clone()));
        }
        Fact::TriggerFired(fired) => tags.extend([fired.from.clone()]),
        Fact::Checkpoint(checkpoint) => {
            objects.extend(checkpoint.checked.iter().map(|(stream, _)| ObjectKey::stream(stream)));
        }
        Fact::BuildCreated(created) => {
            tags.extend(
                created.output.iter().chain(created.triggered.iter().map(|t| &t.from)).cloned(),
            );
        }
        Fact::BuildStarted(_)
        | Fact::BuildEnding(_)
        | Fact::BuildFinished(_)
        | Fact::CommitRefused(_)
        | Fact::CommitWithdrawn(_)
        | Fact::SourceFailed(_)
        | Fact::SourceRecovered
        | Fact::ImageDeleted(_)
        | Fact::ManifestDeleted(_)
        | workload_fact!()
        | Fact::RolloutsPaused(_)
        | Fact::ConfigAdopted(_)
        | Fact::SpaceShort(_)
        | Fact::SpaceRegained(_)
        | Fact::HistoryDropped(_)
        | Fact::RecordsLost(_) => {}
    }
    objects.extend(tags.iter().map(|tag| ObjectKey::stream(&tag.stream)));
    (objects, tags)
}

/// Whether a fact names what was selected.
#[must_use]
pub fn names(fact: &Fact, select: &Selection) -> bool {
    let (objects, tags) = named(fact);
    match &select.tag {
        Some(tag) => tags.contains(tag),
        None => objects.iter().any(|object| select.has(object)),
    }
}

/// Tells records in their order.
#[derive(Debug)]
pub struct Teller(Words);

impl Teller {
    /// Begins behind the last record of a state; without one, nothing is known about what was before.
    #[must_use]
    pub fn new(base: Option<&ObservedState>) -> Self {
        Self(Words::new(base))
    }

    /// Takes a record in without telling it.
    pub fn pass(&mut self, record: &Record) {
        self.0.pass(record);
    }

    /// Takes a record in, and tells it in one line without its end.
    pub fn tell(&mut self, record: &Record) -> String {
        let what = self.what(record);
        format!("{}  {}  {:<17}  {what}", record.seq, record.at, record.fact.kind())
    }

    /// Takes a record in, and says what happened.
    pub fn what(&mut self, record: &Record) -> String {
        let said = self.0.tell(record);
        if let Fact::Checkpoint(checkpoint) = &record.fact {
            return styled(FAINT, of_checkpoint(checkpoint));
        }
        let Some((subject, text, because)) = said else { return String::new() };
        let because = because.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let because = if because.is_empty() {
            because
        } else {
            styled(FAINT, format!("  [because of {because}]"))
        };
        format!("{}{text}{because}", styled(HEADING, subject))
    }
}

/// What a checkpoint says, in words.
fn of_checkpoint(checkpoint: &Checkpoint) -> String {
    let checked = checkpoint.checked.len();
    let checked = (checked > 0)
        .then(|| format!("{} checked since the one before", count(checked, "stream", "streams")));
    let set_aside = checkpoint.quota.iter().map(|QuotaMark { account, since, requests }| {
        let since = since.to_rfc3339_seconds();
        format!("{requests} counted requests to {account} set aside for the time from {since}")
    });
    let resting = checkpoint.resting.iter().map(|(host, until)| {
        format!("{host} asked to be left alone until {}", until.to_rfc3339_seconds())
    });
    let said: Vec<_> = checked.into_iter().chain(set_aside).chain(resting).collect();
    said.join("; ")
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;

    use super::*;
    use crate::report::{select::Known, story};

    #[test]
    fn every_record_is_one_line() {
        let mut teller = Teller::new(Some(&ObservedState::default()));
        let lines: Vec<_> = story::records().iter().map(|record| teller.tell(record)).collect();
        insta::assert_snapshot!("log", strip_str(&lines.join("\n")).to_string());
    }

    #[test]
    fn what_a_record_names_is_found_by_it() {
        let known = Known::of(&story::desired(), &story::observed());
        let found = |text: &str| {
            let select = known.select(text, &"shop".parse().unwrap()).unwrap();
            let named = story::records().into_iter().filter(|record| names(&record.fact, &select));
            named.map(|record| record.seq.0).collect::<Vec<_>>()
        };
        assert_eq!(found("istag/base:1"), [1, 13]);
        assert_eq!(found("dc/web"), [1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 14]);
        assert_eq!(found("istag/python:3.6"), [1, 2, 3, 6, 7]);
    }
}
