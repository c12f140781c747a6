//! Applications that a builder image makes out of their sources (Source-to-Image), from the founding documents.

use tidegate::fact::Fact;

use crate::support::daemon::Host;
use crate::support::git::{Repo, program};
use crate::support::git_server::HttpServer;
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::served;
use crate::support::yard::{PORT, Yard};

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
        program(&dir.join("bin").join(name), &text);
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
    let mut yard = Yard::of(podman, source, repo, &integrated(&address));
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
    looks_at(&yard.host, "openshift/httpd", "2.4");
    yard.completes_in("test", "web2-2");
    yard.rolls_out(2);
    assert_eq!(serves(&yard), "hola on builder 2");
}

/// The registry is also where builds push to.
fn integrated(address: &str) -> String {
    format!("[integrated_registry]\naddress = \"{address}\"\n")
}

/// A builder image that is a real one: the Python of this host with its library, and scripts that use it.
fn python_builder(podman: &Podman, name: &str) {
    let dir = podman.beside("python");
    let root = dir.join("root");
    for folder in ["bin", "etc", "tmp", "usr/bin", "usr/libexec/s2i", "opt/app-root/src"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let script = format!(
        "set -e; python=$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')\n\
         lib=$(python3 -c 'import sysconfig; print(sysconfig.get_path(\"stdlib\"))')\n\
         cd '{root}'; cp /bin/busybox bin/busybox; cp \"$python\" usr/bin/python3; mkdir -p \".$lib\"\n\
         for left in __pycache__ test tests site-packages dist-packages 'config-*' idlelib tkinter lib2to3 ensurepip; do\n\
         printf '%s\\n' \"$left\"; done > left-out\n\
         tar -C \"$lib\" --exclude-from=left-out -cf - . | tar -C \".$lib\" -xf -; rm left-out\n\
         ldd \"$python\" \".$lib\"/lib-dynload/*.so | grep -o '/[^ :]*' | grep -v \"lib-dynload\\|^$python\" | sort -u | \
         while read -r file; do mkdir -p \".$(dirname \"$file\")\"; cp -L \"$file\" \".$file\"; done\n",
        root = root.display()
    );
    let made = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let scripts = [
        (
            "assemble",
            "#!/bin/sh\nset -e\ncp -r /tmp/src/. .\npython3 -m compileall -q app.py\n\
             python3 -c \"import os; print('hello from ' + os.environ['BUILDER'], end='')\" > index.html\n",
        ),
        ("run", "#!/bin/sh\nexec python3 app.py\n"),
        ("save-artifacts", "#!/bin/sh\nexec tar -cf - __pycache__\n"),
        ("usage", "#!/bin/sh\necho 'put an app.py there'\n"),
    ];
    for (name, text) in scripts {
        program(&root.join("usr/libexec/s2i").join(name), text);
    }
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
    let dockerfile = "FROM scratch\nCOPY root /\nRUN /bin/busybox --install -s /bin && chmod 1777 /tmp && chown 1001:0 /opt/app-root/src \
         && echo 'default:x:1001:0::/opt/app-root/src:/bin/sh' > /etc/passwd\n\
         LABEL io.openshift.s2i.scripts-url=image:///usr/libexec/s2i io.openshift.tags=builder,python\n\
         ENV BUILDER='builder 1' HOME=/opt/app-root/src PATH=/usr/bin:/bin\nWORKDIR /opt/app-root/src\nUSER 1001\nEXPOSE 8080\n";
    built(podman, &dir, dockerfile, name);
}

/// Builds an image and pushes it.
fn built(podman: &Podman, folder: &std::path::Path, dockerfile: &str, name: &str) {
    std::fs::write(folder.join("Dockerfile"), dockerfile).unwrap();
    let image = format!("{}/{name}", podman.registry.address());
    podman.buildah_run(&["build", "--quiet", "--tag", &image, folder.to_str().unwrap()]);
    podman.buildah_run(&["push", "--quiet", &image]);
}

/// S2: the `BuildConfig` as the article has it, but for the address of the sources.
fn example_app(source: &str) -> String {
    format!(
        "kind: BuildConfig
apiVersion: build.openshift.io/v1
metadata:
  name: example-app
spec:
  source:
    type: Git
    git:
      uri: '{source}'
  strategy:
    type: Source
    sourceStrategy:
      from:
        kind: ImageStreamTag
        name: 'nodejs-8-centos7:latest'
  output:
    to:
      kind: ImageStreamTag
      name: 'example-app:latest'
  triggers:
    - type: ConfigChange
    - type: ImageChange
"
    )
}

/// What it is built from, what it goes to, and what runs it.
fn around_example_app(registry: &str) -> String {
    format!(
        "kind: ImageStream
apiVersion: image.openshift.io/v1
metadata:
  name: nodejs-8-centos7
spec:
  tags:
  - name: latest
    from: {{kind: DockerImage, name: '{registry}/centos7/nodejs:8'}}
---
kind: ImageStream
apiVersion: image.openshift.io/v1
metadata:
  name: example-app
---
kind: DeploymentConfig
apiVersion: apps.openshift.io/v1
metadata: {{name: example-app, annotations: {{tidegate.dev/publish: '127.0.0.1:{PORT}:8080'}}}}
spec:
  replicas: 1
  triggers:
  - type: ImageChange
    imageChangeParams: {{automatic: true, containerNames: [app], from: {{kind: ImageStreamTag, name: 'example-app:latest'}}}}
  template:
    metadata: {{labels: {{app: example-app}}}}
    spec:
      terminationGracePeriodSeconds: 3
      containers:
      - {{name: app, image: ' ', readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}}}
"
    )
}

