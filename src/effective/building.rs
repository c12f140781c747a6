//! Builds as OpenShift's API shows them: a `BuildConfig` with what the system writes into it, and the `Build`s that records
//! stand for (DBT 0.4, section 4.1, rules B4, B8, B9, B24, B28 to B32).

use serde_json::{Map, Value, json};

use crate::api::Time;
use crate::desired::BuildConfig;
use crate::fact::{
    BuildCause, BuildEnd, BuildImage, BuildOptions, BuildUse, SourceRevision, WebhookKind,
};
use crate::names::{Digest, ObjectKey, StreamTag};
use crate::observed::build::{Build, BuildsState};

use super::deployed::Rolled;
use super::{Known, NoOutput, push_of};

/// Annotations and labels of OpenShift that are on every build (rule B4).
const CONFIG_NAME: &str = "openshift.io/build-config.name";

/// What stands in the place of a webhook's secret.
pub const SECRET: &str = "<secret>";

/// Builds of a state.
#[derive(Clone, Copy)]
pub struct Building<'a> {
    /// What git asks for, what the journal proves, and the settings.
    pub known: Known<'a>,
    /// The object store: manifests as they were when builds were created.
    pub kept: Rolled<'a>,
}

impl std::fmt::Debug for Building<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Building").finish_non_exhaustive()
    }
}

/// The name of the pod that a cluster would run a build in.
#[must_use]
pub fn pod_name(build: &str) -> String {
    format!("{build}-build")
}

