//! What the verbs that change manifests have in common: where they change them, what they show, how they commit.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;

use crate::cli::{Context, ExitCode, offline};
use crate::config::{self, Config};
use crate::desired::{DesiredState, TagSource};
use crate::edit::Manifests;
use crate::names::{CommitId, Namespace, StreamTag};
use crate::world::git::{Keep, Snapshot, WriteError, Writer};

/// How often an edit is made anew on a branch that others move, or lock for the moment that this takes.
const ATTEMPTS_BARE: usize = 20;

/// The same for files that others write: twice in a row is no accident.
const ATTEMPTS: usize = 2;

/// Where and how manifests are changed.
#[derive(Debug, clap::Args)]
pub(super) struct EditArguments {
    /// Namespace of what is changed [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    /// The repository whose manifests are changed [default: that of the current directory, else `source.repository`]
    #[arg(long, value_name = "PATH", help_heading = EDIT)]
    repo: Option<PathBuf>,
    /// Show what would be changed, and change nothing
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "client", default_value = "none", help_heading = EDIT)]
    dry_run: DryRun,
    /// Leave the change in the work tree, uncommitted
    #[arg(long, help_heading = EDIT, conflicts_with = "push")]
    no_commit: bool,
    /// Push the commit; a push that is refused leaves it where it is
    #[arg(long, help_heading = EDIT)]
    push: bool,
    /// Leave git as it is: the running daemon puts the tag over what git says, until a commit changes that
    #[arg(long, help_heading = EDIT, hide = true)]
    #[arg(conflicts_with_all = ["repo", "no_commit", "push", "message"])]
    pub(super) live: bool,
    /// Message of the commit, in place of one that says what was done
    #[arg(short, long, value_name = "TEXT", help_heading = EDIT)]
    message: Option<String>,
    #[command(flatten)]
    pub(super) settings: config::SettingArguments,
}

impl EditArguments {
    /// The namespace that is meant where none is named.
    pub(super) fn namespace<'a>(&'a self, config: &'a Config) -> &'a Namespace {
        self.namespace.as_ref().unwrap_or(&config.policy.default_namespace)
    }

    /// Whether nothing is changed on purpose.
    pub(super) fn is_dry(&self) -> bool {
        self.dry_run != DryRun::None
    }

    /// What follows an answer where nothing is changed.
    pub(super) fn suffix(&self) -> &'static str {
        match self.dry_run {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        }
    }
}

/// Where the help shows them.
const EDIT: &str = "Manifests";

/// What `--dry-run` of `oc` takes; there is no server to ask here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DryRun {
    /// Change what is there
    #[value(alias = "false")]
    None,
    /// Only show it
    #[value(aliases = ["true", "unchanged"])]
    Client,
    /// The same
    Server,
}

/// What a verb makes of the manifests.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What it did, in words for the commit.
    pub(super) message: String,
    /// The answer, line by line.
    pub(super) lines: Vec<String>,
    /// Talk.
    pub(super) notes: Vec<String>,
    /// Why it stopped before its end; what was done before stands.
    pub(super) failed: Option<anyhow::Error>,
}

/// What a verb works on.
pub(super) struct Desk<'a> {
    pub(super) manifests: Manifests,
    pub(super) config: &'a Config,
    /// The namespace that is meant where none is named.
    pub(super) namespace: Namespace,
    snapshot: Snapshot,
    /// Whether the answer is followed by `(dry run)`.
    suffix: &'static str,
}

impl Desk<'_> {
    /// A line of the answer as `oc` ends it: with `(dry run)` where nothing is changed.
    pub(super) fn line(&self, text: impl std::fmt::Display) -> String {
        format!("{text}{}", self.suffix)
    }

    /// What the manifests ask for as they are now, as the daemon reads them.
    pub(super) fn desired(&self) -> DesiredState {
        let mut tree = crate::desired::Tree::default();
        let edits = self.manifests.edits();
        let mut files = self.snapshot.files.clone();
        for file in &mut files {
            if let Some(edit) = edits.iter().find(|edit| edit.path == file.path) {
                file.bytes = Some(edit.after.clone().unwrap_or_default().into());
            }
        }
        let read = crate::action::SourceRead {
            commit: CommitId::from_bytes([0; 20]),
            base: None,
            branch: String::new(),
            forced: false,
            changed: files,
            removed: Vec::new(),
            skipped: Vec::new(),
        };
        tree.apply(&read, &self.config.policy);
        // What is forbidden is refused where it is written; what stands there is for the daemon to judge.
        tree.assemble_over(&DesiredState::default(), &[], &|_, _| true)
    }
}

