//! What commands show of deployments (sections 1.4, 1.10, 1.11 and 7 of the deployments specification).

use std::path::PathBuf;
use std::process::Command;

use insta::assert_snapshot;
use tidegate::fact::Fact;

use crate::support::daemon::Host;
use crate::support::git::Repo;

/// A host whose target does what it is told through a pipe.
pub(super) struct Shop {
    host: Host,
    pub(super) repo: Repo,
    pipe: PathBuf,
    _folder: tempfile::TempDir,
}

pub(super) const WEB: &str = "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 2
  selector: {deploymentconfig: web}
  template:
    metadata: {labels: {deploymentconfig: web}}
    spec: {containers: [{name: main, image: 'r.io/web:1', ports: [{containerPort: 8080}]}]}
";

impl Shop {
    pub(super) fn open(manifests: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let script = format!("read word < {}; echo it is $word; test $word = ok", pipe.display());
        let toml = format!(
            "[targets.host]\nkind = \"exec\"\ncommand = [\"sh\", \"-c\", '''{script}''']\n[routes]\ndefault = \"host\"\n"
        );
        let repo = Repo::new();
        repo.write("web.yaml", manifests).commit("the shop");
        let mut host = Host::new(repo.path(), &toml);
        host.start();
        Self { host, repo, pipe, _folder: folder }
    }

    /// Waits until this many rollouts were started.
    pub(super) fn started(&self, count: usize) {
        self.nth(count, "started", |fact| matches!(fact, Fact::RolloutStarted(_)));
    }

    /// Lets the program end, and waits until this many rollouts ended.
    pub(super) fn ends(&self, word: &str, count: usize) {
        std::fs::write(&self.pipe, format!("{word}\n")).unwrap();
        self.nth(count, "ended", |fact| matches!(fact, Fact::RolloutFinished(_)));
    }

    fn nth(&self, count: usize, what: &str, is: impl Fn(&Fact) -> bool) {
        crate::support::daemon::eventually(
            &format!("{count} {what}: {}", self.host.story()),
            || (self.host.count(&is) >= count).then_some(()),
        );
    }

    /// What a command prints on both outputs, and how it ends.
    pub(super) fn says(&self, arguments: &[&str]) -> String {
        let output = self.host.run(&[arguments, &["-n", "shop"]].concat());
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        format!("{text}exit {}", output.status.code().unwrap())
    }
}

impl Drop for Shop {
    /// Whoever waits for a word does not wait for ever.
    fn drop(&mut self) {
        let pipe = std::fs::File::options().read(true).write(true).open(&self.pipe);
        drop(pipe.and_then(|mut pipe| std::io::Write::write_all(&mut pipe, b"end\n")));
    }
}

#[test]
fn d044_rollout_history_lists_revisions_or_shows_the_template_of_one() {
    let shop = Shop::open(WEB);
    shop.started(1);
    assert_eq!(
        shop.says(&["rollout", "history", "dc/web"]),
        "deploymentconfig.apps.openshift.io/web \nREVISION\tSTATUS\tCAUSE\n1\t\tRunning\tconfig change\n\nexit 0"
    );
    shop.ends("ok", 1);
    shop.repo.write("web.yaml", WEB.replace("web:1", "web:2")).commit("two");
    shop.started(2);
    shop.ends("bad", 2);
    shop.started(3); // the revision before is put back
    shop.ends("ok", 3);
    assert_eq!(
        shop.says(&["rollout", "history", "dc", "web"]),
        "deploymentconfig.apps.openshift.io/web \nREVISION\tSTATUS\t\tCAUSE\n\
         1\t\tComplete\tconfig change\n2\t\tFailed\t\tconfig change\n\nexit 0"
    );
    assert_eq!(
        shop.says(&["rollout", "history", "dc/web", "--revision=2"]),
        "deploymentconfig.apps.openshift.io/web with revision #2\nPod Template:\n  Labels:\tdeploymentconfig=web\n  \
         Containers:\n   main:\n    Image:\tr.io/web:2\n    Port:\t8080/TCP\n    Host Port:\t0/TCP\n    \
         Environment:\t<none>\n    Mounts:\t<none>\n  Volumes:\t<none>\n\nexit 0"
    );
    assert_eq!(
        shop.says(&["rollout", "history", "dc/web", "--revision=9"]),
        "error: unable to find the specified revision\nexit 1"
    );
    assert_eq!(
        shop.says(&["rollout", "history", "dc/nobody"]),
        "Error from server (NotFound): deploymentconfigs.apps.openshift.io \"nobody\" not found\nexit 1"
    );
    assert_eq!(
        shop.says(&["rollout", "history"]),
        "error: required resource not specified\nSee 'tidegate rollout history -h' for help and examples\nexit 1"
    );
}

