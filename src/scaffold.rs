//! Applications and builds out of a few words: what `new-app` and `new-build` understand, make and say (section 6 of the
//! triggers specification).
//!
//! Pure. [`resolve`] takes the words of a command and what is known, and either ends or asks one [`Question`]; who has
//! the answer puts it into [`Known`] and asks again. Then [`pipelines`] says what becomes of what, [`make`] which objects
//! that is, and [`report`] what a reader is told. Nothing here writes: the objects are manifests for
//! [`edit`](crate::edit).

pub mod build;
mod circle;
pub mod dockerfile;
pub mod failure;
pub mod find;
pub mod image;
pub mod make;
mod pair;
mod pipeline;
pub mod report;
pub mod search;
pub mod source;
pub mod template;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::action::ImportMode;
use crate::api::{Image, ImageStream};
use crate::names::Namespace;

pub use failure::Failure;
pub use pair::{Part, Repository, Resolved, resolve};
pub use pipeline::{Deployed, Pipeline, Plan, pipelines};
pub use source::Source;

/// What is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `new-app`: builds and what runs.
    App,
    /// `new-build`: builds.
    Build,
}

impl Verb {
    /// As it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::App => "new-app",
            Self::Build => "new-build",
        }
    }

    /// `openshift.io/generated-by` of what it makes (rule N10).
    #[must_use]
    pub fn generator(self) -> &'static str {
        match self {
            Self::App => "OpenShiftNewApp",
            Self::Build => "OpenShiftNewBuild",
        }
    }
}

/// How an image is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// From a Dockerfile.
    Docker,
    /// By a builder image.
    Source,
    /// By a Jenkinsfile.
    Pipeline,
}

impl Strategy {
    /// As it is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Source => "source",
            Self::Pipeline => "pipeline",
        }
    }
}

/// Which words named a component (rule N2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// An argument: it may be anything.
    Argument,
    /// `--image-stream`.
    ImageStream,
    /// `--image`.
    Image,
    /// `--template`, `--file`, or an argument that is a template file.
    Template,
}

/// One word that names a component, or several that are one pod: `a+b` (rule N1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Component {
    /// The word.
    pub word: String,
    /// How it was named.
    pub named: Named,
}

/// What a command asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of `oc`")]
pub struct Wanted {
    /// What is made.
    pub verb: Verb,
    /// Where it is made.
    pub namespace: Namespace,
    /// `--name`; empty for none.
    pub name: String,
    /// Images, streams and templates.
    pub components: Vec<Component>,
    /// Sources that no component names: arguments and `--code`.
    pub sources: Vec<String>,
    /// `--group`: components that are one pod, as `a+b`.
    pub groups: Vec<String>,
    /// Environment of containers.
    pub environment: BTreeMap<String, String>,
    /// Environment of builds.
    pub build_environment: BTreeMap<String, String>,
    /// `--build-arg`, in their order.
    pub build_arguments: Vec<(String, String)>,
    /// `--labels`.
    pub labels: BTreeMap<String, String>,
    /// `--param`, of templates.
    pub parameters: BTreeMap<String, String>,
    /// `--ignore-unknown-parameters`.
    pub ignore_unknown_parameters: bool,
    /// `--strategy`.
    pub strategy: Option<Strategy>,
    /// `--context-dir`; empty for none.
    pub context_dir: String,
    /// `--binary`.
    pub binary: bool,
    /// `--dockerfile`, its text.
    pub dockerfile: Option<String>,
    /// `--to`; empty for none.
    pub to: String,
    /// `--to-docker`.
    pub to_docker: bool,
    /// `--no-output`.
    pub no_output: bool,
    /// `--source-image`; empty for none.
    pub source_image: String,
    /// `--source-image-path`.
    pub source_image_path: String,
    /// `--source-secret`; empty for none.
    pub source_secret: String,
    /// `--push-secret`; empty for none.
    pub push_secret: String,
    /// `--build-secret`, `NAME:FOLDER`.
    pub build_secrets: Vec<String>,
    /// `--build-config-map`, `NAME:FOLDER`.
    pub build_config_maps: Vec<String>,
    /// `--allow-missing-images`.
    pub allow_missing_images: bool,
    /// `--allow-missing-imagestream-tags`.
    pub allow_missing_tags: bool,
    /// `--insecure-registry`.
    pub insecure: bool,
    /// `--import-mode`, where it is not the usual one.
    pub import_mode: Option<ImportMode>,
    /// `--as-deployment-config`.
    pub as_deployment_config: bool,
    /// `--as-test`.
    pub as_test: bool,
    /// `--copy-tag`: a stream of its own for every application, as clients of 2019 had it (rule N19).
    pub copy_tag: bool,
    /// `--inline-secrets`: random texts for webhooks, two for every build; none to name a Secret (rule N13).
    pub webhook_secrets: Option<Vec<String>>,
}

