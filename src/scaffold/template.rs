//! Templates: their objects with parameters put in, and what is said of them.

use std::fmt::Write as _;

use crate::api::Map;
use crate::desired::processed::{Processed, process};
use crate::edit::Sort;
use crate::names::Namespace;
use crate::secret::{sounds_secret, without_logins};

use super::failure::Failure;
use super::make::{Body, Object};
use super::source::Remote;
use super::{Known, Named, Wanted};

/// What Templates come to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Templates {
    /// The name of the first.
    pub name: Option<String>,
    /// Their objects.
    pub objects: Vec<Object>,
    /// What is said of them.
    pub text: String,
}

/// Puts parameters into the Templates that the words name.
///
/// # Errors
/// When one cannot be used.
pub fn templates(wanted: &Wanted, known: &Known) -> Result<Templates, Failure> {
    let mut all = Templates::default();
    let named = wanted.components.iter().filter(|one| one.named == Named::Template);
    for component in named {
        let word = &component.word;
        let Some(text) = known.templates.get(word) else {
            return Err(Failure::Plain(format!(
                "no template \"{word}\" is stored: a Template that git holds makes its objects by itself; name the file \
                 of another one with --file"
            )));
        };
        if !wanted.context_dir.is_empty() {
            let text = "--context-dir is not supported when using a template";
            return Err(Failure::Plain(text.into()));
        }
        let processed = process(text, &wanted.parameters, wanted.ignore_unknown_parameters);
        let processed = processed.map_err(|error| {
            Failure::Plain(format!("error processing template \"{word}\": {error}"))
        })?;
        for object in &processed.objects {
            all.objects.push(read(object, word)?);
        }
        all.text.push_str(&described(&processed, word, &wanted.namespace));
        all.name.get_or_insert(processed.name);
    }
    Ok(all)
}

fn read(object: &serde_json::Value, word: &str) -> Result<Object, Failure> {
    let of = |pointer: &str| object.pointer(pointer).and_then(|text| text.as_str());
    let (Some(kind), Some(name)) = (of("/kind"), of("/metadata/name")) else {
        let text =
            format!("error processing template \"{word}\": an object has no kind or no name");
        return Err(Failure::Plain(text));
    };
    if let Some(uri) = of("/spec/source/git/uri").filter(|_| kind == "BuildConfig") {
        Remote::read(uri).without_login().map_err(Failure::Plain)?;
    }
    let version = of("/apiVersion").unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let labels = object.pointer("/metadata/labels").and_then(|labels| labels.as_object());
    let label = |(key, text): (&String, &serde_json::Value)| {
        (key.clone(), text.as_str().unwrap_or_default().to_owned())
    };
    // One that is not known keeps what it calls itself.
    let sort = match known_sort(kind, group) {
        Some(Sort { kind, group }) => (kind.into(), group.into()),
        None => (kind.to_owned().into(), group.to_owned().into()),
    };
    Ok(Object {
        sort,
        name: name.to_owned(),
        labels: labels.map(|labels| labels.iter().map(label).collect()).unwrap_or_default(),
        annotations: Map::new(),
        body: Body::Given(object.clone()),
    })
}

/// The kinds that Templates hold, which may be written with an old group.
fn known_sort(kind: &str, group: &str) -> Option<Sort<'static>> {
    const SORTS: [Sort<'static>; 22] = [
        Sort::STREAM,
        Sort { kind: "BuildConfig", group: "build.openshift.io" },
        Sort { kind: "DeploymentConfig", group: "apps.openshift.io" },
        Sort { kind: "Route", group: "route.openshift.io" },
        Sort { kind: "Deployment", group: "apps" },
        Sort { kind: "StatefulSet", group: "apps" },
        Sort { kind: "DaemonSet", group: "apps" },
        Sort { kind: "ReplicaSet", group: "apps" },
        Sort { kind: "CronJob", group: "batch" },
        Sort { kind: "Job", group: "batch" },
        Sort { kind: "HorizontalPodAutoscaler", group: "autoscaling" },
        Sort { kind: "Service", group: "" },
        Sort { kind: "ConfigMap", group: "" },
        Sort { kind: "Secret", group: "" },
        Sort { kind: "Pod", group: "" },
        Sort { kind: "ServiceAccount", group: "" },
        Sort { kind: "PersistentVolumeClaim", group: "" },
        Sort { kind: "ReplicationController", group: "" },
        Sort { kind: "Ingress", group: "networking.k8s.io" },
        Sort { kind: "NetworkPolicy", group: "networking.k8s.io" },
        Sort { kind: "Role", group: "rbac.authorization.k8s.io" },
        Sort { kind: "RoleBinding", group: "rbac.authorization.k8s.io" },
    ];
    let old = |sort: &&Sort<'static>| {
        sort.kind == kind && (group.is_empty() || sort.group == group || group == "extensions")
    };
    SORTS.iter().find(old).copied()
}

fn described(processed: &Processed, word: &str, namespace: &Namespace) -> String {
    let name = &processed.name;
    let mut text = match name == word {
        true => format!("--> Deploying template \"{name}\" to project {namespace}\n\n"),
        false => {
            format!("--> Deploying template \"{name}\" for \"{word}\" to project {namespace}\n\n")
        }
    };
    let shown = if processed.display_name.is_empty() { name } else { &processed.display_name };
    let (description, message) = (processed.description.trim_end(), processed.message.trim_end());
    // Writing into a text cannot fail.
    if !description.is_empty() || !message.is_empty() {
        let _ = writeln!(text, "     {shown}\n     ---------");
        for part in [description, message].iter().filter(|part| !part.is_empty()) {
            for line in part.lines() {
                let _ = writeln!(text, "     {line}");
            }
            text.push('\n');
        }
    }
    if !processed.parameters.is_empty() {
        text.push_str("     * With parameters:\n");
        for (name, value) in &processed.parameters {
            let value = match sounds_secret(name) && !value.is_empty() {
                true => "***".to_owned(),
                false => without_logins(value),
            };
            let _ = writeln!(text, "        * {name}={value}");
        }
        text.push('\n');
    }
    text
}
