//! A pod template in a describe block, as `kubectl` lays it out (rules C6, C9, D44).
//!
//! Values of the environment whose names sound like a secret are not shown (law 10); `kubectl` shows them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::Block;
use super::workload::{items, text};
use crate::secret::{masked, sounds_secret};

/// Values of fields that nothing says anything about, as the API fills them in.
const PROBE_DEFAULTS: [(&str, &str, u64); 5] = [
    ("delay", "initialDelaySeconds", 0),
    ("timeout", "timeoutSeconds", 1),
    ("period", "periodSeconds", 10),
    ("#success", "successThreshold", 1),
    ("#failure", "failureThreshold", 3),
];

/// Writes a template below a heading.
pub(super) fn write(block: &mut Block, heading: &str, template: &Value) {
    block.line(heading);
    let labels = strings(template.pointer("/metadata/labels"));
    block.map("  Labels", &labels);
    annotations(block, "  Annotations", template.pointer("/metadata/annotations"));
    let account = text(template, "/spec/serviceAccountName");
    if !account.is_empty() {
        block.field("  Service Account", account);
    }
    if items(template, "/spec/initContainers").next().is_some() {
        containers(block, "Init Containers", items(template, "/spec/initContainers"));
    }
    containers(block, "Containers", items(template, "/spec/containers"));
    volumes(block, items(template, "/spec/volumes"));
}

/// The texts of an object: labels, selectors, annotations.
pub(super) fn strings(value: Option<&Value>) -> BTreeMap<String, String> {
    let pairs = value.and_then(Value::as_object).into_iter().flatten();
    let pairs = pairs.map(|(key, value)| (key.clone(), shown(value)));
    pairs.collect()
}

/// A text as it is, anything else as JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Annotations as `kubectl` writes them; none where there is none.
pub(super) fn annotations(block: &mut Block, label: &str, value: Option<&Value>) {
    let hidden = "kubectl.kubernetes.io/last-applied-configuration";
    let all = strings(value);
    let shown = all.iter().filter(|(key, _)| *key != hidden);
    let lines: Vec<String> = shown
        .map(|(key, value)| format!("{key}: {}", value.trim_end().replace('\n', " ")))
        .collect();
    for (at, line) in lines.iter().enumerate() {
        let label = if at == 0 { format!("{label}:") } else { String::new() };
        block.line(&format!("{label}\t{line}"));
    }
}

fn containers<'a>(block: &mut Block, label: &str, all: impl Iterator<Item = &'a Value>) {
    let mut all = all.peekable();
    if all.peek().is_none() {
        return block.line(&format!("  {label}: <none>"));
    }
    block.line(&format!("  {label}:"));
    for container in all {
        block.line(&format!("   {}:", text(container, "/name")));
        block.field("    Image", text(container, "/image"));
        ports(block, container);
        words(block, "Command", container.get("command"));
        words(block, "Args", container.get("args"));
        resources(block, "Limits", container.pointer("/resources/limits"));
        resources(block, "Requests", container.pointer("/resources/requests"));
        for (label, key) in [
            ("Liveness", "livenessProbe"),
            ("Readiness", "readinessProbe"),
            ("Startup", "startupProbe"),
        ] {
            if let Some(probe) = container.get(key).filter(|probe| probe.is_object()) {
                block.field(&format!("    {label}"), &self::probe(probe));
            }
        }
        environment(block, container);
        mounts(block, container);
    }
}

fn ports(block: &mut Block, container: &Value) {
    let list = |number: &str| -> Vec<String> {
        let one = |port: &Value| {
            let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
            let name =
                port.get("name").and_then(Value::as_str).filter(|_| number == "containerPort");
            let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
            let number = port.get(number).and_then(Value::as_u64).unwrap_or(0);
            format!("{number}/{protocol}{name}")
        };
        items(container, "/ports").map(one).collect()
    };
    for (label, number) in [("Port", "containerPort"), ("Host Port", "hostPort")] {
        let ports = list(number);
        let several = if ports.len() > 1 { "s" } else { "" };
        block.field(&format!("    {label}{several}"), &ports.join(", "));
    }
}

fn words(block: &mut Block, label: &str, value: Option<&Value>) {
    let Some(words) = value.and_then(Value::as_array).filter(|words| !words.is_empty()) else {
        return;
    };
    block.line(&format!("    {label}:"));
    for word in words {
        for line in masked(&shown(word)).split('\n') {
            block.line(&format!("      {line}"));
        }
    }
}

fn resources(block: &mut Block, label: &str, value: Option<&Value>) {
    let all = strings(value);
    if all.is_empty() {
        return;
    }
    block.line(&format!("    {label}:"));
    for (name, quantity) in &all {
        block.field(&format!("      {name}"), quantity);
    }
}

fn probe(probe: &Value) -> String {
    let times = PROBE_DEFAULTS.iter().map(|(word, key, default)| {
        let number = probe.get(key).and_then(Value::as_u64).unwrap_or(*default);
        let unit = if word.starts_with('#') { "" } else { "s" };
        format!("{word}={number}{unit}")
    });
    let times = times.collect::<Vec<_>>().join(" ");
    let part = |part: &Value, key: &str| part.get(key).map(shown).unwrap_or_default();
    let what = if let Some(http) = probe.get("httpGet") {
        let scheme = part(http, "scheme").to_ascii_lowercase();
        let scheme = if scheme.is_empty() { "http" } else { &scheme };
        let path = part(http, "path");
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        let (host, port) = (part(http, "host"), part(http, "port"));
        format!("http-get {scheme}://{host}:{port}{slash}{path}")
    } else if let Some(tcp) = probe.get("tcpSocket") {
        format!("tcp-socket {}:{}", part(tcp, "host"), part(tcp, "port"))
    } else if let Some(grpc) = probe.get("grpc") {
        format!("grpc <pod>:{} {}", part(grpc, "port"), part(grpc, "service"))
    } else if let Some(exec) = probe.get("exec") {
        let command: Vec<String> = items(exec, "/command").map(shown).collect();
        format!("exec [{}]", masked(&command.join(" ")))
    } else {
        "unknown".to_owned()
    };
    format!("{what} {times}")
}

