//! Changes of YAML that leave the rest of the text alone, by `yaml-edit`.
//!
//! The one module that knows that crate. Whatever it answers is compared with what was wanted ([`super::change`]).

#![expect(clippy::wildcard_enum_match_arm, reason = "the nodes are another crate's")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr as _;

use yaml_edit::{YamlFile, YamlNode};

use crate::desired::marks::Step;

use super::change::Change;
use super::value::Value;

/// Changes a document; none if the crate cannot.
pub(super) fn edit(text: &str, change: &Change) -> Option<String> {
    // A young crate: where it panics, the change is refused as any other that it gets wrong.
    catch_unwind(AssertUnwindSafe(|| try_edit(text, change))).ok().flatten()
}

fn try_edit(text: &str, change: &Change) -> Option<String> {
    let file = YamlFile::from_str(text).ok()?;
    let document = file.documents().next()?;
    let root = document
        .as_mapping()
        .map(YamlNode::Mapping)
        .or_else(|| document.as_sequence().map(YamlNode::Sequence))?;
    match change {
        Change::Set { path, value } => {
            let (last, above) = path.split_last()?;
            let value = node(value)?;
            match (find(&root, above)?, last) {
                // A key that is spelled in a way that the crate does not compare would be added.
                (YamlNode::Mapping(mapping), Step::Key(key)) if mapping.contains_key(&**key) => {
                    mapping.set(&**key, value);
                }
                (YamlNode::Sequence(sequence), Step::Index(at)) => {
                    sequence.set(*at, value).then_some(())?;
                }
                _ => return None,
            }
        }
        Change::Add { path, key, value } => match find(&root, path)? {
            YamlNode::Mapping(mapping) => mapping.set(text_node(key)?, node(value)?),
            _ => return None,
        },
        Change::Append { path, value } => match find(&root, path)? {
            YamlNode::Sequence(sequence) => sequence.push(node(value)?),
            _ => return None,
        },
        Change::Remove { path } => {
            let (last, above) = path.split_last()?;
            match (find(&root, above)?, last) {
                (YamlNode::Mapping(mapping), Step::Key(key)) => drop(mapping.remove(&**key)?),
                (YamlNode::Sequence(sequence), Step::Index(at)) => drop(sequence.remove(*at)?),
                _ => return None,
            }
        }
        Change::Rename { path, key } => {
            let (Step::Key(old), above) = path.split_last()? else { return None };
            match find(&root, above)? {
                YamlNode::Mapping(mapping) => {
                    mapping.rename_key(&**old, text_node(key)?).then_some(())?;
                }
                _ => return None,
            }
        }
    }
    Some(file.to_string())
}

fn find(root: &YamlNode, path: &[Step]) -> Option<YamlNode> {
    path.iter().try_fold(root.clone(), |node, step| match (node, step) {
        (YamlNode::Mapping(mapping), Step::Key(key)) => mapping.get(&**key),
        (YamlNode::Sequence(sequence), Step::Index(at)) => sequence.get(*at),
        _ => None,
    })
}

/// The value as the crate takes it. It is read from our own text, so that we decide on quotes.
fn node(value: &Value) -> Option<YamlNode> {
    let file = YamlFile::from_str(&value.snippet()).ok()?;
    file.documents().next()?.get("v")
}

fn text_node(text: &str) -> Option<YamlNode> {
    node(&Value::text(text))
}
