//! A workload as a service of systemd: the files that podman's generator makes one of (rules R18 to R21).
//!
//! What is kept of a revision, and put back byte for byte, are these files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::render::SEPARATOR;
use super::{LABEL_OBJECT, Pods, Strategy, Unsupported, documents, unsupported};
use crate::fact::RolloutStep;
use crate::names::{ObjectName, Revision};

/// What makes podman's own updater change an image behind our back (rule X51).
const AUTO_UPDATE: &str = "io.containers.autoupdate";

/// The files of one workload, by their path in the folder of units.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    units: BTreeMap<String, String>,
}

impl Units {
    /// Reads what [`Units::render`] wrote; none if it is something else.
    #[must_use]
    pub fn parse(rendered: &str) -> Option<Self> {
        serde_json::from_str(rendered).ok()
    }

    /// All files as one text.
    #[must_use]
    pub fn render(&self) -> String {
        serde_json::json!({"units": self.units}).to_string()
    }

    /// Path and text of each file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.units.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text of a file.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&str> {
        self.units.get(path).map(String::as_str)
    }

    /// Whether nothing is to run.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// Whether only the image of a `.container` unit is ours, which somebody else wrote.
    #[must_use]
    pub fn is_image_only(&self) -> bool {
        self.units.keys().any(|path| path.ends_with(DROP_IN))
    }

    /// The pods that are played.
    pub fn documents(&self) -> impl Iterator<Item = &str> {
        let played = self.units.iter().filter(|(path, _)| path.ends_with(".yaml"));
        played.flat_map(|(_, text)| documents(text))
    }
}

/// The drop-in of a `.container` unit, in its folder.
const DROP_IN: &str = ".container.d/50-image.conf";

/// Every path that a workload of this name may have files of ours at.
#[must_use]
pub fn unit_paths(name: &ObjectName) -> [String; 3] {
    [format!("{name}.kube"), format!("{name}.yaml"), format!("{name}{DROP_IN}")]
}

/// The object that a file of ours says it is of.
#[must_use]
pub fn owner_of_unit(text: &str) -> Option<String> {
    let pod: Value = serde_json::from_str(documents(text).first()?).ok()?;
    let label = format!("/metadata/labels/{}", LABEL_OBJECT.replace('/', "~1"));
    Some(pod.pointer(&label)?.as_str()?.to_owned())
}

/// Whether the unit that the generator makes would be changed by podman's own updater.
#[must_use]
pub fn is_updated_by_podman(unit: &str) -> bool {
    unit.contains(AUTO_UPDATE)
}

impl Pods {
    /// The steps of a rollout where a service is restarted: its stop is a part of its start, unless something is to be
    /// done in between or the strategy says so.
    #[must_use]
    pub fn course_of_unit(&self, first: bool) -> Vec<RolloutStep> {
        let step = |step| match step {
            RolloutStep::StoppingOld if self.strategy != Strategy::Recreate => Vec::new(),
            // All instances are those of one service.
            RolloutStep::Updating => vec![RolloutStep::StartingNew, RolloutStep::Checking],
            step @ (RolloutStep::Pulling
            | RolloutStep::PreHook
            | RolloutStep::Verifying
            | RolloutStep::StoppingOld
            | RolloutStep::MidHook
            | RolloutStep::StartingNew
            | RolloutStep::Checking
            | RolloutStep::PostHook
            | RolloutStep::RollingBack) => vec![step],
        };
        self.course(first).into_iter().flat_map(step).collect()
    }

    /// Whether it can be a unit at all.
    ///
    /// # Errors
    /// What it asks for that a unit does not do.
    pub fn check_unit(&self) -> Result<(), Unsupported> {
        let annotations = self.template.pointer("/metadata/annotations").and_then(Value::as_object);
        let mut names = annotations.into_iter().flat_map(|annotations| annotations.keys());
        match names.find(|name| name.starts_with(AUTO_UPDATE)) {
            Some(name) => unsupported(format!(
                "the pod template has the annotation `{name}`: podman's own updater would change images beside Tidegate; \
                 remove it"
            )),
            None => Ok(()),
        }
    }