/// What refers to a tag: triggers, builds, tags that follow it.
pub(super) fn dependents(desired: &DesiredState, tag: &StreamTag) -> Vec<String> {
    let workloads = desired.workloads.values();
    let workloads = workloads.filter(|w| w.triggers.iter().any(|trigger| trigger.from == *tag));
    let builds = desired.builds.values().filter(|build| {
        build.reads().any(|read| read == tag) || build.output.as_ref() == Some(tag)
    });
    let tags = desired.streams.values().flat_map(|stream| {
        let follows = move |spec: &crate::desired::TagReference| {
            matches!(&spec.from, Some(TagSource::Tag(from)) if from == tag)
        };
        let tags = stream.tags.iter().filter(move |(_, spec)| follows(spec));
        tags.map(|(name, _)| format!("ImageStreamTag/{}", stream.name.tag(name.clone())))
    });
    let workloads = workloads.map(|workload| workload.object.to_string());
    workloads.chain(builds.map(|build| build.object.to_string())).chain(tags).collect()
}

/// Reads manifests without changing them.
pub(super) fn look(arguments: &EditArguments, context: &mut Context<'_>) -> anyhow::Result<Look> {
    let config = offline::settings(&arguments.settings, context)?;
    let writer = writer(arguments, &config)?;
    let snapshot = writer.read()?;
    let manifests = manifests(&snapshot, &config);
    let namespace = arguments.namespace(&config).clone();
    Ok(Look { manifests, namespace })
}

/// Manifests that are looked at.
pub(super) struct Look {
    pub(super) manifests: Manifests,
    pub(super) namespace: Namespace,
}

