//! What commands know without the daemon: journal, adopted commit and settings, read without a lock.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::config::{self, Config};
use crate::daemon::{self, TagsOf};
use crate::desired::{DesiredState, Object, Tree};
use crate::effective;
use crate::engine::Engine;
use crate::fact::Fact;
use crate::journal::{self, JournalError, ObjectStore, Reader, Snapshot, StateError};
use crate::names::{CommitId, ContentHash, Namespace, StreamName};
use crate::observed::{Narrow, ObservedState};
use crate::report::log::streams_named;
use crate::report::select::{Known, Selection};
use crate::time::{Monotonic, Now, Timestamp};
use crate::world::git::{Freshness, Source};

use super::Context;

/// How reports are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    Text,
    /// For programs: one object, with `formatVersion`
    Json,
}

/// Options of every command that reports on objects.
#[derive(Debug, clap::Args)]
pub(super) struct ObjectArguments {
    /// A workload, image stream or tag [default: everything]
    ///
    /// By name (`web`), with its namespace (`shop/web`), with its kind (`dc/web`, `deployment/web`, `is/python`), or a
    /// tag (`python:3.6`, `istag/python:3.6`).
    #[arg(value_name = "OBJECT")]
    pub(super) object: Option<String>,
    /// Namespace of an OBJECT that names none [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(super) namespace: Option<Namespace>,
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    pub(super) output: Output,
    #[command(flatten)]
    pub(super) settings: config::SettingArguments,
}

impl ObjectArguments {
    /// What is asked about, among everything that is known.
    pub(super) fn select(
        &self,
        config: &Config,
        known: &Known,
    ) -> anyhow::Result<Option<Selection>> {
        let namespace = self.namespace.as_ref().unwrap_or(&config.policy.default_namespace);
        Ok(self.object.as_ref().map(|object| known.select(object, namespace)).transpose()?)
    }
}

/// Everything that can be known without the daemon.
pub(super) struct Offline {
    pub(super) config: Config,
    /// The state that the journal proves, with the adopted commit in force if it could be read.
    pub(super) engine: Engine,
    /// Why the adopted commit could not be read.
    pub(super) unread: Option<String>,
    /// The source; none if none is set or it cannot be used, which `unread` then says.
    pub(super) source: Option<Source>,
    pub(super) now: Now,
    /// A mirror that is thrown away, where no daemon ever made one.
    _scratch: Option<tempfile::TempDir>,
}

/// Reads the settings and says what is odd about them.
pub(super) fn settings(
    arguments: &config::SettingArguments,
    context: &mut Context<'_>,
) -> anyhow::Result<Config> {
    settings_of(&arguments.flags(context.global.config.clone()), context)
}

/// The same, of these flags.
pub(super) fn settings_of(
    flags: &config::Flags,
    context: &mut Context<'_>,
) -> anyhow::Result<Config> {
    let config = config::load(flags)?;
    for warning in &config.warnings {
        writeln!(context.err, "warning: {warning}")?;
    }
    Ok(config)
}

/// Reads the journal and the adopted commit.
///
/// # Errors
/// When the journal cannot be read. A commit that cannot be read is no error: it says so in the result.
pub(super) fn open(config: Config) -> anyhow::Result<Offline> {
    let wall = Timestamp::from_jiff(jiff::Timestamp::now());
    let now = Now { wall, mono: Monotonic::START };
    let observed = state(&config.state_dir)?;
    Ok(open_at(config, observed, now))
}

/// Reads the commit that was adopted in a state, as of a time.
pub(super) fn open_at(config: Config, observed: ObservedState, now: Now) -> Offline {
    let store = ObjectStore::at(&config.state_dir);
    let mut engine = Engine::new(config.policy.clone(), observed, now);
    let (source, scratch) = match source(&config) {
        Ok((source, scratch)) => (Ok(source), scratch),
        Err(error) => (Err(error), None),
    };
    let mut unread = None;
    if let Some(adopted) = engine.observed().adopted.clone() {
        match source.as_ref().map_err(|error| format!("{error:#}")).and_then(|source| {
            let kept = kept_versions(engine.observed(), &store).map_err(|e| format!("{e:#}"))?;
            Ok((adopted_read(source, &adopted.commit)?, kept))
        }) {
            Ok((read, kept)) => engine.load(&read, kept),
            Err(why) => unread = Some(why),
        }
    } else if let Err(error) = &source {
        unread = Some(format!("{error:#}"));
    }
    Offline { config, engine, unread, source: source.ok(), now, _scratch: scratch }
}

/// What the journal and the adopted commit say, without an engine: enough to show objects.
pub(super) struct Shown {
    pub(super) config: Config,
    /// What git asks for, as far as it is adopted.
    pub(super) desired: DesiredState,
    /// What the journal proves.
    pub(super) observed: ObservedState,
    /// Why the adopted commit could not be read.
    pub(super) unread: Option<String>,
    /// Where the journal goes on; none before there is one.
    records: Option<Reader>,
    /// The files of the commit; kept, so that they need not be taken apart before something is shown.
    _tree: Tree,
}

