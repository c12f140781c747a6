//! What a workload is on one host (section 8.2 of the triggers specification).

use serde_json::{Value, json};
use tidegate::fact::RolloutStep;
use tidegate::names::{Incarnation, ObjectKey, Revision, RolloutKey, Seq};
use tidegate::pods::{
    Budget, FailurePolicy, Handler, HookEnd, Instance, Pods, Purpose, Scales, documents,
};

use RolloutStep::{
    Checking, PostHook, PreHook, Pulling, StartingNew, StoppingOld, Updating, Verifying,
};

fn object() -> ObjectKey {
    "DeploymentConfig/shop/web".parse().unwrap()
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

/// A manifest as it is rolled out; `change` makes it another.
fn manifest(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut manifest = json!({
        "apiVersion": "apps.openshift.io/v1",
        "kind": "DeploymentConfig",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {}},
        "spec": {
            "replicas": 1,
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "containers": [{
                        "name": "main",
                        "image": "r.io/web@sha256:0f",
                        "ports": [{"containerPort": 8080, "name": "http"}],
                    }],
                },
            },
        },
    });
    change(&mut manifest);
    manifest.to_string().into_bytes()
}

fn read(change: impl FnOnce(&mut Value)) -> Result<Pods, String> {
    Pods::read(&object(), &manifest(change)).map_err(|why| why.to_string())
}

