//! `get -f` and `describe -f`: what somebody exported from a cluster.

use insta::assert_snapshot;

use super::{printed, tidegate};

const STREAMS: &str = "\
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

fn show(arguments: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), STREAMS).unwrap();
    let common = ["-f", file.path().to_str().unwrap(), "--now", "2026-11-21T10:00:00Z"];
    printed(&[arguments, &common].concat())
}

#[test]
fn i127_a_stream_is_described_with_all_that_is_known_of_it() {
    assert_snapshot!(show(&["describe", "is/python", "-n", "shop"]));
}

#[test]
fn i127_a_stream_without_tags_says_so() {
    assert_snapshot!(show(&["describe", "is", "bare", "-n", "shop"]), @"
    Name:			bare
    Namespace:		shop
    Labels:			<none>
    Annotations:		<none>
    Image Repository:	<none>
    Image Lookup:		local=false
    Tags:			<none>
    ");
}

#[test]
fn i120_streams_are_a_table() {
    assert_snapshot!(show(&["get", "is", "-A", "-l", "app=py"]), @"
    NAMESPACE   NAME     IMAGE REPOSITORY   TAGS         UPDATED
    shop        python                      3.6,latest   About a minute ago
    ");
}

#[test]
fn i113_nothing_found_is_told_on_standard_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), STREAMS).unwrap();
    let output = tidegate(&["get", "is", "-n", "empty", "-f", file.path().to_str().unwrap()]);
    assert!(output.status.success() && output.stdout.is_empty());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors, "No resources found in empty namespace.\n");
}

#[test]
fn i112_errors_are_those_of_oc_and_exit_with_1() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), STREAMS).unwrap();
    let path = file.path().to_str().unwrap();
    let failed = |arguments: &[&str]| {
        let output = tidegate(&[arguments, &["-n", "shop", "-f", path]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let texts: Vec<String> = [
        &["get", "is", "nosuch"] as &[&str],
        &["get", "istag", "python:nosuch"],
        &["get", "istag", "python"],
        &["get", "isimage", "python@2"],
        &["get", "nothing"],
        &["get"],
        &["get", "--oc-compatible"],
        &["describe", "istag/python:next"],
    ]
    .iter()
    .map(|arguments| failed(arguments))
    .collect();
    assert_snapshot!(texts.concat(), @r#"
    Error from server (NotFound): imagestreams.image.openshift.io "nosuch" not found
    Error from server (NotFound): imagestreamtags.image.openshift.io "python:nosuch" not found
    Error from server (BadRequest): ImageStreamTags must be retrieved with <name>:<tag>
    Error from server (NotFound): imagestreamimages.image.openshift.io "python@2" not found
    error: the server doesn't have a resource type "nothing"
    error: Required resource not specified.
    See 'tidegate get -h' for help and examples
    error: Required resource not specified.
    See 'oc get -h' for help and examples
    Error from server (NotFound): imagestreamtags.image.openshift.io "python:next" not found
    "#);
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
