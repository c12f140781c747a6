//! From the syntax tree to typed structures: a serde deserializer that knows where it is.
//!
//! It keeps the rules that a generic one cannot: a `String` gets the text of any scalar, a field that is null is
//! absent, as in Kubernetes, and a field that the structure does not have is noted with its nearest known name.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer as _, Visitor};
use serde::forward_to_deserialize_any;

use super::marks::Step;
use super::nearest::nearest;
use super::yaml::{Node, Scalar, ScalarKind};

/// Something to warn about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Finding {
    /// A field that the structure does not have.
    Unknown {
        /// The path of the field.
        path: Vec<Step>,
        /// The field that may have been meant.
        nearest: Option<&'static str>,
    },
    /// A text that YAML 1.1 takes as a boolean, if it is written without quotes.
    OldBoolean {
        /// The path of the text.
        path: Vec<Step>,
        /// The text.
        text: String,
    },
    /// A number or a boolean where a text is meant: a cluster refuses it.
    NotText {
        /// The path of the text.
        path: Vec<Step>,
        /// As it is written.
        text: String,
        /// What it is.
        is: &'static str,
    },
}

/// Why a tree does not have the shape of a structure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Misfit {
    /// Where.
    pub(crate) path: Option<Vec<Step>>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: None, message: message.to_string(), hint: None }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

/// Reads a structure; what is odd goes into `findings`.
pub(crate) fn read<'n, T: de::Deserialize<'n>>(
    node: &'n Node,
    findings: &RefCell<Vec<Finding>>,
) -> Result<T, Misfit> {
    T::deserialize(Reader { node, trail: Trail { above: None, step: None }, findings })
}

/// The path to a node, kept on the stack.
#[derive(Clone, Copy)]
struct Trail<'t> {
    above: Option<&'t Trail<'t>>,
    step: Option<StepRef<'t>>,
}

#[derive(Clone, Copy)]
enum StepRef<'t> {
    Key(&'t str),
    Index(usize),
}

impl Trail<'_> {
    fn path(&self) -> Vec<Step> {
        let mut path = self.above.map(Trail::path).unwrap_or_default();
        match self.step {
            Some(StepRef::Key(key)) => path.push(Step::Key(key.into())),
            Some(StepRef::Index(index)) => path.push(Step::Index(index)),
            None => {}
        }
        path
    }
}

/// Whether a text is a boolean for YAML 1.1 and a text for YAML 1.2.
fn is_old_boolean(text: &str) -> bool {
    ["y", "n", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[derive(Clone, Copy)]
struct Reader<'n, 't> {
    node: &'n Node,
    trail: Trail<'t>,
    findings: &'t RefCell<Vec<Finding>>,
}

impl<'n> Reader<'n, '_> {
    fn misfit(&self, expected: &str) -> Misfit {
        Misfit {
            path: Some(self.trail.path()),
            message: format!("expected {expected}, found {}", self.node.describe()),
            hint: None,
        }
    }

    fn place<T>(&self, result: Result<T, Misfit>) -> Result<T, Misfit> {
        result.map_err(|mut misfit| {
            misfit.path.get_or_insert_with(|| self.trail.path());
            misfit
        })
    }

    fn scalar(&self, expected: &str) -> Result<&'n Scalar, Misfit> {
        match self.node {
            Node::Scalar(scalar) => Ok(scalar),
            Node::Sequence(_) | Node::Mapping(_) | Node::Tagged(_) => Err(self.misfit(expected)),
        }
    }

    fn int(&self) -> Result<i128, Misfit> {
        let scalar = self.scalar("a whole number")?;
        match scalar.kind {
            ScalarKind::Int(value) => Ok(value),
            ScalarKind::Text if scalar.text.parse::<i64>().is_ok() => {
                let mut misfit = self.misfit("a whole number");
                misfit.hint = Some(
                    "write it without quotes; in a template write `${{NAME}}` instead of `${NAME}`"
                        .into(),
                );
                Err(misfit)
            }
            ScalarKind::Float(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => {
                format!("{value:.0}").parse().map_err(|_| self.misfit("a whole number"))
            }
            ScalarKind::Null | ScalarKind::Bool(_) | ScalarKind::Float(_) | ScalarKind::Text => {
                Err(self.misfit("a whole number"))
            }
        }
    }

    /// The text of a scalar, null being the empty text as in Kubernetes.
    fn string(&self) -> Result<&'n str, Misfit> {
        let scalar = self.scalar("a text")?;
        let found = || (self.trail.path(), scalar.text.to_string());
        let not_text = |is| {
            let (path, text) = found();
            Finding::NotText { path, text, is }
        };
        let finding = match scalar.kind {
            ScalarKind::Null => return Ok(""),
            ScalarKind::Text if is_old_boolean(&scalar.text) => {
                let (path, text) = found();
                Finding::OldBoolean { path, text }
            }
            ScalarKind::Text => return Ok(&scalar.text),
            ScalarKind::Bool(_) => not_text("boolean"),
            ScalarKind::Int(_) | ScalarKind::Float(_) => not_text("number"),
        };
        self.findings.borrow_mut().push(finding);
        Ok(&scalar.text)
    }
}

