//! Builds that would feed themselves (rule N9).

use std::collections::BTreeSet;

use crate::api::ImageStream;

use super::failure::Failure;
use super::pipeline::{Of, Plan};
use super::{Known, LATEST, Verb, Wanted};

/// A tag: namespace, stream, tag.
type Tag = (String, String, String);

/// Refuses a build whose image is what it is made of; where both were named, it is a warning.
pub(super) fn check(wanted: &Wanted, known: &Known, plan: &Plan) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    for build in plan.pipelines.iter().filter_map(|pipeline| pipeline.build.as_ref()) {
        let (Some(input), Some(output)) = (&build.input, &build.output) else { continue };
        let way = Way::of(wanted, known, input).map_err(Failure::Plain)?;
        let is_circle = match tag_of(wanted, output) {
            Some(tag) => way.tags.contains(&tag),
            None => way.image.is_some() && way.image == image_of(output),
        };
        if !is_circle {
            continue;
        }
        let shown = way.image.or_else(|| input.tag()).unwrap_or_default();
        let text = format!("output image of \"{shown}\" should be different than input");
        match (wanted.verb, wanted.to.is_empty(), wanted.name.is_empty()) {
            (Verb::Build, true, _) => {
                return Err(Failure::Plain(format!("{text}, set a different tag with --to")));
            }
            (Verb::App, _, true) => {
                let text = format!("{text}, override artifact names with --name");
                return Err(Failure::Plain(text));
            }
            (Verb::Build, false, _) | (Verb::App, _, false) => {
                warnings.push(format!("--> WARNING: {text}"));
            }
        }
    }
    Ok(warnings)
}

/// The tags that an image comes by, and where it comes from in the end.
struct Way {
    tags: BTreeSet<Tag>,
    image: Option<String>,
}

impl Way {
    fn of(wanted: &Wanted, known: &Known, from: &Of) -> Result<Self, String> {
        let mut way = Self { tags: BTreeSet::new(), image: image_of(from) };
        let mut next = tag_of(wanted, from);
        while let Some(tag) = next {
            if way.tags.contains(&tag) {
                return Err(format!(
                    "image stream tag reference \"{}:{}\" is a circular loop of image stream tags",
                    tag.1, tag.2
                ));
            }
            let stream = stream_of(known, &tag);
            let spec = stream.and_then(|stream| stream.spec_tag(&tag.2));
            let followed = spec.and_then(|spec| spec.from.as_ref());
            next = followed.filter(|from| from.kind == "ImageStreamTag").map(|from| {
                let namespace = if from.namespace.is_empty() { &tag.0 } else { &from.namespace };
                let (stream, name) = from.name.split_once(':').unwrap_or((&tag.1, &from.name));
                (namespace.clone(), stream.to_owned(), name.to_owned())
            });
            if let Some(from) = followed.filter(|from| from.kind == "DockerImage") {
                way.image = Some(with_tag(&from.name));
            }
            way.tags.insert(tag);
        }
        Ok(way)
    }
}

fn stream_of<'k>(known: &'k Known, tag: &Tag) -> Option<&'k ImageStream> {
    known
        .streams
        .iter()
        .find(|stream| stream.metadata.namespace == tag.0 && stream.metadata.name == tag.1)
}

fn tag_of(wanted: &Wanted, of: &Of) -> Option<Tag> {
    let own = wanted.namespace.to_string();
    match of {
        Of::Tag { namespace, stream, tag } => {
            Some((namespace.clone(), stream.clone(), tag.clone()))
        }
        Of::Tracked { stream, tag, .. } | Of::Output { stream, tag } => {
            Some((own, stream.clone(), tag.clone()))
        }
        Of::Image(_) => None,
    }
}

fn image_of(of: &Of) -> Option<String> {
    match of {
        Of::Image(reference) | Of::Tracked { reference, .. } => Some(with_tag(&reference.exact())),
        Of::Tag { .. } | Of::Output { .. } => None,
    }
}

/// The colon of a port is none of a tag.
fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or_default();
    if last.contains(':') { name.to_owned() } else { format!("{name}:{LATEST}") }
}
