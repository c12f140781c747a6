//! Webhooks that come in: what a sender's notice says, and whether it is from whom it claims to be.
//!
//! Pure: a kind of sender, a few headers and the bytes of a body become hints. A hint is never believed (law 5): it only
//! says which registry or repository is to be read again, so a notice that is forged, repeated or late can at most cost
//! a look. One file per family of senders holds the shape of what it sends, as far as we need it; fields that nobody
//! here reads are skipped, so that a sender may grow.

mod bitbucket;
pub mod build;
pub mod deliveries;
mod distribution;
mod docker_hub;
mod first;
mod generic;
mod gitea;
mod github;
mod gitlab;
mod harbor;
mod proof;
mod quay;

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::action::Pushed;
use crate::limits::HOOK_HINTS_MAX;
use crate::reference::ImageReference;

use first::First;
pub use proof::{Secrets, Unproven, prove};

/// Who sends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A registry of the CNCF's distribution, and what speaks like it (GitLab's, `docker-registry`).
    Distribution,
    /// Docker Hub.
    DockerHub,
    /// GitHub: pushes to git, and packages of its container registry.
    #[serde(rename = "github")]
    GitHub,
    /// Quay.
    Quay,
    /// Harbor.
    Harbor,
    /// GitLab: pushes to git, and its container registry.
    #[serde(rename = "gitlab")]
    GitLab,
    /// Gitea and Forgejo: pushes to git, and their packages.
    Gitea,
    /// Bitbucket, cloud and data center.
    Bitbucket,
    /// Anybody's script.
    Generic,
    /// `notify-push` over HTTP: an image is said to be a tag's.
    NotifyPush,
}

impl Kind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Distribution,
        Self::DockerHub,
        Self::GitHub,
        Self::Quay,
        Self::Harbor,
        Self::GitLab,
        Self::Gitea,
        Self::Bitbucket,
        Self::Generic,
        Self::NotifyPush,
    ];

    /// As the configuration spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Distribution => "distribution",
            Self::DockerHub => "docker-hub",
            Self::GitHub => "github",
            Self::Quay => "quay",
            Self::Harbor => "harbor",
            Self::GitLab => "gitlab",
            Self::Gitea => "gitea",
            Self::Bitbucket => "bitbucket",
            Self::Generic => "generic",
            Self::NotifyPush => "notify-push",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One hook, as far as it decides what a notice means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hook {
    /// Who sends.
    pub kind: Kind,
    /// The registry's name in references, where the sender calls it otherwise or not at all.
    pub registry: Option<String>,
    /// The header that holds the token, in lower case, for kinds that send one in a header of the user's choice.
    pub header: String,
}

/// A notice as it came. It has no `Debug`: headers, path and body hold secrets (law 10).
#[derive(Clone, Copy)]
pub struct Notice<'a> {
    /// The value of a header, by its name in lower case.
    pub header: &'a dyn Fn(&str) -> Option<&'a str>,
    /// What stands behind the hook's name in the path.
    pub token: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// What may have changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Hint {
    /// What this names in a registry; all tags of a repository, where it names none.
    Image(ImageReference),
    /// The image of a tag, which somebody pushed for it.
    Push(Pushed),
    /// A branch of a git repository.
    Branch(String),
    /// The source, whatever its branch.
    Source,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(image) => image.fmt(f),
            Self::Push(Pushed { tag, image }) => write!(f, "{tag} is {image}"),
            Self::Branch(branch) => write!(f, "branch {branch}"),
            Self::Source => f.write_str("the source"),
        }
    }
}

/// Why a notice gives no hint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Silence {
    /// It is understood and says nothing that matters: a ping, a pull, a deletion.
    Nothing(String),
    /// It is not what this kind of sender sends.
    Unreadable(String),
}

/// What a notice tells.
pub type Told = Result<Vec<Hint>, Silence>;

