//! `DeploymentConfig`s: fields, defaults and validation (sections 1.1 to 1.3 of the triggers specification).

mod fields;

use crate::fact::{ContainerList, ContainerRef};
use crate::names::{Kind, StreamName, StreamTag};

use super::marks::{Step, show};
use super::object::{Bearer, Draft, ObjectReference, Ours, steps};
use super::pod::{self, Pod};
use super::workload::{self, Settings};
use super::{ImageTrigger, Workload};
use fields::{Budget, Fields, Hook, ImageChange, Rolling, Spec, Trigger};

/// The rule of a trigger that names a container that there is not.
pub(crate) const MISNAMED: &str = "D9";

/// Reads a DeploymentConfig.
pub(crate) fn read(draft: &Draft<'_>) -> Option<Workload> {
    let fields: Fields = draft.read()?;
    let (meta, spec) = (&fields.metadata, &fields.spec);
    let key = draft.subdomain_name(Kind::DeploymentConfig, &meta.name);
    let annotations = steps!["metadata", "annotations"];
    let ours = Ours::new(draft, &meta.annotations, annotations, Bearer::Workload);
    let settings = Settings::read(&ours);
    let pod = Pod::read(draft, &["spec", "template"])?;
    check_spec(draft, spec, &pod, &meta.name);
    check_strategy(draft, spec, &pod);
    let (triggers, config_change) = match &spec.triggers {
        None => (Vec::new(), true), // D3: absent is not empty
        Some(triggers) => read_triggers(draft, triggers, &pod, &meta.name),
    };
    pod.check_images(draft, &triggers);
    warn_of_rings(draft, spec, &triggers, &meta.name);
    if !draft.errors.borrow().is_empty() {
        return None;
    }
    Some(workload::assemble(draft, key?, &pod, triggers, settings, |workload| {
        workload.config_change = config_change;
        workload.paused |= spec.paused;
    }))
}

fn check_spec(draft: &Draft<'_>, spec: &Spec, pod: &Pod<'_>, name: &str) {
    let number = |rule: &str, key: &str, detail: &str| {
        let path = steps!["spec", key];
        let value = draft.node.at(&["spec", key]).and_then(super::yaml::Node::as_text);
        let value = value.unwrap_or_default();
        draft.error(rule, path, format!("{}: Invalid value: {value}: {detail}", show(path)));
    };
    match spec.replicas {
        None => draft.warn_with_hint(
            "D2",
            steps!["spec"],
            super::marks::End::Key,
            format!("deploymentconfig/{name} has no spec.replicas; it will run 0 replicas"),
            Some("write `replicas: 1` below `spec`".into()),
        ),
        Some(replicas) if replicas < 0 => number("D7.9", "replicas", "replicas cannot be negative"),
        Some(_) => {}
    }
    if spec.min_ready_seconds < 0 {
        number("D7.5", "minReadySeconds", "must be non-negative");
    }
    if spec.revision_history_limit.is_some_and(|limit| limit < 0) {
        number("D7.5", "revisionHistoryLimit", "must be non-negative");
    }
    let labels = pod.node.at(&["metadata", "labels"]);
    let has_labels = labels.is_some_and(|labels| !labels.entries().is_empty());
    if spec.selector.is_empty() && !has_labels {
        let text = "spec.selector: Invalid value: null: selector cannot be empty";
        draft.error_with_hint(
            "D7.10",
            steps!["spec", "selector"],
            text,
            Some("give the pod template labels, or write a selector".into()),
        );
    }
    for (key, value) in &spec.selector {
        let found = labels.and_then(|labels| labels.get(key)).and_then(super::yaml::Node::as_text);
        if found.unwrap_or_default() != value {
            let text = "spec.template.metadata.labels: Invalid value: `selector` does not match template labels";
            let hint = format!("add `{key}: {value}` to the labels of the template");
            draft.error_with_hint("D7.10", steps!["spec", "selector"], text, Some(hint));
        }
    }
}