impl Building<'_> {
    fn state(&self, key: &ObjectKey) -> Option<&BuildsState> {
        self.known.observed.builds.get(key)
    }

    /// The effective `BuildConfig` with its status; none where git has none.
    #[must_use]
    pub fn config(&self, key: &ObjectKey) -> Option<Value> {
        let build = self.known.desired.builds.get(key)?;
        let mut object: Value = serde_json::from_str(&build.manifest).ok()?; // `desired` made it
        let triggers = object.pointer_mut("/spec/triggers").and_then(Value::as_array_mut);
        triggers.into_iter().flatten().for_each(hide_secrets);
        let since = self.known.observed.objects.get(key).and_then(|known| known.since);
        let meta = object.get_mut("metadata")?.as_object_mut()?;
        meta.insert("namespace".into(), json!(key.namespace));
        if let Some(since) = since {
            meta.entry("creationTimestamp").or_insert_with(|| json!(Time::of(since)));
        }
        let last = self.state(key).map_or(0, |state| state.last_number.0);
        let mut status = Map::new();
        let triggered = self.triggered(build);
        if !triggered.is_empty() {
            status.insert("imageChangeTriggers".into(), triggered.into());
        }
        status.insert("lastVersion".into(), json!(last));
        object.as_object_mut()?.insert("status".into(), status.into());
        Some(object)
    }

    /// `status.imageChangeTriggers`: what its triggers saw last, in this life of it.
    fn triggered(&self, build: &BuildConfig) -> Vec<Value> {
        let Some(state) = self.state(&build.object) else { return Vec::new() };
        let life = self.known.observed.objects.get(&build.object).map(|known| known.incarnation);
        if !life.is_some_and(|life| state.has_begun(life)) {
            return Vec::new();
        }
        let seen = build.triggers.iter().filter_map(|trigger| {
            let seen = state.triggered.get(&trigger.from)?;
            let StreamTag { stream, tag } = &trigger.from;
            Some(json!({
                "from": {"name": format!("{}:{tag}", stream.name), "namespace": stream.namespace},
                "lastTriggerTime": seen.at.map(Time::of),
                "lastTriggeredImageID": self.reference(state, &trigger.from, &seen.image),
            }))
        });
        seen.collect()
    }

    /// How an image that a trigger saw is written.
    fn reference(&self, state: &BuildsState, tag: &StreamTag, image: &Digest) -> String {
        let built = state.builds.iter().rev().flat_map(|build| &build.created.images);
        let is_it =
            |used: &&BuildImage| used.from.as_ref() == Some(tag) && used.digest == Some(*image);
        if let Some(used) = built.into_iter().find(is_it) {
            return used.reference.clone();
        }
        let items = self.known.observed.tag(tag).map(|state| state.items.as_slice());
        let mut items = items.unwrap_or_default().iter();
        let item = items.find(|item| item.event.image == Some(*image));
        item.map_or_else(|| image.to_string(), |item| item.event.reference.clone())
    }

    /// The builds of a `BuildConfig` that are remembered, oldest first.
    #[must_use]
    pub fn builds(&self, key: &ObjectKey) -> Vec<Value> {
        let builds = self.state(key).into_iter().flat_map(|state| &state.builds);
        builds.map(|build| self.build(build)).collect()
    }

    /// One of them.
    #[must_use]
    pub fn build(&self, build: &Build) -> Value {
        let created = &build.created;
        let kept = (self.kept)(&created.manifest);
        let kept: Option<Value> = kept.and_then(|kept| serde_json::from_slice(&kept).ok());
        let mut spec = kept
            .as_ref()
            .and_then(|kept| kept.get("spec")?.as_object().cloned())
            .unwrap_or_default();
        for of_config in
            ["triggers", "runPolicy", "successfulBuildsHistoryLimit", "failedBuildsHistoryLimit"]
        {
            spec.remove(of_config);
        }
        spec.entry("serviceAccount").or_insert_with(|| json!("builder"));
        let mut spec = Value::Object(spec);
        write_images(&mut spec, &created.images);
        write_options(&mut spec, &created.options);
        let revision = build.ended.as_ref().and_then(|ended| ended.revision.clone());
        if let Some(revision) = revision.or_else(|| asked_revision(build))
            && let Some(spec) = spec.as_object_mut()
        {
            spec.insert("revision".into(), revision_of(&revision));
        }
        if let Some(spec) = spec.as_object_mut() {
            let causes = created.causes.iter();
            let causes: Vec<Value> = causes.map(|one| cause(one, &created.images)).collect();
            spec.insert("triggeredBy".into(), causes.into());
        }
        json!({
            "apiVersion": "build.openshift.io/v1",
            "kind": "Build",
            "metadata": self.meta(build, kept.as_ref()),
            "spec": spec,
            "status": self.status(build),
        })
    }

    /// Rule B4.
    fn meta(&self, build: &Build, kept: Option<&Value>) -> Value {
        let created = &build.created;
        let labels = kept.and_then(|kept| kept.pointer("/metadata/labels")?.as_object().cloned());
        let mut labels = labels.unwrap_or_default();
        let config = created.object.name.as_str();
        labels.insert("buildconfig".into(), json!(config));
        labels.insert(CONFIG_NAME.into(), json!(config));
        labels.insert("openshift.io/build.start-policy".into(), json!(created.policy.to_string()));
        let mut annotations = Map::new();
        annotations.insert(CONFIG_NAME.into(), json!(config));
        annotations.insert("openshift.io/build.number".into(), json!(created.number.0.to_string()));
        annotations.insert("openshift.io/build.pod-name".into(), json!(pod_name(&created.name)));
        if let Some(of) = &created.options.clone_of {
            annotations.insert("openshift.io/build.clone-of".into(), json!(of));
        }
        json!({
            "annotations": annotations,
            "creationTimestamp": Time::of(build.at),
            "labels": labels,
            "name": created.name,
            "namespace": created.object.namespace,
            "ownerReferences": [{
                "apiVersion": "build.openshift.io/v1",
                "controller": true,
                "kind": "BuildConfig",
                "name": config,
            }],
        })
    }

    /// Where the image of a build goes, or why that cannot be told yet (rules B28, B53).
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn push_of(&self, build: &Build) -> Result<Option<String>, NoOutput> {
        if let Some((_, push)) = &build.started {
            return Ok(push.clone());
        }
        let created = &build.created;
        let push = push_of(self.known, created.output.as_ref(), created.push.as_deref())?;
        Ok(push.map(|push| push.to_string()))
    }

    fn status(&self, build: &Build) -> Value {
        let mut status = Map::new();
        let mut put = |key: &str, value: Value| drop(status.insert(key.to_owned(), value));
        let push = self.push_of(build);
        let ended = build.ended.as_ref();
        put("phase", json!(build.phase()));
        let is_cancelled = |end: &BuildEnd| *end == BuildEnd::Cancelled;
        let ending = build.ending.as_ref().map(|(end, ..)| end);
        if ended.map(|ended| &ended.end).or(ending).is_some_and(is_cancelled) {
            put("cancelled", json!(true));
        }
        if let Some(ended) = ended.filter(|ended| !ended.reason.is_empty()) {
            put("reason", json!(ended.reason));
            put("message", json!(ended.message));
        }
        if let (Err(why), None) = (&push, ended) {
            put("reason", json!("InvalidOutputReference"));
            put("message", json!(why.to_string()));
        }
        let started = build.started.as_ref().map(|(at, _)| *at);
        if let Some(at) = started {
            put("startTimestamp", json!(Time::of(at)));
        }
        if let Some(ended) = ended {
            put("completionTimestamp", json!(Time::of(ended.at)));
            if let Some(started) = started {
                let seconds = ended.at.since(started).as_millis().div_ceil(1000);
                put("duration", json!(seconds * 1_000_000_000));
            }
            let stages: Vec<Value> = ended
                .stages
                .iter()
                .map(|stage| {
                    let at = Time::of(stage.at);
                    json!({"durationMilliseconds": stage.took, "name": stage.name, "startTime": at})
                })
                .collect();
            if !stages.is_empty() {
                put("stages", stages.into());
            }
            if !ended.log.is_empty() {
                put("logSnippet", json!(ended.log));
            }
            if let Some(image) = &ended.image {
                put("output", json!({"to": {"imageDigest": image}}));
            }
        }
        if let Ok(Some(push)) = push {
            put("outputDockerImageReference", json!(push));
        }
        let object = &build.created.object;
        put(
            "config",
            json!({"kind": "BuildConfig", "name": object.name, "namespace": object.namespace}),
        );
        put("conditions", conditions(build));
        status.into()
    }

    /// What happened to a build, as events of OpenShift, oldest first (rule B30).
    #[must_use]
    pub fn events(&self, build: &Build) -> Vec<Value> {
        let what = format!("Build {}/{}", build.created.object.namespace, build.created.name);
        let event = |at, reason: &str, message: String| {
            json!({
                "type": "Normal",
                "reason": reason,
                "source": {"component": "build-controller"},
                "lastTimestamp": Time::of(at),
                "message": message,
            })
        };
        let mut all = Vec::new();
        if let Some((at, _)) = &build.started {
            all.push(event(*at, "BuildStarted", format!("{what} is now running")));
        }
        if let Some(ended) = &build.ended {
            let (reason, end) = match ended.end {
                BuildEnd::Complete => ("BuildCompleted", "completed successfully"),
                BuildEnd::Failed | BuildEnd::Error => ("BuildFailed", "failed"),
                BuildEnd::Cancelled => ("BuildCancelled", "has been cancelled"),
            };
            all.push(event(ended.at, reason, format!("{what} {end}")));
        }
        all
    }
}

