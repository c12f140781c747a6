//! The fields of a `BuildConfig`.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::desired::object::ObjectReference;

/// The whole object.
pub(super) type Fields = crate::desired::object::Fields<Spec>;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    pub(super) triggers: Vec<Trigger>,
    pub(super) run_policy: String,
    pub(super) service_account: String,
    pub(super) source: Source,
    pub(super) revision: IgnoredAny,
    pub(super) strategy: Strategy,
    pub(super) output: Output,
    pub(super) resources: IgnoredAny,
    pub(super) node_selector: IgnoredAny,
    #[serde(rename = "mountTrustedCA")]
    pub(super) mount_trusted_ca: Option<bool>,
    pub(super) post_commit: PostCommit,
    pub(super) completion_deadline_seconds: Option<i64>,
    pub(super) successful_builds_history_limit: Option<i32>,
    pub(super) failed_builds_history_limit: Option<i32>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Source {
    pub(super) r#type: String,
    pub(super) git: Option<Git>,
    pub(super) binary: Option<Binary>,
    pub(super) dockerfile: Option<String>,
    pub(super) images: Vec<ImageSource>,
    pub(super) context_dir: String,
    pub(super) source_secret: IgnoredAny,
    pub(super) secrets: Vec<Mount>,
    pub(super) config_maps: Vec<Mount>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Git {
    pub(super) uri: String,
    pub(super) r#ref: String,
    pub(super) http_proxy: String,
    pub(super) https_proxy: String,
    pub(super) no_proxy: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Binary {
    pub(super) as_file: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ImageSource {
    pub(super) from: ObjectReference,
    pub(super) r#as: Vec<String>,
    pub(super) paths: Vec<ImagePath>,
    pub(super) pull_secret: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ImagePath {
    pub(super) source_path: String,
    pub(super) destination_dir: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Mount {
    pub(super) secret: IgnoredAny,
    pub(super) config_map: IgnoredAny,
    pub(super) destination_dir: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Strategy {
    pub(super) r#type: String,
    pub(super) docker_strategy: Option<Docker>,
    pub(super) source_strategy: Option<SourceStrategy>,
    pub(super) custom_strategy: Option<CustomStrategy>,
    pub(super) jenkins_pipeline_strategy: Option<Pipeline>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Docker {
    pub(super) from: Option<ObjectReference>,
    pub(super) pull_secret: IgnoredAny,
    pub(super) no_cache: bool,
    pub(super) env: IgnoredAny,
    pub(super) force_pull: bool,
    pub(super) dockerfile_path: String,
    pub(super) build_args: IgnoredAny,
    pub(super) image_optimization_policy: String,
    pub(super) volumes: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SourceStrategy {
    pub(super) from: Option<ObjectReference>,
    pub(super) pull_secret: IgnoredAny,
    pub(super) env: Vec<Env>,
    pub(super) scripts: String,
    pub(super) incremental: Option<bool>,
    pub(super) force_pull: bool,
    pub(super) volumes: IgnoredAny,
    /// Extended builds of OpenShift 3, since removed.
    pub(super) runtime_image: IgnoredAny,
    pub(super) runtime_artifacts: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Env {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) value_from: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CustomStrategy {
    pub(super) from: Option<ObjectReference>,
    pub(super) pull_secret: IgnoredAny,
    pub(super) env: IgnoredAny,
    pub(super) expose_docker_socket: bool,
    pub(super) force_pull: bool,
    pub(super) secrets: IgnoredAny,
    #[serde(rename = "buildAPIVersion")]
    pub(super) build_api_version: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pipeline {
    pub(super) jenkinsfile: String,
    pub(super) jenkinsfile_path: String,
    pub(super) env: IgnoredAny,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Output {
    pub(super) to: Option<ObjectReference>,
    pub(super) push_secret: IgnoredAny,
    pub(super) image_labels: Vec<ImageLabel>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ImageLabel {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct PostCommit {
    pub(super) script: String,
    pub(super) command: Vec<String>,
    pub(super) args: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Trigger {
    pub(super) r#type: String,
    #[serde(alias = "gitHub", alias = "GitHub")]
    pub(super) github: Option<WebHook>,
    #[serde(alias = "gitLab")]
    pub(super) gitlab: Option<WebHook>,
    pub(super) bitbucket: Option<WebHook>,
    pub(super) generic: Option<WebHook>,
    pub(super) image_change: Option<ImageChange>,
}

impl Trigger {
    /// Whether it starts the first build (rule B13).
    pub(super) fn is_config_change(&self) -> bool {
        self.r#type == "ConfigChange"
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WebHook {
    pub(super) secret: String,
    pub(super) allow_env: bool,
    pub(super) secret_reference: Option<SecretReference>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct SecretReference {
    pub(super) name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ImageChange {
    #[serde(rename = "lastTriggeredImageID")]
    pub(super) last_triggered_image_id: String,
    pub(super) from: Option<ObjectReference>,
    pub(super) paused: bool,
}
