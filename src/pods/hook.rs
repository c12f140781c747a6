//! Lifecycle hooks: a container that runs once before, between or after (rules D40.1, R16).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::config::{self, Need};
use super::render::put;
use super::{LABEL_HOOK, LABEL_OBJECT, LABEL_ROLLOUT, Pods, Unsupported, unsupported};
use crate::fact::{FailurePolicy, RolloutStep, TagImage, TagImages};
use crate::names::{self, ObjectKey, Revision, RolloutKey};

/// Seconds that a hook may take to end (rule D40.1).
const GRACE: u64 = 10;

/// The container of a hook, as OpenShift calls it.
const CONTAINER: &str = "lifecycle";

/// One hook.
#[derive(Clone, PartialEq, Debug)]
pub struct Hook {
    /// What becomes of the rollout when it fails.
    pub policy: FailurePolicy,
    command: Vec<String>,
    pub(super) env: Vec<Value>,
    container: String,
    /// The image of strategy Custom, whose program this is (rule D38); none where it is that of the container.
    image: Option<String>,
    volumes: Vec<String>,
    /// What is written into tags, where it does that in place of running something.
    tags: Vec<TagImage>,
}

/// How a hook ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HookEnd<'a> {
    /// Well.
    Succeeded,
    /// It failed, and the rollout goes on.
    Ignored(&'a str),
    /// It failed, and so does the rollout.
    Failed(&'a str),
}

/// The hooks of a strategy.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Hooks {
    pub(super) pre: Option<Hook>,
    pub(super) mid: Option<Hook>,
    pub(super) post: Option<Hook>,
    pub(super) dress: Dress,
}

/// What a strategy puts on the pods of its hooks (section 1.1): labels, annotations, and the resources of a container that
/// says none.
#[derive(Clone, PartialEq, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Dress {
    labels: Option<Map<String, Value>>,
    annotations: Option<Map<String, Value>>,
    resources: Option<Value>,
}

