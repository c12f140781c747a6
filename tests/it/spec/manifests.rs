//! What manifests of workloads mean: defaults, validation, triggers (sections 1.2, 1.3 and 2 of the triggers
//! specification).

use std::time::Duration;

use tidegate::desired::diagnostic::Severity;
use tidegate::desired::{Entry, Object, parse_file};
use tidegate::names::{Kind, Revision, deployer_name, hook_name, rollout_name};
use tidegate::pods::{Pods, Strategy};
use tidegate::policy::Policy;

use crate::desired::{dc, deployment, found, read, rejects, warns, workload};

/// What a manifest is on a host.
fn pods(text: &str) -> Pods {
    let workload = workload(text);
    Pods::read(&workload.object, workload.manifest.as_bytes()).unwrap()
}

#[test]
fn d001_what_a_strategy_and_a_selector_do_not_say_is_as_in_openshift() {
    for strategy in ["", "  strategy: {}\n", "  strategy: {type: Rolling}\n"] {
        let pods = pods(&dc(strategy));
        assert_eq!(pods.strategy, Strategy::Rolling);
        let times = [pods.min_ready, pods.timeout, pods.deadline].map(|time| time.as_secs());
        assert_eq!(times, [0, 600, 21_600]);
    }
    let recreate = pods(&dc("  strategy: {type: Recreate}\n"));
    assert_eq!(
        (recreate.strategy, recreate.timeout),
        (Strategy::Recreate, Duration::from_secs(600))
    );
    // The labels of the template stand for a selector; without labels there is none to stand for it.
    workload(&dc("  selector: {app: web}\n"));
    rejects(&dc("  selector: {app: other}\n"), "`selector` does not match template labels");
}

#[test]
fn d004_x055_of_two_budgets_only_those_that_are_written_can_be_zero_together() {
    for rest in ["maxUnavailable: 0", "maxSurge: 0", "maxUnavailable: 0%", "maxSurge: 0%", ""] {
        workload(&rolling(rest));
    }
    rejects(&rolling("maxUnavailable: 0, maxSurge: 0"), "cannot be 0 when maxSurge is 0 as well");
}

#[test]
fn x029_a_trigger_without_a_namespace_is_of_the_namespace_that_its_object_is_in_now() {
    let text = trigger("automatic: true, containerNames: [main], from: {name: 'a:1'}");
    let copied = text.replace("{name: web}", "{name: web, namespace: other}");
    assert_eq!(workload(&copied).triggers[0].from.to_string(), "other/a:1");
}

#[test]
fn d006_what_a_server_wrote_into_a_manifest_means_nothing() {
    let params = "automatic: true, containerNames: [main], from: {name: 'a:1'}";
    let plain = trigger(params);
    let written = trigger(&format!("{params}, lastTriggeredImage: 'r.io/a@sha256:0f'"));
    warns(
        &written,
        "0.4.3 ignoring status field spec.triggers[0].imageChangeParams.lastTriggeredImage",
    );
    assert_eq!(workload(&plain).template, workload(&written).template);
    assert_eq!(workload(&plain).triggers, workload(&written).triggers);
}

#[test]
fn d007_16_a_status_that_goes_backwards_is_no_status() {
    let with = |version: u32| format!("{}status: {{latestVersion: {version}}}\n", dc(""));
    assert_eq!(found(&read(&with(9))), found(&read(&dc(""))), "D6: without a word");
    assert_eq!(workload(&with(9)).manifest, workload(&with(1)).manifest);
}

#[test]
fn d038_custom_strategies_are_not_enabled() {
    let custom = "  strategy: {type: Custom, customParams: {image: x}}\n";
    rejects(
        &dc(custom),
        "D38 spec.strategy.type: Invalid value: \"Custom\": strategy Custom is not enabled",
    );
    // OpenShift runs it with the other types, too.
    rejects(
        &dc(&custom.replace("Custom,", "Rolling,")),
        "D38 spec.strategy.customParams: strategy Custom is not enabled",
    );
    // Where somebody enabled them, the image has to be named: there is no deployer that it could stand for.
    let policy = Policy { custom_strategies: true, ..Policy::default() };
    let with = |text: &str| parse_file("f.yaml", text.as_bytes(), None, &policy);
    for text in [custom.to_owned(), custom.replace("Custom,", "Rolling,")] {
        let file = with(&dc(&text));
        let Entry::Object(Object::Workload(web)) = &file.entries[0] else { panic!() };
        assert_eq!(web.scale, None, "its program knows how many there are");
    }
    let without = with(&dc(&custom.replace("image: x", "command: [a]")));
    assert!(
        found(&without).contains("D38 spec.strategy.customParams.image: Required value"),
        "{}",
        found(&without)
    );
}

