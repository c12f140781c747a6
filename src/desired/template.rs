//! OpenShift Templates: parameters, their values, and substitution on the syntax tree.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::marks::Step;
use super::object::Meta;
use super::yaml::{self, Node, Scalar, ScalarKind};

/// A Template as it is written; the objects are read from the tree.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct TemplateFields {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) metadata: Meta,
    pub(crate) objects: IgnoredAny,
    pub(crate) parameters: Vec<ParameterFields>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) message: String,
}

/// A parameter of a Template.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ParameterFields {
    pub(crate) name: String,
    pub(crate) display_name: String,
    pub(crate) description: String,
    pub(crate) value: Option<String>,
    pub(crate) generate: String,
    pub(crate) from: String,
    pub(crate) required: bool,
}

/// What a parameter stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    /// This text.
    Given(String),
    /// Nothing: it is neither given nor has it a default.
    Empty,
    /// It must be given: OpenShift would make one up.
    Generated,
    /// It must be given: it is required.
    Required,
}

/// The parameters of a Template with their values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Parameters(BTreeMap<String, Value>);

impl Parameters {
    /// Decides the values: configuration over the params file over the default.
    pub(crate) fn new(
        fields: &[ParameterFields],
        file: &BTreeMap<String, String>,
        configured: &BTreeMap<String, String>,
    ) -> Self {
        let value = |field: &ParameterFields| {
            let given = configured.get(&field.name).or_else(|| file.get(&field.name)).cloned();
            let default = || field.value.clone().filter(|value| !value.is_empty());
            match given.or_else(default) {
                Some(value) => Value::Given(value),
                None if !field.generate.is_empty() => Value::Generated,
                None if field.required => Value::Required,
                None => Value::Empty,
            }
        };
        let values = fields.iter().map(|field| (field.name.clone(), value(field)));
        Self(values.collect())
    }

    /// Whether there is a parameter of this name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// What a substitution met.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Met {
    /// Parameters without a value that are needed, and where the first use is.
    pub(crate) missing: BTreeMap<String, (Value, Vec<Step>)>,
    /// Names that are no parameters, and where the first use is.
    pub(crate) unknown: BTreeMap<String, Vec<Step>>,
    /// Parameters that became nothing.
    pub(crate) empty: BTreeSet<String>,
}

/// Substitutes `${NAME}` and `${{NAME}}` in keys and values, as `oc process` does.
pub(crate) fn substitute(node: &Node, parameters: &Parameters, met: &mut Met) -> Node {
    let mut walk = Walk { parameters, met, path: Vec::new() };
    walk.node(node)
}

