//! `BuildConfig`s: fields and validation (section 4.1 of the triggers specification).

mod fields;
mod hooks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::builds::kept_secrets;
use crate::fact::RunPolicy;
use crate::names::{Kind, StreamName, StreamTag};
use crate::reference::ImageReference;
use crate::time::Span;

use super::marks::{Step, show};
use super::object::{Bearer, Draft, ObjectReference, Ours, steps};
use super::{BuildConfig, BuildFrom, BuildGit, BuildStrategy, BuildTrigger};
use fields::{Fields, Output, Spec, Strategy, Trigger, WebHook};

pub use hooks::BuildHook;

/// Builds that are kept of each end where the manifest says nothing (section 4.1).
const HISTORY_LIMIT: u32 = 5;

/// Reads a BuildConfig.
pub(crate) fn read(draft: &Draft<'_>) -> Option<BuildConfig> {
    let mut fields: Fields = draft.read()?;
    default_by_type(&mut fields.spec);
    let (meta, spec) = (&fields.metadata, &fields.spec);
    let key = draft.subdomain_name(Kind::BuildConfig, &meta.name);
    let annotations = steps!["metadata", "annotations"];
    let ours = Ours::new(draft, &meta.annotations, annotations, Bearer::Build);
    ours.check_rest();
    let (window, paused) = (ours.window(), ours.flag("pause").unwrap_or(false));
    let allow_cycle = ours.flag("allow-cycle").unwrap_or(false);
    check_spec(draft, spec);
    check_source(draft, spec);
    let strategy = check_strategy(draft, &spec.strategy);
    let from = strategy.as_ref().and_then(|(_, from)| from.as_ref());
    let read = from.and_then(|(from, path)| build_from(draft, from, path));
    let mut images = Vec::new();
    for (index, image) in spec.source.images.iter().enumerate() {
        let path = steps!["spec", "source", "images", index, "from"];
        images.extend(build_from(draft, &image.from, path));
    }
    let own = match &read {
        Some(BuildFrom::Tag(tag)) => Some(tag),
        Some(BuildFrom::Image { .. } | BuildFrom::Registry(_)) | None => None,
    };
    let triggers = check_triggers(draft, spec, own);
    let to = check_output(draft, &spec.output);
    if !draft.errors.borrow().is_empty() {
        return None;
    }
    let (output, push) = match to {
        Some(BuildFrom::Tag(tag)) => (Some(tag), None),
        Some(BuildFrom::Registry(image)) => (None, Some(image)),
        Some(BuildFrom::Image { .. }) | None => (None, None),
    };
    let inputs = inputs(read.iter().chain(&images));
    let is_said = |key: &str| meta.annotations.get(key).is_some_and(|text| text == "true");
    let source = spec.strategy.source_strategy.as_ref();
    let git = spec.source.git.as_ref();
    let has_limit = fields.api_version.starts_with("build.openshift.io/");
    Some(BuildConfig {
        object: key?,
        strategy: strategy?.0,
        from: read,
        images,
        git: git.map(|git| BuildGit { uri: git.uri.clone(), reference: git.r#ref.clone() }),
        binary: spec.source.binary.is_some(),
        incremental: source.and_then(|source| source.incremental).unwrap_or(false),
        run_policy: match spec.run_policy.as_str() {
            "Parallel" => RunPolicy::Parallel,
            "SerialLatestOnly" => RunPolicy::SerialLatestOnly,
            _ => RunPolicy::Serial,
        },
        config_change: spec.triggers.iter().any(Trigger::is_config_change),
        deadline: spec.completion_deadline_seconds.and_then(seconds),
        keeps: (
            limit(spec.successful_builds_history_limit, has_limit),
            limit(spec.failed_builds_history_limit, has_limit),
        ),
        refuses: is_said("openshift.io/build-config.paused"),
        paused,
        window,
        allow_cycle,
        push,
        output,
        inputs,
        triggers,
        manifest: draft.manifest(),
        position: draft.start(),
    })
}

/// The stream tags among the images that a build is made of, each once.
fn inputs<'a>(images: impl Iterator<Item = &'a BuildFrom>) -> Vec<StreamTag> {
    let mut seen = BTreeSet::new();
    let tags = images.filter_map(|from| match from {
        BuildFrom::Tag(tag) => Some(tag.clone()),
        BuildFrom::Image { .. } | BuildFrom::Registry(_) => None,
    });
    tags.filter(|tag| seen.insert(tag.clone())).collect()
}

fn seconds(seconds: i64) -> Option<Span> {
    u64::try_from(seconds).ok().map(|seconds| Span(Duration::from_secs(seconds)))
}

/// A `type` without its structure means the empty structure, as OpenShift's defaulting has it.
fn default_by_type(spec: &mut Spec) {
    if spec.strategy.r#type == "Docker" {
        spec.strategy.docker_strategy.get_or_insert_default();
    }
    if spec.source.r#type == "Binary" {
        spec.source.binary.get_or_insert_default();
    }
}

