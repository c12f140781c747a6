//! Registries that a stream names and that images may not be imported from (rule I174).
//!
//! What is forbidden is found where the manifest is read; whether it counts is decided where a commit is taken over: what
//! a stream has already stays admissible when the list shrinks.

use serde::{Deserialize, Serialize};

use crate::fact::Position;
use crate::names::{ObjectKey, StreamName};
use crate::policy::Transport;
use crate::reference::ImageReference;

use super::diagnostic::{Diagnostic, Severity};
use super::marks::{End, Step};
use super::object::{Draft, steps};
use super::{ImageStream, RejectedObject, TagSource};

/// The rule by which such a stream is rejected.
pub(crate) const FORBIDDEN: &str = "I174";

/// One reference to a registry that is not allowed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Forbidden {
    /// The stream that names it.
    pub stream: StreamName,
    /// Where the stream's document stands.
    pub document: Position,
    /// The repository, as [`ImageReference::repository_contacted`] has it.
    pub repository: String,
    /// What is said of it.
    pub diagnostic: Diagnostic,
}

impl Forbidden {
    /// The stream, rejected for it.
    pub(crate) fn rejected(&self) -> RejectedObject {
        RejectedObject {
            object: Some(ObjectKey::stream(&self.stream)),
            diagnostic: self.diagnostic.clone(),
        }
    }
}

/// Notes what a stream names that is not allowed; `tags` are the names of its tags, in the order of the manifest.
pub(crate) fn report<'t>(
    draft: &Draft<'_>,
    stream: &ImageStream,
    tags: impl Iterator<Item = &'t str>,
) {
    let allowed = &draft.policy.allowed_registries;
    let note = |image: &ImageReference, path: &[Step], field: &str, why: String| {
        let diagnostic = Diagnostic {
            severity: Severity::Error,
            position: draft.position(path, End::Value),
            rule: FORBIDDEN.into(),
            message: format!("{field}: Forbidden: {why}"),
            hint: Some(
                "take the image from one of these, or add its registry to `imports.allowed_registries`; what the daemon took over before stays"
                    .into(),
            ),
        };
        draft.forbidden.borrow_mut().push(Forbidden {
            stream: stream.name.clone(),
            document: draft.start(),
            repository: image.repository_contacted(),
            diagnostic,
        });
    };
    if let Some(image) = &stream.repository {
        let transport = if stream.is_insecure() { Transport::Insecure } else { Transport::Secure };
        if let Err(why) = allowed.admit(image, transport) {
            let path = steps!["spec", "dockerImageRepository"];
            note(image, path, "spec.dockerImageRepository", why);
        }
    }
    for (index, name) in tags.enumerate() {
        let Some(tag) = name.parse().ok().and_then(|name| stream.tags.get(&name)) else { continue };
        let Some(TagSource::Registry(image)) = &tag.from else { continue };
        let insecure = tag.insecure || stream.is_insecure();
        let transport = if insecure { Transport::Any } else { Transport::Secure };
        if let Err(why) = allowed.admit(image, transport) {
            let path = steps!["spec", "tags", index, "from", "name"];
            note(image, path, &format!("spec.tags[{name}].from.name"), why);
        }
    }
}
