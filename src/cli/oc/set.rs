//! `tidegate set`: single fields of manifests.

use clap::Subcommand;

use super::{deployment_hook, image_lookup, set_image, triggers};
use crate::cli::{Context, ExitCode};

/// Change single fields of objects in git, as `oc set` does
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    #[command(subcommand)]
    field: Field,
}

#[derive(Debug, Subcommand)]
enum Field {
    Triggers(triggers::Command),
    Image(set_image::Command),
    DeploymentHook(deployment_hook::Command),
    ImageLookup(image_lookup::Command),
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    match &command.field {
        Field::Triggers(command) => triggers::run(command, context),
        Field::Image(command) => set_image::run(command, context),
        Field::DeploymentHook(command) => deployment_hook::run(command, context),
        Field::ImageLookup(command) => image_lookup::run(command, context),
    }
}
