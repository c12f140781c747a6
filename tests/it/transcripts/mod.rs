//! The founding documents' transcripts, played on a loopback registry that holds images of the same names.

mod play;
mod stage;

use play::play;
use serde_json::Value;
use stage::{Image, Stage};
use tidegate::fact::Fact;

use crate::support::daemon::eventually;

const PYTHON: &str = include_str!("python-lab.trycmd");
const BLOG: &str = include_str!("blog.trycmd");
const ARTICLE: &str = include_str!("article.trycmd");
const MARSVIEW: &str = include_str!("marsview.trycmd");
const HTTPD: &str = include_str!("httpd.trycmd");
const MONGODB: &str = include_str!("mongodb.trycmd");

/// The image of the lab, with the layers and the config that the document shows.
fn python_35() -> Image {
    let told: Value = serde_json::from_str(include_str!("python-35.json")).unwrap();
    let layers = serde_json::from_value(told["layers"].clone()).unwrap();
    Image { config: told["config"].clone(), layers }
}

/// P7 to P18, P41.
#[test]
fn the_python_lab() {
    let Some(mut stage) = Stage::open("test", None) else { return };
    stage.push("docker.io/centos/python-35-centos7:latest", "python-35", &python_35());
    stage.push("docker.io/library/python:3.6.0", "python-36", &Image::plain("3.6"));
    stage.start();
    let applied = "{\"apiVersion\":\"image.openshift.io/v1\",\"kind\":\"ImageStream\",\"status\":{\"tags\":[{}]}}\n";
    stage.words.insert("applied".into(), applied.into());
    for part in ["import", "first look", "more tags", "schedule and removal", "refused with advice"]
    {
        play(&mut stage, "python-lab.trycmd", PYTHON, part);
    }
}

/// P1 to P6, S0.1 to S0.11.
#[test]
fn a_blog_from_an_image() {
    let Some(mut stage) = Stage::open("myproject", None) else { return };
    let image = python_35();
    stage.push("docker.io/openshiftkatacoda/blog-django-py:latest", "blog", &image);
    stage.shows(&image, "config");
    stage.rolls_out();
    stage.commit(
        "blog.yaml",
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  name: blog-django-py\n  \
         labels: {app: blog-django-py}\n  annotations: {openshift.io/generated-by: OpenShiftNewApp}\nspec:\n  \
         tags:\n  - name: latest\n    from: {kind: DockerImage, name: openshiftkatacoda/blog-django-py}\n",
    );
    stage.start();
    stage.settle();
    play(&mut stage, "blog.trycmd", BLOG, "before");
    play(&mut stage, "blog.trycmd", BLOG, "import");
    play(&mut stage, "blog.trycmd", BLOG, "only the stream");
    play(&mut stage, "blog.trycmd", BLOG, "two instances");
    stage.ends(2);
    play(&mut stage, "blog.trycmd", BLOG, "all of it");
    play(&mut stage, "blog.trycmd", BLOG, "from a registry");
    stage.ends(3);
    play(&mut stage, "blog.trycmd", BLOG, "and its end");
    let left = ["get", "all", "-o", "name"].map(str::to_owned);
    eventually("the stream alone", || {
        let left = stage.oc(&left).stdout;
        (left == b"imagestream.image.openshift.io/blog-django-py\n").then_some(())
    });
}

/// P19 to P23, P31.
#[test]
fn an_article_about_image_streams() {
    let Some(mut stage) = Stage::open("myproject", None) else { return };
    stage.push("docker.io/bitnami/apache:2.4", "apache", &Image::plain("apache"));
    let hello = Image::plain("hello").listening("8080/tcp");
    stage.push("quay.io/tdonohue/python-hello-world:latest", "hello", &hello);
    stage.shows(&hello, "hello-config");
    stage.start();
    play(&mut stage, "article.trycmd", ARTICLE, "approved apache");
    // The manifest as the article declares it: it says what the import wrote.
    stage.commit(
        "myproject/imagestream-approved-apache.yaml",
        "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata:\n  name: approved-apache\n  \
         namespace: myproject\nspec:\n  lookupPolicy:\n    local: false\n  tags:\n  - name: \"2.4\"\n    from:\n      \
         kind: DockerImage\n      name: bitnami/apache:2.4\n    referencePolicy:\n      type: Source\n",
    );
    stage.settle();
    let imports = |stage: &Stage| stage.host.count(|fact| matches!(fact, Fact::TagImported(_)));
    let before = imports(&stage);
    play(&mut stage, "article.trycmd", ARTICLE, "declared in YAML");
    assert_eq!(imports(&stage), before, "P22: what did not change is not imported again");
    play(&mut stage, "article.trycmd", ARTICLE, "a hello world");
    stage.push("quay.io/team/moved:latest", "one", &Image::plain("one"));
    let import = ["import-image", "moved", "--from=quay.io/team/moved", "--confirm"];
    let again = ["import-image", "moved"];
    for (image, words) in [("one", &import[..]), ("two", &again), ("three", &again)] {
        stage.push("quay.io/team/moved:latest", image, &Image::plain(image));
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert!(stage.oc(&words).status.success());
    }
    play(&mut stage, "article.trycmd", ARTICLE, "deleted images");
}

