//! What is known of the runs of a `CronJob`, as its status.

use serde_json::{Map, Value, json};

use crate::api::Time;
use crate::observed::rollout::WorkloadState;

/// The status of a `CronJob` whose runs are ours to begin; nothing where they are its target's.
///
/// Beside what Kubernetes tells it says when it runs next, and how it went last.
pub(super) fn write(status: &mut Map<String, Value>, state: &WorkloadState) {
    let cron = state.active().and_then(|active| active.started.cron.as_ref());
    let Some(cron) = cron else { return };
    let jobs = &state.jobs;
    let active = jobs.running().map(|job| json!({"kind": "Job", "name": job.started.name}));
    status.insert("active".into(), active.collect());
    let mut times = vec![("lastScheduleTime", jobs.slot), ("lastSuccessfulTime", jobs.succeeded)];
    let next = jobs.reached().filter(|_| !cron.suspend);
    times.push((
        "nextScheduleTime",
        next.and_then(|reached| cron.timetable().ok()?.next_slot(reached)),
    ));
    for (key, time) in times {
        if let Some(time) = time {
            status.insert(key.into(), json!(Time::of(time)));
        }
    }
    if let Some(last) = jobs.last_ended()
        && let Some(end) = &last.end
    {
        let (name, outcome) = (&last.started.name, end.outcome.to_string());
        let run = json!({
            "name": name,
            "outcome": outcome,
            "reason": end.reason,
            "completionTime": Time::of(end.at),
        });
        status.insert("lastRun".into(), run);
    }
}
