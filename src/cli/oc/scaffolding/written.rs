//! What `new-app` writes into git, or prints.

use serde_json::json;

use crate::cli::oc::edit::{Desk, Outcome};
use crate::cli::oc::kinds::{KINDS, ManifestKind};
use crate::cli::oc::{get, tag};
use crate::edit::new_path;
use crate::names::Namespace;
use crate::oc::yaml;
use crate::policy::{Policy, RegistryMode};
use crate::scaffold::Wanted;
use crate::scaffold::build::{SECRET_KEY, secret_name};
use crate::scaffold::make::{Made, Object};

fn list(made: &Made, namespace: &Namespace) -> serde_json::Value {
    let items: Vec<_> = made.objects.iter().map(|object| object.json(namespace)).collect();
    json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}})
}

pub(super) fn yaml(made: &Made, namespace: &Namespace) -> String {
    yaml::document(&list(made, namespace)).trim_end().to_owned()
}

pub(super) fn json(made: &Made, namespace: &Namespace) -> anyhow::Result<String> {
    let text = String::from_utf8(get::json(&list(made, namespace))?)?;
    Ok(text.trim_end().to_owned())
}

/// Writes all objects, each to a file of its own; or none, where one is there already (rule N12).
pub(super) fn write(
    wanted: &Wanted,
    made: &Made,
    desk: &mut Desk<'_>,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let mut known = Vec::new();
    for object in &made.objects {
        if is_there(object, desk)? {
            let known_kind = KINDS.iter().find(|kind| kind.sort == object.sort());
            let what = known_kind.map_or_else(|| object.kind(), ManifestKind::resource);
            known.push(format!("{what} \"{}\" already exists", object.name));
        }
    }
    if !known.is_empty() {
        outcome.failed = Some(anyhow::anyhow!("{}", known.join("\nerror: ")));
        return Ok(());
    }
    for object in &made.objects {
        let place = match object.stream_tag() {
            Some((stream, _)) => {
                desk.manifests.stream(&tag::stream_name(&desk.namespace, stream)?)?
            }
            None => None,
        };
        match (place, object.tag_entry()) {
            (Some(place), Some(entry)) => desk.manifests.add_tag(&place, entry)?,
            (_, _) => {
                let path = path_of(object, desk);
                desk.manifests.create_text(&path, object.text(&desk.namespace))?;
            }
        }
    }
    let name = |object: &Object| format!("{} {}", object.sort().kind, object.name);
    let names: Vec<String> = made.objects.iter().map(name).collect();
    outcome.message = format!("{}: create {}", wanted.verb.name(), names.join(", "));
    Ok(())
}

fn path_of(object: &Object, desk: &Desk<'_>) -> String {
    let (kind, name) = match object.stream_tag() {
        Some((stream, _)) => ("imagestream".to_owned(), stream),
        None => (object.sort().kind.to_ascii_lowercase(), object.name.as_str()),
    };
    new_path(&desk.config.edit.folder, &desk.namespace, &kind, name)
}

/// Whether git has it.
fn is_there(object: &Object, desk: &Desk<'_>) -> anyhow::Result<bool> {
    if let Some((stream, name)) = object.stream_tag() {
        let stream = tag::stream_name(&desk.namespace, stream)?;
        let place = desk.manifests.stream(&stream)?;
        let document = place.and_then(|place| desk.manifests.at(&place));
        return Ok(document.is_some_and(|document| document.has_tag(name)));
    }
    let found = desk.manifests.find(object.sort(), &desk.namespace, &object.name)?;
    let path = path_of(object, desk);
    let mut all = desk.manifests.documents();
    Ok(found.is_some() || all.any(|document| *document.position.path == *path))
}

/// What a reader should know of what was made.
pub(super) fn notes(wanted: &Wanted, made: &Made, policy: &Policy) -> Vec<String> {
    let mut notes = Vec::new();
    let registry = policy.integrated_registry.as_ref();
    let is_managed = registry.is_some_and(|own| own.mode == RegistryMode::Managed);
    for stream in made.unplaced.iter().filter(|_| !is_managed) {
        notes.push(format!(
            "note: what is built for {stream} has no place to be pushed to: annotate the stream with \
             `tidegate.dev/push=REPOSITORY`, or configure `integrated_registry`"
        ));
    }
    for name in &made.hooked {
        let secret = secret_name(name);
        notes.push(format!(
            "note: webhooks of {name} are asked with the Secret `{secret}`, key `{SECRET_KEY}`: until it is there they answer \
             nobody. It is looked for in the configuration, as in `[listener.secrets]` `\"{}/{secret}\" = \"file:PATH\"`, \
             and then in git, as the manifest of a Secret (--inline-secrets writes it into the BuildConfig)",
            wanted.namespace
        ));
    }
    let variables = wanted.environment.keys().chain(wanted.build_environment.keys());
    for name in variables.filter(|name| crate::secret::sounds_secret(name)) {
        notes.push(format!(
            "warning: the value of {name} stands in git, and in every clone of it; a Secret outside of git is read by \
             `valueFrom.secretKeyRef`"
        ));
    }
    notes
}
