//! Builds in words.

use super::super::words::{count, one_line, short};
use super::entry::{Said, said};
use crate::fact::{BuildCause, BuildCreated, BuildEnd, Fact, Via};
use crate::names::{ObjectKey, Seq};

/// A build was created, started, is ended or ended; none for other facts.
#[expect(clippy::wildcard_enum_match_arm, reason = "`describe` hands over only these")]
pub(super) fn told(fact: &Fact) -> Option<Said> {
    let said = match fact {
        Fact::BuildCreated(created) => {
            let causes: Vec<String> = created.causes.iter().map(cause).collect();
            let mut text = format!(" build {}: {}", created.name, causes.join("; "));
            if let Some(commit) = &created.options.commit {
                text = format!("{text}, source commit {}", one_line(commit));
            }
            if let Some(of) = &created.options.clone_of {
                text = format!("{text}, as {} was", one_line(of));
            }
            let text = format!("{text}, commit {}", created.commit.short());
            said("build", &created.object, text).because(events(created))
        }
        Fact::BuildStarted(started) => {
            let to = started.push.as_ref().map(|push| format!(", to push to {}", one_line(push)));
            let text = format!(" build {} starts{}", started.name, to.unwrap_or_default());
            said("step", &started.object, text).because([started.build])
        }
        Fact::BuildEnding(ending) => {
            let text = format!(" build {}: {}", ending.name, one_line(&ending.message));
            said("end", &ending.object, text).because([ending.build])
        }
        Fact::BuildFinished(finished) => {
            let word = match finished.end {
                BuildEnd::Complete => "complete",
                BuildEnd::Failed | BuildEnd::Error => "failed",
                BuildEnd::Cancelled => "cancelled",
            };
            let mut text = format!(" build {}", finished.name);
            if let Some(image) = &finished.image {
                text = format!("{text}: {}", short(image));
            }
            if !finished.reason.is_empty() {
                let message = one_line(&finished.message);
                text = format!("{text}: {}: {message}", one_line(&finished.reason));
            }
            let stages: u64 = finished.stages.iter().map(|stage| stage.took).sum();
            if stages > 0 {
                let steps = count(finished.stages.len(), "stage", "stages");
                text = format!("{text} ({steps}, {}.{} s)", stages / 1000, stages % 1000 / 100);
            }
            said(word, &finished.object, text).because([finished.build])
        }
        _ => return None,
    };
    Some(said)
}

/// The tag events that a build follows from.
fn events(created: &BuildCreated) -> impl Iterator<Item = Seq> + '_ {
    created.causes.iter().filter_map(|cause| match cause {
        BuildCause::Image { event, .. } => Some(*event),
        BuildCause::Config | BuildCause::Manual { .. } | BuildCause::Webhook { .. } => None,
    })
}

/// Why a build was created, in words.
pub(in crate::report) fn cause(cause: &BuildCause) -> String {
    match cause {
        BuildCause::Config => "the first of its configuration".to_owned(),
        BuildCause::Image { from, old, image, .. } => {
            let old = old.as_ref().map_or_else(|| "nothing".to_owned(), short);
            format!("{from} {old} -> {}", short(image))
        }
        BuildCause::Manual { by } => format!("by {}", one_line(by)),
        BuildCause::Webhook { kind, revision } => {
            let commit = revision.as_ref().map(|revision| one_line(&revision.commit));
            let commit = commit.filter(|commit| !commit.is_empty());
            match commit {
                Some(commit) => format!("{kind} webhook about {commit}"),
                None => format!("{kind} webhook"),
            }
        }
    }
}

/// Where the image of a tag came from, in words.
pub(super) fn via(via: &Via) -> String {
    match via {
        Via::Registry => String::new(),
        Via::Alias(tag) => format!(" from {tag}"),
        Via::Image(stream) => format!(" from an image of {stream}"),
        Via::Reference => " as written".into(),
        Via::Push => " from a push".into(),
        Via::Build { name, .. } => format!(" from build {name}"),
    }
}

/// The build whose end a fact tells.
#[expect(clippy::wildcard_enum_match_arm, reason = "only one fact tells that")]
pub(super) fn end_of(fact: &Fact) -> Option<Seq> {
    match fact {
        Fact::BuildFinished(end) => Some(end.build),
        _ => None,
    }
}

/// The `BuildConfig` whose build made the image of a tag.
pub(super) fn maker(via: &Via) -> Option<&ObjectKey> {
    match via {
        Via::Build { object, .. } => Some(object),
        Via::Registry | Via::Alias(_) | Via::Image(_) | Via::Reference | Via::Push => None,
    }
}

/// The build that made the image of a tag.
pub(super) fn made(via: &Via) -> Option<Seq> {
    match via {
        Via::Build { build, .. } => Some(*build),
        Via::Registry | Via::Alias(_) | Via::Image(_) | Via::Reference | Via::Push => None,
    }
}
