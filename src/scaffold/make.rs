//! The objects of an application (section 6.2, rules N10 to N13, N19).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::api::{self, Map};
use crate::edit::{Sort, Value};
use crate::names::Namespace;

use super::build::{self, Entry, entry};
use super::failure::Failure;
use super::find::Found;
use super::image::Port;
use super::pipeline::{Deployed, Of, Pipeline, Plan};
use super::{Known, Verb, Wanted, circle};

/// An object that is made.
#[derive(Clone, PartialEq, Debug)]
pub struct Object {
    /// Its kind and its group.
    pub(super) sort: (Cow<'static, str>, Cow<'static, str>),
    /// Its name; of a tag `stream:tag`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Map,
    /// `metadata.annotations`; of a tag those of its entry.
    pub annotations: Map,
    /// What else it says.
    pub body: Body,
}

/// What an object says but for its metadata.
#[derive(Clone, PartialEq, Debug)]
pub enum Body {
    /// `spec`.
    Spec(Vec<Entry>),
    /// The entry of a tag but for its annotations, in a stream that may be there.
    Tag(Vec<Entry>),
    /// Written by somebody else, in a Template.
    Given(serde_json::Value),
}

const STREAM: Sort<'static> = Sort::STREAM;
const STREAM_TAG: Sort<'static> = Sort { kind: "ImageStreamTag", group: api::GROUP };
const BUILD: Sort<'static> = Sort { kind: "BuildConfig", group: "build.openshift.io" };
const CONFIG: Sort<'static> = Sort { kind: "DeploymentConfig", group: "apps.openshift.io" };
const DEPLOYMENT: Sort<'static> = Sort { kind: "Deployment", group: "apps" };
const SERVICE: Sort<'static> = Sort { kind: "Service", group: "" };

/// Where what builds make of a stream is pushed (rule I198).
const PUSH: &str = "tidegate.dev/push";

/// Who made an object.
pub const GENERATED_BY: &str = "openshift.io/generated-by";

/// Where an image came from.
const IMPORTED_FROM: &str = "openshift.io/imported-from";

/// What sets the images of a Deployment.
const TRIGGERS: &str = "image.openshift.io/triggers";

impl Object {
    fn new(sort: Sort<'static>, name: &str, spec: Vec<Entry>) -> Self {
        let (labels, annotations) = (Map::new(), Map::new());
        let sort = (sort.kind.into(), sort.group.into());
        Self { sort, name: name.to_owned(), labels, annotations, body: Body::Spec(spec) }
    }