#[test]
fn d040_5_x045_a_post_hook_that_aborts_is_noted() {
    let with = |name: &str, policy: &str| {
        let exec = "execNewPod: {command: [a]}";
        read(&rolling(&format!("{name}: {{failurePolicy: {policy}, {exec}}}"))).diagnostics
    };
    for (name, policy) in [("pre", "Abort"), ("post", "Ignore"), ("post", "Retry")] {
        assert_eq!(with(name, policy), [], "{name} {policy}");
    }
    let [note] = &with("post", "Abort")[..] else { panic!() };
    assert_eq!((note.severity, note.rule.as_str()), (Severity::Note, "D40.5"));
    assert!(note.hint.as_ref().unwrap().contains("failurePolicy: Ignore"), "{note:?}");
}

#[test]
fn d010_what_a_rollout_makes_is_called_as_in_openshift() {
    let rollout = rollout_name(&"blog-1".parse().unwrap(), Revision(1));
    assert_eq!(
        (rollout.as_str(), deployer_name(&rollout).as_str()),
        ("blog-1-1", "blog-1-1-deploy")
    );
    let hooks = ["pre", "mid", "post"].map(|which| hook_name(&rollout, which));
    assert_eq!(hooks, ["blog-1-1-hook-pre", "blog-1-1-hook-mid", "blog-1-1-hook-post"]);
    let long = |end: &str| deployer_name(&format!("{}{end}-1", "a".repeat(250)));
    let name = long("x");
    let cut = name.strip_suffix("-deploy").and_then(|rest| rest.rsplit_once('-')).unwrap();
    assert_eq!((name.len(), cut.0.len()), (253, 237));
    assert!(cut.1.len() == 8 && cut.1.bytes().all(|c| c.is_ascii_hexdigit()), "{name}");
    assert_ne!(name, long("y"), "what was cut away still counts");
}

#[test]
fn t001_the_annotation_is_without_effect_where_nothing_rolls_out() {
    for kind in ["Job", "ReplicaSet", "ReplicationController"] {
        let text = deployment("[]").replace("kind: Deployment", &format!("kind: {kind}"));
        warns(
            &text,
            &format!("T1 annotation `image.openshift.io/triggers` is without effect on a {kind}"),
        );
    }
    assert_eq!(found(&read(&deployment("[]"))), "");
}

/// T1, T2: a Pod that carries the annotation is rolled out; its field paths begin with `spec.`.
#[test]
fn t001_t002_a_pod_with_the_annotation_is_ours() {
    let pod = |path: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: tool\n  labels: {{app: tool}}\n  annotations:\n    \
             image.openshift.io/triggers: '[{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":\"a:1\"}},\"fieldPath\":\"{path}\"}}]'\n\
             {more}spec:\n  containers: [{{name: main, image: 'r.io/a:1'}}]\n"
        )
    };
    let by_name = r#"spec.containers[?(@.name==\"main\")].image"#;
    for path in ["spec.containers[0].image", by_name] {
        let tool = workload(&pod(path, ""));
        assert_eq!((tool.object.kind, tool.scale, tool.config_change), (Kind::Pod, Some(1), true));
        assert_eq!(tool.triggers[0].containers[0].to_string(), "container main");
    }
    rejects(
        &pod("spec.template.spec.containers[0].image", ""),
        "T3 annotation `image.openshift.io/triggers` of pod/tool: field path is not valid",
    );
    let plain = pod("spec.containers[0].image", "").replace("image.openshift.io/triggers", "other");
    assert!(matches!(read(&plain).entries[..], [Entry::Companion(_)]));
    // What is said about the object is no part of what runs; all else is.
    let hash = |more: &str| workload(&pod("spec.containers[0].image", more)).template;
    assert_eq!(hash("    tidegate.dev/pause: 'true'\n"), hash(""));
    assert_ne!(hash("    team: blue\n"), hash(""));
    let relabelled = pod("spec.containers[0].image", "").replace("app: tool", "app: other");
    assert_ne!(workload(&relabelled).template, hash(""));
}

