//! Back to what ran before, with a real podman: by an operator, and by itself after a failure (rules D42, D43, D47, R7).

use serde_json::Value;
use tidegate::fact::{Outcome, RolloutStep};
use tidegate::names::RolloutKey;

use crate::support::daemon::eventually;
use crate::support::podman::{Podman, Program};
use crate::support::registry::write;
use crate::support::shop::{READY, Web, configs, served};
use crate::support::stand::Stand;

/// The port of the host that leads to the shop.
const PORT: u16 = 18080;

/// A version of everything that can be told apart: image, environment, `ConfigMap` and `Secret`.
fn everything(registry: &str, tag: &str, level: u32, colour: &str, password: &str) -> String {
    let container = format!(
        "ports: [{{containerPort: 8080}}]
{READY}
envFrom: [{{configMapRef: {{name: app}}, prefix: APP_}}]
env:
- {{name: LEVEL, value: '{level}'}}
- {{name: PASSWORD, valueFrom: {{secretKeyRef: {{name: db, key: password}}}}}}
volumeMounts: [{{name: keys, mountPath: /keys}}, {{name: app, mountPath: /app}}]"
    );
    let web = Web {
        annotations: "tidegate.dev/publish: '127.0.0.1:18080:8080', tidegate.dev/verify: 'false'",
        spec: "strategy: {type: Rolling, rollingParams: {timeoutSeconds: 6}}",
        config_change: true,
        grace: 1,
        pod: "volumes:
- {name: keys, secret: {secretName: db}}
- {name: app, configMap: {name: app}}",
        container: &container,
        ..Web::default()
    };
    let web = web.yaml(registry).replace("/shop/web:latest", &format!("/shop/web:{tag}"));
    format!("{web}---\n{}", configs(colour, password))
}

/// What the program finds, of everything.
fn finds(stand: &Stand) -> String {
    let look = "echo $LEVEL $APP_COLOUR $PASSWORD; busybox cat /app/COLOUR; echo; busybox cat /keys/password";
    let found = stand.inside("web-0-main", look);
    format!("{} {found}", served(PORT).unwrap_or_default()).replace('\n', " ")
}

/// The same without what tells one rollout from another.
fn of_any_rollout(said: &Value, key: &RolloutKey, revision: &str) -> String {
    let said = said.to_string().replace(&key.to_string(), "KEY");
    said.replace(&format!("\"web-{revision}\""), "\"web-N\"").replace(
        &format!("tidegate.dev/revision\":\"{revision}\""),
        "tidegate.dev/revision\":\"N\"",
    )
}

