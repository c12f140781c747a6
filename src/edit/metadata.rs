//! Values below an object: labels, annotations, single fields; missing mappings above them are made.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::Step;
use crate::desired::yaml::Node;

use super::{Change, EditError, Manifests, Place, Value};

/// Texts that a mapping of texts gets and loses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Words {
    /// What it gets, by key.
    pub set: BTreeMap<String, String>,
    /// Keys that it loses.
    pub removed: BTreeSet<String>,
}

impl Words {
    /// What the mapping holds afterwards.
    #[must_use]
    pub fn applied(&self, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut after = before.clone();
        after.retain(|key, _| !self.removed.contains(key));
        after.extend(self.set.clone());
        after
    }
}

/// A path of keys.
#[must_use]
pub fn keys(path: &[&str]) -> Vec<Step> {
    path.iter().map(|key| Step::Key((*key).into())).collect()
}

impl Manifests {
    /// Gives an object a value, unless it has it; mappings above it that are missing or empty are made.
    ///
    /// # Errors
    /// When its text cannot be changed so, or the daemon would reject it then.
    pub fn put(&mut self, place: &Place, path: &[Step], value: Value) -> Result<(), EditError> {
        let document =
            self.at(place).ok_or_else(|| EditError::Gone { path: place.path.clone() })?;
        match put(&document.node, path, value) {
            Some(wish) => self.change(place, wish),
            None => Ok(()),
        }
    }

    /// Changes a mapping of texts: the labels of an object, its annotations, those of a tag.
    ///
    /// # Errors
    /// When its text cannot be changed so, or the daemon would reject it then.
    pub fn put_words(
        &mut self,
        place: &Place,
        path: &[Step],
        words: &Words,
    ) -> Result<(), EditError> {
        self.together(place, |all| all.put_each_word(place, path, words))
    }

    fn put_each_word(
        &mut self,
        place: &Place,
        path: &[Step],
        words: &Words,
    ) -> Result<(), EditError> {
        for (key, text) in &words.set {
            let whole: Vec<Step> =
                path.iter().cloned().chain([Step::Key(key.as_str().into())]).collect();
            let known = self.at(place).and_then(|document| at(&document.node, &whole));
            if known.and_then(Node::as_text) != Some(text) {
                self.put(place, &whole, Value::text(text))?;
            }
        }
        for key in &words.removed {
            let known = self.at(place).and_then(|document| at(&document.node, path));
            let entries = known.map(Node::entries).unwrap_or_default();
            if !entries.iter().any(|(name, _)| **name == **key) {
                continue;
            }
            let mut gone = path.to_vec();
            // Nothing is left behind of a mapping that was there for one text.
            if entries.len() > 1 {
                gone.push(Step::Key(key.as_str().into()));
            }
            self.change(place, Change::Remove { path: gone })?;
        }
        Ok(())
    }
}

pub(super) fn at<'n>(node: &'n Node, path: &[Step]) -> Option<&'n Node> {
    path.iter().try_fold(node, |node, step| match step {
        Step::Key(key) => node.get(key),
        Step::Index(index) => node.items().get(*index),
    })
}

/// Whether a place holds nothing that has to be kept.
fn is_empty(node: &Node) -> bool {
    match node {
        Node::Scalar(_) => node.is_null(),
        Node::Mapping(entries) => entries.is_empty(),
        Node::Sequence(items) => items.is_empty(),
        Node::Tagged(_) => false,
    }
}

/// The change that brings a value to a path; none if it is there.
fn put(root: &Node, path: &[Step], value: Value) -> Option<Change> {
    for depth in 0..path.len() {
        let (here, below) = path.split_at(depth + 1);
        let found = at(root, here);
        if found.is_some_and(|node| !is_empty(node)) && !below.is_empty() {
            continue;
        }
        let value = below.iter().rev().fold(value, |value, step| match step {
            Step::Key(key) => Value::Map(vec![(key.to_string(), value)]),
            Step::Index(_) => Value::List(vec![value]),
        });
        return match (found, here.split_last()) {
            (Some(node), _) if *node == value.node() => None,
            (Some(_), _) => Some(Change::Set { path: here.to_vec(), value }),
            (None, Some((Step::Key(key), above))) => {
                Some(Change::Add { path: above.to_vec(), key: key.to_string(), value })
            }
            (None, Some((Step::Index(_), above))) => {
                Some(Change::Append { path: above.to_vec(), value })
            }
            (None, None) => None,
        };
    }
    None
}
