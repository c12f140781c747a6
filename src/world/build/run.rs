//! One build from its request to its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::registry::{Registries, SecretFolder, file_of};
use super::git::Wanted;
use super::places::{Made, Place, cannot_note};
use super::program::{Tools, Trouble};
use super::{Inner, image, inputs};
use crate::action::{
    BuildEnded, BuildReport, BuildRequest, Check, ImportMode, Platform, PushTo, ResolveRequest,
    ResolvedImage,
};
use crate::builds::{
    BuildSpec, EnvVar, Provenance, Reason, SOURCE_SECRET_ANNOTATION, Variable, VolumeSpec, linked,
    put, resolve,
};
use crate::fact::{BuildEnd, BuildStage, BuildUse};
use crate::names::Digest;
use crate::pods::{ConfigName, Contents, SourceKind};
use crate::reference::ImageReference;
use crate::time::Timestamp;

/// Keys of `Secret`s that are none themselves.
const NO_SECRETS: [&str; 5] = ["username", "ca.crt", "known_hosts", ".gitconfig", "ssh-publickey"];

/// A build that runs.
pub(super) struct Run<'a> {
    pub(super) builder: &'a Inner,
    pub(super) request: &'a BuildRequest,
    pub(super) spec: BuildSpec,
    /// What its namespace has of `ConfigMap`s and `Secret`s.
    pub(super) contents: BTreeMap<ConfigName, Contents>,
    pub(super) tools: Tools<'a>,
    pub(super) place: &'a Place,
    pub(super) made: Made,
    pub(super) provenance: Provenance,
}

