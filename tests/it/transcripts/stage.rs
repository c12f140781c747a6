//! Where transcripts are played: a repository, a daemon, and a registry that stands for all of them.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::{Value, json};
use tidegate::fact::{Fact, Outcome};
use tidegate::names::Digest;

use crate::support::daemon::{Host, eventually, wait};
use crate::support::git::Repo;
use crate::support::registry::{DockerRegistry, Options, write};

/// The integrated registry of the documents, which only rewrites references.
const INTEGRATED: &str = "[integrated_registry]\n\
    address = \"image-registry.openshift-image-registry.svc:5000\"\n\
    public_address = \"default-route-openshift-image-registry.apps-crc.testing\"\n\
    mode = \"pull-through\"\n";

/// A place where a document is played.
pub(crate) struct Stage {
    pub(crate) registry: DockerRegistry,
    pub(crate) host: Host,
    pub(crate) repo: Repo,
    /// What stands for `{NAME}` in commands and in what they print.
    pub(crate) words: BTreeMap<String, String>,
}

/// Registries of the documents, in the order of the entries below.
const REGISTRIES: [&str; 5] = [
    "docker.io",
    "quay.io",
    "registry.redhat.io",
    "registry.marsrover.space",
    "registry.spacedev.com",
];

impl Stage {
    /// Opens a stage for a namespace; `None` where there is no registry to run.
    pub(crate) fn open(
        namespace: &str,
        login: Option<(&'static str, &'static str)>,
    ) -> Option<Self> {
        let options = Options { basic: login, foreign_layers: true, ..Options::default() };
        let registry = DockerRegistry::start_with(&options)?;
        let repo = Repo::new();
        repo.write("README.md", "manifests").commit("first");
        let address = registry.address();
        let toml = format!(
            "[registries]\nconf = \"registries.conf\"\nauth_file = \"auth.json\"\n\
             [imports]\ninterval = \"10s\"\n{INTEGRATED}"
        );
        let host = Host::new(repo.path(), &toml);
        host.configure(|text| format!("default_namespace = \"{namespace}\"\n{text}"));
        let entries = REGISTRIES.map(|name| {
            format!(
                "[[registry]]\nprefix = \"{name}\"\nlocation = \"{address}/{name}\"\ninsecure = true\n"
            )
        });
        write(&host.path("registries.conf"), &entries.join("\n"));
        let auth = match login {
            Some((user, password)) => {
                use base64::Engine as _;
                let text = format!("{user}:{password}");
                let text = base64::engine::general_purpose::STANDARD.encode(text);
                json!({"auths": {address: {"auth": text}}})
            }
            None => json!({"auths": {}}),
        };
        write(&host.path("auth.json"), &auth.to_string());
        write(&host.path("gitconfig"), "[user]\nname = Ada\nemail = ada@example.com\n");
        Some(Self { registry, host, repo, words: BTreeMap::new() })
    }

    /// Pushes an image as a document describes it; its digest is `{name}` from now on.
    pub(crate) fn push(&mut self, reference: &str, name: &str, image: &Image) -> Digest {
        let (repository, tag) = reference.rsplit_once(':').unwrap();
        let digest = wait(image.push(&self.registry, repository, tag));
        self.words.insert(name.to_owned(), digest.to_string());
        digest
    }

    /// The seven characters by which an image is shown are `{name}` from now on.
    pub(crate) fn shows(&mut self, image: &Image, name: &str) {
        let digest = Digest::of(image.config.to_string().as_bytes()).to_string();
        self.words.insert(name.to_owned(), digest["sha256:".len()..][..7].to_owned());
    }

    /// Rollouts go to a program that always succeeds.
    pub(crate) fn rolls_out(&self) {
        let target =
            "[targets.here]\nkind = \"exec\"\ncommand = [\"true\"]\n[routes]\ndefault = \"here\"\n";
        self.host.configure(|text| format!("{text}{target}"));
    }

