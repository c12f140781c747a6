//! What a name means: the stream, the image of a registry, or nothing that is clear enough (rules N3 to N5).

use std::collections::BTreeSet;

use crate::api::{Image, ImageStream, TagEvent, TagReference, view};
use crate::reference::ImageReference;

use super::failure::Failure;
use super::{Asked, Known, LATEST, Question, SHARED, Stop, Wanted, image};

/// How far a match is from what was asked for, in hundredths; 0 is what was meant.
pub type Score = u32;

/// Scores from here on are no match (rule N3).
const SCORE_MAX: Score = 30;

/// What is added where the stream is there and the tag is not.
const OTHER_TAG: Score = 50;

/// Something that a name may mean.
#[derive(Clone, PartialEq, Debug)]
pub struct Match {
    /// What was asked for.
    pub value: String,
    /// The words that name it without doubt.
    pub argument: String,
    /// Its whole name: `openshift/httpd:2.4`.
    pub name: String,
    /// In words.
    pub description: String,
    /// How far it is.
    pub score: Score,
    /// What it is.
    pub found: Found,
}

/// What a name may mean.
#[derive(Clone, PartialEq, Debug)]
pub enum Found {
    /// A tag of a stream, with its image where that is known.
    Tag {
        /// The stream.
        stream: Box<ImageStream>,
        /// Its tag.
        tag: String,
        /// The image.
        image: Option<Box<Image>>,
    },
    /// A stream without any tag.
    NoTags,
    /// An image of a registry.
    Image {
        /// As it was spelled.
        reference: ImageReference,
        /// What the registry says.
        image: Box<Image>,
    },
    /// An image that nobody found; it is used all the same.
    Missing,
    /// No image at all: `scratch`, or what is uploaded.
    Nothing,
}

impl Match {
    /// Its image, where something is known of it.
    #[must_use]
    pub fn image(&self) -> Option<&Image> {
        match &self.found {
            Found::Tag { image, .. } => image.as_deref(),
            Found::Image { image, .. } => Some(image),
            Found::NoTags | Found::Missing | Found::Nothing => None,
        }
    }

    /// The entry of a stream's tag.
    #[must_use]
    pub fn spec_tag(&self) -> Option<&TagReference> {
        match &self.found {
            Found::Tag { stream, tag, .. } => stream.spec_tag(tag),
            Found::Image { .. } | Found::NoTags | Found::Missing | Found::Nothing => None,
        }
    }

    /// Whether it builds images of sources (rule N7).
    #[must_use]
    pub fn is_builder(&self, wanted: &Wanted) -> bool {
        let of_index = matches!(self.found, Found::Image { .. })
            && wanted.import_mode == Some(crate::action::ImportMode::PreserveOriginal);
        self.image().is_some_and(image::is_builder)
            || self.spec_tag().is_some_and(|tag| is_marked(tag, "builder"))
            || of_index // one cannot tell: its images may differ
    }
}

/// Where a name is looked up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Searcher {
    Streams,
    /// By the languages that tags say they support.
    Languages,
    Templates,
    TemplateFiles,
    Registries,
    Missing,
}

impl Searcher {
    /// What errors call what it looks through.
    fn shown(self) -> &'static str {
        match self {
            Self::Streams => "images in image streams",
            Self::Languages => "image stream images with a 'supports' annotation",
            Self::Templates => "templates loaded in accessible projects",
            Self::TemplateFiles => "template files",
            Self::Registries => "local docker images",
            Self::Missing => "images not found in container image registry nor locally",
        }
    }
}

/// What looks names up, and among what.
pub(super) struct Finder<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) known: &'a Known,
    pub(super) looks: Looks,
}

/// How long streams are looked through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Looks {
    /// Until a namespace has what was meant.
    UntilExact,
    /// To the end.
    Everywhere,
}

