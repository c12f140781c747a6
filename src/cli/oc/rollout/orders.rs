//! The verbs below `rollout` that order something of the running daemon (rules D41 to D48).

use anyhow::bail;

use super::{Named, Words};
use crate::action::{RolloutOrder, RolloutVerb};
use crate::cli::{Context, ExitCode, ask, offline};
use crate::control::{Question, Reply};
use crate::engine::OrderedRollout;
use crate::names::Revision;

/// Whether what somebody edited is taken over (rule R22).
#[derive(Debug, clap::Args)]
struct TakeOver {
    /// At a quadlet target, take over units that somebody edited; what they wrote is kept beside, as `NAME.edited`
    #[arg(long)]
    force: bool,
}

/// Roll out what git and the tags say now, though nothing changed
///
/// Resolves every tag that triggers name, also of triggers that are not automatic. Windows, ages and holds do not wait.
#[derive(Debug, clap::Args)]
pub(super) struct Latest {
    #[command(flatten)]
    words: Words,
    /// Roll out the images that run again, without resolving tags
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    over: TakeOver,
}

/// Roll out once more what runs
#[derive(Debug, clap::Args)]
pub(super) struct Restart {
    #[command(flatten)]
    words: Words,
    #[command(flatten)]
    over: TakeOver,
}

/// End the rollout that runs, and put back what ran before
#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    words: Words,
}

/// Try the last rollout again, if it failed, under the number that it has
#[derive(Debug, clap::Args)]
pub(super) struct Retry {
    #[command(flatten)]
    words: Words,
    #[command(flatten)]
    over: TakeOver,
}

/// Go back to an earlier revision, and stay there
///
/// Rolls out what that revision ran, byte for byte. Nothing else is rolled out by itself until a commit changes the object,
/// or `rollout latest` or `release` goes on.
#[derive(Debug, clap::Args)]
pub(super) struct Undo {
    #[command(flatten)]
    words: Words,
    /// The revision to go back to; 0 is the newest complete one below the one that runs
    #[arg(long, value_name = "N", default_value_t = 0)]
    to_revision: u64,
}

/// Roll nothing out by itself until it is resumed
#[derive(Debug, clap::Args)]
pub(super) struct Pause {
    #[command(flatten)]
    words: Words,
    /// All workloads instead
    #[arg(long)]
    all: bool,
}

/// Go on after `rollout pause`: at most one rollout, to the newest images
#[derive(Debug, clap::Args)]
pub(super) struct Resume {
    #[command(flatten)]
    words: Words,
    /// All workloads that `rollout pause --all` paused
    #[arg(long)]
    all: bool,
}

pub(super) fn latest(command: &Latest, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let verb = RolloutVerb::Latest { again: command.again };
    let one = "one deployment config name is needed as argument.";
    let order = (verb, command.over.force);
    each(&command.words, "rollout latest", order, Some(one), context, |_, _| "rolled out".into())
}

pub(super) fn restart(command: &Restart, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let order = (RolloutVerb::Restart, command.over.force);
    each(&command.words, "rollout restart", order, None, context, |_, _| "restarted".into())
}

pub(super) fn cancel(command: &Cancel, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let order = (RolloutVerb::Cancel, false);
    each(&command.words, "rollout cancel", order, None, context, |_, _| "cancelling".into())
}

pub(super) fn retry(command: &Retry, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let order = (RolloutVerb::Retry, command.over.force);
    each(&command.words, "rollout retry", order, None, context, |ordered, _| {
        format!("retried rollout #{}", ordered.revision)
    })
}

pub(super) fn undo(command: &Undo, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let to = Some(command.to_revision).filter(|to| *to > 0).map(Revision);
    let verb = RolloutVerb::Undo { to };
    let program = context.global.program();
    each(&command.words, "rollout undo", (verb, false), None, context, |ordered, named| {
        let mut text = "rolled back".to_owned();
        if let Some(warning) = disabled(ordered, named, program) {
            text = format!("{text}\n{warning}");
        }
        text
    })
}

