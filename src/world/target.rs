//! Where rollouts go: nowhere, to a program, or to an address (rules R30, R31).
//!
//! Delivery is at least once: every repetition of a request carries the same key and the same bytes, so that a receiver
//! that remembers keys sees each effect once (law 6). Bodies are never logged; they may hold secrets.

mod checks;
mod event;
mod exec;
mod lock;
mod log;
mod look;
mod podman;
mod webhook;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::registry::Registries;
use crate::action::{
    AskRollout, JobOrder, JobRequest, Notice, Previous, RolloutReport, RolloutRequest,
    ScaleRequest, StepOrder, StopRequest,
};
use crate::fact::RolloutStep;
use crate::limits;
use crate::names::{CommitId, ContentHash, TargetName};
use crate::pods::Configs;
use event::Event;

pub use checks::Check;
pub use event::SIGNATURE_HEADER;
pub(super) use exec::{signal_group, take_lock};
pub(super) use lock::{Lock, path as lock_path};
pub use look::{Expected, Looked, Wanted};
pub use podman::{
    Logs, PROBE, PodmanTarget, QuadletTarget, Untrusted, answer_probe, read_untrusted,
};

/// What a target is (`[targets.NAME]`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetConfig {
    /// Nothing is done: only the record and the event.
    None,
    /// A program is run.
    Exec(ExecTarget),
    /// An event is posted.
    Webhook(WebhookTarget),
    /// Pods of this host.
    Podman(PodmanTarget),
    /// Units of this host.
    Quadlet(QuadletTarget),
}

impl TargetConfig {
    /// The longest time that one rollout may take there.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        match self {
            Self::None | Self::Podman(_) | Self::Quadlet(_) => limits::ROLLOUT_TIMEOUT,
            Self::Exec(exec) => exec.timeout,
            Self::Webhook(webhook) => webhook.timeout,
        }
    }

    /// Whether it is told each step of a rollout (rule R3); the others do all of it by themselves.
    #[must_use]
    pub fn is_told_each_step(&self) -> bool {
        match self {
            Self::Podman(_) | Self::Quadlet(_) => true,
            Self::None | Self::Exec(_) | Self::Webhook(_) => false,
        }
    }

    /// The podman of pods on this host.
    #[must_use]
    pub fn podman(&self) -> Option<&PodmanTarget> {
        self.host().map(|host| host.podman)
    }

    /// What runs pods there.
    fn host(&self) -> Option<podman::Target<'_>> {
        match self {
            Self::Podman(podman) => Some(podman::Target { podman, units: None }),
            Self::Quadlet(target) => {
                Some(podman::Target { podman: &target.podman, units: Some(target) })
            }
            Self::None | Self::Exec(_) | Self::Webhook(_) => None,
        }
    }
}

/// A program that is run for each rollout (rule R31).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecTarget {
    /// An absolute path, or a name to look up in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// It is ended after this.
    pub timeout: Duration,
    /// What it gets of our environment: `PATH`, `HOME` and `LANG`, where they are set.
    pub environment: BTreeMap<String, String>,
}

/// An address that events are posted to (rule R30).
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// The address.
    pub url: url::Url,
    /// The key of the signature; none means unsigned.
    pub secret: Option<SecretSource>,
    /// Further headers, names in lower case.
    pub headers: BTreeMap<String, Secret>,
    /// One request is given up after this.
    pub timeout: Duration,
}

impl fmt::Debug for WebhookTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Path and query may hold a token.
        f.debug_struct("WebhookTarget").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// A file that holds a secret, read each time it is needed so that it can be replaced at any time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretSource(pub PathBuf);

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Reads a manifest out of the object store.
pub type ReadManifest = Arc<dyn Fn(&ContentHash) -> io::Result<Vec<u8>> + Send + Sync>;

