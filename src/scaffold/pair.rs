//! Components find their images, and sources their builders (rules N1, N6, N7).

mod refused;

use super::failure::Failure;
use super::find::{Finder, Found, Looks, Match, Score, Searcher};
use super::source::{self, Remote};
use super::{Known, Named, Question, Source, Stop, Strategy, Wanted, dockerfile, fail, words};
use refused::{check_builders, check_flags, check_held, refused_pipeline};

/// A component whose image is known.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// Its name, without the source.
    pub value: String,
    /// Components of one group are one pod.
    pub group: usize,
    /// Whether something is built with it.
    pub builds: bool,
    /// What is built: an index into [`Resolved::repositories`].
    pub uses: Option<usize>,
    /// What its name means.
    pub found: Match,
}

/// A source.
#[derive(Clone, PartialEq, Debug)]
pub struct Repository {
    /// As it was named; empty where there is none but a Dockerfile or what is uploaded.
    pub location: String,
    /// How it is built.
    pub strategy: Strategy,
    /// What it holds, where somebody looked.
    pub held: Option<Source>,
    /// What a build clones.
    pub remote: Option<Remote>,
    /// The Dockerfile of the command line.
    pub dockerfile: Option<String>,
    /// Whether builds are given what they build when they are started.
    pub is_binary: bool,
    /// An image that files are taken from, with `from:to`.
    pub image: Option<(Match, String)>,
    /// Whether a component uses it.
    is_used: bool,
}

impl Repository {
    fn of(location: &str, strategy: Strategy) -> Self {
        Self {
            location: location.to_owned(),
            strategy,
            held: None,
            remote: None,
            dockerfile: None,
            is_binary: false,
            image: None,
            is_used: false,
        }
    }

    /// The text of the Dockerfile that it is built by, as far as it is known.
    #[must_use]
    pub fn dockerfile(&self) -> Option<&str> {
        let held = || self.held.as_ref().and_then(|held| held.dockerfile.as_deref());
        self.dockerfile.as_deref().or_else(held)
    }
}

/// What the words of a command come to.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Resolved {
    /// The components, in their order.
    pub parts: Vec<Part>,
    /// The sources.
    pub repositories: Vec<Repository>,
}

/// Where arguments are looked up, with the weights of `oc`.
const ARGUMENT: &[(Searcher, Score)] = &[
    (Searcher::Streams, 0),
    (Searcher::Templates, 0),
    (Searcher::TemplateFiles, 0),
    (Searcher::Registries, 2),
];
/// The same for one that something is built with: it is no template.
const BUILDER: &[(Searcher, Score)] = &[(Searcher::Streams, 0), (Searcher::Registries, 2)];
const STREAM: &[(Searcher, Score)] = &[(Searcher::Streams, 0)];
const IMAGE: &[(Searcher, Score)] = &[(Searcher::Registries, 0)];
const BASE: &[(Searcher, Score)] = &[(Searcher::Streams, 0), (Searcher::Registries, 1)];
const LANGUAGE: &[(Searcher, Score)] =
    &[(Searcher::Streams, 0), (Searcher::Languages, 1), (Searcher::Registries, 2)];
const SOURCE_IMAGE: &[(Searcher, Score)] =
    &[(Searcher::Languages, 0), (Searcher::Streams, 1), (Searcher::Registries, 2)];
/// Nothing else was found, and that is said to be fine.
const MISSING: (Searcher, Score) = (Searcher::Missing, 100);

/// Finds what the words of a command mean.
///
/// # Errors
/// A question that has to be answered first, or why it cannot be done.
pub fn resolve(wanted: &Wanted, known: &Known) -> Result<Resolved, Stop> {
    let mut work = Work {
        finder: Finder { wanted, known, looks: Looks::UntilExact },
        wanted,
        known,
        resolved: Resolved::default(),
    };
    check_flags(wanted)?;
    work.sources()?;
    let inputs = work.inputs()?;
    work.source_image()?;
    work.apply_flags(&inputs)?;
    work.look_up(&inputs)?;
    work.infer()?;
    work.pair()?;
    work.add_builders()?;
    let resolved = work.resolved;
    if resolved.parts.is_empty() && resolved.repositories.is_empty() && !has_template(wanted) {
        return Err(Failure::NoInput.into());
    }
    check_builders(wanted, &resolved)?;
    Ok(resolved)
}