    /// Its kind and its group.
    #[must_use]
    pub fn sort(&self) -> Sort<'_> {
        let (kind, group) = &self.sort;
        Sort { kind, group }
    }

    /// `deployment.apps`.
    #[must_use]
    pub fn kind(&self) -> String {
        let Sort { kind, group } = self.sort();
        let kind = kind.to_ascii_lowercase();
        if group.is_empty() { kind } else { format!("{kind}.{group}") }
    }

    /// `stream` and `tag`, of a tag.
    #[must_use]
    pub fn stream_tag(&self) -> Option<(&str, &str)> {
        match &self.body {
            Body::Tag(_) => self.name.split_once(':'),
            Body::Spec(_) | Body::Given(_) => None,
        }
    }

    fn metadata(&self, name: &str, namespace: &Namespace, annotations: &Map) -> Value {
        let mut fields = vec![entry("name", name), entry("namespace", namespace.to_string())];
        for (key, texts) in [("labels", &self.labels), ("annotations", annotations)] {
            fields.extend((!texts.is_empty()).then(|| entry(key, map(texts))));
        }
        Value::Map(fields)
    }

    /// The text of its file; a tag as that of a stream.
    #[must_use]
    pub fn text(&self, namespace: &Namespace) -> String {
        match self.manifest(namespace) {
            Some(value) => value.document(),
            None => crate::oc::yaml::document(&self.given(namespace)),
        }
    }

    /// As it is printed, a tag as an object of its own.
    #[must_use]
    pub fn json(&self, namespace: &Namespace) -> serde_json::Value {
        self.shown(namespace).map_or_else(|| self.given(namespace), |value| value.to_json())
    }

    /// What a Template made, with the labels and annotations that came to it.
    fn given(&self, namespace: &Namespace) -> serde_json::Value {
        let Body::Given(object) = &self.body else { return serde_json::Value::Null };
        let mut object = object.clone();
        let Some(metadata) = object.get_mut("metadata").and_then(|meta| meta.as_object_mut())
        else {
            return object;
        };
        metadata.entry("namespace").or_insert_with(|| namespace.to_string().into());
        for (key, texts) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            let place = metadata.entry(key).or_insert_with(|| serde_json::json!({}));
            for (name, text) in texts {
                if let Some(map) = place.as_object_mut() {
                    map.insert(name.clone(), text.as_str().into());
                }
            }
        }
        object
    }

    /// As a manifest; a tag as the stream that holds nothing else. None for what somebody else wrote.
    #[must_use]
    pub fn manifest(&self, namespace: &Namespace) -> Option<Value> {
        let whole = |sort: Sort<'_>, metadata: Value, spec: Vec<Entry>| {
            let mut fields = vec![
                entry("apiVersion", api_version(sort)),
                entry("kind", sort.kind),
                ("metadata".to_owned(), metadata),
            ];
            fields.extend((!spec.is_empty()).then(|| entry("spec", Value::Map(spec))));
            Some(Value::Map(fields))
        };
        match &self.body {
            Body::Given(_) => None,
            Body::Spec(spec) => {
                let metadata = self.metadata(&self.name, namespace, &self.annotations);
                whole(self.sort(), metadata, spec.clone())
            }
            Body::Tag(_) => {
                let (stream, _) = self.stream_tag()?;
                let made = self.annotations.get_key_value(GENERATED_BY);
                let made: Map = made.map(|(k, v)| (k.clone(), v.clone())).into_iter().collect();
                let metadata = self.metadata(stream, namespace, &made);
                let tags = Value::List(vec![self.tag_entry()?]);
                whole(STREAM, metadata, vec![entry("tags", tags)])
            }
        }
    }

    /// The entry of a tag in its stream.
    #[must_use]
    pub fn tag_entry(&self) -> Option<Value> {
        let (_, tag) = self.stream_tag()?;
        let Body::Tag(fields) = &self.body else { return None };
        let mut all = vec![entry("name", tag)];
        all.extend(
            (!self.annotations.is_empty()).then(|| entry("annotations", map(&self.annotations))),
        );
        all.extend(fields.iter().cloned());
        Some(Value::Map(all))
    }

    /// As it is printed: a tag is an object of its own.
    #[must_use]
    pub fn shown(&self, namespace: &Namespace) -> Option<Value> {
        let Some(tag) = self.tag_entry() else { return self.manifest(namespace) };
        let metadata = self.metadata(&self.name, namespace, &self.annotations);
        let fields = vec![
            entry("apiVersion", api_version(self.sort())),
            entry("kind", self.sort().kind),
            ("metadata".to_owned(), metadata),
            entry("tag", tag),
        ];
        Some(Value::Map(fields))
    }
}

fn api_version(sort: Sort<'_>) -> String {
    if sort.group.is_empty() { "v1".to_owned() } else { format!("{}/v1", sort.group) }
}

fn map(texts: &Map) -> Value {
    Value::Map(texts.iter().map(|(key, text)| entry(key, text.as_str())).collect())
}

/// What is made, and what a reader should know about it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Made {
    /// The objects, in the order in which they are written.
    pub objects: Vec<Object>,
    /// What a reader should know.
    pub warnings: Vec<String>,
    /// Labels that the command says it sets.
    pub said_labels: Map,
    /// Builds whose webhooks want a Secret.
    pub hooked: Vec<String>,
    /// Streams that builds make images of, and that do not say where these are pushed.
    pub unplaced: Vec<String>,
}

