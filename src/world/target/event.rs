//! What a target is told: CloudEvents 1.0, structured JSON (rule R30).
//!
//! The bytes are a function of the request alone, so that every repetition is the same event under the same key.

use std::collections::BTreeMap;

use ring::hmac;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::action::{Notice, NoticeKind, RolloutRequest, StopRequest};
use crate::fact::RolloutImage;
use crate::names::ObjectKey;
use crate::time::Timestamp;

/// Carries the signature of the body: `sha256=` and the HMAC-SHA256 in lower-case hex.
///
/// A receiver computes the HMAC over the body as it came, with the content of the target's `secret_file` (without line
/// ends behind it) as key, and compares in constant time:
///
/// ```sh
/// printf 'sha256=%s\n' "$(openssl dgst -sha256 -hmac "$(cat hook.key)" -r < body | cut -d' ' -f1)"
/// ```
pub const SIGNATURE_HEADER: &str = "X-Tidegate-Signature-256";

const API_VERSION: &str = "tidegate.dev/v1";

/// One event, ready to be sent.
pub(super) struct Event {
    /// The idempotency key; of a notice: with its kind behind it.
    pub(super) id: String,
    /// The object, for lock files and messages.
    pub(super) object: ObjectKey,
    /// The event as JSON.
    pub(super) body: Vec<u8>,
    /// The same in short, as `ROLLOUT_*`.
    pub(super) environment: BTreeMap<&'static str, String>,
    /// Values of the manifest that look like secrets, to be kept out of logs.
    pub(super) secrets: Vec<String>,
}

/// CloudEvents 1.0, the attributes that we use.
#[derive(Serialize)]
struct Envelope<'a, D> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'static str,
    subject: String,
    time: Timestamp,
    datacontenttype: &'static str,
    data: D,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestData<'a> {
    api_version: &'static str,
    kind: &'static str,
    object: Object<'a>,
    namespace: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    replaces: Option<String>,
    images: Vec<Image<'a>>,
    manifest: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NoticeData<'a> {
    api_version: &'static str,
    kind: &'static str,
    object: Object<'a>,
    namespace: &'a str,
    rollout: String,
    message: &'a str,
}

#[derive(Serialize)]
struct Object<'a> {
    kind: &'static str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Image<'a> {
    container: &'a str,
    reference: &'a str,
    digest: Option<String>,
    previous_digest: Option<String>,
}

impl<'a> From<&'a RolloutImage> for Image<'a> {
    fn from(image: &'a RolloutImage) -> Self {
        Self {
            container: &image.container.name,
            reference: &image.reference,
            digest: image.digest.map(|digest| digest.to_string()),
            previous_digest: image.previous.map(|digest| digest.to_string()),
        }
    }
}

impl Event {
    /// `dev.tidegate.rollout.requested`.
    pub(super) fn rollout(source: &str, request: &RolloutRequest, manifest: &[u8]) -> Self {
        let replaces = request.replaces.as_ref().map(ToString::to_string);
        let data = RequestData {
            api_version: API_VERSION,
            kind: "RolloutRequest",
            object: object(&request.object),
            namespace: request.object.namespace.as_str(),
            revision: Some(request.revision.0),
            cause: Some(request.cause.to_string()),
            replaces: replaces.clone(),
            images: request.images.iter().map(Image::from).collect(),
            manifest: raw(manifest),
        };
        let mut event = Self::new(
            Head { id: request.key.to_string(), source, time: request.started },
            "dev.tidegate.rollout.requested",
            &request.object,
            data,
        );
        event.environment.extend([
            ("ROLLOUT_ACTION", "rollout".to_owned()),
            ("ROLLOUT_CAUSE", request.cause.to_string()),
            ("ROLLOUT_REPLACES", replaces.unwrap_or_default()),
            ("ROLLOUT_REVISION", request.revision.to_string()),
            ("ROLLOUT_IMAGES", lines(&request.images)),
        ]);
        event.secrets = secrets(manifest);
        event
    }

