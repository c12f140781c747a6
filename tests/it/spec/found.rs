//! What the words of `new-app` mean (rules N1 to N9).

use std::collections::BTreeMap;

use tidegate::api::{
    ContainerConfig, DockerImage, Image, ImageStream, NamedTagEventList, ObjectMeta,
    ObjectReference, TagEvent, TagReference,
};
use tidegate::scaffold::failure::Told;
use tidegate::scaffold::find::proximity;
use tidegate::scaffold::make::{Made, make};
use tidegate::scaffold::source::{Remote, languages};
use tidegate::scaffold::words::{Facts, Word, check_name, classify, component};
use tidegate::scaffold::{
    Asked, Component, Failure, Known, Named, Plan, Question, Source, Stop, Strategy, Verb, Wanted,
    pipelines, resolve,
};

/// Streams and images by hand.
#[derive(Clone)]
pub(super) struct Shop {
    pub(super) known: Known,
    pub(super) wanted: Wanted,
}

/// An image whose config has this ID.
pub(super) fn image(id: &str, config: ContainerConfig) -> Image {
    let created = "2019-11-22T00:00:00Z";
    let metadata = DockerImage {
        id: format!("sha256:{id:0<64}"),
        created: serde_json::from_value(created.into()).unwrap(),
        config: Some(config),
        ..DockerImage::default()
    };
    Image { docker_image_metadata: Some(metadata), ..Image::default() }
}

/// A config that listens on these ports, as a user.
pub(super) fn listening(ports: &[&str]) -> ContainerConfig {
    let ports = ports.iter().map(|port| ((*port).to_owned(), serde_json::json!({})));
    ContainerConfig {
        exposed_ports: ports.collect(),
        user: "1001".into(),
        ..ContainerConfig::default()
    }
}

/// A config with labels.
pub(super) fn labelled(labels: &[(&str, &str)]) -> ContainerConfig {
    let labels = labels.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
    ContainerConfig { labels: labels.collect(), ..listening(&[]) }
}

const BUILDER: (&str, &str) = ("io.openshift.s2i.scripts-url", "image:///s2i");

/// A config of a builder.
pub(super) fn builder() -> ContainerConfig {
    labelled(&[BUILDER])
}

impl Shop {
    pub(super) fn new(verb: Verb) -> Self {
        let wanted = Wanted::new(verb, "demo".parse().unwrap());
        Self { known: Known::default(), wanted }
    }

    /// A stream whose tags have an image each; of those that are empty nothing was imported.
    pub(super) fn stream(mut self, namespace: &str, name: &str, tags: &[(&str, &str)]) -> Self {
        let spec = |(tag, _): &(&str, &str)| TagReference {
            name: (*tag).to_owned(),
            ..TagReference::default()
        };
        let item = |(tag, image): &(&str, &str)| NamedTagEventList {
            tag: (*tag).to_owned(),
            items: vec![TagEvent { image: format!("sha256:{image}"), ..TagEvent::default() }],
            ..NamedTagEventList::default()
        };
        let mut stream = ImageStream {
            metadata: ObjectMeta {
                name: name.into(),
                namespace: namespace.into(),
                ..ObjectMeta::default()
            },
            ..ImageStream::default()
        };
        stream.spec.tags = tags.iter().map(spec).collect();
        stream.status.tags = tags.iter().filter(|(_, image)| !image.is_empty()).map(item).collect();
        self.known.streams.push(stream);
        self
    }

    /// Annotations of a tag of the last stream.
    pub(super) fn marked(mut self, tag: &str, key: &str, text: &str) -> Self {
        let stream = self.known.streams.last_mut().unwrap();
        let spec = stream.spec.tags.iter_mut().find(|spec| spec.name == tag).unwrap();
        spec.annotations.get_or_insert_default().insert(key.into(), text.into());
        self
    }

