//! What is written into a manifest, and how it looks there.

use crate::desired::yaml::{Node, Scalar, ScalarKind};
use crate::oc::yaml;

/// A value with the order of its keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// A text; it stays one, whatever it looks like.
    Text(String),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A list.
    List(Vec<Value>),
    /// A mapping.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A mapping of these entries.
    #[must_use]
    pub fn map<const N: usize>(entries: [(&str, Self); N]) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The same for readers of JSON; keys stand in the order of JSON there.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Bool(flag) => (*flag).into(),
            Self::Number(number) => (*number).into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(entries) => {
                entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect()
            }
        }
    }

    /// What a reader of the text makes of it.
    pub(super) fn node(&self) -> Node {
        let scalar = |kind, text: String| Node::Scalar(Scalar { text: text.into(), kind });
        match self {
            Self::Text(text) => Node::text(text.as_str()),
            Self::Bool(flag) => scalar(ScalarKind::Bool(*flag), flag.to_string()),
            Self::Number(number) => {
                scalar(ScalarKind::Int(i128::from(*number)), number.to_string())
            }
            Self::List(items) => Node::Sequence(items.iter().map(Self::node).collect()),
            Self::Map(entries) => Node::Mapping(
                entries.iter().map(|(key, value)| (key.as_str().into(), value.node())).collect(),
            ),
        }
    }

    /// The value as a document that holds it under the key `v`, in blocks.
    pub(super) fn snippet(&self) -> String {
        let mut out = String::new();
        entry(&mut out, "v", self, 0);
        out
    }

    /// The value as a document.
    #[must_use]
    pub fn document(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Map(entries) => {
                entries.iter().for_each(|(key, value)| entry(&mut out, key, value, 0));
            }
            Self::Text(_) | Self::Bool(_) | Self::Number(_) | Self::List(_) => {
                out = self.snippet();
            }
        }
        out
    }

    /// The value as JSON, whose further lines stand at `indent`.
    #[must_use]
    pub fn json(&self, indent: &str, step: &str) -> String {
        let inner = format!("{indent}{step}");
        let lines = |open: char, lines: Vec<String>, close: char| {
            let body = lines.join(&format!(",\n{inner}"));
            format!("{open}\n{inner}{body}\n{indent}{close}")
        };
        match self {
            Self::List(items) if !items.is_empty() => {
                lines('[', items.iter().map(|item| item.json(&inner, step)).collect(), ']')
            }
            Self::Map(entries) if !entries.is_empty() => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{}: {}", quoted(key), value.json(&inner, step)));
                lines('{', entries.collect(), '}')
            }
            Self::Text(_) | Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Map(_) => {
                self.flow()
            }
        }
    }

    /// The value as JSON on one line.
    pub(super) fn flow(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::Bool(flag) => flag.to_string(),
            Self::Number(number) => number.to_string(),
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::flow).collect::<Vec<_>>().join(", "))
            }
            Self::Map(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| format!("{}: {}", quoted(key), value.flow()));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// A text as a JSON string, which YAML reads as a text in double quotes.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text on one line; in quotes wherever any reader of YAML could take it for something else.
pub(super) fn inline(text: &str) -> String {
    let plain = yaml::inline(text);
    // Inside of flow mappings these end a plain text.
    let is_flow_sign = text.contains([',', '[', ']', '{', '}']);
    if is_flow_sign && !plain.starts_with(['\'', '"']) { quoted(text) } else { plain }
}

/// Writes an entry of a mapping in blocks, as a line or more; `indent` is the column of its key.
fn entry(out: &mut String, key: &str, value: &Value, indent: usize) {
    let place = " ".repeat(indent);
    out.push_str(&inline(key));
    out.push(':');
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            out.push('\n');
            for (key, value) in entries {
                out.push_str(&format!("{place}  "));
                entry(out, key, value, indent + 2);
            }
        }
        // Lists stand at the column of their key, as `oc` writes them.
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                out.push_str(&format!("{place}-"));
                list_item(out, item, indent);
            }
        }
        Value::Text(_) | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => {
            out.push_str(&format!(" {}\n", scalar(value)));
        }
    }
}

fn list_item(out: &mut String, item: &Value, indent: usize) {
    let Value::Map(entries) = item else {
        out.push_str(&format!(" {}\n", scalar(item)));
        return;
    };
    let lead = format!("{}  ", " ".repeat(indent));
    for (at, (key, value)) in entries.iter().enumerate() {
        out.push_str(if at == 0 { " " } else { &lead });
        entry(out, key, value, indent + 2);
    }
    if entries.is_empty() {
        out.push_str(" {}\n");
    }
}

/// What stands on one line.
fn scalar(value: &Value) -> String {
    match value {
        Value::Text(text) => inline(text),
        Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => value.flow(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::yaml::read;

    #[test]
    fn values_are_written_as_people_write_manifests() {
        let value = Value::map([
            ("name", Value::text("2024-05-01")),
            (
                "from",
                Value::map([("kind", Value::text("DockerImage")), ("name", Value::text("a:1"))]),
            ),
            ("list", Value::List(vec![Value::map([("a", Value::Bool(true))]), Value::text("x")])),
            ("none", Value::Map(vec![])),
        ]);
        let wanted = "name: \"2024-05-01\"\nfrom:\n  kind: DockerImage\n  name: a:1\nlist:\n- a: true\n- x\nnone: {}\n";
        assert_eq!(value.document(), wanted);
        assert_eq!(read(&value.document()).unwrap().root, value.node());
        assert_eq!(read(&value.json("", "  ")).unwrap().root, value.node());
    }

    #[test]
    fn a_text_stays_a_text_whatever_it_looks_like() {
        for text in
            ["yes", "1.10", "null", "", "a, b", "{x}", "a: b", "- x", "l\nm", "é", "#", "0x1f"]
        {
            let read = read(&Value::text(text).snippet()).unwrap().root;
            assert_eq!(read.get("v"), Some(&Node::text(text)), "{text}");
        }
    }
}
