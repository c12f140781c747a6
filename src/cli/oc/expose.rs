//! `tidegate expose`: services of workloads, routes of services (rule C17).

use std::collections::BTreeMap;

use anyhow::bail;

use super::chosen::{self, Choice};
use super::edit::{Desk, EditArguments, Outcome, edit};
use super::kinds::ManifestKind;
use super::{ApiError, UsageError};
use crate::cli::{Context, ExitCode};
use crate::desired::Workload;
use crate::edit::{Document, Place, Port, Value, keys};
use crate::effective::target_of;
use crate::names::{Namespace, ObjectName};

/// The annotation by which a pod gets ports of its host (rule R11).
const PUBLISH: &str = "tidegate.dev/publish";

/// How long names of services may be.
const NAME_LEN: usize = 63;

/// Write a Service for a workload, or a Route for a service, into git
///
/// No router is provided: on one host a Route is a note, and what `expose svc/NAME` does there is to publish the port of
/// the pods behind the service (`tidegate.dev/publish`).
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Command {
    /// Kind and name: `dc/web`, `svc/web`
    #[arg(value_name = "KIND/NAME")]
    words: Vec<String>,
    /// Name of what is made [default: the same]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
    /// Port of the service; of a route: the port of the service that it leads to, by name or number [default: those of
    /// the object]
    #[arg(long, value_name = "PORT", default_value = "", hide_default_value = true)]
    port: String,
    /// Port of the container, by name or number [default: as --port]
    #[arg(long, value_name = "PORT", default_value = "", hide_default_value = true)]
    target_port: String,
    /// TCP, UDP or SCTP [default: that of the port of the container]
    #[arg(long, value_name = "PROTOCOL", default_value = "", hide_default_value = true)]
    protocol: String,
    /// Labels that pods must have, KEY=VALUE with commas [default: those of the object]
    #[arg(long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    selector: String,
    /// Labels of what is made, KEY=VALUE with commas [default: those of the object]
    #[arg(short, long, value_name = "LABELS", default_value = "", hide_default_value = true)]
    labels: String,
    /// Type of the service, such as `NodePort` [default: `ClusterIP`]
    #[arg(long = "type", value_name = "TYPE", default_value = "", hide_default_value = true)]
    kind: String,
    /// Host name of the route
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    hostname: String,
    /// Path of the route
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true)]
    path: String,
    /// None or Subdomain: whether the route is for all hosts beside its own
    #[arg(long, value_name = "POLICY", default_value = "", hide_default_value = true)]
    wildcard_policy: String,
    #[command(flatten)]
    edit: EditArguments,
}

pub(super) fn run(command: &Command, context: &mut Context<'_>) -> anyhow::Result<ExitCode> {
    let none = Choice::default();
    let chosen = chosen::read(&command.words, "expose", &none)?;
    if !matches!(command.wildcard_policy.as_str(), "" | "None" | "Subdomain") {
        bail!("only \"Subdomain\" or \"None\" are supported for wildcard-policy");
    }
    if !chosen.is_single() {
        bail!("multiple resources provided: {}", command.words.join(" "));
    }
    edit(&command.edit, context, |desk| {
        let places = chosen.places(&desk.manifests, &desk.namespace)?;
        let Some((kind, place)) = places.first() else { bail!("no objects passed to expose") };
        let Some(document) = desk.manifests.at(place).cloned() else { bail!("it is gone") };
        match kind.sort.kind {
            "Service" => expose_service(command, &document, desk),
            "DeploymentConfig" | "Deployment" | "ReplicaSet" | "ReplicationController" | "Pod" => {
                expose_workload(command, *kind, &document, desk)
            }
            other => bail!("cannot expose a {}", with_group(other, kind.sort.group)),
        }
    })
}

fn with_group(kind: &str, group: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

fn usage(message: impl Into<String>) -> UsageError {
    UsageError { command: "expose", message: message.into() }
}

/// Reads `a=b,c=d`.
pub(super) fn pairs(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                found.insert(key.to_owned(), value.to_owned());
            }
            _ => bail!("unexpected label spec: {}", pair.escape_debug()),
        }
    }
    Ok(found)
}

