//! What is wrong with a document as YAML, in words that help; and what can still be told of its object.

use crate::fact::Position;
use crate::names::{Kind, ObjectKey};
use crate::policy::Policy;

use super::diagnostic::{Diagnostic, Severity};
use super::marks::{End, Source, Step, show};
use super::object::Draft;
use super::reading::default_namespace;
use super::yaml::{self, Node};

/// Duplicate keys, merge keys and application tags: errors of the object that they are in.
pub(crate) fn report_oddities(draft: &Draft<'_>) {
    fn search(draft: &Draft<'_>, node: &Node, path: &mut Vec<Step>) {
        match node {
            Node::Scalar(_) => {}
            Node::Tagged(_) => {
                let text = format!(
                    "{}: a YAML tag of an application (`!name`) means nothing here",
                    show(path)
                );
                draft.error("yaml-tag", path, text);
            }
            Node::Sequence(items) => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    search(draft, item, path);
                    path.pop();
                }
            }
            Node::Mapping(entries) => {
                if let Some((key, _)) =
                    yaml::first_duplicate(entries).and_then(|at| entries.get(at))
                {
                    duplicate_key(draft, path, key);
                }
                for (key, value) in entries {
                    path.push(Step::Key(key.clone()));
                    if &**key == "<<" {
                        draft.errors.borrow_mut().push(Diagnostic {
                            severity: Severity::Error,
                            position: draft.position(path, End::Key),
                            rule: "merge-key".into(),
                            message: "merge keys (`<<`) are not part of YAML 1.2 and are not read"
                                .into(),
                            hint: Some(
                                "write the fields out; plain anchors and aliases work".into(),
                            ),
                        });
                    } else {
                        search(draft, value, path);
                    }
                    path.pop();
                }
            }
        }
    }
    search(draft, draft.node, &mut Vec::new());
}

fn duplicate_key(draft: &Draft<'_>, path: &[Step], key: &str) {
    let whole: Vec<Step> = draft.base.iter().chain(path).cloned().collect();
    let mut first = whole.clone();
    first.push(Step::Key(key.into()));
    let first = draft.source.position(&first, End::Key);
    let mut field = path.to_vec();
    field.push(Step::Key(key.into()));
    let diagnostic = Diagnostic {
        severity: Severity::Error,
        position: draft.source.second_key(&whole, key),
        rule: "duplicate-key".into(),
        message: format!(
            "duplicate key `{}`; it stands in line {} already",
            show(&field),
            first.line
        ),
        hint: Some("readers take either value; leave one of them out".into()),
    };
    draft.errors.borrow_mut().push(diagnostic);
}

/// Line and column of a byte, for files that are not text.
pub(crate) fn place_of(path: &str, bytes: &[u8], at: usize) -> Position {
    let before = bytes.get(..at).unwrap_or_default();
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let column =
        String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() + 1;
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Position { path: path.into(), line: narrow(line), column: narrow(column) }
}

