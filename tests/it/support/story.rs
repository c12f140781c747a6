//! Records, actions and holds as short lines, for stories and failures.

use std::collections::BTreeMap;

use tidegate::action::{Action, JobOrder};
use tidegate::fact::{
    Fact, Ordered, Overlaid, Record, RemovalFate, RolloutImage, RolloutStarted, RolloutStepped,
    SpecSource, Via,
};
use tidegate::names::{Digest, ObjectKey, StreamTag};
use tidegate::plan::Held;

use super::builds;

/// Makes a digest that [`short`] prints by its name.
pub(crate) fn digest(name: &str) -> Digest {
    Digest::of(name.as_bytes())
}

/// The text with digests by name, and without the namespace that most tests use.
pub(crate) fn short(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = text.replace("shop/", "").replace('\n', " ");
    for (digest, name) in names {
        if text.contains(digest) {
            text = text.replace(digest, &format!("#{name}"));
        }
    }
    text
}

fn object(key: &ObjectKey) -> String {
    format!("{}/{}", key.namespace, key.name)
}

fn tag(tag: &StreamTag) -> String {
    format!("{tag}")
}

fn images(images: &[RolloutImage]) -> String {
    let one = |image: &RolloutImage| match image.digest {
        Some(digest) => format!("{}={digest}", image.container.name),
        None => format!("{}={}", image.container.name, image.reference),
    };
    images.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn fate(fate: RemovalFate) -> &'static str {
    match fate {
        RemovalFate::Pruned => "pruned",
        RemovalFate::Kept => "kept",
        RemovalFate::Held { .. } => "held",
    }
}

fn commit(adopted: &tidegate::fact::CommitAdopted) -> String {
    let mut words = vec!["CommitAdopted".to_owned()];
    for appeared in &adopted.appeared {
        words.push(format!("+{}#{}", object(&appeared.object), appeared.incarnation.0));
    }
    for removed in &adopted.removed {
        words.push(format!("-{}:{}", object(&removed.object), fate(removed.fate)));
    }
    words.extend(adopted.superseded.iter().map(|superseded| format!("^{}", tag(superseded))));
    for changed in &adopted.streams {
        let list = |tags: &[tidegate::names::TagName]| {
            tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        let gone = match changed.gone.as_slice() {
            [] => String::new(),
            gone => format!("-{}", list(gone)),
        };
        words.push(format!(
            "~{}@{}({}){gone}",
            changed.stream,
            changed.generation.0,
            list(&changed.tags)
        ));
    }
    for rejected in &adopted.rejected {
        let name = rejected.object.as_ref().map_or(rejected.position.path.clone(), object);
        let kept = if rejected.kept.is_some() { "kept" } else { "absent" };
        words.push(format!("!{name}:{kept}"));
    }
    words.join(" ")
}

fn trigger(fired: &tidegate::fact::TriggerFired) -> String {
    let old = fired.old.map_or_else(|| "nothing".to_owned(), |old| old.to_string());
    let outcome = match fired.outcome {
        tidegate::fact::TriggerOutcome::Rollout(revision) => format!("rollout {revision}"),
        tidegate::fact::TriggerOutcome::AlreadyRunning => "already running".into(),
        tidegate::fact::TriggerOutcome::Held => "held".into(),
    };
    let (name, from) = (object(&fired.object), tag(&fired.from));
    format!("TriggerFired {name} {from} {old} to {}: {outcome}", fired.new)
}

fn prune(pruned: &tidegate::fact::ImagesPruned) -> String {
    let items = pruned.items.iter();
    let items = items.map(|of_tag| format!("{}-{}", tag(&of_tag.tag), of_tag.items.len()));
    let images = pruned.images.iter().map(ToString::to_string);
    items.chain(images).collect::<Vec<_>>().join(" ")
}

fn overlay(set: &tidegate::fact::OverlaySet) -> String {
    let changed = set.changed.as_ref().map(|changed| {
        let names = |tags: &[tidegate::names::TagName]| {
            tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
        };
        let (due, gone) = (names(&changed.tags), names(&changed.gone));
        let due = if due.is_empty() { due } else { format!(" {due}") };
        let gone = if gone.is_empty() { gone } else { format!(" -{gone}") };
        format!(" @{}{due}{gone}", changed.generation.0)
    });
    let overlay = match &set.overlay {
        Overlaid::Spec(spec) => match &spec.from {
            SpecSource::Registry(image) => image.to_string(),
            SpecSource::Tag(source) => format!("tag {}", tag(source)),
            SpecSource::Image { stream, image } => format!("image {stream}@{image}"),
        },
        Overlaid::Removed => "removed".into(),
        Overlaid::Withdrawn => "withdrawn".into(),
    };
    let changed = changed.unwrap_or_default();
    format!("OverlaySet {} {overlay} by {}{changed}", tag(&set.tag), set.by)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "`record` hands over only these")]