/// Reads the `ConfigMap`s and `Secret`s of a commit; it blocks.
pub type ReadConfigs = Arc<dyn Fn(&CommitId) -> Result<Arc<Configs>, String> + Send + Sync>;

/// Puts something into the object store.
pub type Keep = Arc<dyn Fn(&[u8]) -> io::Result<ContentHash> + Send + Sync>;

/// The targets of the configuration, ready to be used. Cheap to clone.
#[derive(Clone)]
pub struct Targets(Arc<Inner>);

struct Inner {
    targets: BTreeMap<TargetName, TargetConfig>,
    /// `source` of the events: a URI reference that names this instance.
    instance: String,
    locks: PathBuf,
    manifests: ReadManifest,
    keep: Keep,
    configs: ReadConfigs,
    /// Whose logins images are pulled with.
    registries: Option<Registries>,
    client: reqwest::Client,
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Targets").field("targets", &self.0.targets).finish_non_exhaustive()
    }
}

impl Targets {
    /// Makes the targets ready; lock files go to `locks/` of `state_dir`.
    ///
    /// # Errors
    /// When that folder cannot be made or no TLS can be set up.
    pub fn new(
        targets: BTreeMap<TargetName, TargetConfig>,
        instance: String,
        state_dir: &Path,
        (manifests, keep): (ReadManifest, Keep),
        (configs, registries): (ReadConfigs, Option<Registries>),
    ) -> io::Result<Self> {
        let locks = state_dir.join("locks");
        std::fs::create_dir_all(&locks)?;
        let client = webhook::client().map_err(io::Error::other)?;
        for (name, target) in &targets {
            if let TargetConfig::Quadlet(target) = target {
                target.warn(name);
            }
        }
        Ok(Self(Arc::new(Inner {
            targets,
            instance,
            locks,
            manifests,
            keep,
            configs,
            registries,
            client,
        })))
    }

    /// Reads the `ConfigMap`s and `Secret`s of a commit, for others than targets.
    #[must_use]
    pub fn configs(&self) -> ReadConfigs {
        Arc::clone(&self.0.configs)
    }

    /// Gives a rollout to its target and says what became of it.
    pub async fn roll_out(
        &self,
        request: &RolloutRequest,
        cancel: CancellationToken,
    ) -> RolloutReport {
        let manifest = match self.read_manifest(request.manifest).await {
            Ok(manifest) => manifest,
            Err(reason) => return transient(reason),
        };
        let target = self.0.targets.get(&request.target).and_then(TargetConfig::host);
        if let (Some(target), Some(order)) = (target, &request.step) {
            return self.work(target, (request, order), &manifest, None, &cancel).await;
        }
        let event = Event::rollout(&self.0.instance, request, &manifest);
        self.deliver(&request.target, &event, &cancel).await
    }

    /// Takes a step of a rollout, or adds or removes instances.
    async fn work(
        &self,
        target: podman::Target<'_>,
        (request, order): (&RolloutRequest, &StepOrder),
        manifest: &[u8],
        scale: Option<podman::Scale>,
        cancel: &CancellationToken,
    ) -> RolloutReport {
        let read = async {
            let rendered = match order.rendered {
                Some(hash) => Some(self.read_text(hash).await?),
                None => None,
            };
            let previous = match &order.previous {
                Some(Previous { commit, manifest, rendered, names }) => Some(podman::Revision {
                    commit: *commit,
                    manifest: self.read_manifest(*manifest).await?,
                    rendered: self.read_text(*rendered).await?,
                    names: names.clone(),
                }),
                None => None,
            };
            Ok((rendered, previous))
        };
        let (rendered, previous) = match read.await {
            Ok(read) => read,
            Err(reason) => return transient(reason),
        };
        let (locks, keep, configs) = (&*self.0.locks, &self.0.keep, &self.0.configs);
        let work = podman::Work {
            target,
            locks,
            request,
            order,
            manifest,
            rendered,
            previous,
            written: self.written(target, &order.written).await,
            keep,
            configs,
            registries: self.0.registries.as_ref(),
            cancel,
            scale,
        };
        work.run().await
    }

