//! What of a build nobody else sees, what of it stays, and what it may reach.

use tidegate::action::BuildReport;
use tidegate::fact::BuildEnd;
use tokio_util::sync::CancellationToken;

use crate::support::builder::Workshop;
use crate::support::daemon::wait;
use crate::support::git::program;

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

