//! Rows of `get dc` and `get bc` (rules C1, C2).

use std::collections::BTreeSet;

use serde_json::Value;

use super::table::{Row, Table};
use super::{Block, pod_template};

/// What nobody can tell: how many pods run at a target that does not say.
pub(super) const UNKNOWN: &str = "<unknown>";

/// A ref that is longer and all hex digits is a commit, which is shown by its beginning.
const REF_CHARS_MAX: usize = 20;

pub(super) fn text<'v>(object: &'v Value, path: &str) -> &'v str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn items<'v>(object: &'v Value, path: &str) -> impl Iterator<Item = &'v Value> {
    object.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn row(object: &Value, cells: impl IntoIterator<Item = String>) -> Row {
    let name = text(object, "/metadata/name").to_owned();
    let cells = std::iter::once(name).chain(cells).collect();
    Row { namespace: text(object, "/metadata/namespace").to_owned(), cells, wide: vec![] }
}

/// `DeploymentConfig`s (rule C1).
#[must_use]
pub fn deployment_configs(objects: &[Value]) -> Table {
    let one = |object: &Value| {
        let number = |path: &str| object.pointer(path).and_then(Value::as_u64);
        let revision = number("/status/latestVersion").unwrap_or(0).to_string();
        let mut desired = number("/spec/replicas").unwrap_or(0).to_string(); // rule D2
        if object.pointer("/spec/test").and_then(Value::as_bool) == Some(true) {
            desired.push_str(" (during test)");
        }
        let current = number("/status/replicas").map_or(UNKNOWN.to_owned(), |n| n.to_string());
        row(object, [revision, desired, current, triggered_by(object)])
    };
    let columns = vec!["NAME", "REVISION", "DESIRED", "CURRENT", "TRIGGERED BY"];
    Table { columns, wide: vec![], rows: objects.iter().map(one).collect() }
}

fn triggered_by(object: &Value) -> String {
    let names = items(object, "/spec/template/spec/containers").map(|c| text(c, "/name"));
    let containers: BTreeSet<&str> = names.collect();
    let triggers = items(object, "/spec/triggers").filter_map(|trigger| {
        Some(match text(trigger, "/type") {
            "ConfigChange" => "config".to_owned(),
            "ImageChange" => {
                let params = trigger.get("imageChangeParams")?;
                let automatic = params.get("automatic").and_then(Value::as_bool);
                let from = text(params, "/from/name");
                if automatic != Some(true) || from.is_empty() {
                    return None;
                }
                let of: Vec<_> =
                    items(params, "/containerNames").filter_map(Value::as_str).collect();
                let is_strange = of.iter().any(|name| !containers.contains(name));
                match containers.len() != 1 && is_strange {
                    true => format!("image({}:{from})", of.join(",")),
                    false => format!("image({from})"),
                }
            }
            "" => return None,
            other => other.to_owned(),
        })
    });
    let triggers: BTreeSet<String> = triggers.collect();
    triggers.into_iter().collect::<Vec<_>>().join(",")
}

/// `Route`s, as git has them.
#[must_use]
pub fn routes(objects: &[Value]) -> Table {
    let one = |object: &Value| {
        let fields = ["/spec/host", "/spec/path", "/spec/to/name", "/spec/port/targetPort"];
        let shown = |path: &str| match object.pointer(path) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let wildcard = match text(object, "/spec/wildcardPolicy") {
            "" => "None",
            policy => policy,
        };
        let tls = match text(object, "/spec/tls/insecureEdgeTerminationPolicy") {
            "" => text(object, "/spec/tls/termination").to_owned(),
            policy => format!("{}/{policy}", text(object, "/spec/tls/termination")),
        };
        let cells = fields.map(shown).into_iter().chain([tls, wildcard.to_owned()]);
        row(object, cells)
    };
    let columns = vec!["NAME", "HOST/PORT", "PATH", "SERVICES", "PORT", "TERMINATION", "WILDCARD"];
    Table { columns, wide: vec![], rows: objects.iter().map(one).collect() }
}

/// A pod template by itself (rule D44): nobody lays its columns out.
#[must_use]
pub fn pod_template(template: &Value) -> String {
    let mut block = Block::default();
    pod_template::write(&mut block, "Pod Template:", template);
    block.finish_as(str::to_owned)
}

/// `BuildConfig`s (rule C2).
#[must_use]
pub fn build_configs(objects: &[Value]) -> Table {
    let one = |object: &Value| {
        let latest = object.pointer("/status/lastVersion").and_then(Value::as_u64).unwrap_or(0);
        let from = built_from(object);
        row(object, [strategy(object).to_owned(), from, latest.to_string()])
    };
    let columns = vec!["NAME", "TYPE", "FROM", "LATEST"];
    Table { columns, wide: vec![], rows: objects.iter().map(one).collect() }
}

/// The strategy: its type, else that of the part that is there.
pub(super) fn strategy(object: &Value) -> &str {
    let strategy = object.pointer("/spec/strategy");
    let has = |name: &str| strategy.is_some_and(|strategy| strategy.get(name).is_some());
    match text(object, "/spec/strategy/type") {
        "" if has("sourceStrategy") => "Source",
        "" if has("dockerStrategy") => "Docker",
        "" if has("customStrategy") => "Custom",
        "" if has("jenkinsPipelineStrategy") => "JenkinsPipeline",
        name => name,
    }
}

/// What it is built from; of a build, with the commit that it is of.
pub(super) fn built_from(object: &Value) -> String {
    let has = |part: &str| object.pointer(&format!("/spec/source/{part}")).is_some();
    let (git, file) = (has("git"), has("dockerfile"));
    let named =
        ["/spec/revision/git/commit", "/spec/source/git/ref"].map(|path| text(object, path));
    let revision = match named.into_iter().find(|name| !name.is_empty()) {
        None => String::new(),
        Some(name) if name.len() > REF_CHARS_MAX && name.bytes().all(|c| c.is_ascii_hexdigit()) => {
            format!("@{}", name.get(..7).unwrap_or(name))
        }
        Some(name) => format!("@{name}"),
    };
    match () {
        () if has("binary") => format!("Binary{revision}"),
        () if file && git => format!("Dockerfile,Git{revision}"),
        () if file => "Dockerfile".to_owned(),
        () if git => format!("Git{revision}"),
        () if has("images") => "Image".to_owned(),
        () => String::new(),
    }
}
