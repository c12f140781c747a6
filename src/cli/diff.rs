//! `tidegate diff`: the dry run.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::action::{ResolveRequest, SourceRead};
use crate::config::{self, Config};
use crate::names::ContentHash;
use crate::report;
use crate::report::between::Between;
use crate::report::dry_run::{self, Answer, Mode, Subject, Verdict};
use crate::world::git::{Freshness, Source};
use crate::world::registry::Registries;

use super::offline::{self, Offline, Output};
use super::past;
use super::when::{self, Point};
use super::{Context, ExitCode};

/// Show what a commit or the work tree would change, without changing anything
///
/// Changed manifests, tags that would be imported, triggers, rollouts in order, what would be held and why, compared
/// with the adopted commit. Uses what the journal knows; registries are asked only with --resolve. Exits with 0 if there
/// is nothing to do, 2 if changes are pending, 3 if some of them would be held or refused, 4 if a registry that was to
/// be asked gave no answer.
#[derive(Debug, clap::Args)]
pub(super) struct Command {
    /// Commit, branch or tag [default: the end of the watched branch]
    #[arg(value_name = "REV", conflicts_with_all = ["worktree", "at"])]
    revision: Option<String>,
    /// Instead of a commit, the files on disk, committed or not
    ///
    /// Those of the repository in DIR; without DIR, of the configured one if it is local, else of the current
    /// directory.
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    worktree: Option<Option<PathBuf>>,
    /// Ask the registries now about every tag that is scheduled or waits for an import
    #[arg(long)]
    resolve: bool,
    /// Fetch from the configured repository first, if it is a remote one
    #[arg(long, conflicts_with = "worktree")]
    fetch: bool,
    /// Instead of a dry run, what changed since a point of the journal: a time like 2026-11-21T08:00:00Z, a local one, a
    /// span ago like 2h, or the number of a record
    ///
    /// Commits, objects, tags, workloads and holds. Exits with 0 if nothing changed and with 2 if something did.
    #[arg(long, value_name = "TIME|SEQ", value_parser = when::point)]
    #[arg(conflicts_with_all = ["worktree", "resolve", "fetch"])]
    at: Option<Point>,
    /// The later point that is compared with --at [default: the last record]
    #[arg(long, value_name = "TIME|SEQ", value_parser = when::point, requires = "at")]
    to: Option<Point>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    settings: config::DecidingArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let flags = command.settings.flags(context.global.config.clone());
    let mut config = offline::settings_of(&flags, context)?;
    if let Some(from) = command.at {
        return between(&config, from, command, context);
    }
    if config.source.repository.is_empty() && command.worktree.is_some() {
        // Nothing but a folder of manifests: what would happen if it were watched.
        let folder = command.worktree.clone().flatten().unwrap_or_else(|| PathBuf::from("."));
        config.source.repository = std::path::absolute(folder)?.display().to_string();
    }
    let offline = offline::open(config)?;
    let Offline { engine, unread, source, now, config, .. } = &offline;
    if let Some(why) = unread {
        anyhow::bail!("there is nothing to compare with: {why}");
    }
    let source = source.as_ref().context("no repository is set; set `source.repository`")?;
    let (read, subject) = read(command, source)?;
    let mode = if command.resolve { Mode::Resolve } else { Mode::Offline };
    let mut registries = match mode {
        Mode::Resolve => Some(Asker::new(config)?),
        Mode::Offline => None,
    };
    let mut ask = |requests: &[ResolveRequest]| match &mut registries {
        Some(asker) => asker.ask(requests),
        None => requests.iter().map(|_| None).collect(),
    };
    let report = dry_run::simulate(engine.clone(), read, subject, mode, &mut ask, *now);
    let text = match command.output {
        Output::Text => report.to_text(),
        Output::Json => report::to_json(&report),
    };
    context.out.write_all(text.as_bytes())?;
    Ok(match report.verdict() {
        Verdict::NothingToDo => ExitCode::Done,
        Verdict::Changes => ExitCode::ChangesPending,
        Verdict::ChangesHeld => ExitCode::ChangesHeld,
        Verdict::Unverified => ExitCode::Unverified,
    })
}

/// Compares two points of the journal.
fn between(
    config: &Config,
    from: Point,
    command: &Command,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    let root = &config.state_dir;
    let before = past::state_at(root, from)?.state;
    let after = match command.to {
        Some(to) => past::state_at(root, to)?.state,
        None => offline::state(root)?,
    };
    if after.last_seq < before.last_seq {
        let (from, to) = (before.last_seq, after.last_seq);
        anyhow::bail!(
            "--to (record {to}) is before --at (record {from}); give the earlier one first"
        );
    }
    let report = Between::of(&before, &after);
    let text = match command.output {
        Output::Text => report.to_text(),
        Output::Json => report::to_json(&report),
    };
    context.out.write_all(text.as_bytes())?;
    Ok(if report.is_empty() { ExitCode::Done } else { ExitCode::ChangesPending })
}

fn read(command: &Command, source: &Source) -> anyhow::Result<(SourceRead, Subject)> {
    let failed = |failure: crate::action::SourceFailure| anyhow::anyhow!("{}", failure.message);
    if let Some(folder) = &command.worktree {
        let here = PathBuf::from(".");
        let folder = folder.as_ref().or((source.local_path().is_none()).then_some(&here));
        let read = source.read_worktree(folder.map(PathBuf::as_path)).map_err(failed)?;
        return Ok((read, Subject::WorkTree));
    }
    let freshness = if command.fetch { Freshness::Fetch } else { Freshness::Offline };
    let revision = command.revision.as_deref();
    let read = source.read_revision(revision, freshness, &CancellationToken::new());
    Ok((read.map_err(failed)?, Subject::Commit))
}

/// Asks registries from a command, many at once.
struct Asker {
    runtime: tokio::runtime::Runtime,
    registries: Registries,
}

impl Asker {
    fn new(config: &Config) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let registries = Registries::new(
            config.registries.client(),
            // A dry run keeps nothing: the hash is all that is needed.
            Arc::new(|bytes: &[u8]| Ok(ContentHash::of(bytes))),
        )?;
        Ok(Self { runtime, registries })
    }

    fn ask(&mut self, requests: &[ResolveRequest]) -> Vec<Answer> {
        let questions = requests.iter().map(|request| self.registries.resolve(request));
        let answers = self.runtime.block_on(futures_util::future::join_all(questions));
        answers.into_iter().map(Some).collect()
    }
}