    /// `dev.tidegate.stop.requested`: not in the specification. A receiver that took a stop for a rollout would start
    /// what is to be ended, so it has a type of its own and no images.
    pub(super) fn stop(source: &str, request: &StopRequest, manifest: &[u8]) -> Self {
        let data = RequestData {
            api_version: API_VERSION,
            kind: "StopRequest",
            object: object(&request.object),
            namespace: request.object.namespace.as_str(),
            revision: None,
            cause: None,
            replaces: None,
            images: Vec::new(),
            manifest: raw(manifest),
        };
        let mut event = Self::new(
            Head { id: request.key.to_string(), source, time: request.started },
            "dev.tidegate.stop.requested",
            &request.object,
            data,
        );
        event.environment.insert("ROLLOUT_ACTION", "stop".to_owned());
        for empty in ["ROLLOUT_CAUSE", "ROLLOUT_REPLACES", "ROLLOUT_REVISION", "ROLLOUT_IMAGES"] {
            event.environment.insert(empty, String::new());
        }
        event.secrets = secrets(manifest);
        event
    }

    /// What became of a rollout; its id is not the key, or a receiver would take it for a repetition.
    pub(super) fn notice(source: &str, notice: &Notice) -> Self {
        let (kind, word) = match notice.kind {
            NoticeKind::Finished => ("dev.tidegate.rollout.finished", "finished"),
            NoticeKind::Cancelled => ("dev.tidegate.rollout.cancelled", "cancelled"),
            NoticeKind::Held => ("dev.tidegate.rollout.held", "held"),
        };
        let data = NoticeData {
            api_version: API_VERSION,
            kind: "RolloutNotice",
            object: object(&notice.object),
            namespace: notice.object.namespace.as_str(),
            rollout: notice.key.to_string(),
            message: &notice.message,
        };
        let id = format!("{}/{word}", notice.key);
        Self::new(Head { id, source, time: notice.at }, kind, &notice.object, data)
    }

    fn new(head: Head<'_>, kind: &'static str, object: &ObjectKey, data: impl Serialize) -> Self {
        let envelope = Envelope {
            specversion: "1.0",
            id: &head.id,
            source: head.source,
            r#type: kind,
            subject: object.to_string(),
            time: head.time,
            datacontenttype: "application/json",
            data,
        };
        #[expect(clippy::expect_used, reason = "string keys and values that cannot fail")]
        let body =
            serde_json::to_vec(&envelope).expect("an event has only texts, numbers and JSON");
        let environment = BTreeMap::from([
            ("ROLLOUT_KEY", head.id.clone()),
            ("ROLLOUT_OBJECT", object.to_string()),
            ("ROLLOUT_KIND", object.kind.to_string()),
            ("ROLLOUT_NAMESPACE", object.namespace.to_string()),
            ("ROLLOUT_NAME", object.name.to_string()),
        ]);
        Self { id: head.id, object: object.clone(), body, environment, secrets: Vec::new() }
    }

    /// The value of [`SIGNATURE_HEADER`].
    pub(super) fn signature(&self, key: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        format!("sha256={}", hex::encode(hmac::sign(&key, &self.body)))
    }
}

struct Head<'a> {
    id: String,
    source: &'a str,
    time: Timestamp,
}

fn object(object: &ObjectKey) -> Object<'_> {
    Object { kind: object.kind.as_str(), name: object.name.as_str() }
}

/// `container=reference`, line by line: a shell script needs no reader of JSON.
fn lines(images: &[RolloutImage]) -> String {
    let lines = images.iter().map(|image| format!("{}={}", image.container.name, image.reference));
    lines.collect::<Vec<_>>().join("\n")
}

/// The manifest as it is kept if that is JSON, else as one text.
fn raw(manifest: &[u8]) -> Box<RawValue> {
    serde_json::from_slice(manifest).unwrap_or_else(|_| {
        let text = serde_json::Value::from(String::from_utf8_lossy(manifest)).to_string();
        RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
    })
}

/// Values of environment entries whose names sound like secrets.
fn secrets(manifest: &[u8]) -> Vec<String> {
    fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(map) => {
                let text = |key| map.get(key).and_then(serde_json::Value::as_str);
                if let (Some(name), Some(value)) = (text("name"), text("value"))
                    && crate::secret::sounds_secret(name)
                {
                    found.push(value.to_owned());
                }
                map.values().for_each(|value| walk(value, found));
            }
            serde_json::Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_slice(manifest) {
        walk(&value, &mut found);
    }
    found
}