/// D7.1 to D7.8, D7.11 to D7.13, D7.15.
fn check_strategy(draft: &Draft<'_>, spec: &Spec, pod: &Pod<'_>) {
    let strategy = &spec.strategy;
    let at = steps!["spec", "strategy"];
    let deadline = strategy.active_deadline_seconds.unwrap_or(21_600);
    if deadline < 1 {
        let path = steps!["spec", "strategy", "activeDeadlineSeconds"];
        let text = format!("{}: Invalid value: {deadline}: must be >0", show(path));
        draft.error("D7.1", path, text);
    }
    let mut timeout = 600;
    match strategy.r#type.as_str() {
        "" | "Rolling" => {
            if let Some(rolling) = &strategy.rolling_params {
                timeout = rolling.timeout_seconds.unwrap_or(600);
                check_rolling(draft, rolling);
                let at = steps!["spec", "strategy", "rollingParams"];
                check_hooks(draft, pod, at, &[("pre", &rolling.pre), ("post", &rolling.post)]);
            }
        }
        "Recreate" => {
            if let Some(recreate) = &strategy.recreate_params {
                timeout = recreate.timeout_seconds.unwrap_or(600);
                positive(draft, "recreateParams", "timeoutSeconds", recreate.timeout_seconds);
                let at = steps!["spec", "strategy", "recreateParams"];
                let hooks =
                    [("pre", &recreate.pre), ("mid", &recreate.mid), ("post", &recreate.post)];
                check_hooks(draft, pod, at, &hooks);
            }
        }
        "Custom" => {
            if strategy.custom_params.is_none() {
                draft.required("D7.15", steps!["spec", "strategy", "customParams"], "");
            }
            if !draft.policy.custom_strategies {
                not_enabled(draft, steps!["spec", "strategy", "type"], "\"Custom\"");
            }
        }
        other => {
            let path = steps!["spec", "strategy", "type"];
            let detail =
                "unsupported strategy type, use \"Custom\" instead and specify your own strategy";
            draft.invalid("D7.8", path, other, detail);
        }
    }
    if let Some(custom) = &strategy.custom_params {
        check_custom(draft, strategy, custom);
    }
    if i64::from(spec.min_ready_seconds) >= timeout {
        let text = format!(
            "spec.minReadySeconds: Invalid value: {}: must be less than the deployment timeout ({timeout}s)",
            spec.min_ready_seconds
        );
        draft.error("D7.6", steps!["spec", "minReadySeconds"], text);
    }
    if timeout >= deadline && deadline >= 1 {
        let text = format!(
            "spec.strategy: Invalid value: {timeout}: must be less than activeDeadlineSeconds ({deadline}s - used by the deployer pod)"
        );
        draft.error("D7.7", at, text);
    }
}

/// D38: it stands in for the strategy of the other types, too.
fn check_custom(draft: &Draft<'_>, strategy: &fields::Strategy, custom: &fields::Custom) {
    if !draft.policy.custom_strategies && strategy.r#type != "Custom" {
        not_enabled(draft, steps!["spec", "strategy", "customParams"], "");
    }
    if draft.policy.custom_strategies && custom.image.trim().is_empty() {
        let path = steps!["spec", "strategy", "customParams", "image"];
        draft.required("D38", path, "OpenShift's deployer, which it stands for there, is not here");
    }
}

/// D38: a rollout by an image of the user's own.
fn not_enabled(draft: &Draft<'_>, path: &[Step], value: &str) {
    let value = if value.is_empty() { String::new() } else { format!("Invalid value: {value}: ") };
    let text = format!("{}: {value}strategy Custom is not enabled", show(path));
    let hint = "use Rolling or Recreate with hooks, a target of kind `exec` that runs a program of yours, or set \
                `custom_strategies = true`";
    draft.error_with_hint("D38", path, text, Some(hint.into()));
}