/// S2.4, P24: it loads unchanged and waits for its streams; then it is built once, and again when its builder image moves.
#[test]
fn s002_4_example_app_waits_for_its_builder_image_and_is_built_again_when_that_moves() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    let builder = "centos7/nodejs:8";
    python_builder(&podman, builder);
    let source = Repo::new();
    let app = "import http.server\nhandler = http.server.SimpleHTTPRequestHandler\n\
               http.server.ThreadingHTTPServer(('', 8080), handler).serve_forever()\n";
    source.write("app.py", app).commit("an application");
    let served_from = tempfile::tempdir().unwrap();
    let bare = source.bare(&served_from.path().join("nodejs-ex.git"));
    let server = HttpServer::start(served_from.path(), None);
    let repo = Repo::new();
    repo.write("example-app.yaml", example_app(&server.url("", "nodejs-ex.git")))
        .commit("the build");
    let address = podman.registry.address();
    let mut yard = Yard::of(podman, source, repo, &integrated(&address));
    yard.host.start();
    yard.host.wait_for("the adopted commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let created = |fact: &Fact| matches!(fact, Fact::BuildCreated(_));
    assert_eq!(
        yard.host.text(&["get", "bc/example-app", "-o", "name"]),
        "buildconfig.build.openshift.io/example-app\n"
    );

    yard.repo.write("streams.yaml", around_example_app(&address)).commit("what it needs");
    yard.completes_in("default", "example-app-1");
    yard.rolls_out(1);
    assert_eq!(served(PORT).as_deref(), Some("hello from builder 1"));
    assert_eq!(yard.host.count(created), 1, "B13: {}", yard.host.story());

    let newer = format!("FROM {address}/{builder}\nENV BUILDER='builder 2'\n");
    built(&yard.podman, served_from.path(), &newer, builder);
    looks_at(&yard.host, "default/nodejs-8-centos7", "latest");
    yard.completes_in("default", "example-app-2");
    yard.rolls_out(2);
    assert_eq!(served(PORT).as_deref(), Some("hello from builder 2"));
    let told = yard.host.text(&["history", "dc/example-app"]);
    for word in ["rollout 2", "build example-app-2", "nodejs-8-centos7:latest"] {
        assert!(told.contains(word), "no {word:?} in\n{told}");
    }
    drop((server, bare));
}

/// Makes the daemon look at a tag now.
fn looks_at(host: &Host, stream: &str, tag: &str) {
    let order = tidegate::action::ImportOrder {
        stream: stream.parse().unwrap(),
        tags: vec![tag.parse().unwrap()],
        repository: false,
        commit: None,
    };
    host.ask(&tidegate::control::Question::Import(order));
}
