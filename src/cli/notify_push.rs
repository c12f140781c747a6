//! `tidegate notify-push`: an image was pushed to a registry that nobody else tells about (rule I193).

use crate::action::Pushed;
use crate::config;
use crate::control::{Question, Reply};
use crate::names::StreamTag;
use crate::reference::ImageReference;

use super::ask;
use super::offline;
use super::{Context, ExitCode};

/// Say that an image was pushed, so that it becomes the image of a tag
///
/// The running daemon reads the manifest from the registry by its digest and records it under the tag, which then rolls
/// out what depends on it. Nothing is written to git: a tag or a stream that git does not have is in the journal only.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// The tag: `shop/web:latest`
    #[arg(value_name = "NAMESPACE/STREAM:TAG")]
    tag: StreamTag,
    /// What was pushed, with its digest: `registry.example.com/shop/web@sha256:...`
    #[arg(value_name = "REFERENCE@DIGEST", value_parser = pushed)]
    image: ImageReference,
    #[command(flatten)]
    settings: config::SettingArguments,
}

/// Reads a reference that says which image it is.
fn pushed(text: &str) -> Result<ImageReference, String> {
    let image: ImageReference = text.parse().map_err(|error| format!("{error}"))?;
    if image.digest.is_none() {
        return Err("it has no digest; expected REPOSITORY@sha256:...".into());
    }
    if image.is_registry_only() {
        return Err("it names a registry, and no repository".into());
    }
    Ok(image)
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let socket = offline::settings(&command.settings, context)?.control_socket;
    let Command { tag, image, .. } = command;
    let question = Question::Push(Pushed { tag: tag.clone(), image: image.clone() });
    match ask::ask_long(&socket, &question)?.ok_or_else(|| ask::no_daemon(&socket))? {
        Reply::Done(seq) => writeln!(context.out, "{tag} is {image} (record {seq})")?,
        Reply::Nothing(why) => writeln!(context.out, "nothing to do: {why}")?,
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
    Ok(ExitCode::Done)
}