impl Finder<'_> {
    /// What a name means, looked up by searchers with their weights: those of one weight together, the first exact match
    /// wins (rule N3).
    pub(super) fn resolve(
        &self,
        value: &str,
        searchers: &[(Searcher, Score)],
    ) -> Result<Match, Stop> {
        let (mut candidates, mut errors, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let groups = searchers.chunk_by(|(_, a), (_, b)| a == b);
        for group in groups {
            let (mut matches, mut weight) = (Vec::new(), 0);
            for (searcher, own) in group {
                weight = *own;
                names.push(searcher.shown());
                matches.extend(self.search(*searcher, value, &mut errors)?);
            }
            matches.sort_by_key(|found: &Match| found.score);
            let is_exact = |at: usize| matches.get(at).is_some_and(|found| found.score == 0);
            if is_exact(0) && !is_exact(1) {
                return Ok(matches.swap_remove(0));
            }
            let weighted = |found: Match| {
                let score = if weight == 0 { found.score } else { weight * found.score };
                Match { score, ..found }
            };
            candidates.extend(matches.into_iter().map(weighted));
        }
        candidates.sort_by_key(|found| found.score);
        let value = value.to_owned();
        let mut best = candidates.iter().map(|found| found.score);
        match (best.next(), best.next()) {
            (None, _) => {
                let searched = names.join(", ");
                Err(Failure::NoMatch { value, searched, errors }.into())
            }
            (Some(first), Some(second)) if first >= second => {
                Err(Failure::Several { value, matches: candidates, errors }.into())
            }
            (Some(0), _) => Ok(candidates.swap_remove(0)),
            (Some(_), _) => {
                let found = candidates.swap_remove(0);
                Err(match found.found {
                    Found::NoTags => Failure::NoTags { value, found: Box::new(found), errors },
                    Found::Tag { .. } | Found::Image { .. } | Found::Missing | Found::Nothing => {
                        Failure::Partial { value, found: Box::new(found), errors }
                    }
                }
                .into())
            }
        }
    }

    pub(super) fn search(
        &self,
        searcher: Searcher,
        value: &str,
        errors: &mut Vec<String>,
    ) -> Result<Vec<Match>, Stop> {
        Ok(match searcher {
            Searcher::Streams => self.in_streams(value),
            Searcher::Languages => self.by_language(value),
            // Templates come as files here; one that git holds is made by the daemon already.
            Searcher::Templates | Searcher::TemplateFiles => Vec::new(),
            Searcher::Registries => self.in_registries(value, errors)?,
            Searcher::Missing => vec![Match {
                value: value.to_owned(),
                argument: String::new(),
                name: value.to_owned(),
                description: String::new(),
                score: 0,
                found: Found::Missing,
            }],
        })
    }

    /// The namespaces that are looked through: the own one, then that of everybody (rule N3).
    fn namespaces(&self) -> Vec<String> {
        let own = self.wanted.namespace.to_string();
        if own == SHARED { vec![own] } else { vec![own, SHARED.to_owned()] }
    }

    fn of_namespace<'s>(&'s self, namespace: &'s str) -> impl Iterator<Item = &'s ImageStream> {
        self.known.streams.iter().filter(move |stream| stream.metadata.namespace == namespace)
    }

    fn in_streams(&self, value: &str) -> Vec<Match> {
        let reference = if value == "*" { None } else { value.parse::<ImageReference>().ok() };
        if value != "*" && reference.as_ref().is_none_or(|found| found.registry.is_some()) {
            return Vec::new(); // no name of a stream
        }
        let name = reference.as_ref().map_or("*", |reference| reference.name.as_str());
        let tag = reference.as_ref().and_then(|found| found.tag.as_ref()).map(ToString::to_string);
        let namespaces = match reference.as_ref().and_then(|found| found.namespace.clone()) {
            Some(named) => vec![named],
            None => self.namespaces(),
        };
        let mut matches = Vec::new();
        for namespace in namespaces {
            let before = matches.len();
            for stream in self.of_namespace(&namespace) {
                let score = proximity(&stream.metadata.name, name);
                if score < SCORE_MAX {
                    self.match_stream(value, stream, tag.as_deref(), score, &mut matches);
                }
            }
            let of_this = matches.get(before..).unwrap_or_default();
            let is_exact = of_this.iter().any(|found: &Match| found.score == 0);
            if is_exact && self.looks == Looks::UntilExact {
                break;
            }
        }
        matches
    }

    /// What a stream offers for a tag, or for no tag (rule N4).
    fn match_stream(
        &self,
        value: &str,
        stream: &ImageStream,
        tag: Option<&str>,
        score: Score,
        matches: &mut Vec<Match>,
    ) {
        let named = tag.unwrap_or(LATEST);
        let hidden = tag.is_none() && stream.spec_tag(named).is_some_and(is_hidden);
        let end = if tag.is_none() { followed(stream, named) } else { named };
        match current(stream, end).filter(|_| !hidden) {
            Some(item) => {
                let image = self.known.images.get(&item.image).cloned().map(Box::new);
                matches.push(of_stream(value, stream, end, image, score));
            }
            None if self.wanted.allow_missing_tags => {
                matches.push(of_stream(value, stream, end, None, score));
            }
            None => {
                let others = stream.status.tags.iter().map(|status| status.tag.as_str());
                let others: Vec<&str> =
                    others.filter(|tag| current(stream, tag).is_some()).collect();
                let shown =
                    others.iter().filter(|tag| !stream.spec_tag(tag).is_some_and(is_hidden));
                let other = |tag: &&str| of_stream(value, stream, tag, None, score + OTHER_TAG);
                matches.extend(shown.map(other));
                if others.is_empty() {
                    matches.push(without_tags(value, stream, score + OTHER_TAG));
                }
            }
        }
    }

    /// Streams by the annotation `supports` of their tags: how languages are found (rule N6).
    fn by_language(&self, value: &str) -> Vec<Match> {
        let mut matches = Vec::new();
        for namespace in self.namespaces() {
            for stream in self.of_namespace(&namespace) {
                for spec in &stream.spec.tags {
                    let supports = spec.annotations.as_ref().and_then(|all| all.get("supports"));
                    let score = supports.and_then(|text| support(value, text));
                    let (Some(score), Some(item)) = (score, current(stream, &spec.name)) else {
                        continue;
                    };
                    let image = self.known.images.get(&item.image).cloned().map(Box::new);
                    matches.push(of_stream(value, stream, &spec.name, image, score));
                }
            }
            if matches.iter().any(|found| found.score == 0) {
                break;
            }
        }
        matches
    }

    fn in_registries(&self, value: &str, errors: &mut Vec<String>) -> Result<Vec<Match>, Stop> {
        let matched = |description, found| Match {
            value: value.to_owned(),
            argument: format!("--image=\"{value}\""),
            name: value.to_owned(),
            description,
            score: 0,
            found,
        };
        if value == "scratch" {
            return Ok(vec![matched(String::new(), Found::Nothing)]);
        }
        let Ok(reference) = value.parse::<ImageReference>() else { return Ok(Vec::new()) };
        if reference.is_registry_only() {
            return Ok(Vec::new());
        }
        match self.known.asked.get(value) {
            None => Err(Stop::Ask(Question::Image(value.to_owned()))),
            Some(Asked::Missing) => Ok(Vec::new()),
            Some(Asked::Failed(why)) => {
                errors.push(format!("can't look up container image \"{value}\": {why}"));
                Ok(Vec::new())
            }
            Some(Asked::Found(image)) => {
                let description = described(image, value, &reference);
                Ok(vec![matched(description, Found::Image { reference, image: image.clone() })])
            }
        }
    }
}

