//! Changes of JSON that leave the rest of the text alone and leave JSON behind.

use crate::desired::marks::Step;

use super::change::Change;
use super::value::{Value, quoted};

/// Deeper documents are refused before by the reader.
const DEPTH_MAX: usize = 128;

/// Whether a text is JSON, and not only YAML.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
        && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A value and where its text stands, in bytes.
struct Mark {
    start: usize,
    end: usize,
    below: Below,
}

enum Below {
    Nothing,
    Items(Vec<Mark>),
    /// Each with its key and where the key stands.
    Entries(Vec<(String, Mark, Mark)>),
}

impl Mark {
    fn below(&self, step: &Step) -> Option<&Self> {
        match (&self.below, step) {
            (Below::Items(items), Step::Index(at)) => items.get(*at),
            (Below::Entries(entries), Step::Key(key)) => {
                entries.iter().find(|(name, ..)| **name == **key).map(|(.., value)| value)
            }
            (Below::Nothing | Below::Items(_) | Below::Entries(_), _) => None,
        }
    }

    /// Where each part begins and ends: an item, or an entry with its key.
    fn parts(&self) -> Vec<(usize, usize)> {
        match &self.below {
            Below::Nothing => Vec::new(),
            Below::Items(items) => items.iter().map(|item| (item.start, item.end)).collect(),
            Below::Entries(entries) => {
                entries.iter().map(|(_, key, value)| (key.start, value.end)).collect()
            }
        }
    }
}

/// Changes a document; none if there is no such place.
pub(super) fn edit(text: &str, change: &Change) -> Option<String> {
    let root = Reader { text, at: 0 }.value(0)?;
    let find = |path: &[Step]| path.iter().try_fold(&root, |mark, step| mark.below(step));
    let style = Style::of(text);
    match change {
        Change::Set { path, value } => {
            let mark = find(path)?;
            splice(text, mark.start, mark.end, &style.value(text, mark.start, value))
        }
        Change::Add { path, key, value } => insert(text, find(path)?, Some(key), value, &style),
        Change::Append { path, value } => insert(text, find(path)?, None, value, &style),
        Change::Remove { path } => {
            let (last, above) = path.split_last()?;
            remove(text, find(above)?, last)
        }
        Change::Rename { path, key } => {
            let (Step::Key(old), above) = path.split_last()? else { return None };
            let Below::Entries(entries) = &find(above)?.below else { return None };
            let (_, mark, _) = entries.iter().find(|(name, ..)| **name == **old)?;
            splice(text, mark.start, mark.end, &quoted(key))
        }
    }
}

fn insert(
    text: &str,
    into: &Mark,
    key: Option<&str>,
    value: &Value,
    style: &Style,
) -> Option<String> {
    let lead = key.map(|key| format!("{}: ", quoted(key))).unwrap_or_default();
    let Some((start, end)) = into.parts().last().copied() else {
        let (open, close) = if key.is_some() { ('{', '}') } else { ('[', ']') };
        let outer = indent_of(text, into.start);
        let inner = format!("{outer}{}", style.step);
        let written = format!("{lead}{}", value.json(&inner, &style.step));
        let block = style.lines(&format!("{open}\n{inner}{written}\n{outer}{close}"));
        return splice(text, into.start, into.end, &block);
    };
    let indent = indent_of(text, start);
    let own_line = text.get(..start)?.ends_with(&format!("\n{indent}"));
    let written = format!("{lead}{}", value.json(indent, &style.step));
    let written = match own_line {
        true => style.lines(&format!(",\n{indent}{written}")),
        false => format!(", {lead}{}", value.flow()),
    };
    splice(text, end, end, &written)
}

fn remove(text: &str, from: &Mark, step: &Step) -> Option<String> {
    let at = match (&from.below, step) {
        (Below::Items(_), Step::Index(at)) => *at,
        (Below::Entries(entries), Step::Key(key)) => {
            entries.iter().position(|(name, ..)| **name == **key)?
        }
        (Below::Nothing | Below::Items(_) | Below::Entries(_), _) => return None,
    };
    let parts = from.parts();
    let (start, end) = *parts.get(at)?;
    if let Some((next, _)) = parts.get(at + 1) {
        return splice(text, start, *next, "");
    }
    match at.checked_sub(1).and_then(|before| parts.get(before)) {
        Some((_, before)) => splice(text, *before, end, ""),
        None => splice(text, from.start + 1, from.end - 1, ""),
    }
}

