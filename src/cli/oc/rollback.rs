//! `tidegate rollback`: what `rollout undo` does, in the words of `oc rollback` (rule D47).

use anyhow::bail;

use super::rollout::orders::{Taken, disabled, order};
use super::rollout::{self, Named};
use crate::action::{RolloutOrder, RolloutVerb};
use crate::cli::offline;
use crate::cli::{Context, ExitCode};
use crate::config;
use crate::fact::Outcome;
use crate::names::{Namespace, Revision};
use crate::observed::rollout::{Rollout, WorkloadState};

/// Go back to an earlier revision of a workload, and stay there
///
/// Takes the workload, or the rollout to go back to: `web`, `dc/web`, `web-3`. Images, pod template and strategy of then
/// run again; the number of instances stays what git says, and no trigger acts until you go on.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// `web`, `dc/web` or `web-3`
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// The revision to go back to; 0 is the newest complete one below the one that runs
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    to_version: i64,
    /// Say what would be done, and do nothing
    #[arg(short, long)]
    dry_run: bool,
    #[command(flatten)]
    change: Change,
    /// Namespace of the workload [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

/// What `oc rollback` takes over from the revision when it is asked to.
#[derive(Debug, clap::Args)]
struct Change {
    /// Go back to the strategy of then, which is always done
    #[arg(long = "change-strategy")]
    _strategy: bool,
    /// Go back to the triggers of then, which is refused: they are what git says
    #[arg(long = "change-triggers")]
    triggers: bool,
    /// Go back to the number of instances of then, which is refused: it is what git says
    #[arg(long = "change-scaling-settings")]
    scaling_settings: bool,
}

impl Change {
    /// Git says the rest, and goes on saying it.
    fn refuse(&self, program: &str) -> anyhow::Result<()> {
        if self.triggers {
            bail!(
                "--change-triggers: triggers are what git says, and none acts while an earlier revision is held; \
                 change them there, or with `{program} set triggers`"
            );
        }
        if self.scaling_settings {
            bail!(
                "--change-scaling-settings: the number of instances is what git says, also while an earlier revision is held; \
                 change it there, or with `{program} scale`"
            );
        }
        Ok(())
    }
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let Some(name) = command.name.as_deref().filter(|name| !name.is_empty()) else {
        bail!("a deployment or deployment config name is required");
    };
    let Ok(version) = u64::try_from(command.to_version) else {
        bail!("the to version must be >= 0");
    };
    command.change.refuse(context.global.program())?;
    let config = offline::settings(&command.settings, context)?;
    let socket = config.control_socket.clone();
    let offline = offline::open(config)?;
    if let Some(why) = &offline.unread {
        bail!("the adopted commit cannot be read: {why}");
    }
    let namespace = command.namespace.as_ref();
    let namespace = namespace.unwrap_or(&offline.config.policy.default_namespace);
    let (named, of_name) = find(name, namespace, &offline)?;
    let to = Some(version).filter(|version| *version > 0).or(of_name).map(Revision);
    if command.dry_run {
        return say(&named, to, &offline, context);
    }
    let verb = RolloutVerb::Undo { to };
    let object = Some(named.object.clone());
    if let Taken::Ordered(ordered) =
        order(&socket, RolloutOrder { object, verb, force: false }, context)?
    {
        let name = &named.object.name;
        let back = ordered.back_to.map_or_else(String::new, |to| format!("{name}-{to}"));
        writeln!(context.out, "deployment #{} rolled back to {back}", ordered.revision)?;
        if let Some(warning) = disabled(&ordered, &named, context.global.program()) {
            writeln!(context.out, "{warning}")?;
        }
    }
    Ok(ExitCode::Done)
}

/// The workload that a name means, and the revision if it names a rollout.
fn find(
    name: &str,
    namespace: &Namespace,
    offline: &offline::Offline,
) -> anyhow::Result<(Named, Option<u64>)> {
    let whole = rollout::named(name, namespace, offline);
    if let Ok(named) = whole {
        return Ok((named, None));
    }
    if let Some((workload, number)) = name.rsplit_once('-')
        && let Ok(number) = number.parse()
        && let Ok(named) = rollout::named(workload, namespace, offline)
    {
        return Ok((named, Some(number)));
    }
    bail!("{name} is not a valid deployment or deployment config")
}

fn say(
    named: &Named,
    to: Option<Revision>,
    offline: &offline::Offline,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let state = offline.engine.observed().workloads.get(&named.object);
    let Some(target) = state.and_then(|state| target(state, to)) else {
        bail!("couldn't find deployment for rollback");
    };
    let name = &named.object.name;
    let revision = target.started.revision;
    writeln!(context.out, "{name} would be rolled back to {name}-{revision} (dry run)")?;
    for image in &target.started.images {
        writeln!(context.out, "  {}: {}", image.container, image.reference)?;
    }
    Ok(ExitCode::Done)
}

/// What the daemon would go back to (rule D48, a).
fn target(state: &WorkloadState, to: Option<Revision>) -> Option<&Rollout> {
    let active = state.active()?.started.revision;
    let complete = |rollout: &&Rollout| rollout.outcome() == Some(Outcome::Complete);
    let wanted = |rollout: &&Rollout| match to {
        Some(to) => rollout.started.revision == to,
        None => rollout.started.revision < active,
    };
    state.life().rev().filter(complete).find(wanted)
}
