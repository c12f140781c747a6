//! What commands have to know of workloads and services in the text of manifests.

use crate::desired::Step;
use crate::desired::yaml::Node;

use super::metadata::{at, keys};
use super::{Change, Document, EditError, Manifests, Place};

/// A container of a pod template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Where it stands in its document.
    pub path: Vec<Step>,
    /// Whether it runs before the others.
    pub is_init: bool,
    /// Its ports.
    pub ports: Vec<Port>,
}

/// A port of a container or of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Port {
    /// Its name; empty for none.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// The port of the container that a service means, a number or a name.
    pub target: Option<String>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
}

impl Port {
    fn read(node: &Node) -> Option<Self> {
        let text =
            |key: &str| node.get(key).and_then(Node::as_text).filter(|text| !text.is_empty());
        Some(Self {
            name: text("name").unwrap_or_default().to_owned(),
            number: text("containerPort").or_else(|| text("port"))?.parse().ok()?,
            target: text("targetPort").map(str::to_owned),
            protocol: text("protocol").unwrap_or("TCP").to_owned(),
        })
    }
}

impl Document {
    /// The containers of its pod template, init containers first.
    #[must_use]
    pub fn containers(&self, template: &[&str]) -> Vec<Container> {
        let lists = ["initContainers", "containers"];
        let each = lists.into_iter().flat_map(|list| {
            let path: Vec<&str> = template.iter().copied().chain(["spec", list]).collect();
            let items = self.node.at(&path).map(Node::items).unwrap_or_default();
            items.iter().enumerate().map(move |(index, item)| {
                let ports = item.get("ports").map(Node::items).unwrap_or_default();
                Container {
                    name: item.get("name").and_then(Node::as_text).unwrap_or_default().to_owned(),
                    path: keys(&path).into_iter().chain([Step::Index(index)]).collect(),
                    is_init: list == "initContainers",
                    ports: ports.iter().filter_map(Port::read).collect(),
                }
            })
        });
        each.collect()
    }

    /// `spec.ports` of a service.
    #[must_use]
    pub fn service_ports(&self) -> Vec<Port> {
        let ports = self.node.at(&["spec", "ports"]).map(Node::items).unwrap_or_default();
        ports.iter().filter_map(Port::read).collect()
    }
}

impl Manifests {
    /// Takes a value away, and mappings above it that held nothing else, but nothing above `spec`.
    ///
    /// # Errors
    /// When its text cannot be changed so, or the daemon would reject it then.
    pub fn take(&mut self, place: &Place, path: &[Step]) -> Result<bool, EditError> {
        let document =
            self.at(place).ok_or_else(|| EditError::Gone { path: place.path.clone() })?;
        if at(&document.node, path).is_none() {
            return Ok(false);
        }
        let mut gone = path;
        while let Some((_, above)) = gone.split_last() {
            let is_alone = at(&document.node, above).is_some_and(|node| node.entries().len() == 1);
            if above.len() < 2 || !is_alone {
                break;
            }
            gone = above;
        }
        let path = gone.to_vec();
        self.change(place, Change::Remove { path }).map(|()| true)
    }
}
