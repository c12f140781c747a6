//! Probes (rule R5), with the kubelet's defaults.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Unsupported, unsupported};

/// What a probe is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// `startupProbe`: until it succeeds once no other is asked; the container is given up when it fails too often.
    Startup,
    /// `readinessProbe`.
    Readiness,
    /// `livenessProbe`, where podman makes a health check of it.
    Liveness,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        })
    }
}

/// When a container is ready.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// What it is for.
    pub purpose: Purpose,
    /// What is asked.
    pub handler: Handler,
    /// How long after the start it is asked first.
    pub initial_delay: Duration,
    /// How often it is asked.
    pub period: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How many answers in a row make it ready.
    pub successes: u32,
    /// How many failures in a row make it unready again.
    pub failures: u32,
}

/// What a probe asks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Handler {
    /// An HTTP request, answered with a status from 200 to 399.
    Http {
        /// Path and query.
        path: String,
        /// The port.
        port: u16,
        /// Further headers.
        headers: Vec<(String, String)>,
        /// Whether it is asked by TLS; whose certificate it is does not matter, as to the kubelet.
        tls: bool,
    },
    /// A call of gRPC's health protocol, answered with `SERVING`.
    Grpc {
        /// The port.
        port: u16,
        /// Which service; all of them, if it is empty.
        service: String,
    },
    /// The health check that podman makes of a command and keeps of the container.
    HealthCheck {
        /// The program and its arguments, as they are written.
        command: Vec<String>,
    },
    /// A connection.
    Tcp {
        /// The port.
        port: u16,
    },
    /// A command in the container that ends with 0.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    http_get: Option<HttpGet>,
    tcp_socket: Option<TcpSocket>,
    exec: Option<Exec>,
    grpc: Option<Grpc>,
    initial_delay_seconds: Option<u64>,
    period_seconds: Option<u64>,
    timeout_seconds: Option<u64>,
    success_threshold: Option<u32>,
    failure_threshold: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpGet {
    #[serde(default)]
    path: String,
    port: Value,
    #[serde(default)]
    scheme: String,
    #[serde(default)]
    http_headers: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct TcpSocket {
    port: Value,
}

#[derive(Deserialize)]
struct Grpc {
    port: Value,
    #[serde(default)]
    service: Option<String>,
}

#[derive(Deserialize)]
struct Exec {
    #[serde(default)]
    command: Vec<String>,
}

/// The probes that each container of a pod template may have, in the order in which they count.
const PURPOSES: [(&str, Purpose); 3] = [
    ("startupProbe", Purpose::Startup),
    ("readinessProbe", Purpose::Readiness),
    ("livenessProbe", Purpose::Liveness),
];

impl Handler {
    /// Why a podman of this version asks something else than what is written: before 4.4 it puts the words of a command
    /// together with spaces and gives them to a shell (podman#16794).
    #[must_use]
    pub fn misread_by(&self, version: &str) -> Option<String> {
        let Self::HealthCheck { command } = self else { return None };
        let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().ok());
        let (major, minor) = (numbers.next().flatten()?, numbers.next().flatten()?);
        let is_plain = |word: &String| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
            !word.is_empty() && word.chars().all(plain)
        };
        if (major, minor) >= (4, 4) || command.iter().all(is_plain) {
            return None;
        }
        Some(format!(
            "podman {version} would not run `{}` as it is written, with a word that a shell reads otherwise; put it into a \
             script, leave the probe out, or use podman 4.4",
            command.join(" ")
        ))
    }
}

/// The probes of a pod template, each with its container.
pub(super) fn of(template: &Value) -> Result<Vec<(String, Probe)>, Unsupported> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    let mut probes = Vec::new();
    for container in containers.into_iter().flatten() {
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        for (field, purpose) in PURPOSES {
            let Some(probe) = container.get(field).filter(|probe| !probe.is_null()) else {
                continue;
            };
            if purpose == Purpose::Liveness && !is_health_check(probe) {
                continue;
            }
            match read(container, probe, purpose) {
                Ok(probe) => probes.push((name.to_owned(), probe)),
                Err(why) => {
                    return unsupported(format!(
                        "the {purpose} probe of container `{name}`: {why}"
                    ));
                }
            }
        }
    }
    Ok(probes)
}

/// The containers of a pod that was put together of which podman keeps a health check, by their names on the host, and how
/// often each is asked.
#[must_use]
pub fn health_checks(document: &str) -> Vec<(String, Duration)> {
    let pod: Value = serde_json::from_str(document).unwrap_or_default();
    let name = pod.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let is_check = |probe: &Probe| matches!(probe.handler, Handler::HealthCheck { .. });
    let probes = of(&pod).unwrap_or_default().into_iter().filter(|(_, probe)| is_check(probe));
    probes.map(|(container, probe)| (format!("{name}-{container}"), probe.period)).collect()
}

/// Whether a liveness probe can become a health check of podman. Of `httpGet` and `tcpSocket` podman makes commands with
/// `curl` and `nc` in the container: an image that has neither would be restarted for ever. Others it leaves out.
pub(super) fn is_health_check(probe: &Value) -> bool {
    probe.get("exec").is_some_and(|exec| !exec.is_null())
}

fn read(container: &Value, probe: &Value, purpose: Purpose) -> Result<Probe, String> {
    let written = Written::deserialize(probe).map_err(|error| error.to_string())?;
    let handler = match written {
        Written { http_get: Some(get), .. } => Handler::Http {
            path: if get.path.starts_with('/') { get.path } else { format!("/{}", get.path) },
            port: port(container, &get.port)?,
            headers: get.http_headers.into_iter().map(|one| (one.name, one.value)).collect(),
            tls: get.scheme.eq_ignore_ascii_case("https"),
        },
        Written { tcp_socket: Some(tcp), .. } => Handler::Tcp { port: port(container, &tcp.port)? },
        Written { exec: Some(exec), .. } if exec.command.is_empty() => {
            return Err("`exec` has no command".into());
        }
        Written { exec: Some(exec), .. } if purpose == Purpose::Liveness => {
            Handler::HealthCheck { command: exec.command }
        }
        Written { exec: Some(exec), .. } => Handler::Exec { command: exec.command },
        Written { grpc: Some(grpc), .. } => Handler::Grpc {
            port: port(container, &grpc.port)?,
            service: grpc.service.unwrap_or_default(),
        },
        _ => return Err("it has none of `httpGet`, `tcpSocket`, `exec`, `grpc`".into()),
    };
    // Zero means the default too, as the API server has it.
    let seconds = |value: Option<u64>, default: u64| {
        super::spec::span(value.filter(|value| *value > 0).unwrap_or(default))
    };
    let count =
        |value: Option<u32>, default: u32| value.filter(|value| *value > 0).unwrap_or(default);
    Ok(Probe {
        purpose,
        handler,
        initial_delay: seconds(written.initial_delay_seconds, 0),
        period: seconds(written.period_seconds, 10),
        timeout: seconds(written.timeout_seconds, 1),
        successes: count(written.success_threshold, 1),
        failures: count(written.failure_threshold, 3),
    })
}

/// A number, or the name of one of the container's ports.
fn port(container: &Value, port: &Value) -> Result<u16, String> {
    let number = |value: &Value| {
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        number.filter(|number| *number != 0)
    };
    if let Some(number) = number(port).or_else(|| port.as_str()?.parse().ok()) {
        return Ok(number);
    }
    let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
    let mut named = ports.filter(|one| one.get("name").is_some_and(|name| name == port));
    let found = named.next().and_then(|one| number(one.get("containerPort")?));
    found.ok_or_else(|| format!("the container has no port {port}"))
}
