//! `tidegate check`: reads manifests and prints what is wrong or odd about them.
//!
//! It reads what `run` would read of a commit of these files: one ignore file at the root of the repository, folders of
//! `source.paths`, no symbolic links, and namespaces by the path from that root.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::action::{SourceFile, SourceRead};
use crate::config;
use crate::desired::diagnostic::{Diagnostic, Severity};
use crate::desired::{self, DesiredState, Tree};
use crate::names::Namespace;
use crate::observed::ObservedState;
use crate::policy::Policy;
use crate::report::cost;
use crate::time::Timestamp;
use crate::world::git::{self, Folder, Wanted};

use super::{Context, ExitCode};

mod place;
mod render;
mod secrecy;

use place::Place;

/// Arguments of `tidegate check`.
#[derive(Debug, Clone, clap::Args)]
pub struct Check {
    /// Files, or directories that are read with what is below them [default: .]
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
    /// How to print what was found
    #[arg(short, long, alias = "format", value_name = "FORMAT", default_value = "text")]
    output: Format,
    /// Namespace of objects that name none
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<Namespace>,
    /// File of `NAME=value` lines for the parameters of every Template
    #[arg(long, value_name = "FILE")]
    param_file: Vec<PathBuf>,
    /// Value of a parameter of every Template; stronger than --param-file
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = parameter)]
    param: Vec<(String, String)>,
    #[command(flatten)]
    settings: config::DecidingArguments,
}

/// How to print what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: with the line of the file
    Text,
    /// For programs: an object with `formatVersion`
    Json,
    /// For code review tools: SARIF 2.1.0
    Sarif,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("expected NAME=VALUE")?;
    Ok((name.into(), value.into()))
}

/// What a check found.
struct Findings {
    /// Sorted by position.
    diagnostics: Vec<Diagnostic>,
    state: DesiredState,
    /// Files that were read.
    files: usize,
    /// Documents that are no Kubernetes objects.
    others: u32,
    /// Texts of the files, for the source lines.
    texts: BTreeMap<String, Arc<[u8]>>,
}

/// Runs the command.
///
/// # Errors
/// When a path cannot be read, or the output cannot be written.
pub fn run(arguments: &Check, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let place = Place::of(&arguments.paths)?;
    if let Some(file) = place.no_manifest() {
        writeln!(
            context.err,
            "error: `{file}` is no manifest: its name ends with none of .yaml, .yml and .json"
        )?;
        return Ok(ExitCode::Usage);
    }
    let flags = arguments.settings.flags(context.global.config.clone());
    let config = config::load(&flags)?;
    let wanted = Wanted {
        paths: &config.source.paths,
        ignore_file: &config.source.ignore_file,
        name: |path| desired::is_manifest(path) || desired::is_params(path),
    };
    let folder = git::read_folder(&place.root, &place.starts(), wanted)
        .map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
    for path in &folder.ignored {
        let (path, file) = (place.shown(path), &config.source.ignore_file);
        writeln!(context.err, "note: `{path}` is not read, here or by `run`: `{file}` names it")?;
    }
    let policy = policy(arguments, config.policy, &folder.files)?;
    let findings = find(folder, &policy, &place);
    match arguments.output {
        Format::Text => {
            render::text(context.out, &findings.diagnostics, &findings.texts)?;
        }
        Format::Json => render::json(context.out, &findings)?,
        Format::Sarif => render::sarif(context.out, &findings.diagnostics)?,
    }
    let (observed, now) = (ObservedState::default(), Timestamp::from_jiff(jiff::Timestamp::now()));
    for misfit in cost::forecast(&findings.state, &observed, &policy, now).misfits() {
        writeln!(context.err, "warning: {misfit}")?;
    }
    let count = |severity: Severity| {
        findings.diagnostics.iter().filter(|found| found.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    writeln!(
        context.err,
        "{} files, {} objects and {} companions read, {} rejected; {errors} errors, {warnings} warnings",
        findings.files,
        findings.state.objects(),
        findings.state.companions.len(),
        findings.state.rejected.len(),
    )?;
    let rejected = !findings.state.rejected.is_empty();
    Ok(if rejected { ExitCode::Error } else { ExitCode::Done })
}

/// The settings that decide how manifests are read. The one place where the configuration file comes in.
fn policy(arguments: &Check, mut policy: Policy, files: &[SourceFile]) -> anyhow::Result<Policy> {
    if let Some(namespace) = &arguments.namespace {
        policy.default_namespace = namespace.clone();
    }
    let mut values = BTreeMap::new();
    for path in &arguments.param_file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read params file `{}`", path.display()))?;
        let read = desired::read_params(&text).map_err(|line| {
            anyhow::anyhow!("params file `{}`, line {line}: expected `NAME=value`", path.display())
        })?;
        values.extend(read);
    }
    values.extend(arguments.param.iter().cloned());
    if !values.is_empty() {
        for file in files {
            policy.parameters.insert(file.path.clone(), values.clone());
        }
    }
    Ok(policy)
}

fn find(folder: Folder, policy: &Policy, place: &Place) -> Findings {
    let texts = folder.files.iter();
    let texts = texts.filter_map(|file| Some((place.shown(&file.path), file.bytes.clone()?)));
    let texts = texts.collect();
    let read = SourceRead {
        // No commit stands behind files of a directory; nothing looks at it.
        commit: crate::names::CommitId::from_bytes([0; 20]),
        base: None,
        branch: String::new(),
        forced: false,
        changed: folder.files,
        removed: Vec::new(),
        skipped: folder.skipped,
    };
    let mut tree = Tree::default();
    tree.apply(&read, policy);
    let mut state = tree.assemble();
    for rejected in &mut state.rejected {
        place.show(&mut rejected.diagnostic);
    }
    let mut diagnostics: Vec<Diagnostic> = state.warnings.clone();
    for (_, file) in tree.files() {
        let errors = file.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        diagnostics.extend(errors.cloned());
        let rejected = |of: &Diagnostic| state.rejected.iter().any(|r| r.diagnostic == *of);
        let forbidden = file.forbidden.iter().map(|forbidden| &forbidden.diagnostic);
        diagnostics.extend(forbidden.filter(|diagnostic| !rejected(diagnostic)).cloned());
    }
    diagnostics.iter_mut().for_each(|diagnostic| place.show(diagnostic));
    diagnostics.extend(state.rejected.iter().map(|rejected| rejected.diagnostic.clone()));
    diagnostics.sort_by(|a, b| (&a.position, &a.rule).cmp(&(&b.position, &b.rule)));
    let others = tree.files().map(|(_, file)| file.others).sum();
    Findings { diagnostics, files: tree.files().count(), others, state, texts }
}
