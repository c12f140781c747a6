//! What podman is given to play: what it would misunderstand is not in it (rules R8 to R10).

use serde_json::{Value, json};
use tidegate::names::{Incarnation, ObjectKey, Revision, RolloutKey, Seq};
use tidegate::pods::{Instance, Pods, documents};

/// An object of this kind with this pod spec.
fn read(kind: &str, pod: &Value) -> Pods {
    let object: ObjectKey = format!("{kind}/shop/web").parse().unwrap();
    let group = if kind == "DeploymentConfig" { "apps.openshift.io/v1" } else { "apps/v1" };
    let manifest = json!({
        "apiVersion": group,
        "kind": kind,
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 2,
            "paused": false,
            "minReadySeconds": 3,
            "progressDeadlineSeconds": 60,
            "revisionHistoryLimit": 4,
            "strategy": {"type": "Recreate"},
            "selector": {},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": pod},
        },
    });
    Pods::read(&object, manifest.to_string().as_bytes()).unwrap()
}

fn key() -> RolloutKey {
    RolloutKey {
        namespace: "shop".parse().unwrap(),
        name: "web".parse().unwrap(),
        incarnation: Incarnation(1),
        seq: Seq(7),
        epoch: None,
    }
}

fn played(pods: &Pods) -> Value {
    serde_json::from_str(&pods.pod(Instance::Ordinal(0), &key(), Revision(3))).unwrap()
}

fn fields(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// R8: podman knows one kind well. Several instances are several pods, and what steers a rollout is not podman's affair.
#[test]
fn r008_whatever_the_kind_pods_are_played() {
    for kind in ["DeploymentConfig", "Deployment", "StatefulSet", "DaemonSet"] {
        let pods =
            read(kind, &json!({"containers": [{"name": "main", "image": "r.io/web@sha256:0f"}]}));
        let rendered = pods.render(&key(), Revision(3));
        let documents = documents(&rendered);
        assert_eq!(documents.len(), if kind == "DaemonSet" { 1 } else { 2 }, "{kind}");
        for document in documents {
            let pod: Value = serde_json::from_str(document).unwrap();
            assert_eq!((&pod["apiVersion"], &pod["kind"]), (&json!("v1"), &json!("Pod")), "{kind}");
            assert_eq!(fields(&pod), ["apiVersion", "kind", "metadata", "spec"], "{kind}");
            assert_eq!(fields(&pod["spec"]), ["containers"], "{kind}");
        }
    }
}

/// R9: what podman carries out is handed to it as it stands; what it ignores, or takes for something else, is done here or
/// left out.
#[test]
fn r009_podman_gets_what_it_knows_and_nothing_that_it_ignores() {
    let probe = json!({"exec": {"command": ["true"]}});
    let known = json!({
        "name": "main",
        "image": "r.io/web@sha256:0f",
        "command": ["serve"],
        "args": ["-v"],
        "workingDir": "/srv",
        "env": [{"name": "A", "value": "1"}],
        "resources": {"limits": {"memory": "64Mi"}},
        "securityContext": {"runAsUser": 1000},
        "livenessProbe": probe,
        "ports": [{"containerPort": 8080, "hostPort": 18080}],
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],
    });
    let mut main = known.clone();
    for ignored in ["readinessProbe", "startupProbe"] {
        main[ignored] = probe.clone();
    }
    main["lifecycle"] = json!({"preStop": {"exec": {"command": ["sync"]}}});
    let spec = json!({
        "initContainers": [{"name": "setup", "image": "r.io/setup@sha256:0e"}],
        "containers": [main],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "host", "hostPath": {"path": "/srv"}},
        ],
        "restartPolicy": "Always",
        "imagePullSecrets": [{"name": "login"}],
    });
    let object = read("DaemonSet", &spec);
    let pod = played(&object);
    let mut wanted = known;
    wanted["imagePullPolicy"] = json!("IfNotPresent");
    assert_eq!(pod["spec"]["containers"], json!([wanted]));
    assert_eq!(pod["spec"]["initContainers"][0]["name"], "setup");
    assert_eq!(pod["spec"]["volumes"], spec["volumes"]);
    assert_eq!(pod["spec"]["imagePullSecrets"], Value::Null, "images are pulled with our logins");
    let probes = object.probes().unwrap();
    assert_eq!(probes.len(), 3, "those that podman does not ask are asked here: {probes:?}");
}

/// R10: only what is said to be published is; podman 4 by itself would open a port of the host for each that has a name.
#[test]
fn r010_no_port_is_opened_that_nobody_asked_for() {
    let ports = |ports: Value| {
        let pods = read(
            "DaemonSet",
            &json!({"containers": [{"name": "main", "image": "r.io/web@sha256:0f", "ports": ports}]}),
        );
        played(&pods)["spec"]["containers"][0]["ports"].clone()
    };
    let named = json!({"containerPort": 8080, "name": "http", "protocol": "TCP"});
    assert_eq!(ports(json!([named])), Value::Null);
    let zero = json!({"containerPort": 8080, "hostPort": 0});
    assert_eq!(ports(json!([zero, named])), Value::Null);
    let fixed = json!({"containerPort": 8080, "hostPort": 18080});
    assert_eq!(ports(json!([named, fixed])), json!([fixed]));
}