    /// What a tag of the last stream follows.
    pub(super) fn follows(mut self, tag: &str, kind: &str, name: &str) -> Self {
        let stream = self.known.streams.last_mut().unwrap();
        let spec = stream.spec.tags.iter_mut().find(|spec| spec.name == tag).unwrap();
        let (kind, name) = (kind.to_owned(), name.to_owned());
        spec.from = Some(ObjectReference { kind, name, namespace: String::new() });
        self
    }

    /// What an image of a stream is.
    pub(super) fn image(mut self, of: &str, id: &str, config: ContainerConfig) -> Self {
        self.known.images.insert(format!("sha256:{of}"), image(id, config));
        self
    }

    /// What a registry has.
    pub(super) fn registry(mut self, word: &str, id: &str, config: ContainerConfig) -> Self {
        self.known.asked.insert(word.into(), Asked::Found(Box::new(image(id, config))));
        self
    }

    /// What a source holds, and where it comes from.
    pub(super) fn source(mut self, place: &str, files: &[&str], dockerfile: &str) -> Self {
        let remote = place.contains("://").then(|| Remote::read(place));
        let dockerfile = Some(dockerfile).filter(|text| !text.is_empty()).map(str::to_owned);
        let files = files.iter().map(|file| (*file).to_owned()).collect();
        let source = Source { files, dockerfile, remote };
        self.known.sources.insert(place.into(), Ok(source));
        self
    }

    /// Arguments, as the real command sorts them.
    pub(super) fn says(mut self, line: &str) -> Self {
        for word in line.split_whitespace() {
            let named = if word.contains("://") && !word.contains('~') { None } else { Some(()) };
            match word.split_once('=') {
                Some(("--name", name)) => self.wanted.name = name.into(),
                Some(("-i", stream)) => self.component(stream, Named::ImageStream),
                Some(("--image", image)) => self.component(image, Named::Image),
                Some(("--to", to)) => self.wanted.to = to.into(),
                Some(("-l", pair)) => {
                    let (key, text) = pair.split_once(':').unwrap();
                    self.wanted.labels.insert(key.into(), text.into());
                }
                Some((key, value)) => {
                    self.wanted.environment.insert(key.into(), value.into());
                }
                None if word == "--dc" => self.wanted.as_deployment_config = true,
                None if word == "--copy-tag" => self.wanted.copy_tag = true,
                None if word == "--binary" => self.wanted.binary = true,
                None if word == "--docker" => self.wanted.strategy = Some(Strategy::Docker),
                None if word == "--source" => self.wanted.strategy = Some(Strategy::Source),
                None if word == "--missing" => self.wanted.allow_missing_images = true,
                None if word == "--missing-tags" => self.wanted.allow_missing_tags = true,
                None if named.is_none() => self.wanted.sources.push(word.into()),
                None => self.component(word, Named::Argument),
            }
        }
        self
    }

    fn component(&mut self, word: &str, named: Named) {
        self.wanted.components.push(Component { word: word.into(), named });
    }

    /// What comes of it; a registry that nobody told of has nothing.
    pub(super) fn made(&self) -> Result<(Plan, Made), Failure> {
        let mut known = self.known.clone();
        let resolved = loop {
            match resolve(&self.wanted, &known) {
                Ok(resolved) => break resolved,
                Err(Stop::Fail(failure)) => return Err(*failure),
                Err(Stop::Ask(Question::Image(word))) => {
                    known.asked.insert(word, Asked::Missing);
                }
                Err(Stop::Ask(Question::Source(place))) => panic!("who knows {place}?"),
            }
        };
        let plan = pipelines(&self.wanted, &known, &resolved)?;
        let made = make(&self.wanted, &known, &plan, Vec::new(), None)?;
        Ok((plan, made))
    }

    /// The objects that come of it: `deployment.apps web`.
    pub(super) fn objects(&self) -> Vec<String> {
        let (_, made) = self.made().unwrap();
        made.objects.iter().map(|object| format!("{} {}", object.kind(), object.name)).collect()
    }

