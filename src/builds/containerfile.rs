//! The Dockerfile of a build: what it reads, and what is changed in it (rules B36, B39 to B41).
//!
//! The text stays as it is, byte for byte, but for what is replaced and what is put in. A file that cannot be changed
//! fails its build with `ManageDockerfileFailed`.

mod expand;
mod images;
mod parse;
#[cfg(test)]
pub(super) mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use parse::{Instruction, Parsed, Word, parse, written_flag};

use super::path::{clean, is_inside, join};
use super::quote::{Unwritable, check_env_names, check_label_names, checked_image, pairs, quoted};

pub use images::{ImageRead, images_read};

/// The name of a Dockerfile where nobody says another.
const FILE: &str = "Dockerfile";

/// Bytes of a line, without its end.
const LINE_BYTES_MAX: usize = 65_535;

/// What is changed in a Dockerfile.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edits {
    /// The image in place of that of the last `FROM`: `from` of the strategy.
    pub from: Option<String>,
    /// Variables behind every `FROM`: `env` of the strategy.
    pub env: Vec<(String, String)>,
    /// Images by the names that stand for them: `as` of image sources, and what a caller pins.
    pub images: BTreeMap<String, String>,
    /// Variables at the end: those of [`Provenance::env`](super::Provenance::env).
    pub end_env: BTreeMap<String, String>,
    /// Labels at the end: those of [`Provenance::labels`](super::Provenance::labels).
    pub end_labels: BTreeMap<String, String>,
}

/// Why a Dockerfile cannot be changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EditError {
    /// It makes no image.
    #[error("the Dockerfile has no `FROM`")]
    NoFrom,
    /// `FROM` and nothing behind it.
    #[error("the `FROM` in line {0} names no image")]
    NoImage(usize),
    /// A line with which buildah ended the file in silence, up to August 2023.
    #[error(
        "line {0} of the Dockerfile has more than 65,535 bytes; break it, as buildah may drop what is behind it"
    )]
    LongLine(usize),
    /// `# escape=` with something else, or twice.
    #[error("the Dockerfile says by `# escape=` something other than once `\\` or \"`\"")]
    Escape,
    /// Something that is put in cannot stand there.
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
}

/// Where the Dockerfile of a build is below its sources, and where an inline one is written (rule B36); none if that is
/// somewhere else. An absolute `contextDir` is one below the sources, as in OpenShift.
#[must_use]
pub fn dockerfile_path(context_dir: Option<&str>, dockerfile_path: Option<&str>) -> Option<String> {
    let name = dockerfile_path.filter(|path| !path.is_empty()).unwrap_or(FILE);
    let context = clean(context_dir.unwrap_or_default().trim_start_matches('/'));
    let path = join(&context, name);
    (is_inside(&context) && is_inside(&path) && path != ".").then_some(path)
}

/// A Dockerfile with what is to be changed (rules B39 to B41).
///
/// # Errors
/// When it makes no image, or something that is put in cannot stand there.
pub fn edit(text: &str, edits: &Edits) -> Result<String, EditError> {
    check(edits)?;
    if let Some(at) = text.split('\n').position(|line| line.len() > LINE_BYTES_MAX) {
        return Err(EditError::LongLine(at + 1));
    }
    let parsed = parse(text)?;
    let last = parsed.instructions.iter().rposition(|one| one.keyword == "from");
    let last = last.ok_or(EditError::NoFrom)?;
    let mut changes = Vec::new();
    let mut stages = Stages::default();
    let env = edits.env.iter().map(|(name, value)| (name.clone(), value.as_str()));
    let env = pairs("ENV", parsed.escape, env);
    for (at, instruction) in parsed.instructions.iter().enumerate() {
        match instruction.keyword.as_str() {
            "from" => {
                let image = image_of(instruction)?;
                let other = edits.images.get(&image.text).filter(|_| !stages.has(&image.text));
                let other = edits.from.as_ref().filter(|_| at == last).or(other);
                changes.extend(other.map(|to| Change::Replace(image.span, to.clone())));
                changes.push(Change::Insert(instruction.end, env.clone()));
                stages.begin(instruction);
            }
            "copy" | "run" => changes.extend(flags(instruction, &edits.images, &stages)),
            _ => {}
        }
    }
    let end_env = edits.end_env.iter().map(|(name, value)| (name.clone(), value.as_str()));
    let end_env = pairs("ENV", parsed.escape, end_env);
    let label = |name: &String| quoted(name, parsed.escape);
    let labels = edits.end_labels.iter().map(|(name, value)| (label(name), value.as_str()));
    let labels = pairs("LABEL", parsed.escape, labels);
    changes.push(Change::Insert(parsed.end, end_env + &labels));
    Ok(changed(text, &parsed, changes))
}

