//! The objects of `new-app` and `new-build` (rules N10 to N13, N19, N21).

use tidegate::desired::{Entry, parse_file};
use tidegate::policy::Policy;
use tidegate::scaffold::Verb;
use tidegate::scaffold::template::templates;
use tidegate::scaffold::{Component, Named};

use super::found::{Shop, app, builder, listening, python};
use crate::support::checkout::Checkout;

const URL: &str = "https://h/shop";

/// A builder that listens, in the namespace of everybody.
fn httpd(verb: Verb) -> Shop {
    Shop::new(verb).stream("openshift", "httpd", &[("2.4", "aa")]).image(
        "aa",
        "2ffb964",
        tidegate::api::ContainerConfig {
            labels: builder().labels,
            ..listening(&["8080/tcp", "53/udp", "8443/tcp"])
        },
    )
}

/// Reads what was made as the daemon does, and says what is wrong with it.
fn faults(shop: &Shop) -> Vec<String> {
    let (_, made) = shop.made().unwrap();
    let mut found = Vec::new();
    for object in &made.objects {
        let text = object.text(&shop.wanted.namespace);
        let file = parse_file("x.yaml", text.as_bytes(), None, &Policy::default());
        assert_eq!(file.entries.len(), 1, "{text}");
        found.extend(file.diagnostics.iter().map(|one| format!("{one:?}\n{text}")));
        let rejected = file.entries.iter().filter_map(|entry| match entry {
            Entry::Rejected(rejected) => Some(format!("{:?}\n{text}", rejected.diagnostic)),
            Entry::Object(_) | Entry::Companion(_) => None,
        });
        found.extend(rejected);
    }
    found
}

/// Section 6.2: every kind, made of everything that it can be made of, is read without a word.
#[test]
fn n010_n021_what_is_made_loads_without_a_word() {
    let image = "quay.io/x/web:1";
    let registry = |shop: Shop| {
        let volumes = ["/data", "/logs"].map(|path| (path.to_owned(), serde_json::json!({})));
        let config = tidegate::api::ContainerConfig {
            volumes: volumes.into(),
            ..listening(&["80/tcp", "odd"])
        };
        shop.registry(image, "220cbf5", config)
    };
    let mut build = httpd(Verb::Build).says(&format!("httpd:2.4~{URL} A=1 --to=shop:v1"));
    build.wanted.build_environment.insert("A".into(), "1".into());
    build.wanted.build_secrets = vec!["npm:etc".into(), "pip".into()];
    build.wanted.build_config_maps = vec!["settings:/etc".into()];
    build.wanted.source_secret = "git".into();
    build.wanted.push_secret = "push".into();
    build.wanted.context_dir = "src/web".into();
    build.wanted.source_image = image.into();
    build.wanted.source_image_path = "/opt/x:lib".into();
    let mut docker = registry(Shop::new(Verb::Build));
    docker.wanted.dockerfile = Some(format!("FROM {image}\nARG V\nRUN a\n"));
    docker.wanted.build_arguments = vec![("V".into(), "1".into())];
    let mut inline = httpd(Verb::App).says(&format!("httpd:2.4~{URL}"));
    inline.wanted.webhook_secrets = Some(vec!["a".repeat(20), "b".repeat(20)]);
    let shops = [
        python().says("python"),
        python().says("--dc python -l=team:web A=1"),
        python().says("--dc --copy-tag python --name=blog"),
        registry(app()).says(&format!("{image} A=1")),
        registry(app()).says(&format!("--dc {image}")),
        registry(app().stream("demo", "web", &[("2", "bb")])).says(&format!("{image} --name=web")),
        httpd(Verb::App).says(&format!("httpd:2.4~{URL} --name=web2")),
        httpd(Verb::App).says("--binary httpd:2.4 --name=up"),
        httpd(Verb::App).says("httpd:2.4+httpd:2.4"),
        app().says("--missing quay.io/no/such:1"),
        registry(build),
        docker,
        inline,
        Shop::new(Verb::Build).says("--binary --name=up"),
        Shop::new(Verb::Build).says("--binary --name=up --to=quay.io/x/y:1"),
    ];
    for shop in &shops {
        assert_eq!(faults(shop), Vec::<String>::new(), "{:?}", shop.wanted.components);
    }
    let mut kinds: Vec<String> = shops
        .iter()
        .flat_map(|shop| shop.made().unwrap().1.objects)
        .map(|object| object.sort().kind.to_owned())
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    let all = [
        "BuildConfig",
        "Deployment",
        "DeploymentConfig",
        "ImageStream",
        "ImageStreamTag",
        "Service",
    ];
    assert_eq!(kinds, all);
}

