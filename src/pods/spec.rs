//! From a manifest to what a host has to know of it.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::hook::{self, Dress, Hook, Hooks};
use super::rolling::{Amount, Budget};
use super::{Pods, Publish, Strategy, Unsupported, config, unsupported};
use crate::limits::HOST_INSTANCES_MAX;
use crate::names::{Kind, ObjectKey};

/// Kubernetes' default of `terminationGracePeriodSeconds`.
const GRACE: u64 = 30;

/// OpenShift's default of `timeoutSeconds` and Kubernetes' of `progressDeadlineSeconds`.
const TIMEOUT: u64 = 600;

/// OpenShift's default of `activeDeadlineSeconds`.
const DEADLINE: u64 = 21_600;

/// Kubernetes' and OpenShift's default of `revisionHistoryLimit`.
const HISTORY: usize = 10;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    annotations: Option<Map<String, Value>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<u32>,
    min_ready_seconds: Option<u64>,
    revision_history_limit: Option<usize>,
    progress_deadline_seconds: Option<u64>,
    strategy: Option<StrategySpec>,
    template: Option<Value>,
    job_template: Option<Value>,
    volume_claim_templates: Option<Vec<Value>>,
    update_strategy: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct StrategySpec {
    r#type: Option<String>,
    active_deadline_seconds: Option<u64>,
    rolling_params: Option<Params>,
    recreate_params: Option<Params>,
    custom_params: Option<Value>,
    rolling_update: Option<Params>,
    #[serde(flatten)]
    dress: Dress,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Params {
    timeout_seconds: Option<u64>,
    update_period_seconds: Option<u64>,
    max_surge: Option<Value>,
    max_unavailable: Option<Value>,
    pre: Option<Value>,
    mid: Option<Value>,
    post: Option<Value>,
}

pub(super) fn read(object: &ObjectKey, manifest: &[u8]) -> Result<Pods, Unsupported> {
    let read: Object = match serde_json::from_slice(manifest) {
        Ok(read) => read,
        Err(error) => return unsupported(format!("the manifest cannot be read: {error}")),
    };
    check_update(read.spec.update_strategy.as_ref())?;
    let Spec { replicas, template, job_template, strategy, volume_claim_templates, .. } = read.spec;
    let (template, default) = match object.kind {
        Kind::DeploymentConfig => (template, 0), // rule D2
        Kind::CronJob => {
            super::cron::cron(manifest)?;
            // Its pods are those of its runs.
            (job_template.and_then(|job| job.pointer("/spec/template").cloned()), 0)
        }
        Kind::Pod => (Some(own_template(manifest)?), 1),
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => (template, 1),
        Kind::ImageStream | Kind::BuildConfig => {
            return unsupported(format!("a {} does not run on this kind of target", object.kind));
        }
    };
    let claims = claims(volume_claim_templates.unwrap_or_default())?;
    let Some(template) = template.filter(Value::is_object) else {
        return unsupported("there is no pod template");
    };
    let is_counted = !matches!(object.kind, Kind::CronJob | Kind::DaemonSet | Kind::Pod);
    let replicas = replicas.filter(|_| is_counted).unwrap_or(default);
    let strategy = strategy.unwrap_or_default();
    // What stands there wins with `Recreate`, too (rule D37).
    let rolling = strategy.rolling_params.as_ref().and_then(|params| params.timeout_seconds);
    let (how, params) = match strategy.r#type.as_deref().unwrap_or_default() {
        "Recreate" => (Strategy::Recreate, strategy.recreate_params),
        _ => (Strategy::Rolling, strategy.rolling_params.or(strategy.rolling_update)),
    };
    let params = params.unwrap_or_default();
    let amounts =
        [&params.max_surge, &params.max_unavailable].map(|one| Amount::read(one.as_ref()));
    let is_openshift = object.kind == Kind::DeploymentConfig;
    let budget = Budget::of(replicas, amounts.into(), is_openshift);
    let only = only_container(&template);
    let update_period = params.update_period_seconds.unwrap_or(is_openshift.into());
    let timeout = rolling.or(params.timeout_seconds).or(read.spec.progress_deadline_seconds);
    let hooks = hooks(object, params, how, (only, strategy.dress))?;
    let custom = custom(object, strategy.custom_params, &strategy.r#type)?;
    let annotations = read.metadata.annotations.unwrap_or_default();
    let annotation = |key: &str| annotations.get(key).and_then(Value::as_str);
    let publish = publish(annotation("tidegate.dev/publish").unwrap_or_default())?;
    let mut pods = Pods {
        object: object.clone(),
        replicas,
        strategy: how,
        min_ready: span(read.spec.min_ready_seconds.unwrap_or(0)),
        timeout: span(timeout.unwrap_or(TIMEOUT)),
        deadline: span(strategy.active_deadline_seconds.unwrap_or(DEADLINE)),
        grace: span(grace(&template)),
        budget,
        update_period: span(update_period),
        exclusive: exclusive(&template, &claims),
        history: read.spec.revision_history_limit.unwrap_or(HISTORY).max(2),
        claims,
        hooks,
        publish,
        verify: annotation("tidegate.dev/verify") != Some("false"),
        needs: config::needs(&template)?,
        versions: Vec::new(),
        template,
    };
    if let Some(custom) = custom {
        pods.run_only(custom);
    }
    pods.needs.extend(pods.hooks.needs()?);
    check(&pods).map(|()| pods)
}

/// Whether an annotation of a `Pod` is about the object, and nothing that its instance is to have: what else is there
/// counts as part of its template.
pub(crate) fn is_of_object(annotation: &str) -> bool {
    annotation.starts_with("tidegate.dev/")
        || annotation.starts_with("kubectl.kubernetes.io/")
        || annotation == "image.openshift.io/triggers"
        || annotation == "alpha.image.policy.openshift.io/resolve-names"
}

/// A `Pod` as the template of its one instance (rule R17a).
fn own_template(manifest: &[u8]) -> Result<Value, Unsupported> {
    let mut pod: Value = match serde_json::from_slice(manifest) {
        Ok(pod) => pod,
        Err(error) => return unsupported(format!("the manifest cannot be read: {error}")),
    };
    if let Some(policy) = pod.pointer("/spec/restartPolicy").and_then(Value::as_str)
        && policy != "Always"
    {
        return unsupported(format!(
            "`restartPolicy: {policy}` is for a pod that ends by itself, and a rollout is done when it runs; leave the line out, \
             or make it a CronJob"
        ));
    }
    let part = |path: &str| pod.pointer_mut(path).map(Value::take).unwrap_or_default();
    let [labels, mut annotations, spec] =
        ["/metadata/labels", "/metadata/annotations", "/spec"].map(part);
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.retain(|key, _| !is_of_object(key));
    }
    Ok(json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec}))
}