#[test]
fn t008_what_pauses_a_deployment_holds_its_rollout_and_not_its_triggers() {
    let paused = deployment("[]").replace("spec:\n", "spec:\n  paused: true\n");
    assert!(workload(&paused).paused);
    assert!(!workload(&deployment("[]")).paused);
}

#[test]
fn d002_x006_omitted_replicas_are_none_and_a_warning_says_so() {
    let text = dc("").replace("  replicas: 1\n", "");
    warns(&text, "D2 deploymentconfig/web has no spec.replicas; it will run 0 replicas");
}

#[test]
fn d003_x005_absent_triggers_are_not_an_empty_list() {
    assert!(workload(&dc("")).config_change);
    assert!(workload(&dc("  triggers: null\n")).config_change);
    assert!(!workload(&dc("  triggers: []\n")).config_change);
    assert!(workload(&dc("  triggers: [{type: ConfigChange}]\n")).config_change);
}

fn trigger(params: &str) -> String {
    dc(&format!("  triggers: [{{type: ImageChange, imageChangeParams: {{{params}}}}}]\n"))
}

#[test]
fn d005_a_trigger_defaults_to_a_tag_of_the_own_namespace() {
    let workload =
        workload(&trigger("automatic: true, containerNames: [main], from: {name: 'a:1'}"));
    assert_eq!(workload.triggers[0].from.to_string(), "default/a:1");
    assert!(workload.triggers[0].automatic);
}

fn rolling(params: &str) -> String {
    dc(&format!("  strategy: {{type: Rolling, rollingParams: {{{params}}}}}\n"))
}

#[test]
fn d007_01_d007_02_d007_03_d007_04_d007_05_numbers_of_a_rolling_strategy() {
    for key in ["intervalSeconds", "updatePeriodSeconds", "timeoutSeconds"] {
        rejects(
            &rolling(&format!("{key}: 0")),
            &format!("D7.1 spec.strategy.rollingParams.{key}: Invalid value: 0: must be >0"),
        );
    }
    rejects(&rolling("maxUnavailable: 0, maxSurge: 0%"), "D7.2");
    rejects(
        &rolling("maxUnavailable: 101%"),
        "D7.3 spec.strategy.rollingParams.maxUnavailable: Invalid value: \"101%\": should not be more than 100%",
    );
    rejects(&rolling("maxSurge: lots"), "D7.4");
    rejects(&rolling("maxSurge: -1"), "D7.5");
    workload(&rolling("maxUnavailable: 0")); // D4: the surge becomes 25%
    workload(&rolling("maxSurge: 150%"));
}

#[test]
fn d007_06_d007_07_deadlines_fit_into_each_other() {
    rejects(
        &dc("  minReadySeconds: 600\n"),
        "D7.6 spec.minReadySeconds: Invalid value: 600: must be less than the deployment timeout (600s)",
    );
    rejects(&dc("  strategy: {activeDeadlineSeconds: 600, rollingParams: {}}\n"), "D7.7");
}

#[test]
fn d007_08_d007_09_d007_10_strategy_replicas_selector() {
    rejects(
        &dc("  strategy: {type: BlueGreen}\n"),
        "D7.8 spec.strategy.type: Invalid value: \"BlueGreen\": unsupported strategy type",
    );
    rejects(
        &dc("").replace("replicas: 1", "replicas: -1"),
        "D7.9 spec.replicas: Invalid value: -1: replicas cannot be negative",
    );
    rejects(&dc("").replace("labels: {app: web}", ""), "D7.10");
}

