//! The builder: images built by buildah out of what a `BuildConfig` names (sections 4.6 to 4.9 of the triggers
//! specification).
//!
//! A build may be asked for again under its key: after a crash its image is gone on with if it was built to its end, and
//! else it is built anew; whatever of it still runs is ended before. What a build is of is never run by the daemon itself,
//! but by buildah with the isolation that is configured.

mod archive;
mod docker;
mod git;
mod heeded;
mod hidden;
mod image;
mod inputs;
mod log;
mod places;
mod program;
mod run;
mod source;
mod tidy;
mod unpack;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::registry::Registries;
use super::target::{ReadConfigs, ReadManifest, lock_path, take_lock};
use crate::action::{BuildReport, BuildRequest};
use crate::builds::{BuildSpec, Provenance};
use crate::pods::{ConfigName, Contents, SourceKind};
use log::Log;
use places::{Places, cannot_note};
use program::{Confined, Tools};
use run::Run;

/// How commands of a build are kept apart from the host (buildah-build(1), `--isolation`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Isolation {
    /// By a change of the root directory: needs no privileges that a container would need.
    #[default]
    Chroot,
    /// In a container.
    Oci,
    /// In a container of an ordinary user.
    Rootless,
}

impl Isolation {
    /// As buildah calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chroot => "chroot",
            Self::Oci => "oci",
            Self::Rootless => "rootless",
        }
    }
}

/// How the builder works.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BuilderConfig {
    /// An absolute path, or a name to look up in `PATH`.
    pub buildah: PathBuf,
    /// The `git` program.
    pub git: PathBuf,
    /// How commands are kept apart.
    pub isolation: Isolation,
    /// Bytes of a log.
    pub log_bytes_max: u64,
    /// What its programs get of our environment.
    pub environment: BTreeMap<String, String>,
}

/// Builds images. Cheap to clone.
#[derive(Clone)]
pub struct Builder(Arc<Inner>);

struct Inner {
    config: BuilderConfig,
    places: Places,
    locks: PathBuf,
    manifests: ReadManifest,
    configs: ReadConfigs,
    registries: Registries,
    confined: OnceCell<Confined>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.0.config).finish_non_exhaustive()
    }
}

impl Builder {
    /// Makes a builder ready; what it leaves is below `builds/` of `state_dir`.
    ///
    /// # Errors
    /// When that folder cannot be made.
    pub fn new(
        config: BuilderConfig,
        state_dir: &Path,
        (manifests, configs): (ReadManifest, ReadConfigs),
        registries: Registries,
    ) -> io::Result<Self> {
        let places = Places::new(state_dir)?;
        let locks = std::path::absolute(state_dir)?.join("locks");
        std::fs::create_dir_all(&locks)?;
        let confined = OnceCell::new();
        Ok(Self(Arc::new(Inner {
            config,
            places,
            locks,
            manifests,
            configs,
            registries,
            confined,
        })))
    }

    /// Which buildah answers.
    ///
    /// # Errors
    /// Why none does, and what to do.
    pub async fn check(&self) -> Result<String, String> {
        let program = &self.0.config.buildah;
        let shown = program.display();
        let mut command = tokio::process::Command::new(program);
        command.arg("--version").stdin(std::process::Stdio::null()).kill_on_drop(true);
        let asked = tokio::time::timeout(crate::limits::PODMAN_LOOK_TIMEOUT, command.output());
        let advice = "install buildah, or correct `builds.buildah` in the configuration";
        match asked.await {
            Ok(Ok(answer)) if answer.status.success() => {
                Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
            }
            Ok(Ok(answer)) => Err(format!(
                "`{shown} --version` ended with {}: {}; {advice}",
                answer.status,
                words(&String::from_utf8_lossy(&answer.stderr))
            )),
            Ok(Err(error)) => Err(format!("cannot start `{shown}`: {error}; {advice}")),
            Err(_) => Err(format!("`{shown} --version` does not answer; {advice}")),
        }
    }

    /// Runs a build, or goes on with one.
    pub async fn build(&self, request: &BuildRequest, cancel: CancellationToken) -> BuildReport {
        match self.0.build(request, &cancel).await {
            Ok(report) => report,
            Err(reason) => BuildReport::Transient { reason, retry_after: None },
        }
    }
}