/// What is run in place of a rollout (rule D38). Whether that is enabled was looked at when the manifest was read.
fn custom(
    object: &ObjectKey,
    params: Option<Value>,
    kind: &Option<String>,
) -> Result<Option<Hook>, Unsupported> {
    let params = params.filter(|params| !params.is_null() && object.kind == Kind::DeploymentConfig);
    match (params, kind.as_deref()) {
        (Some(params), _) => hook::custom(params).map(Some),
        (None, Some("Custom")) => unsupported("strategy Custom has no `customParams`"),
        (None, _) => Ok(None),
    }
}

/// The hooks of a strategy, and what their pods have of it.
fn hooks(
    object: &ObjectKey,
    params: Params,
    how: Strategy,
    (only, dress): (Option<&str>, Dress),
) -> Result<Hooks, Unsupported> {
    Ok(Hooks {
        pre: hook::read(object, "pre", params.pre, only)?,
        mid: hook::read(object, "mid", params.mid, only)?.filter(|_| how == Strategy::Recreate),
        post: hook::read(object, "post", params.post, only)?,
        dress,
    })
}

/// `updateStrategy` of a `StatefulSet` or a `DaemonSet`: what is to wait for somebody is not rolled out all the same.
fn check_update(update: Option<&Value>) -> Result<(), Unsupported> {
    let Some(update) = update else { return Ok(()) };
    if update.get("type").and_then(Value::as_str) == Some("OnDelete") {
        return unsupported(
            "`updateStrategy: OnDelete` is not done here; leave it out, or pause it",
        );
    }
    let partition = update.pointer("/rollingUpdate/partition").and_then(Value::as_u64);
    match partition {
        Some(1..) => unsupported("`partition` of `updateStrategy` is not done here; leave it out"),
        Some(0) | None => Ok(()),
    }
}

/// A time that a manifest asks for. What is longer than any machine runs is cut, so that it can be added to an instant.
pub(super) fn span(seconds: u64) -> Duration {
    Duration::from_secs(seconds.min(u32::MAX.into()))
}

