//! The mirrors of a cluster (`ImageDigestMirrorSet` and its kin), as a line for containers-registries.conf(5) (rule I175).
//!
//! They say where the nodes of one cluster pull from. A repository may describe several clusters and is read by a
//! daemon that is in none of them, so nothing is taken from it by itself: the operator is shown what to write.

use super::marks::End;
use super::object::Draft;
use super::workload::step;
use super::yaml::Node;

/// Warns of an object that gives sources mirrors; of other objects nothing is said.
pub(crate) fn report(draft: &Draft<'_>, api_version: &str, kind: &str) {
    let (list, pull) = match (api_version.split('/').next().unwrap_or_default(), kind) {
        ("operator.openshift.io", "ImageContentSourcePolicy")
        | ("config.openshift.io", "ImageContentPolicy") => {
            ("repositoryDigestMirrors", "digest-only")
        }
        ("config.openshift.io", "ImageDigestMirrorSet") => ("imageDigestMirrors", "digest-only"),
        ("config.openshift.io", "ImageTagMirrorSet") => ("imageTagMirrors", "tag-only"),
        _ => return,
    };
    let entries = draft.node.at(&["spec", list]).map(Node::items).unwrap_or_default();
    let entries: Vec<String> = entries.iter().map(|entry| registry(pull, entry)).collect();
    let message = format!(
        "the mirrors of this {kind} are those of a cluster's nodes; tidegate asks the mirrors of containers-registries.conf(5)"
    );
    let hint = format!(
        "write this line into a file `*.conf` of the folder `registries.conf.d`: registry = [{}]",
        entries.join(", ")
    );
    draft.warn_with_hint("I175", &[step("kind")], End::Value, message, Some(hint));
}

/// One source with its mirrors, as an inline table.
fn registry(pull: &str, entry: &Node) -> String {
    // A text of JSON is one of TOML.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let text = |key: &str| entry.get(key).and_then(Node::as_text).unwrap_or_default();
    let blocked = match text("mirrorSourcePolicy") {
        "NeverContactSource" => "blocked = true, ",
        _ => "",
    };
    let mirrors = entry.get("mirrors").map(Node::items).unwrap_or_default();
    let mirrors = mirrors
        .iter()
        .filter_map(Node::as_text)
        .map(|mirror| format!("{{location = {}, pull-from-mirror = \"{pull}\"}}", quoted(mirror)));
    let mirrors = mirrors.collect::<Vec<_>>().join(", ");
    format!("{{prefix = {}, {blocked}mirror = [{mirrors}]}}", quoted(text("source")))
}