/// N10, N11, N12: a Deployment, to the letter: labels, the annotation with a namespace, and a placeholder that says what
/// will stand there.
#[test]
fn n010_n011_n012_a_deployment_is_written_in_the_order_of_the_api() {
    let text = python().says("-i=python --name=web1 A=1").text("Deployment");
    insta::assert_snapshot!(text, @r#"
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: web1
      namespace: demo
      labels:
        app: web1
        app.kubernetes.io/component: web1
        app.kubernetes.io/instance: web1
        app.kubernetes.io/name: python
      annotations:
        image.openshift.io/triggers: '[{"from":{"kind":"ImageStreamTag","name":"python:latest","namespace":"demo"},"fieldPath":"spec.template.spec.containers[?(@.name==\"python\")].image"}]'
        openshift.io/generated-by: OpenShiftNewApp
    spec:
      replicas: 1
      selector:
        matchLabels:
          deployment: web1
      template:
        metadata:
          labels:
            deployment: web1
          annotations:
            openshift.io/generated-by: OpenShiftNewApp
        spec:
          containers:
          - name: python
            image: python:latest
            env:
            - name: A
              value: "1"
    "#);
    let shared = httpd(Verb::App).says("httpd:2.4").text("Deployment");
    assert!(shared.contains("\"httpd:2.4\",\"namespace\":\"openshift\""), "{shared}");
}

/// What the real `oc` printed for `new-app python:latest --name web1 --dry-run -o yaml`.
const SESSION: &str = r#"apiVersion: v1
items:
- apiVersion: apps/v1
  kind: Deployment
  metadata:
    annotations:
      image.openshift.io/triggers: '[{"from":{"kind":"ImageStreamTag","name":"python:latest","namespace":"demo"},"fieldPath":"spec.template.spec.containers[?(@.name==\"python\")].image"}]'
      openshift.io/generated-by: OpenShiftNewApp
    labels:
      app: web1
      app.kubernetes.io/component: web1
      app.kubernetes.io/instance: web1
    name: web1
  spec:
    replicas: 1
    selector:
      matchLabels:
        deployment: web1
    strategy: {}
    template:
      metadata:
        annotations:
          openshift.io/generated-by: OpenShiftNewApp
        labels:
          deployment: web1
      spec:
        containers:
        - image: ' '
          name: python
          resources: {}
  status: {}
kind: List
metadata: {}
"#;

/// N12: what is printed is what the real `oc` prints, but for the namespace, the placeholder, and what says nothing.
#[test]
fn n012_what_is_printed_is_what_the_real_one_prints() {
    let shop = python().says("python:latest --name=web1");
    let (_, made) = shop.made().unwrap();
    let items: Vec<_> = made.objects.iter().map(|one| one.json(&shop.wanted.namespace)).collect();
    let list =
        serde_json::json!({"apiVersion": "v1", "items": items, "kind": "List", "metadata": {}});
    let mut wanted = SESSION
        .replace("    name: web1\n", "    name: web1\n    namespace: demo\n")
        .replace("image: ' '", "image: python:latest");
    for empty in ["    strategy: {}\n", "          resources: {}\n", "  status: {}\n"] {
        wanted = wanted.replace(empty, "");
    }
    assert_eq!(tidegate::oc::yaml::document(&list), wanted);
}

/// N10: an own label in place of one of them leaves all of them out; it also selects.
#[test]
fn n010_own_labels_take_the_place_of_those_that_are_made_up() {
    let own = python().says("--dc python -l=app:mine").text("DeploymentConfig");
    assert!(own.contains("labels:\n    app: mine\n  annotations"), "{own}");
    assert!(own.contains("selector:\n    app: mine\n    deploymentconfig: python"), "{own}");
    let other = python().says("python -l=team:web").text("Deployment");
    assert!(other.contains("app: python\n") && other.contains("team: web\n"), "{other}");
}

/// Section 6.2: a Service for all ports that the image exposes; volumes of the image become empty folders.
#[test]
fn n010_ports_get_a_service_and_volumes_an_empty_folder() {
    let shop = httpd(Verb::App).says("httpd:2.4 --name=web");
    insta::assert_snapshot!(shop.text("Service"), @r"
    apiVersion: v1
    kind: Service
    metadata:
      name: web
      namespace: demo
      labels:
        app: web
        app.kubernetes.io/component: web
        app.kubernetes.io/instance: web
      annotations:
        openshift.io/generated-by: OpenShiftNewApp
    spec:
      ports:
      - name: 53-udp
        protocol: UDP
        port: 53
        targetPort: 53
      - name: 8080-tcp
        protocol: TCP
        port: 8080
        targetPort: 8080
      - name: 8443-tcp
        protocol: TCP
        port: 8443
        targetPort: 8443
      selector:
        deployment: web
    ");
    let volumes = ["/data"].map(|path| (path.to_owned(), serde_json::json!({})));
    let config =
        tidegate::api::ContainerConfig { volumes: volumes.into(), ..listening(&["80/tcp"]) };
    let text = app().registry("db:1", "0", config).says("db:1").text("Deployment");
    assert!(text.contains("volumes:\n      - name: db-volume-1\n        emptyDir: {}\n"), "{text}");
    assert!(text.contains("- name: db-volume-1\n          mountPath: /data\n"), "{text}");
}

/// Section 6.2: an image of a registry gets a stream, or a tag of one that is there.
#[test]
fn n010_an_image_of_a_registry_is_tracked_by_a_tag() {
    let word = "quay.io/x/web:1";
    let shop = app().registry(word, "220cbf5", listening(&[]));
    insta::assert_snapshot!(shop.clone().says(word).text("ImageStream"), @r#"
    apiVersion: image.openshift.io/v1
    kind: ImageStream
    metadata:
      name: web
      namespace: demo
      labels:
        app: web
        app.kubernetes.io/component: web
        app.kubernetes.io/instance: web
      annotations:
        openshift.io/generated-by: OpenShiftNewApp
    spec:
      tags:
      - name: "1"
        annotations:
          openshift.io/imported-from: quay.io/x/web:1
        from:
          kind: DockerImage
          name: quay.io/x/web:1
    "#);
    let there = shop.clone().stream("demo", "web", &[("2", "bb")]).says(word);
    assert_eq!(there.objects(), ["imagestreamtag.image.openshift.io web:1", "deployment.apps web"]);
    let both = shop.stream("demo", "web", &[("1", "bb")]).says(word);
    assert_eq!(both.objects(), ["deployment.apps web"]);
}

/// N13: what webhooks are asked with is a Secret that is made outside of git; `--inline-secrets` writes it.
#[test]
fn n013_secrets_of_webhooks_are_not_written_in_clear() {
    let mut shop = httpd(Verb::App).says(&format!("httpd:2.4~{URL} --name=web2"));
    insta::assert_snapshot!(shop.text("BuildConfig"), @r"
    apiVersion: build.openshift.io/v1
    kind: BuildConfig
    metadata:
      name: web2
      namespace: demo
      labels:
        app: web2
        app.kubernetes.io/component: web2
        app.kubernetes.io/instance: web2
      annotations:
        openshift.io/generated-by: OpenShiftNewApp
    spec:
      triggers:
      - type: GitHub
        github:
          secretReference:
            name: web2-webhook
      - type: Generic
        generic:
          secretReference:
            name: web2-webhook
      - type: ConfigChange
      - type: ImageChange
        imageChange: {}
      source:
        type: Git
        git:
          uri: https://h/shop
      strategy:
        type: Source
        sourceStrategy:
          from:
            kind: ImageStreamTag
            namespace: openshift
            name: httpd:2.4
      output:
        to:
          kind: ImageStreamTag
          name: web2:latest
    ");
    assert_eq!(shop.made().unwrap().1.hooked, ["web2"]);
    shop.wanted.webhook_secrets = Some(vec!["a".repeat(20), "b".repeat(20)]);
    let text = shop.text("BuildConfig");
    assert!(text.contains(&format!("github:\n      secret: {}\n", "a".repeat(20))), "{text}");
    assert!(text.contains(&format!("generic:\n      secret: {}\n", "b".repeat(20))), "{text}");
    assert!(shop.made().unwrap().1.hooked.is_empty());
}

/// N19: a DeploymentConfig on request, and with a tag of its own, as clients of 2019 had it.
#[test]
fn n019_the_layout_of_2019_is_made_on_request() {
    let shop = python().says("python --name=blog-1");
    assert_eq!(shop.objects(), ["deployment.apps blog-1"]);
    let shop = shop.says("--dc --copy-tag");
    let names = [
        "imagestreamtag.image.openshift.io blog-1:latest",
        "deploymentconfig.apps.openshift.io blog-1",
    ];
    assert_eq!(shop.objects(), names);
    insta::assert_snapshot!(shop.text("ImageStreamTag"), @r"
    apiVersion: image.openshift.io/v1
    kind: ImageStream
    metadata:
      name: blog-1
      namespace: demo
      labels:
        app: blog-1
        app.kubernetes.io/component: blog-1
        app.kubernetes.io/instance: blog-1
      annotations:
        openshift.io/generated-by: OpenShiftNewApp
    spec:
      tags:
      - name: latest
        annotations:
          openshift.io/generated-by: OpenShiftNewApp
        from:
          kind: ImageStreamTag
          name: python:latest
    ");
    let config = shop.text("DeploymentConfig");
    let trigger = "    imageChangeParams:
      automatic: true
      containerNames:
      - blog-1
      from:
        kind: ImageStreamTag
        namespace: demo
        name: blog-1:latest
  replicas: 1
";
    assert!(config.contains(trigger), "{config}");
}

/// N21: builds and their streams, and nothing that runs.
#[test]
fn n021_new_build_makes_streams_and_builds() {
    let shop = httpd(Verb::Build).says(&format!("httpd:2.4~{URL}"));
    let both = ["imagestream.image.openshift.io shop", "buildconfig.build.openshift.io shop"];
    assert_eq!(shop.objects(), both);
    let text = shop.text("BuildConfig");
    assert!(text.contains("generated-by: OpenShiftNewBuild\n") && text.contains("build: shop\n"));
    let mut none = shop.clone();
    none.wanted.no_output = true;
    assert_eq!(none.objects(), ["buildconfig.build.openshift.io shop"]);
    assert!(!none.text("BuildConfig").contains("output:"));
    let mut registry = shop.clone().says("--to=quay.io/x/shop:v1");
    registry.wanted.to_docker = true;
    let text = registry.text("BuildConfig");
    assert!(
        text.contains("to:\n      kind: DockerImage\n      name: quay.io/x/shop:v1\n"),
        "{text}"
    );
    let said = httpd(Verb::Build).says("httpd:2.4").refusal();
    assert!(said.starts_with("you must specify at least one source repository URL"), "{said}");
}

/// N21: what is uploaded starts a build when somebody uploads it.
#[test]
fn n021_a_binary_build_waits_for_what_is_uploaded() {
    let text = Shop::new(Verb::Build).says("--binary --name=up").text("BuildConfig");
    assert!(text.contains("type: Binary\n    binary: {}\n"), "{text}");
    assert!(text.contains("dockerStrategy: {}\n") && !text.contains("Change"), "{text}");
    let builder = httpd(Verb::Build).says("--binary httpd:2.4 --name=up").text("BuildConfig");
    assert!(builder.contains("sourceStrategy:") && !builder.contains("Change"), "{builder}");
    let said = Shop::new(Verb::Build).says("--binary").refusal();
    assert!(said.starts_with("you must provide a --name"), "{said}");
    let said = httpd(Verb::Build).says(&format!("--binary httpd:2.4~{URL}")).refusal();
    assert!(said.starts_with("specifying binary builds and source repositories"), "{said}");
}

/// N21: what the flags of a build write, to the letter.
#[test]
fn n021_the_flags_of_a_build_are_its_fields() {
    let mut shop = httpd(Verb::Build).says(&format!("httpd:2.4~{URL}#beta --to=shop:v1"));
    shop.known.asked.clear();
    shop = shop.registry("quay.io/x/lib:1", "0", listening(&[]));
    shop.wanted.source_image = "quay.io/x/lib:1".into();
    shop.wanted.source_image_path = "/opt/x:lib".into();
    shop.wanted.build_secrets = vec!["npm:etc".into()];
    shop.wanted.build_config_maps = vec!["settings".into()];
    shop.wanted.context_dir = "src".into();
    shop.wanted.source_secret = "git".into();
    shop.wanted.push_secret = "push".into();
    shop.wanted.build_environment.insert("A".into(), "1".into());
    let text = shop.text("BuildConfig");
    let spec = text.split_once("  - type: ImageChange").unwrap().1;
    insta::assert_snapshot!(spec, @r#"

        imageChange:
          from:
            kind: ImageStreamTag
            name: lib:1
      - type: ConfigChange
      - type: ImageChange
        imageChange: {}
      source:
        type: Image
        git:
          uri: https://h/shop
          ref: beta
        images:
        - from:
            kind: ImageStreamTag
            name: lib:1
          paths:
          - sourcePath: /opt/x
            destinationDir: lib
        contextDir: src
        sourceSecret:
          name: git
        secrets:
        - secret:
            name: npm
          destinationDir: etc
        configMaps:
        - configMap:
            name: settings
      strategy:
        type: Source
        sourceStrategy:
          from:
            kind: ImageStreamTag
            namespace: openshift
            name: httpd:2.4
          env:
          - name: A
            value: "1"
      output:
        to:
          kind: ImageStreamTag
          name: shop:v1
        pushSecret:
          name: push
    "#);
    shop.wanted.build_secrets.push("npm".into());
    assert_eq!(shop.refusal(), "the \"npm\" secret can be used just once");
    shop.wanted.source_image_path.clear();
    assert!(shop.refusal().starts_with("--source-image-path must be specified"));
}

/// N1, N2: the objects of a Template with parameters put in, labels and annotations come to them.
#[test]
fn n002_a_template_file_makes_its_objects() {
    let text = "kind: Template\napiVersion: template.openshift.io/v1\nmetadata: {name: shop, annotations: {description: A shop}}\n\
                message: \"It is ${NAME}\"\nlabels: {template: shop}\nobjects:\n- kind: Service\n  apiVersion: v1\n  \
                metadata: {name: \"${NAME}\", namespace: fixed}\n  spec: {ports: [{port: 80}], selector: {app: \"${NAME}\"}}\n\
                parameters:\n- {name: NAME, value: web}\n- {name: PASSWORD, generate: expression, from: '[a-z]{8}'}\n";
    let mut shop = app();
    shop.known.templates.insert("shop.yaml".into(), text.replace("${PASSWORD}", ""));
    let component = Component { word: "shop.yaml".into(), named: Named::Template };
    shop.wanted.components.push(component);
    shop.wanted.parameters.insert("NAME".into(), "front".into());
    let found = templates(&shop.wanted, &shop.known).unwrap();
    assert_eq!((found.name.as_deref(), found.objects.len()), (Some("shop"), 1));
    assert_eq!(
        found.text,
        "--> Deploying template \"shop\" for \"shop.yaml\" to project demo\n\n     shop\n     ---------\n     A shop\n\n     It \
         is front\n\n     * With parameters:\n        * NAME=front\n        * PASSWORD=\n\n"
    );
    let service = found.objects[0].text(&shop.wanted.namespace);
    assert!(service.contains("name: front\n  namespace: demo\n"), "{service}");
    assert!(service.contains("template: shop\n"), "{service}");
    shop.wanted.parameters.insert("OTHER".into(), String::new());
    let why = templates(&shop.wanted, &shop.known).unwrap_err().to_string();
    assert_eq!(why, "error processing template \"shop.yaml\": unexpected parameter name \"OTHER\"");
    shop.wanted.parameters.remove("OTHER");
    let needs = text.replace("port: 80", "name: \"${PASSWORD}\", port: 80");
    shop.known.templates.insert("shop.yaml".into(), needs);
    let why = templates(&shop.wanted, &shop.known).unwrap_err().to_string();
    assert!(why.contains("`PASSWORD` has no value") && why.contains("-p PASSWORD="), "{why}");
}

const BUILDER: &str = "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata:
  name: python # the language
spec:
  tags:
  - name: latest
    annotations: {tags: builder}
    from: {kind: DockerImage, name: quay.io/x/python:3}
";

/// N1, N12: the objects of a file with a Template, in files of their own; what the shell of a command says is not printed
/// where it sounds like a secret.
#[test]
fn n001_n012_a_template_file_is_written_out() {
    let shop = Checkout::of("streams.yaml", BUILDER);
    let template = "kind: Template\napiVersion: template.openshift.io/v1\nmetadata: {name: shop}\nobjects:\n\
                    - kind: ConfigMap\n  apiVersion: v1\n  metadata: {name: settings}\n  data: {url: \"${URL}\"}\n\
                    - kind: ImageStream\n  apiVersion: image.openshift.io/v1\n  metadata: {name: \"${NAME}\"}\n\
                    parameters:\n- {name: NAME, value: web}\n- {name: URL, required: true}\n- {name: PASSWORD, value: geheim}\n";
    let file = shop.host.path("shop.yaml");
    std::fs::write(&file, template).unwrap();
    let file = file.to_str().unwrap();
    let said = shop.refuses(&["new-app", file]);
    assert!(said.contains("`URL` has no value; give it with `-p URL="), "{said}");
    let said = shop.says(&["new-app", file, "-p", "URL=https://h/x"]);
    assert!(said.starts_with(&format!(
        "--> Deploying template \"shop\" for \"{file}\" to project test\n\n"
    )));
    assert!(said.contains("* URL=https://h/x\n        * PASSWORD=***\n"), "{said}");
    assert!(said.contains(
        "    configmap \"settings\" created\n    imagestream.image.openshift.io \"web\" created\n"
    ));
    let text = shop.file("test/configmap-settings.yaml");
    assert!(text.contains("app: shop\n") && text.contains("url: https://h/x\n"), "{text}");
    assert!(shop.file("test/imagestream-web.yaml").contains("namespace: test\n"));
    let said = shop.refuses(&["new-app", "--template=shop"]);
    assert!(said.contains("no template \"shop\" is stored"), "{said}");
}

/// N12: kinds that nobody has heard of are called what they call themselves, and found wherever they stand.
#[test]
fn n012_an_object_of_another_kind_keeps_it() {
    let shop = Checkout::of("streams.yaml", BUILDER);
    let template = "kind: Template\napiVersion: template.openshift.io/v1\nmetadata: {name: shop}\nobjects:\n\
                    - kind: Monitor\n  apiVersion: monitoring.example.com/v1\n  metadata: {name: web}\n\
                    - kind: Alert\n  apiVersion: monitoring.example.com/v1\n  metadata: {name: web}\n";
    let file = shop.host.path("shop.yaml");
    std::fs::write(&file, template).unwrap();
    let words = ["new-app", "-f", file.to_str().unwrap()];
    let said = shop.says(&words);
    for kind in ["monitor", "alert"] {
        assert!(said.contains(&format!("    {kind}.monitoring.example.com \"web\" created\n")));
        assert!(shop.file(&format!("test/{kind}-web.yaml")).contains("name: web\n"));
    }
    shop.repo.git(&["mv", "test/alert-web.yaml", "test/other.yaml"]);
    shop.repo.git(&["rm", "test/monitor-web.yaml"]);
    shop.repo.commit("elsewhere");
    let again = shop.run(&words);
    let wanted = "error: alert.monitoring.example.com \"web\" already exists\n";
    assert_eq!((again.code, again.err.as_str()), (1, wanted));
}

/// N12, law 10: neither does a parameter of a Template bring a login into git, or onto the terminal.
#[test]
fn n012_a_login_in_a_template_is_refused() {
    let shop = Checkout::of("streams.yaml", BUILDER);
    let template = "kind: Template\napiVersion: template.openshift.io/v1\nmetadata: {name: shop}\nobjects:\n\
                    - kind: BuildConfig\n  apiVersion: build.openshift.io/v1\n  metadata: {name: web}\n  \
                    spec: {source: {git: {uri: \"${URL}\"}}, strategy: {dockerStrategy: {}}}\n\
                    parameters:\n- {name: URL, value: 'https://h/x'}\n- {name: OTHER, value: 'https://u:canary@h/x'}\n";
    let file = shop.host.path("shop.yaml");
    std::fs::write(&file, template).unwrap();
    let file = file.to_str().unwrap();
    let said = shop.refuses(&["new-app", file, "-p", "URL=https://u:canary@h/x"]);
    assert!(said.contains("the URL of the source holds a login") && !said.contains("canary"));
    let said = shop.says(&["new-app", file]);
    assert!(said.contains("* OTHER=https://***@h/x\n"), "{said}");
}

/// N13: secrets that are written are random, and not shown.
#[test]
fn n013_secrets_that_are_written_are_random_and_not_shown() {
    let shop = Checkout::of("streams.yaml", BUILDER);
    let digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    shop.imported(&[("test/python:latest", digest)]);
    let source = "python~https://h.invalid/web.git";
    let ran = shop.run(&["new-build", source, "--inline-secrets", "-e", "TOKEN=geheim"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let text = shop.file("test/buildconfig-web.yaml");
    let secrets: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("secret: ")).collect();
    let [first, second] = secrets[..] else { panic!("{text}") };
    assert_eq!((first.len(), second.len()), (20, 20));
    assert_ne!(first, second);
    for secret in [first, second, "geheim"] {
        assert!(!ran.err.contains(secret) && !ran.out.contains(secret), "{}", ran.err);
    }
    assert!(ran.err.contains("warning: the value of TOKEN stands in git"), "{}", ran.err);
    assert!(
        ran.err.contains("note: what is built for web has no place to be pushed to"),
        "{}",
        ran.err
    );
}

/// N21: a Dockerfile comes from standard input.
#[test]
fn n021_a_dockerfile_comes_from_standard_input() {
    use std::io::Write as _;
    let shop = Checkout::of("streams.yaml", BUILDER);
    let digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    shop.imported(&[("test/python:latest", digest)]);
    let words = ["new-build", "-D", "-", "--name=web", "--build-arg", "V=1"];
    let mut command = shop.command(&words);
    let piped = std::process::Stdio::piped;
    command.stdin(piped()).stdout(piped()).stderr(piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"FROM python\nARG V\n").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    let text = shop.file("test/buildconfig-web.yaml");
    assert!(text.contains("dockerfile: \"FROM python\\nARG V\\n\"\n"), "{text}");
    assert!(
        text.contains(
            "name: python:latest\n      buildArgs:\n      - name: V\n        value: \"1\"\n"
        ),
        "{text}"
    );
}

/// N3, N5, N15: an image of a registry is asked for there; one that is missing is said to be.
#[test]
fn n003_n015_a_registry_is_asked() {
    use crate::support::registry::DockerRegistry;
    let Some(registry) = DockerRegistry::start() else { return };
    crate::support::daemon::wait(registry.push_image("team/web", "1", "web"));
    let shop = Checkout::of("streams.yaml", BUILDER);
    let (address, name) = (registry.address(), "--name=direct");
    let image = format!("{address}/team/web:1");
    let said = shop.says(&["new-app", &image, "--insecure-registry", name]);
    let wanted = format!(
        " from {address} for \"{image}\"\n\n    * An image stream tag will be created as \"direct:1\" that"
    );
    assert!(said.starts_with("--> Found container image ") && said.contains(&wanted), "{said}");
    let text = shop.file("test/imagestream-direct.yaml");
    assert!(
        text.contains(&format!("name: {image}\n    importPolicy:\n      insecure: true\n")),
        "{text}"
    );
    let missing = format!("{address}/team/nosuch:1");
    let said = shop.refuses(&["new-app", &missing, "--insecure-registry"]);
    assert!(said.contains(&format!("local docker images with name \"{missing}\"")), "{said}");
    let said = shop.says(&["new-app", &missing, "--insecure-registry", "--allow-missing-images"]);
    assert!(said.starts_with("\n--> Creating resources ...\n"), "{said}");
    assert!(shop.file("test/deployment-nosuch.yaml").contains(&format!("image: {missing}\n")));
}

/// N12: one file for each object, in one commit; what is there already is not written again, and then nothing is.
#[test]
fn n012_what_is_made_is_one_commit() {
    let shop = Checkout::of("streams.yaml", BUILDER);
    let digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    shop.imported(&[("test/python:latest", digest)]);
    let words = ["new-app", "python~https://h.invalid/team/web2.git"];
    let before = shop.repo.head();
    let said = shop.says(&[&words[..], &["--dry-run"]].concat());
    assert!(
        said.ends_with("    deployment.apps \"web2\" created (dry run)\n--> Success (dry run)\n"),
        "{said}"
    );
    assert_eq!(shop.repo.head(), before);
    let list = shop.says(&[&words[..], &["-o", "yaml"]].concat());
    assert!(
        list.starts_with("apiVersion: v1\nitems:\n")
            && list.ends_with("kind: List\nmetadata: {}\n")
    );
    let json = shop.says(&[&words[..], &["-o", "json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["items"].as_array().unwrap().len(), 3);
    assert_eq!(shop.repo.head(), before, "printing writes nothing");
    let ran = shop.run(&words);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let note = "note: webhooks of web2 are asked with the Secret `web2-webhook`, key `WebHookSecretKey`: until it is there they \
                answer nobody. It is looked for in the configuration, as in `[listener.secrets]` `\"test/web2-webhook\" = \
                \"file:PATH\"`, and then in git, as the manifest of a Secret (--inline-secrets writes it into the BuildConfig)\n";
    assert!(ran.err.contains(note), "{}", ran.err);
    let files = shop.repo.git(&["show", "--format=%s", "--name-only", "HEAD"]);
    assert_eq!(
        files,
        "new-app: create ImageStream web2, BuildConfig web2, Deployment web2\n\ntest/buildconfig-web2.yaml\n\
         test/deployment-web2.yaml\ntest/imagestream-web2.yaml"
    );
    assert_eq!(shop.repo.git(&["rev-list", "--count", "HEAD"]), "2");
    let state = shop.state();
    let again = shop.run(&words);
    assert_eq!(again.code, 1);
    assert!(again.out.ends_with("--> Creating resources ...\n--> Failed\n"), "{}", again.out);
    assert_eq!(
        again.err,
        "error: buildconfigs.build.openshift.io \"web2\" already exists\nerror: deployments.apps \"web2\" already exists\n"
    );
    assert_eq!(shop.state(), state);
}

/// N12, N19: a tag of a stream that is there goes into its manifest, whose comments stay; a login in a URL is refused.
#[test]
fn n012_a_tag_of_a_stream_that_is_there_goes_into_its_manifest() {
    let shop = Checkout::of("streams.yaml", BUILDER);
    let digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    shop.imported(&[("test/python:latest", digest)]);
    let names = shop.says(&["new-app", "python", "--copy-tag", "--name=blog-1", "-o", "name"]);
    assert_eq!(names, "imagestreamtag.image.openshift.io/blog-1:latest\ndeployment.apps/blog-1\n");
    assert!(shop.file("test/imagestream-blog-1.yaml").contains("name: python:latest"));
    shop.says(&["delete", "deploy", "blog-1"]);
    shop.says(&["tag", "-d", "blog-1:latest"]);
    shop.repo.write(
        "test/imagestream-blog-1.yaml",
        "# mine\nkind: ImageStream\napiVersion: image.openshift.io/v1\nmetadata: {name: blog-1}\n",
    );
    shop.repo.commit("mine");
    shop.says(&["new-app", "python", "--copy-tag", "--name=blog-1"]);
    let text = shop.file("test/imagestream-blog-1.yaml");
    assert!(text.starts_with("# mine\n") && text.contains("name: python:latest"), "{text}");
    for words in [
        &["new-app", "--code", "https://u:canary@h.invalid/x", "--name=web"][..],
        &["new-app", "python~https://u:canary@h.invalid/shop"],
    ] {
        let said = shop.refuses(words);
        assert!(said.contains("the URL of the source holds a login"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
    let said = shop.refuses(&["new-app", "https://u:canary@h.invalid/x"]);
    assert!(said.contains("with name \"https://***@h.invalid/x\"") && !said.contains("canary"));
}

/// B53, N12: what is built for a stream that only the journal knows goes nowhere: its manifest is made again.
#[test]
fn n012_a_stream_without_a_manifest_gets_one() {
    let shop = Checkout::of("streams.yaml", BUILDER);
    let digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    shop.imported(&[("test/python:latest", digest)]);
    let words = ["new-app", "python~https://h.invalid/team/web2.git"];
    shop.says(&words);
    shop.says(&["delete", "all", "-l", "app=web2"]);
    shop.imported(&[("test/web2:latest", digest)]); // what was built
    let said = shop.says(&words);
    assert!(said.contains("    imagestream.image.openshift.io \"web2\" created\n"), "{said}");
    assert!(shop.file("test/imagestream-web2.yaml").contains("name: web2\n"));
    let said = shop.says(&["new-app", "-S", "web2"]);
    assert!(said.contains("web2\n  Project: test\n"), "{said}");
}

/// N1, N6: a folder here is a source: what it holds is looked at, and what is built is its remote.
#[test]
fn n001_a_folder_is_a_source() {
    let shop = Checkout::of("streams.yaml", BUILDER);
    let digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    shop.imported(&[("test/python:latest", digest)]);
    let source = crate::support::git::Repo::new();
    source.write("setup.py", "").write("docs/index.php", "").commit("source");
    let place = source.address();
    let said = shop.says(&["new-build", &place, "--name=up"]);
    assert!(said.contains("* The source repository appears to match: python\n"), "{said}");
    assert!(said.contains("* A source build using binary input will be created\n"), "{said}");
    source.git(&["remote", "add", "origin", "https://h.invalid/team/web.git"]);
    let said = shop.says(&["new-build", &place]);
    assert!(
        said.contains("using source code from https://h.invalid/team/web.git#main will be created"),
        "{said}"
    );
    let text = shop.file("test/buildconfig-web.yaml");
    assert!(text.contains("uri: https://h.invalid/team/web.git\n      ref: main\n"), "{text}");
    // The same by its address, which is asked and cloned.
    let url = format!("file://{place}#main");
    let said = shop.says(&["new-build", &url, "--name=remote", "--dry-run"]);
    assert!(said.contains("* The source repository appears to match: python\n"), "{said}");
    let said = shop.refuses(&["new-build", &url, "--context-dir=docs", "--name=docs"]);
    assert!(said.contains("with name \"php\""), "{said}");
    let said = shop.refuses(&["new-build", &url, "--context-dir=nosuch"]);
    assert!(
        said.contains("supplied context directory 'nosuch' does not exist in 'file://"),
        "{said}"
    );
    let gone = format!("file://{place}-gone");
    let said = shop.refuses(&["new-app", &gone]);
    assert!(said.contains("git ls-remote failed with: "), "{said}");
}
