//! One change of one document: to its parsed form, and checked against it.

use crate::desired::marks::{self, Step};
use crate::desired::yaml::{self, Node};

use super::value::Value;
use super::{json, lossless};

/// One change of a document. A path leads from the document's root.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Replaces the value that is there.
    Set {
        /// Where.
        path: Vec<Step>,
        /// By what.
        value: Value,
    },
    /// Gives a mapping a key that it does not have.
    Add {
        /// The mapping.
        path: Vec<Step>,
        /// The key.
        key: String,
        /// Its value.
        value: Value,
    },
    /// Takes an entry of a mapping or an item of a list away.
    Remove {
        /// Where.
        path: Vec<Step>,
    },
    /// Puts an item at the end of a list.
    Append {
        /// The list.
        path: Vec<Step>,
        /// The item.
        value: Value,
    },
    /// Gives an entry of a mapping another key.
    Rename {
        /// Where.
        path: Vec<Step>,
        /// The new key.
        key: String,
    },
}

/// Why a document is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// What is to be changed is not there, or is something else.
    #[error("`{path}` is not there, or is not of the kind that can be changed so")]
    NoPlace {
        /// Where.
        path: String,
    },
    /// The document cannot be read.
    #[error("line {line}: {why}")]
    Syntax {
        /// The line in the document.
        line: u32,
        /// What is wrong.
        why: String,
    },
    /// The new text would not say what it should.
    #[error(
        "the text around `{path}` cannot be changed without changing something else; change it by hand. What would have \
         been written:\n{diff}"
    )]
    Unfaithful {
        /// Where.
        path: String,
        /// What would have been written.
        diff: String,
    },
}

/// Changes the text of a document, and nothing else in it: comments, order, quotes and blanks of the rest stay.
///
/// The new text is read again and compared with the old one's content after the same change. Whatever the editor did
/// wrong is therefore an error, never a wrong text.
///
/// # Errors
/// When there is nothing to change at that place, or the text cannot be changed faithfully.
pub fn change(text: &str, change: &Change) -> Result<String, ChangeError> {
    let syntax =
        |error: yaml::SyntaxError| ChangeError::Syntax { line: error.line, why: error.message };
    let mut wanted = yaml::read(text).map_err(syntax)?.root;
    let shown = || marks::show(change.path());
    change.apply(&mut wanted).ok_or_else(|| ChangeError::NoPlace { path: shown() })?;
    let new =
        if json::is_json(text) { json::edit(text, change) } else { lossless::edit(text, change) };
    let unfaithful =
        |new: &str| ChangeError::Unfaithful { path: shown(), diff: super::diff(text, new) };
    let new = new.ok_or_else(|| unfaithful(""))?;
    match yaml::read(&new) {
        Ok(document) if same(&document.root, &wanted) => Ok(new),
        Ok(_) | Err(_) => Err(unfaithful(&new)),
    }
}

/// Whether two documents say the same, in the same order. How a null is spelled is not always read.
fn same(one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Mapping(one), Node::Mapping(other)) => {
            let pairs = || one.iter().zip(other);
            one.len() == other.len() && pairs().all(|((a, x), (b, y))| a == b && same(x, y))
        }
        (Node::Sequence(one), Node::Sequence(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Node::Tagged(one), Node::Tagged(other)) => same(one, other),
        (one, other) => one.is_null() && other.is_null() || one == other,
    }
}

impl Change {
    pub(super) fn path(&self) -> &[Step] {
        match self {
            Self::Set { path, .. }
            | Self::Add { path, .. }
            | Self::Remove { path }
            | Self::Append { path, .. }
            | Self::Rename { path, .. } => path,
        }
    }

    /// The same change at a place below `base`.
    pub(super) fn below(self, base: &[Step]) -> Self {
        let whole = |path: Vec<Step>| base.iter().cloned().chain(path).collect();
        match self {
            Self::Set { path, value } => Self::Set { path: whole(path), value },
            Self::Add { path, key, value } => Self::Add { path: whole(path), key, value },
            Self::Remove { path } => Self::Remove { path: whole(path) },
            Self::Append { path, value } => Self::Append { path: whole(path), value },
            Self::Rename { path, key } => Self::Rename { path: whole(path), key },
        }
    }

    /// Makes the change in the parsed form; none if there is nothing to change.
    pub(super) fn apply(&self, root: &mut Node) -> Option<()> {
        match self {
            Self::Set { path, value } => *find(root, path)? = value.node(),
            Self::Append { path, value } => match find(root, path)? {
                Node::Sequence(items) => items.push(value.node()),
                Node::Scalar(_) | Node::Mapping(_) | Node::Tagged(_) => return None,
            },
            Self::Add { path, key, value } => {
                let entries = entries(find(root, path)?)?;
                if entries.iter().any(|(other, _)| **other == *key) {
                    return None;
                }
                entries.push((key.as_str().into(), value.node()));
            }
            Self::Remove { path } => {
                let (last, above) = path.split_last()?;
                match (find(root, above)?, last) {
                    (Node::Mapping(entries), Step::Key(key)) => {
                        let at = entries.iter().position(|(other, _)| other == key)?;
                        entries.remove(at);
                    }
                    (Node::Sequence(items), Step::Index(at)) if *at < items.len() => {
                        items.remove(*at);
                    }
                    (
                        Node::Scalar(_) | Node::Sequence(_) | Node::Mapping(_) | Node::Tagged(_),
                        _,
                    ) => {
                        return None;
                    }
                }
            }
            Self::Rename { path, key } => {
                let (Step::Key(old), above) = path.split_last()? else { return None };
                let entries = entries(find(root, above)?)?;
                if entries.iter().any(|(other, _)| **other == *key) {
                    return None;
                }
                let (name, _) = entries.iter_mut().find(|(other, _)| other == old)?;
                *name = key.as_str().into();
            }
        }
        Some(())
    }
}

fn entries(node: &mut Node) -> Option<&mut Vec<(Box<str>, Node)>> {
    match node {
        Node::Mapping(entries) => Some(entries),
        Node::Scalar(_) | Node::Sequence(_) | Node::Tagged(_) => None,
    }
}

fn find<'n>(root: &'n mut Node, path: &[Step]) -> Option<&'n mut Node> {
    path.iter().try_fold(root, |node, step| match (node, step) {
        (Node::Mapping(entries), Step::Key(key)) => {
            entries.iter_mut().find(|(other, _)| other == key).map(|(_, value)| value)
        }
        (Node::Sequence(items), Step::Index(at)) => items.get_mut(*at),
        (Node::Scalar(_) | Node::Sequence(_) | Node::Mapping(_) | Node::Tagged(_), _) => None,
    })
}