/// P25 to P27, P30.
#[test]
fn a_private_registry_and_a_schedule() {
    let login = ("login@example.com", "thepasswordishere");
    let Some(mut stage) = Stage::open("toms-project", Some(login)) else { return };
    stage.push("registry.marsrover.space/engine/marsview:latest", "first", &Image::plain("first"));
    stage.push(
        "registry.spacedev.com/engine/marsview:develop",
        "develop",
        &Image::plain("develop"),
    );
    stage.start();
    play(&mut stage, "marsview.trycmd", MARSVIEW, "login");
    play(&mut stage, "marsview.trycmd", MARSVIEW, "import");
    let second =
        stage.push("registry.marsrover.space/engine/marsview:latest", "second", &Image::plain("2"));
    // The article puts the kettle on; here the schedule is short.
    stage.host.wait_for(
        "the new image",
        |fact| matches!(fact, Fact::TagImported(imported) if imported.event.image == Some(second)),
    );
    play(&mut stage, "marsview.trycmd", MARSVIEW, "a new image");
    play(&mut stage, "marsview.trycmd", MARSVIEW, "another registry");
}

/// The manifest of the article, with the name of a container that there is not.
const MARSVIEW_CONFIG: &str = "kind: DeploymentConfig
apiVersion: apps.openshift.io/v1
metadata:
  name: marsview
spec:
  selector:
    deploymentconfig: marsview
  replicas: 1
  template:
    metadata:
      labels:
        deploymentconfig: marsview
    spec:
      containers:
        - name: main
          image: marsview    # OpenShift will replace this with the 'real' image URL
          ports:
            - containerPort: 8080
              protocol: TCP
          imagePullPolicy: Always
      restartPolicy: Always
  triggers:
    - type: ConfigChange
    - type: ImageChange
      imageChangeParams:
        automatic: true       # Set automatic=true to trigger a redeployment on image change
        containerNames:
          - marsview
        from:
          kind: ImageStreamTag
          namespace: toms-project
          name: 'marsview:latest'
";

/// P28, S2.6, S2.7.
#[test]
fn a_trigger_that_misnames_the_only_container() {
    let Some(mut stage) = Stage::open("toms-project", None) else { return };
    stage.push("registry.marsrover.space/engine/marsview:latest", "first", &Image::plain("first"));
    stage.rolls_out();
    stage.start();
    stage.commit("marsview.yaml", MARSVIEW_CONFIG);
    let words = "import-image marsview --from=registry.marsrover.space/engine/marsview --scheduled --confirm";
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    assert!(stage.oc(&words).status.success());
    stage.ends(1);
    stage.push("registry.marsrover.space/engine/marsview:latest", "second", &Image::plain("2"));
    stage.ends(2);
    play(&mut stage, "marsview.trycmd", MARSVIEW, "a deployment");
}

fn tags(list: &[(&str, &str)], policy: &str) -> String {
    let tag = |(name, from): &(&str, &str)| {
        format!(
            "  - name: '{name}'\n    from: {{kind: DockerImage, name: '{from}'}}\n    referencePolicy: {{type: {policy}}}\n"
        )
    };
    list.iter().map(tag).collect()
}

/// P33 to P35.
#[test]
fn streams_that_come_with_the_platform() {
    let Some(mut stage) = Stage::open("openshift", None) else { return };
    let base = "registry.redhat.io";
    let all = [
        ("latest", "ubi9/httpd-24:latest", "latest"),
        ("2.4-ubi9", "ubi9/httpd-24:1", "ubi9"),
        ("2.4-ubi8", "ubi8/httpd-24:latest", "ubi8"),
        ("2.4-el8", "rhel8/httpd-24:latest", "el8"),
        ("2.4-el7", "rhel7/httpd-24:latest", "el7"),
        ("2.4", "rhscl/httpd-24-rhel7:latest", "httpd"),
    ];
    stage.start();
    // The newest import stands first, so they are imported one after the other.
    for upto in 1..=all.len() {
        let (_, image, name) = all[upto - 1];
        stage.push(&format!("{base}/{image}"), name, &Image::plain(name));
        let list: Vec<(&str, String)> =
            all[..upto].iter().map(|(tag, image, _)| (*tag, format!("{base}/{image}"))).collect();
        let list: Vec<(&str, &str)> =
            list.iter().map(|(tag, image)| (*tag, image.as_str())).collect();
        let head = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: httpd}\nspec:\n  tags:\n";
        stage.commit("httpd.yaml", &format!("{head}{}", tags(&list, "Local")));
        stage.settle();
    }
    play(&mut stage, "httpd.trycmd", HTTPD, "look");
    let hidden = |tag: &str| format!("istag/httpd:{tag}");
    for tag in ["2.4", "2.4-el8"] {
        let words = ["annotate", &hidden(tag), "tags=hidden"].map(str::to_owned);
        assert!(stage.oc(&words).status.success());
    }
    stage.settle();
    play(&mut stage, "httpd.trycmd", HTTPD, "a search");
}

