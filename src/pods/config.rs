//! `ConfigMap`s and `Secret`s that a pod template names (rule R17).
//!
//! A host has neither. What stands in their place is put together here: a value of a `ConfigMap` stands in the pod itself,
//! one of a `Secret` is named there and lies in a secret of podman, and a volume of either is a named volume. The names of
//! both end in a hash of what they hold, so that what runs keeps what it was started with.

mod archive;
mod contents;
mod place;

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Pods, Unsupported, unsupported};

pub use contents::{Configs, Contents, Summary};
pub use place::{Holding, Version};

/// Annotation of a pod: the versions that it names, with commas.
pub const VERSIONS: &str = "tidegate.dev/versions";

/// A `ConfigMap` or a `Secret`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum SourceKind {
    /// A `ConfigMap`.
    ConfigMap,
    /// A `Secret`.
    Secret,
}

/// Which one, in the namespace of whoever names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ConfigName {
    /// Its kind.
    pub kind: SourceKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ConfigName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            SourceKind::ConfigMap => "configmap",
            SourceKind::Secret => "secret",
        };
        write!(f, "{kind}/{}", self.name)
    }
}

/// What a template needs of one of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Need {
    pub(super) source: ConfigName,
    /// The keys that it must have.
    pub(super) keys: Vec<String>,
    /// Whether the pod runs without it.
    pub(super) optional: bool,
    /// Who needs it.
    pub(super) place: String,
}

impl Pods {
    /// Whether it names a `ConfigMap` or a `Secret`.
    #[must_use]
    pub fn needs_configs(&self) -> bool {
        !self.needs.is_empty()
    }

    /// What of its `ConfigMap`s and `Secret`s is not there.
    pub fn lacks<'a>(&self, known: impl Fn(&ConfigName) -> Option<&'a Summary>) -> Option<String> {
        self.needs.iter().filter(|need| !need.optional).find_map(|need| {
            let Need { source, place, .. } = need;
            let Some(summary) = known(source) else {
                return Some(format!("{place} needs {source}, which git does not have"));
            };
            if let Some(fault) = &summary.fault {
                return Some(format!("{place} needs {source}, which cannot be read: {fault}"));
            }
            let lacks = need.keys.iter().find(|key| !summary.keys.contains(*key))?;
            Some(format!("{place} needs the key `{lacks}` of {source}, which has no such key"))
        })
    }
}

/// The names of the `ConfigMap`s and `Secret`s of a manifest.
#[must_use]
pub fn names(template: &Value) -> BTreeSet<ConfigName> {
    needs(template).unwrap_or_default().into_iter().map(|need| need.source).collect()
}

/// What a template needs.
pub(super) fn needs(template: &Value) -> Result<Vec<Need>, Unsupported> {
    let mut needs = Vec::new();
    for list in ["/spec/initContainers", "/spec/containers"] {
        for container in items(template.pointer(list)) {
            let place = format!("container `{}`", text(container, "name"));
            environment(container, &place, &mut needs)?;
        }
    }
    for volume in items(template.pointer("/spec/volumes")) {
        let place = format!("volume `{}`", text(volume, "name"));
        if let Some((source, volume)) = volume_source(volume) {
            let keys = items(volume.get("items")).map(|item| text(item, "key").to_owned());
            let optional = flag(volume, "optional");
            needs.push(Need { source, keys: keys.collect(), optional, place });
        }
    }
    Ok(needs)
}

/// What the environment of a container, or of a hook, needs.
pub(super) fn environment(
    container: &Value,
    place: &str,
    needs: &mut Vec<Need>,
) -> Result<(), Unsupported> {
    for one in items(container.get("env")) {
        let Some(from) = one.get("valueFrom").and_then(Value::as_object) else { continue };
        let name = text(one, "name");
        let from = from.iter().filter(|(_, value)| !value.is_null());
        for (how, from) in from {
            let kind = match how.as_str() {
                "configMapKeyRef" => SourceKind::ConfigMap,
                "secretKeyRef" => SourceKind::Secret,
                "fieldRef" if place::is_known_field(text(from, "fieldPath")) => continue,
                "fieldRef" => {
                    let field = text(from, "fieldPath");
                    return unsupported(format!(
                        "variable `{name}` of {place} is the field `{field}`, which is not known to this kind of target"
                    ));
                }
                other => {
                    return unsupported(format!(
                        "variable `{name}` of {place} is a `{other}`, which is not known to this kind of target"
                    ));
                }
            };
            let source = ConfigName { kind, name: text(from, "name").to_owned() };
            let keys = vec![text(from, "key").to_owned()];
            let optional = flag(from, "optional");
            let place = format!("variable `{name}` of {place}");
            needs.push(Need { source, keys, optional, place });
        }
    }
    for one in items(container.get("envFrom")) {
        let Some((source, optional)) = env_source(one) else {
            return unsupported(format!(
                "an `envFrom` of {place} is no `configMapRef` and no `secretRef`"
            ));
        };
        needs.push(Need { source, keys: Vec::new(), optional, place: place.to_owned() });
    }
    Ok(())
}

/// What an entry of `envFrom` names, and whether it may be missing.
fn env_source(one: &Value) -> Option<(ConfigName, bool)> {
    let kinds = [("configMapRef", SourceKind::ConfigMap), ("secretRef", SourceKind::Secret)];
    kinds.into_iter().find_map(|(key, kind)| {
        let from = one.get(key).filter(|from| !from.is_null())?;
        let name = text(from, "name").to_owned();
        Some((ConfigName { kind, name }, flag(from, "optional")))
    })
}

/// What a volume is made of, where it is made of one of them.
fn volume_source(volume: &Value) -> Option<(ConfigName, &Value)> {
    let kinds = [
        ("configMap", "name", SourceKind::ConfigMap),
        ("secret", "secretName", SourceKind::Secret),
    ];
    kinds.into_iter().find_map(|(key, name, kind)| {
        let from = volume.get(key).filter(|from| !from.is_null())?;
        Some((ConfigName { kind, name: text(from, name).to_owned() }, from))
    })
}

fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool) == Some(true)
}
