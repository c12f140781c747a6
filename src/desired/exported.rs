//! Objects that somebody exported from a cluster, with their status, to be shown (`get -f`, `describe -f`).
//!
//! Nothing here is desired: a manifest's status is ignored (rule I2), and what is exported is not acted on.

use std::cell::RefCell;

use crate::api::{Image, ImageStream, ImageStreamImage, ImageStreamTag, ImageTag};

use super::typed::{self, Misfit};
use super::yaml::{self, Node};

/// An object that was exported.
#[derive(Clone, PartialEq, Debug)]
pub enum Exported {
    /// An `ImageStream`.
    Stream(Box<ImageStream>),
    /// An `ImageStreamTag`.
    StreamTag(Box<ImageStreamTag>),
    /// An `ImageStreamImage`.
    StreamImage(Box<ImageStreamImage>),
    /// An `ImageTag`.
    ImageTag(Box<ImageTag>),
    /// An `Image`.
    Image(Box<Image>),
}

/// Why a file cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ExportedError {
    /// The line at which the document begins, or at which its YAML ends.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

/// Reads the image objects of a file: YAML or JSON, one or several documents, lists opened. Other kinds are left out.
///
/// # Errors
/// When a document is no YAML, or an object of these kinds has another shape.
pub fn read_exported(text: &str) -> Result<Vec<Exported>, ExportedError> {
    let mut found = Vec::new();
    for part in yaml::split(text) {
        let document = yaml::read(part.text).map_err(|error| ExportedError {
            line: part.lines_before + error.line,
            message: error.message,
        })?;
        open(&document.root, &mut found).map_err(|misfit| ExportedError {
            line: part.lines_before + 1,
            message: misfit.message,
        })?;
    }
    Ok(found)
}

fn open(node: &Node, found: &mut Vec<Exported>) -> Result<(), Misfit> {
    let text = |key: &str| node.get(key).and_then(Node::as_text).unwrap_or_default();
    let (version, kind) = (text("apiVersion"), text("kind"));
    if kind.ends_with("List") {
        return node.get("items").map(Node::items).unwrap_or_default().iter().try_for_each(
            // The items of a typed list need not say what they are.
            |item| match item.get("kind") {
                Some(_) => open(item, found),
                None => open_as(item, kind.trim_end_matches("List"), found),
            },
        );
    }
    match version {
        "image.openshift.io/v1" | "v1" => open_as(node, kind, found),
        _ => Ok(()),
    }
}

fn open_as(node: &Node, kind: &str, found: &mut Vec<Exported>) -> Result<(), Misfit> {
    let findings = RefCell::default();
    found.push(match kind {
        "ImageStream" => {
            let mut stream: ImageStream = typed::read(node, &findings)?;
            // Both lists are maps inside a cluster, and come out in the order of their names (rule I1).
            stream.spec.tags.sort_by(|a, b| a.name.cmp(&b.name));
            stream.status.tags.sort_by(|a, b| a.tag.cmp(&b.tag));
            Exported::Stream(Box::new(stream))
        }
        "ImageStreamTag" => Exported::StreamTag(Box::new(typed::read(node, &findings)?)),
        "ImageStreamImage" => Exported::StreamImage(Box::new(typed::read(node, &findings)?)),
        "ImageTag" => Exported::ImageTag(Box::new(typed::read(node, &findings)?)),
        "Image" => Exported::Image(Box::new(typed::read(node, &findings)?)),
        _ => return Ok(()),
    });
    Ok(())
}
