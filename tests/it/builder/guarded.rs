//! What of a build nobody else sees, what of it stays, and what it may reach.

use std::sync::mpsc;

use tidegate::action::{BuildReport, TidyBuilds};
use tidegate::fact::{BuildEnd, BuildUse};
use tidegate::names::Seq;
use tidegate::world::build::Isolation;
use tokio_util::sync::CancellationToken;

use crate::support::builder::{Workshop, used};
use crate::support::daemon::{eventually, wait};
use crate::support::git::program;
use crate::support::registry::Options;

/// A `spec` that is a Dockerfile in the manifest.
fn inline(dockerfile: &str) -> String {
    let dockerfile = serde_json::to_string(dockerfile).unwrap();
    format!("source: {{dockerfile: {dockerfile}}}\nstrategy: {{dockerStrategy: {{}}}}\n")
}

#[test]
fn b043_a_secret_build_argument_stands_on_no_command_line_whatever_its_name() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    shop.secret("login", &[("password", "hunter2hunter2")]);
    // Buildah, and what everybody on the host can read of it.
    let (told, buildah) = (shop.podman.beside("told"), shop.podman.beside("telling"));
    let real = shop.podman.buildah();
    let (file, real) = (told.display(), real.display());
    program(&buildah, &format!("#!/bin/sh\necho \"$@\" >> '{file}'\nexec '{real}' \"$@\"\n"));
    let spec = |name: &str| {
        let lines = format!("FROM {base}\nARG {name}\nRUN echo \"${{#{name}}} characters\"\n");
        let from = "valueFrom: {secretKeyRef: {name: login, key: password}}";
        let args = format!("dockerStrategy: {{buildArgs: [{{name: {name}, {from}}}]}}");
        inline(&lines).replace("dockerStrategy: {}", &args)
    };
    for name in ["DOCKER_PASSWORD", "REGISTRY_PASSWORD", "GOOGLE_API_KEY", "SSL_KEY", "NPM_TOKEN"] {
        let request = shop.request(&spec(name));
        let report = wait(shop.builder_with(&buildah).build(&request, CancellationToken::new()));
        let BuildReport::Ended(ended) = report else { panic!("{report:?}") };
        assert_eq!(ended.end, BuildEnd::Complete, "{name}: {}", ended.log);
        assert!(shop.log(&request.name).contains("\n14 characters\n"), "{name}");
        let told = std::fs::read_to_string(&told).unwrap();
        assert!(told.contains(&format!("--build-arg {name} ")), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let ended = shop.build(&spec("HOME"));
    let why = (ended.end, ended.reason.as_str());
    assert_eq!(why, (BuildEnd::Error, "UnresolvableEnvironmentVariable"));
    assert!(ended.message.contains("build argument `HOME` is a secret"), "{}", ended.message);
    assert!(ended.message.contains("give the argument another name"), "{}", ended.message);
}

#[test]
fn of_a_build_that_ended_before_it_was_begun_nothing_stays_either() {
    let Some(shop) = Workshop::open() else { return };
    let spec = inline("FROM scratch\n") + "output: {pushSecret: {name: gone}}\n";
    let request = shop.request(&spec);
    assert_eq!(shop.ended(&request).reason, "MissingPushSecret");
    let left = |folder: &str| std::fs::read_dir(shop.state.path().join(folder)).unwrap().count();
    assert!(!shop.log(&request.name).is_empty());
    assert_eq!(left("locks"), 0);
    let tidy = TidyBuilds { object: request.object.clone(), keep: Vec::new(), until: Seq(9) };
    wait(shop.builder().tidy(&tidy));
    assert_eq!((left("builds/made"), left("builds/logs/shop"), left("builds/work")), (0, 0, 0));
}

#[test]
fn a_build_in_containers_that_is_cancelled_leaves_none_of_them() {
    let Some(mut shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    for isolation in [Isolation::Oci, Isolation::Rootless] {
        shop.isolation = isolation;
        let request =
            shop.request(&inline(&format!("FROM {base}\nRUN echo begun; busybox sleep 4714\n")));
        let cancel = CancellationToken::new();
        let (builder, token, asked) = (shop.builder(), cancel.clone(), request.clone());
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || sender.send(wait(builder.build(&asked, token))));
        let containers = || shop.podman.buildah_run(&["containers", "--quiet"]);
        eventually("its container", || (!containers().is_empty()).then_some(()));
        cancel.cancel();
        let BuildReport::Ended(report) = ended.recv().unwrap() else { panic!("no end") };
        assert_eq!(report.end, BuildEnd::Cancelled, "{}", shop.log(&request.name));
        assert_eq!(containers(), "", "{isolation:?}");
    }
}

#[test]
fn b029_an_image_that_files_are_of_and_that_cannot_be_pulled_is_told_as_that() {
    let Some(shop) = Workshop::open() else { return };
    let gone = format!("{}/no/such@sha256:{}", shop.podman.registry.address(), "0".repeat(64));
    let spec = "source:\n  images:\n  - from: {kind: DockerImage, name: x}\n    \
                paths: [{sourcePath: /www, destinationDir: .}]\n  dockerfile: FROM scratch\n\
                strategy: {dockerStrategy: {}}\n";
    let ended =
        shop.build_with(spec, |request| request.images = vec![used(BuildUse::Source(0), &gone)]);
    let why = (ended.end, ended.reason.as_str(), ended.message.as_str());
    let wanted = "Failed to extract image content.";
    assert_eq!(why, (BuildEnd::Failed, "FetchImageContentFailed", wanted));
}

#[test]
fn b043_what_buildah_alone_knows_that_it_needs_is_pulled_with_the_logins_of_the_namespace() {
    let options = Options { basic: Some(("ada", "hunter2hunter2")), ..Options::default() };
    let Some(shop) = Workshop::open_with(&options) else { return };
    drop(shop.base("base/shell:1"));
    let other = shop.base("base/other:1");
    let kit = format!("{}/base/kit:1", shop.podman.registry.address());
    let dir = shop.podman.beside("kit");
    std::fs::create_dir(&dir).unwrap();
    let address = shop.podman.registry.address();
    let dockerfile =
        format!("FROM {address}/base/shell:1\nONBUILD COPY --from={other} /www /from\n");
    std::fs::write(dir.join("Dockerfile"), dockerfile).unwrap();
    let build = ["build", "--quiet", "--format", "docker", "--tag", &kit, dir.to_str().unwrap()];
    shop.podman.buildah_run(&build);
    shop.podman.buildah_run(&["push", "--quiet", &kit]);
    shop.podman.buildah_run(&["rmi", "--all", "--force"]);
    let image = shop.makes(&inline(&format!("FROM {kit}\nRUN busybox ls /from\n")), |_| {});
    assert!(image.log.contains("\nindex.html\n"), "{}", image.log);
    let by_platform = format!("ARG TARGETARCH\nFROM {address}/base/other:${{TARGETARCH:+1}}\n");
    drop(shop.makes(&inline(&by_platform), |_| {}));
    // A step cannot read them.
    let image = shop.makes(&inline(&format!("FROM {kit}\nRUN busybox cat; echo read\n")), |_| {});
    assert!(image.log.contains("\nread\n") && !image.log.contains("auths"), "{}", image.log);
}