fn say(draft: &Draft<'_>, path: &[Step], detail: &str) {
    draft.error("B2", path, format!("{}: Invalid value: {detail}", show(path)));
}

fn check_spec(draft: &Draft<'_>, spec: &Spec) {
    if !matches!(spec.run_policy.as_str(), "" | "Parallel" | "Serial" | "SerialLatestOnly") {
        let detail = "run policy must Parallel, Serial, or SerialLatestOnly";
        draft.invalid("B2", steps!["spec", "runPolicy"], &spec.run_policy, detail);
    }
    if !spec.post_commit.script.is_empty() && !spec.post_commit.command.is_empty() {
        say(draft, steps!["spec", "postCommit"], "cannot use command and script together");
    }
    if spec.completion_deadline_seconds.is_some_and(|seconds| seconds <= 0) {
        let path = steps!["spec", "completionDeadlineSeconds"];
        say(draft, path, "completionDeadlineSeconds must be a positive integer greater than 0");
    }
}

/// How many builds are kept: the group API has a default, the legacy one keeps all (section 4.1).
fn limit(said: Option<i32>, has_default: bool) -> Option<u32> {
    match said {
        Some(limit) => Some(u32::try_from(limit).unwrap_or(0)),
        None => has_default.then_some(HISTORY_LIMIT),
    }
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

fn check_source(draft: &Draft<'_>, spec: &Spec) {
    let source = &spec.source;
    let at = |key: &str| steps!["spec", "source", key].to_vec();
    let inline_pipeline =
        spec.strategy.jenkins_pipeline_strategy.as_ref().is_some_and(|p| !p.jenkinsfile.is_empty());
    let may_be_empty = spec.strategy.custom_strategy.is_some() || inline_pipeline;
    let has_input = source.git.is_some()
        || source.binary.is_some()
        || source.dockerfile.is_some()
        || !source.images.is_empty();
    if !has_input && !may_be_empty {
        let detail =
            "must provide a value for at least one source input(git, binary, dockerfile, images).";
        draft.error(
            "B2",
            steps!["spec", "source"],
            format!("spec.source: Invalid value: {detail}"),
        );
    }
    if source.binary.is_some() {
        for (key, is_set) in
            [("git", source.git.is_some()), ("dockerfile", source.dockerfile.is_some())]
        {
            if is_set {
                say(draft, &at(key), "may not be set when binary is also set");
            }
        }
    }
    if source.git.as_ref().is_some_and(|git| git.uri.is_empty()) {
        draft.required("B2", steps!["spec", "source", "git", "uri"], "");
    }
    if source.dockerfile.as_ref().is_some_and(|text| text.len() > 60_000) {
        say(draft, &at("dockerfile"), "must be smaller than 60000 bytes");
    }
    if climbs(&source.context_dir) {
        say(draft, &at("contextDir"), "context dir must not be a relative path");
    }
    let docker = spec.strategy.docker_strategy.is_some();
    for (key, mounts) in [("secrets", &source.secrets), ("configMaps", &source.config_maps)] {
        for (index, mount) in mounts.iter().enumerate() {
            let path = steps!["spec", "source", key, index, "destinationDir"];
            if climbs(&mount.destination_dir) {
                say(draft, path, "destination dir cannot start with '..'");
            } else if docker && mount.destination_dir.starts_with('/') {
                say(
                    draft,
                    path,
                    "for the docker strategy the destinationDir has to be relative path",
                );
            }
        }
    }
    for (index, image) in source.images.iter().enumerate() {
        let here = steps!["spec", "source", "images", index];
        if image.paths.is_empty() && image.r#as.is_empty() {
            say(draft, here, "must specify 'paths' or 'as'");
        }
        for (at, each) in image.paths.iter().enumerate() {
            let below =
                |key: &str| steps!["spec", "source", "images", index, "paths", at, key].to_vec();
            if !each.source_path.starts_with('/') {
                say(draft, &below("sourcePath"), "must be an absolute path");
            }
            if climbs(&each.destination_dir) {
                say(draft, &below("destinationDir"), "destination dir cannot start with '..'");
            }
        }
    }
}

