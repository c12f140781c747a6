//! A builder with a real buildah, a registry to push to, and manifests in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::action::{BuildEnded, BuildReport, BuildRequest, PushTo, ResolvedImage};
use tidegate::builds::log_path;
use tidegate::fact::{BuildCause, BuildEnd, BuildImage, BuildOptions, BuildUse};
use tidegate::names::{
    BuildNumber, CommitId, ContentHash, Digest, Incarnation, ObjectKey, RolloutKey, Seq,
};
use tidegate::pods::{ConfigName, Configs, Contents, SourceKind};
use tidegate::time::Timestamp;
use tidegate::world::build::{Builder, BuilderConfig, Isolation};
use tidegate::world::registry::{Registries, RegistryConfig};
use tokio_util::sync::CancellationToken;

use super::daemon::wait;
use super::podman::{Podman, Program};
use super::registry::Options;

/// What ends a step whose last words a test looks for. With chroot isolation buildah (1.28 as of today's) does not wait for
/// what it passes on of a step: when the step ends, so does that, and on a busy machine the last lines are lost.
pub(crate) const STAYS: &str = "busybox sleep 1";

/// Objects by their hash.
type Store = Arc<Mutex<BTreeMap<ContentHash, Vec<u8>>>>;

/// A host that builds, and what it pushes to.
pub(crate) struct Workshop {
    pub(crate) podman: Podman,
    pub(crate) state: tempfile::TempDir,
    /// What is in git beside the BuildConfig.
    configs: Mutex<Configs>,
    store: Store,
    pub(crate) limit: u64,
    pub(crate) isolation: Isolation,
    /// Folder of `Secret`s outside of git.
    pub(crate) folder: Option<PathBuf>,
    builds: Mutex<u64>,
}

impl Workshop {
    /// None where it cannot be made here, and in the process that waits for the one in namespaces of its own.
    pub(crate) fn open() -> Option<Self> {
        Self::open_with(&Options::default())
    }

    pub(crate) fn open_with(options: &Options) -> Option<Self> {
        if !super::podman::alone() {
            return None;
        }
        let podman = Podman::start_with(options)?;
        let state = tempfile::tempdir().unwrap();
        Some(Self {
            podman,
            state,
            configs: Mutex::default(),
            store: Store::default(),
            limit: 1 << 20,
            isolation: Isolation::Chroot,
            folder: None,
            builds: Mutex::new(0),
        })
    }

    /// Pushes an image with a shell, and gives it with its digest, as a build has it.
    pub(crate) fn base(&self, name: &str) -> String {
        self.podman.push(name, "base", Program::Healthy);
        self.pinned(name)
    }

    /// An image in the registry with its digest.
    pub(crate) fn pinned(&self, name: &str) -> String {
        let image = format!("{}/{name}", self.podman.registry.address());
        let digest = self.podman.digest(&image);
        let (repository, _) = image.rsplit_once(':').unwrap();
        format!("{repository}@{digest}")
    }

    /// A `Secret` or a `ConfigMap` of the namespace.
    pub(crate) fn put(&self, kind: SourceKind, name: &str, values: &[(&str, &str)]) {
        self.put_annotated(kind, name, values, &[]);
    }

    fn put_annotated(
        &self,
        kind: SourceKind,
        name: &str,
        values: &[(&str, &str)],
        annotations: &[(&str, &str)],
    ) {
        let list = match kind {
            SourceKind::Secret => "stringData",
            SourceKind::ConfigMap => "data",
        };
        let map = |pairs: &[(&str, &str)]| -> Value {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
        };
        let document = json!({"metadata": {"annotations": map(annotations)}, list: map(values)});
        let contents = Contents::read(kind, &document).unwrap();
        let name = ConfigName { kind, name: name.to_owned() };
        self.configs.lock().unwrap().insert(("shop".parse().unwrap(), name), contents);
    }

    pub(crate) fn secret(&self, name: &str, values: &[(&str, &str)]) {
        self.put(SourceKind::Secret, name, values);
    }

    /// A `Secret` that is for the repositories that a pattern fits.
    pub(crate) fn secret_for(&self, pattern: &str, name: &str, values: &[(&str, &str)]) {
        let annotation = format!("{}1", tidegate::builds::SOURCE_SECRET_ANNOTATION);
        self.put_annotated(SourceKind::Secret, name, values, &[(&annotation, pattern)]);
    }

    /// Keeps bytes, as a command does that hands them over.
    pub(crate) fn keep(&self, bytes: &[u8]) -> ContentHash {
        let hash = ContentHash::of(bytes);
        self.store.lock().unwrap().insert(hash, bytes.to_vec());
        hash
    }

    /// The builder, as a daemon that starts makes it.
    pub(crate) fn builder(&self) -> Builder {
        self.builder_with(&self.podman.buildah())
    }

    pub(crate) fn builder_with(&self, buildah: &Path) -> Builder {
        self.builder_of(buildah, Path::new("git"))
    }

