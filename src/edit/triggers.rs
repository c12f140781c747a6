//! The triggers of an object, however its kind writes them (rules T28 to T31).

mod annotated;
mod build;
mod deployment;

use std::fmt;

use super::{Document, EditError, Manifests, Place, Sort};
use crate::names::Namespace;

/// What sets an object in motion.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Triggers {
    /// Whether a change of its configuration does.
    pub config: bool,
    /// Tags of image streams that do.
    pub images: Vec<ImageTrigger>,
    /// Hooks that do.
    pub hooks: Vec<Hook>,
}

/// One tag that sets an object in motion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageTrigger {
    /// The tag.
    pub from: FromTag,
    /// Containers that get its image.
    pub containers: Vec<String>,
    /// Whether it acts by itself.
    pub automatic: bool,
}

/// A tag as triggers name it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FromTag {
    /// `stream:tag`.
    pub name: String,
    /// The namespace of the stream; none for that of the object.
    pub namespace: Option<String>,
}

impl FromTag {
    /// A tag; the namespace is left out where it is the object's own.
    #[must_use]
    pub fn new(name: &str, namespace: Option<&str>, own: &Namespace) -> Self {
        let other = namespace.filter(|text| !text.is_empty() && *text != own.as_str());
        Self { name: name.to_owned(), namespace: other.map(str::to_owned) }
    }
}

impl fmt::Display for FromTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// A hook that starts builds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hook {
    /// Whose.
    pub kind: HookKind,
    /// Whether its caller may set the environment of the build.
    pub allow_env: bool,
}

/// Whose hooks there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HookKind {
    /// Anybody's.
    Generic,
    /// GitHub's.
    GitHub,
    /// GitLab's.
    GitLab,
    /// Bitbucket's.
    Bitbucket,
}

impl HookKind {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::Generic, Self::GitHub, Self::GitLab, Self::Bitbucket];

    /// `type` of the trigger.
    fn word(self) -> &'static str {
        match self {
            Self::Generic => "Generic",
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
            Self::Bitbucket => "Bitbucket",
        }
    }

    /// The key that its secret stands below.
    fn key(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Bitbucket => "bitbucket",
        }
    }

    /// The type in a listing.
    #[must_use]
    pub fn listed(self) -> &'static str {
        if self == Self::Generic { "webhook" } else { self.key() }
    }
}

/// What is to become of triggers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wish {
    /// All of them go.
    RemoveAll,
    /// One goes.
    Remove(One),
    /// All that are there become automatic or manual.
    All {
        /// Which of the two.
        automatic: bool,
    },
    /// One is there afterwards.
    Put {
        /// Which.
        one: One,
        /// Whether it acts by itself.
        automatic: bool,
    },
}

impl Wish {
    /// With the namespace of a tag left out where it is the object's own.
    fn seen_from(&self, own: &Namespace) -> Self {
        let mut wish = self.clone();
        if let Self::Remove(One::Image { from, .. })
        | Self::Put { one: One::Image { from, .. }, .. } = &mut wish
        {
            *from = FromTag::new(&from.name, from.namespace.as_deref(), own);
        }
        wish
    }
}

/// One trigger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum One {
    /// A change of the configuration.
    Config,
    /// A tag of an image stream.
    Image {
        /// Which.
        from: FromTag,
        /// Containers that get its image.
        containers: Vec<String>,
    },
    /// A hook.
    Hook {
        /// What kind of hook.
        hook: Hook,
        /// What its caller has to know.
        secret: String,
    },
}

/// Why triggers are not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// The object has no triggers.
    #[error("does not support triggers")]
    Unsupported,
    /// Nothing would get the image.
    #[error("you must specify --containers when setting --from-image")]
    NoContainers,
    /// Containers that are not there.
    #[error("not all container names exist: {missing} (accepts: {known})")]
    UnknownContainers {
        /// Which.
        missing: String,
        /// Those that are there.
        known: String,
    },
    /// A container would get two images.
    #[error("only one trigger may reference each container: {0}")]
    Twice(String),
    /// Hooks start builds alone.
    #[error("{0}")]
    NoHooks(String),
    /// What is there cannot be read.
    #[error("has triggers that cannot be read: {0}; correct them by hand first")]
    Unreadable(String),
    /// The text cannot be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
}

