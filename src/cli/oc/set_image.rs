//! `tidegate set image`: images of containers, as `kubectl set image` sets them.

use std::collections::BTreeMap;

use anyhow::bail;

use super::chosen::{self, Choice};
use super::edit::{Desk, EditArguments, Outcome, edit};
use super::kinds::ManifestKind;
use crate::cli::{Context, ExitCode};
use crate::desired::Step;
use crate::edit::triggers::Triggers;
use crate::edit::{Document, Place, Value};

/// Set the images of containers
///
/// A container that follows a tag of an image stream keeps following it: what is set here is overridden, and the command
/// says so.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Kinds and names, then images: `dc/web web=quay.io/org/web:2`, `deploy web *=nginx:1`
    #[arg(value_name = "KIND/NAME CONTAINER=IMAGE")]
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    edit: EditArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let is_pair = |word: &&String| word.contains('=');
    let objects: Vec<String> =
        command.words.iter().filter(|word| !is_pair(word)).cloned().collect();
    let pairs: Vec<&String> = command.words.iter().filter(is_pair).collect();
    let images = images(&pairs)?;
    if objects.is_empty() {
        bail!("one or more resources must be specified as <resource> <name> or <resource>/<name>");
    }
    if images.is_empty() {
        bail!("at least one image update is required");
    }
    if images.len() > 1 && images.contains_key("*") {
        bail!(
            "all containers are already specified by *, but saw more than one container_name=container_image pairs"
        );
    }
    let chosen = chosen::read(&objects, "set image", &command.choice)?;
    edit(&command.edit, context, |desk| {
        let places = chosen.places(&desk.manifests, &desk.namespace)?;
        set(&images, &places, desk)
    })
}

fn images(pairs: &[&String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut images = BTreeMap::new();
    for pair in pairs {
        let (name, image) = pair.split_once('=').unwrap_or_default();
        if name.is_empty() || image.is_empty() || image.chars().any(char::is_control) {
            bail!("invalid image update `{}`: it is CONTAINER=IMAGE", pair.escape_debug());
        }
        images.insert(name.to_owned(), image.to_owned());
    }
    Ok(images)
}

fn set(
    images: &BTreeMap<String, String>,
    places: &[(ManifestKind, Place)],
    desk: &mut Desk<'_>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut names = Vec::new();
    for (kind, place) in places {
        let Some(document) = desk.manifests.at(place).cloned() else { continue };
        let name = format!("{}/{}", kind.singular(), document.name);
        let Some(template) = kind.pod_template() else {
            bail!("{name} has no pod template, so no image can be set in it");
        };
        let containers = document.containers(template);
        if let Some(missing) =
            images.keys().find(|key| *key != "*" && !containers.iter().any(|one| one.name == **key))
        {
            let error = anyhow::anyhow!("unable to find container named \"{missing}\"");
            if outcome.lines.is_empty() {
                return Err(error);
            }
            outcome.failed = Some(error);
            break;
        }
        let mut is_changed = false;
        for container in &containers {
            let Some(image) = images.get(&container.name).or_else(|| images.get("*")) else {
                continue;
            };
            let mut path = container.path.clone();
            path.push(Step::Key("image".into()));
            let before = desk.manifests.edits();
            desk.manifests.put(place, &path, Value::text(image))?;
            is_changed |= desk.manifests.edits() != before;
            outcome.notes.extend(overridden(&name, &document, &container.name));
        }
        if is_changed {
            outcome.lines.push(desk.line(format!("{name} image updated")));
            names.push(format!("{}/{}", kind.sort.kind, document.name));
        }
    }
    let images: Vec<String> =
        images.iter().map(|(name, image)| format!("{name}={image}")).collect();
    outcome.message = format!("set images of {}: {}", names.join(", "), images.join(", "));
    Ok(outcome)
}

/// What a trigger makes of an image that was set by hand (rule D31).
fn overridden(name: &str, document: &Document, container: &str) -> Option<String> {
    let Ok(Triggers { images, .. }) = document.triggers()? else { return None };
    let follows = images
        .iter()
        .rfind(|image| image.automatic && image.containers.iter().any(|one| one == container))?;
    let from = &follows.from;
    Some(format!(
        "warning: container {container} of {name} follows the image stream tag {from}: its trigger overrides the image \
         that was set. `tag` moves the image stream tag, `set triggers {name} --from-image={from} -c {container} --manual` \
         ends the following"
    ))
}
