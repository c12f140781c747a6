//! `ConfigMap`s and `Secret`s of pods on one host (rule R17).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate::action::RolloutReport;
use tidegate::names::{Incarnation, ObjectKey, Revision, RolloutKey, Seq};
use tidegate::pods::{ConfigName, Contents, Holding, Instance, Pods, SourceKind};

use crate::support::engine::World;

fn read(object: &str, container: Value, volumes: Value) -> Result<Pods, String> {
    let mut main = json!({"name": "main", "image": "r.io/web@sha256:0f"});
    let Value::Object(container) = container else { panic!("{container}") };
    main.as_object_mut().unwrap().extend(container);
    let mut spec = json!({"containers": [main]});
    spec["volumes"] = volumes;
    let manifest = json!({"spec": {"replicas": 1, "template": {"spec": spec}}});
    let object: ObjectKey = object.parse().unwrap();
    Pods::read(&object, manifest.to_string().as_bytes()).map_err(|why| why.to_string())
}

fn web(container: Value, volumes: Value) -> Result<Pods, String> {
    read("DeploymentConfig/shop/web", container, volumes)
}

/// A `ConfigMap` and a `Secret`.
fn contents(password: &str) -> BTreeMap<ConfigName, Contents> {
    let read = |kind, name: &str, document: Value| {
        (ConfigName { kind, name: name.into() }, Contents::read(kind, &document).unwrap())
    };
    let app = json!({
        "data": {"COLOUR": "blue $(x)", "not a name": "x"},
        "binaryData": {"logo": "AAE="},
    });
    let db = json!({"data": {"user": "YXBw"}, "stringData": {"password": password}});
    BTreeMap::from([read(SourceKind::ConfigMap, "app", app), read(SourceKind::Secret, "db", db)])
}

fn placed(pods: Pods, contents: &BTreeMap<ConfigName, Contents>) -> Result<Pods, String> {
    pods.with_configs(|name| contents.get(name)).map_err(|why| why.to_string())
}

fn pod(pods: &Pods) -> Value {
    let object = &pods.object;
    let key = RolloutKey {
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        incarnation: Incarnation(1),
        seq: Seq(7),
        epoch: None,
    };
    serde_json::from_str(&pods.pod(Instance::Ordinal(0), &key, Revision(3))).unwrap()
}

fn everything() -> (Value, Value) {
    let container = json!({
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "app"}}, {"secretRef": {"name": "db"}}],
        "env": [
            {"name": "user", "value": "own"},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "app", "key": "COLOUR"}}},
            {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "no", "key": "a", "optional": true}}},
            {"name": "SPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        ],
        "volumeMounts": [{"name": "keys", "mountPath": "/keys"}],
    });
    let items = json!([{"key": "password", "path": "sub/pw", "mode": 256}]);
    let volumes = json!([{"name": "keys", "secret": {"secretName": "db", "items": items}}]);
    (container, volumes)
}