/// How a kind writes its triggers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `spec.triggers` of a `DeploymentConfig`.
    Deployment,
    /// `spec.triggers` of a `BuildConfig`.
    Build,
    /// The annotation; the pod template stands here.
    Annotated(&'static [&'static str]),
}

fn form(document: &Document) -> Option<Form> {
    const TEMPLATE: &[&str] = &["spec", "template"];
    const OF_JOB: &[&str] = &["spec", "jobTemplate", "spec", "template"];
    let forms = [
        ("DeploymentConfig", "apps.openshift.io", Form::Deployment),
        ("BuildConfig", "build.openshift.io", Form::Build),
        ("Deployment", "apps", Form::Annotated(TEMPLATE)),
        ("StatefulSet", "apps", Form::Annotated(TEMPLATE)),
        ("DaemonSet", "apps", Form::Annotated(TEMPLATE)),
        ("CronJob", "batch", Form::Annotated(OF_JOB)),
        ("Pod", "", Form::Annotated(&[])),
    ];
    let found = forms.into_iter().find(|(kind, group, _)| document.is(Sort { kind, group }));
    found.map(|(_, _, form)| form)
}

impl Document {
    /// Its triggers; none where its kind has none.
    #[must_use]
    pub fn triggers(&self) -> Option<Result<Triggers, String>> {
        Some(match form(self)? {
            Form::Deployment => Ok(deployment::read(self)),
            Form::Build => Ok(build::read(self)),
            Form::Annotated(template) => annotated::read(self, template),
        })
    }
}

impl Manifests {
    /// Changes the triggers of an object; what else has to be said of it is returned.
    ///
    /// # Errors
    /// When the object has no such triggers, or its text cannot be changed so.
    pub fn set_triggers(
        &mut self,
        place: &Place,
        wish: &Wish,
    ) -> Result<Vec<String>, TriggerError> {
        let gone = || EditError::Gone { path: place.path.clone() };
        let document = self.at(place).ok_or_else(gone)?.clone();
        let wish = &wish.seen_from(&document.namespace);
        match form(&document).ok_or(TriggerError::Unsupported)? {
            Form::Deployment => deployment::set(self, place, &document, wish),
            Form::Build => build::set(self, place, &document, wish),
            Form::Annotated(template) => annotated::set(self, place, &document, template, wish),
        }
    }
}

/// The containers of a pod template: their names, and which of them are init containers.
struct Containers {
    regular: Vec<String>,
    init: Vec<String>,
}

impl Containers {
    fn of(document: &Document, template: &[&str]) -> Self {
        let names = |list: &str| {
            let path: Vec<&str> = template.iter().copied().chain(["spec", list]).collect();
            document.names(&path)
        };
        Self { regular: names("containers"), init: names("initContainers") }
    }

    /// Refuses what no trigger may say of containers.
    fn check(&self, wanted: &[String]) -> Result<(), TriggerError> {
        if wanted.is_empty() {
            return Err(TriggerError::NoContainers);
        }
        let sorted = |names: Vec<&str>| {
            let names: std::collections::BTreeSet<&str> = names.into_iter().collect();
            names.into_iter().collect::<Vec<_>>().join(", ")
        };
        let known = || self.regular.iter().chain(&self.init);
        let missing: Vec<&str> = wanted
            .iter()
            .filter(|name| !known().any(|one| one == *name))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            let known = sorted(known().map(String::as_str).collect());
            return Err(TriggerError::UnknownContainers { missing: sorted(missing), known });
        }
        twice(wanted.iter().map(String::as_str))
    }
}

fn twice<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), TriggerError> {
    let mut seen = std::collections::BTreeSet::new();
    let again: std::collections::BTreeSet<&str> =
        names.filter(|name| !seen.insert(*name)).collect();
    if again.is_empty() {
        return Ok(());
    }
    Err(TriggerError::Twice(again.into_iter().collect::<Vec<_>>().join(", ")))
}

fn no_hooks(whose: &str, kind: HookKind) -> TriggerError {
    let kind = match kind {
        HookKind::Generic => String::new(),
        kind @ (HookKind::GitHub | HookKind::GitLab | HookKind::Bitbucket) => {
            format!("{} ", kind.word())
        }
    };
    TriggerError::NoHooks(format!("{whose} not support {kind}web hooks"))
}

fn replaced(containers: &[String], from: &FromTag) -> String {
    let noun = if containers.len() == 1 { "container" } else { "containers" };
    format!("this replaces the trigger on {from} of {noun} {}", containers.join(", "))
}