    /// Makes a target add or remove instances of what runs.
    pub async fn scale(&self, request: &ScaleRequest, cancel: CancellationToken) -> RolloutReport {
        let rollout = &request.rollout;
        let manifest = match self.read_manifest(rollout.manifest).await {
            Ok(manifest) => manifest,
            Err(reason) => return transient(reason),
        };
        let runs = match self.read_text(request.runs).await {
            Ok(runs) => runs,
            Err(reason) => return transient(reason),
        };
        let order = StepOrder {
            step: RolloutStep::Updating,
            rendered: request.rendered,
            previous: None,
            written: request.written.clone(),
            got_to: None,
            down: None,
            names: request.names.clone(),
            force: false,
        };
        let Some(target) = self.0.targets.get(&rollout.target).and_then(TargetConfig::host) else {
            let reason = format!("target `{}` runs no instances", rollout.target);
            return RolloutReport::Failed { reason, log: String::new() };
        };
        let scale = Some(podman::Scale { to: request.to, runs });
        self.work(target, (rollout, &order), &manifest, scale, &cancel).await
    }

    /// What was put together for an object before; only who finds files there has to know.
    async fn written(&self, target: podman::Target<'_>, hashes: &[ContentHash]) -> Vec<String> {
        let mut texts = Vec::new();
        for hash in hashes.iter().filter(|_| target.units.is_some()) {
            // What is no longer kept is not known any more: then nobody wrote the file.
            texts.extend(self.read_text(*hash).await.ok());
        }
        texts
    }

    async fn read_text(&self, hash: ContentHash) -> Result<String, String> {
        let bytes = self.read_manifest(hash).await?;
        String::from_utf8(bytes).map_err(|error| format!("object `{hash}` is no text: {error}"))
    }

    /// Takes a run of a `CronJob` one step further; nothing is told where only what is left is taken away.
    pub async fn job(
        &self,
        request: &JobRequest,
        cancel: CancellationToken,
    ) -> Option<RolloutReport> {
        let is_told = !matches!(request.order, JobOrder::Tidy { .. });
        let report = match self.0.targets.get(&request.target).map(TargetConfig::host) {
            Some(Some(target)) => {
                let (locks, configs) = (&*self.0.locks, &self.0.configs);
                let registries = self.0.registries.as_ref();
                match self.read_manifest(request.manifest).await {
                    Ok(manifest) => {
                        let cancel = &cancel;
                        let run =
                            podman::Run { target, locks, request, configs, registries, cancel };
                        run.go_on(&manifest).await
                    }
                    Err(reason) => transient(reason),
                }
            }
            Some(None) => transient(format!("target `{}` is now of another kind", request.target)),
            None => missing(&request.target),
        };
        is_told.then_some(report)
    }

    /// Makes a target stop something.
    pub async fn stop(&self, request: &StopRequest, cancel: CancellationToken) -> RolloutReport {
        if let Some(target) = self.0.targets.get(&request.target).and_then(TargetConfig::host) {
            let written = self.written(target, &request.written).await;
            let locks = &self.0.locks;
            return podman::stop(target, locks, &request.object, &written, &cancel).await;
        }
        let event = match self.read_manifest(request.manifest).await {
            Ok(manifest) => Event::stop(&self.0.instance, request, &manifest),
            Err(reason) => return transient(reason),
        };
        let mut report = self.deliver(&request.target, &event, &cancel).await;
        if let RolloutReport::Failed { reason, log } = &mut report
            && !log.is_empty()
        {
            // The record of a stop has no place for what was printed but its reason.
            *reason = format!("{reason}: {}", std::mem::take(log).replace('\n', "; "));
        }
        report
    }