    /// Why nothing comes of it, in all words.
    pub(super) fn refusal(&self) -> String {
        let failure = self.made().unwrap_err();
        let (verb, word) = (self.wanted.verb, Some(Word::Component));
        failure.text(&Told { program: "oc", verb, word, not_a_source: None })
    }

    /// The text of an object.
    pub(super) fn text(&self, kind: &str) -> String {
        let (_, made) = self.made().unwrap();
        let object = made.objects.iter().find(|object| object.sort().kind == kind);
        object.unwrap_or_else(|| panic!("no {kind}")).text(&self.wanted.namespace)
    }
}

pub(super) fn app() -> Shop {
    Shop::new(Verb::App)
}

pub(super) fn python() -> Shop {
    app().stream("demo", "python", &[("latest", "aa"), ("3.6", "aa")]).image(
        "aa",
        "086dfe3",
        listening(&[]),
    )
}

/// N1: environment, a source, a template file, and else a component.
#[test]
fn n001_an_argument_is_the_first_of_what_it_can_be() {
    let folder = Facts { is_folder: true, is_template: true, ..Facts::default() };
    let remote = Facts { is_repository: true, ..Facts::default() };
    let template = Facts { is_template: true, ..Facts::default() };
    let none = Facts::default();
    for (word, facts, wanted) in [
        ("A=b", &folder, Word::Environment),
        ("=b", &none, Word::Component),
        ("app", &folder, Word::Source),
        ("https://h/x", &remote, Word::Source),
        ("app.yaml", &template, Word::Template),
        ("httpd:2.4", &none, Word::Component),
    ] {
        assert_eq!(classify(word, facts), wanted, "{word}");
    }
    assert_eq!(component("a~b"), Ok(("a", Some("b"), true)));
    assert_eq!(component("a~"), Ok(("a", None, true)));
    assert!(component("~b").unwrap_err().contains("you must specify a image name"));
    let said = app().says("nosuch").refusal();
    assert!(said.starts_with("unable to locate any images in image streams, "), "{said}");
    assert!(said.contains("with name \"nosuch\"\n\nArgument 'nosuch' was classified as"), "{said}");
}

/// N1: `a+b` is one pod, whatever runs it.
#[test]
fn n001_what_is_joined_by_a_plus_is_one_pod() {
    let shop = python().stream("demo", "cache", &[("latest", "bb")]);
    for flags in ["", "--dc "] {
        let shop = shop.clone().says(&format!("{flags}python+cache --name=web"));
        let (plan, made) = shop.made().unwrap();
        assert_eq!((plan.deployed.len(), made.objects.len()), (1, 1));
        let kind = made.objects[0].sort().kind;
        let text = shop.text(kind);
        assert!(text.contains("- name: python\n") && text.contains("- name: cache\n"), "{text}");
    }
    let mut grouped = shop.says("python cache");
    assert_eq!(grouped.objects(), ["deployment.apps python", "deployment.apps cache"]);
    grouped.wanted.groups.push("python+cache".into());
    assert_eq!(grouped.objects(), ["deployment.apps python"]);
    grouped.wanted.groups = vec!["python+other".into()];
    assert!(
        grouped.refusal().contains("the name \"other\" from the group definition is not in use")
    );
}

/// N2: a flag says what a word is, and nothing else is looked through.
#[test]
fn n002_flags_remove_guessing() {
    let shop = python().registry("python", "220cbf5", listening(&[]));
    assert_eq!(shop.clone().says("-i=python").objects(), ["deployment.apps python"]);
    let by_image = shop.clone().says("--image=python --name=web");
    assert_eq!(by_image.objects(), ["imagestream.image.openshift.io web", "deployment.apps web"]);
    let said = shop.says("-i=quay.io/x/y").refusal();
    assert!(said.starts_with("unable to locate any images in image streams with name"), "{said}");
}