/// P36, S3.2, S3.4.
#[test]
fn applications_of_a_stream_that_comes_with_the_platform() {
    let Some(mut stage) = Stage::open("openshift", None) else { return };
    let image = Image::plain("httpd").building();
    let place = "registry.redhat.io/rhscl/httpd-24-rhel7:latest";
    stage.push(place, "httpd", &image);
    stage.shows(&image, "config");
    let head = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: httpd, namespace: openshift}\nspec:\n  tags:\n";
    stage.commit("httpd.yaml", &format!("{head}{}", tags(&[("2.4", place)], "Local")));
    stage.rolls_out();
    stage.start();
    stage.settle();
    play(&mut stage, "httpd.trycmd", HTTPD, "new applications");
    // The one that is built waits for its image; the other one runs what the tag has.
    stage.ends(1);
    let words = ["describe", "deploy", "web1", "-n", "web"].map(str::to_owned);
    let described = String::from_utf8(stage.oc(&words).stdout).unwrap();
    let digest = &stage.words["httpd"];
    assert!(described.contains(&format!("/openshift/httpd@{digest}")), "{described}");
}

/// P37, S3.3.
#[test]
fn a_deployment_of_a_stream_that_comes_with_the_platform() {
    let Some(mut stage) = Stage::open("openshift", None) else { return };
    let image = "registry.redhat.io/rhscl/httpd-24-rhel7:latest";
    stage.push(image, "httpd", &Image::plain("httpd"));
    let head = "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {name: httpd}\nspec:\n  tags:\n";
    stage.commit("httpd.yaml", &format!("{head}{}", tags(&[("2.4", image)], "Local")));
    let triggers = "'[{\"from\":{\"kind\":\"ImageStreamTag\",\"name\":\"httpd:2.4\",\"namespace\":\"openshift\"},\
                    \"fieldPath\":\"spec.template.spec.containers[?(@.name==\\\"httpd\\\")].image\"}]'";
    stage.commit(
        "web1.yaml",
        &format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web1\n  labels: {{app: web1}}\n  \
             annotations:\n    image.openshift.io/triggers: {triggers}\nspec:\n  replicas: 1\n  \
             selector: {{matchLabels: {{deployment: web1}}}}\n  template:\n    \
             metadata: {{labels: {{deployment: web1}}}}\n    spec:\n      \
             containers: [{{name: httpd, image: ' ', ports: [{{containerPort: 8080}}]}}]\n"
        ),
    );
    stage.rolls_out();
    stage.start();
    stage.ends(1);
    play(&mut stage, "httpd.trycmd", HTTPD, "a deployment");
}

/// P40.
#[test]
fn an_alias_a_description_and_categories() {
    let Some(mut stage) = Stage::open("openshift", None) else { return };
    for version in ["24", "26", "32"] {
        let image = format!("docker.io/centos/mongodb-{version}-centos7:latest");
        stage.push(&image, &format!("mongodb-{version}"), &Image::plain(version));
    }
    let text = "Provides a MongoDB 3.2 database on CentOS 7. For more information about using this database image, including OpenShift considerations, see https://github.com/sclorg/mongodb-container/tree/master/3.2/README.md.";
    stage.commit(
        "mongodb.yaml",
        &format!(
            "apiVersion: image.openshift.io/v1\nkind: ImageStream\nmetadata: {{name: mongodb}}\nspec:\n  tags:\n  \
             - name: latest\n    from: {{kind: ImageStreamTag, name: '3.2'}}\n  \
             - name: '3.2'\n    annotations:\n      description: {text}\n      tags: mongodb\n    \
             from: {{kind: DockerImage, name: 'centos/mongodb-32-centos7:latest'}}\n{}",
            tags(
                &[
                    ("2.4", "centos/mongodb-24-centos7:latest"),
                    ("2.6", "centos/mongodb-26-centos7:latest")
                ],
                "Source"
            )
        ),
    );
    stage.start();
    stage.settle();
    play(&mut stage, "mongodb.trycmd", MONGODB, "look");
}