/// D47, D48, R7, R17: what an operator goes back to is what ran then, and so is what comes back after a failure: image,
/// environment, secrets and configuration, whatever git says by now and whatever of it is left on the host.
#[test]
fn d047_r007_undo_and_a_restore_bring_back_exactly_what_ran() {
    let first =
        |podman: &Podman| everything(&podman.registry.address(), "latest", 1, "blue", "canary-one");
    let Some(mut stand) = Stand::open(Program::Healthy, first) else { return };
    let registry = stand.registry();
    stand.begin();
    assert_eq!(finds(&stand), "v1 1 blue canary-one blue canary-one");
    let one = stand.inspected("web-0");

    stand.podman.push("shop/web:two", "v2", Program::Healthy);
    stand.repo.write("web.yaml", everything(&registry, "two", 2, "red", "canary-two"));
    stand.repo.commit("all of it is another");
    stand.completes();
    assert_eq!(finds(&stand), "v2 2 red canary-two red canary-two");
    let two = stand.inspected("web-0");

    stand.podman.push("shop/web:three", "v3", Program::NeverReady);
    stand.repo.write("web.yaml", everything(&registry, "three", 3, "green", "canary-three"));
    stand.repo.commit("all of it is another, and broken");
    let why = stand.fails();
    assert!(why.ends_with("/healthz: status 404"), "{why}");
    assert_eq!(stand.steps().last(), Some(&RolloutStep::RollingBack));
    assert_eq!(finds(&stand), "v2 2 red canary-two red canary-two");
    assert_eq!(stand.inspected("web-0"), two, "down to the labels");

    let said = stand.host.text(&["rollout", "undo", "dc/web", "-n", "shop"]);
    let disabled = "Warning: the following images triggers were disabled: web:latest\n  You can re-enable them with: tidegate set \
                    triggers dc/web --auto\n";
    assert_eq!(said, format!("deploymentconfig.apps.openshift.io/web rolled back\n{disabled}"));
    stand.completes();
    assert_eq!(finds(&stand), "v1 1 blue canary-one blue canary-one", "git does not have it now");
    let back = stand.inspected("web-0");
    let status = stand.host.text(&["status"]);
    assert!(status.contains("held at revision 1 by "), "{status}");

    let said = stand.host.text(&["rollout", "restart", "dc/web", "-n", "shop"]);
    assert_eq!(said, "deploymentconfig.apps.openshift.io/web restarted\n");
    stand.completes();
    assert_eq!(
        finds(&stand),
        "v1 1 blue canary-one blue canary-one",
        "what runs, not what git says"
    );
    let restarted = stand.inspected("web-0");

    let said = stand.host.text(&["rollback", "web", "--to-version=2", "-n", "shop"]);
    assert_eq!(said, format!("deployment #6 rolled back to web-2\n{disabled}"));
    stand.completes();
    assert_eq!(finds(&stand), "v2 2 red canary-two red canary-two");
    let again = stand.inspected("web-0");

    let all = stand.rendered();
    let of = |index: usize, said: &Value| {
        let (seq, started, rendered) = &all[index];
        let (key, revision) = (started.key(*seq), started.revision.to_string());
        let rendered = of_any_rollout(&serde_json::from_str(rendered).unwrap(), &key, &revision);
        (of_any_rollout(said, &key, &revision), rendered)
    };
    assert_eq!(of(3, &back), of(0, &one));
    assert_eq!(of(4, &restarted), of(0, &one));
    assert_eq!(of(5, &again), of(1, &two));
}

/// D42, D43, D41: what is cancelled leaves what ran before; what failed is tried again under its number, once what was in
/// its way is gone; what runs is started anew.
#[test]
fn d042_d043_a_rollout_is_cancelled_and_another_is_tried_again() {
    let first = |podman: &Podman| {
        let gate = podman.beside("gate");
        std::fs::create_dir(&gate).unwrap();
        write(&gate.join("open"), "");
        let pre = "pre: {failurePolicy: Abort, execNewPod: {command: [/bin/sh, -c, 'test -e /gate/open'], volumes: [gate]}}";
        let container =
            format!("{READY}\nvolumeMounts: [{{name: gate, mountPath: /gate, readOnly: true}}]");
        let web = Web {
            annotations: "tidegate.dev/verify: 'false'",
            spec: &format!(
                "strategy: {{type: Rolling, rollingParams: {{timeoutSeconds: 30, {pre}}}}}"
            ),
            grace: 1,
            pod: &format!("volumes: [{{name: gate, hostPath: {{path: {gate:?}}}}}]"),
            container: &container,
            ..Web::default()
        };
        web.yaml(&podman.registry.address())
    };
    let Some(mut stand) = Stand::open(Program::Healthy, first) else { return };
    stand.begin();
    let before = stand.inspected("web-0");
    stand.moves("v2", Program::NeverReady);
    stand.until(2, RolloutStep::Checking);
    let order = |stand: &Stand, verb: &str| {
        let output = stand.host.run(&["rollout", verb, "dc/web", "-n", "shop"]);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let said = "deploymentconfig.apps.openshift.io/web cancelling\n".to_owned();
    assert_eq!(order(&stand, "cancel"), (Some(0), said));
    let (outcome, reason, rolled_back) = stand.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(true)), "{reason}");
    assert_eq!(reason, "cancelled by the user");
    assert_eq!(stand.inspected("web-0"), before);
    let (code, said) = order(&stand, "status");
    let why = "rollout of replication controller \"web-2\" was cancelled";
    assert!(code == Some(1) && said.contains(why), "{code:?} {said}");
    assert_eq!(order(&stand, "cancel").0, Some(1), "there is nothing to cancel");

    std::fs::remove_file(stand.podman.beside("gate/open")).unwrap();
    let id = stand.pod_id("web-0");
    stand.moves("v3", Program::Healthy);
    assert_eq!(stand.fails(), "pre hook failed: exit status 1");
    assert_eq!(stand.pod_id("web-0"), id, "it was not touched");
    write(&stand.podman.beside("gate/open"), "");
    let said = "deploymentconfig.apps.openshift.io/web retried rollout #3\n".to_owned();
    assert_eq!(order(&stand, "retry"), (Some(0), said));
    stand.completes();
    assert_eq!(stand.inside("web-0-main", "busybox cat /www/index.html"), "v3");
    let (code, said) = order(&stand, "status");
    assert!(code == Some(0) && said.contains("\"web-3\" successfully rolled out"), "{said}");
    assert_eq!(order(&stand, "retry").0, Some(1), "what is complete is not tried again");

    let (v3, id) = (stand.inspected("web-0"), stand.pod_id("web-0"));
    assert_eq!(order(&stand, "restart").0, Some(0));
    stand.completes();
    assert_ne!(stand.pod_id("web-0"), id);
    let all = stand.rendered();
    let of = |(seq, started, _): &(_, tidegate::fact::RolloutStarted, _), said| {
        of_any_rollout(said, &started.key(*seq), &started.revision.to_string())
    };
    assert_eq!(of(&all[4], &stand.inspected("web-0")), of(&all[3], &v3), "the same image");
    assert_eq!(stand.pods(), ["web-0 Running", "web-4-hook-pre Exited"]);
}