macro_rules! whole_number {
    ($($name:ident $visit:ident $type:ty, $range:literal;)*) => {$(
        fn $name<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let value = self.int()?;
            let value = <$type>::try_from(value).map_err(|_| self.misfit($range))?;
            self.place(visitor.$visit(value))
        }
    )*};
}

impl<'n> Deserializer<'n> for Reader<'n, '_> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let result = match self.node {
            Node::Scalar(scalar) => match scalar.kind {
                ScalarKind::Null => visitor.visit_unit(),
                ScalarKind::Bool(value) => visitor.visit_bool(value),
                ScalarKind::Int(value) => match i64::try_from(value) {
                    Ok(value) => visitor.visit_i64(value),
                    Err(_) => visitor.visit_i128(value),
                },
                ScalarKind::Float(value) => visitor.visit_f64(value),
                ScalarKind::Text => visitor.visit_borrowed_str(&scalar.text),
            },
            Node::Sequence(_) => return self.deserialize_seq(visitor),
            Node::Mapping(_) => return self.deserialize_map(visitor),
            Node::Tagged(_) => Err(self.misfit("a plain value")),
        };
        self.place(result)
    }

    fn deserialize_bool<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let scalar = self.scalar("`true` or `false`")?;
        if let ScalarKind::Bool(value) = scalar.kind {
            return self.place(visitor.visit_bool(value));
        }
        let mut misfit = self.misfit("`true` or `false`");
        if is_old_boolean(&scalar.text) {
            let truth =
                ["y", "yes", "on"].iter().any(|word| scalar.text.eq_ignore_ascii_case(word));
            misfit.hint = Some(format!(
                "write `{truth}`: YAML 1.1 takes `{}` as a boolean, YAML 1.2 as a text",
                scalar.text
            ));
        } else if matches!(&*scalar.text, "true" | "false") {
            misfit.hint = Some(
                "write it without quotes; in a template write `${{NAME}}` instead of `${NAME}`"
                    .into(),
            );
        }
        Err(misfit)
    }

    whole_number! {
        deserialize_i32 visit_i32 i32, "a whole number of 32 bits";
        deserialize_i64 visit_i64 i64, "a whole number of 64 bits";
        deserialize_u32 visit_u32 u32, "a whole number of 32 bits that is not negative";
        deserialize_u64 visit_u64 u64, "a whole number of 64 bits that is not negative";
    }

    fn deserialize_str<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let text = self.string()?;
        self.place(visitor.visit_borrowed_str(text))
    }

    fn deserialize_string<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Node::Sequence(items) = self.node else { return Err(self.misfit("a list")) };
        let access = Items { items: items.iter().enumerate(), reader: self };
        self.place(visitor.visit_seq(access))
    }

    fn deserialize_map<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Node::Mapping(entries) = self.node else { return Err(self.misfit("a mapping")) };
        let access = Entries { entries: entries.iter(), value: None, fields: None, reader: self };
        self.place(visitor.visit_map(access))
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let Node::Mapping(entries) = self.node else { return Err(self.misfit("a mapping")) };
        let fields = Some(fields);
        let access = Entries { entries: entries.iter(), value: None, fields, reader: self };
        self.place(visitor.visit_map(access))
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <V: Visitor<'n>>
        i8 i16 i128 u8 u16 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct
        enum identifier
    }
}

struct Items<'n, 't> {
    items: std::iter::Enumerate<std::slice::Iter<'n, Node>>,
    reader: Reader<'n, 't>,
}