/// What does not follow its tags any more (rule D48, b).
pub(in crate::cli::oc) fn disabled(
    ordered: &OrderedRollout,
    named: &Named,
    program: &str,
) -> Option<String> {
    if ordered.disabled.is_empty() {
        return None;
    }
    let tags = ordered.disabled.iter().map(|tag| format!("{}:{}", tag.stream.name, tag.tag));
    let tags: Vec<_> = tags.collect();
    let (kind, name) = (named.object.kind.short(), &named.object.name);
    Some(format!(
        "Warning: the following images triggers were disabled: {}\n  You can re-enable them with: {program} set \
         triggers {kind}/{name} --auto",
        tags.join(",")
    ))
}

pub(super) fn pause(command: &Pause, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if command.all {
        return all(&command.words, RolloutVerb::Pause, "paused", context);
    }
    let order = (RolloutVerb::Pause, false);
    each(&command.words, "rollout pause", order, None, context, |_, _| "paused".into())
}

pub(super) fn resume(command: &Resume, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if command.all {
        return all(&command.words, RolloutVerb::Resume, "resumed", context);
    }
    let order = (RolloutVerb::Resume, false);
    each(&command.words, "rollout resume", order, None, context, |_, _| "resumed".into())
}

fn all(
    words: &Words,
    verb: RolloutVerb,
    done: &str,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let config = words.config(context)?;
    match order(&config.control_socket, RolloutOrder { object: None, verb, force: false }, context)?
    {
        Taken::Done | Taken::Ordered(_) => writeln!(context.out, "all rollouts {done}")?,
        Taken::Nothing(why) => writeln!(context.out, "nothing to do: {why}")?,
    }
    Ok(ExitCode::Done)
}

/// Orders the same of every object that is named; the first that is refused is the command's error.
fn each(
    words: &Words,
    command: &'static str,
    (verb, force): (RolloutVerb, bool),
    only_one: Option<&'static str>,
    context: &mut Context<'_>,
    done: impl Fn(&OrderedRollout, &Named) -> String,
) -> anyhow::Result<ExitCode> {
    let config = words.config(context)?;
    let socket = config.control_socket.clone();
    let offline = offline::open(config)?;
    if let Some(why) = &offline.unread {
        bail!("the adopted commit cannot be read: {why}");
    }
    let found = words.find(command, &offline)?;
    if let Some(one) = only_one.filter(|_| found.len() != 1) {
        bail!("{one}");
    }
    for named in &found {
        let object = Some(named.object.clone());
        match order(&socket, RolloutOrder { object, verb, force }, context)? {
            Taken::Ordered(ordered) => {
                writeln!(context.out, "{} {}", named.shown(), done(&ordered, named))?;
            }
            Taken::Nothing(why) => writeln!(context.out, "{} {why}", named.shown())?,
            Taken::Done => {}
        }
    }
    Ok(ExitCode::Done)
}

/// What became of an order.
pub(in crate::cli::oc) enum Taken {
    Ordered(Box<OrderedRollout>),
    Done,
    /// There was nothing to do, and why.
    Nothing(String),
}

/// Gives an order to the daemon.
///
/// # Errors
/// When none runs, it cannot be asked, or it refuses.
pub(in crate::cli::oc) fn order(
    socket: &std::path::Path,
    order: RolloutOrder,
    context: &Context<'_>,
) -> anyhow::Result<Taken> {
    match ask::ask(socket, &Question::Rollout(order))?.ok_or_else(|| ask::no_daemon(socket))? {
        Reply::Ordered(ordered) => Ok(Taken::Ordered(ordered)),
        Reply::Done(_) => Ok(Taken::Done),
        Reply::Nothing(why) => Ok(Taken::Nothing(why)),
        Reply::Refused(why) => {
            let program = context.global.program();
            bail!("{}", why.replace("'tidegate ", &format!("'{program} ")))
        }
        Reply::Looking(_)
        | Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Started(_)
        | Reply::Cancelled(_)
        | Reply::Uploaded(_)
        | Reply::Hooks(_) => {
            bail!(ask::SOMETHING_ELSE)
        }
    }
}