impl Shown {
    /// Takes in the next record, and the commit that it adopts; none where the journal ends for now.
    ///
    /// # Errors
    /// When the journal cannot be read on. [`JournalError`] says whether its files went meanwhile.
    pub(super) fn advance(&mut self) -> Result<Option<Fact>, JournalError> {
        let Some(records) = &mut self.records else { return Ok(None) };
        let Some(record) = records.next().transpose()? else { return Ok(None) };
        self.observed.apply(&record);
        if matches!(record.fact, Fact::CommitAdopted(_) | Fact::RemovalsReleased(_)) {
            let cached =
                daemon::cached_manifests(&self.config, TagsOf::All).join().unwrap_or_default();
            // What cannot be read stays as it was: the next commit may be readable again.
            match desired(&self.config, &self.observed, cached) {
                Ok((desired, tree)) => {
                    (self.desired, self.unread, self._tree) = (desired, None, tree);
                }
                Err(why) => self.unread = Some(why),
            }
        } else if matches!(record.fact, Fact::TagsListed(_) | Fact::OverlaySet(_)) {
            let policy = &self.config.policy;
            effective::overlay(&mut self.desired, &self.observed, policy);
        }
        Ok(Some(record.fact))
    }

    /// Whether there is a journal to go on with.
    pub(super) fn has_journal(&self) -> bool {
        self.records.is_some()
    }
}

/// How much is read of what is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// These streams, and of the others nothing.
    Streams(BTreeSet<StreamName>),
    /// All streams, as far as their rows show them.
    Outline,
}

/// Reads the journal and, beside it, the adopted commit as a daemon left it in its cache; else from the mirror.
///
/// What is not in `extent` is not taken apart; what is used is verified in any case.
///
/// # Errors
/// When the journal cannot be read. A commit that cannot be read is no error: it says so in the result.
pub(super) fn show(config: Config, extent: &Extent) -> anyhow::Result<Shown> {
    let of = match extent {
        Extent::Whole => TagsOf::All,
        Extent::Streams(only) => TagsOf::Streams(only.clone()),
        Extent::Outline => TagsOf::Streams(BTreeSet::new()),
    };
    let cached = daemon::cached_manifests(&config, of);
    let (observed, records) = match in_part(&config.state_dir, extent) {
        Some((observed, records)) => (observed, Some(records)),
        None => state_and_rest(&config.state_dir, extent)?,
    };
    let cached = cached.join().unwrap_or_default();
    let (desired, tree, unread) = match desired(&config, &observed, cached) {
        Ok((desired, tree)) => (desired, tree, None),
        Err(why) => (DesiredState::default(), Tree::default(), Some(why)),
    };
    Ok(Shown { config, desired, observed, unread, records, _tree: tree })
}

/// What git asks for by the adopted commit, or why that cannot be told.
fn desired(
    config: &Config,
    observed: &ObservedState,
    cached: Option<(CommitId, Tree)>,
) -> Result<(DesiredState, Tree), String> {
    let tree = adopted_tree(config, observed, cached)?;
    let store = ObjectStore::at(&config.state_dir);
    let kept = kept_versions(observed, &store).map_err(|error| format!("{error:#}"))?;
    let kept = kept.iter().map(|(hash, object)| (hash, object));
    Ok((effective::in_force(&tree, observed, kept, &config.policy), tree))
}

/// The files of the adopted commit; none where nothing is adopted.
fn adopted_tree(
    config: &Config,
    observed: &ObservedState,
    cached: Option<(CommitId, Tree)>,
) -> Result<Tree, String> {
    let adopted = observed.adopted.as_ref().map(|adopted| adopted.commit);
    if let Some((_, tree)) = cached.filter(|(commit, _)| Some(*commit) == adopted) {
        return Ok(tree);
    }
    let (source, _scratch) = source(config).map_err(|error| format!("{error:#}"))?;
    let mut tree = Tree::default();
    if let Some(commit) = &adopted {
        tree.apply(&adopted_read(&source, commit)?, &config.policy);
    }
    Ok(tree)
}

/// The state that the journal proves; a state directory that no daemon ever used has none.
pub(super) fn state(state_dir: &Path) -> anyhow::Result<ObservedState> {
    Ok(state_and_rest(state_dir, &Extent::Whole)?.0)
}