fn probe(probe: Value) -> Result<Vec<(String, tidegate::pods::Probe)>, String> {
    let pods = read(|m| m["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe)?;
    pods.probes().map_err(|why| why.to_string())
}

/// R5: the kubelet's defaults, and ports by their names.
#[test]
fn r005_a_probe_has_the_kubelets_defaults() {
    let probes = probe(json!({"httpGet": {"path": "healthz", "port": "http"}})).unwrap();
    let [(container, probe)] = &probes[..] else { panic!("{probes:?}") };
    assert_eq!(container, "main");
    let Handler::Http { path, port, .. } = &probe.handler else { panic!("{probe:?}") };
    assert_eq!((path.as_str(), *port), ("/healthz", 8080));
    let seconds = [probe.initial_delay, probe.period, probe.timeout].map(|span| span.as_secs());
    assert_eq!((seconds, probe.successes, probe.failures), ([0, 10, 1], 1, 3));
}

/// R5, law 8: what cannot be asked is refused before anything is touched.
#[test]
fn r005_a_probe_that_cannot_be_asked_is_refused() {
    let why = |written: Value| probe(written).unwrap_err();
    insta::assert_snapshot!(why(json!({"httpGet": {"port": "admin"}})), @r#"the readiness probe of container `main`: the container has no port "admin""#);
    insta::assert_snapshot!(why(json!({"exec": {}})), @"the readiness probe of container `main`: `exec` has no command");
    insta::assert_snapshot!(why(json!({"periodSeconds": 3})), @"the readiness probe of container `main`: it has none of `httpGet`, `tcpSocket`, `exec`, `grpc`");
    insta::assert_snapshot!(why(json!({"grpc": {"port": "admin"}})), @r#"the readiness probe of container `main`: the container has no port "admin""#);
}

/// R5: what the kubelet asks is asked; what a container is ready for is asked after it has started.
#[test]
fn r005_every_kind_of_probe_is_known() {
    let https = probe(json!({"httpGet": {"port": 443, "scheme": "HTTPS"}})).unwrap();
    assert!(matches!(https[0].1.handler, Handler::Http { tls: true, .. }), "{https:?}");
    let grpc = probe(json!({"grpc": {"port": 9000, "service": "web"}})).unwrap();
    let wanted = Handler::Grpc { port: 9000, service: "web".into() };
    assert_eq!(grpc[0].1.handler, wanted);
    let pods = read(|m| {
        let container = &mut m["spec"]["template"]["spec"]["containers"][0];
        container["livenessProbe"] = json!({"exec": {"command": ["true"]}});
        container["startupProbe"] = json!({"tcpSocket": {"port": 8080}, "failureThreshold": 30});
    });
    let probes = pods.unwrap().probes().unwrap();
    let probes: Vec<_> =
        probes.into_iter().map(|(_, probe)| (probe.purpose, probe.handler)).collect();
    let startup = (Purpose::Startup, Handler::Tcp { port: 8080 });
    let check = Handler::HealthCheck { command: vec!["true".into()] };
    assert_eq!(probes, [startup, (Purpose::Liveness, check)]);
    let of = |command: &[&str]| Handler::HealthCheck {
        command: command.iter().map(ToString::to_string).collect(),
    };
    let shell = of(&["/bin/sh", "-c", "test -e /ready"]);
    let why = shell.misread_by("4.3.1").unwrap();
    assert!(why.starts_with("podman 4.3.1 would not run `/bin/sh -c test -e /ready`"), "{why}");
    assert_eq!(shell.misread_by("4.4.0-rc1"), None);
    assert_eq!(shell.misread_by("5.4.2"), None);
    assert_eq!(of(&["test", "-e", "/ready"]).misread_by("4.3.1"), None);
    // Podman would ask with a program that the image may not have.
    let pods = read(|m| {
        let container = &mut m["spec"]["template"]["spec"]["containers"][0];
        container["livenessProbe"] = json!({"httpGet": {"port": 8080}});
    });
    assert_eq!(pods.unwrap().probes().unwrap(), []);
}

/// R9: what podman leaves out is said.
#[test]
fn r009_what_podman_leaves_out_is_said() {
    let pods = read(|m| {
        let container = &mut m["spec"]["template"]["spec"]["containers"][0];
        container["lifecycle"] = json!({"preStop": {"exec": {"command": ["true"]}}});
    });
    assert_eq!(pods.unwrap().left_out().unwrap(), "podman runs no `lifecycle` of main");
    assert_eq!(read(|_| {}).unwrap().left_out(), None);
}

/// R9, R5: podman would ask with `curl` or `nc` of the image, and restart for ever what has neither.
#[test]
fn r009_a_liveness_probe_that_is_no_command_is_left_out_and_said() {
    let with = |probe: Value| {
        let pods = read(|m| {
            let container = &mut m["spec"]["template"]["spec"]["containers"][0];
            container["livenessProbe"] = probe.clone();
        });
        let pods = pods.unwrap();
        let rendered = pods.render(&key(), Revision(3));
        (rendered.contains("livenessProbe"), pods.left_out())
    };
    for probe in [
        json!({"httpGet": {"path": "/healthz", "port": 8080}}),
        json!({"tcpSocket": {"port": 8080}}),
        json!({"grpc": {"port": 8080}, "exec": null}),
        json!({}),
    ] {
        let (is_played, said) = with(probe);
        assert!(!is_played);
        insta::allow_duplicates! {
            insta::assert_snapshot!(said.unwrap(), @"the `livenessProbe` of main is not asked, as podman has only `exec` without help of the image");
        }
    }
    assert_eq!(with(json!({"exec": {"command": ["true"]}})), (true, None));
    assert_eq!(with(Value::Null), (false, None));
}

/// R11: byte for byte the same, with the names of OpenShift, and nothing that podman would take for itself.
#[test]
fn r011_a_pod_is_rendered_byte_for_byte_the_same() {
    let pods = || {
        read(|m| {
            m["metadata"]["annotations"] =
                json!({"tidegate.dev/publish": "127.0.0.1:18080:8080, 9000:9000"});
            let spec = &mut m["spec"]["template"]["spec"];
            spec["imagePullSecrets"] = json!([{"name": "login"}]);
            spec["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 8080}});
            spec["containers"][0]["lifecycle"] = json!({"preStop": {}});
        })
        .unwrap()
    };
    let rendered = pods().render(&key(), Revision(3));
    assert_eq!(rendered, pods().render(&key(), Revision(3)));
    let document = documents(&rendered).concat();
    let shown: Value = serde_json::from_str(&document).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&shown).unwrap(), @r#"
    {
      "apiVersion": "v1",
      "kind": "Pod",
      "metadata": {
        "annotations": {
          "tidegate.dev/revision": "3"
        },
        "labels": {
          "app": "web",
          "deployment": "web-3",
          "deploymentconfig": "web",
          "tidegate.dev/object": "DeploymentConfig/shop/web",
          "tidegate.dev/rollout": "shop/web/1/7"
        },
        "name": "web-0"
      },
      "spec": {
        "containers": [
          {
            "image": "r.io/web@sha256:0f",
            "imagePullPolicy": "IfNotPresent",
            "name": "main",
            "ports": [
              {
                "containerPort": 8080,
                "hostIP": "127.0.0.1",
                "hostPort": 18080,
                "name": "http"
              },
              {
                "containerPort": 9000,
                "hostPort": 9000
              }
            ]
          }
        ]
      }
    }
    "#);
    let check: Value =
        serde_json::from_str(&pods().pod(Instance::Check, &key(), Revision(3))).unwrap();
    assert_eq!(check["metadata"]["name"], "web-check");
    assert_eq!(check["metadata"]["labels"]["tidegate.dev/check"], "true");
    let ports = &check["spec"]["containers"][0]["ports"];
    assert_eq!(*ports, Value::Null, "it publishes nothing");
}

/// R12: what only one instance may have; a port of the host is not among it.
#[test]
fn r012_what_cannot_be_shared_is_replaced_in_place() {
    let volume = |volume: Value, read_only: bool| {
        let pods = read(|m| {
            let spec = &mut m["spec"]["template"]["spec"];
            spec["volumes"] = json!([volume]);
            let mount = json!({"name": "data", "mountPath": "/data", "readOnly": read_only});
            spec["containers"][0]["volumeMounts"] = json!([mount]);
        });
        pods.unwrap().exclusive
    };
    let cannot = Some("volume \"data\" cannot be shared".to_owned());
    let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
    assert_eq!(volume(claim.clone(), false), cannot);
    let claim =
        json!({"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": true}});
    assert_eq!(volume(claim, false), None);
    let path = json!({"name": "data", "hostPath": {"path": "/srv"}});
    assert_eq!(volume(path.clone(), false), cannot);
    assert_eq!(volume(path, true), None);
    assert_eq!(volume(json!({"name": "data", "emptyDir": {}}), false), None);
    let network = read(|m| m["spec"]["template"]["spec"]["hostNetwork"] = json!(true)).unwrap();
    assert_eq!(network.exclusive.as_deref(), Some("it uses the network of the host"));
    assert_eq!(network.course(false), [Pulling, StoppingOld, StartingNew, Checking]);
    let port = read(|m| {
        m["spec"]["template"]["spec"]["containers"][0]["ports"][0]["hostPort"] = json!(80);
    });
    assert_eq!(
        port.unwrap().course(false),
        [Pulling, Verifying, StoppingOld, StartingNew, Checking]
    );
}

/// R13: the course of a rollout, by its strategy and by what runs already.
#[test]
fn r013_a_new_revision_is_tried_beside_the_old_one() {
    let pods = read(|_| {}).unwrap();
    assert_eq!(pods.course(true), [Pulling, StartingNew, Checking]);
    assert_eq!(pods.course(false), [Pulling, Verifying, StoppingOld, StartingNew, Checking]);
    let in_place = [Pulling, StoppingOld, StartingNew, Checking];
    let recreate = read(|m| m["spec"]["strategy"] = json!({"type": "Recreate"})).unwrap();
    assert_eq!(recreate.course(false), in_place);
    let told = read(|m| m["metadata"]["annotations"] = json!({"tidegate.dev/verify": "false"}));
    assert_eq!(told.unwrap().course(false), in_place);
    assert_eq!(read(|m| m["spec"]["replicas"] = json!(0)).unwrap().course(false), in_place);
}

/// D40.1, R16: a hook has the image and the environment of its container, and what is named of its volumes.
#[test]
fn d040_1_a_hook_is_a_pod_of_its_own() {
    let pods = read(|m| {
        let exec = json!({"command": ["migrate"], "env": [{"name": "A", "value": "2"}], "volumes": ["data"]});
        let hook = json!({"failurePolicy": "Retry", "execNewPod": exec});
        m["spec"]["strategy"] = json!({
            "rollingParams": {"pre": hook.clone(), "post": hook},
            "labels": {"team": "shop", "tidegate.dev/hook": "no"},
            "annotations": {"why": "migrate"},
            "resources": {"limits": {"memory": "64Mi"}},
        });
        let spec = &mut m["spec"]["template"]["spec"];
        spec["volumes"] = json!([{"name": "data", "emptyDir": {}}, {"name": "other", "emptyDir": {}}]);
        spec["securityContext"] = json!({"runAsUser": 1000});
        let container = &mut spec["containers"][0];
        container["env"] = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]);
        container["workingDir"] = json!("/srv");
        container["volumeMounts"] = json!([{"name": "data", "mountPath": "/data"}, {"name": "other", "mountPath": "/other"}]);
    })
    .unwrap();
    let steps = [Pulling, PreHook, StartingNew, Checking, PostHook];
    assert_eq!(pods.course(true), steps);
    assert_eq!(pods.hook(PreHook).unwrap().policy, FailurePolicy::Retry);
    let pod = pods.hook_pod(PreHook, &key(), Revision(3)).unwrap();
    insta::assert_snapshot!(pod, @r#"{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"why":"migrate"},"labels":{"team":"shop","tidegate.dev/hook":"true","tidegate.dev/object":"DeploymentConfig/shop/web","tidegate.dev/rollout":"shop/web/1/7"},"name":"web-3-hook-pre"},"spec":{"containers":[{"command":["migrate"],"env":[{"name":"B","value":"1"},{"name":"A","value":"2"},{"name":"OPENSHIFT_DEPLOYMENT_NAME","value":"web-3"},{"name":"OPENSHIFT_DEPLOYMENT_NAMESPACE","value":"shop"}],"image":"r.io/web@sha256:0f","imagePullPolicy":"IfNotPresent","name":"lifecycle","resources":{"limits":{"memory":"64Mi"}},"volumeMounts":[{"mountPath":"/data","name":"data"}],"workingDir":"/srv"}],"restartPolicy":"Never","securityContext":{"runAsUser":1000},"terminationGracePeriodSeconds":10,"volumes":[{"emptyDir":{},"name":"data"}]}}"#);
    assert_eq!(pods.hook_pod(RolloutStep::MidHook, &key(), Revision(3)), None);
}

/// D37: the time of `rollingParams` wins, with `Recreate`, too.
#[test]
fn d037_the_time_of_rolling_params_wins() {
    let pods = |strategy: serde_json::Value| read(|m| m["spec"]["strategy"] = strategy).unwrap();
    let both = json!({"type": "Recreate", "recreateParams": {"timeoutSeconds": 5}, "rollingParams": {"timeoutSeconds": 7}});
    assert_eq!(pods(both).timeout.as_secs(), 7);
    let one = json!({"type": "Recreate", "recreateParams": {"timeoutSeconds": 5}});
    assert_eq!(pods(one).timeout.as_secs(), 5);
}

/// R14: several instances cannot have one port.
#[test]
fn r014_several_instances_publish_no_port() {
    let three = |publish: &str| {
        read(|m| {
            m["spec"]["replicas"] = json!(3);
            m["metadata"]["annotations"] = json!({"tidegate.dev/publish": publish});
        })
    };
    assert_eq!(three("").unwrap().names().collect::<Vec<_>>(), ["web-0", "web-1", "web-2"]);
    assert_eq!(three("8080:8080").unwrap_err(), "replicas > 1 needs a host port range");
    assert_eq!(
        three("http").unwrap_err(),
        "`http` is not written like `8080:80` or `127.0.0.1:8080:80`"
    );
}

/// D38, D10: strategy Custom is one container in the place of all others; it is told what would have been started.
#[test]
fn d038_a_custom_strategy_is_one_program() {
    let custom = json!({
        "image": "r.io/tool@sha256:0a",
        "command": ["/bin/roll"],
        "environment": [{"name": "WHERE", "value": "there"}],
    });
    let hook = json!({"failurePolicy": "Abort", "execNewPod": {"command": ["x"], "containerName": "main"}});
    for kind in ["Custom", "Rolling", "Recreate"] {
        let pods = read(|m| {
            m["spec"]["replicas"] = json!(3);
            m["spec"]["strategy"] = json!({
                "type": kind,
                "customParams": custom,
                "rollingParams": {"pre": hook, "post": hook},
                "recreateParams": {"mid": hook},
            });
        });
        let pods = pods.unwrap();
        assert_eq!(pods.course(true), [Pulling, PreHook, StartingNew, Checking], "{kind}");
        assert_eq!((pods.replicas, pods.render(&key(), Revision(3)).as_str()), (0, ""));
        assert_eq!(pods.images().into_iter().collect::<Vec<_>>(), ["r.io/tool@sha256:0a"]);
        let pod = pods.hook_pod(PreHook, &key(), Revision(3)).unwrap();
        let pod: Value = serde_json::from_str(&pod).unwrap();
        assert_eq!(pod["metadata"]["name"], "web-3-deploy");
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["image"], "r.io/tool@sha256:0a");
        assert_eq!(container["command"], json!(["/bin/roll"]));
        assert_eq!(
            container["env"],
            json!([
                {"name": "WHERE", "value": "there"},
                {"name": "OPENSHIFT_DEPLOYMENT_NAME", "value": "web-3"},
                {"name": "OPENSHIFT_DEPLOYMENT_NAMESPACE", "value": "shop"},
                {"name": "ROLLOUT_IMAGES", "value": "main=r.io/web@sha256:0f"},
            ])
        );
        let said = pods.hook_said(PreHook, Revision(3), HookEnd::Failed("exit status 3"));
        assert_eq!(said, "the program of strategy Custom failed: exit status 3");
    }
}

/// R1, law 8: what is not done is refused, never left out.
#[test]
fn r001_what_is_not_done_is_refused_with_its_name() {
    let hook = json!({"failurePolicy": "Abort", "tagImages": [{"to": {"name": "a"}}]});
    let why = read(|m| m["spec"]["strategy"] = json!({"rollingParams": {"pre": hook}}));
    insta::assert_snapshot!(why.unwrap_err(), @"the `pre` hook tags `a`, which is not written like `web:prod`");
    let why = read(|m| m["spec"]["strategy"] = json!({"type": "Custom"}));
    insta::assert_snapshot!(why.unwrap_err(), @"strategy Custom has no `customParams`");
    let why = read(|m| {
        m["spec"]["template"]["spec"]["volumes"] =
            json!([{"name": "c", "projected": {"sources": []}}]);
    });
    insta::assert_snapshot!(why.unwrap_err(), @"volume `c` is a `projected`, which is not known to this kind of target; it knows `configMap`, `emptyDir`, `hostPath`, `persistentVolumeClaim`, `secret`");
}

/// R17a: an instance of a `StatefulSet` has volumes of its own, under the names that Kubernetes gives the claims.
#[test]
fn r017a_a_stateful_set_has_a_volume_for_each_claim_and_ordinal() {
    let object: ObjectKey = "StatefulSet/shop/db".parse().unwrap();
    let manifest = manifest(|m| {
        m["spec"]["replicas"] = json!(2);
        m["spec"]["volumeClaimTemplates"] = json!([{"metadata": {"name": "data"}, "spec": {}}]);
        m["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] =
            json!([{"name": "data", "mountPath": "/data"}]);
    });
    let pods = Pods::read(&object, &manifest).unwrap();
    assert_eq!(pods.exclusive.as_deref(), Some("volume \"data\" cannot be shared"));
    assert!(!pods.is_verified());
    let volumes = |ordinal| {
        let pod = pods.pod(Instance::Ordinal(ordinal), &key(), Revision(3));
        let pod: Value = serde_json::from_str(&pod).unwrap();
        pod["spec"]["volumes"].clone()
    };
    for (ordinal, name) in [(0, "data-db-0"), (1, "data-db-1")] {
        let claim = json!({"claimName": name});
        assert_eq!(volumes(ordinal), json!([{"name": "data", "persistentVolumeClaim": claim}]));
    }
}

/// R17a, R11: a Pod is one instance of itself, with the name that its instance always has; what is about the object stays
/// with it, and what ends by itself is refused.
#[test]
fn r017a_a_pod_is_one_instance() {
    let object: ObjectKey = "Pod/shop/tool".parse().unwrap();
    let manifest = |change: &dyn Fn(&mut Value)| {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "tool",
                "namespace": "shop",
                "labels": {"app": "tool"},
                "annotations": {
                    "image.openshift.io/triggers": "[]",
                    "tidegate.dev/publish": "8080:80",
                    "team": "blue",
                },
            },
            "spec": {
                "restartPolicy": "Always",
                "terminationGracePeriodSeconds": 7,
                "containers": [{"name": "main", "image": "r.io/tool@sha256:0f"}],
            },
        });
        change(&mut pod);
        pod.to_string().into_bytes()
    };
    let pods = Pods::read(&object, &manifest(&|_| {})).unwrap();
    assert_eq!((pods.replicas, pods.grace.as_secs()), (1, 7));
    let rendered = pods.render(&key(), Revision(3));
    let pod: Value = serde_json::from_str(&rendered).unwrap();
    assert_eq!(documents(&rendered).len(), 1);
    assert_eq!(pod["metadata"]["name"], "tool-0");
    assert_eq!(pod["metadata"]["labels"]["app"], "tool");
    assert_eq!(
        pod["metadata"]["annotations"],
        json!({"team": "blue", "tidegate.dev/revision": "3"})
    );
    assert_eq!(
        pod["spec"]["containers"][0]["ports"],
        json!([{"containerPort": 80, "hostPort": 8080}])
    );
    let services = |selector: Value| {
        let selector = serde_json::from_value(selector).unwrap();
        pods.names_by(&[("front".to_owned(), selector)].into())
    };
    assert_eq!(services(json!({"app": "tool"})), ["front"]);
    assert!(services(json!({"app": "web"})).is_empty());
    let ends = manifest(&|pod| pod["spec"]["restartPolicy"] = "Never".into());
    let why = Pods::read(&object, &ends).unwrap_err().to_string();
    insta::assert_snapshot!(why, @"`restartPolicy: Never` is for a pod that ends by itself, and a rollout is done when it runs; leave the line out, or make it a CronJob");
}