fn positive(draft: &Draft<'_>, params: &str, key: &str, value: Option<i64>) {
    if let Some(value) = value.filter(|value| *value < 1) {
        let path = steps!["spec", "strategy", params, key];
        draft.error("D7.1", path, format!("{}: Invalid value: {value}: must be >0", show(path)));
    }
}

/// D4, D7.1 to D7.5.
fn check_rolling(draft: &Draft<'_>, rolling: &Rolling) {
    positive(draft, "rollingParams", "intervalSeconds", rolling.interval_seconds);
    positive(draft, "rollingParams", "updatePeriodSeconds", rolling.update_period_seconds);
    positive(draft, "rollingParams", "timeoutSeconds", rolling.timeout_seconds);
    let at = |key: &str| steps!["spec", "strategy", "rollingParams", key].to_vec();
    for (key, budget) in
        [("maxUnavailable", &rolling.max_unavailable), ("maxSurge", &rolling.max_surge)]
    {
        let path = at(key);
        let wrong = |rule: &str, value: String, detail: &str| {
            draft.error(rule, &path, format!("{}: Invalid value: {value}: {detail}", show(&path)));
        };
        match budget {
            Some(Budget::Neither(text)) => {
                wrong("D7.4", format!("{text:?}"), "value should be int(5) or percentage(5%)");
            }
            Some(Budget::Count(count)) if *count < 0 => {
                wrong("D7.5", count.to_string(), "must be non-negative");
            }
            Some(Budget::Percent(percent)) if *percent < 0 => {
                wrong("D7.5", format!("\"{percent}%\""), "must be non-negative");
            }
            Some(Budget::Percent(percent)) if *percent > 100 && key == "maxUnavailable" => {
                wrong("D7.3", format!("\"{percent}%\""), "should not be more than 100%");
            }
            Some(Budget::Count(_) | Budget::Percent(_)) | None => {}
        }
    }
    // D4: a single zero makes the other 25%, so only two written zeros can both be zero.
    if let (Some(unavailable), Some(surge)) = (&rolling.max_unavailable, &rolling.max_surge)
        && unavailable.is_zero()
        && surge.is_zero()
    {
        let path = at("maxUnavailable");
        let detail = "cannot be 0 when maxSurge is 0 as well";
        draft.error("D7.2", &path, format!("{}: Invalid value: 0: {detail}", show(&path)));
    }
}

fn check_hooks(draft: &Draft<'_>, pod: &Pod<'_>, at: &[Step], hooks: &[(&str, &Option<Hook>)]) {
    for (name, hook) in hooks {
        let Some(hook) = hook else { continue };
        let below = |keys: &[&str]| -> Vec<Step> {
            let keys = std::iter::once(name).chain(keys).map(|key| Step::Key((*key).into()));
            at.iter().cloned().chain(keys).collect()
        };
        check_hook(draft, pod, hook, &below);
    }
}

