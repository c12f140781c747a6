//! Where the nodes of a document stand: read only when there is a message to print.

#![expect(clippy::wildcard_enum_match_arm, reason = "the events are another crate's")]

use std::cell::OnceCell;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::fact::Position;

use super::yaml::{self, Part};

/// A step from a node to one below it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// The value of a key.
    Key(Box<str>),
    /// An item.
    Index(usize),
}

/// A path as messages show it: `spec.tags[0].from.name`.
pub(crate) fn show(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) if key.contains(['.', '/']) => {
                text.push('[');
                text.push_str(key);
                text.push(']');
            }
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// Which end of an entry a message is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// Its key.
    Key,
    /// Its value.
    Value,
}

/// A document of a file, and where its nodes stand.
pub(crate) struct Source<'a> {
    path: &'a str,
    part: Part<'a>,
    marks: OnceCell<Option<Mark>>,
}

#[derive(Clone, Copy)]
struct Place {
    line: u32,
    column: u32,
}

struct Mark {
    place: Place,
    plain: bool,
    below: Below,
}

enum Below {
    Nothing,
    Items(Vec<Mark>),
    Entries(Vec<(Box<str>, Place, Mark)>),
}

impl<'a> Source<'a> {
    /// Makes one; nothing is read yet.
    pub(crate) fn new(path: &'a str, part: Part<'a>) -> Self {
        Self { path, part, marks: OnceCell::new() }
    }

    /// A position by line and column of the document's own text; line 0 is the document's first.
    pub(crate) fn at(&self, line: u32, column: u32) -> Position {
        let line = if line == 0 { yaml::content_line(self.part.text) } else { line };
        let line = self.part.lines_before.saturating_add(line);
        Position { path: self.path.into(), line, column }
    }

    /// Where the document's content starts.
    pub(crate) fn start(&self) -> Position {
        self.at(0, 1)
    }

    /// Where the node at `path` stands, or the nearest one above it that is in the text.
    pub(crate) fn position(&self, path: &[Step], end: End) -> Position {
        if path.is_empty() {
            return self.start();
        }
        match self.find(path) {
            Some((key, mark)) => {
                let place = match (end, key) {
                    (End::Key, Some(key)) => key,
                    (End::Key | End::Value, _) => mark.place,
                };
                self.at(place.line, place.column)
            }
            None => self.start(),
        }
    }

    /// Where the second of two equal keys stands.
    pub(crate) fn second_key(&self, path: &[Step], key: &str) -> Position {
        let found = self.find(path).and_then(|(_, mark)| match &mark.below {
            Below::Entries(entries) => entries.iter().filter(|(name, ..)| **name == *key).nth(1),
            Below::Nothing | Below::Items(_) => None,
        });
        match found {
            Some((_, place, _)) => self.at(place.line, place.column),
            None => self.position(path, End::Key),
        }
    }

    /// Whether the scalar at `path` is written without quotes.
    pub(crate) fn is_plain(&self, path: &[Step]) -> bool {
        self.find(path).is_some_and(|(_, mark)| mark.plain)
    }

    fn find(&self, path: &[Step]) -> Option<(Option<Place>, &Mark)> {
        let mut mark = self.marks.get_or_init(|| read(self.part.text)).as_ref()?;
        let mut key = None;
        for step in path {
            let next = match (&mark.below, step) {
                (Below::Items(items), Step::Index(index)) => {
                    items.get(*index).map(|mark| (None, mark))
                }
                (Below::Entries(entries), Step::Key(name)) => entries
                    .iter()
                    .find(|(other, ..)| other == name)
                    .map(|(_, place, mark)| (Some(*place), mark)),
                (Below::Nothing | Below::Items(_) | Below::Entries(_), _) => None,
            };
            let Some((place, below)) = next else { break };
            (key, mark) = (place, below);
        }
        Some((key, mark))
    }
}

fn place(span: Span) -> Place {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: narrow(span.start.line()), column: narrow(span.start.col()).saturating_add(1) }
}

/// Reads the marks of a document; none if this parser does not agree that it is one.
fn read(text: &str) -> Option<Mark> {
    let mut parser = Parser::new_from_str(text);
    loop {
        let (event, span) = parser.next_event()?.ok()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            other => return node(&mut parser, &other, span, 0),
        }
    }
}

/// Nodes below this depth have no marks; `serde_yaml` refuses such documents anyway.
const DEPTH_MAX: usize = 200;

fn node<'a>(
    parser: &mut Parser<'a, saphyr_parser::StrInput<'a>>,
    event: &Event<'a>,
    span: Span,
    depth: usize,
) -> Option<Mark> {
    if depth > DEPTH_MAX {
        return None;
    }
    let (plain, below) = match event {
        Event::Scalar(_, style, ..) => (*style == ScalarStyle::Plain, Below::Nothing),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                let (event, span) = parser.next_event()?.ok()?;
                if event == Event::SequenceEnd {
                    break;
                }
                items.push(node(parser, &event, span, depth + 1)?);
            }
            (false, Below::Items(items))
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            loop {
                let (key, key_span) = parser.next_event()?.ok()?;
                if key == Event::MappingEnd {
                    break;
                }
                let name: Box<str> = match &key {
                    Event::Scalar(text, ..) => text.as_ref().into(),
                    _ => {
                        node(parser, &key, key_span, depth + 1)?;
                        "".into()
                    }
                };
                let (event, span) = parser.next_event()?.ok()?;
                entries.push((name, place(key_span), node(parser, &event, span, depth + 1)?));
            }
            (false, Below::Entries(entries))
        }
        _ => (false, Below::Nothing), // an alias: its own place is what matters
    };
    Some(Mark { place: place(span), plain, below })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.into())
    }

    #[test]
    fn positions_count_from_the_start_of_the_file() {
        let text = "# x\n---\nspec:\n  tags:\n  - name: 'a'\n    from: {kind: b}\n";
        let part = Part { text, lines_before: 10 };
        let source = Source::new("f.yaml", part);
        let path = [key("spec"), key("tags"), Step::Index(0), key("from"), key("kind")];
        assert_eq!(source.position(&path, End::Key).to_string(), "f.yaml:16:12");
        assert_eq!(source.position(&path, End::Value).to_string(), "f.yaml:16:18");
        assert_eq!(source.start().to_string(), "f.yaml:13:1");
        assert!(source.is_plain(&path));
        assert!(!source.is_plain(&[key("spec"), key("tags"), Step::Index(0), key("name")]));
    }

    #[test]
    fn a_path_that_is_not_in_the_text_gives_the_nearest_node_above() {
        let source = Source::new("f", Part { text: "a:\n  b: ${{X}}\n", lines_before: 0 });
        let path = [key("a"), key("b"), key("c")];
        assert_eq!(source.position(&path, End::Value).to_string(), "f:2:6");
    }

    #[test]
    fn paths_are_shown_as_openshift_shows_them() {
        let path = [key("spec"), key("tags"), Step::Index(1), key("annotations"), key("a.b/c")];
        assert_eq!(show(&path), "spec.tags[1].annotations[a.b/c]");
    }
}
