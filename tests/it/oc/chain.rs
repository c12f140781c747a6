//! `build-chain` on what a daemon adopted (rules C13, C14).

use tidegate::control::Question;
use tidegate::fact::Fact;

use crate::support::daemon::{Host, eventually};
use crate::support::git::Repo;

/// Two builds more, one of them in another namespace, and a workload.
const MORE: &str = "apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: tools, namespace: shop}
spec:
  source: {git: {uri: 'https://git.example/tools'}}
  strategy: {sourceStrategy: {from: {kind: ImageStreamTag, name: 'httpd:2.4'}}}
  output: {to: {kind: ImageStreamTag, name: 'tools:1'}}
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: docs, namespace: press}
spec:
  source: {git: {uri: 'https://git.example/docs'}}
  strategy: {sourceStrategy: {from: {kind: ImageStreamTag, namespace: shop, name: 'httpd:2.4'}}}
  triggers: [{type: ImageChange, imageChange: {}}]
  output: {to: {kind: ImageStreamTag, name: 'docs:latest'}}
---
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: front, namespace: shop}
spec:
  replicas: 1
  triggers:
  - {type: ImageChange, imageChangeParams: {automatic: true, containerNames: [a], from: {kind: ImageStreamTag, name: 'web2:latest'}}}
  template: {metadata: {labels: {app: front}}, spec: {containers: [{name: a, image: ' '}]}}
";

/// A build of what is made of it.
const CIRCLE: &str = "apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: base, namespace: shop}
spec:
  source: {git: {uri: 'https://git.example/base'}}
  strategy: {sourceStrategy: {from: {kind: ImageStreamTag, name: 'web2:latest'}}}
  output: {to: {kind: ImageStreamTag, name: 'httpd:2.4'}}
";

const MANIFESTS: &str = "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {name: httpd, namespace: shop}
spec: {tags: [{name: '2.4'}, {name: latest}]}
---
apiVersion: build.openshift.io/v1
kind: BuildConfig
metadata: {name: web2, namespace: shop}
spec:
  source: {git: {uri: 'https://git.example/web'}}
  strategy: {sourceStrategy: {from: {kind: ImageStreamTag, name: 'httpd:2.4'}}}
  triggers: [{type: ImageChange, imageChange: {}}]
  output: {to: {kind: ImageStreamTag, name: 'web2:latest'}}
";

/// C13, C14: a tree, a graph, what has nothing, what there is not, and what is asked for wrongly.
#[test]
fn c013_c014_a_build_chain_is_asked_for_as_in_oc() {
    let repo = Repo::new();
    repo.write("web.yaml", MANIFESTS).commit("the shop");
    let mut host = Host::new(repo.path(), "");
    host.start();
    host.wait_for("the commit", |fact| matches!(fact, Fact::CommitAdopted(_)));
    let chain = |arguments: &[&str]| {
        let output = host.run(&[arguments, &["-n", "shop"]].concat());
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let tree = "istag/httpd:2.4\n\tbc/web2\n\t\tistag/web2:latest\n".to_owned();
    assert_eq!(chain(&["build-chain", "httpd:2.4"]), (Some(0), tree.clone()));
    assert_eq!(chain(&["adm", "build-chain", "istag/httpd:2.4"]), (Some(0), tree));
    let (code, graph) = chain(&["build-chain", "web2", "--reverse", "-o", "dot"]);
    assert_eq!(code, Some(0));
    assert!(graph.starts_with("digraph \"web2:latest\" {\n"), "{graph}");
    let nothing = "Image stream tag \"httpd:latest\" in \"shop\" doesn't have any dependencies.\n";
    assert_eq!(chain(&["build-chain", "httpd"]), (Some(0), nothing.to_owned()));
    for (arguments, said) in [
        (
            &["build-chain", "other:1"][..],
            "Error from server (NotFound): imagestreamtags.image.openshift.io \"other:1\" not found",
        ),
        (
            &["build-chain", "httpd", "-o", "svg"],
            "error: output must be either empty, 'dot' or 'mermaid'",
        ),
        (&["build-chain", "bc/web2"], "error: invalid resource provided: bc"),
        (&["build-chain"], "error: Must pass an image stream tag."),
    ] {
        let (code, told) = chain(arguments);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.starts_with(said), "{told}");
    }
    // Its flags say which edges are followed.
    repo.write("more.yaml", MORE).commit("more");
    let adopted = |count: usize| {
        host.ask(&Question::ReadSource);
        let is_adopted = |fact: &Fact| matches!(fact, Fact::CommitAdopted(_));
        eventually("the commit", || (host.count(is_adopted) == count).then_some(()));
    };
    adopted(2);
    let web2 = "\tbc/web2\n\t\tistag/web2:latest\n";
    for (flags, wanted) in [
        (&["--trigger-only"][..], format!("istag/httpd:2.4\n{web2}")),
        (&["--trigger-only=false"], format!("istag/httpd:2.4\n\tbc/tools\n\t\tistag/tools:1\n{web2}")),
        (&["--deployments"], format!("istag/httpd:2.4\n{web2}\t\t\tdc/front\n")),
        (
            &["--all"],
            "<shop istag/httpd:2.4>\n\t<press bc/docs>\n\t\t<press istag/docs:latest>\n\t<shop bc/web2>\n\t\t<shop \
             istag/web2:latest>\n"
                .to_owned(),
        ),
    ] {
        assert_eq!(chain(&[&["build-chain", "httpd:2.4"], flags].concat()), (Some(0), wanted));
    }
    let (_, graph) = chain(&["build-chain", "httpd:2.4", "-o", "mermaid"]);
    assert!(graph.starts_with("flowchart LR\n  n0[\"istag/httpd:2.4\"]\n"), "{graph}");
    assert!(graph.ends_with("  n0 --> n1\n  n1 --> n2\n"), "{graph}");
    repo.write("circle.yaml", CIRCLE).commit("a circle");
    adopted(3);
    let circle = "Cycle detected in build configurations: istag/httpd:2.4 -> bc/web2 -> istag/web2:latest -> bc/base -> \
                  istag/httpd:2.4\n";
    assert_eq!(chain(&["build-chain", "httpd:2.4"]), (Some(0), circle.to_owned()));
}