impl Inner {
    async fn build(
        &self,
        request: &BuildRequest,
        cancel: &CancellationToken,
    ) -> Result<BuildReport, String> {
        let end = tokio::time::Instant::now().checked_add(request.left);
        let place = self.places.of(&request.key, &request.name);
        // What outlived a daemon that was killed has nobody who reads what it prints: it is ended at once.
        let path = lock_path(&self.locks, &request.key);
        let lock = tokio::select! {
            lock = take_lock(&path, Duration::ZERO) => lock,
            () = cancel.cancelled() => return Err("it was cancelled while an earlier run of it was ended".into()),
        };
        let lock = lock.map_err(|error| format!("cannot lock `{}`: {error}", path.display()))?;
        let (made, goes_on) = match place.made() {
            Some(made) => (made, true),
            None => (place.begin().map_err(|error| cannot_note(&error))?, false),
        };
        let log = Log::open(&place.log, self.config.log_bytes_max).map_err(|error| {
            format!(
                "cannot write the log `{}`: {error}; look whether the file system of the state directory has space left",
                place.log.display()
            )
        })?;
        let confined = *self.confined.get_or_init(|| program::confined(&self.config)).await;
        let tools = Tools { config: &self.config, log: &log, lock, cancel, end, confined };
        let (spec, contents) = match self.read(request).await {
            Ok(read) => read,
            Err(why) => {
                tools.lock.give_back();
                return Err(why);
            }
        };
        // What is handed over takes the place of the repository (rule B10).
        let source = spec.source.git.as_ref().filter(|_| request.options.binary.is_none());
        let provenance = Provenance {
            name: request.name.clone(),
            namespace: request.object.namespace.to_string(),
            source: source.map(|git| git.uri.clone()),
            reference: source.map(|git| git.r#ref.clone()).filter(|name| !name.is_empty()),
            branch: None,
            revision: None,
            context_dir: Some(spec.source.context_dir.clone()).filter(|dir| !dir.is_empty()),
        };
        let (builder, place) = (self, &place);
        let mut run = Run { builder, request, spec, contents, tools, place, made, provenance };
        if goes_on {
            log.say("The build goes on after a restart of the builder.");
            run.clear_containers().await;
        }
        let done = match request.ends {
            true => run.end().await,
            false => Box::pin(run.run()).await,
        };
        let report = run.told(done);
        run.clear(&report).await;
        log.finish();
        match &report {
            BuildReport::Ended(_) => run.tools.lock.forget(&path),
            BuildReport::Transient { .. } => run.tools.lock.give_back(),
        }
        Ok(report)
    }

    /// The manifest, and the `ConfigMap`s and `Secret`s of its namespace: those of its commit, and those outside of git.
    async fn read(
        &self,
        request: &BuildRequest,
    ) -> Result<(BuildSpec, BTreeMap<ConfigName, Contents>), String> {
        let (manifests, configs) = (Arc::clone(&self.manifests), Arc::clone(&self.configs));
        let (hash, commit) = (request.manifest, request.commit);
        let namespace = request.object.namespace.clone();
        let registries = self.registries.clone();
        let read = tokio::task::spawn_blocking(move || {
            let manifest = manifests(&hash)
                .map_err(|error| format!("cannot read the manifest of the build: {error}"))?;
            let spec = BuildSpec::read(&manifest).map_err(|error| error.to_string())?;
            let mut contents = BTreeMap::new();
            for (name, secret) in registries.own_secrets(&namespace) {
                contents.insert(ConfigName { kind: SourceKind::Secret, name }, secret);
            }
            let of_git = configs(&commit).map_err(|why| {
                format!("cannot read the ConfigMaps and Secrets of {}: {why}", commit.short())
            })?;
            let own = of_git.iter().filter(|((of, _), _)| *of == namespace);
            contents.extend(own.map(|((_, name), held)| (name.clone(), held.clone())));
            Ok((spec, contents))
        });
        read.await.unwrap_or_else(|error| Err(error.to_string()))
    }
}

/// Characters of what is told of a reason.
const WORDS_MAX: usize = 500;

/// Why buildah said no, in one line.
fn words(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let error = lines.clone().rev().find_map(|line| line.strip_prefix("Error: "));
    let line = error.or_else(|| lines.next_back()).unwrap_or("it said nothing");
    let line: Vec<char> = line.chars().filter(|c| !c.is_control()).collect();
    // What it was doing stands at the beginning, and why it could not at the end.
    let line: String = match line.as_slice() {
        [begin @ .., _] if begin.len() >= WORDS_MAX => {
            let (begin, _) = line.split_at(WORDS_MAX / 2);
            let (_, end) = line.split_at(line.len() - WORDS_MAX / 2);
            begin.iter().chain(&[' ', '.', '.', '.', ' ']).chain(end).collect()
        }
        all => all.iter().collect(),
    };
    crate::secret::masked(&line)
}
