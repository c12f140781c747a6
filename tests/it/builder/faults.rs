//! What goes wrong: nothing of a build outlives it, and the reason says whose fault it is.

use std::sync::mpsc;
use std::time::Duration;

use tidegate::action::{BuildReport, TidyBuilds};
use tidegate::fact::{BinaryInput, BuildEnd};
use tidegate::names::Seq;
use tokio_util::sync::CancellationToken;

use crate::support::builder::{STAYS, Workshop};
use crate::support::daemon::{eventually, processes, wait};
use crate::support::git::{Repo, program};
use crate::support::registry::{DockerRegistry, Options};

/// A `spec` that is a Dockerfile in the manifest.
fn inline(dockerfile: &str) -> String {
    let dockerfile = serde_json::to_string(dockerfile).unwrap();
    format!("source: {{dockerfile: {dockerfile}}}\nstrategy: {{dockerStrategy: {{}}}}\n")
}

#[test]
fn a_build_that_is_cancelled_or_over_its_time_ends_with_all_that_it_started() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let spec = inline(&format!(
        "FROM {base}\nRUN trap '' TERM; for i in $(busybox seq 200); do busybox setsid busybox sleep 4711 & done; echo begun; busybox sleep 4712\n"
    ));
    let request = shop.request(&spec);
    let cancel = CancellationToken::new();
    let (builder, token, asked) = (shop.builder(), cancel.clone(), request.clone());
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(wait(builder.build(&asked, token))));
    eventually("it runs", || shop.log("web-1").contains("\nbegun").then_some(()));
    eventually("they run", || (processes("4711") >= 200).then_some(()));
    cancel.cancel();
    let BuildReport::Ended(report) = ended.recv().unwrap() else { panic!("it did not end") };
    let why = (report.end, report.reason.as_str(), report.message.as_str());
    assert_eq!(
        why,
        (BuildEnd::Cancelled, "CancelledBuild", "The build was cancelled by the user.")
    );
    eventually("they are gone", || (processes("471") == 0).then_some(()));
    assert_eq!(shop.podman.buildah_run(&["containers", "--quiet"]), "");

    let ended = shop.build_with(&spec, |request| request.left = Duration::from_secs(3));
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "DeadlineExceeded"));
    eventually("they are gone", || (processes("471") == 0).then_some(()));
    assert_eq!(shop.podman.buildah_run(&["containers", "--quiet"]), "");
}

#[test]
fn what_a_dockerfile_leaves_behind_ends_with_it_and_what_it_prints_is_bounded() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let spec = inline(&format!(
        "FROM {base}\nRUN busybox setsid busybox sleep 4713 & busybox yes \"$(busybox seq 100 | busybox tr '\\n' ' ')\" | busybox head -c 1073741824; echo at the end; {STAYS}\n"
    ));
    let image = shop.makes(&spec, |_| {});
    assert_eq!(processes("4713"), 0);
    assert!(image.log.len() < 2 << 20, "{}", image.log.len());
    assert!(
        image.log.contains("bytes of the log are left out here")
            && image.log.contains("at the end")
    );
}

#[test]
fn a_registry_that_refuses_the_push_is_told_and_what_was_built_is_there_for_the_next_try() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let options = Options { basic: Some(("ada", "hunter2hunter2")), ..Options::default() };
    let Some(closed) = DockerRegistry::start_with(&options) else { return };
    let spec = inline(&format!("FROM {base}\nRUN echo made\n"));
    let mut request = shop.request(&spec);
    let push = request.push.as_mut().unwrap();
    push.image = std::sync::Arc::new(format!("{}/shop/web:1", closed.address()).parse().unwrap());
    push.insecure = true;
    let ended = shop.ended(&request);
    let why = (ended.end, ended.reason.as_str(), ended.message.as_str());
    let wanted = "Failed to push the image to the registry.";
    assert_eq!(why, (BuildEnd::Failed, "PushImageToRegistryFailed", wanted));
    assert!(ended.log.contains("error: cannot push"), "{}", ended.log);
    // With the login in a Secret.
    let auth = crate::support::podman::logins(&closed.address(), ("ada", "hunter2hunter2"));
    shop.secret("push", &[(".dockerconfigjson", &auth)]);
    let image = shop.makes(&format!("{spec}output: {{pushSecret: {{name: push}}}}\n"), |other| {
        other.push.clone_from(&request.push);
    });
    assert!(!image.log.contains("hunter2"), "{}", image.log);
}

