//! `tidegate config`: the settings in force, and where each came from.

use std::io::Write;

use clap::ValueEnum;

use super::{Context, ExitCode};
use crate::config::{self, Config, KEYS};

/// Show the settings in force, and where each came from
///
/// Secrets are never shown. Exits 1 if anything in the file, the environment or the flags is wrong, and names all of it.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    #[command(flatten)]
    settings: config::SettingArguments,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// List every key there is, with its variable, what it takes, its default and what it does
    #[arg(long)]
    keys: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    /// For people: lines that a tidegate.toml may have
    Text,
    /// For programs: one object, with `formatVersion`
    Json,
}

/// Runs the command.
pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if command.keys {
        match command.output {
            Output::Text => keys_text(context.out)?,
            Output::Json => keys_json(context.out)?,
        }
        return Ok(ExitCode::Done);
    }
    let config = config::load(&command.settings.flags(context.global.config.clone()))?;
    for warning in &config.warnings {
        writeln!(context.err, "warning: {warning}")?;
    }
    match command.output {
        Output::Text => text(&config, context.out)?,
        Output::Json => json(&config, context.out)?,
    }
    Ok(ExitCode::Done)
}

/// One line a key, as TOML would write it, with the origin as a comment.
fn text(config: &Config, out: &mut dyn Write) -> std::io::Result<()> {
    let lines = config.settings.iter().map(|setting| {
        // A JSON text, number, boolean or list of texts is one in TOML as well.
        (format!("{} = {}", setting.key, setting.value), setting.origin.to_string())
    });
    let lines: Vec<_> = lines.collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(60);
    for (line, origin) in lines {
        writeln!(out, "{line:width$}  # {origin}")?;
    }
    Ok(())
}

fn json(config: &Config, out: &mut dyn Write) -> anyhow::Result<()> {
    let settings = config.settings.iter().map(|setting| {
        serde_json::json!({
            "key": setting.key, "value": setting.value, "origin": setting.origin.to_string(),
        })
    });
    let report = serde_json::json!({
        "formatVersion": 1,
        "file": config.file,
        "hash": config.adopted().hash,
        "settings": settings.collect::<Vec<_>>(),
    });
    writeln!(out, "{report:#}")?;
    Ok(())
}

fn keys_text(out: &mut dyn Write) -> std::io::Result<()> {
    for (index, key) in KEYS.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        let name = key.pattern.replace('*', "NAME");
        writeln!(out, "{name} = {}  # default: {}", key.takes, key.default)?;
        writeln!(out, "    {}", key.help)?;
        if let Some(variable) = key.variable() {
            writeln!(out, "    {variable}")?;
        }
    }
    Ok(())
}

fn keys_json(out: &mut dyn Write) -> std::io::Result<()> {
    let keys = KEYS.iter().map(|key| {
        serde_json::json!({
            "key": key.pattern, "takes": key.takes, "default": key.default, "help": key.help,
            "variable": key.variable(),
        })
    });
    let report = serde_json::json!({ "formatVersion": 1, "keys": keys.collect::<Vec<_>>() });
    writeln!(out, "{report:#}")
}
