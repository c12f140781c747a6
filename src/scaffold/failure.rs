//! Why an application cannot be made, and what would help (rule N5); the words are those of `oc`.

use std::fmt::Write as _;

use super::Verb;
use super::find::Match;
use super::words::Word;
use crate::secret::without_logins;

/// How many of several matches are shown.
const SHOWN_MAX: usize = 5;

/// Why it is not made.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Failure {
    /// A name means nothing.
    #[error("unable to locate any {searched} with name \"{value}\"")]
    NoMatch {
        /// The name.
        value: String,
        /// What was looked through.
        searched: String,
        /// What went wrong there.
        errors: Vec<String>,
    },
    /// It means something that was not named exactly.
    #[error("only a partial match was found for \"{value}\": \"{}\"", found.name)]
    Partial {
        /// The name.
        value: String,
        /// What it may mean.
        found: Box<Match>,
        /// What went wrong on the way.
        errors: Vec<String>,
    },
    /// It may mean several things.
    #[error("multiple images or templates matched \"{value}\"")]
    Several {
        /// The name.
        value: String,
        /// What it may mean, the best first.
        matches: Vec<Match>,
        /// What went wrong on the way.
        errors: Vec<String>,
    },
    /// It means a stream without tags.
    #[error("no tags found on matching image stream: \"{}\"", found.name)]
    NoTags {
        /// The name.
        value: String,
        /// The stream.
        found: Box<Match>,
        /// What went wrong on the way.
        errors: Vec<String>,
    },
    /// Nothing was said.
    #[error("no inputs provided")]
    NoInput,
    /// Anything else.
    #[error("{0}")]
    Plain(String),
}

/// Who is told, and what of.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The name that the program is called by (rule N18).
    pub program: &'a str,
    /// The command.
    pub verb: Verb,
    /// What the argument was taken for, where it was one.
    pub word: Option<Word>,
    /// Why it was taken for no source.
    pub not_a_source: Option<&'a str>,
}

impl Failure {
    /// The name that means nothing, or not enough.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::NoMatch { value, .. }
            | Self::Partial { value, .. }
            | Self::Several { value, .. }
            | Self::NoTags { value, .. } => Some(value),
            Self::NoInput | Self::Plain(_) => None,
        }
    }

    /// All that is to be said of it, but for the `error: ` before it; a name may be a URL with a login (law 10).
    #[must_use]
    pub fn text(&self, told: &Told<'_>) -> String {
        super::plain(&without_logins(&self.whole(told)))
    }

    fn whole(&self, told: &Told<'_>) -> String {
        let (errors, advice) = match self {
            Self::NoMatch { errors, .. } => (errors.as_slice(), self.kinds(told)),
            Self::Partial { value, found, errors } => {
                let head = format!(
                    "The argument \"{value}\" only partially matched the following container image, OpenShift image \
                     stream, or template:\n\n"
                );
                (errors.as_slice(), head + &offer(found))
            }
            Self::Several { value, matches, errors } => {
                (errors.as_slice(), several(value, matches, told))
            }
            Self::NoTags { found, errors, .. } => {
                let name = &found.name;
                let advice = format!(
                    "The image stream \"{name}\" exists, but it has no tags.\n\n  Use --allow-missing-imagestream-tags to \
                     use this image stream\n"
                );
                (errors.as_slice(), advice)
            }
            Self::NoInput => return no_input(told),
            Self::Plain(text) => return text.clone(),
        };
        let source = told.not_a_source.filter(|_| matches!(self, Self::NoMatch { .. }));
        let lines = errors.iter().cloned().chain(source.map(str::to_owned));
        let mut text = lines.chain([self.to_string()]).collect::<Vec<_>>().join("\nerror: ");
        if let (Some(value), Some(word)) = (self.value(), told.word) {
            // Writing into a text cannot fail.
            let _ = write!(text, "\n\nArgument '{value}' was classified as {}.", word.shown());
        }
        format!("{text}\n\n{advice}")
    }

    /// What arguments can be.
    fn kinds(&self, told: &Told<'_>) -> String {
        let command = format!("{} {}", told.program, told.verb.name());
        let head = format!(
            "The '{command}' command will match arguments to the following types:\n\n  1. Images tagged into image streams \
             in the current project or the 'openshift' project\n     - if you don't specify a tag, we'll add ':latest'\n"
        );
        let rest = match told.verb {
            Verb::App => {
                "  2. Images in the container storage, on remote registries, or on the local container engine\n  3. \
                 Templates in the current project or the 'openshift' project\n  4. Git repository URLs or local paths \
                 that point to Git repositories\n\n--allow-missing-images can be used to point to an image that does not \
                 exist yet."
            }
            Verb::Build => {
                "  2. Images in the container registry, on remote registries, or on the local container engine\n  3. Git \
                 repository URLs or local paths that point to Git repositories\n\n--allow-missing-images can be used to \
                 force the use of an image that was not matched"
            }
        };
        format!("{head}{rest}\n\nSee '{command} -h' for examples.")
    }
}

fn offer(found: &Match) -> String {
    format!("* {}\n  Use {} to specify this image or template\n", found.description, found.argument)
}

fn several(value: &str, matches: &[Match], told: &Told<'_>) -> String {
    let mut text = format!(
        "The argument \"{value}\" could apply to the following container images, OpenShift image streams, or templates:\n\n"
    );
    let offers = matches.iter().take(SHOWN_MAX).map(offer).collect::<Vec<_>>().join("\n");
    text.push_str(&offers);
    if matches.len() > SHOWN_MAX {
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            "\nTo view a full list of matches, use '{} new-app -S {value}'",
            told.program
        );
    }
    text
}

fn no_input(told: &Told<'_>) -> String {
    let program = told.program;
    let text = match told.verb {
        Verb::App => format!(
            "You must specify one or more images, image streams, templates, or source code locations to create an \
             application.\n\nTo list all local templates and image streams, use:\n\n  {program} new-app -L\n\nTo search \
             templates, image streams, and container images that match the arguments provided, use:\n\n  {program} new-app \
             -S php\n  {program} new-app -S --image-stream=mysql\n  {program} new-app -S \
             --image=registry.access.redhat.com/ubi8/python-38\n\nFor details on how to use the results from those searches \
             to provide images, image streams, templates, or source code locations as inputs into '{program} new-app', \
             use:\n\n  {program} help new-app\n"
        ),
        Verb::Build => format!(
            "You must specify one or more images, image streams, or source code locations to create a build.\n\nTo build \
             from an existing image stream tag or container image, provide the name of the image and\nthe source code \
             location:\n\n  {program} new-build centos/nodejs-8-centos7~https://github.com/sclorg/nodejs-ex.git\n\nIf you \
             only specify the source repository location (local or remote), the command will look at\nthe repo to determine \
             the type, and then look for a matching image on your server or on the\ndefault container image registry.\n\n  \
             {program} new-build https://github.com/sclorg/nodejs-ex.git\n\nwill look for an image called \"nodejs\" in your \
             current project, the 'openshift' project, or\non the configured container registries.\n"
        ),
    };
    format!("{text}\nSee '{program} {} -h' for help and examples", told.verb.name())
}
