//! Builds of a dry run: which would be created, and what each reaches when it succeeds.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::desired::{DesiredState, TagSource};
use crate::fact::{BuildCreated, Fact};
use crate::names::{ObjectKey, StreamTag};

use super::super::history::build_cause;
use super::super::words::{GOOD, styled};
use super::Simulated;

/// Objects that a line names; of more their number is told.
const NAMED_MAX: usize = 6;

#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BuildReport {
    pub(super) order: usize,
    pub(super) object: ObjectKey,
    /// The name of the build.
    pub(super) name: String,
    pub(super) causes: Vec<String>,
    /// Whether it is due already, without the commit that the dry run is about.
    pub(super) already_due: bool,
    /// The tag that it would make.
    pub(super) output: Option<StreamTag>,
    /// What that tag sets in motion, directly or through other builds.
    pub(super) reaches: Vec<ObjectKey>,
}

/// The builds that would be created, in order.
pub(super) fn builds(run: &Simulated) -> Vec<BuildReport> {
    let created = run.records.iter().filter_map(|record| {
        let Fact::BuildCreated(created) = &record.fact else { return None };
        Some(&**created)
    });
    let adopted = run.adopted().is_some();
    let desired = &run.after.desired;
    let report = |(index, created): (usize, &BuildCreated)| BuildReport {
        order: index + 1,
        object: created.object.clone(),
        name: created.name.clone(),
        causes: created.causes.iter().map(build_cause).collect(),
        already_due: adopted && created.commit != run.read.commit,
        output: created.output.clone(),
        reaches: created.output.as_ref().map(|tag| reached(desired, tag)).unwrap_or_default(),
    };
    created.enumerate().map(report).collect()
}

/// What a tag sets in motion, the nearest first: builds and rollouts by their triggers, and what those builds make.
fn reached(desired: &DesiredState, tag: &StreamTag) -> Vec<ObjectKey> {
    let (mut seen, mut found) = (BTreeSet::from([tag.clone()]), Vec::new());
    let mut tags = vec![tag.clone()];
    while !tags.is_empty() {
        let mut next = Vec::new();
        for tag in &tags {
            for build in desired.builds.values() {
                let mut active = build.triggers.iter().filter(|trigger| !trigger.paused);
                if active.any(|trigger| trigger.from == *tag) && !found.contains(&build.object) {
                    found.push(build.object.clone());
                    next.extend(build.output.clone());
                }
            }
            for workload in desired.workloads.values() {
                let mut active = workload.triggers.iter().filter(|trigger| trigger.automatic);
                if active.any(|trigger| trigger.from == *tag) && !found.contains(&workload.object) {
                    found.push(workload.object.clone());
                }
            }
            for stream in desired.streams.values() {
                let follow = stream.tags.iter().filter(
                    |(_, spec)| matches!(&spec.from, Some(TagSource::Tag(from)) if from == tag),
                );
                next.extend(follow.map(|(name, _)| stream.name.tag(name.clone())));
            }
        }
        next.retain(|tag| seen.insert(tag.clone()));
        tags = next;
    }
    found
}

impl BuildReport {
    pub(super) fn line(&self) -> String {
        let due = if self.already_due { ", due already without this commit" } else { "" };
        let (object, causes) = (styled(GOOD, &self.object), self.causes.join("; "));
        let made = self.output.as_ref().map(|tag| format!("\n       makes {tag}"));
        let reaches = match self.reaches.as_slice() {
            [] => String::new(),
            all => {
                let names = all.iter().take(NAMED_MAX).map(ToString::to_string);
                let names = names.collect::<Vec<_>>().join(", ");
                match all.len().saturating_sub(NAMED_MAX) {
                    0 => format!(", which reaches {names}"),
                    more => format!(", which reaches {names} and {more} more"),
                }
            }
        };
        let made = made.unwrap_or_default();
        format!("{}. {object} build {}: {causes}{due}{made}{reaches}", self.order, self.name)
    }
}
