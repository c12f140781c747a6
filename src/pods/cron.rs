//! When a `CronJob` runs, and the pods of its runs (rule R17a).

use serde::Deserialize;
use serde_json::{Value, json};

use super::render::put;
use super::{
    Instance, LABEL_ATTEMPT, LABEL_JOB, LABEL_OBJECT, LABEL_ROLLOUT, Pods, Unsupported, unsupported,
};
use crate::fact::{Concurrency, CronSpec};
use crate::names::RolloutKey;
use crate::time::{CronSchedule, Span};

/// Kubernetes' default of `backoffLimit`.
const BACKOFF_LIMIT: u32 = 6;

/// Kubernetes' default of `successfulJobsHistoryLimit`.
const KEEPS_SUCCESSFUL: u32 = 3;

/// Kubernetes' default of `failedJobsHistoryLimit`.
const KEEPS_FAILED: u32 = 1;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    schedule: String,
    time_zone: Option<String>,
    starting_deadline_seconds: Option<u64>,
    concurrency_policy: Option<String>,
    suspend: Option<bool>,
    job_template: Template<JobSpec>,
    successful_jobs_history_limit: Option<u32>,
    failed_jobs_history_limit: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template<T> {
    spec: T,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JobSpec {
    active_deadline_seconds: Option<u64>,
    backoff_limit: Option<u32>,
    parallelism: Option<u32>,
    completions: Option<u32>,
    suspend: Option<bool>,
    template: Template<PodSpec>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    restart_policy: Option<String>,
}

/// Reads when a `CronJob` runs, and what becomes of its runs.
///
/// # Errors
/// What it asks for that is not done on a host.
pub fn cron(manifest: &[u8]) -> Result<CronSpec, Unsupported> {
    let spec = match serde_json::from_slice::<Object>(manifest) {
        Ok(read) => read.spec,
        Err(error) => return unsupported(format!("the manifest cannot be read: {error}")),
    };
    let zone = spec.time_zone.as_deref().filter(|zone| !zone.is_empty()).unwrap_or("UTC");
    if let Err(why) = CronSchedule::parse(&spec.schedule, zone) {
        return unsupported(format!("`spec.schedule`: {why}"));
    }
    let concurrency = match spec.concurrency_policy.as_deref().unwrap_or_default() {
        "" | "Allow" => Concurrency::Allow,
        "Forbid" => Concurrency::Forbid,
        "Replace" => Concurrency::Replace,
        other => {
            return unsupported(format!(
                "`spec.concurrencyPolicy` is `{other}`; expected `Allow`, `Forbid` or `Replace`"
            ));
        }
    };
    let job = spec.job_template.spec;
    match job.template.spec.restart_policy.as_deref() {
        Some("Never" | "OnFailure") => {}
        other => {
            let is = other.map_or_else(|| "not set".to_owned(), |other| format!("`{other}`"));
            return unsupported(format!(
                "`restartPolicy` of its pods is {is}; a job needs `Never` or `OnFailure`"
            ));
        }
    }
    for (field, count) in [("parallelism", job.parallelism), ("completions", job.completions)] {
        if count.is_some_and(|count| count != 1) {
            return unsupported(format!(
                "`{field}` of its jobs is not 1, and here a run is one pod"
            ));
        }
    }
    if job.suspend == Some(true) {
        return unsupported(
            "`suspend` of its jobs is true; `spec.suspend` keeps runs from beginning",
        );
    }
    let span = |seconds: u64| Span(super::spec::span(seconds));
    Ok(CronSpec {
        time_zone: zone.to_owned(),
        schedule: spec.schedule,
        suspend: spec.suspend.unwrap_or(false),
        starting_deadline: spec.starting_deadline_seconds.map(span),
        concurrency,
        deadline: job.active_deadline_seconds.map(span),
        backoff_limit: job.backoff_limit.unwrap_or(BACKOFF_LIMIT),
        keeps_successful: spec.successful_jobs_history_limit.unwrap_or(KEEPS_SUCCESSFUL),
        keeps_failed: spec.failed_jobs_history_limit.unwrap_or(KEEPS_FAILED),
    })
}

/// The name of the pod of an attempt at a run; the first has that of its job.
#[must_use]
pub fn job_pod_name(job: &str, attempt: u32) -> String {
    if attempt == 0 { job.to_owned() } else { format!("{job}-{attempt}") }
}

impl Pods {
    /// The pod of an attempt at a run, as JSON. Whether there is another attempt is not podman's to say.
    #[must_use]
    pub fn job_pod(&self, job: &str, attempt: u32, key: &RolloutKey) -> String {
        let mut labels = self.template.pointer("/metadata/labels").cloned().unwrap_or_default();
        let ours = [
            (LABEL_OBJECT, self.object.to_string()),
            (LABEL_ROLLOUT, key.to_string()),
            (LABEL_JOB, job.to_owned()),
            (LABEL_ATTEMPT, attempt.to_string()),
        ];
        put(&mut labels, ours);
        let annotations = self.annotations([]);
        let mut spec = self.template.get("spec").cloned().unwrap_or_default();
        for list in ["initContainers", "containers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                self.container(container, Instance::Ordinal(0));
                if let Some(fields) = container.as_object_mut() {
                    // Nobody asks a run how it is but for its end.
                    fields.remove("livenessProbe");
                }
            }
        }
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("imagePullSecrets");
            spec.insert("restartPolicy".into(), "Never".into());
        }
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": job_pod_name(job, attempt),
                "labels": labels,
                "annotations": annotations,
            },
            "spec": spec,
        });
        pod.to_string()
    }

    /// The names of its containers that are waited for: not those that run before them.
    pub fn regular_containers(&self) -> impl Iterator<Item = &str> {
        let list = self.template.pointer("/spec/containers").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(|one| one.get("name")?.as_str())
    }
}