struct Walk<'a> {
    parameters: &'a Parameters,
    met: &'a mut Met,
    path: Vec<Step>,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node) -> Node {
        match node {
            Node::Scalar(scalar) if scalar.text.contains("${") => self.scalar(scalar),
            Node::Scalar(_) => node.clone(),
            Node::Tagged(value) => Node::Tagged(Box::new(self.node(value))),
            Node::Sequence(items) => {
                let mut all = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    self.path.push(Step::Index(index));
                    all.push(self.node(item));
                    self.path.pop();
                }
                Node::Sequence(all)
            }
            Node::Mapping(entries) => {
                let mut all = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    self.path.push(Step::Key(key.clone()));
                    let key = if key.contains("${") { self.text(key).into() } else { key.clone() };
                    all.push((key, self.node(value)));
                    self.path.pop();
                }
                Node::Mapping(all)
            }
        }
    }

    fn scalar(&mut self, scalar: &Scalar) -> Node {
        let whole = scalar.text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
        if let Some(name) = whole.filter(|name| is_name(name)) {
            return match self.value(name) {
                Some(text) => json_value(&text),
                None => Node::Scalar(scalar.clone()),
            };
        }
        // What was not text (it cannot hold a `$`) or became text stays text: a tag `3.10` is none of our numbers.
        Node::text(self.text(&scalar.text))
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let inner = from.get(2..).unwrap_or_default();
            let name = inner.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
            match name.and_then(|name| Some((name, self.value(name)?))) {
                Some((name, value)) => {
                    out.push_str(&value);
                    rest = inner.get(name.len() + 1..).unwrap_or_default();
                }
                None => {
                    out.push_str("${");
                    rest = inner;
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn value(&mut self, name: &str) -> Option<String> {
        match self.parameters.0.get(name) {
            Some(Value::Given(text)) => Some(text.clone()),
            Some(Value::Empty) => {
                self.met.empty.insert(name.into());
                Some(String::new())
            }
            Some(value @ (Value::Generated | Value::Required)) => {
                let path = self.path.clone();
                self.met.missing.entry(name.into()).or_insert_with(|| (value.clone(), path));
                None
            }
            None => {
                let path = self.path.clone();
                self.met.unknown.entry(name.into()).or_insert(path);
                None
            }
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A text as the JSON value that it spells, else as text.
fn json_value(text: &str) -> Node {
    if text.is_empty() {
        return Node::Scalar(Scalar { text: "".into(), kind: ScalarKind::Null });
    }
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        // JSON is YAML, and this reader keeps the text of numbers.
        if let Ok(document) = yaml::read(text) {
            return document.root;
        }
    }
    Node::text(text)
}

/// Reads a params file as `oc process --param-file` does: `KEY=VALUE` lines, `#` comments.
///
/// # Errors
/// The number of the first line, from 1, that is neither.
pub fn read_params(text: &str) -> Result<BTreeMap<String, String>, u32> {
    let mut values = BTreeMap::new();
    for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1_u32..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=').ok_or(number)?;
        let key = key.trim().strip_prefix("export ").unwrap_or(key.trim()).trim();
        if !is_name(key) {
            return Err(number);
        }
        values.insert(key.into(), unquote(value.trim()).into());
    }
    Ok(values)
}

fn unquote(text: &str) -> &str {
    let between = |quote| text.strip_prefix(quote).and_then(|rest: &str| rest.strip_suffix(quote));
    between('"').or_else(|| between('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(values: &[(&str, Value)]) -> Parameters {
        Parameters(values.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
    }

    fn given(text: &str) -> Value {
        Value::Given(text.into())
    }

    fn run(text: &str, values: &[(&str, Value)]) -> (Node, Met) {
        let mut met = Met::default();
        let node = substitute(&yaml::read(text).unwrap().root, &parameters(values), &mut met);
        (node, met)
    }

    #[test]
    fn double_braces_make_a_number_and_single_braces_text() {
        let text = "replicas: ${{N}}\ntag: ${V}\nboth: a-${V}-${N}\nlist: ${{L}}\n";
        let values = [("N", given("3")), ("V", given("3.10")), ("L", given("[1, \"x\"]"))];
        let (node, _) = run(text, &values);
        assert!(matches!(
            node.get("replicas"),
            Some(Node::Scalar(Scalar { kind: ScalarKind::Int(3), .. }))
        ));
        assert_eq!(node.get("tag"), Some(&Node::text("3.10")));
        assert_eq!(node.get("both"), Some(&Node::text("a-3.10-3")));
        assert_eq!(node.get("list").unwrap().items()[1], Node::text("x"));
    }

    #[test]
    fn a_number_from_double_braces_keeps_its_text() {
        let (node, _) = run("tag: ${{V}}\n", &[("V", given("3.10"))]);
        assert_eq!(node.get("tag").unwrap().as_text(), Some("3.10"));
    }

    #[test]
    fn what_is_no_json_stays_text() {
        let (node, _) = run("x: ${{V}}\n", &[("V", given("a: b"))]);
        assert_eq!(node.get("x"), Some(&Node::text("a: b")));
    }

    #[test]
    fn keys_are_substituted_too() {
        let (node, _) = run("${K}: 1\n", &[("K", given("key"))]);
        assert!(node.get("key").is_some());
    }

    #[test]
    fn unknown_names_stay_and_missing_values_are_noted_with_their_place() {
        let (node, met) = run("a: [x, '${P} ${NO} $${P}']\n", &[("P", Value::Generated)]);
        assert_eq!(node.get("a").unwrap().items()[1], Node::text("${P} ${NO} $${P}"));
        assert_eq!(met.missing.len(), 1);
        assert_eq!(met.unknown["NO"], [Step::Key("a".into()), Step::Index(1)]);
    }

    #[test]
    fn a_substituted_value_is_not_substituted_again() {
        let (node, _) = run("a: ${A}\n", &[("A", given("${B}")), ("B", given("no"))]);
        assert_eq!(node.get("a"), Some(&Node::text("${B}")));
    }

    #[test]
    fn values_come_from_configuration_then_file_then_default() {
        let field = |name: &str, value: Option<&str>| ParameterFields {
            name: name.into(),
            value: value.map(str::to_owned),
            ..ParameterFields::default()
        };
        let fields = [field("A", Some("d")), field("B", Some("d")), field("C", Some("d"))];
        let one = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let mut file = one("A", "file");
        file.extend(one("B", "file"));
        let values = Parameters::new(&fields, &file, &one("A", "configured"));
        let expected =
            parameters(&[("A", given("configured")), ("B", given("file")), ("C", given("d"))]);
        assert_eq!(values, expected);
    }

    #[test]
    fn params_files_have_lines_comments_and_quotes() {
        let values = read_params("# x\nA=1\r\n\nexport B = \"x y\"\nC=a=b\n").unwrap();
        let expected = [("A", "1"), ("B", "x y"), ("C", "a=b")];
        assert!(values.iter().map(|(k, v)| (k.as_str(), v.as_str())).eq(expected));
        assert_eq!(read_params("A=1\nno\n"), Err(2));
    }
}
