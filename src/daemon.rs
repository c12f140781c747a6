//! The loop: inputs, one step, effects in order; signals; readiness.
//!
//! Everything that can make the engine act comes through one channel. The loop takes all that waits, makes one step, and
//! carries the effects out in the order in which they stand: store, append and sync, and only then act (law 1). A
//! failed append ends the process with an error (law 2): what was decided is not on disk, so nothing may follow from it.

mod cache;
mod checks;
mod configs;
mod contents;
mod hooked;
mod inputs;
mod logins;
mod looking;
mod notify;
mod once;
mod open;
mod outline;
mod reading;
mod signals;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::action::{Action, ActionId, Ask, Input, Nudge, Request};
use crate::config::Config;
use crate::control::{self, Reply, Uploads};
use crate::effective;
use crate::engine::{Effect, Engine};
use crate::fact::{ConfigAdopted, Fact};
use crate::journal::{Journal, ObjectStore, Retention};
use crate::limits;
use crate::listener::{self, Hooks};
use crate::names::{CommitId, ContentHash, StreamName};
use crate::time::{Monotonic, Now, Timestamp};
use crate::world::World;
use crate::world::watch::{self, Watcher};

use reading::Reading;
use signals::Signals;

pub(crate) use cache::{TagsOf, begin as cached_manifests};
pub use contents::{PruneOrder, image_contents};
pub use hooked::{HookAsked, HookKnown};
pub use once::import_once;
pub(crate) use open::kept_version;
pub use open::{LostRecords, Opened, open};
pub(crate) use outline::read as kept_outline;
pub(crate) use upkeep::by_hand as compact_by_hand;

/// Inputs that may wait; more than a step can bring about by itself.
const INPUTS_WAITING_MAX: usize = 4096;

/// The two clocks of this process. Only this file reads them.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts the monotonic clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Reads both clocks.
    #[must_use]
    pub fn now(&self) -> Now {
        let wall = Timestamp::from_jiff(jiff::Timestamp::now());
        Now { wall, mono: Monotonic::from_start(self.start.elapsed()) }
    }

    fn instant(&self, at: Monotonic) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start) + at.since(Monotonic::START)
    }
}

/// A question with the place where its answer goes.
pub type Asked = (String, Request, oneshot::Sender<Reply>);

/// What reaches the loop from outside.
#[derive(Debug)]
pub enum Event {
    /// A statement about the outside.
    Input(Input),
    /// An operator asks.
    Asked(Asked),
    /// Read the configuration again.
    Reload,
    /// The files of logins were looked at.
    Logins(logins::Seen),
    /// The listener asks what is known of a `BuildConfig`.
    Hook(HookAsked),
    /// An operator asks to prune.
    Prune(PruneOrder),
    /// Look after the state directory now.
    Compact(oneshot::Sender<Reply>),
    /// Another thread went on with looking after it.
    Upkeep(upkeep::Progress),
}

/// The sending end of the loop's one channel.
pub type Events = mpsc::Sender<Event>;

/// Where a configuration comes from when it is to be read again.
pub type Reload = Box<dyn Fn() -> anyhow::Result<Config> + Send>;

/// A running daemon.
pub struct Daemon {
    engine: Engine,
    journal: Journal,
    store: ObjectStore,
    world: World,
    clock: Clock,
    events: Events,
    receiver: mpsc::Receiver<Event>,
    running: BTreeMap<ActionId, upkeep::Running>,
    actions: JoinSet<ActionId>,
    asked: BTreeMap<u64, oneshot::Sender<Reply>>,
    next_ask: u64,
    upkeep: upkeep::Upkeep,
    retention: Retention,
    notify: notify::Notify,
    reload: Reload,
    state_dir: PathBuf,
    /// The commit whose files the cache holds.
    cached: Option<CommitId>,
    /// What the first step takes in.
    first: Vec<Input>,
    /// The settings of the last reading that the journal has.
    reading: Option<Reading>,
    watcher: Option<Watcher>,
    logins: Option<logins::Look>,
    /// Whether it was told that the repository cannot be watched.
    unwatched: bool,
    wake_at: Monotonic,
    /// The one stream whose imports are carried out, where nothing else is.
    only: Option<StreamName>,
    /// The webhooks that are taken, where they are.
    hooks: Option<Hooks>,
    /// Podman's health checks, where it is we who have to ask them.
    checks: Option<checks::Checks>,
    /// What was handed over for builds that ended.
    used_inputs: BTreeSet<ContentHash>,
}

