//! Rows of `get` for the kinds of Kubernetes itself, as `kubectl` prints them. What nobody counted is `<unknown>`.

use serde_json::Value;

use super::pod_template::strings;
use super::table::{Row, Table};
use super::workload::{UNKNOWN, items, row, text};
use crate::time::{Timestamp, short_age};

/// The labels that select pods, or other texts of an object: `a=b,c=d`.
pub(super) fn pairs(value: Option<&Value>) -> String {
    let all: Vec<String> =
        strings(value).iter().map(|(key, value)| format!("{key}={value}")).collect();
    if all.is_empty() { "<none>".to_owned() } else { all.join(",") }
}

/// A number that may not be known.
fn number(object: &Value, path: &str) -> String {
    let number = object.pointer(path).and_then(Value::as_u64);
    number.map_or_else(|| UNKNOWN.to_owned(), |number| number.to_string())
}

fn age(object: &Value, now: Timestamp) -> String {
    age_of(object.pointer("/metadata/creationTimestamp"), now)
}

/// How long ago a time was, in short.
pub(super) fn age_of(time: Option<&Value>, now: Timestamp) -> String {
    let then = time.and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
    then.map_or_else(|| UNKNOWN.to_owned(), |then| short_age(now.since(then)))
}

/// The containers of a template, and their images.
fn containers(template: Option<&Value>) -> [String; 2] {
    let template = template.unwrap_or(&Value::Null);
    ["/name", "/image"].map(|field| {
        let all = items(template, "/spec/containers").map(|one| text(one, field));
        all.collect::<Vec<_>>().join(",")
    })
}

/// A row with what `-o wide` adds.
fn wide(object: &Value, cells: Vec<String>, wide: impl IntoIterator<Item = String>) -> Row {
    Row { wide: wide.into_iter().collect(), ..row(object, cells) }
}

