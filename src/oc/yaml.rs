//! YAML as `oc get -o yaml` writes it: the choices of Go's YAML library, down to where long lines break.
//!
//! Keys are sorted, lists stand at the column of their key, a text that could be read as something else is in double
//! quotes, one of several lines is a block, and plain or quoted text breaks at the first blank behind column 80.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// Column behind which a text breaks at the next blank.
const WIDTH: usize = 80;

/// Blanks by which each level stands farther right.
const STEP: usize = 2;

/// Writes a value as a document.
#[must_use]
pub fn document(value: &Value) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    match value {
        Value::Object(map) if !map.is_empty() => writer.mapping(map, 0, false),
        Value::Array(list) if !list.is_empty() => writer.sequence(list, 0, false),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            writer.scalar(value, 0);
            writer.end_line();
        }
    }
    writer.out
}

/// A text on one line as it stands in a document, in quotes where it must be.
#[must_use]
pub fn inline(text: &str) -> String {
    let mut writer = Writer { out: String::new(), column: 0 };
    writer.text(text, None);
    writer.out
}

struct Writer {
    out: String,
    column: usize,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn end_line(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, columns: usize) {
        self.push(&" ".repeat(columns));
    }

    /// `inline`: the first entry stands behind the dash of a list.
    fn mapping(&mut self, map: &serde_json::Map<String, Value>, indent: usize, inline: bool) {
        for (at, (key, value)) in map.iter().enumerate() {
            if at > 0 || !inline {
                self.indent(indent);
            }
            self.text(key, None);
            self.push(":");
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.end_line();
                    self.mapping(map, indent + STEP, false);
                }
                Value::Array(list) if !list.is_empty() => {
                    self.end_line();
                    self.sequence(list, indent, false);
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => {
                    self.push(" ");
                    self.scalar(value, indent + STEP);
                    self.end_line();
                }
            }
        }
    }

    fn sequence(&mut self, list: &[Value], indent: usize, inline: bool) {
        for (at, value) in list.iter().enumerate() {
            if at > 0 || !inline {
                self.indent(indent);
            }
            self.push("- ");
            match value {
                Value::Object(map) if !map.is_empty() => self.mapping(map, indent + STEP, true),
                Value::Array(list) if !list.is_empty() => {
                    self.sequence(list, indent + STEP, true);
                }
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_)
                | Value::Object(_) => {
                    self.scalar(value, indent + STEP);
                    self.end_line();
                }
            }
        }
    }

    /// A value on one line, or a text whose further lines stand at `indent`.
    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Null => self.push("null"),
            Value::Bool(flag) => self.push(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.push(&number.to_string()),
            Value::Array(_) => self.push("[]"),
            Value::Object(_) => self.push("{}"),
            Value::String(text) => self.text(text, Some(indent)),
        }
    }

    /// A text; without `indent` it is a key, which does not break.
    fn text(&mut self, text: &str, indent: Option<usize>) {
        let shape = Shape::of(text);
        match indent {
            Some(indent) if text.contains('\n') && shape.block => self.block(text, indent),
            _ if text.contains('\n') || is_something_else(text) => self.double(text, indent),
            _ if shape.plain => self.plain(text, indent),
            _ if shape.single => self.single(text, indent),
            _ => self.double(text, indent),
        }
    }

    fn break_line(&mut self, indent: usize) {
        self.end_line();
        self.indent(indent);
    }

    /// Whether a text that stands at a blank breaks there.
    fn breaks(&self, before: Option<char>, after: Option<char>) -> bool {
        self.column > WIDTH && before != Some(' ') && after.is_some_and(|c| c != ' ')
    }

    fn plain(&mut self, text: &str, indent: Option<usize>) {
        let mut before = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match indent {
                Some(indent) if c == ' ' && self.breaks(before, rest.peek().copied()) => {
                    self.break_line(indent);
                }
                Some(_) | None => self.push(c.encode_utf8(&mut [0; 4])),
            }
            before = Some(c);
        }
    }

    fn single(&mut self, text: &str, indent: Option<usize>) {
        self.push("'");
        let mut before = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match indent {
                Some(indent)
                    if c == ' '
                        && before.is_some()
                        && self.breaks(before, rest.peek().copied()) =>
                {
                    self.break_line(indent);
                }
                _ if c == '\'' => self.push("''"),
                Some(_) | None => self.push(c.encode_utf8(&mut [0; 4])),
            }
            before = Some(c);
        }
        self.push("'");
    }

    fn double(&mut self, text: &str, indent: Option<usize>) {
        self.push("\"");
        let mut before = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let next = rest.peek().copied();
            match indent {
                Some(indent)
                    if c == ' '
                        && before.is_some()
                        && before != Some(' ')
                        && next.is_some()
                        && self.column > WIDTH =>
                {
                    self.break_line(indent);
                    if next == Some(' ') {
                        self.push("\\");
                    }
                }
                Some(_) | None => self.push(&escaped(c)),
            }
            before = Some(c);
        }
        self.push("\"");
    }

    /// Lines as they are, each at `indent`.
    fn block(&mut self, text: &str, indent: usize) {
        self.push("|");
        if text.starts_with([' ', '\n']) {
            self.push(&STEP.to_string());
        }
        let body = text.trim_end_matches('\n');
        match text.len() - body.len() {
            0 => self.push("-"),
            1 if !body.is_empty() => {}
            _ => self.push("+"),
        }
        let lines = text.strip_suffix('\n').unwrap_or(text);
        for line in lines.split('\n') {
            self.end_line();
            if !line.is_empty() {
                self.indent(indent);
                self.push(line);
            }
        }
    }
}