#[test]
fn d007_11_d007_12_d007_13_hooks() {
    let hook = |hook: &str| rolling(&format!("pre: {{{hook}}}"));
    rejects(
        &hook("failurePolicy: Abort"),
        "D7.11 spec.strategy.rollingParams.pre: Invalid value: One of execNewPod or tagImages must be specified",
    );
    let both = "failurePolicy: Abort, execNewPod: {command: [a], containerName: main}, tagImages: [{containerName: main, to: {kind: ImageStreamTag, name: 'a:b'}}]";
    rejects(&hook(both), "only one of 'execNewPod' or 'tagImages' may be specified");
    rejects(
        &hook("failurePolicy: Abort, execNewPod: {command: [a], containerName: no}"),
        "D7.12 spec.strategy.rollingParams.pre.execNewPod.containerName: Invalid value: \"no\": no container \"no\" found",
    );
    rejects(
        &hook("failurePolicy: Abort, tagImages: [{containerName: main, to: {kind: DockerImage}}]"),
        "Must be 'ImageStreamTag'",
    );
    rejects(
        &hook(
            "failurePolicy: Abort, tagImages: [{containerName: main, to: {kind: ImageStreamTag}}]",
        ),
        "D7.13 spec.strategy.rollingParams.pre.tagImages[0].to: Required value: a destination tag name is required",
    );
    rejects(&hook("execNewPod: {command: [a], containerName: main}"), "D7.15");
    workload(&hook("failurePolicy: Abort, execNewPod: {command: [a]}")); // D5: the only container
}

#[test]
fn d007_14_x027_d007_15_triggers() {
    rejects(
        &trigger("containerNames: [main], from: {kind: DockerImage, name: 'a:b'}"),
        "D7.14 spec.triggers[0].imageChangeParams.from.kind: Invalid value: \"DockerImage\": kind must be an ImageStreamTag",
    );
    rejects(
        &trigger("containerNames: [main], from: {kind: ImageStreamTag, name: a}"),
        "must be in the form of <name>:<tag>",
    );
    rejects(
        &trigger("containerNames: [main], from: {kind: ImageStreamTag, name: 'a:b', namespace: A}"),
        "namespace must be a valid subdomain",
    );
    rejects(
        &trigger("from: {kind: ImageStreamTag, name: 'a:b'}"),
        "D7.15 spec.triggers[0].imageChangeParams.containerNames: Required value",
    );
    rejects(
        &dc("  strategy: {type: Custom}\n"),
        "D7.15 spec.strategy.customParams: Required value",
    );
}

#[test]
fn d008_a_container_without_an_image_needs_a_trigger() {
    let blank = |text: String| text.replace("image: x", "image: ' '");
    rejects(&blank(dc("")), "D8 spec.template.spec.containers[0].image: Required value");
    workload(&blank(trigger("containerNames: [main], from: {name: 'a:b'}")));
}

#[test]
fn d009_x026_the_only_container_is_meant_by_an_unknown_name() {
    let text =
        trigger("automatic: true, containerNames: [marsview], from: {name: 'marsview:latest'}");
    warns(
        &text,
        "D9 deploymentconfig/web image trigger on marsview:latest names container \"marsview\", but the pod template has only: main",
    );
    assert_eq!(workload(&text).triggers[0].containers[0].name, "main");
    let policy = Policy { strict_openshift: true, ..Policy::default() };
    let file = parse_file("f.yaml", text.as_bytes(), None, &policy);
    let Entry::Object(Object::Workload(workload)) = &file.entries[0] else { panic!() };
    assert!(workload.triggers[0].containers.is_empty());
}

#[test]
fn d021b_the_hash_leaves_out_images_of_automatic_triggers_only() {
    let with = |image: &str, automatic: bool| {
        let text = trigger(&format!(
            "automatic: {automatic}, containerNames: [main], from: {{name: 'a:b'}}"
        ));
        workload(&text.replace("image: x", &format!("image: {image}"))).template
    };
    assert_eq!(with("x", true), with("y", true));
    assert_ne!(with("x", false), with("y", false));
    let reordered = dc("").replace("{name: main, image: x}", "{image: x, name: main, env: null}");
    assert_eq!(workload(&dc("")).template, workload(&reordered).template);
}

#[test]
fn d030_the_trigger_that_loses_sets_nothing() {
    let one = |tag: &str| {
        format!(
            "{{type: ImageChange, imageChangeParams: {{automatic: true, containerNames: [main], from: {{name: 'a:{tag}'}}}}}}"
        )
    };
    let text = dc(&format!("  triggers: [{}, {}]\n", one("1"), one("2")));
    warns(&text, "D30 only one trigger may reference each container: main");
    let workload = workload(&text);
    assert!(workload.triggers[0].containers.is_empty());
    assert_eq!(workload.triggers[1].containers.len(), 1);
}