fn order(fact: &Fact) -> String {
    let kind = fact.kind();
    match fact {
        Fact::RolloutOrdered(ordered) => {
            let what = match ordered.order {
                Ordered::Latest { again: false } => "latest".to_owned(),
                Ordered::Latest { again: true } => "again".to_owned(),
                Ordered::Retry { .. } => "retry".to_owned(),
                Ordered::Undo { revision, .. } => format!("back to {revision}"),
            };
            format!("{kind} {} {what} by {}", object(&ordered.object), ordered.by)
        }
        Fact::RolloutsPaused(paused) => {
            let what = paused.object.as_ref().map_or_else(|| "all".to_owned(), object);
            format!("{kind} {what} {} by {}", paused.paused, paused.by)
        }
        _ => String::new(),
    }
}

fn because(release: &tidegate::fact::Release) -> String {
    match release {
        tidegate::fact::Release::NewImages => "new images".into(),
        tidegate::fact::Release::NewTemplate => "new template".into(),
        tidegate::fact::Release::Operator { by } => format!("by {by}"),
        tidegate::fact::Release::Removed => "removed".into(),
    }
}

fn listing(listed: &tidegate::fact::TagsListed) -> String {
    let tags: Vec<_> = listed.tags.iter().map(ToString::to_string).collect();
    let gone: Vec<_> =
        listed.vanished.iter().map(|v| format!(" -{} {:?} {}", v.tag, v.why, v.listings)).collect();
    let left_out: Vec<_> = listed.left_out.iter().map(|tag| format!(" +{tag}")).collect();
    let (stream, generation) = (&listed.stream, listed.generation.0);
    let (gone, left_out) = (gone.concat(), left_out.concat());
    format!("TagsListed {stream} @{generation} {}{gone}{left_out}", tags.join(","))
}

fn via(via: &Via) -> String {
    match via {
        Via::Registry => "registry".into(),
        Via::Alias(source) => format!("alias of {}", tag(source)),
        Via::Image(stream) => format!("image of {stream}"),
        Via::Reference => "reference".into(),
        Via::Push => "push".into(),
        Via::Build { name, .. } => format!("build {name}"),
    }
}

fn step(kind: &str, stepped: &RolloutStepped) -> String {
    let ending = stepped.ending.as_ref();
    let ending = ending.map(|ending| format!(" {}: {}", ending.outcome, ending.reason));
    format!("{kind} {} {}{}", object(&stepped.object), stepped.step, ending.unwrap_or_default())
}

fn objects(objects: &[ObjectKey]) -> String {
    objects.iter().map(object).collect::<Vec<_>>().join(" ")
}

/// One record as a line.
pub(crate) fn record(record: &Record) -> String {
    let kind = record.fact.kind();
    match &record.fact {
        Fact::CommitAdopted(adopted) => commit(adopted),
        Fact::CommitRefused(refused) => format!("{kind}: {}", refused.reason),
        Fact::SourceFailed(failed) => format!("{kind}: {}", failed.message),
        Fact::RemovalsReleased(released) => format!("{kind} {}", objects(&released.objects)),
        Fact::TagImported(imported) => {
            let image = imported
                .event
                .image
                .map_or_else(|| imported.event.reference.clone(), |d| d.to_string());
            let via = via(&imported.via);
            let generation = imported.event.generation.0;
            format!("{kind} {} {image} @{generation} {via}", tag(&imported.tag))
        }
        Fact::TagProbed(probed) => format!("{kind} {} {}", tag(&probed.tag), probed.probed),
        Fact::ImportFailed(failed) => {
            let (tag, generation) = (tag(&failed.tag), failed.generation.0);
            format!("{kind} {tag} {} @{generation}: {}", failed.reason, failed.message)
        }
        Fact::TagRecovered(recovered) => format!("{kind} {}", tag(&recovered.tag)),
        Fact::TagTrimmed(trimmed) => {
            format!("{kind} {} {}", tag(&trimmed.tag), trimmed.items.len())
        }
        Fact::TagsListed(listed) => listing(listed),
        Fact::ListingFailed(failed) => {
            format!("{kind} {} {}: {}", failed.stream, failed.reason, failed.message)
        }
        Fact::TagRemoved(removed) => format!("{kind} {}: {:?}", tag(&removed.tag), removed.because),
        Fact::OverlaySet(set) => overlay(set),
        Fact::ImagesPruned(pruned) => format!("{kind} {}", prune(pruned)),
        Fact::ImageDeleted(deleted) => format!("{kind} {}", deleted.image),
        Fact::ManifestDeleted(deleted) => {
            format!("{kind} {}@{}", deleted.manifest.repository, deleted.manifest.digest)
        }
        Fact::TriggerFired(fired) => trigger(fired),
        Fact::RolloutStarted(fact) => started(kind, fact),
        Fact::RolloutStepped(stepped) => step(kind, stepped),
        Fact::RolloutSuperseded(superseded) => {
            format!("{kind} {}: {}", object(&superseded.object), superseded.reason)
        }
        Fact::RolloutOrdered(_) | Fact::RolloutsPaused(_) => order(&record.fact),
        Fact::DigestHeld(held) => format!("{kind} {}: {}", object(&held.object), held.reason),
        Fact::HoldReleased(released) => {
            format!("{kind} {}: {}", object(&released.object), because(&released.because))
        }
        Fact::RolloutFinished(_)
        | Fact::StopStarted(_)
        | Fact::StopFinished(_)
        | Fact::ScaleStarted(_)
        | Fact::ScalePrepared(_)
        | Fact::ScaleFinished(_) => end_or_scale(&record.fact),
        Fact::JobStarted(_)
        | Fact::JobCreated(_)
        | Fact::JobEnding(_)
        | Fact::JobFinished(_)
        | Fact::JobMissed(_) => job(kind, &record.fact),
        Fact::BuildCreated(_)
        | Fact::BuildStarted(_)
        | Fact::BuildEnding(_)
        | Fact::BuildFinished(_) => builds::record(kind, &record.fact),
        Fact::ConfigAdopted(_)
        | Fact::Checkpoint(_)
        | Fact::CommitWithdrawn(_)
        | Fact::SourceRecovered
        | Fact::RecordsLost(_)
        | Fact::SpaceShort(_)
        | Fact::SpaceRegained(_)
        | Fact::HistoryDropped(_) => kind.into(),
    }
}

