//! `tidegate set`: single fields of manifests.

use clap::Subcommand;

use super::image_lookup;
use crate::cli::{Context, ExitCode};

/// Change single fields of objects in git, as `oc set` does
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    #[command(subcommand)]
    field: Field,
}

#[derive(Debug, Subcommand)]
enum Field {
    ImageLookup(image_lookup::Command),
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    match &command.field {
        Field::ImageLookup(command) => image_lookup::run(command, context),
    }
}
