//! `get -f` and `describe -f`: what somebody exported from a cluster.

use insta::assert_snapshot;

use super::printed;

pub(crate) const STREAMS: &str = "\
apiVersion: v1
kind: List
items:
- apiVersion: image.openshift.io/v1
  kind: ImageStream
  metadata:
    name: python
    namespace: shop
    creationTimestamp: '2026-11-21T08:00:00Z'
    labels: {app: py}
    annotations: {description: The language, team: web}
  spec:
    tags:
    - name: latest
      from: {kind: ImageStreamTag, name: '3.6'}
      generation: 2
    - name: 3.6
      from: {kind: DockerImage, name: 'docker.io/python:3.6'}
      generation: 2
      importPolicy: {scheduled: true}
      annotations: {description: Python 3.6, tags: 'builder,python'}
    - name: next
      from: {kind: ImageStreamTag, name: 'other:next'}
      generation: 3
  status:
    tags:
    - tag: '3.6'
      items:
      - created: '2026-11-21T09:59:00Z'
        dockerImageReference: docker.io/python@sha256:1111111111111111111111111111111111111111111111111111111111111111
        image: sha256:1111111111111111111111111111111111111111111111111111111111111111
        generation: 2
    - tag: latest
      items:
      - created: '2026-11-21T09:59:00Z'
        dockerImageReference: docker.io/python@sha256:1111111111111111111111111111111111111111111111111111111111111111
        image: sha256:1111111111111111111111111111111111111111111111111111111111111111
        generation: 2
- apiVersion: image.openshift.io/v1
  kind: ImageStream
  metadata: {name: bare, namespace: shop}
";

pub(crate) fn show(arguments: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), STREAMS).unwrap();
    let common = ["-f", file.path().to_str().unwrap(), "--now", "2026-11-21T10:00:00Z"];
    printed(&[arguments, &common].concat())
}

#[test]
fn objects_are_printed_in_every_format_of_oc() {
    assert_snapshot!(show(&["get", "istag", "python:3.6", "-n", "shop", "-o", "yaml"]));
    assert_snapshot!(show(&["get", "is", "python", "-n", "shop", "-o", "json"]));
    let path = "jsonpath={range .spec.tags[*]}{.name}={.from.name}{\"\\n\"}{end}";
    assert_snapshot!(show(&["get", "is/python", "-n", "shop", "-o", path]), @"
    3.6=docker.io/python:3.6
    latest=3.6
    next=other:next
    ");
    let columns = "custom-columns=NAME:.metadata.name,TAGS:.spec.tags[*].name";
    assert_snapshot!(show(&["get", "is", "-n", "shop", "-o", columns]), @"
    NAME     TAGS
    bare     <none>
    python   3.6,latest,next
    ");
    assert_snapshot!(show(&["get", "is,istag", "-n", "shop"]));
}
