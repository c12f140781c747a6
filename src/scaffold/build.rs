//! The `BuildConfig` of a build (section 6.2, rules N10, N11, N13).

use std::collections::BTreeMap;

use crate::edit::Value;
use crate::names::ObjectName;

use super::failure::Failure;
use super::pipeline::{Build, Of, Pipeline};
use super::{Strategy, Wanted};

/// Where the secret of a webhook stands in a Secret (rule B19).
pub const SECRET_KEY: &str = "WebHookSecretKey";

/// Characters of the secret of a webhook.
pub const SECRET_LEN: usize = 20;

/// The Secret that holds what the webhooks of a build are asked with.
#[must_use]
pub fn secret_name(build: &str) -> String {
    format!("{build}-webhook")
}

/// An entry of a mapping.
pub(super) type Entry = (String, Value);

pub(super) fn entry(key: &str, value: impl Into<Value>) -> Entry {
    (key.to_owned(), value.into())
}

/// `env` of what runs or builds; nothing for none.
pub(super) fn environment(variables: &BTreeMap<String, String>) -> Option<Entry> {
    let pair = |(name, value): (&String, &String)| named(name, value);
    let list: Vec<Value> = variables.iter().map(pair).collect();
    (!list.is_empty()).then(|| entry("env", Value::List(list)))
}

fn named(name: &str, value: &str) -> Value {
    Value::map([("name", Value::text(name)), ("value", Value::text(value))])
}

/// A reference to an image, as objects of OpenShift spell it.
pub(super) fn reference(of: &Of) -> Value {
    let (kind, name) = match of {
        Of::Tag { .. } | Of::Tracked { .. } | Of::Output { .. } => {
            ("ImageStreamTag", of.tag().unwrap_or_default())
        }
        Of::Image(reference) => ("DockerImage", reference.exact()),
    };
    let mut fields = vec![entry("kind", kind)];
    if let Of::Tag { namespace, .. } = of {
        fields.push(entry("namespace", namespace.as_str()));
    }
    fields.push(entry("name", name));
    Value::Map(fields)
}

/// `spec` of the BuildConfig of a pipeline that builds; `hooks` are the secrets of its webhooks, where they are written
/// into it.
pub(super) fn spec(
    wanted: &Wanted,
    pipeline: &Pipeline,
    build: &Build,
    hooks: Option<&[String]>,
) -> Result<Vec<Entry>, Failure> {
    let mut fields = vec![
        entry("triggers", Value::List(triggers(pipeline, build, hooks))),
        entry("source", source(wanted, build).map_err(Failure::Plain)?),
        entry("strategy", strategy(wanted, build)),
    ];
    let mut output = Vec::new();
    if let Some(to) = &build.output {
        output.push(entry("to", reference(to)));
    }
    if let Some(secret) = local_secret(&wanted.push_secret, "push").map_err(Failure::Plain)? {
        output.push(entry("pushSecret", secret));
    }
    if !output.is_empty() {
        fields.push(entry("output", Value::Map(output)));
    }
    Ok(fields)
}

fn local_secret(name: &str, what: &str) -> Result<Option<Value>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    match name.parse::<ObjectName>() {
        Ok(_) => Ok(Some(Value::map([("name", Value::text(name))]))),
        Err(_) => Err(format!("{what} secret name \"{name}\" is invalid")),
    }
}

/// What starts it: the hooks always, changes unless it waits for what is uploaded.
fn triggers(pipeline: &Pipeline, build: &Build, hooks: Option<&[String]>) -> Vec<Value> {
    let hook = |at: usize, kind: &str, key: &str| {
        let secret = match hooks.and_then(|hooks| hooks.get(at)) {
            Some(text) => entry("secret", text.as_str()),
            None => {
                let name = Value::text(secret_name(&pipeline.name));
                entry("secretReference", Value::map([("name", name)]))
            }
        };
        Value::Map(vec![entry("type", kind), (key.to_owned(), Value::Map(vec![secret]))])
    };
    let mut all = vec![hook(0, "GitHub", "github"), hook(1, "Generic", "generic")];
    if build.repository.is_binary {
        return all;
    }
    let change = |from: Vec<Entry>| {
        Value::Map(vec![entry("type", "ImageChange"), entry("imageChange", Value::Map(from))])
    };
    if let Some((of, _)) = build.image.as_ref().filter(|(of, _)| of.tag().is_some()) {
        all.push(change(vec![entry("from", reference(of))]));
    }
    all.push(Value::map([("type", Value::text("ConfigChange"))]));
    if build.input.as_ref().is_some_and(|input| input.tag().is_some()) {
        all.push(change(Vec::new()));
    }
    all
}

