//! The builds of one `BuildConfig` (sections 4.2 to 4.5 of the triggers specification).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dense;
use crate::fact::{
    BuildCause, BuildCreated, BuildEnd, BuildEnding, BuildFinished, BuildStage, BuildStarted, Fact,
    Record, SourceRevision,
};
use crate::limits::BUILD_HISTORY_MAX;
use crate::names::{BuildNumber, Digest, Incarnation, ObjectKey, Seq, StreamTag};
use crate::sabotage::{self, Bug};
use crate::time::Timestamp;

/// What is known of the builds of one `BuildConfig`.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BuildsState {
    /// The highest number that was given, over all its lives (rules B4, B17).
    pub last_number: BuildNumber,
    /// The life of it that a build was created in last: the first build of a life needs no moved tag (rule B13).
    #[serde(default)]
    pub life: Option<Incarnation>,
    /// What its triggers saw last in that life (rule B8).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub triggered: BTreeMap<StreamTag, Triggered>,
    /// Builds, oldest first: all that have not ended, and the last that did.
    #[serde(default, deserialize_with = "dense::list")]
    pub builds: Vec<Build>,
}

/// What a trigger saw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Triggered {
    /// The image.
    pub image: Digest,
    /// When a change of it last caused a build; none where it never did.
    pub at: Option<Timestamp>,
}

/// One build.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Build {
    /// The record that created it.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// What it is.
    pub created: BuildCreated,
    /// When it was given to the builder, and where it pushes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<(Timestamp, Option<String>)>,
    /// How it is going to end, where it is ended before its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<(BuildEnd, String, String)>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a build ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// How.
    pub end: BuildEnd,
    /// One word (rule B29).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What was pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Digest>,
    /// The commit that was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<SourceRevision>,
    /// What it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<BuildStage>,
    /// The last lines of its log, where it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub log: String,
}

impl BuildsState {
    /// Those that have not ended, oldest first.
    pub fn active(&self) -> impl Iterator<Item = &Build> {
        self.builds.iter().filter(|build| build.ended.is_none())
    }

    /// Those that were given to the builder and have not ended, oldest first.
    pub fn running(&self) -> impl Iterator<Item = &Build> {
        self.active().filter(|build| build.started.is_some())
    }

    /// The one that a record created.
    #[must_use]
    pub fn find(&self, seq: Seq) -> Option<&Build> {
        self.builds.iter().find(|build| build.seq == seq)
    }

    /// The one with a number.
    #[must_use]
    pub fn numbered(&self, number: BuildNumber) -> Option<&Build> {
        self.builds.iter().find(|build| build.created.number == number)
    }

    /// Whether a build was created in a life of the `BuildConfig` (rule B13).
    #[must_use]
    pub fn has_begun(&self, life: Incarnation) -> bool {
        self.life == Some(life)
    }

    /// What a trigger of a life saw last.
    #[must_use]
    pub fn saw(&self, life: Incarnation, tag: &StreamTag) -> Option<Digest> {
        let seen = self.triggered.get(tag).filter(|_| self.has_begun(life));
        seen.map(|seen| seen.image)
    }

    /// Applies a record about its builds.
    pub(super) fn apply(&mut self, record: &Record) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "`ObservedState` hands over only these")]
        match &record.fact {
            Fact::BuildCreated(created) => self.created(record, created),
            Fact::BuildStarted(started) => self.started(record.at, started),
            Fact::BuildEnding(ending) => self.ending(ending),
            Fact::BuildFinished(finished) => self.finished(record.at, finished),
            _ => {}
        }
    }

    fn created(&mut self, record: &Record, created: &BuildCreated) {
        if !self.has_begun(created.incarnation) {
            self.triggered.clear();
        }
        self.life = Some(created.incarnation);
        self.last_number = self.last_number.max(created.number);
        // Not of every build: those of `SerialLatestOnly` end each other, and one step would never end.
        let forgets = sabotage::is(Bug::ForgetBuildTrigger) && record.seq.0.is_multiple_of(2);
        for seen in created.triggered.iter().filter(|_| !forgets) {
            let is_cause = |cause: &BuildCause| match cause {
                BuildCause::Image { from, .. } => *from == seen.from,
                BuildCause::Config | BuildCause::Manual { .. } | BuildCause::Webhook { .. } => {
                    false
                }
            };
            let before = self.triggered.get(&seen.from).and_then(|before| before.at);
            let at = if created.causes.iter().any(is_cause) { Some(record.at) } else { before };
            let triggered = Triggered { image: seen.image, at };
            self.triggered.insert(seen.from.clone(), triggered);
        }
        self.builds.push(Build {
            seq: record.seq,
            at: record.at,
            created: created.clone(),
            started: None,
            ending: None,
            ended: None,
        });
    }

    fn started(&mut self, at: Timestamp, started: &BuildStarted) {
        if let Some(build) = self.find_mut(started.build) {
            build.started = Some((at, started.push.clone()));
        }
    }

    fn ending(&mut self, ending: &BuildEnding) {
        if let Some(build) = self.find_mut(ending.build) {
            build.ending = Some((ending.end, ending.reason.clone(), ending.message.clone()));
        }
    }

    fn finished(&mut self, at: Timestamp, finished: &BuildFinished) {
        let BuildFinished { end, reason, message, image, revision, stages, log, .. } =
            finished.clone();
        let Some(build) = self.find_mut(finished.build) else { return };
        build.ended = Some(Ended { at, end, reason, message, image, revision, stages, log });
        let keeps = build.created.keeps;
        self.trim(keeps);
    }

    /// Leaves out what ended, but for as many as the limits of the last one that ended keep (rule B33).
    fn trim(&mut self, (complete, failed): (Option<u32>, Option<u32>)) {
        let limit =
            |keeps: Option<u32>| keeps.unwrap_or(BUILD_HISTORY_MAX).min(BUILD_HISTORY_MAX) as usize;
        let is = |build: &Build| build.ended.as_ref().map(|ended| ended.end == BuildEnd::Complete);
        let last = |complete: bool, limit: usize| {
            let such = self.builds.iter().rev().filter(move |build| is(build) == Some(complete));
            such.take(limit).map(|build| build.seq)
        };
        let kept: Vec<Seq> =
            last(true, limit(complete)).chain(last(false, limit(failed))).collect();
        self.builds.retain(|build| build.ended.is_none() || kept.contains(&build.seq));
    }

    fn find_mut(&mut self, seq: Seq) -> Option<&mut Build> {
        self.builds.iter_mut().rev().find(|build| build.seq == seq)
    }
}

impl Build {
    /// `status.phase` (rule B27).
    #[must_use]
    pub fn phase(&self) -> &'static str {
        match (&self.ended, &self.started) {
            (Some(ended), _) => match ended.end {
                BuildEnd::Complete => "Complete",
                BuildEnd::Failed => "Failed",
                BuildEnd::Error => "Error",
                BuildEnd::Cancelled => "Cancelled",
            },
            (None, Some(_)) => "Running",
            (None, None) => "New",
        }
    }
}

/// The `BuildConfig` whose builds a record is about.
#[must_use]
#[expect(clippy::wildcard_enum_match_arm, reason = "the others are about something else")]
pub fn object_of(fact: &Fact) -> Option<&ObjectKey> {
    match fact {
        Fact::BuildCreated(created) => Some(&created.object),
        Fact::BuildStarted(started) => Some(&started.object),
        Fact::BuildEnding(ending) => Some(&ending.object),
        Fact::BuildFinished(finished) => Some(&finished.object),
        _ => None,
    }
}
