//! `tidegate tag --live`: over git, in the journal of the running daemon, in place of a commit (rule I102, item 5).

use anyhow::{Context as _, bail};

use super::{Command, Destination, Journal, Place, Source, Wanted, deleted, in_use, namespace_of};
use crate::action::{ImportMode, OverlayOrder};
use crate::cli::oc::edit::dependents;
use crate::cli::offline::Shown;
use crate::cli::{Context, ExitCode, ask, offline};
use crate::control::{Question, Reply};
use crate::edit;
use crate::edit::tag::SourceKind;
use crate::effective::{self, Wish};
use crate::fact::{Fact, Overlaid, OverlaySet, Record, SpecSource, TagSpec};
use crate::names::{Namespace, StreamName, StreamTag};
use crate::oc;
use crate::time::Timestamp;

/// One overlay that is asked for.
struct Order {
    order: OverlayOrder,
    /// What is said when it is done.
    line: String,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.edit.settings, context)?;
    let namespace = command.edit.namespace(&config).clone();
    let mut shown = offline::show(config, &offline::Extent::Whole)?;
    if let Some(why) = shown.unread.as_ref().filter(|_| command.edit.is_dry()) {
        bail!("what git says cannot be read, so it cannot be told what would change: {why}");
    }
    let orders = if command.delete {
        deletions(command, &namespace)?
    } else {
        settings(command, &namespace, &mut shown)?
    };
    for Order { order, line } in orders {
        let preview = preview(&mut shown, &order, context)?;
        let note = match preview {
            Wish::Refused(why) if command.edit.is_dry() => bail!("{why}"),
            Wish::Nothing(why) if command.edit.is_dry() => Some(why),
            Wish::Set(_) if command.edit.is_dry() => None,
            Wish::Refused(_) | Wish::Nothing(_) | Wish::Set(_) => Some(send(&shown, &order)?),
        };
        writeln!(context.out, "{line}{}", command.edit.suffix())?;
        note.map(|note| writeln!(context.err, "{note}")).transpose()?;
        if order.spec.is_none() {
            tell_users(&shown, &order.tag, context)?;
        }
    }
    Ok(ExitCode::Done)
}

fn deletions(command: &Command, namespace: &Namespace) -> anyhow::Result<Vec<Order>> {
    let order = |to: Destination| {
        let order = OverlayOrder { tag: to.stream_tag()?, spec: None };
        Ok(Order { order, line: format!("Deleted tag {}.", to.shown()) })
    };
    deleted(command, namespace)?.into_iter().map(order).collect()
}

fn settings(
    command: &Command,
    namespace: &Namespace,
    shown: &mut Shown,
) -> anyhow::Result<Vec<Order>> {
    let (word, rest) = command.words.split_first().context("a source is required")?;
    let is_there = offline::has_journal(&shown.config.state_dir)?;
    let journal = Journal { observed: std::mem::take(&mut shown.observed), is_there };
    let desired = &shown.desired;
    let has_stream = |name: &StreamName| Ok(desired.streams.contains_key(name));
    let place = Place { config: &shown.config, namespace, has_stream: &has_stream };
    let wanted = command.wanted(word, rest, &place, &journal)?;
    shown.observed = journal.observed;
    let Wanted { source, mode, destinations } = wanted;
    let order = |to: &Destination| {
        let spec = Some(spec(command, &source, mode, namespace)?);
        let order = OverlayOrder { tag: to.stream_tag()?, spec };
        Ok(Order { order, line: command.said(&source, to, namespace) })
    };
    destinations.iter().map(order).collect()
}

/// The spec tag that the command means (rule I97).
fn spec(
    command: &Command,
    source: &Source,
    mode: Option<ImportMode>,
    namespace: &Namespace,
) -> anyhow::Result<TagSpec> {
    let Source { kind, reference } = source;
    let stream = || -> anyhow::Result<StreamName> {
        let namespace = namespace_of(reference, namespace)?;
        Ok(super::stream_name(&namespace, &reference.name)?)
    };
    let from = match kind {
        SourceKind::DockerImage => SpecSource::Registry(reference.exact().parse()?),
        SourceKind::ImageStreamTag => {
            let tag = reference.tag.clone().context("SOURCE names no tag")?;
            SpecSource::Tag(stream()?.tag(tag))
        }
        SourceKind::ImageStreamImage => {
            let image = reference.digest.context("SOURCE names no image")?;
            SpecSource::Image { stream: stream()?, image }
        }
    };
    let fields = &command.fields;
    Ok(TagSpec {
        from,
        reference: fields.reference,
        scheduled: fields.scheduled,
        insecure: fields.insecure,
        mode,
        local: fields.reference_policy == "local",
    })
}

