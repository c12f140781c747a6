//! The Docker strategy (rules B39 to B44).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::heeded::is_heeded;
use super::image::{Bud, Layers, Pull};
use super::inputs;
use super::program::{Ended, Trouble};
use super::run::Run;
use super::{Isolation, words};
use crate::builds::{DockerSpec, Edits, Reason, Variable, dockerfile_path, edit, images_read};
use crate::fact::BuildUse;

/// What is left to do for a Dockerfile that was prepared.
pub(super) struct Prepared {
    pub(super) dockerfile: PathBuf,
    pub(super) context: PathBuf,
    pub(super) args: Vec<Variable>,
    pub(super) no_cache: bool,
    pub(super) layers: Layers,
    pub(super) volumes: Vec<(PathBuf, String)>,
    /// What a step that fails is called.
    pub(super) reason: Reason,
}

impl Run<'_> {
    /// Makes the Dockerfile of a build and pulls what it needs.
    pub(super) async fn docker(
        &mut self,
        docker: &DockerSpec,
        context: &Path,
        env: &[Variable],
    ) -> Result<Prepared, Trouble> {
        let args = self.variables(&docker.build_args, &self.request.options.build_args.clone())?;
        self.check_shown(&args)?;
        let known: BTreeMap<String, String> =
            args.iter().map(|one| (one.name.clone(), one.value.clone())).collect();
        let text = self.dockerfile(docker)?;
        let edits = Edits {
            from: self.image_for(&BuildUse::Strategy),
            env: env.iter().map(|one| (one.name.clone(), one.value.clone())).collect(),
            images: self.image_names(),
            end_env: self.provenance.env(),
            end_labels: self.provenance.labels(&self.image_labels()),
        };
        let manage = |why: &dyn std::fmt::Display| {
            self.tools.log.say(&format!("error: {why}"));
            Trouble::Failed(Reason::ManageDockerfileFailed)
        };
        let text = edit(&text, &edits).map_err(|why| manage(&why))?;
        let read = images_read(&text, &known).map_err(|why| manage(&why))?;
        let dockerfile = self.place.work.join("Dockerfile");
        inputs::put_file(&self.place.work, "Dockerfile", text.as_bytes(), 0o600)
            .map_err(|error| Trouble::Passing(format!("cannot write the Dockerfile: {error}")))?;
        let images: Vec<String> = read.into_iter().filter_map(|read| read.image).collect();
        self.pull_all(&images, docker.force_pull).await?;
        let layers = match docker.image_optimization_policy.as_str() {
            "SkipLayersAndWarn" => {
                let what = "imageOptimizationPolicy leaves out the layers of this build";
                self.tools.log.say(&format!("warning: {what}"));
                Layers::Squashed
            }
            "SkipLayers" => Layers::Squashed,
            _ => Layers::Each,
        };
        let no_cache = self.request.options.no_cache.unwrap_or(docker.no_cache);
        let volumes = self.volumes(&docker.volumes)?;
        let reason = Reason::DockerBuildFailed;
        Ok(Prepared {
            dockerfile,
            context: context.to_owned(),
            args,
            no_cache,
            layers,
            volumes,
            reason,
        })
    }

    /// No secret stands on a command line.
    fn check_shown(&self, args: &[Variable]) -> Result<(), Trouble> {
        let Some(shown) = args.iter().find(|one| one.is_secret && is_heeded(&one.name)) else {
            return Ok(());
        };
        let why = format!(
            "build argument `{}` is a secret, and buildah heeds a variable of this name: it could only be handed over where \
             everybody on this host reads it; give the argument another name",
            shown.name
        );
        self.tools.log.say(&format!("error: {why}"));
        Err(Trouble::Error(Reason::UnresolvableEnvironmentVariable, why))
    }

    /// The text of the Dockerfile.
    fn dockerfile(&self, docker: &DockerSpec) -> Result<String, Trouble> {
        let failed = |why: &dyn std::fmt::Display| {
            self.tools.log.say(&format!("error: {why}"));
            Trouble::Failed(Reason::ManageDockerfileFailed)
        };
        let context_dir = self.spec.source.context_dir.as_str();
        let path = dockerfile_path(Some(context_dir), Some(&docker.dockerfile_path));
        let path = path.ok_or_else(|| failed(&"the Dockerfile is outside of the sources"))?;
        let found = inputs::inside(&self.place.sources(), &path);
        let found = found.ok_or_else(|| failed(&format!("there is no `{path}` in the sources")))?;
        std::fs::read_to_string(found)
            .map_err(|error| failed(&format!("cannot read `{path}`: {error}")))
    }

    /// Images by the names that stand for them in a Dockerfile.
    fn image_names(&self) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        for (index, source) in (0..).zip(&self.spec.source.images) {
            let Some(image) = self.image_for(&BuildUse::Source(index)) else { continue };
            names.extend(source.r#as.iter().map(|name| (name.clone(), image.clone())));
        }
        names
    }

    /// Pulls images; those with a digest only where they are not here.
    pub(super) async fn pull_all(&mut self, images: &[String], force: bool) -> Result<(), Trouble> {
        let logins = self.logins(images, &[]).await;
        for image in images {
            let pull = Pull {
                image,
                always: force || !image.contains('@'),
                insecure: self.is_insecure(image),
                logins: &logins,
            };
            self.tools.pull(&pull).await?;
        }
        Ok(())
    }

    /// Builds what was prepared.
    pub(super) async fn bud(&mut self, prepared: &Prepared) -> Result<(), Trouble> {
        let kills = oom_kills();
        let limits = &self.spec.resources.limits;
        let limits = (limits.memory_bytes(), limits.cpu_thousandths());
        if self.tools.config.isolation == Isolation::Chroot && limits != (None, None) {
            self.tools.log.say(
                "warning: limits of memory and processor are not enforced with `builds.isolation = \"chroot\"`; with \"oci\" they are",
            );
        }
        // What could be pulled before is here. What buildah pulls itself it finds by its own: in `ONBUILD` of a base image,
        // by variables that it alone knows.
        let logins = self.all_logins().await;
        let bud = Bud {
            mark: &self.place.mark,
            args: &prepared.args,
            no_cache: prepared.no_cache,
            layers: prepared.layers,
            volumes: &prepared.volumes,
            limits,
            logins: &logins,
            ..Bud::of(&prepared.dockerfile, &prepared.context, &self.place.tag)
        };
        let ended = self.tools.bud(&bud).await?;
        if ended.is_success() {
            return Ok(());
        }
        Err(self.why(&ended, kills, prepared.reason))
    }

    /// What the end of a failed build means.
    fn why(&self, ended: &Ended, kills_before: Option<u64>, reason: Reason) -> Trouble {
        let said = ended.words();
        self.tools.log.say(&format!("error: build error: {}", words(&said)));
        // Chroot isolation, what runs in it, and a container of runc.
        let was_killed = ["exit status 137", "signal: killed", "signal 9", "exited on killed"];
        let was_killed =
            ended.signal == Some(9) || was_killed.iter().any(|sign| said.contains(sign));
        if was_killed && oom_kills() > kills_before {
            return Trouble::Failed(Reason::OutOfMemoryKilled);
        }
        // A step that is none of the script's would be the fault of something else.
        let is_assemble = words(&said).contains("/assemble");
        let is_other = reason == Reason::AssembleFailed && !is_assemble;
        let reason = if is_other { Reason::GenericBuildFailed } else { reason };
        if let Some(advice) = host_advice(&said) {
            self.tools.log.say(&format!("error: {advice}"));
            return Trouble::Error(
                Reason::GenericBuildFailed,
                format!("{}: {advice}", words(&said)),
            );
        }
        Trouble::Failed(reason)
    }
}

/// How often the kernel ended a process since the start of the host, because memory was short.
fn oom_kills() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/vmstat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// What to do about an end that lies with the host, and not with what is built.
fn host_advice(said: &str) -> Option<&'static str> {
    let last = said.lines().rev().find(|line| line.starts_with("Error: ")).unwrap_or(said);
    let last = last.to_lowercase();
    // A command of the Dockerfile that fails says so by its exit status alone.
    let full = last.contains("no space left on device") || last.contains("disk quota exceeded");
    full.then_some("a file system of the builder is full: make room for images and for the state directory, and build again")
}
