//! What stands in the place of `ConfigMap`s and `Secret`s in what is played.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::{Pods, Unsupported, unsupported};
use super::archive::{self, File};
use super::contents::{Contents, hash8, put};
use super::{ConfigName, SourceKind, env_source, flag, items, text, volume_source};
use crate::names::ObjectKey;

/// Kubernetes' default of `defaultMode`.
const MODE: u64 = 0o644;

/// What podman allows of the name of a secret, less what a version takes.
const NAME_MAX: usize = 55;

/// Something that a host has to hold for a pod, under a name that no other content has.
#[derive(Clone, PartialEq, Eq)]
pub struct Version {
    /// Its name: `<name>-<hash8>`.
    pub name: String,
    /// What.
    pub holding: Holding,
}

/// What a version is on a host.
#[derive(Clone, PartialEq, Eq)]
pub enum Holding {
    /// A secret of podman: its content.
    Secret(Vec<u8>),
    /// A named volume: the archive that fills it.
    Volume(Vec<u8>),
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Version").field(&self.name).finish()
    }
}

/// The fields of a pod that podman makes variables of, and the one that is put in here.
pub(super) fn is_known_field(path: &str) -> bool {
    let of_map = |map: &str| {
        path.strip_prefix(map).is_some_and(|rest| rest.starts_with("['") && rest.ends_with("']"))
    };
    ["metadata.name", "metadata.namespace"].contains(&path)
        || of_map("metadata.labels")
        || of_map("metadata.annotations")
}

impl Pods {
    /// Puts in their place what its template needs of `ConfigMap`s and `Secret`s.
    ///
    /// # Errors
    /// What is missing, or cannot be put so.
    pub fn with_configs<'a>(
        mut self,
        contents: impl Fn(&ConfigName) -> Option<&'a Contents>,
    ) -> Result<Self, Unsupported> {
        let mut placing =
            Placing { object: self.object.clone(), contents, versions: BTreeMap::new() };
        for list in ["/spec/initContainers", "/spec/containers"] {
            let containers = self.template.pointer_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                placing.environment(container)?;
            }
        }
        for hook in self.hooks.all_mut() {
            let mut holder = json!({"env": std::mem::take(&mut hook.env)});
            placing.environment(&mut holder)?;
            if let Some(Value::Array(env)) = holder.get_mut("env").map(Value::take) {
                hook.env = env;
            }
        }
        let mut ours = BTreeSet::new();
        let volumes = self.template.pointer_mut("/spec/volumes").and_then(Value::as_array_mut);
        for volume in volumes.into_iter().flatten() {
            if let Some(name) = placing.volume(volume)? {
                ours.insert(name);
            }
        }
        for list in ["/spec/initContainers", "/spec/containers"] {
            let containers = self.template.pointer_mut(list).and_then(Value::as_array_mut);
            let mounts = containers.into_iter().flatten();
            let mounts = mounts.filter_map(|one| one.get_mut("volumeMounts")?.as_array_mut());
            for mount in mounts.flatten() {
                if ours.contains(text(mount, "name"))
                    && let Some(fields) = mount.as_object_mut()
                {
                    fields.insert("readOnly".into(), Value::Bool(true));
                }
            }
        }
        let versions = placing.versions;
        self.versions =
            versions.into_iter().map(|(name, holding)| Version { name, holding }).collect();
        self.needs.clear();
        Ok(self)
    }

    /// What the host has to hold for it, once [`Pods::with_configs`] was asked.
    #[must_use]
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }
}

struct Placing<F> {
    object: ObjectKey,
    contents: F,
    versions: BTreeMap<String, Holding>,
}