/// Reads a notice. Nothing of it is checked here: [`prove`] first.
///
/// At most [`HOOK_HINTS_MAX`] hints come of it, each once.
///
/// # Errors
/// Why it gives none.
pub fn read(hook: &Hook, notice: &Notice<'_>) -> Told {
    let hints = match hook.kind {
        Kind::Distribution => distribution::read(hook, notice),
        Kind::DockerHub => docker_hub::read(notice),
        Kind::GitHub => github::read(hook, notice),
        Kind::Quay => quay::read(hook, notice),
        Kind::Harbor => harbor::read(hook, notice),
        Kind::GitLab => gitlab::read(hook, notice),
        Kind::Gitea => gitea::read(hook, notice),
        Kind::Bitbucket => bitbucket::read(notice),
        Kind::Generic => generic::read(notice),
        Kind::NotifyPush => generic::read_push(notice),
    }?;
    let mut each: Vec<Hint> = Vec::new();
    for hint in hints {
        if each.len() < HOOK_HINTS_MAX && !each.contains(&hint) {
            each.push(hint);
        }
    }
    Ok(each)
}

/// What the sender calls this delivery, to be found in its own log; only what looks like an id.
#[must_use]
pub fn delivery_id(notice: &Notice<'_>) -> Option<String> {
    const HEADERS: [&str; 5] = [
        "x-github-delivery",
        "x-forgejo-delivery",
        "x-gitea-delivery",
        "x-gitlab-event-uuid",
        "x-request-uuid",
    ];
    let id = HEADERS.iter().find_map(|name| (notice.header)(name))?;
    let is_id = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    ((1..=64).contains(&id.len()) && id.bytes().all(is_id)).then(|| id.to_owned())
}

/// Reads a JSON body. What is told of a wrong one names the place and never the content, which may be anything.
fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Silence> {
    // A list would be taken for the fields in their order.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(Silence::Unreadable("the body is a list; expected a JSON object".into()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Data => "is not of the shape that this kind sends",
            serde_json::error::Category::Eof => "ends too early",
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "is not JSON",
        };
        Silence::Unreadable(format!("the body {what} (line {line}, column {column})"))
    })
}

/// The JSON of a sender that may pack it into a form, as GitHub and Gitea do unless they are told otherwise.
fn form_or_json<'a>(notice: &Notice<'a>) -> Cow<'a, [u8]> {
    let kind = (notice.header)("content-type").unwrap_or_default();
    if !kind.trim().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return Cow::Borrowed(notice.body);
    }
    let mut fields = url::form_urlencoded::parse(notice.body);
    let payload = fields.find(|(name, _)| name == "payload").map(|(_, value)| value);
    Cow::Owned(payload.map(|text| text.into_owned().into_bytes()).unwrap_or_default())
}

fn nothing(why: impl Into<String>) -> Told {
    Err(Silence::Nothing(why.into()))
}

fn unreadable(why: impl Into<String>) -> Told {
    Err(Silence::Unreadable(why.into()))
}

/// Text of a sender as a reason shows it: short, on one line, without what moves a cursor.
#[must_use]
pub fn shown(text: &str) -> String {
    let clean = |c: char| if c.is_alphanumeric() || c.is_ascii_graphic() { c } else { ' ' };
    let cut: String = text.chars().take(100).map(clean).collect();
    if cut.len() < text.len() && text.chars().nth(100).is_some() { cut + "..." } else { cut }
}

/// A tag of a repository of a registry.
fn image(registry: &str, repository: &str, tag: Option<&str>) -> Result<ImageReference, Silence> {
    // Registries are case-insensitive, and owners in GitHub's notices are spelled with capitals.
    let text = format!("{registry}/{repository}").to_ascii_lowercase();
    let text = tag.map_or_else(|| text.clone(), |tag| format!("{text}:{tag}"));
    let image = text.parse::<ImageReference>().ok().filter(|image| !image.is_registry_only());
    image.ok_or_else(|| {
        Silence::Unreadable(format!("`{}` is not the name of an image", shown(&text)))
    })
}

