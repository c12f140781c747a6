//! Workloads as services of systemd, step by step (rules R18 to R23): as pods that podman plays, but that their files are
//! replaced and their service is started anew.

use std::sync::Arc;
use std::time::Duration;

use super::files::Folder;
use super::program::{Podman, Trouble};
use super::swap::seconds;
use super::systemd::QuadletTarget;
use super::{Done, Host, health, named};
use crate::fact::RolloutStep;
use crate::limits::{PODMAN_ACT_TIMEOUT, PODMAN_LOOK_TIMEOUT};
use crate::names::ObjectKey;
use crate::pods::{self, LABEL_ROLLOUT, Pods, Units, is_updated_by_podman};

/// One workload and its service.
struct Unit<'a> {
    host: &'a Host<'a>,
    target: &'a QuadletTarget,
    folder: Folder,
    service: String,
}

impl Host<'_> {
    /// One step of a workload that is a service.
    pub(super) async fn unit_step(
        &self,
        target: &QuadletTarget,
        step: RolloutStep,
    ) -> Result<Done, Trouble> {
        let mut folder = target.folder(&self.podman, &self.work.written);
        folder.force = self.work.order.force;
        let service = target.service(&self.podman);
        let unit = Unit { host: self, target, folder, service };
        let note = match step {
            RolloutStep::Pulling => return unit.pull().await,
            RolloutStep::Verifying if unit.wanted()?.is_image_only() => {
                format!("not tried beside the old one: {}.container is not ours", unit.name())
            }
            RolloutStep::Verifying => self.verify().await?,
            RolloutStep::StoppingOld => {
                unit.stop().await?;
                String::new()
            }
            RolloutStep::StartingNew => {
                unit.start(&unit.wanted()?).await?;
                String::new()
            }
            RolloutStep::Checking => unit.check().await?,
            RolloutStep::RollingBack => unit.roll_back().await?,
            RolloutStep::Updating => {
                let why = "this step began at a target of another kind";
                return Err(Trouble::Refused(why.into()));
            }
            RolloutStep::MidHook => {
                // A machine that went down after the stop started what ran before when it came back (rules R15, R23).
                if self.work.previous.is_some() {
                    unit.stop().await?;
                }
                self.hook(step).await?
            }
            RolloutStep::PreHook | RolloutStep::PostHook => self.hook(step).await?,
        };
        Ok(Done { note, rendered: None })
    }
}

impl Host<'_> {
    /// Adds or removes instances: they are one service, which is started anew (rule D22).
    pub(super) async fn scale_unit(
        &self,
        target: &QuadletTarget,
        runs: &str,
    ) -> Result<Done, Trouble> {
        let folder = target.folder(&self.podman, &self.work.written);
        let service = target.service(&self.podman);
        let unit = Unit { host: self, target, folder, service };
        if self.work.rendered.is_none() {
            return unit.pull().await;
        }
        self.podman.provide(self.pods.versions()).await?;
        let wanted = unit.wanted()?;
        match unit.start_and_wait(&wanted).await {
            Ok(()) => Ok(Done { note: String::new(), rendered: None }),
            Err(Trouble::Refused(why)) => {
                if let Some(before) = Units::parse(runs) {
                    unit.start(&before).await?;
                }
                Err(Trouble::Refused(why))
            }
            Err(trouble) => Err(trouble),
        }
    }
}

impl QuadletTarget {
    fn service(&self, podman: &Podman<'_>) -> String {
        format!("{}.service", podman.object.name)
    }

    fn folder(&self, podman: &Podman<'_>, written: &[String]) -> Folder {
        let written = written.iter().filter_map(|text| Units::parse(text)).collect();
        Folder { path: self.units.clone(), object: podman.object.clone(), written, force: false }
    }

    /// The first file of an object that is not as these, if there is one.
    pub(in super::super) fn drifted(&self, object: &ObjectKey, units: Units) -> Option<String> {
        let written = vec![units];
        let folder =
            Folder { path: self.units.clone(), object: object.clone(), written, force: false };
        let path = folder.drifted()?;
        Some(format!("somebody edited or removed `{}`", path.display()))
    }

    /// Stops the service of an object, and removes its files.
    pub(super) async fn remove(
        &self,
        podman: &Podman<'_>,
        written: &[String],
    ) -> Result<(), Trouble> {
        let folder = self.folder(podman, written);
        let ours = blocking(&folder, Folder::check).await;
        ours?;
        self.stop(podman, &self.service(podman), PODMAN_ACT_TIMEOUT).await?;
        blocking(&folder, |folder| folder.put(&Units::default())).await?;
        self.reload(podman).await
    }
}

