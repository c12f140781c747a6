//! A deployment on one host, as the commands show it: C1, C4, C6, D10 to D12, D44, D45, S0.10, S2.6.

use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::shop::{Web, import};

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {selector: {app: web}, ports: [{port: 8080}]}
---
";

fn manifests(registry: &str) -> String {
    let web = Web {
        labels: "app: web",
        replicas: 2,
        spec: "strategy: {type: Rolling, rollingParams: {timeoutSeconds: 8}}",
        config_change: true,
        grace: 1,
        ..Web::default()
    };
    format!("{SERVICE}{}", web.yaml(registry))
}

/// What differs from run to run in words of its own.
fn settle(text: &str, registry: &str) -> String {
    let volatile = [
        (r"sha256:[0-9a-f]{64}", "sha256:…"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
        (r"(?i)(Less than a second|About a minute|\d+ (second|minute)s?) ago", "[age] ago"),
        (r"(\s)\d+m?\d*s(\s)", "$1[age]$2"),
        (r"(after|took|for) [\d.]+ ?m?s", "$1 [span]"),
    ];
    let text = text.replace(registry, "registry.io:443");
    volatile.iter().fold(text, |text, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    })
}

fn finished(host: &Host, count: usize) -> Outcome {
    eventually(&format!("rollout {count}: {}", host.story()), || {
        let mut ends = host.records().into_iter().filter_map(|record| match record.fact {
            Fact::RolloutFinished(end) => Some(end.outcome),
            _ => None,
        });
        ends.nth(count - 1)
    })
}

#[test]
fn c006_a_deployment_on_this_host_is_shown_as_oc_shows_it() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    podman.push("shop/web:latest", "v1", Program::Healthy);
    let repo = Repo::new();
    let registry = podman.registry.address();
    repo.write("web.yaml", manifests(&registry)).commit("the shop");
    let toml = format!(
        "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
        podman.program().display()
    );
    let mut host = Host::new(repo.path(), &toml);
    host.start();
    host.wait_for("the first rollout", |fact| matches!(fact, Fact::RolloutStarted(_)));
    // It waits for the end, and tells the steps beside.
    let output = host.run(&["rollout", "status", "dc/web", "-n", "shop"]);
    let (out, err) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{out}{err}");
    assert!(out.ends_with("replication controller \"web-1\" successfully rolled out\n"), "{out}");
    let shown =
        |arguments: &[&str]| settle(&host.text(&[arguments, &["-n", "shop"]].concat()), &registry);
    assert_eq!(
        shown(&["get", "all", "-o", "name"]),
        "pod/web-0\npod/web-1\npod/web-1-deploy\nreplicationcontroller/web-1\nservice/web\n\
         deploymentconfig.apps.openshift.io/web\nimagestream.image.openshift.io/web\n"
    );
    assert_eq!(
        shown(&["get", "dc"]),
        "NAME   REVISION   DESIRED   CURRENT   TRIGGERED BY\nweb    1          2         2         config,image(web:latest)\n"
    );
    podman.push("shop/web:latest", "v2", Program::NeverReady);
    import(&host, "web");
    assert_eq!(finished(&host, 2), Outcome::Failed);
    in_tables(&shown);
    in_whole(&shown);
    let output = host.run(&["rollout", "status", "dc/web", "-n", "shop"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.ends_with("error: replication controller \"web-2\" has failed progressing\n"),
        "{said}"
    );
}

/// What `get` and `describe` say after a rollout that failed.
fn in_tables(shown: &dyn Fn(&[&str]) -> String) {
    // Fields are told apart by one blank: how wide columns are depends on the names of this run.
    let words = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        lines.collect()
    };
    assert_eq!(
        words(&shown(&["get", "pods"])),
        [
            "NAME READY STATUS RESTARTS AGE",
            "web-0 1/1 Running 0 [age]",
            "web-1 1/1 Running 0 [age]",
            "web-2-deploy 0/1 Error 0 [age]",
        ]
    );
    assert_eq!(
        words(&shown(&["get", "rc"])),
        ["NAME DESIRED CURRENT READY AGE", "web-1 2 2 2 [age]", "web-2 0 0 0 [age]"]
    );
    let described = words(&shown(&["describe", "dc/web"]));
    for line in [
        "Labels: app=web",
        "Latest Version: 2",
        "Selector: app=web",
        "Replicas: 2",
        "Triggers: Config, Image(web@latest, auto=true)",
        "Strategy: Rolling",
        "Image: registry.io:443/shop/web@sha256:…",
        "Deployment #2 (latest):",
        "Status: Failed",
        "Deployment #1:",
        "Name: web-1",
        "Status: Complete",
        "Replicas: 2 current / 2 desired",
        "Selector: app=web,deployment=web-1,deploymentconfig=web",
        "Labels: app=web,openshift.io/deployment-config.name=web",
        "Pods Status: 2 Running / 0 Waiting / 0 Succeeded / 0 Failed",
        "Normal DeploymentCreated [age] deploymentconfig-controller Created new replication controller \"web-2\" for version 2",
    ] {
        assert!(described.iter().any(|known| known == line), "{line} in {described:#?}");
    }
    let fired = described.iter().find(|line| line.starts_with("Fired: "));
    assert!(fired.is_some_and(|fired| fired.ends_with(": rollout 2")), "{described:#?}");
    let held = described.iter().find(|line| line.starts_with("Held: rollout 2 (record "));
    assert!(
        held.is_some_and(|held| held.ends_with("`tidegate release` (held [age] ago)")),
        "{described:#?}"
    );
}

/// What the objects themselves say then.
fn in_whole(shown: &dyn Fn(&[&str]) -> String) {
    let yaml = shown(&["get", "dc/web", "-o", "yaml"]);
    for part in [
        "      lastTriggeredImage: registry.io:443/shop/web@sha256:…\n",
        "    message: Deployment config has minimum availability.\n",
        "    message: replication controller \"web-2\" has failed progressing\n    reason: ProgressDeadlineExceeded\n    status: \"False\"\n",
        "    message: image change\n",
        "  latestVersion: 2\n",
        "  replicas: 2\n",
    ] {
        assert!(yaml.contains(part), "{part} in {yaml}");
    }
    let controller = shown(&["get", "rc/web-2", "-o", "yaml"]);
    for part in [
        "openshift.io/deployment.phase: Failed\n",
        "openshift.io/deployer-pod.name: web-2-deploy\n",
        "openshift.io/deployment-config.latest-version: \"2\"\n",
        "      deployment: web-2\n",
    ] {
        assert!(controller.contains(part), "{part} in {controller}");
    }
}