impl Hooks {
    /// Those that there are.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Hook> {
        [&mut self.pre, &mut self.mid, &mut self.post].into_iter().flatten()
    }

    /// What they need of `ConfigMap`s and `Secret`s.
    pub(super) fn needs(&self) -> Result<Vec<Need>, Unsupported> {
        let mut needs = Vec::new();
        for (name, hook) in [("pre", &self.pre), ("mid", &self.mid), ("post", &self.post)] {
            let Some(hook) = hook else { continue };
            let place = format!("the `{name}` hook");
            config::environment(&json!({"env": hook.env}), &place, &mut needs)?;
        }
        Ok(needs)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    failure_policy: FailurePolicy,
    exec_new_pod: Option<ExecNewPod>,
    #[serde(default)]
    tag_images: Vec<WrittenTag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenTag {
    #[serde(default)]
    container_name: String,
    to: WrittenTo,
}

#[derive(Deserialize)]
struct WrittenTo {
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecNewPod {
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    env: Vec<Value>,
    #[serde(default)]
    container_name: String,
    #[serde(default)]
    volumes: Vec<String>,
}

/// Reads a hook of an object; `only` is the container that is meant where none is named (rule D5).
pub(super) fn read(
    object: &ObjectKey,
    name: &str,
    written: Option<Value>,
    only: Option<&str>,
) -> Result<Option<Hook>, Unsupported> {
    let Some(written) = written.filter(|written| !written.is_null()) else { return Ok(None) };
    let written: Written = match serde_json::from_value(written) {
        Ok(written) => written,
        Err(error) => return unsupported(format!("the `{name}` hook cannot be read: {error}")),
    };
    let container = |named: String| match (named.as_str(), only) {
        ("", Some(only)) => Ok(only.to_owned()),
        ("", None) => unsupported(format!("the `{name}` hook does not name a container")),
        (_, _) => Ok(named),
    };
    let Written { failure_policy: policy, exec_new_pod, tag_images } = written;
    if let Some(ExecNewPod { command, env, container_name, volumes }) = exec_new_pod {
        let (container, tags) = (container(container_name)?, Vec::new());
        return Ok(Some(Hook { policy, command, env, container, image: None, volumes, tags }));
    }
    let tag = |written: WrittenTag| {
        let WrittenTo { namespace, name: to } = written.to;
        let namespace = if namespace.is_empty() { object.namespace.as_str() } else { &namespace };
        let Ok(to) = format!("{namespace}/{to}").parse() else {
            return unsupported(format!(
                "the `{name}` hook tags `{to}`, which is not written like `web:prod`"
            ));
        };
        Ok(TagImage { container: container(written.container_name)?, to })
    };
    let tags = tag_images.into_iter().map(tag).collect::<Result<Vec<_>, _>>()?;
    let (command, env, volumes) = (Vec::new(), Vec::new(), Vec::new());
    Ok(Some(Hook { policy, command, env, container: String::new(), image: None, volumes, tags }))
}

#[derive(Deserialize)]
struct WrittenCustom {
    #[serde(default)]
    image: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    environment: Vec<Value>,
}

/// Reads `customParams`: a program in the place of a rollout (rule D38).
pub(super) fn custom(params: Value) -> Result<Hook, Unsupported> {
    let WrittenCustom { image, command, environment: env } = match serde_json::from_value(params) {
        Ok(written) => written,
        Err(error) => return unsupported(format!("`customParams` cannot be read: {error}")),
    };
    if image.trim().is_empty() {
        return unsupported("`customParams` names no image");
    }
    let (policy, container, image) = (FailurePolicy::Abort, String::new(), Some(image));
    Ok(Hook { policy, command, env, container, image, volumes: Vec::new(), tags: Vec::new() })
}

/// What names call the hook of a step.
fn which(step: RolloutStep) -> &'static str {
    if step == RolloutStep::PreHook {
        "pre"
    } else if step == RolloutStep::MidHook {
        "mid"
    } else {
        "post"
    }
}

/// What is said of a hook of an object that ended (rule D40.6).
#[must_use]
pub fn hook_said(
    object: &ObjectKey,
    step: RolloutStep,
    revision: Revision,
    end: HookEnd<'_>,
) -> String {
    let which = which(step);
    let rollout = format!("{}/{}", object.namespace, names::rollout_name(&object.name, revision));
    match end {
        HookEnd::Succeeded => format!("The {which}-hook for rc {rollout} completed successfully"),
        HookEnd::Ignored(why) => {
            format!("The {which}-hook failed: {why} (ignore), rollout of {rollout} will continue")
        }
        HookEnd::Failed(why) => format!("{which} hook failed: {why}"),
    }
}

/// Whether an image of the user's own runs in place of the rollout of a `DeploymentConfig` (rule D38).
#[must_use]
pub fn is_custom(object: &Value) -> bool {
    let params = object.pointer("/spec/strategy/customParams");
    params.is_some_and(|params| !params.is_null())
}

/// The places of a manifest's hooks, in the order in which they would run; what runs in place of a rollout takes theirs.
#[must_use]
pub fn hooks_of(manifest: &str) -> Vec<&'static str> {
    let object: Value = serde_json::from_str(manifest).unwrap_or_default();
    let strategy = object.pointer("/spec/strategy").unwrap_or(&Value::Null);
    let is_recreated = strategy.get("type").and_then(Value::as_str) == Some("Recreate");
    let (params, places): (_, &[_]) = match is_recreated {
        true => ("recreateParams", &["pre", "mid", "post"]),
        false => ("rollingParams", &["pre", "post"]),
    };
    if is_custom(&object) {
        return vec!["customParams"];
    }
    let params = strategy.get(params).unwrap_or(&Value::Null);
    let has = |place: &&&str| params.get(**place).is_some_and(|hook| !hook.is_null());
    places.iter().filter(has).copied().collect()
}

impl Pods {
    /// The hook of a step.
    #[must_use]
    pub fn hook(&self, step: RolloutStep) -> Option<&Hook> {
        match step {
            RolloutStep::PreHook => self.hooks.pre.as_ref(),
            RolloutStep::MidHook => self.hooks.mid.as_ref(),
            RolloutStep::PostHook => self.hooks.post.as_ref(),
            RolloutStep::Pulling
            | RolloutStep::Verifying
            | RolloutStep::StoppingOld
            | RolloutStep::StartingNew
            | RolloutStep::Checking
            | RolloutStep::Updating
            | RolloutStep::RollingBack => None,
        }
    }

    /// The hooks that write images into tags, in the order in which they come.
    #[must_use]
    pub fn tags(&self) -> Vec<TagImages> {
        let hooks = [RolloutStep::PreHook, RolloutStep::MidHook, RolloutStep::PostHook];
        let hooks = hooks.into_iter().filter_map(|step| Some((step, self.hook(step)?)));
        let hooks = hooks.filter(|(_, hook)| !hook.tags.is_empty());
        let of = |(step, hook): (RolloutStep, &Hook)| TagImages {
            step,
            policy: hook.policy,
            tags: hook.tags.clone(),
        };
        hooks.map(of).collect()
    }

    /// The image that runs in place of a rollout (rule D38).
    #[must_use]
    pub fn custom_image(&self) -> Option<&str> {
        self.hooks.pre.as_ref()?.image.as_deref()
    }

