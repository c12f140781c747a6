//! What a workload is as a service of systemd (section 8.3 of the triggers specification).

use serde_json::{Value, json};
use tidegate::fact::RolloutStep;
use tidegate::names::{Incarnation, ObjectKey, Revision, RolloutKey, Seq};
use tidegate::pods::{Pods, Units, is_updated_by_podman, owner_of_unit, unit_paths};

use RolloutStep::{Checking, Pulling, StartingNew, StoppingOld, Verifying};

fn key() -> RolloutKey {
    RolloutKey {
        namespace: "shop".parse().unwrap(),
        name: "web".parse().unwrap(),
        incarnation: Incarnation(1),
        seq: Seq(7),
        epoch: None,
    }
}

fn pods(change: impl FnOnce(&mut Value)) -> Pods {
    let mut manifest = json!({
        "apiVersion": "apps.openshift.io/v1",
        "kind": "DeploymentConfig",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {}},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{
            "name": "main",
            "image": "r.io/web@sha256:0f",
            "ports": [{"containerPort": 8080}],
        }]}}},
    });
    change(&mut manifest);
    let object: ObjectKey = "DeploymentConfig/shop/web".parse().unwrap();
    Pods::read(&object, manifest.to_string().as_bytes()).unwrap()
}

fn units_of(pods: &Pods, network: Option<&str>, revision: u64) -> Units {
    let revision = Revision(revision);
    let names = ["front".to_owned(), "late".to_owned()];
    let network = network.map(|network| (network, &names[..]));
    pods.units(&pods.render(&key(), revision), network, revision)
}

/// R18: a unit and what it plays beside it; what is kept of it is read back byte for byte.
#[test]
fn r018_a_unit_stands_beside_what_it_plays() {
    let units = units_of(&pods(|_| {}), None, 3);
    let paths: Vec<_> = units.files().map(|(path, _)| path).collect();
    assert_eq!(paths, ["web.kube", "web.yaml"]);
    assert_eq!(unit_paths(&"web".parse().unwrap())[..2], paths);
    assert_eq!(Units::parse(&units.render()), Some(units.clone()));
    assert_eq!(Units::parse(units.file("web.yaml").unwrap()), None, "pods are no unit");
    let owner = owner_of_unit(units.file("web.yaml").unwrap());
    assert_eq!(owner.as_deref(), Some("DeploymentConfig/shop/web"));
    assert_eq!(owner_of_unit(units.file("web.kube").unwrap()), None);
    let none = units_of(&pods(|m| m["spec"]["replicas"] = json!(0)), None, 3);
    assert!(none.is_empty(), "where nothing is to run there is no unit");
}

/// R19, X51: this file and no other; ports are published by the unit, and nothing has podman update it.
#[test]
fn r019_the_unit_is_written_like_this() {
    let publish = "127.0.0.1:18080:8080, 53:53, 9000:9000";
    let units = units_of(
        &pods(|m| {
            m["metadata"]["annotations"] = json!({"tidegate.dev/publish": publish});
            let ports = &mut m["spec"]["template"]["spec"]["containers"][0]["ports"];
            *ports = json!([
                {"containerPort": 8080},
                {"containerPort": 53, "protocol": "UDP"},
                {"containerPort": 8443, "hostPort": 443, "hostIP": "::1"},
            ]);
        }),
        Some("shop"),
        3,
    );
    insta::assert_snapshot!(units.file("web.kube").unwrap(), @r"
    [Unit]
    Description=web (managed; revision 3)
    After=network-online.target
    Wants=network-online.target

    [Kube]
    Yaml=web.yaml
    PublishPort=127.0.0.1:18080:8080
    PublishPort=53:53/udp
    PublishPort=[::1]:443:8443
    PublishPort=9000:9000
    Network=shop:alias=web,alias=front,alias=late
    ExitCodePropagation=any

    [Service]
    Restart=on-failure
    RestartSec=5
    TimeoutStartSec=900

    [Install]
    WantedBy=default.target
    ");
    let yaml = units.file("web.yaml").unwrap();
    assert!(!yaml.contains("hostPort") && !yaml.contains("hostIP"), "{yaml}");
    assert!(yaml.contains(r#""imagePullPolicy":"IfNotPresent""#), "{yaml}");
    assert!(!units.render().contains("AutoUpdate") && !is_updated_by_podman(&units.render()));
}

/// R20: the stop of the old one is a part of the restart, but where the strategy wants it apart.
#[test]
fn r020_the_stop_is_a_part_of_the_restart() {
    let pods_of = pods(|_| {});
    assert_eq!(pods_of.course_of_unit(true), [Pulling, StartingNew, Checking]);
    assert_eq!(pods_of.course_of_unit(false), [Pulling, Verifying, StartingNew, Checking]);
    let recreate = pods(|m| m["spec"]["strategy"] = json!({"type": "Recreate"}));
    assert_eq!(recreate.course_of_unit(false), [Pulling, StoppingOld, StartingNew, Checking]);
    let two = pods(|m| m["spec"]["replicas"] = json!(2));
    assert_eq!(two.course_of_unit(false), [Pulling, Verifying, StartingNew, Checking]);
}

/// R21: a drop-in with the image and nothing else.
#[test]
fn r021_a_drop_in_has_the_image_alone() {
    let units = pods(|_| {}).image_unit().unwrap();
    let files: Vec<_> = units.files().collect();
    assert_eq!(
        files,
        [("web.container.d/50-image.conf", "[Container]\nImage=r.io/web@sha256:0f\n")]
    );
    assert!(units.is_image_only());
    let why = |change: fn(&mut Value)| pods(change).image_unit().unwrap_err().to_string();
    insta::assert_snapshot!(why(|m| m["spec"]["replicas"] = json!(2)), @"there is a unit `web.container`, which runs one instance, and `replicas` is 2");
    let two = |m: &mut Value| {
        let containers = &mut m["spec"]["template"]["spec"]["containers"];
        *containers = json!([containers[0], {"name": "b", "image": "r.io/b@sha256:0e"}]);
    };
    insta::assert_snapshot!(why(two), @"there is a unit `web.container`, which runs one container, and the pod template has 2");
}

/// X50: the stop of an old revision reads the files of the new one, so names are the same in both.
#[test]
fn x050_names_are_the_same_in_every_revision() {
    let names = |revision, image: &str| {
        let units = units_of(
            &pods(|m| m["spec"]["template"]["spec"]["containers"][0]["image"] = json!(image)),
            None,
            revision,
        );
        let pod: Value = serde_json::from_str(units.file("web.yaml").unwrap()).unwrap();
        let paths: Vec<_> = units.files().map(|(path, _)| path.to_owned()).collect();
        (paths, pod["metadata"]["name"].clone(), pod["spec"]["containers"][0]["name"].clone())
    };
    assert_eq!(names(1, "r.io/web@sha256:0f"), names(2, "r.io/web@sha256:0e"));
}

/// X51: two updaters of one unit are one too many.
#[test]
fn x051_a_template_that_lets_podman_update_is_refused() {
    assert!(pods(|_| {}).check_unit().is_ok());
    let updated = pods(|m| {
        m["spec"]["template"]["metadata"] =
            json!({"annotations": {"io.containers.autoupdate/main": "registry"}});
    });
    insta::assert_snapshot!(updated.check_unit().unwrap_err().to_string(), @"the pod template has the annotation `io.containers.autoupdate/main`: podman's own updater would change images beside Tidegate; remove it");
    let generated = "ExecStart=podman run --label io.containers.autoupdate=registry r.io/web:1";
    assert!(is_updated_by_podman(generated));
}