fn map(texts: &BTreeMap<String, String>) -> Value {
    Value::Map(texts.iter().map(|(key, text)| (key.clone(), Value::text(text))).collect())
}

/// A number where it is one.
fn port_value(text: &str) -> Value {
    text.parse::<u16>().map_or_else(|_| Value::text(text), |port| Value::Number(port.into()))
}

impl Command {
    fn new_name(&self, of: &str) -> anyhow::Result<ObjectName> {
        let name = if self.name.is_empty() { of } else { &self.name };
        let short = name.get(..NAME_LEN).unwrap_or(name);
        short
            .parse()
            .map_err(|error| anyhow::anyhow!("invalid name `{}`: {error}", short.escape_debug()))
    }

    fn metadata(
        &self,
        name: &ObjectName,
        document: &Document,
        namespace: &Namespace,
    ) -> anyhow::Result<Value> {
        let labels = if self.labels.is_empty() { document.labels() } else { pairs(&self.labels)? };
        let mut fields = Vec::new();
        if !labels.is_empty() {
            fields.push(("labels".to_owned(), map(&labels)));
        }
        fields.push(("name".to_owned(), Value::text(name.to_string())));
        fields.push(("namespace".to_owned(), Value::text(namespace.to_string())));
        Ok(Value::Map(fields))
    }

    /// Labels by which the service finds its pods.
    fn selector(&self, kind: ManifestKind, document: &Document) -> anyhow::Result<Value> {
        if !self.selector.is_empty() {
            return Ok(map(&pairs(&self.selector)?));
        }
        let template = || document.texts(&["spec", "template", "metadata", "labels"]);
        let found = match kind.sort.kind {
            "Pod" => document.labels(),
            "Deployment" | "ReplicaSet" => {
                if document.has(&["spec", "selector", "matchExpressions"]) {
                    return Err(usage(
                        "couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions to \
                         map-based selector format",
                    )
                    .into());
                }
                document.texts(&["spec", "selector", "matchLabels"])
            }
            _ => Some(document.texts(&["spec", "selector"]))
                .filter(|labels| !labels.is_empty())
                .unwrap_or_else(template), // rule D1
        };
        if found.is_empty() {
            let kind = kind.sort.kind.to_ascii_lowercase();
            return Err(usage(format!(
                "couldn't retrieve selectors via --selector flag or introspection: invalid {kind}: no selectors, therefore \
                 cannot be exposed"
            ))
            .into());
        }
        Ok(map(&found))
    }

    /// `spec.ports` of a service.
    fn ports(&self, kind: ManifestKind, document: &Document) -> anyhow::Result<Value> {
        let template = kind.pod_template().unwrap_or(&["spec"]);
        let containers = document.containers(template);
        let known: Vec<&Port> =
            containers.iter().filter(|one| !one.is_init).flat_map(|one| &one.ports).collect();
        let mut ports: Vec<u16> = Vec::new();
        if self.port.is_empty() {
            ports.extend(known.iter().map(|port| port.number));
            if ports.is_empty() {
                return Err(usage("couldn't find port via --port flag or introspection").into());
            }
        } else {
            for text in self.port.split(',') {
                let port = text.parse::<u16>().ok().filter(|port| *port != 0);
                let Some(port) = port else {
                    bail!(
                        "invalid --port `{}`: it is a number from 1 to 65535",
                        text.escape_debug()
                    );
                };
                ports.push(port);
            }
        }
        let several = ports.len() > 1;
        let ports = ports.iter().enumerate().map(|(index, port)| {
            let of_container = known.iter().find(|one| one.number == *port);
            let protocol = match self.protocol.as_str() {
                "" => of_container.map_or("TCP", |one| one.protocol.as_str()),
                protocol => protocol,
            };
            let target = match self.target_port.as_str() {
                "" => Value::Number((*port).into()),
                target => port_value(target),
            };
            let mut fields = Vec::new();
            if several {
                fields.push(("name".to_owned(), Value::text(format!("port-{}", index + 1))));
            }
            fields.push(("port".to_owned(), Value::Number((*port).into())));
            fields.push(("protocol".to_owned(), Value::text(protocol)));
            fields.push(("targetPort".to_owned(), target));
            Value::Map(fields)
        });
        Ok(Value::List(ports.collect()))
    }
}

