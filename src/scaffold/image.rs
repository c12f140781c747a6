//! What is read of an image: whether it builds, what it exposes, what people call it (rules N7, N10, N15).

use crate::api::{ContainerConfig, Image, Map};

/// The config of an image, where it can be read.
fn config(image: &Image) -> Option<&ContainerConfig> {
    image.docker_image_metadata.as_ref()?.config.as_ref()
}

/// Variables of old builder images.
const BUILDER_VARIABLES: [&str; 3] = ["STI_LOCATION", "STI_SCRIPTS_URL", "STI_BUILDER"];

/// Whether it builds images of sources (rule N7).
#[must_use]
pub fn is_builder(image: &Image) -> bool {
    let Some(config) = config(image) else { return false };
    let is_old = |text: &String| {
        text.split_once('=').is_some_and(|(name, _)| BUILDER_VARIABLES.contains(&name))
    };
    config.labels.contains_key("io.openshift.s2i.scripts-url") || config.env.iter().any(is_old)
}

/// Its labels.
#[must_use]
pub fn labels(image: &Image) -> Map {
    config(image).map(|config| config.labels.clone()).unwrap_or_default()
}

/// The first seven characters of the digest of its config (rule N15).
#[must_use]
pub fn short_id(image: &Image) -> String {
    let id = image.docker_image_metadata.as_ref().map_or("", |metadata| metadata.id.as_str());
    let id = id.split_once(':').map_or(id, |(_, hex)| hex);
    id.get(..7).unwrap_or(id).to_owned()
}

/// A port that a container listens on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Whether it is UDP.
    pub is_udp: bool,
}

impl Port {
    /// Reads `8080/tcp`, `8080`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let is_udp = match protocol.to_ascii_lowercase().as_str() {
            "" | "tcp" => false,
            "udp" => true,
            _ => return None,
        };
        Some(Self { number: number.parse().ok()?, is_udp })
    }

    /// `tcp` or `udp`.
    #[must_use]
    pub fn protocol(self) -> &'static str {
        if self.is_udp { "udp" } else { "tcp" }
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol())
    }
}

/// What a container needs of its image.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shape {
    /// Whether anything is known of it.
    pub is_known: bool,
    /// Ports, in order.
    pub ports: Vec<Port>,
    /// Ports that are none.
    pub odd_ports: Vec<String>,
    /// Paths of volumes, in order.
    pub volumes: Vec<String>,
    /// Whether it runs as root.
    pub is_root: bool,
}

impl Shape {
    /// That of an image; nothing where its config is not known.
    #[must_use]
    pub fn of(image: Option<&Image>) -> Self {
        let Some(config) = image.and_then(config) else {
            return Self { is_known: image.is_some(), ..Self::default() };
        };
        let mut shape = Self { is_known: true, ..Self::default() };
        shape.expose(config.exposed_ports.keys().map(String::as_str));
        shape.volumes = config.volumes.keys().cloned().collect();
        shape.is_root = matches!(config.user.as_str(), "" | "root" | "0");
        shape
    }

    /// Takes these ports in place of its own.
    pub fn expose<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        self.ports.clear();
        for text in texts.into_iter().flat_map(|texts| texts.split(' ')) {
            match Port::read(text) {
                Some(port) => self.ports.push(port),
                None => self.odd_ports.push(text.to_owned()),
            }
        }
        self.ports.sort();
        self.ports.dedup();
    }
}