/// R17: values of a `ConfigMap` stand in the pod, a `Secret` is named by its version, and no value of it is kept.
#[test]
fn r017_a_pod_names_versions_and_has_no_secret() {
    let (container, volumes) = everything();
    let pods = || web(container.clone(), volumes.clone()).unwrap();
    let before = placed(pods(), &contents("hunter2")).unwrap();
    let shown = pod(&before);
    insta::assert_snapshot!(shown["spec"]["containers"][0]["env"].to_string(), @r#"[{"name":"P_COLOUR","value":"blue $(x)"},{"name":"password","valueFrom":{"secretKeyRef":{"key":"password","name":"db-6b758e7d"}}},{"name":"user","value":"own"},{"name":"PASSWORD","valueFrom":{"secretKeyRef":{"key":"password","name":"db-6b758e7d"}}},{"name":"COLOUR","value":"blue $(x)"},{"name":"SPACE","value":"shop"}]"#);
    let claim = &shown["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"];
    assert!(claim.as_str().unwrap().starts_with("db-"), "{claim}");
    assert_eq!(shown["spec"]["containers"][0]["volumeMounts"][0]["readOnly"], json!(true));
    let names: Vec<&str> = before.versions().iter().map(|one| one.name.as_str()).collect();
    assert_eq!(shown["metadata"]["annotations"]["tidegate.dev/versions"], json!(names.join(",")));
    assert!(!format!("{before:?} {shown}").contains("hunter2"));
    let held = before.versions().iter().map(|one| match &one.holding {
        Holding::Secret(content) => String::from_utf8_lossy(content).into_owned(),
        Holding::Volume(archive) => String::from_utf8_lossy(archive).into_owned(),
    });
    let held: Vec<String> = held.collect();
    assert!(held.iter().any(|one| one == r#"{"password":"aHVudGVyMg==","user":"YXBw"}"#));
    assert!(held.iter().any(|one| one.contains("sub/pw") && one.contains("hunter2")));
    assert_eq!(pod(&placed(pods(), &contents("hunter2")).unwrap()), shown, "byte-stable");
    let after = placed(pods(), &contents("other")).unwrap();
    assert!(after.versions().iter().all(|one| !names.contains(&one.name.as_str())));
    let of_another = read("DeploymentConfig/shop/api", container, volumes).unwrap();
    let of_another = placed(of_another, &contents("hunter2")).unwrap();
    assert!(of_another.versions().iter().all(|one| !names.contains(&one.name.as_str())));
}

/// R17: what is missing is told before anything is touched, by its name; what may be missing is passed over.
#[test]
fn r017_what_is_missing_is_named() {
    let known: BTreeMap<_, _> = contents("x")
        .into_iter()
        .map(|(name, contents)| (name, Contents::summary(Ok(contents))))
        .collect();
    let lacks = |container: Value, volumes: Value| {
        let pods = web(container, volumes).unwrap();
        pods.lacks(|name| known.get(name)).unwrap_or_default()
    };
    let env = |from: Value| json!({"env": [{"name": "A", "valueFrom": from}]});
    insta::assert_snapshot!(lacks(env(json!({"secretKeyRef": {"name": "no", "key": "a"}})), json!([])), @"variable `A` of container `main` needs secret/no, which git does not have");
    insta::assert_snapshot!(lacks(env(json!({"configMapKeyRef": {"name": "app", "key": "a"}})), json!([])), @"variable `A` of container `main` needs the key `a` of configmap/app, which has no such key");
    insta::assert_snapshot!(lacks(json!({"envFrom": [{"configMapRef": {"name": "no"}}]}), json!([])), @"container `main` needs configmap/no, which git does not have");
    insta::assert_snapshot!(lacks(json!({}), json!([{"name": "v", "secret": {"secretName": "no"}}])), @"volume `v` needs secret/no, which git does not have");
    let may = json!([{"name": "v", "secret": {"secretName": "no", "optional": true}}]);
    assert_eq!(lacks(json!({}), may.clone()), "");
    let empty = placed(web(json!({}), may).unwrap(), &contents("x")).unwrap();
    assert!(matches!(empty.versions(), [one] if one.name.starts_with("no-")), "an empty volume");
}

/// R17: what podman would do otherwise than Kubernetes is refused with its name.
#[test]
fn r017_what_podman_cannot_is_refused() {
    let why = |container: Value| web(container, json!([])).unwrap_err();
    let env = |from: Value| json!({"env": [{"name": "A", "valueFrom": from}]});
    insta::assert_snapshot!(why(env(json!({"fieldRef": {"fieldPath": "status.podIP"}}))), @"variable `A` of container `main` is the field `status.podIP`, which is not known to this kind of target");
    insta::assert_snapshot!(why(env(json!({"resourceFieldRef": {"resource": "limits.cpu"}}))), @"variable `A` of container `main` is a `resourceFieldRef`, which is not known to this kind of target");
    insta::assert_snapshot!(why(json!({"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a"}]})), @"container `main` mounts a part of volume `v` (`subPath`), and podman would mount all of it");
    let odd = json!([{"name": "v", "secret": {"secretName": "db", "items": [{"key": "user", "path": "../etc"}]}}]);
    let pods = web(json!({}), odd).unwrap();
    insta::assert_snapshot!(placed(pods, &contents("x")).unwrap_err(), @"`../etc` of secret/db cannot be the path of a file");
    let broken = Contents::read(SourceKind::Secret, &json!({"data": {"a": "%%"}}));
    insta::assert_snapshot!(broken.unwrap_err(), @"`data.a` is no base64");
}

/// A daemon whose target runs pods on a host, with a workload that needs a secret.
fn host() -> World {
    let mut policy = World::policy();
    policy.hosts.insert("none".parse().unwrap());
    World::with(policy)
}

fn files(annotations: &str, secret: Option<&str>) -> BTreeMap<String, String> {
    let web = format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: shop, annotations: {{tidegate.dev/target: none{annotations}}}}}
spec:
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - name: main
        image: r.io/web@sha256:{}
        env: [{{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: db, key: password}}}}}}]
",
        "0".repeat(64)
    );
    let secret = secret.map(|value| {
        let data = format!("stringData: {{password: {value}}}");
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: db, namespace: shop}}\n{data}\n")
    });
    let secret = secret.map(|text| ("db.yaml".to_owned(), text));
    [("web.yaml".to_owned(), web)].into_iter().chain(secret).collect()
}

/// How often something was rolled out since the last question.
fn rollouts(world: &mut World) -> usize {
    while !world.actions.is_empty() {
        let told: Vec<String> = world.pending().lines().map(str::to_owned).collect();
        let Some(line) = told.iter().find(|line| line.starts_with("roll out")) else { break };
        let (rendered, note) = (None, String::new());
        let step = RolloutReport::Stepped { rendered, note, down: None };
        world.report(line, step);
    }
    world.records().lines().filter(|line| line.contains("RolloutStarted")).count()
}

/// R17: a `Secret` that git does not have is a hold with its name, and a commit that brings it releases it.
#[test]
fn r017_a_missing_secret_is_a_hold_until_a_commit_has_it() {
    let mut world = host();
    world.commit_files(files("", None));
    let held = world.held();
    assert!(held.contains("needs secret/db, which git does not have"), "{held}");
    assert_eq!(world.pending(), "");
    world.commit_files(files("", Some("hunter2")));
    assert_eq!(world.held(), "");
    assert!(world.pending().starts_with("roll out web"), "{}", world.pending());
}

/// R17: a changed `Secret` is no changed template, unless the workload says that it is.
#[test]
fn r017_a_changed_secret_rolls_out_only_where_it_counts() {
    for (annotations, wanted) in [("", 0), (", tidegate.dev/config-hash: 'true'", 1)] {
        let mut world = host();
        world.commit_files(files(annotations, Some("hunter2")));
        assert_eq!(rollouts(&mut world), 1);
        world.commit_files(files(annotations, Some("other")));
        assert_eq!(rollouts(&mut world), wanted, "{annotations}");
        world.commit_files(files(annotations, Some("other")));
        assert_eq!(rollouts(&mut world), 0, "{annotations}");
    }
}