/// The same, and where the journal goes on.
fn state_and_rest(
    state_dir: &Path,
    extent: &Extent,
) -> anyhow::Result<(ObservedState, Option<Reader>)> {
    if !has_journal(state_dir)? {
        return Ok((ObservedState::default(), None));
    }
    let mut unusable = None;
    let opened = journal::read_state_as(state_dir, |snapshot| match read(&snapshot, extent) {
        Ok(state) => Some((state, matches!(extent, Extent::Outline).then_some(snapshot))),
        Err(error) => {
            unusable = Some(error);
            None
        }
    });
    let (state, mut records) = match (opened, unusable) {
        (Err(error), Some(why)) => {
            return Err(anyhow::Error::new(error)
                .context(format!("the snapshot of the journal cannot be used: {why}")));
        }
        (opened, _) => opened?,
    };
    let (mut state, snapshot) = state.unwrap_or_default();
    let Some(snapshot) = snapshot else {
        for record in &mut records {
            state.apply(&record?);
        }
        return Ok((state, Some(records)));
    };
    // What records change is read whole: they say what comes to what is there.
    let rest = (&mut records).collect::<Result<Vec<_>, _>>()?;
    let whole: BTreeSet<_> = rest.iter().flat_map(|record| streams_named(&record.fact)).collect();
    if !whole.is_empty() {
        state = snapshot.state::<Narrow<'_>>()?.outlined(&whole).map_err(StateError::Unknown)?;
    }
    rest.iter().for_each(|record| state.apply(record));
    Ok((state, Some(records)))
}

/// What is shown of streams, by the outline that a daemon keeps beside a snapshot and the records behind it.
///
/// None where that cannot be used or anything is wrong: reading the snapshot itself finds out what.
fn in_part(state_dir: &Path, extent: &Extent) -> Option<(ObservedState, Reader)> {
    if matches!(extent, Extent::Whole) {
        return None;
    }
    let kept = daemon::kept_outline(state_dir)?;
    let of = |sealed: journal::Sealed| kept.is_of(&sealed).then_some(sealed);
    let (snapshot, mut records) = journal::read_behind(state_dir, of).ok()?;
    let rest = (&mut records).collect::<Result<Vec<_>, _>>().ok()?;
    let state = match extent {
        Extent::Streams(only) => kept.only(&snapshot?, only)?,
        Extent::Outline | Extent::Whole => {
            let whole = rest.iter().flat_map(|record| streams_named(&record.fact)).collect();
            kept.state(&snapshot?, &whole)?
        }
    };
    Some((state.replay(&rest), records))
}

fn read(snapshot: &Snapshot, extent: &Extent) -> Result<ObservedState, StateError> {
    let narrow = || snapshot.state::<Narrow<'_>>();
    match extent {
        Extent::Whole => snapshot.state(),
        Extent::Streams(only) => narrow()?.of(only).map_err(StateError::Unknown),
        Extent::Outline => narrow()?.outlined(&BTreeSet::new()).map_err(StateError::Unknown),
    }
}

/// Whether a daemon ever wrote a journal here.
pub(super) fn has_journal(state_dir: &Path) -> anyhow::Result<bool> {
    state_dir.join("journal").try_exists().with_context(|| {
        let shown = state_dir.display();
        format!("cannot look into the state directory `{shown}` (state_dir); run this as its owner")
    })
}

/// Opens the source. Where no daemon made a mirror yet, none is left behind.
fn source(config: &Config) -> anyhow::Result<(Source, Option<tempfile::TempDir>)> {
    let settings = &config.source;
    if settings.repository.is_empty() {
        anyhow::bail!("no repository is set; set `source.repository`");
    }
    let source = settings.source();
    if config.state_dir.join("mirror.git").is_dir() {
        return Ok((Source::open(source, &config.state_dir)?, None));
    }
    let scratch = tempfile::tempdir().context("cannot make a temporary directory")?;
    Ok((Source::open(source, scratch.path())?, Some(scratch)))
}

/// What the manifests of the branch ask for, adopted or not: those of a local repository as they are now, those of a remote
/// one as they were fetched last, or now where they never were.
pub(super) fn head(config: &Config) -> anyhow::Result<DesiredState> {
    let (source, scratch) = source(config)?;
    let freshness = if scratch.is_some() { Freshness::Fetch } else { Freshness::Offline };
    let stop = tokio_util::sync::CancellationToken::new();
    let read = source.read_revision(None, freshness, &stop);
    let read = read.map_err(|failure| anyhow::anyhow!("{}", failure.message))?;
    let mut tree = Tree::default();
    tree.apply(&read, &config.policy);
    Ok(tree.assemble())
}

/// Reads the adopted commit from the mirror, else from a local repository that still has it.
fn adopted_read(source: &Source, commit: &CommitId) -> Result<crate::action::SourceRead, String> {
    source.read_adopted(commit).or_else(|failure| {
        let stop = tokio_util::sync::CancellationToken::new();
        let name = commit.to_string();
        let found = source.read_revision(Some(&name), Freshness::Offline, &stop);
        found.ok().filter(|read| read.commit == *commit).ok_or(failure.message)
    })
}

/// The last valid versions that stay in force. One that is lost is an error here: without it, a comparison would show
/// its object as removed.
fn kept_versions(
    observed: &ObservedState,
    store: &ObjectStore,
) -> anyhow::Result<Vec<(ContentHash, Object)>> {
    let read = |hash| {
        let object = daemon::kept_version(&hash, store)
            .context("the last valid version of an object that is held is lost")?;
        Ok((hash, object))
    };
    observed.kept_versions().map(read).collect()
}