/// Makes the objects of a plan; `given` are those of templates, `template` is the name of the first.
///
/// # Errors
/// When flags do not fit, or a build would feed itself (rule N9).
pub fn make(
    wanted: &Wanted,
    known: &Known,
    plan: &Plan,
    given: Vec<Object>,
    template: Option<&str>,
) -> Result<Made, Failure> {
    let mut maker = Maker { wanted, known, objects: Vec::new(), hooked: Vec::new() };
    for (at, pipeline) in plan.pipelines.iter().enumerate() {
        maker.images(pipeline);
        maker.build(at, pipeline)?;
        for deployed in plan.deployed.iter().filter(|one| one.pipelines.last() == Some(&at)) {
            maker.deploy(plan, deployed);
        }
    }
    maker.serve(plan);
    let Maker { mut objects, hooked, .. } = maker;
    let mut made = Made { warnings: plan.warnings.clone(), hooked, ..Made::default() };
    made.unplaced = unplaced(wanted, known, plan);
    made.warnings.extend(circle::check(wanted, known, plan)?);
    objects.extend(given);
    let name = if wanted.name.is_empty() { template } else { None };
    let name = name.or_else(|| plan.name(wanted)).map(str::to_owned);
    made.said_labels = label(wanted, &mut objects, name.as_deref());
    for object in &mut objects {
        annotate(wanted.verb, object);
    }
    made.objects = objects;
    Ok(made)
}

/// Streams of outputs that say nothing of a repository (rule B53).
fn unplaced(wanted: &Wanted, known: &Known, plan: &Plan) -> Vec<String> {
    let namespace = wanted.namespace.as_str();
    let says = |name: &str| {
        let mut all = known.streams.iter().map(|stream| &stream.metadata);
        all.any(|one| {
            one.namespace == namespace && one.name == name && one.annotations.contains_key(PUSH)
        })
    };
    let outputs = plan.pipelines.iter().filter_map(|one| one.build.as_ref()?.output.as_ref());
    let streams = outputs.filter_map(|output| match output {
        Of::Output { stream, .. } => Some(stream.clone()),
        Of::Tag { .. } | Of::Tracked { .. } | Of::Image(_) => None,
    });
    streams.filter(|stream| !says(stream)).collect()
}

struct Maker<'a> {
    wanted: &'a Wanted,
    known: &'a Known,
    objects: Vec<Object>,
    hooked: Vec<String>,
}

