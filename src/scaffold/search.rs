//! `new-app -S` and `-L` (rule N20).

use std::fmt::Write as _;

use super::find::{Finder, Found, Looks, Match, Searcher, registry_shown, tags_shown};
use super::{Known, Named, Stop, Wanted, fail, plain};

/// What is searched for: words and where, or everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extent {
    /// What was named.
    Named,
    /// All that there is.
    All,
}

/// Looks for what the components name, or for all streams.
///
/// # Errors
/// A question that has to be answered first, or that nothing is found.
pub fn search(
    wanted: &Wanted,
    known: &Known,
    extent: Extent,
    program: &str,
) -> Result<Answer, Stop> {
    let finder = Finder { wanted, known, looks: Looks::Everywhere };
    let mut matches = Vec::new();
    let mut errors = Vec::new();
    match extent {
        Extent::All => matches.extend(finder.search(Searcher::Streams, "*", &mut errors)?),
        Extent::Named => {
            for component in &wanted.components {
                let searchers: &[Searcher] = match component.named {
                    Named::Argument => &[Searcher::Streams, Searcher::Registries],
                    Named::ImageStream => &[Searcher::Streams],
                    Named::Image => &[Searcher::Registries],
                    Named::Template => &[],
                };
                for searcher in searchers {
                    matches.extend(finder.search(*searcher, &component.word, &mut errors)?);
                }
            }
        }
    }
    matches.sort_by_key(|found: &Match| found.score);
    let text = printed(&matches, known, program);
    if !text.is_empty() {
        return Ok(Answer { text: plain(&text), errors });
    }
    errors.push("no matches found".into());
    fail(errors.join("\nerror: "))
}

/// What a search comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What was found.
    pub text: String,
    /// What could not be looked through.
    pub errors: Vec<String>,
}

/// The sections of what was found, each with a blank line behind it.
fn printed(matches: &[Match], known: &Known, program: &str) -> String {
    let (mut streams, mut images) = (String::new(), String::new());
    let mut seen = std::collections::BTreeSet::new();
    for found in matches {
        match &found.found {
            Found::Image { reference, image } => {
                let tag = reference.tag_or_digest();
                let name = found.name.rsplit_once(':').filter(|(_, end)| !end.contains('/'));
                let name = name.map_or(found.name.as_str(), |(name, _)| name);
                // Writing into a text cannot fail.
                let _ = writeln!(
                    images,
                    "{name}\n  Registry: {}\n  Tags:     {tag}",
                    registry_shown(reference)
                );
                let metadata = image.docker_image_metadata.as_ref();
                let comment = metadata.map(|metadata| metadata.comment.as_str());
                if let Some(comment) = comment.filter(|text| !text.is_empty()) {
                    let _ = writeln!(images, "  {comment}");
                }
            }
            Found::Tag { .. } | Found::NoTags => {
                let whole = found.name.split(':').next().unwrap_or_default();
                if seen.insert(whole.to_owned()) {
                    streams.push_str(&stream(whole, known));
                }
            }
            Found::Missing | Found::Nothing => {}
        }
    }
    let mut text = String::new();
    if !streams.is_empty() {
        let _ = write!(
            text,
            "Image streams ({program} new-app --image-stream=<image-stream> [--code=<source>])\n-----\n{streams}\n"
        );
    }
    if !images.is_empty() {
        let _ = write!(
            text,
            "container images ({program} new-app --image=<image> [--code=<source>])\n-----\n{images}\n"
        );
    }
    text
}

fn stream(whole: &str, known: &Known) -> String {
    let Some((namespace, name)) = whole.split_once('/') else { return String::new() };
    let found = known
        .streams
        .iter()
        .find(|stream| stream.metadata.namespace == namespace && stream.metadata.name == name);
    let Some(stream) = found else { return String::new() };
    let tags = tags_shown(stream);
    let tags = if tags.is_empty() { "<none>".to_owned() } else { tags.join(", ") };
    let mut text = format!("{name}\n  Project: {namespace}\n");
    let tracks = &stream.spec.docker_image_repository;
    if !tracks.is_empty() {
        let _ = writeln!(text, "  Tracks:  {tracks}");
    }
    let _ = writeln!(text, "  Tags:    {tags}");
    if let Some(description) = stream.metadata.annotations.get("description") {
        let _ = writeln!(text, "  {description}");
    }
    text
}
