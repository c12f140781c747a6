//! `tidegate webhook`: what a webhook of a `BuildConfig` would do with a payload (rule B25).

use std::io::Read as _;
use std::path::PathBuf;

use crate::config;
use crate::control::{Question, Reply};
use crate::fact::WebhookKind;
use crate::hook::build::{self, ByHand};
use crate::hook::{Notice, Silence};
use crate::limits::HOOK_BODY_BYTES_MAX;
use crate::names::{Kind, Namespace, ObjectKey, ObjectName};

use super::ask;
use super::offline;
use super::{Context, ExitCode};

/// Deliver a payload to a BuildConfig, as if it had come in by its webhook
///
/// For hosts where nothing listens, and to try out what a payload does: the running daemon compares its branch and starts
/// the build of its commit, or says why it builds nothing. The BuildConfig needs a trigger of that type; the secret is not
/// asked for, as whoever may use the control socket may start builds.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// The BuildConfig: `bc/NAME` or `NAME`
    #[arg(value_name = "BUILDCONFIG")]
    name: String,
    /// The namespace [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    /// The type of the trigger: github, gitlab, bitbucket or generic
    #[arg(long = "type", value_name = "TYPE", default_value = "generic", value_parser = kind)]
    kind: WebhookKind,
    /// What came, or would come, in the body; `-` for standard input [default: nothing]
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// What stands in the header that names the event [default: that of a push]
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

fn kind(text: &str) -> Result<WebhookKind, String> {
    build::kind_of(text)
        .ok_or_else(|| "not one of github, gitlab, bitbucket and generic".to_owned())
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let settings = offline::settings(&command.settings, context)?;
    let socket = &settings.control_socket;
    let name = match command.name.split_once('/') {
        Some((kind, name)) if Kind::from_word(kind) == Some(Kind::BuildConfig) => name,
        Some(_) => anyhow::bail!("`{}` does not name a BuildConfig: write `bc/NAME`", command.name),
        None => &command.name,
    };
    let name: ObjectName = name.parse()?;
    let namespace = command.namespace.clone();
    let namespace = namespace.unwrap_or_else(|| settings.policy.default_namespace.clone());
    let body = body(command)?;
    let (header, event) = match command.kind {
        WebhookKind::GitHub => ("x-github-event", "push"),
        WebhookKind::GitLab => ("x-gitlab-event", "Push Hook"),
        WebhookKind::Bitbucket => ("x-event-key", "repo:push"),
        WebhookKind::Generic => ("", ""),
    };
    let event = command.event.as_deref().unwrap_or(event);
    let is_yaml =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let content = match command.payload.as_ref().is_some_and(is_yaml) {
        true => "application/yaml",
        false => "application/json",
    };
    let header = |name: &str| match name {
        "content-type" => Some(content),
        name => Some(event).filter(|_| name == header),
    };
    let payload =
        match build::read(command.kind, &Notice { header: &header, token: None, body: &body }) {
            Ok(payload) => payload,
            Err(Silence::Nothing(why)) => {
                writeln!(context.out, "nothing is built: {why}")?;
                return Ok(ExitCode::Done);
            }
            Err(Silence::Unreadable(why)) => anyhow::bail!("the payload cannot be read: {why}"),
        };
    for warning in &payload.warnings {
        writeln!(context.err, "warning: {warning}")?;
    }
    let object = ObjectKey::new(Kind::BuildConfig, namespace, name);
    let by_hand = ByHand { object, kind: command.kind, payload };
    let question = Question::Webhook(Box::new(by_hand));
    match ask::ask_long(socket, &question)?.ok_or_else(|| ask::no_daemon(socket))? {
        Reply::Started(started) => {
            writeln!(context.out, "build.build.openshift.io/{} started", started.name)?;
        }
        Reply::Nothing(why) => writeln!(context.out, "nothing is built: {why}")?,
        Reply::Refused(why) => anyhow::bail!("{why}"),
        Reply::Done(_)
        | Reply::Status(_)
        | Reply::Pruned(_)
        | Reply::Ordered(_)
        | Reply::Cancelled(_)
        | Reply::Looking(_)
        | Reply::Uploaded(_)
        | Reply::Hooks(_) => anyhow::bail!(ask::SOMETHING_ELSE),
    }
    Ok(ExitCode::Done)
}

/// What the payload is, no more of it than a listener takes.
fn body(command: &Command) -> anyhow::Result<Vec<u8>> {
    use anyhow::Context as _;
    let Some(path) = &command.payload else { return Ok(Vec::new()) };
    let most = HOOK_BODY_BYTES_MAX as u64 + 1;
    let mut body = Vec::new();
    let wrong = || format!("cannot read the payload `{}`", path.display());
    match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(most).read_to_end(&mut body),
        false => std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut body)),
    }
    .with_context(wrong)?;
    anyhow::ensure!(body.len() <= HOOK_BODY_BYTES_MAX, "{}: it is over 1 MiB", wrong());
    Ok(body)
}
