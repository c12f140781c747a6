//! `tidegate scale`: how many instances of a workload are to run, in git.

use anyhow::bail;

use super::ApiError;
use super::chosen::{self, Choice};
use super::edit::{Desk, EditArguments, Outcome, edit};
use super::kinds::ManifestKind;
use crate::cli::{Context, ExitCode};
use crate::edit::{Place, Value, keys};

/// Set how many instances of a workload are to run, in git
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// Kinds and names: `dc/web`, `deploy web shop`
    #[arg(value_name = "KIND/NAME")]
    words: Vec<String>,
    #[command(flatten)]
    choice: Choice,
    /// How many are to run
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, default_value_t = -1)]
    #[arg(hide_default_value = true)]
    replicas: i32,
    /// Only if it is this many now
    #[arg(long, value_name = "COUNT", allow_negative_numbers = true, default_value_t = -1)]
    #[arg(hide_default_value = true)]
    current_replicas: i32,
    #[command(flatten)]
    edit: EditArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if command.replicas < 0 {
        bail!(
            "The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0"
        );
    }
    if command.current_replicas < -1 {
        bail!("The --current-replicas must specify an integer of -1 or greater");
    }
    let chosen = chosen::read(&command.words, "scale", &command.choice)?;
    edit(&command.edit, context, |desk| {
        let places = chosen.places(&desk.manifests, &desk.namespace)?;
        if places.is_empty() {
            bail!("no objects passed to scale");
        }
        scale(command, &places, desk)
    })
}

fn scale(
    command: &Command,
    places: &[(ManifestKind, Place)],
    desk: &mut Desk<'_>,
) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut names = Vec::new();
    for (kind, place) in places {
        match scale_one(command, *kind, place, desk) {
            Ok(name) => {
                outcome.lines.push(desk.line(format!("{}/{name} scaled", kind.singular())));
                names.push(format!("{}/{name}", kind.sort.kind));
            }
            Err(error) if outcome.lines.is_empty() => return Err(error),
            Err(error) => {
                outcome.failed = Some(error);
                break;
            }
        }
    }
    outcome.message = format!("scale {} to {}", names.join(", "), command.replicas);
    Ok(outcome)
}

fn scale_one(
    command: &Command,
    kind: ManifestKind,
    place: &Place,
    desk: &mut Desk<'_>,
) -> anyhow::Result<String> {
    const PATH: [&str; 2] = ["spec", "replicas"];
    let by_default = match kind.sort.kind {
        "DeploymentConfig" => "0", // rule D2
        "Deployment" | "StatefulSet" | "ReplicaSet" | "ReplicationController" => "1",
        _ => return Err(ApiError::no_resource().into()),
    };
    let document = desk.manifests.at(place);
    let name = document.map(|document| document.name.clone()).unwrap_or_default();
    let now = document.and_then(|document| document.text(&PATH)).filter(|text| !text.is_empty());
    let now = now.unwrap_or(by_default);
    if command.current_replicas >= 0 && now != command.current_replicas.to_string() {
        bail!("Expected replicas to be {}, was {now}", command.current_replicas);
    }
    if now != command.replicas.to_string() {
        let value = Value::Number(command.replicas.into());
        desk.manifests.put(place, &keys(&PATH), value)?;
    }
    Ok(name)
}