    pub(crate) fn builder_of(&self, buildah: &Path, git: &Path) -> Builder {
        let (kept, read) = (Arc::clone(&self.store), Arc::clone(&self.store));
        let secrets = self.folder.clone().map(|path| tidegate::world::registry::SecretFolder {
            path,
            default_namespace: "shop".parse().unwrap(),
        });
        let config = RegistryConfig {
            insecure: [self.podman.registry.address()].into(),
            auth_files: vec![self.podman.beside("auth.json")],
            secrets,
            ..RegistryConfig::default()
        };
        let keep = move |bytes: &[u8]| {
            let hash = ContentHash::of(bytes);
            kept.lock().unwrap().insert(hash, bytes.to_vec());
            Ok(hash)
        };
        let registries = Registries::new(config, Arc::new(keep)).unwrap();
        let configs = Arc::new(self.configs.lock().unwrap().clone());
        let path = std::env::var("PATH").unwrap();
        let config = BuilderConfig {
            buildah: buildah.to_owned(),
            git: git.to_owned(),
            isolation: self.isolation,
            log_bytes_max: self.limit,
            environment: [
                ("PATH".to_owned(), path),
                ("GIT_CONFIG_GLOBAL".to_owned(), "/dev/null".to_owned()),
                ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
            ]
            .into(),
        };
        let read = move |hash: &ContentHash| {
            let found = read.lock().unwrap().get(hash).cloned();
            found.ok_or_else(|| std::io::ErrorKind::NotFound.into())
        };
        Builder::new(
            config,
            self.state.path(),
            (Arc::new(read), Arc::new(move |_: &CommitId| Ok(Arc::clone(&configs)))),
            registries,
        )
        .unwrap()
    }

    /// The next build of `BuildConfig/shop/web` with this `spec`, in YAML, pushed to `shop/web:latest`.
    pub(crate) fn request(&self, spec: &str) -> BuildRequest {
        let spec: Value = serde_yaml::from_str(spec).unwrap();
        let manifest = json!({"kind": "BuildConfig", "metadata": {"name": "web", "labels": {"tier": "front"}}, "spec": spec});
        let manifest = self.keep(manifest.to_string().as_bytes());
        let mut builds = self.builds.lock().unwrap();
        *builds += 1;
        let object: ObjectKey = "BuildConfig/shop/web".parse().unwrap();
        let push = format!("{}/shop/web:latest", self.podman.registry.address());
        BuildRequest {
            key: RolloutKey::of(&object, Incarnation(1), Seq(*builds), None),
            object,
            number: BuildNumber(*builds),
            name: format!("web-{builds}"),
            started: Timestamp::EPOCH,
            manifest,
            commit: "0".repeat(40).parse().unwrap(),
            causes: vec![BuildCause::Manual { by: "ada".into() }],
            images: Vec::new(),
            options: BuildOptions::default(),
            push: Some(PushTo {
                image: Arc::new(push.parse().unwrap()),
                tag: None,
                insecure: false,
            }),
            left: Duration::from_secs(300),
            ends: false,
        }
    }

    /// Runs a build.
    pub(crate) fn run(&self, request: &BuildRequest) -> BuildReport {
        wait(self.builder().build(request, CancellationToken::new()))
    }

    /// Runs a build of this `spec` to its end.
    pub(crate) fn build(&self, spec: &str) -> BuildEnded {
        self.build_with(spec, |_| {})
    }

    /// The same, with something else in its request.
    pub(crate) fn build_with(
        &self,
        spec: &str,
        change: impl FnOnce(&mut BuildRequest),
    ) -> BuildEnded {
        let mut request = self.request(spec);
        change(&mut request);
        self.ended(&request)
    }

    pub(crate) fn ended(&self, request: &BuildRequest) -> BuildEnded {
        match self.run(request) {
            BuildReport::Ended(ended) => *ended,
            BuildReport::Transient { reason, .. } => panic!("{reason}"),
        }
    }

    /// A build that has to succeed; what the registry has of it.
    pub(crate) fn makes(&self, spec: &str, change: impl FnOnce(&mut BuildRequest)) -> Image {
        let mut request = self.request(spec);
        change(&mut request);
        let ended = self.ended(&request);
        self.image(&ended, &request.name)
    }

    pub(crate) fn image(&self, ended: &BuildEnded, build: &str) -> Image {
        assert_eq!(ended.end, BuildEnd::Complete, "{ended:?}\n{}", self.log(build));
        let ResolvedImage { digest, metadata } = ended.image.clone().unwrap();
        let store = self.store.lock().unwrap();
        let config: Value = serde_json::from_slice(&store[&metadata]).unwrap();
        let config = config.pointer("/dockerImageMetadata/Config").cloned().unwrap_or_default();
        Image { digest, config, log: self.log(build), ended: ended.clone() }
    }

    /// The log of a build.
    pub(crate) fn log(&self, build: &str) -> String {
        let path = log_path(self.state.path(), &"shop".parse().unwrap(), build);
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// What a command prints in an image that was pushed.
    pub(crate) fn prints(&self, image: &Image, command: &str) -> String {
        let address = self.podman.registry.address();
        let image = format!("{address}/shop/web@{}", image.digest);
        let run = ["run", "--rm", "--quiet", "--net=none", "--entrypoint", "/bin/sh", &image];
        self.podman.run(&[&run[..], &["-c", command]].concat())
    }
}

/// An image that was built and pushed.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) digest: Digest,
    /// How it runs.
    pub(crate) config: Value,
    pub(crate) log: String,
    pub(crate) ended: BuildEnded,
}

impl Image {
    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.config.get("Labels")?.get(name)?.as_str()
    }

    /// Its variables.
    pub(crate) fn env(&self) -> Vec<&str> {
        let env = self.config.get("Env").and_then(Value::as_array).into_iter().flatten();
        env.filter_map(Value::as_str).collect()
    }
}

/// The image of the strategy of a build.
pub(crate) fn from(image: &str) -> Vec<BuildImage> {
    vec![used(BuildUse::Strategy, image)]
}

pub(crate) fn used(used: BuildUse, image: &str) -> BuildImage {
    let digest = image.split_once('@').map(|(_, digest)| digest.parse().unwrap());
    BuildImage { used, reference: image.to_owned(), from: None, digest }
}
