//! What is asked of pods before they count as healthy, and what runs beside them: probes of each kind, init containers,
//! and hooks that fail (rules R5, R9, D40), with a real podman.

use std::process::Command;

use tidegate::fact::RolloutStep::{Checking, Pulling, StartingNew};
use tidegate::fact::{Fact, RolloutStep};

use crate::support::daemon::eventually;
use crate::support::podman::{Podman, Program};
use crate::support::shop::{READY, Web, stream};
use crate::support::stand::Stand;

/// Puts a program of this machine and its libraries into images.
fn bring(podman: &Podman, name: &str) {
    let program = crate::support::need(name).unwrap();
    let listed = Command::new("ldd").arg(&program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files = listed.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned);
    for file in files.chain([program.display().to_string()]) {
        let to = podman.beside("root").join(file.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&file, to).unwrap();
    }
}

/// A `DaemonSet` of three containers beside each other, each with a probe of another kind.
fn daemon_set(podman: &Podman, tcp: &str) -> String {
    let field = |name: &str, list: &str| {
        format!(
            r#"{{"from":{{"kind":"ImageStreamTag","name":"web:latest"}},"fieldPath":"spec.template.spec.{list}[?(@.name==\"{name}\")].image"}}"#
        )
    };
    let triggers = [
        field("early", "initContainers"),
        field("main", "containers"),
        field("tcp", "containers"),
        field("tls", "containers"),
    ];
    let serve = "cd /work && openssl req -x509 -newkey rsa:2048 -nodes -config /dev/null -subj /CN=pod -keyout key -out cert && \
                 exec openssl s_server -accept 8443 -key key -cert cert -WWW";
    format!(
        "{}---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: web
  namespace: shop
  annotations:
    image.openshift.io/triggers: '[{}]'
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{{name: work, emptyDir: {{}}}}]
      initContainers:
      - name: early
        image: ' '
        command: [/bin/sh, -c, 'echo ran >> /work/init; echo hello > /work/page']
        volumeMounts: [{{name: work, mountPath: /work}}]
      containers:
      - name: main
        image: ' '
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: http}}, periodSeconds: 1}}
        volumeMounts: [{{name: work, mountPath: /work}}]
      - name: tcp
        image: ' '
        command: [/bin/busybox, httpd, -f, -p, '8081']
        readinessProbe: {{tcpSocket: {{port: {tcp}}}, initialDelaySeconds: 2, periodSeconds: 1, successThreshold: 3}}
      - name: tls
        image: ' '
        command: [/bin/sh, -c, '{serve}']
        readinessProbe: {{httpGet: {{scheme: HTTPS, path: /page, port: 8443}}, periodSeconds: 1}}
        volumeMounts: [{{name: work, mountPath: /work}}]
",
        stream(&podman.registry.address(), "web"),
        triggers.join(","),
    )
    .replace("  selector:", "  progressDeadlineSeconds: 8\n  selector:")
}

/// R5, R9, R17a: a connection, a request by TLS, a port by its name, a time before the first question and a number of
/// answers in a row; an init container runs once and before all others. What each is told when it fails says what was
/// asked.
#[test]
fn r005_r009_probes_of_each_kind_are_asked_in_the_pod() {
    if crate::support::need("openssl").is_none() {
        return;
    }
    let write = |podman: &Podman| daemon_set(podman, "8081");
    let Some(mut stand) = Stand::open(Program::Healthy, write) else { return };
    bring(&stand.podman, "openssl");
    stand.podman.push("shop/web:latest", "v1", Program::Healthy);
    stand.begin();
    assert_eq!(stand.steps(), [Pulling, StartingNew, Checking]);
    assert_eq!(stand.pods(), ["web-0 Running"]);
    let said = stand.notes().join("\n") + &stand.host.text(&["history"]);
    let took = said.split_once("healthy after ").unwrap().1.split_once(' ').unwrap().0;
    assert!(took.parse::<f64>().unwrap() >= 4.0, "2 s before the first of 3 answers: {took}");
    assert_eq!(stand.inside("web-0-main", "busybox cat /work/init"), "ran");
    assert!(said.contains("a container that ends with 0 is not started again"), "{said}");

    let id = stand.pod_id("web-0");
    let broken = daemon_set(&stand.podman, "8082");
    stand.repo.write("web.yaml", broken).commit("nobody listens there");
    let why = stand.fails();
    assert!(why.contains("container web-check-tcp is not ready: tcp 10."), "{why}");
    assert_eq!((stand.pod_id("web-0"), stand.pods().len()), (id, 1));
}

