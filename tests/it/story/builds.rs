//! The circle that people love image streams for, on one host: a base image moves, the application on it is built again,
//! and what follows its tag is rolled out. Real git, real buildah, a real registry, real pods.

use tidegate::fact::{BuildCause, BuildEnd, BuildFinished, Fact, Outcome};
use tidegate::names::Digest;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::{READY, end_of, import, served, stream};

/// The port of the host that leads to the shop.
const PORT: u16 = 18080;

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
        let podman = Podman::start()?;
        podman.push("shop/base:latest", "base 1", Program::Healthy);
        let source = Repo::new();
        source.write("app.txt", "first").write("Dockerfile", DOCKERFILE).commit("the application");
        let repo = Repo::new();
        let address = podman.registry.address();
        repo.write("shop.yaml", manifests(&address, &source.address())).commit("the shop");
        let toml = format!(
            "[registries.\"{address}\"]\ninsecure = true\n[builds]\nenabled = true\nbuildah = {:?}\n\
             [targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
            podman.buildah().display(),
            podman.program().display()
        );
        let host = Host::new(repo.path(), &toml);
        Some(Self { podman, source, repo, host })
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

    fn rolls_out(&self, number: usize) {
        let end = eventually(&format!("rollout {number}; {}", self.host.story()), || {
            end_of(self.host.records(), number)
        });
        assert_eq!(end, (Outcome::Complete, String::new(), None), "{}", self.host.story());
    }
}

const DOCKERFILE: &str = "FROM scratch\nCOPY app.txt /www/app.txt\nRUN cat /www/index.html /www/app.txt > /tmp/page && mv /tmp/page /www/index.html\n";

/// The stream of the base, that of the application, how it is built, and what runs it.
fn application(registry: &str, source: &str) -> String {
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

/// The whole circle, unattended, and `history` tells it.
#[test]
fn b014_b051_t023_a_base_that_moves_is_built_and_rolled_out_and_history_tells_the_chain() {
    let Some(mut yard) = Yard::open(application) else { return };
    yard.host.start();
    let first = yard.completes("web-1");
    yard.rolls_out(1);
    assert_eq!(served(PORT).as_deref(), Some("base 1first"));

    yard.podman.push("shop/base:latest", "base 2", Program::Healthy);
    import(&yard.host, "base");
    let second = yard.completes("web-2");
    yard.rolls_out(2);
    assert_ne!(first, second);
    assert_eq!(served(PORT).as_deref(), Some("base 2first"));

    // One build for each, with its cause.
    let causes = yard.host.records().into_iter().filter_map(|record| match record.fact {
        Fact::BuildCreated(created) => Some(created.causes),
        _ => None,
    });
    let causes: Vec<_> = causes.flatten().collect();
    assert!(
        matches!(causes.as_slice(), [BuildCause::Config, BuildCause::Image { .. }]),
        "{causes:?}"
    );

    let told = yard.host.text(&["history", "dc/web", "-n", "shop"]);
    let chain = ["rollout 2", "from build web-2", "build web-2: shop/base:latest", "import"];
    for word in chain {
        assert!(told.contains(word), "no {word:?} in\n{told}");
    }
    let stream = yard.host.text(&["describe", "is/web", "-n", "shop"]);
    assert!(stream.contains("no spec tag"), "B51: {stream}");
    yard.host.has_no_secret();
}

/// Nothing is built or rolled out again by a restart, whatever it interrupts.
#[test]
fn b034_a_daemon_that_is_killed_while_it_builds_builds_it_once() {
    let Some(mut yard) = Yard::open(application) else { return };
    yard.host.start();
    let began = |fact: &Fact| matches!(fact, Fact::BuildStarted(_));
    yard.host.wait_for("the first build", began);
    yard.host.kill();
    yard.host.start();
    yard.completes("web-1");
    yard.rolls_out(1);
    yard.host.kill();
    yard.host.start();
    yard.repo.write("note.txt", "nothing of ours").commit("a note");
    let adopted = |fact: &Fact| matches!(fact, Fact::CommitAdopted(_));
    eventually("the second commit", || (yard.host.count(adopted) == 2).then_some(()));
    let created = |fact: &Fact| matches!(fact, Fact::BuildCreated(_));
    assert_eq!((yard.host.count(created), yard.host.count(began)), (1, 1));
    assert_eq!(served(PORT).as_deref(), Some("base 1first"));
}

/// A builder image as the founding documents' `httpd:2.4`: a shell, a web server and the scripts of Source-to-Image.
fn s2i_builder(podman: &Podman, version: &str) {
    podman.push("base/shell:1", "base", Program::Healthy);
    let dir = podman.beside("httpd");
    std::fs::create_dir_all(dir.join("bin")).unwrap();
    let scripts = [
        (
            "assemble",
            format!("#!/bin/sh\ncp -r /tmp/src/. /opt/app-root/src/\necho -n ' on {version}' >> /opt/app-root/src/index.html\n"),
        ),
        (
            "run",
            "#!/bin/sh\nbusybox httpd -f -p 8080 -h /opt/app-root/src & trap 'kill $!; exit 0' TERM; wait\n".to_owned(),
        ),
    ];
    for (name, text) in scripts {
        crate::support::git::program(&dir.join("bin").join(name), &text);
    }
    let dockerfile = format!(
        "FROM {}/base/shell:1\nCOPY bin /usr/libexec/s2i\nRUN /bin/busybox --install -s /bin && mkdir -p /opt/app-root/src /etc /tmp \
         && chmod 1777 /tmp /opt/app-root /opt/app-root/src && echo 'default:x:1001:0::/opt/app-root/src:/bin/sh' > /etc/passwd\n\
         LABEL io.openshift.s2i.scripts-url=image:///usr/libexec/s2i io.k8s.display-name='Apache httpd 2.4' \
         io.openshift.tags='builder,httpd,httpd-24'\nWORKDIR /opt/app-root/src\nUSER 1001\nEXPOSE 8080\n",
        podman.registry.address()
    );
    std::fs::write(dir.join("Dockerfile"), dockerfile).unwrap();
    let image = format!("{}/openshift/httpd:2.4", podman.registry.address());
    podman.buildah_run(&["build", "--quiet", "--tag", &image, dir.to_str().unwrap()]);
    podman.buildah_run(&["push", "--quiet", &image]);
}

/// The stream that everybody builds from.
fn httpd(registry: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: httpd, namespace: openshift}}
spec:
  tags:
  - name: '2.4'
    annotations: {{tags: 'builder,httpd'}}
    from: {{kind: DockerImage, name: '{registry}/openshift/httpd:2.4'}}
    importPolicy: {{insecure: true}}
