//! The webhook triggers of a `BuildConfig` (rules B18, B19), read out of its manifest when one comes in: their secrets are
//! in no other place.

use std::collections::BTreeMap;

use super::fields::{Fields, Trigger, WebHook};
use crate::desired::BuildConfig;
use crate::fact::WebhookKind;

/// A webhook trigger. It has no `Debug`: it may hold a secret (law 10).
#[derive(Clone, PartialEq, Eq)]
pub struct BuildHook {
    /// Its type.
    pub kind: WebhookKind,
    /// `secret`, where it is inline.
    pub secret: Option<String>,
    /// `secretReference.name`.
    pub reference: Option<String>,
    /// `allowEnv`.
    pub allow_env: bool,
}

impl BuildConfig {
    /// Its webhook triggers, in the order in which they are written.
    #[must_use]
    pub fn hooks(&self) -> Vec<BuildHook> {
        self.fields().spec.triggers.iter().filter_map(hook).collect()
    }

    /// `metadata.labels`.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.fields().metadata.labels
    }

    fn fields(&self) -> Fields {
        // The reader of manifests wrote it.
        serde_json::from_str(&self.manifest).unwrap_or_default()
    }
}

fn hook(trigger: &Trigger) -> Option<BuildHook> {
    let (kind, hook) = match trigger.r#type.as_str() {
        "GitHub" | "github" => (WebhookKind::GitHub, &trigger.github),
        "GitLab" | "gitlab" => (WebhookKind::GitLab, &trigger.gitlab),
        "Bitbucket" | "bitbucket" => (WebhookKind::Bitbucket, &trigger.bitbucket),
        "Generic" | "generic" => (WebhookKind::Generic, &trigger.generic),
        _ => return None,
    };
    let WebHook { secret, allow_env, secret_reference } = hook.as_ref()?;
    let said = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Some(BuildHook {
        kind,
        secret: said(secret),
        reference: secret_reference.as_ref().and_then(|reference| said(&reference.name)),
        allow_env: *allow_env,
    })
}
