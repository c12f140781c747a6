//! What must not run twice, and what outlives every container: volumes, with a real podman (rules R12, R13a, R17a, D51).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use tidegate::fact::RolloutStep::{
    Checking, Pulling, RollingBack, StartingNew, StoppingOld, Updating,
};
use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::eventually;
use crate::support::podman::{Podman, Program};
use crate::support::shop::{READY, Web, served, stream};
use crate::support::stand::Stand;

const WHY: &str = "in place: volume \"data\" cannot be shared";

/// The object goes from git, and its pods go.
fn closes(stand: &Stand) {
    stand.repo.write("web.yaml", stream(&stand.registry(), "web")).commit("the shop closes");
    let is_stopped =
        |fact: &Fact| matches!(fact, Fact::StopFinished(stop) if stop.outcome == Outcome::Complete);
    stand.host.wait_for("the stop", is_stopped);
    assert!(stand.pods().is_empty(), "{:?}", stand.pods());
}

fn locked(podman: &Podman) -> String {
    let web = Web {
        spec: "strategy: {type: Rolling, rollingParams: {timeoutSeconds: 6}}",
        pod: "volumes: [{name: data, persistentVolumeClaim: {claimName: web-data}}]",
        container: &format!("{READY}\nvolumeMounts: [{{name: data, mountPath: /data}}]"),
        ..Web::default()
    };
    web.yaml(&podman.registry.address())
}

/// R12, R13a, D51: a program that ends where another one works in its volume is never started beside it; that is said
/// before the old one ends, and what was written stays, over updates, failures and the end of the workload.
#[test]
fn r012_r013a_what_needs_a_volume_is_replaced_in_place_and_says_so() {
    let Some(mut stand) = Stand::open(Program::NeedsVolume, locked) else { return };
    stand.begin();
    assert!(!stand.notes().concat().contains("in place"), "nothing ran before");
    stand.inside("web-0-main", "echo kept > /data/file");
    let found =
        |stand: &Stand| stand.inside("web-0-main", "busybox cat /www/index.html /data/file");
    assert_eq!(found(&stand), "v1kept");

    // Podman waits before it ends the old one, and somebody watches.
    let gate = stand.podman.beside("gate");
    stand.podman.puts_between(&format!(
        "case \"$1 $2\" in 'pull '*|'stop '*) while [ ! -e {}-$1 ]; do sleep 0.1; done;; esac",
        gate.display()
    ));
    let opens =
        |what: &str| std::fs::write(stand.podman.beside(&format!("gate-{what}")), "").unwrap();
    stand.podman.push("shop/web:latest", "v2", Program::NeedsVolume);
    crate::support::shop::import(&stand.host, "web");
    stand.until(2, Pulling);
    let told = stand.podman.beside("told");
    let mut watch = stand.host.tidegate(&["rollout", "status", "dc/web", "-n", "shop"]);
    let file = std::fs::File::create(&told).unwrap();
    let mut watch = watch.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
    let said = |what: &str| {
        eventually(what, || std::fs::read_to_string(&told).unwrap().contains(what).then_some(()));
    };
    said("revision 2: Pulling");
    stand.host.text(&["status"]);
    opens("pull");
    said(&format!("Replacing web-0 {WHY}"));
    assert_eq!(found(&stand), "v1kept", "it is told before the old one ends");
    opens("stop");
    stand.completes();
    assert!(watch.wait().unwrap().success());
    assert_eq!(stand.steps(), [Pulling, StoppingOld, StartingNew, Checking]);
    assert_eq!(found(&stand), "v2kept");
    let history = stand.host.text(&["history"]);
    assert!(history.contains(&format!("Replacing web-0 {WHY}")), "{history}");

    stand.moves("v3", Program::NeverReady);
    let why = stand.fails();
    assert!(why.ends_with("/healthz: status 404"), "{why}");
    assert_eq!(stand.steps(), [Pulling, StoppingOld, StartingNew, Checking, RollingBack]);
    assert_eq!(found(&stand), "v2kept");

    closes(&stand);
    assert_eq!(stand.volumes(), "web-data", "named volumes stay");
    stand.moves("v4", Program::NeedsVolume);
    stand.repo.write("web.yaml", locked(&stand.podman)).commit("the shop opens again");
    stand.completes();
    assert_eq!(found(&stand), "v4kept");
}

/// R13a.2: what cannot start is found out before the only instance ends: its containers are made beside it.
#[test]
fn r013a_2_what_cannot_start_ends_nothing() {
    let Some(mut stand) = Stand::open(Program::NeedsVolume, locked) else { return };
    stand.begin();
    stand.inside("web-0-main", "echo kept > /data/file");
    let runs = stand.pod_id("web-0");
    let nowhere = ["--entrypoint", "[\"/nowhere\"]"];
    stand.podman.push_for("shop/web:latest", "v2", Program::NeedsVolume, &nowhere);
    crate::support::shop::import(&stand.host, "web");
    let why = stand.fails();
    assert!(why.starts_with("it cannot start: ") && why.contains("/nowhere"), "{why}");
    assert_eq!(stand.steps(), [Pulling, RollingBack]);
    assert_eq!((stand.pod_id("web-0"), stand.pods().len()), (runs.clone(), 1));
    let path = locked(&stand.podman).replace(
        "volumes: [",
        "volumes: [{name: more, hostPath: {path: /not/there, type: Directory}}, ",
    );
    let path = path.replace("  triggers:", "  triggers:\n  - type: ConfigChange");
    stand.repo.write("web.yaml", path).commit("a folder that is not there");
    let why = stand.fails();
    assert!(why.starts_with("it cannot start: ") && why.contains("/not/there"), "{why}");
    assert_eq!((stand.pod_id("web-0"), stand.pods().len()), (runs, 1));
    assert_eq!(stand.inside("web-0-main", "busybox cat /www/index.html /data/file"), "v1kept");
}

