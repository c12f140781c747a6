//! A list of a manifest that is changed item by item, so that what stays keeps its text.

use super::metadata::{at, keys};
use super::{Change, EditError, Manifests, Place, Value};
use crate::desired::Step;
use crate::desired::yaml::Node;

/// An item as it is to be, and where it stands now.
#[derive(Clone)]
pub(super) struct Item<T> {
    /// As it is to be.
    pub(super) now: T,
    /// Which item of the text it is, and what that says.
    old: Option<(usize, T)>,
}

impl<T: Clone> Item<T> {
    /// One that the text does not have.
    pub(super) fn new(now: T) -> Self {
        Self { now, old: None }
    }

    /// One of the text.
    pub(super) fn at(index: usize, now: T) -> Self {
        Self { old: Some((index, now.clone())), now }
    }

    /// What the text says.
    pub(super) fn before(&self) -> Option<&T> {
        self.old.as_ref().map(|(_, old)| old)
    }
}

/// What differs, by its path below an item; no value means that it goes.
pub(super) type Differences = Vec<(Vec<Step>, Option<Value>)>;

/// Writes a list: changes what differs, puts what is new behind it, takes away what is left out.
pub(super) fn write<T>(
    all: &mut Manifests,
    place: &Place,
    list: &[&str],
    items: &[Item<T>],
    value: impl Fn(&T) -> Value,
    differences: impl Fn(&T, &T) -> Differences,
) -> Result<(), EditError> {
    let path = keys(list);
    let document = all.at(place).ok_or_else(|| EditError::Gone { path: place.path.clone() })?;
    let count = at(&document.node, &path).map_or(0, |list| list.items().len());
    if count == 0 {
        let values: Vec<Value> = items.iter().map(|item| value(&item.now)).collect();
        let is_list = at(&document.node, &path).is_some_and(Node::is_list);
        if values.is_empty() && is_list {
            return Ok(());
        }
        return all.put(place, &path, Value::List(values));
    }
    let below = |index: usize, rest: &[Step]| -> Vec<Step> {
        path.iter().cloned().chain([Step::Index(index)]).chain(rest.iter().cloned()).collect()
    };
    all.together(place, |all| {
        for item in items {
            let Some((index, old)) = &item.old else { continue };
            for (rest, value) in differences(old, &item.now) {
                let path = below(*index, &rest);
                match value {
                    Some(value) => all.put(place, &path, value)?,
                    None => all.change(place, Change::Remove { path })?,
                }
            }
        }
        for item in items.iter().filter(|item| item.old.is_none()) {
            let value = value(&item.now);
            all.change(place, Change::Append { path: path.clone(), value })?;
        }
        let stays = |index: usize| {
            items.iter().any(|item| item.old.as_ref().is_some_and(|(at, _)| *at == index))
        };
        // From the end, so that the others stay where they are.
        for index in (0..count).rev().filter(|index| !stays(*index)) {
            all.change(place, Change::Remove { path: below(index, &[]) })?;
        }
        Ok(())
    })
}