/// The budget of a DeploymentConfig with so many instances and these parameters.
fn budget(replicas: u32, params: &Value) -> Budget {
    let pods = read(|m| {
        m["spec"]["replicas"] = replicas.into();
        m["spec"]["strategy"] = json!({"type": "Rolling", "rollingParams": params});
    });
    pods.unwrap().budget()
}

/// All that happens, as (new, old); a plus is one that becomes available.
fn trace(budget: Budget, old: u32) -> String {
    let mut now = Scales { old, new: 0, available: 0 };
    let mut told = format!("({},{})", now.new, now.old);
    while (now.old, now.new, now.available) != (0, budget.desired, budget.desired) {
        let before = now;
        now.new = budget.up(now);
        if now != before {
            told = format!("{told} ({},{})", now.new, now.old);
        }
        let up = now;
        now.old = budget.down(now);
        if now != up {
            told = format!("{told} ({},{})", now.new, now.old);
        }
        assert!(now.old + now.new <= budget.desired.max(old) + budget.surge, "{told}");
        assert!(now.old + now.available >= budget.available_min(old).min(old), "{told}");
        if now == before {
            assert!(now.available < now.new, "it stands still: {told}");
            now.available += 1;
            told = format!("{told} +");
        }
    }
    told
}

#[test]
fn d036_the_table_of_budgets_is_openshifts() {
    let mut table = String::new();
    for desired in [1, 2, 3, 4, 5, 10] {
        let Budget { surge, unavailable, .. } = budget(desired, &json!({}));
        let (max, min) = (desired + surge, desired - unavailable);
        table += &format!("{desired}: {surge} {unavailable} {max} {min}\n");
    }
    let wanted = "1: 1 0 2 1\n2: 1 0 3 2\n3: 1 0 4 3\n4: 1 1 5 3\n5: 2 1 7 4\n10: 3 2 13 8\n";
    assert_eq!(table, wanted);
}

