//! `tidegate cancel-build`: builds are ended (rule C16).

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;

use super::build_log::{Following, LogFile, Stand, find};
use super::resource::Resource;
use super::{ApiError, UsageError};
use crate::action::{BuildOrder, CancelBuildOrder};
use crate::cli::offline::{self, Extent, Shown};
use crate::cli::{Context, ExitCode, ask};
use crate::config;
use crate::control::{Question, Reply};
use crate::fact::BuildEnd;
use crate::names::{Kind, Namespace, ObjectKey};
use crate::observed::build::Build;

/// How long an end is waited for, as in `oc`.
const END_TIMEOUT: Duration = Duration::from_secs(30);

/// The state of a build that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// It waits
    New,
    /// It is about to run, which no build here is for long
    Pending,
    /// It runs
    Running,
}

/// End builds that wait or run, as `oc cancel-build` does
///
/// The running daemon ends them. Named by a BuildConfig, all its builds that have not ended are meant.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// Builds, or those of a BuildConfig: `web-3`, `build/web-3`, `bc/web`
    #[arg(value_name = "BUILD|bc/NAME")]
    words: Vec<String>,
    /// Only builds in this state
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<State>,
    /// Print their logs first
    #[arg(long)]
    dump_logs: bool,
    /// Start a new build in the place of each, with the same images and the same commit
    #[arg(long)]
    restart: bool,
    /// Namespace of the builds [default: `default_namespace`]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<Namespace>,
    #[command(flatten)]
    settings: config::SettingArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    if command.words.is_empty() {
        let message = "build or a buildconfig name is required".to_owned();
        return Err(UsageError { command: "cancel-build", message }.into());
    }
    let config = offline::settings(&command.settings, context)?;
    let mut shown = offline::show(config, &Extent::Whole)?;
    let default = shown.config.policy.default_namespace.clone();
    let namespace = command.namespace.clone().unwrap_or(default);
    let mut cancelling =
        Cancelling { command, namespace: &namespace, shown: &mut shown, failed: false };
    let builds = cancelling.find(context)?;
    if command.dump_logs {
        cancelling.dump_logs(&builds, context)?;
    }
    cancelling.cancel(&builds, context)?;
    if command.restart {
        for build in &builds {
            cancelling.restart(build, context)?;
        }
    }
    if cancelling.failed {
        bail!("failure during the build cancellation");
    }
    Ok(ExitCode::Done)
}

struct Cancelling<'a> {
    command: &'a Command,
    namespace: &'a Namespace,
    shown: &'a mut Shown,
    failed: bool,
}