    /// Asks how a rollout goes on that the target said is running.
    pub async fn ask(&self, ask: &AskRollout, cancel: CancellationToken) -> RolloutReport {
        match self.0.targets.get(&ask.target) {
            Some(TargetConfig::Webhook(target)) => {
                let asked = webhook::ask(&self.0.client, target, &ask.status_url);
                until(&cancel, asked).await
            }
            // Only a webhook answers with an address; the target was changed since.
            Some(
                TargetConfig::None
                | TargetConfig::Exec(_)
                | TargetConfig::Podman(_)
                | TargetConfig::Quadlet(_),
            ) => transient(format!("target `{}` is no webhook any more", ask.target)),
            None => missing(&ask.target),
        }
    }

    /// Tells a webhook target what became of a rollout; tried once, and nobody waits for it.
    ///
    /// A program is not run for a notice: it would take it for a rollout.
    pub async fn notify(&self, notice: &Notice) {
        let Some(TargetConfig::Webhook(target)) = self.0.targets.get(&notice.target) else {
            return;
        };
        let event = Event::notice(&self.0.instance, notice);
        let delivered = webhook::deliver(&self.0.client, target, &event);
        let reason = match tokio::time::timeout(limits::TARGET_NOTICE_TIMEOUT, delivered).await {
            Ok(RolloutReport::Transient { reason, .. } | RolloutReport::Failed { reason, .. }) => {
                reason
            }
            Ok(_) => return,
            Err(_) => "it took too long".to_owned(),
        };
        tracing::warn!(target_name = %notice.target, id = event.id, reason, "a notice was not delivered");
    }

    async fn deliver(
        &self,
        target: &TargetName,
        event: &Event,
        cancel: &CancellationToken,
    ) -> RolloutReport {
        match self.0.targets.get(target) {
            Some(TargetConfig::None) => RolloutReport::Complete { log: String::new() },
            Some(TargetConfig::Exec(exec)) => exec::run(exec, event, &self.0.locks, cancel).await,
            Some(TargetConfig::Webhook(webhook)) => {
                until(cancel, webhook::deliver(&self.0.client, webhook, event)).await
            }
            // What began at a target of another kind under this name.
            Some(TargetConfig::Podman(_) | TargetConfig::Quadlet(_)) => {
                transient(format!("target `{target}` is now of another kind"))
            }
            None => missing(target),
        }
    }

    async fn read_manifest(&self, hash: ContentHash) -> Result<Vec<u8>, String> {
        let manifests = Arc::clone(&self.0.manifests);
        let read = tokio::task::spawn_blocking(move || manifests(&hash)).await;
        match read.map_err(io::Error::other).flatten() {
            Ok(manifest) => Ok(manifest),
            Err(error) => Err(format!("cannot read the manifest `{hash}` of the rollout: {error}")),
        }
    }
}

/// What the answer of a webhook target means (rule R30): a pure function, so that any bytes can be tried on it.
///
/// `asked` is the address that was asked how a rollout goes on; none for its delivery.
///
/// # Errors
/// When the status is none of HTTP's.
pub fn read_answer(
    target: &WebhookTarget,
    asked: Option<&str>,
    status: u16,
    body: &[u8],
) -> Result<RolloutReport, String> {
    let status = reqwest::StatusCode::from_u16(status).map_err(|error| error.to_string())?;
    Ok(webhook::read_answer(target, asked, status, body))
}

/// Nothing ran, so nothing is known against the images: not a verdict.
fn transient(reason: String) -> RolloutReport {
    RolloutReport::Transient { reason, retry_after: None }
}

fn missing(target: &TargetName) -> RolloutReport {
    transient(format!("there is no target `{target}` in the configuration"))
}

async fn until(
    cancel: &CancellationToken,
    work: impl Future<Output = RolloutReport>,
) -> RolloutReport {
    tokio::select! {
        report = work => report,
        () = cancel.cancelled() => RolloutReport::Cancelled,
    }
}
