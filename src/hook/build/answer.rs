//! What a sender is answered: a `Status` or the `Build`, as OpenShift's API has them (rules B4, B18, B20, B24).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::word;
use crate::fact::{RunPolicy, SourceRevision, WebhookKind};
use crate::names::{BuildNumber, ObjectKey};
use crate::time::Timestamp;

/// An answer that is no build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// The status of HTTP.
    pub code: u16,
    /// The word for it.
    pub reason: &'static str,
    /// What happened.
    pub message: String,
}

impl Told {
    /// 400.
    #[must_use]
    pub fn bad(message: impl Into<String>) -> Self {
        Self { code: 400, reason: "BadRequest", message: message.into() }
    }

    /// 400: the address has not the parts that it needs.
    #[must_use]
    pub fn subpath(subpath: &str) -> Self {
        Self::bad(format!("unexpected hook subpath {subpath}"))
    }

    /// 401: no such `BuildConfig`, no such trigger or not its secret; which, is not told.
    #[must_use]
    pub fn nobody(kind: WebhookKind, name: &str) -> Self {
        let message =
            format!("the webhook {:?} for {name:?} did not accept your secret", word(kind));
        Self { code: 401, reason: "Unauthorized", message }
    }

    /// 404: no such type.
    #[must_use]
    pub fn no_type(kind: &str) -> Self {
        let message = format!("buildconfighook.build.openshift.io {kind:?} not found");
        Self { code: 404, reason: "NotFound", message }
    }

    /// 405.
    #[must_use]
    pub fn no_post(method: &str) -> Self {
        let message = format!(
            "{method} is not supported on resources of kind \"buildconfighook.build.openshift.io\""
        );
        Self { code: 405, reason: "MethodNotAllowed", message }
    }

    /// 413.
    #[must_use]
    pub fn too_large() -> Self {
        let message = "Request entity too large: limit is 1048576".to_owned();
        Self { code: 413, reason: "RequestEntityTooLarge", message }
    }

    /// 500: the engine does not build it.
    #[must_use]
    pub fn not_built(why: &str) -> Self {
        let message = format!("Internal error occurred: could not generate a build: {why}");
        Self { code: 500, reason: "InternalError", message }
    }

    /// 503: it may be tried again.
    #[must_use]
    pub fn later(message: impl Into<String>) -> Self {
        Self { code: 503, reason: "ServiceUnavailable", message: message.into() }
    }

    /// 200 without a build.
    #[must_use]
    pub fn warning(message: impl Into<String>) -> Self {
        Self { code: 200, reason: "", message: message.into() }
    }

    /// As a `Status`.
    #[must_use]
    pub fn status(&self) -> Value {
        let Self { code, reason, message } = self;
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": if *code < 400 { "Success" } else { "Failure" },
            "message": message,
            "code": code,
        });
        if let Some(status) = status.as_object_mut().filter(|_| !reason.is_empty()) {
            status.insert("reason".to_owned(), json!(reason));
        }
        status
    }
}

/// A build that was created, as far as a sender is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Created<'a> {
    /// The `BuildConfig`.
    pub object: &'a ObjectKey,
    /// Its labels.
    pub labels: &'a BTreeMap<String, String>,
    /// Its run policy.
    pub policy: RunPolicy,
    /// The number of the build.
    pub number: BuildNumber,
    /// The name of the build.
    pub name: &'a str,
    /// When it was created.
    pub at: Timestamp,
    /// By which type of trigger.
    pub kind: WebhookKind,
    /// What the payload told of its commit.
    pub revision: Option<&'a SourceRevision>,
}

impl Created<'_> {
    /// As a `Build`; the secret of the trigger is masked.
    #[must_use]
    pub fn build(&self) -> Value {
        let Self { object, number, name, at, kind, .. } = *self;
        let bc = object.name.to_string();
        let mut labels = self.labels.clone();
        labels.insert("buildconfig".to_owned(), bc.clone());
        labels.insert("openshift.io/build-config.name".to_owned(), bc.clone());
        labels.insert("openshift.io/build.start-policy".to_owned(), self.policy.to_string());
        let revision = self.revision.map(revision);
        let mut hook = json!({ "secret": "<secret>" });
        let mut spec = json!({});
        if let (Some(revision), Some(hook), Some(spec)) =
            (revision, hook.as_object_mut(), spec.as_object_mut())
        {
            hook.insert("revision".to_owned(), revision.clone());
            spec.insert("revision".to_owned(), revision);
        }
        let mut cause = json!({ "message": format!("{kind} WebHook") });
        if let Some(cause) = cause.as_object_mut() {
            cause.insert(format!("{}WebHook", word(kind)), hook);
        }
        if let Some(spec) = spec.as_object_mut() {
            spec.insert("triggeredBy".to_owned(), json!([cause]));
        }
        json!({
            "kind": "Build",
            "apiVersion": "build.openshift.io/v1",
            "metadata": {
                "name": name,
                "namespace": object.namespace.to_string(),
                "creationTimestamp": at.to_rfc3339_seconds(),
                "labels": labels,
                "annotations": {
                    "openshift.io/build-config.name": bc,
                    "openshift.io/build.number": number.0.to_string(),
                },
            },
            "spec": spec,
            "status": {
                "phase": "New",
                "config": {
                    "kind": "BuildConfig",
                    "namespace": object.namespace.to_string(),
                    "name": bc,
                },
                "output": {},
            },
        })
    }
}

/// `SourceRevision` of the API.
fn revision(of: &SourceRevision) -> Value {
    let person = |text: &str| {
        let (name, address) = text.rsplit_once(" <").unwrap_or(match text.strip_prefix('<') {
            Some(address) => ("", address),
            None => (text, ""),
        });
        let fields = [("name", name), ("email", address.trim_end_matches('>'))];
        let said = fields.into_iter().filter(|(_, text)| !text.is_empty());
        said.map(|(key, text)| (key.to_owned(), json!(text))).collect::<serde_json::Map<_, _>>()
    };
    let mut git = serde_json::Map::new();
    for (key, text) in [("commit", &of.commit), ("message", &of.message)] {
        if !text.is_empty() {
            git.insert(key.to_owned(), json!(text));
        }
    }
    for (key, text) in [("author", &of.author), ("committer", &of.committer)] {
        git.insert(key.to_owned(), Value::Object(person(text)));
    }
    json!({ "type": "Git", "git": git })
}
