//! Runs of `CronJob`s in words.

use super::super::words::{one_line, short};
use super::entry::{Said, said};
use crate::fact::{Fact, Outcome};

/// A run began, ended or was missed; none for other facts.
#[expect(clippy::wildcard_enum_match_arm, reason = "`describe` hands over only these")]
pub(super) fn told(fact: &Fact) -> Option<Said> {
    let said = match fact {
        Fact::JobStarted(job) => {
            let mut text = format!(" job {}", job.name);
            if let Some(slot) = job.slot {
                text = format!("{text} of {}", slot.to_rfc3339_seconds());
            }
            if let Some(missed) = job.missed {
                text =
                    format!("{text}, in the place of those since {}", missed.to_rfc3339_seconds());
            }
            if let Some(by) = &job.by {
                text = format!("{text} by {}", one_line(by));
            }
            let images = job.images.iter().map(|image| match &image.digest {
                Some(digest) => format!("{} {}", image.container, short(digest)),
                None => format!("{} {}", image.container, one_line(&image.reference)),
            });
            let images = images.collect::<Vec<_>>().join("; ");
            let text = format!("{text}, commit {}: {images}", job.commit.short());
            said("run", &job.object, text).because([job.rollout])
        }
        Fact::JobCreated(job) => {
            said("step", &job.object, format!(" job {} starts", job.name)).because([job.job])
        }
        Fact::JobEnding(job) => {
            let text = format!(" job {}: {}", job.name, one_line(&job.reason));
            said("end", &job.object, text).because([job.job])
        }
        Fact::JobFinished(job) => {
            let word = match job.outcome {
                Outcome::Complete => "complete",
                Outcome::Failed => "failed",
                Outcome::Cancelled => "cancelled",
            };
            let mut text = format!(" job {}", job.name);
            if !job.reason.is_empty() {
                text = format!("{text}: {}", one_line(&job.reason));
            }
            said(word, &job.object, text).because([job.job])
        }
        Fact::JobMissed(job) => {
            let (since, slot) = (job.since.to_rfc3339_seconds(), job.slot.to_rfc3339_seconds());
            let times = if since == slot { slot } else { format!("{since} to {slot}") };
            said("missed", &job.object, format!(" no run of {times}: {}", one_line(&job.reason)))
        }
        _ => return None,
    };
    Some(said)
}
