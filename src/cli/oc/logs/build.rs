//! What a build prints, or printed.

use anyhow::bail;

use super::super::ApiError;
use super::super::build_log::{Following, LogFile, find};
use super::super::resource::Resource;
use super::Command;
use crate::cli::offline::{self, Extent, Shown};
use crate::cli::{Context, ExitCode};
use crate::names::{BuildNumber, Kind, Namespace, ObjectKey};
use crate::observed::build::Build;

/// The kind and the name where a build is meant, or a `BuildConfig`.
pub(super) fn is_meant(word: &str) -> Option<(Resource, &str)> {
    let (kind, name) = word.split_once('/')?;
    let kind = Resource::from_word(kind)?;
    matches!(kind, Resource::Builds | Resource::BuildConfigs).then_some((kind, name))
}

pub(super) fn run(
    command: &Command,
    (kind, name): (Resource, &str),
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let config = offline::settings(&command.settings, context)?;
    let mut shown = offline::show(config, &Extent::Whole)?;
    let default = shown.config.policy.default_namespace.clone();
    let namespace = command.namespace.clone().unwrap_or(default);
    if command.timestamps || command.since.is_some() {
        writeln!(
            context.err,
            "note: logs of builds have no times; --since and --timestamps change nothing"
        )?;
    }
    let build = meant(command, (kind, name), &shown, &namespace)?.clone();
    let name = build.created.name.clone();
    let mut log = LogFile::of(&shown, &namespace, &name);
    if build.started.is_none() {
        if let Some(ended) = &build.ended {
            let (end, why) = (ended.end, &ended.message);
            bail!("build {namespace}/{name} never began, it is {end}: {why}");
        }
        if !command.follow {
            bail!(
                "build {namespace}/{name} has not begun; `{} describe build/{name}` says what it waits for, and -f \
                 waits with it",
                context.global.program()
            );
        }
    }
    let is_there = print_tail(command, &mut log, context)?;
    if command.follow && build.ended.is_none() {
        let object = build.created.object.clone();
        Following::of(&mut shown, object, build.seq).print_log(log, context)?;
    } else if !is_there {
        say_end(&build, context)?;
    }
    Ok(ExitCode::Done)
}

/// The build that is meant.
fn meant<'a>(
    command: &Command,
    (kind, name): (Resource, &str),
    shown: &'a Shown,
    namespace: &Namespace,
) -> anyhow::Result<&'a Build> {
    let observed = &shown.observed;
    if kind == Resource::Builds {
        let build = find(observed, namespace, name);
        return build.ok_or_else(|| ApiError::not_found(&kind.plural(), name).into());
    }
    let object =
        ObjectKey { kind: Kind::BuildConfig, namespace: namespace.clone(), name: name.parse()? };
    let state = observed.builds.get(&object);
    if state.is_none() && !shown.desired.builds.contains_key(&object) {
        return Err(ApiError::not_found(&kind.plural(), name).into());
    }
    let builds = state.map(|state| state.builds.as_slice()).unwrap_or_default();
    let mut all: Vec<&Build> = builds.iter().collect();
    all.sort_by_key(|build| build.created.number);
    let found = match command.version {
        Some(version) => {
            let found = all.iter().find(|build| build.created.number == BuildNumber(version));
            let Some(found) = found else {
                bail!(
                    "no build #{version} of {name:?} is kept: `tidegate get builds` has those that are"
                );
            };
            Some(found)
        }
        None if command.previous => match all.iter().rev().nth(1) {
            Some(found) => Some(found),
            None => bail!("no previous build found for {name:?}"),
        },
        None => all.last(),
    };
    match found {
        Some(found) => Ok(found),
        None => bail!("no builds found for {name:?}"),
    }
}

/// Prints what there is, or the last lines of it; whether there is anything.
fn print_tail(
    command: &Command,
    log: &mut LogFile,
    context: &mut Context<'_>,
) -> anyhow::Result<bool> {
    let tail = usize::try_from(command.tail).ok();
    let (mut kept, mut is_there) = (Vec::new(), false);
    loop {
        let piece = log.read()?;
        is_there |= !piece.is_empty();
        match tail {
            None => context.out.write_all(&piece)?,
            Some(_) => kept.extend(&piece), // a log is bounded
        }
        if piece.is_empty() {
            break;
        }
    }
    if let Some(tail) = tail {
        let lines: Vec<&[u8]> = kept.split_inclusive(|byte| *byte == b'\n').collect();
        let from = lines.len().saturating_sub(tail);
        for line in lines.iter().skip(from) {
            context.out.write_all(line)?;
        }
    }
    context.out.flush()?;
    Ok(is_there)
}

/// What is on record of a build whose log is not there.
fn say_end(build: &Build, context: &mut Context<'_>) -> std::io::Result<()> {
    let Some(ended) = &build.ended else { return Ok(()) };
    let (end, at) = (ended.end, ended.at.to_rfc3339_seconds());
    let lines = if ended.log.is_empty() { "" } else { "; these are its last lines" };
    writeln!(context.err, "note: its log is not there; it ended as {end} at {at}{lines}")?;
    for line in ended.log.lines() {
        writeln!(context.out, "{line}")?;
    }
    Ok(())
}
