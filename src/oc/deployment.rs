//! `describe dc` (rule C6).

use serde_json::Value;

use super::kube::{age_of, pairs};
use super::pod_template::{self, strings};
use super::workload::{UNKNOWN, items, text};
use super::{Block, ago};
use crate::api::Time;
use crate::time::Timestamp;

/// Rollouts that are shown: the last, and two before it.
const ROLLOUTS_MAX: usize = 3;

/// Events that are shown.
const EVENTS_MAX: usize = 8;

/// An object with what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// The effective object with its status.
    pub object: &'a Value,
    /// Its replication controllers, oldest first.
    pub controllers: &'a [Value],
    /// Its pods.
    pub pods: &'a [Value],
    /// What happened to it, oldest first.
    pub events: &'a [Value],
    /// What its image triggers set, and whether that runs.
    pub triggers: &'a [String],
    /// What they saw last and what came of it, the newest first.
    pub fired: &'a [String],
    /// What waits, and what releases it.
    pub held: &'a [String],
    /// Its triggers that name a container that there is not, and what is made of them.
    pub misnamed: &'a [String],
    /// The time that ages are counted to.
    pub now: Timestamp,
}

impl Described<'_> {
    /// Describes a `DeploymentConfig`.
    #[must_use]
    pub fn config(&self) -> String {
        let object = self.object;
        let mut block = Block::default();
        block.field("Name", text(object, "/metadata/name"));
        block.field("Namespace", text(object, "/metadata/namespace"));
        if let Some(created) = created(object) {
            block.field("Created", &ago(self.now, created));
        }
        block.map("Labels", &strings(object.pointer("/metadata/labels")));
        block.annotations(&strings(object.pointer("/metadata/annotations")));
        let latest = number(object, "/status/latestVersion").unwrap_or(0);
        let shown = if latest == 0 { "Not deployed".to_owned() } else { latest.to_string() };
        block.field("Latest Version", &shown);
        self.spec(&mut block);
        block.line("");
        self.rollouts(&mut block, latest);
        if !self.fired.is_empty() {
            block.line("");
            self.fired(&mut block);
        }
        self.events(&mut block);
        block.finish()
    }

    fn spec(&self, block: &mut Block) {
        let object = self.object;
        let flag = |path: &str| object.pointer(path).and_then(Value::as_bool) == Some(true);
        block.field("Selector", &selector(object));
        let test = if flag("/spec/test") {
            " (test, will be scaled down between deployments)"
        } else {
            ""
        };
        let replicas = number(object, "/spec/replicas").unwrap_or(0);
        block.field("Replicas", &format!("{replicas}{test}"));
        if flag("/spec/paused") {
            block.field("Paused", "yes");
        }
        for held in self.held {
            block.field("Held", held);
        }
        block.field("Triggers", &triggers(object));
        for warning in self.misnamed {
            block.field("Warning", warning);
        }
        let kind = match text(object, "/spec/strategy/type") {
            "" => "Rolling",
            kind => kind,
        };
        block.field("Strategy", kind);
        strategy(block, object);
        if let Some(seconds) = number(object, "/spec/minReadySeconds").filter(|n| *n > 0) {
            block.field("MinReadySeconds", &seconds.to_string());
        }
        pod_template::write(
            block,
            "Template:",
            object.pointer("/spec/template").unwrap_or(&Value::Null),
        );
    }

    /// What image triggers saw last, if anything (rule T23).
    pub(super) fn fired(&self, block: &mut Block) {
        for (at, fired) in self.fired.iter().enumerate() {
            let label = if at == 0 { "Fired:" } else { "" };
            block.line(&format!("{label}\t{fired}"));
        }
    }

    fn rollouts(&self, block: &mut Block, latest: u64) {
        let key = "/metadata/annotations/openshift.io~1deployment-config.latest-version";
        let revision = |one: &Value| text(one, key).parse::<u64>().unwrap_or(0);
        let Some(last) = self.controllers.iter().find(|one| revision(one) == latest) else {
            return block.field("Latest Deployment", "");
        };
        let is_complete = |one: &&Value| phase(one) == "Complete";
        let active = self.controllers.iter().rev().find(is_complete).map(revision);
        let is_active = |one: &Value| active == Some(revision(one));
        let is_only = self.controllers.len() == 1;
        block.line(&format!("Deployment #{latest} (latest):"));
        self.rollout(block, last, is_active(last) || is_only);
        let older = self.controllers.iter().rev().filter(|one| revision(one) != latest);
        for one in older.take(ROLLOUTS_MAX - 1) {
            block.line(&format!("Deployment #{}:", revision(one)));
            self.rollout(block, one, is_active(one));
        }
    }

    fn rollout(&self, block: &mut Block, one: &Value, verbose: bool) {
        let name = text(one, "/metadata/name");
        if verbose {
            block.field("\tName", name);
        }
        if let Some(created) = created(one) {
            block.field("\tCreated", &ago(self.now, created).to_lowercase());
        }
        block.field("\tStatus", phase(one));
        let count = |path| number(one, path).map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string());
        let (current, desired) = (count("/status/replicas"), count("/spec/replicas"));
        block.field("\tReplicas", &format!("{current} current / {desired} desired"));
        if verbose {
            block.field("\tSelector", &pairs(one.pointer("/spec/selector")));
            block.field("\tLabels", &pairs(one.pointer("/metadata/labels")));
            let is_its = |pod: &Value| text(pod, "/metadata/labels/deployment") == name;
            let is_known = number(one, "/status/replicas").is_some();
            block.field("\tPods Status", &self.phases(is_known, is_its));
        }
    }

    /// How many pods there are in each phase, where that is known.
    pub(super) fn phases(&self, is_known: bool, is_its: impl Fn(&Value) -> bool) -> String {
        if !is_known {
            return UNKNOWN.to_owned();
        }
        let count = |phase: &str| {
            let of_phase = |pod: &&Value| is_its(pod) && text(pod, "/status/phase") == phase;
            self.pods.iter().filter(of_phase).count()
        };
        let [running, waiting] = [count("Running"), count("Pending")];
        let [succeeded, failed] = [count("Succeeded"), count("Failed")];
        format!("{running} Running / {waiting} Waiting / {succeeded} Succeeded / {failed} Failed")
    }

    /// The last events, as `kubectl` lists them.
    pub(super) fn events(&self, block: &mut Block) {
        write_events(block, self.events, self.now);
    }
}

