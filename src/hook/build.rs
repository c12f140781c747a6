//! Webhooks of `BuildConfig`s (section 4.4 of the triggers specification): what a payload says of a commit, and whether
//! that is what a `BuildConfig` builds.
//!
//! Unlike the notices of the other hooks a payload is believed in one thing, the id of the commit that is built (rule B24):
//! who knows the secret may have any commit of the repository built, as at OpenShift, and nothing else.

pub mod answer;
mod forge;
mod generic;
mod place;

use serde::{Deserialize, Serialize};

use super::proof::{is_same, is_signed};
use super::{Notice, Secrets, Silence, shown};
use crate::fact::{BuildOptions, SourceRevision, WebhookKind};
use crate::limits::HOOK_ENV_BYTES_MAX;
use crate::names::ObjectKey;

pub use place::{Asked, Place, kind_of, place, word};

/// What a payload says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// Which commits.
    #[serde(default)]
    pub refs: Refs,
    /// The default branch of the repository, where the sender tells it.
    #[serde(default)]
    pub default_branch: Option<String>,
    /// Variables, which a trigger may allow (rule B23).
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// `dockerStrategyOptions.buildArgs`.
    #[serde(default)]
    pub build_args: Vec<(String, String)>,
    /// `dockerStrategyOptions.noCache`.
    #[serde(default)]
    pub no_cache: Option<bool>,
    /// What is odd about it and keeps nobody from building.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Which commits a payload is about.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Refs {
    /// There is no payload: the newest commit is built.
    #[default]
    Untold,
    /// There is a payload without `git`.
    Without,
    /// `git` of a generic payload.
    One(Moved),
    /// `git.refs` of a generic payload.
    Any(Vec<Moved>),
    /// The branches that a git host says were pushed.
    Pushed(Vec<Moved>),
}

/// A branch and the commit that it points at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// The branch as it was told, with or without `refs/heads/`.
    pub reference: String,
    /// The commit.
    #[serde(default)]
    pub revision: SourceRevision,
}

/// What a `BuildConfig` builds.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// `source.git.ref`, which may be empty; none where it is not built from git.
    pub reference: Option<&'a str>,
    /// What an empty one means, where it is known.
    pub default_branch: Option<&'a str>,
    /// Whether a payload may set variables.
    pub allow_env: bool,
}

/// What follows from a payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// A build.
    Build {
        /// What the payload tells of its commit.
        revision: Option<Box<SourceRevision>>,
        /// What it is asked.
        options: Box<BuildOptions>,
        /// What was odd about the payload.
        warnings: Vec<String>,
    },
    /// No build.
    Nothing {
        /// Why.
        why: String,
        /// Whether the sender is told in the answer, as OpenShift does.
        is_told: bool,
    },
}

/// Something that is delivered by hand: the payload as it was read, and for whom.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// The `BuildConfig`.
    pub object: ObjectKey,
    /// As which type of trigger.
    pub kind: WebhookKind,
    /// What it says.
    pub payload: Payload,
}

/// Reads a payload (rules B22, B23).
///
/// # Errors
/// Why there is nothing to build: it says nothing that matters, or is not what this type of sender sends.
pub fn read(kind: WebhookKind, notice: &Notice<'_>) -> Result<Payload, Silence> {
    match kind {
        WebhookKind::GitHub => forge::github(notice),
        WebhookKind::GitLab => forge::gitlab(notice),
        WebhookKind::Bitbucket => forge::bitbucket(notice),
        WebhookKind::Generic => generic::read(notice),
    }
}

impl Payload {
    /// Whether it has to be known which branch is the default one, and the payload does not tell (rule B21).
    #[must_use]
    pub fn needs_default(&self, reference: Option<&str>) -> bool {
        let names = |moved: &Moved| !moved.reference.is_empty();
        let is_told = match &self.refs {
            Refs::Untold | Refs::Without => false,
            Refs::One(moved) => names(moved),
            Refs::Any(all) | Refs::Pushed(all) => all.iter().any(names),
        };
        is_told && reference == Some("") && self.default_branch.is_none()
    }

