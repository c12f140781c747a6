//! `-o jsonpath=…`: `kubectl`'s templates, whose expressions are JSON paths.
//!
//! A template is text with expressions in braces: a path (`{.metadata.name}`), a text (`{"\n"}`), or
//! `{range …}…{end}`. The paths are those of RFC 9535 but for their spelling: keys may have `\.` in them, and the leading
//! `$` may be missing. A path that leads nowhere gives nothing.

use serde_json::Value;
use serde_json_path::JsonPath;

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace is open at the end.
    #[error("unclosed action")]
    Unclosed,
    /// A `range` has no `end`.
    #[error("unexpected end of template: `range` without `end`")]
    NoEnd,
    /// An `end` has no `range`.
    #[error("not in range, nothing to end")]
    NoRange,
    /// An expression is no path.
    #[error("invalid path `{path}`: {why}")]
    Path {
        /// The expression.
        path: String,
        /// Why.
        why: String,
    },
}

/// A template, read.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Path(JsonPath),
    Range(JsonPath, Vec<Part>),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When a brace or a range is left open, or an expression is no path.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        // The parts of each range that is open, with its path; the first level has none.
        let mut open: Vec<(Option<JsonPath>, Vec<Part>)> = vec![(None, Vec::new())];
        let mut rest = text;
        while !rest.is_empty() {
            let (before, behind) = rest.split_once('{').unwrap_or((rest, ""));
            if !before.is_empty() {
                add(&mut open, Part::Text(before.to_owned()));
            }
            if before.len() == rest.len() {
                break;
            }
            let close = closing(behind).ok_or(TemplateError::Unclosed)?;
            let (expression, behind) = behind.split_at_checked(close).unwrap_or((behind, ""));
            rest = behind.get(1..).unwrap_or_default();
            let expression = expression.trim();
            if let Some(quoted) = unquoted(expression) {
                add(&mut open, Part::Text(quoted));
            } else if let Some(of) = expression.strip_prefix("range ") {
                open.push((Some(path(of.trim())?), Vec::new()));
            } else if expression == "end" {
                let (Some((Some(path), parts)), true) = (open.pop(), !open.is_empty()) else {
                    return Err(TemplateError::NoRange);
                };
                add(&mut open, Part::Range(path, parts));
            } else {
                add(&mut open, Part::Path(path(expression)?));
            }
        }
        match (open.pop(), open.is_empty()) {
            (Some((None, parts)), true) => Ok(Self { parts }),
            _ => Err(TemplateError::NoEnd),
        }
    }

    /// Fills the template in.
    #[must_use]
    pub fn fill(&self, value: &Value) -> String {
        let mut out = String::new();
        fill(&self.parts, value, &mut out);
        out
    }
}

fn add(open: &mut [(Option<JsonPath>, Vec<Part>)], part: Part) {
    if let Some((_, parts)) = open.last_mut() {
        parts.push(part);
    }
}

fn fill(parts: &[Part], value: &Value, out: &mut String) {
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Path(path) => {
                let found: Vec<_> = path.query(value).iter().map(|value| shown(value)).collect();
                out.push_str(&found.join(" "));
            }
            Part::Range(path, parts) => {
                for item in path.query(value).iter() {
                    fill(parts, item, out);
                }
            }
        }
    }
}

/// A value as it is printed: texts bare, objects and lists as JSON.
#[must_use]
pub fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => {
            // Go writes what HTML might take for its own as escapes.
            let text = value.to_string();
            text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
        }
    }
}

/// Where the brace closes: one inside quotes does not count.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            (Some(_) | None, _) => {}
        }
    }
    None
}

/// The text in quotes, if an expression is one.
fn unquoted(expression: &str) -> Option<String> {
    let quote = expression.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = expression.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    Some(out)
}

