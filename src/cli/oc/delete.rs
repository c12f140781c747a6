//! `tidegate delete`: images.

use super::delete_image;
use super::resource::{self, Resource};
use crate::cli::{Context, ExitCode, offline};
use crate::config;

/// Delete images, as `oc delete` does
///
/// Items of tags that name a deleted image stay until the next `prune images`; a later import of the image brings it back.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// Kind and names: `image sha256:…`, `images sha256:… sha256:…`
    #[arg(value_name = "KIND[/NAME]")]
    words: Vec<String>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let mut images = Vec::new();
    for wanted in resource::wanted(&command.words, "delete")? {
        match (wanted.resource, wanted.name) {
            (Resource::Images, Some(name)) => images.push(name),
            (Resource::Images, None) => {
                anyhow::bail!("resource(s) were provided, but no name was specified")
            }
            (
                Resource::ImageStreams
                | Resource::ImageStreamTags
                | Resource::ImageStreamImages
                | Resource::ImageTags,
                _,
            ) => anyhow::bail!("only images are deleted this way, for example `image sha256:…`"),
        }
    }
    let config = offline::settings(&command.settings, context)?;
    delete_image::run(&images, &config, context)
}