#[test]
fn d036_the_traces_are_openshifts() {
    assert_eq!(trace(budget(1, &json!({})), 1), "(0,1) (1,1) + (1,0)");
    let wanted = "(0,4) (1,4) (1,3) (2,3) + (2,2) (3,2) + (3,1) (4,1) + (4,0) +";
    assert_eq!(trace(budget(4, &json!({})), 4), wanted);
    // From more to none, and from none.
    assert_eq!(trace(budget(0, &json!({})), 2), "(0,2) (0,0)");
    assert_eq!(trace(budget(2, &json!({})), 0), "(0,0) (2,0) + +");
}

/// Whatever is written gets to its end, within its bounds: `trace` looks at both.
#[test]
fn d036_every_budget_gets_to_its_end() {
    let amounts = [Value::Null, json!(0), json!(1), json!(3), json!("0%"), json!("50%")];
    for desired in 0..6 {
        for (surge, unavailable) in
            amounts.iter().flat_map(|one| amounts.iter().map(move |other| (one, other)))
        {
            let params = json!({"maxSurge": surge, "maxUnavailable": unavailable});
            let budget = budget(desired, &params);
            for old in 0..6 {
                trace(budget, old);
            }
        }
    }
}

#[test]
fn x054_a_surge_of_half_an_instance_is_a_whole_one() {
    let half = budget(1, &json!({"maxSurge": "50%", "maxUnavailable": 0}));
    assert_eq!((half.surge, half.unavailable), (1, 0));
}