/// The container that is meant where none is named.
fn only_container(template: &Value) -> Option<&str> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    match containers.map(Vec::as_slice) {
        Some([only]) => only.get("name").and_then(Value::as_str),
        _ => None,
    }
}

/// What would be found out too late, or by nobody.
pub(super) fn check(pods: &Pods) -> Result<(), Unsupported> {
    if pods.replicas > HOST_INSTANCES_MAX {
        return unsupported(format!(
            "`replicas` is {}, and one host runs at most {HOST_INSTANCES_MAX} instances of a workload",
            pods.replicas
        ));
    }
    if pods.replicas > 1 && pods.publishes() {
        return unsupported("replicas > 1 needs a host port range"); // rule R14
    }
    let sources = pods.template.pointer("/spec/volumes").and_then(Value::as_array);
    for volume in sources.into_iter().flatten() {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        let known = ["configMap", "emptyDir", "hostPath", "persistentVolumeClaim", "secret"];
        let is_odd = |key: &&String| *key != "name" && !known.contains(&key.as_str());
        if let Some(odd) = volume.as_object().and_then(|volume| volume.keys().find(is_odd)) {
            let known = known.map(|kind| format!("`{kind}`")).join(", ");
            return unsupported(format!(
                "volume `{name}` is a `{odd}`, which is not known to this kind of target; it knows {known}"
            ));
        }
    }
    for container in pods.containers() {
        check_ports(container)?;
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let mounts = container.get("volumeMounts").and_then(Value::as_array).into_iter().flatten();
        let is_part = |mount: &&Value| {
            ["subPath", "subPathExpr"].iter().any(|key| {
                mount.get(*key).and_then(Value::as_str).is_some_and(|path| !path.is_empty())
            })
        };
        if let Some(mount) = mounts.into_iter().find(is_part) {
            let volume = mount.get("name").and_then(Value::as_str).unwrap_or_default();
            return unsupported(format!(
                "container `{name}` mounts a part of volume `{volume}` (`subPath`), and podman would mount all of it"
            ));
        }
    }
    let inits = pods.template.pointer("/spec/initContainers").and_then(Value::as_array);
    for container in inits.into_iter().flatten() {
        if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
            let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
            return unsupported(format!(
                "init container `{name}` is to run beside the others (`restartPolicy: Always`), and podman would wait for its \
                 end"
            ));
        }
    }
    pods.probes().map(drop)
}

fn grace(template: &Value) -> u64 {
    let grace = template.pointer("/spec/terminationGracePeriodSeconds");
    grace.and_then(Value::as_u64).unwrap_or(GRACE)
}

/// Why two instances cannot run beside each other (rule R12). A port of the host is no reason: what is tried publishes
/// none.
fn exclusive(template: &Value, claims: &[String]) -> Option<String> {
    if let Some(claim) = claims.first() {
        return Some(cannot_be_shared(claim));
    }
    if template.pointer("/spec/hostNetwork").and_then(Value::as_bool) == Some(true) {
        return Some("it uses the network of the host".into());
    }
    let volumes = template.pointer("/spec/volumes").and_then(Value::as_array)?;
    volumes.iter().find_map(|volume| {
        let name = volume.get("name").and_then(Value::as_str).unwrap_or_default();
        let claim = volume.get("persistentVolumeClaim").filter(|claim| !claim.is_null());
        let read_only = claim.and_then(|claim| claim.get("readOnly")).and_then(Value::as_bool);
        let path = volume.get("hostPath").filter(|path| !path.is_null());
        let is_shared = match (claim, path) {
            (Some(_), _) => read_only == Some(true),
            (None, Some(_)) => is_mounted_read_only(template, name),
            (None, None) => true,
        };
        (!is_shared).then(|| cannot_be_shared(name))
    })
}

fn cannot_be_shared(volume: &str) -> String {
    format!("volume {volume:?} cannot be shared")
}

/// The names of claim templates.
fn claims(templates: Vec<Value>) -> Result<Vec<String>, Unsupported> {
    let name = |claim: Value| match claim.pointer("/metadata/name").and_then(Value::as_str) {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => unsupported("one of `volumeClaimTemplates` has no name"),
    };
    templates.into_iter().map(name).collect()
}

fn is_mounted_read_only(template: &Value, volume: &str) -> bool {
    let lists = ["/spec/initContainers", "/spec/containers"];
    let containers = lists.iter().filter_map(|list| template.pointer(list)?.as_array()).flatten();
    let mounts = containers.filter_map(|one| one.get("volumeMounts")?.as_array()).flatten();
    let mut ours = mounts.filter(|mount| mount.get("name").and_then(Value::as_str) == Some(volume));
    ours.all(|mount| mount.get("readOnly").and_then(Value::as_bool) == Some(true))
}

