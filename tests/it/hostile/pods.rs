//! Hostile workloads for a host: probes, hooks and strategies that cannot be carried out are refused with their place,
//! before anything is touched.

use serde_json::{Value, json};
use tidegate::names::ObjectKey;
use tidegate::pods::Pods;

use super::{Row, faults};

/// A DeploymentConfig with these fields in its `spec` and in its container.
fn workload(spec: &Value, container: &Value) -> Value {
    let mut manifest = json!({
        "kind": "DeploymentConfig",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "replicas": 1,
            "template": {"spec": {"containers": [{"name": "web", "image": "r.io/web:1"}]}},
        },
    });
    for (key, value) in spec.as_object().unwrap() {
        manifest["spec"][key] = value.clone();
    }
    for (key, value) in container.as_object().unwrap() {
        manifest["spec"]["template"]["spec"]["containers"][0][key] = value.clone();
    }
    manifest
}

/// What is refused, and where it says that it stands.
#[rustfmt::skip]
pub(super) fn rows() -> Vec<Row<Value>> {
    let probe = |name, probe: Value, says: &[&'static str]| {
        Row::new(name, workload(&json!({}), &json!({"readinessProbe": probe})), says)
    };
    let hook = |name, hook: Value, says: &[&'static str]| {
        let strategy = json!({"strategy": {"rollingParams": {"pre": hook}}});
        Row::new(name, workload(&strategy, &json!({})), says)
    };
    let spec = |name, spec: Value, says: &[&'static str]| Row::new(name, workload(&spec, &json!({})), says);
    let row_port = |name, port: Value, says: &[&'static str]| {
        let mut ports = json!([{"containerPort": 80, "hostPort": 80}]);
        ports[0].as_object_mut().unwrap().extend(port.as_object().unwrap().clone());
        Row::new(name, workload(&json!({}), &json!({"ports": ports})), says)
    };
    let published = |name, text: &str, says: &[&'static str]| {
        let mut manifest = workload(&json!({}), &json!({}));
        manifest["metadata"]["annotations"] = json!({"tidegate.dev/publish": text});
        Row::new(name, manifest, says)
    };
    const PROBE: &str = "the readiness probe of container `web`";
    vec![
        probe("a probe of a port that is none", json!({"httpGet": {"port": 70_000}}), &[PROBE]),
        probe("a probe of a port without a number", json!({"tcpSocket": {"port": "nosuch"}}), &[PROBE, "nosuch"]),
        probe("a probe of nothing", json!({"periodSeconds": 1}), &[PROBE]),
        probe("a probe that is text", json!("curl localhost"), &[PROBE]),
        probe("a probe before its time", json!({"tcpSocket": {"port": 80}, "periodSeconds": -1}), &[PROBE]),
        hook("a hook that is text", json!("rm -rf /"), &["`pre` hook"]),
        hook("a hook with a policy that nobody knows", json!({"failurePolicy": "Panic", "execNewPod": {"command": ["x"]}}), &["`pre` hook", "Panic"]),
        hook("a hook whose command is a number", json!({"failurePolicy": "Abort", "execNewPod": {"command": [1]}}), &["`pre` hook"]),
        spec("no template", json!({"template": null}), &["pod template"]),
        spec("a template that is text", json!({"template": "web"}), &["pod template"]),
        spec("replicas beyond all numbers", json!({"replicas": 1e30}), &["the manifest cannot be read"]),
        row_port("an address that is a name", json!({"hostIP": "localhost"}), &["`hostIP` of container `web`"]),
        row_port("an address with a line of its own", json!({"hostIP": "1.2.3.4\n[Service]\nExecStartPre=/bin/x"}), &["`hostIP`", "\\n"]),
        row_port("a protocol with a line of its own", json!({"protocol": "TCP\nx=y"}), &["`protocol` of container `web`", "\\n"]),
        row_port("a port beyond all ports", json!({"hostPort": 70_000}), &["`hostPort` of container `web` is 70000"]),
        row_port("a port before its time", json!({"containerPort": -1}), &["`containerPort` of container `web` is -1"]),
        row_port("a port in parts", json!({"hostPort": 80.5}), &["`hostPort` of container `web` is 80.5"]),
        published("a published name", "localhost:8080:80", &["`localhost:8080:80` is not written like"]),
        published("a published line", "127.0.0.1\n[Service]\nExecStartPre=/bin/x\n:8080:80", &["is not written like"]),
        spec("an update that waits for somebody", json!({"updateStrategy": {"type": "OnDelete"}}), &["OnDelete"]),
        spec("an update of some", json!({"updateStrategy": {"rollingUpdate": {"partition": 2}}}), &["`partition`"]),
        spec("more instances than a host has room for", json!({"replicas": 2_000_000_000}), &["`replicas` is 2000000000"]),
        spec("a volume that moves the cursor", json!({"template": {"spec": {"volumes": [{"name": "a\u{1b}[2J", "nfs\u{7}": {}}]}}}), &["volume `a\u{fffd}[2J`"]),
        spec("a volume with an endless name", json!({"template": {"spec": {"volumes": [{"name": "x".repeat(1 << 20), "nfs": {}}]}}}), &["volume `xxx"]),
        spec("a sidecar", json!({"template": {"spec": {"initContainers": [{"name": "log", "restartPolicy": "Always"}], "containers": [{"name": "web"}]}}}), &["init container `log`"]),
        spec("a strategy of its own", json!({"strategy": {"type": "Custom"}}), &["strategy Custom has no `customParams`"]),
    ]
}

/// CronJobs that are refused, and what the refusal names.
#[rustfmt::skip]
pub(super) fn cron_rows() -> Vec<Row<Value>> {
    let row = |name, spec: Value, job: Value, says: &[&'static str]| {
        let mut manifest = json!({
            "kind": "CronJob",
            "metadata": {"name": "night", "namespace": "shop"},
            "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "r.io/night:1"}],
            }}}}},
        });
        for (key, value) in spec.as_object().unwrap() {
            manifest["spec"][key] = value.clone();
        }
        for (key, value) in job.as_object().unwrap() {
            manifest["spec"]["jobTemplate"]["spec"][key] = value.clone();
        }
        Row::new(name, manifest, says)
    };
    let spec = |name, spec: Value, says: &[&'static str]| row(name, spec, json!({}), says);
    let job = |name, job: Value, says: &[&'static str]| row(name, json!({}), job, says);
    let read: &[&'static str] = &["the manifest cannot be read"];
    vec![
        spec("a schedule that is none", json!({"schedule": "at night"}), &["`spec.schedule`"]),
        spec("no schedule", json!({"schedule": ""}), &["`spec.schedule`"]),
        spec("a schedule with a minute too many", json!({"schedule": "60 * * * *"}), &["`spec.schedule`", "60"]),
        spec("a schedule that is a list", json!({"schedule": ["0 3 * * *"]}), read),
        spec("a time zone that nobody knows", json!({"timeZone": "Europe/Atlantis"}), &["`spec.schedule`", "Europe/Atlantis"]),
        spec("a time zone that is a path", json!({"timeZone": "../../../etc/passwd"}), &["`spec.schedule`", "passwd"]),
        spec("a policy that nobody knows", json!({"concurrencyPolicy": "Sometimes"}), &["`spec.concurrencyPolicy`", "Sometimes"]),
        spec("a deadline before its time", json!({"startingDeadlineSeconds": -1}), read),
        spec("a history beyond all numbers", json!({"failedJobsHistoryLimit": 1e30}), read),
        spec("no job", json!({"jobTemplate": null}), read),
        job("runs that run for ever", json!({"template": {"spec": {"restartPolicy": "Always"}}}), &["`restartPolicy`", "`Always`"]),
        job("runs that do not say when they are over", json!({"template": {"spec": {}}}), &["`restartPolicy`", "not set"]),
        job("runs of two pods", json!({"parallelism": 2}), &["`parallelism`"]),
        job("runs of no pod", json!({"completions": 0}), &["`completions`"]),
        job("runs that wait for somebody", json!({"suspend": true}), &["`suspend`"]),
        job("retries before their time", json!({"backoffLimit": -1}), read),
    ]
}

#[test]
fn hostile_cron_jobs_are_refused_with_their_place() {
    let mut wrong = Vec::new();
    for row in cron_rows() {
        match tidegate::pods::cron(row.input.to_string().as_bytes()) {
            Ok(_) => wrong.push(format!("{}: it is taken", row.name)),
            Err(why) => wrong.extend(row.check(&why.to_string())),
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
}

#[test]
fn hostile_workloads_are_refused_with_their_place() {
    let object: ObjectKey = "DeploymentConfig/shop/web".parse().unwrap();
    let mut wrong = Vec::new();
    for row in rows() {
        match Pods::read(&object, row.input.to_string().as_bytes()) {
            Ok(_) => wrong.push(format!("{}: it is taken", row.name)),
            Err(why) => {
                let why = why.to_string();
                wrong.extend(row.check(&why));
                if why.chars().count() > 1_000 {
                    wrong.push(format!("{}: it says {} bytes", row.name, why.len()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", faults(&wrong));
    // An image that no line of a unit can name (rule R21).
    let image = workload(&json!({}), &json!({"image": "r.io/web\n[Service]\nExecStartPre=/bin/x"}));
    let pods = Pods::read(&object, image.to_string().as_bytes()).unwrap();
    let why = pods.image_unit().unwrap_err().to_string();
    assert_eq!(why, r#""r.io/web\n[Service]\nExecStartPre=/bin/x" is no image"#);
    // What is no manifest at all.
    for text in ["", "[]", "null", "{\"spec\": []}", "\u{1b}", &"[".repeat(100_000)] {
        assert!(Pods::read(&object, text.as_bytes()).is_err(), "{text:?}");
    }
}
