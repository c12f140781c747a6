//! `tidegate describe`: everything about an object, for people.

use super::inventory::{As, Found, Inventory};
use super::resource::{self, Resource, WordsError};
use super::{Source, UsageError};
use crate::cli::{Context, ExitCode};
use crate::oc;

/// Describe image streams, their tags and images, and what is rolled out, as `oc describe` does
///
/// KIND is `is`, `istag`, `isimage`, `itag`, `image`, `dc`, `deploy`, `sts`, `ds`, `cj`, `bc` or `build`. Reads the
/// journal, whether or not a daemon runs.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// Kinds and names: `is/python`, `is python`, `istag python:3.6`
    #[arg(value_name = "KIND[/NAME]")]
    words: Vec<String>,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let wanted = resource::wanted(&command.words, "describe").map_err(|error| match error {
        WordsError::Nothing { .. } => {
            let message = "You must specify the type of resource to describe.".into();
            anyhow::Error::from(UsageError { command: "describe", message })
        }
        error @ (WordsError::Unknown(_)
        | WordsError::Mixed
        | WordsError::Slashes
        | WordsError::Empty) => error.into(),
    })?;
    let inventory = Inventory::read(&command.source, &wanted, As::Objects, context)?;
    let mut failed = Vec::new();
    let mut shown = 0;
    for wanted in &wanted {
        let found = match inventory.find(wanted) {
            Ok(found) => found,
            Err(error) => {
                failed.push(anyhow::Error::from(error));
                continue;
            }
        };
        for text in describe(&found, &inventory) {
            match text {
                Ok(text) => {
                    if shown > 0 {
                        write!(context.out, "\n\n")?;
                    }
                    context.out.write_all(text.as_bytes())?;
                    shown += 1;
                }
                Err(error) => failed.push(error),
            }
        }
    }
    super::print_unseen(&inventory, context)?;
    for error in &failed {
        super::print_error(context, error)?;
    }
    if shown == 0 && failed.is_empty() {
        super::get::nothing_found(inventory.namespace.as_ref(), context)?;
    }
    // The process ends: what it holds need not be taken apart first.
    std::mem::forget(inventory);
    Ok(if failed.is_empty() { ExitCode::Done } else { ExitCode::Error })
}

fn describe(found: &Found, inventory: &Inventory) -> Vec<anyhow::Result<String>> {
    let now = inventory.now;
    // A tag and an image of a stream are shown under their digest (rule I138).
    let image = |image: &crate::api::Image, named: bool| -> anyhow::Result<String> {
        let name = if named { image.metadata.name.as_str() } else { "" };
        if image.docker_image_metadata.is_none() && named && !name.is_empty() {
            let kind = Resource::Images.plural();
            return Err(super::ApiError::not_found(&kind, name).into());
        }
        Ok(oc::image::describe(image, name, now)?)
    };
    match found {
        Found::Streams(streams) => {
            streams.iter().map(|stream| Ok(oc::stream::describe(stream, now))).collect()
        }
        Found::StreamTags(tags) => tags.iter().map(|tag| image(&tag.image, true)).collect(),
        Found::StreamImages(images) => images.iter().map(|i| image(&i.image, true)).collect(),
        Found::ImageTags(tags) => {
            tags.iter().filter_map(|tag| Some(image(tag.image.as_ref()?, true))).collect()
        }
        Found::Images(images) => images.iter().map(|found| image(found, false)).collect(),
        Found::Others(_, objects) => {
            objects.iter().map(|object| inventory.described(object)).collect()
        }
    }
}
