//! The Docker strategy on real images.

use std::path::Path;

use tidegate::fact::{BuildEnd, BuildUse};
use tidegate::pods::SourceKind;

use crate::support::builder::{STAYS, Workshop, from, used};
use crate::support::git::Repo;

/// A `spec` that is a Dockerfile in the manifest.
fn inline(dockerfile: &str, more: &str) -> String {
    let lines: String = dockerfile.lines().map(|line| format!("    {line}\n")).collect();
    format!("source:\n  dockerfile: |\n{lines}strategy: {{dockerStrategy: {{}}}}\n{more}")
}

#[test]
fn b036_b039_b040_b041_b043_a_dockerfile_becomes_an_image_in_the_registry() {
    let Some(shop) = Workshop::open() else { return };
    let (base, other) = (shop.base("base/shell:1"), shop.base("base/other:1"));
    let repo = Repo::new();
    let dockerfile = format!(
        "ARG V=1\nFROM {other} AS first\nRUN echo first > /made\nFROM scratch\nCOPY --from=first /made /made\nCOPY app /app\nRUN cat() {{ busybox cat \"$@\"; }}; echo \"$GREETING\" > /said; cat /made\n"
    );
    repo.write("web/Dockerfile", "FROM nowhere\n").write("web/build/Containerfile", "no\n");
    repo.write("web/app", "the app\n").commit("one");
    let head = repo.head();
    let spec = format!(
        "source:\n  contextDir: web\n  git: {{uri: '{}', ref: main}}\n  dockerfile: {}\n\
         strategy:\n  dockerStrategy:\n    dockerfilePath: build/Containerfile\n    from: {{kind: DockerImage, name: x}}\n    env: [{{name: GREETING, value: hello}}, \
         {{name: TIER, valueFrom: {{fieldRef: {{fieldPath: \"metadata.labels['tier']\"}}}}}}]\n\
         output: {{imageLabels: [{{name: tier, value: front}}, {{name: io.openshift.build.name, value: mine}}]}}",
        repo.address(),
        serde_json::to_string(&dockerfile).unwrap()
    );
    let image = shop.makes(&spec, |request| request.images = from(&base));
    assert_eq!(shop.prints(&image, "busybox cat /app /made /said"), "the app\nfirst\nhello");
    let env = image.env();
    for wanted in [
        "GREETING=hello",
        "TIER=front",
        "OPENSHIFT_BUILD_NAME=web-1",
        "OPENSHIFT_BUILD_NAMESPACE=shop",
    ] {
        assert!(env.contains(&wanted), "{env:?}");
    }
    assert!(env.contains(&format!("OPENSHIFT_BUILD_COMMIT={head}").as_str()), "{env:?}");
    assert!(env.contains(&"OPENSHIFT_BUILD_REFERENCE=main"));
    assert_eq!(image.label("tier"), Some("front"));
    assert_eq!(image.label("io.openshift.build.name"), Some("mine"));
    assert_eq!(image.label("io.openshift.build.namespace"), Some("shop"));
    assert_eq!(image.label("io.openshift.build.commit.id"), Some(head.to_string().as_str()));
    assert_eq!(image.label("io.openshift.build.source-context-dir"), Some("web"));
    let names: Vec<_> = image.ended.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["FetchInputs", "PullImages", "Build", "PushImage"]);
    assert_eq!(image.ended.revision.as_ref().unwrap().commit, head.to_string());
    let to = format!("{}/shop/web:latest", shop.podman.registry.address());
    for line in [
        format!("Cloning \"{}\" ...", repo.address()),
        format!("\tCommit:\t{head} (one)"),
        format!("Pushing image {to} ..."),
        "Push successful".to_owned(),
    ] {
        assert!(image.log.lines().any(|one| one == line), "{line}\n{}", image.log);
    }
    // The format of Docker, under a name of its own on this host; nothing else is left.
    let local = shop.podman.buildah_run(&["images", "--format", "{{.Name}}:{{.Tag}}"]);
    assert!(local.lines().any(|name| name.starts_with("temp.builder.openshift.io/shop/web-1:")));
    assert_eq!(left(&shop.state.path().join("builds/work")), [""; 0]);
    assert_eq!(shop.podman.buildah_run(&["containers", "--quiet"]), "");
}

