//! What a reader is told (rules N14 to N18): the texts are those of `oc`.

use std::fmt::Write as _;

use crate::api::{Image, Map};
use crate::oc::ago;
use crate::time::Timestamp;

use super::find::{Found, Match, registry_shown};
use super::make::{Body, Made, Object};
use super::pipeline::{Build, Of, Pipeline, Plan};
use super::{Strategy, Verb, Wanted, image, plain, source};

/// Who is told, and when.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    /// The name that hints call the program by (rule N18).
    pub program: &'a str,
    /// The time that ages are counted to.
    pub now: Timestamp,
}

/// What was found and what becomes of it: a block for each component, with a blank line behind it.
#[must_use]
pub fn blocks(reader: Reader<'_>, wanted: &Wanted, plan: &Plan) -> String {
    let mut text = String::new();
    for pipeline in &plan.pipelines {
        let mut block = Block { reader, wanted, plan, pipeline, text: String::new() };
        block.found();
        block.image();
        block.deployed();
        text.push_str(&block.text);
        text.push('\n');
    }
    plain(&text)
}

struct Block<'a> {
    reader: Reader<'a>,
    wanted: &'a Wanted,
    plan: &'a Plan,
    pipeline: &'a Pipeline,
    text: String,
}

impl Block<'_> {
    fn line(&mut self, text: impl std::fmt::Display) {
        // Writing into a text cannot fail.
        let _ = writeln!(self.text, "{text}");
    }

    /// Which image it is, and what that says of itself (rule N15).
    fn found(&mut self) {
        let part = &self.pipeline.part;
        let Some(line) = located(self.reader.now, &part.found, &part.value) else { return };
        self.line(format_args!("--> {line}"));
        let mut says: Map = part.found.image().map(image::labels).unwrap_or_default();
        let spec = part.found.spec_tag().and_then(|tag| tag.annotations.clone());
        says.extend(spec.unwrap_or_default());
        let of = |key: &str| says.get(key).filter(|text| !text.is_empty()).cloned();
        self.line("");
        if let Some(name) = of("io.k8s.display-name") {
            self.line(format_args!("    {name}"));
            self.line(format_args!("    {}", "-".repeat(name.len())));
        }
        if let Some(text) = of("io.k8s.description") {
            self.line(format_args!("    {text}\n"));
        }
        if let Some(tags) = of("io.openshift.tags") {
            let tags = tags.split(',').collect::<Vec<_>>().join(", ");
            self.line(format_args!("    Tags: {tags}\n"));
        }
    }

    /// What is made for the image, and what is built (rule N16).
    fn image(&mut self) {
        let Some(build) = &self.pipeline.build else {
            if let Of::Tracked { .. } = &self.pipeline.image {
                let tag = self.pipeline.image.tag().unwrap_or_default();
                self.line(format_args!(
                    "    * An image stream tag will be created as \"{tag}\" that will track this image"
                ));
            }
            return;
        };
        let tracked = build.input.as_ref().filter(|of| matches!(of, Of::Tracked { .. }));
        let tracked = tracked.and_then(Of::tag);
        if let Some(tag) = &tracked {
            self.line(format_args!(
                "    * An image stream tag will be created as \"{tag}\" that will track the source image"
            ));
        }
        let held = build.repository.held.as_ref();
        let languages = held.map(|held| source::languages(&held.files)).unwrap_or_default();
        if !languages.is_empty() && build.repository.strategy == Strategy::Source {
            let languages = languages.join(", ");
            self.line(format_args!("    * The source repository appears to match: {languages}"));
        }
        self.built(build, tracked.as_deref());
    }

    fn built(&mut self, build: &Build, tracked: Option<&str>) {
        let (source, is_uploaded) = source_shown(build);
        let strategy = build.repository.strategy.as_str();
        self.line(format_args!("    * A {strategy} build using {source} will be created"));
        match &build.output {
            Some(Of::Image(reference)) => self.line(format_args!(
                "      * The resulting image will be pushed with Docker to \"{}\"",
                reference.exact()
            )),
            Some(output) => {
                let tag = output.tag().unwrap_or_default();
                self.line(format_args!(
                    "      * The resulting image will be pushed to image stream tag \"{tag}\""
                ));
            }
            None => {}
        }
        let program = self.reader.program;
        match tracked {
            _ if is_uploaded => self.line(format_args!(
                "      * A binary build was created, use '{program} start-build --from-dir' to trigger a new build"
            )),
            Some(tag) => self.line(format_args!(
                "      * Every time \"{tag}\" changes a new build will be triggered"
            )),
            None => self.line(format_args!(
                "      * Use '{program} start-build' to trigger a new build"
            )),
        }
    }

    /// What runs it: a Deployment is no news (rule N16).
    fn deployed(&mut self) {
        let deployed = self.pipeline.runs_in.and_then(|at| self.plan.deployed.get(at));
        let Some(deployed) = deployed.filter(|_| self.wanted.as_deployment_config) else { return };
        let name = deployed.name.clone();
        let test = if self.wanted.as_test { "test " } else { "" };
        let part = if self.pipeline.place > 1 { "as part of" } else { "in" };
        self.line(format_args!(
            "    * This image will be {test}deployed {part} deployment config \"{name}\""
        ));
        let shape = self.pipeline.shape.clone();
        if !shape.is_known {
            return;
        }
        if !shape.odd_ports.is_empty() {
            let odd = shape.odd_ports.join(", ");
            self.line(format_args!(
                "    * WARNING: The Dockerfile has some invalid ports in EXPOSE instruction: {odd}"
            ));
        }
        let program = self.reader.program;
        let ports: Vec<String> = shape.ports.iter().map(ToString::to_string).collect();
        if ports.is_empty() {
            self.line(format_args!(
                "    * The image does not expose any ports - if you want to load balance or send traffic to this \
                 component\n      you will need to create a service with '{program} expose dc/{name} --port=[port]' later"
            ));
        } else {
            let word = if ports.len() == 1 { "Port" } else { "Ports" };
            self.line(format_args!(
                "    * {word} {} will be load balanced by service \"{name}\"",
                ports.join(", ")
            ));
            self.line(format_args!(
                "      * Other containers can access this service through the hostname \"{name}\""
            ));
        }
        if !shape.volumes.is_empty() {
            self.line(format_args!(
                "    * This image declares volumes and will default to use non-persistent, host-local storage.\n      You \
                 can add persistent volumes later by running '{program} set volume dc/{name} --add ...'"
            ));
        }
        if shape.is_root {
            let image = self.pipeline.part.found.name.clone();
            self.line(format_args!(
                "    * WARNING: Image \"{image}\" runs as the 'root' user which may not be permitted by your cluster \
                 administrator"
            ));
        }
    }
}

