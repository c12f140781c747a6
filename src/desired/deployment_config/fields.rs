//! The fields of a `DeploymentConfig`.

use std::collections::BTreeMap;

use serde::de::{self, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::desired::object::ObjectReference;

/// The whole object.
pub(super) type Fields = crate::desired::object::Fields<Spec>;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) strategy: Strategy,
    pub(super) min_ready_seconds: i32,
    pub(super) triggers: Option<Vec<Trigger>>,
    pub(super) replicas: Option<i32>,
    pub(super) revision_history_limit: Option<i32>,
    pub(super) test: bool,
    pub(super) paused: bool,
    pub(super) selector: BTreeMap<String, String>,
    pub(super) template: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Strategy {
    pub(super) r#type: String,
    pub(super) rolling_params: Option<Rolling>,
    pub(super) recreate_params: Option<Recreate>,
    pub(super) custom_params: Option<Custom>,
    pub(super) resources: IgnoredAny,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) active_deadline_seconds: Option<i64>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rolling {
    pub(super) update_period_seconds: Option<i64>,
    pub(super) interval_seconds: Option<i64>,
    pub(super) timeout_seconds: Option<i64>,
    pub(super) max_unavailable: Option<Budget>,
    pub(super) max_surge: Option<Budget>,
    pub(super) pre: Option<Hook>,
    pub(super) post: Option<Hook>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Recreate {
    pub(super) timeout_seconds: Option<i64>,
    pub(super) pre: Option<Hook>,
    pub(super) mid: Option<Hook>,
    pub(super) post: Option<Hook>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Custom {
    pub(super) image: String,
    pub(super) environment: IgnoredAny,
    pub(super) command: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Hook {
    pub(super) failure_policy: String,
    pub(super) exec_new_pod: Option<ExecNewPod>,
    pub(super) tag_images: Vec<TagImage>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ExecNewPod {
    pub(super) command: Vec<String>,
    pub(super) env: IgnoredAny,
    pub(super) container_name: String,
    pub(super) volumes: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TagImage {
    pub(super) container_name: String,
    pub(super) to: ObjectReference,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Trigger {
    pub(super) r#type: String,
    pub(super) image_change_params: Option<ImageChange>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ImageChange {
    pub(super) automatic: bool,
    pub(super) container_names: Vec<String>,
    pub(super) from: ObjectReference,
    pub(super) last_triggered_image: String,
}

/// `maxSurge`, `maxUnavailable`: a number or a percentage.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Budget {
    Count(i64),
    Percent(i64),
    Neither(String),
}

impl<'de> Deserialize<'de> for Budget {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Budget;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number or a percentage")
            }
            fn visit_i64<E>(self, value: i64) -> Result<Budget, E> {
                Ok(Budget::Count(value))
            }
            fn visit_str<E>(self, text: &str) -> Result<Budget, E> {
                let percent = text.strip_suffix('%').and_then(|number| number.parse().ok());
                Ok(percent.map_or_else(|| Budget::Neither(text.into()), Budget::Percent))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Budget {
    pub(super) fn is_zero(&self) -> bool {
        matches!(self, Self::Count(0) | Self::Percent(0))
    }
}