/// In which ways a text can be written.
struct Shape {
    plain: bool,
    single: bool,
    block: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let special = text.chars().any(|c| !is_printable(c) && c != '\n');
        let edges = text.starts_with(' ') || text.ends_with(' ');
        let space_break = text.contains(" \n");
        let plain = !special && !edges && !text.contains('\n') && !has_indicator(text);
        let single = !special && !space_break && !text.contains("\n ");
        let block = !special && !space_break && !text.ends_with(' ');
        Self { plain: plain && !text.is_empty(), single, block }
    }
}

fn is_printable(c: char) -> bool {
    let western = matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}');
    let others = matches!(c, '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}');
    (western || others) && !matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a reader would take a part of a plain text for something else.
fn has_indicator(text: &str) -> bool {
    if text.starts_with("---") || text.starts_with("...") {
        return true;
    }
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let blank_after = rest.peek().is_none_or(|next| matches!(next, ' ' | '\t' | '\n'));
        let found = match (before, c) {
            (
                None,
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%'
                | '@' | '`',
            ) => true,
            (None, '-' | '?' | ':') | (Some(_), ':') => blank_after,
            (Some(' ' | '\t'), '#') => true,
            (None | Some(_), _) => false,
        };
        if found {
            return true;
        }
        before = Some(c);
    }
    false
}

fn escaped(c: char) -> String {
    let short = match c {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '\u{85}' => "\\N",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        _ if is_printable(c) => return c.to_string(),
        _ => {
            let code = u32::from(c);
            return match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            };
        }
    };
    short.to_owned()
}

/// Whether a plain text would be read as something else than a text, by a reader of YAML 1.1.
fn is_something_else(text: &str) -> bool {
    #[expect(clippy::expect_used, reason = "constant expressions, used by every test of this file")]
    static FORMS: LazyLock<Regex> = LazyLock::new(|| {
        let int = r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)";
        let float = r"[-+]?([0-9][0-9_]*)?\.?[0-9_]+([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*\.";
        let special = r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)";
        let base_60 = r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?";
        let date = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}";
        let time = r"([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})?)?";
        Regex::new(&format!("^(?:{int}|{float}|{special}|{base_60}|{date}{time})$"))
            .expect("it is a regular expression")
    });
    let words = [
        "", "~", "null", "Null", "NULL", "<<", "=", "y", "Y", "yes", "Yes", "YES", "n", "N", "no",
        "No", "NO", "true", "True", "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off",
        "Off", "OFF",
    ];
    words.contains(&text) || FORMS.is_match(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_text_that_could_be_something_else_is_in_double_quotes() {
        for text in ["3.5", "10", "0755", "1e3", "yes", "null", "", "2026-11-21T02:30:34Z", "1:30"]
        {
            assert_eq!(document(&json!({ "a": text })), format!("a: \"{text}\"\n"));
        }
        for text in ["latest", "v1", "3.5.1", "sha256:ab", "a b", "1.2.3+b", "-a"] {
            assert_eq!(document(&json!({ "a": text })), format!("a: {text}\n"));
        }
    }

    #[test]
    fn a_text_that_is_not_plain_is_in_single_quotes() {
        assert_eq!(document(&json!({"a": "[{\"b\": 1}]"})), "a: '[{\"b\": 1}]'\n");
        assert_eq!(document(&json!({"a": "it's: x"})), "a: 'it''s: x'\n");
        assert_eq!(document(&json!({"a": " b"})), "a: ' b'\n");
        assert_eq!(document(&json!({"a": "b\tc"})), "a: \"b\\tc\"\n");
    }

    #[test]
    fn a_text_of_several_lines_is_a_block() {
        assert_eq!(document(&json!({"a": "b\nc"})), "a: |-\n  b\n  c\n");
        assert_eq!(document(&json!({"a": "b\nc\n"})), "a: |\n  b\n  c\n");
        assert_eq!(document(&json!({"a": "b\n\n"})), "a: |+\n  b\n\n");
    }

    #[test]
    fn lists_stand_at_the_column_of_their_key_and_long_lines_break() {
        let message = "dockerimage.image.openshift.io \"127.0.0.1:15000/library/nope:1\" not found";
        let value = json!({"tags": [{"conditions": [{"generation": 1, "message": message}],
                                     "items": null, "tag": "latest"}]});
        let wanted = "tags:\n- conditions:\n  - generation: 1\n    message: dockerimage.image.openshift.io \
                      \"127.0.0.1:15000/library/nope:1\" not found\n  items: null\n  tag: latest\n";
        assert_eq!(document(&value), wanted);
        let wanted = format!("a:\n  b:\n    c: {message} and\n      it goes on behind that\n");
        let long = format!("{message} and it goes on behind that");
        assert_eq!(document(&json!({"a": {"b": {"c": long}}})), wanted);
    }
}