/// What is in a folder.
fn left(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn b043_without_output_nothing_is_pushed_and_layers_and_arguments_are_as_asked_for() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let dockerfile = format!("FROM {base}\nARG WHO=nobody\nRUN echo made for $WHO; {STAYS}\n");
    let spec = inline(&dockerfile, "resources: {limits: {memory: 64Mi}}\n");
    let spec = spec.replace("{}", "{buildArgs: [{name: WHO, value: ada}]}");
    let run = |change: &dyn Fn(&mut tidegate::action::BuildRequest)| {
        let mut request = shop.request(&spec);
        request.push = None;
        change(&mut request);
        let ended = shop.ended(&request);
        assert_eq!((ended.end, ended.image), (BuildEnd::Complete, None), "{}", ended.log);
        shop.log(&request.name)
    };
    assert!(run(&|_| {}).contains("made for ada"));
    assert!(!run(&|_| {}).contains("\nmade for ada"), "the layer is there");
    let log = run(&|request| request.options.no_cache = Some(true));
    assert!(log.contains("\nmade for ada"), "{log}");
    assert!(log.contains("warning: limits of memory and processor are not enforced"), "{log}");
    let args = vec![("WHO".to_owned(), "bob".to_owned())];
    assert!(run(&|request| request.options.build_args = args.clone()).contains("made for bob"));
}

#[test]
fn b042_the_hook_runs_in_the_image_before_it_is_pushed_and_leaves_nothing() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let dockerfile =
        format!("FROM {base}\nENTRYPOINT [\"/bin/sh\", \"-c\", \"echo entry $0; {STAYS}\"]\n");
    let hook = "echo \"hook $0 $1\"; echo kept > /kept; busybox test -e /bin/sh; busybox sleep 1";
    let post = |hook: &str| inline(&dockerfile, &format!("postCommit: {hook}"));
    let image = shop.makes(&post(&format!("{{script: '{hook}', args: [a]}}")), |_| {});
    assert!(image.log.contains("hook /bin/sh a"), "{}", image.log);
    assert_eq!(
        shop.prints(&image, "busybox ls /"),
        shop.prints(&image, "busybox ls / | busybox grep -v kept")
    );
    let image = shop.makes(&post("{args: [--check]}"), |_| {});
    assert!(image.log.contains("entry --check"), "{}", image.log);
    let image =
        shop.makes(&post("{command: [/bin/sh, -c], args: ['echo own; busybox sleep 1']}"), |_| {});
    assert!(image.log.contains("\nown\n"), "{}", image.log);
    let names: Vec<_> = image.ended.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["FetchInputs", "PullImages", "Build", "PostCommit", "PushImage"]);

    let ended = shop.build(&post("{script: 'echo no good; busybox sleep 1; exit 7'}"));
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "PostCommitHookFailed"));
    assert_eq!(ended.message, "Build failed because of post commit hook.");
    // Not in the last lines: what a shell says of itself beside its output may come after it.
    assert!(ended.image.is_none() && shop.log("web-4").contains("no good\n"), "{}", ended.log);
    assert_eq!(shop.podman.buildah_run(&["containers", "--quiet"]), "");
}

#[test]
fn b044_a_secret_that_is_copied_stays_in_the_image_and_one_that_is_mounted_does_not() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    shop.secret("login", &[("token", "hunter2hunter2")]);
    shop.put(SourceKind::ConfigMap, "settings", &[("mode", "fast")]);
    let dockerfile = format!(
        "FROM {base}\nCOPY secrets/token /copied\nRUN busybox cat /mnt/token && busybox cat /maps/how && echo seen && {STAYS}\n"
    );
    let spec = inline(&dockerfile, "").replace(
        "dockerStrategy: {}",
        "dockerStrategy: {volumes: [{name: s, mounts: [{destinationPath: /mnt}], source: {type: Secret, secret: {secretName: login}}}, \
         {name: c, mounts: [{destinationPath: /maps}], source: {type: ConfigMap, configMap: {name: settings, items: [{key: mode, path: how}]}}}]}",
    );
    let spec = spec.replace(
        "source:\n",
        "source:\n  secrets: [{secret: {name: login}, destinationDir: secrets}]\n",
    );
    let image = shop.makes(&spec, |_| {});
    assert!(image.log.contains("***fast") && image.log.contains("seen"), "{}", image.log);
    assert!(!image.log.contains("hunter2"), "{}", image.log);
    assert_eq!(shop.prints(&image, "busybox cat /copied"), "hunter2hunter2");
    assert_eq!(shop.prints(&image, "busybox find /mnt /maps -type f"), "");
}

