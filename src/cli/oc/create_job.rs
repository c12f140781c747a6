//! `tidegate create job NAME --from=cronjob/NAME`: a run of a `CronJob` now.

use anyhow::bail;

use super::UsageError;
use crate::action::RunOrder;
use crate::cli::{Context, ExitCode, ask, offline};
use crate::config;
use crate::control::{Question, Reply};
use crate::names::{Kind, Namespace, ObjectKey, ObjectName};

/// Run a CronJob now, whatever its schedule says
///
/// The running daemon begins it: the pod that the next run by the schedule would have, with the same images.
#[derive(Debug, clap::Args)]
pub(super) struct Job {
    /// Name of the job, which its pod is called by
    #[arg(value_name = "NAME")]
    words: Vec<String>,
    /// The CronJob to run: `cronjob/backup`
    #[arg(long, value_name = "cronjob/NAME", default_value = "", hide_default_value = true)]
    from: String,
    /// Namespace of the CronJob [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

pub(super) fn run(command: &Job, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let [name] = command.words.as_slice() else {
        let message = format!("exactly one NAME is required, got {}", command.words.len());
        return Err(UsageError { command: "create job", message }.into());
    };
    let name: ObjectName = name.parse()?;
    let of = match command.from.split_once('/') {
        Some((kind, of)) if Kind::from_word(kind) == Some(Kind::CronJob) => of,
        None if command.from.is_empty() => {
            bail!("--from must be specified, as in --from=cronjob/backup");
        }
        Some(_) | None => bail!("from must be an existing cronjob, as in --from=cronjob/backup"),
    };
    let config = offline::settings(&command.settings, context)?;
    let namespace = command.namespace.as_ref().unwrap_or(&config.policy.default_namespace);
    let object = ObjectKey { kind: Kind::CronJob, namespace: namespace.clone(), name: of.parse()? };
    let socket = &config.control_socket;
    let order = RunOrder { object, name: name.clone() };
    let reply = ask::ask(socket, &Question::RunJob(order))?;
    match reply.ok_or_else(|| ask::no_daemon(socket))? {
        Reply::Done(_) => writeln!(context.out, "job.batch/{name} created")?,
        Reply::Nothing(why) | Reply::Refused(why) => bail!("{why}"),
        Reply::Ordered(_)
        | Reply::Started(_)
        | Reply::Cancelled(_)
        | Reply::Uploaded(_)
        | Reply::Looking(_)
        | Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Hooks(_) => {
            bail!(ask::SOMETHING_ELSE)
        }
    }
    Ok(ExitCode::Done)
}