/// The phases that a build was in, as `status.conditions`.
fn conditions(build: &Build) -> Value {
    let mut all = Vec::new();
    let mut was = |phase: &str, at| {
        let at = Time::of(at);
        let is_now = phase == build.phase();
        all.push(json!({
            "lastTransitionTime": at,
            "lastUpdateTime": at,
            "status": if is_now { "True" } else { "False" },
            "type": phase,
        }));
    };
    was("New", build.at);
    if let Some((at, _)) = &build.started {
        was("Running", *at);
    }
    if let Some(ended) = &build.ended {
        was(build.phase(), ended.at);
    }
    all.into()
}

/// The secret of a webhook is nobody's business (rule B24, law 10).
fn hide_secrets(trigger: &mut Value) {
    for kind in ["github", "gitlab", "bitbucket", "generic"] {
        let hook = trigger.get_mut(kind).and_then(Value::as_object_mut);
        if let Some(secret) = hook.and_then(|hook| hook.get_mut("secret")) {
            *secret = json!(SECRET);
        }
    }
}

/// The part of a strategy that is there.
fn strategy(spec: &mut Value) -> Option<(&'static str, &mut Map<String, Value>)> {
    let all = spec.get_mut("strategy")?.as_object_mut()?;
    let names = ["sourceStrategy", "dockerStrategy", "customStrategy", "jenkinsPipelineStrategy"];
    let name = names.into_iter().find(|name| all.contains_key(*name))?;
    if !all.get(name)?.is_object() {
        all.insert(name.to_owned(), json!({})); // `dockerStrategy:` with nothing behind it
    }
    Some((name, all.get_mut(name)?.as_object_mut()?))
}

/// Every image is the one that it was resolved to (rule B9).
fn write_images(spec: &mut Value, images: &[BuildImage]) {
    for image in images {
        let from = json!({"kind": "DockerImage", "name": image.reference});
        match image.used {
            BuildUse::Strategy => {
                if let Some((_, strategy)) = strategy(spec) {
                    strategy.insert("from".into(), from);
                }
            }
            BuildUse::Source(index) => {
                let path = format!("/source/images/{index}");
                if let Some(one) = spec.pointer_mut(&path).and_then(Value::as_object_mut) {
                    one.insert("from".into(), from);
                }
            }
            BuildUse::Previous => {}
        }
    }
}

