//! What becomes of what: the image that something is made of, what is built, what runs (rules N1, N8).

use crate::reference::ImageReference;

use super::failure::Failure;
use super::find::{Found, Match};
use super::image::Shape;
use super::pair::{Part, Repository, Resolved};
use super::{Known, LATEST, Strategy, Verb, Wanted, dockerfile, words};

/// An image as objects refer to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Of {
    /// A tag of a stream that is there.
    Tag {
        /// Namespace of the stream.
        namespace: String,
        /// The stream.
        stream: String,
        /// Its tag.
        tag: String,
    },
    /// An image of a registry, by a tag that is made for it.
    Tracked {
        /// The stream.
        stream: String,
        /// The tag.
        tag: String,
        /// Where the image is.
        reference: ImageReference,
    },
    /// What a build makes.
    Output {
        /// The stream.
        stream: String,
        /// The tag.
        tag: String,
    },
    /// An image of a registry itself.
    Image(ImageReference),
}

impl Of {
    /// What it is called: also the container that runs it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Tag { stream, .. }
            | Self::Tracked { stream, .. }
            | Self::Output { stream, .. } => stream.clone(),
            Self::Image(reference) => valid(&reference.name),
        }
    }

    /// `stream:tag`, where it is a tag.
    #[must_use]
    pub fn tag(&self) -> Option<String> {
        match self {
            Self::Tag { stream, tag, .. }
            | Self::Tracked { stream, tag, .. }
            | Self::Output { stream, tag } => Some(format!("{stream}:{tag}")),
            Self::Image(_) => None,
        }
    }
}

/// A name that an object may have, of one that an image has.
fn valid(name: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    name.chars().map(sign).collect::<String>().trim_matches('-').to_lowercase()
}

/// A build.
#[derive(Clone, PartialEq, Debug)]
pub struct Build {
    /// What is built.
    pub repository: Repository,
    /// What it is built with; none for `scratch`.
    pub input: Option<Of>,
    /// What it makes; none for `--no-output`.
    pub output: Option<Of>,
    /// An image that files are taken from, with `from:to`.
    pub image: Option<(Of, String)>,
}

/// What becomes of one component.
#[derive(Clone, PartialEq, Debug)]
pub struct Pipeline {
    /// What its objects are called.
    pub name: String,
    /// The component.
    pub part: Part,
    /// What is built.
    pub build: Option<Build>,
    /// What is run, or made.
    pub image: Of,
    /// What is known of it.
    pub shape: Shape,
    /// What runs it: an index into [`Plan::deployed`].
    pub runs_in: Option<usize>,
    /// How many components run there, this one being the last.
    pub place: usize,
}

/// What runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deployed {
    /// Its name.
    pub name: String,
    /// The components that are its pod: indexes into [`Plan::pipelines`].
    pub pipelines: Vec<usize>,
}

/// All of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// What becomes of each component.
    pub pipelines: Vec<Pipeline>,
    /// What runs.
    pub deployed: Vec<Deployed>,
    /// What a reader should know.
    pub warnings: Vec<String>,
}

impl Plan {
    /// The name that labels are made of.
    #[must_use]
    pub fn name<'p>(&'p self, wanted: &'p Wanted) -> Option<&'p str> {
        let own = Some(wanted.name.as_str()).filter(|name| !name.is_empty());
        let runs = || self.deployed.first().map(|deployed| deployed.name.as_str());
        let built = || self.pipelines.first().map(|pipeline| pipeline.name.as_str());
        own.or_else(runs).or_else(built)
    }
}

/// Says what becomes of what was found.
///
/// # Errors
/// When something cannot be called anything, or flags do not fit.
pub fn pipelines(wanted: &Wanted, known: &Known, resolved: &Resolved) -> Result<Plan, Failure> {
    check_names(wanted, resolved).map_err(Failure::Plain)?;
    let mut names = words::Names::default();
    let mut plan = Plan::default();
    let mut group = None;
    let mut docker_builds = 0;
    for part in &resolved.parts {
        let repository = part.uses.filter(|_| part.builds);
        let repository = repository.and_then(|at| resolved.repositories.get(at));
        let mut pipeline = match repository {
            Some(repository) => built(wanted, known, part, repository, &mut names),
            None => taken(wanted, known, part, &mut names),
        }
        .map_err(Failure::Plain)?;
        let is_docker = repository.is_some_and(|one| one.strategy == Strategy::Docker);
        docker_builds += usize::from(is_docker);
        if wanted.verb == Verb::App {
            if group != Some(part.group) {
                let name = pipeline.name.clone();
                plan.deployed.push(Deployed { name, pipelines: Vec::new() });
            }
            group = Some(part.group);
            let last = plan.deployed.len() - 1;
            if let Some(deployed) = plan.deployed.get_mut(last) {
                deployed.pipelines.push(plan.pipelines.len());
                pipeline.place = deployed.pipelines.len();
            }
            pipeline.runs_in = Some(last);
        }
        plan.pipelines.push(pipeline);
    }
    if !wanted.build_arguments.is_empty() {
        if docker_builds == 0 {
            return Err(Failure::Plain("Cannot use '--build-arg' without a Docker build".into()));
        }
        if docker_builds > 1 {
            let text = "--> WARNING: Applying --build-arg to multiple Docker builds.";
            plan.warnings.push(text.into());
        }
    }
    Ok(plan)
}