#[test]
fn d045_rollout_status_waits_for_the_end_and_never_calls_a_restore_a_success() {
    let shop = Shop::open(WEB);
    shop.started(1);
    let waits = "Waiting for rollout to finish: 0 out of 2 new replicas have been updated...";
    let once = ["rollout", "status", "dc/web", "--watch=false"];
    assert_eq!(shop.says(&once), format!("{waits}\nexit 0"));
    let mut command = shop.host.tidegate(&["rollout", "status", "dc/web", "-n", "shop"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    shop.ends("ok", 1);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let done = "replication controller \"web-1\" successfully rolled out\n";
    assert!(output.status.success() && text.ends_with(done), "{text}");
    assert_eq!(
        shop.says(&["rollout", "status", "dc/web", "--revision=7"]),
        "error: desired revision (7) is different from the running revision (1)\nexit 1"
    );
    shop.repo.write("web.yaml", WEB.replace("web:1", "web:2")).commit("two");
    shop.started(2);
    shop.ends("bad", 2);
    shop.started(3);
    shop.ends("ok", 3);
    assert_snapshot!(shop.says(&["rollout", "status", "dc/web"]), @r#"
    DeploymentConfig/shop/web: rollout 2 (record 6) failed with these digests: exit status 1; it is held until another digest or another template, `tidegate rollout retry`, `tidegate rollout latest` or `tidegate release`
    error: replication controller "web-2" has failed progressing
    exit 1
    "#);
}

/// D40.1: hooks of a target that is told of a rollout in one piece are its own business, and that is said.
#[test]
fn d040_1_hooks_that_tidegate_does_not_run_are_told() {
    let hook = |place: &str| {
        format!(
            "{place}: {{failurePolicy: Abort, execNewPod: {{command: [{place}], containerName: main}}}}"
        )
    };
    let strategy = format!(
        "  strategy: {{type: Rolling, rollingParams: {{{}, {}}}}}\n  replicas",
        hook("pre"),
        hook("post")
    );
    let shop = Shop::open(&WEB.replace("  replicas", &strategy));
    shop.started(1);
    shop.ends("ok", 1);
    let status = shop.says(&["status"]);
    let told =
        "    hooks: pre, post: not run by Tidegate, its target is to read them in the manifest\n";
    assert!(status.contains(told), "{status}");
}

/// D34: the conditions of a `DeploymentConfig` are those of OpenShift, from the first rollout to a pause.
#[test]
fn d034_conditions_say_how_far_a_rollout_is() {
    let shop = Shop::open(WEB);
    let conditions = || {
        let said = shop.says(&["get", "dc/web", "-o", "json"]);
        let object: serde_json::Value =
            serde_json::from_str(said.strip_suffix("exit 0").unwrap()).unwrap();
        let all = object["status"]["conditions"].as_array().unwrap().clone();
        let fields = ["type", "status", "reason", "message"];
        let line = |one: serde_json::Value| {
            fields.map(|field| one[field].as_str().unwrap_or("-").to_owned()).join(" ")
        };
        all.into_iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let becomes = |wanted: &str| {
        crate::support::daemon::eventually(&format!("{wanted} in {}", conditions()), || {
            conditions().ends_with(wanted).then_some(())
        });
    };
    shop.started(1);
    becomes(
        "Progressing True ReplicationControllerUpdated replication controller \"web-1\" is progressing",
    );
    shop.ends("ok", 1);
    becomes(
        "Available True - Deployment config has minimum availability.\nProgressing True \
         NewReplicationControllerAvailable replication controller \"web-1\" successfully rolled out",
    );
    shop.repo.write("web.yaml", WEB.replace("web:1", "web:2")).commit("two");
    shop.started(2);
    shop.says(&["rollout", "cancel", "dc/web"]);
    becomes(
        "Progressing False RolloutCancelled rollout of replication controller \"web-2\" was cancelled",
    );
    shop.started(3); // the revision before is put back
    shop.ends("ok", 3);
    becomes(
        "Progressing False RolloutCancelled rollout of replication controller \"web-2\" was cancelled",
    );
    shop.says(&["rollout", "pause", "dc/web"]);
    becomes("Progressing Unknown DeploymentConfigPaused -");
}

/// D45, D46: whoever waits for a rollout that is paused is told that it does not go on by itself.
#[test]
fn d045_what_is_paused_is_not_waited_for() {
    let shop = Shop::open(WEB);
    shop.started(1);
    shop.ends("ok", 1);
    assert_eq!(
        shop.says(&["rollout", "pause", "dc/web"]),
        "deploymentconfig.apps.openshift.io/web paused\nexit 0"
    );
    let never = WEB
        .replace("name: web,", "name: never,")
        .replace("  replicas", "  paused: true\n  replicas");
    shop.repo.write("never.yaml", never).commit("one that never began");
    crate::support::daemon::eventually("the commit", || {
        shop.says(&["get", "dc"]).contains("never").then_some(())
    });
    for name in ["web", "never"] {
        let said = shop.says(&["rollout", "status", &format!("dc/{name}")]);
        let wanted = format!(
            "error: Deployment config {name:?} is paused. Resume to continue watching the status of the rollout.\nexit 1"
        );
        assert!(said.ends_with(&wanted), "{said}");
    }
}

#[test]
fn d045_what_never_rolled_out_says_what_it_waits_for() {
    let manual = WEB.replace("  replicas", "  triggers: []\n  replicas");
    let image = "  triggers: [{type: ImageChange, imageChangeParams: {automatic: true, containerNames: [main], \
                 from: {kind: ImageStreamTag, name: 'base:1'}}}]\n  replicas";
    let image = WEB.replace("name: web,", "name: shop,").replace("  replicas", image);
    let shop = Shop::open(&format!("{manual}---\n{image}"));
    shop.host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let manual = |program: &str| {
        format!(
            "DeploymentConfig/shop/web: it has no triggers; `tidegate rollout latest` starts it, a trigger under \
             `spec.triggers` would\nerror: Deployment config \"web\" waiting on manual update (use '{program} rollout latest \
             web')\nexit 1"
        )
    };
    assert_eq!(shop.says(&["rollout", "status", "dc/web"]), manual("tidegate"));
    assert_eq!(shop.says(&["rollout", "status", "dc/web", "--oc-compatible"]), manual("oc"));
    let image = "Deployment config \"shop\" waiting on image update\nDeploymentConfig/shop/shop: waiting on image update: tag \
                 shop/base:1 has no image (git has no such tag)\n";
    assert_eq!(
        shop.says(&["rollout", "status", "dc/shop", "--watch=false"]),
        format!("{image}exit 0")
    );
    assert_eq!(
        shop.says(&["rollout", "status", "dc/shop", "--timeout=1ms"]),
        format!("{image}error: timed out waiting for the condition\nexit 1")
    );
    assert_eq!(
        shop.says(&["rollout", "history", "dc/web"]),
        "deploymentconfig.apps.openshift.io/web \nNo rollout history found.\nexit 0"
    );
}

#[test]
fn c001_get_dc_has_the_columns_of_oc_and_says_what_nobody_counted() {
    let triggers = "  triggers:\n  - {type: ConfigChange}\n  - {type: ImageChange, imageChangeParams: {automatic: true, \
                    containerNames: [main], from: {kind: ImageStreamTag, name: 'web:1'}}}\n  - {type: ImageChange, \
                    imageChangeParams: {containerNames: [main], from: {kind: ImageStreamTag, name: 'web:2'}}}\n  test: true\n  \
                    replicas";
    let web = WEB.replace("  replicas", triggers);
    let none = WEB.replace("name: web,", "name: none,").replace("  replicas: 2", "  triggers: []");
    let shop = Shop::open(&format!("{web}---\n{none}"));
    shop.host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    assert_eq!(
        shop.says(&["get", "dc"]),
        "NAME   REVISION   DESIRED           CURRENT     TRIGGERED BY\n\
         none   0          0                 <unknown>   \n\
         web    0          2 (during test)   <unknown>   config,image(web:1)\nexit 0"
    );
    assert_eq!(shop.says(&["get", "rc"]), "No resources found in shop namespace.\nexit 0");
    assert_eq!(
        shop.says(&["get", "pods", "web-0"]),
        "Error from server (NotFound): pods \"web-0\" not found\nexit 1"
    );
}

/// C6: what is a test, is paused or has hooks says so before anything was rolled out.
#[test]
fn c006_describe_dc_says_what_is_a_test_what_is_paused_and_what_hooks_do() {
    let hook = "{failurePolicy: Abort, execNewPod: {containerName: main, command: [migrate, now]}}";
    let spec = format!(
        "  test: true\n  paused: true\n  strategy: {{type: Rolling, rollingParams: {{pre: {hook}}}}}\n  replicas"
    );
    let shop = Shop::open(&WEB.replace("  replicas", &spec));
    shop.host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let text = shop.says(&["describe", "dc", "web"]);
    let lines: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for wanted in [
        "Latest Version: Not deployed",
        "Replicas: 2 (test, will be scaled down between deployments)",
        "Paused: yes",
        "Pre-deployment hook (pod type, failure policy: Abort):",
        "Container: main",
        "Command: migrate now",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "no `{wanted}` in: {text}");
    }
}

const HTTPD: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: web1
  namespace: shop
  annotations:
    image.openshift.io/triggers: '[{\"from\":{\"kind\":\"ImageStreamTag\",\"name\":\"httpd:2.4\"},\"fieldPath\":\"spec.template.spec.containers[?(@.name==\\\"httpd\\\")].image\"}]'
spec:
  replicas: 1
  selector: {matchLabels: {app: web1}}
  template:
    metadata: {labels: {app: web1}}
    spec:
      containers:
      - name: httpd
        image: ' '
        env: [{name: MODE, value: fast}, {name: DB_PASSWORD, value: canary-1}]
---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: httpd, namespace: shop}
spec: {tags: [{name: '2.4', from: {kind: ImageStreamImage, name: 'httpd@sha256:1111111111111111111111111111111111111111111111111111111111111111'}}]}
";

#[test]
fn c009_describe_deploy_says_what_the_image_triggers_set_and_what_waits() {
    let shop = Shop::open(HTTPD);
    shop.host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let text = shop.says(&["describe", "deploy", "web1"]);
    let date = regex::Regex::new("CreationTimestamp: .*").unwrap();
    assert_snapshot!("describe-deploy", date.replace(&text, "CreationTimestamp:  [time]"));
    assert!(text.contains("DB_PASSWORD:  <hidden>"), "law 10: {text}");
    assert_eq!(
        shop.says(&["describe", "svc/web1"]),
        "error: the server doesn't have a resource type \"svc\"\nexit 1"
    );
}