fn environment(block: &mut Block, container: &Value) {
    let mut from = items(container, "/envFrom").peekable();
    if from.peek().is_some() {
        block.line("    Environment Variables from:");
    }
    for source in from {
        let kinds = [("configMapRef", "ConfigMap"), ("secretRef", "Secret")];
        let found = kinds.iter().find_map(|(key, kind)| Some((source.get(key)?, kind)));
        let Some((reference, kind)) = found else { continue };
        let optional = reference.get("optional").and_then(Value::as_bool) == Some(true);
        let name = text(reference, "/name");
        block.line(&format!("      {name}\t{kind}\tOptional: {optional}"));
    }
    let mut all = items(container, "/env").peekable();
    if all.peek().is_none() {
        return block.line("    Environment:\t<none>");
    }
    block.line("    Environment:");
    for variable in all {
        let name = text(variable, "/name");
        let value = match variable.get("valueFrom").and_then(Value::as_object) {
            Some(from) => taken(from),
            None if sounds_secret(name) => "<hidden>".to_owned(),
            None => masked(text(variable, "/value")),
        };
        for (at, line) in value.split('\n').enumerate() {
            let name = if at == 0 { format!("      {name}:") } else { String::new() };
            block.line(&format!("{name}\t{line}"));
        }
    }
}

/// Where a value of the environment is taken from.
fn taken(from: &Map<String, Value>) -> String {
    let optional = |one: &Value| one.get("optional").and_then(Value::as_bool) == Some(true);
    let kinds = [("secretKeyRef", "in secret"), ("configMapKeyRef", "of config map")];
    let found = kinds.iter().find_map(|(key, words)| Some((from.get(*key)?, words)));
    if let Some((one, words)) = found {
        let (key, name) = (text(one, "/key"), text(one, "/name"));
        let optional = optional(one);
        return format!("<set to the key '{key}' {words} '{name}'>\tOptional: {optional}");
    }
    match from.get("fieldRef") {
        Some(field) => {
            let version = field.get("apiVersion").and_then(Value::as_str).unwrap_or("v1");
            format!(" ({version}:{})", text(field, "/fieldPath"))
        }
        None => "<unknown>".to_owned(),
    }
}

fn mounts(block: &mut Block, container: &Value) {
    let mut all: Vec<&Value> = items(container, "/volumeMounts").collect();
    if all.is_empty() {
        return block.line("    Mounts:\t<none>");
    }
    block.line("    Mounts:");
    all.sort_by_key(|mount| text(mount, "/mountPath"));
    for mount in all {
        let read_only = mount.get("readOnly").and_then(Value::as_bool) == Some(true);
        let flag = if read_only { "ro" } else { "rw" };
        let path = match text(mount, "/subPath") {
            "" => String::new(),
            path => format!(",path=\"{path}\""),
        };
        let (at, name) = (text(mount, "/mountPath"), text(mount, "/name"));
        block.line(&format!("      {at} from {name} ({flag}{path})"));
    }
}

fn volumes<'a>(block: &mut Block, all: impl Iterator<Item = &'a Value>) {
    let mut all = all.peekable();
    if all.peek().is_none() {
        return block.line("  Volumes:\t<none>");
    }
    block.line("  Volumes:");
    for volume in all {
        block.line(&format!("   {}:", text(volume, "/name")));
        for (label, value) in source(volume) {
            block.line(&format!("    {label}:\t{value}"));
        }
    }
}

/// What a volume is made of.
fn source(volume: &Value) -> Vec<(&'static str, String)> {
    let part = |source: &Value, key: &str, none: &str| {
        source.get(key).map_or_else(|| none.to_owned(), shown)
    };
    if let Some(claim) = volume.get("persistentVolumeClaim") {
        let kind =
            "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)";
        return vec![
            ("Type", kind.to_owned()),
            ("ClaimName", part(claim, "claimName", "")),
            ("ReadOnly", part(claim, "readOnly", "false")),
        ];
    }
    if let Some(path) = volume.get("hostPath") {
        return vec![
            ("Type", "HostPath (bare host directory volume)".to_owned()),
            ("Path", part(path, "path", "")),
            ("HostPathType", part(path, "type", "")),
        ];
    }
    if let Some(map) = volume.get("configMap") {
        return vec![
            ("Type", "ConfigMap (a volume populated by a ConfigMap)".to_owned()),
            ("Name", part(map, "name", "")),
            ("Optional", part(map, "optional", "false")),
        ];
    }
    if let Some(secret) = volume.get("secret") {
        return vec![
            ("Type", "Secret (a volume populated by a Secret)".to_owned()),
            ("SecretName", part(secret, "secretName", "")),
            ("Optional", part(secret, "optional", "false")),
        ];
    }
    if let Some(empty) = volume.get("emptyDir") {
        let kind = "EmptyDir (a temporary directory that shares a pod's lifetime)";
        return vec![
            ("Type", kind.to_owned()),
            ("Medium", part(empty, "medium", "")),
            ("SizeLimit", part(empty, "sizeLimit", "<unset>")),
        ];
    }
    let other = volume.as_object().and_then(|all| all.keys().find(|key| *key != "name").cloned());
    vec![("Type", other.unwrap_or_else(|| "<unknown>".to_owned()))]
}
