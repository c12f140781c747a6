//! A host that builds an application and runs it: real git, real buildah, a real registry, real pods.

use tidegate::fact::{BuildEnd, BuildFinished, Fact, Outcome};
use tidegate::names::Digest;

use super::daemon::{Host, eventually};
use super::git::Repo;
use super::podman::{Podman, Program, alone};
use super::shop::{READY, end_of, stream};

/// The port of the host that leads to the shop.
pub(crate) const PORT: u16 = 18080;

/// A host that builds and runs, with a repository of manifests and one of the application.
pub(crate) struct Yard {
    pub(crate) podman: Podman,
    pub(crate) source: Repo,
    pub(crate) repo: Repo,
    pub(crate) host: Host,
}

impl Yard {
    /// None where it cannot be made here, and in the process that waits for the one in namespaces of its own.
    pub(crate) fn open(manifests: impl FnOnce(&str, &str) -> String) -> Option<Self> {
        if !alone() {
            return None;
        }
        Some(Self::on(Podman::start()?, "", manifests))
    }

    /// The same where there is a podman, with more lines of configuration.
    pub(crate) fn on(
        podman: Podman,
        more: &str,
        manifests: impl FnOnce(&str, &str) -> String,
    ) -> Self {
        podman.push("shop/base:latest", "base 1", Program::Healthy);
        let source = Repo::new();
        source.write("app.txt", "first").write("Dockerfile", DOCKERFILE).commit("the application");
        let repo = Repo::new();
        let address = podman.registry.address();
        repo.write("shop.yaml", manifests(&address, &source.address())).commit("the shop");
        Self::of(podman, source, repo, more)
    }

    /// The host of these repositories.
    pub(crate) fn of(podman: Podman, source: Repo, repo: Repo, more: &str) -> Self {
        let address = podman.registry.address();
        let toml = format!(
            "[registries.\"{address}\"]\ninsecure = true\n[builds]\nenabled = true\nbuildah = {:?}\n\
             [targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n{more}",
            podman.buildah().display(),
            podman.program().display()
        );
        let host = Host::new(repo.path(), &toml);
        Self { podman, source, repo, host }
    }

    /// How the build of this name ended.
    pub(crate) fn built(&self, name: &str) -> BuildFinished {
        let end = |record: tidegate::fact::Record| match record.fact {
            Fact::BuildFinished(end) if end.name == name => Some(*end),
            _ => None,
        };
        eventually(&format!("the end of {name}; {}", self.host.story()), || {
            self.host.records().into_iter().find_map(end)
        })
    }

    /// The same; it succeeded.
    pub(crate) fn completes(&self, name: &str) -> Digest {
        self.completes_in("shop", name)
    }

    pub(crate) fn completes_in(&self, namespace: &str, name: &str) -> Digest {
        let end = self.built(name);
        let path = self.host.state().join(format!("builds/logs/{namespace}/{name}.log"));
        let log = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!((end.end, end.message.as_str()), (BuildEnd::Complete, ""), "{log}");
        end.image.expect("it was pushed")
    }

    pub(crate) fn rolls_out(&self, number: usize) {
        let end = eventually(&format!("rollout {number}; {}", self.host.story()), || {
            end_of(self.host.records(), number)
        });
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.host.story());
    }
}

pub(crate) const DOCKERFILE: &str = "FROM scratch\nCOPY app.txt /www/app.txt\nRUN cat /www/index.html /www/app.txt > /tmp/page && mv /tmp/page /www/index.html\n";

/// The stream of the base, that of the application, how it is built, and what runs it.
pub(crate) fn application(registry: &str, source: &str) -> String {
    format!(
        "{}---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop, annotations: {{tidegate.dev/push: '{registry}/shop/web'}}}}
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {{name: web, namespace: shop}}
spec:
  source: {{git: {{uri: '{source}'}}}}
  strategy: {{dockerStrategy: {{from: {{kind: ImageStreamTag, name: 'base:latest'}}}}}}
  output: {{to: {{kind: ImageStreamTag, name: 'web:latest'}}}}
  triggers: [{{type: ConfigChange}}, {{type: ImageChange}}]
---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: web, namespace: shop, annotations: {{tidegate.dev/publish: '127.0.0.1:{PORT}:8080'}}}}
spec:
  replicas: 1
  triggers:
  - type: ImageChange
    imageChangeParams: {{automatic: true, containerNames: [main], from: {{kind: ImageStreamTag, name: 'web:latest'}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 3
      containers:
      - name: main
        image: ' '
        ports: [{{containerPort: 8080}}]
        {READY}
",
        stream(registry, "base")
    )
}