fn entry(rest: &str) -> String {
    deployment(&format!("[{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":\"a:1\"}},{rest}}}]"))
}

const MAIN: &str = r#""fieldPath":"spec.template.spec.containers[?(@.name==\"main\")].image""#;

#[test]
fn t001_only_annotated_workloads_are_ours() {
    let plain = deployment("[]").replace("image.openshift.io/triggers", "other");
    assert!(matches!(read(&plain).entries[..], [Entry::Companion(_)]));
    let targeted = plain.replace("other: |-\n      []", "tidegate.dev/target: podman");
    let workload = workload(&targeted);
    assert!(workload.config_change && workload.triggers.is_empty());
    assert_eq!(workload.target.as_ref().unwrap().as_str(), "podman");
}

#[test]
fn t002_a_path_outside_the_template_is_a_warning() {
    warns(
        &entry(r#""fieldPath":"spec.jobTemplate.spec.template.spec.containers[0].image""#),
        "T2 trigger on deployment/web: field path",
    );
    let cron = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: c, annotations: {image.openshift.io/triggers: '[{\"from\":{\"kind\":\"ImageStreamTag\",\"name\":\"a:1\"},\"fieldPath\":\"spec.jobTemplate.spec.template.spec.containers[0].image\"}]'}}\nspec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: {containers: [{name: main}]}}}}}\n";
    let workload = workload(cron);
    assert_eq!((workload.object.kind, workload.triggers.len()), (Kind::CronJob, 1));
}

#[test]
fn t003_x028_field_paths_by_index_and_by_name() {
    let container = |path: &str| {
        workload(&entry(&format!("\"fieldPath\":\"spec.template.spec.{path}.image\""))).triggers[0]
            .containers[0]
            .to_string()
    };
    assert_eq!(container("containers[0]"), "container main");
    assert_eq!(container(r#"containers[?(@.name==\"main\")]"#), "container main");
    assert_eq!(container("containers[?(@.name=='main')]"), "container main");
    assert_eq!(container("containers[?( @.name == 'side car' )]"), "container side car");
    assert_eq!(container(r#"containers[?(@.name==\\\"main\\\")]"#), "container main");
    assert_eq!(container("initContainers[0]"), "init container init");
    rejects(
        &entry(r#""fieldPath":"spec.template.spec.containers[9].image""#),
        "T3 annotation `image.openshift.io/triggers` of deployment/web: no such container",
    );
    rejects(
        &entry(r#""fieldPath":"spec.template.spec.containers[?(@.image=='a')].image""#),
        "field path is not valid",
    );
    rejects(
        &entry(r#""fieldPath":"spec.template.spec.containers[0].name""#),
        "field path is not valid",
    );
}

#[test]
fn t004_x028_duplicate_paths_reject_the_object() {
    let one = format!("{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":\"a:1\"}},{MAIN}}}");
    rejects(&deployment(&format!("[{one},{one}]")), "T4");
}

#[test]
fn t005_x028_paused_may_be_text_and_bad_json_is_named() {
    let automatic = |paused: &str| {
        workload(&entry(&format!("{MAIN},\"paused\":{paused}"))).triggers[0].automatic
    };
    assert!(automatic("false") && automatic("\"false\""));
    assert!(!automatic("true") && !automatic("\"true\""));
    rejects(&entry(&format!("{MAIN},\"paused\":\"maybe\"")), "T5");
    rejects(&deployment("[{"), "not JSON");
    warns(&entry(&format!("{MAIN},\"pause\":true")), "T5 unknown key `pause`");
}

#[test]
fn t006_x027_entries_that_cannot_be_used_are_left_out_with_a_warning() {
    let with = |from: &str| deployment(&format!("[{{\"from\":{{{from}}},{MAIN}}}]"));
    warns(
        &with("\"kind\":\"ImageStreamTag\",\"name\":\"a\""),
        "T6 trigger on deployment/web must be in the form of <name>:<tag>, not `a`",
    );
    warns(&with("\"kind\":\"DockerImage\",\"name\":\"a:1\""), "T6");
    warns(&with("\"kind\":\"ImageStreamTag\",\"name\":\"a:1\",\"apiVersion\":\"v1\""), "T6");
}
