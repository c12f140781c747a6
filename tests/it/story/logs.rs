//! What containers print, and how rollouts went, as `tidegate logs` shows it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use tidegate::action::ImportOrder;
use tidegate::control::{Question, Reply};
use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually};
use crate::support::git::{Repo, program};
use crate::support::podman::{Podman, Program, alone};

fn manifests(registry: &str, replicas: u32) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: web, namespace: shop}}
spec:
  tags:
  - name: latest
    from: {{kind: DockerImage, name: '{registry}/shop/web:latest'}}
    importPolicy: {{insecure: true}}
---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: web, namespace: shop}}
spec:
  replicas: {replicas}
  strategy:
    type: Rolling
    rollingParams:
      timeoutSeconds: 8
      pre: {{failurePolicy: Abort, execNewPod: {{containerName: main, command: [/bin/sh, -c, echo migrated]}}}}
  triggers:
  - type: ImageChange
    imageChangeParams: {{automatic: true, containerNames: [main, side], from: {{kind: ImageStreamTag, name: 'web:latest'}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: ' '
        command:
        - /bin/sh
        - -c
        - echo this is $(busybox cat /www/index.html); echo ready; busybox httpd -f -p 8080 -h /www & trap 'kill $!; exit 0' TERM; wait
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
      - name: side
        image: ' '
        command: [/bin/sh, -c, \"echo beside; trap 'exit 0' TERM; while :; do busybox sleep 1; done\"]
"
    )
}

/// How the next rollout ends.
fn finished(host: &Host, count: usize) -> Outcome {
    eventually(&format!("rollout {count}: {}", host.story()), || {
        let mut ends = host.records().into_iter().filter_map(|record| match record.fact {
            Fact::RolloutFinished(end) => Some(end.outcome),
            _ => None,
        });
        ends.nth(count - 1)
    })
}

/// What `logs` prints, what it says beside, and how it ends.
fn logs(host: &Host, arguments: &[&str]) -> (String, String, Option<i32>) {
    let output = host.run(&[&["logs", "-n", "shop"], arguments].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn c006_logs_shows_what_containers_print_and_how_a_failed_rollout_went() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    podman.push("shop/web:latest", "v1", Program::Healthy);
    let repo = Repo::new();
    repo.write("web.yaml", manifests(&podman.registry.address(), 2)).commit("the shop");
    let toml = format!(
        "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
        podman.program().display()
    );
    let mut host = Host::new(repo.path(), &toml);
    let (_, err, code) = logs(&host, &["dc/web"]);
    assert_eq!((err.contains("\"web\" not found"), code), (true, Some(1)), "{err}");
    host.start();
    assert_eq!(finished(&host, 1), Outcome::Complete, "{}", host.story());

    let (out, err, code) = logs(&host, &["dc/web"]);
    assert_eq!((out.as_str(), code), ("this is v1\nready\n", Some(0)), "{err}");
    assert_eq!(
        err,
        "Defaulted container \"main\" out of: main, side\nFound 2 pods, using pod/web-0\n"
    );
    for (arguments, printed) in [
        (&["pod/web-1", "-c", "main", "--tail=1"][..], "ready\n"),
        (&["web-1", "-c", "side"], "beside\n"),
        (&["rc/web-1", "-c", "main", "--since=1h"], "this is v1\nready\n"),
    ] {
        let (out, err, code) = logs(&host, arguments);
        assert_eq!((out.as_str(), code), (printed, Some(0)), "{arguments:?}: {err}");
    }
    let (out, ..) = logs(&host, &["web-0", "-c", "side", "--timestamps"]);
    assert!(out.starts_with("20") && out.ends_with(" beside\n"), "{out}");
    let (out, ..) = logs(&host, &["web-0", "--all-containers"]);
    assert!(out.contains("web-0-main ready\n") && out.contains("web-0-side beside\n"), "{out}");
    let (_, err, code) = logs(&host, &["web-0", "-c", "other"]);
    assert_eq!(err, "error: container other is not valid for pod web-0\n");
    assert_eq!(code, Some(1));
    follows(&host);

    repo.write("web.yaml", manifests(&podman.registry.address(), 3)).commit("one more");
    has_another(&host);

    podman.push("shop/web:latest", "v2", Program::NeverReady);
    let (stream, tags) = ("shop/web".parse().unwrap(), vec!["latest".parse().unwrap()]);
    let order = ImportOrder { stream, tags, repository: false, commit: None };
    let reply = host.ask(&Question::Import(order));
    assert!(matches!(reply, Some(Reply::Done(_))), "{reply:?}");
    assert_eq!(finished(&host, 2), Outcome::Failed, "{}", host.story());
    // What failed is the last rollout: how it went, with what its containers printed.
    let (out, _, code) = logs(&host, &["dc/web"]);
    assert_eq!(code, Some(0));
    for part in
        ["revision 2: Pulling\n", "revision 2: Failed: not healthy within", "  | this is v2\n"]
    {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert_eq!(logs(&host, &["web-2-deploy"]).0, out);
    assert_eq!(logs(&host, &["dc/web", "--follow", "--version=2"]).0, out);
    assert_eq!(logs(&host, &["dc/web", "--tail=1"]).0.lines().count(), 1);
    for arguments in [&["dc/web", "--version=1"][..], &["dc/web", "-p"]] {
        let (out, err, _) = logs(&host, arguments);
        assert_eq!(out, "this is v1\nready\n", "{arguments:?}: {err}");
    }
    let (_, err, code) = logs(&host, &["dc/web", "--version=9"]);
    assert!(err.starts_with("error: no deployment #9 of \"web\" is kept: "), "{err}");
    assert_eq!(code, Some(1));

    podman.run(&["pod", "rm", "--force", "web-0", "web-1", "web-2"]);
    let (_, err, code) = logs(&host, &["dc/web", "--version=1"]);
    let why = "podman has no container `main` of pod `web-0`, `web-1`, `web-2` now";
    assert!(err.contains(why), "{err}");
    assert_eq!(code, Some(1));
}

/// What came with another number of instances is found as those before.
fn has_another(host: &Host) {
    host.ask(&Question::ReadSource);
    host.wait_for("it is scaled", |fact| matches!(fact, Fact::ScaleFinished(_)));
    assert_eq!(logs(host, &["web-2", "-c", "side"]).0, "beside\n");
    assert!(host.text(&["get", "pods", "-n", "shop"]).contains("\nweb-2 "));
}

/// It goes on with what is printed later.
fn follows(host: &Host) {
    let mut command = host.tidegate(&["logs", "-n", "shop", "-f", "dc/web", "-c", "main"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "this is v1");
    assert!(child.try_wait().unwrap().is_none(), "it waits for more");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn c006_logs_of_another_target_says_how_the_rollout_went_and_whom_to_ask() {
    let repo = Repo::new();
    let image = format!("registry.example.com/web@sha256:{}", "a".repeat(64));
    let manifest = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop, annotations: {{image.openshift.io/triggers: '[]'}}}}
spec:
  template:
    spec: {{containers: [{{name: main, image: '{image}'}}]}}
"
    );
    repo.write("web.yaml", manifest).commit("the shop");
    let script = repo.path().join("deploy");
    program(&script, "#!/bin/sh\ncat >/dev/null\necho 'the port is taken'\nexit 1\n");
    let toml = format!(
        "[targets.compose]\nkind = \"exec\"\ncommand = [{:?}]\n[routes]\ndefault = \"compose\"\n",
        script.display()
    );
    let mut host = Host::new(repo.path(), &toml);
    host.start();
    assert_eq!(finished(&host, 1), Outcome::Failed, "{}", host.story());
    let (out, err, code) = logs(&host, &["deploy/web"]);
    assert_eq!(
        err,
        "note: target `compose` is a program, and what containers print there is not known here: ask what that runs, as with \
         `docker compose logs`; this is how web-1 went\n"
    );
    assert!(out.contains("revision 1: Failed") && out.contains("  | the port is taken\n"), "{out}");
    assert_eq!(code, Some(0));
    let (_, err, code) = logs(&host, &["pod/web-0"]);
    assert_eq!(err, "Error from server (NotFound): pods \"web-0\" not found\n");
    assert_eq!(code, Some(1));
    let (_, err, code) = logs(&host, &["svc/web"]);
    assert_eq!(err, "error: cannot get the logs from Service: Tidegate runs none of that kind\n");
    assert_eq!(code, Some(1));
}