fn set(podman: &Podman, replicas: u32) -> String {
    let registry = podman.registry.address();
    let trigger = r#"[{"from":{"kind":"ImageStreamTag","name":"web:latest"},"fieldPath":"spec.template.spec.containers[?(@.name==\"main\")].image"}]"#;
    format!(
        "{}---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: web
  namespace: shop
  annotations:
    image.openshift.io/triggers: '{trigger}'
spec:
  replicas: {replicas}
  serviceName: web
  selector: {{matchLabels: {{app: web}}}}
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: main
        image: ' '
        volumeMounts: [{{name: data, mountPath: /data}}]
        {READY}
",
        stream(&registry, "web")
    )
}

/// R17a, R14, D51: each instance of a `StatefulSet` has a volume of its own, which is its own again after an update, a
/// failure, another number of instances and the end of the workload; the last one is replaced first.
#[test]
fn r017a_a_stateful_set_keeps_its_volumes_and_is_replaced_from_the_end() {
    let Some(mut stand) = Stand::open(Program::NeedsVolume, |podman| set(podman, 2)) else {
        return;
    };
    stand.begin();
    for at in ["0", "1"] {
        stand.inside(&format!("web-{at}-main"), &format!("echo {at} > /data/file"));
    }
    let found = |stand: &Stand, at: u32| {
        stand.inside(&format!("web-{at}-main"), "busybox cat /www/index.html /data/file")
    };
    stand.moves("v2", Program::NeedsVolume);
    stand.completes();
    assert_eq!(stand.steps(), [Pulling, Updating]);
    let notes = stand.notes().join("\n");
    assert!(notes.contains(&format!("Replacing web-0, web-1 {WHY}")), "{notes}");
    assert_eq!([found(&stand, 0), found(&stand, 1)], ["v20", "v21"]);
    let began = |pod: &str| stand.podman.run(&["pod", "inspect", "--format", "{{.Created}}", pod]);
    assert!(began("web-1") < began("web-0"), "{} {}", began("web-1"), began("web-0"));

    let first = stand.pod_id("web-0");
    for (replicas, times) in [(1, 1), (2, 2)] {
        stand.repo.write("web.yaml", set(&stand.podman, replicas)).commit("another number");
        eventually(&format!("{replicas} instances; {}", stand.host.story()), || {
            let is_done = |fact: &Fact| matches!(fact, Fact::ScaleFinished(end) if end.outcome == Outcome::Complete);
            (stand.host.count(is_done) == times).then_some(())
        });
        assert_eq!(stand.pods().len(), replicas as usize);
    }
    assert_eq!([found(&stand, 0), found(&stand, 1)], ["v20", "v21"]);
    assert_eq!(stand.pod_id("web-0"), first);

    let broken = set(&stand.podman, 2).replace("path: /healthz", "path: /nothing");
    let broken = broken
        .replace("  serviceName: web\n", "  serviceName: web\n  progressDeadlineSeconds: 4\n");
    stand.repo.write("web.yaml", broken).commit("it is never ready");
    let why = stand.fails();
    assert!(why.contains("container web-1-main is not ready"), "{why}");
    assert_eq!([found(&stand, 0), found(&stand, 1)], ["v20", "v21"]);
    assert_eq!(stand.pod_id("web-0"), first, "it never was its turn");

    closes(&stand);
    assert_eq!(stand.volumes(), "data-web-0 data-web-1", "named volumes stay");
}

/// R13a: a program that is told to end has its network for as long as it may take, and answers what it was asked.
#[test]
fn r013a_what_is_told_to_end_can_still_answer() {
    let web = |podman: &Podman| {
        let web = Web {
            annotations: "tidegate.dev/verify: 'false', tidegate.dev/publish: '127.0.0.1:18080:8080'",
            grace: 20,
            container: &format!("ports: [{{containerPort: 8080}}]\n{READY}"),
            ..Web::default()
        };
        web.yaml(&podman.registry.address())
    };
    let Some(mut stand) = Stand::open(Program::AnswersLate, web) else { return };
    stand.begin();
    let mut client = TcpStream::connect(("127.0.0.1", 18080)).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    client.write_all(b"GET /cgi-bin/late HTTP/1.0\r\n\r\n").unwrap();
    eventually("the request is there", || {
        let found = stand.inside("web-0-main", "if [ -e /tmp/asked ]; then echo it is; fi");
        (found == "it is").then_some(())
    });
    stand.moves("v2", Program::Healthy);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("late"), "{answer}");
    stand.completes();
    assert_eq!(served(18080).as_deref(), Some("v2"));
}
