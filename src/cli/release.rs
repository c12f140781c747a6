//! `tidegate release`: ends a hold.

use crate::config;
use crate::names::{Namespace, ObjectKey};
use crate::report::select::{Known, Selection};

use crate::control::{Question, Reply};

use super::ask;
use super::offline;
use super::{Context, ExitCode};

/// Let what is held be tried again
///
/// Ends the hold that a failed rollout or stop left on an object, or lets removals happen that were held because one
/// commit removed too much. It is the running daemon that does it, and records who asked.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["object", "removals"])))]
pub(super) struct Command {
    /// The workload whose hold ends: `web`, `shop/web`, `dc/web`
    #[arg(value_name = "OBJECT")]
    object: Option<String>,
    /// Instead of an OBJECT: let all removals happen that are held
    #[arg(long)]
    removals: bool,
    /// Namespace of an OBJECT that names none [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.settings, context)?;
    let socket = config.control_socket.clone();
    let Some(text) = &command.object else {
        return order(&socket, &Question::ReleaseRemovals, "removals", context);
    };
    let offline = offline::open(config)?;
    let engine = &offline.engine;
    let namespace = command.namespace.as_ref().unwrap_or(&offline.config.policy.default_namespace);
    let known = Known::of(engine.desired(), engine.observed());
    let object = only(known.select(text, namespace)?, text)?;
    order(&socket, &Question::Release(object.clone()), &object.to_string(), context)
}

/// The one object that is meant: a release of two things at once is never meant by accident.
fn only(selection: Selection, text: &str) -> anyhow::Result<ObjectKey> {
    let Selection { objects, tag } = selection;
    if tag.is_some() {
        anyhow::bail!("`{text}` is a tag; workloads and removed objects are held, tags are not");
    }
    let mut objects = objects.into_iter();
    match (objects.next(), objects.next()) {
        (Some(object), None) => Ok(object),
        (first, second) => {
            let all: Vec<_> = first.into_iter().chain(second).chain(objects).collect();
            let names: Vec<_> = all.iter().map(|object| format!("`{object}`")).collect();
            anyhow::bail!("`{text}` may be {}; name one of them", names.join(" or "))
        }
    }
}

fn order(
    socket: &std::path::Path,
    question: &Question,
    what: &str,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    match ask::ask(socket, question)?.ok_or_else(|| ask::no_daemon(socket))? {
        Reply::Done(seq) => {
            writeln!(context.out, "{what} released (record {seq})")?;
            Ok(ExitCode::Done)
        }
        Reply::Nothing(why) => {
            writeln!(context.out, "nothing to do: {why}")?;
            Ok(ExitCode::Done)
        }
        Reply::Refused(why) => anyhow::bail!("{why}"),
        Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Ordered(_)
        | Reply::Started(_)
        | Reply::Cancelled(_)
        | Reply::Uploaded(_)
        | Reply::Looking(_)
        | Reply::Hooks(_) => {
            anyhow::bail!(ask::SOMETHING_ELSE)
        }
    }
}