fn source(wanted: &Wanted, build: &Build) -> Result<Value, String> {
    let repository = &build.repository;
    let remote = repository.remote.as_ref().filter(|_| !repository.is_binary);
    let kind = match () {
        () if build.image.is_some() => "Image",
        () if repository.is_binary => "Binary",
        () if remote.is_some() => "Git",
        () => "Dockerfile",
    };
    let mut fields = vec![entry("type", kind)];
    if repository.is_binary {
        fields.push(entry("binary", Value::Map(Vec::new())));
    } else if let Some(text) = &repository.dockerfile {
        fields.push(entry("dockerfile", text.as_str()));
    }
    if let Some(remote) = remote {
        let mut git = vec![entry("uri", remote.url.as_str())];
        if !remote.reference.is_empty() {
            git.push(entry("ref", remote.reference.as_str()));
        }
        fields.push(entry("git", Value::Map(git)));
    }
    if let Some((of, path)) = &build.image {
        let (from, to) = path.split_once(':').unwrap_or((path, ""));
        let to = if to.is_empty() { "." } else { to };
        let path =
            Value::map([("sourcePath", Value::text(from)), ("destinationDir", Value::text(to))]);
        let image =
            Value::Map(vec![entry("from", reference(of)), entry("paths", Value::List(vec![path]))]);
        fields.push(entry("images", Value::List(vec![image])));
    }
    if !wanted.context_dir.is_empty() && !repository.location.is_empty() {
        fields.push(entry("contextDir", wanted.context_dir.as_str()));
    }
    if let Some(secret) = local_secret(&wanted.source_secret, "source")? {
        fields.push(entry("sourceSecret", secret));
    }
    let is_docker = repository.strategy == Strategy::Docker;
    fields.extend(mounts(&wanted.build_secrets, ("secrets", "secret", "secret"), is_docker)?);
    let maps = ("configMaps", "configMap", "configMap");
    fields.extend(mounts(&wanted.build_config_maps, maps, is_docker)?);
    Ok(Value::Map(fields))
}

/// `NAME:FOLDER` words as entries of a build's source.
fn mounts(
    words: &[String],
    (list, key, what): (&str, &str, &str),
    is_docker: bool,
) -> Result<Option<Entry>, String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut all = Vec::new();
    for word in words {
        let (name, folder) = word.split_once(':').unwrap_or((word, ""));
        if is_docker && folder.starts_with('/') {
            return Err(format!(
                "for the docker strategy, the {what} destination directory \"{folder}\" must be a relative path"
            ));
        }
        if name.parse::<ObjectName>().is_err() {
            return Err(format!("the \"{name}\" must be a valid {what} name"));
        }
        if !seen.insert(name) {
            return Err(format!("the \"{name}\" {what} can be used just once"));
        }
        let mut fields = vec![entry(key, Value::map([("name", Value::text(name))]))];
        if !folder.is_empty() {
            fields.push(entry("destinationDir", folder));
        }
        all.push(Value::Map(fields));
    }
    Ok((!all.is_empty()).then(|| entry(list, Value::List(all))))
}

fn strategy(wanted: &Wanted, build: &Build) -> Value {
    let mut fields = Vec::new();
    if let Some(input) = &build.input {
        fields.push(entry("from", reference(input)));
    }
    fields.extend(environment(&wanted.build_environment));
    let (kind, key) = match build.repository.strategy {
        Strategy::Docker => ("Docker", "dockerStrategy"),
        Strategy::Source | Strategy::Pipeline => ("Source", "sourceStrategy"),
    };
    if build.repository.strategy == Strategy::Docker && !wanted.build_arguments.is_empty() {
        let all = wanted.build_arguments.iter().map(|(name, value)| named(name, value));
        fields.push(entry("buildArgs", Value::List(all.collect())));
    }
    Value::Map(vec![entry("type", kind), (key.to_owned(), Value::Map(fields))])
}