fn check_names(wanted: &Wanted, resolved: &Resolved) -> Result<(), String> {
    if !wanted.name.is_empty() {
        words::check_name(&wanted.name)?;
        let groups: std::collections::BTreeSet<usize> =
            resolved.parts.iter().map(|part| part.group).collect();
        if groups.len() > 1 {
            let text = "only one component or source repository can be used when specifying a name";
            return Err(text.into());
        }
    }
    if wanted.to.is_empty() {
        return Ok(());
    }
    if wanted.to.parse::<ImageReference>().is_err() {
        return Err(format!("invalid output image reference: {}", wanted.to));
    }
    if resolved.parts.iter().filter(|part| part.uses.is_some()).count() > 1 {
        let text =
            "only one component with source can be used when specifying an output image reference";
        return Err(text.into());
    }
    Ok(())
}

/// What an image is called in objects; `own` is the name of a stream that is made for one of a registry.
fn image_of(found: &Match, own: Option<&str>, known: &Known, wanted: &Wanted) -> Option<Of> {
    match &found.found {
        Found::Tag { stream, tag, .. } => Some(Of::Tag {
            namespace: stream.metadata.namespace.clone(),
            stream: stream.metadata.name.clone(),
            tag: tag.clone(),
        }),
        Found::Image { reference, .. } => {
            let stream = own.map_or_else(|| valid(&reference.name), str::to_owned);
            let tag = reference.tag.as_ref().map_or_else(|| LATEST.into(), ToString::to_string);
            let namespace = wanted.namespace.to_string();
            let is_there = known
                .written(&namespace, &stream)
                .is_some_and(|one| one.spec_tag(&tag).is_some() || one.status_tag(&tag).is_some());
            Some(match is_there {
                true => Of::Tag { namespace, stream, tag },
                false => Of::Tracked { stream, tag, reference: reference.clone() },
            })
        }
        Found::Missing => found.value.parse().ok().map(Of::Image),
        Found::NoTags | Found::Nothing => None,
    }
}

/// What an image would be called by itself.
fn suggested(found: &Match) -> Option<String> {
    let name = match &found.found {
        Found::Tag { stream, .. } => stream.metadata.name.clone(),
        Found::Image { reference, .. } => valid(&reference.name),
        Found::Missing => valid(&found.value.parse::<ImageReference>().ok()?.name),
        Found::NoTags | Found::Nothing => return None,
    };
    Some(name).filter(|name| !name.is_empty())
}

fn next(
    wanted: &Wanted,
    names: &mut words::Names,
    suggestions: impl IntoIterator<Item = Option<String>>,
) -> Result<String, String> {
    let own = Some(wanted.name.clone()).filter(|name| !name.is_empty());
    let name = own.or_else(|| suggestions.into_iter().flatten().next());
    names.next(&name.ok_or("you must specify a name for your app")?)
}

/// An image that runs as it is.
fn taken(
    wanted: &Wanted,
    known: &Known,
    part: &Part,
    names: &mut words::Names,
) -> Result<Pipeline, String> {
    let name = next(wanted, names, [suggested(&part.found)])?;
    let Some(mut image) = image_of(&part.found, Some(&name), known, wanted) else {
        return Err(format!("can't include \"{}\": it is no image", part.value));
    };
    if let Of::Tag { tag, .. } = &image
        && wanted.copy_tag
    {
        image = Of::Output { stream: name.clone(), tag: tag.clone() };
    }
    let shape = Shape::of(part.found.image());
    Ok(Pipeline { name, part: part.clone(), build: None, image, shape, runs_in: None, place: 0 })
}

/// An image that is built.
fn built(
    wanted: &Wanted,
    known: &Known,
    part: &Part,
    repository: &Repository,
    names: &mut words::Names,
) -> Result<Pipeline, String> {
    let remote = repository.remote.as_ref().filter(|_| !repository.location.is_empty());
    let to: Option<ImageReference> = wanted.to.parse().ok();
    // The last part of what stands there all the same: the image of a stage.
    let own = matches!(part.found.found, Found::Nothing).then(|| part.value.as_str());
    let own =
        own.and_then(|value| value.parse::<ImageReference>().ok()).map(|own| valid(&own.name));
    let suggestions = [
        remote.and_then(super::source::Remote::name),
        to.as_ref().map(|to| valid(&to.name)),
        suggested(&part.found),
        own.filter(|name| name != "scratch"),
    ];
    let name = next(wanted, names, suggestions)?;
    let input = image_of(&part.found, None, known, wanted);
    let tag = to.as_ref().and_then(|to| to.tag.as_ref());
    let tag = tag.map_or_else(|| LATEST.into(), ToString::to_string);
    let output = match to {
        Some(to) if wanted.to_docker => Of::Image(to),
        None if wanted.to_docker => {
            let text = format!("{name}:{LATEST}");
            Of::Image(text.parse().map_err(|error| format!("invalid name `{text}`: {error}"))?)
        }
        Some(to) => Of::Output { stream: valid(&to.name), tag },
        None => Of::Output { stream: name.clone(), tag },
    };
    let mut shape = Shape::of(part.found.image());
    if let Some(text) = repository.dockerfile().filter(|_| repository.strategy == Strategy::Docker)
    {
        let ports = dockerfile::read(text, &wanted.build_arguments).ports;
        if !ports.is_empty() {
            shape.is_known = true;
            shape.expose(ports.iter().map(String::as_str));
        }
    }
    let image = repository
        .image
        .as_ref()
        .and_then(|(found, path)| Some((image_of(found, None, known, wanted)?, path.clone())));
    let build = Build {
        repository: repository.clone(),
        input,
        output: Some(output.clone()).filter(|_| !wanted.no_output),
        image,
    };
    let part = part.clone();
    Ok(Pipeline { name, part, build: Some(build), image: output, shape, runs_in: None, place: 0 })
}