/// What it was asked beside its manifest (rules B10, C15).
fn write_options(spec: &mut Value, options: &BuildOptions) {
    let add = |strategy: &mut Map<String, Value>, key: &str, values: &[(String, String)]| {
        if values.is_empty() {
            return;
        }
        let list = strategy.entry(key).or_insert_with(|| json!([]));
        if !list.is_array() {
            *list = json!([]);
        }
        for (name, value) in values {
            let list = list.as_array_mut().into_iter();
            list.for_each(|list| {
                list.retain(|one| one.get("name").is_none_or(|known| known != name));
                list.push(json!({"name": name, "value": value}));
            });
        }
    };
    if let Some((kind, strategy)) = strategy(spec) {
        add(strategy, "env", &options.env);
        if kind == "dockerStrategy" {
            add(strategy, "buildArgs", &options.build_args);
            if let Some(no_cache) = options.no_cache {
                strategy.insert("noCache".into(), json!(no_cache));
            }
        }
        if let Some(incremental) = options.incremental {
            strategy.insert("incremental".into(), json!(incremental));
        }
    }
    let Some(binary) = &options.binary else { return };
    let Some(spec) = spec.as_object_mut() else { return };
    let source = spec.entry("source").or_insert_with(|| json!({}));
    if let Some(source) = source.as_object_mut() {
        source.remove("git");
        source.insert("type".into(), json!("Binary"));
        let as_file = binary.as_file.as_ref().map(|name| json!({"asFile": name}));
        source.insert("binary".into(), as_file.unwrap_or_else(|| json!({})));
    }
}

/// The commit that a build is to be of, before anybody checked it out: what a webhook told, or a name that was asked for.
#[must_use]
pub fn asked_revision(build: &Build) -> Option<SourceRevision> {
    let told = build.created.causes.iter().find_map(|cause| match cause {
        BuildCause::Webhook { revision, .. } => revision.clone(),
        BuildCause::Config | BuildCause::Image { .. } | BuildCause::Manual { .. } => None,
    });
    let asked = || {
        let commit = build.created.options.commit.clone()?;
        Some(SourceRevision { commit, ..SourceRevision::default() })
    };
    told.or_else(asked)
}

fn revision_of(revision: &SourceRevision) -> Value {
    let user = |text: &str| {
        let (name, address) = text.rsplit_once(" <").unwrap_or((text, ""));
        let address = address.trim_end_matches('>');
        let fields = [("name", name), ("email", address)];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        fields.map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>()
    };
    let mut git = Map::new();
    git.insert("commit".into(), json!(revision.commit));
    for (key, text) in [("author", &revision.author), ("committer", &revision.committer)] {
        if !text.is_empty() {
            git.insert(key.into(), user(text).into());
        }
    }
    if !revision.message.is_empty() {
        git.insert("message".into(), json!(revision.message));
    }
    json!({"git": git, "type": "Git"})
}

/// An entry of `triggeredBy`.
fn cause(cause: &BuildCause, images: &[BuildImage]) -> Value {
    let mut told = json!({"message": cause.message()});
    let Some(fields) = told.as_object_mut() else { return told };
    match cause {
        BuildCause::Config | BuildCause::Manual { .. } => {}
        BuildCause::Image { from, image, .. } => {
            let is_it = |used: &&BuildImage| used.from.as_ref() == Some(from);
            let reference = images.iter().find(is_it).map(|used| used.reference.clone());
            let StreamTag { stream, tag } = from;
            let from = json!({
                "kind": "ImageStreamTag",
                "name": format!("{}:{tag}", stream.name),
                "namespace": stream.namespace,
            });
            let id = reference.unwrap_or_else(|| image.to_string());
            fields.insert("imageChangeBuild".into(), json!({"fromRef": from, "imageID": id}));
        }
        BuildCause::Webhook { kind, revision } => {
            let mut hook = Map::new();
            if let Some(revision) = revision {
                hook.insert("revision".into(), revision_of(revision));
            }
            hook.insert("secret".into(), json!(SECRET));
            let key = match kind {
                WebhookKind::GitHub => "githubWebHook",
                WebhookKind::GitLab => "gitlabWebHook",
                WebhookKind::Bitbucket => "bitbucketWebHook",
                WebhookKind::Generic => "genericWebHook",
            };
            fields.insert(key.into(), hook.into());
        }
    }
    told
}
