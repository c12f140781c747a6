//! `tidegate hooks`: what came in by webhooks, and what became of it.

use crate::config;
use crate::control::{Question, Reply};
use crate::report::{self, hooks::Hooks};

use super::ask;
use super::offline::{self, Output};
use super::{Context, ExitCode};

/// Show the last webhooks that came in, and what became of each
///
/// The running daemon keeps the last 200 deliveries in memory, and the last 20 of each BuildConfig: when each came, by
/// which hook, what it named, and why something or nothing followed. Deliveries that ended alike are counted. Bodies and
/// secrets are never kept.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Only those of one hook, or of one BuildConfig: `NAMESPACE/NAME`
    #[arg(value_name = "HOOK")]
    hook: Option<String>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    settings: config::SettingArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let socket = offline::settings(&command.settings, context)?.control_socket;
    let no_daemon = || {
        anyhow::anyhow!(
            "no daemon listens at `{}`, and only a running one keeps what came in; start it (`tidegate run` or \
             `systemctl start tidegate`)",
            socket.display()
        )
    };
    let listening = match ask::ask(&socket, &Question::Hooks)?.ok_or_else(no_daemon)? {
        Reply::Hooks(listening) => *listening,
        Reply::Refused(why) => anyhow::bail!("{why}"),
        Reply::Done(_)
        | Reply::Nothing(_)
        | Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Ordered(_)
        | Reply::Started(_)
        | Reply::Cancelled(_)
        | Reply::Uploaded(_)
        | Reply::Looking(_) => anyhow::bail!(ask::SOMETHING_ELSE),
    };
    if let Some(hook) = &command.hook
        && !listening.hooks.contains_key(hook)
        && !listening.deliveries.iter().any(|delivery| delivery.hook.as_ref() == Some(hook))
    {
        anyhow::bail!("there is no hook `{hook}`; `tidegate hooks` shows all");
    }
    let hooks = Hooks::of(listening, command.hook.as_deref());
    let text = match command.output {
        Output::Text => hooks.to_text(),
        Output::Json => report::to_json(&hooks),
    };
    context.out.write_all(text.as_bytes())?;
    Ok(ExitCode::Done)
}
