//! One YAML or JSON document becomes a syntax tree that keeps the text of every scalar beside its type.
//!
//! `serde_yaml` reads plain `3.10` as the number 3.1, so a tag of that name would be lost on its way through an
//! untyped value. The text is therefore read a second time, guided by the shape that the first reading found, and
//! asks for a string wherever a scalar is not one.

use std::fmt;

use serde::Deserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess as _, Visitor,
};

/// A node of the syntax tree.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Node {
    /// A scalar.
    Scalar(Scalar),
    /// A sequence.
    Sequence(Vec<Node>),
    /// A mapping, in the order of the text; keys may repeat until [`Oddities`] are looked at.
    Mapping(Vec<(Box<str>, Node)>),
    /// A value with a tag of the application: `!vault x`.
    Tagged(Box<Node>),
}

/// A scalar: its text and what the text means.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Scalar {
    /// The text, without quotes.
    pub(crate) text: Box<str>,
    /// What it means.
    pub(crate) kind: ScalarKind,
}

/// What a scalar means by the rules of YAML 1.2.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum ScalarKind {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// Another number.
    Float(f64),
    /// Text.
    Text,
}

/// What a document holds that manifests must not hold; looked for only where it was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Oddities(u8);

impl Oddities {
    const DUPLICATE: u8 = 1;
    const MERGE: u8 = 2;
    const TAG: u8 = 4;
    const ODD: u8 = Self::DUPLICATE | Self::MERGE | Self::TAG;
    // Kinds of scalars that are there; only `read` looks at them.
    const BOOL: u8 = 8;
    const INT: u8 = 16;
    const FLOAT: u8 = 32;

    /// Whether there is any.
    pub(crate) fn any(self) -> bool {
        self.0 != 0
    }
}

/// A document that was read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Document {
    /// Its tree.
    pub(crate) root: Node,
    /// What it holds that manifests must not hold.
    pub(crate) oddities: Oddities,
}

/// Why a document is not YAML.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SyntaxError {
    /// What is wrong.
    pub(crate) message: String,
    /// Line in the document's text, from 1; 0 where it is not known.
    pub(crate) line: u32,
    /// Column in characters, from 1; 0 where it is not known.
    pub(crate) column: u32,
}

impl Node {
    /// Text as a node.
    pub(crate) fn text(text: impl Into<Box<str>>) -> Self {
        Self::Scalar(Scalar { text: text.into(), kind: ScalarKind::Text })
    }

    /// The value of a key of a mapping.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| &**name == key).map(|(_, value)| value)
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[(Box<str>, Self)] {
        match self {
            Self::Mapping(entries) => entries,
            Self::Scalar(_) | Self::Sequence(_) | Self::Tagged(_) => &[],
        }
    }

    /// The items of a sequence; none of anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::Sequence(items) => items,
            Self::Scalar(_) | Self::Mapping(_) | Self::Tagged(_) => &[],
        }
    }

    /// The text of a scalar that is not null.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Scalar(Scalar { kind: ScalarKind::Null, .. }) => None,
            Self::Scalar(scalar) => Some(&scalar.text),
            Self::Sequence(_) | Self::Mapping(_) | Self::Tagged(_) => None,
        }
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self, Self::Sequence(_))
    }

    /// Whether it is a null, written or left out.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(Scalar { kind: ScalarKind::Null, .. }))
    }

    /// What it is, with an article, for messages; texts are quoted.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Sequence(_) => "a list".into(),
            Self::Mapping(_) => "a mapping".into(),
            Self::Tagged(_) => "a value with a tag".into(),
            Self::Scalar(scalar) => {
                let text: String = scalar.text.chars().take(60).collect();
                match scalar.kind {
                    ScalarKind::Null => "nothing".into(),
                    ScalarKind::Bool(_) => format!("the boolean `{text}`"),
                    ScalarKind::Int(_) | ScalarKind::Float(_) => format!("the number `{text}`"),
                    ScalarKind::Text => format!("the text `{text}`"),
                }
            }
        }
    }
}