impl Maker<'_> {
    /// Takes an object unless it is there already.
    fn push(&mut self, object: Object) {
        let kind = object.sort().kind;
        let is_known = |own: &Object| own.sort().kind == kind && own.name == object.name;
        if !self.objects.iter().any(is_known) {
            self.objects.push(object);
        }
    }

    fn has_stream(&self, name: &str) -> bool {
        self.known.written(self.wanted.namespace.as_str(), name).is_some()
    }

    /// The streams and tags of what a pipeline is made of and what it makes.
    fn images(&mut self, pipeline: &Pipeline) {
        match &pipeline.build {
            Some(build) => {
                if let Some(input) = &build.input {
                    self.track(input);
                }
                if let Some((of, _)) = &build.image {
                    self.track(of);
                }
                if let Some(Of::Output { stream, .. }) = &build.output
                    && !self.has_stream(stream)
                {
                    self.push(Object::new(STREAM, stream, Vec::new()));
                }
            }
            None if matches!(pipeline.image, Of::Output { .. }) => self.copy(pipeline),
            None => self.track(&pipeline.image),
        }
    }

    /// The tag that tracks an image of a registry.
    fn track(&mut self, of: &Of) {
        let Of::Tracked { stream, tag, reference } = of else { return };
        let from = Value::map([
            ("kind", Value::text("DockerImage")),
            ("name", Value::text(reference.exact())),
        ]);
        let mut fields = vec![entry("from", from)];
        let mut policy = Vec::new();
        if self.wanted.insecure {
            policy.push(entry("insecure", Value::Bool(true)));
        }
        if let Some(mode) = self.wanted.import_mode {
            policy.push(entry("importMode", crate::edit::tag::mode_word(mode)));
        }
        fields.extend((!policy.is_empty()).then(|| entry("importPolicy", Value::Map(policy))));
        let imported: Map = [(IMPORTED_FROM.to_owned(), reference.exact())].into();
        let is_made = self.objects.iter().any(|own| own.sort() == STREAM && own.name == *stream);
        if !self.has_stream(stream) && !is_made {
            let mut whole = vec![entry("name", tag.as_str()), entry("annotations", map(&imported))];
            whole.extend(fields);
            let tags = Value::List(vec![Value::Map(whole)]);
            self.push(Object::new(STREAM, stream, vec![entry("tags", tags)]));
            return;
        }
        if is_made && self.made_tag(stream, tag) {
            return;
        }
        let mut object = Object::new(STREAM_TAG, &format!("{stream}:{tag}"), Vec::new());
        object.annotations = imported;
        object.body = Body::Tag(fields);
        self.push(object);
    }

    /// Whether a stream that is made has a tag.
    fn made_tag(&self, stream: &str, tag: &str) -> bool {
        let own = self.objects.iter().find(|own| own.sort() == STREAM && own.name == stream);
        let Some(Body::Spec(spec)) = own.map(|own| &own.body) else { return false };
        let lists = spec.iter().filter_map(|(key, value)| match value {
            Value::List(tags) if key == "tags" => Some(tags),
            Value::List(_) | Value::Text(_) | Value::Bool(_) | Value::Number(_) | Value::Map(_) => {
                None
            }
        });
        let name = entry("name", tag);
        lists.flatten().any(|one| matches!(one, Value::Map(fields) if fields.contains(&name)))
    }

    /// A tag of an application's own that follows the one it was made of (rule N19).
    fn copy(&mut self, pipeline: &Pipeline) {
        let Found::Tag { stream, tag, .. } = &pipeline.part.found.found else { return };
        let Some(name) = pipeline.image.tag() else { return };
        let mut from = vec![entry("kind", "ImageStreamTag")];
        if stream.metadata.namespace != self.wanted.namespace.as_str() {
            from.push(entry("namespace", stream.metadata.namespace.as_str()));
        }
        from.push(entry("name", format!("{}:{tag}", stream.metadata.name)));
        let mut object = Object::new(STREAM_TAG, &name, Vec::new());
        object.body = Body::Tag(vec![entry("from", Value::Map(from))]);
        self.push(object);
    }

    fn build(&mut self, at: usize, pipeline: &Pipeline) -> Result<(), Failure> {
        let Some(build) = &pipeline.build else { return Ok(()) };
        let hooks = self.wanted.webhook_secrets.as_ref();
        let hooks = hooks.and_then(|all| all.get(at * 2..at * 2 + 2));
        let spec = build::spec(self.wanted, pipeline, build, hooks)?;
        if hooks.is_none() {
            self.hooked.push(pipeline.name.clone());
        }
        self.push(Object::new(BUILD, &pipeline.name, spec));
        Ok(())
    }

    fn deploy(&mut self, plan: &Plan, deployed: &Deployed) {
        let pod = Pod::of(self.wanted, plan, deployed);
        let selector = selector(self.wanted, deployed);
        let template = Value::Map(vec![
            entry("metadata", template_metadata(&selector, self.wanted.verb)),
            entry("spec", Value::Map(pod.spec)),
        ]);
        let object = if self.wanted.as_deployment_config {
            let mut triggers = vec![Value::map([("type", Value::text("ConfigChange"))])];
            triggers.extend(pod.triggers.iter().map(Trigger::of_config));
            let mut spec =
                vec![entry("triggers", Value::List(triggers)), entry("replicas", Value::Number(1))];
            spec.extend(self.wanted.as_test.then(|| entry("test", Value::Bool(true))));
            spec.extend([entry("selector", map(&selector)), entry("template", template)]);
            Object::new(CONFIG, &deployed.name, spec)
        } else {
            let matched = Value::Map(vec![entry("matchLabels", map(&selector))]);
            let spec = vec![
                entry("replicas", Value::Number(1)),
                entry("selector", matched),
                entry("template", template),
            ];
            let mut object = Object::new(DEPLOYMENT, &deployed.name, spec);
            if !pod.triggers.is_empty() {
                let list: Vec<_> = pod.triggers.iter().map(Trigger::of_annotation).collect();
                object.annotations.insert(TRIGGERS.into(), format!("[{}]", list.join(",")));
            }
            object
        };
        self.push(object);
    }

    /// A Service for each of what runs and listens.
    fn serve(&mut self, plan: &Plan) {
        for deployed in &plan.deployed {
            let ports = ports_of(plan, deployed);
            if ports.is_empty() {
                continue;
            }
            let port = |port: &Port| {
                Value::Map(vec![
                    entry("name", format!("{}-{}", port.number, port.protocol())),
                    entry("protocol", port.protocol().to_uppercase()),
                    entry("port", Value::Number(port.number.into())),
                    entry("targetPort", Value::Number(port.number.into())),
                ])
            };
            let spec = vec![
                entry("ports", Value::List(ports.iter().map(port).collect())),
                entry("selector", map(&selector(self.wanted, deployed))),
            ];
            self.push(Object::new(SERVICE, &deployed.name, spec));
        }
    }
}

