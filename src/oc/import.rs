//! `import-image`: what is imported by the words of the command, and what is printed of it (rules I141 to I147).

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{ImageStream, TagReference};
use crate::reference::ImageReference;

use super::order;

const LATEST: &str = "latest";

/// What the command names: `python`, `python:3.6`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// The stream; registry and namespace of the argument do not count for its name.
    pub stream: String,
    /// The tag.
    pub tag: String,
}

/// What the command says beside that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Words<'a> {
    /// The argument as it was written.
    pub argument: &'a str,
    /// `--from`.
    pub from: Option<&'a str>,
    /// `--all`.
    pub all: bool,
    /// `--confirm`.
    pub confirm: bool,
}

/// What is imported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Import {
    /// Tags, in the order of importance.
    Tags(Vec<TagImport>),
    /// The whole repository of the stream.
    Repository {
        /// `spec.dockerImageRepository`, as it is to be.
        from: String,
    },
}

/// A tag that is imported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagImport {
    /// The tag.
    pub tag: String,
    /// Where it comes from.
    pub from: String,
    /// Whether the stream has no such spec tag yet.
    pub is_new: bool,
}

impl TagImport {
    /// The tag of the source: what messages and image blocks name (rule I138).
    #[must_use]
    pub fn source_tag(&self) -> String {
        let reference = self.from.parse::<ImageReference>().ok();
        let tag = reference.and_then(|reference| reference.tag);
        tag.map_or_else(|| LATEST.to_owned(), |tag| tag.to_string())
    }
}

/// Why nothing is imported (rule I143).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The argument is no reference.
    #[error(
        "the image name must be a valid container image pull spec or reference to an image stream (e.g. myregistry/myteam/image:tag)"
    )]
    Argument,
    /// The argument names a digest.
    #[error("to import images by ID, use the 'tag' command")]
    ById,
    /// A tag and all of them.
    #[error("cannot specify a tag \"{0}\" as well as --all")]
    TagAndAll(String),
    /// There is no such stream.
    #[error("no image stream named \"{0}\" exists, pass --confirm to create and import")]
    NoStream(String),
    /// The tag follows what is no tag.
    #[error("tag \"{0}\" points to an invalid imagestreamtag")]
    InvalidReference(String),
    /// The tag follows one of another stream.
    #[error("tag \"{0}\" points to an imagestreamtag from another ImageStream")]
    OtherStream(String),
    /// The tag follows itself.
    #[error("tag \"{0}\" on the image stream is a reference to same tag")]
    Circular(String),
    /// There is no such tag.
    #[error(
        "the tag \"{0}\" does not exist on the image stream - choose an existing tag to import or use the 'tag' command to create a new tag"
    )]
    NoTag(String),
    /// The tag is none of a registry.
    #[error("tag \"{tag}\" points to existing {kind} \"{name}\", it cannot be re-imported")]
    NoImage {
        /// The tag.
        tag: String,
        /// What it points to.
        kind: String,
        /// Which.
        name: String,
    },
    /// The tag has no source.
    #[error(
        "tag \"{tag}\" already exists - you must use the 'tag' command if you want to change the source to \"{from}\""
    )]
    NoSource {
        /// The tag.
        tag: String,
        /// The wanted source.
        from: String,
    },
    /// The tag has another source.
    #[error(
        "the tag \"{tag}\" points to \"{current}\" - use the 'tag' command if you want to change the source to \"{from}\""
    )]
    OtherSource {
        /// The tag.
        tag: String,
        /// Its source.
        current: String,
        /// The wanted one.
        from: String,
    },
    /// The tag follows one that has another source.
    #[error(
        "the tag \"{tag}\" points to the tag \"{end}\" which points to \"{current}\" - use the 'tag' command if you want to change the source to \"{from}\""
    )]
    OtherSourceFollowed {
        /// The tag.
        tag: String,
        /// The one that it follows.
        end: String,
        /// That one's source.
        current: String,
        /// The wanted one.
        from: String,
    },
    /// There is nothing to import.
    #[error("image stream does not have tags pointing to external container images")]
    NoTags,
    /// A repository is given, and the stream has none.
    #[error(
        "the image stream does not currently import an entire Docker repository, pass --confirm to update"
    )]
    NoRepository,
    /// A repository is given, and the stream has another.
    #[error("the image stream has a different import spec \"{0}\", pass --confirm to update")]
    OtherRepository(String),
}

/// Reads the argument (rule I141).
///
/// # Errors
/// When it is no reference, or one by digest, or names a tag where all are meant.
pub fn target(words: Words<'_>) -> Result<Target, ImportError> {
    let reference: ImageReference = words.argument.parse().map_err(|_| ImportError::Argument)?;
    if reference.digest.is_some() {
        return Err(ImportError::ById);
    }
    if reference.name.is_empty() {
        return Err(ImportError::Argument);
    }
    if words.all && reference.tag.is_some() {
        return Err(ImportError::TagAndAll(words.argument.to_owned()));
    }
    // What stands before the last part is where the image is, not how the stream is called.
    let stream = reference.name.rsplit('/').next().unwrap_or_default().to_owned();
    let tag = reference.tag.map_or_else(|| LATEST.to_owned(), |tag| tag.to_string());
    Ok(Target { stream, tag })
}