/// Reads one document.
pub(crate) fn read(text: &str) -> Result<Document, SyntaxError> {
    let mut oddities = Oddities::default();
    let shape = Shape { oddities: &mut oddities };
    let mut root = shape.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(wrong)?;
    if needs_text(oddities, text) {
        TextOf(&mut root).deserialize(serde_yaml::Deserializer::from_str(text)).map_err(wrong)?;
    }
    Ok(Document { root, oddities: Oddities(oddities.0 & Oddities::ODD) })
}

/// Whether a scalar may be written in another way than its value is printed: `1.50`, `0x1f`, `True`.
///
/// Most documents have neither, and are spared the second reading, which costs as much as the first. The text of a
/// null is never asked for.
fn needs_text(oddities: Oddities, text: &str) -> bool {
    let has = |bit: u8| oddities.0 & bit != 0;
    let has_any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    has(Oddities::FLOAT)
        || has(Oddities::BOOL) && has_any(&["True", "TRUE", "False", "FALSE"])
        || has(Oddities::INT) && has_any(&["0x", "0o", "0b", "-0", "+"])
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn wrong(error: serde_yaml::Error) -> SyntaxError {
    let narrow = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (line, column) =
        error.location().map_or((0, 0), |at| (narrow(at.line()), narrow(at.column())));
    let mut message = error.to_string();
    // The position is kept apart; the message would say it again, relative to the document.
    if let Some(at) = message.find(" at line ") {
        let rest = message.get(at + 9..).unwrap_or_default();
        let tail = rest.find(", ").and_then(|comma| rest.get(comma..)).unwrap_or_default();
        let mut tail = tail.to_owned();
        while let Some(at) = tail.find(" at line ") {
            tail.truncate(at);
        }
        message.truncate(at);
        message.push_str(&tail);
    }
    let message = message
        .replace("invalid type: map, expected a text as the key", "a mapping cannot be the key")
        .replace("invalid type: sequence, expected a text as the key", "a list cannot be the key")
        .replace(
            "deserializing from YAML containing more than one document is not supported",
            "something follows the end of the document",
        );
    SyntaxError { message, line, column }
}

/// First reading: the types.
struct Shape<'a> {
    oddities: &'a mut Oddities,
}

impl<'de> DeserializeSeed<'de> for Shape<'_> {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A scalar with the text that its value has by itself.
fn scalar(kind: ScalarKind, text: &str) -> Node {
    Node::Scalar(Scalar { text: text.into(), kind })
}

impl Shape<'_> {
    fn int(self, value: i128) -> Node {
        self.oddities.0 |= Oddities::INT;
        scalar(ScalarKind::Int(value), &value.to_string())
    }
}

