//! `describe` of the workloads of Kubernetes itself, as `kubectl` lays it out, with what the image triggers set (rule C9).

use serde_json::Value;

use super::deployment::{Described, created, number};
use super::kube::{age_of, pairs};
use super::pod_template::{self, annotations, strings};
use super::workload::{UNKNOWN, items, text};
use super::{Block, tabs};

impl Described<'_> {
    fn count(&self, path: &str) -> String {
        number(self.object, path).map_or_else(|| UNKNOWN.to_owned(), |count| count.to_string())
    }

    fn text_or(&self, path: &str, default: &str) -> String {
        match text(self.object, path) {
            "" => default.to_owned(),
            found => found.to_owned(),
        }
    }

    fn begin(&self, block: &mut Block) {
        block.field("Name", text(self.object, "/metadata/name"));
        block.field("Namespace", text(self.object, "/metadata/namespace"));
        if let Some(created) = created(self.object) {
            let time = created.timestamp().to_jiff().strftime("%a, %d %b %Y %H:%M:%S +0000");
            block.field("CreationTimestamp", &time.to_string());
        }
    }

    /// Labels and annotations, and what is ours: image triggers, and what waits.
    fn meta(&self, block: &mut Block) {
        block.map("Labels", &strings(self.object.pointer("/metadata/labels")));
        let all = self.object.pointer("/metadata/annotations");
        if strings(all).is_empty() {
            block.field("Annotations", "");
        }
        annotations(block, "Annotations", all);
        for (at, trigger) in self.triggers.iter().enumerate() {
            let label = if at == 0 { "Image Triggers:" } else { "" };
            block.line(&format!("{label}\t{trigger}"));
        }
        self.fired(block);
        for held in self.held {
            block.field("Held", held);
        }
    }

    fn template(&self, block: &mut Block, path: &str) {
        let template = self.object.pointer(path).unwrap_or(&Value::Null);
        pod_template::write(block, "Pod Template:", template);
    }

    /// Lays it out, with the events.
    fn end(&self, mut block: Block) -> String {
        if self.events.is_empty() {
            block.line("Events:\t<none>");
        }
        let text = block.finish_as(str::to_owned);
        let mut events = Block::default();
        self.events(&mut events);
        let events = events.finish_as(str::to_owned);
        tabs::narrow_table(&format!("{text}{}", events.trim_start()))
    }

    /// Describes a `Deployment`.
    #[must_use]
    pub fn deployment(&self) -> String {
        let mut block = Block::default();
        self.begin(&mut block);
        self.meta(&mut block);
        block.field("Selector", &pairs(self.object.pointer("/spec/selector/matchLabels")));
        let desired = number(self.object, "/spec/replicas").unwrap_or(1);
        let [updated, total, available, missing] =
            ["updatedReplicas", "replicas", "availableReplicas", "unavailableReplicas"]
                .map(|key| self.count(&format!("/status/{key}")));
        block.field(
            "Replicas",
            &format!(
                "{desired} desired | {updated} updated | {total} total | {available} available | {missing} unavailable"
            ),
        );
        let strategy = self.text_or("/spec/strategy/type", "RollingUpdate");
        block.field("StrategyType", &strategy);
        let seconds = number(self.object, "/spec/minReadySeconds").unwrap_or(0);
        block.field("MinReadySeconds", &seconds.to_string());
        if strategy == "RollingUpdate" {
            let budget = |key: &str| {
                let value = self.object.pointer(&format!("/spec/strategy/rollingUpdate/{key}"));
                match value {
                    Some(Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                    None => "25%".to_owned(),
                }
            };
            let (missing, surge) = (budget("maxUnavailable"), budget("maxSurge"));
            let words = format!("{missing} max unavailable, {surge} max surge");
            block.field("RollingUpdateStrategy", &words);
        }
        self.template(&mut block, "/spec/template");
        self.conditions(&mut block);
        let key = "/metadata/annotations/deployment.kubernetes.io~1revision";
        let revision = text(self.object, key);
        block.field("OldReplicaSets", "");
        let name = text(self.object, "/metadata/name");
        let set = format!("{name}-{revision} ({updated}/{desired} replicas created)");
        block.field("NewReplicaSet", if revision.is_empty() { "" } else { &set });
        self.end(block)
    }

    fn conditions(&self, block: &mut Block) {
        let mut all = items(self.object, "/status/conditions").peekable();
        if all.peek().is_none() {
            return;
        }
        block.line("Conditions:");
        block.line("  Type\tStatus\tReason");
        block.line("  ----\t------\t------");
        for condition in all {
            let [kind, status, reason] =
                ["/type", "/status", "/reason"].map(|field| text(condition, field));
            block.line(&format!("  {kind} \t{status}\t{reason}"));
        }
    }

    /// Describes a `StatefulSet`.
    #[must_use]
    pub fn stateful_set(&self) -> String {
        let mut block = Block::default();
        self.begin(&mut block);
        block.field("Selector", &pairs(self.object.pointer("/spec/selector/matchLabels")));
        self.meta(&mut block);
        let desired = number(self.object, "/spec/replicas").unwrap_or(1);
        let total = self.count("/status/replicas");
        block.field("Replicas", &format!("{desired} desired | {total} total"));
        block.field("Update Strategy", &self.text_or("/spec/updateStrategy/type", "RollingUpdate"));
        let is_known = number(self.object, "/status/replicas").is_some();
        block.field("Pods Status", &self.phases(is_known, |_| true));
        self.template(&mut block, "/spec/template");
        block.field("Volume Claims", &claims(self.object));
        self.end(block)
    }

    /// Describes a `DaemonSet`.
    #[must_use]
    pub fn daemon_set(&self) -> String {
        let mut block = Block::default();
        self.begin(&mut block);
        block.field("Selector", &pairs(self.object.pointer("/spec/selector/matchLabels")));
        block.field(
            "Node-Selector",
            &pairs(self.object.pointer("/spec/template/spec/nodeSelector")),
        );
        self.meta(&mut block);
        for (label, key) in [
            ("Desired Number of Nodes Scheduled", "desiredNumberScheduled"),
            ("Current Number of Nodes Scheduled", "currentNumberScheduled"),
            ("Number of Nodes Scheduled with Up-to-date Pods", "updatedNumberScheduled"),
            ("Number of Nodes Scheduled with Available Pods", "numberAvailable"),
            ("Number of Nodes Misscheduled", "numberMisscheduled"),
        ] {
            block.field(label, &self.count(&format!("/status/{key}")));
        }
        let is_known = number(self.object, "/status/currentNumberScheduled").is_some();
        block.field("Pods Status", &self.phases(is_known, |_| true));
        self.template(&mut block, "/spec/template");
        self.end(block)
    }

    /// Describes a `CronJob`.
    #[must_use]
    pub fn cron_job(&self) -> String {
        let mut block = Block::default();
        self.begin(&mut block);
        self.meta(&mut block);
        block.field("Schedule", text(self.object, "/spec/schedule"));
        block.field("Concurrency Policy", &self.text_or("/spec/concurrencyPolicy", "Allow"));
        let suspended = self.object.pointer("/spec/suspend").and_then(Value::as_bool);
        block.field("Suspend", if suspended == Some(true) { "True" } else { "False" });
        for (label, key, default) in [
            ("Successful Job History Limit", "successfulJobsHistoryLimit", "3"),
            ("Failed Job History Limit", "failedJobsHistoryLimit", "1"),
            ("Starting Deadline Seconds", "startingDeadlineSeconds", "<unset>"),
        ] {
            let number = number(self.object, &format!("/spec/{key}"));
            block.field(label, &number.map_or_else(|| default.to_owned(), |n| n.to_string()));
        }
        self.template(&mut block, "/spec/jobTemplate/spec/template");
        self.runs(&mut block);
        self.end(block)
    }
}