/// A `from` with its path.
type From<'s> = (&'s ObjectReference, Vec<Step>);

/// B2, B3: exactly one strategy; gives it with its `from`.
fn check_strategy<'s>(
    draft: &Draft<'_>,
    strategy: &'s Strategy,
) -> Option<(BuildStrategy, Option<From<'s>>)> {
    let given = [
        strategy.docker_strategy.is_some(),
        strategy.source_strategy.is_some(),
        strategy.custom_strategy.is_some(),
        strategy.jenkins_pipeline_strategy.is_some(),
    ];
    let at = steps!["spec", "strategy"];
    if given.iter().filter(|is_given| **is_given).count() != 1 {
        let detail = "must provide a value for exactly one of sourceStrategy, customStrategy, dockerStrategy, or jenkinsPipelineStrategy";
        draft.error("B2", at, format!("spec.strategy: Invalid value: {detail}"));
        return None;
    }
    if let Some(docker) = &strategy.docker_strategy {
        let policy = docker.image_optimization_policy.as_str();
        if !matches!(policy, "" | "None" | "SkipLayers" | "SkipLayersAndWarn") {
            let path = steps!["spec", "strategy", "dockerStrategy", "imageOptimizationPolicy"];
            draft.invalid("B2", path, policy, "must be None, SkipLayers or SkipLayersAndWarn");
        }
    }
    let (kind, key, from, is_needed) = if let Some(docker) = &strategy.docker_strategy {
        (BuildStrategy::Docker, "dockerStrategy", docker.from.as_ref(), false)
    } else if let Some(source) = &strategy.source_strategy {
        (BuildStrategy::Source, "sourceStrategy", source.from.as_ref(), true)
    } else if let Some(custom) = &strategy.custom_strategy {
        (BuildStrategy::Custom, "customStrategy", custom.from.as_ref(), true)
    } else {
        (BuildStrategy::JenkinsPipeline, "jenkinsPipelineStrategy", None, false)
    };
    for (index, env) in strategy.source_strategy.iter().flat_map(|s| s.env.iter()).enumerate() {
        if kept_secrets(std::iter::once(env.name.as_str())).is_empty() {
            continue;
        }
        let path = steps!["spec", "strategy", "sourceStrategy", "env", index, "name"];
        let name = &env.name;
        draft.warn("X42", path, format!(
            "the variable {name} stays in the image that is built, where anybody who can pull it reads it; hand it over \
             as a file with `source.secrets`, which is removed after the build"
        ));
    }
    if let Some(refusal) = kind.refusal() {
        draft.warn("B3", at, refusal);
    }
    let path = steps!["spec", "strategy", key, "from"];
    let name = from.map(|from| from.name.as_str()).unwrap_or_default();
    if name.is_empty() && (is_needed || from.is_some()) {
        draft.required("B2", steps!["spec", "strategy", key, "from", "name"], "");
        return None;
    }
    Some((kind, from.map(|from| (from, path.to_vec()))))
}