/// The last of some events, as `kubectl` lists them; nothing where there are none.
pub(super) fn write_events(block: &mut Block, events: &[Value], now: Timestamp) {
    let from = events.len().saturating_sub(EVENTS_MAX);
    let shown = events.get(from..).unwrap_or_default();
    if shown.is_empty() {
        return;
    }
    block.line("");
    block.line("Events:");
    block.line("  Type\tReason\tAge\tFrom\tMessage");
    block.line("  ----\t------\t----\t----\t-------");
    for event in shown {
        let age = age_of(event.get("lastTimestamp"), now);
        let fields = ["/type", "/reason"].map(|field| text(event, field));
        let [kind, reason] = fields;
        let (from, message) = (text(event, "/source/component"), text(event, "/message"));
        block.line(&format!("  {kind}\t{reason}\t{age}\t{from}\t{message}"));
    }
}

pub(super) fn created(object: &Value) -> Option<Time> {
    let text = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str)?;
    Some(Time::of(text.parse().ok()?))
}

pub(super) fn number(object: &Value, path: &str) -> Option<u64> {
    object.pointer(path).and_then(Value::as_u64)
}

fn phase(controller: &Value) -> &str {
    text(controller, "/metadata/annotations/openshift.io~1deployment.phase")
}

/// What selects its pods; the labels of its template, where it does not say (rule D1).
fn selector(object: &Value) -> String {
    let own = object
        .pointer("/spec/selector")
        .filter(|own| own.as_object().is_some_and(|o| !o.is_empty()));
    pairs(own.or_else(|| object.pointer("/spec/template/metadata/labels")))
}

fn triggers(object: &Value) -> String {
    if object.pointer("/spec/triggers").is_none_or(Value::is_null) {
        return "Config".to_owned(); // rule D3
    }
    let shown = items(object, "/spec/triggers").filter_map(|trigger| {
        Some(match text(trigger, "/type") {
            "ConfigChange" => "Config".to_owned(),
            "ImageChange" => {
                let params = trigger.get("imageChangeParams")?;
                let (name, tag) = text(params, "/from/name").split_once(':')?;
                let auto = params.get("automatic").and_then(Value::as_bool) == Some(true);
                format!("Image({name}@{tag}, auto={auto})")
            }
            _ => return None,
        })
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn strategy(block: &mut Block, object: &Value) {
    for params in ["recreateParams", "rollingParams"] {
        for (key, label) in
            [("pre", "Pre-deployment"), ("mid", "Mid-deployment"), ("post", "Post-deployment")]
        {
            let path = format!("/spec/strategy/{params}/{key}");
            if let Some(hook) = object.pointer(&path).filter(|hook| hook.is_object()) {
                self::hook(block, label, hook);
            }
        }
    }
}

fn hook(block: &mut Block, label: &str, hook: &Value) {
    let policy = text(hook, "/failurePolicy");
    if let Some(exec) = hook.get("execNewPod") {
        block.line(&format!("  {label} hook (pod type, failure policy: {policy}):"));
        block.field("    Container", text(exec, "/containerName"));
        let command: Vec<&str> = items(exec, "/command").filter_map(Value::as_str).collect();
        block
            .field("    Command", &crate::secret::masked(&command.join(" ")).replace('\n', "\n  "));
        let env = items(exec, "/env").map(|one| {
            let name = text(one, "/name");
            let hidden = crate::secret::sounds_secret(name);
            let value = if hidden { "<hidden>" } else { text(one, "/value") };
            format!("{name}={value}")
        });
        let env = env.collect::<Vec<_>>().join(",");
        if !env.is_empty() {
            block.field("    Env", &crate::secret::masked(&env));
        }
    }
    let mut tags = items(hook, "/tagImages").peekable();
    if tags.peek().is_some() {
        block.line(&format!("  {label} hook (tag images, failure policy: {policy}):"));
    }
    for tag in tags {
        let [container, kind, name, namespace] =
            ["/containerName", "/to/kind", "/to/name", "/to/namespace"].map(|path| text(tag, path));
        let words = format!("container {container} to {kind} {name} {namespace}");
        block.field("    Tag", words.trim_end());
    }
}