impl<'n> de::SeqAccess<'n> for Items<'n, '_> {
    type Error = Misfit;
    fn next_element_seed<S: DeserializeSeed<'n>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        let trail = Trail { above: Some(&self.reader.trail), step: Some(StepRef::Index(index)) };
        seed.deserialize(Reader { node, trail, findings: self.reader.findings }).map(Some)
    }
}

struct Entries<'n, 't> {
    entries: std::slice::Iter<'n, (Box<str>, Node)>,
    value: Option<(&'n str, &'n Node)>,
    /// The fields of a structure; none for a free mapping.
    fields: Option<&'static [&'static str]>,
    reader: Reader<'n, 't>,
}

impl<'n> de::MapAccess<'n> for Entries<'n, '_> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'n>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misfit> {
        for (key, node) in self.entries.by_ref() {
            if let Some(fields) = self.fields {
                if !fields.contains(&&**key) {
                    let trail =
                        Trail { above: Some(&self.reader.trail), step: Some(StepRef::Key(key)) };
                    let nearest = nearest(key, fields.iter().copied());
                    let finding = Finding::Unknown { path: trail.path(), nearest };
                    self.reader.findings.borrow_mut().push(finding);
                    continue;
                }
                if node.is_null() {
                    continue; // a null field is an absent one
                }
            }
            self.value = Some((key, node));
            let key: StrDeserializer<'_, Misfit> = (**key).into_deserializer();
            return seed.deserialize(key).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'n>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let Some((key, node)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let trail = Trail { above: Some(&self.reader.trail), step: Some(StepRef::Key(key)) };
        seed.deserialize(Reader { node, trail, findings: self.reader.findings })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::super::marks::show;
    use super::super::yaml;
    use super::*;

    #[derive(Deserialize, Debug, PartialEq, Default)]
    #[serde(rename_all = "camelCase", default)]
    struct Thing {
        name: String,
        replicas: Option<i32>,
        scheduled: bool,
        labels: BTreeMap<String, String>,
        below: Vec<Thing>,
    }

    fn thing(text: &str) -> (Result<Thing, Misfit>, Vec<Finding>) {
        let document = yaml::read(text).unwrap();
        let findings = RefCell::default();
        let thing = read(&document.root, &findings);
        (thing, findings.into_inner())
    }

    #[test]
    fn a_string_gets_the_text_of_any_scalar() {
        let (thing, _) = thing("name: 3.10\nlabels: {a: true, b: 0x1f, c: ~}\n");
        let thing = thing.unwrap();
        assert_eq!(thing.name, "3.10");
        assert_eq!(thing.labels.values().collect::<Vec<_>>(), ["true", "0x1f", ""]);
    }

    #[test]
    fn a_null_field_is_an_absent_one() {
        let text = "name: null\nreplicas: ~\nscheduled:\nlabels: null\nbelow:\n";
        assert_eq!(thing(text).0, Ok(Thing::default()));
    }

    #[test]
    fn an_unknown_field_is_noted_with_its_path_and_the_nearest_name() {
        let (_, findings) = thing("below: [{name: a}, {replica: 2}]\n");
        let [Finding::Unknown { path, nearest }] = &findings[..] else { panic!("{findings:?}") };
        assert_eq!((show(path).as_str(), *nearest), ("below[1].replica", Some("replicas")));
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_path() {
        let misfit = thing("below: [{replicas: '2'}]\n").0.unwrap_err();
        assert_eq!(show(&misfit.path.unwrap()), "below[0].replicas");
        assert_eq!(misfit.message, "expected a whole number, found the text `2`");
        assert!(misfit.hint.unwrap().contains("${{NAME}}"));
        let misfit = thing("scheduled: yes\n").0.unwrap_err();
        assert!(misfit.hint.unwrap().starts_with("write `true`"));
        let misfit = thing("below: {a: b}\n").0.unwrap_err();
        assert_eq!(misfit.message, "expected a list, found a mapping");
        assert_eq!(
            thing("replicas: 3000000000\n").0.unwrap_err().message,
            "expected a whole number of 32 bits, found the number `3000000000`"
        );
    }

    #[test]
    fn words_that_yaml_1_1_takes_as_booleans_are_noted() {
        assert!(matches!(&thing("name: on\n").1[..], [Finding::OldBoolean { .. }]));
    }
}