fn end_or_scale(fact: &Fact) -> String {
    let kind = fact.kind();
    match fact {
        Fact::RolloutFinished(end) => format!("{kind} {} {}", object(&end.object), end.outcome),
        Fact::StopStarted(started) => format!("{kind} {}", object(&started.object)),
        Fact::StopFinished(end) => format!("{kind} {} {}", object(&end.object), end.outcome),
        Fact::ScaleStarted(scale) => {
            format!("{kind} {} {} -> {}", object(&scale.object), scale.from, scale.to)
        }
        Fact::ScalePrepared(scale) => format!("{kind} {}", object(&scale.object)),
        Fact::ScaleFinished(end) => format!("{kind} {} {}", object(&end.object), end.outcome),
        _ => kind.into(),
    }
}

fn started(kind: &str, started: &RolloutStarted) -> String {
    format!(
        "{kind} {} {} ({}) {}",
        object(&started.object),
        started.revision,
        started.cause,
        images(&started.images)
    )
}

fn job(kind: &str, fact: &Fact) -> String {
    match fact {
        Fact::JobStarted(job) => {
            let missed = job.missed.map_or_else(String::new, |_| " after others".into());
            let by = job.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
            format!("{kind} {} {}{missed}{by}", job.name, images(&job.images))
        }
        Fact::JobCreated(job) => format!("{kind} {}", job.name),
        Fact::JobEnding(job) => format!("{kind} {} {}: {}", job.name, job.outcome, job.reason),
        Fact::JobFinished(job) if job.reason.is_empty() => {
            format!("{kind} {} {}", job.name, job.outcome)
        }
        Fact::JobFinished(job) => format!("{kind} {} {}: {}", job.name, job.outcome, job.reason),
        Fact::JobMissed(missed) => {
            let (since, slot) = (missed.since, missed.slot);
            format!("{kind} {} to {}", since.to_rfc3339_seconds(), slot.to_rfc3339_seconds())
        }
        _ => kind.into(),
    }
}

/// One action as a line.
pub(crate) fn action(action: &Action) -> String {
    match action {
        Action::ReadSource(_) => "read source".into(),
        Action::KeepCommit { .. } => "keep commit".into(),
        Action::Resolve(request) => {
            let known = request.known.map_or_else(String::new, |known| format!(" known {known}"));
            format!("resolve {}{known}", request.check.image)
        }
        Action::List(request) => format!("list {}", request.repository),
        Action::DeleteManifest(manifest) => {
            format!("delete {}@{}", manifest.repository, manifest.digest)
        }
        Action::RollOut(request) => {
            let step = request.step.as_ref().map(|order| format!(" {}", order.step));
            format!(
                "roll out {} {} {}{}",
                object(&request.object),
                request.revision,
                images(&request.images),
                step.unwrap_or_default()
            )
        }
        Action::AskRollout(ask) => format!("ask {}/{}", ask.key.namespace, ask.key.name),
        Action::Stop(request) => format!("stop {}", object(&request.object)),
        Action::Scale(request) => {
            format!("scale {} to {}", object(&request.rollout.object), request.to)
        }
        Action::Job(request) => {
            let order = match &request.order {
                JobOrder::Create { .. } => "create",
                JobOrder::Run => "run",
                JobOrder::End => "end",
                JobOrder::Tidy { .. } => "tidy",
            };
            format!("{order} job {}", request.name)
        }
        Action::Build(request) => builds::request(request),
        Action::TidyBuilds(tidy) => format!("tidy builds of {}", object(&tidy.object)),
        Action::Notify(notice) => format!("notify {} {:?}", object(&notice.object), notice.kind),
    }
}

/// One hold as a line.
pub(crate) fn held(held: &Held) -> String {
    format!("{}: {}", object(&held.object), held.reason)
}
