//! Commands that set single fields of workloads and builds in git: triggers, images, hooks, how many, exposed.

use crate::support::checkout::Checkout;

const WEB: &str = "apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata:
  name: web
  labels: {app: web}
spec:
  replicas: 1 # enough
  strategy:
    type: Rolling
  triggers:
  # follow the language
  - type: ImageChange
    imageChangeParams:
      automatic: true # by itself
      containerNames: [web]
      from: {kind: ImageStreamTag, name: \"python:3.5\"}
  - type: ConfigChange
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
      - name: prepare
        image: quay.io/org/prepare:1
      containers:
      - name: web
        image: \" \" # by its trigger
        ports:
        - containerPort: 8080
      - name: side
        image: quay.io/org/side:1
      volumes:
      - name: data
        emptyDir: {}
";

const PLAIN: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: plain
spec:
  selector: {matchLabels: {app: plain}}
  template:
    metadata: {labels: {app: plain}}
    spec:
      initContainers:
      - {name: prepare, image: x}
      containers:
      - {name: web, image: x}
";

const BUILD: &str = "apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata:
  name: site
spec:
  source: {git: {uri: https://example.com/site}}
  strategy:
    sourceStrategy:
      from: {kind: ImageStreamTag, name: \"httpd:2.4\", namespace: openshift}
  output:
    to: {kind: ImageStreamTag, name: \"site:latest\"}
  triggers:
  - type: Generic
    generic: {secret: abc, allowEnv: true}
  - type: github
    github: {secret: abc}
";

/// A stateful set whose annotation says more than one thing.
const DATABASE: &str = "apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: db
  annotations:
    image.openshift.io/triggers: |-
      [{\"from\": {\"kind\": \"ImageStreamTag\", \"name\": \"pg:13\", \"namespace\": \"shared\"},
        \"fieldPath\": \"spec.template.spec.containers[?(@.name=='db')].image\", \"paused\": \"true\"}]
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: db, image: x}
";

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata:
  name: web
  labels: {app: web}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
";

fn shop() -> Checkout {
    let shop = Checkout::of("apps/web.yaml", WEB);
    shop.repo.write("apps/plain.yaml", PLAIN).write("apps/site.yaml", BUILD);
    shop.repo.write("apps/db.yaml", DATABASE).commit("more");
    shop
}

/// A word that clap reads as one: the tests spell commands as people do.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// T28: the triggers of every kind in one table.
#[test]
fn t028_triggers_are_listed() {
    let shop = shop();
    assert_eq!(
        shop.says(&words("set triggers dc/web")),
        "NAME                   TYPE    VALUE             AUTO
deploymentconfigs/web  config                    true
deploymentconfigs/web  image   python:3.5 (web)  true
"
    );
    assert_eq!(
        shop.says(&words("set triggers bc/site")),
        "NAME               TYPE     VALUE                AUTO
buildconfigs/site  config                        false
buildconfigs/site  image    openshift/httpd:2.4  false
buildconfigs/site  webhook  <secret>, allowenv   
buildconfigs/site  github   <secret>             
"
    );
    assert_eq!(
        shop.says(&words("set triggers sts,deploy --all")),
        "NAME               TYPE    VALUE              AUTO
statefulsets/db    config                     true
statefulsets/db    image   shared/pg:13 (db)  false
deployments/plain  config                     true
"
    );
    let broken = DATABASE.replace("[{", "[{{");
    shop.repo.write("apps/db.yaml", broken).commit("broken");
    assert_eq!(
        shop.says(&words("set triggers sts/db")),
        "NAME             TYPE     VALUE  AUTO\nstatefulsets/db  <error>         false\n"
    );
}

/// T29: what is wrong, in the words of `oc`, and nothing is changed.
#[test]
fn t029_wrong_triggers_are_refused_in_the_words_of_oc() {
    let shop = shop();
    for line in [
        "dc/web --auto --manual|you must specify at most one of --auto or --manual",
        "dc/web --remove --remove-all|you must specify either --remove or --remove-all",
        "dc/web --remove-all --auto|--remove-all may not be used with any other flag",
        "dc/web --remove-all --from-config|--remove-all may not be used with any other flag",
        "dc/web --remove|--remove requires a flag defining a trigger type to be specified",
        "dc/web --from-config --from-github|you may only set one trigger type at a time",
        "dc/web -c web|specify one of the --from-* flags to add a trigger, --remove to remove, or --auto|--manual to \
         control existing triggers",
        "dc/web --from-image=ruby:2|deploymentconfigs/web you must specify --containers when setting --from-image",
        "deploy/plain --from-image=ruby:2|deployments/plain you must specify --containers when setting --from-image",
        "dc/web --from-image=ruby:2 -c web,no,any|deploymentconfigs/web not all container names exist: any, no (accepts: \
         prepare, side, web)",
        "deploy/plain --from-image=ruby:2 -c no|deployments/plain not all container names exist: no (accepts: prepare, web)",
        "deploy/plain --from-image=ruby:2 -c web,web|deployments/plain only one trigger may reference each container: web",
        "dc/web --from-image=ruby -c web|the value of --from-image must include the tag you wish to pull from",
        "dc/web --from-image=quay.io/o/ruby:2 -c web|the value of --from-image must point to an image stream tag on this \
         server",
        "dc/web --from-webhook|deploymentconfigs/web deployment configs do not support web hooks",
        "dc/web --from-github|deploymentconfigs/web deployment configs do not support GitHub web hooks",
        "deploy/plain --from-gitlab|deployments/plain does not support GitLab web hooks",
    ] {
        let (line, why) = line.split_once('|').unwrap();
        let said = shop.refuses(&words(&format!("set triggers {line}")));
        assert_eq!(said, format!("error: {why}\n"), "{line}");
    }
    let said = shop.refuses(&words("set triggers dc/web --from-image=a:b:c -c web"));
    assert!(
        said.starts_with("error: the value of --from-image does not appear to be a valid"),
        "{said}"
    );
    shop.repo.write("apps/svc.yaml", SERVICE).commit("service");
    let said = shop.refuses(&words("set triggers svc/web --auto"));
    assert_eq!(said, "error: services/web does not support triggers\n");
    let said = shop.refuses(&words("set triggers dc/nosuch --auto"));
    assert_eq!(
        said,
        "Error from server (NotFound): deploymentconfigs.apps.openshift.io \"nosuch\" not found\n"
    );
}

/// T30: manual and automatic, for each kind in its own way; comments stay.
#[test]
fn t030_triggers_become_manual_and_automatic() {
    let shop = shop();
    let updated = "deploymentconfig.apps.openshift.io/web triggers updated\n";
    assert_eq!(shop.says(&words("set triggers dc/web --manual")), updated);
    assert_eq!(
        shop.last_change(),
        "-      automatic: true # by itself\n+      automatic: false # by itself\n-  - type: ConfigChange\n"
    );
    assert_eq!(shop.says(&words("set triggers dc/web --manual")), "");
    assert_eq!(shop.says(&words("set triggers dc/web --auto")), updated);
    assert_eq!(shop.file("apps/web.yaml"), WEB);
    // What nothing would set the image of any more is not committed.
    let said = shop.refuses(&words("set triggers dc/web --remove-all"));
    assert!(said.contains("no image trigger names this container"), "{said}");
    shop.says(&words("set image dc/web web=quay.io/org/web:1"));
    assert_eq!(shop.says(&words("set triggers dc/web --remove-all")), updated);
    assert!(shop.file("apps/web.yaml").contains("[]"), "{}", shop.file("apps/web.yaml"));
    assert_eq!(
        shop.says(&words("set triggers dc/web")),
        "NAME                   TYPE    VALUE  AUTO\ndeploymentconfigs/web  config         false\n"
    );

    assert_eq!(
        shop.says(&words("set triggers bc/site --auto")),
        "buildconfig.build.openshift.io/site triggers updated\n"
    );
    let change = shop.last_change();
    assert_eq!(change, "+  - type: ConfigChange\n+  - type: ImageChange\n+    imageChange: {}\n");
    shop.says(&words("set triggers bc/site --manual"));
    assert_eq!(shop.file("apps/site.yaml"), BUILD);

    let updated = "statefulset.apps/db triggers updated\n";
    assert_eq!(shop.says(&words("set triggers sts/db --auto")), updated);
    let listed = shop.says(&words("set triggers sts/db"));
    assert!(listed.contains("shared/pg:13 (db)  true"), "{listed}");
    assert!(!shop.file("apps/db.yaml").contains("paused"), "{}", shop.file("apps/db.yaml"));

    assert_eq!(
        shop.says(&words("set triggers deploy/plain --manual")),
        "deployment.apps/plain triggers updated\n"
    );
    assert_eq!(shop.last_change(), "+  paused: true\n");
    shop.says(&words("set triggers deploy/plain --from-config"));
    assert_eq!(shop.last_change(), "-  paused: true\n+  paused: false\n");
}

/// T30: a trigger of another kind of source is added, and one is taken away.
#[test]
fn t030_single_triggers_come_and_go() {
    let shop = shop();
    shop.says(&words("set triggers dc/web --from-config --remove"));
    assert_eq!(shop.last_change(), "-  - type: ConfigChange\n");
    shop.says(&words("set triggers dc/web --from-image=other/ruby:2 -c side --manual"));
    assert_eq!(
        shop.last_change(),
        "+  - type: ImageChange\n+    imageChangeParams:\n+      automatic: false\n+      containerNames:\n+      - side\n\
         +      from:\n+        kind: ImageStreamTag\n+        name: ruby:2\n+        namespace: other\n"
    );
    shop.says(&words("set triggers dc/web --from-image=other/ruby:2 --auto"));
    assert_eq!(shop.last_change(), "-      automatic: false\n+      automatic: true\n");
    shop.says(&words("set triggers dc/web --from-image=other/ruby:2 --remove"));
    let left = shop.says(&words("set triggers dc/web"));
    assert!(!left.contains("ruby") && left.contains("python:3.5 (web)"), "{left}");

    let ran = shop.run(&words("set triggers bc/site --from-gitlab"));
    assert_eq!(ran.out, "buildconfig.build.openshift.io/site triggers updated\n");
    assert!(ran.err.contains("secretReference"), "{}", ran.err);
    let change = shop.last_change();
    let secret = change.split("secret: ").nth(1).unwrap().trim().trim_matches(['"', '\'']);
    assert_eq!(secret.len(), 20, "{change}");
    assert!(!ran.err.contains(secret), "the secret is printed: {}", ran.err);
    shop.says(&words("set triggers bc/site --from-webhook --remove"));
    let left = shop.says(&words("set triggers bc/site"));
    assert!(!left.contains("webhook") && left.contains("gitlab"), "{left}");
    shop.says(&words("set triggers bc/site --from-image=openshift/httpd:2.4"));
    assert_eq!(shop.last_change(), "+  - type: ImageChange\n+    imageChange: {}\n");
    shop.says(&words("set triggers bc/site --from-image=base:1"));
    assert!(shop.last_change().contains("name: base:1"), "{}", shop.last_change());
}

/// T31: a container has one trigger, and an init container stands in its own list.
#[test]
fn t031_a_second_trigger_for_a_container_replaces_the_first() {
    let shop = shop();
    let ran = shop.run(&words("set triggers dc/web --from-image=python:3.6 -c web"));
    let replaces =
        "deploymentconfigs/web: this replaces the trigger on python:3.5 of container web\n";
    assert!(ran.err.contains(replaces), "{}", ran.err);
    let change = shop.last_change();
    assert!(change.contains("python:3.6") && change.lines().count() == 2, "{change}");
    shop.says(&words("set triggers dc/web --from-image=python:3.6 -c web,side"));
    shop.says(&words("set triggers dc/web --from-image=ruby:2 -c side"));
    assert_eq!(
        shop.says(&words("set triggers dc/web")),
        "NAME                   TYPE    VALUE             AUTO
deploymentconfigs/web  config                    true
deploymentconfigs/web  image   python:3.6 (web)  true
deploymentconfigs/web  image   ruby:2 (side)     true
"
    );
    shop.says(&words("set triggers deploy/plain --from-image=python:3.5 -c web,prepare"));
    let text = shop.file("apps/plain.yaml");
    assert!(
        text.contains("spec.template.spec.initContainers[?(@.name==\\\"prepare\\\")].image"),
        "{text}"
    );
    shop.says(&words("set triggers deploy/plain --from-image=ruby:2 -c prepare --manual"));
    assert_eq!(
        shop.says(&words("set triggers deploy/plain")),
        "NAME               TYPE    VALUE             AUTO
deployments/plain  config                    true
deployments/plain  image   python:3.5 (web)  true
deployments/plain  image   ruby:2 (prepare)  false
"
    );
    // What was written in another form is written in that of `oc`.
    shop.says(&words("set triggers sts/db --from-image=pg:14 -c db"));
    let text = shop.file("apps/db.yaml");
    assert!(text.contains("containers[?(@.name==\\\"db\\\")].image"), "{text}");
    assert!(text.contains("pg:14") && !text.contains("shared"), "{text}");
}

/// D31: an image that a trigger overrides is set all the same, and the command says what becomes of it.
#[test]
fn d031_an_image_that_a_trigger_overrides_is_said_to_be() {
    let shop = shop();
    let ran = shop.run(&words("set image dc/web web=quay.io/org/web:2"));
    assert_eq!(ran.out, "deploymentconfig.apps.openshift.io/web image updated\n");
    assert!(ran.err.contains("warning: container web of"), "{}", ran.err);
    assert!(
        ran.err.contains("python:3.5: its trigger overrides the image that was set"),
        "{}",
        ran.err
    );
    assert_eq!(
        shop.last_change(),
        "-        image: \" \" # by its trigger\n+        image: quay.io/org/web:2 # by its trigger\n"
    );
    let ran = shop.run(&words("set image dc/web side=quay.io/org/side:2"));
    assert!(!ran.err.contains("warning"), "{}", ran.err);
    assert_eq!(
        shop.says(&words("set image deploy/plain *=y:1")),
        "deployment.apps/plain image updated\n"
    );
    assert_eq!(shop.file("apps/plain.yaml"), PLAIN.replace("image: x}", "image: y:1}"));
    assert_eq!(shop.says(&words("set image deploy/plain *=y:1")), "");
    for line in [
        "set image dc/web nosuch=a:1|unable to find container named \"nosuch\"",
        "set image dc/web|at least one image update is required",
        "set image web=a:1|one or more resources must be specified as <resource> <name> or <resource>/<name>",
        "set image dc/web *=a web=b|all containers are already specified by *, but saw more than one \
         container_name=container_image pairs",
        "set image dc/web web=|invalid image update `web=`: it is CONTAINER=IMAGE",
    ] {
        let (line, why) = line.split_once('|').unwrap();
        assert_eq!(shop.refuses(&words(line)), format!("error: {why}\n"), "{line}");
    }
}

/// D49: hooks are set and removed.
#[test]
fn d049_hooks_are_set_and_removed() {
    let shop = shop();
    let updated = "deploymentconfig.apps.openshift.io/web hooks updated\n";
    let line = "set deployment-hook dc/web --pre -c web -e A=b -e C=d=e --volumes=data --failure-policy=abort -- /bin/x -y";
    assert_eq!(shop.says(&words(line)), updated);
    assert_eq!(
        shop.last_change(),
        "+    rollingParams:\n+      pre:\n+        failurePolicy: Abort\n+        execNewPod:\n+          command:\n\
         +          - /bin/x\n+          - -y\n+          containerName: web\n+          env:\n+          - name: A\n\
         +            value: b\n+          - name: C\n+            value: d=e\n+          volumes:\n+          - data\n"
    );
    // By default: the first container, Ignore.
    shop.says(&words("set deployment-hook web --post -- true"));
    let change = shop.last_change();
    assert!(
        change.contains("failurePolicy: Ignore") && change.contains("containerName: web"),
        "{change}"
    );
    assert_eq!(shop.says(&words("set deployment-hook dc/web --pre --post --remove")), updated);
    assert_eq!(shop.file("apps/web.yaml"), WEB);
    let ran = shop.run(&words("set deployment-hook dc/web --pre -c web --volumes=no -- true"));
    let warning = "warning: deployment config \"web\" does not have a volume named \"no\"\n";
    assert!(ran.err.contains(warning), "{}", ran.err);
    for line in [
        "dc/web -- true|you must specify one of --pre, --mid, or --post",
        "dc/web --pre --post -- true|you must specify one of --pre, --mid, or --post",
        "dc/web --pre|you must specify a command for the deployment hook",
        "dc/web --remove|you must specify at least one of --pre, --mid, or --post with the --remove flag",
        "dc/web --remove --pre -- true|--remove may not be used with any option except --pre, --mid, or --post",
        "dc/web --mid -- true|deploymentconfigs/web has the strategy Rolling, which has no mid hook; Recreate has",
        "dc/web --remove --post|deploymentconfigs/web has no post hook",
        "deploy/plain --pre -- true|deployments/plain is not a deployment config or does not have an applicable strategy",
        "dc/web --pre -e =x -- true|invalid parameter =x: it is KEY=VALUE",
    ] {
        let (line, why) = line.split_once('|').unwrap();
        let said = shop.refuses(&words(&format!("set deployment-hook {line}")));
        assert_eq!(said, format!("error: {why}\n"), "{line}");
    }
    let said = shop.refuses(&words("set deployment-hook dc/web --pre --failure-policy=x -- true"));
    let usage = "error: valid values for --failure-policy are: abort, retry, ignore\nSee 'tidegate set deployment-hook -h'";
    assert!(said.starts_with(usage), "{said}");
    let recreate = WEB.replace("type: Rolling", "type: Recreate");
    shop.repo.write("apps/web.yaml", &recreate).commit("recreate");
    assert_eq!(shop.says(&words("set deployment-hook dc/web --mid -- migrate")), updated);
    assert!(shop.last_change().starts_with("+    recreateParams:\n+      mid:\n"));
    // No command makes a commit that the daemon would hold.
    let said = shop.refuses(&words("set deployment-hook dc/web --pre -c nosuch -- true"));
    assert!(said.contains("no container \"nosuch\" found"), "{said}");
}

/// D50: how many are to run is a field of the manifest, and so are all the others that these commands set.
#[test]
fn d050_scaling_edits_the_manifest() {
    let shop = shop();
    let scaled = "deploymentconfig.apps.openshift.io/web scaled\n";
    assert_eq!(shop.says(&words("scale dc/web --replicas=3")), scaled);
    assert_eq!(shop.last_change(), "-  replicas: 1 # enough\n+  replicas: 3 # enough\n");
    assert_eq!(shop.says(&words("scale dc/web --replicas=3")), scaled);
    assert_eq!(
        shop.says(&words("scale deploy plain --replicas=2")),
        "deployment.apps/plain scaled\n"
    );
    assert_eq!(shop.last_change(), "+  replicas: 2\n");
    let said = shop.says(&words("scale sts,deploy --all --replicas=0"));
    assert_eq!(said, "statefulset.apps/db scaled\ndeployment.apps/plain scaled\n");
    let head = shop.repo.git(&["log", "-1", "--format=%s"]);
    assert_eq!(head.trim(), "scale StatefulSet/db, Deployment/plain to 0");
    let said = shop.says(&words("scale dc/web --replicas=4 --dry-run"));
    assert_eq!(said, "deploymentconfig.apps.openshift.io/web scaled (dry run)\n");
    assert!(shop.file("apps/web.yaml").contains("replicas: 3"));
    for line in [
        "scale dc/web|error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0",
        "scale dc/web --replicas=-1|error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to \
         0",
        "scale dc/web --replicas=2 --current-replicas=7|error: Expected replicas to be 7, was 3",
        "scale dc/web --replicas=2 --current-replicas=-2|error: The --current-replicas must specify an integer of -1 or \
         greater",
        "scale bc/site --replicas=2|Error from server (NotFound): the server could not find the requested resource",
        "scale is --all --replicas=2|error: no objects passed to scale",
    ] {
        let (line, why) = line.split_once('|').unwrap();
        assert_eq!(shop.refuses(&words(line)), format!("{why}\n"), "{line}");
    }
    // The ways of all commands that edit: left uncommitted, with a message, in another place.
    let before = shop.repo.git(&["rev-parse", "HEAD"]);
    shop.says(&words("scale dc/web --replicas=5 --no-commit"));
    assert_eq!(shop.repo.git(&["rev-parse", "HEAD"]), before);
    assert!(shop.file("apps/web.yaml").contains("replicas: 5"));
    shop.repo.git(&["checkout", "-q", "--", "."]);
    shop.says(&["scale", "dc/web", "--replicas=6", "--current-replicas=3", "-m", "for the feast"]);
    assert_eq!(shop.repo.git(&["log", "-1", "--format=%s"]).trim(), "for the feast");
    let repo = shop.repo.path().display().to_string();
    let elsewhere = tempfile::tempdir().unwrap();
    let shop = shop.at(elsewhere.path());
    assert_eq!(shop.says(&["scale", "dc/web", "--replicas=1", "--repo", &repo]), scaled);
    let said = shop.refuses(&["scale", "dc/web", "--replicas=1", "--repo", &repo, "-n", "other"]);
    assert!(said.contains("deploymentconfigs.apps.openshift.io \"web\" not found"), "{said}");
}

/// C17: a workload gets a service, a service a route; on one host its port is published.
#[test]
fn c017_workloads_and_services_are_exposed() {
    let shop = shop();
    assert_eq!(shop.says(&words("expose dc/web --name=front")), "service/front exposed\n");
    assert_eq!(
        shop.file("test/service-front.yaml"),
        "apiVersion: v1\nkind: Service\nmetadata:\n  labels:\n    app: web\n  name: front\n  namespace: test\nspec:\n  \
         ports:\n  - port: 8080\n    protocol: TCP\n    targetPort: 8080\n  selector:\n    app: web\n"
    );
    let line = "expose deploy plain --port=80,443 --target-port=http --protocol=UDP -l tier=front --selector=a=b --type=NodePort";
    assert_eq!(shop.says(&words(line)), "service/plain exposed\n");
    assert_eq!(
        shop.file("test/service-plain.yaml"),
        "apiVersion: v1\nkind: Service\nmetadata:\n  labels:\n    tier: front\n  name: plain\n  namespace: test\nspec:\n  \
         ports:\n  - name: port-1\n    port: 80\n    protocol: UDP\n    targetPort: http\n  - name: port-2\n    port: 443\n    \
         protocol: UDP\n    targetPort: http\n  selector:\n    a: b\n  type: NodePort\n"
    );
    shop.repo.write("apps/svc.yaml", SERVICE).commit("service");
    let ran = shop.run(&words("expose svc/web --hostname=www.example.com --path=/shop"));
    assert_eq!(ran.out, "route.route.openshift.io/web exposed\n");
    assert!(ran.err.contains("no router is provided"), "{}", ran.err);
    assert_eq!(
        shop.file("test/route-web.yaml"),
        "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata:\n  labels:\n    app: web\n  name: web\n  namespace: \
         test\nspec:\n  host: www.example.com\n  path: /shop\n  port:\n    targetPort: http\n  to:\n    kind: Service\n    \
         name: web\n"
    );
    for line in [
        "expose dc/web --name=front|Error from server (AlreadyExists): services \"front\" already exists",
        "expose svc/web|Error from server (AlreadyExists): routes.route.openshift.io \"web\" already exists",
        "expose bc/site|error: cannot expose a BuildConfig.build.openshift.io",
        "expose svc/web --name=x --type=NodePort|error: cannot use --type with --generator=route/v1",
        "expose svc/web --wildcard-policy=x|error: only \"Subdomain\" or \"None\" are supported for wildcard-policy",
        "expose dc/web --port=0|error: invalid --port `0`: it is a number from 1 to 65535",
        "expose dc/web svc/web|error: multiple resources provided: dc/web svc/web",
    ] {
        let (line, why) = line.split_once('|').unwrap();
        assert_eq!(shop.refuses(&words(line)), format!("{why}\n"), "{line}");
    }
    let said = shop.refuses(&words("expose deploy/plain --name=x"));
    let usage = "error: couldn't find port via --port flag or introspection\nSee 'tidegate expose -h' for help and examples\n";
    assert_eq!(said, usage);
}

/// C17: on one host the port of the pods is published.
#[test]
fn c017_on_one_host_a_route_publishes_the_port() {
    let shop = shop();
    shop.host.configure(|text| {
        format!("{text}\n[targets.here]\nkind = \"podman\"\n[routes]\ndefault = \"here\"\n")
    });
    shop.repo.write("apps/svc.yaml", SERVICE).commit("service");
    let ran = shop.run(&words("expose svc/web"));
    assert_eq!(ran.out, "route.route.openshift.io/web exposed\n", "{}", ran.err);
    let note = "deploymentconfig.apps.openshift.io/web publishes port 80 of this host (tidegate.dev/publish: 80:8080)";
    assert!(ran.err.contains(note), "{}", ran.err);
    assert!(
        shop.file("apps/web.yaml").contains("    tidegate.dev/publish: 80:8080\n"),
        "{}",
        shop.file("apps/web.yaml")
    );
    let ran = shop.run(&words("expose svc/web --name=again"));
    assert!(ran.err.contains("publishes its port 8080 already"), "{}", ran.err);
    let several = WEB.replace("replicas: 1 #", "replicas: 2 #");
    shop.repo.write("apps/web.yaml", several).commit("several");
    let ran = shop.run(&words("expose svc/web --name=more"));
    assert!(ran.err.contains("runs 2 instances, which cannot share a port"), "{}", ran.err);
}

/// C5: what has the label goes, in the order of `oc`; what has not, stays.
#[test]
fn c005_objects_are_deleted_by_label() {
    let shop = Checkout::of(
        "apps/blog.yaml",
        &format!("{}---\n{SERVICE}", WEB.replace("name: web\n  labels", "name: blog-1\n  labels")),
    );
    shop.repo.write(
        "apps/stream.yaml",
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: blog}\n",
    );
    shop.repo.write("apps/plain.yaml", PLAIN).commit("more");
    let route = "apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {name: blog-1, labels: {app: web}}\n";
    shop.repo.write("apps/route.yaml", route).commit("route");
    assert_eq!(
        shop.says(&words("delete all --selector app=web")),
        "service \"web\" deleted\ndeploymentconfig.apps.openshift.io \"blog-1\" deleted\nroute.route.openshift.io \"blog-1\" \
         deleted\n"
    );
    assert!(!shop.repo.path().join("apps/blog.yaml").exists());
    assert_eq!(shop.file("apps/plain.yaml"), PLAIN);
    assert!(shop.repo.path().join("apps/stream.yaml").exists());
    assert_eq!(shop.says(&words("delete deploy/plain")), "deployment.apps \"plain\" deleted\n");
}