/// `HOST` or `HOST:PORT` of an address.
fn host_of(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

/// What it says that a reference of a git repository moved.
fn moved(reference: &str, is_gone: bool) -> Told {
    match reference.strip_prefix("refs/heads/") {
        Some(branch) if is_gone => nothing(format!("branch {} was deleted", shown(branch))),
        Some(branch) if !branch.is_empty() => Ok(vec![Hint::Branch(branch.to_owned())]),
        _ => nothing(format!("`{}` is not a branch", shown(reference))),
    }
}

/// Whether a commit id is that of none: what a deleted branch points at.
fn is_no_commit(id: Option<&str>) -> bool {
    id.is_some_and(|id| !id.is_empty() && id.bytes().all(|c| c == b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a notice of a kind tells: its hints, or why there are none.
    pub(super) fn told(kind: Kind, headers: &[(&str, &str)], body: &str) -> Vec<String> {
        let hook = Hook { kind, registry: None, header: "authorization".into() };
        told_by(&hook, headers, body)
    }

    pub(super) fn told_by(hook: &Hook, headers: &[(&str, &str)], body: &str) -> Vec<String> {
        let header =
            |name: &str| headers.iter().find(|(own, _)| *own == name).map(|(_, value)| *value);
        let notice = Notice { header: &header, token: None, body: body.as_bytes() };
        match read(hook, &notice) {
            Ok(hints) => hints.iter().map(ToString::to_string).collect(),
            Err(Silence::Nothing(why)) => vec![format!("nothing: {why}")],
            Err(Silence::Unreadable(why)) => vec![format!("unreadable: {why}")],
        }
    }

    #[test]
    fn every_kind_is_spelled_as_it_is_read() {
        for kind in Kind::ALL {
            let text = serde_json::to_string(&kind).unwrap();
            assert_eq!(text, format!("\"{kind}\""));
        }
    }

    #[test]
    fn a_body_that_is_no_json_is_told_by_its_place_and_not_by_its_content() {
        for kind in Kind::ALL {
            let headers = [
                ("x-github-event", "push"),
                ("x-gitlab-event", "Push Hook"),
                ("x-gitea-event", "push"),
                ("x-event-key", "repo:push"),
            ];
            for body in
                ["hunter2", "[\"hunter2\"]", "{\"ref\": {\"hunter2\": 1}, \"tag\": []", "\u{0}"]
            {
                let told = told(kind, &headers, body).join("");
                assert!(told.starts_with("unreadable: the body "), "{kind}: {told}");
                assert!(!told.contains("hunter2"), "{kind}: {told}");
            }
        }
    }

    #[test]
    fn a_notice_of_many_images_gives_a_bounded_number_of_hints_each_once() {
        let event = |n: usize| {
            format!(
                r#"{{"action":"push","request":{{"host":"r.io"}},"target":{{"repository":"a/b","tag":"{n}"}}}}"#
            )
        };
        let events: Vec<_> = (0..300).map(|n| event(n % 200)).collect();
        let body = format!("{{\"events\":[{}]}}", events.join(","));
        let told = told(Kind::Distribution, &[], &body);
        assert_eq!(told.len(), HOOK_HINTS_MAX);
        assert_eq!(told.first().map(String::as_str), Some("r.io/a/b:0"));
    }

    #[test]
    fn what_a_sender_writes_cannot_move_the_cursor() {
        let told = told(Kind::GitHub, &[("x-github-event", "\u{1b}[2Ja\u{202e}b")], "{}");
        assert_eq!(told, ["nothing: a ` [2Ja b` event"]);
        assert_eq!(shown(&"x".repeat(101)), "x".repeat(100) + "...");
        assert_eq!(shown(&"é".repeat(100)), "é".repeat(100));
    }
}
