//! What stands on this host in the place of `ConfigMap`s and `Secret`s (rule R17): secrets and volumes of podman, each
//! under a name that no other content has.
//!
//! Values go to podman through its standard input alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::ReadConfigs;
use super::program::{Podman, Trouble};
use super::{Host, Work, read};
use crate::fact::RolloutStep;
use crate::limits::{PODMAN_ACT_TIMEOUT, PODMAN_LOOK_TIMEOUT};
use crate::names::CommitId;
use crate::pods::{self, Holding, LABEL_OBJECT, Pods, Units, VERSIONS, Version};

impl Work<'_> {
    /// The pods with what they need of `ConfigMap`s and `Secret`s, for the steps that make some of their manifest.
    pub(super) async fn placed(&self, pods: Pods) -> Result<Pods, Trouble> {
        match self.order.step {
            RolloutStep::Pulling
            | RolloutStep::PreHook
            | RolloutStep::Verifying
            | RolloutStep::MidHook
            | RolloutStep::Updating
            | RolloutStep::PostHook => self.configured(pods, self.request.commit).await,
            RolloutStep::StoppingOld
            | RolloutStep::StartingNew
            | RolloutStep::Checking
            | RolloutStep::RollingBack => Ok(pods),
        }
    }

    async fn configured(&self, pods: Pods, commit: CommitId) -> Result<Pods, Trouble> {
        configured(self.configs, pods, commit).await
    }
}

/// Puts what pods need of the `ConfigMap`s and `Secret`s of a commit in its place.
pub(super) async fn configured(
    configs: &ReadConfigs,
    pods: Pods,
    commit: CommitId,
) -> Result<Pods, Trouble> {
    if !pods.needs_configs() {
        return Ok(pods);
    }
    let configs = Arc::clone(configs);
    let read = tokio::task::spawn_blocking(move || configs(&commit)).await;
    let read = read.unwrap_or_else(|error| Err(error.to_string()));
    let read = read.map_err(|why| {
        Trouble::Passing(format!(
            "cannot read the ConfigMaps and Secrets of {}: {why}",
            commit.short()
        ))
    })?;
    let namespace = pods.object.namespace.clone();
    let placed = pods.with_configs(|name| read.get(&(namespace.clone(), name.clone())));
    placed.map_err(|why| Trouble::Refused(why.to_string()))
}

/// The versions that rendered pods name.
pub(super) fn named(rendered: &str) -> BTreeSet<String> {
    let path = format!("/metadata/annotations/{}", VERSIONS.replace('/', "~1"));
    let mut names = BTreeSet::new();
    let units = Units::parse(rendered);
    let documents = match &units {
        Some(units) => units.documents().collect(),
        None => pods::documents(rendered),
    };
    for document in documents {
        let pod: Value = serde_json::from_str(document).unwrap_or_default();
        let text = pod.pointer(&path).and_then(Value::as_str).unwrap_or_default();
        names.extend(text.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
    }
    names
}

impl Host<'_> {
    /// What a step starts needs this on the host.
    pub(super) async fn before(&self) -> Result<(), Trouble> {
        match self.work.order.step {
            RolloutStep::PreHook
            | RolloutStep::Verifying
            | RolloutStep::MidHook
            | RolloutStep::Updating
            | RolloutStep::PostHook => self.podman.provide(self.pods.versions()).await,
            RolloutStep::StartingNew => {
                let rendered = self.work.rendered.as_deref().unwrap_or_default();
                self.provide_again(&self.pods, self.work.request.commit, rendered).await
            }
            RolloutStep::RollingBack => self.before_rolling_back().await,
            RolloutStep::Pulling | RolloutStep::StoppingOld | RolloutStep::Checking => Ok(()),
        }
    }

    /// Somebody may have pruned what ran before.
    async fn before_rolling_back(&self) -> Result<(), Trouble> {
        let untouched = [RolloutStep::Pulling, RolloutStep::PreHook, RolloutStep::Verifying];
        let is_untouched = self.work.order.got_to.is_some_and(|step| untouched.contains(&step));
        let Some(previous) = self.work.previous.as_ref().filter(|_| !is_untouched) else {
            return Ok(());
        };
        let pods = Pods::read(self.podman.object, &previous.manifest);
        let pods = pods.map_err(|why| Trouble::Refused(why.to_string()))?;
        for image in pods.images() {
            self.pull_image(image).await?;
        }
        self.provide_again(&pods, previous.commit, &previous.rendered).await
    }

    /// The host holds what a step showed to be needed, and nothing more.
    pub(super) async fn after(&self) -> Result<(), Trouble> {
        let previous = self.work.previous.as_ref().map_or("", |previous| &previous.rendered);
        match self.work.order.step {
            RolloutStep::Pulling => self.podman.provide(self.pods.versions()).await,
            RolloutStep::Checking | RolloutStep::Updating => {
                let rendered = self.work.rendered.as_deref().unwrap_or_default();
                let kept = [rendered, previous].into_iter().flat_map(named).collect();
                at_leisure(self.podman.remove_versions_but(&kept).await)?;
                let revision = self.work.request.revision;
                at_leisure(self.podman.keep_images(&self.pods, revision).await)
            }
            RolloutStep::RollingBack => {
                at_leisure(self.podman.remove_versions_but(&named(previous)).await)
            }
            RolloutStep::PreHook
            | RolloutStep::Verifying
            | RolloutStep::StoppingOld
            | RolloutStep::MidHook
            | RolloutStep::StartingNew
            | RolloutStep::PostHook => Ok(()),
        }
    }

    /// What rendered pods name of `ConfigMap`s and `Secret`s, where somebody took it away since.
    async fn provide_again(
        &self,
        pods: &Pods,
        commit: CommitId,
        rendered: &str,
    ) -> Result<(), Trouble> {
        if self.podman.has_all(&named(rendered)).await? {
            return Ok(());
        }
        let pods = self.work.configured(pods.clone(), commit).await?;
        self.podman.provide(pods.versions()).await
    }
}