/// Shows what an overlay would change, and goes on as if it were there.
fn preview(
    shown: &mut Shown,
    order: &OverlayOrder,
    context: &mut Context<'_>,
) -> anyhow::Result<Wish> {
    let Shown { config, desired, observed, .. } = shown;
    let OverlayOrder { tag, spec } = order;
    let policy = &config.policy;
    let wish = effective::wish(desired, observed, policy, tag, spec.as_ref());
    let (Wish::Set(overlay), Some(stream), Some(adopted)) =
        (&wish, desired.streams.get(&tag.stream), &observed.adopted)
    else {
        return Ok(wish);
    };
    let set = OverlaySet {
        tag: tag.clone(),
        overlay: overlay.clone(),
        basis: effective::basis(stream, &tag.tag, policy),
        commit: adopted.commit,
        changed: None,
        by: String::new(),
        rollout: None,
    };
    let before = text(shown, tag)?;
    let at = Timestamp::from_jiff(jiff::Timestamp::now());
    let fact = Fact::OverlaySet(Box::new(set));
    shown.observed.apply(&Record { seq: shown.observed.next_seq(), at, fact });
    effective::overlay(&mut shown.desired, &shown.observed, &shown.config.policy);
    let after = text(shown, tag)?;
    let over = if wish == Wish::Set(Overlaid::Withdrawn) { "git" } else { "overlay" };
    let diff = edit::diff(&before, &after);
    if !diff.is_empty() {
        write!(context.err, "--- istag/{tag} (in force)\n+++ istag/{tag} ({over})\n{diff}")?;
    }
    Ok(wish)
}

/// The spec tag in force, as YAML; nothing where there is none.
fn text(shown: &Shown, tag: &StreamTag) -> anyhow::Result<String> {
    let Shown { config, desired, observed, .. } = shown;
    let stream = effective::stream(desired, observed, &config.policy, &tag.stream);
    let tags = stream.map(|stream| stream.spec.tags).unwrap_or_default();
    let Some(mut found) = tags.into_iter().find(|found| found.name == tag.tag.as_str()) else {
        return Ok(String::new());
    };
    found.generation = None; // the daemon counts
    Ok(oc::yaml::document(&serde_json::to_value(&found)?))
}

/// Asks the daemon, which alone writes the journal; what it says beside that it is done.
fn send(shown: &Shown, order: &OverlayOrder) -> anyhow::Result<String> {
    let socket = &shown.config.control_socket;
    let question = Question::Overlay(Box::new(order.clone()));
    match ask::ask(socket, &question)?.ok_or_else(|| ask::no_daemon(socket))? {
        Reply::Done(seq) => Ok(format!(
            "record {seq}: git is not changed; `tidegate status {}` shows the difference as long as there is one, and \
             the next commit that changes what git says of the tag ends it",
            order.tag
        )),
        Reply::Nothing(why) => Ok(why),
        Reply::Refused(why) => bail!("{why}"),
        Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Ordered(_)
        | Reply::Started(_)
        | Reply::Cancelled(_)
        | Reply::Uploaded(_)
        | Reply::Looking(_)
        | Reply::Hooks(_) => {
            bail!(ask::SOMETHING_ELSE)
        }
    }
}

/// Says who keeps the history of a tag that goes (rule I93).
fn tell_users(shown: &Shown, tag: &StreamTag, context: &mut Context<'_>) -> anyhow::Result<()> {
    let users = dependents(&shown.desired, tag);
    if !users.is_empty() {
        writeln!(
            context.err,
            "{tag} keeps its history and its image as long as it is referred to{}",
            in_use(&users)
        )?;
    }
    Ok(())
}
