//! Two instances of an application from one image stream (founding document S0, rows P3 and P4; C4, C5, D50, D51).

use tidegate::fact::{Fact, Outcome};

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;
use crate::support::podman::{Podman, Program, alone};
use crate::support::registry::write;

/// The stream as it is imported: without a label.
fn stream(registry: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: blog-django-py, namespace: myproject}}
spec:
  tags:
  - name: latest
    from: {{kind: DockerImage, name: '{registry}/openshiftkatacoda/blog-django-py:latest'}}
    importPolicy: {{insecure: true}}
"
    )
}

/// An application as `new-app blog-django-py --name NAME` makes it.
fn instance(name: &str) -> String {
    let labels = format!("labels: {{app: {name}}}");
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: {name}, namespace: myproject, {labels}}}
spec:
  tags:
  - name: latest
    from: {{kind: ImageStreamTag, name: 'blog-django-py:latest'}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: myproject, {labels}}}
spec: {{selector: {{deploymentconfig: {name}}}, ports: [{{port: 8080}}]}}
---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {{name: {name}, namespace: myproject, {labels}}}
spec:
  replicas: 1
  strategy: {{rollingParams: {{timeoutSeconds: 20}}}}
  triggers:
  - type: ConfigChange
  - type: ImageChange
    imageChangeParams: {{automatic: true, containerNames: [{name}], from: {{kind: ImageStreamTag, name: '{name}:latest'}}}}
  template:
    metadata: {{labels: {{app: {name}, deploymentconfig: {name}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: {name}
        image: ' '
        ports: [{{containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: 8080}}, periodSeconds: 1}}
"
    )
}

#[test]
fn p003_p004_two_instances_of_a_blog_come_and_go_and_their_stream_stays() {
    if !alone() {
        return;
    }
    let Some(podman) = Podman::start() else { return };
    podman.push("openshiftkatacoda/blog-django-py:latest", "a blog", Program::Healthy);
    let repo = Repo::new();
    repo.write("blog-django-py.yaml", stream(&podman.registry.address()));
    for name in ["blog-1", "blog-2"] {
        repo.write(&format!("{name}.yaml"), instance(name));
    }
    repo.commit("two blogs");
    let toml = format!(
        "[targets.here]\nkind = \"podman\"\nprogram = {:?}\n[routes]\ndefault = \"here\"\n",
        podman.program().display()
    );
    let mut host = Host::new(repo.path(), &toml);
    host.configure(|text| format!("default_namespace = \"myproject\"\n{text}"));
    write(&host.path("gitconfig"), "[user]\nname = Ada\nemail = ada@example.com\n");
    host.start();
    eventually(&format!("both; {}", host.story()), || {
        let complete = |fact: &Fact| matches!(fact, Fact::RolloutFinished(end) if end.outcome == Outcome::Complete);
        (host.count(complete) == 2).then_some(())
    });
    let oc = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let mut command = host.tidegate(&[&["--oc-compatible"], &words[..]].concat());
        command.env("GIT_CONFIG_GLOBAL", host.path("gitconfig")).current_dir(repo.path());
        let output = command.output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {err}");
        (String::from_utf8(output.stdout).unwrap(), err)
    };
    // The document shows a pod by a name of its own; here it has the name that it keeps (rule R11).
    let all = oc("get all -o name").0;
    assert_eq!(
        all.lines().collect::<Vec<_>>(),
        [
            "pod/blog-1-0",
            "pod/blog-1-1-deploy",
            "pod/blog-2-0",
            "pod/blog-2-1-deploy",
            "replicationcontroller/blog-1-1",
            "replicationcontroller/blog-2-1",
            "service/blog-1",
            "service/blog-2",
            "deploymentconfig.apps.openshift.io/blog-1",
            "deploymentconfig.apps.openshift.io/blog-2",
            "imagestream.image.openshift.io/blog-1",
            "imagestream.image.openshift.io/blog-2",
            "imagestream.image.openshift.io/blog-django-py",
        ]
    );
    let running = || podman.run(&["pod", "ps", "--format", "{{.Name}}"]);
    for (name, rest) in [("blog-1", "blog-2-0"), ("blog-2", "")] {
        let (deleted, _) = oc(&format!("delete all --selector app={name}"));
        assert_eq!(
            deleted,
            format!(
                "service \"{name}\" deleted\n\
                 deploymentconfig.apps.openshift.io \"{name}\" deleted\n\
                 imagestream.image.openshift.io \"{name}\" deleted\n"
            )
        );
        eventually(&format!("{name} is stopped; {}", host.story()), || {
            (running() == rest).then_some(())
        });
    }
    // The pods are gone a moment before the records say so.
    let stream = "imagestream.image.openshift.io/blog-django-py\n";
    eventually("the stream alone", || (oc("get all -o name").0 == stream).then_some(()));
    assert_eq!(oc("get is -o name").0, stream);
}