fn table(
    columns: &[&'static str],
    wide: &[&'static str],
    rows: impl Iterator<Item = Row>,
) -> Table {
    Table { columns: columns.to_vec(), wide: wide.to_vec(), rows: rows.collect() }
}

/// Containers, images and selector, as most kinds show them with `-o wide`.
const WIDE: &[&str] = &["CONTAINERS", "IMAGES", "SELECTOR"];

fn ready(object: &Value) -> String {
    let desired = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    let ready = object.pointer("/status/readyReplicas").and_then(Value::as_u64);
    ready.map_or_else(|| UNKNOWN.to_owned(), |ready| format!("{ready}/{desired}"))
}

/// `Deployment`s.
#[must_use]
pub fn deployments(objects: &[Value], now: Timestamp) -> Table {
    let one = |object: &Value| {
        let counts = ["/status/updatedReplicas", "/status/availableReplicas"];
        let [updated, available] = counts.map(|path| number(object, path));
        let cells = vec![ready(object), updated, available, age(object, now)];
        let [names, images] = containers(object.pointer("/spec/template"));
        wide(object, cells, [names, images, pairs(object.pointer("/spec/selector/matchLabels"))])
    };
    let columns = ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"];
    table(&columns, WIDE, objects.iter().map(one))
}

/// `StatefulSet`s.
#[must_use]
pub fn stateful_sets(objects: &[Value], now: Timestamp) -> Table {
    let one = |object: &Value| {
        let images = containers(object.pointer("/spec/template"));
        wide(object, vec![ready(object), age(object, now)], images)
    };
    table(&["NAME", "READY", "AGE"], &["CONTAINERS", "IMAGES"], objects.iter().map(one))
}

/// `DaemonSet`s.
#[must_use]
pub fn daemon_sets(objects: &[Value], now: Timestamp) -> Table {
    let one = |object: &Value| {
        let counts = [
            "/status/desiredNumberScheduled",
            "/status/currentNumberScheduled",
            "/status/numberReady",
            "/status/updatedNumberScheduled",
            "/status/numberAvailable",
        ];
        let mut cells = counts.map(|path| number(object, path)).to_vec();
        cells.push(pairs(object.pointer("/spec/template/spec/nodeSelector")));
        cells.push(age(object, now));
        let [names, images] = containers(object.pointer("/spec/template"));
        wide(object, cells, [names, images, pairs(object.pointer("/spec/selector/matchLabels"))])
    };
    let columns =
        ["NAME", "DESIRED", "CURRENT", "READY", "UP-TO-DATE", "AVAILABLE", "NODE SELECTOR", "AGE"];
    table(&columns, WIDE, objects.iter().map(one))
}

/// `CronJob`s.
#[must_use]
pub fn cron_jobs(objects: &[Value], now: Timestamp) -> Table {
    let one = |object: &Value| {
        let zone = match text(object, "/spec/timeZone") {
            "" => "<none>",
            zone => zone,
        };
        let suspended = object.pointer("/spec/suspend").and_then(Value::as_bool) == Some(true);
        let suspended = if suspended { "True" } else { "False" };
        let active = object.pointer("/status/active").and_then(Value::as_array);
        let last = match object.pointer("/status/lastScheduleTime") {
            None if active.is_some() => "<none>".to_owned(),
            None => UNKNOWN.to_owned(),
            time => age_of(time, now),
        };
        let cells = vec![
            text(object, "/spec/schedule").to_owned(),
            zone.to_owned(),
            suspended.to_owned(),
            active.map_or_else(|| UNKNOWN.to_owned(), |active| active.len().to_string()),
            last,
            age(object, now),
        ];
        let [names, images] = containers(object.pointer("/spec/jobTemplate/spec/template"));
        let selector = pairs(object.pointer("/spec/jobTemplate/spec/selector/matchLabels"));
        wide(object, cells, [names, images, selector])
    };
    let columns = ["NAME", "SCHEDULE", "TIMEZONE", "SUSPEND", "ACTIVE", "LAST SCHEDULE", "AGE"];
    table(&columns, WIDE, objects.iter().map(one))
}

/// `ReplicationController`s.
#[must_use]
pub fn controllers(objects: &[Value], now: Timestamp) -> Table {
    let one = |object: &Value| {
        let counts = ["/spec/replicas", "/status/replicas", "/status/readyReplicas"];
        let mut cells = counts.map(|path| number(object, path)).to_vec();
        cells.push(age(object, now));
        let [names, images] = containers(object.pointer("/spec/template"));
        wide(object, cells, [names, images, pairs(object.pointer("/spec/selector"))])
    };
    let columns = ["NAME", "DESIRED", "CURRENT", "READY", "AGE"];
    table(&columns, WIDE, objects.iter().map(one))
}

/// `Pod`s.
#[must_use]
pub fn pods(objects: &[Value], now: Timestamp) -> Table {
    let one = |object: &Value| {
        let [ready, status, restarts] = pod(object, now);
        let cells = vec![ready, status, restarts, age(object, now)];
        wide(object, cells, ["<none>"; 4].map(str::to_owned))
    };
    let columns = ["NAME", "READY", "STATUS", "RESTARTS", "AGE"];
    let more = ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"];
    table(&columns, &more, objects.iter().map(one))
}

/// How many containers of a pod are ready, its status in one word, and how often they were started again.
fn pod(object: &Value, now: Timestamp) -> [String; 3] {
    let phase = text(object, "/status/phase");
    if phase == "Unknown" {
        return [UNKNOWN; 3].map(str::to_owned);
    }
    let statuses = || items(object, "/status/containerStatuses");
    let is_ready = |one: &&Value| one.get("ready").and_then(Value::as_bool) == Some(true);
    let (ready, all) = (statuses().filter(is_ready).count(), statuses().count());
    let phase = match phase {
        "Succeeded" => "Completed",
        "Failed" => "Error",
        phase => phase,
    };
    // Of several containers that do not run, the first.
    let mut reasons = statuses().filter_map(|one| {
        let of =
            |state: &str| one.pointer(&format!("/state/{state}/reason")).and_then(Value::as_str);
        of("waiting").or_else(|| of("terminated"))
    });
    let mut status = reasons.next().unwrap_or(phase);
    let runs = |one: &Value| one.pointer("/state/running").is_some();
    if status == "Completed" && statuses().any(runs) {
        status = "NotReady";
    }
    let restarts = statuses().map(|one| one.get("restartCount").and_then(Value::as_u64));
    let restarts: Option<u64> = restarts.sum();
    let ended = statuses().filter_map(|one| one.pointer("/lastState/terminated/finishedAt"));
    let ended = ended.max_by_key(|time| time.as_str());
    let restarts = match (restarts, ended) {
        (None, _) => UNKNOWN.to_owned(),
        (Some(count), Some(time)) if count > 0 => {
            format!("{count} ({} ago)", age_of(Some(time), now))
        }
        (Some(count), _) => count.to_string(),
    };
    [format!("{ready}/{all}"), status.to_owned(), restarts]
}

/// `Service`s, as git has them.
#[must_use]
pub fn services(objects: &[Value], now: Timestamp) -> Table {
    let one = |object: &Value| {
        let kind = match text(object, "/spec/type") {
            "" => "ClusterIP",
            kind => kind,
        };
        let ports = items(object, "/spec/ports").map(|port| {
            let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
            format!("{}/{protocol}", number(port, "/port"))
        });
        let ports = ports.collect::<Vec<_>>().join(",");
        let ports = if ports.is_empty() { "<none>".to_owned() } else { ports };
        let none = || "<none>".to_owned();
        let cells = vec![kind.to_owned(), none(), none(), ports, age(object, now)];
        wide(object, cells, [pairs(object.pointer("/spec/selector"))])
    };
    let columns = ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"];
    table(&columns, &["SELECTOR"], objects.iter().map(one))
}