    /// Decides what is built (rules B21, B23, B24).
    #[must_use]
    pub fn decide(&self, wanted: Wanted<'_>) -> Decision {
        let reference = wanted.reference.filter(|reference| !reference.is_empty());
        let default = wanted.default_branch.or(self.default_branch.as_deref());
        let expected = reference.or(default).map(branch);
        let fits = |moved: &&Moved| expected == Some(branch(&moved.reference));
        let has_git = wanted.reference.is_some();
        let skipped = |why: String| Decision::Nothing {
            why: format!("skipping build. {why}"),
            is_told: true,
        };
        // What is told of git means nothing to what is not built from it; but a push to another branch is no reason.
        if !has_git && !matches!(self.refs, Refs::Pushed(_)) {
            return self.build(None, wanted);
        }
        match &self.refs {
            Refs::Untold => self.build(None, wanted),
            Refs::Without => {
                let told =
                    "no git information found in payload, ignoring and continuing with build";
                self.warned(told).build(None, wanted)
            }
            Refs::One(moved) if fits(&moved) => self.build(Some(moved), wanted),
            Refs::One(moved) => {
                let told = shown(&moved.reference);
                skipped(format!("Branch reference from {told:?} does not match configuration"))
            }
            Refs::Any(all) => match all.iter().find(fits) {
                Some(moved) => self.build(Some(moved), wanted),
                None => {
                    let wanted = wanted.reference.unwrap_or_default();
                    skipped(format!("None of the supplied refs matched {wanted:?}"))
                }
            },
            Refs::Pushed(all) => match (all.iter().find(fits), expected) {
                (Some(moved), _) => self.build(Some(moved).filter(|_| has_git), wanted),
                (None, None) => self.build(all.first().filter(|_| has_git), wanted),
                (None, Some(expected)) => {
                    Decision::Nothing { why: other(all, expected), is_told: false }
                }
            },
        }
    }

    fn warned(&self, warning: &str) -> Self {
        let mut warned = self.clone();
        warned.warnings.push(warning.to_owned());
        warned
    }

    fn build(&self, moved: Option<&Moved>, wanted: Wanted<'_>) -> Decision {
        let revision = moved.map(|moved| &moved.revision);
        let revision = revision.filter(|revision| **revision != SourceRevision::default());
        let commit = revision.map(|revision| revision.commit.clone());
        let mut warnings = self.warnings.clone();
        let may_set = wanted.allow_env || self.env.is_empty();
        if !may_set {
            warnings.push(NO_ENV.to_owned());
        }
        let options = BuildOptions {
            commit: commit.filter(|commit| !commit.is_empty()),
            env: if may_set { self.env.clone() } else { Vec::new() },
            build_args: self.build_args.clone(),
            no_cache: self.no_cache,
            ..BuildOptions::default()
        };
        Decision::Build {
            revision: revision.cloned().map(Box::new),
            options: Box::new(options),
            warnings,
        }
    }

    /// What it names, as a log of deliveries shows it.
    #[must_use]
    pub fn named(&self) -> Vec<String> {
        let one = |moved: &Moved| {
            let branch = shown(branch(&moved.reference));
            match moved.revision.commit.as_str() {
                "" => format!("branch {branch}"),
                commit => format!("branch {branch} at {}", shown(commit)),
            }
        };
        match &self.refs {
            Refs::Untold | Refs::Without => Vec::new(),
            Refs::One(moved) => vec![one(moved)],
            Refs::Any(all) | Refs::Pushed(all) => all.iter().take(NAMED_MAX).map(one).collect(),
        }
    }
}

/// What is said where a payload sets variables and its trigger does not allow that.
pub const NO_ENV: &str = "the trigger does not allow environment variables (`allowEnv`), ignoring `env` and continuing with build";

