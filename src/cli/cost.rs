//! `tidegate cost`: what registries will be asked, before they are.

use crate::config;
use crate::effective;
use crate::report::{self, cost};
use crate::time::Timestamp;

use super::offline::{self, Output};
use super::{Context, ExitCode};

/// Forecast how many requests registries will get, per hour and per six hours, and whether that fits their limits
///
/// Counts what the manifests of the branch ask for, adopted or not, and asks no registry. While nothing moves each image is
/// one HEAD at each time of its schedule, however many tags follow it; Docker Hub does not count HEAD. Images that the
/// journal does not know yet cost more, once; so does each one that moves. Requests for tokens go to another server and are
/// not counted. Limits are settings: `registries."HOST".limit`. Exit code 0: it fits; 3: it does not.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    settings: config::SettingArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.settings, context)?;
    let mut desired = offline::head(&config)?;
    let observed = offline::state(&config.state_dir)?;
    effective::overlay(&mut desired, &observed, &config.policy);
    let now = Timestamp::from_jiff(jiff::Timestamp::now());
    let cost = cost::forecast(&desired, &observed, &config.policy, now);
    let text = match command.output {
        Output::Text => cost.to_text(),
        Output::Json => report::to_json(&cost),
    };
    context.out.write_all(text.as_bytes())?;
    Ok(if cost.fits() { ExitCode::Done } else { ExitCode::ChangesHeld })
}