/// What stands for an image in a flag of `COPY` or `RUN`, and that flag with another image.
fn flags(
    instruction: &Instruction,
    images: &BTreeMap<String, String>,
    stages: &Stages,
) -> Vec<Change> {
    let change = |flag: &Word| {
        let name = image_in(instruction, flag).filter(|name| !stages.has(name))?;
        let to = images.get(name)?;
        let (old, new) = (format!("from={name}"), format!("from={to}"));
        let part = |part: &str| if part == old { new.clone() } else { part.to_owned() };
        let written = match flag.text.strip_prefix("--mount=") {
            Some(mount) => {
                let parts: Vec<String> = mount.split(',').map(part).collect();
                format!("--mount={}", parts.join(","))
            }
            None => format!("--{new}"),
        };
        Some(Change::Replace(flag.span.clone(), written_flag(&written)))
    };
    instruction.flags.iter().filter_map(change).collect()
}

/// The image or stage that a flag names: `--from=NAME` of `COPY`, `from=NAME` in a `--mount=` of `RUN`.
fn image_in<'a>(instruction: &Instruction, flag: &'a Word) -> Option<&'a str> {
    let name = match instruction.keyword.as_str() {
        "copy" => flag.text.strip_prefix("--from="),
        "run" => {
            let mount = flag.text.strip_prefix("--mount=")?;
            mount.split(',').find_map(|part| part.strip_prefix("from="))
        }
        _ => None,
    };
    name.filter(|name| !name.is_empty())
}

/// The image of a `FROM`.
fn image_of(from: &Instruction) -> Result<Word, EditError> {
    from.words().into_iter().next().ok_or(EditError::NoImage(from.number))
}

/// The stages so far, by name and by number.
#[derive(Default)]
struct Stages {
    count: usize,
    names: BTreeSet<String>,
}

impl Stages {
    fn begin(&mut self, from: &Instruction) {
        let words = from.words();
        if let [_, word, name, ..] = &words[..]
            && word.text.eq_ignore_ascii_case("as")
        {
            self.names.insert(name.text.to_lowercase());
        }
        self.count += 1;
    }

    fn has(&self, name: &str) -> bool {
        let is_number = !name.is_empty() && name.bytes().all(|c| c.is_ascii_digit());
        is_number && name.parse().is_ok_and(|number: usize| number < self.count)
            || self.names.contains(&name.to_lowercase())
    }
}

fn check(edits: &Edits) -> Result<(), Unwritable> {
    for image in edits.from.iter().chain(edits.images.values()) {
        checked_image(image)?;
    }
    check_env_names(edits.env.iter().map(|(name, _)| name).chain(edits.end_env.keys()))?;
    check_label_names(edits.end_labels.keys())
}

/// A part of the text that becomes something else, or a place that lines are put at.
enum Change {
    Replace(Range<usize>, String),
    Insert(usize, String),
}

/// The text with changes in their order.
fn changed(text: &str, parsed: &Parsed, changes: Vec<Change>) -> String {
    let adds = |change: &Change| matches!(change, Change::Insert(_, lines) if !lines.is_empty());
    if !changes.iter().any(adds) {
        return replaced(text, changes);
    }
    // A last line that goes on would go on with what is added. Where it still ends with what continues a line, a form feed
    // keeps it from that: buildah drops it as it does blanks, but goes on behind blanks only.
    let mut kept = text.get(..parsed.end).unwrap_or(text).to_owned();
    if parsed.end < text.len() && kept.ends_with(parsed.escape) {
        kept.push('\u{c}');
    }
    let end = kept.len();
    let moved = |change| match change {
        Change::Insert(at, lines) if at >= parsed.end => Change::Insert(end, lines),
        Change::Insert(..) | Change::Replace(..) => change,
    };
    replaced(&kept, changes.into_iter().map(moved).collect())
}

fn replaced(text: &str, changes: Vec<Change>) -> String {
    let mut result = String::new();
    let mut at = 0;
    for change in changes {
        let (part, new) = match change {
            Change::Replace(part, new) => (part, new),
            Change::Insert(place, lines) if !lines.is_empty() => {
                let before = text.get(at..place).filter(|before| !before.is_empty());
                let is_begun = !before.unwrap_or(&result).ends_with('\n');
                (place..place, if is_begun { format!("\n{lines}") } else { lines })
            }
            Change::Insert(..) => continue,
        };
        result.push_str(text.get(at..part.start).unwrap_or_default());
        result.push_str(&new);
        at = part.end;
    }
    result.push_str(text.get(at..).unwrap_or_default());
    result
}

#[cfg(test)]
mod tests;