/// Decides what is imported (rule I142).
///
/// # Errors
/// When that needs `--confirm`, or another command.
pub fn decide(
    words: Words<'_>,
    target: &Target,
    stream: Option<&ImageStream>,
) -> Result<Import, ImportError> {
    let from = || words.from.unwrap_or(words.argument).to_owned();
    let Some(stream) = stream else {
        if !words.confirm {
            return Err(ImportError::NoStream(target.stream.clone()));
        }
        return Ok(match words.all {
            true => Import::Repository { from: from() },
            false => Import::Tags(vec![TagImport {
                tag: target.tag.clone(),
                from: from(),
                is_new: true,
            }]),
        });
    };
    if words.all { all(words, stream) } else { one(words.from, &target.tag, stream) }
}

fn all(words: Words<'_>, stream: &ImageStream) -> Result<Import, ImportError> {
    let current = stream.spec.docker_image_repository.as_str();
    let from = match words.from {
        Some(from) => from,
        None if !current.is_empty() => current,
        None => return tags(stream),
    };
    match current {
        current if current == from || words.confirm => {
            Ok(Import::Repository { from: from.to_owned() })
        }
        "" => Err(ImportError::NoRepository),
        current => Err(ImportError::OtherRepository(current.to_owned())),
    }
}

fn tags(stream: &ImageStream) -> Result<Import, ImportError> {
    let sources = stream.spec.tags.iter().filter_map(|tag| {
        let from = tag.from.as_ref().filter(|from| from.kind == "DockerImage")?;
        Some((tag.name.as_str(), from.name.as_str()))
    });
    let sources: BTreeMap<&str, &str> = sources.collect();
    if sources.is_empty() {
        return Err(ImportError::NoTags);
    }
    let mut names: Vec<&str> = sources.keys().copied().collect();
    order::by_importance(&mut names); // rule I147
    let import = |tag: &str| {
        let from = sources.get(tag).copied().unwrap_or_default().to_owned();
        TagImport { tag: tag.to_owned(), from, is_new: false }
    };
    Ok(Import::Tags(names.into_iter().map(import).collect()))
}

fn one(from: Option<&str>, tag: &str, stream: &ImageStream) -> Result<Import, ImportError> {
    let owned = || tag.to_owned();
    let (end, spec) = match follow(stream, tag) {
        Ok(found) => found,
        Err(Follow::Invalid) => return Err(ImportError::InvalidReference(owned())),
        Err(Follow::OtherStream) => return Err(ImportError::OtherStream(owned())),
        Err(Follow::Circular) => return Err(ImportError::Circular(owned())),
        Err(Follow::Missing) => {
            let whole = Some(stream.spec.docker_image_repository.as_str());
            let from = from.or_else(|| whole.filter(|all| tag == LATEST && !all.is_empty()));
            let from = from.ok_or_else(|| ImportError::NoTag(owned()))?.to_owned();
            return Ok(Import::Tags(vec![TagImport { tag: owned(), from, is_new: true }]));
        }
    };
    let Some(source) = &spec.from else {
        let from = from.unwrap_or_default().to_owned();
        return Err(ImportError::NoSource { tag: owned(), from });
    };
    if source.kind != "DockerImage" {
        let (kind, name) = (source.kind.clone(), source.name.clone());
        return Err(ImportError::NoImage { tag: owned(), kind, name });
    }
    if let Some(from) = from.filter(|from| *from != source.name) {
        let (tag, current, from) = (owned(), source.name.clone(), from.to_owned());
        return Err(match end == tag {
            true => ImportError::OtherSource { tag, current, from },
            false => ImportError::OtherSourceFollowed { tag, end: end.to_owned(), current, from },
        });
    }
    let (tag, from) = (end.to_owned(), source.name.clone());
    Ok(Import::Tags(vec![TagImport { tag, from, is_new: false }]))
}

/// Why following a tag leads nowhere.
enum Follow {
    Invalid,
    OtherStream,
    Circular,
    Missing,
}

/// The tag of the same stream that a tag leads to in the end.
fn follow<'a>(
    stream: &'a ImageStream,
    tag: &'a str,
) -> Result<(&'a str, &'a TagReference), Follow> {
    let mut seen = BTreeSet::new();
    let mut at = tag;
    loop {
        if !seen.insert(at) {
            return Err(Follow::Circular);
        }
        let spec = stream.spec_tag(at).ok_or(Follow::Missing)?;
        let from = spec.from.as_ref().filter(|from| from.kind == "ImageStreamTag");
        let Some(from) = from else { return Ok((at, spec)) };
        if !from.namespace.is_empty() && from.namespace != stream.metadata.namespace {
            return Err(Follow::OtherStream);
        }
        at = match from.name.split_once(':') {
            Some((_, "")) => return Err(Follow::Invalid),
            Some((name, next)) if name == stream.metadata.name => next,
            Some(_) => return Err(Follow::OtherStream),
            None => &from.name,
        };
    }
}

/// The answer: the stream, its images, and what was left out (rule I145).
#[must_use]
pub fn answer(
    name: &str,
    failed: bool,
    stream: Option<&str>,
    images: &[String],
    left_out: &[String],
) -> String {
    let mut text = format!("imagestream.{}/{name} imported", crate::api::GROUP);
    if failed {
        text.push_str(" with errors");
    }
    if stream.is_none() {
        text.push_str(" (dry run)");
    }
    text.push_str("\n\n");
    for block in stream.into_iter().chain(images.iter().map(String::as_str)) {
        text.push_str(block);
        text.push('\n');
    }
    if !left_out.is_empty() {
        let (count, tags) = (left_out.len(), left_out.join(", "));
        text.push_str(&format!(
            "\ninfo: The remote repository contained {count} additional tags which were not imported: {tags}\n"
        ));
    }
    text.push('\n');
    text
}