/// How the text is laid out.
struct Style {
    step: String,
    windows: bool,
}

impl Style {
    fn of(text: &str) -> Self {
        let indents = text.lines().map(|line| {
            let rest = line.trim_start_matches([' ', '\t']);
            line.get(..line.len() - rest.len()).unwrap_or_default()
        });
        let step = indents.filter(|indent| !indent.is_empty()).min_by_key(|indent| indent.len());
        Self { step: step.unwrap_or("  ").to_owned(), windows: text.contains("\r\n") }
    }

    fn lines(&self, text: &str) -> String {
        if self.windows { text.replace('\n', "\r\n") } else { text.to_owned() }
    }

    fn value(&self, text: &str, at: usize, value: &Value) -> String {
        self.lines(&value.json(indent_of(text, at), &self.step))
    }
}

/// The blanks at the beginning of the line of a place.
fn indent_of(text: &str, at: usize) -> &str {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = text.get(line..).unwrap_or_default();
    let rest = line.trim_start_matches([' ', '\t']);
    line.get(..line.len() - rest.len()).unwrap_or_default()
}

fn splice(text: &str, start: usize, end: usize, new: &str) -> Option<String> {
    Some(format!("{}{new}{}", text.get(..start)?, text.get(end..)?))
}

/// Finds the places in a text that is JSON.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// The next sign, if it is this one.
    fn take(&mut self, sign: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(sign);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Mark> {
        self.blanks();
        let start = self.at;
        let below = match self.peek()? {
            _ if depth > DEPTH_MAX => return None,
            b'{' => self.entries(depth)?,
            b'[' => self.items(depth)?,
            b'"' => {
                self.string()?;
                Below::Nothing
            }
            _ => {
                while self.peek().is_some_and(|byte| !b",]} \t\r\n".contains(&byte)) {
                    self.at += 1;
                }
                Below::Nothing
            }
        };
        Some(Mark { start, end: self.at, below })
    }

    fn entries(&mut self, depth: usize) -> Option<Below> {
        let mut entries = Vec::new();
        self.take(b'{');
        while !self.take(b'}') {
            self.blanks();
            let start = self.at;
            let name = self.string()?;
            let key = Mark { start, end: self.at, below: Below::Nothing };
            self.take(b':').then_some(())?;
            entries.push((name, key, self.value(depth + 1)?));
            self.take(b',');
        }
        Some(Below::Entries(entries))
    }

    fn items(&mut self, depth: usize) -> Option<Below> {
        let mut items = Vec::new();
        self.take(b'[');
        while !self.take(b']') {
            items.push(self.value(depth + 1)?);
            self.take(b',');
        }
        Some(Below::Items(items))
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        self.take(b'"').then_some(())?;
        loop {
            match self.peek()? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        serde_json::from_str(self.text.get(start..self.at)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.into())
    }

    #[test]
    fn json_stays_json_and_keeps_its_shape() {
        let text = "{\n    \"a\": {\"b\": 1, \"c\": \"x\\\"}\"},\n    \"l\": [\n        1,\n        2\n    ]\n}\n";
        let add = Change::Add { path: vec![key("a")], key: "d".into(), value: Value::text("y") };
        assert!(edit(text, &add).unwrap().contains("\"c\": \"x\\\"}\", \"d\": \"y\"}"));
        let value = Value::map([("n", Value::Bool(true))]);
        let append = Change::Append { path: vec![key("l")], value };
        let wanted = "        2,\n        {\n            \"n\": true\n        }\n    ]\n";
        assert!(edit(text, &append).unwrap().contains(wanted));
        let remove = Change::Remove { path: vec![key("l"), Step::Index(1)] };
        assert!(edit(text, &remove).unwrap().ends_with("[\n        1\n    ]\n}\n"));
        let remove = Change::Remove { path: vec![key("a")] };
        assert!(edit(text, &remove).unwrap().starts_with("{\n    \"l\": ["));
    }
}