/// The ports of all containers of a pod, each once and in order.
pub(super) fn ports_of(plan: &Plan, deployed: &Deployed) -> BTreeSet<Port> {
    let all = deployed.pipelines.iter().filter_map(|at| plan.pipelines.get(*at));
    all.flat_map(|pipeline| pipeline.shape.ports.iter().copied()).collect()
}

/// The labels by which what runs finds its pods.
fn selector(wanted: &Wanted, deployed: &Deployed) -> Map {
    let key = if wanted.as_deployment_config { "deploymentconfig" } else { "deployment" };
    let own = (key.to_owned(), deployed.name.clone());
    let labels = wanted.labels.iter().filter(|(label, _)| *label != key);
    labels.map(|(key, text)| (key.clone(), text.clone())).chain([own]).collect()
}

fn template_metadata(labels: &Map, verb: Verb) -> Value {
    let made: Map = [(GENERATED_BY.to_owned(), verb.generator().to_owned())].into();
    Value::Map(vec![entry("labels", map(labels)), entry("annotations", map(&made))])
}

/// What sets the image of a container.
struct Trigger {
    container: String,
    tag: String,
    namespace: String,
}

impl Trigger {
    /// As a DeploymentConfig has it.
    fn of_config(&self) -> Value {
        let from = Value::map([
            ("kind", Value::text("ImageStreamTag")),
            ("namespace", Value::text(&self.namespace)),
            ("name", Value::text(&self.tag)),
        ]);
        let parameters = Value::map([
            ("automatic", Value::Bool(true)),
            ("containerNames", Value::List(vec![Value::text(&self.container)])),
            ("from", from),
        ]);
        Value::map([("type", Value::text("ImageChange")), ("imageChangeParams", parameters)])
    }

    /// As the annotation has it, in the order of `oc`.
    fn of_annotation(&self) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let path =
            format!("spec.template.spec.containers[?(@.name==\"{}\")].image", self.container);
        format!(
            "{{\"from\":{{\"kind\":\"ImageStreamTag\",\"name\":{},\"namespace\":{}}},\"fieldPath\":{}}}",
            text(&self.tag),
            text(&self.namespace),
            text(&path)
        )
    }
}

/// The pod of what runs.
struct Pod {
    spec: Vec<Entry>,
    triggers: Vec<Trigger>,
}