    /// The unit that plays these documents (rule R19), in a network with further names, and what it plays; nothing where no
    /// instance is to run.
    #[must_use]
    pub fn units(
        &self,
        rendered: &str,
        network: Option<(&str, &[String])>,
        revision: Revision,
    ) -> Units {
        let mut ports = Vec::new();
        let played: Vec<String> =
            documents(rendered).into_iter().map(|document| publish(document, &mut ports)).collect();
        if played.is_empty() {
            return Units::default();
        }
        let name = &self.object.name;
        let ports = ports.iter().map(|port| format!("PublishPort={port}\n"));
        let network = network.map(|(network, names)| {
            let more: String = names.iter().map(|name| format!(",alias={name}")).collect();
            format!("Network={network}:alias={name}{more}\n")
        });
        let lines: String = ports.chain(network).collect();
        let unit = format!(
            "[Unit]\n\
             Description={name} (managed; revision {revision})\n\
             After=network-online.target\n\
             Wants=network-online.target\n\
             \n\
             [Kube]\n\
             Yaml={name}.yaml\n\
             {lines}ExitCodePropagation=any\n\
             \n\
             [Service]\n\
             Restart=on-failure\n\
             RestartSec=5\n\
             TimeoutStartSec=900\n\
             \n\
             [Install]\n\
             WantedBy=default.target\n",
            revision = revision.0,
        );
        let [kube, yaml, _] = unit_paths(name);
        let played = played.join(SEPARATOR) + "\n";
        Units { units: BTreeMap::from([(kube, unit), (yaml, played)]) }
    }

    /// The image of a `.container` unit that somebody else wrote (rule R21).
    ///
    /// # Errors
    /// When it is not one instance of one container.
    pub fn image_unit(&self) -> Result<Units, Unsupported> {
        let [_, _, drop_in] = unit_paths(&self.object.name);
        let units = match self.replicas {
            0 => BTreeMap::new(),
            1 => {
                let images: Vec<_> =
                    self.containers().filter_map(|one| one.get("image")?.as_str()).collect();
                let [image] = images[..] else {
                    return unsupported(format!(
                        "there is a unit `{}.container`, which runs one container, and the pod template has {}",
                        self.object.name,
                        images.len()
                    ));
                };
                if image.contains(|c: char| c.is_control() || c.is_whitespace()) {
                    return unsupported(format!("{image:?} is no image"));
                }
                BTreeMap::from([(drop_in, format!("[Container]\nImage={image}\n"))])
            }
            many => {
                return unsupported(format!(
                    "there is a unit `{}.container`, which runs one instance, and `replicas` is {many}",
                    self.object.name
                ));
            }
        };
        Ok(Units { units })
    }
}

/// A document without the ports of the host, which the unit publishes; they are added to `ports`.
fn publish(document: &str, ports: &mut Vec<String>) -> String {
    let Ok(mut pod) = serde_json::from_str::<Value>(document) else { return document.to_owned() };
    for list in ["/spec/initContainers", "/spec/containers"] {
        let containers = pod.pointer_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let declared = container.get_mut("ports").and_then(Value::as_array_mut);
            for port in declared.into_iter().flatten() {
                ports.extend(published(port));
            }
        }
    }
    pod.to_string()
}

/// As `PublishPort=` has it; the port is no longer one of the host.
fn published(port: &mut Value) -> Option<String> {
    let fields = port.as_object_mut()?;
    let address = fields.remove("hostIP");
    let host = fields.remove("hostPort")?.as_u64().filter(|port| *port != 0)?;
    let inside = fields.get("containerPort")?.as_u64()?;
    let address = address.as_ref().and_then(Value::as_str).filter(|text| !text.is_empty());
    let address = address.map_or_else(String::new, |address| match address.contains(':') {
        true => format!("[{address}]:"),
        false => format!("{address}:"),
    });
    let protocol = fields.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
    let protocol = match protocol.eq_ignore_ascii_case("TCP") {
        true => String::new(),
        false => format!("/{}", protocol.to_ascii_lowercase()),
    };
    Some(format!("{address}{host}:{inside}{protocol}"))
}