/// What can be told of an object whose document is not YAML. A guess: what is in force does not hang on it.
///
/// Block style with any indentation, `metadata: {name: x}`, and JSON of several lines.
pub(crate) fn guess_key(text: &str, path: &str, policy: &Policy) -> Option<ObjectKey> {
    let (mut kind, mut name, mut namespace) = (None, None, None);
    let fields = || text.lines().filter_map(|line| Some((indent(line), field(line)?)));
    let top = fields().map(|(indent, _)| indent).min()?;
    let mut in_metadata = false;
    let mut depth = None;
    let mut take = |key: &str, value: &str| {
        let place = match key {
            "name" => &mut name,
            "namespace" => &mut namespace,
            _ => return,
        };
        place.get_or_insert_with(|| value.to_owned());
    };
    for (indent, (key, value)) in fields() {
        if indent == top {
            in_metadata = key == "metadata";
            depth = None;
            if key == "kind" && kind.is_none() {
                kind = value.parse::<Kind>().ok();
            }
            if in_metadata && let Some(inner) = value.strip_prefix('{') {
                let pairs = inner.split([',', '}']).filter_map(field);
                pairs.for_each(|(key, value)| take(key, value));
            }
        } else if in_metadata && *depth.get_or_insert(indent) == indent {
            take(key, value);
        }
    }
    let namespace = match namespace {
        Some(text) => text.parse().ok()?,
        None => default_namespace(path, policy),
    };
    Some(ObjectKey::new(kind?, namespace, name?.parse().ok()?))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The key and the value of a line of YAML or JSON.
fn field(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (key, value) = line.split_once(':').filter(|_| !line.starts_with(['#', '-']))?;
    Some((bare(key), bare(value)))
}

fn bare(text: &str) -> &str {
    text.trim().trim_end_matches(',').trim_end().trim_matches(['"', '\''])
}

/// What may help with a message of the YAML reader.
fn syntax_hint(text: &str, error: &yaml::SyntaxError) -> Option<&'static str> {
    let line = text.lines().nth(error.line.saturating_sub(1) as usize).unwrap_or_default();
    let says = |words: &str| error.message.contains(words);
    let is_template = text.replace("${{", "").contains("{{") || text.contains("{%");
    if is_template {
        return Some(
            "this looks like a Helm or Jinja template: commit what it renders to, or list it in .tidegateignore",
        );
    }
    if line.trim_start_matches(' ').starts_with('\t') {
        return Some("indent with spaces: YAML allows no tabs there");
    }
    [
        ("repetition limit", "its aliases multiply; write the values out"),
        (
            "recursion limit",
            "it is nested too deeply to be a manifest, or an anchor stands inside of itself",
        ),
        (
            "follows the end",
            "look for a brace too many; documents of one file are separated by a line `---`",
        ),
        ("scanning an alias", "a text that starts with `*` is written in quotes"),
        ("scanning an anchor", "a text that starts with `&` is written in quotes"),
        (
            "mapping values are not allowed",
            "check the indentation, and write a text that holds `: ` in quotes",
        ),
        ("did not find expected key", "check the indentation against the lines above"),
        ("did not find expected '-'", "check the indentation against the lines above"),
        ("could not find expected ':'", "check the indentation and the quotes of the lines above"),
        ("flow sequence", "look for a missing `,` or `]`, or a text in brackets that needs quotes"),
        ("flow mapping", "look for a missing `,` or `}`, or a text in braces that needs quotes"),
        ("cannot start any token", "write the text in quotes"),
    ]
    .into_iter()
    .find_map(|(words, hint)| says(words).then_some(hint))
}

/// Where the first JSON value of a text ends and something else follows, as line and column.
fn after_json(text: &str) -> Option<(u32, u32)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    let rest = text.get(values.byte_offset()..)?;
    let at = text.len() - rest.trim_start().len();
    let place = place_of("", text.as_bytes(), at);
    (at < text.len()).then_some((place.line, place.column))
}

/// The diagnostic for a document that is not YAML.
pub(crate) fn syntax_error(
    source: &Source<'_>,
    text: &str,
    error: &yaml::SyntaxError,
) -> Diagnostic {
    let hint = syntax_hint(text, error);
    let (line, column) = if error.message.contains("follows the end") {
        after_json(text).unwrap_or((error.line, error.column))
    } else {
        (error.line, error.column)
    };
    // The reader counts one line more for an end that no newline stands at.
    let last = u32::try_from(text.matches('\n').count() + 1).unwrap_or(u32::MAX);
    let (line, column) = if line > last {
        let end = text.rsplit('\n').next().map_or(0, |line| line.chars().count());
        (last, u32::try_from(end + 1).unwrap_or(u32::MAX))
    } else {
        (line, column)
    };
    Diagnostic {
        severity: Severity::Error,
        position: source.at(line, column),
        rule: "yaml-syntax".into(),
        message: format!("this is not YAML: {}", error.message),
        hint: hint.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_of_a_broken_document_is_guessed_in_every_usual_form() {
        let guess =
            |text: &str| guess_key(text, "f.yaml", &Policy::default()).map(|key| key.to_string());
        let key = Some("DeploymentConfig/shop/web".to_owned());
        let block = "kind: DeploymentConfig\nmetadata:\n  name: web\n  namespace: shop\nspec: [\n";
        assert_eq!(guess(block), key);
        assert_eq!(guess(&block.replace("  ", "    ")), key);
        assert_eq!(guess("kind: 'DeploymentConfig'\nmetadata: {namespace: shop, name: web\n"), key);
        let json = "{\n  \"kind\": \"DeploymentConfig\",\n  \"metadata\": {\n    \"labels\": {\n      \"name\": \"no\"\n    },\n    \"name\": \"web\",\n    \"namespace\": \"shop\"\n  }\n  \"spec\"";
        assert_eq!(guess(json), key);
        assert_eq!(guess("kind: List\nitems:\n- kind: DeploymentConfig\n"), None);
        assert_eq!(guess("kind: DeploymentConfig\nspec: [\n"), None);
    }
}
