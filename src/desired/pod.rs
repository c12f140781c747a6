//! The pod template of a workload: its containers, its hash, and triggers laid over it.

use crate::fact::{ContainerList, ContainerRef};
use crate::names::ContentHash;
use crate::sabotage::{self, Bug};

use super::marks::Step;
use super::object::Draft;
use super::yaml::{Node, Scalar, ScalarKind};
use super::{Container, ImageTrigger, json};

/// A pod template in an object.
pub(crate) struct Pod<'n> {
    /// The template.
    pub(crate) node: &'n Node,
    /// Its path in the object: `spec.template`.
    pub(crate) path: Vec<Step>,
    /// Its containers, init containers first.
    pub(crate) containers: Vec<Container>,
}

impl<'n> Pod<'n> {
    /// Reads the containers of the template at `path`; what is missing rejects the object.
    pub(crate) fn read(draft: &'n Draft<'_>, path: &[&str]) -> Option<Self> {
        let steps: Vec<Step> = path.iter().map(|key| Step::Key((*key).into())).collect();
        let Some(node) = draft.node.at(path).filter(|node| !node.is_null()) else {
            draft.required("pod-template", &steps, "");
            return None;
        };
        let mut pod = Self { node, path: steps, containers: Vec::new() };
        let lists =
            [("initContainers", ContainerList::Init), ("containers", ContainerList::Regular)];
        for (key, list) in lists {
            let at = pod.below(&["spec", key]);
            let items = match node.at(&["spec", key]) {
                None => &[][..],
                Some(node) if node.is_null() => &[][..],
                Some(Node::Sequence(items)) => items,
                Some(other) => {
                    let text = format!(
                        "{}: expected a list, found {}",
                        super::marks::show(&at),
                        other.describe()
                    );
                    draft.error("pod-template", &at, text);
                    return None;
                }
            };
            if items.is_empty() && list == ContainerList::Regular {
                draft.required("pod-template", &at, "");
            }
            for (index, item) in items.iter().enumerate() {
                pod.container(draft, list, &at, index, item);
            }
        }
        Some(pod)
    }

    fn container(
        &mut self,
        draft: &Draft<'_>,
        list: ContainerList,
        at: &[Step],
        index: usize,
        item: &Node,
    ) {
        let mut path = at.to_vec();
        path.push(Step::Index(index));
        let text = |key: &str| item.get(key).and_then(Node::as_text).unwrap_or_default().to_owned();
        let name = text("name");
        path.push(Step::Key("name".into()));
        if name.is_empty() {
            draft.required("pod-template", &path, "");
        } else if self.containers.iter().any(|other| other.container.name == name) {
            let shown = super::marks::show(&path);
            draft.error("pod-template", &path, format!("{shown}: Duplicate value: {name:?}"));
        }
        self.containers
            .push(Container { container: ContainerRef { list, name }, image: text("image") });
    }

    /// A path below the template.
    pub(crate) fn below(&self, keys: &[&str]) -> Vec<Step> {
        let keys = keys.iter().map(|key| Step::Key((*key).into()));
        self.path.iter().cloned().chain(keys).collect()
    }

    /// The names of the regular containers, for messages.
    pub(crate) fn names(&self) -> String {
        let names: Vec<&str> = self
            .containers
            .iter()
            .filter(|c| c.container.list == ContainerList::Regular)
            .map(|c| c.container.name.as_str())
            .collect();
        names.join(", ")
    }

    /// D8: a container without an image needs a trigger, automatic or not, that names it.
    pub(crate) fn check_images(&self, draft: &Draft<'_>, triggers: &[ImageTrigger]) {
        for key in ["initContainers", "containers"] {
            let items = self.node.at(&["spec", key]).map(Node::items).unwrap_or_default();
            for (index, item) in items.iter().enumerate() {
                let text = |key: &str| item.get(key).and_then(Node::as_text).unwrap_or_default();
                let named =
                    triggers.iter().any(|t| t.containers.iter().any(|c| c.name == text("name")));
                if text("image").trim().is_empty() && !named {
                    let mut path = self.below(&["spec", key]);
                    path.push(Step::Index(index));
                    path.push(Step::Key("image".into()));
                    draft.required("D8", &path, "no image trigger names this container");
                }
            }
        }
    }

