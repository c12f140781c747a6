//! `tidegate check`: reads manifests and prints what is wrong or odd about them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::action::{SourceFile, SourceRead};
use crate::config;
use crate::desired::diagnostic::{Diagnostic, Severity};
use crate::desired::{self, DesiredState, Tree};
use crate::limits;
use crate::names::{BlobId, Namespace};
use crate::policy::Policy;

use super::{Context, ExitCode};

mod render;

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
    settings: config::SettingArguments,
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
    let files = read_paths(&arguments.paths)?;
    let flags = arguments.settings.flags(context.global.config.clone());
    let policy = policy(arguments, config::load(&flags)?.policy, &files)?;
    let findings = find(files, &policy);
    match arguments.output {
        Format::Text => {
            render::text(context.out, &findings.diagnostics, &findings.texts)?;
        }
        Format::Json => render::json(context.out, &findings)?,
        Format::Sarif => render::sarif(context.out, &findings.diagnostics)?,
    }
    let errors = findings.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    let warnings = findings.diagnostics.len() - errors;
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

fn find(files: Vec<SourceFile>, policy: &Policy) -> Findings {
    let texts = files.iter().filter_map(|f| Some((f.path.clone(), f.bytes.clone()?))).collect();
    let read = SourceRead {
        // No commit stands behind files of a directory; nothing looks at it.
        commit: crate::names::CommitId::from_bytes([0; 20]),
        base: None,
        branch: String::new(),
        forced: false,
        changed: files,
        removed: Vec::new(),
        skipped: Vec::new(),
    };
    let mut tree = Tree::default();
    tree.apply(&read, policy);
    let state = tree.assemble();
    let mut diagnostics: Vec<Diagnostic> = state.warnings.clone();
    diagnostics.extend(state.rejected.iter().map(|rejected| rejected.diagnostic.clone()));
    for (_, file) in tree.files() {
        let errors = file.diagnostics.iter().filter(|d| d.severity == Severity::Error);
        diagnostics.extend(errors.cloned());
    }
    diagnostics.sort_by(|a, b| (&a.position, &a.rule).cmp(&(&b.position, &b.rule)));
    let others = tree.files().map(|(_, file)| file.others).sum();
    Findings { diagnostics, files: tree.files().count(), others, state, texts }
}

/// Reads what the arguments name: files as they are, directories with their `.tidegateignore`.
fn read_paths(paths: &[PathBuf]) -> anyhow::Result<Vec<SourceFile>> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here[..] } else { paths };
    let mut found: BTreeSet<PathBuf> = BTreeSet::new();
    for path in paths {
        let meta =
            std::fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if !meta.is_dir() {
            found.insert(path.clone());
            continue;
        }
        let mut walk = ignore::WalkBuilder::new(path);
        walk.standard_filters(false)
            .add_custom_ignore_filename(".tidegateignore")
            .filter_entry(|entry| entry.file_name() != ".git");
        for entry in walk.build() {
            let entry = entry.with_context(|| format!("cannot read below `{}`", path.display()))?;
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                found.insert(entry.into_path());
            }
        }
    }
    let mut files = Vec::new();
    for path in found {
        let name = name_of(&path);
        if desired::is_manifest(&name) || desired::is_params(&name) {
            files.push(read_file(&path, name)?);
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// A path as diagnostics show it: with `/`, without a leading `./`.
fn name_of(path: &Path) -> String {
    let text = path.to_string_lossy();
    text.strip_prefix("./").unwrap_or(&text).to_owned()
}

fn read_file(path: &Path, name: String) -> anyhow::Result<SourceFile> {
    let failed = || format!("cannot read `{}`", path.display());
    let len = std::fs::metadata(path).with_context(failed)?.len();
    let small = len <= limits::MANIFEST_BYTES_MAX as u64;
    let bytes = if small { Some(std::fs::read(path).with_context(failed)?.into()) } else { None };
    Ok(SourceFile { path: name, blob: BlobId::from_bytes([0; 20]), bytes, len })
}
