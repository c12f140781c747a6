//! `describe image`, `istag` and `isimage`: the same body for all of them.

use std::collections::BTreeSet;

use crate::api::{ContainerConfig, DockerImage, Image};
use crate::time::Timestamp;

use super::{Block, ago, size};

/// An image whose metadata cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unable to read image metadata")]
pub struct NoMetadata;

/// Describes an image. `name` is shown as `Image Name:` where it is not empty (rule I138).
///
/// # Errors
/// When what its config says is not there.
pub fn describe(image: &Image, name: &str, now: Timestamp) -> Result<String, NoMetadata> {
    let docker = image.docker_image_metadata.as_ref().ok_or(NoMetadata)?;
    let mut block = Block::default();
    if !name.is_empty() {
        block.field("Image Name", name);
    }
    block.field("Docker Image", &image.docker_image_reference);
    block.field("Name", &image.metadata.name);
    if let Some(created) = image.metadata.creation_timestamp {
        block.field("Created", &ago(now, created));
    }
    if !image.metadata.labels.is_empty() {
        block.map("Labels", &image.metadata.labels);
    }
    if !image.metadata.annotations.is_empty() {
        block.annotations(&image.metadata.annotations);
    }
    layers(&mut block, image, docker);
    signatures(&mut block, image);
    if let Some(created) = docker.created {
        block.field("Image Created", &ago(now, created));
    }
    block.field("Author", &docker.author);
    block.field("Arch", &docker.architecture);
    let manifests = image.docker_image_manifests.iter();
    let manifests: Vec<_> =
        manifests.map(|m| format!("{}/{}\t{}", m.os, m.architecture, m.digest)).collect();
    if !manifests.is_empty() {
        block.field("Manifests", &manifests.join("\n"));
    }
    let none = ContainerConfig::default();
    container(&mut block, docker.config.as_ref().unwrap_or(&none));
    Ok(block.finish())
}

fn layers(block: &mut Block, image: &Image, docker: &DockerImage) {
    let total = size::human(docker.size);
    let layers = &image.docker_image_layers;
    if layers.is_empty() {
        return block.field("Layer Size", &total);
    }
    block.field("Image Size", &format!("{total} in {} layers", layers.len()));
    let lines = layers.iter().map(|layer| format!("{}\t{}", size::human(layer.size), layer.name));
    block.field("Layers", &lines.collect::<Vec<_>>().join("\n"));
}

/// Rule I139, as far as Tidegate knows signatures: those that a file has, which nobody verified.
fn signatures(block: &mut Block, image: &Image) {
    for (at, signature) in image.signatures.iter().enumerate() {
        let label = if at == 0 { "Image Signatures:" } else { "" };
        block.line(&format!("{label}\tName:\t{}", signature.metadata.name));
        block.line(&format!("\tType:\t{}", signature.r#type));
        block.line("\tStatus:\tUnverified");
    }
}

fn container(block: &mut Block, config: &ContainerConfig) {
    let commands = [("Entrypoint", &config.entrypoint), ("Command", &config.cmd)];
    if commands.iter().all(|(_, words)| words.is_empty()) {
        block.field("Command", "");
    }
    for (label, words) in commands.iter().filter(|(_, words)| !words.is_empty()) {
        block.field(label, &words.join(" "));
    }
    block.field("Working Dir", &config.working_dir);
    block.field("User", &config.user);
    let ports: BTreeSet<&str> = config.exposed_ports.keys().map(String::as_str).collect();
    block.field("Exposes Ports", &ports.into_iter().collect::<Vec<_>>().join(", "));
    block.map("Docker Labels", &config.labels);
    list(block, "Environment", config.env.iter().map(String::as_str));
    list(block, "Volumes", config.volumes.keys().map(String::as_str));
}

/// Values below each other; nothing where there are none.
fn list<'a>(block: &mut Block, label: &str, values: impl Iterator<Item = &'a str>) {
    for (at, value) in values.enumerate() {
        match at {
            0 => block.field(label, value),
            _ => block.line(&format!("\t{value}")),
        }
    }
}