impl Described<'_> {
    /// The runs of a `CronJob`, where they are known.
    fn runs(&self, block: &mut Block) {
        let Some(active) = self.object.pointer("/status/active").and_then(Value::as_array) else {
            return;
        };
        let time = |path: &str| match self.object.pointer(path) {
            None => "<none>".to_owned(),
            time => format!(
                "{} ({})",
                time.and_then(Value::as_str).unwrap_or_default(),
                age_of(time, self.now)
            ),
        };
        block.field("Last Schedule Time", &time("/status/lastScheduleTime"));
        let last = |key: &str| text(self.object, &format!("/status/lastRun/{key}"));
        let run = match (last("name"), last("outcome"), last("reason")) {
            ("", ..) => "<none>".to_owned(),
            (name, outcome, "") => format!("{name} {outcome}"),
            (name, outcome, reason) => format!("{name} {outcome}: {reason}"),
        };
        block.field("Last Run", &run);
        let next = text(self.object, "/status/nextScheduleTime");
        block.field("Next Schedule Time", if next.is_empty() { "<none>" } else { next });
        let names: Vec<&str> = active.iter().map(|job| text(job, "/name")).collect();
        let names = names.join(", ");
        block.field("Active Jobs", if names.is_empty() { "<none>" } else { &names });
    }
}

/// The volumes that each instance has for itself.
fn claims(object: &Value) -> String {
    let all = items(object, "/spec/volumeClaimTemplates").map(|one| text(one, "/metadata/name"));
    all.collect::<Vec<_>>().join(", ")
}