/// D7.11 to D7.13, D7.15.
fn check_hook(draft: &Draft<'_>, pod: &Pod<'_>, hook: &Hook, below: &dyn Fn(&[&str]) -> Vec<Step>) {
    let here = below(&[]);
    match hook.failure_policy.as_str() {
        "" => draft.required("D7.15", &below(&["failurePolicy"]), ""),
        "Abort" | "Retry" | "Ignore" => {}
        other => {
            let detail = "must be Abort, Retry or Ignore";
            draft.invalid("D7.15", &below(&["failurePolicy"]), other, detail);
        }
    }
    if hook.failure_policy == "Abort" && here.last() == Some(&Step::Key("post".into())) {
        let text = format!(
            "{}: a failure of this hook takes a revision back that runs already",
            show(&here)
        );
        let hint = "write `failurePolicy: Ignore` if the rollout is to stay";
        draft.note("D40.5", &below(&["failurePolicy"]), text, hint);
    }
    let say = |detail: &str| {
        draft.error("D7.11", &here, format!("{}: Invalid value: {detail}", show(&here)));
    };
    match (&hook.exec_new_pod, hook.tag_images.is_empty()) {
        (Some(_), false) => say("only one of 'execNewPod' or 'tagImages' may be specified"),
        (None, true) => say("One of execNewPod or tagImages must be specified"),
        (Some(_), true) | (None, false) => {}
    }
    let known = |name: &str| pod.containers.iter().any(|c| c.container.name == name);
    let check_container = |name: &str, path: &[Step]| {
        // D5: the only container is meant where none is named.
        if name.is_empty() && pod.containers.len() == 1 {
            return;
        }
        if !known(name) {
            draft.invalid("D7.12", path, name, &format!("no container {name:?} found"));
        }
    };
    if let Some(exec) = &hook.exec_new_pod {
        if exec.command.is_empty() {
            draft.required("D7.15", &below(&["execNewPod", "command"]), "");
        }
        check_container(&exec.container_name, &below(&["execNewPod", "containerName"]));
    }
    for (index, tag) in hook.tag_images.iter().enumerate() {
        let mut path = below(&["tagImages"]);
        path.push(Step::Index(index));
        check_container(&tag.container_name, &path);
        path.push(Step::Key("to".into()));
        if tag.to.kind != "ImageStreamTag" {
            draft.invalid("D7.13", &path, &tag.to.kind, "Must be 'ImageStreamTag'");
        }
        if tag.to.name.is_empty() {
            draft.required("D7.13", &path, "a destination tag name is required");
        }
    }
}

/// X2: a hook that writes the tag that rolls its own object out.
fn warn_of_rings(draft: &Draft<'_>, spec: &Spec, triggers: &[ImageTrigger], name: &str) {
    let mut hooks: Vec<(&str, &str, &Option<Hook>)> = Vec::new();
    if let Some(rolling) = &spec.strategy.rolling_params {
        hooks.extend(
            [("pre", &rolling.pre), ("post", &rolling.post)].map(|(n, h)| ("rollingParams", n, h)),
        );
    }
    if let Some(recreate) = &spec.strategy.recreate_params {
        let all = [("pre", &recreate.pre), ("mid", &recreate.mid), ("post", &recreate.post)];
        hooks.extend(all.map(|(n, h)| ("recreateParams", n, h)));
    }
    for (params, which, hook) in hooks {
        let tags = hook.iter().flat_map(|hook| &hook.tag_images).enumerate();
        for (index, tag) in tags {
            let namespace = match tag.to.namespace.as_str() {
                "" => draft.namespace.as_str(),
                other => other,
            };
            let Ok(to) = format!("{namespace}/{}", tag.to.name).parse::<StreamTag>() else {
                continue;
            };
            if triggers.iter().any(|trigger| trigger.automatic && trigger.from == to) {
                let path = steps!["spec", "strategy", params, which, "tagImages", index];
                let ring = format!("dc/{name} -> {to} -> dc/{name}");
                draft.warn_with_hint(
                    "X2",
                    path,
                    super::marks::End::Value,
                    format!("Cycle detected in triggers and hooks: {ring}"),
                    Some("the hook does not write this tag; let it write another one".into()),
                );
            }
        }
    }
}