fn expose_workload(
    command: &Command,
    kind: ManifestKind,
    document: &Document,
    desk: &mut Desk<'_>,
) -> anyhow::Result<Outcome> {
    for (flag, text) in [("hostname", &command.hostname), ("path", &command.path)] {
        if !text.is_empty() {
            bail!(
                "--{flag} is for a route: expose the workload, then the service (`expose svc/NAME`)"
            );
        }
    }
    if !matches!(command.protocol.as_str(), "" | "TCP" | "UDP" | "SCTP") {
        bail!("invalid --protocol `{}`: it is TCP, UDP or SCTP", command.protocol.escape_debug());
    }
    let name = command.new_name(&document.name)?;
    let selector = command.selector(kind, document)?;
    let mut spec = vec![
        ("ports".to_owned(), command.ports(kind, document)?),
        ("selector".to_owned(), selector),
    ];
    if !command.kind.is_empty() {
        spec.push(("type".to_owned(), Value::text(&command.kind)));
    }
    let object = Value::map([
        ("apiVersion", Value::text("v1")),
        ("kind", Value::text("Service")),
        ("metadata", command.metadata(&name, document, &desk.namespace)?),
        ("spec", Value::Map(spec)),
    ]);
    create("services", "Service", &name, &object, desk)?;
    Ok(Outcome {
        message: format!("expose {}/{} as service {name}", kind.sort.kind, document.name),
        lines: vec![desk.line(format!("service/{name} exposed"))],
        ..Outcome::default()
    })
}

/// Writes a new object; one that is there is not written again.
fn create(
    resource: &str,
    kind: &str,
    name: &ObjectName,
    object: &Value,
    desk: &mut Desk<'_>,
) -> anyhow::Result<()> {
    let (namespace, word) = (desk.namespace.clone(), kind.to_ascii_lowercase());
    let sort = super::kinds::KINDS.iter().find(|known| known.sort.kind == kind);
    let known = match sort {
        Some(known) => desk.manifests.find(known.sort, &namespace, name.as_str())?,
        None => None,
    };
    if known.is_some() {
        return Err(ApiError::already_exists(resource, name.as_str()).into());
    }
    let path = crate::edit::new_path(&desk.config.edit.folder, &namespace, &word, name.as_str());
    Ok(desk.manifests.create(&path, object)?)
}

fn expose_service(
    command: &Command,
    document: &Document,
    desk: &mut Desk<'_>,
) -> anyhow::Result<Outcome> {
    for (flag, text) in [
        ("protocol", &command.protocol),
        ("target-port", &command.target_port),
        ("selector", &command.selector),
        ("type", &command.kind),
    ] {
        if !text.is_empty() {
            bail!("cannot use --{flag} with --generator=route/v1"); // the words of `oc`
        }
    }
    let ports = document.service_ports();
    if !ports.iter().any(|port| port.protocol == "TCP") {
        bail!("service \"{}\" doesn't support TCP", document.name);
    }
    let by_word =
        |port: &&Port| port.name == command.port || port.number.to_string() == command.port;
    let port = if command.port.is_empty() { ports.first() } else { ports.iter().find(by_word) };
    let target = match port {
        _ if !command.port.is_empty() => command.port.clone(),
        Some(port) if !port.name.is_empty() => port.name.clone(),
        Some(port) => port.target.clone().unwrap_or_else(|| port.number.to_string()),
        None => String::new(),
    };
    let name = command.new_name(&document.name)?;
    let mut spec = Vec::new();
    for (key, text) in [("host", &command.hostname), ("path", &command.path)] {
        if !text.is_empty() {
            spec.push((key.to_owned(), Value::text(text)));
        }
    }
    spec.push(("port".to_owned(), Value::map([("targetPort", port_value(&target))])));
    let to = [("kind", Value::text("Service")), ("name", Value::text(&document.name))];
    spec.push(("to".to_owned(), Value::map(to)));
    if !command.wildcard_policy.is_empty() {
        spec.push(("wildcardPolicy".to_owned(), Value::text(&command.wildcard_policy)));
    }
    let object = Value::map([
        ("apiVersion", Value::text("route.openshift.io/v1")),
        ("kind", Value::text("Route")),
        ("metadata", command.metadata(&name, document, &desk.namespace)?),
        ("spec", Value::Map(spec)),
    ]);
    let mut outcome = Outcome {
        message: format!("expose service {} as route {name}", document.name),
        ..Outcome::default()
    };
    create("routes.route.openshift.io", "Route", &name, &object, desk)?;
    if let Some(port) = port {
        publish(document, port, &mut outcome, desk)?;
    }
    outcome.lines.push(desk.line(format!("route.route.openshift.io/{name} exposed")));
    Ok(outcome)
}