/// The registry that an image is said to come from (rule N15).
#[must_use]
pub fn registry_shown(reference: &ImageReference) -> &str {
    reference.registry.as_deref().unwrap_or("Docker Hub")
}

fn described(image: &Image, value: &str, reference: &ImageReference) -> String {
    let mut parts = vec![
        format!("container image \"{value}\" (tag \"{}\")", reference.tag_or_digest()),
        image::short_id(image),
        format!("from {}", registry_shown(reference)),
    ];
    if let Some(metadata) = &image.docker_image_metadata {
        if metadata.size > 0 {
            let thousandths = u128::from(metadata.size.unsigned_abs()) * 1000 / (1024 * 1024);
            parts.push(format!("{}.{:03}mb", thousandths / 1000, thousandths % 1000));
        }
        if !metadata.author.is_empty() {
            parts.push(format!("author {}", metadata.author));
        }
        parts.extend(Some(&metadata.comment).filter(|text| !text.is_empty()).cloned());
    }
    parts.join(", ")
}

/// How far the name of a stream is from what was asked for (rule N3).
#[must_use]
pub fn proximity(name: &str, asked: &str) -> Score {
    let (low, low_asked) = (name.to_lowercase(), asked.to_lowercase());
    match () {
        () if asked == "*" || name == asked => 0,
        () if low == low_asked => 2,
        () if name.starts_with(asked) => 10,
        () if low.starts_with(&low_asked) => 12,
        () if name.contains(asked) => 20,
        () if low.contains(&low_asked) => 22,
        () => 100,
    }
}