#[test]
fn b034_the_same_build_asked_for_again_goes_on_with_its_image() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let spec = inline(&format!("FROM {base}\nRUN busybox date > /now; echo made it; {STAYS}\n"));
    let request = shop.request(&spec);
    let first = shop.image(&shop.ended(&request), &request.name);
    let again = shop.image(&shop.ended(&request), &request.name);
    assert_eq!(first.digest, again.digest);
    assert_eq!(again.log.matches("\nmade it").count(), 1, "{}", again.log);
    assert!(again.log.contains("The image is there from before"), "{}", again.log);
    // One that is only to be ended was pushed already.
    let mut ends = request.clone();
    ends.ends = true;
    assert_eq!(shop.image(&shop.ended(&ends), &request.name).digest, first.digest);
    let mut fresh = shop.request(&spec);
    fresh.ends = true;
    assert_eq!(shop.ended(&fresh).end, BuildEnd::Cancelled);

    let keep = |keep: Vec<Seq>| TidyBuilds { object: request.object.clone(), keep, until: Seq(9) };
    let images = || shop.podman.buildah_run(&["images", "--format", "{{.Name}}"]);
    wait(shop.builder().tidy(&keep(vec![request.key.seq])));
    assert!(images().contains("temp.builder") && !shop.log(&request.name).is_empty());
    wait(shop.builder().tidy(&keep(Vec::new())));
    assert!(!images().contains("temp.builder") && shop.log(&request.name).is_empty());
    for folder in ["builds/made", "locks"] {
        assert_eq!(std::fs::read_dir(shop.state.path().join(folder)).unwrap().count(), 0);
    }
}

#[test]
fn b037_what_is_handed_over_is_a_file_or_an_archive_and_a_hostile_one_is_refused() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let dockerfile = format!("FROM {base}\nCOPY . /in\n");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), &dockerfile).unwrap();
    std::fs::write(dir.path().join("app"), "the app").unwrap();
    let tar = |args: &[&str]| {
        let mut command = std::process::Command::new("tar");
        let out = command.args(args).current_dir(dir.path()).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        shop.keep(&out.stdout)
    };
    let spec = "source: {binary: {}}\nstrategy: {dockerStrategy: {}}\n";
    let of_git = "source: {git: {uri: 'https://git.example.com/app.git', ref: main}}\nstrategy: {dockerStrategy: {}}\n";
    let good = tar(&["-czf", "-", "."]);
    for spec in [spec, of_git] {
        let image = shop.makes(spec, |request| {
            request.options.binary = Some(BinaryInput { content: good, as_file: None });
        });
        assert_eq!(shop.prints(&image, "busybox cat /in/app"), "the app");
        // B10: it does not say that it is of a repository.
        let of = [
            image.label("io.openshift.build.source-location"),
            image.label("io.openshift.build.commit.ref"),
        ];
        assert_eq!(of, [None, None]);
        let env = image.env();
        assert!(
            !env.iter().any(|one| one.starts_with("OPENSHIFT_BUILD_SOURCE")
                || one.starts_with("OPENSHIFT_BUILD_REFERENCE")),
            "{env:?}"
        );
    }
    let file = shop.keep(dockerfile.as_bytes());
    let image = shop.makes(spec, |request| {
        let as_file = Some("Dockerfile".to_owned());
        request.options.binary = Some(BinaryInput { content: file, as_file });
    });
    assert_eq!(shop.prints(&image, "busybox ls /in"), "Dockerfile");
    let bad = tar(&[
        "-cf",
        "-",
        "--absolute-names",
        "--transform",
        "s,^app,../app,",
        "app",
        "Dockerfile",
    ]);
    let ended = shop.build_with(spec, |request| {
        request.options.binary = Some(BinaryInput { content: bad, as_file: None });
    });
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "FetchSourceFailed"));
    assert!(ended.log.contains("leads outside"), "{}", ended.log);
    let ended = shop.build(spec);
    assert!(ended.log.contains("start-build"), "{}", ended.log);
}

#[test]
fn a_context_directory_that_is_missing_or_outside_fails_the_build() {
    let Some(shop) = Workshop::open() else { return };
    let repo = Repo::new();
    repo.write("Dockerfile", "FROM scratch\n");
    std::os::unix::fs::symlink("/etc", repo.path().join("link")).unwrap();
    repo.commit("one");
    for dir in ["link", "missing", "Dockerfile"] {
        let spec = format!(
            "source: {{contextDir: {dir}, git: {{uri: '{}'}}}}\nstrategy: {{dockerStrategy: {{}}}}\n",
            repo.address()
        );
        let ended = shop.build(&spec);
        let why = (ended.end, ended.reason.as_str(), ended.message.as_str());
        let wanted = "The supplied context directory does not exist.";
        assert_eq!(why, (BuildEnd::Failed, "InvalidContextDirectory", wanted));
    }
}

#[test]
fn a_base_image_without_the_platform_of_this_host_fails_the_pull_at_once() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let address = shop.podman.registry.address();
    let list = format!("{address}/base/other:1");
    shop.podman.run(&["manifest", "create", "other"]);
    let add = ["manifest", "add", "--arch", "s390x", "--tls-verify=false", "other"];
    shop.podman.run(&[&add[..], &[&format!("docker://{base}")]].concat());
    let push = ["manifest", "push", "--all", "--tls-verify=false", "other"];
    shop.podman.run(&[&push[..], &[&format!("docker://{list}")]].concat());
    let ended = shop.build(&inline(&format!("FROM {list}\nRUN echo no\n")));
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "PullBuilderImageFailed"));
    assert!(!shop.log("web-1").contains("tried again"), "{}", shop.log("web-1"));
}