"
    )
}

/// S3: `new-app httpd:2.4~URL --name=web2` makes a stream, a build and a deployment; when the builder image moves, the
/// application is built again and rolled out.
#[test]
fn s003_4_an_application_out_of_a_builder_image_and_a_repository_is_built_and_runs() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    s2i_builder(&podman, "builder 1");
    let source = Repo::new();
    source.write("index.html", "hola").commit("a page");
    let repo = Repo::new();
    let address = podman.registry.address();
    repo.write("openshift/httpd.yaml", httpd(&address)).commit("the builder image");
    let toml = format!(
        "[registries.\"{address}\"]\ninsecure = true\n[integrated_registry]\naddress = \"{address}\"\n\
         [builds]\nenabled = true\nbuildah = {:?}\n[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
        podman.buildah().display(),
        podman.program().display()
    );
    let host = Host::new(repo.path(), &toml);
    let mut yard = Yard { podman, source, repo, host };
    yard.host.start();
    yard.host.wait_for("the builder image", |fact| matches!(fact, Fact::TagImported(_)));

    let app = format!("httpd:2.4~file://{}", yard.source.address());
    let mut new_app = yard.host.tidegate(&["new-app", &app, "--name=web2", "-n", "test"]);
    for who in ["AUTHOR", "COMMITTER"] {
        new_app.env(format!("GIT_{who}_NAME"), "Ann").env(format!("GIT_{who}_EMAIL"), "a@b");
    }
    let output = new_app.current_dir(yard.repo.path()).output().unwrap();
    let told = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    for line in
        ["in image stream \"openshift/httpd\" under tag \"2.4\"", "web2:latest", "--> Success"]
    {
        assert!(told.contains(line), "no {line:?} in\n{told}");
    }

    yard.completes_in("test", "web2-1");
    yard.rolls_out(1);
    let serves = |yard: &Yard| {
        yard.podman.run(&[
            "exec",
            "web2-0-web2",
            "/bin/busybox",
            "cat",
            "/opt/app-root/src/index.html",
        ])
    };
    assert_eq!(serves(&yard), "hola on builder 1");
    let listed = yard.host.text(&["get", "is", "-n", "test"]);
    assert!(listed.contains("web2") && listed.contains("latest"), "S3.5: {listed}");
    let described = yard.host.text(&["describe", "is/web2", "-n", "test"]);
    assert!(described.contains("no spec tag"), "S3.6: {described}");

    s2i_builder(&yard.podman, "builder 2");
    let order = tidegate::action::ImportOrder {
        stream: "openshift/httpd".parse().unwrap(),
        tags: vec!["2.4".parse().unwrap()],
        repository: false,
        commit: None,
    };
    yard.host.ask(&tidegate::control::Question::Import(order));
    yard.completes_in("test", "web2-2");
    yard.rolls_out(2);
    assert_eq!(serves(&yard), "hola on builder 2");
}