/// What is built, in words, and whether it is uploaded.
fn source_shown(build: &Build) -> (String, bool) {
    let repository = &build.repository;
    match &repository.remote {
        _ if repository.is_binary => ("binary input".into(), true),
        _ if repository.dockerfile.is_some() => ("a predefined Dockerfile".into(), false),
        Some(remote) => (format!("source code from {}", remote.shown()), false),
        None => ("<unknown>".into(), false),
    }
}

/// Where an image was found; nothing for what was not.
fn located(now: Timestamp, found: &Match, value: &str) -> Option<String> {
    match &found.found {
        Found::Tag { stream, tag, image } => {
            let name = format!("{}/{}", stream.metadata.namespace, stream.metadata.name);
            // One without a config says nothing of itself.
            let read = image.as_ref().filter(|image| !image::short_id(image).is_empty());
            Some(match read {
                Some(image) => format!(
                    "Found image {} in image stream \"{name}\" under tag \"{tag}\" for \"{value}\"",
                    identified(image, now)
                ),
                None => format!("Found tag :{tag} in image stream \"{name}\" for \"{value}\""),
            })
        }
        Found::Image { reference, image } => Some(format!(
            "Found container image {} from {} for \"{value}\"",
            identified(image, now),
            registry_shown(reference)
        )),
        Found::NoTags | Found::Missing | Found::Nothing => None,
    }
}

/// `927f823 (4 months old)`.
fn identified(image: &Image, now: Timestamp) -> String {
    let id = image::short_id(image);
    let created = image.docker_image_metadata.as_ref().and_then(|metadata| metadata.created);
    let Some(created) = created else { return id };
    let age = ago(now, created);
    format!("{id} ({} old)", age.strip_suffix(" ago").unwrap_or(&age))
}

/// What is said before the objects (rule N17).
#[must_use]
pub fn creating(labels: &Map) -> String {
    let list: Vec<String> = labels.iter().map(|(key, text)| format!("{key}={text}")).collect();
    match list.is_empty() {
        true => "--> Creating resources ...".into(),
        false => format!("--> Creating resources with label {} ...", list.join(",")),
    }
}

/// What is said of an object, with what follows where nothing is written.
#[must_use]
pub fn created(object: &Object, suffix: &str) -> String {
    format!("    {} \"{}\" created{suffix}", object.kind(), object.name)
}

/// What is said in the end, of what was written (rule N17).
#[must_use]
pub fn finished(reader: Reader<'_>, verb: Verb, made: &Made) -> Vec<String> {
    let program = reader.program;
    let mut lines = Vec::new();
    let of =
        |kind: &'static str| made.objects.iter().filter(move |object| object.sort().kind == kind);
    for build in of("BuildConfig") {
        let name = &build.name;
        match (verb, starts_by_itself(build)) {
            (Verb::App, true) => lines.push(format!(
                "    Build scheduled, use '{program} logs -f buildconfig/{name}' to track its progress."
            )),
            (Verb::Build, true) => {
                lines.push(format!(
                    "    Build configuration \"{name}\" created and build triggered."
                ));
                lines.push(format!(
                    "    Run '{program} logs -f buildconfig/{name}' to stream the build progress."
                ));
            }
            (_, false) => {
                lines.push(format!("    Use '{program} start-build {name}' to start a build."));
            }
        }
    }
    if verb == Verb::Build {
        return lines;
    }
    let services: Vec<&Object> = of("Service").collect();
    if !services.is_empty() && of("Route").next().is_none() {
        lines.push(
            "    Application is not exposed. You can expose services to the outside world by executing one or more of the \
             commands below:"
                .into(),
        );
        let hint = |service: &&Object| format!("     '{program} expose svc/{}'", service.name);
        lines.extend(services.iter().map(hint));
    }
    lines.push(format!("    Run '{program} status' to view your app."));
    lines
}

/// Whether a BuildConfig has a trigger that needs nobody.
fn starts_by_itself(build: &Object) -> bool {
    let is_change = |kind: Option<&str>| matches!(kind, Some("ConfigChange" | "ImageChange"));
    let of_list = |list: &serde_json::Value| {
        let all = list.as_array().into_iter().flatten();
        all.map(|one| one.get("type").and_then(|kind| kind.as_str())).any(is_change)
    };
    match &build.body {
        Body::Given(object) => object.pointer("/spec/triggers").is_some_and(of_list),
        Body::Spec(spec) | Body::Tag(spec) => {
            let list = spec.iter().find(|(key, _)| key == "triggers");
            list.is_some_and(|(_, list)| of_list(&list.to_json()))
        }
    }
}
