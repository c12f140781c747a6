//! Which commit ran which digest when.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fact::{Fact, Outcome, Record, RolloutCause};
use crate::names::{CommitId, Digest, ObjectKey, Revision, Seq};
use crate::observed::ObservedState;
use crate::observed::rollout::Rollout;
use crate::time::Timestamp;

use super::super::FORMAT_VERSION;
use super::super::words::{BAD, GOOD, HEADING, WAITS, left_out, one_line, short_or, styled};
use super::Filter;

/// The rollouts of workloads, each with the time in which its result was what the target ran.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Runs {
    format_version: u32,
    left_out: usize,
    runs: Vec<Run>,
}

/// One rollout.
///
/// Of one that completed, `from` is when it completed and `to` is when the next rollout or the stop of the object
/// began: from then on, what runs is that one's business. Of any other, they are its own start and end.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    object: ObjectKey,
    record: Seq,
    from: Timestamp,
    to: Option<Timestamp>,
    commit: CommitId,
    revision: Revision,
    cause: RolloutCause,
    digests: BTreeMap<String, Option<Digest>>,
    outcome: Option<Outcome>,
    reason: String,
}

impl Runs {
    /// Reads the records that follow `base`.
    #[must_use]
    pub fn of(
        base: &ObservedState,
        records: impl IntoIterator<Item = Record>,
        filter: &Filter,
    ) -> Self {
        let shown = |object: &ObjectKey| filter.select.as_ref().is_none_or(|s| s.has(object));
        let mut reader = Reader::default();
        for (object, state) in base.workloads.iter().filter(|(object, _)| shown(object)) {
            for rollout in &state.rollouts {
                reader.known(rollout);
            }
            if let Some(stop) = &state.stop {
                reader.close(object, stop.at);
            }
        }
        for record in records {
            let object = crate::observed::rollout::object_of(&record.fact);
            if object.is_some_and(shown) {
                reader.read(&record);
            }
        }
        reader.finish(filter)
    }

    /// Writes the table for people.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = left_out(self.left_out, "older rollout", "older rollouts");
        if self.runs.is_empty() {
            out.push_str("nothing was rolled out\n");
            return out;
        }
        let width = self.runs.iter().map(|run| run.object.to_string().len()).max().unwrap_or(0);
        let object = format!("{:<width$}", "OBJECT");
        let head = format!(
            "{:<20}  {:<20}  {:<9}  {object}  {:>3}  {:<9}  DIGESTS",
            "FROM", "TO", "COMMIT", "REV", "OUTCOME"
        );
        out.push_str(&format!("{}\n", styled(HEADING, head)));
        for run in &self.runs {
            out.push_str(&run.line(width));
        }
        out
    }
}

impl Run {
    fn line(&self, width: usize) -> String {
        let to = self.to.map_or_else(|| "now".to_owned(), Timestamp::to_rfc3339_seconds);
        let (word, style) = match (self.outcome, self.cause) {
            (None, _) => ("running", WAITS),
            (Some(Outcome::Complete), RolloutCause::Restore) => ("restored", BAD),
            (Some(Outcome::Complete), _) => ("complete", GOOD),
            (Some(Outcome::Failed), _) => ("failed", BAD),
            (Some(Outcome::Cancelled), _) => ("cancelled", WAITS),
        };
        let digests = self.digests.iter().map(|(container, digest)| {
            format!("{container}={}", short_or(digest.as_ref(), "unknown"))
        });
        let digests: Vec<_> = digests.collect();
        let reason = match self.reason.as_str() {
            "" => String::new(),
            reason => format!("  {reason}"),
        };
        format!(
            "{:<20}  {to:<20}  {:<9}  {:<width$}  {:>3}  {}  {}{reason}\n",
            self.from.to_rfc3339_seconds(),
            self.commit.short(),
            self.object.to_string(),
            self.revision.0,
            styled(style, format!("{word:<9}")),
            digests.join(" "),
        )
    }
}

#[derive(Default)]
struct Reader {
    runs: BTreeMap<Seq, Run>,
    /// The last completed rollout of each object, as long as its result runs.
    current: BTreeMap<ObjectKey, Seq>,
}

impl Reader {
    /// A rollout that the state before the first record knows.
    fn known(&mut self, rollout: &Rollout) {
        let fact = Fact::RolloutStarted(Box::new(rollout.started.clone()));
        self.read(&Record { seq: rollout.seq, at: rollout.at, fact });
        if let Some(end) = &rollout.end {
            let object = &rollout.started.object;
            self.end(object, rollout.seq, end.at, end.outcome, &end.reason);
        }
    }

    fn read(&mut self, record: &Record) {
        if let Fact::RolloutStarted(started) = &record.fact {
            self.close(&started.object, record.at);
            let digests = started.images.iter();
            let digests = digests.map(|image| (image.container.name.clone(), image.digest));
            let run = Run {
                object: started.object.clone(),
                record: record.seq,
                from: record.at,
                to: None,
                commit: started.commit,
                revision: started.revision,
                cause: started.cause,
                digests: digests.collect(),
                outcome: None,
                reason: String::new(),
            };
            self.runs.insert(record.seq, run);
        } else if let Fact::RolloutFinished(end) = &record.fact {
            self.end(&end.object, end.rollout, record.at, end.outcome, &end.reason);
        } else if let Fact::StopStarted(stop) = &record.fact {
            self.close(&stop.object, record.at);
        }
    }

    /// What ran up to now is touched.
    fn close(&mut self, object: &ObjectKey, at: Timestamp) {
        let current = self.current.remove(object);
        if let Some(run) = current.and_then(|seq| self.runs.get_mut(&seq)) {
            run.to = Some(at);
        }
    }

    fn end(
        &mut self,
        object: &ObjectKey,
        rollout: Seq,
        at: Timestamp,
        outcome: Outcome,
        why: &str,
    ) {
        let Some(run) = self.runs.get_mut(&rollout) else { return };
        run.outcome = Some(outcome);
        run.reason = one_line(why);
        if outcome == Outcome::Complete {
            run.from = at;
            self.current.insert(object.clone(), rollout);
        } else {
            run.to = Some(at);
        }
    }

    fn finish(self, filter: &Filter) -> Runs {
        let since =
            |run: &Run| filter.since.is_none_or(|since| run.to.is_none_or(|to| to >= since));
        let mut runs: Vec<_> = self.runs.into_values().filter(since).collect();
        let extra = filter.limit.map_or(0, |limit| runs.len().saturating_sub(limit));
        runs.drain(..extra);
        Runs { format_version: FORMAT_VERSION, left_out: extra, runs }
    }
}