    /// The name of the pod of a hook (rule D10), and that of its container.
    #[must_use]
    pub fn hook_name(&self, step: RolloutStep, revision: Revision) -> [String; 2] {
        let rollout = names::rollout_name(&self.object.name, revision);
        let pod = match self.custom_image() {
            Some(_) => names::deployer_name(&rollout),
            None => names::hook_name(&rollout, which(step)),
        };
        let container = format!("{pod}-{CONTAINER}");
        [pod, container]
    }

    /// What is said of a hook that ended (rule D40.6).
    #[must_use]
    pub fn hook_said(&self, step: RolloutStep, revision: Revision, end: HookEnd<'_>) -> String {
        if self.custom_image().is_none() {
            return hook_said(&self.object, step, revision, end);
        }
        let name = names::rollout_name(&self.object.name, revision);
        match end {
            HookEnd::Succeeded => format!("the program of strategy Custom rolled {name} out"),
            HookEnd::Ignored(why) | HookEnd::Failed(why) => {
                format!("the program of strategy Custom failed: {why}")
            }
        }
    }

    /// The pod of a hook, as JSON.
    #[must_use]
    pub fn hook_pod(
        &self,
        step: RolloutStep,
        key: &RolloutKey,
        revision: Revision,
    ) -> Option<String> {
        let hook = self.hook(step).filter(|hook| hook.tags.is_empty())?;
        let [name, _] = self.hook_name(step, revision);
        let dress = &self.hooks.dress;
        let own = hook.image.as_ref().map(|image| json!({"image": image}));
        let is_it = |one: &&Value| one.get("name").is_some_and(|name| *name == hook.container);
        let of = match &own {
            Some(own) => own,
            None => self.containers().find(is_it)?,
        };
        let mut container = json!({
            "name": CONTAINER,
            "imagePullPolicy": "IfNotPresent",
            "command": hook.command,
            "env": self.hook_env(hook, of, revision),
        });
        for field in ["image", "workingDir", "resources", "securityContext"] {
            if let (Some(value), Some(fields)) = (of.get(field), container.as_object_mut()) {
                fields.insert(field.into(), value.clone());
            }
        }
        if let (Some(resources), Some(fields)) = (&dress.resources, container.as_object_mut()) {
            fields.entry("resources").or_insert_with(|| resources.clone());
        }
        let named = |one: &&Value, key: &str| {
            let name = one.get(key).and_then(Value::as_str).unwrap_or_default();
            hook.volumes.iter().any(|volume| volume == name)
        };
        let list = |value: Option<&Value>| {
            let items = value.and_then(Value::as_array).into_iter().flatten();
            Value::Array(items.filter(|one| named(one, "name")).cloned().collect())
        };
        if let Some(fields) = container.as_object_mut() {
            fields.insert("volumeMounts".into(), list(of.get("volumeMounts")));
        }
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": dress.labels.clone().unwrap_or_default(),
                "annotations": dress.annotations.clone().unwrap_or_default(),
            },
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": GRACE,
                "containers": [container],
                "volumes": list(self.template.pointer("/spec/volumes")),
            },
        });
        if let Some(labels) = pod.pointer_mut("/metadata/labels") {
            let own = [(LABEL_OBJECT, self.object.to_string()), (LABEL_ROLLOUT, key.to_string())];
            put(labels, own.into_iter().chain([(LABEL_HOOK, "true".to_owned())]));
        }
        // As whom the programs of the pod run, and whose its volumes are.
        let security = self.template.pointer("/spec/securityContext");
        let spec = pod.get_mut("spec").and_then(Value::as_object_mut);
        if let (Some(spec), Some(security)) = (spec, security.filter(|found| !found.is_null())) {
            spec.insert("securityContext".into(), security.clone());
        }
        Some(pod.to_string())
    }

    /// The environment of the container, with that of the hook over it and OpenShift's own.
    fn hook_env(&self, hook: &Hook, of: &Value, revision: Revision) -> Vec<Value> {
        let rollout = names::rollout_name(&self.object.name, revision);
        let mut own = vec![
            json!({"name": "OPENSHIFT_DEPLOYMENT_NAME", "value": rollout}),
            json!({"name": "OPENSHIFT_DEPLOYMENT_NAMESPACE", "value": self.object.namespace.to_string()}),
        ];
        if hook.image.is_some() {
            let text = |one: &Value, key: &str| {
                one.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let images = self.containers().map(|one| text(one, "name") + "=" + &text(one, "image"));
            let images = images.collect::<Vec<_>>().join("\n");
            own.push(json!({"name": "ROLLOUT_IMAGES", "value": images}));
        }
        let over: Vec<&Value> = hook.env.iter().chain(&own).collect();
        let is_over = |one: &&Value| over.iter().any(|other| other.get("name") == one.get("name"));
        let base = of.get("env").and_then(Value::as_array).into_iter().flatten();
        let base = base.filter(|one| !is_over(one));
        base.chain(over.iter().copied()).cloned().collect()
    }
}
