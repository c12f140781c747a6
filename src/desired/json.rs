//! A syntax tree as canonical JSON: keys sorted, nothing between the tokens, numbers as they are written.

use std::fmt::Write as _;

use super::yaml::{Node, Scalar, ScalarKind};

/// Writes a tree as JSON.
pub(crate) fn write(node: &Node) -> String {
    let mut out = String::new();
    append(&mut out, node);
    out
}

fn append(out: &mut String, node: &Node) {
    match node {
        Node::Scalar(scalar) => append_scalar(out, scalar),
        Node::Tagged(value) => append(out, value),
        Node::Sequence(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                append(out, item);
            }
            out.push(']');
        }
        Node::Mapping(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            out.push('{');
            for (at, (key, value)) in sorted.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                append_text(out, key);
                out.push(':');
                append(out, value);
            }
            out.push('}');
        }
    }
}

fn append_scalar(out: &mut String, scalar: &Scalar) {
    match scalar.kind {
        ScalarKind::Null => out.push_str("null"),
        ScalarKind::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        ScalarKind::Text => append_text(out, &scalar.text),
        // JSON readers may round long numbers; the text is what git says.
        ScalarKind::Int(_) | ScalarKind::Float(_) if is_json_number(&scalar.text) => {
            out.push_str(&scalar.text);
        }
        ScalarKind::Int(value) => {
            let _ = write!(out, "{value}"); // writing to a String cannot fail
        }
        ScalarKind::Float(value) => match serde_json::Number::from_f64(value) {
            Some(number) => {
                let _ = write!(out, "{number}"); // as above
            }
            None => append_text(out, &scalar.text), // JSON has no `.inf` and no `.nan`
        },
    }
}

fn append_text(out: &mut String, text: &str) {
    // Serialising a str cannot fail; an empty pair of quotes would be a visible fault.
    out.push_str(&serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into()));
}

fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::super::yaml;
    use super::*;

    fn json(text: &str) -> String {
        write(&yaml::read(text).unwrap().root)
    }

    #[test]
    fn keys_are_sorted_and_numbers_survive() {
        let text = "b: 3.10\na: [0x1f, 1e3, 12345678901234567890123, .5, +1, ~, 'x\"y']\n";
        let expected = r#"{"a":[31,1e3,12345678901234567890123,0.5,1,null,"x\"y"],"b":3.10}"#;
        assert_eq!(json(text), expected);
        assert!(serde_json::from_str::<serde_json::Value>(&json(text)).is_ok());
    }

    #[test]
    fn what_json_has_no_number_for_is_text() {
        assert_eq!(json("[.inf, .nan]"), r#"[".inf",".nan"]"#);
    }
}