    /// Waits until this many rollouts ended, all of them well.
    pub(crate) fn ends(&self, count: usize) {
        eventually(&format!("{count} rollouts; {}", self.host.story()), || {
            let is_end = |fact: &Fact| matches!(fact, Fact::RolloutFinished(end) if end.outcome == Outcome::Complete);
            (self.host.count(is_end) == count).then_some(())
        });
    }

    /// Starts the daemon, and waits until it can be asked.
    pub(crate) fn start(&mut self) {
        self.host.start();
        eventually("the daemon", || self.host.ask(&tidegate::control::Question::Status));
    }

    /// Writes manifests and commits them.
    pub(crate) fn commit(&self, path: &str, text: &str) {
        self.repo.write(path, text).commit(path);
    }

    /// Runs `oc`, here the program with `--oc-compatible`, in the repository.
    pub(crate) fn oc(&self, arguments: &[String]) -> Output {
        let arguments: Vec<&str> =
            ["--oc-compatible"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let mut command = self.host.tidegate(&arguments);
        command.env("GIT_CONFIG_GLOBAL", self.host.path("gitconfig"));
        command.current_dir(self.repo.path()).output().unwrap()
    }

    /// Waits until the daemon has adopted the head and imported what it asks for.
    pub(crate) fn settle(&self) {
        let head = self.repo.head();
        self.host.wait_for(
            "the commit",
            |fact| matches!(fact, Fact::CommitAdopted(adopted) if adopted.commit == head),
        );
        let tags = ["get", "itag", "-A", "-o", "json"].map(str::to_owned);
        eventually("imports", || {
            let listed = self.oc(&tags);
            let listed: Value = serde_json::from_slice(&listed.stdout).ok()?;
            let waits = |tag: &Value| {
                let status = &tag["status"];
                let is = |what: &str| status[what].as_array().is_some_and(|all| !all.is_empty());
                let generation = &tag["spec"]["generation"];
                let is_old = status["items"][0]["generation"].as_u64() < generation.as_u64();
                tag["spec"]["from"]["kind"] == "DockerImage"
                    && tag["spec"]["reference"] != true
                    && (!is("items") || is_old)
                    && !is("conditions")
            };
            (!listed["items"].as_array().unwrap().iter().any(waits)).then_some(())
        });
    }
}

/// An image as a document describes it.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) config: Value,
    /// Digest and size; an image of a document has layers that nobody can make again.
    pub(crate) layers: Vec<(String, u64)>,
}

impl Image {
    /// One that is only told from others by its seed.
    pub(crate) fn plain(seed: &str) -> Self {
        let config = json!({
            "architecture": "amd64", "os": "linux", "created": "2020-01-01T00:00:00Z",
            "config": {"Labels": {"seed": seed}}, "rootfs": {"type": "layers", "diff_ids": []},
        });
        Self { config, layers: vec![(Digest::of(seed.as_bytes()).to_string(), 1_000)] }
    }

    /// The same, listening on a port.
    pub(crate) fn listening(mut self, port: &str) -> Self {
        self.config["config"]["ExposedPorts"] = json!({port: {}});
        self
    }

    /// The same, building what it is given.
    pub(crate) fn building(mut self) -> Self {
        self.config["config"]["Labels"]["io.openshift.s2i.scripts-url"] = "image:///s2i".into();
        self
    }

    async fn push(&self, registry: &DockerRegistry, repository: &str, tag: &str) -> Digest {
        const LAYER: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
        const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
        let config = self.config.to_string().into_bytes();
        registry.put_blob(repository, &config).await;
        let layer = |(digest, size): &(String, u64)| json!({"mediaType": LAYER, "digest": digest, "size": size, "urls": ["https://example.com/layer"]});
        let layers: Vec<Value> = self.layers.iter().map(layer).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
            "config": {"mediaType": CONFIG, "digest": Digest::of(&config), "size": config.len()},
        });
        let body = manifest.to_string().into_bytes();
        registry.put_manifest(repository, tag, MANIFEST, &body).await
    }
}