fn read_triggers(
    draft: &Draft<'_>,
    triggers: &[Trigger],
    pod: &Pod<'_>,
    name: &str,
) -> (Vec<ImageTrigger>, bool) {
    let mut read = Vec::new();
    let mut config_change = false;
    for (index, trigger) in triggers.iter().enumerate() {
        let path = steps!["spec", "triggers", index];
        match trigger.r#type.as_str() {
            "" => draft.required("D7.15", steps!["spec", "triggers", index, "type"], ""),
            "ConfigChange" => config_change = true,
            "ImageChange" => match &trigger.image_change_params {
                None => {
                    let path = steps!["spec", "triggers", index, "imageChangeParams"];
                    draft.required("D7.15", path, "");
                }
                Some(change) => read.extend(image_change(draft, index, change, pod, name)),
            },
            other => draft.warn_with_hint(
                "trigger-type",
                path,
                super::marks::End::Value,
                format!("trigger type `{other}` is not known; the trigger is without effect"),
                Some("the types are `ConfigChange` and `ImageChange`".into()),
            ),
        }
    }
    pod::last_wins(draft, &mut read, steps!["spec", "triggers"]);
    (read, config_change)
}

/// D5, D7.14, D7.15, D9.
fn image_change(
    draft: &Draft<'_>,
    index: usize,
    change: &ImageChange,
    pod: &Pod<'_>,
    name: &str,
) -> Option<ImageTrigger> {
    let at = |keys: &[&str]| -> Vec<Step> {
        let mut path = steps!["spec", "triggers", index, "imageChangeParams"].to_vec();
        path.extend(keys.iter().map(|key| Step::Key((*key).into())));
        path
    };
    if !change.last_triggered_image.is_empty() {
        let path = at(&["lastTriggeredImage"]);
        draft.warn("0.4.3", &path, format!("ignoring status field {}", show(&path)));
    }
    let from = read_from(draft, &change.from, &at)?;
    if change.container_names.is_empty() {
        draft.required("D7.15", &at(&["containerNames"]), "");
    }
    let mut containers = Vec::new();
    for wanted in &change.container_names {
        let found = pod.containers.iter().find(|c| c.container.name == *wanted);
        if let Some(found) = found {
            containers.push(found.container.clone());
            continue;
        }
        let warning = format!(
            "deploymentconfig/{name} image trigger on {}:{} names container {wanted:?}, but the pod template has only: {}",
            from.stream.name,
            from.tag,
            pod.names()
        );
        let regular: Vec<&ContainerRef> = pod
            .containers
            .iter()
            .map(|c| &c.container)
            .filter(|c| c.list == ContainerList::Regular)
            .collect();
        let repair = match &regular[..] {
            [only] if change.container_names.len() == 1 && !draft.policy.strict_openshift => {
                containers.push((*only).clone());
                format!("the trigger is applied to `{}`, the only container there is", only.name)
            }
            _ => "the trigger is without effect on it".into(),
        };
        let end = super::marks::End::Value;
        draft.warn_with_hint(MISNAMED, &at(&["containerNames"]), end, warning, Some(repair));
    }
    Some(ImageTrigger { from, containers, automatic: change.automatic })
}

fn read_from(
    draft: &Draft<'_>,
    from: &ObjectReference,
    at: &dyn Fn(&[&str]) -> Vec<Step>,
) -> Option<StreamTag> {
    if !matches!(from.kind.as_str(), "" | "ImageStreamTag") {
        let path = at(&["from", "kind"]);
        draft.invalid("D7.14", &path, &from.kind, "kind must be an ImageStreamTag");
        return None;
    }
    let path = at(&["from", "name"]);
    if from.name.is_empty() {
        draft.required("D7.14", &path, "");
        return None;
    }
    let namespace = match from.namespace.as_str() {
        "" => Some(draft.namespace.clone()),
        text => text.parse().ok(),
    };
    let Some(namespace) = namespace else {
        let path = at(&["from", "namespace"]);
        draft.invalid("D7.14", &path, &from.namespace, "namespace must be a valid subdomain");
        return None;
    };
    let form = || draft.invalid("D7.14", &path, &from.name, "must be in the form of <name>:<tag>");
    let split = from.name.split_once(':').and_then(|(stream, tag)| {
        Some(StreamName::new(namespace, stream.parse().ok()?).tag(tag.parse().ok()?))
    });
    if split.is_none() {
        form();
    }
    split
}