/// `8080:8080`, `127.0.0.1:8080:80`, several with commas.
pub(super) fn publish(text: &str) -> Result<Vec<Publish>, Unsupported> {
    let one = |text: &str| {
        let (rest, container) = text.rsplit_once(':')?;
        let (address, host) = match rest.rsplit_once(':') {
            Some((address, host)) => (Some(address_of(address)?), host),
            None => (None, rest),
        };
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        Some(Publish { address, host: port(host)?, container: port(container)? })
    };
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| match one(item) {
            Some(publish) => Ok(publish),
            None => unsupported(format!(
                "`{item}` is not written like `8080:80` or `127.0.0.1:8080:80`"
            )),
        })
        .collect()
}

/// An address, in brackets where it is one of IPv6.
fn address_of(text: &str) -> Option<String> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    Some(inner.parse::<IpAddr>().ok()?.to_string())
}

/// Ports of the host: what is wrong in them podman would say when the old one has ended, and of a line break systemd would
/// make a line of a unit.
fn check_ports(container: &Value) -> Result<(), Unsupported> {
    let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
    for port in container.get("ports").and_then(Value::as_array).into_iter().flatten() {
        let text = |key: &str| port.get(key).and_then(Value::as_str).unwrap_or_default();
        let (address, protocol) = (text("hostIP"), text("protocol"));
        if !address.is_empty() && address.parse::<IpAddr>().is_err() {
            return unsupported(format!(
                "`hostIP` of container `{name}` is no address: {address:?}"
            ));
        }
        for key in ["containerPort", "hostPort"] {
            let number = port.get(key).filter(|number| number.is_number());
            if let Some(number) =
                number.filter(|number| number.as_u64() > Some(65_535) || !number.is_u64())
            {
                return unsupported(format!(
                    "`{key}` of container `{name}` is {number}; a port is at most 65535"
                ));
            }
        }
        if !["", "TCP", "UDP", "SCTP"].contains(&protocol) {
            return unsupported(format!(
                "`protocol` of container `{name}` is {protocol:?}; `TCP`, `UDP` and `SCTP` are known"
            ));
        }
    }
    Ok(())
}

/// Whether a name is one of DNS, and nothing that podman would take for an option.
fn is_label(name: &str) -> bool {
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len()) && name.chars().all(is_known) && !name.starts_with('-')
}

impl Pods {
    /// Its rollout is what a program of the user's own does: no instance is started here, and no hook is run.
    fn run_only(&mut self, program: Hook) {
        self.replicas = 0;
        self.strategy = Strategy::Recreate;
        (self.hooks.pre, self.hooks.mid, self.hooks.post) = (Some(program), None, None);
        self.needs = Vec::new();
    }

    /// Its containers, init containers first.
    pub(super) fn containers(&self) -> impl Iterator<Item = &Value> {
        let lists = ["/spec/initContainers", "/spec/containers"];
        lists.into_iter().filter_map(|list| self.template.pointer(list)?.as_array()).flatten()
    }

    /// What `Service`s call it, given the labels by which each selects pods (rule R17a).
    #[must_use]
    pub fn names_by(&self, services: &BTreeMap<String, BTreeMap<String, String>>) -> Vec<String> {
        let labels = self.template.pointer("/metadata/labels").and_then(Value::as_object);
        let of_template =
            |key: &str| labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
        let own = (self.object.kind == Kind::DeploymentConfig).then_some(self.object.name.as_str());
        let has = |(key, value): (&String, &String)| {
            let label = if key == "deploymentconfig" { own } else { None };
            label.or_else(|| of_template(key)) == Some(value.as_str())
        };
        let named = services
            .iter()
            .filter(|(name, _)| is_label(name) && *name != self.object.name.as_str());
        let named = named.filter(|(_, selector)| !selector.is_empty() && selector.iter().all(has));
        named.map(|(name, _)| name.clone()).collect()
    }

    /// Whether it takes a port of the host.
    #[must_use]
    pub fn publishes(&self) -> bool {
        let ports = self.containers().filter_map(|one| one.get("ports")?.as_array()).flatten();
        let mut fixed = ports.filter_map(|port| port.get("hostPort").and_then(Value::as_u64));
        !self.publish.is_empty() || fixed.any(|port| port != 0)
    }
}