const LIMITS: &str = "workingDir: /www
env: [{name: COLOUR, value: blue}]
resources: {limits: {cpu: 500m}, requests: {cpu: 200m}}
securityContext: {runAsUser: 1000, readOnlyRootFilesystem: true, capabilities: {drop: [CHOWN]}}";

fn hooked(podman: &Podman, policy: &str, more: &str) -> String {
    let command = "echo $COLOUR $OPENSHIFT_DEPLOYMENT_NAME; exit 7";
    let pre = format!(
        "pre: {{failurePolicy: {policy}, execNewPod: {{command: [/bin/sh, -c, '{command}']}}}}"
    );
    let spec =
        format!("strategy: {{type: Rolling, rollingParams: {{timeoutSeconds: 8, {pre}}}{more}}}");
    let web = Web {
        annotations: "tidegate.dev/verify: 'false'",
        spec: &spec,
        grace: 1,
        container: &format!("{LIMITS}\n{READY}"),
        ..Web::default()
    };
    web.yaml(&podman.registry.address())
}

/// D40.1, D40.3, D39a: a hook has the limits and the rights of the container that it is of; where it fails under `Ignore`
/// the rollout goes on and says so; under `Retry` it runs again until the time is over, which ends the rollout before
/// anything is touched.
#[test]
fn d040_1_d040_3_a_hook_that_fails_is_ignored_or_tried_until_the_deadline() {
    let ignored = |podman: &Podman| hooked(podman, "Ignore", "");
    let Some(mut stand) = Stand::open(Program::Healthy, ignored) else { return };
    stand.begin();
    let told = "The pre-hook failed: exit status 7 (ignore), rollout of shop/web-1 will continue";
    assert!(stand.notes().join("\n").contains(told), "{:?}", stand.notes());
    assert!(stand.host.text(&["history"]).contains(told));
    let hook = "web-1-hook-pre-lifecycle";
    assert_eq!(stand.podman.run(&["logs", hook]), "blue web-1");
    let of = |container: &str| {
        let format = "{{.Config.User}} {{.Config.WorkingDir}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CpuQuota}} \
                      {{.HostConfig.CpuShares}} {{.HostConfig.NanoCpus}} {{.EffectiveCaps}} {{.ImageName}}";
        stand.podman.run(&["container", "inspect", "--format", format, container])
    };
    assert_eq!(of(hook), of("web-0-main"));
    assert!(of(hook).starts_with("1000 /www true "), "{}", of(hook));
    assert!(!of(hook).contains("CAP_CHOWN"), "{}", of(hook));

    let id = stand.pod_id("web-0");
    let retried = hooked(&stand.podman, "Retry", ", activeDeadlineSeconds: 16");
    stand.repo.write("web.yaml", retried).commit("it has to succeed");
    eventually("the second commit", || {
        let is_commit = |fact: &Fact| matches!(fact, Fact::CommitAdopted(_));
        (stand.host.count(is_commit) == 2).then_some(())
    });
    stand.moves("v2", Program::Healthy);
    let why = stand.fails();
    assert!(why.starts_with("it was not done within 16s"), "{why}");
    assert_eq!(stand.steps(), [Pulling, RolloutStep::PreHook, RolloutStep::RollingBack]);
    assert_eq!((stand.pod_id("web-0"), stand.pods()), (id, vec!["web-0 Running".to_owned()]));
    let status = stand.host.run(&["rollout", "status", "dc/web", "-n", "shop"]);
    assert_eq!(status.status.code(), Some(1));
}
