//! `tidegate rollout status`: how far the last rollout is, until it is done (rule D45).

use std::time::Duration;

use anyhow::bail;
use clap::ArgAction;

use super::{Named, Words, with_deployed};
use crate::cli::follow::{Changes, is_unread};
use crate::cli::offline::{self, Extent, Offline, Shown};
use crate::cli::{Context, ExitCode};
use crate::config::Config;
use crate::fact::Fact;
use crate::observed::rollout::object_of;
use crate::plan::{self, Held};
use crate::report::rollout::{self, Asked, Progress, Steps};
use crate::time::go_duration;

/// Show how far the last rollout of a workload is, and wait until it is done
///
/// Ends with 0 when the rollout is complete, and with 1 when it failed, was cancelled or cannot go on by itself. Each step
/// that it takes, what its target says of it, and why it waits are told on standard error.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    words: Words,
    /// Wait until the rollout is done
    #[arg(short, long, action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "true", default_missing_value = "true", value_name = "BOOL")]
    #[arg(hide_possible_values = true)]
    watch: bool,
    /// Wait for this revision only, and fail when another takes its place; 0 is the last
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    revision: i64,
    /// Wait no longer than this, like 90s or 5m; 0 is for ever
    #[arg(long, value_name = "DURATION", value_parser = go_duration, default_value = "0")]
    timeout: i64,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if command.revision < 0 {
        bail!("revision must be a positive integer: {}", command.revision);
    }
    let config = command.words.config(context)?;
    let offline = offline::open(config.clone())?;
    let found = command.words.find("rollout status", &offline)?;
    let [named] = found.as_slice() else {
        bail!(
            "rollout status is only supported on individual resources and resource collections - {} resources were found",
            found.len()
        );
    };
    let mut watch = Watch { command, named, said: String::new(), steps: Steps::default() };
    if !command.watch {
        return Ok(watch.look(&offline, context)?.unwrap_or(ExitCode::Done));
    }
    drop(offline);
    watch.follow(&config, context)
}

struct Watch<'a> {
    command: &'a Command,
    named: &'a Named,
    /// The last line.
    said: String,
    steps: Steps,
}

impl Watch<'_> {
    /// Says how far it is, if that changed; returns how the command ends, if it does.
    fn look(
        &mut self,
        offline: &Offline,
        context: &mut Context<'_>,
    ) -> anyhow::Result<Option<ExitCode>> {
        if let Some(why) = &offline.unread {
            bail!("the adopted commit cannot be read: {why}");
        }
        let object = &self.named.object;
        let mut held = plan::held(&offline.engine.view(offline.now));
        held.retain(|held| held.object == *object);
        let asked = Asked {
            object,
            revision: u64::try_from(self.command.revision).ok().filter(|revision| *revision > 0),
            program: context.global.program(),
        };
        let progress = with_deployed(offline, |all| rollout::progress(&asked, all, &held));
        let state = offline.engine.observed().workloads.get(object);
        for line in self.steps.told(state) {
            writeln!(context.err, "{line}")?;
        }
        match progress {
            Progress::Waits(line) => {
                if line != self.said {
                    writeln!(context.out, "{line}")?;
                    say_held(&held, context)?;
                    context.out.flush()?;
                    self.said = line;
                }
                Ok((!self.command.watch).then_some(ExitCode::Done))
            }
            Progress::Done(line) => {
                writeln!(context.out, "{line}")?;
                Ok(Some(ExitCode::Done))
            }
            Progress::Failed(line) => {
                say_held(&held, context)?;
                Err(anyhow::anyhow!(line))
            }
        }
    }

    /// Goes on with what the daemon writes.
    fn follow(&mut self, config: &Config, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
        let changes = Changes::of(&config.state_dir.join("journal"));
        let began = jiff::Timestamp::now();
        let timeout = u64::try_from(self.command.timeout).ok().filter(|timeout| *timeout > 0);
        let timeout = timeout.map(Duration::from_millis);
        let mut shown = offline::show(config.clone(), &Extent::Whole)?;
        let mut is_touched = true; // nothing was looked at yet
        loop {
            is_touched |= self.read(&mut shown, config)?;
            if std::mem::take(&mut is_touched) {
                let offline = offline::open(config.clone())?;
                // Of what is looked at no record is still to be read: none is told late, or twice.
                is_touched = self.read(&mut shown, config)?;
                if let Some(code) = self.look(&offline, context)? {
                    return Ok(code);
                }
            }
            let waited = jiff::Timestamp::now().duration_since(began);
            if timeout.is_some_and(|timeout| waited.unsigned_abs() >= timeout) {
                bail!("timed out waiting for the condition");
            }
            if is_unread() {
                return Ok(ExitCode::Done);
            }
            changes.wait();
        }
    }

    /// Takes in what the journal has; whether any of it may have changed something.
    fn read(&mut self, shown: &mut Shown, config: &Config) -> anyhow::Result<bool> {
        let mut is_touched = false;
        while let Some(touched) = self.next(shown, config)? {
            is_touched |= touched;
        }
        Ok(is_touched)
    }

    /// Whether the next record may have changed something; none where there is none for now.
    fn next(&mut self, shown: &mut Shown, config: &Config) -> anyhow::Result<Option<bool>> {
        match shown.advance() {
            Ok(Some(fact)) => {
                self.steps.read(&self.named.object, &fact);
                let is_ours = object_of(&fact).is_some_and(|object| *object == self.named.object);
                Ok(Some(is_ours || is_about_all(&fact)))
            }
            Ok(None) => Ok(None),
            // Compaction was faster.
            Err(error) if error.is_gone() => {
                *shown = offline::show(config.clone(), &Extent::Whole)?;
                Ok(Some(true))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a record may change what any workload waits for.
fn is_about_all(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::CommitAdopted(_) | Fact::TagImported(_) | Fact::ImportFailed(_) | Fact::OverlaySet(_)
    )
}

/// Why something of it waits, and until what (law 8).
fn say_held(held: &[Held], context: &mut Context<'_>) -> std::io::Result<()> {
    for held in held {
        writeln!(context.err, "{}: {}", held.object, held.reason)?;
    }
    Ok(())
}
