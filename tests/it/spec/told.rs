//! What `new-app` says (rules N14 to N18, N20); texts of the founding documents and of sessions with the real `oc`.

use tidegate::scaffold::Verb;
use tidegate::scaffold::report::{Reader, blocks, created, creating, finished};
use tidegate::scaffold::search::{Extent, search};
use tidegate::scaffold::{Asked, Question, Stop};
use tidegate::time::Timestamp;

use super::found::{Shop, app, builder, labelled, listening, python};

/// Everything that a successful command prints.
fn said(shop: &Shop, program: &str) -> String {
    let now: jiff::Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
    let reader = Reader { program, now: Timestamp::from_jiff(now) };
    let (plan, made) = shop.made().unwrap();
    let mut lines = vec![creating(&made.said_labels)];
    lines.extend(made.objects.iter().map(|object| created(object, "")));
    lines.push("--> Success".into());
    lines.extend(finished(reader, shop.wanted.verb, &made));
    blocks(reader, &shop.wanted, &plan) + &lines.join("\n") + "\n"
}

/// N14, N15, N17: an image that says nothing of itself.
#[test]
fn n014_n017_a_session_with_the_real_oc() {
    assert_eq!(
        said(&python().says("python --name=web1"), "oc"),
        "--> Found image 086dfe3 (7 years old) in image stream \"demo/python\" under tag \"latest\" for \"python\"


--> Creating resources ...
    deployment.apps \"web1\" created
--> Success
    Run 'oc status' to view your app.
"
    );
    let marsview = app()
        .stream("demo", "marsview", &[("latest", "aa")])
        .image("aa", "d9ec627", listening(&["8080/tcp"]))
        .says("-i=marsview --name=mars");
    assert_eq!(
        said(&marsview, "oc"),
        "--> Found image d9ec627 (7 years old) in image stream \"demo/marsview\" under tag \"latest\" for \"marsview\"


--> Creating resources ...
    deployment.apps \"mars\" created
    service \"mars\" created
--> Success
    Application is not exposed. You can expose services to the outside world by executing one or more of the commands below:
     'oc expose svc/mars'
    Run 'oc status' to view your app.
"
    );
}

/// N15: an image of a registry, and a tag without an image.
#[test]
fn n015_what_was_found_is_said_first() {
    let word = "127.0.0.1:15000/library/python:3.6";
    let direct = app().registry(word, "220cbf5", listening(&[]));
    let direct = direct.says(&format!("--image={word} --name=direct"));
    assert_eq!(
        said(&direct, "oc"),
        "--> Found container image 220cbf5 (7 years old) from 127.0.0.1:15000 for \"127.0.0.1:15000/library/python:3.6\"

    * An image stream tag will be created as \"direct:3.6\" that will track this image

--> Creating resources ...
    imagestream.image.openshift.io \"direct\" created
    deployment.apps \"direct\" created
--> Success
    Run 'oc status' to view your app.
"
    );
    let hub = app().registry("web", "220cbf5", listening(&[])).says("web");
    assert!(said(&hub, "oc").contains("(7 years old) from Docker Hub for \"web\"\n"));
    let tag = app().stream("demo", "blank", &[("latest", "")]).says("--missing-tags blank");
    let text = said(&tag, "oc");
    assert!(
        text.starts_with("--> Found tag :latest in image stream \"demo/blank\" for \"blank\"\n"),
        "{text}"
    );
}

/// N14, N15: what labels of the image and annotations of the tag say: a session with hidden tags.
#[test]
fn n015_an_image_says_what_it_is() {
    let says = labelled(&[
        ("io.k8s.display-name", "Python 3.5"),
        ("io.k8s.description", "A base platform."),
        ("io.openshift.tags", "builder,python,python35"),
    ]);
    let shop = app().stream("prune", "app", &[("old", "aa")]).image("aa", "6033e26", says);
    let text = said(&shop.clone().says("prune/app:old"), "oc");
    let wanted = "--> Found image 6033e26 (7 years old) in image stream \"prune/app\" under tag \"old\" for \"prune/app:old\"

    Python 3.5
    ----------
    A base platform.

    Tags: builder, python, python35


--> Creating resources ...
";
    assert!(text.starts_with(wanted), "{text}");
    let marked = shop.marked("old", "io.k8s.display-name", "Ours");
    let text = said(&marked.says("prune/app:old"), "oc");
    assert!(text.contains("\n    Ours\n    ----\n"), "{text}");
}