impl Cancelling<'_> {
    fn say(&mut self, context: &mut Context<'_>, why: &str) -> std::io::Result<()> {
        self.failed = true;
        writeln!(context.err, "error: {why}")
    }

    /// The builds that are meant and have not ended.
    fn find(&mut self, context: &mut Context<'_>) -> anyhow::Result<Vec<Build>> {
        let mut found = Vec::new();
        for word in &self.command.words {
            let (kind, name) = match word.split_once('/') {
                None => (Resource::Builds, word.as_str()),
                Some((kind, name)) => match Resource::from_word(kind) {
                    Some(known @ (Resource::Builds | Resource::BuildConfigs)) => (known, name),
                    Some(_) | None => bail!("invalid resource provided: {kind}"),
                },
            };
            if kind == Resource::BuildConfigs {
                let namespace = self.namespace.clone();
                let key = ObjectKey { kind: Kind::BuildConfig, namespace, name: name.parse()? };
                let state = self.shown.observed.builds.get(&key);
                if state.is_none() && !self.shown.desired.builds.contains_key(&key) {
                    return Err(ApiError::not_found(&Resource::BuildConfigs.plural(), name).into());
                }
                found.extend(state.into_iter().flat_map(|state| state.active().cloned()));
                continue;
            }
            match find(&self.shown.observed, self.namespace, name.trim()) {
                Some(build) => found.push(build.clone()),
                None => {
                    let why = format!("build {}/{name} not found", self.namespace);
                    self.say(context, &why)?;
                }
            }
        }
        found.retain(|build| build.ended.is_none() && self.is_meant(build));
        Ok(found)
    }

    fn is_meant(&self, build: &Build) -> bool {
        let state = if build.started.is_some() { State::Running } else { State::New };
        self.command.state.is_empty() || self.command.state.contains(&state)
    }

    fn dump_logs(&mut self, builds: &[Build], context: &mut Context<'_>) -> anyhow::Result<()> {
        for build in builds.iter().filter(|build| build.started.is_some()) {
            let name = &build.created.name;
            writeln!(context.out, "==== Build {}/{name} logs ====", self.namespace)?;
            let mut log = LogFile::of(self.shown, self.namespace, name);
            loop {
                let piece = log.read()?;
                context.out.write_all(&piece)?;
                if piece.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Orders the end of all before any end is waited for: when one ends, the next of its BuildConfig may begin.
    fn cancel(&mut self, builds: &[Build], context: &mut Context<'_>) -> anyhow::Result<()> {
        // What waits goes first, and the newest of it, so that nothing is left that could begin.
        let mut all: Vec<&Build> = builds.iter().collect();
        all.sort_by_key(|build| (build.started.is_some(), std::cmp::Reverse(build.seq)));
        let mut ending = BTreeSet::new();
        for build in all {
            if self.order_end(build, context)? {
                ending.insert(build.seq);
            }
        }
        let began = jiff::Timestamp::now();
        for build in builds.iter().filter(|build| ending.contains(&build.seq)) {
            self.wait_for_end(build, began, context)?;
        }
        Ok(())
    }

    /// Whether it ends now.
    fn order_end(&mut self, build: &Build, context: &mut Context<'_>) -> anyhow::Result<bool> {
        let (object, name) = (build.created.object.clone(), &build.created.name);
        let ending = CancelBuildOrder { object, number: Some(build.created.number) };
        let why = match order(self.shown, &Question::CancelBuild(ending))? {
            Reply::Cancelled(_) => None,
            Reply::Nothing(why) | Reply::Refused(why) => Some(why),
            Reply::Done(_)
            | Reply::Ordered(_)
            | Reply::Started(_)
            | Reply::Uploaded(_)
            | Reply::Looking(_)
            | Reply::Status(_)
            | Reply::Pruned(_)
            | Reply::Hooks(_) => bail!(ask::SOMETHING_ELSE),
        };
        if let Some(why) = why {
            self.say(context, &format!("{}/{name}: {why}", self.namespace))?;
            return Ok(false);
        }
        let singular = Resource::Builds.singular();
        writeln!(
            context.out,
            "{singular}/{name} marked for cancellation, waiting to be cancelled"
        )?;
        context.out.flush()?;
        Ok(true)
    }

    fn wait_for_end(
        &mut self,
        build: &Build,
        began: jiff::Timestamp,
        context: &mut Context<'_>,
    ) -> anyhow::Result<()> {
        let (object, name) = (build.created.object.clone(), &build.created.name);
        let singular = Resource::Builds.singular();
        let mut following = Following::of(self.shown, object, build.seq);
        let why = loop {
            let waited = jiff::Timestamp::now().duration_since(began).unsigned_abs();
            match following.look()? {
                Stand::Ended(BuildEnd::Cancelled) | Stand::Forgotten => {
                    writeln!(context.out, "{singular}/{name} cancelled")?;
                    return Ok(());
                }
                Stand::Ended(end) => break format!("it is {end}"),
                Stand::New | Stand::Running if waited >= END_TIMEOUT => {
                    break "timed out waiting for the condition".to_owned();
                }
                Stand::New | Stand::Running => following.wait(),
            }
        };
        let why = format!("build {}/{name} failed to cancel: {why}", self.namespace);
        Ok(self.say(context, &why)?)
    }

    fn restart(&mut self, build: &Build, context: &mut Context<'_>) -> anyhow::Result<()> {
        let (name, again) = (&build.created.name, Some(build.created.number));
        let object = build.created.object.clone();
        let again = BuildOrder { object, webhook: None, options: Default::default(), again };
        match order(self.shown, &Question::StartBuild(Box::new(again)))? {
            Reply::Started(_) => {
                writeln!(context.out, "{}/{name} restarted", Resource::Builds.singular())?;
            }
            Reply::Nothing(why) | Reply::Refused(why) => {
                let why = format!("build {}/{name} failed to restart: {why}", self.namespace);
                self.say(context, &why)?;
            }
            Reply::Done(_)
            | Reply::Ordered(_)
            | Reply::Cancelled(_)
            | Reply::Uploaded(_)
            | Reply::Looking(_)
            | Reply::Status(_)
            | Reply::Pruned(_)
            | Reply::Hooks(_) => bail!(ask::SOMETHING_ELSE),
        }
        Ok(())
    }
}

fn order(shown: &Shown, question: &Question) -> anyhow::Result<Reply> {
    let socket = &shown.config.control_socket;
    ask::ask(socket, question)?.ok_or_else(|| ask::no_daemon(socket))
}