fn has_template(wanted: &Wanted) -> bool {
    wanted.components.iter().any(|component| component.named == Named::Template)
}

/// A component before its image is known.
struct Input {
    value: String,
    named: Named,
    group: usize,
    builds: bool,
    uses: Option<usize>,
}

struct Work<'a> {
    finder: Finder<'a>,
    wanted: &'a Wanted,
    known: &'a Known,
    resolved: Resolved,
}

impl Work<'_> {
    /// The sources that no component names, with what they hold.
    fn sources(&mut self) -> Result<(), Stop> {
        let strategy = self.wanted.strategy.unwrap_or(Strategy::Source);
        for location in &self.wanted.sources {
            let at = self.repository(location, strategy)?;
            let held = self.held(location)?;
            if self.wanted.dockerfile.is_none() {
                check_held(&held, self.wanted.strategy)?;
            }
            if let Some(repository) = self.resolved.repositories.get_mut(at) {
                repository.remote.clone_from(&held.remote);
                repository.is_binary = held.remote.is_none();
                repository.held = Some(held);
            }
        }
        if let Some(text) = &self.wanted.dockerfile {
            let repositories = &mut self.resolved.repositories;
            if repositories.is_empty() {
                repositories.push(Repository::of("", Strategy::Docker));
            }
            let [repository] = repositories.as_mut_slice() else {
                return fail("--dockerfile cannot be used with multiple source repositories");
            };
            if repository.is_binary {
                return fail(
                    "a folder whose repository is nowhere else is uploaded as it is, and cannot be built by another \
                     Dockerfile: give its repository a remote `origin`, or leave out --dockerfile",
                );
            }
            repository.dockerfile = Some(text.clone());
            repository.strategy = Strategy::Docker;
        }
        Ok(())
    }

    fn held(&self, location: &str) -> Result<Source, Stop> {
        match self.known.sources.get(location) {
            None => Err(Stop::Ask(Question::Source(location.to_owned()))),
            Some(Ok(source)) => Ok(source.clone()),
            Some(Err(why)) => fail(why.clone()),
        }
    }

    /// The source at a place: the one that is there already, or a new one.
    fn repository(&mut self, location: &str, strategy: Strategy) -> Result<usize, Stop> {
        let repositories = &mut self.resolved.repositories;
        if let Some(at) = repositories.iter().position(|known| known.location == location) {
            return Ok(at);
        }
        let mut repository = Repository::of(location, strategy);
        if words::is_url(location) {
            let remote = Remote::read(location).without_login().map_err(Failure::Plain)?;
            repository.remote = Some(remote);
        } else if !self.wanted.sources.iter().any(|own| own == location) {
            // A folder here: which repository is it of?
            let held = match self.known.sources.get(location) {
                None => return Err(Stop::Ask(Question::Source(location.to_owned()))),
                Some(Ok(source)) => source.clone(),
                Some(Err(why)) => return fail(why.clone()),
            };
            repository.is_binary = held.remote.is_none();
            repository.remote = held.remote;
        }
        repositories.push(repository);
        Ok(repositories.len() - 1)
    }

    /// The components as they are named, with the sources that they name.
    fn inputs(&mut self) -> Result<Vec<Input>, Stop> {
        let mut inputs = Vec::new();
        let is_image = |named: Named| named != Named::Template;
        let components = self.wanted.components.iter().filter(|one| is_image(one.named));
        for (group, component) in components.enumerate() {
            for word in component.word.split('+') {
                let (value, location, builds) = words::component(word).map_err(Failure::Plain)?;
                let uses = match location {
                    Some(location) => {
                        let at = self.repository(location, Strategy::Source)?;
                        self.used(at);
                        Some(at)
                    }
                    None => None,
                };
                let (value, named) = (value.to_owned(), component.named);
                inputs.push(Input { value, named, group, builds, uses });
            }
        }
        for words in &self.wanted.groups {
            let names: Vec<&str> = words.split('+').collect();
            if names.len() == 1 {
                return fail(format!("group \"{words}\" only contains a single name"));
            }
            let mut to = None;
            for name in names {
                let Some(input) = inputs.iter_mut().find(|input| input.value == name) else {
                    return fail(format!(
                        "the name \"{name}\" from the group definition is not in use, and can't be used"
                    ));
                };
                input.group = *to.get_or_insert(input.group);
            }
        }
        inputs.sort_by_key(|input| input.group);
        Ok(inputs)
    }

    fn used(&mut self, at: usize) {
        if let Some(repository) = self.resolved.repositories.get_mut(at) {
            repository.is_used = true;
        }
    }

    fn apply_flags(&mut self, inputs: &[Input]) -> Result<(), Stop> {
        let repositories = &mut self.resolved.repositories;
        if let Some(strategy) = self.wanted.strategy {
            for repository in repositories.iter_mut() {
                repository.strategy = strategy;
            }
            if repositories.is_empty() && !self.wanted.binary {
                return fail(
                    "--strategy is specified and none of the arguments provided could be classified as a source code \
                     location",
                );
            }
        }
        let has_source =
            !repositories.is_empty() || inputs.iter().any(|input| input.uses.is_some());
        if self.wanted.binary && has_source {
            return fail(
                "specifying binary builds and source repositories at the same time is not allowed",
            );
        }
        Ok(())
    }

    /// Takes the image of `--source-image` to the one source that there is.
    fn source_image(&mut self) -> Result<(), Stop> {
        if self.wanted.source_image.is_empty() {
            return Ok(());
        }
        let image = self.finder.resolve(&self.wanted.source_image, SOURCE_IMAGE)?;
        let repositories = &mut self.resolved.repositories;
        if repositories.is_empty() {
            repositories.push(Repository::of("", Strategy::Source));
        }
        let [repository] = repositories.as_mut_slice() else {
            return fail("--source-image cannot be used with multiple source repositories");
        };
        repository.image = Some((image, self.wanted.source_image_path.clone()));
        Ok(())
    }

    fn look_up(&mut self, inputs: &[Input]) -> Result<(), Stop> {
        for input in inputs {
            let searchers = match input.named {
                Named::Argument if input.builds => BUILDER,
                Named::Argument | Named::Template => ARGUMENT,
                Named::ImageStream => STREAM,
                Named::Image => IMAGE,
            };
            let mut searchers = searchers.to_vec();
            if self.wanted.allow_missing_images && input.named != Named::ImageStream {
                searchers.push(MISSING);
            }
            let found = self.finder.resolve(&input.value, &searchers)?;
            self.resolved.parts.push(Part {
                value: input.value.clone(),
                group: input.group,
                builds: input.builds,
                uses: input.uses,
                found,
            });
        }
        Ok(())
    }

    /// Says of each component whether something is built with it.
    fn infer(&mut self) -> Result<(), Stop> {
        let wanted = self.wanted;
        for part in &mut self.resolved.parts {
            let is_builder = part.found.is_builder(wanted);
            let builds =
                wanted.expects_builds() || is_builder && wanted.strategy != Some(Strategy::Docker);
            part.builds |= builds;
        }
        if !self.resolved.parts.is_empty() || !wanted.binary {
            return Ok(());
        }
        if wanted.strategy == Some(Strategy::Source) {
            return fail(
                "you must provide a builder image when using the source strategy with a binary build",
            );
        }
        if wanted.name.is_empty() {
            return fail(
                "you must provide a --name when you don't specify a source repository or base image",
            );
        }
        let found = nothing(&wanted.name, "--binary");
        let value = wanted.name.clone();
        self.resolved.parts.push(Part { value, group: 0, builds: true, uses: None, found });
        Ok(())
    }

    /// Gives every component that builds a source.
    fn pair(&mut self) -> Result<(), Stop> {
        let open: Vec<usize> = self
            .resolved
            .repositories
            .iter()
            .enumerate()
            .filter(|(_, repository)| !repository.is_used)
            .map(|(at, _)| at)
            .collect();
        let needs = |part: &Part| part.builds && part.uses.is_none();
        let builders: Vec<String> = self
            .resolved
            .parts
            .iter()
            .filter(|part| needs(part))
            .map(|part| part.value.clone())
            .collect();
        if builders.is_empty() {
            return Ok(());
        }
        if let [only] = open[..] {
            for part in self.resolved.parts.iter_mut().filter(|part| needs(part)) {
                part.uses = Some(only);
            }
            self.used(only);
            return Ok(());
        }
        let locations = |separator: &str, before: &str| {
            let all = open.iter().filter_map(|at| self.resolved.repositories.get(*at));
            all.map(|one| format!("{before}{}", one.location)).collect::<Vec<_>>().join(separator)
        };
        match (&builders[..], open.is_empty()) {
            ([builder], false) => {
                let all = locations("\n", &format!("{builder}~"));
                fail(format!(
                    "there are multiple code locations provided - use one of the following suggestions to declare which \
                     code goes with the image:\n{all}\n"
                ))
            }
            (all, false) => fail(format!(
                "the following images require source code: {}\n and the following repositories are not used: {}\nUse \
                 '[image]~[repo]' to declare which code goes with which image",
                all.join(","),
                locations(",", "")
            )),
            (_, true) if self.wanted.binary => {
                self.upload();
                Ok(())
            }
            (_, true) if self.wanted.expects_builds() => fail(
                "you must specify at least one source repository URL, provide a Dockerfile, or indicate you wish to use \
                 binary builds",
            ),
            (_, true) => {
                for part in self.resolved.parts.iter_mut().filter(|part| needs(part)) {
                    part.builds = false;
                }
                Ok(())
            }
        }
    }

    /// Builds of what is uploaded: one source that is none for every component without one.
    fn upload(&mut self) {
        let wanted = self.wanted;
        for part in self.resolved.parts.iter_mut().filter(|part| part.uses.is_none()) {
            let is_docker = wanted.strategy == Some(Strategy::Docker)
                || wanted.strategy.is_none() && !part.found.is_builder(wanted);
            let strategy = if is_docker { Strategy::Docker } else { Strategy::Source };
            let mut repository = Repository::of("", strategy);
            repository.is_binary = true;
            repository.is_used = true;
            part.builds = true;
            part.uses = Some(self.resolved.repositories.len());
            self.resolved.repositories.push(repository);
        }
    }

    /// Finds builders for sources that have none: a Jenkinsfile, a Dockerfile, a language (rule N6).
    fn add_builders(&mut self) -> Result<(), Stop> {
        let mut group = self.resolved.parts.iter().map(|part| part.group + 1).max().unwrap_or(0);
        for at in 0..self.resolved.repositories.len() {
            let Some(repository) = self.resolved.repositories.get(at).filter(|r| !r.is_used) else {
                continue;
            };
            let (strategy, value, found) = self.builder(repository)?;
            if let Some(repository) = self.resolved.repositories.get_mut(at) {
                repository.strategy = strategy;
                repository.is_used = true;
            }
            self.resolved.parts.push(Part { value, group, builds: true, uses: Some(at), found });
            group += 1;
        }
        Ok(())
    }

    fn builder(&self, repository: &Repository) -> Result<(Strategy, String, Match), Stop> {
        let wanted = self.wanted;
        let location = &repository.location;
        let may_be = |strategy| wanted.strategy.is_none_or(|own| own == strategy);
        let files = repository.held.as_ref().map(|held| held.files.as_slice()).unwrap_or_default();
        if source::has(files, "Jenkinsfile") && may_be(Strategy::Pipeline) {
            return Err(refused_pipeline());
        }
        if let Some(text) = repository.dockerfile().filter(|_| may_be(Strategy::Docker)) {
            let read = dockerfile::read(text, &wanted.build_arguments);
            let Some(base) = read.base else {
                return fail(format!(
                    "the Dockerfile in the repository \"{location}\" has no FROM instruction"
                ));
            };
            let mut searchers = BASE.to_vec();
            if wanted.allow_missing_images {
                searchers.push(MISSING);
            }
            // `from` of a strategy takes the place of the last `FROM` (rule B39): a stage must stay where it is.
            let found = match read.is_stage {
                true => nothing(&base, ""),
                false => self.finder.resolve(&base, &searchers)?,
            };
            return Ok((Strategy::Docker, base, found));
        }
        if repository.image.is_some() && repository.location.is_empty() {
            return fail(
                "--source-image needs a builder, a Dockerfile (-D) or a source repository that the files of the image are \
                 built with",
            );
        }
        let Some(language) = source::languages(files).first().copied() else {
            return fail(format!(
                "no language was detected for repository at \"{location}\"; please specify a builder image to use with \
                 your repository: [builder-image]~{location}"
            ));
        };
        let found = self.finder.resolve(language, LANGUAGE)?;
        Ok((repository.strategy, language.to_owned(), found))
    }
}

/// What stands for an image where there is none to refer to.
fn nothing(value: &str, argument: &str) -> Match {
    Match {
        value: value.to_owned(),
        argument: argument.to_owned(),
        name: String::new(),
        description: String::new(),
        score: 0,
        found: Found::Nothing,
    }
}