impl Pod {
    fn of(wanted: &Wanted, plan: &Plan, deployed: &Deployed) -> Self {
        let (mut containers, mut volumes, mut triggers) = (Vec::new(), Vec::new(), Vec::new());
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for pipeline in deployed.pipelines.iter().filter_map(|at| plan.pipelines.get(*at)) {
            let of = &pipeline.image;
            let count = names.entry(of.name()).and_modify(|count| *count += 1).or_insert(0);
            // Two containers of one image have two names.
            let name = if *count == 0 { of.name() } else { format!("{}-{count}", of.name()) };
            // The placeholder says what will stand there (rule N12); a trigger sets it before anything runs (rule D33).
            let image = match of {
                Of::Image(reference) => reference.exact(),
                Of::Tag { .. } | Of::Tracked { .. } | Of::Output { .. } => {
                    of.tag().unwrap_or_default()
                }
            };
            if let Some(tag) = of.tag() {
                let namespace = match of {
                    Of::Tag { namespace, .. } => namespace.clone(),
                    Of::Tracked { .. } | Of::Output { .. } | Of::Image(_) => {
                        wanted.namespace.to_string()
                    }
                };
                triggers.push(Trigger { container: name.clone(), tag, namespace });
            }
            let mut fields = vec![entry("name", name.as_str()), entry("image", image)];
            let port = |port: &Port| {
                Value::Map(vec![
                    entry("containerPort", Value::Number(port.number.into())),
                    entry("protocol", port.protocol().to_uppercase()),
                ])
            };
            let ports: Vec<Value> = pipeline.shape.ports.iter().map(port).collect();
            fields.extend((!ports.is_empty()).then(|| entry("ports", Value::List(ports))));
            fields.extend(build::environment(&wanted.environment));
            let mut mounts = Vec::new();
            for (path, number) in pipeline.shape.volumes.iter().zip(1..) {
                let volume = format!("{name}-volume-{number}");
                let empty = ("emptyDir".to_owned(), Value::Map(Vec::new()));
                volumes.push(Value::Map(vec![entry("name", volume.as_str()), empty]));
                let mount = vec![entry("name", volume), entry("mountPath", path.as_str())];
                mounts.push(Value::Map(mount));
            }
            fields.extend((!mounts.is_empty()).then(|| entry("volumeMounts", Value::List(mounts))));
            containers.push(Value::Map(fields));
        }
        let mut spec = Vec::new();
        spec.extend((!volumes.is_empty()).then(|| entry("volumes", Value::List(volumes))));
        spec.push(entry("containers", Value::List(containers)));
        Self { spec, triggers }
    }
}

/// Sets labels, and says which of them the command tells of (rules N10, N17).
fn label(wanted: &Wanted, objects: &mut [Object], name: Option<&str>) -> Map {
    let mut said = wanted.labels.clone();
    let mut all = wanted.labels.clone();
    match (wanted.verb, name) {
        (_, None) => {}
        (Verb::Build, Some(name)) => {
            if said.is_empty() {
                said.insert("build".into(), name.to_owned());
                all.clone_from(&said);
            }
        }
        (Verb::App, Some(name)) => {
            let keys = ["app", "app.kubernetes.io/component", "app.kubernetes.io/instance"];
            let mut own: Map = keys.map(|key| (key.to_owned(), name.to_owned())).into();
            own.extend(stream_label(wanted));
            let has_one = |labels: &Map| own.keys().any(|key| labels.contains_key(key));
            if !has_one(&all) && !objects.iter().any(|object| has_one(&object.labels)) {
                all.extend(own);
            }
        }
    }
    for object in objects {
        object.labels.extend(all.clone());
    }
    said
}

/// The label that says which stream an application is of, with `--image-stream`.
fn stream_label(wanted: &Wanted) -> Option<(String, String)> {
    let mut streams = wanted.components.iter().filter(|one| one.named == super::Named::ImageStream);
    let reference = streams.next_back()?.word.parse::<crate::reference::ImageReference>().ok()?;
    Some(("app.kubernetes.io/name".to_owned(), reference.name))
}

fn annotate(verb: Verb, object: &mut Object) {
    object.annotations.insert(GENERATED_BY.into(), verb.generator().to_owned());
}