/// Publishes the port of the pods of this host that a service selects.
fn publish(
    service: &Document,
    port: &Port,
    outcome: &mut Outcome,
    desk: &mut Desk<'_>,
) -> anyhow::Result<()> {
    let found = selected(service, desk);
    if found.is_empty() {
        outcome.notes.push(
            "the Route is written, and nothing of this host serves it: no router is provided, and no workload that runs as \
             pods of this host has the labels of the service"
                .into(),
        );
    }
    for (kind, place) in found {
        outcome.notes.push(publish_one(kind, &place, port, desk)?);
    }
    Ok(())
}

/// The workloads that run as pods of this host and have the labels of a service.
fn selected(service: &Document, desk: &Desk<'_>) -> Vec<(ManifestKind, Place)> {
    let selector = service.texts(&["spec", "selector"]);
    let desired = desk.desired();
    let policy = &desk.config.policy;
    let is_here = |workload: &&std::sync::Arc<Workload>| {
        workload.object.namespace == desk.namespace
            && policy.hosts.contains(&target_of(workload, policy))
    };
    let place_of = |workload: &std::sync::Arc<Workload>| {
        let is_kind = |kind: &&ManifestKind| kind.sort.kind == workload.object.kind.as_str();
        let kind = super::kinds::KINDS.iter().find(is_kind)?;
        let name = workload.object.name.as_str();
        let document = desk.manifests.find(kind.sort, &desk.namespace, name).ok()??;
        let path: Vec<&str> =
            kind.pod_template()?.iter().copied().chain(["metadata", "labels"]).collect();
        let labels = document.texts(&path);
        let is_selected = !selector.is_empty()
            && selector.iter().all(|(key, text)| labels.get(key) == Some(text));
        is_selected.then(|| (*kind, document.place()))
    };
    desired.workloads.values().filter(is_here).filter_map(place_of).collect()
}

/// Publishes a port of one workload, and says what came of it.
fn publish_one(
    kind: ManifestKind,
    place: &Place,
    port: &Port,
    desk: &mut Desk<'_>,
) -> anyhow::Result<String> {
    let Some(document) = desk.manifests.at(place).cloned() else { bail!("it is gone") };
    let name = format!("{}/{}", kind.singular(), document.name);
    let target = port.target.clone().unwrap_or_else(|| port.number.to_string());
    let containers = document.containers(kind.pod_template().unwrap_or_default());
    let by_name = || containers.iter().flat_map(|one| &one.ports).find(|one| one.name == target);
    let number = target.parse::<u16>().ok().or_else(|| by_name().map(|port| port.number));
    let Some(number) = number else {
        return Ok(format!("{name} has no port that is called `{target}`; nothing is published"));
    };
    let path = ["metadata", "annotations", PUBLISH];
    let before = document.text(&path).unwrap_or_default().to_owned();
    if before.split(',').any(|one| one.trim().ends_with(&format!(":{number}"))) {
        return Ok(format!("{name} publishes its port {number} already: `{before}`"));
    }
    let count = document.text(&["spec", "replicas"]).and_then(|text| text.parse::<u32>().ok());
    if let Some(count @ 2..) = count {
        return Ok(format!(
            "{name} runs {count} instances, which cannot share a port of this host; nothing is published"
        ));
    }
    let new = format!("{}:{number}", port.number);
    let all = if before.is_empty() { new.clone() } else { format!("{before},{new}") };
    desk.manifests.put(place, &keys(&path), Value::text(all))?;
    Ok(format!(
        "{name} publishes port {} of this host ({PUBLISH}: {new}): no router is provided",
        port.number
    ))
}