/// Branches of one payload that are shown.
const NAMED_MAX: usize = 5;

/// The name of a branch without what git writes before it.
fn branch(reference: &str) -> &str {
    reference.strip_prefix("refs/heads/").unwrap_or(reference)
}

fn other(all: &[Moved], expected: &str) -> String {
    let names: Vec<_> =
        all.iter().take(NAMED_MAX).map(|moved| shown(branch(&moved.reference))).collect();
    let expected = shown(expected);
    match names.as_slice() {
        [one] => format!("branch {one} is not {expected}, which is built"),
        several => {
            format!("none of the branches {} is {expected}, which is built", several.join(", "))
        }
    }
}

/// What shows that a sender knows a secret (rules B18, B25).
#[derive(Clone, Copy)]
pub enum Claim<'a> {
    /// The secret itself, in the address.
    Secret(&'a [u8]),
    /// An HMAC-SHA256 of the body.
    Signature(&'a str),
}

/// A trigger as far as it lets somebody in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key {
    /// The secrets, each as good as the other.
    pub secrets: Secrets,
    /// `allowEnv`.
    pub allow_env: bool,
}

/// Whether a sender knows a secret of one of the triggers; then, whether one that it knows allows variables.
///
/// Each is compared, in constant time, also after one that fits; where there is none, as much is computed.
#[must_use]
pub fn prove(claim: Claim<'_>, body: &[u8], keys: &[Key]) -> Option<bool> {
    let compare = |secret: &[u8]| match claim {
        Claim::Secret(given) => is_same(secret, given),
        Claim::Signature(hex) => {
            let hex = hex.trim();
            is_signed(secret, body, hex.strip_prefix("sha256=").unwrap_or(hex))
        }
    };
    if keys.iter().all(|key| key.secrets.is_empty()) {
        std::hint::black_box(compare(b"")); // never a proof: an empty secret is nobody's
    }
    let (mut is_known, mut allows) = (false, false);
    for key in keys {
        let fits = key.secrets.each().fold(false, |fits, secret| fits | compare(secret));
        is_known |= fits;
        allows |= fits & key.allow_env;
    }
    is_known.then_some(allows)
}

/// `Name <address>`.
fn person(name: Option<&str>, address: Option<&str>) -> String {
    let (name, address) = (name.unwrap_or_default(), address.unwrap_or_default());
    match (name.is_empty(), address.is_empty()) {
        (_, true) => SourceRevision::line(name),
        (true, false) => SourceRevision::line(&format!("<{address}>")),
        (false, false) => SourceRevision::line(&format!("{name} <{address}>")),
    }
}

/// The id of a commit as a git host tells it: all of it, so that nothing else can be meant.
fn whole(id: &str) -> Result<String, Silence> {
    let is_whole = matches!(id.len(), 40 | 64) && id.bytes().all(|c| c.is_ascii_hexdigit());
    match is_whole {
        true => Ok(id.to_ascii_lowercase()),
        false => Err(Silence::Unreadable(format!("`{}` is not the id of a commit", shown(id)))),
    }
}

/// Variables or arguments, if they are few enough to be kept.
fn bounded(all: Vec<(String, String)>, what: &str) -> Result<Vec<(String, String)>, Silence> {
    let bytes: usize = all.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > HOOK_ENV_BYTES_MAX {
        let why = format!("`{what}` has more than {HOOK_ENV_BYTES_MAX} bytes");
        return Err(Silence::Unreadable(why));
    }
    let odd = |c: u8| !(c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-'));
    match all
        .iter()
        .find(|(name, value)| name.is_empty() || name.bytes().any(odd) || value.contains('\0'))
    {
        Some((name, _)) => {
            let why = format!("`{what}` has a variable `{}`, which is not a name", shown(name));
            Err(Silence::Unreadable(why))
        }
        None => Ok(all),
    }
}

#[cfg(test)]
mod tests;