/// R13a, 6: where what ran before cannot be put back, because its image went and the registry is away, what is there is
/// left as it is, and that is told; as soon as it can be, an operator has it rolled out.
#[test]
fn r013a_what_cannot_be_put_back_is_told() {
    let web = |podman: &Podman| {
        let web = Web {
            annotations: "tidegate.dev/verify: 'false', tidegate.dev/publish: '127.0.0.1:18080:8080'",
            spec: "strategy: {type: Rolling, rollingParams: {timeoutSeconds: 8}}",
            grace: 1,
            container: READY,
            ..Web::default()
        };
        web.yaml(&podman.registry.address())
    };
    let Some(mut stand) = Stand::open(Program::Healthy, web) else { return };
    stand.begin();
    let format = ["container", "inspect", "--format", "{{.Image}}", "web-0-main"];
    let image = stand.podman.run(&format);
    stand.moves("v2", Program::NeverReady);
    stand.until(2, RolloutStep::Checking);
    stand.podman.registry.stop();
    stand.podman.run(&["rm", "--force", "web-keep-1-0"]);
    stand.podman.run(&["rmi", "--force", &image]);
    stand.until(2, RolloutStep::RollingBack);
    let id = stand.pod_id("web-0");
    eventually("why it is not put back", || {
        let status = stand.host.text(&["status"]);
        (status.contains("RollingBack") && status.contains("cannot pull")).then_some(())
    });
    assert_eq!(stand.pod_id("web-0"), id, "what is there is left as it is");
    stand.podman.registry.start_again();
    let why = stand.fails();
    assert!(why.starts_with("not healthy within 8s: "), "{why}");
    assert_eq!(served(PORT).as_deref(), Some("v1"));

    stand.podman.puts_between("case \"$1 $2\" in 'kube play') test -e $0.once && echo 'no such thing' >&2 && exit 125; : > $0.once;; esac");
    stand.moves("v3", Program::NeverReady);
    let (outcome, reason, rolled_back) = stand.rolled_out();
    assert_eq!((outcome, rolled_back), (Outcome::Failed, Some(false)), "{reason}");
    assert!(reason.starts_with("not healthy within 8s: "), "{reason}");
    assert!(reason.contains("no such thing"), "{reason}");
    let status = stand.host.text(&["status"]);
    assert!(status.contains("putting revision 1 back failed; look at the target"), "{status}");
    stand.podman.puts_between("");
    stand.host.text(&["rollout", "undo", "dc/web", "--to-revision=1", "-n", "shop"]);
    stand.completes();
    assert_eq!(served(PORT).as_deref(), Some("v1"));
}