impl Daemon {
    /// Puts a daemon together from what [`open`] found.
    #[must_use]
    pub fn new(opened: Opened, reload: Reload) -> Self {
        let Opened {
            engine,
            journal,
            store,
            world,
            clock,
            records_since_snapshot,
            snapshot_at,
            ..
        } = opened;
        let (events, receiver) = mpsc::channel(INPUTS_WAITING_MAX);
        Self {
            engine,
            journal,
            store,
            world,
            clock,
            events,
            receiver,
            running: BTreeMap::new(),
            actions: JoinSet::new(),
            asked: BTreeMap::new(),
            next_ask: 1,
            upkeep: upkeep::Upkeep::new(records_since_snapshot, snapshot_at),
            retention: opened.retention,
            notify: notify::Notify::default(),
            reload,
            state_dir: opened.state_dir,
            cached: opened.cached,
            reading: opened.reading,
            watcher: None,
            logins: None,
            first: opened.first,
            unwatched: false,
            wake_at: Monotonic::START,
            only: None,
            hooks: None,
            checks: None,
            used_inputs: BTreeSet::new(),
        }
    }

    /// The sending end of the channel that reaches this daemon.
    #[must_use]
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When the journal or the object store cannot be written: nothing may go on then (law 2).
    pub async fn run(mut self) -> anyhow::Result<()> {
        let ended = self.work().await;
        self.upkeep.stop();
        self.end_actions().await;
        ended
    }

    /// Ends what still runs, so that nothing of it outlives the daemon: the next start repeats it.
    async fn end_actions(&mut self) {
        for action in self.running.values() {
            action.cancel.cancel();
        }
        let ended = async { while self.actions.join_next().await.is_some() {} };
        if tokio::time::timeout(limits::STOP_GRACE, ended).await.is_err() {
            tracing::warn!("programs that do not end when they are told to are killed");
        }
        self.actions.shutdown().await;
    }

    /// Says which buildah there is, or what to do where none answers.
    fn look_at_builder(&self) {
        let Some(builder) = self.world.builder.clone() else { return };
        tokio::spawn(async move {
            match builder.check().await {
                Ok(version) => tracing::info!(version, "this host builds images"),
                Err(why) => tracing::error!(why, "nothing can be built"),
            }
        });
    }

    async fn work(&mut self) -> anyhow::Result<()> {
        self.watch();
        self.look_at_logins();
        self.look_at_builder();
        if self.only.is_none() {
            self.checks = checks::Checks::start(&self.world.targets);
        }
        if self.engine.observed().adopted.is_some() {
            self.notify.ready(&self.engine);
        }
        let mut ping = tokio::time::interval(self.notify.interval());
        let mut first = std::mem::take(&mut self.first);
        first.extend(self.read_adopted());
        self.reconcile(first)?;
        loop {
            let wake = tokio::time::sleep_until(self.clock.instant(self.wake_at));
            let mut inputs = Vec::new();
            tokio::select! {
                event = self.receiver.recv() => match event {
                    Some(event) => self.take(event, &mut inputs)?,
                    None => return Ok(()), // every sender is gone, and this daemon holds one
                },
                () = wake => inputs.push(Input::Wake),
                Some(ended) = self.actions.join_next() => {
                    match ended {
                        Ok(id) => drop(self.running.remove(&id)),
                        Err(error) => tracing::error!(%error, "an action ended early"),
                    }
                    if !self.upkeep.is_waiting() {
                        continue;
                    }
                    // What it answered may still be on its way here; the collection must not come before it.
                }
                _ = ping.tick() => {
                    self.notify.alive();
                    continue;
                }
            }
            while let Ok(event) = self.receiver.try_recv() {
                self.take(event, &mut inputs)?;
            }
            if self.reconcile(inputs)? {
                return Ok(());
            }
            self.collect_when_quiet();
        }
    }

    fn take(&mut self, event: Event, inputs: &mut Vec<Input>) -> anyhow::Result<()> {
        match event {
            Event::Input(input) => inputs.push(input),
            Event::Asked((by, request, answer)) => {
                let id = self.next_ask;
                self.next_ask += 1;
                self.asked.insert(id, answer);
                inputs.push(Input::Asked(Ask { id, by, request }));
            }
            Event::Reload => {
                let adopted = self.reload()?;
                inputs.push(adopted.map_or(Input::Wake, Input::ConfigAdopted));
                inputs.push(Input::Nudged(Nudge::Logins));
            }
            Event::Logins(seen) => self.logins_seen(seen, inputs),
            Event::Hook(asked) => self.tell_hook(asked),
            Event::Prune(order) => self.ask_prune(order),
            Event::Compact(answer) => self.ask_upkeep(answer),
            Event::Upkeep(progress) => self.upkeep_went_on(progress, inputs),
        }
        Ok(())
    }