/// N3: how far a name is from what was asked for.
#[test]
fn n003_scores_are_those_of_openshift() {
    for (name, asked, score) in [
        ("python", "python", 0),
        ("python", "*", 0),
        ("Python", "python", 2),
        ("python-36", "python", 10),
        ("Python-36", "python", 12),
        ("my-python", "python", 20),
        ("my-Python", "python", 22),
        ("ruby", "python", 100),
    ] {
        assert_eq!(proximity(name, asked), score, "{name} for {asked}");
    }
}

/// N3: the own namespace, then `openshift`, then registries; the first exact match wins.
#[test]
fn n003_the_own_namespace_is_looked_through_before_that_of_everybody() {
    let shared = app().stream("openshift", "httpd", &[("2.4", "ss")]);
    let both = shared.clone().stream("demo", "httpd", &[("2.4", "dd")]);
    let of = |shop: Shop| shop.says("httpd:2.4").made().unwrap().0.pipelines[0].part.found.clone();
    assert_eq!(of(shared).name, "openshift/httpd:2.4");
    assert_eq!(of(both).name, "demo/httpd:2.4");
    let other = app().stream("other", "httpd", &[("2.4", "oo")]);
    assert!(other.clone().says("httpd:2.4").made().is_err(), "other namespaces must be named");
    assert_eq!(of(other.clone().registry("httpd:2.4", "ee", listening(&[]))).name, "httpd:2.4");
    let named = other.says("other/httpd:2.4").made().unwrap().0;
    assert_eq!(named.pipelines[0].part.found.name, "other/httpd:2.4");
}

/// N4: without a tag it is `latest`, or what that merely follows, unless either is hidden.
#[test]
fn n004_latest_stands_for_what_it_follows() {
    let tag = |shop: Shop| shop.says("python").made().unwrap().0.pipelines[0].image.tag().unwrap();
    let shop = python().follows("latest", "ImageStreamTag", "3.6");
    assert_eq!(tag(python()), "python:latest");
    assert_eq!(tag(shop.clone()), "python:3.6");
    let hidden = shop.clone().marked("3.6", "tags", "python,hidden");
    assert_eq!(tag(hidden), "python:latest");
    let said = shop.marked("latest", "tags", "hidden").says("python").refusal();
    assert!(said.starts_with("only a partial match was found for \"python\": \"demo/python:3.6\""));
    let none = app().stream("demo", "blank", &[("latest", "")]).says("blank");
    let said = none.refusal();
    assert!(said.starts_with("no tags found on matching image stream: \"demo/blank\""), "{said}");
    assert!(said.contains("Use --allow-missing-imagestream-tags to use this image stream"));
    assert_eq!(none.says("--missing-tags").objects(), ["deployment.apps blank"]);
}

/// N5: what is not clear is not guessed; the text of a session with the real `oc`.
#[test]
fn n005_what_is_not_clear_is_offered_with_its_flags() {
    let shop = app().stream(
        "demo",
        "python",
        &[("3.6", "aa"), ("al", "aa"), ("latest", "aa"), ("sha", "aa")],
    );
    let said = shop.says("python:nosuch").refusal();
    let offer = |tag: &str| {
        format!(
            "* Image stream \"python\" (tag \"{tag}\") in project \"demo\"\n  Use --image-stream=\"demo/python:{tag}\" to \
             specify this image or template\n"
        )
    };
    let offers = ["3.6", "al", "latest", "sha"].map(offer).join("\n");
    assert_eq!(
        said,
        format!(
            "multiple images or templates matched \"python:nosuch\"\n\nArgument 'python:nosuch' was classified as an image, \
             image~source, or loaded template reference.\n\nThe argument \"python:nosuch\" could apply to the following \
             container images, OpenShift image streams, or templates:\n\n{offers}"
        )
    );
    let partial = python().says("pyth").refusal();
    assert!(
        partial.starts_with("only a partial match was found for \"pyth\": \"demo/python:latest\"")
    );
    let many: Vec<_> = (0..7).map(|n| (format!("t{n}"), "aa")).collect();
    let many: Vec<_> = many.iter().map(|(tag, image)| (tag.as_str(), *image)).collect();
    let said = app().stream("demo", "many", &many).says("many:x").refusal();
    assert!(said.ends_with("To view a full list of matches, use 'oc new-app -S many:x'"), "{said}");
    assert!(app().refusal().starts_with("You must specify one or more images"));
}