/// Changes manifests as `make` says, shows it, commits it, pushes it.
///
/// `make` is called again where somebody else changed what it saw.
pub(super) fn edit(
    arguments: &EditArguments,
    context: &mut Context<'_>,
    make: impl FnMut(&mut Desk<'_>) -> anyhow::Result<Outcome>,
) -> anyhow::Result<ExitCode> {
    edit_then(arguments, context, make).map(|done| done.code)
}

/// What came of a change.
pub(super) struct Done {
    pub(super) code: ExitCode,
    /// The commit that was made.
    pub(super) commit: Option<CommitId>,
    /// Whether nothing was changed on purpose.
    pub(super) is_dry: bool,
    /// Whether something was changed and left uncommitted.
    pub(super) is_uncommitted: bool,
}

/// As [`edit`], for a command that goes on with what was changed.
pub(super) fn edit_then(
    arguments: &EditArguments,
    context: &mut Context<'_>,
    mut make: impl FnMut(&mut Desk<'_>) -> anyhow::Result<Outcome>,
) -> anyhow::Result<Done> {
    if arguments.live {
        anyhow::bail!(
            "--live is for `tag` alone: only spec tags can be put over git. Leave it out to change git, or use \
             `tag --live` (and then `import-image`)"
        );
    }
    let config = offline::settings(&arguments.settings, context)?;
    let writer = writer(arguments, &config)?;
    let is_dry = arguments.is_dry();
    let attempts = if writer.is_bare() { ATTEMPTS_BARE } else { ATTEMPTS };
    for attempt in 1..=attempts {
        let snapshot = writer.read()?;
        let mut desk = Desk {
            manifests: manifests(&snapshot, &config),
            config: &config,
            namespace: arguments.namespace(&config).clone(),
            snapshot,
            suffix: arguments.suffix(),
        };
        let outcome = make(&mut desk)?;
        let edits = desk.manifests.edits();
        refuse_unread(&writer, &desk, &edits)?;
        let message = arguments.message.as_deref().unwrap_or(&outcome.message);
        let keep = if arguments.no_commit { Keep::WorkTree } else { Keep::Commit(message) };
        let written = if edits.is_empty() || is_dry {
            Ok(None)
        } else {
            // Not asked of somebody for whom nothing is to be written, such as one who only imports.
            writer.check(keep)?;
            if arguments.push {
                writer.check_push()?;
            }
            writer.write(&desk.snapshot, &edits, keep).map(Some)
        };
        match written {
            Err(WriteError::Moved(_) | WriteError::Locked { .. }) if attempt < attempts => {}
            written => {
                write!(context.err, "{}", desk.manifests.diff())?;
                let written = written?;
                let is_uncommitted = written.is_some() && arguments.no_commit;
                let commit = written.and_then(|written| written.commit);
                let told = Told { arguments, writer: &writer, config: &config };
                let code = tell(&told, outcome, commit.as_ref(), context)?;
                let commit = commit.map(|(id, _)| id);
                return Ok(Done { code, commit, is_dry, is_uncommitted });
            }
        }
    }
    anyhow::bail!("somebody else changes the same manifests all the time; try again")
}

struct Told<'a> {
    arguments: &'a EditArguments,
    writer: &'a Writer,
    config: &'a Config,
}

/// Says what was done, and pushes.
fn tell(
    told: &Told<'_>,
    outcome: Outcome,
    commit: Option<&(CommitId, String)>,
    context: &mut Context<'_>,
) -> anyhow::Result<ExitCode> {
    for line in &outcome.lines {
        writeln!(context.out, "{line}")?;
    }
    for note in &outcome.notes {
        writeln!(context.err, "{note}")?;
    }
    let mut code = ExitCode::Done;
    if let Some((id, branch)) = commit {
        let id = id.short();
        writeln!(context.err, "committed {id} to `{branch}` of {}", told.writer.shown())?;
        if told.arguments.push {
            match told.writer.push() {
                Ok(remote) => writeln!(context.err, "pushed to `{remote}`")?,
                Err(error) => {
                    super::print_error(context, &error.into())?;
                    code = ExitCode::Error;
                }
            }
        } else if is_remote(told.config) {
            writeln!(
                context.err,
                "the daemon reads a remote repository (`source.repository`), so this waits for `git push`"
            )?;
        } else if *branch != told.config.source.branch {
            let watched = &told.config.source.branch;
            writeln!(
                context.err,
                "the daemon reads the branch `{watched}` (`source.branch`), so this waits for a merge"
            )?;
        }
    }
    if let Some(error) = outcome.failed {
        super::print_error(context, &error)?;
        code = ExitCode::Error;
    }
    Ok(code)
}

fn is_remote(config: &Config) -> bool {
    let repository = &config.source.repository;
    !repository.is_empty() && !Path::new(repository).is_absolute()
}

/// A new file that the daemon does not read would change nothing.
fn refuse_unread(
    writer: &Writer,
    desk: &Desk<'_>,
    edits: &[crate::action::FileEdit],
) -> anyhow::Result<()> {
    for edit in edits.iter().filter(|edit| edit.before.is_none()) {
        let path = &edit.path;
        if !writer.wants(&desk.snapshot, path)? {
            anyhow::bail!(
                "`{path}` would not be read by the daemon: it lies outside of `source.paths`, or `{}` leaves it out; set \
                 `edit.folder` to a folder that is read",
                desk.config.source.ignore_file
            );
        }
        if desk.snapshot.files.iter().any(|file| file.path == *path) {
            anyhow::bail!("`{path}` is there already and cannot be read; move it away first");
        }
    }
    Ok(())
}

fn manifests(snapshot: &Snapshot, config: &Config) -> Manifests {
    let files = snapshot.files.iter().map(|file| (file.path.as_str(), file.bytes.as_deref()));
    Manifests::new(files, &config.policy)
}

/// The repository: the one that is named, the one that we are in, or the configured one.
fn writer(arguments: &EditArguments, config: &Config) -> anyhow::Result<Writer> {
    let source = config.source.source();
    if let Some(path) = &arguments.repo {
        return Ok(Writer::open(path, source)?);
    }
    let here = std::env::current_dir().context("the current directory cannot be told")?;
    if crate::world::git::is_in_repository(&here) {
        return Ok(Writer::open(&here, source)?);
    }
    let set = Path::new(&config.source.repository);
    if set.is_absolute() {
        return Ok(Writer::open(set, source)?);
    }
    Ok(Writer::open(&here, source)?)
}