    /// One step and its effects. Returns whether the daemon is to end.
    fn reconcile(&mut self, mut inputs: Vec<Input>) -> anyhow::Result<bool> {
        inputs.extend(self.space());
        let stop = inputs.iter().any(|input| matches!(input, Input::Stop));
        let effects = self.engine.step(inputs, self.clock.now());
        for effect in effects {
            match effect {
                Effect::Store(values) => {
                    tokio::task::block_in_place(|| self.store.put_many(&values)).context(
                        "cannot keep a value in the object store; stopping, nothing was done",
                    )?;
                }
                Effect::Append(records) => {
                    tokio::task::block_in_place(|| self.journal.append(&records))
                        .context("cannot append to the journal; stopping, nothing was done")?;
                    self.upkeep.records += records.len() as u64;
                    for record in &records {
                        notify::log(record, self.engine.desired());
                        self.note_input(&record.fact);
                        if matches!(record.fact, Fact::RecordsLost(_)) {
                            self.forget_mark();
                        }
                    }
                }
                Effect::Cancel(id) => {
                    if let Some(action) = self.running.get(&id) {
                        action.cancel.cancel();
                    }
                }
                Effect::Start(id, action) => self.start(id, action),
                Effect::Answer(id, answer) => {
                    if let Some(asked) = self.asked.remove(&id) {
                        let reply = Reply::of(answer, self.clock.now());
                        looking::answer(&self.engine, &self.world.targets, reply, asked);
                    }
                }
                Effect::WakeAt(at) => self.wake_at = at,
                Effect::Exit => {}
            }
        }
        if !stop {
            self.look_after(self.clock.now())?;
            self.keep_reading();
            self.cache();
            self.notify.after_step(&self.engine);
            self.checks.iter().for_each(|checks| checks.go_on(&self.engine));
            self.forget_inputs();
        }
        Ok(stop)
    }

    /// Whether an action is carried out. What is not is as after a crash: it is planned again at the next start.
    fn is_wanted(&self, action: &Action) -> bool {
        let Some(only) = &self.only else { return true };
        let stream = self.engine.desired().streams.get(only);
        match action {
            Action::ReadSource(_) | Action::KeepCommit { .. } => true,
            Action::List(request) => stream
                .is_some_and(|stream| stream.repository.as_ref() == Some(&*request.repository)),
            Action::Resolve(request) => {
                let policy = self.engine.policy();
                stream.is_some_and(|stream| {
                    let tags = stream.tags.values();
                    let mut checks =
                        tags.filter_map(|spec| effective::check_of(stream, spec, policy));
                    checks.any(|check| check == request.check)
                })
            }
            Action::DeleteManifest(_)
            | Action::RollOut(_)
            | Action::AskRollout(_)
            | Action::Stop(_)
            | Action::Scale(_)
            | Action::Job(_)
            | Action::Build(_)
            | Action::TidyBuilds(_)
            | Action::Notify(_) => false,
        }
    }

    fn start(&mut self, id: ActionId, action: Action) {
        if !self.is_wanted(&action) {
            return;
        }
        // Before the look, so that no commit falls between the two.
        if matches!(action, Action::ReadSource(_))
            && self.watcher.as_ref().is_none_or(Watcher::is_stale)
        {
            self.watch();
        }
        let token = CancellationToken::new();
        self.running.insert(id, upkeep::Running::new(&action, token.clone()));
        let (world, events) = (self.world.clone(), self.events.clone());
        self.actions.spawn(async move {
            for input in Box::pin(world.perform(id, action, token)).await {
                drop(events.send(Event::Input(input)).await); // the loop may have ended
            }
            id
        });
    }

    /// What is left of the disk, where that changes whether anything may be started.
    fn space(&mut self) -> Option<Input> {
        match self.journal.space() {
            Ok(space) => {
                let was_short = self.engine.observed().space_short.is_some();
                (space.is_short(was_short) != was_short).then_some(Input::Space(space))
            }
            Err(error) => {
                tracing::warn!(%error, "cannot ask how much space the state directory has");
                None
            }
        }
    }

    /// The adopted commit as changed settings read it, where they changed while no daemon ran.
    ///
    /// It is adopted again, as it would have been by a reload; what the branch is now is read after it.
    fn read_adopted(&self) -> Vec<Input> {
        let now = Reading::of(self.engine.policy(), self.world.source.config());
        let adopted = self.engine.observed().adopted.as_ref();
        let Some(adopted) =
            adopted.filter(|_| self.reading.as_ref().is_some_and(|last| *last != now))
        else {
            return Vec::new();
        };
        match self.world.source.read_adopted(&adopted.commit) {
            Ok(mut read) => {
                read.branch.clone_from(&adopted.branch);
                let read = Input::SourceRead(ActionId(0), Ok(Box::new(read)));
                vec![read, Input::Nudged(Nudge::Source)]
            }
            // The source is about to be read, whole.
            Err(_) => Vec::new(),
        }
    }

