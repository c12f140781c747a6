//! `get` and `describe` on what a daemon imported from a real registry.

use insta::assert_snapshot;
use tidegate::fact::Fact;

use crate::support::daemon::{Host, wait};
use crate::support::git::Repo;
use crate::support::registry::DockerRegistry;

fn manifest(registry: &str) -> String {
    format!(
        "apiVersion: image.openshift.io/v1
kind: ImageStream
metadata:
  name: python
  namespace: shop
  labels: {{app: py}}
spec:
  tags:
  - name: latest
    from: {{kind: ImageStreamTag, name: '3.6'}}
  - name: '3.6'
    annotations: {{description: Python 3.6, tags: 'builder,python'}}
    from: {{kind: DockerImage, name: '{registry}/library/python:3.6'}}
    importPolicy: {{scheduled: true, insecure: true}}
  - name: many
    from: {{kind: DockerImage, name: '{registry}/library/python:many'}}
    importPolicy: {{insecure: true, importMode: PreserveOriginal}}
  - name: gone
    from: {{kind: DockerImage, name: '{registry}/library/python:gone'}}
    importPolicy: {{insecure: true}}
  - name: outside
    reference: true
    from: {{kind: DockerImage, name: quay.io/org/app:1}}
  - name: later
    from: {{kind: ImageStreamTag, name: 'other:1'}}
---
apiVersion: image.openshift.io/v1
kind: ImageStream
metadata: {{name: other, namespace: shop}}
"
    )
}

struct Shop {
    host: Host,
    registry: DockerRegistry,
    _repo: Repo,
}

impl Shop {
    fn open() -> Option<Self> {
        let registry = DockerRegistry::start()?;
        wait(registry.push_image("library/python", "3.6", "one"));
        wait(registry.push_index("library/python", "many", "two", &["amd64", "arm64"]));
        let repo = Repo::new();
        repo.write("python.yaml", manifest(&registry.address())).commit("python");
        let mut host = Host::new(repo.path(), "");
        host.start();
        for tag in ["3.6", "many", "outside", "latest"] {
            host.wait_for(tag, |fact| {
                matches!(fact, Fact::TagImported(imported) if imported.tag.tag.as_str() == tag)
            });
        }
        host.wait_for("the missing tag", |fact| matches!(fact, Fact::ImportFailed(_)));
        Some(Self { host, registry, _repo: repo })
    }

    /// What a command prints, with what differs from run to run in words of the same width.
    fn text(&self, arguments: &[&str]) -> String {
        let text = self.host.text(&[arguments, &["-n", "shop"]].concat());
        let address = self.registry.address();
        assert_eq!(address.len(), "127.0.0.1:54321".len(), "{address}");
        text.replace(&address, "registry.io:443")
    }
}

/// Ages, times and the order in which imports ended differ from run to run, and so does the width of columns.
fn settle(text: &str) -> String {
    let volatile = [
        (r"(Less than a second|About a minute|\d+ (second|month|year)s?) ago", "[age] ago"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "[time]"),
        (r"generation: \d+", "generation: [n]"),
        (r"(\S) {2,}", "$1  "),
    ];
    volatile.iter().fold(text.to_owned(), |text, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    })
}

#[test]
fn what_a_daemon_imported_is_shown_as_oc_shows_it() {
    let Some(shop) = Shop::open() else { return };
    let shown = |arguments: &[&str]| settle(&shop.text(arguments));
    assert_snapshot!(shown(&["describe", "is/python"]));
    let found = shown(&["get", "is"]);
    let line = found.lines().find(|line| line.starts_with("python")).unwrap();
    let mut tags: Vec<&str> = line.split_whitespace().nth(1).unwrap().split(',').collect();
    tags.sort_unstable(); // the newest comes first, and which is that differs
    assert_eq!(tags, ["3.6", "gone", "latest", "many", "outside"]);
    assert_snapshot!(shown(&["get", "istag", "-o", "wide"]));
    assert_snapshot!(shown(&["get", "itag"]));
    assert_snapshot!(shown(&["get", "images"]));
    assert_snapshot!(shown(&["describe", "istag", "python:3.6"]));
    assert_snapshot!(shown(&["describe", "istag", "python:many"]));
    assert_snapshot!(shown(&["get", "is", "python", "-o", "yaml"]));
    let image = shown(&["get", "istag", "python:3.6", "-o", "jsonpath={.image.metadata.name}"]);
    let beginning = format!("python@{}", &image["sha256:".len()..][..12]);
    let described = shown(&["describe", "isimage", &beginning]);
    assert!(described.contains(&image), "{described}");
    let second = "jsonpath={.image.dockerImageManifests[1].digest}";
    let image = shown(&["get", "istag", "python:many", "-o", second]);
    let described = shown(&["describe", "isimage", &format!("python@{image}")]);
    assert!(described.contains(&image) && described.contains("arm64"), "{described}");
    let found = shown(&["get", "is", "-l", "app=py", "-o", "name"]);
    assert_eq!(found, "imagestream.image.openshift.io/python\n");
}
