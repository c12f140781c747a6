//! `build-chain` on what a daemon adopted (rules C13, C14).

use tidegate::fact::Fact;

use crate::support::daemon::Host;
use crate::support::git::Repo;

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
}