#[test]
fn b037_files_of_other_images_are_laid_over_the_sources_and_names_stand_for_images() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let spec = "source:\n  images:\n  - from: {kind: DockerImage, name: x}\n    as: [shell]\n    paths:\n    \
                - {sourcePath: /bin/busybox, destinationDir: tools}\n    - {sourcePath: /www, destinationDir: sub}\n    \
                - {sourcePath: /www/., destinationDir: flat}\n  dockerfile: |\n    FROM shell\n    COPY . /in\n    \
                COPY --from=shell /bin/busybox /copied\nstrategy: {dockerStrategy: {}}";
    let image = shop.makes(spec, |request| request.images = vec![used(BuildUse::Source(0), &base)]);
    let found = shop.prints(&image, "busybox find /in /copied -type f | busybox sort");
    assert_eq!(
        found,
        "/copied\n/in/Dockerfile\n/in/flat/healthz\n/in/flat/index.html\n/in/sub/www/healthz\n/in/sub/www/index.html\n\
         /in/tools/busybox"
    );
    let spec = spec.replace("/www,", "/nothing,");
    let ended =
        shop.build_with(&spec, |request| request.images = vec![used(BuildUse::Source(0), &base)]);
    assert_eq!((ended.end, ended.reason.as_str()), (BuildEnd::Failed, "FetchImageContentFailed"));
}

#[test]
fn b056_variables_are_resolved_when_the_build_starts() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    shop.secret("login", &[("password", "hunter2hunter2")]);
    let dockerfile = format!("FROM {base}\nRUN echo \"$URL\" > /url\n");
    let spec = |key: &str| {
        inline(&dockerfile, "").replace(
            "dockerStrategy: {}",
            &format!("dockerStrategy: {{env: [{{name: PW, valueFrom: {{secretKeyRef: {{name: login, key: {key}}}}}}}, {{name: URL, value: 'db://$(PW)@$(HOST)'}}]}}"),
        )
    };
    let image = shop.makes(&spec("password"), |_| {});
    assert_eq!(shop.prints(&image, "busybox cat /url"), "db://hunter2hunter2@$(HOST)");
    assert!(!image.log.contains("hunter2"), "{}", image.log);
    let ended = shop.build(&spec("none"));
    let why = (ended.end, ended.reason.as_str(), ended.message.as_str());
    let wanted = "variable `PW` needs the key `none` of secret/login";
    assert_eq!(why, (BuildEnd::Error, "UnresolvableEnvironmentVariable", wanted));
}

#[test]
fn b029_b031_a_build_that_fails_says_why_in_one_word_a_sentence_and_its_last_lines() {
    let Some(shop) = Workshop::open() else { return };
    let base = shop.base("base/shell:1");
    let fails = |spec: &str| {
        let ended = shop.build(spec);
        assert_eq!(ended.end, BuildEnd::Failed);
        (ended.reason, ended.message, ended.log)
    };
    let long = "x".repeat(200);
    let (reason, message, log) =
        fails(&inline(&format!("FROM {base}\nRUN echo {long}; {STAYS}; exit 3\n"), ""));
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("DockerBuildFailed", "Dockerfile build strategy has failed.")
    );
    assert!(log.lines().count() <= 5 && log.contains("exit status 3"), "{log}");
    assert!(log.contains(&format!("{}...", "x".repeat(58))), "{log}");

    let (reason, message, _) = fails(&inline("RUN no\n", ""));
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("ManageDockerfileFailed", "Failed to prepare the dockerfile for the build.")
    );

    let missing = format!("{}/no/such:1", shop.podman.registry.address());
    let (reason, message, log) = fails(&inline(&format!("FROM {missing}\n"), ""));
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("PullBuilderImageFailed", "Failed pulling builder image.")
    );
    assert!(log.contains("manifest unknown"), "{log}");

    let ended =
        shop.build(&inline(&format!("FROM {base}\n"), "output: {pushSecret: {name: gone}}"));
    assert_eq!((ended.end, ended.message.as_str()), (BuildEnd::Error, "Missing push secret."));
    assert_eq!(ended.log, "error: there is no secret/gone to push with");
}