    /// Keeps the settings that the files in force were read by, once the journal has what came of it.
    fn keep_reading(&mut self) {
        let adopted = self.engine.observed().adopted.as_ref().map(|adopted| adopted.commit);
        let now = Reading::of(self.engine.policy(), self.world.source.config());
        let is_new = self.reading.as_ref() != Some(&now);
        if adopted.is_some() && self.engine.tree_commit() == adopted && is_new {
            now.keep(&self.state_dir);
            self.cached = None; // it holds what other settings read
            self.reading = Some(now);
        }
    }

    /// Keeps the files of a newly adopted commit for the next start, beside the loop.
    fn cache(&mut self) {
        let adopted = self.engine.observed().adopted.as_ref().map(|adopted| adopted.commit);
        // A mirror that lost the commit leaves the files of no commit, which must not pass for those of this one.
        let is_loaded = self.engine.tree_commit() == adopted;
        let Some(commit) = adopted.filter(|_| is_loaded && adopted != self.cached) else { return };
        self.cached = adopted;
        let (dir, tree) = (self.state_dir.clone(), self.engine.tree().clone());
        let reader = cache::reader(self.engine.policy(), self.world.source.config());
        tokio::task::spawn_blocking(move || cache::write(&dir, commit, reader, &tree));
    }

    /// Reads the configuration again. A configuration that is wrong changes nothing.
    fn reload(&mut self) -> anyhow::Result<Option<ConfigAdopted>> {
        self.notify.reloading(self.clock.now());
        let mut adopted = None;
        match (self.reload)().and_then(|config| {
            let world = open::world(&config, &self.store)?;
            Ok((config, world))
        }) {
            Ok((config, world)) => {
                let before = Reading::of(self.engine.policy(), self.world.source.config());
                let after = Reading::of(&config.policy, world.source.config());
                self.world = world;
                self.retention = config.retention;
                adopted = Some(config.adopted());
                self.hooks.iter().for_each(|hooks| hooks.take(&config));
                self.engine.set_policy(config.policy);
                if before != after {
                    self.engine.forget_tree();
                }
                self.watch();
                self.look_at_logins();
                self.checks = checks::Checks::start(&self.world.targets);
                tracing::info!("configuration taken into use");
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the configuration is wrong; the one in use stays"
                );
            }
        }
        self.notify.ready(&self.engine);
        Ok(adopted)
    }

    /// Watches a local repository, anew if it is watched already; a remote one is polled.
    fn watch(&mut self) {
        self.watcher = None;
        let source = self.world.source.clone();
        let Some(path) = source.local_path() else { return };
        let events = self.events.clone();
        let nudge = move || {
            // A full channel means that a step is about to look anyway (law 5).
            drop(events.try_send(Event::Input(Input::Nudged(Nudge::Source))));
        };
        match watch::watch(path, nudge) {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                if std::mem::take(&mut self.unwatched) {
                    tracing::info!(path = %path.display(), "the repository is watched again");
                }
            }
            // It is tried again at each look; once is enough to tell.
            Err(_) if self.unwatched => {}
            Err(error) => {
                self.unwatched = true;
                tracing::warn!(path = %path.display(), %error, "cannot watch the repository; it is polled");
            }
        }
    }
}

/// Runs a daemon with its signals and its control socket until it is told to stop.
///
/// # Errors
/// When it cannot start, or when the journal cannot be written.
pub async fn serve(
    config: Config,
    lost_records: LostRecords,
    reload: Reload,
) -> anyhow::Result<()> {
    // First of all: a signal that comes while the journal is replayed is obeyed right after.
    let signals = Signals::listen().context("cannot listen for signals")?;
    let socket = config.control_socket.clone();
    let listens_at = config.listener.as_ref().map(|listener| listener.address.clone());
    let settings = config.clone();
    let opened = tokio::task::spawn_blocking(move || open(&config, lost_records)).await??;
    let state_dir = opened.state_dir.clone();
    // Of a snapshot that another version of the program wrote, or whose outline is lost.
    tokio::task::spawn_blocking(move || outline::refresh(&state_dir));
    let hooks = Hooks::new(&settings, opened.clock);
    let mut daemon = Daemon::new(opened, reload);
    daemon.hooks = Some(hooks.clone());
    let events = daemon.events();
    let uploads = Uploads::new(&daemon.state_dir, daemon.store.clone())?;
    let control = control::serve(&socket, events.clone(), hooks.clone(), uploads)?;
    let listener = match &listens_at {
        Some(address) => Some(listener::serve(address, hooks, events.clone()).await?),
        None => None,
    };
    let signals = tokio::spawn(signals.forward(events));
    let ended = daemon.run().await;
    signals.abort();
    drop((control, listener));
    ended
}