/// D4: a zero that stands alone leaves the other what it is by default; anything else makes it none.
#[test]
fn x055_a_zero_that_stands_alone_does_not_stand_still() {
    let alone = budget(4, &json!({"maxUnavailable": 0}));
    assert_eq!((alone.surge, alone.unavailable), (1, 0));
    let both = budget(4, &json!({"maxUnavailable": 0, "maxSurge": "0%"}));
    assert_eq!((both.surge, both.unavailable), (0, 1));
    let one = budget(4, &json!({"maxSurge": 2}));
    assert_eq!((one.surge, one.unavailable), (2, 0));
}

/// D7.1 has no upper bounds: the longest time that can be written can be added to any other.
#[test]
fn d007_1_no_time_is_too_long_to_be_added() {
    let long = u64::MAX;
    let probe = json!({"exec": {"command": ["true"]}, "initialDelaySeconds": long, "periodSeconds": long, "timeoutSeconds": long});
    let pods = read(|m| {
        m["spec"]["minReadySeconds"] = long.into();
        m["spec"]["strategy"] = json!({
            "type": "Rolling",
            "activeDeadlineSeconds": long,
            "rollingParams": {"timeoutSeconds": long, "updatePeriodSeconds": long},
        });
        m["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = long.into();
        m["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe;
    });
    let pods = pods.unwrap();
    let (_, probe) = pods.probes().unwrap().remove(0);
    let all = [
        ("minReadySeconds", pods.min_ready),
        ("timeoutSeconds", pods.timeout),
        ("activeDeadlineSeconds", pods.deadline),
        ("terminationGracePeriodSeconds", pods.grace),
        ("updatePeriodSeconds", pods.update_period),
        ("initialDelaySeconds", probe.initial_delay),
        ("periodSeconds", probe.period),
        ("timeoutSeconds", probe.timeout),
    ];
    for (what, time) in all {
        let sum = std::time::Instant::now().checked_add(time.saturating_mul(4));
        assert!(sum.is_some(), "{what}: {time:?}");
    }
}

/// D35: before there is a revision to replace, all instances start at once, between the hooks of the strategy.
#[test]
fn d035_the_first_rollout_starts_all_instances_at_once() {
    let course = |replicas: u32, hook: bool| {
        let pods = read(|m| {
            m["spec"]["replicas"] = replicas.into();
            if hook {
                let hook = json!({"failurePolicy": "Abort", "execNewPod": {"command": ["true"]}});
                m["spec"]["strategy"] =
                    json!({"type": "Rolling", "rollingParams": {"pre": hook, "post": hook}});
            }
        });
        pods.unwrap().course(true)
    };
    assert_eq!(course(1, false), [Pulling, StartingNew, Checking]);
    assert_eq!(course(10, false), [Pulling, StartingNew, Checking]);
    assert_eq!(course(3, true), [Pulling, PreHook, StartingNew, Checking, PostHook]);
}

/// R14: several instances go a few at a time, without one more where two of them cannot run at once.
#[test]
fn r014_several_instances_are_replaced_a_few_at_a_time() {
    let three = |more: Value| {
        read(|m| {
            m["spec"]["replicas"] = 3.into();
            m["spec"]["template"]["spec"]["volumes"] = more;
        })
        .unwrap()
    };
    let pods = three(Value::Null);
    assert_eq!(pods.course(false), [Pulling, Verifying, Updating]);
    let claim = three(json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]));
    assert_eq!(claim.course(false), [Pulling, Updating]);
    assert_eq!((claim.budget().surge, claim.budget().unavailable), (0, 1));
    assert_eq!(trace(claim.budget(), 3), "(0,3) (0,2) (1,2) + (1,1) (2,1) + (2,0) (3,0) +");
    let recreated = read(|m| {
        m["spec"]["replicas"] = 3.into();
        m["spec"]["strategy"] = json!({"type": "Recreate"});
    });
    let recreated = recreated.unwrap().course(false);
    assert_eq!(recreated, [Pulling, StoppingOld, StartingNew, Checking], "D37");
}