/// N15: what an image says of itself does nothing to a terminal.
#[test]
fn n015_labels_do_nothing_to_a_terminal() {
    let says =
        labelled(&[("io.k8s.display-name", "\u{1b}[2Jhi"), ("io.k8s.description", "a\nb\u{7}")]);
    let shop = app().stream("demo", "app", &[("latest", "aa")]).image("aa", "6033e26", says);
    let text = said(&shop.says("app"), "oc");
    assert!(text.contains("\u{fffd}[2Jhi") && text.contains("    a\nb\u{fffd}\n"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{7}']));
}

/// N16: a DeploymentConfig is told of, a Deployment is not.
#[test]
fn n016_a_deployment_config_is_told_of() {
    assert_eq!(
        said(&python().says("--dc python --name=dc1"), "oc"),
        "--> Found image 086dfe3 (7 years old) in image stream \"demo/python\" under tag \"latest\" for \"python\"

    * This image will be deployed in deployment config \"dc1\"
    * The image does not expose any ports - if you want to load balance or send traffic to this component
      you will need to create a service with 'oc expose dc/dc1 --port=[port]' later

--> Creating resources ...
    deploymentconfig.apps.openshift.io \"dc1\" created
--> Success
    Run 'oc status' to view your app.
"
    );
    let volumes = ["/data"].map(|path| (path.to_owned(), serde_json::json!({})));
    let config = tidegate::api::ContainerConfig {
        user: String::new(),
        volumes: volumes.into(),
        ..listening(&["443/tcp", "80/tcp"])
    };
    let shop = app().registry("web:1", "220cbf5", config);
    let text = said(&shop.clone().says("--dc web:1"), "tidegate");
    for line in [
        "    * Ports 80/tcp, 443/tcp will be load balanced by service \"web\"\n",
        "      * Other containers can access this service through the hostname \"web\"\n",
        "    * This image declares volumes and will default to use non-persistent, host-local storage.\n",
        "    * WARNING: Image \"web:1\" runs as the 'root' user which may not be permitted by your cluster administrator\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let plain = said(&shop.clone().says("web:1"), "tidegate");
    assert!(!plain.contains("load balanced") && !plain.contains("WARNING"), "{plain}");
    let both = said(&shop.says("--dc web:1+web:1"), "tidegate");
    assert!(both.contains("deployed in deployment config \"web\""), "{both}");
    assert!(both.contains("deployed as part of deployment config \"web\""), "{both}");
}

/// N16, N17: what is built is told of, and how to go on.
#[test]
fn n016_n017_builds_are_told_of() {
    let url = "https://h/shop";
    let base = |verb| {
        let shop = Shop::new(verb).stream("demo", "python", &[("latest", "aa")]);
        shop.image("aa", "0", builder()).source(url, &["setup.py"], "")
    };
    let text = said(&base(Verb::App).says(url), "tidegate");
    assert!(
        text.contains(
            "    * The source repository appears to match: python
    * A source build using source code from https://h/shop will be created
      * The resulting image will be pushed to image stream tag \"shop:latest\"
      * Use 'tidegate start-build' to trigger a new build
"
        ),
        "{text}"
    );
    assert!(text.ends_with(
        "    Build scheduled, use 'tidegate logs -f buildconfig/shop' to track its progress.\n    Run 'tidegate status' to \
         view your app.\n"
    ));
    let mut docker = Shop::new(Verb::Build).registry("centos:7", "0", listening(&[]));
    docker.wanted.dockerfile = Some("FROM centos:7\n".into());
    docker.wanted.name = "web".into();
    let text = said(&docker, "oc");
    assert!(
        text.contains(
            "    * An image stream tag will be created as \"centos:7\" that will track the source image
    * A docker build using a predefined Dockerfile will be created
      * The resulting image will be pushed to image stream tag \"web:latest\"
      * Every time \"centos:7\" changes a new build will be triggered

--> Creating resources with label build=web ...
    imagestream.image.openshift.io \"centos\" created
    imagestream.image.openshift.io \"web\" created
    buildconfig.build.openshift.io \"web\" created
--> Success
    Build configuration \"web\" created and build triggered.
    Run 'oc logs -f buildconfig/web' to stream the build progress.
"
        ),
        "{text}"
    );
    let text = said(&Shop::new(Verb::Build).says("--binary --name=up"), "oc");
    assert!(text.contains("A docker build using binary input will be created"), "{text}");
    assert!(text.contains("use 'oc start-build --from-dir' to trigger a new build"), "{text}");
    assert!(text.ends_with("    Use 'oc start-build up' to start a build.\n"), "{text}");
    let mut labelled = python().says("python -l=a:1 -l=b:2");
    assert!(said(&labelled, "oc").contains("--> Creating resources with label a=1,b=2 ...\n"));
    labelled.wanted.labels.clear();
    assert!(said(&labelled, "oc").contains("--> Creating resources ...\n"));
}

/// N18: hints name the program by the name it was called by.
#[test]
fn n018_hints_name_the_program_as_it_was_called() {
    let shop = python().says("python");
    assert!(said(&shop, "tidegate").ends_with("    Run 'tidegate status' to view your app.\n"));
    assert!(said(&shop, "oc").ends_with("    Run 'oc status' to view your app.\n"));
}

/// Searches as long as it asks.
fn found(shop: &Shop, extent: Extent) -> Result<String, String> {
    let mut known = shop.known.clone();
    loop {
        match search(&shop.wanted, &known, extent, "oc") {
            Ok(answer) => return Ok(answer.text),
            Err(Stop::Fail(failure)) => return Err(failure.to_string()),
            Err(Stop::Ask(Question::Image(word))) => {
                known.asked.insert(word, Asked::Missing);
            }
            Err(Stop::Ask(Question::Source(place))) => panic!("nobody asks for {place}"),
        }
    }
}

/// N20: the sections of a search; sessions with the real `oc`.
#[test]
fn n020_a_search_shows_streams_and_images() {
    let shop = app()
        .stream("prune", "app", &[("prod", "aa"), ("old", "aa"), ("latest", "aa")])
        .marked("old", "tags", "hidden,foo")
        .stream("prune", "csa", &[("1", "")]);
    let prune = |mut shop: Shop| {
        shop.wanted.namespace = "prune".parse().unwrap();
        shop
    };
    let head =
        "Image streams (oc new-app --image-stream=<image-stream> [--code=<source>])\n-----\n";
    let app = "app\n  Project: prune\n  Tags:    latest, prod\n";
    assert_eq!(
        found(&prune(shop.clone().says("app")), Extent::Named),
        Ok(format!("{head}{app}\n"))
    );
    assert_eq!(
        found(&prune(shop.clone()), Extent::All),
        Ok(format!("{head}{app}csa\n  Project: prune\n  Tags:    <none>\n\n"))
    );
    assert_eq!(
        found(&prune(shop.clone().says("nosuch")), Extent::Named),
        Err("no matches found".into())
    );
    let mut tracks = prune(shop.says("ap")).registry("ap", "0", listening(&[]));
    tracks.known.streams[0].spec.docker_image_repository = "quay.io/x/app".into();
    let text = found(&tracks, Extent::Named).unwrap();
    assert!(
        text.contains("app\n  Project: prune\n  Tracks:  quay.io/x/app\n  Tags:    latest, prod\n"),
        "{text}"
    );
    let images = "\ncontainer images (oc new-app --image=<image> [--code=<source>])\n-----\nap\n  Registry: Docker Hub\n  Tags:     \
                  latest\n\n";
    assert!(text.ends_with(images), "{text}");
}