/// Reads a path in `kubectl`'s spelling.
///
/// # Errors
/// When it is none.
pub fn path(expression: &str) -> Result<JsonPath, TemplateError> {
    let spelled = standard(expression);
    JsonPath::parse(&spelled)
        .map_err(|error| TemplateError::Path { path: expression.into(), why: error.to_string() })
}

/// The same path as RFC 9535 spells it.
fn standard(expression: &str) -> String {
    let rest = expression.strip_prefix(['$', '@']).unwrap_or(expression);
    let mut out = String::from("$");
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '.' if chars.peek() == Some(&'.') => {
                chars.next();
                out.push_str("..");
                if chars.peek().is_some_and(|c| !matches!(c, '[' | '*')) {
                    key(&mut chars, &mut out);
                }
            }
            '.' if chars.peek() == Some(&'*') => {
                chars.next();
                out.push_str("[*]");
            }
            '.' if chars.peek().is_none_or(|c| *c == '[') => {}
            '.' => key(&mut chars, &mut out),
            '[' => {
                out.push('[');
                brackets(&mut chars, &mut out);
            }
            other => {
                // A path may begin without a dot.
                let mut first = other.to_string();
                first.extend(std::iter::from_fn(|| chars.next_if(|c| !matches!(c, '.' | '['))));
                key(&mut first.chars().peekable(), &mut out);
            }
        }
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// A key up to the next dot or bracket.
fn key(chars: &mut Chars<'_>, out: &mut String) {
    out.push_str("['");
    while let Some(c) = chars.next_if(|c| !matches!(c, '.' | '[')) {
        match c {
            '\\' => push_in_quotes(chars.next().unwrap_or('\\'), out),
            other => push_in_quotes(other, out),
        }
    }
    out.push_str("']");
}

fn push_in_quotes(c: char, out: &mut String) {
    if matches!(c, '\'' | '\\') {
        out.push('\\');
    }
    out.push(c);
}

/// What stands in brackets, which is spelled alike but for a filter's parentheses, up to the one that closes them.
fn brackets(chars: &mut Chars<'_>, out: &mut String) {
    let mut quote = None;
    let mut depth = 0;
    for c in chars.by_ref() {
        out.push(c);
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return,
            (None, ']') => depth -= 1,
            (Some(_) | None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled(template: &str) -> String {
        let value = json!({
            "metadata": {"name": "python", "annotations": {"a.b/c": "x"}},
            "items": [{"name": "a", "n": 1}, {"name": "b", "n": 2, "of": {"k": [1, "<"]}}],
        });
        Template::parse(template).map_or_else(|error| error.to_string(), |t| t.fill(&value))
    }

    #[test]
    fn templates_are_filled_in_as_kubectl_does() {
        assert_eq!(filled("{.metadata.name}"), "python");
        assert_eq!(filled("{.metadata.annotations.a\\.b/c}"), "x");
        assert_eq!(filled("{.metadata.annotations['a.b/c']}"), "x");
        assert_eq!(filled("{.items[*].name}"), "a b");
        assert_eq!(filled("{.items[-1].name}!"), "b!");
        assert_eq!(filled("{.items[?(@.name==\"b\")].n}"), "2");
        assert_eq!(filled("{range .items[*]}{.name}={.n}{\"\\n\"}{end}"), "a=1\nb=2\n");
        assert_eq!(filled("{..name}"), "a b python");
        assert_eq!(filled("{$.items[1].of}"), "{\"k\":[1,\"\\u003c\"]}");
        assert_eq!(filled("{.nothing.here}"), "");
        assert_eq!(filled("no braces"), "no braces");
    }

    #[test]
    fn a_template_that_is_none_says_why() {
        assert_eq!(filled("{.a"), "unclosed action");
        assert_eq!(filled("{end}"), "not in range, nothing to end");
        assert!(filled("{range .items[*]}x").contains("without `end`"));
        assert!(filled("{.a[}").starts_with("invalid path"), "{}", filled("{.a[}"));
    }
}
