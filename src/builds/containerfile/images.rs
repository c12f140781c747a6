//! The images that a Dockerfile reads, so that a build can have them by digest (rule B9).

use std::collections::{BTreeMap, BTreeSet};

use super::expand::expand;
use super::parse::{parse, quoted_words};
use super::{EditError, Stages, image_in, image_of};

/// Variables that an `ARG` without a default has of the platform that buildah builds for, which only it knows.
const PLATFORM: [&str; 8] = [
    "BUILDARCH",
    "BUILDOS",
    "BUILDPLATFORM",
    "BUILDVARIANT",
    "TARGETARCH",
    "TARGETOS",
    "TARGETPLATFORM",
    "TARGETVARIANT",
];

/// An image that a Dockerfile reads.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ImageRead {
    /// How it is written: what [`Edits::images`](super::Edits::images) knows it by.
    pub written: String,
    /// What that is with the values of its variables; none if they are not known.
    pub image: Option<String>,
}

/// The images of `FROM`, `COPY --from=` and `RUN --mount=from=`, each once, in the order in which they come; no stages, and
/// not `scratch`. Variables are those of `ARG`, with these values in place of the defaults.
///
/// # Errors
/// When it is no Dockerfile.
pub fn images_read(
    text: &str,
    args: &BTreeMap<String, String>,
) -> Result<Vec<ImageRead>, EditError> {
    let parsed = parse(text)?;
    let mut scope = Scope { args, heading: BTreeMap::new(), stage: None };
    let mut stages = Stages::default();
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut read = |written: &str, scope: &Scope<'_>, stages: &Stages| {
        let get = |name: &str| scope.get(name);
        let image = expand(written, &get).filter(|image| !image.is_empty());
        let is_none = |name: &str| name == "scratch" || stages.has(name);
        let read = ImageRead { written: written.to_owned(), image };
        if !read.image.as_deref().is_some_and(is_none) && seen.insert(read.clone()) {
            found.push(read);
        }
    };
    for instruction in &parsed.instructions {
        match instruction.keyword.as_str() {
            "from" => {
                scope.stage = None;
                read(&image_of(instruction)?.text, &scope, &stages);
                scope.stage = Some(BTreeMap::new());
                stages.begin(instruction);
            }
            "arg" => {
                for word in quoted_words(instruction.arguments(), parsed.escape) {
                    scope.declare(word);
                }
            }
            "copy" | "run" => {
                let flags = instruction.flags.iter();
                for name in flags.filter_map(|flag| image_in(instruction, flag)) {
                    read(name, &scope, &stages);
                }
            }
            _ => {}
        }
    }
    if scope.stage.is_none() { Err(EditError::NoFrom) } else { Ok(found) }
}

/// Variables by name; none of a value that is not known.
type Values = BTreeMap<String, Option<String>>;

/// The variables that `ARG` has made so far.
struct Scope<'a> {
    args: &'a BTreeMap<String, String>,
    heading: Values,
    /// Those of a stage, which has those before the first `FROM` only where it says so, and a `FROM` has none of them.
    stage: Option<Values>,
}

impl Scope<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let declared = self.stage.as_ref().and_then(|stage| stage.get(name));
        match declared.or_else(|| self.heading.get(name)) {
            Some(value) => value.clone(),
            None => Some(self.args.get(name).cloned().unwrap_or_default()),
        }
    }

    fn declare(&mut self, word: &str) {
        let (name, default) = match word.split_once('=') {
            Some((name, default)) => (name, Some(default)),
            None => (word, None),
        };
        let value = match (self.args.get(name), default) {
            (Some(value), _) => Some(value.clone()),
            (None, Some(default)) => expand(default, &|name| self.get(name)),
            (None, None) if PLATFORM.contains(&name) => None,
            (None, None) => self.get(name),
        };
        self.stage.as_mut().unwrap_or(&mut self.heading).insert(name.to_owned(), value);
    }
}