/// N12, law 10: a URL with a login would stand in git; wherever it is named, it is refused, and its login is not shown.
#[test]
fn n012_a_source_with_a_login_is_refused_wherever_it_is_named() {
    let shop = python().marked("latest", "tags", "builder");
    for (words, url) in [
        ("python~", "https://u:canary@h/shop.git"),
        ("python ", "https://canary@h/shop.git"),
        ("", "https://u:canary@h/shop.git#main"),
        ("python~", "ssh://git:canary@h/shop.git"),
        ("--binary python~", "https://u:canary@h/shop.git"),
    ] {
        let shop = shop.clone().source(url, &["setup.py"], "");
        let said = shop.says(&format!("{words}{url}")).refusal();
        assert!(said.starts_with("the URL of the source holds a login"), "{words}{url}: {said}");
        assert!(said.ends_with("name a Secret with --source-secret") && !said.contains("canary"));
    }
    let user = shop.says("python~ssh://git@h/shop.git").text("BuildConfig");
    assert!(user.contains("uri: ssh://git@h/shop.git\n"), "{user}");
}

/// N5, law 10: a URL that no repository answers at is a name like any other; its login is not shown.
#[test]
fn n005_a_name_that_means_nothing_is_shown_without_its_login() {
    let mut shop = app();
    shop.component("https://u:can@ary@h/x", Named::Argument);
    let said = shop.refusal();
    assert!(said.contains("with name \"https://***@h/x\""), "{said}");
    assert!(said.contains("Argument 'https://***@h/x' was classified as"), "{said}");
}

/// N6: languages by their files, in their order.
#[test]
fn n006_a_language_is_known_by_its_files() {
    for (file, wanted) in [
        ("Gemfile", "ruby"),
        ("pom.xml", "jee"),
        ("package.json", "nodejs"),
        ("composer.json", "php"),
        ("setup.py", "python"),
        ("cpanfile", "perl"),
        ("build.sbt", "scala"),
        ("shop.csproj", "dotnet"),
        ("main.go", "golang"),
        ("Cargo.toml", "rust"),
    ] {
        assert_eq!(languages(&[file.to_owned()]).first(), Some(&wanted), "{file}");
    }
    assert!(languages(&["README.md".into()]).is_empty());
}

/// N6: a Jenkinsfile comes before a Dockerfile, that before the language, which is looked up as a stream or by what
/// streams support.
#[test]
fn n006_the_strategy_follows_from_what_a_source_holds() {
    let url = "https://h/shop";
    let base = python().registry("centos:7", "cc", listening(&["80/tcp"]));
    let all =
        base.clone().source(url, &["Jenkinsfile", "Dockerfile", "setup.py"], "FROM centos:7\n");
    assert!(all.says(url).refusal().starts_with("JenkinsPipeline strategy is not supported"));
    let docker =
        base.clone().source(url, &["Dockerfile", "setup.py"], "FROM centos:7\nEXPOSE 8443\n");
    let docker = docker.says(url);
    assert_eq!(
        docker.objects(),
        [
            "imagestream.image.openshift.io centos",
            "imagestream.image.openshift.io shop",
            "buildconfig.build.openshift.io shop",
            "deployment.apps shop",
            "service shop",
        ]
    );
    assert!(docker.text("Service").contains("8443-tcp"), "the ports are those of the Dockerfile");
    assert!(docker.text("BuildConfig").contains("name: centos:7"));
    let language = python().marked("latest", "tags", "builder").source(url, &["setup.py"], "");
    let source = language.clone().says(url).text("BuildConfig");
    assert!(
        source.contains("sourceStrategy:") && source.contains("name: python:latest"),
        "{source}"
    );
    let supports = app()
        .stream("openshift", "rh-python", &[("36", "aa")])
        .marked("36", "supports", "python:3.6,python")
        .marked("36", "tags", "builder")
        .source(url, &["setup.py"], "")
        .says(url)
        .text("BuildConfig");
    assert!(supports.contains("namespace: openshift\n        name: rh-python:36"), "{supports}");
    let none = app().source(url, &["README"], "").says(url).refusal();
    assert_eq!(none, "No language matched the source repository");
    let no_docker = language.says(&format!("--docker {url}")).refusal();
    assert!(no_docker.starts_with("No Dockerfile was found in the repository"), "{no_docker}");
}