/// How well a tag that supports languages fits one: `php:5.3` fits `php:5.4` somewhat.
fn support(value: &str, supports: &str) -> Option<Score> {
    let base = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    let mut all = supports.split(',').map(str::trim);
    if all.clone().any(|one| one == value) {
        return Some(0);
    }
    all.any(|one| base(one) == base(value)).then_some(50)
}

/// Whether the annotation `tags` of a tag holds a word.
fn is_marked(tag: &TagReference, word: &str) -> bool {
    let text = tag.annotations.as_ref().and_then(|all| all.get("tags"));
    text.is_some_and(|text| text.split(',').any(|one| one.trim() == word))
}

/// Whether a tag is not offered (rule N4).
#[must_use]
pub fn is_hidden(tag: &TagReference) -> bool {
    is_marked(tag, "hidden")
}

/// The image of a tag.
fn current<'s>(stream: &'s ImageStream, tag: &str) -> Option<&'s TagEvent> {
    stream.status_tag(tag)?.current().filter(|item| !item.image.is_empty())
}

/// The tag that one merely follows, where both are offered (rule N4).
fn followed<'s>(stream: &'s ImageStream, tag: &'s str) -> &'s str {
    let own = stream.spec_tag(tag).filter(|spec| !is_hidden(spec));
    let from = own.and_then(|spec| spec.from.as_ref());
    let other = from.filter(|from| from.kind == "ImageStreamTag" && !from.name.contains(':'));
    let other = other.and_then(|from| stream.spec_tag(&from.name)).filter(|tag| !is_hidden(tag));
    other.filter(|other| current(stream, &other.name).is_some()).map_or(tag, |other| &other.name)
}

fn of_stream(
    value: &str,
    stream: &ImageStream,
    tag: &str,
    image: Option<Box<Image>>,
    score: Score,
) -> Match {
    let (namespace, own) = (&stream.metadata.namespace, &stream.metadata.name);
    let name = format!("{namespace}/{own}:{tag}");
    Match {
        value: value.to_owned(),
        argument: format!("--image-stream=\"{name}\""),
        description: format!("Image stream \"{own}\" (tag \"{tag}\") in project \"{namespace}\""),
        name,
        score,
        found: Found::Tag { stream: Box::new(stream.clone()), tag: tag.to_owned(), image },
    }
}

fn without_tags(value: &str, stream: &ImageStream, score: Score) -> Match {
    let (namespace, own) = (&stream.metadata.namespace, &stream.metadata.name);
    let name = format!("{namespace}/{own}");
    Match {
        value: value.to_owned(),
        argument: format!("--image-stream=\"{name}\" --allow-missing-imagestream-tags"),
        description: format!("Image stream \"{own}\" in project \"{namespace}\""),
        name,
        score,
        found: Found::NoTags,
    }
}

/// The tags that a search shows of a stream: those with a history, but for hidden ones, in order (rule N20).
#[must_use]
pub fn tags_shown(stream: &ImageStream) -> Vec<&str> {
    let names: BTreeSet<&str> = view::tag_names(stream);
    let is_shown = |tag: &&str| {
        stream.status_tag(tag).is_some() && !stream.spec_tag(tag).is_some_and(is_hidden)
    };
    names.into_iter().filter(is_shown).collect()
}
