//! What an edit changes, as `git diff` shows it.

use std::collections::BTreeSet;

use crate::desired::yaml::{self, Node};
use crate::report::unified;
use crate::secret::{masked, sounds_secret};

/// What stands where a value is not shown.
const HIDDEN: &str = "***";

/// The difference of two texts.
#[must_use]
pub fn diff(before: &str, after: &str) -> String {
    let mut out = String::new();
    // Every line of such a file ends so; it would only be seen as a strange sign.
    let [before, after] = [before, after].map(|text| text.replace("\r\n", "\n"));
    let (before, after) = (before.as_str(), after.as_str());
    let secrets = [before, after].into_iter().flat_map(secrets).collect();
    for hunk in unified::hunks(&hide(before, &secrets), &hide(after, &secrets)) {
        hunk.write(&mut out);
    }
    out
}

/// The difference of two versions of a file, with its names.
pub(super) fn file(path: &str, before: Option<&str>, after: Option<&str>) -> String {
    let name = |side: &str, text: Option<&str>| {
        text.map_or_else(|| "/dev/null".to_owned(), |_| format!("{side}/{path}"))
    };
    let mut out = format!("--- {}\n+++ {}\n", name("a", before), name("b", after));
    let texts = [before.unwrap_or_default(), after.unwrap_or_default()];
    if texts.iter().any(|text| holds_secret(text)) {
        out.push_str("(not shown: a Secret stands in this file)\n");
        return out;
    }
    out.push_str(&diff(texts[0], texts[1]));
    out
}

fn documents(text: &str) -> impl Iterator<Item = Node> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    yaml::split(body).filter_map(|part| Some(yaml::read(part.text).ok()?.root))
}

/// Whether a `Secret` stands in a file, or something that cannot be read and may be one.
fn holds_secret(text: &str) -> bool {
    fn is_secret(node: &Node) -> bool {
        let holder = ["items", "objects"].iter().find_map(|key| node.get(key));
        node.get("kind").and_then(Node::as_text) == Some("Secret")
            || holder.is_some_and(|holder| holder.items().iter().any(is_secret))
    }
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let unreadable = yaml::split(body).any(|part| yaml::read(part.text).is_err());
    unreadable && text.contains("Secret") || documents(text).any(|node| is_secret(&node))
}

/// The values that are named like secrets: of a key, or of a `name` beside a `value`.
fn secrets(text: &str) -> BTreeSet<String> {
    fn walk(node: &Node, found: &mut BTreeSet<String>) {
        let pair = (node.get("name"), node.get("value"));
        if let (Some(name), Some(value)) =
            (pair.0.and_then(Node::as_text), pair.1.and_then(Node::as_text))
            && sounds_secret(name)
        {
            found.insert(value.to_owned());
        }
        node.entries().iter().for_each(|(_, value)| walk(value, found));
        node.items().iter().for_each(|item| walk(item, found));
    }
    let mut found = BTreeSet::new();
    documents(text).for_each(|node| walk(&node, &mut found));
    found.remove("");
    found
}

/// The text without the lines' ends that are secrets, and without what its own words give away.
fn hide(text: &str, secrets: &BTreeSet<String>) -> String {
    let line = |line: &str| {
        let end = line.trim_end().trim_end_matches(['"', '\'', ',', '}', ' ']);
        match secrets.iter().find(|secret| end.ends_with(secret.as_str())) {
            Some(secret) => {
                let kept = end.len() - secret.len();
                format!("{}{HIDDEN}\n", line.get(..kept).unwrap_or_default())
            }
            None => line.to_owned(),
        }
    };
    masked(&text.split_inclusive('\n').map(line).collect::<String>())
}