impl<'a, F: Fn(&ConfigName) -> Option<&'a Contents>> Placing<F> {
    /// None where it may be missing and is.
    fn find(
        &self,
        source: &ConfigName,
        optional: bool,
    ) -> Result<Option<&'a Contents>, Unsupported> {
        match (self.contents)(source) {
            None if !optional => unsupported(format!("there is no {source}")),
            found => Ok(found),
        }
    }

    fn environment(&mut self, container: &mut Value) -> Result<(), Unsupported> {
        let mut env = Vec::new();
        for one in items(container.get("env")) {
            env.extend(self.variable(one)?);
        }
        let own: BTreeSet<String> = env.iter().map(|one| text(one, "name").to_owned()).collect();
        let mut all: Vec<Value> = Vec::new();
        for one in items(container.get("envFrom")) {
            let Some((source, optional)) = env_source(one) else { continue };
            let Some(contents) = self.find(&source, optional)? else { continue };
            let prefix = text(one, "prefix");
            for (key, _) in contents.variables() {
                let name = format!("{prefix}{key}");
                if !is_variable(&name) || own.contains(&name) {
                    continue;
                }
                all.retain(|before| text(before, "name") != name); // the last one counts
                all.push(self.value(&name, &source, contents, key)?);
            }
        }
        all.extend(env);
        if let Some(fields) = container.as_object_mut() {
            fields.remove("envFrom");
            if all.is_empty() {
                fields.remove("env");
            } else {
                fields.insert("env".into(), Value::Array(all));
            }
        }
        Ok(())
    }

    /// A variable as podman can set it; none where what it is of may be missing and is.
    fn variable(&mut self, one: &Value) -> Result<Option<Value>, Unsupported> {
        let name = text(one, "name");
        let from = |key: &str| {
            let from = one.get("valueFrom").and_then(|from| from.get(key));
            from.filter(|from| !from.is_null())
        };
        if from("fieldRef").is_some_and(|field| text(field, "fieldPath") == "metadata.namespace") {
            let namespace = self.object.namespace.to_string();
            return Ok(Some(json!({"name": name, "value": namespace})));
        }
        let kinds =
            [("configMapKeyRef", SourceKind::ConfigMap), ("secretKeyRef", SourceKind::Secret)];
        let found = kinds.into_iter().find_map(|(key, kind)| Some((kind, from(key)?)));
        let Some((kind, from)) = found else { return Ok(Some(one.clone())) };
        let source = ConfigName { kind, name: text(from, "name").to_owned() };
        let (key, optional) = (text(from, "key"), flag(from, "optional"));
        let Some(contents) = self.find(&source, optional)? else { return Ok(None) };
        match contents.get(key) {
            Some(_) => self.value(name, &source, contents, key).map(Some),
            None if optional => Ok(None),
            None => unsupported(format!("{source} has no key `{key}`")),
        }
    }

    fn value(
        &mut self,
        name: &str,
        source: &ConfigName,
        contents: &Contents,
        key: &str,
    ) -> Result<Value, Unsupported> {
        if source.kind == SourceKind::Secret {
            let version = self.secret(&source.name, contents);
            let from = json!({"secretKeyRef": {"name": version, "key": key}});
            return Ok(json!({"name": name, "valueFrom": from}));
        }
        let value = contents.get(key).unwrap_or_default();
        match std::str::from_utf8(value) {
            Ok(text) => Ok(json!({"name": name, "value": text})),
            Err(_) => unsupported(format!("`{key}` of {source} is no text")),
        }
    }

    /// A secret of podman as `secretKeyRef` reads it: an object of keys and base64.
    fn secret(&mut self, name: &str, contents: &Contents) -> String {
        let encode = |(key, value): (&String, &Vec<u8>)| {
            (key.clone(), Value::String(STANDARD.encode(value)))
        };
        let map: Map<String, Value> = contents.iter().map(encode).collect();
        let bytes = Value::Object(map).to_string().into_bytes();
        let version = self.name(name, b"secret", &bytes);
        self.versions.insert(version.clone(), Holding::Secret(bytes));
        version
    }

    /// Makes a volume a named one; its name, where it is made of one of them.
    fn volume(&mut self, volume: &mut Value) -> Result<Option<String>, Unsupported> {
        let Some((source, from)) = volume_source(volume) else { return Ok(None) };
        let optional = flag(from, "optional");
        let contents = self.find(&source, optional)?;
        let mode = mode_of(from.get("defaultMode")).unwrap_or(MODE);
        let mut files = Vec::new();
        let mut put_file = |path: &str, mode: u64, content: &[u8]| {
            let steps = path.split('/');
            let is_odd = |step: &str| step.is_empty() || step == "." || step == "..";
            if steps.into_iter().any(is_odd) || path.len() > archive::PATH_MAX {
                return unsupported(format!("`{path}` of {source} cannot be the path of a file"));
            }
            let mode = u32::try_from(mode & 0o777).unwrap_or(0o644);
            files.push(File { path: path.to_owned(), mode, content: content.to_vec() });
            Ok(())
        };
        if let Some(contents) = contents {
            match from.get("items").and_then(Value::as_array).filter(|items| !items.is_empty()) {
                None => {
                    for (key, value) in contents.iter() {
                        put_file(key, mode, value)?;
                    }
                }
                Some(chosen) => {
                    for item in chosen {
                        let mode = mode_of(item.get("mode")).unwrap_or(mode);
                        match contents.get(text(item, "key")) {
                            Some(value) => put_file(text(item, "path"), mode, value)?,
                            None if optional => {}
                            None => {
                                let key = text(item, "key");
                                return unsupported(format!("{source} has no key `{key}`"));
                            }
                        }
                    }
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let bytes = archive::write(&files);
        let version = self.name(&source.name, b"volume", &bytes);
        self.versions.insert(version.clone(), Holding::Volume(bytes));
        let name = text(volume, "name").to_owned();
        *volume = json!({"name": name, "persistentVolumeClaim": {"claimName": version}});
        Ok(Some(name))
    }

    /// A name of its own for each object: what one no longer needs is never what another does.
    fn name(&self, name: &str, how: &[u8], bytes: &[u8]) -> String {
        let mut all = Vec::new();
        for piece in [self.object.to_string().as_bytes(), how, bytes] {
            put(&mut all, piece);
        }
        let short: String = name.chars().take(NAME_MAX).collect();
        format!("{short}-{}", hash8(&all))
    }
}

/// A mode as a number, or as it is often written, octal: `0400`.
fn mode_of(written: Option<&Value>) -> Option<u64> {
    let written = written?;
    let octal = |text: &str| u64::from_str_radix(text.trim_start_matches("0o"), 8).ok();
    written.as_u64().or_else(|| octal(written.as_str()?))
}

/// Whether a key may be the name of a variable; others are passed over, as Kubernetes does.
fn is_variable(name: &str) -> bool {
    let is_known = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !name.is_empty()
        && name.chars().all(is_known)
        && !name.starts_with(|c: char| c.is_ascii_digit())
}