/// What may be left undone: what runs is not another for it, and the next rollout does it.
pub(super) fn at_leisure(done: Result<(), Trouble>) -> Result<(), Trouble> {
    match done {
        Err(Trouble::Refused(why) | Trouble::Passing(why)) => {
            tracing::warn!(why, "podman keeps more or less than is needed");
            Ok(())
        }
        done => done,
    }
}

impl Podman<'_> {
    /// Makes sure that the host has these.
    pub(super) async fn provide(&self, versions: &[Version]) -> Result<(), Trouble> {
        for Version { name, holding } in versions {
            match holding {
                Holding::Secret(content) => self.provide_secret(name, content).await?,
                Holding::Volume(archive) => self.provide_volume(name, archive).await?,
            }
        }
        Ok(())
    }

    async fn provide_secret(&self, name: &str, content: &[u8]) -> Result<(), Trouble> {
        if self.has_secret(name).await? {
            return Ok(());
        }
        let label = self.label();
        // Its `-` takes nothing but a pipe, by whichever of its usual names.
        let create = ["secret", "create", "--label", &label, name, "/proc/self/fd/0"];
        self.act(&create, content, PODMAN_ACT_TIMEOUT).await.map(drop)
    }

    async fn provide_volume(&self, name: &str, archive: &[u8]) -> Result<(), Trouble> {
        if self.has_volume(name).await? {
            // One that is used was filled before that; another may be what a crash left half full.
            match self.act(&["volume", "rm", name], &[], PODMAN_ACT_TIMEOUT).await {
                Ok(_) => {}
                Err(Trouble::Refused(_)) => return Ok(()),
                Err(trouble) => return Err(trouble),
            }
        }
        let label = self.label();
        let create = ["volume", "create", "--label", &label, name];
        self.act(&create, &[], PODMAN_ACT_TIMEOUT).await?;
        self.act(&["volume", "import", name, "-"], archive, PODMAN_ACT_TIMEOUT).await.map(drop)
    }

    fn label(&self) -> String {
        format!("{LABEL_OBJECT}={}", self.object)
    }

    async fn has_volume(&self, name: &str) -> Result<bool, Trouble> {
        match self.look(&["volume", "exists", name], PODMAN_LOOK_TIMEOUT).await {
            Ok(_) => Ok(true),
            Err(Trouble::Refused(_)) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    async fn has_secret(&self, name: &str) -> Result<bool, Trouble> {
        let list = ["secret", "ls", "--format", "{{.Name}}"];
        let listed = self.look(&list, PODMAN_LOOK_TIMEOUT).await?;
        Ok(listed.lines().any(|line| line.trim() == name))
    }

    /// Whether the host has all of these, be they secrets or volumes.
    pub(super) async fn has_all(&self, names: &BTreeSet<String>) -> Result<bool, Trouble> {
        for name in names {
            if !self.has_volume(name).await? && !self.has_secret(name).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes what the object has of these on the host, but for some.
    pub(super) async fn remove_versions_but(&self, kept: &BTreeSet<String>) -> Result<(), Trouble> {
        let filter = format!("label={}", self.label());
        let list = ["volume", "ls", "--filter", &filter, "--format", "{{.Name}}"];
        let volumes = self.look(&list, PODMAN_LOOK_TIMEOUT).await?;
        let mut gone: Vec<[String; 2]> = Vec::new();
        let names = volumes.lines().map(str::trim).filter(|name| !kept.contains(*name));
        gone.extend(names.map(|name| ["volume".to_owned(), name.to_owned()]));
        for name in self.own_secrets().await? {
            if !kept.contains(&name) {
                gone.push(["secret".to_owned(), name]);
            }
        }
        for [what, name] in &gone {
            match self.act(&[what, "rm", name], &[], PODMAN_ACT_TIMEOUT).await {
                // Somebody uses it: it goes the next time.
                Ok(_) | Err(Trouble::Refused(_)) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }

    /// The secrets that carry the label of the object.
    async fn own_secrets(&self) -> Result<Vec<String>, Trouble> {
        let list = ["secret", "ls", "--format", "{{.Name}}"];
        let listed = self.look(&list, PODMAN_LOOK_TIMEOUT).await?;
        let names: Vec<&str> =
            listed.lines().map(str::trim).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut inspect = vec!["secret", "inspect"];
        inspect.extend(&names);
        let text = match self.look(&inspect, PODMAN_LOOK_TIMEOUT).await {
            Ok(text) => text,
            Err(Trouble::Refused(_)) => return Ok(Vec::new()), // one went in between
            Err(trouble) => return Err(trouble),
        };
        let all: Vec<Value> = read::json("podman secret inspect", &text)?;
        let label = format!("/Spec/Labels/{}", LABEL_OBJECT.replace('/', "~1"));
        let owner = self.object.to_string();
        let is_ours = |secret: &&Value| {
            secret.pointer(&label).and_then(Value::as_str) == Some(owner.as_str())
        };
        let name = |secret: &Value| secret.pointer("/Spec/Name")?.as_str().map(str::to_owned);
        Ok(all.iter().filter(is_ours).filter_map(name).collect())
    }
}
