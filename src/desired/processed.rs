//! A Template with its parameters put in, as `oc process` does it: for those who write its objects themselves.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::json;
use super::template::{Met, ParameterFields, Parameters, Value, substitute};
use super::yaml::{self, Node};

/// What a Template comes to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Processed {
    /// Its name.
    pub name: String,
    /// What it is called by people, if that is another name.
    pub display_name: String,
    /// What it says of itself.
    pub description: String,
    /// What it says to who uses it, with parameters put in.
    pub message: String,
    /// Its parameters by the names that people see, with their values.
    pub parameters: Vec<(String, String)>,
    /// Its objects.
    pub objects: Vec<Json>,
}

/// Why a Template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// It is none.
    #[error("it holds no Template")]
    NotATemplate,
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A parameter is given that it has not.
    #[error("unexpected parameter name \"{0}\"")]
    Unexpected(String),
    /// A parameter has to be given.
    #[error(
        "template.parameters: the parameter `{name}` has no value{why}; give it with `-p {name}=…`"
    )]
    Missing {
        /// Which.
        name: String,
        /// Why it has none.
        why: &'static str,
    },
}

/// Whether a text holds a Template.
#[must_use]
pub fn is_template(text: &str) -> bool {
    root(text).is_ok()
}

fn root(text: &str) -> Result<Node, ProcessError> {
    let part = yaml::split(text.trim_start_matches('\u{feff}')).next();
    let part = part.ok_or(ProcessError::NotATemplate)?;
    let read = yaml::read(part.text);
    let root = read.map_err(|error| ProcessError::Unreadable(error.message))?.root;
    let is_template = root.get("kind").and_then(Node::as_text) == Some("Template");
    if is_template { Ok(root) } else { Err(ProcessError::NotATemplate) }
}

/// Puts values into a Template.
///
/// # Errors
/// When it is none, has not a parameter that is given, or needs one that is not.
pub fn process(
    text: &str,
    given: &BTreeMap<String, String>,
    pass_unknown: bool,
) -> Result<Processed, ProcessError> {
    let root = root(text)?;
    let of = |node: &Node, key: &str| node.get(key).and_then(Node::as_text).map(str::to_owned);
    let fields = root.get("parameters").map(Node::items).unwrap_or_default();
    let field = |node: &Node| ParameterFields {
        name: of(node, "name").unwrap_or_default(),
        display_name: of(node, "displayName").unwrap_or_default(),
        value: of(node, "value"),
        generate: of(node, "generate").unwrap_or_default(),
        required: of(node, "required").is_some_and(|text| text == "true"),
        ..ParameterFields::default()
    };
    let fields: Vec<ParameterFields> = fields.iter().map(field).collect();
    let parameters = Parameters::new(&fields, &BTreeMap::new(), given);
    let unknown = given.keys().find(|name| !parameters.contains(name));
    if let Some(name) = unknown.filter(|_| !pass_unknown) {
        return Err(ProcessError::Unexpected(name.clone()));
    }
    let mut met = Met::default();
    let labels = root.get("labels").or_else(|| root.get("objectLabels"));
    let labels = labels.map(|labels| substitute(labels, &parameters, &mut met));
    let objects = root.get("objects").map(Node::items).unwrap_or_default();
    let objects: Vec<Json> = objects
        .iter()
        .map(|node| labelled(&substitute(node, &parameters, &mut met), labels.as_ref()))
        .collect();
    let message = root.get("message").map(|text| substitute(text, &parameters, &mut met));
    if let Some((name, (value, _))) = met.missing.into_iter().next() {
        let why = match value {
            Value::Generated => " (nothing is made up here: what stands in git is no secret)",
            Value::Required | Value::Given(_) | Value::Empty => "",
        };
        return Err(ProcessError::Missing { name, why });
    }
    let annotation = |key: &str| root.at(&["metadata", "annotations", key]).and_then(Node::as_text);
    let shown = |field: &ParameterFields| {
        let name = if field.display_name.is_empty() { &field.name } else { &field.display_name };
        let value = given.get(&field.name).or(field.value.as_ref());
        (name.clone(), value.cloned().unwrap_or_default())
    };
    let name = root.at(&["metadata", "name"]).and_then(Node::as_text).unwrap_or_default();
    Ok(Processed {
        name: name.to_owned(),
        display_name: annotation("openshift.io/display-name").unwrap_or_default().to_owned(),
        description: annotation("description").unwrap_or_default().to_owned(),
        message: message.as_ref().and_then(Node::as_text).unwrap_or_default().to_owned(),
        parameters: fields.iter().map(shown).collect(),
        objects,
    })
}

/// An object with the labels that all objects of its Template get, and without a namespace that is written into it.
fn labelled(node: &Node, labels: Option<&Node>) -> Json {
    let mut object: Json = serde_json::from_str(&json::write(node)).unwrap_or_default();
    let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) else {
        return object;
    };
    let namespace = metadata.get("namespace").and_then(Json::as_str).unwrap_or_default();
    if !namespace.is_empty() {
        metadata.remove("namespace");
    }
    for (key, text) in labels.map(Node::entries).unwrap_or_default() {
        let place = metadata.entry("labels").or_insert_with(|| serde_json::json!({}));
        if let Some(map) = place.as_object_mut() {
            map.insert(key.to_string(), text.as_text().unwrap_or_default().into());
        }
    }
    object
}