/// The image that a `from` names.
fn build_from(draft: &Draft<'_>, from: &ObjectReference, path: &[Step]) -> Option<BuildFrom> {
    let below =
        |key: &str| -> Vec<Step> { path.iter().cloned().chain([Step::Key(key.into())]).collect() };
    if from.kind == "DockerImage" {
        let image: Result<ImageReference, _> = from.name.trim().parse();
        return match image {
            Ok(image) if !image.is_registry_only() => Some(BuildFrom::Registry(Arc::new(image))),
            Ok(_) => {
                let detail = "must name a repository, not only a registry";
                draft.invalid("B2", &below("name"), &from.name, detail);
                None
            }
            Err(why) => {
                draft.invalid("B2", &below("name"), &from.name, &why.to_string());
                None
            }
        };
    }
    if from.kind == "ImageStreamImage" {
        let namespace = match from.namespace.as_str() {
            "" => Some(draft.namespace.clone()),
            text => text.parse().ok(),
        };
        let parts = from.name.split_once('@');
        let stream = parts.and_then(|(stream, _)| stream.parse().ok());
        if let (Some(namespace), Some(stream), Some((_, id))) = (namespace, stream, parts)
            && !id.is_empty()
        {
            let stream = StreamName::new(namespace, stream);
            return Some(BuildFrom::Image { stream, id: id.to_owned() });
        }
        draft.invalid("B2", &below("name"), &from.name, "must be in the form of <name>@<id>");
        return None;
    }
    stream_tag(draft, from, path).map(BuildFrom::Tag)
}

/// The tag that a `from` names; `ImageStream` means its tag `latest`.
fn stream_tag(draft: &Draft<'_>, from: &ObjectReference, path: &[Step]) -> Option<StreamTag> {
    let below =
        |key: &str| -> Vec<Step> { path.iter().cloned().chain([Step::Key(key.into())]).collect() };
    match from.kind.as_str() {
        "ImageStreamTag" | "ImageStream" => {}
        "DockerImage" | "ImageStreamImage" => return None,
        other => {
            let detail = "valid values are 'DockerImage', 'ImageStreamImage', 'ImageStreamTag'";
            draft.invalid("B2", &below("kind"), other, detail);
            return None;
        }
    }
    let namespace = match from.namespace.as_str() {
        "" => Some(draft.namespace.clone()),
        text => text.parse().ok(),
    };
    let Some(namespace) = namespace else {
        let detail = "namespace must be a valid subdomain";
        draft.invalid("B2", &below("namespace"), &from.namespace, detail);
        return None;
    };
    let (stream, tag) = match from.name.split_once(':') {
        Some((stream, tag)) => (stream, tag),
        None if from.kind == "ImageStream" => (from.name.as_str(), "latest"),
        None => {
            let detail = "must be in the form of <name>:<tag>";
            draft.invalid("B2", &below("name"), &from.name, detail);
            return None;
        }
    };
    match (stream.parse(), tag.parse()) {
        (Ok(stream), Ok(tag)) => Some(StreamName::new(namespace, stream).tag(tag)),
        (Err(_), _) | (_, Err(_)) => {
            let detail = "must be in the form of <name>:<tag>";
            draft.invalid("B2", &below("name"), &from.name, detail);
            None
        }
    }
}

/// What is said of two triggers on one tag.
const TWICE: &str = "multiple ImageChange triggers refer to the same image stream tag";