#[test]
fn a_repository_that_moves_under_the_clone_gives_a_commit_that_it_has_or_says_that_it_has_not() {
    let Some(shop) = Workshop::open() else { return };
    let repo = Repo::new();
    repo.write("Dockerfile", "FROM scratch\nCOPY v /\n").write("v", "1").commit("one");
    let one = repo.head().to_string();
    let root = tempfile::tempdir().unwrap();
    let bare = root.path().join("app.git");
    drop(repo.bare(&bare));
    repo.write("v", "2");
    repo.git(&["commit", "--quiet", "--all", "--amend", "-m", "two"]);
    let two = repo.head().to_string();
    // Between the look at the repository and the clone it is another one, and the old commit is gone.
    let git = root.path().join("git");
    let (from, to) = (repo.path().display(), bare.display());
    program(
        &git,
        &format!(
            "#!/bin/sh\ncase \"$*\" in *ls-remote*) git \"$@\" || exit; git -C {from} push --quiet --force {to} main\n\
             git -C {to} reflog expire --expire=now --all; git -C {to} gc --quiet --prune=now;; *) exec git \"$@\";; esac\n"
        ),
    );
    let spec = format!(
        "source: {{git: {{uri: 'file://{to}', ref: main}}}}\nstrategy: {{dockerStrategy: {{}}}}\n"
    );
    let builder = shop.builder_of(&shop.podman.buildah(), &git);
    let request = shop.request(&spec);
    let report = wait(builder.build(&request, CancellationToken::new()));
    let BuildReport::Ended(ended) = report else { panic!("{report:?}") };
    assert_eq!(ended.revision.as_ref().unwrap().commit, two, "{}", ended.log);
    let ended = shop.build_with(&spec, |request| request.options.commit = Some(one.clone()));
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "FetchSourceFailed"));
}

#[test]
fn a_full_disk_is_told_as_that_and_a_builder_that_is_missing_with_what_to_do() {
    let Some(shop) = Workshop::open() else { return };
    let repo = Repo::new();
    let noise: Vec<u8> =
        (0..4_000_000_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
    repo.write("Dockerfile", "FROM scratch\n").write("noise", noise).commit("large");
    let spec = format!(
        "source: {{git: {{uri: 'file://{}'}}}}\nstrategy: {{dockerStrategy: {{}}}}\n",
        repo.address()
    );
    let request = shop.request(&spec);
    let missing = shop.builder_with(std::path::Path::new("/nowhere/buildah"));
    let report = wait(missing.build(&request, CancellationToken::new()));
    let BuildReport::Transient { reason, .. } = report else { panic!("{report:?}") };
    assert!(
        reason.contains("cannot start `/nowhere/buildah`") && reason.contains("install it"),
        "{reason}"
    );
    let why = wait(missing.check()).unwrap_err();
    assert!(why.contains("install buildah, or correct `builds.buildah`"), "{why}");

    let work = shop.state.path().join("builds/work");
    let small = ["-t", "tmpfs", "-o", "size=4m", "tmpfs", work.to_str().unwrap()];
    assert!(std::process::Command::new("mount").args(small).status().unwrap().success());
    let ended = shop.build(&spec);
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "FetchSourceFailed"));
    assert!(shop.log("web-2").contains("No space left on device"), "{}", shop.log("web-2"));
}

#[test]
fn a_full_image_store_is_told_as_that_and_with_room_the_build_succeeds() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let small = shop.podman.beside("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |options: &str| {
        let words = ["-t", "tmpfs", "-o", options, "tmpfs", small.to_str().unwrap()];
        assert!(std::process::Command::new("mount").args(words).status().unwrap().success());
    };
    mount("size=36m");
    let buildah = small.with_file_name("small-buildah");
    let (real, root) = (shop.podman.buildah(), small.display());
    let text = format!(
        "#!/bin/sh\nexec '{}' --root '{root}/graph' --runroot '{root}/run' \"$@\"\n",
        real.display()
    );
    program(&buildah, &text);
    // There is room for what the step writes, and none for the layer that is made of it.
    let spec = inline(&format!(
        "FROM {base}\nRUN busybox dd if=/dev/urandom of=/noise bs=1M count=20 && echo written && {STAYS}\n"
    ));
    let request = shop.request(&spec);
    let build = || match wait(shop.builder_with(&buildah).build(&request, CancellationToken::new()))
    {
        BuildReport::Ended(ended) => *ended,
        BuildReport::Transient { reason, .. } => panic!("{reason}"),
    };
    let ended = build();
    assert_eq!(
        (ended.end, ended.reason.as_str()),
        (BuildEnd::Error, "GenericBuildFailed"),
        "{}",
        ended.log
    );
    assert!(ended.message.contains("no space left on device"), "{}", ended.message);
    assert!(ended.message.contains("make room for images"), "{}", ended.message);
    assert!(shop.log("web-1").contains("\nwritten\n"), "{}", shop.log("web-1"));
    mount("remount,size=200m");
    let ended = build();
    assert_eq!(ended.end, BuildEnd::Complete, "{}", shop.log("web-1"));
    assert!(
        std::process::Command::new("umount")
            .args(["--lazy", small.to_str().unwrap()])
            .status()
            .unwrap()
            .success()
    );
}