impl Run<'_> {
    /// Builds and pushes.
    pub(super) async fn run(&mut self) -> Result<Option<ResolvedImage>, Trouble> {
        self.check_push_secret()?;
        let strategy = self.spec.strategy.clone();
        let (env, more) = match (&strategy.docker_strategy, &strategy.source_strategy) {
            (Some(docker), _) => (&docker.env[..], self.request.options.env.clone()),
            (None, Some(s2i)) => (&s2i.env[..], self.request.options.env.clone()),
            (None, None) => {
                let why = "only the Docker and the Source strategy are built here".to_owned();
                return Err(Trouble::Error(Reason::GenericBuildFailed, why));
            }
        };
        let env = self.variables(env, &more)?;
        if !self.is_built().await? {
            self.build(&env).await?;
        } else {
            self.tools.log.say("The image is there from before; going on with it.");
        }
        let hook = self.spec.post_commit.clone();
        if hook.words(&["x".to_owned()]).is_some() {
            let begun = Begun::now("PostCommit");
            let container = self.place.mark.clone();
            let done = self.tools.post_commit(&hook, &self.place.tag, &container).await;
            self.note(&begun);
            done?;
        }
        let Some(push) = &self.request.push else {
            self.tools.log.say("Build complete, no image push requested");
            return Ok(None);
        };
        let begun = Begun::now("PushImage");
        let pushed = self.push(push).await;
        self.note(&begun);
        pushed.map(Some)
    }

    /// What a build came to that is not to go on.
    pub(super) async fn end(&mut self) -> Result<Option<ResolvedImage>, Trouble> {
        match (&self.request.push, self.made.pushed) {
            (Some(push), Some(digest)) => {
                let insecure = push.insecure || self.builder.registries.is_insecure(&push.image);
                self.read_back(push, insecure, digest).await.map(Some)
            }
            (Some(_) | None, _) => Err(Trouble::Cancelled),
        }
    }

    /// Whether the image of this build is here, from before a crash.
    async fn is_built(&mut self) -> Result<bool, Trouble> {
        Ok(self.made.built && self.tools.image(&self.place.tag).await?.is_some())
    }

    async fn build(&mut self, env: &[Variable]) -> Result<(), Trouble> {
        self.made = self.place.begin().map_err(|error| Trouble::Passing(cannot_note(&error)))?;
        let disk = |error: &std::io::Error| {
            Trouble::Passing(format!(
                "cannot make the working directory `{}`: {error}; look whether the file system of the state directory has \
                 space left",
                self.place.work.display()
            ))
        };
        self.place.make_work().map_err(|error| disk(&error))?;
        let begun = Begun::now("FetchInputs");
        let fetched = self.fetch().await;
        self.note(&begun);
        let context = fetched?;
        let begun = Begun::now("PullImages");
        let strategy = self.spec.strategy.clone();
        let prepared = match (&strategy.docker_strategy, &strategy.source_strategy) {
            (Some(docker), _) => self.docker(docker, &context, env).await,
            (None, Some(s2i)) => self.source(s2i, &context, env).await,
            (None, None) => Err(Trouble::Failed(Reason::GenericBuildFailed)),
        };
        self.note(&begun);
        let prepared = prepared?;
        let begun = Begun::now("Build");
        let built = self.bud(&prepared).await;
        self.note(&begun);
        built?;
        self.made.built = true;
        self.keep_made()
    }

    /// Puts the sources together; the folder that is built.
    async fn fetch(&mut self) -> Result<PathBuf, Trouble> {
        let sources = self.place.sources();
        let source = self.spec.source.clone();
        if let Some(input) = &self.request.options.binary {
            self.unpack(input, &sources).await?;
        } else if let Some(git) = &source.git {
            let secret = self.source_secret(&git.uri)?;
            let (private, known_hosts) = (self.place.private(), self.builder.places.known_hosts());
            let commit = self.request.options.commit.as_deref();
            let wanted = Wanted {
                git,
                commit: commit.filter(|commit| !commit.is_empty()),
                secret: secret.as_ref(),
                folder: &sources,
                private: &private,
                known_hosts: &known_hosts,
            };
            let checkout = self.tools.check_out(&wanted).await?;
            self.provenance.revision = Some(checkout.clone());
            self.made.revision = Some(checkout);
        } else if source.binary.is_some() {
            self.tools.log.say("error: this is built of files that somebody hands over: `start-build --from-dir`, `--from-file` or `--from-archive`");
            return Err(Trouble::Failed(Reason::FetchSourceFailed));
        }
        self.made_folder(&sources)?;
        self.image_sources(&sources).await?;
        let Some(context) =
            inputs::inside(&sources, &source.context_dir).filter(|dir| dir.is_dir())
        else {
            let dir = &source.context_dir;
            self.tools.log.say(&format!("error: there is no folder `{dir}` in the sources"));
            return Err(Trouble::Failed(Reason::InvalidContextDirectory));
        };
        self.inline_dockerfile(&sources)?;
        if self.spec.strategy.docker_strategy.is_some() {
            self.put_configs(&context)?;
        }
        Ok(context)
    }

    fn made_folder(&self, sources: &Path) -> Result<(), Trouble> {
        std::fs::create_dir_all(sources).map_err(|error| {
            Trouble::Passing(format!("cannot make the folder of the sources: {error}"))
        })
    }

    /// Writes the Dockerfile that stands in the manifest (rule B36).
    fn inline_dockerfile(&self, sources: &Path) -> Result<(), Trouble> {
        let Some(text) = &self.spec.source.dockerfile else { return Ok(()) };
        let docker = self.spec.strategy.docker_strategy.as_ref();
        let path = docker.map_or("", |docker| &docker.dockerfile_path);
        let path = crate::builds::dockerfile_path(Some(&self.spec.source.context_dir), Some(path));
        let put = |path: &str| {
            let (below, name) = path.rsplit_once('/').unwrap_or(("", path));
            // Its folder may be reached by a link of the repository, if that stays inside.
            let folder = match inputs::inside(sources, below) {
                Some(folder) => folder,
                None => inputs::make_below(sources, below)?,
            };
            inputs::put_file(&folder, name, text.as_bytes(), 0o644)
        };
        let outside = || std::io::Error::other("it leads outside of the sources");
        path.ok_or_else(outside).and_then(|path| put(&path)).map_err(|error| {
            self.tools
                .log
                .say(&format!("error: cannot write the Dockerfile of the manifest: {error}"));
            Trouble::Failed(Reason::ManageDockerfileFailed)
        })
    }

    /// Writes the files of `Secret`s and `ConfigMap`s (rule B44).
    fn put_configs(&self, context: &Path) -> Result<(), Trouble> {
        let source = &self.spec.source;
        let secrets = source.secrets.iter();
        let secrets =
            secrets.map(|files| (SourceKind::Secret, &files.secret.name, &files.destination_dir));
        let maps = source.config_maps.iter();
        let maps = maps
            .map(|files| (SourceKind::ConfigMap, &files.config_map.name, &files.destination_dir));
        for (kind, name, below) in secrets.chain(maps) {
            let contents = self.needed(kind, name)?;
            let folder = inputs::make_below(context, below.trim_start_matches('/'));
            let put = folder.and_then(|folder| inputs::put_keys(&folder, contents, 0o644));
            put.map_err(|error| self.fetch_failed(&error))?;
        }
        Ok(())
    }

    pub(super) fn fetch_failed(&self, why: &dyn std::fmt::Display) -> Trouble {
        self.tools.log.say(&format!("error: {why}"));
        Trouble::Failed(Reason::FetchSourceFailed)
    }

    /// A `Secret` or a `ConfigMap` that the sources need.
    pub(super) fn needed(&self, kind: SourceKind, name: &str) -> Result<&Contents, Trouble> {
        let name = ConfigName { kind, name: name.to_owned() };
        self.known(&name).ok_or_else(|| self.fetch_failed(&format!("there is no {name}")))
    }

    /// A `Secret` or a `ConfigMap`; from now on the log shows nothing of a `Secret`.
    pub(super) fn known(&self, name: &ConfigName) -> Option<&Contents> {
        let found = self.contents.get(name)?;
        if name.kind == SourceKind::Secret {
            for (key, value) in found.iter() {
                if let Ok(text) = std::str::from_utf8(value)
                    && !NO_SECRETS.contains(&key.as_str())
                {
                    self.tools.log.hide(text);
                }
            }
        }
        Some(found)
    }

    /// The login to the source: that of the manifest, else the one that is for such repositories.
    fn source_secret(&self, uri: &str) -> Result<Option<Contents>, Trouble> {
        if let Some(name) = self.spec.source.source_secret.get() {
            return self.needed(SourceKind::Secret, name).cloned().map(Some);
        }
        let secrets = self.contents.iter().filter(|(name, _)| name.kind == SourceKind::Secret);
        let annotated = secrets.map(|(name, contents)| {
            let patterns: Vec<String> =
                contents.annotated(SOURCE_SECRET_ANNOTATION).cloned().collect();
            (name.name.as_str(), patterns)
        });
        let annotated: Vec<_> = annotated.collect();
        let all = annotated.iter().map(|(name, patterns)| (*name, patterns.as_slice()));
        let Some(name) = linked(uri, all) else { return Ok(None) };
        self.tools
            .log
            .say(&format!("The login to the source is that of secret/{name}, by its annotation."));
        self.needed(SourceKind::Secret, name).cloned().map(Some)
    }

    fn check_push_secret(&self) -> Result<(), Trouble> {
        let Some(name) = self.spec.output.push_secret.get() else { return Ok(()) };
        let name = ConfigName { kind: SourceKind::Secret, name: name.to_owned() };
        if self.request.push.is_none() || self.known(&name).is_some() {
            return Ok(());
        }
        self.tools.log.say(&format!("error: there is no {name} to push with"));
        Err(Trouble::Error(
            Reason::MissingPushSecret,
            Reason::MissingPushSecret.message().to_owned(),
        ))
    }

    /// Variables with their values, and those of the request over them (rule B56).
    pub(super) fn variables(
        &self,
        env: &[EnvVar],
        more: &[(String, String)],
    ) -> Result<Vec<Variable>, Trouble> {
        let resolved = resolve(env, |name| self.known(name), |path| self.field(path));
        let mut resolved = resolved.map_err(|why| {
            self.tools.log.say(&format!("error: {why}"));
            Trouble::Error(Reason::UnresolvableEnvironmentVariable, why)
        })?;
        for (name, value) in more {
            let (name, value) = (name.clone(), value.clone());
            put(&mut resolved, Variable { name, value, is_secret: false });
        }
        for one in resolved.iter().filter(|one| one.is_secret) {
            self.tools.log.hide(&one.value);
        }
        Ok(resolved)
    }

    /// A field of the build.
    fn field(&self, path: &str) -> Option<String> {
        let BuildRequest { object, number, name, .. } = self.request;
        let label = |map: &str| {
            path.strip_prefix(map)?.strip_prefix("['")?.strip_suffix("']").map(str::to_owned)
        };
        let of_config = label("metadata.labels").and_then(|label| self.spec.labels.get(&label));
        let label = label("metadata.labels").or_else(|| label("metadata.annotations"));
        match (path, label.as_deref()) {
            ("metadata.name", _) => Some(name.clone()),
            ("metadata.namespace", _) => Some(object.namespace.to_string()),
            (_, Some("buildconfig" | "openshift.io/build-config.name")) => {
                Some(object.name.to_string())
            }
            (_, Some("openshift.io/build.number")) => Some(number.to_string()),
            (_, _) => of_config.cloned(),
        }
    }

    /// The image that a part of the build is of.
    pub(super) fn image_for(&self, used: &BuildUse) -> Option<String> {
        let image = self.request.images.iter().find(|image| image.used == *used)?;
        Some(image.reference.clone())
    }

    pub(super) fn image_labels(&self) -> BTreeMap<String, String> {
        let labels = self.spec.output.image_labels.iter();
        labels.map(|label| (label.name.clone(), label.value.clone())).collect()
    }

    pub(super) fn is_insecure(&self, image: &str) -> bool {
        let image: Result<ImageReference, _> = image.parse();
        image.is_ok_and(|image| self.builder.registries.is_insecure(&image))
    }

    /// The logins for images, and those of `Secret`s before them.
    pub(super) async fn logins(&self, images: &[String], secrets: &[&str]) -> Vec<u8> {
        let mut files = Vec::new();
        for image in images {
            files.extend(self.builder.registries.lend(image, &self.request.object.namespace).await);
        }
        files.extend(self.secret_logins(secrets));
        image::merged(&files)
    }

    /// All logins that this build may have, for images that are not known before.
    pub(super) async fn all_logins(&self) -> Vec<u8> {
        let mut files = self.builder.registries.lend_all(&self.request.object.namespace).await;
        files.extend(self.secret_logins(&[]));
        image::merged(&files)
    }

    /// The files of logins of `Secret`s; of those to pull with where none is named.
    fn secret_logins(&self, secrets: &[&str]) -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        let pull: Vec<&str> = self.spec.pull_secrets().collect();
        let names = if secrets.is_empty() { &pull[..] } else { secrets };
        for name in names {
            let name = ConfigName { kind: SourceKind::Secret, name: (*name).to_owned() };
            let Some(contents) = self.known(&name) else {
                self.tools.log.say(&format!("warning: there is no {name}"));
                continue;
            };
            files.extend(file_of(contents));
        }
        files
    }

    /// Folders that commands see, and where.
    pub(super) fn volumes(
        &self,
        volumes: &[VolumeSpec],
    ) -> Result<Vec<(PathBuf, String)>, Trouble> {
        let mut all = Vec::new();
        for (at, volume) in volumes.iter().enumerate() {
            let folder = self.place.private().join(format!("volume-{at}"));
            let (name, items, optional) = match (&volume.source.secret, &volume.source.config_map) {
                (Some(of), _) => {
                    let name =
                        ConfigName { kind: SourceKind::Secret, name: of.secret_name.clone() };
                    (name, &of.items, of.optional)
                }
                (None, Some(of)) => {
                    let name = ConfigName { kind: SourceKind::ConfigMap, name: of.name.clone() };
                    (name, &of.items, of.optional)
                }
                (None, None) => {
                    return Err(self.fetch_failed(&format!(
                        "volume `{}` is neither a Secret nor a ConfigMap",
                        volume.name
                    )));
                }
            };
            let put = match self.known(&name) {
                Some(contents) => inputs::put_items(&folder, contents, items),
                None if optional => std::fs::create_dir_all(&folder),
                None => return Err(self.fetch_failed(&format!("there is no {name}"))),
            };
            put.map_err(|error| self.fetch_failed(&error))?;
            let mounts = volume.mounts.iter().map(|mount| mount.destination_path.clone());
            all.extend(mounts.map(|to| (folder.clone(), to)));
        }
        let trusted = Path::new("/etc/ssl/certs/ca-certificates.crt");
        if self.spec.mount_trusted_ca && trusted.exists() {
            let to = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem".to_owned();
            all.push((trusted.to_owned(), to));
        }
        Ok(all)
    }

    /// Pushes the image, and reads it as the registry has it.
    async fn push(&mut self, push: &PushTo) -> Result<ResolvedImage, Trouble> {
        let to = push.image.qualified();
        let insecure = push.insecure || self.builder.registries.is_insecure(&push.image);
        let own: Vec<&str> = self.spec.output.push_secret.get().into_iter().collect();
        let logins = match own.is_empty() {
            true => self.builder.registries.lend(&to, &self.request.object.namespace).await,
            false => Some(self.logins(std::slice::from_ref(&to), &own).await),
        };
        let logins = logins.unwrap_or_else(|| b"{}".to_vec());
        let file = tempfile::NamedTempFile::new()
            .map_err(|error| Trouble::Passing(format!("cannot make a file: {error}")))?;
        let tag = self.place.tag.clone();
        let digest = self.tools.push(&tag, &to, (insecure, &logins), file.path()).await?;
        self.made.pushed = Some(digest);
        self.keep_made()?;
        self.read_back(push, insecure, digest).await
    }

    async fn read_back(
        &self,
        push: &PushTo,
        insecure: bool,
        digest: Digest,
    ) -> Result<ResolvedImage, Trouble> {
        let lost = |why: &dyn std::fmt::Display| {
            self.tools
                .log
                .say(&format!("error: the registry does not give back what was pushed: {why}"));
            Trouble::Failed(Reason::PushImageToRegistryFailed)
        };
        let image: Result<ImageReference, _> = push.image.with_digest(&digest).parse();
        let image = image.map_err(|error| lost(&error))?;
        let check = Check {
            image: Arc::new(image),
            insecure,
            mode: ImportMode::default(),
            platform: Platform::default(),
            copy_to: None,
            namespace: Some(self.request.object.namespace.clone()),
        };
        let request = ResolveRequest { check, known: None, allowance: None };
        let own = self.push_logins().map_err(|error| lost(&error))?;
        let registries = own.as_ref().map_or(&self.builder.registries, |(_, own)| own);
        let resolving = registries.resolve(&request);
        let resolved = tokio::select! {
            resolved = resolving => resolved,
            () = self.tools.cancel.cancelled() => return Err(Trouble::Cancelled),
        };
        match resolved {
            Ok(found) => match found.image.filter(|image| image.digest == digest) {
                Some(image) => Ok(image),
                None => Err(lost(&format!("it is {}", found.probed))),
            },
            Err(failure) if failure.transient => Err(Trouble::Passing(format!(
                "the image was pushed, and cannot be read back: {}",
                failure.message
            ))),
            Err(failure) => Err(lost(&failure.message)),
        }
    }

    /// The registries with the login of `output.pushSecret`, where there is one, and the folder that it is in.
    fn push_logins(&self) -> std::io::Result<Option<(tempfile::TempDir, Registries)>> {
        let Some(name) = self.spec.output.push_secret.get() else { return Ok(None) };
        let secret = ConfigName { kind: SourceKind::Secret, name: name.to_owned() };
        let Some(contents) = self.known(&secret) else { return Ok(None) };
        let namespace = &self.request.object.namespace;
        // A folder that only this user reads.
        let folder = tempfile::tempdir()?;
        for key in [".dockerconfigjson", ".dockercfg"] {
            let Some(text) = contents.get(key).and_then(|text| std::str::from_utf8(text).ok())
            else {
                continue;
            };
            let kind = format!("kubernetes.io/{}", key.trim_start_matches('.'));
            let manifest = serde_json::json!({
                "kind": "Secret",
                "type": kind,
                "metadata": {"name": name, "namespace": namespace},
                "stringData": {key: text},
            });
            let file = format!("{}.json", key.trim_start_matches('.'));
            inputs::put_file(folder.path(), &file, manifest.to_string().as_bytes(), 0o600)?;
        }
        let own =
            SecretFolder { path: folder.path().to_owned(), default_namespace: namespace.clone() };
        let registries = self.builder.registries.with_secrets(own);
        Ok(Some((folder, registries.map_err(std::io::Error::other)?)))
    }

    fn keep_made(&self) -> Result<(), Trouble> {
        self.place.note(&self.made).map_err(|error| Trouble::Passing(cannot_note(&error)))
    }

    fn note(&mut self, begun: &Begun) {
        let took = u64::try_from(begun.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.made.stages.push(BuildStage { name: begun.name.to_owned(), at: begun.at, took });
    }

    /// What is told of an end.
    pub(super) fn told(&self, done: Result<Option<ResolvedImage>, Trouble>) -> BuildReport {
        let ended = |end, reason: Reason, message: &str| {
            BuildEnded::new(end, &reason.to_string(), self.tools.log.redacted(message))
        };
        let is_good = done.is_ok();
        let ended = match done {
            Ok(image) => BuildEnded { image, ..BuildEnded::new(BuildEnd::Complete, "", "") },
            Err(Trouble::Failed(reason)) => ended(BuildEnd::Failed, reason, reason.message()),
            Err(Trouble::Error(reason, why)) => ended(BuildEnd::Error, reason, &why),
            Err(Trouble::Cancelled) => {
                let reason = Reason::CancelledBuild;
                ended(BuildEnd::Cancelled, reason, reason.message())
            }
            Err(Trouble::Deadline) => {
                let reason = Reason::DeadlineExceeded;
                ended(BuildEnd::Failed, reason, reason.message())
            }
            Err(Trouble::Passing(why)) => {
                let reason = self.tools.log.redacted(&why);
                return BuildReport::Transient { reason, retry_after: None };
            }
        };
        let log = if is_good { String::new() } else { self.tools.log.snippet() };
        BuildReport::Ended(Box::new(BuildEnded {
            revision: self.made.revision.clone(),
            stages: self.made.stages.clone(),
            log,
            ..ended
        }))
    }
}

/// A stage that began.
struct Begun {
    name: &'static str,
    at: Timestamp,
    since: tokio::time::Instant,
}

impl Begun {
    fn now(name: &'static str) -> Self {
        let at = Timestamp::from_jiff(jiff::Timestamp::now());
        Self { name, at, since: tokio::time::Instant::now() }
    }
}