impl Wanted {
    /// Nothing of a namespace, yet.
    #[must_use]
    pub fn new(verb: Verb, namespace: Namespace) -> Self {
        Self {
            verb,
            namespace,
            name: String::new(),
            components: Vec::new(),
            sources: Vec::new(),
            groups: Vec::new(),
            environment: BTreeMap::new(),
            build_environment: BTreeMap::new(),
            build_arguments: Vec::new(),
            labels: BTreeMap::new(),
            parameters: BTreeMap::new(),
            ignore_unknown_parameters: false,
            strategy: None,
            context_dir: String::new(),
            binary: false,
            dockerfile: None,
            to: String::new(),
            to_docker: false,
            no_output: false,
            source_image: String::new(),
            source_image_path: String::new(),
            source_secret: String::new(),
            push_secret: String::new(),
            build_secrets: Vec::new(),
            build_config_maps: Vec::new(),
            allow_missing_images: false,
            allow_missing_tags: false,
            insecure: false,
            import_mode: None,
            as_deployment_config: false,
            as_test: false,
            copy_tag: false,
            webhook_secrets: None,
        }
    }

    /// Whether a build is expected wherever there is a component.
    fn expects_builds(&self) -> bool {
        self.verb == Verb::Build
    }
}

/// What is known of the world, and what it answered.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Known {
    /// The streams of all namespaces, in order.
    pub streams: Vec<ImageStream>,
    /// Those of them that no manifest asks for, by namespace and name: tags of them were pushed once, and what is built
    /// for one goes nowhere (rule B53).
    pub unwritten: BTreeSet<(String, String)>,
    /// Images of streams, by digest.
    pub images: BTreeMap<String, Image>,
    /// What registries answered, by the word that was asked.
    pub asked: BTreeMap<String, Asked>,
    /// What sources hold, by where they are, or why they cannot be read.
    pub sources: BTreeMap<String, Result<Source, String>>,
    /// Texts of template files, by the word that names them.
    pub templates: BTreeMap<String, String>,
}

impl Known {
    /// A stream that a manifest asks for.
    fn written(&self, namespace: &str, name: &str) -> Option<&ImageStream> {
        let key = (namespace.to_owned(), name.to_owned());
        let is_it = |stream: &&ImageStream| {
            stream.metadata.namespace == namespace && stream.metadata.name == name
        };
        self.streams.iter().find(is_it).filter(|_| !self.unwritten.contains(&key))
    }
}

/// What a registry says of an image.
#[derive(Clone, PartialEq, Debug)]
pub enum Asked {
    /// It has it.
    Found(Box<Image>),
    /// It has it not.
    Missing,
    /// It cannot be asked, or does not say.
    Failed(String),
}

/// What has to be known before it goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// What a registry says of an image of this name.
    Image(String),
    /// What a source holds.
    Source(String),
}

/// Why it does not go on.
#[derive(Clone, PartialEq, Debug)]
pub enum Stop {
    /// Something has to be found out first.
    Ask(Question),
    /// It cannot be done.
    Fail(Box<Failure>),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Fail(Box::new(failure))
    }
}

/// Fails with a plain message.
fn fail<T>(message: impl Into<String>) -> Result<T, Stop> {
    Err(Failure::Plain(message.into()).into())
}

/// A text without what a terminal would act on: labels of images and words of command lines may hold anything.
#[must_use]
pub fn plain(text: &str) -> String {
    let sign = |c: char| if c.is_control() && c != '\n' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(sign).collect()
}

/// The namespace whose streams everybody may use (rule N3).
pub const SHARED: &str = "openshift";

/// The tag that is meant where none is named.
const LATEST: &str = "latest";