impl<'de> Visitor<'de> for Shape<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(scalar(ScalarKind::Null, ""))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(scalar(ScalarKind::Null, ""))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        self.oddities.0 |= Oddities::BOOL;
        Ok(scalar(ScalarKind::Bool(value), if value { "true" } else { "false" }))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(self.int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(self.int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Node, E> {
        Ok(self.int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Node, E> {
        self.oddities.0 |= Oddities::FLOAT; // above i128: the text is kept as for a fraction
        Ok(self.int(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        self.oddities.0 |= Oddities::FLOAT;
        Ok(scalar(ScalarKind::Float(value), ""))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Shape { oddities: self.oddities })? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(Box<str>, Node)> = Vec::new();
        while let Some(key) = access.next_key_seed(Key)? {
            let value = access.next_value_seed(Shape { oddities: self.oddities })?;
            if &*key == "<<" {
                self.oddities.0 |= Oddities::MERGE;
            }
            entries.push((key, value));
        }
        if first_duplicate(&entries).is_some() {
            self.oddities.0 |= Oddities::DUPLICATE;
        }
        Ok(Node::Mapping(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Node, A::Error> {
        self.oddities.0 |= Oddities::TAG;
        let (IgnoredAny, content) = access.variant::<IgnoredAny>()?;
        let value = content.newtype_variant_seed(Shape { oddities: self.oddities })?;
        Ok(Node::Tagged(Box::new(value)))
    }
}

/// The index of the first entry whose key stands before it already.
pub(crate) fn first_duplicate(entries: &[(Box<str>, Node)]) -> Option<usize> {
    // Manifests have few keys; a long mapping must not make this quadratic.
    if entries.len() <= 16 {
        return (1..entries.len()).find(|&at| {
            let (before, from) = entries.split_at(at);
            from.first().is_some_and(|(key, _)| before.iter().any(|(other, _)| other == key))
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    entries.iter().position(|(key, _)| !seen.insert(key))
}

/// A key of a mapping, as text whatever its type.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Box<str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Box<str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Box<str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text as the key of a mapping")
    }

    fn visit_str<E>(self, value: &str) -> Result<Box<str>, E> {
        Ok(value.into())
    }
}

/// Second reading: the text of what is not text.
struct TextOf<'a>(&'a mut Node);

impl<'de> DeserializeSeed<'de> for TextOf<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Node::Scalar(Scalar { kind: ScalarKind::Text, .. }) | Node::Tagged(_) => {
                deserializer.deserialize_ignored_any(IgnoredAny).map(|_| ())
            }
            Node::Scalar(_) => deserializer.deserialize_str(self),
            Node::Sequence(_) => deserializer.deserialize_seq(self),
            Node::Mapping(_) => deserializer.deserialize_map(self),
        }
    }
}

impl<'de> Visitor<'de> for TextOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shape that was read before")
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        if let Node::Scalar(scalar) = self.0 {
            scalar.text = value.into();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        if let Node::Sequence(items) = self.0 {
            for item in items {
                let _: Option<()> = access.next_element_seed(TextOf(item))?;
            }
        }
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        if let Node::Mapping(entries) = self.0 {
            for (_, value) in entries {
                if access.next_key::<IgnoredAny>()?.is_some() {
                    access.next_value_seed(TextOf(value))?;
                }
            }
        }
        while access.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// One document of a file: its text and the number of lines before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part<'a> {
    /// The text.
    pub(crate) text: &'a str,
    /// How many lines of the file stand before it.
    pub(crate) lines_before: u32,
}

/// Splits a file at its document markers, so that a broken document does not take the others with it.
///
/// A line that starts with `---` or `...` is a marker wherever it stands: YAML forbids such lines inside scalars.
pub(crate) fn split(text: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = text;
    let mut lines = 0_u32;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let (length, count) = part_length(rest);
            let (part, after) = rest.split_at(length);
            let lines_before = lines;
            rest = after;
            lines = lines.saturating_add(count);
            if !is_empty(part) {
                return Some(Part { text: part, lines_before });
            }
        }
    })
}

/// The line of the first document that starts with a marker and has nothing.
pub(crate) fn empty_document(text: &str) -> Option<u32> {
    let mut rest = text;
    let mut line = 1_u32;
    while !rest.is_empty() {
        let (length, count) = part_length(rest);
        let (part, after) = rest.split_at(length);
        let is_started = part.lines().next().is_some_and(|line| is_marker(line, "---"));
        if is_started && is_empty(part) && !part.contains(['#', '%']) {
            return Some(line);
        }
        rest = after;
        line = line.saturating_add(count);
    }
    None
}

fn is_marker(line: &str, marker: &str) -> bool {
    let after = line.strip_prefix(marker);
    after.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Length in bytes and in lines of the first document of `text`, with its marker and an end marker.
fn part_length(text: &str) -> (usize, u32) {
    let mut length = 0;
    let mut count = 0;
    for line in text.split_inclusive('\n') {
        if length > 0 && is_marker(line, "---") {
            break;
        }
        length += line.len();
        count += 1;
        if is_marker(line, "...") {
            break;
        }
    }
    (length, count)
}

/// Whether a part has nothing but comments, directives and markers.
fn is_empty(part: &str) -> bool {
    let mut content = part.lines().map(|line| {
        let line = if is_marker(line, "---") || is_marker(line, "...") {
            line.get(3..).unwrap_or_default()
        } else if line.starts_with('%') {
            ""
        } else {
            line
        };
        line.trim()
    });
    content.all(|line| line.is_empty() || line.starts_with('#'))
}

/// The line of a part, from 1, on which its content starts.
pub(crate) fn content_line(part: &str) -> u32 {
    let line = part.lines().position(|line| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with('#') || line == "---" || line.starts_with("--- #"))
    });
    line.and_then(|line| u32::try_from(line).ok()).map_or(1, |line| line.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Node {
        read(text).unwrap().root
    }

    #[test]
    fn the_text_of_a_number_is_kept_beside_its_value() {
        let node = root("a: 3.10\nb: [0x1f, 1e3, ~, True]\nc: '3.10'\n");
        let a = node.get("a").unwrap();
        assert_eq!(a.as_text(), Some("3.10"));
        assert!(matches!(a, Node::Scalar(Scalar { kind: ScalarKind::Float(_), .. })));
        let texts: Vec<_> = node.get("b").unwrap().items().iter().map(Node::as_text).collect();
        assert_eq!(texts, [Some("0x1f"), Some("1e3"), None, Some("True")]);
        assert_eq!(node.get("c"), Some(&Node::text("3.10")));
    }

    #[test]
    fn the_text_is_right_with_and_without_the_second_reading() {
        for text in [
            "12", "-7", "0x1f", "0o17", "+5", "-0", "00", "true", "True", "false", "FALSE", "1.50",
            "1e3",
        ] {
            assert_eq!(root(&format!("a: {text}\n")).get("a").unwrap().as_text(), Some(text));
        }
    }

    #[test]
    fn keys_are_text_whatever_their_type() {
        assert_eq!(root("8080: x\ntrue: y\n").entries()[0].0.as_ref(), "8080");
    }

    #[test]
    fn aliases_are_followed_in_both_readings() {
        let node = root("a: &x {n: 1.0}\nb: *x\nc: [*x, 2.50]\n");
        assert_eq!(node.at(&["b", "n"]).unwrap().as_text(), Some("1.0"));
        assert_eq!(node.get("c").unwrap().items()[1].as_text(), Some("2.50"));
    }

    #[test]
    fn duplicates_merges_and_tags_are_noticed() {
        assert!(!read("a: 1\nb: 2\n").unwrap().oddities.any());
        assert_eq!(read("a: 1\na: 2\n").unwrap().oddities.0, Oddities::DUPLICATE);
        assert_eq!(read("x: &x {a: 1}\ny: {<<: *x}\n").unwrap().oddities.0, Oddities::MERGE);
        assert_eq!(read("a: !vault b\n").unwrap().oddities.0, Oddities::TAG);
        assert_eq!(read("a: !!str 3\n").unwrap().root.get("a"), Some(&Node::text("3")));
    }

    #[test]
    fn an_alias_bomb_is_an_error() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..12 {
            let items = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{items}]\n"));
        }
        assert!(read(&text).unwrap_err().message.contains("repetition limit"));
    }

    #[test]
    fn a_deep_document_is_an_error() {
        let text = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(read(&text).is_err());
    }

    #[test]
    fn files_are_split_at_their_markers() {
        let text =
            "# head\n---\na: 1\n---\n# nothing\n---\nb: |\n  ---\n...\n%YAML 1.2\n--- {c: 2}\n";
        let parts: Vec<_> = split(text).map(|p| (p.lines_before, content_line(p.text))).collect();
        assert_eq!(parts, [(1, 2), (5, 2), (10, 1)]);
    }

    #[test]
    fn a_syntax_error_names_its_place_once() {
        let error = read("a: [1, 2\nb: 3\n").unwrap_err();
        assert!(!error.message.contains(" at line "), "{}", error.message);
        assert!(error.line > 0 && error.column > 0);
    }
}