/// D40.6: the words of OpenShift about a hook that ended.
#[test]
fn d040_6_what_is_said_of_a_hook_is_what_openshift_says() {
    let pods = read(|_| {}).unwrap();
    let said = |step, end| pods.hook_said(step, Revision(3), end);
    let why = "exit status 1";
    assert_eq!(
        said(PreHook, HookEnd::Succeeded),
        "The pre-hook for rc shop/web-3 completed successfully"
    );
    assert_eq!(
        said(RolloutStep::MidHook, HookEnd::Ignored(why)),
        "The mid-hook failed: exit status 1 (ignore), rollout of shop/web-3 will continue"
    );
    assert_eq!(said(PostHook, HookEnd::Failed(why)), "post hook failed: exit status 1");
}

/// R17a: a `Service` that selects the pods is a further name of theirs; one that selects others, or nothing, is not.
#[test]
fn r017a_a_service_is_a_name_of_the_pods_that_it_selects() {
    let pods = read(|m| {
        m["spec"]["template"]["metadata"] = json!({"labels": {"app": "shop", "tier": "web"}});
    })
    .unwrap();
    let services = [
        ("front", vec![("app", "shop")]),
        ("both", vec![("app", "shop"), ("tier", "web")]),
        ("own", vec![("deploymentconfig", "web")]),
        ("web", vec![("app", "shop")]),
        ("other", vec![("app", "shop"), ("tier", "db")]),
        ("more", vec![("app", "shop"), ("env", "prod")]),
        ("nothing", vec![]),
        ("a,b", vec![("app", "shop")]),
        ("-x", vec![("app", "shop")]),
    ];
    let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let services =
        services.map(|(name, labels)| (name.to_owned(), labels.into_iter().map(text).collect()));
    assert_eq!(pods.names_by(&services.into()), ["both", "front", "own"]);
}