/// N6, B3: Jenkins builds nothing here, whatever there is to build; what to do in its place is said.
#[test]
fn n006_the_pipeline_strategy_is_refused_with_what_to_do() {
    let url = "https://h/shop";
    let shop = python().marked("latest", "tags", "builder").source(url, &["setup.py"], "");
    for words in [format!("python~{url}"), format!("python {url}"), url.to_owned()] {
        let mut shop = shop.clone().says(&words);
        shop.wanted.strategy = Some(Strategy::Pipeline);
        assert_eq!(
            shop.refusal(),
            "JenkinsPipeline strategy is not supported; run the pipeline elsewhere and use a generic webhook, or name another \
             one (--strategy=docker, --strategy=source)",
            "{words}"
        );
    }
}

/// N6, X41: a Dockerfile whose last stage goes on with another one keeps it: no image takes its place.
#[test]
fn n006_a_stage_of_a_dockerfile_is_no_base_image() {
    let url = "https://h/shop";
    let shop = |text| app().source(url, &["Dockerfile"], text).says(url);
    let stages = shop("FROM centos:7 AS base\nFROM base\nEXPOSE 80\n");
    let text = stages.text("BuildConfig");
    assert!(text.contains("dockerStrategy: {}\n") && !text.contains("ImageChange"), "{text}");
    assert!(stages.objects().contains(&"service shop".to_owned()));
    let mut argument = shop("ARG V=6\nFROM quay.io/x/centos:$V\n");
    argument = argument.registry("quay.io/x/centos:8", "0", listening(&[]));
    argument.wanted.build_arguments = vec![("V".into(), "8".into())];
    assert!(argument.text("BuildConfig").contains("name: centos:8\n      buildArgs:"));
    let scratch = shop("FROM scratch\nCOPY . .\n").text("BuildConfig");
    assert!(scratch.contains("dockerStrategy: {}\n"), "{scratch}");
}

/// N7: a builder is known by a label, by old variables or by its tag; what is none needs a strategy.
#[test]
fn n007_what_builds_sources_must_be_a_builder() {
    let url = "https://h/shop";
    let shop = |config| {
        let shop = app().stream("demo", "base", &[("latest", "aa")]).image("aa", "0", config);
        shop.source(url, &["setup.py"], "")
    };
    let builds = |shop: Shop| shop.says(&format!("base {url}")).made().is_ok();
    assert!(builds(shop(builder())));
    let old = ContainerConfig { env: vec!["STI_BUILDER=1".into()], ..listening(&[]) };
    assert!(builds(shop(old)));
    assert!(builds(shop(listening(&[])).marked("latest", "tags", "base,builder")));
    let said = shop(listening(&[])).says(&format!("base~{url}")).refusal();
    assert_eq!(
        said,
        format!(
            "the image match \"demo/base:latest\" for source repository \"{url}\" does not appear to be a source-to-image \
             builder.\n\n- to attempt to use this image as a source builder, pass \"--strategy=source\"\n- to use it as a \
             base image for a Docker build, pass \"--strategy=docker\""
        )
    );
    let forced = shop(listening(&[])).says(&format!("--source base~{url}"));
    assert!(forced.text("BuildConfig").contains("sourceStrategy:"));
    let docker = shop(listening(&[])).says(&format!("--docker base~{url}"));
    assert!(docker.text("BuildConfig").contains("dockerStrategy:"));
    // Without a source a builder is an image as any other.
    assert_eq!(shop(builder()).says("base").objects(), ["deployment.apps base"]);
}