    /// Hash of the template, images of containers that an automatic trigger names left out (D21b); nulls count as absent.
    pub(crate) fn hash(&self, triggers: &[ImageTrigger]) -> ContentHash {
        let automatic = triggers.iter().filter(|trigger| trigger.automatic);
        let named: Vec<&ContainerRef> = automatic.flat_map(|trigger| &trigger.containers).collect();
        // What a `Pod` says of itself is no part of the template that it is.
        let is_pod = self.path.is_empty() && !sabotage::is(Bug::CountAnnotations);
        let own = is_pod.then(|| template_of_pod(self.node));
        let blanked = blank(own.as_ref().unwrap_or(self.node), &named);
        ContentHash::of(json::write(&blanked).as_bytes())
    }
}

/// The part of a `Pod` that is its template: its name and what annotations say about the object are not.
fn template_of_pod(pod: &Node) -> Node {
    let only = |node: &Node, keep: &dyn Fn(&str) -> bool| {
        let entries = node.entries().iter().filter(|(key, _)| keep(key));
        Node::Mapping(entries.cloned().collect())
    };
    let part = |key: &str, keep: &dyn Fn(&str) -> bool| {
        let node = pod.at(&["metadata", key])?;
        Some((key.into(), only(node, keep)))
    };
    let parts =
        [part("labels", &|_| true), part("annotations", &|key| !crate::pods::is_of_object(key))];
    let metadata = Node::Mapping(parts.into_iter().flatten().collect());
    let spec = pod.get("spec").cloned().unwrap_or_else(super::object::null);
    Node::Mapping(vec![("metadata".into(), metadata), ("spec".into(), spec)])
}

fn blank(template: &Node, named: &[&ContainerRef]) -> Node {
    let container = |list: ContainerList, item: &Node| {
        let name = item.get("name").and_then(Node::as_text).unwrap_or_default();
        let is_named = named.iter().any(|c| c.list == list && c.name == name);
        let entries = item.entries().iter().filter(|(key, _)| !is_named || &**key != "image");
        without_nulls(&Node::Mapping(entries.cloned().collect()))
    };
    let spec = |spec: &Node| {
        let entries = spec.entries().iter().filter(|(_, value)| !value.is_null());
        let entries = entries.map(|(key, value)| {
            let list = match &**key {
                "containers" => Some(ContainerList::Regular),
                "initContainers" => Some(ContainerList::Init),
                _ => None,
            };
            let value = match list {
                Some(list) => {
                    Node::Sequence(value.items().iter().map(|item| container(list, item)).collect())
                }
                None => without_nulls(value),
            };
            (key.clone(), value)
        });
        Node::Mapping(entries.collect())
    };
    let entries = template.entries().iter().filter(|(_, value)| !value.is_null());
    let entries = entries.map(|(key, value)| {
        let value = if &**key == "spec" { spec(value) } else { without_nulls(value) };
        (key.clone(), value)
    });
    Node::Mapping(entries.collect())
}

fn without_nulls(node: &Node) -> Node {
    match node {
        Node::Mapping(entries) => Node::Mapping(
            entries
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect(),
        ),
        Node::Sequence(items) => Node::Sequence(items.iter().map(without_nulls).collect()),
        Node::Scalar(Scalar { kind: ScalarKind::Null, .. }) => super::object::null(),
        Node::Scalar(_) | Node::Tagged(_) => node.clone(),
    }
}

/// D30: the last trigger that names a container wins; the others lose it, with a warning.
pub(crate) fn last_wins(draft: &Draft<'_>, triggers: &mut [ImageTrigger], path: &[Step]) {
    let mut seen: Vec<ContainerRef> = Vec::new();
    let mut twice: Vec<ContainerRef> = Vec::new();
    for trigger in triggers.iter_mut().rev() {
        trigger.containers.retain(|container| {
            let taken = seen.contains(container);
            if taken && !twice.contains(container) {
                twice.push(container.clone());
            }
            !taken
        });
        seen.extend(trigger.containers.iter().cloned());
    }
    for container in twice {
        let name = &container.name;
        draft.warn("D30", path, format!("only one trigger may reference each container: {name}"));
    }
}