/// B1, B2; gives those on images. `own` is the tag of the strategy, which one without `from` watches.
fn check_triggers(draft: &Draft<'_>, spec: &Spec, own: Option<&StreamTag>) -> Vec<BuildTrigger> {
    let mut watched: Vec<StreamTag> = Vec::new();
    let mut found = Vec::new();
    let mut has_default = false;
    for (index, trigger) in spec.triggers.iter().enumerate() {
        let path = steps!["spec", "triggers", index];
        let hook = |key: &str, hook: Option<&WebHook>, may_take_env: bool| {
            check_hook(draft, steps!["spec", "triggers", index, key], hook, may_take_env);
        };
        match trigger.r#type.as_str() {
            "" => draft.required("B2", steps!["spec", "triggers", index, "type"], ""),
            "ConfigChange" => {}
            "GitHub" | "github" => hook("github", trigger.github.as_ref(), false),
            "GitLab" | "gitlab" => hook("gitlab", trigger.gitlab.as_ref(), false),
            "Bitbucket" | "bitbucket" => hook("bitbucket", trigger.bitbucket.as_ref(), false),
            "Generic" | "generic" => hook("generic", trigger.generic.as_ref(), true),
            "ImageChange" | "imageChange" => {
                let change = trigger.image_change.as_ref();
                let paused = change.is_some_and(|change| change.paused);
                let Some(from) = change.and_then(|change| change.from.as_ref()) else {
                    found.extend(own.map(|own| BuildTrigger { from: own.clone(), paused }));
                    if own.is_none() {
                        draft.warn("B1", path, "trigger dropped: an ImageChange trigger without `from` needs a strategy with an ImageStreamTag");
                    }
                    let is_own = |tag: &StreamTag| own == Some(tag);
                    if has_default || watched.iter().any(is_own) {
                        say(draft, path, TWICE);
                    }
                    has_default = true;
                    watched.extend(own.cloned());
                    continue;
                };
                let path = steps!["spec", "triggers", index, "imageChange", "from"];
                if !matches!(from.kind.as_str(), "" | "ImageStreamTag") {
                    say(
                        draft,
                        path,
                        "only an ImageStreamTag type of reference is allowed in an ImageChange trigger.",
                    );
                    continue;
                }
                let from = ObjectReference { kind: "ImageStreamTag".into(), ..from.clone() };
                let Some(tag) = stream_tag(draft, &from, path) else { continue };
                if watched.contains(&tag) {
                    say(draft, path, TWICE);
                }
                watched.push(tag.clone());
                found.push(BuildTrigger { from: tag, paused });
            }
            other => {
                draft.warn("B1", path, format!("trigger dropped: its type `{other}` is not known"));
            }
        }
    }
    found
}

fn check_hook(draft: &Draft<'_>, path: &[Step], hook: Option<&WebHook>, may_take_env: bool) {
    let Some(hook) = hook else {
        draft.required("B2", path, "");
        return;
    };
    if hook.secret.is_empty() && hook.secret_reference.is_none() {
        say(draft, path, "must provide a value for at least one of secret or secretReference");
    }
    if hook.allow_env && !may_take_env {
        say(draft, path, "git webhooks cannot allow env vars");
    }
}

fn check_output(draft: &Draft<'_>, output: &Output) -> Option<BuildFrom> {
    let mut names: Vec<&str> = Vec::new();
    for (index, label) in output.image_labels.iter().enumerate() {
        if names.contains(&label.name.as_str()) {
            let path = steps!["spec", "output", "imageLabels", index, "name"];
            say(draft, path, "duplicate name");
        }
        names.push(&label.name);
    }
    let to = output.to.as_ref()?;
    let path = steps!["spec", "output", "to"];
    if to.kind == "DockerImage" {
        return build_from(draft, to, path);
    }
    if !matches!(to.kind.as_str(), "" | "ImageStream" | "ImageStreamTag") {
        say(draft, path, "the target of build output must be an 'ImageStreamTag' or 'DockerImage'");
        return None;
    }
    let kind = if to.kind.is_empty() { "ImageStreamTag" } else { &to.kind };
    stream_tag(draft, &ObjectReference { kind: kind.into(), ..to.clone() }, path)
        .map(BuildFrom::Tag)
}