/// N8: names come from `--name`, the source or the image, in signs that every object may have.
#[test]
fn n008_names_are_made_of_sources_and_images() {
    let url = "https://h/Team/My_Shop.git";
    let shop = app()
        .stream("demo", "base", &[("latest", "aa")])
        .image("aa", "0", builder())
        .source(url, &["setup.py"], "");
    assert!(
        shop.clone()
            .says(&format!("base~{url}"))
            .objects()
            .contains(&"deployment.apps myshop".into())
    );
    assert!(shop.clone().says("base --name=web").objects().contains(&"deployment.apps web".into()));
    assert_eq!(
        shop.clone().says("base base").objects(),
        ["deployment.apps base", "deployment.apps base-1"]
    );
    let long = "a".repeat(59);
    for bad in ["Web", "1web", "web-", "w_b", long.as_str()] {
        let why = check_name(bad).unwrap_err();
        assert!(why.starts_with(&format!("invalid name: {bad}. Must be an a lower case")), "{why}");
    }
    assert!(check_name(&"a".repeat(58)).is_ok());
    let said = shop.clone().says("base base --name=web").refusal();
    assert_eq!(said, "only one component or source repository can be used when specifying a name");
    let one = app().stream("demo", "x", &[("latest", "aa")]).says("x").refusal();
    assert_eq!(one, "invalid name: x");
}

/// N9: what a build makes is not what it is made of; where both were named, it is a warning.
#[test]
fn n009_a_build_does_not_feed_itself() {
    let url = "https://h/base";
    let shop = |verb| {
        Shop::new(verb)
            .stream("demo", "base", &[("latest", "aa"), ("1", "aa")])
            .follows("1", "ImageStreamTag", "latest")
            .image("aa", "0", builder())
            .source(url, &["setup.py"], "")
    };
    let words = format!("base~{url}");
    let said = shop(Verb::Build).says(&words).refusal();
    assert_eq!(
        said,
        "output image of \"base:latest\" should be different than input, set a different tag with --to"
    );
    let said = shop(Verb::App).says(&format!("base:1~{url}")).refusal();
    assert_eq!(
        said,
        "output image of \"base:1\" should be different than input, override artifact names with --name"
    );
    for (shop, more) in [(shop(Verb::Build), "--to=base"), (shop(Verb::App), "--name=base")] {
        let (_, made) = shop.says(&format!("{words} {more}")).made().unwrap();
        let wanted = "--> WARNING: output image of \"base:latest\" should be different than input";
        assert_eq!(made.warnings, [wanted]);
    }
    assert!(
        shop(Verb::Build)
            .says(&format!("{words} --to=base:2"))
            .made()
            .unwrap()
            .1
            .warnings
            .is_empty()
    );
    // What an image comes from is compared with its tag; a port is none.
    let mut pushed = app()
        .stream("demo", "base", &[("latest", "aa")])
        .follows("latest", "DockerImage", "reg:5000/team/base")
        .image("aa", "0", builder())
        .source(url, &["setup.py"], "")
        .says(&format!("base~{url} --to=reg:5000/team/base:latest"));
    (pushed.wanted.verb, pushed.wanted.to_docker) = (Verb::Build, true);
    let warning =
        "--> WARNING: output image of \"reg:5000/team/base:latest\" should be different than input";
    assert_eq!(pushed.made().unwrap().1.warnings, [warning]);
    let ring = shop(Verb::Build).follows("latest", "ImageStreamTag", "1").says(&words).refusal();
    assert!(ring.ends_with("is a circular loop of image stream tags"), "{ring}");
    let known: BTreeMap<_, _> = shop(Verb::App).known.images;
    assert_eq!(known.len(), 1);
}
