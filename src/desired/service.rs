//! What leads to workloads: `Service`s by the labels of pods, and what no host serves (rule R17a).

use std::collections::BTreeMap;

use super::object::Draft;
use super::workload::step;
use super::yaml::Node;

/// The rule of what leads to workloads and is not served on a host.
pub(crate) const UNSERVED: &str = "R17a";

/// The labels by which a `Service` selects pods; none where it selects none, or leads elsewhere.
pub(super) fn selects(
    node: &Node,
    (api_version, kind): (&str, &str),
) -> Option<BTreeMap<String, String>> {
    let name_of_another =
        node.at(&["spec", "type"]).and_then(Node::as_text) == Some("ExternalName");
    if (api_version, kind) != ("v1", "Service") || name_of_another {
        return None;
    }
    let entries = node.at(&["spec", "selector"])?.entries();
    let label =
        |(key, value): &(Box<str>, Node)| Some((key.to_string(), value.as_text()?.to_owned()));
    // One that cannot be read must not select more than it says.
    let labels: Option<BTreeMap<String, String>> = entries.iter().map(label).collect();
    labels.filter(|labels| !labels.is_empty())
}

/// Notes what leads to workloads from outside, where workloads run on a host.
pub(super) fn note_unserved(draft: &Draft<'_>, kind: &str) {
    if !matches!(kind, "Route" | "Ingress") || draft.policy.hosts.is_empty() {
        return;
    }
    let text = format!("a {kind} is unsupported on this backend: nothing of this host serves it");
    let hint = "publish a port of the workload (`tidegate.dev/publish`), and put a proxy of yours before it if need be";
    draft.note(UNSERVED, &[step("kind")], text, hint);
}