impl Unit<'_> {
    fn name(&self) -> &str {
        self.host.pods.object.name.as_str()
    }

    /// What is going to run.
    fn wanted(&self) -> Result<Units, Trouble> {
        let rendered = self.host.work.rendered.as_deref().unwrap_or_default();
        Units::parse(rendered)
            .ok_or_else(|| Trouble::Refused("what is to run is not the files of a unit".into()))
    }

    async fn stop(&self) -> Result<(), Trouble> {
        self.host.ports_close();
        self.target.stop(&self.host.podman, &self.service, self.time()).await
    }

    /// Time for a service to end and to start.
    fn time(&self) -> Duration {
        let pods = &self.host.pods;
        pods.grace.saturating_mul(2).saturating_add(pods.timeout).saturating_add(PODMAN_ACT_TIMEOUT)
    }

    /// Everything that can be found out before anything is touched.
    async fn pull(&self) -> Result<Done, Trouble> {
        let Self { host, target, folder, .. } = self;
        blocking(folder, Folder::check).await?;
        let note = host.pull().await?;
        let pods = &host.pods;
        let names = host.work.order.names.as_slice();
        let network = target.podman.network.as_deref().map(|network| (network, names));
        let unsupported = |why: pods::Unsupported| Trouble::Refused(why.to_string());
        pods.check_unit().map_err(unsupported)?;
        let wanted = match folder.has_container() {
            true => pods.image_unit().map_err(unsupported)?,
            false => pods.units(&host.render(), network, host.work.request.revision),
        };
        if !wanted.is_empty() {
            self.generate(&wanted).await?;
            if !wanted.is_image_only() {
                host.make_beside().await?;
            }
        }
        Ok(Done { note, rendered: Some(wanted.render()) })
    }

    /// Whether a service can be made of it that does what is wanted.
    async fn generate(&self, wanted: &Units) -> Result<(), Trouble> {
        let staged = wanted.clone();
        let stage = blocking(&self.folder, move |folder| folder.stage(&staged)).await?;
        let generated = self.target.generate(&self.host.podman, stage.path(), self.name()).await;
        drop(tokio::task::spawn_blocking(move || drop(stage)).await);
        let generated = generated?;
        if is_updated_by_podman(&generated) {
            return Err(Trouble::Refused(format!(
                "`AutoUpdate` is set for {}: podman's own updater would change images beside Tidegate; remove it",
                self.service
            )));
        }
        let image = self.host.pods.images().into_iter().next().unwrap_or_default().to_owned();
        if wanted.is_image_only() && !generated.contains(&image) {
            return Err(Trouble::Refused(format!(
                "a drop-in of {}.container after `50-image.conf` sets another image: remove its `Image`",
                self.name()
            )));
        }
        Ok(())
    }

    /// Puts files in their places and starts the service anew, if that is not so already.
    async fn start(&self, wanted: &Units) -> Result<(), Trouble> {
        let Self { host, target, folder, service } = self;
        let podman = &host.podman;
        blocking(folder, Folder::check).await?;
        if self.runs(wanted).await? {
            return Ok(());
        }
        let [kube, _, drop_in] = pods::unit_paths(&podman.object.name);
        let other = if wanted.is_image_only() { kube } else { drop_in };
        if wanted.is_empty() || folder.has(&other) {
            // A service that is of another kind from now on would not know what it left behind.
            self.stop().await?;
        }
        let put = wanted.clone();
        blocking(folder, move |folder| folder.put(&put)).await?;
        host.ports_close();
        target.reload(podman).await?;
        let mut names = Vec::new();
        for document in wanted.documents() {
            names.push(named(document)?.0);
        }
        // Pods that the new files do not name would be nobody's (rule X50).
        for pod in podman.pods().await? {
            if !pod.is_check && !pod.is_hook && !names.contains(&pod.name) {
                podman.remove(&pod.name, Some(host.pods.grace)).await?;
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        target.restart(podman, service, self.time()).await
    }

    async fn start_and_wait(&self, wanted: &Units) -> Result<(), Trouble> {
        self.start(wanted).await?;
        match wanted.is_empty() {
            true => Ok(()),
            false => self.wait(wanted, &self.host.pods).await.map(drop),
        }
    }

    /// Whether these files are in their places and what runs is what they say.
    async fn runs(&self, wanted: &Units) -> Result<bool, Trouble> {
        let podman = &self.host.podman;
        let files = wanted.clone();
        let is_there = blocking(&self.folder, move |folder| Ok(folder.is(&files))).await?;
        if wanted.is_empty() || !is_there {
            return Ok(false);
        }
        if !self.target.state(podman, &self.service).await?.is_current() {
            return Ok(false);
        }
        if wanted.is_image_only() {
            let found = self.container("{{.Image}}").await?;
            return Ok(
                found.is_some_and(|image| wanted.files().any(|(_, text)| text.contains(&image)))
            );
        }
        for document in wanted.documents() {
            let (name, rollout) = named(document)?;
            let Some(seen) = health::look(podman, &name).await? else { return Ok(false) };
            if seen.labels.get(LABEL_ROLLOUT) != Some(&rollout) || !seen.runs() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What podman says of the container of a `.container` unit; none if there is none.
    async fn container(&self, format: &str) -> Result<Option<String>, Trouble> {
        let filter = format!("label=PODMAN_SYSTEMD_UNIT={}", self.service);
        let arguments = ["ps", "--filter", &filter, "--format", format];
        let found = self.host.podman.look(&arguments, PODMAN_LOOK_TIMEOUT).await?;
        let mut lines = found.lines().map(str::trim).filter(|line| !line.is_empty());
        Ok(lines.next().map(str::to_owned))
    }

    async fn check(&self) -> Result<String, Trouble> {
        let wanted = self.wanted()?;
        if wanted.is_empty() {
            return Ok("nothing is to run".into());
        }
        let state = self.target.state(&self.host.podman, &self.service).await?;
        // The host may be starting (rule T25); a service that failed is not asked to try again.
        if !["active", "failed"].contains(&state.active.as_str()) {
            self.start(&wanted).await?;
        }
        let took = self.wait(&wanted, &self.host.pods).await?;
        self.host.remove_tried().await?;
        let note = self.host.healthy_after(took);
        let state = self.target.state(&self.host.podman, &self.service).await?;
        match state.active.as_str() {
            "active" => Ok(note),
            active => Err(Trouble::Refused(format!(
                "{} is {active} ({}), its result is {}",
                self.service, state.sub, state.result
            ))),
        }
    }

    /// Waits until what these files run is healthy.
    async fn wait(&self, units: &Units, pods: &Pods) -> Result<Duration, Trouble> {
        let podman = &self.host.podman;
        if !units.is_image_only() {
            let names: Vec<String> = pods.names().collect();
            return health::wait(podman, pods, &names).await;
        }
        let container = self.container("{{.Names}}").await?.ok_or_else(|| {
            Trouble::Refused(format!("{} has no container that runs", self.service))
        })?;
        let arguments =
            ["container", "inspect", "--format", "{{.Config.SdNotifyMode}}", &container];
        let mode = podman.look(&arguments, PODMAN_LOOK_TIMEOUT).await?;
        if mode.trim() == "healthy" {
            return Ok(Duration::ZERO); // its start waited for it (rule R21)
        }
        health::wait_for_container(podman, pods, &container).await
    }

    /// Rule R20, where something failed.
    async fn roll_back(&self) -> Result<String, Trouble> {
        let Self { host, .. } = self;
        let got_to = host.work.order.got_to;
        if got_to == Some(RolloutStep::Pulling) {
            host.remove_made().await;
        } else {
            host.remove_hooks().await?;
            host.remove_tried().await?;
        }
        let untouched = [RolloutStep::Pulling, RolloutStep::PreHook, RolloutStep::Verifying];
        if got_to.is_some_and(|step| untouched.contains(&step)) {
            return Ok("what ran before was not touched".into());
        }
        let Some(previous) = &host.work.previous else {
            self.start(&Units::default()).await?;
            return Ok("nothing ran before".into());
        };
        let Some(units) = Units::parse(&previous.rendered) else {
            return Err(Trouble::Refused(
                "what ran before was no unit: another kind of target ran it".into(),
            ));
        };
        let pods = Pods::read(host.podman.object, &previous.manifest);
        let pods = pods.map_err(|why| Trouble::Refused(why.to_string()))?;
        self.start(&units).await?;
        let took = self.wait(&units, &pods).await?;
        Ok(format!("what ran before is healthy again after {}", seconds(took)))
    }
}

/// Works on files where nobody waits for it.
async fn blocking<T: Send + 'static>(
    folder: &Folder,
    work: impl FnOnce(&Folder) -> Result<T, Trouble> + Send + 'static,
) -> Result<T, Trouble> {
    let folder = Arc::new(folder.clone());
    let done = tokio::task::spawn_blocking(move || work(&folder)).await;
    done.unwrap_or_else(|error| Err(Trouble::Passing(error.to_string())))
}
