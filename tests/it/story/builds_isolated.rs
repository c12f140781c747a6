//! Builds that are kept apart otherwise than by chroot: in containers, with the limits of their manifests, and by a daemon
//! of an ordinary user.

use std::path::Path;
use std::process::Command;

use tidegate::fact::{BuildEnd, Fact};

use crate::support::builder::STAYS;
use crate::support::daemon::{Host, eventually, processes};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::stream;
use crate::support::yard::{Yard, application};

/// The manifests of the yard without what runs the application.
fn without_workload(text: &str) -> String {
    let objects = text.split("---\n").filter(|object| !object.contains("DeploymentConfig"));
    objects.collect::<Vec<_>>().join("---\n")
}

fn log(host: &Host, build: &str) -> String {
    std::fs::read_to_string(host.state().join(format!("builds/logs/shop/{build}.log")))
        .unwrap_or_default()
}

/// With `builds.isolation = "oci"` the limits of the manifest hold, and a build that wants more fails with that reason.
#[test]
fn b029_in_a_container_a_build_has_the_memory_of_its_manifest_and_no_more() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    let mut yard = Yard::on(podman, "", |registry, source| {
        let limited = "spec:\n  resources: {limits: {memory: 64Mi, cpu: 500m}}\n  source: {git";
        without_workload(&application(registry, source)).replace("spec:\n  source: {git", limited)
    });
    yard.host.configure(|text| text.replace("[builds]\n", "[builds]\nisolation = \"oci\"\n"));
    let step = |command: &str| {
        let text = format!("FROM scratch\nRUN {command}\n");
        yard.source.write("Dockerfile", text).commit("another step");
    };
    let limit =
        "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null";
    step(&format!("echo limit $({limit}); {STAYS}"));
    yard.host.start();
    yard.completes("web-1");
    let said = log(&yard.host, "web-1");
    assert!(said.contains("\nlimit 67108864\n"), "{said}");

    step("tail /dev/zero");
    yard.host.run(&["start-build", "web", "-n", "shop"]);
    let end = yard.built("web-2");
    assert_eq!(
        (end.end, end.reason.as_str()),
        (BuildEnd::Failed, "OutOfMemoryKilled"),
        "{}",
        log(&yard.host, "web-2")
    );

    step("echo begun; sleep 4720");
    yard.host.run(&["start-build", "web", "-n", "shop"]);
    eventually("the long step", || log(&yard.host, "web-3").contains("\nbegun").then_some(()));
    yard.host.run(&["cancel-build", "web-3", "-n", "shop"]);
    assert_eq!(yard.built("web-3").end, BuildEnd::Cancelled);
    eventually("the end of what it ran", || (processes("4720") == 0).then_some(()));
    assert_eq!(yard.podman.buildah_run(&["containers", "--quiet"]), "");
}

/// A user of this host, who has a range of users of their own; as far as this mount namespace goes.
const USER: u32 = 4711;

fn make_user(folder: &Path) {
    let add = |file: &str, line: &str| {
        let own = folder.join(file.replace('/', "-"));
        let known = std::fs::read_to_string(file).unwrap_or_default();
        std::fs::write(&own, format!("{known}{line}\n")).unwrap();
        if !Path::new(file).exists() {
            std::fs::write(file, "").unwrap();
        }
        let status = Command::new("mount").arg("--bind").arg(&own).arg(file).status().unwrap();
        assert!(status.success(), "{file}");
    };
    add("/etc/passwd", &format!("tidegate-builder:x:{USER}:{USER}::/nowhere:/bin/sh"));
    add("/etc/group", &format!("tidegate-builder:x:{USER}:"));
    add("/etc/subuid", "tidegate-builder:200000:65536");
    add("/etc/subgid", "tidegate-builder:200000:65536");
}

fn give(path: &Path) {
    let status = Command::new("chown").args(["-R", &format!("{USER}:{USER}")]).arg(path).status();
    assert!(status.unwrap().success());
}

/// A build without anything around it.
fn plain(address: &str, source: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop, annotations: {{tidegate.dev/push: '{address}/shop/web'}}}}
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {{name: web, namespace: shop}}
spec:
  source: {{git: {{uri: '{source}'}}}}
  strategy: {{dockerStrategy: {{noCache: true, from: {{kind: ImageStreamTag, name: 'base:latest'}}}}}}
  output: {{to: {{kind: ImageStreamTag, name: 'web:latest'}}}}
  triggers: [{{type: ConfigChange}}]
",
    )
}

/// An ordinary user builds with either isolation: what is root in a build is a user of theirs outside.
#[test]
fn b043_a_daemon_of_an_ordinary_user_builds() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    let users = tempfile::tempdir().unwrap();
    make_user(users.path());
    podman.push("shop/base:latest", "base", Program::Healthy);
    let (source, repo) = (Repo::new(), Repo::new());
    let dockerfile = format!(
        "FROM scratch\nRUN touch /made && chown 5:5 /made && cat /proc/self/uid_map; {STAYS}\n"
    );
    source.write("Dockerfile", dockerfile).commit("the application");
    let address = podman.registry.address();
    let build = plain(&address, &source.address());
    repo.write("shop.yaml", format!("{}---\n{build}", stream(&address, "base"))).commit("the shop");
    let toml = format!(
        "[registries.\"{address}\"]\ninsecure = true\n[builds]\nenabled = true\nisolation = \"chroot\"\n"
    );
    let mut host = Host::new(repo.path(), &toml);
    host.belongs_to(USER);
    for folder in [source.path(), repo.path(), host.path("").as_path()] {
        give(folder);
    }
    host.start();
    let ends = |host: &Host, name: &str| {
        eventually(&format!("the end of {name}; {}", host.story()), || {
            host.records().into_iter().find_map(|record| match record.fact {
                Fact::BuildFinished(end) if end.name == name => Some(end.end),
                _ => None,
            })
        })
    };
    assert_eq!(ends(&host, "web-1"), BuildEnd::Complete, "{}", log(&host, "web-1"));
    host.stop();
    host.configure(|text| text.replace("\"chroot\"", "\"rootless\""));
    host.start();
    let socket = host.path("control.sock");
    eventually("the daemon", || std::os::unix::net::UnixStream::connect(&socket).ok());
    let out = host.text(&["start-build", "web", "-n", "shop", "--follow", "--wait"]);
    assert_eq!(ends(&host, "web-2"), BuildEnd::Complete, "{out}");
    for build in ["web-1", "web-2"] {
        let log = log(&host, build);
        let maps: Vec<Vec<&str>> =
            log.lines().map(|line| line.split_whitespace().collect()).collect();
        assert!(maps.contains(&vec!["0", "4711", "1"]), "{log}");
    }
    let image = format!("{address}/shop/web:latest");
    podman.digest(&image);
    let mount = podman.run(&[
        "run",
        "--rm",
        "--net=none",
        "--entrypoint",
        "/bin/sh",
        &image,
        "-c",
        "stat -c %u:%g /made",
    ]);
    assert_eq!(mount, "5:5");
}
